"""Whether chains still remember where they started."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import StatisticsWarning
from mcgen.stats.series import as_chains

# The chance of an alarm for chains that had reached their distribution before the first draw is below this.
FALSE_ALARM = 5e-5
# Once there is an alarm, draws are discarded until the rest would look like this with at least this probability.
SETTLED = 0.05
# From this many chains on, differences of less than the spread of one chain are noticed by their sum alone.
CROWD = 64


class BurnIn(NamedTuple):
    """Whether the start of chains is forgotten.

    enough : bool
        False where the first draws still differ from the later ones. True also where the draws are too few to say.
    n_draws_to_discard : int
        Draws at the beginning of each chain that differ; all of them where no end of the drift is in sight.
    n_sweeps_to_add : int
        The same in sweeps, to be added to the burn-in.
    p_value : float
        An upper bound of the chance that chains without memory of their start differ as much.
    """

    enough: bool
    n_draws_to_discard: int
    n_sweeps_to_add: int
    p_value: float


def check_burn_in(series: np.ndarray, thin: int = 1) -> BurnIn:
    """Whether the first draws of the chains differ from the later ones, as they do if the burn-in was too short.

    Nothing is assumed about the autocorrelation time or the distribution of the draws. A chain that has reached its
    distribution looks the same in both directions of time (by detailed balance; sweeps in a fixed order break it
    slightly, and still leave the mean below at 0), so the mean of its first l draws less that of its last l draws, d,
    has a symmetric distribution, and over independent chains

        P(|sum d| / sqrt(sum d^2) >= z) <= 2 exp(-z^2 / 2),    l = 1, 2, 4, ..., half a chain,

    whatever the distribution. Since z is at most sqrt(n_chains), this needs 22 chains. Fewer than 64 are also compared
    one by one: the first l draws are ranked among all K + 1 stretches of l draws of their chain. In a chain as rough as
    a random walk, or forgetting faster, they are among the k + 1 highest with at most the probability q(k, K) of the
    arcsine law, and in all chains, in one direction or the other, with at most 2 q^n_chains. Three chains of 400 draws
    or four of 70 can then say something. One chain cannot: that it happens to leave a rare state in its first draws is
    more likely than the false alarms allowed here, 5 in 10^5.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)
        An observable of the draws, such as the energy. The chains must be independent.
    thin : int
        Sweeps between draws.

    Returns
    -------
    BurnIn
        The number of draws to discard is twice that after which the rest shows nothing at the level of 5 percent: a
        difference too small to be noticed still biases averages.

    Raises
    ------
    InputError
        If the shape does not fit, a value is NaN or infinite, or thin is not a positive integer.

    References
    ----------
    Efron, J. Amer. Statist. Assoc. 64, 1278 (1969): the bound for symmetric distributions. Feller, An Introduction to
    Probability Theory and Its Applications, vol. 2 (1971), section XII.8: the arcsine law, which is exact for random
    walks of any symmetric continuous step.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> settled = np.random.default_rng(1).normal(size=(100, 500))
    >>> drifting = settled + 3.0 * np.exp(-np.arange(500) / 10)
    >>> stats.check_burn_in(settled).enough, stats.check_burn_in(drifting, thin=5).n_sweeps_to_add
    (True, 320)
    """
    chains = as_chains(series)
    thin = checks.integer("thin", thin, 1)
    p_value = _p_value(chains, FALSE_ALARM)
    if p_value >= FALSE_ALARM:
        return BurnIn(True, 0, 0, p_value)
    n_draws = chains.shape[1]
    starts = [2**k for k in range(n_draws.bit_length()) if 2**k < n_draws]
    drifting = [start for start in starts if _p_value(chains[:, start:], SETTLED) < SETTLED]
    # Twice the first start of all those from which on nothing is seen.
    discard = min(4 * max(drifting) if drifting else 2, n_draws)
    return BurnIn(False, discard, discard * thin, p_value)


def warn_of_short_burn_in(series: np.ndarray, thin: int = 1, name: str = "series", stacklevel: int = 2) -> BurnIn:
    """Warn where `check_burn_in` finds that the chains still remember their start.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)
    thin : int
        Sweeps between draws.
    name : str
        What the series is, for the message.
    stacklevel : int
        Whose line the warning shows: 2 is the caller's.

    Returns
    -------
    BurnIn

    Raises
    ------
    InputError
        If the shape does not fit, a value is NaN or infinite, or thin is not a positive integer.

    Warns
    -----
    StatisticsWarning
        Names the number of sweeps to add to burn_in.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> stats.warn_of_short_burn_in(np.random.default_rng(1).normal(size=(100, 500))).enough
    True
    """
    result = check_burn_in(series, thin)
    if not result.enough:
        n_draws = np.shape(series)[-1]
        extent = "all" if result.n_draws_to_discard == n_draws else f"the first {result.n_draws_to_discard}"
        warnings.warn(
            f"the {name} still remembers the start of the chains in {extent} of {n_draws} draws: add at least "
            f"{result.n_sweeps_to_add} sweeps to burn_in, or discard these draws",
            StatisticsWarning,
            stacklevel=stacklevel,
        )
    return result


def _p_value(chains: np.ndarray, level: float) -> float:
    """The smallest bound over all lengths of the first stretch, times the number of comparisons.

    Comparisons whose bound cannot fall below the level, whatever the draws, are not made.
    """
    lengths = [2**k for k in range(chains.shape[1].bit_length() - 1)]
    # Sums of equal numbers in another order differ by their rounding, which is no difference.
    rounding = 1e-12 * max(-float(chains.min()), float(chains.max()))
    bounds = _bounds_of_a_crowd(chains, lengths, level, rounding)
    bounds += _bounds_one_by_one(chains, lengths, level, rounding)
    return min([1.0, *(bound * len(bounds) for bound in bounds)])


def _bounds_of_a_crowd(chains: np.ndarray, lengths: list[int], level: float, rounding: float) -> list[float]:
    """For each length, the bound on the chance of the summed differences between first and last draws."""
    if 2.0 * math.exp(-0.5 * len(chains)) > level:
        return []
    n_draws = chains.shape[1]
    differences = np.zeros(len(chains))
    bounds, summed = [], 0
    for length in lengths:
        differences += chains[:, summed:length].sum(axis=1) - chains[:, n_draws - length : n_draws - summed].sum(axis=1)
        summed = length
        moved = differences[np.abs(differences) > rounding * length]
        z = moved.sum() / math.sqrt(np.vdot(moved, moved)) if moved.size else 0.0
        bounds.append(2.0 * math.exp(-0.5 * z**2))
    return bounds


def _bounds_one_by_one(chains: np.ndarray, lengths: list[int], level: float, rounding: float) -> list[float]:
    """For each length, the bound on the chance of the rank that the first stretch has in every chain."""
    n_chains, n_draws = chains.shape
    bounds = []
    if n_chains >= CROWD:
        return bounds
    stretches = chains
    for length in lengths:
        n_later = n_draws // length - 1
        if 2.0 * _arcsine_law(0, n_later) ** n_chains > level:  # nor would longer ones say anything
            break
        if length > 1:
            stretches = stretches[:, : 2 * (stretches.shape[1] // 2)].reshape(n_chains, -1, 2).mean(axis=2)
        differences = stretches[:, 1:] - stretches[:, :1]
        # Ties count against the evidence.
        above = int((differences >= -rounding).sum(axis=1).max())
        below = int((differences <= rounding).sum(axis=1).max())
        bounds.append(2.0 * _arcsine_law(min(above, below), n_later) ** n_chains)
    return bounds


def _arcsine_law(n_above: int, n_steps: int) -> float:
    """The probability that at most n_above of n_steps later places of a random walk lie above its start.

    P(k) = b(k) b(n - k) with b(k) = (2k)! / (2^k k!)^2. Beyond one half it is no bound for chains that forget faster.
    """
    if 2 * n_above >= n_steps:
        return 1.0
    k = np.arange(1, n_steps + 1)
    b = np.cumprod(np.concatenate([[1.0], (2 * k - 1) / (2 * k)]))
    return float(np.vdot(b[: n_above + 1], b[::-1][: n_above + 1]))
