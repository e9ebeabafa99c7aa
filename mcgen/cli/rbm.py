"""`mcgen rbm`: train, sample and sum restricted Boltzmann machines."""

import argparse

from mcgen.cli.arguments import (
    Parser,
    checkpoint_argument,
    command,
    configuration,
    device_argument,
    one_of,
    output_arguments,
    per_site,
    sampling_arguments,
    sampling_settings,
)
from mcgen.errors import InputError
from mcgen.progress import until_interrupted


def add_commands(rooms: argparse._SubParsersAction) -> None:
    """Add `mcgen rbm` to the parser."""
    rbm = rooms.add_parser("rbm", help="restricted Boltzmann machines: train, sample, exact")
    rbm = rbm.add_subparsers(required=True, metavar="WHAT")
    train = command(
        rbm, "train", _train, "Train a model on samples, one for each temperature in the file.",
        "mcgen rbm train --data ising.h5 --hidden 64 --epochs 50 --seed 1 --output rbm.h5",
    )  # fmt: skip
    _training(train)
    output_arguments(train)
    sample = command(
        rbm, "sample", _sample, "Draw visible states from trained models.",
        "mcgen rbm sample rbm.h5 --chains 256 --draws 100 --seed 2 --output samples.h5",
    )  # fmt: skip
    sample.add_argument("file", help="HDF5 file with models")
    sampling_arguments(sample, chains=256, draws=100, thin=5, burn_in=500, methods=("gibbs", "metropolis"))
    output_arguments(sample)
    exact = command(
        rbm, "exact", _exact, "Print the exact log Z of trained models, and KL to the truth where it is known.",
        "mcgen rbm exact rbm.h5",
    )  # fmt: skip
    exact.add_argument("file", help="HDF5 file with models")
    checkpoint_argument(exact, None)
    device_argument(exact)


def _training(command: Parser) -> None:
    add = command.add_argument
    add("--data", required=True, help="HDF5 file of samples, or a text or .npy file with rows of 0 and 1")
    add("--hidden", type=int, required=True, help="hidden units")
    add("--temperature", type=float, default=None, help="train only on this one of the file's temperatures")
    add("--units", default=None, help="spin or bernoulli, both layers (default: spin for lattice data, else bernoulli)")
    add("--epochs", type=int, default=50, help="passes through the data")
    add("--negative-phase", default="cd", help="cd, pcd or exact")
    add("--gibbs-steps", type=int, default=10, help="the k of CD-k and PCD-k")
    add("--chains", type=int, default=512, help="Markov chains of PCD")
    add("--batch", type=int, default=128, help="rows for each step")
    add("--learning-rate", type=float, default=0.01, help="at the first epoch")
    add("--final-learning-rate", type=float, default=0.001, help="at the last epoch")
    add("--optimizer", default="adam", help="adam or sgd")
    add("--momentum", type=float, default=0.5, help="of sgd")
    add("--evaluate-every", type=int, default=None, help="epochs between exact evaluations (default: a tenth)")
    add("--seed", type=int, default=0, help="0 to 2**64 - 1")
    device_argument(command)


def _train(arguments: argparse.Namespace) -> int:
    from mcgen import evaluation, results, rng

    results.check_output(arguments.output, arguments.overwrite)
    tables = _pick_temperature(results.load_rows(arguments.data), arguments)
    lattice = tables[0][2]
    units = arguments.units or ("spin" if lattice is not None or (tables[0][1] < 0).any() else "bernoulli")

    def train(k: int) -> tuple:
        return _train_one(arguments, tables[k], units, [rng.derive(arguments.seed, 3 * k + part) for part in range(3)])

    done, interrupted = until_interrupted(train, len(tables), lambda result: result[0].interrupted)
    trained, exact, columns = zip(*done, strict=True)
    temperatures = tuple(table[0] for table in tables[: len(done)] if table[0] is not None)
    study = results.Study(
        temperatures,
        lattice,
        models=tuple(one.model for one in trained),
        trained=trained,
        exact=evaluation.columns(exact),
        observables=evaluation.columns(columns),
    )
    status = "interrupted" if interrupted else "complete"
    path = results.save(arguments.output, study, arguments.overwrite, configuration(arguments), status)
    epochs = f"{len(trained[-1].history['epoch'])} of {arguments.epochs} epochs"
    print(
        f"wrote {path}" + (f", interrupted: {len(done)} of {len(tables)} models, the last with {epochs}" * interrupted)
    )
    return 130 if interrupted else 0


