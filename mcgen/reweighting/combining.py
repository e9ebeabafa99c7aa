"""Runs at several temperatures, put together: multi-histogram reweighting."""

import itertools
import warnings
from collections.abc import Sequence

import numpy as np

from mcgen import checks
from mcgen.errors import InputError, StatisticsWarning
from mcgen.observables.averages import same_lattice
from mcgen.reweighting import solution
from mcgen.reweighting.combination import Combination
from mcgen.reweighting.pool import pool
from mcgen.reweighting.solution import SMALLEST_SAMPLE
from mcgen.stats import Estimate

# Runs that share fewer independent draws say nothing about the ratio of their partition functions.
FEWEST_SHARED = 2.0


def combine(runs: Sequence[object], log_partition: float | None = None) -> Combination:
    """Combine runs at several temperatures, or take one, for averages at temperatures in between and near by.

    Solves the equations of multi-histogram reweighting, without bins, for ln Z of the runs (`equations`), where
    each run counts as its number of independent draws. Draws of equal energy are counted first, so that millions of
    draws of a lattice with few energies cost no more than thousands.

    Parameters
    ----------
    runs : sequence of ising.Samples
        Of one lattice, with seeds of their own: see `mcgen.rng.derive`. The order is free, temperatures may repeat.
    log_partition : float, optional
        The exact ln Z at the temperature of the first run, for absolute ln Z.

    Returns
    -------
    Combination

    Raises
    ------
    InputError
        If the runs are not as described, or those on both sides of a gap in temperature share fewer than 2 independent
        draws.

    Warns
    -----
    StatisticsWarning
        If they share fewer than 20.

    References
    ----------
    Ferrenberg & Swendsen, Phys. Rev. Lett. 63, 1195 (1989). Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008).

    Examples
    --------
    >>> from mcgen import ising, reweighting, rng
    >>> lattice = ising.Ising((4, 4))
    >>> temperatures = (2.0, 3.0, 5.0)
    >>> seeds = [rng.derive(1, k) for k in range(3)]
    >>> runs = [ising.sample(lattice, T, 64, 100, seed=seed) for T, seed in zip(temperatures, seeds, strict=True)]
    >>> combination = reweighting.combine(runs, log_partition=ising.exact.log_partition(lattice, 2.0))
    >>> log_z = combination.log_partitions
    >>> exact = [ising.exact.log_partition(lattice, T) for T in temperatures]
    >>> bool((abs(log_z.value - exact) <= 4 * log_z.error).all())
    True
    """
    if not isinstance(runs, list | tuple) or not runs:
        raise InputError(f"runs={type(runs).__name__} is not a list of runs; give at least one result of ising.sample")
    for k, run in enumerate(runs):
        missing = [name for name in ("lattice", "temperature", "energy") if not hasattr(run, name)]
        if missing:
            raise InputError(f"runs[{k}] has no {missing[0]}; give results of ising.sample")
        if not same_lattice(run.lattice, runs[0].lattice):
            raise InputError(f"runs[{k}] is of {run.lattice}, runs[0] of {runs[0].lattice}; give runs of one lattice")
    temperatures = np.array([checks.positive(f"runs[{k}].temperature", run.temperature) for k, run in enumerate(runs)])
    first = 0.0 if log_partition is None else checks.real("log_partition", log_partition)
    solved = solution.solve(pool(runs), 1.0 / temperatures, first)
    order = np.argsort(temperatures)
    for shared, (low, high) in zip(
        solution.shared_draws(solved, order), itertools.pairwise(temperatures[order]), strict=True
    ):
        if shared < SMALLEST_SAMPLE:
            message = (
                f"the runs up to temperature {low:g} and those from {high:g} on share {shared:.2g} independent draws, "
                f"fewer than {{:g}}{{}}; add a run between {low:g} and {high:g}, or make the runs longer"
            )
            if shared < FEWEST_SHARED:
                raise InputError(message.format(FEWEST_SHARED, ""))
            warnings.warn(
                message.format(SMALLEST_SAMPLE, ", and errors are uncertain"), StatisticsWarning, stacklevel=2
            )
    errors = solution.errors(solved.pool, solved.influences)
    return Combination(
        lattice=runs[0].lattice,
        temperatures=temperatures,
        inefficiencies=solved.pool.inefficiencies,
        log_partitions=Estimate(solved.log_partitions, errors, float("nan"), float("nan")),
        _solution=solved,
    )
