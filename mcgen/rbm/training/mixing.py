"""Whether the chains of a training still mix, and how many sweeps they need between two steps."""

import math
import warnings
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from mcgen import checks, stats
from mcgen.errors import InputError, StatisticsWarning
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.partition.weights import effective_number
from mcgen.rbm.sampling import Chains
from mcgen.stats.diagnosis import LARGEST_R_HAT

# Chains whose autocorrelation is measured, and the first length of the record of their sweeps. It is doubled until it
# has so many autocorrelation times.
MEASURED_CHAINS, FIRST_SWEEPS = 32, 32
TIMES_IN_RECORD = 10
# Sweeps between two steps, in autocorrelation times: two are enough for nearly independent draws.
STEPS_IN_TIMES = 2.0
MOST_GIBBS_STEPS = 100


class Mixing(NamedTuple):
    """How chains moved while they were recorded.

    r_hat : float
        The largest split R-hat of the series; NaN if they are shorter than 8 records, or nothing varies.
    autocorrelation_time : float
        The longest integrated autocorrelation time, in sweeps: at least the distance of two records, and little more
        than a lower bound where R-hat is far above 1. NaN as above.
    effective_chains : float
        How many new independent draws the sweeps before one step are worth: the chains (or with weights their effective
        number (sum w)^2 / sum w^2) times gibbs_steps / autocorrelation_time, where that is below 1.
    n_sweeps : int
        Sweeps from the first record to the last.
    gibbs_steps : int
        Sweeps before each step.
    """

    r_hat: float
    autocorrelation_time: float
    effective_chains: float
    n_sweeps: int
    gibbs_steps: int


class GibbsSteps(NamedTuple):
    """A number of sweeps for each step, chosen from the autocorrelation of chains.

    gibbs_steps : int
    autocorrelation_time : float
        In sweeps; NaN where nothing varied.
    at_limit : bool
        Whether more sweeps would have been chosen if more were allowed.
    """

    gibbs_steps: int
    autocorrelation_time: float
    at_limit: bool


def diagnose_chains(
    series: np.ndarray, sweeps_between: int, gibbs_steps: int, weights: np.ndarray | None = None
) -> Mixing:
    """What a record of chains says of their mixing, while their model changes.

    What all chains have in common at one time, such as a free energy that drifts as the model learns, is taken away
    before: R-hat and autocorrelation are of the differences between chains, which vanish as fast as they mix.

    Parameters
    ----------
    series : array, shape (n_chains, n_times) or (n_series, n_chains, n_times)
        Of each chain, such as its free energy and magnetisation, at equal distances; of several series the worst
        counts.
    sweeps_between : int
        Sweeps between two records.
    gibbs_steps : int
        Sweeps before each step.
    weights : array, shape (n_chains,), optional
        Of the chains, where they do not count alike.

    Returns
    -------
    Mixing

    Raises
    ------
    InputError
        If a shape does not fit, a value is NaN or infinite, or a number is out of range.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter & Buerkner, Bayesian Analysis 16, 667 (2021); Sokal (1997), section 3. Decelle,
    Furtlehner & Seoane, NeurIPS (2021): training with chains that do not mix.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.training.mixing import diagnose_chains
    >>> drift = np.linspace(0, 100, 50)
    >>> noise = np.random.default_rng(1).normal(size=(100, 50))
    >>> good = diagnose_chains(noise + drift, sweeps_between=5, gibbs_steps=5)
    >>> round(good.r_hat, 1), good.autocorrelation_time, good.effective_chains
    (1.0, 5.0, 100.0)
    """
    series = checks.finite_array("series", series).astype(np.float64)
    sweeps_between = checks.integer("sweeps_between", sweeps_between, 1)
    gibbs_steps = checks.integer("gibbs_steps", gibbs_steps, 1)
    if series.ndim not in (2, 3) or 0 in series.shape:
        raise InputError(
            f"series has shape {series.shape}; give (n_chains, n_times), or (n_series, n_chains, n_times) for several"
        )
    series = series.reshape(-1, *series.shape[-2:])
    _, n_chains, n_times = series.shape
    n_effective = float(n_chains)
    if weights is not None:
        weights = checks.finite_array("weights", weights, (n_chains,)).astype(np.float64)
        n_effective = effective_number(weights)
    if n_chains > 1:
        series = series - series.mean(axis=1, keepdims=True)
    diagnoses = [stats.diagnose(one) for one in series]
    time = sweeps_between * _largest(one.estimate.autocorrelation_time for one in diagnoses)
    effective = n_effective * min(1.0, gibbs_steps / time) if time > 0 else math.nan
    n_sweeps = sweeps_between * (n_times - 1)
    return Mixing(_largest(one.split_r_hat for one in diagnoses), time, effective, n_sweeps, gibbs_steps)


