"""Rows of data to learn from."""

import warnings
from pathlib import Path

import numpy as np

from mcgen import checks, hdf5, ising
from mcgen.errors import FileError, InputError
from mcgen.observables.averages import spins
from mcgen.results.loading import load_study
from mcgen.results.peeking import states_part

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
    if hdf5.is_hdf5(path):
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
        temperatures = study.temperatures or (None,) * len(study.samples)
        tables = []
        for temperature, run in zip(temperatures, study.samples, strict=True):
            rows = run.states.reshape(-1, int(np.prod(run.states.shape[2:])))
            # States in int8 were drawn: no second look at billions.
            checked = rows if rows.dtype == np.int8 else _checked(path, rows, real)
            tables.append((temperature, checked, study.lattice))
        return tables
    try:
        rows = _table(path)
    except Exception as error:  # NumPy reads the heads of .npy files with the tokenizer of Python, which has its own
        words = " ".join(str(error).split())
        raise FileError(f"{path} cannot be read as a table of numbers ({words}); give rows of 0 and 1") from error
    if rows.ndim != 2 or rows.size == 0 or rows.dtype.kind not in "biuf":
        raise FileError(f"{path} has shape {rows.shape} and type {rows.dtype}; give a table with at least one row")
    return [(None, _checked(path, rows, real).astype(np.float64 if real else np.int8), None)]


def _table(path: Path) -> np.ndarray:
    """The numbers of a .npy file or a text, which are never evaluated or unpacked."""
    if path.suffix == ".npy":
        # Mapped first: that a file is as long as it says is checked before memory is taken.
        return np.array(np.load(path, allow_pickle=False, mmap_mode="r"))
    with path.open(encoding="utf-8") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a file without rows, which has an error
        return np.loadtxt(file, ndmin=2)


def _checked(path: Path, rows: np.ndarray, real: bool) -> np.ndarray:
    if real:
        return checks.finite_array(str(path), rows)
    values = set(np.unique(rows).tolist())
    if not (values <= {0, 1} or values <= {-1, 1}):
        wrong = sorted(values - {0, 1})[:5] if 0 not in values or -1 not in values else sorted(values)[:5]
        raise InputError(
            f"{path} holds the values {wrong}; rows must hold 0 and 1, or -1 and 1, but for continuous units "
            "(real=True, --units gaussian)"
        )
    return rows


def as_states(rows: np.ndarray, kind: str) -> np.ndarray:
    """Rows of 0 and 1, or of -1 and 1, as a model of these units or features takes them; others as they are.

    Parameters
    ----------
    rows : array, shape (n_rows, n_units)
    kind : str
        Of units or of a decoder: "spin" has -1 and 1, "bernoulli" 0 and 1.

    Returns
    -------
    ndarray, shape (n_rows, n_units)

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.results.rows import as_states
    >>> as_states(np.array([[0, 1]]), "spin").tolist(), as_states(np.array([[0.0, 0.5]]), "bernoulli").tolist()
    ([[-1, 1]], [[0.0, 0.5]])
    """
    if kind == "spin" and rows.min() >= 0 and np.isin(rows, (0, 1)).all():
        return 2 * rows - 1
    if kind == "bernoulli" and rows.min() < 0 and np.isin(rows, (-1, 1)).all():
        return (rows + 1) // 2
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

    Raises
    ------
    FileError
        If the file cannot be read, or holds no states.
    """
    pieces, first, n_draws = [], 0, 1
    while first < n_draws:
        states, n_draws = states_part(path, k, first, BYTES_AT_ONCE)
        piece = spins(states, lattice)
        pieces.append((lattice.energy(piece), lattice.magnetization(piece)))
        first += states.shape[1]
    energy, magnetization = (np.concatenate(series, axis=1) for series in zip(*pieces, strict=True))
    return energy, magnetization
