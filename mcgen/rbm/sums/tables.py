"""The tables from which the exact sums over one layer of an RBM are made.

The states of the enumerated layer are written with sigma_i = +-1. With x_j the field on unit j of the other layer and
s_j = low, 1 its states, sum_s e^{x_j s} = e^{low x_j} (1 + e^{y_j}), y_j = (1 - low) x_j. So a state has the weight

    w(sigma) = e^{a_0 + sum_i a_i sigma_i} prod_j (1 + e^{y_j}),    y_j = center_j + sum_i sigma_i half_ij:

every pair of two-level unit kinds is this one sum. The enumerated units are split in three parts, low, middle and top,
and e^{y_j} is the product of one number from a table for each part.
"""

import math
from typing import NamedTuple

import numpy as np

from mcgen.memory import aligned
from mcgen.rbm.model import RBM
from mcgen.rbm.sums.formulas import MOST_ROWS, STATES_PER_TILE, UNITS_PER_GROUP

MIDDLE_UNITS = MOST_ROWS.bit_length() - 1
# A product of factors whose logarithms add up to this, e^680 = 10^295, leaves room for what multiplies it.
LARGEST_LOG = 680.0
# Rows are padded to the largest tile of the CPU kernels.
FEWEST_ROWS = 4
LN2 = math.log(2.0)


class Tables(NamedTuple):
    """The canonical sum, ready for the kernels.

    Slots stand for units of the other layer, in an order of the tables' own: first those whose factors can be
    multiplied as they are, in groups; then the wide ones, whose e^y may leave the range of a float64. Where a group is
    padded, a slot stands for no unit.

    center : float64 (n_slots + 1,)
        center_j; the last number is a_0.
    top : float64 (n_top_units, n_slots + 1)
        half_ij of the top units; the last column is a_i.
    middle : float64 (n_rows, n_slots)
        e^{sum_i sigma_i half_ij} of the middle units' states (the sum itself for wide slots); rows are padded.
    middle_mantissas, middle_exponents : float64 and int64 (n_rows,)
        The middle units' own factor; 0 for padding.
    low : float64 (n_tiles, n_slots, 64)
        Likewise for the low units, in tiles of 64 states.
    low_mantissas, low_exponents : float64 and int64 (n_tiles, 64)
    groups : int64 (n_groups + 1,)
        Slots groups[g] ... groups[g + 1] - 1 form a group.
    renormalize : bool (n_groups,)
        Whether the exponents are to be taken out of the products after a group.
    ranged : bool
        Whether the states of a tile have exponents of their own; if not, low_exponents is one number for a tile.
    """

    center: np.ndarray
    top: np.ndarray
    middle: np.ndarray
    middle_mantissas: np.ndarray
    middle_exponents: np.ndarray
    low: np.ndarray
    low_mantissas: np.ndarray
    low_exponents: np.ndarray
    groups: np.ndarray
    renormalize: np.ndarray
    ranged: bool


class Split(NamedTuple):
    """How the enumerated units are split, and the slot of each unit of the other layer."""

    n_low: int
    n_middle: int
    n_top: int
    slots: np.ndarray

    @property
    def n_items(self) -> int:
        """States of the top units: the pieces of work of a kernel."""
        return 1 << self.n_top

    @property
    def n_units(self) -> int:
        """Enumerated units."""
        return self.n_low + self.n_middle + self.n_top


def split_units(n_units: int, n_low: int | None = None) -> tuple[int, int, int]:
    """How many of the enumerated units are low, middle and top.

    More low units save work, since the top factors are computed once for all low states; more items keep all threads
    busy.
    """
    n_low = min(n_units, max(6, min(10, n_units - 12)) if n_low is None else n_low)
    n_middle = min(MIDDLE_UNITS, n_units - n_low)
    return n_low, n_middle, n_units - n_low - n_middle


def make(model: RBM, n_low: int | None = None) -> tuple[Tables, Split]:
    """The tables for the sum over the states of the hidden layer of a float64 model, the visible layer summed out.

    Parameters
    ----------
    model : RBM
    n_low : int, optional
        Number of low units, at least 6 where there are so many.

    Returns
    -------
    Tables, Split

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.sums import tables
    >>> arrays, split = tables.make(rbm.RBM.random(n_visible=20, n_hidden=16, seed=1))
    >>> arrays.low.shape, split.n_items
    ((1, 20, 64), 32)
    """
    center, half, own_center, own = _canonical(model)
    n_low, n_middle, n_top = split_units(model.n_hidden, n_low)
    units, groups, renormalize, n_narrow = _slots(center, half)
    # By slots instead of units, 0 where a slot stands for none; the enumerated layer's own a is the last column.
    center = np.append(np.where(units >= 0, center[units], 0.0), own_center)
    half = np.column_stack([np.where(units >= 0, half[:, units], 0.0), own])
    low, low_mantissas, low_exponents = _low_tables(half[:n_low], units, n_narrow)
    tops = low_exponents.max(axis=1, keepdims=True)
    ranged = bool(renormalize.any() or n_narrow < len(units) or (tops - low_exponents).max() > 900)
    if not ranged:  # the exponents of a tile fit into its mantissas
        low_mantissas[:] = np.ldexp(low_mantissas, (low_exponents - tops).astype(np.int32))
        low_exponents[:] = tops
    arrays = Tables(
        center,
        half[n_low + n_middle :],
        *_middle_tables(half[n_low : n_low + n_middle], n_narrow),
        low,
        low_mantissas,
        low_exponents,
        groups,
        renormalize,
        ranged,
    )
    slot_of_unit = np.empty(model.n_visible, np.int64)
    slot_of_unit[units[units >= 0]] = np.flatnonzero(units >= 0)
    return arrays, Split(n_low, n_middle, n_top, slot_of_unit)


