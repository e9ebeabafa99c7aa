"""Monte Carlo sampling of the Ising model."""

import dataclasses

import numpy as np

from mcgen import backend, checks, rng
from mcgen.errors import InputError
from mcgen.ising import formulas
from mcgen.ising.lattice import Ising
from mcgen.progress import progress as progress_bar

RULES = {"metropolis": formulas.METROPOLIS, "heatbath": formulas.HEAT_BATH}

# Spin updates in one kernel call: long enough to hide its start, short enough for progress and Ctrl-C.
UPDATES_PER_CALL = 20_000_000


@dataclasses.dataclass(frozen=True)
class Samples:
    """States drawn from an Ising model, with what is needed to draw them again.

    Attributes
    ----------
    states : int8, shape (n_chains, n_draws, *lattice.shape)
        Spins +-1.
    energy : float64, shape (n_chains, n_draws)
        Total energy of each state.
    lattice : Ising
    temperature : float
    method : str
    seed, thin, burn_in : int
    device : str
    flip_rate : float
        Fraction of the attempted spin flips that were made.
    """

    states: np.ndarray
    energy: np.ndarray
    lattice: Ising
    temperature: float
    method: str
    seed: int
    thin: int
    burn_in: int
    device: str
    flip_rate: float


def sample(
    lattice: Ising,
    temperature: float,
    n_chains: int = 128,
    n_draws: int = 200,
    thin: int = 10,
    burn_in: int = 500,
    method: str = "metropolis",
    seed: int = 0,
    device: str = "cpu",
    initial: str | np.ndarray = "random",
    progress: bool = False,
) -> Samples:
    """Draw states from the Boltzmann distribution p(s) = e^{-H(s)/T} / Z by single spin flips.

    A sweep tries every spin once, in checkerboard order, where the lattice is bipartite; elsewhere it tries n_sites
    randomly chosen spins.

    Parameters
    ----------
    lattice : Ising
    temperature : float
        T in units of energy (k_B = 1), above 0.
    n_chains, n_draws : int
        Independent Markov chains, and states kept of each.
    thin : int
        Sweeps between kept states.
    burn_in : int
        Sweeps before the first.
    method : {"metropolis", "heatbath"}
    seed : int
        0 to 2**64 - 1. Runs at several temperatures need different seeds to be independent: see `mcgen.rng.derive`.
    device : {"cpu", "cuda"}
    initial : "random", "up" or array of +-1, shape (n_chains, *lattice.shape)
        Where the chains start.
    progress : bool
        Show progress on standard error.

    Returns
    -------
    Samples
        The same seed gives the same states for any number of threads.

    Raises
    ------
    InputError
        If an argument is out of range.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Metropolis et al., J. Chem. Phys. 21, 1087 (1953). Glauber, J. Math. Phys. 4, 294 (1963).

    Examples
    --------
    >>> from mcgen import ising
    >>> run = ising.sample(ising.Ising((4, 4)), temperature=2.269, n_chains=8, n_draws=5, thin=2, burn_in=10, seed=7)
    >>> run.states.shape, run.energy.shape
    ((8, 5, 4, 4), (8, 5))
    """
    temperature = checks.positive("temperature", temperature)
    n_chains = checks.integer("n_chains", n_chains, 1)
    n_draws = checks.integer("n_draws", n_draws, 1)
    thin = checks.integer("thin", thin, 1)
    burn_in = checks.integer("burn_in", burn_in, 0)
    rule = RULES[checks.choice("method", method, tuple(RULES))]
    key = rng.split_seed(seed)
    n_sweeps = burn_in + n_draws * thin
    checks.integer("burn_in + n_draws * thin", n_sweeps, 1, rng.LARGEST_WORD)
    state = _initial_states(lattice, n_chains, initial, seed)
    target = backend.target(device)
    kernel = target.kernels("ising").single_flip_sweeps

    neighbors, couplings = lattice.neighbor_table
    model = [target.to_device(array) for array in (neighbors, couplings, lattice.field.ravel(), lattice.checkerboard)]
    states = target.to_device(state)
    flips = target.to_device(np.zeros(n_chains, np.int64))
    kept = np.empty((n_chains, n_draws, lattice.n_sites), np.int8)
    sweeps_per_call = max(1, UPDATES_PER_CALL // (n_chains * lattice.n_sites))

    def advance(done: int, sweeps: int, draws: np.ndarray) -> np.ndarray:
        there = target.to_device(draws)
        random_sites = not lattice.is_bipartite
        target.launch(
            kernel,
            n_chains,
            1,
            states,
            there,
            flips,
            *model,
            random_sites,
            1.0 / temperature,
            rule,
            sweeps,
            thin,
            np.int64(done),
            *key,
        )
        return target.to_host(there)

    with progress_bar(n_sweeps, f"{method} at T={temperature:g}", progress) as bar:
        done = 0
        nothing = np.empty((n_chains, 0, lattice.n_sites), np.int8)
        while done < burn_in:
            sweeps = min(sweeps_per_call, burn_in - done)
            advance(done, sweeps, nothing)
            done += sweeps
            bar.update(sweeps)
        draws_per_call = max(1, sweeps_per_call // thin)
        for first in range(0, n_draws, draws_per_call):
            n_now = min(draws_per_call, n_draws - first)
            kept[:, first : first + n_now] = advance(
                done, n_now * thin, np.empty((n_chains, n_now, lattice.n_sites), np.int8)
            )
            done += n_now * thin
            bar.update(n_now * thin)

    kept = kept.reshape(n_chains, n_draws, *lattice.shape)
    flip_rate = float(target.to_host(flips).sum() / (n_chains * lattice.n_sites * n_sweeps))
    return Samples(kept, lattice.energy(kept), lattice, temperature, method, seed, thin, burn_in, device, flip_rate)


def _initial_states(lattice: Ising, n_chains: int, initial: str | np.ndarray, seed: int) -> np.ndarray:
    """The first state of every chain: int8 (n_chains, n_sites)."""
    if isinstance(initial, str):
        checks.choice("initial", initial, ("random", "up"))
        if initial == "up":
            return np.ones((n_chains, lattice.n_sites), np.int8)
        words = rng.words(seed, rng.purpose.ISING_START, n_chains, lattice.n_sites)
        return np.where(words >> np.uint32(31), 1, -1).astype(np.int8)
    states = lattice.check_states(initial, "initial")
    if states.shape != (n_chains, *lattice.shape):
        raise InputError(f"initial has shape {states.shape}; its shape must be {(n_chains, *lattice.shape)}")
    return states.reshape(n_chains, lattice.n_sites).copy()
