"""Bit-sliced Ising kernels on the CPU. The twin of `cuda.py`: same functions, order and arguments.

A group of chains is an array of vectors of 512 lanes (see `layout.py`); `mcgen._lanes` makes such a vector one number.
The cost of an update is that of its random bits: Philox takes 6 instructions a round for 512 bits, 30 for each binary
digit of a decision, all else about 60 in all. So what saves time is drawing fewer digits. Compared vector by vector
until every lane is decided, 12 digits would be drawn on average. Here each vector draws FIRST_DIGITS = 8, after which
two lanes in 512 are undecided, and up to VECTORS_AT_ONCE = 8 vectors share what follows: each lane gives its further
digits to the first vector that is undecided there, and those of the next draw to the second. No random bit is used
twice, and 9 digits are drawn on average.
"""

import numpy as np
from numba import prange

from mcgen import _cpu, _lanes
from mcgen._vectors import wide_vectors
from mcgen.ising.bit_sliced.formulas import (
    CHUNKS,
    DIGITS,
    FIRST_CHUNKS,
    NEXT_HALF,
    NEXT_STRIP,
    PREVIOUS_HALF,
    PREVIOUS_STRIP,
    STAY,
    VECTORS_AT_ONCE,
)
from mcgen.rng.purpose import ISING_BIT_SLICED

rng = _cpu.formulas("mcgen.rng.formulas")
bits = _cpu.formulas("mcgen.ising.bit_sliced.formulas")

any_bit, fill, load, store = _lanes.any_bit, _lanes.fill, _lanes.load, _lanes.store
next_half, previous_half = _lanes.next_half, _lanes.previous_half
number_of_ones, ones_of_halves = _lanes.number_of_ones, _lanes.ones_of_halves
WORDS = _lanes.WORDS
EVEN_NUMBERS = _lanes.EVEN_NUMBERS

LOW_HALF = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
ONE = np.uint64(1)
ALL = ~np.uint64(0)
BOTH_HALVES = np.uint64(0x100000001)

# Rows of a worker's scratch memory, each with one entry of eight words for every vector of a block.
UNDECIDED, CHANGES, FIRST, SECOND, THIRD, TAKEN = (row * VECTORS_AT_ONCE * WORDS for row in range(6))
SCRATCH = 6 * VECTORS_AT_ONCE * WORDS


@_cpu.inlined
def _random_bits(counter, step, number, key0, key1):
    """Four random words for each lane of the group with this number: two counters for the halves of eight words."""
    unit = fill(2 * WORDS * number) + load(EVEN_NUMBERS, 0)
    low = rng.philox_rounds(fill(counter), fill(step), unit, fill(ISING_BIT_SLICED), key0, key1)
    high = rng.philox_rounds(fill(counter), fill(step), unit + 1, fill(ISING_BIT_SLICED), key0, key1)
    return (
        (low[0] & LOW_HALF) | (high[0] << HALF),
        (low[1] & LOW_HALF) | (high[1] << HALF),
        (low[2] & LOW_HALF) | (high[2] << HALF),
        (low[3] & LOW_HALF) | (high[3] << HALF),
    )


@_cpu.inlined
def _neighbor(words, base, vector, slot, neighbors, moves, signs, last_strip, starts):
    """The spins at the other ends of one bond of every lane, turned where the bond is antiferromagnetic."""
    x = load(words, base + WORDS * np.int64(neighbors[vector, slot]))
    move = moves[vector, slot]
    if move != STAY:
        if move == NEXT_STRIP:
            x = bits.next_strip(x, ONE, last_strip, starts)
        elif move == PREVIOUS_STRIP:
            x = bits.previous_strip(x, ONE, last_strip, starts)
        elif move == NEXT_HALF:
            x = next_half(x)
        elif move == PREVIOUS_HALF:
            x = previous_half(x)
    row = vector if signs.shape[0] > 1 else 0
    return x ^ load(signs, (signs.shape[1] * row + slot) * WORDS)


@_cpu.inlined
def _decide_four(accepted, undecided, first, second, third, digits, group, place, random):
    """Compare four more digits with four random words."""
    for k in range(4):
        accepted, undecided = bits.decide(
            accepted,
            undecided,
            first,
            second,
            third,
            digits[group, place + k],
            digits[group, DIGITS + place + k],
            digits[group, 2 * DIGITS + place + k],
            random[k],
        )
    return accepted, undecided


