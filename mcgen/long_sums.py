"""Sums over many blocks: progress with time left, a warning of what is to come, Ctrl-C without loss, resuming."""

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mcgen import hdf5, interruption
from mcgen.errors import FileError
from mcgen.parallel import ALONE, World
from mcgen.progress import progress as progress_bar

# Sums that take longer are announced before they start, and shown unless the caller does not want it.
LONG_SECONDS = 60.0
SECONDS_BETWEEN_CHECKPOINTS = 60.0

State = tuple[np.ndarray, ...]


def fingerprint(*parts: object) -> str:
    """A digest of what a sum is of: arrays, numbers and names. Only a sum with the same digest may be continued.

    Examples
    --------
    >>> from mcgen.long_sums import fingerprint
    >>> fingerprint("log Z", 3) == fingerprint("log Z", 3), fingerprint("log Z", 3) == fingerprint("log Z", 4)
    (True, False)
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(repr((part.dtype.str, part.shape)).encode() + np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def spread(term: Callable[..., object], n_blocks: int, world: World) -> Callable[..., object]:
    """A function of a block, and of more arguments, that the ranks compute for one block each and then tell each other.

    The sums that are made of its values, in the order of the blocks, do not depend on the number of ranks. It must be
    called on every rank for the same blocks in the same order, with the same arguments for blocks that follow each
    other.

    Parameters
    ----------
    term : callable
        term(block, ...), of blocks 0 ... n_blocks-1.
    n_blocks : int
    world : World

    Examples
    --------
    >>> from mcgen.long_sums import spread
    >>> from mcgen.parallel import ALONE
    >>> spread(lambda block: block**2, 5, ALONE)(3)
    9
    """
    if world.size == 1:
        return term
    known: dict[int, object] = {}

    def value(block: int, *arguments: object) -> object:
        if block not in known:
            own = block + world.rank
            terms = world.gather(term(own, *arguments) if own < n_blocks else None)
            known.clear()
            known.update(enumerate(terms, start=block))
        return known.pop(block)

    return value


def long_sum(
    work: Callable[[int, State | None], State],
    n_blocks: int,
    label: str,
    what: tuple,
    checkpoint: str | os.PathLike | None = None,
    progress: bool | None = None,
    cost: Callable[[int], int] = lambda block: 1,
    world: World = ALONE,
) -> State:
    """Add up blocks 0 ... n_blocks-1, one after the other.

    Parameters
    ----------
    work : callable
        work(block, state) returns the state with the block added; the state before the first block is None. It must
        depend on its arguments alone: a sum that was interrupted and resumed then has the same bits.
    n_blocks : int
    label : str
        What is summed, for the progress.
    what : tuple
        All that the sum depends on, arrays, numbers and names: a checkpoint keeps its `fingerprint`, with n_blocks.
    checkpoint : path, optional
        Where the sum so far is kept: every minute, and when Ctrl-C comes. If the file is there at the start, the sum
        goes on from it. It is deleted at the end.
    progress : bool, optional
        Show progress on standard error; by default if the sum takes more than a minute.
    cost : callable
        cost(block) is proportional to the time that a block takes.
    world : World
        The ranks that all add up the same sum (see `spread`); rank 0 keeps the checkpoint.

    Returns
    -------
    tuple of arrays
        The state after the last block.

    Raises
    ------
    FileError
        If the checkpoint is that of another sum, or cannot be read or written.
    KeyboardInterrupt
        After Ctrl-C; the message says where the sum so far is kept.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.long_sums import long_sum
    >>> def add(block, state):
    ...     return (np.array(block + (0 if state is None else state[0])),)
    >>> int(long_sum(add, 5, "numbers", what=(0, 5))[0])
    10
    """
    path = None if checkpoint is None else Path(checkpoint)
    identity = "" if path is None else fingerprint(n_blocks, *what)
    done, state = world.from_first(_start(path, identity) if world.rank == 0 else None)
    path = path if world.rank == 0 else None
    if path is not None and not path.parent.is_dir():
        raise FileError(f"{path}: there is no folder {path.parent}; make it, or choose another checkpoint")
    total, finished = sum(map(cost, range(n_blocks))), sum(map(cost, range(done)))
    already = done
    saved = time.monotonic()
    bar = None
    try:
        while done < n_blocks:
            before = time.monotonic()
            state, done = work(done, state), done + 1
            now = time.monotonic()
            finished += cost(done - 1)
            interruption.look_at_the_clock()
            if bar is not None:
                bar.update(cost(done - 1))
            elif done - already == 2 and progress is not False:
                # The first block may include compilation; the second shows what a block takes.
                seconds = (now - before) * (total - finished) / cost(done - 1)
                if seconds > LONG_SECONDS:
                    print(_announcement(label, seconds, path), file=sys.stderr, flush=True)
                if progress or seconds > LONG_SECONDS:
                    bar = progress_bar(total, label, True, finished)
            if path is not None and now - saved > SECONDS_BETWEEN_CHECKPOINTS:
                _write(path, identity, label, done, state)
                saved = now
    except KeyboardInterrupt:
        percent = 100 * finished // total
        if path is None or state is None:
            raise KeyboardInterrupt(f"interrupted: {label} at {percent}%; nothing was kept") from None
        _write(path, identity, label, done, state)
        raise KeyboardInterrupt(
            f"interrupted: {label} at {percent}%; the sum so far is in {path}: run the same again to go on"
        ) from None
    finally:
        if bar is not None:
            bar.__exit__(None, None, None)
    if path is not None:
        path.unlink(missing_ok=True)
    return state


def _start(path: Path | None, identity: str) -> tuple[int, State | None]:
    """Blocks that are done, and their sum."""
    return (0, None) if path is None or not path.exists() else _read(path, identity)


def _announcement(label: str, seconds: float, path: Path | None) -> str:
    words = f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
    kept = f"Ctrl-C keeps the sum so far in {path}" if path is not None else "without a checkpoint, Ctrl-C loses it"
    return f"{label}: about {words} to go; {kept}"


def _write(path: Path, identity: str, label: str, done: int, state: State) -> None:
    """Beside the old checkpoint first, then in its place: one of the two is always whole."""
    beside = path.with_name(path.name + ".part")
    try:
        with hdf5.NewFile(beside) as file:
            file.attrs.update({"mcgen": "checkpoint", "identity": identity, "label": label, "done": done})
            for k, array in enumerate(state):
                file.create_dataset(f"sums/{k}", data=array)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise FileError(f"{path}: the checkpoint cannot be written ({error}); choose another place") from error


def _read(path: Path, identity: str) -> tuple[int, State]:
    def choose(listing: hdf5.Listing) -> list[str]:
        found, label, done = (listing.attrs.get(name) for name in ("identity", "label", "done"))
        names = set(listing.groups.get("sums", ()))
        numbers = list(map(str, range(len(names))))
        if found is None or not isinstance(done, np.integer) or names != set(numbers) or not names:
            raise FileError(f"{path} is not a checkpoint of mcgen; delete it, or choose another")
        if found != identity:
            raise FileError(
                f"{path} is the checkpoint of another sum ({hdf5.printable(str(label))}, or of other "
                "parameters); finish that one, delete it, or choose another"
            )
        return [f"sums/{number}" for number in numbers]

    if not hdf5.is_hdf5(path):
        raise FileError(f"{path} is not a checkpoint of mcgen; delete it, or choose another")
    listing, groups = hdf5.read(path, choose)
    return int(listing.attrs["done"]), tuple(groups["sums"].values())
