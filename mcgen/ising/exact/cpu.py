"""Kernels of the exact sums of Ising lattices on the CPU.

The twin of `cuda.py`: same functions, order and arguments.
"""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen.formulas import NO_EXPONENT

scalar = _cpu.formulas("mcgen.formulas")
exact = _cpu.formulas("mcgen.ising.exact.formulas")

# Frontier states that one thread takes at a time in the transfer kernels: 2^12.
BLOCK_BITS = 12
# A run of frontier states that are taken together, vectorised: at most 2^8, whose numbers stay in the first-level
# cache, and at least 2^4, below which one state at a time is as fast.
MOST_RUN_BITS = 8
FEWEST_RUN_BITS = 4
# The weights of a run share one exponent where they lie within 2^400 of each other.
WIDEST_RUN = 400


@_cpu.kernel
def state_energies(energies, high_energies, low_energies, cross_fields):
    """The energy of every state, by state index.

    The sites are split: the first k are "low", the others "high". A state is a pair (A, B) of a high and a low part and
    its energy is E_A + E_B - sum_i f_i(A) s_i(B). With the low spins all down the last term is +sum f_i; turning spin i
    up subtracts 2 f_i, so that the 2^k states of one A follow by doubling, one addition each.

    One thread takes one A at a time.

    Parameters
    ----------
    energies : float64 (n_high, n_low), modified
    high_energies : float64 (n_high,)
        E_A: bonds and fields within the high part.
    low_energies : float64 (n_low,)
        E_B, likewise.
    cross_fields : float64 (n_high, k), n_low = 2**k
        f_i(A): the field of the high part on low site i.
    """
    n_low_sites = cross_fields.shape[1]
    for high in prange(energies.shape[0]):
        row = energies[high]
        total = 0.0
        for site in range(n_low_sites):
            total += cross_fields[high, site]
        row[0] = total
        for site in range(n_low_sites):
            half = np.int64(1) << site
            for low in range(half):
                row[half + low] = row[low] - 2.0 * cross_fields[high, site]
        for low in range(row.shape[0]):
            row[low] += high_energies[high] + low_energies[low]


# The transfer kernels. A frontier state is an index with one bit for each site of the frontier; `full` is the index
# with the new site in front: the new spin as bit 0, and the old frontier shifted left by one.
#
# The states of a run differ in their lowest bits alone, and none of these leaves. They come from old states that follow
# each other in memory, so that a run is a few passes over short contiguous rows, each of them vectorised, with the two
# values of the new spin in rows of their own until the end. A pass writes one or two rows: LLVM gives up a loop for
# which more than eight pairs of rows would have to be checked for overlap.


@_cpu.helper
def _step_table(energies, beta):
    """The Boltzmann factor of each entry of a step's table, as mantissas and exponents."""
    mantissas = np.empty(energies.shape[0])
    exponents = np.empty(energies.shape[0], np.int64)
    for entry in range(energies.shape[0]):
        mantissas[entry], exponents[entry] = exact.step_weight(energies[entry], beta)
    return mantissas, exponents


@_cpu.helper
def _run_bits(leaving, n_states):
    """How many of the lowest bits of a frontier state make a run; 0 where states are taken one at a time."""
    bits = 0
    while bits < MOST_RUN_BITS and 2 << bits <= n_states and (leaving.shape[0] == 0 or bits < leaving[0]):
        bits += 1
    return bits if bits >= FEWEST_RUN_BITS else 0


@_cpu.helper
def _row_number(full, neighbor_bits, run_bits):
    """Which row of the run tables belongs to a run: the new spin, then its neighbours above the run."""
    row = full & 1
    place = 1
    for k in range(neighbor_bits.shape[0]):
        if neighbor_bits[k] >= run_bits:
            row |= ((full >> neighbor_bits[k]) & 1) << place
            place += 1
    return row


