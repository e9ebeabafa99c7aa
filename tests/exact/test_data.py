import csv
import math
from pathlib import Path

import naive
import pytest

TABLE = Path(__file__).parents[2] / "data" / "ising-exact.csv"


def rows():
    with TABLE.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "row", [row for row in rows() if row["shape"] not in ("4x4", "8x8")][::5], ids=lambda row: row["shape"]
)
def test_the_table_of_exact_values_is_right(row):
    shape = tuple(map(int, row["shape"].split("x")))
    states = naive.states(math.prod(shape), -1)
    periodic = (True,) * len(shape)
    energies = [naive.ising_energy(s, shape, lambda *_: 1.0, lambda *_: 0.0, periodic) for s in states]
    expected = naive.ising_thermodynamics(energies, [sum(s) for s in states], float(row["temperature"]))
    for name, value in row.items():
        if name not in ("shape", "temperature"):
            assert float(value) == pytest.approx(expected[name], rel=1e-11, abs=1e-11), name


def test_the_table_agrees_with_published_values():
    row = next(row for row in rows() if row["shape"] == "4x4" and row["temperature"].startswith("2.26918"))
    assert float(row["log_partition"]) == pytest.approx(15.52191546, abs=1e-8)
    assert float(row["heat_capacity"]) / 16 == pytest.approx(0.783266825928910, abs=1e-12)
    row = next(row for row in rows() if row["shape"] == "8x8" and row["temperature"].startswith("2.26918"))
    assert float(row["log_partition"]) == pytest.approx(60.1417807891, abs=1e-10)
    assert float(row["heat_capacity"]) / 64 == pytest.approx(1.14555923989441, abs=1e-12)
