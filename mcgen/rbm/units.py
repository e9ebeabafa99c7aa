"""The kinds of units that a layer can have."""

from typing import NamedTuple

from mcgen import checks


class Unit(NamedTuple):
    """A two-level unit with the states `low` and 1.

    Its formulas (`probability_up`, `mean`, `cumulant` in formulas.py) take `low` as their first argument.
    """

    name: str
    low: int


BERNOULLI = Unit("bernoulli", 0)
SPIN = Unit("spin", -1)
UNITS = {unit.name: unit for unit in (BERNOULLI, SPIN)}


def unit(argument: str, name: str) -> Unit:
    """The unit kind called `name`, given as the argument `argument`."""
    return UNITS[checks.choice(argument, name, tuple(UNITS))]
