"""Find the critical temperature and exponents of the 2D Ising model from Monte Carlo alone.

Question: at a critical point the ratio R = <M^4> / <M^2>^2 does not depend on the size of the lattice, and curves of
all sizes fall on one where temperature and magnetisation are scaled by the right powers of the size. Where is that
point, with what exponents, and are the answers right within the errors that they quote?

Wolff clusters move L x L tori at some temperatures around --center. Each size's runs are combined by multi-histogram
reweighting into curves R(T), with errors. Those of L and its successor cross at temperatures that come nearer to the
critical one, T_c, as L grows. Independently of the crossings, the runs themselves, without reweighting, are fitted to
R = f(x), <|m|> = L^(-beta/nu) f(x) and chi = <M^2> / (N T) = L^(gamma/nu) f(x) with x = (T / T_c - 1) L^(1/nu), where f
is another polynomial for each, with two corrections: b L^(-7/4), which the part of chi without a singularity adds, and
g(x) L^(-1/nu), since x scales to first order only.

Reference, exact: T_c = 2 / ln(1 + sqrt 2) = 2.269185 (Onsager, Phys. Rev. 65, 117 (1944)), nu = 1, beta = 1/8,
gamma = 7/4; <H> of every run by Kaufman's closed form. R at T_c on the torus: 1.167923 (Kamieniarz & Bloete, J. Phys. A
26, 201 (1993)). Method: Binder, Z. Phys. B 43, 119 (1981); Fisher & Barber, Phys. Rev. Lett. 28, 1516 (1972).
Expected: T_c to 0.00015, exponents to a few percent, and all of it within three of its errors, but for the crossing of
the two smallest sizes; chi^2 of each fit and of the energies near its degrees of freedom. Time: six minutes on two
cores; Ctrl-C keeps the sizes that are done.

    python scripts/find_critical_temperature.py
    python scripts/find_critical_temperature.py --quick --output small.h5 --figure small.png
"""

import argparse
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from ising_parts.finite_size import Collapse, Crossing, collapse, crossing
from matplotlib.figure import Figure
from scipy.stats import chi2
from study_parts import command

from mcgen import checks, ising, observables, report, reweighting, rng, stats
from mcgen.errors import InputError
from mcgen.progress import progress, until_interrupted
from mcgen.results.tables import open_table

FULL = {"sizes": [16, 32, 64, 128], "chains": 32, "draws": 1500}
QUICK = {"sizes": [4, 8, 16, 32], "chains": 16, "draws": 300}
# T_c, 1 / nu and the powers of L of the three observables, exact.
CRITICAL = 2 / math.log(1 + math.sqrt(2))
INVERSE_NU = 1.0
EXPONENTS = {"binder_ratio": 0.0, "abs_magnetization": -1 / 8, "susceptibility": 7 / 4}
CRITICAL_RATIO = 1.167923
# Relative size of the corrections: the part of chi that has no singularity, of size 1 beside L^(7/4).
CORRECTION = 7 / 4
# Sweeps between draws and before the first: a few autocorrelation times of Wolff clusters at these sizes.
THIN, BURN_IN = 2, 100
COLUMNS = ("energy", *EXPONENTS)
LABELS = {
    "binder_ratio": "<M^4> / <M^2>^2",
    "abs_magnetization": "<|m|> L^(beta/nu)",
    "susceptibility": "chi L^(-gamma/nu)",
}


