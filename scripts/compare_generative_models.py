"""A Boltzmann machine, autoencoders and a conditional autoencoder learn the same Ising configurations.

Question: which of them is how right? At temperatures below, at and above the critical one, how close do a restricted
Boltzmann machine (RBM), a variational autoencoder (VAE) of each temperature, and one conditional VAE (CVAE) that is
told the temperature, come to the Boltzmann distribution from which all have seen the same independent configurations?
And how many independent configurations a second do they generate?

The RBM is fitted by maximum likelihood, the autoencoders climb the ELBO or the importance-weighted bound. The CVAE has
one set of parameters for all temperatures. KL(truth || model) is exact: by enumeration, of the autoencoders by
quadrature over their latents. Energy, |m|, heat capacity, susceptibility and the two-point function G(r) are those of
generated configurations, with errors, beside the exact ones; those of the RBM come from Gibbs chains, whose effective
sample size follows from the autocorrelation of their energy.

Reference: D'Angelo & Boettcher, Phys. Rev. Research 2, 023266 (2020), who find RBMs to be better in the observables of
small systems and VAEs to be limited by their factorised decoders.
Expected: 0.01 nats with the RBM, whose observables are right within some errors; 0.14, 0.2 and 0.37 nats, with energies
6 to 17 percent too high, with VAEs of two latents on the ELBO, since decoders that draw every spin by itself need more
latents than that; the CVAE within ten percent of the VAEs of single temperatures. Three latents, and the importance-
weighted bound, do better (`scripts/learn_ising_vae.py`). Time: a minute.

    python scripts/compare_generative_models.py
    python scripts/compare_generative_models.py --quick --output small.h5 --figure small.png
"""

import argparse
import time
import warnings
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from study_parts import command

from mcgen import checks, enumeration, ising, observables, rbm, report, rng, stats, vae
from mcgen.errors import StatisticsWarning
from mcgen.observables.spatial import correlations
from mcgen.results.tables import open_table

FULL = {"shape": [4, 4], "temperatures": [1.8, 2.269, 3.0], "rows": 20_000, "epochs": 60, "draws": 50_000}
QUICK = {"shape": [2, 3], "temperatures": [2.0, 3.0], "rows": 2000, "epochs": 8, "draws": 5000}
MODELS = ("rbm", "vae", "cvae")
OBSERVABLES = ("energy", "abs_magnetization", "heat_capacity", "abs_susceptibility")
BATCH_SIZE, LEARNING_RATE, FINAL_LEARNING_RATE, WARM_UP = 128, 3e-3, 1e-4, 4
IMPORTANCE_DRAWS = 10
# The fit of the RBM ends where no component of the gradient is larger, far below what the data can tell.
TOLERANCE, ITERATIONS, START = 1e-4, 500, 0.1
CHAINS = 200
# Of KL divergences by quadrature, in nats.
QUADRATURE = 1e-3


class Found(NamedTuple):
    """One model at one temperature: its divergence with the error of quadrature, and what it generates."""

    kl_divergence: float
    kl_error: float
    values: dict[str, stats.Estimate]
    two_point: stats.Estimate  # G by distance
    independent_per_second: float


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--shape", type=int, nargs="+", default=None, help=f"sites along each axis (default: {FULL['shape']})")
    add("--temperatures", type=float, nargs="+", default=None, help=f"(default: {FULL['temperatures']})")
    add("--rows", type=int, default=None, help=f"configurations of each temperature (default: {FULL['rows']})")
    add("--epochs", type=int, default=None, help=f"of the autoencoders (default: {FULL['epochs']})")
    add("--draws", type=int, default=None, help=f"generated configurations of each (default: {FULL['draws']})")
    add("--hidden-units", type=int, default=None, help="of the RBM (default: as many as sites)")
    add("--hidden", type=int, nargs="*", default=[128, 128], help="widths of the encoder's layers")
    add("--latent", type=int, choices=(1, 2, 3), default=2, help="latents; with 3 the quadrature takes minutes")
    add("--objective", choices=("elbo", "importance"), default="elbo", help="what the autoencoders climb")
    command.add_common(parser, "compare_generative_models", "of all that was measured")
    return command.parsed(parser, argv, FULL, QUICK)


