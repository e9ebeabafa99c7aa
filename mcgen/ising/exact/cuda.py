"""Kernels of the exact sums of Ising lattices on a GPU.

The twin of `cpu.py`: same functions, order and arguments, described there.
"""

import numpy as np

from mcgen import _cuda
from mcgen._cuda import cuda

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
