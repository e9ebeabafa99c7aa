"""`mcgen vae`: train variational autoencoders, draw from them, and say how right they are."""

import argparse

from mcgen import interruption
from mcgen.cli import vae_training
from mcgen.cli.arguments import command, configuration, output_arguments
from mcgen.cli.vae_models import (
    Entry,
    bound_columns,
    check_lattice,
    entries,
    observable_lines,
    thinned,
)
from mcgen.errors import InputError
from mcgen.progress import until_interrupted


def add_commands(rooms: argparse._SubParsersAction) -> None:
    """Add `mcgen vae` to the parser."""
    vae = rooms.add_parser("vae", help="variational autoencoders: train, sample, evaluate")
    vae = vae.add_subparsers(required=True, metavar="WHAT")
    vae_training.add_command(vae)
    sample = command(
        vae, "sample", _sample, "Draw independent configurations from trained models.",
        "mcgen vae sample vae.h5 --draws 1000 --seed 2 --output samples.h5", _check_sample,
    )  # fmt: skip
    sample.add_argument("file", help="HDF5 file with models")
    sample.add_argument("--draws", type=int, default=1000, help="configurations of each temperature")
    _temperatures(sample)
    sample.add_argument("--seed", type=int, default=0, help="0 to 2**64 - 1")
    output_arguments(sample)
    evaluate = command(
        vae, "evaluate", _evaluate, "Print bounds, divergences and observables of trained models beside exact values.",
        "mcgen vae evaluate vae.h5 --data ising.h5 --importance 500", _check_evaluate,
    )  # fmt: skip
    add = evaluate.add_argument
    add("file", help="HDF5 file with models")
    add("--data", required=True, help="HDF5 file of samples, or a text or .npy file with rows of numbers")
    add("--importance", type=int, default=500, help="draws for each row of the importance-weighted bound")
    add("--rows", type=int, default=500, help="rows that bounds are averaged over, evenly spread over the data")
    add("--draws", type=int, default=10_000, help="configurations generated for the observables")
    _temperatures(evaluate)
    add("--seed", type=int, default=0, help="0 to 2**64 - 1")


def _temperatures(parser: argparse.ArgumentParser) -> None:
    words = "only these; of a conditional model any (default: those of the file)"
    parser.add_argument("--temperature", type=float, nargs="+", default=None, metavar="T", help=words)


def _check_sample(arguments: argparse.Namespace) -> None:
    from mcgen import checks

    checks.integer("--draws", arguments.draws, 1)


def _sample(arguments: argparse.Namespace) -> int:
    from mcgen import evaluation, observables, results, rng

    results.check_output(arguments.output, arguments.overwrite)
    study, chosen = entries(arguments.file, arguments.temperature)

    def draw(k: int) -> results.Draws:
        entry, seed = chosen[k], rng.derive(arguments.seed, k)
        run = results.Draws(entry.net.sample(arguments.draws, seed, entry.condition)[None], seed, entry.temperature)
        print(f"{entry.label}{arguments.draws} independent draws")
        if entry.temperature is not None and evaluation.has_spins(entry.net, study.lattice):
            summary = observables.summary(run, study.lattice, entry.temperature)
            table = {f"{name}_model": one.value for name, one in summary.items()}
            table |= {f"{name}_model_error": one.error for name, one in summary.items()}
            table |= evaluation.exact_observables(study.lattice, entry.temperature)
            print("\n".join(observable_lines(table, study.lattice.n_sites, ("model", "truth"))))
        return run

    runs, interrupted = until_interrupted(draw, len(chosen))
    temperatures = tuple(run.temperature for run in runs if run.temperature is not None)
    whole = results.Study(temperatures, study.lattice, tuple(runs))
    status = "interrupted" if interrupted else "complete"
    path = results.save(arguments.output, whole, arguments.overwrite, configuration(arguments), status)
    print(f"wrote {path}" + f", interrupted: {len(runs)} of {len(chosen)} temperatures" * interrupted)
    return interruption.exit_status() if interrupted else 0


def _check_evaluate(arguments: argparse.Namespace) -> None:
    from mcgen import checks

    for name in ("importance", "rows", "draws"):
        checks.integer(f"--{name}", getattr(arguments, name), 2)


