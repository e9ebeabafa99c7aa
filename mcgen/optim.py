"""Stochastic gradient ascent: one step of an optimiser is a function of parameters, gradient and state.

State in, state out: everything an optimiser remembers is in the tuple that it returns, so that it can be saved. For
large arrays, `step_in_place` makes the same step in one parallel pass through memory, without taking any.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numba import prange

from mcgen import _cpu, checks, formulas
from mcgen._vectors import wide_vectors
from mcgen.errors import InputError

scalar = _cpu.formulas("mcgen.formulas")

Arrays = tuple[np.ndarray, ...]


class Optimizer(NamedTuple):
    """An optimiser as functions.

    start(parameters) -> state
    step(parameters, gradient, state, learning_rate) -> (new parameters, new state), moving up the gradient
    step_in_place(parameters, gradient, state, learning_rate) -> new state: the same, up to rounding, in the precision
    of the parameters, which are changed, as are the arrays in the state
    """

    start: Callable[[Arrays], tuple]
    step: Callable[[Arrays, Arrays, tuple, float], tuple[Arrays, tuple]]
    step_in_place: Callable[[Arrays, Arrays, tuple, float], tuple]


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

    def step_in_place(parameters: Arrays, gradient: Arrays, state: tuple, learning_rate: float) -> tuple:
        for p, *others in zip(parameters, gradient, state, strict=True):
            numbers = np.array((momentum, learning_rate), p.dtype)
            _sgd_step(*(array.reshape(-1) for array in (p, *others)), *numbers)
        return state

    return Optimizer(start, step, step_in_place)


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
        means, squares = (tuple(np.zeros_like(array) for array in parameters) for _ in range(2))
        return 0, means, squares

    def step(parameters: Arrays, gradient: Arrays, state: tuple, learning_rate: float) -> tuple[Arrays, tuple]:
        count, means, squares = state
        count += 1
        means = tuple(decay_mean * m + (1 - decay_mean) * g for m, g in zip(means, gradient, strict=True))
        squares = tuple(decay_square * s + (1 - decay_square) * g * g for s, g in zip(squares, gradient, strict=True))
        moved = tuple(
            p + formulas.adam_change(learning_rate, m / (1 - decay_mean**count), s / (1 - decay_square**count), epsilon)
            for p, m, s in zip(parameters, means, squares, strict=True)
        )
        return moved, (count, means, squares)

    def step_in_place(parameters: Arrays, gradient: Arrays, state: tuple, learning_rate: float) -> tuple:
        count, means, squares = state
        count += 1
        decays = (decay_mean, 1 - decay_mean, decay_square, 1 - decay_square)
        corrections = (1 / (1 - decay_mean**count), 1 / (1 - decay_square**count))
        for p, *others in zip(parameters, gradient, means, squares, strict=True):
            numbers = np.array((*decays, *corrections, learning_rate, epsilon), p.dtype)
            _adam_step(*(array.reshape(-1) for array in (p, *others)), numbers)
        return count, means, squares

    return Optimizer(start, step, step_in_place)


def named(optimizer: str, momentum: float) -> Optimizer:
    """The optimiser that a training is asked for by its name.

    Parameters
    ----------
    optimizer : {"adam", "sgd"}
    momentum : float
        Of "sgd".

    Returns
    -------
    Optimizer

    Raises
    ------
    InputError
        If the name is not one of the two, or momentum is out of range.

    Examples
    --------
    >>> from mcgen import optim
    >>> optim.named("adam", 0.5)._fields
    ('start', 'step', 'step_in_place')
    """
    return {"adam": adam(), "sgd": sgd(momentum)}[checks.choice("optimizer", optimizer, ("adam", "sgd"))]


SCHEDULES = ("geometric", "linear", "cosine")


def learning_rates(
    epochs: int, first: float | Sequence[float], final: float | None = None, schedule: str = "geometric"
) -> np.ndarray:
    """The learning rate of each epoch of a training: constant, or from a first to a final one.

    Parameters
    ----------
    epochs : int
    first, final : float
        Above 0; without a final one the first stays. A sequence of one rate for each epoch is any other schedule.
    schedule : {"geometric", "linear", "cosine"}
        How the rate goes from the first to the final one; "cosine" is half a period of a cosine.

    Returns
    -------
    ndarray of float64, shape (epochs,)

    Raises
    ------
    InputError
        If a rate is not positive, or a sequence has another length or a final rate beside it.

    References
    ----------
    Loshchilov & Hutter, ICLR (2017), eq. 5, for the cosine.

    Examples
    --------
    >>> from mcgen import optim
    >>> optim.learning_rates(3, 0.1, 0.001).round(6).tolist()
    [0.1, 0.01, 0.001]
    >>> optim.learning_rates(3, 0.1, 0.02, schedule="cosine").round(6).tolist()
    [0.1, 0.06, 0.02]
    """
    checks.choice("schedule", schedule, SCHEDULES)
    if np.ndim(first) > 0:
        if final is not None:
            raise InputError(
                f"learning_rate is a sequence and final_learning_rate={final}; give one number for each, or leave out "
                "final_learning_rate"
            )
        rates = checks.finite_array("learning_rate", first, (epochs,)).astype(np.float64)
        if rates.min() <= 0:
            raise InputError(f"learning_rate has {rates.min()} among its numbers; give numbers above 0")
        return rates
    first = checks.positive("learning_rate", first)
    final = first if final is None else checks.positive("final_learning_rate", final)
    way = np.arange(epochs) / max(1, epochs - 1)
    if schedule == "geometric":
        return first * (final / first) ** way
    return first + (final - first) * (way if schedule == "linear" else 0.5 - 0.5 * np.cos(np.pi * way))


@_cpu.kernel
def _sgd_step(p, g, u, momentum, rate):  # noqa: ANN001, ANN202
    """One step of SGD for each parameter."""
    for i in prange(p.shape[0]):
        wide_vectors()
        u[i] = momentum * u[i] + rate * g[i]
        p[i] += u[i]


@_cpu.kernel
def _adam_step(p, g, m, s, numbers):  # noqa: ANN001, ANN202
    """One step of Adam for each parameter: three arrays read and written and one read, at the speed of the memory.

    The numbers of `step_in_place` come as one array: what a call costs grows with its arguments.
    """
    keep_m, take_m, keep_s, take_s = numbers[0], numbers[1], numbers[2], numbers[3]
    correct_m, correct_s, rate, epsilon = numbers[4], numbers[5], numbers[6], numbers[7]
    for i in prange(p.shape[0]):
        wide_vectors()
        mean = scalar.running_mean(keep_m, take_m, m[i], g[i])
        square = scalar.running_mean(keep_s, take_s, s[i], g[i] * g[i])
        m[i] = mean
        s[i] = square
        p[i] += scalar.adam_change(rate, mean * correct_m, square * correct_s, epsilon)
