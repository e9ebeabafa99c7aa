"""The CUDA target: how kernels are compiled and launched. The twin of `_cpu.py`.

This is the only file that imports a CUDA package. `numba.cuda` is provided by the package numba-cuda where that is
installed, otherwise by numba itself (deprecated there). With the environment variable NUMBA_ENABLE_CUDASIM=1 set before
the start of Python, kernels run in Numba's simulator: plain Python, for tests on tiny systems.
"""

import importlib
import warnings
from collections.abc import Callable
from types import ModuleType

import numpy as np

from mcgen._compile import Formulas
from mcgen.errors import DeviceError

with warnings.catch_warnings():
    # numba announces the deprecation of its own CUDA target; `require` tells what to install instead.
    warnings.simplefilter("ignore")
    import numba
    from numba import cuda

SIMULATOR = bool(numba.config.ENABLE_CUDASIM)

# Blocks of 64 chains keep the card's multiprocessors evenly filled when there are few chains; the simulator starts a
# Python thread for each lane and wants small blocks.
LANES_PER_BLOCK = 4 if SIMULATOR else 64
WIDEST_BLOCK = 4 if SIMULATOR else 256

HOW_TO_INSTALL = (
    "install a driver for an NVIDIA GPU and the CUDA extra (pip install 'mcgen[cuda]'), or use device='cpu', or set "
    "NUMBA_ENABLE_CUDASIM=1 before starting Python to run tiny systems in the simulator"
)

# Words of bits that kernels work on.
BITS_DTYPE = np.uint32

formulas = Formulas(cuda.jit(device=True))


def helper(function: Callable) -> Callable:
    """Compile a part of a kernel that only this target has."""
    return cuda.jit(device=True)(function)


def kernel(function: Callable) -> Callable:
    """Compile `function` as a kernel with one lane for each piece of work."""
    compiled = cuda.jit(function)
    compiled.block_for_each_item = False
    return compiled


def block_kernel(function: Callable) -> Callable:
    """Compile `function` as a kernel with one block of lanes for each piece of work."""
    compiled = cuda.jit(function)
    compiled.block_for_each_item = True
    return compiled


def kernels(room: str) -> ModuleType:
    """The CUDA kernels of a room ("rng", "ising", "rbm")."""
    return importlib.import_module(f"mcgen.{room}.cuda")


def require() -> None:
    """Raise `DeviceError` unless kernels can run here, on a GPU or in the simulator."""
    if SIMULATOR:
        return
    try:
        available = cuda.is_available()
    except Exception as error:  # a broken driver can fail in many ways
        raise DeviceError(f"device='cuda': the CUDA driver failed ({error}); {HOW_TO_INSTALL}") from error
    if not available:
        raise DeviceError(f"device='cuda': no usable NVIDIA GPU was found; {HOW_TO_INSTALL}")


def describe() -> str:
    """One line on the GPU that kernels use."""
    if SIMULATOR:
        return "cuda, simulated on the CPU (NUMBA_ENABLE_CUDASIM=1)"
    require()
    name = cuda.get_current_device().name
    return f"cuda, {name.decode() if isinstance(name, bytes) else name}"


def to_device(array: np.ndarray) -> object:
    """A copy of the array in the memory of the device, C-contiguous."""
    return cuda.to_device(np.ascontiguousarray(array))


def to_host(array: object) -> np.ndarray:
    """The array as a NumPy array, after all kernels before it have finished."""
    return array.copy_to_host()


def launch(kernel: Callable, n_items: int, width: int, *arguments: object) -> None:
    """Run a kernel over `n_items` pieces of work, each of which can use up to `width` lanes."""
    if kernel.block_for_each_item:
        lanes = min(WIDEST_BLOCK, max(1, -(-width // 32) * 32))
        blocks = n_items
    else:
        lanes = LANES_PER_BLOCK
        blocks = -(-n_items // lanes)
    with warnings.catch_warnings():
        # Numba warns of every grid below 128 blocks. A small system has no more work to give; the user knows its size.
        warnings.filterwarnings("ignore", message="Grid size .* will likely result in GPU under-utilization")
        configured = kernel[blocks, lanes]
    configured(*arguments)


def compile_to_ptx(kernel: Callable, argument_types: tuple, compute_capability: tuple[int, int]) -> str:
    """The PTX assembly of a kernel for a compute capability such as (9, 0), without a driver or a GPU.

    This shows that a kernel compiles; whether it computes the right thing takes the simulator or a GPU.
    """
    from types import SimpleNamespace
    from unittest import mock

    from numba.cuda import dispatcher

    # Formulas are compiled as device functions for "the current device", of which there is none here.
    device = SimpleNamespace(compute_capability=compute_capability)
    with mock.patch.object(dispatcher, "get_current_device", return_value=device):
        ptx, _ = cuda.compile(
            kernel.py_func, numba.void(*argument_types), device=False, abi="numba", cc=compute_capability, output="ptx"
        )
    return ptx
