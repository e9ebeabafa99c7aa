"""The `mcgen` command.

Numbers go to standard output, progress to standard error. A bad argument, file or size ends with one line that names
the value, the limit and the way out, and exit status 2. Rooms are imported inside the commands: `mcgen --help` is
quick.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from mcgen.errors import InputError, McgenError
from mcgen.progress import until_interrupted


class _Parser(argparse.ArgumentParser):
    """One line for each error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults in the help, but for those that say nothing."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `mcgen` command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, 2 after an error that a message explains, 130 after Ctrl-C.

    Examples
    --------
    >>> from mcgen.cli import main
    >>> main(["ising", "exact", "--shape", "2", "2", "--temperature", "2.0"])
    T = 2, by enumeration
    log Z                          4.7977137475
    free energy per site          -2.3988568737
    energy per site               -1.8008253628
    heat capacity per site         0.3610959875
    entropy per site               0.2990157554
    |magnetization| per site       0.9337091730
    susceptibility per site        1.8344240106
    0
    """
    arguments = parser().parse_args(argv)
    warnings.showwarning = _show_warning
    try:
        return arguments.run(arguments) or 0
    except McgenError as error:
        print(f"mcgen: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"mcgen: {str(interrupt) or 'interrupted; nothing was written'}", file=sys.stderr)
        return 130


def _show_warning(message: Warning, *_: object, **__: object) -> None:
    print(f"mcgen: warning: {message}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    top = _Parser(prog="mcgen", description="Monte Carlo for physics, checked against exact partition functions.")
    rooms = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    ising = rooms.add_parser("ising", help="Ising lattices: sample, exact").add_subparsers(
        required=True, metavar="WHAT"
    )
    command = _command(
        ising, "sample", _ising_sample, "Draw spin states by Monte Carlo.",
        "mcgen ising sample --shape 8 8 --temperature 1.8 2.269 3.0 --seed 7 --output ising.h5",
    )  # fmt: skip
    _lattice(command)
    _sampling(command, chains=128, draws=200, thin=10, burn_in=500, methods=("metropolis", "heatbath"))
    _output(command)
    command = _command(
        ising, "exact", _ising_exact, "Print exact thermodynamics, by the quickest method that can.",
        "mcgen ising exact --shape 8 8 --temperature 2.269",
    )  # fmt: skip
    _lattice(command)
    command.add_argument("--method", default="auto", help="auto, enumeration, transfer or kaufman")
    _checkpoint(command, "mcgen-ising-exact.checkpoint")
    _device(command)

    rbm = rooms.add_parser("rbm", help="restricted Boltzmann machines: train, sample, exact")
    rbm = rbm.add_subparsers(required=True, metavar="WHAT")
    command = _command(
        rbm, "train", _rbm_train, "Train a model on samples, one for each temperature in the file.",
        "mcgen rbm train --data ising.h5 --hidden 64 --epochs 50 --seed 1 --output rbm.h5",
    )  # fmt: skip
    _training(command)
    _output(command)
    command = _command(
        rbm, "sample", _rbm_sample, "Draw visible states from trained models.",
        "mcgen rbm sample rbm.h5 --chains 256 --draws 100 --seed 2 --output samples.h5",
    )  # fmt: skip
    command.add_argument("file", help="HDF5 file with models")
    _sampling(command, chains=256, draws=100, thin=5, burn_in=500, methods=("gibbs", "metropolis"))
    _output(command)
    command = _command(
        rbm, "exact", _rbm_exact, "Print the exact log Z of trained models, and KL to the truth where it is known.",
        "mcgen rbm exact rbm.h5",
    )  # fmt: skip
    command.add_argument("file", help="HDF5 file with models")
    _checkpoint(command, None)
    _device(command)

    command = _command(
        rooms, "report", _report, "Draw figures of trained models.", "mcgen report rbm.h5 --output report.png"
    )
    command.add_argument("file", help="HDF5 file with trained models")
    _output(command)
    _command(rooms, "info", _info, "Print versions, devices and libraries.", "mcgen info")
    return top


def _command(where: argparse._SubParsersAction, name: str, run: Callable, words: str, example: str) -> _Parser:
    command = where.add_parser(
        name,
        help=words,
        description=words,
        epilog=f"example: {example}",
        formatter_class=_Help,
    )
    command.set_defaults(run=run)
    return command


def _lattice(command: _Parser) -> None:
    command.add_argument("--shape", type=int, nargs="+", required=True, metavar="L", help="sites along each axis")
    command.add_argument("--temperature", type=float, nargs="+", required=True, metavar="T", help="k_B = 1")
    command.add_argument("--coupling", type=float, default=1.0, help="J, positive is ferromagnetic")
    command.add_argument("--field", type=float, default=0.0, help="B")
    command.add_argument("--open", action="store_true", help="open boundaries instead of periodic ones")


def _checkpoint(command: _Parser, default: str | None) -> None:
    words = "where Ctrl-C leaves a long sum, and where the same command goes on from"
    command.add_argument("--checkpoint", default=default, help=words + (" (default: FILE.checkpoint)" * (not default)))


def _one_of(path: str, k: int, n: int) -> str:
    """The name of part k of n: numbered if there are several."""
    return path if n == 1 else f"{path}-{k + 1}"


def _device(command: _Parser) -> None:
    command.add_argument("--device", default="cpu", help="cpu or cuda")


def _sampling(command: _Parser, chains: int, draws: int, thin: int, burn_in: int, methods: tuple[str, ...]) -> None:
    command.add_argument("--chains", type=int, default=chains, help="independent Markov chains")
    command.add_argument("--draws", type=int, default=draws, help="states kept of each chain")
    command.add_argument("--thin", type=int, default=thin, help="sweeps between kept states")
    command.add_argument("--burn-in", type=int, default=burn_in, help="sweeps before the first kept state")
    command.add_argument("--method", default=methods[0], help=" or ".join(methods))
    command.add_argument("--seed", type=int, default=0, help="0 to 2**64 - 1")
    _device(command)


def _training(command: _Parser) -> None:
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
    _device(command)


def _output(command: _Parser) -> None:
    command.add_argument("--output", required=True, help="file to write")
    command.add_argument("--overwrite", action="store_true", help="replace the output if it exists")


def _configuration(arguments: argparse.Namespace) -> dict:
    return {name: value for name, value in vars(arguments).items() if name != "run"}


def _ising_sample(arguments: argparse.Namespace) -> int:
    from mcgen import ising, observables, results, rng

    results.check_output(arguments.output, arguments.overwrite)
    lattice = ising.Ising(arguments.shape, arguments.coupling, arguments.field, not arguments.open)

    def draw(k: int) -> ising.Samples:
        temperature = arguments.temperature[k]
        run = ising.sample(
            lattice,
            temperature,
            seed=rng.derive(arguments.seed, k),
            **_sampling_settings(arguments),
        )
        print(f"T = {temperature:g}: {_per_site(observables.summary(run, lattice, temperature), lattice.n_sites)}")
        return run

    runs, interrupted = until_interrupted(draw, len(arguments.temperature))
    study = results.Study(tuple(arguments.temperature[: len(runs)]), lattice, samples=tuple(runs))
    status = "interrupted" if interrupted else "complete"
    path = results.save(arguments.output, study, arguments.overwrite, _configuration(arguments), status)
    print(f"wrote {path}" + f", interrupted: {len(runs)} of {len(arguments.temperature)} temperatures" * interrupted)
    return 130 if interrupted else 0


def _sampling_settings(arguments: argparse.Namespace) -> dict:
    """What both `sample` functions take, but for the seed."""
    return {
        "n_chains": arguments.chains,
        "n_draws": arguments.draws,
        "thin": arguments.thin,
        "burn_in": arguments.burn_in,
        "method": arguments.method,
        "device": arguments.device,
        "progress": True,
    }


def _per_site(summary: dict, n_sites: int) -> str:
    words = (("energy", "energy"), ("abs_magnetization", "|magnetization|"), ("heat_capacity", "heat capacity"))
    return ", ".join(f"{word} {summary[name].scaled(1 / n_sites)}" for name, word in words) + " per site"


def _ising_exact(arguments: argparse.Namespace) -> None:
    from mcgen import ising

    lattice = ising.Ising(arguments.shape, arguments.coupling, arguments.field, not arguments.open)
    for k, temperature in enumerate(arguments.temperature):
        checkpoint = _one_of(arguments.checkpoint, k, len(arguments.temperature))
        thermo = ising.exact.thermodynamics(
            lattice, temperature, arguments.device, arguments.method, progress=True, checkpoint=checkpoint
        )
        print(f"T = {temperature:g}, by {thermo.method}")
        print(f"{'log Z':26} {thermo.log_partition:16.10f}")
        for name in ("free_energy", "energy", "heat_capacity", "entropy", "abs_magnetization", "susceptibility"):
            words = name.replace("abs_magnetization", "|magnetization|").replace("_", " ") + " per site"
            value = getattr(thermo, name) / lattice.n_sites
            print(f"{words:26} {value:16.10f}" if value == value else f"{words:26} not given by this method")


def _rbm_train(arguments: argparse.Namespace) -> int:
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
    path = results.save(arguments.output, study, arguments.overwrite, _configuration(arguments), status)
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
    print(f"  states of the model: {_per_site(summary, lattice.n_sites)}")
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


def _rbm_sample(arguments: argparse.Namespace) -> int:
    from mcgen import observables, rbm, results, rng, stats

    results.check_output(arguments.output, arguments.overwrite)
    study, temperatures = _models(arguments.file)

    def draw(k: int) -> rbm.Samples:
        temperature, model = temperatures[k], study.models[k]
        run = rbm.sample(model, seed=rng.derive(arguments.seed, k), **_sampling_settings(arguments))
        label = "" if temperature is None else f"T = {temperature:g}: "
        if study.lattice is not None and temperature is not None:
            print(label + _per_site(observables.summary(run, study.lattice, temperature), study.lattice.n_sites))
        else:
            print(f"{label}free energy {stats.mean(run.free_energy)}")
        return run

    runs, interrupted = until_interrupted(draw, len(study.models))
    count = len(runs)
    whole = results.Study(study.temperatures[:count], study.lattice, tuple(runs), study.models[:count])
    status = "interrupted" if interrupted else "complete"
    path = results.save(arguments.output, whole, arguments.overwrite, _configuration(arguments), status)
    print(f"wrote {path}" + f", interrupted: {count} of {len(study.models)} models" * interrupted)
    return 130 if interrupted else 0


def _rbm_exact(arguments: argparse.Namespace) -> None:
    from mcgen import enumeration, rbm

    study, temperatures = _models(arguments.file)
    base = arguments.checkpoint or f"{arguments.file}.checkpoint"
    for k, (temperature, model) in enumerate(zip(temperatures, study.models, strict=True)):
        checkpoint = _one_of(base, k, len(temperatures))
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


def _report(arguments: argparse.Namespace) -> None:
    from mcgen import report

    print(f"wrote {report.report(arguments.file, arguments.output, arguments.overwrite)}")


def _info(arguments: argparse.Namespace) -> None:
    from mcgen import info

    print(info.describe())


if __name__ == "__main__":
    raise SystemExit(main())
