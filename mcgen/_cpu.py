"""The CPU target: how kernels are compiled and launched. The twin of `_cuda.py`."""

import importlib
from collections.abc import Callable
from types import ModuleType

import numba
import numpy as np

from mcgen import blas
from mcgen._compile import Formulas, sources_digest

DIGEST = sources_digest()

# error_model="numpy": division by zero gives an infinity instead of a branch and a Python exception in every loop.
# "contract": a * b + c may be one fused multiply-add, as on CUDA. No other licence with floating point is given, but
# for formulas marked `reorder`, which are sums whose order may change ("reassoc").
# Nobody calls kernels or their parts from C: a tenth of their compilation would go into what that takes.
OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}, "no_cfunc_wrapper": True}
REORDER = OPTIONS | {"fastmath": {"contract", "reassoc"}}


def _compile_formula(function: Callable) -> Callable:
    # Inlined whatever its size: a loop that contains a call (ten rounds of Philox, say) is never vectorised.
    return numba.njit(forceinline=True, **(REORDER if getattr(function, "reorder", False) else OPTIONS))(function)


# Words of bits that kernels work on.
BITS_DTYPE = np.uint64

formulas = Formulas(_compile_formula)


def kernel(function: Callable) -> Callable:
    """Compile `function` as a parallel kernel, when it is first called, and cache the result on disk."""
    function.__qualname__ += "-" + DIGEST
    return numba.njit(parallel=True, cache=True, nogil=True, **OPTIONS)(function)


def blas_kernel(function: Callable) -> Callable:
    """Compile `function` as a parallel kernel whose threads take matrix products of their own.

    While it runs BLAS uses one thread, so that products neither fight over the cores nor round as the number of threads
    would have it.
    """
    compiled = kernel(function)
    compiled.uses_blas = True
    return compiled


def helper(function: Callable) -> Callable:
    """Compile a part of a kernel that only this target has."""
    return numba.njit(**OPTIONS)(function)


def inlined(function: Callable) -> Callable:
    """Compile a part of a kernel that is copied into its callers, as formulas are: it may take vectors of lanes."""
    return numba.njit(forceinline=True, **OPTIONS)(function)


def reordering_helper(function: Callable) -> Callable:
    """Compile a part of a kernel whose sums may change their order, so that loops over them are vectorised."""
    return numba.njit(**REORDER)(function)


def kernels(room: str) -> ModuleType:
    """The CPU kernels of a room ("rng", "ising", "rbm")."""
    return importlib.import_module(f"mcgen.{room}.cpu")


def require() -> None:
    """A CPU is always there."""


def describe() -> str:
    """One line on the processor threads that kernels use."""
    return f"cpu, {numba.get_num_threads()} threads"


def to_device(array: np.ndarray) -> np.ndarray:
    """The array where kernels of this target can reach it: C-contiguous, and writable.

    A read-only array is copied: Numba would compile every kernel again for it.
    """
    return np.require(array, requirements=("C", "W"))


def to_host(array: np.ndarray) -> np.ndarray:
    """The array as a NumPy array, after all kernels before it have finished."""
    return array


def launch(kernel: Callable, n_items: int, width: int, *arguments: object) -> None:
    """Run a kernel over `n_items` pieces of work. The kernel shares them out among threads; `width` is for CUDA."""
    if getattr(kernel, "uses_blas", False):
        with blas.one_thread():
            kernel(*arguments)
    else:
        kernel(*arguments)
