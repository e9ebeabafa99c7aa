"""Swaps between the models of a ladder on a GPU. The twin of `cpu.py`: same functions, order and arguments."""

import numba

from mcgen import _cuda
from mcgen._cuda import WIDEST_BLOCK, cuda

units = _cuda.formulas("mcgen.rbm.units.formulas")


@_cuda.block_kernel
def swap_log_ratios(
    log_ratios,
    fields,
    visible,
    pairs,
    weights,
    visible_bias,
    hidden_bias,
    betas,
    kind,
    level,
    parameters,
):
    """log_ratios[k, chain] = F_r(v_r) + F_s(v_s) - F_r(v_s) - F_s(v_r) of models r, s = pairs[k] and their states.

    One block takes one pair of models and one chain, one lane every blockDim.x-th hidden unit and visible entry; the
    first lane adds the sums of the lanes in order.
    """
    n_chains, n_visible = visible.shape[1:]
    pair, chain = cuda.blockIdx.x // n_chains, cuda.blockIdx.x % n_chains
    products, row = fields[pair, 0, chain], fields[pair, 1, chain]
    width = units.entries(kind, level)
    total = 0.0
    for whose in range(2):
        state = visible[pairs[pair, whose], chain]
        for under in range(2):
            sign = 1.0 if under != whose else -1.0
            model = pairs[pair, under]
            base = min(model, weights.shape[0] - 1)
            bias = hidden_bias[base, min(chain, hidden_bias.shape[1] - 1)]
            for unit in range(cuda.threadIdx.x, row.shape[0] // width, cuda.blockDim.x):
                for j in range(unit * width, (unit + 1) * width):
                    if under == 0 or weights.shape[0] > 1:
                        product = 0.0
                        for i in range(n_visible):
                            product += state[i] * weights[base, i, j]
                        products[j] = product
                    row[j] = betas[model] * (products[j] + bias[j])
                total += sign * units.unit_cumulant(kind, level, parameters, row, unit)
            for i in range(cuda.threadIdx.x, n_visible, cuda.blockDim.x):
                total += sign * betas[model] * visible_bias[base, i] * state[i]
    totals = cuda.shared.array(WIDEST_BLOCK, numba.float64)
    totals[cuda.threadIdx.x] = total
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        total = 0.0
        for lane in range(cuda.blockDim.x):
            total += totals[lane]
        log_ratios[pair, chain] = total


@_cuda.block_kernel
def swap_states(visible, pairs, accepted):
    """Swap the states of the models r, s = pairs[k] in the chains with accepted[k, chain].

    One block takes one pair and one chain, one lane every blockDim.x-th entry.
    """
    n_chains = accepted.shape[1]
    pair, chain = cuda.blockIdx.x // n_chains, cuda.blockIdx.x % n_chains
    if accepted[pair, chain]:
        one, other = visible[pairs[pair, 0], chain], visible[pairs[pair, 1], chain]
        for i in range(cuda.threadIdx.x, one.shape[0], cuda.blockDim.x):
            state = one[i]
            one[i] = other[i]
            other[i] = state
