"""Kernels of the transfer matrix on a GPU. The twin of `cpu.py`: same functions, order and arguments."""

import numpy as np

from mcgen import _cuda
from mcgen._cuda import cuda
from mcgen.formulas import NO_EXPONENT

scalar = _cuda.formulas("mcgen.formulas")
transfer = _cuda.formulas("mcgen.ising.exact.transfer.formulas")


@_cuda.kernel
def transfer_step(
    new_mantissas,
    new_exponents,
    mantissas,
    exponents,
    leaving,
    offsets,
    neighbor_bits,
    energies,
    beta,
    shift,
):
    """Add one site to the frontier, and sum over the spins of the sites that leave it.

    One lane takes one state of one column of the new frontier, and gathers what becomes that state.
    """
    item = cuda.grid(1)
    n_states = new_mantissas.shape[1]
    if item >= new_mantissas.shape[0] * n_states:
        return
    column = item // n_states
    state = item - column * n_states
    base = transfer.spread_bits(state, leaving)
    weight, exponent = 0.0, np.int64(NO_EXPONENT)
    for c in range(offsets.shape[0]):
        full = base | offsets[c]
        old = full >> 1
        source = column - shift * (full & 1)
        if 0 <= source < mantissas.shape[0]:
            factor, factor_exponent = transfer.step_weight(energies[transfer.step_entry(full, neighbor_bits)], beta)
            weight, exponent = scalar.add_weights(
                weight, exponent, mantissas[source, old] * factor, exponents[source, old] + factor_exponent
            )
    new_mantissas[column, state] = scalar.mantissa(weight)
    new_exponents[column, state] = exponent + scalar.exponent(weight)


@_cuda.kernel
def transfer_moments_step(
    new_mantissas,
    new_exponents,
    new_means,
    new_variances,
    mantissas,
    exponents,
    means,
    variances,
    totals,
    leaving,
    offsets,
    neighbor_bits,
    energies,
    beta,
):
    """As `transfer_step`, with the mean and variance of energy and magnetisation given the frontier state.

    One lane takes one state of the new frontier.
    """
    state = cuda.grid(1)
    if state >= new_mantissas.shape[0]:
        return
    base = transfer.spread_bits(state, leaving)
    weight, exponent = 0.0, np.int64(NO_EXPONENT)
    energy, energy_variance, magnetization, magnetization_variance = 0.0, 0.0, 0.0, 0.0
    for c in range(offsets.shape[0]):
        full = base | offsets[c]
        old = full >> 1
        added = energies[transfer.step_entry(full, neighbor_bits)]
        factor, factor_exponent = transfer.step_weight(added, beta)
        term, term_exponent = mantissas[old] * factor, exponents[old] + factor_exponent
        before, exponent_before = weight, exponent
        weight, exponent = scalar.add_weights(weight, exponent, term, term_exponent)
        fraction = term * scalar.power_of_two(term_exponent - exponent) / weight
        rest = before * scalar.power_of_two(exponent_before - exponent) / weight
        difference = ((means[0, old] - means[0, 0]) + added) - energy
        energy_variance = transfer.merged_variance(energy_variance, variances[0, old], difference, fraction, rest)
        energy = transfer.merged_mean(energy, difference, fraction)
        difference = ((means[1, old] - means[1, 0]) + scalar.spin_of_bit(full, 0)) - magnetization
        magnetization_variance = transfer.merged_variance(
            magnetization_variance, variances[1, old], difference, fraction, rest
        )
        magnetization = transfer.merged_mean(magnetization, difference, fraction)
    new_mantissas[state] = scalar.mantissa(weight)
    new_exponents[state] = exponent + scalar.exponent(weight)
    new_means[0, state], new_means[1, state] = energy, magnetization
    new_variances[0, state], new_variances[1, state] = energy_variance, magnetization_variance
    if state == 0:
        for quantity in range(2):
            totals[quantity, 0], totals[quantity, 1] = transfer.compensated_sum(
                totals[quantity, 0], totals[quantity, 1], means[quantity, 0]
            )
