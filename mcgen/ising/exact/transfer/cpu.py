"""Kernels of the transfer matrix on the CPU. The twin of `cuda.py`: same functions, order and arguments.

Frontier states are taken in runs, where these are long enough: see `runs.py`.
"""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen.formulas import NO_EXPONENT
from mcgen.ising.exact.transfer.runs import (
    add_terms,
    bits_of_run,
    row_number,
    run_tables,
    step_table,
    take_terms,
    write_weights,
)

scalar = _cpu.formulas("mcgen.formulas")
transfer = _cpu.formulas("mcgen.ising.exact.transfer.formulas")

# Frontier states that one thread takes at a time in the transfer kernels: 2^12.
BLOCK_BITS = 12


@_cpu.helper
def _transfer_runs(
    new_mantissas, new_exponents, mantissas, exponents, places, leaving, offsets, neighbor_bits, tables, run_bits
):
    """`transfer_step` for states first ... end - 1 of one column, by runs."""
    column, first, end, shift = places
    factors, row_exponents = tables
    half = factors.shape[1]
    sums = np.empty((2, half))
    sum_exponents = np.empty((2, half), np.int64)
    for start in range(first, end, 2 * half):
        base = transfer.spread_bits(start, leaving)
        for c in range(offsets.shape[0]):
            full = base | offsets[c]
            old = full >> 1
            row = row_number(full, neighbor_bits, run_bits)
            for up in range(2):
                source = column - shift * up
                if 0 <= source < mantissas.shape[0]:
                    terms = (mantissas[source, old : old + half], exponents[source, old : old + half])
                    if c == 0:
                        take_terms(sums[up], sum_exponents[up], *terms, factors[row + up], row_exponents[row + up])
                    else:
                        add_terms(sums[up], sum_exponents[up], *terms, factors[row + up], row_exponents[row + up])
                elif c == 0:
                    sums[up] = 0.0
                    sum_exponents[up] = NO_EXPONENT
        stop = start + 2 * half
        write_weights(new_mantissas[column, start:stop], new_exponents[column, start:stop], sums, sum_exponents)


@_cpu.helper
def _transfer_states(
    new_mantissas, new_exponents, mantissas, exponents, places, leaving, offsets, neighbor_bits, table
):
    """`transfer_step` for states first ... end - 1 of one column, one at a time."""
    column, first, end, shift = places
    table_mantissas, table_exponents = table
    for state in range(first, end):
        base = transfer.spread_bits(state, leaving)
        weight, exponent = 0.0, np.int64(NO_EXPONENT)
        for c in range(offsets.shape[0]):
            full = base | offsets[c]
            old = full >> 1
            source = column - shift * (full & 1)
            if 0 <= source < mantissas.shape[0]:
                entry = transfer.step_entry(full, neighbor_bits)
                weight, exponent = scalar.add_weights(
                    weight,
                    exponent,
                    mantissas[source, old] * table_mantissas[entry],
                    exponents[source, old] + table_exponents[entry],
                )
        new_mantissas[column, state] = scalar.mantissa(weight)
        new_exponents[column, state] = exponent + scalar.exponent(weight)


@_cpu.helper
def _transfer_block(item, block_bits, n_states, arrays, leaving, offsets, neighbor_bits, shift, table, runs, run_bits):
    """One piece of work of `transfer_step`."""
    blocks_bits = transfer.count_up(n_states - 1) - block_bits
    column = item >> blocks_bits
    first = (item - (column << blocks_bits)) << block_bits
    places = (column, first, first + (1 << block_bits), shift)
    if run_bits > 0:
        _transfer_runs(*arrays, places, leaving, offsets, neighbor_bits, runs, run_bits)
    else:
        _transfer_states(*arrays, places, leaving, offsets, neighbor_bits, table)


@_cpu.kernel
def transfer_step(
    new_mantissas,
    new_exponents,
    mantissas,
    exponents,
    leaving,
    offsets,
    neighbor_bits,
    energies,
    beta,
    shift,
):
    """Add one site to the frontier, and sum over the spins of the sites that leave it.

    One thread takes 2^12 states of one column at a time.

    Parameters
    ----------
    new_mantissas, new_exponents : float64 and int64 (n_new_columns, n_new_states), modified
        The weights of the states of the new frontier, mantissa * 2^exponent.
    mantissas, exponents : float64 and int64 (n_columns, n_states)
        Those of the old frontier.
    leaving : int64 (n_leaving,), increasing
        Positions in `full` of the sites that leave.
    offsets : int64 (2**n_leaving,)
        The values of these bits: what is added to a new state, spread to make room for them.
    neighbor_bits : int64 (n_neighbors,)
        Positions in `full` of the new site's neighbours.
    energies : float64 (2**(n_neighbors + 1),)
        The energy that the new site adds: bit 0 of the index is its spin, the others are those of its neighbours.
    beta : float64
        1 / temperature.
    shift : int
        1 if column m holds the weights of states with m spins up so far; 0 for a single column.
    """
    n_states = new_mantissas.shape[1]
    table = step_table(energies, beta)
    run_bits = bits_of_run(leaving, n_states)
    factors, row_exponents, _, fits = run_tables(energies, *table, neighbor_bits, run_bits)
    if not fits:
        run_bits = 0
    runs = (factors, row_exponents)
    arrays = (new_mantissas, new_exponents, mantissas, exponents)
    block_bits = min(BLOCK_BITS, transfer.count_up(n_states - 1))
    n_items = new_mantissas.shape[0] * (n_states >> block_bits)
    if n_items == 1:  # the many small steps of a narrow lattice do not wait for another thread
        _transfer_block(0, block_bits, n_states, arrays, leaving, offsets, neighbor_bits, shift, table, runs, run_bits)
    else:
        for item in prange(n_items):
            _transfer_block(
                item, block_bits, n_states, arrays, leaving, offsets, neighbor_bits, shift, table, runs, run_bits
            )


