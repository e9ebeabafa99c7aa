"""Markov chains on the visible layer of RBMs: their states, and the models whose distributions they follow."""

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np

from mcgen import rng
from mcgen._vectors import PRODUCT_ROWS
from mcgen.rbm.model import RBM
from mcgen.rbm.units import TwoLevel, Unit

# Chains whose products are taken together on a CPU: more do not make them quicker.
MOST_CHAINS_PER_BLOCK = 90
# To bring the weights to the first-level cache takes as long as to multiply them with some rows.
ROWS_FOR_WEIGHTS = 3
ALL = slice(None)


class Stack(NamedTuple):
    """The parameters of several models of one shape, as kernels take them.

    weights : float (n_models, n_visible, n_hidden)
    visible_bias : float (n_models, n_visible)
    hidden_bias : float (n_models, n_chains or 1, n_hidden)
        One for each chain where clamped units, which are no part of the stack, act on the hidden units.
    visible, hidden : Unit
    """

    weights: np.ndarray
    visible_bias: np.ndarray
    hidden_bias: np.ndarray
    visible: Unit
    hidden: Unit


def stack(models: Sequence[RBM]) -> Stack:
    """The stack of models that have the same units."""
    weights, visible_bias, hidden_bias = (
        np.stack(arrays) for arrays in zip(*(model.parameters for model in models), strict=True)
    )
    return Stack(weights, visible_bias, hidden_bias[:, None], models[0].visible, models[0].hidden)


def chains_per_block(n_chains: int) -> int:
    """How many chains one thread takes together: whole tiles of a product, shared out so that no thread waits long."""
    n_threads = numba.get_num_threads()

    def cost_for_one_thread(size: int) -> int:
        return -(-n_chains // (size * n_threads)) * (size + ROWS_FOR_WEIGHTS)

    return min(range(PRODUCT_ROWS, MOST_CHAINS_PER_BLOCK + 1, PRODUCT_ROWS), key=cost_for_one_thread)


def random_states(kind: Unit, n_chains: int, n_entries: int, seed: int, chains: slice = ALL) -> np.ndarray:
    """States of visible units in no field: every state of discrete units is equally probable.

    Parameters
    ----------
    kind : Unit
    n_chains, n_entries : int
    seed : int
    chains : slice
        Which of the chains are wanted.

    Returns
    -------
    int8, or float64 for continuous units, shape (n_chains, n_entries)
    """
    if isinstance(kind, TwoLevel):  # the first bit of a word, without compiling the kernel for all kinds
        first, stop, _ = chains.indices(n_chains)
        words = rng.words(seed, rng.purpose.RBM_START, stop - first, n_entries, first_chain=first)
        return np.where(words >> np.uint32(31), 1, kind.low).astype(np.int8)
    return kind.draw(np.zeros((n_chains, n_entries)), rng.derive(seed, rng.purpose.RBM_START))[chains]
