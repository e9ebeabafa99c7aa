"""Ising spins as bits: one operation on a word acts on all of its lanes, spins of other chains or of other strips.

Words are unsigned integers of any length, or vectors of such; bit 1 means "up". A decision "true with probability p" is
taken for all lanes at once by comparing binary fractions, one binary digit of p and one random bit for each lane at a
time, the most significant first: a lane is decided at the first place where the two differ, accepted if the random bit
is the 0 there. Half of the lanes are decided by every digit, so that few random words are drawn.
"""

# Binary digits of a probability, and where they come from: a counter of Philox gives a chunk of four for 32 lanes.
DIGITS = 32
CHUNKS = 8
# Chunks that every vector draws by itself before several of them, of one colour, share those that follow.
FIRST_CHUNKS = 2
VECTORS_AT_ONCE = 8

# How the lanes of a neighbour are moved, if the bond goes across the end of a strip.
STAY, NEXT_STRIP, PREVIOUS_STRIP, NEXT_HALF, PREVIOUS_HALF = range(5)


def full_adder(a, b, c):
    """a + b + c in every lane, as (ones, twos)."""
    x = a ^ b
    return x ^ c, (a & b) | (x & c)


def sum_of_six(a, b, c, d, e, f):
    """The number n of 1s among six words, in every lane, in binary: (ones, twos, fours)."""
    ones_1, twos_1 = full_adder(a, b, c)
    ones_2, twos_2 = full_adder(d, e, f)
    twos, fours = full_adder(twos_1, twos_2, ones_1 & ones_2)
    return ones_1 ^ ones_2, twos, fours


def update_classes(ones, twos, fours, both_ways):
    """What becomes of a spin with six neighbours, n of them as counted in (ones, twos, fours): five masks of lanes.

    Heat bath (both_ways all 1): n counts the neighbours that want the spin up. The new spin follows the majority, but
    in lanes of class m = |n - 3| it turns against it with probability p_m; for n = 3 it is up with probability 1/2.
    Metropolis (both_ways all 0): n counts the neighbours that the spin agrees with. It flips for n < 3, with
    probability 1/2 for n = 3 (see `metropolis_acceptance`), and with probability p_m for n - 3 = m = 1, 2, 3.

    A flip against m costs the energy 4 m |J|. With fewer than six neighbours, pairs of one 1 and one 0 stand in for the
    others.

    Returns
    -------
    certain : lanes that are up (heat bath) or flip (Metropolis) whatever is drawn, to be turned where a draw accepts
    even : lanes with n = 3
    first, second, third : lanes of class m = 1, 2, 3 that draw
    """
    even = ones & twos
    draws = fours | both_ways
    outer = ~ones & draws
    apart = fours ^ twos
    certain = (both_ways & fours) | ~(both_ways | fours | even)
    return certain, even, outer & apart, ones & ~twos & draws, outer & ~apart


def decide(accepted, undecided, first, second, third, digit_1, digit_2, digit_3, random):
    """Compare one more binary digit of p_1, p_2, p_3 in the lanes of each class with one more random bit.

    Returns the lanes that accept so far and those that are still undecided.
    """
    digit = (first & digit_1) | (second & digit_2) | (third & digit_3)
    return accepted | (undecided & digit & ~random), undecided & ~(digit ^ random)


def next_strip(word, one, last, starts):
    """The spins of the next strip, in every lane: strips are neighbouring bits, and after the last comes the first.

    With S strips, starts has a 1 at the first bit of every S; one and last are 1 and S - 1 in the type of the word.
    """
    return ((word >> one) & ~(starts << last)) | ((word & starts) << last)


def previous_strip(word, one, last, starts):
    """The spins of the strip before, in every lane; see `next_strip`."""
    return ((word << one) & ~starts) | ((word >> last) & starts)
