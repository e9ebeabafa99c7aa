"""Samplers of lattices against exact probabilities, by a chi-square test that a wrong acceptance of one percent fails.

Each draw is the last state of a chain of its own, so draws are independent and the test needs no correction. Chains
start from random states: a sampler that does not reach every state fails as well. The counts of several seeds are
taken together.
"""

import numpy as np
import pytest
from chi_square import combined as p_of_seeds
from chi_square import p_value, with_wrong_formula

from mcgen import ising, stats
from mcgen.ising import cpu as ising_cpu

ISING_CHAINS = 1 << 18
# What is left of the start adds less than 0.1 to chi-square; a wrong acceptance of one percent adds 54 to 90.
BURN_IN = 12
SEEDS = (11, 12, 13)


def combined(draw, probabilities):
    return p_of_seeds(draw, probabilities, SEEDS)


# The Ising model: a bipartite lattice, swept in checkerboard order, and one that is not, with random sites.

RANDOM = np.random.default_rng(5)
TEMPERATURE = 2.5
LATTICES = {
    "bipartite": ising.Ising((2, 2), RANDOM.normal(size=(2, 2, 2)), RANDOM.normal(size=(2, 2)) / 2, periodic=False),
    "frustrated": ising.Ising((5,), [[0.7, -0.7, 0.3, 0.2, 1.2]], [-2.3, -0.5, 0.5, 0.8, 0.6]),
}


def draw_ising(lattice, method, temperature=TEMPERATURE):
    def draw(seed):
        run = ising.sample(
            lattice, temperature, ISING_CHAINS, n_draws=1, thin=1, burn_in=BURN_IN, method=method, seed=seed,
            kernel="single-flip",
        )  # fmt: skip
        return run.states.reshape(-1, lattice.n_sites)

    return draw


@pytest.mark.parametrize("method", ["metropolis", "heatbath"])
@pytest.mark.parametrize("name", LATTICES)
def test_ising(name, method):
    lattice = LATTICES[name]
    p = ising.exact.probabilities(lattice, TEMPERATURE)
    assert 1e-3 < combined(draw_ising(lattice, method), p) < 1 - 1e-3


def test_ising_ring_of_four():
    # The lattice on which the usual acceptance of moves without cost leaves states unreached.
    lattice = ising.Ising((4,))
    for temperature in (2.269, 5.0):
        p = ising.exact.probabilities(lattice, temperature)
        assert 1e-3 < combined(draw_ising(lattice, "metropolis", temperature), p) < 1 - 1e-3


def wrong_flips(right):
    def flip_probability(rule, s, h, beta):
        p = right(rule, s, h, beta)
        return 1.01 * p if s * h > 0 else p  # flips that cost energy, one percent too often

    return flip_probability


@pytest.mark.parametrize("method", ["metropolis", "heatbath"])
@pytest.mark.parametrize("name", LATTICES)
def test_ising_with_a_wrong_acceptance_fails(name, method, monkeypatch):
    kernel = with_wrong_formula(
        ising_cpu.single_flip_sweeps, "ising", "mcgen.ising.formulas", "flip_probability", wrong_flips
    )
    monkeypatch.setattr(ising_cpu, "single_flip_sweeps", kernel)
    lattice = LATTICES[name]
    p = ising.exact.probabilities(lattice, TEMPERATURE)
    assert combined(draw_ising(lattice, method), p) < 1e-6


def test_draws_along_a_chain_have_the_exact_distribution():
    # Thinned draws of few chains, as users take them: consecutive draws, counted with their effective sample size.
    lattice = LATTICES["bipartite"]
    run = ising.sample(lattice, 3.0, n_chains=64, n_draws=20000, thin=15, burn_in=100, seed=7)
    p = ising.exact.probabilities(lattice, 3.0)
    assert stats.integrated_time(run.energy) < 1.02
    assert stats.integrated_time(lattice.magnetization(run.states)) < 1.02
    assert 1e-3 < p_value(run.states.reshape(-1, 4), p) < 1 - 1e-3


def test_kernel_calls_of_any_length_give_the_same_states(monkeypatch):
    from mcgen.ising import sampling

    settings = {"n_draws": 7, "thin": 3, "burn_in": 11, "seed": 1}

    def draw():
        ferromagnet = ising.Ising((2, 4))
        runs = [ising.sample(LATTICES[name], 2.0, n_chains=9, **settings) for name in LATTICES]
        for method in ("metropolis", "heatbath", "wolff", "swendsen-wang"):
            runs.append(ising.sample(ferromagnet, 2.0, n_chains=9, method=method, **settings))
            runs += ising.sample(ferromagnet, [2.0, 4.0], n_chains=9, method="tempering", moves=method, **settings)
        return [run.states for run in runs]

    in_one_call = draw()
    monkeypatch.setattr(sampling, "SECONDS_PER_CALL", 1e-9)
    for once, often in zip(in_one_call, draw(), strict=True):
        assert (once == often).all()
