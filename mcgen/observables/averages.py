"""Thermodynamic averages of lattice spins: energy, magnetisation, and how much they fluctuate."""

import numpy as np

from mcgen import checks, stats
from mcgen.errors import InputError
from mcgen.ising.lattice import Ising
from mcgen.stats import Estimate

# Those of `summary` with an exact counterpart in `ising.exact.thermodynamics`.
NAMES = ("energy", "heat_capacity", "magnetization", "abs_magnetization", "susceptibility", "abs_susceptibility")


def spins(states: np.ndarray, lattice: Ising) -> np.ndarray:
    """States of units as spins on the lattice: 0/1 become -1/+1, and the units are folded to the lattice's shape.

    Parameters
    ----------
    states : array, shape (..., n_sites) or (..., *lattice.shape)
        Values 0/1 or -1/+1.
    lattice : Ising

    Returns
    -------
    int8, shape (..., *lattice.shape)

    Raises
    ------
    InputError
        If the shape does not fit or the values are neither 0/1 nor -1/+1.

    Examples
    --------
    >>> from mcgen import ising, observables
    >>> observables.spins([[0, 1]], ising.Ising((2,))).tolist()
    [[-1, 1]]
    """
    states = checks.finite_array("states", states)
    if states.shape[-lattice.n_dims :] != lattice.shape:
        if states.ndim == 0 or states.shape[-1] != lattice.n_sites:
            raise InputError(
                f"states has shape {states.shape}; its last axes must be {lattice.shape}, "
                f"or one axis of {lattice.n_sites}"
            )
        states = states.reshape(*states.shape[:-1], *lattice.shape)
    if states.size and states.min() >= 0:
        checks.alphabet("states", states, (0, 1), "bernoulli")
        states = 2 * states - 1
    return lattice.check_states(states)


def same_lattice(one: Ising | None, other: Ising) -> bool:
    """Whether two lattices have the same shape, boundaries, couplings and fields."""
    return one is other or (
        one is not None
        and one.shape == other.shape
        and one.periodic == other.periodic
        and np.array_equal(one.coupling, other.coupling)
        and np.array_equal(one.field, other.field)
    )


def draws_of(run: object, lattice: Ising) -> np.ndarray:
    """The states of a run, or an array of states, as int8 (n_chains, n_draws, *lattice.shape); rows are one chain."""
    n_energies = np.size(getattr(run, "energy", ()))
    if n_energies and not np.size(getattr(run, "states", run)):
        raise InputError(f"the run has kept energies of {n_energies} draws but no states; draw with keep_states=True")
    if same_lattice(getattr(run, "lattice", None), lattice):  # an Ising run holds spins: no second look at billions
        return run.states
    states = spins(getattr(run, "states", run), lattice)
    if states.ndim == lattice.n_dims:
        states = states[None]
    return states.reshape(-1, *states.shape[-lattice.n_dims - 1 :])


def energy_and_magnetization(run: object, lattice: Ising) -> tuple[np.ndarray, np.ndarray]:
    """H and M of each draw, float64 (n_chains, n_draws): what the run has kept, or, for other states, computed."""
    if same_lattice(getattr(run, "lattice", None), lattice):
        magnetization = getattr(run, "magnetization", None)
        if magnetization is None:
            magnetization = lattice.magnetization(run.states)
        return run.energy, np.asarray(magnetization, np.float64)
    states = draws_of(run, lattice)
    return lattice.energy(states), lattice.magnetization(states).astype(np.float64)


