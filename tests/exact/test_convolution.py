"""Convolutions against plain loops, their adjoints, translations of a torus, slopes of a network, and PyTorch."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from mcgen.errors import InputError
from mcgen.vae import panels
from mcgen.vae.layers import Activation, Dense, Flatten
from mcgen.vae.layers.convolution import Conv2D, ConvTranspose2D
from mcgen.vae.layers.convolution_tables import both_sides
from mcgen.vae.network import Network, Vector

PADDINGS = ("same", "valid", "periodic")
LAYERS = (Conv2D, ConvTranspose2D)


# --- plain loops ----------------------------------------------------------------------------------------------------


def pad(image, kernel, stride, padding):
    """The image with what the kernel sees around it, and how much of that is before it."""
    before = []
    for axis in (1, 2):
        length = image.shape[axis]
        positions = -(-length // stride)
        total = 0 if padding == "valid" else max((positions - 1) * stride + kernel - length, 0)
        before.append(total // 2)
        widths = [(0, 0)] * 4
        widths[axis] = (total // 2, total - total // 2)
        image = np.pad(image, widths, mode="wrap" if padding == "periodic" else "constant")
    return image, before


def positions(padded, kernel, stride):
    """(position of the kernel), (tap), (pixel of the padded image)."""
    heights, widths = ((length - kernel) // stride + 1 for length in padded.shape[1:3])
    for i, j, k, l in itertools.product(range(heights), range(widths), range(kernel), range(kernel)):  # noqa: E741
        yield (i, j), (k, l), (i * stride + k, j * stride + l)


def convolution(x, weights, bias, stride, padding):
    padded, _ = pad(x, len(weights), stride, padding)
    lengths = [(length - len(weights)) // stride + 1 for length in padded.shape[1:3]]
    y = np.zeros((len(x), *lengths, len(bias))) + bias
    for (i, j), tap, (u, v) in positions(padded, len(weights), stride):
        y[:, i, j] += padded[:, u, v] @ weights[tap]
    return y


def adjoint(x, weights, shape, stride, padding):
    """The images of this shape from those on the small side; weights of (kernel, kernel, small, large)."""
    y = np.zeros((len(x), *shape, weights.shape[3]))
    padded, before = pad(y, len(weights), stride, padding)
    for (i, j), tap, (u, v) in positions(padded, len(weights), stride):
        u, v = u - before[0], v - before[1]
        if padding == "periodic" or (0 <= u < shape[0] and 0 <= v < shape[1]):
            y[:, u % shape[0], v % shape[1]] += x[:, i, j] @ weights[tap]
    return y


def transposed_convolution(x, weights, bias, stride, padding):
    shape = [(n - 1) * stride + len(weights) if padding == "valid" else n * stride for n in x.shape[1:3]]
    return adjoint(x, weights, shape, stride, padding) + bias


def weight_gradient(large, small, kernel, stride, padding):
    """Sums of large times small, shape (kernel, kernel, channels of large, channels of small)."""
    padded, _ = pad(large, kernel, stride, padding)
    result = np.zeros((kernel, kernel, large.shape[-1], small.shape[-1]))
    for (i, j), tap, (u, v) in positions(padded, kernel, stride):
        result[tap] += padded[:, u, v].T @ small[:, i, j]
    return result


def turned(weights):
    return weights.transpose(0, 1, 3, 2)


def naive(layer, x, weights, bias, dy):
    """y, dx, dW, db."""
    how = layer.stride, layer.padding
    db = dy.sum((0, 1, 2))
    if isinstance(layer, Conv2D):
        dx = adjoint(dy, turned(weights), x.shape[1:3], *how)
        return convolution(x, weights, bias, *how), dx, weight_gradient(x, dy, len(weights), *how), db
    dx = convolution(dy, turned(weights), np.zeros(x.shape[-1]), *how)
    return transposed_convolution(x, weights, bias, *how), dx, turned(weight_gradient(dy, x, len(weights), *how)), db


# --- one network ----------------------------------------------------------------------------------------------------


def to_panels(rows, copies, dtype):
    """Panels with NaN wherever nobody may look."""
    n_rows, n_features = len(rows) // copies, rows.shape[1]
    result = panels.empty(n_rows, n_features, dtype, copies)
    result[:] = np.nan
    for part, one in zip(np.split(result, copies), np.split(rows, copies), strict=True):
        panels.fill(part, 0, one, np.arange(n_rows))
    return result


def to_rows(array, n_rows, copies, n_features):
    return np.concatenate(
        [panels.to_rows(np.ascontiguousarray(part), n_rows, n_features) for part in np.split(array, copies)]
    )


class Passes:
    """A network with its memory: rows in, rows out."""

    def __init__(self, shape, layers, n_rows, copies=1, dtype=np.float64):
        self.network = Network(shape, layers)
        self.parameters = Vector(self.network.parameter_shapes, dtype)
        self.gradients = Vector(self.network.parameter_shapes, dtype)
        self.memories = self.network.memories(dtype, n_rows, copies)
        self.n_rows, self.copies, self.dtype = n_rows, copies, dtype

    def hold(self, n_rows):
        self.n_rows = n_rows
        for memory in self.memories:
            memory.hold(n_rows)

    def forward(self, parameters, x):
        self.parameters.unpack(parameters)
        y = self.network.forward(to_panels(x, self.copies, self.dtype), self.parameters.views, self.memories)
        return to_rows(y, self.n_rows, self.copies, int(np.prod(self.network.output_shape)))

    def backward(self, dy):
        dy = to_panels(dy, self.copies, self.dtype)
        dx = self.network.backward(dy, self.parameters.views, self.gradients.views, self.memories, True)
        return to_rows(dx, self.n_rows, self.copies, int(np.prod(self.network.shapes[0]))), self.gradients.packed()


def numbers(seed, *shape):
    """Numbers that float32 holds exactly, so that both precisions get the same."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32).astype(np.float64)


