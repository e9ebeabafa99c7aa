"""What a variational autoencoder finds in Ising configurations: the order parameter, and the transition.

Question: a VAE with one or two latents learns configurations of all temperatures, without being told any. Is its latent
the magnetisation, how well compared with the first principal component, and does the error of its reconstructions show
where the transition is?

Configurations are drawn by Wolff clusters at temperatures from below to above the critical one, the same number at
each. One half of the chains is learned from; the other half gives the correlations of the latents with magnetisation
and energy, and by temperature the mean |latent| and the reconstruction error, all with errors from independent chains.
Where |m| and |latent| fall most steeply, and the reconstruction error grows most, is the critical region of such a
lattice.

Reference: Wetzel, Phys. Rev. E 96, 022140 (2017), for the latent and the reconstruction error; Wang, Phys. Rev. B 94,
195105 (2016), for principal components. <H> at every temperature is exact, by Kaufman's formula.
Expected: |correlation| of latent and magnetisation above 0.97, of the first principal component almost 1, and of either
with the energy near 0, since both signs of m have the same energy; the reconstruction error grows from near 0 to that
of spins that know nothing of each other, log 2 nats (and 3 percent more: the model fits a little of the noise), most
steeply within a few hundredths of T_c = 2.269. Time: a quarter of a minute.

    python scripts/explore_latent_space.py
    python scripts/explore_latent_space.py --quick --latent 2 --output small.h5 --figure small.png
"""

import argparse
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from study_parts import command
from vae_parts.images import tiles

from mcgen import checks, ising, report, rng, stats, vae
from mcgen.results.saving import write_study
from mcgen.results.study import as_study
from mcgen.results.tables import open_table

FULL = {"length": 28, "temperatures": 33, "chains": 80, "draws": 5, "epochs": 40}
QUICK = {"length": 8, "temperatures": 9, "chains": 40, "draws": 5, "epochs": 15}
LOWEST, HIGHEST = 1.2, 3.6
CRITICAL = 2 / np.log(1 + np.sqrt(2))
# Wolff sweeps between draws and before the first.
THIN, BURN_IN = 10, 200
BATCH_SIZE, LEARNING_RATE, FINAL_LEARNING_RATE = 128, 3e-3, 1e-4
# One part in so many of the epochs lets the KL divergence of the ELBO grow to its full weight.
WARM_UP = 4
# Drawn from the errors of a curve, for the error of where it is steepest.
N_RESAMPLES = 1000
QUANTITIES = ("magnetization", "abs_magnetization", "energy")


class Rows(NamedTuple):
    """Configurations of some chains at all temperatures, and what is known of each."""

    spins: np.ndarray  # (n_rows, n_sites)
    temperature: np.ndarray
    chain: np.ndarray  # a number for each chain of each temperature
    magnetization: np.ndarray  # per site, as energy
    energy: np.ndarray


class Found(NamedTuple):
    """What the test rows say of one description of configurations by latents."""

    name: str
    latents: np.ndarray  # (n_rows, n_latent)
    correlations: dict[str, vae.latent.Correlation]
    by_temperature: list[stats.Estimate]  # of |latent 0|


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    words = {
        "length": "L of the L x L torus",
        "temperatures": f"how many, from {LOWEST} to {HIGHEST}",
        "chains": "Markov chains at each temperature, half of them for training",
        "draws": "configurations of each chain",
        "epochs": "passes through the data",
    }
    for name, text in words.items():
        add(f"--{name}", type=int, default=None, help=f"{text} (default: {FULL[name]})")
    add("--latent", type=int, default=1, help="latents of the VAE")
    add("--hidden", type=int, default=100, help="width of the hidden layer of encoder and decoder")
    command.add_common(parser, "explore_latent_space", "of the model and all that was measured")
    return command.parsed(parser, argv, FULL, QUICK)


def draw_rows(lattice: ising.Ising, temperatures: np.ndarray, arguments: argparse.Namespace) -> tuple[Rows, Rows]:
    """Configurations to learn from, and those of other chains to test with."""
    runs = ising.sample(
        lattice, temperatures, arguments.chains, arguments.draws, THIN, BURN_IN, "wolff", rng.derive(arguments.seed, 0)
    )
    half, n = arguments.chains // 2, lattice.n_sites
    shape = len(temperatures), arguments.chains, arguments.draws
    numbers = np.broadcast_to(np.arange(shape[0] * shape[1]).reshape(*shape[:2], 1), shape)
    everything = Rows(
        np.array([run.states for run in runs]).reshape(*shape, n),
        np.broadcast_to(temperatures[:, None, None], shape),
        numbers,
        np.array([run.magnetization for run in runs]) / n,
        np.array([run.energy for run in runs]) / n,
    )
    return tuple(
        Rows(*(values[:, part].reshape(-1, *values.shape[3:]) for values in everything))
        for part in (slice(0, half), slice(half, None))
    )


