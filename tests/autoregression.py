"""Series whose statistics are known exactly."""

import numpy as np


def autoregression(coefficient, shape, seed):
    """x_t = a x_{t-1} + sqrt(1 - a^2) noise along the last axis, stationary from the first draw.

    Mean 0, variance 1, autocorrelation a^t, integrated autocorrelation time (1 + a) / (1 - a).
    """
    noise = np.random.default_rng(seed).normal(size=(shape[-1], *shape[:-1]))
    noise[1:] *= np.sqrt(1 - coefficient**2)
    for t in range(1, shape[-1]):
        noise[t] += coefficient * noise[t - 1]
    return np.ascontiguousarray(np.moveaxis(noise, 0, -1))


def coefficient(time):
    """The coefficient a of the autoregression whose integrated autocorrelation time is `time`."""
    return (time - 1) / (time + 1)


def telegraph(probability, shape, seed):
    """+-1 along the last axis, changing sign with the given probability at each step, stationary from the first."""
    random = np.random.default_rng(seed)
    changes = random.random(shape) < probability
    changes[..., 0] = random.random(shape[:-1]) < 0.5
    return np.where(np.cumsum(changes, axis=-1) % 2, 1.0, -1.0)
