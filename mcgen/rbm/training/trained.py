"""What a training returns."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from mcgen.rbm.model import RBM

# Columns of every history, in their order.
COLUMNS = (
    "epoch",
    "learning_rate",
    "reconstruction_error",
    "free_energy_gap",
    "validation_gap",
    "log_partition",
    "log_likelihood",
    "kl_divergence",
    "validation_log_likelihood",
    "tracked_log_partition",
    "tracked_log_partition_error",
    "r_hat",
    "autocorrelation_time",
    "effective_chains",
    "gibbs_steps",
)


@dataclasses.dataclass(frozen=True)
class Trained:
    """What training returns.

    Attributes
    ----------
    model : RBM
        After the last step; with `patience`, the one under which the validation rows were most probable.
    history : dict of arrays, one number for each epoch
        See `train`; NaN where a column was not evaluated.
    chains : int8, or the model's dtype for continuous units, shape (n_chains, n_visible)
        The states of the model's Markov chains after the last step.
    settings : dict
        All arguments of the training; n_rows, the number of rows of data; kl_reference, "truth" or "data".
    interrupted : bool
        Whether Ctrl-C ended it early; the history holds the completed epochs.
    trajectory : tuple of RBM
        The models that were kept on the way, from the start to the last, if `keep_every` was given.
    state : dict or None
        What the training goes on from after its last epoch, for the argument `resume` of `train`: see `mcgen.states`.
    """

    model: RBM
    history: dict[str, np.ndarray]
    chains: np.ndarray
    settings: dict
    interrupted: bool = False
    trajectory: tuple[RBM, ...] = ()
    state: dict | None = None


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
    trajectory = first.trajectory + second.trajectory[1 if first.trajectory else 0 :]
    return Trained(second.model, history, second.chains, settings, second.interrupted, trajectory)


def columns(rows: Sequence[dict[str, float]]) -> dict[str, np.ndarray]:
    """The history from its rows, one for each epoch; NaN where a row has no such number.

    Examples
    --------
    >>> from mcgen.rbm.training.trained import columns
    >>> history = columns([{"epoch": 1, "r_hat": 1.5}, {"epoch": 2}])
    >>> history["epoch"].tolist(), history["r_hat"].tolist(), len(history)
    ([1, 2], [1.5, nan], 15)
    """
    return {name: np.array([row.get(name, math.nan) for row in rows]) for name in COLUMNS}