def check(layer, shape, n_rows, copies, dtype):
    """y and all gradients of a layer against loops."""
    passes = Passes(shape, [layer], n_rows, copies, dtype)
    network = passes.network
    x = numbers(1, n_rows * copies, *shape)
    dy = numbers(2, n_rows * copies, *network.output_shape)
    parameters = numbers(3, network.n_parameters)
    n_weights = network.n_parameters - layer.n_filters
    weights = parameters[:n_weights].reshape(network.parameter_shapes[0]["weights"])
    y = passes.forward(parameters, x.reshape(len(x), -1))
    dx, gradient = passes.backward(dy.reshape(len(dy), -1))
    found = y.reshape(dy.shape), dx.reshape(x.shape), gradient[:n_weights].reshape(weights.shape), gradient[n_weights:]
    tolerance = 2e-6 if dtype == np.float32 else 1e-14
    for name, got, wanted in zip(
        ("y", "dx", "dW", "db"), found, naive(layer, x, weights, parameters[n_weights:], dy), strict=True
    ):
        assert got.shape == wanted.shape, name
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(1, abs(wanted).max()), err_msg=name)


CHANNELS = [(1, 1), (1, 10), (9, 2), (2, 9), (20, 1), (10, 20), (3, 10)]
BATCHES = [(1, 1), (7, 2), (49, 1), (7, 1), (49, 2)]
CASES = [
    (kind, padding, stride, kernel, CHANNELS[k % 7], BATCHES[k % 5], np.float32 if k % 2 else np.float64)
    for k, (kind, padding, kernel, stride) in enumerate(itertools.product(LAYERS, PADDINGS, (1, 2, 3, 5), (1, 2, 3)))
]


@pytest.mark.parametrize(("kind", "padding", "stride", "kernel", "channels", "batch", "dtype"), CASES)
def test_both_passes_are_those_of_loops(kind, padding, stride, kernel, channels, batch, dtype):
    lengths = (5, 6) if kind is ConvTranspose2D else (6, 12) if padding == "periodic" else (7, 9)
    layer = kind(channels[1], kernel, stride, padding)
    check(layer, (*lengths, channels[0]), *batch, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("channels", "n_filters"), itertools.product((1, 2, 9, 10, 20), repeat=2))
def test_every_number_of_channels(channels, n_filters, dtype):
    check(Conv2D(n_filters, 3, 2), (5, 4, channels), 7, 1, dtype)
    check(ConvTranspose2D(n_filters, 3, 2), (3, 2, channels), 7, 1, dtype)


def test_a_kernel_as_large_as_the_image_and_one_larger():
    check(Conv2D(11, 4, 1, "valid"), (4, 4, 3), 30, 1, np.float64)
    check(Conv2D(11, 4, 2, "periodic"), (4, 4, 3), 30, 1, np.float64)
    check(Conv2D(11, 5, 2), (2, 3, 3), 30, 1, np.float64)
    check(ConvTranspose2D(11, 4, 1, "valid"), (1, 1, 3), 30, 1, np.float64)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2), (7, 3)])
