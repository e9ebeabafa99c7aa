"""Rows of data to learn from."""

from pathlib import Path

import h5py
import numpy as np

from mcgen import checks, ising
from mcgen.errors import FileError, InputError
from mcgen.observables.averages import spins
from mcgen.results.loading import load_study

# States that are looked at together.
BYTES_AT_ONCE = 1 << 24


def load_rows(path: str | Path, real: bool = False) -> list[tuple[float | None, np.ndarray, ising.Ising | None]]:
    """Read rows of data, one table for each temperature in the file.

    Parameters
    ----------
    path : str or Path
        An HDF5 file of samples written by mcgen, a NumPy .npy file, or text with one row of numbers on each line.
    real : bool
        Whether any finite numbers will do, as for continuous units, instead of 0 and 1, or -1 and 1.

    Returns
    -------
    list of (temperature or None, rows (n_rows, n_units), lattice or None)
        Rows are int8, or float64 with `real`; those of samples have the type that they were saved with.

    Raises
    ------
    FileError
        If the file cannot be read or holds no rows.
    InputError
        If a value is not 0, 1 or -1, or both 0 and -1 occur; with `real`, if one is NaN or infinite.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from mcgen import results
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.txt"
    >>> np.savetxt(path, [[0, 1, 1], [1, 0, 1]])
    >>> results.load_rows(path)[0][1].tolist()
    [[0, 1, 1], [1, 0, 1]]
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path} is not a file; check the path")
    if h5py.is_hdf5(path):
        study = load_study(path)
        if not study.samples:
            raise FileError(
                f"{path} holds no samples; give a file written by 'mcgen ising sample' or 'mcgen rbm sample'"
            )
        if study.samples[0].states.shape[1] == 0:
            raise FileError(
                f"{path} holds energies and magnetisations but no states; sample again without --no-states "
                "(keep_states=True)"
            )
        temperatures = study.temperatures or (None,)
        tables = []
        for temperature, run in zip(temperatures, study.samples, strict=True):
            rows = run.states.reshape(-1, int(np.prod(run.states.shape[2:])))
            # States in int8 were drawn: no second look at billions.
            checked = rows if rows.dtype == np.int8 else _checked(path, rows, real)
            tables.append((temperature, checked, study.lattice))
        return tables
    try:
        rows = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, ndmin=2)
    except (ValueError, OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read as a table of numbers ({error}); give rows of 0 and 1") from error
    if rows.ndim != 2 or rows.size == 0:
        raise FileError(f"{path} has shape {rows.shape}; give a table with at least one row")
    return [(None, _checked(path, rows, real).astype(np.float64 if real else np.int8), None)]


def _checked(path: Path, rows: np.ndarray, real: bool) -> np.ndarray:
    if real:
        return checks.finite_array(str(path), rows)
    values = set(np.unique(rows).tolist())
    if not (values <= {0, 1} or values <= {-1, 1}):
        wrong = sorted(values - {0, 1})[:5]
        raise InputError(
            f"{path} holds the values {wrong}; rows must hold 0 and 1, or -1 and 1, but for continuous units "
            "(real=True, --units gaussian)"
        )
    return rows


def lattice_series(path: str | Path, k: int, lattice: ising.Ising) -> tuple[np.ndarray, np.ndarray]:
    """Energies and magnetisations, on a lattice, of the states of one model in a file, read piece by piece.

    Parameters
    ----------
    path : str or Path
    k : int
        Which of several models.
    lattice : Ising

    Returns
    -------
    energy, magnetization : float64 and int64, shape (n_chains, n_draws)
    """
    with h5py.File(path) as file:
        states = file["samples/states"]
        entry = (k,) if states.ndim == 4 else ()  # (model, chain, draw, visible)
        n_chains, n_draws = states.shape[-3:-1]
        series = np.empty((n_chains, n_draws)), np.empty((n_chains, n_draws), np.int64)
        at_once = max(1, BYTES_AT_ONCE // (n_chains * states.shape[-1]))
        for first in range(0, n_draws, at_once):
            piece = spins(states[(*entry, slice(None), slice(first, first + at_once))], lattice)
            for one, values in zip(series, (lattice.energy(piece), lattice.magnetization(piece)), strict=True):
                one[:, first : first + at_once] = values
    return series
