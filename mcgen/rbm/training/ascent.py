"""One step of training: from a gradient of the log-likelihood to the next model."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import prange

from mcgen import _cpu, optim, states
from mcgen._vectors import wide_vectors
from mcgen.errors import DivergenceError, InputError
from mcgen.rbm.gradient import Gradient
from mcgen.rbm.model import RBM
from mcgen.rbm.training.free import free_gradient, free_parameters, with_free_parameters

Turn = Callable[[RBM, tuple[np.ndarray, ...]], tuple[np.ndarray, ...]]

# How much of the sliding means that the gradient is centred at comes from the present batch (Montavon & Mueller 2012).
SLIDING = 0.01
# How far one step along a natural direction may move the distribution, in nats.
LARGEST_STEP = 1e-3


class Penalties(NamedTuple):
    """What holds weights back.

    l1, l2 : float
        The objective is log-likelihood - l1 sum_ij |W_ij| - (l2 / 2) sum_ij W_ij^2.
    max_weight_norm : float or None
        Largest Euclidean norm of the weights of one hidden unit; longer ones are shortened to it after every step.
    """

    l1: float = 0.0
    l2: float = 0.0
    max_weight_norm: float | None = None


def penalised(gradient: Gradient, weights: np.ndarray, penalties: Penalties) -> Gradient:
    """The gradient of the log-likelihood minus the penalties.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm import Gradient
    >>> from mcgen.rbm.training.ascent import Penalties, penalised
    >>> zero = Gradient(np.zeros((1, 2)), np.zeros(1), np.zeros(2))
    >>> penalised(zero, np.array([[2.0, -3.0]]), Penalties(l1=0.1, l2=0.01)).weights.round(6).tolist()
    [[-0.12, 0.13]]
    """
    if penalties.l1 == 0 and penalties.l2 == 0:
        return gradient
    return gradient._replace(
        weights=gradient.weights - penalties.l1 * np.sign(weights) - penalties.l2 * weights.astype(np.float64)
    )


def shortened(weights: np.ndarray, penalties: Penalties) -> np.ndarray:
    """Weights with every column that is longer than max_weight_norm scaled down to it.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, J. Mach. Learn. Res. 15, 1929 (2014), section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.training.ascent import Penalties, shortened
    >>> shortened(np.array([[3.0, 0.1], [4.0, 0.1]]), Penalties(max_weight_norm=1.0)).round(6).tolist()
    [[0.6, 0.1], [0.8, 0.1]]
    """
    norms = np.sqrt(np.sum(weights * weights, axis=0))
    return weights * np.minimum(1.0, penalties.max_weight_norm / np.maximum(norms, 1e-300))


def centred(gradient: Gradient, visible_mean: np.ndarray, hidden_mean: np.ndarray) -> Gradient:
    """The direction of steepest ascent where the units are measured from their means.

    With v = mu + v' and h = lambda + h' the parameters of E' = -b'.v' - c'.h' - v'.W.h' have the gradients
    G_W - mu G_c^T - G_b lambda^T, G_b and G_c, G being that of the plain parameters. Carried back to these, b = b' - W
    lambda and c = c' - W^T mu also follow the change of W. The direction does not depend on whether units count 0 and 1
    or -1 and 1.

    Parameters
    ----------
    gradient : Gradient
        Positive minus negative phase.
    visible_mean, hidden_mean : array, shape (n_visible,) and (n_hidden,)
        mu and lambda.

    References
    ----------
    Montavon & Mueller, "Neural networks: tricks of the trade" (2012); Cho, Raiko & Ilin, ICML (2011); Melchior, Fischer
    & Wiskott, J. Mach. Learn. Res. 17, 1 (2016), eq. 11 to 13.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm import Gradient
    >>> from mcgen.rbm.training.ascent import centred
    >>> plain = Gradient(np.array([[1.0]]), np.array([2.0]), np.array([0.5]))
    >>> [part.tolist() for part in centred(plain, np.array([0.5]), np.array([0.25]))]
    [[[0.25]], [1.9375], [0.375]]
    """
    weights, visible_bias = np.empty_like(gradient.weights), np.empty_like(gradient.visible_bias)
    means = (np.asarray(mean, weights.dtype) for mean in (visible_mean, hidden_mean))
    visible_mean, hidden_mean = (np.ascontiguousarray(mean) for mean in means)
    _centre(weights, visible_bias, *gradient, visible_mean, hidden_mean)
    # Without BLAS, whose threads would go on waiting for work on the cores that the next kernel needs.
    hidden_bias = gradient.hidden_bias - np.einsum("i,ij->j", visible_mean, weights)
    return Gradient(weights, visible_bias, hidden_bias)


@_cpu.reordering_helper
def _centre_row(row, gradient, mean, change, hidden_gradient, hidden_mean):  # noqa: ANN001, ANN202
    """row = gradient - mean * hidden_gradient - change * hidden_mean, and its product with hidden_mean."""
    wide_vectors()
    total = mean * 0
    for j in range(row.shape[0]):
        row[j] = gradient[j] - mean * hidden_gradient[j] - change * hidden_mean[j]
        total += row[j] * hidden_mean[j]
    return total


@_cpu.kernel
def _centre(weights, visible_bias, gradient, visible_gradient, hidden_gradient, visible_mean, hidden_mean):  # noqa: ANN001, ANN202
    """The centred gradient of the weights, and of the visible biases, in one pass through memory."""
    for i in prange(weights.shape[0]):
        total = _centre_row(weights[i], gradient[i], visible_mean[i], visible_gradient[i], hidden_gradient, hidden_mean)
        visible_bias[i] = visible_gradient[i] - total


def limited(direction: tuple[np.ndarray, ...], gradient: tuple[np.ndarray, ...], rate: float) -> tuple[np.ndarray, ...]:
    """A natural direction shortened so that one step of the rate moves the distribution by LARGEST_STEP nats at most.

    To second order the step rate d moves it by KL = rate^2 d.F.d / 2, and d.F.d is at most d.g. A Fisher matrix that is
    estimated from rows knows nothing of some directions, which would otherwise be followed far too long.

    References
    ----------
    Ba, Grosse & Martens, ICLR (2017), section 5, "KL clipping".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.training.ascent import limited
    >>> limited((np.array([30.0]),), (np.array([2.0]),), 0.1)[0].round(6).tolist()
    [1.732051]
    """
    slope = sum(float(np.sum(d * g)) for d, g in zip(direction, gradient, strict=True))
    most = np.sqrt(2.0 * LARGEST_STEP / max(slope, 1e-300))
    return tuple(min(1.0, most / rate) * part for part in direction)


class SlidingMeans:
    """Exponentially sliding means of both layers over batches of data."""

    KEPT = ("visible", "hidden")

    def __init__(self) -> None:
        self.visible: np.ndarray | None = None
        self.hidden: np.ndarray | None = None

    def update(self, visible: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take in the means of one batch; the first one sets them."""
        if self.visible is None:
            self.visible, self.hidden = visible.astype(np.float64), hidden.astype(np.float64)
        else:
            self.visible += SLIDING * (visible - self.visible)
            self.hidden += SLIDING * (hidden - self.hidden)
        return self.visible, self.hidden


