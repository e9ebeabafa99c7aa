"""Metropolis-Hastings sweeps of RBMs on a GPU. The twin of `cpu.py`: same functions, order and arguments."""

import numba

from mcgen import _cuda
from mcgen._cuda import WIDEST_BLOCK, cuda
from mcgen.rbm.metropolis.formulas import GROUP
from mcgen.rbm.units.formulas import GAUSSIAN, RELU
from mcgen.rng.purpose import RBM_METROPOLIS, RBM_METROPOLIS_UNITS

scalar = _cuda.formulas("mcgen.formulas")
rng = _cuda.formulas("mcgen.rng.formulas")
units = _cuda.formulas("mcgen.rbm.units.formulas")
metropolis = _cuda.formulas("mcgen.rbm.metropolis.formulas")

# A block of lanes takes one chain at a time, in a slot of working memory.
CHAINS_PER_BLOCK = 1, 1
MOST_SLOTS = 1024


@_cuda.helper
def _total(parts, part, multiplies):
    """The sum, or the product, of the parts of all lanes, which come here together."""
    lane, left = cuda.threadIdx.x, cuda.blockDim.x
    parts[lane] = part
    cuda.syncthreads()
    while left > 1:
        half = (left + 1) // 2
        if lane + half < left:
            if multiplies:
                parts[lane] *= parts[lane + half]
            else:
                parts[lane] += parts[lane + half]
        cuda.syncthreads()
        left = half
    total = parts[0]
    cuda.syncthreads()
    return total


