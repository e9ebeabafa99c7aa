"""Training of RBMs by stochastic gradient ascent of the log-likelihood."""

from mcgen.rbm.training.loop import train
from mcgen.rbm.training.trained import Trained, join

__all__ = ["Trained", "join", "train"]
