"""Exact averages over RBMs, and the gradient that they make."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen.parallel import ALONE, World
from mcgen.rbm.exact import covariance, gaussian, listing, two_level
from mcgen.rbm.exact.limits import check_listed, check_summable, listed_layer, method
from mcgen.rbm.gradient import Gradient, positive_phase
from mcgen.rbm.model import RBM
from mcgen.rbm.units import Gaussian, ReLU, Spin, Unit


class Moments(NamedTuple):
    """Exact averages over p(v, h).

    log_partition : log Z
    visible : float64 (n_visible,), <v_i>
    hidden : float64 (n_hidden,), <h_j>
    visible_hidden : float64 (n_visible, n_hidden), <v_i h_j>
    energy : <E(v, h)>
    entropy : of p(v, h), in nats: log Z + <E>; where units are continuous that of a density
    visible_squares, hidden_squares : float64 (n_visible,) and (n_hidden,), <v_i^2> and <h_j^2>
    """

    log_partition: float
    visible: np.ndarray
    hidden: np.ndarray
    visible_hidden: np.ndarray
    energy: float
    entropy: float
    visible_squares: np.ndarray
    hidden_squares: np.ndarray


def moments(
    model: RBM,
    device: str = "cpu",
    progress: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
    world: World = ALONE,
) -> Moments:
    """The exact first and mixed moments, mean energy and entropy of a model.

    Parameters
    ----------
    model : RBM
        Within reach of `log_partition`. Takes about eight times as long as that for two-level units in both layers,
        two to three times as long for others.
    device : {"cpu", "cuda"}
    progress, checkpoint, world
        As for `log_partition`.

    Returns
    -------
    Moments
        Absolute errors are of the order of 1e-14, plus 1e-16 times log Z; relative to the standard deviations, and to
        what is added up, where units are continuous.

    Raises
    ------
    InputError
        If both layers are continuous and one has ReLU units.
    SizeError
        If the model has too many states for `log_partition`.
    DeviceError
        If the device cannot be used.
    FileError
        If the checkpoint is that of another sum, or cannot be read or written.
    KeyboardInterrupt
        After Ctrl-C; the message says where the sum so far is kept.

    References
    ----------
    Hjorth-Jensen (2025), "Final expression": grad log Z = E[grad log f]. The squares and own energies of continuous
    units follow from the mixed moments: Stein, Ann. Stat. 9, 1135 (1981), lemma 1.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> of_model = rbm.exact.moments(rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1)))
    >>> of_model.visible.round(12).tolist(), round(of_model.entropy, 6)  # 3 log 2
    ([0.5, 0.5], 2.079442)
    """
    check_summable(model, "the moments")
    way = method(model)
    if way == "two_level":
        *first, energy = two_level.moments(model, device, progress, checkpoint, world)
        return _with_squares(model, first, energy)
    if way == "gaussian":
        return _with_squares(model, gaussian.first_moments(model, device))
    layer = listed_layer(model)
    of_layers = listing.first_moments(listing.Listing(model, layer, device), checkpoint, progress, world)
    if layer == "hidden":
        log_z, hidden, visible, both = of_layers
        of_layers = log_z, visible, hidden, both.T.copy()
    return _with_squares(model, of_layers)


def _with_squares(model: RBM, first: Sequence, energy: float | None = None) -> Moments:
    """All moments from log Z, <v_i>, <h_j> and <v_i h_j>, and the energy where it is known."""
    log_z, visible, hidden, both = first
    W, b, c = (np.asarray(array, np.float64) for array in model.parameters)
    interaction = np.sum(W * both)
    # For each unit <x_i s_i>, the mean of its field times its state, and the mean of its field.
    of_visible = visible, b * visible + (W * both).sum(axis=1), b + np.sum(W * hidden, axis=1)
    of_hidden = hidden, c * hidden + (W * both).sum(axis=0), c + np.sum(W * visible[:, None], axis=0)
    if energy is None:
        energy = _own_energy(model.visible, *of_visible) + _own_energy(model.hidden, *of_hidden)
        energy = float(energy - np.sum(b * visible) - np.sum(c * hidden) - interaction)
    squares = _squares(model.visible, *of_visible[:2]), _squares(model.hidden, *of_hidden[:2])
    return Moments(log_z, visible, hidden, both, energy, log_z + energy, *squares)


def _squares(kind: Unit, mean: np.ndarray, field_times_state: np.ndarray) -> np.ndarray:
    """<s^2> of each entry of a layer.

    For continuous units the integral of d/ds [s e^{x s - U(s)}] is 0, also at a cut at 0: <s (s - m - w^2 x)> = w^2.
    """
    if isinstance(kind, Gaussian):
        variance = kind.variance_at_zero
        return variance * (1.0 + field_times_state) + kind.mean_at_zero * mean
    return np.ones(len(mean)) if isinstance(kind, Spin) else mean.copy()


def _own_energy(kind: Unit, mean: np.ndarray, field_times_state: np.ndarray, field: np.ndarray) -> float:
    """sum_i <U(s_i)> = sum_i <(s_i - m_i)^2> / (2 w_i^2) of a layer, from the same identity.

    It gives (1 + <x s> - m (<s> - m) / w^2) / 2, and for Gaussian units, of which (<s> - m) / w^2 = <x>, the form whose
    parts are small also where m is far from 0.
    """
    if not isinstance(kind, Gaussian):
        return 0.0
    m, variance = kind.mean_at_zero, kind.variance_at_zero
    pull = (mean - m) / variance if isinstance(kind, ReLU) else field
    return float(0.5 * np.sum(1.0 + field_times_state - m * pull))


def negative_phase(model: RBM, device: str = "cpu") -> Gradient:
    """The exact model-dependent term: E_model of v h, v and h, equal to grad log Z.

    Parameters
    ----------
    model : RBM
        Within reach of `log_partition`.
    device : {"cpu", "cuda"}

    Returns
    -------
    Gradient

    Raises
    ------
    InputError
        If both layers are continuous and one has ReLU units.
    SizeError
        If the model has too many states for `log_partition`.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "Final expression": grad log Z = E[grad log f].

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1))
    >>> rbm.exact.negative_phase(model).weights.round(12).tolist()
    [[0.25], [0.25]]
    """
    check_summable(model, "the negative phase")
    of_model = moments(model, device)
    return Gradient(of_model.visible_hidden, of_model.visible, of_model.hidden)


def gradient(model: RBM, v: np.ndarray, device: str = "cpu") -> Gradient:
    """The exact gradient of the mean log-likelihood of the rows: positive phase minus negative phase.

    Parameters
    ----------
    model : RBM
        Within reach of `log_partition`.
    v : array, shape (n_rows, n_visible)
    device : {"cpu", "cuda"}

    Returns
    -------
    Gradient

    Raises
    ------
    InputError
        If a shape does not fit, a value is not a state of the visible units, or both layers are continuous and one has
        ReLU units.
    SizeError
        If the model has too many states for `log_partition`.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "Expression for the gradients".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1))
    >>> rbm.exact.gradient(model, [[1, 1]]).visible_bias.round(12).tolist()
    [0.5, 0.5]
    """
    check_summable(model, "the gradient")
    return positive_phase(model, v, device=device).minus(negative_phase(model, device))


def visible_moments(model: RBM, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """The exact mean and covariance of the visible units.

    With Gaussian visible units and hidden units of finitely many states p(v) is a mixture of Gaussians; its covariance
    is the mean of the covariances given h, and the covariance of the means given h.

    Parameters
    ----------
    model : RBM
        One layer has at most 2**24 states, or both are Gaussian. The time is proportional to the states times
        n_visible**2.
    device : {"cpu", "cuda"}

    Returns
    -------
    mean : float64, shape (n_visible,)
    covariance : float64, shape (n_visible, n_visible)

    Raises
    ------
    InputError
        If both layers are continuous and one has ReLU units.
    SizeError
        If no layer has as few as 2**24 states.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM([[2.0]], [0.0], [-2.0], visible="gaussian")  # N(0, 1) or N(2, 1), as probable as each other
    >>> mean, covariance = rbm.exact.visible_moments(model)
    >>> mean.round(6).tolist(), covariance.round(6).tolist()
    ([1.0], [[2.0]])
    """
    if method(model) == "gaussian":
        return gaussian.visible_moments(model, device)
    layer = listed_layer(model)
    check_listed(model, layer, "the covariance", "sample the model (rbm.sample)")
    return covariance.of_visible(listing.Listing(model, layer, device), layer, device)
