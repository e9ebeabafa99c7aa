"""`mcgen rbm`: train, sample and sum restricted Boltzmann machines."""

import argparse
import math
from collections.abc import Callable, Sequence

from mcgen import interruption
from mcgen.cli import logz, rbm_evaluate, training
from mcgen.cli.arguments import (
    NO_SETTINGS,
    check_sampling,
    checkpoint_argument,
    command,
    configuration,
    device_argument,
    exchange_lines,
    one_of,
    output_arguments,
    per_site,
    refuse_unless,
    sampling_arguments,
    sampling_settings,
    survival_arguments,
    time_limit_argument,
)
from mcgen.cli.ising import draw
from mcgen.cli.ranks import draw_in_parts, finish_together
from mcgen.errors import FileError, InputError

METHODS = ("gibbs", "metropolis", "tempering", "exact")


def add_commands(rooms: argparse._SubParsersAction) -> None:
    """Add `mcgen rbm` to the parser."""
    rbm = rooms.add_parser("rbm", help="restricted Boltzmann machines: train, sample, exact, logz, evaluate")
    rbm = rbm.add_subparsers(required=True, metavar="WHAT")
    training.add_command(rbm)
    sample = command(
        rbm, "sample", _sample, "Draw visible states from trained models.",
        "mcgen rbm sample rbm.h5 --chains 256 --draws 100 --seed 2 --output samples.h5", _check_sample,
    )  # fmt: skip
    sample.add_argument("file", help="HDF5 file with models")
    sampling_arguments(sample, chains=256, draws=100, thin=5, burn_in=500, methods=METHODS)
    add = sample.add_argument
    add("--proposal", default=None, help="of metropolis: flip, exchange or block (default: flip)")
    add("--block-size", type=int, default=None, help="units that a block proposal changes (default: 4)")
    words = "of tempering: inverse temperatures up to 1, between which more are added (default: 0 1)"
    add("--ladder", type=float, nargs="+", default=None, metavar="BETA", help=words)
    words = "hold visible units at values: the others are drawn given these"
    add("--clamp", nargs="+", default=None, metavar="UNIT=VALUE", help=words)
    output_arguments(sample)
    survival_arguments(sample, swmr=True)
    sample.set_defaults(in_parts=True)
    exact = command(
        rbm, "exact", _exact, "Print the exact log Z of trained models, and KL to the truth where it is known.",
        "mcgen rbm exact rbm.h5",
    )  # fmt: skip
    exact.add_argument("file", help="HDF5 file with models")
    checkpoint_argument(exact, None)
    time_limit_argument(exact)
    exact.set_defaults(in_parts=True)
    device_argument(exact)
    logz.add_command(rbm, _models)
    rbm_evaluate.add_command(rbm, _models)


def _models(path: str) -> tuple:
    from mcgen import rbm, results
    from mcgen.errors import FileError

    study = results.load_study(path)
    if not study.models:
        raise FileError(f"{path} holds no models; give a file written by 'mcgen rbm train'")
    if not isinstance(study.models[0], rbm.RBM):
        raise FileError(
            f"{path} holds a {type(study.models[0]).__name__}, no RBM; give a file written by 'mcgen rbm train'"
        )
    return study, study.temperatures or (None,) * len(study.models)


def _check_sample(arguments: argparse.Namespace) -> None:
    from mcgen import checks
    from mcgen.rbm.sampling import PROPOSALS

    check_sampling(arguments, METHODS)
    _settings(arguments)
    if arguments.proposal is not None:
        checks.choice("proposal", arguments.proposal, PROPOSALS)


