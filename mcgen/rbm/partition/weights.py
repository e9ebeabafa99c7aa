"""Weights of samples: the logarithm of their mean, with its error and a skewed interval, and draws by weight."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, stdtrit

from mcgen import checks
from mcgen.errors import InputError

# Outside, to each side, of an interval of 95 percent.
TAIL = 0.025


class LogMean(NamedTuple):
    """log of the mean of weights.

    value : float
        log (1/n) sum_i w_i.
    error : float
        One standard deviation.
    effective_sample_size : float
        (sum w)^2 / sum w^2.
    interval : (float, float)
        Of 95 percent.
    """

    value: float
    error: float
    effective_sample_size: float
    interval: tuple[float, float]


def effective_number(weights: np.ndarray) -> float:
    """(sum w)^2 / sum w^2: how many samples of equal weights have a mean of the same variance.

    Parameters
    ----------
    weights : array, shape (n,) or (n_chains, n_draws)
        Not negative, and not all 0.

    References
    ----------
    Kish, Survey Sampling (1965), section 8.2.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.partition.weights import effective_number
    >>> effective_number(np.array([1.0, 1.0, 0.0])), effective_number(np.array([3.0, 1.0]))
    (2.0, 1.6)
    """
    return float(weights.sum() ** 2 / (weights**2).sum())


def log_mean_exp(log_weights: np.ndarray, axis: int | None = None) -> np.ndarray:
    """log (1/n) sum_i e^x_i, without overflow.

    Parameters
    ----------
    log_weights : array
        x.
    axis : int, optional
        Along which the mean is; by default over all.

    Returns
    -------
    float64
        Of the shape that is left.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.partition.weights import log_mean_exp
    >>> float(log_mean_exp(np.array([1000.0, 1000.0])))
    1000.0
    """
    n = log_weights.size if axis is None else log_weights.shape[axis]
    return logsumexp(log_weights, axis=axis) - math.log(n)


def log_mean(log_weights: np.ndarray) -> LogMean:
    """log <w> from independent draws of log w, where w is not negative and may be very skewed.

    The value is the logarithm of the mean of w, never the mean of log w. The error is that of the mean divided by the
    mean. Means of skewed weights are not normally distributed: too large a value is rare and comes with a large error,
    too small a value is common and comes with a small one. The interval therefore is that of Student's t after Hall's
    transformation, which removes the skewness to the order 1/n; the degrees of freedom are the effective sample size
    less one. Its lower end is at least log(0.025) below the value, because for any weights the mean is 40 times too
    large with a probability of 1/40 at most (Markov's inequality).

    Parameters
    ----------
    log_weights : array, shape (n,)
        At least two.

    Returns
    -------
    LogMean
        The interval covers 93 to 95 percent for an effective sample size of 30 or more, whether the logarithms are
        normal, exponential or of two groups; the mean plus or minus 1.96 errors does so from a few hundred on.

    Raises
    ------
    InputError
        If there are fewer than two, or one is NaN or infinite.

    References
    ----------
    Hall, J. R. Stat. Soc. B 54, 221 (1992): removal of skewness by transformation.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.partition.weights import log_mean
    >>> result = log_mean(np.log([1.0, 2.0, 3.0, 2.0]))
    >>> round(result.value, 4), round(result.error, 4), round(result.effective_sample_size, 3)
    (0.6931, 0.2041, 3.556)
    """
    log_weights = checks.finite_array("log_weights", log_weights, (None,)).astype(np.float64)
    n = len(log_weights)
    if n < 2:
        raise InputError(f"log_weights has {n} value; two or more are needed to tell an error")
    value = float(log_mean_exp(log_weights))
    # In units of their mean, so that the mean is 1.
    weights = np.exp(log_weights - value)
    effective = float(n**2 / np.sum(weights**2))
    deviation = float(weights.std(ddof=1))
    if deviation == 0:
        return LogMean(value, 0.0, effective, (value, value))
    error = deviation / math.sqrt(n)
    skewness = float(np.mean((weights - 1) ** 3)) / deviation**3
    quantile = float(stdtrit(max(1.0, effective - 1), 1 - TAIL))
    low = 1 - deviation * _hall(quantile / math.sqrt(n), skewness, n)
    high = 1 - deviation * _hall(-quantile / math.sqrt(n), skewness, n)
    lowest = math.log(TAIL)
    ends = max(lowest, math.log(low)) if low > 0 else lowest, max(0.0, math.log(high))
    return LogMean(value, error, effective, (value + ends[0], value + ends[1]))


def _hall(t: float, skewness: float, n: int) -> float:
    """The x with x + g x^2 / 3 + g^2 x^3 / 27 + g / 6n = t: Hall (1992), eq. 2.4 without its error of order 1/n."""
    if abs(skewness) < 1e-6:
        return t
    return 3 * (math.cbrt(1 + skewness * (t - skewness / (6 * n))) - 1) / skewness


def resampled(weights: np.ndarray, shift: float) -> np.ndarray:
    """The places of as many samples, each as often as its weight says up to rounding: systematic resampling.

    Sample k is taken where its share of the weight covers one of n equally spaced points.

    Parameters
    ----------
    weights : array, shape (n,)
        Not negative, and not all 0.
    shift : float
        Of the points, uniform from 0 to 1.

    Returns
    -------
    int64, shape (n,)
        In increasing order.

    References
    ----------
    Kitagawa, J. Comput. Graph. Stat. 5, 1 (1996); Douc, Cappe & Moulines, ISPA (2005).

    Examples
    --------
    >>> from mcgen.rbm.partition.weights import resampled
    >>> resampled([1.0, 0.0, 2.0, 1.0], shift=0.5).tolist()
    [0, 2, 2, 3]
    """
    n = len(weights)
    reached = np.cumsum(weights)
    # The last point may lie beyond the rounded sum.
    return np.minimum(np.searchsorted(reached / reached[-1], (np.arange(n) + shift) / n), n - 1)
