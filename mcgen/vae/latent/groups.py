"""Rows that belong together, such as those of one temperature or one Markov chain."""

from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import InputError


class GroupMeans(NamedTuple):
    """The groups in increasing order, the mean over the rows of each, and its standard error; shape (n_groups,)."""

    groups: np.ndarray
    mean: np.ndarray
    error: np.ndarray


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
    labels, members = members_of(groups, len(values))
    n = np.bincount(members)
    mean = np.bincount(members, values) / n
    squares = np.bincount(members, (values - mean[members]) ** 2)
    error = np.full(len(n), np.nan)
    np.sqrt(squares / (n * np.maximum(n - 1, 1)), out=error, where=n > 1)
    return GroupMeans(labels, mean, error)


def members_of(groups: np.ndarray, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The groups in increasing order, and the place of each row's group among them."""
    return np.unique(checks.finite_array("groups", groups, (n_rows,)), return_inverse=True)
