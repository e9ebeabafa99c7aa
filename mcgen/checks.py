"""Checks of arguments that every room shares. Each returns the checked value or raises `InputError`."""

import math
import operator
from collections.abc import Sequence

import numpy as np

from mcgen.errors import InputError


def integer(name: str, value: object, minimum: int, maximum: int | None = None) -> int:
    """`value` as a Python int, at least `minimum` and at most `maximum`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name}={value!r} is not an integer; give an integer of at least {minimum}") from None
    if isinstance(value, bool | np.bool_):
        raise InputError(f"{name}={value!r} is a truth value; give an integer of at least {minimum}")
    if number < minimum:
        raise InputError(f"{name}={number} is too small; give an integer of at least {minimum}")
    if maximum is not None and number > maximum:
        raise InputError(f"{name}={number} is too large; give an integer of at most {maximum}")
    return number


def integers(name: str, values: object, minimum: int) -> tuple[int, ...]:
    """`values` as a tuple of Python ints, each at least `minimum`."""
    try:
        each = tuple(values)
    except TypeError:
        raise InputError(f"{name}={values!r} is not a sequence; give integers in brackets, such as (64, 64)") from None
    return tuple(integer(name, value, minimum) for value in each)


def positive(name: str, value: object) -> float:
    """`value` as a finite float above zero."""
    number = real(name, value)
    if number <= 0:
        raise InputError(f"{name}={number} is not positive; give a number above 0")
    return number


def not_negative(name: str, value: object) -> float:
    """`value` as a finite float, zero or above."""
    number = real(name, value)
    if number < 0:
        raise InputError(f"{name}={number} is negative; give a number of at least 0")
    return number


def real(name: str, value: object) -> float:
    """`value` as a finite float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name}={value!r} is not a number; give one finite number") from None
    if not math.isfinite(number):
        raise InputError(f"{name}={number} is not finite; give one finite number")
    return number


def choice(name: str, value: object, options: Sequence[str]) -> str:
    """`value`, which must be one of `options`."""
    if value not in options:
        raise InputError(f"{name}={value!r} is unknown; choose one of {', '.join(map(repr, options))}")
    return value


def finite_array(name: str, value: object, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """`value` as a real array without NaN or infinity; where `shape` has an int, the axis must have that length."""
    try:
        array = np.asarray(value)
        if array.dtype == object or array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise InputError(f"{name} is not an array of real numbers; give numbers in a regular array") from None
    if shape is not None and (
        array.ndim != len(shape)
        or any(want is not None and have != want for have, want in zip(array.shape, shape, strict=True))
    ):
        wanted = (
            "(" + ", ".join("any" if want is None else str(want) for want in shape) + ("," * (len(shape) == 1)) + ")"
        )
        raise InputError(f"{name} has shape {array.shape}; its shape must be {wanted}")
    bad = ~np.isfinite(array)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{name} has {int(bad.sum())} values that are NaN or infinite, the first at index {place}; "
            "remove or replace them"
        )
    return array


def alphabet(name: str, array: np.ndarray, values: tuple[int, int], unit: str) -> np.ndarray:
    """`array`, which must hold only the two states of a unit."""
    wrong = (array != values[0]) & (array != values[1])
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"{name} has the value {array[place]} at index {place}, but {unit} units have the states "
            f"{values[0]} and {values[1]}; convert the data, for example with s = 2 v - 1 or v = (s + 1) / 2"
        )
    return array


def distribution(name: str, value: object, shape: tuple[int, ...]) -> np.ndarray:
    """`value` as float64 probabilities of the given shape: not negative, with the sum 1."""
    p = finite_array(name, value, shape).astype(np.float64, copy=False)
    if p.min() < 0:
        raise InputError(f"{name} has the negative value {p.min()}; give probabilities")
    if abs(p.sum() - 1) > 1e-9:
        raise InputError(f"{name} adds up to {p.sum()}; divide by the sum to make it 1")
    return p


def fraction(name: str, value: object) -> float:
    """`value` as a float from 0 to below 1."""
    number = real(name, value)
    if not 0 <= number < 1:
        raise InputError(f"{name}={number} is out of range; give a number from 0 to below 1")
    return number
