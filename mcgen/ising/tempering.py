"""Replica exchange (parallel tempering): chains at several temperatures that swap their configurations.

Hukushima & Nemoto, J. Phys. Soc. Japan 65, 1604 (1996). After every sweep, neighbouring temperatures T_i < T_j of a
ladder swap configurations with the probability

    min(1, e^{(1/T_i - 1/T_j) (E_i - E_j)}),

in turn for the pairs that begin with an even and with an odd place. Every temperature then still has its own Boltzmann
distribution, and a configuration that is stuck at a low one moves to a high one, forgets, and comes back.
"""

import dataclasses
from types import ModuleType

import numpy as np

from mcgen import checks, parallel, replicas, rng
from mcgen.errors import InputError
from mcgen.ising.lattice import Ising
from mcgen.ising.methods import make_walkers
from mcgen.ising.walkers import Draws
from mcgen.parallel import ALONE, Part, World
from mcgen.replicas import SWAP_RATE, Replicas

PILOT_SWEEPS, PILOT_DRAWS, MOST_ROUNDS, MOST_TEMPERATURES = 50, 20, 12, 1000


@dataclasses.dataclass(frozen=True)
class Exchange:
    """How configurations moved along a ladder of temperatures, after burn-in.

    Attributes
    ----------
    temperatures : float64, shape (n_temperatures,)
        The ladder, ascending: those asked for and those added.
    swap_rates : float64, shape (n_temperatures - 1,)
        The fraction of attempted swaps that was made, for each pair of neighbours; NaN before the first attempt.
    round_trips : int
        How often a configuration went from the lowest temperature to the highest and back, summed over all chains.
    n_sweeps : int
        Sweeps in which they could, of each of n_temperatures * n_chains configurations.
    """

    temperatures: np.ndarray
    swap_rates: np.ndarray
    round_trips: int
    n_sweeps: int


def swap_probability(beta_i: float, beta_j: float, energy_i: np.ndarray, energy_j: np.ndarray) -> np.ndarray:
    """min(1, e^{(beta_i - beta_j) (E_i - E_j)}) for inverse temperatures beta and energies E of two configurations.

    Examples
    --------
    >>> from mcgen.ising.tempering import swap_probability
    >>> float(swap_probability(1.0, 0.5, -4.0, -8.0)), round(float(swap_probability(1.0, 0.5, -8.0, -4.0)), 6)
    (1.0, 0.135335)
    """
    return replicas.swap_probability((beta_i - beta_j) * (np.asarray(energy_i) - energy_j))


