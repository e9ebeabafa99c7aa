"""Configurations to learn at several temperatures: rows of files, or exact draws."""

import io
import re
import tarfile
from pathlib import Path

import numpy as np

from mcgen import ising, observables
from mcgen.errors import FileError, InputError

TEST_ROWS = 2000
# Files of rows: .._T2.269_train.txt.
NAME = re.compile(r"T(\d+(?:\.\d+)?)_(train|test)\.txt$")


def read_tables(path: str) -> dict[tuple[float, str], np.ndarray]:
    """All tables of 0/1 rows in a folder or a tar archive, by temperature and "train" or "test"."""
    source = Path(path)
    if not source.exists():
        raise FileError(f"{path} does not exist; check the path")
    texts: dict[str, bytes] = {}
    try:
        if source.is_dir():
            texts = {file.name: file.read_bytes() for file in sorted(source.iterdir()) if NAME.search(file.name)}
        else:
            with tarfile.open(source) as archive:
                texts = {
                    one.name: archive.extractfile(one).read()
                    for one in archive
                    if one.isfile() and NAME.search(one.name)
                }
        tables = {}
        for name, text in texts.items():
            temperature, part = NAME.search(name).groups()
            tables[float(temperature), part] = np.loadtxt(io.BytesIO(text), ndmin=2)
    except (OSError, ValueError, tarfile.TarError) as error:
        raise FileError(
            f"{path} cannot be read ({error}); give a folder or a tar archive of rows of 0 and 1"
        ) from error
    if not any(part == "train" for _, part in tables):
        raise FileError(
            f"{path} holds no file named like T2.269_train.txt; give a folder or a tar archive of such files"
        )
    return tables


def rows_at(
    lattice: ising.Ising, temperature: float, tables: dict | None, n_rows: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Spins to train on and, other ones, to test with, each (n_rows, n_sites)."""
    if tables is None:
        both = ising.exact.sample(lattice, temperature, n_rows + TEST_ROWS, seed).reshape(-1, lattice.n_sites)
        return both[:n_rows], both[n_rows:]
    if (temperature, "train") not in tables:
        known = ", ".join(f"{one:g}" for one, part in sorted(tables) if part == "train")
        raise InputError(f"there are no rows at T = {temperature:g} in --data; choose --temperature from {known}")
    train = tables[temperature, "train"]
    if (temperature, "test") in tables:
        test = tables[temperature, "test"]
    else:
        test = ising.exact.sample(lattice, temperature, TEST_ROWS, seed).reshape(-1, lattice.n_sites)
    return tuple(observables.spins(rows, lattice).reshape(-1, lattice.n_sites) for rows in (train, test))
