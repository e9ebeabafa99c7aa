"""log Z from annealing in both directions: an estimate between two bounds that hold on average."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from mcgen import rng
from mcgen.errors import StatisticsWarning
from mcgen.rbm import exact
from mcgen.rbm.model import RBM
from mcgen.rbm.partition.acceptance import acceptance_ratio
from mcgen.rbm.partition.draws import check_starts, draw_model
from mcgen.rbm.partition.result import LogPartition, checks_of, warn_of_few_effective
from mcgen.rbm.partition.runs import (
    DRAWN,
    LONGER,
    RESAMPLED,
    forward_runs,
    from_forward,
    from_reverse,
    make_path,
    reverse_runs,
    settings_of,
)
from mcgen.rbm.partition.weights import TAIL, resampled

# Errors by which the ends lie outside of the two estimates.
WIDER = 4.0


def sandwich(
    model: RBM,
    n_runs: int = 512,
    n_temperatures: int = 2000,
    seed: int = 0,
    samples: np.ndarray | None = None,
    v: np.ndarray | None = None,
    reference: RBM | None = None,
    betas: Sequence[float] | None = None,
    adapt: bool = True,
    initial: np.ndarray | None = None,
    burn_in: int = 500,
    sampler: str = "gibbs",
    device: str = "cpu",
    progress: bool = False,
) -> LogPartition:
    """log Z by annealing in both directions, with Bennett's acceptance ratio of all runs as the value.

    The forward runs of `ais` give log Z from below, the runs of `reverse_ais` from above, as long as they are long
    enough to be noticed as such: where both agree, so does log Z. Runs in the two directions are one process forward
    and backward in time, and so the log weights w forward and w' in reverse obey Crooks' relation,
    p_reverse(-w') / p_forward(w) = e^{w - log Z / Z_reference}; the acceptance ratio is its solution by maximum
    likelihood, whose error is mostly much smaller than those of the two sides, because it lives on the runs whose
    weights both sides have.

    Parameters
    ----------
    model : RBM
        Of any units.
    n_runs : int
        Independent runs in each direction, at least 2.
    n_temperatures : int
        Models on the path, both ends included.
    seed, samples, v, reference, betas, adapt, initial, burn_in, sampler, device, progress
        As for `reverse_ais`; but where neither `samples`, `initial` nor `v` is given and the model cannot be drawn
        exactly, the chains start from the final states of the forward runs, drawn by their weights. Other starts tell
        more, because a mode that forward runs never find then shows as a gap between the two sides. If they are so far
        from the model that the sides come in the wrong order, that is said, and the final states are taken after all.

    Returns
    -------
    LogPartition
        `lower` is 4 errors below the forward value, `upper` 4 errors above the reverse value: ends that log Z hardly
        ever leaves, if the samples are those of the model. The interval is that of the acceptance ratio; where fewer
        than 20 effective runs carry it or one of the sides, it goes from end to end (these then enclose the intervals
        of both sides), and the error is half of that. `checked_against` has the two sides, and the exact value where
        that takes about a second.

    Raises
    ------
    InputError
        If an argument is out of range.
    DeviceError
        If the device cannot be used.
    KeyboardInterrupt
        After Ctrl-C; nothing is returned.

    Warns
    -----
    StatisticsWarning
        If fewer than 20 effective runs carry the value or a side, the two sides are in the wrong order by more than 4
        errors, or the chains disagree or remember where they started.

    References
    ----------
    Burda, Grosse & Salakhutdinov, AISTATS (2015). Grosse, Ghahramani & Adams, arXiv:1511.02543: both directions.
    Crooks, Phys. Rev. E 61, 2361 (2000). Bennett, J. Comput. Phys. 22, 245 (1976). Shirts, Bair, Hooker & Pande, Phys.
    Rev. Lett. 91, 140601 (2003). Krause, Fischer & Igel, Artif. Intell. 278, 103195 (2020): how such estimates fail.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import sandwich
    >>> model = rbm.RBM.random(n_visible=16, n_hidden=8, seed=1, scale=0.5)
    >>> a = sandwich(model, n_runs=32, n_temperatures=50, seed=5)
    >>> a.lower < rbm.exact.log_partition(model) < a.upper
    True
    """
    samples, initial = check_starts(model, samples, initial, v, burn_in, sampler)
    way = make_path(model, n_runs, n_temperatures, seed, v, reference, betas, adapt, device)
    runs = forward_runs(model, way, n_runs, seed, device, progress)
    settings = settings_of(way, n_runs, seed, device)

    def result(method: str, side: tuple) -> LogPartition:
        mean, value, interval = side
        return LogPartition(value, mean.error, mean.effective_sample_size, method, interval, settings=settings)

    def from_model(states: np.ndarray) -> tuple[np.ndarray, LogPartition]:
        reverse = reverse_runs(model, way, states, seed, device, progress)
        return reverse, result("reverse ais", from_reverse(way, reverse))

    def drawn(starts: np.ndarray | None) -> np.ndarray:
        if starts is None:
            starts = _resampled(runs.states, runs.log_weights, rng.derive(seed, RESAMPLED))
        return draw_model(model, n_runs, rng.derive(seed, DRAWN), starts, burn_in, sampler, device, progress)

    lower = result("ais", from_forward(way, runs.log_weights))
    reverse, upper = from_model(drawn(initial) if samples is None else samples)
    again = samples is None and initial is not None and not exact.is_quick(model)
    if _warn_of_order(lower, upper, again) and again:
        reverse, upper = from_model(drawn(None))
        _warn_of_order(lower, upper, False)
    ends = lower.value - WIDER * lower.error, upper.value + WIDER * upper.error
    # Where a side hangs on a few runs these may be the only trace of a mode that all others miss.
    hanging = [
        warn_of_few_effective(side.effective_sample_size, n, f"a side of the sandwich, {side.method},", LONGER)
        for side, n in ((lower, n_runs), (upper, len(reverse)))
    ]
    if any(hanging):
        ends = min(ends[0], lower.interval[0], upper.interval[0]), max(ends[1], lower.interval[1], upper.interval[1])
    both = acceptance_ratio(runs.log_weights, reverse)
    effective = both.effective_sample_size
    few = any(hanging) or warn_of_few_effective(effective, n_runs, "log Z by sandwich", LONGER)
    value, error = way.log_partition + both.value, both.error
    if few:  # the ends are all there is
        error = max(0.5 * abs(ends[1] - ends[0]), error if math.isfinite(error) else 0.0)
        interval = min(*ends, value), max(*ends, value)
    else:  # Student's t, because the error itself is known from that many runs only
        half = float(stdtrit(effective - 1, 1 - TAIL)) * error
        interval = value - half, value + half
    return LogPartition(
        value,
        error,
        effective,
        "sandwich",
        interval,
        lower=ends[0],
        upper=ends[1],
        checked_against=(*checks_of(model, device), lower, upper),
        settings=settings,
    )


def _resampled(states: np.ndarray, log_weights: np.ndarray, seed: int) -> np.ndarray:
    """As many states, each as often as its weight says."""
    shift = rng.uniforms(seed, rng.purpose.RBM_START, 1, 1)[0, 0]
    return states[resampled(np.exp(log_weights - log_weights.max()), shift)]


def _warn_of_order(lower: LogPartition, upper: LogPartition, again: bool) -> bool:
    """Warn if the forward value is above the reverse value by more than chance allows, and say what is done about it.

    Too large a mean of forward weights is rare whatever they are, so that it is the samples that are wrong.
    """
    gap, error = lower.value - upper.value, math.hypot(lower.error, upper.error)
    if gap <= WIDER * error:
        return False
    remedy = (
        "the chains that began at the given states are not at the distribution of the model, and begin again at the "
        "final states of the forward runs"
        if again
        else "the samples are not those of the model; raise burn_in, or take sampler='tempering'"
    )
    warnings.warn(
        f"annealing gives log Z = {lower.value:.6g} forward and less, {upper.value:.6g}, in reverse, "
        f"{gap / error:.1f} errors apart in the wrong order: {remedy}",
        StatisticsWarning,
        stacklevel=3,
    )
    return True
