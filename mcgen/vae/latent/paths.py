"""Paths and planes through latent space, decoded."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from mcgen import checks
from mcgen.errors import InputError
from mcgen.vae.autoencoding import Autoencoding
from mcgen.vae.latent.means import latent_means
from mcgen.vae.model import VAE, check_vae

# Directions that are opposite up to the rounding of float32 have no shortest arc between them.
OPPOSITE = 1e-5


def interpolate(
    net: Autoencoding,
    x0: np.ndarray,
    x1: np.ndarray,
    n_steps: int = 10,
    kind: str = "linear",
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Decoded means along a path between the latent means of two rows.

    With t from 0 to 1 in equal steps, "linear" is the straight line z(t) = (1 - t) m(x0) + t m(x1). The mass of the
    prior N(0, I) lies near the shell |z| = sqrt(n_latent), and a straight line cuts through its inside; "spherical"
    turns the direction by equal angles along the great circle, while the length goes linearly from |m(x0)| to |m(x1)|:

        z(t) = |z(t)| ( sin((1 - t) a) u0 + sin(t a) u1 ) / sin a,  u = m / |m|,  cos a = u0 . u1.

    Parameters
    ----------
    net : VAE, ConditionalVAE or Autoencoder
    x0, x1 : array, shape (n_features,)
        Where the path begins and ends.
    n_steps : int
        Points of the path, both ends included, at least 2.
    kind : {"linear", "spherical"}
    condition : array, shape (n_conditions,), optional
        For a ConditionalVAE: the same on the whole path.

    Returns
    -------
    ndarray, shape (n_steps, n_features)
        In the model's precision.

    Raises
    ------
    InputError
        If data or an argument do not fit, or if a spherical path has an end at 0 or ends in opposite directions.

    References
    ----------
    Kingma & Welling, arXiv:1312.6114 (2014). Shoemake, SIGGRAPH Computer Graphics 19, 245 (1985): great circles.

    Examples
    --------
    >>> from mcgen import vae
    >>> from mcgen.vae import latent
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, seed=0)
    >>> latent.interpolate(net, [0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0], n_steps=5).shape
    (5, 6)
    """
    rows = np.concatenate([_one_row(net, "x0", x0), _one_row(net, "x1", x1)])
    n_steps = checks.integer("n_steps", n_steps, 2)
    checks.choice("kind", kind, ("linear", "spherical"))
    condition = _one_condition(net, condition)
    m0, m1 = latent_means(net, rows, condition).astype(np.float64)
    t = np.linspace(0.0, 1.0, n_steps)[:, None]
    z = (1.0 - t) * m0 + t * m1 if kind == "linear" else _great_circle(m0, m1, t)
    return net.decode(z, condition)


