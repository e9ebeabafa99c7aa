"""Formulas of annealing: by how much the weight of a state grows from one inverse temperature to the next."""

import math

from mcgen.rbm.units.formulas import (
    FACTORS,
    TWO_LEVEL,
    cumulant_factor,
    cumulant_linear_part,
    entries,
    unit_cumulant,
)


def two_level_growth(low, fields, beta, next_beta):
    """sum_j Gamma(beta' y_j) - Gamma(beta y_j) of two-level units with y_j = fields[j] and beta, beta' >= 0.

    Gamma(x) = max(low x, x) + log(1 + e^{-|x (1 - low)|}). The first part is proportional to beta; the factors of many
    units are multiplied before one logarithm is taken.
    """
    linear = 0.0
    logarithms = 0.0
    for start in range(0, fields.shape[0], FACTORS):
        product, next_product = 1.0, 1.0
        for j in range(start, min(start + FACTORS, fields.shape[0])):
            linear += cumulant_linear_part(low, fields[j])
            product *= cumulant_factor(low, beta * fields[j])
            next_product *= cumulant_factor(low, next_beta * fields[j])
        logarithms += math.log(next_product / product)
    return (next_beta - beta) * linear + logarithms


# The compiler may change the order of the sums and the products, which lets it vectorise the loop.
two_level_growth.reorder = True


def unit_growth(kind, level, parameters, fields, unit, beta, next_beta, scaled):
    """Gamma(beta' y) - Gamma(beta y) of one unit with y = fields[unit]; `scaled` has room for scaled fields."""
    width = entries(kind, level)
    growth = 0.0
    for scale in (beta, next_beta):  # one call, whose code is long
        for j in range(unit * width, (unit + 1) * width):
            scaled[j] = scale * fields[j]
        growth = unit_cumulant(kind, level, parameters, scaled, unit) - growth
    return growth


def layer_growth(kind, level, parameters, fields, beta, next_beta, scaled):
    """The sum of `unit_growth` over a layer."""
    if kind == TWO_LEVEL:
        return two_level_growth(level, fields, beta, next_beta)
    total = 0.0
    for unit in range(fields.shape[0] // entries(kind, level)):
        total += unit_growth(kind, level, parameters, fields, unit, beta, next_beta, scaled)
    return total
