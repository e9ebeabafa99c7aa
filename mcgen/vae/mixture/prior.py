"""A Gaussian mixture in place of the prior of a VAE."""

import numpy as np

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.vae.latent.posterior import aggregate_posterior
from mcgen.vae.mixture.density import Mixture
from mcgen.vae.mixture.fit import fit_mixture
from mcgen.vae.model import VAE, check_vae


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
