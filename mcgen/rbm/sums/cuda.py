"""Kernels of the exact sums of RBMs on a GPU.

The twin of `cpu.py`: same functions, order and arguments, described there.
"""

import numba
import numpy as np

from mcgen import _cuda
from mcgen._cuda import WIDEST_BLOCK, cuda
from mcgen.formulas import NO_EXPONENT
from mcgen.rbm.sums.formulas import MOST_ROWS, STATES_PER_TILE, UNITS_PER_GROUP

scalar = _cuda.formulas("mcgen.formulas")
exact = _cuda.formulas("mcgen.rbm.sums.formulas")

# The exact sums. One block takes one item: all rows x all low states, a tile of 64 at a time. One lane takes a task of
# 4 rows x 4 low states, the latter 16 apart, so that neighbouring lanes read neighbouring numbers: 16 products in
# registers for 8 numbers read from shared memory. Blocks with fewer lanes than tasks go around several times.
ROWS_PER_TASK = 4
COLUMNS_PER_TASK = 4
PRODUCTS = 16
TASKS_PER_ROW = STATES_PER_TILE // COLUMNS_PER_TASK
# Numbers in shared memory. The factors of a unit are two numbers further apart than there are rows: neighbouring lanes,
# which write those of neighbouring units, then reach different banks.
FACTORS_PER_UNIT = MOST_ROWS + 2
FACTORS_PER_GROUP = UNITS_PER_GROUP * FACTORS_PER_UNIT
LOW_PER_GROUP = UNITS_PER_GROUP * STATES_PER_TILE


@_cuda.helper
def _top_field(item, j, center, top):
    """y of unit j from the top units of an item."""
    y = center[j]
    for i in range(top.shape[0]):
        y += scalar.spin_of_bit(item, i) * top[i, j]
    return y


