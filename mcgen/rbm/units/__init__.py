"""The kinds of units of the layers of an RBM."""

from mcgen.rbm.units.kinds import (
    NAMES,
    Bernoulli,
    Gaussian,
    Potts,
    ReLU,
    Spin,
    TwoLevel,
    Unit,
    check_normalizable,
    unit,
)

__all__ = ["NAMES", "Bernoulli", "Gaussian", "Potts", "ReLU", "Spin", "TwoLevel", "Unit", "check_normalizable", "unit"]
