"""New HDF5 files, made in memory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py


@contextlib.contextmanager
def created(path: str | Path) -> Iterator[h5py.File]:
    """A new HDF5 file, made in memory and written to `path` at the end of the `with` statement.

    The HDF5 library crashes, at the latest when the process ends, where a write to the disk fails. So it writes to
    memory, which takes as much as the file, and the disk is left to Python.

    Parameters
    ----------
    path : str or Path

    Yields
    ------
    h5py.File

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mcgen import hdf5
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "file.h5"
    >>> with hdf5.created(path) as file:
    ...     file["group/numbers"] = [1.5, 2.5]
    >>> hdf5.is_hdf5(path)
    True
    """
    with h5py.File(path, "w", driver="core", backing_store=False) as file:
        yield file
        file.flush()
        content = file.id.get_file_image()
    Path(path).write_bytes(content)
