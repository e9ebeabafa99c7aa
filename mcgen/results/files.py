"""Files as a whole: checked before work starts, written beside and renamed, marked with where they came from."""

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py

from mcgen import provenance
from mcgen.errors import FileError
from mcgen.results.schema import VERSION

# For what HDF5 still has to write of any file: its indices, scales and attributes.
BYTES_TO_FINISH = 1 << 22
OTHERWISE = "choose another path or free some space"


@contextlib.contextmanager
def written_beside(path: Path, beside: Path | None = None, kept: Path | None = None) -> Iterator[Path]:
    """A path beside `path` to write to; renamed to `path` when all went well, removed otherwise.

    Parameters
    ----------
    path : Path
    beside : Path, optional
        Another place to write to, on the same disk.
    kept : Path, optional
        The unfinished file, if there is one: an error says that it keeps what was there before.

    Raises
    ------
    FileError
        If writing fails.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial") if beside is None else beside
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())  # the content is on the disk before the name is
        os.replace(beside, path)  # noqa: PTH105 - the atomic rename is the point
    except FileError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # what HDF5 adds to it is many lines long
        is_kept = kept is not None and kept.exists()
        way_out = f"free some space, and go on from {kept} with --resume" if is_kept else OTHERWISE
        raise FileError(f"{path} cannot be written ({reason}); {way_out}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def check_output(path: str | Path, overwrite: bool = False) -> Path:
    """The path as a `Path`, checked to be writable before work starts.

    Raises
    ------
    FileError
        If it exists and overwrite is false, it is a folder, or its folder is not there or not writable.
    """
    path = Path(path)
    try:
        exists, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
    except OSError as error:  # the name is too long, or a folder may not be entered
        raise FileError(f"{path} cannot be written ({error.strerror}); choose another path") from error
    if is_folder:
        raise FileError(f"{path} is a folder; give the name of a file")
    if exists and not is_file:
        raise FileError(f"{path} is a device, and would be replaced by a file; give the name of a file")
    if exists and not overwrite:
        raise FileError(f"{path} exists; choose another name, or overwrite it (overwrite=True, --overwrite)")
    folder = path.parent
    if not folder.is_dir():
        raise FileError(f"the folder {folder} of {path.name} does not exist; create it first")
    if not os.access(folder, os.W_OK):
        raise FileError(f"the folder {folder} of {path.name} is not writable; choose another one")
    return path


def check_room(file: h5py.File, n_bytes: int) -> None:
    """Raise `FileError` if the disk has no room for n_bytes more: HDF5 crashes where it is not let to finish a file.

    Parameters
    ----------
    file : h5py.File
    n_bytes : int
    """
    free = shutil.disk_usage(Path(file.filename).parent).free
    if free < n_bytes + BYTES_TO_FINISH:
        raise FileError(
            f"the disk of {Path(file.filename).parent.resolve()} has {free / 1e6:.0f} MB left, and "
            f"{(n_bytes + BYTES_TO_FINISH) / 1e6:.0f} MB are needed to go on; choose another path or free some space"
        )


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the end of the `with` statement: h5py ignores exceptions in places."""
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in signals}
    if threading.current_thread() is not threading.main_thread() or None in handlers.values():
        yield  # they are not raised here
        return
    caught = []
    for number in signals:
        signal.signal(number, lambda number, frame: caught.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


def sign(file: h5py.File, configuration: dict, status: str) -> None:
    """Write the root attributes: the version of the schema, and where the file came from."""
    file.attrs["schema_version"] = VERSION
    for name, value in provenance.attributes(configuration, status).items():
        file.attrs[name] = value
