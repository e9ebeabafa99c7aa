"""Nearest neighbours in data and samples: whether one set can be told from the other."""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mcgen import blas, checks
from mcgen.errors import InputError
from mcgen.stats import Estimate

# Rows of each set that have a nearest neighbour worth the name; rows of one product of matrices.
FEWEST_ROWS, ROWS_PER_BLOCK = 20, 512
# By how much of themselves distances that ought to be equal differ.
ROUNDING = 1e-9


class AdversarialAccuracy(NamedTuple):
    """How often the nearest neighbour of a row is of its own set: 0.5 on average for sets of one distribution.

    truth, synthetic : Estimate
        For rows of data, and for samples. Below 0.5 for data: samples copy them; above 0.5 for samples: they lie closer
        together than data, as when the model has lost modes.
    accuracy : Estimate
        The mean of the two: that of the best guess by nearest neighbours at which rows are samples.
    """

    truth: Estimate
    synthetic: Estimate
    accuracy: Estimate


def adversarial_accuracy(data: np.ndarray, samples: np.ndarray) -> AdversarialAccuracy:
    """The nearest-neighbour adversarial accuracy of data and samples.

    For each row of data the nearest other row of data is compared with the nearest sample, by Euclidean distance; and
    likewise for samples. A row counts 1 where its own set is nearer, 1/2 where the distances are equal, as they often
    are for discrete states. To make the values exactly 0.5 on average where the sets are of one distribution, each row
    sees as many rows of the other set as of its own: one row, half a set away, is left out.

    Parameters
    ----------
    data, samples : array, shape (n_rows, n_visible)
        As many rows of one as of the other, at least 20, of independent states. The time grows with the square: for
        5000 rows, a second for 16 visible units and seven for 784, on one core.

    Returns
    -------
    AdversarialAccuracy
        With standard errors that allow for rows that are each other's nearest neighbours. The values of different
        distributions depend on the number of rows; compare those of equal numbers.

    Raises
    ------
    InputError
        If a shape does not fit, a value is NaN or infinite, or the numbers of rows differ or are below 20.

    References
    ----------
    Yale, Dash, Dutta, Guyon, Pavao & Bennett, Neurocomputing 416, 244 (2020). Decelle, Furtlehner & Seoane, NeurIPS
    (2021), for RBMs. Schilling, J. Am. Stat. Assoc. 81, 799 (1986): only mutual neighbours correlate.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.evaluation import adversarial_accuracy
    >>> model = rbm.RBM.random(n_visible=12, n_hidden=3, seed=1, scale=1.0)
    >>> data, samples = (rbm.exact.sample(model, n_draws=500, seed=k) for k in (1, 2))
    >>> result = adversarial_accuracy(data, samples)
    >>> abs(result.accuracy.value - 0.5) < 4 * result.accuracy.error
    True
    """
    data, samples = (
        checks.finite_array(name, rows, (None, None)).astype(np.float64)
        for name, rows in (("data", data), ("samples", samples))
    )
    n = len(data)
    if data.shape != samples.shape or n < FEWEST_ROWS:
        raise InputError(
            f"data has shape {data.shape} and samples {samples.shape}; give as many rows of one as of the other, at "
            f"least {FEWEST_ROWS}: leave some out, or draw more"
        )
    rows = np.concatenate([data, samples])
    own, other = np.full(2 * n, math.inf), np.full(2 * n, math.inf)
    for block, columns, distances in _distances(rows):
        nearest = own if (block.start < n) == (columns.start < n) else other
        np.minimum(nearest[block], distances.min(axis=1), out=nearest[block])
    scores = (1 + np.sign(other - own)) / 2
    values = np.array([scores[:n].mean(), scores[n:].mean(), scores.mean()])
    parts = np.zeros((2 * n, 3))
    parts[:n, 0] = (scores[:n] - values[0]) / n
    parts[n:, 1] = (scores[n:] - values[1]) / n
    parts[:, 2] = (scores - values[2]) / (2 * n)
    # If labels are exchanged at random, the scores of two rows correlate only if each is (among) the nearest of the
    # other: then they are of one set, or of two, for both.
    variances = (parts**2).sum(axis=0)
    reach = np.minimum(own, other) * (1 + ROUNDING)
    for block, columns, distances in _distances(rows):
        mutual = distances <= np.minimum(reach[block, None], reach[columns])
        variances += (parts[block] * (mutual @ parts[columns])).sum(axis=0)
    errors = np.sqrt(np.maximum(variances, 0.0))
    return AdversarialAccuracy(
        *(Estimate(float(value), float(error), 1.0, float(n)) for value, error in zip(values, errors, strict=True))
    )


def _distances(rows: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Squared distances between blocks of rows, of which the first half is one set and the second another.

    Rows are infinitely far from themselves, and from the row of the other set half a set further on, counted around.
    For integers all distances are exact.
    """
    n = len(rows) // 2
    squares = np.einsum("ij,ij->i", rows, rows)
    edges = [*range(0, n, ROWS_PER_BLOCK), n]
    blocks = [slice(first + half, end + half) for half in (0, n) for first, end in itertools.pairwise(edges)]
    numbers = np.arange(2 * n)
    far = np.where(numbers < n, n + (numbers + n // 2) % n, (numbers + n - n // 2) % n)
    with blas.one_thread():
        for block, columns in itertools.product(blocks, blocks):
            distances = squares[block, None] + squares[columns] - 2.0 * (rows[block] @ rows[columns].T)
            for left_out in (numbers, far):
                place = left_out[block] - columns.start
                inside = np.flatnonzero((place >= 0) & (place < columns.stop - columns.start))
                distances[inside, place[inside]] = math.inf
            yield block, columns, np.maximum(distances, 0.0)
