"""Exact answers for small Ising lattices, by summing over all 2^n_sites states."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from mcgen import backend, checks, enumeration
from mcgen.ising.lattice import Ising

REMEDY = "use a smaller lattice, or ising.sample for estimates with error bars"


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


def state_energies(lattice: Ising, device: str = "cpu") -> np.ndarray:
    """H(s) of every state, by state index.

    Parameters
    ----------
    lattice : Ising
        At most 24 sites.
    device : {"cpu", "cuda"}

    Returns
    -------
    float64, shape (2**n_sites,)
        Sums of couplings and fields that are multiples of a power of two, such as J = 1, carry no rounding error.

    Raises
    ------
    SizeError
        If the lattice has more than 24 sites.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import ising
    >>> ising.exact.state_energies(ising.Ising((2,), periodic=False)).tolist()
    [-1.0, 1.0, 1.0, -1.0]
    """
    enumeration.check_listable(lattice.n_sites, f"the lattice {lattice.shape}", REMEDY)
    target = backend.target(device)
    n_low = lattice.n_sites // 2
    n_high = lattice.n_sites - n_low
    neighbors, couplings = lattice.neighbor_table
    matrix = np.zeros((lattice.n_sites, lattice.n_sites))  # J_ij, symmetric
    np.add.at(matrix, (np.arange(lattice.n_sites)[:, None], neighbors), couplings)
    fields = lattice.field.ravel()

    def part_energies(states: np.ndarray, part: slice) -> np.ndarray:
        return -0.5 * np.sum((states @ matrix[part, part]) * states, axis=1) - states @ fields[part]

    low, high = slice(0, n_low), slice(n_low, lattice.n_sites)
    low_states = enumeration.list_states(n_low, low=-1)
    high_states = enumeration.list_states(n_high, low=-1)
    energies = target.to_device(np.empty((1 << n_high, 1 << n_low)))
    parts = (part_energies(high_states, high), part_energies(low_states, low), high_states @ matrix[high, low])
    target.launch(target.kernels("ising").state_energies, 1 << n_high, 1, energies, *map(target.to_device, parts))
    return target.to_host(energies).ravel()


def state_magnetizations(lattice: Ising) -> np.ndarray:
    """M(s) = sum_i s_i of every state, by state index: int8, shape (2**n_sites,).

    Raises
    ------
    SizeError
        If the lattice has more than 24 sites.

    Examples
    --------
    >>> from mcgen import ising
    >>> ising.exact.state_magnetizations(ising.Ising((2,))).tolist()
    [-2, 0, 0, 2]
    """
    enumeration.check_listable(lattice.n_sites, f"the lattice {lattice.shape}", REMEDY)
    magnetization = np.zeros(1, np.int8)
    for _ in range(lattice.n_sites):
        magnetization = np.concatenate([magnetization - np.int8(1), magnetization + np.int8(1)])
    return magnetization


def log_partition(lattice: Ising, temperature: float, device: str = "cpu") -> float:
    """Ln Z = ln sum_s e^{-H(s)/T}, exact to rounding.

    Parameters
    ----------
    lattice : Ising
        At most 24 sites.
    temperature : float
        T in units of energy, above 0.
    device : {"cpu", "cuda"}

    Returns
    -------
    float
        Relative error below 1e-12.

    Raises
    ------
    InputError
        If the temperature is not positive.
    SizeError
        If the lattice has more than 24 sites.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import ising
    >>> round(ising.exact.log_partition(ising.Ising((4, 4)), temperature=2.269), 7)
    15.5228171
    """
    temperature = checks.positive("temperature", temperature)
    return float(logsumexp(-state_energies(lattice, device) / temperature))


def probabilities(lattice: Ising, temperature: float, device: str = "cpu") -> np.ndarray:
    """p(s) = e^{-H(s)/T} / Z of every state, by state index.

    Parameters, errors as for `log_partition`.

    Returns
    -------
    float64, shape (2**n_sites,)

    Examples
    --------
    >>> from mcgen import ising
    >>> p = ising.exact.probabilities(ising.Ising((4, 4)), temperature=2.269)
    >>> p.shape, round(float(p.sum()), 12)
    ((65536,), 1.0)
    """
    temperature = checks.positive("temperature", temperature)
    log_weights = -state_energies(lattice, device) / temperature
    return np.exp(log_weights - logsumexp(log_weights))


def thermodynamics(lattice: Ising, temperature: float, device: str = "cpu") -> Thermodynamics:
    """Exact thermodynamics at one temperature.

    Parameters, errors as for `log_partition`.

    Returns
    -------
    Thermodynamics
        Totals over the lattice; divide by `lattice.n_sites` for values per site.

    Examples
    --------
    >>> from mcgen import ising
    >>> thermo = ising.exact.thermodynamics(ising.Ising((4, 4)), temperature=3.0)
    >>> round(thermo.energy / 16, 8), round(thermo.heat_capacity / 16, 8), round(thermo.abs_magnetization / 16, 8)
    (-1.01706963, 0.60313471, 0.60129133)
    """
    temperature = checks.positive("temperature", temperature)
    energies = state_energies(lattice, device)
    log_weights = -energies / temperature
    log_z = float(logsumexp(log_weights))
    mean = _averages(lattice, np.exp(log_weights - log_z), energies, temperature)
    free_energy = -temperature * log_z
    return Thermodynamics(
        temperature=temperature,
        log_partition=log_z,
        free_energy=free_energy,
        entropy=(mean["energy"] - free_energy) / temperature,
        **mean,
    )


def averages(lattice: Ising, probabilities: np.ndarray, temperature: float, device: str = "cpu") -> dict[str, float]:
    """The observables of any distribution over the states of the lattice, such as that of a model, without error.

    Parameters
    ----------
    lattice : Ising
        At most 24 sites; the lattice whose energy is measured.
    probabilities : array, shape (2**n_sites,)
        p(s) of every state, by state index.
    temperature : float
        T in units of energy, above 0: enters heat_capacity and the susceptibilities.
    device : {"cpu", "cuda"}

    Returns
    -------
    dict of float
        energy, heat_capacity, magnetization, abs_magnetization, susceptibility and abs_susceptibility, as in
        `Thermodynamics`: totals over the lattice.

    Raises
    ------
    InputError
        If the temperature is not positive or the probabilities are none.
    SizeError
        If the lattice has more than 24 sites.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import ising
    >>> ising.exact.averages(ising.Ising((2,)), np.full(4, 0.25), temperature=1.0)["abs_magnetization"]
    1.0
    """
    temperature = checks.positive("temperature", temperature)
    energies = state_energies(lattice, device)
    p = checks.distribution("probabilities", probabilities, energies.shape)
    return _averages(lattice, p, energies, temperature)


def _averages(lattice: Ising, p: np.ndarray, energies: np.ndarray, temperature: float) -> dict[str, float]:
    m = state_magnetizations(lattice).astype(np.float64)

    def mean_and_variance(values: np.ndarray) -> tuple[float, float]:
        center = float(p @ values)
        return center, float(p @ (values - center) ** 2)

    energy, energy_variance = mean_and_variance(energies)
    magnetization, variance = mean_and_variance(m)
    abs_magnetization, abs_variance = mean_and_variance(np.abs(m))
    return {
        "energy": energy,
        "heat_capacity": energy_variance / temperature**2,
        "magnetization": magnetization,
        "abs_magnetization": abs_magnetization,
        "susceptibility": variance / temperature,
        "abs_susceptibility": abs_variance / temperature,
    }


def density_of_states(lattice: Ising, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """The energy levels and how many states each has.

    Parameters
    ----------
    lattice : Ising
        At most 24 sites.
    device : {"cpu", "cuda"}

    Returns
    -------
    levels : float64, increasing
        Energies closer to each other than 1e-9 of the largest are one level.
    counts : int64
        They add up to 2**n_sites.

    Raises
    ------
    SizeError
        If the lattice has more than 24 sites.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import ising
    >>> levels, counts = ising.exact.density_of_states(ising.Ising((2, 2)))
    >>> levels.tolist(), counts.tolist()
    ([-8.0, 0.0, 8.0], [2, 12, 2])
    """
    levels, counts = np.unique(state_energies(lattice, device), return_counts=True)
    resolution = 1e-9 * np.abs(levels).max()
    first = np.concatenate([[True], np.diff(levels) > resolution])
    starts = np.flatnonzero(first)
    return levels[starts], np.add.reduceat(counts, starts)
