"""Swaps between the models of a ladder on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu, _products
from mcgen._vectors import wide_vectors
from mcgen.rbm.units import rows

units = _cpu.formulas("mcgen.rbm.units.formulas")

# Chains that one thread takes together: enough that the product is quick, few enough that all threads have work.
CHAINS_PER_BLOCK = 64


@_cpu.helper
def _minus_free_energy(fields, product, state, visible_bias, hidden_bias, beta, kind, level, parameters):
    """beta b.v + sum_j Gamma(x_j) with x_j = beta (c_j + product_j), which are left in fields."""
    wide_vectors()
    for j in range(fields.shape[0]):
        fields[j] = beta * (product[j] + hidden_bias[j])
    total = 0.0
    for i in range(state.shape[0]):
        total += visible_bias[i] * state[i]
    return beta * total + units.cumulant_sum(kind, level, parameters, fields)


@_cpu.kernel
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

    F_r(v) = -beta_r b.v - sum_j Gamma(beta_r (c_j + sum_i v_i W_ij)); the own energies of the visible units cancel.
    Either every model has its own W, b, c (and beta = 1), or all share one: then the fields of a state under two models
    are multiples of one product.

    One thread takes one pair of models and one block of chains. Every sum has one order (see `_products`).

    Parameters
    ----------
    log_ratios : float64 (n_pairs, n_chains), modified
    fields : float64 (n_pairs, 2, n_chains, n_hidden), modified
        Working memory, on this target of the second half alone.
    visible : float (n_models, n_chains, n_visible)
        The state of the chains of each model.
    pairs : int64 (n_pairs, 2)
    weights : float64 (n_models or 1, n_visible, n_hidden)
    visible_bias : float64 (n_models or 1, n_visible)
    hidden_bias : float64 (n_models or 1, n_chains or 1, n_hidden)
    betas : float64 (n_models,)
    kind, level, parameters : see units/formulas.py
        Of the hidden units.
    """
    n_chains, n_visible = visible.shape[1:]
    n_blocks = (n_chains + CHAINS_PER_BLOCK - 1) // CHAINS_PER_BLOCK
    n_hidden = weights.shape[2]
    n_panels, width = _products.panels(n_hidden, weights), _products.panel_columns(weights)
    packed = _products.aligned(weights.shape[0] * n_panels, n_visible, width, weights)
    for place in prange(weights.shape[0] * n_panels):
        own = np.int64(place)
        _products.pack(packed[own], weights[own // n_panels], own % n_panels)
    for piece in prange(pairs.shape[0] * n_blocks):
        pair = np.int64(piece) // n_blocks
        first = np.int64(piece) % n_blocks * CHAINS_PER_BLOCK
        end = min(first + CHAINS_PER_BLOCK, n_chains)
        padded = _products.padded_rows(end - first)
        states = _products.aligned(1, padded, n_visible, weights)[0]
        products = _products.aligned(1, padded, _products.padded_columns(n_hidden, weights), weights)[0]
        states[end - first :] = 0
        log_ratios[pair, first:end] = 0.0
        for whose in range(2):
            for chain in range(first, end):
                rows.copy(states[chain - first], visible[pairs[pair, whose], chain])
            for under in range(2):
                model = pairs[pair, under]
                base = min(model, weights.shape[0] - 1)
                if under == 0 or weights.shape[0] > 1:
                    products[:, :] = 0
                    _products.add_product(products, states, packed[base * n_panels : (base + 1) * n_panels])
                for chain in range(first, end):
                    minus_energy = _minus_free_energy(
                        fields[pair, 1, chain],
                        products[chain - first, :n_hidden],
                        states[chain - first],
                        visible_bias[base],
                        hidden_bias[base, min(chain, hidden_bias.shape[1] - 1)],
                        betas[model],
                        kind,
                        level,
                        parameters,
                    )
                    log_ratios[pair, chain] += minus_energy if under != whose else -minus_energy


@_cpu.kernel
def swap_states(visible, pairs, accepted):
    """Swap the states of the models r, s = pairs[k] in the chains with accepted[k, chain].

    One thread takes one pair and one chain.

    Parameters
    ----------
    visible : float (n_models, n_chains, n_visible), modified
    pairs : int64 (n_pairs, 2)
        No model in two of them.
    accepted : bool (n_pairs, n_chains)
    """
    n_pairs, n_chains = accepted.shape
    for piece in prange(n_pairs * n_chains):
        pair, chain = np.int64(piece) // n_chains, np.int64(piece) % n_chains
        if accepted[pair, chain]:
            one, other = visible[pairs[pair, 0], chain], visible[pairs[pair, 1], chain]
            for i in range(one.shape[0]):
                state = one[i]
                one[i] = other[i]
                other[i] = state
