"""Learn the 2D Ising model with a restricted Boltzmann machine and check it against the exact partition function.

Question: can an RBM with 16 hidden units learn the Boltzmann distribution of 4x4 Ising spins from 20,000 samples,
below, at and above the critical temperature, and how far is it from the truth?

Samples are drawn by Metropolis sweeps. An RBM of spin units is trained in two stages: contrastive divergence learns the
local structure in many cheap steps, and a short second stage with the exact negative phase gives the modes of the
distribution their right weight (contrastive divergence alone is blind to that at low temperature). Then the partition
functions of the lattice and of the model are summed exactly.

Reference: Torlai & Melko, Phys. Rev. B 94, 165134 (2016); their published 16-hidden-unit models have an exact
KL(truth || model) of 26.3, 0.0068 and 0.0049 nats at T = 1.0, 2.269 and 3.54.
Expected: about 0.002, 0.007 and 0.006 nats (the floor for 288 parameters and 20,000 samples is about 0.007 near Tc).
Time: half a minute on two cores, and 40 seconds more when kernels are compiled at first.

    python scripts/learn_ising.py
    python scripts/learn_ising.py --shape 3 4 --temperature 2.0 --hidden 8 --output small.h5 --figure small.png
    python scripts/learn_ising.py --temperature 2.269 --data rows.txt --output rows.h5 --figure rows.png
"""

import argparse
import dataclasses

import numpy as np
from study_parts import command

from mcgen import evaluation, ising, observables, rbm, report, results, rng
from mcgen.enumeration import MOST_LISTED_UNITS
from mcgen.errors import InputError
from mcgen.progress import until_interrupted

N_CHAINS = 2000
TRAINING_DRAWS = 10
MODEL_DRAWS = 20

# At most this many units in the smaller layer for the second stage of training, one exact sum for each step.
MOST_EXACT_UNITS = 16


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    parser.add_argument("--shape", type=int, nargs="+", default=[4, 4], help="sites along each axis of the lattice")
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0, 2.269, 3.54], help="in units of J")
    parser.add_argument("--hidden", type=int, default=16, help="hidden units")
    parser.add_argument("--data", nargs="+", default=None, help="files with rows of 0/1, one file for each temperature")
    parser.add_argument("--epochs", type=int, default=60, help="passes through the data in the first stage of training")
    parser.add_argument("--exact-epochs", type=int, default=15, help="passes in the second stage")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    command.add_common(parser, "learn_ising", "with all results", quick=False)
    return parser.parse_args(argv)


def draw_data(lattice: ising.Ising, temperature: float, n_draws: int, seed: int, device: str) -> ising.Samples:
    """Many short chains from random starts.

    At low temperature chains do not change the sign of the magnetisation, so the weight of the two modes is only as
    right as the number of independent chains is large.
    """
    return ising.sample(
        lattice,
        temperature,
        n_chains=N_CHAINS,
        n_draws=n_draws,
        thin=50,
        burn_in=1000,
        seed=seed,
        device=device,
        progress=True,
    )


def read_data(path: str, lattice: ising.Ising) -> np.ndarray:
    """Rows of a file as spins, shape (n_rows, n_sites)."""
    tables = results.load_rows(path)
    if len(tables) > 1:
        raise InputError(f"{path} holds {len(tables)} temperatures; give one file for each temperature")
    return observables.spins(tables[0][1], lattice).reshape(-1, lattice.n_sites)


def train(v: np.ndarray, truth: np.ndarray | None, arguments: argparse.Namespace, seed: int) -> rbm.Trained:
    """Both stages of training, with one history."""
    common = {"truth": truth, "device": arguments.device, "progress": True}
    model = rbm.RBM.random(v.shape[1], arguments.hidden, seed=seed, visible="spin", hidden="spin")
    exact_stage = arguments.exact_epochs > 0 and min(v.shape[1], arguments.hidden) <= MOST_EXACT_UNITS
    first = rbm.train(
        model, v, negative_phase="cd", gibbs_steps=5 if exact_stage else 20, epochs=arguments.epochs, batch_size=128,
        learning_rate=0.01, final_learning_rate=0.001, seed=seed, **common,
    )  # fmt: skip
    if first.interrupted or not exact_stage:
        return first
    try:
        second = rbm.train(
            first.model, v, negative_phase="exact", epochs=arguments.exact_epochs, batch_size=500,
            learning_rate=0.003, final_learning_rate=0.0003, seed=rng.derive(seed, 1), evaluate_every=1, **common,
        )  # fmt: skip
    except KeyboardInterrupt:  # before its first epoch was complete
        return dataclasses.replace(first, interrupted=True)
    return rbm.join(first, second)


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return command.run("learn_ising", parse(argv), run, "before the first model was trained")


