"""One process, or several that MPI has started: who this one is, what its share of the work is, what all know together.

`mpiexec -n 4 mcgen ...` starts four processes, the ranks 0 to 3. Random numbers are addressed by the number of a chain
(see `mcgen.rng`), so that a rank draws its share of the chains as one process would have drawn them, and whatever is
computed from all chains is computed on every rank from the same numbers in the same order: results do not depend on the
number of ranks. mpi4py is imported only where several ranks were started.
"""

import contextlib
import hashlib
import importlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mcgen.errors import InputError, McgenError

# What MPICH and its relatives, Open MPI, PMIx and Slurm tell every process that they start: its rank, how many there
# are, and its rank among those on the same machine.
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS")
BATCH_STEP = "4294967291"  # the number that Slurm gives the batch script
LOCAL_RANKS = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
# An error that all ranks have is told by rank 0 alone: the others wait for its end before they tell theirs.
SECONDS_FOR_RANK_0 = 1.0
# When all are ended, launchers drop what they have not passed on yet: the reason would be lost.
SECONDS_FOR_OUTPUT = 0.5


class World:
    """The processes that work together, and which of them this one is.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm, optional
        By default the process is alone.

    Attributes
    ----------
    rank, size : int
    communicator : mpi4py.MPI.Comm or None
    remembers : bool
        Whether ranks may go on from different moments: see `mcgen.agreements`.

    Examples
    --------
    >>> from mcgen.parallel import World
    >>> alone = World()
    >>> alone.rank, alone.size, alone.share(10), alone.total(np.array([3, 4])).tolist()
    (0, 1, slice(0, 10, None), [3, 4])
    """

    remembers = False

    def __init__(self, communicator: object = None):
        self.communicator = communicator
        self.rank = 0 if communicator is None else communicator.Get_rank()
        self.size = 1 if communicator is None else communicator.Get_size()

    def share(self, n: int, rank: int | None = None) -> slice:
        """Which of n things are those of a rank, by default this one: a contiguous part, all parts about as large."""
        return _part(n, self.rank if rank is None else rank, self.size)

    def total(self, numbers: np.ndarray) -> np.ndarray:
        """The sum over all ranks. Of integers alone: sums of other numbers depend on their order."""
        numbers = self.integers(numbers)
        if self.size == 1:
            return numbers
        result = np.empty_like(numbers)
        self.communicator.Allreduce(numbers, result)
        return result

    @staticmethod
    def integers(numbers: np.ndarray) -> np.ndarray:
        """The numbers, checked to be integers."""
        numbers = np.asarray(numbers, order="C")
        if numbers.dtype.kind not in "iu":
            raise TypeError(f"a sum over ranks of {numbers.dtype} would depend on their number; gather instead")
        return numbers

    def agree(self, thing: object, rule: Callable[[list], np.ndarray]) -> np.ndarray:
        """What a rule makes of what each rank gives: the same on every rank.

        Parameters
        ----------
        thing : object
        rule : callable
            Of the list of what the ranks give, in their order.

        Returns
        -------
        array
            Small: ranks that go on from different moments keep it.
        """
        return rule(self.gather(thing))

    def joined(self, part: np.ndarray, n: int) -> np.ndarray:
        """An array of n rows, of which every rank gives its `share`.

        Parameters
        ----------
        part : array, shape (rows of the share, ...)
        n : int

        Returns
        -------
        array, shape (n, ...)
            The same on every rank.
        """
        part = np.ascontiguousarray(part)
        if self.size == 1:
            return part
        whole = np.empty((n, *part.shape[1:]), part.dtype)
        row = part.dtype.itemsize * int(np.prod(part.shape[1:], dtype=np.int64))
        shares = [self.share(n, rank) for rank in range(self.size)]
        counts = [row * (one.stop - one.start) for one in shares]
        places = [row * one.start for one in shares]
        flat = [array.reshape(-1).view(np.uint8) for array in (part, whole)]
        self.communicator.Allgatherv([flat[0], counts[self.rank]], [flat[1], counts, places, self._bytes])
        return whole

    @property
    def _bytes(self) -> object:
        return importlib.import_module("mpi4py.MPI").BYTE

    def gather(self, thing: object) -> list:
        """What each rank gives, in their order, on every rank."""
        return [thing] if self.size == 1 else self.communicator.allgather(thing)

    def from_first(self, thing: object) -> object:
        """What rank 0 gives, on every rank."""
        return thing if self.size == 1 else self.communicator.bcast(thing)

    def wait(self) -> None:
        """Go on when all ranks are here."""
        if self.size > 1:
            self.communicator.Barrier()

    def check_agreement(self, arrays: Sequence[np.ndarray]) -> None:
        """Raise `McgenError` unless all ranks have the same numbers: different processors may round differently."""
        if self.size == 1:
            return
        digests = self.gather(hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest())
        different = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
        if different:
            raise McgenError(
                f"ranks 0 and {different[0]} have computed different numbers from the same ones; start all ranks on "
                "machines of one kind, with the same libraries"
            )

    def split(self, group: int) -> "World":
        """The ranks that give the same number, as a world of their own; those below 0 are in none, and go alone."""
        if self.size == 1:
            return self
        missing = importlib.import_module("mpi4py.MPI").UNDEFINED
        communicator = self.communicator.Split(group if group >= 0 else missing, self.rank)
        return World(communicator) if group >= 0 else ALONE

    def abort(self, status: int) -> None:
        """End all ranks."""
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(SECONDS_FOR_OUTPUT)
        self.communicator.Abort(status)


