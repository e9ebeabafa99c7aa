"""Restricted Boltzmann machines: the model, its samplers, its gradient, its training and its exact sums."""

from mcgen.rbm import exact
from mcgen.rbm.gradient import Gradient, negative_phase, positive_phase
from mcgen.rbm.maximum_likelihood import maximum_likelihood
from mcgen.rbm.model import RBM
from mcgen.rbm.sampling import Samples, sample
from mcgen.rbm.symmetry import Symmetry
from mcgen.rbm.training import Trained, join, train
from mcgen.rbm.units import Bernoulli, Gaussian, Potts, ReLU, Spin

__all__ = [
    "RBM",
    "Bernoulli",
    "Gaussian",
    "Gradient",
    "Potts",
    "ReLU",
    "Samples",
    "Spin",
    "Symmetry",
    "Trained",
    "exact",
    "join",
    "maximum_likelihood",
    "negative_phase",
    "positive_phase",
    "sample",
    "train",
]
