"""Scalar formulas that more than one room needs. Compiled for each target by `_compile.py`.

Letters follow the equations: x is a field (an energy difference divided by the temperature), dimensionless.
"""

import math

import numpy as np

LOG2_E = 1.4426950408889634
# log 2 in two parts: n * LN2_HIGH is exact for |n| < 2^11, so that x - n log 2 keeps all its digits.
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
# Adding 1.5 * 2^52 rounds a float64 to an integer and leaves that integer in the low bits of the sum.
ROUNDER = 6755399441055744.0
# e^-708 = 3e-308 is the end of the normal numbers; arguments below are treated as this one.
MOST_NEGATIVE = -708.0

# A number is also kept as (mantissa, exponent), standing for mantissa * 2^exponent with 1 <= mantissa < 2: products of
# any length then neither overflow nor underflow. The exponent of "nothing yet":
NO_EXPONENT = -(1 << 40)
MANTISSA_BITS = 0x000FFFFFFFFFFFFF
BITS_OF_ONE = 0x3FF0000000000000

# Changes smaller than this count as none in the Metropolis rule: half the resolution of a 32-bit random word.
ZERO_CHANGE = 2.0**-33


def exp_negative(x):
    """e^x for x <= 0, with a relative error below 5e-16; where e^x < 1e-307 it returns 1e-308 to 1e-307.

    e^x = 2^n e^r with n = round(x / log 2) and the Taylor polynomial of e^r to r^12, |r| <= log(2)/2. Unlike math.exp
    it is a handful of multiplications and additions without a branch, so that a loop over it is vectorised: five times
    faster on a CPU. 2^n is written directly into the exponent bits.
    """
    x = max(np.float64(x), MOST_NEGATIVE)  # the rounding below needs all 53 bits, also of a float32 x
    shifted = x * LOG2_E + ROUNDER
    n = shifted - ROUNDER
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)


def exp_within_range(x):
    """e^x for -708 <= x <= 708, with a relative error below 1e-15."""
    e = exp_negative(-abs(x))
    return e if x <= 0 else 1.0 / e


def mantissa(x):
    """The mantissa of x > 0 (normal, finite): x = mantissa * 2^exponent, 1 <= mantissa < 2."""
    bits = np.float64(x).view(np.int64)
    return np.int64((bits & MANTISSA_BITS) | BITS_OF_ONE).view(np.float64)


def exponent(x):
    """The exponent of x > 0 (normal, finite): floor(log2 x)."""
    return (np.float64(x).view(np.int64) >> 52) - 1023


def power_of_two(n):
    """2^n for an integer n <= 1023, 0 below n = -1022: what is 10^308 times smaller than the sum it joins adds nothing.

    Written into the exponent bits: a handful of integer operations, vectorised.
    """
    return np.int64((max(np.int64(n), np.int64(-1023)) + 1023) << 52).view(np.float64)


def exp_exponent(x):
    """The exponent of e^x for any finite x: round(x / log 2), for which e^x 2^-exponent lies between 0.7 and 1.42."""
    return np.int64(math.floor(x * LOG2_E + 0.5))


def exp_mantissa(x, n):
    """e^x 2^-n for n = exp_exponent(x), between 0.7 and 1.42. Its relative error is that of x times x, plus 5e-16."""
    return 2.0 * exp_negative((x - n * LN2_HIGH) - n * LN2_LOW - LN2_HIGH - LN2_LOW)


def add_weights(m0, e0, m1, e1):
    """m0 2^e0 + m1 2^e1 as (mantissa, exponent) with the larger exponent of the two.

    Sums of a few weights stay far from overflow; `mantissa` and `exponent` bring the result back to 1 <= mantissa < 2.
    """
    e = max(e0, e1)
    return m0 * power_of_two(e0 - e) + m1 * power_of_two(e1 - e), e


def spin_of_bit(number, place):
    """+1.0 where the bit of the number at that place is 1, otherwise -1.0: the spin of a unit in a state's index."""
    return 2.0 * ((number >> place) & 1) - 1.0


def sigmoid(x):
    """The logistic function 1 / (1 + e^-x), without overflow at any x.

    The probability that a unit with states {0, 1} and field x is 1: the conditional p(h=1 | v) of an RBM with binary
    units (Hinton, A Practical Guide to Training RBMs, UTML TR 2010-003, eq. 7), and, at x = -dE/T, the heat-bath
    (Glauber) probability of a spin flip that costs the energy dE.
    """
    e = exp_negative(-abs(x))
    return (1.0 if x >= 0 else e) / (1.0 + e)


def metropolis_acceptance(x):
    """The probability of accepting a move whose energy cost divided by the temperature is x: min(1, e^-x), 1/2 at 0.

    Metropolis, Rosenbluth, Rosenbluth, Teller & Teller, J. Chem. Phys. 21, 1087 (1953). Detailed balance asks only for
    a(x) / a(-x) = e^-x, so any value may be taken at x = 0. The usual 1 makes a spin without local field flip in every
    ordered sweep, and striped states of small lattices then form cycles that no sweep ever leaves; with 1/2 the
    checkerboard sweep of any bipartite lattice is ergodic.
    """
    if abs(x) < ZERO_CHANGE:
        return 0.5
    if x < 0:
        return 1.0
    return exp_negative(-x)
