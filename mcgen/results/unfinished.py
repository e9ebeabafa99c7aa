"""The file of a run that has not ended, beside its output: where it lies, whose it is, and whether a run may go on.

The unfinished file of `run.h5` is `run.h5.part`. It is only ever replaced as a whole, by renaming, so that whenever the
run is killed it opens, has the status "running" or "interrupted", and holds what was complete at the last checkpoint:
the datasets of a finished file, and the group /checkpoint, from which the run goes on. Draws, of which there may be
more than can be written again and again, lie in `run.h5.blocks/`, in files that are never changed once they have their
name; `run.h5.part` refers to them by virtual datasets, and the two belong together.
"""

import contextlib
import fcntl
import glob
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mcgen import hdf5
from mcgen.errors import FileError
from mcgen.results.files import check_output

SECONDS_BETWEEN_CHECKPOINTS = 60.0


def part_of(path: str | Path) -> Path:
    """The unfinished file of an output.

    Examples
    --------
    >>> from mcgen.results.unfinished import part_of
    >>> part_of("run.h5").name
    'run.h5.part'
    """
    path = Path(path)
    return path.with_name(path.name + ".part")


def blocks_of(path: str | Path) -> Path:
    """The folder with the draws of an unfinished file."""
    path = Path(path)
    return path.with_name(path.name + ".blocks")


def is_begun(path: str | Path) -> bool:
    """Whether a run with this output has left something to go on from.

    Examples
    --------
    >>> from mcgen.results.unfinished import is_begun
    >>> is_begun("a_run_that_never_was.h5")
    False
    """
    return _is_there(part_of(path)) or (Path(path).is_file() and _attributes(Path(path))["has a checkpoint"])


def found(path: str | Path, settings: dict, overwrite: bool = False, resume: bool = False) -> Path | None:
    """The file that a run goes on from, or None if it starts anew; checked before work starts.

    Parameters
    ----------
    path : str or Path
        Of the output.
    settings : dict
        All that the data depend on: they must be those in the configuration of the unfinished run.
    overwrite, resume : bool
        Whether an output, or an unfinished file, that is there may be replaced; whether it may be gone on with.

    Returns
    -------
    Path or None
        The unfinished file, or the output of a run that was interrupted; None where there is neither.

    Raises
    ------
    FileError
        If something is there that may be neither replaced nor gone on with: the output is complete, the file has no
        checkpoint or is not one of mcgen's, or a setting differs, which the message names with both values.
    """
    path, part = Path(path), part_of(path)
    if _is_there(part):
        if resume:
            check_output(path, overwrite=True)
            return _checked(part, settings)
        if not overwrite:
            raise FileError(
                f"{part} is there, of a run that has not ended; go on with it (resume=True, --resume), or start anew "
                "and overwrite it (overwrite=True, --overwrite)"
            )
    if not resume or not path.exists():
        check_output(path, overwrite)
        return None
    attributes = _attributes(path)
    if overwrite and not attributes["has a checkpoint"]:
        check_output(path, overwrite)
        return None
    if attributes["status"] == "complete":
        raise FileError(
            f"{path} is complete, there is nothing to resume; leave out resume (--resume), or give another output"
        )
    check_output(path, overwrite=True)
    return _checked(path, settings)


def discard(path: str | Path) -> None:
    """Remove the unfinished file of an output, and its draws."""
    part_of(path).unlink(missing_ok=True)
    if blocks_of(path).exists():
        shutil.rmtree(blocks_of(path))


@contextlib.contextmanager
def claimed(path: str | Path) -> Iterator[None]:
    """The unfinished files of an output are this process's alone, as far as the file system knows of locks.

    Where there is no unfinished file at the end, nothing else is left of it either.

    Raises
    ------
    FileError
        If another process has them.
    """
    lock = Path(path).with_name(f".{Path(path).name}.lock")
    file = None
    try:
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:  # its name is longer than that of the output
            raise FileError(f"{path} cannot be written ({error.strerror}); choose another output") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError(
                f"{part_of(path)} is being written by another process; wait for it, or choose another output"
            ) from None
        except OSError:  # a file system without locks
            pass
        for stale in part_of(path).parent.glob(f".{glob.escape(part_of(path).name)}.*.partial"):
            stale.unlink()  # of a process that was killed while it wrote
        try:
            yield
        finally:
            if not part_of(path).exists():
                discard(path)
            lock.unlink(missing_ok=True)
    finally:
        if file is not None:
            os.close(file)


def is_claimed(path: str | Path) -> bool:
    """Whether a process has the unfinished files of an output; yes, where the file system does not know of locks."""
    lock = Path(path).with_name(f".{Path(path).name}.lock")
    try:
        file = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _is_there(path: Path) -> bool:
    """Whether there is such a file; no, where no file can have its name."""
    return os.path.exists(path)  # noqa: PTH110 - that of Path raises if the name is too long


def _attributes(path: Path) -> dict:
    try:
        listing = hdf5.read(path, lambda _: [])[0]
    except FileError as error:
        raise FileError(f"{path} cannot be resumed ({error}); it is not a file of mcgen's") from error
    attributes = listing.attrs | {"has a checkpoint": "checkpoint" in listing.groups}
    if "schema_version" not in attributes or "status" not in attributes:
        raise FileError(f"{path} cannot be resumed: it was not written by mcgen; choose another output")
    return attributes


def _checked(path: Path, settings: dict) -> Path:
    """The path, if its run had these settings."""
    attributes = _attributes(path)
    if not attributes["has a checkpoint"]:
        raise FileError(f"{path} has no checkpoint to resume from; make it again (overwrite=True, --overwrite)")
    try:
        before = dict(json.loads(attributes["configuration"]))
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(
            f"{path} cannot be resumed: it does not say with which settings it was begun; choose another output, or "
            "overwrite it"
        ) from error
    now = json.loads(json.dumps(settings, default=str))
    for name, value in now.items():
        if before.get(name) != value:
            raise FileError(
                f"{path} was begun with {name} = {before.get(name)}, and {name} is {value} now; give the same settings "
                "to resume it, or another output"
            )
    return path
