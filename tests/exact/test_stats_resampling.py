"""Blocking, jackknife and bootstrap against their definitions, written as loops."""

import math

import numpy as np
import pytest
from autoregression import autoregression, coefficient
from scipy.special import chdtri

from mcgen import rng, stats
from mcgen.errors import InputError, StatisticsWarning


def ratio(x, y):
    return x / y


def variance(x, xx):
    return xx - x**2


# Blocking


def blocks_by_definition(chains, size):
    n_blocks = len(chains[0]) // size
    return [[math.fsum(chain[b * size : (b + 1) * size]) / size for b in range(n_blocks)] for chain in chains]


def test_errors_of_blocks_by_their_definition():
    chains = autoregression(0.6, (3, 70), 1)
    result = stats.blocking(chains)
    assert result.block_sizes.tolist() == [1, 2, 4, 8, 16, 32, 70]
    for size, error, uncertainty in zip(result.block_sizes, result.errors, result.error_uncertainties, strict=True):
        means = np.concatenate(blocks_by_definition(chains.tolist(), int(size)))
        expected = means.std(ddof=1) * math.sqrt(size / chains.size)
        assert error == pytest.approx(expected, rel=1e-12)
        assert uncertainty == pytest.approx(expected / math.sqrt(2 * (len(means) - 1)), rel=1e-12)


@pytest.mark.parametrize("n_chains", [1, 4])
@pytest.mark.parametrize("a", [0.0, 0.5, 0.9])
def test_the_block_size_by_its_definition(n_chains, a):
    chains = autoregression(a, (n_chains, 4096), 2)
    result = stats.blocking(chains)
    correlations, terms = {}, {}
    for size in result.block_sizes:
        blocks = np.array(blocks_by_definition(chains.tolist(), int(size)))
        deviations = blocks - blocks.mean()
        n_pairs = n_chains * (blocks.shape[1] - 1)
        rho = (deviations[:, 1:] * deviations[:, :-1]).sum() / (deviations**2).sum() + n_pairs / blocks.size**2
        correlations[size] = rho * blocks.size / max(n_pairs, 1) if n_pairs else 0.0
        terms[size] = (rho * blocks.size) ** 2 / n_pairs if n_pairs else 0.0
    sizes = list(terms)
    passing = [size for k, size in enumerate(sizes) if sum(terms[s] for s in sizes[k:]) <= chdtri(len(sizes) - k, 0.01)]
    assert result.block_size == passing[0]
    plain = dict(zip(result.block_sizes, result.errors, strict=True))[passing[0]]
    assert result.error == pytest.approx(plain * math.sqrt(1 + 2 * max(0.0, correlations[passing[0]])), rel=1e-10)


@pytest.mark.parametrize("tau", [1, 9, 50])
def test_blocking_finds_the_exact_error(tau):
    runs = autoregression(coefficient(tau), (30, 4, 500 * tau), 3)
    results = [stats.blocking(run) for run in runs]
    exact = math.sqrt(tau / (2000 * tau))
    assert np.mean([result.error for result in results]) == pytest.approx(exact, rel=0.05)
    # The uncertainty that is given is that which the errors show.
    spread = np.std([result.error for result in results])
    assert np.mean([result.error_uncertainty for result in results]) == pytest.approx(spread, rel=0.5)
    # Shorter blocks give too small errors.
    if tau > 1:
        assert np.mean([result.errors[0] for result in results]) == pytest.approx(exact / math.sqrt(tau), rel=0.05)


def test_blocks_of_frozen_chains_are_whole_chains():
    chains = np.repeat(np.array([[1.0], [-1.0]] * 50), 10, axis=1)
    result = stats.blocking(chains)
    assert result.block_size == 10
    assert result.error == pytest.approx(1 / np.sqrt(99))


def test_blocking_of_alternating_and_constant_series():
    assert stats.blocking(np.tile([1.0, -1.0], 500)).error == pytest.approx(0.0, abs=1e-12)
    result = stats.blocking(np.full((4, 9), 0.1))
    assert (result.error, result.error_uncertainty) == (0.0, 0.0)
    assert result.value == pytest.approx(0.1)


def test_few_blocks_warn():
    with pytest.warns(StatisticsWarning, match=r"only \d+ blocks of \d+ draws .* uncertain by \d+ percent") as caught:
        stats.blocking(autoregression(0.95, (200,), 4))
    assert caught[0].filename == __file__
    with pytest.raises(InputError, match="at least two draws"):
        stats.blocking([1.0])


# Jackknife