def train(
    net: vae.VAE, rows: np.ndarray, condition: np.ndarray | None, arguments: argparse.Namespace, seed: int
) -> vae.VAE:
    """An autoencoder, trained; Ctrl-C ends the study, since half a training compares with nothing."""
    objective = {"objective": arguments.objective}
    if arguments.objective == "importance":
        objective["n_draws"] = IMPORTANCE_DRAWS
    else:
        objective["warm_up"] = arguments.epochs // WARM_UP
    fit = vae.train(
        net, rows, arguments.epochs, BATCH_SIZE, LEARNING_RATE, FINAL_LEARNING_RATE, condition=condition, seed=seed,
        progress=True, **objective,
    )  # fmt: skip
    if fit.interrupted:
        raise KeyboardInterrupt
    return fit.model


def measure(
    states: np.ndarray, lattice: ising.Ising, temperature: float
) -> tuple[dict[str, stats.Estimate], stats.Estimate]:
    """Observables per site, and G by distance, of chains or rows of states."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)  # R-hat of Gibbs chains is not the question
        summary = observables.summary(states, lattice, temperature)
        values = {name: summary[name].scaled(1 / lattice.n_sites) for name in OBSERVABLES}
        return values, correlations(states, lattice).radial


def of_rbm(
    lattice: ising.Ising,
    temperature: float,
    truth: np.ndarray,
    rows: np.ndarray,
    arguments: argparse.Namespace,
    seed: int,
) -> Found:
    """Fit and examine the RBM of one temperature."""
    n_hidden = arguments.hidden_units or lattice.n_sites
    start = rbm.RBM.random(lattice.n_sites, n_hidden, rng.derive(seed, 0), START, visible="spin", hidden="spin")
    fitted = rbm.maximum_likelihood(
        start, rows, l2=1 / len(rows), tolerance=TOLERANCE, max_iterations=ITERATIONS, truth=truth,
        evaluate_every=ITERATIONS,
    )  # fmt: skip
    if fitted.interrupted:
        raise KeyboardInterrupt
    n_draws = max(8, arguments.draws // CHAINS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)
        rbm.sample(fitted.model, CHAINS, 1, thin=1, burn_in=0)  # kernels are compiled
        began = time.perf_counter()
        run = rbm.sample(fitted.model, CHAINS, n_draws, thin=10, burn_in=500, seed=rng.derive(seed, 1))
        seconds = time.perf_counter() - began
        values, two_point = measure(run.states, lattice, temperature)
    rate = values["energy"].effective_sample_size / seconds
    return Found(float(fitted.history["kl_divergence"][-1]), 0.0, values, two_point, rate)


def of_vae(
    net: vae.VAE, lattice: ising.Ising, temperature: float, truth: np.ndarray, arguments: argparse.Namespace, seed: int
) -> Found:
    """Examine an autoencoder at one temperature."""
    condition = [temperature] if isinstance(net, vae.ConditionalVAE) else None
    divergence = vae.kl_divergence(truth, net, condition, QUADRATURE)
    conditions = {} if condition is None else {"condition": condition}
    net.sample(1, rng.derive(seed, 0), **conditions)  # kernels are compiled
    began = time.perf_counter()
    states = net.sample(arguments.draws, rng.derive(seed, 1), **conditions)
    seconds = time.perf_counter() - began
    values, two_point = measure(states, lattice, temperature)
    return Found(divergence.value, divergence.error, values, two_point, arguments.draws / seconds)


def exact_two_point(lattice: ising.Ising, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances, and <s_x s_y> by the distance of x and y, the shorter way round, summed over all states."""
    spins = enumeration.list_states(lattice.n_sites, -1).astype(float)
    pairs = (spins * truth[:, None]).T @ spins
    places = np.indices(lattice.shape).reshape(lattice.n_dims, -1)
    steps = np.abs(places[:, :, None] - places[:, None, :])
    lengths = np.array(lattice.shape).reshape(-1, 1, 1)
    squares = (np.minimum(steps, lengths - steps) ** 2).sum(axis=0)
    levels = np.unique(squares)
    return np.sqrt(levels), np.array([pairs[squares == level].mean() for level in levels])


