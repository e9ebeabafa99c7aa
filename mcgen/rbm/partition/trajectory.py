"""log Z of all models of a training, by bridges from each stored model to the next.

Successive models of a training overlap where neighbours on a path of temperatures may be divided by a phase transition:
they follow the order in which the modes were found. The first of them is nearly independent; a bridge from the
independent model of its means begins the sequence, or a log Z that is known. Where two models are too far apart, others
are put between, whose parameters lie on the straight line from the one to the other.

References
----------
Bereux, Decelle, Furtlehner, Rosset & Seoane, ICLR (2025), arXiv:2405.15376. Desjardins, Courville & Bengio, NIPS
(2011): log Z tracked along a training.
"""

import math
from collections.abc import Sequence

import numpy as np

from mcgen import backend, checks, rng
from mcgen.errors import InputError
from mcgen.rbm.chains import random_states, stack
from mcgen.rbm.model import RBM
from mcgen.rbm.partition import path
from mcgen.rbm.partition.acceptance import scatter
from mcgen.rbm.partition.bridge import bridges
from mcgen.rbm.partition.result import LogPartition, checks_of
from mcgen.rbm.partition.rungs import LONGEST_STEP, MOST_ROUNDS, MOST_RUNGS, STEP, distances_of
from mcgen.rbm.partition.simulation import Sampling, settings_of
from mcgen.rbm.partition.spread import spread, warn_of_weak_bridge
from mcgen.rbm.tempering import TemperingChains, check_trajectory

# Into how many parts a gap is divided at once.
MOST_PARTS = 8


