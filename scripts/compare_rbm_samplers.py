"""Gibbs, Metropolis and tempering on the same trained RBMs: how long they remember, and whether modes get their weight.

Question: below the critical temperature an RBM of Ising spins has two modes, of positive and negative magnetisation.
How long do its samplers take to forget a state and to change the mode, against temperature, what does that cost in
seconds, and do chains that all start in one mode end with the right weights of both?

At each temperature a model is fitted to independent exact draws of the Ising model by maximum likelihood. Chains that
start from exact draws of that model give integrated autocorrelation times of its free energy and of the sign of the
magnetisation. Of Gibbs and Metropolis they are compared with the exact ones, sums over all states of the transition
matrix P of a sweep, tau = 2 <f (1 - P)^-1 f> / <f f> - 1. Chains that all start with every spin up then give the weight
of the mode below, beside the exact one. Metropolis proposes one flip for each visible unit and sweep; tempering makes
Gibbs sweeps of a ladder from independent units to the model, and a sweep of it is one of all its replicas.

Reference: the exact times and weights of each model. Sokal, Monte Carlo methods in statistical mechanics (1997), for
autocorrelation times; Decelle, Furtlehner & Seoane, Neural Inf. Process. Syst. 34, 5345 (2021), on training RBMs whose
chains do not mix.
Expected: estimated times within three errors of the exact ones where chains are fifty times longer; others are only
said to be longer than a fiftieth of the chains. At T = 1
Gibbs and Metropolis change the mode once in 1e13 sweeps and more: chains that start above never see the other one, and
the time of the free energy, which the modes differ in, is short only to those who look at one of them. Tempering takes
ten to forty of its dearer sweeps at all temperatures. Time: two minutes on two cores, most of it the exact times.

    python scripts/compare_rbm_samplers.py
    python scripts/compare_rbm_samplers.py --quick --output small.h5 --figure small.png
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from rbm_parts import transitions
from study_parts import command

from mcgen import checks, enumeration, ising, rbm, report, rng, stats
from mcgen.errors import StatisticsWarning
from mcgen.progress import progress, until_interrupted
from mcgen.rbm.evaluation import exact_mode_balance, mode_balance
from mcgen.results.tables import open_table

FULL = {"shape": [3, 4], "temperatures": [1.0, 1.5, 2.0, 2.269, 2.5, 3.0, 4.0], "chains": 128, "draws": 4000}
QUICK = {"shape": [2, 3], "temperatures": [1.5, 3.0], "chains": 64, "draws": 2000}
METHODS = ("gibbs", "metropolis", "tempering")
MATRICES = {"gibbs": transitions.gibbs, "metropolis": transitions.metropolis}
ROWS = 20_000
# The fit ends where no component of the gradient is larger, far below what the data can tell.
TOLERANCE, ITERATIONS, START = 1e-4, 500, 0.1
# Groups of chains from whose times the error of the time is taken.
GROUPS = 8
# A time, and its error, are told by chains that are at least so many times longer, as the manual of emcee advises
# (Foreman-Mackey, Hogg, Lang & Goodman, Publ. Astron. Soc. Pac. 125, 306 (2013)).
TIMES_IN_CHAIN = 50
OBSERVABLES = ("free_energy", "sign")


class Found(NamedTuple):
    """What one sampler did on one model. Times are in sweeps; NaN where no exact one is known."""

    times: tuple[stats.Estimate, ...]
    exact_times: tuple[float, ...]
    seconds_per_sweep: float  # of one chain
    below: stats.Estimate
    changing_chains: int


class Machine(NamedTuple):
    """A model and what is exact of it."""

    temperature: float
    model: rbm.RBM
    kl_divergence: float
    below: float
    found: tuple[Found, ...]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--shape", type=int, nargs="+", default=None, help=f"sites along each axis (default: {FULL['shape']})")
    add("--temperatures", type=float, nargs="+", default=None, help=f"(default: {FULL['temperatures']})")
    add("--hidden", type=int, default=None, help="hidden units (default: as many as sites)")
    add("--chains", type=int, default=None, help=f"Markov chains (default: {FULL['chains']})")
    add("--draws", type=int, default=None, help=f"sweeps of each chain, all kept (default: {FULL['draws']})")
    command.add_common(parser, "compare_rbm_samplers", "of models and results")
    return command.parsed(parser, argv, FULL, QUICK)


def fit(lattice: ising.Ising, temperature: float, n_hidden: int, seed: int) -> tuple[rbm.RBM, float]:
    """The model of one temperature, and its divergence from the truth."""
    v = ising.exact.sample(lattice, temperature, ROWS, rng.derive(seed, 0)).reshape(ROWS, -1)
    start = rbm.RBM.random(lattice.n_sites, n_hidden, rng.derive(seed, 1), START, visible="spin", hidden="spin")
    truth = ising.exact.probabilities(lattice, temperature)
    fitted = rbm.maximum_likelihood(
        start, v, tolerance=TOLERANCE, max_iterations=ITERATIONS, l2=1 / ROWS, truth=truth, evaluate_every=ITERATIONS
    )
    if fitted.interrupted:
        raise KeyboardInterrupt
    return fitted.model, float(fitted.history["kl_divergence"][-1])


def time_of(series: np.ndarray) -> stats.Estimate:
    """The integrated autocorrelation time of a series, shape (n_chains, n_draws), with the error that groups show.

    Chains that are too short to tell it are so in all groups alike: it has no error then.
    """
    groups = [stats.integrated_time(group) for group in np.array_split(series, GROUPS)]
    value = stats.integrated_time(series)
    known = is_told(value, series.shape[1])
    error = float(np.std(groups, ddof=1) / np.sqrt(GROUPS)) if known else np.nan
    return stats.Estimate(value, error, np.nan, series.size / value)


def series_of(free_energy: np.ndarray, magnetization: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The observables, in their order."""
    return free_energy, np.sign(magnetization)


