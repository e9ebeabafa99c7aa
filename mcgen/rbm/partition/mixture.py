"""The equations of MBAR: all draws of all rungs taken as draws of one mixture.

With M draws of each of the rungs k = 0 ... K - 1, all of them together are draws of m(v) = sum_k M f_k(v) / Z_k. That
the mixture contains each f_k, sum_n f_k(v_n) / m(v_n) = Z_k over all draws n, fixes the Z_k up to a common factor. For
two rungs it is the equation of the acceptance ratio.

References
----------
Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008). Vardi, Ann. Statist. 13, 178 (1985). Kong, McCullagh, Meng, Nicolae
& Tan, J. R. Statist. Soc. B 65, 585 (2003): the likelihood whose maximum it is.
"""

import numpy as np
from scipy.special import logsumexp

from mcgen import mixtures
from mcgen.errors import InputError


def solve(energies: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log Z_k - log Z_0 of all rungs, and how much each draw moved them.

    The minimum of the convex G = sum_n log m(v_n) + M sum_k log Z_k, whose derivatives are the equations (see
    `mcgen.mixtures`).

    Parameters
    ----------
    energies : float64, shape (n_rungs, n_rungs, n_draws)
        F_k(v) = -log f_k(v) under rung k of the draws of each rung, as many of each.
    start : float64, shape (n_rungs,)
        A first guess of log Z_k.

    Returns
    -------
    log_partitions : float64, shape (n_rungs,)
        The first is 0.
    influences : float64, shape (n_rungs, n_draws)
        How much each draw of each rung moved the last of them, to first order.

    Raises
    ------
    InputError
        If the rungs do not overlap enough to fix the ratios.

    References
    ----------
    Shirts & Chodera (2008), eq. 11 and appendix C.

    Examples
    --------
    Two rungs with f_0 = 1 and f_1 = 3 everywhere:

    >>> import numpy as np
    >>> from mcgen.rbm.partition import mixture
    >>> energies = np.stack([np.zeros((2, 5)), np.full((2, 5), -np.log(3.0))])
    >>> np.exp(mixture.solve(energies, np.zeros(2))[0]).round(12).tolist()
    [1.0, 3.0]
    """
    n_rungs, _, n_draws = energies.shape
    energies = energies.reshape(n_rungs, -1)

    def at(logs: np.ndarray) -> mixtures.Point:
        objective, shares = _mixture(energies, logs, n_draws)
        return objective, n_draws - shares.sum(axis=1), shares

    def newton_step(shares: np.ndarray, downhill: np.ndarray) -> np.ndarray:
        return np.linalg.solve(_curvature(shares)[1:, 1:], downhill)

    logs, shares = mixtures.minimum(start - start[0], at, newton_step, energies.shape[1])
    curvature = _curvature(shares)[1:, 1:]
    # The last row of the inverse: how the last log Z answers to a change of each equation.
    answer = np.append(0.0, np.linalg.solve(curvature, np.eye(n_rungs - 1)[-1]))
    influences = np.tensordot(answer, shares.reshape(n_rungs, n_rungs, n_draws), axes=1) - answer[:, None]
    return logs, influences


def _mixture(energies: np.ndarray, logs: np.ndarray, n_draws: int) -> tuple[float, np.ndarray]:
    """G, and the share of each rung in the mixture at each draw, shape (n_rungs, n)."""
    terms = -energies - logs[:, None]
    log_mixture = logsumexp(terms, axis=0)
    terms -= log_mixture
    return float(log_mixture.sum() + n_draws * logs.sum()), np.exp(terms, out=terms)


def _curvature(shares: np.ndarray) -> np.ndarray:
    """The second derivatives of G: off the diagonal, minus the number of draws that two rungs share."""
    matrix = -shares @ shares.T
    # The sums of its rows are 0: without the rungs next to it, the diagonal of a lonely rung would be lost in rounding.
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    if len(matrix) > 1 and np.diag(matrix).min() < 1e-6:
        k = int(np.argmin(np.diag(matrix)))
        raise InputError(
            f"the draws of rung {k} of the ladder look like those of no other ({np.diag(matrix)[k]:.1e} of them are "
            "shared), so that the ratio of their partition functions is not known; raise n_temperatures"
        )
    return matrix
