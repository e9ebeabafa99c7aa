"""Scalar formulas of the exact sums over the states of one layer of an RBM.

y is the field on a unit of the other layer times the distance of its two states; numbers of any size are pairs
(mantissa, exponent). See `tables.py`.
"""

from mcgen.formulas import (
    exp_exponent,
    exp_mantissa,
    exponent,
    mantissa,
    power_of_two,
    spin_of_bit,
)
from mcgen.rbm.units.formulas import cumulant_factor, cumulant_linear_part

# The exact sums take the states of the first six units together, for at most 32 rows (states of five more units), and
# 32 units of the other layer: their part of the tables fills 16 kB, a third of a first-level cache.
STATES_PER_TILE = 64
MOST_ROWS = 32
UNITS_PER_GROUP = 32


def other_factor(high, low):
    """1 + e^y = 1 + e^{y_high} e^{y_low}: what a unit of the other layer contributes to the weight of a state.

    y = (1 - low) x with x the unit's field, so that sum_s e^{x s} = e^{low x} (1 + e^y). y is a sum over the units of
    the enumerated layer, and a table of e^y for each part of that layer is enough: one fused multiply-add for a unit
    and a state, no exponential and no logarithm. The e^{low x} of all units is linear in the enumerated layer and joins
    its biases.
    """
    return 1.0 + high * low


def times_wide_factor(product, y):
    """Product * (1 + e^y) as (mantissa, exponent), for any y: used where e^y may be beyond the range of a float64."""
    linear = cumulant_linear_part(0, y)
    n = exp_exponent(linear)
    product *= cumulant_factor(0, y) * exp_mantissa(linear, n)
    return mantissa(product), n + exponent(product)


def self_weight(item, center, top):
    """The enumerated layer's own factor e^{a_0 + sum_i a_i sigma_i} of an item, as (mantissa, exponent).

    a_0 is the last number of `center` and a_i that of row i of `top`; sigma_i = +-1 are the bits of the item.
    """
    last = center.shape[0] - 1
    x = center[last]
    for i in range(top.shape[0]):
        x += spin_of_bit(item, i) * top[i, last]
    n = exp_exponent(x)
    return exp_mantissa(x, n), n


def weighted_sum(numbers, weights):
    """sum_b numbers[b] weights[b]."""
    total = 0.0
    for b in range(numbers.shape[0]):
        total += numbers[b] * weights[b]
    return total


weighted_sum.reorder = True


def weighted_probability(weight, e):
    """Weight * E / (1 + E): E = e^y, and E / (1 + E) is the probability that a unit is up (`probability_up`)."""
    return weight * (e / other_factor(e, 1.0))


def four_weighted_probabilities(weight, e0, e1, e2, e3):
    """`weighted_probability` of four units, with one division for all: 1/x0 = x1 x2 x3 / (x0 x1 x2 x3), x = 1 + E.

    The product of the four x must stay below 10^308.
    """
    x0, x1, x2, x3 = 1.0 + e0, 1.0 + e1, 1.0 + e2, 1.0 + e3
    x01, x23 = x0 * x1, x2 * x3
    inverse = 1.0 / (x01 * x23)
    first, second = weight * (inverse * x23), weight * (inverse * x01)  # weight / x01 and weight / x23
    return e0 * (x1 * first), e1 * (x0 * first), e2 * (x3 * second), e3 * (x2 * second)


def scaled(number, power):
    """Number * 2^power for any power; the number may be as large as 10^308 or as small as 10^-308."""
    half = min(max(power >> 1, -1000), 1000)
    return number * power_of_two(half) * power_of_two(min(power - half, 1000))
