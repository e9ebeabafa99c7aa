"""Annealing: chains that are carried along the path of models, and what their weights have grown by."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen import backend, checks, loops, rng
from mcgen.errors import InputError
from mcgen.progress import progress as progress_bar
from mcgen.rbm.chains import chains_per_block, stack
from mcgen.rbm.gibbs import paths
from mcgen.rbm.model import RBM
from mcgen.states import put_back, taken

# Multiplications in one kernel call: long enough to hide its start, short enough for progress and Ctrl-C; what a unit
# costs beside products; and numbers that a call gives back.
OPERATIONS_PER_CALL = 20_000_000_000
OPERATIONS_PER_DRAW = 96
GROWTHS_PER_CALL = 4_000_000


class Annealed(NamedTuple):
    """What came of annealing runs.

    log_weights : float64, shape (n_runs,)
        sum_k log f_{k+1}(v_k) - log f_k(v_k) of each.
    states : array of the model's dtype, shape (n_runs, n_visible)
        After the last sweep.
    """

    log_weights: np.ndarray
    states: np.ndarray


def check_path(betas: Sequence[float]) -> np.ndarray:
    """The inverse temperatures of annealing as float64, checked: increasing from 0 to 1.

    Parameters
    ----------
    betas : sequence of float

    Raises
    ------
    InputError
        If there are fewer than two, they do not increase, or they do not go from 0 to 1.

    Examples
    --------
    >>> from mcgen.rbm.partition.annealing import check_path
    >>> check_path([0, 0.5, 1]).tolist()
    [0.0, 0.5, 1.0]
    """
    betas = checks.finite_array("betas", betas, (None,)).astype(np.float64)
    if len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or (np.diff(betas) <= 0).any():
        shown = ", ".join(f"{beta:g}" for beta in betas[:3]) + ", ..." * (len(betas) > 3)
        raise InputError(f"betas=[{shown}] is no path; give increasing numbers from 0 (the reference) to 1 (the model)")
    return betas


def reference_states(reference: RBM, n_runs: int, seed: int) -> np.ndarray:
    """Independent draws of an independent model.

    Parameters
    ----------
    reference : RBM
        Without weights.
    n_runs : int
    seed : int

    Returns
    -------
    array of the model's dtype, shape (n_runs, n_visible)

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import annealing, path
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1)
    >>> annealing.reference_states(path.reference(model), 5, seed=2).shape
    (5, 6)
    """
    fields = np.broadcast_to(reference.visible_bias, (n_runs, reference.n_visible))
    return reference.visible.draw(fields, seed).astype(reference.dtype)


def anneal(
    reference: RBM,
    model: RBM,
    betas: np.ndarray,
    states: np.ndarray,
    seed: int,
    device: str = "cpu",
    progress: bool = False,
    label: str = "annealing",
) -> Annealed:
    """Carry every state along a sequence of inverse temperatures: its weight grows, then a sweep of the next model.

    A run from draws of the model at betas[0] has weights with the mean Z(betas[-1]) / Z(betas[0]). Block Gibbs sweeps
    are reversible, so that runs up and down a sequence are the same process forward and backward in time.

    Parameters
    ----------
    reference, model : RBM
        The ends of the path, see `path`.
    betas : float64, shape (n_betas,)
        In either direction.
    states : array, shape (n_runs, n_visible)
        Draws of the model at betas[0].
    seed : int
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.
    label : str
        Of the progress.

    Returns
    -------
    Annealed
        The same seed gives the same bits for any number of threads.

    Raises
    ------
    DeviceError
        If the device cannot be used, or its memory is too small.

    References
    ----------
    Neal, Stat. Comput. 11, 125 (2001), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import annealing, path
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1)
    >>> start = path.reference(model)
    >>> states = annealing.reference_states(start, 100, seed=2)
    >>> annealing.anneal(start, model, np.linspace(0, 1, 11), states, seed=3).log_weights.shape
    (100,)
    """
    target = backend.target(device)
    n_runs, n_steps = len(states), len(betas) - 1
    paths.check_room(stack([model]), n_runs, 0, device)
    arrays = (model.weights, np.ascontiguousarray(model.weights.T), model.visible_bias)
    prepared = (
        *map(target.to_device, (*arrays, reference.visible_bias, model.hidden_bias)),
        *model.visible.arguments_on(target),
        *model.hidden.arguments_on(target),
        chains_per_block(n_runs),
    )
    runs = _Runs(target.to_device(np.array(states, model.dtype, order="C")), np.zeros(n_runs))
    operations = 2 * model.weights.size + OPERATIONS_PER_DRAW * (model.n_visible + model.n_hidden)
    at_once = max(1, min(OPERATIONS_PER_CALL // (operations * n_runs), GROWTHS_PER_CALL // n_runs))
    with loops.begun() as loop:
        if loop.state is not None:
            put_back(runs, loop.state)
        with progress_bar(n_steps, label, progress, runs.n_steps) as bar:
            for first in range(runs.n_steps, n_steps, at_once):
                here = betas[first : first + at_once + 1]
                growths = target.to_device(np.empty((len(here) - 1, n_runs)))
                target.launch(
                    target.kernels("rbm.partition").annealing_sweeps,
                    n_runs,
                    max(model.weights.shape),
                    runs.visible,
                    growths,
                    *prepared,
                    target.to_device(here),
                    np.int64(first),
                    *rng.split_seed(seed),
                )
                growths = target.to_host(growths)
                runs.log_weights += growths.sum(axis=0)
                runs.n_steps += len(growths)
                loop.note(lambda: taken(runs))
                bar.update(len(growths))
    return Annealed(runs.log_weights, target.to_host(runs.visible))


class _Runs:
    """Where annealing runs are after so many steps."""

    KEPT = ("visible", "log_weights", "n_steps")  # see `mcgen.states`

    def __init__(self, visible: np.ndarray, log_weights: np.ndarray):
        self.visible, self.log_weights, self.n_steps = visible, log_weights, 0
