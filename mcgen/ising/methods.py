"""Which walkers a method moves, and on which lattices."""

from types import ModuleType

import numpy as np

from mcgen import checks
from mcgen.errors import InputError
from mcgen.ising.bit_sliced.layout import layout
from mcgen.ising.bit_sliced.layout import obstacle as bit_obstacle
from mcgen.ising.bit_sliced.walkers import BitSlicedWalkers
from mcgen.ising.cluster.walkers import ClusterChains
from mcgen.ising.cluster.walkers import obstacle as cluster_obstacle
from mcgen.ising.lattice import Ising
from mcgen.ising.spread import SpreadWalkers
from mcgen.ising.walkers import RULES, SpinWalkers
from mcgen.parallel import Part

SINGLE_FLIP = tuple(RULES)
CLUSTER = ("wolff", "swendsen-wang")
MOVES = (*SINGLE_FLIP, *CLUSTER)
KERNELS = ("auto", "bit-sliced", "single-flip")

# A vector of 512 lanes costs as much as eight spins one after the other; with fewer lanes in use, bits do not pay.
FEWEST_LANES = 16


def choose_walkers(lattice: Ising, method: str, n_chains: int, device: str, kernel: str = "auto") -> type:
    """The class of walkers for a method: see `mcgen.ising.walkers`.

    Parameters
    ----------
    lattice : Ising
    method : one of MOVES
    n_chains : int
        At each temperature.
    device : {"cpu", "cuda"}
    kernel : one of KERNELS
        For single spin flips. "auto" takes "bit-sliced" where all couplings have one magnitude, there is no field, all
        axes are periodic and of even length, there are at most three of them, and the chains fill enough lanes.

    Returns
    -------
    type

    Raises
    ------
    InputError
        If the method is not for this lattice or device, with the reason and the way out.
    """
    checks.choice("method", method, MOVES)
    checks.choice("kernel", kernel, KERNELS)
    if method in CLUSTER:
        if kernel != "auto":
            raise InputError(f"kernel={kernel!r} is for single spin flips; with method={method!r} leave it at 'auto'")
        problem = cluster_obstacle(lattice, method, device)
        if problem:
            raise InputError(problem)
        return ClusterChains
    problem = bit_obstacle(lattice)
    if kernel == "bit-sliced" and problem:
        raise InputError(f"kernel='bit-sliced' is not for this lattice: {problem}; use kernel='auto'")
    if kernel == "auto" and not problem:
        cut = layout(lattice)
        pays = n_chains * cut.strips * cut.half_strips >= FEWEST_LANES
        kernel = "bit-sliced" if pays else "single-flip"
    return BitSlicedWalkers if kernel == "bit-sliced" else SpinWalkers


def make_walkers(
    lattice: Ising,
    temperatures: np.ndarray,
    states: np.ndarray,
    method: str,
    seed: int,
    target: ModuleType,
    kernel: str = "auto",
    part: Part | None = None,
) -> object:
    """Walkers of the class that `choose_walkers` names, at the states (n_temperatures, n_chains, n_sites).

    `part` says which chains of a run they are, if not all.
    """
    device = target.__name__.rpartition("._")[2]
    n_all = states.shape[1] if part is None else part.n_all
    kind = choose_walkers(lattice, method, n_all, device, kernel)
    if part is not None and part.replicas.size > 1:
        kind = SpreadWalkers
    return kind(lattice, np.asarray(temperatures, np.float64), states, method, seed, target, part)


def chains_together(lattice: Ising, kind: type) -> int:
    """How many chains walkers of this class move at once: no rank has less."""
    return layout(lattice).chains_per_group if kind is BitSlicedWalkers else 1
