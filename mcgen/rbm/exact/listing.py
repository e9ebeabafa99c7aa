"""Exact sums by listing the states of one layer; the other layer, of any kind, is summed or integrated out.

A state s of the listed layer has the weight e^{a.s + sum_j Gamma_j(x_j(s))}, with a the layer's biases and Gamma_j the
cumulant function of unit j of the other layer in its field x_j(s).
"""

import os

import numpy as np

from mcgen import backend
from mcgen.long_sums import State, long_sum, spread
from mcgen.parallel import ALONE, World
from mcgen.rbm.exact import log_weights
from mcgen.rbm.model import RBM

# Fields (states times units of the other layer) of one kernel call: they stay in the second-level caches of the cores.
TERMS_PER_BLOCK = {"cpu": 1 << 19, "cuda": 1 << 24}


class Listing:
    """The states of one layer in blocks, each of which has all states of the first units, and the others fixed.

    A fixed unit is a bias of the other layer: the rows of the first units, and what is made of them, serve all blocks.

    Parameters
    ----------
    model : RBM
    layer : {"visible", "hidden"}
        The layer to list, of units with finitely many states.
    device : {"cpu", "cuda"}

    Attributes
    ----------
    n_blocks, n_rows : int
        Blocks, and states of each; state `row` of block `block` has the index block * n_rows + row.
    n_other : int
        Entries of the other layer.
    """

    def __init__(self, model: RBM, layer: str, device: str):
        self.target = backend.target(device)
        turned = model if layer == "visible" else model.transposed()
        weights, bias, self.other_bias = (np.array(array, np.float64) for array in turned.parameters)
        self.kind, self.other = turned.visible, turned.hidden
        self.n_other = turned.n_hidden
        n_first = self.kind.entries
        while (
            n_first < turned.n_visible
            and self.kind.n_states(n_first + self.kind.entries) * self.n_other <= TERMS_PER_BLOCK[device]
        ):
            n_first += self.kind.entries
        self.n_fixed = turned.n_visible - n_first
        self.n_rows, self.n_blocks = self.kind.n_states(n_first), self.kind.n_states(self.n_fixed)
        self.first_weights, self.fixed_weights = weights[:n_first], weights[n_first:]
        self.fixed_bias = bias[n_first:]
        self.rows = self.kind.list_states(n_first, 0, self.n_rows)
        self.identity = (layer, *self.kind.kernel_arguments, *self.other.kernel_arguments, *turned.parameters)

        self.kernels = self.target.kernels("rbm")
        self.there = tuple(map(self.target.to_device, (self.rows, self.first_weights)))
        self.bias_there = self.target.to_device(bias[:n_first])
        self.other_there = self.other.arguments_on(self.target)
        self.energies = self.target.to_device(np.empty(self.n_rows))
        self.fields = self.target.to_device(np.empty((self.n_rows, self.n_other)))

    def fixed_states(self, block: int) -> np.ndarray:
        """The states of the fixed units of a block: (n_fixed,)."""
        return self.kind.list_states(self.n_fixed, block, block + 1)[0]

    def block_bias(self, block: int) -> np.ndarray:
        """The biases of the other layer, and the fields of the block's fixed units: (n_other,)."""
        return self.other_bias + np.einsum("i,ij->j", self.fixed_states(block), self.fixed_weights)

    def states(self, index: np.ndarray) -> np.ndarray:
        """The states with these indices: (len(index), n_entries)."""
        fixed = self.kind.list_states(self.n_fixed, 0, self.n_blocks)
        return np.hstack([self.rows[index % self.n_rows], fixed[index // self.n_rows]])

    def log_weights(self, block: int) -> np.ndarray:
        """The log weights of the states of a block: (n_rows,)."""
        bias = self.target.to_device(self.block_bias(block))
        arrays = (self.energies, self.fields, *self.there, self.bias_there, bias)
        self.target.launch(self.kernels.free_energies, self.n_rows, 1, *arrays, *self.other_there)
        return np.sum(self.fixed_states(block) * self.fixed_bias) - self.target.to_host(self.energies)

    def sums(self, block: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The weighted sums over the states s of a block of s <t>, s and <t>, t being the states of the other layer.

        Parameters
        ----------
        block : int
        weights : float64 (n_rows,)

        Returns
        -------
        float64 (n_entries, n_other), (n_entries,), (n_other,)
        """
        target, n_first = self.target, self.rows.shape[1]
        bias = target.to_device(self.block_bias(block))
        arrays = (self.fields, *self.there, bias, *self.other_there)
        target.launch(self.kernels.layer_means, self.n_rows, self.n_other, *arrays)
        shapes = (n_first, self.n_other), n_first, self.n_other
        results = [target.to_device(np.empty(shape)) for shape in shapes]
        arrays = (*results, self.there[0], self.fields, target.to_device(weights))
        target.launch(self.kernels.phase_statistics, n_first + 1, self.n_other, *arrays)
        both, own, other = map(target.to_host, results)
        fixed = self.fixed_states(block)
        return np.vstack([both, np.outer(fixed, other)]), np.append(own, fixed * weights.sum()), other


def all_log_weights(listing: Listing) -> np.ndarray:
    """The log weight of every state, by state index: (n_blocks * n_rows,)."""
    return np.concatenate([listing.log_weights(block) for block in range(listing.n_blocks)])


def log_partition(
    listing: Listing, checkpoint: str | os.PathLike | None, progress: bool | None, world: World = ALONE
) -> float:
    """Log Z, as a long sum over the blocks."""
    weights_of = spread(listing.log_weights, listing.n_blocks, world)

    def work(block: int, state: State | None) -> State:
        return log_weights.add(state, weights_of(block))

    maximum, total = long_sum(
        work, listing.n_blocks, _label("log Z", listing), ("rbm log Z", *listing.identity), checkpoint, progress,
        world=world,
    )  # fmt: skip
    return float(maximum + np.log(total))


def first_moments(
    listing: Listing, checkpoint: str | os.PathLike | None, progress: bool | None, world: World = ALONE
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Log Z, <v_i>, <h_j>, <v_i h_j> with v the listed layer and h the other, in one long sum over the blocks."""

    def term(block: int) -> State:
        of_block = listing.log_weights(block)
        maximum, total = log_weights.add(None, of_block)
        return maximum, total, *listing.sums(block, np.exp(of_block - maximum))

    sums_of = spread(term, listing.n_blocks, world)

    def work(block: int, state: State | None) -> State:
        new = sums_of(block)
        if state is None:
            return new
        maximum = np.maximum(state[0], new[0])
        scales = np.exp(state[0] - maximum), np.exp(new[0] - maximum)
        return maximum, *(scales[0] * before + scales[1] * now for before, now in zip(state[1:], new[1:], strict=True))

    maximum, total, both, listed, other = long_sum(
        work, listing.n_blocks, _label("moments", listing), ("rbm moments", *listing.identity), checkpoint, progress,
        world=world,
    )  # fmt: skip
    return float(maximum + np.log(total)), listed / total, other / total, both / total


def _label(what: str, listing: Listing) -> str:
    return f"{what} of {listing.n_blocks * listing.n_rows} states x {listing.n_other} units"
