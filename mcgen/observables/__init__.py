"""Physical observables of lattice spins, each with an error bar.

`averages` has the thermodynamic averages, `spatial` the correlations in space, `histograms` the distributions, and
`blocks` what they share: blocks of draws that take the place of single draws.
"""

from mcgen.observables.averages import NAMES, spins, summary
from mcgen.observables.histograms import Histogram, energy_histogram, magnetization_histogram
from mcgen.observables.spatial import Correlations, correlation_length, correlations

__all__ = [
    "NAMES",
    "Correlations",
    "Histogram",
    "correlation_length",
    "correlations",
    "energy_histogram",
    "magnetization_histogram",
    "spins",
    "summary",
]
