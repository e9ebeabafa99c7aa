"""Monte Carlo sampling of the Ising model."""

import dataclasses
from collections.abc import Sequence

import numba
import numpy as np

from mcgen import backend, checks, parallel, rng, stats
from mcgen.blocks import Blocks, Plan
from mcgen.errors import InputError
from mcgen.ising.exact import transfer
from mcgen.ising.lattice import Ising
from mcgen.ising.methods import KERNELS, MOVES, make_walkers
from mcgen.ising.shares import chains_of_rank, shares_replicas
from mcgen.ising.tempering import Exchange, TemperingWalkers
from mcgen.ising.walkers import Draws
from mcgen.parallel import ALONE, Part, World

METHODS = (*MOVES, "tempering", "exact")

# A kernel call is cut to this: long enough to hide its start, short enough for progress and Ctrl-C.
SECONDS_PER_CALL = 0.2
# States of one block of draws, or, where they are not kept, energies and magnetisations; a single draw may be larger.
BYTES_PER_BLOCK = 1 << 26


@dataclasses.dataclass(frozen=True)
class Samples:
    """States drawn from an Ising model, with what is needed to draw them again.

    Attributes
    ----------
    states : int8, shape (n_chains, n_draws, *lattice.shape)
        Spins +-1. (n_chains, 0, *lattice.shape) where they were not kept.
    energy : float64, shape (n_chains, n_draws)
        Total energy of each state.
    magnetization : int64, shape (n_chains, n_draws)
        The sum of the spins of each state.
    lattice : Ising
    temperature : float
    method : str
    seed, thin, burn_in : int
    device : str
    flip_rate : float
        Spin flips for each site and sweep; NaN for exact draws.
    kernel : str
        What moved the spins: "bit-sliced", "single-flip" or "cluster", or the method of exact draws.
    exchange : Exchange or None
        Of tempering: the ladder, its swap rates and round trips.
    """

    states: np.ndarray
    energy: np.ndarray
    magnetization: np.ndarray
    lattice: Ising
    temperature: float
    method: str
    seed: int
    thin: int
    burn_in: int
    device: str
    flip_rate: float
    kernel: str
    exchange: Exchange | None = None


