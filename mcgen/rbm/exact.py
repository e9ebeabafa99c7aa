"""Exact answers for RBMs whose smaller layer can be enumerated: sums of products, without exponentials or logs."""

import math
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from mcgen import backend, checks, enumeration, rng
from mcgen.enumeration import kl_divergence as _kl_divergence
from mcgen.errors import SizeError
from mcgen.long_sums import State, long_sum
from mcgen.rbm.gradient import Gradient, positive_phase
from mcgen.rbm.model import RBM
from mcgen.rbm.sums import tables
from mcgen.rbm.sums.tables import LN2, Split

# The largest smaller layer: 2^40 states of 40 x 40 units take half an hour on two cores, some seconds on a GPU.
MOST_SUMMED_UNITS = 40
# Terms (states of the smaller layer times units of the other) that are summed in about a second on two cores.
QUICK_TERMS = 1 << 33
# Terms of the exact gradient in each step of training: seconds.
MOST_TERMS_PER_STEP = 1 << 34
# The largest smaller layer that is sampled: a number is kept for each item of 2^11 states.
MOST_SAMPLED_UNITS = 35

# Terms of one kernel call: long enough to hide its start, short enough for progress and Ctrl-C.
TERMS_PER_BLOCK = {"cpu": 1 << 32, "cuda": 1 << 37}
# Moments take seven times as long as log Z, on top of it.
COST_OF_MOMENTS = 7
# Bytes of working arrays of one kernel call, where it returns more than a number for each item.
BYTES_PER_BLOCK = 1 << 25


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
            f"{limit} units; estimate log Z by annealed importance sampling (AIS), or sample the model (rbm.sample)"
        )


def check_steps(model: RBM) -> None:
    """Raise `SizeError` if the exact gradient is too slow to be computed in each step of training."""
    small, large = sorted((model.n_visible, model.n_hidden))
    if large << small > MOST_TERMS_PER_STEP:
        raise SizeError(
            f"the exact negative phase of {model!r} is a sum of {large} x 2^{small} terms in each step; training "
            f"reaches 2^{MOST_TERMS_PER_STEP.bit_length() - 1} terms; use negative_phase='pcd' or 'cd', or a smaller "
            "hidden layer"
        )


def _smaller_layer_hidden(model: RBM) -> RBM:
    """The model in float64, turned so that its hidden layer is the smaller one: the layer to enumerate."""
    model = _in_float64(model)
    return model if model.n_hidden <= model.n_visible else model.transposed()


def _in_float64(model: RBM) -> RBM:
    if model.dtype == np.float64:
        return model
    return model.replace(*(array.astype(np.float64) for array in model.parameters))


