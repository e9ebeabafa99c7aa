"""Do the quoted intervals of log Z contain it? Estimates of many models against exact sums.

Question: if an estimate of log Z quotes an interval of 95 percent, is the exact value in it 95 times of 100; and does a
sandwich always contain it? Half of the models are random, with weights and biases of standard deviations from 0.1 to
1; the others are trained (PCD) on exact draws of Ising lattices at temperatures from 1.5 to 3.5 and on Bars-and-Stripes
patterns in turn. The smaller layer has 16 to 20 units, so that exact sums take a blink.
Reference: rbm.exact.log_partition.
Expected: of 100 models, 90 to 99 inside the intervals of each method (a right interval has a number within these ends
with a probability of 98 percent; a ! marks others, and the ends for other numbers of models), all of them inside the
sandwich; deviations (estimate - exact) / error with a mean near 0 and a standard deviation near 1.
Time: three minutes on one core; a few seconds with --quick. Ctrl-C keeps the models that are done.

    python scripts/log_partition_coverage.py --quick
    python scripts/log_partition_coverage.py --output log_partition_coverage.h5 --figure log_partition_coverage.png
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from rbm_parts.patterns import bars_and_stripes
from scipy.stats import binom, norm
from study_parts import command

from mcgen import checks, evaluation, ising, rbm, report, rng
from mcgen.errors import StatisticsWarning
from mcgen.progress import progress, until_interrupted
from mcgen.rbm.partition import ais, sandwich
from mcgen.rbm.partition.bridge import bar, mbar
from mcgen.rbm.partition.integration import thermodynamic_integration
from mcgen.results.groups import Group

# Numbers of units; epochs and rows of the trainings; work of the estimates.
FULL = {"smallest": 16, "largest": 20, "shapes": ((4, 4), (4, 5)), "epochs": 40, "rows": 1000}
FULL |= {"n_runs": 256, "n_temperatures": 500, "n_chains": 128, "n_draws": 50}
QUICK = FULL | {"smallest": 6, "largest": 8, "shapes": ((2, 3), (2, 4)), "epochs": 10, "rows": 200}
QUICK |= {"n_runs": 64, "n_temperatures": 100, "n_chains": 32, "n_draws": 20}
# Numbers of models inside that a right interval gives with a probability of 98 percent: 90 to 99 of 100.
CENTRAL = 0.975
SCALES, TEMPERATURES = (0.1, 1.0), (1.5, 3.5)


def annealed(method: Callable) -> Callable:
    """A method by annealing runs, as a function of (model, effort, seed)."""
    return lambda model, effort, seed: method(model, effort["n_runs"], effort["n_temperatures"], seed=seed)


def laddered(method: Callable) -> Callable:
    """A method along a ladder, likewise."""
    return lambda model, effort, seed: method(model, effort["n_chains"], effort["n_draws"], seed=seed)


METHODS = {
    "ais": annealed(ais),
    "bar": laddered(bar),
    "mbar": laddered(mbar),
    "sandwich": annealed(sandwich),
    "integration": laddered(thermodynamic_integration),
}


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), help="estimates")
    parser.add_argument("--models", type=int, default=None, help="how many; 100, or 6 with --quick")
    command.add_common(parser, "log_partition_coverage", "of all estimates")
    return command.parsed(parser, argv, {"models": 100}, {"models": 6})


def make_model(k: int, effort: dict, seed: int) -> tuple[rbm.RBM, str]:
    """Model k of the study and what it is: random where k is even."""
    numbers = rng.uniforms(rng.derive(seed, 0), rng.purpose.STUDY_SPLIT, 1, 4)[0]
    n_more = effort["largest"] - effort["smallest"] + 1
    n_hidden = effort["smallest"] + int(n_more * numbers[0])
    if k % 2 == 0:
        scale = SCALES[0] + (SCALES[1] - SCALES[0]) * numbers[1]
        n_visible = n_hidden + int(5 * numbers[2])
        draws = rng.normals(rng.derive(seed, 1), rng.purpose.RBM_PARAMETERS, n_visible + 1, n_hidden + 1)
        weights, visible_bias, hidden_bias = draws[1:, 1:], draws[1:, 0], draws[0, 1:]
        return rbm.RBM(scale * weights, scale * visible_bias, scale * hidden_bias), f"random {scale:.2f}"
    shape = effort["shapes"][int(2 * numbers[2])]
    if k % 4 == 1:
        temperature = TEMPERATURES[0] + (TEMPERATURES[1] - TEMPERATURES[0]) * numbers[3]
        draws = ising.exact.sample(ising.Ising(shape), temperature, effort["rows"], rng.derive(seed, 2))
        rows, name = (draws.reshape(len(draws), -1) + 1) // 2, f"Ising {shape[0]}x{shape[1]} T={temperature:.2f}"
    else:
        patterns = bars_and_stripes(*shape)
        rows, name = np.resize(patterns, (effort["rows"], patterns.shape[1])), f"bars {shape[0]}x{shape[1]}"
    start = rbm.RBM.random(rows.shape[1], n_hidden, rng.derive(seed, 3))
    with warnings.catch_warnings():
        # Whether the chains of the training mixed is not the question here: any model will do.
        warnings.simplefilter("ignore", StatisticsWarning)
        trained = rbm.train(
            start, rows, negative_phase="pcd", n_chains=100, epochs=effort["epochs"], batch_size=50,
            learning_rate=0.02, evaluate_every=effort["epochs"], seed=rng.derive(seed, 4),
        )  # fmt: skip
    return trained.model, name


def estimate(k: int, methods: list[str], effort: dict, seed: int) -> tuple[str, dict[str, float]]:
    """Model k with all that was found: its name, and a row of numbers."""
    model, name = make_model(k, effort, rng.derive(seed, 0))
    row = {"log_partition": rbm.exact.log_partition(model)}
    for method in methods:
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", StatisticsWarning)
            found = METHODS[method](model, effort, rng.derive(seed, 1))
        values = {"": found.value, "_error": found.error, "_low": found.interval[0], "_high": found.interval[1]}
        values |= {"_lower": found.lower, "_upper": found.upper}
        values |= {"_effective_sample_size": found.effective_sample_size}
        values |= {"_warnings": len(caught), "_seconds": time.perf_counter() - began}
        row |= {f"{method}{ending}": value for ending, value in values.items()}
    return name, row


def summary(method: str, columns: dict[str, np.ndarray]) -> dict[str, float]:
    """What is printed and drawn of one method."""
    exact = columns["log_partition"]
    low, high, error, ends = (columns[f"{method}{ending}"] for ending in ("_low", "_high", "_error", "_lower"))
    upper = columns[f"{method}_upper"]
    deviations = (columns[method] - exact) / error
    return {
        "inside": int(((low <= exact) & (exact <= high)).sum()),
        "contained": int(((ends <= exact) & (exact <= upper)).sum()) if np.isfinite(ends).all() else -1,
        "mean": float(deviations.mean()),
        "deviation": float(deviations.std(ddof=1)),
        "error": float(np.median(error)),
        "seconds": float(columns[f"{method}_seconds"].mean()),
        "warnings": int(columns[f"{method}_warnings"].sum()),
    }


def table(methods: list[str], columns: dict[str, np.ndarray]) -> tuple[str, int]:
    """The table, and how many methods are outside of the expected."""
    n = len(columns["log_partition"])
    least, most = (int(end) for end in binom.interval(CENTRAL, n, 0.95))
    lines = [f"{n} models; inside is right from {least} to {most}", ""]
    lines.append(
        f"{'method':12} {'inside':>8} {'sandwich':>9} {'deviation (mean, std)':>22} {'error':>8} {'s':>6}  warnings"
    )
    wrong = 0
    for method in methods:
        one = summary(method, columns)
        off = not least <= one["inside"] <= most or one["contained"] not in (-1, n)
        wrong += off
        contained = "" if one["contained"] < 0 else str(one["contained"])
        lines.append(
            f"{method:12} {one['inside']:7d}{'!' if off else ' '} {contained:>9} {one['mean']:+14.2f} "
            f"{one['deviation']:7.2f} {one['error']:8.4f} {one['seconds']:6.2f}  {one['warnings']}"
        )
    return "\n".join(lines), wrong


def save(arguments: argparse.Namespace, names: list[str], columns: dict[str, np.ndarray], status: str) -> None:
    """One entry for each model: the exact values, and everything that was estimated."""
    with command.new_file(arguments.output, vars(arguments) | {"names": names}, status) as file:
        for group, its in (("exact", ("log_partition",)), ("observables", columns.keys() - {"log_partition"})):
            group = Group(file, group, "entry")
            for name in sorted(its):
                group.add(name, (), list(columns[name]))
            group.close()


def draw(path: str, methods: list[str], columns: dict[str, np.ndarray]) -> None:
    """Deviations in errors, one panel a method, against the normal distribution."""
    figure = Figure(figsize=(4 * len(methods), 4), layout="constrained")
    x = np.linspace(-4.5, 4.5, 200)
    panels = np.atleast_1d(figure.subplots(1, len(methods), sharey=True))
    for axes, method in zip(panels, methods, strict=True):
        deviations = (columns[method] - columns["log_partition"]) / columns[f"{method}_error"]
        axes.hist(np.clip(deviations, -4.5, 4.5), np.linspace(-4.5, 4.5, 19), density=True, color="0.75")
        axes.plot(x, norm.pdf(x), color="black", linewidth=1, label="normal distribution")
        one = summary(method, columns)
        axes.set_title(f"{method}: {one['inside']} of {len(deviations)} inside", fontsize=10)
        axes.set_xlabel("(estimate - exact) / error")
    panels[0].legend(fontsize=8)
    report.save_figure(figure, path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Run the study; the exit status is 1 if a method is outside of the expected."""
    return command.run("log_partition_coverage", parse(argv), study, "before the first model was done")


def study(arguments: argparse.Namespace) -> command.Ended:
    """Make models and estimate, as many as are asked for, and write what was done."""
    effort, n_models = QUICK if arguments.quick else FULL, arguments.models
    checks.integer("--models", n_models, 2)
    rng.split_seed(arguments.seed)
    with progress(n_models, "models", True) as bar:

        def work(k: int) -> tuple[str, dict[str, float]]:
            found = estimate(k, arguments.methods, effort, rng.derive(arguments.seed, k))
            bar.update(1)
            return found

        found, interrupted = until_interrupted(work, n_models)
    names, rows = zip(*found, strict=True)
    columns, status = evaluation.columns(rows), command.status_of(interrupted)
    save(arguments, list(names), columns, status)
    if len(rows) == 1:  # no deviations have a spread
        return command.Ended(status, has_figure=False)
    text, wrong = table(arguments.methods, columns)
    print(text)
    draw(arguments.figure, arguments.methods, columns)
    return command.Ended(status, int(wrong > 0))


if __name__ == "__main__":
    sys.exit(main())
