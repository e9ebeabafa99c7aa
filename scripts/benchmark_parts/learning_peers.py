"""Updates of an RBM by persistent contrastive divergence, and annealed importance sampling, by mcgen and by others.

Each trainer is a function of (model, x, n_chains, gibbs_steps, seconds, learning_rate) that builds what it needs and
returns run(n_epochs), which makes so many passes through the rows x from the model's own parameters, or those that it
has begun within so many seconds, in batches of n_chains rows, by steps of plain stochastic gradient ascent, and gives
the parameters (weights, visible_bias, hidden_bias) that it ends with. Each annealer is a function of (model, n_runs)
that returns run(n_temperatures), which gives log Z.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator

import numba
import numpy as np

from benchmark_parts.apart import apart
from benchmark_parts.measuring import installed
from benchmark_parts.products import as_many_threads
from mcgen import rbm
from mcgen.errors import StatisticsWarning

LEARNING_RATE = 0.01
Trainer = Callable[[int], tuple[np.ndarray, ...]]


def within(n_epochs: int, seconds: float) -> Iterator[int]:
    """Count epochs until there are so many, or so many seconds have gone by."""
    deadline = time.monotonic() + seconds
    for epoch in range(n_epochs):
        yield epoch
        if time.monotonic() >= deadline:
            return


def mcgen_updates(
    model: rbm.RBM,
    x: np.ndarray,
    n_chains: int,
    gibbs_steps: int,
    seconds: float = math.inf,
    learning_rate: float = LEARNING_RATE,
) -> Trainer:
    """What is measured: `rbm.train` with all that it does besides updates, evaluated at the end only."""
    # Rows of noise, and few of them when quick: whether chains mix is not the question here.
    warnings.simplefilter("ignore", StatisticsWarning)
    x = model.check_rows(x)

    def run(n_epochs: int) -> tuple[np.ndarray, ...]:
        epochs = within(n_epochs, seconds)
        next(epochs)  # the first one begins
        return rbm.train(
            model, x, negative_phase="pcd", gibbs_steps=gibbs_steps, n_chains=n_chains, epochs=n_epochs,
            batch_size=n_chains, learning_rate=learning_rate, optimizer="sgd", momentum=0.0, centered=True,
            evaluate_every=n_epochs, seed=1, callbacks=[lambda epoch: next(epochs, None) is None],
        ).model.parameters  # fmt: skip

    return run


def rbms_updates(
    model: rbm.RBM,
    x: np.ndarray,
    n_chains: int,
    gibbs_steps: int,
    seconds: float = math.inf,
    learning_rate: float = LEARNING_RATE,
) -> Trainer:
    """rbms: its `fit_batch_pcd` and steps of torch.optim.SGD, as its own `train` makes them, but without its files."""
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM
    from rbms.training.pcd import fit_batch_pcd

    torch.set_num_threads(numba.get_num_threads())
    torch.manual_seed(1)
    data = torch.tensor(x, dtype=torch.float32)
    weights = torch.ones(n_chains)

    @torch.no_grad()
    def run(n_epochs: int) -> tuple[np.ndarray, ...]:
        peer = BBRBM(*(torch.tensor(array) for array in model.parameters))
        for parameter in peer.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer = torch.optim.SGD(peer.parameters(), lr=learning_rate, maximize=True)
        chains = peer.init_chains(n_chains, start_v=data[:n_chains])
        for _ in within(n_epochs, seconds):
            for _ in range(math.ceil(len(data) / n_chains)):
                rows = torch.randperm(len(data))[:n_chains]
                optimizer.zero_grad(set_to_none=False)
                chains, _ = fit_batch_pcd(
                    batch=(data[rows], weights), parallel_chains=chains, params=peer, gibbs_steps=gibbs_steps, beta=1.0
                )
                optimizer.step()
        return tuple(parameter.numpy() for parameter in (peer.weight_matrix, peer.vbias, peer.hbias))

    return run


def scikit_learn_updates(
    model: rbm.RBM,
    x: np.ndarray,
    n_chains: int,
    gibbs_steps: int,
    seconds: float = math.inf,
    learning_rate: float = LEARNING_RATE,
) -> Trainer:
    """scikit-learn's `partial_fit`: PCD with one sweep, the only one it has, from random weights of its own."""
    from sklearn.neural_network import BernoulliRBM

    assert gibbs_steps == 1
    data = x.astype(np.float32)

    def run(n_epochs: int) -> tuple[np.ndarray, ...]:
        peer = BernoulliRBM(
            n_components=model.n_hidden, learning_rate=learning_rate, batch_size=n_chains, random_state=1
        )
        with as_many_threads():
            for _ in within(n_epochs, seconds):
                for first in range(0, len(data), n_chains):
                    peer.partial_fit(data[first : first + n_chains])
        return peer.components_.T, peer.intercept_visible_, peer.intercept_hidden_

    return run


def mcgen_annealing(model: rbm.RBM, n_runs: int, device: str) -> Callable[[int], float]:
    """What is measured: `rbm.partition.ais` at equal distances of the temperatures."""

    def run(n_temperatures: int) -> float:
        betas = np.linspace(0.0, 1.0, n_temperatures + 1)
        return rbm.partition.ais(model, n_runs, betas=betas, seed=1, device=device).value

    return run


def rbms_annealing(model: rbm.RBM, n_runs: int) -> Callable[[int], float]:
    """rbms: `compute_partition_function_ais`."""
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM
    from rbms.partition_function.ais import compute_partition_function_ais

    torch.set_num_threads(numba.get_num_threads())
    torch.manual_seed(1)
    peer = BBRBM(*(torch.tensor(array) for array in model.parameters))

    @torch.no_grad()
    def run(n_temperatures: int) -> float:
        return compute_partition_function_ais(n_runs, n_temperatures + 1, peer)

    return run


def trainers(gibbs_steps: int) -> dict[str, Callable]:
    """The peers that are installed, each in a process of its own."""
    listed = {"rbms": apart(rbms_updates, "torch")} if installed("rbms") else {}
    if gibbs_steps == 1 and installed("scikit-learn"):
        listed["scikit-learn"] = apart(scikit_learn_updates, "scikit-learn")
    return listed


def annealers() -> dict[str, Callable]:
    """Likewise."""
    return {"rbms": apart(rbms_annealing, "torch")} if installed("rbms") else {}
