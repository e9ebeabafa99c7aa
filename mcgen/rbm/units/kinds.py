"""The kinds of units that a layer can have, each a small object that knows its own statistics.

A kind is a class with a `code` that the kernels know, and formulas in `formulas.py`.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from mcgen import backend, checks, enumeration, rng
from mcgen.errors import InputError
from mcgen.rbm.units.formulas import GAUSSIAN, POTTS, RELU, TWO_LEVEL

NO_PARAMETERS = np.empty((2, 0))


@dataclasses.dataclass(frozen=True)
class Unit:
    """A kind of unit; the energy of a layer is sum_i U(s_i) - sum_i x_i s_i at the fields x_i.

    Attributes
    ----------
    name : str
        As in files and messages: "bernoulli", "spin", "potts", "gaussian", "relu".
    code, level : int
        What kernels know the kind by, see formulas.py.
    is_discrete : bool
        Whether a unit has finitely many states.
    entries : int
        Entries of the state that belong to one unit: the number of states of a Potts unit, otherwise 1.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    is_discrete: ClassVar[bool] = True
    level: ClassVar[int] = 0
    entries: ClassVar[int] = 1

    @property
    def parameters(self) -> np.ndarray:
        """What kernels need to know of every unit: float64, shape (2, n_units), or (2, 0) where there is nothing."""
        return NO_PARAMETERS

    @property
    def kernel_arguments(self) -> tuple[int, int, np.ndarray]:
        """(kind, level, parameters), as kernels take them."""
        return self.code, self.level, self.parameters

    def for_layer(self, argument: str, n_entries: int) -> "Unit":
        """The same kind for a layer of n_entries entries of the state, given as the argument `argument`.

        Raises
        ------
        InputError
            If its own parameters do not fit the number of entries.
        """
        return self

    def n_units(self, n_entries: int) -> int:
        """How many units have n_entries entries."""
        return n_entries // self.entries

    def part(self, entries: np.ndarray) -> "Unit":
        """The kind of a layer that has only these entries (indices) of a layer of this kind."""
        return self

    def state_dtype(self, dtype: np.dtype) -> np.dtype:
        """In what states are kept: int8, or for continuous units the dtype of the model."""
        return np.dtype(np.int8) if self.is_discrete else np.dtype(dtype)

    def settings(self) -> dict:
        """The arguments that make this kind again."""
        return {}

    def check(self, name: str, states: np.ndarray, exact: bool) -> None:
        """Raise `InputError` unless states, shape (..., n_entries), lie in the range of the units.

        With `exact`, they must be states, not averages of states.
        """
        raise NotImplementedError

    def energy_term(self, states: np.ndarray) -> np.ndarray:
        """sum_i U(s_i) over the last axis of states, shape (..., n_entries): 0 for discrete units."""
        return np.zeros(np.shape(states)[:-1])

    def cumulant(self, fields: np.ndarray, device: str = "cpu") -> np.ndarray:
        """sum_i Gamma(x_i) over the last axis of fields, Gamma(x) = log sum_s e^{x s - U(s)}.

        Parameters
        ----------
        fields : array, shape (..., n_entries)
        device : {"cpu", "cuda"}

        Returns
        -------
        float64, shape (...)

        Examples
        --------
        >>> from mcgen import rbm
        >>> rbm.Bernoulli().cumulant([[0.0, 0.0]]).round(6).tolist()  # 2 log 2
        [1.386294]
        """
        fields = np.ascontiguousarray(fields, np.float64)
        target = backend.target(device)
        rows = fields.reshape(-1, fields.shape[-1])
        sums = target.to_device(np.empty(len(rows)))
        if len(rows):
            arguments = (target.to_device(rows), *self._arguments(target))
            target.launch(target.kernels("rbm.units").cumulant_rows, len(rows), 1, sums, *arguments)
        return target.to_host(sums).reshape(fields.shape[:-1])

    def mean(self, fields: np.ndarray, device: str = "cpu") -> np.ndarray:
        """<s_i> = Gamma'(x_i) of each unit in its field; arguments as for `cumulant`, shape as fields.

        Examples
        --------
        >>> from mcgen import rbm
        >>> rbm.Gaussian(mean=1.0, variance=4.0).for_layer("hidden", 1).mean([[0.5]]).tolist()
        [[3.0]]
        """
        return self._transformed("mean_rows", fields, device)

    def variance(self, fields: np.ndarray, device: str = "cpu") -> np.ndarray:
        """<s_i^2> - <s_i>^2 = Gamma''(x_i) of each unit in its field; arguments as for `cumulant`, shape as fields."""
        return self._transformed("variance_rows", fields, device)

    def draw(self, fields: np.ndarray, seed: int, step: int = 0, device: str = "cpu") -> np.ndarray:
        """A random state of each unit in its field; shape as fields.

        Parameters
        ----------
        fields : array, shape (..., n_entries)
        seed : int
            0 to 2**64 - 1.
        step : int
            Which of several independent draws with the same seed.
        device : {"cpu", "cuda"}

        Examples
        --------
        >>> from mcgen import rbm
        >>> rbm.Spin().draw([[50.0, -50.0]], seed=1).tolist()
        [[1, -1]]
        """
        key = rng.split_seed(seed)
        states = self._transformed("draw_rows", fields, device, step, rng.purpose.RBM_UNITS, *key)
        return states.astype(self.state_dtype(states.dtype))

    def _transformed(self, kernel: str, fields: np.ndarray, device: str, *more: object) -> np.ndarray:
        fields = np.array(fields, np.float64, order="C")
        target = backend.target(device)
        rows = target.to_device(fields.reshape(-1, fields.shape[-1]))
        if len(rows):
            kernels = target.kernels("rbm.units")
            target.launch(getattr(kernels, kernel), len(rows), fields.shape[-1], rows, *self._arguments(target), *more)
        return target.to_host(rows).reshape(fields.shape)

    def _arguments(self, target: object) -> tuple:
        return self.code, self.level, target.to_device(self.parameters)

    def list_states(self, n_entries: int, start: int, stop: int) -> np.ndarray:
        """The states of a layer with the indices start ... stop-1: float64 (stop - start, n_entries).

        Unit i is digit i of the index, lowest first; its states are digits in the order of the formulas.
        """
        raise NotImplementedError

    def n_states(self, n_entries: int) -> int:
        """The number of states of a layer."""
        raise NotImplementedError

    def state_index(self, states: np.ndarray) -> np.ndarray:
        """The index of each row of states, shape (..., n_entries): int64."""
        raise NotImplementedError


