"""Stochastic gradient ascent: one step of an optimiser is a function of parameters, gradient and state.

State in, state out: everything an optimiser remembers is in the tuple that it returns, so that it can be saved.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mcgen import checks

Arrays = tuple[np.ndarray, ...]


class Optimizer(NamedTuple):
    """An optimiser as two functions.

    start(parameters) -> state
    step(parameters, gradient, state, learning_rate) -> (new parameters, new state), moving up the gradient
    """

    start: Callable[[Arrays], tuple]
    step: Callable[[Arrays, Arrays, tuple, float], tuple[Arrays, tuple]]


def sgd(momentum: float = 0.0) -> Optimizer:
    """Stochastic gradient ascent with momentum: u <- momentum u + rate g; parameters <- parameters + u.

    Parameters
    ----------
    momentum : float
        From 0 (none) to below 1.

    Returns
    -------
    Optimizer

    Raises
    ------
    InputError
        If momentum is out of range.

    References
    ----------
    Polyak, USSR Comput. Math. Math. Phys. 4, 1 (1964); Hinton, UTML TR 2010-003, section 9.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import optim
    >>> optimizer = optim.sgd(momentum=0.5)
    >>> parameters = (np.array([1.0]),)
    >>> parameters, state = optimizer.step(parameters, (np.array([2.0]),), optimizer.start(parameters), 0.1)
    >>> parameters[0].tolist()
    [1.2]
    """
    momentum = checks.fraction("momentum", momentum)

    def start(parameters: Arrays) -> tuple:
        return tuple(np.zeros_like(array) for array in parameters)

    def step(parameters: Arrays, gradient: Arrays, state: tuple, learning_rate: float) -> tuple[Arrays, tuple]:
        state = tuple(momentum * u + learning_rate * g for u, g in zip(state, gradient, strict=True))
        return tuple(p + u for p, u in zip(parameters, state, strict=True)), state

    return Optimizer(start, step)


def adam(decay_mean: float = 0.9, decay_square: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Adam: steps of the running mean of the gradient over the root of the running mean of its square.

    Parameters
    ----------
    decay_mean, decay_square : float
        beta_1 and beta_2 of the paper, from 0 to below 1.
    epsilon : float
        Added to the root, above 0.

    Returns
    -------
    Optimizer

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    Kingma & Ba, arXiv:1412.6980 (2015), algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import optim
    >>> optimizer = optim.adam()
    >>> parameters = (np.array([1.0]),)
    >>> parameters, state = optimizer.step(parameters, (np.array([2.0]),), optimizer.start(parameters), 0.1)
    >>> round(float(parameters[0][0]), 6)
    1.1
    """
    decay_mean = checks.fraction("decay_mean", decay_mean)
    decay_square = checks.fraction("decay_square", decay_square)
    epsilon = checks.positive("epsilon", epsilon)

    def start(parameters: Arrays) -> tuple:
        zeros = tuple(np.zeros_like(array) for array in parameters)
        return 0, zeros, zeros

    def step(parameters: Arrays, gradient: Arrays, state: tuple, learning_rate: float) -> tuple[Arrays, tuple]:
        count, means, squares = state
        count += 1
        means = tuple(decay_mean * m + (1 - decay_mean) * g for m, g in zip(means, gradient, strict=True))
        squares = tuple(decay_square * s + (1 - decay_square) * g * g for s, g in zip(squares, gradient, strict=True))
        moved = tuple(
            p + learning_rate * (m / (1 - decay_mean**count)) / (np.sqrt(s / (1 - decay_square**count)) + epsilon)
            for p, m, s in zip(parameters, means, squares, strict=True)
        )
        return moved, (count, means, squares)

    return Optimizer(start, step)