def traversal(
    net: Autoencoding,
    x: np.ndarray | None = None,
    latent: int = 0,
    values: Sequence[float] = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0),
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Decoded means while one latent variable takes given values and the others stay where they are.

    Parameters
    ----------
    net : VAE, ConditionalVAE or Autoencoder
    x : array, shape (n_features,), optional
        The other latents have the means of this row; without it they are 0, the mean of the prior.
    latent : int
        Which one is swept, 0 to n_latent - 1.
    values : sequence of float
        In standard deviations of the prior.
    condition : array, shape (n_conditions,), optional
        For a ConditionalVAE.

    Returns
    -------
    ndarray, shape (n_values, n_features)
        In the model's precision.

    Raises
    ------
    InputError
        If data or an argument do not fit.

    References
    ----------
    Wetzel, Phys. Rev. E 96, 022140 (2017): configurations decoded along one latent variable.

    Examples
    --------
    >>> from mcgen import vae
    >>> from mcgen.vae import latent
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, seed=0)
    >>> latent.traversal(net, latent=1, values=[-1.0, 0.0, 1.0]).shape
    (3, 6)
    """
    latent = checks.integer("latent", latent, 0, net.n_latent - 1)
    values = checks.finite_array("values", values, (None,))
    condition = _one_condition(net, condition)
    z = np.zeros((len(values), net.n_latent))
    if x is not None:
        z[:] = latent_means(net, _one_row(net, "x", x), condition)
    z[:, latent] = values
    return net.decode(z, condition)


def manifold(
    net: VAE, n_points: int = 20, dimensions: tuple[int, int] = (0, 1), condition: np.ndarray | None = None
) -> np.ndarray:
    """Decoded means on a square grid in a plane of latent space, dense where the prior is.

    Both coordinates are the quantiles of the standard Gaussian at the probabilities (i + 1/2) / n_points, so that every
    point stands for the same share of the prior; the other latents are 0.

    Parameters
    ----------
    net : VAE or ConditionalVAE
        With at least two latents.
    n_points : int
        Along each side.
    dimensions : (int, int)
        The latents along the first and second axis of the grid, 0 to n_latent - 1.
    condition : array, shape (n_conditions,), optional
        For a ConditionalVAE.

    Returns
    -------
    ndarray, shape (n_points, n_points, n_features)
        In the model's precision.

    Raises
    ------
    InputError
        If there is only one latent, or an argument does not fit.

    References
    ----------
    Kingma & Welling, arXiv:1312.6114 (2014), figure 4.

    Examples
    --------
    >>> from mcgen import vae
    >>> from mcgen.vae import latent
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, seed=0)
    >>> latent.manifold(net, n_points=4).shape
    (4, 4, 6)
    """
    check_vae(net)
    if net.n_latent == 1:
        raise InputError("n_latent=1 leaves no plane to lay a grid in; use latent.traversal along the one latent")
    n_points = checks.integer("n_points", n_points, 1)
    if not isinstance(dimensions, Sequence) or len(dimensions) != 2:
        raise InputError(f"dimensions={dimensions!r} is not a pair; give the numbers of two latents")
    first, second = (checks.integer("dimensions", number, 0, net.n_latent - 1) for number in dimensions)
    if first == second:
        raise InputError(f"dimensions={dimensions!r} names one latent twice; give the numbers of two latents")
    condition = _one_condition(net, condition)
    quantiles = ndtri((np.arange(n_points) + 0.5) / n_points)
    z = np.zeros((n_points, n_points, net.n_latent))
    z[:, :, first] = quantiles[:, None]
    z[:, :, second] = quantiles
    return net.decode(z.reshape(-1, net.n_latent), condition).reshape(n_points, n_points, net.n_features)


def _one_row(net: Autoencoding, name: str, x: np.ndarray) -> np.ndarray:
    """One row as an array (1, n_features)."""
    return net.check_rows(checks.finite_array(name, x, (net.n_features,))[None], name)


def _one_condition(net: Autoencoding, condition: np.ndarray | None) -> np.ndarray | None:
    """One condition that all points share, in the shape (n_conditions,) that models repeat."""
    net.check_condition(condition, 1)
    return None if condition is None else np.reshape(condition, -1)


def _great_circle(m0: np.ndarray, m1: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The points of the spherical path at the fractions t, shape (n_steps, 1)."""
    length0, length1 = np.linalg.norm(m0), np.linalg.norm(m1)
    if min(length0, length1) == 0:
        raise InputError("a latent mean is 0 and has no direction to turn; use kind='linear'")
    u0, u1 = m0 / length0, m1 / length1
    angle = 2 * math.atan2(np.linalg.norm(u1 - u0), np.linalg.norm(u1 + u0))
    if math.pi - angle < OPPOSITE:
        raise InputError("the latent means lie in opposite directions, with no shortest arc between; use kind='linear'")

    def weight(share: np.ndarray) -> np.ndarray:
        """sin(share * angle) / sin(angle), also where the angle is 0."""
        return share * np.sinc(share * angle / math.pi) / np.sinc(angle / math.pi)

    return ((1 - t) * length0 + t * length1) * (weight(1 - t) * u0 + weight(t) * u1)
