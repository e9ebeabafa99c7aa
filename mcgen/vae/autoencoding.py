"""What all autoencoders have: networks, parameters, and checks of what is given to them."""

import copy
import functools
from collections.abc import Sequence

import numpy as np

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.vae import architecture, decoders
from mcgen.vae.layers.activation import CODES
from mcgen.vae.network import Vector, checked_dtype


class Autoencoding:
    """What all autoencoders have: an encoder, a decoder, and their parameters in one vector.

    Attributes
    ----------
    n_features, n_latent, n_conditions : int
    encoder, decoder : Network
    decoder_kind : Bernoulli, Spin or Gaussian
    parameters : ndarray, shape (n_parameters,)
        Of the encoder, the decoder and the kind of decoder, one array after the other; not to be written to.
    """

    numbers_per_latent = 1

    def __init__(
        self,
        n_features: int | None,
        hidden: Sequence[int],
        n_latent: int,
        decoder: object,
        activation: str,
        convolution: architecture.Convolution | None,
        seed: int,
        dtype: object,
        n_conditions: int = 0,
    ):
        if convolution is None and n_features is None:
            raise InputError("n_features is missing; give the number of features of a row, or a convolution")
        if convolution is not None:
            if n_features not in (None, convolution.n_features):
                raise InputError(
                    f"n_features={n_features} does not fit images of {convolution.shape}, which have "
                    f"{convolution.n_features} features; leave out n_features"
                )
            n_features = convolution.n_features
        self.n_features = checks.integer("n_features", n_features, 1)
        self.n_latent = checks.integer("n_latent", n_latent, 1)
        self.n_conditions = n_conditions
        self.hidden = checks.integers("hidden", hidden, 1)
        self.activation = checks.choice("activation", activation, tuple(CODES))
        self.convolution = convolution
        self.decoder_kind = decoders.make(decoder)
        self.encoder = architecture.encoder(
            self.n_features, n_conditions, self.hidden, self.numbers_per_latent * n_latent, activation, convolution
        )
        self.decoder = architecture.decoder(
            n_latent + n_conditions, self.hidden, self.n_features, activation, convolution
        )
        self.parameter_shapes = [
            *self.encoder.parameter_shapes,
            *self.decoder.parameter_shapes,
            self.decoder_kind.parameter_shapes(self.n_features),
        ]
        vector = Vector(self.parameter_shapes, dtype)
        views = self.parts(vector)
        self.encoder.initialize(views[0], rng.derive(seed, 0))
        self.decoder.initialize(views[1], rng.derive(seed, 1))
        self.decoder_kind.initialize(views[2])
        self.parameters = _read_only(vector.packed())

    @property
    def n_channels(self) -> int:
        """Numbers of a pixel; a row that is no image is one pixel."""
        return self.n_features if self.convolution is None else self.convolution.shape[2]

    @property
    def is_variational(self) -> bool:
        """Whether latent variables are drawn, and not computed."""
        return self.numbers_per_latent == 2

    @property
    def n_parameters(self) -> int:
        """How many numbers there are to learn."""
        return len(self.parameters)

    @property
    def dtype(self) -> np.dtype:
        """The precision of parameters and networks: float32 or float64."""
        return self.parameters.dtype

    def parts(self, vector: Vector) -> tuple:
        """Views of the parameters of encoder, decoder and kind of decoder."""
        n = len(self.encoder.layers)
        return vector.views[:n], vector.views[n:-1], vector.views[-1]

    def vector(self) -> Vector:
        """A new vector with the parameters, in the layout that the layers work with."""
        vector = Vector(self.parameter_shapes, self.dtype)
        vector.unpack(self.parameters)
        return vector

    @functools.cached_property
    def _views(self) -> tuple:
        return self.parts(self.vector())

    @property
    def decoder_parameters(self) -> dict[str, np.ndarray]:
        """Parameters of the kind of decoder: `log_std`, where it is learned."""
        return self._views[2]

    def replace(self, parameters: np.ndarray) -> "Autoencoding":
        """The same model with other parameters, whose dtype becomes that of the model.

        Raises
        ------
        InputError
            If there are more or fewer, one is not finite, or they are neither float32 nor float64.
        """
        parameters = checks.finite_array("parameters", parameters, (self.n_parameters,))
        checked_dtype(parameters.dtype)
        other = copy.copy(self)
        other.__dict__.pop("_views", None)
        other.parameters = _read_only(parameters.astype(parameters.dtype, copy=True))
        return other

    def astype(self, dtype: object) -> "Autoencoding":
        """The same model in another precision."""
        dtype = checked_dtype(dtype)
        return self if self.dtype == dtype else self.replace(self.parameters.astype(dtype))

    def check_rows(self, x: np.ndarray, name: str = "x") -> np.ndarray:
        """Rows of data (n_rows, n_features), C-contiguous: integers as int8, others in the model's precision.

        Raises
        ------
        InputError
            If a shape does not fit, a number is not finite, or data are not what the decoder's kind describes.
        """
        x = checks.finite_array(name, x, (None, self.n_features))
        if not len(x):
            raise InputError(f"{name} has no rows; give at least one")
        is_small = x.dtype.kind in "biu" and x.min() >= -128 and x.max() <= 127
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(x, np.int8 if is_small else self.dtype)
        if not is_small and x.dtype.itemsize > rows.dtype.itemsize and not np.isfinite(rows).all():
            raise InputError(
                f"{name} has the value {x[~np.isfinite(rows)][0]:g}, beyond the numbers of {self.dtype}; scale the "
                "data, or make the model with dtype='float64'"
            )
        return self.decoder_kind.check(name, rows)

    def check_condition(self, condition: np.ndarray | None, n_rows: int) -> np.ndarray | None:
        """Conditions of so many rows as the networks take them, or None for a model without."""
        if condition is not None:
            raise InputError(f"{self!r} takes no condition; leave it out, or use a ConditionalVAE")

    def _with_condition(self, x: np.ndarray, condition: np.ndarray | None) -> np.ndarray:
        """Rows as the encoder takes them: with their conditions as more features, or as more channels of each pixel."""
        if condition is None:
            return x
        pixels = x.reshape(len(x), -1, self.n_channels)
        more = np.broadcast_to(condition[:, None, :], (*pixels.shape[:2], self.n_conditions))
        return np.concatenate([pixels, more], axis=2, dtype=self.dtype).reshape(len(x), -1)

    def _encoder_outputs(self, x: np.ndarray, condition: np.ndarray | None) -> np.ndarray:
        x = self.check_rows(x)
        condition = self.check_condition(condition, len(x))
        return self.encoder.apply(self._views[0], self._with_condition(x, condition), self.dtype)

    def fields(self, z: np.ndarray, condition: np.ndarray | None = None) -> np.ndarray:
        """What the decoder's network gives for latent variables: fields (logits) of Bernoulli and spin data, or means.

        Parameters
        ----------
        z : array, shape (n_rows, n_latent)
        condition : array, shape (n_rows, n_conditions), optional

        Returns
        -------
        ndarray, shape (n_rows, n_features)

        Raises
        ------
        InputError
            If a shape does not fit, or a number is not finite.
        """
        z = checks.finite_array("z", z, (None, self.n_latent)).astype(self.dtype, copy=False)
        condition = self.check_condition(condition, len(z))
        inputs = z if condition is None else np.concatenate([z, condition], axis=1)
        return self.decoder.apply(self._views[1], inputs, self.dtype)

    def decode(self, z: np.ndarray, condition: np.ndarray | None = None) -> np.ndarray:
        """Means of the data given latent variables; arguments and errors are those of `fields`.

        Returns
        -------
        ndarray, shape (n_rows, n_features)
            Of Bernoulli data the probabilities of 1.
        """
        return self.decoder_kind.mean(self.fields(z, condition))

    def __repr__(self) -> str:
        if self.convolution is None:
            words = f"n_features={self.n_features}, hidden={self.hidden}"
        else:
            words = f"{self.convolution!r}, hidden={self.hidden}"
        if self.n_conditions:
            words += f", n_conditions={self.n_conditions}"
        words += f", n_latent={self.n_latent}, decoder={self.decoder_kind!r}, dtype={self.dtype.name!r}"
        return f"{type(self).__name__}({words})"


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