@_cpu.helper
def _run_tables(energies, mantissas, exponents, neighbor_bits, run_bits):
    """A step's table written out along a run: energies, and factors[row, h] * 2^row_exponents[row], if these fit."""
    n_rows = 2
    for k in range(neighbor_bits.shape[0]):
        if neighbor_bits[k] >= run_bits:
            n_rows *= 2
    half = (1 << run_bits) >> 1
    factors = np.empty((n_rows, half))
    row_energies = np.empty((n_rows, half))
    row_exponents = np.empty(n_rows, np.int64)
    fits = True
    for row in range(n_rows):
        lowest, highest = np.int64(-NO_EXPONENT), np.int64(NO_EXPONENT)
        for is_known in range(2):
            for h in range(half):
                entry = row & 1
                place = 1
                for k in range(neighbor_bits.shape[0]):
                    if neighbor_bits[k] >= run_bits:
                        entry |= ((row >> place) & 1) << (k + 1)
                        place += 1
                    else:
                        entry |= ((2 * h >> neighbor_bits[k]) & 1) << (k + 1)
                if is_known:
                    factors[row, h] = mantissas[entry] * scalar.power_of_two(exponents[entry] - highest)
                    row_energies[row, h] = energies[entry]
                else:
                    lowest, highest = min(lowest, exponents[entry]), max(highest, exponents[entry])
        row_exponents[row] = highest
        fits = fits and highest - lowest < WIDEST_RUN
    return factors, row_exponents, row_energies, fits


@_cpu.helper
def _take_terms(mantissas, exponents, old_mantissas, old_exponents, factors, exponent):
    """The terms of a run: old weights times the factors of the step."""
    for h in range(mantissas.shape[0]):
        mantissas[h] = old_mantissas[h] * factors[h]
    for h in range(mantissas.shape[0]):
        exponents[h] = old_exponents[h] + exponent


@_cpu.helper
def _add_terms(mantissas, exponents, old_mantissas, old_exponents, factors, exponent):
    """Add the terms of a run to those that are there."""
    for h in range(mantissas.shape[0]):
        mantissas[h], exponents[h] = scalar.add_weights(
            mantissas[h], exponents[h], old_mantissas[h] * factors[h], old_exponents[h] + exponent
        )


@_cpu.helper
def _write_weights(new_mantissas, new_exponents, mantissas, exponents):
    """Write the sums of a run with 1 <= mantissa < 2, the new spin's two values in turn."""
    down, up = mantissas[0], mantissas[1]
    down_exponents, up_exponents = exponents[0], exponents[1]
    for h in range(down.shape[0]):
        new_mantissas[2 * h] = scalar.mantissa(down[h])
        new_mantissas[2 * h + 1] = scalar.mantissa(up[h])
    for h in range(down.shape[0]):
        new_exponents[2 * h] = down_exponents[h] + scalar.exponent(down[h])
        new_exponents[2 * h + 1] = up_exponents[h] + scalar.exponent(up[h])


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
        base = exact.spread_bits(start, leaving)
        for c in range(offsets.shape[0]):
            full = base | offsets[c]
            old = full >> 1
            row = _row_number(full, neighbor_bits, run_bits)
            for up in range(2):
                source = column - shift * up
                if 0 <= source < mantissas.shape[0]:
                    terms = (mantissas[source, old : old + half], exponents[source, old : old + half])
                    if c == 0:
                        _take_terms(sums[up], sum_exponents[up], *terms, factors[row + up], row_exponents[row + up])
                    else:
                        _add_terms(sums[up], sum_exponents[up], *terms, factors[row + up], row_exponents[row + up])
                elif c == 0:
                    sums[up] = 0.0
                    sum_exponents[up] = NO_EXPONENT
        stop = start + 2 * half
        _write_weights(new_mantissas[column, start:stop], new_exponents[column, start:stop], sums, sum_exponents)


