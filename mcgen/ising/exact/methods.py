"""One door to the exact methods for Ising lattices: each call takes the cheapest one that is exact for the lattice.

| method | lattices | time grows as | gives |
| --- | --- | --- | --- |
| enumeration | any, up to 40 sites | 2^sites | everything |
| transfer | any whose frontier has at most 26 sites | sites * 2^frontier | everything; <|M|> up to a smaller size |
| kaufman | 2D tori without field, any size | sites along one axis | ln Z, energy, heat capacity |
"""

import math
import os
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import InputError, SizeError
from mcgen.ising.exact import counting, listing, summation, torus, transfer
from mcgen.ising.lattice import Ising
from mcgen.long_sums import LONG_SECONDS
from mcgen.parallel import ALONE, World

METHODS = ("enumeration", "transfer", "kaufman")

# Seconds on two cores, measured: for a state, for a number of the tables that an enumeration starts with, and for a
# frontier state and site (and column). They only rank the methods.
SECONDS_PER_STATE = 0.35e-9
SECONDS_PER_TABLE_ENTRY = 2e-8
SECONDS_PER_STEP = {"log_partition": 1.2e-9, "moments": 7e-9, "distribution": 1.1e-9}
SECONDS_PER_SITE = 3e-5
# The transfer matrix has more kernels to load, or to compile the first time.
SECONDS_TO_START = {"enumeration": 1e-4, "transfer": 5e-3}
# Lattices up to this size are summed from the list of their energies, whose kernel other calls need as well.
MOST_LISTED_SITES = 18
# 2^62 states are counted in an int64.
MOST_SITES_IN_INT64 = 62
# Where Kaufman's formula gives the rest in milliseconds, the magnetisation is not worth more than this.
PATIENCE = 30.0


class Thermodynamics(NamedTuple):
    """Exact thermodynamics at one temperature, totals over the lattice (k_B = 1).

    log_partition : ln Z
    free_energy : F = -T ln Z
    energy : U = <H>
    heat_capacity : C = (<H^2> - <H>^2) / T^2
    entropy : S = (U - F) / T
    magnetization : <M>
    abs_magnetization : <|M|>
    susceptibility : chi = (<M^2> - <M>^2) / T, the response d<M>/dB to a uniform field
    abs_susceptibility : (<M^2> - <|M|>^2) / T, the form used to locate a transition without field
    method : "enumeration", "transfer" or "kaufman"

    What a method cannot give is NaN: Kaufman's formula knows no field, and so gives neither <|M|> nor the
    susceptibilities; the transfer matrix gives <|M|> up to a smaller size than the rest.
    """

    temperature: float
    log_partition: float
    free_energy: float
    energy: float
    heat_capacity: float
    entropy: float
    magnetization: float
    abs_magnetization: float
    susceptibility: float
    abs_susceptibility: float
    method: str


class Plan(NamedTuple):
    """What a method would cost for a lattice.

    method : its name
    seconds : about, on two cores; infinite if it cannot do it
    complete : whether it gives the whole of `Thermodynamics`
    obstacle : why it cannot do it, or ""
    """

    method: str
    seconds: float
    complete: bool
    obstacle: str


def _obstacle(lattice: Ising, method: str, quantity: str) -> str:
    """Why a method cannot do it, or ""."""
    if method == "kaufman":
        return torus.obstacle(lattice)
    try:
        if method == "enumeration":
            summation.check(lattice)
        else:
            bits = transfer.MOST_BITS if quantity == "log_partition" else transfer.MOST_MOMENT_BITS
            transfer.check(lattice, bits)
    except SizeError as error:
        return str(error)
    return ""


def _gives_distribution(lattice: Ising, bits: int) -> bool:
    """Whether the transfer matrix, with a frontier of `bits` sites, can keep a column for each number of spins up."""
    return bits <= transfer.MOST_BITS and (lattice.n_sites + 1) << bits <= transfer.MOST_ELEMENTS


