"""Kernels of the exact sums of RBMs on the CPU.

The twin of `cuda.py`: same functions, order and arguments.
"""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen._vectors import COLUMNS, ROWS, multiply_factors, wide_vectors
from mcgen.formulas import NO_EXPONENT
from mcgen.rbm.sums.formulas import STATES_PER_TILE

scalar = _cpu.formulas("mcgen.formulas")
exact = _cpu.formulas("mcgen.rbm.sums.formulas")

# All states of one layer are summed, which is split in three parts: a state is a triple (item, row, low state), low
# states are taken in tiles of 64, and the other layer's units are summed out as products of factors 1 + e^y.
# `tables.py` says what the arrays hold.


@_cpu.helper
def _working_memory(n_rows, n_slots):
    """Products, exponents and factors of one piece of work, from the start of a cache line: no load crosses two."""
    size = n_rows * STATES_PER_TILE
    memory = np.empty(2 * size + n_rows * n_slots + 8)
    start = (-memory.ctypes.data % 64) // 8
    products = memory[start : start + size].reshape(n_rows, STATES_PER_TILE)
    exponents = memory[start + size : start + 2 * size].view(np.int64).reshape(n_rows, STATES_PER_TILE)
    factors = memory[start + 2 * size : start + 2 * size + n_rows * n_slots].reshape(n_rows, n_slots)
    return products, exponents, factors


@_cpu.helper
def _row_factors(factors, item, center, top, middle, n_narrow):
    """factors[row, j] = e^y of an item's top units and a row's middle units; y itself for the wide units, last."""
    wide_vectors()
    n_rows, n_slots = factors.shape
    first = factors[0]
    for j in range(n_slots):
        first[j] = center[j]
    for i in range(top.shape[0]):
        spin = scalar.spin_of_bit(item, i)
        for j in range(n_slots):
            first[j] += spin * top[i, j]
    for j in range(n_narrow):
        first[j] = scalar.exp_within_range(first[j])
    for row in range(n_rows - 1, -1, -1):
        for j in range(n_narrow):
            factors[row, j] = first[j] * middle[row, j]
        for j in range(n_narrow, n_slots):
            factors[row, j] = first[j] + middle[row, j]


@_cpu.helper
def _tile_products(products, exponents, factors, tile, low, low_exponents, groups, renormalize, ranged):
    """The factors of all other units, multiplied: products[row, b] * 2^exponents[row, b] for the states of a tile.

    A group of units at a time, so that their part of `low` stays in the first-level cache for all rows. Between groups
    that could overflow together, the exponents are taken out.
    """
    wide_vectors()
    n_rows, n_slots = factors.shape
    if ranged:
        for row in range(n_rows):
            for b in range(STATES_PER_TILE):
                exponents[row, b] = low_exponents[tile, b]
    n_groups = renormalize.shape[0]
    for group in range(n_groups):
        first, size = groups[group], groups[group + 1] - groups[group]
        for b in range(0, STATES_PER_TILE, COLUMNS):
            for row in range(0, n_rows, ROWS):
                multiply_factors(
                    products.ctypes.data + 8 * (row * STATES_PER_TILE + b),
                    8 * STATES_PER_TILE,
                    factors.ctypes.data + 8 * (row * n_slots + first),
                    8 * n_slots,
                    low.ctypes.data + 8 * ((tile * n_slots + first) * STATES_PER_TILE + b),
                    8 * STATES_PER_TILE,
                    size,
                    group == 0,
                )
        if renormalize[group]:
            for row in range(n_rows):
                for b in range(STATES_PER_TILE):
                    exponents[row, b] += scalar.exponent(products[row, b])
                    products[row, b] = scalar.mantissa(products[row, b])
    for j in range(groups[n_groups], n_slots):
        for row in range(n_rows):
            for b in range(STATES_PER_TILE):
                product, exponent = exact.times_wide_factor(products[row, b], factors[row, j] + low[tile, j, b])
                products[row, b] = product
                exponents[row, b] += exponent


