"""The kinds of units of the layers of an RBM."""

from mcgen.rbm.units.base import Unit
from mcgen.rbm.units.kinds import (
    NAMES,
    Bernoulli,
    Gaussian,
    Potts,
    ReLU,
    Spin,
    TwoLevel,
    unit,
)
from mcgen.rbm.units.normalization import check_normalizable

__all__ = ["NAMES", "Bernoulli", "Gaussian", "Potts", "ReLU", "Spin", "TwoLevel", "Unit", "check_normalizable", "unit"]
