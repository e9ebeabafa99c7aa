"""Kernels of the cluster algorithms on the CPU. They have no twin on CUDA: see `obstacle` in walkers.py."""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen.ising.cluster.formulas import CLUSTERS, FLIPS, VISITS
from mcgen.rng.purpose import ISING_SWENDSEN_WANG, ISING_WOLFF

rng = _cpu.formulas("mcgen.rng.formulas")
cluster = _cpu.formulas("mcgen.ising.cluster.formulas")

# Members of Wolff clusters whose random words are drawn together: Philox is then vectorised, four times faster than one
# block at a time.
MEMBERS_TOGETHER = 32


@_cpu.helper
def _set_bond_limits(limits, couplings, beta):
    """The thresholds of bonds. Most couplings equal the one before, and share its exponential."""
    J = couplings[0]
    limit = cluster.threshold(cluster.bond_probability(J, beta))
    for k in range(limits.shape[0]):
        if couplings[k] != J:
            J = couplings[k]
            limit = cluster.threshold(cluster.bond_probability(J, beta))
        limits[k] = limit


@_cpu.helper
def _set_ghost_limits(limits, fields, beta):
    """The thresholds of the bonds to the ghost spin."""
    for site in range(limits.shape[0]):
        limits[site] = cluster.threshold(cluster.ghost_probability(fields[site], beta))


@_cpu.helper
def _place_bonds(bonds, state, ahead, words, limits):
    """bonds[k] = whether the bond between site k and the one `ahead` of it is in place. One vectorised pass."""
    for k in range(ahead.shape[0]):
        bonds[k] = (state[k] == ahead[k]) & (words[k] < limits[k])


@_cpu.helper
def _place_ghost_bonds(held, state, fields, words, limits):
    """held[site] = whether the bond of the site to the ghost spin is in place. One vectorised pass."""
    for site in range(state.shape[0]):
        held[site] = (fields[site] * state[site] > 0.0) & (words[site] < limits[site])


@_cpu.helper
def _drop_needless_bonds(needed, bonds, rows, rows_ahead):
    """The bonds between rows without those whose sites are joined already, by the bond before and one in each row.

    One vectorised pass. It leaves 83 percent of the bonds on the square lattice at its critical point and 61 percent at
    T = 1.5, and each of them costs as much as passing ten sites.
    """
    needed[0] = bonds[0]
    for k in range(1, rows_ahead.shape[0]):
        needed[k] = bonds[k] & ~(bonds[k - 1] & rows[k - 1] & rows_ahead[k - 1])


@_cpu.helper
def _list_sites(sites, chosen):
    """Write the places where `chosen` is 1 to `sites`, without a branch, and return their number."""
    n = np.uint64(0)
    for k in range(chosen.shape[0]):
        sites[n] = k
        n += np.uint64(chosen[k])
    return np.int64(n)


@_cpu.helper
def _join(parents, a, b):
    """Make one cluster of those of a and b. No parent comes after its child, before and afterwards.

    Rem's algorithm: both paths are climbed at once, and each site left behind is linked to the other path. Patwary,
    Blair & Manne, Experiments on union-find algorithms for the disjoint-set data structure, LNCS 6049, 411 (2010).
    """
    while parents[a] != parents[b]:
        if parents[a] < parents[b]:
            a, b = b, a
        above = parents[a]
        parents[a] = parents[b]
        if above == a:
            return
        a = above


