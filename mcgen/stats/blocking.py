"""The error of a mean from the means of ever longer blocks of draws."""

import math
import warnings
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

from mcgen.errors import InputError, StatisticsWarning
from mcgen.stats.correlation import SMALLEST_SAMPLE
from mcgen.stats.series import as_chains, is_constant

# Blocks count as independent unless a test that errs this often says otherwise.
SIGNIFICANCE = 0.01


class Blocking(NamedTuple):
    """The error of a mean against the length of blocks, and where it has become constant.

    value : float
        The mean.
    error : float
        Its standard error, from blocks of `block_size` draws.
    error_uncertainty : float
        The standard deviation of that error.
    block_size : int
        The shortest blocks that are independent of each other.
    block_sizes : int64, shape (n_levels,)
        1, 2, 4, ... draws and, for several chains, last a whole chain.
    errors, error_uncertainties : float64, shape (n_levels,)
        The error from blocks of each length as if they were independent, rising to a plateau: for a plot.
    """

    value: float
    error: float
    error_uncertainty: float
    block_size: int
    block_sizes: np.ndarray
    errors: np.ndarray
    error_uncertainties: np.ndarray


def blocking(series: np.ndarray) -> Blocking:
    """The mean and its error by blocking: as blocks grow longer than the memory of the chain, their means become
    independent, and the error that follows from their scatter stops growing.

    With B blocks of b draws each, error^2 = b var(means of blocks) / N over all N draws. The block length is the
    shortest from which on the correlation rho of neighbouring blocks is that of independent ones: the sum of
    (B rho)^2 / P over this and all longer lengths, with P pairs of neighbours, is then chi-squared, and lies below its
    quantile of 0.99. Correlation that this test cannot tell from zero would still make the error several percent too
    small; where rho is positive, error^2 is therefore multiplied by 1 + 2 rho B/P.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)

    Returns
    -------
    Blocking

    Raises
    ------
    InputError
        If the shape does not fit, a value is NaN or infinite, or there is only one number.

    Warns
    -----
    StatisticsWarning
        If fewer than 20 blocks remain.

    References
    ----------
    Flyvbjerg & Petersen, J. Chem. Phys. 91, 461 (1989). Jonsson, Phys. Rev. E 98, 043304 (2018): the choice of the
    block length, here with pairs of neighbours counted within each of several chains.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import stats
    >>> tenfold = np.repeat(np.random.default_rng(1).normal(size=10000), 10)
    >>> result = stats.blocking(tenfold)
    >>> round(result.error, 3), result.block_size
    (0.01, 32)
    """
    chains = as_chains(series)
    if chains.size < 2:
        raise InputError("a single number has no error bar; give at least two draws")
    n_chains, n_draws = chains.shape
    sizes = [2**k for k in range(n_draws.bit_length() - 1)]
    if n_chains > 1:
        sizes.append(n_draws)

    if is_constant(chains):
        nothing = np.zeros(len(sizes))
        return Blocking(float(chains.mean()), 0.0, 0.0, 1, np.array(sizes), nothing, nothing)
    rounding = (1e-14 * np.abs(chains).max()) ** 2
    variances, counts, pairs, rhos = [], [], [], []
    blocks = chains
    for size in sizes:
        if size == n_draws:
            blocks = chains.mean(axis=1, keepdims=True)
        elif size > 1:
            blocks = blocks[:, : 2 * (blocks.shape[1] // 2)].reshape(n_chains, -1, 2).mean(axis=2)
        deviations = blocks - blocks.mean()
        squares = float(np.vdot(deviations, deviations))
        counts.append(blocks.size)
        variances.append(squares / (blocks.size - 1))
        pairs.append(n_chains * (blocks.shape[1] - 1))
        rhos.append(0.0)
        if pairs[-1] and variances[-1] > rounding:
            # Deviations from the mean of the same blocks are anticorrelated: the second term puts that right.
            rhos[-1] = float((deviations[:, 1:] * deviations[:, :-1]).sum()) / squares + pairs[-1] / blocks.size**2
    counts, pairs, rhos = np.array(counts), np.maximum(pairs, 1), np.array(rhos)
    errors = np.sqrt(np.array(sizes) * variances / chains.size)
    tested = np.cumsum(((counts * rhos) ** 2 / pairs)[::-1])[::-1]
    independent = chdtrc(np.arange(len(sizes), 0, -1), tested) >= SIGNIFICANCE
    level = int(np.argmax(independent)) if independent.any() else len(sizes) - 1

    n_blocks = int(counts[level])
    remaining = 1.0 + 2.0 * max(0.0, rhos[level] * n_blocks / pairs[level])
    relative = math.sqrt(0.5 / (n_blocks - 1) + (1.0 / pairs[level] / remaining**2 if rhos[level] else 0.0))
    error = float(errors[level]) * math.sqrt(remaining)
    if n_blocks < SMALLEST_SAMPLE:
        warnings.warn(
            f"only {n_blocks} blocks of {sizes[level]} draws are independent, fewer than {SMALLEST_SAMPLE:g}: the "
            f"error bar is uncertain by {100 * relative:.0f} percent; draw more, or run more chains",
            StatisticsWarning,
            stacklevel=2,
        )
    return Blocking(
        float(chains.mean()),
        error,
        relative * error,
        sizes[level],
        np.array(sizes),
        errors,
        errors / np.sqrt(2.0 * (counts - 1)),
    )