def sample(
    lattice: Ising,
    temperature: float | Sequence[float],
    n_chains: int = 128,
    n_draws: int = 200,
    thin: int = 10,
    burn_in: int = 500,
    method: str = "metropolis",
    seed: int = 0,
    device: str = "cpu",
    initial: str | np.ndarray = "random",
    progress: bool = False,
    *,
    keep_states: bool = True,
    kernel: str = "auto",
    moves: str = "metropolis",
    ladder: str = "adaptive",
    world: World = ALONE,
) -> Samples | list[Samples]:
    """Draw states from the Boltzmann distribution p(s) = e^{-H(s)/T} / Z.

    ==================  ==================================================================================
    metropolis          single spin flips; a sweep tries every spin once, in checkerboard order, where the
                        lattice is bipartite, and n_sites random spins elsewhere
    heatbath            the same with the heat-bath (Glauber) probability
    wolff               single clusters; a sweep is a fixed number that visits about n_sites spins
    swendsen-wang       a sweep flips every cluster with probability 1/2; both for ferromagnets, with any
                        field, on the CPU. Near the critical temperature they forget in a few sweeps;
                        in a field swendsen-wang is the better one
    tempering           `moves` at a ladder of temperatures, with swaps of configurations
    exact               independent draws by the transfer matrix, where it reaches: no error but chance
    ==================  ==================================================================================

    At temperatures far above the couplings a Metropolis sweep turns nearly every spin, which leaves the energy as it
    was: it is remembered for about T / 6J sweeps (measured on 16 x 16 sites), where the heat bath forgets it in one.

    Single flips are made by one of two kernels. "bit-sliced" updates 512 spins at a time, for couplings of equal
    magnitude, of either sign, without a field, on periodic lattices of one to three axes of even length; "single-flip"
    is for everything else. "auto" chooses by lattice and number of chains alone, so that a seed gives the same states
    on every device; `Samples.kernel` says which it was.

    Parameters
    ----------
    lattice : Ising
    temperature : float or sequence of float
        T in units of energy (k_B = 1), above 0. Of a sequence, the temperatures of "tempering" exchange; those of the
        other methods are sampled one after the other, number k with the seed `mcgen.rng.derive(seed, k)`.
    n_chains, n_draws : int
        Independent Markov chains, and states kept of each.
    thin : int
        Sweeps between kept states.
    burn_in : int
        Sweeps before the first.
    method : {"metropolis", "heatbath", "wolff", "swendsen-wang", "tempering", "exact"}
    seed : int
        0 to 2**64 - 1. Runs at several temperatures need different seeds to be independent.
    device : {"cpu", "cuda"}
        "cuda" is for metropolis, heatbath and exact.
    initial : "random", "up" or array of +-1, shape (n_chains, *lattice.shape)
        Where the chains start.
    progress : bool
        Show progress on standard error.
    keep_states : bool
        Without states, energies and magnetisations are all that is kept.
    kernel : {"auto", "bit-sliced", "single-flip"}
        For single flips.
    moves : {"metropolis", "heatbath", "wolff", "swendsen-wang"}
        For tempering: what moves the configurations between swaps, which come after every sweep.
    ladder : {"adaptive", "fixed"}
        For tempering: whether temperatures are added until neighbours swap in a quarter of the attempts or more. Draws
        are kept of those asked for.
    world : mcgen.parallel.World
        The ranks among which the chains are shared out; each draws its own (see `chains_of_rank`), and rates are those
        of all chains.

    Returns
    -------
    Samples, or a list of them for a sequence of temperatures
        The same seed gives the same states for any number of threads.

    Raises
    ------
    InputError
        If an argument is out of range, or the method is not for this lattice or device.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If energy or |magnetisation| still drift in the first draws, with the number of sweeps to add to burn_in.

    References
    ----------
    Metropolis et al., J. Chem. Phys. 21, 1087 (1953). Glauber, J. Math. Phys. 4, 294 (1963). Wolff, Phys. Rev. Lett.
    62, 361 (1989). Swendsen & Wang, Phys. Rev. Lett. 58, 86 (1987). Hukushima & Nemoto, J. Phys. Soc. Japan 65, 1604
    (1996).

    Examples
    --------
    >>> from mcgen import ising
    >>> run = ising.sample(ising.Ising((4, 4)), temperature=2.269, n_chains=8, n_draws=5, thin=2, burn_in=10, seed=7)
    >>> run.states.shape, run.energy.shape, run.kernel
    ((8, 5, 4, 4), (8, 5), 'bit-sliced')
    """
    settings = {
        "n_chains": n_chains, "n_draws": n_draws, "thin": thin, "burn_in": burn_in, "method": method, "device": device,
        "initial": initial, "progress": progress, "keep_states": keep_states, "kernel": kernel, "moves": moves,
        "ladder": ladder, "world": world,
    }  # fmt: skip
    if np.ndim(temperature) == 1 and method != "tempering":
        temperatures = [checks.positive("temperature", one) for one in temperature]
        seeds = [rng.derive(seed, k) for k in range(len(temperatures))]
        return [sample(lattice, one, seed=own, **settings) for one, own in zip(temperatures, seeds, strict=True)]
    runs: list[Samples] = []
    first = 0
    for block in stream(lattice, temperature, seed=seed, **settings):
        blocks = block if isinstance(block, list) else [block]
        n_now = blocks[0].energy.shape[1]
        if n_now == n_draws:  # all in one block
            runs = blocks
            continue
        if not runs:
            runs = [_room_for(one, n_draws, keep_states) for one in blocks]
        for run, one in zip(runs, blocks, strict=True):
            run.energy[:, first : first + n_now] = one.energy
            run.magnetization[:, first : first + n_now] = one.magnetization
            if keep_states:
                run.states[:, first : first + n_now] = one.states
        first += n_now
    last = ("flip_rate", "exchange")  # what is known at the end
    runs = [
        dataclasses.replace(run, **{name: getattr(one, name) for name in last})
        for run, one in zip(runs, blocks, strict=True)
    ]
    if method != "exact":
        for run in runs:
            warn_of_short_burn_in(run.energy, run.magnetization, run.temperature, thin, stacklevel=3)
    return runs if np.ndim(temperature) == 1 else runs[0]


