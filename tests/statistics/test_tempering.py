"""Replica exchange: exact distributions at every temperature, and swaps that keep them."""

import numpy as np
import pytest
from chi_square import combined, p_of_counts

from mcgen import backend, enumeration, ising
from mcgen.errors import InputError
from mcgen.ising import tempering

SEEDS = (41, 42, 43)
CHAINS = 1 << 20
RANDOM = np.random.default_rng(5)
# A lattice with fields, of few states, and temperatures at which many swaps are refused.
LATTICE = ising.Ising((3,), RANDOM.normal(size=(1, 3)), RANDOM.normal(size=3), periodic=False)
TEMPERATURES = np.array([0.7, 2.0])


def p_of_swaps(n_swaps):
    """Exact draws at both temperatures after some swaps and no sweeps: still exact draws, if swaps are right.

    What is counted are pairs of states, and rounds take turns in which pairs of temperatures they swap: the first swaps
    these two, the second none. A swap that takes too much one way soon gives as much back, so wrong ones show best
    after the first.
    """
    listed = enumeration.list_states(3, -1, dtype=np.int8)
    p = np.outer(*(ising.exact.probabilities(LATTICE, temperature) for temperature in TEMPERATURES)).ravel()
    counts = 0
    for seed in SEEDS:
        pairs = np.random.default_rng(seed).choice(64, CHAINS, p=p)
        states = listed[np.stack([pairs // 8, pairs % 8])]
        walkers = tempering.TemperingWalkers(
            LATTICE, TEMPERATURES, states, "metropolis", seed, backend.target("cpu"), 0, "fixed"
        )
        for _ in range(n_swaps):
            states = walkers._walkers._states.reshape(2, -1, 3)
            walkers._swap(LATTICE.energy(states))
        assert 0.1 < walkers.report()["exchange"].swap_rates[0] < 0.9
        first, second = enumeration.state_index(walkers._walkers._states.reshape(2, -1, 3))
        counts += np.bincount(8 * first + second, minlength=64)
    return p_of_counts(counts, p)


@pytest.mark.parametrize("n_swaps", [1, 5])
def test_swaps_keep_the_exact_distribution(n_swaps):
    assert 1e-3 < p_of_swaps(n_swaps) < 1 - 1e-3


def test_swaps_wrong_by_one_percent_fail(monkeypatch):
    right = tempering.swap_probability

    def wrong(*arguments):
        p = right(*arguments)
        return np.where(p < 1, 1.01 * p, p)

    monkeypatch.setattr(tempering, "swap_probability", wrong)
    assert p_of_swaps(1) < 1e-6


@pytest.mark.parametrize(
    ("moves", "n_chains"),
    [("metropolis", 1 << 16), ("heatbath", 1 << 16), ("wolff", 1 << 13), ("swendsen-wang", 1 << 13)],
)
def test_every_temperature_has_its_distribution(moves, n_chains):
    lattice, temperatures = ising.Ising((2, 4)), [2.0, 6.0, 3.5]

    def draw(seed):
        runs = ising.sample(
            lattice, temperatures, n_chains, n_draws=1, thin=2, burn_in=40, method="tempering", moves=moves,
            ladder="fixed", seed=seed,
        )  # fmt: skip
        assert [run.temperature for run in runs] == temperatures
        return [run.states.reshape(-1, 8) for run in runs]

    draws = {seed: draw(seed) for seed in SEEDS}
    for k, temperature in enumerate(temperatures):
        p = ising.exact.probabilities(lattice, temperature)
        assert 1e-3 < combined(lambda seed, k=k: draws[seed][k], p, SEEDS) < 1 - 1e-3


@pytest.mark.parametrize("kernel", ["bit-sliced", "single-flip"])
def test_configurations_move_as_reported(kernel):
    # Without sweeps, every configuration can be followed: swaps exchange two and lose none.
    lattice, n_chains = ising.Ising((2, 8)), 130
    states = np.where(RANDOM.random((3, n_chains, 16)) < 0.5, -1, 1).astype(np.int8)
    walkers = tempering.make_walkers(
        lattice, np.array([1e-3, 2e-3, 3e-3]), states.copy(), "metropolis", 1, backend.target("cpu"), kernel
    )
    accepted = RANDOM.random(n_chains) < 0.5
    walkers.exchange(1, accepted)
    expected = states.copy()
    expected[1, accepted], expected[2, accepted] = states[2, accepted], states[1, accepted]
    if kernel == "single-flip":
        assert (walkers._states.reshape(3, n_chains, 16) == expected).all()
    else:
        up = np.concatenate([walkers._layout.pack(one > 0) for one in expected])
        lanes = np.concatenate([walkers._layout.lanes_of(np.ones(n_chains, bool))] * 3)
        assert ((walkers._words ^ up) & lanes[:, None] == 0).all()


def test_ladder_reaches_the_rate_and_keeps_what_was_asked():
    lattice, asked = ising.Ising((16, 16)), [3.0, 1.5, 2.269]
    runs = ising.sample(lattice, asked, 32, 20, thin=5, burn_in=400, method="tempering", seed=3, initial="up")
    exchange = runs[0].exchange
    assert [run.temperature for run in runs] == asked
    assert np.isin(asked, exchange.temperatures).all()
    assert (np.diff(exchange.temperatures) > 0).all()
    assert 5 < len(exchange.temperatures) < 20
    assert exchange.swap_rates.min() > 0.8 * tempering.SWAP_RATE
    # No interval is divided that did not need it: twice as far apart, some pairs would be too far.
    assert exchange.swap_rates.min() < 0.7
    for run in runs:
        exact = ising.exact.thermodynamics(lattice, run.temperature).energy
        means = run.energy.mean(axis=1)
        assert abs(means.mean() - exact) < 4 * means.std(ddof=1) / 32**0.5


def test_round_trips_of_free_configurations():
    # Without couplings every swap is accepted, and a configuration goes up one place a swap, and down again.
    lattice = ising.Ising((5,), 0.0)
    runs = ising.sample(
        lattice, [1.0, 2.0, 3.0], 10, 1, thin=600, burn_in=0, method="tempering", ladder="fixed", seed=1
    )
    exchange = runs[0].exchange
    assert (exchange.swap_rates == 1).all()
    assert exchange.n_sweeps == 600
    # Three places: two swaps up, one waiting at the end, two down, one waiting: six swaps for each configuration.
    assert 10 * 3 * (600 // 6 - 2) <= exchange.round_trips <= 10 * 3 * (600 // 6)


def test_a_ladder_of_too_many_temperatures_is_refused(monkeypatch):
    monkeypatch.setattr(tempering, "MOST_TEMPERATURES", 5)
    with pytest.raises(InputError, match=r"T=0.5 to T=5 with swap rates of 0.25 needs about \d+ .*, more than 5; bri"):
        ising.sample(ising.Ising((16, 16)), [0.5, 5.0], n_chains=4, method="tempering", initial="up")
