"""Scalar formulas of the restricted Boltzmann machine, E(v, h) = -b.v - c.h - v.W.h.

Both unit kinds have two states, `low` and 1: Bernoulli units have low = 0, spin units low = -1. Given the other layer,
a unit is independent of its own layer and feels a field x (the total input b_i + sum_j W_ij h_j, or c_j + sum_i v_i
W_ij); its Boltzmann factor is e^{x s}. All quantities are dimensionless.
"""

import math

from mcgen.formulas import exp_negative, metropolis_acceptance, sigmoid

# A product of this many factors in (1, 2] cannot overflow.
FACTORS = 512


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
