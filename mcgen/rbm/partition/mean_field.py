"""Mean-field values of log Z: quick, and of unknown error.

Give the two layers means m and mu, those of independent units in fields x and y: m_i = Gamma_i'(x_i) and mu_j =
Gamma_j'(y_j). With S(m) = sum_i Gamma_i(x_i) - x_i m_i, log Z at fixed means is expanded in powers of the weights,

    G(m, mu) = S(m) + S(mu) + b.m + c.mu + m.W.mu                          naive: units independent
               + 1/2 sum_ij W_ij^2 V_i V_j                                 second order (Thouless, Anderson & Palmer)
               + 1/6 sum_ij W_ij^3 T_i T_j                                 third order

with the variances V = Gamma'' and the third central moments T = Gamma''' of the units; no two units of a layer are
coupled, so that there are no other terms. The means are those at which G is stationary:

    x_i = b_i + sum_j W_ij mu_j + 1/2 V_i' sum_j W_ij^2 V_j + 1/6 T_i' sum_j W_ij^3 T_j,   V' = dV / dm, T' = dT / dm,

and in the other layer likewise. The naive value is below log Z at all means, by the inequality of Jensen (Gibbs,
Bogoliubov and Feynman); the others are not bounds. The states of a Potts unit exclude each other: W_ij^2 V_i V_j is
then the variance of v_i.W_ij.h_j about what the two means explain.

References
----------
Plefka, J. Phys. A 15, 1971 (1982). Georges & Yedidia, J. Phys. A 24, 2173 (1991). Gabrie, Tramel & Krzakala, NeurIPS
(2015), eq. 9: RBMs to third order. Tramel, Gabrie, Manoel, Caltagirone & Krzakala, Phys. Rev. X 8, 041006 (2018): other
units.
"""

import math
from typing import NamedTuple

import numpy as np

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.rbm.chains import random_states
from mcgen.rbm.model import RBM
from mcgen.rbm.partition.result import LogPartition, checks_of
from mcgen.rbm.units import Potts, TwoLevel, Unit

# An iteration replaces this share of the fields by new ones, until these differ by less than the tolerance. Where all
# searches go in circles, the next smaller share is tried.
SHARES = (0.5, 0.1, 0.02)
MOST_ITERATIONS = 2000
TOLERANCE, MOST_CHANGE = 1e-10, 1e6
# Starts at random states, besides the one without weights; and at rows of the data where there are some.
N_STARTS = 8


def naive_mean_field(model: RBM, v: np.ndarray | None = None, seed: int = 0) -> LogPartition:
    """The largest log Z of independent units that was found: a lower bound of log Z.

    Parameters
    ----------
    model : RBM
    v : array, shape (n_rows, n_visible), optional
        Data, where searches start; others start at random states, and at the units without weights.
    seed : int
        Of the random states, 0 to 2**64 - 1.

    Returns
    -------
    LogPartition
        Labelled as an approximation; the interval goes from the value to infinity. `settings["visible_means"]` and
        `settings["hidden_means"]` are the means of the units.

    Raises
    ------
    InputError
        If v is no table of states, the seed is out of range, or no search comes to rest.

    References
    ----------
    Peterson & Anderson, Complex Systems 1, 995 (1987). Wainwright & Jordan, Found. Trends Mach. Learn. 1, 1 (2008): the
    bound.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import mean_field
    >>> model = rbm.RBM.random(n_visible=8, n_hidden=4, seed=1, scale=0.5)
    >>> print(mean_field.naive_mean_field(model))
    log Z = 9.0336 by naive mean field, an approximation of unknown error
      exact: 9.14754, +0.114
    """
    return _best(model, 1, v, seed, "naive mean field")