def _evaluate(arguments: argparse.Namespace) -> None:
    from mcgen import results, rng
    from mcgen.results.rows import as_states

    study, chosen = entries(arguments.file, arguments.temperature)
    kind = chosen[0].net.decoder_kind.name
    tables = results.load_rows(arguments.data, kind in ("bernoulli", "gaussian"))
    for k, entry in enumerate(chosen):
        rows, lattice = _data_of(arguments, tables, entry)
        lattice = lattice or study.lattice
        check_lattice(arguments, entry, rows)
        x = as_states(rows, kind)
        seeds = [rng.derive(arguments.seed, 4 * k + part) for part in range(4)]
        print(f"{entry.label}{len(rows)} rows, bounds of {len(thinned(x, arguments.rows))} of them")
        for line in (
            *_bounds(arguments, entry, thinned(x, arguments.rows), seeds[:2]),
            *_comparison(arguments, entry, rows, lattice, seeds[2:]),
            *_latents(entry, rows, x, lattice),
        ):
            print(line)


def _data_of(arguments: argparse.Namespace, tables: list, entry: Entry) -> tuple:
    """Rows and lattice of the temperature of a model."""
    from mcgen.results.study import in_words, place_of

    if entry.temperature is None or tables[0][0] is None:
        if len(tables) > 1:
            raise InputError(
                f"{arguments.data} has {len(tables)} temperatures, and the model of {arguments.file} "
                "none; give rows of one"
            )
        return tables[0][1:]
    known = [table[0] for table in tables]
    place = place_of(entry.temperature, known)
    if place is None:
        raise InputError(
            f"{arguments.data} has no rows of T = {entry.temperature:g}, only of {in_words(known)}; pick one of them "
            "with --temperature"
        )
    return tables[place][1:]


def _bounds(arguments: argparse.Namespace, entry: Entry, x, seeds: list[int]):  # noqa: ANN001, ANN202 - a generator
    """Bounds on log p(x), and how well rows are restored."""
    from mcgen import stats, vae

    yield "  " + bound_columns(entry, x, seeds[0])[1]
    found = vae.importance_estimate(entry.net, x, arguments.importance, entry.condition, seeds[1], progress=True)
    value = stats.mean_of_rows(found.value)
    yield (
        f"  importance-weighted bound {value} nats a row, {arguments.importance} draws of each, "
        f"median effective sample size {sorted(found.effective_sample_size)[len(x) // 2]:.0f}"
    )
    error = vae.reconstruction_error(entry.net, x, entry.condition)
    squared, entropy = (stats.mean_of_rows(one) for one in error)
    yield f"  reconstruction error {squared} squared, {entropy} nats, per feature"


def _comparison(arguments: argparse.Namespace, entry: Entry, rows, lattice, seeds: list[int]):  # noqa: ANN001, ANN202
    """The divergence from the truth, and observables beside each other."""
    from mcgen import evaluation, stats

    if entry.temperature is None or not evaluation.has_spins(entry.net, lattice):
        return
    states = entry.net.sample(arguments.draws, seeds[0], entry.condition)
    exact, table = evaluation.evaluate_vae(
        entry.net, lattice, entry.temperature, rows, states, entry.condition, arguments.importance, seed=seeds[1],
        progress=True,
    )  # fmt: skip
    kl = exact["kl_divergence"]
    if kl == kl:
        how = "exact, by quadrature" if exact["kl_by_quadrature"] else "estimated by importance sampling"
        yield f"  KL(truth || model) {stats.format_error(kl, exact['kl_divergence_error'])} nats, {how}"
    else:
        yield f"  KL(truth || model) not summed: {lattice.n_sites} sites, at most {evaluation.MOST_SITES_OF_VAE}"
    yield from observable_lines(table, lattice.n_sites, ("truth", "data", "model"))


def _latents(entry: Entry, rows, x, lattice):  # noqa: ANN001, ANN202
    """What the latents are correlated with."""
    import numpy as np

    from mcgen import evaluation, observables, stats, vae

    rows, x = thinned(rows), thinned(x)
    quantities = {"magnetization": x.sum(axis=1, dtype=np.float64)}
    if evaluation.has_spins(entry.net, lattice):
        quantities["energy"] = lattice.energy(observables.spins(rows, lattice))
    quantities = {name: values for name, values in quantities.items() if values.min() < values.max()}
    if len(x) < 3 or not quantities:
        return
    found = vae.correlations(entry.net, x, quantities, entry.condition)
    for k in range(entry.net.n_latent):
        words = [f"{name} {stats.format_error(one.value[k], one.error[k])}" for name, one in found.items()]
        yield f"  latent {k}: correlation with " + ", ".join(words)
