"""Learn the 2D Ising model with variational autoencoders and measure exactly how far they are from it.

Question: a decoder draws every spin by itself once the latent variables are known, so what spins know of each other has
to be in the latents. How close does a VAE come to the Boltzmann distribution of 4x4 Ising spins at the critical
temperature from 20,000 independent configurations, by the evidence lower bound (ELBO), by the importance-weighted
bound, and with more latents?

The yardstick is exact: KL(truth || model) over all states, with p(x) from quadrature over up to three latents, and by
importance sampling over more. A decoder that knows only the magnetisation M has p(x) = P(M) / (number of states with
M), which is 0.247 nats away from the truth; 0 is the best possible. Energy, |M| and heat capacity of generated
configurations are compared with the exact ones.

Reference: Wetzel, Phys. Rev. E 96, 022140 (2017): latents of Ising configurations are their magnetisation. Burda,
Grosse & Salakhutdinov, arXiv:1509.00519 (2016) for the importance-weighted bound.
Expected: about 0.12 nats on the ELBO, whose posterior has to stay Gaussian, and 0.05 on the importance-weighted bound
with 50 draws, which punishes that less (20 draws: 0.055, 10 draws: 0.07). Time: some half an hour on two cores.

    python scripts/learn_ising_vae.py
    python scripts/learn_ising_vae.py --data rows.txt --latent 2 10 --draws-per-row 50 --output rows.h5
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from study_parts import command
from vae_parts.images import tiles

from mcgen import enumeration, evaluation, ising, observables, report, results, rng, stats, vae
from mcgen.errors import InputError, SizeError
from mcgen.ising.exact.listing import state_magnetizations
from mcgen.progress import until_interrupted
from mcgen.vae.quadrature import MOST_LATENTS

BATCH_SIZE = 128
LEARNING_RATE, FINAL_LEARNING_RATE = 2e-3, 1e-4
# One part in so many of the epochs lets the KL divergence of the ELBO grow to its full weight: a decoder that has to
# pay for its latents from the first step learns to do with fewer of them.
WARM_UP = 6
# Epochs; rows of data; generated configurations; draws for each state where there is no quadrature.
FULL = {"epochs": 120, "rows": 20_000, "n_draws": 100_000, "n_importance": 2000}
QUICK = {"epochs": 6, "rows": 2000, "n_draws": 5000, "n_importance": 1000}
# States of the figure, evenly through their order of probability.
STATES_SHOWN = 2000
# Of the KL divergence by quadrature: networks with ReLU have kinks, and three latents of them take minutes.
TOLERANCE = 3e-2
# Quadrature has errors down to 1e-11; the table shows no digits below this one.
LEAST_ERROR = 1e-5
PER_SITE = {"energy": "energy/site", "abs_magnetization": "|M|/site", "heat_capacity": "heat capacity/site"}


class Kind(NamedTuple):
    """One of the models of the study: its name in files, and how it is trained."""

    name: str
    objective: str
    n_latent: int
    n_draws: int

    def words(self) -> str:
        """What the table calls it."""
        bound = "ELBO" if self.objective == "elbo" else f"importance-weighted, {self.n_draws} draws"
        return f"{bound}, {self.n_latent} latent{'s' * (self.n_latent != 1)}"


class Result(NamedTuple):
    """A trained model and what was measured of it: exact values, observables (totals) and generated rows."""

    kind: Kind
    fit: vae.Fit
    exact: dict[str, float]
    observables: dict[str, float]
    states: np.ndarray


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--shape", type=int, nargs="+", default=[4, 4], help="sites along each axis of the lattice")
    add("--temperature", type=float, default=2.269, help="in units of J")
    add("--data", default=argparse.SUPPRESS, help="file with rows of 0/1 or -1/1 in place of own draws")
    add("--latent", type=int, nargs=2, default=[3, 8], help="latents, and those of the third model")
    add("--hidden", type=int, nargs="*", default=[256, 256], help="widths of the encoder's layers")
    add("--activation", default="relu", help="of the hidden layers")
    add("--epochs", type=int, default=argparse.SUPPRESS, help=f"{FULL['epochs']} unless told")
    add("--draws-per-row", type=int, default=50, help="draws k of the importance-weighted bound")
    command.add_common(parser, "learn_ising_vae", "for each model: -elbo and so on are added")
    return parser.parse_args(argv)


def kinds(arguments: argparse.Namespace) -> tuple[Kind, ...]:
    """The three models."""
    few, more = arguments.latent
    k = arguments.draws_per_row
    return (
        Kind("elbo", "elbo", few, 1),
        Kind("importance", "importance", few, k),
        Kind("more-latents", "importance", more, k),
    )


def path_of(kind: Kind, output: str) -> Path:
    """The file of a model."""
    path = Path(output)
    return path.with_name(f"{path.stem}-{kind.name}{path.suffix}")


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    arguments = parse(argv)
    paths = [path_of(kind, arguments.output) for kind in kinds(arguments)]
    return command.run("learn_ising_vae", arguments, study, "before the first model was trained", paths)


def study(arguments: argparse.Namespace) -> command.Ended:
    """Train the models one after the other, each with its file."""
    lattice = ising.Ising(tuple(arguments.shape))
    enumeration.check_listable(lattice.n_sites, "the lattice", "take a smaller --shape")
    truth = ising.exact.probabilities(lattice, arguments.temperature)
    effort = dict(QUICK if arguments.quick else FULL)
    if "epochs" in arguments:
        effort["epochs"] = arguments.epochs
    data = read_data(arguments, lattice, effort["rows"])
    print(f"{lattice}, T = {arguments.temperature:g}, {len(data)} rows, {effort['epochs']} epochs")
    done, interrupted = until_interrupted(
        lambda number: run_one(arguments, effort, lattice, truth, data, number),
        len(kinds(arguments)),
        lambda result: result.fit.interrupted,
    )
    print("\n" + table(done, lattice, truth, data, arguments.temperature))
    draw(arguments.figure, done, lattice, truth, data, arguments.temperature, effort)
    paths = [path_of(result.kind, arguments.output) for result in done]
    return command.Ended(command.status_of(interrupted), files=paths)


def read_data(arguments: argparse.Namespace, lattice: ising.Ising, n_rows: int) -> np.ndarray:
    """Rows to learn from as spins, int8 (n_rows, n_sites): those of a file, or independent exact draws."""
    if "data" in arguments:
        tables = results.load_rows(arguments.data)
        if len(tables) > 1:
            raise InputError(f"{arguments.data} holds {len(tables)} temperatures; give a file of one")
        return observables.spins(tables[0][1], lattice).reshape(-1, lattice.n_sites)
    seed = rng.derive(arguments.seed, 0)
    return ising.exact.sample(lattice, arguments.temperature, n_rows, seed).reshape(n_rows, lattice.n_sites)


def run_one(
    arguments: argparse.Namespace, effort: dict, lattice: ising.Ising, truth: np.ndarray, data: np.ndarray, number: int
) -> Result:
    """Train, measure and save one of the models."""
    kind = kinds(arguments)[number]
    seeds = [rng.derive(arguments.seed, 10 * (number + 1) + part) for part in range(5)]
    net = vae.VAE(
        lattice.n_sites, tuple(arguments.hidden), kind.n_latent, "spin", activation=arguments.activation, seed=seeds[0]
    )
    epochs = effort["epochs"]
    settings = {"batch_size": BATCH_SIZE, "progress": True}
    if kind.objective == "elbo":
        rates = {"learning_rate": LEARNING_RATE, "final_learning_rate": FINAL_LEARNING_RATE}
        fit = vae.train(net, data, epochs, warm_up=epochs // WARM_UP, seed=seeds[1], **rates, **settings)
    else:
        # The ELBO first: encoder and decoder agree on the latents before the draws of a row share the work.
        stage = {"warm_up": epochs // WARM_UP, "learning_rate": LEARNING_RATE, "seed": seeds[4]}
        fit = vae.train(net, data, max(1, epochs // WARM_UP), **stage, **settings)
        if not fit.interrupted:
            rates = {"learning_rate": LEARNING_RATE, "final_learning_rate": FINAL_LEARNING_RATE / 2}
            settings |= {"objective": "importance", "n_draws": kind.n_draws, "seed": seeds[1]}
            fit = vae.train(fit.model, data, epochs, **rates, **settings)
    exact = divergence(truth, fit.model, effort["n_importance"], seeds[2])
    states = fit.model.sample(effort["n_draws"], seeds[3])
    measured = {}
    for name, estimate in observables.summary(states, lattice, arguments.temperature).items():
        measured |= {f"{name}_model": estimate.value, f"{name}_model_error": estimate.error}
    print(f"{kind.words()}: KL(truth || model) = {exact['kl_divergence']:.4f} nats", flush=True)
    result = Result(kind, fit, exact, measured, states)
    save(result, lattice, arguments, effort)
    return result


def divergence(truth: np.ndarray, net: vae.VAE, n_importance: int, seed: int) -> dict[str, float]:
    """KL(truth || model), its error, and its bias where it is not from quadrature."""
    if net.n_latent <= MOST_LATENTS:
        try:
            found = vae.kl_divergence(truth, net, tolerance=TOLERANCE)
        except SizeError as error:
            print(f"no quadrature: {error}")
        else:
            return {"kl_divergence": found.value, "kl_divergence_error": found.error, "kl_divergence_bias": 0.0}
    found = vae.kl_estimate(truth, net, n_importance, seed=seed, progress=True)
    return {
        "kl_divergence": found.value - found.bias,
        "kl_divergence_error": found.error,
        "kl_divergence_bias": found.bias,
    }


def of_magnetization_alone(lattice: ising.Ising, truth: np.ndarray) -> np.ndarray:
    """p(x) = P(M(x)) / (number of states with M(x)) of all states: the best decoder that knows only M."""
    level = ((state_magnetizations(lattice).astype(np.int64) + lattice.n_sites) // 2).ravel()
    return (np.bincount(level, truth) / np.maximum(np.bincount(level), 1))[level]


def save(result: Result, lattice: ising.Ising, arguments: argparse.Namespace, effort: dict) -> None:
    """Write one model with its training and what was measured."""
    path, configuration = path_of(result.kind, arguments.output), vars(arguments) | effort | result.kind._asdict()
    study = results.Study(
        temperatures=(arguments.temperature,),
        lattice=lattice,
        models=(result.fit.model,),
        trained=(result.fit,),
        exact=evaluation.columns([result.exact]),
        observables=evaluation.columns([result.observables]),
    )
    results.save(path, study, arguments.overwrite, configuration, command.status_of(result.fit.interrupted))


def table(done: list[Result], lattice: ising.Ising, truth: np.ndarray, data: np.ndarray, temperature: float) -> str:
    """What was measured, one model a line, beside the exact values of the truth and of P(M) alone."""
    entropy = -enumeration.kl_divergence(truth, np.zeros(len(truth)))
    rows = [("", "KL(truth || model)", "bias", "mean log p(x)", *PER_SITE.values(), "latents in use")]

    def exact_row(words: str, p: np.ndarray) -> None:
        kl = enumeration.kl_divergence(truth, np.log(p))
        averages = ising.exact.averages(lattice, p, temperature)
        numbers = (f"{averages[name] / lattice.n_sites:.5f}" for name in PER_SITE)
        rows.append((words, f"{kl:.5f}", "", f"{-entropy - kl:.5f}", *numbers, ""))

    exact_row("truth, exact: the best possible", truth)
    summary = observables.summary(data, lattice, temperature)
    rows.append(("data", "", "", "", *(str(summary[name].scaled(1 / lattice.n_sites)) for name in PER_SITE), ""))
    exact_row("decoder that knows only M, exact", of_magnetization_alone(lattice, truth))
    for kind, fit, exact, measured, _ in done:
        kl, error, bias = (exact[f"kl_divergence{end}"] for end in ("", "_error", "_bias"))
        numbers = [
            stats.format_error(
                measured[f"{name}_model"] / lattice.n_sites, measured[f"{name}_model_error"] / lattice.n_sites
            )
            for name in PER_SITE
        ]
        error, shown = max(error, LEAST_ERROR), f"{bias:.5f}" if bias else "exact"
        texts = (stats.format_error(kl, error), shown, stats.format_error(-entropy - kl, error))
        rows.append((kind.words(), *texts, *numbers, f"{fit.history['active_units'][-1]:.0f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{first:{widths[0]}}" + "".join(f"  {text:>{width}}" for text, width in zip(rest, widths[1:], strict=True))
        for first, *rest in rows
    ]
    legend = "nats; bias: how much importance sampling is too high on average, already taken off; errors in brackets"
    return "\n".join([lines[0].rstrip(), "-" * len(lines[0]), *(line.rstrip() for line in lines[1:]), legend])


def draw(
    path: str, done: list[Result], lattice: ising.Ising, truth: np.ndarray, data: np.ndarray, temperature: float,
    effort: dict,
) -> None:  # fmt: skip
    """A row of panels for each model: learning curve, latent plane, generated configurations, p state by state."""
    figure = Figure(figsize=(17, 4.2 * len(done)), layout="constrained")
    figure.suptitle(f"{lattice}, T = {temperature:g}", fontsize=15)
    parts = figure.subfigures(len(done), 1, squeeze=False)[:, 0]
    entropy = -enumeration.kl_divergence(truth, np.zeros(len(truth)))
    order = np.argsort(-truth, kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, STATES_SHOWN).astype(int))]
    for part, (kind, fit, exact, _, states) in zip(parts, done, strict=True):
        part.suptitle(f"{kind.words()}: KL(truth || model) = {exact['kl_divergence']:.4f} nats", fontweight="bold")
        curve, plane, images, scatter = part.subplots(1, 4)
        curve.plot(fit.history["epoch"], fit.history["bound"], color="tab:red", label="bound, mean over the data")
        curve.axhline(-entropy, color="black", linewidth=1, label="best possible log p(x)")
        curve.set(xlabel="epoch", ylabel="nats per row")
        curve.legend()
        some = data[:: max(1, len(data) // 4000)]
        means = fit.model.encode(some)[0]
        used = np.argsort(-means.var(axis=0), kind="stable")[:2]
        where = means[:, used] if len(used) == 2 else np.column_stack([means[:, 0], np.zeros(len(means))])
        points = plane.scatter(*where.T, c=some.mean(axis=1), s=6, cmap="RdBu_r", vmin=-1, vmax=1)
        plane.set(xlabel=f"mean of latent {used[0]}", ylabel=f"mean of latent {used[-1]}")
        part.colorbar(points, ax=plane, label="magnetisation per site")
        images.imshow(
            tiles(states[:36].reshape(-1, lattice.n_sites // lattice.shape[-1], lattice.shape[-1])), cmap="gray"
        )
        images.set(title="generated configurations", xticks=[], yticks=[])
        scatter.loglog([truth.min(), truth.max()], [truth.min(), truth.max()], color="black", linewidth=1)
        rows = enumeration.list_states(lattice.n_sites, low=-1, dtype=np.int8)[shown]
        log_p = vae.log_likelihood(fit.model, rows, effort["n_importance"])
        scatter.loglog(truth[shown], np.exp(log_p), ".", color="tab:red", markersize=3)
        scatter.set(xlabel="p(x) of the truth", ylabel="p(x) of the model")
    report.save_figure(figure, path, dpi=110)


if __name__ == "__main__":
    raise SystemExit(main())
