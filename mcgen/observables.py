"""Physical observables of lattice spins, each with an error bar."""

import numpy as np

from mcgen import checks, stats
from mcgen.errors import InputError
from mcgen.ising.lattice import Ising
from mcgen.stats import Estimate

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
        susceptibility (<M^2> - <M>^2) / T; abs_susceptibility (<M^2> - <|M|>^2) / T.
        Divide by lattice.n_sites (`Estimate.scaled`) for values per site.

    Raises
    ------
    InputError
        If a shape does not fit, a value is no spin, or the temperature is not positive.

    Warns
    -----
    StatisticsWarning
        If the chains are too short for their error bars.

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
    states = spins(getattr(run, "states", run), lattice)
    states = (
        states.reshape(-1, *states.shape[-lattice.n_dims - 1 :]) if states.ndim > lattice.n_dims else states[None, None]
    )
    energy = lattice.energy(states)
    m = lattice.magnetization(states).astype(np.float64)

    def variance(series: np.ndarray) -> Estimate:
        # The mean of the squared deviations: to first order their error does not depend on that of the mean, since the
        # derivative with respect to the mean vanishes.
        return stats.mean((series - series.mean()) ** 2)

    return {
        "energy": stats.mean(energy),
        "heat_capacity": variance(energy).scaled(1 / temperature**2),
        "magnetization": stats.mean(m),
        "abs_magnetization": stats.mean(np.abs(m)),
        "susceptibility": variance(m).scaled(1 / temperature),
        "abs_susceptibility": variance(np.abs(m)).scaled(1 / temperature),
    }
