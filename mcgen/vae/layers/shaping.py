"""Layers that only say how a row of numbers is to be read: images are (height, width, channels), row-major."""

import dataclasses

from mcgen.errors import InputError
from mcgen.vae.layers.base import Layer, Shape, n_features


@dataclasses.dataclass(frozen=True)
class Flatten(Layer):
    """An image as a row of numbers, row-major: (height, width, channels) becomes (height * width * channels,).

    Examples
    --------
    >>> from mcgen import vae
    >>> vae.Network((4, 4, 2), [vae.Flatten()]).output_shape
    (32,)
    """

    def output_shape(self, shape: Shape) -> Shape:  # noqa: D102 - as in Layer
        return (n_features(shape),)


@dataclasses.dataclass(frozen=True)
class Reshape(Layer):
    """A row of numbers as an image.

    Parameters
    ----------
    shape : tuple of int

    Raises
    ------
    InputError
        When a network is made, if the number of features does not fit.

    Examples
    --------
    >>> from mcgen import vae
    >>> vae.Network((32,), [vae.Reshape((4, 4, 2))]).output_shape
    (4, 4, 2)
    """

    shape: Shape

    def output_shape(self, shape: Shape) -> Shape:  # noqa: D102
        if n_features(shape) != n_features(self.shape):
            raise InputError(
                f"shape {shape} has {n_features(shape)} features and cannot become {self.shape}, which has "
                f"{n_features(self.shape)}; give a shape with as many"
            )
        return tuple(self.shape)
