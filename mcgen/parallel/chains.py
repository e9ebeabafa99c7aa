"""How the chains of a run, and its temperatures, are shared out among ranks."""

from typing import NamedTuple

import numpy as np

from mcgen.parallel.ranks import ALONE, World, part


class Part(NamedTuple):
    """Which chains of a run are drawn here: all, or the share of one rank.

    first : int
        The number of the first one.
    n_all : int
        How many the whole run has.
    world : World
        The ranks that have the other chains.
    replicas : World
        Where a run has several replicas of each chain and too few chains to share out, the ranks that share out the
        replicas.
    """

    first: int
    n_all: int
    world: World = ALONE
    replicas: World = ALONE

    def numbers(self, n_levels: int, n_chains: int) -> np.ndarray:
        """The numbers of the chains in the random streams: uint32, shape (n_levels, n_chains).

        Examples
        --------
        >>> from mcgen.parallel import Part
        >>> Part(first=2, n_all=5).numbers(n_levels=2, n_chains=3).tolist()
        [[2, 3, 4], [7, 8, 9]]
        """
        levels, chains = np.arange(n_levels)[:, None], np.arange(n_chains)
        return (levels * self.n_all + self.first + chains).astype(np.uint32)


def whole(n_chains: int) -> Part:
    """All chains, here."""
    return Part(0, n_chains)


class Grid(NamedTuple):
    """How temperatures and groups of chains are shared out: each rank has some groups of some temperatures, or nothing.

    temperatures, groups : slice
    column : int
        Ranks of the same column have the same temperatures; -1 where a rank has nothing.
    """

    temperatures: slice
    groups: slice
    column: int


def grid(n_temperatures: int, n_groups: int, world: World) -> Grid:
    """Share out a number of groups of chains at each of several temperatures.

    The temperatures are cut into t parts and the groups into g with t g at most the number of ranks, so that the rank
    with the most work has as little as possible; of equally good ways the one with the fewest parts of temperatures.

    Examples
    --------
    >>> from mcgen import parallel
    >>> parallel.grid(3, 10, parallel.World())
    Grid(temperatures=slice(0, 3, None), groups=slice(0, 10, None), column=0)
    """
    size = world.size
    ways = [(t, min(n_groups, size // t)) for t in range(1, min(n_temperatures, size) + 1)]
    t, g = min(ways, key=lambda way: (-(-n_temperatures // way[0]) * -(-n_groups // way[1]), way[0]))
    if world.rank >= t * g:
        return Grid(slice(0, 0), slice(0, 0), -1)
    column, row = divmod(world.rank, g)
    return Grid(part(n_temperatures, column, t), part(n_groups, row, g), column)


def cut(n_chains: int, per_group: int, groups: slice) -> slice:
    """The chains of some groups of `per_group` chains, the last of which may not be full.

    Examples
    --------
    >>> from mcgen import parallel
    >>> parallel.cut(10, 4, slice(1, 3))
    slice(4, 10, None)
    """
    return slice(min(n_chains, groups.start * per_group), min(n_chains, groups.stop * per_group))
