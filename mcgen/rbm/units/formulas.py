"""Scalar formulas of the units of a restricted Boltzmann machine, one group for each kind of unit.

A unit has an energy U(s) of its own and, given the other layer, feels a field x (b_i + sum_j W_ij h_j, or c_j + sum_i
v_i W_ij): its Boltzmann factor is e^{x s - U(s)}. What a kind has to know follows from its cumulant function
Gamma(x) = log sum_s e^{x s - U(s)} (an integral for continuous units): the mean is Gamma'(x), the variance Gamma''(x),
and -Gamma is what the unit leaves behind in the free energy when it is summed out. All quantities are dimensionless.

==========  =================================  =====================================================================
kind        states                             U(s)
==========  =================================  =====================================================================
TWO_LEVEL   `level` and 1: {0, 1} or {-1, 1}   0
POTTS       one of `level` states, one-hot     0; the unit has `level` entries in the state, with a field each
GAUSSIAN    real                               (s - m)^2 / (2 w^2): mean m, standard deviation w in parameters[:, unit]
RELU        real, not negative                 the same: a Gaussian cut off at 0
==========  =================================  =====================================================================

The last functions take a kind and one unit of a layer, and choose among the formulas.
"""

import math

import numpy as np

from mcgen.formulas import (
    exp_negative,
    exp_negative_single,
    inverse_mills_ratio,
    log_normal_tail,
    normal_quantile,
    normal_tail_quantile,
    sigmoid,
)
from mcgen.rng.formulas import uniform

TWO_LEVEL, POTTS, GAUSSIAN, RELU = range(4)

# A product of this many factors in (1, 2] cannot overflow.
FACTORS = 512
LOG_ROOT_TWO_PI = 0.9189385332046727  # log sqrt(2 pi)
TWO_TO_32 = 4294967296.0


# Two-level units: `low` and 1.


def probability_up(low, x):
    """p(s = 1) = e^x / (e^x + e^{low x}) of a two-level unit in the field x.

    Sigmoid(x) for Bernoulli units and sigmoid(2 x) for spins (Hinton 2010, eq. 7 and 8; Hjorth-Jensen 2025, conditional
    probabilities).
    """
    return sigmoid((1 - low) * x)


def is_up(low, x, word):
    """Whether a two-level unit in the field x is drawn as 1 by a random word.

    With y = (1 - low) x the less probable of the two states has the probability q = e^{-|y|} / (1 + e^{-|y|}), and is
    taken if u < q for the uniform number u of the word. Written as u (1 + e^{-|y|}) < e^{-|y|} this needs no division,
    and both states are resolved to 2^-32 however close to 1 the other one is.
    """
    y = (1 - low) * x
    e = exp_negative(-abs(y))
    return (uniform(word) * (1.0 + e) < e) != (y >= 0)


def is_up_single(low, x, word):
    """The same in single precision, for which a vector register holds twice as many units.

    The relative error of q is below 3e-7.
    """
    y = np.float32(1 - low) * x
    e = exp_negative_single(-abs(y))
    scaled = (np.float32(word) + np.float32(0.5)) * (np.float32(1) + e)
    return (scaled < e * np.float32(TWO_TO_32)) != (y >= 0)


def two_level_mean(low, x):
    """<s> of a two-level unit in the field x: sigmoid(x) for Bernoulli units, tanh(x) for spins."""
    return low + (1 - low) * probability_up(low, x)


def two_level_mean_single(low, x):
    """The same in single precision, for which a vector register holds twice as many units; right to 3e-7."""
    y = np.float32(1 - low) * x
    e = exp_negative_single(-abs(y))
    p = (np.float32(1) if y >= 0 else e) / (np.float32(1) + e)
    return np.float32(low) + np.float32(1 - low) * p


def two_level_variance(low, x):
    """<s^2> - <s>^2 = (1 - low)^2 p (1 - p) of a two-level unit in the field x."""
    e = exp_negative(-abs((1 - low) * x))
    return (1 - low) * (1 - low) * e / ((1.0 + e) * (1.0 + e))


