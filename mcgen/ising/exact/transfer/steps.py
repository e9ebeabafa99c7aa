"""How a lattice is put together site by site: the order of the sites, and the frontier after each of them."""

import itertools
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import InputError, SizeError
from mcgen.ising.lattice import Ising

# Two vectors of 2^26 states in 16 bytes each are 2 GiB.
MOST_BITS = 26
# Orders of the axes that are tried: all of them up to five axes.
MOST_PERMUTED_AXES = 5
# Exponents are integers of 64 bits, of which NO_EXPONENT marks empty columns.
LARGEST_ENERGY = 1e11


class Step(NamedTuple):
    """Adding one site.

    site : the site, by its row-major number
    leaving_sites : the sites that leave the frontier, by increasing position
    leaving : int64, their positions in the frontier with the new site in front
    neighbor_bits : int64, the positions of the new site's neighbours
    energies : float64 (2**(n_neighbors + 1),), what the site adds to H, by its own spin (bit 0) and those neighbours'
    bits : the sites of the frontier afterwards
    """

    site: int
    leaving_sites: list[int]
    leaving: np.ndarray
    neighbor_bits: np.ndarray
    energies: np.ndarray
    bits: int


def _departures(lattice: Ising, rank: np.ndarray) -> np.ndarray:
    """The step after which each site has met all its neighbours; rank[site] is the step that adds it."""
    neighbors, couplings = lattice.neighbor_table
    return np.maximum(rank, np.where(couplings != 0, rank[neighbors], 0).max(axis=1))


def _frontier_sizes(lattice: Ising, rank: np.ndarray) -> np.ndarray:
    """The number of sites in the frontier after each step."""
    left = np.cumsum(np.bincount(_departures(lattice, rank), minlength=lattice.n_sites))
    return np.arange(1, lattice.n_sites + 1) - left


def _order(lattice: Ising) -> tuple[np.ndarray, int]:
    """The sites, in row-major order of the best permutation of the axes, and the bits of its largest frontier."""
    sites = np.arange(lattice.n_sites).reshape(lattice.shape)
    longest_first = sorted(range(lattice.n_dims), key=lambda axis: -lattice.shape[axis])
    permutations = itertools.permutations(longest_first) if lattice.n_dims <= MOST_PERMUTED_AXES else [longest_first]
    best = None
    for axes in permutations:
        order = sites.transpose(axes).ravel()
        rank = np.empty(lattice.n_sites, np.int64)
        rank[order] = np.arange(lattice.n_sites)
        sizes = _frontier_sizes(lattice, rank)
        cost = (int(sizes.max()), float(np.sum(2.0 ** np.minimum(sizes, 1000))))
        if best is None or cost < best[0]:
            best = (cost, order)
    return best[1], best[0][0]


def frontier(lattice: Ising) -> int:
    """The number of sites in the largest frontier: the vector of the sum has 2**frontier elements.

    Parameters
    ----------
    lattice : Ising

    Returns
    -------
    int

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import transfer
    >>> transfer.frontier(ising.Ising((100, 6), periodic=False)), transfer.frontier(ising.Ising((100, 6)))
    (6, 12)
    """
    return _order(lattice)[1]


def check(lattice: Ising, most_bits: int = MOST_BITS) -> None:
    """Raise `SizeError` if the frontier of the lattice is too large.

    Parameters
    ----------
    lattice : Ising
    most_bits : int
        The largest frontier: 26 sites for log Z, 25 for moments, 24 for samples.

    Raises
    ------
    SizeError
        If the frontier is larger.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import transfer
    >>> transfer.check(ising.Ising((13, 13)))
    """
    bits = frontier(lattice)
    if bits > most_bits:
        raise SizeError(
            f"the transfer matrix of the lattice {lattice.shape} works on a frontier of {bits} sites, 2^{bits} states; "
            f"it reaches {most_bits} sites here; use a narrower lattice, open boundaries along the longest axis "
            "(which halve the frontier), or ising.sample for estimates with error bars"
        )


def _check_range(lattice: Ising, temperature: float) -> None:
    largest = np.abs(lattice.coupling).sum() + np.abs(lattice.field).sum()
    if largest / temperature > LARGEST_ENERGY:
        raise InputError(
            f"temperature={temperature} is too low for couplings and fields that add up to {largest:g}; "
            f"give a temperature above {largest / LARGEST_ENERGY:g}"
        )


def steps_of(lattice: Ising) -> list[Step]:
    """How the lattice is put together."""
    order = _order(lattice)[0]
    rank = np.empty(lattice.n_sites, np.int64)
    rank[order] = np.arange(lattice.n_sites)
    departures = _departures(lattice, rank)
    neighbors, couplings = lattice.neighbor_table
    fields = lattice.field.ravel()
    known: dict[tuple, np.ndarray] = {}  # most sites of a lattice are like another one
    steps = []
    present: list[int] = []
    for step, site in enumerate(order.tolist()):
        present.insert(0, site)
        place = {other: position for position, other in enumerate(present)}
        bonds: dict[int, float] = {}
        for other, coupling in zip(neighbors[site].tolist(), couplings[site].tolist(), strict=True):
            if coupling != 0 and rank[other] < step:
                bonds[other] = bonds.get(other, 0.0) + coupling
        strengths = (float(fields[site]), *bonds.values())
        if strengths not in known:
            known[strengths] = _step_energies(*strengths)
        leaving = [position for position, other in enumerate(present) if departures[other] == step]
        leaving_sites = [present[position] for position in leaving]
        present = [other for other in present if departures[other] != step]
        bits = [place[other] for other in bonds]
        steps.append(
            Step(
                site,
                leaving_sites,
                np.array(leaving, np.int64),
                np.array(bits, np.int64),
                known[strengths],
                len(present),
            )
        )
    return steps


def _step_energies(field: float, *couplings: float) -> np.ndarray:
    """-B s - sum_k J_k s s_k of a spin s and those of its neighbours: s is bit 0 of the index, s_k is bit k + 1."""
    local = np.array([field])
    for coupling in couplings:
        local = np.concatenate([local - coupling, local + coupling])
    return np.stack([local, -local], axis=1).ravel()


def values_of_bits(leaving: np.ndarray) -> np.ndarray:
    """The values that the bits at the positions `leaving` can have together."""
    offsets = np.zeros(1, np.int64)
    for position in leaving:
        offsets = np.concatenate([offsets, offsets + (1 << int(position))])
    return offsets


def checked(lattice: Ising, temperature: float, most_bits: int) -> tuple[float, list[Step]]:
    """The temperature, checked, and the steps of a lattice whose frontier is not too large."""
    temperature = checks.positive("temperature", temperature)
    _check_range(lattice, temperature)
    check(lattice, most_bits)
    return temperature, steps_of(lattice)
