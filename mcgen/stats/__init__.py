"""Statistics of Markov chains: error bars, autocorrelation, convergence.

A series is an array of shape (n_draws,) or (n_chains, n_draws).
"""

from mcgen.stats.blocking import Blocking, blocking
from mcgen.stats.burn_in import BurnIn, check_burn_in, warn_of_short_burn_in
from mcgen.stats.correlation import autocorrelation, effective_sample_size, integrated_time, mean, mean_of_rows
from mcgen.stats.diagnosis import Diagnosis, diagnose, warn_of_disagreement
from mcgen.stats.estimate import Estimate, format_error
from mcgen.stats.r_hat import split_r_hat
from mcgen.stats.resampling import bootstrap, bootstrap_percentiles, jackknife

__all__ = [
    "Blocking",
    "BurnIn",
    "Diagnosis",
    "Estimate",
    "autocorrelation",
    "blocking",
    "bootstrap",
    "bootstrap_percentiles",
    "check_burn_in",
    "diagnose",
    "effective_sample_size",
    "format_error",
    "integrated_time",
    "jackknife",
    "mean",
    "mean_of_rows",
    "split_r_hat",
    "warn_of_disagreement",
    "warn_of_short_burn_in",
]
