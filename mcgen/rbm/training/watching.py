"""How well the chains of a training mix, and log Z along the way."""

import math
import warnings

import numpy as np

from mcgen import rng
from mcgen.errors import StatisticsWarning
from mcgen.rbm import exact
from mcgen.rbm.model import RBM
from mcgen.rbm.partition import runs
from mcgen.rbm.partition.ais import ais
from mcgen.rbm.partition.result import LogPartition, exact_value
from mcgen.rbm.training import mixing
from mcgen.rbm.training.negative import PERSISTENT, Persistent, Tempered, Trajectory, Weighted
from mcgen.rbm.training.weighted import WeightedChains

# Negative phases whose chains are Gibbs chains of the model alone, so that their autocorrelation can be measured apart.
PLAIN_CHAINS = ("pcd", "weighted")
FIRST_GIBBS_STEPS = 1
# log Z of a start model that is too large for the exact sum.
START_RUNS, START_TEMPERATURES = 256, 100
# Chains that follow log Z, beside those of the training, on whose fluctuations the model depends. They hear of the
# model every so many steps that their weights change by about so much from one time to the next, at most; but not so
# often, and with no more sweeps, that they would take more than this share of the multiplications of the training each.
FOLLOWERS, GROUPS = 256, 8
SCATTER_OF_STEP = 0.1
SHARE = 0.03
MOST_STEPS_APART = 50
# Where fewer groups carry the weight, or the error is larger, log Z is sought afresh, by annealing the followers from
# independent units to the present model.
FEWEST_GROUPS, LARGEST_ERROR = 6.0, 0.2
TEMPERATURES_AFRESH = 1000
# Times at which the chains are looked at from one evaluation to the next.
RECORDS = 200


