"""Restore lost spins of a lattice by sampling a restricted Boltzmann machine with the other spins clamped.

Question: half of the spins of 4x4 Ising configurations are lost. How well does an RBM that has learned from complete
configurations restore them, and are its conditional probabilities p(lost | seen) right?

The RBM has weights tied by the symmetry of the lattice and is fitted to exact draws by maximum likelihood. Each fresh
configuration loses the sites of a mask, and the mean of each lost spin is taken over Gibbs chains whose other visible
units are clamped. It is compared with the exact conditional mean of the model, where only sampling errors may be seen,
and with that of the Ising model, sum_lost s_i e^{-H/T} / sum_lost e^{-H/T}, where the errors of learning show.

Masks: "block" loses the first half of the sites, of which those in the middle have only lost neighbours on lattices
with more rows; "checkerboard" every second site, which makes the lost spins independent, with p(s_i = 1 | seen) =
1 / (1 + e^{-2 h_i / T}); "random" a random half, the same for all configurations.

Expected: deviations of the sampled means of 1.0 standard errors; conditional means right to about 0.01; half of the
information is lost beyond recall, so no method restores more spins than the column "best" says.
Time: well below a minute on two cores, with compilation.

    python scripts/impute_missing.py
    python scripts/impute_missing.py --mask checkerboard --temperature 2.269 --output half.h5 --figure half.png
"""

import argparse
import dataclasses
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.special import logsumexp

from mcgen import enumeration, evaluation, ising, rbm, report, results, rng, stats
from mcgen.errors import McgenError, StatisticsWarning

