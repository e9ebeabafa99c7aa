"""Monte Carlo sampling of the visible layer of an RBM."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from mcgen import backend, checks, loops, parallel, rng, stats
from mcgen.blocks import Blocks, Plan
from mcgen.errors import InputError
from mcgen.parallel import ALONE, Part, World
from mcgen.progress import progress as progress_bar
from mcgen.rbm import exact, gibbs, metropolis, tempering
from mcgen.rbm.chains import Stack, random_states, stack
from mcgen.rbm.clamping import Clamped
from mcgen.rbm.gibbs import paths
from mcgen.rbm.metropolis import Proposal
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.tempering import Exchange

METHODS = ("gibbs", "metropolis", "tempering", "exact")
PROPOSALS = ("flip", "exchange", "block")
# Methods whose chains can be shared out among ranks.
SHARED = ("gibbs", "tempering")
# The coldest replica is the model, the hottest has independent units.
DEFAULT_LADDER = (0.0, 1.0)

# Multiplications in one kernel call: long enough to hide its start, short enough for progress and Ctrl-C.
OPERATIONS_PER_CALL = {"gibbs": 20_000_000_000, "metropolis": 1_000_000_000, "tempering": 5_000_000_000}
# What a unit costs beside products: its random word and its draw, in multiplications.
OPERATIONS_PER_DRAW = 64
# States of one block of draws, unless a single draw is larger.
BYTES_PER_BLOCK = 1 << 26


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Visible states drawn from an RBM, with what is needed to draw them again.

    Attributes
    ----------
    states : int8, or the model's dtype for continuous units, shape (n_chains, n_draws, n_visible)
    free_energy : float64, shape (n_chains, n_draws)
        F(v) of each state: the energy of the visible layer alone, -log p(v) up to a constant.
    magnetization : float64, shape (n_chains, n_draws)
        The sum of each state.
    model : RBM
    method : str
    seed, thin, burn_in : int
    device : str
    kernel : str
        How Gibbs sweeps were made on the device: "products" of matrices (on a CPU always), or on a GPU "shared" or
        "global", after the memory that holds the weights. "" for the other methods.
    acceptance_rate : float
        Of Metropolis proposals; NaN for the other methods.
    exchange : Exchange or None
        Of tempering: swap rates and round trips.
    """

    states: np.ndarray
    free_energy: np.ndarray
    magnetization: np.ndarray
    model: RBM
    method: str
    seed: int
    thin: int
    burn_in: int
    device: str
    kernel: str
    acceptance_rate: float
    exchange: Exchange | None = None

    @functools.cached_property
    def diagnostics(self) -> dict[str, stats.Diagnosis]:
        """Mean and error, split R-hat, autocorrelation time and effective sample size of the two series."""
        return {name: stats.diagnose(getattr(self, name)) for name in ("free_energy", "magnetization")}

    def __repr__(self) -> str:
        n_chains, n_draws, _ = self.states.shape
        lines = [f"{n_chains} chains x {n_draws} draws of {self.model!r} by {self.method}, thin={self.thin}"]
        lines += [f"  {name:13} {diagnosis}" for name, diagnosis in self.diagnostics.items()]
        if not math.isnan(self.acceptance_rate):
            lines.append(f"  acceptance rate {self.acceptance_rate:.3f}")
        if self.exchange is not None:
            rates = self.exchange.swap_rates
            tried = rates[np.isfinite(rates)]
            words = f"swap rates {tried.min():.2f} to {tried.max():.2f}" if tried.size else "no swap was tried"
            lines.append(
                f"  ladder of {len(rates) + 1} models, {words}, "
                f"{self.exchange.round_trips} round trips in {self.exchange.n_sweeps} sweeps of {n_chains} chains"
            )
        return "\n".join(lines)


