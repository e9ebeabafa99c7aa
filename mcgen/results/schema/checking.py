"""What a file declares compared with the schema: groups, types, shapes and attributes."""

import math
from collections.abc import Iterator

from mcgen.hdf5 import Listing
from mcgen.results.schema.attributes import check_attributes
from mcgen.results.schema.datasets import check_datasets
from mcgen.results.schema.deviations import Deviation
from mcgen.results.schema.finding import all_attributes, layouts_of, n_entries_of, tables_in, trees_in
from mcgen.results.schema.layouts import GROUPS, ROOT
from mcgen.results.schema.tables import check_table
from mcgen.results.sources import wrong_sources
from mcgen.results.trees import wrong_in


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
    tables = tables_in(listing)
    expected = {layout.group for layout in GROUPS} | {*tables}
    trees = trees_in(listing)
    for place, words in listing.problems.items():
        yield Deviation(f"/{place}", words, place.split("/")[0].split("@")[0] in expected | {""})
    for words, way_out in wrong_sources(listing.sources):
        yield Deviation("", f"it {words}", way_out=way_out)
    yield from check_attributes("", listing.attrs, ROOT, version, is_fatal=False)
    for name in listing.groups:
        if name in trees or name in tables:
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
        if name in tables:
            yield from check_table(listing, layout, scales)
            continue
        for other in layout.needs:
            if other not in listing.groups:
                yield Deviation(f"/{other}", f"is missing, and /{name} needs it")
        group = listing.groups[name]
        sizes = sum(math.prod(entry.shape) for entry in group.values()), n_entries_of(group, layout)
        yield from check_attributes(name, listing.group_attrs[name], all_attributes(layout), version, *sizes)
        yield from check_datasets(listing, layout, version, known, scales)
    if not layouts:
        yield Deviation("", "it holds no results")
    elif all(layout.is_tree for layout in layouts.values()):
        yield Deviation("", "it holds a checkpoint, and no results yet", way_out="go on with the run (--resume)")