def _train_one(arguments: argparse.Namespace, table: tuple, units: str, seeds: list[int]) -> tuple:
    """Train and evaluate at one temperature: the result of training, exact values and observables."""
    from mcgen import evaluation, observables, rbm

    temperature, rows, lattice = table
    v = _as_units(rows, units)
    trained = rbm.train(
        rbm.RBM.random(v.shape[1], arguments.hidden, seed=seeds[0], visible=units, hidden=units),
        v,
        negative_phase=arguments.negative_phase,
        gibbs_steps=arguments.gibbs_steps,
        n_chains=arguments.chains,
        epochs=arguments.epochs,
        batch_size=arguments.batch,
        learning_rate=arguments.learning_rate,
        final_learning_rate=arguments.final_learning_rate,
        optimizer=arguments.optimizer,
        momentum=arguments.momentum,
        seed=seeds[1],
        truth=_truth(lattice, temperature),
        evaluate_every=arguments.evaluate_every,
        device=arguments.device,
        progress=True,
    )
    print(_training_line(trained, temperature, units))
    if lattice is None or temperature is None:
        return trained, {}, {}
    starts = v[:: max(1, len(v) // 500)][:500]
    samples = rbm.sample(
        trained.model, n_chains=len(starts), n_draws=50, thin=5, burn_in=500, initial=starts, seed=seeds[2],
        device=arguments.device,
    )  # fmt: skip
    summary = observables.summary(samples, lattice, temperature)
    print(f"  states of the model: {per_site(summary, lattice.n_sites)}")
    return trained, *evaluation.evaluate(trained.model, lattice, temperature, rows, samples, device=arguments.device)


def _pick_temperature(tables: list, arguments: argparse.Namespace) -> list:
    if arguments.temperature is None:
        return tables
    picked = [table for table in tables if table[0] is not None and abs(table[0] - arguments.temperature) < 1e-9]
    if not picked:
        there = ", ".join(f"{table[0]:g}" for table in tables if table[0] is not None) or "none"
        raise InputError(
            f"--temperature {arguments.temperature:g} is not in {arguments.data}, which has: {there}; pick one of them"
        )
    return picked


def _as_units(rows, units: str):  # noqa: ANN001, ANN202 - NumPy is imported late
    """Rows of 0/1 or -1/+1 as states of the units."""
    if units == "spin" and rows.min() >= 0:
        return 2 * rows - 1
    if units == "bernoulli" and rows.min() < 0:
        return (rows + 1) // 2
    return rows


def _truth(lattice, temperature: float | None):  # noqa: ANN001, ANN202
    from mcgen import enumeration, ising

    if lattice is None or temperature is None or lattice.n_sites > enumeration.MOST_LISTED_UNITS:
        return None
    return ising.exact.probabilities(lattice, temperature)


def _training_line(trained, temperature: float | None, units: str) -> str:  # noqa: ANN001
    last = {name: column[-1] for name, column in trained.history.items()}
    label = "" if temperature is None else f"T = {temperature:g}: "
    words = (
        f"{label}{units} units, {int(last['epoch'])} epochs, reconstruction error {last['reconstruction_error']:.4g}"
    )
    if last["log_likelihood"] == last["log_likelihood"]:
        words += (
            f", exact log Z {last['log_partition']:.6f}, exact log-likelihood of the data {last['log_likelihood']:.5f}"
        )
        reference = trained.settings["kl_reference"]
        words += f", exact KL({reference} || model) {last['kl_divergence']:.5f} nats"
    else:
        words += ", too large for an exact log Z during training"
    return words


def _models(path: str) -> tuple:
    from mcgen import results
    from mcgen.errors import FileError

    study = results.load_study(path)
    if not study.models:
        raise FileError(f"{path} holds no models; give a file written by 'mcgen rbm train'")
    return study, study.temperatures or (None,) * len(study.models)


def _sample(arguments: argparse.Namespace) -> int:
    from mcgen import observables, rbm, results, rng, stats

    results.check_output(arguments.output, arguments.overwrite)
    study, temperatures = _models(arguments.file)

    def draw(k: int) -> rbm.Samples:
        temperature, model = temperatures[k], study.models[k]
        run = rbm.sample(model, seed=rng.derive(arguments.seed, k), **sampling_settings(arguments))
        label = "" if temperature is None else f"T = {temperature:g}: "
        if study.lattice is not None and temperature is not None:
            print(label + per_site(observables.summary(run, study.lattice, temperature), study.lattice.n_sites))
        else:
            print(f"{label}free energy {stats.mean(run.free_energy)}")
        return run

    runs, interrupted = until_interrupted(draw, len(study.models))
    count = len(runs)
    whole = results.Study(study.temperatures[:count], study.lattice, tuple(runs), study.models[:count])
    status = "interrupted" if interrupted else "complete"
    path = results.save(arguments.output, whole, arguments.overwrite, configuration(arguments), status)
    print(f"wrote {path}" + f", interrupted: {count} of {len(study.models)} models" * interrupted)
    return 130 if interrupted else 0


def _exact(arguments: argparse.Namespace) -> None:
    from mcgen import enumeration, rbm

    study, temperatures = _models(arguments.file)
    base = arguments.checkpoint or f"{arguments.file}.checkpoint"
    for k, (temperature, model) in enumerate(zip(temperatures, study.models, strict=True)):
        checkpoint = one_of(base, k, len(temperatures))
        words = [] if temperature is None else [f"T = {temperature:g}"]
        log_z = rbm.exact.log_partition(model, arguments.device, progress=True, checkpoint=checkpoint)
        words.append(f"log Z {log_z:.10f}")
        if study.lattice is not None and temperature is not None:
            if study.lattice.n_sites <= enumeration.MOST_LISTED_UNITS:
                truth = _truth(study.lattice, temperature)
                words.append(f"KL(truth || model) {rbm.exact.kl_divergence(truth, model, arguments.device):.6f} nats")
            else:
                words.append(f"KL not summed: {study.lattice.n_sites} sites, at most {enumeration.MOST_LISTED_UNITS}")
        print(", ".join(words))
