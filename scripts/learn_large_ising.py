"""Learn the 8x8 Ising model near its critical temperature with a symmetric restricted Boltzmann machine.

Question: no sum over states helps here, neither to train nor to test. How near do energy and heat capacity of an RBM
with 64 hidden units come to the exact ones, and how far is it from the truth, with what error?

100,000 independent exact configurations are learned by a model with one filter, shared by all translations: a hidden
unit for each site. It starts as a copy of its site, the unit of which it knows most; in the limit of a strong weight
between both, hidden units that each feel half of their neighbours' couplings are an exact Ising model. Contrastive
divergence from the data sets the other weights; the natural gradient, from weighted persistent chains and all rows at
each step, then finds the maximum of the likelihood. States are drawn by Gibbs sweeps of many chains. log Z of the
model, by annealed importance sampling from both sides, gives KL(truth || model) over test rows, for which log Z of the
truth is exact. Since model and truth overlap, the test rows give it directly, too: with d = log of unnormalised truth
over unnormalised model, KL = <d> + log <e^-d>, and averages over the model are <A e^-d> / <e^-d>.

Reference: Torlai & Melko, Phys. Rev. B 94, 165134 (2016), whose published model of 64 hidden units has e = -1.4691 and
c = 1.21(10) per site, 1.5 and 5.7 percent from the exact ones.
Expected: energy 0.2 percent and heat capacity half a percent from the exact ones, KL 0.001 nats. Chains keep the sign
of their magnetisation, as the warning at the end says; nothing that is measured here depends on it.
Time: four minutes on one core.

    python scripts/learn_large_ising.py
    python scripts/learn_large_ising.py --shape 6 6 --temperature 2.5 --output small.h5 --figure small.png
"""

import argparse

import numpy as np
from study_parts import command

from mcgen import checks, evaluation, ising, rbm, report, results, rng, stats

# Of the start: the weight between a site and its hidden unit, and the standard deviation of all others.
OWN_SITE, SCALE = 1.5, 0.01
# The likelihood hardly depends on how strong the copies are: with small damping they would run away, and chains stand
# still.
SECOND_STAGE = {
    "negative_phase": "weighted", "optimizer": "natural", "learning_rate": 0.5, "final_learning_rate": 0.02,
    "momentum": 0.0, "damping": 0.1,
}  # fmt: skip
FIRST_STAGE = {
    "negative_phase": "cd", "gibbs_steps": 5, "batch_size": 500, "learning_rate": 0.01, "final_learning_rate": 3e-4,
}  # fmt: skip
FULL = {"rows": 100_000, "steps": 40, "chains": 4000, "draws": 100, "sweeps": 100, "runs": 4000}
QUICK = {"rows": 5000, "steps": 5, "chains": 500, "draws": 20, "sweeps": 10, "runs": 100}


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add = parser.add_argument
    add("--shape", type=int, nargs=2, default=[8, 8], help="sites along each axis of the lattice")
    add("--temperature", type=float, default=2.269, help="in units of J")
    words = {
        "rows": "configurations to learn from; half as many more to test with",
        "steps": "steps of the natural gradient",
        "chains": "Markov chains, in training and of the samples",
        "draws": "states kept of each chain of the samples",
        "sweeps": "Gibbs sweeps for each step and between kept states",
        "runs": "runs of annealed importance sampling, from either side",
    }
    for name, text in words.items():
        add(f"--{name}", type=int, default=None, help=f"{text} (default: {FULL[name]})")
    add("--epochs", type=int, default=4, help="passes through the data by contrastive divergence")
    add("--device", default="cpu", help="cpu or cuda")
    command.add_common(parser, "learn_large_ising", "of model, training and results")
    return command.parsed(parser, argv, FULL, QUICK)


