"""Whether several chains, and the halves of each, tell the same."""

import math

import numpy as np
from scipy.special import ndtri

from mcgen.stats.series import as_chains

# Normal scores are of the order of 1; a variance below this is rounding.
ROUNDING = 1e-24


def split_r_hat(series: np.ndarray) -> float:
    """The rank-normalised split R-hat: how much wider all draws together are than the halves of the chains are.

    R-hat^2 = (n - 1)/n + B/(n W) for half chains of n draws, where W is the mean of their variances and B/n the
    variance of their means, taken of the normal scores z = Phi^{-1}((r - 3/8) / (N + 1/4)) of the ranks r of all N
    draws; and the same for the distances from the median, which notices chains of different width. The larger of the
    two is returned.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)
        At least 4 draws in a chain. Of an odd number the middle draw is left out.

    Returns
    -------
    float
        1 to within noise where all chains have reached the same distribution; above 1.01 they have not. NaN where
        nothing varies, infinite where chains differ that do not move.

    Raises
    ------
    InputError
        If the shape does not fit, a value is NaN or infinite, or the chains are too short.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter & Buerkner, Bayesian Analysis 16, 667 (2021), eqs. 3, 4 and 14.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> chains = np.random.default_rng(1).normal(size=(4, 1000))
    >>> round(stats.split_r_hat(chains), 2), round(stats.split_r_hat(chains + [[0], [0], [0], [2]]), 2)
    (1.0, 1.31)
    """
    chains = as_chains(series, minimum_draws=4)
    half = chains.shape[1] // 2
    halves = np.concatenate([chains[:, :half], chains[:, -half:]])
    return float(np.fmax(_r_hat(halves), _r_hat(np.abs(halves - np.median(halves)))))


def _r_hat(chains: np.ndarray) -> float:
    scores = _normal_scores(chains)
    n_draws = scores.shape[1]
    within = scores.var(axis=1, ddof=1).mean()
    between = scores.mean(axis=1).var(ddof=1)
    if within < ROUNDING:
        return math.inf if between > ROUNDING else math.nan
    return math.sqrt((n_draws - 1) / n_draws + between / within)


def _normal_scores(chains: np.ndarray) -> np.ndarray:
    """The normal quantiles of the ranks; equal values share their mean rank."""
    _, places, counts = np.unique(chains, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return ndtri((ranks - 0.375) / (chains.size + 0.25))[places].reshape(chains.shape)
