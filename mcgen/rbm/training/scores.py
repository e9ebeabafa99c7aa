"""The scores of states: the gradients of their log-probabilities with respect to what is trained."""

import numpy as np

from mcgen.rbm.model import RBM
from mcgen.rbm.symmetry import CENTERS, Symmetry


def scores_of_rows(model: RBM, v: np.ndarray, device: str = "cpu") -> np.ndarray:
    """The scores grad(-F(v)) of rows with respect to the free parameters, up to a constant for each parameter.

    Parameters
    ----------
    model : RBM
    v : array, shape (n_rows, n_visible)
    device : {"cpu", "cuda"}

    Returns
    -------
    float64, shape (n_rows, n_parameters)
        In the order of the (free) parameters: v_i <h_j>, v_i, <h_j>, or their sums over what a symmetry ties.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.training.scores import scores_of_rows
    >>> scores_of_rows(rbm.RBM([[0.0], [0.0]], [0.0, 0.0], [0.0]), [[0, 1]]).tolist()
    [[0.0, 0.5, 0.0, 1.0, 0.5]]
    """
    v = np.asarray(v, np.float64)
    h = model.hidden_mean(v, device).astype(np.float64)
    if model.symmetry is not None:
        return _tied_scores(model.symmetry, v, h)
    return np.concatenate([(v[:, :, None] * h[:, None, :]).reshape(len(v), -1), v, h], axis=1)


def _tied_scores(tie: Symmetry, v: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The sums over translations t of v_{d+t} <h_{f,t}>, a correlation of lattices, and those of v and of <h>.

    Measured from the centres of units that are flipped, the energy has no biases, and the score of a filter no terms of
    the biases that follow from it.
    """
    n, axes = len(v), tuple(range(2, 2 + len(tie.shape)))
    v0, h0 = (CENTERS[tie.visible], CENTERS.get(tie.hidden, 0.0)) if tie.spin_flip else (0.0, 0.0)
    of_visible = np.fft.rfftn((v - v0).reshape(n, 1, *tie.shape), axes=axes)
    of_hidden = np.fft.rfftn((h - h0).reshape(n, -1, *tie.shape), axes=axes)
    filters = np.fft.irfftn(of_visible * of_hidden.conj(), tie.shape, axes=axes)
    fields = h.reshape(n, -1, tie.n_visible).sum(axis=2)
    if filters.shape[1] > tie.n_filters:  # pairs of filters w and -w, with one bias
        filters = filters[:, : tie.n_filters] - filters[:, tie.n_filters :]
        fields = fields[:, : tie.n_filters] + fields[:, tie.n_filters :]
    _, (n_visible_bias,), (n_hidden_bias,) = tie.free_shapes
    total = v.sum(axis=1, keepdims=True)
    return np.concatenate([filters.reshape(n, -1), total[:, :n_visible_bias], fields[:, :n_hidden_bias]], axis=1)
