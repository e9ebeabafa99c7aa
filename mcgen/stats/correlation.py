"""The autocorrelation of a series, and the error of its mean that follows from it."""

import math
import warnings
from typing import NamedTuple

import numpy as np
from scipy.special import fdtrc

from mcgen.errors import InputError, StatisticsWarning
from mcgen.stats.estimate import Estimate
from mcgen.stats.series import as_chains, is_constant

# The window of the autocorrelation sum: the smallest even M with M >= WINDOW * tau(M) (Sokal's rule).
WINDOW = 5.0
# With fewer effectively independent draws the autocorrelation time itself is little more than a guess.
SMALLEST_SAMPLE = 20.0
# What to do about a series that is too short, by what it is a series of.
REMEDIES = {"draws": "draw more, thin more, or run more chains", "rows": "take more rows"}
# The chance that chains which agree are taken for chains in different modes.
DISAGREEMENT = 1e-4
# Numbers transformed at once: 32 MiB, so that a long series does not need its size again.
BATCH = 2**22


class Spread(NamedTuple):
    """How a series varies.

    squared_error : float
        The squared standard error of its mean; 0 where nothing varies.
    autocorrelation_time : float
        NaN where nothing varies.
    of_chains : bool
        Whether the error is that of the means of whole chains, because draws remember each other over a whole chain.
    """

    squared_error: float
    autocorrelation_time: float
    of_chains: bool


def autocorrelation(series: np.ndarray) -> np.ndarray:
    """The normalised autocorrelation function, averaged over chains.

    rho(t) = sum_i (x_i - m)(x_{i+t} - m) / sum_i (x_i - m)^2 with m the mean of all chains, by fast Fourier transform.
    The common mean lets chains that sit in different modes show up as an autocorrelation that does not decay.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)

    Returns
    -------
    float64, shape (n_draws,)
        rho(0) = 1; NaN where the series is constant.

    Raises
    ------
    InputError
        If the shape does not fit or a value is NaN or infinite.

    References
    ----------
    Sokal, Monte Carlo methods in statistical mechanics (1997), eq. 3.13.

    Examples
    --------
    >>> from mcgen import stats
    >>> stats.autocorrelation([1.0, -1.0, 1.0, -1.0]).round(12).tolist()
    [1.0, -0.75, 0.5, -0.25]
    """
    chains = as_chains(series)
    if is_constant(chains):
        return np.full(chains.shape[1], np.nan)
    _, products = _lagged_products(chains)
    return products / products[0]


def integrated_time(series: np.ndarray) -> float:
    """The integrated autocorrelation time tau = 1 + 2 sum_{t=1}^{M} rho(t), in units of the distance between draws.

    The variance of a mean over N draws is tau times that over N independent draws. The sum stops at the smallest even
    window M >= 5 tau(M) (Sokal; even, since partial sums of alternating correlations are too small at odd M), and is
    corrected for the mean having been taken from the same draws. A value below 1 that noise explains counts as 1.

    Long chains whose means differ by more than their own autocorrelations explain (F test, chance of error 10^-4) have
    a memory beyond any window, as chains in different modes have; then tau = n_draws var(means of chains) / var(draws).

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)

    Returns
    -------
    float
        1 for independent draws; NaN where the series is constant.

    Raises
    ------
    InputError
        If the shape does not fit or a value is NaN or infinite.

    References
    ----------
    Sokal (1997), section 3. Wolff, Comput. Phys. Commun. 156, 143 (2004): the correction for the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> independent = np.random.default_rng(1).normal(size=20000)
    >>> round(stats.integrated_time(independent))
    1
    >>> round(stats.integrated_time(np.repeat(independent, 10)))
    10
    """
    return spread(as_chains(series)).autocorrelation_time


