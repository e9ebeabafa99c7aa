"""Arrays that begin where the processor likes them to."""

import numpy as np

CACHE_LINE = 64


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """An uninitialised float64 array that starts at a cache line, so that no load of a vector crosses two.

    Examples
    --------
    >>> from mcgen.memory import aligned
    >>> aligned((2, 3)).ctypes.data % 64
    0
    """
    size = int(np.prod(shape))
    memory = np.empty(size + CACHE_LINE // 8)
    start = (-memory.ctypes.data % CACHE_LINE) // 8
    return memory[start : start + size].reshape(shape)
