"""Exact answers for RBMs whose smaller layer, or visible layer, can be enumerated."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from mcgen import backend, blas, checks, enumeration
from mcgen.enumeration import kl_divergence as _kl_divergence
from mcgen.errors import SizeError
from mcgen.progress import progress as progress_bar
from mcgen.rbm.gradient import Gradient, positive_phase
from mcgen.rbm.model import RBM, free_energy_of_rows

# The largest smaller layer whose states are summed: 2^28 states of 28 x 784 units take some minutes on two cores.
MOST_SUMMED_UNITS = 28

# States of the smaller layer times units of the other that are summed in about a second on two cores.
QUICK_TERMS = 1 << 28

# The largest smaller layer whose moments are summed, without a pause: 2^24 states of 24 x 784 units take a minute.
MOST_MOMENT_UNITS = 24

# Low half of the enumerated layer: 2^8 rows of fields stay in the first-level cache.
MOST_LOW_UNITS = 8
# States listed at a time: their fields on a layer of 16 units fill 1 MiB and stay in the second-level cache.
STATES_PER_BLOCK = 1 << 13
# Values of A in one kernel call: bounds the memory of their fields, and lets progress and Ctrl-C in.
HIGH_STATES_PER_CALL = 1 << 12


def _smaller_layer_hidden(model: RBM) -> RBM:
    """The model in float64, turned so that its hidden layer is the smaller one: the layer to enumerate."""
    model = model.replace(*(array.astype(np.float64) for array in model.parameters))
    return model if model.n_hidden <= model.n_visible else model.transposed()


def is_quick(model: RBM) -> bool:
    """Whether `log_partition` takes about a second at most."""
    small, large = sorted((model.n_visible, model.n_hidden))
    return small <= MOST_SUMMED_UNITS and large << small <= QUICK_TERMS


def check_summable(model: RBM, what: str = "log Z", limit: int = MOST_SUMMED_UNITS) -> None:
    """Raise `SizeError` if neither layer is small enough to be enumerated."""
    smaller = min(model.n_visible, model.n_hidden)
    if smaller > limit:
        raise SizeError(
            f"the smaller layer of {model!r} has {smaller} units, 2^{smaller} states; the exact sum for {what} reaches "
            f"{limit} units; use a model with a smaller hidden layer, or sample it (rbm.sample)"
        )


def check_moments(model: RBM) -> None:
    """Raise `SizeError` if neither layer is small enough for `negative_phase`."""
    check_summable(model, "the negative phase", MOST_MOMENT_UNITS)


def log_partition(model: RBM, device: str = "cpu", progress: bool = False) -> float:
    """log Z = log sum_{v, h} e^{-E(v, h)}, exact to rounding.

    The states of the smaller layer are enumerated, the other layer is summed in closed form:
    Z = sum_h e^{c.h} prod_i sum_{v_i} e^{v_i (b_i + sum_j W_ij h_j)}.

    Parameters
    ----------
    model : RBM
        The smaller layer has at most 28 units. The time is proportional to 2**n_smaller * n_larger.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    float
        Relative error below 1e-12, whatever the size of the weights; computed in float64 also for float32 models.

    Raises
    ------
    SizeError
        If the smaller layer has more than 28 units.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "Probability model"; Salakhutdinov & Murray, ICML (2008), section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((3, 2)), np.zeros(3), np.zeros(2))
    >>> round(rbm.exact.log_partition(model), 6)  # 5 log 2
    3.465736
    """
    check_summable(model)
    target = backend.target(device)
    turned = _smaller_layer_hidden(model)
    n_low = min(MOST_LOW_UNITS, turned.n_hidden // 2)
    n_high = turned.n_hidden - n_low
    low = _half(turned, slice(0, n_low))
    low_fields, low_logs = target.to_device(low.fields), target.to_device(low.logs)
    maxima, totals = [], []
    with progress_bar(1 << n_high, "log Z", progress) as bar:
        for start in range(0, 1 << n_high, HIGH_STATES_PER_CALL):
            stop = min(start + HIGH_STATES_PER_CALL, 1 << n_high)
            high = _half(turned, slice(n_low, None), start, stop)
            results = [target.to_device(np.empty(stop - start)) for _ in range(2)]
            target.launch(
                target.kernels("rbm").log_partition_blocks,
                stop - start,
                1,
                *results,
                target.to_device(high.fields + turned.visible_bias),
                target.to_device(high.logs),
                low_fields,
                low_logs,
                turned.visible.low,
            )
            maxima.append(target.to_host(results[0]))
            totals.append(target.to_host(results[1]))
            bar.update(stop - start)
    return float(logsumexp(np.concatenate(maxima), b=np.concatenate(totals)))


def log_probabilities(model: RBM, device: str = "cpu") -> np.ndarray:
    """log p(v) of every visible state, by state index.

    Parameters
    ----------
    model : RBM
        At most 24 visible units.
    device : {"cpu", "cuda"}

    Returns
    -------
    float64, shape (2**n_visible,)
        Also where p itself would underflow to 0.

    Raises
    ------
    SizeError
        If there are more than 24 visible units.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=3, n_hidden=2, seed=1)
    >>> rbm.exact.log_probabilities(model).shape
    (8,)
    """
    remedy = "compare log-likelihoods of data (rbm.exact.log_likelihood) or observables of samples instead"
    enumeration.check_listable(model.n_visible, f"the visible layer of {model!r}", remedy)
    model = model.replace(*(array.astype(np.float64) for array in model.parameters))
    log_weights = np.empty(1 << model.n_visible)
    for start in range(0, len(log_weights), STATES_PER_BLOCK):
        stop = min(start + STATES_PER_BLOCK, len(log_weights))
        states = enumeration.list_states(model.n_visible, model.visible.low, start, stop)
        log_weights[start:stop] = -free_energy_of_rows(model, states, device)
    return log_weights - logsumexp(log_weights)


def probabilities(model: RBM, device: str = "cpu") -> np.ndarray:
    """p(v) of every visible state, by state index: the marginal p(v) = sum_h e^{-E(v, h)} / Z.

    Parameters, errors as for `log_probabilities`.

    Returns
    -------
    float64, shape (2**n_visible,)

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=3, n_hidden=2, seed=1)
    >>> round(float(rbm.exact.probabilities(model).sum()), 12)
    1.0
    """
    return np.exp(log_probabilities(model, device))


def log_likelihood(model: RBM, v: np.ndarray, device: str = "cpu") -> float:
    """The mean over rows of log p(v) = -F(v) - log Z, in nats.

    Parameters
    ----------
    model : RBM
        The smaller layer has at most 28 units.
    v : array, shape (n_rows, n_visible)
    device : {"cpu", "cuda"}

    Returns
    -------
    float

    Raises
    ------
    InputError
        If a shape does not fit or a value is not a state of the visible units.
    SizeError
        If the smaller layer has more than 28 units.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "Optimizing the logarithm instead".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((3, 2)), np.zeros(3), np.zeros(2))
    >>> round(rbm.exact.log_likelihood(model, [[0, 1, 1]]), 6)  # -3 log 2
    -2.079442
    """
    v = model.check_visible(v, exact_states=True)
    log_z = log_partition(model, device)
    return float(-model.free_energy(v, device).mean() - log_z)


def kl_divergence(probabilities: np.ndarray, model: RBM, device: str = "cpu") -> float:
    """KL(p || model) = sum_v p(v) [log p(v) - log p_model(v)], in nats.

    Parameters
    ----------
    probabilities : array, shape (2**n_visible,)
        p(v) of every visible state, by state index, for example from `ising.exact.probabilities` or, for data,
        `enumeration.empirical_distribution`.
    model : RBM
        At most 24 visible units.
    device : {"cpu", "cuda"}

    Returns
    -------
    float
        At least 0 up to rounding.

    Raises
    ------
    InputError
        If the shape does not fit, a value is negative or the sum is not 1.
    SizeError
        If there are more than 24 visible units.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "Kullback-Leibler divergence and RBMs".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1))
    >>> round(rbm.exact.kl_divergence(np.array([1.0, 0, 0, 0]), model), 6)  # 2 log 2
    1.386294
    """
    log_model = log_probabilities(model, device)
    p = checks.distribution("probabilities", probabilities, log_model.shape)
    return _kl_divergence(p, log_model)


def negative_phase(model: RBM, device: str = "cpu") -> Gradient:
    """The exact model-dependent term: E_model of v h, v and h, equal to grad log Z.

    Parameters
    ----------
    model : RBM
        The smaller layer has at most 24 units.
    device : {"cpu", "cuda"}

    Returns
    -------
    Gradient

    Raises
    ------
    SizeError
        If the smaller layer has more than 24 units.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "Final expression": grad log Z = E[grad log f].

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1))
    >>> rbm.exact.negative_phase(model).weights.round(12).tolist()
    [[0.25], [0.25]]
    """
    check_moments(model)
    turned = _smaller_layer_hidden(model)
    n_first = turned.n_hidden // 2
    halves = [_half(turned, slice(0, n_first)), _half(turned, slice(n_first, None))]
    # Each half is kept once while the other is summed: <s_i h_j> of the units i of the kept half follows.
    log_weights, means, states = [], [], []
    for kept, summed in (halves, halves[::-1]):
        references, totals, mean_sums = _half_state_moments(turned, kept, summed, device)
        log_weights.append(references + np.log(totals))
        means.append(mean_sums / totals)
        states.append(kept.states)
    log_z = logsumexp(log_weights[0])
    weights = [np.exp(logs - log_z) for logs in log_weights]
    with blas.one_thread():
        visible_hidden = np.concatenate([(m * w) @ s for m, w, s in zip(means, weights, states, strict=True)], axis=1)
        hidden = np.concatenate([w @ s for w, s in zip(weights, states, strict=True)])
        visible = means[0] @ weights[0]
    if model.n_hidden <= model.n_visible:  # the model was not turned
        return Gradient(visible_hidden, visible, hidden)
    return Gradient(visible_hidden.T.copy(), hidden, visible)


class _Half(NamedTuple):
    """Half of the enumerated (hidden) layer: its states, their fields on the visible layer and their bias terms."""

    states: np.ndarray
    fields: np.ndarray
    logs: np.ndarray


def _half(model: RBM, units: slice, start: int = 0, stop: int | None = None) -> _Half:
    """The states start ... stop-1 of the hidden units in a slice; by default all."""
    bias = model.hidden_bias[units]
    states = enumeration.list_states(len(bias), model.hidden.low, start, stop)
    with blas.one_thread():
        return _Half(states, states @ model.weights.T[units], states @ bias)


def _half_state_moments(model: RBM, kept: _Half, summed: _Half, device: str) -> list[np.ndarray]:
    target = backend.target(device)
    n_kept = len(kept.logs)
    results = [target.to_device(np.empty(shape)) for shape in (n_kept, n_kept, (model.n_visible, n_kept))]
    arrays = (kept.fields.T, kept.logs, summed.fields + model.visible_bias, summed.logs)
    kernel = target.kernels("rbm").half_state_moments
    target.launch(kernel, n_kept, 1, *results, *map(target.to_device, arrays), model.visible.low)
    return [target.to_host(array) for array in results]


def gradient(model: RBM, v: np.ndarray, device: str = "cpu") -> Gradient:
    """The exact gradient of the mean log-likelihood of the rows: positive phase minus negative phase.

    Parameters
    ----------
    model : RBM
        The smaller layer has at most 24 units.
    v : array, shape (n_rows, n_visible)
    device : {"cpu", "cuda"}

    Returns
    -------
    Gradient

    Raises
    ------
    InputError
        If a shape does not fit or a value is not a state of the visible units.
    SizeError
        If the smaller layer has more than 24 units.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "Expression for the gradients".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1))
    >>> rbm.exact.gradient(model, [[1, 1]]).visible_bias.round(12).tolist()
    [0.5, 0.5]
    """
    check_moments(model)
    return positive_phase(model, v, device=device).minus(negative_phase(model, device))
