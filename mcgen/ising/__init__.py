"""The Ising model: the truth that models are learned from and checked against."""

from mcgen.ising import exact
from mcgen.ising.lattice import Ising
from mcgen.ising.sampling import Samples, sample, stream
from mcgen.ising.shares import chains_of_rank

__all__ = ["Ising", "Samples", "chains_of_rank", "exact", "sample", "stream"]
