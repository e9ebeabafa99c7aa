"""Dense layers: y = W^T x + b for every row x of the batch, with the gradients dW = x dy^T, db = sum dy, dx = W dy."""

import dataclasses

import numba
import numpy as np
from numba import prange

from mcgen import _cpu, checks
from mcgen._vectors import PRODUCT_ROWS, multiply_tile, wide_vectors
from mcgen.vae import initial
from mcgen.vae.layers.base import Layer, Memory, Shape, Views, n_features
from mcgen.vae.panels import TERMS_AT_ONCE, lanes_used, split, vectors_used


@dataclasses.dataclass(frozen=True)
class Dense(Layer):
    """A layer of `n_outputs` sums of all inputs: y_j = b_j + sum_i x_i W_ij.

    Its parameters are `weights` (n_inputs, n_outputs) and `bias` (n_outputs,).

    Parameters
    ----------
    n_outputs : int
    initialization : {"he", "glorot"}
        Uniform weights of variance 2 / n_inputs (before ReLU), or 2 / (n_inputs + n_outputs); biases of 0.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    He, Zhang, Ren & Sun, ICCV (2015); Glorot & Bengio, AISTATS (2010). Backward: Rumelhart, Hinton & Williams, Nature
    323, 533 (1986).

    Examples
    --------
    >>> from mcgen import vae
    >>> network = vae.Network((3,), [vae.Dense(2)])
    >>> network.n_parameters
    8
    """

    n_outputs: int
    initialization: str = "he"

    def __post_init__(self) -> None:
        checks.integer("n_outputs", self.n_outputs, 1)
        checks.choice("initialization", self.initialization, initial.INITIALIZATIONS)

    def output_shape(self, shape: Shape) -> Shape:  # noqa: D102 - as in Layer
        return (self.n_outputs,)

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:  # noqa: D102
        return {"weights": (n_features(shape), self.n_outputs), "bias": (self.n_outputs,)}

    def initialize(self, shape: Shape, parameters: Views, seed: int) -> None:  # noqa: D102
        n_inputs = n_features(shape)
        parameters["weights"][:] = initial.weights(
            self.initialization, (n_inputs, self.n_outputs), n_inputs, self.n_outputs, seed
        )
        parameters["bias"][:] = 0

    def forward(self, shape: Shape, x: np.ndarray, parameters: Views, memory: Memory) -> np.ndarray:
        """y = W^T x + b."""
        memory.x = x
        y = memory.panels("y", self.n_outputs)
        rows = memory.n_rows, memory.copies, numba.get_num_threads()
        multiply(y, x, parameters["weights"], False, parameters["bias"], *rows)
        return y

    def backward(
        self, shape: Shape, dy: np.ndarray, parameters: Views, gradients: Views, memory: Memory, wants_input: bool
    ) -> np.ndarray | None:
        """dW = x dy^T and db = sum dy over the rows; dx = W dy."""
        rows = memory.n_rows, memory.copies, numba.get_num_threads()
        backward_parameters(gradients["weights"], gradients["bias"], memory.x, dy, *rows)
        if not wants_input:
            return None
        dx = memory.panels("dx", n_features(shape))
        multiply(dx, dy, parameters["weights"], True, memory.array("zero", (1,)), *rows)
        return dx


