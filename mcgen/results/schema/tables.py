"""Tables of studies compared with the schema: numbers, and a name for every axis."""

from collections.abc import Iterator

from mcgen.hdf5 import Listing
from mcgen.results.schema.attributes import check_attributes
from mcgen.results.schema.deviations import Deviation
from mcgen.results.schema.finding import all_attributes
from mcgen.results.schema.words import DTYPES, VERSION, Layout


def check_table(listing: Listing, layout: Layout, scales: bool) -> Iterator[Deviation]:
    """The attributes and datasets of one table; attributes that the schema does not name are its own."""
    name, known = layout.group, {spec.name for spec in all_attributes(layout)}
    attributes = {one: value for one, value in listing.group_attrs[name].items() if one in known}
    yield from check_attributes(name, attributes, all_attributes(layout), VERSION)
    group = listing.groups[name]
    for dataset, entry in group.items():
        place = f"/{name}/{dataset}"
        if entry.dtype.str[1:] not in DTYPES["number"]:
            yield Deviation(place, f"is {entry.dtype}, and number is expected")
        if not scales or entry.is_scale:
            continue
        for axis, (length, found) in enumerate(zip(entry.shape, entry.scales, strict=True)):
            own = [group.get(one.removeprefix(f"/{name}/")) for one in found]
            if not own or any(one is None or one.shape != (length,) or not one.is_scale for one in own):
                yield Deviation(place, f"has no dimension scale on its axis number {axis}", False)
