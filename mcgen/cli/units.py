"""Kinds of units as words of a command."""

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
