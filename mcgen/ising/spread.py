"""Walkers of a ladder of temperatures that ranks share out, and that exchange temperatures instead of configurations.

A configuration stays on its rank, whatever temperature it is at. All ranks know all energies, and decide on all swaps
from the same random numbers, which are addressed: no decision is sent. A walker at place k of the ladder, in chain c,
draws the random numbers of the walker number k n_chains + c, so that configurations are those of one process that
exchanges them.
"""

from types import ModuleType

import numpy as np

from mcgen import states
from mcgen.errors import InputError
from mcgen.ising.lattice import Ising
from mcgen.ising.walkers import Draws, SpinWalkers
from mcgen.parallel import ALONE, Part, World


class SpreadWalkers:
    """Single spin flips at all places of a ladder, each configuration on one rank.

    The parameters and methods are those of `mcgen.ising.walkers.SpinWalkers`; states and draws are those of all ranks.

    Parameters
    ----------
    part : Part
        `part.replicas` are the ranks.
    """

    kernel_name = SpinWalkers.kernel_name

    def __init__(
        self,
        lattice: Ising,
        temperatures: np.ndarray,
        configurations: np.ndarray,
        method: str,
        seed: int,
        target: ModuleType,
        part: Part,
    ):
        n_places, self._n_chains, n_sites = configurations.shape
        self._lattice, self._ladder, self._world = lattice, temperatures, part.replicas
        self._n_rows = n_places * self._n_chains
        self._mine = self._world.share(self._n_rows)
        self._row_at = np.arange(self._n_rows).reshape(n_places, self._n_chains)  # of each place and chain
        self._flips = np.zeros(n_places, np.int64)
        self._n_sweeps, self._moved = 0, False
        rows = configurations.reshape(-1, 1, n_sites)[self._mine]
        own = Part(self._mine.start, 1)
        self._walkers = SpinWalkers(lattice, self._temperatures(), rows, method, seed, target, own)
        self._counted = self._walkers.flips.copy()

    @property
    def updates_per_second(self) -> float:
        """Of all ranks together."""
        return SpinWalkers.updates_per_second * self._world.size

    def burn_in(self, n_sweeps: int) -> None:
        """Sweep every walker before the first draw. May be called several times."""
        self._walkers.sweep(n_sweeps)
        self._count(n_sweeps)

    def draw(self, n_draws: int, thin: int, keep_states: bool = True) -> Draws:
        """Sweep every walker n_draws * thin times, keeping every `thin`-th state; every rank gets those of all."""
        if self._moved:  # once for all pairs of a round
            self._walkers.place(self._temperatures(), self._places().astype(np.uint32))
            self._moved = False
        draws = self._walkers.draw(n_draws, thin, keep_states)
        self._count(n_draws * thin)
        energy, magnetization = (self._at_places(array[:, 0]) for array in (draws.energy, draws.magnetization))
        if not keep_states:
            return Draws(np.empty((*energy.shape[:2], 0, self._lattice.n_sites), np.int8), energy, magnetization)
        bits = self._at_places(np.packbits(draws.states[:, 0] > 0, axis=-1))
        spins = np.unpackbits(bits, axis=-1, count=self._lattice.n_sites).view(np.int8)
        return Draws(2 * spins - np.int8(1), energy, magnetization)

    def exchange(self, level: int, accepted: np.ndarray) -> None:
        """Swap the temperatures of two neighbouring places, `level` and level + 1, in the chains accepted."""
        pair = self._row_at[level : level + 2]
        pair[:, accepted] = pair[::-1, accepted]
        self._moved = True

    def report(self, world: World = ALONE) -> dict[str, np.ndarray]:
        """Averages over all sweeps, at each place: flip_rate, flips per site and sweep, of the walkers of the world."""
        n_attempts = self._lattice.n_sites * max(1, self._n_sweeps)
        return {"flip_rate": world.total(self._flips) / (self._n_chains * n_attempts)}

    def state(self) -> dict:
        """That of `SpinWalkers` with all configurations, from which any number of ranks goes on. All take it."""
        own = states.taken(self._walkers)
        flips = np.zeros(self._row_at.shape, np.int64)
        flips[:, 0] = self._world.total(self._flips)  # only their sums over chains are used
        rows = self._at_places(own["_states"]).reshape(self._n_rows, -1)
        return own | {"_states": rows, "_flips": flips.ravel()}

    def go_on(self, state: dict) -> None:
        """Take up the state of `SpinWalkers` with all configurations."""
        if len(state["_states"]) != self._n_rows:
            raise InputError(f"the state has {len(state['_states'])} configurations, not {self._n_rows}; begin anew")
        self._row_at = np.arange(self._n_rows).reshape(self._row_at.shape)
        own = state | {"_states": state["_states"][self._mine], "_flips": np.zeros_like(self._counted)}
        states.put_back(self._walkers, own)
        flips = state["_flips"].reshape(self._row_at.shape).sum(axis=1)
        self._flips = flips if self._world.rank == 0 else np.zeros_like(flips)
        self._counted, self._n_sweeps, self._moved = own["_flips"], state["_n_sweeps"], True

    def _places(self) -> np.ndarray:
        """Where the walkers of this rank are: place * n_chains + chain."""
        places = np.empty(self._n_rows, np.int64)
        places[self._row_at.ravel()] = np.arange(self._n_rows)
        return places[self._mine]

    def _temperatures(self) -> np.ndarray:
        return self._ladder[self._places() // self._n_chains]

    def _at_places(self, own: np.ndarray) -> np.ndarray:
        """Rows of all ranks, in the order of places and chains."""
        return self._world.joined(own, self._n_rows)[self._row_at]

    def _count(self, n_sweeps: int) -> None:
        """Flips belong to the place where they were made."""
        flips = self._walkers.flips
        np.add.at(self._flips, self._places() // self._n_chains, flips - self._counted)
        self._counted = flips.copy()
        self._n_sweeps += n_sweeps