class Chains:
    """Markov chains on the visible layer of a model that may change: the states, and how many sweeps they have made.

    The position in the random stream is `n_sweeps`, so that chains that go on later get the numbers they would have
    got.

    Attributes
    ----------
    visible : array, shape (n_chains, n_visible)
    n_sweeps : int
    part : Part or None
        Which chains of the run these are; None for all. Gibbs sweeps only.
    n_accepted : int
        Accepted proposals, Metropolis only.
    """

    KEPT = ("visible", "n_sweeps", "n_accepted")  # see `mcgen.states`

    def __init__(self, visible: np.ndarray, seed: int, n_sweeps: int = 0, part: Part | None = None):
        self.visible = visible
        self.part = part
        self.seed = seed
        self.n_sweeps = n_sweeps
        self.n_accepted = 0

    def advance(
        self,
        model: RBM | Stack,
        n_sweeps: int,
        n_draws: int = 0,
        device: str = "cpu",
        proposal: Proposal | None = None,
    ) -> np.ndarray:
        """Make n_sweeps sweeps and return n_draws evenly spaced states, shape (n_chains, n_draws, n_visible).

        The sweeps are block Gibbs, or Metropolis where a proposal is given. With n_draws > 0, n_sweeps must be a
        multiple of it.
        """
        parameters = model if isinstance(model, Stack) else stack([model])
        target = backend.target(device)
        visible = np.ascontiguousarray(self.visible[None], parameters.weights.dtype)
        arguments = (n_sweeps, n_draws, self.n_sweeps, self.seed, target)
        if proposal is None:
            visible, draws = gibbs.sweep(parameters, visible, *arguments, self.part)
        else:
            visible, draws, accepted = metropolis.sweep(parameters, visible, *arguments, proposal)
            self.n_accepted += int(accepted.sum())
        self.visible = visible[0]
        self.n_sweeps += n_sweeps
        return draws[0]