def summary(run: object, lattice: Ising, temperature: float) -> dict[str, Estimate]:
    """The observables of sampled states, totals over the lattice, with errors from the autocorrelation time.

    Parameters
    ----------
    run : Samples, or array of states
        A result of `ising.sample` or `rbm.sample`, or an array of shape (n_chains, n_draws, *lattice.shape) or
        (n_chains, n_draws, n_sites), or, for independent rows of data, (n_rows, n_sites). 0/1 count as spins down/up.
    lattice : Ising
        The lattice whose energy is measured.
    temperature : float
        T in units of energy: enters heat_capacity and the susceptibilities.

    Returns
    -------
    dict of Estimate
        energy <H>; heat_capacity (<H^2> - <H>^2) / T^2; magnetization <M>; abs_magnetization <|M|>;
        susceptibility (<M^2> - <M>^2) / T; abs_susceptibility (<M^2> - <|M|>^2) / T;
        magnetization_squared <M^2>; magnetization_fourth <M^4>;
        binder_ratio <M^4> / <M^2>^2, in which Binder's cumulant is U = 1 - binder_ratio / 3: the ratio is 1 in the
        ordered phase and 3 in the disordered one, and at a critical point it hardly depends on the size. It is NaN if M
        is 0 in every state.
        Divide by lattice.n_sites (`Estimate.scaled`) for values per site, <M^2> by its square.
        Heat capacity and susceptibilities are free of bias to the order 1 / N of N independent draws.

    Raises
    ------
    InputError
        If a shape does not fit, a value is no spin, or the temperature is not positive.

    Warns
    -----
    StatisticsWarning
        If the chains are too short for their error bars.

    References
    ----------
    Binder, Z. Phys. B 43, 119 (1981), for the cumulant.

    Examples
    --------
    >>> from mcgen import ising, observables
    >>> lattice = ising.Ising((4, 4))
    >>> run = ising.sample(lattice, temperature=3.0, n_chains=64, n_draws=100, thin=5, burn_in=100, seed=1)
    >>> energy = observables.summary(run, lattice, temperature=3.0)["energy"]
    >>> abs(energy.value - ising.exact.thermodynamics(lattice, 3.0).energy) < 4 * energy.error
    True
    """
    temperature = checks.positive("temperature", temperature)
    energy, m = energy_and_magnetization(run, lattice)
    m2 = m * m
    m4 = m2 * m2
    means = {"energy": stats.mean(energy), "magnetization": stats.mean(m), "abs_magnetization": stats.mean(np.abs(m))}
    return {
        "energy": means["energy"],
        "heat_capacity": _variance(energy, means["energy"]).scaled(1 / temperature**2),
        "magnetization": means["magnetization"],
        "abs_magnetization": means["abs_magnetization"],
        "susceptibility": _variance(m, means["magnetization"]).scaled(1 / temperature),
        "abs_susceptibility": _variance(np.abs(m), means["abs_magnetization"]).scaled(1 / temperature),
        "magnetization_squared": stats.mean(m2),
        "magnetization_fourth": stats.mean(m4),
        "binder_ratio": _binder_ratio(m2, m4),
    }


def _variance(series: np.ndarray, mean: Estimate) -> Estimate:
    """The variance of a series, without bias to first order.

    The mean of the squared deviations: to first order their error does not depend on that of the mean, since the
    derivative with respect to the mean vanishes, and `stats.mean` sees the autocorrelation of the squares. Against a
    jackknife over blocks its error bars are as honest and fluctuate less. Deviations from the mean of the same draws
    miss the squared error of that mean.
    """
    squares = stats.mean((series - mean.value) ** 2)
    return squares._replace(value=squares.value + mean.error**2)


def _binder_ratio(m2: np.ndarray, m4: np.ndarray) -> Estimate:
    """<M^4> / <M^2>^2, with the error of what each draw adds to it to first order.

    Measured on independent and on correlated draws: its error bars are closer to the truth than those of a jackknife
    where draws are few, and the bias that a jackknife would take out is a hundredth of the error.
    """
    squared, fourth = m2.mean(), m4.mean()
    if squared == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), float("nan"))
    first_order = stats.mean(m4 / squared**2 - 2 * fourth * m2 / squared**3)
    return first_order._replace(value=float(fourth / squared**2))
