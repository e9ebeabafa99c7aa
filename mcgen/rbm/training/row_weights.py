"""How much each row of data counts, and which rows are distinct."""

import numpy as np

from mcgen import checks
from mcgen.errors import InputError


def checked_weights(row_weights: np.ndarray | None, n_rows: int) -> np.ndarray:
    """The weights of rows, divided by their sum; without any, all rows count alike.

    Parameters
    ----------
    row_weights : array, shape (n_rows,), optional
    n_rows : int

    Returns
    -------
    float64, shape (n_rows,)

    Raises
    ------
    InputError
        If the shape does not fit, a weight is negative, NaN or infinite, or all are 0.

    Examples
    --------
    >>> from mcgen.rbm.training.row_weights import checked_weights
    >>> checked_weights([1, 3], 2).tolist(), checked_weights(None, 2).tolist()
    ([0.25, 0.75], [0.5, 0.5])
    """
    if row_weights is None:
        return np.full(n_rows, 1.0 / n_rows)
    weights = checks.finite_array("row_weights", row_weights, (n_rows,)).astype(np.float64)
    if weights.min() < 0 or weights.sum() <= 0:
        raise InputError(
            f"row_weights lie between {weights.min()} and {weights.max()}; give numbers of at least 0 that are not all "
            "0"
        )
    return weights / weights.sum()


def distinct_rows(v: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows that have a weight, and the sums of their weights.

    Parameters
    ----------
    v : array, shape (n_rows, n_visible)
    weights : float64, shape (n_rows,)
        Not negative.

    Returns
    -------
    rows : array, shape (n_distinct, n_visible)
    weights : float64, shape (n_distinct,)

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.training.row_weights import distinct_rows
    >>> rows, weights = distinct_rows(np.array([[1, 0], [0, 1], [1, 0]]), np.array([0.25, 0.5, 0.25]))
    >>> rows.tolist(), weights.tolist()
    ([[0, 1], [1, 0]], [0.5, 0.5])
    """
    rows, which = np.unique(v, axis=0, return_inverse=True)
    weights = np.bincount(which.ravel(), weights)
    there = weights > 0
    return rows[there], weights[there]
