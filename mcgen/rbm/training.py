"""Training of RBMs by stochastic gradient ascent of the log-likelihood."""

import dataclasses
import math

import numpy as np

from mcgen import backend, checks, optim, rng
from mcgen.errors import InputError
from mcgen.progress import progress as progress_bar
from mcgen.rbm import exact
from mcgen.rbm.exact.limits import check_listed
from mcgen.rbm.gradient import Gradient, phase_of_rows
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.sampling import Chains

NEGATIVE_PHASES = ("exact", "cd", "pcd")


@dataclasses.dataclass(frozen=True)
class Trained:
    """What training returns.

    Attributes
    ----------
    model : RBM
        After the last step.
    history : dict of arrays, one number for each epoch
        epoch; learning_rate; reconstruction_error; free_energy_gap; validation_gap (NaN without validation rows);
        and, NaN at epochs where they were not evaluated: log_partition, log_likelihood, kl_divergence. See `train`.
    chains : int8, or the model's dtype for continuous units, shape (n_chains, n_visible)
        The states of the model's Markov chains after the last step.
    settings : dict
        All arguments of the training; n_rows, the number of rows of data; kl_reference, "truth" or "data".
    interrupted : bool
        Whether Ctrl-C ended it early; the history holds the completed epochs.
    """

    model: RBM
    history: dict[str, np.ndarray]
    chains: np.ndarray
    settings: dict
    interrupted: bool = False


