"""Autoencoders, variational autoencoders and conditional ones: what encoder and decoder give."""

from collections.abc import Sequence

import numpy as np

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.vae import architecture
from mcgen.vae.autoencoding import Autoencoding


class Autoencoder(Autoencoding):
    """An autoencoder: a code h = f(x) of few numbers, and a decoder g(h) that restores the data as well as it can.

    Trained by `vae.train`, it minimises the mean squared error (decoder="gaussian") or the cross-entropy
    (decoder="bernoulli"), as -log p(x | h).

    Parameters
    ----------
    n_features : int
        Of a row of data; left out with a convolution.
    hidden : tuple of int
        Widths of the hidden layers of the encoder; those of the decoder are the same in reverse.
    n_latent : int
        Numbers of the code.
    decoder : {"gaussian", "bernoulli", "spin"} or one of `vae.Gaussian`, `vae.Bernoulli`, `vae.Spin`
    activation : {"relu", "leaky-relu", "tanh", "sigmoid", "softplus", "linear"}
    convolution : Convolution, optional
        Convolutions before the hidden layers, for images.
    seed : int
        Of the first weights, 0 to 2**64 - 1.
    dtype : {"float32", "float64"}

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    Hjorth-Jensen (2025), "The Autoencoder again".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.Autoencoder(n_features=6, hidden=(8,), n_latent=2, seed=0)
    >>> code = net.encode(np.zeros((3, 6)))
    >>> code.shape, net.decode(code).shape
    ((3, 2), (3, 6))
    """

    def __init__(
        self,
        n_features: int | None = None,
        hidden: Sequence[int] = (400, 400),
        n_latent: int = 20,
        decoder: object = "gaussian",
        activation: str = "relu",
        convolution: architecture.Convolution | None = None,
        seed: int = 0,
        dtype: object = "float32",
    ):
        super().__init__(n_features, hidden, n_latent, decoder, activation, convolution, seed, dtype)

    def encode(self, x: np.ndarray) -> np.ndarray:
        """The codes of rows.

        Parameters
        ----------
        x : array, shape (n_rows, n_features)

        Returns
        -------
        ndarray, shape (n_rows, n_latent)

        Raises
        ------
        InputError
            If data do not fit the model.
        """
        return self._encoder_outputs(x, None)

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """g(f(x)) of rows, shape (n_rows, n_features)."""
        return self.decode(self.encode(x))


