"""Divergences of Gaussians with independent coordinates, from each other and from N(0, I), and their gradients."""

from typing import NamedTuple

import numpy as np

from mcgen.vae.gaussian.shapes import MeanStdGradient, checked_arguments, filled, half_excess, scaled


class DiagonalGradient(NamedTuple):
    """Gradient with respect to the means and log-standard deviations of two Gaussians, all of shape (..., k)."""

    mean0: np.ndarray
    log_std0: np.ndarray
    mean1: np.ndarray
    log_std1: np.ndarray


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
    mean0, log_std0, mean1, log_std1 = checked_arguments(mean0=mean0, log_std0=log_std0, mean1=mean1, log_std1=log_std1)
    with np.errstate(over="ignore"):
        s = scaled(mean0 - mean1, -log_std1)
        return np.sum(half_excess(2 * (log_std0 - log_std1)) + 0.5 * s * s, axis=-1)


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
    mean0, log_std0, mean1, log_std1 = checked_arguments(mean0=mean0, log_std0=log_std0, mean1=mean1, log_std1=log_std1)
    shape = np.broadcast_shapes(mean0.shape, log_std0.shape, mean1.shape, log_std1.shape)
    with np.errstate(over="ignore"):
        s = scaled(mean0 - mean1, -log_std1)
        in_mean = scaled(s, -log_std1)
        growth = np.expm1(2 * (log_std0 - log_std1))
        return DiagonalGradient(*(filled(part, shape) for part in (in_mean, growth, -in_mean, -growth - s * s)))


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
    mean, log_std = checked_arguments(mean=mean, log_std=log_std)
    with np.errstate(over="ignore"):
        return np.sum(half_excess(2 * log_std) + 0.5 * mean * mean, axis=-1)


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
    mean, log_std = checked_arguments(mean=mean, log_std=log_std)
    shape = np.broadcast_shapes(mean.shape, log_std.shape)
    with np.errstate(over="ignore"):
        return MeanStdGradient(filled(mean, shape), filled(np.expm1(2 * log_std), shape))
