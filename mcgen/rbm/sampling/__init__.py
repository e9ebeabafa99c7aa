"""Sampling of the visible layer of RBMs: what is asked for and returned, which units are held, and what moves."""

from mcgen.rbm.sampling.drawing import METHODS, PROPOSALS, SHARED, sample, stream
from mcgen.rbm.sampling.samples import Samples, warn_of_bad_draws
from mcgen.rbm.sampling.walkers import DEFAULT_LADDER, Chains

__all__ = [
    "DEFAULT_LADDER",
    "METHODS",
    "PROPOSALS",
    "SHARED",
    "Chains",
    "Samples",
    "sample",
    "stream",
    "warn_of_bad_draws",
]
