"""Bennett's acceptance ratio: the ratio of two partition functions from draws of both sides.

Draws of a density f_0 / Z_0 have the log weights w = log f_1 - log f_0, draws of f_1 / Z_1 the log weights of the other
way, w' = log f_0 - log f_1; or both are log weights of annealing runs, forward and in reverse. Each side alone gives
the ratio, <e^w>_0 = Z_1 / Z_0 and <e^{w'}>_1 = Z_0 / Z_1, and both averages hang on rare draws. Together they obey
p_1(-w' = x) = p_0(w = x) e^{x - D} with D = log Z_1 - log Z_0: a draw with the value x among all n_0 + n_1 comes from
side 1 with the probability sigmoid(x - D + log(n_1 / n_0)). The D of maximum likelihood is the root of

    sum_0 sigmoid(w - D + log(n_1 / n_0)) = sum_1 sigmoid(w' + D - log(n_1 / n_0)),

which is the estimate of the smallest variance from these numbers, and uses what lies between the two densities.

References
----------
Bennett, J. Comput. Phys. 22, 245 (1976). Shirts, Bair, Hooker & Pande, Phys. Rev. Lett. 91, 140601 (2003): maximum
likelihood, and log weights of runs. Crooks, Phys. Rev. E 60, 2721 (1999): forward and reverse.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy  # scipy.optimize takes a quarter of a second to load: with the first call
from scipy.special import expit

from mcgen import checks
from mcgen.errors import InputError
from mcgen.rbm.partition.weights import effective_number


class AcceptanceRatio(NamedTuple):
    """The solution of the acceptance-ratio equation.

    value : float
        log Z_1 - log Z_0.
    error : float
        One standard deviation; infinite where the two sides do not meet at all.
    overlap : float
        n sum sigmoid (1 - sigmoid) / (n_0 n_1) over all n draws: 1 for equal densities, 0 for those that never meet.
    effective_sample_size : float
        (sum s)^2 / sum s^2 of the terms s of the side where it is smaller: how many draws carry the estimate, were they
        independent.
    influences : tuple of two float64 arrays
        How much each forward and each reverse draw moved the value, to first order; each array adds up to 0.
    """

    value: float
    error: float
    overlap: float
    effective_sample_size: float
    influences: tuple[np.ndarray, np.ndarray]


def acceptance_ratio(forward: np.ndarray, reverse: np.ndarray) -> AcceptanceRatio:
    """log Z_1 - log Z_0 from log weights of draws of both sides, with its error.

    The error follows from the scatter of the terms of the equation, added up by chains: their draws need not be
    independent, and chains must be. To first order it is the jackknife over chains. It takes the forward chains to be
    independent of the reverse ones; where they are not, add up the influences of those that belong together.

    Parameters
    ----------
    forward : array, shape (n,) of independent values or (n_chains, n_draws)
        w = log f_1 - log f_0 of draws from f_0; <e^w> = Z_1 / Z_0.
    reverse : array, shape (n,) or (n_chains, n_draws)
        w' = log f_0 - log f_1 of draws from f_1; <e^{w'}> = Z_0 / Z_1.

    Returns
    -------
    AcceptanceRatio
        The value turns its sign when the arguments change places.

    Raises
    ------
    InputError
        If an array has other axes, fewer than two chains (or independent values), or NaN or infinite values.

    References
    ----------
    Bennett, J. Comput. Phys. 22, 245 (1976), eqs. 10 to 12.

    Examples
    --------
    Normal log weights of the variance 1: a mean of -1/2 on both sides belongs to equal partition functions.

    >>> import numpy as np
    >>> from mcgen.rbm.partition.acceptance import acceptance_ratio
    >>> random = np.random.default_rng(1)
    >>> found = acceptance_ratio(random.normal(2.5, 1, 10000), random.normal(-3.5, 1, 10000))
    >>> abs(found.value - 3) < 3 * found.error, round(found.error, 3), round(found.overlap, 1)
    (True, 0.007, 0.8)
    """
    forward, reverse = _by_chains("forward", forward), _by_chains("reverse", reverse)
    n_forward, n_reverse = forward.size, reverse.size
    shift = math.log(n_reverse / n_forward)

    def excess(difference: float) -> float:
        return float(expit(forward - difference + shift).sum() - expit(reverse + difference - shift).sum())

    low, high = min(forward.min(), -reverse.max()), max(forward.max(), -reverse.min())
    # At the lower end each draw of all is from side 1 with the probability n_1 / n or more: the excess is not negative.
    value = float(low) if low == high or excess(low) <= 0 else float(high) if excess(high) >= 0 else None
    if value is None:
        value = float(scipy.optimize.brentq(excess, low, high, xtol=1e-13 * max(1.0, abs(low), abs(high)), rtol=1e-14))
    terms = expit(forward - value + shift), expit(reverse + value - shift)
    curvature = sum(float((term * (1.0 - term)).sum()) for term in terms)
    if curvature == 0.0:  # the two sides are so far apart that the terms underflow
        nothing = tuple(np.full(term.shape, math.inf) for term in terms)
        return AcceptanceRatio(value, math.inf, 0.0, 0.0, nothing)
    influences = tuple(sign * (term - term.mean()) / curvature for sign, term in zip((1.0, -1.0), terms, strict=True))
    return AcceptanceRatio(
        value=value,
        error=math.hypot(*(scatter(moved.sum(axis=1)) for moved in influences)),
        overlap=curvature * (n_forward + n_reverse) / (n_forward * n_reverse),
        effective_sample_size=min(effective_number(term) for term in terms),
        influences=influences,
    )


def scatter(influences: np.ndarray) -> float:
    """The error of a number that independent chains have moved by these influences.

    Parameters
    ----------
    influences : float64, shape (n_chains,)

    Returns
    -------
    float
        sqrt(n / (n - 1) sum_c (I_c - mean)^2), the jackknife to first order.

    References
    ----------
    Efron, The Jackknife, the Bootstrap and Other Resampling Plans, SIAM (1982), chapter 6: the infinitesimal jackknife.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.partition.acceptance import scatter
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> round(scatter(x / 3), 6), round(float(x.std(ddof=1) / 3**0.5), 6)  # the error of a mean
    (0.881917, 0.881917)
    """
    n = len(influences)
    return math.sqrt(n / (n - 1) * float(((influences - influences.mean()) ** 2).sum()))


def _by_chains(name: str, log_weights: np.ndarray) -> np.ndarray:
    """Log weights as float64 (n_chains, n_draws); independent values are chains of one."""
    array = checks.finite_array(name, log_weights).astype(np.float64, copy=False)
    if array.ndim not in (1, 2) or array.size == 0:
        raise InputError(f"{name} has shape {array.shape}; give log weights of the shape (n,) or (n_chains, n_draws)")
    if len(array) < 2:
        raise InputError(f"{name} has {len(array)} chain, which has no scatter; give two or more")
    return array.reshape(len(array), -1)
