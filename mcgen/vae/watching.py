"""What a training of an autoencoder finds after every epoch."""

import math

import numpy as np

from mcgen import rng
from mcgen.vae.autoencoding import Autoencoding
from mcgen.vae.bound import Passes
from mcgen.vae.latent.posterior import active_units
from mcgen.vae.network import Vector

# Rows that active units are counted with, where there are no validation rows.
ACTIVE_ROWS = 2000


class Watch:
    """The columns of the history that are found after an epoch."""

    def __init__(
        self, net: Autoencoding, vector: Vector, x: np.ndarray, condition: np.ndarray | None,
        validation: np.ndarray | None, validation_condition: np.ndarray | None, seed: int,
    ):  # fmt: skip
        self.net, self.has_validation = net, validation is not None
        if self.has_validation:
            self.x, self.condition = validation, validation_condition
        else:
            self.x, self.condition = x[:ACTIVE_ROWS], None if condition is None else condition[:ACTIVE_ROWS]
        self.passes = Passes(net, vector, min(1024, len(self.x)))
        self.stream = (rng.purpose.VAE_NOISE, *rng.split_seed(rng.derive(seed, 0)))

    def columns(self) -> dict[str, float]:
        """Validation bound (of the ELBO, one draw, always the same noise), and latents in use."""
        sums = np.zeros(2)
        means = np.empty((len(self.x), self.net.n_latent))
        for batch, start in enumerate(range(0, len(self.x), self.passes.most_rows)):
            rows = np.arange(start, min(start + self.passes.most_rows, len(self.x)))
            self.passes.load(self.x, self.condition, rows)
            self.passes.encode()
            means[rows] = self.passes.latent_means()
            if self.has_validation:
                if self.net.is_variational:
                    self.passes.draw(self.stream, batch)
                    sums[1] += self.passes.row_kl().sum()
                else:
                    self.passes.use_code()
                self.passes.decode(1.0)
                sums[0] += self.passes.reconstruction().sum()
        with np.errstate(all="ignore"):
            active = float(active_units(means).sum())
        reconstruction, kl = sums / len(self.x) if self.has_validation else (math.nan, math.nan)
        return {
            "validation_reconstruction": float(reconstruction),
            "validation_kl": float(kl),
            "validation_bound": float(reconstruction - kl),
            "active_units": active,
        }
