"""What ends long work before it is complete: Ctrl-C, SIGTERM, and the end of the time that it was given.

All three are a `KeyboardInterrupt` to the work, which keeps what is done, as after Ctrl-C. The time is looked at
wherever progress is made: `mcgen.progress` calls `look_at_the_clock` after every piece of work.
"""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

# Exit statuses: after Ctrl-C, and after SIGTERM, as shells have it (128 plus the number of the signal); after the time
# limit that of a temporary failure (EX_TEMPFAIL of sysexits.h): try again.
AFTER_CTRL_C, AFTER_SIGTERM, AFTER_TIME_LIMIT = 130, 143, 75
# Pieces of work do not all take the same time: so much longer than the longest so far may the next one be.
ALLOWANCE = 1.5
# For what a program does at its end.
SECONDS_AT_THE_END = 1.0


class Terminated(KeyboardInterrupt):
    """SIGTERM."""


class OutOfTime(KeyboardInterrupt):
    """The next piece of work would not have ended before the time limit."""


class StoppedTogether(KeyboardInterrupt):
    """All processes stop here."""


class _Clock:
    """The time limit of this process, and the longest piece of work so far."""

    def __init__(self) -> None:
        self.status, self.end, self.reserve = AFTER_CTRL_C, None, 0.0
        self.last, self.longest = time.monotonic(), 0.0
        self.hears: Callable[[], int] | None = None
        self.waits = False
        self.ignored: KeyboardInterrupt | None = None


_clock = _Clock()


@contextlib.contextmanager
def handled(time_limit: float | None = None) -> Iterator[None]:
    """SIGTERM ends the work in the `with` statement as Ctrl-C does, and so does the time limit, before it is over.

    Parameters
    ----------
    time_limit : float, optional
        Seconds since the process began, as far as it has used them: the time before this call is its CPU time.

    Examples
    --------
    >>> import signal
    >>> from mcgen import interruption
    >>> try:
    ...     with interruption.handled():
    ...         signal.raise_signal(signal.SIGTERM)
    ... except KeyboardInterrupt:
    ...     print(interruption.exit_status())
    143
    """
    global _clock
    _clock = _Clock()
    if time_limit is not None:
        _clock.end = _clock.last - time.process_time() + time_limit
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, hook = signal.signal(signal.SIGTERM, _terminate), sys.unraisablehook

    def ignored(what: object) -> None:
        if isinstance(what.exc_value, KeyboardInterrupt):
            _clock.ignored = what.exc_value
        else:
            hook(what)

    # Python ignores exceptions in the callbacks of weak references, of which compiled kernels have many.
    sys.unraisablehook = ignored
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
        _clock.end = None


@contextlib.contextmanager
def listening(hears: Callable[[], int]) -> Iterator[None]:
    """What ends the work of another process ends that in the `with` statement.

    Parameters
    ----------
    hears : callable
        Called after every piece of work. Gives the exit status of another process that was stopped, 0 if none was.

    Examples
    --------
    >>> from mcgen import interruption
    >>> try:
    ...     with interruption.listening(lambda: 75):
    ...         interruption.look_at_the_clock()
    ... except KeyboardInterrupt as interrupt:
    ...     print(interrupt)
    another rank was stopped
    """
    _clock.hears = hears
    try:
        yield
    finally:
        _clock.hears = None


@contextlib.contextmanager
def waiting() -> Iterator[Callable[[], int]]:
    """In the `with` statement, nothing is interrupted: Ctrl-C, SIGTERM and the time limit are asked for.

    For processes that go through the same pieces of work, and are to stop after the same one: see `stop`.

    Yields
    ------
    callable
        Gives the exit status of what would have interrupted the work by now, 0 if nothing would.

    Examples
    --------
    >>> import signal
    >>> from mcgen import interruption
    >>> with interruption.waiting() as status:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     print(status())
    143
    """
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda number, frame: caught.append(number)) for number in numbers}
    _clock.waits = True
    try:
        yield lambda: _status_of(caught)
    finally:
        _clock.waits = False
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def stop(status: int) -> NoReturn:
    """Interrupt the work of this process as others do it at the same place.

    Raises
    ------
    StoppedTogether
    """
    _clock.end, _clock.status = None, status
    raise StoppedTogether("stopped; nothing was written")


def _status_of(caught: Sequence[int]) -> int:
    if caught:
        return AFTER_SIGTERM if signal.SIGTERM in caught else AFTER_CTRL_C
    return AFTER_TIME_LIMIT if _is_late() else 0


def exit_status() -> int:
    """The exit status of a command whose work was interrupted: 130, 143 after SIGTERM, 75 after the time limit."""
    return _clock.status


def reserve(seconds: float) -> None:
    """Keep so much time for what has to be done when the work is interrupted."""
    _clock.reserve = seconds


def look_at_the_clock() -> None:
    """Between two pieces of work: raise `OutOfTime` if the next one might not end before the time limit.

    Raises
    ------
    OutOfTime
        If what is left is less than 1.5 times the longest piece so far and the reserve. It is raised once.
    KeyboardInterrupt
        If another process was stopped (see `listening`), or Python ignored Ctrl-C or SIGTERM when they came.
    """
    if _clock.waits:
        return
    if _clock.ignored is not None:
        interrupt, _clock.ignored = _clock.ignored, None
        raise interrupt
    status = 0 if _clock.hears is None else _clock.hears()
    if status:
        _clock.hears, _clock.status = None, status
        raise Terminated("another rank was stopped")
    if _is_late():
        _clock.end, _clock.status = None, AFTER_TIME_LIMIT
        raise OutOfTime("the time limit is near: stopped; nothing was written")


def _is_late() -> bool:
    """Whether the next piece of work might not end before the time limit."""
    if _clock.end is None:
        return False
    now = time.monotonic()
    _clock.longest, _clock.last = max(_clock.longest, now - _clock.last), now
    return now + ALLOWANCE * _clock.longest + _clock.reserve + SECONDS_AT_THE_END >= _clock.end


def _terminate(*_: object) -> None:
    _clock.status = AFTER_SIGTERM
    raise Terminated("terminated; nothing was written")
