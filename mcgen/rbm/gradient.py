"""The two phases of the gradient of the log-likelihood.

grad log p(v) = E[-grad E(v, h) | data] - E[-grad E(v, h) | model]: the positive phase lowers the energy of the data,
the negative phase raises the energy of what the model produces (Hjorth-Jensen 2025, "Positive and negative phases").
-dE/dW = v h, -dE/db = v, -dE/dc = h, with the hidden units replaced by their conditional means.
"""

from typing import NamedTuple

import numpy as np

from mcgen import backend, checks
from mcgen.parallel import ALONE, World
from mcgen.rbm.model import RBM


class Gradient(NamedTuple):
    """One number for each parameter: a phase, or the difference of two.

    weights : float64, shape (n_visible, n_hidden)
    visible_bias : float64, shape (n_visible,)
    hidden_bias : float64, shape (n_hidden,)
    """

    weights: np.ndarray
    visible_bias: np.ndarray
    hidden_bias: np.ndarray

    def minus(self, other: "Gradient") -> "Gradient":
        """The difference, parameter by parameter.

        Examples
        --------
        >>> import numpy as np
        >>> from mcgen.rbm import Gradient
        >>> one = Gradient(np.ones((1, 1)), np.ones(1), np.ones(1))
        >>> float(one.minus(one).weights[0, 0])
        0.0
        """
        return Gradient(*(mine - its for mine, its in zip(self, other, strict=True)))


def positive_phase(model: RBM, v: np.ndarray, row_weights: np.ndarray | None = None, device: str = "cpu") -> Gradient:
    """The data-dependent term: the means of v h, v and h over the rows of data.

    E_data[-grad E] = ( sum_n v_n <h>_{v_n}, sum_n v_n, sum_n <h>_{v_n} ) / n_rows.

    Parameters
    ----------
    model : RBM
    v : array, shape (n_rows, n_visible)
        Data, states of the visible units.
    row_weights : array, shape (n_rows,), optional
        Weights of the rows, used as given (probabilities, say); by default 1 / n_rows each.
    device : {"cpu", "cuda"}

    Returns
    -------
    Gradient

    Raises
    ------
    InputError
        If a shape does not fit, there are no rows, or a value is not a state of the visible units.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hinton, Neural Comput. 14, 1771 (2002). Hjorth-Jensen (2025), "Expression for the gradients".

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=2, n_hidden=1, seed=0)
    >>> rbm.positive_phase(model, [[0, 1], [1, 1]]).visible_bias.tolist()
    [0.5, 1.0]
    """
    return _phase(model, v, row_weights, device)


def negative_phase(model: RBM, v: np.ndarray, row_weights: np.ndarray | None = None, device: str = "cpu") -> Gradient:
    """The model-dependent term: the means of v h, v and h over rows drawn from the model.

    E_model[-grad E] = grad log Z, estimated over visible states that a Markov chain (or any other sampler) has drawn
    from the model, with the hidden units summed out given each. `rbm.exact.negative_phase` has its exact value.

    Parameters
    ----------
    model : RBM
    v : array, shape (n_rows, n_visible)
        States of the visible units, drawn from the model.
    row_weights : array, shape (n_rows,), optional
        Weights of the rows, used as given; by default 1 / n_rows each.
    device : {"cpu", "cuda"}

    Returns
    -------
    Gradient

    Raises
    ------
    InputError
        If a shape does not fit, there are no rows, or a value is not a state of the visible units.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "The derivative of the partition function".

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=2, n_hidden=1, seed=0)
    >>> rows = rbm.sample(model, n_chains=500, n_draws=1, thin=1, seed=1).states[:, -1]
    >>> rbm.negative_phase(model, rows).weights.shape
    (2, 1)
    """
    return _phase(model, v, row_weights, device)


def _phase(model: RBM, v: np.ndarray, row_weights: np.ndarray | None, device: str) -> Gradient:
    v = model.check_rows(v)
    if row_weights is None:
        row_weights = np.full(len(v), 1.0 / len(v))
    row_weights = checks.finite_array("row_weights", row_weights, (len(v),)).astype(np.float64, copy=False)
    return phase_of_rows(model, v, row_weights, device)


