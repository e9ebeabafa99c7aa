"""Progress with time left, on standard error: a bar on a terminal, a plain line now and then otherwise."""

import sys
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


class _Lines:
    """At most one plain line every ten seconds: short work leaves no trace in a log."""

    def __init__(self, total: int, label: str):
        self.total, self.label, self.done = total, label, 0
        self.start = self.last = time.monotonic()

    def update(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_LINES and self.done:
            self.last = now
            left = (now - self.start) * (self.total - self.done) / self.done
            print(
                f"{self.label}: {100 * self.done // self.total}%, about {left:.0f} s left", file=sys.stderr, flush=True
            )

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def progress(total: int, label: str, shown: bool) -> "tqdm | _Lines":
    """A context manager with `update(n)`, for `total` pieces of work.

    Examples
    --------
    >>> from mcgen.progress import progress
    >>> with progress(3, "sweeps", shown=False) as bar:
    ...     bar.update(3)
    """
    if shown and not sys.stderr.isatty():
        return _Lines(total, label)
    return tqdm(total=total, desc=label, disable=not shown, leave=False, dynamic_ncols=True)
