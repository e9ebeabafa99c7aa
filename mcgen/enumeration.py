"""States of two-level units, listed, and their levels. A state's index has unit i as bit i; a bit of 1 is "up"."""

import numpy as np

from mcgen.errors import SizeError

# 2^24 states in float64 are 128 MiB for each quantity that is kept for every state.
MOST_LISTED_UNITS = 24
# Sums of the same couplings in another order differ by less than this part of the largest.
ROUNDING = 1e-9


def check_listable(n_units: int, what: str, remedy: str) -> None:
    """Raise `SizeError` if the 2**n_units states of `what` are too many to keep one number for each."""
    if n_units > MOST_LISTED_UNITS:
        raise SizeError(
            f"{what} has {n_units} two-level units, 2^{n_units} states; enumeration reaches {MOST_LISTED_UNITS} units "
            f"({2**MOST_LISTED_UNITS * 8 // 2**20} MiB for each quantity kept); {remedy}"
        )


def list_states(
    n_units: int, low: int, start: int = 0, stop: int | None = None, dtype: type = np.float64
) -> np.ndarray:
    """The states with index start ... stop-1, one a row.

    Parameters
    ----------
    n_units : int
        Number of units.
    low : {0, -1}
        The value that bit 0 stands for; bit 1 stands for 1.
    start, stop : int
        Range of indices; by default all 2**n_units.
    dtype : numpy dtype
        Of the result.

    Returns
    -------
    ndarray, shape (stop - start, n_units)

    Examples
    --------
    >>> from mcgen import enumeration
    >>> enumeration.list_states(2, low=-1, dtype=int).tolist()
    [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    """
    stop = 1 << n_units if stop is None else stop
    bits = (np.arange(start, stop, dtype=np.int64)[:, None] >> np.arange(n_units)) & 1
    return (low + (1 - low) * bits).astype(dtype)


def state_index(states: np.ndarray) -> np.ndarray:
    """The index of each row of states; a unit counts as up where it is positive.

    Parameters
    ----------
    states : array, shape (..., n_units)

    Returns
    -------
    ndarray of int64, shape (...)

    Examples
    --------
    >>> from mcgen import enumeration
    >>> enumeration.state_index([[-1, 1, 1], [1, -1, -1]]).tolist()
    [6, 1]
    """
    bits = np.asarray(states) > 0
    return bits @ (np.int64(1) << np.arange(bits.shape[-1], dtype=np.int64))


def empirical_distribution(states: np.ndarray) -> np.ndarray:
    """The fraction of rows that are in each state, by state index.

    Parameters
    ----------
    states : array, shape (..., n_units)

    Returns
    -------
    ndarray of float64, shape (2**n_units,)

    Raises
    ------
    SizeError
        If there are more than 24 units.

    Examples
    --------
    >>> from mcgen import enumeration
    >>> enumeration.empirical_distribution([[0, 1], [0, 1], [1, 1], [0, 0]]).tolist()
    [0.25, 0.0, 0.5, 0.25]
    """
    states = np.asarray(states)
    check_listable(states.shape[-1], "the data", "compare moments and observables instead")
    index = state_index(states).ravel()
    return np.bincount(index, minlength=1 << states.shape[-1]) / index.size


def level_starts(increasing: np.ndarray) -> np.ndarray:
    """Whether each of some increasing values is the first of a level: values equal up to rounding are one level.

    Parameters
    ----------
    increasing : array, shape (n_values,)
        At least one value.

    Returns
    -------
    ndarray of bool, shape (n_values,)
        False where a value is closer to the one before than 1e-9 of the largest magnitude.

    Examples
    --------
    >>> from mcgen import enumeration
    >>> enumeration.level_starts([0.1, 0.3, 0.1 + 0.2, 0.4]).tolist()
    [True, True, False, True]
    """
    increasing = np.asarray(increasing)
    return np.diff(increasing, prepend=-np.inf) > ROUNDING * np.abs(increasing).max()


def entropy(probabilities: np.ndarray) -> float:
    """-sum_x p(x) log p(x), in nats, with 0 log 0 = 0.

    Parameters
    ----------
    probabilities : array
        p.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import enumeration
    >>> round(enumeration.entropy(np.array([0.5, 0.5, 0.0])), 6)
    0.693147
    """
    p = probabilities[probabilities > 0]
    return float(-np.sum(p * np.log(p)))


def kl_divergence(probabilities: np.ndarray, log_probabilities: np.ndarray) -> float:
    """KL(p || q) = sum_x p(x) [log p(x) - log q(x)], in nats, with 0 log 0 = 0.

    Parameters
    ----------
    probabilities : array
        p; where it is 0 the state adds nothing.
    log_probabilities : array of the same shape
        log q.

    Returns
    -------
    float

    References
    ----------
    Kullback & Leibler, Ann. Math. Stat. 22, 79 (1951); Hjorth-Jensen (2025), section "Kullback-Leibler divergence and
    RBMs".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import enumeration
    >>> round(enumeration.kl_divergence(np.array([1.0, 0.0]), np.log([0.5, 0.5])), 6)
    0.693147
    """
    probabilities = np.asarray(probabilities, np.float64)
    there = probabilities > 0
    return float(np.sum(probabilities[there] * (np.log(probabilities[there]) - np.asarray(log_probabilities)[there])))
