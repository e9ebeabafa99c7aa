"""Cluster updates against plain ones that use the same random words, and their formulas."""

import math

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mcgen import backend, ising, rng
from mcgen.errors import InputError
from mcgen.ising.cluster import formulas
from mcgen.ising.cluster.walkers import ClusterWalkers, obstacle

SEED = 2**40 + 3
RANDOM = np.random.default_rng(2)


def couplings(*shape):
    """Random, with a quarter of them zero."""
    return RANDOM.uniform(0, 1.5, size=(len(shape), *shape)) * (RANDOM.random((len(shape), *shape)) < 0.75)


LATTICES = {
    "chain": ising.Ising(9, periodic=False),
    "ring": ising.Ising(5, field=0.3),
    "single site": ising.Ising(1, field=0.3, periodic=False),
    "square": ising.Ising((6, 6)),
    "tall": ising.Ising((70, 3), couplings(70, 3), periodic=(True, False)),
    "wide": ising.Ising((1, 67), couplings(1, 67), RANDOM.normal(size=(1, 67)) / 4, periodic=(False, True)),
    "two": ising.Ising((2, 2), field=[[0.5, 0.0], [-0.5, 0.0]]),
    "cuboid": ising.Ising((3, 4, 5), couplings(3, 4, 5), RANDOM.normal(size=(3, 4, 5)) / 8),
    "flat": ising.Ising((4, 1, 3), couplings(4, 1, 3), periodic=(True, False, True)),
    "four dimensions": ising.Ising((3, 2, 4, 3), 0.5, 0.05, periodic=(True, True, False, False)),
}
TEMPERATURES = np.repeat([1.0, 2.3, 6.0], 4)


def happens(words, p):
    """Events of probability p, to the last bit of a word."""
    return words < np.round(p * 2.0**32)


