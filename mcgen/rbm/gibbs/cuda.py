"""Block Gibbs sweeps on a GPU. The twin of `cpu.py`: same functions, order and arguments, described there."""

import numpy as np

from mcgen import _cuda
from mcgen._cuda import SIMULATOR, cuda
from mcgen.rbm.gibbs import plans, products
from mcgen.rbm.units.formulas import TWO_LEVEL
from mcgen.rng.purpose import RBM_HIDDEN, RBM_VISIBLE

rng = _cuda.formulas("mcgen.rng.formulas")
units = _cuda.formulas("mcgen.rbm.units.formulas")

# A block takes some groups of chains, one group for a share of its lanes. The states of a layer lie group by group,
# those of a unit next to each other with one number of space: STRIDE numbers for each unit.
CHAINS = plans.CHAINS_PER_LANE_SIMULATED if SIMULATOR else plans.CHAINS_PER_LANE
UNITS = plans.UNITS_PER_LANE_SIMULATED if SIMULATOR else plans.UNITS_PER_LANE
TILE = CHAINS * UNITS
STRIDE = CHAINS + 1


@_cuda.helper
def _add_entry(sums, weights, places, step, states, state):
    """Add to a tile of sums what one entry of the other layer contributes, and move on to the weights of the next."""
    for u in range(UNITS):
        weight = weights[places[u]]
        for c in range(CHAINS):
            sums[u * CHAINS + c] += weight * states[state + np.uint64(c)]
        places[u] += np.uint64(step)