def adapted_ladder(
    lattice: Ising,
    temperatures: np.ndarray,
    states: np.ndarray,
    moves: str,
    seed: int,
    target: ModuleType,
    kernel: str = "auto",
    swap_rate: float = SWAP_RATE,
    part: Part | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Add temperatures between those given until neighbours swap at least as often as asked for.

    A short run measures the rate of every pair, and the interval between its two inverse temperatures is divided into
    as many equal parts as that asks for (see `mcgen.replicas.parts`), and measured again.

    Parameters
    ----------
    lattice : Ising
    temperatures : float64, shape (n_temperatures,)
        Ascending. They stay in the ladder.
    states : int8, shape (n_temperatures, n_chains, n_sites)
        Where the chains start.
    moves : {"metropolis", "heatbath", "wolff", "swendsen-wang"}
    seed : int
    target : module
        Of the device.
    kernel : {"auto", "bit-sliced", "single-flip"}
    swap_rate : float
        The rate to reach, between 0 and 1.
    part : Part, optional
        Which chains of the run these are; the rates are those of all.

    Returns
    -------
    temperatures : float64, shape (n_temperatures,)
    states : int8, shape (n_temperatures, n_chains, n_sites)
        Where the chains are now.

    Raises
    ------
    InputError
        If the ladder would have more than 1000 temperatures.
    """
    ladder, states = np.asarray(temperatures, np.float64), states.copy()
    part = part or parallel.whole(states.shape[1])
    for attempt in range(MOST_ROUNDS):
        walkers = make_walkers(lattice, ladder, states, moves, rng.derive(seed, attempt), target, kernel, part)
        walkers.burn_in(PILOT_SWEEPS)
        draws = walkers.draw(PILOT_DRAWS, 1)
        states = np.ascontiguousarray(draws.states[:, :, -1])

        def rule(energies: list, betas: np.ndarray = 1.0 / ladder) -> np.ndarray:
            return pieces_of_ladder(betas, np.concatenate(energies, axis=1), swap_rate)

        pieces = part.world.agree(draws.energy, rule)
        if (pieces == 1).all():
            break
        n_temperatures = 1 + int(pieces.sum())
        if n_temperatures > MOST_TEMPERATURES:
            raise InputError(
                f"a ladder from T={ladder[0]:g} to T={ladder[-1]:g} with swap rates of {swap_rate:g} needs about "
                f"{n_temperatures} temperatures on {lattice.n_sites} sites, more than {MOST_TEMPERATURES}; bring the "
                "temperatures closer together, or pass ladder='fixed'"
            )
        # A new temperature starts from the configurations of the one below it.
        states = np.repeat(states, np.append(pieces, 1), axis=0)
        ladder = np.concatenate(
            [
                *(
                    1.0 / np.linspace(1.0 / low, 1.0 / high, n + 1)[:-1]
                    for low, high, n in zip(ladder, ladder[1:], pieces, strict=False)
                ),
                ladder[-1:],
            ]
        )
    # The temperatures given, to the last digit.
    ladder[[np.argmin(np.abs(ladder - temperature)) for temperature in temperatures]] = temperatures
    return ladder, states


def pieces_of_ladder(betas: np.ndarray, energies: np.ndarray, swap_rate: float) -> np.ndarray:
    """Into how many parts every interval of the ladder is to be divided."""
    pieces = np.ones(len(betas) - 1, np.int64)
    for i in range(len(pieces)):
        rate = float(swap_probability(betas[i], betas[i + 1], energies[i], energies[i + 1]).mean())
        distance = float((betas[i] - betas[i + 1]) * (energies[i + 1].mean() - energies[i].mean()))
        pieces[i] = replicas.parts(rate, distance, swap_rate)
    return pieces


class TemperingWalkers:
    """Walkers of another method at the temperatures of a ladder, with swaps after every sweep.

    Draws are kept of the temperatures asked for. The methods are those of `mcgen.ising.walkers.SpinWalkers`.

    Parameters
    ----------
    lattice : Ising
    temperatures : float64, shape (n_temperatures,)
        At least two, different.
    states : int8, shape (n_temperatures, n_chains, n_sites)
    moves : {"metropolis", "heatbath", "wolff", "swendsen-wang"}
    seed : int
    target : module
    n_burn_in : int
        Sweeps of burn-in: there are no swaps in its first half.
    ladder : {"adaptive", "fixed"}
    kernel : {"auto", "bit-sliced", "single-flip"}
    known : float64, shape (n_all,), optional
        The ladder that another run with these arguments has found, in place of finding it again.
    part : Part, optional
        Which chains of the run these are; by default all. Those of one ladder swap among themselves.

    Raises
    ------
    InputError
        If there are fewer than two temperatures, two are equal, or the ladder would be too long.
    """

    KEPT = ("_ladder", "_walkers", "_replicas", "_without_swaps")  # see `mcgen.states`

    def __init__(
        self,
        lattice: Ising,
        temperatures: np.ndarray,
        states: np.ndarray,
        moves: str,
        seed: int,
        target: ModuleType,
        n_burn_in: int,
        ladder: str = "adaptive",
        kernel: str = "auto",
        known: np.ndarray | None = None,
        part: Part | None = None,
    ):
        temperatures = np.asarray(temperatures, np.float64)
        if len(np.unique(temperatures)) < max(2, len(temperatures)):
            raise InputError(
                f"method='tempering' needs two or more different temperatures, and got {temperatures.tolist()}; "
                "give a list such as temperature=[1.5, 2.269, 3.0]"
            )
        checks.choice("ladder", ladder, ("adaptive", "fixed"))
        order = np.argsort(temperatures)
        if known is not None:
            self._ladder = checks.finite_array("the ladder", known, (None,))
            states = np.repeat(states[:1], len(known), axis=0)
        elif ladder == "adaptive":
            self._ladder, states = adapted_ladder(
                lattice, temperatures[order], states[order], moves, rng.derive(seed, 1), target, kernel, part=part
            )
        else:
            self._ladder, states = temperatures[order], states[order]
        self._asked = np.searchsorted(self._ladder, temperatures)
        self._walkers = make_walkers(lattice, self._ladder, states, moves, rng.derive(seed, 0), target, kernel, part)
        self._seed, self._part = seed, part or parallel.whole(states.shape[1])
        self._without_swaps = n_burn_in // 2
        self._replicas = Replicas(len(self._ladder), states.shape[1])

    @property
    def kernel_name(self) -> str:
        """That of the walkers inside."""
        return self._walkers.kernel_name

    @property
    def updates_per_second(self) -> float:
        """That of the walkers inside, over the part of the ladder that is kept."""
        return self._walkers.updates_per_second * len(self._asked) / len(self._ladder)

    def burn_in(self, n_sweeps: int) -> None:
        """Sweep every chain before the first draw. May be called several times."""
        alone = min(n_sweeps, self._without_swaps)
        if alone:  # the walkers' own burn-in is over with their first sweep after it
            self._walkers.burn_in(alone)
        self._without_swaps -= alone
        self.sweep(n_sweeps - alone)
        self._replicas.restart_counts()

    def sweep(self, n_sweeps: int) -> None:
        """Sweep every chain, with swaps after each sweep."""
        for _ in range(n_sweeps):
            self._swap(self._walkers.draw(1, 1, keep_states=False).energy[:, :, 0])

    def draw(self, n_draws: int, thin: int, keep_states: bool = True) -> Draws:
        """Sweep every chain n_draws * thin times, keeping every `thin`-th state."""
        kept = []
        for _ in range(n_draws):
            self.sweep(thin - 1)
            draws = self._walkers.draw(1, 1, keep_states)
            kept.append([array[self._asked] for array in draws])
            self._swap(draws.energy[:, :, 0])
        return Draws(*(np.concatenate(arrays, axis=2) for arrays in zip(*kept, strict=True)))

    def report(self, world: World = ALONE) -> dict[str, object]:
        """What the walkers report at the temperatures asked for, and `exchange`, an `Exchange`."""
        inside = {name: values[self._asked] for name, values in self._walkers.report(world).items()}
        counted = self._replicas
        if self._part.replicas.size > 1:
            world = ALONE  # every rank has counted everything
        round_trips = int(world.total(np.array(counted.round_trips)))
        exchange = Exchange(self._ladder.copy(), counted.swap_rates(world), round_trips, counted.n_counted)
        return inside | {"exchange": exchange}

    def _swap(self, energies: np.ndarray) -> None:
        """Try the pairs of one parity, in all chains."""
        n_levels, n_chains = energies.shape
        address = rng.purpose.ISING_EXCHANGE, n_chains, n_levels - 1, self._replicas.n_rounds
        uniforms = rng.uniforms(self._seed, *address, first_chain=self._part.first)
        betas, lower = 1.0 / self._ladder[:, None], self._replicas.pairs()
        p = swap_probability(betas[lower], betas[lower + 1], energies[lower], energies[lower + 1])
        for level, accepted in zip(lower, self._replicas.swap(p, uniforms), strict=True):
            if accepted.any():
                self._walkers.exchange(level, accepted)
