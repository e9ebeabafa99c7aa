"""The schema for people."""

import textwrap
from collections.abc import Iterator

from mcgen.results.schema.layouts import GROUPS, ROOT, TABLE
from mcgen.results.schema.words import VERSION, Array, Attribute


def text() -> str:
    """The schema for people.

    Examples
    --------
    >>> from mcgen.results import schema
    >>> print(schema.text().splitlines()[0])
    Schema of mcgen's HDF5 files, version 3 (1 to 3 can be read)
    """
    return "\n".join([f"Schema of mcgen's HDF5 files, version {VERSION} (1 to {VERSION} can be read)", "", *_lines()])


NOTES = """
With several entries, datasets have a leading axis, temperature (or entry, where there are no temperatures), but those
of /lattice, of /exchange of a lattice and of one conditional model; with one, temperature is a number in the group.
Every axis has a dimension scale: an int64 dataset named like the dimension, or the temperatures. [n] since version n,
[-n] up to version n. In the index of a run of several ranks, and in the unfinished file of a run (status running or
interrupted), draws are virtual datasets, whose numbers lie in other files of the same folder, or of PATH.blocks in it.
Logarithms are natural, k_B = 1.
"""


def _lines() -> Iterator[str]:
    yield "/ (root)"
    yield from map(_attribute_line, ROOT)
    for layout in (*GROUPS, TABLE):
        kind = f" (kind {', '.join(layout.kinds)})" if layout.of == layout.group and layout.kinds else ""
        if layout.of != layout.group:
            kind = f" (of /{layout.of} of kind {', '.join(layout.kinds)})"
        yield ""
        yield f"/{layout.group}{kind}: {layout.words}{_versions(layout.since, VERSION)}"
        yield from map(_attribute_line, layout.attributes)
        for array in layout.arrays:
            axes = "as the architecture says" if array.dimensions is None else ", ".join(array.dimensions)
            yield _line(f"  {array.name} {array.dtype} ({axes})", array)
    yield from textwrap.wrap(NOTES.strip(), 110, initial_indent="\n")


def _attribute_line(attribute: Attribute) -> str:
    choices = f": {', '.join(attribute.choices)}" if attribute.choices else ""
    return _line(f"  @{attribute.name} {attribute.form}", attribute, choices)


def _line(start: str, item: Attribute | Array, more: str = "") -> str:
    notes = ["optional"] * item.optional
    if item.when:
        name, values = item.when
        notes.append(f"with {name}" + (f" {' or '.join(values)}" if values else ""))
    allowed = [word for name, word in (("nan", "NaN"), ("infinite", "infinite")) if getattr(item, name, False)]
    if allowed:
        notes.append(f"may be {' or '.join(allowed)}")
    words = item.words + more + (f" ({', '.join(notes)})" if notes else "")
    return f"{start:<48} {words}{_versions(item.since, item.until)}"


def _versions(since: int, until: int) -> str:
    return f" [{since}]" * (since > 1) + f" [-{until}]" * (until < VERSION)