def plans(lattice: Ising, quantity: str = "thermodynamics") -> list[Plan]:
    """What each method would cost for a lattice, those that can do it first, the quickest of these first.

    Parameters
    ----------
    lattice : Ising
    quantity : {"thermodynamics", "log_partition"}

    Returns
    -------
    list of Plan

    Raises
    ------
    InputError
        If the quantity is unknown.

    Examples
    --------
    >>> from mcgen import ising
    >>> [(plan.method, plan.complete) for plan in ising.exact.plans(ising.Ising((8, 8)))]
    [('kaufman', False), ('transfer', True), ('enumeration', True)]
    >>> ising.exact.plans(ising.Ising((8, 8)))[-1].obstacle[:45]
    'the lattice (8, 8) has 64 sites, 2^64 states;'
    """
    checks.choice("quantity", quantity, ("thermodynamics", "log_partition"))
    n = lattice.n_sites
    found = []
    obstacle = _obstacle(lattice, "enumeration", quantity)
    seconds = math.inf
    if not obstacle:
        table = SECONDS_PER_TABLE_ENTRY * (1 << min(n, summation.LOW_SITES + summation.MIDDLE_SITES))
        seconds = SECONDS_TO_START["enumeration"] + table + math.ldexp(SECONDS_PER_STATE, n)
    found.append(Plan("enumeration", seconds, True, obstacle))

    obstacle = _obstacle(lattice, "transfer", quantity)
    bits = transfer.frontier(lattice)
    distribution = _gives_distribution(lattice, bits)
    steps = {"log_partition": SECONDS_PER_STEP["log_partition"]}
    if quantity == "thermodynamics":
        steps = {"moments": SECONDS_PER_STEP["moments"]}
        if distribution:
            steps["distribution"] = SECONDS_PER_STEP["distribution"] * (n + 1)
    seconds = math.inf
    if not obstacle:
        seconds = SECONDS_TO_START["transfer"] + n * (
            len(steps) * SECONDS_PER_SITE + math.ldexp(sum(steps.values()), bits)
        )
    found.append(Plan("transfer", seconds, distribution, obstacle))

    obstacle = _obstacle(lattice, "kaufman", quantity)
    found.append(Plan("kaufman", 5e-4 if not obstacle else math.inf, False, obstacle))
    return sorted(found, key=lambda plan: plan.seconds)


def choose_method(lattice: Ising, quantity: str = "thermodynamics") -> str:
    """The method that method="auto" takes for a lattice.

    For log Z it is the quickest. For thermodynamics it is the quickest that gives all of it, unless that takes more
    than half a minute and Kaufman's formula gives ln Z, energy and heat capacity at once.

    Parameters
    ----------
    lattice : Ising
    quantity : {"thermodynamics", "log_partition"}

    Returns
    -------
    {"enumeration", "transfer", "kaufman"}

    Raises
    ------
    InputError
        If the quantity is unknown.
    SizeError
        If no method reaches the lattice; the message says why for each.

    Examples
    --------
    >>> from mcgen import ising
    >>> [ising.exact.choose_method(ising.Ising((length, length))) for length in (4, 8, 64)]
    ['enumeration', 'transfer', 'kaufman']
    """
    every = plans(lattice, quantity)
    possible = [plan for plan in every if not plan.obstacle]
    if not possible:
        reasons = "; ".join(f"{plan.method}: {plan.obstacle}" for plan in every)
        raise SizeError(f"no exact method reaches the lattice {lattice.shape} ({reasons})")
    if quantity == "log_partition":
        return possible[0].method
    complete = [plan for plan in possible if plan.complete]
    quick = possible[0].method == "kaufman" and not (complete and complete[0].seconds < PATIENCE)
    return possible[0].method if quick or not complete else complete[0].method


def _method(lattice: Ising, method: str, quantity: str) -> str:
    """The method asked for, checked to be able to do it, or the one chosen."""
    if checks.choice("method", method, ("auto", *METHODS)) == "auto":
        return choose_method(lattice, quantity)
    obstacle = _obstacle(lattice, method, quantity)
    if obstacle:
        if method == "kaufman":
            raise InputError(f"method='kaufman' does not hold for {lattice!r}: {obstacle}; use method='auto'")
        raise SizeError(f"method={method!r}: {obstacle}")
    return method


def _shown(lattice: Ising, quantity: str, progress: bool | None) -> bool:
    """Whether a sweep of the transfer matrix shows its progress: by default if it takes more than a minute."""
    if progress is not None:
        return progress
    return {plan.method: plan.seconds for plan in plans(lattice, quantity)}["transfer"] > LONG_SECONDS


def log_partition(
    lattice: Ising,
    temperature: float,
    device: str = "cpu",
    method: str = "auto",
    progress: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
    world: World = ALONE,
) -> float:
    """Ln Z = ln sum_s e^{-H(s)/T}, exact to rounding.

    Parameters
    ----------
    lattice : Ising
    temperature : float
        T in units of energy, above 0.
    device : {"cpu", "cuda"}
        Where states or frontier states are summed.
    method : {"auto", "enumeration", "transfer", "kaufman"}
        By default the quickest: see `choose_method`.
    progress : bool, optional
        Show progress on standard error; by default if it takes more than a minute.
    checkpoint : path, optional
        Where Ctrl-C leaves an enumeration; a call with the same checkpoint goes on from there to the same bits.
    world : mcgen.parallel.World
        The ranks that share out the states of an enumeration. All get the result; it does not depend on their number.

    Returns
    -------
    float
        Relative error below 1e-12.

    Raises
    ------
    InputError
        If an argument is out of range, or the method does not apply to the lattice.
    SizeError
        If the lattice is out of reach.
    DeviceError
        If the device cannot be used.
    FileError
        If the checkpoint is that of another sum, or cannot be read or written.

    Examples
    --------
    >>> from mcgen import ising
    >>> round(ising.exact.log_partition(ising.Ising((4, 4)), temperature=2.269), 7)
    15.5228171
    """
    temperature = checks.positive("temperature", temperature)
    method = _method(lattice, method, "log_partition")
    if method == "kaufman":
        return torus.kaufman(lattice, temperature).log_partition
    if method == "transfer":
        return transfer.log_partition(lattice, temperature, device, _shown(lattice, "log_partition", progress))
    return _enumerate(lattice, temperature, device, progress, checkpoint, world).log_partition


