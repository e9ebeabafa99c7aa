"""Kaufman's closed form on the rectangular torus without field: ln Z and its derivatives at any size.

Kaufman's solution is a sum of four products over modes q,

    Z = 1/2 (prod_odd C_q + prod_odd S_q + prod_even C_q -+ prod_even S_q),

which is evaluated here so that nothing is lost at low and at high temperature either. With a = e^{-2 K_t} and
b = e^{-2 K_s} below the critical temperature, and with a = tanh K_s and b = tanh K_t above it, both phases have the
same modes: after a factor that is known in closed form,

    C_q, S_q = lambda^{M/2} (1 +- r_q),    r_q = (b (1 - a^2) / lambda)^M,    lambda = w_q (1 + x_q),
    w_q = 1 - 2 a cos q + a^2,    x_q = e / w_q,    e^2 + (w_q - b^2 w_{q+pi}) e - (2 a b sin q)^2 = 0.

The product of all w_q is (1 +- a^N)^2, and x_q is as small as the first excitations a^2 b^2, so what Kaufman's form
leaves to the cancellation between modes is gone. M is the length of the "time" axis t, N that of the "space" axis s.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import InputError
from mcgen.ising.exact import jets
from mcgen.ising.exact.jets import Jet
from mcgen.ising.lattice import Ising


class TorusThermodynamics(NamedTuple):
    """Exact thermodynamics at one temperature, totals over the lattice (k_B = 1).

    log_partition : ln Z
    energy : U = <H>
    heat_capacity : C = (<H^2> - <H>^2) / T^2
    """

    log_partition: float
    energy: float
    heat_capacity: float


# A coupling that is smaller than the other one by this factor leaves separate rings, to all digits of ln Z and U.
NEGLIGIBLE = 1e-17

# Kaufman's solution. Derivatives are by a common factor of both K = J/T, at the factor 1: they stay of order one when K
# is tiny, U = -T (ln Z)' and C = (ln Z)''.


class _Letter(NamedTuple):
    """One of the numbers a, b between 0 and 1, with what is left to 1 and the logarithm, each to all digits."""

    itself: Jet
    rest: Jet
    log: Jet


def _boltzmann(k: float) -> _Letter:
    """e^{-2k}."""
    y = math.exp(-2 * k)
    itself = Jet(y, -2 * k * y, 4 * k**2 * y)
    return _Letter(itself, Jet(-math.expm1(-2 * k), -itself.first, -itself.second), Jet(-2 * k, -2 * k, 0.0))


def _hyperbolic(k: float) -> _Letter:
    """Tanh k."""
    y = math.exp(-2 * k)
    v = math.tanh(k)
    sech2 = 4 * y / (1 + y) ** 2
    itself = Jet(v, k * sech2, -2 * k**2 * v * sech2)
    slope = 4 * k * y / -math.expm1(-4 * k)  # 2k / sinh 2k
    curvature = -slope * 2 * k * (1 + y**2) / -math.expm1(-4 * k)
    log = Jet(math.log(v) if k < 0.5 else -2 * math.atanh(y), slope, curvature)
    return _Letter(itself, Jet(2 * y / (1 + y), -itself.first, -itself.second), log)


class _Sector(NamedTuple):
    """The logarithms of half the sum and half the difference of the products of 1 + r and of |1 - r|."""

    half_sum: Jet
    half_difference: Jet


def _modes(a: _Letter, b: _Letter, half_angles: np.ndarray, length: int) -> tuple[Jet, Jet]:
    """ln(1 + x_q) and ln r_q at q = 2 half_angles, none of them 0."""
    sin2, cos2 = np.sin(half_angles) ** 2, np.cos(half_angles) ** 2
    # 1 - a - b - a b, which vanishes at the critical temperature, from the small ones of a, b, 1 - a and 1 - b.
    gap = a.rest - b.itself * (1 + a.itself) if a.itself.value > b.itself.value else b.rest - a.itself * (1 + b.itself)
    w = a.rest * a.rest + a.itself * (4 * sin2)
    linear = gap * (a.rest + b.itself * (1 + a.itself)) + a.itself * (1 + b.itself * b.itself) * (4 * sin2)
    ab = a.itself * b.itself
    constant = ab * ab * (16 * sin2 * cos2)
    root = np.sqrt(linear.value**2 + 4 * constant.value)
    value = 2 * constant.value / (linear.value + root)
    first = (constant.first - linear.first * value) / root
    second = (constant.second - linear.second * value - 2 * first * (linear.first + first)) / root
    log_excess = jets.log1p(Jet(value, first, second) / w)
    log_b = b.log + jets.log(a.rest) + jets.log1p(a.itself)  # of b (1 - a^2), the root of the product of both lambda
    log_ratio = log_b - jets.log(w) - log_excess
    # Where r is close to 1, ln r = -2 asinh(h / 2 sqrt(b (1 - a^2))) has the digits that the difference lacks.
    b_part = np.maximum(np.exp(log_b.value), 1e-300)
    h2 = gap.value**2 + 4 * a.itself.value * b.rest.value * (1 + b.itself.value) * sin2
    near = -np.log1p((h2 + np.sqrt(h2 * (h2 + 4 * b_part))) / (2 * b_part))
    log_ratio = Jet(np.where(log_ratio.value < -1, log_ratio.value, near), log_ratio.first, log_ratio.second)
    return log_excess, log_ratio * float(length)


def _sector(log_r: Jet, weights: np.ndarray, log_zero: Jet | None) -> _Sector:
    """The modes of odd k, or of even k with the one at k = 0."""
    # prod (1 +- r) = prod sqrt(1 - r^2) e^{+-L}, L = sum atanh r
    log_l = jets.log_sum(jets.log_atanh_exp(log_r), weights)
    log_sum = jets.log_one_minus_exp(log_r * 2.0).sum(0.5 * weights) + jets.log_cosh_exp(log_l)
    log_tanh = jets.log_tanh_exp(log_l)
    if log_zero is None:
        return _Sector(log_sum, log_sum + log_tanh)
    # At k = 0, r may be 1 and L infinite, so its factors 1 +- r are multiplied out.
    return _Sector(log_sum + jets.log_add(Jet(0.0), log_zero + log_tanh), log_sum + jets.log_add(log_zero, log_tanh))


def _log_rings(length: int, copies: int, k: float, frustrated: bool) -> Jet:
    """Ln Z of separate rings, (2 cosh k)^length +- (2 sinh k)^length each."""
    if k == 0:
        return Jet(length * copies * math.log(2))
    v, y = _hyperbolic(k), _boltzmann(k)
    if v.itself.value < y.itself.value:
        loop = v.log * float(length)
        ends = jets.log_one_minus_exp(loop) if frustrated else jets.log_one_plus_exp(loop)
        return ((jets.log_cosh(Jet(k, k)) + math.log(2)) * float(length) + ends) * float(copies)
    log_l = jets.log_atanh_exp(y.log) + math.log(length)
    bulk = Jet(k, k) * float(length) + jets.log_one_minus_exp(y.log * 2.0) * (0.5 * length) + math.log(2)
    ring = bulk + jets.log_cosh_exp(log_l)
    return (ring + jets.log_tanh_exp(log_l) if frustrated else ring) * float(copies)


def _log_sinh(x: float) -> float:
    return x + math.log(-math.expm1(-2 * x)) - math.log(2)


def _log_torus(shape: tuple[int, int], ks: float, kt: float, frustrated: bool) -> Jet:
    """Ln Z of couplings above 0; `frustrated`: the bonds that close axis 0 have the opposite sign."""
    n, length = shape
    sites = float(n * length)
    ordered = _log_sinh(2 * ks) + _log_sinh(2 * kt) > 0
    a, b = (_boltzmann(kt), _boltzmann(ks)) if ordered else (_hyperbolic(ks), _hyperbolic(kt))
    # The modes q = pi k / N; those at q and -q are equal.
    k = np.arange(1, n + 1)
    weights = np.where(k < n, 2.0, 1.0)
    log_excess, log_r = _modes(a, b, k * (math.pi / (2 * n)), length)
    odd = _sector(log_r.part(slice(0, None, 2)), weights[0::2], None)
    log_zero = (b.log + jets.log1p(a.itself) - jets.log(a.rest)) * float(length)  # ln r at k = 0
    even = _sector(log_r.part(slice(1, None, 2)), weights[1::2], log_zero)
    # The weights of the two sectors follow from a difference of sums that are larger by the number of sites: the sums
    # are not rounded before they are subtracted.
    mean = log_excess.sum(0.25 * length * weights)
    half = log_excess.sum(np.where(k % 2 == 1, 0.25, -0.25) * length * weights)
    # The product of all w_q is that of (1 + a^N)^2 for odd k and (1 - a^N)^2 for even k.
    loop = a.log * float(n)
    plus, minus = jets.log_one_plus_exp(loop) * float(length), jets.log_one_minus_exp(loop) * float(length)
    odd_term = odd.half_difference if frustrated else odd.half_sum
    if ordered:
        even_term = even.half_difference if frustrated else even.half_sum
        # Both terms are alike and their first orders cancel: the mean and the difference are each small.
        mean = mean + (odd_term + even_term) * 0.5 + jets.log_one_minus_exp(loop * 2.0) * (0.5 * length)
        half = half + (odd_term - even_term) * 0.5 + (plus - minus) * 0.5
        return Jet(ks + kt, ks + kt) * sites + (mean + jets.log_cosh(half) + math.log(2))
    even_term = even.half_sum if frustrated else even.half_difference
    free = (jets.log_cosh(Jet(ks, ks)) + jets.log_cosh(Jet(kt, kt)) + math.log(2)) * sites
    return free + (mean + jets.log_add(odd_term + plus + half, even_term + minus - half))


def _pair(coupling: float | Sequence[float]) -> tuple[float, float]:
    values = checks.finite_array("coupling", coupling)
    if values.shape not in ((), (2,)):
        raise InputError(f"coupling has shape {values.shape}; give one number, or one for each of the two axes")
    first, second = np.broadcast_to(values, 2).tolist()
    return float(first), float(second)


def check_torus_shape(shape: Sequence[int]) -> tuple[int, int]:
    """The two lengths of a torus, or `InputError`."""
    lengths = tuple(shape) if isinstance(shape, Sequence | np.ndarray) else (shape,)
    if len(lengths) != 2:
        raise InputError(
            f"shape={shape!r} has {len(lengths)} axes; give the two lengths of a torus, for example (4, 4)"
        )
    first, second = (checks.integer("shape", length, 2) for length in lengths)
    return first, second


def _is_frustrated(length: int, coupling: float) -> bool:
    """Whether the spins around the axis cannot satisfy all its bonds."""
    return coupling < 0 and length % 2 == 1


def obstacle(lattice: Ising) -> str:
    """Why the closed form does not hold for the lattice; empty where it does.

    Parameters
    ----------
    lattice : Ising

    Returns
    -------
    str

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import torus
    >>> torus.obstacle(ising.Ising((4, 4), periodic=False))
    'it has open boundaries'
    """
    if lattice.n_dims != 2:
        return f"it has {lattice.n_dims} dimensions, not 2"
    if not all(lattice.periodic):
        return "it has open boundaries"
    if lattice.field.any():
        return "it has a field"
    if any(np.ptp(axis) > 0 for axis in lattice.coupling):
        return "its coupling differs between the bonds along one axis"
    if all(_is_frustrated(n, float(axis.flat[0])) for n, axis in zip(lattice.shape, lattice.coupling, strict=True)):
        return "both couplings are negative and both lengths odd"
    return ""


def fits(lattice: Ising) -> bool:
    """Whether `kaufman` solves the lattice: 2D, periodic, no field, one coupling along each axis.

    The couplings of the two axes may differ, and be negative or zero; only the torus with two odd lengths and two
    negative couplings is left out. `obstacle` says what is in the way.

    Parameters
    ----------
    lattice : Ising

    Returns
    -------
    bool

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import torus
    >>> torus.fits(ising.Ising((64, 64))), torus.fits(ising.Ising((64, 64), field=0.1))
    (True, False)
    """
    return not obstacle(lattice)


def kaufman(lattice: Ising, temperature: float) -> TorusThermodynamics:
    """Exact thermodynamics of the torus without field, at any size and temperature.

    Parameters
    ----------
    lattice : Ising
        One for which `fits` is true.
    temperature : float
        T in units of energy, above 0.

    Returns
    -------
    TorusThermodynamics
        Totals over the lattice, with the accuracy said in `closed_form`.

    Raises
    ------
    InputError
        If the temperature is not positive, or the lattice has no closed form.

    References
    ----------
    Kaufman, Phys. Rev. 76, 1232 (1949); Ferdinand & Fisher, Phys. Rev. 185, 832 (1969).

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import torus
    >>> round(torus.kaufman(ising.Ising((4, 4)), temperature=1.0).log_partition, 8)
    32.6987214
    """
    reason = obstacle(lattice)
    if reason:
        raise InputError(
            f"{lattice!r} has no closed form here: {reason}; use ising.exact.thermodynamics, which takes the transfer "
            "matrix or sums over all states, or ising.sample for estimates with error bars"
        )
    return closed_form(lattice.shape, [float(axis.flat[0]) for axis in lattice.coupling], temperature)


def closed_form(shape: Sequence[int], coupling: float | Sequence[float], temperature: float) -> TorusThermodynamics:
    """Exact thermodynamics as from `kaufman`, for tori too large to be held in memory.

    Parameters
    ----------
    shape : sequence of two int
        Sites along each axis, at least 2. As everywhere, an axis of length 2 has two bonds between its sites.
    coupling : float or sequence of two float
        J along each axis, in units of energy; one number is meant for both. Not both negative if both lengths are odd.
    temperature : float
        T in units of energy, above 0.

    Returns
    -------
    TorusThermodynamics
        Totals over the lattice. The relative errors are below 1e-14 for ln Z and U and 3e-14 for C, at any temperature,
        down to where C is below 1e-300 and becomes 0. Three things cost digits of C. At the critical temperature of
        large lattices even the rounding of T shows: 1e-13 at 2048 x 2048, 3e-12 at 65536 x 65536. Where a negative
        coupling meets an odd length, the error grows as 1e-15 e^{2|J|/T} with the J of the other axis: 3e-11 at
        T = 0.2 |J|, and below 0.06 |J| no digit is left of C, which is tiny there. Where one coupling is below 1e-2 of
        the other, the error of C is below 1e-13 as a number.

    Notes
    -----
    Measured against Kaufman's formula with hundreds of decimals (2 to 12 sites along an axis, T from 0.05 to 1e8,
    couplings that differ by up to 1e18) and against published values at the critical temperature, up to 65536 x 65536.

    Raises
    ------
    InputError
        If the temperature is not positive, or the shape or the coupling are not those of such a torus.

    References
    ----------
    Kaufman, Phys. Rev. 76, 1232 (1949).

    Examples
    --------
    >>> from mcgen.ising.exact import torus
    >>> thermo = torus.closed_form((65536, 65536), 1.0, temperature=2.5)
    >>> round(thermo.energy / 65536**2, 10), round(thermo.heat_capacity / 65536**2, 10)
    (-1.1060792037, 0.8616983568)
    """
    lengths, couplings = check_torus_shape(shape), _pair(coupling)
    temperature = checks.positive("temperature", temperature)
    frustrated = [_is_frustrated(n, j) for n, j in zip(lengths, couplings, strict=True)]
    if all(frustrated):
        raise InputError(
            f"shape={lengths} with coupling={couplings} is frustrated along both axes; "
            "make one length even or one coupling positive"
        )
    # Along an axis of even length, turning every second row over changes the sign of J; along an odd one the sign is
    # left in the bonds that close it, and it must be the space axis. Otherwise that is the shorter one: fewer modes.
    space = frustrated.index(True) if any(frustrated) else int(lengths[1] < lengths[0])
    n, length = lengths[space], lengths[1 - space]
    ks, kt = abs(couplings[space]) / temperature, abs(couplings[1 - space]) / temperature
    if kt <= NEGLIGIBLE * ks:
        jet = _log_rings(n, length, ks, any(frustrated))
    elif ks <= NEGLIGIBLE * kt:
        jet = _log_rings(length, n, kt, False)
    else:
        jet = _log_torus((n, length), ks, kt, any(frustrated))
    # C is a variance: below 0 there is only rounding.
    return TorusThermodynamics(float(jet.value), -temperature * float(jet.first), max(float(jet.second), 0.0))