def test_what_a_pixel_takes_in_is_one_run(kernel, stride):
    for padding, most in (("same", 1), ("valid", 1), ("periodic", 2)):
        for side in both_sides((12, 18), kernel, stride, padding):
            assert {table.shape[1] for table in side.runs} == {most}


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (4, 3), (2, 3)])
def test_transposed_is_the_adjoint(padding, kernel, stride):
    small, channels, n_filters, n_rows = (4, 5), 3, 10, 7
    up = Passes((*small, n_filters), [ConvTranspose2D(channels, kernel, stride, padding)], n_rows)
    large = up.network.output_shape
    down = Passes(large, [Conv2D(n_filters, kernel, stride, padding)], n_rows)
    assert down.network.output_shape == (*small, n_filters)
    weights = numbers(1, kernel, kernel, channels, n_filters)
    x, y = numbers(2, n_rows, np.prod(large)), numbers(3, n_rows, 20 * n_filters)
    there = down.forward(np.append(weights, np.zeros(n_filters)), x)
    back = up.forward(np.append(turned(weights), np.zeros(channels)), y)
    assert np.vdot(there, y) == pytest.approx(np.vdot(x, back), rel=1e-12)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (2, 3)])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_shift_of_the_torus_shifts_the_output(kind, kernel, stride):
    passes = Passes((6, 12, 2), [kind(10, kernel, stride, "periodic")], 3)
    parameters = numbers(1, passes.network.n_parameters)
    x = numbers(2, 3, 6, 12, 2)
    given, found = ((stride, 2 * stride), (1, 2)) if kind is Conv2D else ((1, 2), (stride, 2 * stride))
    y = passes.forward(parameters, x.reshape(3, -1)).reshape(3, *passes.network.output_shape)
    shifted = passes.forward(parameters, np.roll(x, given, (1, 2)).reshape(3, -1)).reshape(y.shape)
    np.testing.assert_allclose(shifted, np.roll(y, found, (1, 2)), rtol=0, atol=1e-13)
    assert abs(shifted - y).max() > 0.1


def test_gradients_of_a_network_are_slopes():
    layers = [Conv2D(9, 3, 2), Activation("tanh"), ConvTranspose2D(2, 3, 2, "periodic"), Activation("softplus")]
    layers += [Conv2D(3, 2, 1, "valid"), Flatten(), Dense(2)]
    passes = Passes((6, 4, 2), layers, 26)
    parameters = passes.network.initial(seed=1) + 0.1 * numbers(1, passes.network.n_parameters)
    x, dy = numbers(2, 26, 48), numbers(3, 26, 2)
    passes.forward(parameters, x)
    dx, gradient = passes.backward(dy)

    def slope(direction, along_x):
        sides = []
        for step in (1e-3, -1e-3, 2e-3, -2e-3):
            moved = (parameters, x + step * direction) if along_x else (parameters + step * direction, x)
            sides.append(np.vdot(passes.forward(*moved), dy))
        return (8 * (sides[0] - sides[1]) - (sides[2] - sides[3])) / 12e-3

    start = 0
    for shapes in passes.network.parameter_shapes:
        for shape in shapes.values():
            direction = np.zeros(parameters.shape)
            direction[start : start + np.prod(shape)] = numbers(start, np.prod(shape))
            start += np.prod(shape)
            assert gradient @ direction == pytest.approx(slope(direction, False), rel=1e-7)
    assert start == len(parameters)
    direction = numbers(4, *x.shape)
    assert np.vdot(dx, direction) == pytest.approx(slope(direction, True), rel=1e-7)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("n_filters", [1, 10])
def test_what_an_earlier_batch_left_does_not_matter(kind, n_filters):
    used, fresh = (Passes((4, 4, 10), [kind(n_filters, 3, 2)], n, dtype=np.float32) for n in (60, 5))
    parameters = numbers(1, used.network.n_parameters)
    x, dy = numbers(2, 60, 160), numbers(3, 60, int(np.prod(used.network.output_shape)))
    used.forward(parameters, 1e30 * x)
    used.backward(1e30 * dy)
    used.hold(5)
    assert used.forward(parameters, x[:5]).tobytes() == fresh.forward(parameters, x[:5]).tobytes()
    for left, right in zip(used.backward(dy[:5]), fresh.backward(dy[:5]), strict=True):
        assert left.tobytes() == right.tobytes()


THREADS = """
import hashlib, os, numba, numpy as np
from mcgen.vae import panels
from mcgen.vae.layers.convolution import Conv2D, ConvTranspose2D
from mcgen.vae.network import Network, Vector
assert numba.get_num_threads() == int(os.environ["NUMBA_NUM_THREADS"])
layers = [Conv2D(20, 3, 2), ConvTranspose2D(12, 3, 2, "periodic"), Conv2D(1, 3), ConvTranspose2D(2, 2, 1, "valid")]
for dtype in (np.float32, np.float64):
    network = Network((10, 6, 3), layers)
    parameters, gradients = (Vector(network.parameter_shapes, dtype) for _ in range(2))
    parameters.unpack(network.initial(1, dtype))
    memories = network.memories(dtype, 60)
    x = np.random.default_rng(1).normal(size=(60, 180))
    y = network.forward(panels.from_rows(x, dtype), parameters.views, memories).copy()
    dx = network.backward(y.copy(), parameters.views, gradients.views, memories, True)
    y, dx = panels.to_rows(y, 60, 11 * 7 * 2), panels.to_rows(dx, 60, 180)
    print(*(hashlib.sha256(array.tobytes()).hexdigest() for array in (y, dx, gradients.packed())))
"""


