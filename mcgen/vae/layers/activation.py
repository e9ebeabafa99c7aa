"""Activations y = f(x), element by element, and their gradient dx = f'(x) dy, written with y."""

import dataclasses

import numpy as np
from numba import prange

from mcgen import _cpu, checks
from mcgen._vectors import wide_vectors
from mcgen.errors import InputError
from mcgen.vae import formulas
from mcgen.vae.layers.base import Layer, Memory, Shape, Views

scalar = _cpu.formulas("mcgen.formulas")
activation = _cpu.formulas("mcgen.vae.formulas")

CODES = {
    "linear": formulas.LINEAR,
    "relu": formulas.RELU,
    "leaky-relu": formulas.LEAKY_RELU,
    "tanh": formulas.TANH,
    "sigmoid": formulas.SIGMOID,
    "softplus": formulas.SOFTPLUS,
}
RELU, LEAKY_RELU, TANH, SIGMOID = formulas.RELU, formulas.LEAKY_RELU, formulas.TANH, formulas.SIGMOID


@dataclasses.dataclass(frozen=True)
class Activation(Layer):
    """y = f(x) for each number.

    Parameters
    ----------
    name : {"relu", "leaky-relu", "tanh", "sigmoid", "softplus", "linear"}
    slope : float
        Of "leaky-relu" below 0, above 0 and below 1.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> from mcgen import vae
    >>> network = vae.Network((3,), [vae.Activation("relu")])
    >>> network(network.initial(seed=1), [[-1.0, 0.0, 2.0]]).tolist()
    [[0.0, 0.0, 2.0]]
    """

    name: str = "relu"
    slope: float = 0.01

    def __post_init__(self) -> None:
        checks.choice("activation", self.name, tuple(CODES))
        if not 0 < checks.real("slope", self.slope) < 1:
            raise InputError(f"slope={self.slope} is out of range; give a number above 0 and below 1")

    def forward(self, shape: Shape, x: np.ndarray, parameters: Views, memory: Memory) -> np.ndarray:
        """y = f(x), written over x."""
        memory.y = x
        if self.name != "linear":
            activate(x, CODES[self.name], x.dtype.type(self.slope))
        return x

    def backward(
        self, shape: Shape, dy: np.ndarray, parameters: Views, gradients: Views, memory: Memory, wants_input: bool
    ) -> np.ndarray | None:
        """dx = f'(x) dy, written over dy."""
        if self.name != "linear":
            activate_backward(dy, memory.y, CODES[self.name], dy.dtype.type(self.slope))
        return dy


@_cpu.kernel
def activate(x, code, a):  # noqa: ANN001, ANN201
    """x <- f(x), one thread a row of lanes at a time."""
    n_features = x.shape[1]
    for row in prange(x.shape[0] * n_features):
        wide_vectors()
        line = x[np.int64(row) // n_features, np.int64(row) % n_features]
        if code == RELU:
            for k in range(line.shape[0]):
                line[k] = activation.relu(line[k])
        elif code == LEAKY_RELU:
            for k in range(line.shape[0]):
                line[k] = activation.leaky_relu(a, line[k])
        elif code == TANH:
            if line.itemsize == 4:
                for k in range(line.shape[0]):
                    line[k] = activation.tanh_single(line[k])
            else:
                for k in range(line.shape[0]):
                    line[k] = activation.tanh(line[k])
        elif code == SIGMOID:
            if line.itemsize == 4:
                for k in range(line.shape[0]):
                    line[k] = activation.sigmoid_single(line[k])
            else:
                for k in range(line.shape[0]):
                    line[k] = scalar.sigmoid(line[k])
        else:
            for k in range(line.shape[0]):
                line[k] = activation.softplus(line[k])


@_cpu.kernel
def activate_backward(dy, y, code, a):  # noqa: ANN001, ANN201
    """dy <- f'(x) dy with the slope at y = f(x), one thread a row of lanes at a time."""
    n_features = y.shape[1]
    for row in prange(y.shape[0] * n_features):
        wide_vectors()
        p, i = np.int64(row) // n_features, np.int64(row) % n_features
        line, output = dy[p, i], y[p, i]
        if code == RELU:
            for k in range(line.shape[0]):
                line[k] = activation.relu_force(line[k], output[k])
        elif code == LEAKY_RELU:
            for k in range(line.shape[0]):
                line[k] = activation.leaky_relu_force(a, line[k], output[k])
        elif code == TANH:
            for k in range(line.shape[0]):
                line[k] = activation.tanh_force(line[k], output[k])
        elif code == SIGMOID:
            for k in range(line.shape[0]):
                line[k] = activation.sigmoid_force(line[k], output[k])
        else:
            for k in range(line.shape[0]):
                line[k] = activation.softplus_force(line[k], output[k])
