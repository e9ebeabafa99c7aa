"""`mcgen vae train`: from samples to variational autoencoders, and how right they are."""

import argparse
from collections.abc import Callable

from mcgen import interruption
from mcgen.cli.arguments import NO_SETTINGS, Parser, command, configuration, output_arguments, survival_arguments
from mcgen.cli.training import pick_temperature
from mcgen.cli.vae_models import Entry, bound_columns, observable_lines, thinned
from mcgen.errors import DivergenceError, InputError

DECODERS = ("spin", "bernoulli", "gaussian")

# What `vae.train` takes under the same name.
OF_TRAIN = {
    "epochs": (int, 20, "passes through the data"),
    "batch-size": (int, 128, "rows for each step"),
    "learning-rate": (float, 1e-3, "at the first epoch"),
    "final-learning-rate": (float, None, "at the last epoch, with a geometric change between (default: constant)"),
    "optimizer": (str, "adam", "adam or sgd"),
    "objective": (str, "elbo", "elbo, or importance: the importance-weighted bound"),
    "beta": (float, 1.0, "weight of the KL divergence in the ELBO"),
    "warm-up": (int, 0, "epochs over which beta grows from 0"),
    "free-bits": (float, 0.0, "nats of the KL divergence of each latent that cost nothing"),
    "clip": (float, None, "largest norm of the gradient (default: any)"),
    "patience": (int, None, "epochs without a better validation bound after which training stops, with the best model"),
}
# Periodic convolutions of 3 x 3 sites in steps of 2.
FILTERS = (16, 32)
# Quadrature takes a second for two latents.
LATENTS_AT_ONCE = 2
# Of each model, for its observables.
DRAWS = 10_000
# Seeds of one model: first weights, training, draws, and which rows are kept apart.
PARTS = 4


def add_command(vae: argparse._SubParsersAction) -> None:
    """Add `mcgen vae train` to the parser."""
    train = command(
        vae, "train", _train, "Train a variational autoencoder on samples, one for each temperature in the file.",
        "mcgen vae train --data ising.h5 --latent 8 --epochs 20 --seed 1 --output vae.h5", _check,
    )  # fmt: skip
    _arguments(train)
    output_arguments(train)
    survival_arguments(train, from_file=True)


