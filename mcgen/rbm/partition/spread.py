"""What the draws of independent chains say about the error of a number that all of them have moved."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from mcgen import stats
from mcgen.rbm.partition.acceptance import scatter
from mcgen.rbm.partition.result import warn_of_few_effective
from mcgen.rbm.partition.simulation import Sampling
from mcgen.rbm.partition.weights import TAIL


class Spread(NamedTuple):
    """What the influences of draws say about a number.

    error : float
        One standard deviation.
    effective_sample_size : float
        How many independent draws of the ladder would give the same error; NaN where nothing varies.
    quantile : float
        Errors to each side that hold 95 percent: of Student's distribution, since chains are few.
    """

    error: float
    effective_sample_size: float
    quantile: float

    def interval(self, value: float, other_error: float = 0.0) -> tuple[float, float]:
        """95 percent about a value, with a further error that is not one of chance."""
        half = self.quantile * math.hypot(self.error, other_error)
        return value - half, value + half


def spread(influences: np.ndarray, sampling: Sampling, name: str, stacklevel: int = 3) -> Spread:
    """The error of a number that the draws of independent chains have moved by these influences.

    Parameters
    ----------
    influences : float64, shape (n_chains, n_draws)
        How much each draw of a ladder moved the number, to first order.
    sampling : Sampling
    name : str
        What the number is, for the message.
    stacklevel : int
        Whose line a warning names: 3 is who called the function that calls this one.

    Returns
    -------
    Spread
        Of the sums over whole chains, so that the memory of chains is part of it.

    Warns
    -----
    StatisticsWarning
        If the first draws still remember where the chains started, or long chains disagree: they may all have missed
        what none of them can leave or enter.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.partition.simulation import Sampling
    >>> from mcgen.rbm.partition.spread import spread
    >>> sampling = Sampling(n_chains=100, n_draws=50, thin=1, burn_in=0, seed=1, device="cpu", progress=False)
    >>> found = spread(np.random.default_rng(1).normal(size=(100, 50)) / 5000, sampling, "log Z")
    >>> round(found.error * 5000**0.5, 1), round(found.effective_sample_size, -3)
    (1.0, 5000.0)
    """
    if not np.isfinite(influences).all():
        return Spread(math.inf, 0.0, math.inf)
    n_chains = len(influences)
    error = scatter(influences.sum(axis=1))
    if stats.warn_of_short_burn_in(influences, sampling.thin, name, stacklevel + 1).enough:
        stats.warn_of_disagreement(stats.diagnose(influences), influences.shape, name, stacklevel + 1)
    independent = math.sqrt(influences.size) * float(influences.std())
    effective = influences.size * (independent / error) ** 2 if error > 0 else math.nan
    return Spread(error, effective, float(stdtrit(n_chains - 1, 1 - TAIL)))


def warn_of_weak_bridge(
    effective: np.ndarray, of_chains: float, n_draws: int, name: str, remedy: str, stacklevel: int = 3
) -> bool:
    """Warn where the draws that two neighbours share are worth too few independent ones.

    Parameters
    ----------
    effective : float64, shape (n_steps,)
        How many draws carry each step.
    of_chains : float
        How many independent draws all of them are worth.
    n_draws : int
        All draws of a model.
    name, remedy : str
        For the message.
    stacklevel : int
        Whose line the warning names: 3 is who called the function that calls this one.

    Returns
    -------
    bool
        Whether it warned.

    Warns
    -----
    StatisticsWarning
        If they are worth fewer than 20.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.partition.spread import warn_of_weak_bridge
    >>> warn_of_weak_bridge(np.array([500.0, 300.0]), 400.0, 1000, "log Z by bar", "raise n_draws")
    False
    """
    k = int(np.argmin(effective))
    carried = float(effective[k]) * min(1.0, of_chains / n_draws)
    return warn_of_few_effective(carried, n_draws, f"step {k} of {name}", remedy, stacklevel)