class Size(NamedTuple):
    """All that was drawn on one lattice: values, errors and exact energies by temperature, and the curve R(T)."""

    length: int
    temperatures: np.ndarray
    values: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    exact_energy: np.ndarray
    combination: reweighting.Combination

    def ratio(self, temperature: float) -> stats.Estimate:
        """R at any temperature between those of the runs."""
        return self.combination.summary(temperature)["binder_ratio"]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=None, help=f"L of the lattices (default: {FULL['sizes']})")
    add("--center", type=float, default=2.27, help="temperature in the middle, a first guess of T_c")
    add("--width", type=float, default=0.8, help="temperatures reach to center (1 +- WIDTH / L)")
    add("--temperatures", type=int, default=7, help="temperatures of each size")
    add("--chains", type=int, default=None, help=f"Markov chains (default: {FULL['chains']})")
    add("--draws", type=int, default=None, help=f"draws of each chain (default: {FULL['draws']})")
    command.add_common(parser, "find_critical_temperature", "of all averages and fits")
    return command.parsed(parser, argv, FULL, QUICK)


def check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be run, before work starts."""
    for length in arguments.sizes:
        checks.integer("--sizes", length, 3)
    if len(arguments.sizes) < 3 or sorted(set(arguments.sizes)) != arguments.sizes:
        raise InputError(f"--sizes {arguments.sizes} must be three or more, and grow")
    checks.integer("--temperatures", arguments.temperatures, 5)
    checks.integer("--chains", arguments.chains, 1)
    checks.integer("--draws", arguments.draws, 100)
    center, width = checks.positive("--center", arguments.center), checks.positive("--width", arguments.width)
    if width >= min(arguments.sizes):
        raise InputError(f"--width {width:g} is not below the smallest size, {min(arguments.sizes)}; T would be 0")
    if not center * (1 - width / max(arguments.sizes)) < CRITICAL < center * (1 + width / max(arguments.sizes)):
        raise InputError(
            f"the temperatures of the largest size, {center:g} (1 +- {width / max(arguments.sizes):.3g}), leave out "
            f"the critical one, {CRITICAL:.6f}; give another --center or a larger --width"
        )


def draw_size(length: int, arguments: argparse.Namespace, seed: int, update: Callable[[int], object]) -> Size:
    """Runs of one lattice at all its temperatures."""
    lattice = ising.Ising((length, length))
    reach = np.linspace(-1, 1, arguments.temperatures) * arguments.width / length
    temperatures = arguments.center * (1 + reach)
    runs, found = [], []
    for k, temperature in enumerate(temperatures):
        run = ising.sample(
            lattice, temperature, arguments.chains, arguments.draws, THIN, BURN_IN, "wolff", rng.derive(seed, k),
            keep_states=False,
        )  # fmt: skip
        summary = observables.summary(run, lattice, temperature)
        found.append({
            "energy": summary["energy"],
            "binder_ratio": summary["binder_ratio"],
            "abs_magnetization": summary["abs_magnetization"].scaled(1 / lattice.n_sites),
            "susceptibility": summary["magnetization_squared"].scaled(1 / (lattice.n_sites * temperature)),
        })  # fmt: skip
        runs.append(run)
        update(length**2)
    return Size(
        length,
        temperatures,
        {name: np.array([one[name].value for one in found]) for name in COLUMNS},
        {name: np.array([one[name].error for one in found]) for name in COLUMNS},
        np.array([ising.exact.thermodynamics(lattice, one, method="kaufman").energy for one in temperatures]),
        reweighting.combine(runs),
    )


def crossings(sizes: list[Size]) -> list[Crossing]:
    """Of each size with the next."""
    return [
        crossing(one.ratio, other.ratio, other.temperatures[0], other.temperatures[-1])
        for one, other in itertools.pairwise(sizes)
    ]


def collapses(sizes: list[Size], center: float) -> dict[str, Collapse]:
    """The three fits."""
    length = np.concatenate([np.full(len(size.temperatures), float(size.length)) for size in sizes])
    temperatures = np.concatenate([size.temperatures for size in sizes])
    return {
        name: collapse(
            length,
            temperatures,
            np.concatenate([size.values[name] for size in sizes]),
            np.concatenate([size.errors[name] for size in sizes]),
            (center, INVERSE_NU, exponent),
            CORRECTION,
            exponent_is_fitted=exponent != 0,
        )
        for name, exponent in EXPONENTS.items()
    }


def in_errors(found: stats.Estimate, exact: float) -> str:
    """How many of its errors an estimate is from the exact value."""
    return f"{(found.value - exact) / found.error:+.1f}"


def energies(sizes: list[Size]) -> tuple[float, int]:
    """chi^2 of all energies with respect to Kaufman's, and how many there are."""
    pulls = np.concatenate([(size.values["energy"] - size.exact_energy) / size.errors["energy"] for size in sizes])
    return float(pulls @ pulls), len(pulls)


