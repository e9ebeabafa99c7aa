"""Metropolis-Hastings sweeps of RBMs on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen._vectors import wide_vectors
from mcgen.rbm.units import rows
from mcgen.rbm.units.formulas import GAUSSIAN, RELU
from mcgen.rng.purpose import RBM_METROPOLIS

scalar = _cpu.formulas("mcgen.formulas")
rng = _cpu.formulas("mcgen.rng.formulas")
units = _cpu.formulas("mcgen.rbm.units.formulas")
metropolis = _cpu.formulas("mcgen.rbm.metropolis.formulas")

# Every sum and product over hidden units is a function of its own, so that it is vectorised, and its order is free.


# They take a table and the number of a row: a slice would be counted as a reference, with locked operations.


@_cpu.helper
def _propose(kind, level, parameters, state, name, size, words, first, order, places, changes):
    return metropolis.propose(kind, level, parameters, state, name, size, words, first, order, places, changes)


@_cpu.helper
def _cumulants(kind, level, parameters, fields):
    return units.cumulant_sum(kind, level, parameters, fields)


@_cpu.helper
def _multiply(shares, up, factors, i):
    """shares[up] *= factors[i]."""
    wide_vectors()
    for j in range(shares.shape[1]):
        shares[up, j] *= factors[i, j]


@_cpu.reordering_helper
def _product(shares, up, factors, i):
    """The product over hidden units after shares[up] *= factors[i]: a multiply-add and a multiplication for each."""
    wide_vectors()
    result = 1.0
    for j in range(shares.shape[1]):
        result *= shares[1 - up, j] + shares[up, j] * factors[i, j]
    return result


@_cpu.reordering_helper
def _product_of_pair(shares, up, factors, i, other):
    """The same after shares[up] *= factors[i] and shares[1 - up] *= factors[other]."""
    wide_vectors()
    result = 1.0
    for j in range(shares.shape[1]):
        result *= shares[1 - up, j] * factors[other, j] + shares[up, j] * factors[i, j]
    return result


@_cpu.reordering_helper
def _product_of_sums(shares):
    wide_vectors()
    result = 1.0
    for j in range(shares.shape[1]):
        result *= shares[0, j] + shares[1, j]
    return result


@_cpu.helper
def _split(shares, level, fields):
    """The shares of the two states of every hidden unit, with the sum 1; beyond the last unit 1 and 0."""
    wide_vectors()
    for j in range(fields.shape[0]):
        y = (1 - level) * fields[j]
        shares[0, j] = metropolis.share_up(-y)
        shares[1, j] = metropolis.share_up(y)
    for j in range(fields.shape[0], shares.shape[1]):
        shares[0, j], shares[1, j] = 1.0, 0.0


@_cpu.helper
def _normalize(shares):
    wide_vectors()
    for j in range(shares.shape[1]):
        scale = 1.0 / (shares[0, j] + shares[1, j])
        shares[0, j] *= scale
        shares[1, j] *= scale


@_cpu.helper
def _copy(new, old):
    wide_vectors()
    for j in range(old.shape[1]):
        new[0, j], new[1, j] = old[0, j], old[1, j]


@_cpu.helper
def _proposed_product(shares, new_shares, factors, places, changes, n_changes):
    """The product after a proposal: with one or two changes straight from the shares, otherwise from changed copies."""
    up = np.int64(changes[0] > 0)
    if n_changes == 1:
        return _product(shares, up, factors, places[0])
    if n_changes == 2 and changes[0] * changes[1] < 0:
        return _product_of_pair(shares, up, factors, places[0], places[1])
    _copy(new_shares, shares)
    for k in range(n_changes):
        _multiply(new_shares, np.int64(changes[k] > 0), factors, places[k])
    return _product_of_sums(new_shares)


@_cpu.helper
def _sweep_with_factors(
    state, fields, shares, new_shares, words, order, places, changes, factors, entry_weights, most_kept,
    visible_kind, visible_level, visible_parameters, hidden_level, name, size, n_proposals,
):  # fmt: skip
    """One sweep of a chain with two-level hidden units, without a transcendental function for each of them.

    A hidden unit has the shares a of its lower and b of its upper state, a + b = 1. When entry i of the visible state
    goes up, b is multiplied by F = e^{(1 - low) d W_ij}, when it goes down again, a: up to a known factor for the whole
    layer. The probability of the state follows from prod_j (a_j + b_j).
    """
    _split(shares, hidden_level, fields)
    scale = 1.0  # 1 / the product in the current state
    kept = n_accepted = 0
    n_words = metropolis.words_per_proposal(visible_kind, name, size)
    for proposal in range(n_proposals):
        first = proposal * n_words
        n_changes = _propose(
            visible_kind, visible_level, visible_parameters, state, name, size, words, first, order, places, changes
        )
        if n_changes == 0:
            continue
        weight = scale
        for k in range(n_changes):
            weight *= entry_weights[np.int64(changes[k] > 0), places[k]]
        product = _proposed_product(shares, new_shares, factors, places, changes, n_changes)
        if rng.uniform(words[first]) < metropolis.ratio_acceptance(product * weight):
            for k in range(n_changes):
                _multiply(shares, np.int64(changes[k] > 0), factors, places[k])
                state[places[k]] += changes[k]
            scale = 1.0 / product
            n_accepted += 1
            kept += 1
            if kept == most_kept:
                _normalize(shares)
                scale = 1.0
                kept = 0
    return n_accepted


@_cpu.helper
def _move_fields(moved, fields, weights, places, changes, n_changes):
    """moved = the hidden fields after a proposal."""
    wide_vectors()
    change, i = changes[0], places[0]
    for j in range(fields.shape[0]):
        moved[j] = fields[j] + change * weights[i, j]
    for k in range(1, n_changes):
        change, i = changes[k], places[k]
        for j in range(fields.shape[0]):
            moved[j] += change * weights[i, j]


@_cpu.reordering_helper
def _gaussian_change(parameters, fields, moved):
    wide_vectors()
    total = 0.0
    for j in range(fields.shape[0]):
        change = moved[j] - fields[j]
        total += metropolis.gaussian_cumulant_change(parameters[0, j], parameters[1, j], fields[j], change)
    return total


@_cpu.helper
def _sweep_with_fields(
    state, fields, room, words, order, places, changes, weights, visible_bias, visible_kind, visible_level,
    visible_parameters, hidden_kind, hidden_level, hidden_parameters, name, size, n_proposals,
):  # fmt: skip
    """One sweep of a chain for units of any kind: the cumulants of the hidden units are summed for every proposal."""
    moved = room[0, : fields.shape[0]]
    current = 0.0
    if hidden_kind != GAUSSIAN:
        current = _cumulants(hidden_kind, hidden_level, hidden_parameters, fields)
    n_accepted = 0
    n_words = metropolis.words_per_proposal(visible_kind, name, size)
    for proposal in range(n_proposals):
        first = proposal * n_words
        n_changes = _propose(
            visible_kind, visible_level, visible_parameters, state, name, size, words, first, order, places, changes
        )
        if n_changes == 0:
            continue
        _move_fields(moved, fields, weights, places, changes, n_changes)
        if hidden_kind == GAUSSIAN:
            proposed = _gaussian_change(hidden_parameters, fields, moved)
        else:
            proposed = _cumulants(hidden_kind, hidden_level, hidden_parameters, moved)
        cost = current - proposed
        for k in range(n_changes):
            i = places[k]
            cost -= visible_bias[i] * changes[k]
            if visible_kind in (GAUSSIAN, RELU):
                mean, deviation = visible_parameters[0, i], visible_parameters[1, i]
                cost += metropolis.energy_change(mean, deviation, state[i], changes[k])
        if rng.uniform(words[first]) < metropolis.flip_acceptance(cost):
            fields[:] = moved
            for k in range(n_changes):
                state[places[k]] += changes[k]
            if hidden_kind != GAUSSIAN:
                current = proposed
            n_accepted += 1
    return n_accepted


@_cpu.blas_kernel
def metropolis_sweeps(
    visible,
    draws,
    accepted,
    room,
    words,
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
    single-threaded BLAS; then one chain after the other makes its proposals.

    Parameters
    ----------
    visible : float (n_models, n_chains, n_visible), modified
        The states of the chains, in the dtype of the model.
    draws : int8 or float (n_models, n_chains, n_draws, n_visible), modified
        Filled with the visible states after sweeps thin, 2 thin, ...; n_draws may be 0.
    accepted : int64 (n_models, n_chains), modified
        The number of accepted proposals is added.
    room, words, order, places, changes : working memory, modified
        float64 (n_slots, 4, n_hidden or more), uint32 (n_slots, words of a sweep), int64 (n_slots, n_units), and
        int64 and float64 (n_slots, most entries that a proposal changes).
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
                for k in range(n_here):
                    chain = first + k
                    rows.add_bias(fields[k], biases[min(chain, biases.shape[0] - 1)])
                    address = model * n_chains + chain
                    rng.fill_stream(words[slot], first_step + sweep, address, RBM_METROPOLIS, key0, key1)
                    for i in range(order.shape[1]):
                        order[slot, i] = i
                    if most_kept > 0:
                        accepted[model, chain] += _sweep_with_factors(
                            visible[model, chain], fields[k], room[slot, :2], room[slot, 2:], words[slot], order[slot],
                            places[slot], changes[slot], factors[model], entry_weights[model], most_kept, visible_kind,
                            visible_level, visible_parameters, hidden_level, name, size, n_proposals,
                        )  # fmt: skip
                    else:
                        accepted[model, chain] += _sweep_with_fields(
                            visible[model, chain], fields[k], room[slot], words[slot], order[slot], places[slot],
                            changes[slot], weights[model], visible_bias[model], visible_kind, visible_level,
                            visible_parameters, hidden_kind, hidden_level, hidden_parameters, name, size, n_proposals,
                        )  # fmt: skip
                    if keep:
                        rows.copy(draws[model, chain, draw], visible[model, chain])
