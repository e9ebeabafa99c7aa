"""Independent draws of a generative model, as one long chain that the readers of samples know."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Draws:
    """Independent draws from a VAE: `observables` and `results.load_rows` take them like the states of a chain.

    Attributes
    ----------
    states : int8, or the model's dtype for continuous data, shape (1, n_draws, n_features)
    seed : int
    temperature : float or None
        Of the model, or the condition of a conditional one.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mcgen import results, vae
    >>> net = vae.VAE(n_features=6, hidden=(8,), n_latent=2, decoder="spin", seed=0)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "samples.h5"
    >>> _ = results.save(path, results.Draws(net.sample(10, seed=1)[None], seed=1))
    >>> results.load_rows(path)[0][1].shape
    (10, 6)
    """

    states: np.ndarray
    seed: int
    temperature: float | None = None
    method = "ancestral"  # z from the prior, then x from p(x | z)
    exchange = None  # they move along no ladder

    @property
    def magnetization(self) -> np.ndarray:
        """The sum of each state, float64 (1, n_draws)."""
        return self.states.sum(axis=2, dtype=np.float64)
