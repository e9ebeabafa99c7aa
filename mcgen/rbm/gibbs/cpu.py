"""Block Gibbs sweeps on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu, _products
from mcgen.rbm.units import rows
from mcgen.rbm.units.fields import layer_fields
from mcgen.rng.purpose import RBM_HIDDEN, RBM_VISIBLE


@_cpu.kernel
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

    A sweep is two matrix products and two passes over their results. One thread takes one block of chains at a time and
    all its sweeps. It multiplies by itself (see `_products`; where few units are 1, it adds rows of the weights
    instead, to the same bits), and a pass draws each row of the product while it lies in the cache; the states
    overwrite it. What is drawn depends neither on the size of a block nor on the number of threads.

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
    numbers : uint32 (n_models, n_chains)
        Of the chains in the random streams.
    chains_per_block : int
    n_sweeps, thin : int
    first_step : int
        Number of sweeps made before.
    key0, key1 : uint32
        The seed.
    """
    n_models, n_chains, n_visible = visible.shape
    n_hidden = weights.shape[2]
    panels_up, panels_down = _products.panels(n_hidden, weights), _products.panels(n_visible, weights)
    width = _products.panel_columns(weights)
    up = _products.aligned(n_models * panels_up, n_visible, width, weights)
    down = _products.aligned(n_models * panels_down, n_hidden, width, weights)
    panels = panels_up + panels_down
    for piece in prange(n_models * panels):
        model, panel = np.int64(piece) // panels, np.int64(piece) % panels
        if panel < panels_up:
            _products.pack(up[model * panels_up + panel], weights[model], panel)
        else:
            panel -= panels_up
            _products.pack(down[model * panels_down + panel], transposed_weights[model], panel)
    n_blocks = (n_chains + chains_per_block - 1) // chains_per_block
    for piece in prange(n_models * n_blocks):
        model = np.int64(piece) // n_blocks
        first = np.int64(piece) % n_blocks * chains_per_block
        n_rows = min(chains_per_block, n_chains - first)
        padded = _products.padded_rows(n_rows)
        v = _products.aligned(1, padded, _products.padded_columns(n_visible, weights), weights)[0]
        h = _products.aligned(1, padded, _products.padded_columns(n_hidden, weights), weights)[0]
        v[:, :], h[:, :] = 0, 0
        active = np.empty(max(n_visible, n_hidden) + 1, np.int64)
        words = rows.words_for(max(n_visible, n_hidden))
        visible_words, hidden_words = words[: (n_visible + 31) // 32 * 32], words[: (n_hidden + 31) // 32 * 32]
        up_here, down_here = up[model * panels_up :][:panels_up], down[model * panels_down :][:panels_down]
        for row in range(n_rows):
            rows.copy(v[row], visible[model, first + row])
        for sweep in range(n_sweeps):
            step = first_step + sweep
            layer_fields(
                h, hidden_bias[model], first, visible_kind, visible_level, v, n_rows, n_visible, weights[model],
                up_here, active,
            )  # fmt: skip
            for row in range(n_rows):
                rows.draw_row(
                    hidden_kind, hidden_level, hidden_parameters, h[row, :n_hidden], hidden_words, step,
                    numbers[model, first + row], RBM_HIDDEN, key0, key1,
                )  # fmt: skip
            layer_fields(
                v, visible_bias[model : model + 1], 0, hidden_kind, hidden_level, h, n_rows, n_hidden,
                transposed_weights[model], down_here, active,
            )  # fmt: skip
            draw = (sweep + 1) // thin - 1
            keep = draws.shape[2] > 0 and (sweep + 1) % thin == 0
            for row in range(n_rows):
                rows.draw_row(
                    visible_kind, visible_level, visible_parameters, v[row, :n_visible], visible_words, step,
                    numbers[model, first + row], RBM_VISIBLE, key0, key1,
                )  # fmt: skip
                if keep:
                    rows.copy(draws[model, first + row, draw], v[row])
        for row in range(n_rows):
            rows.copy(visible[model, first + row], v[row])
