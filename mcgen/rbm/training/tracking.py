"""log Z along a training: bridges from each model to a later one, by the chains that the training has anyway.

Between two evaluations the model changes from f_0 to f_1. The chains before, of f_0, have the log weights F_0(v) -
F_1(v), the chains after F_1(v) - F_0(v), and Bennett's acceptance ratio makes log Z_1 - log Z_0 of both. A chain
remembers its past, so that successive differences are correlated: how much each chain moved every difference is added
up along the training, and the scatter of the sums is the error. Chains that lag behind their model, because it learns
faster than they mix, bias the sum by more than that error: the exact value, where it is cheap, tells.

State in, state out: what is followed is a tuple that can be saved.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.rbm import exact
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.partition.acceptance import acceptance_ratio, scatter
from mcgen.rbm.partition.ais import ais
from mcgen.rbm.partition.draws import draw_model
from mcgen.rbm.partition.result import LogPartition, checks_of, exact_value, warn_of_few_effective

# Annealing to a start model that is too large for the exact sum, and the sweeps of chains that begin there.
START_RUNS, START_TEMPERATURES, START_SWEEPS = 256, 400, 100


class Tracked(NamedTuple):
    """Where log Z has been followed to.

    model : RBM
    visible : float64 (n_chains, n_visible)
        States of the chains of the model.
    free_energies : float64 (n_chains,)
        F(v) of these.
    value : float
        log Z.
    start : LogPartition
        log Z of the model that it began with.
    influences : float64 (n_chains,)
        How much each chain has moved the value.
    smallest_overlap, effective_sample_size : float
        Of the weakest bridge so far: see `AcceptanceRatio`.
    n_bridges : int
    """

    model: RBM
    visible: np.ndarray
    free_energies: np.ndarray
    value: float
    start: LogPartition
    influences: np.ndarray
    smallest_overlap: float
    effective_sample_size: float
    n_bridges: int


def start_tracking(
    model: RBM,
    n_chains: int,
    seed: int,
    visible: np.ndarray | None = None,
    start: LogPartition | None = None,
    v: np.ndarray | None = None,
    device: str = "cpu",
) -> Tracked:
    """Begin with the start model of a training.

    log Z is exact where that takes a second, otherwise from annealed importance sampling of 256 runs at 400
    temperatures, which is precise for start models, whose units hardly feel each other. States of the chains that the
    training starts at rows of data are no draws of the start model: without `visible`, exact draws are taken, or chains
    of 100 sweeps.

    Parameters
    ----------
    model : RBM
    n_chains : int
        As many as the training has, at least 2.
    seed : int
        0 to 2**64 - 1.
    visible : array, shape (n_chains, n_visible), optional
        Independent draws of the start model, where there are.
    start : LogPartition, optional
        log Z of the start model, where it is known.
    v : array, shape (n_rows, n_visible), optional
        Data, for the reference of the annealing.
    device : {"cpu", "cuda"}

    Returns
    -------
    Tracked

    Raises
    ------
    InputError
        If an argument is out of range or a shape does not fit.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If the log Z of the start model cannot be trusted, or chains remember their start.

    References
    ----------
    Desjardins, Courville & Bengio, NIPS (2011): log Z tracked along a training.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.tracking import start_tracking
    >>> model = rbm.RBM.random(n_visible=8, n_hidden=4, seed=1)
    >>> tracked = start_tracking(model, n_chains=50, seed=2)
    >>> tracked.value == rbm.exact.log_partition(model), tracked.start.method
    (True, 'exact')
    """
    n_chains = checks.integer("n_chains", n_chains, 2)
    if visible is None:
        visible = draw_model(model, n_chains, rng.derive(seed, 0), burn_in=START_SWEEPS, device=device)[:, -1]
    visible = _checked(model, visible, n_chains)
    if start is None and exact.is_quick(model):
        start = exact_value(model, device)
    if start is None:
        start = ais(model, START_RUNS, START_TEMPERATURES, rng.derive(seed, 1), v, device=device)
    energies = free_energy_of_rows(model, visible, device)
    return Tracked(model, visible, energies, start.value, start, np.zeros(n_chains), 1.0, float(n_chains), 0)


def track(tracked: Tracked, model: RBM, visible: np.ndarray, device: str = "cpu") -> Tracked:
    """Follow log Z to a later model of the training; three products of the chains with weights.

    Parameters
    ----------
    tracked : Tracked
    model : RBM
        The present model, of the same units.
    visible : array, shape (n_chains, n_visible)
        The present states of the same chains, in their order, drawn from the present model.
    device : {"cpu", "cuda"}

    Returns
    -------
    Tracked

    Raises
    ------
    InputError
        If a shape does not fit or values are no states.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Bennett, J. Comput. Phys. 22, 245 (1976). Bereux, Decelle, Furtlehner, Rosset & Seoane, ICLR (2025),
    arXiv:2405.15376.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.tracking import start_tracking, track, tracked_log_partition
    >>> tracked = start_tracking(rbm.RBM.random(n_visible=8, n_hidden=4, seed=1), n_chains=400, seed=2)
    >>> for step in range(1, 5):
    ...     model = rbm.RBM.random(n_visible=8, n_hidden=4, seed=1, scale=0.2 * step)
    ...     tracked = track(tracked, model, rbm.exact.sample(model, 400, seed=step))
    >>> estimate = tracked_log_partition(tracked)
    >>> abs(estimate.deviation(estimate.checked_against[0])) < 3
    True
    """
    visible = _checked(model, visible, len(tracked.visible))
    here = free_energy_of_rows(model, visible, device)
    forward = tracked.free_energies - free_energy_of_rows(model, tracked.visible, device)
    reverse = here - free_energy_of_rows(tracked.model, visible, device)
    found = acceptance_ratio(forward, reverse)
    return Tracked(
        model=model,
        visible=visible,
        free_energies=here,
        value=tracked.value + found.value,
        start=tracked.start,
        influences=tracked.influences + sum(found.influences),
        smallest_overlap=min(tracked.smallest_overlap, found.overlap),
        effective_sample_size=min(tracked.effective_sample_size, found.effective_sample_size),
        n_bridges=tracked.n_bridges + 1,
    )


def tracking_error(tracked: Tracked) -> float:
    """One standard deviation of the value: that of the start and the scatter of the chains; infinite after a gap.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.tracking import start_tracking, tracking_error
    >>> tracking_error(start_tracking(rbm.RBM.random(n_visible=8, n_hidden=4, seed=1), n_chains=50, seed=2))
    0.0
    """
    if not np.isfinite(tracked.influences).all():
        return math.inf
    return math.hypot(tracked.start.error, scatter(tracked.influences))


def tracked_log_partition(tracked: Tracked, device: str = "cpu") -> LogPartition:
    """log Z of the present model as a result, checked against the exact value where that takes a second.

    Parameters
    ----------
    tracked : Tracked
    device : {"cpu", "cuda"}
        Of the exact sum.

    Returns
    -------
    LogPartition
        Its effective sample size is that of the weakest bridge on the way; `settings` has n_bridges, smallest_overlap
        and the log Z that it started from.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.tracking import start_tracking, tracked_log_partition
    >>> tracked = start_tracking(rbm.RBM.random(n_visible=8, n_hidden=4, seed=1), n_chains=50, seed=2)
    >>> tracked_log_partition(tracked).method
    'trajectory'
    """
    error, n_chains = tracking_error(tracked), len(tracked.visible)
    width = float(stdtrit(n_chains - 1, 0.975)) * error
    return LogPartition(
        value=tracked.value,
        error=error,
        effective_sample_size=tracked.effective_sample_size,
        method="trajectory",
        interval=(tracked.value - width, tracked.value + width),
        checked_against=checks_of(tracked.model, device),
        settings={
            "n_chains": n_chains,
            "n_bridges": tracked.n_bridges,
            "smallest_overlap": tracked.smallest_overlap,
            "start": tracked.start.value,
            "start_error": tracked.start.error,
            "start_method": tracked.start.method,
        },
    )


def warn_of_a_gap(tracked: Tracked, stacklevel: int = 2) -> bool:
    """Warn where two successive models had too few draws in common for log Z to be followed.

    Parameters
    ----------
    tracked : Tracked
    stacklevel : int
        Whose line the warning shows: 2 is the caller's.

    Returns
    -------
    bool
        Whether it warned.

    Warns
    -----
    StatisticsWarning
        If the weakest bridge rests on fewer than 20 effective draws.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.tracking import start_tracking, warn_of_a_gap
    >>> warn_of_a_gap(start_tracking(rbm.RBM.random(n_visible=8, n_hidden=4, seed=1), n_chains=50, seed=2))
    False
    """
    return warn_of_few_effective(
        tracked.effective_sample_size,
        len(tracked.visible),
        f"log Z along the training (smallest overlap of successive models {tracked.smallest_overlap:.2g})",
        "use a smaller learning rate, evaluate more often (evaluate_every), or estimate log Z of the last model afresh",
        stacklevel=stacklevel + 1,
    )


def _checked(model: RBM, visible: np.ndarray, n_chains: int) -> np.ndarray:
    visible = model.check_rows(visible, "visible").astype(np.float64)
    if len(visible) != n_chains:
        raise InputError(f"visible has {len(visible)} rows; the same {n_chains} chains are followed all the way")
    return visible
