"""First values of weights."""

import math

import numpy as np

from mcgen import rng

INITIALIZATIONS = ("he", "glorot")


def weights(kind: str, shape: tuple[int, ...], n_inputs: int, n_outputs: int, seed: int) -> np.ndarray:
    """Uniform random weights with the variance that keeps the size of what passes through a layer.

    Parameters
    ----------
    kind : {"he", "glorot"}
        Variance 2 / n_inputs (He, Zhang, Ren & Sun, ICCV 2015, eq. 10: half of the inputs are cut off by a ReLU), or
        2 / (n_inputs + n_outputs) (Glorot & Bengio, AISTATS 2010, eq. 16).
    shape : tuple of int
    n_inputs, n_outputs : int
        Inputs of one output, and outputs of one input.
    seed : int

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> from mcgen.vae import initial
    >>> w = initial.weights("he", (200, 300), 200, 300, seed=1)
    >>> round(float(w.var() * 200), 1), bool(abs(w).max() <= (6 / 200) ** 0.5)
    (2.0, True)
    """
    variance = 2.0 / n_inputs if kind == "he" else 2.0 / (n_inputs + n_outputs)
    uniform = rng.uniforms(seed, rng.purpose.VAE_PARAMETERS, shape[0], int(np.prod(shape[1:]))).reshape(shape)
    return math.sqrt(3.0 * variance) * (2.0 * uniform - 1.0)