def by_temperature(values: np.ndarray, rows: Rows) -> list[stats.Estimate]:
    """The mean over the rows of each temperature, with the error that its independent chains show."""
    found = []
    for temperature in np.unique(rows.temperature):
        here = rows.temperature == temperature
        chains = np.array([values[here & (rows.chain == chain)].mean() for chain in np.unique(rows.chain[here])])
        error = float(chains.std(ddof=1) / np.sqrt(len(chains)))
        found.append(stats.Estimate(float(chains.mean()), error, float("nan"), float(len(chains))))
    return found


def of_latents(name: str, latents: np.ndarray, test: Rows) -> Found:
    """What latents of the test rows, in the order of their correlation with the magnetisation, go with."""
    quantities = {
        "magnetization": test.magnetization, "abs_magnetization": np.abs(test.magnetization), "energy": test.energy,
    }  # fmt: skip
    correlations = vae.correlate(latents, quantities, groups=test.chain)
    order = np.argsort(-np.abs(correlations["magnetization"].value), kind="stable")
    correlations = {
        name: vae.latent.Correlation(one.value[order], one.error[order]) for name, one in correlations.items()
    }
    return Found(name, latents[:, order], correlations, by_temperature(np.abs(latents[:, order[0]]), test))


def of_components(train: Rows, test: Rows, n_latent: int) -> Found:
    """The same of the first principal components of the training rows."""
    mean = train.spins.mean(axis=0)
    centred = train.spins - mean
    directions = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :n_latent]
    return of_latents("principal components", (test.spins - mean) @ directions, test)


def steepest(temperatures: np.ndarray, curve: list[stats.Estimate]) -> stats.Estimate:
    """Where a curve falls or rises most steeply: the vertex of a parabola through three differences, with its error."""

    def vertex(values: np.ndarray) -> float:
        slopes = np.abs(np.diff(values))
        k = min(max(int(slopes.argmax()), 1), len(slopes) - 2)
        below, here, above = slopes[k - 1 : k + 2]
        step = temperatures[1] - temperatures[0]
        bend = below - 2 * here + above
        shift = 0.5 * (below - above) / bend if bend < 0 else 0.0
        return float((temperatures[k] + temperatures[k + 1]) / 2 + step * np.clip(shift, -1, 1))

    values, errors = np.array([one[:2] for one in curve]).T
    noise = rng.normals(0, rng.purpose.STUDY_SPLIT, N_RESAMPLES, len(values))
    resampled = [vertex(values + errors * one) for one in noise]
    return stats.Estimate(vertex(values), float(np.std(resampled)), float("nan"), float(N_RESAMPLES))


def table(found: list[Found], curves: dict[str, list[stats.Estimate]], energies: list, temperatures: np.ndarray) -> str:
    """Correlations, and the curves by temperature."""
    lines = [f"{'correlation of':26}" + "".join(f"{name:>20}" for name in QUANTITIES)]
    for one in found:
        for k in range(one.latents.shape[1]):
            cells = (
                stats.format_error(one.correlations[name].value[k], one.correlations[name].error[k])
                for name in QUANTITIES
            )
            lines.append(f"{f'{one.name}, {k}':26}" + "".join(f"{cell:>20}" for cell in cells))
    lines += ["", f"{'steepest at T of':26} " + f"(infinite lattice: {CRITICAL:.3f})"]
    lines += [f"{name:26} {steepest(temperatures, curve)}" for name, curve in curves.items()]
    square = sum(((one.value - exact) / one.error) ** 2 for one, exact in energies)
    lines += ["", f"energies of {len(energies)} temperatures beside Kaufman's: chi^2 = {square:.1f}"]
    return "\n".join(lines)


def save(
    arguments: argparse.Namespace,
    fit: vae.Fit,
    found: list[Found],
    curves: dict,
    energies: list,
    temperatures: np.ndarray,
    status: str,
) -> None:
    """The model with its training, as every file of models has it, and groups of what was measured."""
    with command.new_file(arguments.output, vars(arguments), status) as file:
        write_study(file, as_study(fit))
        group = open_table(file, "by_temperature", "temperature", "means over configurations of test chains, per site")
        for name, curve in (curves | {"energy": [one for one, _ in energies]}).items():
            command.add_estimates(group, name.replace(" ", "_"), curve)
        group.add("energy_exact", (), [exact for _, exact in energies])
        group.close({"temperature": temperatures})
        for one in found:
            group = open_table(file, one.name.lower().replace(" ", "_"), "latent", "correlations of latents")
            for name in QUANTITIES:
                group.add(f"correlation_{name}", (), list(one.correlations[name].value))
                group.add(f"correlation_{name}_error", (), list(one.correlations[name].error))
            group.close({"latent": np.arange(one.latents.shape[1])})


