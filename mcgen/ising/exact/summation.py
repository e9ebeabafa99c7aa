"""Exact sums over all states of an Ising lattice of up to 40 sites, one block of states after another.

Nothing is kept of a state: a block leaves ln Z, the moments of the energy and the distribution of the magnetisation in
a few dozen numbers, and blocks are added up in order. The sum can therefore stop after any block and go on later.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mcgen import backend, checks
from mcgen.errors import SizeError
from mcgen.ising.exact import formulas
from mcgen.ising.exact.listing import Summary
from mcgen.ising.lattice import Ising
from mcgen.long_sums import long_sum, spread
from mcgen.parallel import ALONE, World

# 2^40 states take some minutes to an hour.
MOST_SUMMED_SITES = 40

# The table of `boltzmann_sums`: 2^9 columns by 2^8 rows in two kinds stay in the second-level cache of a core.
LOW_SITES = 9
MIDDLE_SITES = 8
# States in a block, and in the one kernel call for it: about a second on one core.
BLOCK_BITS = 30

# Where beta |E| stays below this for all states, weights are taken as products without danger to their range.
WIDEST_PRODUCTS = 600.0
# Probabilities of magnetisations below this are given as 0: the sums leave out weights of this size.
SMALLEST_PROBABILITY = 1e-290


class Problem(NamedTuple):
    """What a sum is of.

    base_energies, base_weights : the table of energies of the low and middle part, and e^{-beta E} of it
    matrix, fields : J_ij between all sites, and B_i
    temperature : float
    products : whether weights are taken as products of table entries
    n_slices : the number of states of the high part
    """

    base_energies: np.ndarray
    base_weights: np.ndarray
    matrix: np.ndarray
    fields: np.ndarray
    temperature: float
    products: bool
    n_slices: int


class State(NamedTuple):
    """What is known after some blocks.

    temperature : float64 ()
    reference : float64 (), the lowest energy E_0 so far
    sums : float64 (3,), of w, w (E - E_0) and w (E - E_0)^2 with w = e^{-(E - E_0)/T}
    histogram : float64 (n_sites + 1,), of w by the number of spins up
    """

    temperature: np.ndarray
    reference: np.ndarray
    sums: np.ndarray
    histogram: np.ndarray


def check(lattice: Ising) -> None:
    """Raise `SizeError` if the states of the lattice are too many to be summed.

    Parameters
    ----------
    lattice : Ising

    Raises
    ------
    SizeError
        If the lattice has more than 40 sites.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import summation
    >>> summation.check(ising.Ising((5, 8)))
    """
    if lattice.n_sites > MOST_SUMMED_SITES:
        raise SizeError(
            f"the lattice {lattice.shape} has {lattice.n_sites} sites, 2^{lattice.n_sites} states; summing them one by "
            f"one reaches {MOST_SUMMED_SITES} sites; use the transfer matrix where the lattice is narrow "
            "(ising.exact.transfer), a smaller lattice, or ising.sample for estimates with error bars"
        )


def problem(lattice: Ising, temperature: float) -> Problem:
    """The tables of a sum.

    Parameters
    ----------
    lattice : Ising
        At most 40 sites.
    temperature : float
        T in units of energy, above 0.

    Returns
    -------
    Problem

    Raises
    ------
    InputError
        If the temperature is not positive.
    SizeError
        If the lattice has more than 40 sites.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import summation
    >>> summation.problem(ising.Ising((4, 5)), temperature=2.0).n_slices
    8
    """
    temperature = checks.positive("temperature", temperature)
    check(lattice)
    n_sites = lattice.n_sites
    n_low = min(LOW_SITES, n_sites)
    n_middle = min(MIDDLE_SITES, n_sites - n_low)
    n_table = n_low + n_middle
    matrix, fields = lattice.coupling_matrix, lattice.field.ravel().copy()

    # The energies of the table by doubling: turning site i up changes its sign in all bonds to the sites before.
    energies = np.zeros(1)
    for site in range(n_table):
        local = fields[site : site + 1]
        for other in range(site):
            local = np.concatenate([local - matrix[site, other], local + matrix[site, other]])
        energies = np.concatenate([energies + local, energies - local])
    energies = energies.reshape(1 << n_middle, 1 << n_low)

    largest = (np.abs(matrix).sum() / 2 + np.abs(fields).sum()) / temperature
    products = bool(largest < WIDEST_PRODUCTS)
    weights = np.exp(-energies / temperature) if products else np.ones((1, 1))
    return Problem(energies, weights, matrix, fields, temperature, products, 1 << (n_sites - n_table))


def sum_range(problem: Problem, first: int, stop: int, device: str = "cpu") -> State:
    """The sum over some of the slices.

    Parameters
    ----------
    problem : Problem
    first, stop : int
        Slices first ... stop - 1 of the `problem.n_slices`.
    device : {"cpu", "cuda"}

    Returns
    -------
    State
        The same for any number of threads.

    Raises
    ------
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import summation
    >>> half = summation.sum_range(summation.problem(ising.Ising((4, 5)), 2.0), 0, 4)
    >>> float(half.reference)
    -40.0
    """
    target = backend.target(device)
    n_sites = problem.fields.shape[0]
    results = [target.to_device(np.empty((stop - first, *shape))) for shape in ((), (3,), (n_sites + 1,))]
    tables = (problem.base_energies, problem.base_weights, problem.matrix, problem.fields)
    target.launch(
        target.kernels("ising.exact").boltzmann_sums,
        stop - first,
        1,
        *results,
        *map(target.to_device, tables),
        first,
        1.0 / problem.temperature,
        problem.products,
    )
    return merge(problem.temperature, *map(target.to_host, results))


def merge(temperature: float, references: np.ndarray, sums: np.ndarray, histograms: np.ndarray) -> State:
    """Several sums as one, in the order in which they come.

    Parameters
    ----------
    temperature : float
    references : float64 (n,)
    sums : float64 (n, 3)
    histograms : float64 (n, n_sites + 1)
        The fields of n sums, as in `State`.

    Returns
    -------
    State

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.ising.exact import summation
    >>> both = summation.merge(1.0, np.array([-1.0, 0.0]), np.array([[1.0, 0, 0], [1.0, 0, 0]]), np.ones((2, 2)))
    >>> float(both.reference), both.sums.round(3).tolist()
    (-1.0, [1.368, 0.368, 0.368])
    """
    reference = references.min()
    shift = references - reference
    shifted = np.stack(formulas.shifted_sums(*sums.T, shift), axis=1)
    scale = np.exp(-shift / temperature)[:, None]
    return State(
        np.array(temperature), np.array(reference), (scale * shifted).sum(axis=0), (scale * histograms).sum(axis=0)
    )


def blocks(
    lattice: Ising, temperature: float, device: str = "cpu", world: World = ALONE
) -> tuple[int, Callable[[int, State | None], State]]:
    """The sum over all states in blocks of 2**30.

    Parameters
    ----------
    lattice : Ising
        At most 40 sites.
    temperature : float
        T in units of energy, above 0.
    device : {"cpu", "cuda"}
    world : mcgen.parallel.World
        The ranks that share out the blocks.

    Returns
    -------
    n_blocks : int
    work : callable
        work(block, state) adds a block to the state, which is None before block 0. Blocks are added in order; the state
        is a tuple of arrays that can be saved in between.

    Raises
    ------
    InputError
        If the temperature is not positive.
    SizeError
        If the lattice has more than 40 sites.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import summation
    >>> n_blocks, work = summation.blocks(ising.Ising((4, 4)), temperature=2.269)
    >>> n_blocks, round(summation.finish(work(0, None)).log_partition, 7)
    (1, 15.5228171)
    """
    backend.target(device)
    tables = problem(lattice, temperature)
    n_table = tables.base_energies.size.bit_length() - 1
    slices = 1 << (BLOCK_BITS - n_table)
    n_blocks = -(-tables.n_slices // slices)

    def term(block: int) -> State:
        first = block * slices
        return sum_range(tables, first, min(first + slices, tables.n_slices), device)

    sum_of = spread(term, n_blocks, world)

    def work(block: int, state: tuple | None) -> State:
        new = sum_of(block)
        if state is None:
            return new
        parts = zip(State(*state), new, strict=True)
        _, references, sums, histograms = (np.stack(part) for part in parts)
        return merge(tables.temperature, references, sums, histograms)

    return n_blocks, work


def finish(state: tuple) -> Summary:
    """The results of a sum over all blocks.

    Parameters
    ----------
    state : State
        Or the tuple of its fields.

    Returns
    -------
    Summary

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import summation
    >>> n_blocks, work = summation.blocks(ising.Ising((4, 4)), temperature=3.0)
    >>> round(summation.finish(work(0, None)).energy / 16, 8)
    -1.01706963
    """
    temperature, reference, sums, histogram = State(*state)
    s0, s1, s2 = (float(value) for value in sums)
    temperature, reference = float(temperature), float(reference)
    mean = s1 / s0
    # Of E - E_0, where E_0 is an energy that occurs: at low temperatures both terms are tiny and nothing cancels.
    variance = s2 / s0 - mean * mean
    n_sites = histogram.shape[0] - 1
    probabilities = histogram / histogram.sum()
    probabilities[probabilities < SMALLEST_PROBABILITY] = 0.0
    return Summary(
        log_partition=float(np.log(s0)) - reference / temperature,
        energy=reference + mean,
        heat_capacity=variance / temperature**2,
        levels=np.arange(-n_sites, n_sites + 1, 2, dtype=np.int64),
        probabilities=probabilities,
    )


def summarize(
    lattice: Ising,
    temperature: float,
    device: str = "cpu",
    progress: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
    world: World = ALONE,
) -> Summary:
    """The sum over all states at once.

    Parameters
    ----------
    lattice : Ising
        At most 40 sites. 2**32 states take a second or two on two cores; each site more doubles the time.
    temperature : float
        T in units of energy, above 0.
    device : {"cpu", "cuda"}
    progress : bool, optional
        Show progress on standard error; by default if the sum takes more than a minute.
    checkpoint : path, optional
        Where Ctrl-C leaves the sum so far, and where a call with the same arguments goes on from.
    world : mcgen.parallel.World
        The ranks that share out the blocks. All get the result; it does not depend on their number.

    Returns
    -------
    Summary

    Raises
    ------
    InputError
        If the temperature is not positive.
    SizeError
        If the lattice has more than 40 sites.
    DeviceError
        If the device cannot be used.
    FileError
        If the checkpoint is that of another sum, or cannot be read or written.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import summation
    >>> result = summation.summarize(ising.Ising((4, 4)), temperature=2.269)
    >>> result.levels[-1], round(2 * float(result.probabilities[-1]), 4)  # all spins up or all down
    (np.int64(16), 0.4836)
    """
    n_blocks, work = blocks(lattice, temperature, device, world)
    label = f"2^{lattice.n_sites} states at T = {temperature:g}"
    what = ("ising", device, lattice.shape, lattice.periodic, lattice.coupling, lattice.field, temperature)
    return finish(long_sum(work, n_blocks, label, what, checkpoint, progress, world=world))
