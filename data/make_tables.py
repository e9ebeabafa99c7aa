"""Write the exact reference tables in this folder, which `mcgen.reference.load` reads.

ising-thermodynamics.csv: small periodic Ising lattices (J = 1, no field, k_B = 1), totals over the lattice, 16
significant digits, at eleven temperatures from 1.0 to 3.54 and at the critical temperature 2 / ln(1 + sqrt 2) of the
infinite square lattice. ln Z, energy, heat capacity and entropy are sums over the integers of the density of states, in
50 digits; magnetisation and susceptibility, as far as transfer matrices reach, are from `ising.exact.thermodynamics`.

ising-density-of-states.csv: the numbers of states of every energy of L x L tori, L = 4, 8, 16 and 32, as integers, by
`ising.exact.density_of_states`. They add up to 2^(L^2).

rbm-log-partition.json: small restricted Boltzmann machines of several kinds of units, parameters of three decimals, and
ln Z, by this script itself in 50 digits: summed over all states, and integrated over real units.

    python data/make_tables.py
"""

import csv
import json
import math
from decimal import Decimal, getcontext
from itertools import product
from pathlib import Path

from mcgen import ising, rng

HERE = Path(__file__).parent
SHAPES = [(8,), (2, 2), (3, 3), (3, 4), (4, 4), (8, 8), (16, 16), (32, 32), (2, 2, 2)]
LENGTHS = [4, 8, 16, 32]
CRITICAL = 2 / math.log(1 + math.sqrt(2))
TEMPERATURES = [1.0, 1.254, 1.508, 1.762, 2.016, CRITICAL, 2.269, 2.524, 2.778, 3.032, 3.286, 3.54]
COLUMNS = ["log_partition", "free_energy", "energy", "heat_capacity", "entropy", "abs_magnetization", "susceptibility"]
MOST_SITES = 64  # of the lattices whose magnetisation is summed
# Kinds of the visible and the hidden units, their numbers, and the standard deviation of the parameters.
MACHINES = {
    "bernoulli 3 x 2": ("bernoulli", "bernoulli", 3, 2, 1.0),
    "bernoulli 8 x 5": ("bernoulli", "bernoulli", 8, 5, 1.0),
    "bernoulli 8 x 5, strong": ("bernoulli", "bernoulli", 8, 5, 10.0),
    "spin 8 x 6": ("spin", "spin", 8, 6, 0.5),
    "bernoulli 7 x 4 spin": ("bernoulli", "spin", 7, 4, 1.0),
    "gaussian 6 x 5 bernoulli": ("gaussian", "bernoulli", 6, 5, 0.5),
    "spin 9 x 4 gaussian": ("spin", "gaussian", 9, 4, 0.3),
}
LEVELS = {"bernoulli": (0, 1), "spin": (-1, 1)}
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
SEED = 20

getcontext().prec = 50


def digits(number: float | Decimal) -> str:
    """A number as text."""
    return f"{number:.16g}"


def sums_over_levels(levels: list[int], counts: list[int], temperature: float) -> dict[str, Decimal]:
    """ln Z and its derivatives from the density of states."""
    t = Decimal(temperature)
    weights = [count * (Decimal(levels[0] - level) / t).exp() for level, count in zip(levels, counts, strict=True)]
    total = sum(weights)
    energy = sum(w * level for w, level in zip(weights, levels, strict=True)) / total
    variance = sum(w * (level - energy) ** 2 for w, level in zip(weights, levels, strict=True)) / total
    log_z = total.ln() - levels[0] / t
    return {
        "log_partition": log_z,
        "free_energy": -t * log_z,
        "energy": energy,
        "heat_capacity": variance / t**2,
        "entropy": log_z + energy / t,
    }


def thermodynamics() -> list[list[str]]:
    """The first table, header first."""
    table = [["shape", "temperature", *COLUMNS]]
    for shape in SHAPES:
        lattice = ising.Ising(shape)
        levels, counts = ising.exact.density_of_states(lattice)
        levels, counts = [round(level) for level in levels], [int(count) for count in counts]
        for temperature in TEMPERATURES:
            numbers = sums_over_levels(levels, counts, temperature)
            if lattice.n_sites <= MOST_SITES:
                found = ising.exact.thermodynamics(lattice, temperature)
                numbers |= {name: getattr(found, name) for name in ("abs_magnetization", "susceptibility")}
            cells = [digits(numbers[name]) if name in numbers else "" for name in COLUMNS]
            table.append(["x".join(map(str, shape)), digits(temperature), *cells])
    return table


def density_of_states() -> list[list[str]]:
    """The second table."""
    table = [["shape", "energy", "count"]]
    for length in LENGTHS:
        levels, counts = ising.exact.density_of_states(ising.Ising((length, length)))
        name = f"{length}x{length}"
        table += [[name, str(round(level)), str(count)] for level, count in zip(levels, counts, strict=True)]
    return table


def log_partition(
    visible: str, hidden: str, weights: list[list[Decimal]], visible_bias: list[Decimal], hidden_bias: list[Decimal]
) -> Decimal:
    """ln sum_v sum_h e^(b v + c h + v W h), with the layer of real units integrated: sqrt(2 pi) e^(x^2 / 2) each."""
    if visible == "gaussian":
        columns = [list(column) for column in zip(*weights, strict=True)]
        return log_partition(hidden, visible, columns, hidden_bias, visible_bias)
    total = Decimal(0)
    for state in product(LEVELS[visible], repeat=len(visible_bias)):
        weight = sum((b * s for b, s in zip(visible_bias, state, strict=True)), Decimal(0)).exp()
        for j, c in enumerate(hidden_bias):
            x = c + sum(row[j] * s for row, s in zip(weights, state, strict=True))
            weight *= (
                (2 * PI).sqrt() * (x * x / 2).exp()
                if hidden == "gaussian"
                else sum((x * s).exp() for s in LEVELS[hidden])
            )
        total += weight
    return total.ln()


def machines() -> list[dict]:
    """The third table."""
    table = []
    for k, (name, (visible, hidden, n_visible, n_hidden, scale)) in enumerate(MACHINES.items()):
        numbers = scale * rng.normals(rng.derive(SEED, k), rng.purpose.RBM_PARAMETERS, n_visible + 1, n_hidden + 1)
        texts = [[f"{number:.3f}" for number in row] for row in numbers]
        exact = [[Decimal(text) for text in row] for row in texts]
        parameters = [row[1:] for row in exact[1:]], [row[0] for row in exact[1:]], exact[0][1:]
        table.append({
            "name": name,
            "visible": visible,
            "hidden": hidden,
            "weights": [[float(one) for one in row] for row in parameters[0]],
            "visible_bias": [float(one) for one in parameters[1]],
            "hidden_bias": [float(one) for one in parameters[2]],
            "log_partition": f"{log_partition(visible, hidden, *parameters):.30g}",
        })  # fmt: skip
    return table


def main() -> None:
    """Write the tables beside this file."""
    for name, rows in (("ising-thermodynamics", thermodynamics()), ("ising-density-of-states", density_of_states())):
        with (HERE / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    entries = ",\n".join("  " + json.dumps(machine) for machine in machines())
    (HERE / "rbm-log-partition.json").write_text(f"[\n{entries}\n]\n")


if __name__ == "__main__":
    main()
