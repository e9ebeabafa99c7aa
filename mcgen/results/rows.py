"""Rows of data to learn from."""

from pathlib import Path

import h5py
import numpy as np

from mcgen import ising
from mcgen.errors import FileError, InputError
from mcgen.results.loading import load_study


def load_rows(path: str | Path) -> list[tuple[float | None, np.ndarray, ising.Ising | None]]:
    """Read rows of data, one table for each temperature in the file.

    Parameters
    ----------
    path : str or Path
        An HDF5 file of samples written by mcgen, a NumPy .npy file, or text with one row of numbers on each line.

    Returns
    -------
    list of (temperature or None, rows int8 (n_rows, n_units), lattice or None)

    Raises
    ------
    FileError
        If the file cannot be read or holds no rows.
    InputError
        If a value is not 0, 1 or -1, or both 0 and -1 occur.
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
            n_units = int(np.prod(run.states.shape[2:]))
            tables.append((temperature, run.states.reshape(-1, n_units), study.lattice))
        return tables
    try:
        rows = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, ndmin=2)
    except (ValueError, OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read as a table of numbers ({error}); give rows of 0 and 1") from error
    if rows.ndim != 2 or rows.size == 0:
        raise FileError(f"{path} has shape {rows.shape}; give a table with at least one row")
    values = set(np.unique(rows).tolist())
    if not (values <= {0, 1} or values <= {-1, 1}):
        wrong = sorted(values - {0, 1})[:5]
        raise InputError(f"{path} holds the values {wrong}; rows must hold 0 and 1, or -1 and 1")
    return [(None, rows.astype(np.int8), None)]
