"""Quantities of every state of a small Ising lattice, and averages over any distribution of them."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from mcgen import backend, blas, checks, enumeration
from mcgen.ising.lattice import Ising

REMEDY = "use a smaller lattice, or ising.sample for estimates with error bars"


class Summary(NamedTuple):
    """Exact results at one temperature, totals over the lattice (k_B = 1).

    log_partition : ln Z
    energy : U = <H>
    heat_capacity : C = (<H^2> - <H>^2) / T^2
    levels : int64, the magnetisations -N, -N + 2, ..., N
    probabilities : float64, of these; below 1e-290 given as 0
    """

    log_partition: float
    energy: float
    heat_capacity: float
    levels: np.ndarray
    probabilities: np.ndarray


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
    matrix, fields = lattice.coupling_matrix, lattice.field.ravel()

    def part_energies(states: np.ndarray, part: slice) -> np.ndarray:
        return -0.5 * np.sum((states @ matrix[part, part]) * states, axis=1) - states @ fields[part]

    low, high = slice(0, n_low), slice(n_low, lattice.n_sites)
    low_states = enumeration.list_states(n_low, low=-1)
    high_states = enumeration.list_states(n_high, low=-1)
    energies = target.to_device(np.empty((1 << n_high, 1 << n_low)))
    with blas.one_thread():  # threads of BLAS that wait for more work would take the cores from the kernel
        parts = (part_energies(high_states, high), part_energies(low_states, low), high_states @ matrix[high, low])
    target.launch(target.kernels("ising.exact").state_energies, 1 << n_high, 1, energies, *map(target.to_device, parts))
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


def probabilities(lattice: Ising, temperature: float, device: str = "cpu") -> np.ndarray:
    """p(s) = e^{-H(s)/T} / Z of every state, by state index.

    Parameters
    ----------
    lattice : Ising
        At most 24 sites.
    temperature : float
        T in units of energy, above 0.
    device : {"cpu", "cuda"}

    Returns
    -------
    float64, shape (2**n_sites,)

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
    >>> p = ising.exact.probabilities(ising.Ising((4, 4)), temperature=2.269)
    >>> p.shape, round(float(p.sum()), 12)
    ((65536,), 1.0)
    """
    temperature = checks.positive("temperature", temperature)
    log_weights = -state_energies(lattice, device) / temperature
    return np.exp(log_weights - logsumexp(log_weights))


def summarize(lattice: Ising, temperature: float, device: str = "cpu") -> Summary:
    """The sum over the list of all states.

    Parameters
    ----------
    lattice : Ising
        At most 24 sites.
    temperature : float
        T in units of energy, above 0.
    device : {"cpu", "cuda"}

    Returns
    -------
    Summary

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
    >>> from mcgen.ising.exact import listing
    >>> result = listing.summarize(ising.Ising((2,)), temperature=2.0)
    >>> result.levels.tolist(), result.probabilities.round(4).tolist()
    ([-2, 0, 2], [0.4404, 0.1192, 0.4404])
    """
    temperature = checks.positive("temperature", temperature)
    energies = state_energies(lattice, device)
    log_weights = -energies / temperature
    log_z = float(logsumexp(log_weights))
    p = np.exp(log_weights - log_z)
    energy, variance = mean_and_variance(p, energies)
    levels = np.arange(-lattice.n_sites, lattice.n_sites + 1, 2, dtype=np.int64)
    histogram = np.bincount((state_magnetizations(lattice).astype(np.int64) + lattice.n_sites) // 2, p, len(levels))
    return Summary(log_z, energy, variance / temperature**2, levels, histogram)


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


def mean_and_variance(p: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The mean of the values, which have the probabilities p, and their variance about it.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.ising.exact import listing
    >>> listing.mean_and_variance(np.array([0.5, 0.5]), np.array([0.0, 2.0]))
    (1.0, 1.0)
    """
    center = float(np.sum(p * values))
    return center, float(np.sum(p * (values - center) ** 2))


def _averages(lattice: Ising, p: np.ndarray, energies: np.ndarray, temperature: float) -> dict[str, float]:
    m = state_magnetizations(lattice).astype(np.float64)
    energy, energy_variance = mean_and_variance(p, energies)
    magnetization, variance = mean_and_variance(p, m)
    abs_magnetization, abs_variance = mean_and_variance(p, np.abs(m))
    return {
        "energy": energy,
        "heat_capacity": energy_variance / temperature**2,
        "magnetization": magnetization,
        "abs_magnetization": abs_magnetization,
        "susceptibility": variance / temperature,
        "abs_susceptibility": abs_variance / temperature,
    }


def density_of_states(lattice: Ising, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """The energy levels and how many states each has, by listing all states.

    Parameters
    ----------
    lattice : Ising
        At most 24 sites.
    device : {"cpu", "cuda"}

    Returns
    -------
    levels : float64, increasing
        Energies closer to each other than 1e-9 of the largest are one level: `enumeration.level_starts`.
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
    >>> levels, counts = ising.exact.density_of_states(ising.Ising((3,), coupling=0.5, field=1.0))
    >>> levels.tolist(), counts.tolist()
    ([-4.5, -0.5, 1.5], [1, 3, 4])
    """
    levels, counts = np.unique(state_energies(lattice, device), return_counts=True)
    starts = np.flatnonzero(enumeration.level_starts(levels))
    return levels[starts], np.add.reduceat(counts, starts)
