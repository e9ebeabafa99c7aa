"""Learn the 4x4 Ising model at eleven temperatures with RBMs, and sum exactly how far they are from it.

Question: trained on 20,000 configurations at each temperature, how close does a restricted Boltzmann machine (RBM) with
16 hidden units come to the Boltzmann distribution, below, at and above the transition, and what does it gain from the
symmetry of the lattice?

Two models are fitted at each temperature. The full one has all 288 parameters. Its likelihood is climbed first by
L-BFGS, with a penalty (l2 / 2) sum W_ij^2, and then by Adam with the exact gradient and a penalty l1 sum |W_ij|: spins
have few neighbours, so that most weights want to be 0. Under which penalties a held-out fifth of the rows is most
probable decides which ones it is fitted with, to all rows. The symmetric one has a single filter that all translations
share, and no preferred sign of the magnetisation: 16 parameters, without a penalty; the reflections of the lattice it
learns from the rows, which are shown to it reflected in all ways. The truth is looked at afterwards only:
KL(truth || model), energy, |m| and heat capacity are sums over all 65,536 states.

Reference: Torlai & Melko, Phys. Rev. B 94, 165134 (2016); the models that they published are summed for comparison.
A full model of d parameters that is fitted to n rows by maximum likelihood is d / 2n = 0.0072 nats from the truth
(Akaike, IEEE Trans. Autom. Control 19, 716 (1974)).
Expected: at most 0.0075 nats with the full model and 0.0007 with the symmetric one, on Torlai & Melko's rows.
Time: five minutes on one core.

    python scripts/learn_ising_temperatures.py
    python scripts/learn_ising_temperatures.py --data ising2d_trainset_L4.tar.gz --output torlai.h5 --figure torlai.png
    python scripts/learn_ising_temperatures.py --temperature 2.269 --rows 100000 --output rows.h5 --figure rows.png
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ising_parts.rows import read_tables, rows_at
from matplotlib.figure import Figure
from study_parts import command

from mcgen import checks, evaluation, ising, rbm, report, results, rng
from mcgen.progress import until_interrupted

TEMPERATURES = (1.0, 1.254, 1.508, 1.762, 2.016, 2.269, 2.524, 2.778, 3.032, 3.286, 3.54)
# KL(truth || model) of the models with 16 hidden units that Torlai & Melko published, summed over all states.
PUBLISHED = {1.0: 26.3, 1.254: 0.566, 1.508: 0.0077, 2.016: 0.0037, 2.269: 0.0068, 2.778: 0.0031, 3.54: 0.0049}
# Penalties (l2, l1) of the full model that are tried on held-out rows, one part of so many: cold models need strong
# weights, warm ones few.
PENALTIES = ((1e-4, 3e-4), (1e-3, 3e-4), (1e-3, 1e-3))
HELD_OUT = 5
FULL_SCALE, FULL_ITERATIONS = 0.1, 200
SYMMETRIC_SCALE, SYMMETRIC_STARTS, SYMMETRIC_ITERATIONS = 0.3, 2, 300
SECOND_CLIMB = {"negative_phase": "exact", "batch_size": 500, "learning_rate": 0.01, "final_learning_rate": 2e-4}
DRAWS_OF_MODEL = 20_000
MODELS = ("full", "symmetric")
COLORS = {"full": "tab:red", "symmetric": "tab:blue"}
PER_SITE = ("energy", "abs_magnetization", "heat_capacity")


class Fitted(NamedTuple):
    """A model at one temperature, and what was found of it."""

    trained: rbm.Trained
    exact: dict[str, float]
    observables: dict[str, float]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--shape", type=int, nargs=2, default=[4, 4], help="sites along each axis of the lattice")
    add("--temperature", type=float, nargs="+", default=None, help="in units of J (default: eleven, or all of --data)")
    add("--data", default=None, help="folder or tar archive of files ..T<temperature>_train.txt of 0/1 rows")
    add("--rows", type=int, default=20_000, help="configurations that are drawn at each temperature, without --data")
    add("--hidden", type=int, default=16, help="hidden units of the full model")
    add("--epochs", type=int, default=20, help="passes through the data in the second climb of the full model")
    command.add_common(
        parser, "learn_ising_temperatures", "for each model: -full and -symmetric are added", quick=False
    )
    return parser.parse_args(argv)


def path_of(name: str, output: str) -> Path:
    """The file of the full or of the symmetric models."""
    path = Path(output)
    return path.with_name(f"{path.stem}-{name}{path.suffix}")


def complete(trained: rbm.Trained) -> rbm.Trained:
    """The result of a training, unless Ctrl-C cut it short: it is not at its maximum then."""
    if trained.interrupted:
        raise KeyboardInterrupt
    return trained


def climb(start: rbm.RBM, v: np.ndarray, l2: float, iterations: int, seed: int) -> rbm.Trained:
    """The first climb."""
    return complete(rbm.maximum_likelihood(start, v, l2=l2, tolerance=1e-5, max_iterations=iterations, seed=seed))


def climb_on(first: rbm.Trained, v: np.ndarray, l1: float, epochs: int, seed: int) -> rbm.Trained:
    """The second climb, to few weights."""
    second = rbm.train(first.model, v, epochs=epochs, l1=l1, seed=seed, **SECOND_CLIMB)
    return rbm.join(first, complete(second))


def fit_full(v: np.ndarray, n_hidden: int, epochs: int, seed: int) -> tuple[rbm.Trained, tuple[float, float]]:
    """The full model, with the penalties under which held-out rows are most probable."""
    start = rbm.RBM.random(v.shape[1], n_hidden, rng.derive(seed, 0), FULL_SCALE, visible="spin", hidden="spin")
    last = rng.derive(seed, 1)
    n_kept = len(v) - max(1, len(v) // HELD_OUT)
    kept, held_out = v[:n_kept], v[n_kept:]
    firsts = {l2: climb(start, kept, l2, FULL_ITERATIONS, last) for l2 in dict(PENALTIES)}
    models = [climb_on(firsts[l2], kept, l1, epochs, last).model for l2, l1 in PENALTIES]
    l2, l1 = PENALTIES[int(np.argmax([rbm.exact.log_likelihood(model, held_out) for model in models]))]
    return climb_on(climb(start, v, l2, FULL_ITERATIONS, last), v, l1, epochs, last), (l2, l1)


def reflected(v: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The rows in all reflections and rotations of the lattice, each as often."""
    images = [v.reshape(-1, *shape)]
    images += [image[:, ::-1] for image in images]
    images += [image[:, :, ::-1] for image in images]
    if shape[0] == shape[1]:
        images += [image.transpose(0, 2, 1) for image in images]
    return np.concatenate(images).reshape(-1, v.shape[1])


