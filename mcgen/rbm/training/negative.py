"""Negative phases of training: where the rows come from that stand for the model.

Each is an object that holds chains, moves them under the present model, and hears of each change of the parameters:

visible     states of the chains of the model, shape (n_chains, n_visible)
weights     of these chains, adding up to 1, or None where they count alike
advance     move the chains under the model
changed     the parameters are new
epoch_ends  a pass through the data is complete
"""

import warnings
from collections.abc import Sequence

import numpy as np

from mcgen import backend, replicas, rng, states
from mcgen.errors import InputError, StatisticsWarning
from mcgen.parallel import ALONE, Part, World
from mcgen.rbm import tempering
from mcgen.rbm.chains import Stack, stack
from mcgen.rbm.model import RBM
from mcgen.rbm.sampling import Chains
from mcgen.rbm.tempering import TemperingChains
from mcgen.rbm.training.weighted import WeightedChains

NEGATIVE_PHASES = ("exact", "cd", "pcd", "weighted", "tempering", "trajectory")
# Those whose chains are carried on from step to step, and follow the model.
PERSISTENT = ("pcd", "weighted", "tempering", "trajectory")

# Models of a trajectory that are kept as its ladder, at most.
MOST_STORED = 60
# A ladder is adapted again once neighbours swap in less than this part of the attempts that it was made for.
WORN = 0.5
# Swaps per pair of neighbours before their rate says something.
FEWEST_SWEEPS_COUNTED = 20


class Persistent:
    """Chains that go on from step to step: PCD, and the chains that only go along with an exact negative phase.

    Ranks share out the chains of each step, and tell each other the states.
    """

    weights = None
    KEPT = ("_chains",)

    def __init__(self, visible: np.ndarray, seed: int, device: str, world: World = ALONE):
        self._chains, self._device, self._world = Chains(visible, seed), device, world

    @property
    def visible(self) -> np.ndarray:
        """The states of the chains."""
        return self._chains.visible

    def go_on(self, state: dict) -> None:
        """Take up the state of other chains; those of contrastive divergence are as many as a batch has rows."""
        visible = state["_chains"]["visible"]
        if visible.shape[1:] != self.visible.shape[1:]:
            raise InputError(
                f"the state has chains of shape {visible.shape}, for {self.visible.shape[1]} visible units"
            )
        self._chains.visible = visible
        states.put_back(self, state)

    def advance(self, model: RBM, batch: np.ndarray, n_sweeps: int) -> None:
        """Sweep the chains under the model."""
        visible = self._chains.visible
        mine = self._world.share(len(visible))
        self._chains.part, self._chains.visible = Part(mine.start, len(visible)), visible[mine]
        self._chains.advance(model, n_sweeps, device=self._device)
        own = self._chains.visible.astype(model.visible.state_dtype(model.dtype), copy=False)  # a byte for most units
        self._chains.visible = self._world.joined(own, len(visible)).astype(model.dtype, copy=False)

    def changed(self, model: RBM) -> None:
        """Nothing is kept of the old model."""

    def epoch_ends(self, model: RBM) -> None:
        """Nothing to do."""


class Restarted(Persistent):
    """Chains that start at the rows of every batch: contrastive divergence.

    They have the weights of their rows, which the training sets where rows do not count alike.
    """

    def advance(self, model: RBM, batch: np.ndarray, n_sweeps: int) -> None:
        """Sweep the rows of the batch under the model."""
        self._chains.visible = batch.copy()  # swept in place
        super().advance(model, batch, n_sweeps)