def thermodynamics(
    lattice: Ising,
    temperature: float,
    device: str = "cpu",
    method: str = "auto",
    progress: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
    world: World = ALONE,
) -> Thermodynamics:
    """Exact thermodynamics at one temperature.

    Parameters, errors as for `log_partition`; `choose_method` says what method="auto" takes.

    Returns
    -------
    Thermodynamics
        Totals over the lattice; divide by `lattice.n_sites` for values per site. `method` is the one used; what it
        cannot give is NaN.

    Examples
    --------
    >>> from mcgen import ising
    >>> thermo = ising.exact.thermodynamics(ising.Ising((4, 4)), temperature=3.0)
    >>> round(thermo.energy / 16, 8), round(thermo.heat_capacity / 16, 8), round(thermo.abs_magnetization / 16, 8)
    (-1.01706963, 0.60313471, 0.60129133)
    >>> large = ising.exact.thermodynamics(ising.Ising((64, 64)), temperature=2.269)
    >>> large.method, round(large.energy / 64**2, 6)
    ('kaufman', -1.424344)
    """
    temperature = checks.positive("temperature", temperature)
    method = _method(lattice, method, "thermodynamics")
    nan = math.nan
    magnetization = susceptibility = abs_magnetization = abs_susceptibility = nan
    levels = None
    if method == "kaufman":
        result = torus.kaufman(lattice, temperature)
        magnetization = 0.0  # no field: s and -s have the same weight
    elif method == "transfer":
        shown = _shown(lattice, "thermodynamics", progress)
        result = transfer.moments(lattice, temperature, device, shown)
        magnetization, susceptibility = result.magnetization, result.susceptibility
        if _gives_distribution(lattice, transfer.frontier(lattice)):
            levels, p = transfer.magnetization_distribution(lattice, temperature, device, shown)
    else:
        result = _enumerate(lattice, temperature, device, progress, checkpoint, world)
        levels, p = result.levels, result.probabilities
        magnetization, variance = listing.mean_and_variance(p, levels)
        susceptibility = variance / temperature
    if levels is not None:
        abs_magnetization, variance = listing.mean_and_variance(p, np.abs(levels))
        abs_susceptibility = variance / temperature
    free_energy = -temperature * result.log_partition
    return Thermodynamics(
        temperature=temperature,
        log_partition=result.log_partition,
        free_energy=free_energy,
        energy=result.energy,
        heat_capacity=result.heat_capacity,
        entropy=(result.energy - free_energy) / temperature,
        magnetization=magnetization,
        abs_magnetization=abs_magnetization,
        susceptibility=susceptibility,
        abs_susceptibility=abs_susceptibility,
        method=method,
    )


def _enumerate(
    lattice: Ising,
    temperature: float,
    device: str,
    progress: bool | None,
    checkpoint: str | os.PathLike | None,
    world: World,
) -> summation.Summary:
    if lattice.n_sites <= MOST_LISTED_SITES:
        return listing.summarize(lattice, temperature, device)
    return summation.summarize(lattice, temperature, device, progress, checkpoint, world)


def density_of_states(lattice: Ising, device: str = "cpu", progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The energy levels and how many states each has, as exact integers.

    Square and rectangular tori without field and with one coupling: from Kaufman's solution, in exact arithmetic
    (32 x 32 in less than a second). Other lattices: by listing all states, up to 24 sites.

    Parameters
    ----------
    lattice : Ising
    device : {"cpu", "cuda"}
        Where states are listed.
    progress : bool
        Show progress on standard error.

    Returns
    -------
    levels : float64, increasing
        Energies closer to each other than 1e-9 of the largest are one level.
    counts : int64 up to 62 sites, an array of Python integers for larger lattices
        They add up to 2**n_sites.

    Raises
    ------
    SizeError
        If the lattice is out of reach.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Beale, Phys. Rev. Lett. 76, 78 (1996).

    Examples
    --------
    >>> from mcgen import ising
    >>> levels, counts = ising.exact.density_of_states(ising.Ising((2, 2)))
    >>> levels.tolist(), counts.tolist()
    ([-8.0, 0.0, 8.0], [2, 12, 2])
    >>> ising.exact.density_of_states(ising.Ising((16, 16)))[1][:4].tolist()
    [2, 512, 1024, 67840]
    """
    couplings = np.unique(lattice.coupling)
    if not torus.obstacle(lattice) and len(couplings) == 1 and couplings[0] != 0:
        levels, counts = counting.density_of_states(lattice.shape, float(couplings[0]), progress)
        return levels, counts.astype(np.int64) if lattice.n_sites <= MOST_SITES_IN_INT64 else counts
    return listing.density_of_states(lattice, device)
