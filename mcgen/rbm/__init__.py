"""Restricted Boltzmann machines: model, samplers, gradient, training, exact sums, log Z and evaluation."""

from mcgen.rbm import evaluation, exact, partition
from mcgen.rbm.gradient import Gradient, negative_phase, positive_phase
from mcgen.rbm.maximum_likelihood import maximum_likelihood
from mcgen.rbm.model import RBM
from mcgen.rbm.sampling import Samples, sample, stream
from mcgen.rbm.symmetry import Symmetry
from mcgen.rbm.training import Trained, join, low_rank_start, start_from_data, train
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
    "evaluation",
    "exact",
    "join",
    "low_rank_start",
    "maximum_likelihood",
    "negative_phase",
    "partition",
    "positive_phase",
    "sample",
    "start_from_data",
    "stream",
    "train",
]
