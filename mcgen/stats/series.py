"""What a series of draws is: one chain or several, checked once for all functions of this room."""

import numpy as np

from mcgen import checks
from mcgen.errors import InputError


def as_chains(series: np.ndarray, minimum_draws: int = 1) -> np.ndarray:
    """The series as float64 of shape (n_chains, n_draws), not copied where it is that already.

    Parameters
    ----------
    series : array, shape (n_draws,) or (n_chains, n_draws)
    minimum_draws : int
        How many draws each chain must have at least.

    Returns
    -------
    float64, shape (n_chains, n_draws)

    Raises
    ------
    InputError
        If the shape does not fit, a value is NaN or infinite, or the chains are too short.
    """
    chains = np.atleast_2d(checks.finite_array("series", series).astype(np.float64, copy=False))
    if chains.ndim != 2 or chains.size == 0:
        raise InputError(f"series has shape {np.shape(series)}; its shape must be (n_draws,) or (n_chains, n_draws)")
    if chains.shape[1] < minimum_draws:
        raise InputError(f"series has {chains.shape[1]} draws in a chain; give at least {minimum_draws}")
    return chains


def is_constant(chains: np.ndarray) -> bool:
    """Whether all values are the same to within the rounding of their mean."""
    low, high = float(chains.min()), float(chains.max())
    return high - low <= 1e-14 * max(abs(low), abs(high))
