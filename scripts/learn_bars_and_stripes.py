"""Fit Bars-and-Stripes with restricted Boltzmann machines by exact maximum likelihood, and compare with the best fit.

Question: an n x n image has either full rows (stripes) or full columns (bars), so that its distribution has many
separate modes. Do small RBMs find the best possible fit, from how many starts, and with how many hidden units?

The data are the distribution from which images are drawn: first whether rows or columns are filled, then each of them
with probability 1/2. Of 2 (2^n - 1) distinct patterns, the blank and the full one are twice as probable as the others.
A model can do no better than to give every pattern its probability: the sum of log p(v) over the distinct patterns is
then -(2^(n+1) - 4) log 2^(n+1) - 2 log 2^n, which is -102.586 nats for 4x4 and -37.430 for 3x3. Since a sum over the
distinct patterns could be larger for another distribution (all alike: -102.036), KL(data || model) is given as well: it
is 0 at the best fit and positive anywhere else. All sums are exact.

Reference: MacKay, Information theory, inference, and learning algorithms (2003), section 43; Fischer & Igel, Pattern
Recognition 47, 25 (2014), for this benchmark and RBMs trained on it by sampling.
Expected: the best fit to 0.01 nats. For 4x4, 12 hidden units reach it from seven of eight starts, and 8 from three; for
3x3, 8 reach it from six and 6 from one: the other starts end in other maxima. Time: half a minute on one core.

    python scripts/learn_bars_and_stripes.py
    python scripts/learn_bars_and_stripes.py --side 3 --hidden 8 --starts 20 --output small.h5 --figure small.png
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rbm_parts.patterns import drawn_images
from study_parts import command

from mcgen import checks, figures, rbm, report, results, rng
from mcgen.progress import progress, until_interrupted

HIDDEN = {3: (6, 8), 4: (8, 12)}
START = 0.5  # standard deviation of the weights that a fit starts from
TOLERANCE = 1e-4
MOST_ITERATIONS = 1000
# A fit has arrived if its sum is this near to the best possible one, in nats.
NEAR = 0.5
LARGEST_SIDE = 4  # all images are listed


@dataclasses.dataclass(frozen=True)
class Case:
    """Fits from several starts with one number of hidden units."""

    side: int
    n_hidden: int
    fits: tuple[rbm.Trained, ...]
    sums: np.ndarray  # of log p over the distinct patterns, for each fit
    divergences: np.ndarray

    @property
    def best(self) -> int:
        """The fit of smallest divergence."""
        return int(np.argmin(self.divergences))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--side", type=int, nargs="+", default=[3, 4], help=f"sides of the images, 2 to {LARGEST_SIDE}")
    add("--hidden", type=int, nargs="+", default=None, help=f"hidden units (default, by side: {HIDDEN})")
    add("--starts", type=int, default=8, help="random starts for each number of hidden units")
    command.add_common(parser, "learn_bars_and_stripes", "with the best model of each case", quick=False)
    return parser.parse_args(argv)


def patterns(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct patterns, (n_patterns, side**2) of 0/1, and their probabilities."""
    rows, counts = np.unique(drawn_images(side, side), axis=0, return_counts=True)
    return rows, counts / counts.sum()


def fit(side: int, n_hidden: int, seed: int) -> tuple[rbm.Trained, float, float]:
    """A fit from one start, its sum of log p over the distinct patterns, and its divergence."""
    rows, p = patterns(side)
    start = rbm.RBM.random(side * side, n_hidden, seed, START)
    trained = rbm.maximum_likelihood(
        start, rows, row_weights=p, tolerance=TOLERANCE, max_iterations=MOST_ITERATIONS, seed=seed
    )
    if trained.interrupted:  # not at its maximum
        raise KeyboardInterrupt
    log_p = -trained.model.free_energy(rows) - rbm.exact.log_partition(trained.model)
    return trained, float(log_p.sum()), float(p @ (np.log(p) - log_p))


def places(arguments: argparse.Namespace) -> list[tuple[int, int]]:
    """All sides and numbers of hidden units."""
    return [(side, n) for side in arguments.side for n in arguments.hidden or HIDDEN.get(side, (4,))]


def gather(places_of_fits: list[tuple[int, int]], fits: list[tuple]) -> list[Case]:
    """Fits by their cases, as far as they are done."""
    cases = []
    for place in dict.fromkeys(places_of_fits[: len(fits)]):
        mine = [one for one, where in zip(fits, places_of_fits, strict=False) if where == place]
        trained, sums, divergences = zip(*mine, strict=True)
        cases.append(Case(*place, trained, np.array(sums), np.array(divergences)))
    return cases


def best_sum(side: int) -> float:
    """The sum of log p over the distinct patterns of the data themselves."""
    return float(np.log(patterns(side)[1]).sum())


