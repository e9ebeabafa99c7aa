"""Annealing runs in both directions on one path, and what log Z follows from their weights."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen import backend, checks, rng
from mcgen.rbm.model import RBM
from mcgen.rbm.partition import path, spacing
from mcgen.rbm.partition.annealing import Annealed, anneal, check_path, reference_states
from mcgen.rbm.partition.weights import LogMean, log_mean, log_mean_exp

# What the seed of an estimate is divided into.
REFERENCE, PILOT, START, FORWARD, DRAWN, REVERSE, RESAMPLED = range(7)
# The way out where the weights are too unequal.
LONGER = "raise n_temperatures, which narrows the weights, or n_runs"


class Path(NamedTuple):
    """What forward and reverse runs have in common.

    reference : RBM
    betas : float64, shape (n_temperatures,)
        From 0 to 1.
    log_partition : float
        log Z of the reference.
    """

    reference: RBM
    betas: np.ndarray
    log_partition: float


def make_path(
    model: RBM,
    n_runs: int,
    n_temperatures: int,
    seed: int,
    v: np.ndarray | None,
    reference: RBM | None,
    betas: Sequence[float] | None,
    adapt: bool,
    device: str,
) -> Path:
    """The reference and the inverse temperatures of an estimate, from its arguments (see `ais`), checked.

    Parameters
    ----------
    model, n_runs, n_temperatures, seed, v, reference, betas, adapt, device
        As for `ais`.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If an argument is out of range.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.runs import make_path
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1)
    >>> make_path(model, 10, 5, 0, None, None, None, False, "cpu").betas.tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    checks.integer("n_runs", n_runs, 2, rng.LARGEST_WORD)
    checks.integer("n_temperatures", n_temperatures, 2, rng.LARGEST_WORD)
    backend.target(device)
    rng.split_seed(seed)
    betas = None if betas is None else check_path(betas)
    if reference is None:
        reference = path.reference(model, v, rng.derive(seed, REFERENCE), device)
    path.check_reference(reference, model)
    if betas is None and adapt:
        betas = spacing.adapted(reference, model, n_temperatures, n_runs, rng.derive(seed, PILOT), device)
    elif betas is None:
        betas = np.linspace(0, 1, n_temperatures)
    return Path(reference, betas, path.log_partition_of_independent(reference))


def forward_runs(model: RBM, way: Path, n_runs: int, seed: int, device: str, progress: bool) -> Annealed:
    """Annealing from the reference to the model; the mean of the weights is Z over that of the reference.

    Parameters
    ----------
    model : RBM
    way : Path
    n_runs, seed, device, progress
        As for `ais`.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.runs import forward_runs, make_path
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1)
    >>> way = make_path(model, 10, 5, 0, None, None, None, False, "cpu")
    >>> forward_runs(model, way, 10, 0, "cpu", False).states.shape
    (10, 6)
    """
    states = reference_states(way.reference, n_runs, rng.derive(seed, START))
    own = rng.derive(seed, FORWARD)
    return anneal(way.reference, model, way.betas, states, own, device, progress, "annealing")


def reverse_runs(model: RBM, way: Path, samples: np.ndarray, seed: int, device: str, progress: bool) -> np.ndarray:
    """Log weights of annealing from samples of the model to the reference; their mean weight is that of 1 / Z.

    Parameters
    ----------
    model : RBM
    way : Path
    samples : array, shape (n_chains, n_draws, n_visible)
    seed, device, progress
        As for `ais`.

    Returns
    -------
    float64, shape (n_chains, n_draws)

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.runs import make_path, reverse_runs
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1)
    >>> way = make_path(model, 10, 5, 0, None, None, None, False, "cpu")
    >>> reverse_runs(model, way, np.zeros((4, 2, 6)), 0, "cpu", False).shape
    (4, 2)
    """
    states = samples.reshape(-1, model.n_visible)
    own = rng.derive(seed, REVERSE)
    runs = anneal(way.reference, model, way.betas[::-1].copy(), states, own, device, progress, "annealing in reverse")
    return runs.log_weights.reshape(samples.shape[:2])


def from_forward(way: Path, log_weights: np.ndarray) -> tuple[LogMean, float, tuple[float, float]]:
    """The mean of forward weights; log Z and its interval.

    Parameters
    ----------
    way : Path
    log_weights : array, shape (n_runs,)

    Returns
    -------
    mean : LogMean
    value : float
    interval : (float, float)

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.partition.runs import Path, from_forward
    >>> from_forward(Path(None, None, 10.0), np.array([1.0, 1.0]))[1:]
    (11.0, (11.0, 11.0))
    """
    mean = log_mean(log_weights)
    return mean, way.log_partition + mean.value, tuple(way.log_partition + end for end in mean.interval)


def from_reverse(way: Path, log_weights: np.ndarray) -> tuple[LogMean, float, tuple[float, float]]:
    """The mean of reverse weights, those of a chain taken together; log Z and its interval.

    Parameters
    ----------
    way : Path
    log_weights : array, shape (n_chains, n_draws)

    Returns
    -------
    mean : LogMean
        Of 1 / Z times Z of the reference.
    value : float
    interval : (float, float)

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.partition.runs import Path, from_reverse
    >>> from_reverse(Path(None, None, 10.0), np.array([[-1.0], [-1.0]]))[1:]
    (11.0, (11.0, 11.0))
    """
    mean = log_mean(log_mean_exp(log_weights, axis=1))
    return mean, way.log_partition - mean.value, tuple(way.log_partition - end for end in mean.interval[::-1])


def settings_of(way: Path, n_runs: int, seed: int, device: str) -> dict:
    """What a result remembers: seed, n_runs, betas, the biases of the reference, device.

    Parameters
    ----------
    way : Path
    n_runs, seed, device
    """
    return {
        "seed": seed,
        "n_runs": n_runs,
        "betas": way.betas,
        "reference_bias": way.reference.visible_bias,
        "device": device,
    }
