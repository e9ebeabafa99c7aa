"""The floor of a block Gibbs sweep of an RBM: its two matrix products alone, v W and h W^T, in float32.

Whatever a sweep adds (biases, sigmoids, random numbers, comparisons) comes on top. Each floor is a function of (model,
n_chains, device) that returns run(n_sweeps), which computes the two products so many times from the same states and
returns both, (n_chains, n_hidden) and (n_chains, n_visible).
"""

import functools
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import threadpoolctl
from scipy.special import expit

from benchmark_parts.measuring import installed
from mcgen import blas, rbm

Products = tuple[np.ndarray, np.ndarray]

# Chains in a block of which both layers stay in the cache of a core.
CHAINS_IN_CACHE = 256


@numba.njit(parallel=True)
def _multiply_blocks(
    hidden_fields: np.ndarray,
    visible_fields: np.ndarray,
    visible: np.ndarray,
    hidden: np.ndarray,
    weights: np.ndarray,
    transposed_weights: np.ndarray,
    chains_per_block: int,
    n_sweeps: int,
) -> None:
    """Each thread takes one block of chains at a time and all its products."""
    n_chains = len(visible)
    for block in numba.prange((n_chains + chains_per_block - 1) // chains_per_block):
        first, end = block * chains_per_block, min((block + 1) * chains_per_block, n_chains)
        for _ in range(n_sweeps):
            np.dot(visible[first:end], weights, hidden_fields[first:end])
            np.dot(hidden[first:end], transposed_weights, visible_fields[first:end])


def blocks(model: rbm.RBM, n_chains: int, chains_per_block: int) -> Callable[[int], Products]:
    """The products by SciPy's BLAS on one thread, in blocks of chains that the threads of Numba share.

    Chains do not wait for each other, so threads need not meet before the last sweep; they do after every product that
    one call of BLAS shares among them. Within compiled code because calls from Python would have to take turns.
    """
    visible, hidden = random_states(model, n_chains)
    fields = np.empty_like(hidden), np.empty_like(visible)
    weights = model.weights.copy()  # Numba would compile again for arrays that cannot be written
    transposed = np.ascontiguousarray(weights.T)

    def run(n_sweeps: int) -> Products:
        with blas.one_thread():
            _multiply_blocks(*fields, visible, hidden, weights, transposed, chains_per_block, n_sweeps)
        return fields

    return run


def block_for_each_core(model: rbm.RBM, n_chains: int, device: str) -> Callable[[int], Products]:
    """SciPy's BLAS, all chains in as many blocks as there are threads."""
    return blocks(model, n_chains, -(-n_chains // numba.get_num_threads()))


def blocks_in_cache(model: rbm.RBM, n_chains: int, device: str) -> Callable[[int], Products]:
    """SciPy's BLAS in blocks of chains that are small enough for the cache of a core."""
    return blocks(model, n_chains, CHAINS_IN_CACHE)


def numpy_threads(model: rbm.RBM, n_chains: int, device: str) -> Callable[[int], Products]:
    """NumPy's BLAS, which shares each product among its own threads."""
    visible, hidden = random_states(model, n_chains)
    fields = np.empty_like(hidden), np.empty_like(visible)

    def run(n_sweeps: int) -> Products:
        with as_many_threads():
            for _ in range(n_sweeps):
                np.matmul(visible, model.weights, out=fields[0])
                np.matmul(hidden, model.weights.T, out=fields[1])
        return fields

    return run


def torch_products(model: rbm.RBM, n_chains: int, device: str) -> Callable[[int], Products]:
    """PyTorch on a GPU, in float32 proper (not TF32)."""
    import torch

    visible, hidden = (torch.tensor(states, device=device) for states in random_states(model, n_chains))
    weights = torch.tensor(model.weights, device=device)
    fields = torch.empty_like(hidden), torch.empty_like(visible)
    torch.set_float32_matmul_precision("highest")

    def run(n_sweeps: int) -> Products:
        for _ in range(n_sweeps):
            torch.matmul(visible, weights, out=fields[0])
            torch.matmul(hidden, weights.T, out=fields[1])
        torch.cuda.synchronize()
        return fields[0].cpu().numpy(), fields[1].cpu().numpy()

    return run


def random_states(model: rbm.RBM, n_chains: int) -> Products:
    """The states of both layers without weights, float32: zeros, and as many ones as the biases make."""
    random = np.random.default_rng(1)
    up = (expit(bias) for bias in (model.visible_bias, model.hidden_bias))
    return tuple((random.random((n_chains, len(p))) < p).astype(np.float32) for p in up)


def floors(device: str) -> tuple[Callable[..., Callable[[int], Products]], ...]:
    """The ways to compute the products on a device, of which the quickest counts."""
    if device == "cpu":
        return numpy_threads, block_for_each_core, blocks_in_cache
    return (torch_products,) if torch_sees_gpu() else ()


def torch_sees_gpu() -> bool:
    """Whether PyTorch is there and can use a GPU."""
    if not installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()


@functools.cache
def _controller() -> threadpoolctl.ThreadpoolController:
    # Looking for the libraries takes milliseconds.
    return threadpoolctl.ThreadpoolController()


def as_many_threads() -> threadpoolctl.threadpool_limits:
    """A context in which BLAS uses as many threads as kernels do."""
    return _controller().limit(limits=numba.get_num_threads(), user_api="blas")


def kernel_families() -> dict[str, str]:
    """The processor that each BLAS of this process takes this one for, which says what kernels it uses."""
    return {
        Path(library["filepath"]).parent.name.split(".")[0]: library.get("architecture", library["internal_api"])
        for library in _controller().info()
        if library["user_api"] == "blas"
    }
