"""How the chains of a lattice are shared out among ranks."""

from mcgen import checks, parallel
from mcgen.errors import InputError
from mcgen.ising.lattice import Ising
from mcgen.ising.methods import MOVES, chains_together, choose_walkers
from mcgen.ising.walkers import SpinWalkers
from mcgen.parallel import ALONE, World


def chains_per_share(
    lattice: Ising,
    n_chains: int,
    method: str = "metropolis",
    device: str = "cpu",
    kernel: str = "auto",
    moves: str = "metropolis",
) -> int:
    """How many chains stay together where they are shared out among ranks: those of one group of lanes, or of one sum.

    Arguments and errors are those of `sample`.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.shares import chains_per_share
    >>> chains_per_share(ising.Ising((16, 16)), 1024), chains_per_share(ising.Ising((16, 16)), 8, method="wolff")
    (64, 1)
    """
    if method == "exact":
        return n_chains
    single = checks.choice("moves", moves, MOVES) if method == "tempering" else method
    return chains_together(lattice, choose_walkers(lattice, single, n_chains, device, kernel))


def shares_replicas(
    lattice: Ising,
    n_chains: int,
    method: str = "metropolis",
    world: World = ALONE,
    device: str = "cpu",
    kernel: str = "auto",
    moves: str = "metropolis",
) -> bool:
    """Whether ranks share out the replicas of a tempering, because there are fewer chains than ranks.

    Arguments are those of `sample`.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.shares import shares_replicas
    >>> shares_replicas(ising.Ising((4, 4)), 1, "tempering")
    False
    """
    if method != "tempering" or n_chains >= world.size:
        return False
    return choose_walkers(lattice, moves, n_chains, device, kernel) is SpinWalkers


def chains_of_rank(
    lattice: Ising,
    n_chains: int,
    method: str = "metropolis",
    world: World = ALONE,
    device: str = "cpu",
    kernel: str = "auto",
    moves: str = "metropolis",
) -> slice:
    """Which chains of a run the rank draws; arguments are those of `sample`.

    Raises
    ------
    InputError
        If there are more ranks than groups of chains, and it is not tempering with the kernel "single-flip", whose
        replicas are shared out instead: every rank then has all chains.

    Examples
    --------
    >>> from mcgen import ising
    >>> ising.chains_of_rank(ising.Ising((4, 4)), 100)
    slice(0, 100, None)
    """
    together = chains_per_share(lattice, n_chains, method, device, kernel, moves)
    n_groups = -(-n_chains // together)
    if shares_replicas(lattice, n_chains, method, world, device, kernel, moves):
        return slice(0, n_chains)
    if n_groups < world.size:
        raise InputError(
            f"{n_chains} chains in groups of {together} are too few for {world.size} ranks; take more chains, fewer "
            "ranks or kernel='single-flip'"
        )
    return parallel.cut(n_chains, together, world.share(n_groups))
