"""What is trained: all parameters of a model, or the free ones of a model with a symmetry."""

import numpy as np

from mcgen.rbm.gradient import Gradient
from mcgen.rbm.model import RBM


def free_parameters(model: RBM) -> tuple[np.ndarray, ...]:
    """What is trained, in float64: all parameters, or the free ones of a model with a symmetry."""
    if model.symmetry is not None:
        return model.symmetry.extract(model.parameters)
    return tuple(array.astype(np.float64) for array in model.parameters)


def free_gradient(model: RBM, gradient: Gradient) -> tuple[np.ndarray, ...]:
    """The gradient of the free parameters from that of all."""
    return gradient if model.symmetry is None else model.symmetry.reduce(gradient)


def with_free_parameters(model: RBM, parameters: tuple[np.ndarray, ...]) -> RBM:
    """The model with other free parameters.

    Raises
    ------
    InputError
        If a parameter is not finite, or Z is not.
    """
    full = parameters if model.symmetry is None else model.symmetry.expand(parameters)
    return model.replace(*(array.astype(model.dtype, copy=False) for array in full))
