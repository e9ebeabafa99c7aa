"""Computations of several long loops, which go on where they were killed: what each loop has reached, in their order.

A computation that is run again with the same arguments comes to the same loops in the same order. A loop that was
complete then ends at once with what it ended with, and the one that was not goes on from its last note; what lies
between loops is computed again. Without a journal a loop is a plain loop: `mcgen.results.kept_loops` opens one.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from mcgen.states import State


class Journal:
    """The notes of all loops of a computation, by their number.

    Parameters
    ----------
    notes : list
        Those of an earlier run.
    written : callable
        Called after every note.
    of_sum : Path, optional
        Where an exact sum, which has a checkpoint of its own, may keep it.

    Attributes
    ----------
    notes : list of dict
    """

    def __init__(self, notes: list, written: Callable[[], object] = lambda: None, of_sum: Path | None = None):
        self.notes, self.written, self.of_sum = notes, written, of_sum
        self.n_begun, self.is_open = 0, False


class Loop:
    """One of the loops: see `begun`.

    Attributes
    ----------
    state : dict or None
        What an earlier run noted last.
    of_sum : Path or None
        Where an exact sum in the loop keeps its checkpoint.
    """

    def __init__(self, journal: Journal | None):
        self._journal, self.state, self.of_sum = journal, None, None
        if journal is not None:
            self.of_sum = journal.of_sum
            self._number, journal.n_begun = journal.n_begun, journal.n_begun + 1
            self.state = journal.notes[self._number] if self._number < len(journal.notes) else None

    def note(self, state: Callable[[], dict[str, State]]) -> None:
        """After a piece of work: keep what the loop goes on from, if there is a journal.

        Parameters
        ----------
        state : callable
            Gives it; what it gives must not change afterwards.
        """
        if self._journal is not None:
            self._journal.notes[self._number :] = [state()]
            self._journal.written()


_journal: Journal | None = None


@contextlib.contextmanager
def noted(journal: Journal) -> Iterator[Journal]:
    """All loops in the `with` statement are noted in a journal.

    Examples
    --------
    >>> from mcgen import loops
    >>> def total():
    ...     with loops.begun() as loop:
    ...         n, so_far = (0, 0) if loop.state is None else (loop.state["n"], loop.state["so_far"])
    ...         while n < 5:
    ...             n, so_far = n + 1, so_far + n
    ...             loop.note(lambda: {"n": n, "so_far": so_far})
    ...     return so_far
    >>> with loops.noted(loops.Journal([{"n": 4, "so_far": 6}])) as journal:
    ...     total()
    10
    >>> journal.notes
    [{'n': 5, 'so_far': 10}]
    """
    global _journal
    before, _journal = _journal, journal
    try:
        yield journal
    finally:
        _journal = before


@contextlib.contextmanager
def begun() -> Iterator[Loop]:
    """A long loop: what it goes on from, if it was noted, and where it is noted. Loops inside of it are part of it."""
    journal = None if _journal is None or _journal.is_open else _journal
    if journal is None:
        yield Loop(None)
        return
    journal.is_open = True
    try:
        yield Loop(journal)
    finally:
        journal.is_open = False
