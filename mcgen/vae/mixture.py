"""Gaussian mixtures in latent space: a prior that follows the data, fitted after training.

A VAE draws z from N(0, I), while its encoder may leave holes there: rows are decoded from the aggregate posterior q(z).
A mixture fitted to q(z) takes its place (Tomczak & Welling 2018), and p(x | z) stays as it is.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.vae.gaussian.shapes import LOG_ROOT_TWO_PI
from mcgen.vae.latent.posterior import aggregate_posterior
from mcgen.vae.model import VAE, check_vae

# The least variance of a component in any direction, in units of that of all points: without a limit a component on a
# single point has an infinite likelihood.
LEAST_VARIANCE = 1e-6

# A start may leave two clusters to one component: the best of several goes on after so many steps.
N_STARTS, FIRST_STEPS = 4, 20

# Responsibilities of a component that no point wants may all underflow; this keeps its weight above 0.
SMALLEST_COUNT = 1e-250


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
            if not _is_covariance(S):
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
        return logsumexp(_log_joint(z, self.weights, self.means, self.covariances), axis=0)

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
        chosen = _choose(self.weights, u)
        z = self.means[chosen]
        for number, L in enumerate(np.linalg.cholesky(self.covariances)):
            mine = chosen == number
            z[mine] += np.einsum("nj,ij->ni", noise[mine], L)  # not by BLAS, whose rounding depends on n_draws
        return z


class MixtureFit(NamedTuple):
    """A fitted mixture, and the mean log-likelihood of the points before each step and after the last, in nats."""

    mixture: Mixture
    history: np.ndarray


def fit_mixture(
    z: np.ndarray, n_components: int, seed: int = 0, n_iterations: int = 1000, tolerance: float = 1e-6
) -> MixtureFit:
    """Fit a Gaussian mixture to points by expectation-maximisation.

    Points are shifted and scaled to the mean 0 and covariance I, and clustered by k-means++ once. Then, in turn,

        r_cn = weight_c N(z_n; mean_c, S_c) / sum_c' weight_c' N(z_n; mean_c', S_c'),  N_c = sum_n r_cn,
        weight_c = N_c / n,  mean_c = sum_n r_cn z_n / N_c,  S_c = sum_n r_cn (z_n - mean_c) (z_n - mean_c)^T / N_c,

    with eigenvalues of S_c not below 1e-6, which is the best S_c under that limit: the likelihood never decreases. The
    likeliest of four starts after 20 steps goes on. Results for A z + b are those for z, transformed.

    Parameters
    ----------
    z : array, shape (n_points, n_latent)
        More points than latents.
    n_components : int
        Not above the number of different points.
    seed : int
        Of the starts, 0 to 2**64 - 1.
    n_iterations : int
        At most so many steps.
    tolerance : float
        The fit ends when a step raises the mean log-likelihood of a point by less, in nats. Where the history has
        n_iterations + 1 entries, it was cut off before.

    Returns
    -------
    MixtureFit

    Raises
    ------
    InputError
        If an argument is out of range, points lie in a plane of lower dimension, or are fewer than the components.

    References
    ----------
    Dempster, Laird & Rubin, J. R. Stat. Soc. B 39, 1 (1977). Arthur & Vassilvitskii, k-means++, SODA (2007). Biernacki,
    Celeux & Govaert, Comput. Stat. Data Anal. 41, 561 (2003): short runs from several starts.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.vae import mixture
    >>> random = np.random.default_rng(1)
    >>> z = np.concatenate([random.normal(-3.0, 1.0, size=(500, 1)), random.normal(3.0, 1.0, size=(500, 1))])
    >>> fit = mixture.fit_mixture(z, n_components=2, seed=1)
    >>> np.sort(fit.mixture.means[:, 0]).round(), bool(np.all(np.diff(fit.history) > -1e-12))
    (array([-3.,  3.]), True)
    """
    z = checks.finite_array("z", z, (None, None)).astype(np.float64)
    n_components = checks.integer("n_components", n_components, 1)
    rng.split_seed(seed)
    n_iterations = checks.integer("n_iterations", n_iterations, 1)
    tolerance = checks.positive("tolerance", tolerance)
    if z.shape[1] < 1 or len(z) <= z.shape[1]:
        raise InputError(f"z has shape {z.shape}; give more points than latents, and at least one latent")
    shift = z.mean(axis=0)
    S = np.cov(z.T, ddof=0).reshape(z.shape[1], -1)
    if not _is_covariance(S):
        raise InputError(
            f"the points have no spread in some direction of their {z.shape[1]} dimensions; leave out latents that do "
            "not vary or repeat others"
        )
    L = np.linalg.cholesky(S)
    points = solve_triangular(L, (z - shift).T, lower=True).T
    n_different = len(np.unique(points, axis=0))
    if n_components > n_different:
        raise InputError(f"n_components={n_components} is above the {n_different} different points; give at most that")
    starts = [
        _maximized(
            points, _start(points, n_components, rng.derive(seed, start)), min(FIRST_STEPS, n_iterations), tolerance
        )
        for start in range(N_STARTS if n_components > 1 else 1)
    ]
    parameters, first = max(starts, key=lambda fit: fit[1][-1])
    (weights, means, covariances), rest = _maximized(points, parameters, n_iterations - len(first) + 1, tolerance)
    history = first + rest[1:]
    covariances = L @ covariances @ L.T
    mixture = Mixture(weights, shift + means @ L.T, 0.5 * (covariances + np.swapaxes(covariances, 1, 2)))
    return MixtureFit(mixture, np.array(history) - np.log(np.diagonal(L)).sum())


def mixture_prior(
    net: VAE,
    x: np.ndarray,
    n_components: int,
    seed: int = 0,
    condition: np.ndarray | None = None,
    n_draws: int = 20_000,
) -> Mixture:
    """A Gaussian mixture in place of the prior: fitted to draws from the aggregate posterior of rows of data.

    Parameters
    ----------
    net : VAE or ConditionalVAE
    x : array, shape (n_rows, n_features)
    n_components : int
    seed : int
        Of the draws and of the fit, 0 to 2**64 - 1.
    condition : array, shape (n_rows, n_conditions), optional
        For a ConditionalVAE. The mixture is that of z whatever the condition.
    n_draws : int
        From the aggregate posterior, more than latents.

    Returns
    -------
    Mixture

    Raises
    ------
    InputError
        If data or an argument do not fit, or for one of the reasons of `fit_mixture`.

    References
    ----------
    Tomczak & Welling, VAE with a VampPrior, AISTATS (2018), sections 2 and 3.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> from mcgen.vae import mixture
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, seed=0)
    >>> prior = mixture.mixture_prior(net, np.eye(6), n_components=2, seed=1, n_draws=1000)
    >>> prior.means.shape, mixture.sample_from(net, prior, n_draws=4, seed=1).shape
    ((2, 2), (4, 6))
    """
    n_components = checks.integer("n_components", n_components, 1)
    n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
    rng.split_seed(seed)
    z = aggregate_posterior(net, x, condition).draw(n_draws, rng.derive(seed, 0))
    return fit_mixture(z, n_components, rng.derive(seed, 1)).mixture


def sample_from(
    net: VAE, mixture: Mixture, n_draws: int, seed: int = 0, condition: np.ndarray | None = None
) -> np.ndarray:
    """Independent draws of data: z from a mixture instead of the prior, then x from p(x | z).

    Parameters
    ----------
    net : VAE or ConditionalVAE
    mixture : Mixture
        Of as many latents as the model has.
    n_draws : int
    seed : int
        0 to 2**64 - 1. With a mixture that is the prior, the draws are those of `VAE.sample`.
    condition : array, shape (n_draws, n_conditions) or (n_conditions,), optional
        For a ConditionalVAE.

    Returns
    -------
    ndarray, shape (n_draws, n_features)
        int8 for Bernoulli and spin data, otherwise in the model's precision.

    Raises
    ------
    InputError
        If an argument is out of range, or the mixture has another number of latents.

    References
    ----------
    Tomczak & Welling, VAE with a VampPrior, AISTATS (2018), section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> from mcgen.vae import mixture
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=1, seed=0)
    >>> prior = mixture.Mixture(weights=[1.0], means=[[0.0]], covariances=[[[1.0]]])
    >>> bool(np.all(mixture.sample_from(net, prior, n_draws=4, seed=1) == net.sample(4, seed=1)))
    True
    """
    check_vae(net)
    if mixture.n_latent != net.n_latent:
        raise InputError(f"the mixture has {mixture.n_latent} latents and the model {net.n_latent}; fit one to it")
    n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
    net.check_condition(condition, n_draws)
    return net.draw(mixture.draw(n_draws, seed), seed, condition)


Parameters = tuple[np.ndarray, np.ndarray, np.ndarray]


def _maximized(
    z: np.ndarray, parameters: Parameters, n_iterations: int, tolerance: float
) -> tuple[Parameters, list[float]]:
    """Expectation and maximisation in turn until the likelihood stays; the last parameters and all likelihoods."""
    history = []
    for step in range(n_iterations + 1):
        log_joint = _log_joint(z, *parameters)
        log_p = logsumexp(log_joint, axis=0)
        history.append(float(log_p.mean()))
        if step == n_iterations or (step and history[-1] - history[-2] < tolerance):
            break
        parameters = _maximum(z, np.exp(log_joint - log_p))
    return parameters, history


def _maximum(z: np.ndarray, r: np.ndarray) -> Parameters:
    """The parameters that are likeliest when component c has the share r[c, n] of point n."""
    counts = r.sum(axis=1) + SMALLEST_COUNT
    means = r @ z / counts[:, None]
    covariances = np.empty((len(r), z.shape[1], z.shape[1]))
    for c, share in enumerate(r):
        away = z - means[c]
        covariances[c] = (share[:, None] * away).T @ away / counts[c]
    values, vectors = np.linalg.eigh(covariances)
    covariances = (vectors * np.maximum(values, LEAST_VARIANCE)[:, None]) @ np.swapaxes(vectors, 1, 2)
    return counts / counts.sum(), means, covariances


def _start(z: np.ndarray, n_components: int, seed: int) -> Parameters:
    """Parameters of clusters around points drawn by k-means++: with the squared distance to the nearest one so far."""
    u = rng.fine_uniforms(seed, rng.purpose.VAE_DRAW, 1, n_components)[0]
    nearest = np.zeros(len(z), np.int64)
    distance = np.ones(len(z))
    for c in range(n_components):
        mine = ((z - z[_choose(distance, u[c])]) ** 2).sum(axis=1)
        closer = mine < distance if c else np.ones(len(z), bool)
        nearest[closer], distance[closer] = c, mine[closer]
    return _maximum(z, (nearest == np.arange(n_components)[:, None]).astype(np.float64))


def _log_joint(z: np.ndarray, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
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


def _choose(weights: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Indices with the probabilities weights / sum(weights), from numbers 0 <= u < 1."""
    edges = np.cumsum(weights)
    return np.searchsorted(edges / edges[-1], u, side="right")


def _is_covariance(S: np.ndarray) -> bool:
    """Whether a matrix is symmetric up to rounding, and positive definite by more than rounding."""
    std = np.sqrt(np.abs(np.diagonal(S)))
    if (std == 0).any():
        return False
    scaled = S / std[:, None] / std
    smallest = np.linalg.eigvalsh(scaled)[0]
    return bool(np.abs(scaled - scaled.T).max() < 1e-8 and smallest > 4 * len(S) * np.finfo(np.float64).eps)
