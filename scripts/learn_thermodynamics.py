"""Learn the thermodynamics of the Ising model with RBMs of several sizes.

Question: how many hidden units does which observable need? Restricted Boltzmann machines with 4, 16 and 64 hidden units
learn independent configurations of the 4x4 and the 8x8 Ising model at eleven temperatures. How far are energy, |m|,
heat capacity and susceptibility of what they draw from the exact values, and where does each size fail?

A first stage by contrastive divergence learns what neighbours have to do with each other; the second takes the negative
phase from the sum over all states, where one layer has at most 16 units, and otherwise from 20 sweeps from the rows.
Models with such a layer are sampled by independent exact draws; the others by Gibbs chains from rows of the data, which
keep the sign of their magnetisation, on which nothing here depends.

Reference: Torlai & Melko, Phys. Rev. B 94, 165134 (2016), figures 2 to 4; --published is a folder of their tables,
named like RBM_nH16_ising2d_L8_Observables.txt (repository GTorlai/CDL_RBM_Tutorial). Exact: sums over all states, and
the transfer matrix.
Expected, at T = 2.269 on 8x8 with 64 hidden units: energy 1.1(1), |m| 0.8(2), heat capacity 1.3(8) and susceptibility
3.0(1.6) percent off (published: 1.5, 2.1, 5.8 and 11.6). With 4 hidden units the energy is 15 percent off, with 16 it
is 6, as published: they cannot hold more. On 4x4, KL divergences of at most 0.016 nats with 16 and 0.007 with 64 units.
Time: five minutes on two cores; Ctrl-C keeps what is done.

    python scripts/learn_thermodynamics.py
    python scripts/learn_thermodynamics.py --published torlai-ising --output published.h5 --figure published.png
    python scripts/learn_thermodynamics.py --quick --output small.h5 --figure small.png
"""

import argparse
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from study_parts import command

from mcgen import checks, ising, observables, rbm, report, rng, stats
from mcgen.errors import FileError, StatisticsWarning
from mcgen.progress import progress, until_interrupted
from mcgen.results.tables import open_table

TEMPERATURES = [1.0, 1.254, 1.508, 1.762, 2.016, 2.269, 2.524, 2.778, 3.032, 3.286, 3.54]
FULL = {"lengths": [4, 8], "hidden": [4, 16, 64], "temperatures": TEMPERATURES, "rows": 50_000, "epochs": 15}
QUICK = {"lengths": [3], "hidden": [2, 9], "temperatures": [2.0, 3.0], "rows": 5000, "epochs": 40}
OBSERVABLES = {"energy": "E", "abs_magnetization": "M", "heat_capacity": "C", "abs_susceptibility": "S"}
# Units of the smaller layer that are summed over in training, and drawn from exactly.
MOST_SUMMED = 16
START = 0.05
FIRST = {"negative_phase": "cd", "batch_size": 200, "learning_rate": 0.02, "final_learning_rate": 1e-3}
SECOND = {"batch_size": 1000, "learning_rate": 0.003, "final_learning_rate": 1e-4}
SUMMED = {"negative_phase": "exact"}
SWEPT = {"negative_phase": "cd", "gibbs_steps": 20}
CHAINS, DRAWS, THIN = 2000, 25, 20


class Entry(NamedTuple):
    """One model, and what its draws say, per site."""

    length: int
    n_hidden: int
    temperature: float
    model: rbm.RBM
    values: dict[str, stats.Estimate]
    exact: dict[str, float]
    kl_divergence: float  # NaN where the states are too many


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--lengths", type=int, nargs="+", default=None, help=f"L of the L x L tori (default: {FULL['lengths']})")
    add("--hidden", type=int, nargs="+", default=None, help=f"numbers of hidden units (default: {FULL['hidden']})")
    add("--temperatures", type=float, nargs="+", default=None, help="in units of J (default: eleven, 1 to 3.54)")
    add("--rows", type=int, default=None, help=f"configurations of each (default: {FULL['rows']})")
    add("--epochs", type=int, default=None, help=f"of each stage (default: {FULL['epochs']})")
    add("--published", default=None, help="folder of published tables to compare with")
    command.add_common(parser, "learn_thermodynamics", "of models and observables")
    return command.parsed(parser, argv, FULL, QUICK)