def tap(model: RBM, order: int = 2, v: np.ndarray | None = None, seed: int = 0) -> LogPartition:
    """log Z of Thouless, Anderson and Palmer: independent units in fields that know of each other's fluctuations.

    For weak weights its error is of the third order in them, or the fourth with order=3; for strong ones it may be
    worse than that of `naive_mean_field`.

    Parameters
    ----------
    model : RBM
        With order=3 not of Potts units.
    order : {2, 3}
        The highest power of the weights.
    v : array, shape (n_rows, n_visible), optional
        Data, where searches start; others start at random states, and at the units without weights.
    seed : int
        Of the random states, 0 to 2**64 - 1.

    Returns
    -------
    LogPartition
        Labelled as an approximation, of the largest value where searches ended at different means. It is no bound.

    Raises
    ------
    InputError
        If v is no table of states, an argument is out of range, or no search comes to rest.

    References
    ----------
    Gabrie, Tramel & Krzakala, NeurIPS (2015). Tramel et al., Phys. Rev. X 8, 041006 (2018).

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import mean_field
    >>> model = rbm.RBM.random(n_visible=8, n_hidden=4, seed=1, scale=0.5)
    >>> print(mean_field.tap(model))
    log Z = 9.15024 by tap, an approximation of unknown error
      exact: 9.14754, -0.0027
    """
    order = checks.integer("order", order, 2, 3)
    if order == 3 and any(isinstance(kind, Potts) for kind in (model.visible, model.hidden)):
        raise InputError(f"order=3 is not for the potts units of {model!r}; take order=2")
    return _best(model, order, v, seed, "tap")


class Layer(NamedTuple):
    """Independent units in fields; arrays of the shape (n_entries,).

    means, variances, slopes : float64
        m = Gamma', V = Gamma'' and dV / dm = Gamma''' / Gamma''.
    third, third_slopes : float64
        T = Gamma''' and dT / dm = Gamma'''' / Gamma''.
    """

    means: np.ndarray
    variances: np.ndarray
    slopes: np.ndarray
    third: np.ndarray
    third_slopes: np.ndarray


def layer(kind: Unit, fields: np.ndarray) -> Layer:
    """The units of a layer in their fields, float64 of the shape (n_entries,).

    Of Potts units the variances and slopes are those of one state, and say nothing about the others.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.mean_field import layer
    >>> found = layer(rbm.Spin(), np.array([0.0]))
    >>> found.variances.tolist(), found.slopes.tolist(), found.third_slopes.tolist()
    ([1.0], [0.0], [-2.0])
    """
    means, variances = kind.mean(fields), kind.variance(fields)
    if isinstance(kind, TwoLevel):
        width, p = 1 - kind.low, (means - kind.low) / (1 - kind.low)
        slopes = width * (1 - 2 * p)
        return Layer(means, variances, slopes, variances * slopes, width**2 * (1 - 6 * p * (1 - p)))
    if kind.name == "relu":
        # With r = m / w and a = -(m + w^2 x) / w, where the Gaussian is cut off: dr/dx = w V / w^2, da/dx = -w.
        w = np.sqrt(kind.variance_at_zero)
        r, reduced = means / w, variances / w**2
        reach = 2 * r - (kind.mean_at_zero + w**2 * fields) / w
        third = w**3 * (r - reduced * reach)
        fourth = 2 * w**4 * reduced * (1 - reduced) - w * third * reach
        return Layer(means, variances, third / variances, third, fourth / variances)
    nothing = np.zeros(len(fields))
    return Layer(means, variances, nothing, nothing, nothing)


def _covariance_times(kind: Unit, units: Layer, matrix: np.ndarray) -> np.ndarray:
    """The covariance matrix of the units of a layer times a matrix of the shape (n_entries, n)."""
    if not isinstance(kind, Potts):
        return units.variances[:, None] * matrix
    return units.means[:, None] * (matrix - _of_units(kind, units.means[:, None] * matrix))


def _of_units(kind: Potts, entries: np.ndarray) -> np.ndarray:
    """The sums over the entries of each Potts unit, along the first axis, at each of its entries."""
    sums = entries.reshape(-1, kind.q, *entries.shape[1:]).sum(axis=1)
    return np.repeat(sums, kind.q, axis=0)


