"""The interactions between visible units that an RBM has learnt: the generalised Ising model of its marginal.

With the visible states as spins, v = (1 + low) / 2 + (1 - low) / 2 s, the marginal of an RBM of two-level visible units
is p(s) ~ exp(sum_i H_i s_i + sum_{i<j} J_ij s_i s_j + sum_{i<j<k} J_ijk s_i s_j s_k + ...). The couplings are unique:
J_A = 2^-n sum_s [-F(s)] prod_{i in A} s_i for every set A of units.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mcgen import blas, checks
from mcgen.enumeration import MOST_LISTED_UNITS
from mcgen.errors import InputError, SizeError
from mcgen.rbm import exact
from mcgen.rbm.model import RBM
from mcgen.rbm.units import Potts, ReLU, TwoLevel

# A hidden unit's part of a coupling is an integral over t; e^(-pi t / 2) ends it, and the nodes lie so close that the
# images of log cosh, 2 pi / step apart, are out of each other's reach by so much: both cost less than 1e-16.
END = 26.0
MARGIN = 24.0
# Terms below this do not change a sum of terms of order one.
NEGLIGIBLE = 1e-20
# Nodes of one product of matrices, and numbers of one product over triples.
NODES_PER_BLOCK = 2048
NUMBERS_PER_BLOCK = 1 << 20


class Couplings(NamedTuple):
    """Fields and couplings between spins s = +-1, all in units of the temperature (J / T).

    fields : float64, shape (n_visible,)
        H_i.
    pairs : float64, shape (n_visible, n_visible)
        J_ij, symmetric, with zeros on the diagonal.
    triples : int64, shape (n_triples, 3)
        The units i < j < k of the three-body couplings that were asked for.
    three_body : float64, shape (n_triples,)
        J_ijk.
    """

    fields: np.ndarray
    pairs: np.ndarray
    triples: np.ndarray
    three_body: np.ndarray


def effective_couplings(model: RBM, triples: np.ndarray | str | None = None) -> Couplings:
    """The fields, pair couplings and three-body couplings of the marginal p(v), exact to rounding.

    A two-level hidden unit adds log cosh(theta + sum_i w_i s_i) to -F(s), with theta, w the field and weights between
    spins. As a Fourier integral over t it is a sum of products over the spins, so that the mean over all 2^n states
    becomes a product over the units. With theta the weight of one more spin, s_0 = 1 and w_0 = theta, the part of a
    hidden unit in the coupling of an even set A of units, with |A| = 2 m, is

        (-1)^(m + 1) int_0^inf prod_{i in A} sin(w_i t) prod_{i not in A} cos(w_i t) / (t sinh(pi t / 2)) dt,

    and fields and three-body couplings are those of sets with s_0. The central limit theorem would make the second
    product a Gaussian function of t (Decelle et al.); the integral is as quick without it. Gaussian hidden units leave
    pair couplings alone, in closed form. For others all states are listed.

    Parameters
    ----------
    model : RBM
        Two-level visible units; hidden units of two levels or Gaussian, or of any kind for up to 24 visible units.
    triples : int array, shape (n_triples, 3), or "all", optional
        The sets of three units whose couplings are wanted; by default none.

    Returns
    -------
    Couplings

    Raises
    ------
    InputError
        If the visible units have no two levels, or a triple does not consist of three units.
    SizeError
        If states would have to be listed for more than 24 visible units.

    References
    ----------
    Decelle, Furtlehner, Navas Gomez & Seoane, SciPost Phys. 16, 095 (2024). For Gaussian units Barra, Bernacchia,
    Santucci & Contucci, Neural Networks 34, 1 (2012).

    Examples
    --------
    A hidden spin that joins two spins by K is the coupling log(cosh 2 K) / 2 between them (decimation):

    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.evaluation import effective_couplings
    >>> model = rbm.RBM([[0.7], [0.7]], np.zeros(2), np.zeros(1), visible="spin", hidden="spin")
    >>> bool(np.isclose(effective_couplings(model).pairs[0, 1], np.log(np.cosh(1.4)) / 2, rtol=1e-13))
    True
    """
    _check_two_level(model)
    triples = _checked_triples(triples, model.n_visible)
    if isinstance(model.hidden, TwoLevel):
        return _of_two_level(model, triples)
    if isinstance(model.hidden, Potts | ReLU):
        return _of_all(all_couplings(model), model.n_visible, triples)
    return _of_gaussian(model, triples)


def all_couplings(model: RBM) -> np.ndarray:
    """J_A of every set A of visible units, of any order, by listing all states: a Walsh-Hadamard transform of -F(s).

    Parameters
    ----------
    model : RBM
        Up to 24 visible units of two levels; hidden units of any kind.

    Returns
    -------
    float64, shape (2**n_visible,)
        By the index of the set: bit i says whether unit i belongs to it. That of the empty set is the mean of
        -F(s) - log Z.

    Raises
    ------
    InputError
        If the visible units have no two levels.
    SizeError
        If there are more than 24 visible units.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.evaluation import all_couplings
    >>> model = rbm.RBM(np.zeros((2, 1)), [0.3, -0.2], np.zeros(1), visible="spin")
    >>> all_couplings(model).round(12)[1:3].tolist()
    [0.3, -0.2]
    """
    _check_two_level(model)
    if model.n_visible > MOST_LISTED_UNITS:
        raise SizeError(
            f"{model!r} has 2^{model.n_visible} visible states; listing them for couplings reaches {MOST_LISTED_UNITS} "
            "units; take two-level or Gaussian hidden units, whose couplings effective_couplings has at any size"
        )
    values = exact.log_probabilities(model)
    for i in range(model.n_visible):
        down, up = values.reshape(-1, 2, 1 << i).swapaxes(0, 1)
        values = np.stack([down + up, up - down], axis=1).ravel() / 2
    return values


def _check_two_level(model: RBM) -> None:
    if not isinstance(model.visible, TwoLevel):
        raise InputError(
            f"{model.visible.name} visible units are no spins, and have no Ising couplings; use bernoulli or spin units"
        )


def _checked_triples(triples: np.ndarray | str | None, n: int) -> np.ndarray:
    """The triples with i < j < k, int64 (n_triples, 3)."""
    if triples is None:
        return np.empty((0, 3), np.int64)
    if isinstance(triples, str):
        checks.choice("triples", triples, ("all",))
        return np.array(list(itertools.combinations(range(n), 3)), np.int64).reshape(-1, 3)
    triples = checks.finite_array("triples", triples, (None, 3))
    ordered = np.sort(triples, axis=1)
    if triples.size and (
        triples.dtype.kind not in "iu" or triples.min() < 0 or triples.max() >= n or (np.diff(ordered) == 0).any()
    ):
        raise InputError(f"triples must hold three different visible units each, integers from 0 to {n - 1}")
    return ordered.astype(np.int64)


def _of_two_level(model: RBM, triples: np.ndarray) -> Couplings:
    """The sums over hidden units of the integrals; row 0 of the extended weights is theta."""
    weights, visible_bias, hidden_bias = (array.astype(np.float64) for array in model.parameters)
    middle, half = model.visible.center, model.visible.half
    hidden_middle, hidden_half = model.hidden.center, model.hidden.half
    theta = hidden_half * (hidden_bias + middle * weights.sum(axis=0))
    extended = np.vstack([theta, hidden_half * half * weights])
    sums = np.zeros((len(extended), len(extended)))
    three_body = np.zeros(len(triples))
    with blas.one_thread():
        for w in np.ascontiguousarray(extended.T):
            for tangents, factors in _nodes(w):
                sums += (tangents * factors) @ tangents.T
                three_body -= _products(tangents, tangents[0] * factors, triples)
    fields = half * visible_bias + hidden_middle * half * weights.sum(axis=1) + sums[0, 1:]
    return Couplings(fields, _between_two(sums[1:, 1:]), triples, three_body)


def _between_two(sums: np.ndarray) -> np.ndarray:
    """The couplings of two units: symmetric to the last bit, and none of a unit with itself."""
    pairs = (sums + sums.T) / 2
    np.fill_diagonal(pairs, 0.0)
    return pairs


def _nodes(w: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of nodes t of the midpoint rule: tan(w_i t), (n, n_nodes), and what all sets have in common, (n_nodes,).

    A cosine that is nearly 0 comes back as the sine when it is multiplied by the tangent, to the last bits.
    """
    step = 2 * math.pi / (np.abs(w).sum() + MARGIN)
    n_nodes = math.ceil(END / step)
    for first in range(0, n_nodes, NODES_PER_BLOCK):
        t = (np.arange(first, min(first + NODES_PER_BLOCK, n_nodes)) + 0.5) * step
        angles = np.outer(w, t)
        cosines = np.abs(np.cos(angles))
        factors = step / (t * np.sinh(math.pi / 2 * t))
        # At most four cosines of the product are replaced by sines.
        smallest = np.partition(cosines, min(4, len(w) - 1), axis=0)[:4].prod(axis=0)
        product = np.cos(angles).prod(axis=0)
        there = np.abs(product) * factors > NEGLIGIBLE * smallest
        yield np.tan(angles[:, there]), (product * factors)[there]