def phase_of_rows(model: RBM, v: np.ndarray, row_weights: np.ndarray, device: str) -> Gradient:
    """The statistics of a phase, for rows that are known to be right: C-contiguous, in the model's dtype."""
    return _statistics(model, v, row_weights, device, np.float64)[0]


def _statistics(
    model: RBM, v: np.ndarray, row_weights: np.ndarray, device: str, dtype: type, world: World = ALONE
) -> tuple[Gradient, np.ndarray]:
    """The weighted sums over rows of v h, v and h, in a dtype, and the means h of the hidden units of each row.

    Ranks share out the rows for the means, and then the visible units for the sums: each sum is over all rows in their
    order, and has the bits that it has in one process.
    """
    target = backend.target(device)
    kernels = target.kernels("rbm")
    mine, units = world.share(len(v)), world.share(model.n_visible)
    n_rows, n_units, n_hidden = mine.stop - mine.start, units.stop - units.start, model.n_hidden
    rows, weights, hidden_bias, row_weights = map(
        target.to_device, (v[mine], model.weights, model.hidden_bias, row_weights)
    )
    hidden = target.to_device(np.empty((n_rows, n_hidden), model.dtype))
    kind = model.hidden.arguments_on(target)
    target.launch(kernels.layer_means, n_rows, n_hidden, hidden, rows, weights, hidden_bias, *kind)
    if world.size > 1:
        rows = target.to_device(np.ascontiguousarray(v[:, units]))
        hidden = target.to_device(world.joined(target.to_host(hidden), len(v)))
    moments = [target.to_device(np.empty(shape, dtype)) for shape in ((n_units, n_hidden), n_units, n_hidden)]
    target.launch(kernels.phase_statistics, n_units + 1, n_hidden, *moments, rows, hidden, row_weights)
    both, own, other = map(target.to_host, moments)
    gradient = Gradient(world.joined(both, model.n_visible), world.joined(own, model.n_visible), other)
    return gradient, target.to_host(hidden)


class Phases(NamedTuple):
    """One estimate of the gradient of the log-likelihood, and means of the data that it was made of.

    gradient : Gradient
        Positive minus negative phase, in the dtype of the model.
    visible_mean, hidden_mean : array, shape (n_visible,) and (n_hidden,)
        Of the positive phase, divided by the sum of its weights.
    """

    gradient: Gradient
    visible_mean: np.ndarray
    hidden_mean: np.ndarray


def difference_of_phases(
    model: RBM,
    data: np.ndarray,
    data_weights: np.ndarray,
    chains: np.ndarray,
    chain_weights: np.ndarray | None,
    device: str,
    world: World = ALONE,
) -> Phases:
    """The gradient from rows of data and rows of the model, for rows that are known to be right.

    Both phases are one sum over all rows, in which those of the model have negative weights.

    Parameters
    ----------
    model : RBM
    data, chains : array of the model's dtype, shape (n_rows, n_visible) and (n_chains, n_visible)
    data_weights : float64, shape (n_rows,)
    chain_weights : float64, shape (n_chains,), optional
        Adding up to 1; by default 1 / n_chains each. The negative phase counts as much as the weights of the data.
    device : {"cpu", "cuda"}
    world : World
        The ranks that share out the work; all have all rows.
    """
    total = data_weights.sum()
    if chain_weights is None:
        chain_weights = np.full(len(chains), 1.0 / len(chains))
    rows = np.concatenate([data, chains])
    row_weights = np.concatenate([data_weights, -total * chain_weights])
    gradient, hidden = _statistics(model, rows, row_weights, device, model.dtype, world)
    # Sums without BLAS, whose threads would go on waiting for work on the cores that the next kernel needs.
    shares = (data_weights / total).astype(model.dtype)
    means = (np.einsum("r,ri->i", shares, part[: len(data)]) for part in (data, hidden))
    return Phases(gradient, *means)
