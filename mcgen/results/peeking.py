"""A look at a few states of a file that may be larger than the memory."""

from pathlib import Path

import h5py
import numpy as np

from mcgen.errors import FileError
from mcgen.results.groups import Entries


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
    try:
        with h5py.File(path, "r") as file:
            if "states" not in file.get("samples", ()):
                return []
            states = file["samples/states"]
            if 0 in states.shape:
                return []
            if Entries(file["samples"]).stacked:
                return [states[k, :n_chains, -1:] for k in range(len(states))]
            return [states[:n_chains, -1:]]
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise FileError(f"{path} cannot be read ({error}); it is damaged or incomplete, make it again") from error