def train(
    model: RBM,
    v: np.ndarray,
    negative_phase: str = "cd",
    gibbs_steps: int = 5,
    n_chains: int = 512,
    epochs: int = 50,
    batch_size: int = 128,
    learning_rate: float = 0.01,
    final_learning_rate: float | None = None,
    optimizer: str = "adam",
    momentum: float = 0.5,
    seed: int = 0,
    validation: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    evaluate_every: int | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> Trained:
    """Fit a model to data: climb the gradient of the mean log-likelihood, positive phase minus negative phase.

    Parameters
    ----------
    model : RBM
        Where to start; it is not changed. Of a model with a symmetry, the free parameters are trained.
    v : array, shape (n_rows, n_visible)
        Data, states of the visible units.
    negative_phase : {"exact", "cd", "pcd"}
        "exact" sums over all states of the smaller layer. "cd" (contrastive divergence) starts Gibbs chains at the rows
        of the batch at every step: quick and stable, but blind to modes that the data's neighbourhood does not reach:
        the relative weight of separated modes may drift. "pcd" (persistent contrastive divergence) carries chains on
        from step to step: nearer to the model's distribution, with a smaller learning rate.
    gibbs_steps : int
        Gibbs sweeps of the chains for each step: the k of CD-k and PCD-k.
    n_chains : int
        Chains of PCD, started at random rows. CD has one for each row of the batch.
    epochs : int
        Passes through the data.
    batch_size : int
        Rows for each step, taken in a new random order in every epoch; the batches of an epoch differ by one row at
        most.
    learning_rate, final_learning_rate : float
        Step length at the first and at the last epoch, with a geometric change between; constant by default.
    optimizer : {"adam", "sgd"}
    momentum : float
        Of "sgd".
    seed : int
        0 to 2**64 - 1. The same seed gives the same model for any number of threads.
    validation : array, shape (n_rows, n_visible), optional
        Rows kept apart, for `validation_gap`.
    truth : array, shape (n_states,), optional
        The distribution that the data are drawn from, if it is known; kl_divergence then refers to it.
    evaluate_every : int, optional
        Epochs between exact evaluations; the last epoch is always evaluated. Default: a tenth of the epochs. Models too
        large for a sum of about a second are not evaluated.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    Trained
        Ctrl-C, once an epoch is complete, ends the training and returns what is there, marked as interrupted.
        Columns of the history, beside epoch and learning_rate:

        reconstruction_error
            Mean over units and rows of the squared difference between v and its mean-field image
            <v> given <h> given v.
        free_energy_gap
            Mean F of the data minus mean F of the model's chains; near 0 when the chains produce what looks like data.
        validation_gap
            Mean F of the validation rows minus mean F of the data; it grows when the model starts to overfit.
        log_partition, log_likelihood
            log Z and the mean log p(v) over the data, exact.
        kl_divergence
            KL(truth || model) if `truth` is given, otherwise KL(data || model) with the empirical distribution of v;
            NaN for continuous visible units.

    Raises
    ------
    InputError
        If an argument is out of range or the training diverges.
    SizeError
        If the negative phase is "exact" and the smaller layer has more than 24 units.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hinton, Neural Comput. 14, 1771 (2002) for CD; Tieleman, ICML (2008) for PCD; Hjorth-Jensen (2025), "Positive and
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
    """
    settings = dict(locals())
    for name in ("model", "v", "validation", "truth", "progress"):
        del settings[name]
    v = model.check_rows(v)
    settings |= {"n_rows": len(v), "kl_reference": "data" if truth is None else "truth"}
    checks.choice("negative_phase", negative_phase, NEGATIVE_PHASES)
    gibbs_steps = checks.integer("gibbs_steps", gibbs_steps, 1)
    n_chains = checks.integer("n_chains", n_chains, 1)
    epochs = checks.integer("epochs", epochs, 1)
    batch_size = min(checks.integer("batch_size", batch_size, 1), len(v))
    rates = optim.learning_rates(epochs, learning_rate, final_learning_rate)
    step_rule = optim.named(optimizer, momentum)
    if validation is not None:
        validation = model.check_rows(validation, "validation")
    evaluate_every = (
        max(1, epochs // 10) if evaluate_every is None else checks.integer("evaluate_every", evaluate_every, 1)
    )
    if negative_phase == "exact":
        exact.check_steps(model)
    if truth is not None:
        truth = checked_truth(model, truth)
    backend.target(device)

    n_batches = math.ceil(len(v) / batch_size)
    checks.integer("epochs * batches * gibbs_steps", epochs * n_batches * gibbs_steps, 1, rng.LARGEST_WORD)
    evaluator = _Evaluator(model, v, truth, device)
    first_rows = rng.permutation(seed, rng.purpose.TRAINING_CHAINS, len(v))
    chains = Chains(v[np.resize(first_rows, n_chains)], rng.derive(seed, 0))

    parameters = free_parameters(model)
    state = step_rule.start(parameters)
    history: list[dict[str, float]] = []
    interrupted = False
    with progress_bar(epochs, f"training, {negative_phase}", progress) as bar:
        try:
            for epoch in range(epochs):
                order = rng.permutation(seed, rng.purpose.TRAINING_ORDER, len(v), step=epoch)
                for rows in np.array_split(order, n_batches):
                    batch = v[rows]
                    gradient = phase_of_rows(model, batch, np.full(len(batch), 1 / len(batch)), device).minus(
                        _negative_phase(model, negative_phase, gibbs_steps, chains, batch, device)
                    )
                    with np.errstate(all="ignore"):  # a diverging step is caught, and explained, just below
                        tied = free_gradient(model, gradient)
                        parameters, state = step_rule.step(parameters, tied, state, rates[epoch])
                        model = _replace(model, parameters, epoch + 1, rates[epoch])
                if negative_phase == "exact":  # for the free-energy gap only
                    chains.advance(model, gibbs_steps, device=device)
                evaluate = (epoch + 1) % evaluate_every == 0 or epoch + 1 == epochs
                history.append(
                    {"epoch": epoch + 1, "learning_rate": rates[epoch]}
                    | _cheap_columns(model, v, validation, chains, device)
                    | evaluator.columns(model, evaluate)
                )
                bar.update(1)
        except KeyboardInterrupt:
            if not history:
                raise
            interrupted = True
    columns = {name: np.array([row[name] for row in history]) for name in history[0]}
    last = chains.visible.astype(model.visible.state_dtype(model.dtype))
    return Trained(model, columns, last, settings, interrupted)


def checked_truth(model: RBM, truth: np.ndarray) -> np.ndarray:
    """Probabilities of all visible states of a model, by state index.

    Raises
    ------
    InputError
        If the visible units are continuous, or these are no probabilities of their states.
    SizeError
        If there are too many states.
    """
    if not model.visible.is_discrete:
        raise InputError(f"truth lists states, which {model.visible.name} units do not have; leave out truth")
    check_listed(model, "visible", "truth", "leave out truth")
    return checks.distribution("truth", truth, (model.visible.n_states(model.n_visible),))


def _negative_phase(
    model: RBM, kind: str, gibbs_steps: int, chains: Chains, batch: np.ndarray, device: str
) -> Gradient:
    """The negative phase for one step; moves the chains."""
    if kind == "exact":
        return exact.negative_phase(model, device)
    if kind == "cd":
        chains.visible = batch
    chains.advance(model, gibbs_steps, device=device)
    return phase_of_rows(model, chains.visible, np.full(len(chains.visible), 1 / len(chains.visible)), device)


def free_parameters(model: RBM) -> tuple[np.ndarray, ...]:
    """What is trained, in float64: all parameters, or the free ones of a model with a symmetry."""
    if model.symmetry is not None:
        return model.symmetry.extract(model.parameters)
    return tuple(array.astype(np.float64) for array in model.parameters)


def free_gradient(model: RBM, gradient: Gradient) -> tuple[np.ndarray, ...]:
    """The gradient of the free parameters from that of all."""
    return gradient if model.symmetry is None else model.symmetry.reduce(gradient)


def with_free_parameters(model: RBM, parameters: tuple[np.ndarray, ...]) -> RBM:
    """The model with other free parameters.

    Raises
    ------
    InputError
        If a parameter is not finite, or Z is not.
    """
    full = parameters if model.symmetry is None else model.symmetry.expand(parameters)
    return model.replace(*(array.astype(model.dtype) for array in full))


def _replace(model: RBM, parameters: tuple[np.ndarray, ...], epoch: int, rate: float) -> RBM:
    try:
        return with_free_parameters(model, parameters)
    except InputError as error:
        raise InputError(
            f"training diverged in epoch {epoch} at learning_rate={rate:g} ({error}); use a smaller learning rate"
        ) from None


def _cheap_columns(
    model: RBM, v: np.ndarray, validation: np.ndarray | None, chains: Chains, device: str
) -> dict[str, float]:
    """The columns of the history that cost no more than a pass through the data."""
    image = model.visible_mean(model.hidden_mean(v, device), device)
    of_data = free_energy_of_rows(model, v, device).mean()
    of_chains = free_energy_of_rows(model, chains.visible, device).mean()
    gap = np.nan if validation is None else free_energy_of_rows(model, validation, device).mean() - of_data
    return {
        "reconstruction_error": float(np.mean((v - image) ** 2)),
        "free_energy_gap": float(of_data - of_chains),
        "validation_gap": float(gap),
    }


class _Evaluator:
    """The exact columns of the history; decides once whether the model is small enough for them."""

    def __init__(self, model: RBM, v: np.ndarray, truth: np.ndarray | None, device: str):
        self.v, self.truth, self.device = v, truth, device
        self.feasible = exact.is_quick(model)
        self.data_entropy = math.nan  # and no KL, where a density is compared with rows of data
        if self.feasible and truth is None and model.visible.is_discrete:
            _, counts = np.unique(v, axis=0, return_counts=True)
            fractions = counts / len(v)
            self.data_entropy = float(-np.sum(fractions * np.log(fractions)))

    def columns(self, model: RBM, evaluate: bool) -> dict[str, float]:
        if not (self.feasible and evaluate):
            return dict.fromkeys(("log_partition", "log_likelihood", "kl_divergence"), float("nan"))
        log_z = exact.log_partition(model, self.device)
        likelihood = float(-free_energy_of_rows(model, self.v, self.device).mean() - log_z)
        if self.truth is not None:
            kl = exact.kl_divergence(self.truth, model, self.device)
        else:  # <log f>_data - <log p>_data (Hjorth-Jensen 2025, "Kullback-Leibler divergence and RBMs")
            kl = -self.data_entropy - likelihood
        return {"log_partition": log_z, "log_likelihood": likelihood, "kl_divergence": kl}


def join(first: Trained, second: Trained) -> Trained:
    """Two stages of training as one: the model of the second, and both histories with the epochs numbered on.

    Parameters
    ----------
    first, second : Trained
        The second started from the model of the first.

    Returns
    -------
    Trained
        Its settings are those of the second stage, with those of the first under "first_stage".

    Examples
    --------
    >>> from mcgen import rbm
    >>> v = [[0, 1], [1, 0]]
    >>> first = rbm.train(rbm.RBM.random(2, 1, seed=1), v, epochs=2)
    >>> second = rbm.train(first.model, v, negative_phase="exact", epochs=3)
    >>> rbm.join(first, second).history["epoch"].tolist()
    [1, 2, 3, 4, 5]
    """
    history = {name: np.concatenate([first.history[name], second.history[name]]) for name in first.history}
    history["epoch"] = np.arange(1, len(history["epoch"]) + 1)
    settings = second.settings | {"first_stage": first.settings}
    return Trained(second.model, history, second.chains, settings, second.interrupted)