def warn_of_short_burn_in(
    energy: np.ndarray, magnetization: np.ndarray, temperature: float, thin: int, stacklevel: int = 2
) -> None:
    """Warn (StatisticsWarning) where the first draws still remember the start: see `mcgen.stats.check_burn_in`.

    Parameters
    ----------
    energy, magnetization : arrays, shape (n_chains, n_draws)
    temperature : float
        For the message.
    thin : int
    stacklevel : int
        Whose line the warning shows: 2 is the caller's.
    """
    for name, series in (("energy", energy), ("|magnetization|", np.abs(magnetization))):
        result = stats.warn_of_short_burn_in(series, thin, f"{name} at T={temperature:g}", stacklevel=stacklevel + 1)
        if not result.enough:  # one warning is enough
            return


def _room_for(block: Samples, n_draws: int, keep_states: bool) -> Samples:
    """Samples like those of a block, with room for all draws."""
    n_chains = len(block.energy)
    return dataclasses.replace(
        block,
        states=np.empty((n_chains, n_draws if keep_states else 0, *block.lattice.shape), np.int8),
        energy=np.empty((n_chains, n_draws)),
        magnetization=np.empty((n_chains, n_draws), np.int64),
    )


def stream(
    lattice: Ising,
    temperature: float | Sequence[float],
    n_chains: int = 128,
    n_draws: int = 200,
    thin: int = 10,
    burn_in: int = 500,
    method: str = "metropolis",
    seed: int = 0,
    device: str = "cpu",
    initial: str | np.ndarray = "random",
    progress: bool = False,
    *,
    keep_states: bool = True,
    kernel: str = "auto",
    moves: str = "metropolis",
    ladder: str = "adaptive",
    resume: dict | None = None,
    world: World = ALONE,
) -> Blocks[Samples | list[Samples]]:
    """Draw the states that `sample` draws, in blocks of at most 64 MB of states, for runs that do not fit into memory.

    A single draw of all chains is never divided; method="exact" draws everything in one block.

    Arguments and errors are those of `sample`, but that only tempering takes several temperatures, and for `resume`:
    the state of an earlier stream with the same arguments, from which the draws go on as if it had never ended; of
    several ranks, see `mcgen.agreements`. All arguments are checked before the iterator is returned.

    Returns
    -------
    Blocks, an iterator of Samples, or of lists of Samples for tempering
        Each with the next draws of all chains. How draws are divided into blocks is of no meaning. `flip_rate` and
        `exchange` are those of the run so far. Its method `state()` gives what the next block goes on from.

    Examples
    --------
    >>> from mcgen import ising
    >>> blocks = ising.stream(ising.Ising((4, 4)), temperature=2.269, n_draws=50, seed=7)
    >>> sum(block.energy.shape[1] for block in blocks)
    50

    A stream that goes on where another one was left:

    >>> settings = {"n_chains": 8, "n_draws": 20, "thin": 1, "burn_in": 10, "seed": 7}
    >>> first = ising.stream(ising.Ising((4, 4)), 2.269, **settings)
    >>> for _ in first.burn_in():
    ...     pass
    >>> second = ising.stream(ising.Ising((4, 4)), 2.269, **settings, resume=first.state())
    >>> bool((next(first).energy == next(second).energy).all())
    True
    """
    checks.choice("method", method, METHODS)
    if np.ndim(temperature) == 1 and method != "tempering":
        raise InputError(
            f"temperature has {len(temperature)} entries; method={method!r} is streamed one temperature at a time"
        )
    several = temperature if np.ndim(temperature) == 1 else [temperature]
    temperatures = np.array([checks.positive("temperature", one) for one in several])
    n_chains = checks.integer("n_chains", n_chains, 1)
    n_draws = checks.integer("n_draws", n_draws, 1)
    thin = checks.integer("thin", thin, 1)
    burn_in = checks.integer("burn_in", burn_in, 0)
    checks.integer("burn_in + n_draws * thin", burn_in + n_draws * thin, 1, rng.LARGEST_WORD)
    rng.split_seed(seed)
    checks.choice("kernel", kernel, KERNELS)
    target = backend.target(device)
    common = {"lattice": lattice, "method": method, "seed": seed, "thin": thin, "burn_in": burn_in, "device": device}
    chains = chains_of_rank(lattice, n_chains, method, world, device, kernel, moves)
    n_all, n_chains = n_chains, chains.stop - chains.start
    part = Part(chains.start, n_all, world)
    if shares_replicas(lattice, n_all, method, world, device, kernel, moves):
        part = Part(0, n_all, replicas=world)
    parallel.refuse_resume(resume, part.world)
    if method == "exact":
        walkers: object = _ExactDraws(lattice, temperatures[0], n_chains, seed, device)
        n_sweeps = 0
    else:
        state = _initial_states(lattice, n_all, initial, seed, chains)
        states = np.repeat(state[None], len(temperatures), axis=0)
        n_sweeps = burn_in
        known = None if resume is None or method != "tempering" else resume["walkers"]["_ladder"]
        if method == "tempering":
            if device != "cpu":
                raise InputError("method='tempering' runs on the CPU only; use device='cpu'")
            walkers = TemperingWalkers(
                lattice, temperatures, states, moves, seed, target, burn_in, ladder, kernel, known, part
            )
        else:
            walkers = make_walkers(lattice, temperatures, states, method, seed, target, kernel, part)
    sites = len(temperatures) * n_chains * lattice.n_sites
    per_call = SECONDS_PER_CALL * walkers.updates_per_second * numba.get_num_threads()
    sweeps_at_once = max(1, int(per_call / sites))
    bytes_per_draw = len(temperatures) * n_chains * (lattice.n_sites if keep_states else 16)
    draws_at_once = max(1, min(sweeps_at_once // thin, BYTES_PER_BLOCK // bytes_per_draw))
    if method == "exact":
        draws_at_once = n_draws
    sweeps_at_once, draws_at_once = part.replicas.from_first((sweeps_at_once, draws_at_once))  # they go in step
    label = f"{method}, {lattice.n_sites} sites"
    plan = Plan(n_sweeps, thin, n_draws, sweeps_at_once, draws_at_once, label, progress)

    def draw(n_now: int, thin: int, is_last: bool) -> Samples | list[Samples]:
        draws = walkers.draw(n_now, thin, keep_states)
        report = walkers.report(world if is_last else ALONE)  # once, at the end, all ranks add up what they counted
        runs = [
            Samples(
                states=draws.states[k].reshape(n_chains, -1, *lattice.shape),
                energy=draws.energy[k],
                magnetization=draws.magnetization[k],
                temperature=float(temperatures[k]),
                flip_rate=float(report["flip_rate"][k]),
                kernel=walkers.kernel_name,
                exchange=report.get("exchange"),
                **common,
            )
            for k in range(len(temperatures))
        ]
        return runs if np.ndim(temperature) == 1 else runs[0]

    return Blocks(walkers, plan, draw, resume)


class _ExactDraws:
    """Independent draws in the clothes of walkers."""

    updates_per_second = 1e6
    KEPT = ()

    def __init__(self, lattice: Ising, temperature: float, n_chains: int, seed: int, device: str):
        transfer.check(lattice, transfer.MOST_SAMPLE_BITS)
        self.kernel_name = "transfer"
        self._arguments = lattice, temperature, n_chains, seed, device

    def draw(self, n_draws: int, thin: int, keep_states: bool = True) -> Draws:
        """All draws at once."""
        lattice, temperature, n_chains, seed, device = self._arguments
        states = transfer.sample(lattice, temperature, n_chains * n_draws, seed, device)
        return Draws.of_states(lattice, states.reshape(1, n_chains, n_draws, -1), keep_states)

    def report(self, world: World) -> dict[str, np.ndarray]:
        """Nothing is flipped."""
        return {"flip_rate": np.array([np.nan])}


def _initial_states(lattice: Ising, n_chains: int, initial: str | np.ndarray, seed: int, chains: slice) -> np.ndarray:
    """The first state of every one of some chains: int8 (number of chains, n_sites)."""
    n_here = chains.stop - chains.start
    if isinstance(initial, str):
        checks.choice("initial", initial, ("random", "up"))
        if initial == "up":
            return np.ones((n_here, lattice.n_sites), np.int8)
        words = rng.words(seed, rng.purpose.ISING_START, n_here, lattice.n_sites, first_chain=chains.start)
        return np.where(words >> np.uint32(31), 1, -1).astype(np.int8)
    states = lattice.check_states(initial, "initial")
    if states.shape != (n_chains, *lattice.shape):
        raise InputError(f"initial has shape {states.shape}; its shape must be {(n_chains, *lattice.shape)}")
    return states[chains].reshape(n_here, lattice.n_sites).copy()
