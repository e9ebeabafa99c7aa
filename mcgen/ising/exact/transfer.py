"""The transfer matrix, site by site: exact answers for Ising lattices that are narrow, whatever their length.

Sites are added one at a time. The frontier is the set of sites that are added and still have neighbours to come: all
that the rest of the lattice sees of what is done. A vector over the 2^F states of the frontier holds the partial sums

    Z(frontier state) = sum over the spins of all other sites added so far of e^{-H(bonds and fields so far)/T},

and one step multiplies it by the Boltzmann factor of a new site and sums over the spins of every site whose neighbours
are all there. An open strip of width W has a frontier of W sites; a torus keeps its first row and has 2 W, a ring 2. A
lattice of N sites costs N 2^F operations instead of 2^N.

Weights are pairs (mantissa, exponent) that neither overflow nor underflow: at low temperature a frontier state whose
weight is smaller by many more than 308 orders of magnitude can still be the one that later sites prefer.

Kramers & Wannier, Phys. Rev. 60, 252 (1941); site by site: Binder, Physica 62, 508 (1972).
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mcgen import backend, checks, rng
from mcgen.errors import InputError, SizeError
from mcgen.formulas import LN2_HIGH, LN2_LOW
from mcgen.ising.lattice import Ising
from mcgen.progress import progress as progress_bar
from mcgen.rng.purpose import ISING_EXACT

# Two vectors of 2^26 states in 16 bytes each are 2 GiB.
MOST_BITS = 26
# With means and variances a state takes 48 bytes: 3 GiB.
MOST_MOMENT_BITS = 25
# Sampling keeps some vectors on the way: see SAMPLE_MEMORY.
MOST_SAMPLE_BITS = 24
# States times columns, one for each number of spins up: 4 GiB.
MOST_ELEMENTS = 1 << 27
# Bytes of the vectors that sampling stores, about.
SAMPLE_MEMORY = 1 << 30
BYTES_OF_WEIGHT = 16
# Samples that are drawn together in NumPy: bounds the memory of their terms.
DRAWS_AT_ONCE = 1 << 16

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


class Moments(NamedTuple):
    """Exact thermodynamics at one temperature, totals over the lattice (k_B = 1).

    log_partition : ln Z
    energy : U = <H>
    heat_capacity : C = (<H^2> - <H>^2) / T^2
    magnetization : <M>
    susceptibility : (<M^2> - <M>^2) / T
    """

    log_partition: float
    energy: float
    heat_capacity: float
    magnetization: float
    susceptibility: float


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


def _steps(lattice: Ising) -> list[Step]:
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


def _offsets(leaving: np.ndarray) -> np.ndarray:
    """The values that the bits at the positions `leaving` can have together."""
    offsets = np.zeros(1, np.int64)
    for position in leaving:
        offsets = np.concatenate([offsets, offsets + (1 << int(position))])
    return offsets


def _view(buffer: np.ndarray, *shape: int) -> np.ndarray:
    """The first numbers of a buffer as an array of that shape."""
    return buffer[: math.prod(shape)].reshape(shape)


class _Sweep:
    """The weights of the frontier's states, taken along by one step after another."""

    def __init__(self, steps: list[Step], temperature: float, device: str, columns: bool = False):
        self.target = backend.target(device)
        self.kernel = self.target.kernels("ising.exact").transfer_step
        self.steps, self.beta, self.columns = steps, 1.0 / temperature, columns
        size = max((k + 2 if columns else 1) << step.bits for k, step in enumerate(steps))
        self.buffers = [
            (self.target.to_device(np.empty(size)), self.target.to_device(np.empty(size, np.int64))) for _ in range(2)
        ]
        self.set(0, np.ones((1, 1)), np.zeros((1, 1), np.int64))

    def set(self, done: int, mantissas: np.ndarray, exponents: np.ndarray) -> None:
        """Start from known weights, after `done` steps."""
        self.done = done
        self.mantissas, self.exponents = self.target.to_device(mantissas), self.target.to_device(exponents)

    def advance(self) -> None:
        """Take the next step."""
        step = self.steps[self.done]
        buffers = self.buffers[self.done % 2]
        shape = (self.done + 2 if self.columns else 1, 1 << step.bits)
        new = [_view(buffer, *shape) for buffer in buffers]
        arrays = (step.leaving, _offsets(step.leaving), step.neighbor_bits, step.energies)
        self.target.launch(
            self.kernel,
            math.prod(shape),
            1,
            *new,
            self.mantissas,
            self.exponents,
            *map(self.target.to_device, arrays),
            self.beta,
            int(self.columns),
        )
        self.mantissas, self.exponents = new
        self.done += 1

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights as they are now, in NumPy arrays of their own."""
        return self.target.to_host(self.mantissas).copy(), self.target.to_host(self.exponents).copy()


def _log(mantissa: float, exponent: int) -> float:
    """ln(mantissa * 2^exponent)."""
    return exponent * LN2_HIGH + (exponent * LN2_LOW + math.log(mantissa))


def _checked(lattice: Ising, temperature: float, most_bits: int) -> tuple[float, list[Step]]:
    temperature = checks.positive("temperature", temperature)
    _check_range(lattice, temperature)
    check(lattice, most_bits)
    return temperature, _steps(lattice)


def log_partition(lattice: Ising, temperature: float, device: str = "cpu", progress: bool = False) -> float:
    """Ln Z = ln sum_s e^{-H(s)/T}, exact to rounding.

    Parameters
    ----------
    lattice : Ising
        With a frontier of at most 26 sites. The time is proportional to n_sites * 2**frontier.
    temperature : float
        T in units of energy, above 0.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    float
        Relative error below 1e-13.

    Raises
    ------
    InputError
        If the temperature is not positive, or so low that even exponents of 40 bits are too short.
    SizeError
        If the frontier has more than 26 sites.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Kramers & Wannier, Phys. Rev. 60, 252 (1941). Binder, Physica 62, 508 (1972).

    Examples
    --------
    >>> import math
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import transfer
    >>> round(transfer.log_partition(ising.Ising((8, 8)), temperature=2 / math.log(1 + 2**0.5)), 10)
    60.1417807891
    """
    temperature, steps = _checked(lattice, temperature, MOST_BITS)
    sweep = _Sweep(steps, temperature, device)
    with progress_bar(sum(1 << step.bits for step in steps), f"ln Z at T={temperature:g}", progress) as bar:
        for step in steps:
            sweep.advance()
            bar.update(1 << step.bits)
    mantissas, exponents = sweep.weights()
    return _log(float(mantissas[0, 0]), int(exponents[0, 0]))


def moments(lattice: Ising, temperature: float, device: str = "cpu", progress: bool = False) -> Moments:
    """Ln Z and the means and variances of energy and magnetisation.

    The vector also holds the mean and the variance of both given the state of the frontier. Merging two states is a
    mixture of distributions, so no difference of large numbers is ever taken, at any length of the lattice.

    Parameters
    ----------
    lattice : Ising
        With a frontier of at most 25 sites.
    temperature : float
        T in units of energy, above 0.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    Moments
        Totals over the lattice; divide by `lattice.n_sites` for values per site.

    Raises
    ------
    InputError
        If the temperature is not positive, or so low that even exponents of 40 bits are too short.
    SizeError
        If the frontier has more than 25 sites.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import transfer
    >>> result = transfer.moments(ising.Ising((8, 8)), temperature=2.269)
    >>> round(result.energy / 64, 6), round(result.heat_capacity / 64, 6)
    (-1.491801, 1.145379)
    """
    temperature, steps = _checked(lattice, temperature, MOST_MOMENT_BITS)
    target = backend.target(device)
    kernel = target.kernels("ising.exact").transfer_moments_step
    totals = target.to_device(np.zeros((2, 2)))
    old = [target.to_device(array) for array in (np.ones(1), np.zeros(1, np.int64), np.zeros((2, 1)), np.zeros((2, 1)))]
    size = max(1 << step.bits for step in steps)
    buffers = [
        [target.to_device(np.empty(n * size, kind)) for n, kind in ((1, float), (1, np.int64), (2, float), (2, float))]
        for _ in range(2)
    ]
    with progress_bar(sum(1 << step.bits for step in steps), f"moments at T={temperature:g}", progress) as bar:
        for k, step in enumerate(steps):
            n_states = 1 << step.bits
            shapes = ((n_states,), (n_states,), (2, n_states), (2, n_states))
            new = [_view(buffer, *shape) for buffer, shape in zip(buffers[k % 2], shapes, strict=True)]
            arrays = (step.leaving, _offsets(step.leaving), step.neighbor_bits, step.energies)
            target.launch(kernel, n_states, 1, *new, *old, totals, *map(target.to_device, arrays), 1.0 / temperature)
            old = new
            bar.update(n_states)
    mantissas, exponents, means, variances = map(target.to_host, old)
    totals = target.to_host(totals)
    energy, magnetization = (totals[:, 0] + (totals[:, 1] + means[:, 0])).tolist()
    return Moments(
        log_partition=_log(float(mantissas[0]), int(exponents[0])),
        energy=energy,
        heat_capacity=float(variances[0, 0]) / temperature**2,
        magnetization=magnetization,
        susceptibility=float(variances[1, 0]) / temperature,
    )


def magnetization_distribution(
    lattice: Ising, temperature: float, device: str = "cpu", progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The probability of every value of the magnetisation M = sum_i s_i.

    The vector has a column for each number of spins up so far. All its terms are positive: probabilities have their
    full relative precision, however small they are.

    Parameters
    ----------
    lattice : Ising
        With at most 2**27 elements in its largest vector, 2**frontier times (sites added + 1).
    temperature : float
        T in units of energy, above 0.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    levels : int64 (n_sites + 1,)
        -N, -N + 2, ..., N.
    probabilities : float64 (n_sites + 1,)

    Raises
    ------
    InputError
        If the temperature is not positive, or so low that even exponents of 40 bits are too short.
    SizeError
        If the vector is larger.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import transfer
    >>> levels, p = transfer.magnetization_distribution(ising.Ising((4, 4)), temperature=2.269)
    >>> int(levels[-1]), round(2 * float(p[-1]), 4)  # all spins up or all down
    (16, 0.4836)
    """
    temperature, steps = _checked(lattice, temperature, MOST_BITS)
    elements = max((k + 2) << step.bits for k, step in enumerate(steps))
    if elements > MOST_ELEMENTS:
        raise SizeError(
            f"the magnetisation of the lattice {lattice.shape} takes a vector of {elements} numbers, the states of a "
            f"frontier of {frontier(lattice)} sites times the values of M; it reaches {MOST_ELEMENTS}; use a narrower "
            "or shorter lattice, open boundaries along the longest axis, or ising.sample for estimates with error bars"
        )
    sweep = _Sweep(steps, temperature, device, columns=True)
    label = f"magnetisation at T={temperature:g}"
    with progress_bar(sum((k + 2) << step.bits for k, step in enumerate(steps)), label, progress) as bar:
        for k, step in enumerate(steps):
            sweep.advance()
            bar.update((k + 2) << step.bits)
    mantissas, exponents = (array[:, 0] for array in sweep.weights())
    weights = np.ldexp(mantissas, np.maximum(exponents - exponents.max(), -2000).astype(np.int32))
    levels = np.arange(-lattice.n_sites, lattice.n_sites + 1, 2, dtype=np.int64)
    return levels, weights / math.fsum(weights)


