"""Scalar formulas of the restricted Boltzmann machine, E(v, h) = -b.v - c.h - v.W.h.

Both unit kinds have two states, `low` and 1: Bernoulli units have low = 0, spin units low = -1. Given the other layer,
a unit is independent of its own layer and feels a field x (the total input b_i + sum_j W_ij h_j, or c_j + sum_i v_i
W_ij); its Boltzmann factor is e^{x s}. All quantities are dimensionless.
"""

import math

from mcgen.formulas import (
    exp_exponent,
    exp_mantissa,
    exp_negative,
    exponent,
    mantissa,
    metropolis_acceptance,
    power_of_two,
    sigmoid,
    spin_of_bit,
)

# A product of this many factors in (1, 2] cannot overflow.
FACTORS = 512

# The exact sums take the states of the first six units together, for at most 32 rows (states of five more units), and
# 32 units of the other layer: their part of the tables fills 16 kB, a third of a first-level cache.
STATES_PER_TILE = 64
MOST_ROWS = 32
UNITS_PER_GROUP = 32


def probability_up(low, x):
    """p(s = 1) = e^x / (e^x + e^{low x}) of a unit in the field x.

    Sigmoid(x) for Bernoulli units and sigmoid(2 x) for spins (Hinton 2010, eq. 7 and 8; Hjorth-Jensen 2025, conditional
    probabilities).
    """
    return sigmoid((1 - low) * x)


def mean(low, x):
    """<s> of a unit in the field x: sigmoid(x) for Bernoulli units, tanh(x) for spins.

    The derivative of the cumulant with respect to x.
    """
    return low + (1 - low) * probability_up(low, x)


def cumulant_linear_part(low, x):
    """The part of `cumulant` that grows with |x|: low x + max(y, 0) with y = (1 - low) x, which is max(low x, x)."""
    return max(low * x, x)


def cumulant_factor(low, x):
    """The rest of `cumulant` as a factor in (1, 2]: 1 + e^{-|y|} with y = (1 - low) x."""
    return 1.0 + exp_negative(-abs((1 - low) * x))


def cumulant(low, x):
    """log sum_s e^{x s} over the two states of a unit: log(1 + e^x) for Bernoulli units, log(2 cosh x) for spins.

    This is what a hidden unit leaves behind when it is summed out (marginal p(v), Hjorth-Jensen 2025; softplus in
    Hinton 2010, eq. 25). The two parts are kept apart because the logarithm of a product is cheaper than many
    logarithms.
    """
    return cumulant_linear_part(low, x) + math.log(cumulant_factor(low, x))


def cumulant_sum(low, fields, shift, scale):
    """sum_j cumulant(x_j) at the fields x_j = fields[j] + scale * shift[j], with one logarithm for many units."""
    total = 0.0
    for start in range(0, fields.shape[0], FACTORS):
        product = 1.0
        for j in range(start, min(start + FACTORS, fields.shape[0])):
            x = fields[j] + scale * shift[j]
            total += cumulant_linear_part(low, x)
            product *= cumulant_factor(low, x)
        total += math.log(product)
    return total


# The compiler may change the order of the sum and the product, which lets it vectorise the loop.
cumulant_sum.reorder = True


def flip_acceptance(cost):
    """The probability of accepting a flip that raises the free energy F(v) = -log sum_h e^{-E(v, h)} by `cost`.

    Metropolis-Hastings on the marginal p(v) = e^{-F(v)} / Z with a symmetric proposal.
    """
    return metropolis_acceptance(cost)


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


def four_weighted_probabilities(weight, e0, e1, e2, e3):
    """Weight * E / (1 + E) of four units, with one division for all: 1/x0 = x1 x2 x3 / (x0 x1 x2 x3), x = 1 + E.

    E / (1 + E) is the probability that a unit of the other layer is up (`probability_up`). The product of the four x
    must stay below 10^308.
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