N_FILTERS = 1
MASKS = ("block", "checkerboard", "random")


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is drawn: complete configurations for the fit, rows with lost spins, chains for each row."""

    n_training: int = 20_000
    max_iterations: int = 300
    n_rows: int = 400
    copies: int = 16
    n_draws: int = 100
    thin: int = 2
    burn_in: int = 200


QUICK = Effort(n_training=5000, max_iterations=60, n_rows=100, copies=16, n_draws=30)


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs="+", default=[4, 4], help="sites along each axis of the lattice")
    parser.add_argument("--temperature", type=float, nargs="+", default=[2.269, 1.8, 3.5], help="in units of J")
    parser.add_argument("--mask", choices=MASKS, default="block", help="which sites are lost")
    parser.add_argument("--seed", type=int, default=1, help="0 to 2**64 - 1")
    parser.add_argument("--quick", action="store_true", help="less of everything, to try the script")
    parser.add_argument("--output", default="impute_missing.h5", help="HDF5 file of models, samples and results")
    parser.add_argument("--figure", default="impute_missing.png", help="figure of the first temperature")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    arguments = parser.parse_args(argv)
    start = time.monotonic()
    try:
        results.check_output(arguments.output, arguments.overwrite)
        report.check_output(arguments.figure, arguments.overwrite)
        lattice = ising.Ising(tuple(arguments.shape))
        lost = lost_sites(lattice, arguments.mask, arguments.seed)
        effort = QUICK if arguments.quick else Effort()
        print(f"{lattice}, {len(lost)} of {lattice.n_sites} sites lost ({arguments.mask}), {effort.n_rows} rows")
        parts = []
        for k, temperature in enumerate(arguments.temperature):
            parts.append(run_one(lattice, temperature, lost, effort, rng.derive(arguments.seed, k)))
            print(f"T = {temperature:g}: KL(truth || model) = {parts[-1][0].history['kl_divergence'][-1]:.5f} nats")
        trained, samples, tables, pictures = zip(*parts, strict=True)
        study = results.Study(
            temperatures=tuple(arguments.temperature), lattice=lattice, samples=samples, trained=trained,
            models=tuple(one.model for one in trained), observables=evaluation.columns(tables),
        )  # fmt: skip
        settings = vars(arguments) | dataclasses.asdict(effort) | {"lost_sites": lost.tolist()}
        results.save(arguments.output, study, arguments.overwrite, settings)
        print(table(study))
        draw(arguments.figure, lattice, arguments.temperature[0], lost, pictures[0])
    except McgenError as error:
        print(f"impute_missing: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("impute_missing: interrupted; nothing was written", file=sys.stderr)
        return 130
    print(f"\nwrote {arguments.output} and {arguments.figure} in {time.monotonic() - start:.0f} s")
    return 0


def lost_sites(lattice: ising.Ising, mask: str, seed: int) -> np.ndarray:
    """The numbers of the lost sites, ascending."""
    n_sites = lattice.n_sites
    if mask == "block":
        return np.arange(n_sites // 2)
    if mask == "checkerboard":
        return np.flatnonzero(np.indices(lattice.shape).sum(axis=0).ravel() % 2)
    return np.sort(np.random.default_rng(seed).permutation(n_sites)[: n_sites // 2])


def run_one(lattice: ising.Ising, temperature: float, lost: np.ndarray, effort: Effort, seed: int) -> tuple:
    """Fit, restore and compare: the fit, the Gibbs samples, a dict of numbers, and what the figure shows."""
    seeds = [rng.derive(seed, part) for part in range(5)]
    data, rows = (
        ising.exact.sample(lattice, temperature, n_draws=n, seed=own).reshape(n, -1)
        for n, own in ((effort.n_training, seeds[0]), (effort.n_rows, seeds[1]))
    )
    start = rbm.RBM.symmetric(
        lattice.shape, N_FILTERS, seed=seeds[2], scale=0.1, spin_flip=True, visible="spin", hidden="spin"
    )
    trained = rbm.maximum_likelihood(
        start, data, tolerance=1e-4, max_iterations=effort.max_iterations,
        truth=ising.exact.probabilities(lattice, temperature), evaluate_every=effort.max_iterations,
    )  # fmt: skip
    truth_mean, truth_log = conditional(-ising.exact.state_energies(lattice) / temperature, rows, lost)
    model_mean, model_log = conditional(rbm.exact.log_probabilities(trained.model), rows, lost)
    samples, mean, error = restore(trained.model, rows, lost, effort, seeds[3])
    _, independent, its_error = restore(trained.model, rows, lost, effort, seeds[4], method="exact")

    def root(x: np.ndarray) -> np.ndarray:
        return np.sqrt(x)

    # One number for each row, because rows are independent and the spins of a row are not. A ratio of mean squares,
    # not a mean of ratios: a spin that is nearly certain may not flip in any draw, and its own error is then 0.
    numbers = {
        "sampled_minus_model": over_rows(root, (mean - model_mean) ** 2),
        "pull_gibbs": over_rows(ratio, (mean - model_mean) ** 2, error**2),
        "pull_exact": over_rows(ratio, (independent - model_mean) ** 2, its_error**2),
        "model_minus_truth": over_rows(root, (model_mean - truth_mean) ** 2),
        "log_p_truth": over_rows(float, truth_log[:, None] / len(lost)),
        "log_p_model": over_rows(float, model_log[:, None] / len(lost)),
        "log_p_lack": over_rows(float, (truth_log - model_log)[:, None] / len(lost)),
        "right": over_rows(float, right(mean, rows[:, lost])),
        "best": over_rows(float, right(truth_mean, rows[:, lost])),
    }
    values = {name: estimate.value for name, estimate in numbers.items()}
    values |= {f"{name}_error": estimate.error for name, estimate in numbers.items()}
    return trained, samples, values, (rows, truth_mean, model_mean, mean, error)


def conditional(log_weights: np.ndarray, rows: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The means of the lost spins given the others, (n_rows, n_lost), and log p of the true ones, (n_rows,).

    `log_weights` has log p of every state by its index, up to a constant.
    """
    down = rows.copy()
    down[:, lost] = -1
    moves = enumeration.list_states(len(lost), low=0, dtype=np.int64) @ (np.int64(1) << lost)
    log_p = log_weights[enumeration.state_index(down)[:, None] + moves]
    log_p -= logsumexp(log_p, axis=1, keepdims=True)
    mean = np.exp(log_p) @ enumeration.list_states(len(lost), low=-1)
    return mean, log_p[np.arange(len(rows)), enumeration.state_index(rows[:, lost])]


def restore(
    model: rbm.RBM, rows: np.ndarray, lost: np.ndarray, effort: Effort, seed: int, method: str = "gibbs"
) -> tuple[rbm.Samples, np.ndarray, np.ndarray]:
    """Draws with the seen spins clamped, and the means of the lost ones with their errors, both (n_rows, n_lost)."""
    seen = np.setdiff1d(np.arange(rows.shape[1]), lost)
    with warnings.catch_warnings():
        # Chains of different rows ought to disagree: each has a distribution of its own.
        warnings.filterwarnings("ignore", "the chains disagree", StatisticsWarning)
        samples = rbm.sample(
            model, n_chains=len(rows) * effort.copies, n_draws=effort.n_draws, thin=effort.thin,
            burn_in=effort.burn_in, method=method, seed=seed, clamped_units=seen,
            clamped_values=np.repeat(rows[:, seen], effort.copies, axis=0),
        )  # fmt: skip
    # Copies are independent, whatever the draws of one chain remember of each other.
    copies = samples.states[..., lost].mean(axis=1).reshape(len(rows), effort.copies, len(lost))
    return samples, copies.mean(axis=1), copies.std(axis=1, ddof=1) / np.sqrt(effort.copies)


def over_rows(function: Callable, *arrays: np.ndarray) -> stats.Estimate:
    """A function of means over rows and lost spins, with the error that the scatter of the rows gives."""
    return stats.jackknife(function, *(array.mean(axis=1)[:, None] for array in arrays))


