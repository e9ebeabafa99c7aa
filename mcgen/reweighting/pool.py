"""The draws of all runs put together: draws of equal energy in one block of one run count as one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen import checks, stats
from mcgen.errors import InputError
from mcgen.observables import blocks, histograms
from mcgen.observables.averages import energy_and_magnetization

# Blocks of a run. What neighbouring blocks remember of each other is left to `stats.mean`.
MOST_BLOCKS = 512


class Pool(NamedTuple):
    """Draws of several runs, counted.

    levels : float64, shape (n_levels,)
        The energies that occurred, increasing.
    level, block : int64, shape (n_cells,)
        The energy and the block of each cell: of all draws with the same of both.
    count : int64, shape (n_cells,)
        How many draws that is.
    powers : dict of float64, shape (n_cells,)
        Sums over the draws of each cell: "M", "|M|", "M^2" and "M^4".
    cell : int64, shape (n_draws,)
        The cell of each draw, for the draws of the first run, then of the second, ...
    run : int64, shape (n_blocks,)
        The run of each block.
    shapes : list of (n_chains, n_draws)
        Of each run.
    block_shapes : list of (n_groups, n_stretches)
        The blocks of each run: groups of chains and stretches of draws.
    inefficiencies : float64, shape (n_runs,)
        Draws for each independent one: the autocorrelation time of the energy.
    means : float64, shape (n_runs,)
        The mean energy of each run.
    """

    levels: np.ndarray
    level: np.ndarray
    block: np.ndarray
    count: np.ndarray
    powers: dict[str, np.ndarray]
    cell: np.ndarray
    run: np.ndarray
    shapes: list[tuple[int, int]]
    block_shapes: list[tuple[int, int]]
    inefficiencies: np.ndarray
    means: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """What a draw of each cell counts, in independent draws: float64, shape (n_cells,)."""
        return 1.0 / self.inefficiencies[self.run[self.block]]

    def over_cells(self, values: np.ndarray) -> np.ndarray:
        """Sums over the draws of each cell of values, shape (n_draws,), given in the order of `cell`."""
        return np.bincount(self.cell, values, len(self.level))

    def over_blocks(self, values: np.ndarray) -> np.ndarray:
        """Sums over the cells of each block of values, shape (n_cells,)."""
        return np.bincount(self.block, values, len(self.run))

    def over_levels(self, values: np.ndarray) -> np.ndarray:
        """Sums over the cells of each energy of values, shape (n_cells,)."""
        return np.bincount(self.level, values, len(self.levels))


def pool(runs: Sequence[object]) -> Pool:
    """Put the draws of runs of one lattice together.

    Parameters
    ----------
    runs : sequence of ising.Samples

    Returns
    -------
    Pool

    Raises
    ------
    InputError
        If energies are not numbers of shape (n_chains, n_draws), or a run has a single draw.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.reweighting.pool import pool
    >>> run = ising.sample(ising.Ising((2, 2)), temperature=5.0, n_chains=4, n_draws=100, thin=5, seed=1)
    >>> together = pool([run])
    >>> together.levels.tolist(), int(together.count.sum()), len(together.run)
    ([-8.0, 0.0, 8.0], 400, 400)
    """
    energies, magnetizations, numbers, shapes, block_shapes, n_blocks = [], [], [], [], [], 0
    for k, run in enumerate(runs):
        energy, magnetization = energy_and_magnetization(run, run.lattice)
        energies.append(checks.finite_array(f"runs[{k}].energy", energy, (None, None)).astype(np.float64, copy=False))
        magnetizations.append(checks.finite_array(f"runs[{k}].magnetization", magnetization, energy.shape).ravel())
        if energy.size < 2:
            raise InputError(f"runs[{k}] has {energy.size} draws; give at least two, for an error bar")
        chain_edges, draw_edges = blocks.edges(*energy.shape, most=MOST_BLOCKS)
        numbers.append(n_blocks + blocks.numbers(chain_edges, draw_edges).ravel())
        shapes.append(energy.shape)
        block_shapes.append((len(chain_edges) - 1, len(draw_edges) - 1))
        n_blocks += (len(chain_edges) - 1) * (len(draw_edges) - 1)
    levels, level = histograms.levels_of(np.concatenate([energy.ravel() for energy in energies]))
    keys, cell, count = np.unique(
        np.concatenate(numbers) * len(levels) + level, return_inverse=True, return_counts=True
    )
    block, level = np.divmod(keys, len(levels))
    m = np.concatenate(magnetizations)
    powers = {"M": m, "|M|": np.abs(m), "M^2": m**2, "M^4": m**4}
    times = [stats.integrated_time(energy) for energy in energies]
    return Pool(
        levels=levels,
        level=level,
        block=block,
        count=count,
        powers={name: np.bincount(cell, power, len(keys)) for name, power in powers.items()},
        cell=cell,
        run=np.repeat(np.arange(len(runs)), [groups * stretches for groups, stretches in block_shapes]),
        shapes=shapes,
        block_shapes=block_shapes,
        # A run whose energy never changes is not told to be worth less than its draws.
        inefficiencies=np.array([1.0 if np.isnan(time) else max(time, 1.0) for time in times]),
        means=np.array([energy.mean() for energy in energies]),
    )
