"""Numbers with their first and second derivative, and functions of them that keep all digits."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Jet:
    """A number, or an array of them, with its first and second derivative."""

    value: float | np.ndarray
    first: float | np.ndarray = 0.0
    second: float | np.ndarray = 0.0

    __array_ufunc__ = None  # let an array times a jet be a jet

    def __add__(self, other: "Jet | float") -> "Jet":
        if not isinstance(other, Jet):
            return Jet(self.value + other, self.first, self.second)
        return Jet(self.value + other.value, self.first + other.first, self.second + other.second)

    def __mul__(self, other: "Jet | float | np.ndarray") -> "Jet":
        if not isinstance(other, Jet):
            return Jet(self.value * other, self.first * other, self.second * other)
        return Jet(
            self.value * other.value,
            self.first * other.value + self.value * other.first,
            self.second * other.value + 2 * self.first * other.first + self.value * other.second,
        )

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> "Jet":
        return self * -1.0

    def __sub__(self, other: "Jet") -> "Jet":
        return self + -other

    def __truediv__(self, other: "Jet") -> "Jet":
        value = self.value / other.value
        first = (self.first - value * other.first) / other.value
        second = (self.second - 2 * first * other.first - value * other.second) / other.value
        return Jet(value, first, second)

    def through(self, value: float, slope: float, curvature: float) -> "Jet":
        """f(self), from f, f' and f'' at the value."""
        return Jet(value, slope * self.first, slope * self.second + curvature * self.first**2)

    def part(self, indices: slice) -> "Jet":
        """Some of an array of them."""
        return Jet(self.value[indices], self.first[indices], self.second[indices])

    def sum(self, weights: np.ndarray) -> "Jet":
        """The sum of an array of them, with weights, rounded once."""
        return Jet(*(math.fsum(weights * part) for part in (self.value, self.first, self.second)))


def log(x: Jet) -> Jet:
    """Ln x."""
    return x.through(np.log(x.value), 1 / x.value, -1 / x.value**2)


def log1p(x: Jet) -> Jet:
    """ln(1 + x)."""
    return x.through(np.log1p(x.value), 1 / (1 + x.value), -1 / (1 + x.value) ** 2)


def log_one_plus_exp(x: Jet) -> Jet:
    """ln(1 + e^x) for x < 0, as a function of x."""
    p = np.exp(x.value)
    return x.through(np.log1p(p), p / (1 + p), p / (1 + p) ** 2)


def log_one_minus_exp(x: Jet) -> Jet:
    """ln(1 - e^x) for x < 0, as a function of x."""
    p, rest = np.exp(x.value), -np.expm1(x.value)
    value = np.where(p < 0.5, np.log1p(-np.minimum(p, 0.5)), np.log(rest))
    return x.through(value, -p / rest, -p / rest**2)


def log_cosh(x: Jet) -> Jet:
    """Ln cosh x of a single number."""
    size = np.abs(x.value)
    value = np.log1p(2 * np.sinh(size / 2) ** 2) if size < 1 else size + np.log1p(np.exp(-2 * size)) - math.log(2)
    tanh = np.tanh(x.value)
    sech2 = (2 * np.exp(-size) / (1 + np.exp(-2 * size))) ** 2
    return x.through(value, tanh, sech2)


def log_cosh_exp(x: Jet) -> Jet:
    """ln cosh(e^x), as a function of x."""
    size = np.exp(x.value)
    outer = log_cosh(Jet(size, 1.0, 0.0))
    slope = size * outer.first
    return x.through(outer.value, slope, slope + size**2 * outer.second)


def log_tanh_exp(x: Jet) -> Jet:
    """ln tanh(e^x), as a function of x."""
    double = 2 * np.exp(x.value)
    if double < 1e-2:
        value = x.value + np.log1p(-(double**2) / 12 * (1 - double**2 / 10))
        slope = 1 - double**2 / 6 * (1 - 7 * double**2 / 60)
        return x.through(value, slope, slope * -(double**2) / 3 * (1 - double**2 / 15))
    rest = -np.expm1(-double)
    value = np.log(rest) - np.log1p(np.exp(-double))
    slope = 2 * double * np.exp(-double) / (rest * (1 + np.exp(-double)))
    coth = (1 + np.exp(-2 * double)) / -np.expm1(-2 * double)
    return x.through(value, slope, slope * (1 - double * coth))


def log_atanh_exp(x: Jet) -> Jet:
    """ln atanh(e^x) for x < 0, as a function of x."""
    r = np.exp(x.value)
    rest = -np.expm1(2 * x.value)
    series = r**2 * (1 / 3 + r**2 * (1 / 5 + r**2 * (1 / 7 + r**2 * (1 / 9 + r**2 / 11))))
    large = np.maximum(r, 0.05)
    # atanh r = -1/2 ln tanh(-x/2) keeps its digits where r is close to 1.
    excess = np.where(r < 0.05, series, -0.5 * np.log(np.tanh(-np.minimum(x.value, -1e-300) / 2)) / large - 1)
    ratio = rest * (1 + excess)  # (1 - r^2) atanh(r)/r
    return x.through(x.value + np.log1p(excess), 1 / ratio, (excess + r**2 * (1 + excess)) / ratio**2)


def log_add(x: Jet, y: Jet) -> Jet:
    """ln(e^x + e^y), with the second derivative as a variance: no large numbers are subtracted."""
    large, small = (x, y) if x.value >= y.value else (y, x)
    odds = np.exp(small.value - large.value)
    p = odds / (1 + odds)
    first = small.first - large.first
    return Jet(
        large.value + np.log1p(odds),
        large.first + p * first,
        large.second + p * (small.second - large.second) + p * first**2 / (1 + odds),
    )


def log_sum(x: Jet, weights: np.ndarray) -> Jet:
    """ln sum_i weights_i e^{x_i}."""
    largest = np.max(x.value)
    terms = weights * np.exp(x.value - largest)
    total = math.fsum(terms)
    p = terms / total
    mean = math.fsum(p * x.first)
    return Jet(largest + math.log(total), mean, math.fsum(p * x.second) + math.fsum(p * (x.first - mean) ** 2))
