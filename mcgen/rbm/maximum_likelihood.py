"""Maximum-likelihood fits of RBMs: the exact log-likelihood climbed by a quasi-Newton method."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from mcgen import backend, blas, checks, enumeration, rng
from mcgen.errors import InputError
from mcgen.progress import progress as progress_bar
from mcgen.rbm import exact
from mcgen.rbm.gradient import Gradient, phase_of_rows
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.symmetry import Symmetry
from mcgen.rbm.training.free import free_gradient, free_parameters, with_free_parameters
from mcgen.rbm.training.row_weights import checked_weights
from mcgen.rbm.training.trained import Trained, columns
from mcgen.rbm.training.truth import checked_truth

# Independent draws from the fitted model that are returned.
N_DRAWS = 512
# Past steps from which L-BFGS knows the curvature.
MEMORY = 20
# Most evaluations for each iteration, on average; one or two are usual.
MOST_EVALUATIONS = 20
# A relative rise of the log-likelihood that cannot be told from rounding: where an iteration gains less, the climb
# starts afresh, without memory of the curvature, as long as this gains more than some nats.
ROUNDING = 1e-15
SMALLEST_GAIN = 1e-9


def maximum_likelihood(
    model: RBM,
    v: np.ndarray,
    row_weights: np.ndarray | None = None,
    l2: float = 0.0,
    tolerance: float = 1e-7,
    max_iterations: int = 2000,
    truth: np.ndarray | None = None,
    evaluate_every: int = 10,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
) -> Trained:
    """Fit a small model to data to the end: climb the exact mean log-likelihood of all rows by L-BFGS.

    The objective is sum_n w_n log p(v_n) - (l2 / 2) sum_ij W_ij^2 with sum_n w_n = 1. Its gradient is the positive
    phase over the distinct rows minus the exact negative phase. A model with a `symmetry` is climbed in the free
    parameters, and rows that the symmetry makes equally probable count as one. The maximum is a local one: other starts
    may end in others.

    Parameters
    ----------
    model : RBM
        Where to start; it is not changed. Its exact negative phase must be quick, as for `rbm.train` with
        negative_phase="exact".
    v : array, shape (n_rows, n_visible)
        Data, states of the visible units.
    row_weights : array, shape (n_rows,), optional
        How much each row counts, not negative, divided by their sum; by default all rows alike. All states with their
        probabilities make a fit to a distribution.
    l2 : float
        Strength of the penalty on the weights, at least 0.
    tolerance : float
        The fit ends where no component of the gradient with respect to the (free) parameters is larger, in nats.
    max_iterations : int
        Largest number of iterations, of one or two evaluations each.
    truth : array, shape (n_states,), optional
        The distribution that the data are drawn from, if it is known; kl_divergence then refers to it.
    evaluate_every : int
        Iterations between evaluations of kl_divergence if `truth` is given, which lists all visible states; the last
        iteration is always evaluated.
    seed : int
        0 to 2**64 - 1, of the draws returned as `chains`; the fit itself is not random.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    Trained
        What `rbm.train` returns, an iteration counting as an epoch; `chains` are independent draws from the fitted
        model. Columns of the history that have no meaning here are NaN, and so is kl_divergence for continuous data.
        The settings also have `ended_by`, which is "tolerance", "stalled" (where steps do not raise the objective by
        more than rounding), "max_iterations" or "interrupt"; `largest_gradient`, the largest component at the end; and
        `n_evaluations`. Ctrl-C, once an iteration is complete, returns what is there, marked as interrupted. The fit is
        made in float64; a float32 model is rounded at the end.

    Raises
    ------
    InputError
        If an argument is out of range, both layers are continuous, or all weights of the start are 0: its hidden units
        would stay alike.
    SizeError
        If the exact negative phase is too slow, or `truth` is given for more than 2**24 visible states.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Liu & Nocedal, Math. Program. 45, 503 (1989); Zhu, Byrd, Lu & Nocedal, ACM Trans. Math. Softw. 23, 550 (1997).
    Hjorth-Jensen (2025), "Final expression", for the gradient.

    Examples
    --------
    >>> from mcgen import ising, rbm
    >>> lattice = ising.Ising(shape=(2, 3))
    >>> truth = ising.exact.probabilities(lattice, temperature=4.0)
    >>> v = ising.exact.sample(lattice, 4.0, n_draws=5000, seed=1).reshape(-1, 6)
    >>> start = rbm.RBM.symmetric((2, 3), n_filters=1, seed=1, spin_flip=True, visible="spin", hidden="spin")
    >>> fit = rbm.maximum_likelihood(start, v, truth=truth)
    >>> bool(fit.history["kl_divergence"][-1] < 0.002)
    True
    """
    exact.check_steps(model)
    if not (model.visible.is_discrete or model.hidden.is_discrete):
        raise InputError(
            f"{model!r} has two continuous layers, of which a long step may leave no finite Z; use rbm.train, or units "
            "with finitely many states for one layer"
        )
    v = model.check_rows(v)
    l2 = checks.not_negative("l2", l2)
    tolerance = checks.positive("tolerance", tolerance)
    max_iterations = checks.integer("max_iterations", max_iterations, 1)
    evaluate_every = checks.integer("evaluate_every", evaluate_every, 1)
    if not model.weights.any():
        raise InputError("all weights are 0, and hidden units that start alike stay alike; start from RBM.random")
    if truth is not None:
        truth = checked_truth(model, truth)
    rng.split_seed(seed)
    backend.target(device)

    climb = _Climb(model, *_distinct(v, row_weights), l2, device)
    history: list[dict[str, float]] = []
    best = climb.start

    def record(x: np.ndarray) -> None:
        nonlocal best
        iteration = len(history) + 1
        row = climb.columns(x, iteration, truth, evaluate=iteration % evaluate_every == 0)
        best = x.copy()
        history.append(row)
        bar.update(1)

    options = {"maxcor": MEMORY, "gtol": tolerance, "ftol": ROUNDING}
    objective, ended_by = -math.inf, ""
    with progress_bar(max_iterations, "maximum likelihood", progress) as bar:
        try:
            while not ended_by:
                left = max_iterations - len(history)
                options |= {"maxiter": left, "maxfun": MOST_EVALUATIONS * left}
                # Threads of BLAS that wait for more work would take the cores from the kernels.
                with blas.one_thread():
                    end = minimize(climb.cost, best, jac=True, method="L-BFGS-B", callback=record, options=options)
                gain, objective = -end.fun - objective, -end.fun
                if np.abs(end.jac).max() <= tolerance:
                    ended_by = "tolerance"
                elif end.status == 1 or len(history) >= max_iterations:
                    ended_by = "max_iterations"
                elif gain < SMALLEST_GAIN:
                    ended_by = "stalled"
        except KeyboardInterrupt:
            if not history:
                raise
            ended_by = "interrupt"
    # The last row is evaluated in full; a start that is a maximum has made none.
    history[-1:] = [climb.columns(best, max(1, len(history)), truth, evaluate=True)]
    settings = {
        "method": "maximum_likelihood",
        "l2": l2,
        "tolerance": tolerance,
        "max_iterations": max_iterations,
        "evaluate_every": evaluate_every,
        "seed": seed,
        "device": device,
        "n_rows": len(v),
        "kl_reference": "data" if truth is None else "truth",
        "ended_by": ended_by,
        "largest_gradient": float(np.abs(climb.at(best).gradient).max()),
        "n_evaluations": climb.n_evaluations,
    }
    fitted = model.replace(*(array.astype(model.dtype) for array in climb.at(best).model.parameters))
    chains = exact.sample(fitted, N_DRAWS, seed, device)
    return Trained(fitted, columns(history), chains, settings, ended_by == "interrupt")


def _distinct(v: np.ndarray, row_weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows that have a weight, and their weights, which add up to 1."""
    rows, which = np.unique(v, axis=0, return_inverse=True)
    weights = np.bincount(which.ravel(), checked_weights(row_weights, len(v)))
    there = weights > 0
    return rows[there], weights[there]


