"""The datasets of a group compared with the schema: types, shapes and dimension scales."""

from collections.abc import Iterator

import numpy as np

from mcgen.hdf5 import Entry, Listing
from mcgen.results.schema.deviations import Deviation
from mcgen.results.schema.finding import array_of, is_needed, leading_axis, n_entries_of
from mcgen.results.schema.words import AXES, DTYPES, OF_LAYERS, Array, Layout

# Dimensions that mean the same in all groups.
SHARED = ("visible", "hidden")


def check_datasets(
    listing: Listing, layout: Layout, version: int, known: dict[str, int], scales: bool
) -> Iterator[Deviation]:
    """The datasets of a group; `known` are lengths of dimensions that other groups have, too."""
    group, attributes = listing.groups[layout.group], listing.group_attrs[layout.group]
    axis = leading_axis(group) if layout.stacked else ""
    lengths = {name: length for name, length in known.items() if name in SHARED or name.startswith("site_")}
    where = dict.fromkeys(lengths, "another group")
    if axis:
        lengths["entries"] = known.get("entries", n_entries_of(group, layout))
        where["entries"] = f"/{layout.group}/{axis}"
    n_sites = np.size(listing.group_attrs.get("lattice", {}).get("shape", ()))
    for spec in layout.arrays:
        if "*" not in spec.name and spec.name not in group and is_needed(spec, attributes, version):
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
