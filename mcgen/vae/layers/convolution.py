"""Convolutions of images (height, width, channels), and transposed ones; each is the other's backward pass."""

import dataclasses
from typing import ClassVar

import numba
import numpy as np

from mcgen import checks
from mcgen._vectors import LANES, PRODUCT_ROWS
from mcgen.errors import InputError
from mcgen.vae import initial
from mcgen.vae.layers import convolution_kernels as kernels
from mcgen.vae.layers.base import Layer, Memory, Shape, Views
from mcgen.vae.layers.convolution_tables import PADDINGS, Side, both_sides, large_length
from mcgen.vae.panels import padded

# Numbers that the parts of a gradient may have together: they stay in the second-level cache.
MOST_PARTIAL_SUMS = 2**18
# Parts of the sum over a batch: for many threads, and the same for any number of them.
PARTS = 8, 64


@dataclasses.dataclass(frozen=True)
class _Convolution(Layer):
    """What both layers have in common: everything but which side the input is on."""

    n_filters: int
    kernel_size: int = 3
    stride: int = 1
    padding: str = "same"
    initialization: str = "he"

    transposed: ClassVar[bool]

    def __post_init__(self) -> None:
        checks.integer("n_filters", self.n_filters, 1)
        checks.integer("kernel_size", self.kernel_size, 1)
        checks.integer("stride", self.stride, 1)
        checks.choice("padding", self.padding, PADDINGS)
        checks.choice("initialization", self.initialization, initial.INITIALIZATIONS)

    def sides(self, shape: Shape) -> tuple[Side, Side]:
        """The side of the input and that of the output, for an input that fits."""
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(
                f"shape {shape} is not that of an image; give {type(self).__name__} (height, width, channels), for "
                "example with Reshape before it"
            )
        how = self.kernel_size, self.stride, self.padding
        large = tuple(large_length(length, *how) for length in shape[:2]) if self.transposed else tuple(shape[:2])
        if self.padding != "same" and self.kernel_size > min(large):
            raise InputError(
                f"kernel_size={self.kernel_size} is larger than an image of {large[0]} x {large[1]} pixels; give "
                f"one of at most {min(large)}, or padding='same'"
            )
        if self.padding == "periodic" and (large[0] % self.stride or large[1] % self.stride):
            raise InputError(
                f"stride={self.stride} does not divide the lengths {large[0]} and {large[1]} of a periodic lattice; "
                "give one that divides both"
            )
        large_side, small_side = both_sides(large, *how)
        return (small_side, large_side) if self.transposed else (large_side, small_side)

    def output_shape(self, shape: Shape) -> Shape:
        return (*self.sides(shape)[1].shape, self.n_filters)

    def parameter_shapes(self, shape: Shape) -> dict[str, Shape]:
        self.sides(shape)
        return {"weights": (self.kernel_size, self.kernel_size, shape[2], self.n_filters), "bias": (self.n_filters,)}

    def initialize(self, shape: Shape, parameters: Views, seed: int) -> None:
        # A pixel of the small side meets all taps, one of the large side those at every stride-th place.
        all_taps, some_taps = self.kernel_size**2, max(self.kernel_size / self.stride, 1.0) ** 2
        into_output, from_input = (some_taps, all_taps) if self.transposed else (all_taps, some_taps)
        weights = parameters["weights"]
        weights[:] = initial.weights(
            self.initialization, weights.shape, into_output * shape[2], from_input * self.n_filters, seed
        )
        parameters["bias"][:] = 0

    def forward(self, shape: Shape, x: np.ndarray, parameters: Views, memory: Memory) -> np.ndarray:
        """The sums over taps and channels, and the bias."""
        memory.x = x
        inputs, outputs = self.sides(shape)
        return convolve(memory, "y", outputs, inputs, x, parameters["weights"], parameters["bias"], 3)

    def backward(
        self, shape: Shape, dy: np.ndarray, parameters: Views, gradients: Views, memory: Memory, wants_input: bool
    ) -> np.ndarray | None:
        """dW: sums over pairs of pixels, db: sums over dy, and dx: `forward` with input and output exchanged."""
        inputs, outputs = self.sides(shape)
        weight_gradient(memory, gradients["weights"], inputs, outputs, memory.x, dy)
        n_pixels = outputs.shape[0] * outputs.shape[1]
        partial = memory.array("partial sums of the bias", (PARTS[0], self.n_filters, dy.shape[2]))
        kernels.bias_gradient(gradients["bias"], dy, n_pixels, partial, memory.n_rows, memory.copies)
        if not wants_input:
            return None
        return convolve(memory, "dx", inputs, outputs, dy, parameters["weights"], memory.array("zero", (1,)), 2)


class Conv2D(_Convolution):
    """Convolution of images: y[i, j, f] = b[f] + sum_{k, l, c} x[i s + k - p, j s + l - p, c] W[k, l, c, f].

    s is the stride and p the padding before the image. Its parameters are `weights` (kernel_size, kernel_size,
    channels, n_filters), in the order of Keras (PyTorch has n_filters and channels first), and `bias` (n_filters,).

    Parameters
    ----------
    n_filters : int
        Channels of the output.
    kernel_size : int
        Height and width of the kernel.
    stride : int
        Pixels from one position of the kernel to the next.
    padding : {"same", "valid", "periodic"}
        "same": zeros around the image, in all max((n - 1) s + kernel_size - length, 0) on each axis, of which the
        smaller half comes before it (TensorFlow's rule), for outputs of length n = ceil(length / s). "valid": none.
        "periodic": the image is a torus, its length a multiple of the stride; the kernel lies as with "same".
    initialization : {"he", "glorot"}
        As in `Dense`, with the inputs that an output sums up and the outputs that an input goes to.

    Raises
    ------
    InputError
        If an argument is out of range, or, when a network is made, if the input is no image or the kernel or stride
        does not fit it.

    References
    ----------
    LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86, 2278 (1998).

    Examples
    --------
    >>> from mcgen import vae
    >>> network = vae.Network((28, 28, 1), [vae.Conv2D(32, kernel_size=3, stride=2)])
    >>> network.output_shape, network.n_parameters
    ((14, 14, 32), 320)
    """

    transposed = False


