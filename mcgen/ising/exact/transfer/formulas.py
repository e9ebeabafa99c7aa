"""Scalar formulas of the transfer matrix: frontier states as indices with a bit for each spin, and mixtures.

Weights w are pairs (mantissa, exponent). Letters follow `mcgen/ising/formulas.py`.
"""

import numpy as np

from mcgen.formulas import exp_exponent, exp_mantissa
from mcgen.ising.exact.formulas import count_up  # noqa: F401 - for the kernels


def spread_bits(n, leaving):
    """The index n with a zero bit inserted at each of the positions `leaving`, which increase.

    Frontier states: from an index over the sites that stay to one over all sites.
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
