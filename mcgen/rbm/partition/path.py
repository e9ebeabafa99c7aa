"""The path of models from independent units to an RBM that all estimates of log Z share.

The reference r has no weights, no hidden biases, and the visible biases b0; its log Z is a sum over units,

    log Z_r = sum_i Gamma_i(b0_i) + sum_j Gamma_j(0).

At the inverse temperature beta, from 0 (the reference) to 1 (the model), an RBM has the weights beta W, the hidden
biases beta c and the visible biases (1 - beta) b0 + beta b, so that with y_j = c_j + sum_i v_i W_ij

    log f_beta(v) = -U(v) + ((1 - beta) b0 + beta b).v + sum_j Gamma_j(beta y_j)

is the logarithm of the weight of v with the hidden units summed out, and Z_beta = sum_v f_beta(v). The y_j are the same
at all beta: one product of matrices gives the weights of a state everywhere on the path.

With visible biases that reproduce the means of the data, the reference is close to the model in all that independent
units can have, and far fewer temperatures are needed than from the uniform distribution.

References
----------
Salakhutdinov & Murray, ICML (2008), section 4: the path, and the reference from the base rates of the data.
"""

from collections.abc import Sequence

import numpy as np

from mcgen import checks
from mcgen.errors import InputError
from mcgen.rbm.chains import Stack
from mcgen.rbm.exact.products import rows_times
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.rbm.partition.independent import (
    check_reference,
    log_partition_of_independent,
    reference,
    visible_bias_of,
)

__all__ = [
    "between",
    "check_beta",
    "check_reference",
    "free_energies",
    "free_energies_between",
    "log_partition_of_independent",
    "reference",
    "stack_of",
    "visible_bias_of",
]

# Rows whose fields are kept at a time.
ROWS = 4096


def check_beta(betas: float | Sequence[float]) -> np.ndarray:
    """Inverse temperatures on the path as float64, checked: each from 0 to 1.

    Parameters
    ----------
    betas : float or sequence of float

    Raises
    ------
    InputError
        If one is outside.

    Examples
    --------
    >>> from mcgen.rbm.partition import path
    >>> path.check_beta([0, 0.25, 1]).tolist()
    [0.0, 0.25, 1.0]
    """
    betas = np.atleast_1d(checks.finite_array("betas", betas)).astype(np.float64)
    if betas.size and (betas.min() < 0 or betas.max() > 1):
        raise InputError(f"beta goes from {betas.min():g} to {betas.max():g}; the path goes from 0 to 1")
    return betas


def between(reference: RBM, model: RBM, beta: float) -> RBM:
    """The model at the inverse temperature beta of the path: beta W, beta c, (1 - beta) b0 + beta b.

    Parameters
    ----------
    reference, model : RBM
    beta : float
        From 0 (the reference) to 1 (the model).

    Returns
    -------
    RBM
        In the dtype of the model.

    Raises
    ------
    InputError
        If beta is out of range, or no path leads from the reference to the model.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import path
    >>> model = rbm.RBM.random(n_visible=2, n_hidden=3, seed=1)
    >>> start = path.reference(model)
    >>> bool((path.between(start, model, 0.5).weights == 0.5 * model.weights).all())
    True
    """
    return RBM(*(array[0] for array in _parameters(reference, model, [beta])), model.visible, model.hidden)


def stack_of(reference: RBM, model: RBM, betas: Sequence[float]) -> Stack:
    """The models at several inverse temperatures of the path, as samplers take them.

    Parameters
    ----------
    reference, model : RBM
    betas : sequence of float
        From 0 to 1, in any order.

    Returns
    -------
    Stack

    Raises
    ------
    InputError
        If a beta is out of range, or no path leads from the reference to the model.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import path
    >>> model = rbm.RBM.random(n_visible=2, n_hidden=3, seed=1)
    >>> path.stack_of(path.reference(model), model, [0.0, 0.5, 1.0]).weights.shape
    (3, 2, 3)
    """
    weights, visible_bias, hidden_bias = _parameters(reference, model, betas)
    return Stack(weights, visible_bias, hidden_bias[:, None], model.visible, model.hidden)


def _parameters(reference: RBM, model: RBM, betas: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, b and c at each beta, in the dtype of the model."""
    check_reference(reference, model)
    betas = check_beta(betas)[:, None]
    dtype = model.dtype.type
    scales = betas.astype(dtype)
    weights = scales[:, :, None] * model.weights
    # In float64, then rounded: the difference of two biases loses digits.
    visible_bias = (1 - betas) * reference.visible_bias.astype(np.float64) + betas * model.visible_bias
    return weights, visible_bias.astype(dtype), scales * model.hidden_bias


def free_energies(models: Sequence[RBM], rows: np.ndarray, device: str = "cpu") -> np.ndarray:
    """F(v) = -log f(v) of rows under each of several models.

    Parameters
    ----------
    models : sequence of RBM
        With the same units.
    rows : array, shape (n_rows, n_visible)
    device : {"cpu", "cuda"}

    Returns
    -------
    float64, shape (n_models, n_rows)

    Raises
    ------
    InputError
        If rows is no table of states.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import path
    >>> models = [rbm.RBM.random(n_visible=2, n_hidden=3, seed=seed) for seed in (1, 2)]
    >>> path.free_energies(models, [[0, 1], [1, 1], [0, 0]]).shape
    (2, 3)
    """
    rows = models[0].check_rows(rows, "rows")
    return np.stack([free_energy_of_rows(model, rows, device) for model in models])


def free_energies_between(
    reference: RBM, model: RBM, betas: Sequence[float], rows: np.ndarray, device: str = "cpu"
) -> np.ndarray:
    """F_beta(v) = -log f_beta(v) of rows at several inverse temperatures of the path, from one product of matrices.

    Parameters
    ----------
    reference, model : RBM
    betas : sequence of float
        From 0 to 1, in any order.
    rows : array, shape (n_rows, n_visible)
    device : {"cpu", "cuda"}
        Where the hidden units are summed out.

    Returns
    -------
    float64, shape (n_betas, n_rows)
        Computed in float64, also for float32 models.

    Raises
    ------
    InputError
        If a beta is out of range, rows is no table of states, or no path leads from the reference to the model.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import path
    >>> model = rbm.RBM.random(n_visible=2, n_hidden=3, seed=1)
    >>> energies = path.free_energies_between(path.reference(model), model, [0.0, 1.0], [[0, 1], [1, 1]])
    >>> bool(np.allclose(energies[1], model.free_energy([[0, 1], [1, 1]])))
    True
    """
    check_reference(reference, model)
    betas = check_beta(betas)
    rows = model.check_rows(rows, "rows").astype(np.float64)
    biases = np.stack([reference.visible_bias, model.visible_bias], axis=1).astype(np.float64)
    weights, hidden_bias = model.weights.astype(np.float64), model.hidden_bias.astype(np.float64)
    result = np.empty((len(betas), len(rows)))
    for first in range(0, len(rows), ROWS):
        here = rows[first : first + ROWS]
        own, (from_reference, from_model) = model.visible.energy_term(here), rows_times(here, biases).T
        fields = rows_times(here, weights) + hidden_bias
        for k, beta in enumerate(betas):
            minus_energy = (1 - beta) * from_reference + beta * from_model
            minus_energy += model.hidden.cumulant(beta * fields, device)
            result[k, first : first + ROWS] = own - minus_energy
    return result
