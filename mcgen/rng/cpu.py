"""Random words on the CPU. The twin of `cuda.py`."""

import numpy as np
from numba import prange

from mcgen import _cpu

rng = _cpu.formulas("mcgen.rng.formulas")


@_cpu.kernel
def fill_words(words, first_chain, step, purpose, key0, key1):
    """Fill words[chain, unit] (uint32, modified) from counters (unit // 4, step, first_chain + chain, purpose).

    One thread takes one chain at a time.
    """
    for chain in prange(words.shape[0]):
        for block in range((words.shape[1] + 3) // 4):
            four = rng.philox4x32(block, step, first_chain + np.int64(chain), purpose, key0, key1)
            for index in range(min(4, words.shape[1] - 4 * block)):
                words[chain, 4 * block + index] = rng.pick_word(four, index)
