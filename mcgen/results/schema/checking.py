"""What a file declares compared with the schema: groups, types, shapes and attributes."""

import dataclasses
import fnmatch
import json
import math
from collections.abc import Iterator

import numpy as np

from mcgen.hdf5 import DAMAGED, Entry, Listing
from mcgen.results.schema.layouts import GROUPS, ROOT
from mcgen.results.schema.words import DTYPES, Array, Attribute, Layout
from mcgen.results.sources import wrong_sources
from mcgen.results.trees import datasets_of, groups_of, wrong_in

AXES = ("temperature", "entry")
# Sizes of something are at most the numbers that a group holds, or this where those are fewer.
SMALL = 1 << 16
# Dimensions that mean the same in all groups.
SHARED = ("visible", "hidden")
# How coordinates of the parameters of layers end.
OF_LAYERS = ("_input", "_output", "_row", "_column", "_feature")


@dataclasses.dataclass(frozen=True)
class Deviation:
    """One thing in a file that is not as the schema says.

    Attributes
    ----------
    place : str
        Of a dataset "/group/name", of an attribute "/group@name"; empty of the whole file.
    words : str
        What is wrong.
    is_fatal : bool
        Whether it keeps the file from being loaded; otherwise it is something that is not expected, or that only other
        programs need.
    way_out : str
        What to do about it.
    """

    place: str
    words: str
    is_fatal: bool = True
    way_out: str = DAMAGED

    def __str__(self) -> str:
        return f"{self.place} {self.words}".strip()


def layouts_of(listing: Listing) -> dict[str, Layout]:
    """The layout of each group that the schema knows, by the kinds that the file names."""
    found = {}
    for layout in GROUPS:
        kind = listing.group_attrs.get(layout.of, {}).get("kind")
        if layout.group in listing.groups and (not layout.kinds or (isinstance(kind, str) and kind in layout.kinds)):
            found[layout.group] = layout
    return found


def check_listing(listing: Listing, version: int, scales: bool = False) -> Iterator[Deviation]:
    """What a file declares: groups, datasets, types, shapes and attributes.

    Parameters
    ----------
    listing : Listing
    version : int
        The version of the schema that the file has.
    scales : bool
        Whether to look at dimension scales.

    Yields
    ------
    Deviation
    """
    layouts = layouts_of(listing)
    expected = {layout.group for layout in GROUPS}
    trees = trees_in(listing)
    for place, words in listing.problems.items():
        yield Deviation(f"/{place}", words, place.split("/")[0].split("@")[0] in expected | {""})
    for words, way_out in wrong_sources(listing.sources):
        yield Deviation("", f"it {words}", way_out=way_out)
    yield from _attributes("", listing.attrs, ROOT, version, is_fatal=False)
    for name in listing.groups:
        if name in trees:
            continue
        if name not in expected:
            yield Deviation(f"/{name}", "is no group that the schema knows", False)
        elif name not in layouts or layouts[name].since > version:
            of = next(layout.of for layout in GROUPS if layout.group == name)
            kind = listing.group_attrs.get(of, {}).get("kind")
            yield Deviation(f"/{name}", f"is not known for /{of} of kind {kind!r} in version {version}")
    known: dict[str, int] = {}
    for name, layout in layouts.items():
        if layout.is_tree:
            yield from (Deviation(*wrong) for wrong in wrong_in(listing, name))
            continue
        for other in layout.needs:
            if other not in listing.groups:
                yield Deviation(f"/{other}", f"is missing, and /{name} needs it")
        group = listing.groups[name]
        sizes = sum(math.prod(entry.shape) for entry in group.values()), _n_entries(group, layout)
        yield from _attributes(name, listing.group_attrs[name], _all_attributes(layout), version, *sizes)
        yield from _datasets(listing, layout, version, known, scales)
    if all(layout.is_tree for layout in layouts.values()):
        yield Deviation("", "it holds no results")


