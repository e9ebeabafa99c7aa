"""Bit-sliced sweeps against the same algorithm spin by spin: every random bit goes where it should, and only there."""

import numpy as np
import pytest

from mcgen import backend, ising, rng
from mcgen.formulas import metropolis_acceptance, sigmoid
from mcgen.ising.bit_sliced import layout as layouts
from mcgen.ising.bit_sliced.formulas import CHUNKS, FIRST_CHUNKS, VECTORS_AT_ONCE
from mcgen.ising.methods import make_walkers

SEED = 0xF123456789ABCDEF


def sweep(lattice, states, temperature, method, step):
    """One sweep of spins +-1, shape (n_chains, n_sites), modified. Returns how many vectors shared a lane at most."""
    most = 0
    cut = layouts.layout(lattice)
    n_halves = 16 * cut.n_groups(len(states))
    words = rng.words(SEED, rng.purpose.ISING_BIT_SLICED, n_halves, 4 * CHUNKS * cut.n_vectors, step)
    neighbors, couplings = lattice.neighbor_table
    strength = abs(couplings[0, 0])
    coordinates = np.stack(np.unravel_index(np.arange(lattice.n_sites), lattice.shape), axis=1)
    colour = coordinates.sum(axis=1) % 2
    # Where a site lies: its vector, and its strips along the first and the last axis.
    inside = coordinates.copy()
    half_strip = strip = np.zeros(lattice.n_sites, int)
    if cut.half_strips > 1:
        half_strip, inside[:, 0] = np.divmod(coordinates[:, 0], lattice.shape[0] // cut.half_strips)
    strip, inside[:, -1] = np.divmod(coordinates[:, -1], lattice.shape[-1] // cut.strips)
    vector = np.ravel_multi_index(inside.T, cut.shape)

    def bit(chain, site, counter, k):
        """Random bit number k of a counter, for the lane of a site."""
        group, within = divmod(chain, cut.chains_per_group)
        half_chain, bit_chain = divmod(within, 32 // cut.strips)
        half = half_chain * cut.half_strips + half_strip[site]
        return int(words[16 * group + half, 4 * counter + k] >> (bit_chain * cut.strips + strip[site])) & 1

    def probability(cost):
        p = metropolis_acceptance(cost) if method == "metropolis" else sigmoid(-cost)
        return min(round(p * 2.0**32), 2**32 - 1)

    for this in (0, 1):
        vectors = sorted({int(v) for v, c in zip(vector, colour, strict=True) if c == this})
        for begin in range(0, len(vectors), VECTORS_AT_ONCE):
            block = vectors[begin : begin + VECTORS_AT_ONCE]
            streams = {}  # how many vectors were undecided in a lane so far
            for v in block:
                for chain in range(len(states)):
                    for site in np.flatnonzero(vector == v):
                        s = int(states[chain, site])
                        h = round(float(couplings[site] @ states[chain, neighbors[site]]) / strength)  # -6 to 6
                        lane = chain, int(half_strip[site]), int(strip[site])
                        majority = s if method == "metropolis" else (1 if h > 0 else -1)
                        against = majority * h  # what a flip away from the majority costs, over 2 |J|
                        if h == 0:
                            accepted = bit(chain, site, CHUNKS * v, 0)
                            flips = accepted if method == "metropolis" else (1 if accepted else -1) != s
                            states[chain, site] = -s if flips else s
                            continue
                        if against < 0:
                            states[chain, site] = -s
                            continue
                        p = probability(2 * strength * against / temperature)
                        u = 0
                        for chunk in range(FIRST_CHUNKS):
                            for k in range(4):
                                u = 2 * u + bit(chain, site, CHUNKS * v + chunk, k)
                        if u == p >> (32 - 4 * FIRST_CHUNKS):
                            lent = block[streams.get(lane, 0)]
                            streams[lane] = streams.get(lane, 0) + 1
                            most = max(most, streams[lane])
                            for chunk in range(FIRST_CHUNKS, CHUNKS):
                                for k in range(4):
                                    u = 2 * u + bit(chain, site, CHUNKS * lent + chunk, k)
                            accepted = u < p
                        else:
                            accepted = u < p >> (32 - 4 * FIRST_CHUNKS)
                        states[chain, site] = -majority if accepted else majority
    return most


GLASS = np.where(np.random.default_rng(4).random((2, 2, 8)) < 0.5, -0.5, 0.5)
SYSTEMS = {
    "ring": (ising.Ising((40,)), 1500, 2.0),  # five vectors of a colour share digits
    "square": (ising.Ising((4, 6)), 600, 2.269),
    "half strips": (ising.Ising((32, 4), -1.0), 20, 3.0),
    "glass": (ising.Ising((2, 8), GLASS), 200, 0.8),
    "cube": (ising.Ising((2, 4, 4), 0.7), 70, 3.0),
}


@pytest.mark.parametrize("method", ["metropolis", "heatbath"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_sweeps_spin_by_spin(name, method):
    lattice, n_chains, temperature = SYSTEMS[name]
    states = np.where(np.random.default_rng(1).random((n_chains, lattice.n_sites)) < 0.5, -1, 1).astype(np.int8)
    walkers = make_walkers(
        lattice, np.array([temperature]), states[None].copy(), method, SEED, backend.target("cpu"), "bit-sliced"
    )
    shared = 0
    for step in range(6 if name == "ring" else 2):
        shared = max(shared, sweep(lattice, states, temperature, method, step))
        assert (walkers.draw(1, 1).states[0, :, 0] == states).all()
    if name == "ring":
        assert shared == 2  # the second of two undecided vectors took the digits of another stream