def table(sizes: list[Size], crossed: list[Crossing], fits: dict[str, Collapse]) -> str:
    """Crossings, fits and energies, each beside what is exact."""
    lines = [f"{'crossing of R':24} {'T':>14} {'errors':>7} {'R':>14} {'errors':>7}"]
    for one, other, found in zip(sizes[:-1], sizes[1:], crossed, strict=True):
        lines.append(
            f"{f'L = {one.length} and {other.length}':24} {found.temperature!s:>14} "
            f"{in_errors(found.temperature, CRITICAL):>7} {found.height!s:>14} "
            f"{in_errors(found.height, CRITICAL_RATIO):>7}"
        )
    lines.append(f"{'exact':24} {CRITICAL:14.6f} {'':>7} {CRITICAL_RATIO:14.6f}")
    lines += ["", f"{'collapse of':24} {'T_c':>14} {'errors':>7} {'1 / nu':>14} {'errors':>7} {'exponent':>14} "]
    lines[-1] += f"{'errors':>7} {'chi^2 / points':>15} {'p':>6}"
    for name, fit in fits.items():
        line = f"{LABELS[name]:24} {fit.critical_temperature!s:>14} {in_errors(fit.critical_temperature, CRITICAL):>7} "
        line += f"{fit.inverse_nu!s:>14} {in_errors(fit.inverse_nu, INVERSE_NU):>7} "
        exponent = "" if math.isnan(fit.exponent.value) else str(fit.exponent)
        line += f"{exponent:>14} {in_errors(fit.exponent, EXPONENTS[name]) if exponent else '':>7} "
        lines.append(line + f"{fit.chi_square:8.1f} / {fit.degrees_of_freedom:<4d} {fit.p_value:6.2f}")
    square, count = energies(sizes)
    lines += ["", f"energies of {count} runs beside Kaufman's: chi^2 = {square:.1f}, p = {chi2.sf(square, count):.2f}"]
    return "\n".join(lines)


def save(
    arguments: argparse.Namespace, sizes: list[Size], crossed: list[Crossing], fits: dict[str, Collapse], status: str
) -> None:
    """A group for each size, one for the crossings by the smaller size, and one for each fit."""
    with command.new_file(arguments.output, vars(arguments), status) as file:
        for size in sizes:
            group = open_table(file, f"size_{size.length}", "temperature", "measured at each temperature")
            for name in COLUMNS:
                group.add(name, (), list(size.values[name]))
                group.add(f"{name}_error", (), list(size.errors[name]))
            group.add("energy_exact", (), list(size.exact_energy))
            group.close({"temperature": size.temperatures})
        group = open_table(file, "crossings", "size", "of curves of the smaller and the next size")
        for name in Crossing._fields:
            command.add_estimates(group, name, [getattr(one, name) for one in crossed])
        group.close({"size": np.array([size.length for size in sizes[:-1]])})
        for name, fit in fits.items():
            attributes = open_table(file, f"collapse_{name}", words="a collapse, in its attributes").hdf.attrs
            for field, value in fit._asdict().items():
                if isinstance(value, stats.Estimate):
                    attributes[field], attributes[f"{field}_error"] = value.value, value.error
                else:
                    attributes[field] = value