@_cuda.helper
def _add_products(states, from_layer, to_layer, weights, steps, biases, first_chain, n_groups, lanes):
    """Fill the states of one layer with the fields that the other one makes. All lanes of the block come here together.

    A lane takes a tile of units by chains at a time and keeps its sums in registers: a weight is read once for all
    chains of the tile, a state once for all its units, and neighbouring lanes read neighbouring weights.

    from_layer, to_layer are (place in states, numbers of a group, entries); steps is (place of the weights, how far the
    weights of the next entry of from_layer are, how far those of the next entry of to_layer are).
    """
    from_place, from_group, n_from = from_layer
    to_place, to_group, n_to = to_layer
    weights_place, from_step, to_step = steps
    group, lane = cuda.threadIdx.x // lanes, cuda.threadIdx.x % lanes
    if group >= n_groups:
        return
    sums = cuda.local.array(TILE, weights.dtype)
    places = cuda.local.array(UNITS, np.uint64)
    for first in range(lane, n_to, UNITS * lanes):
        for k in range(TILE):
            sums[k] = 0
        for u in range(UNITS):
            # Lanes beyond the last unit read its weights and write nothing.
            places[u] = np.uint64(weights_place + min(first + u * lanes, n_to - 1) * to_step)
        # Unsigned places: for signed ones Numba adds instructions that count negative ones from the end.
        state = np.uint64(from_place + group * from_group)
        end, end_of_fours = state + np.uint64(n_from * STRIDE), state + np.uint64(n_from // 4 * 4 * STRIDE)
        # Four at once, so that many reads are under way while the lane waits for the first.
        while state < end_of_fours:
            _add_entry(sums, weights, places, from_step, states, state)
            _add_entry(sums, weights, places, from_step, states, state + np.uint64(STRIDE))
            _add_entry(sums, weights, places, from_step, states, state + np.uint64(2 * STRIDE))
            _add_entry(sums, weights, places, from_step, states, state + np.uint64(3 * STRIDE))
            state += np.uint64(4 * STRIDE)
        while state < end:
            _add_entry(sums, weights, places, from_step, states, state)
            state += np.uint64(STRIDE)
        for u in range(UNITS):
            unit = first + u * lanes
            if unit < n_to:
                for c in range(CHAINS):
                    bias = biases[min(first_chain + group * CHAINS + c, biases.shape[0] - 1), unit]
                    states[to_place + group * to_group + unit * STRIDE + c] = sums[u * CHAINS + c] + bias


@_cuda.helper
def _draw_two_level(kind, level, parameters, fields, start, step_of_unit, unit, word):
    """Draw one two-level unit, whose field is fields[start + unit * step_of_unit], and write its state over it."""
    place = start + unit * step_of_unit
    if fields.itemsize == 4:
        up = units.is_up_single(level, fields[place], word)
    else:
        up = units.is_up(level, fields[place], word)
    fields[place] = 1 if up else level


@_cuda.helper
def _draw(kind, level, parameters, fields, start, step_of_unit, unit, word):
    """The same for a unit of any kind."""
    if kind == TWO_LEVEL:
        _draw_two_level(kind, level, parameters, fields, start, step_of_unit, unit, word)
    else:
        row = fields[start::step_of_unit]
        units.unit_draw(kind, level, parameters, row, unit, word, row)


@_cuda.helper
def _draw_layer_of_block(draw, states, layer, kind_of_units, addresses, n_chains, n_groups):
    """Replace the fields of one layer by states, for the n_chains chains of a block.

    A lane takes four neighbouring units of one chain at a time, which share one counter of the random words.
    """
    place, group_numbers, n_entries = layer
    kind, level, parameters = kind_of_units
    step, numbers, purpose, key0, key1 = addresses
    n_columns = n_groups * CHAINS
    n_units = n_entries // units.entries(kind, level)
    column = cuda.threadIdx.x % n_columns
    if column >= n_chains:
        return
    start = place + column // CHAINS * group_numbers + column % CHAINS
    for four in range(cuda.threadIdx.x // n_columns, (n_units + 3) // 4, cuda.blockDim.x // n_columns):
        words = rng.philox4x32(four, step, numbers[column], purpose, key0, key1)
        for unit in range(4 * four, min(4 * four + 4, n_units)):
            draw(kind, level, parameters, states, start, STRIDE, unit, rng.pick_word(words, unit % 4))


@_cuda.helper
def _sweep_block(draw, states, hidden_place, arrays, up, down, kinds, run):
    """All sweeps of the chains of one block, whose states lie in `states`, those of the visible units first.

    up and down are the weights for the two directions, each (array, (place, step, step)), see _add_products.
    """
    visible, draws, visible_bias, hidden_bias, numbers = arrays
    up_weights, up_steps = up
    down_weights, down_steps = down
    visible_kind, hidden_kind = kinds
    n_blocks, n_groups, lanes, n_sweeps, thin, first_step, key0, key1 = run
    n_chains, n_visible, n_hidden = visible.shape[1], visible.shape[2], hidden_bias.shape[2]
    model, first = cuda.blockIdx.x // n_blocks, cuda.blockIdx.x % n_blocks * n_groups * CHAINS
    lane, n_lanes = cuda.threadIdx.x, cuda.blockDim.x
    # Odd, so that groups lie in different banks.
    group_numbers = n_visible * STRIDE | 1
    visible_layer = (0, group_numbers, n_visible)
    hidden_layer = (hidden_place, n_hidden * STRIDE | 1, n_hidden)
    n_here = min(n_groups * CHAINS, n_chains - first)
    addresses_here = numbers[model, first:]
    for column in range(n_groups * CHAINS):
        place = column // CHAINS * group_numbers + column % CHAINS
        for i in range(lane, n_visible, n_lanes):
            states[place + i * STRIDE] = visible[model, first + column, i] if column < n_here else 0
    cuda.syncthreads()
    for sweep in range(n_sweeps):
        step = first_step + sweep
        _add_products(
            states, visible_layer, hidden_layer, up_weights, up_steps, hidden_bias[model], first, n_groups, lanes
        )
        cuda.syncthreads()
        addresses = (step, addresses_here, RBM_HIDDEN, key0, key1)
        _draw_layer_of_block(draw, states, hidden_layer, hidden_kind, addresses, n_here, n_groups)
        cuda.syncthreads()
        _add_products(
            states, hidden_layer, visible_layer, down_weights, down_steps, visible_bias[model], first, n_groups, lanes
        )
        cuda.syncthreads()
        addresses = (step, addresses_here, RBM_VISIBLE, key0, key1)
        _draw_layer_of_block(draw, states, visible_layer, visible_kind, addresses, n_here, n_groups)
        cuda.syncthreads()
        if draws.shape[2] > 0 and (sweep + 1) % thin == 0:
            for column in range(n_here):
                place = column // CHAINS * group_numbers + column % CHAINS
                for i in range(lane, n_visible, n_lanes):
                    draws[model, first + column, (sweep + 1) // thin - 1, i] = states[place + i * STRIDE]
    for column in range(n_here):
        place = column // CHAINS * group_numbers + column % CHAINS
        for i in range(lane, n_visible, n_lanes):
            visible[model, first + column, i] = states[place + i * STRIDE]


@_cuda.helper
def _sweep_in_shared_memory(draw, arrays, weights, memory, kinds, run):
    """Bring the weights to shared memory, where the states follow them, and sweep.

    Both products read the same copy: rows of odd length keep the lanes that go down a column in different banks.
    """
    model, n_groups = cuda.blockIdx.x // run[0], run[1]
    n_visible, n_hidden = weights.shape[1], weights.shape[2]
    row = n_hidden | 1
    states = n_groups * ((n_visible * STRIDE | 1) + (n_hidden * STRIDE | 1))
    for i in range(n_visible):
        for j in range(cuda.threadIdx.x, n_hidden, cuda.blockDim.x):
            memory[states + i * row + j] = weights[model, i, j]
    up, down = (memory, (states, row, 1)), (memory, (states, 1, row))
    _sweep_block(draw, memory, n_groups * (n_visible * STRIDE | 1), arrays, up, down, kinds, run)


@_cuda.helper
def _sweep_in_global_memory(draw, arrays, weights, memory, kinds, run):
    """Sweep with weights (those of all models one after the other, in both orders) that come through the caches.

    The states of a block's chains lie in a row of `memory`, and most of the time in the first-level cache.
    """
    up_weights, down_weights = weights
    n_visible, n_hidden = arrays[0].shape[2], arrays[3].shape[2]
    start = cuda.blockIdx.x // run[0] * n_visible * n_hidden
    up, down = (up_weights, (start, n_hidden, 1)), (down_weights, (start, n_visible, 1))
    states = memory[cuda.blockIdx.x]
    _sweep_block(draw, states, run[1] * (n_visible * STRIDE | 1), arrays, up, down, kinds, run)


# One launch makes all sweeps. The arguments of the kernels:
# arrays: visible, draws, visible_bias (n_models, 1, n_visible), hidden_bias, numbers;
# kinds: those of the visible and of the hidden units, each (kind, level, parameters);
# run: blocks of a model, groups of a block, lanes of a group, n_sweeps, thin, first_step, key0, key1.
# Two-level units have kernels of their own, because the formulas of the others take so many registers.


@_cuda.block_kernel
def _two_level_sweeps_in_shared_memory(arrays, weights, kinds, run):
    """For two-level units, and models that fit into the shared memory of a block together with some chains."""
    _sweep_in_shared_memory(_draw_two_level, arrays, weights, cuda.shared.array(0, weights.dtype), kinds, run)


@_cuda.block_kernel
def _sweeps_in_shared_memory(arrays, weights, kinds, run):
    """For units of any kind."""
    _sweep_in_shared_memory(_draw, arrays, weights, cuda.shared.array(0, weights.dtype), kinds, run)


@_cuda.block_kernel
def _two_level_sweeps_in_global_memory(arrays, weights, memory, kinds, run):
    """For two-level units, and models that do not fit; `memory` has a row of numbers for each block."""
    _sweep_in_global_memory(_draw_two_level, arrays, weights, memory, kinds, run)


@_cuda.block_kernel
def _sweeps_in_global_memory(arrays, weights, memory, kinds, run):
    """For units of any kind."""
    _sweep_in_global_memory(_draw, arrays, weights, memory, kinds, run)


@_cuda.block_kernel
def _draw_layer(fields, draws, draw, bias, kind_of_units, numbers, step, purpose, key0, key1):
    """Add the bias to the fields of one layer and replace them by states; keep them as draw number `draw`, if not < 0.

    One block takes one chain of one model, one lane every blockDim.x-th four units.
    """
    kind, level, parameters = kind_of_units
    n_chains, n_entries = fields.shape[1], fields.shape[2]
    model, chain = cuda.blockIdx.x // n_chains, cuda.blockIdx.x % n_chains
    entries = units.entries(kind, level)
    n_units = n_entries // entries
    row, biases = fields[model, chain], bias[model, min(chain, bias.shape[1] - 1)]
    for four in range(cuda.threadIdx.x, (n_units + 3) // 4, cuda.blockDim.x):
        first, end = 4 * four * entries, min(4 * four + 4, n_units) * entries
        for entry in range(first, end):
            row[entry] += biases[entry]
        words = rng.philox4x32(four, step, numbers[model, chain], purpose, key0, key1)
        for unit in range(4 * four, min(4 * four + 4, n_units)):
            _draw(kind, level, parameters, row, 0, 1, unit, rng.pick_word(words, unit % 4))
        if draw >= 0:
            for entry in range(first, end):
                draws[model, chain, draw, entry] = row[entry]


@_cuda.composed
def gibbs_sweeps(
    visible,
    draws,
    weights,
    transposed_weights,
    visible_bias,
    hidden_bias,
    visible_kind,
    visible_level,
    visible_parameters,
    hidden_kind,
    hidden_level,
    hidden_parameters,
    numbers,
    chains_per_block,
    n_sweeps,
    thin,
    first_step,
    key0,
    key1,
):
    """Sweep every chain of every model n_sweeps times with block Gibbs steps h ~ p(h | v), v ~ p(v | h).

    In the way that `plans.choose` finds the quickest; chains_per_block is for the CPU.
    """
    n_models, n_chains, n_visible = visible.shape
    n_hidden = weights.shape[2]
    library = _cuda.matrix_library()
    visible_units = (visible_kind, visible_level, visible_parameters)
    hidden_units = (hidden_kind, hidden_level, hidden_parameters)
    kinds = (visible_units, hidden_units)
    two_level = visible_kind == hidden_kind == TWO_LEVEL
    plan = plans.choose(
        *(n_models, n_chains, n_visible, n_hidden, weights.dtype.itemsize),
        *(_cuda.limits(), (CHAINS, UNITS), library is not None),
    )
    arrays = (visible, draws, visible_bias.reshape(n_models, 1, n_visible), hidden_bias, numbers)
    run = (plan.n_blocks, plan.n_groups, plan.lanes_per_group, n_sweeps, thin, first_step, key0, key1)
    grid = (n_models * plan.n_blocks, plan.n_lanes, plan.shared_bytes)
    if plan.name == "shared":
        kernel = _two_level_sweeps_in_shared_memory if two_level else _sweeps_in_shared_memory
        _cuda.launch_blocks(kernel, *grid, arrays, weights, kinds, run)
    elif plan.name == "global":
        kernel = _two_level_sweeps_in_global_memory if two_level else _sweeps_in_global_memory
        numbers = plan.n_groups * sum(plans.group_numbers(n, CHAINS) for n in (n_visible, n_hidden))
        memory = _cuda.empty((n_models * plan.n_blocks, numbers), weights.dtype)
        flat = (weights.reshape(weights.size), transposed_weights.reshape(weights.size))
        _cuda.launch_blocks(kernel, *grid, arrays, flat, memory, kinds, run)
    else:
        hidden = _cuda.empty((n_models, n_chains, n_hidden), weights.dtype)

        def draw_layer(fields, draw, bias, kind, step, purpose):
            width = max(1, fields.shape[2] // 4)
            arguments = (fields, draws, draw, bias, kind, numbers, step, purpose, key0, key1)
            _cuda.launch(_draw_layer, n_models * n_chains, width, *arguments)

        def draw_hidden(sweep):
            draw_layer(hidden, -1, hidden_bias, hidden_units, first_step + sweep, RBM_HIDDEN)

        def draw_visible(sweep):
            draw = (sweep + 1) // thin - 1 if draws.shape[2] and (sweep + 1) % thin == 0 else -1
            draw_layer(visible, draw, arrays[2], visible_units, first_step + sweep, RBM_VISIBLE)

        matrices = map(_cuda.library_array, (visible, hidden, weights, transposed_weights))
        products.sweep(library.matmul, *matrices, draw_hidden, draw_visible, n_sweeps)
