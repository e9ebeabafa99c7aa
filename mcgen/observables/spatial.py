"""Correlations of lattice spins in space: two-point function, structure factor, correlation length."""

import functools
import itertools
import math
import warnings
from typing import NamedTuple

import numpy as np
from scipy import fft

from mcgen import checks, stats
from mcgen.errors import InputError, StatisticsWarning
from mcgen.ising.lattice import Ising
from mcgen.observables import blocks
from mcgen.observables.averages import draws_of, energy_and_magnetization
from mcgen.stats import Estimate

# States that are transformed at once: real numbers that stay in the cache of a core.
NUMBERS_AT_ONCE = 1 << 16


class Correlations(NamedTuple):
    """Averages over pairs of sites, not connected: for those, subtract the square of the magnetisation per site.

    two_point : Estimate of arrays
        G(r) = <s_x s_{x+r}>, averaged over x. two_point.value[dx, dy] is that at the displacement (dx, dy), negative
        numbers included: an axis of length L has the displacements 0 ... L-1 if it is periodic and -(L-1) ... L-1 if it
        is open, the negative ones at the end.
    along_axes : tuple of Estimate of arrays, one for each axis
        G at displacements 0, 1, ... along the axis: up to L // 2 if it is periodic and L-1 if it is open.
    distances : float64, shape (n_distances,)
        The lengths |r| of the displacements, increasing, the shorter way round on periodic axes.
    radial : Estimate of arrays, shape (n_distances,)
        G averaged over all pairs of sites at that distance.
    structure_factor : Estimate of arrays, shape lattice.shape
        S(k) = <|sum_x s_x e^{ikx}|^2> / n_sites at k = 2 pi n / L along each axis, n = 0 ... L-1, with S(0) = <M^2> /
        n_sites.
    """

    two_point: Estimate
    along_axes: tuple[Estimate, ...]
    distances: np.ndarray
    radial: Estimate
    structure_factor: Estimate


def correlations(run: object, lattice: Ising) -> Correlations:
    """The two-point function and the structure factor of sampled states.

    G(r) = <s_x s_{x+r}>, averaged over all pairs of sites with the displacement r: by fast Fourier transform, on axes
    filled up with zeros where they are open. The connected function is G(r) - <M>^2 / n_sites^2, and in the ordered
    phase without field, where <M> = 0 in the end, G(r) - <|M|>^2 / n_sites^2.

    Parameters
    ----------
    run : Samples, or array of states
        As in `summary`. States are worked through in parts, so that memory is needed for little more than they take.
    lattice : Ising

    Returns
    -------
    Correlations
        Errors come from the scatter of blocks that are long against the autocorrelation times of the energy and of M^2;
        their own autocorrelation times and effective sample sizes are NaN. Errors of different r are correlated.

    Raises
    ------
    InputError
        If a shape does not fit or a value is no spin.

    References
    ----------
    Newman & Barkema, Monte Carlo methods in statistical physics (1999), section 3.7.

    Examples
    --------
    >>> from mcgen import ising, observables
    >>> lattice = ising.Ising((8, 8))
    >>> run = ising.sample(lattice, temperature=4.0, n_chains=64, n_draws=50, thin=2, burn_in=100, seed=1)
    >>> result = observables.correlations(run, lattice)
    >>> result.two_point.value.shape, result.distances[:4].round(3).tolist()
    ((8, 8), [0.0, 1.0, 1.414, 2.0])
    >>> [bool(result.along_axes[0].value[r] > result.along_axes[0].value[r + 1]) for r in range(3)]
    [True, True, True]
    """
    states = draws_of(run, lattice)
    axes = list(zip(lattice.shape, lattice.periodic, strict=True))
    steps = [_steps(length, closed) for length, closed in axes]
    pairs = functools.reduce(np.multiply.outer, [_pairs(length, closed) for length, closed in axes])
    energy, magnetization = energy_and_magnetization(run, lattice)
    edges = blocks.independent_edges(energy, magnetization**2)
    sizes = blocks.sizes(*edges)
    parts = [
        states[chains, draws]
        for chains in itertools.starmap(slice, itertools.pairwise(edges[0]))
        for draws in itertools.starmap(slice, itertools.pairwise(edges[1]))
    ]
    sums = np.stack([_pair_sums(part.reshape(-1, *lattice.shape), lattice, steps) for part in parts])

    two_point = blocks.average(sums / pairs, sizes)
    # The numbers of the displacements in the order of their lengths, and where each length begins.
    squares = functools.reduce(np.add.outer, [_shortest(length, closed) ** 2 for length, closed in axes])
    order = np.argsort(squares, axis=None, kind="stable")
    levels, starts = np.unique(squares.ravel()[order], return_index=True)
    by_distance = np.add.reduceat(sums.reshape(len(sizes), -1)[..., order], starts, axis=-1)
    return Correlations(
        two_point=two_point,
        along_axes=tuple(_along_axis(two_point, axis, lattice) for axis in range(lattice.n_dims)),
        distances=np.sqrt(levels),
        radial=blocks.average(by_distance / np.add.reduceat(pairs.ravel()[order], starts), sizes),
        structure_factor=blocks.average(_structure_factors(sums, lattice), sizes),
    )


