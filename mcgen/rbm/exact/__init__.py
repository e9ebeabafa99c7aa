"""Exact answers for RBMs whose one layer can be enumerated, or whose layers are both Gaussian.

`limits` says which of three methods a model needs, and how far it reaches; the methods have a file each: `two_level`
sums both layers of two-level units by tables, `listing` lists the states of one layer with finitely many states and
sums or integrates out the other, whatever its units, and `gaussian` is the closed form of two Gaussian layers.
"""

from mcgen.rbm.exact.averages import Moments, gradient, moments, negative_phase, visible_moments
from mcgen.rbm.exact.drawing import sample
from mcgen.rbm.exact.limits import check_steps, check_summable, is_quick
from mcgen.rbm.exact.probability import kl_divergence, log_likelihood, log_partition, log_probabilities, probabilities

__all__ = [
    "Moments",
    "check_steps",
    "check_summable",
    "gradient",
    "is_quick",
    "kl_divergence",
    "log_likelihood",
    "log_partition",
    "log_probabilities",
    "moments",
    "negative_phase",
    "probabilities",
    "sample",
    "visible_moments",
]
