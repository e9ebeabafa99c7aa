"""Blocks of neighbouring draws: where an observable has thousands of components, sums over blocks replace the draws.

A block is a stretch of draws of one chain, or, where there are many chains, some whole chains. The blocks of a run are
numbered by group of chains and stretch of draws.
"""

import numpy as np

from mcgen import stats
from mcgen.errors import InputError
from mcgen.stats import Estimate

# Enough to give an error bar to 9 percent. Fewer would be less exact, more would remember their neighbours.
MOST_BLOCKS = 64


def edges(n_chains: int, n_draws: int, most: int = MOST_BLOCKS) -> tuple[np.ndarray, np.ndarray]:
    """Where at most that many blocks begin and end; their sizes differ by one chain and one draw at most.

    Parameters
    ----------
    n_chains, n_draws, most : int

    Returns
    -------
    chain_edges : int64, shape (n_groups + 1,)
    draw_edges : int64, shape (n_stretches + 1,)
        Block (g, t) has the draws draw_edges[t]:draw_edges[t + 1] of the chains chain_edges[g]:chain_edges[g + 1].

    Examples
    --------
    >>> from mcgen.observables import blocks
    >>> [part.tolist() for part in blocks.edges(n_chains=2, n_draws=1000, most=8)]
    [[0, 1, 2], [0, 250, 500, 750, 1000]]
    """
    n_groups = min(n_chains, most)
    n_stretches = min(n_draws, most // n_groups)
    return (
        np.arange(n_groups + 1) * n_chains // n_groups,
        np.arange(n_stretches + 1) * n_draws // n_stretches,
    )


def independent_edges(*slowest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges of blocks that are independent, judged by the series that remember longest.

    From 64 chains on, blocks are whole chains. Fewer chains are cut into about N^(2/3) blocks in all, at most 64, of
    N^(1/3) autocorrelation times each, with N the effective sample size.

    Parameters
    ----------
    slowest : arrays, shape (n_chains, n_draws)

    Returns
    -------
    chain_edges, draw_edges : int64
        As for `edges`.

    Raises
    ------
    InputError
        If there is only one draw.

    Warns
    -----
    StatisticsWarning
        If the draws are worth fewer than 20 independent ones.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.observables import blocks
    >>> series = np.random.default_rng(1).normal(size=(4, 1000))
    >>> [len(part) - 1 for part in blocks.independent_edges(series)]
    [4, 16]
    """
    shape = slowest[0].shape
    if slowest[0].size < 2:
        raise InputError(f"a run of shape {shape} has a single draw, which has no error bar; give at least two draws")
    sizes = [stats.mean(series).effective_sample_size for series in slowest]
    size = min((size for size in sizes if not np.isnan(size)), default=float(slowest[0].size))
    return edges(*shape, most=min(MOST_BLOCKS, max(round(size ** (2 / 3)), shape[0], 2)))


def numbers(chain_edges: np.ndarray, draw_edges: np.ndarray) -> np.ndarray:
    """The number of the block that each draw belongs to: int64, shape (n_chains, n_draws).

    Examples
    --------
    >>> from mcgen.observables import blocks
    >>> blocks.numbers([0, 1, 2], [0, 2, 3]).tolist()
    [[0, 0, 1], [2, 2, 3]]
    """
    group = np.repeat(np.arange(len(chain_edges) - 1), np.diff(chain_edges))
    stretch = np.repeat(np.arange(len(draw_edges) - 1), np.diff(draw_edges))
    return group[:, None] * (len(draw_edges) - 1) + stretch


def sizes(chain_edges: np.ndarray, draw_edges: np.ndarray) -> np.ndarray:
    """The number of draws of each block: int64, shape (n_blocks,).

    Examples
    --------
    >>> from mcgen.observables import blocks
    >>> blocks.sizes([0, 1, 2], [0, 2, 3]).tolist()
    [2, 1, 2, 1]
    """
    return np.multiply.outer(np.diff(chain_edges), np.diff(draw_edges)).ravel()


def average(sums: np.ndarray, sizes: np.ndarray) -> Estimate:
    """The average over all draws, with the error from the scatter of independent blocks.

    With S_b the sums over B blocks of n_b draws and a the average, error^2 = B/(B-1) sum_b (S_b - n_b a)^2 / N^2: the
    jackknife, which for an average needs no leaving out.

    Parameters
    ----------
    sums : array, shape (n_blocks, ...)
    sizes : int64, shape (n_blocks,)

    Returns
    -------
    Estimate
        Arrays of the shape of the further axes. Their autocorrelation time and effective sample size are NaN: those of
        blocks say nothing about draws.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.observables import blocks
    >>> blocks.average(np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([1, 1])).error.tolist()
    [1.0, 0.0]
    """
    n_blocks, n_draws = len(sizes), sizes.sum()
    value = sums.sum(axis=0) / n_draws
    deviations = sums - sizes.reshape(-1, *[1] * value.ndim) * value
    error = np.sqrt((deviations**2).sum(axis=0) * n_blocks / (n_blocks - 1)) / n_draws
    return Estimate(value, error, float("nan"), float("nan"))
