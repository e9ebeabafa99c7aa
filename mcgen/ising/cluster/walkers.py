"""Walkers that move by cluster updates: many configurations, each at its own temperature."""

from types import ModuleType

import numpy as np

from mcgen import checks, parallel, rng
from mcgen.errors import InputError
from mcgen.ising.cluster.formulas import CLUSTERS, FLIPS, VISITS
from mcgen.ising.lattice import Ising
from mcgen.ising.walkers import Draws
from mcgen.parallel import ALONE, Part, World

METHODS = ("swendsen-wang", "wolff")


def obstacle(lattice: Ising, method: str, device: str) -> str:
    """Why a cluster algorithm cannot sample a lattice on a device, with the way out, or "".

    Parameters
    ----------
    lattice : Ising
    method : {"swendsen-wang", "wolff"}
    device : {"cpu", "cuda"}

    Returns
    -------
    str

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.cluster import walkers
    >>> walkers.obstacle(ising.Ising((4, 4)), "wolff", "cpu")
    ''
    >>> walkers.obstacle(ising.Ising((4, 4)), "wolff", "cuda")
    "method='wolff' runs on the CPU only; use device='cpu', or on CUDA method='metropolis' or 'heatbath'"
    """
    if device != "cpu":
        return f"method={method!r} runs on the CPU only; use device='cpu', or on CUDA method='metropolis' or 'heatbath'"
    if lattice.coupling.min() < 0:
        return (
            f"method={method!r} needs couplings of at least 0, but the smallest is {lattice.coupling.min():g}; "
            "use method='metropolis' or 'heatbath'"
        )
    return ""