def ratio(square: float, error_square: float) -> float:
    """The root mean square of deviations in units of that of their errors."""
    return np.sqrt(square / error_square)


def right(mean: np.ndarray, spins: np.ndarray) -> np.ndarray:
    """1 where the sign of the mean restores the spin, 0 where not; 1/2 where the mean is 0 and a coin decides."""
    return (1 + np.sign(np.round(mean, 9)) * spins) / 2


COLUMNS = {
    "sampled_minus_model": "sampled-model", "pull_gibbs": "in errors", "pull_exact": "exact draws",
    "model_minus_truth": "model-truth", "log_p_truth": "log p truth", "log_p_model": "log p model",
    "log_p_lack": "lack", "right": "right", "best": "best",
}  # fmt: skip
LEGEND = """
sampled-model  rms over lost spins: mean of Gibbs samples minus exact conditional mean of the model
in errors      the same in units of its standard error: about 1 where sampling is right
exact draws    the same of independent draws (method "exact")
model-truth    rms over lost spins: exact conditional mean of the model minus that of the Ising model
log p          of the true lost spins given the seen ones, nats for each lost spin; lack: truth minus model
right          fraction of lost spins that the sign of the sampled mean restores; best: that of the true mean"""


def table(study: results.Study) -> str:
    """One line for each temperature."""
    lines = [f"\n{'T':>6}" + "".join(f"{title:>15}" for title in COLUMNS.values())]
    for k, temperature in enumerate(study.temperatures):
        pairs = [(study.observables[name][k], study.observables[f"{name}_error"][k]) for name in COLUMNS]
        lines.append(f"{temperature:6g}" + "".join(f"{stats.format_error(*pair):>15}" for pair in pairs))
    return "\n".join(lines) + "\n" + LEGEND


def draw(path: str, lattice: ising.Ising, temperature: float, lost: np.ndarray, picture: tuple) -> None:
    """One configuration, its mask and what is restored, and all lost spins of all rows."""
    rows, truth_mean, model_mean, mean, error = picture
    figure = Figure(figsize=(19, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"Lost spins restored by an RBM with the others clamped, T = {temperature:g}", fontweight="bold")
    *images, scatter, deviations = figure.subplots(1, 6, width_ratios=[1, 1, 1, 1, 1.5, 1.5])
    # The row that is as uncertain as most, of an order that does not depend on what was sampled.
    row = np.argsort(np.abs(truth_mean).mean(axis=1), kind="stable")[len(rows) // 2]
    titles = ("a configuration", f"{len(lost)} spins lost (grey)", "mean of samples\n(x: wrong sign)", "exact mean")
    for axes, title, values in zip(images, titles, (rows[row, lost], np.nan, mean[row], truth_mean[row]), strict=True):
        shown = rows[row].astype(float)
        shown[lost] = values
        image = shown.reshape(-1, lattice.shape[-1])
        axes.set_facecolor("silver")
        bar = axes.imshow(image, cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set(title=title, xticks=[], yticks=[])
        for site in lost if "mean" in title else []:
            y, x = divmod(int(site), image.shape[1])
            wrong = shown[site] * rows[row, site] <= 0
            axes.text(x, y, f"{shown[site]:.2f}" + "\nx" * bool(wrong), ha="center", va="center", fontsize=8)
    figure.colorbar(
        bar, ax=images, shrink=0.8, orientation="horizontal", label="spin, or its conditional mean", aspect=50
    )
    some = np.arange(0, mean.size, max(1, mean.size // 300))  # more error bars hide each other
    x, y, bars, exact = (array.ravel()[some] for array in (model_mean, mean, error, truth_mean))
    scatter.plot([-1, 1], [-1, 1], color="black", linewidth=1)
    scatter.errorbar(x, y, bars, fmt=".", color="tab:red", markersize=4, linewidth=1)
    scatter.set(title="sampling", xlabel="exact conditional mean of the model", ylabel="mean of Gibbs samples")
    deviations.axhline(0, color="black", linewidth=1)
    label = "sampled minus model, one standard error"
    deviations.errorbar(x, y - x, bars, fmt=".", color="tab:red", alpha=0.5, markersize=4, linewidth=1, label=label)
    deviations.plot(x, x - exact, ".", color="tab:blue", markersize=4, label="model minus truth, both exact")
    deviations.set(title=f"errors ({len(some)} lost spins)", xlabel="exact conditional mean of the model")
    deviations.legend(fontsize=8, loc="upper left")
    with results.written_beside(report.check_output(path, True)) as beside:
        figure.savefig(beside, format=str(path).rpartition(".")[2].lower(), dpi=130)


if __name__ == "__main__":
    raise SystemExit(main())
