"""Bit-sliced Ising kernels on a GPU. The twin of `cpu.py`: same functions, order and arguments, described there.

Words have 32 bits here: a lane of the GPU updates one of the sixteen half words of a vector. Since random words are
addressed by half word, vector and chunk, it draws the same bits.
"""

import numpy as np

from mcgen import _cuda
from mcgen._cuda import cuda, numba
from mcgen.ising.bit_sliced.formulas import (
    CHUNKS,
    DIGITS,
    FIRST_CHUNKS,
    NEXT_HALF,
    NEXT_STRIP,
    PREVIOUS_STRIP,
    VECTORS_AT_ONCE,
)
from mcgen.rng.purpose import ISING_BIT_SLICED

rng = _cuda.formulas("mcgen.rng.formulas")
bits = _cuda.formulas("mcgen.ising.bit_sliced.formulas")

HALVES = 16
BITS = 32
ONE = np.uint32(1)
NONE = np.uint32(0)
ALL = np.uint32(0xFFFFFFFF)
# Places of arrays are unsigned: each signed one would be checked for counting from the end.
LAST_HALF = np.uint32(HALVES - 1)


@_cuda.helper
def _neighbor(spins, half, vector, slot, neighbors, moves, signs, last_strip, starts):
    """The spins at the other ends of one bond of every bit, turned where the bond is antiferromagnetic."""
    move = moves[vector, slot]
    place = half
    if move >= NEXT_HALF:
        place = (half + (ONE if move == NEXT_HALF else LAST_HALF)) & LAST_HALF
    x = spins[neighbors[vector, slot], place]
    if move == NEXT_STRIP:
        x = np.uint32(bits.next_strip(x, ONE, last_strip, starts))
    elif move == PREVIOUS_STRIP:
        x = np.uint32(bits.previous_strip(x, ONE, last_strip, starts))
    row = vector if signs.shape[0] > 1 else NONE
    return np.uint32(x ^ signs[row, slot, half])


@_cuda.helper
def _decide_four(accepted, undecided, first, second, third, digits, place, random):
    """Compare four more digits with four random words."""
    for k in range(4):
        at = place + np.uint32(k)
        accepted, undecided = bits.decide(
            accepted,
            undecided,
            first,
            second,
            third,
            digits[at],
            digits[at + np.uint32(DIGITS)],
            digits[at + np.uint32(2 * DIGITS)],
            rng.pick_word(random, k),
        )
    return np.uint32(accepted), np.uint32(undecided)


@_cuda.helper
def _update_block(
    words, used, neighbors, moves, signs, order, begin, end, digits, both_ways, last_strip, starts, step, group, number,
    half, key0, key1,
):  # fmt: skip
    """Update one half of the vectors order[begin:end] of one colour, at most VECTORS_AT_ONCE. Returns the flips."""
    undecided = cuda.local.array(VECTORS_AT_ONCE, numba.uint32)
    changes = cuda.local.array(VECTORS_AT_ONCE, numba.uint32)
    first = cuda.local.array(VECTORS_AT_ONCE, numba.uint32)
    second = cuda.local.array(VECTORS_AT_ONCE, numba.uint32)
    third = cuda.local.array(VECTORS_AT_ONCE, numba.uint32)
    taken = cuda.local.array(VECTORS_AT_ONCE, numba.uint32)
    unit = np.uint32(HALVES * number) + half
    lanes = used[group, half]
    spins = words[group]
    places = digits[group]
    for b in range(end - begin):
        vector = order[begin + b]
        reference = np.uint32(~spins[vector, half] & ~both_ways)
        n0 = _neighbor(spins, half, vector, 0, neighbors, moves, signs, last_strip, starts)
        n1 = _neighbor(spins, half, vector, 1, neighbors, moves, signs, last_strip, starts)
        n2 = n4 = np.uint32(ALL ^ reference)
        n3 = n5 = reference
        if neighbors.shape[1] > 2:
            n2 = _neighbor(spins, half, vector, 2, neighbors, moves, signs, last_strip, starts)
            n3 = _neighbor(spins, half, vector, 3, neighbors, moves, signs, last_strip, starts)
        if neighbors.shape[1] > 4:
            n4 = _neighbor(spins, half, vector, 4, neighbors, moves, signs, last_strip, starts)
            n5 = _neighbor(spins, half, vector, 5, neighbors, moves, signs, last_strip, starts)
        ones, twos, fours = bits.sum_of_six(
            n0 ^ reference, n1 ^ reference, n2 ^ reference, n3 ^ reference, n4 ^ reference, n5 ^ reference
        )
        certain, even, class_1, class_2, class_3 = bits.update_classes(ones, twos, fours, both_ways)
        class_1, class_2, class_3 = np.uint32(class_1), np.uint32(class_2), np.uint32(class_3)
        waiting = np.uint32((class_1 | class_2 | class_3) & lanes)
        random = rng.philox4x32(np.uint32(CHUNKS) * vector, step, unit, ISING_BIT_SLICED, key0, key1)
        accepted = np.uint32(even & random[0])
        accepted, waiting = _decide_four(accepted, waiting, class_1, class_2, class_3, places, NONE, random)
        random = rng.philox4x32(np.uint32(CHUNKS) * vector + ONE, step, unit, ISING_BIT_SLICED, key0, key1)
        accepted, waiting = _decide_four(accepted, waiting, class_1, class_2, class_3, places, np.uint32(4), random)
        first[b], second[b], third[b] = class_1, class_2, class_3
        undecided[b] = waiting
        changes[b] = np.uint32(certain ^ accepted)

    for stream in range(end - begin):
        waiting = NONE
        class_1 = NONE
        class_2 = NONE
        class_3 = NONE
        for b in range(end - begin):
            here = np.uint32(undecided[b] & ~waiting)
            taken[b] = here
            undecided[b] = np.uint32(undecided[b] ^ here)
            waiting = np.uint32(waiting | here)
            class_1 = np.uint32(class_1 | (here & first[b]))
            class_2 = np.uint32(class_2 | (here & second[b]))
            class_3 = np.uint32(class_3 | (here & third[b]))
        if waiting == 0:
            break
        accepted = NONE
        vector = order[begin + stream]
        for chunk in range(FIRST_CHUNKS, CHUNKS):
            counter = np.uint32(CHUNKS) * vector + np.uint32(chunk)
            random = rng.philox4x32(counter, step, unit, ISING_BIT_SLICED, key0, key1)
            accepted, waiting = _decide_four(
                accepted, waiting, class_1, class_2, class_3, places, np.uint32(4 * chunk), random
            )
            if waiting == 0:
                break
        for b in range(end - begin):
            changes[b] = np.uint32(changes[b] ^ (accepted & taken[b]))

    n_flips = 0
    for b in range(end - begin):
        vector = order[begin + b]
        old = spins[vector, half]
        new = np.uint32((old & ~both_ways) ^ changes[b])
        spins[vector, half] = new
        n_flips += np.int64(cuda.popc(np.uint32((old ^ new) & lanes)))
    return n_flips


