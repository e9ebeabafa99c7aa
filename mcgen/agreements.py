"""Ranks that draw their own chains, agree on a few numbers now and then, and can be stopped and go on with each other.

Each rank keeps checkpoints when it likes, so that a kill leaves them at different moments, and each goes on from its
own. What they had agreed on by then is kept too: a rank that comes to an agreement which others have behind them takes
the numbers from these, and nobody waits for a rank that is ahead. A rank that waits looks for messages, at the clock
and at its signals in turn; inside of MPI it would hear of nothing.
"""

import time
from collections.abc import Callable

import numpy as np

from mcgen import interruption
from mcgen.errors import FileError
from mcgen.parallel import World

TALK, STOP, END = 1, 2, 3  # tags of messages
SECONDS_BETWEEN_LOOKS = 1e-3


class Agreements(World):
    """The processes of a world, who remember what they have agreed on.

    Parameters
    ----------
    world : World

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import parallel
    >>> from mcgen.agreements import Agreements
    >>> world = Agreements(parallel.World())
    >>> world.total(np.array([3, 4])).tolist(), world.gather("here")
    ([3, 4], ['here'])
    """

    remembers = True

    def __init__(self, world: World):
        super().__init__(world.communicator)
        self.rank, self.size = world.rank, world.size
        self._agreed: list[np.ndarray] = []
        self._n = 0  # agreements that this rank has come to
        self._was_told = False
        self._sent: list = []

    def agree(self, thing: object, rule: Callable[[list], np.ndarray]) -> np.ndarray:
        """What a rule makes of what each rank gives."""
        if self.size == 1:
            return rule([thing])
        if self._n == len(self._agreed):
            self._agreed.append(np.asarray(rule(self.gather(thing))))
        self._n += 1
        return self._agreed[self._n - 1]

    def total(self, numbers: np.ndarray) -> np.ndarray:
        """The sum over all ranks, of integers."""
        return self.agree(super().integers(numbers), lambda each: np.sum(each, axis=0))

    def gather(self, thing: object) -> list:
        """What each rank gives, in their order, on every rank. It is not remembered."""
        if self.size == 1:
            return [thing]
        if self.rank:
            self._send(thing, 0, TALK)
            return self._receive(0)
        things = [thing, *(self._receive(rank) for rank in range(1, self.size))]
        for rank in range(1, self.size):
            self._send(things, rank, TALK)
        return things

    def from_first(self, thing: object) -> object:
        """What rank 0 gives, on every rank."""
        return self.gather(thing)[0]

    def wait(self) -> None:
        """Go on when all ranks are here."""
        self.gather(None)

    def state(self) -> dict:
        """What has been agreed on so far, for `mcgen.states`."""
        return {"n": self._n, "agreed": list(self._agreed[: self._n])}

    def go_on(self, state: dict) -> None:
        """Go on from the state that this rank has kept. All ranks do so together, each from its own.

        Raises
        ------
        FileError
            If ranks have agreed on different numbers: their states are not of one run.
        """
        states = self.gather(state)
        longest = max((one["agreed"] for one in states), key=len)
        for rank, one in enumerate(states):
            if any(not np.array_equal(*pair) for pair in zip(one["agreed"], longest, strict=False)):
                raise FileError(f"the files of rank {rank} and the others are not of one run; start anew (--overwrite)")
        self._agreed, self._n = [np.asarray(one) for one in longest], int(state["n"])

    def heard_of_a_stop(self) -> int:
        """The exit status of another rank that was stopped; 0 where none was."""
        if self.size == 1 or not self.communicator.iprobe(tag=STOP):
            return 0
        self._was_told = True
        return self.communicator.recv(tag=STOP)

    def stop_together(self, status: int) -> None:
        """Have all other ranks stop as well, and go on when they have.

        Parameters
        ----------
        status : int
            Exit status of this rank, for the others.
        """
        if self.size == 1:
            return
        others = range(1, self.size) if self.rank == 0 else (0,)
        for rank in others if self.rank == 0 or not self._was_told else ():
            self._send(status, rank, STOP)
        if self.rank:
            self._send(None, 0, END)
        for rank in others:
            while not self.communicator.iprobe(rank, END):
                time.sleep(SECONDS_BETWEEN_LOOKS)
            self.communicator.recv(source=rank, tag=END)
        for rank in others if self.rank == 0 else ():
            self._send(None, rank, END)
        self.forget_messages()

    def forget_messages(self) -> None:
        """Take what others have sent before they stopped."""
        while self.size > 1 and self.communicator.iprobe():
            self.communicator.recv()

    def _send(self, thing: object, rank: int, tag: int) -> None:
        self._sent = [request for request in self._sent if not request.Test()]
        self._sent.append(self.communicator.isend(thing, rank, tag))

    def _receive(self, rank: int) -> object:
        while not self.communicator.iprobe(rank, TALK):
            interruption.look_at_the_clock()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return self.communicator.recv(source=rank, tag=TALK)
