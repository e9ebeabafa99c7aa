"""Runs that several ranks have drawn: a file for each rank, and one index that opens as if it were the whole run.

HDF5 cannot be written by several processes at once, so every rank writes its own temperatures and chains. The datasets
with a chain axis in the index are virtual: HDF5 reads them from the files of the ranks, which stay where they are, in
the folder of the index. `merge` makes one plain file.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from mcgen import hdf5
from mcgen.errors import FileError
from mcgen.results.check import check
from mcgen.results.files import check_output, check_room, sign, written_beside
from mcgen.results.groups import AXES, Group
from mcgen.results.loading import checked_listing, refuse
from mcgen.results.sources import escaped

# Options that say nothing of what a run draws.
NOT_OF_THE_RUN = ("output", "overwrite", "resume", "checkpoint_every", "time_limit", "pipeline")
# Names that `file_of_rank` gives.
OF_A_RANK = re.compile(r"[^/]+\.[0-9a-f]{8}\.rank-\d+-of-\d+(\.[^/]*)?")
# Bytes that `merge` copies at once.
BYTES_AT_ONCE = 1 << 26


class RankFile(NamedTuple):
    """What one rank has written.

    path : Path
    entries, chains : slice
        Which of the temperatures (or models) and which chains of the whole run it has.
    """

    path: Path
    entries: slice
    chains: slice


def file_of_rank(path: str | Path, configuration: dict, rank: int, size: int) -> Path:
    """Where a rank writes: beside the index, under a name that only ranks of the same run have.

    A run that is started again writes the same files with the same contents; another run never touches them.

    Examples
    --------
    >>> from mcgen.results.ranks import file_of_rank
    >>> file_of_rank("run.h5", {"seed": 1}, rank=0, size=2).name
    'run.a4bbadc1.rank-0-of-2.h5'
    """
    path = Path(path)
    kept = {name: value for name, value in configuration.items() if name not in NOT_OF_THE_RUN}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return path.with_name(f"{path.stem}.{digest}.rank-{rank}-of-{size}{path.suffix}")


def write_index(
    path: str | Path, parts: Sequence[RankFile], overwrite: bool = False, configuration: dict | None = None
) -> Path:
    """Write the index of the files of ranks.

    Parameters
    ----------
    path : str or Path
    parts : sequence of RankFile
        In the folder of the index. Together they have every chain of every temperature once.
    overwrite : bool
        Whether a file that is there may be replaced. If it is an index, the files of its ranks are deleted at the end.
    configuration : dict, optional
        All settings of the run.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If a file cannot be read or is incomplete, or the index cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mcgen import ising, results
    >>> folder, lattice = pathlib.Path(tempfile.mkdtemp()), ising.Ising((4, 4))
    >>> parts = []
    >>> for k in range(2):  # of two temperatures, each in a file of its own
    ...     run = ising.sample(lattice, 2.0 + k, n_chains=4, n_draws=3, thin=1, burn_in=50, seed=k)
    ...     path = results.save(folder / f"part-{k}.h5", run)
    ...     parts.append(results.RankFile(path, entries=slice(k, k + 1), chains=slice(0, 4)))
    >>> path = results.write_index(folder / "run.h5", parts)
    >>> [(run.temperature, run.states.shape) for run in results.load(path)]
    [(2.0, (4, 3, 4, 4)), (3.0, (4, 3, 4, 4))]
    """
    path = check_output(path, overwrite)
    earlier = set(_sources(path)) if path.exists() else set()
    for part in parts:
        with _opened(part.path) as file:
            status = file.attrs.get("status")
        if status != "complete":
            raise FileError(f"{part.path} is incomplete ({status}); draw this run again")
    with written_beside(path) as beside, hdf5.NewFile(beside) as index, _opened(parts[0].path) as first:
        if configuration is None:
            configuration = json.loads(first.attrs["configuration"])
        sign(index, configuration, "complete")
        for group in first.values():
            _write_group(index, group, parts)
    for source in earlier - {part.path.name for part in parts}:
        path.with_name(source).unlink(missing_ok=True)
    return path


def merge(path: str | Path, output: str | Path, overwrite: bool = False) -> Path:
    """Copy an index and the files of its ranks into one plain file.

    Parameters
    ----------
    path, output : str or Path
    overwrite : bool
        Whether a file that is there may be replaced.

    Returns
    -------
    Path
        The output.

    Raises
    ------
    FileError
        If a file of a rank is missing or damaged, the path is no index, or the output cannot be written.
    """
    # The files of the ranks lie beside the index, not beside a symbolic link to it.
    path, output = Path(path).resolve(), check_output(output, overwrite)
    listing = checked_listing(path)
    if not listing.sources:
        raise FileError(f"{path} is one plain file already; nothing is to be merged")
    if listing.attrs.get("status") != "complete":
        raise FileError(f"{path} is no index of files of ranks but a run that has not ended; go on with --resume")
    refuse(path, check(path).deviations)  # every number was read once, by another process
    with _opened(path) as index, written_beside(output) as beside, hdf5.NewFile(beside) as file:
        for name, group in index.items():
            axis = next((axis for axis in AXES if axis in group and group[axis].is_scale), "")
            copy = Group(file, name, axis)
            copy.hdf.attrs.update(group.attrs)
            for one, dataset in group.items():
                if not dataset.is_scale:
                    _copy(copy, one, dataset)
            copy.close({one: dataset[()] for one, dataset in group.items() if dataset.is_scale})
        file.attrs.update(index.attrs)
    return output


def _sources(path: Path) -> list[str]:
    """The names of the files of ranks that a file is the index of; none for another file."""
    try:
        return [name for name in hdf5.read(path, lambda _: [])[0].sources if OF_A_RANK.fullmatch(name)]
    except FileError:
        return []


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error}); it is missing or damaged, draw the run again") from error
    with file:
        yield file


def _dimensions(dataset: h5py.Dataset) -> tuple[str, ...]:
    """The names of the axes, as their scales have them."""
    return tuple(dim[0].name.rsplit("/", 1)[-1] for dim in dataset.dims)


def _write_group(index: h5py.File, first: h5py.Group, parts: Sequence[RankFile]) -> None:
    """One group of the index, from that of the first part and what the others have."""
    n_entries = max(part.entries.stop for part in parts)
    name = first.name.removeprefix("/")
    of_lattice = name == "lattice" or (name == "exchange" and "beta" not in first and "n_pairs" not in first)
    stacked = n_entries > 1 and not of_lattice
    axis = ("temperature" if "temperature" in first else "entry") if stacked else ""
    group = Group(index, name, axis)
    group.hdf.attrs.update(first.attrs)
    coordinates = {}
    for one, dataset in first.items():
        if one == axis:  # a scale, or a number in the file of a rank with one temperature
            coordinates[one] = _stacked(dataset.name, parts)
        elif one == "chain":
            coordinates[one] = np.arange(max(part.chains.stop for part in parts))
        elif dataset.is_scale:
            longest = max(parts, key=lambda part: _length(part, dataset.name))
            coordinates[one] = _value(longest, dataset.name)
        else:
            inner = tuple(dimension for dimension in _dimensions(dataset) if dimension != axis)
            if "chain" in inner:
                dimensions = (axis, *inner) if stacked else inner
                layout, fill = _layout(dataset, parts, n_entries if stacked else 0, inner)
                group.create_virtual(one, layout, dimensions, fill)
            elif stacked:
                group.add(one, inner, list(_stacked(dataset.name, parts)))
            else:
                group.add(one, inner, [dataset[()]])
    group.close(coordinates)


def _value(part: RankFile, name: str) -> np.ndarray:
    with _opened(part.path) as file:
        return np.asarray(file[name][()])


def _length(part: RankFile, name: str) -> int:
    return len(_value(part, name))


def _stacked(name: str, parts: Sequence[RankFile]) -> np.ndarray:
    """The values of all entries in their order, one after the other; NaN fills up shorter ones."""
    entries: dict[int, np.ndarray] = {}
    for part in parts:
        n_entries = part.entries.stop - part.entries.start
        values = _value(part, name) if n_entries > 1 else _value(part, name)[None]
        entries |= {part.entries.start + k: value for k, value in enumerate(values)}
    arrays = [np.asarray(entries[k]) for k in sorted(entries)]
    shape = np.max([array.shape for array in arrays], axis=0).astype(int)
    return np.stack(
        [
            np.pad(array, [(0, n - m) for n, m in zip(shape, array.shape, strict=True)], constant_values=np.nan)
            if array.shape != tuple(shape)
            else array
            for array in arrays
        ]
    )


def _layout(
    first: h5py.Dataset, parts: Sequence[RankFile], n_entries: int, inner: tuple[str, ...]
) -> tuple[h5py.VirtualLayout, object]:
    """Which part of a virtual dataset lies in which file, and what fills it where the file is missing."""
    n_chains = max(part.chains.stop for part in parts)
    rest, dtype = first.shape[len(first.shape) - len(inner) + 1 :], first.dtype  # the chains come first
    layout = h5py.VirtualLayout(((n_entries,) if n_entries else ()) + (n_chains, *rest), dtype)
    for part in parts:
        n_here = part.entries.stop - part.entries.start
        shape = (*([n_here] if n_here > 1 else []), part.chains.stop - part.chains.start, *rest)
        source = h5py.VirtualSource(escaped(part.path.name), first.name, shape, dtype)
        entries = part.entries if n_here > 1 else part.entries.start  # one has no axis in the file of the rank
        layout[(entries, part.chains) if n_entries else part.chains] = source
    return layout, np.nan if dtype.kind == "f" else 0


def _copy(group: Group, name: str, dataset: h5py.Dataset) -> None:
    """One dataset, some of its rows at a time, compressed like its parts."""
    like, file = dataset, None
    if dataset.is_virtual:
        source = dataset.virtual_sources()[0]
        file = h5py.File(Path(dataset.file.filename).with_name(Path(source.file_name.replace("%%", "%")).name), "r")
        like = file[source.dset_name]
    names = ("compression", "compression_opts", "shuffle", "scaleoffset")
    filters = {one: getattr(like, one) for one in names if getattr(like, one) not in (None, False)}
    chunks = like.chunks and (1,) * (dataset.ndim - len(like.chunks)) + like.chunks
    if chunks:
        chunks = tuple(min(n, length) for n, length in zip(chunks, dataset.shape, strict=True))
    if file is not None:
        file.close()
    copy = group.create(name, _dimensions(dataset), dataset.shape, dataset.dtype, chunks, filters)
    if not chunks:
        copy[...] = dataset[()]
        return
    for part in _blocks(dataset, chunks):
        data = dataset[part]
        check_room(copy.file, data.nbytes)
        copy[part] = data


def _blocks(dataset: h5py.Dataset, chunks: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Parts of a dataset of whole chunks, along its first two axes, of about BYTES_AT_ONCE."""
    if dataset.ndim == 1:
        yield (slice(None),)
        return
    row = dataset.dtype.itemsize * chunks[0] * int(np.prod(dataset.shape[2:], dtype=np.int64))
    step = chunks[1] * max(1, BYTES_AT_ONCE // max(1, row * chunks[1]))
    for one in range(0, dataset.shape[0], chunks[0]):
        for other in range(0, dataset.shape[1], step):
            yield slice(one, one + chunks[0]), slice(other, other + step)
