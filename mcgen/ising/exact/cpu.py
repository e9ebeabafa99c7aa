"""Kernels of the exact sums of Ising lattices on the CPU.

The twin of `cuda.py`: same functions, order and arguments.
"""

import numpy as np
from numba import prange

from mcgen import _cpu

scalar = _cpu.formulas("mcgen.formulas")
exact = _cpu.formulas("mcgen.ising.exact.formulas")


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
