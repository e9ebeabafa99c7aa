"""Models without weights: the units are independent, log Z is a sum over them, and means fix the biases.

References
----------
Salakhutdinov & Murray, ICML (2008), section 4: a reference with the base rates of the data.
"""

import numpy as np

from mcgen import backend, rng
from mcgen.errors import InputError
from mcgen.rbm.chains import random_states, stack
from mcgen.rbm.gibbs import moves
from mcgen.rbm.model import RBM
from mcgen.rbm.units import Potts, TwoLevel, Unit

# Without data: chains, and sweeps, of which the second half is averaged.
CHAINS, SWEEPS = 128, 100
# No state of a discrete unit is less probable than this: a unit that is nearly frozen in the reference and is not in
# the model makes weights that differ by orders of magnitude.
RAREST = 0.01
# The least mean of a ReLU unit, in standard deviations of its Gaussian.
LEAST_MEAN = 0.05


def visible_bias_of(kind: Unit, means: np.ndarray) -> np.ndarray:
    """The biases with which independent units have given means: Gamma_i'(b_i) = mean_i.

    Parameters
    ----------
    kind : Unit
        Of the layer.
    means : array, shape (n_visible,)
        Strictly inside the range of the units.

    Returns
    -------
    float64, shape (n_visible,)
        log p / (1 - p) for Bernoulli units, half of that for spins, log p of each state for Potts units.

    Raises
    ------
    InputError
        If a mean is not inside the range of the units.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import independent
    >>> independent.visible_bias_of(rbm.Bernoulli(), np.array([0.5, 0.9])).round(4).tolist()
    [0.0, 2.1972]
    """
    means = np.asarray(means, np.float64)
    if isinstance(kind, TwoLevel):
        up, down = means - kind.low, 1.0 - means
        wrong = (up <= 0) | (down <= 0)
    elif isinstance(kind, Potts):
        wrong = means <= 0
    else:
        wrong = means <= 0 if kind.name == "relu" else np.zeros(means.shape, bool)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise InputError(
            f"the mean {means[k]:g} of entry {k} is not inside the range of {kind.name} units, so that no finite bias "
            "gives it; move it inside the range"
        )
    if isinstance(kind, TwoLevel):
        return (np.log(up) - np.log(down)) / (1 - kind.low)
    if isinstance(kind, Potts):
        return np.log(means)
    m, variance = kind.mean_at_zero, kind.variance_at_zero
    if kind.name == "gaussian":
        return (means - m) / variance
    return _relu_bias(kind, means)


def _relu_bias(kind: Unit, means: np.ndarray) -> np.ndarray:
    """By bisection: the mean grows with b, lies above m + variance b and below variance / (-m - variance b)."""
    m, variance = kind.mean_at_zero, kind.variance_at_zero
    high = (means - m) / variance
    low = (-m - variance / means) / variance
    for _ in range(100):
        middle = 0.5 * (low + high)
        above = kind.mean(middle[None])[0] > means
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return 0.5 * (low + high)


def reference(model: RBM, v: np.ndarray | None = None, seed: int = 0, device: str = "cpu") -> RBM:
    """The independent model where the path to `model` begins: no weights, no hidden biases, visible biases b0.

    Parameters
    ----------
    model : RBM
    v : array, shape (n_rows, n_visible), optional
        Data: the visible biases reproduce its means. By default those of a short run of Gibbs chains of the model.
    seed : int
        Of that run, 0 to 2**64 - 1.
    device : {"cpu", "cuda"}
        Of that run.

    Returns
    -------
    RBM
        In the dtype of the model. No state of a discrete unit has a probability below 0.01, so that none is frozen.

    Raises
    ------
    InputError
        If v is no table of states, or the seed is out of range.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Salakhutdinov & Murray, ICML (2008), section 4.1.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import independent
    >>> model = rbm.RBM.random(n_visible=2, n_hidden=3, seed=1)
    >>> independent.reference(model, v=[[0, 1], [1, 1], [0, 1], [0, 1]]).visible_bias.round(3).tolist()
    [-1.099, 4.595]
    """
    means = _means_of_chains(model, seed, device) if v is None else model.check_rows(v).mean(axis=0, dtype=np.float64)
    kind = model.visible
    if isinstance(kind, TwoLevel):
        margin = RAREST * (1 - kind.low)
        means = np.clip(means, kind.low + margin, 1 - margin)
    elif isinstance(kind, Potts):
        means = np.maximum(means, RAREST / kind.q).reshape(-1, kind.q)
        means = (means / means.sum(axis=1, keepdims=True)).reshape(-1)
    elif kind.name == "relu":
        means = np.maximum(means, LEAST_MEAN * np.sqrt(kind.variance_at_zero))
    bias = visible_bias_of(kind, means).astype(model.dtype)
    weights, hidden_bias = np.zeros(model.weights.shape, model.dtype), np.zeros(model.n_hidden, model.dtype)
    return RBM(weights, bias, hidden_bias, model.visible, model.hidden)


def _means_of_chains(model: RBM, seed: int, device: str) -> np.ndarray:
    target = backend.target(device)
    start = random_states(model.visible, CHAINS, model.n_visible, seed).astype(model.dtype)[None]
    models, half = stack([model]), SWEEPS // 2
    start, _ = moves.sweep(models, start, half, 0, 0, rng.derive(seed, rng.purpose.RBM_VISIBLE), target)
    _, draws = moves.sweep(models, start, half, half, half, rng.derive(seed, rng.purpose.RBM_VISIBLE), target)
    return draws.mean(axis=(0, 1, 2), dtype=np.float64)


def log_partition_of_independent(model: RBM) -> float:
    """log Z = sum_i Gamma_i(b_i) + sum_j Gamma_j(c_j) of a model without weights, in closed form.

    Parameters
    ----------
    model : RBM

    Raises
    ------
    InputError
        If a weight is not 0.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import independent
    >>> model = rbm.RBM(np.zeros((3, 2)), np.zeros(3), np.zeros(2))
    >>> round(independent.log_partition_of_independent(model), 6)  # 5 log 2
    3.465736
    """
    if model.weights.any():
        raise InputError(
            f"{model!r} has weights up to {np.abs(model.weights).max():g}, so its units are not independent; give "
            "a model whose weights are 0, such as path.reference(model)"
        )
    return float(model.visible.cumulant(model.visible_bias) + model.hidden.cumulant(model.hidden_bias))


def check_reference(reference: RBM, model: RBM) -> None:
    """Raise `InputError` unless a path leads from the reference to the model.

    Parameters
    ----------
    reference, model : RBM

    Raises
    ------
    InputError
        If the reference has weights or hidden biases, or the two have different units or shapes.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import independent
    >>> model = rbm.RBM.random(n_visible=2, n_hidden=3, seed=1)
    >>> independent.check_reference(independent.reference(model), model)
    """
    if not isinstance(reference, RBM) or reference.weights.shape != model.weights.shape:
        raise InputError(f"reference={reference!r} does not fit {model!r}; give path.reference(model)")
    if reference.visible != model.visible or reference.hidden != model.hidden:
        raise InputError(
            f"reference={reference!r} has other kinds or parameters of units than {model!r}; give path.reference(model)"
        )
    if reference.weights.any() or reference.hidden_bias.any():
        raise InputError(
            f"reference={reference!r} has weights or hidden biases that are not 0; give path.reference(model), or one "
            "with other visible biases"
        )
