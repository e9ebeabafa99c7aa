"""Weights given by their logarithms: their sum, and random choices among them."""

import numpy as np

from mcgen.long_sums import State


def add(state: State | None, log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(maximum, total), standing for total e^maximum, with more weights added; None stands for 0.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.exact import log_weights
    >>> maximum, total = log_weights.add(log_weights.add(None, np.array([1000.0])), np.array([1000.0, 999.0]))
    >>> float(maximum), round(float(total), 6)  # 2 + 1 / e
    (1000.0, 2.367879)
    """
    largest = log_weights.max()
    if state is None:
        return largest, np.exp(log_weights - largest).sum()
    maximum = np.maximum(state[0], largest)
    return maximum, state[1] * np.exp(state[0] - maximum) + np.exp(log_weights - maximum).sum()


def choose(log_weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """For each uniform number an index, drawn with probabilities proportional to e^log_weights.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.exact import log_weights
    >>> log_weights.choose(np.log([1.0, 2.0, 1.0]), np.array([0.2, 0.3, 0.7, 0.8])).tolist()
    [0, 1, 1, 2]
    """
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max()))
    index = np.searchsorted(cumulative, numbers * cumulative[-1], side="right")
    return np.minimum(index, len(log_weights) - 1)
