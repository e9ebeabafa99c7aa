"""Kernels for layers of units on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

from numba import prange

from mcgen import _cpu
from mcgen.rbm.units import rows

units = _cpu.formulas("mcgen.rbm.units.formulas")

# In all of them one thread takes one row at a time.


@_cpu.kernel
def draw_rows(fields, kind, level, parameters, step, purpose, key0, key1):
    """Draw the units of every row given their fields, which are replaced by the states.

    Parameters
    ----------
    fields : float (n_rows, n_entries), modified
    kind, level, parameters : see units/formulas.py
    step, purpose : int
        Of the random words; the row is their chain.
    key0, key1 : uint32
        The seed.
    """
    for row in prange(fields.shape[0]):
        words = rows.words_for(fields.shape[1])
        rows.draw_row(kind, level, parameters, fields[row], words, step, row, purpose, key0, key1)


@_cpu.kernel
def mean_rows(fields, kind, level, parameters):
    """Replace the fields of every row by the means of its units.

    Parameters
    ----------
    fields : float (n_rows, n_entries), modified
    kind, level, parameters : see units/formulas.py
    """
    for row in prange(fields.shape[0]):
        rows.mean_row(kind, level, parameters, fields[row])


@_cpu.kernel
def variance_rows(fields, kind, level, parameters):
    """Replace the fields of every row by the variances of its units.

    Parameters
    ----------
    fields : float (n_rows, n_entries), modified
    kind, level, parameters : see units/formulas.py
    """
    for row in prange(fields.shape[0]):
        for unit in range(fields.shape[1] // units.entries(kind, level)):
            units.unit_variance(kind, level, parameters, fields[row], unit, fields[row])


@_cpu.kernel
def cumulant_rows(sums, fields, kind, level, parameters):
    """sums[row] = the sum of the cumulants of the units of a row.

    Parameters
    ----------
    sums : float64 (n_rows,), modified
    fields : float (n_rows, n_entries)
    kind, level, parameters : see units/formulas.py
    """
    for row in prange(fields.shape[0]):
        sums[row] = units.cumulant_sum(kind, level, parameters, fields[row])
