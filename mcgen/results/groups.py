"""Groups of a file: written with a dimension scale on every axis, read as one entry for each temperature."""

from collections.abc import Sequence

import h5py
import numpy as np

from mcgen import hdf5

# Names of the leading axis of groups that hold several entries.
AXES = ("temperature", "entry")

Columns = dict[str, np.ndarray]

# Numbers of fewer elements than this are stored as they are.
FEWEST_TO_COMPRESS = 10_001
# What HDF5's cache of chunks holds by default; smaller ones cost more to find.
BYTES_PER_CHUNK = 1 << 20

# All filters come with every HDF5 library. A state is one bit of information in a byte. For spins of a 64 x 64 lattice,
# at random and at T = 1.5, in chunks of 1 MB, on one core of a Xeon:
#
#                           bits a spin         MB/s written     MB/s read
#   gzip 1                  1.79    0.20         80    390        200    790
#   gzip 1 with shuffle     1.79    0.20         80    360        200    920
#   scaleoffset             2.00    2.00        230    230        360    360
#   scaleoffset and gzip 1  1.15    0.15        100    230        200    300
#
# A byte has nothing to shuffle. Packed four to a byte by scaleoffset, which finds the range of each chunk and loses
# nothing, spins leave gzip a quarter of the work.
STATE_FILTERS = {"scaleoffset": 0, "compression": "gzip", "compression_opts": 1}
# Energies and sums of spins take few values: with shuffle 16 percent of their bytes are left, without it 22.
NUMBER_FILTERS = {"shuffle": True, "compression": "gzip", "compression_opts": 1}


def chunk_shape(shape: Sequence[int], n_bytes: int) -> tuple[int, ...]:
    """The shape of chunks of at most 1 MB, filled from the last axis on and cutting axes evenly.

    Parameters
    ----------
    shape : sequence of int
    n_bytes : int
        Of one element.

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> from mcgen.results.groups import chunk_shape
    >>> chunk_shape((3, 1024, 4, 64, 64), n_bytes=1), chunk_shape((2, 100, 1000), n_bytes=8)
    ((1, 64, 4, 64, 64), (1, 100, 1000))
    >>> chunk_shape((1, 1, 3000, 3000), n_bytes=1)
    (1, 1, 334, 3000)
    """
    room = BYTES_PER_CHUNK // n_bytes
    chunk = []
    for length in reversed(shape):
        n_pieces = -(-length // max(1, room))
        chunk.insert(0, -(-length // n_pieces))
        room //= chunk[0]
    return tuple(chunk)


class Group:
    """A group under construction.

    Parameters
    ----------
    file : h5py.File
    name : str
    axis : str
        The leading axis of all datasets, or "" for none.
    """

    def __init__(self, file: h5py.File, name: str, axis: str = ""):
        self.hdf = file.create_group(name)
        self.axis = axis
        self.dimensions: dict[str, tuple[str, ...]] = {}

    def create(
        self,
        name: str,
        dimensions: tuple[str, ...],
        shape: tuple[int, ...],
        dtype: np.dtype,
        chunks: tuple[int, ...] | None = None,
        filters: dict | None = None,
    ) -> h5py.Dataset:
        """An empty dataset; dimensions, shape and chunks with the leading axis, where there is one."""
        self.dimensions[name] = dimensions
        return self.hdf.create_dataset(name, shape, dtype, chunks=chunks, **(filters or {}))

    def create_virtual(
        self, name: str, layout: h5py.VirtualLayout, dimensions: tuple[str, ...], fill: object = None
    ) -> None:
        """A dataset whose numbers are in other files; dimensions with the leading axis, where there is one."""
        self.dimensions[name] = dimensions
        self.hdf.create_virtual_dataset(name, layout, fillvalue=fill)

    def add(self, name: str, dimensions: tuple[str, ...], arrays: Sequence) -> None:
        """One array for each entry, stacked; dimensions without the leading axis."""
        data = np.stack([np.asarray(array) for array in arrays]) if self.axis else np.asarray(arrays[0])
        if self.axis:
            dimensions = (self.axis, *dimensions)
        layout = {}
        if data.size >= FEWEST_TO_COMPRESS:
            layout = {"chunks": chunk_shape(data.shape, data.dtype.itemsize), "filters": NUMBER_FILTERS}
        self.create(name, dimensions, data.shape, data.dtype, **layout)[...] = data

    def close(self, coordinates: dict[str, np.ndarray] | None = None) -> None:
        """Give every axis its scale: the coordinates given for a dimension, or 0, 1, 2, ...

        A coordinate of shape () is that of a group without this axis: a number in the group.
        """
        coordinates = dict(coordinates or {})
        for name, dimensions in self.dimensions.items():
            for dimension, length in zip(dimensions, self.hdf[name].shape, strict=True):
                coordinates.setdefault(dimension, np.arange(length))
        for dimension, values in coordinates.items():
            self.hdf[dimension] = values
            if np.ndim(values):
                self.hdf[dimension].make_scale(dimension)
        for name, dimensions in self.dimensions.items():
            for axis, dimension in enumerate(dimensions):
                self.hdf[name].dims[axis].attach_scale(self.hdf[dimension])


def is_stacked(n_axes: dict[str, int]) -> bool:
    """Whether a group has several entries, from the numbers of axes of its datasets."""
    return "entry" in n_axes or n_axes.get("temperature") == 1


class Entries:
    """A group as a list of entries, one for each temperature."""

    def __init__(self, group: hdf5.Group):
        self.group = group
        self.stacked = is_stacked({name: array.ndim for name, array in group.items()})

    def get(self, name: str) -> list[np.ndarray]:
        """One array for each entry."""
        data = self.group[name][()]
        return list(data) if self.stacked else [data]

    def temperatures(self) -> tuple[float, ...]:
        """Of the entries; empty where they have none."""
        if "temperature" not in self.group:
            return ()
        return tuple(float(t) for t in np.atleast_1d(self.group["temperature"][()]))

    def columns(self) -> Columns:
        """The group as a table."""
        return {name: np.atleast_1d(self.group[name][()]) for name in self.group if name not in AXES}