class VAE(Autoencoding):
    """A variational autoencoder: p(x) = int p(x | z) p(z) dz with z ~ N(0, I), and q(z | x) = N(m(x), diag w(x)^2).

    Parameters
    ----------
    n_features : int
        Of a row of data; left out with a convolution.
    hidden : tuple of int
        Widths of the hidden layers of the encoder; those of the decoder are the same in reverse.
    n_latent : int
        Latent variables.
    decoder : {"bernoulli", "spin", "gaussian"} or one of `vae.Bernoulli`, `vae.Spin`, `vae.Gaussian`
        p(x | z).
    activation : {"relu", "leaky-relu", "tanh", "sigmoid", "softplus", "linear"}
    convolution : Convolution, optional
        Convolutions before the hidden layers, for images; the decoder mirrors them.
    seed : int
        Of the first weights, 0 to 2**64 - 1.
    dtype : {"float32", "float64"}
        Of parameters and networks. Sums of log-likelihoods are taken in float64 whatever it is.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    Kingma & Welling, arXiv:1312.6114 (2014); Hjorth-Jensen (2025), "Mathematics of Variational Autoencoders".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, seed=0)
    >>> mean, log_std = net.encode(np.zeros((3, 6)))
    >>> mean.shape, log_std.shape, net.decode(mean).shape, net.sample(4, seed=1).shape
    ((3, 2), (3, 2), (3, 6), (4, 6))
    """

    numbers_per_latent = 2

    def __init__(
        self,
        n_features: int | None = None,
        hidden: Sequence[int] = (400, 400),
        n_latent: int = 20,
        decoder: object = "bernoulli",
        activation: str = "relu",
        convolution: architecture.Convolution | None = None,
        seed: int = 0,
        dtype: object = "float32",
    ):
        super().__init__(n_features, hidden, n_latent, decoder, activation, convolution, seed, dtype)

    def encode(self, x: np.ndarray, condition: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and logarithm of the standard deviation of q(z | x).

        Parameters
        ----------
        x : array, shape (n_rows, n_features)
        condition : array, shape (n_rows, n_conditions), optional
            For a ConditionalVAE.

        Returns
        -------
        mean, log_std : ndarrays, shape (n_rows, n_latent)

        Raises
        ------
        InputError
            If data do not fit the model.
        """
        outputs = self._encoder_outputs(x, condition)
        return outputs[:, : self.n_latent].copy(), outputs[:, self.n_latent :].copy()

    def reconstruct(self, x: np.ndarray, condition: np.ndarray | None = None) -> np.ndarray:
        """Means of the data decoded from the mean of q(z | x), shape (n_rows, n_features)."""
        return self.decode(self.encode(x, condition)[0], condition)

    def sample(self, n_draws: int, seed: int = 0, condition: np.ndarray | None = None) -> np.ndarray:
        """Independent draws from the model: z from the prior, then x from p(x | z).

        Parameters
        ----------
        n_draws : int
        seed : int
            0 to 2**64 - 1.
        condition : array, shape (n_draws, n_conditions) or (n_conditions,), optional
            For a ConditionalVAE.

        Returns
        -------
        ndarray, shape (n_draws, n_features)
            int8 for Bernoulli and spin data, otherwise in the model's precision.

        Raises
        ------
        InputError
            If an argument is out of range.
        """
        n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
        self.check_condition(condition, n_draws)
        z = rng.normals(seed, rng.purpose.VAE_DRAW, n_draws, self.n_latent, step=1)
        return self.draw(z, seed, condition)

    def draw(self, z: np.ndarray, seed: int = 0, condition: np.ndarray | None = None) -> np.ndarray:
        """Draws from p(x | z), one for each row of latent variables; errors and result are those of `sample`."""
        return self.decoder_kind.draw(self.fields(z, condition), self.decoder_parameters, seed)


class ConditionalVAE(VAE):
    """A variational autoencoder of data given a condition c: p(x | c) = int p(x | z, c) p(z) dz and q(z | x, c).

    Parameters
    ----------
    n_conditions : int
        Numbers of a condition: 1 for a temperature, the number of classes for `vae.one_hot` labels.
    condition_offset, condition_scale : float or array, shape (n_conditions,)
        The networks see (condition - offset) / scale: choose them so that this is of the order of 1.

    The other parameters, and the errors, are those of `VAE`.

    References
    ----------
    Sohn, Lee & Yan, NeurIPS (2015); Hjorth-Jensen (2025), "Rearranging" and "Inferring the probability".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.ConditionalVAE(n_features=6, n_conditions=1, hidden=(8,), n_latent=2, condition_offset=2.3)
    >>> net.sample(4, seed=1, condition=[2.269]).shape
    (4, 6)
    """

    def __init__(
        self,
        n_features: int | None = None,
        n_conditions: int = 1,
        hidden: Sequence[int] = (400, 400),
        n_latent: int = 20,
        decoder: object = "bernoulli",
        activation: str = "relu",
        convolution: architecture.Convolution | None = None,
        condition_offset: float | np.ndarray = 0.0,
        condition_scale: float | np.ndarray = 1.0,
        seed: int = 0,
        dtype: object = "float32",
    ):
        n_conditions = checks.integer("n_conditions", n_conditions, 1)
        self.condition_offset = _of_conditions("condition_offset", condition_offset, n_conditions)
        self.condition_scale = _of_conditions("condition_scale", condition_scale, n_conditions)
        if (self.condition_scale <= 0).any():
            raise InputError(f"condition_scale={self.condition_scale} is not positive; give numbers above 0")
        Autoencoding.__init__(
            self, n_features, hidden, n_latent, decoder, activation, convolution, seed, dtype, n_conditions
        )

    def check_condition(self, condition: np.ndarray | None, n_rows: int) -> np.ndarray:
        """Conditions of so many rows as the networks take them: shape (n_rows, n_conditions), shifted and scaled."""
        if condition is None:
            raise InputError(f"condition is missing; give {self.n_conditions} numbers for each row")
        condition = np.asarray(condition)
        if condition.ndim < 2 and condition.size == self.n_conditions:
            condition = np.broadcast_to(condition.reshape(1, -1), (n_rows, self.n_conditions))
        condition = checks.finite_array("condition", condition, (n_rows, self.n_conditions))
        return ((condition - self.condition_offset) / self.condition_scale).astype(self.dtype)


def check_vae(net: Autoencoding) -> None:
    """Raise `InputError` for what has no p(x), p(x | z) and q(z | x)."""
    if not isinstance(net, VAE):
        raise InputError(f"{net!r} is not a VAE and has no distribution p(x, z); give a VAE or a ConditionalVAE")


def one_hot(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Labels 0 ... n_classes - 1 as conditions: 1 at the label, 0 elsewhere.

    Parameters
    ----------
    labels : array of int, shape (n_rows,)
    n_classes : int

    Returns
    -------
    ndarray of float64, shape (n_rows, n_classes)

    Raises
    ------
    InputError
        If a label is out of range.

    Examples
    --------
    >>> from mcgen import vae
    >>> vae.one_hot([2, 0], 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    labels = checks.finite_array("labels", labels, (None,))
    n_classes = checks.integer("n_classes", n_classes, 1)
    if labels.dtype.kind not in "iu" or (len(labels) and not 0 <= labels.min() <= labels.max() < n_classes):
        raise InputError(f"labels are not integers from 0 to {n_classes - 1}; number the classes so")
    return np.eye(n_classes)[labels]


def _of_conditions(name: str, value: float | np.ndarray, n_conditions: int) -> np.ndarray:
    array = checks.finite_array(name, value).astype(np.float64)
    if array.size not in (1, n_conditions):
        raise InputError(f"{name} has {array.size} numbers; give one, or one for each of {n_conditions} conditions")
    return np.broadcast_to(array.reshape(-1), (n_conditions,)).copy()
