"""Averages over the pooled draws of all runs, and how each block of draws moves them.

A draw that counts as 1 / g of an independent one has at the temperature T the weight w = e^{-E / T} / (g m(E)), where
m(E) = sum_k M_k e^{-E / T_k} / Z_k. How a block of draws b moves a result x = x(Z_1, ..., Z_K, draws) to first order is

    x_b = sum_{n in b} dx/dn + sum_k dx/d(ln Z_k) (ln Z_k)_b,

which for an average <A> = sum_n w_n A_n / sum_n w_n is dA/dn = w_n (A_n - <A>) / sum w and
dA/d(ln Z_k) = sum_n P_k(E_n) w_n (A_n - <A>) / sum w, with the share P_k(E) of run k in m(E).
"""

import warnings
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from mcgen import stats
from mcgen.errors import StatisticsWarning
from mcgen.reweighting import equations
from mcgen.reweighting.pool import Pool

# An error bar from fewer independent blocks is itself uncertain by more than a sixth.
SMALLEST_SAMPLE = 20.0


class Solution(NamedTuple):
    """The pooled draws, weighted.

    pool : Pool
    draws : float64, shape (n_levels,)
        Independent draws at each energy: each draw counts as 1 / g.
    log_partitions : float64, shape (n_runs,)
        ln Z of the runs.
    log_mixture, shares : float64, shapes (n_levels,) and (n_levels, n_runs)
        Of `equations.mixture` at each energy.
    influences : float64, shape (n_runs, n_blocks)
        How each block moves ln Z of each run, relative to that of the first, but for a part that is the same for all
        draws of a run.
    """

    pool: Pool
    draws: np.ndarray
    log_partitions: np.ndarray
    log_mixture: np.ndarray
    shares: np.ndarray
    influences: np.ndarray


def solve(pool: Pool, betas: np.ndarray, log_partition: float = 0.0) -> Solution:
    """Solve the equations of multi-histogram reweighting, `equations.solve`, for pooled runs.

    Parameters
    ----------
    pool : Pool
    betas : float64, shape (n_runs,)
        1 / T of each run.
    log_partition : float
        ln Z of the first run.

    Returns
    -------
    Solution
    """
    draws = pool.over_levels(pool.count * pool.weight)
    of_run = pool.run[pool.block]
    sizes = np.bincount(of_run, pool.count * pool.weight)
    logs = log_partition + equations.solve(pool.levels, draws, sizes, betas, pool.means)
    log_mixture, shares = equations.mixture(pool.levels, sizes, betas, logs)
    # Draws are handed to the runs by their shares. A block whose draws go to run k more than others' raises its ln Z.
    # (Its draws also count in M_k, all of a run alike: that is no fluctuation.)
    given = np.stack([pool.over_blocks(pool.count * pool.weight * shares[pool.level, k]) for k in range(len(betas))])
    influences = np.zeros_like(given)
    influences[1:] = np.linalg.lstsq(equations.curvature(draws, shares)[1:, 1:], given[1:], rcond=None)[0]
    return Solution(pool, draws, logs, log_mixture, shares, influences)


def shared_draws(solution: Solution, order: np.ndarray) -> np.ndarray:
    """How many independent draws the runs before and after each gap share: sum_n P(E_n) (1 - P(E_n)).

    P is the share of the runs before the gap. The squared error of ln (Z_2 / Z_1) of two runs is 1 / (shared draws) -
    1 / M_1 - 1 / M_2 (Bennett, J. Comput. Phys. 22, 245 (1976)).

    Parameters
    ----------
    solution : Solution
    order : int array, shape (n_runs,)
        The runs, neighbours beside each other.

    Returns
    -------
    float64, shape (n_runs - 1,)
    """
    before = np.cumsum(solution.shares[:, order[:-1]], axis=1)
    return solution.draws @ (before * (1.0 - before))


def weights(solution: Solution, temperature: float) -> tuple[np.ndarray, float]:
    """The weight of an independent draw at each energy, such that all draws have 1 together; and ln Z.

    Parameters
    ----------
    solution : Solution
    temperature : float

    Returns
    -------
    weights : float64, shape (n_levels,)
    log_partition : float
    """
    logs = -solution.pool.levels / temperature - solution.log_mixture
    log_partition = logsumexp(logs, b=solution.draws)
    return np.exp(logs - log_partition), float(log_partition)


def averages(solution: Solution, temperature: float, *sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages at a temperature and how each block moves them.

    Parameters
    ----------
    solution : Solution
    temperature : float
    *sums : float64, shape (n_cells,)
        Of each observable: its sum over the draws of each cell.

    Returns
    -------
    values : float64, shape (n_observables,)
    influences : float64, shape (n_observables, n_blocks)
    """
    pool = solution.pool
    weight = weights(solution, temperature)[0][pool.level] * pool.weight
    values = np.array([row @ weight for row in sums])
    influences = [
        _moves(solution, (row - value * pool.count) * weight) for row, value in zip(sums, values, strict=True)
    ]
    return values, np.stack(influences)


def log_partition(solution: Solution, temperature: float) -> tuple[float, np.ndarray]:
    """ln Z at a temperature and how each block moves it, relative to that of the first run.

    Parameters
    ----------
    solution : Solution
    temperature : float

    Returns
    -------
    value : float
    influences : float64, shape (1, n_blocks)
    """
    pool = solution.pool
    weight, value = weights(solution, temperature)
    return value, _moves(solution, pool.count * pool.weight * weight[pool.level])[None]


def _moves(solution: Solution, terms: np.ndarray) -> np.ndarray:
    """Sums over blocks of the terms of the cells, and how blocks move their total by way of the ln Z of the runs."""
    pool = solution.pool
    return pool.over_blocks(terms) + pool.over_levels(terms) @ solution.shares @ solution.influences


def errors(pool: Pool, influences: np.ndarray) -> np.ndarray:
    """The error of each result: the squared errors of the sums over the blocks of each run, added up.

    Parameters
    ----------
    pool : Pool
    influences : float64, shape (n_results, n_blocks)

    Returns
    -------
    float64, shape (n_results,)

    Warns
    -----
    StatisticsWarning
        If one of them rests on fewer than 20 independent blocks.
    """
    sizes = pool.over_blocks(pool.count)
    squares, freedoms = np.zeros((2, len(influences), len(pool.block_shapes)))
    with warnings.catch_warnings():
        # A run without much weight may be short. The warning below is about all of them together.
        warnings.simplefilter("ignore", StatisticsWarning)
        for k, shape in enumerate(pool.block_shapes):
            mine = pool.run == k
            # Blocks with a draw more than others do not count as larger influences.
            expected = np.outer(influences[:, mine].sum(axis=1), sizes[mine] / sizes[mine].sum())
            for i, deviations in enumerate(influences[:, mine] - expected):
                mean = stats.mean(deviations.reshape(shape))
                squares[i, k] = (deviations.size * mean.error) ** 2
                freedoms[i, k] = mean.effective_sample_size if mean.error > 0 else np.inf
    total = squares.sum(axis=1)
    # Welch and Satterthwaite: the independent blocks of a sum of variances.
    blocks = np.divide(total**2, (squares**2 / freedoms).sum(axis=1), out=np.full(len(total), np.inf), where=total > 0)
    if blocks.size and blocks.min() < SMALLEST_SAMPLE:
        warnings.warn(
            f"an error bar rests on {blocks.min():.3g} independent stretches of the runs, fewer than "
            f"{SMALLEST_SAMPLE:g}, and is uncertain; make the runs longer, or run more chains",
            StatisticsWarning,
            stacklevel=3,
        )
    return np.sqrt(total)