class Case(NamedTuple):
    """One temperature: exact values, and what was found of each model."""

    temperature: float
    exact: dict[str, float]
    distances: np.ndarray
    two_point: np.ndarray
    found: dict[str, Found]


def table(cases: list[Case]) -> str:
    """Divergences and observables by temperature and model, each beside the exact values."""
    names = ("KL, nats", "energy", "|m|", "heat capacity", "susceptibility", "G off by", "independent/s")
    lines = [f"{'T':>6} {'model':>6} " + " ".join(f"{name:>14}" for name in names)]
    for case in cases:
        cells = ["0", *(f"{case.exact[name]:.5f}" for name in OBSERVABLES), "0", ""]
        lines.append(f"{case.temperature:6g} {'exact':>6} " + " ".join(f"{cell:>14}" for cell in cells))
        for name, one in case.found.items():
            off = one.two_point.value - case.two_point
            worst = int(np.abs(off).argmax())
            cells = [stats.format_error(one.kl_divergence, max(one.kl_error, 1e-5))]
            cells += [str(one.values[observable]) for observable in OBSERVABLES]
            cells += [stats.format_error(float(off[worst]), float(one.two_point.error[worst]))]
            cells += [f"{one.independent_per_second:.3g}"]
            lines.append(f"{'':6} {name:>6} " + " ".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines) + "\n\nper site; G off by: G(r) less the exact one at the r where they differ most"


def save(arguments: argparse.Namespace, cases: list[Case]) -> None:
    """A group of exact values and one for each model, by temperature."""
    scale = {"temperature": np.array([case.temperature for case in cases]), "distance": cases[0].distances}
    with command.new_file(arguments.output, vars(arguments), "complete") as file:
        group = open_table(file, "truth", "temperature", "exact, per site")
        for name in OBSERVABLES:
            group.add(name, (), [case.exact[name] for case in cases])
        group.add("two_point", ("distance",), [case.two_point for case in cases])
        group.close(scale)
        for model in MODELS:
            group = open_table(file, model, "temperature", f"of a {model}, per site, and its divergence in nats")
            mine = [case.found[model] for case in cases]
            for name in ("kl_divergence", "kl_error", "independent_per_second"):
                group.add(name, (), [getattr(one, name) for one in mine])
            for name in OBSERVABLES:
                command.add_estimates(group, name, [one.values[name] for one in mine])
            command.add_estimates(group, "two_point", [one.two_point for one in mine], ("distance",))
            group.close(scale)


