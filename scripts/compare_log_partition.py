"""Estimates of log Z against exact values, as a restricted Boltzmann machine grows and learns.

Question: how far can each estimate be believed? log Z is easy for a model that has not learned anything, and hard once
its modes lie apart. How do annealed importance sampling (AIS, from both ends, and the sandwich of both), Bennett's
acceptance ratio (BAR, MBAR), thermodynamic integration and the mean-field approximations compare with the exact value,
and with the errors that they quote, against the number of hidden units and the length of the training, for about the
same work?

Models with several numbers of hidden units learn independent exact configurations of an 8x8 Ising model below the
critical temperature by persistent contrastive divergence. All of them, after 0, 4, 16, ... epochs, are summed exactly
and estimated by every method, with the same number of Gibbs sweeps each, up to a factor of two.

Reference: `rbm.exact.log_partition`. Salakhutdinov & Murray, ICML (2008), for AIS; Burda, Grosse & Salakhutdinov,
AISTATS (2015), for annealing from both ends; Shirts & Chodera, J. Chem. Phys. 129, 124105 (2008), for BAR and MBAR;
Gabrie, Tramel & Krzakala, NIPS (2015), for TAP.
Expected: root mean squares of 0.9 to 1.1 errors, and no deviation beyond three; errors grow from 0.001 nats before the
training to 0.02 to 0.05 after it. Mean fields are off by up to 1.5 nats, the naive one always from below, and near 0
where each state of the hidden units stands alone. Where chains no longer mix the weights run away, which is why log Z
of the smallest model ends in the thousands. Time: three minutes on two cores; Ctrl-C keeps the models that are done.

    python scripts/compare_log_partition.py
    python scripts/compare_log_partition.py --quick --output small.h5 --figure small.png
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from study_parts import command

from mcgen import checks, ising, rbm, report, rng, stats
from mcgen.errors import InputError, StatisticsWarning
from mcgen.progress import progress, until_interrupted
from mcgen.rbm.partition import LogPartition, log_partition
from mcgen.results.groups import Group

FULL = {"shape": [8, 8], "hidden": [4, 8, 16, 20], "epochs": [0, 4, 16, 64, 256], "rows": 5000, "runs": 256}
QUICK = {"shape": [3, 3], "hidden": [4, 8], "epochs": [0, 8], "rows": 1000, "runs": 64}
TEMPERATURE = 2.1
START = 0.05
TRAINING = {"negative_phase": "pcd", "n_chains": 200, "batch_size": 200, "learning_rate": 0.01, "gibbs_steps": 2}
# Temperatures of a run for each run; draws of each chain of a ladder.
TEMPERATURES_PER_RUN, DRAWS = 4, 100
# With an error, and approximations without one.
ESTIMATES = ("ais", "reverse-ais", "sandwich", "bar", "mbar", "integration")
APPROXIMATIONS = ("mean-field", "tap")


class Case(NamedTuple):
    """One model: what it is, its exact log Z, and what every method says."""

    n_hidden: int
    epochs: int
    exact: float
    found: dict[str, LogPartition]
    seconds: dict[str, float]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--shape", type=int, nargs="+", default=None, help=f"sites along each axis (default: {FULL['shape']})")
    add("--temperature", type=float, default=TEMPERATURE, help="of the configurations, in units of J")
    add("--hidden", type=int, nargs="+", default=None, help=f"numbers of hidden units (default: {FULL['hidden']})")
    add("--epochs", type=int, nargs="+", default=None, help=f"after which to look (default: {FULL['epochs']})")
    add("--rows", type=int, default=None, help=f"configurations (default: {FULL['rows']})")
    add("--runs", type=int, default=None, help=f"runs of annealing (default: {FULL['runs']})")
    command.add_common(parser, "compare_log_partition", "of all estimates")
    return command.parsed(parser, argv, FULL, QUICK)


def models(n_hidden: int, rows: np.ndarray, epochs: list[int], seed: int) -> list[rbm.RBM]:
    """The model after each of the numbers of epochs."""
    start = rbm.RBM.random(rows.shape[1], n_hidden, rng.derive(seed, 0), START, visible="spin", hidden="spin")
    found = [start] if epochs[0] == 0 else []
    trained = None
    for until in epochs[len(found) :]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StatisticsWarning)  # whether chains mix is not the question
            trained = rbm.train(start, rows, epochs=until, resume=trained, seed=rng.derive(seed, 1), **TRAINING)
        if trained.interrupted:
            raise KeyboardInterrupt
        found.append(trained.model)
    return found


def estimate(model: rbm.RBM, method: str, rows: np.ndarray, n_runs: int, seed: int) -> LogPartition:
    """log Z by one method; all make about n_runs^2 TEMPERATURES_PER_RUN Gibbs sweeps."""
    settings: dict[str, object] = {}
    if method in ("ais", "reverse-ais", "sandwich"):
        settings = {"n_runs": n_runs, "n_temperatures": TEMPERATURES_PER_RUN * n_runs // (1 + (method == "sandwich"))}
    elif method in ESTIMATES:
        settings = {"n_chains": n_runs, "n_draws": DRAWS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)  # the table shows what became of it
        return log_partition(model, method, seed, v=rows, **settings)


def examine(n_hidden: int, rows: np.ndarray, arguments: argparse.Namespace, seed: int, update: Callable) -> list[Case]:
    """All models of one size."""
    cases = []
    for k, model in enumerate(models(n_hidden, rows, arguments.epochs, rng.derive(seed, 0))):
        found, seconds = {}, {}
        for number, method in enumerate((*ESTIMATES, *APPROXIMATIONS)):
            began = time.perf_counter()
            own = rng.derive(seed, 1 + 100 * k + number)
            found[method] = estimate(model, method, rows, arguments.runs, own)
            seconds[method] = time.perf_counter() - began
            update(1)
        cases.append(Case(n_hidden, arguments.epochs[k], rbm.exact.log_partition(model), found, seconds))
    return cases


def table(cases: list[Case]) -> str:
    """What each estimate is off by, in nats, with its error; then all deviations in errors."""
    methods = (*ESTIMATES, *APPROXIMATIONS)
    lines = [f"{'hidden':>6} {'epochs':>6} {'exact log Z':>12} " + " ".join(f"{name:>14}" for name in methods)]
    for case in cases:
        cells = [stats.format_error(case.found[name].value - case.exact, case.found[name].error) for name in ESTIMATES]
        cells += [f"{case.found[name].value - case.exact:.3f}" for name in APPROXIMATIONS]
        lines.append(f"{case.n_hidden:6d} {case.epochs:6d} {case.exact:12.5f} " + " ".join(f"{c:>14}" for c in cells))
    lines.append("")
    for words, function in (("rms deviation, errors", rms), ("largest", lambda x: np.abs(x).max())):
        cells = [f"{function(deviations(cases, name)):.2f}" for name in ESTIMATES]
        lines.append(f"{words:>26} " + " ".join(f"{cell:>14}" for cell in cells))
    cells = [f"{np.mean([case.seconds[name] for case in cases]):.2g}" for name in methods]
    lines.append(f"{'seconds':>26} " + " ".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def rms(x: np.ndarray) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(x**2)))


def deviations(cases: list[Case], method: str) -> np.ndarray:
    """(estimate - exact) / error."""
    return np.array([(case.found[method].value - case.exact) / case.found[method].error for case in cases])


def save(arguments: argparse.Namespace, cases: list[Case], status: str) -> None:
    """One entry for each model, in the order of the table."""
    with command.new_file(arguments.output, vars(arguments), status) as file:
        group = Group(file, "exact", "entry")
        group.add("n_hidden", (), [case.n_hidden for case in cases])
        group.add("epochs", (), [case.epochs for case in cases])
        group.add("log_partition", (), [case.exact for case in cases])
        group.close()
        group = Group(file, "observables", "entry")
        for method in (*ESTIMATES, *APPROXIMATIONS):
            name = method.replace("-", "_")
            group.add(f"{name}_seconds", (), [case.seconds[method] for case in cases])
            if method in ESTIMATES:
                command.add_estimates(group, name, [case.found[method] for case in cases])
            else:
                group.add(name, (), [case.found[method].value for case in cases])
        group.close()


def draw(path: str, cases: list[Case]) -> None:
    """A panel for each number of hidden units: what estimates are off by, and their errors, along the training."""
    sizes = sorted({case.n_hidden for case in cases})
    figure = Figure(figsize=(4.5 * len(sizes), 8), layout="constrained")
    figure.suptitle("Estimates of log Z against exact values", fontsize=15)
    panels = figure.subplots(2, len(sizes), squeeze=False, sharey="row")
    for axes, below, n_hidden in zip(*panels, sizes, strict=True):
        mine = [case for case in cases if case.n_hidden == n_hidden]
        places = np.arange(len(mine))
        for k, method in enumerate((*ESTIMATES, *APPROXIMATIONS)):
            off = np.array([abs(case.found[method].value - case.exact) for case in mine])
            style = "o-" if method in ESTIMATES else "x:"
            axes.plot(places, np.maximum(off, 1e-6), style, color=f"C{k}", markersize=4, linewidth=1, label=method)
            if method in ESTIMATES:
                shift = 0.08 * (k - (len(ESTIMATES) - 1) / 2)
                below.plot(places + shift, deviations(mine, method), "o", color=f"C{k}", markersize=5, label=method)
        axes.set(yscale="log", title=f"{n_hidden} hidden units", ylabel="|estimate - exact| / nats")
        for level in (-2, 2):
            below.axhline(level, color="0.6", linewidth=0.8, linestyle=":")
        below.axhline(0, color="black", linewidth=0.8)
        below.set(ylabel="(estimate - exact) / error")
        for one in (axes, below):
            one.set_xticks(places, [str(case.epochs) for case in mine])
            one.set_xlabel("epochs of training")
    panels[0, 0].legend(fontsize=8)
    report.save_figure(figure, path, dpi=110)


def run(arguments: argparse.Namespace) -> str:
    """Train, estimate, compare and write; returns whether the run is complete."""
    for name, least in {"rows": 10, "runs": 8}.items():
        checks.integer(f"--{name}", getattr(arguments, name), least)
    for n_hidden in arguments.hidden:
        checks.integer("--hidden", n_hidden, 1, 24)
    if arguments.epochs != sorted(set(arguments.epochs)) or arguments.epochs[0] < 0:
        raise InputError(f"--epochs {arguments.epochs} must grow, from 0 or more")
    lattice = ising.Ising(tuple(arguments.shape))
    seeds = [rng.derive(arguments.seed, k) for k in range(1 + len(arguments.hidden))]
    rows = ising.exact.sample(lattice, arguments.temperature, arguments.rows, seeds[0]).reshape(arguments.rows, -1)
    n_methods = len(ESTIMATES) + len(APPROXIMATIONS)
    with progress(n_methods * len(arguments.hidden) * len(arguments.epochs), "estimates", True) as bar:
        found, interrupted = until_interrupted(
            lambda k: examine(arguments.hidden[k], rows, arguments, seeds[1 + k], bar.update), len(arguments.hidden)
        )
    cases = [case for size in found for case in size]
    status = command.status_of(interrupted)
    save(arguments, cases, status)
    print(table(cases))
    draw(arguments.figure, cases)
    return status


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("compare_log_partition", parse(argv), run, "before the models of one size were done")


if __name__ == "__main__":
    raise SystemExit(main())