def trajectory(
    models: Sequence[RBM],
    n_chains: int = 256,
    n_draws: int = 100,
    thin: int = 2,
    burn_in: int = 200,
    start: float | None = None,
    seed: int = 0,
    v: np.ndarray | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> LogPartition:
    """log Z of the last of several models of a training, and of all before it.

    All models are sampled together, by Gibbs sweeps with swaps between neighbours (trajectory tempering), and Bennett's
    acceptance ratio gives log Z_{k+1} - log Z_k of each two, over further models between them where these are needed.
    Chains come from the first models: modes that only later ones have may be found by none of them, and log Z is then
    too small by what these weigh, whatever its error says. Keep models often, and compare with `sandwich` once.

    Parameters
    ----------
    models : sequence of RBM
        In the order of the training, with the same units; the last is the one whose log Z is asked for.
    n_chains, n_draws : int
        Independent chains of the whole sequence, and draws of every model in each.
    thin, burn_in : int
        Sweeps between draws, and before the first.
    start : float, optional
        log Z of the first model where it is known, such as by an exact sum. By default the sequence begins with one
        more model, of independent units, from which a bridge leads to the first.
    seed : int
        0 to 2**64 - 1. The same seed gives the same result for any number of threads.
    v : array, shape (n_rows, n_visible), optional
        Data: the independent units have their means, else those of a short run of the first model.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    LogPartition
        `settings["log_partitions"]` and `settings["errors"]` have log Z of each model and its error;
        `settings["n_bridges"]` is the number of steps.

    Raises
    ------
    InputError
        If an argument is out of range, there is no model, models differ in their units, or more than 500 are needed.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If chains still remember where they started, or too few draws are common to two successive models.

    References
    ----------
    Bereux, Decelle, Furtlehner, Rosset & Seoane, ICLR (2025), arXiv:2405.15376.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.trajectory import trajectory
    >>> models = [rbm.RBM.random(n_visible=8, n_hidden=4, seed=1, scale=scale) for scale in (0.1, 0.3, 0.5)]
    >>> estimate = trajectory(models, n_chains=64, n_draws=20, seed=2)
    >>> exact = [rbm.exact.log_partition(model) for model in models]
    >>> bool(max(abs(estimate.settings["log_partitions"] - exact)) < 0.05)
    True
    """
    sampling = Sampling(n_chains, n_draws, thin, burn_in, seed, device, progress).checked()
    models = list(models)
    if not models:
        raise InputError("a trajectory of 0 models has no log Z; give stored models of a training")
    if start is None:
        check_trajectory([*models, models[-1]])
        sequence = [path.reference(models[0], v, rng.derive(seed, 0), device), *models]
        known = path.log_partition_of_independent(sequence[0])
    else:
        sequence, known = check_trajectory(models), checks.real("start", start)
    first = sequence[0]
    states = random_states(first.visible, sampling.n_chains, first.n_visible, rng.derive(seed, 1)).astype(first.dtype)
    places, sequence, states = _filled(sequence, np.repeat(states[None], len(sequence), axis=0), sampling)
    found = bridges(sequence, states, sampling, "trajectory sweeps")
    logs = known + np.append(0.0, np.cumsum(found.log_ratios))
    of_chains = np.cumsum(found.influences.sum(axis=2), axis=0)
    errors = np.array([0.0, *(scatter(moved) if np.isfinite(moved).all() else math.inf for moved in of_chains)])
    own = places[-len(models) :]
    name = "log Z by trajectory"
    last = spread(found.influences.sum(axis=0), sampling, name)
    effective = found.effective_sample_sizes
    remedy = "raise n_draws, or thin and burn_in"
    n_draws_of_all = sampling.n_chains * sampling.n_draws
    warn_of_weak_bridge(effective, last.effective_sample_size, n_draws_of_all, name, remedy)
    value = float(logs[-1])
    return LogPartition(
        value=value,
        error=last.error,
        effective_sample_size=last.effective_sample_size,
        method="trajectory",
        interval=last.interval(value),
        checked_against=checks_of(models[-1], device),
        settings=settings_of(sampling, first)
        | {"log_partitions": logs[own], "errors": errors[own], "n_bridges": len(sequence) - 1},
    )


def _filled(models: list[RBM], visible: np.ndarray, sampling: Sampling) -> tuple[np.ndarray, list[RBM], np.ndarray]:
    """Models with others between those that are too far apart.

    Returns
    -------
    places : int64, shape (len(models),)
        Where the given models are among all.
    models : list of RBM
    visible : array, shape (n_models, n_chains, n_visible)
        Where their chains are now.
    """
    target = backend.target(sampling.device)
    places = np.arange(len(models))
    for attempt in range(MOST_ROUNDS):
        chains = TemperingChains(stack(models), visible, rng.derive(sampling.seed, 3 + attempt), target)
        distances, visible = distances_of(chains)
        # What is far apart is measured badly: not too many models at once.
        parts = np.where(distances <= LONGEST_STEP, 1, np.clip(np.ceil(distances / STEP), 2, MOST_PARTS)).astype(int)
        if (parts == 1).all():
            break
        if 1 + parts.sum() > MOST_RUNGS:
            k = int(np.argmax(distances))
            raise InputError(
                f"a trajectory without gaps needs more than {MOST_RUNGS} models: models {k} and {k + 1} of those "
                f"put in are {distances[k]:.1f} apart, and {LONGEST_STEP} can be bridged; store more models"
            )
        models = [
            _between(models[k], models[k + 1], step / n_parts)
            for k, n_parts in enumerate(parts)
            for step in range(n_parts)
        ] + models[-1:]
        # New models start from the states of the one before them in half of the chains, and of the one behind in the
        # others: chains that do not leave these states then disagree, and the error says so.
        before, behind = (
            np.repeat(visible, np.append(parts, 1), axis=0),
            np.repeat(visible, np.append(1, parts), axis=0),
        )
        visible = np.where(np.arange(sampling.n_chains)[:, None] % 2, behind, before)
        places = np.append(0, np.cumsum(parts))[places]
    return places, models, visible


def _between(one: RBM, other: RBM, share: float) -> RBM:
    """The model on the straight line from one to the other that is this share of the way from the first."""
    if share == 0:
        return one
    parameters = ((1 - share) * a + share * b for a, b in zip(one.parameters, other.parameters, strict=True))
    return RBM(*(array.astype(one.dtype) for array in parameters), one.visible, one.hidden)
