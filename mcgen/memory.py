"""Arrays that begin where the processor likes them to."""

import numpy as np

CACHE_LINE = 64


def aligned(shape: tuple[int, ...], dtype: np.dtype = np.float64) -> np.ndarray:
    """An uninitialised array that starts at a cache line, so that no load of a vector crosses two.

    Examples
    --------
    >>> from mcgen.memory import aligned
    >>> aligned((2, 3)).ctypes.data % 64
    0
    """
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    memory = np.empty(size + CACHE_LINE // dtype.itemsize, dtype)
    start = (-memory.ctypes.data % CACHE_LINE) // dtype.itemsize
    return memory[start : start + size].reshape(shape)