def draw(path: str, sizes: list[Size], crossed: list[Crossing], fits: dict[str, Collapse]) -> None:
    """Curves of R with their crossings, and the three collapses."""
    figure = Figure(figsize=(13, 9), layout="constrained")
    figure.suptitle("The critical point of the 2D Ising model from Monte Carlo", fontsize=15)
    panels = figure.subplots(2, 2)
    above = panels[0, 0]
    near = max(sizes[min(1, len(sizes) - 1)].temperatures[-1] - CRITICAL, 1e-3)
    for number, size in enumerate(sizes):
        inside = np.linspace(size.temperatures[0], size.temperatures[-1], 41)
        curve = [size.ratio(temperature) for temperature in inside]
        value, error = np.array([(one.value, one.error) for one in curve]).T
        above.plot(inside, value, color=f"C{number}", linewidth=1)
        above.fill_between(inside, value - 2 * error, value + 2 * error, color=f"C{number}", alpha=0.3, linewidth=0)
        above.errorbar(
            size.temperatures, size.values["binder_ratio"], size.errors["binder_ratio"], fmt=".", color=f"C{number}",
            label=f"L = {size.length}",
        )  # fmt: skip
    above.axvline(CRITICAL, color="black", linewidth=0.8, linestyle="--", label="exact T_c")
    low, high = sizes[-1].values["binder_ratio"][[0, -1]]
    above.set(
        title="curves by reweighting (2 errors), points by runs", xlabel="T / J", ylabel=LABELS["binder_ratio"],
        xlim=(CRITICAL - near, CRITICAL + near), ylim=(min(low, 1.0), high + 0.1),
    )  # fmt: skip
    above.legend(fontsize=9)
    for axes, (name, fit) in zip(panels.ravel()[1:], fits.items(), strict=True):
        kappa = 0.0 if math.isnan(fit.exponent.value) else fit.exponent.value
        reach = []
        for number, size in enumerate(sizes):
            x = (size.temperatures / fit.critical_temperature.value - 1) * size.length**fit.inverse_nu.value
            correction = fit.correction * size.length**-CORRECTION
            correction = correction + np.polyval(fit.analytic, x) * size.length**-fit.inverse_nu.value
            y = size.values[name] * size.length**-kappa - correction
            axes.errorbar(
                x, y, size.errors[name] * size.length**-kappa, fmt="os^vDP"[number % 6], markersize=5,
                color=f"C{number}", label=f"L = {size.length}",
            )  # fmt: skip
            reach += [x.min(), x.max()]
        x = np.linspace(min(reach), max(reach), 200)
        axes.plot(x, np.polyval(fit.curve, x), color="black", linewidth=0.8, label="shared curve")
        axes.set(
            title=f"T_c = {fit.critical_temperature}, 1 / nu = {fit.inverse_nu}"
            + (f", exponent {fit.exponent}" if kappa else ""),
            xlabel="(T / T_c - 1) L^(1/nu)",
            ylabel=LABELS[name] + ", corrected",
        )
        axes.legend(fontsize=9)
    report.save_figure(figure, path, dpi=110)


def run(arguments: argparse.Namespace) -> str:
    """Draw, fit, write; returns whether the run is complete."""
    check(arguments)
    work = arguments.temperatures * sum(length**2 for length in arguments.sizes)
    with progress(work, "sampling", True) as bar:
        sizes, interrupted = until_interrupted(
            lambda k: draw_size(arguments.sizes[k], arguments, rng.derive(arguments.seed, k), bar.update),
            len(arguments.sizes),
        )
    if len(sizes) < 3:
        raise KeyboardInterrupt
    crossed, fits = crossings(sizes), collapses(sizes, arguments.center)
    status = command.status_of(interrupted)
    save(arguments, sizes, crossed, fits, status)
    print(table(sizes, crossed, fits))
    draw(arguments.figure, sizes, crossed, fits)
    return status


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("find_critical_temperature", parse(argv), run, "before three sizes were done")


if __name__ == "__main__":
    raise SystemExit(main())
