"""Scalar formulas of Metropolis-Hastings moves on the marginal p(v) = e^{-F(v)} / Z of the visible units of an RBM.

A proposal changes some entries v_i of the visible state by d_i, and with them every hidden field x_j by sum_i d_i W_ij.
All proposals are symmetric: from the new state, the old one is proposed with the same probability.

The chains of a group propose changes of the same units at the same time, and each decides for itself: so the weights
of a unit are fetched once for all of them. The choice of units knows nothing of the states, so each chain alone is what
it would be without the others. Given the choices, the chains are independent, and each of them keeps p(v). Hence, once
they have p(v), the state of one chain at any time is independent of that of another at any time: averages over
different chains are not correlated.
"""

import numpy as np

from mcgen.formulas import ZERO_CHANGE, metropolis_acceptance, normal_quantile
from mcgen.rbm.units.formulas import POTTS, RELU, TWO_LEVEL, entries
from mcgen.rng.formulas import pick_below, uniform

# Standard deviations of a step of a continuous unit, in those of the unit without fields. On a normal distribution a
# step of about 2.4 forgets the quickest (Gelman, Roberts & Gilks, Bayesian Statistics 5, 599 (1996)).
STEP = 2.4

# Chains of a group: those whose number in their model, divided by GROUP, is the same.
GROUP = 32

# Names of proposals, as kernels know them.
FLIP, EXCHANGE, BLOCK = range(3)


def flip_acceptance(cost):
    """The probability of accepting a proposal that raises the free energy F(v) = -log sum_h e^{-E(v, h)} by `cost`.

    Metropolis-Hastings on the marginal p(v) = e^{-F(v)} / Z with a symmetric proposal.
    """
    return metropolis_acceptance(cost)


def ratio_acceptance(ratio):
    """The same for a proposal that multiplies the probability p(v) by `ratio` = e^-cost, which saves a logarithm."""
    if abs(ratio - 1.0) < ZERO_CHANGE:
        return 0.5
    return min(1.0, ratio)


def moved(kind, w, state, u):
    """A continuous unit of standard deviation w after a normal step, the quantile u; for ReLU units reflected at 0.

    The probability density of a reflected step from s to t is that of t - s plus that of t + s: it is symmetric.
    """
    new = state + STEP * w * normal_quantile(u)
    return abs(new) if kind == RELU else new


def energy_change(m, w, state, change):
    """U(s + d) - U(s) = d (s + d/2 - m) / w^2 of a continuous unit with U(s) = (s - m)^2 / (2 w^2)."""
    return change * (state + 0.5 * change - m) / (w * w)


def gaussian_cumulant_change(m, w, x, change):
    """Gamma(x + d) - Gamma(x) = d (m + w^2 (x + d/2)) of a Gaussian hidden unit."""
    return change * (m + w * w * (x + 0.5 * change))


def words_per_proposal(kind, name, size):
    """Random words that a chain takes for a proposal: for the decision and, if needed, for where each unit goes.

    The group takes one more for the choice of each unit.
    """
    return 1 if name == EXCHANGE or (kind == TWO_LEVEL and name == FLIP) else 1 + size


def choose_units(order, words, first, size):
    """Bring `size` different units, all equally probable, to the front of `order`.

    More than one are chosen by exchanges in `order`, a permutation of the units, which it stays; of a single one only
    the number is written there.
    """
    if size == 1:
        order[0] = pick_below(words[first], order.shape[0])
        return
    for k in range(size):
        other = k + pick_below(words[first + k], order.shape[0] - k)
        unit = order[other]
        order[other] = order[k]
        order[k] = unit


def choose_all_units(units, order, words, n_proposals, size):
    """Write the units of the proposals of a sweep one after the other into `units`; words are its random words."""
    for unit in range(order.shape[0]):
        order[unit] = unit
    for proposal in range(n_proposals):
        choose_units(order, words, proposal * size, size)
        for k in range(size):
            units[proposal * size + k] = order[k]


def propose(kind, level, parameters, states, member, name, size, words, first, units, first_unit, places, changes):
    """Write the entries that a proposal changes into places, by how much into changes; returns how many there are.

    States, words, places and changes have a row for each member of a group. The words of the proposal begin with
    words[member, first], that of the decision; its units are units[first_unit] and those behind it. A flip takes a unit
    to another state. The units of a block take any of their states, also the one that they have: blocks of flips would
    keep an even number of two-level units even. A proposal may so change nothing, and an exchange of equal states
    changes nothing.
    """
    n = 0
    if name == EXCHANGE:
        width = entries(kind, level)
        for k in range(width):
            one, other = units[first_unit] * width + k, units[first_unit + 1] * width + k
            change = np.float64(states[member, other]) - np.float64(states[member, one])
            if change != 0:
                places[member, n], places[member, n + 1] = one, other
                changes[member, n], changes[member, n + 1] = change, -change
                n += 2
        return n
    for k in range(size):
        unit = units[first_unit + k]
        if kind == TWO_LEVEL:
            if name == FLIP or pick_below(words[member, first + 1 + k], 2) == 0:
                places[member, n] = unit
                changes[member, n] = level + 1 - 2 * states[member, unit]
                n += 1
        elif kind == POTTS:
            here = 0
            while states[member, unit * level + here] == 0:
                here += 1
            stays = 1 if name == BLOCK else 0
            step = pick_below(words[member, first + 1 + k], level - 1 + stays) + 1 - stays
            if step > 0:
                places[member, n], places[member, n + 1] = unit * level + here, unit * level + (here + step) % level
                changes[member, n], changes[member, n + 1] = -1.0, 1.0
                n += 2
        else:
            old = np.float64(states[member, unit])
            new = moved(kind, parameters[1, unit], old, uniform(words[member, first + 1 + k]))
            places[member, n] = unit
            # The state is kept in the precision of the model: the change is that of the number that is kept.
            changes[member, n] = np.float64(states.dtype.type(new)) - old
            n += 1
    return n
