"""Divergences of Gaussians with any covariances, and their gradients."""

from typing import NamedTuple

import numpy as np

from mcgen.errors import InputError
from mcgen.vae.gaussian.shapes import checked_arguments, filled, half_excess

# How much S_ij and S_ji may differ from each other, in units of sqrt(S_ii S_jj).
ASYMMETRY = 1e-8


class FullGradient(NamedTuple):
    """Gradient with respect to the means, shape (..., k), and the covariances, shape (..., k, k), of two Gaussians."""

    mean0: np.ndarray
    covariance0: np.ndarray
    mean1: np.ndarray
    covariance1: np.ndarray


def gaussian_kl(mean0: np.ndarray, covariance0: np.ndarray, mean1: np.ndarray, covariance1: np.ndarray) -> np.ndarray:
    """The divergence KL(N0 || N1) of two Gaussians with any covariances.

    KL = 1/2 ( tr(S1^-1 S0) + (m1 - m0)^T S1^-1 (m1 - m0) - k + log(det S1 / det S0) ).

    It is computed as a sum of terms that are not negative, so Gaussians that are nearly equal lose no digits.

    Parameters
    ----------
    mean0, covariance0 : array, shapes (..., k) and (..., k, k)
        The Gaussian N0 that is averaged over. Covariances are symmetric and positive definite.
    mean1, covariance1 : array, shapes (..., k) and (..., k, k)
        The Gaussian N1 that it is compared to.

    Returns
    -------
    float64, the shape of the batch

    Raises
    ------
    InputError
        If shapes do not fit, a value is not finite, or a covariance is not symmetric or not positive definite.

    References
    ----------
    Hjorth-Jensen (2025), "More on the SGD". Kingma & Welling (2019), arXiv:1906.02691, section 2.5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.vae import gaussian
    >>> float(gaussian.gaussian_kl(np.zeros(2), np.eye(2), np.ones(2), np.eye(2)))
    1.0
    """
    mean0, S0, mean1, S1 = checked_arguments(mean0=mean0, covariance0=covariance0, mean1=mean1, covariance1=covariance1)
    S0, L0 = _factored("covariance0", S0)
    S1, L1 = _factored("covariance1", S1)
    with np.errstate(over="ignore", invalid="ignore"):
        # Near each other: 1 + x for the eigenvalues of S1^-1 S0, x being those of L1^-1 (S0 - S1) L1^-T.
        change = _transposed(_solved(L1, _transposed(_solved(L1, S0 - S1))))
        near = np.sum(change**2, axis=(-2, -1)) < 0.25
        x = np.linalg.eigvalsh(np.where(near[..., None, None], change, 0.0))
        # Elsewhere: S1^-1 S0 is similar to P P^T with the lower triangle P = L1^-1 L0, and det S = prod_i L_ii^2.
        P = _solved(L1, L0)
        log_pivots = 2 * (np.log(_diagonal(L0)) - np.log(_diagonal(L1)))
        below = np.where(near, 0.0, 0.5 * np.sum(np.tril(P, -1) ** 2, axis=(-2, -1)))
        spread = np.sum(half_excess(np.where(near[..., None], np.log1p(x), log_pivots)), axis=-1)
        s = _solved(L1, (mean0 - mean1)[..., None])[..., 0]
        kl = spread + below + np.sum(0.5 * s * s, axis=-1)
    # inf - inf can only come out of P or s from entries above 1e154, whose squares overflow.
    return np.where(np.isnan(kl), np.inf, kl)[()]