def leave_one_out(function, sums, sizes):
    """The jackknife with blocks of unequal size (Busing et al. 1999), one by one."""
    n, total = len(sizes), sum(sizes)
    everything = function(*(math.fsum(column) / total for column in sums))
    without = [function(*((math.fsum(column) - column[j]) / (total - sizes[j]) for column in sums)) for j in range(n)]
    value = n * everything - math.fsum((1 - size / total) * f for size, f in zip(sizes, without, strict=True))
    ratios = [total / size for size in sizes]
    squares = [(h * everything - (h - 1) * f - value) ** 2 / (h - 1) for h, f in zip(ratios, without, strict=True)]
    return value, math.sqrt(math.fsum(squares) / n)


@pytest.mark.parametrize(("n_chains", "first"), [(40, range(40)), (131, [k * 131 // 66 for k in range(66)])])
def test_jackknife_over_chains_by_its_definition(n_chains, first):
    x = autoregression(0.5, (n_chains, 30), 5) + 4.0
    y = x + autoregression(0.5, (n_chains, 30), 6)
    ends = [*first[1:], n_chains]
    sums = [[values[a:b].sum() for a, b in zip(first, ends, strict=True)] for values in (x, y)]
    sizes = [30 * (b - a) for a, b in zip(first, ends, strict=True)]
    value, error = leave_one_out(ratio, sums, sizes)
    result = stats.jackknife(ratio, x, y)
    assert result.value == pytest.approx(value, rel=1e-11)
    assert result.error == pytest.approx(error, rel=1e-9)
    assert isinstance(result.value, float)
    assert isinstance(result.error, float)


def test_jackknife_within_chains_by_its_definition():
    x = autoregression(0.0, (3, 67), 8)
    assert stats.integrated_time(x) == stats.integrated_time(x**2) == pytest.approx(1.0)
    # 201 draws make 201^(2/3) = 34 blocks, 11 in each chain.
    first = [k * 67 // 11 for k in range(11)]
    ends = [*first[1:], 67]
    sums = [[c[a:b].sum() for c in values for a, b in zip(first, ends, strict=True)] for values in (x, x**2)]
    sizes = [b - a for _ in range(3) for a, b in zip(first, ends, strict=True)]
    value, error = leave_one_out(variance, sums, sizes)
    result = stats.jackknife(variance, x, x**2)
    assert result.value == pytest.approx(value, rel=1e-11)
    assert result.error == pytest.approx(error, rel=1e-9)
    assert result.effective_sample_size == pytest.approx(201)


def test_jackknife_of_a_mean_is_the_mean():
    for shape in ((40, 7), (500, 3), (3, 101), (997,)):
        x = autoregression(0.2, shape, 8)
        result = stats.jackknife(lambda m: m, x)
        assert result.value == pytest.approx(x.mean(), rel=1e-10)
        assert result.error == pytest.approx(stats.mean(x).error, rel=0.3)
        assert result.autocorrelation_time == stats.integrated_time(x)
        assert result.effective_sample_size == pytest.approx(stats.effective_sample_size(x))


def test_jackknife_removes_the_bias():
    # The plain variance of 32 independent draws is too small by a factor 31/32.
    values = [stats.jackknife(variance, x, x**2).value for x in autoregression(0.0, (400, 32, 1), 9)]
    plain = [x.var() for x in autoregression(0.0, (400, 32, 1), 9)]
    np.testing.assert_allclose(values, np.array(plain) * 32 / 31, rtol=1e-10)


@pytest.mark.parametrize(
    ("tau", "n_chains", "n_draws", "n_blocks"),
    [
        (1, 1, 100000, 128),
        (1, 1, 1000, 100),
        (1, 8, 10000, 128),
        (1, 30, 10000, 120),
        (1, 32, 50, 32),
        (1, 128, 10, 128),
        (1, 150, 10, 75),
        (1, 1000, 10, 125),
    ],
)
def test_number_of_blocks(tau, n_chains, n_draws, n_blocks):
    x = np.random.default_rng(13).normal(size=(n_chains, n_draws))
    assert count_blocks(x) == n_blocks


def count_blocks(series):
    calls = []
    stats.jackknife(lambda m: calls.append(m) or m, series)
    return len(calls) - 1


def test_blocks_are_long_against_the_autocorrelation_time():
    for tau in (10, 40):
        x = autoregression(coefficient(tau), (2, 100 * tau), 10)
        n_blocks = count_blocks(x)
        assert 16 <= n_blocks <= 50
        assert x.size / n_blocks > 3 * tau


def test_chains_in_different_modes_are_not_cut():
    modes = np.random.default_rng(1).normal(size=(25, 1))
    x = modes * 0.3 + autoregression(0.0, (25, 4000), 11)
    assert count_blocks(x) == 25
    result = stats.jackknife(lambda m: m, x)
    assert result.error == pytest.approx(x.mean(axis=1).std(ddof=1) / 5, rel=1e-9)
    with pytest.warns(StatisticsWarning, match="rests on the means of 6 chains") as caught:
        assert count_blocks(x[:6]) == 6
    assert caught[0].filename == __file__


def test_functions_of_arrays():
    x = autoregression(0.3, (50, 20), 12) + 3.0
    powers = np.stack([x, x**2, x**3], axis=-1)
    grid = np.stack([powers, powers + 1], axis=-2)
    for method in (stats.jackknife, stats.bootstrap):
        whole = method(lambda a, m: a / m, grid, x)
        assert whole.value.shape == whole.error.shape == (2, 3)
        for k in range(3):
            single = method(ratio, powers[..., k], x)
            assert whole.value[0, k] == pytest.approx(single.value, rel=1e-10)
            assert whole.error[0, k] == pytest.approx(single.error, rel=1e-9)
        slowest = max(stats.integrated_time(powers[..., k]) for k in range(3))
        assert whole.autocorrelation_time == pytest.approx(slowest, rel=1e-9)
    assert stats.bootstrap_percentiles(lambda a: a, grid, percentiles=(10, 20, 30, 40)).shape == (4, 2, 3)


def test_constant_series_have_no_error():
    for method in (stats.jackknife, stats.bootstrap):
        result = method(ratio, np.full((3, 8), 6.0), np.full((3, 8), 2.0))
        assert result.value == pytest.approx(3.0, rel=1e-14)
        assert result.error == pytest.approx(0.0, abs=1e-12)
        assert math.isnan(result.autocorrelation_time)


# Bootstrap


def test_bootstrap_by_its_definition():
    x, y = autoregression(0.0, (2, 40, 5), 14) + 3.0
    words = rng.words(7, rng.purpose.STATISTICS_BOOTSTRAP, 12, 40)
    values = []
    for row in words.tolist():
        chosen = [word * 40 // 2**32 for word in row]
        values.append(ratio(x[chosen].mean(), y[chosen].mean()))
    result = stats.bootstrap(ratio, x, y, n_resamples=12, seed=7)
    assert result.value == pytest.approx(2 * x.mean() / y.mean() - np.mean(values), rel=1e-12)
    assert result.error == pytest.approx(np.std(values, ddof=1) * math.sqrt(40 / 39), rel=1e-10)
    quartiles = stats.bootstrap_percentiles(ratio, x, y, percentiles=(25, 75), n_resamples=12, seed=7)
    np.testing.assert_allclose(quartiles, np.percentile(values, (25, 75)), rtol=1e-12)


def test_bootstrap_agrees_with_the_jackknife():
    x, y = autoregression(0.5, (2, 6, 500), 15) + 5.0
    knife, strap = stats.jackknife(ratio, x, y), stats.bootstrap(ratio, x, y, n_resamples=4000)
    assert strap.error == pytest.approx(knife.error, rel=0.05)
    assert strap.value == pytest.approx(knife.value, abs=0.1 * knife.error)
    assert strap[2:] == knife[2:]
    low, middle, high = stats.bootstrap_percentiles(ratio, x, y, percentiles=(15.865, 50, 84.135), n_resamples=4000)
    assert middle == pytest.approx(knife.value, abs=0.1 * knife.error)
    assert (high - low) / 2 == pytest.approx(knife.error, rel=0.08)


def test_bootstrap_depends_on_its_seed_alone():
    x = autoregression(0.5, (6, 100), 16)
    assert stats.bootstrap(np.exp, x, seed=1) == stats.bootstrap(np.exp, x, seed=1)
    assert stats.bootstrap(np.exp, x, seed=1) != stats.bootstrap(np.exp, x, seed=2)


X = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: stats.jackknife(ratio), "no series was given"),
        (lambda: stats.jackknife(ratio, X, X[:, :3]), r"series 1 has shape \(3, 3\) and series 0 has shape \(3, 4\)"),
        (lambda: stats.jackknife(ratio, 1.0, X), r"series 0 has shape \(\)"),
        (lambda: stats.jackknife(ratio, X, X * np.nan), "series 1 has 12 values that are NaN"),
        (lambda: stats.jackknife(np.exp, [1.0]), "at least two draws"),
        (lambda: stats.jackknife(lambda m: math.nan, np.ones((4, 4))), "gives NaN or infinity for 1 of 1 selections"),
        (lambda: stats.bootstrap(np.exp, X, n_resamples=1), "n_resamples=1 is too small"),
        (lambda: stats.bootstrap(np.exp, X, seed=-1), "seed=-1 is too small"),
        (
            lambda: stats.bootstrap_percentiles(np.exp, X, percentiles=(5, 101)),
            r"percentiles=\[5.0, 101.0\] do not all",
        ),
        (lambda: stats.bootstrap_percentiles(np.exp, X, n_resamples=0), "n_resamples=0 is too small"),
    ],
)
def test_bad_input_is_refused(act, words):
    with pytest.raises(InputError, match=words) as caught:
        act()
    assert "\n" not in str(caught.value)