def measure(method: str, model: rbm.RBM, arguments: argparse.Namespace, exact: tuple, seed: int) -> Found:
    """One sampler on one model."""
    settings = {"n_chains": arguments.chains, "n_draws": arguments.draws, "thin": 1, "method": method}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)  # chains that do not mix are what is looked for
        starts = rbm.exact.sample(model, arguments.chains, rng.derive(seed, 0))
        rbm.sample(model, **settings | {"n_draws": 1}, burn_in=0, seed=0)  # kernels are compiled, threads awake
        began = time.perf_counter()
        run = rbm.sample(model, **settings, burn_in=0, initial=starts, seed=rng.derive(seed, 1))
        seconds = (time.perf_counter() - began) / (arguments.chains * arguments.draws)
        up = np.ones((arguments.chains, model.n_visible))
        from_above = rbm.sample(model, **settings, burn_in=arguments.draws, initial=up, seed=rng.derive(seed, 2))
        balance = mode_balance(from_above)
    times = tuple(time_of(series) for series in series_of(run.free_energy, run.magnetization))
    return Found(times, exact, seconds, balance.negative, balance.changing_chains)


def exact_times(method: str, model: rbm.RBM) -> tuple[float, ...]:
    """The times that the transition matrix implies, if one is known."""
    if method not in MATRICES:
        return (np.nan,) * len(OBSERVABLES)
    states = enumeration.list_states(model.n_visible, -1)
    values = np.array(series_of(model.free_energy(states), states.sum(axis=1)))
    return tuple(transitions.integrated_times(MATRICES[method](model), rbm.exact.probabilities(model), values))


def examine(lattice: ising.Ising, k: int, arguments: argparse.Namespace, update: Callable[[int], object]) -> Machine:
    """Everything of temperature k."""
    seed, temperature = rng.derive(arguments.seed, k), arguments.temperatures[k]
    model, divergence = fit(lattice, temperature, arguments.hidden or lattice.n_sites, rng.derive(seed, 0))
    found = []
    for number, method in enumerate(METHODS, start=1):
        exact = exact_times(method, model)
        found.append(measure(method, model, arguments, exact, rng.derive(seed, number)))
        update(1)
    return Machine(temperature, model, divergence, exact_mode_balance(model).negative.value, tuple(found))


