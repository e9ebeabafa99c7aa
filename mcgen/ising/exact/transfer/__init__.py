"""The transfer matrix, site by site: exact answers for Ising lattices that are narrow, whatever their length.

Sites are added one at a time. The frontier is the set of sites that are added and still have neighbours to come: all
that the rest of the lattice sees of what is done. A vector over the 2^F states of the frontier holds the partial sums

    Z(frontier state) = sum over the spins of all other sites added so far of e^{-H(bonds and fields so far)/T},

and one step multiplies it by the Boltzmann factor of a new site and sums over the spins of every site whose neighbours
are all there. An open strip of width W has a frontier of W sites; a torus keeps its first row and has 2 W, a ring 2. A
lattice of N sites costs N 2^F operations instead of 2^N.

Weights are pairs (mantissa, exponent) that neither overflow nor underflow: at low temperature a frontier state whose
weight is smaller by many more than 308 orders of magnitude can still be the one that later sites prefer.

`steps` says how a lattice is put together, `sums` takes the weights along, and `drawing` goes back and draws states.

Kramers & Wannier, Phys. Rev. 60, 252 (1941); site by site: Binder, Physica 62, 508 (1972).
"""

from mcgen.ising.exact.transfer.drawing import MOST_SAMPLE_BITS, sample
from mcgen.ising.exact.transfer.steps import MOST_BITS, check, frontier
from mcgen.ising.exact.transfer.sums import (
    MOST_ELEMENTS,
    MOST_MOMENT_BITS,
    Moments,
    log_partition,
    magnetization_distribution,
    moments,
)

__all__ = [
    "MOST_BITS",
    "MOST_ELEMENTS",
    "MOST_MOMENT_BITS",
    "MOST_SAMPLE_BITS",
    "Moments",
    "check",
    "frontier",
    "log_partition",
    "magnetization_distribution",
    "moments",
    "sample",
]
