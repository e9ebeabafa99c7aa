"""The transition matrices of small models, and the autocorrelation times that they imply, to hold sampling against.

States are numbered as by `enumeration.list_states`.
"""

import warnings

import numpy as np
from scipy.linalg import LinAlgWarning, solve
from scipy.special import softmax

from mcgen import enumeration, rbm
from mcgen.errors import SizeError

# The matrices have 4^12 elements then, 134 MB each.
MOST_UNITS = 12


def check_units(*numbers: int) -> None:
    """Raise `SizeError` if a layer of so many units has too many states for a matrix."""
    if max(numbers) > MOST_UNITS:
        raise SizeError(
            f"{max(numbers)} units have {2 ** max(numbers)} states, and a transition matrix takes "
            f"{8 * 4 ** max(numbers) / 1e9:.3g} GB; give at most {MOST_UNITS}"
        )


def gibbs(model: rbm.RBM) -> np.ndarray:
    """P(v -> v') = sum_h p(h | v) p(v' | h) of a block Gibbs sweep of a spin RBM, shape (n_states, n_states)."""
    check_units(*model.weights.shape)
    v, h = (enumeration.list_states(n, -1).astype(float) for n in model.weights.shape)
    log_weights = v @ model.weights @ h.T + (v @ model.visible_bias)[:, None] + h @ model.hidden_bias
    return softmax(log_weights, axis=1) @ softmax(log_weights, axis=0).T


def metropolis(model: rbm.RBM) -> np.ndarray:
    """The same of n_visible proposals, each to flip a random visible spin on p(v)."""
    n = model.n_visible
    check_units(n)
    log_p = -model.free_energy(enumeration.list_states(n, -1))
    states = np.arange(len(log_p))
    one = np.zeros((len(states), len(states)))
    for unit in range(n):
        other = states ^ (1 << unit)  # any numbering by bits: each bit is a unit
        one[states, other] += np.minimum(1.0, np.exp(np.minimum(0.0, log_p[other] - log_p))) / n
    one[states, states] = 1.0 - one.sum(axis=1)
    return np.linalg.matrix_power(one, n)


def integrated_times(matrix: np.ndarray, probabilities: np.ndarray, observables: np.ndarray) -> np.ndarray:
    """The integrated autocorrelation times 1 + 2 sum_t rho(t), in sweeps, of observables (n_observables, n_states).

    sum_{t >= 0} P^t f = (1 - P + 1 p^T)^-1 f for an f of mean 0. Infinite where float64 cannot tell P from a matrix
    that never leaves a part of the states: beyond some 1e14 sweeps.

    Examples
    --------
    >>> import numpy as np
    >>> from rbm_parts.transitions import integrated_times
    >>> flips = np.array([[0.9, 0.1], [0.1, 0.9]])  # rho(t) = 0.8^t
    >>> integrated_times(flips, np.array([0.5, 0.5]), np.array([[1.0, -1.0]])).round(9).tolist()
    [9.0]
    """
    f = (observables - (observables @ probabilities)[:, None]).T
    with warnings.catch_warnings():
        warnings.simplefilter("error", LinAlgWarning)
        try:
            sums = solve(np.eye(len(matrix)) - matrix + probabilities, f)
        except LinAlgWarning:
            return np.full(len(observables), np.inf)
    return 2 * (probabilities @ (f * sums)) / (probabilities @ (f * f)) - 1