def gaussian_kl_gradient(
    mean0: np.ndarray, covariance0: np.ndarray, mean1: np.ndarray, covariance1: np.ndarray
) -> FullGradient:
    """Gradient of `gaussian_kl`, arguments and errors of which it shares.

    dKL/dm0 = -dKL/dm1 = a with a = S1^-1 (m0 - m1),
    dKL/dS0 = 1/2 (S1^-1 - S0^-1),
    dKL/dS1 = 1/2 (S1^-1 - S1^-1 S0 S1^-1 - a a^T).

    Covariances are differentiated as if all k^2 entries were independent: dKL = sum_ij (dKL/dS_ij) dS_ij. The
    matrices are symmetric, and moving S_ij and S_ji together changes KL by the sum of the two entries.

    Returns
    -------
    FullGradient

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.vae import gaussian
    >>> gaussian.gaussian_kl_gradient(np.zeros(1), 4 * np.eye(1), np.zeros(1), np.eye(1)).covariance0.tolist()
    [[0.375]]
    """
    mean0, S0, mean1, S1 = checked_arguments(mean0=mean0, covariance0=covariance0, mean1=mean1, covariance1=covariance1)
    S0, L0 = _factored("covariance0", S0)
    S1, L1 = _factored("covariance1", S1)
    batch = np.broadcast_shapes(mean0.shape[:-1], S0.shape[:-2], mean1.shape[:-1], S1.shape[:-2])
    k = mean0.shape[-1]
    inverse0, inverse1 = _inverse(L0), _inverse(L1)
    a = (inverse1 @ (mean0 - mean1)[..., None])[..., 0]
    # Products with S0 - S1, not differences of inverses, which would cancel for Gaussians near each other.
    in_covariance0 = 0.5 * (inverse1 @ (S0 - S1) @ inverse0)
    in_covariance1 = -0.5 * (inverse1 @ (S0 - S1) @ inverse1 + a[..., :, None] * a[..., None, :])
    return FullGradient(
        filled(a, (*batch, k)),
        filled(_symmetric_part(in_covariance0), (*batch, k, k)),
        filled(-a, (*batch, k)),
        filled(_symmetric_part(in_covariance1), (*batch, k, k)),
    )


def _factored(name: str, S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The symmetric part of covariances and their Cholesky factors L, S = L L^T, if there are any."""
    std = np.sqrt(np.abs(_diagonal(S)))
    difference = np.abs(S - _transposed(S))
    skew = np.any(difference > ASYMMETRY * std[..., :, None] * std[..., None, :], axis=(-2, -1))
    if skew.any():
        place = tuple(int(i) for i in np.argwhere(skew)[0])
        raise InputError(
            f"{_place(name, place)} is not symmetric: it differs from its transpose by {difference[place].max():.3g}, "
            f"more than {ASYMMETRY:g} of its variances; give (S + S.T) / 2"
        )
    S = _symmetric_part(S)
    try:
        L = np.linalg.cholesky(S)
        singular = _is_singular(S, L)
    except np.linalg.LinAlgError:
        singular = np.reshape([_has_no_factor(matrix) for matrix in S.reshape(-1, *S.shape[-2:])], S.shape[:-2])
    if singular.any():
        place = tuple(int(i) for i in np.argwhere(singular)[0])
        raise InputError(
            f"{_place(name, place)} is singular or not positive definite: its smallest eigenvalue is "
            f"{np.linalg.eigvalsh(S[place])[0]:.3g}, which must be above 0 by more than rounding; add a small multiple "
            "of the identity, or use diagonal_gaussian_kl"
        )
    return S, L


def _place(name: str, place: tuple[int, ...]) -> str:
    return f"{name} at index {place} of the batch" if place else name


def _is_singular(S: np.ndarray, L: np.ndarray) -> np.ndarray:
    """Whether the variance of a coordinate given those before it, L_ii^2, is nothing but rounding of S_ii."""
    limit = 4 * S.shape[-1] * np.finfo(np.float64).eps
    return np.any(_diagonal(L) ** 2 <= limit * _diagonal(S), axis=-1)


def _has_no_factor(matrix: np.ndarray) -> bool:
    try:
        return bool(_is_singular(matrix, np.linalg.cholesky(matrix)))
    except np.linalg.LinAlgError:
        return True


def _solved(L: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The solutions x of L x = b for lower triangles L, a row after the other for the whole batch."""
    x = np.empty(np.broadcast_shapes(L.shape[:-2], b.shape[:-2]) + b.shape[-2:])
    for i in range(L.shape[-1]):
        known = (L[..., i : i + 1, :i] @ x[..., :i, :])[..., 0, :]
        x[..., i, :] = (b[..., i, :] - known) / L[..., i, i, None]
    return x


def _inverse(L: np.ndarray) -> np.ndarray:
    """The inverse of L L^T."""
    root = _solved(L, np.eye(L.shape[-1]))
    return _transposed(root) @ root


def _diagonal(matrices: np.ndarray) -> np.ndarray:
    return np.diagonal(matrices, axis1=-2, axis2=-1)


def _transposed(matrices: np.ndarray) -> np.ndarray:
    return np.swapaxes(matrices, -2, -1)


def _symmetric_part(matrices: np.ndarray) -> np.ndarray:
    """(A + A^T) / 2, and A itself, to the last bit, where it is symmetric."""
    return matrices + 0.5 * (_transposed(matrices) - matrices)
