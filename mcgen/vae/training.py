"""Training of autoencoders by stochastic gradient ascent of a bound on log p(x)."""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mcgen import checks, optim, rng
from mcgen.errors import DivergenceError, InputError
from mcgen.progress import progress as progress_bar
from mcgen.vae.autoencoding import Autoencoding
from mcgen.vae.bound import Passes
from mcgen.vae.network import Vector
from mcgen.vae.watching import Watch

OBJECTIVES = ("elbo", "importance")


class State(NamedTuple):
    """What a training needs to go on as if it had not been interrupted.

    Attributes
    ----------
    epoch : int
        Epochs that are complete.
    parameters : ndarray, shape (n_parameters,)
        After the last of them.
    count : int
        Steps that the optimiser has made.
    moments : tuple of ndarrays, shape (n_parameters,)
        What it remembers: running means of the gradient and of its square (Adam), or the last step (SGD).
    best_parameters : ndarray, shape (n_parameters,)
        Those with the best validation bound; without validation rows the last ones.
    best_epoch : int
    """

    epoch: int
    parameters: np.ndarray
    count: int
    moments: tuple[np.ndarray, ...]
    best_parameters: np.ndarray
    best_epoch: int


@dataclasses.dataclass(frozen=True)
class Fit:
    """What training returns.

    Attributes
    ----------
    model : VAE, ConditionalVAE or Autoencoder
        After the last epoch; with `patience`, after the epoch with the best validation bound.
    history : dict of arrays, one number for each epoch
        epoch; learning_rate; beta (at the last batch); reconstruction, kl and bound (nats per row, means over the
        epoch's batches; the bound is the ELBO whatever beta is, or the importance-weighted one);
        validation_reconstruction, validation_kl and validation_bound (the same after the epoch, always of the ELBO
        with one draw; NaN without validation rows); active_units (of the validation rows, or of the first 2000 rows);
        gradient_norm (mean over the batches before clipping, NaN without `clip`). See `train`.
    settings : dict
        All arguments of the training; n_rows, the number of rows of data.
    state : State
        For `resume`.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    model: Autoencoding
    history: dict[str, np.ndarray]
    settings: dict
    state: State
    interrupted: bool = False


def train(
    net: Autoencoding,
    x: np.ndarray,
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    final_learning_rate: float | None = None,
    optimizer: str = "adam",
    momentum: float = 0.9,
    objective: str = "elbo",
    n_draws: int = 1,
    beta: float = 1.0,
    warm_up: int = 0,
    free_bits: float = 0.0,
    clip: float | None = None,
    condition: np.ndarray | None = None,
    validation: np.ndarray | None = None,
    validation_condition: np.ndarray | None = None,
    patience: int | None = None,
    seed: int = 0,
    resume: Fit | None = None,
    progress: bool = False,
    checkpoint: Callable[[Callable[[], Fit]], object] | None = None,
) -> Fit:
    """Fit an autoencoder to data: climb the gradient of the mean bound on log p(x).

    Parameters
    ----------
    net : VAE, ConditionalVAE or Autoencoder
        Where to start; it is not changed.
    x : array, shape (n_rows, n_features)
        Data.
    epochs : int
        Passes through the data.
    batch_size : int
        Rows for each step, taken in a new random order in every epoch; the batches of an epoch differ by one row at
        most.
    learning_rate, final_learning_rate : float
        Step length at the first and at the last epoch, with a geometric change between; constant by default. A sequence
        of one learning rate for each epoch is any other schedule.
    optimizer : {"adam", "sgd"}
    momentum : float
        Of "sgd".
    objective : {"elbo", "importance"}
        E[log p(x | z)] - beta KL(q(z | x) || p(z)), or the importance-weighted bound with n_draws draws, which lies
        between it and log p(x). An Autoencoder climbs log p(x | h) of its code h.
    n_draws : int
        Draws of z for each row of a batch; work and memory grow in proportion.
    beta : float
        Weight of the KL divergence in the ELBO: 1 bounds log p(x); more disentangles, 0 leaves the prior out.
    warm_up : int
        Epochs during which beta grows from near 0 to its value, in equal steps from batch to batch.
    free_bits : float
        Nats that each latent may use for nothing: its KL divergence, as a mean over the batch, counts only above this.
    clip : float, optional
        Largest norm of the gradient; longer ones are scaled down to it.
    condition : array, shape (n_rows, n_conditions), optional
        For a ConditionalVAE.
    validation, validation_condition : arrays, optional
        Rows kept apart, for the validation columns, and their conditions.
    patience : int, optional
        Stop when the validation bound has not improved for so many epochs, and return the best model.
    seed : int
        0 to 2**64 - 1. The same seed gives the same model, bit for bit, for any number of threads.
    resume : Fit, optional
        A training with the same arguments that ended early, or with fewer epochs at a constant learning rate: it goes
        on from there, to the same bits as without the break.
    progress : bool
        Show progress on standard error.
    checkpoint : function, optional
        Called after every epoch with a function that gives the `Fit` so far, which may be saved and resumed.

    Returns
    -------
    Fit
        Ctrl-C, once an epoch is complete, ends the training and returns what is there, marked as interrupted.

    Raises
    ------
    InputError
        If an argument is out of range, or data do not fit the model.
    DivergenceError
        If the bound is not finite; it names epoch, step and bound, and carries the Fit of the last complete epoch.

    References
    ----------
    Kingma & Welling, arXiv:1312.6114 (2014), algorithm 1; Hjorth-Jensen (2025), "Setting up SGD". Burda, Grosse &
    Salakhutdinov, arXiv:1509.00519 (2016) for "importance"; Higgins et al., ICLR (2017) for beta; Sonderby et al.,
    NeurIPS (2016) for warm-up; Kingma et al., NeurIPS (2016), eq. 15 for free bits; Pascanu, Mikolov & Bengio, ICML
    (2013) for clipping.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> x = np.array([[0, 0, 1, 1], [1, 1, 0, 0]] * 200)
    >>> net = vae.VAE(n_features=4, hidden=(16,), n_latent=1, seed=0)
    >>> fit = vae.train(net, x, epochs=40, batch_size=40, learning_rate=1e-2, seed=1)
    >>> bool(fit.history["bound"][-1] > -1.2)  # -3.5 after the first epoch; the best possible is -log 2 = -0.69
    True
    """
    settings = dict(locals())
    for name in ("net", "x", "condition", "validation", "validation_condition", "resume", "progress", "checkpoint"):
        del settings[name]
    x = net.check_rows(x)
    condition = net.check_condition(condition, len(x))
    settings |= {"n_rows": len(x)}
    epochs = checks.integer("epochs", epochs, 1)
    batch_size = min(checks.integer("batch_size", batch_size, 1), len(x))
    rates = optim.learning_rates(epochs, learning_rate, final_learning_rate)
    if np.ndim(learning_rate):
        settings["learning_rate"] = rates.tolist()  # numbers that a file keeps, and that can be compared
    rule = optim.named(optimizer, momentum)
    importance = checks.choice("objective", objective, OBJECTIVES) == "importance"
    n_draws = checks.integer("n_draws", n_draws, 1)
    beta, free_bits = checks.not_negative("beta", beta), checks.not_negative("free_bits", free_bits)
    warm_up = checks.integer("warm_up", warm_up, 0)
    clip = math.inf if clip is None else checks.positive("clip", clip)
    if not net.is_variational and (importance or n_draws > 1):
        raise InputError("an Autoencoder draws no latent variables; leave out objective and n_draws, or use a VAE")
    if importance and (beta != 1 or warm_up or free_bits):
        raise InputError(
            f"the importance-weighted bound has no KL divergence of its own to weigh (beta={beta:g}, "
            f"warm_up={warm_up}, free_bits={free_bits:g}); leave these out, or use objective='elbo'"
        )
    if validation is not None:
        validation = net.check_rows(validation, "validation")
        validation_condition = net.check_condition(validation_condition, len(validation))
    if patience is not None and validation is None:
        raise InputError(f"patience={patience} needs validation rows to judge by; give validation, or leave it out")
    patience = math.inf if patience is None else checks.integer("patience", patience, 1)
    key = rng.split_seed(seed)
    n_batches = math.ceil(len(x) / batch_size)
    checks.integer("epochs * batches", epochs * n_batches, 1, rng.LARGEST_WORD)

    vector = net.vector()
    gradient = Vector(net.parameter_shapes, net.dtype)
    state, history = _start(net, vector, resume, settings)
    passes = Passes(net, vector, math.ceil(len(x) / n_batches), n_draws)
    watch = Watch(net, vector, x, condition, validation, validation_condition, seed)
    stream = (rng.purpose.VAE_NOISE, *key)
    climber = _Climber(rule, vector, gradient, state, clip)
    best, best_epoch = state.best_parameters, state.best_epoch
    best_bound = max(history["validation_bound"], default=-math.inf) if validation is not None else -math.inf
    interrupted = False

    def fit(interrupted: bool = False) -> Fit:
        # Of complete epochs only: one that diverged or was interrupted may have left its numbers behind.
        columns = {name: np.array(values[: state.epoch]) for name, values in history.items()}
        chosen = state.best_parameters if patience < math.inf else state.parameters
        return Fit(net.replace(chosen), columns, settings, state, interrupted)

    with progress_bar(epochs, "training", progress, state.epoch) as bar:
        try:
            for epoch in range(state.epoch, epochs):
                if validation is not None and epoch - best_epoch >= patience:
                    break
                order = rng.permutation(seed, rng.purpose.TRAINING_ORDER, len(x), step=epoch)
                sums = np.zeros(4)
                for batch, rows in enumerate(np.array_split(order, n_batches)):
                    step = epoch * n_batches + batch
                    weight = beta * min(1.0, (step + 1) / (warm_up * n_batches)) if warm_up else beta
                    with np.errstate(all="ignore"):  # divergence is caught, and explained, just below
                        numbers = _look(passes, x, condition, rows, stream, step, weight, free_bits, importance)
                        norm = climber.climb(passes, importance, rates[epoch])
                    if not math.isfinite(numbers[2]) or math.isinf(norm):
                        raise DivergenceError(
                            f"training diverged in epoch {epoch + 1}, step {batch + 1} of {n_batches}, at "
                            f"learning_rate={rates[epoch]:g}: the bound is {numbers[2]:g}; use a smaller learning "
                            f"rate or clip (what is left is that of epoch {epoch})",
                            fit() if state.epoch else None,
                        )
                    sums += len(rows) * np.array((*numbers, norm))
                row = dict(zip(("reconstruction", "kl", "bound", "gradient_norm"), sums / len(x), strict=True))
                row |= {"epoch": epoch + 1, "learning_rate": rates[epoch], "beta": weight} | watch.columns()
                for name, values in history.items():
                    values.append(row[name])
                parameters = vector.packed()
                if not np.isfinite(parameters).all():
                    raise DivergenceError(
                        f"training diverged in epoch {epoch + 1}, step {n_batches} of {n_batches}, at learning_rate="
                        f"{rates[epoch]:g}: a parameter is not finite, the bound was {numbers[2]:g}; use a smaller "
                        f"learning rate or clip (what is left is that of epoch {epoch})",
                        fit() if state.epoch else None,
                    )
                if validation is None or row["validation_bound"] > best_bound:
                    best, best_epoch, best_bound = parameters, epoch + 1, row["validation_bound"]
                state = State(epoch + 1, parameters, step + 1, climber.packed(), best, best_epoch)
                if checkpoint is not None:
                    checkpoint(fit)
                bar.update(1)
        except KeyboardInterrupt:
            if not state.epoch:
                raise
            interrupted = True
    return fit(interrupted)


# What two models with parameters of the same shapes may differ in: a training goes on with neither changed.
MODEL_SETTINGS = ("dtype", "activation", "decoder_kind", "convolution", "condition_offset", "condition_scale")

COLUMNS = (
    *("epoch", "learning_rate", "beta", "reconstruction", "kl", "bound"),
    *("validation_reconstruction", "validation_kl", "validation_bound", "active_units", "gradient_norm"),
)


def _look(
    passes: Passes, x: np.ndarray, condition: np.ndarray | None, rows: np.ndarray, stream: tuple, step: int,
    beta: float, free_bits: float, importance: bool,
) -> tuple[float, float, float]:  # fmt: skip
    """The forward pass of a batch: reconstruction, KL divergence and bound per row, ready for the backward pass."""
    passes.load(x, condition, rows)
    passes.encode()
    n_rows = len(rows)
    if not passes.net.is_variational:
        passes.use_code()
        passes.decode(1 / n_rows)
        reconstruction = float(passes.reconstruction().mean())
        return reconstruction, 0.0, reconstruction
    passes.draw(stream, step)
    passes.decode(1.0 if importance else 1 / (n_rows * passes.n_draws))
    reconstruction = float(passes.reconstruction().mean())
    kl = passes.sum_latent_kl() / n_rows
    if importance:
        return reconstruction, float(kl.sum()), float(passes.importance_bounds().mean())
    counts = kl > free_bits
    passes.kl_weights[:] = counts * (beta / n_rows)
    return reconstruction, float(kl.sum()), reconstruction - float(kl.sum())


class _Climber:
    """Steps of the optimiser, layer by layer: as soon as the gradient of a layer is there, it is used.

    With a limit to the norm of the whole gradient the steps have to wait for it.
    """

    def __init__(self, rule: optim.Optimizer, vector: Vector, gradient: Vector, state: State, clip: float):
        self.rule, self.gradient, self.clip = rule, gradient, clip
        self.moments = [vector.alike() for _ in state.moments]
        for moment, numbers in zip(self.moments, state.moments, strict=True):
            moment.unpack(numbers)
        arrays = [[(stretch,) for stretch in one.stretches] for one in (vector, gradient, *self.moments)]
        self.parameters, self.gradients, *moments = arrays
        # Of SGD the state of a layer is a tuple of arrays, of Adam a counter and two.
        if len(moments) == 1:
            self.states = list(moments[0])
        else:
            self.states = [(state.count, *pair) for pair in zip(*moments, strict=True)]

    def climb(self, passes: Passes, importance: bool, rate: float) -> float:
        """The backward pass and a step; the norm of the gradient, NaN where nobody asked for it."""

        def step(layer: int) -> None:
            self.states[layer] = self.rule.step_in_place(
                self.parameters[layer], self.gradients[layer], self.states[layer], rate
            )

        if self.clip == math.inf:
            passes.backward(self.gradient, importance, step)
            return math.nan
        passes.backward(self.gradient, importance)
        norm = self.gradient.norm()
        if norm > self.clip:
            self.gradient.used *= self.clip / norm
        for layer in range(len(self.states)):
            step(layer)
        return norm

    def packed(self) -> tuple[np.ndarray, ...]:
        """What the optimiser remembers, as vectors of all parameters."""
        return tuple(moment.packed() for moment in self.moments)


def _start(net: Autoencoding, vector: Vector, resume: Fit | None, settings: dict) -> tuple[State, dict[str, list]]:
    """The state to start from and the history so far; sets the vector of parameters."""
    if resume is None:
        zeros = np.zeros(net.n_parameters, net.dtype)
        n_moments = 2 if settings["optimizer"] == "adam" else 1
        state = State(0, net.parameters.copy(), 0, (zeros,) * n_moments, net.parameters.copy(), 0)
        return state, {name: [] for name in COLUMNS}
    if not isinstance(resume, Fit) or resume.model.parameter_shapes != net.parameter_shapes:
        raise InputError(f"resume is not a Fit of {net!r}; give what train returned, and the same model")
    for name in MODEL_SETTINGS:
        before, now = (getattr(one, name, None) for one in (resume.model, net))
        if not np.array_equal(before, now):
            raise InputError(
                f"resume is a Fit of a model with {name}={before}, and net has {name}={now}; give the same model"
            )
    constant = settings["final_learning_rate"] is None
    for name, value in settings.items():
        if resume.settings.get(name) != value and not (name == "epochs" and constant):
            raise InputError(
                f"{name}={value!r} differs from the {name}={resume.settings.get(name)!r} of the training to go on "
                "with; give the same arguments"
            )
    vector.unpack(resume.state.parameters)
    return resume.state, {name: list(resume.history[name]) for name in COLUMNS}
