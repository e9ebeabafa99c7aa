"""Weights tied by the symmetry of a lattice: a few free parameters stand for all parameters of a plain model."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.rbm.units import Unit

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]

PARAMETERS = ("weights", "visible_bias", "hidden_bias")
# The point about which the states of a unit are mirror images of each other. ReLU units have none.
CENTERS = {"bernoulli": 0.5, "spin": 0.0, "gaussian": 0.0}
KINDS = (*CENTERS, "relu")
# Biases that follow from the weights may be wrong by the rounding of float32 (relative to the sum of a filter).
ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class Symmetry:
    """The translations of a periodic lattice, without or with the spin flip, as symmetries of p(v).

    Hidden unit (f, t) is filter f moved by t, W[i, (f, t)] = filter_f[(r_i - t) mod shape] with r_i the place of
    visible unit i; the hidden units of a filter have one bias, and all visible units have one. Sites and translations
    are numbered in row-major order; (f, t) is hidden unit f * n_sites + t.

    With `spin_flip`, p(v) = p(-v), or p(1 - v) for Bernoulli units, too. Hidden units that have a mirror image
    (Bernoulli, spin, Gaussian) are flipped together with the visible ones: measured from the centres v0 and h0 of both
    (1/2 for Bernoulli units, otherwise 0) the energy has no linear terms. This fixes all biases: b_i = -h0 sum_j W_ij
    and c_j = -v0 sum_i W_ij. ReLU units have no mirror image, and their filters come in pairs: hidden units of -w after
    those of w, which makes twice as many, with equal fields at the centre of the visible layer; b = 0.

    The free parameters are a tuple (filters, visible_bias, hidden_bias) of the shapes (n_filters, *shape), (1,) and
    (n_filters,). The last two have the shape (0,) where the spin flip fixes the biases; for pairs, hidden_bias is the
    field at the centre.

    Parameters
    ----------
    shape : int or sequence of int
        Sites along each axis, as for `ising.Ising`; every axis is periodic.
    n_filters : int
        Free filters.
    spin_flip : bool
    visible, hidden : str or Unit
        The kinds of the model's units, of which the name is kept: any but Potts, and with `spin_flip` no visible ReLU.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    Lee, Grosse, Ranganath & Ng, ICML (2009), convolutional RBMs; Carleo & Troyer, Science 355, 602 (2017), the same
    for the symmetries of a lattice.

    Examples
    --------
    >>> from mcgen.rbm.symmetry import Symmetry
    >>> tie = Symmetry(shape=(4, 4), n_filters=2)
    >>> tie.n_visible, tie.n_hidden, tie.n_free
    (16, 32, 35)
    >>> weights, visible_bias, hidden_bias = Symmetry(shape=3, n_filters=1).expand(([[1, 2, 3]], [4], [5]))
    >>> weights.tolist(), visible_bias.tolist(), hidden_bias.tolist()
    ([[1.0, 3.0, 2.0], [2.0, 1.0, 3.0], [3.0, 2.0, 1.0]], [4.0, 4.0, 4.0], [5.0, 5.0, 5.0])
    """

    shape: tuple[int, ...]
    n_filters: int
    spin_flip: bool = False
    visible: str = "bernoulli"
    hidden: str = "bernoulli"

    def __post_init__(self) -> None:
        lengths = self.shape if isinstance(self.shape, Sequence | np.ndarray) else (self.shape,)
        shape = tuple(checks.integer("shape", length, 1) for length in lengths)
        if not shape:
            raise InputError("shape=() has no axis; give at least one length, for example (4, 4)")
        kinds = {layer: getattr(getattr(self, layer), "name", getattr(self, layer)) for layer in ("visible", "hidden")}
        for layer, kind in kinds.items():
            if kind == "potts":
                raise InputError(f"{layer}='potts': tied filters have one weight for each site; leave out symmetry")
            checks.choice(layer, kind, KINDS)
        if self.spin_flip and kinds["visible"] not in CENTERS:
            raise InputError(
                f"visible={kinds['visible']!r} units have no mirror image, which spin_flip=True needs; "
                f"choose one of {', '.join(map(repr, CENTERS))}, or spin_flip=False"
            )
        n_filters = checks.integer("n_filters", self.n_filters, 1)
        for name, value in {"shape": shape, "n_filters": n_filters, "spin_flip": bool(self.spin_flip), **kinds}.items():
            object.__setattr__(self, name, value)

    @property
    def n_visible(self) -> int:
        """Visible units: one for each site."""
        return math.prod(self.shape)

    @property
    def _paired(self) -> bool:
        return self.spin_flip and self.hidden not in CENTERS

    @property
    def n_hidden(self) -> int:
        """Hidden units: one for each filter (and its negative, where they come in pairs) and translation."""
        return self.n_filters * self.n_visible * (2 if self._paired else 1)

    @property
    def free_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the free parameters: filters, visible_bias, hidden_bias."""
        fixed = self.spin_flip and not self._paired
        return (self.n_filters, *self.shape), (0 if self.spin_flip else 1,), (0 if fixed else self.n_filters,)

    @property
    def n_free(self) -> int:
        """How many free parameters there are."""
        return sum(math.prod(shape) for shape in self.free_shapes)

    @functools.cached_property
    def sites(self) -> np.ndarray:
        """Where translations move sites, (d + t) mod shape: int64, shape (n_sites, n_translations)."""
        places = np.indices(self.shape).reshape(len(self.shape), -1)
        moved = places[:, :, None] + places[:, None, :]
        return np.ravel_multi_index(tuple(moved), self.shape, mode="wrap")

    @property
    def _centers(self) -> tuple[float, float]:
        """v0 and h0 where biases follow from them, otherwise 0."""
        return (CENTERS[self.visible], CENTERS.get(self.hidden, 0.0)) if self.spin_flip else (0.0, 0.0)

    def expand(self, free: Sequence[np.ndarray]) -> Arrays:
        """The plain parameters that free parameters stand for, a linear map.

        Parameters
        ----------
        free : (filters, visible_bias, hidden_bias)

        Returns
        -------
        weights, visible_bias, hidden_bias : float64
            As for `RBM`.

        Raises
        ------
        InputError
            If a shape does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from mcgen.rbm.symmetry import Symmetry
        >>> tie = Symmetry(shape=2, n_filters=1, spin_flip=True)
        >>> weights, visible_bias, hidden_bias = tie.expand(([[1.0, 3.0]], [], []))
        >>> weights.tolist(), visible_bias.tolist(), hidden_bias.tolist()
        ([[1.0, 3.0], [3.0, 1.0]], [-2.0, -2.0], [-2.0, -2.0])
        """
        filters, visible_bias, hidden_bias = (
            _of_shape(f"{name}, free in {self!r},", array, shape)
            for name, array, shape in zip(("filters", *PARAMETERS[1:]), free, self.free_shapes, strict=True)
        )
        n = self.n_visible
        filters = filters.reshape(-1, n)
        if self._paired:
            filters, hidden_bias = np.concatenate([filters, -filters]), np.tile(hidden_bias, 2)
        weights = np.empty((n, len(filters), n))
        weights[self.sites, :, np.arange(n)] = filters.T[:, None, :]
        # Every row of the weights has the entries of all filters, every column those of its own.
        visible_center, hidden_center = self._centers
        b = visible_bias.sum() - hidden_center * filters.sum()
        c = -visible_center * filters.sum(axis=1)
        if hidden_bias.size:
            c += hidden_bias
        return weights.reshape(n, -1), np.full(n, b), np.repeat(c, n)

    def reduce(self, gradient: Sequence[np.ndarray]) -> Arrays:
        """The gradient with respect to the free parameters: the chain rule, the adjoint of `expand`.

        Parameters
        ----------
        gradient : (weights, visible_bias, hidden_bias)
            With respect to the plain parameters; an `rbm.Gradient`, say.

        Returns
        -------
        filters, visible_bias, hidden_bias : float64

        Raises
        ------
        InputError
            If a shape does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from mcgen.rbm.symmetry import Symmetry
        >>> tie = Symmetry(shape=3, n_filters=1)
        >>> [part.tolist() for part in tie.reduce((np.ones((3, 3)), np.ones(3), np.ones(3)))]
        [[[3.0, 3.0, 3.0]], [3.0], [3.0]]
        """
        g_weights, g_visible, g_hidden = self._checked("gradient of ", gradient)
        n = self.n_visible
        visible_center, hidden_center = self._centers
        g_hidden = g_hidden.reshape(-1, n).sum(axis=1)
        g_filters = g_weights.reshape(n, -1, n)[self.sites, :, np.arange(n)].sum(axis=1).T
        g_filters = g_filters - hidden_center * g_visible.sum() - visible_center * g_hidden[:, None]
        if self._paired:
            of_w, of_minus_w = np.split(g_filters, 2)
            g_filters, g_hidden = of_w - of_minus_w, g_hidden.reshape(2, -1).sum(axis=0)
        shapes = self.free_shapes
        free_visible, free_hidden = g_visible.sum(keepdims=True)[: shapes[1][0]], g_hidden[: shapes[2][0]]
        return g_filters.reshape(shapes[0]), free_visible, free_hidden

    def extract(self, full: Sequence[np.ndarray]) -> Arrays:
        """The free parameters of plain parameters that obey the symmetry (see `check`): the inverse of `expand`.

        Parameters
        ----------
        full : (weights, visible_bias, hidden_bias)

        Returns
        -------
        filters, visible_bias, hidden_bias : float64

        Raises
        ------
        InputError
            If a shape does not fit.

        Examples
        --------
        >>> from mcgen.rbm.symmetry import Symmetry
        >>> tie = Symmetry(shape=3, n_filters=1)
        >>> tie.extract(tie.expand(([[1.0, 2.0, 3.0]], [4.0], [5.0])))[0].tolist()
        [[1.0, 2.0, 3.0]]
        """
        weights, visible_bias, hidden_bias = self._checked("", full)
        n = self.n_visible
        shapes = self.free_shapes
        # The translation by nothing.
        filters = weights[:, : self.n_filters * n : n].T.copy()
        field = hidden_bias[: self.n_filters * n : n] + self._centers[0] * filters.sum(axis=1)
        return filters.reshape(shapes[0]), visible_bias[: shapes[1][0]].copy(), field[: shapes[2][0]]

    def check(
        self, weights: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray, visible: Unit, hidden: Unit
    ) -> None:
        """Raise `InputError` unless plain parameters and units obey the symmetry.

        Tied weights and biases must be equal to the last bit; biases that are fixed by the weights, to rounding in
        float32. Units of a kind with own numbers (the means and variances of Gaussian units) must share them likewise;
        flipped Gaussian units have the mean 0.

        Parameters
        ----------
        weights, visible_bias, hidden_bias : array
        visible, hidden : Unit

        Raises
        ------
        InputError
            If they do not.
        """
        for layer, unit in (("visible", visible), ("hidden", hidden)):
            if unit.name != getattr(self, layer):
                raise InputError(f"{layer}={unit.name!r} units do not fit {self!r}; give both the same kind")
        full = self._checked("", (weights, visible_bias, hidden_bias))
        tied = self.expand(self.extract(full))
        rounding = ROUNDING * np.abs(full[0]).sum(axis=0).max() * self.n_filters if self.spin_flip else 0.0
        tolerances = (0.0, rounding, rounding)
        for name, have, want, tolerance in zip(PARAMETERS, full, tied, tolerances, strict=True):
            wrong = np.abs(have - want) > tolerance
            if wrong.any():
                place = tuple(int(i) for i in np.argwhere(wrong)[0])
                raise InputError(
                    f"{name} has the value {have[place]:.9g} at index {place}, where {self!r} asks for "
                    f"{want[place]:.9g}; make parameters by its expand, or leave out symmetry"
                )
        self._check_own_numbers("visible", visible, visible.parameters.reshape(2, -1, self.n_visible))
        self._check_own_numbers("hidden", hidden, hidden.parameters.reshape(2, -1, self.n_visible))

    def _check_own_numbers(self, layer: str, unit: Unit, numbers: np.ndarray) -> None:
        """Means and widths, shape (2, n_filters, n_sites), or (2, 0, n_sites) where units have none."""
        first = numbers[:, : self.n_filters, :1]
        if layer == "hidden" and self._paired:
            first = np.tile(first, (1, 2, 1))
        if (numbers != first).any():
            raise InputError(
                f"{layer}: tied {unit.name} units differ in mean or variance; give all of a filter the same"
            )
        if self.spin_flip and unit.name == "gaussian" and numbers[0].any():
            raise InputError(f"{layer}: flipped gaussian units have the mean 0; give mean=0, or spin_flip=False")

    def _checked(self, prefix: str, full: Sequence[np.ndarray]) -> Arrays:
        shapes = ((self.n_visible, self.n_hidden), (self.n_visible,), (self.n_hidden,))
        return tuple(
            _of_shape(f"{prefix}{name} of {self!r}", array, shape)
            for name, array, shape in zip(PARAMETERS, full, shapes, strict=True)
        )

    def random_parameters(self, seed: int, scale: float = 0.01) -> Arrays:
        """Plain parameters with filters drawn from a normal distribution of standard deviation `scale`.

        Free biases are 0.

        Parameters
        ----------
        seed : int
            0 to 2**64 - 1.
        scale : float

        Returns
        -------
        weights, visible_bias, hidden_bias : float64

        Raises
        ------
        InputError
            If an argument is out of range.

        Examples
        --------
        >>> from mcgen.rbm.symmetry import Symmetry
        >>> weights, _, _ = Symmetry(shape=(2, 2), n_filters=3).random_parameters(seed=1)
        >>> weights.shape
        (4, 12)
        """
        scale = checks.real("scale", scale)
        filters = scale * rng.normals(seed, rng.purpose.RBM_PARAMETERS, self.n_filters, self.n_visible)
        shapes = self.free_shapes
        return self.expand((filters.reshape(shapes[0]), np.zeros(shapes[1]), np.zeros(shapes[2])))


def _of_shape(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`value` in float64, checked to have the shape; NaN may be in it, and is refused by the model."""
    array = np.asarray(value, np.float64)
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}; its shape must be {shape}")
    return array