def _sample(arguments: argparse.Namespace) -> int:
    from mcgen import long_sums, parallel, rbm, results, rng

    settings = _settings(arguments)
    study, temperatures = _models(arguments.file)
    world = parallel.world()
    n_models = len(study.models)
    remembered = configuration(arguments)
    remembered["models"] = long_sums.fingerprint(*(array for model in study.models for array in model.parameters))
    if world.size > 1:
        return _sample_in_parts(arguments, remembered, study, temperatures, settings, world)
    results.check_ranks(arguments.output, remembered, 1, arguments.overwrite)
    file = stopped = None
    try:
        with results.stream_samples(
            arguments.output, arguments.draws, n_models, arguments.overwrite, remembered,
            checkpoint_every=arguments.checkpoint_every, resume=arguments.resume, not_settings=NO_SETTINGS,
            swmr=arguments.swmr,
            beside=results.Study(study.temperatures, study.lattice),
        ) as file:  # fmt: skip
            for run, temperature in zip(file.earlier, temperatures, strict=False):
                _report(arguments, run, temperature)
            for k in range(file.n_complete, n_models):
                own = rng.derive(arguments.seed, k)
                draw(file, rbm.stream(study.models[k], seed=own, **settings, resume=file.state))
                _report(arguments, file.runs[0], temperatures[k])
    except (KeyboardInterrupt, FileError) as caught:
        if file is None or file.kept == (0, 0):
            raise
        # After the last draw there is nothing to stop.
        if isinstance(caught, FileError) or file.kept != (n_models, arguments.draws):
            stopped = caught
    n_done, n_draws = file.kept
    _report_lattice(arguments.output, study, n_done)
    missing = f"{n_done} of {n_models} models" + f", {n_draws} of {arguments.draws} draws" * (n_draws < arguments.draws)
    print(f"wrote {arguments.output}" + f", interrupted: {missing}" * (stopped is not None))
    if isinstance(stopped, FileError):
        raise stopped
    return interruption.exit_status() if stopped else 0


def _sample_in_parts(
    arguments: argparse.Namespace,
    remembered: dict,
    study,  # noqa: ANN001
    temperatures: tuple,
    settings: dict,
    world,  # noqa: ANN001
) -> int:
    """The same on several ranks, each of which writes the models and chains that are its own."""
    from mcgen import rbm, results, rng

    def draw_part(opened: Callable, entries: slice, column) -> None:  # noqa: ANN001
        own = settings | {"world": column, "progress": world.rank == 0}
        with opened(beside=results.Study(study.temperatures[entries], study.lattice)) as file:
            for k in range(entries.start + file.n_complete, entries.stop):
                seed = rng.derive(arguments.seed, k)
                draw(file, rbm.stream(study.models[k], seed=seed, **own, resume=file.state))
            finish_together(file, column)

    is_shared = arguments.method in rbm.sampling.SHARED and arguments.clamp is None
    together = 1 if is_shared else arguments.chains
    status = draw_in_parts(arguments, remembered, world, len(study.models), together, draw_part)
    if world.rank == 0 and status == 0:
        runs = results.load_study(arguments.output, keep_states=False).samples
        for run, temperature in zip(runs, temperatures, strict=True):
            _report(arguments, run, temperature)
        _report_lattice(arguments.output, study, len(runs))
    return status


def _settings(arguments: argparse.Namespace) -> dict:
    """What `rbm.sample` takes, but for the model and the seed."""
    settings = sampling_settings(arguments)
    refuse_unless(arguments, ("proposal", "block_size"), "method", "metropolis")
    refuse_unless(arguments, ("block_size",), "proposal", "block")
    refuse_unless(arguments, ("ladder",), "method", "tempering")
    for name in ("proposal", "block_size", "ladder"):
        if getattr(arguments, name) is not None:
            settings[name] = getattr(arguments, name)
    if arguments.clamp is not None:
        settings["clamped_units"], settings["clamped_values"] = _clamped(arguments.clamp)
    return settings


def _clamped(pairs: Sequence[str]) -> tuple[list[int], list[float]]:
    """Units and values from words such as 0=1."""
    units, values = [], []
    for pair in pairs:
        unit, _, value = pair.partition("=")
        try:
            units.append(int(unit))
            values.append(float(value))
        except ValueError:
            raise InputError(
                f"--clamp {pair} is no unit with its value; write the number of a visible unit, =, and its state: 0=1"
            ) from None
    return units, values


