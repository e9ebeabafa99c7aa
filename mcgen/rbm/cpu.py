"""RBM kernels on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen.rng.purpose import RBM_HIDDEN, RBM_METROPOLIS, RBM_VISIBLE

rng = _cpu.formulas("mcgen.rng.formulas")
rbm = _cpu.formulas("mcgen.rbm.formulas")

# Visible units that one thread takes together in phase_statistics.
TILE = 8


@_cpu.helper
def _layer_fields(fields, states, weights, bias):
    """fields[j] = bias[j] + sum_i states[i] weights[i, j], the sum in the order of i.

    The inner loop runs along rows of the weights, so it is vectorised without changing the order of any sum; four rows
    at a time, because each pass over the fields reads and writes them all. Units that are 0 are not skipped: a branch
    that cannot be predicted costs more than the few multiplications of a short row.
    """
    n_units = bias.shape[0]
    n_other = states.shape[0]
    for j in range(n_units):
        fields[j] = bias[j]
    for i in range(0, n_other - 3, 4):
        s0, s1, s2, s3 = states[i], states[i + 1], states[i + 2], states[i + 3]
        for j in range(n_units):
            x = fields[j] + s0 * weights[i, j]
            x = x + s1 * weights[i + 1, j]
            x = x + s2 * weights[i + 2, j]
            fields[j] = x + s3 * weights[i + 3, j]
    for i in range(n_other // 4 * 4, n_other):
        for j in range(n_units):
            fields[j] += states[i] * weights[i, j]


@_cpu.helper
def _draw_layer(states, fields, words, low):
    """Draw every unit of a layer given its field and its random word: one pass, vectorised."""
    for unit in range(states.shape[0]):
        up = rng.uniform(words[unit]) < rbm.probability_up(low, fields[unit])
        states[unit] = 1 if up else low


@_cpu.kernel
def gibbs_sweeps(
    visible,
    hidden,
    draws,
    weights,
    transposed_weights,
    visible_bias,
    hidden_bias,
    visible_low,
    hidden_low,
    n_sweeps,
    thin,
    first_step,
    key0,
    key1,
):
    """Sweep every chain n_sweeps times with block Gibbs steps h ~ p(h | v), v ~ p(v | h).

    One thread takes one chain at a time and all its sweeps.

    Parameters
    ----------
    visible : int8 (n_chains, n_visible), modified
        The states of the chains.
    hidden : int8 (n_chains, n_hidden), modified
        Overwritten with the last hidden states.
    draws : int8 (n_chains, n_draws, n_visible), modified
        Filled with the visible states after sweeps thin, 2 thin, ...; n_draws may be 0.
    weights, transposed_weights : float (n_visible, n_hidden) and its transpose, both C-contiguous
    visible_bias, hidden_bias : float
    visible_low, hidden_low : int
        0 for Bernoulli units, -1 for spins.
    n_sweeps, thin : int
    first_step : int
        Number of sweeps made before.
    key0, key1 : uint32
        The seed.
    """
    n_visible, n_hidden = weights.shape
    for chain in prange(visible.shape[0]):
        visible_fields = np.empty(n_visible, weights.dtype)
        hidden_fields = np.empty(n_hidden, weights.dtype)
        visible_words = np.empty((n_visible + 3) // 4 * 4, np.uint32)
        hidden_words = np.empty((n_hidden + 3) // 4 * 4, np.uint32)
        for sweep in range(n_sweeps):
            step = first_step + sweep
            _layer_fields(hidden_fields, visible[chain], weights, hidden_bias)
            rng.fill_stream(hidden_words, step, chain, RBM_HIDDEN, key0, key1)
            _draw_layer(hidden[chain], hidden_fields, hidden_words, hidden_low)
            _layer_fields(visible_fields, hidden[chain], transposed_weights, visible_bias)
            rng.fill_stream(visible_words, step, chain, RBM_VISIBLE, key0, key1)
            _draw_layer(visible[chain], visible_fields, visible_words, visible_low)
            draw = (sweep + 1) // thin - 1
            if draws.shape[1] > 0 and (sweep + 1) % thin == 0:
                for i in range(n_visible):
                    draws[chain, draw, i] = visible[chain, i]


@_cpu.kernel
def metropolis_sweeps(
    visible,
    draws,
    flips,
    hidden_fields,
    weights,
    visible_bias,
    hidden_bias,
    visible_low,
    hidden_low,
    n_sweeps,
    thin,
    first_step,
    key0,
    key1,
):
    """Sweep every chain with single flips of randomly chosen visible units, accepted by Metropolis-Hastings on p(v).

    A sweep makes n_visible proposals. The hidden fields of the current state are kept, so a proposal costs one pass
    over the hidden units; they are summed anew at the start of each sweep, so that no rounding error builds up. One
    thread takes one chain at a time and all its sweeps.

    Parameters
    ----------
    visible : int8 (n_chains, n_visible), modified
    draws : int8 (n_chains, n_draws, n_visible), modified
        Filled with the visible states after sweeps thin, 2 thin, ...; n_draws may be 0.
    flips : int64 (n_chains,), modified
        The number of accepted proposals is added.
    hidden_fields : float64 (n_chains, n_hidden), modified
        Working memory.
    weights, visible_bias, hidden_bias : float
    visible_low, hidden_low : int
        0 for Bernoulli units, -1 for spins.
    n_sweeps, thin : int
    first_step : int
        Number of sweeps made before.
    key0, key1 : uint32
        The seed.
    """
    n_visible, n_hidden = weights.shape
    for chain in prange(visible.shape[0]):
        fields = hidden_fields[chain]
        words = np.empty((2 * n_visible + 3) // 4 * 4, np.uint32)
        n_flips = 0
        for sweep in range(n_sweeps):
            # Two words for each proposal: which unit, and whether it flips.
            rng.fill_stream(words, first_step + sweep, chain, RBM_METROPOLIS, key0, key1)
            _layer_fields(fields, visible[chain], weights, hidden_bias)
            current = rbm.cumulant_sum(hidden_low, fields, fields, 0.0)
            for proposal in range(n_visible):
                i = rng.pick_below(words[2 * proposal], n_visible)
                change = visible_low + 1 - 2 * visible[chain, i]  # of the unit's state
                proposed = rbm.cumulant_sum(hidden_low, fields, weights[i], change)
                cost = -(visible_bias[i] * change + proposed - current)
                if rng.uniform(words[2 * proposal + 1]) < rbm.flip_acceptance(cost):
                    for j in range(n_hidden):
                        fields[j] += change * weights[i, j]
                    visible[chain, i] += change
                    current = proposed
                    n_flips += 1
            draw = (sweep + 1) // thin - 1
            if draws.shape[1] > 0 and (sweep + 1) % thin == 0:
                for i in range(n_visible):
                    draws[chain, draw, i] = visible[chain, i]
        flips[chain] += n_flips


@_cpu.kernel
def layer_means(means, states, weights, bias, low):
    """means[row, j] = <s_j> of the units of one layer given each row of states of the other.

    One thread takes one row at a time.

    Parameters
    ----------
    means : float (n_rows, n_units), modified
    states : float (n_rows, n_other)
    weights : float (n_other, n_units)
    bias : float (n_units,)
    low : int
        0 for Bernoulli units, -1 for spins.
    """
    for row in prange(states.shape[0]):
        _layer_fields(means[row], states[row], weights, bias)
        for j in range(bias.shape[0]):
            means[row, j] = rbm.mean(low, means[row, j])


@_cpu.kernel
def free_energies(energies, fields, states, weights, bias, other_bias, other_low):
    """energies[row] = F = -bias.s - sum_j cumulant(other_bias_j + sum_i s_i W_ij) of each row s of one layer.

    One thread takes one row at a time.

    Parameters
    ----------
    energies : float64 (n_rows,), modified
    fields : float64 (n_rows, n_other), modified
        Working memory.
    states : float (n_rows, n_units)
    weights : float (n_units, n_other)
    bias, other_bias : float
    other_low : int
        0 for Bernoulli units, -1 for spins, of the layer that is summed out.
    """
    for row in prange(states.shape[0]):
        _layer_fields(fields[row], states[row], weights, other_bias)
        total = rbm.cumulant_sum(other_low, fields[row], fields[row], 0.0)
        for i in range(bias.shape[0]):
            total += bias[i] * states[row, i]
        energies[row] = -total


@_cpu.kernel
def phase_statistics(weight_moment, visible_moment, hidden_moment, visible, hidden, row_weights):
    """The weighted sums over rows of v h, v and h: one phase of the log-likelihood gradient.

    Every sum runs over the rows in order, so the result does not depend on the number of threads. One thread takes a
    tile of visible units at a time: each row of `hidden` is then read once for the whole tile, whose part of
    weight_moment stays in the cache. The last piece of work is hidden_moment.

    Parameters
    ----------
    weight_moment, visible_moment, hidden_moment : float64 (n_visible, n_hidden), (n_visible,), (n_hidden,), modified
    visible : float (n_rows, n_visible)
    hidden : float (n_rows, n_hidden)
    row_weights : float64 (n_rows,)
    """
    n_visible, n_hidden = weight_moment.shape
    n_tiles = (n_visible + TILE - 1) // TILE
    for tile in prange(n_tiles + 1):
        if tile == n_tiles:
            hidden_moment[:] = 0.0
            for row in range(visible.shape[0]):
                for j in range(n_hidden):
                    hidden_moment[j] += row_weights[row] * hidden[row, j]
        else:
            first, end = tile * TILE, min((tile + 1) * TILE, n_visible)
            weight_moment[first:end] = 0.0
            visible_moment[first:end] = 0.0
            for row in range(visible.shape[0]):
                for i in range(first, end):
                    x = row_weights[row] * visible[row, i]
                    if x != 0.0:
                        visible_moment[i] += x
                        for j in range(n_hidden):
                            weight_moment[i, j] += x * hidden[row, j]
