"""The numbers of a file compared with the schema."""

import math
from collections.abc import Iterator

import numpy as np

from mcgen.errors import InputError
from mcgen.hdf5 import Entry, Group, Listing
from mcgen.rbm.units.base import Unit
from mcgen.rbm.units.kinds import KINDS
from mcgen.results.schema.deviations import Deviation
from mcgen.results.schema.finding import array_of, layouts_of
from mcgen.results.schema.words import Array, Layout

# Numbers that are looked at together: few enough to stay in the cache of a core.
BLOCK = 1 << 18


def check_arrays(listing: Listing, groups: dict[str, Group]) -> Iterator[Deviation]:
    """The numbers of the datasets that were read.

    Parameters
    ----------
    listing : Listing
        Without fatal deviations.
    groups : dict of Group

    Yields
    ------
    Deviation
    """
    attrs = listing.group_attrs.get("model", {})
    for name, layout in layouts_of(listing).items():
        for dataset, array in groups[name].items():
            spec = array_of(layout, dataset)
            if spec is not None:
                high = _length(listing.groups[name], layout, spec.at_most) if spec.at_most else spec.high
                yield from _numbers(f"/{name}/{dataset}", array, spec, high, attrs)


def _length(group: dict[str, Entry], layout: Layout, dimension: str) -> int:
    """The length of a dimension, from a dataset that has it."""
    for name, entry in group.items():
        spec = array_of(layout, name)
        dimensions = (name,) if spec is None else spec.dimensions or ()
        if dimension in dimensions:
            return entry.shape[dimensions.index(dimension) - len(dimensions)]
    return 0


def _numbers(place: str, array: np.ndarray, spec: Array, high: float, attributes: dict) -> Iterator[Deviation]:
    """Whether numbers are finite, in their range, and states of their units."""
    kind = _units(spec.alphabet, attributes) if spec.alphabet else None
    # Whole states of the units.
    flat = array.reshape(-1, array.shape[-1]) if kind is not None and array.ndim else array.reshape(-1)
    step = max(1, BLOCK // max(1, math.prod(flat.shape[1:])))
    for first in range(0, len(flat), step):
        part = flat[first : first + step]
        words = _wrong_numbers(part, spec, high, kind)
        if words:
            yield Deviation(place, words)
            return


def _wrong_numbers(part: np.ndarray, spec: Array, high: float, kind: Unit | None) -> str:
    """What is wrong with numbers, or ""."""
    if part.dtype.kind == "f":
        refused = [(np.isnan, "NaN", spec.nan), (np.isinf, "infinite", spec.infinite)]
        refused = [(are, word) for are, word, is_allowed in refused if not is_allowed]
        n_bad = sum(int(np.count_nonzero(are(part))) for are, _ in refused)
        if n_bad:
            return f"has {n_bad} values that are {' or '.join(word for _, word in refused)}"
    with np.errstate(invalid="ignore"):
        limited = math.isfinite(spec.low) or math.isfinite(high)
        outside = (part < spec.low) | (part > high) if limited else np.zeros(0, bool)
    if outside.any():
        return f"has the value {part[outside][0]}, and {spec.low:g} to {high:g} is allowed"
    if kind is not None:
        try:
            kind.check("it", part, exact=True)
        except InputError as error:
            return str(error).removeprefix("it ")
    return ""


def _units(alphabet: str, attributes: dict) -> Unit:
    """The kind of the units whose states a dataset holds."""
    kind = KINDS[attributes.get(alphabet, alphabet)]
    if kind.name == "potts":
        return kind(int(attributes[alphabet.replace("_units", "_states")]))
    return kind()
