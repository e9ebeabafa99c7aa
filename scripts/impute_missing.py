"""Restore lost spins of a lattice by sampling a restricted Boltzmann machine with the other spins clamped.

Question: half of the spins of 4x4 Ising configurations are lost. How well does an RBM that has learned from complete
configurations restore them, and are its conditional probabilities p(lost | seen) right?

The RBM has weights tied by the symmetry of the lattice and is fitted to exact draws by maximum likelihood. The mean of
each lost spin is taken over Gibbs chains whose other visible units are clamped, and compared with the exact conditional
mean of the model, where only sampling errors may be seen, and with that of the Ising model, where learning errors are.
Mask "block" loses the first half of the sites; "checkerboard" every second one, which makes the lost spins of lattices
with even sides independent, with p(s_i = 1 | seen) = 1 / (1 + e^{-2 h_i / T}).

Reference: the exact conditional means and probabilities of both, by sums over all states of the lost spins; clamping
as in Smolensky, Parallel Distributed Processing 1, 194 (1986), where RBMs complete patterns.
Expected: sampled means 1.0 standard errors from the model's; those of the model right to about 0.01; as many spins
restored as the exact conditional means allow, 92 percent near Tc. Time: well below a minute on two cores.

    python scripts/impute_missing.py
    python scripts/impute_missing.py --mask checkerboard --temperature 2.269 --output half.h5 --figure half.png
"""

import argparse
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from scipy.special import logsumexp
from study_parts import command

from mcgen import enumeration, evaluation, ising, rbm, report, results, rng, stats
from mcgen.errors import InputError
from mcgen.progress import until_interrupted

N_FILTERS = 1
# Without this penalty weights go on growing for next to no likelihood, and Gibbs chains freeze: 200 sweeps of burn-in
# were too few near Tc, and the sampled means 2 to 3 standard errors wrong.
L2 = 1e-4
LEGEND = """
sampled_minus_model  root mean square over lost spins: mean of Gibbs samples minus exact conditional mean of the model
pull_gibbs           the same in units of its standard error, about 1 if sampling is right; _exact: of independent draws
model_minus_truth    root mean square: exact conditional mean of the model minus that of the Ising model
log_p_truth, _model  mean log-probability of the lost spins given the seen ones, nats a spin; lack: the difference
right                fraction of lost spins that the sign of the sampled mean restores; best: that of the true mean"""
# Complete configurations and iterations of the fit; rows with lost spins; chains for each row, and their lengths.
FULL = {"training": 20_000, "iterations": 300, "rows": 400, "copies": 16, "n_draws": 100, "thin": 2, "burn_in": 200}
QUICK = FULL | {"training": 5000, "iterations": 60, "rows": 100, "n_draws": 30}


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--shape", type=int, nargs="+", default=[4, 4], help="sites along each axis of the lattice")
    add("--temperature", type=float, nargs="+", default=[2.269, 1.8, 3.5], help="in units of J")
    add("--mask", choices=("block", "checkerboard"), default="block", help="which sites are lost")
    command.add_common(parser, "impute_missing", "of models, samples and results")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("impute_missing", parse(argv), study, "before the first temperature was done")


def study(arguments: argparse.Namespace) -> str:
    """Fit and restore at each temperature, and write what was done."""
    lattice = ising.Ising(tuple(arguments.shape))
    lost = lost_sites(lattice, arguments.mask)
    effort = QUICK if arguments.quick else FULL
    print(f"{lattice}, {len(lost)} sites lost ({arguments.mask}), {effort['rows']} configurations")

    def work(k: int) -> tuple:
        found = run_one(lattice, arguments.temperature[k], lost, effort, rng.derive(arguments.seed, k))
        kl = found[0].history["kl_divergence"][-1]
        print(f"T = {arguments.temperature[k]:g}: KL(truth || model) = {kl:.5f} nats")
        return found

    parts, interrupted = until_interrupted(work, len(arguments.temperature))
    trained, samples, tables, pictures = zip(*parts, strict=True)
    study = results.Study(
        temperatures=tuple(arguments.temperature[: len(parts)]), lattice=lattice, samples=samples, trained=trained,
        models=tuple(one.model for one in trained), observables=evaluation.columns(tables),
    )  # fmt: skip
    settings, status = vars(arguments) | effort | {"lost": lost.tolist()}, command.status_of(interrupted)
    results.save(arguments.output, study, arguments.overwrite, settings, status)
    print("\n" + " " * 20 + "".join(f"{f'T = {temperature:g}':>15}" for temperature in study.temperatures))
    for name in [name for name in study.observables if not name.endswith("_error")]:
        pairs = zip(study.observables[name], study.observables[f"{name}_error"], strict=True)
        print(f"{name:20}" + "".join(f"{stats.format_error(*pair):>15}" for pair in pairs))
    print(LEGEND)
    draw(arguments.figure, lattice, arguments.temperature[0], lost, pictures[0])
    return status


