"""Monte Carlo sampling of the visible layer of an RBM, at once or in blocks."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from mcgen import backend, checks, loops, parallel, rng
from mcgen.blocks import Blocks, Plan
from mcgen.errors import InputError
from mcgen.parallel import ALONE, Part, World
from mcgen.rbm.chains import random_states
from mcgen.rbm.metropolis import Proposal
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.sampling.clamping import Clamped
from mcgen.rbm.sampling.samples import Samples, warn_of_bad_draws
from mcgen.rbm.sampling.walkers import IndependentDraws, LadderChains, ModelChains

METHODS = ("gibbs", "metropolis", "tempering", "exact")
PROPOSALS = ("flip", "exchange", "block")
# Methods whose chains can be shared out among ranks.
SHARED = ("gibbs", "tempering")

# Multiplications in one kernel call: long enough to hide its start, short enough for progress and Ctrl-C.
OPERATIONS_PER_CALL = {"gibbs": 20_000_000_000, "metropolis": 1_000_000_000, "tempering": 5_000_000_000}
# States of one block of draws, unless a single draw is larger.
BYTES_PER_BLOCK = 1 << 26


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
    65, 1604 (1996). Bereux, Decelle, Furtlehner, Rosset & Seoane, ICLR (2025), arXiv:2405.15376.

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
        walkers: object = IndependentDraws(model, clamped, n_chains, seed, device, progress)
        burn_in, sweeps_at_once, draws_at_once = 0, 1, n_draws
    else:
        start = _start(model, clamped, n_chains, initial, seed, chains)
        n_chains = len(start)
        if method == "tempering":
            known = None if resume is None else resume["walkers"]["ladder"]
            walkers = LadderChains(model, clamped, start, ladder, adapt_ladder, seed, device, part, known)
        else:
            move = None
            if method == "metropolis":
                move = Proposal(proposal, _proposal_size(proposal, block_size, model, clamped))
            walkers = ModelChains(model, clamped, start, n_draws, seed, device, move, part)
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
