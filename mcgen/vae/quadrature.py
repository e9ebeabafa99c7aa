"""Exact likelihoods of models with up to three latent variables: p(x) = int N(z; 0, I) p(x | z) dz on a grid of z.

The trapezoidal rule on a product grid: for a smooth decoder its error falls faster than any power of the spacing
(Trefethen & Weideman, SIAM Review 56, 385 (2014)), at the kinks of ReLU at least as its square. The spacing is halved,
old points kept, until two grids agree, and the grid is widened while its edge matters. Decoders work in float64 here.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from mcgen import checks, enumeration
from mcgen.errors import InputError, SizeError
from mcgen.vae.gaussian.shapes import LOG_ROOT_TWO_PI
from mcgen.vae.grid_sums import RowSums, StateSums
from mcgen.vae.likelihood import check_listed
from mcgen.vae.model import VAE, check_vae

MOST_LATENTS = 3
# The first grid: the prior beyond 7 has a probability of 3e-12.
FIRST_REACH, FIRST_SPACING = 7, 0.5
WIDER_BY = 2
MOST_POINTS = 2**25
# Points that the decoder is evaluated for at once, and rows of data whose sums are kept at once.
POINTS_AT_ONCE = 2048
ROWS_AT_ONCE = 2**14


class Quadrature(NamedTuple):
    """A value, its error, and the points of the grid that gave it.

    The error is the change by the last halving of the spacing, an upper bound wherever halving the spacing makes the
    error at least two times smaller.
    """

    value: np.ndarray | float
    error: np.ndarray | float
    n_points: int


def log_likelihood_exact(
    net: VAE, x: np.ndarray, condition: np.ndarray | None = None, tolerance: float = 1e-6
) -> Quadrature:
    """log p(x) = log int N(z; 0, I) p(x | z) dz of each row, by quadrature.

    Parameters
    ----------
    net : VAE or ConditionalVAE
        With at most three latent variables.
    x : array, shape (n_rows, n_features)
    condition : array, shape (n_rows, n_conditions) or (n_conditions,), optional
        For a ConditionalVAE.
    tolerance : float
        Largest error of a row, in nats. The grid is that of the row that needs the finest one.

    Returns
    -------
    Quadrature
        Value and error are float64 of shape (n_rows,), in nats.

    Raises
    ------
    InputError
        If the model is not a VAE or has more latent variables, or data do not fit.
    SizeError
        If 2**25 points do not reach the tolerance.

    References
    ----------
    Kingma & Welling (2019), arXiv:1906.02691, eq. 1.13; Hjorth-Jensen (2025), "Mathematics of Variational
    Autoencoders".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.VAE(n_features=1, hidden=(), n_latent=1, seed=0)
    >>> both = vae.log_likelihood_exact(net, [[0], [1]])
    >>> round(float(np.exp(both.value).sum()), 6)
    1.0
    """
    net, tolerance = _checked(net, tolerance)
    x = net.check_rows(x)
    condition = net.check_condition(condition, len(x))
    if condition is None:
        groups, group = [None], np.zeros(len(x), np.int64)
    else:
        groups, group = np.unique(condition, axis=0, return_inverse=True)
    value, error, n_points = np.empty(len(x)), np.empty(len(x)), 0
    for k, one in enumerate(groups):
        members = np.flatnonzero(group.reshape(-1) == k)
        for start in range(0, len(members), ROWS_AT_ONCE):
            rows = members[start : start + ROWS_AT_ONCE]
            found = _integrate(net, one, RowSums(net, x[rows]), lambda value, change: change.max(), tolerance)
            value[rows], error[rows] = found.value, found.error
            n_points = max(n_points, found.n_points)
    return Quadrature(value, error, n_points)


def log_probabilities(net: VAE, condition: np.ndarray | None = None, tolerance: float = 1e-6) -> Quadrature:
    """log p(x) of every state, by quadrature.

    Given z the features are independent, so with their two halves a and b, P(a, b) = sum_g w_g p(a | z_g) p(b | z_g) is
    a product of two tables over the points g of the grid: no exponential is taken for a state and a point.

    Parameters
    ----------
    net : VAE or ConditionalVAE
        With at most three latent variables, and at most 24 Bernoulli or spin features.
    condition : array, shape (n_conditions,), optional
        For a ConditionalVAE.
    tolerance : float
        Largest error of log p(x) on average over the model, and of the sum of all probabilities.

    Returns
    -------
    Quadrature
        Value and error are float64 of shape (2**n_features,), by state index: bit i of it is feature i, lowest first,
        and 1 is "up".

    Raises
    ------
    InputError
        If the model is not a VAE, has more latent variables or no states to list, or p(x) of a state is below e^-1000.
    SizeError
        If there are more than 24 features, or 2**25 points do not reach the tolerance.

    References
    ----------
    Kingma & Welling (2019), arXiv:1906.02691, eq. 1.13.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, decoder="spin", activation="tanh", seed=0)
    >>> probabilities = np.exp(vae.log_probabilities(net).value)
    >>> probabilities.shape, round(float(probabilities.sum()), 9)
    ((64,), 1.0)
    """

    def average(value: np.ndarray, change: np.ndarray) -> float:
        probabilities = np.exp(value)
        return max(float(probabilities @ change), abs(float(probabilities.sum()) - 1))

    return _probabilities(net, condition, average, tolerance)


def kl_divergence(
    truth: np.ndarray, net: VAE, condition: np.ndarray | None = None, tolerance: float = 1e-4
) -> Quadrature:
    """KL(truth || model) = sum_x truth(x) [log truth(x) - log p(x)], with log p(x) of all states by quadrature.

    Parameters
    ----------
    truth : array, shape (2**n_features,)
        Probabilities of all states, by state index as in `log_probabilities`.
    net : VAE or ConditionalVAE
        With at most three latent variables, and at most 24 Bernoulli or spin features.
    condition : array, shape (n_conditions,), optional
        For a ConditionalVAE.
    tolerance : float
        Largest error of log p(x) on average over the truth, in nats.

    Returns
    -------
    Quadrature
        Value and error are floats, in nats.

    Raises
    ------
    InputError
        As `log_probabilities`, or if truth is not a distribution over the states.
    SizeError
        As `log_probabilities`.

    References
    ----------
    Kullback & Leibler, Ann. Math. Stat. 22, 79 (1951).

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, activation="tanh", seed=0)
    >>> found = vae.kl_divergence(np.exp(vae.log_probabilities(net).value), net)
    >>> round(abs(found.value), 6)
    0.0
    """
    check_listed(net)
    truth = checks.distribution("truth", truth, (1 << net.n_features,))

    def average(value: np.ndarray, change: np.ndarray) -> float:
        return float(truth @ change)

    found = _probabilities(net, condition, average, tolerance)
    return Quadrature(enumeration.kl_divergence(truth, found.value), average(found.value, found.error), found.n_points)


def _checked(net: VAE, tolerance: float) -> tuple[VAE, float]:
    """The model in float64, if it can be integrated over."""
    check_vae(net)
    if net.n_latent > MOST_LATENTS:
        raise InputError(
            f"n_latent={net.n_latent} is too large for quadrature, which reaches {MOST_LATENTS}; take importance "
            "sampling (log_likelihood, kl_estimate)"
        )
    return net.astype(np.float64), checks.positive("tolerance", tolerance)


def _probabilities(net: VAE, condition: np.ndarray | None, average: Callable, tolerance: float) -> Quadrature:
    check_listed(net)
    net, tolerance = _checked(net, tolerance)
    condition = net.check_condition(condition, 1)
    return _integrate(net, None if condition is None else condition[0], StateSums(net), average, tolerance)


def _integrate(
    net: VAE, condition: np.ndarray | None, sums: RowSums | StateSums, average: Callable, tolerance: float
) -> Quadrature:
    """Sums over grids until halving the spacing changes them by no more than the tolerance.

    average(value, change) says what changes of all logarithms count together.
    """
    d = net.n_latent
    parameters = net.parts(net.vector())[1]
    spacing, n = FIRST_SPACING, round(FIRST_REACH / FIRST_SPACING)
    n_known, step = -1, 1
    older, change = None, np.inf
    while True:
        n_points = (2 * n + 1) ** d
        if n_points > MOST_POINTS:
            raise SizeError(
                f"{n_points} points in {d} dimensions exceed the {MOST_POINTS} of quadrature; those before reached "
                f"an error of {change:.2g}, above tolerance={tolerance:g}; give a larger tolerance, or take importance "
                "sampling (log_likelihood, kl_estimate)"
            )
        for lattice in _new_points(n, n_known, step, d):
            z = spacing * lattice
            inputs = z if condition is None else np.hstack([z, np.broadcast_to(condition, (len(z), len(condition)))])
            y = net.decoder.apply(parameters, inputs, np.float64)
            sums.add(y, -0.5 * np.sum(z * z, axis=1), (np.abs(lattice) == n).any(axis=1))
        log_sum, edge = sums.results()
        value = log_sum + d * (np.log(spacing) - LOG_ROOT_TWO_PI)
        # The density at the edge, of a length of one: what lies beyond falls off at least as fast as the prior does.
        if average(value, edge / spacing) > 0.1 * tolerance:
            n_known, step = n, 1
            n += round(WIDER_BY / spacing)
            sums.forget_edge()
            continue
        if older is not None:
            error = np.abs(value - older)
            change = average(value, error)
            if change <= tolerance:
                return Quadrature(value, error, n_points)
        older = value
        n_known, step = n, 2
        n, spacing = 2 * n, 0.5 * spacing


def _new_points(n: int, n_known: int, step: int, d: int) -> Iterator[np.ndarray]:
    """Points of the lattice -n ... n in d dimensions without the known ones, multiples of step up to n_known * step."""
    side = 2 * n + 1
    for start in range(0, side**d, POINTS_AT_ONCE):
        index = np.arange(start, min(start + POINTS_AT_ONCE, side**d))
        lattice = np.stack(np.unravel_index(index, (side,) * d), axis=1) - n
        known = ((lattice % step == 0) & (np.abs(lattice) <= n_known * step)).all(axis=1)
        if not known.all():
            yield lattice[~known]