class TwoLevel(Unit):
    """A unit with the states `low` and 1."""

    code = TWO_LEVEL

    @property
    def low(self) -> int:
        """The lower state."""
        return self.level

    def check(self, name: str, states: np.ndarray, exact: bool) -> None:
        if exact:
            checks.alphabet(name, states, (self.low, 1), self.name)
        elif states.size and (states.min() < self.low or states.max() > 1):
            raise InputError(
                f"{name} has values from {states.min()} to {states.max()}, but {self.name} units lie between "
                f"{self.low} and 1; convert the data, for example with s = 2 v - 1 or v = (s + 1) / 2"
            )

    def list_states(self, n_entries: int, start: int, stop: int) -> np.ndarray:
        return enumeration.list_states(n_entries, self.low, start, stop)

    def n_states(self, n_entries: int) -> int:
        return 1 << n_entries

    def state_index(self, states: np.ndarray) -> np.ndarray:
        return enumeration.state_index(states)


class Bernoulli(TwoLevel):
    """Units {0, 1}: mean sigmoid(x), cumulant log(1 + e^x)."""

    name = "bernoulli"
    level = 0


class Spin(TwoLevel):
    """Units {-1, +1}: mean tanh(x), cumulant log(2 cosh x)."""

    name = "spin"
    level = -1