def sample(
    model: RBM,
    n_chains: int = 256,
    n_draws: int = 100,
    thin: int = 5,
    burn_in: int = 500,
    method: str = "gibbs",
    seed: int = 0,
    device: str = "cpu",
    initial: np.ndarray | None = None,
    progress: bool = False,
    *,
    clamped_units: Sequence[int] | None = None,
    clamped_values: np.ndarray | None = None,
    proposal: str = "flip",
    block_size: int = 4,
    ladder: Sequence[float] | Sequence[RBM] | None = None,
    adapt_ladder: bool = True,
    world: World = ALONE,
) -> Samples:
    """Draw visible states from p(v) = sum_h e^{-E(v, h)} / Z.

    ============  ========================================================================================
    gibbs         block Gibbs sweeps: h given v, then v given h, at the speed of two matrix products
    metropolis    Metropolis-Hastings on p(v), the hidden layer summed out: `proposal` says what is tried
    tempering     Gibbs sweeps of a ladder of models, with swaps of states between neighbours: for models
                  whose modes a single chain does not leave
    exact         independent draws, where one layer can be enumerated: no error but chance
    ============  ========================================================================================

    Parameters
    ----------
    model : RBM
    n_chains, n_draws : int
        Independent Markov chains, and states kept of each.
    thin : int
        Sweeps between kept states. A Metropolis sweep proposes as many changes as there are visible units.
    burn_in : int
        Sweeps before the first.
    method : {"gibbs", "metropolis", "tempering", "exact"}
    seed : int
        0 to 2**64 - 1.
    device : {"cpu", "cuda"}
    initial : array, shape (n_chains, n_visible), optional
        Where the chains start; by default units are drawn as in no field.
    progress : bool
        Show progress on standard error.
    clamped_units : sequence of int, shape (n_clamped,), optional
        Visible units that keep given values: states are drawn from p(v_others | v_clamped).
    clamped_values : array, shape (n_clamped,) or (n_chains, n_clamped), optional
        The values, the same in all chains or not. If not, chains have distributions of their own, and R-hat, which
        compares them, says nothing.
    proposal : {"flip", "exchange", "block"}
        Of metropolis: another state for one random unit; two random units exchange their states, which keeps the
        magnetisation that the chains start with; or `block_size` random units take new random states at once.
    block_size : int
        Units of a "block".
    ladder : sequence of float or of RBM, optional
        Of tempering. Numbers are inverse temperatures beta, increasing and ending at 1, of the models
        `model.tempered(beta)`; by default beta goes from 0 to 1. Models are earlier ones of a training, of the same
        units, in their order; `model` itself comes last (trajectory tempering).
    adapt_ladder : bool
        Whether temperatures are added until neighbours swap in a quarter of the attempts, and models of a training left
        out while they still do.
    world : mcgen.parallel.World
        The ranks among which the chains of "gibbs" and "tempering" are shared out; each draws its own (`world.share`).

    Returns
    -------
    Samples
        The same seed gives the same states for any number of threads. Printed, it shows mean, split R-hat,
        autocorrelation time and effective sample size of free energy and magnetisation.

    Raises
    ------
    InputError
        If an argument is out of range.
    SizeError
        If the method is "exact" and no layer can be enumerated.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If the first draws still remember where the chains started, or chains disagree (split R-hat above 1.1).

    References
    ----------
    Geman & Geman, IEEE PAMI 6, 721 (1984). Hastings, Biometrika 57, 97 (1970). Hukushima & Nemoto, J. Phys. Soc. Japan
    65, 1604 (1996). Bereux, Decelle, Furtlehner & Seoane, arXiv:2405.15376 (2024).

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=16, n_hidden=4, seed=1)
    >>> rbm.sample(model, n_chains=8, n_draws=5, thin=1, burn_in=3, seed=4).states.shape
    (8, 5, 16)

    The second half of each state, given the first:

    >>> half = rbm.sample(model, n_chains=8, n_draws=5, clamped_units=range(8), clamped_values=[0, 1] * 4, seed=4)
    >>> half.states[3, 2, :8].tolist()
    [0, 1, 0, 1, 0, 1, 0, 1]
    """
    first, rooms = 0, {}

    def put(arrays: dict[str, np.ndarray]) -> None:
        nonlocal first, rooms
        n_now = arrays["states"].shape[1]
        if n_now == n_draws:  # all in one block
            rooms = arrays
        rooms = rooms or {name: np.empty((len(x), n_draws, *x.shape[2:]), x.dtype) for name, x in arrays.items()}
        for name, x in arrays.items():
            rooms[name][:, first : first + n_now] = x
        first += n_now

    with loops.begun() as loop:
        blocks = stream(
            model, n_chains, n_draws, thin, burn_in, method, seed, device, initial, progress,
            clamped_units=clamped_units, clamped_values=clamped_values, proposal=proposal, block_size=block_size,
            ladder=ladder, adapt_ladder=adapt_ladder, world=world, resume=loop.state and loop.state["stream"],
        )  # fmt: skip

        def so_far() -> dict:
            return {"stream": blocks.state(), "drawn": {name: x[:, :first] for name, x in rooms.items()}}

        if loop.state is not None and loop.state["drawn"]:
            put(loop.state["drawn"])
        for _ in blocks.burn_in():
            loop.note(so_far)
        for block in blocks:
            put({name: getattr(block, name) for name in ("states", "free_energy", "magnetization")})
            if blocks.n_missing:  # the last block knows of the whole run
                loop.note(so_far)
    run = dataclasses.replace(block, **rooms)
    if world.size == 1:  # of some of the chains it would say little
        warn_of_bad_draws(run, different=len(np.shape(clamped_values)) > 1, stacklevel=3)
    return run


def warn_of_bad_draws(run: Samples, different: bool = False, stacklevel: int = 2) -> None:
    """Warn (StatisticsWarning) where the first draws still remember the start, or chains disagree.

    Parameters
    ----------
    run : Samples
        Its states may be missing.
    different : bool
        Whether the chains have distributions of their own, and every right to differ.
    stacklevel : int
        Whose line the warning shows: 2 is the caller's.
    """
    if run.method == "exact":
        return
    for name, series in (("free energy", run.free_energy), ("magnetization", run.magnetization)):
        if not stats.warn_of_short_burn_in(series, run.thin, name, stacklevel=stacklevel + 1).enough:
            return  # one warning is enough
        if different:
            continue
        diagnosis = run.diagnostics[name.replace(" ", "_")]
        if not stats.warn_of_disagreement(diagnosis, series.shape, name, stacklevel=stacklevel):
            return


