"""How probable rows of data are under a model: log-likelihood, pseudo-log-likelihood, reconstruction."""

import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mcgen import checks, stats
from mcgen.errors import InputError
from mcgen.rbm import exact
from mcgen.rbm.exact.products import rows_times
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.partition.result import LogPartition, exact_value
from mcgen.rbm.units import Potts, TwoLevel
from mcgen.stats import Estimate, format_error

# Hidden fields of one call of a kernel: they stay in the caches of the cores.
FIELDS_PER_BLOCK = 1 << 17

# What other states of one unit after the other change: b.v and the hidden fields.
Changes = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True, eq=False)
class LogLikelihood:
    """The mean log-likelihood of rows of data, and where its error comes from.

    Attributes
    ----------
    value : float
        The mean over rows of log p(v) = -F(v) - log Z, in nats.
    error : float
        One standard deviation: both errors below, combined in quadrature. NaN where one of them is.
    error_of_rows : float
        The standard error of the mean over the rows, larger where neighbours are alike, as draws of a chain are
        (`stats.mean`); NaN for a single row.
    error_of_log_partition : float
        That of log Z, which all rows share.
    rows : float64, shape (n_rows,)
        log p(v) of each row.
    log_partition : LogPartition
        What log Z was taken to be.
    """

    value: float
    error: float
    error_of_rows: float
    error_of_log_partition: float
    rows: np.ndarray
    log_partition: LogPartition

    def __str__(self) -> str:
        words = format_error(self.value, self.error) + f" nats, mean of {len(self.rows)} rows"
        return (
            f"{words} (error {self.error_of_rows:.2g} of the rows, {self.error_of_log_partition:.2g} of log Z, "
            f"{self.log_partition.method})"
        )

    def __repr__(self) -> str:
        return f"LogLikelihood: {self}"


def log_likelihood(
    model: RBM, v: np.ndarray, log_partition: LogPartition | float | None = None, device: str = "cpu"
) -> LogLikelihood:
    """The mean over rows of log p(v) = -F(v) - log Z, in nats, with its error; a density for continuous units.

    Parameters
    ----------
    model : RBM
    v : array, shape (n_rows, n_visible)
        States of the visible units, in the order in which they were drawn; rows that the model was trained on flatter
        it.
    log_partition : LogPartition or float, optional
        log Z: an estimate from `rbm.partition`, or a number, which counts as exact. By default it is summed exactly,
        where that takes about a second at most.
    device : {"cpu", "cuda"}

    Returns
    -------
    LogLikelihood

    Raises
    ------
    InputError
        If a shape does not fit, a value is not a state of the visible units, or log_partition is left out for a model
        whose log Z has no quick exact sum.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If the rows are too few, or too much alike, for an error.

    References
    ----------
    Salakhutdinov & Murray, ICML (2008), section 5: test log-probabilities by estimates of log Z.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.evaluation import log_likelihood
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1, scale=1.0)
    >>> test = rbm.exact.sample(model, n_draws=1000, seed=2)
    >>> print(log_likelihood(model, test))
    -3.809(27) nats, mean of 1000 rows (error 0.027 of the rows, 0 of log Z, exact)
    """
    v = model.check_rows(v)
    log_z = _log_partition(model, log_partition, device)
    rows = -free_energy_of_rows(model, v, device) - log_z.value
    of_rows = stats.mean_of_rows(rows)
    error = math.hypot(of_rows.error, log_z.error)
    return LogLikelihood(of_rows.value, error, of_rows.error, log_z.error, rows, log_z)


def _log_partition(model: RBM, given: LogPartition | float | None, device: str) -> LogPartition:
    if isinstance(given, LogPartition):
        return given
    if given is not None:
        value = checks.real("log_partition", given)
        return LogPartition(value, 0.0, math.nan, "given", (value, value))
    if not exact.is_quick(model):
        raise InputError(
            f"log Z of {model!r} has no exact sum of about a second; give log_partition, an estimate of rbm.partition "
            "or, where it is within reach, rbm.exact.log_partition"
        )
    return exact_value(model, device)