def effective_sample_size(series: np.ndarray) -> float:
    """The number of independent draws whose mean has the same error: the number of draws over the autocorrelation time.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)

    Returns
    -------
    float
        NaN where the series is constant.

    Raises
    ------
    InputError
        If the shape does not fit or a value is NaN or infinite.

    References
    ----------
    Sokal (1997), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> tenfold = np.repeat(np.random.default_rng(1).normal(size=(4, 5000)), 10, axis=1)
    >>> round(stats.effective_sample_size(tenfold), -4)
    20000.0
    """
    chains = as_chains(series)
    return chains.size / spread(chains).autocorrelation_time


def mean(series: np.ndarray) -> Estimate:
    """The mean of a Markov chain average with the error that follows from its autocorrelation time.

    error^2 = var * tau / N over all N draws of all chains, with tau of `integrated_time`. For chains that hardly move,
    and for chains in different modes, the error is that of the means of independent chains: right, if they started
    independently.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)

    Returns
    -------
    Estimate

    Raises
    ------
    InputError
        If the shape does not fit, a value is NaN or infinite, or there is only one number.

    Warns
    -----
    StatisticsWarning
        If the draws are worth fewer than 20 independent ones, or the error rests on the means of fewer than 20 chains:
        it may then be too small.

    References
    ----------
    Sokal (1997), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> estimate = stats.mean(np.random.default_rng(1).normal(size=(4, 2500)))
    >>> abs(estimate.value) < 4 * estimate.error, round(estimate.error, 2)
    (True, 0.01)
    """
    chains = as_chains(series)
    if chains.size < 2:
        raise InputError("a single number has no error bar; give at least two draws")
    return _mean(chains, "draws")


def _mean(chains: np.ndarray, of: str) -> Estimate:
    how = spread(chains)
    warn_if_uncertain(how, chains.shape, stacklevel=4, of=of)
    time = how.autocorrelation_time
    return Estimate(float(chains.mean()), math.sqrt(how.squared_error), time, chains.size / time)


def mean_of_rows(values: np.ndarray) -> Estimate:
    """The mean of a quantity of each row of a table of data, with an error that allows for neighbours that are alike.

    Parameters
    ----------
    values : array, shape (n_rows,)
        In the order in which the rows were drawn.

    Returns
    -------
    Estimate
        As of `mean`; the error of a single row is NaN.

    Raises
    ------
    InputError
        If the shape does not fit, a value is NaN or infinite, or there is no row.

    Warns
    -----
    StatisticsWarning
        If the rows are too few, or too much alike, for an error.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> stats.mean_of_rows(np.array([3.0])).error
    nan
    """
    values = as_chains(values)
    if values.size == 1:
        return Estimate(float(values[0, 0]), math.nan, math.nan, math.nan)
    return _mean(values, "rows")


def spread(chains: np.ndarray) -> Spread:
    """The error of the mean of checked chains, float64 of shape (n_chains, n_draws): see `integrated_time`."""
    if is_constant(chains):
        return Spread(0.0, math.nan, False)
    n_chains, n_draws = chains.shape
    within, common = _lagged_products(chains)
    squared_error, _, of_chains = _windowed(common, n_chains, n_means=1)
    if n_chains > 1 and not of_chains and within[0] > 0:
        expected, lags, _ = _windowed(within, n_chains, n_means=n_chains)
        between = float(chains.mean(axis=1).var(ddof=1)) / n_chains
        # Chains that are not long against the window cannot tell a memory in it from one beyond it.
        if lags < n_draws / 4 and fdtrc(n_chains - 1, chains.size / lags, between / expected) < DISAGREEMENT:
            squared_error, of_chains = between, True
    # The draws vary about the true mean by their variance about their own mean and the variance of that.
    variance = float(common[0]) / chains.size
    return Spread(squared_error, chains.size * squared_error / (variance + squared_error), of_chains)


