"""One door to the exact methods for Ising lattices: each call takes the cheapest that is exact (see `planning`)."""

import math
import os
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.ising.exact import counting, listing, summation, torus, transfer
from mcgen.ising.exact.planning import gives_distribution, method_for, shows_progress
from mcgen.ising.lattice import Ising
from mcgen.parallel import ALONE, World

# Lattices up to this size are summed from the list of their energies, whose kernel other calls need as well.
MOST_LISTED_SITES = 18
# 2^62 states are counted in an int64.
MOST_SITES_IN_INT64 = 62


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
    method = method_for(lattice, method, "log_partition")
    if method == "kaufman":
        return torus.kaufman(lattice, temperature).log_partition
    if method == "transfer":
        return transfer.log_partition(lattice, temperature, device, shows_progress(lattice, "log_partition", progress))
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
    method = method_for(lattice, method, "thermodynamics")
    nan = math.nan
    magnetization = susceptibility = abs_magnetization = abs_susceptibility = nan
    levels = None
    if method == "kaufman":
        result = torus.kaufman(lattice, temperature)
        magnetization = 0.0  # no field: s and -s have the same weight
    elif method == "transfer":
        shown = shows_progress(lattice, "thermodynamics", progress)
        result = transfer.moments(lattice, temperature, device, shown)
        magnetization, susceptibility = result.magnetization, result.susceptibility
        if gives_distribution(lattice, transfer.frontier(lattice)):
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
