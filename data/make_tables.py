"""Write the exact reference tables in this folder.

ising-exact.csv: thermodynamics of small periodic Ising lattices (J = 1, no field, k_B = 1), totals over the lattice, 13
significant digits, at eleven temperatures from 1.0 to 3.54 and at the critical temperature 2 / ln(1 + sqrt 2) of the
infinite square lattice; by `ising.exact.thermodynamics`.

    python data/make_tables.py
"""

import csv
import math
from pathlib import Path

from mcgen import ising

SHAPES = [(8,), (2, 2), (3, 3), (3, 4), (4, 4), (8, 8), (2, 2, 2)]
CRITICAL = 2 / math.log(1 + math.sqrt(2))
TEMPERATURES = [1.0, 1.254, 1.508, 1.762, 2.016, CRITICAL, 2.269, 2.524, 2.778, 3.032, 3.286, 3.54]
COLUMNS = ["log_partition", "free_energy", "energy", "heat_capacity", "entropy", "abs_magnetization", "susceptibility"]


def rows() -> list[list[str]]:
    """The table, header first."""
    table = [["shape", "temperature", *COLUMNS]]
    for shape in SHAPES:
        for temperature in TEMPERATURES:
            thermo = ising.exact.thermodynamics(ising.Ising(shape), temperature)
            numbers = [temperature, *(getattr(thermo, column) for column in COLUMNS)]
            table.append(["x".join(map(str, shape)), *(f"{number:.13g}" for number in numbers)])
    return table


def main() -> None:
    """Write the tables beside this file."""
    with (Path(__file__).parent / "ising-exact.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows())


if __name__ == "__main__":
    main()
