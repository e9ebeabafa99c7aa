"""A network is a list of layers; its parameters are one long vector."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numba import prange

from mcgen import _cpu, checks, rng
from mcgen._vectors import PRODUCT_ROWS, wide_vectors
from mcgen.errors import InputError
from mcgen.memory import CACHE_LINE, aligned
from mcgen.vae import panels
from mcgen.vae.layers.base import Layer, Memory, Shape, Views, n_features


class Network:
    """Layers one after the other.

    Parameters
    ----------
    shape : tuple of int
        Of one input: (n_features,), or (height, width, channels) for images.
    layers : sequence of Layer

    Attributes
    ----------
    shapes : list of tuple of int
        Of the input of each layer, and of the last output.
    parameter_shapes : list of dict
        Names and shapes of the parameters of each layer.
    n_parameters : int

    Raises
    ------
    InputError
        If a layer does not fit the shape that it gets.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> network = vae.Network((4,), [vae.Dense(8), vae.Activation("relu"), vae.Dense(2)])
    >>> network.n_parameters
    58
    >>> network(network.initial(seed=1), np.ones((5, 4))).shape
    (5, 2)
    """

    def __init__(self, shape: Shape, layers: Sequence[Layer]):
        self.layers = tuple(layers)
        self.shapes = [tuple(shape)]
        self.parameter_shapes = []
        for layer in self.layers:
            self.parameter_shapes.append(layer.parameter_shapes(self.shapes[-1]))
            self.shapes.append(layer.output_shape(self.shapes[-1]))
        self.n_parameters = sum(n_features(one) for shapes in self.parameter_shapes for one in shapes.values())

    @property
    def output_shape(self) -> Shape:
        """The shape of one output."""
        return self.shapes[-1]

    def __repr__(self) -> str:
        words = [str(self.shapes[0]), *(repr(layer) for layer in self.layers)]
        return f"Network({' -> '.join(words)}, {self.n_parameters} parameters)"

    def initial(self, seed: int, dtype: np.dtype = np.float64) -> np.ndarray:
        """First parameters as one vector.

        Parameters
        ----------
        seed : int
            0 to 2**64 - 1.
        dtype : dtype

        Returns
        -------
        ndarray, shape (n_parameters,)
        """
        vector = Vector(self.parameter_shapes, dtype)
        self.initialize(vector.views, seed)
        return vector.packed()

    def initialize(self, parameters: list[Views], seed: int) -> None:
        """Fill the parameters of all layers with their first values."""
        for k, (layer, shape) in enumerate(zip(self.layers, self.shapes, strict=False)):
            layer.initialize(shape, parameters[k], rng.derive(seed, k))

    def memories(self, dtype: np.dtype, n_rows: int, copies: int = 1) -> list[Memory]:
        """Working memory for batches of up to so many rows."""
        return [Memory(dtype, n_rows, copies) for _ in self.layers]

    def forward(self, x: np.ndarray, parameters: list[Views], memories: list[Memory]) -> np.ndarray:
        """The output for the panels x, which may be overwritten by layers that work in place."""
        for k, layer in enumerate(self.layers):
            x = layer.forward(self.shapes[k], x, parameters[k], memories[k])
        return x

    def backward(
        self,
        dy: np.ndarray,
        parameters: list[Views],
        gradients: list[Views],
        memories: list[Memory],
        wants_input: bool = False,
        after: Callable[[int], None] | None = None,
    ) -> np.ndarray | None:
        """From the gradient by the output to that by the input, and those by all parameters on the way.

        `after` is called with the number of each layer that has parameters, when it is done: the gradient is in the
        cache then, and the layer's parameters are not needed any more.
        """
        for k in range(len(self.layers) - 1, -1, -1):
            wanted = wants_input or any(self.parameter_shapes[:k])
            dy = self.layers[k].backward(self.shapes[k], dy, parameters[k], gradients[k], memories[k], wanted)
            if after is not None and self.parameter_shapes[k]:
                after(k)
            if not wanted:
                return None
        return dy

    def __call__(self, parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The outputs of rows: what `forward` does, for a few rows at a time and without remembering.

        Parameters
        ----------
        parameters : array, shape (n_parameters,)
            Their dtype is that of the result.
        x : array, shape (n_rows, n_features)

        Returns
        -------
        ndarray, shape (n_rows, number of outputs)

        Raises
        ------
        InputError
            If a shape does not fit, or a number is not finite.
        """
        parameters = checks.finite_array("parameters", parameters, (self.n_parameters,))
        x = checks.finite_array("x", x, (None, n_features(self.shapes[0])))
        vector = Vector(self.parameter_shapes, parameters.dtype)
        vector.unpack(parameters)
        return self.apply(vector.views, x, parameters.dtype)

    def apply(self, parameters: list[Views], x: np.ndarray, dtype: np.dtype, most_rows: int = 1024) -> np.ndarray:
        """The outputs of checked rows, in batches whose memory stays in the caches."""
        result = np.empty((len(x), n_features(self.output_shape)), dtype)
        memories = self.memories(dtype, min(most_rows, max(1, len(x))))
        for start in range(0, len(x), most_rows):
            rows = x[start : start + most_rows]
            for memory in memories:
                memory.hold(len(rows))
            batch = panels.from_rows(np.ascontiguousarray(rows), dtype)
            panels.read_rows(result[start : start + most_rows], self.forward(batch, parameters, memories), 0)
        return result