def draw(
    path: str, fit: vae.Fit, found: list[Found], curves: dict[str, list[stats.Estimate]], train: Rows, test: Rows,
    length: int,
) -> None:  # fmt: skip
    """The latent against the magnetisation, curves by temperature, and what is decoded along the latent."""
    temperatures = np.unique(test.temperature)
    figure = Figure(figsize=(13, 9), layout="constrained")
    figure.suptitle(f"What a VAE finds in {length} x {length} Ising configurations of all temperatures", fontsize=15)
    panels = figure.subplots(2, 3)
    for axes, one in zip(panels[0], found, strict=False):
        points = axes.scatter(test.magnetization, one.latents[:, 0], c=test.temperature, s=4, cmap="coolwarm")
        r = stats.format_error(one.correlations["magnetization"].value[0], one.correlations["magnetization"].error[0])
        axes.set(title=f"{one.name}: correlation {r}", xlabel="magnetisation per site", ylabel="latent 0")
    figure.colorbar(points, ax=panels[0, 1], label="T / J")
    axes = panels[0, 2]
    axes.plot(fit.history["epoch"], fit.history["bound"], color="tab:red")
    later = fit.history["bound"][len(fit.history["bound"]) // 10 :]  # the first epochs are far below
    axes.set(title="training", xlabel="epoch", ylabel="ELBO / nats per configuration")
    axes.set_ylim(later.min() - 0.1 * np.ptp(later) - 1, later.max() + 0.1 * np.ptp(later) + 1)
    axes = panels[1, 0]
    for k, name in enumerate(("|m|", "|latent| of the VAE", "|first component|")):
        values, errors = np.array([one[:2] for one in curves[name]]).T
        axes.errorbar(
            temperatures, values / values[0], errors / values[0], fmt="os^"[k] + "-", markersize=4, label=name
        )
    axes.axvline(CRITICAL, color="black", linewidth=0.8, linestyle="--", label="T_c of the infinite lattice")
    axes.set(title="order parameters", xlabel="T / J", ylabel="relative to the lowest T")
    axes.legend(fontsize=9)
    axes = panels[1, 1]
    values, errors = np.array([one[:2] for one in curves["reconstruction error"]]).T
    axes.errorbar(temperatures, values, errors, fmt="o-", markersize=4, color="tab:red")
    axes.axhline(np.log(2), color="0.6", linewidth=0.8, linestyle=":", label="log 2")
    axes.axvline(CRITICAL, color="black", linewidth=0.8, linestyle="--")
    axes.set(title="reconstruction error", xlabel="T / J", ylabel="cross-entropy per spin / nats")
    axes.legend(fontsize=9)
    used = int(np.argmax(fit.model.encode(train.spins)[0].var(axis=0)))
    images = vae.traversal(fit.model, latent=used, values=np.linspace(-2, 2, 9)).reshape(-1, length, length)
    panels[1, 2].imshow(tiles(images), cmap="gray", vmin=-1, vmax=1)
    panels[1, 2].set(title="decoded means, latent from -2 to 2", xticks=[], yticks=[])
    report.save_figure(figure, path, dpi=110)


def run(arguments: argparse.Namespace) -> str:
    """Draw, learn, measure and write; returns whether the run is complete.

    What is learned when Ctrl-C cuts the training short is measured.
    """
    least_of = {"length": 3, "temperatures": 5, "chains": 4, "draws": 1, "epochs": 1, "latent": 1, "hidden": 1}
    for name, least in least_of.items():
        checks.integer(f"--{name}", getattr(arguments, name), least)
    lattice = ising.Ising((arguments.length, arguments.length))
    temperatures = np.linspace(LOWEST, HIGHEST, arguments.temperatures)
    train, test = draw_rows(lattice, temperatures, arguments)
    print(f"{lattice}: {len(train.spins)} configurations to learn from, as many to test with", flush=True)
    net = vae.VAE(
        lattice.n_sites, (arguments.hidden,), arguments.latent, "spin", activation="tanh",
        seed=rng.derive(arguments.seed, 1),
    )  # fmt: skip
    fit = vae.train(
        net, train.spins, arguments.epochs, BATCH_SIZE, LEARNING_RATE, FINAL_LEARNING_RATE,
        warm_up=arguments.epochs // WARM_UP, seed=rng.derive(arguments.seed, 2), progress=True,
    )  # fmt: skip
    found = [of_latents("VAE", fit.model.encode(test.spins)[0], test), of_components(train, test, arguments.latent)]
    curves = {
        "|m|": by_temperature(np.abs(test.magnetization), test),
        "|latent| of the VAE": found[0].by_temperature,
        "|first component|": found[1].by_temperature,
        "reconstruction error": by_temperature(vae.reconstruction_error(fit.model, test.spins).cross_entropy, test),
    }
    exact = [ising.exact.thermodynamics(lattice, t, method="kaufman").energy / lattice.n_sites for t in temperatures]
    energies = list(zip(by_temperature(test.energy, test), exact, strict=True))
    status = command.status_of(fit.interrupted)
    save(arguments, fit, found, curves, energies, temperatures, status)
    print("\n" + table(found, curves, energies, temperatures))
    draw(arguments.figure, fit, found, curves, train, test, arguments.length)
    return status


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("explore_latent_space", parse(argv), run, "before there was a model")


if __name__ == "__main__":
    raise SystemExit(main())
