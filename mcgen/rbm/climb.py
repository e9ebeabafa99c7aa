"""The exact log-likelihood of data as a function of the free parameters of a model, and its gradient."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen import enumeration
from mcgen.rbm import exact
from mcgen.rbm.evaluation.likelihood import squared_errors
from mcgen.rbm.gradient import Gradient, phase_of_rows
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.symmetry import Symmetry
from mcgen.rbm.training.free import free_gradient, free_parameters, with_free_parameters
from mcgen.rbm.training.row_weights import checked_weights, distinct_rows


def _representatives(rows: np.ndarray, low: int, tie: Symmetry) -> np.ndarray:
    """For each row, the one of lowest index among those that the symmetry makes equally probable.

    Their tied gradients are equal, too.
    """
    indices = np.stack([enumeration.state_index(rows[:, moved]) for moved in tie.sites.T])
    if tie.spin_flip:
        indices = np.concatenate([indices, (1 << tie.n_visible) - 1 - indices])
    bits = indices.min(axis=0)[:, None] >> np.arange(tie.n_visible) & 1
    return np.where(bits, 1, low)


class Point(NamedTuple):
    """The model at a point of the space of free parameters, and the objective there."""

    x: np.ndarray
    model: RBM
    log_partition: float
    log_likelihood: float
    objective: float
    gradient: np.ndarray


class Climb:
    """The objective as a function of one vector, the free parameters one after the other.

    What every evaluation found is kept, from the last `begin` on: L-BFGS, which has a memory that cannot be looked at,
    goes the same way again where it is given the same answers.

    Parameters
    ----------
    model : RBM
    rows : array, shape (n_rows, n_visible)
        Distinct ones.
    weights : float64, shape (n_rows,)
        Adding up to 1.
    l2 : float
    device : {"cpu", "cuda"}

    Attributes
    ----------
    start : float64, shape (n_free,)
        The free parameters of the model.
    n_evaluations : int
    found : list of (array, float64, shape (3,); array, float64, shape (n_free,))
        Of each evaluation log Z, the log-likelihood and the objective, and its gradient.
    """

    def __init__(self, model: RBM, rows: np.ndarray, weights: np.ndarray, l2: float, device: str):
        self.l2, self.device = l2, device
        self.base = model.replace(*(array.astype(np.float64) for array in model.parameters))
        # Continuous rows have a density, but no distribution over states.
        self.entropy = enumeration.entropy(weights) if model.visible.is_discrete else float("nan")
        if model.symmetry is not None and model.visible.is_discrete:
            rows = _representatives(rows, model.visible.low, model.symmetry)
            rows, weights = distinct_rows(rows, checked_weights(weights, len(rows)))
        self.rows, self.weights = rows.astype(np.float64), weights
        free = free_parameters(self.base)
        self.shapes = [array.shape for array in free]
        self.start = _joined(free)
        self.begin(0)

    def begin(self, n_evaluations: int, found: Sequence[tuple[np.ndarray, np.ndarray]] = ()) -> None:
        """Forget all evaluations but their number; the next ones are known."""
        self.n_evaluations = self._n_before = n_evaluations
        self.found = list(found)
        self.last: Point | None = None

    def at(self, x: np.ndarray) -> Point:
        """The point; that of the last call is kept."""
        if self.last is not None and np.array_equal(x, self.last.x):
            return self.last
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        free = [part.reshape(shape) for part, shape in zip(np.split(x, ends[:-1]), self.shapes, strict=True)]
        model = with_free_parameters(self.base, free)
        number = self.n_evaluations - self._n_before
        if number == len(self.found):
            self.found.append(self._evaluate(model))
        self.n_evaluations += 1
        numbers, slope = self.found[number]
        self.last = Point(x.copy(), model, *map(float, numbers), slope)
        return self.last

    def _evaluate(self, model: RBM) -> tuple[np.ndarray, np.ndarray]:
        of_model = exact.moments(model, self.device)
        log_likelihood = float(-self.weights @ free_energy_of_rows(model, self.rows, self.device))
        log_likelihood -= of_model.log_partition
        positive = phase_of_rows(model, self.rows, self.weights, self.device)
        gradient = positive.minus(Gradient(of_model.visible_hidden, of_model.visible, of_model.hidden))
        gradient = gradient._replace(weights=gradient.weights - self.l2 * model.weights)
        objective = log_likelihood - 0.5 * self.l2 * float(np.sum(model.weights**2))
        return np.array([of_model.log_partition, log_likelihood, objective]), _joined(free_gradient(model, gradient))

    def cost(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """What is minimised, and its gradient."""
        point = self.at(x)
        return -point.objective, -point.gradient

    def columns(self, point: Point, iteration: int, truth: np.ndarray | None, evaluate: bool) -> dict[str, float]:
        """A row of the history."""
        model, log_partition, log_likelihood = point[1:4]
        if truth is None:  # <log f>_data - <log p>_data
            kl = -self.entropy - log_likelihood
        else:
            kl = exact.kl_divergence(truth, model, self.device) if evaluate else float("nan")
        return {
            "epoch": iteration,
            "reconstruction_error": float(self.weights @ squared_errors(model, self.rows, self.device)),
            "log_partition": log_partition,
            "log_likelihood": log_likelihood,
            "kl_divergence": kl,
        }


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])
