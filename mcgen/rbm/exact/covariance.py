"""The covariance of the visible units, by listing the states of one layer."""

import numpy as np

from mcgen import blas
from mcgen.rbm.exact import listing
from mcgen.rbm.exact.listing import Listing
from mcgen.rbm.units import Potts


def of_visible(states: Listing, layer: str, device: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean and covariance of the visible units, about the mean, which takes a sum of its own: nothing cancels.

    Parameters
    ----------
    states : Listing
        Of the layer `layer`.
    layer : {"visible", "hidden"}
    device : {"cpu", "cuda"}

    Returns
    -------
    float64 (n_visible,) and (n_visible, n_visible)
    """
    log_z, listed, other, _ = listing.first_moments(states, None, False)
    mean = listed if layer == "visible" else other
    covariance, own = np.zeros((len(mean), len(mean))), np.zeros(len(mean))
    with blas.one_thread():
        fields_of_rows = states.rows @ states.first_weights
        for block in range(states.n_blocks):
            p = np.exp(states.log_weights(block) - log_z)
            if layer == "visible":
                fixed = np.broadcast_to(states.fixed_states(block), (states.n_rows, states.n_fixed))
                given = np.hstack([states.rows, fixed])
            else:
                fields = fields_of_rows + states.block_bias(block)
                given = states.other.mean(fields, device)
                own += p @ states.other.variance(fields, device)
            covariance += (p[:, None] * (given - mean)).T @ (given - mean)
    covariance = 0.5 * (covariance + covariance.T)
    if layer == "hidden":
        _add_own(covariance, own, mean, states.other)
    return mean, covariance


def _add_own(covariance: np.ndarray, own: np.ndarray, mean: np.ndarray, kind: object) -> None:
    """Add the mean of the covariances given the other layer, `own` on the diagonal.

    Entries of a Potts unit are never 1 together: there the covariance is known, and replaced.
    """
    if isinstance(kind, Potts):
        for first in range(0, len(mean), kind.q):
            unit = slice(first, first + kind.q)
            covariance[unit, unit] = np.diag(mean[unit]) - np.outer(mean[unit], mean[unit])
    else:
        covariance[np.diag_indices_from(covariance)] += own
