"""The draws of an unfinished run: files that are complete and stay as they are, and one file that refers to them all.

A segment holds what came between two checkpoints: of the states, which lie where they will lie in the finished file,
whole rows of chunks, and of the series the part that is new. It gets its name once it is complete. The unfinished file
then shows all segments together as virtual datasets, and holds the few draws that do not fill a row of chunks yet; it
replaces the one before by renaming. A kill at any moment leaves the earlier unfinished file with its segments, or the
new one with its own. The finished file takes the chunks of the segments over as they are, without compressing them
again.

So that their number stays small, eight segments become one, and eight of these become one again, up to 1 GiB: ten
thousand checkpoints leave some thirty files, and every chunk is copied four times. The segments that another one
replaces stay until the next are put together: who has opened the unfinished file before finds them.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from mcgen import hdf5
from mcgen.errors import FileError
from mcgen.hdf5.server import HERE
from mcgen.results.files import BYTES_TO_FINISH
from mcgen.results.groups import NUMBER_FILTERS, Group, chunk_shape
from mcgen.results.sources import escaped

CURRENT, COMING, JOINED = "current.h5", "coming.h5", "joined.h5"
# So many segments become one, unless one of them is as large as that.
AT_ONCE, LARGEST = 8, 1 << 30


class Stretch(NamedTuple):
    """Draws of entry k in a segment: states [first_state, end_state) and series [first, end)."""

    segment: int
    k: int
    first_state: int
    end_state: int
    first: int
    end: int


class Segment(NamedTuple):
    """A segment that has its name, and from how many rounds of putting together it comes."""

    number: int
    level: int


class Segments:
    """The folder of the segments of a run.

    Parameters
    ----------
    folder : Path
        It is made, and cleared of what no unfinished file refers to.
    known : sequence of (number, level)
        Those that are there.

    Attributes
    ----------
    known : list of Segment
        Those that have their name, in the order of their draws.
    count : int
        The number of the next one.
    """

    def __init__(self, folder: Path, known: Sequence[Sequence[int]] = ()):
        folder.mkdir(exist_ok=True)
        self.folder, self.known = folder, [Segment(*map(int, one)) for one in known]
        self.count = 1 + max((one.number for one in self.known), default=-1)
        self._replaced: list[Segment] = []  # to which the unfinished file still refers
        self._unused: list[Segment] = []
        names = {segment_name(one.number) for one in self.known}
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink()

    @property
    def current(self) -> Path:
        """The segment that is being written."""
        return self.folder / CURRENT

    def path(self, number: int) -> Path:
        """Where a segment lies."""
        return self.folder / segment_name(number)

    def keep(self) -> None:
        """Give the current segment, which is complete and closed, its name."""
        self._name(self.current, 0)

    def paths(self) -> list[Path]:
        """All segments that have their name."""
        return [self.path(one.number) for one in self.known]

    def n_bytes(self) -> int:
        """What they take on the disk."""
        return sum(path.stat().st_size for path in self.paths())

    def put_together(self, stretches: Sequence[Stretch]) -> list[Stretch]:
        """Make one of the last segments where there are eight of a kind, and room for it.

        Parameters
        ----------
        stretches : sequence of Stretch
            Of all segments.

        Returns
        -------
        list of Stretch
            The same draws, where they are now.
        """
        first, level = self._due()
        old = self.known[first:]
        sizes = [self.path(one.number).stat().st_size for one in old]
        if not old or max(sizes) > LARGEST or shutil.disk_usage(self.folder).free < sum(sizes) + 2 * BYTES_TO_FINISH:
            return list(stretches)
        numbers = [one.number for one in old]
        joined: dict[int, list[Stretch]] = {}
        for one in stretches:
            if one.segment in numbers:
                joined.setdefault(one.k, []).append(one)
        whole = [
            Stretch(self.count, k, own[0].first_state, own[-1].end_state, own[0].first, own[-1].end)
            for k, own in joined.items()
        ]
        write_joined(self.folder / JOINED, [self.path(number) for number in numbers])
        while self._unused:
            self.path(self._unused.pop().number).unlink(missing_ok=True)
        del self.known[first:]
        self._name(self.folder / JOINED, level)
        self._replaced += old
        return [one for one in stretches if one.segment not in numbers] + whole

    def referred(self) -> None:
        """The unfinished file refers to the present segments: those that they have replaced may go, some time."""
        self._unused += self._replaced
        self._replaced = []

    def _due(self) -> tuple[int, int]:
        """From which segment on they are to become one, and the level of that one."""
        first, level, n_more = len(self.known), 0, 0
        while True:
            begin = first
            while begin and self.known[begin - 1].level == level:
                begin -= 1
            if first - begin + n_more < AT_ONCE:
                return first, level
            first, level, n_more = begin, level + 1, 1

    def _name(self, place: Path, level: int) -> None:
        synchronised(place)
        os.replace(place, self.path(self.count))  # noqa: PTH105 - the atomic rename is the point
        self.known.append(Segment(self.count, level))
        self.count += 1


def write_joined(place: Path, paths: Sequence[Path]) -> None:
    """Write a segment that has what several have."""
    with hdf5.NewFile(place) as file:
        with h5py.File(paths[0]) as like:
            samples = file.create_group("samples")
            for name, source in like["samples"].items():
                space, layout = source.id.get_space(), source.id.get_create_plist()
                h5py.h5d.create(samples.id, name.encode(), source.id.get_type(), space, layout)
        put_together(samples, paths)
        parts: dict[str, list[np.ndarray]] = {}
        for path in paths:
            with h5py.File(path) as segment:
                for name, new in segment["increments"].items():
                    parts.setdefault(name, []).append(new[()])
        for name, arrays in parts.items():
            add_increment(file, f"increments/{name}", np.concatenate(arrays, axis=1))


def add_increment(file: h5py.File, name: str, new: np.ndarray) -> None:
    """Write the new part of a series, shape (n_chains, n_draws), to a segment."""
    file.create_dataset(name, data=new, chunks=chunk_shape(new.shape, new.dtype.itemsize), **NUMBER_FILTERS)


def segment_name(number: int) -> str:
    """The name of the file of a segment."""
    return f"{number:06d}.h5"


def synchronised(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def increment_name(name: str, k: int) -> str:
    """Where a segment has its part of a series of entry k."""
    return f"increments/{name}_{k}"


def put_together(target: h5py.Group, paths: Sequence[Path]) -> None:
    """Take over the chunks of all datasets of /samples of the segments, as they are.

    Raises
    ------
    FileError
        If a segment has chunks of another shape.
    """
    for path in paths:
        with h5py.File(path) as segment:
            for name, source in segment["samples"].items():
                whole = target[name]
                if source.chunks != whole.chunks or any(np.greater(source.shape, whole.shape)):
                    raise FileError(
                        f"{path} has {name} in chunks of {source.chunks}, and this mcgen writes {target[name].chunks}; "
                        "finish the run with the mcgen that began it"
                    )
                places: list[tuple[int, ...]] = []
                source.id.chunk_iter(lambda chunk, places=places: places.append(chunk.chunk_offset))
                for place in places:
                    mask, data = source.id.read_direct_chunk(place)
                    target[name].id.write_direct_chunk(place, data, mask)


def refer(
    group: Group,
    stretches: Sequence[Stretch],
    likes: dict[str, h5py.Dataset],
    dimensions: dict[str, tuple[str, ...]],
    n_entries: int,
    n_draws: int,
    folder: str,
    held: dict[int, tuple[int, str]],
) -> None:
    """Show the draws in the segments as virtual datasets of /samples of an unfinished file.

    Parameters
    ----------
    group : Group
    stretches : sequence of Stretch
    likes : dict
        The datasets of a segment, by name.
    dimensions : dict
        The names of their axes.
    n_entries, n_draws : int
        What is shown: the first of both.
    folder : str
        Of the segments, as the unfinished file sees it.
    held : dict
        Of entry k, the number of the first draw whose state the file holds itself, and the name of that dataset.
    """
    lead = 1 if group.axis else 0
    for name, like in likes.items():
        n_chains, *units = like.shape[lead], *like.shape[lead + 2 :]
        layout = h5py.VirtualLayout((*[n_entries] * lead, n_chains, n_draws, *units), like.dtype)

        def place(k: int, first: int, end: int) -> tuple:
            return (*[k] * lead, slice(None), slice(first, end))

        for one in stretches:
            path = escaped(f"{folder}/{segment_name(one.segment)}")
            if one.k >= n_entries:
                continue
            if name == "states" and one.end_state > one.first_state:
                rows = place(one.k, one.first_state, one.end_state)
                layout[rows] = h5py.VirtualSource(path, like.name, like.shape, like.dtype)[rows]
            elif name != "states" and one.end > one.first:
                shape = (n_chains, one.end - one.first)
                source = h5py.VirtualSource(path, increment_name(name, one.k), shape, like.dtype)
                layout[place(one.k, one.first, one.end)] = source
        for k, (first, where) in held.items() if name == "states" else ():
            if k < n_entries and first < n_draws:
                source = h5py.VirtualSource(HERE, where, (n_chains, n_draws - first, *units), like.dtype)
                layout[place(k, first, n_draws)] = source
        group.create_virtual(name, layout, dimensions[name])