ALONE = World()
_FOUND: list[World] = []


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


def refuse_resume(state: object, world: World) -> None:
    """Raise `InputError` if several ranks are to go on from states of different moments and do not remember enough."""
    if state is not None and world.size > 1 and not world.remembers:
        raise InputError(
            f"to go on with draws, {world.size} ranks need what they have agreed on before; pass "
            "world=mcgen.agreements.Agreements(world), and keep its state"
        )


def started() -> int:
    """How many processes were started together, this one included, as the environment tells."""
    if not any(name in os.environ for name in RANKS):
        return 1
    # Slurm sets its variables in the batch script too, which is one process.
    if not any(name in os.environ for name in RANKS[:3]) and os.environ.get("SLURM_STEP_ID", BATCH_STEP) == BATCH_STEP:
        return 1
    sizes = [int(os.environ[name]) for name in SIZES if os.environ.get(name, "").isdigit()]
    return max(sizes, default=1)


def local_rank() -> int:
    """The rank of this process among those on the same machine, 0 where it was started alone: it picks the GPU."""
    return next((int(os.environ[name]) for name in LOCAL_RANKS if os.environ.get(name, "").isdigit()), 0)


def world() -> World:
    """The ranks that were started together: one unless `mpiexec` or its like started more.

    From then on an exception that nothing catches ends all ranks, which would wait for this one otherwise.

    Raises
    ------
    McgenError
        If several were started and mpi4py is missing, or was built for another MPI than that which started them: each
        would believe that it is alone, and all would do the same work and write the same file.

    Examples
    --------
    >>> from mcgen import parallel
    >>> parallel.world().size
    1
    """
    n_started = started()
    if n_started == 1:
        return ALONE
    try:
        communicator = importlib.import_module("mpi4py.MPI").COMM_WORLD
    except (ImportError, RuntimeError) as error:
        raise McgenError(
            f"{n_started} processes were started together, but mpi4py cannot be used ({error}); "
            "pip install 'mcgen[mpi]', or start one process without mpiexec"
        ) from error
    if communicator.Get_size() == 1:
        raise McgenError(
            f"{n_started} processes were started together, but each finds itself alone: mpi4py was built for another "
            "MPI than the mpiexec that started them; use the mpiexec of the same MPI"
        )
    if not _FOUND:
        _FOUND.append(World(communicator))
        sys.excepthook = lambda kind, error, trace: end_all(_FOUND[0], error, 1)
        _share_cores(_FOUND[0])
    return _FOUND[0]


def _share_cores(world: World) -> None:
    """Ranks that may use the same cores of one machine take as many threads together as there are cores.

    Where NUMBA_NUM_THREADS says how many threads a rank has, that is what it has.
    """
    import numba  # late: it is a second of processor time

    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    here = socket.gethostname(), cores
    n_ranks = world.gather(here).count(here)
    if "NUMBA_NUM_THREADS" not in os.environ:
        numba.set_num_threads(max(1, numba.config.NUMBA_NUM_THREADS // n_ranks))


def list_processes(world: World) -> None:
    """Tell on standard error which process is which rank, if there are several.

    A rank that is killed can tell nothing: MPI ends the others, and names the host, the process and the signal.
    """
    if world.size == 1:
        return
    hosts: dict[str, list[str]] = {}
    for rank, (host, process) in enumerate(world.gather((socket.gethostname(), os.getpid()))):
        hosts.setdefault(host, []).append(f"{rank} is {process}")
    if world.rank == 0:
        for host, processes in hosts.items():
            print(f"mcgen: {world.size} ranks, processes on {host}: rank {', '.join(processes)}", file=sys.stderr)


def end_all(world: World, error: BaseException, status: int) -> None:
    """Say which rank failed on which host and why, and end all ranks. Does not return where there are several.

    Parameters
    ----------
    world : World
    error : exception
    status : int
        Exit status.
    """
    if world.size == 1:
        return
    if world.rank:
        time.sleep(SECONDS_FOR_RANK_0)
    if not isinstance(error, McgenError | KeyboardInterrupt):
        traceback.print_exception(error)
    reason = str(error) or type(error).__name__
    if isinstance(error, KeyboardInterrupt) and (world.rank or not str(error)):  # rank 0 knows what is kept
        reason = "interrupted"
    print(f"mcgen: rank {world.rank} of {world.size} on {socket.gethostname()}: {reason}", file=sys.stderr)
    world.abort(status)


@contextlib.contextmanager
def quiet_unless_first(world: World) -> Iterator[None]:
    """What ranks other than 0 print to standard output is what rank 0 prints, and is left out."""
    if world.rank == 0:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        yield


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
    return Grid(_part(n_temperatures, column, t), _part(n_groups, row, g), column)


def _part(n: int, k: int, n_parts: int) -> slice:
    return slice(n * k // n_parts, n * (k + 1) // n_parts)


def cut(n_chains: int, per_group: int, groups: slice) -> slice:
    """The chains of some groups of `per_group` chains, the last of which may not be full.

    Examples
    --------
    >>> from mcgen import parallel
    >>> parallel.cut(10, 4, slice(1, 3))
    slice(4, 10, None)
    """
    return slice(min(n_chains, groups.start * per_group), min(n_chains, groups.stop * per_group))
