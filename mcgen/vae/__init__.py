"""Variational autoencoders: layers with hand-written backpropagation, models, training, likelihoods, latent space."""

from mcgen.vae.architecture import Convolution
from mcgen.vae.decoders import Bernoulli, Gaussian, Spin
from mcgen.vae.gaussian import (
    diagonal_gaussian_kl,
    diagonal_gaussian_kl_gradient,
    gaussian_kl,
    gaussian_kl_gradient,
    reparameterized,
    reparameterized_gradient,
    standard_gaussian_kl,
    standard_gaussian_kl_gradient,
)
from mcgen.vae.latent import (
    AggregatePosterior,
    aggregate_posterior,
    by_group,
    correlate,
    correlations,
    interpolate,
    manifold,
    reconstruction_error,
    traversal,
)
from mcgen.vae.layers import Activation, Conv2D, ConvTranspose2D, Dense, Flatten, Layer, Reshape
from mcgen.vae.likelihood import elbo, importance_estimate, kl_estimate, log_likelihood
from mcgen.vae.mixture import Mixture, fit_mixture, mixture_prior, sample_from
from mcgen.vae.model import VAE, Autoencoder, ConditionalVAE, one_hot
from mcgen.vae.network import Network
from mcgen.vae.quadrature import kl_divergence, log_likelihood_exact, log_probabilities
from mcgen.vae.training import Fit, train

__all__ = [
    "VAE",
    "Activation",
    "AggregatePosterior",
    "Autoencoder",
    "Bernoulli",
    "ConditionalVAE",
    "Conv2D",
    "ConvTranspose2D",
    "Convolution",
    "Dense",
    "Fit",
    "Flatten",
    "Gaussian",
    "Layer",
    "Mixture",
    "Network",
    "Reshape",
    "Spin",
    "aggregate_posterior",
    "by_group",
    "correlate",
    "correlations",
    "diagonal_gaussian_kl",
    "diagonal_gaussian_kl_gradient",
    "elbo",
    "fit_mixture",
    "gaussian_kl",
    "gaussian_kl_gradient",
    "importance_estimate",
    "interpolate",
    "kl_divergence",
    "kl_estimate",
    "log_likelihood",
    "log_likelihood_exact",
    "log_probabilities",
    "manifold",
    "mixture_prior",
    "one_hot",
    "reconstruction_error",
    "reparameterized",
    "reparameterized_gradient",
    "sample_from",
    "standard_gaussian_kl",
    "standard_gaussian_kl_gradient",
    "train",
    "traversal",
]
