"""Sweeps of RBMs by mcgen and by other means, from arrays that a student writes to installed libraries.

Each is a function of (model, n_chains, device) that builds what it needs and returns run(n_sweeps), which starts chains
at random and sweeps them. The visible states that it ends with, int8 (n_chains, n_visible), let tests see that it is
the same model. Units of peers are 0 and 1; where nothing else is said they compute in float32, as the model is.
"""

from collections.abc import Callable

import numba
import numpy as np

from benchmark_parts.measuring import installed
from benchmark_parts.products import as_many_threads, torch_sees_gpu
from mcgen import rbm

Run = Callable[[int], np.ndarray]


def mcgen_sweeps(model: rbm.RBM, n_chains: int, device: str, method: str) -> Run:
    """What is measured: `rbm.sample`, which gathers one draw of each chain."""

    def run(n_sweeps: int) -> np.ndarray:
        samples = rbm.sample(
            model, n_chains=n_chains, n_draws=1, thin=n_sweeps, burn_in=0, method=method, seed=1, device=device
        )
        return samples.states[:, 0]

    return run


def torch_with(draw: str, model: rbm.RBM, n_chains: int, device: str) -> Run:
    """PyTorch, both layers of all chains at once; units drawn by torch.bernoulli or by comparing uniform numbers."""
    import torch

    weights, visible_bias, hidden_bias = (torch.tensor(array, device=device) for array in model.parameters)
    transposed = weights.T.contiguous()
    start = torch.tensor(random_start(model, n_chains), device=device)
    generator = torch.Generator(device).manual_seed(1)
    torch.set_num_threads(numba.get_num_threads())

    def bernoulli(p: torch.Tensor) -> torch.Tensor:
        return torch.bernoulli(p, generator=generator)

    def uniform(p: torch.Tensor) -> torch.Tensor:
        return (torch.rand(p.shape, generator=generator, device=device) < p).to(p.dtype)

    drawn = {"bernoulli": bernoulli, "uniform": uniform}[draw]

    @torch.no_grad()
    def run(n_sweeps: int) -> np.ndarray:
        visible = start
        for _ in range(n_sweeps):
            hidden = drawn(torch.sigmoid(torch.nn.functional.linear(visible, transposed, hidden_bias)))
            visible = drawn(torch.sigmoid(torch.nn.functional.linear(hidden, weights, visible_bias)))
        return visible.to(torch.int8).cpu().numpy()

    return run


def torch_bernoulli(model: rbm.RBM, n_chains: int, device: str) -> Run:
    """PyTorch by torch.bernoulli."""
    return torch_with("bernoulli", model, n_chains, device)


def torch_uniform(model: rbm.RBM, n_chains: int, device: str) -> Run:
    """PyTorch by uniform numbers that are compared with the probabilities."""
    return torch_with("uniform", model, n_chains, device)


def rbms(model: rbm.RBM, n_chains: int, device: str) -> Run:
    """The Gibbs steps of rbms, PyTorch compiled by TorchScript."""
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM

    torch.set_num_threads(numba.get_num_threads())
    torch.manual_seed(1)
    peer = BBRBM(*(torch.tensor(array, device=device) for array in model.parameters))
    start = torch.tensor(random_start(model, n_chains), device=device)
    chains = {"visible": start, "weights": torch.ones(n_chains, device=device)}

    @torch.no_grad()
    def run(n_sweeps: int) -> np.ndarray:
        return peer.sample_state(chains=chains, n_steps=n_sweeps)["visible"].to(torch.int8).cpu().numpy()

    return run


def scikit_learn(model: rbm.RBM, n_chains: int, device: str) -> Run:
    """The Gibbs step of scikit-learn, NumPy and SciPy on arrays."""
    from sklearn.neural_network import BernoulliRBM
    from sklearn.utils import check_random_state

    peer = BernoulliRBM(n_components=model.n_hidden)
    peer.components_ = np.ascontiguousarray(model.weights.T)
    peer.intercept_hidden_, peer.intercept_visible_ = model.hidden_bias, model.visible_bias
    peer.random_state_ = check_random_state(1)
    start = random_start(model, n_chains)

    def run(n_sweeps: int) -> np.ndarray:
        visible = start
        with as_many_threads():
            for _ in range(n_sweeps):
                visible = peer.gibbs(visible)
        return visible.astype(np.int8)

    return run


def numpy_metropolis(model: rbm.RBM, n_chains: int, device: str) -> Run:
    """Metropolis on p(v) with NumPy, all chains at once: run(n) makes n proposals of one random unit in each chain.

    In float64, with the hidden fields x of the current states kept, so that a proposal costs one pass over the hidden
    units: F(v) = -b.v - sum_j log(1 + e^x_j).
    """
    weights, visible_bias, hidden_bias = (array.astype(np.float64) for array in model.parameters)
    random = np.random.default_rng(1)
    chains = np.arange(n_chains)

    def log_factors(x: np.ndarray) -> np.ndarray:
        # Several times as quick as np.logaddexp(0, x); no field here comes near 709, where e^x overflows.
        return np.log1p(np.exp(x)).sum(axis=1)

    def run(n_proposals: int) -> np.ndarray:
        visible = random_start(model, n_chains).astype(np.float64)
        fields = visible @ weights + hidden_bias
        current = log_factors(fields)
        for _ in range(n_proposals):
            units = random.integers(model.n_visible, size=n_chains)
            change = 1.0 - 2.0 * visible[chains, units]
            proposed_fields = fields + change[:, None] * weights[units]
            proposed = log_factors(proposed_fields)
            gain = visible_bias[units] * change + proposed - current
            accepted = random.random(n_chains) < np.exp(np.minimum(gain, 0.0))
            visible[chains[accepted], units[accepted]] += change[accepted]
            fields[accepted], current[accepted] = proposed_fields[accepted], proposed[accepted]
        return visible.astype(np.int8)

    return run


# Of PyTorch both ways of drawing: torch.bernoulli as everyone writes it, and torch.rand, which is quicker on a CPU.
PEERS = {
    "torch": (torch_bernoulli,),
    "torch.rand": (torch_uniform,),
    "rbms": (rbms,),
    "scikit-learn": (scikit_learn,),
}
ON_GPU = ("torch", "torch.rand", "rbms")


def peers_for(device: str) -> dict[str, tuple[Callable[..., Run], ...]]:
    """The peers that are installed and that can use the device, by their names."""
    return {
        name: forms
        for name, forms in PEERS.items()
        if installed(name.partition(".")[0]) and (device == "cpu" or (name in ON_GPU and torch_sees_gpu()))
    }


def random_start(model: rbm.RBM, n_chains: int) -> np.ndarray:
    """float32 (n_chains, n_visible) of zeros and ones."""
    return np.random.default_rng(1).integers(2, size=(n_chains, model.n_visible)).astype(np.float32)
