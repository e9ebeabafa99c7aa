"""The CUDA target: how kernels are compiled and launched. The twin of `_cpu.py`.

This is the only file that imports a CUDA package. `numba.cuda` is provided by the package numba-cuda where that is
installed, otherwise by numba itself (deprecated there). With the environment variable NUMBA_ENABLE_CUDASIM=1 set before
the start of Python, kernels run in Numba's simulator: plain Python, for tests on tiny systems.
"""

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from mcgen import parallel
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

# Shared memory that any kernel may use.
SHARED_BYTES_UNASKED = 48 * 1024

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


def composed(function: Callable) -> Callable:
    """Mark a function that runs on the host and launches kernels itself; `launch` only calls it."""
    function.launches_kernels = True
    return function


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
    if parallel.started() > 1:  # ranks on one machine take its GPUs in turn
        cuda.select_device(parallel.local_rank() % len(cuda.gpus))


def describe() -> str:
    """One line on the GPU that kernels use."""
    if SIMULATOR:
        return "cuda, simulated on the CPU (NUMBA_ENABLE_CUDASIM=1)"
    require()
    name = cuda.get_current_device().name
    return f"cuda, {name.decode() if isinstance(name, bytes) else name}"


class Limits(NamedTuple):
    """What a device has: bytes of shared memory for a block, multiprocessors, lanes of a block."""

    shared_bytes: int
    n_multiprocessors: int
    n_lanes: int


def limits() -> Limits:
    """The limits of the device; in the simulator those of an H200, but for the lanes, which are threads there."""
    if SIMULATOR:
        return Limits(232448, 132, WIDEST_BLOCK)
    device = cuda.get_current_device()
    return Limits(device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device.MULTIPROCESSOR_COUNT, WIDEST_BLOCK)


def free_bytes() -> int | None:
    """Bytes of memory that are free on the device; None in the simulator, where the memory is the host's."""
    return None if SIMULATOR else int(cuda.current_context().get_memory_info().free)


def check_room(n_bytes: int, what: str) -> None:
    """Raise `DeviceError` unless n_bytes more fit into the memory of the device; `what` says what they are for."""
    free = free_bytes()
    if free is not None and n_bytes > free:
        raise DeviceError(
            f"device='cuda': {what} takes {n_bytes} bytes, but only {free} bytes of the GPU's memory are free; "
            "use fewer chains or draws, or a smaller model, or device='cpu'"
        )


def matrix_library() -> ModuleType | None:
    """The library that multiplies matrices on the device: CuPy, or None where it is not installed.

    NumPy stands in for it in the simulator.
    """
    if SIMULATOR:
        return np
    if importlib.util.find_spec("cupy") is None:
        return None
    return importlib.import_module("cupy")


def library_array(array: object) -> object:
    """An array of the device as an array of `matrix_library`, without a copy."""
    return array._ary if SIMULATOR else matrix_library().asarray(array)


def empty(shape: tuple[int, ...], dtype: np.dtype) -> object:
    """An array on the device whose numbers are not set."""
    return cuda.device_array(shape, dtype)


def to_device(array: np.ndarray) -> object:
    """A copy of the array in the memory of the device, C-contiguous."""
    return cuda.to_device(np.ascontiguousarray(array))


def to_host(array: object) -> np.ndarray:
    """The array as a NumPy array, after all kernels before it have finished."""
    return array.copy_to_host()


def launch(kernel: Callable, n_items: int, width: int, *arguments: object) -> None:
    """Run a kernel over `n_items` pieces of work, each of which can use up to `width` lanes."""
    if getattr(kernel, "launches_kernels", False):
        kernel(*arguments)
        return
    if kernel.block_for_each_item:
        lanes = min(WIDEST_BLOCK, max(1, -(-width // 32) * 32))
        blocks = n_items
    else:
        lanes = LANES_PER_BLOCK
        blocks = -(-n_items // lanes)
    _configured(kernel, blocks, lanes)(*arguments)


def launch_blocks(kernel: Callable, n_blocks: int, n_lanes: int, shared_bytes: int, *arguments: object) -> None:
    """Run a kernel on n_blocks blocks of n_lanes lanes, each with shared_bytes of shared memory.

    In the kernel that memory is `cuda.shared.array(0, dtype)`.
    """
    if shared_bytes > SHARED_BYTES_UNASKED and not SIMULATOR:
        _allow_shared_memory(kernel, arguments, shared_bytes)
    _configured(kernel, n_blocks, n_lanes, 0, shared_bytes)(*arguments)


def _configured(kernel: Callable, *configuration: int) -> Callable:
    with warnings.catch_warnings():
        # Numba warns of every grid below 128 blocks. A small system has no more work to give; the user knows its size.
        warnings.filterwarnings("ignore", message="Grid size .* will likely result in GPU under-utilization")
        return kernel[configuration]


def _allow_shared_memory(kernel: Callable, arguments: tuple, shared_bytes: int) -> None:
    # More than 48 KB a block has to be asked for, kernel by kernel, and Numba has no way to ask but the driver's own.
    from cuda.bindings import driver

    compiled = kernel.compile(tuple(kernel.typeof_pyval(argument) for argument in arguments))
    function = compiled._codelibrary.get_cufunc()
    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    (status,) = driver.cuKernelSetAttribute(attribute, shared_bytes, function.handle, function.device.id)
    if status != driver.CUresult.CUDA_SUCCESS:
        raise DeviceError(
            f"device='cuda': the driver refuses {shared_bytes} bytes of shared memory a block ({status.name}); "
            "use device='cpu'"
        )


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