class _Sum:
    """The tables of one model on a device, and the kernels over ranges of its items."""

    def __init__(self, model: RBM, device: str, n_low: int | None = None):
        self.target = backend.target(device)
        arrays, self.split = tables.make(model, n_low)
        self.tables = arrays
        self.there = [self.target.to_device(array) for array in arrays[:-1]] + [arrays.ranged]
        self.kernels = self.target.kernels("rbm.sums")
        self.lanes = len(arrays.middle_mantissas) * tables.STATES_PER_TILE // 16
        terms = max(1, model.n_visible) << (self.split.n_low + self.split.n_middle)
        self.items_per_block = min(self.split.n_items, _power_of_two_below(TERMS_PER_BLOCK[device] // terms))

    def log_weights(self, first: int, stop: int) -> np.ndarray:
        """The logarithm of the summed weight of items first ... stop-1."""
        mantissas = self.target.to_device(np.empty(stop - first))
        exponents = self.target.to_device(np.empty(stop - first, np.int64))
        self.target.launch(self.kernels.sum_states, stop - first, self.lanes, mantissas, exponents, first, *self.there)
        return np.log(self.target.to_host(mantissas)) + LN2 * self.target.to_host(exponents)

    def state_log_weights(self, items: np.ndarray) -> np.ndarray:
        """The log weight of each state of the items, by state index: (n_items, 2^(n_middle + n_low))."""
        shape = (len(items), len(self.tables.middle_mantissas), self.tables.low_mantissas.size)
        mantissas = self.target.to_device(np.empty(shape))
        exponents = self.target.to_device(np.empty(shape, np.int32))
        arrays = mantissas, exponents, self.target.to_device(np.asarray(items, np.int64))
        self.target.launch(self.kernels.state_weights, len(items), self.lanes, *arrays, *self.there)
        states = np.s_[:, : 1 << self.split.n_middle, : 1 << self.split.n_low]
        mantissas, exponents = (self.target.to_host(array)[states] for array in (mantissas, exponents))
        return (np.log(mantissas) + LN2 * exponents).reshape(len(items), -1)

    def moments(self, first: int, stop: int, log_z: float) -> np.ndarray:
        """The moments of items first ... stop-1, added up: (1 + n_units, n_slots + 1), see the kernel."""
        split = self.split
        n_slots = len(self.tables.center) - 1
        sums = self.target.to_device(np.empty((stop - first, 1 + split.n_low + split.n_middle, n_slots + 1)))
        exponent = round(log_z / LN2)
        z = math.exp(log_z - exponent * LN2), exponent
        arguments = (first, split.n_low, *z, *self.there)
        self.target.launch(self.kernels.state_moments, stop - first, self.lanes, sums, *arguments)
        sums = self.target.to_host(sums)
        result = np.empty((1 + split.n_units, n_slots + 1))
        result[: sums.shape[1]] = sums.sum(axis=0)
        # A top unit has one value for a whole item.
        items = np.arange(first, stop)[:, None] >> np.arange(split.n_top) & 1
        result[sums.shape[1] :] = np.einsum("ki,kj->ij", 2.0 * items - 1.0, sums[:, 0])
        return result

    @property
    def moment_items(self) -> int:
        """Items in one call of `moments`."""
        split = self.split
        bytes_per_item = 8 * (1 + split.n_low + split.n_middle) * len(self.tables.center)
        return min(self.items_per_block, _power_of_two_below(BYTES_PER_BLOCK // bytes_per_item))


def _power_of_two_below(number: int) -> int:
    """The largest power of two that is at most `number`, and 1 below 1."""
    return 1 << max(0, number.bit_length() - 1)


def _add_log_weights(state: State | None, log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(maximum, total), standing for total e^maximum, with more weights added."""
    largest = log_weights.max()
    if state is None:
        return largest, np.exp(log_weights - largest).sum()
    maximum = np.maximum(state[0], largest)
    return maximum, state[1] * np.exp(state[0] - maximum) + np.exp(log_weights - maximum).sum()


def _long_log_partition(
    model: RBM,
    one: _Sum,
    device: str,
    keep: Callable[[np.ndarray], object],
    checkpoint: str | os.PathLike | None,
    progress: bool | None,
) -> float:
    """Log Z as a long sum; `keep` is given the log weights of the items, block by block."""

    def work(block: int, state: State | None) -> State:
        log_weights = one.log_weights(block * one.items_per_block, (block + 1) * one.items_per_block)
        keep(log_weights)
        return _add_log_weights(state, log_weights)

    n_blocks = one.split.n_items // one.items_per_block
    label = f"log Z of 2^{one.split.n_units} states x {model.n_visible} units"
    parts = ("rbm log Z", device, one.split[:3], model.visible, model.hidden, *model.parameters)
    maximum, total = long_sum(work, n_blocks, label, parts, checkpoint, progress)
    return float(maximum + np.log(total))


def log_partition(
    model: RBM,
    device: str = "cpu",
    progress: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
) -> float:
    """log Z = log sum_{v, h} e^{-E(v, h)}, exact to rounding.

    The states of the smaller layer are enumerated, the other layer is summed in closed form,
    Z = sum_h e^{c.h} prod_i sum_{v_i} e^{v_i (b_i + sum_j W_ij h_j)}, and e^{sum_j W_ij h_j} is a product of numbers
    from tables over parts of h: a state costs one multiply-add and one multiplication for each unit of the other layer.

    Parameters
    ----------
    model : RBM
        The smaller layer has at most 40 units. The time is proportional to 2**n_smaller * n_larger; the memory, some
        megabytes, does not grow with the number of states.
    device : {"cpu", "cuda"}
    progress : bool, optional
        Show progress on standard error; by default if the sum takes more than a minute, which is then said before.
    checkpoint : path, optional
        Where Ctrl-C leaves the sum so far (it is written every minute too). A call with the same checkpoint goes on
        from there, to the same bits as without a pause; the file is deleted at the end.

    Returns
    -------
    float
        Computed in float64, also for float32 models. With u = 2**-53 its error is at most u times
        |log Z| + 4 n_larger + 2 n_smaller sum |parameters|, for a model of ordinary weights some 1e-13; it is below
        1e-12 of log Z for 20 x 20 units and weights of standard deviation 0.01, 1 and 10.

    Raises
    ------
    SizeError
        If the smaller layer has more than 40 units.
    DeviceError
        If the device cannot be used.
    FileError
        If the checkpoint is that of another sum, or cannot be read or written.
    KeyboardInterrupt
        After Ctrl-C; the message says where the sum so far is kept.

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
    turned = _smaller_layer_hidden(model)
    one = _Sum(turned, device)
    return _long_log_partition(turned, one, device, lambda log_weights: None, checkpoint, progress)


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
    one = _Sum(_in_float64(model).transposed(), device)
    n_items = one.split.n_items
    per_block = min(n_items, max(1, BYTES_PER_BLOCK // (12 << (one.split.n_low + one.split.n_middle))))
    log_weights = np.empty(1 << model.n_visible)
    rows = log_weights.reshape(n_items, -1)
    for first in range(0, n_items, per_block):
        rows[first : first + per_block] = one.state_log_weights(np.arange(first, min(first + per_block, n_items)))
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
        The smaller layer has at most 40 units.
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
        If the smaller layer has more than 40 units.
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


class Moments(NamedTuple):
    """Exact averages over p(v, h).

    log_partition : log Z
    visible : float64 (n_visible,), <v_i>
    hidden : float64 (n_hidden,), <h_j>
    visible_hidden : float64 (n_visible, n_hidden), <v_i h_j>
    energy : <E(v, h)>
    entropy : of p(v, h), in nats: log Z + <E>
    """

    log_partition: float
    visible: np.ndarray
    hidden: np.ndarray
    visible_hidden: np.ndarray
    energy: float
    entropy: float


def moments(
    model: RBM,
    device: str = "cpu",
    progress: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
) -> Moments:
    """The exact first and mixed moments, mean energy and entropy of a model; no states are listed.

    First log Z, then, with the weights of the states known, the sums of p(state) sigma_i p(s_j = up | state): the same
    tables, four units sharing a division.

    Parameters
    ----------
    model : RBM
        The smaller layer has at most 40 units. Takes about eight times as long as `log_partition`.
    device : {"cpu", "cuda"}
    progress, checkpoint
        As for `log_partition`.

    Returns
    -------
    Moments
        Absolute errors are of the order of 1e-14, plus 1e-16 times log Z.

    Raises
    ------
    SizeError
        If the smaller layer has more than 40 units.
    DeviceError
        If the device cannot be used.
    FileError
        If the checkpoint is that of another sum, or cannot be read or written.
    KeyboardInterrupt
        After Ctrl-C; the message says where the sum so far is kept.

    References
    ----------
    Hjorth-Jensen (2025), "Final expression": grad log Z = E[grad log f].

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> of_model = rbm.exact.moments(rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1)))
    >>> of_model.visible.round(12).tolist(), round(of_model.entropy, 6)  # 3 log 2
    ([0.5, 0.5], 2.079442)
    """
    check_summable(model, "the moments")
    turned = _smaller_layer_hidden(model)
    one = _Sum(turned, device)
    n_items, log_items, moment_items = one.split.n_items, one.items_per_block, one.moment_items
    n_log = n_items // log_items

    def work(block: int, state: State | None) -> State:
        if block < n_log:
            maximum, total = _add_log_weights(state, one.log_weights(block * log_items, (block + 1) * log_items))
            return maximum, total, np.zeros((1 + one.split.n_units, len(one.tables.center)))
        maximum, total, sums = state
        first = (block - n_log) * moment_items
        return maximum, total, sums + one.moments(first, first + moment_items, float(maximum + np.log(total)))

    maximum, total, sums = long_sum(
        work,
        n_log + n_items // moment_items,
        f"moments of 2^{one.split.n_units} states x {turned.n_visible} units",
        ("rbm moments", device, one.split[:3], turned.visible, turned.hidden, *turned.parameters),
        checkpoint,
        progress,
        cost=lambda block: log_items if block < n_log else COST_OF_MOMENTS * moment_items,
    )
    return _moments_from_sums(model, turned, one.split, sums, float(maximum + np.log(total)))


def _moments_from_sums(model: RBM, turned: RBM, split: Split, sums: np.ndarray, log_z: float) -> Moments:
    """From sums of sigma_i p_j to moments of the units' own states, and back to the layers as they were."""
    sums = sums / sums[0, -1]  # the sum of all probabilities, 1 up to rounding
    up, sigma, both = sums[0, split.slots], sums[1:, -1], sums[1:][:, split.slots]
    # v = low + (1 - low) p and h = center + half sigma; the mean of sigma_i v_j is that of low sigma_i + (1 - low)
    # sigma_i p_j.
    v_low, spread = turned.visible.low, 1 - turned.visible.low
    center, half = (1 + turned.hidden.low) / 2, (1 - turned.hidden.low) / 2
    visible = v_low + spread * up
    hidden = center + half * sigma
    visible_hidden = center * visible[:, None] + half * (v_low * sigma + spread * both.T)
    energy = -float(
        visible @ turned.visible_bias + hidden @ turned.hidden_bias + np.sum(turned.weights * visible_hidden)
    )
    if model.n_hidden > model.n_visible:  # the model was turned
        visible, hidden, visible_hidden = hidden, visible, visible_hidden.T.copy()
    return Moments(log_z, visible, hidden, visible_hidden, energy, log_z + energy)


def negative_phase(model: RBM, device: str = "cpu") -> Gradient:
    """The exact model-dependent term: E_model of v h, v and h, equal to grad log Z.

    Parameters
    ----------
    model : RBM
        The smaller layer has at most 40 units.
    device : {"cpu", "cuda"}

    Returns
    -------
    Gradient

    Raises
    ------
    SizeError
        If the smaller layer has more than 40 units.
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
    check_summable(model, "the negative phase")
    of_model = moments(model, device)
    return Gradient(of_model.visible_hidden, of_model.visible, of_model.hidden)


def gradient(model: RBM, v: np.ndarray, device: str = "cpu") -> Gradient:
    """The exact gradient of the mean log-likelihood of the rows: positive phase minus negative phase.

    Parameters
    ----------
    model : RBM
        The smaller layer has at most 40 units.
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
        If the smaller layer has more than 40 units.
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
    check_summable(model, "the gradient")
    return positive_phase(model, v, device=device).minus(negative_phase(model, device))


def sample(model: RBM, n_draws: int, seed: int = 0, device: str = "cpu", progress: bool | None = None) -> np.ndarray:
    """Independent draws of the visible units from the exact distribution: no Markov chain, no burn-in.

    A state of the smaller layer is drawn from its exact marginal (first a block of 2048 states, then a state in it),
    then the other layer given it. Each choice has a resolution of 2**-53.

    Parameters
    ----------
    model : RBM
        The smaller layer has at most 35 units. Takes the time of one `log_partition`, and some for each draw.
    n_draws : int
    seed : int
        0 to 2**64 - 1.
    device : {"cpu", "cuda"}
        Where the weights are summed.
    progress : bool, optional
        As for `log_partition`.

    Returns
    -------
    int8, shape (n_draws, n_visible)
        The same seed gives the same draws for any number of threads, and the first draws do not depend on their number.

    Raises
    ------
    InputError
        If an argument is out of range.
    SizeError
        If the smaller layer has more than 35 units.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1)
    >>> rbm.exact.sample(model, n_draws=4, seed=2).shape
    (4, 6)
    """
    check_summable(model, "sampling", MOST_SAMPLED_UNITS)
    n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
    turned = _smaller_layer_hidden(model)
    one = _Sum(turned, device, n_low=min(6, turned.n_hidden))
    kept: list[np.ndarray] = []
    _long_log_partition(turned, one, device, kept.append, None, progress)
    log_items = np.concatenate(kept)
    n_other = turned.n_visible
    numbers = rng.fine_uniforms(seed, rng.purpose.RBM_EXACT, n_draws, 2 + n_other)
    items = _choose(log_items, numbers[:, 0])

    states = np.empty(n_draws, np.int64)
    order = np.argsort(items, kind="stable")
    distinct, starts = np.unique(items[order], return_index=True)
    bounds = np.append(starts, n_draws)
    per_block = max(1, BYTES_PER_BLOCK // (20 << (one.split.n_low + one.split.n_middle)))
    for first in range(0, len(distinct), per_block):
        block = distinct[first : first + per_block]
        for k, log_weights in enumerate(one.state_log_weights(block), start=first):
            draws = order[bounds[k] : bounds[k + 1]]
            states[draws] = len(log_weights) * distinct[k] + _choose(log_weights, numbers[draws, 1])
    enumerated = np.where(states[:, None] >> np.arange(turned.n_hidden) & 1, 1, turned.hidden.low)
    up = turned.visible_mean(enumerated, device)
    if turned.visible.low == -1:
        up = (1 + up) / 2
    other = np.where(numbers[:, 2:] < up, 1, turned.visible.low)
    return (other if model.n_hidden <= model.n_visible else enumerated).astype(np.int8)


def _choose(log_weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """For each uniform number an index, drawn with probabilities proportional to e^log_weights."""
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max()))
    index = np.searchsorted(cumulative, numbers * cumulative[-1], side="right")
    return np.minimum(index, len(log_weights) - 1)