class Watching:
    """What is recorded during an epoch, and said of it after.

    Parameters
    ----------
    model : RBM
        The start.
    name : str
        Of the negative phase.
    negative : Persistent, Weighted, Tempered or Trajectory
    gibbs_steps : int or "auto"
    n_steps : int
        From one evaluation to the next.
    batch_size : int
        Rows of data for each step.
    v : array, shape (n_rows, n_visible)
        Data.
    seed : int
    device : {"cpu", "cuda"}

    Attributes
    ----------
    gibbs_steps : int
        Sweeps for each step, at present.
    """

    def __init__(
        self,
        model: RBM,
        name: str,
        negative: Persistent | Weighted | Tempered | Trajectory,
        gibbs_steps: int | str,
        n_steps: int,
        batch_size: int,
        v: np.ndarray,
        seed: int,
        device: str,
    ):
        self._automatic = gibbs_steps == "auto"
        self.gibbs_steps = FIRST_GIBBS_STEPS if self._automatic else gibbs_steps
        self._name, self._negative, self._seed, self._device = name, negative, seed, device
        self._record: list[np.ndarray] = []
        self._stride, self._n_moves = -(-n_steps // RECORDS), 0
        self._was_stuck = self._warned_of_chains = self._lost = False
        self._n_measured = 0
        self._n_chains = len(negative.visible)
        self._persistent = name in PERSISTENT and self._n_chains > 1
        if self._persistent:
            self._followers = WeightedChains(model, FOLLOWERS, rng.derive(seed, 0), device, GROUPS)
            start = _at_start(model, v, rng.derive(rng.derive(seed, 1), 0), device)
            self._log_partition_of_start, self._error_of_start = start.value, start.error
            self._v, self._n_afresh = v, 0
            self._since, self._apart, self._batch_size = 0, 1, batch_size
            self._leading = mixing.leading_vector(model)

    @property
    def KEPT(self) -> tuple[str, ...]:  # noqa: N802 - see `mcgen.states`
        """What is remembered."""
        counts = ("gibbs_steps", "_n_moves", "_was_stuck", "_warned_of_chains", "_lost", "_n_measured", "_record")
        if not self._persistent:
            return counts
        of_z = ("_followers", "_log_partition_of_start", "_error_of_start", "_n_afresh", "_since", "_apart")
        return (*counts, *of_z, "_leading")

    def epoch_begins(self, model: RBM, after_evaluation: bool) -> None:
        """After an evaluation, begin a new record, and measure how many sweeps the chains need, if asked to."""
        if not (self._persistent and after_evaluation):
            return
        self._record, self._leading = [], mixing.leading_vector(model)
        if self._automatic:
            self._n_measured += 1
            seed = rng.derive(self._seed, 1 + self._n_measured)
            chosen = mixing.automatic_gibbs_steps(model, self._negative.visible, seed, device=self._device)
            self.gibbs_steps = chosen.gibbs_steps

    def chains_moved(self, visible: np.ndarray) -> None:
        """The chains have been swept."""
        self._n_moves += 1
        if self._persistent and self._n_moves % self._stride == 0:
            # Sums without BLAS, whose threads would go on waiting for work on the cores that the next kernel needs.
            self._record.append(np.stack([visible.sum(axis=1), np.einsum("ci,i->c", visible, self._leading)]))

    def stepped(self, model: RBM) -> None:
        """The model has made a step."""
        if not self._persistent:
            return
        self._since += 1
        if self._since >= self._apart:
            self._follow(model)

    def _follow(self, model: RBM) -> None:
        """Take the followers to the present model, and decide when to do so again."""
        scatter = self._followers.change(model)
        sweeps = round(SHARE * self._since * self.gibbs_steps * self._n_chains / FOLLOWERS)
        self._followers.advance(min(max(1, sweeps), mixing.MOST_GIBBS_STEPS))
        # The scatter of the weights grows like the square of the distance. Rows that are multiplied with the weights:
        # in a step those of both phases and of the sweeps; of the followers twice two, in double precision.
        way = self._since * math.sqrt(SCATTER_OF_STEP / max(scatter, 1e-9))
        rows_of_step = 2 * self._batch_size + 2 * (self.gibbs_steps + 1) * self._n_chains
        least = math.ceil(4 * FOLLOWERS / (SHARE * rows_of_step))
        self._apart = int(min(max(least, way), max(least, MOST_STEPS_APART), 2 * self._since + 1))
        self._since = 0

    def columns(self, model: RBM, evaluate: bool) -> dict[str, float]:
        """The columns of the history, of the model after the last step of an epoch."""
        row = {"gibbs_steps": float(self.gibbs_steps)}
        if not self._persistent:
            return row
        if self._since:
            self._follow(model)
        if evaluate and not self._is_followed():
            self._anneal(model)
            if not self._is_followed():
                self._warn_of_loss()
        if self._is_followed():
            change, error = self._followers.log_ratio
            row["tracked_log_partition"] = self._log_partition_of_start + change
            row["tracked_log_partition_error"] = math.hypot(self._error_of_start, error)
        if evaluate and self._record:
            series, between = np.stack(self._record, axis=2), self._stride * self.gibbs_steps
            seen = mixing.diagnose_chains(series, between, self.gibbs_steps, self._negative.weights)
            row["r_hat"], row["autocorrelation_time"] = seen.r_hat, seen.autocorrelation_time
            row["effective_chains"] = seen.effective_chains
            self._judge(seen)
        return row

    def _judge(self, seen: mixing.Mixing) -> None:
        """Warn once, of chains that have not mixed from one evaluation to the next for the second time."""
        stuck = seen.r_hat > mixing.LARGEST_R_HAT and self._name != "weighted"  # weighted chains need not mix
        if stuck and self._was_stuck and not self._warned_of_chains:
            swaps = self._name in ("tempering", "trajectory")
            self._warned_of_chains = mixing.warn_of_stuck_chains(seen, swaps, stacklevel=4)
        self._was_stuck = stuck

    def _is_followed(self) -> bool:
        """Whether the weights of the followers still say what log Z is."""
        return self._followers.n_effective_groups >= FEWEST_GROUPS and self._followers.log_ratio[1] <= LARGEST_ERROR

    def _anneal(self, model: RBM) -> None:
        """Take new followers from independent units to the present model."""
        self._n_afresh += 1
        seed = rng.derive(rng.derive(self._seed, 1), self._n_afresh)
        way = runs.make_path(model, FOLLOWERS, TEMPERATURES_AFRESH, seed, self._v, None, None, True, self._device)
        annealed = runs.forward_runs(model, way, FOLLOWERS, seed, self._device, False)
        self._followers.continue_from(model, annealed.states, annealed.log_weights)
        self._log_partition_of_start, self._error_of_start = way.log_partition, 0.0

    def _warn_of_loss(self) -> None:
        if self._lost:
            return
        self._lost = True
        warnings.warn(
            f"log Z is lost along the training: of {GROUPS} groups of weighted chains, annealed from independent units "
            f"at {TEMPERATURES_AFRESH} temperatures, {self._followers.n_effective_groups:.1f} carry all the weight; "
            "estimate log Z of the last model with more (rbm.partition)",
            StatisticsWarning,
            stacklevel=4,
        )


def _at_start(model: RBM, v: np.ndarray, seed: int, device: str) -> LogPartition:
    if exact.is_quick(model):
        return exact_value(model, device)
    return ais(model, START_RUNS, START_TEMPERATURES, seed, v, device=device)
