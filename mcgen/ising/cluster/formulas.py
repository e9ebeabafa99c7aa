"""Scalar formulas of cluster algorithms: how probable it is that two equal spins belong to one cluster.

Fortuin and Kasteleyn write the Boltzmann factor of a ferromagnetic bond as a sum over whether the bond is in place:
e^{beta J s s'} = e^{beta J} [(1 - p) + p delta(s, s')] with p = 1 - e^{-2 beta J}. Given the spins, a bond is in place
with probability p where they are equal, and not at all where they differ; given the bonds, the sites that they join
are all up or all down, and each cluster is so independently of the others.
"""

import numpy as np

from mcgen.formulas import exp_negative

TWO_TO_32 = 4294967296.0

# What kernels count for each walker: flips, clusters of Swendsen-Wang updates, sites visited by Wolff clusters.
FLIPS, CLUSTERS, VISITS = 0, 1, 2


def bond_probability(J, beta):
    """p = 1 - e^{-2 beta J}, the probability that a bond J >= 0 between equal spins is in place; beta = 1/T.

    Fortuin & Kasteleyn, Physica 57, 536 (1972); Swendsen & Wang, Phys. Rev. Lett. 58, 86 (1987); Wolff, Phys. Rev.
    Lett. 62, 361 (1989).
    """
    return 1.0 - exp_negative(-2.0 * beta * J)


def ghost_probability(B, beta):
    """1 - e^{-2 beta |B|}, the probability that a spin along its field B is joined to the ghost spin; beta = 1/T.

    The field is a bond to one more spin, the ghost, which is held up: -B s = -|B| (s sign B), a ferromagnetic bond |B|
    for spins counted along their fields. Griffiths, J. Math. Phys. 8, 484 (1967); Wang, Physica A 161, 249 (1989).
    """
    return bond_probability(abs(B), beta)


def threshold(p):
    """The number of 32-bit words that stand for an event of probability p, which happens where word < threshold.

    Rounded, and at most 2^32 - 1: the probability of the event is p to within 2^-32.
    """
    return np.uint32(min(p * TWO_TO_32 + 0.5, TWO_TO_32 - 1.0))