def draw(path: str, cases: list[Case]) -> None:
    """Divergence and observables against temperature, and G(r) at the middle one."""
    figure = Figure(figsize=(14, 8), layout="constrained")
    figure.suptitle("Three generative models of the same Ising configurations", fontsize=15)
    panels = figure.subplots(2, 3).ravel()
    temperatures = np.array([case.temperature for case in cases])
    shift = 0.012 * max(np.ptp(temperatures), 0.1)
    for k, model in enumerate(MODELS):
        mine = [case.found[model] for case in cases]
        panels[0].plot(temperatures, [one.kl_divergence for one in mine], "os^"[k] + "-", color=f"C{k}", label=model)
        for axes, name in zip(panels[1:5], OBSERVABLES, strict=True):
            values, errors = np.array([one.values[name][:2] for one in mine]).T
            axes.errorbar(temperatures + shift * (k - 1), values, errors, fmt="os^"[k], color=f"C{k}", label=model)
        middle = cases[len(cases) // 2]
        off = middle.found[model].two_point
        panels[5].errorbar(
            middle.distances, off.value - middle.two_point, off.error, fmt="os^"[k] + "-", color=f"C{k}", label=model
        )
    panels[0].set(yscale="log", title="KL(truth || model), exact", xlabel="T / J", ylabel="nats")
    for axes, name in zip(panels[1:5], OBSERVABLES, strict=True):
        exact = [case.exact[name] for case in cases]
        axes.plot(temperatures, exact, "_", color="black", markersize=24, label="exact")
        axes.set(title=name.replace("_", " ") + " per site", xlabel="T / J (moved apart)")
    panels[5].axhline(0, color="black", linewidth=0.8)
    panels[5].set(title=f"G(r) less the exact one, T = {middle.temperature:g}", xlabel="distance r")
    for axes in panels:
        axes.legend(fontsize=9)
    report.save_figure(figure, path, dpi=110)


def examine(lattice: ising.Ising, arguments: argparse.Namespace) -> list[Case]:
    """All models at all temperatures."""
    temperatures, n_sites = arguments.temperatures, lattice.n_sites
    rows = [
        ising.exact.sample(lattice, temperature, arguments.rows, rng.derive(arguments.seed, k)).reshape(-1, n_sites)
        for k, temperature in enumerate(temperatures)
    ]
    shape = {"hidden": tuple(arguments.hidden), "n_latent": arguments.latent, "decoder": "spin", "activation": "tanh"}
    seeds = [rng.derive(arguments.seed, 100 + k) for k in range(2 + 3 * len(temperatures))]
    conditional = vae.ConditionalVAE(
        n_sites, condition_offset=float(np.mean(temperatures)), condition_scale=max(float(np.std(temperatures)), 0.1),
        seed=seeds[0], **shape,
    )  # fmt: skip
    print("one CVAE for all temperatures", flush=True)
    told = np.repeat(temperatures, arguments.rows)[:, None]
    conditional = train(conditional, np.concatenate(rows), told, arguments, seeds[1])
    cases = []
    for k, temperature in enumerate(temperatures):
        print(f"RBM and VAE of T = {temperature:g}", flush=True)
        own = [rng.derive(seeds[2 + k], part) for part in range(5)]
        truth = ising.exact.probabilities(lattice, temperature)
        averages = ising.exact.averages(lattice, truth, temperature)
        net = train(vae.VAE(n_sites, seed=own[0], **shape), rows[k], None, arguments, own[1])
        found = {
            "rbm": of_rbm(lattice, temperature, truth, rows[k], arguments, own[2]),
            "vae": of_vae(net, lattice, temperature, truth, arguments, own[3]),
            "cvae": of_vae(conditional, lattice, temperature, truth, arguments, own[4]),
        }
        exact = {name: averages[name] / n_sites for name in OBSERVABLES}
        cases.append(Case(temperature, exact, *exact_two_point(lattice, truth), found))
    return cases


def run(arguments: argparse.Namespace) -> str:
    """Learn, examine and write, all or nothing: Ctrl-C leaves nothing to compare."""
    for name, least in {"rows": 100, "epochs": 1, "draws": 100}.items():
        checks.integer(f"--{name}", getattr(arguments, name), least)
    for temperature in arguments.temperatures:
        checks.positive("--temperatures", temperature)
    lattice = ising.Ising(tuple(arguments.shape))
    enumeration.check_listable(lattice.n_sites, "the lattice", "take a smaller --shape")
    cases = examine(lattice, arguments)
    save(arguments, cases)
    print("\n" + table(cases))
    draw(arguments.figure, cases)
    return "complete"


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("compare_generative_models", parse(argv), run, "before all models were done")


if __name__ == "__main__":
    raise SystemExit(main())
