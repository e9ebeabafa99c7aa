"""Annealing of RBMs on a GPU. The twin of `cpu.py`: same functions, order and arguments, described there."""

import numba
import numpy as np

from mcgen import _cuda
from mcgen._cuda import WIDEST_BLOCK, cuda
from mcgen.rng.purpose import RBM_ANNEALING_HIDDEN, RBM_ANNEALING_VISIBLE

rng = _cuda.formulas("mcgen.rng.formulas")
units = _cuda.formulas("mcgen.rbm.units.formulas")
formulas = _cuda.formulas("mcgen.rbm.partition.formulas")


@_cuda.block_kernel
def _multiply(products, states, weights):
    """products = states . weights: one block takes one row, one lane every blockDim.x-th column."""
    row = cuda.blockIdx.x
    for column in range(cuda.threadIdx.x, weights.shape[1], cuda.blockDim.x):
        total = 0 * weights[0, column]
        for term in range(weights.shape[0]):
            total += states[row, term] * weights[term, column]
        products[row, column] = total


@_cuda.helper
def _draw_four(kind_of_units, row, four, step, purpose, key0, key1):
    """Draw four neighbouring units of a chain, which share one counter of the random words."""
    kind, level, parameters = kind_of_units
    words = rng.philox4x32(four, step, cuda.blockIdx.x, purpose, key0, key1)
    for unit in range(4 * four, min(4 * four + 4, row.shape[0] // units.entries(kind, level))):
        units.unit_draw(kind, level, parameters, row, unit, rng.pick_word(words, unit % 4), row)


@_cuda.block_kernel
def _grow_and_draw_hidden(growths, fields, scaled, visible, biases, kind_of_units, betas, k, step, key0, key1):
    """growths[k] from the products v.W in fields, which are replaced by hidden states of the model at betas[k + 1].

    One block takes one chain, one lane every blockDim.x-th four units and every blockDim.x-th visible entry; the first
    lane adds the sums of the lanes in order. biases: b, b0, c.
    """
    kind, level, parameters = kind_of_units
    visible_bias, reference_bias, hidden_bias = biases
    chain, lane, n_lanes = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    beta, next_beta = betas[k], betas[k + 1]
    row, state = fields[chain], visible[chain]
    width = units.entries(kind, level)
    n_units = row.shape[0] // width
    total = 0.0
    for i in range(lane, state.shape[0], n_lanes):
        difference = 1.0 * visible_bias[i] - reference_bias[i]
        total += (next_beta - beta) * difference * state[i]
    for four in range(lane, (n_units + 3) // 4, n_lanes):
        end = min(4 * four + 4, n_units)
        for j in range(4 * four * width, end * width):
            row[j] += hidden_bias[j]
        for unit in range(4 * four, end):
            total += formulas.unit_growth(kind, level, parameters, row, unit, beta, next_beta, scaled[chain])
        for j in range(4 * four * width, end * width):
            row[j] = next_beta * row[j]
        _draw_four(kind_of_units, row, four, step, RBM_ANNEALING_HIDDEN, key0, key1)
    totals = cuda.shared.array(WIDEST_BLOCK, numba.float64)
    totals[lane] = total
    cuda.syncthreads()
    if lane == 0:
        total = 0.0
        for other in range(n_lanes):
            total += totals[other]
        growths[k, chain] = total


@_cuda.block_kernel
def _draw_visible(fields, biases, kind_of_units, betas, k, step, key0, key1):
    """Replace the products h.W^T in fields by visible states of the model at betas[k + 1].

    One block takes one chain, one lane every blockDim.x-th four units.
    """
    kind, level, _ = kind_of_units
    visible_bias, reference_bias, _ = biases
    next_beta = betas[k + 1]
    row = fields[cuda.blockIdx.x]
    width = units.entries(kind, level)
    n_units = row.shape[0] // width
    for four in range(cuda.threadIdx.x, (n_units + 3) // 4, cuda.blockDim.x):
        for i in range(4 * four * width, min(4 * four + 4, n_units) * width):
            bias = (1.0 - next_beta) * reference_bias[i] + next_beta * visible_bias[i]
            row[i] = next_beta * row[i] + bias
        _draw_four(kind_of_units, row, four, step, RBM_ANNEALING_VISIBLE, key0, key1)


@_cuda.composed
def annealing_sweeps(
    visible,
    growths,
    weights,
    transposed_weights,
    visible_bias,
    reference_bias,
    hidden_bias,
    visible_kind,
    visible_level,
    visible_parameters,
    hidden_kind,
    hidden_level,
    hidden_parameters,
    chains_per_block,
    betas,
    first_step,
    key0,
    key1,
):
    """Take every chain along a path of models: growths[k] = log f_{k+1}(v) - log f_k(v), then a sweep.

    Four launches for each step: two products, by a library where there is one, each followed by one kernel that draws
    in place. chains_per_block is for the CPU.
    """
    n_chains, n_visible = visible.shape
    n_hidden = weights.shape[1]
    hidden = _cuda.empty((n_chains, n_hidden), weights.dtype)
    scaled = _cuda.empty((n_chains, n_hidden), np.float64)
    biases = (visible_bias, reference_bias, hidden_bias)
    visible_units = (visible_kind, visible_level, visible_parameters)
    hidden_units = (hidden_kind, hidden_level, hidden_parameters)
    library = _cuda.matrix_library()

    def multiply(products, states, matrix):
        if library is None:
            _cuda.launch(_multiply, n_chains, matrix.shape[1], products, states, matrix)
        else:
            states, matrix, products = map(_cuda.library_array, (states, matrix, products))
            library.matmul(states, matrix, out=products)

    for k in range(betas.shape[0] - 1):
        run = (betas, k, first_step + k, key0, key1)
        multiply(hidden, visible, weights)
        arguments = (growths, hidden, scaled, visible, biases, hidden_units, *run)
        _cuda.launch(_grow_and_draw_hidden, n_chains, max(n_visible, n_hidden) // 4, *arguments)
        multiply(visible, hidden, transposed_weights)
        _cuda.launch(_draw_visible, n_chains, n_visible // 4, visible, biases, visible_units, *run)