def fit_symmetric(v: np.ndarray, shape: tuple[int, int], seed: int) -> rbm.Trained:
    """The symmetric model: of several starts, the end where the data are most probable."""
    v, ends = reflected(v, shape), []
    for k in range(SYMMETRIC_STARTS):
        own = rng.derive(seed, k)
        start = rbm.RBM.symmetric(shape, 1, own, SYMMETRIC_SCALE, spin_flip=True, visible="spin", hidden="spin")
        ends.append(climb(start, v, 0.0, SYMMETRIC_ITERATIONS, own))
    return max(ends, key=lambda end: end.history["log_likelihood"][-1])


def run_one(arguments: argparse.Namespace, lattice: ising.Ising, tables: dict | None, k: int) -> dict[str, Fitted]:
    """Draw or read data, fit both models and compare them with the truth, at temperature number k."""
    temperature = arguments.temperature[k]
    seeds = [rng.derive(arguments.seed, 10 * k + part) for part in range(4)]
    v, test = rows_at(lattice, temperature, tables, arguments.rows, seeds[0])
    full, penalties = fit_full(v, arguments.hidden, arguments.epochs, seeds[1])
    symmetric = fit_symmetric(v, lattice.shape, seeds[2])
    found = {}
    for name, trained, (l2, l1) in (("full", full, penalties), ("symmetric", symmetric, (0.0, 0.0))):
        draws = rbm.exact.sample(trained.model, DRAWS_OF_MODEL, seeds[3])
        exact, table = evaluation.evaluate(trained.model, lattice, temperature, v, draws, test)
        found[name] = Fitted(trained, exact | {"l2": l2, "l1": l1}, table)
    kl = ", ".join(f"{found[name].exact['kl_divergence']:.5f} ({name})" for name in MODELS)
    print(f"T = {temperature:g}: KL(truth || model) = {kl} nats", flush=True)
    return found


def study_of(
    name: str, done: list[dict[str, Fitted]], temperatures: list[float], lattice: ising.Ising
) -> results.Study:
    """What goes into a file."""
    fits = [found[name] for found in done]
    return results.Study(
        temperatures=tuple(temperatures[: len(done)]),
        lattice=lattice,
        models=tuple(fit.trained.model for fit in fits),
        trained=tuple(fit.trained for fit in fits),
        exact=evaluation.columns([fit.exact for fit in fits]),
        observables=evaluation.columns([fit.observables for fit in fits]),
    )


def published_at(arguments: argparse.Namespace, temperature: float) -> float:
    """The divergence of the published model; NaN where it is not known, or another lattice is learned."""
    return PUBLISHED.get(temperature, np.nan) if list(arguments.shape) == [4, 4] else np.nan


