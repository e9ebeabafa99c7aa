"""Matrix products of many rows whose last bits depend on nothing but the row."""

import numpy as np

from mcgen import blas

# The rounding of a product depends on the shapes and on the number of threads: one shape, and one thread.
ROWS = 256


def rows_times(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Rows @ matrix, a block of 256 rows at a time.

    Parameters
    ----------
    rows : float64 (n_rows, n)
    matrix : float64 (n, m)

    Returns
    -------
    float64 (n_rows, m)
        A row is the same to the last bit however many others there are.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.exact.products import rows_times
    >>> rows_times(np.ones((2, 3)), np.ones((3, 1))).tolist()
    [[3.0], [3.0]]
    """
    result = np.empty((len(rows), matrix.shape[1]))
    block = np.zeros((ROWS, rows.shape[1]))
    with blas.one_thread():
        for first in range(0, len(rows), ROWS):
            part = rows[first : first + ROWS]
            block[: len(part)] = part
            result[first : first + ROWS] = (block @ matrix)[: len(part)]
    return result
