"""Split R-hat, and whether the start of chains is forgotten."""

import inspect
import itertools
import math
import warnings

import numpy as np
import pytest
from arviz_stats.base import array_stats
from autoregression import autoregression, telegraph
from scipy.special import bdtrc

from mcgen import ising, stats
from mcgen.errors import InputError, StatisticsWarning
from mcgen.stats import burn_in

SERIES = {
    "agreeing": autoregression(0.7, (4, 500), 1),
    "odd number of draws": autoregression(0.5, (3, 101), 2),
    "two halves of five draws": autoregression(0.0, (2, 10), 3),
    "another mean": autoregression(0.3, (4, 200), 4) + np.array([[0], [0], [0], [1]]),
    "another width": autoregression(0.3, (4, 200), 5) * np.array([[1], [1], [1], [3]]),
    "drift": autoregression(0.3, (5, 300), 6) + np.linspace(0, 2, 300),
    "many ties": np.round(autoregression(0.5, (6, 150), 7)),
    "two values": telegraph(0.1, (4, 100), 8),
    "heavy tails": np.random.default_rng(9).standard_cauchy((4, 200)),
    "integers": np.random.default_rng(10).integers(-3, 40, (4, 30)),
}


@pytest.mark.parametrize("name", SERIES)
def test_split_r_hat_agrees_with_arviz(name):
    # A series of two values lies at one distance from its median, where arviz divides 0 by 0.
    with np.errstate(invalid="ignore"):
        theirs = array_stats.rhat(SERIES[name], chain_axis=0, draw_axis=1, method="rank")
    assert stats.split_r_hat(SERIES[name]) == pytest.approx(theirs, rel=1e-10)


def test_split_r_hat_tells_good_from_bad():
    for name in ("agreeing", "odd number of draws"):
        assert stats.split_r_hat(SERIES[name]) < 1.02
    for name in ("another mean", "another width", "drift"):
        assert stats.split_r_hat(SERIES[name]) > 1.05
    # One chain is compared with its other half.
    assert stats.split_r_hat(SERIES["drift"][0]) > 1.05
    assert stats.split_r_hat(np.repeat([[-1.0], [1.0], [1.0]], 7, axis=1)) == math.inf
    assert math.isnan(stats.split_r_hat(np.ones((3, 8))))


def test_split_r_hat_needs_four_draws():
    with pytest.raises(InputError, match="series has 3 draws in a chain; give at least 4"):
        stats.split_r_hat(np.arange(6.0).reshape(2, 3))


# Whether the start is forgotten


def processes(shape, seed):
    """Stationary series of any memory and distribution."""
    yield autoregression(0.0, shape, seed)
    yield autoregression(0.9, shape, seed + 1)
    yield autoregression(0.9999, shape, seed + 2)
    yield np.exp(3 * autoregression(0.95, shape, seed + 3))
    yield np.abs(autoregression(0.99, shape, seed + 4))
    yield telegraph(0.3, shape, seed + 5)
    yield telegraph(1 / shape[-1], shape, seed + 6)
    yield telegraph(0.2 / shape[-1], shape, seed + 7) + 0.1 * autoregression(0.0, shape, seed + 8)
    yield np.random.default_rng(seed + 9).standard_cauchy(shape)
    yield autoregression(0.0, shape, seed + 10) > 3.0  # seldom anything but one value
    yield np.broadcast_to(autoregression(0.0, shape, seed + 11)[..., :1], shape)  # frozen in different modes
    yield np.full(shape, -0.1)


@pytest.mark.parametrize("shape", [(4, 400), (7, 60), (30, 20), (63, 2), (64, 2), (200, 30)])
def test_stationary_series_do_not_alarm(shape):
    n_runs = 100
    for kind, runs in enumerate(processes((n_runs, *shape), 11)):
        results = [stats.check_burn_in(run) for run in runs]
        assert all(result.enough for result in results), kind
        # The bounds hold for large probabilities as well, where few runs can tell: 20 of 100 have a chance of 0.002.
        assert sum(result.p_value < 0.1 for result in results) < 20, kind


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 10000), (2, 500), (3, 350), (4, 60), (8, 4), (15, 2), (100, 1)])
def test_too_few_data_say_nothing(shape):
    # Every chain falls from its first draw on: no data of this shape could look worse.
    falling = np.tile(-np.arange(float(shape[1])), (shape[0], 1))
    assert stats.check_burn_in(falling) == stats.BurnIn(True, 0, 0, 1.0)


@pytest.mark.parametrize("shape", [(3, 400), (4, 70), (8, 20), (16, 2), (22, 2), (64, 2), (1000, 3)])
def test_the_least_data_that_say_something(shape):
    falling = np.tile(-np.arange(float(shape[1])), (shape[0], 1))
    for series in (falling, -falling):
        result = stats.check_burn_in(series, thin=7)
        assert not result.enough
        assert result.p_value < burn_in.FALSE_ALARM
        assert result.n_sweeps_to_add == 7 * result.n_draws_to_discard > 0


