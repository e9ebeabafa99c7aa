"""Read the couplings of a spin glass from restricted Boltzmann machines that were trained on its configurations.

Question: how well do the pair couplings in the marginal of a trained RBM agree with those that generated the data, how
does the error fall with the number of rows, and how far is it from the smallest possible one?

Independent exact draws of a 4x4 +-J glass at T = 2 and of the ferromagnet at T = 3 are fitted by exact maximum
likelihood (L-BFGS), with the penalty l2 = PENALTY / n_rows on the weights. The fields and couplings of the marginal
p(v) are those of a generalised Ising model; its pair couplings are compared with J / T on the bonds, and with 0 between
sites without a bond. The floor is the Cramer-Rao bound of the pairwise model, sqrt([I^-1]_aa / n_rows) with I the
Fisher information of fields and pair couplings, exact by enumeration: no unbiased estimate that knows the model to be
pairwise is better. The RBM does not know; its largest three-body coupling (truth: 0) shows what it cannot tell.

Reference: Decelle, Furtlehner, Navas Gomez & Seoane, SciPost Phys. 16, 095 (2024), for couplings from RBMs; Nguyen,
Zecchina & Berg, Adv. Phys. 66, 197 (2017), for the inverse Ising problem.
Expected: errors of 1.1 to 1.8 times the floor, over bonds and over other pairs alike, 0.01 for 100,000 rows. Time: two
minutes on one core; Ctrl-C keeps the fits that are done.

    python scripts/recover_couplings.py
    python scripts/recover_couplings.py --quick --output small.h5 --figure small.png
"""

import argparse
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from study_parts import command

from mcgen import checks, enumeration, ising, rbm, report, rng, stats
from mcgen.errors import InputError
from mcgen.progress import progress, until_interrupted
from mcgen.rbm.evaluation import effective_couplings
from mcgen.results.tables import open_table

FULL = {"shape": [4, 4], "rows": [1000, 10_000, 100_000], "repeats": 5, "iterations": 400}
QUICK = {"shape": [3, 3], "rows": [500, 5000], "repeats": 2, "iterations": 150}
# The fit ends where no component of the gradient is larger, far below what the data can tell.
TOLERANCE = 1e-4
# Standard deviation of the weights that a fit starts from.
START = 0.1
# States that are listed at once for the Fisher information.
STATES_PER_BLOCK = 1 << 14


class System(NamedTuple):
    """A lattice at its temperature, and what is known of it; pairs of sites i < j are numbered row by row."""

    name: str
    lattice: ising.Ising
    temperature: float
    sites: tuple[np.ndarray, np.ndarray]
    true_pairs: np.ndarray
    bonds: np.ndarray
    floor: np.ndarray  # standard deviation of each pair coupling from a single row


class Fit(NamedTuple):
    """One fit: where it belongs, the couplings that were read from it, and how good it is."""

    place: tuple[int, int, int]
    fields: np.ndarray
    pairs: np.ndarray
    largest_three_body: float
    kl_divergence: float
    interrupted: bool


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--shape", type=int, nargs="+", default=None, help=f"sites along each axis (default: {FULL['shape']})")
    add("--rows", type=int, nargs="+", default=None, help=f"rows of data (default: {FULL['rows']})")
    add("--repeats", type=int, default=None, help=f"independent data sets of each size (default: {FULL['repeats']})")
    add("--iterations", type=int, default=None, help=f"most iterations of a fit (default: {FULL['iterations']})")
    add("--temperature", type=float, nargs=2, default=[2.0, 3.0], help="of the glass and of the ferromagnet")
    add("--hidden", type=int, default=16, help="hidden units")
    add("--penalty", type=float, default=3.0, help="l2 times the number of rows")
    command.add_common(parser, "recover_couplings", "of all couplings", ", of the glass, the data and the starts")
    return command.parsed(parser, argv, FULL, QUICK)


def systems(arguments: argparse.Namespace) -> list[System]:
    """The glass and the ferromagnet."""
    shape = tuple(arguments.shape)
    n_bonds = len(shape) * int(np.prod(shape))
    signs = np.where(rng.uniforms(arguments.seed, rng.purpose.STUDY_SPLIT, 1, n_bonds) < 0.5, -1.0, 1.0)
    lattices = {"+-J glass": ising.Ising(shape, signs.reshape(len(shape), *shape)), "ferromagnet": ising.Ising(shape)}
    found = []
    for (name, lattice), temperature in zip(lattices.items(), arguments.temperature, strict=True):
        temperature = checks.positive("temperature", temperature)
        sites = np.triu_indices(lattice.n_sites, 1)
        true_pairs = lattice.coupling_matrix[sites] / temperature
        if not true_pairs.any():
            raise InputError(f"{lattice} has no bond; give a larger --shape")
        bonds = true_pairs != 0
        found.append(System(name, lattice, temperature, sites, true_pairs, bonds, floor(lattice, temperature)))
    return found


