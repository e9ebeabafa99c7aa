"""A look at a few states of a file that may be larger than the memory."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mcgen import hdf5
from mcgen.errors import FileError
from mcgen.hdf5 import Listing
from mcgen.results.groups import is_stacked
from mcgen.results.loading import refuse, version_of
from mcgen.results.schema import check_listing


def last_states(path: str | Path, n_chains: int) -> list[np.ndarray]:
    """The last states of some chains, read without the others.

    Parameters
    ----------
    path : str or Path
        A file of samples.
    n_chains : int
        The first so many chains, or all if there are fewer.

    Returns
    -------
    list of arrays, shape (n_chains, 1, ...)
        One for each temperature; empty if the file holds no states.

    Raises
    ------
    FileError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from mcgen import ising, results
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.h5"
    >>> run = ising.sample(ising.Ising((4, 4)), temperature=2.0, n_chains=8, n_draws=5, seed=1)
    >>> [states.shape for states in results.last_states(results.save(path, run), n_chains=3)]
    [(3, 1, 4, 4)]
    """
    found, stacked, _ = _some(path, lambda *_: (slice(None), slice(n_chains), slice(-1, None)))
    if found is None:
        return []
    return list(found) if stacked else [found]


def states_part(path: str | Path, k: int, first: int, n_bytes: int) -> tuple[np.ndarray, int]:
    """Some states of one entry, of all chains.

    Parameters
    ----------
    path : str or Path
        A file of samples.
    k : int
        Which of several entries.
    first : int
        The first draw.
    n_bytes : int
        How much to read, at least one draw.

    Returns
    -------
    states : array, shape (n_chains, n_read, ...)
    n_draws : int
        How many draws the file has.

    Raises
    ------
    FileError
        If the file cannot be read, or holds no states.
    """

    def place(shape: tuple[int, ...], itemsize: int) -> tuple[slice, ...]:
        per_draw = shape[1] * math.prod(shape[3:]) * itemsize
        return slice(k, k + 1), slice(None), slice(first, first + max(1, n_bytes // per_draw))

    found, stacked, n_draws = _some(path, place)
    if found is None:
        raise FileError(f"{path} holds no states; sample again with them")
    return (found[0] if stacked else found), n_draws


def _some(path: str | Path, place: Callable[..., tuple[slice, ...]]) -> tuple[np.ndarray | None, bool, int]:
    """A part of the states, if there are any; whether they have an axis of entries; and the number of draws.

    place(shape, itemsize) gives the part of (entry, chain, draw).
    """
    stacked, n_draws = False, 0

    def choose(listing: Listing) -> dict[str, tuple[slice, ...]]:
        nonlocal stacked, n_draws
        refuse(path, check_listing(listing, version_of(path, listing)))
        group = listing.groups.get("samples", {})
        if "states" not in group or 0 in group["states"].shape:
            return {}
        stacked, states = is_stacked({name: len(entry.shape) for name, entry in group.items()}), group["states"]
        shape = states.shape if stacked else (1, *states.shape)
        n_draws = shape[2]
        found = (*place(shape, states.dtype.itemsize), *[slice(None)] * (len(shape) - 3))
        return {"samples/states": found if stacked else found[1:]}

    groups = hdf5.read(path, choose)[1]
    return groups.get("samples", {}).get("states"), stacked, n_draws