class _Expansion:
    """G and the fields at which it is stationary, for one model and order."""

    def __init__(self, model: RBM, order: int):
        self.order = order
        self.kinds = model.visible, model.hidden
        self.biases = [bias.astype(np.float64) for bias in (model.visible_bias, model.hidden_bias)]
        weights = model.weights.astype(np.float64)
        self.weights = weights, np.ascontiguousarray(weights.T)
        self.cubes = tuple(matrix**3 for matrix in self.weights) if order == 3 else ()

    def layers(self, fields: list[np.ndarray]) -> list[Layer]:
        return [layer(kind, x) for kind, x in zip(self.kinds, fields, strict=True)]

    def value(self, fields: list[np.ndarray], layers: list[Layer]) -> float:
        one, other = layers
        weights = self.weights[0]
        total = one.means @ weights @ other.means
        for kind, bias, x, units in zip(self.kinds, self.biases, fields, layers, strict=True):
            total += kind.cumulant(x) + (bias - x) @ units.means
        if self.order >= 2:
            fluctuations = _covariance_times(self.kinds[0], one, weights).T
            total += 0.5 * (_covariance_times(self.kinds[1], other, self.weights[1]) * fluctuations).sum()
        if self.order == 3:
            total += one.third @ self.cubes[0] @ other.third / 6
        return float(total)

    def fields(self, which: int, layers: list[Layer]) -> np.ndarray:
        """What x has to be for G to be stationary, in the visible (0) or hidden layer (1), given the other."""
        own, other = layers[which], layers[1 - which]
        kind, weights = self.kinds[which], self.weights[which]
        fields = self.biases[which] + weights @ other.means
        if self.order >= 2:
            # reaction[e, f] = sum_g W_eg C_gf with C the covariances of the other layer.
            reaction = _covariance_times(self.kinds[1 - which], other, self.weights[1 - which]).T
            if isinstance(kind, Potts):
                felt = _of_units(kind, own.means[:, None] * weights)
                fields += (reaction * (0.5 * weights - felt)).sum(axis=1)
            else:
                fields += 0.5 * own.slopes * (reaction * weights).sum(axis=1)
        if self.order == 3:
            fields += own.third_slopes * (self.cubes[which] @ other.third) / 6
        return fields


def _best(model: RBM, order: int, v: np.ndarray | None, seed: int, method: str) -> LogPartition:
    """The largest stationary value that the searches from all starts found."""
    expansion = _Expansion(model, order)
    starts = _starts(model, v, seed)
    for share in SHARES:
        found = [end for end in (_search(expansion, means, share) for means in starts) if end is not None]
        if found:
            break
    if not found:
        way_out = "take rbm.partition.naive_mean_field, which climbs a bound" if order > 1 else "take smaller weights"
        raise InputError(
            f"none of {len(starts)} searches for the means of {model!r} came to rest in {MOST_ITERATIONS} steps: its "
            f"weights, up to {np.abs(model.weights).max():.2g}, are too strong for {method}; {way_out}, or estimate "
            "log Z with an error by rbm.partition.ais or rbm.partition.bar"
        )
    value, layers = max(found, key=lambda end: end[0])
    return LogPartition(
        value=value,
        error=math.nan,
        effective_sample_size=math.nan,
        method=method,
        interval=(value, math.inf) if order == 1 else (math.nan, math.nan),
        checked_against=checks_of(model),
        is_approximation=True,
        settings={
            "order": order,
            "seed": seed,
            "n_starts": len(starts),
            "n_converged": len(found),
            "visible_means": layers[0].means,
            "hidden_means": layers[1].means,
        },
    )


def _starts(model: RBM, v: np.ndarray | None, seed: int) -> np.ndarray:
    """Visible means to start from: float64, shape (n_starts, n_visible)."""
    starts = [model.visible.mean(model.visible_bias)[None]]
    starts.append(random_states(model.visible, N_STARTS, model.n_visible, seed).astype(np.float64))
    if v is not None:
        rows = model.check_rows(v)
        chosen = rng.permutation(seed, rng.purpose.RBM_START, len(rows))[:N_STARTS]
        starts += [rows.mean(axis=0, dtype=np.float64)[None], rows[chosen].astype(np.float64)]
    return np.concatenate(starts)


def _search(expansion: _Expansion, means: np.ndarray, share: float) -> tuple[float, list[Layer]] | None:
    """The stationary value near visible means, and the layers there; None where the search does not come to rest."""
    fields = [expansion.biases[0], expansion.biases[1] + expansion.weights[1] @ means]
    fields[0] = expansion.biases[0] + expansion.weights[0] @ expansion.kinds[1].mean(fields[1])
    layers = expansion.layers(fields)
    for _ in range(MOST_ITERATIONS):
        change = 0.0
        for which in (1, 0):
            step = expansion.fields(which, layers) - fields[which]
            change = max(change, float(np.abs(step).max() / max(1.0, np.abs(fields[which]).max())))
            fields[which] = fields[which] + share * step
            layers[which] = layer(expansion.kinds[which], fields[which])
        if change < TOLERANCE:
            return expansion.value(fields, layers), layers
        if not change < MOST_CHANGE:  # it runs away, or is NaN
            return None
    return None
