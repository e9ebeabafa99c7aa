"""Gaussians in closed form: Kullback-Leibler divergences, log-densities and draws that can be differentiated.

The encoder of a variational autoencoder gives a Gaussian N(mean, sigma^2) with independent coordinates, and its prior
is N(0, I) (Kingma & Welling 2019, section 2.5; Hjorth-Jensen 2025, "More on the SGD"). Standard deviations come as
log_std = log sigma, which may be any real number. The last axis counts the k coordinates, the axes before it are the
batch and broadcast. Everything is float64, dimensionless or in the units of the coordinates; divergences are in nats.
Results above the largest float64 are infinite.

Gradients are those of the result for each entry of the batch, so they have the shape of the whole batch. For an
argument that the batch shares, add them up over the batch.
"""

import math
from typing import NamedTuple

import numpy as np

from mcgen import checks, rng
from mcgen.errors import InputError

# How much S_ij and S_ji may differ from each other, in units of sqrt(S_ii S_jj).
ASYMMETRY = 1e-8

# (e^y - 1 - y) / (2 y^2) = sum_n y^(n-2) / (2 n!), the highest power first: to 1e-18 for |y| < 1.
EXCESS_SERIES = [0.5 / math.factorial(n) for n in range(19, 1, -1)]


class FullGradient(NamedTuple):
    """Gradient with respect to the means, shape (..., k), and the covariances, shape (..., k, k), of two Gaussians."""

    mean0: np.ndarray
    covariance0: np.ndarray
    mean1: np.ndarray
    covariance1: np.ndarray


class DiagonalGradient(NamedTuple):
    """Gradient with respect to the means and log-standard deviations of two Gaussians, all of shape (..., k)."""

    mean0: np.ndarray
    log_std0: np.ndarray
    mean1: np.ndarray
    log_std1: np.ndarray


class MeanStdGradient(NamedTuple):
    """Gradient with respect to the mean and log-standard deviation of one Gaussian, both of shape (..., k)."""

    mean: np.ndarray
    log_std: np.ndarray


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
    mean0, S0, mean1, S1 = _arguments(mean0=mean0, covariance0=covariance0, mean1=mean1, covariance1=covariance1)
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
        spread = np.sum(_half_excess(np.where(near[..., None], np.log1p(x), log_pivots)), axis=-1)
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
    mean0, S0, mean1, S1 = _arguments(mean0=mean0, covariance0=covariance0, mean1=mean1, covariance1=covariance1)
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
        _filled(a, (*batch, k)),
        _filled(_symmetric_part(in_covariance0), (*batch, k, k)),
        _filled(-a, (*batch, k)),
        _filled(_symmetric_part(in_covariance1), (*batch, k, k)),
    )


def diagonal_gaussian_kl(
    mean0: np.ndarray, log_std0: np.ndarray, mean1: np.ndarray, log_std1: np.ndarray
) -> np.ndarray:
    """The divergence KL(N0 || N1) of two Gaussians with independent coordinates.

    KL = 1/2 sum_i ( e^y_i - 1 - y_i + (mean0_i - mean1_i)^2 / sigma1_i^2 ), y_i = 2 log(sigma0_i / sigma1_i).

    Parameters
    ----------
    mean0, log_std0 : array, shape (..., k)
        Mean and log sigma of the Gaussian N0 that is averaged over.
    mean1, log_std1 : array, shape (..., k)
        Mean and log sigma of the Gaussian N1 that it is compared to.

    Returns
    -------
    float64, the shape of the batch

    Raises
    ------
    InputError
        If shapes do not fit or a value is not finite.

    References
    ----------
    Kingma & Welling (2019), arXiv:1906.02691, section 2.5. Hjorth-Jensen (2025), "More on the SGD".

    Examples
    --------
    >>> from mcgen.vae import gaussian
    >>> float(gaussian.diagonal_gaussian_kl([3.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]))
    2.0
    """
    mean0, log_std0, mean1, log_std1 = _arguments(mean0=mean0, log_std0=log_std0, mean1=mean1, log_std1=log_std1)
    with np.errstate(over="ignore"):
        s = _scaled(mean0 - mean1, -log_std1)
        return np.sum(_half_excess(2 * (log_std0 - log_std1)) + 0.5 * s * s, axis=-1)