@_cuda.helper
def _ones(n):
    """A word whose first n bits are 1."""
    return np.uint32((np.uint64(1) << np.uint64(n)) - np.uint64(1))


@_cuda.helper
def _keep(
    words, draws, energies, magnetizations, neighbors, moves, signs, first_sites, strips, half_strips, last_strip,
    starts, along_last, n_chains, group, half, draw,
):  # fmt: skip
    """Write one half of one draw of the chains of a group: states; satisfied bonds and spins that are up are added."""
    n_vectors = neighbors.shape[0]
    chains_per_half = BITS // strips
    chains_per_group = HALVES // half_strips * chains_per_half
    groups_each = (n_chains + chains_per_group - 1) // chains_per_group
    first_chain = group % groups_each * chains_per_group + half // half_strips * chains_per_half
    first_row = group // groups_each * n_chains
    n_sites = draws.shape[2]
    spins_of_group = words[group]
    for chain in range(chains_per_half):
        if first_chain + chain >= n_chains:
            return
        row = first_row + first_chain + chain
        field = np.uint32(_ones(strips) << np.uint32(chain * strips))  # the strips of this chain
        satisfied = 0
        up = 0
        for number in range(n_vectors):
            vector = np.uint32(number)
            spins = spins_of_group[vector, half]
            up += np.int64(cuda.popc(np.uint32(spins & field)))
            for axis in range(neighbors.shape[1] // 2):
                bond = _neighbor(spins_of_group, half, vector, 2 * axis, neighbors, moves, signs, last_strip, starts)
                satisfied += np.int64(cuda.popc(np.uint32(~(spins ^ bond) & field)))
            if n_sites > 0:
                site = half % half_strips * (n_sites // half_strips) + first_sites[vector]
                for strip in range(strips):
                    bit = (spins >> np.uint32(chain * strips + strip)) & ONE
                    draws[row, draw, site] = 2 * np.int64(bit) - 1
                    site += along_last
        cuda.atomic.add(energies, (row, draw), satisfied)
        cuda.atomic.add(magnetizations, (row, draw), up)


@_cuda.block_kernel
def bit_sliced_sweeps(
    words, draws, energies, magnetizations, flips, used, neighbors, moves, signs, order, first_sites, digits,
    numbers, both_ways, strips, half_strips, along_last, n_chains, shared, n_sweeps, thin,
    first_step, key0, key1,
):  # fmt: skip
    """Sweep groups of chains n_sweeps times, keeping every `thin`-th state.

    A block takes several groups and all their sweeps, one launch for many: its lanes share out the half words and the
    blocks of vectors of one colour of all of them, and wait for each other before the next colour.
    """
    n_groups, n_vectors = words.shape[0], words.shape[1]
    half_vectors = n_vectors // 2
    n_blocks = (half_vectors + VECTORS_AT_ONCE - 1) // VECTORS_AT_ONCE
    together = (n_groups + cuda.gridDim.x - 1) // cuda.gridDim.x
    first_group = cuda.blockIdx.x * together
    here = min(together, n_groups - first_group)
    last_strip = np.uint32(strips - 1)
    starts = np.uint32(np.uint32(0xFFFFFFFF) // _ones(strips))
    for sweep in range(n_sweeps):
        for colour in range(2):
            for item in range(cuda.threadIdx.x, here * n_blocks * HALVES, cuda.blockDim.x):
                half = np.uint32(item % HALVES)
                begin = colour * half_vectors + item // HALVES % n_blocks * VECTORS_AT_ONCE
                end = min(begin + VECTORS_AT_ONCE, (colour + 1) * half_vectors)
                group = first_group + item // (HALVES * n_blocks)
                n_flips = _update_block(
                    words, used, neighbors, moves, signs, order, begin, end, digits, both_ways, last_strip, starts,
                    first_step + sweep, group, numbers[group], half, key0, key1,
                )  # fmt: skip
                cuda.atomic.add(flips, group, n_flips)
            cuda.syncthreads()
        if energies.shape[1] > 0 and (sweep + 1) % thin == 0:
            for item in range(cuda.threadIdx.x, here * HALVES, cuda.blockDim.x):
                _keep(
                    words, draws, energies, magnetizations, neighbors, moves, signs, first_sites, strips, half_strips,
                    last_strip, starts, along_last, n_chains, first_group + item // HALVES, np.uint32(item % HALVES),
                    (sweep + 1) // thin - 1,
                )  # fmt: skip
            cuda.syncthreads()
