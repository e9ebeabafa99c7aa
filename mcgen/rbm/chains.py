"""Markov chains on the visible layer of RBMs: their states, and the models whose distributions they follow."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen import rng
from mcgen.rbm.model import RBM
from mcgen.rbm.units import Unit

# Chains whose products are taken together on a CPU. More do not make the product quicker; fewer than 32 make it slow.
MOST_CHAINS_PER_BLOCK, FEWEST_CHAINS_PER_BLOCK, BLOCKS = 256, 32, 8


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
    """How many chains one thread takes together; it depends on nothing else, so that products always round alike."""
    return min(MOST_CHAINS_PER_BLOCK, max(FEWEST_CHAINS_PER_BLOCK, -(-n_chains // BLOCKS)))


def random_states(kind: Unit, n_chains: int, n_entries: int, seed: int) -> np.ndarray:
    """States of visible units in no field: every state of discrete units is equally probable.

    Parameters
    ----------
    kind : Unit
    n_chains, n_entries : int
    seed : int

    Returns
    -------
    int8, or float64 for continuous units, shape (n_chains, n_entries)
    """
    return kind.draw(np.zeros((n_chains, n_entries)), rng.derive(seed, rng.purpose.RBM_START))