@_cpu.helper
def _update_block(
    words, used, scratch, neighbors, moves, signs, order, begin, end, digits, both_ways,
    last_strip, starts, step, group, number, key0, key1,
):  # fmt: skip
    """Update the vectors order[begin:end] of one colour, at most VECTORS_AT_ONCE. Returns the number of flips."""
    wide_vectors()
    base = group * neighbors.shape[0] * WORDS
    lanes = load(used, group * WORDS)
    for b in range(end - begin):
        vector = np.int64(order[begin + b])
        place = base + WORDS * vector
        # Metropolis counts the neighbours that agree with the spin, the heat bath those that are up.
        reference = ~load(words, place) & ~both_ways
        n0 = _neighbor(words, base, vector, 0, neighbors, moves, signs, last_strip, starts)
        n1 = _neighbor(words, base, vector, 1, neighbors, moves, signs, last_strip, starts)
        n2 = n4 = fill(ALL) ^ reference
        n3 = n5 = reference
        if neighbors.shape[1] > 2:
            n2 = _neighbor(words, base, vector, 2, neighbors, moves, signs, last_strip, starts)
            n3 = _neighbor(words, base, vector, 3, neighbors, moves, signs, last_strip, starts)
        if neighbors.shape[1] > 4:
            n4 = _neighbor(words, base, vector, 4, neighbors, moves, signs, last_strip, starts)
            n5 = _neighbor(words, base, vector, 5, neighbors, moves, signs, last_strip, starts)
        ones, twos, fours = bits.sum_of_six(
            n0 ^ reference, n1 ^ reference, n2 ^ reference, n3 ^ reference, n4 ^ reference, n5 ^ reference
        )
        certain, even, first, second, third = bits.update_classes(ones, twos, fours, both_ways)
        undecided = (first | second | third) & lanes
        random = _random_bits(CHUNKS * vector, step, number, key0, key1)
        accepted = even & random[0]
        accepted, undecided = _decide_four(accepted, undecided, first, second, third, digits, group, 0, random)
        random = _random_bits(CHUNKS * vector + 1, step, number, key0, key1)
        accepted, undecided = _decide_four(accepted, undecided, first, second, third, digits, group, 4, random)
        entry = b * WORDS
        store(scratch, UNDECIDED + entry, undecided)
        store(scratch, CHANGES + entry, certain ^ accepted)
        store(scratch, FIRST + entry, first)
        store(scratch, SECOND + entry, second)
        store(scratch, THIRD + entry, third)

    # The digits after the first eight: one stream of random words for the first vector that is undecided in each lane,
    # another one for the second, ...
    for stream in range(end - begin):
        undecided = first = second = third = fill(0)
        for b in range(end - begin):
            entry = b * WORDS
            waiting = load(scratch, UNDECIDED + entry)
            taken = waiting & ~undecided
            store(scratch, UNDECIDED + entry, waiting ^ taken)
            store(scratch, TAKEN + entry, taken)
            undecided = undecided | taken
            first = first | (taken & load(scratch, FIRST + entry))
            second = second | (taken & load(scratch, SECOND + entry))
            third = third | (taken & load(scratch, THIRD + entry))
        if not any_bit(undecided):
            break
        accepted = fill(0)
        vector = np.int64(order[begin + stream])
        for chunk in range(FIRST_CHUNKS, CHUNKS):
            random = _random_bits(CHUNKS * vector + chunk, step, number, key0, key1)
            accepted, undecided = _decide_four(
                accepted, undecided, first, second, third, digits, group, 4 * chunk, random
            )
            if not any_bit(undecided):
                break
        for b in range(end - begin):
            entry = b * WORDS
            changes = load(scratch, CHANGES + entry)
            store(scratch, CHANGES + entry, changes ^ (accepted & load(scratch, TAKEN + entry)))

    n_flips = 0
    for b in range(end - begin):
        place = base + WORDS * np.int64(order[begin + b])
        old = load(words, place)
        new = (old & ~both_ways) ^ load(scratch, CHANGES + b * WORDS)
        store(words, place, new)
        n_flips += number_of_ones((old ^ new) & lanes)
    return n_flips


