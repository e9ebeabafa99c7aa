"""Maximum-likelihood fits of RBMs: the exact log-likelihood climbed by a quasi-Newton method."""

import math
from collections.abc import Callable

import numpy as np
import scipy  # scipy.optimize takes a quarter of a second to load: with the first call

from mcgen import backend, blas, checks, long_sums, rng
from mcgen.errors import InputError
from mcgen.progress import progress as progress_bar
from mcgen.rbm import exact
from mcgen.rbm.climb import Climb
from mcgen.rbm.model import RBM
from mcgen.rbm.training.resuming import check_same, rows_of
from mcgen.rbm.training.row_weights import checked_weights, distinct_rows
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
    *,
    resume: Trained | None = None,
    checkpoint: Callable[[Callable[[], Trained]], object] | None = None,
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
    resume : Trained, optional
        What an earlier fit with the same arguments returned: one that was interrupted goes on, to the same bits as if
        it had not been, and one that was complete is returned.
    checkpoint : function, optional
        Called after every iteration with a function that gives the `Trained` so far, which may be saved and resumed.

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

    rows, weights = distinct_rows(v, checked_weights(row_weights, len(v)))
    climb = Climb(model, rows, weights, l2, device)
    identity = long_sums.fingerprint(*model.parameters, rows, weights)
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
    }
    history: list[dict[str, float]] = []
    known: list[dict[str, float]] = []  # rows that come again
    # Where L-BFGS has begun afresh.
    begun = {"x": climb.start, "objective": -math.inf, "n_rows": 0, "n_evaluations": 0}
    point, reached = None, None  # after the last iteration: where it is, and what the climb goes on from
    if resume is not None:
        check_same(resume, model, settings)
        if resume.settings["ended_by"] != "interrupt":
            return resume
        if resume.state["identity"] != identity:
            raise InputError("resume is a fit of other data or from another start; give the same model, v and weights")
        begun, known = resume.state["begun"], rows_of(resume.history)
        if truth is not None and len(known) % evaluate_every:
            known[-1]["kl_divergence"] = math.nan  # evaluated because the fit ended there
        history, known = known[: begun["n_rows"]], known[begun["n_rows"] :]
        climb.begin(begun["n_evaluations"], list(zip(*resume.state["evaluations"], strict=True)))
    best, objective, ended_by = begun["x"], begun["objective"], ""

    def record(x: np.ndarray) -> None:
        nonlocal best, point, reached
        iteration = len(history) + 1
        point = climb.at(x)
        row = known.pop(0) if known else climb.columns(point, iteration, truth, iteration % evaluate_every == 0)
        best, reached = point.x, (begun, climb.found, len(climb.found), climb.n_evaluations)
        history.append(row)
        if checkpoint is not None and not known:
            checkpoint(lambda: result("interrupt", in_full=False))
        bar.update(1)

    def result(ended_by: str, in_full: bool = True) -> Trained:
        """After the last iteration, whose row may be evaluated in full."""
        shown = history
        if in_full:  # a start that is a maximum has made no row
            shown = [*history[:-1], climb.columns(point, max(1, len(history)), truth, evaluate=True)]
        state, n_evaluations = {}, climb.n_evaluations
        if ended_by == "interrupt":
            then, found, n_found, n_evaluations = reached
            numbers = [np.stack(column) for column in zip(*found[:n_found], strict=True)]
            state = {"identity": identity, "begun": then, "evaluations": numbers}
        last = {"ended_by": ended_by, "largest_gradient": float(np.abs(point.gradient).max())}
        fitted = model.replace(*(array.astype(model.dtype) for array in point.model.parameters))
        chains = exact.sample(fitted, N_DRAWS, seed, device)
        everything = settings | last | {"n_evaluations": n_evaluations}
        return Trained(fitted, columns(shown), chains, everything, ended_by == "interrupt", state=state)

    options = {"maxcor": MEMORY, "gtol": tolerance, "ftol": ROUNDING}
    with progress_bar(max_iterations, "maximum likelihood", progress, len(history)) as bar:
        try:
            while not ended_by:
                left = max_iterations - len(history)
                options |= {"maxiter": left, "maxfun": MOST_EVALUATIONS * left}
                # Threads of BLAS that wait for more work would take the cores from the kernels.
                with blas.one_thread():
                    end = scipy.optimize.minimize(
                        climb.cost, best, jac=True, method="L-BFGS-B", callback=record, options=options
                    )
                gain, objective = -end.fun - objective, -end.fun
                if np.abs(end.jac).max() <= tolerance:
                    ended_by = "tolerance"
                elif end.status == 1 or len(history) >= max_iterations:
                    ended_by = "max_iterations"
                elif gain < SMALLEST_GAIN:
                    ended_by = "stalled"
                else:
                    n_evaluations = climb.n_evaluations
                    begun = {"x": best, "objective": float(objective), "n_rows": len(history)}
                    begun |= {"n_evaluations": n_evaluations}
                    climb.begin(n_evaluations)
        except KeyboardInterrupt:
            if not history:
                raise
            ended_by = "interrupt"
    if point is None:
        point = climb.at(best)
    return result(ended_by)
