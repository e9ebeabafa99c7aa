import math

import emcee
import numpy as np
import pytest
from arviz_stats.base import array_stats
from autoregression import autoregression, coefficient, telegraph
from scipy.stats import f as fdistribution

from mcgen import stats
from mcgen.errors import InputError, StatisticsWarning
from mcgen.stats import correlation


def integrated_time_by_its_definition(chains):
    """tau by loops over plain numbers; the F test between chains is left out."""
    n_chains, n = len(chains), len(chains[0])
    total = n_chains * n
    center = math.fsum(x for chain in chains for x in chain) / total

    def covariance(lag):
        return math.fsum((chain[t] - center) * (chain[t + lag] - center) for chain in chains for t in range(n - lag))

    tau, window, lags = 1.0, 0, float(n)
    while window < 5.0 * tau and window + 2 < n:
        for lag in (window + 1, window + 2):
            tau += 2.0 * covariance(lag) / covariance(0)
            lags += 2.0 * (n - lag)
        window += 2
    assert window >= 5.0 * tau
    # Each product of deviations has lost error^2, that is tau variance / total, and there are lags / n of them.
    share = lags / n / total
    squared_error = covariance(0) / total * tau / (1.0 - share) / total
    return total * squared_error / (covariance(0) / total + squared_error)


def test_integrated_time_by_its_definition():
    for seed in range(4):
        chains = autoregression(0.6, (3, 80), seed)
        expected = integrated_time_by_its_definition(chains.tolist())
        assert stats.integrated_time(chains) == pytest.approx(expected, rel=1e-10)


def test_rows_that_are_alike_count_once():
    values = np.random.default_rng(1).normal(size=500)
    assert stats.mean_of_rows(values) == stats.mean(values)
    repeated = stats.mean_of_rows(np.repeat(values, 10))
    assert repeated.value == pytest.approx(values.mean(), rel=1e-12)
    assert repeated.error == pytest.approx(values.std() / math.sqrt(500), rel=0.3)
    with pytest.warns(StatisticsWarning, match=r"^19 rows with .* take more rows$"):
        stats.mean_of_rows(values[:19])
    one = stats.mean_of_rows(values[:1])
    assert one.value == values[0]
    assert math.isnan(one.error)
    with pytest.raises(InputError):
        stats.mean_of_rows(np.empty(0))


@pytest.mark.parametrize("a", [-0.3, 0.0, 0.5, 0.9])
def test_autocorrelation_agrees_with_emcee(a):
    series = autoregression(a, (20000,), 1)
    np.testing.assert_allclose(stats.autocorrelation(series), emcee.autocorr.function_1d(series), atol=1e-12)
    # emcee's window may be odd, it does not correct for the mean, and it lets noise below 1 stand.
    assert stats.integrated_time(series) == pytest.approx(emcee.autocorr.integrated_time(series, c=5)[0], rel=0.05)