def _representatives(rows: np.ndarray, low: int, tie: Symmetry) -> np.ndarray:
    """For each row, the one of lowest index among those that the symmetry makes equally probable.

    Their tied gradients are equal, too.
    """
    indices = np.stack([enumeration.state_index(rows[:, moved]) for moved in tie.sites.T])
    if tie.spin_flip:
        indices = np.concatenate([indices, (1 << tie.n_visible) - 1 - indices])
    bits = indices.min(axis=0)[:, None] >> np.arange(tie.n_visible) & 1
    return np.where(bits, 1, low)


class _Point(NamedTuple):
    """The model at a point of the space of free parameters, and the objective there."""

    x: np.ndarray
    model: RBM
    log_partition: float
    log_likelihood: float
    objective: float
    gradient: np.ndarray


class _Climb:
    """The objective as a function of one vector, the free parameters one after the other."""

    def __init__(self, model: RBM, rows: np.ndarray, weights: np.ndarray, l2: float, device: str):
        self.l2, self.device, self.n_evaluations = l2, device, 0
        self.base = model.replace(*(array.astype(np.float64) for array in model.parameters))
        # Continuous rows have a density, but no distribution over states.
        self.entropy = float(-np.sum(weights * np.log(weights))) if model.visible.is_discrete else float("nan")
        if model.symmetry is not None and model.visible.is_discrete:
            rows, weights = _distinct(_representatives(rows, model.visible.low, model.symmetry), weights)
        self.rows, self.weights = rows.astype(np.float64), weights
        free = free_parameters(self.base)
        self.shapes = [array.shape for array in free]
        self.start = _joined(free)
        self.last: _Point | None = None

    def at(self, x: np.ndarray) -> _Point:
        """The point; that of the last call is kept."""
        if self.last is not None and np.array_equal(x, self.last.x):
            return self.last
        self.n_evaluations += 1
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        free = [part.reshape(shape) for part, shape in zip(np.split(x, ends[:-1]), self.shapes, strict=True)]
        model = with_free_parameters(self.base, free)
        of_model = exact.moments(model, self.device)
        log_likelihood = float(-self.weights @ free_energy_of_rows(model, self.rows, self.device))
        log_likelihood -= of_model.log_partition
        positive = phase_of_rows(model, self.rows, self.weights, self.device)
        gradient = positive.minus(Gradient(of_model.visible_hidden, of_model.visible, of_model.hidden))
        gradient = gradient._replace(weights=gradient.weights - self.l2 * model.weights)
        objective = log_likelihood - 0.5 * self.l2 * float(np.sum(model.weights**2))
        slope = _joined(free_gradient(model, gradient))
        self.last = _Point(x.copy(), model, of_model.log_partition, log_likelihood, objective, slope)
        return self.last

    def cost(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """What is minimised, and its gradient."""
        point = self.at(x)
        return -point.objective, -point.gradient

    def columns(self, x: np.ndarray, iteration: int, truth: np.ndarray | None, evaluate: bool) -> dict[str, float]:
        """A row of the history."""
        model, log_partition, log_likelihood = self.at(x)[1:4]
        image = model.visible_mean(model.hidden_mean(self.rows, self.device), self.device)
        if truth is None:  # <log f>_data - <log p>_data
            kl = -self.entropy - log_likelihood
        else:
            kl = exact.kl_divergence(truth, model, self.device) if evaluate else float("nan")
        return {
            "epoch": iteration,
            "reconstruction_error": float(self.weights @ np.mean((self.rows - image) ** 2, axis=1)),
            "log_partition": log_partition,
            "log_likelihood": log_likelihood,
            "kl_divergence": kl,
        }


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])
