"""Block Gibbs sweeps of RBMs."""

from mcgen.rbm.gibbs.moves import sweep

__all__ = ["sweep"]