def run(arguments: argparse.Namespace) -> str:
    """Learn, compare and write; returns whether the run is complete."""
    if arguments.data and len(arguments.data) != len(arguments.temperature):
        raise InputError(
            f"--data names {len(arguments.data)} files for {len(arguments.temperature)} temperatures; "
            "give one file for each --temperature"
        )
    lattice = ising.Ising(tuple(arguments.shape))
    study, interrupted = learn(arguments, lattice)
    status = command.status_of(interrupted)
    results.save(arguments.output, study, arguments.overwrite, vars(arguments), status)
    print(report.text_table(study))
    report.report(study, arguments.figure, arguments.overwrite)
    return status


def learn(arguments: argparse.Namespace, lattice: ising.Ising) -> tuple[results.Study, bool]:
    """All temperatures, and whether Ctrl-C cut them short: what is done by then is kept."""
    print(f"{lattice}, {arguments.hidden} hidden units, device {arguments.device}, seed {arguments.seed}")
    if lattice.n_sites > MOST_LISTED_UNITS:
        print(f"{lattice.n_sites} sites are too many to list all states ({MOST_LISTED_UNITS}): no KL(truth || model)")
    if min(lattice.n_sites, arguments.hidden) > MOST_EXACT_UNITS:
        print(f"the smaller layer has more than {MOST_EXACT_UNITS} units: training by contrastive divergence alone")
    done, interrupted = until_interrupted(
        lambda k: run_one(arguments, lattice, k), len(arguments.temperature), lambda result: result[1].interrupted
    )
    data, trained, exact, tables = zip(*done, strict=True)
    study = results.Study(
        temperatures=tuple(arguments.temperature[: len(done)]),
        lattice=lattice,
        samples=() if arguments.data else data,
        models=tuple(one.model for one in trained),
        trained=trained,
        exact=evaluation.columns(exact),
        observables=evaluation.columns(tables),
    )
    return study, interrupted


def run_one(arguments: argparse.Namespace, lattice: ising.Ising, k: int) -> tuple:
    """Generate or read data, train and evaluate at temperature number k."""
    temperature = arguments.temperature[k]
    seeds = [rng.derive(arguments.seed, 10 * k + part) for part in range(4)]
    enumerable = lattice.n_sites <= MOST_LISTED_UNITS
    truth = ising.exact.probabilities(lattice, temperature, arguments.device) if enumerable else None
    if arguments.data:
        data = read_data(arguments.data[k], lattice)
    else:
        data = draw_data(lattice, temperature, TRAINING_DRAWS, seeds[0], arguments.device)
    test = draw_data(lattice, temperature, 1, seeds[1], arguments.device).states.reshape(-1, lattice.n_sites)
    v = np.asarray(getattr(data, "states", data)).reshape(-1, lattice.n_sites)
    trained = train(v, truth, arguments, seeds[2])
    # Starting from the data, the chains only have to relax from the data's distribution to the model's.
    starts = v[:: max(1, len(v) // N_CHAINS)][:N_CHAINS]
    samples = rbm.sample(
        trained.model, n_chains=len(starts), n_draws=MODEL_DRAWS, thin=5, burn_in=500, initial=starts, seed=seeds[3],
        device=arguments.device,
    )  # fmt: skip
    exact, table = evaluation.evaluate(trained.model, lattice, temperature, data, samples, test, arguments.device)
    words = f"KL(truth || model) = {exact['kl_divergence']:.5f} nats" if enumerable else "trained"
    print(f"T = {temperature:g}: {words}", flush=True)
    return data, trained, exact, table


if __name__ == "__main__":
    raise SystemExit(main())
