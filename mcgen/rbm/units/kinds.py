"""The kinds of units that a layer can have, each a small object that knows its own statistics.

A kind is a class with a `code` that the kernels know, and formulas in `formulas.py`.
"""

import dataclasses

import numpy as np

from mcgen import checks, enumeration
from mcgen.errors import InputError
from mcgen.rbm.units.base import Unit
from mcgen.rbm.units.formulas import GAUSSIAN, POTTS, RELU, TWO_LEVEL


class TwoLevel(Unit):
    """A unit with the states `low` and 1."""

    code = TWO_LEVEL

    @property
    def low(self) -> int:
        """The lower state."""
        return self.level

    @property
    def center(self) -> float:
        """Half way between the two states: a state is center + half sigma with sigma = +-1."""
        return (1 + self.low) / 2

    @property
    def half(self) -> float:
        """Half the distance of the two states."""
        return (1 - self.low) / 2

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
