"""Matrix products whose last bits do not depend on the number of BLAS threads."""

import functools
from contextlib import AbstractContextManager

import threadpoolctl


@functools.cache
def _controller() -> threadpoolctl.ThreadpoolController:
    # Looking for the libraries of the process takes milliseconds; they do not change once NumPy and SciPy are loaded.
    return threadpoolctl.ThreadpoolController()


def one_thread() -> AbstractContextManager:
    """A context in which BLAS uses one thread.

    The rounding of a product depends on how many threads share it, so results that must be the same for any number of
    threads take their (small) products here; the large loops are kernels with a fixed order of sums.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import blas
    >>> with blas.one_thread():
    ...     product = np.eye(2) @ np.eye(2)
    """
    return _controller().limit(limits=1, user_api="blas")
