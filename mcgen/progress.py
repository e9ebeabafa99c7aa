"""Progress with time left, on standard error: a bar on a terminal, a plain line now and then otherwise."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from tqdm import tqdm

from mcgen import interruption

Result = TypeVar("Result")

SECONDS_BETWEEN_LINES = 10.0


class _Lines:
    """At most one plain line every ten seconds: short work leaves no trace in a log.

    The time left is judged by the work since the line before. Nothing is said of it after the first update, which may
    have waited for kernels to compile.
    """

    def __init__(self, total: int, label: str, initial: int = 0):
        self.total, self.label, self.initial, self.done = total, label, initial, initial
        self.began = self.last = time.monotonic()
        # The work that the time left is judged by began at `start`, with so much done.
        self.start, self.done_at_start = self.began, initial

    def update(self, n: int) -> None:
        interruption.look_at_the_clock()
        self.done += n
        now = time.monotonic()
        is_first = self.done_at_start == self.initial
        is_due = now - self.last >= SECONDS_BETWEEN_LINES and self.done > self.done_at_start
        if is_due:
            left = (now - self.start) * (self.total - self.done) / (self.done - self.done_at_start)
            words = f" after {now - self.began:.0f} s" if is_first else f", about {left:.0f} s left"
            print(f"{self.label}: {100 * self.done // self.total}%{words}", file=sys.stderr, flush=True)
            self.last = now
        if is_due or is_first:
            self.start, self.done_at_start = now, self.done

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class _Bar(tqdm):
    """A bar that looks at the clock."""

    def update(self, n: int = 1) -> bool | None:
        interruption.look_at_the_clock()
        return super().update(n)


def progress(total: int, label: str, shown: bool, initial: int = 0) -> "tqdm | _Lines":
    """A context manager with `update(n)`, for `total` pieces of work, of which `initial` are done already.

    An update also ends the work if a time limit is near: see `mcgen.interruption`.

    Examples
    --------
    >>> from mcgen.progress import progress
    >>> with progress(3, "sweeps", shown=False) as bar:
    ...     bar.update(3)
    """
    if shown and not sys.stderr.isatty():
        return _Lines(total, label, initial)
    return _Bar(total=total, initial=initial, desc=label, disable=not shown, leave=False, dynamic_ncols=True)


def until_interrupted(
    work: Callable[[int], Result], n: int, was_interrupted: Callable[[Result], bool] = lambda result: False
) -> tuple[list[Result], bool]:
    """Do work(0) ... work(n - 1); Ctrl-C ends it, and what is done by then is kept.

    Parameters
    ----------
    work : callable
        Called with the number of the piece.
    n : int
        Number of pieces.
    was_interrupted : callable
        Whether a result is itself that of an interrupted piece, which is kept and ends the work too.

    Returns
    -------
    list of results, and whether there are fewer or less complete ones than asked for

    Raises
    ------
    KeyboardInterrupt
        If nothing was done yet.

    Examples
    --------
    >>> from mcgen.progress import until_interrupted
    >>> until_interrupted(lambda k: k * k, 3)
    ([0, 1, 4], False)
    """
    done: list[Result] = []
    for k in range(n):
        try:
            done.append(work(k))
        except KeyboardInterrupt:
            if not done:
                raise
            return done, True
        if was_interrupted(done[-1]):
            return done, True
    return done, False
