"""What a process that MPI has started with others finds out about them, and how all of them end."""

import contextlib
import importlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator

from mcgen.errors import McgenError
from mcgen.parallel.ranks import ALONE, World

# What MPICH and its relatives, Open MPI, PMIx and Slurm tell every process that they start: its rank, how many there
# are, and its rank among those on the same machine.
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS")
BATCH_STEP = "4294967291"  # the number that Slurm gives the batch script
LOCAL_RANKS = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
# An error that all ranks have is told by rank 0 alone: the others wait for its end before they tell theirs.
SECONDS_FOR_RANK_0 = 1.0

_FOUND: list[World] = []


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
