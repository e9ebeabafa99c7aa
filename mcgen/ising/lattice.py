"""The Ising model on a rectangular lattice of any dimension."""

import functools
import math
from collections.abc import Sequence

import numpy as np

from mcgen import checks
from mcgen.errors import InputError


class Ising:
    """Ising spins s = +-1 on a lattice, with energy H(s) = -sum_<ij> J_ij s_i s_j - sum_i B_i s_i.

    Parameters
    ----------
    shape : int or sequence of int
        Sites along each axis, for example (4, 4); an int makes a chain of that length.
    coupling : float or array, shape (n_dims, *shape)
        J, in units of energy. As an array, coupling[d][site] is the bond from the site to its next neighbour along axis
        d; bonds that would leave an open boundary are ignored. Positive is ferromagnetic.
    field : float or array, shape `shape`
        B, in units of energy.
    periodic : bool or sequence of bool
        Whether each axis closes on itself. A periodic axis of length 2 has two bonds between its sites.

    Attributes
    ----------
    shape, n_sites, n_dims : the lattice
    coupling, field : float64 arrays in the full shapes above, zero on open bonds
    periodic : tuple of bool, one for each axis

    Raises
    ------
    InputError
        If a shape does not fit, a number is NaN or infinite, or a periodic axis has length 1.

    Examples
    --------
    >>> from mcgen import ising
    >>> lattice = ising.Ising(shape=(4, 4))
    >>> lattice.n_sites, float(lattice.energy([[1] * 4] * 4))
    (16, -32.0)
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        coupling: float | np.ndarray = 1.0,
        field: float | np.ndarray = 0.0,
        periodic: bool | Sequence[bool] = True,
    ):
        if isinstance(shape, int | np.integer):
            shape = (shape,)
        if not isinstance(shape, Sequence | np.ndarray):
            raise InputError(f"shape={shape!r} is no list of lengths; give one for each axis, for example (4, 4)")
        self.shape = tuple(checks.integer("shape", length, 1) for length in shape)
        if not self.shape:
            raise InputError("shape=() has no axis; give at least one length, for example (4, 4)")
        self.n_dims = len(self.shape)
        self.n_sites = math.prod(self.shape)
        self.periodic = self._one_for_each_axis(periodic)
        for axis, (length, closed) in enumerate(zip(self.shape, self.periodic, strict=True)):
            if closed and length == 1:
                raise InputError(
                    f"axis {axis} has length 1 and is periodic, which would bond a site to itself; "
                    "make the axis longer, drop it, or pass periodic=False for it"
                )
        self.coupling = self._full("coupling", coupling, (self.n_dims, *self.shape)).copy()
        for axis, closed in enumerate(self.periodic):
            if not closed:
                last = [slice(None)] * self.n_dims
                last[axis] = -1
                self.coupling[(axis, *last)] = 0.0
        self.field = self._full("field", field, self.shape)
        self.coupling.setflags(write=False)
        self.field.setflags(write=False)

    def _one_for_each_axis(self, periodic: bool | Sequence[bool]) -> tuple[bool, ...]:
        if isinstance(periodic, bool | np.bool_):
            return (bool(periodic),) * self.n_dims
        if not isinstance(periodic, Sequence | np.ndarray):
            raise InputError(f"periodic={periodic!r} is no truth value; give True, False or one of them for each axis")
        flags = tuple(bool(flag) for flag in periodic)
        if len(flags) != self.n_dims:
            raise InputError(
                f"periodic has {len(flags)} entries for {self.n_dims} axes; give one bool, or one for each axis"
            )
        return flags

    @staticmethod
    def _full(name: str, value: float | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        array = checks.finite_array(name, value).astype(np.float64)
        if array.ndim == 0:
            return np.full(shape, float(array))
        return checks.finite_array(name, array, shape).copy()

    def __repr__(self) -> str:
        def short(array: np.ndarray) -> str:
            return f"{array.flat[0]:g}" if np.ptp(array) == 0 else f"<array {array.shape}>"

        inside = np.concatenate([self.coupling[axis][self._bonded(axis)].ravel() for axis in range(self.n_dims)])
        coupling = short(inside) if inside.size and np.ptp(inside) == 0 else f"<array {self.coupling.shape}>"
        periodic = self.periodic[0] if len(set(self.periodic)) == 1 else self.periodic
        return f"Ising(shape={self.shape}, coupling={coupling}, field={short(self.field)}, periodic={periodic})"

    def _bonded(self, axis: int) -> tuple[slice, ...]:
        """The sites that have a bond along the axis."""
        selection = [slice(None)] * self.n_dims
        if not self.periodic[axis]:
            selection[axis] = slice(0, -1)
        return tuple(selection)

    @property
    def is_bipartite(self) -> bool:
        """Whether the sites split into two colours with bonds only between the two."""
        return all(length % 2 == 0 or not closed for length, closed in zip(self.shape, self.periodic, strict=True))

    @functools.cached_property
    def neighbor_table(self) -> tuple[np.ndarray, np.ndarray]:
        """The neighbours of every site and the couplings to them: int32 and float64, shape (n_sites, 2 n_dims).

        Sites are numbered in row-major order. Open boundaries have the coupling 0.
        """
        sites = np.arange(self.n_sites, dtype=np.int32).reshape(self.shape)
        neighbors, couplings = [], []
        for axis in range(self.n_dims):
            neighbors += [np.roll(sites, -1, axis), np.roll(sites, 1, axis)]
            couplings += [self.coupling[axis], np.roll(self.coupling[axis], 1, axis)]
        return (
            np.ascontiguousarray(np.stack([array.ravel() for array in neighbors], axis=1)),
            np.ascontiguousarray(np.stack([array.ravel() for array in couplings], axis=1)),
        )

    @property
    def coupling_matrix(self) -> np.ndarray:
        """J_ij between all pairs of sites, symmetric: float64, shape (n_sites, n_sites). For small lattices."""
        neighbors, couplings = self.neighbor_table
        matrix = np.zeros((self.n_sites, self.n_sites))
        np.add.at(matrix, (np.arange(self.n_sites)[:, None], neighbors), couplings)
        return matrix

    @functools.cached_property
    def checkerboard(self) -> np.ndarray:
        """The sites, all of even coordinate sum first, then the odd ones: int32, shape (n_sites,)."""
        colour = np.indices(self.shape).sum(axis=0).ravel() % 2
        return np.argsort(colour, kind="stable").astype(np.int32)

    def check_states(self, states: np.ndarray, name: str = "states") -> np.ndarray:
        """The states as an int8 array of shape (..., *shape), checked to be spins on this lattice.

        Raises
        ------
        InputError
            If the last axes are not `shape` or a value is not +-1.
        """
        states = checks.finite_array(name, states)
        if states.shape[-self.n_dims :] != self.shape:
            raise InputError(f"{name} has shape {states.shape}; its last axes must be the lattice's shape {self.shape}")
        return checks.alphabet(name, states, (-1, 1), "spin").astype(np.int8, copy=False)

    def energy(self, states: np.ndarray) -> np.ndarray:
        """H(s) of each state, in units of energy, total over the lattice.

        Parameters
        ----------
        states : array of +-1, shape (..., *shape)

        Returns
        -------
        float64, shape (...)

        Raises
        ------
        InputError
            If a shape does not fit or a value is not +-1.
        """
        states = self.check_states(states)
        axes = tuple(range(-self.n_dims, 0))
        total = -np.tensordot(states, self.field, axes=(axes, tuple(range(self.n_dims)))) if self.field.any() else 0.0
        for axis in range(self.n_dims):
            bonds = states * np.roll(states, -1, axis - self.n_dims)
            inside = (..., *self._bonded(axis))
            coupling = self.coupling[axis]
            strengths = coupling[self._bonded(axis)]
            if strengths.size == 0:
                continue
            if np.ptp(strengths) == 0:  # sum the bonds as integers: exact, and no array of reals
                total = total - strengths.flat[0] * bonds[inside].sum(axis=axes, dtype=np.int64)
            else:
                total = total - np.tensordot(bonds, coupling, axes=(axes, tuple(range(self.n_dims))))
        return np.asarray(total, np.float64) + np.zeros(states.shape[: -self.n_dims])

    def magnetization(self, states: np.ndarray) -> np.ndarray:
        """M(s) = sum_i s_i of each state.

        Parameters
        ----------
        states : array of +-1, shape (..., *shape)

        Returns
        -------
        int64, shape (...)

        Raises
        ------
        InputError
            If a shape does not fit or a value is not +-1.
        """
        return self.check_states(states).sum(axis=tuple(range(-self.n_dims, 0)), dtype=np.int64)
