"""New HDF5 files, which a full disk does not crash."""

import contextlib
from pathlib import Path

import h5py


class NewFile(h5py.File):
    """A new HDF5 file.

    The HDF5 library crashes, at the latest when the process ends, after a write to the disk has failed. So it writes
    through Python, which keeps the first error to itself, and leaves out what is to be written after it.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    OSError
        If the file cannot be made; by `check_writes` and `close` also if a write has failed. The file is to be deleted
        then.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mcgen import hdf5
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "file.h5"
    >>> with hdf5.NewFile(path) as file:
    ...     file["group/numbers"] = [1.5, 2.5]
    >>> hdf5.is_hdf5(path)
    True
    """

    def __init__(self, path: str | Path):
        self._path, self._disk = Path(path), _Disk(path)
        super().__init__(self._disk, "w")

    @property
    def filename(self) -> str:
        """Where it is."""
        return str(self._path)

    def check_writes(self) -> None:
        """Raise the error that a write has met, if any has."""
        error, self._disk.error = self._disk.error, None
        if error is not None:
            self._disk.has_failed = True
            raise error

    def close(self) -> None:
        """Write the rest, and close the file."""
        super().close()
        self._disk.close()
        self.check_writes()


class _Disk:
    """A file as h5py wants it from Python: seek, tell, readinto, write, truncate, flush, of which none fails.

    Attributes
    ----------
    error : BaseException or None
        The first thing that went wrong, until it is told; Ctrl-C may come here as well.
    has_failed : bool
        Whether it was told.
    """

    def __init__(self, path: str | Path):
        self.error: BaseException | None = None
        self.has_failed = False
        self._file = open(path, "w+b", buffering=0)  # noqa: PTH123, SIM115 - closed with the HDF5 file

    def read(self, n_bytes: int = -1) -> bytes:
        """h5py looks whether there is this method, and takes `readinto`."""
        return self._file.read(n_bytes)

    def seek(self, offset: int, whence: int = 0) -> int:
        """The place that is read or written next."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """That place."""
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:
        """Read; zeros where nothing was written."""
        view = memoryview(buffer).cast("B")
        with self._kept():
            while view:
                n_now = self._file.readinto(view)
                if not n_now:
                    break
                view = view[n_now:]
        view[:] = bytes(len(view))
        return len(buffer)

    def write(self, content: memoryview) -> int:
        """Write."""
        view = memoryview(content).cast("B")
        with self._kept():
            while view and not self._is_over:
                view = view[self._file.write(view) :]
        return len(content)

    def truncate(self, n_bytes: int) -> int:
        """Cut or lengthen."""
        with self._kept():
            if not self._is_over:
                self._file.truncate(n_bytes)
        return n_bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Close the file, which may fail as a write does."""
        with self._kept():
            self._file.close()

    @property
    def _is_over(self) -> bool:
        return self.has_failed or self.error is not None

    @contextlib.contextmanager
    def _kept(self):  # noqa: ANN202
        try:
            yield
        except BaseException as error:  # Ctrl-C too: HDF5 must not see it
            if not self._is_over:
                self.error = error
