"""The equations of multi-histogram reweighting, solved for the partition functions of the runs.

Draws of runs at inverse temperatures b_k, M_k of them, are draws from the mixture with the density
m(E) = sum_k M_k e^{-b_k E} / Z_k. Its consistency with each run, sum_n e^{-b_k E_n} / m(E_n) = Z_k over all draws n,
fixes the Z_k up to a common factor. Ferrenberg & Swendsen, Phys. Rev. Lett. 63, 1195 (1989), there for histograms;
Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008), eq. 11, there without (MBAR).
"""

import numpy as np
from scipy.special import logsumexp

from mcgen import mixtures


def mixture(
    levels: np.ndarray, sizes: np.ndarray, betas: np.ndarray, log_partitions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The density of all runs together at each energy, and the share that each run has in it.

    Parameters
    ----------
    levels : float64, shape (n_levels,)
        Energies.
    sizes, betas, log_partitions : float64, shape (n_runs,)
        M_k, 1 / T_k and ln Z_k.

    Returns
    -------
    log_mixture : float64, shape (n_levels,)
        ln m(E), m(E) = sum_k M_k e^{-b_k E} / Z_k.
    shares : float64, shape (n_levels, n_runs)
        M_k e^{-b_k E} / Z_k / m(E): they add up to 1 over the runs.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.reweighting import equations
    >>> one = np.ones(2)
    >>> equations.mixture(np.array([0.0]), one, one, np.log([2.0, 6.0]))[1].round(12).tolist()
    [[0.75, 0.25]]
    """
    terms = np.log(sizes) - log_partitions - np.multiply.outer(levels, betas)
    log_mixture = logsumexp(terms, axis=1)
    return log_mixture, np.exp(terms - log_mixture[:, None])


def solve(
    levels: np.ndarray, weights: np.ndarray, sizes: np.ndarray, betas: np.ndarray, means: np.ndarray
) -> np.ndarray:
    """ln Z of each run relative to the first: the minimum of F = sum_l w_l ln m(E_l) + sum_k M_k ln Z_k.

    F is convex and its derivatives are the equations above. Newton's method with step halving, from the integral of the
    mean energies over the inverse temperature, d ln Z / db = -<E>.

    Parameters
    ----------
    levels : float64, shape (n_levels,)
        Energies.
    weights : float64, shape (n_levels,)
        How many draws have each; they add up to those of all runs.
    sizes : float64, shape (n_runs,)
        M_k, how many draws each run has.
    betas, means : float64, shape (n_runs,)
        1 / T_k and the mean energy of each run.

    Returns
    -------
    float64, shape (n_runs,)
        The first is 0. Where runs do not overlap, the equations say nothing, and neither does the result.

    References
    ----------
    Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008), appendix C.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.reweighting import equations
    >>> levels, betas = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    >>> exact = np.log([2.0, 1 + np.exp(-1.0)])
    >>> weights = 500 * (np.exp(-np.outer(levels, betas)) / np.exp(exact)).sum(axis=1)
    >>> means = np.array([0.5, 1 / (1 + np.e)])
    >>> logs = equations.solve(levels, weights, np.array([500.0, 500.0]), betas, means)
    >>> bool(np.allclose(logs, exact - exact[0], rtol=1e-10))
    True
    """
    # Energies from their middle keep the terms of F small, against its rounding. Z_k becomes Z_k e^{b_k middle}.
    middle = means.mean()
    levels = levels - middle
    logs = _integrated(betas, means - middle)

    def at(logs: np.ndarray) -> mixtures.Point:
        log_mixture, shares = mixture(levels, sizes, betas, logs)
        return weights @ log_mixture + sizes @ logs, sizes - weights @ shares, shares

    def newton_step(shares: np.ndarray, downhill: np.ndarray) -> np.ndarray:
        # Without overlap the matrix is singular; least squares then leave the ratio in question as it is.
        return np.linalg.lstsq(curvature(weights, shares)[1:, 1:], downhill, rcond=None)[0]

    logs, _ = mixtures.minimum(logs, at, newton_step, sizes.sum())
    return logs - (betas - betas[0]) * middle


def curvature(weights: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The second derivatives of F, shape (n_runs, n_runs): diag(sum_l w_l P_lk) - sum_l w_l P_lk P_lj, P the shares.

    Off the diagonal, minus the number of draws that two runs share.
    """
    return np.diag(weights @ shares) - (shares * weights[:, None]).T @ shares


def _integrated(betas: np.ndarray, means: np.ndarray) -> np.ndarray:
    """ln Z of each run by the trapezoidal rule for the mean energies."""
    order = np.argsort(betas)
    areas = np.diff(betas[order]) * (means[order][1:] + means[order][:-1]) / 2
    logs = np.empty(len(betas))
    logs[order] = -np.concatenate([[0.0], np.cumsum(areas)])
    return logs - logs[0]
