"""Finite-size scaling: where curves of two sizes cross, and whether those of all sizes fall on one."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq, least_squares
from scipy.stats import chi2

from mcgen.errors import InputError
from mcgen.stats import Estimate

Curve = Callable[[float], Estimate]

# Powers of the scaled temperature in the curve that all sizes share, and in its analytic correction.
DEGREE, ANALYTIC = 4, 3


class Crossing(NamedTuple):
    """Where the curves of two sizes cross: the temperature, and the height there."""

    temperature: Estimate
    height: Estimate


class Collapse(NamedTuple):
    """A fit of all sizes to one curve, with its parameters."""

    critical_temperature: Estimate
    inverse_nu: Estimate
    exponent: Estimate  # kappa; NaN where it was not fitted
    curve: np.ndarray  # coefficients of f, highest power first
    correction: float  # b
    analytic: np.ndarray  # coefficients of g, likewise, with the constant, 0
    chi_square: float
    degrees_of_freedom: int

    @property
    def p_value(self) -> float:
        """The probability of a chi^2 at least as large, if all sizes do share the curve."""
        return float(chi2.sf(self.chi_square, self.degrees_of_freedom))


def crossing(one: Curve, other: Curve, low: float, high: float) -> Crossing:
    """Where two curves of independent estimates cross between two temperatures.

    With independent errors e_1 and e_2 and slopes y_1' and y_2', the crossing is known to
    sqrt(e_1^2 + e_2^2) / |y_1' - y_2'|, and its height, a mean of both with the slopes of the other as weights, to
    sqrt((e_1 y_2')^2 + (e_2 y_1')^2) / |y_1' - y_2'|.

    Raises
    ------
    InputError
        If they do not cross there.

    Examples
    --------
    >>> from ising_parts.finite_size import crossing
    >>> from mcgen.stats import Estimate
    >>> def line(slope):
    ...     return lambda x: Estimate(1 + slope * (x - 2), 0.01, 1.0, 100.0)
    >>> found = crossing(line(1.0), line(3.0), 1.5, 3.0)
    >>> print(found.temperature, found.height)
    2.0000(71) 1.000(16)
    """

    def difference(temperature: float) -> float:
        return one(temperature).value - other(temperature).value

    if difference(low) * difference(high) > 0:
        raise InputError(
            f"the curves do not cross between T={low:g} and {high:g}; give other temperatures or longer runs"
        )
    at = brentq(difference, low, high, xtol=1e-7 * high)
    step = (high - low) / 100
    slopes = [(curve(at + step).value - curve(at - step).value) / (2 * step) for curve in (one, other)]
    here, there = one(at), other(at)
    steepness = abs(slopes[0] - slopes[1])
    independent = min(here.effective_sample_size, there.effective_sample_size)
    error = math.hypot(here.error, there.error) / steepness
    error_of_height = math.hypot(here.error * slopes[1], there.error * slopes[0]) / steepness
    return Crossing(
        Estimate(at, error, float("nan"), independent), Estimate(here.value, error_of_height, float("nan"), independent)
    )


def collapse(
    sizes: np.ndarray,
    temperatures: np.ndarray,
    values: np.ndarray,
    errors: np.ndarray,
    start: tuple[float, float, float],
    correction_exponent: float,
    exponent_is_fitted: bool = True,
) -> Collapse:
    """Fit estimates of several sizes to A = L^kappa [f(x) + b L^-w + g(x) L^(-1/nu)] with x = (T / T_c - 1) L^(1/nu).

    f is a polynomial of the fourth degree, g one of the third without a constant: temperatures are not exactly what
    scales, only to first order in T - T_c. f, b and g enter linearly, so that they are solved for at each T_c, nu and
    kappa; those are found by least squares in units of the errors.

    Parameters
    ----------
    sizes, temperatures, values, errors : array, shape (n_points,)
    start : tuple of float
        T_c, 1 / nu and kappa to begin with.
    correction_exponent : float
        w.
    exponent_is_fitted : bool
        Otherwise kappa stays what it is.

    Raises
    ------
    InputError
        If there are fewer than three sizes, which corrections need, or fewer points than parameters and one more.

    References
    ----------
    Fisher & Barber, Phys. Rev. Lett. 28, 1516 (1972). Aharony & Fisher, Phys. Rev. B 27, 4394 (1983), for g.
    """
    n_nonlinear = 3 if exponent_is_fitted else 2
    n_linear = DEGREE + 1 + 1 + ANALYTIC
    degrees = len(values) - n_nonlinear - n_linear
    if len(np.unique(sizes)) < 3 or degrees < 1:
        raise InputError(
            f"{len(values)} points of {len(np.unique(sizes))} sizes cannot fix a collapse; give three sizes and "
            f"at least {n_nonlinear + n_linear + 1} points"
        )

    def parts(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        critical, inverse_nu, kappa = *parameters, *start[len(parameters) :]
        x = (temperatures / critical - 1) * sizes**inverse_nu
        analytic = np.vander(x, ANALYTIC + 1)[:, :-1] * (sizes**-inverse_nu)[:, None]
        columns = np.column_stack([np.vander(x, DEGREE + 1), sizes**-correction_exponent, analytic])
        columns = columns * (sizes**kappa / errors)[:, None]
        return columns, np.linalg.lstsq(columns, values / errors, rcond=None)[0]

    def residuals(parameters: np.ndarray) -> np.ndarray:
        columns, linear = parts(parameters)
        return columns @ linear - values / errors

    scales = (0.001, 0.1, 0.1)[:n_nonlinear]
    fit = least_squares(residuals, start[:n_nonlinear], x_scale=scales, xtol=1e-12, ftol=1e-12)
    deviations = np.sqrt(np.linalg.inv(fit.jac.T @ fit.jac).diagonal())
    count = float(len(values))
    found = [Estimate(float(a), float(e), float("nan"), count) for a, e in zip(fit.x, deviations, strict=True)]
    if not exponent_is_fitted:
        found.append(Estimate(float("nan"), float("nan"), float("nan"), count))
    linear = parts(fit.x)[1]
    curve, correction, analytic = np.split(linear, [DEGREE + 1, DEGREE + 2])
    return Collapse(*found, curve, float(correction[0]), np.append(analytic, 0.0), float(2 * fit.cost), degrees)
