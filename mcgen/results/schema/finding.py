"""What the schema says about the groups and datasets of a file."""

import dataclasses
import fnmatch

from mcgen.hdf5 import Entry, Listing
from mcgen.results.schema.layouts import GROUPS, TABLE
from mcgen.results.schema.words import AXES, OF_LAYERS, Array, Attribute, Layout
from mcgen.results.trees import datasets_of, groups_of


def layouts_of(listing: Listing) -> dict[str, Layout]:
    """The layout of each group that the schema knows, by the kinds that the file names."""
    found = {}
    for layout in GROUPS:
        kind = listing.group_attrs.get(layout.of, {}).get("kind")
        if layout.group in listing.groups and (not layout.kinds or (isinstance(kind, str) and kind in layout.kinds)):
            found[layout.group] = layout
    return found | {name: dataclasses.replace(TABLE, group=name, of=name) for name in tables_in(listing)}


def tables_in(listing: Listing) -> list[str]:
    """The groups that are tables of a study."""
    known = {layout.group for layout in GROUPS}
    kinds = {name: attributes.get("kind") for name, attributes in listing.group_attrs.items()}
    return [
        name
        for name in listing.groups
        if name not in known and "/" not in name and isinstance(kinds.get(name), str) and kinds[name] in TABLE.kinds
    ]


def to_read(listing: Listing) -> list[str]:
    """The datasets that hold results, and the coordinates of several entries, as "group/name"."""
    chosen = []
    for name, layout in layouts_of(listing).items():
        if layout.is_tree:
            chosen += datasets_of(listing, name)
        elif layout.kinds == TABLE.kinds:
            chosen += [f"{name}/{one}" for one in listing.groups[name]]
        else:
            datasets = listing.groups[name]
            chosen += [f"{name}/{one}" for one in datasets if one in AXES or array_of(layout, one) is not None]
    return chosen


def trees_in(listing: Listing) -> set[str]:
    """The groups of states in a tree, from which only mcgen goes on."""
    trees = (name for name, layout in layouts_of(listing).items() if layout.is_tree)
    return {one for name in trees for one in groups_of(listing, name)}


def meanings(listing: Listing, name: str) -> dict[str, str]:
    """What the datasets of a group are, in words."""
    layout = layouts_of(listing).get(name)
    specs = {} if layout is None else {dataset: array_of(layout, dataset) for dataset in listing.groups[name]}
    return {dataset: spec.words for dataset, spec in specs.items() if spec is not None}


def known_attributes(listing: Listing, name: str) -> set[str]:
    """The names of the attributes that a group may have."""
    return {spec.name for spec in all_attributes(layouts_of(listing)[name])}


def array_of(layout: Layout, name: str) -> Array | None:
    """What the schema says about a dataset of this name; None for coordinates and unknown ones."""
    exact = next((spec for spec in layout.arrays if spec.name == name), None)
    if exact is not None:
        return exact
    own = {dimension for spec in layout.arrays for dimension in spec.dimensions or ()}
    if name in AXES or name in own or (name.startswith("site_") and "site_*" in own):
        return None
    if name.endswith(OF_LAYERS) and None in (spec.dimensions for spec in layout.arrays):
        return None
    return next((spec for spec in layout.arrays if "*" in spec.name and fnmatch.fnmatchcase(name, spec.name)), None)


def all_attributes(layout: Layout) -> tuple[Attribute, ...]:
    """The attributes of a group, with its kind."""
    kind = (Attribute("kind", "text", "", layout.kinds),) if layout.kinds and layout.of == layout.group else ()
    return (*kind, *layout.attributes)


def is_needed(spec: Attribute | Array, attributes: dict, version: int) -> bool:
    """Whether an attribute or dataset must be there, beside these attributes."""
    if spec.optional or not spec.since <= version <= spec.until:
        return False
    if spec.when is None:
        return True
    name, values = spec.when
    return name in attributes and (not values or attributes[name] in values)


def n_entries_of(group: dict[str, Entry], layout: Layout) -> int:
    """How many entries a group has."""
    axis = leading_axis(group) if layout.stacked else ""
    return group[axis].shape[0] if axis and group[axis].shape else 1


def leading_axis(group: dict[str, Entry]) -> str:
    """The name of the axis of several entries, or ""."""
    if "entry" in group:
        return "entry"
    return "temperature" if "temperature" in group and len(group["temperature"].shape) == 1 else ""
