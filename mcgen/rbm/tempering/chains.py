"""Chains of all models of a ladder, which swap their visible states after every sweep."""

import dataclasses
from types import ModuleType

import numpy as np

from mcgen import parallel, replicas, rng
from mcgen.parallel import ALONE, Part, World
from mcgen.rbm.chains import Stack
from mcgen.rbm.gibbs import moves


@dataclasses.dataclass(frozen=True)
class Exchange:
    """How states moved along a ladder of models, since the counts began.

    Attributes
    ----------
    betas : float64, shape (n_models,), or None
        The inverse temperatures of the ladder, ascending; None for other ladders.
    swap_rates : float64, shape (n_models - 1,)
        The fraction of attempted swaps that was made, for each pair of neighbours; NaN before the first attempt.
    round_trips : int
        How often a state went from the first model to the last and back, summed over all chains.
    n_sweeps : int
        Sweeps in which they could, of each of n_models * n_chains states.
    """

    betas: np.ndarray | None
    swap_rates: np.ndarray
    round_trips: int
    n_sweeps: int


class TemperingChains:
    """n_chains replicas of a whole ladder of models; those of a chain swap among themselves.

    Parameters
    ----------
    stack : Stack
        The models of the ladder, at least two. Its hidden biases may have a row for each chain: the other visible units
        of the chain, which are held, then have the same states in all models.
    visible : array, shape (n_models, n_chains, n_visible)
        Where the chains start.
    seed : int
    target : module
        Of the device.
    betas : float64, shape (n_models,), optional
        Given if model r of the stack is the last one with its weights and biases multiplied by betas[r]; a matrix
        product is then shared.
    part : Part, optional
        Which chains of the run these are; by default all.

    Attributes
    ----------
    n_sweeps : int
        Sweeps made of every replica, each followed by a round of swaps. Random numbers depend on it, and not on how the
        sweeps are shared out among calls.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import backend, rbm
    >>> from mcgen.rbm.chains import stack
    >>> from mcgen.rbm.tempering import TemperingChains
    >>> model, betas = rbm.RBM.random(n_visible=4, n_hidden=2, seed=1), [0.0, 0.5, 1.0]
    >>> models = stack([model.tempered(beta) for beta in betas])
    >>> chains = TemperingChains(models, np.zeros((3, 10, 4)), seed=2, target=backend.target("cpu"), betas=betas)
    >>> chains.advance(n_sweeps=20, n_draws=5).shape
    (10, 5, 4)
    >>> chains.exchange().swap_rates.shape
    (2,)
    """

    KEPT = ("_visible", "n_sweeps", "_replicas")  # see `mcgen.states`

    def __init__(
        self,
        stack: Stack,
        visible: np.ndarray,
        seed: int,
        target: ModuleType,
        betas: np.ndarray | None = None,
        part: Part | None = None,
    ):
        dtype = stack.weights.dtype
        n_models, n_chains, _ = visible.shape
        self.n_sweeps = 0
        self.part = part or parallel.whole(n_chains)
        self._target, self._seed, self._unit = target, seed, stack.visible
        self._betas = None if betas is None else np.array(betas, np.float64)
        self._replicas = replicas.Replicas(n_models, n_chains)
        self._visible = target.to_device(np.array(visible, dtype, order="C"))
        # What the kernels take is brought to the device once: for small models a sweep costs less than a copy.
        no_draws = np.empty((n_models, n_chains, 0, visible.shape[2]), self._unit.state_dtype(dtype))
        self._no_draws = target.to_device(no_draws)
        self.use(stack)
        lower = np.arange(n_models - 1)
        neighbours = np.stack([lower, lower + 1], axis=1)
        self._pairs_of_round = [target.to_device(neighbours[parity::2]) for parity in range(2)]
        n_pairs = n_models // 2
        self._ratios = target.to_device(np.empty((n_pairs, n_chains)))
        self._fields = target.to_device(np.empty((n_pairs, 2, n_chains, stack.weights.shape[2])))

    def use(self, stack: Stack) -> None:
        """Go on under other models of the same units: those of a training, which change between sweeps.

        Parameters
        ----------
        stack : Stack
            As many models as before, at the same betas if these were given.
        """
        target, (n_models, n_chains, _) = self._target, self._visible.shape
        self._prepared = moves.prepared(stack, n_chains, target, self.part)
        # The rounding of beta to the model's dtype is part of the models that are swept.
        shared = self._betas is not None
        scales = np.asarray(self._betas, stack.weights.dtype).astype(np.float64) if shared else np.ones(n_models)
        bases = [array[-1:] if shared else array for array in (stack.weights, stack.visible_bias, stack.hidden_bias)]
        self._of_swaps = (
            *(target.to_device(np.ascontiguousarray(array, np.float64)) for array in (*bases, scales)),
            *stack.hidden.arguments_on(target),
        )

    @property
    def visible(self) -> np.ndarray:
        """A copy of the states, in the dtype of the weights: shape (n_models, n_chains, n_visible)."""
        return np.array(self._target.to_host(self._visible))

    def states_of_last(self) -> np.ndarray:
        """A copy of the states of the last model, the one that is asked for: shape (n_chains, n_visible)."""
        return np.array(self._target.to_host(self._visible[-1]))

    def advance(self, n_sweeps: int, n_draws: int = 0) -> np.ndarray:
        """Sweep all replicas, each sweep followed by a round of swaps.

        Parameters
        ----------
        n_sweeps : int
            A multiple of n_draws, if that is not 0.
        n_draws : int
            Evenly spaced states to keep.

        Returns
        -------
        int8, or float for continuous units, shape (n_chains, n_draws, n_visible)
            Of the last model.
        """
        target = self._target
        _, n_chains, n_visible = self._visible.shape
        draws = np.empty((n_chains, n_draws, n_visible), self._unit.state_dtype(self._visible.dtype))
        thin = n_sweeps // n_draws if n_draws else n_sweeps + 1
        for sweep in range(n_sweeps):
            self._sweep()
            self._swap()
            if (sweep + 1) % thin == 0:
                draws[:, (sweep + 1) // thin - 1] = target.to_host(self._visible[-1])
        return draws

    def restart_counts(self) -> None:
        """Count swaps, round trips and sweeps for `exchange` from here on."""
        self._replicas.restart_counts()

    def exchange(self, world: World = ALONE) -> Exchange:
        """What was counted, in the chains of all ranks of the world."""
        counted = self._replicas
        betas = None if self._betas is None else self._betas.copy()
        round_trips = int(world.total(np.array(counted.round_trips)))
        return Exchange(betas, counted.swap_rates(world), round_trips, counted.n_counted)

    def log_ratios(self, pairs: np.ndarray) -> np.ndarray:
        """F_r(v_r) + F_s(v_s) - F_r(v_s) - F_s(v_r) of the present states, were the models r, s = pairs[k] to swap.

        Parameters
        ----------
        pairs : int, shape (n_pairs, 2)

        Returns
        -------
        float64, shape (n_pairs, n_chains)
        """
        pairs, at_once = np.asarray(pairs, np.int64), len(self._fields)
        parts = (self._target.to_device(pairs[k : k + at_once]) for k in range(0, len(pairs), at_once))
        return np.concatenate([self._log_ratios(part).copy() for part in parts])

    def _log_ratios(self, pairs: np.ndarray) -> np.ndarray:
        """The log ratios of at most n_models // 2 pairs on the device; the next call overwrites them."""
        n_pairs, n_chains = pairs.shape[0], self._visible.shape[1]
        ratios, fields = self._ratios[:n_pairs], self._fields[:n_pairs]
        kernel = self._target.kernels("rbm.tempering").swap_log_ratios
        arguments = (ratios, fields, self._visible, pairs, *self._of_swaps)
        self._target.launch(kernel, n_pairs * n_chains, fields.shape[3], *arguments)
        return self._target.to_host(ratios)

    def _sweep(self) -> None:
        moves.launch(self._visible, self._no_draws, self._prepared, 1, 1, self.n_sweeps, self._seed, self._target)
        self.n_sweeps += 1

    def _swap(self) -> None:
        """Try the pairs whose turn it is, in all chains."""
        n_models, n_chains, n_visible = self._visible.shape
        step = self._replicas.n_rounds
        address = rng.purpose.RBM_EXCHANGE, n_chains, n_models - 1, step
        uniforms = rng.uniforms(self._seed, *address, first_chain=self.part.first)
        pairs = self._pairs_of_round[step % 2]
        if pairs.shape[0] == 0:  # the odd round of two models
            self._replicas.swap(np.empty((0, n_chains)), uniforms)
            return
        accepted = self._replicas.swap(replicas.swap_probability(self._log_ratios(pairs)), uniforms)
        kernel = self._target.kernels("rbm.tempering").swap_states
        arguments = (self._visible, pairs, self._target.to_device(accepted))
        self._target.launch(kernel, accepted.size, n_visible, *arguments)
