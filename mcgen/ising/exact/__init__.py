"""Exact answers for Ising lattices."""

from mcgen.ising.exact.listing import (
    Thermodynamics,
    averages,
    density_of_states,
    log_partition,
    probabilities,
    state_energies,
    state_magnetizations,
    thermodynamics,
)

__all__ = [
    "Thermodynamics",
    "averages",
    "density_of_states",
    "log_partition",
    "probabilities",
    "state_energies",
    "state_magnetizations",
    "thermodynamics",
]
