"""Errors of derived quantities, such as ratios and variances of means: jackknife and bootstrap over blocks."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.stats.blocks import Blocks, cut
from mcgen.stats.estimate import Estimate


def jackknife(function: Callable, *series: np.ndarray) -> Estimate:
    """A function of means, with its error and without its bias of the order 1/N, by leaving out blocks of draws.

    With n blocks, f the function of the means over all draws and f_j that without block j, the value is
    n f - (n - 1) mean(f_j), and error^2 = (n - 1)/n sum_j (f_j - mean(f_j))^2; blocks whose lengths differ by a draw
    or a chain are weighted accordingly (Busing et al.). From 32 chains on, blocks are one or more whole chains. Fewer
    chains are cut: about N_eff^(2/3) blocks in all, at most 128, where N_eff is the effective sample size of the
    slowest series; longer blocks would be too few to measure a scatter, shorter ones would remember their neighbours.
    Chains whose draws remember each other over a whole chain (see `integrated_time`) are not cut.

    Parameters
    ----------
    function : callable
        Receives the mean of each series over chains and draws, a float or an array of its further axes, and returns a
        float or an array.
    series : arrays, shape (n_draws,), (n_chains, n_draws) or (n_chains, n_draws, ...)
        Any number of them, drawn together: the first two axes must agree.

    Returns
    -------
    Estimate
        Floats, or arrays of the shape that the function returns. The autocorrelation time and the effective sample
        size are those of the slowest series, or component of one.

    Raises
    ------
    InputError
        If shapes do not fit, a value is NaN or infinite, there is only one draw, or the function gives NaN or infinity.

    Warns
    -----
    StatisticsWarning
        If the slowest series is worth fewer than 20 independent draws, or fewer than 20 chains that cannot be cut.

    References
    ----------
    Miller, Biometrika 61, 1 (1974). Busing, Meijer & van der Leeden, Statistics and Computing 9, 3 (1999): blocks of
    unequal size.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> x = np.random.default_rng(1).normal(size=(100, 200))
    >>> variance = stats.jackknife(lambda x, xx: xx - x**2, x, x**2)
    >>> round(variance.value, 1), round(variance.error, 2), bool(np.isclose(variance.value, x.var(ddof=1), rtol=1e-4))
    (1.0, 0.01, True)
    """
    blocks = cut(series)
    n, weights = len(blocks.sizes), blocks.sizes / blocks.n_draws
    everything = _evaluate(function, blocks, np.ones((1, n)))[0]
    without = _evaluate(function, blocks, 1.0 - np.eye(n))
    weights = weights.reshape(n, *[1] * everything.ndim)
    value = n * everything - ((1.0 - weights) * without).sum(axis=0)
    # f / w - (1/w - 1) f_j: what block j alone would have given, to first order.
    pseudovalues = everything / weights - (1.0 / weights - 1.0) * without
    error = np.sqrt(((pseudovalues - value) ** 2 * weights / (1.0 - weights)).mean(axis=0))
    return _estimate(blocks, value, error)


def bootstrap(function: Callable, *series: np.ndarray, n_resamples: int = 1000, seed: int = 0) -> Estimate:
    """A function of means, with its error and without its bias of the order 1/N, by drawing blocks with replacement.

    With f the function of the means over all draws and f_r that over the n blocks of resample r, the value is
    2 f - mean(f_r), and error^2 = n/(n - 1) var(f_r). Blocks are those of `jackknife`, which is quicker and as good for
    smooth functions; the bootstrap is also right for those that are not, such as a maximum over components.

    Parameters
    ----------
    function : callable
        As for `jackknife`.
    series : arrays, shape (n_draws,), (n_chains, n_draws) or (n_chains, n_draws, ...)
        As for `jackknife`.
    n_resamples : int
        The error is uncertain by 1 / sqrt(2 n_resamples) of itself for this reason alone.
    seed : int
        0 to 2**64 - 1. The same seed gives the same result.

    Returns
    -------
    Estimate
        As for `jackknife`.

    Raises
    ------
    InputError
        If shapes do not fit, a value is NaN or infinite, there is only one draw, an argument is out of range, or the
        function gives NaN or infinity.

    Warns
    -----
    StatisticsWarning
        As for `jackknife`.

    References
    ----------
    Efron, Ann. Statist. 7, 1 (1979). Kuensch, Ann. Statist. 17, 1217 (1989): blocks.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> x, y = np.random.default_rng(1).normal(5.0, 1.0, size=(2, 100, 200))
    >>> ratio = stats.bootstrap(lambda x, y: x / y, x, y, seed=1)
    >>> abs(ratio.value - 1) < 4 * ratio.error, round(ratio.error, 3)
    (True, 0.002)
    """
    _check_resampling(n_resamples, seed)
    blocks = cut(series)
    resampled = _resample(function, blocks, n_resamples, seed)
    n = len(blocks.sizes)
    everything = _evaluate(function, blocks, np.ones((1, n)))[0]
    error = math.sqrt(n / (n - 1)) * resampled.std(axis=0, ddof=1)
    return _estimate(blocks, 2.0 * everything - resampled.mean(axis=0), error)


def bootstrap_percentiles(
    function: Callable,
    *series: np.ndarray,
    percentiles: Sequence[float] = (2.5, 16.0, 50.0, 84.0, 97.5),
    n_resamples: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """Percentiles of a function of means over resampled blocks: the interval it lies in, also where that is lopsided.

    Parameters
    ----------
    function : callable
        As for `jackknife`.
    series : arrays, shape (n_draws,), (n_chains, n_draws) or (n_chains, n_draws, ...)
        As for `jackknife`.
    percentiles : sequence of float
        From 0 to 100.
    n_resamples : int
    seed : int
        0 to 2**64 - 1; with the same seed the resamples are those of `bootstrap`.

    Returns
    -------
    float64, shape (n_percentiles, ...)
        With the axes that the function returns.

    Raises
    ------
    InputError
        As for `bootstrap`, or if a percentile lies outside 0 to 100.

    Warns
    -----
    StatisticsWarning
        As for `jackknife`.

    References
    ----------
    Efron, Ann. Statist. 7, 1 (1979).

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> x = np.random.default_rng(1).normal(size=(100, 200))
    >>> low, high = stats.bootstrap_percentiles(np.exp, x, percentiles=(2.5, 97.5))
    >>> bool(0.95 < low < np.exp(x.mean()) < high < 1.05)
    True
    """
    wanted = checks.finite_array("percentiles", percentiles, (None,)).astype(np.float64)
    if wanted.size == 0 or wanted.min() < 0 or wanted.max() > 100:
        raise InputError(f"percentiles={wanted.tolist()} do not all lie from 0 to 100; give one or more that do")
    _check_resampling(n_resamples, seed)
    blocks = cut(series)
    return np.percentile(_resample(function, blocks, n_resamples, seed), wanted, axis=0)


def _check_resampling(n_resamples: int, seed: int) -> None:
    checks.integer("n_resamples", n_resamples, 2)
    rng.split_seed(seed)


def _estimate(blocks: Blocks, value: np.ndarray, error: np.ndarray) -> Estimate:
    """The result with the autocorrelation time of the blocks, as floats where it is a single number."""
    value, error = (float(x) if np.ndim(x) == 0 else x for x in (value, error))
    return Estimate(value, error, blocks.autocorrelation_time, blocks.n_draws / blocks.autocorrelation_time)


def _resample(function: Callable, blocks: Blocks, n_resamples: int, seed: int) -> np.ndarray:
    """The function of the means of each resample: float64, shape (n_resamples, ...)."""
    n = len(blocks.sizes)
    words = rng.words(seed, rng.purpose.STATISTICS_BOOTSTRAP, n_resamples, n)
    chosen = (words.astype(np.uint64) * np.uint64(n)) >> np.uint64(32)
    offsets = n * np.arange(n_resamples)[:, None]
    times = np.bincount((chosen.astype(np.int64) + offsets).ravel(), minlength=n * n_resamples)
    return _evaluate(function, blocks, times.reshape(n_resamples, n).astype(np.float64))


def _evaluate(function: Callable, blocks: Blocks, times: np.ndarray) -> np.ndarray:
    """The function of the means in which block j counts times[i, j] times: float64, shape (len(times), ...)."""
    n_draws = times @ blocks.sizes
    means = [np.tensordot(times, sums, axes=1) / n_draws.reshape(-1, *[1] * (sums.ndim - 1)) for sums in blocks.sums]
    results = [
        np.asarray(function(*(float(mean[i]) if mean.ndim == 1 else mean[i] for mean in means)), np.float64)
        for i in range(len(times))
    ]
    values = np.stack(results)
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        raise InputError(
            f"the function gives NaN or infinity for {int(bad.sum())} of {len(bad)} selections of blocks; give more "
            "draws, or a function that is finite near the means"
        )
    return values
