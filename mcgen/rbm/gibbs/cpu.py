"""Block Gibbs sweeps on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen._vectors import SUM_BYTES, add_rows, wide_vectors
from mcgen.rbm.units import rows
from mcgen.rbm.units.formulas import POTTS, TWO_LEVEL
from mcgen.rng.purpose import RBM_HIDDEN, RBM_VISIBLE

# Where fewer of the states are not 0, adding rows of the weights is quicker than the product. A row comes from the
# second-level cache, at a quarter of the speed at which registers multiply: 784 x 500 float32 numbers meet at 0.2.
SPARSE = 0.15


@_cpu.reordering_helper
def _is_sparse(kind, level, states, weights):
    """Whether the states of a block, of which units are 0 or 1, are mostly 0, and the rows of the weights long."""
    wide_vectors()
    if weights.shape[1] * weights.itemsize < SUM_BYTES or not (kind == POTTS or (kind == TWO_LEVEL and level == 0)):
        return False
    total = 0.0
    for row in range(states.shape[0]):
        in_row = states[row, 0] * 0  # in the precision of the states, where integers to 2^24 are exact
        for i in range(states.shape[1]):
            in_row += states[row, i]
        total += in_row
    return total < SPARSE * states.shape[0] * states.shape[1]


@_cpu.helper
def _add_active_rows(field, states, weights, active):
    """field = sum of weights[i] over the units i that are 1, in their order; `active` is working memory."""
    n_active = 0
    for i in range(states.shape[0]):
        active[n_active] = i  # overwritten unless the unit is 1, so that there is nothing to predict
        n_active += states[i] != 0
    size = weights.itemsize
    row_step = size * weights.shape[1]
    last = row_step - SUM_BYTES
    for first in range(0, row_step, SUM_BYTES):
        column = min(first, last)  # the last tile overlaps the one before, and finds the same sums again
        add_rows(
            field.ctypes.data + column,
            weights.ctypes.data + column,
            row_step,
            active.ctypes.data,
            np.int64(n_active),
            np.int64(size == 4),
        )


@_cpu.helper
def _product(fields, kind, level, states, weights, active):
    """fields = states . weights for a block of rows."""
    if _is_sparse(kind, level, states, weights):
        for row in range(states.shape[0]):
            _add_active_rows(fields[row], states[row], weights, active)
    else:
        np.dot(states, weights, fields)


@_cpu.blas_kernel
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
    chains_per_block,
    n_sweeps,
    thin,
    first_step,
    key0,
    key1,
):
    """Sweep every chain of every model n_sweeps times with block Gibbs steps h ~ p(h | v), v ~ p(v | h).

    A sweep is two matrix products and two passes over their results. One thread takes one block of chains at a time and
    all its sweeps: the products are those of a single-threaded BLAS, which reaches the speed of the processor when it
    has a hundred rows or more to multiply (where few units are 1, rows of the weights are added instead), and a pass adds the bias, draws and compares while a row of the product lies
    in the first-level cache; the states overwrite the product. The size of a block must not depend on the number of
    threads, because the rounding of a product depends on its shape.

    Parameters
    ----------
    visible : float (n_models, n_chains, n_visible), modified
        The states of the chains, in the dtype of the weights.
    draws : int8 or float (n_models, n_chains, n_draws, n_visible), modified
        Filled with the visible states after sweeps thin, 2 thin, ...; n_draws may be 0.
    weights, transposed_weights : float (n_models, n_visible, n_hidden) and (n_models, n_hidden, n_visible)
    visible_bias : float (n_models, n_visible)
    hidden_bias : float (n_models, n_chains or 1, n_hidden)
        One for each chain where clamped units add to it.
    visible_kind, ..., hidden_parameters : see units/formulas.py
    chains_per_block : int
    n_sweeps, thin : int
    first_step : int
        Number of sweeps made before.
    key0, key1 : uint32
        The seed.
    """
    n_models, n_chains, n_visible = visible.shape
    n_hidden = weights.shape[2]
    n_blocks = (n_chains + chains_per_block - 1) // chains_per_block
    for piece in prange(n_models * n_blocks):
        model = np.int64(piece) // n_blocks
        first = np.int64(piece) % n_blocks * chains_per_block
        end = min(first + chains_per_block, n_chains)
        v = visible[model, first:end]
        h = np.empty((end - first, n_hidden), weights.dtype)
        active = np.empty(max(n_visible, n_hidden) + 1, np.int64)
        words = rows.words_for(max(n_visible, n_hidden))
        hidden_words, visible_words = words[: (n_hidden + 31) // 32 * 32], words[: (n_visible + 31) // 32 * 32]
        biases = hidden_bias[model]
        for sweep in range(n_sweeps):
            step = first_step + sweep
            _product(h, visible_kind, visible_level, v, weights[model], active)
            for chain in range(first, end):
                row = h[chain - first]
                rows.add_bias(row, biases[min(chain, biases.shape[0] - 1)])
                address = model * n_chains + chain
                rows.draw_row(
                    hidden_kind, hidden_level, hidden_parameters, row, hidden_words, step, address, RBM_HIDDEN, key0, key1
                )
            _product(v, hidden_kind, hidden_level, h, transposed_weights[model], active)
            draw = (sweep + 1) // thin - 1
            keep = draws.shape[2] > 0 and (sweep + 1) % thin == 0
            for chain in range(first, end):
                row = v[chain - first]
                rows.add_bias(row, visible_bias[model])
                address = model * n_chains + chain
                rows.draw_row(
                    visible_kind, visible_level, visible_parameters, row, visible_words, step, address, RBM_VISIBLE,
                    key0, key1,
                )  # fmt: skip
                if keep:
                    rows.copy(draws[model, chain, draw], row)
