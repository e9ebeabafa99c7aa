"""Which layers an autoencoder has: dense by default, convolutions for images."""

import dataclasses
from collections.abc import Sequence

from mcgen import checks
from mcgen.errors import InputError
from mcgen.vae.layers import Activation, Conv2D, ConvTranspose2D, Dense, Flatten, Layer, Reshape
from mcgen.vae.network import Network


@dataclasses.dataclass(frozen=True)
class Convolution:
    """The convolutions of an autoencoder of images: each of the encoder has its mirror image in the decoder.

    The encoder has a convolution for each entry of `filters`, then the hidden dense layers. The decoder has one dense
    layer that makes the smallest image, a transposed convolution for each entry in reverse order, and one of stride 1
    that makes the channels of the data.

    Parameters
    ----------
    shape : (height, width, channels)
        Of an image; rows of data are (height * width * channels,), row-major.
    filters : tuple of int
        Filters of each convolution.
    kernel_size, stride : int
    padding : {"same", "periodic"}
        Zeros outside of the image, or a torus.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    The default is that of F. Chollet, "Variational AutoEncoder", keras.io/examples/generative/vae (2020).

    Examples
    --------
    >>> from mcgen import vae
    >>> net = vae.VAE(hidden=(16,), n_latent=2, convolution=vae.Convolution((28, 28, 1), (32, 64)))
    >>> net.encoder.n_parameters, net.decoder.n_parameters
    (69076, 65089)
    """

    shape: tuple[int, int, int] = (28, 28, 1)
    filters: tuple[int, ...] = (32, 64)
    kernel_size: int = 3
    stride: int = 2
    padding: str = "same"

    def __post_init__(self) -> None:
        for name in ("shape", "filters"):
            object.__setattr__(self, name, checks.integers(name, getattr(self, name), 1))
        if len(self.shape) != 3:
            raise InputError(f"shape={self.shape} is not that of an image; give (height, width, channels)")
        if not self.filters:
            raise InputError("filters is empty; give the number of filters of at least one convolution")
        checks.choice("padding", self.padding, ("same", "periodic"))
        reduction = checks.integer("stride", self.stride, 1) ** len(self.filters)
        for length in self.shape[:2]:
            if length % reduction:
                raise InputError(
                    f"an image of {self.shape[0]} x {self.shape[1]} cannot be divided {len(self.filters)} times by "
                    f"stride={self.stride} and come back; give fewer filters, stride=1, or lengths that are multiples "
                    f"of {reduction}"
                )

    @property
    def n_features(self) -> int:
        """Numbers of an image."""
        height, width, channels = self.shape
        return height * width * channels


def encoder(
    n_features: int,
    n_conditions: int,
    hidden: Sequence[int],
    n_outputs: int,
    activation: str,
    convolution: Convolution | None,
) -> Network:
    """The network from data (and conditions) to n_outputs numbers.

    Conditions are more features of a row, or more channels of every pixel.
    """
    kind = _initialization(activation)
    layers: list[Layer] = []
    if convolution is None:
        shape = (n_features + n_conditions,)
    else:
        height, width, channels = convolution.shape
        shape = (height, width, channels + n_conditions)
        settings = (convolution.kernel_size, convolution.stride, convolution.padding, kind)
        for n_filters in convolution.filters:
            layers += [Conv2D(n_filters, *settings), Activation(activation)]
        layers.append(Flatten())
    for n_hidden in hidden:
        layers += [Dense(n_hidden, kind), Activation(activation)]
    return Network(shape, [*layers, Dense(n_outputs, "glorot")])


def decoder(
    n_inputs: int, hidden: Sequence[int], n_features: int, activation: str, convolution: Convolution | None
) -> Network:
    """The network from latent variables (and conditions) to the fields or means of the data."""
    kind = _initialization(activation)
    layers: list[Layer] = []
    if convolution is None:
        for n_hidden in reversed(hidden):
            layers += [Dense(n_hidden, kind), Activation(activation)]
        return Network((n_inputs,), [*layers, Dense(n_features, "glorot")])
    height, width, channels = convolution.shape
    reduction = convolution.stride ** len(convolution.filters)
    smallest = (height // reduction, width // reduction, convolution.filters[-1])
    layers += [Dense(smallest[0] * smallest[1] * smallest[2], kind), Activation(activation), Reshape(smallest)]
    size, padding = convolution.kernel_size, convolution.padding
    for n_filters in reversed(convolution.filters):
        layers += [ConvTranspose2D(n_filters, size, convolution.stride, padding, kind), Activation(activation)]
    layers += [ConvTranspose2D(channels, size, 1, padding, "glorot"), Flatten()]
    return Network((n_inputs,), layers)


def _initialization(activation: str) -> str:
    return "he" if activation in ("relu", "leaky-relu") else "glorot"
