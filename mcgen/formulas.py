"""Scalar formulas that more than one room needs. Compiled for each target by `_compile.py`.

Letters follow the equations: x is a field (an energy difference divided by the temperature), dimensionless.
"""

import numpy as np

LOG2_E = 1.4426950408889634
# log 2 in two parts: n * LN2_HIGH is exact for |n| < 2^11, so that x - n log 2 keeps all its digits.
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
# Adding 1.5 * 2^52 rounds a float64 to an integer and leaves that integer in the low bits of the sum.
ROUNDER = 6755399441055744.0
# e^-708 = 3e-308 is the end of the normal numbers; arguments below are treated as this one.
MOST_NEGATIVE = -708.0

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
