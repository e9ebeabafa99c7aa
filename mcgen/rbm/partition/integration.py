"""log Z by thermodynamic integration along the path from independent units to a model.

At the inverse temperature beta, d log Z / d beta = <g> with

    g(v) = (b - b0).v + sum_j y_j Gamma_j'(beta y_j),   y_j = c_j + sum_i v_i W_ij,

and the second derivative is <g^2> - <g>^2 + <k>, k(v) the variance of sum_j y_j h_j given v. Both are measured at the
rungs of a ladder, and integrated by the trapezoidal rule with the first correction of Euler and Maclaurin, which is
exact for polynomials of the third degree in each interval:

    int_a^b g = h (g_a + g_b) / 2 + h^2 (g'_a - g'_b) / 12 + O(h^5),   h = b - a.

References
----------
Kirkwood, J. Chem. Phys. 3, 300 (1935). Gelman & Meng, Stat. Sci. 13, 163 (1998): path sampling. Hummer, J. Chem. Phys.
105, 2004 (1996): the second derivative at the rungs.
"""

import math

import numpy as np

from mcgen import checks, rng
from mcgen.rbm.exact.products import rows_times
from mcgen.rbm.model import RBM
from mcgen.rbm.partition import path
from mcgen.rbm.partition.result import LogPartition, checks_of
from mcgen.rbm.partition.rungs import MOST_RUNGS, Ladder, halved, ladder_to
from mcgen.rbm.partition.simulation import Sampling, series_of, settings_of
from mcgen.rbm.partition.spread import spread
from mcgen.rbm.units import Potts

# How often the number of rungs is doubled.
MOST_ROUNDS = 4
# Without a rung between the ends nothing says what the rule costs.
FEWEST_RUNGS = 3


