"""How the latent variables are distributed over data."""

import dataclasses
import math

import numpy as np
from scipy.special import logsumexp

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.vae import gaussian
from mcgen.vae.gaussian.shapes import LOG_ROOT_TWO_PI
from mcgen.vae.model import VAE, check_vae

# A latent is in use if the variance of its mean over the data is above this (Burda et al. 2016, section 5.2).
ACTIVE_VARIANCE = 0.01

# How many points and rows a block of log-densities has: 2 MiB.
POINTS_AT_ONCE, ROWS_AT_ONCE = 256, 1024


def active_units(means: np.ndarray) -> np.ndarray:
    """Which latents the encoder uses: those whose means vary by more than 0.01 over rows (Burda et al. 2016).

    Parameters
    ----------
    means : array, shape (n_rows, n_latent)
        Of q(z | x), in units of the standard deviation of the prior.

    Returns
    -------
    ndarray of bool, shape (n_latent,)

    Examples
    --------
    >>> from mcgen.vae import latent
    >>> latent.active_units([[0.0, 1.0], [0.1, -1.0]]).tolist()
    [False, True]
    """
    return np.var(means, axis=0) > ACTIVE_VARIANCE


@dataclasses.dataclass(frozen=True, eq=False)
class AggregatePosterior:
    """The distribution of the latents over data, q(z) = 1/n sum_r N(z; m_r, diag(w_r)^2) for n rows.

    A VAE's prior ought to be this: of all p(z) it is the one with the highest ELBO (Tomczak & Welling 2018).

    Parameters
    ----------
    means, log_stds : array, shape (n_rows, n_latent)
        m and log w of each row; kept as float64.

    Raises
    ------
    InputError
        If shapes do not fit, or a number is not finite.

    References
    ----------
    Tomczak & Welling, VAE with a VampPrior, AISTATS (2018), section 2. Burda, Grosse & Salakhutdinov, ICLR (2016),
    section 5.2: active units.

    Examples
    --------
    >>> from mcgen.vae import latent
    >>> q = latent.AggregatePosterior(means=[[-1.0], [1.0]], log_stds=[[0.0], [0.0]])
    >>> q.mean.tolist(), q.covariance.tolist(), q.active_units.tolist()
    ([0.0], [[2.0]], [True])
    >>> q.log_density([[0.0]]).round(4).tolist(), q.draw(3, seed=1).shape
    ([-1.4189], (3, 1))
    """

    means: np.ndarray
    log_stds: np.ndarray

    def __post_init__(self) -> None:
        means = checks.finite_array("means", self.means, (None, None)).astype(np.float64)
        if not means.size:
            raise InputError(f"means has shape {means.shape}; give at least one row and one latent")
        log_stds = checks.finite_array("log_stds", self.log_stds, means.shape).astype(np.float64)
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "log_stds", log_stds)

    @property
    def n_latent(self) -> int:
        """Latent variables."""
        return self.means.shape[1]

    @property
    def mean(self) -> np.ndarray:
        """<z>, shape (n_latent,): the mean of the means."""
        return self.means.mean(axis=0)

    @property
    def covariance(self) -> np.ndarray:
        """<z z^T> - <z> <z>^T, shape (n_latent, n_latent): the mean of w^2 plus the covariance of m over rows."""
        away = self.means - self.mean
        return away.T @ away / len(away) + np.diag(np.exp(2 * self.log_stds).mean(axis=0))

    @property
    def active_units(self) -> np.ndarray:
        """Which latents the encoder uses: see `active_units`; bool, (n_latent,)."""
        return active_units(self.means)

    @property
    def gaussian_kl(self) -> float:
        """KL(N(mean, covariance) || N(0, I)), in nats: how far mean and covariance are from those of the prior."""
        k = self.n_latent
        return float(gaussian.gaussian_kl(self.mean, self.covariance, np.zeros(k), np.eye(k)))

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """log q(z) at points.

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
        inverse = np.exp(-self.log_stds)
        peaks = -self.log_stds.sum(axis=1) - self.n_latent * LOG_ROOT_TWO_PI
        result = np.full(len(z), -np.inf)
        for start in range(0, len(z), POINTS_AT_ONCE):
            points = slice(start, start + POINTS_AT_ONCE)
            for first in range(0, len(peaks), ROWS_AT_ONCE):
                rows = slice(first, first + ROWS_AT_ONCE)
                log_p = np.repeat(peaks[None, rows], len(z[points]), axis=0)
                for i in range(self.n_latent):
                    # Not expanded into products: z^2 - 2 z m + m^2 loses its digits where w is small.
                    with np.errstate(over="ignore"):  # far away log q = -inf
                        log_p -= 0.5 * ((z[points, i, None] - self.means[rows, i]) * inverse[rows, i]) ** 2
                result[points] = np.logaddexp(result[points], logsumexp(log_p, axis=1))
        return result - math.log(len(peaks))

    def draw(self, n_draws: int, seed: int = 0) -> np.ndarray:
        """Independent draws: a row at random, then z from its Gaussian.

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
        rows = (u * len(self.means)).astype(np.int64)
        noise = rng.normals(seed, rng.purpose.VAE_DRAW, n_draws, self.n_latent, step=1)
        return gaussian.reparameterized(self.means[rows], self.log_stds[rows], noise)


def aggregate_posterior(net: VAE, x: np.ndarray, condition: np.ndarray | None = None) -> AggregatePosterior:
    """The mean of q(z | x) over rows of data: how the latents are distributed, to be compared with the prior.

    Parameters
    ----------
    net : VAE or ConditionalVAE
    x : array, shape (n_rows, n_features)
    condition : array, shape (n_rows, n_conditions), optional
        For a ConditionalVAE.

    Returns
    -------
    AggregatePosterior

    Raises
    ------
    InputError
        If data do not fit the model, or it is an Autoencoder.

    References
    ----------
    Tomczak & Welling, VAE with a VampPrior, AISTATS (2018), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> from mcgen.vae import latent
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, seed=0)
    >>> q = latent.aggregate_posterior(net, np.eye(6))
    >>> q.mean.shape, q.covariance.shape, q.log_density(np.zeros((3, 2))).shape
    ((2,), (2, 2), (3,))
    """
    check_vae(net)
    return AggregatePosterior(*net.encode(x, condition))
