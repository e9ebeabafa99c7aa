"""log Z from a ladder of models: acceptance ratios of neighbours (BAR), or all draws under all models at once (MBAR).

The first rung of the ladder has independent units, so that its log Z is a sum over units; from there each step adds the
logarithm of a ratio. Both estimates come with the scatter over independent chains of the ladder: correlations along a
chain, and of the rungs that swap with each other, are in it.

References
----------
Bennett, J. Comput. Phys. 22, 245 (1976). Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008). Krause, Fischer & Igel,
Artif. Intell. 278, 103195 (2020): parallel tempering and BAR for RBMs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen.errors import InputError
from mcgen.rbm.chains import stack
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.partition import mixture, path
from mcgen.rbm.partition.acceptance import acceptance_ratio
from mcgen.rbm.partition.result import LogPartition, checks_of
from mcgen.rbm.partition.rungs import Ladder, ladder_to
from mcgen.rbm.partition.simulation import Sampling, series_of, settings_of
from mcgen.rbm.partition.spread import spread, warn_of_weak_bridge

# Numbers of the table of all draws under all rungs, of which the solution takes about four times the memory: 4 GiB.
MOST_NUMBERS = 2**27


class Bridges(NamedTuple):
    """The steps along a sequence of models.

    log_ratios : float64, shape (n_models - 1,)
        log Z_{k+1} - log Z_k.
    influences : float64, shape (n_models - 1, n_chains, n_draws)
        How much each draw of the sequence moved each of them, to first order.
    overlaps, effective_sample_sizes : float64, shape (n_models - 1,)
        As of `acceptance_ratio`.
    """

    log_ratios: np.ndarray
    influences: np.ndarray
    overlaps: np.ndarray
    effective_sample_sizes: np.ndarray


def bridges(models: Sequence[RBM], visible: np.ndarray, sampling: Sampling, label: str) -> Bridges:
    """Acceptance ratios between all neighbours of a sequence of models, from one simulation of all of them.

    Parameters
    ----------
    models : sequence of RBM
        At least two, with the same units.
    visible : array, shape (n_models, n_chains, n_visible)
        Where the chains start.
    sampling : Sampling
    label : str
        Of the bar.

    Returns
    -------
    Bridges

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.bridge import bridges
    >>> from mcgen.rbm.partition.simulation import Sampling
    >>> models = [rbm.RBM.random(n_visible=4, n_hidden=2, seed=1, scale=scale) for scale in (0.1, 0.2, 0.3)]
    >>> sampling = Sampling(n_chains=10, n_draws=20, thin=1, burn_in=5, seed=1, device="cpu", progress=False)
    >>> found = bridges(models, np.zeros((3, 10, 4)), sampling, "sweeps")
    >>> found.log_ratios.shape, bool((found.overlaps > 0.9).all())
    ((2,), True)
    """
    n_models, n_chains, _ = visible.shape

    def measure(states: np.ndarray) -> np.ndarray:
        forward, reverse = log_weights = np.zeros((2, n_models - 1, n_chains))
        for k, model in enumerate(models):
            near = states[max(0, k - 1) : k + 2].reshape(-1, states.shape[2])
            energies = free_energy_of_rows(model, near, sampling.device).reshape(-1, n_chains)
            own = min(k, 1)
            if k > 0:
                forward[k - 1] -= energies[0]
                reverse[k - 1] += energies[own]
            if k + 1 < n_models:
                forward[k] += energies[own]
                reverse[k] -= energies[own + 1]
        return log_weights

    forward, reverse = series_of(measure, stack(models), visible, sampling, label)
    found = [acceptance_ratio(*pair) for pair in zip(forward, reverse, strict=True)]
    return Bridges(
        np.array([one.value for one in found]),
        np.stack([sum(one.influences) for one in found]),
        np.array([one.overlap for one in found]),
        np.array([one.effective_sample_size for one in found]),
    )


def bar(
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
    """log Z by Bennett acceptance ratios between the neighbours on a ladder from independent units to the model.

    log Z = log Z_0 + sum_k (log Z_{k+1} - log Z_k), with Z_0 of the independent model of `path.reference` in closed
    form. All rungs are sampled together, by Gibbs sweeps with swaps between neighbours.

    Parameters
    ----------
    model : RBM
    n_chains, n_draws : int
        Independent chains of the whole ladder, and draws of every rung in each.
    thin, burn_in : int
        Sweeps between draws, and before the first.
    n_temperatures : int, optional
        Rungs of the ladder; by default as many as the overlap of neighbours asks for, see `rungs.ladder_to`.
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
        With the exact value beside it where that takes about a second at most.

    Raises
    ------
    InputError
        If an argument is out of range, or the ladder would have more than 500 rungs.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If chains still remember where they started, or too few draws are common to two neighbours.

    References
    ----------
    Bennett, J. Comput. Phys. 22, 245 (1976). Krause, Fischer & Igel, Artif. Intell. 278, 103195 (2020): for RBMs.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import bridge
    >>> model = rbm.RBM.random(n_visible=12, n_hidden=6, seed=1, scale=0.5)
    >>> estimate = bridge.bar(model, n_chains=64, n_draws=20, seed=2)
    >>> abs(estimate.value - rbm.exact.log_partition(model)) < 4 * estimate.error
    True
    """
    sampling = Sampling(n_chains, n_draws, thin, burn_in, seed, device, progress).checked()
    ladder = ladder_to(model, n_temperatures, v, sampling)
    found = bridges(ladder.models, ladder.visible, sampling, "bar sweeps")
    known = path.log_partition_of_independent(ladder.reference)
    effective = found.effective_sample_sizes
    return _result(
        model, "bar", known + found.log_ratios.sum(), found.influences.sum(axis=0), effective, ladder, sampling
    )


def mbar(
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
    """log Z by the multistate acceptance ratio: all draws of the rungs of a ladder, under the models of all rungs.

    The draws of all rungs together are draws of a mixture; that it contains every rung fixes their log Z (see
    `mixture`). Nothing else that uses the same draws has a smaller variance; `bar` takes less memory and time.

    Parameters
    ----------
    model : RBM
    n_chains, n_draws, thin, burn_in : int
        As for `bar`.
    n_temperatures : int, optional
    seed : int
    v : array, shape (n_rows, n_visible), optional
    device : {"cpu", "cuda"}
    progress : bool

    Returns
    -------
    LogPartition
        With the exact value beside it where that takes about a second at most.

    Raises
    ------
    InputError
        If an argument is out of range, rungs do not overlap, or the table of n_rungs^2 n_chains n_draws free energies
        would have more than 2**27 entries.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        As for `bar`.

    References
    ----------
    Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008).

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import bridge
    >>> model = rbm.RBM.random(n_visible=12, n_hidden=6, seed=1, scale=0.5)
    >>> estimate = bridge.mbar(model, n_chains=64, n_draws=20, seed=2)
    >>> abs(estimate.value - rbm.exact.log_partition(model)) < 4 * estimate.error
    True
    """
    sampling = Sampling(n_chains, n_draws, thin, burn_in, seed, device, progress).checked()
    _check_room(n_temperatures or 2, sampling)
    ladder = ladder_to(model, n_temperatures, v, sampling)
    n_rungs = len(ladder.betas)
    _check_room(n_rungs, sampling)

    def measure(states: np.ndarray) -> np.ndarray:
        rows = states.reshape(-1, states.shape[2])
        energies = path.free_energies_between(ladder.reference, model, ladder.betas, rows, device)
        return energies.reshape(n_rungs, n_rungs, -1)

    energies = series_of(measure, ladder.stack, ladder.visible, sampling, "mbar sweeps")
    below = np.arange(n_rungs - 1)
    neighbours = [
        acceptance_ratio(energies[k, k] - energies[k + 1, k], energies[k + 1, k + 1] - energies[k, k + 1])
        for k in below
    ]
    start = np.append(0.0, np.cumsum([one.value for one in neighbours]))
    logs, influences = mixture.solve(energies.reshape(n_rungs, n_rungs, -1), start)
    value = path.log_partition_of_independent(ladder.reference) + logs[-1]
    influences = influences.sum(axis=0).reshape(sampling.n_chains, sampling.n_draws)
    effective = np.array([one.effective_sample_size for one in neighbours])
    return _result(model, "mbar", value, influences, effective, ladder, sampling)


def _check_room(n_rungs: int, sampling: Sampling) -> None:
    n = n_rungs**2 * sampling.n_chains * sampling.n_draws
    if n > MOST_NUMBERS:
        raise InputError(
            f"mbar with {n_rungs} rungs, n_chains={sampling.n_chains} and n_draws={sampling.n_draws} has a table of "
            f"{n} free energies, more than {MOST_NUMBERS}; lower n_draws, or take bar, which needs those of neighbours"
        )


def _result(
    model: RBM,
    method: str,
    value: float,
    influences: np.ndarray,
    effective: np.ndarray,
    ladder: Ladder,
    sampling: Sampling,
) -> LogPartition:
    """The result of an estimate, with what makes its error doubtful; `effective` has one number for each step."""
    name = f"log Z by {method}"
    found = spread(influences, sampling, name, stacklevel=4)
    remedy = "raise n_temperatures or n_draws"
    warn_of_weak_bridge(effective, found.effective_sample_size, influences.size, name, remedy, stacklevel=4)
    return LogPartition(
        value=float(value),
        error=found.error,
        effective_sample_size=found.effective_sample_size,
        method=method,
        interval=found.interval(float(value)),
        checked_against=checks_of(model, sampling.device),
        settings=settings_of(sampling, ladder.reference) | {"betas": ladder.betas},
    )
