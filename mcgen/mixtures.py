"""The minimum of the convex functions whose stationary points are the logarithms of partition functions.

Draws of several distributions f_k / Z_k, taken as draws of one mixture sum_k M_k f_k / Z_k, fix the Z_k up to a common
factor: F = sum_n log m(x_n) + sum_k M_k log Z_k is convex in the log Z_k, and its derivatives M_k - sum_n P_nk, with
P_nk the share of k in the mixture at draw n, vanish where the mixture contains each f_k.

References
----------
Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008), eq. 11 and appendix C. Nocedal & Wright, Numerical Optimization
(2006), section 3.1: step halving.
"""

from collections.abc import Callable

import numpy as np

# The equations hold to this fraction of the draws: far below their noise, above the rounding of sums over millions.
TOLERANCE = 1e-11
MOST_STEPS, MOST_HALVINGS = 200, 60

Point = tuple[float, np.ndarray, np.ndarray]


def minimum(
    logs: np.ndarray,
    at: Callable[[np.ndarray], Point],
    newton_step: Callable[[np.ndarray, np.ndarray], np.ndarray],
    n_draws: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The log Z_k at which F is smallest, by Newton's method with step halving; the first stays as it is.

    Parameters
    ----------
    logs : float64, shape (n,)
        Where to start.
    at : function
        Of log Z_k, gives F, its derivatives (n,), and the shares P.
    newton_step : function
        Of the shares and of minus the derivatives but for the first, (n - 1,), gives the step of all but the first.
    n_draws : float
        Of all distributions together.

    Returns
    -------
    logs : float64, shape (n,)
    shares
        P there.

    Examples
    --------
    One draw of f_0 = 1 and one of f_1 = 3, both everywhere:

    >>> import numpy as np
    >>> from mcgen import mixtures
    >>> def at(logs):
    ...     terms = np.log([1.0, 3.0]) - logs
    ...     shares = np.exp(terms - np.logaddexp(*terms))
    ...     return 2 * np.logaddexp(*terms) + logs.sum(), 1 - 2 * shares, shares
    >>> def newton_step(shares, downhill):
    ...     return downhill / (2 * shares[0] * shares[1])
    >>> np.exp(mixtures.minimum(np.zeros(2), at, newton_step, n_draws=2)[0]).round(12).tolist()
    [1.0, 3.0]
    """
    objective, gradient, shares = at(logs)
    for _ in range(MOST_STEPS):
        if np.abs(gradient).max() <= TOLERANCE * n_draws:
            break
        step = np.zeros(len(logs))
        step[1:] = newton_step(shares, -gradient[1:])
        old, slope = objective, gradient @ step
        for halving in range(MOST_HALVINGS):
            trial = logs + step * 0.5**halving
            objective, gradient, shares = at(trial)
            # Close to the minimum F changes by less than its rounding, which must not stop the last steps.
            if objective <= old + 1e-4 * 0.5**halving * slope + 1e-13 * abs(old):
                break
        logs = trial
    return logs, shares
