"""Distributions of energy and magnetisation, with an error bar for each probability."""

from typing import NamedTuple

import numpy as np

from mcgen import checks, enumeration, stats
from mcgen.errors import InputError
from mcgen.ising.lattice import Ising
from mcgen.observables import blocks
from mcgen.observables.averages import energy_and_magnetization
from mcgen.stats import Estimate


class Histogram(NamedTuple):
    """How probable each value is.

    levels : float64, shape (n_levels,)
        The values that occurred, increasing; where values were put into bins, the middle of each bin.
    probabilities : Estimate of arrays, shape (n_levels,)
        They add up to 1.
    edges : float64, shape (n_levels + 1,), or None
        The edges of the bins; None where levels are the exact values.
    """

    levels: np.ndarray
    probabilities: Estimate
    edges: np.ndarray | None


def energy_histogram(run: object, bins: int | np.ndarray | None = None) -> Histogram:
    """The distribution of the total energy in a run.

    With couplings of one magnitude, and fields of one magnitude or none, energies take few values: each is a level of
    its own. Otherwise, or where bins are asked for, they are put into bins of the width 3.49 sigma N^(-1/3) (Scott),
    with N the effective sample size.

    Parameters
    ----------
    run : Samples
        A result of `ising.sample`.
    bins : int or increasing array, shape (n_bins + 1,), optional
        The number of bins between the lowest and the highest energy, or their edges, which must hold all energies.

    Returns
    -------
    Histogram

    Raises
    ------
    InputError
        If the run has no energies, or the bins are not as described.

    References
    ----------
    Scott, Biometrika 66, 605 (1979).

    Examples
    --------
    >>> from mcgen import ising, observables
    >>> run = ising.sample(ising.Ising((2, 2)), temperature=5.0, n_chains=100, n_draws=20, thin=5, seed=1)
    >>> histogram = observables.energy_histogram(run)
    >>> histogram.levels.tolist(), round(float(histogram.probabilities.value.sum()), 12)
    ([-8.0, 0.0, 8.0], 1.0)
    """
    lattice, energy = getattr(run, "lattice", None), getattr(run, "energy", None)
    if lattice is None or energy is None:
        raise InputError(f"run={type(run).__name__} has no energies; give a result of ising.sample")
    if bins is None and _has_levels(lattice):
        return _of_levels(energy)
    if bins is None:
        bins = _edges_by_scott(energy)
    elif np.ndim(bins) == 0:
        bins = np.linspace(energy.min(), energy.max(), checks.integer("bins", bins, 1) + 1)
    edges = checks.finite_array("bins", bins, (None,)).astype(np.float64)
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise InputError(
            "bins must be two or more edges in increasing order, or the number of bins for energies that vary"
        )
    if edges[0] > energy.min() or edges[-1] < energy.max():
        raise InputError(
            f"bins from {edges[0]:g} to {edges[-1]:g} do not hold all energies, which are from {energy.min():g} to "
            f"{energy.max():g}; move the first and the last edge"
        )
    place = np.minimum(np.searchsorted(edges, energy, side="right") - 1, len(edges) - 2)
    return Histogram((edges[1:] + edges[:-1]) / 2, _probabilities(energy, place, len(edges) - 1), edges)


def magnetization_histogram(run: object, lattice: Ising) -> Histogram:
    """The distribution of the total magnetisation M of sampled states.

    Parameters
    ----------
    run : Samples, or array of states
        As in `summary`.
    lattice : Ising

    Returns
    -------
    Histogram
        Its levels are the values of M that occurred, among -n_sites, -n_sites + 2, ... n_sites.

    Raises
    ------
    InputError
        If a shape does not fit or a value is no spin.

    Examples
    --------
    >>> from mcgen import ising, observables
    >>> lattice = ising.Ising((2, 2))
    >>> run = ising.sample(lattice, temperature=50.0, n_chains=100, n_draws=20, thin=5, seed=1)
    >>> histogram = observables.magnetization_histogram(run, lattice)
    >>> histogram.levels.tolist(), bool(abs(histogram.probabilities.value[2] - 6 / 16) < 0.05)
    ([-4.0, -2.0, 0.0, 2.0, 4.0], True)
    """
    return _of_levels(energy_and_magnetization(run, lattice)[1])


def levels_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values, increasing, and which of them each value is; values equal up to rounding are one.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.observables import histograms
    >>> [part.tolist() for part in histograms.levels_of(np.array([0.3, 0.1, 0.1 + 0.2]))]
    [[0.1, 0.3], [1, 0, 1]]
    """
    distinct, place = np.unique(values.ravel(), return_inverse=True)
    is_new = enumeration.level_starts(distinct)
    return distinct[is_new], (np.cumsum(is_new) - 1)[place].reshape(values.shape)


def _has_levels(lattice: Ising) -> bool:
    """Whether couplings have one magnitude and fields too, apart from those that are 0."""
    return all(len(np.unique(np.abs(array[array != 0]))) <= 1 for array in (lattice.coupling, lattice.field))


def _of_levels(values: np.ndarray) -> Histogram:
    levels, place = levels_of(values)
    return Histogram(levels, _probabilities(values, place, len(levels)), None)


def _probabilities(values: np.ndarray, place: np.ndarray, n_levels: int) -> Estimate:
    """The fraction of draws at each level, from the value and the level of each draw, (n_chains, n_draws)."""
    edges = blocks.independent_edges(values)
    sizes = blocks.sizes(*edges)
    cell = blocks.numbers(*edges) * n_levels + place
    counts = np.bincount(cell.ravel(), minlength=sizes.size * n_levels)
    return blocks.average(counts.reshape(-1, n_levels), sizes)


def _edges_by_scott(energy: np.ndarray) -> np.ndarray:
    mean = stats.mean(energy)
    if np.isnan(mean.effective_sample_size):
        return np.array([mean.value - 0.5, mean.value + 0.5])
    width = 3.49 * energy.std() * mean.effective_sample_size ** (-1 / 3)
    return np.linspace(energy.min(), energy.max(), 1 + max(1, round(np.ptp(energy) / width)))
