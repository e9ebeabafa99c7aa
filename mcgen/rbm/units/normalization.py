"""Whether the partition function of two layers is finite."""

import numpy as np

from mcgen.errors import InputError
from mcgen.rbm.units.base import Unit


def check_normalizable(visible: Unit, hidden: Unit, weights: np.ndarray) -> None:
    """Raise `InputError` unless sum_{v, h} e^{-E(v, h)} is finite.

    Only two continuous layers can diverge. In units of the standard deviations the energy is |v|^2 / 2 + |h|^2 / 2 -
    v.A.h with A_ij = sqrt(variance_i) W_ij sqrt(variance_j), which grows in all directions if the largest singular
    value of A is below 1. Units that are not negative gain nothing from negative weights: two ReLU layers are also
    normalisable if the positive weights alone are so small; and a Gaussian layer v leaves -|A h|^2 / 2, of which only
    the positive entries of A^T A can diverge for h >= 0.

    The condition is necessary and sufficient for two Gaussian layers and for positive weights; for other weights of
    ReLU units it is sufficient.
    """
    if visible.is_discrete or hidden.is_discrete:
        return
    scaled = np.sqrt(visible.variance_at_zero)[:, None] * weights * np.sqrt(hidden.variance_at_zero)
    if np.sum(scaled**2) < 1:
        return
    norms = [np.linalg.norm(scaled, 2)]
    if visible.name == "relu" and hidden.name == "relu":
        norms.append(np.linalg.norm(np.maximum(scaled, 0), 2))
    elif hidden.name == "relu":
        norms.append(_norm_of_positive(scaled.T @ scaled))
    elif visible.name == "relu":
        norms.append(_norm_of_positive(scaled @ scaled.T))
    if min(norms) >= 1:
        raise InputError(
            f"{visible.name} visible and {hidden.name} hidden units with these weights have no finite Z: weights times "
            f"standard deviations have the norm {min(norms):.4g}, and it must be below 1; make weights or variances "
            "smaller, or take units with finitely many states for one layer"
        )


def _norm_of_positive(product: np.ndarray) -> float:
    """The root of the largest eigenvalue of the positive entries of A^T A."""
    return float(np.sqrt(np.linalg.eigvalsh(np.maximum(product, 0))[-1]))