class Ascent:
    """The model of a training with its optimiser: parameters, and what the optimiser remembers."""

    KEPT = ("_parameters", "_state")

    def __init__(self, model: RBM, optimizer: optim.Optimizer, penalties: Penalties):
        self.model, self._optimizer, self._penalties = model, optimizer, penalties
        # Float32 models are trained in float32: a step then moves half as much memory.
        self._parameters = tuple(np.array(array, model.dtype, order="C") for array in free_parameters(model))
        self._state = optimizer.start(self._parameters)

    def go_on(self, state: dict) -> None:
        """Take up the state of another training of this model."""
        states.put_back(self, state)
        self.model = with_free_parameters(self.model, self._parameters)

    def step(self, gradient: Gradient, rate: float, epoch: int, turn: Turn | None = None) -> RBM:
        """Go one step along a gradient, penalties included; returns the new model.

        `turn` makes another direction of the model and the gradient of its free parameters. Raises `DivergenceError`
        if a parameter, or Z, is no longer finite.
        """
        gradient = penalised(gradient, self.model.weights, self._penalties)
        dtype = self.model.dtype
        with np.errstate(all="ignore"):  # a diverging step is caught, and explained, just below
            free = free_gradient(self.model, gradient)
            if turn is not None:
                free = turn(self.model, free)
            free = tuple(np.ascontiguousarray(part, dtype) for part in free)
            self._state = self._optimizer.step_in_place(self._parameters, free, self._state, rate)
            if self._penalties.max_weight_norm is not None:
                self._shorten()
            try:
                self.model = with_free_parameters(self.model, self._parameters)
            except InputError as error:
                raise DivergenceError(
                    f"training diverged in epoch {epoch} at learning_rate={rate:g} ({error}); use a smaller learning "
                    "rate"
                ) from None
        return self.model

    def _shorten(self) -> None:
        weights = self._parameters[0]
        if self.model.symmetry is None:
            weights[...] = shortened(weights, self._penalties)
        else:  # a filter has the norm of each of its hidden units
            filters = weights.reshape(len(weights), -1).T
            weights[...] = shortened(filters, self._penalties).T.reshape(weights.shape)
