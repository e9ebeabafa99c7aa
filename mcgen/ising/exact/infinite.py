"""The infinite square lattice without field, in closed form, for one ferromagnetic coupling."""

import functools
import math
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import InputError


class Onsager(NamedTuple):
    """Thermodynamics of the infinite square lattice, per site (k_B = 1): floats, or arrays of the temperatures' shape.

    free_energy_per_site : f = -T ln Z / N
    energy_per_site : u
    heat_capacity_per_site : c, infinite at the critical temperature
    magnetization_per_site : the spontaneous magnetization, 0 from the critical temperature on
    """

    free_energy_per_site: float | np.ndarray
    energy_per_site: float | np.ndarray
    heat_capacity_per_site: float | np.ndarray
    magnetization_per_site: float | np.ndarray


def critical_temperature(coupling: float = 1.0) -> float:
    """T_c = 2 J / ln(1 + sqrt 2), where sinh(2 J / T_c) = 1.

    Parameters
    ----------
    coupling : float
        J > 0 of all bonds, in units of energy.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the coupling is not positive.

    References
    ----------
    Kramers & Wannier, Phys. Rev. 60, 252 (1941); Onsager, Phys. Rev. 65, 117 (1944).

    Examples
    --------
    >>> from mcgen.ising.exact import infinite
    >>> round(infinite.critical_temperature(), 12)
    2.269185314213
    """
    return 2 * checks.positive("coupling", coupling) / math.log1p(math.sqrt(2))


def onsager(temperature: float | np.ndarray, coupling: float = 1.0) -> Onsager:
    """Thermodynamics of the infinite square lattice without field.

    Parameters
    ----------
    temperature : float or array
        T in units of energy, above 0.
    coupling : float
        J > 0 of all bonds, in units of energy.

    Returns
    -------
    Onsager
        Of floats for one temperature, of arrays otherwise. The relative errors are below 1e-13 at any temperature, but
        for what the rounding of T itself changes close to the critical temperature.

    Raises
    ------
    InputError
        If a temperature or the coupling is not positive.

    Notes
    -----
    With t = min(sinh 2K, 1 / sinh 2K) and the complete elliptic integrals of modulus t^2 (Onsager's modulus is
    2t/(1 + t^2); a Landen transformation leads here), the heat capacity is a sum of positive terms, which keeps all
    digits at low and at high temperature.

    References
    ----------
    Onsager, Phys. Rev. 65, 117 (1944); Yang, Phys. Rev. 85, 808 (1952), for the magnetization.

    Examples
    --------
    >>> from mcgen.ising.exact import infinite
    >>> f, u, c, m = infinite.onsager(2.0)
    >>> round(f, 10), round(u, 10), round(c, 10), round(m, 10)
    (-2.0515856254, -1.7455645753, 0.7248714486, 0.9113193779)
    """
    coupling = checks.positive("coupling", coupling)
    temperatures = checks.finite_array("temperature", temperature).astype(np.float64)
    if (temperatures <= 0).any():
        raise InputError(f"temperature has the value {temperatures.min()}; give numbers above 0")
    K = coupling / temperatures
    z = np.maximum(np.exp(-2 * K), 1e-300)  # smaller ones change nothing and are not divided by
    rest = -np.expm1(-4 * K)  # 1 - z^2
    gap = np.where(temperatures == critical_temperature(coupling), 0.0, 1 - 2 * z - z**2)  # 2 z (sinh 2K - 1)
    ordered = gap > 0
    t = np.where(ordered, 2 * z / rest, rest / (2 * z))
    t_rest = np.where(ordered, gap / rest, -gap / (2 * z))  # 1 - t
    k = t**2
    k_rest = t_rest * (1 + t)
    first, first_excess, difference = _elliptic(k, np.maximum(k_rest, 1e-300))
    coth = (1 + z**2) / rest
    # u = -J coth 2K [1 + (2/pi) kappa K(k)], kappa = 2 tanh^2 2K - 1 = +-(1 - t^2)/(1 + t^2).
    lower = np.where(k < 0.5, k * first - first_excess, math.pi / 2 - k_rest * first)
    bracket = np.where(ordered, math.pi / 2 + k_rest * first, lower)
    energy = -coupling * coth * 2 / math.pi * bracket
    # c = (2/pi) (K coth 2K)^2 {2 K(k) - 2 E(k) - (1 - kappa) [pi/2 + kappa K(k)]}.
    below = 4 * difference + 2 * k * first_excess + 2 * k**2 * first
    above = 4 * difference + 2 * first_excess + 2 * k * first
    capacity = 2 / math.pi * (np.minimum(K, 1e3) * coth) ** 2 * np.where(ordered, below, above) / (1 + k)
    capacity = np.where(k_rest > 0, capacity, np.inf)
    magnetization = np.where(ordered, (k_rest * (1 + k)) ** 0.125, 0.0)
    values = (_free_energy(temperatures, K, z, rest, gap), energy, capacity, magnetization)
    return Onsager(*(float(value) if temperatures.ndim == 0 else value for value in values))


def _elliptic(k: np.ndarray, k_rest: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K(k), K(k) - pi/2 and K(k) - E(k) of the modulus k, from k and 1 - k, by the arithmetic-geometric mean.

    The two differences are sums of positive terms: they keep all digits where k is small.
    """
    a, b = np.ones_like(k), np.sqrt(k_rest * (1 + k))
    c = k
    short, squares, power = np.zeros_like(k), 0.5 * c**2, 1.0
    for _ in range(12):  # from 1e-150, the mean converges in 12 steps
        next_a = (a + b) / 2
        c = c**2 / (4 * next_a)  # (a - b) / 2
        a, b = next_a, np.sqrt(a * b)
        short = short + c  # 1 - a
        squares = squares + power * c**2
        power *= 2
    first = math.pi / (2 * a)
    return first, first * short, first * squares


@functools.cache
def _double_exponential_rule() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on (0, pi/2) that crowd at the ends: singularities there and close to there do no harm."""
    x = np.arange(-111, 112) / 32
    decay = np.exp(-np.pi * np.abs(np.sinh(x)))
    nearest = decay / (1 + decay)  # distance to the nearer end, of the whole
    nodes = math.pi / 2 * np.where(x < 0, nearest, 1 - nearest)
    weights = math.pi / 2 * np.pi * np.cosh(x) * decay / (1 + decay) ** 2 / 32
    return nodes, weights


def _free_energy(
    temperatures: np.ndarray, K: np.ndarray, z: np.ndarray, rest: np.ndarray, gap: np.ndarray
) -> np.ndarray:
    """F from -f/T = ln(sqrt2 cosh 2K) + (1/pi) int_0^{pi/2} ln[1 + sqrt(1 - k^2 sin^2 phi)] dphi."""
    cosh = 1 + z**2  # times 2 z, as rest is sinh 2K
    kappa = gap * (1 + 2 * z - z**2) / cosh**2  # sqrt(1 - k^2)
    k = 4 * z * rest / cosh**2
    nodes, weights = _double_exponential_rule()
    inside = np.log1p(np.hypot(kappa[..., None], k[..., None] * np.sin(nodes)))  # phi counted from pi/2
    log_cosh = 2 * K + np.log1p(z**2) - math.log(2)
    return -temperatures * (0.5 * math.log(2) + log_cosh + inside @ weights / math.pi)