def _backwards(
    sweep: _Sweep, first: int, last: int, start: tuple[np.ndarray, np.ndarray], memory: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The weights before each of the steps first ... last - 1, from the last one to the first.

    Where they do not fit in `memory` bytes together, some are kept on the way and the others computed again from them.
    """
    sizes = [BYTES_OF_WEIGHT << sweep.steps[k].bits for k in range(first, last - 1)]
    sweep.set(first, *start)
    if sum(sizes) <= memory or last - first <= 2:
        stored = [start]
        for _ in sizes:
            sweep.advance()
            stored.append(sweep.weights())
        while stored:
            mantissas, exponents = stored.pop()
            yield first + len(stored), mantissas[0], exponents[0]
        return
    n_pieces = min(max(2, memory // (2 * max(sizes))), math.isqrt(last - first - 1) + 1)
    ends = [first + (last - first) * piece // n_pieces for piece in range(n_pieces + 1)]
    stored = [start]
    for k in range(first, ends[-2]):
        sweep.advance()
        if k + 1 in ends:
            stored.append(sweep.weights())
    while stored:
        piece = stored.pop()
        yield from _backwards(sweep, ends[len(stored)], ends[len(stored) + 1], piece, memory // 2)


def sample(
    lattice: Ising, temperature: float, n_draws: int, seed: int, device: str = "cpu", progress: bool = False
) -> np.ndarray:
    """Independent states from the Boltzmann distribution, exactly: no Markov chain, no burn-in.

    The sum is taken forwards and its vectors are kept. Going backwards, the spins that left the frontier in a step are
    drawn given the frontier after it, in proportion to the terms that were summed.

    Parameters
    ----------
    lattice : Ising
        With a frontier of at most 24 sites.
    temperature : float
        T in units of energy, above 0.
    n_draws : int
    seed : int
        0 to 2**64 - 1.
    device : {"cpu", "cuda"}
        Where the sum is taken.
    progress : bool
        Show progress on standard error.

    Returns
    -------
    int8 (n_draws, *lattice.shape)
        Spins +-1. The same seed gives the same states for any number of threads, and draw k does not depend on n_draws.

    Raises
    ------
    InputError
        If an argument is out of range.
    SizeError
        If the frontier has more than 24 sites.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import transfer
    >>> states = transfer.sample(ising.Ising((8, 8)), temperature=2.269, n_draws=1000, seed=1)
    >>> states.shape, abs(float(ising.Ising((8, 8)).energy(states).mean()) / 64 + 1.4918) < 0.02
    ((1000, 8, 8), True)
    """
    n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
    rng.split_seed(seed)
    temperature, steps = _checked(lattice, temperature, MOST_SAMPLE_BITS)
    sweep = _Sweep(steps, temperature, device)
    spins = np.empty((n_draws, lattice.n_sites), np.int8)
    states = np.zeros(n_draws, np.int64)  # of the frontier; nothing is left of it after the last step
    start = (np.ones((1, 1)), np.zeros((1, 1), np.int64))
    with progress_bar(len(steps), f"samples at T={temperature:g}", progress) as bar:
        for k, mantissas, exponents in _backwards(sweep, 0, len(steps), start, SAMPLE_MEMORY):
            if steps[k].leaving.size:
                u = rng.fine_uniforms(seed, ISING_EXACT, n_draws, 1, step=k)
            else:
                u = np.zeros((n_draws, 1))
            for first in range(0, n_draws, DRAWS_AT_ONCE):
                some = slice(first, first + DRAWS_AT_ONCE)
                states[some] = _draw_step(
                    spins[some], states[some], steps[k], mantissas, exponents, 1.0 / temperature, u[some]
                )
            bar.update(1)
    return spins.reshape(n_draws, *lattice.shape)


def _draw_step(
    spins: np.ndarray,
    states: np.ndarray,
    step: Step,
    mantissas: np.ndarray,
    exponents: np.ndarray,
    beta: float,
    u: np.ndarray,
) -> np.ndarray:
    """Draw the spins that leave in a step given the frontier after it, and return the frontier before it."""
    full = states
    for position in step.leaving.tolist():
        low = full & ((1 << position) - 1)
        full = ((full - low) << 1) | low
    if step.leaving.size == 0:
        return full >> 1
    offsets = _offsets(step.leaving)
    full = full[:, None] | offsets
    entries = full & 1
    for k, position in enumerate(step.neighbor_bits.tolist()):
        entries |= ((full >> position) & 1) << (k + 1)
    # Logarithms, without a common exponent: the terms of the sum differ by far more than floating point can hold.
    exponent = exponents[full >> 1]
    highest = exponent.max(axis=1, keepdims=True)
    logs = np.log(mantissas[full >> 1]) + (exponent - highest) * math.log(2) - beta * step.energies[entries]
    terms = np.cumsum(np.exp(logs - logs.max(axis=1, keepdims=True)), axis=1)
    choice = (u * terms[:, -1:] >= terms[:, :-1]).sum(axis=1)
    for k, site in enumerate(step.leaving_sites):
        spins[:, site] = 2 * ((choice >> k) & 1) - 1
    return np.take_along_axis(full, choice[:, None], axis=1)[:, 0] >> 1