@_cpu.helper
def _transfer_states(
    new_mantissas, new_exponents, mantissas, exponents, places, leaving, offsets, neighbor_bits, table
):
    """`transfer_step` for states first ... end - 1 of one column, one at a time."""
    column, first, end, shift = places
    table_mantissas, table_exponents = table
    for state in range(first, end):
        base = exact.spread_bits(state, leaving)
        weight, exponent = 0.0, np.int64(NO_EXPONENT)
        for c in range(offsets.shape[0]):
            full = base | offsets[c]
            old = full >> 1
            source = column - shift * (full & 1)
            if 0 <= source < mantissas.shape[0]:
                entry = exact.step_entry(full, neighbor_bits)
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
    blocks_bits = exact.count_up(n_states - 1) - block_bits
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
    table = _step_table(energies, beta)
    run_bits = _run_bits(leaving, n_states)
    factors, row_exponents, _, fits = _run_tables(energies, *table, neighbor_bits, run_bits)
    if not fits:
        run_bits = 0
    runs = (factors, row_exponents)
    arrays = (new_mantissas, new_exponents, mantissas, exponents)
    block_bits = min(BLOCK_BITS, exact.count_up(n_states - 1))
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
        variances[h] = exact.merged_variance(variances[h], old_variances[h], differences[h], fractions[h], rests[h])
    for h in range(means.shape[0]):
        means[h] = exact.merged_mean(means[h], differences[h], fractions[h])


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
        base = exact.spread_bits(start, leaving)
        for c in range(offsets.shape[0]):
            full = base | offsets[c]
            old = full >> 1
            stop = old + half
            down_row = _row_number(full, neighbor_bits, run_bits)
            for up in range(2):
                row = down_row + up
                weights = (mantissas[old:stop], exponents[old:stop], factors[row], row_exponents[row])
                if c == 0:
                    _take_terms(sums[up], sum_exponents[up], *weights)
                else:
                    _take_terms(terms, term_exponents, *weights)
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
        _write_weights(new_mantissas[start:stop], new_exponents[start:stop], sums, sum_exponents)
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
        base = exact.spread_bits(state, leaving)
        weight, exponent = 0.0, np.int64(NO_EXPONENT)
        energy, energy_variance, magnetization, magnetization_variance = 0.0, 0.0, 0.0, 0.0
        for c in range(offsets.shape[0]):
            full = base | offsets[c]
            old = full >> 1
            entry = exact.step_entry(full, neighbor_bits)
            term, term_exponent = mantissas[old] * table_mantissas[entry], exponents[old] + table_exponents[entry]
            before, exponent_before = weight, exponent
            weight, exponent = scalar.add_weights(weight, exponent, term, term_exponent)
            fraction = term * scalar.power_of_two(term_exponent - exponent) / weight
            rest = before * scalar.power_of_two(exponent_before - exponent) / weight
            difference = ((means[0, old] - means[0, 0]) + energies[entry]) - energy
            energy_variance = exact.merged_variance(energy_variance, variances[0, old], difference, fraction, rest)
            energy = exact.merged_mean(energy, difference, fraction)
            difference = ((means[1, old] - means[1, 0]) + scalar.spin_of_bit(full, 0)) - magnetization
            magnetization_variance = exact.merged_variance(
                magnetization_variance, variances[1, old], difference, fraction, rest
            )
            magnetization = exact.merged_mean(magnetization, difference, fraction)
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
    table = _step_table(energies, beta)
    run_bits = _run_bits(leaving, n_states)
    factors, row_exponents, row_energies, fits = _run_tables(energies, *table, neighbor_bits, run_bits)
    if not fits:
        run_bits = 0
    runs = (factors, row_exponents, row_energies)
    new = (new_mantissas, new_exponents, new_means, new_variances)
    old = (mantissas, exponents, means, variances)
    block_bits = min(BLOCK_BITS, exact.count_up(n_states - 1))
    n_items = n_states >> block_bits
    if n_items == 1:
        _moment_block(0, block_bits, new, old, leaving, offsets, neighbor_bits, energies, table, runs, run_bits)
    else:
        for item in prange(n_items):
            _moment_block(item, block_bits, new, old, leaving, offsets, neighbor_bits, energies, table, runs, run_bits)
    for quantity in range(2):
        totals[quantity, 0], totals[quantity, 1] = exact.compensated_sum(
            totals[quantity, 0], totals[quantity, 1], means[quantity, 0]
        )


