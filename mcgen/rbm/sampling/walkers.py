"""What moves when states of an RBM are drawn: chains of one model, chains of a ladder of models, independent draws.

Each has `advance`, which makes sweeps and returns evenly spaced states of the free units, and `report`, which tells
what was counted, in all ranks of a world. Those of Markov chains have `burn_in` and `operations_per_sweep`, too. What a
run goes on from is named in `KEPT` (see `mcgen.states`).
"""

from collections.abc import Sequence

import numpy as np

from mcgen import backend, rng
from mcgen.errors import InputError
from mcgen.parallel import Part, World
from mcgen.progress import progress as progress_bar
from mcgen.rbm import exact, gibbs, metropolis, tempering
from mcgen.rbm.chains import Stack, stack
from mcgen.rbm.gibbs import paths
from mcgen.rbm.metropolis import Proposal
from mcgen.rbm.model import RBM
from mcgen.rbm.sampling.clamping import Clamped

# The coldest replica is the model, the hottest has independent units.
DEFAULT_LADDER = (0.0, 1.0)
# What a unit costs beside products: its random word and its draw, in multiplications.
OPERATIONS_PER_DRAW = 64


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


def _operations(parameters: Stack, n_chains: int) -> int:
    """Multiplications of a Gibbs sweep of so many chains of every model."""
    n_models, n_visible, n_hidden = parameters.weights.shape
    return n_models * n_chains * (2 * n_visible * n_hidden + OPERATIONS_PER_DRAW * (n_visible + n_hidden))


class ModelChains:
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
        """Multiplications of a sweep of all chains."""
        return _operations(self._stack, len(self._chains.visible))

    def advance(self, n_sweeps: int, n_draws: int = 0) -> np.ndarray:
        """Sweep, and return n_draws evenly spaced states: shape (n_chains, n_draws, n_free)."""
        return self._chains.advance(self._stack, n_sweeps, n_draws, self._device, self._proposal)

    def burn_in(self, n_sweeps: int) -> None:
        """Sweep without keeping states."""
        self.advance(n_sweeps)

    def report(self, world: World) -> dict:
        """What `Samples` have of it beside states."""
        if self._proposal is None:
            return {"kernel": paths.kernel_name(self._stack, len(self._chains.visible), self._device)}
        n_chains, n_free = self._chains.visible.shape
        per_sweep = metropolis.proposals_per_sweep(self._stack.visible, n_free, self._proposal)
        return {"acceptance_rate": self._chains.n_accepted / (self._chains.n_sweeps * n_chains * per_sweep)}


class LadderChains:
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
        """Multiplications of a sweep of all chains."""
        return 2 * self._operations  # swaps cost about as much as sweeps

    def advance(self, n_sweeps: int, n_draws: int = 0) -> np.ndarray:
        """Sweep, and return n_draws evenly spaced states: shape (n_chains, n_draws, n_free)."""
        return self._chains.advance(n_sweeps, n_draws)

    def burn_in(self, n_sweeps: int) -> None:
        """Sweep without counting."""
        self.advance(n_sweeps)
        self._chains.restart_counts()

    def report(self, world: World) -> dict:
        """What `Samples` have of it beside states."""
        return {"kernel": self._kernel, "exchange": self._chains.exchange(world)}


class IndependentDraws:
    """Exact draws of the free units: one sum over states for each distinct row of clamped values."""

    KEPT = ()

    def __init__(self, model: RBM, clamped: Clamped, n_chains: int, seed: int, device: str, progress: bool):
        self._model, self._clamped, self._n_chains = model, clamped, n_chains
        self._seed, self._device, self._progress = seed, device, progress

    def advance(self, n_sweeps: int, n_draws: int) -> np.ndarray:
        """Draw n_draws states for each chain: shape (n_chains, n_draws, n_free)."""
        model, clamped = self._model, self._clamped
        dtype = model.visible.state_dtype(model.dtype)
        states = np.empty((self._n_chains, n_draws, len(clamped.free)), dtype)
        conditionals = clamped.conditionals(model, self._n_chains)
        several = len(conditionals) > 1
        with progress_bar(len(conditionals), "exact draws", self._progress and several) as bar:
            for k, (one, chains) in enumerate(conditionals):
                seed = self._seed if not clamped.held.size else rng.derive(self._seed, k)
                draws = exact.sample(one, len(chains) * n_draws, seed, self._device, self._progress and not several)
                states[chains] = draws.reshape(len(chains), n_draws, -1)
                bar.update(1)
        return states

    def report(self, world: World) -> dict:
        """Nothing was counted."""
        return {}
