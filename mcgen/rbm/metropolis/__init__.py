"""Metropolis-Hastings on the marginal distribution of the visible units of RBMs."""

from mcgen.rbm.metropolis.moves import Proposal, obstacle, proposals_per_sweep, sweep

__all__ = ["Proposal", "obstacle", "proposals_per_sweep", "sweep"]
