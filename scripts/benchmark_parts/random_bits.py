"""The limit of bit-sliced sweeps on the CPU: the random bits that Philox gives, and how many an update needs.

All else that an update takes, some 60 instructions for 512 spins, is not part of this limit.
"""

import numba
import numpy as np

from benchmark_parts.measuring import quickest, seconds
from mcgen import _lanes, ising
from mcgen._vectors import wide_vectors
from mcgen.ising.bit_sliced.cpu import _random_bits
from mcgen.ising.bit_sliced.formulas import CHUNKS, FIRST_CHUNKS, VECTORS_AT_ONCE
from mcgen.ising.bit_sliced.layout import layout

# Binary digits, and so vectors of random bits, that one counter of every lane gives.
DIGITS_OF_CHUNK = 4
# Times that random digits are drawn on paper for the same spins.
REPETITIONS = 20

fill, store = _lanes.fill, _lanes.store


@numba.njit(parallel=True, error_model="numpy")
def combine_random_bits(totals: np.ndarray, n: int, key0: int, key1: int) -> None:
    """Draw 4 n vectors of random bits on each thread; their exclusive or goes to its row of totals, uint64 (_, 8)."""
    for group in numba.prange(totals.shape[0]):
        wide_vectors()
        total = fill(0)
        for counter in range(n):
            random = _random_bits(counter, 1, group, key0, key1)
            total = total ^ random[0] ^ random[1] ^ random[2] ^ random[3]
        store(totals, _lanes.WORDS * group, total)


def random_bit(n: int = 1_000_000) -> dict:
    """Seconds of a random bit made in the way of the kernel, on all threads: the best of several is what limits."""
    threads = numba.get_num_threads()
    totals = np.empty((threads, _lanes.WORDS), np.uint64)
    arguments = np.uint64(1), np.uint64(2)
    combine_random_bits(totals, 1, *arguments)
    n_bits = threads * n * DIGITS_OF_CHUNK * _lanes.BITS
    return quickest([seconds(lambda: combine_random_bits(totals, n, *arguments)) / n_bits for _ in range(10)])


def bits_per_update(lattice: ising.Ising, method: str, states: np.ndarray) -> float:
    """How many random bits the bit-sliced kernel draws for each update of these states, on average.

    Every vector of 512 lanes draws 8 digits. A lane that draws is undecided after that with probability 2^-8; the
    vectors of a block then share more digits, four at a time, until all lanes are decided: counted here by drawing
    which lanes are undecided, and how many more digits they take.

    Parameters
    ----------
    lattice : Ising
    method : {"metropolis", "heatbath"}
    states : int8, shape (n_chains, n_sites)

    Returns
    -------
    float
    """
    neighbors, couplings = lattice.neighbor_table
    field = (couplings * states[:, neighbors]).sum(axis=-1)
    draws = states * field > 0 if method == "metropolis" else field != 0
    cut = layout(lattice)
    lanes = np.unpackbits(cut.pack(draws).view(np.uint8), axis=-1).astype(bool)  # (groups, vectors, 512)
    random = np.random.default_rng(1)
    n_chunks = 0
    for _ in range(REPETITIONS):
        for colour in np.split(cut.order, 2):
            for begin in range(0, len(colour), VECTORS_AT_ONCE):
                block = lanes[:, colour[begin : begin + VECTORS_AT_ONCE]]
                undecided = block & (random.random(block.shape) < 0.5 ** (DIGITS_OF_CHUNK * FIRST_CHUNKS))
                digits = random.geometric(0.5, block.shape)
                chunks = np.minimum(-(-digits // DIGITS_OF_CHUNK), CHUNKS - FIRST_CHUNKS) * undecided
                stream = undecided.cumsum(axis=1)
                for number in range(1, stream.max(initial=0) + 1):
                    n_chunks += int((chunks * (stream == number)).max(axis=(1, 2)).sum())
    n_vectors = lanes.shape[0] * lanes.shape[1]
    digits_per_vector = DIGITS_OF_CHUNK * (FIRST_CHUNKS + n_chunks / (REPETITIONS * n_vectors))
    return digits_per_vector * n_vectors * _lanes.BITS / states.size