def stream(
    model: RBM,
    n_chains: int = 256,
    n_draws: int = 100,
    thin: int = 5,
    burn_in: int = 500,
    method: str = "gibbs",
    seed: int = 0,
    device: str = "cpu",
    initial: np.ndarray | None = None,
    progress: bool = False,
    *,
    clamped_units: Sequence[int] | None = None,
    clamped_values: np.ndarray | None = None,
    proposal: str = "flip",
    block_size: int = 4,
    ladder: Sequence[float] | Sequence[RBM] | None = None,
    adapt_ladder: bool = True,
    resume: dict | None = None,
    world: World = ALONE,
) -> Blocks[Samples]:
    """Draw the states that `sample` draws, in blocks, for runs that do not fit into memory.

    Arguments and errors are those of `sample`, but for `resume`: the state of an earlier stream with the same
    arguments, from which the draws go on as if it had never ended; of several ranks, see `mcgen.agreements`. All
    arguments are checked before the iterator is returned.

    Returns
    -------
    Blocks, an iterator of Samples
        Each with the next draws of all chains. How draws are divided into blocks is of no meaning. `acceptance_rate`
        and `exchange` are those of the run so far. Its method `state()` gives what the next block goes on from.

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=16, n_hidden=4, seed=1)
    >>> sum(block.states.shape[1] for block in rbm.stream(model, n_chains=8, n_draws=50, seed=4))
    50
    """
    n_chains = checks.integer("n_chains", n_chains, 1)
    n_draws = checks.integer("n_draws", n_draws, 1)
    thin = checks.integer("thin", thin, 1)
    asked_burn_in = burn_in = checks.integer("burn_in", burn_in, 0)
    checks.choice("method", method, METHODS)
    checks.choice("proposal", proposal, PROPOSALS)
    rng.split_seed(seed)
    checks.integer("burn_in + n_draws * thin", burn_in + n_draws * thin, 1, rng.LARGEST_WORD)
    backend.target(device)
    if ladder is not None and method != "tempering":
        raise InputError(f"ladder is for method='tempering', and method is {method!r}; leave it out")
    parallel.refuse_resume(resume, world)
    chains = world.share(_shared_chains(method, n_chains, clamped_units, world))
    part = Part(chains.start, n_chains, world)
    clamped = Clamped(model, n_chains, clamped_units, clamped_values)
    if method == "exact":
        if initial is not None:
            raise InputError("initial is for Markov chains, and method='exact' draws independently; leave it out")
        walkers: object = _Exact(model, clamped, n_chains, seed, device, progress)
        burn_in, sweeps_at_once, draws_at_once = 0, 1, n_draws
    else:
        start = _start(model, clamped, n_chains, initial, seed, chains)
        n_chains = len(start)
        if method == "tempering":
            known = None if resume is None else resume["walkers"]["ladder"]
            walkers = _Tempering(model, clamped, start, ladder, adapt_ladder, seed, device, part, known)
        else:
            move = None
            if method == "metropolis":
                move = Proposal(proposal, _proposal_size(proposal, block_size, model, clamped))
            walkers = _Single(model, clamped, start, n_draws, seed, device, move, part)
        sweeps_at_once = max(1, OPERATIONS_PER_CALL[method] // walkers.operations_per_sweep)
        bytes_per_draw = n_chains * model.n_visible * model.visible.state_dtype(model.dtype).itemsize
        draws_at_once = max(1, min(sweeps_at_once // thin, BYTES_PER_BLOCK // bytes_per_draw))

    def draw(n_now: int, thin: int, is_last: bool) -> Samples:
        states = clamped.complete(walkers.advance(n_now * thin, n_now))
        flat = states.reshape(-1, model.n_visible)
        report = walkers.report(world if is_last else ALONE)  # once, at the end, all ranks add up what they counted
        return Samples(
            states=states,
            free_energy=free_energy_of_rows(model, flat, device).reshape(n_chains, n_now),
            magnetization=states.sum(axis=2, dtype=np.float64),
            model=model,
            method=method,
            seed=seed,
            thin=thin,
            burn_in=asked_burn_in,
            device=device,
            kernel=report.get("kernel", ""),
            acceptance_rate=report.get("acceptance_rate", math.nan),
            exchange=report.get("exchange"),
        )

    label = f"{method} sweeps"
    plan = Plan(burn_in, thin, n_draws, sweeps_at_once, draws_at_once, label, progress and method != "exact")
    return Blocks(walkers, plan, draw, resume)


def _shared_chains(method: str, n_chains: int, clamped_units: Sequence[int] | None, world: World) -> int:
    """The number of chains, checked to be enough for all ranks, and of a method whose chains can be shared out."""
    if world.size > 1:
        if method not in SHARED or clamped_units is not None:
            what = "clamped units" if method in SHARED else f"method={method!r}"
            raise InputError(
                f"chains of {what} are not shared out among ranks, and there are {world.size}; use one process, or "
                f"one of {', '.join(map(repr, SHARED))} without clamped units"
            )
        if n_chains < world.size:
            raise InputError(f"n_chains={n_chains} is too few for {world.size} ranks; take more chains or fewer ranks")
    return n_chains


def _start(
    model: RBM, clamped: Clamped, n_chains: int, initial: np.ndarray | None, seed: int, chains: slice
) -> np.ndarray:
    """Where the free units of some of the chains start: shape (number of them, n_free)."""
    if initial is None:
        kind = model.visible.part(clamped.free)
        return random_states(kind, n_chains, len(clamped.free), seed, chains).astype(model.dtype)
    initial = model.check_visible(initial, "initial", exact_states=True)
    if initial.shape != (n_chains, model.n_visible):
        raise InputError(f"initial has shape {initial.shape}; its shape must be {(n_chains, model.n_visible)}")
    return clamped.check_initial(initial)[chains]


def _proposal_size(proposal: str, block_size: int, model: RBM, clamped: Clamped) -> int:
    n_units = model.visible.n_units(len(clamped.free))
    if proposal == "block":
        return checks.integer("block_size", block_size, 1, n_units)
    return {"flip": 1, "exchange": 2}[proposal]


def _operations(parameters: Stack, n_chains: int) -> int:
    """Multiplications of a Gibbs sweep of so many chains of every model."""
    n_models, n_visible, n_hidden = parameters.weights.shape
    return n_models * n_chains * (2 * n_visible * n_hidden + OPERATIONS_PER_DRAW * (n_visible + n_hidden))


class _Single:
    """Chains of one model, by block Gibbs or Metropolis sweeps."""

    KEPT = ("_chains",)

    def __init__(
        self,
        model: RBM,
        clamped: Clamped,
        start: np.ndarray,
        n_draws: int,
        seed: int,
        device: str,
        proposal: Proposal | None,
        part: Part,
    ):
        self._stack = clamped.stack([model])
        self._chains = Chains(start, seed, part=part)
        self._device, self._proposal = device, proposal
        paths.check_room(self._stack, len(start), n_draws, device)
        if proposal is not None:
            obstacle = metropolis.obstacle(self._stack, proposal)
            if obstacle:
                raise InputError(obstacle)

    @property
    def operations_per_sweep(self) -> int:
        return _operations(self._stack, len(self._chains.visible))

    def advance(self, n_sweeps: int, n_draws: int = 0) -> np.ndarray:
        return self._chains.advance(self._stack, n_sweeps, n_draws, self._device, self._proposal)

    def burn_in(self, n_sweeps: int) -> None:
        self.advance(n_sweeps)

    def report(self, world: World) -> dict:
        if self._proposal is None:
            return {"kernel": paths.kernel_name(self._stack, len(self._chains.visible), self._device)}
        n_chains, n_free = self._chains.visible.shape
        per_sweep = metropolis.proposals_per_sweep(self._stack.visible, n_free, self._proposal)
        return {"acceptance_rate": self._chains.n_accepted / (self._chains.n_sweeps * n_chains * per_sweep)}


class _Tempering:
    """Chains of a ladder of models; those of the last are drawn from.

    `ladder` says which: their inverse temperatures, or the numbers of the models of a training. It may be known.
    """

    KEPT = ("ladder", "_chains")

    def __init__(
        self,
        model: RBM,
        clamped: Clamped,
        start: np.ndarray,
        ladder: Sequence[float] | Sequence[RBM] | None,
        adapt_ladder: bool,
        seed: int,
        device: str,
        part: Part,
        known: np.ndarray | None = None,
    ):
        target = backend.target(device)
        ladder = DEFAULT_LADDER if ladder is None else ladder
        if np.ndim(ladder) == 1 and any(isinstance(one, RBM) for one in ladder):
            models = tempering.check_trajectory([*ladder, *([] if ladder[-1] is model else [model])])
            states = np.repeat(start[None], len(models), axis=0)
            parameters, betas = clamped.stack(models), None
            self.ladder = np.arange(len(models))
            if known is not None:
                self.ladder, states = known, np.repeat(start[None], len(known), axis=0)
            elif adapt_ladder:
                kept, states = tempering.adapted_trajectory(parameters, states, rng.derive(seed, 1), target, part=part)
                self.ladder = np.array(kept)
            parameters = clamped.stack([models[k] for k in self.ladder])
        else:
            betas = tempering.check_betas(ladder, "ladder")

            def make_stack(betas: np.ndarray) -> Stack:
                return clamped.stack([model.tempered(beta) for beta in betas])

            states = np.repeat(start[None], len(betas), axis=0)
            if known is not None:
                betas, states = tempering.check_betas(known), np.repeat(start[None], len(known), axis=0)
            elif adapt_ladder:
                own = rng.derive(seed, 1)
                betas, states = tempering.adapted_ladder(make_stack, betas, states, own, target, part=part)
            parameters, self.ladder = make_stack(betas), betas
        paths.check_room(parameters, len(start), 1, device)
        self._kernel = paths.kernel_name(parameters, len(start), device)
        self._chains = tempering.TemperingChains(parameters, states, rng.derive(seed, 0), target, betas, part)
        self._operations = _operations(parameters, len(start))

    @property
    def operations_per_sweep(self) -> int:
        return 2 * self._operations  # swaps cost about as much as sweeps

    def advance(self, n_sweeps: int, n_draws: int = 0) -> np.ndarray:
        return self._chains.advance(n_sweeps, n_draws)

    def burn_in(self, n_sweeps: int) -> None:
        self.advance(n_sweeps)
        self._chains.restart_counts()

    def report(self, world: World) -> dict:
        return {"kernel": self._kernel, "exchange": self._chains.exchange(world)}


class _Exact:
    """Independent draws in the clothes of chains."""

    KEPT = ()

    def __init__(self, *arguments: object):
        self._arguments = arguments

    def advance(self, n_sweeps: int, n_draws: int) -> np.ndarray:
        model, clamped, n_chains, seed, device, progress = self._arguments
        return _independent(model, clamped, n_chains, n_draws, seed, device, progress)

    def report(self, world: World) -> dict:
        return {}


def _independent(
    model: RBM, clamped: Clamped, n_chains: int, n_draws: int, seed: int, device: str, progress: bool
) -> np.ndarray:
    """Exact draws of the free units: one sum over states for each distinct row of clamped values."""
    dtype = model.visible.state_dtype(model.dtype)
    states = np.empty((n_chains, n_draws, len(clamped.free)), dtype)
    conditionals = clamped.conditionals(model, n_chains)
    with progress_bar(len(conditionals), "exact draws", progress and len(conditionals) > 1) as bar:
        for k, (one, chains) in enumerate(conditionals):
            own_seed = seed if not clamped.held.size else rng.derive(seed, k)
            draws = exact.sample(one, len(chains) * n_draws, own_seed, device, progress and len(conditionals) == 1)
            states[chains] = draws.reshape(len(chains), n_draws, -1)
            bar.update(1)
    return states
