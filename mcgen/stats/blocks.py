"""Blocks of draws that are independent of each other, as far as the data allow."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import InputError
from mcgen.stats.correlation import Spread, spread, warn_if_uncertain
from mcgen.stats.series import is_constant

# More blocks would make the error bar no better than one part in 16, and the function is called for each.
MOST_BLOCKS = 128
# From this many chains on the blocks are whole chains: independent whatever the chains remember.
ENOUGH_CHAINS = 32


class Blocks(NamedTuple):
    """Sums over blocks of draws.

    sizes : float64, shape (n_blocks,)
        Draws in each block.
    sums : list of float64 arrays, shape (n_blocks, ...)
        The sum of each series over each block.
    autocorrelation_time : float
        The largest of all series.
    n_draws : int
        Of all chains.
    """

    sizes: np.ndarray
    sums: list[np.ndarray]
    autocorrelation_time: float
    n_draws: int


def cut(series: Sequence[np.ndarray]) -> Blocks:
    """Cut the series into blocks of draws that are independent of each other, as far as the data allow."""
    if not series:
        raise InputError("no series was given; give at least one after the function")
    arrays = []
    for place, values in enumerate(series):
        array = checks.finite_array(f"series {place}", values)
        arrays.append(array[None] if array.ndim == 1 else array)
        if array.ndim == 0 or arrays[-1].shape[:2] != arrays[0].shape[:2]:
            raise InputError(
                f"series {place} has shape {array.shape} and series 0 has shape {np.shape(series[0])}; all must have "
                "the same n_chains and n_draws, as (n_draws,), (n_chains, n_draws) or (n_chains, n_draws, ...)"
            )
    n_chains, n_draws = arrays[0].shape[:2]
    n = n_chains * n_draws
    if n < 2:
        raise InputError(f"series with {n} draws have no error bar; give at least two draws")

    slowest = _slowest(arrays)
    warn_if_uncertain(slowest, (n_chains, n_draws), stacklevel=4)
    n_blocks = MOST_BLOCKS
    if slowest.autocorrelation_time > 0:
        n_blocks = min(MOST_BLOCKS, round((n / slowest.autocorrelation_time) ** (2 / 3)))
    if n_chains >= ENOUGH_CHAINS or slowest.of_chains or n_blocks < 2 * n_chains:
        pieces = 1
        groups = math.ceil(n_chains / math.ceil(n_chains / MOST_BLOCKS))
    else:
        pieces = min(n_blocks // n_chains, n_draws)
        groups = n_chains
    if groups * pieces < 2:  # a single chain that hardly moves
        pieces = 2
    first_draws = np.arange(pieces) * n_draws // pieces
    first_chains = np.arange(groups) * n_chains // groups
    lengths = np.diff(first_draws, append=n_draws)
    chains = np.diff(first_chains, append=n_chains)
    sums = []
    for array in arrays:
        pieces_of_chains = np.add.reduceat(array, first_draws, axis=1, dtype=np.float64)
        sums.append(np.add.reduceat(pieces_of_chains, first_chains, axis=0).reshape(groups * pieces, *array.shape[2:]))
    sizes = np.outer(chains, lengths).ravel().astype(np.float64)
    return Blocks(sizes, sums, slowest.autocorrelation_time, n)


def _slowest(arrays: Sequence[np.ndarray]) -> Spread:
    """The spread of the series or component with the longest memory; of one that a whole chain remembers, if any."""
    spreads = []
    for array in arrays:
        components = array.reshape(*array.shape[:2], -1)
        for k in range(components.shape[2]):
            chains = components[:, :, k].astype(np.float64)
            if not is_constant(chains):
                spreads.append(spread(chains))
    if not spreads:
        return Spread(0.0, math.nan, False)
    return max(spreads, key=lambda one: (one.of_chains, one.autocorrelation_time))
