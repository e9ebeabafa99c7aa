"""Gaussian mixtures in latent space: a prior that follows the data, fitted after training.

A VAE draws z from N(0, I), while its encoder may leave holes there: rows are decoded from the aggregate posterior q(z).
A mixture fitted to q(z) takes its place (Tomczak & Welling 2018), and p(x | z) stays as it is. `density` has mixtures,
`fit` expectation-maximisation, and `prior` what a mixture does in a model.
"""

from mcgen.vae.mixture.density import Mixture
from mcgen.vae.mixture.fit import MixtureFit, fit_mixture
from mcgen.vae.mixture.prior import mixture_prior, sample_from

__all__ = ["Mixture", "MixtureFit", "fit_mixture", "mixture_prior", "sample_from"]