def checked_dtype(dtype: object) -> np.dtype:
    """A precision of networks, float32 or float64, or `InputError`."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise InputError(
            f"dtype={getattr(dtype, '__name__', dtype)} is not a precision of networks; give float32 or float64"
        )
    return found


# Numbers of a vector whose squares are summed up in one piece.
NUMBERS_AT_ONCE = 16_384


class Vector:
    """All parameters of some layers (or their gradients) in one stretch of memory, with a view of each.

    Every array starts at a cache line. The stretch ends with zeros as long as a tile of a product reads beyond the last
    array (`_vectors.multiply_tile` takes whole tiles; what it finds there ends up in the padding of panels).

    Parameters
    ----------
    shapes : list of dict
        Names and shapes of the parameters of each layer.
    dtype : dtype
    """

    def __init__(self, shapes: list[dict[str, Shape]], dtype: np.dtype):
        self.shapes, dtype = shapes, checked_dtype(dtype)
        line = CACHE_LINE // dtype.itemsize
        every = [one for layer in shapes for one in layer.values()]
        starts = np.cumsum([0, *(-(-n_features(one) // line) * line for one in every)])
        longest = max((one[-1] for one in every), default=0)
        self.memory = aligned((int(starts[-1]) + PRODUCT_ROWS * longest + line,), dtype)
        self.memory[:] = 0
        self.used = self.memory[: int(starts[-1])]
        self.dtype = dtype
        self._sums = np.zeros(-(-len(self.used) // NUMBERS_AT_ONCE))
        self.views: list[Views] = []
        # The memory of each layer, gaps included: what works on all its parameters takes it at once.
        ends = np.cumsum([0, *(len(layer) for layer in shapes)])
        self.stretches = [self.memory[starts[first] : starts[end]] for first, end in itertools.pairwise(ends)]
        places = iter(starts.tolist())
        for layer in shapes:
            self.views.append(
                {
                    name: self.memory[start : start + n_features(one)].reshape(one)
                    for (name, one), start in zip(layer.items(), places, strict=False)
                }
            )

    @property
    def arrays(self) -> list[np.ndarray]:
        """The arrays of all layers in order."""
        return [array for layer in self.views for array in layer.values()]

    def norm(self) -> float:
        """The root of the sum of all squares; the sums have one order, whatever the number of threads."""
        _sum_squares(self._sums, self.used)
        return float(np.sqrt(self._sums.sum()))

    def alike(self) -> "Vector":
        """Another one of the same layout, with zeros."""
        return Vector(self.shapes, self.dtype)

    def packed(self) -> np.ndarray:
        """A copy of all numbers, without gaps."""
        return np.concatenate([array.ravel() for array in self.arrays]) if self.arrays else np.empty(0, self.dtype)

    def unpack(self, numbers: np.ndarray) -> None:
        """Take over numbers that `packed` gave."""
        start = 0
        for array in self.arrays:
            array[...] = numbers[start : start + array.size].reshape(array.shape)
            start += array.size


@_cpu.kernel
def _sum_squares(sums, numbers):  # noqa: ANN001, ANN202
    """sums[piece] = the sum of the squares of NUMBERS_AT_ONCE numbers, in float64."""
    for piece in prange(sums.shape[0]):
        sums[piece] = _sum_of_squares(
            numbers[np.int64(piece) * NUMBERS_AT_ONCE : np.int64(piece + 1) * NUMBERS_AT_ONCE]
        )


@_cpu.reordering_helper
def _sum_of_squares(numbers):  # noqa: ANN001, ANN202
    wide_vectors()
    total = 0.0
    for i in range(numbers.shape[0]):
        total += np.float64(numbers[i]) * np.float64(numbers[i])
    return total
