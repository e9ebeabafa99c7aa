"""Training of RBMs by stochastic gradient ascent of the log-likelihood."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mcgen import backend, checks, optim, rng, states
from mcgen.errors import DivergenceError, InputError
from mcgen.interruption import StoppedTogether
from mcgen.parallel import ALONE, World
from mcgen.progress import progress as progress_bar
from mcgen.rbm import exact
from mcgen.rbm.gradient import Gradient, Phases, difference_of_phases, phase_of_rows
from mcgen.rbm.model import RBM
from mcgen.rbm.sampling import DEFAULT_LADDER
from mcgen.rbm.training.ascent import Ascent, Penalties, SlidingMeans, centred, limited
from mcgen.rbm.training.columns import ColumnsOfRows, ExactColumns
from mcgen.rbm.training.natural import (
    check_exact,
    check_sampled,
    exact_natural_direction,
    sampled_natural_direction,
)
from mcgen.rbm.training.negative import NEGATIVE_PHASES, PERSISTENT, negative_phase_named
from mcgen.rbm.training.resuming import check_same, rows_of
from mcgen.rbm.training.row_weights import checked_weights
from mcgen.rbm.training.stopping import Stopping
from mcgen.rbm.training.trained import Trained, columns
from mcgen.rbm.training.truth import checked_truth
from mcgen.rbm.training.watching import PLAIN_CHAINS, Watching

OPTIMIZERS = ("adam", "sgd", "natural")
# What is added to the diagonal of the Fisher information by default: more where it is estimated from few chains.
EXACT_DAMPING, SAMPLED_DAMPING = 0.01, 0.1
# Arguments that are too large for the settings.
ARRAYS = ("model", "v", "validation", "truth", "row_weights")


class Epoch(NamedTuple):
    """What a callback is given after every epoch.

    epoch : int
        From 1.
    model : RBM
    chains : array, shape (n_chains, n_visible)
    row : dict
        The epoch's row of the history.
    """

    epoch: int
    model: RBM
    chains: np.ndarray
    row: dict[str, float]


def train(
    model: RBM,
    v: np.ndarray,
    negative_phase: str = "cd",
    gibbs_steps: int | str = 5,
    n_chains: int = 512,
    epochs: int = 50,
    batch_size: int = 128,
    learning_rate: float | Sequence[float] = 0.01,
    final_learning_rate: float | None = None,
    optimizer: str = "adam",
    momentum: float = 0.5,
    seed: int = 0,
    validation: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    evaluate_every: int | None = None,
    device: str = "cpu",
    progress: bool = False,
    *,
    row_weights: np.ndarray | None = None,
    schedule: str = "geometric",
    centered: bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
    max_weight_norm: float | None = None,
    damping: float | None = None,
    ladder: Sequence[float] = DEFAULT_LADDER,
    patience: int | None = None,
    keep_every: int | None = None,
    callbacks: Sequence[Callable[[Epoch], object]] = (),
    resume: Trained | None = None,
    checkpoint: Callable[[Callable[[], Trained]], object] | None = None,
    world: World = ALONE,
) -> Trained:
    """Fit a model to data: climb the gradient of the mean log-likelihood, positive phase minus negative phase.

    ==============  ================================================================================================
    negative_phase  where the rows come from that stand for the model
    ==============  ================================================================================================
    "exact"         all states of the smaller layer are summed
    "cd"            contrastive divergence: Gibbs chains that start at the rows of the batch at every step. Quick and
                    stable, but blind to modes that the data's neighbourhood does not reach: the relative weight of
                    separated modes may drift
    "pcd"           persistent contrastive divergence: chains are carried on from step to step. Nearer to the model's
                    distribution, with a smaller learning rate
    "weighted"      persistent chains whose weights correct for every change of the model (Jarzynski's equality), as
                    long as chains reach all modes
    "tempering"     persistent chains of a ladder of inverse temperatures that swap their states, for models whose
                    modes a single chain does not leave
    "trajectory"    persistent chains of models stored on the way, which swap their states with those of the present
                    model: where temperatures pass through a transition of first order
    ==============  ================================================================================================

    Parameters
    ----------
    model : RBM
        Where to start; it is not changed. Of a model with a symmetry, the free parameters are trained.
    v : array, shape (n_rows, n_visible)
        Data, states of the visible units.
    negative_phase : {"exact", "cd", "pcd", "weighted", "tempering", "trajectory"}
    gibbs_steps : int or "auto"
        Gibbs sweeps of the chains for each step: the k of CD-k and PCD-k. "auto" takes twice the autocorrelation time
        of the chains, measured anew where the model is evaluated; for "pcd" and "weighted".
    n_chains : int
        Persistent chains, started at random rows. CD has one for each row of the batch.
    epochs : int
        Passes through the data.
    batch_size : int
        Rows for each step, taken in a new random order in every epoch; the batches of an epoch differ by one row at
        most.
    learning_rate, final_learning_rate : float
        Step length at the first and at the last epoch; constant by default. A sequence has one for each epoch.
    optimizer : {"adam", "sgd", "natural"}
        "natural" multiplies the gradient by the inverse of the Fisher information, exact with the exact negative phase
        and sampled from the chains otherwise, and then steps like "sgd".
    momentum : float
        Of "sgd" and "natural".
    seed : int
        0 to 2**64 - 1. The same seed gives the same model for any number of threads.
    validation : array, shape (n_rows, n_visible), optional
        Rows kept apart, for `validation_gap` and `patience`.
    truth : array, shape (n_states,), optional
        The distribution that the data are drawn from, if it is known; kl_divergence then refers to it.
    evaluate_every : int, optional
        Epochs between evaluations: exact sums, for models small enough for a sum of about a second, and the diagnosis
        of the chains. The last epoch is always evaluated. Default: a tenth of the epochs.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.
    row_weights : array, shape (n_rows,), optional
        How much each row counts, not negative, divided by their sum; by default all alike.
    schedule : {"geometric", "linear", "cosine"}
        How the learning rate goes from the first to the final one.
    centered : bool
        Whether the gradient is that of units measured from their sliding means over the data.
    l1, l2 : float
        Penalties l1 sum |W_ij| and (l2 / 2) sum W_ij^2 that are subtracted from the log-likelihood.
    max_weight_norm : float, optional
        Largest Euclidean norm of the weights of a hidden unit; not with "natural".
    damping : float, optional
        Of "natural": added to the diagonal of the Fisher information; by default 0.01 where it is exact, and 0.1 where
        it is sampled.
    ladder : sequence of float
        Of "tempering": increasing inverse temperatures that end at 1, between which more are added as they are needed.
    patience : int, optional
        Stop when the validation rows have not become more probable for so many epochs, and return the best model. Their
        mean log-likelihood is exact for small models (and then evaluated in every epoch), and otherwise taken from the
        log Z that follows persistent chains.
    keep_every : int, optional
        Epochs between models that are kept as the trajectory of the training, with the start and the last model.
    callbacks : sequence of functions
        Each is called after every epoch with an `Epoch`: its number, the model, the chains and its row of the history.
        A true value ends the training.
    resume : Trained, optional
        What an earlier training with the same arguments returned, or one with fewer epochs at a constant learning rate:
        it goes on with its next epoch, to the same bits as if it had never ended. Arguments that are no numbers are not
        compared: model, v, validation, truth and row_weights have to be the same.
    checkpoint : function, optional
        Called after every epoch with a function that gives the `Trained` so far, which may be saved and resumed.
    world : mcgen.parallel.World
        The ranks that share out the chains of "cd" and "pcd" and the sums of the gradient of all but "exact"; all have
        all data, and get the same model, which does not depend on their number. Each of them sweeps all chains of
        "weighted", "tempering" and "trajectory", and does all of "exact": these gain little or nothing from ranks.

    Returns
    -------
    Trained
        Ctrl-C, once an epoch is complete, ends the training and returns what is there, marked as interrupted.
        Columns of the history, beside epoch and learning_rate (NaN where they were not evaluated):

        reconstruction_error
            Mean over units and rows of the squared difference between v and its mean-field image
            <v> given <h> given v.
        free_energy_gap
            Mean F of the data minus mean F of the model's chains; near 0 when the chains produce what looks like data.
            This column, the one before and the next look at 1024 rows at most.
        validation_gap
            Mean F of the validation rows minus mean F of the data; it grows when the model starts to overfit.
        log_partition, log_likelihood
            log Z and the mean log p(v) over the data, exact.
        kl_divergence
            KL(truth || model) if `truth` is given, otherwise KL(data || model) with the empirical distribution of v;
            NaN for continuous visible units.
        validation_log_likelihood
            Mean log p over the validation rows, by the exact log Z or else the tracked one.
        tracked_log_partition, tracked_log_partition_error
            log Z followed from the start along the training by weighted chains of their own, and its error; not for
            "exact" and "cd". Where their weights scatter too much, they are annealed afresh at the next evaluation.
        r_hat, autocorrelation_time, effective_chains
            Of persistent chains: split R-hat, autocorrelation time in sweeps, and how many independent draws the
            chains of one step are worth.
        gibbs_steps
            Sweeps for each step.

    Raises
    ------
    InputError
        If an argument is out of range.
    DivergenceError
        An InputError: if parameters, or Z, are no longer finite. Its `last_good` is what the last epoch before left.
    SizeError
        If the negative phase is "exact" and its sum takes too long for every step: for two-level units, if 2**n_smaller
        n_larger is above 2**34.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If persistent chains have stopped mixing, or log Z can no longer be followed.

    References
    ----------
    Hinton, Neural Comput. 14, 1771 (2002) for CD; Tieleman, ICML (2008) for PCD; Carbone, Hua, Coste & Vanden-Eijnden,
    NeurIPS (2023) for weights; Desjardins, Courville, Bengio, Vincent & Delalleau, AISTATS (2010) for tempering;
    Bereux, Decelle, Furtlehner, Rosset & Seoane, ICLR (2025) for trajectories; Hjorth-Jensen (2025), "Positive and
    negative phases".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> v = np.array([[0, 0, 1, 1], [1, 1, 0, 0]] * 50)
    >>> start = rbm.RBM.random(n_visible=4, n_hidden=2, seed=1)
    >>> trained = rbm.train(start, v, negative_phase="exact", epochs=60, batch_size=20, learning_rate=0.1, seed=2)
    >>> bool(trained.history["kl_divergence"][-1] < 0.1)
    True

    A function that ends the training at the reconstruction error asked for:

    >>> def good_enough(epoch):
    ...     return epoch.row["reconstruction_error"] < 0.2
    >>> trained = rbm.train(start, v, epochs=60, batch_size=20, learning_rate=0.1, seed=2, callbacks=[good_enough])
    >>> len(trained.history["epoch"]) < 60
    True
    """
    settings = dict(locals())
    for name in (*ARRAYS, "progress", "callbacks", "resume", "checkpoint", "world"):
        del settings[name]
    v = model.check_rows(v)
    settings |= {"n_rows": len(v), "kl_reference": "data" if truth is None else "truth"}
    settings |= {"weighted_rows": row_weights is not None}
    checks.choice("negative_phase", negative_phase, NEGATIVE_PHASES)
    persistent = negative_phase in PERSISTENT
    if gibbs_steps != "auto":
        gibbs_steps = checks.integer("gibbs_steps", gibbs_steps, 1)
    elif negative_phase not in PLAIN_CHAINS:
        raise InputError(
            f"gibbs_steps='auto' measures Gibbs chains that are carried on, and negative_phase is {negative_phase!r}; "
            f"give a number, or one of {', '.join(PLAIN_CHAINS)}"
        )
    n_chains = checks.integer("n_chains", n_chains, 1)
    epochs = checks.integer("epochs", epochs, 1)
    batch_size = min(checks.integer("batch_size", batch_size, 1), len(v))
    rates = optim.learning_rates(epochs, learning_rate, final_learning_rate, schedule)
    checks.choice("optimizer", optimizer, OPTIMIZERS)
    step_rule = optim.named("sgd" if optimizer == "natural" else optimizer, momentum)
    if damping is None:
        damping = EXACT_DAMPING if negative_phase == "exact" else SAMPLED_DAMPING
    damping = checks.positive("damping", damping)
    penalties = _checked_penalties(l1, l2, max_weight_norm)
    if validation is not None:
        validation = model.check_rows(validation, "validation")
    evaluate_every = (
        max(1, epochs // 10) if evaluate_every is None else checks.integer("evaluate_every", evaluate_every, 1)
    )
    if keep_every is not None:
        keep_every = checks.integer("keep_every", keep_every, 1)
    stopping = Stopping(patience, validation is not None, persistent or exact.is_quick(model))
    if negative_phase == "exact":
        exact.check_steps(model)
    if optimizer == "natural":
        if max_weight_norm is not None:
            raise InputError(
                f"max_weight_norm={max_weight_norm:g} shortens weights after a step; optimizer='natural' does not "
                "know of it and would drive the other parameters away; use l2 instead, or optimizer='adam'"
            )
        (check_exact if negative_phase == "exact" else check_sampled)(model)
    if truth is not None:
        truth = checked_truth(model, truth)
    weights = checked_weights(row_weights, len(v))
    backend.target(device)

    n_batches = math.ceil(len(v) / batch_size)
    checks.integer("epochs * batches", epochs * n_batches, 1, rng.LARGEST_WORD)
    of_rows = ColumnsOfRows(v, weights, validation, device)
    exact_columns = ExactColumns(model, v, weights, truth, device)
    negative = negative_phase_named(negative_phase, model, v, n_chains, ladder, seed, device, world)
    ascent = Ascent(model, step_rule, penalties)
    seed_of_watch = rng.derive(seed, 1)
    watching = Watching(
        model, negative_phase, negative, gibbs_steps, evaluate_every * n_batches, batch_size, v, seed_of_watch, device
    )
    means = SlidingMeans()
    trajectory = [model]
    history: list[dict[str, float]] = []
    interrupted, state, parts = False, None, (ascent, negative, watching, means)
    if resume is not None:
        check_same(resume, model, settings)
        history, state = rows_of(resume.history), resume.state
        for part, kept in zip(parts, state["parts"], strict=True):
            (part.go_on if hasattr(part, "go_on") else functools.partial(states.put_back, part))(kept)
        stopping.go_on(state["stopping"], model)
        trajectory, model = list(resume.trajectory) or trajectory, ascent.model

    def result() -> Trained:
        """After the last complete epoch."""
        of_last = model.replace(*state["model"])
        chosen = stopping.best if stopping.best is not None else of_last
        last = state["chains"].astype(model.visible.state_dtype(model.dtype))
        kept = tuple(trajectory) if keep_every is not None else ()
        return Trained(chosen, columns(history), last, settings, interrupted, kept, state)

    def gradient_of(batch: np.ndarray, batch_weights: np.ndarray) -> Gradient:
        """The estimate of the gradient from a batch; moves the chains."""
        if negative_phase == "exact":
            phases = _exact_phases(model, batch, batch_weights, device)
        else:
            negative.advance(model, batch, watching.gibbs_steps)
            visible = negative.visible
            watching.chains_moved(visible)
            chain_weights = negative.weights
            if negative_phase == "cd":  # chains have the weights of the rows that they start at
                chain_weights = batch_weights / batch_weights.sum()
                negative.weights = None if row_weights is None else chain_weights
            phases = difference_of_phases(model, batch, batch_weights, visible, chain_weights, device, world)
        # Where the spin flip fixes the biases, units are measured from their centres already.
        if centered and not (model.symmetry is not None and model.symmetry.spin_flip):
            return centred(phases.gradient, *means.update(phases.visible_mean, phases.hidden_mean))
        return phases.gradient

    def natural(model: RBM, gradient: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        if negative_phase == "exact":
            direction = exact_natural_direction(model, gradient, damping, device)
        else:
            direction = sampled_natural_direction(model, gradient, negative.visible, damping, negative.weights, device)
        return limited(direction, gradient, rate)

    turn = natural if optimizer == "natural" else None
    with progress_bar(epochs, f"training, {negative_phase}", progress, len(history)) as bar:
        try:
            for epoch in range(len(history), epochs):
                if stopping.ended:
                    break
                evaluate = (epoch + 1) % evaluate_every == 0 or epoch + 1 == epochs
                rate = rates[epoch]
                watching.epoch_begins(model, epoch % evaluate_every == 0)
                order = rng.permutation(seed, rng.purpose.TRAINING_ORDER, len(v), step=epoch)
                for rows in np.array_split(order, n_batches):
                    # Weighted so that the mean over batches is the gradient of all rows, whatever their weights.
                    batch_weights = weights[rows] * (len(v) / len(rows))
                    if not batch_weights.any():
                        continue
                    gradient = gradient_of(v[rows], batch_weights)
                    try:
                        model = ascent.step(gradient, rate, epoch + 1, turn)
                    except DivergenceError as error:
                        error.last_good = result() if history else None
                        raise
                    negative.changed(model)
                    watching.stepped(model)
                if negative_phase == "exact":  # for the free-energy gap only
                    negative.advance(model, v, watching.gibbs_steps)
                negative.epoch_ends(model)
                row = {"epoch": epoch + 1, "learning_rate": rate}
                row |= exact_columns.columns(model, evaluate or stopping.judges)
                row |= watching.columns(model, evaluate)
                row |= of_rows.columns(model, negative.visible, negative.weights, row)
                history.append(row)
                world.check_agreement(model.parameters)
                if keep_every is not None and ((epoch + 1) % keep_every == 0 or epoch + 1 == epochs):
                    trajectory.append(model)
                stopping.judge(model, row)
                state = {"parts": [states.taken(part) for part in parts], "stopping": stopping.state()}
                state |= {"model": list(model.parameters), "chains": negative.visible.copy()}
                if checkpoint is not None:
                    checkpoint(result)
                bar.update(1)
                answers = [call(Epoch(epoch + 1, model, negative.visible, row)) for call in callbacks]
                if any(answers):
                    break
        except KeyboardInterrupt as stopped:
            if not history or (world.size > 1 and not isinstance(stopped, StoppedTogether)):
                raise
            interrupted = True
    return result()


def _exact_phases(model: RBM, batch: np.ndarray, batch_weights: np.ndarray, device: str) -> Phases:
    whole = batch_weights.sum()
    positive = phase_of_rows(model, batch, batch_weights, device)
    negative = Gradient(*(whole * part for part in exact.negative_phase(model, device)))
    return Phases(positive.minus(negative), positive.visible_bias / whole, positive.hidden_bias / whole)


def _checked_penalties(l1: float, l2: float, max_weight_norm: float | None) -> Penalties:
    l1, l2 = checks.not_negative("l1", l1), checks.not_negative("l2", l2)
    if max_weight_norm is not None:
        max_weight_norm = checks.positive("max_weight_norm", max_weight_norm)
    return Penalties(l1, l2, max_weight_norm)