def read_published(folder: str | None) -> dict[tuple[int, int, float], dict[str, tuple[float, float]]]:
    """Values and errors per site by lattice, hidden units and temperature; none without a folder."""
    if folder is None:
        return {}
    found = {}
    files = sorted(Path(folder).glob("RBM_nH*_ising2d_L*_Observables.txt"))
    if not files:
        raise FileError(f"{folder} holds no file named like RBM_nH16_ising2d_L8_Observables.txt; check the path")
    for file in files:
        n_hidden, length = (int(part.strip("nHL")) for part in file.stem.split("_") if part[0] in "nL")
        try:
            rows = np.loadtxt(file, ndmin=2)
        except (OSError, ValueError) as error:
            raise FileError(f"{file} cannot be read ({error}); give the tables as they were published") from error
        for temperature, *numbers in rows:
            pairs = zip(numbers[:4], numbers[4:], strict=True)
            found[length, n_hidden, float(temperature)] = dict(zip(OBSERVABLES, pairs, strict=True))
    return found


def train(rows: np.ndarray, n_hidden: int, epochs: int, seed: int) -> rbm.RBM:
    """Both stages."""
    n = rows.shape[1]
    is_summed = min(n, n_hidden) <= MOST_SUMMED
    dtype = np.float64 if is_summed else np.float32
    model = rbm.RBM.random(n, n_hidden, rng.derive(seed, 0), START, visible="spin", hidden="spin", dtype=dtype)
    for k, stage in enumerate((FIRST, SECOND | (SUMMED if is_summed else SWEPT)), start=1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StatisticsWarning)  # chains keep their sign: the docstring says so
            trained = rbm.train(model, rows, epochs=epochs, evaluate_every=epochs, seed=rng.derive(seed, k), **stage)
        if trained.interrupted:
            raise KeyboardInterrupt
        model = trained.model
    return model


def draw_states(model: rbm.RBM, rows: np.ndarray, seed: int) -> np.ndarray:
    """Independent draws, or chains from rows of the data."""
    if min(model.weights.shape) <= MOST_SUMMED:
        return rbm.exact.sample(model, CHAINS * DRAWS, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)
        starts = rows[np.arange(CHAINS) % len(rows)]
        return rbm.sample(model, CHAINS, DRAWS, THIN, 50 * THIN, seed=seed, initial=starts).states


