"""Annealing of RBMs on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu, _products
from mcgen._vectors import wide_vectors
from mcgen.rbm.units import rows
from mcgen.rbm.units.fields import layer_fields
from mcgen.rng.purpose import RBM_ANNEALING_HIDDEN, RBM_ANNEALING_VISIBLE

formulas = _cpu.formulas("mcgen.rbm.partition.formulas")


@_cpu.reordering_helper
def _bias_growth(state, visible_bias, reference_bias):
    """(b - b0).v."""
    wide_vectors()
    total = 0.0
    for i in range(visible_bias.shape[0]):
        total += (np.float64(visible_bias[i]) - np.float64(reference_bias[i])) * state[i]
    return total


@_cpu.helper
def _growth(kind, level, parameters, fields, beta, next_beta, scaled):
    wide_vectors()
    return formulas.layer_growth(kind, level, parameters, fields, beta, next_beta, scaled)


@_cpu.helper
def _scale_and_add(fields, factor, bias):
    """fields = factor fields + bias."""
    wide_vectors()
    for i in range(bias.shape[0]):
        fields[i] = factor * fields[i] + bias[i]


@_cpu.kernel
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
    """Take every chain along a path of models (see path.py): growths[k] = log f_{k+1}(v) - log f_k(v), then a sweep.

    The sweep h ~ p(h | v), v ~ p(v | h) is that of the model at betas[k + 1], whose fields and both weights come from
    one product y = c + v.W. A step costs two products of matrices, as a Gibbs sweep does, and one more pass over the
    hidden fields. One thread takes one block of chains at a time and all its steps; what is drawn depends neither on
    the size of a block nor on the number of threads. Weights are float64, and states and fields in the dtype of W.

    Parameters
    ----------
    visible : float (n_chains, n_visible), modified
        The states of the chains, in the dtype of the weights.
    growths : float64 (n_betas - 1, n_chains), modified
    weights, transposed_weights : float (n_visible, n_hidden) and (n_hidden, n_visible)
    visible_bias, reference_bias : float (n_visible,)
        b and b0.
    hidden_bias : float (n_hidden,)
    visible_kind, ..., hidden_parameters : see units/formulas.py
    chains_per_block : int
    betas : float64 (n_betas,)
        In either direction.
    first_step : int
        Number of steps made before.
    key0, key1 : uint32
        The seed.
    """
    n_chains, n_visible = visible.shape
    n_hidden = weights.shape[1]
    panels_up, panels_down = _products.panels(n_hidden, weights), _products.panels(n_visible, weights)
    width = _products.panel_columns(weights)
    up = _products.aligned(panels_up, n_visible, width, weights)
    down = _products.aligned(panels_down, n_hidden, width, weights)
    for piece in prange(panels_up + panels_down):
        panel = np.int64(piece)
        if panel < panels_up:
            _products.pack(up[panel], weights, panel)
        else:
            _products.pack(down[panel - panels_up], transposed_weights, panel - panels_up)
    n_blocks = (n_chains + chains_per_block - 1) // chains_per_block
    for piece in prange(n_blocks):
        first = np.int64(piece) * chains_per_block
        n_rows = min(chains_per_block, n_chains - first)
        padded = _products.padded_rows(n_rows)
        v = _products.aligned(1, padded, _products.padded_columns(n_visible, weights), weights)[0]
        h = _products.aligned(1, padded, _products.padded_columns(n_hidden, weights), weights)[0]
        v[:, :], h[:, :] = 0, 0
        active = np.empty(max(n_visible, n_hidden) + 1, np.int64)
        scaled = np.empty(n_hidden)
        # beta and the biases at beta, in the dtype of the weights; [0] are the zeros that fields start from.
        factor, no_bias = np.empty(1, weights.dtype), np.zeros((1, max(n_visible, n_hidden)), weights.dtype)
        hidden_start = hidden_bias.copy().reshape(1, n_hidden)
        bias_here = np.empty(n_visible, weights.dtype)
        words = rows.words_for(max(n_visible, n_hidden))
        visible_words, hidden_words = words[: (n_visible + 31) // 32 * 32], words[: (n_hidden + 31) // 32 * 32]
        for row in range(n_rows):
            rows.copy(v[row], visible[first + row])
        for k in range(betas.shape[0] - 1):
            step, beta, next_beta = first_step + k, betas[k], betas[k + 1]
            factor[0] = next_beta
            for i in range(n_visible):
                bias_here[i] = (1.0 - next_beta) * reference_bias[i] + next_beta * visible_bias[i]
            for row in range(n_rows):
                biases = _bias_growth(v[row], visible_bias, reference_bias)
                growths[k, first + row] = (next_beta - beta) * biases
            layer_fields(
                h, hidden_start, 0, visible_kind, visible_level, v, n_rows, n_visible, weights, up, active
            )  # fmt: skip
            for row in range(n_rows):
                fields = h[row, :n_hidden]
                growths[k, first + row] += _growth(
                    hidden_kind, hidden_level, hidden_parameters, fields, beta, next_beta, scaled
                )
                _scale_and_add(fields, factor[0], no_bias[0, :n_hidden])
                rows.draw_row(
                    hidden_kind, hidden_level, hidden_parameters, fields, hidden_words, step, first + row,
                    RBM_ANNEALING_HIDDEN, key0, key1,
                )  # fmt: skip
            layer_fields(
                v, no_bias, 0, hidden_kind, hidden_level, h, n_rows, n_hidden, transposed_weights, down, active
            )  # fmt: skip
            for row in range(n_rows):
                fields = v[row, :n_visible]
                _scale_and_add(fields, factor[0], bias_here)
                rows.draw_row(
                    visible_kind, visible_level, visible_parameters, fields, visible_words, step, first + row,
                    RBM_ANNEALING_VISIBLE, key0, key1,
                )  # fmt: skip
        for row in range(n_rows):
            rows.copy(visible[first + row], v[row])
