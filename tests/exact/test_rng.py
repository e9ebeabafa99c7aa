import naive
import numpy as np
import pytest
from scipy import stats

from mcgen import rng
from mcgen.rng import formulas

PI = ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0])
# Known answers of the Random123 library (kat_vectors, philox4x32 10 rounds): zeros, ones, digits of pi.
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (*PI, [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers_of_the_formula(counter, key, answer):
    assert [int(word) for word in formulas.philox4x32(*counter, *key)] == answer
    assert naive.philox4x32(counter, key) == answer


def test_known_answer_after_seven_rounds():
    assert naive.philox4x32([0] * 4, [0] * 2, rounds=7) == [0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers_of_the_kernel(counter, key, answer):
    # Counter words 1 to 3 are step, chain and purpose; the unit block, word 0, is reached by its position.
    from mcgen.rng import cpu

    words = np.zeros((1, 4), np.uint32)
    if counter[0] == 0:
        cpu.fill_words(words, 0, np.uint32(counter[1]), np.uint32(counter[3]), np.uint32(key[0]), np.uint32(key[1]))
        assert words[0].tolist() == answer
    else:
        compiled = cpu.rng.philox4x32(*map(np.uint32, counter), *map(np.uint32, key))
        assert [int(word) for word in compiled] == answer


def test_words_are_addressed_by_unit_step_chain_and_purpose():
    seed = 2**40 + 5
    words = rng.words(seed, purpose=3, n_chains=4, n_units=11, step=77)
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for chain in range(4):
        for unit in range(11):
            assert words[chain, unit] == naive.philox4x32([unit // 4, 77, chain, 3], key)[unit % 4]


def test_a_filled_stream_is_that_of_its_counters():
    from mcgen.rng import cpu

    for fill in (formulas.fill_stream, cpu.rng.fill_stream):
        words = np.zeros(12, np.uint32)
        for first in (0, 9):
            fill(words, first, 77, 3, 5, np.uint32(1), np.uint32(2))
            expected = [naive.philox4x32([first + unit // 4, 77, 3, 5], [1, 2])[unit % 4] for unit in range(12)]
            assert words.tolist() == expected


def test_purposes_are_distinct():
    from mcgen.rng import purpose

    numbers = [value for name, value in vars(purpose).items() if name.isupper()]
    assert len(numbers) == len(set(numbers)) > 5


def test_uniforms_are_uniform_and_never_0_or_1():
    assert 0 < formulas.uniform(np.uint32(0)) < 2**-32
    assert 1 - 2**-32 < formulas.uniform(np.uint32(2**32 - 1)) < 1
    u = rng.uniforms(seed=5, purpose=0, n_chains=200, n_units=500).ravel()
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert stats.kstest(rng.normals(seed=5, purpose=1, n_chains=200, n_units=500).ravel(), "norm").pvalue > 1e-3


def test_pick_below_covers_its_range_evenly():
    words = rng.words(seed=1, purpose=0, n_chains=1, n_units=60000)[0]
    counts = np.bincount([formulas.pick_below(word, 6) for word in words], minlength=6)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_permutations_are_permutations_and_evenly_spread():
    orders = [tuple(rng.permutation(seed=2, purpose=0, n=4, step=step)) for step in range(4800)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3


def test_derived_seeds_differ():
    assert len({rng.derive(7, index) for index in range(100)} | {rng.derive(8, index) for index in range(100)}) == 200
