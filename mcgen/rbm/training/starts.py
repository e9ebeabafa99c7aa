"""Where training starts: visible biases from the data's means, and weights from its principal components.

With D the covariance of independent units that have the data's means, and lambda, u the eigenpairs of the data's
covariance in units of it, D^{-1/2} C D^{-1/2}, the couplings of highest likelihood in mean field are

    J = sum_{lambda > 1} (1 - 1/lambda) xi xi^T,    xi = D^{-1/2} u,

the patterns of a Hopfield model (Cocco, Monasson & Sessak 2011). Components with lambda < 1 would be repulsive
patterns, which real weights cannot make: they are left out, and so are those that n rows of independent units would
show, up to lambda = (1 + sqrt(n_visible / n))^2 (Marchenko & Pastur 1967). The couplings that an RBM has to second
order in its weights are W D_h W^T, with D_h the covariance of hidden units in no field (the variance of each).
"""

from collections.abc import Callable

import numpy as np

from mcgen import blas, checks
from mcgen.errors import InputError
from mcgen.rbm.model import RBM
from mcgen.rbm.partition.independent import visible_bias_of
from mcgen.rbm.symmetry import CENTERS
from mcgen.rbm.training.free import with_free_parameters
from mcgen.rbm.training.row_weights import checked_weights
from mcgen.rbm.units import Potts, Unit

# Rows that are taken together.
ROWS = 4096
# Eigenvalues of a symmetric matrix that differ by less, relatively, are equal but for rounding.
DEGENERATE = 1e-6
# Where mean field is tested: rows of data and the largest field of a pattern's end, the steps that it may take, how
# near it must come (relative to where it began), and the change in a step that is none.
DATA_STARTS, LARGEST_FIELD = 32, 10.0
MEAN_FIELD_STEPS, NEAR, STANDING = 400, 0.1, 1e-4
# Strengths of the patterns that are tried.
STRENGTHS = 64
# The part of the largest variance below which a direction does not vary: the sum over the states of a Potts unit.
NO_VARIANCE = 1e-12


def start_from_data(model: RBM, v: np.ndarray, row_weights: np.ndarray | None = None) -> RBM:
    """The model with the visible biases that give independent units the means of the data, and no hidden biases.

    The means are those of the data and one more row in which units are as in no field, so that a unit that never
    changes gets a finite bias. The weights stay as they are: small random ones (`RBM.random`, `RBM.symmetric`).

    Parameters
    ----------
    model : RBM
        With or without a symmetry; biases that a symmetry fixes keep to it.
    v : array, shape (n_rows, n_visible)
        Data, states of the visible units.
    row_weights : array, shape (n_rows,), optional
        How much each row counts, not negative, divided by their sum; by default all alike.

    Returns
    -------
    RBM
        Of the same units, dtype and symmetry.

    Raises
    ------
    InputError
        If v is no table of states, or the weights of the rows do not fit.

    References
    ----------
    Hinton, UTML TR 2010-003, section 8.1: log p / (1 - p).

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.starts import start_from_data
    >>> start = start_from_data(rbm.RBM.random(2, 4, seed=1), [[0, 1], [1, 1], [0, 1], [0, 1]])
    >>> start.visible_bias.round(3).tolist()  # log(3/7) and log 9
    [-0.847, 2.197]
    """
    v = model.check_rows(v)
    means, _ = _means(model, v, checked_weights(row_weights, len(v)))
    bias = visible_bias_of(model.visible, means)
    return _with_parameters(model, model.weights, bias, np.zeros(model.n_hidden))