def _steps(length: int, closed: bool) -> np.ndarray:
    """The displacements along an axis, such that step d is number d of the list, also for negative d."""
    return np.arange(length) if closed else np.r_[np.arange(length), np.arange(1 - length, 0)]


def _shortest(length: int, closed: bool) -> np.ndarray:
    """How far each displacement leads."""
    steps = np.abs(_steps(length, closed))
    return np.minimum(steps, length - steps) if closed else steps


def _pairs(length: int, closed: bool) -> np.ndarray:
    """How many pairs of sites have each displacement along an axis."""
    return np.full(length, length) if closed else length - np.abs(_steps(length, closed))


def _along_axis(two_point: Estimate, axis: int, lattice: Ising) -> Estimate:
    length = lattice.shape[axis]
    place: list[int | slice] = [0] * lattice.n_dims
    place[axis] = slice(length // 2 + 1 if lattice.periodic[axis] else length)
    return two_point._replace(value=two_point.value[tuple(place)], error=two_point.error[tuple(place)])


def _pair_sums(states: np.ndarray, lattice: Ising, steps: list[np.ndarray]) -> np.ndarray:
    """sum_x s_x s_{x+r} for each displacement r, summed over the states (n_states, *shape)."""
    lengths = [
        length if closed else fft.next_fast_len(2 * length - 1, real=True)
        for length, closed in zip(lattice.shape, lattice.periodic, strict=True)
    ]
    axes = tuple(range(1, lattice.n_dims + 1))
    at_once = max(1, NUMBERS_AT_ONCE // math.prod(lengths))
    power: float | np.ndarray = 0.0
    for first in range(0, len(states), at_once):
        waves = fft.rfftn(states[first : first + at_once].astype(np.float64), lengths, axes)
        power = power + (waves.real**2 + waves.imag**2).sum(axis=0)
    # Sums of +-1 are integers; rounded to them, G(0) = 1 has no rounding error that would pass for a fluctuation.
    return np.rint(fft.irfftn(power, lengths))[np.ix_(*steps)]


def _structure_factors(sums: np.ndarray, lattice: Ising) -> np.ndarray:
    """S(k) from the sums over pairs: their Fourier transform, in which displacements d and d - L count alike."""
    for axis, (length, closed) in enumerate(zip(lattice.shape, lattice.periodic, strict=True)):
        if not closed:
            sums = np.moveaxis(sums, axis - lattice.n_dims, 0)
            folded = sums[:length].copy()
            folded[1:] += sums[length:]
            sums = np.moveaxis(folded, 0, axis - lattice.n_dims)
    return fft.fftn(sums, axes=tuple(range(-lattice.n_dims, 0))).real / lattice.n_sites


def correlation_length(run: object, lattice: Ising, axis: int | None = None) -> Estimate:
    """The second-moment correlation length xi = sqrt(S(0) / S(k_min) - 1) / (2 sin(pi / L)), in sites.

    S(k) is the structure factor of `correlations` and k_min = 2 pi / L the smallest wave along an axis. Where L is much
    longer, it measures how far correlations reach. S(0) is not connected: in the ordered phase, or with a field, xi
    grows with the lattice, and xi / L of different sizes cross at a critical point.

    Parameters
    ----------
    run : Samples, or array of states
        As in `summary`.
    lattice : Ising
    axis : int, optional
        The direction. By default S(k_min) is averaged over all axes, which must then have the same length.

    Returns
    -------
    Estimate
        NaN, with a warning, where S(0) is not above S(k_min) or S(k_min) is 0.

    Raises
    ------
    InputError
        If an axis that is used is open or shorter than 3, lengths differ, a shape does not fit or a value is no spin.

    Warns
    -----
    StatisticsWarning
        If the correlation length is NaN, or the chains are too short for its error bar.

    References
    ----------
    Cooper, Freedman & Preston, Nucl. Phys. B 210, 210 (1982). Ballesteros et al., Phys. Rev. D 58, 2740 (1998).

    Examples
    --------
    >>> from mcgen import ising, observables
    >>> lattice = ising.Ising((32,))
    >>> run = ising.sample(lattice, temperature=1.0, n_chains=100, n_draws=100, thin=5, burn_in=200, seed=1)
    >>> xi = observables.correlation_length(run, lattice)  # the ring's is 1 / (2 sinh(-log(tanh(1/T)) / 2)) = 3.63
    >>> abs(xi.value - 3.63) < 4 * xi.error
    True
    """
    axes = range(lattice.n_dims) if axis is None else [checks.integer("axis", axis, 0, lattice.n_dims - 1)]
    for one in axes:
        if not lattice.periodic[one]:
            raise InputError(
                f"axis {one} is open, where waves with k = 2 pi / L are not the modes of the correlations; "
                "name a periodic axis, or fit correlations(run, lattice).along_axes"
            )
        if lattice.shape[one] < 3:
            raise InputError(
                f"axis {one} has length {lattice.shape[one]}, which has no wave longer than two sites; "
                "name an axis of length 3 or more"
            )
    lengths = {lattice.shape[one] for one in axes}
    if len(lengths) > 1:
        raise InputError(f"the axes have different lengths {lattice.shape}; name one with axis=0 ... {len(axes) - 1}")
    length = lengths.pop()
    states = draws_of(run, lattice)
    s_zero, s_min = np.empty(states.shape[:2]), np.zeros(states.shape[:2])
    wave = np.exp(2j * np.pi * np.arange(length) / length)
    for chain, draws in enumerate(states):  # one chain at a time: sums over sites need more bytes than spins
        s_zero[chain] = draws.sum(axis=tuple(range(1, draws.ndim)), dtype=np.int64) ** 2 / lattice.n_sites
        for one in axes:
            others = tuple(other + 1 for other in range(lattice.n_dims) if other != one)
            amplitude = draws.sum(axis=others, dtype=np.int64) @ wave
            s_min[chain] += np.abs(amplitude) ** 2 / (lattice.n_sites * len(axes))
    zero, smallest = float(s_zero.mean()), float(s_min.mean())
    if zero > smallest > 1e-20:
        xi = math.sqrt(zero / smallest - 1) / (2 * math.sin(math.pi / length))
        # What each draw adds to S(0) / S(k_min) to first order, which is xi^2 but for constants.
        first_order = stats.mean(s_zero / smallest - zero * s_min / smallest**2)
        return first_order._replace(value=xi, error=first_order.error * xi / (2 * (zero / smallest - 1)))
    warnings.warn(
        f"S(0) = {zero:.3g} and S(k_min) = {smallest:.3g} give no correlation length, which needs "
        "S(0) > S(k_min) > 0: it is shorter than the noise, or all states are uniform; "
        "draw more, or choose a temperature nearer to the transition",
        StatisticsWarning,
        stacklevel=2,
    )
    return Estimate(float("nan"), float("nan"), float("nan"), float("nan"))
