"""How block Gibbs sweeps are run on a GPU: which kernel, and how its lanes share the work."""

from typing import NamedTuple

# One lane sums the fields of a tile of units by chains in registers; the simulator has room for smaller ones. A chain
# more of space for every unit lets neighbouring lanes reach different banks of the memory.
CHAINS_PER_LANE, UNITS_PER_LANE = 8, 4
CHAINS_PER_LANE_SIMULATED, UNITS_PER_LANE_SIMULATED = 2, 2

# For the choice between kernels, which all give the same chains, the numbers of an H200: operations a second in float32
# (in float64 half as many, but the same in the matrix units that a library uses), bytes a second from the second-level
# cache and from memory; the share of the operations that a library reaches, and that sums of lanes reach; and the
# seconds that Python needs to launch the four kernels of a sweep.
OPERATIONS, CACHE_BYTES, MEMORY_BYTES = 67e12, 5.5e12, 4e12
LIBRARY_SHARE, LANES_SHARE = 0.8, 0.6
LAUNCHES = 60e-6


class Plan(NamedTuple):
    """One way to run the sweeps.

    name : {"shared", "global", "products"}
        Weights in the shared memory of every block; in the memory of the device, read through its caches; or products
        of a library.
    n_groups : int
        Groups of CHAINS_PER_LANE chains in one block.
    lanes_per_group : int
        That sum fields.
    n_lanes : int
        Of a block; all of them draw.
    n_blocks : int
        For each model.
    shared_bytes : int
        Of each block.
    """

    name: str
    n_groups: int = 0
    lanes_per_group: int = 0
    n_lanes: int = 0
    n_blocks: int = 0
    shared_bytes: int = 0


def group_numbers(n_entries: int, chains_per_lane: int) -> int:
    """Numbers that hold the states of a layer for one group of chains; odd, so that groups lie in different banks."""
    return n_entries * (chains_per_lane + 1) | 1


def shared_numbers(n_visible: int, n_hidden: int, n_groups: int, chains_per_lane: int) -> int:
    """Numbers in the shared memory of a block: the weights, rows of odd length, and the states of its chains."""
    states = group_numbers(n_visible, chains_per_lane) + group_numbers(n_hidden, chains_per_lane)
    return n_visible * (n_hidden | 1) + n_groups * states


def lanes_per_group(n_entries: int, n_lanes: int, n_groups: int, tile: tuple[int, int]) -> int:
    """Lanes that take the units of one group of chains: enough for all at once, if there are so many.

    A multiple of the chains of a lane, so that the lanes of a block divide evenly among its chains when they draw.
    """
    chains, units = tile
    wanted = -(-n_entries // (units * chains)) * chains
    return max(chains, min(wanted, n_lanes // n_groups // chains * chains))


def global_seconds(
    n_models: int, n_chains: int, n_visible: int, n_hidden: int, itemsize: int, n_multiprocessors: int, per_block: int
) -> float:
    """About how long one sweep takes if blocks of per_block chains read the weights through the cache."""
    n_blocks = n_models * -(-n_chains // per_block)
    turns = -(-n_blocks // n_multiprocessors)
    in_cache = 2 * n_visible * n_hidden * itemsize * n_blocks / CACHE_BYTES
    # Blocks that are not full work as long as full ones.
    operations = 4 * n_visible * n_hidden * per_block * turns * n_multiprocessors
    return max(in_cache, operations / (LANES_SHARE * OPERATIONS * 4 / itemsize))


def products_seconds(n_models: int, n_chains: int, n_visible: int, n_hidden: int, itemsize: int) -> float:
    """About how long one sweep takes with the products of a library: those, and a pass over both layers."""
    rows = n_models * n_chains
    operations = 4 * n_visible * n_hidden * rows / (LIBRARY_SHARE * OPERATIONS)
    return max(LAUNCHES, operations + 2 * (n_visible + n_hidden) * rows * itemsize / MEMORY_BYTES)


def choose(
    n_models: int,
    n_chains: int,
    n_visible: int,
    n_hidden: int,
    itemsize: int,
    limits: tuple[int, int, int],
    tile: tuple[int, int],
    has_library: bool,
) -> Plan:
    """The quickest way to sweep chains of these models.

    Parameters
    ----------
    n_models, n_chains, n_visible, n_hidden : int
    itemsize : int
        Bytes of a weight.
    limits : (shared_bytes, n_multiprocessors, n_lanes)
        See `_cuda.limits`.
    tile : (int, int)
        Chains and units that one lane takes together.
    has_library : bool
        Whether a library of matrix products is installed.

    Returns
    -------
    Plan

    Examples
    --------
    >>> from mcgen.rbm.gibbs import plans
    >>> h200 = (232448, 132, 256)
    >>> plans.choose(1, 4096, 64, 64, 4, h200, (8, 4), has_library=True).name
    'shared'
    >>> plans.choose(1, 4096, 1024, 1024, 4, h200, (8, 4), has_library=True).name
    'products'
    >>> plans.choose(1, 4096, 1024, 1024, 4, h200, (8, 4), has_library=False)
    Plan(name='global', n_groups=4, lanes_per_group=64, n_lanes=256, n_blocks=128, shared_bytes=0)
    """
    shared_bytes, n_multiprocessors, n_lanes = limits
    chains, _ = tile
    n_entries = max(n_visible, n_hidden)
    groups = -(-n_chains // chains)

    def block(name: str, n_groups: int, shared_bytes: int = 0) -> Plan:
        lanes = lanes_per_group(n_entries, n_lanes, n_groups, tile)
        columns = n_groups * chains
        rows = min(n_lanes // columns, max(-(-n_entries // 4), lanes // chains))
        return Plan(name, n_groups, lanes, rows * columns, -(-groups // n_groups), shared_bytes)

    def needed(n_groups: int) -> int:
        return itemsize * shared_numbers(n_visible, n_hidden, n_groups, chains)

    most = max(1, min(groups, n_lanes // lanes_per_group(n_entries, n_lanes, 1, tile)))
    if needed(1) <= shared_bytes:
        # As many groups as give every multiprocessor a block.
        wanted = min(most, -(-n_models * groups // n_multiprocessors))
        n_groups = max(n for n in range(1, wanted + 1) if needed(n) <= shared_bytes)
        return block("shared", n_groups, needed(n_groups))

    def seconds(n_groups: int) -> float:
        shape = (n_models, n_chains, n_visible, n_hidden, itemsize)
        return global_seconds(*shape, n_multiprocessors, n_groups * chains)

    # Of equally quick ones the largest, which reads the weights least often.
    possible = [n for n in (4, 3, 2, 1) if n * chains <= max(n_lanes, chains)]
    n_groups = min(possible, key=seconds)
    library = products_seconds(n_models, n_chains, n_visible, n_hidden, itemsize)
    if has_library and library < seconds(n_groups):
        return Plan("products")
    return block("global", n_groups)
