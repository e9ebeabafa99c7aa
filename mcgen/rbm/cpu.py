"""RBM kernels on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu, _products
from mcgen._vectors import PRODUCT_ROWS, wide_vectors
from mcgen.rbm.units import rows

units = _cpu.formulas("mcgen.rbm.units.formulas")

# Rows of states that one thread takes together, and visible units, for phase_statistics: whole tiles.
ROWS_PER_BLOCK = 64 // PRODUCT_ROWS * PRODUCT_ROWS
UNITS_PER_BLOCK = 36
# Rows that are summed in the dtype of the model before they are added to the moments.
ROWS_AT_ONCE = 1024


@_cpu.helper
def _fields_of_rows(states, first, n_rows, packed, bias):
    """Some rows of the states, and the fields bias + states . weights that they make, both padded to whole tiles."""
    padded, n_other = _products.padded_rows(n_rows), packed.shape[1]
    here = _products.aligned(1, padded, n_other, packed)[0]
    fields = _products.aligned(1, padded, _products.padded_columns(bias.shape[0], packed), packed)[0]
    here[n_rows:], fields[n_rows:] = 0, 0
    for row in range(n_rows):
        rows.copy(here[row], states[first + row])
        rows.copy(fields[row], bias)
    _products.add_product(fields, here, packed)
    return here, fields


@_cpu.kernel
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
    n_rows, n_other = states.shape
    n_entries = weights.shape[1]
    n_panels, width = _products.panels(n_entries, weights), _products.panel_columns(weights)
    packed = _products.aligned(n_panels, n_other, width, weights)
    for panel in prange(n_panels):
        _products.pack(packed[panel], weights, np.int64(panel))
    for block in prange((n_rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK):
        first = np.int64(block) * ROWS_PER_BLOCK
        n_now = min(ROWS_PER_BLOCK, n_rows - first)
        _, fields = _fields_of_rows(states, first, n_now, packed, bias)
        for row in range(n_now):
            rows.copy(means[first + row], fields[row])
            rows.mean_row(kind, level, parameters, means[first + row])


@_cpu.kernel
def free_energies(energies, fields, states, weights, bias, other_bias, kind, level, parameters):
    """energies[row] = -bias.s - sum_j Gamma(other_bias_j + sum_i s_i W_ij) of each row s of one layer.

    One thread takes one block of rows at a time. Every sum has one order (see `_products`), so that the energy of a row
    does not depend on the rows beside it.

    Parameters
    ----------
    energies : float64 (n_rows,), modified
    fields : float64 (n_rows, n_other), modified
        Working memory of the twin.
    states : float64 (n_rows, n_entries)
    weights : float64 (n_entries, n_other)
    bias, other_bias : float64 (n_entries,) and (n_other,)
    kind, level, parameters : see units/formulas.py
        Of the layer that is summed out.
    """
    n_rows, n_entries = states.shape
    n_other = weights.shape[1]
    n_panels, width = _products.panels(n_other, weights), _products.panel_columns(weights)
    packed = _products.aligned(n_panels, n_entries, width, weights)
    for panel in prange(n_panels):
        _products.pack(packed[panel], weights, np.int64(panel))
    for block in prange((n_rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK):
        first = np.int64(block) * ROWS_PER_BLOCK
        n_now = min(ROWS_PER_BLOCK, n_rows - first)
        here, sums = _fields_of_rows(states, first, n_now, packed, other_bias)
        for row in range(n_now):
            total = units.cumulant_sum(kind, level, parameters, sums[row, :n_other])
            for i in range(n_entries):
                total += bias[i] * here[row, i]
            energies[first + row] = -total


@_cpu.helper
def _pack_weighted(packed, moment, hidden, row_weights, panel):
    """Pack one panel of the hidden means times the weights of their rows, and add the sums over rows to moment."""
    wide_vectors()
    _products.pack(packed, hidden, panel)
    first = panel * packed.shape[1]
    own = moment[first : first + packed.shape[1]]
    for row in range(packed.shape[0]):
        weight, numbers = row_weights[row], packed[row]
        for j in range(numbers.shape[0]):
            numbers[j] *= weight
        for j in range(own.shape[0]):
            own[j] += numbers[j]


@_cpu.helper
def _copy_and_sum(strip, moment, states, row_weights):
    """Copy neighbouring columns of the states, with zeros beyond the last, and add their weighted sums to moment.

    In the strip a tile finds its units in one or two cache lines for each row, and the rows on few pages.
    """
    wide_vectors()
    n_units = states.shape[1]
    for row in range(states.shape[0]):
        weight, state, copy = row_weights[row], states[row], strip[row]
        for i in range(n_units):
            copy[i] = state[i]
            moment[i] += weight * state[i]
        for i in range(n_units, copy.shape[0]):
            copy[i] = 0


@_cpu.helper
def _add_to(moments, sums):
    wide_vectors()
    for i in range(moments.shape[0]):
        for j in range(moments.shape[1]):
            moments[i, j] += sums[i, j]


@_cpu.kernel
def phase_statistics(weight_moment, visible_moment, hidden_moment, visible, hidden, row_weights):
    """The weighted sums over rows of v h, v and h: one phase of the log-likelihood gradient.

    Every sum runs over the rows in order, so the result does not depend on the number of threads. It is a matrix
    product, of the transposed states with the weighted hidden means (see `_products`): one thread takes a block of
    visible units at a time, and multiplies tiles in registers. So many rows are summed at once in the dtype of the
    model; the moments themselves may have more digits.

    Parameters
    ----------
    weight_moment, visible_moment, hidden_moment : float (n_visible, n_hidden), (n_visible,), (n_hidden,), modified
    visible : float (n_rows, n_visible)
    hidden : float (n_rows, n_hidden)
    row_weights : float64 (n_rows,)
    """
    n_rows, n_visible = visible.shape
    n_hidden = hidden.shape[1]
    n_panels, width = _products.panels(n_hidden, hidden), _products.panel_columns(hidden)
    n_blocks = (n_visible + UNITS_PER_BLOCK - 1) // UNITS_PER_BLOCK
    weight_moment[:, :], visible_moment[:], hidden_moment[:] = 0.0, 0.0, 0.0
    for chunk in range((n_rows + ROWS_AT_ONCE - 1) // ROWS_AT_ONCE):
        start = chunk * ROWS_AT_ONCE
        n_now = min(ROWS_AT_ONCE, n_rows - start)
        packed = _products.aligned(n_panels, n_now, width, hidden)
        weights_here = np.empty(n_now, hidden.dtype)
        rows.copy(weights_here, row_weights[start : start + n_now])
        for panel in prange(n_panels):
            p = np.int64(panel)
            _pack_weighted(packed[p], hidden_moment, hidden[start : start + n_now], weights_here, p)
        for block in prange(n_blocks):
            first = np.int64(block) * UNITS_PER_BLOCK
            n_units = min(UNITS_PER_BLOCK, n_visible - first)
            padded = _products.padded_rows(n_units)
            strip = _products.aligned(1, n_now, padded, hidden)[0]
            sums = _products.aligned(1, padded, _products.padded_columns(n_hidden, hidden), hidden)[0]
            sums[:, :] = 0
            _copy_and_sum(
                strip, visible_moment[first : first + n_units], visible[start : start + n_now, first : first + n_units],
                weights_here,
            )  # fmt: skip
            _products.add_strided_product(sums, strip.ctypes.data, hidden.itemsize, hidden.itemsize * padded, packed)
            _add_to(weight_moment[first : first + n_units], sums)