def cumulant_linear_part(low, x):
    """The part of `two_level_cumulant` that grows with |x|: max(low x, x)."""
    return max(low * x, x)


def cumulant_factor(low, x):
    """The rest of `two_level_cumulant` as a factor in (1, 2]: 1 + e^{-|y|} with y = (1 - low) x."""
    return 1.0 + exp_negative(-abs((1 - low) * x))


def two_level_cumulant(low, x):
    """log sum_s e^{x s} over the two states: log(1 + e^x) for Bernoulli units, log(2 cosh x) for spins.

    Hjorth-Jensen (2025), marginal p(v); softplus in Hinton (2010), eq. 25. The two parts are kept apart because the
    logarithm of a product is cheaper than many logarithms.
    """
    return cumulant_linear_part(low, x) + math.log(cumulant_factor(low, x))


def two_level_cumulant_sum(low, fields, shift, scale):
    """sum_j two_level_cumulant(x_j) at x_j = fields[j] + scale * shift[j], with one logarithm for many units."""
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
two_level_cumulant_sum.reorder = True


# Gaussian units: mean m, standard deviation w.


def gaussian_cumulant(m, w, x):
    """m x + w^2 x^2 / 2 + log(w sqrt(2 pi)), a Gaussian integral: a layer of hidden units leaves a quadratic energy.

    The Hopfield model (Barra, Bernacchia, Santucci & Contucci, Neural Networks 34, 1 (2012)).
    """
    return m * x + 0.5 * w * w * x * x + math.log(w) + LOG_ROOT_TWO_PI


def gaussian_mean(m, w, x):
    """m + w^2 x."""
    return m + w * w * x


def gaussian_draw(m, w, x, u):
    """The quantile u of the normal distribution with the mean m + w^2 x and the standard deviation w."""
    return m + w * w * x + w * normal_quantile(u)


# ReLU units: the same, cut off at 0. With M = m + w^2 x, the mean before the cut, and a = -M / w, where the cut lies in
# units of w, everything follows from the tail Q(a) of the standard normal distribution and lambda(a), its inverse Mills
# ratio (Cho, Raiko & Ilin, IJCNN (2013); Tubiana, Cocco & Monasson, eLife 8, e39397 (2019)).


def relu_cumulant(m, w, x):
    """log int_0^inf e^{x s - (s - m)^2 / 2 w^2} ds = m x + w^2 x^2 / 2 + log(w sqrt(2 pi)) + log Q(a).

    Where a is large, the parts cancel: then -m^2 / 2 w^2 + log(w / lambda(a)) is the same.
    """
    a = -(m + w * w * x) / w
    if a < 0:
        return m * x + 0.5 * w * w * x * x + math.log(w) + LOG_ROOT_TWO_PI + log_normal_tail(a)
    return -0.5 * (m / w) * (m / w) + math.log(w / inverse_mills_ratio(a))


def relu_mean(m, w, x):
    """M + w lambda(a) = w (lambda(a) - a); far beyond the cut 1/a - 2/a^3 for lambda(a) - a, which cancels there."""
    a = -(m + w * w * x) / w
    if a > 1000.0:
        return w * (1.0 - 2.0 / (a * a)) / a
    return w * (inverse_mills_ratio(a) - a)


def relu_variance(m, w, x):
    """w^2 (1 - lambda(a) (lambda(a) - a)); far beyond the cut 1/a^2 - 6/a^4 for the bracket, which cancels there."""
    a = -(m + w * w * x) / w
    if a > 200.0:
        return w * w * (1.0 - 6.0 / (a * a) + 50.0 / (a * a * a * a)) / (a * a)
    mills = inverse_mills_ratio(a)
    return w * w * (1.0 - mills * (mills - a))


def relu_draw(m, w, x, u):
    """The quantile 1 - u of the normal distribution cut off at 0: Q(s) = u Q(a) in units of w, s >= a."""
    a = -(m + w * w * x) / w
    return w * normal_tail_quantile(a, u)


# One unit of a layer of any kind. fields and states are rows of the layer: one entry for each unit, `level` of them for
# a Potts unit.


def entries(kind, level):
    """How many entries of the state belong to one unit."""
    return level if kind == POTTS else 1