@_cpu.helper
def _keep(
    words, draws, energies, magnetizations, neighbors, moves, signs, first_sites, strips, half_strips,
    last_strip, starts, along_last, n_chains, group, draw,
):  # fmt: skip
    """Write one draw of the chains of a group: their states, satisfied bonds, and spins that are up."""
    wide_vectors()
    n_vectors = neighbors.shape[0]
    base = group * n_vectors * WORDS
    chains_per_half = 32 // strips
    # Counts for each half word and each chain in it, added up over the vectors.
    satisfied = np.zeros(chains_per_half * WORDS, np.uint64)
    up = np.zeros(chains_per_half * WORDS, np.uint64)
    field = ((ONE << np.uint64(strips)) - ONE) * BOTH_HALVES  # the strips of the first chain of each half
    for vector in range(n_vectors):
        spins = load(words, base + WORDS * vector)
        for axis in range(neighbors.shape[1] // 2):
            bonds = ~spins ^ _neighbor(words, base, vector, 2 * axis, neighbors, moves, signs, last_strip, starts)
            for chain in range(chains_per_half):
                count = ones_of_halves(bonds & (field << np.uint64(chain * strips)))
                store(satisfied, chain * WORDS, load(satisfied, chain * WORDS) + count)
        for chain in range(chains_per_half):
            count = ones_of_halves(spins & (field << np.uint64(chain * strips)))
            store(up, chain * WORDS, load(up, chain * WORDS) + count)
    n_halves = 2 * WORDS
    chains_per_group = n_halves // half_strips * chains_per_half
    groups_each = (n_chains + chains_per_group - 1) // chains_per_group
    first_chain = group % groups_each * chains_per_group
    first_row = group // groups_each * n_chains + first_chain
    chains_here = min(chains_per_group, n_chains - first_chain)
    n_sites = draws.shape[2]
    # One chain after the other, so that what is written lies close together.
    along_first = n_sites // half_strips
    for chain in range(chains_here):
        row = first_row + chain
        for half_strip in range(half_strips):
            half = chain // chains_per_half * half_strips + half_strip
            place = chain % chains_per_half * WORDS + half // 2
            shift = np.uint64(32 * (half % 2))
            energies[row, draw] += np.int64((satisfied[place] >> shift) & LOW_HALF)
            magnetizations[row, draw] += np.int64((up[place] >> shift) & LOW_HALF)
    if n_sites == 0:
        return
    for chain in range(chains_here):
        for half_strip in range(half_strips):
            half = chain // chains_per_half * half_strips + half_strip
            for vector in range(n_vectors):
                word = words[group, vector, half // 2] >> np.uint64(32 * (half % 2) + chain % chains_per_half * strips)
                # Strips of the last axis are as long as the vectors' lattice is there.
                site = half_strip * along_first + first_sites[vector]
                for strip in range(strips):
                    draws[first_row + chain, draw, site] = 2 * np.int8((word >> np.uint64(strip)) & np.uint64(1)) - 1
                    site += along_last


@_cpu.helper
def _sweep_group(
    words, draws, energies, magnetizations, used, scratch, neighbors, moves, signs, order, first_sites, digits,
    both_ways, strips, half_strips, last_strip, starts, along_last, n_chains, n_sweeps, thin, first_step, group,
    number, key0, key1,
):  # fmt: skip
    """All sweeps and draws of one group. Returns the number of flips."""
    half = words.shape[1] // 2
    n_flips = 0
    for sweep in range(n_sweeps):
        for colour in range(2):
            for begin in range(colour * half, (colour + 1) * half, VECTORS_AT_ONCE):
                end = min(begin + VECTORS_AT_ONCE, (colour + 1) * half)
                n_flips += _update_block(
                    words, used, scratch, neighbors, moves, signs, order, begin, end, digits, both_ways, last_strip,
                    starts, first_step + sweep, group, number, key0, key1,
                )  # fmt: skip
        if energies.shape[1] > 0 and (sweep + 1) % thin == 0:
            _keep(
                words, draws, energies, magnetizations, neighbors, moves, signs, first_sites, strips, half_strips,
                last_strip, starts, along_last, n_chains, group, (sweep + 1) // thin - 1,
            )  # fmt: skip
    return n_flips


@_cpu.kernel
def bit_sliced_sweeps(
    words, draws, energies, magnetizations, flips, used, neighbors, moves, signs, order, first_sites, digits,
    numbers, both_ways, strips, half_strips, along_last, n_chains, shared,
    n_sweeps, thin,
    first_step, key0, key1,
):  # fmt: skip
    """Sweep groups of chains n_sweeps times, keeping every `thin`-th state.

    A thread takes one group at a time and all its sweeps, so that its vectors stay in the cache. If `shared`, all
    threads work on one colour of one group after the other: for lattices that are large and few.

    Parameters
    ----------
    words : uint64 (n_groups, n_vectors, 8), modified
        The spins, 1 is up; on CUDA the same memory as uint32 (n_groups, n_vectors, 16).
    draws : int8 (n_temperatures * n_chains, n_draws, n_sites), modified
        Filled with the states after sweeps thin, 2 thin, ...; the last axis may have length 0 to keep none.
    energies, magnetizations : int64 (n_temperatures * n_chains, n_draws), modified
        The number of satisfied bonds and of spins that are up in these states is added. n_draws may be 0.
    flips : int64 (n_groups,), modified
        The number of flips of lanes in use is added.
    used : uint64 (n_groups, 8)
        Lanes in use.
    neighbors, moves : uint32 and int8 (n_vectors, 2 n_dims)
    signs : uint64 (1 or n_vectors, 2 n_dims, 8)
    order : uint32 (n_vectors,)
        Even colour, then odd.
    first_sites : int32 (n_vectors,)
    digits : uint64 (n_groups, 96)
        32 binary digits of each of the probabilities p_1, p_2, p_3 in `update_classes`, as words of equal bits.
    numbers : uint32 (n_groups,)
        Of the groups in the random streams.
    both_ways : uint64
        All 1 for the heat bath, 0 for Metropolis.
    strips, half_strips : int
        Strips along the last and along the first axis.
    along_last : int
        Sites of a strip along the last axis.
    n_chains : int
        Chains at each temperature; those of one temperature have groups of their own, the last perhaps not full.
    shared : bool
    n_sweeps, thin : int
    first_step : int
        Number of sweeps made before.
    key0, key1 : uint32
        The seed.
    """
    n_groups = words.shape[0]
    half = words.shape[1] // 2
    n_blocks = (half + VECTORS_AT_ONCE - 1) // VECTORS_AT_ONCE
    k0, k1 = np.uint64(key0), np.uint64(key1)
    last_strip = np.uint64(strips - 1)
    starts = ALL // ((ONE << np.uint64(strips)) - ONE)
    # One parallel loop for both ways of sharing out the work: compiling another one would take seconds.
    n_passes = 2 * n_groups * n_sweeps if shared else 1
    for number in range(n_passes):
        colour, of_pass, sweep = number % 2, number // 2 % n_groups, number // (2 * n_groups)
        n_flips = np.empty(n_blocks if shared else n_groups, np.int64)
        for place in prange(n_flips.shape[0]):
            item = np.int64(place)  # prange counts in unsigned integers, for which every part would be compiled again
            scratch = np.empty(SCRATCH, np.uint64)
            if shared:
                begin = colour * half + item * VECTORS_AT_ONCE
                end = min(begin + VECTORS_AT_ONCE, (colour + 1) * half)
                n_flips[item] = _update_block(
                    words, used, scratch, neighbors, moves, signs, order, begin, end, digits, both_ways, last_strip,
                    starts, first_step + sweep, of_pass, np.int64(numbers[of_pass]), k0, k1,
                )  # fmt: skip
            else:
                n_flips[item] = _sweep_group(
                    words, draws, energies, magnetizations, used, scratch, neighbors, moves, signs, order, first_sites,
                    digits, both_ways, strips, half_strips, last_strip, starts, along_last, n_chains, n_sweeps,
                    thin, first_step, item, np.int64(numbers[item]), k0, k1,
                )  # fmt: skip
        for item in range(n_flips.shape[0]):
            flips[of_pass if shared else item] += n_flips[item]
        if not shared:
            return
        if colour == 1 and energies.shape[1] > 0 and (sweep + 1) % thin == 0:
            _keep(
                words, draws, energies, magnetizations, neighbors, moves, signs, first_sites, strips, half_strips,
                last_strip, starts, along_last, n_chains, of_pass, (sweep + 1) // thin - 1,
            )  # fmt: skip