@_cpu.kernel
def multiply(result, x, weights, transposed, start, n_rows, copies, n_threads):  # noqa: ANN001, ANN201
    """result[p, r] = start[r] + sum_k weights[k, r] x[p, k] for every lane of panel p, or with weights[r, k].

    The forward pass, and transposed the gradient by the inputs: the weights are read as they lie in both. One thread
    takes a range of results r and of panels. A piece of a panel of x stays in the first-level cache for all tiles of
    results; their sums go on from what the pieces before it left.

    Parameters
    ----------
    result, x : float (n_panels, padded features, width), result is modified
    weights : float (n_inputs, n_outputs)
        Followed in memory by as much as one tile reads too many of: see `network.py`.
    transposed : bool
    start : float (number of results,) or (1,)
        A single number stands for all.
    """
    n_panels, result_features, wide = result.shape
    n_inputs, n_outputs = weights.shape
    size = result.itemsize
    n_results, n_sums = (n_inputs, n_outputs) if transposed else (n_outputs, n_inputs)
    row_step, term_step = (size * n_outputs, size) if transposed else (size, size * n_outputs)
    start_step = size if start.shape[0] > 1 else 0
    n_tiles = (n_results + PRODUCT_ROWS - 1) // PRODUCT_ROWS
    parts, panel_parts = split(n_tiles, n_panels, n_threads)
    for piece in prange(parts * panel_parts):
        part, panel_part = np.int64(piece) // panel_parts, np.int64(piece) % panel_parts
        for first in range(0, n_sums, TERMS_AT_ONCE):
            n_terms = min(TERMS_AT_ONCE, n_sums - first)
            for p in range(panel_part * n_panels // panel_parts, (panel_part + 1) * n_panels // panel_parts):
                vectors = vectors_used(lanes_used(p, n_panels, copies, n_rows, wide), result)
                for tile in range(part * n_tiles // parts, (part + 1) * n_tiles // parts):
                    r = tile * PRODUCT_ROWS
                    multiply_tile(
                        result.ctypes.data + size * (p * result_features + r) * wide,
                        np.int64(size * wide),
                        start.ctypes.data + start_step * r,
                        np.int64(start_step),
                        np.int64(first == 0),
                        weights.ctypes.data + row_step * r + term_step * first,
                        np.int64(row_step),
                        np.int64(term_step),
                        x.ctypes.data + size * (p * x.shape[1] + first) * wide,
                        np.int64(size * wide),
                        np.int64(n_terms),
                        np.int64(vectors),
                        np.int64(size == 4),
                    )


@_cpu.kernel
def backward_parameters(d_weights, d_bias, x, dy, n_rows, copies, n_threads):  # noqa: ANN001, ANN201
    """d_weights[i, j] = sum over rows of x[i] dy[j], d_bias[j] = sum over rows of dy[j].

    One thread takes a range of inputs i and of outputs j. Here the sum runs along the lanes, so the other factor has
    to lie across them: dy is transposed, panel by panel, a small part of the work. Full tiles are summed up where they
    belong; those at the edge in a tile aside.
    """
    n_panels, _, wide = dy.shape
    n_inputs, n_outputs = d_weights.shape
    size = dy.itemsize
    n_tiles = (n_inputs + PRODUCT_ROWS - 1) // PRODUCT_ROWS
    register = wide // 3
    n_registers = (n_outputs + register - 1) // register
    parts, column_parts = split(n_tiles, n_registers, n_threads)
    for piece in prange(parts * column_parts):
        wide_vectors()
        part, column_part = np.int64(piece) // column_parts, np.int64(piece) % column_parts
        first_j = column_part * n_registers // column_parts * register
        end_j = min((column_part + 1) * n_registers // column_parts * register, n_outputs)
        across = np.empty((n_panels, wide, wide), dy.dtype)
        aside = np.empty((PRODUCT_ROWS, wide), dy.dtype)
        sums = np.empty(wide, dy.dtype)
        zero = np.zeros(1, dy.dtype)
        for j in range(first_j, end_j, wide):
            n = min(wide, end_j - j)
            for p in range(n_panels):
                for c in range(n):
                    for lane in range(wide):
                        across[p, lane, c] = dy[p, j + c, lane]
            if part == 0:
                sums[:n] = 0
                for p in range(n_panels):
                    for lane in range(lanes_used(p, n_panels, copies, n_rows, wide)):
                        for c in range(n):
                            sums[c] += across[p, lane, c]
                d_bias[j : j + n] = sums[:n]
            in_place = n % register == 0 and n_inputs >= PRODUCT_ROWS
            vectors = (n + register - 1) // register
            for tile in range(part * n_tiles // parts, (part + 1) * n_tiles // parts):
                # The last tile overlaps the one before, and finds the same sums again.
                i = min(tile * PRODUCT_ROWS, n_inputs - PRODUCT_ROWS) if in_place else tile * PRODUCT_ROWS
                for p in range(n_panels):
                    multiply_tile(
                        d_weights.ctypes.data + size * (i * n_outputs + j) if in_place else aside.ctypes.data + 0,
                        np.int64(size * n_outputs) if in_place else np.int64(size * wide),
                        zero.ctypes.data + 0,
                        np.int64(0),
                        np.int64(p == 0),
                        x.ctypes.data + size * (p * x.shape[1] + i) * wide,
                        np.int64(size * wide),
                        np.int64(size),
                        across.ctypes.data + size * p * wide * wide,
                        np.int64(size * wide),
                        np.int64(lanes_used(p, n_panels, copies, n_rows, wide)),
                        np.int64(vectors),
                        np.int64(size == 4),
                    )
                if not in_place:
                    for r in range(min(PRODUCT_ROWS, n_inputs - i)):
                        d_weights[i + r, j : j + n] = aside[r, :n]
