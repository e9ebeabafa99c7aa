"""What a person asks of a series before believing its mean, in one line."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from mcgen.errors import StatisticsWarning
from mcgen.stats.correlation import mean
from mcgen.stats.estimate import Estimate
from mcgen.stats.r_hat import split_r_hat
from mcgen.stats.series import as_chains, is_constant

# Shorter chains say nothing about their own correlation.
FEWEST_DRAWS = 8
# Chains of so many draws ought to agree; few draws of many chains may be a good sample though each chain is short.
DRAWS_TO_AGREE, LARGEST_R_HAT = 50, 1.1


class Diagnosis(NamedTuple):
    """The mean of a series, and whether its chains agree.

    estimate : Estimate
        Mean and standard error, with the integrated autocorrelation time and the effective sample size.
    split_r_hat : float
        Near 1 where chains agree, see `split_r_hat`; NaN for short chains and where nothing varies.
    """

    estimate: Estimate
    split_r_hat: float

    def __str__(self) -> str:
        """As text: mean(error), R-hat, autocorrelation time in draws, effective sample size."""
        parts = [
            f"{label} {value:{digits}}" if math.isfinite(value) else f"{label} -"
            for label, value, digits in (
                ("R-hat", self.split_r_hat, ".3f"),
                ("tau", self.estimate.autocorrelation_time, ".2f"),
                ("ESS", self.estimate.effective_sample_size, ".0f"),
            )
        ]
        return "  ".join([str(self.estimate), *parts])


def diagnose(series: np.ndarray) -> Diagnosis:
    """Mean, error, autocorrelation time, effective sample size and split R-hat of a series.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)

    Returns
    -------
    Diagnosis
        Chains shorter than 8 draws cannot tell their correlation: the error is then that of independent chains (NaN for
        one chain), and the rest is NaN.

    Raises
    ------
    InputError
        If the shape does not fit or a value is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> print(stats.diagnose(np.random.default_rng(1).normal(size=(4, 1000))))
    -0.010(16)  R-hat 1.002  tau 1.00  ESS 4000
    """
    chains = as_chains(series)
    if chains.shape[1] < FEWEST_DRAWS or is_constant(chains):
        n_chains = len(chains)
        error = float(chains.mean(axis=1).std(ddof=1) / math.sqrt(n_chains)) if n_chains > 1 else math.nan
        return Diagnosis(Estimate(float(chains.mean()), error, math.nan, math.nan), math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)  # the numbers themselves tell it
        return Diagnosis(mean(chains), split_r_hat(chains))


def warn_of_disagreement(diagnosis: Diagnosis, shape: tuple[int, int], name: str, stacklevel: int = 2) -> bool:
    """Warn where long chains disagree, as they do when each is stuck in a part of the distribution.

    Parameters
    ----------
    diagnosis : Diagnosis
    shape : (n_chains, n_draws)
        Of the series. Of chains with fewer than 50 draws nothing is said.
    name : str
        What the series is, for the message.
    stacklevel : int
        Whose line the warning shows: 2 is the caller's.

    Returns
    -------
    bool
        Whether they agree.

    Warns
    -----
    StatisticsWarning
        If split R-hat is above 1.1.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> series = np.random.default_rng(1).normal(size=(4, 100))
    >>> stats.warn_of_disagreement(stats.diagnose(series), series.shape, "energy")
    True
    """
    n_chains, n_draws = shape
    if n_chains < 2 or n_draws < DRAWS_TO_AGREE or not diagnosis.split_r_hat > LARGEST_R_HAT:
        return True
    warnings.warn(
        f"the chains disagree on the {name} (split R-hat {diagnosis.split_r_hat:.3g}, and above {LARGEST_R_HAT:g} the "
        "mean and its error cannot be trusted): run longer chains, or use a sampler that leaves modes (tempering, say)",
        StatisticsWarning,
        stacklevel=stacklevel,
    )
    return False