def _canonical(model: RBM) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """center (n_other,), half (n_enumerated, n_other), a_0 and a (n_enumerated,): see the head of this file."""
    hidden_center, hidden_half = model.hidden.center, model.hidden.half
    field_center = model.visible_bias + hidden_center * model.weights.sum(axis=1)
    field_half = hidden_half * model.weights.T
    spread = 1 - model.visible.low
    own = hidden_half * model.hidden_bias + model.visible.low * field_half.sum(axis=1)
    own_center = hidden_center * model.hidden_bias.sum() + model.visible.low * field_center.sum()
    return spread * field_center, spread * field_half, own_center, own


def _low_tables(half: np.ndarray, units: np.ndarray, n_narrow: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tables of the low units. Fewer than 64 states are padded with the first one, of mantissa 0."""
    n_states = 1 << min(6, len(half))
    inner, outer = _sums(half[:6])[np.arange(STATES_PER_TILE) % n_states].T, _sums(half[6:])
    low = aligned((len(outer), len(units), STATES_PER_TILE))
    # An exponential for each tile and for each of its states, and a product for each number of the table.
    inner_e = np.exp(inner[:n_narrow])
    inner_e[units[:n_narrow] < 0] = 0.0
    np.multiply(np.exp(outer[:, :n_narrow, None]), inner_e, out=low[:, :n_narrow])
    np.add(outer[:, n_narrow:-1, None], inner[n_narrow:-1], out=low[:, n_narrow:])
    mantissas = aligned((len(outer), STATES_PER_TILE))
    mantissas[:], exponents = _pairs(outer[:, -1:] + inner[-1])
    mantissas[:, n_states:] = 0.0
    return low, mantissas, exponents


def _middle_tables(half: np.ndarray, n_narrow: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tables of the middle units. Fewer than four rows are padded with the first ones, of mantissa 0."""
    n_states = 1 << len(half)
    sums = _sums(half)[np.arange(max(FEWEST_ROWS, n_states)) % n_states]
    mantissas, exponents = _pairs(sums[:, -1])
    mantissas[n_states:] = 0.0
    sums[:, :n_narrow] = np.exp(sums[:, :n_narrow])
    return sums[:, :-1].copy(), mantissas, exponents


def _slots(center: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The unit of each slot (-1 for none), the groups, where to renormalise, and the number of slots that are not wide.

    Groups hold multiples of four slots, as many as the moments take together.
    """
    reach = np.abs(center) + np.abs(half).sum(axis=0)  # no |y|, nor that of any part, is larger
    growth = np.logaddexp(0.0, center + np.abs(half).sum(axis=0))  # no log(1 + e^y) is larger
    narrow = np.flatnonzero(reach <= LARGEST_LOG)
    slots: list[int] = []
    groups, growths = [0], [0.0]
    for unit in narrow:
        if len(slots) - groups[-1] == UNITS_PER_GROUP or growths[-1] + growth[unit] > LARGEST_LOG:
            slots += [-1] * (-len(slots) % 4)
            groups.append(len(slots))
            growths.append(0.0)
        slots.append(int(unit))
        growths[-1] += growth[unit]
    slots += [-1] * (-len(slots) % 4)
    groups.append(len(slots))
    renormalize = [False] * len(growths)
    total = growths[0]
    for group in range(1, len(growths)):
        if total + growths[group] > LARGEST_LOG:
            renormalize[group - 1] = True
            total = LN2  # a mantissa is below 2
        total += growths[group]
    n_narrow = len(slots)
    slots += np.flatnonzero(reach > LARGEST_LOG).tolist()
    return np.array(slots, np.int64), np.array(groups, np.int64), np.array(renormalize, np.bool_), n_narrow


def _sums(numbers: np.ndarray) -> np.ndarray:
    """sum_i sigma_i numbers[i] for every state of the units i, by doubling: one addition each."""
    sums = np.zeros((1 << len(numbers), numbers.shape[1]))
    for i in range(len(numbers)):
        half = 1 << i
        sums[half : 2 * half] = sums[:half] + numbers[i]
        sums[:half] -= numbers[i]
    return sums


def _pairs(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers e^log_weights as mantissas and exponents, whatever their size."""
    powers = np.rint(log_weights / LN2)
    return np.exp(log_weights - powers * LN2), powers.astype(np.int64)
