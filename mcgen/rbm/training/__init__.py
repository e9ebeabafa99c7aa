"""Training of RBMs by stochastic gradient ascent of the log-likelihood."""

from mcgen.rbm.training.loop import Epoch, train
from mcgen.rbm.training.starts import low_rank_start, start_from_data
from mcgen.rbm.training.trained import Trained, join

__all__ = ["Epoch", "Trained", "join", "low_rank_start", "start_from_data", "train"]
