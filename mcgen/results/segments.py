"""The draws of an unfinished run: files that are complete and stay as they are, and one file that refers to them all.

A segment holds what came between two checkpoints: of the states, which lie where they will lie in the finished file,
whole rows of chunks, and of the series the part that is new. It gets its name once it is complete. The unfinished file
then shows all segments together as virtual datasets, and holds the few draws that do not fill a row of chunks yet; it
replaces the one before by renaming. A kill at any moment leaves the earlier unfinished file with its segments, or the
new one with its own. The finished file takes the chunks of the segments over as they are, without compressing them
again.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py

from mcgen.errors import FileError
from mcgen.results.groups import Group
from mcgen.results.sources import HERE, escaped

CURRENT, COMING = "current.h5", "coming.h5"


class Stretch(NamedTuple):
    """Draws of entry k in a segment: states [first_state, end_state) and series [first, end)."""

    segment: int
    k: int
    first_state: int
    end_state: int
    first: int
    end: int


class Segments:
    """The folder of the segments of a run.

    Parameters
    ----------
    folder : Path
        It is made, and cleared of what no unfinished file refers to.
    n_segments : int
        Those that are there.

    Attributes
    ----------
    count : int
        Segments that have their name.
    """

    def __init__(self, folder: Path, n_segments: int = 0):
        folder.mkdir(exist_ok=True)
        self.folder, self.count = folder, n_segments
        known = {segment_name(number) for number in range(n_segments)}
        for path in folder.iterdir():
            if path.name not in known:
                path.unlink()

    @property
    def current(self) -> Path:
        """The segment that is being written."""
        return self.folder / CURRENT

    def keep(self) -> None:
        """Give the current segment, which is complete and closed, its name."""
        synchronised(self.current)
        os.replace(self.current, self.folder / segment_name(self.count))  # noqa: PTH105 - the atomic rename is the point
        self.count += 1

    def paths(self) -> list[Path]:
        """All segments that have their name."""
        return [self.folder / segment_name(number) for number in range(self.count)]

    def n_bytes(self) -> int:
        """What they take on the disk."""
        return sum(path.stat().st_size for path in self.paths())


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
                if source.chunks != target[name].chunks or source.shape != target[name].shape:
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
