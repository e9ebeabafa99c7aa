"""Walkers: configurations that a sampler moves, a number of chains at each of one or more temperatures.

Every sampler is a class with the methods of `SpinWalkers`: `burn_in` and `sweep` move all chains, `draw` moves them and
keeps states, `exchange` swaps configurations between neighbouring temperatures, `report` says what was done. Which
random numbers a sweep uses depends on how many were made before and on the numbers of the chains, not on how sweeps are
shared out among calls or chains among processes.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np

from mcgen import parallel, rng
from mcgen.ising import formulas
from mcgen.ising.lattice import Ising
from mcgen.parallel import ALONE, Part, World

RULES = {"metropolis": formulas.METROPOLIS, "heatbath": formulas.HEAT_BATH}


class Draws(NamedTuple):
    """What is kept of some draws.

    Attributes
    ----------
    states : int8, shape (n_temperatures, n_chains, n_draws, n_sites)
        Spins +-1; n_draws is 0 where states were not asked for.
    energy : float64, shape (n_temperatures, n_chains, n_draws)
    magnetization : int64, shape (n_temperatures, n_chains, n_draws)
    """

    states: np.ndarray
    energy: np.ndarray
    magnetization: np.ndarray

    @classmethod
    def of_states(cls, lattice: Ising, states: np.ndarray, keep_states: bool) -> "Draws":
        """Measured on spins of shape (n_temperatures, n_chains, n_draws, n_sites)."""
        folded = states.reshape(*states.shape[:-1], *lattice.shape)
        return cls(
            states if keep_states else states[:, :, :0],
            lattice.energy(folded),
            states.sum(axis=-1, dtype=np.int64),
        )


def flip_rate(flips: np.ndarray, n_chains: int, n_attempts: int, world: World) -> dict[str, np.ndarray]:
    """The report of walkers that have flipped so many spins in so many attempts of each chain, over all ranks."""
    flips, n_chains = world.total(np.asarray(flips, np.int64)), world.total(np.array(n_chains))
    return {"flip_rate": flips / (n_chains * n_attempts)}


class SpinWalkers:
    """Single spin flips, one spin after the other: for any couplings and fields.

    A sweep tries every spin once, in checkerboard order, where the lattice is bipartite; elsewhere it tries n_sites
    randomly chosen spins.

    Parameters
    ----------
    lattice : Ising
    temperatures : float64, shape (n_temperatures,)
        In units of energy.
    states : int8, shape (n_temperatures, n_chains, n_sites)
        The first configurations, +-1.
    method : {"metropolis", "heatbath"}
    seed : int
        0 to 2**64 - 1.
    target : module
        Of the device, from `mcgen.backend`.
    part : Part, optional
        Which chains of the run these are; by default all.
    """

    kernel_name = "single-flip"
    KEPT = ("_states", "_flips", "_n_sweeps")  # see `mcgen.states`
    # Updates a second and core, in the order of magnitude: calls are cut to fractions of a second by it.
    updates_per_second = 1e8

    def __init__(
        self,
        lattice: Ising,
        temperatures: np.ndarray,
        states: np.ndarray,
        method: str,
        seed: int,
        target: ModuleType,
        part: Part | None = None,
    ):
        self._lattice = lattice
        self._shape = states.shape
        self._part = part or parallel.whole(states.shape[1])
        self._target = target
        self._kernel = target.kernels("ising").single_flip_sweeps
        self._states = target.to_device(states.reshape(-1, lattice.n_sites))
        self._flips = target.to_device(np.zeros(states.shape[0] * states.shape[1], np.int64))
        neighbors, couplings = lattice.neighbor_table
        arrays = neighbors, couplings, lattice.field.ravel(), lattice.checkerboard
        self._model = (
            *(target.to_device(array) for array in arrays),
            not lattice.is_bipartite,
            target.to_device(np.repeat(1.0 / np.asarray(temperatures, np.float64), states.shape[1])),
            target.to_device(self._part.numbers(*states.shape[:2]).ravel()),
            RULES[method],
        )
        self._key = rng.split_seed(seed)
        self._n_sweeps = 0

    def burn_in(self, n_sweeps: int) -> None:
        """Sweep every chain before the first draw. May be called several times."""
        self.sweep(n_sweeps)

    def sweep(self, n_sweeps: int) -> None:
        """Sweep every chain."""
        self._advance(n_sweeps, 0, 1)

    def draw(self, n_draws: int, thin: int, keep_states: bool = True) -> Draws:
        """Sweep every chain n_draws * thin times, keeping every `thin`-th state."""
        states = self._advance(n_draws * thin, n_draws, thin)
        states = states.reshape(*self._shape[:2], n_draws, self._lattice.n_sites)
        return Draws.of_states(self._lattice, states, keep_states)

    def exchange(self, level: int, accepted: np.ndarray) -> None:
        """Swap the configurations of two neighbouring temperatures, `level` and level + 1, in the chains accepted."""
        states = self._target.to_host(self._states).reshape(self._shape)
        states[level : level + 2, accepted] = states[level : level + 2, accepted][::-1]
        self._states = self._target.to_device(states.reshape(-1, self._lattice.n_sites))

    @property
    def flips(self) -> np.ndarray:
        """Of each walker so far: int64, shape (n_temperatures * n_chains,)."""
        return self._target.to_host(self._flips)

    def place(self, temperatures: np.ndarray, numbers: np.ndarray) -> None:
        """Go on at other temperatures, and with other numbers in the random streams, each of shape (n_walkers,)."""
        *tables, _, _, rule = self._model
        self._model = (*tables, self._target.to_device(1.0 / temperatures), self._target.to_device(numbers), rule)

    def report(self, world: World = ALONE) -> dict[str, np.ndarray]:
        """Averages over all sweeps, at each temperature: flip_rate, flips per site and sweep.

        Those of the chains of all ranks of the world.
        """
        flips = self.flips.reshape(self._shape[:2]).sum(axis=1)
        return flip_rate(flips, self._shape[1], self._lattice.n_sites * max(1, self._n_sweeps), world)

    def _advance(self, n_sweeps: int, n_draws: int, thin: int) -> np.ndarray:
        n_walkers = self._shape[0] * self._shape[1]
        draws = self._target.to_device(np.empty((n_walkers, n_draws, self._lattice.n_sites), np.int8))
        self._target.launch(
            self._kernel,
            n_walkers,
            1,
            self._states,
            draws,
            self._flips,
            *self._model,
            n_sweeps,
            thin,
            np.int64(self._n_sweeps),
            *self._key,
        )
        self._n_sweeps += n_sweeps
        return self._target.to_host(draws)