class Weighted:
    """Persistent chains whose weights correct for the steps of the model, however fast these are."""

    KEPT = ("_chains",)

    def __init__(self, model: RBM, n_chains: int, seed: int, device: str):
        self._chains = WeightedChains(model, n_chains, seed, device)

    @property
    def visible(self) -> np.ndarray:
        """The states of the chains."""
        return self._chains.visible

    @property
    def weights(self) -> np.ndarray:
        """Adding up to 1."""
        return self._chains.weights

    def advance(self, model: RBM, batch: np.ndarray, n_sweeps: int) -> None:
        """Sweep the chains under the model."""
        self._chains.advance(n_sweeps)

    def changed(self, model: RBM) -> None:
        """Give the chains the weights that they have under the new model."""
        self._chains.change(model)

    def epoch_ends(self, model: RBM) -> None:
        """Nothing to do."""


class Tempered:
    """Persistent chains of a ladder of inverse temperatures, which swap their states: they do not stay in one mode."""

    weights = None
    KEPT = ("_betas", "_n_adapted", "_chains")

    def __init__(self, model: RBM, visible: np.ndarray, ladder: Sequence[float], seed: int, device: str):
        self._model = model
        self._seed, self._target, self._n_adapted = seed, backend.target(device), 0
        self._betas = tempering.check_betas(ladder, "ladder")
        self._chains: TemperingChains | None = None
        self._adapt(model, np.repeat(visible[None], len(self._betas), axis=0))

    @property
    def visible(self) -> np.ndarray:
        """The states of the chains at beta = 1."""
        return self._chains.states_of_last()

    def advance(self, model: RBM, batch: np.ndarray, n_sweeps: int) -> None:
        """Sweep the whole ladder, each sweep followed by a round of swaps."""
        self._chains.use(_at_betas(model, self._betas))
        self._chains.advance(n_sweeps)

    def changed(self, model: RBM) -> None:
        """The next sweeps take the new model."""

    def epoch_ends(self, model: RBM) -> None:
        """Add temperatures where neighbours hardly swap any more."""
        exchange = self._chains.exchange()
        if exchange.n_sweeps >= FEWEST_SWEEPS_COUNTED:
            if np.nanmin(exchange.swap_rates) < WORN * replicas.SWAP_RATE:
                self._adapt(model, self._chains.visible)
            self._chains.restart_counts()

    def go_on(self, state: dict) -> None:
        """Take up the state of other chains, whose ladder may have been another."""
        self._betas = tempering.check_betas(state["_betas"])
        visible = np.zeros((len(self._betas), *self.visible.shape), self.visible.dtype)
        seed = rng.derive(self._seed, 2 * (state["_n_adapted"] - 1) + 1)
        self._chains = TemperingChains(_at_betas(self._model, self._betas), visible, seed, self._target, self._betas)
        states.put_back(self, state)

    def _adapt(self, model: RBM, visible: np.ndarray) -> None:
        def make_stack(betas: np.ndarray) -> Stack:
            return _at_betas(model, betas)

        seeds = [rng.derive(self._seed, 2 * self._n_adapted + part) for part in range(2)]
        self._n_adapted += 1
        self._betas, visible = tempering.adapted_ladder(make_stack, self._betas, visible, seeds[0], self._target)
        self._chains = TemperingChains(make_stack(self._betas), visible, seeds[1], self._target, self._betas)


