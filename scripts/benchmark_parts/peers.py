"""Metropolis sweeps of the same lattices by other means, from a loop that a student writes to installed libraries.

Each peer is a function of (lattice, temperature, n_chains, device) that builds what it needs and returns run(n_sweeps),
which starts some chains at random and sweeps them: as many as it takes for the peer to be at its best. The spins that
it ends with, int8 (chains, n_sites), tell how many there are, and let tests see that it is the same model. Lattices
here have no field, and no axis of length 2.
"""

import math
from collections.abc import Callable

import numba
import numpy as np

from benchmark_parts.measuring import installed
from mcgen import ising

Run = Callable[[int], np.ndarray]

# Peers that take a graph in Python objects need minutes to read larger ones.
LARGEST_GRAPH = 100_000


@numba.njit
def _sweep_plainly(spins: np.ndarray, neighbors: np.ndarray, couplings: np.ndarray, beta: float, n_sweeps: int) -> None:
    np.random.seed(1)  # noqa: NPY002 - all that Numba has
    for _ in range(n_sweeps):
        for site in range(len(spins)):
            field = 0.0
            for k in range(neighbors.shape[1]):
                field += couplings[site, k] * spins[neighbors[site, k]]
            cost = 2.0 * spins[site] * field
            if cost <= 0.0 or np.random.random() < math.exp(-beta * cost):  # noqa: NPY002 - all that Numba has
                spins[site] = -spins[site]


def numba_loop(lattice: ising.Ising, temperature: float, n_chains: int, device: str) -> Run:
    """The plain loop over sites, compiled by Numba, with its own random numbers: one chain on one core."""
    neighbors, couplings = lattice.neighbor_table
    spins = random_spins(1, lattice.n_sites)

    def run(n_sweeps: int) -> np.ndarray:
        _sweep_plainly(spins[0], neighbors, couplings, 1.0 / temperature, n_sweeps)
        return spins

    return run


def dwave(lattice: ising.Ising, temperature: float, n_chains: int, device: str) -> Run:
    """dwave-samplers: simulated annealing in C++, held at one temperature. A read for each core, should it use them."""
    import dimod
    from dwave.samplers import SimulatedAnnealingSampler

    first, second, strengths = bonds(lattice)
    model = dimod.BinaryQuadraticModel.from_numpy_vectors(
        np.zeros(lattice.n_sites), (first, second, -strengths), 0.0, "SPIN", variable_order=range(lattice.n_sites)
    )
    sampler = SimulatedAnnealingSampler()
    settings = {
        "num_reads": numba.get_num_threads(), "beta_schedule_type": "custom", "beta_schedule": [1.0 / temperature],
        "randomize_order": False, "proposal_acceptance_criteria": "Metropolis", "seed": 1,
    }  # fmt: skip
    return lambda n_sweeps: sampler.sample(model, num_sweeps_per_beta=n_sweeps, **settings).record.sample


def openjij(lattice: ising.Ising, temperature: float, n_chains: int, device: str) -> Run:
    """OpenJij: simulated annealing in C++, held at one temperature."""
    from openjij import SASampler
    from openjij.model.model import BinaryQuadraticModel

    couplings = {(i, j): -J for i, j, J in zip(*(array.tolist() for array in bonds(lattice)), strict=True)}
    model = BinaryQuadraticModel({}, couplings, 0.0, "SPIN", sparse=True)
    sampler = SASampler()

    def run(n_sweeps: int) -> np.ndarray:
        schedule = [(1.0 / temperature, n_sweeps)]
        reads = sampler.sample(model, schedule=schedule, num_reads=numba.get_num_threads(), seed=1)
        return reads.record.sample[:, np.argsort(reads.variables)]

    return run


def torch(lattice: ising.Ising, temperature: float, n_chains: int, device: str) -> Run:
    """PyTorch: all chains of one colour of the checkerboard at once, as arrays in float32, on all cores or the GPU."""
    import torch

    couplings = [torch.tensor(one, dtype=torch.float32, device=device) for one in lattice.coupling]
    even = torch.tensor(np.indices(lattice.shape).sum(axis=0) % 2 == 0, device=device)
    generator = torch.Generator(device).manual_seed(1)
    start = torch.tensor(random_spins(n_chains, lattice.n_sites), device=device).reshape(-1, *lattice.shape)

    def run(n_sweeps: int) -> np.ndarray:
        spins = start.to(torch.float32)
        for _ in range(n_sweeps):
            for colour in (even, ~even):
                h = sum(J * spins.roll(-1, k) + (J * spins).roll(1, k) for k, J in enumerate(couplings, 1))
                uniforms = torch.rand(spins.shape, generator=generator, device=device)
                flips = colour & (uniforms < torch.exp(-2.0 / temperature * spins * h))
                spins = torch.where(flips, -spins, spins)
        return spins.to(torch.int8).reshape(n_chains, -1).cpu().numpy()

    return run


PEERS = {"numba loop": numba_loop, "dwave-samplers": dwave, "openjij": openjij, "torch": torch}


def peers_for(lattice: ising.Ising, device: str) -> dict[str, Callable[..., Run]]:
    """The peers that are installed and that can take the lattice on the device, by their names."""
    if device != "cpu":
        return {"torch": torch} if installed("torch") else {}
    return {
        name: peer
        for name, peer in PEERS.items()
        if installed(package(name)) and (name in ("numba loop", "torch") or lattice.n_sites <= LARGEST_GRAPH)
    }


def package(name: str) -> str:
    """What is to be installed for a peer."""
    return name.split()[0]


def random_spins(n_chains: int, n_sites: int) -> np.ndarray:
    """int8 (n_chains, n_sites) of +-1."""
    return (2 * np.random.default_rng(1).integers(2, size=(n_chains, n_sites)) - 1).astype(np.int8)


def bonds(lattice: ising.Ising) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two sites of every bond and its J: arrays of shape (n_dims * n_sites,)."""
    neighbors, couplings = lattice.neighbor_table
    first = np.repeat(np.arange(lattice.n_sites, dtype=np.int32), lattice.n_dims)
    return first, neighbors[:, ::2].ravel(), couplings[:, ::2].ravel()
