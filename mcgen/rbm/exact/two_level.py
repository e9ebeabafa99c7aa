"""Exact sums for two-level units in both layers: sums of products, without exponentials or logarithms.

The states of the smaller layer are enumerated, the other layer is summed in closed form,
Z = sum_h e^{c.h} prod_i sum_{v_i} e^{v_i (b_i + sum_j W_ij h_j)}, and e^{sum_j W_ij h_j} is a product of numbers from
tables over parts of h.
"""

import math
import os
from collections.abc import Callable

import numpy as np

from mcgen import backend, rng
from mcgen.long_sums import State, long_sum, spread
from mcgen.parallel import ALONE, World
from mcgen.rbm.exact import log_weights as logs
from mcgen.rbm.model import RBM
from mcgen.rbm.sums import tables
from mcgen.rbm.sums.tables import LN2, Split

# Terms of one kernel call: long enough to hide its start, short enough for progress and Ctrl-C.
TERMS_PER_BLOCK = {"cpu": 1 << 32, "cuda": 1 << 37}
# Moments take seven times as long as log Z, on top of it.
COST_OF_MOMENTS = 7
# Bytes of working arrays of one kernel call, where it returns more than a number for each item.
BYTES_PER_BLOCK = 1 << 25


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

    def log_weights_of_block(self, block: int) -> np.ndarray:
        """The same for the items of one block of the sum."""
        return self.log_weights(block * self.items_per_block, (block + 1) * self.items_per_block)

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


def _long_log_partition(
    model: RBM,
    one: _Sum,
    device: str,
    keep: Callable[[np.ndarray], object],
    checkpoint: str | os.PathLike | None,
    progress: bool | None,
    world: World = ALONE,
) -> float:
    """Log Z as a long sum; `keep` is given the log weights of the items, block by block."""
    n_blocks = one.split.n_items // one.items_per_block
    weights_of = spread(one.log_weights_of_block, n_blocks, world)

    def work(block: int, state: State | None) -> State:
        log_weights = weights_of(block)
        keep(log_weights)
        return logs.add(state, log_weights)

    label = f"log Z of 2^{one.split.n_units} states x {model.n_visible} units"
    parts = ("rbm log Z", device, one.split[:3], model.visible, model.hidden, *model.parameters)
    maximum, total = long_sum(work, n_blocks, label, parts, checkpoint, progress, world=world)
    return float(maximum + np.log(total))


def log_partition(
    model: RBM, device: str, progress: bool | None, checkpoint: str | os.PathLike | None, world: World = ALONE
) -> float:
    """Log Z; arguments as for `rbm.exact.log_partition`."""
    turned = _smaller_layer_hidden(model)
    one = _Sum(turned, device)
    return _long_log_partition(turned, one, device, lambda log_weights: None, checkpoint, progress, world)