def warn_of_stuck_chains(mixing: Mixing, swaps: bool = False, stacklevel: int = 2) -> bool:
    """Warn where chains have stopped mixing, so that the negative phase is no longer that of the model.

    Parameters
    ----------
    mixing : Mixing
    swaps : bool
        Whether the chains swap with those of other models already.
    stacklevel : int
        Whose line the warning shows: 2 is the caller's.

    Returns
    -------
    bool
        Whether it warned.

    Warns
    -----
    StatisticsWarning
        If split R-hat is above 1.1.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.training.mixing import diagnose_chains, warn_of_stuck_chains
    >>> noise = np.random.default_rng(1).normal(size=(100, 50))
    >>> warn_of_stuck_chains(diagnose_chains(noise, sweeps_between=5, gibbs_steps=5))
    False
    """
    if not mixing.r_hat > LARGEST_R_HAT:
        return False
    warnings.warn(
        f"the chains of the training have stopped mixing: in {mixing.n_sweeps} sweeps they disagree (split R-hat "
        f"{mixing.r_hat:.3g}, above {LARGEST_R_HAT:g}; autocorrelation time {mixing.autocorrelation_time:.3g} sweeps "
        f"or more), so that the negative phase is not that of the model; raise gibbs_steps={mixing.gibbs_steps}, lower "
        "the learning rate, or use "
        + ("fewer hidden units or larger penalties" if swaps else "negative_phase='tempering'"),
        StatisticsWarning,
        stacklevel=stacklevel + 1,
    )
    return True


def automatic_gibbs_steps(
    model: RBM, visible: np.ndarray, seed: int, least: int = 1, most: int = MOST_GIBBS_STEPS, device: str = "cpu"
) -> GibbsSteps:
    """The Gibbs sweeps between two steps that chains of this model need: twice their autocorrelation time.

    Copies of up to 32 chains are swept and the longest integrated autocorrelation time is taken of the free energy, the
    magnetisation, and the projection of v on the leading left singular vector of the weights, along which an RBM learns
    first and mixes last. The record grows until it holds ten autocorrelation times, or the limit is certain.

    Parameters
    ----------
    model : RBM
    visible : array, shape (n_chains, n_visible)
        States of chains of the model, which are not changed.
    seed : int
        0 to 2**64 - 1; another one for each call.
    least, most : int
        Limits of the answer.
    device : {"cpu", "cuda"}

    Returns
    -------
    GibbsSteps
        Chains that do not move at all, and those that disagree, get the largest number.

    Raises
    ------
    InputError
        If a shape does not fit or a number is out of range.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Sokal (1997), section 3. Decelle, Fissore & Furtlehner, EPL 119, 60001 (2017): the leading singular vector.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.mixing import automatic_gibbs_steps
    >>> independent = rbm.RBM(np.zeros((9, 4)), np.ones(9), np.zeros(4))
    >>> automatic_gibbs_steps(independent, np.ones((16, 9)), seed=1).gibbs_steps
    2
    """
    visible = model.check_rows(visible, "visible")
    least = checks.integer("least", least, 1)
    most = checks.integer("most", most, least)
    chains = Chains(visible[:MEASURED_CHAINS].copy(), seed)
    chains.advance(model, 1, device=device)  # states that came from elsewhere are one sweep nearer to the model
    leading = leading_vector(model)
    record = np.empty((3, len(chains.visible), 0))
    time, n_sweeps = math.nan, FIRST_SWEEPS
    while True:
        states = chains.advance(model, n_sweeps, n_sweeps, device)
        rows = states.reshape(-1, model.n_visible).astype(np.float64)
        energies = free_energy_of_rows(model, rows, device)
        new = np.stack([energies, rows.sum(axis=1), rows @ leading]).reshape(3, *states.shape[:2])
        record = np.concatenate([record, new], axis=2)
        n_sweeps = record.shape[2]
        time = _largest(map(stats.integrated_time, record))
        wanted = STEPS_IN_TIMES * time
        if TIMES_IN_RECORD * time <= n_sweeps or wanted > most or n_sweeps >= TIMES_IN_RECORD * most:
            break
    steps = most if math.isnan(time) else round(wanted)
    return GibbsSteps(min(max(steps, least), most), time, math.isnan(time) or wanted > most)


def leading_vector(model: RBM) -> np.ndarray:
    """The left singular vector of the weights of the largest singular value, up to a factor.

    Parameters
    ----------
    model : RBM

    Returns
    -------
    float64, shape (n_visible,)

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.mixing import leading_vector
    >>> x = leading_vector(rbm.RBM([[1.0, 0.0], [2.0, 0.0]], [0.0, 0.0], [0.0, 0.0]))
    >>> round(float(x[1] / x[0]), 9)
    2.0
    """
    W = model.weights.astype(np.float64)
    last = min(W.shape) - 1
    if W.shape[0] <= W.shape[1]:
        return eigh(W @ W.T, subset_by_index=[last, last])[1][:, 0]
    return W @ eigh(W.T @ W, subset_by_index=[last, last])[1][:, 0]


def _largest(values: object) -> float:
    """The largest number; NaN only where all are."""
    return math.nan if all(map(math.isnan, values := list(values))) else float(np.nanmax(values))