def low_rank_start(model: RBM, v: np.ndarray, rank: int = 5, row_weights: np.ndarray | None = None) -> RBM:
    """The model with the data's principal components in its weights: right in mean field for pairs of visible units.

    Every pattern is shared by all hidden units, pattern k in the amplitudes (-1)^j cos(pi k (j + 1/2) / n_hidden), so
    that W D_h W^T is J: the more units share it, the smaller their fields and the better the second order. Hidden units
    are centred, c = -m W with m the data's means, and what the weights add to the mean of each visible unit is taken
    from its bias: b_i = Gamma_i'^{-1}(m_i) - sum_j W_ij Gamma_j'(0), minus what its coupling J_ii to itself does.

    The largest eigenvalue of D^{1/2} J D^{1/2} is 1 - 1/lambda, below 1, so that nearly independent units are stable in
    mean field. Units of unequal means may have a second stable state, in which far more of them are on, and the true
    model is then in that one. To stay on this side of the transition, J is multiplied by the largest number up to 1 (in
    steps of 1/64) at which the mean-field equations lead back from rows of data and from the ends of all patterns. Many
    patterns of large, sparse data force it down: a few do more.

    Parameters
    ----------
    model : RBM
        Its weights, small random ones that keep hidden units from staying alike, are added; its biases are replaced.
        A model with a symmetry gets the symmetric square root of J in each of its filters, from the covariance averaged
        over the symmetry.
    v : array, shape (n_rows, n_visible)
        Data, states of the visible units. Its principal components take n_visible**2 (n_rows + n_visible) steps.
    rank : int
        Most patterns; fewer where the data have not as many.
    row_weights : array, shape (n_rows,), optional
        How much each row counts, not negative, divided by their sum; by default all alike.

    Returns
    -------
    RBM
        Of the same units, dtype and symmetry.

    Raises
    ------
    InputError
        If v is no table of states, an argument is out of range, no component rises above the noise, the patterns leave
        the phase of nearly independent units even at 1/64 of their strength, or (two continuous layers) Z is infinite.

    References
    ----------
    Cocco, Monasson & Sessak, Phys. Rev. E 83, 051123 (2011), eq. 9. Marchenko & Pastur, Math. USSR Sb. 1, 457 (1967).

    Examples
    --------
    >>> from mcgen import ising, rbm
    >>> from mcgen.rbm.training.starts import low_rank_start, start_from_data
    >>> v = ising.exact.sample(ising.Ising(shape=(3, 3)), 3.0, n_draws=2000, seed=1).reshape(-1, 9)
    >>> model = rbm.RBM.random(9, 4, seed=1, visible="spin", hidden="spin")
    >>> plain, low_rank = (rbm.exact.log_likelihood(f(model, v), v) for f in (start_from_data, low_rank_start))
    >>> low_rank > plain + 0.5
    True
    """
    v = model.check_rows(v)
    weights = checked_weights(row_weights, len(v))
    rank = checks.integer("rank", rank, 1)
    means, n_rows = _means(model, v, weights)
    bias, no_field = visible_bias_of(model.visible, means), np.zeros(model.n_hidden)
    of_visible, of_hidden = _unit_covariance(model.visible, bias), _unit_covariance(model.hidden, no_field)
    visible_root, hidden_root = _inverse_root(of_visible), _inverse_root(of_hidden)
    rank = min(rank, visible_root.shape[1], hidden_root.shape[1])
    with blas.one_thread():
        values, vectors = np.linalg.eigh(visible_root.T @ _covariance(model, v, means, weights) @ visible_root)
        edge = (1.0 + np.sqrt(model.n_visible / n_rows)) ** 2
        if values[-1] <= edge:
            raise InputError(
                f"the largest eigenvalue of the data's correlations is {values[-1]:.4g}, and independent units would "
                f"show {edge:.4g} in {n_rows:.0f} rows: there is no pattern to start from; give more rows, or use "
                "start_from_data"
            )
        # Of a symmetric model equal eigenvalues belong together.
        kept = (values > edge) & (values >= (1.0 - DEGENERATE) * values[-rank])
        vectors = vectors[:, kept]
        patterns = visible_root @ (vectors * np.sqrt(1.0 - 1.0 / values[kept]))
        if model.symmetry is None:
            full = patterns[:, ::-1] @ _cosines(patterns.shape[1], hidden_root.shape[1]) @ hidden_root.T
        else:
            full = _filters(model, patterns @ vectors.T) @ hidden_root.T

        def at(strength: float) -> RBM:
            W = np.sqrt(strength) * full + model.weights
            b = bias - W @ model.hidden.mean(no_field)
            b += _without_own_coupling(model.visible, W @ of_hidden @ W.T, means, bias)
            return _with_parameters(model, W, b, -means @ W)

        ends = LARGEST_FIELD * patterns.T / np.abs(patterns.T).max(axis=1, keepdims=True)
        ends = model.visible.mean(np.concatenate([bias + ends, bias - ends]))
        far = np.concatenate([v[:: max(1, len(v) // DATA_STARTS)].astype(np.float64), ends])
        return _strongest(at, means, far)


def _strongest(at: Callable[[float], RBM], means: np.ndarray, far: np.ndarray) -> RBM:
    """The model at the largest strength, up to 1, at which mean field leads back from `far` (n_starts, n_visible)."""
    full = at(1.0)
    if _leads_back(full, means, far):
        return full
    low, high, best = 0, STRENGTHS, None
    while high - low > 1:
        middle = (low + high) // 2
        model = at(middle / STRENGTHS)
        if _leads_back(model, means, far):
            low, best = middle, model
        else:
            high = middle
    if best is None:
        raise InputError(
            f"the patterns lead to another phase even at 1/{STRENGTHS} of their strength; give a smaller rank, or use "
            "start_from_data"
        )
    return best


def _leads_back(model: RBM, means: np.ndarray, far: np.ndarray) -> bool:
    """Whether the mean-field equations, iterated from each row of `far`, lead to where they lead from the means."""
    if model.visible.name == model.hidden.name == "gaussian":
        return True  # they are linear, and Z is finite
    starts = np.concatenate([means[None], far]).astype(model.dtype)
    first = np.linalg.norm(far - means, axis=1)
    m, away = starts, first
    for _ in range(MEAN_FIELD_STEPS):
        before, m = away, model.visible_mean(model.hidden_mean(m))
        away = np.linalg.norm(m[1:] - m[0], axis=1)
        if (away <= NEAR * first).all():
            return True
        if (np.abs(away - before) <= STANDING * first).all():
            return False
    return False


def _cosines(n_patterns: int, n_units: int) -> np.ndarray:
    """Orthonormal rows of nearly equal amplitudes, the first of exactly equal ones: a discrete cosine transform.

    Signs alternate, so that neighbouring hidden units have nearly opposite weights and odd orders in the weights, which
    ReLU units have, nearly cancel.
    """
    k, j = np.arange(n_patterns)[:, None], np.arange(n_units)
    rows = (-1.0) ** j * np.cos(np.pi * k * (j + 0.5) / n_units)
    return rows * np.sqrt(np.where(k == 0, 1.0, 2.0) / n_units)


def _filters(model: RBM, root: np.ndarray) -> np.ndarray:
    """The square root of the couplings, whose columns are one filter at all places, for each filter of the model."""
    n_filters = model.n_hidden // model.n_visible
    signs = (-1.0) ** np.arange(n_filters)
    return np.hstack([sign * root for sign in signs]) / np.sqrt(n_filters)


def _means(model: RBM, v: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Means of the visible units with one more row as in no field, and how many rows they rest on."""
    n_rows = 1.0 / float(weights @ weights)
    in_no_field = model.visible.mean(np.zeros(model.n_visible))
    means = (n_rows * (weights @ v.astype(np.float64)) + in_no_field) / (n_rows + 1.0)
    if model.symmetry is None:
        return means, n_rows
    tie = model.symmetry
    mean = CENTERS[tie.visible] if tie.spin_flip else means.mean()
    return np.full(len(means), mean), n_rows * tie.n_visible


def _covariance(model: RBM, v: np.ndarray, means: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The covariance about given means, averaged over the translations of a symmetry."""
    covariance = np.zeros((len(means), len(means)))
    for first in range(0, len(v), ROWS):
        x = v[first : first + ROWS].astype(np.float64) - means
        covariance += (weights[first : first + ROWS, None] * x).T @ x
    if model.symmetry is None:
        return covariance
    places = model.symmetry.sites.T
    return sum(covariance[np.ix_(moved, moved)] for moved in places) / len(places)


def _unit_covariance(kind: Unit, fields: np.ndarray) -> np.ndarray:
    """The covariance of the entries of independent units in given fields."""
    if not isinstance(kind, Potts):
        return np.diag(kind.variance(fields))
    p = kind.mean(fields)
    unit = np.arange(len(fields)) // kind.q
    return np.diag(p) - np.outer(p, p) * (unit[:, None] == unit)


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    """B with B^T D B = 1 and as many columns as there are directions that vary: shape (n_entries, n_directions)."""
    diagonal = np.diagonal(covariance)
    if np.count_nonzero(covariance) == np.count_nonzero(diagonal):
        return np.diag(1.0 / np.sqrt(diagonal))
    with blas.one_thread():
        values, vectors = np.linalg.eigh(covariance)
    varies = values > NO_VARIANCE * values[-1]
    return vectors[:, varies] / np.sqrt(values[varies])


def _without_own_coupling(kind: Unit, couplings: np.ndarray, means: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """The fields that undo what the coupling of a unit to itself does to its mean.

    (s - m).J.(s - m) / 2 is a function of the state, for units of two states and Potts units a field. For others the
    field -J_ii kappa_3 / (2 kappa_2) leaves the mean alone to first order; for two states it is the same.
    """
    if isinstance(kind, Potts):
        correction = np.empty(len(means))
        for first in range(0, len(means), kind.q):
            unit = slice(first, first + kind.q)
            away = np.eye(kind.q) - means[unit]
            correction[unit] = -0.5 * np.einsum("ki,ij,kj->k", away, couplings[unit, unit], away)
        return correction
    step = 1e-4
    third_cumulant = (kind.variance(fields + step) - kind.variance(fields - step)) / (2.0 * step)
    return -0.5 * np.diagonal(couplings) * third_cumulant / kind.variance(fields)


def _with_parameters(model: RBM, weights: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray) -> RBM:
    """The model with other parameters, of which a symmetry takes what is free."""
    full = (weights, visible_bias, hidden_bias)
    return with_free_parameters(model, full if model.symmetry is None else model.symmetry.extract(full))
