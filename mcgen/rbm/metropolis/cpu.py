"""Metropolis-Hastings sweeps of RBMs on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen._vectors import wide_vectors
from mcgen.rbm.units import rows
from mcgen.rbm.metropolis.formulas import FLIP, GROUP
from mcgen.rbm.units.formulas import GAUSSIAN, RELU, TWO_LEVEL
from mcgen.rng.purpose import RBM_METROPOLIS, RBM_METROPOLIS_UNITS

scalar = _cpu.formulas("mcgen.formulas")
rng = _cpu.formulas("mcgen.rng.formulas")
units = _cpu.formulas("mcgen.rbm.units.formulas")
metropolis = _cpu.formulas("mcgen.rbm.metropolis.formulas")

# Chains whose fields come from one matrix product: more do not make it quicker. Groups are never divided.
MOST_CHAINS_PER_BLOCK = 8 * GROUP

# Every sum and product over hidden units is a function of its own, so that it is vectorised, and its order is free. They
# take a table and the number of a row: a slice would be counted as a reference, with locked operations.
# The shares of member m of a group of chains are rows 2 m (lower state) and 2 m + 1 (upper state); two rows are left over.


@_cpu.helper
def _cumulants(kind, level, parameters, fields):
    return units.cumulant_sum(kind, level, parameters, fields)


@_cpu.helper
def _multiply(shares, row, factors, i):
    """shares[row] *= factors[i]."""
    wide_vectors()
    for j in range(shares.shape[1]):
        shares[row, j] *= factors[i, j]


@_cpu.reordering_helper
def _products_after_flips(products, shares, ups, factors, i):
    """The products over hidden units of the four members of a group, after the share ups[m] of each is times factors[i].

    For each hidden unit and member a multiply-add and a multiplication; the row of factors is read once for all.
    """
    wide_vectors()
    first, second, third, fourth = ups[0], ups[1], ups[2], ups[3]
    one = two = three = four = 1.0
    for j in range(shares.shape[1]):
        factor = factors[i, j]
        one *= shares[1 - first, j] + shares[first, j] * factor
        two *= shares[3 - second, j] + shares[2 + second, j] * factor
        three *= shares[5 - third, j] + shares[4 + third, j] * factor
        four *= shares[7 - fourth, j] + shares[6 + fourth, j] * factor
    products[0], products[1], products[2], products[3] = one, two, three, four


@_cpu.reordering_helper
def _product_after_pair(shares, row, factors, i, other_row, other):
    """The product over hidden units after shares[row] *= factors[i] and shares[other_row] *= factors[other]."""
    wide_vectors()
    result = 1.0
    for j in range(shares.shape[1]):
        result *= shares[other_row, j] * factors[other, j] + shares[row, j] * factors[i, j]
    return result


@_cpu.reordering_helper
def _product_of_sums(shares, row):
    wide_vectors()
    result = 1.0
    for j in range(shares.shape[1]):
        result *= shares[row, j] + shares[row + 1, j]
    return result


@_cpu.helper
def _split(shares, row, level, fields, member):
    """The shares of the two states of every hidden unit, with the sum 1; beyond the last unit 1 and 0."""
    wide_vectors()
    for j in range(fields.shape[1]):
        y = (1 - level) * fields[member, j]
        shares[row, j] = metropolis.share_up(-y)
        shares[row + 1, j] = metropolis.share_up(y)
    for j in range(fields.shape[1], shares.shape[1]):
        shares[row, j], shares[row + 1, j] = 1.0, 0.0


@_cpu.helper
def _normalize(shares, row):
    """Divide the shares by their sums, with one division for four hidden units."""
    wide_vectors()
    quarter = shares.shape[1] // 4
    for j in range(quarter):
        k, l, m = j + quarter, j + 2 * quarter, j + 3 * quarter  # noqa: E741
        sum_j, sum_k = shares[row, j] + shares[row + 1, j], shares[row, k] + shares[row + 1, k]
        sum_l, sum_m = shares[row, l] + shares[row + 1, l], shares[row, m] + shares[row + 1, m]
        inverse = 1.0 / ((sum_j * sum_k) * (sum_l * sum_m))
        inverse_jk, inverse_lm = inverse * (sum_l * sum_m), inverse * (sum_j * sum_k)
        for place, scale in (
            (j, inverse_jk * sum_k), (k, inverse_jk * sum_j), (l, inverse_lm * sum_m), (m, inverse_lm * sum_l),
        ):  # fmt: skip
            shares[row, place] *= scale
            shares[row + 1, place] *= scale


@_cpu.helper
def _copy(shares, row, other):
    """shares[row], shares[row + 1] = shares[other], shares[other + 1]."""
    wide_vectors()
    for j in range(shares.shape[1]):
        shares[row, j], shares[row + 1, j] = shares[other, j], shares[other + 1, j]


@_cpu.helper
def _proposed_product(shares, member, factors, places, changes, n_changes):
    """The product after a proposal of one member: of a pair straight from the shares, otherwise from changed copies."""
    row = 2 * member
    if n_changes == 2 and changes[member, 0] * changes[member, 1] < 0:
        up = np.int64(changes[member, 0] > 0)
        return _product_after_pair(
            shares, row + up, factors, places[member, 0], row + 1 - up, places[member, 1]
        )
    copy = shares.shape[0] - 2
    _copy(shares, copy, row)
    for k in range(n_changes):
        _multiply(shares, copy + np.int64(changes[member, k] > 0), factors, places[member, k])
    return _product_of_sums(shares, copy)


@_cpu.helper
def _sweep_with_factors(
    states, accepted, fields, shares, words, choices, order, places, changes, factors, entry_weights, most_kept,
    visible_kind, visible_level, visible_parameters, hidden_level, name, size, n_proposals,
):  # fmt: skip
    """One sweep of a group with two-level hidden units, without a transcendental function for each of them.

    A hidden unit has the shares a of its lower and b of its upper state, a + b = 1. When entry i of the visible state
    goes up, b is multiplied by F = e^{(1 - low) d W_ij}, when it goes down again, a: up to a known factor for the whole
    layer. The probability of the state follows from prod_j (a_j + b_j).

    Rounding: a ratio of probabilities has a relative error of at most 6 n_hidden (n + 2) 2^-52 after n accepted
    proposals of the sweep that change one entry each, while |log F| <= 1: below 6e-10 for 784 x 500 units.
    """
    wide_vectors()
    n_members = states.shape[0]
    n_words = metropolis.words_per_proposal(visible_kind, name, size)
    flips = visible_kind == TWO_LEVEL and name == FLIP
    scales, products = np.ones(GROUP), np.ones(GROUP)  # 1 / the product in the current state, and the one proposed
    kept, n_changes, ups = np.zeros(GROUP, np.int64), np.zeros(GROUP, np.int64), np.zeros(GROUP, np.int64)
    for member in range(GROUP):
        _split(shares, 2 * member, hidden_level, fields, min(member, n_members - 1))
    for proposal in range(n_proposals):
        first = proposal * n_words
        metropolis.choose_units(order, choices, proposal * size, size)
        for member in range(n_members):
            n_changes[member] = metropolis.propose(
                visible_kind, visible_level, visible_parameters, states, member, name, size, words, first, order,
                places, changes,
            )  # fmt: skip
            ups[member] = np.int64(changes[member, 0] > 0)
        if flips:
            _products_after_flips(products, shares, ups, factors, order[0])
        for member in range(n_members):
            if n_changes[member] == 0:
                continue
            if not flips:
                products[member] = _proposed_product(shares, member, factors, places, changes, n_changes[member])
            ratio = products[member] * scales[member]
            for k in range(n_changes[member]):
                ratio *= entry_weights[np.int64(changes[member, k] > 0), places[member, k]]
            if rng.uniform(words[member, first]) < metropolis.ratio_acceptance(ratio):
                for k in range(n_changes[member]):
                    _multiply(shares, 2 * member + np.int64(changes[member, k] > 0), factors, places[member, k])
                    states[member, places[member, k]] += changes[member, k]
                scales[member] = 1.0 / products[member]
                accepted[member] += 1
                kept[member] += 1
                if kept[member] == most_kept:
                    _normalize(shares, 2 * member)
                    scales[member] = 1.0
                    kept[member] = 0


@_cpu.helper
def _move_fields(moved, fields, member, weights, places, changes, n_changes):
    """moved = the hidden fields of a member after a proposal."""
    wide_vectors()
    change, i = changes[member, 0], places[member, 0]
    for j in range(fields.shape[1]):
        moved[j] = fields[member, j] + change * weights[i, j]
    for k in range(1, n_changes):
        change, i = changes[member, k], places[member, k]
        for j in range(fields.shape[1]):
            moved[j] += change * weights[i, j]


@_cpu.reordering_helper
def _gaussian_change(parameters, fields, member, moved):
    wide_vectors()
    total = 0.0
    for j in range(fields.shape[1]):
        old = fields[member, j]
        total += metropolis.gaussian_cumulant_change(parameters[0, j], parameters[1, j], old, moved[j] - old)
    return total


@_cpu.helper
def _take(fields, member, moved):
    """fields[member] = moved."""
    wide_vectors()
    for j in range(fields.shape[1]):
        fields[member, j] = moved[j]


@_cpu.helper
def _sweep_with_fields(
    states, accepted, fields, moved, words, choices, order, places, changes, weights, visible_bias, visible_kind,
    visible_level, visible_parameters, hidden_kind, hidden_level, hidden_parameters, name, size, n_proposals,
):  # fmt: skip
    """One sweep of a group for units of any kind: the cumulants of the hidden units are summed for every proposal."""
    n_members = states.shape[0]
    n_words = metropolis.words_per_proposal(visible_kind, name, size)
    current = np.zeros(n_members)
    if hidden_kind != GAUSSIAN:
        for member in range(n_members):
            current[member] = _cumulants(hidden_kind, hidden_level, hidden_parameters, fields[member])
    for proposal in range(n_proposals):
        first = proposal * n_words
        metropolis.choose_units(order, choices, proposal * size, size)
        for member in range(n_members):
            n_changes = metropolis.propose(
                visible_kind, visible_level, visible_parameters, states, member, name, size, words, first, order,
                places, changes,
            )  # fmt: skip
            if n_changes == 0:
                continue
            _move_fields(moved, fields, member, weights, places, changes, n_changes)
            if hidden_kind == GAUSSIAN:
                proposed = _gaussian_change(hidden_parameters, fields, member, moved)
            else:
                proposed = _cumulants(hidden_kind, hidden_level, hidden_parameters, moved)
            cost = current[member] - proposed
            for k in range(n_changes):
                i, change = places[member, k], changes[member, k]
                cost -= visible_bias[i] * change
                if visible_kind in (GAUSSIAN, RELU):
                    mean, deviation = visible_parameters[0, i], visible_parameters[1, i]
                    cost += metropolis.energy_change(mean, deviation, states[member, i], change)
            if rng.uniform(words[member, first]) < metropolis.flip_acceptance(cost):
                _take(fields, member, moved)
                for k in range(n_changes):
                    states[member, places[member, k]] += changes[member, k]
                if hidden_kind != GAUSSIAN:
                    current[member] = proposed
                accepted[member] += 1


@_cpu.blas_kernel
def metropolis_sweeps(
    visible,
    draws,
    accepted,
    room,
    words,
    choices,
    order,
    places,
    changes,
    weights,
    factors,
    entry_weights,
    visible_bias,
    hidden_bias,
    visible_kind,
    visible_level,
    visible_parameters,
    hidden_kind,
    hidden_level,
    hidden_parameters,
    name,
    size,
    n_proposals,
    most_kept,
    chains_per_block,
    n_sweeps,
    thin,
    first_step,
    key0,
    key1,
):
    """Sweep every chain n_sweeps times, with symmetric proposals accepted by Metropolis-Hastings on p(v).

    What the current state means for the hidden units is kept, so that a proposal costs one pass over them. It is
    computed anew from a matrix product at the start of each sweep, so that no rounding builds up.

    One thread takes one slot of working memory at a time and its blocks of chains: the product of a block is that of a
    single-threaded BLAS; then one group of chains after the other makes its proposals, see formulas.py.

    Parameters
    ----------
    visible : float (n_models, n_chains, n_visible), modified
        The states of the chains, in the dtype of the model.
    draws : int8 or float (n_models, n_chains, n_draws, n_visible), modified
        Filled with the visible states after sweeps thin, 2 thin, ...; n_draws may be 0.
    accepted : int64 (n_models, n_chains), modified
        The number of accepted proposals is added.
    room, words, choices, order, places, changes : working memory, modified
        For the chains that a slot takes together, on the CPU the GROUP members: float64 (n_slots, 2 members + 2, n_hidden
        or more), uint32 (n_slots, members, their words of a sweep), uint32 (n_slots, the group's words of a sweep), int64
        (n_slots, n_units), and int64 and float64 (n_slots, members, most entries that a proposal changes).
    weights : float64 (n_models, n_visible, n_hidden)
    factors : float64 (n_models, n_visible, n_hidden or more)
        e^{(1 - low) d W_ij} where entry i goes up by d, low the lower state of two-level hidden units; beyond the last
        unit 1. Used if most_kept > 0.
    entry_weights : float64 (n_models, 2, n_visible)
        The rest of the ratio of probabilities when an entry goes down, and when it goes up. Used likewise.
    visible_bias : float64 (n_models, n_visible)
    hidden_bias : float64 (n_models, n_chains or 1, n_hidden)
        One for each chain where clamped units add to it.
    visible_kind, ..., hidden_parameters : see units/formulas.py
    name : int
        See formulas.py.
    size : int
        Units that a proposal changes.
    n_proposals : int
        In a sweep.
    most_kept : int
        Accepted proposals after which the shares of the hidden units are normalised; 0 if the factors are not used.
    chains_per_block : int
        On the CPU a multiple of GROUP.
    n_sweeps, thin : int
    first_step : int
        Number of sweeps made before.
    key0, key1 : uint32
        The seed.
    """
    n_models, n_chains, n_visible = visible.shape
    n_hidden = weights.shape[2]
    n_slots = room.shape[0]
    blocks_of_model = (n_chains + chains_per_block - 1) // chains_per_block
    for slot in prange(n_slots):
        states = np.empty((chains_per_block, n_visible))
        fields = np.empty((chains_per_block, n_hidden))
        for block in range(np.int64(slot), n_models * blocks_of_model, n_slots):
            model = block // blocks_of_model
            first = block % blocks_of_model * chains_per_block
            n_here = min(chains_per_block, n_chains - first)
            biases = hidden_bias[model]
            for sweep in range(n_sweeps):
                draw = (sweep + 1) // thin - 1
                keep = draws.shape[2] > 0 and (sweep + 1) % thin == 0
                for k in range(n_here):
                    rows.copy(states[k], visible[model, first + k])
                np.dot(states[:n_here], weights[model], fields[:n_here])
                for start in range(0, n_here, GROUP):
                    stop = min(start + GROUP, n_here)
                    address = model * n_chains + first + start
                    rng.fill_stream(choices[slot], first_step + sweep, address, RBM_METROPOLIS_UNITS, key0, key1)
                    for k in range(start, stop):
                        rows.add_bias(fields[k], biases[min(first + k, biases.shape[0] - 1)])
                        address = model * n_chains + first + k
                        rng.fill_stream(words[slot, k - start], first_step + sweep, address, RBM_METROPOLIS, key0, key1)
                    for i in range(order.shape[1]):
                        order[slot, i] = i
                    members = visible[model, first + start : first + stop]
                    accepted_members = accepted[model, first + start : first + stop]
                    if most_kept > 0:
                        _sweep_with_factors(
                            members, accepted_members, fields[start:stop], room[slot], words[slot], choices[slot],
                            order[slot], places[slot], changes[slot], factors[model], entry_weights[model], most_kept,
                            visible_kind, visible_level, visible_parameters, hidden_level, name, size, n_proposals,
                        )  # fmt: skip
                    else:
                        _sweep_with_fields(
                            members, accepted_members, fields[start:stop], room[slot, 0, :n_hidden], words[slot],
                            choices[slot], order[slot], places[slot], changes[slot], weights[model],
                            visible_bias[model], visible_kind, visible_level, visible_parameters, hidden_kind,
                            hidden_level, hidden_parameters, name, size, n_proposals,
                        )  # fmt: skip
                    if keep:
                        for k in range(start, stop):
                            rows.copy(draws[model, first + k, draw], visible[model, first + k])