@_cuda.helper
def _fill_words(words, step, address, purpose, key0, key1):
    """Fill words, a multiple of four of them, with one step of a stream, every lane its part."""
    for block in range(cuda.threadIdx.x, words.shape[0] // 4, cuda.blockDim.x):
        four = rng.philox4x32(block, step, address, purpose, key0, key1)
        for k in range(4):
            words[4 * block + k] = rng.pick_word(four, k)


@_cuda.helper
def _product_of_lane(room, factors, places, changes, n_changes):
    """A lane's part of the product over hidden units after a proposal."""
    part = 1.0
    for j in range(cuda.threadIdx.x, factors.shape[1], cuda.blockDim.x):
        low, high = room[0, j], room[1, j]
        for k in range(n_changes):
            if changes[k] > 0:
                high *= factors[places[k], j]
            else:
                low *= factors[places[k], j]
        part *= low + high
    return part


@_cuda.helper
def _cumulants_of_lane(room, weights, kind, level, parameters, places, changes, n_changes):
    """A lane's part of the change of the sum of cumulants; the fields after the proposal are left in room[1]."""
    fields, moved = room[0], room[1]
    n_entries = units.entries(kind, level)
    part = 0.0
    for unit in range(cuda.threadIdx.x, weights.shape[1] // n_entries, cuda.blockDim.x):
        for j in range(unit * n_entries, (unit + 1) * n_entries):
            x = fields[j]
            for k in range(n_changes):
                x += changes[k] * weights[places[k], j]
            moved[j] = x
        if kind == GAUSSIAN:
            change = moved[unit] - fields[unit]
            part += metropolis.gaussian_cumulant_change(parameters[0, unit], parameters[1, unit], fields[unit], change)
        else:
            part += units.unit_cumulant(kind, level, parameters, moved, unit)
            part -= units.unit_cumulant(kind, level, parameters, fields, unit)
    return part


@_cuda.block_kernel
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

    One block takes one slot of working memory and its chains, one after the other, with all their sweeps; one lane
    every blockDim.x-th hidden unit. The first lane writes down each proposal, and all of them come to its decision. The
    units are those that all chains of the group choose (see formulas.py).
    """
    parts = cuda.shared.array(WIDEST_BLOCK, numba.float64)
    shared_count = cuda.shared.array(1, numba.int64)
    slot, lane, n_lanes = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    n_models, n_chains, n_visible = visible.shape
    n_hidden = weights.shape[2]
    hidden_entries = units.entries(hidden_kind, hidden_level)
    n_words = metropolis.words_per_proposal(visible_kind, name, size)
    mine, my_words, my_order, my_places, my_changes = (
        room[slot], words[slot], order[slot], places[slot, 0], changes[slot, 0]
    )  # fmt: skip
    for address in range(slot, n_models * n_chains, room.shape[0]):
        model, chain = address // n_chains, address % n_chains
        group = address - chain % GROUP
        state = visible[model, chain]
        biases = hidden_bias[model, min(chain, hidden_bias.shape[1] - 1)]
        n_accepted = 0
        for sweep in range(n_sweeps):
            _fill_words(choices[slot], first_step + sweep, group, RBM_METROPOLIS_UNITS, key0, key1)
            _fill_words(my_words[0], first_step + sweep, address, RBM_METROPOLIS, key0, key1)
            for unit in range(lane, my_order.shape[0], n_lanes):
                my_order[unit] = unit
            # By whole units, as in the sums below: every lane then reads only fields that it wrote itself.
            for unit in range(lane, n_hidden // hidden_entries, n_lanes):
                for j in range(unit * hidden_entries, (unit + 1) * hidden_entries):
                    field = biases[j]
                    for i in range(n_visible):
                        field += state[i] * weights[model, i, j]
                    mine[0, j] = field
                if most_kept > 0:
                    y = (1 - hidden_level) * mine[0, unit]
                    mine[0, unit] = scalar.sigmoid(-y)
                    mine[1, unit] = scalar.sigmoid(y)
            if most_kept > 0:
                for j in range(lane, factors.shape[2], n_lanes):
                    if j >= n_hidden:
                        mine[0, j] = 1.0
                        mine[1, j] = 0.0
            cuda.syncthreads()
            scale = 1.0
            kept = 0
            for proposal in range(n_proposals):
                first = proposal * n_words
                if lane == 0:
                    metropolis.choose_units(my_order, choices[slot], proposal * size, size)
                    shared_count[0] = metropolis.propose(
                        visible_kind, visible_level, visible_parameters, visible[model, chain : chain + 1], 0, name,
                        size, my_words, first, my_order, 0, places[slot], changes[slot],
                    )  # fmt: skip
                cuda.syncthreads()
                n_changes = shared_count[0]
                if most_kept > 0:
                    product = _total(
                        parts, _product_of_lane(mine, factors[model], my_places, my_changes, n_changes), True
                    )
                    ratio = product * scale
                    for k in range(n_changes):
                        ratio *= entry_weights[model, 1 if my_changes[k] > 0 else 0, my_places[k]]
                    acceptance = metropolis.ratio_acceptance(ratio)
                else:
                    product = 1.0
                    part = _cumulants_of_lane(
                        mine,
                        weights[model],
                        hidden_kind,
                        hidden_level,
                        hidden_parameters,
                        my_places,
                        my_changes,
                        n_changes,
                    )
                    cost = -_total(parts, part, False)
                    for k in range(n_changes):
                        i = my_places[k]
                        cost -= visible_bias[model, i] * my_changes[k]
                        if visible_kind in (GAUSSIAN, RELU):
                            cost += metropolis.energy_change(
                                visible_parameters[0, i], visible_parameters[1, i], state[i], my_changes[k]
                            )
                    acceptance = metropolis.flip_acceptance(cost)
                taken = n_changes > 0 and rng.uniform(my_words[0, first]) < acceptance
                cuda.syncthreads()  # all lanes have read the state
                if taken:
                    n_accepted += 1
                    if lane == 0:
                        for k in range(n_changes):
                            state[my_places[k]] += my_changes[k]
                    if most_kept > 0:
                        scale = 1.0 / product
                        kept += 1
                        for j in range(lane, factors.shape[2], n_lanes):
                            low, high = mine[0, j], mine[1, j]
                            for k in range(n_changes):
                                if my_changes[k] > 0:
                                    high *= factors[model, my_places[k], j]
                                else:
                                    low *= factors[model, my_places[k], j]
                            total = low + high if kept == most_kept else 1.0
                            mine[0, j] = low / total
                            mine[1, j] = high / total
                        if kept == most_kept:
                            kept = 0
                            scale = 1.0
                    else:
                        for unit in range(lane, n_hidden // hidden_entries, n_lanes):
                            for j in range(unit * hidden_entries, (unit + 1) * hidden_entries):
                                mine[0, j] = mine[1, j]
                cuda.syncthreads()  # the next proposal overwrites this one
            draw = (sweep + 1) // thin - 1
            if draws.shape[2] > 0 and (sweep + 1) % thin == 0:
                for i in range(lane, n_visible, n_lanes):
                    draws[model, chain, draw, i] = state[i]
        if lane == 0:
            accepted[model, chain] += n_accepted