def lost_sites(lattice: ising.Ising, mask: str) -> np.ndarray:
    """The numbers of the lost sites, ascending."""
    odd = np.indices(lattice.shape).sum(axis=0).ravel() % 2
    return np.arange(lattice.n_sites // 2) if mask == "block" else np.flatnonzero(odd)


def run_one(lattice: ising.Ising, temperature: float, lost: np.ndarray, effort: dict, seed: int) -> tuple:
    """Fit, restore and compare: the fit, the Gibbs samples, a dict of numbers, and what the figure shows."""
    truth = ising.exact.probabilities(lattice, temperature)
    seeds = [rng.derive(seed, part) for part in range(4)]
    states = ising.exact.sample(lattice, temperature, effort["training"] + effort["rows"], seeds[0])
    data, rows = np.split(states.reshape(len(states), -1), [effort["training"]])
    start = rbm.RBM.symmetric(lattice.shape, N_FILTERS, seeds[1], 0.1, True, visible="spin", hidden="spin")
    steps = effort["iterations"]
    trained = rbm.maximum_likelihood(start, data, l2=L2, tolerance=1e-4, max_iterations=steps, truth=truth)
    if trained.interrupted:  # not at its maximum
        raise KeyboardInterrupt
    true_mean, true_log = conditional(-ising.exact.state_energies(lattice) / temperature, rows, lost)
    model_mean, model_log = conditional(rbm.exact.log_probabilities(trained.model), rows, lost)
    samples, mean, error = restore(trained.model, rows, lost, effort, seeds[2], "gibbs")
    _, independent, its_error = restore(trained.model, rows, lost, effort, seeds[3], "exact")
    if not (error.any() and its_error.any()):
        raise InputError(f"temperature={temperature} flips no lost spin, so errors are unknown; give a higher one")
    # Ratios of mean squares, not means of ratios: a nearly certain spin may never flip, and its own error is then 0.
    numbers = {
        "sampled_minus_model": over_rows(np.sqrt, (mean - model_mean) ** 2),
        "pull_gibbs": over_rows(lambda d, e: np.sqrt(d / e), (mean - model_mean) ** 2, error**2),
        "pull_exact": over_rows(lambda d, e: np.sqrt(d / e), (independent - model_mean) ** 2, its_error**2),
        "model_minus_truth": over_rows(np.sqrt, (model_mean - true_mean) ** 2),
        "log_p_truth": over_rows(float, true_log[:, None] / len(lost)),
        "log_p_model": over_rows(float, model_log[:, None] / len(lost)),
        "log_p_lack": over_rows(float, (true_log - model_log)[:, None] / len(lost)),
        "right": over_rows(float, right(mean, rows[:, lost])),
        "best": over_rows(float, right(true_mean, rows[:, lost])),
    }
    values = {name: estimate.value for name, estimate in numbers.items()}
    values |= {f"{name}_error": estimate.error for name, estimate in numbers.items()}
    return trained, samples, values, (rows, true_mean, model_mean, mean, error)


def conditional(log_weights: np.ndarray, rows: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The means of the lost spins given the others, (n_rows, n_lost), and log p of the true ones, (n_rows,)."""
    # log_weights lists log p of all states, up to a constant; lost spin k is bit lost[k] of the index.
    down = rows.copy()
    down[:, lost] = -1
    moves = enumeration.list_states(len(lost), low=0, dtype=np.int64) @ (np.int64(1) << lost)
    log_p = log_weights[enumeration.state_index(down)[:, None] + moves]
    log_p -= logsumexp(log_p, axis=1, keepdims=True)
    mean = np.exp(log_p) @ enumeration.list_states(len(lost), low=-1)
    return mean, log_p[np.arange(len(rows)), enumeration.state_index(rows[:, lost])]


def restore(model: rbm.RBM, rows: np.ndarray, lost: np.ndarray, effort: dict, seed: int, method: str) -> tuple:
    """Draws with the seen spins clamped, and the means of the lost ones with their errors, both (n_rows, n_lost)."""
    copies = effort["copies"]
    seen = np.setdiff1d(np.arange(rows.shape[1]), lost)
    samples = rbm.sample(
        model, len(rows) * copies, effort["n_draws"], effort["thin"], effort["burn_in"], method, seed,
        clamped_units=seen, clamped_values=np.repeat(rows[:, seen], copies, axis=0),
    )  # fmt: skip
    # Copies are independent, whatever the draws of one chain remember of each other.
    means = samples.states[..., lost].mean(axis=1).reshape(len(rows), copies, len(lost))
    return samples, means.mean(axis=1), means.std(axis=1, ddof=1) / np.sqrt(copies)


def over_rows(function: Callable, *arrays: np.ndarray) -> stats.Estimate:
    """A function of means over rows and lost spins, with the error that the scatter of the rows gives."""
    return stats.jackknife(function, *(array.mean(axis=1)[:, None] for array in arrays))


def right(mean: np.ndarray, spins: np.ndarray) -> np.ndarray:
    """1 where the sign of the mean restores the spin, 0 where not; 1/2 where the mean is 0 and a coin decides."""
    return (1 + np.sign(np.round(mean, 9)) * spins) / 2


def draw(path: str, lattice: ising.Ising, temperature: float, lost: np.ndarray, picture: tuple) -> None:
    """One configuration, its mask and what is restored; and lost spins of all rows."""
    rows, true_mean, model_mean, mean, error = picture
    figure = Figure(figsize=(19, 5), layout="constrained")
    figure.suptitle(f"Lost Ising spins restored by an RBM, seen spins clamped, T = {temperature:g}", fontsize=15)
    *images, scatter = figure.subplots(1, 5)
    # A row that is less certain than most, chosen by what is exact.
    row = np.argsort(np.abs(true_mean).mean(axis=1), kind="stable")[len(rows) // 20]
    panels = {"a configuration": rows[row, lost], f"{len(lost)} spins lost (grey)": np.nan}
    panels |= {"mean of samples (x: wrong sign)": mean[row], "exact mean of the Ising model": true_mean[row]}
    for axes, (title, values) in zip(images, panels.items(), strict=True):
        shown = rows[row].astype(float)
        shown[lost] = values
        axes.set_facecolor("silver")
        bar = axes.imshow(shown.reshape(-1, lattice.shape[-1]), cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set(title=title, xticks=[], yticks=[])
        for site in lost if "mean" in title else []:
            y, x = divmod(int(site), lattice.shape[-1])
            text = f"{shown[site]:.2f}" + "\nx" * bool(shown[site] * rows[row, site] <= 0)
            axes.text(x, y, text, ha="center", va="center", color="white" if abs(shown[site]) > 0.6 else "black")
    figure.colorbar(bar, ax=images, location="bottom", shrink=0.5, aspect=50, label="spin, or its conditional mean")
    some = np.arange(0, mean.size, max(1, mean.size // 300))  # more error bars hide each other
    x, y, bars = (array.ravel()[some] for array in (model_mean, mean, error))
    scatter.plot([-1, 1], [-1, 1], color="black", linewidth=1)
    scatter.errorbar(x, y, bars, fmt=".", color="tab:red", markersize=4, linewidth=1)
    scatter.set(title=f"{len(some)} lost spins, with standard errors")
    scatter.set(xlabel="exact mean of the RBM", ylabel="mean of samples")
    report.save_figure(figure, path)


if __name__ == "__main__":
    raise SystemExit(main())
