"""Runs of frontier states that are taken together on the CPU: parts of the kernels in `cpu.py`.

A frontier state is an index with one bit for each site of the frontier; `full` is the index with the new site in front:
the new spin as bit 0, and the old frontier shifted left by one.

The states of a run differ in their lowest bits alone, and none of these leaves. They come from old states that follow
each other in memory, so that a run is a few passes over short contiguous rows, each of them vectorised, with the two
values of the new spin in rows of their own until the end. A pass writes one or two rows: LLVM gives up a loop for
which more than eight pairs of rows would have to be checked for overlap.
"""

import numpy as np

from mcgen import _cpu
from mcgen.formulas import NO_EXPONENT

scalar = _cpu.formulas("mcgen.formulas")
transfer = _cpu.formulas("mcgen.ising.exact.transfer.formulas")

# A run of frontier states that are taken together, vectorised: at most 2^8, whose numbers stay in the first-level
# cache, and at least 2^4, below which one state at a time is as fast.
MOST_RUN_BITS = 8
FEWEST_RUN_BITS = 4
# The weights of a run share one exponent where they lie within 2^400 of each other.
WIDEST_RUN = 400


@_cpu.helper
def step_table(energies, beta):
    """The Boltzmann factor of each entry of a step's table, as mantissas and exponents."""
    mantissas = np.empty(energies.shape[0])
    exponents = np.empty(energies.shape[0], np.int64)
    for entry in range(energies.shape[0]):
        mantissas[entry], exponents[entry] = transfer.step_weight(energies[entry], beta)
    return mantissas, exponents


@_cpu.helper
def bits_of_run(leaving, n_states):
    """How many of the lowest bits of a frontier state make a run; 0 where states are taken one at a time."""
    bits = 0
    while bits < MOST_RUN_BITS and 2 << bits <= n_states and (leaving.shape[0] == 0 or bits < leaving[0]):
        bits += 1
    return bits if bits >= FEWEST_RUN_BITS else 0


@_cpu.helper
def row_number(full, neighbor_bits, run_bits):
    """Which row of the run tables belongs to a run: the new spin, then its neighbours above the run."""
    row = full & 1
    place = 1
    for k in range(neighbor_bits.shape[0]):
        if neighbor_bits[k] >= run_bits:
            row |= ((full >> neighbor_bits[k]) & 1) << place
            place += 1
    return row


@_cpu.helper
def run_tables(energies, mantissas, exponents, neighbor_bits, run_bits):
    """A step's table written out along a run: energies, and factors[row, h] * 2^row_exponents[row], if these fit."""
    n_rows = 2
    for k in range(neighbor_bits.shape[0]):
        if neighbor_bits[k] >= run_bits:
            n_rows *= 2
    half = (1 << run_bits) >> 1
    factors = np.empty((n_rows, half))
    row_energies = np.empty((n_rows, half))
    row_exponents = np.empty(n_rows, np.int64)
    fits = True
    for row in range(n_rows):
        lowest, highest = np.int64(-NO_EXPONENT), np.int64(NO_EXPONENT)
        for is_known in range(2):
            for h in range(half):
                entry = row & 1
                place = 1
                for k in range(neighbor_bits.shape[0]):
                    if neighbor_bits[k] >= run_bits:
                        entry |= ((row >> place) & 1) << (k + 1)
                        place += 1
                    else:
                        entry |= ((2 * h >> neighbor_bits[k]) & 1) << (k + 1)
                if is_known:
                    factors[row, h] = mantissas[entry] * scalar.power_of_two(exponents[entry] - highest)
                    row_energies[row, h] = energies[entry]
                else:
                    lowest, highest = min(lowest, exponents[entry]), max(highest, exponents[entry])
        row_exponents[row] = highest
        fits = fits and highest - lowest < WIDEST_RUN
    return factors, row_exponents, row_energies, fits


@_cpu.helper
def take_terms(mantissas, exponents, old_mantissas, old_exponents, factors, exponent):
    """The terms of a run: old weights times the factors of the step."""
    for h in range(mantissas.shape[0]):
        mantissas[h] = old_mantissas[h] * factors[h]
    for h in range(mantissas.shape[0]):
        exponents[h] = old_exponents[h] + exponent


@_cpu.helper
def add_terms(mantissas, exponents, old_mantissas, old_exponents, factors, exponent):
    """Add the terms of a run to those that are there."""
    for h in range(mantissas.shape[0]):
        mantissas[h], exponents[h] = scalar.add_weights(
            mantissas[h], exponents[h], old_mantissas[h] * factors[h], old_exponents[h] + exponent
        )


@_cpu.helper
def write_weights(new_mantissas, new_exponents, mantissas, exponents):
    """Write the sums of a run with 1 <= mantissa < 2, the new spin's two values in turn."""
    down, up = mantissas[0], mantissas[1]
    down_exponents, up_exponents = exponents[0], exponents[1]
    for h in range(down.shape[0]):
        new_mantissas[2 * h] = scalar.mantissa(down[h])
        new_mantissas[2 * h + 1] = scalar.mantissa(up[h])
    for h in range(down.shape[0]):
        new_exponents[2 * h] = down_exponents[h] + scalar.exponent(down[h])
        new_exponents[2 * h + 1] = up_exponents[h] + scalar.exponent(up[h])