@_cpu.helper
def _merge_weights(mantissas, exponents, terms, term_exponents, rests):
    """Add the terms of a run to its weights, and leave in `terms` and `rests` the fractions of both in the result."""
    for h in range(mantissas.shape[0]):
        exponent = max(exponents[h], term_exponents[h])
        terms[h] *= scalar.power_of_two(term_exponents[h] - exponent)
        rests[h] = mantissas[h] * scalar.power_of_two(exponents[h] - exponent)
        exponents[h] = exponent
    for h in range(mantissas.shape[0]):
        weight = rests[h] + terms[h]
        mantissas[h] = weight
        terms[h] /= weight
        rests[h] /= weight


@_cpu.helper
def _take_moments(means, variances, old_means, old_variances, added, origin):
    """The mean and variance of one quantity along a run, of its first terms."""
    for h in range(means.shape[0]):
        means[h] = (old_means[h] - origin) + added[h]
    for h in range(means.shape[0]):
        variances[h] = old_variances[h]


@_cpu.helper
def _interleave(row, down, up):
    """The numbers of a run, the new spin's two values in turn."""
    for h in range(down.shape[0]):
        row[2 * h] = down[h]
        row[2 * h + 1] = up[h]


@_cpu.helper
def _merge_moments(means, variances, old_means, old_variances, added, origin, fractions, rests, differences):
    """The mean and variance of one quantity along a run, after terms with their fractions have joined."""
    for h in range(means.shape[0]):
        differences[h] = ((old_means[h] - origin) + added[h]) - means[h]
    for h in range(means.shape[0]):
        variances[h] = transfer.merged_variance(variances[h], old_variances[h], differences[h], fractions[h], rests[h])
    for h in range(means.shape[0]):
        means[h] = transfer.merged_mean(means[h], differences[h], fractions[h])


@_cpu.helper
def _moment_runs(new, old_vector, first, end, leaving, offsets, neighbor_bits, tables, run_bits):
    """`transfer_moments_step` for states first ... end - 1, by runs."""
    new_mantissas, new_exponents, new_means, new_variances = new
    mantissas, exponents, means, variances = old_vector
    factors, row_exponents, row_energies = tables
    half = factors.shape[1]
    sums, terms, rests, differences = np.empty((2, half)), np.empty(half), np.empty(half), np.empty(half)
    sum_exponents, term_exponents = np.empty((2, half), np.int64), np.empty(half, np.int64)
    run_means, run_variances = np.empty((2, 2, half)), np.empty((2, 2, half))
    spins = np.empty((2, half))
    spins[0], spins[1] = -1.0, 1.0
    for start in range(first, end, 2 * half):
        base = transfer.spread_bits(start, leaving)
        for c in range(offsets.shape[0]):
            full = base | offsets[c]
            old = full >> 1
            stop = old + half
            down_row = row_number(full, neighbor_bits, run_bits)
            for up in range(2):
                row = down_row + up
                weights = (mantissas[old:stop], exponents[old:stop], factors[row], row_exponents[row])
                if c == 0:
                    take_terms(sums[up], sum_exponents[up], *weights)
                else:
                    take_terms(terms, term_exponents, *weights)
                    _merge_weights(sums[up], sum_exponents[up], terms, term_exponents, rests)
                for quantity in range(2):
                    added, origin = row_energies[row] if quantity == 0 else spins[up], means[quantity, 0]
                    moments = (run_means[quantity, up], run_variances[quantity, up])
                    old_moments = (means[quantity, old:stop], variances[quantity, old:stop])
                    if c == 0:
                        _take_moments(*moments, *old_moments, added, origin)
                    else:
                        _merge_moments(*moments, *old_moments, added, origin, terms, rests, differences)
        stop = start + 2 * half
        write_weights(new_mantissas[start:stop], new_exponents[start:stop], sums, sum_exponents)
        for quantity in range(2):
            _interleave(new_means[quantity, start:stop], run_means[quantity, 0], run_means[quantity, 1])
            _interleave(new_variances[quantity, start:stop], run_variances[quantity, 0], run_variances[quantity, 1])


