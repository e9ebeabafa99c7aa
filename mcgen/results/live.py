"""Runs that other processes read while they are written: HDF5's single-writer multiple-reader mode (SWMR).

The unfinished file is then one file, which grows: the datasets of /samples as they will be in the finished file, but
with as many draws as there are, and /live/n_draws, which says of every entry how many of them are whole. It is written
last, and draws before it are never changed again. Datasets cannot be made in this mode, and a file that others have
open cannot be finished: at the end the chunks are taken over into another one, which needs as much room again.

References
----------
The HDF Group, HDF5 User's Guide, "Single Writer/Multiple Reader": the file must lie on a local disk or a parallel file
system with POSIX semantics, not on NFS.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from mcgen.errors import FileError
from mcgen.results.files import sign
from mcgen.results.groups import Entries, Group
from mcgen.results.runs import Run
from mcgen.results.unfinished import is_claimed, part_of

COUNTS = "live/n_draws"


class Live:
    """A file of samples under construction that others read.

    Parameters
    ----------
    group : Group
        The group /samples, with empty datasets of full size.
    n_entries : int
    configuration : dict
        Kept as in a finished file.
    """

    def __init__(self, group: Group, n_entries: int, configuration: dict):
        file = group.hdf.file
        self._group, self._axis = group, 2 if group.axis else 1
        for dataset in group.hdf.values():
            dataset.resize(0, axis=self._axis)
        self._counts = file.create_dataset(COUNTS, (n_entries,), np.int64)
        self._counts.attrs["entries"] = np.int8(bool(group.axis))  # whether datasets have an axis of them
        sign(file, configuration, "running")
        file.swmr_mode = True

    def make_room(self, n_draws: int) -> None:
        """Let the datasets have so many draws."""
        for dataset in self._group.hdf.values():
            if dataset.shape[self._axis] < n_draws:
                dataset.resize(n_draws, axis=self._axis)

    def show(self, runs: Sequence[Run]) -> None:
        """What has been written of these entries is whole."""
        file = self._counts.file
        file.flush()
        counts = self._counts[()]
        for run in runs:
            counts[run.k] = run.n
        self._counts[...] = counts
        file.flush()


def follow(path: str | Path, seconds: float = 1.0) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """The draws of a run that another process is writing with `swmr`, as they come, until the run ends.

    Parameters
    ----------
    path : str or Path
        Of the output, which is there when the run has ended; until then PATH.part is read.
    seconds : float
        Between two looks at the file.

    Yields
    ------
    k, first : int
        The number of the temperature or model, and of the first draw.
    draws : dict of arrays, shape (n_chains, n_now, ...)
        By the names of their datasets: states and energies, or what the run has.

    Raises
    ------
    FileError
        If there is no such run, or no longer; also if its process has died, after all draws that were whole.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from mcgen import ising, results
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.h5"
    >>> with results.stream_samples(path, n_draws=5, swmr=True) as file:
    ...     for block in ising.stream(ising.Ising((4, 4)), 2.0, n_chains=3, n_draws=5, seed=1):
    ...         file.append(block)
    ...     k, first, draws = next(results.follow(path))
    >>> k, first, draws["states"].shape, draws["energy"].shape
    (0, 0, (3, 5, 4, 4), (3, 5))
    """
    path, part, seen = Path(path), part_of(path), {}
    if not part.exists():
        raise FileError(f"{part} is not there: no run with this output is being written with swmr; check the path")
    before = _inode(path)  # of an output that will be replaced
    while True:
        is_written = is_claimed(path)
        is_over = not part.exists()
        if is_over and _inode(path) == before:
            raise FileError(f"{part} is no longer there, and {path} has not come: the run has ended without draws")
        try:
            file = h5py.File(path, "r") if is_over else h5py.File(part, "r", libver="latest", swmr=True)
        except OSError as error:
            if is_over:
                raise FileError(f"{path} cannot be read ({error}); it was changed after the run") from error
            new = []  # it does not share its draws yet, or no longer
        else:
            with file:
                new = _new_draws(file, seen)
        yield from new
        if is_over:
            return
        if not is_written and part.exists():
            raise FileError(f"the process that wrote {part} has died; these were the draws that were whole: start anew")
        time.sleep(seconds)


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def _new_draws(file: h5py.File, seen: dict[int, int]) -> list[tuple[int, int, dict[str, np.ndarray]]]:
    """What is whole beyond the draws that were seen, which are counted."""
    group, found = file.get("samples", {}), []
    draws = {name: one for name, one in group.items() if not one.is_scale and one.ndim > 1}
    if COUNTS in file:
        counts, has_entries = file[COUNTS][()], file[COUNTS].attrs["entries"]
    elif draws:  # complete
        has_entries, one = Entries(group).stacked, next(iter(draws.values()))
        counts = [one.shape[2]] * len(one) if has_entries else [one.shape[1]]
    else:
        counts = []
    for k, n in enumerate(map(int, counts)):
        first = seen.get(k, 0)
        if n > first:
            place = (*((k,) if has_entries else ()), slice(None), slice(first, n))
            found.append((k, first, {name: one[place] for name, one in draws.items()}))
            seen[k] = n
    return found
