"""Random words on a GPU. The twin of `cpu.py`."""

from mcgen import _cuda
from mcgen._cuda import cuda

rng = _cuda.formulas("mcgen.rng.formulas")


@_cuda.kernel
def fill_words(words, first_chain, step, purpose, key0, key1):
    """Fill words[chain, unit] (uint32, modified) from counters (unit // 4, step, first_chain + chain, purpose).

    One lane takes one chain.
    """
    chain = cuda.grid(1)
    if chain >= words.shape[0]:
        return
    for block in range((words.shape[1] + 3) // 4):
        four = rng.philox4x32(block, step, first_chain + chain, purpose, key0, key1)
        for index in range(min(4, words.shape[1] - 4 * block)):
            words[chain, 4 * block + index] = rng.pick_word(four, index)
