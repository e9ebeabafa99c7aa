"""log Z of RBMs: estimates with errors, exact values where they are cheap, and approximations labelled as such.

All estimates walk the path of models of `path`, from independent units to the model, and return a `LogPartition`.
"""

from mcgen.rbm.partition import path
from mcgen.rbm.partition.ais import ais, reverse_ais
from mcgen.rbm.partition.bridge import bar, mbar
from mcgen.rbm.partition.choice import log_partition
from mcgen.rbm.partition.integration import thermodynamic_integration
from mcgen.rbm.partition.mean_field import naive_mean_field, tap
from mcgen.rbm.partition.result import LogPartition
from mcgen.rbm.partition.sandwich import sandwich
from mcgen.rbm.partition.trajectory import trajectory

__all__ = [
    "LogPartition",
    "ais",
    "bar",
    "log_partition",
    "mbar",
    "naive_mean_field",
    "path",
    "reverse_ais",
    "sandwich",
    "tap",
    "thermodynamic_integration",
    "trajectory",
]