def test_the_same_bits_from_any_number_of_threads():
    found = set()
    for threads in (1, 2, 5):
        environment = os.environ | {"NUMBA_NUM_THREADS": str(threads)}
        command = [sys.executable, "-P", "-c", THREADS]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
    assert len(found.pop().split()) == 6


def test_first_weights_keep_the_size_of_what_passes_through():
    x = numbers(1, 200, 12 * 12 * 16)
    for layer in (Conv2D(40, 3, 2), ConvTranspose2D(40, 4, 2), ConvTranspose2D(40, 2, 2)):
        network = Network((12, 12, 16), [layer])
        parameters = network.initial(seed=1)
        assert (parameters[-40:] == 0).all()
        inner = network(parameters, x).reshape(200, *network.output_shape)[:, 2:-2, 2:-2]
        # Variance 2 / inputs of each output: half is lost in the ReLU that follows.
        assert inner.var() == pytest.approx(2, rel=0.05)
    # "glorot": between what keeps the size forward and backward.
    weights = Network((12, 12, 16), [Conv2D(48, 3, initialization="glorot")]).initial(seed=1)[:-48]
    assert weights.var() == pytest.approx(2 / (9 * (16 + 48)), rel=0.05)


ERRORS = {
    "no filters": (lambda: Conv2D(0), "n_filters=0 is too small"),
    "no kernel": (lambda: ConvTranspose2D(1, 0), "kernel_size=0 is too small"),
    "no stride": (lambda: Conv2D(1, 3, 0), "stride=0 is too small"),
    "padding": (lambda: Conv2D(1, padding="full"), "padding='full' is unknown; choose one of 'same', 'valid', 'peri"),
    "initialization": (lambda: Conv2D(1, initialization="ones"), "initialization='ones' is unknown"),
    "a row of numbers": (lambda: Network((9,), [Conv2D(1)]), r"shape \(9,\) is not that of an image; give Conv2D \(h"),
    "a large kernel": (
        lambda: Network((9, 4, 1), [Conv2D(1, 5, padding="valid")]),
        "kernel_size=5 is larger than an image of 9 x 4 pixels; give one of at most 4, or padding='same'",
    ),
    "a kernel round the torus": (
        lambda: Network((2, 2, 1), [ConvTranspose2D(1, 5, 2, padding="periodic")]),
        "kernel_size=5 is larger than an image of 4 x 4 pixels",
    ),
    "a seam": (
        lambda: Network((9, 4, 1), [Conv2D(1, 3, 2, padding="periodic")]),
        "stride=2 does not divide the lengths 9 and 4 of a periodic lattice; give one that divides both",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    make, message = ERRORS[case]
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", LAYERS)
def test_pytorch_agrees(kind, stride):
    torch = pytest.importorskip("torch")
    passes = Passes((9, 7, 20), [kind(33, 3, stride, "valid")], 60, dtype=np.float32)
    network = passes.network
    parameters, x = numbers(1, network.n_parameters) / 10, numbers(2, 60, 9, 7, 20)
    dy = numbers(3, 60, *network.output_shape)
    y = passes.forward(parameters, x.reshape(60, -1))
    dx, gradient = passes.backward(dy.reshape(60, -1))

    def tensor(array, axes):
        return torch.tensor(array.transpose(axes).astype(np.float32).copy(), requires_grad=True)

    weights = parameters[:-33].reshape(3, 3, 20, 33)
    axes, function = ((3, 2, 0, 1), "conv2d") if kind is Conv2D else ((2, 3, 0, 1), "conv_transpose2d")
    w, b, image = tensor(weights, axes), tensor(parameters[-33:], (0,)), tensor(x, (0, 3, 1, 2))
    result = getattr(torch.nn.functional, function)(image, w, b, stride=stride)
    result.backward(tensor(dy, (0, 3, 1, 2)).detach())
    for got, wanted in (
        (y.reshape(dy.shape), result.detach().numpy().transpose(0, 2, 3, 1)),
        (dx.reshape(x.shape), image.grad.numpy().transpose(0, 2, 3, 1)),
        (gradient[:-33].reshape(weights.shape), w.grad.numpy().transpose(np.argsort(axes))),
        (gradient[-33:], b.grad.numpy()),
    ):
        assert got.shape == wanted.shape
        assert abs(got - wanted).max() < 1e-5 * abs(wanted).max()
