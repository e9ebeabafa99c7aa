"""Philox4x32-10, a counter-based random number generator, one round at a time.

Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, SC'11, section 3.3; constants and known
answers are those of the Random123 library. All words are 32-bit unsigned integers; products and sums are taken in 64
bits and masked, so that plain Python (the CUDA simulator) and both compilers give the same bits.
"""

import numpy as np

MASK = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
MULTIPLIER_0 = np.uint64(0xD2511F53)
MULTIPLIER_1 = np.uint64(0xCD9E8D57)
WEYL_0 = np.uint64(0x9E3779B9)  # the golden ratio
WEYL_1 = np.uint64(0xBB67AE85)  # sqrt(3) - 1
ROUNDS = 10


def philox_rounds(c0, c1, c2, c3, k0, k1):
    """Ten rounds of multiply and exchange on the counter (c0, c1, c2, c3) under the key (k0, k1).

    All are 64-bit numbers that hold a word in their lower half (or vectors of such numbers); what is above it in the
    results means nothing. Processors multiply lower halves as they are, so that nothing needs to be cut off in between.
    """
    for _ in range(ROUNDS):
        p0 = (c0 & MASK) * MULTIPLIER_0
        p1 = (c2 & MASK) * MULTIPLIER_1
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ k0, p1, (p0 >> SHIFT) ^ c3 ^ k1, p0
        k0 = (k0 + WEYL_0) & MASK
        k1 = (k1 + WEYL_1) & MASK
    return c0, c1, c2, c3


def philox4x32(c0, c1, c2, c3, k0, k1):
    """Four random words from the counter (c0, c1, c2, c3) and the key (k0, k1)."""
    w0, w1, w2, w3 = philox_rounds(
        np.uint64(np.uint32(c0)),
        np.uint64(np.uint32(c1)),
        np.uint64(np.uint32(c2)),
        np.uint64(np.uint32(c3)),
        np.uint64(np.uint32(k0)),
        np.uint64(np.uint32(k1)),
    )
    return np.uint32(w0 & MASK), np.uint32(w1 & MASK), np.uint32(w2 & MASK), np.uint32(w3 & MASK)


def pick_word(words, index):
    """The word number `index` (0 to 3) of the four that one counter gives."""
    if index == 0:
        return words[0]
    if index == 1:
        return words[1]
    if index == 2:
        return words[2]
    return words[3]


def uniform(word):
    """A real number in the open interval (0, 1) from a 32-bit word: (word + 1/2) / 2^32.

    An event of probability p, drawn as uniform(word) < p, happens with probability p to within 2^-33.
    """
    return (np.float64(word) + 0.5) * 2.3283064365386963e-10


def pick_below(word, n):
    """An integer in 0 ... n-1 from a 32-bit word: the high half of word * n (Lemire 2019), n below 2^32."""
    return np.int64((np.uint64(word) * np.uint64(n)) >> SHIFT)


def fill_stream(words, first_block, step, chain, purpose, k0, k1):
    """Fill words (uint32, a multiple of four of them) with one step of one chain's stream, from a block of four on.

    From block 0 on, words[unit] is the unit's.

    For threads that need all words of a step: the counters of neighbouring blocks differ in one word only, so that a
    compiler vectorises this loop, four times faster than drawing each counter where it is used.
    """
    for block in range(words.shape[0] // 4):
        w0, w1, w2, w3 = philox4x32(first_block + block, step, chain, purpose, k0, k1)
        words[4 * block] = w0
        words[4 * block + 1] = w1
        words[4 * block + 2] = w2
        words[4 * block + 3] = w3
