"""What every layer of a network knows: the shape of its output, its parameters, its forward and its backward pass.

A layer is a small value without arrays. Its parameters and their gradients are given to it, as views into one long
vector each (`network.py`), and what it has to keep from the forward to the backward pass lies in a `Memory`. Batches
lie in panels (`panels.py`).
"""

import dataclasses

import numpy as np

from mcgen import checks
from mcgen.vae import panels

Shape = tuple[int, ...]
Views = dict[str, np.ndarray]


class Memory:
    """Arrays of one layer for batches of up to so many rows, each made when it is first asked for.

    Parameters
    ----------
    dtype : dtype
    n_rows : int
        The largest batch.
    copies : int
        How many times the rows follow each other in the batch.
    """

    def __init__(self, dtype: np.dtype, n_rows: int, copies: int = 1):
        self.dtype, self.n_rows, self.copies = np.dtype(dtype), n_rows, copies
        self._most_rows = n_rows
        self._arrays: dict[str, np.ndarray] = {}

    def hold(self, n_rows: int) -> None:
        """From now on the batch has so many rows."""
        checks.integer("n_rows", n_rows, 1, self._most_rows)
        self.n_rows = n_rows

    def panels(self, name: str, n_features: int) -> np.ndarray:
        """Panels under this name, as many as the batch has."""
        if name not in self._arrays:
            self._arrays[name] = panels.empty(self._most_rows, n_features, self.dtype, self.copies)
        array = self._arrays[name]
        return array[: self.copies * panels.n_panels(self.n_rows, self.dtype)]

    def array(self, name: str, shape: Shape, dtype: np.dtype | None = None) -> np.ndarray:
        """An array of any other shape under this name, of zeros at first."""
        if name not in self._arrays:
            self._arrays[name] = np.zeros(shape, dtype or self.dtype)
        return self._arrays[name]


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer that changes nothing and has no parameters: what others start from."""

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of an output for inputs of this shape, without the batch."""
        return shape

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Names and shapes of the parameters for inputs of this shape."""
        return {}

    def initialize(self, shape: Shape, parameters: Views, seed: int) -> None:
        """Fill the parameters with their first values."""

    def forward(self, shape: Shape, x: np.ndarray, parameters: Views, memory: Memory) -> np.ndarray:
        """The output for the panels x, which only activations write over."""
        return x

    def backward(
        self, shape: Shape, dy: np.ndarray, parameters: Views, gradients: Views, memory: Memory, wants_input: bool
    ) -> np.ndarray | None:
        """From the gradient by the output to that by the input, if it is wanted, and those by the parameters.

        May be written over dy, which is spent. `gradients` are overwritten. Follows the forward pass of the same batch.
        """
        return dy


def n_features(shape: Shape) -> int:
    """How many numbers an input of this shape has."""
    return int(np.prod(shape))