class ConvTranspose2D(_Convolution):
    """Transposed convolution: y[i s + k - p, j s + l - p, f] = b[f] + x[i, j, c] W[k, l, c, f], summed.

    The adjoint of the `Conv2D` with the same kernel size, stride and padding from images of the output's shape to those
    of the input's: each is the other's backward pass. The length becomes length * stride, or with "valid"
    (length - 1) * stride + kernel_size.

    Its parameters are `weights` (kernel_size, kernel_size, channels, n_filters) and `bias` (n_filters,). Keras has the
    last two axes the other way round, (kernel_size, kernel_size, n_filters, channels); PyTorch has (channels,
    n_filters, kernel_size, kernel_size). None of them turns the kernel over.

    Parameters
    ----------
    n_filters : int
        Channels of the output.
    kernel_size : int
    stride : int
        Pixels of the output from one pixel of the input to the next.
    padding : {"same", "valid", "periodic"}
        That of the convolution which is turned round: see `Conv2D`.
    initialization : {"he", "glorot"}
        As in `Conv2D`.

    Raises
    ------
    InputError
        If an argument is out of range, or, when a network is made, if the input is no image or the kernel is larger
        than the output.

    References
    ----------
    Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (2016), arXiv:1603.07285.

    Examples
    --------
    >>> from mcgen import vae
    >>> network = vae.Network((7, 7, 64), [vae.ConvTranspose2D(32, kernel_size=3, stride=2)])
    >>> network.output_shape, network.n_parameters
    ((14, 14, 32), 18464)
    """

    transposed = True


def convolve(
    memory: Memory, name: str, side: Side, other: Side, x: np.ndarray, weights: np.ndarray, start: np.ndarray, by: int
) -> np.ndarray:
    """The image on one side of a convolution: sums over the taps and channels of x, which is on the other side.

    Parameters
    ----------
    memory : Memory
    name : str
        Of the result in the memory.
    side, other : Side
    x : float (n_panels, features, width)
    weights : float (n_taps, n_taps, channels of the input, channels of the output)
    start : float
        What the sums start from, for each channel of the result or for all.
    by : int
        The axis of the weights that is that of the result: 3 forward, 2 backward.

    Returns
    -------
    ndarray, panels
    """
    n_taps, n_results, n_channels = len(side.order), weights.shape[by], weights.shape[5 - by]
    y = memory.panels(name, side.shape[0] * side.shape[1] * n_results)
    arguments = (y, x, weights, by == 3, start)
    tables = (side.order, *side.runs, other.shape[1])
    n_terms = side.runs[0][:, :, 2].sum() * side.runs[1][:, :, 2].sum()
    n_tiles, n_pixels = tiles(n_taps**2 * n_results), other.shape[0] * other.shape[1]
    # Products with all taps, and their sums, against tiles of results: what is not filled is lost.
    if 1.5 * n_pixels * n_tiles < n_terms * tiles(n_results):
        packed = memory.array(f"weights of {name}", (n_tiles, n_channels, PRODUCT_ROWS))
        products = memory.panels(f"products of {name}", n_pixels * n_tiles * PRODUCT_ROWS)
        kernels.convolve_few(*arguments, packed, *tables, products, memory.n_rows, memory.copies)
    else:
        packed = memory.array(f"weights of {name}", (tiles(n_results), n_taps, n_taps, n_channels, PRODUCT_ROWS))
        kernels.convolve(*arguments, packed, *tables, memory.n_rows, memory.copies, numba.get_num_threads())
    return y


def weight_gradient(
    memory: Memory, d_weights: np.ndarray, inputs: Side, outputs: Side, x: np.ndarray, dy: np.ndarray
) -> None:
    """The sums over the batch and over all pairs of pixels that a tap connects, x of the input times dy of the output.

    One side is the center, pixel by pixel, and the other is what its taps see: whichever way is the quicker.
    """
    n_taps, _, n_inputs, n_outputs = d_weights.shape
    register = 8 * LANES // memory.dtype.itemsize

    def shape(n_around: int, n_center: int) -> tuple[int, int]:
        return padded(n_taps**2 * n_around), -(-n_center // register) * register

    def cost(side: Side, n_around: int, n_center: int) -> int:
        rows, columns = shape(n_around, n_center)
        # The products of a tile with a register take five cycles, turning a number over takes one.
        return side.shape[0] * side.shape[1] * (5 * rows // PRODUCT_ROWS * columns // register + n_center)

    if cost(outputs, n_inputs, n_outputs) <= cost(inputs, n_outputs, n_inputs):
        center_last, around, center, side, other, sums = True, x, dy, outputs, inputs, shape(n_inputs, n_outputs)
    else:
        center_last, around, center, side, other, sums = False, dy, x, inputs, outputs, shape(n_outputs, n_inputs)
    n_parts = int(np.clip(MOST_PARTIAL_SUMS // (sums[0] * sums[1]), *PARTS)) // 8 * 8
    partial = memory.array("partial sums", (n_parts, *sums))
    kernels.weight_gradient(
        d_weights, center_last, around, center, *side.seen, other.shape[1], partial, memory.n_rows, memory.copies
    )


def tiles(n: int) -> int:
    """Tiles of so many rows."""
    return padded(n) // PRODUCT_ROWS