def table(cases: list[Case]) -> str:
    """One line for each case."""
    lines = [
        f"{'images':>6} {'patterns':>8} {'hidden':>6} {'starts':>6} {'arrived':>7} {'best possible':>13}"
        f" {'reached':>10} {'short by':>8} {'KL(data||model)':>15} {'iterations':>10} {'largest |W|':>11}"
    ]
    for case in cases:
        bound, fitted = best_sum(case.side), case.fits[case.best]
        arrived = int(np.sum(np.abs(case.sums - bound) < NEAR))
        lines.append(
            f"{case.side}x{case.side:<4} {len(patterns(case.side)[0]):8d} {case.n_hidden:6d} {len(case.fits):6d}"
            f" {arrived:7d} {bound:13.3f} {case.sums[case.best]:10.3f} {bound - case.sums[case.best]:8.3f}"
            f" {case.divergences[case.best]:15.6f} {len(fitted.history['epoch']):10d}"
            f" {np.abs(fitted.model.weights).max():11.0f}"
        )
    return "\n".join(lines)


def draw(path: str, cases: list[Case]) -> None:
    """Where the starts end, and what the best model of the last case draws."""
    figure = Figure(figsize=(13, 5), layout="constrained")
    figure.suptitle("Bars-and-Stripes by exact maximum likelihood", fontsize=14)
    ends, image = figure.subplots(1, 2, width_ratios=(1.6, 1))
    for k, case in enumerate(cases):
        across = k + np.linspace(-0.25, 0.25, len(case.divergences)) if len(case.divergences) > 1 else np.array([k])
        ends.plot(across, np.maximum(np.sort(case.divergences), 1e-8), "o", color="tab:red")
    ends.axhline(NEAR / 30, color="gray", linewidth=1, linestyle=":", label=f"{NEAR} nats over 30 patterns")
    ends.set_xticks(range(len(cases)), [f"{case.side}x{case.side}\n{case.n_hidden} hidden units" for case in cases])
    ends.set(yscale="log", ylabel="KL(data || model), nats", title="Where each start ends, in order")
    ends.legend(fontsize=9)
    last = cases[-1]
    states = rbm.exact.sample(last.fits[last.best].model, 36, seed=0)
    shown = figures.mosaic(states.astype(float), (last.side, last.side))
    figures.show_mosaic(image, shown, f"36 draws of the best {last.side}x{last.side} model", "Greys", 0, 1, bar=False)
    report.save_figure(figure, path, dpi=110)


def save(arguments: argparse.Namespace, cases: list[Case], status: str) -> list[str]:
    """A file for each case, which hold models of different sizes; returns their paths."""
    names = []
    for case in cases:
        best = case.fits[case.best]
        exact = {
            "log_partition_model": np.array([best.history["log_partition"][-1]]),
            "kl_divergence": case.divergences[[case.best]],
            "sum_of_log_p": case.sums[[case.best]],
            "best_sum_of_log_p": np.array([best_sum(case.side)]),
        }
        study = results.Study(models=(best.model,), trained=(best,), exact=exact)
        names.append(path_of(arguments.output, case.side, case.n_hidden))
        results.save(names[-1], study, arguments.overwrite, vars(arguments), status)
    return names


def path_of(output: str, side: int, n_hidden: int) -> str:
    """The file of a case."""
    path = Path(output)
    return str(path.with_name(f"{path.stem}-{side}x{side}-{n_hidden}{path.suffix}"))


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    arguments = parse(argv)
    paths = [path_of(arguments.output, *place) for place in places(arguments)]
    return command.run("learn_bars_and_stripes", arguments, study, "before the first fit was done", paths, check=check)


def check(arguments: argparse.Namespace) -> None:
    """Raise `InputError` if a setting is out of range."""
    for side in arguments.side:
        checks.integer("--side", side, 2, LARGEST_SIDE)
    checks.integer("--starts", arguments.starts, 1)
    for n_hidden in arguments.hidden or ():
        checks.integer("--hidden", n_hidden, 1)


def study(arguments: argparse.Namespace) -> command.Ended:
    """Fit from all starts, and write what was done."""
    # Starts come last: after Ctrl-C, cases are complete one after the other.
    of_fits = [place for place in places(arguments) for _ in range(arguments.starts)]
    with progress(len(of_fits), "fits", True) as bar:

        def work(number: int) -> tuple:
            one = fit(*of_fits[number], rng.derive(arguments.seed, number))
            bar.update(1)
            return one

        fits, interrupted = until_interrupted(work, len(of_fits))
    cases = gather(of_fits, fits)
    names = save(arguments, cases, command.status_of(interrupted))
    print(table(cases))
    draw(arguments.figure, cases)
    status = f"interrupted: {len(fits)} of {len(of_fits)} fits" if interrupted else "complete"
    return command.Ended(status, files=names)


if __name__ == "__main__":
    raise SystemExit(main())
