"""Gaussian mixtures fitted to points by expectation-maximisation."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.vae.mixture.density import Mixture, choose, is_covariance, log_joint

# The least variance of a component in any direction, in units of that of all points: without a limit a component on a
# single point has an infinite likelihood.
LEAST_VARIANCE = 1e-6

# A start may leave two clusters to one component: the best of several goes on after so many steps.
N_STARTS, FIRST_STEPS = 4, 20

# Responsibilities of a component that no point wants may all underflow; this keeps its weight above 0.
SMALLEST_COUNT = 1e-250

Parameters = tuple[np.ndarray, np.ndarray, np.ndarray]


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
    if not is_covariance(S):
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


def _maximized(
    z: np.ndarray, parameters: Parameters, n_iterations: int, tolerance: float
) -> tuple[Parameters, list[float]]:
    """Expectation and maximisation in turn until the likelihood stays; the last parameters and all likelihoods."""
    history = []
    for step in range(n_iterations + 1):
        joint = log_joint(z, *parameters)
        log_p = logsumexp(joint, axis=0)
        history.append(float(log_p.mean()))
        if step == n_iterations or (step and history[-1] - history[-2] < tolerance):
            break
        parameters = _maximum(z, np.exp(joint - log_p))
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
        mine = ((z - z[choose(distance, u[c])]) ** 2).sum(axis=1)
        closer = mine < distance if c else np.ones(len(z), bool)
        nearest[closer], distance[closer] = c, mine[closer]
    return _maximum(z, (nearest == np.arange(n_components)[:, None]).astype(np.float64))