@_cpu.helper
def _label_memory(n_sites, shape):
    """The working memory of Swendsen-Wang updates."""
    n_wraps = 0
    for axis in range(shape.shape[0]):
        n_wraps += n_sites // shape[axis]
    return (
        np.empty((n_sites + 3) // 4 * 4, np.uint32),  # words
        np.empty((shape.shape[0], n_sites), np.uint8),  # bonds
        np.empty(n_sites, np.uint8),  # needed
        np.empty((n_wraps, 2), np.uint32),  # wraps
        np.empty(n_sites, np.uint32),  # sites
        np.empty(n_sites, np.uint32),  # parents
        np.empty((n_sites + 31) // 32 * 32, np.uint8),  # flips
    )


@_cpu.helper
def _swendsen_wang(state, memory, limits, ghost_limits, fields, shape, stream):
    """One Swendsen-Wang update of a lattice; returns the numbers of flips and of clusters.

    Bonds are placed in passes over the whole lattice, for which each bond has a random word of its own: Philox and the
    comparison are vectorised. After that no branch depends on a single bond, because half of them are in place, at
    random, and every wrong guess costs as much as ten comparisons: the runs of joined sites along the last axis are
    labelled by arithmetic, and the bonds between them are listed before they are joined. Clusters need no root to be
    looked up: no parent comes after its child, so one pass from low to high sites hands every site its parent's flip.
    """
    words, bonds, needed, wraps, sites, parents, flips = memory
    n_sites = state.shape[0]
    n_dims = shape.shape[0]
    n_blocks = words.shape[0] // 4
    rows = bonds[n_dims - 1]

    # Place the bonds; those that close an axis go to a list of their own.
    n_wraps = 0
    stride = 1
    for axis in range(n_dims - 1, -1, -1):
        rng.fill_stream(words, axis * n_blocks, *stream)
        _place_bonds(bonds[axis], state, state[stride:], words, limits[axis])
        period = stride * shape[axis]
        for start in range(0, n_sites, period):
            for first in range(start, start + stride):
                last = first + period - stride
                bonds[axis, last] = 0
                wraps[n_wraps, 0] = last
                wraps[n_wraps, 1] = first
                n_wraps += (state[last] == state[first]) & (words[last] < limits[axis, last])
        stride = period

    # Join the sites.
    parents[0] = 0
    before = np.uint32(0)  # sites of the same run before this one
    for site in range(1, n_sites):
        before = (before + np.uint32(1)) & -np.uint32(rows[site - 1])
        parents[site] = np.uint32(site) - before
    stride = shape[n_dims - 1]
    for axis in range(n_dims - 2, -1, -1):
        _drop_needless_bonds(needed, bonds[axis], rows, rows[stride:])
        ahead = np.uint32(stride)
        for k in range(_list_sites(sites, needed[: n_sites - stride])):
            # The parent of a site's parent is its root most often.
            _join(parents, parents[parents[sites[k] + ahead]], parents[parents[sites[k]]])
        stride *= shape[axis]
    for k in range(n_wraps):
        _join(parents, wraps[k, 0], wraps[k, 1])

    # Flip the clusters. Every site gets a coin; those of roots count.
    rng.fill_stream(words[: (n_sites + 127) // 128 * 4], n_dims * n_blocks, *stream)
    for k in range((n_sites + 31) // 32):
        for bit in range(32):
            flips[32 * k + bit] = (words[k] >> np.uint32(bit)) & np.uint32(1)
    if ghost_limits.shape[0] > 0:
        held = needed
        rng.fill_stream(words, (n_dims + 1) * n_blocks, *stream)
        _place_ghost_bonds(held, state, fields, words, ghost_limits)
        for site in range(n_sites - 1, -1, -1):
            held[parents[site]] |= held[site]
        for site in range(n_sites):
            flips[site] &= ~held[site]
    for site in range(n_sites):
        flips[site] = flips[parents[site]]
    n_flips, n_clusters = 0, 0
    for site in range(n_sites):
        state[site] = -state[site] if flips[site] else state[site]
        n_flips += flips[site]
        n_clusters += parents[site] == site
    return n_flips, n_clusters


@_cpu.helper
def _wolff(state, memory, neighbors, limits, ghost_limits, fields, n_clusters, stream):
    """Grow and flip Wolff clusters, one after the other; returns the numbers of flips and of sites visited.

    Members are flipped as they join, so that no site is asked twice, and are listed in the order in which their
    neighbours are asked. Whether a neighbour joins is no branch: it is written behind the list in any case, and the
    list grows by 0 or 1. A cluster that meets the ghost spin is turned back at once; the rest of it need not be known.
    Random words are used in their order: one for a seed, one for each bond of each member.
    """
    members, words = memory
    n_neighbors = neighbors.shape[1]
    has_ghost = ghost_limits.shape[0] > 0
    n_words = n_neighbors + has_ghost
    place, block = 0, 0
    rng.fill_stream(words, block, *stream)
    n_flips, n_visits = 0, 0
    for _ in range(n_clusters):
        seed = rng.pick_below(words[place], state.shape[0])
        place += 1
        spin = state[seed]
        state[seed] = -spin
        members[0] = seed
        # Unsigned, because Numba asks of every signed index whether it counts from the end.
        n_members, n_asked = np.uint64(1), np.uint64(0)
        is_held = False
        while n_asked < n_members and not is_held:
            site = members[n_asked]
            n_asked += np.uint64(1)
            for k in range(n_neighbors):
                neighbor = neighbors[site, k]
                joins = (state[neighbor] == spin) & (words[place + k] < limits[site, k])
                state[neighbor] = -spin if joins else state[neighbor]
                members[n_members] = neighbor
                n_members += np.uint64(joins)
            if has_ghost:
                is_held = (fields[site] * spin > 0.0) & (words[place + n_neighbors] < ghost_limits[site])
            place += n_words
            if place + n_words >= words.shape[0]:  # too few for a seed and a member: the rest is not used
                place, block = 0, block + words.shape[0] // 4
                rng.fill_stream(words, block, *stream)
        n_visits += np.int64(n_members)
        if is_held:
            for k in range(n_members):
                state[members[k]] = spin
        else:
            n_flips += np.int64(n_members)
    return n_flips, n_visits


@_cpu.kernel
def cluster_sweeps(
    states,
    draws,
    counts,
    neighbors,
    couplings,
    fields,
    shape,
    betas,
    numbers,
    has_field,
    whole_lattice,
    n_clusters,
    n_sweeps,
    thin,
    first_step,
    key0,
    key1,
):
    """Sweep every walker n_sweeps times with cluster updates, keeping every `thin`-th state.

    A sweep is one Swendsen-Wang update, if whole_lattice is true, and then n_clusters Wolff clusters. One thread takes
    one walker at a time and all its sweeps.

    Parameters
    ----------
    states : int8 (n_walkers, n_sites), modified
        The spins, +-1.
    draws : int8 (n_walkers, n_draws, n_sites), modified
        Filled with the states after sweeps thin, 2 thin, ...; n_draws may be 0.
    counts : int64 (n_walkers, 3), modified
        The numbers of flips, of Swendsen-Wang clusters and of sites visited by Wolff clusters are added.
    neighbors, couplings : uint32 and float64 (n_sites, 2 n_dims)
        Forward and backward along each axis, as in `Ising.neighbor_table`; no coupling is negative.
    fields : float64 (n_sites,)
    shape : int64 (n_dims,)
    betas : float64 (n_walkers,)
        1 / temperature.
    numbers : uint32 (n_walkers,)
        Of the walkers in the random streams.
    has_field : bool
        Whether any field is not 0.
    whole_lattice : bool
    n_clusters : int64 (n_walkers,)
    n_sweeps, thin : int
    first_step : int
        Number of sweeps made before: the random numbers of sweep k have step first_step + k.
    key0, key1 : uint32
        The seed.
    """
    n_sites, n_neighbors = neighbors.shape
    for walker in prange(states.shape[0]):
        state = states[walker]
        # What is not needed has no sites.
        n_labelled = n_sites if whole_lattice else 0
        n_grown = n_sites if n_clusters[walker] > 0 else 0
        labels = _label_memory(n_labelled, shape)
        bond_limits = np.empty((shape.shape[0], n_labelled), np.uint32)
        for axis in range(shape.shape[0]):
            _set_bond_limits(bond_limits[axis], couplings[:, 2 * axis], betas[walker])
        growth = (
            np.empty(n_grown + 1, np.uint32),  # members
            np.empty(MEMBERS_TOGETHER * (n_neighbors + has_field), np.uint32),  # words
        )
        neighbor_limits = np.empty((n_grown, n_neighbors), np.uint32)
        _set_bond_limits(neighbor_limits.reshape(-1), couplings.reshape(-1), betas[walker])
        ghost_limits = np.empty(n_sites if has_field else 0, np.uint32)
        _set_ghost_limits(ghost_limits, fields, betas[walker])
        for sweep in range(n_sweeps):
            step = first_step + sweep
            if n_labelled > 0:
                stream = (step, numbers[walker], ISING_SWENDSEN_WANG, key0, key1)
                n_flips, n_built = _swendsen_wang(state, labels, bond_limits, ghost_limits, fields, shape, stream)
                counts[walker, FLIPS] += n_flips
                counts[walker, CLUSTERS] += n_built
            if n_grown > 0:
                stream = (step, numbers[walker], ISING_WOLFF, key0, key1)
                n_flips, n_visits = _wolff(
                    state, growth, neighbors, neighbor_limits, ghost_limits, fields, n_clusters[walker], stream
                )
                counts[walker, FLIPS] += n_flips
                counts[walker, VISITS] += n_visits
            draw = (sweep + 1) // thin - 1
            if draws.shape[1] > 0 and (sweep + 1) % thin == 0:
                for site in range(n_sites):
                    draws[walker, draw, site] = state[site]