def potts_maximum(level, fields, unit):
    """The largest field of a Potts unit."""
    largest = fields[unit * level]
    for state in range(1, level):
        largest = max(largest, fields[unit * level + state])
    return largest


def potts_sum(level, fields, unit, largest):
    """sum_k e^{x_k - largest} over the states of a Potts unit."""
    total = 0.0
    for state in range(level):
        total += exp_negative(fields[unit * level + state] - largest)
    return total


def unit_cumulant(kind, level, parameters, fields, unit):
    """Gamma at the field of one unit; for a Potts unit log sum_k e^{x_k} over its states."""
    if kind == TWO_LEVEL:
        return two_level_cumulant(level, fields[unit])
    if kind == POTTS:
        largest = potts_maximum(level, fields, unit)
        return largest + math.log(potts_sum(level, fields, unit, largest))
    if kind == GAUSSIAN:
        return gaussian_cumulant(parameters[0, unit], parameters[1, unit], fields[unit])
    return relu_cumulant(parameters[0, unit], parameters[1, unit], fields[unit])


def unit_mean(kind, level, parameters, fields, unit, means):
    """Write the means of the entries of one unit into means; for a Potts unit e^{x_k} / sum_l e^{x_l} (softmax)."""
    if kind == TWO_LEVEL:
        means[unit] = two_level_mean(level, fields[unit])
    elif kind == POTTS:
        largest = potts_maximum(level, fields, unit)
        total = potts_sum(level, fields, unit, largest)
        for entry in range(unit * level, (unit + 1) * level):
            means[entry] = exp_negative(fields[entry] - largest) / total
    elif kind == GAUSSIAN:
        means[unit] = gaussian_mean(parameters[0, unit], parameters[1, unit], fields[unit])
    else:
        means[unit] = relu_mean(parameters[0, unit], parameters[1, unit], fields[unit])


def unit_variance(kind, level, parameters, fields, unit, variances):
    """Write the variances of the entries of one unit into variances; for a Potts unit p_k (1 - p_k)."""
    if kind == TWO_LEVEL:
        variances[unit] = two_level_variance(level, fields[unit])
    elif kind == POTTS:
        largest = potts_maximum(level, fields, unit)
        total = potts_sum(level, fields, unit, largest)
        for entry in range(unit * level, (unit + 1) * level):
            e = exp_negative(fields[entry] - largest)
            variances[entry] = e * (total - e) / (total * total)
    elif kind == GAUSSIAN:
        variances[unit] = parameters[1, unit] * parameters[1, unit]
    else:
        variances[unit] = relu_variance(parameters[0, unit], parameters[1, unit], fields[unit])


def unit_draw(kind, level, parameters, fields, unit, word, states):
    """Draw one unit and write its entries into states, which may be the same array as fields.

    A Potts unit takes the first state k for which u times the sum of all e^{x_l} is below the sum up to k.
    """
    if kind == TWO_LEVEL:
        states[unit] = 1 if is_up(level, fields[unit], word) else level
    elif kind == POTTS:
        largest = potts_maximum(level, fields, unit)
        threshold = uniform(word) * potts_sum(level, fields, unit, largest)
        so_far = 0.0
        taken = level - 1
        for state in range(level - 1):
            so_far += exp_negative(fields[unit * level + state] - largest)
            if threshold < so_far:
                taken = state
                break
        for state in range(level):
            states[unit * level + state] = 1 if state == taken else 0
    elif kind == GAUSSIAN:
        states[unit] = gaussian_draw(parameters[0, unit], parameters[1, unit], fields[unit], uniform(word))
    else:
        states[unit] = relu_draw(parameters[0, unit], parameters[1, unit], fields[unit], uniform(word))


def cumulant_sum(kind, level, parameters, fields):
    """The sum of the cumulants of a layer at its fields."""
    if kind == TWO_LEVEL:
        return two_level_cumulant_sum(level, fields, fields, 0.0)
    total = 0.0
    for unit in range(fields.shape[0] // entries(kind, level)):
        total += unit_cumulant(kind, level, parameters, fields, unit)
    return total
