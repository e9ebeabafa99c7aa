"""The natural gradient: the gradient in units of how far each parameter moves the distribution.

A step d changes p(v) by KL = d.F.d / 2 to second order, with the Fisher information F = Cov_{p(v)}[s(v)] of the scores
s(v) = grad(-F(v)) = (v_i <h_j>_v, v_i, <h_j>_v); here F(v) is the free energy. The direction of steepest ascent in that
metric solves (F + damping 1) d = g (Amari 1998), where the damping keeps it from following the directions that F knows
little about (Levenberg 1944). For a model with a symmetry everything is in the free parameters.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from mcgen import blas, checks
from mcgen.errors import InputError, SizeError
from mcgen.rbm import exact
from mcgen.rbm.exact.limits import n_states
from mcgen.rbm.gradient import Gradient, phase_of_rows
from mcgen.rbm.model import RBM
from mcgen.rbm.training.row_weights import checked_weights
from mcgen.rbm.training.scores import scores_of_rows

Arrays = tuple[np.ndarray, ...]

# Terms (states times the square of the number of parameters) that are added up in some seconds, and the parameters
# whose Fisher matrix takes 128 MiB.
MOST_TERMS = 1 << 36
MOST_PARAMETERS = 1 << 12
# Numbers of a block of scores: 16 MiB.
SCORES_PER_BLOCK = 1 << 21


def exact_natural_direction(model: RBM, gradient: Sequence[np.ndarray], damping: float, device: str = "cpu") -> Arrays:
    """The natural gradient by the exact Fisher matrix, summed over all visible states.

    Parameters
    ----------
    model : RBM
        With visible units of finitely many states; states times parameters^2 are at most 2**36.
    gradient : Gradient, or a tuple of three arrays for a model with a symmetry
        With respect to the free parameters: what `free_gradient` makes of a gradient.
    damping : float
        Added to the diagonal of the Fisher matrix, above 0.
    device : {"cpu", "cuda"}
        Where probabilities and means are computed.

    Returns
    -------
    Gradient, or a tuple of three arrays for a model with a symmetry
        float64, of the shapes of the gradient.

    Raises
    ------
    InputError
        If a shape does not fit, the damping is not positive, or the visible units are continuous.
    SizeError
        If there are too many states or parameters.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Amari, Neural Comput. 10, 251 (1998). Levenberg, Quart. Appl. Math. 2, 164 (1944).

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.natural import exact_natural_direction
    >>> model = rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1))  # Bernoulli units: the variances are 1/4
    >>> gradient = rbm.Gradient(np.array([[0.5], [0.0]]), np.array([1.0, 0.0]), np.zeros(1))
    >>> direction = exact_natural_direction(model, gradient, damping=1e-9)
    >>> round(float(direction.visible_bias[0] + 0.5 * direction.weights[0, 0]), 4)  # h is 1/2 in all states
    4.0
    """
    check_exact(model)
    g, damping = _checked(model, gradient, damping)
    p = exact.probabilities(model, device)
    fisher, mean = np.zeros((len(g), len(g))), np.zeros(len(g))
    step = max(1, SCORES_PER_BLOCK // (len(g) + model.n_visible + model.n_hidden))

    def scores(first: int, end: int) -> np.ndarray:
        return scores_of_rows(model, model.visible.list_states(model.n_visible, first, end), device)

    # Measured from those of the most probable state, so that little cancels.
    top = int(np.argmax(p))
    origin = scores(top, top + 1)
    with blas.one_thread():
        for first in range(0, len(p), step):
            end = min(first + step, len(p))
            away = scores(first, end) - origin
            mean += p[first:end] @ away
            fisher += _weighted_square(away, p[first:end])
        return _arrays(model, _solve(fisher - np.outer(mean, mean), g, damping))


def sampled_natural_direction(
    model: RBM,
    gradient: Sequence[np.ndarray],
    rows: np.ndarray,
    damping: float,
    row_weights: np.ndarray | None = None,
    device: str = "cpu",
) -> Arrays:
    """The natural gradient by the Fisher matrix estimated from rows drawn from the model: those of a negative phase.

    With T the centred scores of the n rows times the roots of their weights, F = T^T T, and by Woodbury's identity

    d = (g - T^T (T T^T + damping 1)^{-1} T g) / damping,

    a linear system of n equations. The products of scores need no scores, s(v).s(v') = (1 + v.v') (1 + <h>_v.<h>_v') up
    to a constant that centring takes away: the direction costs a few products of matrices of the size of the model. The
    scores of a model with a symmetry are few, and its Fisher matrix is formed.

    Parameters
    ----------
    model : RBM
    gradient : Gradient, or a tuple of three arrays for a model with a symmetry
        With respect to the free parameters: what `free_gradient` makes of a gradient.
    rows : array, shape (n_rows, n_visible)
        States of the visible units, drawn from the model.
    damping : float
        Added to the diagonal of the Fisher matrix, above 0. Directions in which the rows do not differ get g / damping.
    row_weights : array, shape (n_rows,), optional
        How much each row counts, not negative, divided by their sum; by default all rows alike.
    device : {"cpu", "cuda"}
        Where the means of the hidden units are computed.

    Returns
    -------
    Gradient, or a tuple of three arrays for a model with a symmetry
        float64, of the shapes of the gradient.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not a state of the visible units, or a number is out of range.
    SizeError
        If a symmetry leaves more than 4096 free parameters.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Desjardins, Pascanu, Courville & Bengio, ICLR (2013), arXiv:1301.3545; Grosse & Salakhutdinov, ICML (2015).
    Woodbury (1950).

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.natural import sampled_natural_direction
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1)
    >>> rows = rbm.exact.sample(model, 100, seed=2)
    >>> gradient = rbm.exact.gradient(model, [[1, 1, 1, 0, 0, 0]])
    >>> direction = sampled_natural_direction(model, gradient, rows, damping=0.1)
    >>> sum(float(np.sum(d * g)) for d, g in zip(direction, gradient)) > 0  # uphill
    True
    """
    check_sampled(model)
    g, damping = _checked(model, gradient, damping)
    v = model.check_rows(rows, "rows")
    weights = checked_weights(row_weights, len(v))
    if model.symmetry is not None:
        scores = scores_of_rows(model, v, device)
        with blas.one_thread():
            fisher = _weighted_square(scores - weights @ scores, weights)
            return _arrays(model, _solve(fisher, g, damping))
    there = weights > 0
    v, weights = np.ascontiguousarray(v[there]), weights[there]
    h = model.hidden_mean(v, device).astype(np.float64)
    x, roots, (g_weights, g_visible, g_hidden) = v.astype(np.float64), np.sqrt(weights), gradient
    with blas.one_thread():
        gram = (1.0 + x @ x.T) * (1.0 + h @ h.T)
        along = np.sum((x @ g_weights) * h, axis=1) + x @ g_visible + h @ g_hidden
        of_rows = weights @ gram
        gram += weights @ of_rows - of_rows - of_rows[:, None]
        answers = roots * _solve(gram * roots * roots[:, None], roots * (along - weights @ along), damping)
    back = phase_of_rows(model, v, answers, device)  # they add up to 0
    return Gradient(*((mine - its) / damping for mine, its in zip(gradient, back, strict=True)))


def check_exact(model: RBM) -> None:
    """Raise an error if the exact Fisher matrix is out of reach.

    Parameters
    ----------
    model : RBM

    Raises
    ------
    InputError
        If the visible units are continuous.
    SizeError
        If there are too many states or (free) parameters.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.natural import check_exact
    >>> check_exact(rbm.RBM.random(n_visible=10, n_hidden=8, seed=1))
    """
    remedy = "use the Fisher matrix estimated from samples (sampled_natural_direction)"
    if not model.visible.is_discrete:
        raise InputError(f"{model.visible.name} units have no list of states to sum the Fisher matrix over; {remedy}")
    n, states = sum(map(math.prod, _shapes(model))), n_states(model, "visible")
    terms = states * n**2
    if terms > MOST_TERMS or n > MOST_PARAMETERS:
        raise SizeError(
            f"the exact Fisher matrix of {model!r} has {n} x {n} entries and is a sum over {states} states, "
            f"2^{terms.bit_length() - 1} terms; it reaches {MOST_PARAMETERS} parameters and "
            f"2^{MOST_TERMS.bit_length() - 1} terms; {remedy}"
        )


def check_sampled(model: RBM) -> None:
    """Raise an error if the Fisher matrix of samples is out of reach: that of a symmetric model, which is formed.

    Parameters
    ----------
    model : RBM

    Raises
    ------
    SizeError
        If a symmetry leaves too many free parameters.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.natural import check_sampled
    >>> check_sampled(rbm.RBM.random(n_visible=784, n_hidden=500, seed=1))
    """
    if model.symmetry is not None and model.symmetry.n_free > MOST_PARAMETERS:
        raise SizeError(
            f"{model!r} has {model.symmetry.n_free} free parameters, and its Fisher matrix is formed for at most "
            f"{MOST_PARAMETERS}; use fewer filters, or an optimizer without it (adam)"
        )


def _shapes(model: RBM) -> list[tuple[int, ...]]:
    """The shapes of the (free) parameters."""
    return [array.shape for array in model.parameters] if model.symmetry is None else list(model.symmetry.free_shapes)


def _weighted_square(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (weights[:, None] * scores).T @ scores


def _solve(matrix: np.ndarray, right: np.ndarray, damping: float) -> np.ndarray:
    """(matrix + damping 1)^{-1} right; the matrix is changed."""
    matrix[np.diag_indices_from(matrix)] += damping
    return cho_solve(cho_factor(matrix, lower=True, overwrite_a=True), right)


def _checked(model: RBM, gradient: Sequence[np.ndarray], damping: float) -> tuple[np.ndarray, float]:
    """The gradient as one vector, and the damping."""
    shapes = _shapes(model)
    have = [np.shape(array) for array in gradient]
    if have != shapes:
        raise InputError(
            f"gradient has the shapes {have}, and the free parameters of {model!r} have {shapes}; give what "
            "free_gradient makes of a gradient"
        )
    parts = [checks.finite_array("gradient", array).astype(np.float64).ravel() for array in gradient]
    return np.concatenate(parts), checks.positive("damping", damping)


def _arrays(model: RBM, vector: np.ndarray) -> Arrays:
    """A vector of all free parameters as arrays of their shapes."""
    shapes = _shapes(model)
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    parts = [part.reshape(shape) for part, shape in zip(np.split(vector, ends[:-1]), shapes, strict=True)]
    return Gradient(*parts) if model.symmetry is None else tuple(parts)