def pseudo_log_likelihood(model: RBM, v: np.ndarray, device: str = "cpu") -> Estimate:
    """The mean over rows of sum_i log p(v_i | all other visible units), in nats: no log Z, and no random choice of i.

    p(v_i | v_others) = e^{-F(v)} / sum_s e^{-F(v with v_i = s)}. With x = c + v.W, another state of one unit changes x
    by a multiple of its row of W (for Potts units by the difference of two rows), so that every term needs the cumulant
    functions of the hidden units once more, but no further product of matrices.

    Parameters
    ----------
    model : RBM
        Visible units with finitely many states; hidden units of any kind.
    v : array, shape (n_rows, n_visible)
        States of the visible units, in the order in which they were drawn.
    device : {"cpu", "cuda"}
        Where the cumulant functions are summed.

    Returns
    -------
    Estimate
        With the standard error of the mean over the rows (`stats.mean`). It is the mean log-likelihood if the units
        are independent, and mostly above it otherwise: compare models by it, not with log-likelihoods.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not a state, or the visible units are continuous.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Besag, The Statistician 24, 179 (1975). Marlin, Swersky, Chen & de Freitas, AISTATS (2010), for RBMs.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.evaluation import pseudo_log_likelihood
    >>> independent = rbm.RBM(np.zeros((3, 2)), np.zeros(3), np.zeros(2))
    >>> round(pseudo_log_likelihood(independent, [[0, 1, 1]]).value, 6)  # -3 log 2
    -2.079442
    """
    if not model.visible.is_discrete:
        raise InputError(
            f"the conditional density of {model.visible.name} units has no closed form, so there is no "
            "pseudo-likelihood; use log_likelihood, or visible units with finitely many states"
        )
    v = model.check_rows(v).astype(np.float64)
    weights, visible_bias, hidden_bias = (np.array(array, np.float64) for array in model.parameters)
    other_states = _other_two_level if isinstance(model.visible, TwoLevel) else _other_potts
    rows = np.empty(len(v))
    size = max(1, FIELDS_PER_BLOCK // (model.n_hidden * model.visible.entries))
    for first in range(0, len(v), size):
        block = v[first : first + size]
        fields = hidden_bias + rows_times(block, weights)
        now = model.hidden.cumulant(fields, device)
        total = np.zeros(len(block))
        for change, shift in other_states(block, weights, visible_bias, model.visible):
            # log of the weights of the other states of a unit, relative to the one that it is in
            others = change + model.hidden.cumulant(fields[:, None] + shift, device) - now[:, None]
            total -= np.logaddexp(0.0, np.logaddexp.reduce(others, axis=1))
        rows[first : first + size] = total
    return stats.mean_of_rows(rows)


def _other_two_level(v: np.ndarray, weights: np.ndarray, bias: np.ndarray, kind: TwoLevel) -> Changes:
    """For each unit, what its other state changes: b.v, (n_rows, 1), and the fields, (n_rows, 1, n_hidden)."""
    for i in range(v.shape[1]):
        step = kind.low + 1.0 - 2.0 * v[:, i, None]
        yield step * bias[i], (step * weights[i])[:, None]


def _other_potts(v: np.ndarray, weights: np.ndarray, bias: np.ndarray, kind: Potts) -> Changes:
    """For each unit, what each of its other states changes: (n_rows, q - 1) and (n_rows, q - 1, n_hidden)."""
    for first in range(0, v.shape[1], kind.q):
        state = v[:, first : first + kind.q].argmax(axis=1)
        other = first + (state[:, None] + np.arange(1, kind.q)) % kind.q
        yield bias[other] - bias[first + state, None], weights[other] - weights[first + state, None]


class Reconstruction(NamedTuple):
    """How well the hidden units keep what the visible ones show.

    squared_error : Estimate
        The mean over rows and entries of (v - image)^2, where the image is <v> given <h> given v.
    cross_entropy : Estimate
        The mean over rows of -log p(v | <h>), in nats: sum_i [Gamma_i(x_i) - x_i v_i + U(v_i)] at x = b + W <h>. For
        continuous units minus the log of a density.
    """

    squared_error: Estimate
    cross_entropy: Estimate


def reconstruction_error(model: RBM, v: np.ndarray, device: str = "cpu") -> Reconstruction:
    """How far rows are from their mean-field images. It says whether training goes on, not how good a model is.

    Parameters
    ----------
    model : RBM
        Units of any kind.
    v : array, shape (n_rows, n_visible)
        States of the visible units, in the order in which they were drawn.
    device : {"cpu", "cuda"}

    Returns
    -------
    Reconstruction
        Both with the standard error of the mean over the rows (`stats.mean`).

    Raises
    ------
    InputError
        If a shape does not fit or a value is not a state of the visible units.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hinton, UTML TR 2010-003, section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.evaluation import reconstruction_error
    >>> model = rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1))
    >>> error = reconstruction_error(model, [[0, 1], [1, 1]])
    >>> error.squared_error.value, round(error.cross_entropy.value, 6)  # 1/4 and 2 log 2
    (0.25, 1.386294)
    """
    v = model.check_rows(v)
    hidden = model.hidden_mean(v, device)
    squared = stats.mean_of_rows(squared_errors(model, v, device, hidden))
    rows = v.astype(np.float64)
    weights = np.ascontiguousarray(model.weights.T, np.float64)
    fields = rows_times(hidden.astype(np.float64), weights) + model.visible_bias
    log_p = (fields * rows).sum(axis=1) - model.visible.energy_term(rows) - model.visible.cumulant(fields, device)
    return Reconstruction(squared, stats.mean_of_rows(-log_p))


def squared_errors(model: RBM, rows: np.ndarray, device: str, hidden: np.ndarray | None = None) -> np.ndarray:
    """The mean over the entries of each row of (v - image)^2, where the image is <v> given <h> given v.

    Of rows that are known to be states; hidden is their <h>, where it is there already.
    """
    hidden = model.hidden_mean(rows, device) if hidden is None else hidden
    return ((rows.astype(np.float64) - model.visible_mean(hidden, device)) ** 2).mean(axis=1)