@_cpu.kernel
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

    One thread takes one item at a time: 32 rows x all low states. A tile of 32 x 64 products and the 16 kB of `low` of
    one group of units stay in the first-level cache; the low part as a whole is read from the second once for 32 rows.

    Parameters
    ----------
    mantissas, exponents : float64 and int64 (n_items,), modified
    first_item : int
    center, top, middle, middle_mantissas, middle_exponents, low, low_mantissas, low_exponents : arrays of `Tables`
    groups, renormalize, ranged : likewise
    """
    n_rows, n_slots = middle.shape[0], center.shape[0] - 1
    for k in prange(mantissas.shape[0]):
        wide_vectors()
        products, shifts, factors = _working_memory(n_rows, n_slots)
        item = first_item + k
        _row_factors(factors, item, center, top, middle, groups[-1])
        row_totals, row_exponents = np.zeros(n_rows), np.full(n_rows, NO_EXPONENT)
        for tile in range(low.shape[0]):
            _tile_products(products, shifts, factors, tile, low, low_exponents, groups, renormalize, ranged)
            for row in range(n_rows):
                largest = low_exponents[tile, 0]
                if ranged:
                    for b in range(STATES_PER_TILE):
                        largest = max(largest, shifts[row, b])
                    for b in range(STATES_PER_TILE):
                        products[row, b] *= scalar.power_of_two(shifts[row, b] - largest)
                total = exact.weighted_sum(products[row], low_mantissas[tile])
                row_totals[row], row_exponents[row] = scalar.add_weights(
                    row_totals[row], row_exponents[row], total, largest
                )
        total, reference = 0.0, np.int64(NO_EXPONENT)
        for row in range(n_rows):
            total, reference = scalar.add_weights(
                total, reference, middle_mantissas[row] * row_totals[row], middle_exponents[row] + row_exponents[row]
            )
        mantissa, exponent = exact.self_weight(item, center, top)
        mantissas[k] = total * mantissa
        exponents[k] = reference + exponent


@_cpu.kernel
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

    One thread takes one item at a time.

    Parameters
    ----------
    mantissas, exponents : float64 and int32 (n_items, n_rows, n_low_states), modified
        Padding states have the mantissa 0.
    items : int64 (n_items,)
    center, ..., ranged : as for `sum_states`
    """
    n_rows, n_slots = middle.shape[0], center.shape[0] - 1
    for k in prange(items.shape[0]):
        wide_vectors()
        products, shifts, factors = _working_memory(n_rows, n_slots)
        _row_factors(factors, items[k], center, top, middle, groups[-1])
        mantissa, exponent = exact.self_weight(items[k], center, top)
        for tile in range(low.shape[0]):
            _tile_products(products, shifts, factors, tile, low, low_exponents, groups, renormalize, ranged)
            for row in range(n_rows):
                row_mantissa, row_exponent = mantissa * middle_mantissas[row], exponent + middle_exponents[row]
                for b in range(STATES_PER_TILE):
                    state = tile * STATES_PER_TILE + b
                    shift = shifts[row, b] if ranged else low_exponents[tile, b]
                    mantissas[k, row, state] = products[row, b] * low_mantissas[tile, b] * row_mantissa
                    exponents[k, row, state] = shift + row_exponent


@_cpu.reordering_helper
def _add_tile_moments(columns, totals, weights, factors, tile, low, n_narrow):
    """Add weight * p_j to columns[j, b] (summed over rows) and totals[row, j] (summed over the states b of a tile).

    p_j = E / (1 + E). Four units share one division: with x = 1 + E, the product of the other three is what remains
    of 1 / (x0 x1 x2 x3); a division takes as long as sixteen multiplications.
    """
    wide_vectors()
    n_rows, n_slots = factors.shape
    for j in range(0, n_narrow, 4):
        for row in range(n_rows):
            g0, g1, g2, g3 = factors[row, j], factors[row, j + 1], factors[row, j + 2], factors[row, j + 3]
            t0 = t1 = t2 = t3 = 0.0
            for b in range(STATES_PER_TILE):
                e0, e1 = g0 * low[tile, j, b], g1 * low[tile, j + 1, b]
                e2, e3 = g2 * low[tile, j + 2, b], g3 * low[tile, j + 3, b]
                q0, q1, q2, q3 = exact.four_weighted_probabilities(weights[row, b], e0, e1, e2, e3)
                columns[j, b] += q0
                columns[j + 1, b] += q1
                columns[j + 2, b] += q2
                columns[j + 3, b] += q3
                t0 += q0
                t1 += q1
                t2 += q2
                t3 += q3
            totals[row, j] += t0
            totals[row, j + 1] += t1
            totals[row, j + 2] += t2
            totals[row, j + 3] += t3
    for j in range(n_narrow, n_slots + 1):
        for row in range(n_rows):
            total = 0.0
            for b in range(STATES_PER_TILE):
                q = weights[row, b]
                if j < n_slots:
                    q *= scalar.sigmoid(factors[row, j] + low[tile, j, b])
                columns[j, b] += q
                total += q
            totals[row, j] += total


