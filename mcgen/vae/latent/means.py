"""The place of rows in latent space."""

import numpy as np

from mcgen.vae.autoencoding import Autoencoding
from mcgen.vae.model import VAE


def latent_means(net: Autoencoding, x: np.ndarray, condition: np.ndarray | None) -> np.ndarray:
    """Latent means of rows, or the codes of an Autoencoder."""
    if isinstance(net, VAE):
        return net.encode(x, condition)[0]
    net.check_condition(condition, len(x))
    return net.encode(x)
