"""Kernels for layers of units on a GPU. The twin of `cpu.py`: same functions, order and arguments, described there."""

from mcgen import _cuda
from mcgen._cuda import cuda

rng = _cuda.formulas("mcgen.rng.formulas")
units = _cuda.formulas("mcgen.rbm.units.formulas")

# In the first three one block takes one row, one lane every blockDim.x-th unit.


@_cuda.block_kernel
def draw_rows(fields, kind, level, parameters, step, purpose, key0, key1):
    """Draw the units of every row given their fields, which are replaced by the states."""
    row = cuda.blockIdx.x
    for unit in range(cuda.threadIdx.x, fields.shape[1] // units.entries(kind, level), cuda.blockDim.x):
        words = rng.philox4x32(unit // 4, step, row, purpose, key0, key1)
        units.unit_draw(kind, level, parameters, fields[row], unit, rng.pick_word(words, unit % 4), fields[row])


@_cuda.block_kernel
def mean_rows(fields, kind, level, parameters):
    """Replace the fields of every row by the means of its units."""
    row = cuda.blockIdx.x
    for unit in range(cuda.threadIdx.x, fields.shape[1] // units.entries(kind, level), cuda.blockDim.x):
        units.unit_mean(kind, level, parameters, fields[row], unit, fields[row])


@_cuda.block_kernel
def variance_rows(fields, kind, level, parameters):
    """Replace the fields of every row by the variances of its units."""
    row = cuda.blockIdx.x
    for unit in range(cuda.threadIdx.x, fields.shape[1] // units.entries(kind, level), cuda.blockDim.x):
        units.unit_variance(kind, level, parameters, fields[row], unit, fields[row])


@_cuda.kernel
def cumulant_rows(sums, fields, kind, level, parameters):
    """sums[row] = the sum of the cumulants of the units of a row. One lane takes one row."""
    row = cuda.grid(1)
    if row < fields.shape[0]:
        sums[row] = units.cumulant_sum(kind, level, parameters, fields[row])
