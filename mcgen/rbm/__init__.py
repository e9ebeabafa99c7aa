"""Restricted Boltzmann machines: the model, its samplers, its gradient, its training and its exact sums."""

from mcgen.rbm import exact
from mcgen.rbm.gradient import Gradient, negative_phase, positive_phase
from mcgen.rbm.model import RBM
from mcgen.rbm.sampling import Samples, sample
from mcgen.rbm.training import Trained, join, train

__all__ = [
    "RBM",
    "Gradient",
    "Samples",
    "Trained",
    "exact",
    "join",
    "negative_phase",
    "positive_phase",
    "sample",
    "train",
]