@_cpu.helper
def _moment_states(new, old_vector, first, end, leaving, offsets, neighbor_bits, energies, table):
    """`transfer_moments_step` for states first ... end - 1, one at a time."""
    new_mantissas, new_exponents, new_means, new_variances = new
    mantissas, exponents, means, variances = old_vector
    table_mantissas, table_exponents = table
    for state in range(first, end):
        base = transfer.spread_bits(state, leaving)
        weight, exponent = 0.0, np.int64(NO_EXPONENT)
        energy, energy_variance, magnetization, magnetization_variance = 0.0, 0.0, 0.0, 0.0
        for c in range(offsets.shape[0]):
            full = base | offsets[c]
            old = full >> 1
            entry = transfer.step_entry(full, neighbor_bits)
            term, term_exponent = mantissas[old] * table_mantissas[entry], exponents[old] + table_exponents[entry]
            before, exponent_before = weight, exponent
            weight, exponent = scalar.add_weights(weight, exponent, term, term_exponent)
            fraction = term * scalar.power_of_two(term_exponent - exponent) / weight
            rest = before * scalar.power_of_two(exponent_before - exponent) / weight
            difference = ((means[0, old] - means[0, 0]) + energies[entry]) - energy
            energy_variance = transfer.merged_variance(energy_variance, variances[0, old], difference, fraction, rest)
            energy = transfer.merged_mean(energy, difference, fraction)
            difference = ((means[1, old] - means[1, 0]) + scalar.spin_of_bit(full, 0)) - magnetization
            magnetization_variance = transfer.merged_variance(
                magnetization_variance, variances[1, old], difference, fraction, rest
            )
            magnetization = transfer.merged_mean(magnetization, difference, fraction)
        new_mantissas[state] = scalar.mantissa(weight)
        new_exponents[state] = exponent + scalar.exponent(weight)
        new_means[0, state], new_means[1, state] = energy, magnetization
        new_variances[0, state], new_variances[1, state] = energy_variance, magnetization_variance


@_cpu.helper
def _moment_block(item, block_bits, new, old, leaving, offsets, neighbor_bits, energies, table, runs, run_bits):
    """One piece of work of `transfer_moments_step`."""
    first, end = item << block_bits, (item + 1) << block_bits
    if run_bits > 0:
        _moment_runs(new, old, first, end, leaving, offsets, neighbor_bits, runs, run_bits)
    else:
        _moment_states(new, old, first, end, leaving, offsets, neighbor_bits, energies, table)


@_cpu.kernel
def transfer_moments_step(
    new_mantissas,
    new_exponents,
    new_means,
    new_variances,
    mantissas,
    exponents,
    means,
    variances,
    totals,
    leaving,
    offsets,
    neighbor_bits,
    energies,
    beta,
):
    """As `transfer_step`, with the mean and variance of energy and magnetisation given the frontier state.

    States of the old frontier that become one are a mixture: its mean is the weighted mean, its variance follows from
    the law of total variance, without any cancellation. Means are kept relative to that of state 0 of the frontier
    before, so that they do not grow with the lattice and keep their digits; `totals` collects what was taken off.

    One thread takes 2^12 states at a time.

    Parameters
    ----------
    new_mantissas, new_exponents : float64 and int64 (n_new_states,), modified
    new_means, new_variances : float64 (2, n_new_states), modified
        Of the energy and the magnetisation of the sites added so far.
    mantissas, exponents, means, variances : the same for the old frontier, n_states
    totals : float64 (2, 2), modified
        The means of state 0 of the old frontier are added; what rounding takes from the sum is in the second column.
    leaving, offsets, neighbor_bits, energies, beta
        As for `transfer_step`.
    """
    n_states = new_mantissas.shape[0]
    table = step_table(energies, beta)
    run_bits = bits_of_run(leaving, n_states)
    factors, row_exponents, row_energies, fits = run_tables(energies, *table, neighbor_bits, run_bits)
    if not fits:
        run_bits = 0
    runs = (factors, row_exponents, row_energies)
    new = (new_mantissas, new_exponents, new_means, new_variances)
    old = (mantissas, exponents, means, variances)
    block_bits = min(BLOCK_BITS, transfer.count_up(n_states - 1))
    n_items = n_states >> block_bits
    if n_items == 1:
        _moment_block(0, block_bits, new, old, leaving, offsets, neighbor_bits, energies, table, runs, run_bits)
    else:
        for item in prange(n_items):
            _moment_block(item, block_bits, new, old, leaving, offsets, neighbor_bits, energies, table, runs, run_bits)
    for quantity in range(2):
        totals[quantity, 0], totals[quantity, 1] = transfer.compensated_sum(
            totals[quantity, 0], totals[quantity, 1], means[quantity, 0]
        )