class ClusterWalkers:
    """Any number of independent configurations of one ferromagnet, moved by cluster updates, with any field.

    Given the spins, bonds between equal spins are in place with probability 1 - e^{-2 J_ij / T}, and bonds between
    spins along their field and a ghost spin that never flips with 1 - e^{-2 |B_i| / T}. What hangs together is a
    cluster.

    - "swendsen-wang": a sweep finds all clusters and flips each with probability 1/2, unless it holds the ghost.
    - "wolff": a sweep takes a number of sites at random, one after the other, and flips the cluster of each, unless it
      holds the ghost. The number is n_sites over the mean size of these clusters, rounded up, so that a sweep visits
      about n_sites sites or, where most are in one cluster, up to twice as many. It is measured at each temperature
      during burn-in and fixed after it, since a number that depends on the states drawn would bias them; without a
      burn-in of at least three sweeps it is 1. Burn-in itself consists of Swendsen-Wang updates, whose cost does not
      depend on the state, each followed by one Wolff cluster that is measured.

    Parameters
    ----------
    lattice : Ising
        Without negative couplings.
    temperatures : float64, shape (n_walkers,)
        T of each walker in units of energy; walkers of one temperature are neighbours.
    states : int8, shape (n_walkers, n_sites)
        The first configurations, modified in place.
    method : {"swendsen-wang", "wolff"}
    seed : int
        0 to 2**64 - 1.
    target : module
        `mcgen._cpu`.
    numbers : uint32, shape (n_walkers,), optional
        Of the walkers in the random streams; by default 0, 1, 2, ...
    world : World
        The ranks that have more walkers of the same temperatures: what is measured in burn-in is measured together.

    Attributes
    ----------
    states : int8, shape (n_walkers, n_sites)
        The current configurations. Rows may be exchanged in place between calls.
    n_sweeps : int
        Sweeps made so far: the position in the random streams. Results do not depend on how sweeps are shared out
        among calls.

    Raises
    ------
    InputError
        If there is an `obstacle`, the method is unknown or the seed is out of range.

    References
    ----------
    Swendsen & Wang, Phys. Rev. Lett. 58, 86 (1987). Wolff, Phys. Rev. Lett. 62, 361 (1989). The ghost spin: Wang,
    Physica A 161, 249 (1989).

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import backend, ising
    >>> from mcgen.ising.cluster.walkers import ClusterWalkers
    >>> temperatures = np.repeat([1.0, 4.0], 50)
    >>> up = np.ones((100, 64), np.int8)
    >>> walkers = ClusterWalkers(ising.Ising((8, 8)), temperatures, up, "wolff", 1, backend.target("cpu"))
    >>> walkers.burn_in(20)
    >>> walkers.draw(n_draws=5, thin=2).shape
    (100, 5, 64)
    >>> walkers.report()["clusters_per_sweep"].tolist()
    [2.0, 16.0]
    """

    KEPT = ("states", "n_sweeps", "_clusters_per_sweep", "_windows", "_counts", "_n_counted")  # see `mcgen.states`

    def __init__(
        self,
        lattice: Ising,
        temperatures: np.ndarray,
        states: np.ndarray,
        method: str,
        seed: int,
        target: ModuleType,
        numbers: np.ndarray | None = None,
        world: World = ALONE,
    ):
        problem = obstacle(lattice, checks.choice("method", method, METHODS), "cpu")
        if problem:
            raise InputError(problem)
        self.states = states
        self.n_sweeps = 0
        self._method = method
        self._target = target
        self._kernel = target.kernels("ising.cluster").cluster_sweeps
        neighbors, couplings = lattice.neighbor_table
        self._model = (
            target.to_device(neighbors.astype(np.uint32)),
            target.to_device(couplings),
            target.to_device(lattice.field.ravel()),
            np.array(lattice.shape),
            1.0 / np.asarray(temperatures, np.float64),
            np.arange(len(states), dtype=np.uint32) if numbers is None else numbers,
            bool(lattice.field.any()),
        )
        self._key = rng.split_seed(seed)
        # The first walker of each temperature, and how many it has.
        self._first = np.flatnonzero(np.diff(temperatures, prepend=np.nan))
        self._n_walkers = np.diff(self._first, append=len(temperatures))
        self._world = world
        self._clusters_per_sweep = None  # Wolff clusters at each temperature; not before burn-in is over
        self._windows = []  # clusters measured in burn-in and sites visited by them: int64, shape (n_temperatures, 2)
        self._counts = np.zeros((len(states), 3), np.int64)
        self._n_counted = 0

    def burn_in(self, n_sweeps: int) -> None:
        """Sweep every walker before the first call of `sweep` or `draw`. May be called several times.

        Parameters
        ----------
        n_sweeps : int

        Raises
        ------
        InputError
            After a call of `sweep` or `draw`.
        """
        if self._clusters_per_sweep is not None:
            raise InputError("burn-in is over after the first sweep that counts; make new walkers to burn in again")
        measured = np.full(len(self.states), int(self._method == "wolff"))
        while n_sweeps > 0:
            # The windows of the measurement begin at sweeps 0, 1, 2, 4, 8, ... and leave the start behind.
            if self.n_sweeps & (self.n_sweeps - 1) == 0:
                self._windows.append(np.zeros((len(self._first), 2), np.int64))
            n_now = min(n_sweeps, (1 << self.n_sweeps.bit_length()) - self.n_sweeps)
            before = self._counts[:, VISITS].copy()
            self._advance(n_now, True, measured)
            visits = np.add.reduceat(self._counts[:, VISITS] - before, self._first)
            self._windows[-1] += np.stack([n_now * self._n_walkers, visits], axis=1)
            n_sweeps -= n_now

    def sweep(self, n_sweeps: int) -> None:
        """Sweep every walker.

        Parameters
        ----------
        n_sweeps : int
        """
        self._sample(n_sweeps)

    def draw(self, n_draws: int, thin: int) -> np.ndarray:
        """Sweep every walker n_draws * thin times, keeping every `thin`-th state.

        Parameters
        ----------
        n_draws, thin : int

        Returns
        -------
        int8, shape (n_walkers, n_draws, n_sites)
        """
        return self._sample(n_draws * thin, n_draws, thin)

    def report(self, world: World = ALONE) -> dict[str, np.ndarray]:
        """What the sweeps after burn-in did, averaged over sweeps and walkers, of all ranks, at each temperature.

        Returns
        -------
        dict of float64, shape (n_temperatures,)
            "cluster_size": sites of a cluster; for "wolff" those visited until the cluster was complete or met the
            ghost. "clusters_per_sweep". "flip_rate": flips divided by sweeps and sites. NaN before the first sweep.
        """
        n_sweeps = self._n_counted * world.total(self._n_walkers)
        n_sites = self.states.shape[1]
        counts = world.total(np.add.reduceat(self._counts, self._first)).T / np.where(n_sweeps > 0, n_sweeps, np.nan)
        if self._method == "wolff":
            clusters = counts[CLUSTERS] if self._clusters_per_sweep is None else self._clusters_per_sweep.astype(float)
            size = counts[VISITS] / clusters
        else:
            clusters = counts[CLUSTERS]
            size = n_sites / clusters
        return {"cluster_size": size, "clusters_per_sweep": clusters, "flip_rate": counts[FLIPS] / n_sites}

    def _sample(self, n_sweeps: int, n_draws: int = 0, thin: int = 1) -> np.ndarray:
        if self._clusters_per_sweep is None:
            self._clusters_per_sweep = self._measured_clusters_per_sweep()
            self._counts[:] = 0
        n_clusters = np.repeat(self._clusters_per_sweep, self._n_walkers)
        self._n_counted += n_sweeps
        return self._advance(n_sweeps, self._method == "swendsen-wang", n_clusters, n_draws, thin)

    def _measured_clusters_per_sweep(self) -> np.ndarray:
        """From the last window but two: its clusters are forgotten by the states that are drawn."""
        if self._method != "wolff":
            return np.zeros(len(self._first), np.int64)
        if len(self._windows) < 3:
            return np.ones(len(self._first), np.int64)
        clusters, visits = self._world.total(self._windows[-3]).T
        return -(-self.states.shape[1] * clusters // visits)

    def _advance(
        self, n_sweeps: int, whole_lattice: bool, n_clusters: np.ndarray, n_draws: int = 0, thin: int = 1
    ) -> np.ndarray:
        draws = np.empty((len(self.states), n_draws, self.states.shape[1]), np.int8)
        self._target.launch(
            self._kernel,
            len(self.states),
            1,
            self.states,
            draws,
            self._counts,
            *self._model,
            whole_lattice,
            n_clusters,
            n_sweeps,
            thin,
            self.n_sweeps,
            *self._key,
        )
        self.n_sweeps += n_sweeps
        return draws


class ClusterChains(ClusterWalkers):
    """Cluster walkers as chains at each temperature, with the methods of `mcgen.ising.walkers.SpinWalkers`.

    Parameters are those of `ClusterWalkers`, but for temperatures, shape (n_temperatures,), and states, shape
    (n_temperatures, n_chains, n_sites).
    """

    kernel_name = "cluster"
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
        self._lattice, self._shape = lattice, states.shape
        flat = np.require(states.reshape(-1, lattice.n_sites), requirements=("C", "W"))
        part = part or parallel.whole(states.shape[1])
        numbers = part.numbers(*states.shape[:2]).ravel()
        several = np.repeat(temperatures, states.shape[1])
        super().__init__(lattice, several, flat, method, seed, target, numbers, part.world)

    def draw(self, n_draws: int, thin: int, keep_states: bool = True) -> Draws:
        """Sweep every chain n_draws * thin times, keeping every `thin`-th state."""
        states = super().draw(n_draws, thin).reshape(*self._shape[:2], n_draws, -1)
        return Draws.of_states(self._lattice, states, keep_states)

    def exchange(self, level: int, accepted: np.ndarray) -> None:
        """Swap the configurations of two neighbouring temperatures, `level` and level + 1, in the chains accepted."""
        pair = self.states.reshape(self._shape)[level : level + 2]
        pair[:, accepted] = pair[::-1, accepted]