def _arguments(command: Parser) -> None:
    add = command.add_argument
    add("--data", required=True, help="HDF5 file of samples, or a text or .npy file with rows of numbers")
    add("--latent", type=int, required=True, help="latent variables")
    add("--hidden", type=int, nargs="*", default=[128, 128], metavar="N", help="widths of the encoder's hidden layers")
    add(
        "--decoder",
        default=None,
        help="spin, bernoulli or gaussian (default: spin for -1 and 1, bernoulli for 0 and 1)",
    )
    add("--activation", default="relu", help="relu, leaky-relu, tanh, sigmoid, softplus or linear")
    add("--convolutional", action="store_true", help="periodic convolutions before the hidden layers, for 2D lattices")
    words = f"filters of each convolution, which halves the lattice (default: {FILTERS[0]} {FILTERS[1]})"
    add("--filters", type=int, nargs="+", default=None, metavar="N", help=words)
    add("--dtype", default="float32", help="float32 or float64")
    add("--temperature", type=float, default=None, help="train only on this one of the file's temperatures")
    add(
        "--conditional",
        action="store_true",
        help="one model of all temperatures, with the temperature as its condition",
    )
    add("--validation", type=float, default=0.1, help="fraction of the rows that are kept apart, to validate")
    add("--draws-per-row", type=int, default=1, help="draws of the latent variables for each row and step")
    for name, (kind, default, words) in OF_TRAIN.items():
        add(f"--{name}", type=kind, default=default, help=words)
    add("--seed", type=int, default=0, help="0 to 2**64 - 1")


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that are wrong, or would be without effect."""
    from mcgen import checks
    from mcgen.vae.layers.activation import CODES
    from mcgen.vae.training import OBJECTIVES

    checks.integer("--latent", arguments.latent, 1)
    words = {"activation": tuple(CODES), "objective": OBJECTIVES, "optimizer": ("adam", "sgd")}
    for name, choices in (words | {"dtype": ("float32", "float64")}).items():
        checks.choice(f"--{name}", getattr(arguments, name), choices)
    checks.fraction("--validation", arguments.validation)
    if arguments.decoder is not None:
        checks.choice("--decoder", arguments.decoder, DECODERS)
    if arguments.filters and not arguments.convolutional:
        raise InputError(
            f"--filters {' '.join(map(str, arguments.filters))} is for --convolutional; give both, or none"
        )


def _train(arguments: argparse.Namespace) -> int:
    from mcgen import evaluation, long_sums, results

    # Shades of grey are data of Bernoulli decoders too.
    tables = results.load_rows(arguments.data, arguments.decoder in ("bernoulli", "gaussian"))
    tables = pick_temperature(tables, arguments)
    temperatures = tuple(table[0] for table in tables if table[0] is not None)
    jobs = [tables] if arguments.conditional else [[table] for table in tables]
    fits: list = []  # those that are complete, and the one that is not

    def study(exact: tuple = (), columns: tuple = ()) -> results.Study:
        return results.Study(
            temperatures if arguments.conditional else temperatures[: len(fits)],
            tables[0][2],
            models=tuple(fit.model for fit in fits),
            trained=tuple(fits),
            exact=evaluation.columns(exact),
            observables=evaluation.columns(columns),
        )

    remembered = configuration(arguments) | {"data_digest": long_sums.fingerprint(*(table[1] for table in tables))}
    resume = arguments.resume is True
    with results.kept_trainings(
        arguments.output, remembered, NO_SETTINGS, arguments.overwrite, resume, arguments.checkpoint_every
    ) as kept:
        earlier = _earlier(kept.earlier, arguments.output, temperatures)
        if isinstance(arguments.resume, str):
            earlier = _earlier(results.load_study(arguments.resume), arguments.resume, temperatures)
        done, stopped = [], None
        for k, job in enumerate(jobs):

            def keep(so_far: Callable, k: int = k) -> None:
                def known() -> results.Study:
                    fits[k:] = [so_far()]
                    return study()

                kept.checkpoint(known)

            try:
                done.append(_train_one(arguments, job, k, earlier, keep))
            except (KeyboardInterrupt, DivergenceError) as caught:
                stopped = caught
                if getattr(caught, "last_good", None) is not None:
                    done.append((caught.last_good, []))
            fits[k:] = [done[k][0]] if len(done) > k else fits[k:]
            if stopped is None and not done[-1][1]:
                stopped = KeyboardInterrupt()
            if stopped is not None:
                break
        if not done:
            raise stopped
        so_far = study()
        del fits[len(done) :]
        exact, columns = zip(*(row for _, found in done for row in found or [({}, {})]), strict=True)
        path = kept.finish(study(exact, columns), stopped is not None, so_far)
    words = f", interrupted: {len(done)} of {len(jobs)} models, the last with {fits[-1].state.epoch} epochs"
    print(f"wrote {path}" + words * (stopped is not None))
    if isinstance(stopped, DivergenceError):
        raise stopped
    return interruption.exit_status() if stopped else 0


def _train_one(arguments: argparse.Namespace, tables: list, k: int, earlier: dict, keep: Callable) -> tuple:
    """Train one model and evaluate it at each of its temperatures: the Fit, and exact values and columns of each.

    keep is called after every epoch with a function that gives the Fit so far. After Ctrl-C during the evaluation there
    are no exact values and columns.
    """
    import numpy as np

    from mcgen import rng, vae
    from mcgen.results.rows import as_states

    seeds = [rng.derive(arguments.seed, PARTS * k + part) for part in range(PARTS)]
    kind = arguments.decoder or ("spin" if min(rows.min() for _, rows, _ in tables) < 0 else "bernoulli")
    x = np.concatenate([as_states(rows, kind) for _, rows, _ in tables])
    condition = np.repeat([table[0] for table in tables], [len(table[1]) for table in tables])[:, None]
    condition = condition.astype(float) if arguments.conditional else None
    net = _start(arguments, x.shape[1], tables, kind, seeds[0])
    resume = earlier.get(None if arguments.conditional else tables[0][0])
    if resume is not None:
        _check_same(net, resume)
    order = rng.permutation(seeds[3], rng.purpose.TRAINING_ORDER, len(x))
    n_kept = len(x) - round(arguments.validation * len(x))
    learn, judge = order[:n_kept], order[n_kept:]
    settings = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name in OF_TRAIN}
    settings |= {"n_draws": arguments.draws_per_row, "seed": seeds[1], "resume": resume, "progress": True}
    settings["checkpoint"] = keep
    if len(judge):
        settings["validation"] = x[judge]
        settings["validation_condition"] = None if condition is None else condition[judge]
    fit = vae.train(net, x[learn], condition=None if condition is None else condition[learn], **settings)
    print(_training_line(fit, None if arguments.conditional else tables[0][0]))
    if fit.interrupted:
        return fit, []
    try:
        return fit, [_evaluated(fit.model, table, kind, rng.derive(seeds[2], n)) for n, table in enumerate(tables)]
    except KeyboardInterrupt:
        return fit, []


def _start(arguments: argparse.Namespace, n_features: int, tables: list, kind: str, seed: int):  # noqa: ANN202
    """The model that training starts from."""
    import numpy as np

    from mcgen import vae

    settings = {"hidden": arguments.hidden, "n_latent": arguments.latent, "decoder": kind}
    settings |= {"activation": arguments.activation, "seed": seed, "dtype": arguments.dtype}
    if arguments.convolutional:
        settings["convolution"] = _convolution(arguments, tables[0][2])
    if not arguments.conditional:
        return vae.VAE(n_features, **settings)
    temperatures = np.array([table[0] for table in tables if table[0] is not None])
    if len(temperatures) < 2:
        raise InputError(
            f"--conditional needs data of several temperatures, and {arguments.data} has {len(temperatures)}; "
            "give such a file, or leave it out"
        )
    more = {"condition_offset": temperatures.mean(), "condition_scale": temperatures.std()}
    return vae.ConditionalVAE(n_features, 1, **settings, **more)


def _convolution(arguments: argparse.Namespace, lattice):  # noqa: ANN001, ANN202
    """Convolutions on the torus of the data."""
    from mcgen import vae

    if lattice is None or lattice.n_dims != 2 or not all(lattice.periodic):
        raise InputError(
            f"--convolutional needs data of a periodic lattice in two dimensions, and {arguments.data} has none; "
            "give samples of 'mcgen ising sample --shape L L', or leave it out"
        )
    filters = arguments.filters or list(FILTERS)
    smallest = 3 * 2 ** (len(filters) - 1)  # the last convolution takes 3 x 3 sites
    if min(lattice.shape) < smallest:
        raise InputError(
            f"{len(filters)} convolutions need a lattice of at least {smallest} x {smallest} sites, and that of "
            f"{arguments.data} has {lattice.shape[0]} x {lattice.shape[1]}; give fewer --filters"
        )
    return vae.Convolution((*lattice.shape, 1), tuple(filters), padding="periodic")


def _earlier(study, path: str, temperatures: tuple) -> dict:  # noqa: ANN001
    """The trainings to go on with, by temperature; that of a conditional model, or without temperatures, by None."""
    from mcgen import vae
    from mcgen.errors import FileError

    if not study.attributes:  # there is none
        return {}
    if not study.trained or not isinstance(study.trained[0], vae.Fit):
        raise FileError(f"{path} holds no training of a VAE; give a file written by 'mcgen vae train'")
    if isinstance(study.models[0], vae.ConditionalVAE) or not study.temperatures:
        return {None: study.trained[0]}
    unknown = [one for one in study.temperatures if one not in temperatures]
    if unknown:
        raise InputError(
            f"{path} has a model of T = {unknown[0]:g}, of which there is no data here; "
            "give the same --data and --temperature"
        )
    return dict(zip(study.temperatures, study.trained, strict=True))


def _check_same(net, resume) -> None:  # noqa: ANN001
    """Raise `InputError` if training cannot go on from there with this model."""
    from mcgen.results.study import check_alike, of_model

    check_alike("models of the command and of the training to go on with: models", [net, resume.model], of_model)


def _evaluated(net, table: tuple, kind: str, seed: int) -> tuple[dict, dict]:  # noqa: ANN001
    """Exact values and columns of one temperature, printed."""
    from mcgen import evaluation, vae
    from mcgen.results.rows import as_states

    temperature, rows, lattice = table
    conditional = isinstance(net, vae.ConditionalVAE)
    entry = Entry(temperature, net, [temperature] if conditional else None)
    columns, words = bound_columns(entry, thinned(as_states(rows, kind)), seed)
    if conditional:
        print(f"T = {temperature:g}: {words}")
    if temperature is None or not evaluation.has_spins(net, lattice):
        return {}, columns
    states = net.sample(DRAWS, seed, entry.condition)
    exact, of_lattice = evaluation.evaluate_vae(
        net, lattice, temperature, rows, states, entry.condition, n_importance=None, most_latents=LATENTS_AT_ONCE
    )
    if exact["kl_divergence"] == exact["kl_divergence"]:
        print(f"  exact KL(truth || model) {exact['kl_divergence']:.5f} nats")
    print("\n".join(observable_lines(of_lattice, lattice.n_sites, ("truth", "data", "model"))))
    return exact, columns | of_lattice


def _training_line(fit, temperature: float | None) -> str:  # noqa: ANN001
    last = {name: column[-1] for name, column in fit.history.items()}
    label = "" if temperature is None else f"T = {temperature:g}: "
    words = f"{label}{int(last['epoch'])} epochs, bound {last['bound']:.5g}"
    if last["validation_bound"] == last["validation_bound"]:
        words += f" (of validation rows {last['validation_bound']:.5g})"
    words += f", reconstruction {last['reconstruction']:.5g}, KL {last['kl']:.4g} nats"
    return words + f", {int(last['active_units'])} of {fit.model.n_latent} latents active"
