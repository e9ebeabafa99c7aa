"""Scalar formulas of the Ising model, H(s) = -sum_<ij> J_ij s_i s_j - sum_i B_i s_i with s_i = +-1.

J_ij couplings and B_i fields are energies; k_B = 1, so temperatures T are energies too.
"""

from mcgen.formulas import metropolis_acceptance, sigmoid

# The rules of a single spin flip, as kernels know them.
METROPOLIS = 0
HEAT_BATH = 1


def local_field(state, site, neighbors, couplings, fields):
    """h_i = B_i + sum_j J_ij s_j, the field that spin i = site feels.

    neighbors and couplings list the partners of every site and the J_ij, shape (n_sites, n_neighbors).
    """
    h = fields[site]
    for k in range(neighbors.shape[1]):
        h += couplings[site, k] * state[neighbors[site, k]]
    return h


def flip_probability(rule, s, h, beta):
    """The probability that spin s in the local field h flips at the inverse temperature beta = 1/T.

    The flip costs the energy dE = 2 s h. Metropolis et al., J. Chem. Phys. 21, 1087 (1953); heat bath (Glauber),
    J. Math. Phys. 4, 294 (1963): p = 1 / (1 + e^{dE/T}).
    """
    x = 2.0 * beta * s * h
    if rule == METROPOLIS:
        return metropolis_acceptance(x)
    return sigmoid(-x)
