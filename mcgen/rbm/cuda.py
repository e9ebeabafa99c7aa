"""RBM kernels on a GPU. The twin of `cpu.py`: same functions, order and arguments, described there."""

from mcgen import _cuda
from mcgen._cuda import cuda

units = _cuda.formulas("mcgen.rbm.units.formulas")


@_cuda.block_kernel
def layer_means(means, states, weights, bias, kind, level, parameters):
    """means[row, j] = <s_j> of the units of one layer given each row of states of the other.

    One block takes one row, one lane every blockDim.x-th unit.
    """
    row = cuda.blockIdx.x
    width = units.entries(kind, level)
    for unit in range(cuda.threadIdx.x, bias.shape[0] // width, cuda.blockDim.x):
        for j in range(unit * width, (unit + 1) * width):
            field = bias[j]
            for i in range(states.shape[1]):
                field += states[row, i] * weights[i, j]
            means[row, j] = field
        units.unit_mean(kind, level, parameters, means[row], unit, means[row])


@_cuda.kernel
def free_energies(energies, fields, states, weights, bias, other_bias, kind, level, parameters):
    """energies[row] = -bias.s - sum_j Gamma(other_bias_j + sum_i s_i W_ij) of each row s of one layer.

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
    total = units.cumulant_sum(kind, level, parameters, fields[row])
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
