"""The closed form of RBMs with two Gaussian layers: one Gaussian of all units.

In units of the standard deviations w about the means m, t = (s - m) / w, the energy is
t_v^2 / 2 + t_h^2 / 2 - J_v.t_v - J_h.t_h - t_v.A.t_h - const, A_ij = w_i W_ij w_j. With the singular values a_k of A,
which are below 1, the units fall apart in pairs of modes with the precision matrix ((1, -a_k), (-a_k, 1)).
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from mcgen import backend, blas, rng
from mcgen.rbm.exact.products import rows_times
from mcgen.rbm.model import RBM
from mcgen.rbm.units.formulas import LOG_ROOT_TWO_PI

# a_k < 1 is checked with the model; rounding shall not bring it back to 1.
LARGEST_BELOW_ONE = 1.0 - 2.0**-53


class Modes(NamedTuple):
    """The joint Gaussian in modes.

    log_partition : log Z
    visible, hidden : float64 (n_visible,) and (n_hidden,), the means
    visible_modes, hidden_modes : float64 (n_visible, n_modes) and (n_hidden, n_modes)
        Times the standard deviations of the units.
    own, mixed : float64 (n_modes,)
        a^2 / (1 - a^2) and a / (1 - a^2): the variance of a mode above 1, and the covariance of its two sides.
    """

    log_partition: float
    visible: np.ndarray
    hidden: np.ndarray
    visible_modes: np.ndarray
    hidden_modes: np.ndarray
    own: np.ndarray
    mixed: np.ndarray


def modes(model: RBM, device: str) -> Modes:
    """The joint Gaussian of a model with two Gaussian layers.

    It is computed on the CPU; a device that is not there is refused all the same.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.exact import gaussian
    >>> of_model = gaussian.modes(rbm.RBM([[0.6]], [1.0], [0.0], "gaussian", "gaussian"), "cpu")
    >>> of_model.visible.round(6).tolist(), of_model.hidden.round(6).tolist()  # 1 / (1 - 0.36), 0.6 of it
    ([1.5625], [0.9375])
    """
    backend.target(device)
    W, b, c = (np.array(array, np.float64) for array in model.parameters)
    (m, w), (n, u) = model.visible.parameters, model.hidden.parameters  # means and deviations of either layer
    with blas.one_thread():
        V, a, H = linalg.svd(w[:, None] * W * u, full_matrices=False)
        H = H.T
        a = np.minimum(a, LARGEST_BELOW_ONE)
        rest = (1.0 - a) * (1.0 + a)
        own, mixed = a**2 / rest, a / rest
        J, K = w * (b + W @ n), u * (c + m @ W)
        J_modes, K_modes = J @ V, K @ H
        t = J + V @ (own * J_modes + mixed * K_modes)
        r = K + H @ (own * K_modes + mixed * J_modes)
        log_z = b @ m + c @ n + m @ W @ n + 0.5 * (J @ t + K @ r) - 0.5 * np.log(rest).sum()
    log_z += np.log(w).sum() + np.log(u).sum() + (len(w) + len(u)) * LOG_ROOT_TWO_PI
    return Modes(float(log_z), m + w * t, n + u * r, w[:, None] * V, u[:, None] * H, own, mixed)


def first_moments(model: RBM, device: str) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Log Z, <v_i>, <h_j> and <v_i h_j>."""
    of_model = modes(model, device)
    with blas.one_thread():
        covariance = (of_model.visible_modes * of_model.mixed) @ of_model.hidden_modes.T
    both = np.outer(of_model.visible, of_model.hidden) + covariance
    return of_model.log_partition, of_model.visible, of_model.hidden, both


def visible_moments(model: RBM, device: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean (n_visible,) and the covariance (n_visible, n_visible) of the visible units."""
    of_model = modes(model, device)
    with blas.one_thread():
        covariance = (of_model.visible_modes * of_model.own) @ of_model.visible_modes.T
    covariance[np.diag_indices_from(covariance)] += model.visible.variance_at_zero
    return of_model.visible, covariance


def sample(model: RBM, n_draws: int, seed: int, device: str) -> np.ndarray:
    """Independent draws of the visible units: float64 (n_draws, n_visible)."""
    of_model = modes(model, device)
    deviations = np.sqrt(model.visible.variance_at_zero)
    z = rng.normals(seed, rng.purpose.RBM_EXACT, n_draws, model.n_visible)
    # Along a mode z is made longer by sqrt(1 + own); this is what is added.
    longer = of_model.own / (1.0 + np.sqrt(1.0 + of_model.own))
    along = rows_times(z, of_model.visible_modes / deviations[:, None]) * longer
    return of_model.visible + deviations * z + rows_times(along, np.ascontiguousarray(of_model.visible_modes.T))
