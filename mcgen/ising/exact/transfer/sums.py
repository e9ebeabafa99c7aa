"""Sums over all states by the transfer matrix: ln Z, moments, and the distribution of the magnetisation."""

import math
from typing import NamedTuple

import numpy as np

from mcgen import backend
from mcgen.errors import SizeError
from mcgen.formulas import LN2_HIGH, LN2_LOW
from mcgen.ising.exact.transfer.steps import MOST_BITS, Step, checked, frontier, values_of_bits
from mcgen.ising.lattice import Ising
from mcgen.progress import progress as progress_bar

# With means and variances a state takes 48 bytes: 3 GiB.
MOST_MOMENT_BITS = 25
# States times columns, one for each number of spins up: 4 GiB.
MOST_ELEMENTS = 1 << 27


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


def _view(buffer: np.ndarray, *shape: int) -> np.ndarray:
    """The first numbers of a buffer as an array of that shape."""
    return buffer[: math.prod(shape)].reshape(shape)


class Sweep:
    """The weights of the frontier's states, taken along by one step after another."""

    def __init__(self, steps: list[Step], temperature: float, device: str, columns: bool = False):
        self.target = backend.target(device)
        self.kernel = self.target.kernels("ising.exact.transfer").transfer_step
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
        arrays = (step.leaving, values_of_bits(step.leaving), step.neighbor_bits, step.energies)
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
    temperature, steps = checked(lattice, temperature, MOST_BITS)
    sweep = Sweep(steps, temperature, device)
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
    temperature, steps = checked(lattice, temperature, MOST_MOMENT_BITS)
    target = backend.target(device)
    kernel = target.kernels("ising.exact.transfer").transfer_moments_step
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
            arrays = (step.leaving, values_of_bits(step.leaving), step.neighbor_bits, step.energies)
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
    temperature, steps = checked(lattice, temperature, MOST_BITS)
    elements = max((k + 2) << step.bits for k, step in enumerate(steps))
    if elements > MOST_ELEMENTS:
        raise SizeError(
            f"the magnetisation of the lattice {lattice.shape} takes a vector of {elements} numbers, the states of a "
            f"frontier of {frontier(lattice)} sites times the values of M; it reaches {MOST_ELEMENTS}; use a narrower "
            "or shorter lattice, open boundaries along the longest axis, or ising.sample for estimates with error bars"
        )
    sweep = Sweep(steps, temperature, device, columns=True)
    label = f"magnetisation at T={temperature:g}"
    with progress_bar(sum((k + 2) << step.bits for k, step in enumerate(steps)), label, progress) as bar:
        for k, step in enumerate(steps):
            sweep.advance()
            bar.update((k + 2) << step.bits)
    mantissas, exponents = (array[:, 0] for array in sweep.weights())
    weights = np.ldexp(mantissas, np.maximum(exponents - exponents.max(), -2000).astype(np.int32))
    levels = np.arange(-lattice.n_sites, lattice.n_sites + 1, 2, dtype=np.int64)
    return levels, weights / math.fsum(weights)
