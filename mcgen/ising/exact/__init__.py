"""Exact answers for Ising lattices.

`log_partition` and `thermodynamics` take the quickest method that is exact for the lattice, or the one asked for; the
methods have a file each: `summation`, `transfer` and `torus`, with `counting` for densities of states. `listing` has
what is known of every single state, `infinite` the infinite square lattice.
"""

from mcgen.ising.exact.counting import from_density_of_states
from mcgen.ising.exact.infinite import critical_temperature, onsager
from mcgen.ising.exact.listing import averages, probabilities, state_energies, state_magnetizations
from mcgen.ising.exact.methods import Thermodynamics, density_of_states, log_partition, thermodynamics
from mcgen.ising.exact.planning import Plan, choose_method, plans
from mcgen.ising.exact.torus import closed_form
from mcgen.ising.exact.transfer import magnetization_distribution, sample

__all__ = [
    "Plan",
    "Thermodynamics",
    "averages",
    "choose_method",
    "closed_form",
    "critical_temperature",
    "density_of_states",
    "from_density_of_states",
    "log_partition",
    "magnetization_distribution",
    "onsager",
    "plans",
    "probabilities",
    "sample",
    "state_energies",
    "state_magnetizations",
    "thermodynamics",
]
