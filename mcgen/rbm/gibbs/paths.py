"""Which kernel sweeps the chains of a stack of models, and whether they fit into the memory of a device."""

from mcgen import backend
from mcgen.rbm.chains import Stack
from mcgen.rbm.gibbs import plans


def kernel_name(stack: Stack, n_chains: int, device: str) -> str:
    """The way in which block Gibbs sweeps of this many chains of each model run on a device.

    Parameters
    ----------
    stack : Stack
    n_chains : int
    device : {"cpu", "cuda"}

    Returns
    -------
    {"products", "shared", "global"}
        Matrix products (on the CPU always, by the kernel itself; on a GPU those of CuPy, for large models where it is
        installed), weights in the shared memory of the GPU, or read from its memory through the caches.

    Raises
    ------
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.chains import stack
    >>> from mcgen.rbm.gibbs import paths
    >>> paths.kernel_name(stack([rbm.RBM.random(4, 2, seed=1)]), n_chains=10, device="cpu")
    'products'
    """
    target = backend.target(device)
    if device == "cpu":
        return "products"
    n_models, n_visible, n_hidden = stack.weights.shape
    simulated = target.SIMULATOR
    tile = (
        plans.CHAINS_PER_LANE_SIMULATED if simulated else plans.CHAINS_PER_LANE,
        plans.UNITS_PER_LANE_SIMULATED if simulated else plans.UNITS_PER_LANE,
    )
    return plans.choose(
        *(n_models, n_chains, n_visible, n_hidden, stack.weights.dtype.itemsize),
        *(target.limits(), tile, target.matrix_library() is not None),
    ).name


def n_bytes(stack: Stack, n_chains: int, n_draws: int) -> int:
    """Bytes that the sweeps take on a device: the weights twice, the states of both layers, the draws.

    Parameters
    ----------
    stack : Stack
    n_chains, n_draws : int

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.chains import stack
    >>> from mcgen.rbm.gibbs import paths
    >>> paths.n_bytes(stack([rbm.RBM.random(4, 2, seed=1)]), n_chains=10, n_draws=100)
    5360
    """
    n_models, n_visible, n_hidden = stack.weights.shape
    itemsize = stack.weights.dtype.itemsize
    weights = itemsize * (2 * stack.weights.size + stack.visible_bias.size + stack.hidden_bias.size)
    # The states of a kernel that keeps those of both layers apart from the array of the visible ones.
    padded = -(-n_chains // plans.CHAINS_PER_LANE) * (plans.CHAINS_PER_LANE + 1)
    states = itemsize * n_models * (n_chains * n_visible + padded * (n_visible + n_hidden))
    draws = stack.visible.state_dtype(stack.weights.dtype).itemsize * n_models * n_chains * n_draws * n_visible
    return weights + states + draws


def check_room(stack: Stack, n_chains: int, n_draws: int, device: str) -> None:
    """Raise `DeviceError` unless a run of sweeps fits into the memory of the device, before anything is sent there.

    Parameters
    ----------
    stack : Stack
    n_chains, n_draws : int
    device : {"cpu", "cuda"}
    """
    if device != "cpu":
        what = f"a run of {n_chains} chains with {n_draws} draws of a model with weights {stack.weights.shape[1:]}"
        backend.target(device).check_room(n_bytes(stack, n_chains, n_draws), what)
