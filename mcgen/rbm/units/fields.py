"""The fields that one layer feels of the other, for a block of chains of one thread: parts of kernels on the CPU."""

from mcgen import _cpu, _products
from mcgen.rbm.units import rows
from mcgen.rbm.units.formulas import POTTS, TWO_LEVEL

# Where fewer of the states are 1, adding rows of the weights is quicker than the product. A row comes from the
# second-level cache, at a quarter of the speed at which registers multiply: 784 x 500 float32 numbers meet at 0.2.
SPARSE = 0.15
ROWS_LOOKED_AT = 8


@_cpu.helper
def _is_sparse(kind, level, states, n_rows, n_states, weights):
    """Whether units are 0 or 1, mostly 0, in the first rows of a block, and the rows of the weights long.

    Both ways give the same bits, so a guess will do.
    """
    if not (kind == POTTS or (kind == TWO_LEVEL and level == 0)) or not _products.long_enough_to_add(weights):
        return False
    total = 0.0
    for row in range(min(n_rows, ROWS_LOOKED_AT)):
        total += _products.sum_of_row(states[row], n_states)
    return total < SPARSE * min(n_rows, ROWS_LOOKED_AT) * n_states


@_cpu.helper
def layer_fields(fields, biases, first, kind, level, states, n_rows, n_states, weights, packed, active):
    """fields = biases + states . weights for the rows of a block; row r has the bias first + r, or the only one."""
    sparse = _is_sparse(kind, level, states, n_rows, n_states, weights)
    for row in range(n_rows):
        bias = biases[min(first + row, biases.shape[0] - 1)]
        if sparse:
            _products.add_active_rows(fields[row], bias, states[row], n_states, weights, active)
        else:
            rows.copy(fields[row], bias)
    if not sparse:
        _products.add_product(fields, states, packed)
