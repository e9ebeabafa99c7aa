"""Kernels of the exact sums of Ising lattices on a GPU.

The twin of `cpu.py`: same functions, order and arguments, described there.
"""

import numpy as np

from mcgen import _cuda
from mcgen._cuda import cuda
from mcgen.formulas import NO_EXPONENT

scalar = _cuda.formulas("mcgen.formulas")
exact = _cuda.formulas("mcgen.ising.exact.formulas")

# Sites of the low and the middle part in boltzmann_sums, at most.
MOST_TABLE_SITES = 24


@_cuda.kernel
def state_energies(energies, high_energies, low_energies, cross_fields):
    """The energy of every state, by state index.

    One lane takes one high part A and its 2^k states.
    """
    high = cuda.grid(1)
    if high >= energies.shape[0]:
        return
    n_low_sites = cross_fields.shape[1]
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


@_cuda.kernel
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

    One lane takes one state of one column of the new frontier, and gathers what becomes that state.
    """
    item = cuda.grid(1)
    n_states = new_mantissas.shape[1]
    if item >= new_mantissas.shape[0] * n_states:
        return
    column = item // n_states
    state = item - column * n_states
    base = exact.spread_bits(state, leaving)
    weight, exponent = 0.0, np.int64(NO_EXPONENT)
    for c in range(offsets.shape[0]):
        full = base | offsets[c]
        old = full >> 1
        source = column - shift * (full & 1)
        if 0 <= source < mantissas.shape[0]:
            factor, factor_exponent = exact.step_weight(energies[exact.step_entry(full, neighbor_bits)], beta)
            weight, exponent = scalar.add_weights(
                weight, exponent, mantissas[source, old] * factor, exponents[source, old] + factor_exponent
            )
    new_mantissas[column, state] = scalar.mantissa(weight)
    new_exponents[column, state] = exponent + scalar.exponent(weight)


@_cuda.kernel
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

    One lane takes one state of the new frontier.
    """
    state = cuda.grid(1)
    if state >= new_mantissas.shape[0]:
        return
    base = exact.spread_bits(state, leaving)
    weight, exponent = 0.0, np.int64(NO_EXPONENT)
    energy, energy_variance, magnetization, magnetization_variance = 0.0, 0.0, 0.0, 0.0
    for c in range(offsets.shape[0]):
        full = base | offsets[c]
        old = full >> 1
        added = energies[exact.step_entry(full, neighbor_bits)]
        factor, factor_exponent = exact.step_weight(added, beta)
        term, term_exponent = mantissas[old] * factor, exponents[old] + factor_exponent
        before, exponent_before = weight, exponent
        weight, exponent = scalar.add_weights(weight, exponent, term, term_exponent)
        fraction = term * scalar.power_of_two(term_exponent - exponent) / weight
        rest = before * scalar.power_of_two(exponent_before - exponent) / weight
        difference = ((means[0, old] - means[0, 0]) + added) - energy
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
    if state == 0:
        for quantity in range(2):
            totals[quantity, 0], totals[quantity, 1] = exact.compensated_sum(
                totals[quantity, 0], totals[quantity, 1], means[quantity, 0]
            )


@_cuda.kernel
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

    One lane takes one slice, state by state; all lanes read the same table entry at a time. Every weight is an
    exponential: `products` and `base_weights` are of use to the CPU alone.
    """
    item = cuda.grid(1)
    if item >= references.shape[0]:
        return
    n_rows, n_columns = base_energies.shape
    n_low, n_middle = exact.count_up(n_columns - 1), exact.count_up(n_rows - 1)
    first_high = n_low + n_middle
    high = first_slice + item
    high_energy = exact.part_energy(high, first_high, matrix, fields)
    part_fields = cuda.local.array(MOST_TABLE_SITES, np.float64)
    for site in range(first_high):
        part_fields[site] = exact.field_of_part(site, high, first_high, matrix)
    histogram = histograms[item]
    for n_up in range(histogram.shape[0]):
        histogram[n_up] = 0.0

    s0, s1, s2 = 0.0, 0.0, 0.0
    reference = np.inf
    for middle in range(n_rows):
        offset = high_energy
        for site in range(n_middle):
            offset -= part_fields[n_low + site] * scalar.spin_of_bit(middle, site)
        n_up_above = exact.count_up(high) + exact.count_up(middle)
        for low in range(n_columns):
            energy = base_energies[middle, low] + offset
            for site in range(n_low):
                energy -= part_fields[site] * scalar.spin_of_bit(low, site)
            below = reference - energy
            if beta * below < -700.0:
                continue  # nothing of this state is seen beside what is there
            if below > 0.0:
                if s0 > 0.0:
                    factor = scalar.exp_negative(-beta * below)
                    s0, s1, s2 = exact.shifted_sums(s0, s1, s2, below)
                    s0, s1, s2 = factor * s0, factor * s1, factor * s2
                    for n_up in range(histogram.shape[0]):
                        histogram[n_up] *= factor
                reference = energy
                below = 0.0
            weight = scalar.exp_negative(beta * below)
            s0 += weight
            s1 -= weight * below
            s2 += weight * below * below
            histogram[n_up_above + exact.count_up(low)] += weight
    references[item] = reference
    sums[item, 0], sums[item, 1], sums[item, 2] = s0, s1, s2
