"""Gaussian mixtures: their density and their draws."""

import dataclasses

import numpy as np
from scipy.special import logsumexp

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.vae.gaussian.shapes import LOG_ROOT_TWO_PI


@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
    """A Gaussian mixture p(z) = sum_c weight_c N(z; mean_c, covariance_c).

    Parameters
    ----------
    weights : array, shape (n_components,)
        Probabilities of the components.
    means : array, shape (n_components, n_latent)
    covariances : array, shape (n_components, n_latent, n_latent)
        Symmetric and positive definite.

    Raises
    ------
    InputError
        If shapes do not fit, a number is not finite, weights are no probabilities, or a covariance is not symmetric or
        not positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.vae import mixture
    >>> p = mixture.Mixture(weights=[0.5, 0.5], means=[[-1.0], [1.0]], covariances=[[[1.0]], [[1.0]]])
    >>> p.log_density([[0.0]]).round(4).tolist(), p.draw(3, seed=1).shape
    ([-1.4189], (3, 1))
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def __post_init__(self) -> None:
        means = checks.finite_array("means", self.means, (None, None)).astype(np.float64)
        if not means.size:
            raise InputError(f"means has shape {means.shape}; give at least one component and one latent")
        n, k = means.shape
        weights = checks.distribution("weights", self.weights, (n,))
        covariances = checks.finite_array("covariances", self.covariances, (n, k, k)).astype(np.float64)
        for number, S in enumerate(covariances):
            if not is_covariance(S):
                raise InputError(
                    f"covariances at index {number} is not symmetric and positive definite; give (S + S.T) / 2 of a "
                    "matrix with eigenvalues above 0"
                )
        for name, array in (("weights", weights), ("means", means), ("covariances", covariances)):
            object.__setattr__(self, name, array)

    @property
    def n_components(self) -> int:
        """Gaussians."""
        return len(self.weights)

    @property
    def n_latent(self) -> int:
        """Latent variables."""
        return self.means.shape[1]

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """log p(z) at points.

        Parameters
        ----------
        z : array, shape (n_points, n_latent)

        Returns
        -------
        ndarray of float64, shape (n_points,)

        Raises
        ------
        InputError
            If the shape does not fit, or a number is not finite.
        """
        z = checks.finite_array("z", z, (None, self.n_latent)).astype(np.float64)
        return logsumexp(log_joint(z, self.weights, self.means, self.covariances), axis=0)

    def draw(self, n_draws: int, seed: int = 0) -> np.ndarray:
        """Independent draws: a component by its weight, then z from its Gaussian.

        Parameters
        ----------
        n_draws : int
        seed : int
            0 to 2**64 - 1. Asking for more draws leaves the first ones as they are.

        Returns
        -------
        ndarray of float64, shape (n_draws, n_latent)

        Raises
        ------
        InputError
            If an argument is out of range.
        """
        n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
        u = rng.fine_uniforms(seed, rng.purpose.VAE_DRAW, n_draws, 1, step=2)[:, 0]
        # The noise of `VAE.sample` with the same seed: a mixture that is the prior gives the same draws.
        noise = rng.normals(seed, rng.purpose.VAE_DRAW, n_draws, self.n_latent, step=1)
        chosen = choose(self.weights, u)
        z = self.means[chosen]
        for number, L in enumerate(np.linalg.cholesky(self.covariances)):
            mine = chosen == number
            z[mine] += np.einsum("nj,ij->ni", noise[mine], L)  # not by BLAS, whose rounding depends on n_draws
        return z


def log_joint(z: np.ndarray, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """log(weight_c N(z_n; mean_c, covariance_c)), shape (n_components, n_points)."""
    result = np.empty((len(weights), len(z)))
    with np.errstate(divide="ignore", over="ignore"):  # of weights that are 0, and points far away: log p = -inf
        factors = np.linalg.cholesky(covariances)
        scales = np.linalg.inv(factors)
        peaks = np.log(weights) - np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        for c in range(len(weights)):
            s = scales[c] @ (z - means[c]).T
            result[c] = peaks[c] - 0.5 * (s**2).sum(axis=0)
        result -= z.shape[1] * LOG_ROOT_TWO_PI
    return result


def choose(weights: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Indices with the probabilities weights / sum(weights), from numbers 0 <= u < 1."""
    edges = np.cumsum(weights)
    return np.searchsorted(edges / edges[-1], u, side="right")


def is_covariance(S: np.ndarray) -> bool:
    """Whether a matrix is symmetric up to rounding, and positive definite by more than rounding."""
    std = np.sqrt(np.abs(np.diagonal(S)))
    if (std == 0).any():
        return False
    scaled = S / std[:, None] / std
    smallest = np.linalg.eigvalsh(scaled)[0]
    return bool(np.abs(scaled - scaled.T).max() < 1e-8 and smallest > 4 * len(S) * np.finfo(np.float64).eps)
