"""Tables of studies: groups of a name of their own, with named axes and attributes."""

import dataclasses

import h5py
import numpy as np

from mcgen import hdf5
from mcgen.errors import InputError
from mcgen.hdf5 import Entry
from mcgen.results.groups import Columns, Group
from mcgen.results.schema import GROUPS, TABLE

KIND = TABLE.kinds[0]


@dataclasses.dataclass(frozen=True)
class Table:
    """Quantities with named axes.

    Attributes
    ----------
    columns : dict of arrays
        NAME_error is the error of NAME. Coordinates are named like their axis.
    dimensions : dict of tuple of str
        The names of the axes of each column.
    attributes : dict
        Settings and single numbers; `words` say what the table holds.
    """

    columns: Columns
    dimensions: dict[str, tuple[str, ...]]
    attributes: dict = dataclasses.field(default_factory=dict)


def open_table(file: h5py.File, name: str, axis: str = "", words: str = "") -> Group:
    """A group that is a table, to be filled and closed.

    Parameters
    ----------
    file : h5py.File
    name : str
    axis : str
        The leading axis of all columns, or "" for none.
    words : str
        What it holds.

    Returns
    -------
    Group

    Raises
    ------
    InputError
        If the name is that of another group of the schema, or contains a slash.
    """
    if "/" in name or name in {layout.group for layout in GROUPS}:
        raise InputError(f"a table cannot have the name {name!r}, which means something else in a file; give another")
    group = Group(file, name, axis)
    group.hdf.attrs["kind"] = KIND
    if words:
        group.hdf.attrs["words"] = words
    return group


def write_table(file: h5py.File, name: str, table: Table) -> None:
    """Write a whole table."""
    group, coordinates = open_table(file, name), {}
    for column, values in table.columns.items():
        if table.dimensions[column] == (column,):
            coordinates[column] = values
        else:
            group.add(column, table.dimensions[column], [values])
    group.hdf.attrs.update(table.attributes)
    group.close(coordinates)


def read_table(group: hdf5.Group, entries: dict[str, Entry]) -> Table:
    """A table from its group, and from what the file says about dimension scales."""
    dimensions = {}
    for name, entry in entries.items():
        if entry.is_scale:
            dimensions[name] = (name,)
        else:
            scales = [[*axis, f"{name}_axis_{k}"][0] for k, axis in enumerate(entry.scales)]
            dimensions[name] = tuple(scale.split("/")[-1] for scale in scales)
    attributes = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in group.attrs.items()
        if name != "kind"
    }
    return Table(dict(group), dimensions, attributes)
