"""Bit-sliced single flips against exact probabilities, and the independence of chains that share words."""

import itertools

import numpy as np
import pytest
from chi_square import combined
from scipy.stats import chi2

from mcgen import ising, stats
from mcgen.ising.bit_sliced import formulas, walkers
from mcgen.ising.bit_sliced.layout import layout, obstacle

SEEDS = (21, 22, 23)
CHAINS = 1 << 20
GLASS = np.where(np.random.default_rng(2).random((2, 2, 4)) < 0.5, -1.0, 1.0)
# Rings, squares and cubes; strips of bits; bonds of both signs. Axes of length 2 have two bonds to each neighbour.
SYSTEMS = {
    "ring": (ising.Ising((8,)), 2.0),
    "ring of 4": (ising.Ising((4,)), 2.269),
    "square": (ising.Ising((2, 2)), 4.0),
    "strips": (ising.Ising((2, 4)), 6.0),
    "antiferromagnet": (ising.Ising((2, 4), -0.5), 2.0),
    "glass": (ising.Ising((2, 4), GLASS), 3.0),
    "cube": (ising.Ising((2, 2, 2), 0.7), 8.0),
}
# Where a flip against m + 1 of the pairs of neighbours is likely enough that one percent more of it shows.
WRONG = [("ring of 4", 0), ("square", 1), ("strips", 0), ("cube", 0), ("cube", 2), ("glass", 0)]


def draw(lattice, temperature, method, burn_in=40):
    def states(seed):
        run = ising.sample(
            lattice, temperature, CHAINS, n_draws=1, thin=1, burn_in=burn_in, method=method, seed=seed,
            kernel="bit-sliced",
        )  # fmt: skip
        return run.states.reshape(-1, lattice.n_sites)

    return states


