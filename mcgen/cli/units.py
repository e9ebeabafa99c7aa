"""Kinds of units as words of a command, and rows of data as their states."""

from mcgen.errors import InputError

KINDS = "bernoulli, spin, gaussian, relu, or potts:Q with Q states"


def unit_kind(argument: str, text: str):  # noqa: ANN201 - the rooms are imported late
    """The kind of units that a word names.

    Examples
    --------
    >>> from mcgen.cli.units import unit_kind
    >>> unit_kind("--units", "potts:3")
    Potts(q=3)
    """
    from mcgen import checks
    from mcgen.rbm.units.kinds import KINDS as CLASSES

    name, colon, number = text.partition(":")
    checks.choice(argument, name, tuple(CLASSES))
    if name != "potts":
        if colon:
            raise InputError(f"{argument} {text}: only potts units take a number; write {name}")
        return CLASSES[name]()
    if not number.isdecimal():
        raise InputError(f"{argument} {text} lacks the number of states; write potts:3, say")
    return CLASSES[name](checks.integer(f"the number of states in {argument}", int(number), 2))


def is_real(text: str | None) -> bool:
    """Whether the word names units whose states are real numbers."""
    return text in ("gaussian", "relu")


def as_units(rows, kind):  # noqa: ANN001, ANN201
    """Rows of 0/1 or -1/+1 as states of the units; rows for other units as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.cli.units import as_units, unit_kind
    >>> as_units(np.array([[0, 1]]), unit_kind("--units", "spin")).tolist()
    [[-1, 1]]
    """
    if kind.name == "spin" and rows.min() >= 0:
        return 2 * rows - 1
    if kind.name == "bernoulli" and rows.min() < 0:
        return (rows + 1) // 2
    return rows