def diagonal_gaussian_kl_gradient(
    mean0: np.ndarray, log_std0: np.ndarray, mean1: np.ndarray, log_std1: np.ndarray
) -> DiagonalGradient:
    """Gradient of `diagonal_gaussian_kl`, arguments and errors of which it shares.

    With s = (mean0 - mean1) / sigma1 and y = 2 log(sigma0 / sigma1), the gradient is s / sigma1 for mean0,
    e^y - 1 for log_std0, -s / sigma1 for mean1, and 1 - e^y - s^2 for log_std1.

    Returns
    -------
    DiagonalGradient

    Examples
    --------
    >>> from mcgen.vae import gaussian
    >>> gaussian.diagonal_gaussian_kl_gradient([3.0], [0.0], [1.0], [0.0]).log_std1.tolist()
    [-4.0]
    """
    mean0, log_std0, mean1, log_std1 = _arguments(mean0=mean0, log_std0=log_std0, mean1=mean1, log_std1=log_std1)
    shape = np.broadcast_shapes(mean0.shape, log_std0.shape, mean1.shape, log_std1.shape)
    with np.errstate(over="ignore"):
        s = _scaled(mean0 - mean1, -log_std1)
        in_mean = _scaled(s, -log_std1)
        growth = np.expm1(2 * (log_std0 - log_std1))
        return DiagonalGradient(*(_filled(part, shape) for part in (in_mean, growth, -in_mean, -growth - s * s)))


def standard_gaussian_kl(mean: np.ndarray, log_std: np.ndarray) -> np.ndarray:
    """The divergence of a Gaussian with independent coordinates from the standard Gaussian, KL(N || N(0, I)).

    KL = 1/2 sum_i ( mu_i^2 + sigma_i^2 - 1 - 2 log sigma_i ).

    Parameters
    ----------
    mean, log_std : array, shape (..., k)

    Returns
    -------
    float64, the shape of the batch

    Raises
    ------
    InputError
        If shapes do not fit or a value is not finite.

    References
    ----------
    Kingma & Welling (2019), arXiv:1906.02691, section 2.5. Hjorth-Jensen (2025), "Simplification".

    Examples
    --------
    >>> from mcgen.vae import gaussian
    >>> gaussian.standard_gaussian_kl([[0.0, 0.0], [1.0, 1.0]], [0.0, 0.0]).tolist()
    [0.0, 1.0]
    """
    mean, log_std = _arguments(mean=mean, log_std=log_std)
    with np.errstate(over="ignore"):
        return np.sum(_half_excess(2 * log_std) + 0.5 * mean * mean, axis=-1)


def standard_gaussian_kl_gradient(mean: np.ndarray, log_std: np.ndarray) -> MeanStdGradient:
    """Gradient of `standard_gaussian_kl`, arguments and errors of which it shares: mu, and sigma^2 - 1 for log sigma.

    Returns
    -------
    MeanStdGradient

    Examples
    --------
    >>> from mcgen.vae import gaussian
    >>> gaussian.standard_gaussian_kl_gradient([2.0], [0.0])
    MeanStdGradient(mean=array([2.]), log_std=array([0.]))
    """
    mean, log_std = _arguments(mean=mean, log_std=log_std)
    shape = np.broadcast_shapes(mean.shape, log_std.shape)
    with np.errstate(over="ignore"):
        return MeanStdGradient(_filled(mean, shape), _filled(np.expm1(2 * log_std), shape))


