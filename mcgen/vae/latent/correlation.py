"""What latent variables are correlated with."""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import InputError, StatisticsWarning
from mcgen.stats.correlation import SMALLEST_SAMPLE
from mcgen.vae.autoencoding import Autoencoding
from mcgen.vae.latent.groups import members_of
from mcgen.vae.latent.means import latent_means


class Correlation(NamedTuple):
    """Pearson's correlation of each latent mean with a quantity, and its standard error; float64, shape (n_latent,)."""

    value: np.ndarray
    error: np.ndarray


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
    return _correlate("x", latent_means(net, net.check_rows(x), condition), quantities, groups)


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
    members = np.arange(n_rows) if groups is None else members_of(groups, n_rows)[1]
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
