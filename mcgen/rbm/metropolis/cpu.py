"""Metropolis-Hastings sweeps of RBMs on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen._vectors import wide_vectors
from mcgen.rbm.metropolis.formulas import FLIP, GROUP
from mcgen.rbm.units import rows
from mcgen.rbm.units.formulas import GAUSSIAN, RELU, TWO_LEVEL
from mcgen.rng.purpose import RBM_METROPOLIS, RBM_METROPOLIS_UNITS

scalar = _cpu.formulas("mcgen.formulas")
rng = _cpu.formulas("mcgen.rng.formulas")
units = _cpu.formulas("mcgen.rbm.units.formulas")
metropolis = _cpu.formulas("mcgen.rbm.metropolis.formulas")

# Chains that propose at the same time: the shares of their hidden units stay in the nearest cache.
TOGETHER = 4
# The fewest and the most chains of a block, whose fields come from one matrix product; powers of two that divide GROUP.
CHAINS_PER_BLOCK = TOGETHER, GROUP
# Bytes of the rows that all chains of a block use before other rows are fetched: they stay in the second cache.
WINDOW_BYTES = 1 << 18
# A slot is a piece of working memory; a thread works in one of them at a time.
MOST_SLOTS = 64

# Every sum and product over hidden units is a function of its own, so that it is vectorised, and its order is free.
# They take a table and the number of a row: a slice would be counted as a reference, with locked operations.
# The shares of a chain are two rows, that of the lower and that of the upper state, in the order of the chains.


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
    """The products over hidden units of four chains, after the share ups[m] of each is multiplied by factors[i].

    For each hidden unit and chain a multiply-add and a multiplication; the row of factors is read once for all.
    """
    wide_vectors()
    first, second, third, fourth = ups[0], 2 + ups[1], 4 + ups[2], 6 + ups[3]
    one = two = three = four = 1.0
    for j in range(shares.shape[1]):
        factor = factors[i, j]
        one *= shares[first ^ 1, j] + shares[first, j] * factor
        two *= shares[second ^ 1, j] + shares[second, j] * factor
        three *= shares[third ^ 1, j] + shares[third, j] * factor
        four *= shares[fourth ^ 1, j] + shares[fourth, j] * factor
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
        shares[row, j] = scalar.sigmoid(-y)
        shares[row + 1, j] = scalar.sigmoid(y)
    for j in range(fields.shape[1], shares.shape[1]):
        shares[row, j], shares[row + 1, j] = 1.0, 0.0


@_cpu.helper
def _normalize(shares, row):
    """Divide the shares by their sums, with one division for two hidden units."""
    wide_vectors()
    half = shares.shape[1] // 2
    for j in range(half):
        k = j + half
        sum_j, sum_k = shares[row, j] + shares[row + 1, j], shares[row, k] + shares[row + 1, k]
        inverse = 1.0 / (sum_j * sum_k)
        shares[row, j] *= inverse * sum_k
        shares[row + 1, j] *= inverse * sum_k
        shares[row, k] *= inverse * sum_j
        shares[row + 1, k] *= inverse * sum_j


@_cpu.helper
def _copy(copies, shares, row):
    """copies[0], copies[1] = shares[row], shares[row + 1]."""
    wide_vectors()
    for j in range(shares.shape[1]):
        copies[0, j], copies[1, j] = shares[row, j], shares[row + 1, j]


@_cpu.helper
def _proposed_product(shares, copies, member, factors, places, changes, n_changes):
    """The product after a proposal of one chain: of a pair straight from the shares, otherwise from changed copies."""
    row = 2 * member
    if n_changes == 2 and changes[member, 0] * changes[member, 1] < 0:
        up = np.int64(changes[member, 0] > 0)
        return _product_after_pair(shares, row + up, factors, places[member, 0], row + 1 - up, places[member, 1])
    _copy(copies, shares, row)
    for k in range(n_changes):
        _multiply(copies, np.int64(changes[member, k] > 0), factors, places[member, k])
    return _product_of_sums(copies, 0)


@_cpu.helper
def _count(member, accepted, products, scales, kept, shares, most_kept):
    """After an accepted proposal: scales has 1 / the product in the current state."""
    scales[member] = 1.0 / products[member]
    accepted[member] += 1
    kept[member] += 1
    if kept[member] == most_kept:
        _normalize(shares, 2 * member)
        scales[member] = 1.0
        kept[member] = 0


@_cpu.helper
def _flip_with_factors(
    states, accepted, scales, kept, shares, words, units, start, stop, factors, entry_weights, most_kept, level
):
    """Proposals start ... stop-1 of a sweep of some chains, each to flip one two-level unit."""
    wide_vectors()
    n_members = states.shape[0]
    products = np.ones(TOGETHER)
    ups, taken = np.zeros(TOGETHER, np.int64), np.zeros(TOGETHER, np.int64)
    for proposal in range(start, stop):
        i = units[proposal]
        for member in range(n_members):
            ups[member] = np.int64(states[member, i] < 1)
        _products_after_flips(products, shares, ups, factors, i)
        # Processors guess how a branch goes: a loop over those accepted is guessed wrong less often than each of them.
        n_taken = 0
        for member in range(n_members):
            ratio = products[member] * scales[member] * entry_weights[ups[member], i]
            taken[n_taken] = member
            n_taken += np.int64(rng.uniform(words[member, proposal]) < metropolis.ratio_acceptance(ratio))
        for k in range(n_taken):
            member = taken[k]
            _multiply(shares, 2 * member + ups[member], factors, i)
            states[member, i] = 1 if ups[member] else level
            _count(member, accepted, products, scales, kept, shares, most_kept)


@_cpu.helper
def _propose_with_factors(
    states, accepted, scales, kept, shares, copies, words, units, start, stop, places, changes, factors, entry_weights,
    most_kept, visible_kind, visible_level, visible_parameters, name, size,
):  # fmt: skip
    """Proposals start ... stop-1 of a sweep of some chains, of any sort."""
    wide_vectors()
    n_words = metropolis.words_per_proposal(visible_kind, name, size)
    products = np.ones(TOGETHER)
    for proposal in range(start, stop):
        for member in range(states.shape[0]):
            n_changes = metropolis.propose(
                visible_kind, visible_level, visible_parameters, states, member, name, size, words, proposal * n_words,
                units, proposal * size, places, changes,
            )  # fmt: skip
            if n_changes == 0:
                continue
            products[member] = _proposed_product(shares, copies, member, factors, places, changes, n_changes)
            ratio = products[member] * scales[member]
            for k in range(n_changes):
                ratio *= entry_weights[np.int64(changes[member, k] > 0), places[member, k]]
            if rng.uniform(words[member, proposal * n_words]) < metropolis.ratio_acceptance(ratio):
                for k in range(n_changes):
                    _multiply(shares, 2 * member + np.int64(changes[member, k] > 0), factors, places[member, k])
                    states[member, places[member, k]] += changes[member, k]
                _count(member, accepted, products, scales, kept, shares, most_kept)


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
def _propose_with_fields(
    states, accepted, sums, fields, moved, words, units, start, stop, places, changes, weights, visible_bias,
    visible_kind, visible_level, visible_parameters, hidden_kind, hidden_level, hidden_parameters, name, size,
):  # fmt: skip
    """The same for units of any kind: the cumulants of the hidden units are summed for every proposal."""
    n_words = metropolis.words_per_proposal(visible_kind, name, size)
    for proposal in range(start, stop):
        for member in range(states.shape[0]):
            n_changes = metropolis.propose(
                visible_kind, visible_level, visible_parameters, states, member, name, size, words, proposal * n_words,
                units, proposal * size, places, changes,
            )  # fmt: skip
            if n_changes == 0:
                continue
            _move_fields(moved, fields, member, weights, places, changes, n_changes)
            if hidden_kind == GAUSSIAN:
                proposed = 0.0
                cost = -_gaussian_change(hidden_parameters, fields, member, moved)
            else:
                proposed = _cumulants(hidden_kind, hidden_level, hidden_parameters, moved)
                cost = sums[member] - proposed
            for k in range(n_changes):
                i, change = places[member, k], changes[member, k]
                cost -= visible_bias[i] * change
                if visible_kind in (GAUSSIAN, RELU):
                    mean, deviation = visible_parameters[0, i], visible_parameters[1, i]
                    cost += metropolis.energy_change(mean, deviation, states[member, i], change)
            if rng.uniform(words[member, proposal * n_words]) < metropolis.flip_acceptance(cost):
                _take(fields, member, moved)
                for k in range(n_changes):
                    states[member, places[member, k]] += changes[member, k]
                sums[member] = proposed
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

    A hidden unit of two levels has the shares a of its lower and b of its upper state, a + b = 1. When entry i of the
    visible state goes up, b is multiplied by F = e^{(1 - low) d W_ij}, when it goes down again, a: up to a known factor
    for the whole layer. The probability of the state follows from prod_j (a_j + b_j), without a transcendental function
    for each hidden unit. Rounding: a ratio of probabilities has a relative error of at most 6 n_hidden (n + 2) 2^-52
    after n accepted proposals of the sweep that change one entry each, while |log F| <= 1: below 6e-10 for 784 x 500.

    One thread takes one slot of working memory at a time and its blocks of chains: the product of a block is that of a
    single-threaded BLAS. All chains of a block change the same units (see formulas.py), TOGETHER chains at a time: so a
    row of factors comes once from the memory for a block, and once from the second cache for chains that go together.

    Parameters
    ----------
    visible : float (n_models, n_chains, n_visible), modified
        The states of the chains, in the dtype of the model.
    draws : int8 or float (n_models, n_chains, n_draws, n_visible), modified
        Filled with the visible states after sweeps thin, 2 thin, ...; n_draws may be 0.
    accepted : int64 (n_models, n_chains), modified
        The number of accepted proposals is added.
    room, words, choices, order, places, changes : working memory, modified
        float64 (n_slots, 2 chains_per_block + 2, n_hidden or more), uint32 (n_slots, chains_per_block, words of a
        sweep), uint32 (n_slots, choices of units in a sweep), int64 (n_slots, n_units), and int64 and float64 (n_slots,
        chains_per_block, most entries that a proposal changes); the numbers of words are multiples of 32.
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
        Between the two CHAINS_PER_BLOCK, and a divisor of GROUP.
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
    window = max(1, WINDOW_BYTES // (8 * n_hidden))
    for slot in prange(n_slots):
        states = np.empty((chains_per_block, n_visible))
        fields = np.empty((chains_per_block, n_hidden))
        units_chosen = np.empty(n_proposals * size, np.int64)
        # 1 / the product of the sums of shares, or the sum of cumulants, of the current state
        values = np.empty(chains_per_block)
        kept = np.empty(chains_per_block, np.int64)
        shares, copies = room[slot, : 2 * chains_per_block], room[slot, 2 * chains_per_block :]
        for block in range(np.int64(slot), n_models * blocks_of_model, n_slots):
            model = block // blocks_of_model
            first = block % blocks_of_model * chains_per_block
            n_here = min(chains_per_block, n_chains - first)
            biases = hidden_bias[model]
            for sweep in range(n_sweeps):
                step = first_step + sweep
                draw = (sweep + 1) // thin - 1
                keep = draws.shape[2] > 0 and (sweep + 1) % thin == 0
                group = model * n_chains + first - first % GROUP
                rng.fill_stream(choices[slot], 0, step, group, RBM_METROPOLIS_UNITS, key0, key1)
                metropolis.choose_all_units(units_chosen, order[slot], choices[slot], n_proposals, size)
                for k in range(n_here):
                    rows.copy(states[k], visible[model, first + k])
                np.dot(states[:n_here], weights[model], fields[:n_here])
                for k in range(n_here):
                    rows.add_bias(fields[k], biases[min(first + k, biases.shape[0] - 1)])
                    address = model * n_chains + first + k
                    rng.fill_stream(words[slot, k], 0, step, address, RBM_METROPOLIS, key0, key1)
                if most_kept > 0:
                    for k in range(chains_per_block):  # those that are not there are copies of the last one
                        _split(shares, 2 * k, hidden_level, fields, min(k, n_here - 1))
                        values[k] = 1.0
                        kept[k] = 0
                elif hidden_kind != GAUSSIAN:
                    for k in range(n_here):
                        values[k] = _cumulants(hidden_kind, hidden_level, hidden_parameters, fields[k])
                for start in range(0, n_proposals, window):
                    stop = min(start + window, n_proposals)
                    for low in range(0, n_here, TOGETHER):
                        high = min(low + TOGETHER, n_here)
                        members = visible[model, first + low : first + high]
                        accepted_here = accepted[model, first + low : first + high]
                        if most_kept > 0 and visible_kind == TWO_LEVEL and name == FLIP:
                            _flip_with_factors(
                                members, accepted_here, values[low:high], kept[low:high],
                                shares[2 * low : 2 * (low + TOGETHER)], words[slot, low:high], units_chosen, start,
                                stop, factors[model], entry_weights[model], most_kept, visible_level,
                            )  # fmt: skip
                        elif most_kept > 0:
                            _propose_with_factors(
                                members, accepted_here, values[low:high], kept[low:high],
                                shares[2 * low : 2 * high], copies, words[slot, low:high], units_chosen, start, stop,
                                places[slot], changes[slot], factors[model], entry_weights[model], most_kept,
                                visible_kind, visible_level, visible_parameters, name, size,
                            )  # fmt: skip
                        else:
                            _propose_with_fields(
                                members, accepted_here, values[low:high], fields[low:high], copies[0, :n_hidden],
                                words[slot, low:high], units_chosen, start, stop, places[slot], changes[slot],
                                weights[model], visible_bias[model], visible_kind, visible_level, visible_parameters,
                                hidden_kind, hidden_level, hidden_parameters, name, size,
                            )  # fmt: skip
                if keep:
                    for k in range(n_here):
                        rows.copy(draws[model, first + k, draw], visible[model, first + k])
