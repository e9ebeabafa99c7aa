"""What the latent variables of a trained autoencoder stand for: paths and planes through their space, what they are
correlated with, how they are distributed over data, and how well rows are restored.
"""

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtri

from mcgen import checks, rng
from mcgen.errors import InputError, StatisticsWarning
from mcgen.stats.correlation import SMALLEST_SAMPLE
from mcgen.vae import gaussian
from mcgen.vae.model import VAE, Autoencoding

# A latent is in use if the variance of its mean over the data is above this (Burda et al. 2016, section 5.2).
ACTIVE_VARIANCE = 0.01

# How many points and rows a block of log-densities has: 2 MiB.
POINTS_AT_ONCE, ROWS_AT_ONCE = 256, 1024

# Directions that are opposite up to the rounding of float32 have no shortest arc between them.
OPPOSITE = 1e-5


class Correlation(NamedTuple):
    """Pearson's correlation of each latent mean with a quantity, and its standard error; float64, shape (n_latent,)."""

    value: np.ndarray
    error: np.ndarray


class ReconstructionError(NamedTuple):
    """Squared error and cross-entropy of each row, means over its features; float64, shape (n_rows,)."""

    squared: np.ndarray
    cross_entropy: np.ndarray


class GroupMeans(NamedTuple):
    """The groups in increasing order, the mean over the rows of each, and its standard error; shape (n_groups,)."""

    groups: np.ndarray
    mean: np.ndarray
    error: np.ndarray


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
    m0, m1 = _means(net, rows, condition).astype(np.float64)
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
        z[:] = _means(net, _one_row(net, "x", x), condition)
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
    _check_variational(net)
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


