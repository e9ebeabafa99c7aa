"""Small exact tables, to check programs against: thermodynamics and densities of states of lattices, log Z of RBMs."""

import csv
import importlib.metadata
import json
from pathlib import Path

import numpy as np

from mcgen.errors import FileError, InputError
from mcgen.rbm.model import RBM

TABLES = {
    "ising-thermodynamics": "ising-thermodynamics.csv",
    "ising-density-of-states": "ising-density-of-states.csv",
    "rbm-log-partition": "rbm-log-partition.json",
}


def load(name: str) -> dict[str, np.ndarray]:
    """Load a table of exact values.

    =======================  ===================================================================================
    ising-thermodynamics     periodic Ising lattices, J = 1, no field, k_B = 1, totals over the lattice: shape,
                             temperature, log_partition, free_energy, energy, heat_capacity, entropy; up to 64
                             sites also abs_magnetization <|M|> and susceptibility <M^2> / T (NaN beyond).
                             Tori of 4 x 4, 8 x 8, 16 x 16 and 32 x 32 and some smaller lattices, at temperatures
                             from 1 to 3.54 and the critical one
    ising-density-of-states  energy and count of every level of the four tori, by shape
    rbm-log-partition        RBMs of several kinds of units: name, model, log_partition, and digits, 30 of them
    =======================  ===================================================================================

    Parameters
    ----------
    name : str

    Returns
    -------
    dict of arrays, shape (n_rows,)
        Columns. Shapes are text, as "16x16". Counts are Python integers, and models `rbm.RBM` in float64, in arrays of
        objects; digits are text, and all else is float64. `data/make_tables.py` says how the tables were made.

    Raises
    ------
    InputError
        If there is no such table.
    FileError
        If the file of the table is not where mcgen is installed.

    Examples
    --------
    >>> from mcgen import reference
    >>> table = reference.load("ising-thermodynamics")
    >>> row = (table["shape"] == "4x4") & (table["temperature"] == 2.269)
    >>> table["log_partition"][row].round(8).tolist(), table["energy"][row].round(8).tolist()
    ([15.5228171], [-25.0523029])
    >>> machines = reference.load("rbm-log-partition")
    >>> print(machines["name"][0], machines["model"][0].weights.shape, machines["digits"][0])
    bernoulli 3 x 2 (3, 2) 7.93961679533350859451940575944
    """
    if name not in TABLES:
        raise InputError(f"there is no table {name!r}; choose one of {', '.join(map(repr, TABLES))}")
    path = _path(TABLES[name])
    try:
        text = path.read_text()
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); install mcgen again") from error
    if path.suffix == ".json":
        return _machines(json.loads(text))
    rows = list(csv.DictReader(text.splitlines()))
    return {column: _column(column, [row[column] for row in rows]) for column in rows[0]}


def _path(file: str) -> Path:
    """Where a table is: in the folder `data` of a checkout, or where the installation put it."""
    in_checkout = Path(__file__).parents[1] / "data" / file
    if in_checkout.exists():
        return in_checkout
    try:
        files = importlib.metadata.files("mcgen") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    installed = [Path(one.locate()) for one in files if one.name == file]
    return installed[0].resolve() if installed else in_checkout


def _column(name: str, texts: list[str]) -> np.ndarray:
    if name == "shape":
        return np.array(texts)
    if name == "count":
        return np.array([int(text) for text in texts], dtype=object)
    return np.array([float(text) if text else np.nan for text in texts])


def _machines(entries: list[dict]) -> dict[str, np.ndarray]:
    models = np.empty(len(entries), dtype=object)
    for k, entry in enumerate(entries):
        parameters = (np.array(entry[key]) for key in ("weights", "visible_bias", "hidden_bias"))
        models[k] = RBM(*parameters, visible=entry["visible"], hidden=entry["hidden"])
    digits = [entry["log_partition"] for entry in entries]
    return {
        "name": np.array([entry["name"] for entry in entries]),
        "model": models,
        "log_partition": np.array([float(text) for text in digits]),
        "digits": np.array(digits),
    }