def reparameterized(mean: np.ndarray, log_std: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Draws z = mu + sigma eps of N(mu, sigma^2), as a function of the parameters that can be differentiated.

    Parameters
    ----------
    mean, log_std : array, shape (..., k)
    noise : array, shape (..., k)
        Standard normal numbers eps.

    Returns
    -------
    float64, shape (..., k)

    Raises
    ------
    InputError
        If shapes do not fit or a value is not finite.

    References
    ----------
    Kingma & Welling (2019), arXiv:1906.02691, section 2.4. Hjorth-Jensen (2025), "Computing the gradients".

    Examples
    --------
    >>> from mcgen.vae import gaussian
    >>> gaussian.reparameterized([1.0, 2.0], [0.0, 0.0], [[0.5, -0.5]]).tolist()
    [[1.5, 1.5]]
    """
    mean, log_std, noise = _arguments(mean=mean, log_std=log_std, noise=noise)
    with np.errstate(over="ignore"):
        return mean + _scaled(noise, log_std)


def reparameterized_gradient(z_gradient: np.ndarray, log_std: np.ndarray, noise: np.ndarray) -> MeanStdGradient:
    """From the gradient of a loss with respect to z = mu + sigma eps, that with respect to mu and log sigma.

    dz/dmu = 1 and dz/dlog sigma = sigma eps.

    Parameters
    ----------
    z_gradient : array, shape (..., k)
        Derivatives of the loss with respect to z.
    log_std, noise : array, shape (..., k)
        Those that z was made with.

    Returns
    -------
    MeanStdGradient

    Raises
    ------
    InputError
        If shapes do not fit or a value is not finite.

    References
    ----------
    Kingma & Welling (2019), arXiv:1906.02691, section 2.4.

    Examples
    --------
    >>> from mcgen.vae import gaussian
    >>> gaussian.reparameterized_gradient([2.0], [0.0], [0.5])
    MeanStdGradient(mean=array([2.]), log_std=array([1.]))
    """
    z_gradient, log_std, noise = _arguments(z_gradient=z_gradient, log_std=log_std, noise=noise)
    shape = np.broadcast_shapes(z_gradient.shape, log_std.shape, noise.shape)
    with np.errstate(over="ignore"):
        return MeanStdGradient(_filled(z_gradient, shape), _filled(_scaled(z_gradient * noise, log_std), shape))


def draw(mean: np.ndarray, log_std: np.ndarray, n_draws: int, seed: int) -> np.ndarray:
    """Independent draws of N(mu, sigma^2).

    Draw number d uses the random words of chain d, step 0, of the purpose VAE_NOISE: asking for more draws leaves the
    first ones as they are.

    Parameters
    ----------
    mean, log_std : array, shape (..., k)
    n_draws : int
        From 1 to 2**32 - 1.
    seed : int
        From 0 to 2**64 - 1.

    Returns
    -------
    float64, shape (n_draws, ..., k)

    Raises
    ------
    InputError
        If shapes do not fit, a value is not finite, or n_draws or seed is out of range.

    Examples
    --------
    >>> from mcgen.vae import gaussian
    >>> z = gaussian.draw([1.0], [0.0], n_draws=100000, seed=0)
    >>> z.shape, round(float(z.mean()), 1), round(float(z.var()), 1)
    ((100000, 1), 1.0, 1.0)
    """
    mean, log_std = _arguments(mean=mean, log_std=log_std)
    n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
    shape = np.broadcast_shapes(mean.shape, log_std.shape)
    noise = rng.normals(seed, rng.purpose.VAE_NOISE, n_draws, math.prod(shape))
    with np.errstate(over="ignore"):
        return mean + _scaled(noise.reshape(n_draws, *shape), log_std)


def log_density(z: np.ndarray, mean: np.ndarray, log_std: np.ndarray) -> np.ndarray:
    """The log-density of a Gaussian with independent coordinates.

    log N(z; mu, sigma^2) = -sum_i ( 1/2 log 2 pi + log sigma_i + (z_i - mu_i)^2 / (2 sigma_i^2) ).

    Parameters
    ----------
    z, mean, log_std : array, shape (..., k)

    Returns
    -------
    float64, the shape of the batch

    Raises
    ------
    InputError
        If shapes do not fit or a value is not finite.

    References
    ----------
    Kingma & Welling (2019), arXiv:1906.02691, section 2.5.

    Examples
    --------
    >>> from mcgen.vae import gaussian
    >>> round(float(gaussian.log_density([0.0], [0.0], [0.0])), 6)
    -0.918939
    """
    z, mean, log_std = _arguments(z=z, mean=mean, log_std=log_std)
    with np.errstate(over="ignore"):
        s = _scaled(z - mean, -log_std)
        return -np.sum(0.5 * s * s + log_std + 0.5 * math.log(2 * math.pi), axis=-1)


def _half_excess(y: np.ndarray) -> np.ndarray:
    """(e^y - 1 - y) / 2, never negative, with a relative error of a few 1e-16; inf only where that overflows."""
    y = np.minimum(y, 1500.0)  # so that an infinite y is not subtracted from an infinite e^y
    root = np.exp(0.5 * y)
    small = np.minimum(np.maximum(y, -1.0), 1.0)
    series = np.zeros_like(small)
    for coefficient in EXCESS_SERIES:
        series *= small
        series += coefficient
    return np.where(np.abs(y) < 1, small * small * series, 0.5 * root * root - 0.5 - 0.5 * y)


def _scaled(x: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
    """The product x e^log_scale, which overflows and underflows only where the product does; 0 for x = 0."""
    root = np.exp(0.5 * np.clip(log_scale, -1400.0, 1400.0))
    return x * root * root


def _arguments(**arguments: np.ndarray) -> list[np.ndarray]:
    """The arguments in float64, if their shapes fit; those named covariance end in (k, k), the others in (k,)."""
    arrays = {name: checks.finite_array(name, value).astype(np.float64) for name, value in arguments.items()}
    n_last = {name: 2 if name.startswith("covariance") else 1 for name in arrays}
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    k = next(iter(arrays.values())).shape[-1:]
    if k in ((), (0,)) or any(array.shape[-n_last[name] :] != k * n_last[name] for name, array in arrays.items()):
        raise InputError(
            f"the shapes {shapes} do not fit; give vectors of shape (..., k)"
            + " and covariances of shape (..., k, k)" * (2 in n_last.values())
            + " with the same k of at least 1"
        )
    try:
        np.broadcast_shapes(*(array.shape[: -n_last[name]] for name, array in arrays.items()))
    except ValueError:
        raise InputError(
            f"the shapes {shapes} do not broadcast; give the axes before the last the same length or 1"
        ) from None
    return list(arrays.values())


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


def _filled(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A copy of an array, repeated along the axes of the batch that it lacks."""
    return np.array(np.broadcast_to(array, shape))