def _windowed(products: np.ndarray, n_chains: int, n_means: int) -> tuple[float, float, bool]:
    """The squared error of the mean from sums of products at each lag, of deviations from n_means means.

    Returns also the number of lags in the window, as they are weighted, and whether these are all.
    """
    n_draws = len(products)
    n = n_chains * n_draws
    times = 2.0 * np.cumsum(products) / products[0] - 1.0
    windows = np.arange(0, n_draws, 2)
    wide_enough = windows >= WINDOW * times[::2]
    window = int(windows[np.argmax(wide_enough)]) if wide_enough.any() else n_draws - 1
    lags = 2 * window + 1 - window * (window + 1) / n_draws
    # Deviations from means of the same draws have lost the squared errors of these at each lag: this part in all. For
    # one mean and all lags the result is then the variance of the means of the chains over their number.
    lost = n_means * lags / n
    time = float(times[window]) / (1.0 - lost) if lost < 1 - 1e-9 else 0.0
    # The standard deviation of the sum is sqrt(2 lags / n) of itself (Sokal 1997, section 3).
    independent = n / (n - n_means)
    if time <= 0 or 1.0 - 3.0 * math.sqrt(2.0 * lags / n) < time < independent:
        return float(products[0]) / n * independent / n, 1.0, False
    return float(products[0]) / n * time / n, lags, window == n_draws - 1


def warn_if_uncertain(how: Spread, shape: tuple[int, int], stacklevel: int, of: str = "draws") -> None:
    """Warn where a series of this spread and shape (n_chains, n_draws) is too short for an error bar.

    stacklevel says whose line the warning shows: 2 is the caller's; of is a key of `REMEDIES`.
    """
    n_chains, n_draws = shape
    n = n_chains * n_draws
    size = n / how.autocorrelation_time
    if size < SMALLEST_SAMPLE:
        message = (
            f"{n} {of} with an autocorrelation time of {how.autocorrelation_time:.3g} {of} are worth only {size:.3g} "
            f"independent ones, fewer than {SMALLEST_SAMPLE:g}: the error bar is uncertain; {REMEDIES[of]}"
        )
    elif how.of_chains and n_chains < SMALLEST_SAMPLE:
        message = (
            "the draws of a chain remember each other over its whole length, so that the error bar rests on the means "
            f"of {n_chains} chains, fewer than {SMALLEST_SAMPLE:g}, and is uncertain; run more chains, longer ones, or "
            "a method that moves between their modes"
        )
    else:
        return
    warnings.warn(message, StatisticsWarning, stacklevel=stacklevel)


def _lagged_products(chains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sum_i (x_i - m)(x_{i+t} - m) over all chains, with m the mean of each, and with m their common mean.

    Two float64 arrays of shape (n_draws,), by one Fourier transform of each chain.
    """
    n_chains, n_draws = chains.shape
    # The next length whose transform is quick.
    n_padded = min(2 ** math.ceil(math.log2(2 * n_draws)), 3 * 2 ** math.ceil(math.log2(2 * n_draws / 3)))
    means = chains.mean(axis=1)
    offsets = means - means.mean()
    power = np.zeros(n_padded // 2 + 1)
    weighted = np.zeros(n_draws)
    step = max(1, BATCH // n_padded)
    for first in range(0, n_chains, step):
        batch = slice(first, first + step)
        deviations = chains[batch] - means[batch, None]
        spectrum = np.fft.rfft(deviations, n_padded, axis=1)
        power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
        weighted += offsets[batch] @ deviations
    within = np.fft.irfft(power, n_padded)[:n_draws]
    # With w the deviations and D the offset of a chain, sum (w_i + D)(w_{i+t} + D) needs, beyond sum w_i w_{i+t}, only
    # the sums of D w over the first n - t and the last n - t draws; over all draws w adds up to 0.
    up_to = np.concatenate([[0.0], np.cumsum(weighted)])
    t = np.arange(n_draws)
    return within, within + up_to[n_draws - t] - up_to[t] + (n_draws - t) * np.vdot(offsets, offsets)