def floor(lattice: ising.Ising, temperature: float) -> np.ndarray:
    """sqrt([I^-1]_aa) of each pair coupling a: I is the covariance of all s_i s_j and s_i."""
    p = ising.exact.probabilities(lattice, temperature)
    i, j = np.triu_indices(lattice.n_sites, 1)
    n = len(i) + lattice.n_sites
    mean, second = np.zeros(n), np.zeros((n, n))
    for first in range(0, len(p), STATES_PER_BLOCK):
        part = p[first : first + STATES_PER_BLOCK]
        spins = enumeration.list_states(lattice.n_sites, -1, first, first + len(part))
        statistics = np.hstack([spins[:, i] * spins[:, j], spins])
        mean += part @ statistics
        second += (statistics * part[:, None]).T @ statistics
    return np.sqrt(np.linalg.inv(second - np.outer(mean, mean)).diagonal()[: len(i)])


def fit(system: System, n_rows: int, arguments: argparse.Namespace, seed: int, place: tuple[int, int, int]) -> Fit:
    """Draw data, fit a model and read its couplings."""
    v = ising.exact.sample(system.lattice, system.temperature, n_rows, rng.derive(seed, 0)).reshape(n_rows, -1)
    truth = ising.exact.probabilities(system.lattice, system.temperature)
    n_sites = system.lattice.n_sites
    start = rbm.RBM.random(n_sites, arguments.hidden, rng.derive(seed, 1), START, visible="spin", hidden="spin")
    steps = arguments.iterations
    fitted = rbm.maximum_likelihood(
        start, v, l2=arguments.penalty / n_rows, tolerance=TOLERANCE, max_iterations=steps, truth=truth,
        evaluate_every=steps,
    )  # fmt: skip
    found = effective_couplings(fitted.model, triples="all")
    largest = float(np.abs(found.three_body).max())
    kl = float(fitted.history["kl_divergence"][-1])
    return Fit(place, found.fields, found.pairs[system.sites], largest, kl, fitted.interrupted)


def rms(squares: np.ndarray) -> stats.Estimate:
    """The root mean square of mean squares of independent repeats, (n_repeats,), with its error."""
    value = float(np.sqrt(squares.mean()))
    error = float(squares.std(ddof=1) / np.sqrt(len(squares)) / (2 * value)) if len(squares) > 1 else float("nan")
    return stats.Estimate(value, error, 1.0, float(len(squares)))


def summarize(system: System, n_rows: int, fits: list[Fit]) -> dict[str, stats.Estimate]:
    """The errors over bonds and over pairs without one, with the floors, over the repeats at one number of rows."""
    deviations = np.array([one.pairs for one in fits]) - system.true_pairs
    numbers = {}
    for name, which in (("bonds", system.bonds), ("others", ~system.bonds)):
        if which.any():
            numbers[name] = rms((deviations[:, which] ** 2).mean(axis=1))
            smallest = float(np.sqrt((system.floor[which] ** 2).mean() / n_rows))
            numbers[f"{name}_floor"] = stats.Estimate(smallest, 0.0, 1.0, 1.0)
            numbers[f"{name}_ratio"] = numbers[name].scaled(1 / smallest)
    for name in ("largest_three_body", "kl_divergence"):
        values = np.array([getattr(one, name) for one in fits])
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        numbers[name] = stats.Estimate(float(values.mean()), float(error), 1.0, float(len(values)))
    return numbers


def table(found: list[System], rows: list[int], fits: list[Fit]) -> str:
    """Errors of the couplings against the number of rows, as text."""
    header = f"{'system':12} {'rows':>7} {'fits':>4}"
    for words, width in (
        ("rms, bonds", 13), ("floor", 7), ("ratio", 9), ("rms, others", 13), ("floor", 7), ("ratio", 9),
        ("largest J_ijk", 14), ("KL, nats", 13),
    ):  # fmt: skip
        header += f" {words:>{width}}"
    lines = [header]
    for k, system in enumerate(found):
        for m, n_rows in enumerate(rows):
            mine = [one for one in fits if one.place[:2] == (k, m)]
            if not mine:
                continue
            numbers = summarize(system, n_rows, mine)
            line = f"{system.name:12} {n_rows:7d} {len(mine):4d}"
            for name in ("bonds", "others"):
                cells = [numbers.get(name), numbers.get(f"{name}_floor"), numbers.get(f"{name}_ratio")]
                texts = ["-"] * 3 if cells[0] is None else [str(cells[0]), f"{cells[1].value:.5f}", str(cells[2])]
                line += f" {texts[0]:>13} {texts[1]:>7} {texts[2]:>9}"
            lines.append(line + f" {numbers['largest_three_body']!s:>14} {numbers['kl_divergence']!s:>13}")
    return "\n".join(lines)