class Trajectory:
    """Persistent chains of models stored on the way, which swap their states with those of the present model.

    A model is stored when the present one has gone so far from the last that their chains swap less often than in half
    of the attempts. The first is the start model, whose chains forget everything in one sweep.

    References
    ----------
    Bereux, Decelle, Furtlehner, Rosset & Seoane, ICLR (2025), arXiv:2405.15376.
    """

    weights = None
    STORE_AT = 0.5
    KEPT = ("stored", "_n_built", "_chains")

    def __init__(self, model: RBM, visible: np.ndarray, seed: int, device: str):
        self._seed, self._target, self._n_built = seed, backend.target(device), 0
        self.stored = [model]
        self._build(model, np.repeat(visible[None], 2, axis=0))

    @property
    def visible(self) -> np.ndarray:
        """The states of the chains of the present model."""
        return self._chains.states_of_last()

    def advance(self, model: RBM, batch: np.ndarray, n_sweeps: int) -> None:
        """Sweep all models, each sweep followed by a round of swaps; store the present one if it is time."""
        self._chains.use(stack([*self.stored, model]))
        self._chains.advance(n_sweeps)
        last = len(self.stored)
        rate = replicas.swap_probability(self._chains.log_ratios(np.array([[last - 1, last]]))).mean()
        if rate < self.STORE_AT:
            visible = self._chains.visible
            self.stored.append(model)
            if len(self.stored) > MOST_STORED:
                visible = self._thin_out(visible)
            self._build(model, np.concatenate([visible, visible[-1:]]))

    def changed(self, model: RBM) -> None:
        """The next sweeps take the new model."""

    def epoch_ends(self, model: RBM) -> None:
        """Nothing to do."""

    def state(self) -> dict:
        """What the chains go on from: models by their parameters."""
        stored = [list(model.parameters) for model in self.stored]
        return {"stored": stored, "_n_built": self._n_built, "_chains": states.taken(self._chains)}

    def go_on(self, state: dict) -> None:
        """Take up the state of other chains, which may have stored other models."""
        model = self.stored[0]
        self.stored, self._n_built = [model.replace(*arrays) for arrays in state["stored"]], state["_n_built"] - 1
        self._build(model, np.zeros((len(self.stored) + 1, *self.visible.shape), self.visible.dtype))
        states.put_back(self._chains, state["_chains"])

    def _build(self, model: RBM, visible: np.ndarray) -> None:
        seed = rng.derive(self._seed, 2 * self._n_built)
        self._n_built += 1
        self._chains = TemperingChains(stack([*self.stored, model]), visible, seed, self._target)

    def _thin_out(self, visible: np.ndarray) -> np.ndarray:
        """Leave out stored models while neighbours still swap; returns the states of those that stay."""
        seed = rng.derive(self._seed, 2 * self._n_built + 1)
        with warnings.catch_warnings():  # of neighbours that are far apart already: said below, and once
            warnings.simplefilter("ignore", StatisticsWarning)
            kept, visible = tempering.adapted_trajectory(stack(self.stored), visible, seed, self._target)
        self.stored = [self.stored[k] for k in kept]
        if len(kept) > MOST_STORED:
            warnings.warn(
                f"the trajectory keeps {len(kept)} models, which neighbours' swaps ask for, and every sweep takes all "
                "of them; use a smaller learning rate, fewer hidden units or negative_phase='tempering'",
                StatisticsWarning,
                stacklevel=2,
            )
        return visible


def _at_betas(model: RBM, betas: np.ndarray) -> Stack:
    """The stack of the models `model.tempered(beta)`."""
    scales = betas.astype(model.dtype)
    weights, visible_bias, hidden_bias = (scales.reshape(-1, *[1] * array.ndim) * array for array in model.parameters)
    return Stack(weights, visible_bias, hidden_bias[:, None], model.visible, model.hidden)


def negative_phase_named(
    name: str,
    model: RBM,
    rows: np.ndarray,
    n_chains: int,
    ladder: Sequence[float],
    seed: int,
    device: str,
    world: World = ALONE,
) -> Persistent | Weighted | Tempered | Trajectory:
    """The negative phase of a training, its chains at random rows of the data."""
    first_rows = rng.permutation(seed, rng.purpose.TRAINING_CHAINS, len(rows))
    visible = rows[np.resize(first_rows, n_chains)]
    own_seed = rng.derive(seed, 0)
    if name == "cd":
        return Restarted(visible, own_seed, device, world)
    if name == "weighted":
        return Weighted(model, n_chains, own_seed, device)
    if name == "tempering":
        return Tempered(model, visible, ladder, own_seed, device)
    if name == "trajectory":
        return Trajectory(model, visible, own_seed, device)
    return Persistent(visible, own_seed, device, world)
