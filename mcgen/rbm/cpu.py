"""RBM kernels on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen.rbm.units import rows
from mcgen.rbm.units.rows import ROWS_PER_BLOCK

units = _cpu.formulas("mcgen.rbm.units.formulas")

# Visible units that one thread takes together in phase_statistics.
TILE = 8


@_cpu.blas_kernel
def layer_means(means, states, weights, bias, kind, level, parameters):
    """means[row, j] = <s_j> of the units of one layer given each row of states of the other.

    One thread takes one block of rows at a time.

    Parameters
    ----------
    means : float (n_rows, n_entries), modified
    states : float (n_rows, n_other)
    weights : float (n_other, n_entries)
    bias : float (n_entries,)
    kind, level, parameters : see units/formulas.py
    """
    n_rows = states.shape[0]
    for block in prange((n_rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK):
        first, end = np.int64(block) * ROWS_PER_BLOCK, min((np.int64(block) + 1) * ROWS_PER_BLOCK, n_rows)
        np.dot(states[first:end], weights, means[first:end])
        for row in range(first, end):
            rows.add_bias(means[row], bias)
            rows.mean_row(kind, level, parameters, means[row])


@_cpu.blas_kernel
def free_energies(energies, fields, states, weights, bias, other_bias, kind, level, parameters):
    """energies[row] = -bias.s - sum_j Gamma(other_bias_j + sum_i s_i W_ij) of each row s of one layer.

    One thread takes one block of rows at a time.

    Parameters
    ----------
    energies : float64 (n_rows,), modified
    fields : float64 (n_rows, n_other), modified
        Working memory.
    states : float64 (n_rows, n_entries)
    weights : float64 (n_entries, n_other)
    bias, other_bias : float64 (n_entries,) and (n_other,)
    kind, level, parameters : see units/formulas.py
        Of the layer that is summed out.
    """
    n_rows = states.shape[0]
    for block in prange((n_rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK):
        first, end = np.int64(block) * ROWS_PER_BLOCK, min((np.int64(block) + 1) * ROWS_PER_BLOCK, n_rows)
        np.dot(states[first:end], weights, fields[first:end])
        for row in range(first, end):
            rows.add_bias(fields[row], other_bias)
            total = units.cumulant_sum(kind, level, parameters, fields[row])
            for i in range(bias.shape[0]):
                total += bias[i] * states[row, i]
            energies[row] = -total


@_cpu.kernel
def phase_statistics(weight_moment, visible_moment, hidden_moment, visible, hidden, row_weights):
    """The weighted sums over rows of v h, v and h: one phase of the log-likelihood gradient.

    Every sum runs over the rows in order, so the result does not depend on the number of threads. One thread takes a
    tile of visible units at a time: each row of `hidden` is then read once for the whole tile, whose part of
    weight_moment stays in the cache. The last piece of work is hidden_moment.

    Parameters
    ----------
    weight_moment, visible_moment, hidden_moment : float64 (n_visible, n_hidden), (n_visible,), (n_hidden,), modified
    visible : float (n_rows, n_visible)
    hidden : float (n_rows, n_hidden)
    row_weights : float64 (n_rows,)
    """
    n_visible, n_hidden = weight_moment.shape
    n_tiles = (n_visible + TILE - 1) // TILE
    for tile in prange(n_tiles + 1):
        if tile == n_tiles:
            hidden_moment[:] = 0.0
            for row in range(visible.shape[0]):
                for j in range(n_hidden):
                    hidden_moment[j] += row_weights[row] * hidden[row, j]
        else:
            first, end = tile * TILE, min((tile + 1) * TILE, n_visible)
            weight_moment[first:end] = 0.0
            visible_moment[first:end] = 0.0
            for row in range(visible.shape[0]):
                for i in range(first, end):
                    x = row_weights[row] * visible[row, i]
                    if x != 0.0:
                        visible_moment[i] += x
                        for j in range(n_hidden):
                            weight_moment[i, j] += x * hidden[row, j]