@pytest.mark.parametrize("method", ["metropolis", "heatbath"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_draws_have_the_exact_distribution(name, method):
    lattice, temperature = SYSTEMS[name]
    p = ising.exact.probabilities(lattice, temperature)
    assert 1e-3 < combined(draw(lattice, temperature, method), p, SEEDS) < 1 - 1e-3


def test_flips_at_almost_no_cost_are_made_as_often_as_their_ways_back():
    """At a temperature at which the cost of a flip cannot be told from 0 by a random word of 32 bits."""
    run = ising.sample(ising.Ising((8, 8)), 1e12, n_chains=4096, n_draws=1, burn_in=100, kernel="bit-sliced", seed=1)
    energy = stats.mean(run.energy)
    assert abs(energy.value) < 4 * energy.error < 1.0


@pytest.mark.parametrize("method", ["metropolis", "heatbath"])
@pytest.mark.parametrize(("name", "which"), WRONG)
def test_a_probability_wrong_by_one_percent_fails(name, which, method, monkeypatch):
    lattice, temperature = SYSTEMS[name]
    right = walkers.class_probabilities

    def wrong(*arguments):
        return [1.01 * p if m == which else p for m, p in enumerate(right(*arguments))]

    monkeypatch.setattr(walkers, "class_probabilities", wrong)
    p = ising.exact.probabilities(lattice, temperature)
    assert combined(draw(lattice, temperature, method), p, SEEDS) < 1e-6


def test_every_number_of_neighbors():
    """The logic of one update, for all 64 neighbourhoods and both states of the spin, one lane each."""
    rows = list(itertools.product((0, 1), repeat=7))
    spin, *neighbors = (np.array(column, bool) for column in zip(*rows, strict=True))
    up = np.sum(neighbors, axis=0)
    for method, both_ways in (("metropolis", False), ("heatbath", True)):
        reference = ~spin & ~np.full(len(rows), both_ways)
        ones, twos, fours = formulas.sum_of_six(*(n ^ reference for n in neighbors))
        certain, even, *classes = formulas.update_classes(ones, twos, fours, np.full(len(rows), both_ways))
        if method == "metropolis":
            agree = np.where(spin, up, 6 - up)
            assert (certain == (agree < 3)).all()
            assert (even == (agree == 3)).all()
            for m, mask in enumerate(classes, start=1):
                assert (mask == (agree - 3 == m)).all()
        else:
            assert (certain == (up > 3)).all()
            assert (even == (up == 3)).all()
            for m, mask in enumerate(classes, start=1):
                assert (mask == (abs(up - 3) == m)).all()


@pytest.mark.parametrize("probability", [0.0, 1e-9, 0.1716, 1 / 3, 0.5, 0.999, 1.0])
def test_binary_digits(probability):
    digits = walkers.binary_digits(probability)
    assert set(digits.tolist()) <= {0, 2**64 - 1}
    value = sum(0.5 ** (k + 1) for k, digit in enumerate(digits) if digit)
    assert abs(value - probability) <= 2.0**-32


def test_probability_of_a_decision():
    # All numbers of eight random bits against all of eight digits: a lane accepts where its number is smaller.
    numbers = np.arange(256)
    for first, second, third in ((20, 3, 1), (255, 128, 0), (171, 85, 42)):
        p = np.array([first, second, third])
        lanes = np.arange(3 * 256)
        kind, number = lanes // 256, numbers[lanes % 256]
        classes = [kind == m for m in range(3)]
        accepted, undecided = np.zeros(768, bool), np.ones(768, bool)
        for k in range(8):
            random = (number >> (7 - k)) & 1 == 1
            accepted, undecided = formulas.decide(
                accepted, undecided, *classes, *(np.full(768, bool((q >> (7 - k)) & 1)) for q in p), random
            )
        assert (accepted == (number < p[kind])).all()
        assert (undecided == (number == p[kind])).all()


@pytest.mark.parametrize("method", ["metropolis", "heatbath"])
def test_chains_that_share_words_are_independent(method):
    # If chains shared random bits, their average would fluctuate more (or less) than that of independent ones.
    lattice, n_chains, n_draws = ising.Ising((4, 4)), 256, 4000
    run = ising.sample(lattice, 5.0, n_chains, n_draws, thin=4, burn_in=50, method=method, seed=31, keep_states=False)
    assert run.kernel == "bit-sliced"
    for series in (run.energy, run.magnetization.astype(float)):
        deviations = (series - series.mean()) / series.std()
        total = (deviations.sum(axis=0) ** 2 / n_chains).sum()
        assert 1e-4 < chi2.sf(total, n_draws) < 1 - 1e-4
        # Each pair of chains: correlations of independent series are normal with the variance 1 / n_draws.
        correlations = np.corrcoef(series)[np.triu_indices(n_chains, 1)]
        assert abs(correlations).max() * n_draws**0.5 < 5.5
        assert abs((correlations**2).mean() * n_draws - 1) < 0.05


@pytest.mark.parametrize(
    ("shape", "n_chains"),
    [((4, 4), 300), ((32, 4), 40), ((64, 32), 3), ((2, 6, 8), 37), ((32, 2, 16), 9), ((128,), 50), ((6, 10), 17)],
)
def test_energy_and_magnetization_are_those_of_the_states(shape, n_chains):
    signs = np.where(np.random.default_rng(7).random((len(shape), *shape)) < 0.5, -0.3, 0.3)
    for coupling in (0.3, -0.3, signs):
        lattice = ising.Ising(shape, coupling)
        run = ising.sample(lattice, 0.9, n_chains, 3, thin=2, burn_in=5, seed=1, kernel="bit-sliced")
        assert np.allclose(run.energy, lattice.energy(run.states), rtol=0, atol=1e-9)
        assert (run.magnetization == lattice.magnetization(run.states)).all()
        bare = ising.sample(
            lattice, 0.9, n_chains, 3, thin=2, burn_in=5, seed=1, kernel="bit-sliced", keep_states=False
        )
        assert bare.states.shape == (n_chains, 0, *shape)
        assert (bare.energy == run.energy).all()


@pytest.mark.parametrize("shape", [(4, 4), (32, 8), (64, 64), (8, 2, 16), (64,), (2,)])
def test_without_heat_spins_only_fall_into_place(shape):
    # At T = 0+ a state without a spin against its neighbours never changes: every bond leads to the right lane.
    random = np.random.default_rng(3)
    hidden = np.where(random.random(shape) < 0.5, -1, 1)
    coupling = np.stack([hidden * np.roll(hidden, -1, axis) for axis in range(len(shape))]).astype(float)
    lattice = ising.Ising(shape, coupling)  # its ground states are the hidden one and its opposite
    initial = np.stack([hidden, -hidden, hidden])
    run = ising.sample(lattice, 1e-3, 3, 4, thin=3, burn_in=2, initial=initial, kernel="bit-sliced")
    assert (run.states == initial[:, None]).all()
    assert (run.energy == -lattice.n_dims * lattice.n_sites).all()
    assert run.flip_rate == 0


def test_threads_that_share_a_lattice_give_the_same_states(monkeypatch):
    def draws():
        lattice = ising.Ising((32, 64))
        return [
            ising.sample(lattice, 2.3, 2, 3, thin=2, burn_in=3, seed=4, method=method).states
            for method in ("metropolis", "heatbath")
        ]

    alone = draws()
    monkeypatch.setattr(walkers, "BLOCKS_TO_SHARE", 0)
    monkeypatch.setattr(walkers.numba, "get_num_threads", lambda: 99)
    for one, other in zip(alone, draws(), strict=True):
        assert (one == other).all()


def test_which_lattices():
    assert not obstacle(ising.Ising((4, 6)))
    for lattice, words in (
        (ising.Ising((4, 5)), "odd"),
        (ising.Ising((4, 4), periodic=(True, False)), "open"),
        (ising.Ising((4, 4), field=0.1), "field"),
        (ising.Ising((4, 4), np.random.default_rng(1).random((2, 4, 4))), "magnitude"),
        (ising.Ising((2, 2, 2, 2)), "4 axes"),
        (ising.Ising((4, 4), 0.0), "0"),
    ):
        assert words in obstacle(lattice)
    assert layout(ising.Ising((64, 64))).chains_per_group == 1
    assert layout(ising.Ising((6, 6))).chains_per_group == 512


def test_glass_and_cube_against_exact_sums():
    random = np.random.default_rng(11)
    glass = ising.Ising((4, 8), np.where(random.random((2, 4, 8)) < 0.5, -1.0, 1.0))
    for lattice, temperature in ((glass, 1.5), (ising.Ising((2, 4, 4)), 4.0)):
        exact = ising.exact.thermodynamics(lattice, temperature)
        for method in ("metropolis", "heatbath"):
            run = ising.sample(lattice, temperature, 2000, 20, thin=20, burn_in=400, method=method, seed=5)
            means = run.energy.mean(axis=1)
            error = means.std(ddof=1) / len(means) ** 0.5
            assert abs(means.mean() - exact.energy) < 4 * error
            m = abs(run.magnetization).mean(axis=1)
            assert abs(m.mean() - exact.abs_magnetization) < 4 * m.std(ddof=1) / len(m) ** 0.5