@_cpu.kernel
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

    With p(state) = weight / Z and p_j the probability that unit j is up: sums[k, 0, j] = sum p(state) p_j over the
    states of item first_item + k, and sums[k, 1 + i, j] = sum p(state) sigma_i p_j with sigma_i = +-1 the low units,
    then the middle units. The last column has p_j = 1. The weights are computed as in `sum_states`, the means from
    them in a second pass over the tile. One thread takes one item at a time.

    Parameters
    ----------
    sums : float64 (n_items, 1 + n_low_units + n_middle_units, n_slots + 1), modified
    first_item, n_low_units : int
    partition_mantissa, partition_exponent : float64 and int64
        Z.
    center, ..., ranged : as for `sum_states`
    """
    n_rows, n_slots = middle.shape[0], center.shape[0] - 1
    n_tiles = low.shape[0]
    n_units = sums.shape[1] - 1
    for k in prange(sums.shape[0]):
        wide_vectors()
        products, shifts, factors = _working_memory(n_rows, n_slots)
        item = first_item + k
        _row_factors(factors, item, center, top, middle, groups[-1])
        mantissa, exponent = exact.self_weight(item, center, top)
        columns, totals = np.zeros((n_slots + 1, STATES_PER_TILE)), np.zeros((n_rows, n_slots + 1))
        tile_columns = np.zeros((n_slots + 1, STATES_PER_TILE))
        spins = np.ones((7, STATES_PER_TILE))  # of the units that change within a tile, after a row of ones
        for i in range(6):
            for b in range(STATES_PER_TILE):
                spins[1 + i, b] = scalar.spin_of_bit(b, i)
        sums[k] = 0.0
        for tile in range(n_tiles):
            _tile_products(products, shifts, factors, tile, low, low_exponents, groups, renormalize, ranged)
            for row in range(n_rows):
                scale = mantissa * middle_mantissas[row] / partition_mantissa
                shift = exponent + middle_exponents[row] - partition_exponent
                for b in range(STATES_PER_TILE):
                    power = shift + (shifts[row, b] if ranged else low_exponents[tile, b])
                    # Two steps: the factor of the other layer alone may be beyond the range of a float64.
                    products[row, b] = exact.scaled(products[row, b] * low_mantissas[tile, b] * scale, power)
            tile_columns[:] = 0.0
            _add_tile_moments(tile_columns, totals, products, factors, tile, low, groups[-1])
            for j in range(n_slots + 1):
                for b in range(STATES_PER_TILE):
                    columns[j, b] += tile_columns[j, b]
                total = exact.weighted_sum(tile_columns[j], spins[0])
                for i in range(6, n_low_units):
                    sums[k, 1 + i, j] += scalar.spin_of_bit(tile, i - 6) * total
        for j in range(n_slots + 1):
            for i in range(min(6, n_low_units)):
                sums[k, 1 + i, j] = exact.weighted_sum(columns[j], spins[1 + i])
        for row in range(n_rows):
            for j in range(n_slots + 1):
                sums[k, 0, j] += totals[row, j]
            for i in range(n_low_units, n_units):
                spin = scalar.spin_of_bit(row, i - n_low_units)
                for j in range(n_slots + 1):
                    sums[k, 1 + i, j] += spin * totals[row, j]
