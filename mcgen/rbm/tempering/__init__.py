"""Replica exchange (parallel tempering) of RBMs: chains of several models that swap their visible states.

A ladder of models M_0 ... M_{R-1} with the same units ends with the model that is asked for. Every replica is swept by
block Gibbs under its own model; after every sweep, neighbours r, s swap their visible states with the probability

    min(1, e^{F_r(v_r) + F_s(v_s) - F_r(v_s) - F_s(v_r)}),

F_r the free energy of M_r, in turn for the pairs that begin with an even and with an odd place. Every replica keeps the
distribution e^{-F_r(v)} / Z_r, and a state that is stuck in one mode of the last model moves down the ladder, forgets,
and comes back in another.

Sweeps and swaps must be those of one density. At the inverse temperature beta the weights and biases are multiplied by
beta, and that model has the free energy F_beta(v) = U(v) - beta b.v - sum_j Gamma_j(beta (c_j + sum_i v_i W_ij)). It is
not beta F_1(v): the hidden units are summed out at beta, and Gamma_j is not linear. Swaps by beta F_1 between sweeps
that leave e^{-F_beta} as it is would leave neither of the two as it is, nor the distribution at beta = 1.

Two ladders are made here, and any other sequence of models that overlap will do:

temperatures   `model.tempered(beta)` at increasing beta, which ends at 1. At beta = 0 all units are independent.
trajectory     models stored during training, the last of which is the model. They follow the order in which the
               training found the modes, where temperatures often pass through a phase transition of first order.

References
----------
Geyer, Computing Science and Statistics 23, 156 (1991). Hukushima & Nemoto, J. Phys. Soc. Japan 65, 1604 (1996).
Desjardins, Courville, Bengio, Vincent & Delalleau, AISTATS (2010): temperatures of RBMs. Bereux, Decelle, Furtlehner,
Rosset & Seoane, ICLR (2025), arXiv:2405.15376: trajectories.
"""

from mcgen.rbm.tempering.chains import Exchange, TemperingChains
from mcgen.rbm.tempering.ladder import adapted_ladder, adapted_trajectory, check_betas, check_trajectory

__all__ = [
    "Exchange",
    "TemperingChains",
    "adapted_ladder",
    "adapted_trajectory",
    "check_betas",
    "check_trajectory",
]
