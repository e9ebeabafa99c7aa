"""Arguments of functions of Gaussians, in shapes that fit, and products and excesses that do not overflow early."""

import math
from typing import NamedTuple

import numpy as np

from mcgen import checks
from mcgen.errors import InputError

LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)

# (e^y - 1 - y) / (2 y^2) = sum_n y^(n-2) / (2 n!), the highest power first: to 1e-18 for |y| < 1.
EXCESS_SERIES = [0.5 / math.factorial(n) for n in range(19, 1, -1)]


class MeanStdGradient(NamedTuple):
    """Gradient with respect to the mean and log-standard deviation of one Gaussian, both of shape (..., k)."""

    mean: np.ndarray
    log_std: np.ndarray


def checked_arguments(**arguments: np.ndarray) -> list[np.ndarray]:
    """The arguments in float64, if their shapes fit; those named covariance end in (k, k), the others in (k,)."""
    arrays = {name: checks.finite_array(name, value).astype(np.float64) for name, value in arguments.items()}
    n_last = {name: 2 if name.startswith("covariance") else 1 for name in arrays}
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    k = next(iter(arrays.values())).shape[-1:]
    if k in ((), (0,)) or any(array.shape[-n_last[name] :] != k * n_last[name] for name, array in arrays.items()):
        raise InputError(
            f"the shapes {shapes} do not fit; give vectors of shape (..., k)"
            + " and covariances of shape (..., k, k)" * (2 in n_last.values())
            + " with the same k of at least 1"
        )
    try:
        np.broadcast_shapes(*(array.shape[: -n_last[name]] for name, array in arrays.items()))
    except ValueError:
        raise InputError(
            f"the shapes {shapes} do not broadcast; give the axes before the last the same length or 1"
        ) from None
    return list(arrays.values())


def half_excess(y: np.ndarray) -> np.ndarray:
    """(e^y - 1 - y) / 2, never negative, with a relative error of a few 1e-16; inf only where that overflows."""
    y = np.minimum(y, 1500.0)  # so that an infinite y is not subtracted from an infinite e^y
    root = np.exp(0.5 * y)
    small = np.minimum(np.maximum(y, -1.0), 1.0)
    series = np.zeros_like(small)
    for coefficient in EXCESS_SERIES:
        series *= small
        series += coefficient
    return np.where(np.abs(y) < 1, small * small * series, 0.5 * root * root - 0.5 - 0.5 * y)


def scaled(x: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
    """The product x e^log_scale, which overflows and underflows only where the product does; 0 for x = 0."""
    root = np.exp(0.5 * np.clip(log_scale, -1400.0, 1400.0))
    return x * root * root


def filled(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A copy of an array, repeated along the axes of the batch that it lacks."""
    return np.array(np.broadcast_to(array, shape))
