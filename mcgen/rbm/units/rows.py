"""What the CPU does with a whole row of units at once, so that loops over two-level units are vectorised."""

import numpy as np

from mcgen import _cpu
from mcgen._vectors import wide_vectors
from mcgen.rbm.units.formulas import TWO_LEVEL

rng = _cpu.formulas("mcgen.rng.formulas")
units = _cpu.formulas("mcgen.rbm.units.formulas")


@_cpu.helper
def words_for(n_entries):
    """Room for the random words of a row: whole vectors of counters, of which the last words are not used."""
    return np.empty((n_entries + 31) // 32 * 32, np.uint32)


@_cpu.helper
def draw_row(kind, level, parameters, fields, words, step, chain, purpose, key0, key1):
    """Draw all units of a row given their fields, which are replaced by the states.

    Two-level units are drawn in one vectorised pass, in the precision of the fields. `words` is working memory.
    """
    wide_vectors()
    rng.fill_stream(words, 0, step, chain, purpose, key0, key1)
    if kind == TWO_LEVEL:
        if fields.itemsize == 4:
            for unit in range(fields.shape[0]):
                fields[unit] = 1 if units.is_up_single(level, fields[unit], words[unit]) else level
        else:
            for unit in range(fields.shape[0]):
                fields[unit] = 1 if units.is_up(level, fields[unit], words[unit]) else level
    else:
        for unit in range(fields.shape[0] // units.entries(kind, level)):
            units.unit_draw(kind, level, parameters, fields, unit, words[unit], fields)


@_cpu.helper
def mean_row(kind, level, parameters, fields):
    """Replace the fields of a row by the means of its units, of two levels in the precision of the fields."""
    wide_vectors()
    if kind == TWO_LEVEL:
        if fields.itemsize == 4:
            for unit in range(fields.shape[0]):
                fields[unit] = units.two_level_mean_single(level, fields[unit])
        else:
            for unit in range(fields.shape[0]):
                fields[unit] = units.two_level_mean(level, fields[unit])
    else:
        for unit in range(fields.shape[0] // units.entries(kind, level)):
            units.unit_mean(kind, level, parameters, fields, unit, fields)


@_cpu.helper
def add_bias(fields, bias):
    """fields += bias."""
    wide_vectors()
    for unit in range(fields.shape[0]):
        fields[unit] += bias[unit]


@_cpu.helper
def copy(result, states):
    """result = states, in another dtype; the longer of the two has entries more that are left out."""
    wide_vectors()
    for unit in range(min(result.shape[0], states.shape[0])):
        result[unit] = states[unit]
