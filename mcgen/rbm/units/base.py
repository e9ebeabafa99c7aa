"""What all kinds of units have in common: what kernels know them by, and their statistics in given fields."""

import dataclasses
from types import ModuleType
from typing import ClassVar

import numpy as np

from mcgen import backend, rng

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

    def arguments_on(self, target: ModuleType) -> tuple:
        """The same, with the parameters on the device of a target (see `mcgen.backend`)."""
        return self.code, self.level, target.to_device(self.parameters)

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
            arguments = (target.to_device(rows), *self.arguments_on(target))
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
            target.launch(
                getattr(kernels, kernel), len(rows), fields.shape[-1], rows, *self.arguments_on(target), *more
            )
        return target.to_host(rows).reshape(fields.shape)

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
