"""Visible units held at given values: what is left is an RBM of the other units, whose hidden biases they shift.

p(v_free | v_clamped) has the weights and biases of the free units and the hidden biases c + v_clamped . W_clamped, so
that every sampler can hold units, and none has to know of it.
"""

from collections.abc import Sequence

import numpy as np

from mcgen import checks
from mcgen.errors import InputError
from mcgen.rbm.chains import Stack
from mcgen.rbm.model import RBM


class Clamped:
    """Which visible entries are held at which values, in every chain.

    Parameters
    ----------
    model : RBM
        For its units and its shape.
    n_chains : int
    clamped_units : array of int, shape (n_clamped,), or None
        Entries of the visible state; none by default. Potts units are held with all their entries.
    clamped_values : array, shape (n_clamped,) or (n_chains, n_clamped)
        Their states, the same in all chains or not.

    Attributes
    ----------
    held, free : int64 arrays
        The entries that are held, and the others, ascending.
    values : array of the model's dtype, shape (1 or n_chains, len(held))

    Raises
    ------
    InputError
        If an entry is out of range, is given two values, or has a value that is no state; if only a part of a Potts
        unit is held, or nothing is left to sample.
    """

    def __init__(
        self,
        model: RBM,
        n_chains: int,
        clamped_units: Sequence[int] | None = None,
        clamped_values: np.ndarray | None = None,
    ):
        if (clamped_units is None) != (clamped_values is None):
            given, missing = ("clamped_values", "clamped_units")[:: 1 if clamped_units is None else -1]
            raise InputError(f"{given} is given without {missing}; give both, or neither")
        n_visible = model.n_visible
        units = np.asarray([] if clamped_units is None else clamped_units)
        if units.ndim != 1 or (units.size and units.dtype.kind not in "iu"):
            raise InputError(
                f"clamped_units has shape {units.shape} and dtype {units.dtype}; give a list of indices of units"
            )
        wrong = units[(units < 0) | (units >= n_visible)]
        if wrong.size:
            raise InputError(
                f"clamped_units has the index {wrong[0]}, but the visible units of {model!r} are 0 to {n_visible - 1}"
            )
        values = np.zeros((1, 0)) if clamped_values is None else checks.finite_array("clamped_values", clamped_values)
        values = values[None] if values.ndim == 1 else values
        if values.shape not in ((1, len(units)), (n_chains, len(units))):
            raise InputError(
                f"clamped_values has shape {np.shape(clamped_values)} for {len(units)} clamped units; its shape is "
                f"to be ({len(units)},), or ({n_chains}, {len(units)}) for values of each chain"
            )
        self.held, first = np.unique(units.astype(np.int64), return_index=True)
        again = values[:, first][:, np.searchsorted(self.held, units)]
        if (again != values).any():
            place = units[np.argwhere(again != values)[0, 1]]
            raise InputError(f"clamped_units has the index {place} twice, with different values; give each unit once")
        self.free = np.setdiff1d(np.arange(n_visible), self.held)
        if not self.free.size:
            raise InputError(f"all {n_visible} visible units are clamped, so nothing is left to sample; leave one free")
        width = model.visible.entries
        together = np.bincount(self.held // width, minlength=n_visible // width)
        partly = np.flatnonzero((together > 0) & (together < width))
        if partly.size:
            raise InputError(
                f"clamped_units has a part of the {width} entries of the {model.visible.name} unit {partly[0]}; "
                "give all entries of a unit, or none"
            )
        self._part = model.visible.part(self.held)
        self.values = np.ascontiguousarray(values[:, first], model.dtype)
        if self.held.size:
            self._part.check("clamped_values", self.values, exact=True)

    def stack(self, models: Sequence[RBM]) -> Stack:
        """The parameters of the free units of models of one shape, as samplers take them."""
        kind = models[0].visible.part(self.free)
        weights = np.stack([model.weights[self.free] for model in models])
        visible_bias = np.stack([model.visible_bias[self.free] for model in models])
        hidden_bias = np.stack([self.hidden_bias(model) for model in models])
        return Stack(weights, visible_bias, hidden_bias, kind, models[0].hidden)

    def hidden_bias(self, model: RBM) -> np.ndarray:
        """c + v_clamped . W_clamped of every chain: shape (1 or n_chains, n_hidden)."""
        fields = np.repeat(model.hidden_bias[None], len(self.values), axis=0)
        for k, unit in enumerate(self.held):  # few units; a fixed order of the sum
            fields += self.values[:, k : k + 1] * model.weights[unit]
        return fields

    def conditionals(self, model: RBM, n_chains: int) -> list[tuple[RBM, np.ndarray]]:
        """The model of the free units for each distinct row of values, and the chains that have these values."""
        biases = self.hidden_bias(model)
        rows, which = np.unique(self.values, axis=0, return_inverse=True)
        which = np.broadcast_to(which.reshape(-1), (n_chains,))
        kind = model.visible.part(self.free)
        result = []
        for k in range(len(rows)):
            chains = np.flatnonzero(which == k)
            bias = biases[min(chains[0], len(biases) - 1)]
            own = RBM(model.weights[self.free], model.visible_bias[self.free], bias, kind, model.hidden)
            result.append((own, chains))
        return result

    def complete(self, states: np.ndarray) -> np.ndarray:
        """States of all visible entries from those of the free ones, shape (n_chains, ..., n_free)."""
        if not self.held.size:
            return states
        whole = np.empty((*states.shape[:-1], len(self.free) + len(self.held)), states.dtype)
        whole[..., self.free] = states
        shape = (len(self.values), *(1,) * (states.ndim - 2), len(self.held))
        whole[..., self.held] = self.values.reshape(shape)
        return whole

    def check_initial(self, initial: np.ndarray) -> np.ndarray:
        """The free part of whole states, shape (n_chains, n_visible), that must have the values of clamped units."""
        different = initial[:, self.held] != self.values
        if different.any():
            chain, k = np.argwhere(different)[0]
            raise InputError(
                f"initial has the value {initial[chain, self.held[k]]:g} at unit {self.held[k]} of chain {chain}, "
                f"which is clamped at {self.values[min(chain, len(self.values) - 1), k]:g}; make them agree, or leave "
                "out initial"
            )
        return initial[:, self.free]
