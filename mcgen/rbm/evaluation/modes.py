"""The weights of the two signs of the magnetisation: the modes that chains at low temperature do not leave."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from mcgen import checks, enumeration, stats
from mcgen.errors import InputError, StatisticsWarning
from mcgen.rbm import exact
from mcgen.rbm.model import RBM
from mcgen.rbm.units import TwoLevel
from mcgen.stats import Estimate


class ModeBalance(NamedTuple):
    """The probabilities that the magnetisation m is above, below and equal to 0, and how often chains changed its sign.

    positive, negative, zero : Estimate
        They add up to 1.
    difference : Estimate
        positive - negative: 0 for a distribution with spin-flip symmetry.
    sign_changes : int
        Of all chains together; passing through m = 0 counts once. 0 for exact values.
    changing_chains : int
        Chains that changed the sign at least once.
    n_chains, n_draws : int
        Chains, and draws of each: 1 for independent draws; 0 for exact values.
    """

    positive: Estimate
    negative: Estimate
    zero: Estimate
    difference: Estimate
    sign_changes: int
    changing_chains: int
    n_chains: int
    n_draws: int

    def __str__(self) -> str:
        words = f"p(m > 0) = {self.positive}, p(m < 0) = {self.negative}, p(m = 0) = {self.zero}"
        if not self.n_chains:
            return words + ", exact"
        if self.n_draws == 1:
            return words + f"; {self.n_chains} independent draws"
        return words + f"; {self.changing_chains} of {self.n_chains} chains changed the sign, {self.sign_changes} times"


def mode_balance(samples: object) -> ModeBalance:
    """The weight of m > 0 against m < 0, m being the sum of the spins of a state.

    Parameters
    ----------
    samples : Samples, or array of shape (n_chains, n_draws, n_visible) or (n_rows, n_visible)
        States of two-level units, 0 and 1 or -1 and 1, by `rbm.sample` or `ising.sample`; rows of a table are one
        chain, or independent.

    Returns
    -------
    ModeBalance
        With errors from the autocorrelation of the chains. Where no chain changes the sign, and for independent draws
        (method="exact"), the error is that of a count over independent chains, by Laplace's rule: it is not 0 where all
        of them have the same sign.

    Raises
    ------
    InputError
        If a shape does not fit, values are neither 0 and 1 nor -1 and 1, or there are fewer than 2 draws.

    Warns
    -----
    StatisticsWarning
        If no chain changes the sign: the weights are then those of the starts. Also if the chains are too short.

    References
    ----------
    Laplace's rule of succession: Jaynes, Probability Theory (2003), section 6.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.evaluation import exact_mode_balance, mode_balance
    >>> model = rbm.RBM.random(n_visible=9, n_hidden=3, seed=1, scale=0.3)
    >>> run = rbm.sample(model, n_chains=64, n_draws=200, seed=2)
    >>> found, truth = mode_balance(run), exact_mode_balance(model)
    >>> abs(found.positive.value - truth.positive.value) < 4 * found.positive.error
    True
    """
    signs = _signs(getattr(samples, "states", samples))
    if signs.size < 2:
        raise InputError(f"samples holds {signs.size} draws, which have no error; give at least two")
    if getattr(samples, "method", "") == "exact":  # independent, whatever their places
        signs = signs.reshape(-1, 1)
    n_chains, n_draws = signs.shape
    changes = _sign_changes(signs)
    if changes.any():
        estimates = [stats.mean(series) for series in (signs > 0, signs < 0, signs == 0, signs)]
    else:
        if n_draws > 1 and signs.any():
            warnings.warn(
                f"none of {n_chains} chains changed the sign of the magnetisation: the weights of the signs are those "
                "of the states that they came from, with the error of so many independent chains; sample by "
                "method='tempering', or by method='exact' where it reaches",
                StatisticsWarning,
                stacklevel=2,
            )
        estimates = _of_independent_chains(signs)
    return ModeBalance(*estimates, int(changes.sum()), int(np.count_nonzero(changes)), n_chains, n_draws)


def _signs(states: np.ndarray) -> np.ndarray:
    """The sign of the magnetisation of each draw: int8 (n_chains, n_draws)."""
    states = checks.finite_array("samples", states)
    if states.ndim < 2:
        raise InputError(
            f"samples has shape {states.shape}; its shape must be (n_chains, n_draws, n_visible) or (n_rows, n_visible)"
        )
    states = states.reshape(*states.shape[:2], -1) if states.ndim > 2 else states[None]
    low = -1 if states.size and states.min() < 0 else 0
    checks.alphabet("samples", states, (low, 1), "spin" if low else "bernoulli")
    sums = states.sum(axis=2, dtype=np.int64)
    return np.sign(sums if low else 2 * sums - states.shape[2]).astype(np.int8)


def _sign_changes(signs: np.ndarray) -> np.ndarray:
    """How often each chain changed the sign; zeros in between do not count."""
    return np.array([np.count_nonzero(np.diff(chain[chain != 0])) for chain in signs])


def _of_independent_chains(signs: np.ndarray) -> list[Estimate]:
    """The weights from chains that keep their sign, each of which counts once."""
    n_chains, n_draws = signs.shape
    fractions = np.array([np.mean(signs == sign) for sign in (1, -1, 0)])
    # Laplace's rule: a count of none is no proof that there are none.
    up, down, _ = p = (n_chains * fractions + 1) / (n_chains + 2)
    variances = [*(p * (1 - p)), max(0.0, up + down - (up - down) ** 2)]
    values = [*fractions, fractions[0] - fractions[1]]
    return [
        Estimate(float(value), math.sqrt(variance / n_chains), float(n_draws), float(n_chains))
        for value, variance in zip(values, variances, strict=True)
    ]


def exact_mode_balance(model: RBM | np.ndarray) -> ModeBalance:
    """The weights of the signs of the magnetisation over all states.

    Parameters
    ----------
    model : RBM, or array of shape (2**n_units,)
        With two-level visible units that can be listed; or the probabilities of all states of two-level units by state
        index, for example those of `ising.exact.probabilities`.

    Returns
    -------
    ModeBalance
        Without errors, and without chains.

    Raises
    ------
    InputError
        If the visible units have no two levels, or the array holds no probabilities of 2**n states.
    SizeError
        If there are more than 24 visible units.

    Examples
    --------
    >>> from mcgen import ising, rbm
    >>> from mcgen.rbm.evaluation import exact_mode_balance
    >>> print(exact_mode_balance(ising.exact.probabilities(ising.Ising((2, 2)), temperature=2.0)))
    p(m > 0) = 0.483352(0), p(m < 0) = 0.483352(0), p(m = 0) = 0.0332965(0), exact
    """
    if isinstance(model, RBM):
        if not isinstance(model.visible, TwoLevel):
            raise InputError(f"{model.visible.name} visible units are no spins; use bernoulli or spin units")
        p = exact.probabilities(model)
    else:
        p = checks.finite_array("model", model, (None,))
        p = checks.distribution("model", p, (1 << max(1, len(p) - 1).bit_length(),))
    n = len(p).bit_length() - 1
    enumeration.check_listable(n, "the distribution", "sample it, and take mode_balance of the samples")
    index = np.arange(len(p))
    magnetization = 2 * sum(index >> i & 1 for i in range(n)) - n
    weights = [float(p[part].sum()) for part in (magnetization > 0, magnetization < 0, magnetization == 0)]
    values = [*weights, weights[0] - weights[1]]
    return ModeBalance(*(Estimate(value, 0.0, math.nan, math.nan) for value in values), 0, 0, 0, 0)
