"""How well rows are restored from their latent means."""

from typing import NamedTuple

import numpy as np

from mcgen.vae.autoencoding import Autoencoding
from mcgen.vae.latent.means import latent_means

# Rows whose log-densities are computed at once.
ROWS_AT_ONCE = 1024


class ReconstructionError(NamedTuple):
    """Squared error and cross-entropy of each row, means over its features; float64, shape (n_rows,)."""

    squared: np.ndarray
    cross_entropy: np.ndarray


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
    fields = net.fields(latent_means(net, x, condition), condition)
    squared, cross_entropy = np.empty(len(x)), np.empty(len(x))
    for start in range(0, len(x), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        difference = x[part].astype(np.float64) - net.decoder_kind.mean(fields[part])
        squared[part] = (difference**2).mean(axis=1)
        log_density = net.decoder_kind.log_density(x[part], fields[part], net.decoder_parameters)
        cross_entropy[part] = -log_density / net.n_features
    return ReconstructionError(squared, cross_entropy)