def _products(tangents: np.ndarray, factors: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """sum_t factors(t) tan(w_i t) tan(w_j t) tan(w_k t) for each triple."""
    result = np.empty(len(triples))
    size = max(1, NUMBERS_PER_BLOCK // max(1, len(factors)))
    for first in range(0, len(triples), size):
        i, j, k = (triples[first : first + size] + 1).T
        result[first : first + size] = (tangents[i] * tangents[j] * tangents[k]) @ factors
    return result


def _of_gaussian(model: RBM, triples: np.ndarray) -> Couplings:
    """A Gaussian hidden unit of mean m and variance w^2 adds m x + w^2 x^2 / 2 at x = c + sum_i v_i W_i."""
    weights, visible_bias, hidden_bias = (array.astype(np.float64) for array in model.parameters)
    middle, half = model.visible.center, model.visible.half
    variance = model.hidden.variance_at_zero
    slopes = model.hidden.mean_at_zero + variance * (hidden_bias + middle * weights.sum(axis=0))
    with blas.one_thread():
        fields = half * (visible_bias + weights @ slopes)
        pairs = _between_two(half**2 * (weights * variance) @ weights.T)
    return Couplings(fields, pairs, triples, np.zeros(len(triples)))


def _of_all(couplings: np.ndarray, n: int, triples: np.ndarray) -> Couplings:
    """Those of one, two and three units among the couplings of all sets."""
    bits = np.int64(1) << np.arange(n)
    pairs = _between_two(couplings[bits[:, None] | bits])
    return Couplings(couplings[bits], pairs, triples, couplings[bits[triples].sum(axis=1)])
