"""How good a trained RBM is: on data, beside data, and in the terms of physics.

`likelihood` has log-likelihoods, pseudo-log-likelihoods and reconstructions of rows; `neighbors` and `two_sample`
compare samples with data; `couplings` has the interactions between spins that a model has learnt, `modes` the weights
of the two signs of the magnetisation.
"""

from mcgen.rbm.evaluation.couplings import Couplings, all_couplings, effective_couplings
from mcgen.rbm.evaluation.likelihood import (
    LogLikelihood,
    Reconstruction,
    log_likelihood,
    pseudo_log_likelihood,
    reconstruction_error,
)
from mcgen.rbm.evaluation.modes import ModeBalance, exact_mode_balance, mode_balance
from mcgen.rbm.evaluation.neighbors import AdversarialAccuracy, adversarial_accuracy
from mcgen.rbm.evaluation.two_sample import Comparison, histograms

__all__ = [
    "AdversarialAccuracy",
    "Comparison",
    "Couplings",
    "LogLikelihood",
    "ModeBalance",
    "Reconstruction",
    "adversarial_accuracy",
    "all_couplings",
    "effective_couplings",
    "exact_mode_balance",
    "histograms",
    "log_likelihood",
    "mode_balance",
    "pseudo_log_likelihood",
    "reconstruction_error",
]