def test_the_bound_of_a_crowd_holds_for_coins():
    # Differences of +-1: the chance that m or more of them agree is a binomial sum.
    for n_chains in (64, 200, 1000):
        for n_up in range(n_chains // 2 + 1, n_chains + 1, 7):
            series = np.zeros((n_chains, 2))
            series[:n_up, 0] = 1.0
            series[n_up:, 1] = 1.0
            bound = stats.check_burn_in(series).p_value
            assert bound >= min(1.0, 2 * bdtrc(n_up - 1, n_chains, 0.5))
            z = (2 * n_up - n_chains) / np.sqrt(n_chains)
            assert bound == pytest.approx(min(1.0, 2 * np.exp(-(z**2) / 2)), rel=1e-9)


def test_the_arcsine_law_by_counting_walks():
    steps = (1.0, 1.3, 2.1, 3.7, 5.2)
    above = [
        int(
            sum(
                height > 0
                for height in itertools.accumulate(sign * step for sign, step in zip(signs, order, strict=True))
            )
        )
        for order in itertools.permutations(steps)
        for signs in itertools.product((-1, 1), repeat=5)
    ]
    for n_above in (0, 1, 2):
        assert burn_in._arcsine_law(n_above, 5) == pytest.approx(np.mean(np.array(above) <= n_above), rel=1e-12)
    assert burn_in._arcsine_law(3, 5) == 1.0


@pytest.mark.parametrize(
    ("shape", "discards"), [((4, 400), {8, 16, 32}), ((16, 100), {16, 32}), ((128, 200), {32, 64})]
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_drifts_are_found_and_gone_when_discarded(shape, sign, discards):
    # The more chains, the smaller the drift that can be seen: after 16 draws 0.24 is left, after 64 draws 10^-5.
    n_found = n_usual = 0
    for run in autoregression(0.5, (20, *shape), 21):
        drifting = run + sign * 6.0 * np.exp(-np.arange(shape[1]) / 5.0)
        result = stats.check_burn_in(drifting, thin=3)
        assert result.n_sweeps_to_add == 3 * result.n_draws_to_discard
        if not result.enough:
            assert stats.check_burn_in(drifting[:, result.n_draws_to_discard :]).enough
        n_found += not result.enough
        n_usual += result.n_draws_to_discard in discards
    assert n_found >= 16
    assert n_usual >= n_found - 2


def test_the_warning_of_disagreement_shows_the_line_of_the_caller():
    chains = autoregression(0.0, (4, 64), 23) + np.array([[0], [0], [9], [9]])

    def caller():
        stats.warn_of_disagreement(stats.diagnose(chains), chains.shape, "energy")
        return inspect.currentframe().f_lineno - 1

    with pytest.warns(StatisticsWarning, match="the chains disagree on the energy") as caught:
        line = caller()
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


def test_a_drift_without_end_discards_all_draws():
    chains = autoregression(0.0, (100, 64), 22) - 0.1 * np.arange(64)
    with pytest.warns(StatisticsWarning, match=r"all of 64 draws: add at least 320 sweeps to burn_in") as caught:
        result = stats.warn_of_short_burn_in(chains, thin=5, name="energy")
    assert result.n_draws_to_discard == 64
    assert caught[0].filename == __file__
    assert str(caught[0].message).startswith("the energy still remembers the start")
    assert "\n" not in str(caught[0].message)


def sample(*arguments, **options):
    """Chains that may well start too close to their start: this is what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)
        return ising.sample(*arguments, **options)


def test_a_cold_lattice_from_a_random_start_is_found():
    lattice = ising.Ising((64, 64))
    for burned in (0, 10):
        run = sample(lattice, 1.8, n_chains=6, n_draws=40, thin=10, burn_in=burned, seed=1)
        result = stats.check_burn_in(run.energy, thin=10)
        assert not result.enough
        assert result.n_sweeps_to_add >= 100


def test_a_hot_lattice_from_an_ordered_start_is_found_and_burned_in():
    lattice = ising.Ising((32, 32))
    options = {"n_chains": 32, "n_draws": 100, "thin": 1, "seed": 2, "initial": "up"}
    run = sample(lattice, 3.0, burn_in=0, **options)
    magnetization = np.abs(lattice.magnetization(run.states))
    result = stats.check_burn_in(magnetization)
    assert not result.enough
    assert not stats.check_burn_in(run.energy).enough
    run = sample(lattice, 3.0, burn_in=result.n_sweeps_to_add, **options)
    assert stats.check_burn_in(np.abs(lattice.magnetization(run.states))).enough
    assert stats.check_burn_in(run.energy).enough


@pytest.mark.parametrize(("size", "temperature"), [(4, 1.0), (4, 2.269), (8, 1.5), (8, 2.269), (8, 3.0)])
def test_burned_in_lattices_do_not_alarm(size, temperature):
    lattice = ising.Ising((size, size))
    run = sample(lattice, temperature, n_chains=400, n_draws=200, thin=1, burn_in=2000, seed=3)
    magnetization = lattice.magnetization(run.states)
    for series in (run.energy, np.abs(magnetization), magnetization):
        for n_chains in (5, 20, 50, 100, 400):
            for chains in series.reshape(-1, n_chains, 200):
                assert stats.check_burn_in(chains).enough


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="thin=0 is too small"):
        stats.check_burn_in([[1.0, 2.0]], thin=0)
    with pytest.raises(InputError, match="its shape must be"):
        stats.check_burn_in(np.zeros((2, 2, 2)))
