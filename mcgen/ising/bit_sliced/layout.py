"""Where the spins of many lattices lie in words: a group of chains fills 512 lanes.

A lattice is cut into equal strips, 16 along its first axis (if it has more than one and its length is a multiple of 32)
and up to 32 along its last. Spins at the same place of their strips share a vector of 512 bits, so that a lattice of
any size is one of fewer sites, updated 512 at a time: neighbours inside a strip are whole vectors, and those across
the end of a strip are the same vector with its lanes moved round by one strip. A strip has an even length along every
axis, so all lanes of a vector have one colour of the checkerboard. Lanes that are left are filled with further chains.

Lane = 32 * half + bit, where `half` (0 to 15, in the order of memory) is the strip of the first axis, and the strips of
the last axis are neighbouring bits. The layout depends on the shape alone: neither on the device nor on the number of
threads or chains, so that a seed gives the same spins everywhere.
"""

import dataclasses
import functools
import math

import numpy as np

from mcgen.ising.bit_sliced.formulas import NEXT_HALF, NEXT_STRIP, PREVIOUS_HALF, PREVIOUS_STRIP
from mcgen.ising.lattice import Ising

HALVES = 16
BITS = 32
WORDS = HALVES // 2
MOST_AXES = 3


def obstacle(lattice: Ising) -> str:
    """Why the spins of a lattice cannot be updated as bits, or an empty string."""
    if lattice.field.any():
        return "it has a field"
    if lattice.n_dims > MOST_AXES:
        return f"it has {lattice.n_dims} axes, more than {MOST_AXES}"
    if not all(lattice.periodic):
        return "a boundary is open"
    if not lattice.is_bipartite:
        return "a periodic axis has an odd length"
    strength = np.abs(lattice.coupling)
    if np.ptp(strength) != 0:
        return "its couplings differ in magnitude"
    return "its couplings are 0" if strength.flat[0] == 0 else ""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The strips of a lattice, and its vectors of lanes as a smaller lattice.

    Attributes
    ----------
    lattice : Ising
    strips : int
        Strips along the last axis: neighbouring bits.
    half_strips : int
        Strips along the first axis: 16, or 1 where the halves hold chains of their own.
    """

    lattice: Ising
    strips: int
    half_strips: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one strip: a lattice of vectors."""
        shape = list(self.lattice.shape)
        shape[0] //= self.half_strips
        shape[-1] //= self.strips
        return tuple(shape)

    @property
    def n_vectors(self) -> int:
        """Vectors of 512 lanes in a group."""
        return math.prod(self.shape)

    @property
    def chains_per_group(self) -> int:
        """Chains that share the 512 lanes of a group."""
        return (HALVES // self.half_strips) * (BITS // self.strips)

    def n_groups(self, n_chains: int) -> int:
        """Groups that hold n_chains chains."""
        return -(-n_chains // self.chains_per_group)

    @functools.cached_property
    def order(self) -> np.ndarray:
        """The vectors, all of even colour first, then the odd ones: uint32 (n_vectors,). There are as many of each."""
        colour = np.indices(self.shape).sum(axis=0).ravel() % 2
        return np.argsort(colour, kind="stable").astype(np.uint32)

    @functools.cached_property
    def neighbors(self) -> tuple[np.ndarray, np.ndarray]:
        """The neighbours of every vector, and how their lanes are moved: uint32 and int8 (n_vectors, 2 n_dims).

        Along each axis the next one, then the one before.
        """
        vectors = np.arange(self.n_vectors, dtype=np.uint32).reshape(self.shape)
        neighbors, moves = [], []
        last = self.lattice.n_dims - 1
        for axis in range(self.lattice.n_dims):
            for step in (1, -1):
                neighbors.append(np.roll(vectors, -step, axis))
                move = np.zeros(self.shape, np.int8)
                end = (slice(None),) * axis + (-1 if step == 1 else 0,)
                if axis == 0 and self.half_strips > 1:
                    move[end] = NEXT_HALF if step == 1 else PREVIOUS_HALF
                elif axis == last and self.strips > 1:
                    move[end] = NEXT_STRIP if step == 1 else PREVIOUS_STRIP
                moves.append(move)
        return tuple(
            np.ascontiguousarray(np.stack([array.ravel() for array in arrays], 1)) for arrays in (neighbors, moves)
        )

    @functools.cached_property
    def signs(self) -> np.ndarray:
        """Lanes in which the bond to a neighbour is antiferromagnetic: uint64 (n_rows, 2 n_dims, 8).

        One row for all vectors where the bonds of a direction are equal, otherwise a row for each.
        """
        _, couplings = self.lattice.neighbor_table
        negative = couplings < 0
        if (negative == negative[0]).all():
            return np.where(negative[0][None, :, None], ~np.uint64(0), np.uint64(0)) + np.zeros(
                (1, 1, WORDS), np.uint64
            )
        chains = np.broadcast_to(negative.T[None], (self.chains_per_group, *negative.T.shape))
        return np.ascontiguousarray(np.stack([self.pack(chains[:, k])[0] for k in range(negative.shape[1])], axis=1))

    def lanes_of(self, chains: np.ndarray) -> np.ndarray:
        """The lanes of some chains: bool (n_chains,) to uint64 (n_groups, 8)."""
        half, bit = np.divmod(np.arange(HALVES * BITS), BITS)
        chain_of_lane = half // self.half_strips * (BITS // self.strips) + bit // self.strips
        padded = np.zeros((self.n_groups(len(chains)), self.chains_per_group), bool)
        padded.ravel()[: len(chains)] = chains
        return _words(padded[:, chain_of_lane])

    @functools.cached_property
    def first_sites(self) -> np.ndarray:
        """The site of every vector in the first strip: int32 (n_vectors,)."""
        sites = np.arange(self.lattice.n_sites, dtype=np.int32).reshape(self.lattice.shape)
        return np.ascontiguousarray(sites[tuple(slice(length) for length in self.shape)].ravel())

    def _split(self, n_groups: int) -> tuple[int, ...]:
        """(groups, halves of chains, bits of chains, strips of halves, sites, ..., strips of bits, sites)."""
        shape = self.shape
        inner = (self.half_strips, shape[0], *shape[1:-1])
        if self.lattice.n_dims == 1:  # one axis, cut into bits only
            inner = (1,)
        return (n_groups, HALVES // self.half_strips, BITS // self.strips, *inner, self.strips, shape[-1])

    def pack(self, up: np.ndarray) -> np.ndarray:
        """Words from bits of every chain: bool (n_chains, n_sites) to uint64 (n_groups, n_vectors, 8)."""
        n_groups = self.n_groups(len(up))
        full = np.zeros((n_groups * self.chains_per_group, self.lattice.n_sites), bool)
        full[: len(up)] = up
        axes = full.reshape(self._split(n_groups))
        n_middle = axes.ndim - 6  # site axes between the strips of halves and those of bits
        sites = (*range(4, 4 + n_middle), axes.ndim - 1)
        moved = axes.transpose(0, *sites, 1, 3, 2, axes.ndim - 2)
        return _words(moved.reshape(n_groups, self.n_vectors, HALVES * BITS))


def _words(bits: np.ndarray) -> np.ndarray:
    """Bits along the last axis, packed into 64-bit words, least significant first."""
    packed = np.packbits(np.ascontiguousarray(bits), axis=-1, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False)


def layout(lattice: Ising) -> Layout:
    """The layout of a lattice: as many strips as its shape allows."""
    half_strips = HALVES if lattice.n_dims > 1 and lattice.shape[0] % (2 * HALVES) == 0 else 1
    strips = 1
    while strips < BITS and lattice.shape[-1] % (4 * strips) == 0:
        strips *= 2
    return Layout(lattice, strips, half_strips)