@_cpu.kernel
def boltzmann_sums(
    references,
    sums,
    histograms,
    base_energies,
    base_weights,
    matrix,
    fields,
    first_slice,
    beta,
    products,
):
    """Sum the Boltzmann factors of all states of a lattice, a slice of them for each piece of work.

    The sites are split in a low, a middle and a high part. A slice is one state of the high part, and runs over the
    rows (states of the middle part) and the columns (states of the low part) of a table that is the same for all
    slices: the energies of the low and middle part by themselves. The high part adds a number to each row and a number
    to each column. So a state costs an addition for its energy, and nothing is stored for it.

    Sums are kept relative to the lowest energy of the slice so far, found row by row; when it falls, they are shifted.
    The weights of the columns are kept apart for each number of spins up in the middle part, and folded into the
    histogram in the end, one low site at a time.

    One thread takes one slice at a time; the order of a slice's sums is fixed.

    Parameters
    ----------
    references : float64 (n_slices,), modified
        The lowest energy E_0 of each slice.
    sums : float64 (n_slices, 3), modified
        Sums of w, w (E - E_0) and w (E - E_0)^2, with w = e^{-beta (E - E_0)}.
    histograms : float64 (n_slices, n_sites + 1), modified
        Sums of w by the number of spins up. States with w below 1e-300 may be left out.
    base_energies : float64 (n_middle_states, n_low_states)
    base_weights : float64 (n_middle_states, n_low_states)
        e^{-beta base_energies}, where `products` is true.
    matrix : float64 (n_sites, n_sites)
        J_ij, symmetric, the low part first.
    fields : float64 (n_sites,)
    first_slice : int
        The high part's state in the first slice.
    beta : float64
        1 / temperature.
    products : bool
        Whether all e^{-beta E} are far inside the range of float64: weights are then products of table entries, and
        no exponential is taken for a state.
    """
    n_rows, n_columns = base_energies.shape
    n_low, n_middle = exact.count_up(n_columns - 1), exact.count_up(n_rows - 1)
    first_high = n_low + n_middle
    for item in prange(references.shape[0]):
        high = first_slice + item
        row, field_energies, field_weights = np.empty(n_columns), np.empty(n_columns), np.empty(n_columns)
        columns = np.zeros((n_middle + n_low + 1, n_columns))
        high_energy = exact.part_energy(high, first_high, matrix, fields)
        field_energies[0] = 0.0
        for site in range(n_low):
            f = exact.field_of_part(site, high, first_high, matrix)
            half = np.int64(1) << site
            for b in range(half):
                field_energies[half + b] = field_energies[b] - f
                field_energies[b] += f
        if products:
            for b in range(n_columns):
                field_weights[b] = scalar.exp_within_range(-beta * field_energies[b])
        middle_fields = np.empty(n_middle)
        for site in range(n_middle):
            middle_fields[site] = exact.field_of_part(n_low + site, high, first_high, matrix)

        s0, s1, s2 = 0.0, 0.0, 0.0
        reference = np.inf
        for middle in range(n_rows):
            offset = high_energy
            for site in range(n_middle):
                offset -= middle_fields[site] * scalar.spin_of_bit(middle, site)
            lowest = exact.real_of_key(exact.row_energies(row, base_energies[middle], field_energies))
            below = reference - (lowest + offset)
            if beta * below < -700.0:
                continue  # nothing of this row is seen beside what is there
            if below > 0.0:
                if reference < np.inf:
                    factor = 1.0 if products else scalar.exp_negative(-beta * below)
                    s0, s1, s2 = exact.shifted_sums(s0, s1, s2, below)
                    s0, s1, s2 = factor * s0, factor * s1, factor * s2
                    if not products:
                        columns *= factor
                reference = lowest + offset
                below = 0.0
            kept = columns[exact.count_up(middle)]
            if products:
                scale = scalar.exp_within_range(-beta * offset)
                r0, r1, r2 = exact.product_row_sums(kept, row, base_weights[middle], field_weights, scale, lowest)
            else:
                r0, r1, r2 = exact.exponential_row_sums(kept, row, reference - offset, beta, lowest)
            r0, r1, r2 = exact.shifted_sums(r0, r1, r2, -below)
            s0, s1, s2 = s0 + r0, s1 + r1, s2 + r2

        factor = scalar.exp_within_range(beta * reference) if products else 1.0
        references[item] = reference
        sums[item, 0], sums[item, 1], sums[item, 2] = factor * s0, factor * s1, factor * s2
        for site in range(n_low - 1, -1, -1):
            half = np.int64(1) << site
            # Row n of `columns` has n spins up among the sites that are folded already.
            for n_up in range(n_middle + n_low - site, 0, -1):
                for b in range(half):
                    columns[n_up, b] += columns[n_up - 1, half + b]
        histograms[item] = 0.0
        for n_up in range(n_middle + n_low + 1):
            histograms[item, exact.count_up(high) + n_up] = factor * columns[n_up, 0]
