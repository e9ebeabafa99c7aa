"""Scalar formulas of the exact sums over the states of an Ising lattice.

Letters follow `mcgen/ising/formulas.py`; weights w are pairs (mantissa, exponent), and states are indices with a bit
for each spin.
"""

import numpy as np

from mcgen.formulas import (
    exp_exponent,
    exp_mantissa,
    exp_negative,
    spin_of_bit,
)


def spread_bits(n, leaving):
    """The index n with a zero bit inserted at each of the positions `leaving`, which increase.

    Frontier states (`exact/transfer.py`): from an index over the sites that stay to one over all sites.
    """
    for k in range(leaving.shape[0]):
        low = n & ((np.int64(1) << leaving[k]) - 1)
        n = ((n - low) << 1) | low
    return n


def step_entry(full, neighbor_bits):
    """Where a step's table has the state `full`: the new site's bit, then the bits of its neighbours."""
    entry = full & 1
    for k in range(neighbor_bits.shape[0]):
        entry |= ((full >> neighbor_bits[k]) & 1) << (k + 1)
    return entry


def step_weight(energy, beta):
    """e^{-beta E} of the energy E that a site adds, as (mantissa, exponent)."""
    x = -beta * energy
    n = exp_exponent(x)
    return exp_mantissa(x, n), n


def merged_mean(mean, difference, fraction):
    """The mean of a mixture: the other part has the weight `fraction` and a mean that is higher by `difference`."""
    return mean + fraction * difference


def merged_variance(variance, other_variance, difference, fraction, rest):
    """The variance of a mixture: the law of total variance, a sum of terms that are not negative.

    The means of the two parts differ by `difference`; the other part has the weight `fraction` and this one `rest`.
    Both are asked for because 1 - fraction has no digits left where the fraction is close to 1. (Chan, Golub & LeVeque,
    Am. Stat. 37, 242 (1983), eq. 2.1.)
    """
    return rest * variance + fraction * other_variance + rest * fraction * difference * difference


def compensated_sum(total, rest, x):
    """Total + x, with its rounding error added to `rest`: total + rest stays right to the last digit of many terms.

    Knuth, The Art of Computer Programming 2, section 4.2.2, theorem B.
    """
    new = total + x
    part = new - total
    return new, rest + ((total - (new - part)) + (x - part))


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
