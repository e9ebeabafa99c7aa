"""Memory of arrays: where they begin, and where it goes when they are gone."""

import ctypes
import functools
import os

import numpy as np

CACHE_LINE = 64
# Of glibc's mallopt: the free bytes at the end of the heap, and the bytes of an array, from which on memory goes back
# to the system at once (malloc.h; the latter can be no larger).
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_BYTES, KEPT_ARRAY_BYTES = 128 << 20, 32 << 20
OWN_CHOICES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


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


@functools.cache
def keep_freed() -> None:
    """Have the C library keep up to 128 MB of freed memory, instead of giving it back to the system at once.

    Kernels need working memory of some megabytes at every call. To get it from the system anew, page by page, took a
    third of the time of a step of training. Only glibc is known to do so; who has set its limits in the environment is
    left alone.
    """
    if _is_glibc() and not any(name in os.environ for name in OWN_CHOICES):
        library = ctypes.CDLL(None)
        library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(MMAP_THRESHOLD, KEPT_ARRAY_BYTES)


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # no such question on this system, or no answer
        return False
