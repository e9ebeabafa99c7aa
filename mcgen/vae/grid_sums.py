"""Sums over the points of a grid in latent space: p(x | z) of rows of data, or of all states, with weights."""

from collections.abc import Iterator

import numpy as np
from scipy.special import expit

from mcgen.errors import InputError
from mcgen.vae.decoders import Gaussian
from mcgen.vae.layers.dense import Dense
from mcgen.vae.model import VAE
from mcgen.vae.network import Network, Vector

# Numbers of a table.
NUMBERS_AT_ONCE = 2**21

# Tables of probabilities start from this power of two, so that products of two of them use the whole range of float64:
# what is lost by underflow is below 2^-1522 of one, and sums from 2^-1470 on keep all their digits.
TABLE_EXPONENT = 500

LEAST_SUM = 2.0 ** (2 * TABLE_EXPONENT - 1470)


def _pieces(n: int, width: int) -> Iterator[slice]:
    """0 ... n-1 in slices that make tables of so many columns of bounded size."""
    length = max(1, NUMBERS_AT_ONCE // width)
    return (slice(start, min(start + length, n)) for start in range(0, n, length))


class RowSums:
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


class StateSums:
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