def to_read(listing: Listing) -> list[str]:
    """The datasets that hold results, and the coordinates of several entries, as "group/name"."""
    chosen = []
    for name, layout in layouts_of(listing).items():
        if layout.is_tree:
            chosen += datasets_of(listing, name)
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
    return {spec.name for spec in _all_attributes(layouts_of(listing)[name])}


def _all_attributes(layout: Layout) -> tuple[Attribute, ...]:
    kind = (Attribute("kind", "text", "", layout.kinds),) if layout.kinds and layout.of == layout.group else ()
    return (*kind, *layout.attributes)


def _attributes(
    group: str,
    found: dict,
    specs: tuple[Attribute, ...],
    version: int,
    n_held: int = 0,
    n_entries: int = 1,
    is_fatal: bool = True,
) -> Iterator[Deviation]:
    for spec in specs:
        place = f"/{group}@{spec.name}"
        if spec.name in found:
            words = _wrong_attribute(found[spec.name], spec, n_held, n_entries)
            if words:
                yield Deviation(place, words, is_fatal)
        elif _is_needed(spec, found, version):
            yield Deviation(place, "is missing", is_fatal)
    names = {spec.name for spec in specs}
    for name in found:
        if name not in names:
            yield Deviation(f"/{group}@{name}", "is no attribute that the schema knows", False)


def _is_needed(spec: Attribute | Array, attributes: dict, version: int) -> bool:
    if spec.optional or not spec.since <= version <= spec.until:
        return False
    if spec.when is None:
        return True
    name, values = spec.when
    return name in attributes and (not values or attributes[name] in values)


def _wrong_attribute(value: object, spec: Attribute, n_held: int, n_entries: int) -> str:
    """What is wrong with an attribute, or ""."""
    if spec.form in ("text", "json", "json list"):
        if not isinstance(value, str):
            return f"is {_short(value)}, and a text is expected"
        if spec.choices and value not in spec.choices:
            return f"is {_short(value)}, which is none of {', '.join(spec.choices)}"
        return _wrong_json(value, n_entries if spec.form == "json list" else 0) if spec.form != "text" else ""
    array = np.asarray(value)
    n_axes = 1 if spec.form.endswith("s") else 0
    kinds = "iu" if spec.form.startswith("integer") else "iuf"
    if array.ndim != n_axes or array.dtype.kind not in kinds:
        return f"is {_short(value)}, and {'an' if kinds == 'iu' else 'a'} {spec.form.removesuffix('s')} is expected" + (
            " for each axis, in a list" * n_axes
        )
    if not np.isfinite(array).all() or (array < spec.low).any():
        return f"is {_short(value)}; it must be finite" + f" and at least {spec.low:g}" * math.isfinite(spec.low)
    if spec.size and (array > max(n_held, SMALL)).any():
        return f"is {_short(value)}, and the group holds {n_held} numbers"
    return ""


