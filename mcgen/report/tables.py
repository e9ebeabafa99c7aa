"""Tables of studies: columns along one axis as they are, and what has more axes by name."""

from collections.abc import Iterator

import numpy as np

from mcgen import figures
from mcgen.report import columns
from mcgen.report.parts import Panel, Section, Table, on_axes
from mcgen.results import Study
from mcgen.results import Table as Kept

MOST_PANELS = 4


def sections(study: Study) -> list[Section]:
    """A section for each table of a study: numbers, and the quantities that have errors against their axis."""
    return [Section(_title(name, one), list(_panels(one)), _tables(one)) for name, one in study.tables.items()]


def _title(name: str, kept: Kept) -> str:
    words = kept.attributes.get("words", "")
    return f"{name}: {words}" if words else name


def _along(kept: Kept) -> dict[str, columns.Columns]:
    """The columns with one axis, by its name, without coordinates."""
    found: dict[str, columns.Columns] = {}
    for name, axes in kept.dimensions.items():
        if len(axes) == 1 and axes != (name,):
            found.setdefault(axes[0], {})[name] = kept.columns[name]
    return found


def _coordinate(kept: Kept, axis: str, length: int) -> np.ndarray:
    return np.asarray(kept.columns.get(axis, np.arange(length)))


def _panels(kept: Kept) -> Iterator[Panel]:
    measured = [(axis, its, name) for axis, its in _along(kept).items() for name in its if f"{name}_error" in its]
    for axis, its, name in measured[:MOST_PANELS]:
        x, words = _coordinate(kept, axis, len(its[name])), name.replace("_", " ")
        drawing = on_axes(columns.points, its[name], its[f"{name}_error"], x, figures.plain(axis, 40), words)
        yield Panel(words, drawing, "With one standard error.")


def _tables(kept: Kept) -> list[Table]:
    found = []
    for axis, its in _along(kept).items():
        coordinate = _coordinate(kept, axis, len(next(iter(its.values()))))
        found.append(columns.table(f"Along {axis}", its, [f"{axis} {value:g}" for value in coordinate]))
    singles = {name: kept.columns[name] for name, axes in kept.dimensions.items() if not axes}
    singles |= {name: value for name, value in kept.attributes.items() if isinstance(value, int | float)}
    if singles:
        its = {name: np.atleast_1d(value) for name, value in singles.items()}
        found.append(columns.table("Single numbers", its, []))
    larger = [(name, ", ".join(axes)) for name, axes in kept.dimensions.items() if len(axes) > 1]
    larger += [(name, "attribute") for name, value in kept.attributes.items() if isinstance(value, np.ndarray)]
    if larger:
        caption = "More numbers than a page shows: results.to_xarray and h5py open them"
        found.append(Table(caption, ("name", "axes"), larger))
    return found
