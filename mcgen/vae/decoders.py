"""What a decoder says about data: the distribution p(x | z) whose parameters it gives, with log-likelihood and force.

A kind of decoder turns the outputs y of the decoder's network into p(x | z): independent features, each with its own y.
"""

import dataclasses

import numpy as np
from scipy.special import expit

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.vae import objective
from mcgen.vae.gaussian.shapes import LOG_ROOT_TWO_PI
from mcgen.vae.layers.base import Shape, Views


class _TwoLevel:
    """Features with the states `low` and 1, and fields y."""

    low = 0

    def parameter_shapes(self, n_features: int) -> dict[str, Shape]:
        """It has no parameters of its own."""
        return {}

    def initialize(self, parameters: Views) -> None:
        """It has no parameters."""

    def likelihood(
        self, parts: np.ndarray, y: np.ndarray, data: np.ndarray, n_features: int, parameters: Views, scale: float
    ) -> None:
        """Sums of log p(x | z) into parts, and scale * d log p / dy into y."""
        real = y.dtype.type
        objective.two_level_likelihood(parts, y, data, n_features, real(self.low), real(1 - self.low), real(scale))

    def gradient(self, gradients: Views, *arguments: object) -> None:
        """It has no parameters."""

    def mean(self, y: np.ndarray) -> np.ndarray:
        """<x> given the fields."""
        return (self.low + (1 - self.low) * expit((1 - self.low) * y)).astype(y.dtype)

    def draw(self, y: np.ndarray, parameters: Views, seed: int) -> np.ndarray:
        """States, int8, given the fields of each row."""
        up = rng.uniforms(seed, rng.purpose.VAE_DRAW, *y.shape) < expit((1 - self.low) * y.astype(np.float64))
        return np.where(up, 1, self.low).astype(np.int8)

    def log_density(self, x: np.ndarray, y: np.ndarray, parameters: Views) -> np.ndarray:
        """log p(x | y) of each row, float64; leading axes broadcast."""
        logits = (1 - self.low) * np.asarray(y, np.float64)
        linear = (x - self.low) / (1 - self.low) * logits
        return (linear - np.logaddexp(0.0, logits)).sum(axis=-1)


@dataclasses.dataclass(frozen=True)
class Bernoulli(_TwoLevel):
    """Features 0 or 1, or shades of grey between: p(x = 1 | z) = sigmoid(y), so that log p is minus the cross-entropy.

    Shades of grey are taken as probabilities; the log-likelihood is then that of drawing them anew, on average.

    Examples
    --------
    >>> from mcgen import vae
    >>> vae.VAE(n_features=4, hidden=(3,), n_latent=1, decoder="bernoulli").decoder_kind
    Bernoulli()
    """

    name = "bernoulli"

    def check(self, name: str, x: np.ndarray) -> np.ndarray:
        """Data of this kind."""
        wrong = (x < 0) | (x > 1)
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise InputError(
                f"{name} has the value {x[place]} at index {place}, but data of a Bernoulli decoder lie from 0 to 1; "
                "scale them, or use decoder='spin' for -1 and 1, decoder='gaussian' for any numbers"
            )
        return x


@dataclasses.dataclass(frozen=True)
class Spin(_TwoLevel):
    """Spins -1 or +1 in a field y: p(s | z) = e^{s y} / (2 cosh y), with the mean tanh y, as a spin unit of an RBM.

    Examples
    --------
    >>> from mcgen import vae
    >>> vae.VAE(n_features=4, hidden=(3,), n_latent=1, decoder="spin").decoder_kind
    Spin()
    """

    name = "spin"
    low = -1

    def check(self, name: str, x: np.ndarray) -> np.ndarray:
        """Data of this kind."""
        return checks.alphabet(name, x, (-1, 1), "spin")


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Continuous features with the mean y and a standard deviation w: log p = -sum ((x - y)^2 / (2 w^2) + log w + ...).

    Parameters
    ----------
    variance : {"fixed", "scalar", "feature"}
        w as given, one learned w, or a learned one for each feature. Its parameter is `log_std`.
    std : float
        w, or where it starts.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> from mcgen import vae
    >>> vae.VAE(n_features=4, hidden=(3,), n_latent=1, decoder=vae.Gaussian("feature")).decoder_kind
    Gaussian(variance='feature', std=1.0)
    """

    variance: str = "fixed"
    std: float = 1.0
    name = "gaussian"

    def __post_init__(self) -> None:
        checks.choice("variance", self.variance, ("fixed", "scalar", "feature"))
        checks.positive("std", self.std)

    def check(self, name: str, x: np.ndarray) -> np.ndarray:
        """Any finite numbers."""
        return x

    def parameter_shapes(self, n_features: int) -> dict[str, Shape]:
        """log_std, where it is learned."""
        return {"fixed": {}, "scalar": {"log_std": (1,)}, "feature": {"log_std": (n_features,)}}[self.variance]

    def initialize(self, parameters: Views) -> None:
        """Start from std."""
        for array in parameters.values():
            array[:] = np.log(self.std)

    def _log_std(self, parameters: Views) -> np.ndarray:
        return parameters["log_std"].astype(np.float64) if parameters else np.array([np.log(self.std)])

    def likelihood(
        self, parts: np.ndarray, y: np.ndarray, data: np.ndarray, n_features: int, parameters: Views, scale: float
    ) -> None:
        """Sums of log p(x | z) into parts, and scale * d log p / dy into y."""
        objective.gaussian_likelihood(parts, y, data, self._log_std(parameters), n_features, scale)

    def gradient(
        self, gradients: Views, parameters: Views, forces: np.ndarray, weights: np.ndarray, n_features: int,
        n_rows: int, copies: int,
    ) -> None:  # fmt: skip
        """The gradient by log_std, from the weighted forces."""
        if not gradients:
            return
        result = np.empty(n_features)
        log_std = self._log_std(parameters)
        objective.gaussian_scale_gradient(result, forces, weights, log_std, n_features, n_rows, copies)
        gradients["log_std"][:] = result if self.variance == "feature" else result.sum()

    def mean(self, y: np.ndarray) -> np.ndarray:
        """<x> given y."""
        return y

    def draw(self, y: np.ndarray, parameters: Views, seed: int) -> np.ndarray:
        """Draws of each row."""
        noise = rng.normals(seed, rng.purpose.VAE_DRAW, *y.shape)
        return (y + np.exp(self._log_std(parameters)) * noise).astype(y.dtype)

    def log_density(self, x: np.ndarray, y: np.ndarray, parameters: Views) -> np.ndarray:
        """log p(x | y) of each row, float64; leading axes broadcast."""
        log_std = self._log_std(parameters)
        u = (x - np.asarray(y, np.float64)) * np.exp(-log_std)
        return (-0.5 * u * u - log_std - LOG_ROOT_TWO_PI).sum(axis=-1)


KINDS = {"bernoulli": Bernoulli, "spin": Spin, "gaussian": Gaussian}


def make(decoder: object) -> Bernoulli | Spin | Gaussian:
    """A kind of decoder from its name, or itself."""
    if isinstance(decoder, tuple(KINDS.values())):
        return decoder
    return KINDS[checks.choice("decoder", decoder, tuple(KINDS))]()