def plain_swendsen_wang(lattice, temperature, state, words):
    """All bonds as a matrix, its connected components, and a coin for the first site of each. Returns their number."""
    n = lattice.n_sites
    words = words.reshape(lattice.n_dims + 2, -1)  # for each axis a word for each bond, coins, bonds to the ghost
    sites = np.arange(n).reshape(lattice.shape)
    starts, ends = [], []
    for axis in range(lattice.n_dims):
        ahead = np.roll(sites, -1, axis).ravel()
        p = -np.expm1(-2 * lattice.coupling[axis].ravel() / temperature)
        there = np.flatnonzero((state == state[ahead]) & happens(words[axis, :n], p))
        starts.append(there)
        ends.append(ahead[there])
    starts, ends = np.concatenate(starts), np.concatenate(ends)
    n_clusters, labels = connected_components(coo_array((np.ones(len(starts)), (starts, ends)), shape=(n, n)))
    _, first = np.unique(labels, return_index=True)
    flips = words[lattice.n_dims, first // 32] >> (first % 32) & 1 == 1
    field = lattice.field.ravel()
    held = (field * state > 0) & happens(words[-1, :n], -np.expm1(-2 * np.abs(field) / temperature))
    flips[labels[held]] = False
    state[flips[labels]] *= -1
    return n_clusters


def plain_wolff(lattice, temperature, state, words, n_clusters):
    """Clusters grown site by site, flipped at the end. Returns the number of sites visited."""
    neighbors, strengths = lattice.neighbor_table
    p = -np.expm1(-2 * strengths / temperature)
    field = lattice.field.ravel()
    ghost_p = -np.expm1(-2 * np.abs(field) / temperature)
    n_words = neighbors.shape[1] + bool(field.any())
    words = words.reshape(-1, 32 * n_words).tolist()  # drawn so many at a time; the last few of them may be left over
    portion, place, n_visits = 0, 0, 0
    for _ in range(n_clusters):
        members = [words[portion][place] * lattice.n_sites >> 32]
        place += 1
        is_held = False
        for site in members:
            now = words[portion][place : place + n_words]
            for neighbor, word, probability in zip(neighbors[site], now, p[site], strict=False):
                if neighbor not in members and state[neighbor] == state[site] and happens(word, probability):
                    members.append(neighbor)
            is_held = field[site] * state[site] > 0 and happens(now[-1], ghost_p[site])
            place += n_words
            if place + n_words >= len(words[portion]):
                portion, place = portion + 1, 0
            if is_held:
                break
        n_visits += len(members)
        if not is_held:
            state[members] *= -1
    return n_visits


def new_walkers(lattice, method):
    start = np.where(np.random.default_rng(5).random((len(TEMPERATURES), lattice.n_sites)) < 0.5, 1, -1)
    states = start.astype(np.int8)
    return ClusterWalkers(lattice, TEMPERATURES, states, method, SEED, backend.target("cpu"))


@pytest.mark.parametrize("name", LATTICES)
def test_swendsen_wang_is_the_plain_algorithm(name):
    lattice = LATTICES[name]
    walkers = new_walkers(lattice, "swendsen-wang")
    state, n_clusters = walkers.states.copy(), np.zeros(len(TEMPERATURES))
    draws = walkers.draw(n_draws=5, thin=1)
    n_words = (lattice.n_dims + 2) * (-(-lattice.n_sites // 4) * 4)
    for sweep in range(5):
        words = rng.words(SEED, rng.purpose.ISING_SWENDSEN_WANG, len(state), n_words, step=sweep)
        for walker, temperature in enumerate(TEMPERATURES):
            n_clusters[walker] += plain_swendsen_wang(lattice, temperature, state[walker], words[walker])
        assert (draws[:, sweep] == state).all()
    assert walkers.report()["clusters_per_sweep"] == pytest.approx(n_clusters.reshape(3, 4).mean(axis=1) / 5)
    assert (walkers.states == state).all()


@pytest.mark.parametrize("name", LATTICES)
def test_wolff_is_the_plain_algorithm(name):
    lattice = LATTICES[name]
    walkers = new_walkers(lattice, "wolff")
    walkers.burn_in(9)
    state, n_visits = walkers.states.copy(), np.zeros(len(TEMPERATURES))
    draws = walkers.draw(n_draws=4, thin=1)
    report = walkers.report()
    n_clusters = np.repeat(report["clusters_per_sweep"], 4).astype(int)
    n_words = 32 * (2 * lattice.n_dims + bool(lattice.field.any())) * 100
    for sweep in range(4):
        words = rng.words(SEED, rng.purpose.ISING_WOLFF, len(state), n_words, step=9 + sweep)
        for walker, temperature in enumerate(TEMPERATURES):
            n_visits[walker] += plain_wolff(lattice, temperature, state[walker], words[walker], n_clusters[walker])
        assert (draws[:, sweep] == state).all()
    mean_size = n_visits / (4 * n_clusters)
    assert report["cluster_size"] == pytest.approx(mean_size.reshape(3, 4).mean(axis=1))
    if not lattice.field.any():
        assert report["flip_rate"] == pytest.approx(n_visits.reshape(3, 4).mean(axis=1) / (4 * lattice.n_sites))


def test_burn_in_of_wolff_is_swendsen_wang_with_one_cluster_to_measure():
    lattice = LATTICES["cuboid"]
    walkers = new_walkers(lattice, "wolff")
    state = walkers.states.copy()
    walkers.burn_in(8)
    n_visits = np.zeros((8, len(TEMPERATURES)), int)
    for sweep in range(8):
        whole = rng.words(SEED, rng.purpose.ISING_SWENDSEN_WANG, len(state), 5 * 60, step=sweep)
        single = rng.words(SEED, rng.purpose.ISING_WOLFF, len(state), 32 * 7 * 10, step=sweep)
        for walker, temperature in enumerate(TEMPERATURES):
            plain_swendsen_wang(lattice, temperature, state[walker], whole[walker])
            n_visits[sweep, walker] = plain_wolff(lattice, temperature, state[walker], single[walker], 1)
    assert (walkers.states == state).all()
    # Windows 0, 1, 2-3 and 4-7; the last but two counts.
    walkers.sweep(1)
    sizes = n_visits[1].reshape(3, 4).mean(axis=1)
    assert walkers.report()["clusters_per_sweep"].tolist() == np.ceil(60 / sizes).tolist()


def test_without_burn_in_a_sweep_is_one_cluster():
    for n_sweeps in (0, 1, 2):
        walkers = new_walkers(LATTICES["square"], "wolff")
        walkers.burn_in(n_sweeps)
        walkers.sweep(3)
        assert walkers.report()["clusters_per_sweep"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("method", ["swendsen-wang", "wolff"])
def test_a_report_before_the_first_sweep_is_empty(method):
    walkers = new_walkers(LATTICES["square"], method)
    walkers.burn_in(3)
    assert all(np.isnan(values).all() and values.shape == (3,) for values in walkers.report().values())


def test_bond_probability():
    for x in np.concatenate([[0.0], np.logspace(-12, 3, 200)]):
        assert formulas.bond_probability(2 * x, 0.25) == pytest.approx(-math.expm1(-x), rel=1e-12, abs=2.0**-52)
        for sign in (-1, 1):
            assert formulas.ghost_probability(sign * x, 0.5) == pytest.approx(-math.expm1(-x), rel=1e-12, abs=2.0**-52)


def test_threshold():
    assert [int(formulas.threshold(p)) for p in (0.0, 2.0**-32, 0.3, 0.5, 1.0)] == [
        0,
        1,
        round(0.3 * 2**32),
        2**31,
        2**32 - 1,
    ]


def test_obstacles():
    ferromagnet = LATTICES["cuboid"]
    antiferromagnet = ising.Ising((4, 4), [[[1.0] * 4] * 4, [[-0.5] * 4] * 4])
    for method in ("wolff", "swendsen-wang"):
        assert obstacle(ferromagnet, method, "cpu") == ""
        assert obstacle(ferromagnet, method, "cuda") == (
            f"method='{method}' runs on the CPU only; use device='cpu', or on CUDA method='metropolis' or 'heatbath'"
        )
        message = (
            f"method='{method}' needs couplings of at least 0, but the smallest is -0.5; "
            "use method='metropolis' or 'heatbath'"
        )
        assert obstacle(antiferromagnet, method, "cpu") == message
        with pytest.raises(InputError, match="the smallest is -"):
            ClusterWalkers(antiferromagnet, np.ones(1), np.ones((1, 16), np.int8), method, 1, backend.target("cpu"))
    # A bond of an open boundary is none.
    assert obstacle(ising.Ising(2, [[1.0, -1.0]], periodic=False), "wolff", "cpu") == ""


def test_burn_in_is_over_after_the_first_sweep():
    walkers = new_walkers(LATTICES["square"], "wolff")
    walkers.sweep(1)
    with pytest.raises(InputError, match="burn-in is over"):
        walkers.burn_in(1)
