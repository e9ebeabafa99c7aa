"""The likelihood of data under a VAE: the evidence lower bound, importance sampling, and divergences estimated with it.

Both bound log p(x) from below. `quadrature.py` has the exact answers for up to three latent variables.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mcgen import checks, enumeration, rng
from mcgen.errors import InputError
from mcgen.progress import progress as progress_bar
from mcgen.vae.bound import Passes
from mcgen.vae.decoders import Bernoulli, Spin
from mcgen.vae.model import VAE, check_vae

# Rows of a pass through the networks, each with a draw of its own: fewer rows of data have several draws at once. It is
# part of the address of the random numbers, so another number gives other draws.
ROWS_AT_ONCE = 1024
# Probability of the states that a divergence may leave out.
LEFT_OUT = 1e-6


class Bound(NamedTuple):
    """The evidence lower bound of each row and its two parts, in nats; float64 arrays of shape (n_rows,).

    `reconstruction` is E_q[log p(x | z)], `kl` is KL(q(z | x) || p(z)), and `total` is their difference.
    """

    reconstruction: np.ndarray
    kl: np.ndarray
    total: np.ndarray


class Importance(NamedTuple):
    """Estimates of log p(x) of each row, in nats; float64 arrays of shape (n_rows,).

    `value` is log 1/k sum_d w_d, `error` its standard error and `effective_sample_size` (sum w)^2 / sum w^2 of k draws.
    """

    value: np.ndarray
    error: np.ndarray
    effective_sample_size: np.ndarray


class DivergenceEstimate(NamedTuple):
    """An estimate of KL(truth || model), in nats.

    `value` minus `bias` is the estimate without its leading bias, which is upwards; `error` is the standard error and
    `n_states` says how many states were taken into account.
    """

    value: float
    error: float
    bias: float
    n_states: int


def elbo(net: VAE, x: np.ndarray, condition: np.ndarray | None = None, n_draws: int = 1, seed: int = 0) -> Bound:
    """The evidence lower bound E_q[log p(x | z)] - KL(q(z | x) || p(z)) <= log p(x) of each row.

    The expectation is an average over draws of z from q, the divergence is in closed form.

    Parameters
    ----------
    net : VAE or ConditionalVAE
    x : array, shape (n_rows, n_features)
    condition : array, shape (n_rows, n_conditions) or (n_conditions,), optional
        For a ConditionalVAE.
    n_draws : int
        Draws of z for each row. More of them take more time, but no more memory, and leave the first as they are.
    seed : int
        0 to 2**64 - 1.

    Returns
    -------
    Bound

    Raises
    ------
    InputError
        If the model is not a VAE, data do not fit it, or an argument is out of range.

    References
    ----------
    Kingma & Welling (2019), arXiv:1906.02691, section 2.2; Hjorth-Jensen (2025), "Central equation of VAEs".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.VAE(n_features=4, hidden=(8,), n_latent=2, seed=0)
    >>> bound = vae.elbo(net, np.eye(4), n_draws=10)
    >>> bound.total.shape, bool((bound.kl > 0).all())
    ((4,), True)
    """
    x, condition = _checked(net, x, condition)
    n_draws = checks.integer("n_draws", n_draws, 1)
    reconstruction, kl = np.zeros(len(x)), np.empty(len(x))
    for rows, n_taken, passes in _draws(net, x, condition, n_draws, seed):
        n = rows.stop - rows.start
        kl[rows] = passes.row_kl()[:n]
        reconstruction[rows] += passes.reconstruction()[: n_taken * n].reshape(n_taken, n).sum(axis=0)
    reconstruction /= n_draws
    return Bound(reconstruction, kl, reconstruction - kl)


def log_likelihood(
    net: VAE,
    x: np.ndarray,
    n_importance: int = 500,
    condition: np.ndarray | None = None,
    seed: int = 0,
    progress: bool = False,
) -> np.ndarray:
    """log p(x) of each row by importance sampling: the value of `importance_estimate`, arguments and errors as there.

    Returns
    -------
    float64, shape (n_rows,)

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.VAE(n_features=4, hidden=(8,), n_latent=2, seed=0)
    >>> bool((vae.log_likelihood(net, np.eye(4)) > vae.elbo(net, np.eye(4), n_draws=500).total).all())
    True
    """
    return importance_estimate(net, x, n_importance, condition, seed, progress).value


def importance_estimate(
    net: VAE,
    x: np.ndarray,
    n_importance: int = 500,
    condition: np.ndarray | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Importance:
    """log p(x) of each row by importance sampling with q(z | x), with its error.

    log p^(x) = log 1/k sum_d w_d with w_d = p(x | z_d) p(z_d) / q(z_d | x) and draws z_d of q(z | x). The mean of the
    weights is p(x), so the mean of their logarithm lies below log p(x), by about error^2 / 2; it rises with k. The
    standard error is that of the logarithm of a mean, sqrt((k <w^2> / <w>^2 - k) / (k (k - 1))) to leading order, and
    infinite for one draw. Neither can be trusted where the effective sample size is a few draws: q then misses parts of
    the posterior, and the value is too low. Nor does the error know of parts of the posterior that no draw has met, as
    when q is narrower: over test images of a VAE with two latents the mean of log p was too low by three of its errors
    (-19.773(4), exactly -19.759). Where there are three latents or fewer, `log_likelihood_exact` tells.

    Parameters
    ----------
    net : VAE or ConditionalVAE
    x : array, shape (n_rows, n_features)
    n_importance : int
        Draws k for each row. Memory does not grow with it, and the first draws stay as they are.
    condition : array, shape (n_rows, n_conditions) or (n_conditions,), optional
        For a ConditionalVAE.
    seed : int
        0 to 2**64 - 1.
    progress : bool
        Show progress on standard error.

    Returns
    -------
    Importance
        The networks work in the precision of the model, weights and their sums are float64.

    Raises
    ------
    InputError
        If the model is not a VAE, data do not fit it, or an argument is out of range.

    References
    ----------
    Burda, Grosse & Salakhutdinov, ICLR (2016), arXiv:1509.00519, eq. 8; Kingma & Welling (2019), arXiv:1906.02691,
    section 2.6.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.VAE(n_features=4, hidden=(8,), n_latent=2, seed=0)
    >>> estimate = vae.importance_estimate(net, np.eye(4), n_importance=1000)
    >>> bool((estimate.error < 0.2).all())
    True
    """
    x, condition = _checked(net, x, condition)
    k = checks.integer("n_importance", n_importance, 1)
    largest, first, second = np.full(len(x), -np.inf), np.zeros(len(x)), np.zeros(len(x))
    with progress_bar(len(x) * k, "importance sampling", progress) as bar:
        for rows, n_taken, passes in _draws(net, x, condition, k, seed):
            n = rows.stop - rows.start
            log_w = passes.log_importance()[0, : n_taken * n].reshape(n_taken, n)
            # Sums of w and w^2 are kept divided by the largest weight so far, and by its square.
            top = np.maximum(largest[rows], log_w.max(axis=0))
            keep, w = np.exp(largest[rows] - top), np.exp(log_w - top)
            largest[rows] = top
            first[rows] = first[rows] * keep + w.sum(axis=0)
            second[rows] = second[rows] * keep**2 + (w * w).sum(axis=0)
            bar.update(n_taken * n)
    size = first**2 / second
    error = np.sqrt(np.maximum(0.0, k / size - 1) / (k - 1)) if k > 1 else np.full(len(x), np.inf)
    return Importance(largest + np.log(first / k), error, size)


def kl_estimate(
    truth: np.ndarray,
    net: VAE,
    n_importance: int = 500,
    condition: np.ndarray | None = None,
    seed: int = 0,
    progress: bool = False,
) -> DivergenceEstimate:
    """KL(truth || model) = sum_x truth(x) [log truth(x) - log p(x)] with log p(x) from importance sampling.

    For any number of latent variables; with up to three, `kl_divergence` is exact. The least likely states are left out
    up to a probability of 1e-6 together. log p^ is biased downwards, so the divergence is biased upwards, to leading
    order by sum_x truth(x) error(x)^2 / 2.

    Parameters
    ----------
    truth : array, shape (2**n_features,)
        Probabilities of all states, by state index: bit i of it is feature i, lowest first, and 1 is "up".
    net : VAE or ConditionalVAE
        Its decoder is that of Bernoulli or spin data of at most 24 features.
    n_importance : int
        Draws for each state.
    condition : array, shape (n_conditions,), optional
        For a ConditionalVAE.
    seed : int
        0 to 2**64 - 1.
    progress : bool
        Show progress on standard error.

    Returns
    -------
    DivergenceEstimate

    Raises
    ------
    InputError
        If the model has no states to list, truth is not their distribution, or an argument is out of range.
    SizeError
        If there are more than 24 features.

    References
    ----------
    Burda, Grosse & Salakhutdinov, ICLR (2016), arXiv:1509.00519, eq. 8.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> net = vae.VAE(n_features=4, hidden=(8,), n_latent=5, seed=0)
    >>> estimate = vae.kl_estimate(np.full(16, 1 / 16), net)
    >>> estimate.n_states, 0 < estimate.bias < estimate.value
    (16, True)
    """
    check_listed(net)
    truth = checks.distribution("truth", truth, (1 << net.n_features,))
    order = np.argsort(-truth, kind="stable")
    n_states = int(np.searchsorted(np.cumsum(truth[order]), 1 - LEFT_OUT) + 1)
    kept = np.sort(order[:n_states])
    low = net.decoder_kind.low
    bits = kept[:, None] >> np.arange(net.n_features) & 1
    found = importance_estimate(net, (low + (1 - low) * bits).astype(np.int8), n_importance, condition, seed, progress)
    weights = truth[kept]
    value = enumeration.kl_divergence(weights, found.value)
    error = float(np.sqrt(np.sum((weights * found.error) ** 2)))
    return DivergenceEstimate(value, error, float(0.5 * np.sum(weights * found.error**2)), n_states)


def check_listed(net: VAE) -> None:
    """Raise an error for models whose states are not two-level, or too many to list."""
    check_vae(net)
    if not isinstance(net.decoder_kind, Bernoulli | Spin):
        raise InputError(
            f"{net.decoder_kind!r} describes continuous data, which have no list of states; take densities of rows "
            "(log_likelihood)"
        )
    enumeration.check_listable(net.n_features, "the model", "take log-likelihoods of rows (log_likelihood) instead")


def _checked(net: VAE, x: np.ndarray, condition: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    check_vae(net)
    x = net.check_rows(x)
    return x, net.check_condition(condition, len(x))


def _draws(
    net: VAE, x: np.ndarray, condition: np.ndarray | None, n_draws: int, seed: int
) -> Iterator[tuple[slice, int, Passes]]:
    """All rows with all their draws, decoded: which rows, how many draws of each to take, and the passes to ask.

    Place c * n + r of the passes is draw c of row r of n. Surplus draws are at the end. A batch of rows has a seed, a
    pass a step and a place a chain of its own: a row's draws depend neither on n_draws nor on batches of other rows.
    """
    n_rows = len(x)
    passes = Passes(net, net.vector(), min(ROWS_AT_ONCE, n_rows * n_draws))
    for batch, start in enumerate(range(0, n_rows, ROWS_AT_ONCE)):
        rows = slice(start, min(start + ROWS_AT_ONCE, n_rows))
        n = rows.stop - rows.start
        at_once = min(n_draws, ROWS_AT_ONCE // n)
        passes.load(x, condition, np.tile(np.arange(rows.start, rows.stop), at_once))
        passes.encode()
        stream = (rng.purpose.VAE_DRAW, *rng.split_seed(rng.derive(seed, batch)))
        for step in range(-(-n_draws // at_once)):
            passes.draw(stream, step)
            passes.decode(1.0)
            yield rows, min(at_once, n_draws - step * at_once), passes
