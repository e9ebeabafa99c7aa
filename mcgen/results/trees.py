"""States of `mcgen.states` in a file: groups for dictionaries and lists, datasets for arrays, JSON for the rest."""

import json

import h5py
import numpy as np

from mcgen.results.groups import Group
from mcgen.states import State


def write_tree(parent: h5py.Group, name: str, tree: dict | list) -> None:
    """Write a state as a group; every axis of its arrays has a scale.

    Parameters
    ----------
    parent : h5py.Group
        The new group is made in it.
    name : str
    tree : dict or list
        Of dictionaries, lists, arrays, numbers, str and None.

    Examples
    --------
    >>> import h5py, numpy as np
    >>> from mcgen.results.trees import read_tree, write_tree
    >>> with h5py.File.in_memory() as file:
    ...     write_tree(file, "state", {"n": 3, "of": [np.arange(2), None]})
    ...     read_tree(file["state"])
    {'n': 3, 'of': [array([0, 1]), None]}
    """
    group = Group(parent, name)
    items = tree.items() if isinstance(tree, dict) else ((f"{k:06d}", one) for k, one in enumerate(tree))
    plain = {}
    for key, value in items:
        if isinstance(value, np.ndarray):
            _add(group, key, value)
        elif isinstance(value, list) and _alike(value):
            _add(group, key, np.stack(value))
            group.hdf[key].attrs["stacked"] = np.int8(1)
        elif isinstance(value, dict | list):
            write_tree(group.hdf, key, value)
        else:
            plain[key] = value
    group.hdf.attrs["kind"] = "dictionary" if isinstance(tree, dict) else "list"
    group.hdf.attrs["numbers"] = json.dumps(plain)
    group.close()


def read_tree(group: h5py.Group) -> dict | list:
    """What `write_tree` wrote."""
    found: dict[str, State] = json.loads(group.attrs["numbers"])
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            found[key] = read_tree(item)
        elif not item.is_scale:
            found[key] = list(item[()]) if "stacked" in item.attrs else np.asarray(item[()])
    return found if group.attrs["kind"] == "dictionary" else [found[key] for key in sorted(found)]


def _add(group: Group, key: str, array: np.ndarray) -> None:
    axes = tuple(f"{key}_axis_{axis}" for axis in range(array.ndim))
    group.create(key, axes, array.shape, array.dtype)[...] = array


def _alike(values: list) -> bool:
    """Whether they are arrays of one shape, which become a single one."""
    return bool(values) and all(
        isinstance(one, np.ndarray) and (one.shape, one.dtype) == (values[0].shape, values[0].dtype) for one in values
    )
