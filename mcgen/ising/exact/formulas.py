"""Scalar formulas of the exact sums over the states of an Ising lattice.

Letters follow `mcgen/ising/formulas.py`; states are indices with a bit for each spin.
"""

import numpy as np

from mcgen.formulas import exp_negative, spin_of_bit


def shifted_sums(s0, s1, s2, shift):
    """Sums of w, w d and w d^2 with every d larger by `shift`; all terms have one sign where d and shift do."""
    return s0, s1 + shift * s0, s2 + shift * (2.0 * s1 + shift * s0)


def order_key(x):
    """An integer in the order of the real number x: minima of integers are vectorised, those of reals are not."""
    bits = np.float64(x).view(np.int64)
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)


def real_of_key(key):
    """The real number whose `order_key` is `key`."""
    return np.int64(key ^ ((key >> 63) & 0x7FFFFFFFFFFFFFFF)).view(np.float64)


def part_energy(index, first, matrix, fields):
    """The energy of the last sites, from site `first` on, by themselves in the state `index`: their bonds and fields.

    matrix holds the J_ij between all sites.
    """
    energy = 0.0
    for i in range(fields.shape[0] - first):
        local = fields[first + i]
        for j in range(i):
            local += matrix[first + i, first + j] * spin_of_bit(index, j)
        energy -= local * spin_of_bit(index, i)
    return energy


def field_of_part(site, index, first, matrix):
    """The field sum_j J_ij s_j of the last sites, from site `first` on in the state `index`, on another site i."""
    field = 0.0
    for j in range(matrix.shape[0] - first):
        field += matrix[site, first + j] * spin_of_bit(index, j)
    return field


def count_up(index):
    """The number of bits that are 1 in an index below 2^40: the spins that are up."""
    x = np.int64(index)
    x = x - ((x >> 1) & 0x5555555555)
    x = (x & 0x3333333333) + ((x >> 2) & 0x3333333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F0F
    x = x + (x >> 8)
    return (x + (x >> 16) + (x >> 32)) & 0x7F


def row_energies(row, energies, field_energies):
    """Fill row[b] = energies[b] + field_energies[b] and return the lowest as its `order_key`."""
    lowest = np.int64(0x7FFFFFFFFFFFFFFF)
    for b in range(row.shape[0]):
        E = energies[b] + field_energies[b]
        row[b] = E
        lowest = min(lowest, order_key(E))
    return lowest


def product_row_sums(columns, row, weights, field_weights, scale, lowest):
    """Sums of w, w d and w d^2 over a row of states, w = weights * field_weights * scale and d = row - lowest.

    The w are also added to `columns`, one for each state of the row.
    """
    s0, s1, s2 = 0.0, 0.0, 0.0
    for b in range(row.shape[0]):
        w = weights[b] * field_weights[b]
        d = row[b] - lowest
        columns[b] += scale * w
        s0 += w
        s1 += w * d
        s2 += w * d * d
    return scale * s0, scale * s1, scale * s2


def exponential_row_sums(columns, row, reference, beta, lowest):
    """As `product_row_sums` with w = e^{-beta (row - reference)} for row >= reference."""
    s0, s1, s2 = 0.0, 0.0, 0.0
    for b in range(row.shape[0]):
        w = exp_negative(beta * (reference - row[b]))
        d = row[b] - lowest
        columns[b] += w
        s0 += w
        s1 += w * d
        s2 += w * d * d
    return s0, s1, s2


# The compiler may change the order of these sums, which lets it vectorise the loops.
product_row_sums.reorder = True
exponential_row_sums.reorder = True
