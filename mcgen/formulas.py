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
# The same in single precision: 1.5 * 2^23 rounds, e^-87 = 2e-38 is the end.
LOG2_E_SINGLE = np.float32(1.4426950408889634)
LN2_HIGH_SINGLE = np.float32(0.693145751953125)
LN2_LOW_SINGLE = np.float32(1.428606765330187e-06)
ROUNDER_SINGLE = np.float32(12582912.0)
MOST_NEGATIVE_SINGLE = np.float32(-87.0)

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


def exp_negative_single(x):
    """e^x for x <= 0 in single precision, with a relative error below 2e-7; where e^x < 1e-37 it returns 1e-38.

    As `exp_negative`, with a polynomial to r^6: the float32 result is as exact as its last bit or two.
    """
    x = max(np.float32(x), MOST_NEGATIVE_SINGLE)
    shifted = x * LOG2_E_SINGLE + ROUNDER_SINGLE
    n = shifted - ROUNDER_SINGLE
    r = (x - n * LN2_HIGH_SINGLE) - n * LN2_LOW_SINGLE
    p = np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(0.5)
    p = p * r + np.float32(1.0)
    p = p * r + np.float32(1.0)
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


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


def running_mean(keep, take, m, x):
    """A mean that forgets: keep m + take x, with take = 1 - keep."""
    return keep * m + take * x


def adam_change(rate, m, s, epsilon):
    """The step of Adam for the mean m of the gradient and s of its square, both corrected for their start from 0.

    rate m / (sqrt(s) + epsilon): Kingma & Ba, arXiv:1412.6980 (2015), algorithm 1.
    """
    return rate * m / (np.sqrt(s) + epsilon)


def scaled_complementary_error_function(x):
    """erfcx(x) = e^{x^2} erfc(x) for x >= 0, with a relative error below 3e-14.

    The definition up to x = 4, beyond it the continued fraction of Laplace (Abramowitz & Stegun, 7.1.14), from its end.
    """
    if x < 4.0:
        return math.exp(x * x) * math.erfc(x)
    tail = x
    for k in range(24, 0, -1):
        tail = x + 0.5 * k / tail
    return 0.5641895835477563 / tail


def inverse_mills_ratio(a):
    """lambda(a) = phi(a) / Q(a), the normal density over the tail Q(a) = int_a^inf phi."""
    if a < 0:
        return 0.7978845608028654 * math.exp(-0.5 * a * a) / math.erfc(a * 0.7071067811865476)
    return 0.7978845608028654 / scaled_complementary_error_function(a * 0.7071067811865476)


def log_normal_tail(a):
    """log Q(a), the logarithm of the probability that a standard normal number is above a."""
    if a < 0:
        return math.log1p(-0.5 * math.erfc(-a * 0.7071067811865476))
    return math.log(0.5 * scaled_complementary_error_function(a * 0.7071067811865476)) - 0.5 * a * a


def normal_quantile(p):
    """The number below which a standard normal number lies with probability p, 0 < p < 1; relative error below 1e-15.

    Rational functions of q = p - 1/2 in the middle and of sqrt(-log p) in the tails: Wichura, Appl. Stat. 37, 477
    (1988), algorithm AS 241, PPND16.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        a = 2.5090809287301226727e3
        a = a * r + 3.3430575583588128105e4
        a = a * r + 6.7265770927008700853e4
        a = a * r + 4.5921953931549871457e4
        a = a * r + 1.3731693765509461125e4
        a = a * r + 1.9715909503065514427e3
        a = a * r + 1.3314166789178437745e2
        a = a * r + 3.3871328727963666080e0
        b = 5.2264952788528545610e3
        b = b * r + 2.8729085735721942674e4
        b = b * r + 3.9307895800092710610e4
        b = b * r + 2.1213794301586595867e4
        b = b * r + 5.3941960214247511077e3
        b = b * r + 6.8718700749205790830e2
        b = b * r + 4.2313330701600911252e1
        return q * a / (b * r + 1.0)
    r = math.sqrt(-math.log(p if q < 0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        a = 7.74545014278341407640e-4
        a = a * r + 2.27238449892691845833e-2
        a = a * r + 2.41780725177450611770e-1
        a = a * r + 1.27045825245236838258e0
        a = a * r + 3.64784832476320460504e0
        a = a * r + 5.76949722146069140550e0
        a = a * r + 4.63033784615654529590e0
        a = a * r + 1.42343711074968357734e0
        b = 1.05075007164441684324e-9
        b = b * r + 5.47593808499534494600e-4
        b = b * r + 1.51986665636164571966e-2
        b = b * r + 1.48103976427480074590e-1
        b = b * r + 6.89767334985100004550e-1
        b = b * r + 1.67638483018380384940e0
        b = b * r + 2.05319162663775882187e0
    else:
        r -= 5.0
        a = 2.01033439929228813265e-7
        a = a * r + 2.71155556874348757815e-5
        a = a * r + 1.24266094738807843860e-3
        a = a * r + 2.65321895265761230930e-2
        a = a * r + 2.96560571828504891230e-1
        a = a * r + 1.78482653991729133580e0
        a = a * r + 5.46378491116411436990e0
        a = a * r + 6.65790464350110377720e0
        b = 2.04426310338993978564e-15
        b = b * r + 1.42151175831644588870e-7
        b = b * r + 1.84631831751005468180e-5
        b = b * r + 7.86869131145613259100e-4
        b = b * r + 1.48753612908506148525e-2
        b = b * r + 1.36929880922735805310e-1
        b = b * r + 5.99832206555887937690e-1
    x = a / (b * r + 1.0)
    return -x if q < 0 else x


def normal_tail_quantile(a, u):
    """y - a for the number y >= a with Q(y) = u Q(a), 0 < u < 1: the excess of a normal number cut off below a.

    The quantile function, and where Q(a) is small Newton's method for log Q(y) = log Q(a) + log u, on the excess itself
    so that no digits are lost: it is near -log(u) / a there, and three steps reach the last digits.
    """
    if a < 4.0:
        return max(0.0, -normal_quantile(u * 0.5 * math.erfc(a * 0.7071067811865476)) - a)
    wanted = -math.log(u)
    d = 2.0 * wanted / (a + math.sqrt(a * a + 2.0 * wanted))
    start = scaled_complementary_error_function(a * 0.7071067811865476)
    for _ in range(3):
        tail = scaled_complementary_error_function((a + d) * 0.7071067811865476)
        d -= (d * (a + 0.5 * d) + math.log(start / tail) - wanted) * tail * 1.2533141373155003
    return max(0.0, d)