def start_of_copies(shape: tuple[int, int], seed: int) -> rbm.RBM:
    """The symmetric model in which every hidden unit follows its own site."""
    model = rbm.RBM.symmetric(shape, 1, seed, SCALE, spin_flip=True, visible="spin", hidden="spin", dtype=np.float32)
    own = OWN_SITE * np.eye(model.n_visible, dtype=np.float32)
    return model.replace(model.weights + own, model.visible_bias, model.hidden_bias)


def train(v: np.ndarray, shape: tuple[int, int], arguments: argparse.Namespace, seed: int) -> rbm.Trained:
    """Both stages, with one history."""
    common = {"device": arguments.device, "progress": True}
    start = start_of_copies(shape, rng.derive(seed, 0))
    first = rbm.train(start, v, epochs=arguments.epochs, seed=rng.derive(seed, 1), **FIRST_STAGE, **common)
    if first.interrupted:
        return first
    second = rbm.train(
        first.model, v, n_chains=arguments.chains, gibbs_steps=arguments.sweeps, epochs=arguments.steps,
        batch_size=len(v), seed=rng.derive(seed, 2), **SECOND_STAGE, **common,
    )  # fmt: skip
    return rbm.join(first, second)


def draw_states(model: rbm.RBM, v: np.ndarray, arguments: argparse.Namespace, seed: int) -> rbm.Samples:
    """Draws of many chains from the rows of the data, which are near the model's distribution."""
    starts = v[np.arange(arguments.chains) % len(v)]
    return rbm.sample(
        model, n_chains=arguments.chains, n_draws=arguments.draws, thin=arguments.sweeps, burn_in=10 * arguments.sweeps,
        initial=starts, seed=seed, device=arguments.device, progress=True,
    )  # fmt: skip


def off_by_overlap(energy: np.ndarray, weights: np.ndarray) -> tuple[stats.Estimate, stats.Estimate]:
    """By how many percent energy and heat capacity of the model are off, from draws of the truth and their weights.

    Truth and model share the draws, so that most of their chance cancels.
    """
    e = energy - energy.mean()
    return (
        stats.jackknife(lambda w, we, e: 100 * (we / w - e) / energy.mean(), weights, weights * e, e),
        stats.jackknife(
            lambda w, we, wee, ee: 100 * ((wee / w - (we / w) ** 2) / ee - 1),
            weights,
            weights * e,
            weights * e**2,
            e**2,
        ),
    )


def divergences(
    model: rbm.RBM, lattice: ising.Ising, temperature: float, test: np.ndarray, arguments: argparse.Namespace, seed: int
) -> tuple[dict[str, float], rbm.partition.LogPartition]:
    """KL(truth || model) by the estimated log Z of the model, and by the overlap of model and truth, with errors."""
    log_z = rbm.partition.log_partition(model, "sandwich", seed, device=arguments.device, n_runs=arguments.runs)
    log_z_truth = ising.exact.log_partition(lattice, temperature)
    truth = -lattice.energy(test.reshape(-1, *lattice.shape)) / temperature
    d = truth + model.free_energy(test, arguments.device)
    by_log_z = stats.mean(d)
    weights = np.exp(by_log_z.value - d)
    by_overlap = stats.jackknife(lambda mean, overlap: mean + np.log(overlap), d - by_log_z.value, weights)
    energy_off, heat_capacity_off = off_by_overlap(lattice.energy(test.reshape(-1, *lattice.shape)), weights)
    log_likelihood = rbm.evaluation.log_likelihood(model, test, log_z, arguments.device)
    best = stats.mean(truth - log_z_truth)
    found = {
        "log_partition_model": (log_z.value, log_z.error),
        "kl_by_log_z": (by_log_z.value - log_z_truth + log_z.value, float(np.hypot(by_log_z.error, log_z.error))),
        "kl_by_overlap": (by_overlap.value, by_overlap.error),
        "test_log_likelihood": (log_likelihood.value, log_likelihood.error),
        "best_log_likelihood": (best.value, best.error),
        "energy_off_percent": (energy_off.value, energy_off.error),
        "heat_capacity_off_percent": (heat_capacity_off.value, heat_capacity_off.error),
    }
    numbers = {name: value for name, (value, _) in found.items()}
    return numbers | {f"{name}_error": error for name, (_, error) in found.items()}, log_z


