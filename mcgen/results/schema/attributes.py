"""The attributes of a group compared with the schema."""

import json
import math
from collections.abc import Iterator

import numpy as np

from mcgen.results.schema.deviations import Deviation, short
from mcgen.results.schema.finding import is_needed
from mcgen.results.schema.words import Attribute

# Sizes of something are at most the numbers that a group holds, or this where those are fewer.
SMALL = 1 << 16


def check_attributes(
    group: str,
    found: dict,
    specs: tuple[Attribute, ...],
    version: int,
    n_held: int = 0,
    n_entries: int = 1,
    is_fatal: bool = True,
) -> Iterator[Deviation]:
    """The attributes of a group, or of the root.

    Parameters
    ----------
    group : str
    found : dict
        Those of the file.
    specs : tuple of Attribute
    version : int
    n_held, n_entries : int
        How many numbers, and how many entries, the group holds.
    is_fatal : bool
        Whether a wrong one keeps the file from being loaded.

    Yields
    ------
    Deviation
    """
    for spec in specs:
        place = f"/{group}@{spec.name}"
        if spec.name in found:
            words = _wrong_attribute(found[spec.name], spec, n_held, n_entries)
            if words:
                yield Deviation(place, words, is_fatal)
        elif is_needed(spec, found, version):
            yield Deviation(place, "is missing", is_fatal)
    names = {spec.name for spec in specs}
    for name in found:
        if name not in names:
            yield Deviation(f"/{group}@{name}", "is no attribute that the schema knows", False)


def _wrong_attribute(value: object, spec: Attribute, n_held: int, n_entries: int) -> str:
    """What is wrong with an attribute, or ""."""
    if spec.form in ("text", "json", "json list"):
        if not isinstance(value, str):
            return f"is {short(value)}, and a text is expected"
        if spec.choices and value not in spec.choices:
            return f"is {short(value)}, which is none of {', '.join(spec.choices)}"
        return _wrong_json(value, n_entries if spec.form == "json list" else 0) if spec.form != "text" else ""
    array = np.asarray(value)
    n_axes = 1 if spec.form.endswith("s") else 0
    kinds = "iu" if spec.form.startswith("integer") else "iuf"
    if array.ndim != n_axes or array.dtype.kind not in kinds:
        return f"is {short(value)}, and {'an' if kinds == 'iu' else 'a'} {spec.form.removesuffix('s')} is expected" + (
            " for each axis, in a list" * n_axes
        )
    if not np.isfinite(array).all() or (array < spec.low).any():
        return f"is {short(value)}; it must be finite" + f" and at least {spec.low:g}" * math.isfinite(spec.low)
    if spec.size and (array > max(n_held, SMALL)).any():
        return f"is {short(value)}, and the group holds {n_held} numbers"
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
