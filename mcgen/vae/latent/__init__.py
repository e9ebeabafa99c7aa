"""What the latent variables of a trained autoencoder stand for.

`paths` decodes paths and planes through their space, `correlation` says what they go with, `posterior` how they are
distributed over data, `reconstruction` how well rows are restored, and `groups` has means over rows that belong
together.
"""

from mcgen.vae.latent.correlation import Correlation, correlate, correlations
from mcgen.vae.latent.groups import GroupMeans, by_group
from mcgen.vae.latent.paths import interpolate, manifold, traversal
from mcgen.vae.latent.posterior import AggregatePosterior, active_units, aggregate_posterior
from mcgen.vae.latent.reconstruction import ReconstructionError, reconstruction_error

__all__ = [
    "AggregatePosterior",
    "Correlation",
    "GroupMeans",
    "ReconstructionError",
    "active_units",
    "aggregate_posterior",
    "by_group",
    "correlate",
    "correlations",
    "interpolate",
    "manifold",
    "reconstruction_error",
    "traversal",
]