def all_log_weights(model: RBM, device: str) -> np.ndarray:
    """log sum_h e^{-E(v, h)} of every visible state, by state index."""
    one = _Sum(_in_float64(model).transposed(), device)
    n_items = one.split.n_items
    per_block = min(n_items, max(1, BYTES_PER_BLOCK // (12 << (one.split.n_low + one.split.n_middle))))
    log_weights = np.empty(1 << model.n_visible)
    rows = log_weights.reshape(n_items, -1)
    for first in range(0, n_items, per_block):
        rows[first : first + per_block] = one.state_log_weights(np.arange(first, min(first + per_block, n_items)))
    return log_weights


def moments(
    model: RBM, device: str, progress: bool | None, checkpoint: str | os.PathLike | None, world: World = ALONE
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, float]:
    """Log Z, <v_i>, <h_j>, <v_i h_j> and <E>; arguments as for `rbm.exact.moments`.

    First log Z, then, with the weights of the states known, the sums of p(state) sigma_i p(s_j = up | state): the same
    tables, four units sharing a division.
    """
    turned = _smaller_layer_hidden(model)
    one = _Sum(turned, device)
    n_items, log_items, moment_items = one.split.n_items, one.items_per_block, one.moment_items
    n_log = n_items // log_items
    n_moments = n_items // moment_items
    weights_of = spread(one.log_weights_of_block, n_log, world)
    moments_of = spread(
        lambda block, log_z: one.moments(block * moment_items, (block + 1) * moment_items, log_z), n_moments, world
    )

    def work(block: int, state: State | None) -> State:
        if block < n_log:
            maximum, total = logs.add(state, weights_of(block))
            return maximum, total, np.zeros((1 + one.split.n_units, len(one.tables.center)))
        maximum, total, sums = state
        return maximum, total, sums + moments_of(block - n_log, float(maximum + np.log(total)))

    maximum, total, sums = long_sum(
        work,
        n_log + n_moments,
        f"moments of 2^{one.split.n_units} states x {turned.n_visible} units",
        ("rbm moments", device, one.split[:3], turned.visible, turned.hidden, *turned.parameters),
        checkpoint,
        progress,
        cost=lambda block: log_items if block < n_log else COST_OF_MOMENTS * moment_items,
        world=world,
    )
    return averages_of_units(model, turned, one.split, sums, float(maximum + np.log(total)))


def averages_of_units(
    model: RBM, turned: RBM, split: Split, sums: np.ndarray, log_z: float
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, float]:
    """From sums of sigma_i p_j to moments of the units' own states, and back to the layers as they were."""
    sums = sums / sums[0, -1]  # the sum of all probabilities, 1 up to rounding
    up, sigma, both = sums[0, split.slots], sums[1:, -1], sums[1:][:, split.slots]
    # v = low + (1 - low) p and h = center + half sigma; the mean of sigma_i v_j is that of low sigma_i + (1 - low)
    # sigma_i p_j.
    v_low, spread = turned.visible.low, 1 - turned.visible.low
    center, half = turned.hidden.center, turned.hidden.half
    visible = v_low + spread * up
    hidden = center + half * sigma
    visible_hidden = center * visible[:, None] + half * (v_low * sigma + spread * both.T)
    energy = -float(
        visible @ turned.visible_bias + hidden @ turned.hidden_bias + np.sum(turned.weights * visible_hidden)
    )
    if model.n_hidden > model.n_visible:  # the model was turned
        visible, hidden, visible_hidden = hidden, visible, visible_hidden.T.copy()
    return log_z, visible, hidden, visible_hidden, energy


def sample(model: RBM, n_draws: int, seed: int, device: str, progress: bool | None) -> np.ndarray:
    """Independent draws of the visible units; arguments as for `rbm.exact.sample`.

    A state of the smaller layer is drawn from its exact marginal (first a block of 2048 states, then a state in it),
    then the other layer given it. Each choice has a resolution of 2**-53.
    """
    turned = _smaller_layer_hidden(model)
    one = _Sum(turned, device, n_low=min(6, turned.n_hidden))
    kept: list[np.ndarray] = []
    _long_log_partition(turned, one, device, kept.append, None, progress)
    log_items = np.concatenate(kept)
    n_other = turned.n_visible
    numbers = rng.fine_uniforms(seed, rng.purpose.RBM_EXACT, n_draws, 2 + n_other)
    items = logs.choose(log_items, numbers[:, 0])

    states = np.empty(n_draws, np.int64)
    order = np.argsort(items, kind="stable")
    distinct, starts = np.unique(items[order], return_index=True)
    bounds = np.append(starts, n_draws)
    per_block = max(1, BYTES_PER_BLOCK // (20 << (one.split.n_low + one.split.n_middle)))
    for first in range(0, len(distinct), per_block):
        block = distinct[first : first + per_block]
        for k, log_weights in enumerate(one.state_log_weights(block), start=first):
            draws = order[bounds[k] : bounds[k + 1]]
            states[draws] = len(log_weights) * distinct[k] + logs.choose(log_weights, numbers[draws, 1])
    enumerated = np.where(states[:, None] >> np.arange(turned.n_hidden) & 1, 1, turned.hidden.low)
    up = turned.visible_mean(enumerated, device)
    if turned.visible.low == -1:
        up = (1 + up) / 2
    other = np.where(numbers[:, 2:] < up, 1, turned.visible.low)
    return (other if model.n_hidden <= model.n_visible else enumerated).astype(np.int8)