@dataclasses.dataclass(frozen=True)
class Potts(Unit):
    """Units with q states, one-hot: q entries of the state, one of which is 1 and the others 0.

    A layer of n such units has n q entries, q neighbouring ones for each unit; weights and biases belong to entries.

    Parameters
    ----------
    q : int
        Number of states, at least 2.

    Raises
    ------
    InputError
        If q is too small.

    Examples
    --------
    >>> from mcgen import rbm
    >>> rbm.RBM.random(n_visible=6, n_hidden=2, seed=1, visible=rbm.Potts(q=3)).visible.n_units(6)
    2
    """

    q: int
    name = "potts"
    code = POTTS

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", checks.integer("q", self.q, 2))

    @property
    def level(self) -> int:
        return self.q

    @property
    def entries(self) -> int:
        return self.q

    def for_layer(self, argument: str, n_entries: int) -> "Potts":
        if n_entries % self.q:
            raise InputError(
                f"{argument}={self!r} has {self.q} entries for each unit, but the layer has {n_entries} entries; "
                f"give a multiple of {self.q}"
            )
        return self

    def settings(self) -> dict:
        return {"q": self.q}

    def check(self, name: str, states: np.ndarray, exact: bool) -> None:
        sums = states.reshape(*states.shape[:-1], -1, self.q).sum(axis=-1)
        low = states.size and states.min() < 0
        wrong = low or (sums.size and np.abs(sums - 1).max() > 1e-6)
        if wrong or (exact and not np.isin(states, (0, 1)).all()):
            raise InputError(
                f"{name} is not one-hot: potts units have {self.q} neighbouring entries, one of them 1 and the others "
                f"0; convert numbers k with numpy.eye({self.q})[k].reshape(len(k), -1)"
            )

    def list_states(self, n_entries: int, start: int, stop: int) -> np.ndarray:
        powers = self.q ** np.arange(n_entries // self.q, dtype=np.int64)
        digits = np.arange(start, stop, dtype=np.int64)[:, None] // powers % self.q
        return np.eye(self.q)[digits].reshape(stop - start, n_entries)

    def n_states(self, n_entries: int) -> int:
        return self.q ** (n_entries // self.q)

    def state_index(self, states: np.ndarray) -> np.ndarray:
        states = np.asarray(states)
        digits = states.reshape(*states.shape[:-1], -1, self.q).argmax(axis=-1)
        return digits @ (self.q ** np.arange(digits.shape[-1], dtype=np.int64))


@dataclasses.dataclass(frozen=True, eq=False)
class Gaussian(Unit):
    """Real units with the energy (s - m)^2 / (2 variance): normal with the mean m + variance x in the field x.

    Parameters
    ----------
    mean, variance : float or array, shape (n_units,)
        Of the units when their fields are 0. The variance is positive.

    Raises
    ------
    InputError
        If a value is not finite or a variance not positive.

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=3, n_hidden=2, seed=1, visible=rbm.Gaussian(variance=[1.0, 4.0, 9.0]))
    >>> model.visible_mean([[0, 0]]).tolist()
    [[0.0, 0.0, 0.0]]
    """

    mean_at_zero: np.ndarray
    variance_at_zero: np.ndarray
    name = "gaussian"
    code = GAUSSIAN
    is_discrete = False

    def __init__(self, mean: np.ndarray | float = 0.0, variance: np.ndarray | float = 1.0):
        for field, name, value in (("mean_at_zero", "mean", mean), ("variance_at_zero", "variance", variance)):
            array = np.array(checks.finite_array(name, value), np.float64)
            if array.ndim > 1:
                raise InputError(f"{name} has shape {array.shape}; give one number, or one for each unit")
            if name == "variance" and array.size and array.min() <= 0:
                raise InputError(f"variance has the value {array.min()}; variances of {self.name} units are above 0")
            array.setflags(write=False)
            object.__setattr__(self, field, array)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            np.array_equal(a, b) for a, b in zip(self.settings().values(), other.settings().values(), strict=True)
        )

    __hash__ = None

    @property
    def parameters(self) -> np.ndarray:
        return np.stack([self.mean_at_zero, np.sqrt(self.variance_at_zero)])

    def for_layer(self, argument: str, n_entries: int) -> "Gaussian":
        arrays = []
        for name, array in self.settings().items():
            if array.ndim == 1 and array.shape != (n_entries,):
                raise InputError(
                    f"{argument}: {name} of its {self.name} units has {len(array)} values, but the layer has "
                    f"{n_entries} units; give one number, or one for each unit"
                )
            arrays.append(np.broadcast_to(array, (n_entries,)))
        return type(self)(*arrays)

    def part(self, entries: np.ndarray) -> "Gaussian":
        return type(self)(self.mean_at_zero[entries], self.variance_at_zero[entries])

    def settings(self) -> dict:
        return {"mean": self.mean_at_zero, "variance": self.variance_at_zero}

    def check(self, name: str, states: np.ndarray, exact: bool) -> None:
        pass

    def energy_term(self, states: np.ndarray) -> np.ndarray:
        """sum_i (s_i - m_i)^2 / (2 variance_i) over the last axis of states."""
        return ((states - self.mean_at_zero) ** 2 / (2 * self.variance_at_zero)).sum(axis=-1)


class ReLU(Gaussian):
    """Real units that are not negative, with the energy (s - m)^2 / (2 variance): a Gaussian cut off at 0.

    In a large positive field the mean is m + variance x, in a large negative one nearly 0: a rectified linear unit.

    Parameters
    ----------
    mean, variance : float or array, shape (n_units,)
        Of the Gaussian, before it is cut off. The variance is positive.

    Raises
    ------
    InputError
        If a value is not finite or a variance not positive.

    References
    ----------
    Nair & Hinton, ICML (2010); Tubiana & Monasson, Phys. Rev. Lett. 118, 138301 (2017).

    Examples
    --------
    >>> from mcgen import rbm
    >>> rbm.ReLU().for_layer("hidden", 2).mean([[30.0, -30.0]]).round(3).tolist()
    [[30.0, 0.033]]
    """

    name = "relu"
    code = RELU

    def check(self, name: str, states: np.ndarray, exact: bool) -> None:
        if states.size and states.min() < 0:
            raise InputError(f"{name} has the value {states.min()}; relu units are not negative")


KINDS = {kind.name: kind for kind in (Bernoulli, Spin, Potts, Gaussian, ReLU)}
NAMES = tuple(KINDS)


def unit(argument: str, kind: "str | Unit", n_entries: int) -> Unit:
    """The kind of the units of a layer with n_entries entries, given as the argument `argument`: a name or an object.

    Raises
    ------
    InputError
        If the name is unknown, or the kind does not fit the layer.
    """
    if not isinstance(kind, Unit):
        checks.choice(argument, kind, NAMES)
        if kind == "potts":
            raise InputError(f"{argument}='potts' lacks the number of states; give {argument}=rbm.Potts(q=3), say")
        kind = KINDS[kind]()
    return kind.for_layer(argument, n_entries)


def check_normalizable(visible: Unit, hidden: Unit, weights: np.ndarray) -> None:
    """Raise `InputError` unless sum_{v, h} e^{-E(v, h)} is finite.

    Only two continuous layers can diverge. In units of the standard deviations the energy is |v|^2 / 2 + |h|^2 / 2 -
    v.A.h with A_ij = sqrt(variance_i) W_ij sqrt(variance_j), which grows in all directions if the largest singular
    value of A is below 1. Units that are not negative gain nothing from negative weights: two ReLU layers are also
    normalisable if the positive weights alone are so small; and a Gaussian layer v leaves -|A h|^2 / 2, of which only
    the positive entries of A^T A can diverge for h >= 0.

    The condition is necessary and sufficient for two Gaussian layers and for positive weights; for other weights of
    ReLU units it is sufficient.
    """
    if visible.is_discrete or hidden.is_discrete:
        return
    scaled = np.sqrt(visible.variance_at_zero)[:, None] * weights * np.sqrt(hidden.variance_at_zero)
    if np.sum(scaled**2) < 1:
        return
    norms = [np.linalg.norm(scaled, 2)]
    if visible.name == "relu" and hidden.name == "relu":
        norms.append(np.linalg.norm(np.maximum(scaled, 0), 2))
    elif hidden.name == "relu":
        norms.append(_norm_of_positive(scaled.T @ scaled))
    elif visible.name == "relu":
        norms.append(_norm_of_positive(scaled @ scaled.T))
    if min(norms) >= 1:
        raise InputError(
            f"{visible.name} visible and {hidden.name} hidden units with these weights have no finite Z: weights times "
            f"standard deviations have the norm {min(norms):.4g}, and it must be below 1; make weights or variances "
            "smaller, or take units with finitely many states for one layer"
        )


def _norm_of_positive(product: np.ndarray) -> float:
    """The root of the largest eigenvalue of the positive entries of A^T A."""
    return float(np.sqrt(np.linalg.eigvalsh(np.maximum(product, 0))[-1]))