@pytest.mark.parametrize("tau", [1, 3, 19, 50])
@pytest.mark.parametrize("n_chains", [1, 10])
def test_integrated_time_of_autoregressions(tau, n_chains):
    runs = autoregression(coefficient(tau), (40, n_chains, 500 * tau // n_chains), 5)
    times = [stats.integrated_time(run) for run in runs]
    # One time is uncertain by sqrt(20 tau / N) = 0.2 of itself; a time of 1 also has only noise above it.
    assert np.mean(times) == pytest.approx(tau, rel=0.12)
    assert 0.01 * tau < np.std(times) < 0.3 * tau


def test_integrated_time_of_chains_that_are_short_against_it():
    # No window fits into the chains: the variance of their means remains, and it is exact.
    runs = autoregression(coefficient(50), (100, 20, 25), 6)
    lags = np.arange(1, 25)
    expected = 1 + 2 * np.sum((1 - lags / 25) * coefficient(50) ** lags)
    assert np.mean([25 * stats.mean(run).error ** 2 * 20 for run in runs]) == pytest.approx(expected, rel=0.1)


def test_integrated_time_of_alternating_series_is_not_too_short():
    for a in (-0.45, -0.7, -0.9):
        exact = (1 + a) / (1 - a)
        assert exact * 0.85 < stats.integrated_time(autoregression(a, (4, 20000), 7)) < 1


def test_noise_below_one_counts_as_independence():
    runs = autoregression(0.0, (100, 4, 100), 8)
    times = np.array([stats.integrated_time(run) for run in runs])
    assert times.min() > 1 - 1e-12
    assert np.isclose(times, 1.0, rtol=0, atol=1e-12).sum() > 30


def test_series_are_transformed_in_batches(monkeypatch):
    chains = autoregression(0.8, (7, 300), 9)
    whole = stats.autocorrelation(chains)
    time = stats.integrated_time(chains)
    monkeypatch.setattr(correlation, "BATCH", 2 * 1024)
    np.testing.assert_allclose(stats.autocorrelation(chains), whole, atol=1e-13)
    assert stats.integrated_time(chains) == pytest.approx(time, rel=1e-12)


def test_chains_that_do_not_move_have_the_error_of_their_number():
    chains = np.repeat(np.array([[1.0], [-1.0]] * 50), 10, axis=1)
    estimate = stats.mean(chains)
    assert estimate.effective_sample_size == pytest.approx(100)
    assert estimate.error == pytest.approx(1 / np.sqrt(99))


def test_chains_in_different_modes_have_the_error_of_their_means():
    # A twentieth of the variance lies between the chains: a window over the autocorrelation closes before it sees that.
    modes = np.random.default_rng(2).normal(size=(50, 1))
    chains = np.sqrt(0.05) * modes + np.sqrt(0.95) * autoregression(0.5, (50, 2000), 10)
    estimate = stats.mean(chains)
    assert estimate.error == pytest.approx(chains.mean(axis=1).std(ddof=1) / np.sqrt(50), rel=1e-12)
    assert estimate.error > 5 * stats.mean(chains - np.sqrt(0.05) * modes).error
    assert estimate.autocorrelation_time > 50


def test_few_chains_in_different_modes_warn():
    chains = autoregression(0.5, (4, 2000), 11) + 0.3 * np.arange(4)[:, None]
    with pytest.warns(StatisticsWarning, match=r"rests on the means of 4 chains, .* run more chains") as caught:
        stats.mean(chains)
    assert caught[0].filename == __file__


def test_the_chance_of_taking_chains_for_chains_in_different_modes():
    chains = autoregression(0.0, (10, 500), 16)
    chains -= chains.mean(axis=1, keepdims=True)
    # The variance of the mean of all chains that independent draws explain, and that which the offsets make.
    expected = (chains**2).sum() / (5000 - 10) / 5000
    offsets = np.arange(10.0)[:, None]
    limit = np.sqrt(fdistribution.isf(1e-4, 9, 5000) * expected / (offsets.var(ddof=1) / 10))
    assert not correlation.spread(chains + 0.99 * limit * offsets).of_chains
    assert correlation.spread(chains + 1.01 * limit * offsets).of_chains


def test_chains_that_agree_are_not_taken_for_chains_in_different_modes():
    for tau, n_chains, n_draws in ((1, 2, 200), (1, 40, 20), (9, 5, 900), (40, 30, 400)):
        for run in autoregression(coefficient(tau), (100, n_chains, n_draws), 12):
            assert not correlation.spread(run).of_chains
    for run in telegraph(0.02, (100, 10, 1000), 13):
        assert not correlation.spread(run).of_chains


def test_too_few_draws_warn_and_say_what_to_do():
    with pytest.warns(StatisticsWarning, match=r"worth only .* draw more") as caught:
        stats.mean(autoregression(0.95, (1, 100), 1))
    assert caught[0].filename == __file__


@pytest.mark.parametrize("series", [np.full((3, 10), -32.0), np.full((7, 3), 0.1), [2.5, 2.5]])
def test_constant_series_have_no_error(series):
    estimate = stats.mean(series)
    assert estimate.value == pytest.approx(np.mean(series))
    assert estimate.error == 0.0
    assert np.isnan(estimate.autocorrelation_time)
    assert np.isnan(stats.effective_sample_size(series))
    assert np.isnan(stats.autocorrelation(series)).all()


def test_effective_sample_size_of_several_series():
    for tau in (1, 5, 20):
        chains = autoregression(coefficient(tau), (8, 200 * tau), 14)
        size = stats.effective_sample_size(chains)
        assert size == pytest.approx(stats.mean(chains).effective_sample_size, rel=1e-12)
        assert size == pytest.approx(1600, rel=0.25)
        # The same quantity with another window, that of Geyer.
        assert size == pytest.approx(array_stats.ess(chains, chain_axis=0, draw_axis=1, method="mean"), rel=0.15)


def test_estimates_of_arrays_scale_and_print():
    estimate = stats.Estimate(np.array([1.0, 20.0]), np.array([0.012, 1.5]), 1.0, 100.0).scaled(-2.0)
    assert str(estimate) == "[-2.000(24) -40.0(3.0)]"


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ([], r"shape \(0,\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        ([1.0, np.inf], "NaN or infinite"),
        (["up"], "not an array of real numbers"),
    ],
)
def test_bad_series_are_refused(series, words):
    for function in (stats.autocorrelation, stats.integrated_time, stats.effective_sample_size, stats.mean):
        with pytest.raises(InputError, match=words):
            function(series)
