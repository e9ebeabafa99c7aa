"""Where on the path a given number of temperatures is spent best: at equal distances of thermodynamic length.

A step adds (beta' - beta) d log f / d beta to the log weight of a run. Over an interval of m steps that sum has the
variance m (beta' - beta)^2 zeta(beta), where zeta is the variance of d log f / d beta among the states at beta times
its autocorrelation time in sweeps. For a given number of steps the variance of log w is smallest if they are taken in
proportion to 1 / sqrt(zeta): slowly where the states vary much, and where they forget slowly.

References
----------
Sivak & Crooks, Phys. Rev. Lett. 108, 190602 (2012): the metric with the relaxation time. Gelman & Meng, Stat. Sci. 13,
163 (1998), section 4.3: without it.
"""

import numpy as np

from mcgen import rng
from mcgen.rbm.model import RBM
from mcgen.rbm.partition.annealing import anneal, reference_states

# The pilot takes these parts of the temperatures and the runs, its runs within these limits, in so many intervals.
PART_OF_STEPS, INTERVALS = 10, 20
PART_OF_RUNS, FEWEST_RUNS, MOST_RUNS = 8, 32, 128
# This share of the temperatures is spread evenly in beta, so that what a short pilot run overlooks is not left bare.
EVEN_SHARE = 0.2


def at_equal_lengths(pilot_betas: np.ndarray, speeds: np.ndarray, n_temperatures: int) -> np.ndarray:
    """Inverse temperatures at equal distances of the length int (speed + an even share) dbeta.

    Parameters
    ----------
    pilot_betas : float64, shape (n,)
        Increasing.
    speeds : float64, shape (n - 1,)
        Length per beta of each interval.
    n_temperatures : int
        Both ends included.

    Returns
    -------
    float64, shape (n_temperatures,)
        The ends are those of pilot_betas.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.partition.spacing import at_equal_lengths
    >>> at_equal_lengths(np.array([0.0, 0.5, 1.0]), np.array([1.0, 3.0]), 6).round(3).tolist()
    [0.0, 0.333, 0.571, 0.714, 0.857, 1.0]
    """
    steps = np.diff(pilot_betas)
    lengths = speeds * steps
    even = steps / steps.sum()
    shares = even if lengths.sum() == 0 else (1 - EVEN_SHARE) * lengths / lengths.sum() + EVEN_SHARE * even
    reached = np.concatenate([[0.0], np.cumsum(shares)])
    betas = np.interp(np.linspace(0, reached[-1], n_temperatures), reached, pilot_betas)
    betas[0], betas[-1] = pilot_betas[0], pilot_betas[-1]
    return betas


def adapted(reference: RBM, model: RBM, n_temperatures: int, n_runs: int, seed: int, device: str = "cpu") -> np.ndarray:
    """Inverse temperatures for a budget of n_temperatures x n_runs, after a pilot run of about a percent of it.

    Parameters
    ----------
    reference, model : RBM
        The ends of the path.
    n_temperatures : int
        Both ends included.
    n_runs : int
    seed : int
        Of the pilot run, whose states are not used again: the estimate is as unbiased as with fixed temperatures.
    device : {"cpu", "cuda"}

    Returns
    -------
    float64, shape (n_temperatures,)
        From 0 to 1.

    Raises
    ------
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import path, spacing
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1)
    >>> spacing.adapted(path.reference(model), model, 50, 100, seed=2).shape
    (50,)
    """
    n_steps = max(1, n_temperatures // (PART_OF_STEPS * INTERVALS))
    n_pilots = min(max(n_runs // PART_OF_RUNS, FEWEST_RUNS), MOST_RUNS)
    ends = np.linspace(0, 1, INTERVALS + 1)
    states = reference_states(reference, n_pilots, rng.derive(seed, 0))
    deviations = np.empty(INTERVALS)
    for k in range(INTERVALS):
        betas = np.linspace(ends[k], ends[k + 1], n_steps + 1)
        log_weights, states = anneal(reference, model, betas, states, rng.derive(seed, 1 + k), device)
        deviations[k] = log_weights.std()
    return at_equal_lengths(ends, deviations * INTERVALS, n_temperatures)