def table(machines: list[Machine], n_draws: int) -> str:
    """Times, costs and weights by temperature and sampler."""
    columns = (("T", 6), ("KL", 8), ("sampler", 11), ("tau(F)", 12), ("exact", 10), ("tau(sign m)", 14), ("exact", 10))
    columns += (("us a sweep", 10), ("ESS/s of m", 10), ("p(m < 0)", 14), ("exact", 8), ("chains that changed", 19))
    lines = [" ".join(f"{name:>{width}}" for name, width in columns)]
    for machine in machines:
        for k, (method, one) in enumerate(zip(METHODS, machine.found, strict=True)):
            cells = [f"{machine.temperature:g}", f"{machine.kl_divergence:.5f}"] if k == 0 else ["", ""]
            cells.append(method)
            for time_found, exact in zip(one.times, one.exact_times, strict=True):
                told = is_told(time_found.value, n_draws)
                cells.append(str(time_found) if told else f"> {longest_told(n_draws):g}")
                cells += ["" if np.isnan(exact) else f"{exact:.4g}" if np.isfinite(exact) else "> 1e14"]
            rate = 1 / (one.times[1].value * one.seconds_per_sweep)
            rate = f"{rate:.3g}" if is_told(one.times[1].value, n_draws) else ""
            cells += [f"{1e6 * one.seconds_per_sweep:.3g}", rate, str(one.below), f"{machine.below:.4f}"]
            cells.append(str(one.changing_chains))
            lines.append(" ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, columns, strict=True)))
    bound = f"> {longest_told(n_draws):g}"
    lines += [
        "",
        f"{bound}: chains of {n_draws} draws are not {TIMES_IN_CHAIN} times as long, and too short to tell it",
    ]
    return "\n".join(lines)


def longest_told(n_draws: int) -> float:
    """The longest time, in sweeps, that chains of so many draws can tell."""
    return n_draws / TIMES_IN_CHAIN


def is_told(time: float, n_draws: int) -> bool:
    """Whether chains of so many draws are long enough for a time in sweeps, which may be NaN."""
    return time < longest_told(n_draws)


def save(arguments: argparse.Namespace, machines: list[Machine], status: str) -> None:
    """Models by temperature, and a group of numbers for each sampler."""
    with command.new_file(arguments.output, vars(arguments), status) as file:
        scale = {"temperature": np.array([one.temperature for one in machines])}
        group = open_table(file, "models", "temperature", "trained models, and their divergence from the truth in nats")
        command.add_parameters(group, [one.model for one in machines])
        group.add("kl_divergence", (), [one.kl_divergence for one in machines])
        group.add("below_exact", (), [one.below for one in machines])
        group.close(scale)
        for k, method in enumerate(METHODS):
            group = open_table(
                file, method, "temperature", f"autocorrelation times of {method} in sweeps, and weights of modes"
            )
            mine = [machine.found[k] for machine in machines]
            for number, name in enumerate(OBSERVABLES):
                command.add_estimates(group, f"time_{name}", [one.times[number] for one in mine])
                group.add(f"time_{name}_exact", (), [one.exact_times[number] for one in mine])
            group.add("seconds_per_sweep", (), [one.seconds_per_sweep for one in mine])
            command.add_estimates(group, "below", [one.below for one in mine])
            group.add("changing_chains", (), [one.changing_chains for one in mine])
            group.close(scale)


def draw(path: str, machines: list[Machine], n_draws: int) -> None:
    """Times, weights and independent signs a second against temperature."""
    figure = Figure(figsize=(13, 9), layout="constrained")
    figure.suptitle("Samplers on the same trained RBMs", fontsize=15)
    panels = figure.subplots(2, 2)
    temperatures = np.array([one.temperature for one in machines])
    titles = ("free energy", "sign of the magnetisation")
    for number, (axes, title) in enumerate(zip(panels[0], titles, strict=True)):
        told = f"longest that chains of {n_draws} draws tell"
        axes.axhline(longest_told(n_draws), color="0.7", linewidth=0.8, linestyle=":", label=told)
        for k, method in enumerate(METHODS):
            mine = [machine.found[k] for machine in machines]
            seen = [is_told(one.times[number].value, n_draws) for one in mine]
            values, errors = np.array([one.times[number][:2] for one in mine]).T
            axes.errorbar(temperatures[seen], values[seen], errors[seen], fmt="os^"[k], color=f"C{k}", label=method)
            exact = np.array([one.exact_times[number] for one in mine])
            if not np.isnan(exact).all():
                axes.plot(temperatures, exact, color=f"C{k}", linewidth=1, label=f"{method}, exact")
        axes.set(yscale="log", title=f"autocorrelation time of the {title}", xlabel="T / J", ylabel="tau / sweeps")
        axes.legend(fontsize=9)
    axes = panels[1, 0]
    axes.plot(temperatures, [one.below for one in machines], "_", color="black", markersize=24, label="exact")
    shift = 0.02 * max(np.ptp(temperatures), 0.1)
    for k, method in enumerate(METHODS):
        values, errors = np.array([machine.found[k].below[:2] for machine in machines]).T
        axes.errorbar(temperatures + shift * (k - 1), values, errors, fmt="os^"[k], color=f"C{k}", label=method)
    axes.set(
        title="all chains started above: weight of the mode below", xlabel="T / J (moved apart)", ylabel="p(m < 0)"
    )
    axes.legend(fontsize=9)
    axes = panels[1, 1]
    for k, method in enumerate(METHODS):
        mine = [machine.found[k] for machine in machines]
        seen = [is_told(one.times[1].value, n_draws) for one in mine]
        rate = np.array([1 / (one.times[1].value * one.seconds_per_sweep) for one in mine])
        axes.plot(temperatures[seen], rate[seen], "os^"[k] + "-", color=f"C{k}", label=method)
    axes.set(yscale="log", title="independent signs of m a second", xlabel="T / J", ylabel="effective draws / s")
    axes.legend(fontsize=9)
    report.save_figure(figure, path, dpi=110)


def run(arguments: argparse.Namespace) -> str:
    """Fit, sample, compare and write; returns whether the run is complete."""
    checks.integer("--chains", arguments.chains, 2 * GROUPS)
    checks.integer("--draws", arguments.draws, 20)
    for temperature in arguments.temperatures:
        checks.positive("--temperatures", temperature)
    lattice = ising.Ising(tuple(arguments.shape))
    transitions.check_units(lattice.n_sites, arguments.hidden or lattice.n_sites)
    with progress(len(METHODS) * len(arguments.temperatures), "sampling", True) as bar:
        machines, interrupted = until_interrupted(
            lambda k: examine(lattice, k, arguments, bar.update), len(arguments.temperatures)
        )
    status = command.status_of(interrupted)
    save(arguments, machines, status)
    print(table(machines, arguments.draws))
    draw(arguments.figure, machines, arguments.draws)
    return status


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("compare_rbm_samplers", parse(argv), run, "before the first model was done")


if __name__ == "__main__":
    raise SystemExit(main())
