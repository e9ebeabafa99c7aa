"""RBM kernels on a GPU. The twin of `cpu.py`: same functions, order and arguments, described there."""

from mcgen import _cuda
from mcgen._cuda import cuda
from mcgen.rng.purpose import RBM_HIDDEN, RBM_METROPOLIS, RBM_VISIBLE

rng = _cuda.formulas("mcgen.rng.formulas")
rbm = _cuda.formulas("mcgen.rbm.formulas")


@_cuda.block_kernel
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

    One block takes one chain and all its sweeps, one lane every blockDim.x-th unit of a layer: neighbouring lanes read
    neighbouring weights. Each lane computes the four words that it shares with three others and uses one.
    """
    chain = cuda.blockIdx.x
    n_visible, n_hidden = weights.shape
    for sweep in range(n_sweeps):
        step = first_step + sweep
        for j in range(cuda.threadIdx.x, n_hidden, cuda.blockDim.x):
            field = hidden_bias[j]
            for i in range(n_visible):
                field += visible[chain, i] * weights[i, j]
            words = rng.philox4x32(j // 4, step, chain, RBM_HIDDEN, key0, key1)
            up = rng.uniform(rng.pick_word(words, j % 4)) < rbm.probability_up(hidden_low, field)
            hidden[chain, j] = 1 if up else hidden_low
        cuda.syncthreads()
        for i in range(cuda.threadIdx.x, n_visible, cuda.blockDim.x):
            field = visible_bias[i]
            for j in range(n_hidden):
                field += hidden[chain, j] * transposed_weights[j, i]
            words = rng.philox4x32(i // 4, step, chain, RBM_VISIBLE, key0, key1)
            up = rng.uniform(rng.pick_word(words, i % 4)) < rbm.probability_up(visible_low, field)
            visible[chain, i] = 1 if up else visible_low
            draw = (sweep + 1) // thin - 1
            if draws.shape[1] > 0 and (sweep + 1) % thin == 0:
                draws[chain, draw, i] = visible[chain, i]
        cuda.syncthreads()


@_cuda.kernel
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

    One lane takes one chain and all its sweeps.
    """
    chain = cuda.grid(1)
    if chain >= visible.shape[0]:
        return
    n_visible, n_hidden = weights.shape
    fields = hidden_fields[chain]
    n_flips = 0
    for sweep in range(n_sweeps):
        step = first_step + sweep
        for j in range(n_hidden):
            fields[j] = hidden_bias[j]
        for i in range(n_visible):
            for j in range(n_hidden):
                fields[j] += visible[chain, i] * weights[i, j]
        current = rbm.cumulant_sum(hidden_low, fields, fields, 0.0)
        for block in range((n_visible + 1) // 2):
            words = rng.philox4x32(block, step, chain, RBM_METROPOLIS, key0, key1)
            for index in range(min(2, n_visible - 2 * block)):
                i = rng.pick_below(rng.pick_word(words, 2 * index), n_visible)
                change = visible_low + 1 - 2 * visible[chain, i]
                proposed = rbm.cumulant_sum(hidden_low, fields, weights[i], change)
                cost = -(visible_bias[i] * change + proposed - current)
                if rng.uniform(rng.pick_word(words, 2 * index + 1)) < rbm.flip_acceptance(cost):
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


@_cuda.block_kernel
def layer_means(means, states, weights, bias, low):
    """means[row, j] = <s_j> of the units of one layer given each row of states of the other.

    One block takes one row, one lane every blockDim.x-th unit.
    """
    row = cuda.blockIdx.x
    for j in range(cuda.threadIdx.x, bias.shape[0], cuda.blockDim.x):
        field = bias[j]
        for i in range(states.shape[1]):
            field += states[row, i] * weights[i, j]
        means[row, j] = rbm.mean(low, field)


@_cuda.kernel
def free_energies(energies, fields, states, weights, bias, other_bias, other_low):
    """energies[row] = F = -bias.s - sum_j cumulant(other_bias_j + sum_i s_i W_ij) of each row s of one layer.

    One lane takes one row.
    """
    row = cuda.grid(1)
    if row >= states.shape[0]:
        return
    for j in range(other_bias.shape[0]):
        fields[row, j] = other_bias[j]
    for i in range(states.shape[1]):
        for j in range(other_bias.shape[0]):
            fields[row, j] += states[row, i] * weights[i, j]
    total = rbm.cumulant_sum(other_low, fields[row], fields[row], 0.0)
    for i in range(bias.shape[0]):
        total += bias[i] * states[row, i]
    energies[row] = -total


@_cuda.block_kernel
def phase_statistics(weight_moment, visible_moment, hidden_moment, visible, hidden, row_weights):
    """The weighted sums over rows of v h, v and h: one phase of the log-likelihood gradient.

    One block takes one visible unit i, one lane every blockDim.x-th hidden unit; block n_visible takes hidden_moment.
    Every sum runs over the rows in order.
    """
    i = cuda.blockIdx.x
    n_visible, n_hidden = weight_moment.shape
    for j in range(cuda.threadIdx.x, n_hidden, cuda.blockDim.x):
        total = 0.0
        for row in range(visible.shape[0]):
            if i == n_visible:
                total += row_weights[row] * hidden[row, j]
            else:
                total += row_weights[row] * visible[row, i] * hidden[row, j]
        if i == n_visible:
            hidden_moment[j] = total
        else:
            weight_moment[i, j] = total
    if i < n_visible and cuda.threadIdx.x == 0:
        total = 0.0
        for row in range(visible.shape[0]):
            total += row_weights[row] * visible[row, i]
        visible_moment[i] = total