def correlations(
    net: Autoencoding,
    x: np.ndarray,
    quantities: Mapping[str, np.ndarray],
    condition: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> dict[str, Correlation]:
    """How latent means go with quantities of the rows, such as magnetisation and energy per site of Ising states.

    With u and v the latent mean and the quantity, less their means over the rows and in units of their standard
    deviations, r = mean(u v). One row changes r by its influence I / n_rows, where I = u v - r (u^2 + v^2) / 2, and

        error^2 = G / (G - 1) sum_g ( sum_{rows of g} I )^2 / n_rows^2

    for G groups of rows that are independent of each other. It holds for any distribution, unlike Fisher's (1 - r^2) /
    sqrt(n), which is wrong for the two peaks of a magnetisation below the critical temperature. The sign of a latent
    means nothing: it is an accident of training, and is left as it is.

    Parameters
    ----------
    net : VAE, ConditionalVAE or Autoencoder
    x : array, shape (n_rows, n_features)
    quantities : dict of str to array, shape (n_rows,)
    condition : array, shape (n_rows, n_conditions), optional
        For a ConditionalVAE.
    groups : array, shape (n_rows,), optional
        Rows with the same number belong together, such as draws of one Markov chain, which remember each other. Without
        it all rows are independent.

    Returns
    -------
    dict of str to Correlation
        NaN for a latent that is the same for all rows. An error of 0 where a latent is a linear function of the
        quantity.

    Raises
    ------
    InputError
        If data or shapes do not fit, a quantity does not vary, or there are fewer than 3 rows or 2 groups.

    Warns
    -----
    StatisticsWarning
        If there are fewer than 20 groups (or rows without groups), so that the errors are uncertain.

    References
    ----------
    Wetzel, Phys. Rev. E 96, 022140 (2017): latents of Ising states are their magnetisation. Devlin, Gnanadesikan &
    Kettenring, Biometrika 62, 531 (1975): the influence of a row on a correlation.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> from mcgen.vae import latent
    >>> spins = np.random.default_rng(1).choice([-1, 1], size=(100, 6))
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, decoder="spin", seed=0)
    >>> result = latent.correlations(net, spins, {"magnetisation": spins.mean(axis=1)})
    >>> result["magnetisation"].value.shape, result["magnetisation"].error.shape
    ((2,), (2,))
    """
    return _correlate("x", _means(net, net.check_rows(x), condition), quantities, groups)


def correlate(
    latents: np.ndarray, quantities: Mapping[str, np.ndarray], groups: np.ndarray | None = None
) -> dict[str, Correlation]:
    """The same of any numbers of the rows in place of latent means, such as their principal components.

    Parameters
    ----------
    latents : array, shape (n_rows, n_latent)
    quantities, groups
        As for `correlations`, which says what is computed.

    Returns
    -------
    dict of str to Correlation

    Raises
    ------
    InputError
        As `correlations`.

    Warns
    -----
    StatisticsWarning
        As `correlations`.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.vae import latent
    >>> spins = np.random.default_rng(1).choice([-1, 1], size=(100, 6))
    >>> directions = np.linalg.svd(spins, full_matrices=False)[2][:2]
    >>> latent.correlate(spins @ directions.T, {"magnetisation": spins.mean(axis=1)})["magnetisation"].value.shape
    (2,)
    """
    return _correlate("latents", checks.finite_array("latents", latents, (None, None)), quantities, groups)


def _correlate(
    name_of_rows: str, latents: np.ndarray, quantities: Mapping[str, np.ndarray], groups: np.ndarray | None
) -> dict[str, Correlation]:
    means = latents.astype(np.float64)
    n_rows = len(means)
    if n_rows < 3:
        raise InputError(f"{name_of_rows} has {n_rows} rows, and any two lie on a line; give at least 3")
    if not isinstance(quantities, Mapping) or not quantities:
        raise InputError("quantities is not a dict of at least one name and array; give {name: values of the rows}")
    arrays = {name: checks.finite_array(name, values, (n_rows,)) for name, values in quantities.items()}
    for name, values in arrays.items():
        if values.min() == values.max():
            raise InputError(f"{name} is {values[0]} for all rows and correlated with nothing; leave it out")
    members = np.arange(n_rows) if groups is None else _members(groups, n_rows)[1]
    n_groups = int(members.max()) + 1
    if n_groups < 2:
        raise InputError("groups has one value for all rows, which leaves no error; give at least two groups")
    if n_groups < SMALLEST_SAMPLE:
        warnings.warn(
            f"{n_groups} independent groups of rows are fewer than {SMALLEST_SAMPLE:g}: the errors of correlations are "
            "uncertain; give more",
            StatisticsWarning,
            stacklevel=3,
        )
    varies = means.min(axis=0) != means.max(axis=0)
    u = _standardized(means[:, varies])
    return {
        name: Correlation(*(_filled(part, varies) for part in _correlation(u, values, members)))
        for name, values in arrays.items()
    }


def reconstruction_error(net: Autoencoding, x: np.ndarray, condition: np.ndarray | None = None) -> ReconstructionError:
    """How far each row is from its reconstruction, which is decoded from its latent mean.

    With y = <x | z = m(x)>, the squared error is mean_i (x_i - y_i)^2 and the cross-entropy -mean_i log p(x_i | z):
    of features 0 and 1, -mean_i (x_i log y_i + (1 - x_i) log(1 - y_i)). For a Gaussian decoder the latter is the mean
    of -log p, a density, and may be negative.

    Parameters
    ----------
    net : VAE, ConditionalVAE or Autoencoder
    x : array, shape (n_rows, n_features)
    condition : array, shape (n_rows, n_conditions), optional
        For a ConditionalVAE.

    Returns
    -------
    ReconstructionError
        In squared units of the features, and in nats.

    Raises
    ------
    InputError
        If data do not fit the model.

    References
    ----------
    Kingma & Welling, arXiv:1312.6114 (2014), appendix C: the decoders. Wetzel, Phys. Rev. E 96, 022140 (2017): the
    reconstruction loss as a function of temperature.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> from mcgen.vae import latent
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, seed=0)
    >>> net = net.replace(np.zeros(net.n_parameters))
    >>> error = latent.reconstruction_error(net, [[0, 0, 0, 1, 1, 1]])
    >>> error.squared.round(4).tolist(), error.cross_entropy.round(4).tolist()
    ([0.25], [0.6931])
    """
    x = net.check_rows(x)
    fields = net.fields(_means(net, x, condition), condition)
    squared, cross_entropy = np.empty(len(x)), np.empty(len(x))
    for start in range(0, len(x), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        difference = x[part].astype(np.float64) - net.decoder_kind.mean(fields[part])
        squared[part] = (difference**2).mean(axis=1)
        log_density = net.decoder_kind.log_density(x[part], fields[part], net.decoder_parameters)
        cross_entropy[part] = -log_density / net.n_features
    return ReconstructionError(squared, cross_entropy)


def by_group(values: np.ndarray, groups: np.ndarray) -> GroupMeans:
    """Means of a quantity over the rows of each group, such as those of one temperature.

    With n rows in a group, error^2 = sum (value - mean)^2 / (n (n - 1)): rows are taken as independent.

    Parameters
    ----------
    values : array, shape (n_rows,)
    groups : array, shape (n_rows,)
        Rows with the same number belong together.

    Returns
    -------
    GroupMeans
        The error of a group of one row is NaN.

    Raises
    ------
    InputError
        If shapes do not fit, a number is not finite, or there are no rows.

    References
    ----------
    Wetzel, Phys. Rev. E 96, 022140 (2017): latents and reconstruction loss as functions of temperature.

    Examples
    --------
    >>> from mcgen.vae import latent
    >>> latent.by_group([1.0, 5.0, 3.0, 7.0], [2.5, 2.0, 2.5, 2.0])
    GroupMeans(groups=array([2. , 2.5]), mean=array([6., 2.]), error=array([1., 1.]))
    """
    values = checks.finite_array("values", values, (None,)).astype(np.float64)
    if not len(values):
        raise InputError("values has no rows; give at least one")
    labels, members = _members(groups, len(values))
    n = np.bincount(members)
    mean = np.bincount(members, values) / n
    squares = np.bincount(members, (values - mean[members]) ** 2)
    error = np.full(len(n), np.nan)
    np.sqrt(squares / (n * np.maximum(n - 1, 1)), out=error, where=n > 1)
    return GroupMeans(labels, mean, error)


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
        """Which latents the encoder uses: those whose means vary by more than 0.01 over rows; bool, (n_latent,)."""
        return self.means.var(axis=0) > ACTIVE_VARIANCE

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
        peaks = -self.log_stds.sum(axis=1) - 0.5 * self.n_latent * math.log(2 * math.pi)
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
    _check_variational(net)
    return AggregatePosterior(*net.encode(x, condition))


def _check_variational(net: Autoencoding) -> None:
    if not isinstance(net, VAE):
        raise InputError(f"{net!r} has no distribution of latent variables; give a VAE or ConditionalVAE")


def _means(net: Autoencoding, x: np.ndarray, condition: np.ndarray | None) -> np.ndarray:
    """Latent means of rows, or the codes of an Autoencoder."""
    if isinstance(net, VAE):
        return net.encode(x, condition)[0]
    net.check_condition(condition, len(x))
    return net.encode(x)


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


def _members(groups: np.ndarray, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The groups in increasing order, and the place of each row's group among them."""
    return np.unique(checks.finite_array("groups", groups, (n_rows,)), return_inverse=True)


def _standardized(values: np.ndarray) -> np.ndarray:
    away = values - values.mean(axis=0)
    return away / np.sqrt((away**2).mean(axis=0))


def _correlation(u: np.ndarray, values: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """r and its error for each column of the standardized u."""
    v = _standardized(values.astype(np.float64))[:, None]
    r = (u * v).mean(axis=0)
    influence = u * v - 0.5 * r * (u**2 + v**2)
    sums = np.stack([np.bincount(members, column) for column in influence.T], axis=1) if u.size else influence
    n_groups = len(sums)
    return r, np.sqrt(n_groups / (n_groups - 1) * (sums**2).sum(axis=0)) / len(u)


def _filled(numbers: np.ndarray, varies: np.ndarray) -> np.ndarray:
    """The numbers of the latents that vary in their places, and NaN for the others."""
    result = np.full(len(varies), np.nan)
    result[varies] = numbers
    return result
