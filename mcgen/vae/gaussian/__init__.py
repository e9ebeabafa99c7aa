"""Gaussians in closed form: Kullback-Leibler divergences, log-densities and draws that can be differentiated.

The encoder of a variational autoencoder gives a Gaussian N(mean, sigma^2) with independent coordinates, and its prior
is N(0, I) (Kingma & Welling 2019, section 2.5; Hjorth-Jensen 2025, "More on the SGD"). Standard deviations come as
log_std = log sigma, which may be any real number. The last axis counts the k coordinates, the axes before it are the
batch and broadcast. Everything is float64, dimensionless or in the units of the coordinates; divergences are in nats.
Results above the largest float64 are infinite.

Gradients are those of the result for each entry of the batch, so they have the shape of the whole batch. For an
argument that the batch shares, add them up over the batch.

`diagonal` and `full` have the divergences of Gaussians with independent coordinates and with any covariances, `draws`
what is drawn and its density, `shapes` the arguments that they share and numbers that do not overflow early.
"""

from mcgen.vae.gaussian.diagonal import (
    DiagonalGradient,
    diagonal_gaussian_kl,
    diagonal_gaussian_kl_gradient,
    standard_gaussian_kl,
    standard_gaussian_kl_gradient,
)
from mcgen.vae.gaussian.draws import draw, log_density, reparameterized, reparameterized_gradient
from mcgen.vae.gaussian.full import FullGradient, gaussian_kl, gaussian_kl_gradient
from mcgen.vae.gaussian.shapes import MeanStdGradient

__all__ = [
    "DiagonalGradient",
    "FullGradient",
    "MeanStdGradient",
    "diagonal_gaussian_kl",
    "diagonal_gaussian_kl_gradient",
    "draw",
    "gaussian_kl",
    "gaussian_kl_gradient",
    "log_density",
    "reparameterized",
    "reparameterized_gradient",
    "standard_gaussian_kl",
    "standard_gaussian_kl_gradient",
]
