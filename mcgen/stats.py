"""Error bars of Markov chain averages."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import InputError, StatisticsWarning

# The window of the autocorrelation sum: the smallest M with M >= WINDOW * tau(M) (Sokal's rule).
WINDOW = 5.0
# With fewer effectively independent draws an error bar is itself uncertain by more than a sixth.
SMALLEST_SAMPLE = 20.0


class Estimate(NamedTuple):
    """A number with its error bar. Prints as `value +- error`.

    value : float
    error : float
        One standard deviation of the value.
    autocorrelation_time : float
        Integrated, in units of the distance between draws; NaN where nothing varies.
    effective_sample_size : float
        Number of independent draws that would give the same error; NaN where nothing varies.
    """

    value: float
    error: float
    autocorrelation_time: float
    effective_sample_size: float

    def scaled(self, factor: float) -> "Estimate":
        """The estimate times a constant, for example 1 / n_sites.

        Examples
        --------
        >>> from mcgen import stats
        >>> print(stats.Estimate(-32.0, 0.5, 1.0, 100.0).scaled(1 / 16))
        -2.000(31)
        """
        return self._replace(value=self.value * factor, error=self.error * abs(factor))

    def __str__(self) -> str:
        return format_error(self.value, self.error)


def format_error(value: float, error: float) -> str:
    """The value with its error in the last two digits, in brackets, as physicists write it.

    Examples
    --------
    >>> from mcgen import stats
    >>> stats.format_error(1.23456, 0.00123), stats.format_error(-25.05, 3.1), stats.format_error(0.5, 0.0)
    ('1.2346(12)', '-25.1(3.1)', '0.5(0)')
    """
    if not math.isfinite(error) or not math.isfinite(value):
        return f"{value:g}({error:g})"
    if error == 0:
        return f"{value:g}(0)"
    decimals = 1 - math.floor(math.log10(error))
    if round(error * 10**decimals) >= 100:  # 0.0996 rounds to three digits
        decimals -= 1
    if decimals <= 0:
        return f"{value:.0f}({error:.0f})"
    if error >= 1:
        return f"{value:.{decimals}f}({error:.{decimals}f})"
    return f"{value:.{decimals}f}({round(error * 10**decimals)})"


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
    chains = _chains(series)
    n_draws = chains.shape[1]
    deviations = chains - chains.mean()
    if _is_constant(chains):
        return np.full(n_draws, np.nan)
    n_padded = 2 ** math.ceil(math.log2(2 * n_draws))
    spectrum = np.fft.rfft(deviations, n_padded, axis=1)
    correlation = np.fft.irfft((spectrum * spectrum.conj()).real, n_padded, axis=1)[:, :n_draws].sum(axis=0)
    return correlation / correlation[0]


def integrated_time(series: np.ndarray) -> float:
    """The integrated autocorrelation time tau = 1 + 2 sum_{t=1}^{M} rho(t), in units of the distance between draws.

    The sum stops at the smallest window M >= 5 tau(M) (Sokal). The variance of a mean over N draws is tau times that
    over N independent draws.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)

    Returns
    -------
    float
        About 1 for independent draws; NaN where the series is constant.

    Raises
    ------
    InputError
        If the shape does not fit or a value is NaN or infinite.

    References
    ----------
    Sokal (1997), section 3; Goodman & Weare, Commun. App. Math. Comp. Sci. 5, 65 (2010).

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
    rho = autocorrelation(series)
    if np.isnan(rho[0]):
        return float("nan")
    times = 2.0 * np.cumsum(rho) - 1.0
    wide_enough = np.arange(len(times)) >= WINDOW * times
    window = int(np.argmax(wide_enough)) if wide_enough.any() else len(times) - 1
    return float(times[window])


def mean(series: np.ndarray) -> Estimate:
    """The mean of a Markov chain average with the error that follows from its autocorrelation time.

    error^2 = var * tau / N over all N draws of all chains. For chains that hardly move, tau grows to the length of a
    chain and the error becomes that of the means of independent chains: right, if they started independently.

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
        If the draws are worth fewer than 20 independent ones; the error may then be too small.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> estimate = stats.mean(np.random.default_rng(1).normal(size=(4, 2500)))
    >>> abs(estimate.value) < 4 * estimate.error, round(estimate.error, 2)
    (True, 0.01)
    """
    chains = _chains(series)
    if chains.size < 2:
        raise InputError("a single number has no error bar; give at least two draws")
    value = float(chains.mean())
    if _is_constant(chains):
        return Estimate(value, 0.0, float("nan"), float("nan"))
    n_draws = chains.shape[1]
    time = integrated_time(chains) if n_draws > 1 else 1.0
    if time <= 0:  # alternating series: noise can carry the sum below 0, where it says nothing
        time = 1.0
    size = chains.size / time
    if size < SMALLEST_SAMPLE:
        warnings.warn(
            f"{chains.size} draws with an autocorrelation time of {time:.3g} draws are worth only {size:.3g} "
            f"independent ones, fewer than {SMALLEST_SAMPLE:g}: the error bar is uncertain; draw more, thin more, "
            "or run more chains",
            StatisticsWarning,
            stacklevel=2,
        )
    return Estimate(value, math.sqrt(float(chains.var(ddof=1)) / size), time, size)


def _chains(series: np.ndarray) -> np.ndarray:
    chains = np.atleast_2d(checks.finite_array("series", series).astype(np.float64))
    if chains.ndim != 2 or chains.size == 0:
        raise InputError(f"series has shape {np.shape(series)}; its shape must be (n_draws,) or (n_chains, n_draws)")
    return chains


def _is_constant(chains: np.ndarray) -> bool:
    return bool(np.ptp(chains) <= 1e-14 * np.abs(chains).max())
