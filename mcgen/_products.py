"""Products of rows of states with a matrix of weights on the CPU, for kernels whose threads multiply on their own.

Every sum is taken in the order of its terms, one rounding for each, so that its bits depend neither on the number of
rows that are multiplied together, nor on threads, nor on a BLAS library, and adding only the rows of the weights whose
state is 1 gives the same bits as multiplying by zeros and ones. The weights are packed once into panels of as many
columns as a tile of sums in registers has; a piece of a panel that fits into the first-level cache is used for all rows
of a block before the next one. On a Xeon with AVX-512 that reaches 85 percent of what the registers do by themselves,
and 1.0 to 2.1 times OpenBLAS, most where the matrix is small.
"""

import numpy as np

from mcgen import _cpu
from mcgen._vectors import (
    LANES,
    PRODUCT_BYTES,
    PRODUCT_ROWS,
    SUM_BYTES,
    add_products,
    add_rows,
    wide_vectors,
)

# Bytes of a panel that stay in the first-level cache while the rows of a block pass by.
CACHED_BYTES = 24_576 if LANES == 8 else 12_288


@_cpu.helper
def aligned(n_planes, n_rows, n_columns, like):
    """An empty array of three axes in the dtype of `like`, from the start of a cache line: no load crosses two."""
    size = like.itemsize
    n = n_planes * n_rows * n_columns
    memory = np.empty(n + 64 // size, like.dtype)
    start = (-memory.ctypes.data % 64) // size
    return memory[start : start + n].reshape(n_planes, n_rows, n_columns)


@_cpu.helper
def panel_columns(like):
    """Columns of a panel."""
    return PRODUCT_BYTES // like.itemsize


@_cpu.helper
def panels(n_columns, like):
    """How many panels a matrix has."""
    width = panel_columns(like)
    return (n_columns + width - 1) // width


@_cpu.helper
def padded_columns(n_columns, like):
    """Columns of a row of results: whole registers."""
    width = 8 * LANES // like.itemsize
    return (n_columns + width - 1) // width * width


@_cpu.helper
def padded_rows(n_rows):
    """Rows of a block of states and of results: whole tiles."""
    return (n_rows + PRODUCT_ROWS - 1) // PRODUCT_ROWS * PRODUCT_ROWS


@_cpu.helper
def pack(packed, weights, panel):
    """Copy one panel of the weights to packed (n_terms, panel_columns), with zeros beyond the last column."""
    n_terms, n_columns = weights.shape
    width = packed.shape[1]
    first = panel * width
    n = min(width, n_columns - first)
    for k in range(n_terms):
        for c in range(n):
            packed[k, c] = weights[k, first + c]
        for c in range(n, width):
            packed[k, c] = 0


@_cpu.helper
def add_product(results, states, packed):
    """results += states . weights for the rows of a block.

    results : float (padded rows, padded columns)
    states : float (padded rows, n_terms or more)
    packed : float (n_panels, n_terms, panel_columns)
    """
    size = packed.itemsize
    add_strided_product(results, states.ctypes.data, size * states.shape[1], size, packed)


@_cpu.helper
def add_strided_product(results, states, row_step, term_step, packed):
    """results += states . weights, where the states are a matrix or the transpose of one, as it lies in memory.

    results : float (padded rows, padded columns)
    states : int
        The address of the first of them; whole tiles of rows are read.
    row_step, term_step : int
        Bytes from a state to the next one down a column, and along a row.
    packed : float (n_panels, n_terms, panel_columns)
    """
    size = packed.itemsize
    n_panels, n_terms, width = packed.shape
    register = 8 * LANES // size
    at_once = CACHED_BYTES // PRODUCT_BYTES
    for panel in range(n_panels):
        n_vectors = min(width, results.shape[1] - panel * width) // register
        for first in range(0, n_terms, at_once):
            for row in range(0, results.shape[0], PRODUCT_ROWS):
                add_products(
                    results.ctypes.data + size * (row * results.shape[1] + panel * width),
                    size * results.shape[1],
                    np.int64(states) + row_step * row + term_step * first,
                    row_step,
                    term_step,
                    packed.ctypes.data + size * ((panel * n_terms + first) * width),
                    size * width,
                    np.int64(min(at_once, n_terms - first)),
                    np.int64(n_vectors),
                    np.int64(size == 4),
                )


@_cpu.helper
def long_enough_to_add(weights):
    """Whether rows of the weights are long enough for `add_active_rows`."""
    return weights.shape[1] * weights.itemsize >= SUM_BYTES


@_cpu.helper
def add_active_rows(result, start, states, n_states, weights, active):
    """result = start + the sum of weights[i] over the states i that are 1, the others being 0, in their order.

    `active` (int64, one more than there are states) is working memory.
    """
    n_active = 0
    for i in range(n_states):
        active[n_active] = i  # overwritten unless the state is 1, so that there is nothing to predict
        n_active += states[i] != 0
    size = weights.itemsize
    row_step = size * weights.shape[1]
    for first in range(0, row_step, SUM_BYTES):
        # The last tile overlaps the one before, and finds the same sums again.
        column = min(first, row_step - SUM_BYTES)
        add_rows(
            result.ctypes.data + column,
            start.ctypes.data + column,
            weights.ctypes.data + column,
            row_step,
            active.ctypes.data,
            np.int64(n_active),
            np.int64(size == 4),
        )


@_cpu.reordering_helper
def sum_of_row(states, n_states):
    """The sum of a row of zeros and ones, in their own precision."""
    wide_vectors()
    total = states[0] * 0
    for i in range(n_states):
        total += states[i]
    return total