def learn(length: int, n_hidden: int, temperature: float, arguments: argparse.Namespace, seeds: list[int]) -> Entry:
    """Draw, train, sample and compare."""
    lattice = ising.Ising((length, length))
    n_sites = lattice.n_sites
    rows = ising.exact.sample(lattice, temperature, arguments.rows, seeds[0]).reshape(-1, n_sites)
    model = train(rows, n_hidden, arguments.epochs, seeds[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)
        summary = observables.summary(draw_states(model, rows, seeds[2]), lattice, temperature)
    thermo = ising.exact.thermodynamics(lattice, temperature)
    divergence = np.nan
    if n_sites <= MOST_SUMMED:
        divergence = rbm.exact.kl_divergence(ising.exact.probabilities(lattice, temperature), model)
    return Entry(
        length, n_hidden, temperature, model,
        {name: summary[name].scaled(1 / n_sites) for name in OBSERVABLES},
        {name: getattr(thermo, name) / n_sites for name in OBSERVABLES}, divergence,
    )  # fmt: skip


def off(value: float, error: float, exact: float) -> str:
    """By how many percent a value is off."""
    return stats.format_error(100 * (value / exact - 1), 100 * abs(error / exact))


def table(entries: list[Entry], published: dict) -> str:
    """How many percent each model is off, with its error, and the published ones below."""
    names = [name.replace("_", " ") for name in OBSERVABLES]
    lines = [f"{'L':>2} {'hidden':>6} {'T':>6} {'KL, nats':>9} " + " ".join(f"{name:>19}" for name in names)]
    lines[0] += "   percent off"
    for one in sorted(entries, key=lambda entry: entry[:3]):
        divergence = f"{one.kl_divergence:.5f}" if np.isfinite(one.kl_divergence) else ""
        cells = [off(*one.values[name][:2], one.exact[name]) for name in OBSERVABLES]
        known = published.get((one.length, one.n_hidden, one.temperature))
        line = f"{one.length:2d} {one.n_hidden:6d} {one.temperature:6g} {divergence:>9} "
        lines.append(line + " ".join(f"{cell:>19}" for cell in cells))
        if known:
            cells = [off(*known[name], one.exact[name]) for name in OBSERVABLES]
            lines.append(f"{'published':>26} " + " ".join(f"{cell:>19}" for cell in cells))
    return "\n".join(lines)


def save(arguments: argparse.Namespace, entries: list[Entry], status: str) -> None:
    """A group for each lattice and number of hidden units, by temperature."""
    with command.new_file(arguments.output, vars(arguments), status) as file:
        for length, n_hidden in sorted({entry[:2] for entry in entries}):
            mine = [entry for entry in entries if entry[:2] == (length, n_hidden)]
            words = f"RBMs of {length} x {length} spins with {n_hidden} hidden units, observables per site"
            group = open_table(file, f"size_{length}_hidden_{n_hidden}", "temperature", words)
            command.add_parameters(group, [one.model for one in mine])
            for name in OBSERVABLES:
                command.add_estimates(group, name, [one.values[name] for one in mine])
                group.add(f"{name}_exact", (), [one.exact[name] for one in mine])
            group.add("kl_divergence", (), [one.kl_divergence for one in mine])
            group.close({"temperature": np.array([one.temperature for one in mine])})


def draw(path: str, entries: list[Entry], published: dict) -> None:
    """A row of panels for each lattice: each observable less the exact one, against temperature."""
    lengths = sorted({entry.length for entry in entries})
    figure = Figure(figsize=(17, 4.3 * len(lengths)), layout="constrained")
    figure.suptitle("Observables of RBMs, per site, less the exact ones", fontsize=15)
    for length, row in zip(lengths, figure.subplots(len(lengths), 4, squeeze=False), strict=True):
        for k, n_hidden in enumerate(sorted({entry.n_hidden for entry in entries})):
            mine = [entry for entry in entries if entry[:2] == (length, n_hidden)]
            temperatures = [one.temperature for one in mine]
            for axes, name in zip(row, OBSERVABLES, strict=True):
                values, errors = np.array([one.values[name][:2] for one in mine]).reshape(-1, 2).T
                exact = np.array([one.exact[name] for one in mine])
                label = f"{n_hidden} hidden units"
                axes.errorbar(temperatures, values - exact, errors, fmt="os^"[k % 3] + "-", color=f"C{k}", label=label)
                known = [(one, published.get((length, n_hidden, one.temperature))) for one in mine]
                points = [(one.temperature, pair[name][0] - one.exact[name]) for one, pair in known if pair]
                if points:
                    axes.plot(*np.array(points).T, "x:", color=f"C{k}", linewidth=0.8, label=f"{n_hidden}, published")
                axes.set(title=f"{length} x {length}: {name.replace('_', ' ')}", xlabel="T / J")
        for axes in row:
            axes.axhline(0, color="black", linewidth=0.8)
        row[0].legend(fontsize=8)
    report.save_figure(figure, path, dpi=110)


def run(arguments: argparse.Namespace) -> str:
    """Learn all, compare and write; returns whether the run is complete."""
    for name, least in {"lengths": 2, "hidden": 1}.items():
        for value in getattr(arguments, name):
            checks.integer(f"--{name}", value, least)
    for temperature in arguments.temperatures:
        checks.positive("--temperatures", temperature)
    checks.integer("--rows", arguments.rows, 100)
    checks.integer("--epochs", arguments.epochs, 1)
    for length in arguments.lengths:  # whether exact values and draws reach so far
        ising.exact.sample(ising.Ising((length, length)), 2.0, 1, seed=0)
    published = read_published(arguments.published)
    # Temperatures come last: what is there after Ctrl-C is of all sizes.
    places = [
        (length, n_hidden, temperature)
        for temperature in arguments.temperatures
        for length in arguments.lengths
        for n_hidden in arguments.hidden
    ]
    with progress(len(places), "models", True) as bar:

        def work(k: int) -> Entry:
            entry = learn(*places[k], arguments, [rng.derive(arguments.seed, 10 * k + part) for part in range(3)])
            bar.update(1)
            return entry

        entries, interrupted = until_interrupted(work, len(places))
    status = command.status_of(interrupted)
    save(arguments, entries, status)
    print(table(entries, published))
    draw(arguments.figure, entries, published)
    return status


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("learn_thermodynamics", parse(argv), run, "before the first model was done")


if __name__ == "__main__":
    raise SystemExit(main())