def thermodynamic_integration(
    model: RBM,
    n_chains: int = 256,
    n_draws: int = 100,
    thin: int = 2,
    burn_in: int = 200,
    n_temperatures: int | None = None,
    seed: int = 0,
    v: np.ndarray | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> LogPartition:
    """log Z as the integral of its derivative along the path from independent units to the model.

    Parameters
    ----------
    model : RBM
    n_chains, n_draws : int
        Independent chains of the whole ladder, and draws of every rung in each.
    thin, burn_in : int
        Sweeps between draws, and before the first.
    n_temperatures : int, optional
        Rungs of the ladder, at least 3; by default twice as many as the overlap of neighbours asks for, and twice as
        many again as long as the rule costs more than chance does.
    seed : int
        0 to 2**64 - 1. The same seed gives the same result for any number of threads.
    v : array, shape (n_rows, n_visible), optional
        Data: the ladder then begins with independent units of their means, else with the means of a short run.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    LogPartition
        `settings["discretisation_error"]` is the part of the error that comes from the rule: a third of what changes
        when every second rung is left out. That is right for a rule of the second order; this one is of the fourth, but
        not before the steps are as small as what happens on the way. It is a part of `error`.

    Raises
    ------
    InputError
        If an argument is out of range, or the ladder would have more than 500 rungs.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If chains still remember where they started.

    References
    ----------
    Kirkwood, J. Chem. Phys. 3, 300 (1935). Gelman & Meng, Stat. Sci. 13, 163 (1998).

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import integration
    >>> model = rbm.RBM.random(n_visible=12, n_hidden=6, seed=1, scale=0.5)
    >>> estimate = integration.thermodynamic_integration(model, n_chains=64, n_draws=20, seed=2)
    >>> abs(estimate.value - rbm.exact.log_partition(model)) < 4 * estimate.error
    True
    """
    sampling = Sampling(n_chains, n_draws, thin, burn_in, seed, device, progress).checked()
    if n_temperatures is not None:
        n_temperatures = checks.integer("n_temperatures", n_temperatures, FEWEST_RUNGS, MOST_RUNGS)
    ladder = ladder_to(model, n_temperatures, v, sampling)
    name = "log Z by thermodynamic integration"
    for attempt in range(1 if n_temperatures else MOST_ROUNDS):
        if n_temperatures is None:
            ladder = halved(ladder)
        own = sampling._replace(seed=rng.derive(seed, 20 + attempt))
        derivative, curvature = derivatives(ladder, own)
        value, influences = integral(ladder.betas, derivative, curvature)
        coarse = [
            integral(ladder.betas[rungs], derivative[rungs], curvature[rungs])[0]
            for rungs in every_second(len(ladder.betas))
        ]
        rule = max(abs(one - value) for one in coarse) / 3
        found = spread(influences, sampling, name)
        if rule <= found.error or 2 * len(ladder.betas) > MOST_RUNGS:
            break
    value += path.log_partition_of_independent(ladder.reference)
    return LogPartition(
        value=value,
        error=math.hypot(found.error, rule),
        effective_sample_size=found.effective_sample_size,
        method="thermodynamic integration",
        interval=found.interval(value, rule),
        checked_against=checks_of(model, device),
        settings=settings_of(sampling, ladder.reference) | {"betas": ladder.betas, "discretisation_error": rule},
    )


def every_second(n_rungs: int) -> list[np.ndarray]:
    """The rungs of ladders that lack every second one, but have both ends.

    Of an even number of rungs two are left next to each other: at the last end, and in another ladder at the first.

    Examples
    --------
    >>> from mcgen.rbm.partition.integration import every_second
    >>> [rungs.tolist() for rungs in every_second(5)], [rungs.tolist() for rungs in every_second(4)]
    ([[0, 2, 4]], [[0, 2, 3], [0, 1, 3]])
    """
    rungs = np.append(np.arange(0, n_rungs - 1, 2), n_rungs - 1)
    return [rungs] if n_rungs % 2 else [rungs, n_rungs - 1 - rungs[::-1]]


def derivatives(ladder: Ladder, sampling: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """g and k of the draws of every rung: float64, shape (n_rungs, n_chains, n_draws) each.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.integration import derivatives
    >>> from mcgen.rbm.partition.rungs import ladder_to
    >>> from mcgen.rbm.partition.simulation import Sampling
    >>> model = rbm.RBM.random(n_visible=4, n_hidden=2, seed=1)
    >>> sampling = Sampling(n_chains=10, n_draws=5, thin=1, burn_in=2, seed=1, device="cpu", progress=False)
    >>> derivatives(ladder_to(model, 3, None, sampling), sampling)[0].shape
    (3, 10, 5)
    """
    reference, model, betas, _ = ladder
    weights, hidden_bias = model.weights.astype(np.float64), model.hidden_bias.astype(np.float64)
    difference = (model.visible_bias.astype(np.float64) - reference.visible_bias)[:, None]

    def measure(states: np.ndarray) -> np.ndarray:
        n_rungs, n_chains, n_visible = states.shape
        rows = np.ascontiguousarray(states.reshape(-1, n_visible), np.float64)
        scales = np.repeat(betas, n_chains)[:, None]
        y = rows_times(rows, weights) + hidden_bias
        means, variances = (f(scales * y, sampling.device) for f in (model.hidden.mean, model.hidden.variance))
        first = rows_times(rows, difference)[:, 0] + (y * means).sum(axis=1)
        second = (y * y * variances).sum(axis=1)
        if isinstance(model.hidden, Potts):
            # The states of one unit exclude each other: sum_k y_k^2 p_k - (sum_k y_k p_k)^2.
            of_units = (y * means).reshape(len(y), -1, model.hidden.q).sum(axis=2)
            second = (y * y * means).sum(axis=1) - (of_units**2).sum(axis=1)
        return np.stack([first, second]).reshape(2, n_rungs, n_chains)

    first, second = series_of(measure, ladder.stack, ladder.visible, sampling, "integration sweeps")
    return first, second


def integral(betas: np.ndarray, derivative: np.ndarray, curvature: np.ndarray) -> tuple[float, np.ndarray]:
    """The corrected trapezoidal rule, and how much each draw moved it.

    Parameters
    ----------
    betas : float64, shape (n_rungs,)
    derivative, curvature : float64, shape (n_rungs, n_chains, n_draws)
        g and k, see above.

    Returns
    -------
    value : float
    influences : float64, shape (n_chains, n_draws)

    Examples
    --------
    g = beta^3, which does not vary, and k = 3 beta^2:

    >>> import numpy as np
    >>> from mcgen.rbm.partition.integration import integral
    >>> betas = np.array([0.0, 0.3, 1.0])
    >>> derivative, curvature = betas[:, None, None] ** 3 * np.ones((3, 2, 2)), 3 * betas[:, None, None] ** 2
    >>> round(integral(betas, derivative, curvature * np.ones((3, 2, 2)))[0], 12)
    0.25
    """
    steps = np.diff(betas)
    weights = 0.5 * (np.append(steps, 0.0) + np.append(0.0, steps))
    corrections = (np.append(steps**2, 0.0) - np.append(0.0, steps**2)) / 12
    means = derivative.mean(axis=(1, 2), keepdims=True)
    slopes = (derivative - means) ** 2 + curvature
    moved = np.tensordot(weights, derivative, axes=1) + np.tensordot(corrections, slopes, axes=1)
    return float(moved.mean()), (moved - moved.mean()) / moved.size
