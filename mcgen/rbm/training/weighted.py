"""Weighted chains: draws of a model that changes, however fast, and log Z along its way."""

import math

import numpy as np
from scipy.special import logsumexp

from mcgen import rng, states
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.partition.acceptance import scatter
from mcgen.rbm.partition.draws import draw_model
from mcgen.rbm.partition.weights import effective_number, log_mean_exp, resampled
from mcgen.rbm.sampling import Chains

# Chains are drawn anew among themselves where their effective number falls below this part of them.
FEWEST_EFFECTIVE = 0.5
# Sweeps that bring chains to the distribution of a start model, whose units hardly feel each other.
SWEEPS_TO_START = 100


class WeightedChains:
    """Gibbs chains of a model that changes, with weights that correct for every change.

    If chains have the distribution of the model with weights e^A, they keep it when A changes by F_old(v) - F_new(v) as
    the parameters change, and sweeps leave A alone (Jarzynski's equality). The mean of e^A is Z_new / Z_start, without
    bias, whether the chains keep up with the model or not; where they do not, the weights scatter. The chains of a
    group are drawn anew among themselves, by systematic resampling, once few of them carry its weight. Groups stay
    independent of each other, and their scatter is the error of log Z.

    The changes must not follow from these chains themselves: a model that is trained on their fluctuations has a larger
    Z than their weights say. Their weighted averages are good for training all the same.

    Parameters
    ----------
    model : RBM
        The start.
    n_chains : int
        A multiple of n_groups.
    seed : int
    device : {"cpu", "cuda"}
    n_groups : int

    Attributes
    ----------
    model : RBM
        The present one.
    n_resampled : int
        How often the chains of a group were drawn anew.

    References
    ----------
    Jarzynski, Phys. Rev. Lett. 78, 2690 (1997). Neal, Stat. Comput. 11, 125 (2001). Carbone, Hua, Coste &
    Vanden-Eijnden, NeurIPS (2023). Del Moral, Doucet & Jasra, J. R. Stat. Soc. B 68, 411 (2006): resampling.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.weighted import WeightedChains
    >>> models = [rbm.RBM.random(n_visible=8, n_hidden=4, seed=1, scale=0.05 * k) for k in range(21)]
    >>> chains = WeightedChains(models[0], n_chains=512, seed=2, device="cpu", n_groups=8)
    >>> for model in models[1:]:
    ...     _ = chains.change(model)
    ...     chains.advance(1)
    >>> value, error = chains.log_ratio
    >>> exact = rbm.exact.log_partition(models[-1]) - rbm.exact.log_partition(models[0])
    >>> abs(value - exact) < 3 * error < 0.3
    True
    """

    KEPT = ("n_resampled", "_chains", "_log_weights")

    def __init__(self, model: RBM, n_chains: int, seed: int, device: str, n_groups: int = 1):
        self.model, self.n_resampled = model, 0
        self._seed, self._device, self._n_groups = rng.derive(seed, 1), device, n_groups
        start = draw_model(model, n_chains, rng.derive(seed, 2), burn_in=SWEEPS_TO_START, device=device)[:, -1]
        self._chains = Chains(np.ascontiguousarray(start, model.dtype), rng.derive(seed, 0))
        self._log_weights = np.zeros(n_chains)

    @property
    def visible(self) -> np.ndarray:
        """The states of the chains: shape (n_chains, n_visible)."""
        return self._chains.visible

    @property
    def weights(self) -> np.ndarray:
        """e^A, adding up to 1: float64, shape (n_chains,)."""
        return _normalised(self._log_weights)

    @property
    def log_ratio(self) -> tuple[float, float]:
        """log Z of the model minus that of the start, and its error: the scatter of groups, NaN of a single one."""
        value = float(log_mean_exp(self._log_weights))
        if self._n_groups == 1:
            return value, math.nan
        return value, scatter(_normalised(self._log_weights).reshape(self._n_groups, -1).sum(axis=1))

    @property
    def n_effective_groups(self) -> float:
        """How many groups carry the weight: near 1, a single one decides, and the error says nothing."""
        return effective_number(self.weights.reshape(self._n_groups, -1).sum(axis=1))

    def change(self, model: RBM) -> float:
        """Give the chains the weights that they have under a new model; returns the variance of the change."""
        change = free_energy_of_rows(self.model, self.visible, self._device)
        change -= free_energy_of_rows(model, self.visible, self._device)
        self._log_weights += change
        self.model = model
        for group in np.split(np.arange(len(change)), self._n_groups):
            weights = _normalised(self._log_weights[group])
            if effective_number(weights) < FEWEST_EFFECTIVE * len(group):
                self._resample(group, weights)
        return float(change.var())

    def continue_from(self, model: RBM, visible: np.ndarray, log_weights: np.ndarray) -> None:
        """Go on with as many other chains, and their weights with respect to another start."""
        self.model, self._chains.visible = model, np.ascontiguousarray(visible, model.dtype)
        self._log_weights = log_weights.copy()

    def state(self) -> dict:
        """What the chains go on from: see `mcgen.states`."""
        kept = {name: states.taken(getattr(self, name)) for name in self.KEPT}
        return kept | {"model": list(self.model.parameters)}

    def go_on(self, state: dict) -> None:
        """Take up the state of other chains."""
        states.put_back(self, state)
        self.model = self.model.replace(*state["model"])

    def advance(self, n_sweeps: int) -> None:
        """Sweep the chains under the model."""
        self._chains.advance(self.model, n_sweeps, device=self._device)

    def _resample(self, group: np.ndarray, weights: np.ndarray) -> None:
        """Draw the chains of a group anew, by their weights; each then has the mean weight."""
        shift = rng.uniforms(self._seed, rng.purpose.TRAINING_CHAINS, 1, 1, self.n_resampled)[0, 0]
        self._chains.visible[group] = self.visible[group[resampled(weights, shift)]]
        self._log_weights[group] = log_mean_exp(self._log_weights[group])
        self.n_resampled += 1


def _normalised(log_weights: np.ndarray) -> np.ndarray:
    return np.exp(log_weights - logsumexp(log_weights))
