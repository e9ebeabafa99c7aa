"""Draws from Gaussians with independent coordinates, as functions of mean and log sigma, and their log-density."""

import math

import numpy as np

from mcgen import checks, rng
from mcgen.vae.gaussian.shapes import LOG_ROOT_TWO_PI, MeanStdGradient, checked_arguments, filled, scaled


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
    mean, log_std, noise = checked_arguments(mean=mean, log_std=log_std, noise=noise)
    with np.errstate(over="ignore"):
        return mean + scaled(noise, log_std)


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
    z_gradient, log_std, noise = checked_arguments(z_gradient=z_gradient, log_std=log_std, noise=noise)
    shape = np.broadcast_shapes(z_gradient.shape, log_std.shape, noise.shape)
    with np.errstate(over="ignore"):
        return MeanStdGradient(filled(z_gradient, shape), filled(scaled(z_gradient * noise, log_std), shape))


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
    mean, log_std = checked_arguments(mean=mean, log_std=log_std)
    n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
    shape = np.broadcast_shapes(mean.shape, log_std.shape)
    noise = rng.normals(seed, rng.purpose.VAE_NOISE, n_draws, math.prod(shape))
    with np.errstate(over="ignore"):
        return mean + scaled(noise.reshape(n_draws, *shape), log_std)


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
    z, mean, log_std = checked_arguments(z=z, mean=mean, log_std=log_std)
    with np.errstate(over="ignore"):
        s = scaled(z - mean, -log_std)
        return -np.sum(0.5 * s * s + log_std + LOG_ROOT_TWO_PI, axis=-1)