def _report(arguments: argparse.Namespace, run, temperature: float | None) -> None:  # noqa: ANN001
    """Print what a person asks of the draws of a model; warn where they are not to be trusted."""
    from mcgen.rbm.sampling import warn_of_bad_draws

    warn_of_bad_draws(run)
    label = f"{arguments.file}, " if temperature is None else f"T = {temperature:g}, "
    kernel = f", kernel {run.kernel}" * bool(run.kernel)
    n_chains, n_draws = run.free_energy.shape
    print(f"{label}method {run.method}{kernel}: {n_chains} chains of {n_draws} draws")
    print("\n".join(_table(run)))


def _report_lattice(path: str, study, n_models: int) -> None:  # noqa: ANN001
    """Print observables of the states of the first models in a file, which may be more than fit into memory."""
    from types import SimpleNamespace

    from mcgen import evaluation, observables, results

    lattice = study.lattice
    for k, temperature in enumerate(study.temperatures[:n_models]):
        if evaluation.has_spins(study.models[k], lattice):
            energy, magnetization = results.lattice_series(path, k, lattice)
            series = SimpleNamespace(lattice=lattice, energy=energy, magnetization=magnetization)
            summary = observables.summary(series, lattice, temperature)
            print(f"T = {temperature:g}: {per_site(summary, lattice.n_sites)}")


def _table(run) -> list[str]:  # noqa: ANN001 - the rooms are imported late
    """What a person asks of draws before believing them, in aligned lines."""
    cells = [("", "mean(error)", "R-hat", "tau", "ESS")]
    for name, diagnosis in run.diagnostics.items():
        numbers = (
            f"{value:{digits}}" if math.isfinite(value) else "-"
            for value, digits in (
                (diagnosis.split_r_hat, ".3f"),
                (diagnosis.estimate.autocorrelation_time, ".2f"),
                (diagnosis.estimate.effective_sample_size, ".0f"),
            )
        )
        cells.append((name.replace("_", " "), str(diagnosis.estimate), *numbers))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f"  {first:{widths[0]}}" for first, *_ in cells]
    for k, row in enumerate(cells):
        lines[k] += "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
    if math.isfinite(run.acceptance_rate):
        lines.append(f"  acceptance rate {run.acceptance_rate:.3f}")
    exchange = run.exchange
    if exchange is not None:
        of_exchange = exchange_lines("inverse temperatures", "beta", exchange.betas, exchange, len(run.states))
        lines += [f"  {line}" for line in of_exchange]
    return lines


def _exact(arguments: argparse.Namespace) -> None:
    from mcgen import enumeration, evaluation, parallel, rbm

    world = parallel.world()
    study, temperatures = _models(arguments.file)
    base = arguments.checkpoint or f"{arguments.file}.checkpoint"
    for k, (temperature, model) in enumerate(zip(temperatures, study.models, strict=True)):
        checkpoint = one_of(base, k, len(temperatures))
        words = [] if temperature is None else [f"T = {temperature:g}"]
        shown = world.rank == 0
        log_z = rbm.exact.log_partition(model, arguments.device, progress=shown, checkpoint=checkpoint, world=world)
        words.append(f"log Z {log_z:.10f}")
        if temperature is not None and study.lattice is not None:
            if not evaluation.has_spins(model, study.lattice):
                words.append(f"KL not summed: {model.visible.name} units are no spins of the lattice")
            elif study.lattice.n_sites <= enumeration.MOST_LISTED_UNITS:
                truth = training.truth(study.lattice, temperature)
                words.append(f"KL(truth || model) {rbm.exact.kl_divergence(truth, model, arguments.device):.6f} nats")
            else:
                words.append(f"KL not summed: {study.lattice.n_sites} sites, at most {enumeration.MOST_LISTED_UNITS}")
        print(", ".join(words))
