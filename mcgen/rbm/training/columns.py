"""Columns of the history of a training: what is said of the model after an epoch."""

import math

import numpy as np

from mcgen import enumeration
from mcgen.rbm import exact
from mcgen.rbm.evaluation.likelihood import squared_errors
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.training.row_weights import distinct_rows

# Rows of data that the columns of every epoch look at, evenly spaced: an epoch is not to be spent on them.
MOST_ROWS = 1024


def some_rows(v: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST_ROWS evenly spaced rows, and their weights, which add up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.training.columns import some_rows
    >>> rows, weights = some_rows(np.arange(4096)[:, None], np.full(4096, 1 / 4096))
    >>> len(rows), rows[:3, 0].tolist(), float(weights[0]) == 1 / 1024
    (1024, [0, 4, 8], True)
    """
    step = -(-len(v) // MOST_ROWS)
    if not weights[::step].any():  # all that count lie between
        v, weights = v[weights > 0], weights[weights > 0]
        step = -(-len(v) // MOST_ROWS)
    v, weights = v[::step], weights[::step]
    return np.ascontiguousarray(v), weights / weights.sum()


class ColumnsOfRows:
    """Columns that are means over at most MOST_ROWS rows of data, and over the chains: after every epoch."""

    def __init__(self, v: np.ndarray, row_weights: np.ndarray, validation: np.ndarray | None, device: str):
        self.rows, self.row_weights = some_rows(v, row_weights)
        self.validation = None
        if validation is not None:
            self.validation, _ = some_rows(validation, np.ones(len(validation)))
        self.device = device

    def columns(
        self, model: RBM, chains: np.ndarray, chain_weights: np.ndarray | None, row: dict[str, float]
    ) -> dict[str, float]:
        """reconstruction_error, free_energy_gap, validation_gap and validation_log_likelihood.

        The last takes the exact log Z of the row of the history so far, or else the tracked one.
        """
        of_data = self.row_weights @ free_energy_of_rows(model, self.rows, self.device)
        of_chains = np.average(free_energy_of_rows(model, chains, self.device), weights=chain_weights)
        of_validation = math.nan
        if self.validation is not None:
            of_validation = free_energy_of_rows(model, self.validation, self.device).mean()
        log_z = row["log_partition"]
        if math.isnan(log_z):
            log_z = row.get("tracked_log_partition", math.nan)
        return {
            "reconstruction_error": float(self.row_weights @ squared_errors(model, self.rows, self.device)),
            "free_energy_gap": float(of_data - of_chains),
            "validation_gap": float(of_validation - of_data),
            "validation_log_likelihood": float(-of_validation - log_z),
        }


class ExactColumns:
    """The exact columns of the history; decides once whether the model is small enough for them."""

    def __init__(self, model: RBM, v: np.ndarray, row_weights: np.ndarray, truth: np.ndarray | None, device: str):
        self.v, self.row_weights, self.truth, self.device = v, row_weights, truth, device
        self.feasible = exact.is_quick(model)
        self.data_entropy = math.nan  # and no KL, where a density is compared with rows of data
        if self.feasible and truth is None and model.visible.is_discrete:
            self.data_entropy = enumeration.entropy(distinct_rows(v, row_weights)[1])

    def columns(self, model: RBM, evaluate: bool) -> dict[str, float]:
        """log_partition, log_likelihood and kl_divergence; NaN where they are not to be evaluated, or cannot."""
        if not (self.feasible and evaluate):
            return dict.fromkeys(("log_partition", "log_likelihood", "kl_divergence"), math.nan)
        log_z = exact.log_partition(model, self.device)
        likelihood = float(-self.row_weights @ free_energy_of_rows(model, self.v, self.device) - log_z)
        if self.truth is not None:
            kl = exact.kl_divergence(self.truth, model, self.device)
        else:  # <log f>_data - <log p>_data (Hjorth-Jensen 2025, "Kullback-Leibler divergence and RBMs")
            kl = -self.data_entropy - likelihood
        return {"log_partition": log_z, "log_likelihood": likelihood, "kl_divergence": kl}