def table(arguments: argparse.Namespace, studies: dict[str, results.Study]) -> str:
    """Divergences, and exact observables per site of truth and models, one line for each temperature."""
    full, symmetric = (studies[name] for name in MODELS)
    n_sites = full.lattice.n_sites
    lines = [
        f"{'':6} {'KL(truth || model), nats':^36} {'penalties':^11} {'energy per site':^26}"
        f" {'|m| per site':^26} {'heat capacity per site':^26}",
        f"{'T':>6} {'published':>11} {'full':>11} {'symmetric':>12} {'l2':>5} {'l1':>5}"
        + f" {'exact':>8} {'full':>8} {'symm.':>8}" * 3,
    ]
    for k, temperature in enumerate(full.temperatures):
        published = published_at(arguments, temperature)
        line = f"{temperature:6g} " + (f"{published:11.4g}" if np.isfinite(published) else f"{'-':>11}")
        line += f" {full.exact['kl_divergence'][k]:11.5f} {symmetric.exact['kl_divergence'][k]:12.5f}"
        line += "".join(f" {full.exact[name][k]:5.0e}" for name in ("l2", "l1"))
        for name in PER_SITE:
            values = (
                full.observables[f"{name}_truth"][k],
                *(study.observables[f"{name}_model_exact"][k] for study in (full, symmetric)),
            )
            line += "".join(f" {value / n_sites:8.4f}" for value in values)
        lines.append(line)
    worst = ", ".join(f"{studies[name].exact['kl_divergence'].max():.5f} ({name})" for name in MODELS)
    return "\n".join([*lines, "", f"largest KL(truth || model): {worst} nats"])


def draw(path: str, arguments: argparse.Namespace, studies: dict[str, results.Study]) -> None:
    """Divergence against temperature, and what is wrong with the observables."""
    figure = Figure(figsize=(13, 8.5), layout="constrained")
    shape = "x".join(map(str, arguments.shape))
    figure.suptitle(f"RBMs of the {shape} Ising model across temperatures, summed over all states", fontsize=14)
    panels = figure.subplots(2, 2).ravel()
    temperatures = np.array(studies["full"].temperatures)
    published = np.array([published_at(arguments, one) for one in temperatures])
    if np.isfinite(published).any():
        panels[0].plot(temperatures, published, "x", color="gray", label="Torlai & Melko's published models")
    for name in MODELS:
        model = studies[name].models[0]
        n_free = sum(p.size for p in model.parameters) if model.symmetry is None else model.symmetry.n_free
        words = f"{name}, {model.n_hidden} hidden units, {n_free} parameters"
        panels[0].plot(temperatures, studies[name].exact["kl_divergence"], "o-", color=COLORS[name], label=words)
    panels[0].set(yscale="log", ylabel="KL(truth || model), nats", title="Divergence from the truth")
    words = {"energy": "energy", "abs_magnetization": "|m|", "heat_capacity": "heat capacity"}
    for panel, name in zip(panels[1:], PER_SITE, strict=True):
        n_sites = studies["full"].lattice.n_sites
        panel.axhline(0.0, color="black", linewidth=1)
        truth = studies["full"].observables[f"{name}_truth"] / n_sites
        data = studies["full"].observables
        panel.errorbar(
            temperatures, data[f"{name}_data"] / n_sites - truth, data[f"{name}_data_error"] / n_sites, fmt=".",
            color="gray", capsize=3, label="rows of data, with one standard error",
        )  # fmt: skip
        for model in MODELS:
            value = studies[model].observables[f"{name}_model_exact"] / n_sites - truth
            panel.plot(temperatures, value, "o-", color=COLORS[model], markersize=4, label=f"{model}, exact")
        panel.set(ylabel="minus exact", title=f"{words[name].capitalize()} per site")
    for panel in panels:
        panel.set_xlabel("temperature")
        panel.legend(fontsize=9)
    report.save_figure(figure, path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    arguments = parse(argv)
    paths = [path_of(name, arguments.output) for name in MODELS]
    return command.run("learn_ising_temperatures", arguments, study, "before the first temperature was done", paths)


def study(arguments: argparse.Namespace) -> str:
    """Fit at one temperature after the other, and write what was done."""
    for name, least in (("hidden", 1), ("epochs", 1), ("rows", HELD_OUT)):
        checks.integer(f"--{name}", getattr(arguments, name), least)
    lattice = ising.Ising(tuple(arguments.shape))
    tables = None if arguments.data is None else read_tables(arguments.data)
    if arguments.temperature is None:
        known = TEMPERATURES if tables is None else sorted({one for one, part in tables if part == "train"})
        arguments.temperature = list(known)
    ising.exact.probabilities(lattice, arguments.temperature[0])  # whether all states can be listed
    source = "own exact draws" if tables is None else arguments.data
    print(f"{lattice}, {arguments.hidden} hidden units, rows from {source}, seed {arguments.seed}", flush=True)
    done, interrupted = until_interrupted(lambda k: run_one(arguments, lattice, tables, k), len(arguments.temperature))
    status = command.status_of(interrupted)
    studies = {name: study_of(name, done, arguments.temperature, lattice) for name in MODELS}
    for name, one in studies.items():
        results.save(path_of(name, arguments.output), one, arguments.overwrite, vars(arguments), status)
    print("\n" + table(arguments, studies))
    draw(arguments.figure, arguments, studies)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
