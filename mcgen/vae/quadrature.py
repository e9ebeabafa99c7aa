"""Exact likelihoods of models with up to three latent variables: p(x) = int N(z; 0, I) p(x | z) dz on a grid of z.

The trapezoidal rule on a product grid: for a smooth decoder its error falls faster than any power of the spacing
(Trefethen & Weideman, SIAM Review 56, 385 (2014)), at the kinks of ReLU at least as its square. The spacing is halved,
old points kept, until two grids agree, and the grid is widened while its edge matters. Decoders work in float64 here.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from mcgen import checks, enumeration
from mcgen.errors import InputError, SizeError
from mcgen.vae.decoders import Gaussian
from mcgen.vae.gaussian.shapes import LOG_ROOT_TWO_PI
from mcgen.vae.layers.dense import Dense
from mcgen.vae.likelihood import check_listed
from mcgen.vae.model import VAE, check_vae
from mcgen.vae.network import Network, Vector

MOST_LATENTS = 3
# The first grid: the prior beyond 7 has a probability of 3e-12.
FIRST_REACH, FIRST_SPACING = 7, 0.5
WIDER_BY = 2
MOST_POINTS = 2**25
# Points that the decoder is evaluated for at once, rows of data whose sums are kept at once, and numbers of a table.
POINTS_AT_ONCE = 2048
ROWS_AT_ONCE = 2**14
NUMBERS_AT_ONCE = 2**21
# Tables of probabilities start from this power of two, so that products of two of them use the whole range of float64:
# what is lost by underflow is below 2^-1522 of one, and sums from 2^-1470 on keep all their digits.
TABLE_EXPONENT = 500
LEAST_SUM = 2.0 ** (2 * TABLE_EXPONENT - 1470)


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
            found = _integrate(net, one, _RowSums(net, x[rows]), lambda value, change: change.max(), tolerance)
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
    return _integrate(net, None if condition is None else condition[0], _StateSums(net), average, tolerance)


def _integrate(
    net: VAE, condition: np.ndarray | None, sums: "_RowSums | _StateSums", average: Callable, tolerance: float
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


def _pieces(n: int, width: int) -> Iterator[slice]:
    """0 ... n-1 in slices that make tables of so many columns of bounded size."""
    length = max(1, NUMBERS_AT_ONCE // width)
    return (slice(start, min(start + length, n)) for start in range(0, n, length))


class _RowSums:
    """sum_g e^{log w_g} p(x | z_g) of rows x, relative to the largest term of each so far.

    All kinds of decoders have log p(x | y) = log p(0 | y) + sum_i x_i y_i slope_i + log p(x | 0) - log p(0 | 0): one
    more dense layer for the outputs y of the decoder.
    """

    def __init__(self, net: VAE, x: np.ndarray):
        self.kind, self.parameters = net.decoder_kind, net.decoder_parameters
        slope = 1.0
        if isinstance(self.kind, Gaussian):
            slope = np.exp(-2 * self.parameters.get("log_std", np.log(self.kind.std)))
        self.layer = Network((net.n_features,), [Dense(len(x))])
        self.vector = Vector(self.layer.parameter_shapes, np.float64)
        self.vector.views[0]["weights"][:] = (x * slope).T
        zero = np.zeros((1, net.n_features))
        self.vector.views[0]["bias"][:] = self._log_density(x, zero) - self._log_density(zero, zero)
        self.largest, self.total, self.edge = np.full(len(x), -np.inf), np.zeros(len(x)), np.zeros(len(x))

    def _log_density(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return self.kind.log_density(x, y, self.parameters)

    def add(self, y: np.ndarray, log_w: np.ndarray, at_edge: np.ndarray) -> None:
        """Points with the outputs y of the decoder."""
        common = log_w + self._log_density(np.zeros((1, y.shape[1])), y)
        for piece in _pieces(len(y), len(self.total)):
            terms = self.layer.apply(self.vector.views, y[piece], np.float64)
            terms += common[piece, None]
            top = np.maximum(self.largest, terms.max(axis=0))
            keep = np.exp(self.largest - top)
            terms -= top
            np.exp(terms, out=terms)
            self.total = self.total * keep + terms.sum(axis=0)
            self.edge = self.edge * keep + terms[at_edge[piece]].sum(axis=0)
            self.largest = top

    def results(self) -> tuple[np.ndarray, np.ndarray]:
        """The logarithm of the sum, and the share of the points at the edge."""
        return self.largest + np.log(self.total), self.edge / self.total

    def forget_edge(self) -> None:
        """The points at the edge lie inside from now on."""
        self.edge[:] = 0


class _StateSums:
    """sum_g e^{log w_g} p(x | z_g) of all states x: one row for each state of the higher features."""

    def __init__(self, net: VAE):
        self.distance = 1 - net.decoder_kind.low
        self.n_low = net.n_features // 2
        shape = (1 << net.n_features - self.n_low, 1 << self.n_low)
        self.total, self.edge = np.zeros(shape), np.zeros(shape)

    def add(self, y: np.ndarray, log_w: np.ndarray, at_edge: np.ndarray) -> None:
        """Points with the outputs y of the decoder."""
        weights = np.exp(log_w)
        for piece in _pieces(len(y), len(self.total)):
            low = _table(self.distance * y[piece, : self.n_low], np.ones(len(y[piece])))
            high = _table(self.distance * y[piece, self.n_low :], weights[piece])
            self.total += _product(high, low.T)
            if at_edge[piece].any():
                self.edge += _product(high[:, at_edge[piece]], low[:, at_edge[piece]].T)

    def results(self) -> tuple[np.ndarray, np.ndarray]:
        """The logarithm of the sums, and the shares of the points at the edge."""
        n_small = int(np.sum(self.total < LEAST_SUM))
        if n_small:
            raise InputError(
                f"{n_small} states have a probability below e^-1000, the end of these sums; take the log-likelihoods "
                "of the states that matter (log_likelihood_exact)"
            )
        logs = np.log(self.total) - 2 * TABLE_EXPONENT * np.log(2)
        return logs.reshape(-1), (self.edge / self.total).reshape(-1)

    def forget_edge(self) -> None:
        """The points at the edge lie inside from now on."""
        self.edge[:] = 0


def _table(logits: np.ndarray, start: np.ndarray) -> np.ndarray:
    """start 2^TABLE_EXPONENT prod_i p(x_i | logit_i) of all states x, shape (2**n_features, n_points)."""
    n_points, n_features = logits.shape
    table = np.empty((1 << n_features, n_points))
    table[0] = np.ldexp(start, TABLE_EXPONENT)
    for i, (up, down) in enumerate(zip(expit(logits.T), expit(-logits.T), strict=True)):
        np.multiply(table[: 1 << i], up, out=table[1 << i : 2 << i])
        table[: 1 << i] *= down
    return table


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left @ right as a dense layer without bias: on all cores, with bits that do not depend on how many there are."""
    layer = Network((left.shape[1],), [Dense(right.shape[1])])
    vector = Vector(layer.parameter_shapes, np.float64)
    vector.views[0]["weights"][:] = right
    return layer.apply(vector.views, left, np.float64)
