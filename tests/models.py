"""Random models that several tests use."""

import numpy as np

from mcgen import rbm

KINDS = [("bernoulli", "bernoulli"), ("bernoulli", "spin"), ("spin", "bernoulli"), ("spin", "spin")]


def random_model(n_visible, n_hidden, scale, kinds, seed):
    """Parameters uniform in -scale ... scale."""
    random = np.random.default_rng(seed)

    def draw(*shape):
        return random.uniform(-scale, scale, size=shape)

    return rbm.RBM(draw(n_visible, n_hidden), draw(n_visible), draw(n_hidden), *kinds)