@_cuda.helper
def _place(task):
    """The first row and the first low state of a task."""
    return ROWS_PER_TASK * (task // TASKS_PER_ROW), task % TASKS_PER_ROW


@_cuda.helper
def _tile_products(products, exponents, shared, task, item, tile, tables):
    """products * 2^exponents of one lane's task, as in the CPU twin; all lanes of the block come here together.

    A group of units at a time is brought to shared memory: 32 x 64 numbers of `low` and the factors of 32 rows.
    """
    shared_base, shared_factors, shared_low = shared
    center, top, middle, low, low_exponents, groups, renormalize = tables
    n_rows, n_slots = middle.shape[0], middle.shape[1]
    lane, n_lanes = cuda.threadIdx.x, cuda.blockDim.x
    row, column = _place(task)
    active = row < n_rows
    for r in range(ROWS_PER_TASK):
        for c in range(COLUMNS_PER_TASK):
            products[ROWS_PER_TASK * r + c] = 1.0
            exponents[ROWS_PER_TASK * r + c] = low_exponents[tile, column + TASKS_PER_ROW * c]
    for group in range(renormalize.shape[0]):
        first, size = groups[group], groups[group + 1] - groups[group]
        for u in range(lane, size, n_lanes):
            shared_base[u] = scalar.exp_within_range(_top_field(item, first + u, center, top))
        for k in range(lane, size * STATES_PER_TILE, n_lanes):
            shared_low[k] = low[tile, first + k // STATES_PER_TILE, k % STATES_PER_TILE]
        cuda.syncthreads()
        for k in range(lane, UNITS_PER_GROUP * n_rows, n_lanes):
            u, other = k % UNITS_PER_GROUP, k // UNITS_PER_GROUP
            if u < size:
                shared_factors[u * FACTORS_PER_UNIT + other] = shared_base[u] * middle[other, first + u]
        cuda.syncthreads()
        if active:
            # Unsigned places: for signed ones Numba adds instructions that count negative ones from the end.
            high_place, low_place = np.uint64(row), np.uint64(column)
            for _ in range(size):
                for r in range(ROWS_PER_TASK):
                    high = shared_factors[high_place + np.uint64(r)]
                    for c in range(COLUMNS_PER_TASK):
                        factor = exact.other_factor(high, shared_low[low_place + np.uint64(TASKS_PER_ROW * c)])
                        products[ROWS_PER_TASK * r + c] *= factor
                high_place += np.uint64(FACTORS_PER_UNIT)
                low_place += np.uint64(STATES_PER_TILE)
            if renormalize[group]:
                for k in range(PRODUCTS):
                    exponents[k] += scalar.exponent(products[k])
                    products[k] = scalar.mantissa(products[k])
        cuda.syncthreads()
    if active:
        for j in range(groups[renormalize.shape[0]], n_slots):
            y = _top_field(item, j, center, top)
            for r in range(ROWS_PER_TASK):
                for c in range(COLUMNS_PER_TASK):
                    k = ROWS_PER_TASK * r + c
                    wide = y + middle[row + r, j] + low[tile, j, column + TASKS_PER_ROW * c]
                    product, exponent = exact.times_wide_factor(products[k], wide)
                    products[k] = product
                    exponents[k] += exponent


@_cuda.block_kernel
def sum_states(
    mantissas,
    exponents,
    first_item,
    center,
    top,
    middle,
    middle_mantissas,
    middle_exponents,
    low,
    low_mantissas,
    low_exponents,
    groups,
    renormalize,
    ranged,
):
    """The sum of the Boltzmann factors of all states of each item: mantissas[k] * 2^exponents[k] for first_item + k.

    One block takes one item. Every lane adds up its own tasks; the first lane adds the lanes in order.
    """
    shared = (
        cuda.shared.array(UNITS_PER_GROUP, numba.float64),
        cuda.shared.array(FACTORS_PER_GROUP, numba.float64),
        cuda.shared.array(LOW_PER_GROUP, numba.float64),
    )
    tables = (center, top, middle, low, low_exponents, groups, renormalize)
    lane_totals = cuda.shared.array(WIDEST_BLOCK, numba.float64)
    lane_exponents = cuda.shared.array(WIDEST_BLOCK, numba.int64)
    products = cuda.local.array(PRODUCTS, numba.float64)
    shifts = cuda.local.array(PRODUCTS, numba.int32)
    k = cuda.blockIdx.x
    item = first_item + k
    lane, n_lanes = cuda.threadIdx.x, cuda.blockDim.x
    n_rows = middle.shape[0]
    n_tasks = n_rows // ROWS_PER_TASK * TASKS_PER_ROW
    total, reference = 0.0, np.int64(NO_EXPONENT)
    for turn in range((n_tasks + n_lanes - 1) // n_lanes):
        task = turn * n_lanes + lane
        row, column = _place(task)
        for tile in range(low.shape[0]):
            _tile_products(products, shifts, shared, task, item, tile, tables)
            if row < n_rows:
                for r in range(ROWS_PER_TASK):
                    for c in range(COLUMNS_PER_TASK):
                        weight = low_mantissas[tile, column + TASKS_PER_ROW * c] * middle_mantissas[row + r]
                        shift = shifts[ROWS_PER_TASK * r + c] + middle_exponents[row + r]
                        total, reference = scalar.add_weights(
                            total, reference, products[ROWS_PER_TASK * r + c] * weight, shift
                        )
    lane_totals[lane] = total
    lane_exponents[lane] = reference
    cuda.syncthreads()
    if lane == 0:
        for other in range(1, n_lanes):
            total, reference = scalar.add_weights(total, reference, lane_totals[other], lane_exponents[other])
        mantissa, exponent = exact.self_weight(item, center, top)
        mantissas[k] = total * mantissa
        exponents[k] = reference + exponent


@_cuda.block_kernel
def state_weights(
    mantissas,
    exponents,
    items,
    center,
    top,
    middle,
    middle_mantissas,
    middle_exponents,
    low,
    low_mantissas,
    low_exponents,
    groups,
    renormalize,
    ranged,
):
    """The Boltzmann factor of each state of the items listed: mantissas[k, row, low state] * 2^exponents[...].

    One block takes one item.
    """
    shared = (
        cuda.shared.array(UNITS_PER_GROUP, numba.float64),
        cuda.shared.array(FACTORS_PER_GROUP, numba.float64),
        cuda.shared.array(LOW_PER_GROUP, numba.float64),
    )
    tables = (center, top, middle, low, low_exponents, groups, renormalize)
    products = cuda.local.array(PRODUCTS, numba.float64)
    shifts = cuda.local.array(PRODUCTS, numba.int32)
    k = cuda.blockIdx.x
    lane, n_lanes = cuda.threadIdx.x, cuda.blockDim.x
    n_rows = middle.shape[0]
    n_tasks = n_rows // ROWS_PER_TASK * TASKS_PER_ROW
    mantissa, exponent = exact.self_weight(items[k], center, top)
    for turn in range((n_tasks + n_lanes - 1) // n_lanes):
        task = turn * n_lanes + lane
        row, column = _place(task)
        for tile in range(low.shape[0]):
            _tile_products(products, shifts, shared, task, items[k], tile, tables)
            if row < n_rows:
                for r in range(ROWS_PER_TASK):
                    for c in range(COLUMNS_PER_TASK):
                        b = column + TASKS_PER_ROW * c
                        weight = low_mantissas[tile, b] * middle_mantissas[row + r] * mantissa
                        state = tile * STATES_PER_TILE + b
                        mantissas[k, row + r, state] = products[ROWS_PER_TASK * r + c] * weight
                        shift = shifts[ROWS_PER_TASK * r + c] + middle_exponents[row + r] + exponent
                        exponents[k, row + r, state] = shift


@_cuda.block_kernel
def state_moments(
    sums,
    first_item,
    n_low_units,
    partition_mantissa,
    partition_exponent,
    center,
    top,
    middle,
    middle_mantissas,
    middle_exponents,
    low,
    low_mantissas,
    low_exponents,
    groups,
    renormalize,
    ranged,
):
    """Moments of the other layer's units with the low and middle units, item by item.

    One block takes one item. For each tile the lanes first put the probabilities of its states into shared memory, then
    each takes every blockDim.x-th unit of the other layer through all of them. A column of `sums` is one lane's own.
    """
    shared = (
        cuda.shared.array(UNITS_PER_GROUP, numba.float64),
        cuda.shared.array(FACTORS_PER_GROUP, numba.float64),
        cuda.shared.array(LOW_PER_GROUP, numba.float64),
    )
    tables = (center, top, middle, low, low_exponents, groups, renormalize)
    weights = cuda.shared.array((MOST_ROWS, STATES_PER_TILE), numba.float64)
    products = cuda.local.array(PRODUCTS, numba.float64)
    shifts = cuda.local.array(PRODUCTS, numba.int32)
    row_factors = cuda.local.array(MOST_ROWS, numba.float64)
    row_totals = cuda.local.array(MOST_ROWS, numba.float64)
    k = cuda.blockIdx.x
    item = first_item + k
    lane, n_lanes = cuda.threadIdx.x, cuda.blockDim.x
    n_rows, n_slots = middle.shape[0], middle.shape[1]
    n_narrow = groups[renormalize.shape[0]]
    n_tasks = n_rows // ROWS_PER_TASK * TASKS_PER_ROW
    mantissa, exponent = exact.self_weight(item, center, top)
    for j in range(lane, n_slots + 1, n_lanes):
        for i in range(sums.shape[1]):
            sums[k, i, j] = 0.0
    for tile in range(low.shape[0]):
        for turn in range((n_tasks + n_lanes - 1) // n_lanes):
            task = turn * n_lanes + lane
            row, column = _place(task)
            _tile_products(products, shifts, shared, task, item, tile, tables)
            if row < n_rows:
                for r in range(ROWS_PER_TASK):
                    scale = mantissa * middle_mantissas[row + r] / partition_mantissa
                    shift = exponent + middle_exponents[row + r] - partition_exponent
                    for c in range(COLUMNS_PER_TASK):
                        b = column + TASKS_PER_ROW * c
                        weight = products[ROWS_PER_TASK * r + c] * low_mantissas[tile, b] * scale
                        weights[row + r, b] = exact.scaled(weight, shift + shifts[ROWS_PER_TASK * r + c])
        cuda.syncthreads()
        for j in range(lane, n_slots + 1, n_lanes):
            y = _top_field(item, j, center, top) if j < n_slots else 0.0
            base = scalar.exp_within_range(y) if j < n_narrow else 1.0
            for row in range(n_rows):
                row_totals[row] = 0.0
                if j < n_narrow:
                    row_factors[row] = base * middle[row, j]
                elif j < n_slots:
                    row_factors[row] = y + middle[row, j]
            for b in range(STATES_PER_TILE):
                total = 0.0
                for row in range(n_rows):
                    q = weights[row, b]
                    if j < n_narrow:
                        q = exact.weighted_probability(q, row_factors[row] * low[tile, j, b])
                    elif j < n_slots:
                        q *= scalar.sigmoid(row_factors[row] + low[tile, j, b])
                    total += q
                    row_totals[row] += q
                sums[k, 0, j] += total
                for i in range(n_low_units):
                    bit = scalar.spin_of_bit(tile * STATES_PER_TILE + b, i)
                    sums[k, 1 + i, j] += bit * total
            for row in range(n_rows):
                for i in range(n_low_units, sums.shape[1] - 1):
                    sums[k, 1 + i, j] += scalar.spin_of_bit(row, i - n_low_units) * row_totals[row]
        cuda.syncthreads()