def table(study: results.Study) -> str:
    """Observables per site of truth, data and model, how far they are off, and the divergence."""
    n_sites, values = study.lattice.n_sites, study.observables
    lines = [f"{'per site':16} {'exact':>10} {'data':>12} {'model':>12} {'model off by, percent':>22}"]
    for name, words in (("energy", "energy"), ("heat_capacity", "heat capacity"), ("abs_magnetization", "|m|")):
        exact = values[f"{name}_truth"][0]
        line = f"{words:16} {exact / n_sites:10.6f}"
        for source in ("data", "model"):
            value, error = values[f"{name}_{source}"][0], values[f"{name}_{source}_error"][0]
            line += f" {stats.format_error(value / n_sites, error / n_sites):>12}"
        lines.append(line + f" {stats.format_error(100 * (value / exact - 1), 100 * abs(error / exact)):>22}")
    words = {
        "kl_by_log_z": "KL(truth || model), by log Z",
        "kl_by_overlap": "KL(truth || model), by overlap",
        "test_log_likelihood": "test log-likelihood, model",
        "best_log_likelihood": "test log-likelihood, truth",
    }
    lines += [""]
    for name, text in (("energy", "energy"), ("heat_capacity", "heat capacity")):
        off = stats.format_error(*(study.exact[f"{name}_off_percent{end}"][0] for end in ("", "_error")))
        lines.append(f"{text + ' off, by overlap':32} {off} percent")
    for name, text in words.items():
        lines.append(f"{text:32} {stats.format_error(study.exact[name][0], study.exact[f'{name}_error'][0])} nats")
    return "\n".join(lines)


def learn(arguments: argparse.Namespace, lattice: ising.Ising) -> tuple[results.Study, bool]:
    """Draw, train, sample and compare; whether Ctrl-C cut the training short: what is learned by then is evaluated."""
    temperature = arguments.temperature
    seeds = [rng.derive(arguments.seed, k) for k in range(4)]
    n_rows = arguments.rows
    rows = ising.exact.sample(lattice, temperature, n_rows + n_rows // 2, seeds[0], arguments.device)
    rows = rows.reshape(-1, lattice.n_sites)
    v, test = rows[:n_rows], rows[n_rows:]
    trained = train(v, lattice.shape, arguments, seeds[1])
    print("trained; sampling and log Z are next", flush=True)
    samples = draw_states(trained.model, v, arguments, seeds[2])
    exact, observed = evaluation.evaluate(trained.model, lattice, temperature, v, samples, device=arguments.device)
    found, log_z = divergences(trained.model, lattice, temperature, test, arguments, seeds[3])
    print(log_z)
    study = results.Study(
        temperatures=(temperature,),
        lattice=lattice,
        models=(trained.model,),
        trained=(trained,),
        exact=evaluation.columns([exact | found]),
        observables=evaluation.columns([observed]),
    )
    return study, trained.interrupted


def run(arguments: argparse.Namespace) -> str:
    """Learn, compare and write; returns whether the run is complete."""
    for name in FULL | {"epochs": 1}:
        checks.integer(f"--{name}", getattr(arguments, name), 2)
    lattice = ising.Ising(tuple(arguments.shape))
    print(
        f"{lattice}, T = {arguments.temperature:g}, {lattice.n_sites} hidden units, seed {arguments.seed}", flush=True
    )
    study, interrupted = learn(arguments, lattice)
    status = command.status_of(interrupted)
    results.save(arguments.output, study, arguments.overwrite, vars(arguments), status)
    print("\n" + table(study))
    report.report(study, arguments.figure, arguments.overwrite)
    return status


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("learn_large_ising", parse(argv), run, "before there was a model to compare")


if __name__ == "__main__":
    raise SystemExit(main())
