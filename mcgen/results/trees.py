"""States of `mcgen.states` in a file: groups for dictionaries and lists, datasets for arrays, JSON for the rest.

Each group has the attributes kind, "dictionary" or "list"; numbers, JSON of what is neither array nor group; and
arrays, JSON that says of each dataset that is not a scale whether it is a list of arrays, stacked.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from mcgen import hdf5
from mcgen.errors import FileError
from mcgen.results.groups import Group
from mcgen.states import State

KINDS = ("dictionary", "list")


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
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from mcgen import hdf5
    >>> from mcgen.results.trees import load_tree, write_tree
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "state.h5"
    >>> with hdf5.NewFile(path) as file:
    ...     write_tree(file, "state", {"n": 3, "of": [np.arange(2), None]})
    >>> load_tree(path, "state")[1]
    {'n': 3, 'of': [array([0, 1]), None]}
    """
    group = Group(parent, name)
    items = tree.items() if isinstance(tree, dict) else ((f"{k:06d}", one) for k, one in enumerate(tree))
    plain, arrays = {}, {}
    for key, value in items:
        if isinstance(value, np.ndarray):
            _add(group, key, value)
            arrays[key] = False
        elif isinstance(value, list) and _alike(value):
            _add(group, key, np.stack(value))
            arrays[key] = True
        elif isinstance(value, dict | list):
            write_tree(group.hdf, key, value)
        else:
            plain[key] = value
    group.hdf.attrs["kind"] = "dictionary" if isinstance(tree, dict) else "list"
    group.hdf.attrs["numbers"], group.hdf.attrs["arrays"] = json.dumps(plain), json.dumps(arrays)
    group.close()


def groups_of(listing: hdf5.Listing, name: str) -> list[str]:
    """The groups of a state, with that of this name."""
    return [one for one in listing.groups if one == name or one.startswith(f"{name}/")]


def datasets_of(listing: hdf5.Listing, name: str) -> Iterator[str]:
    """The datasets to read for a state."""
    for group in groups_of(listing, name):
        for dataset in _object(listing.group_attrs[group], "arrays") or ():
            if dataset in listing.groups[group]:
                yield f"{group}/{dataset}"


def wrong_in(listing: hdf5.Listing, name: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the groups of a state: places, and words."""
    for group in groups_of(listing, name):
        attributes = listing.group_attrs[group]
        if attributes.get("kind") not in KINDS:
            yield f"/{group}@kind", f"is none of {', '.join(KINDS)}"
        for attribute in ("numbers", "arrays"):
            if _object(attributes, attribute) is None:
                yield f"/{group}@{attribute}", "is no JSON of an object"
        for dataset in _object(attributes, "arrays") or ():
            if dataset not in listing.groups[group]:
                yield f"/{group}/{dataset}", "is missing"


def load_tree(path: str | Path, name: str) -> tuple[dict, dict | list | None]:
    """The attributes of a file, and the state in one of its groups.

    Parameters
    ----------
    path : str or Path
    name : str

    Returns
    -------
    attributes : dict
    tree : dict, list or None
        None if there is no such group.

    Raises
    ------
    FileError
        If the file cannot be read, or the state is damaged.
    """

    def choose(listing: hdf5.Listing) -> list[str]:
        own = [(f"/{place}", words) for place, words in listing.problems.items() if place.startswith(name)]
        for place, words in (*own, *wrong_in(listing, name)):
            raise FileError(f"{path} cannot be read ({hdf5.printable(f'{place} {words}')}); {hdf5.DAMAGED}")
        return list(datasets_of(listing, name))

    listing, groups = hdf5.read(path, choose)
    try:
        return listing.attrs, read_tree(groups, name) if name in groups else None
    except RecursionError as error:
        raise FileError(f"{path} cannot be read (/{name} has too many groups in groups); {hdf5.DAMAGED}") from error


def read_tree(groups: dict[str, hdf5.Group], name: str) -> dict | list:
    """What `write_tree` wrote, of groups that were read.

    Parameters
    ----------
    groups : dict
        Those of the file, with the datasets that `datasets_of` names.
    name : str

    Returns
    -------
    dict or list
    """
    group = groups[name]
    found: dict[str, State] = dict(_object(group.attrs, "numbers"))
    for key, stacked in _object(group.attrs, "arrays").items():
        found[key] = list(group[key]) if stacked else group[key]
    for one in groups:
        before, _, key = one.rpartition("/")
        if before == name:
            found[key] = read_tree(groups, one)
    return found if group.attrs["kind"] == "dictionary" else [found[key] for key in sorted(found)]


def _object(attributes: dict, name: str) -> dict | None:
    """The JSON of an attribute, None if it is not that of an object."""
    try:
        found = json.loads(attributes[name])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _add(group: Group, key: str, array: np.ndarray) -> None:
    axes = tuple(f"{key}_axis_{axis}" for axis in range(array.ndim))
    group.create(key, axes, array.shape, array.dtype)[...] = array


def _alike(values: list) -> bool:
    """Whether they are arrays of one shape, which become a single one."""
    return bool(values) and all(
        isinstance(one, np.ndarray) and (one.shape, one.dtype) == (values[0].shape, values[0].dtype) for one in values
    )