def save(arguments: argparse.Namespace, found: list[System], fits: list[Fit], status: str) -> None:
    """A group for each system: its couplings, its floor, and what was read from every fit, by rows and repeat."""
    dimensions = {"fields": ("site",), "pairs": ("pair",), "largest_three_body": (), "kl_divergence": ()}
    with command.new_file(arguments.output, vars(arguments), status) as file:
        for k, system in enumerate(found):
            name = system.name.replace("+-", "").replace(" ", "_")
            group = open_table(file, name, words=f"couplings of the {system.name}: true ones, floor, and those read")
            group.hdf.attrs["temperature"] = system.temperature
            for name, sites in zip(("first_site", "second_site"), system.sites, strict=True):
                group.add(name, ("pair",), [sites])
            group.add("true_pairs", ("pair",), [system.true_pairs])
            group.add("floor_of_one_row", ("pair",), [system.floor])
            for name, last in dimensions.items():
                shape = len(arguments.rows), arguments.repeats, *np.shape(getattr(fits[0], name))
                values = np.full(shape, np.nan)
                for one in fits:
                    if one.place[0] == k:
                        values[one.place[1:]] = getattr(one, name)
                group.add(name, ("rows", "repeat", *last), [values])
            group.close({"rows": np.array(arguments.rows)})


def draw(path: str, found: list[System], rows: list[int], fits: list[Fit]) -> None:
    """Inferred against true couplings, and their errors against the number of rows with the floor."""
    figure = Figure(figsize=(6 * len(found), 9), layout="constrained")
    figure.suptitle("Couplings read from RBMs against those that generated the data", fontsize=15)
    panels = figure.subplots(2, len(found))
    colors = [f"C{m}" for m in range(len(rows))]
    for k, system in enumerate(found):
        above, below = panels[:, k]
        ends = [system.true_pairs.min(), system.true_pairs.max()]
        above.plot(ends, ends, color="black", linewidth=1, label="inferred = true")
        curves = {"bonds": [], "others": []}
        for m, n_rows in enumerate(rows):
            mine = [one for one in fits if one.place[:2] == (k, m)]
            if not mine:
                continue
            # Pairs of equal true couplings side by side, the largest data sets on top.
            spread = 0.04 * (m - (len(rows) - 1) / 2) * max(np.ptp(ends), 0.5)
            jitter = np.linspace(-0.3, 0.3, len(system.true_pairs)) * 0.04 * max(np.ptp(ends), 0.5)
            above.plot(system.true_pairs + spread + jitter, mine[0].pairs, ".", color=colors[m], label=f"{n_rows} rows")
            numbers = summarize(system, n_rows, mine)
            for name, curve in curves.items():
                if name in numbers:
                    one = numbers[name]
                    curve.append((n_rows, one.value, one.error, numbers[f"{name}_floor"].value))
        above.set(
            title=f"{system.name}, T = {system.temperature:g}",
            xlabel="true J / T (points are moved apart)",
            ylabel="inferred J / T",
        )
        above.legend(fontsize=9)
        for (name, curve), color in zip(curves.items(), ("tab:red", "tab:blue"), strict=True):
            if curve:
                x, y, error, smallest = np.array(curve).T
                below.errorbar(x, y, np.nan_to_num(error), fmt="o", color=color, label=f"rms error, {name}")
                below.plot(x, smallest, "--", color=color, label=f"Cramer-Rao floor, {name}")
        below.set(xscale="log", yscale="log", xlabel="rows of data", ylabel="root-mean-square error of J / T")
        below.legend(fontsize=9)
    report.save_figure(figure, path, dpi=110)


def run(arguments: argparse.Namespace) -> str:
    """Fit, compare and write; returns whether the run is complete."""
    for name in ("repeats", "hidden", "iterations"):
        checks.integer(f"--{name}", getattr(arguments, name), 1)
    checks.not_negative("--penalty", arguments.penalty)
    for n_rows in arguments.rows:
        checks.integer("--rows", n_rows, 2)
    found = systems(arguments)
    # Repeats come last: what is there after Ctrl-C is of all systems and sizes.
    n_rows, n_systems = len(arguments.rows), len(found)
    places = [(k, m, r) for r in range(arguments.repeats) for m in range(n_rows) for k in range(n_systems)]
    with progress(len(places), "fits", True) as bar:

        def work(number: int) -> Fit:
            k, m, r = places[number]
            seed = rng.derive(arguments.seed, (r * n_rows + m) * n_systems + k)
            one = fit(found[k], arguments.rows[m], arguments, seed, places[number])
            bar.update(1)
            return one

        fits, interrupted = until_interrupted(work, len(places), lambda one: one.interrupted)
    # A fit that Ctrl-C cut short is not at its maximum.
    fits = [one for one in fits if not one.interrupted]
    if not fits:
        raise KeyboardInterrupt
    status = command.status_of(interrupted)
    save(arguments, found, fits, status)
    print(table(found, arguments.rows, fits))
    draw(arguments.figure, found, arguments.rows, fits)
    return f"{status}: {len(fits)} of {len(places)} fits" if interrupted else status


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("recover_couplings", parse(argv), run, "before the first fit was done")


if __name__ == "__main__":
    raise SystemExit(main())
