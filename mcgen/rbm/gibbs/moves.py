"""Block Gibbs sweeps of the chains of a stack of models."""

from types import ModuleType

import numpy as np

from mcgen import parallel, rng
from mcgen.parallel import Part
from mcgen.rbm.chains import Stack, chains_per_block


def sweep(
    stack: Stack,
    visible: np.ndarray,
    n_sweeps: int,
    n_draws: int,
    first_step: int,
    seed: int,
    target: ModuleType,
    part: Part | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Sweep all chains: h ~ p(h | v), then v ~ p(v | h), each as one block.

    Parameters
    ----------
    stack : Stack
    visible : array, shape (n_models, n_chains, n_visible)
        States in the dtype of the weights.
    n_sweeps : int
        A multiple of n_draws, if that is not 0.
    n_draws : int
        Evenly spaced states to keep of each chain.
    first_step : int
        Sweeps made before with the same seed.
    seed : int
    target : module
        Of the device.
    part : Part, optional
        Which chains of the run these are; by default all.

    Returns
    -------
    visible : array as it was given, with the new states
    draws : int8, or float for continuous units, shape (n_models, n_chains, n_draws, n_visible)
    """
    n_models, n_chains, n_visible = visible.shape
    there = target.to_device(visible)
    dtype = stack.visible.state_dtype(stack.weights.dtype)
    draws = target.to_device(np.empty((n_models, n_chains, n_draws, n_visible), dtype))
    thin = n_sweeps // n_draws if n_draws else max(1, n_sweeps)
    launch(there, draws, prepared(stack, n_chains, target, part), n_sweeps, thin, first_step, seed, target)
    return target.to_host(there), target.to_host(draws)


def prepared(stack: Stack, n_chains: int, target: ModuleType, part: Part | None = None) -> tuple:
    """The arguments of the kernel that stay the same from call to call, on the device."""
    transposed = np.ascontiguousarray(np.swapaxes(stack.weights, 1, 2))
    arrays = (stack.weights, transposed, stack.visible_bias, stack.hidden_bias)
    return (
        *map(target.to_device, arrays),
        *stack.visible.arguments_on(target),
        *stack.hidden.arguments_on(target),
        target.to_device((part or parallel.whole(n_chains)).numbers(len(stack.weights), n_chains)),
        chains_per_block(n_chains),
    )


def launch(
    visible: object,
    draws: object,
    prepared: tuple,
    n_sweeps: int,
    thin: int,
    first_step: int,
    seed: int,
    target: ModuleType,
) -> None:
    """Sweep states that are on the device, and fill the draws there (both are modified)."""
    n_models, n_chains, n_visible = visible.shape
    target.launch(
        target.kernels("rbm.gibbs").gibbs_sweeps,
        n_models * n_chains,
        max(n_visible, prepared[0].shape[2]),
        visible,
        draws,
        *prepared,
        n_sweeps,
        thin,
        np.int64(first_step),
        *rng.split_seed(seed),
    )