def _wrong_json(text: str, n_entries: int) -> str:
    """What is wrong with JSON, which is a list of so many objects unless that is 0, or ""."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"is no JSON ({error})"
    if n_entries and (not isinstance(found, list) or [type(one) for one in found] != [dict] * n_entries):
        return f"is no list of {n_entries} objects"
    return ""


def _datasets(
    listing: Listing, layout: Layout, version: int, known: dict[str, int], scales: bool
) -> Iterator[Deviation]:
    """The datasets of a group; `known` are lengths of dimensions that other groups have, too."""
    group, attributes = listing.groups[layout.group], listing.group_attrs[layout.group]
    axis = _leading_axis(group) if layout.stacked else ""
    lengths = {name: length for name, length in known.items() if name in SHARED or name.startswith("site_")}
    where = dict.fromkeys(lengths, "another group")
    if axis:
        lengths["entries"] = known.get("entries", _n_entries(group, layout))
        where["entries"] = f"/{layout.group}/{axis}"
    n_sites = np.size(listing.group_attrs.get("lattice", {}).get("shape", ()))
    for spec in layout.arrays:
        if "*" not in spec.name and spec.name not in group and _is_needed(spec, attributes, version):
            yield Deviation(f"/{layout.group}/{spec.name}", "is missing")
    coordinates = {}
    for name, entry in group.items():
        place, spec = f"/{layout.group}/{name}", array_of(layout, name)
        if spec is None:
            coordinates[name] = entry
            continue
        if entry.dtype.str[1:] not in DTYPES[spec.dtype]:
            yield Deviation(place, f"is {entry.dtype}, and {spec.dtype} is expected")
        dimensions = _dimensions(spec, n_sites)
        if dimensions is None:
            dimensions = (None,) * (len(entry.shape) - bool(axis))
        if axis and name not in AXES:
            dimensions = ("entries", *dimensions)
        elif axis and name == axis:
            dimensions = ("entries",)
        if len(dimensions) != len(entry.shape):
            axes = ", ".join(axis if one == "entries" else str(one) for one in dimensions)
            yield Deviation(place, f"has shape {entry.shape}, and ({axes}) is expected")
            continue
        for dimension, length in zip(dimensions, entry.shape, strict=True):
            if dimension is not None and lengths.setdefault(dimension, length) != length:
                words = f"has shape {entry.shape}, and {axis if dimension == 'entries' else dimension} has length"
                yield Deviation(place, f"{words} {lengths[dimension]} in {where[dimension]}")
            where.setdefault(dimension, place)
        if scales:
            yield from _scales(layout.group, name, entry, [axis if d == "entries" else d for d in dimensions], group)
    known |= lengths
    for name, entry in coordinates.items():
        if name in lengths or name in AXES or name.endswith(OF_LAYERS):
            yield from _coordinate(f"/{layout.group}/{name}", entry, name, lengths)
        else:
            yield Deviation(f"/{layout.group}/{name}", "is no dataset that the schema knows", False)
    for longer, shorter in layout.longer_by_one:
        if longer in lengths and shorter in lengths and lengths[longer] != lengths[shorter] + 1:
            words = f"has {lengths[longer]} of {longer} and {lengths[shorter]} of {shorter}; it must be one more"
            yield Deviation(f"/{layout.group}", words)


def _n_entries(group: dict[str, Entry], layout: Layout) -> int:
    """How many entries a group has."""
    axis = _leading_axis(group) if layout.stacked else ""
    return group[axis].shape[0] if axis and group[axis].shape else 1


def _leading_axis(group: dict[str, Entry]) -> str:
    if "entry" in group:
        return "entry"
    return "temperature" if "temperature" in group and len(group["temperature"].shape) == 1 else ""


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


def _dimensions(spec: Array, n_sites: int) -> tuple[str, ...] | None:
    if spec.dimensions is None or "site_*" not in spec.dimensions:
        return spec.dimensions
    return (*spec.dimensions[:-1], *(f"site_{k}" for k in range(n_sites)))


def _coordinate(place: str, entry: Entry, name: str, lengths: dict[str, int]) -> Iterator[Deviation]:
    length = lengths.get("entries" if name in AXES else name)
    is_number = name == "temperature" and entry.shape == ()
    if entry.dtype.kind not in ("iuf" if name == "temperature" else "iu"):
        yield Deviation(place, f"is {entry.dtype}, and a coordinate is expected")
    elif not is_number and (len(entry.shape) != 1 or length not in (None, entry.shape[0])):
        yield Deviation(place, f"has shape {entry.shape}, and ({length},) is expected")


def _scales(
    group: str, name: str, entry: Entry, dimensions: list[str | None], entries: dict[str, Entry]
) -> Iterator[Deviation]:
    """Whether each axis has its dimension scale."""
    for number, dimension in enumerate(dimensions):
        own = name == dimension and entry.is_scale
        found = [scale.removeprefix(f"/{group}/") for scale in entry.scales[number]]
        right = bool(found) if dimension is None else dimension in found
        if not own and not (right and all(one in entries and entries[one].is_scale for one in found)):
            words = f"{dimension!r}" if dimension else f"number {number}"
            yield Deviation(f"/{group}/{name}", f"has no dimension scale on its axis {words}", False)


def _short(value: object) -> str:
    text = repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
    return text if len(text) <= 60 else text[:57] + "..."
