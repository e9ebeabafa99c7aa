"""Cluster updates against exact probabilities, by a chi-square test that a probability wrong by one percent fails."""

import numba
import numpy as np
import pytest
from chi_square import combined, with_wrong_formula

from mcgen import backend, ising
from mcgen.ising.cluster import cpu
from mcgen.ising.cluster.walkers import METHODS, ClusterWalkers

SEEDS = (11, 12)
WALKERS, DRAWS, BURN_IN = 1 << 12, 32, 32

RANDOM = np.random.default_rng(4)
FIELDS = RANDOM.uniform(0.8, 1.6, size=(3, 2)) * [[1, 1], [-1, 1], [1, -1]]
# A lattice, its temperature, and sweeps between draws: as many as leave correlations of a few percent.
LATTICES = {
    "square": (ising.Ising((2, 2)), 2.5, 8),
    "ring": (ising.Ising((5,)), 1.5, 8),
    "cube": (ising.Ising((2, 2, 2)), 7.0, 8),
    "fields": (ising.Ising((3, 2), RANDOM.uniform(0.2, 1, size=(2, 3, 2)), FIELDS, periodic=False), 2.0, 16),
}


def new_walkers(lattice, temperatures, method, seed):
    start = np.where(np.random.default_rng(seed).random((len(temperatures), lattice.n_sites)) < 0.5, 1, -1)
    return ClusterWalkers(lattice, temperatures, start.astype(np.int8), method, seed, backend.target("cpu"))


def draw(lattice, temperature, thin, method):
    def states(seed):
        walkers = new_walkers(lattice, np.full(WALKERS, temperature), method, seed)
        walkers.burn_in(BURN_IN)
        return walkers.draw(DRAWS, thin).reshape(-1, lattice.n_sites)

    return states


def p_of(name, method):
    lattice, temperature, thin = LATTICES[name]
    return combined(draw(lattice, temperature, thin, method), ising.exact.probabilities(lattice, temperature), SEEDS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", LATTICES)
def test_distribution(name, method):
    assert 1e-3 < p_of(name, method) < 1 - 1e-3


def wrong(right):
    def one_percent_less(strength, beta):
        return 0.99 * right(strength, beta)

    return one_percent_less


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "formula"),
    [("square", "bond_probability"), ("fields", "ghost_probability")],
)
def test_a_probability_wrong_by_one_percent_fails(name, formula, method, monkeypatch):
    kernel = with_wrong_formula(cpu.cluster_sweeps, "cluster", "mcgen.ising.cluster.formulas", formula, wrong)
    monkeypatch.setattr(cpu, "cluster_sweeps", kernel)
    assert p_of(name, method) < 1e-6


# Larger systems: a torus whose energy is known, and a tube of which <|M|> is known as well.
SYSTEMS = {
    "torus": (ising.Ising((16, 16)), 2.269, 3.0),
    "tube": (ising.Ising((16, 6), periodic=(False, True)), 1.8, 2.269),
    "random": (ising.Ising((5, 4), RANDOM.uniform(0, 2, size=(2, 5, 4)), RANDOM.normal(size=(5, 4)) / 4), 2.0, 3.0),
    "cuboid": (ising.Ising((2, 3, 3), 1.0, 0.05, periodic=(False, True, True)), 3.0, 5.0),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SYSTEMS)
def test_averages(name, method):
    lattice, *temperatures = SYSTEMS[name]
    walkers = new_walkers(lattice, np.repeat(temperatures, 100), method, seed=21)
    walkers.burn_in(100)
    states = walkers.draw(100, 3).reshape(2, 100, 100, *lattice.shape)
    for temperature, here in zip(temperatures, states, strict=True):
        exact = ising.exact.thermodynamics(lattice, temperature)
        measured = {"energy": lattice.energy(here), "abs_magnetization": abs(lattice.magnetization(here))}
        if name == "torus":
            assert np.isnan(exact.abs_magnetization)
            del measured["abs_magnetization"]
        for quantity, series in measured.items():
            means = series.mean(axis=1)  # of independent walkers
            error = means.std(ddof=1) / 10
            assert abs(means.mean() - getattr(exact, quantity)) < 4 * error, (temperature, quantity)
            assert error < 0.01 * lattice.n_sites


@pytest.mark.parametrize("method", METHODS)
def test_results_do_not_depend_on_how_sweeps_are_shared_out(method):
    lattice = LATTICES["fields"][0]
    temperatures = np.repeat([0.5, 2.0, 8.0], [3, 1, 5])
    at_once, in_parts = (new_walkers(lattice, temperatures, method, seed=3) for _ in range(2))
    at_once.burn_in(45)
    for n_sweeps in (1, 0, 2, 5, 9, 15, 13):
        in_parts.burn_in(n_sweeps)
    assert (at_once.states == in_parts.states).all()
    draws = at_once.draw(6, 4)
    in_parts.sweep(3)
    in_parts.sweep(1)
    assert (in_parts.states == draws[:, 0]).all()
    assert (in_parts.draw(2, 4) == draws[:, 1:3]).all()
    in_parts.sweep(4)
    assert (in_parts.draw(2, 4) == draws[:, 4:]).all()
    for one, other in zip(at_once.report().values(), in_parts.report().values(), strict=True):
        assert (one == other).all()
    assert at_once.n_sweeps == in_parts.n_sweeps == 45 + 24


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")
@pytest.mark.parametrize("method", METHODS)
def test_results_do_not_depend_on_the_number_of_threads(method):
    before = numba.get_num_threads()
    draws = []
    try:
        for n_threads in (1, 2):
            numba.set_num_threads(n_threads)
            walkers = new_walkers(ising.Ising((6, 5), field=0.1), np.repeat([2.0, 3.0], 20), method, seed=4)
            walkers.burn_in(10)
            draws.append(walkers.draw(5, 2))
    finally:
        numba.set_num_threads(before)
    assert (draws[0] == draws[1]).all()


def test_a_sweep_of_wolff_clusters_visits_each_site_about_once():
    lattice = ising.Ising((32, 32))
    walkers = new_walkers(lattice, np.repeat([1.0, 2.269, 4.0], 20), "wolff", seed=5)
    walkers.burn_in(64)
    walkers.sweep(50)
    report = walkers.report()
    size = report["cluster_size"] / lattice.n_sites
    visits = size * report["clusters_per_sweep"]
    assert size[0] > 0.9
    assert size[2] < 0.01
    assert (visits > 0.8).all()
    assert (visits < 1.2 + size).all()  # since the number is rounded up
    assert report["flip_rate"] == pytest.approx(visits)  # without a field every cluster flips
