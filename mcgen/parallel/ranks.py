"""The ranks: who this process is among them, its share of things, and what all of them know together."""

import hashlib
import importlib
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from mcgen.errors import InputError, McgenError

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
        return part(n, self.rank if rank is None else rank, self.size)

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


def part(n: int, k: int, n_parts: int) -> slice:
    """Part k of n things that are cut into contiguous parts, all about as large."""
    return slice(n * k // n_parts, n * (k + 1) // n_parts)


def refuse_resume(state: object, world: World) -> None:
    """Raise `InputError` if several ranks are to go on from states of different moments and do not remember enough."""
    if state is not None and world.size > 1 and not world.remembers:
        raise InputError(
            f"to go on with draws, {world.size} ranks need what they have agreed on before; pass "
            "world=mcgen.agreements.Agreements(world), and keep its state"
        )
