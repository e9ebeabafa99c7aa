"""Autoencoders with linear networks, of which everything is known, and moments of draws in units of their errors."""

import numpy as np

from mcgen import vae

RANDOM = np.random.default_rng(7)
N_FEATURES, N_LATENT = 5, 3
ENCODING = RANDOM.normal(size=(N_FEATURES, N_LATENT))
SPREADING = 0.2 * RANDOM.normal(size=(N_FEATURES, N_LATENT))
SHIFT = RANDOM.normal(size=N_LATENT)
LOG_STD = np.array([-0.5, 0.1, -1.0])
DECODING = RANDOM.normal(size=(N_LATENT, N_FEATURES))
BIAS = RANDOM.normal(size=N_FEATURES)
OF_CONDITION = RANDOM.normal(size=(2, N_LATENT))
TO_DATA = RANDOM.normal(size=(2, N_FEATURES))
OFFSET, SCALE = np.array([2.0, -1.0]), np.array([0.5, 4.0])
ROWS = RANDOM.normal(size=(40, N_FEATURES))
CONDITIONS = OFFSET + SCALE * RANDOM.normal(size=(40, 2))


def linear(encoding, shift, spreading, log_std, decoding, bias, decoder="gaussian", n_conditions=0, **settings):
    """A model with m = x A + a, log w = x B + b and fields z C + c; conditions are the last rows of A, B and C."""
    n_features, n_latent = len(bias), len(shift)
    kind = vae.ConditionalVAE if n_conditions else vae.VAE
    if n_conditions:
        settings["n_conditions"] = n_conditions
    net = kind(n_features, hidden=(), n_latent=n_latent, decoder=decoder, activation="linear", dtype="float64",
               **settings)  # fmt: skip
    parts = [np.concatenate([encoding, spreading], axis=1), np.concatenate([shift, log_std]), decoding, bias]
    return net.replace(np.concatenate([np.ravel(part) for part in parts]))


NET = linear(ENCODING, SHIFT, SPREADING, LOG_STD, DECODING, BIAS)
CONDITIONAL = linear(
    np.vstack([ENCODING, OF_CONDITION]), SHIFT, np.vstack([SPREADING, np.zeros((2, N_LATENT))]), LOG_STD,
    np.vstack([DECODING, TO_DATA]), BIAS, n_conditions=2, condition_offset=OFFSET, condition_scale=SCALE,
)  # fmt: skip


def identity(n_latent, log_std=0.0, decoder="gaussian"):
    """A model whose latent means are its features, and whose fields are its latents."""
    one, zero = np.eye(n_latent), np.zeros(n_latent)
    return linear(one, zero, 0 * one, zero + log_std, one, zero, decoder)


def means(x, c=None):
    return x @ ENCODING + SHIFT + (0 if c is None else (c - OFFSET) / SCALE @ OF_CONDITION)


def decoded(z, c=None):
    return z @ DECODING + BIAS + (0 if c is None else (c - OFFSET) / SCALE @ TO_DATA)


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-11)


def fourth_moments(weights, centres, covariances, mean):
    """E[y_i^2 y_j^2] of a Gaussian mixture with y = z - mean, by Isserlis' theorem for each component."""
    total = 0.0
    for weight, centre, S in zip(weights, centres, covariances, strict=True):
        d, variances = centre - mean, np.diag(S)
        square = d**2 + variances
        total = total + weight * (np.outer(square, square) + 2 * S**2 + 4 * np.outer(d, d) * S)
    return total


def moments_in_errors(draws, mean, covariance, fourth):
    """The largest deviation of sample means, and of second moments about the true mean, in standard errors.

    `fourth` are the true fourth moments E[(z_i - m_i)^2 (z_j - m_j)^2].
    """
    away = draws - mean
    by_mean = away.mean(axis=0) / np.sqrt(np.diag(covariance) / len(draws))
    error = np.sqrt((fourth - covariance**2) / len(draws))
    by_covariance = (away.T @ away / len(draws) - covariance) / error
    return max(np.abs(by_mean).max(), np.abs(by_covariance).max())
