"""`mcgen rbm train`: from samples to models, and how right they are."""

import argparse
import contextlib
import sys
from collections.abc import Callable

from mcgen import interruption
from mcgen.cli.arguments import (
    NO_SETTINGS,
    Parser,
    command,
    configuration,
    device_argument,
    output_arguments,
    per_site,
    survival_arguments,
)
from mcgen.cli.ranks import in_step
from mcgen.cli.units import KINDS, is_real, unit_kind
from mcgen.errors import InputError
from mcgen.progress import until_interrupted

# Negative phases whose chains are shared out among ranks.
SHARED = ("cd", "pcd")
TRAINERS = ("sgd", "likelihood")
STARTS = ("random", "data", "low-rank")


def _gibbs_steps(word: str) -> int | str:
    if word == "auto":
        return word
    try:
        return int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word} is no number of sweeps; give an integer, or auto") from None


# What only stochastic gradients have.
OF_SGD = {
    "epochs": (int, 50, "passes through the data"),
    "negative-phase": (str, "cd", "cd, pcd, weighted, tempering, trajectory or exact"),
    "gibbs-steps": (_gibbs_steps, 10, "sweeps of a step, the k of CD-k and PCD-k; auto measures what chains need"),
    "chains": (int, 512, "persistent Markov chains"),
    "batch": (int, 128, "rows for each step"),
    "learning-rate": (float, 0.01, "at the first epoch"),
    "final-learning-rate": (float, 0.001, "at the last epoch"),
    "schedule": (str, "geometric", "how the rate goes from first to last: geometric, linear or cosine"),
    "optimizer": (str, "adam", "adam, sgd or natural"),
    "momentum": (float, 0.5, "of sgd and natural"),
    "damping": (float, None, "of natural (default: 0.01 exact, 0.1 sampled)"),
    "l1": (float, 0.0, "penalty on the sum of |W_ij|"),
    "max-weight-norm": (float, None, "largest norm of the weights of a hidden unit"),
    "validation": (float, 0.0, "fraction of the rows that are kept apart, to validate"),
    "patience": (int, None, "epochs without gain on validation rows, after which the best model is returned"),
    "keep-every": (int, None, "epochs between models that are kept in the file (default: none are)"),
    "evaluate-every": (int, None, "epochs between exact evaluations (default: a tenth of all)"),
}


def add_command(rbm: argparse._SubParsersAction) -> None:
    """Add `mcgen rbm train` to the parser."""
    train = command(
        rbm, "train", _train, "Train a model on samples, one for each temperature in the file.",
        "mcgen rbm train --data ising.h5 --hidden 64 --epochs 50 --seed 1 --output rbm.h5", _check,
    )  # fmt: skip
    _arguments(train)
    output_arguments(train)
    survival_arguments(train)
    train.set_defaults(in_parts=True)


def _arguments(command: Parser) -> None:
    add = command.add_argument
    add("--data", required=True, help="HDF5 file of samples, or a text or .npy file with rows of numbers")
    sizes = command.add_mutually_exclusive_group(required=True)
    sizes.add_argument("--hidden", type=int, help="hidden units")
    sizes.add_argument("--filters", type=int, help="tied weights: filters that all sites of the data's lattice share")
    add("--spin-flip", action="store_true", help="of --filters: a state and its flipped one are equally probable")
    add("--temperature", type=float, default=None, help="train only on this one of the file's temperatures")
    words = f"both layers: {KINDS} (default: spin for lattice data, else bernoulli)"
    add("--units", default=None, metavar="KIND", help=words)
    words = "the hidden layer, if another (default: like --units if that is spin or bernoulli, else bernoulli)"
    add("--hidden-units", default=None, metavar="KIND", help=words)
    add("--trainer", default=TRAINERS[0], help="sgd, or likelihood: the exact maximum, for small models")
    for name, (kind, default, words) in OF_SGD.items():
        add(f"--{name}", type=kind, default=default, help=words)
    add("--centered", action="store_true", help="measure units from their means over the data")
    add("--l2", type=float, default=0.0, help="penalty on half the sum of W_ij^2, of both trainers")
    words = "random, data (visible biases from means of the data) or low-rank (weights from principal components)"
    add("--start", default=STARTS[0], help=words)
    add("--seed", type=int, default=0, help="0 to 2**64 - 1")
    device_argument(command)


def _train(arguments: argparse.Namespace) -> int:
    from mcgen import evaluation, long_sums, parallel, results, rng

    world = parallel.world()
    if world.size > 1 and arguments.trainer != "sgd":
        raise InputError(
            f"--trainer {arguments.trainer} does not share its work out among ranks; run it without mpiexec"
        )
    if world.size > 1 and arguments.negative_phase == "exact":
        raise InputError("--negative-phase exact does not share its work out among ranks; run it without mpiexec")
    if world.size > 1 and world.rank == 0 and arguments.negative_phase not in SHARED:
        print(
            f"mcgen: every rank sweeps all chains of --negative-phase {arguments.negative_phase}: the {world.size} "
            "ranks share out the sums of the gradient alone",
            file=sys.stderr,
        )
    tables = pick_temperature(results.load_rows(arguments.data, is_real(arguments.units)), arguments)
    lattice = tables[0][2]
    default = "spin" if lattice is not None or (tables[0][1] < 0).any() else "bernoulli"
    visible = unit_kind("--units", arguments.units or default)
    hidden = unit_kind("--hidden-units", _hidden_units(arguments, default))

    remembered = configuration(arguments) | {"data_digest": long_sums.fingerprint(*(table[1] for table in tables))}
    trained: list = []  # those that are complete, and the one that is not

    def study(exact: tuple = (), columns: tuple = ()) -> results.Study:
        n_known = len(exact) or len(trained)
        return results.Study(
            tuple(table[0] for table in tables[:n_known] if table[0] is not None),
            lattice,
            models=tuple(one.model for one in trained[:n_known]),
            trained=tuple(trained[:n_known]),
            exact=evaluation.columns(exact),
            observables=evaluation.columns(columns),
        )

    # All ranks have the same chains and models, and rank 0 keeps them.
    keeping = (
        contextlib.nullcontext()
        if world.rank
        else results.kept_trainings(
            arguments.output, remembered, NO_SETTINGS, arguments.overwrite, arguments.resume, arguments.checkpoint_every
        )
    )
    with keeping as kept:
        before = world.from_first(kept.earlier.trained if world.rank == 0 else None)

        def so_far(k: int, one: Callable) -> results.Study:
            trained[k:] = [one()]
            return study()

        def train(k: int) -> tuple:
            seeds = [rng.derive(arguments.seed, 3 * k + part) for part in range(3)]
            earlier = before[k] if k < len(before) else None

            def keep(one: Callable) -> None:
                if world.rank == 0:
                    kept.checkpoint(lambda: so_far(k, one))

            result = _train_one(arguments, tables[k], visible, hidden, seeds, earlier, keep, world)
            trained[k:] = [result[0]]
            return result

        if world.size == 1:
            done, interrupted = until_interrupted(train, len(tables), lambda result: result[0].interrupted)
        else:  # where one rank alone is interrupted, all end: the unfinished file is what is left
            done, interrupted = [], False
            while len(done) < len(tables) and not interrupted:
                done.append(train(len(done)))
                interrupted = done[-1][0].interrupted
        if world.rank:
            return interruption.exit_status() if interrupted else 0
        _, exact, columns = zip(*done, strict=True)
        path = kept.finish(study(exact, columns), interrupted, study())
    n_done = len(done[-1][0].history["epoch"])
    last = f"{n_done} of {arguments.epochs} epochs" if arguments.trainer == "sgd" else f"{n_done} iterations"
    print(f"wrote {path}" + f", interrupted: {len(done)} of {len(tables)} models, the last with {last}" * interrupted)
    return interruption.exit_status() if interrupted else 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that are wrong, or would be without effect."""
    from mcgen import checks, optim
    from mcgen.rbm.training.loop import OPTIMIZERS
    from mcgen.rbm.training.negative import NEGATIVE_PHASES

    words = {"trainer": TRAINERS, "start": STARTS, "schedule": optim.SCHEDULES, "optimizer": OPTIMIZERS}
    for name, choices in (words | {"negative_phase": NEGATIVE_PHASES}).items():
        checks.choice(f"--{name.replace('_', '-')}", getattr(arguments, name), choices)
    for name in ("units", "hidden_units"):
        if getattr(arguments, name) is not None:
            unit_kind(f"--{name.replace('_', '-')}", getattr(arguments, name))
    for name in ("hidden", "filters"):
        if getattr(arguments, name) is not None:
            checks.integer(f"--{name}", getattr(arguments, name), 1)
    if arguments.spin_flip and arguments.filters is None:
        raise InputError("--spin-flip is for tied weights; give --filters instead of --hidden, or leave it out")
    if arguments.trainer != "sgd":
        for name, (_, default, _) in OF_SGD.items():
            value = getattr(arguments, name.replace("-", "_"))
            if value != default:
                raise InputError(f"--{name} {value} is for --trainer sgd, not {arguments.trainer}; leave it out")
        if arguments.centered:
            raise InputError(f"--centered is for --trainer sgd, not {arguments.trainer}; leave it out")
    if not 0 <= arguments.validation < 1:
        raise InputError(f"--validation {arguments.validation:g} is a fraction of the rows; give at least 0, below 1")
    if arguments.patience is not None and not arguments.validation:
        raise InputError(f"--patience {arguments.patience} needs rows to judge by; give --validation 0.1, say")


def _hidden_units(arguments: argparse.Namespace, default: str) -> str:
    if arguments.hidden_units is not None:
        return arguments.hidden_units
    visible = arguments.units or default
    return visible if visible in ("spin", "bernoulli") else "bernoulli"


def _train_one(
    arguments: argparse.Namespace,
    table: tuple,
    visible,  # noqa: ANN001
    hidden,  # noqa: ANN001
    seeds: list[int],
    earlier,  # noqa: ANN001
    keep: Callable,
    world,  # noqa: ANN001
) -> tuple:
    """Train and evaluate at one temperature: the result of training, exact values and observables.

    An earlier result is gone on with; keep is called after every epoch with a function that gives the result so far.
    """
    from mcgen import evaluation, observables, rbm
    from mcgen.results.rows import as_states

    temperature, rows, lattice = table
    v, validation = _split(as_states(rows, visible.name), arguments.validation, seeds[0])
    start = _start(arguments, v, lattice, visible, hidden, seeds[0])
    comparable = lattice is not None and temperature is not None and evaluation.has_spins(start, lattice)
    settings = {"seed": seeds[1], "device": arguments.device, "progress": world.rank == 0}
    settings["truth"] = truth(lattice, temperature) if comparable else None
    settings["l2"] = arguments.l2
    if arguments.trainer == "likelihood":
        trained = rbm.maximum_likelihood(start, v, **settings, resume=earlier, checkpoint=keep)
    else:
        own = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name in OF_SGD}
        own |= {"n_chains": own.pop("chains"), "batch_size": own.pop("batch"), "centered": arguments.centered}
        own |= {"validation": validation}
        with in_step(world) as epoch_ends:

            def keep_epoch(one: Callable) -> None:
                keep(one)
                epoch_ends()

            trained = rbm.train(start, v, **own, **settings, resume=earlier, checkpoint=keep_epoch, world=world)
    keep(lambda: trained)
    print(_training_line(trained, temperature))
    if not comparable or world.rank:
        return trained, {}, {}
    starts = v[:: max(1, len(v) // 500)][:500]
    samples = rbm.sample(
        trained.model, n_chains=len(starts), n_draws=50, thin=5, burn_in=500, initial=starts, seed=seeds[2],
        device=arguments.device,
    )  # fmt: skip
    summary = observables.summary(samples, lattice, temperature)
    print(f"  states of the model: {per_site(summary, lattice.n_sites)}")
    return trained, *evaluation.evaluate(trained.model, lattice, temperature, rows, samples, device=arguments.device)


def _split(v, fraction: float, seed: int) -> tuple:  # noqa: ANN001 - NumPy is imported late
    """The rows to train on, and those kept apart (None without any)."""
    from mcgen import rng

    n_apart = round(fraction * len(v))
    if n_apart == 0:
        return v, None
    order = rng.permutation(seed, rng.purpose.STUDY_SPLIT, len(v))
    return v[order[n_apart:]], v[order[:n_apart]]


def _start(arguments: argparse.Namespace, v, lattice, visible, hidden, seed: int):  # noqa: ANN001, ANN202
    """The model that training starts from."""
    from mcgen import rbm

    model = _random_start(arguments, v.shape[1], lattice, visible, hidden, seed)
    if arguments.start == "random":
        return model
    return rbm.start_from_data(model, v) if arguments.start == "data" else rbm.low_rank_start(model, v)


def _random_start(arguments: argparse.Namespace, n_visible: int, lattice, visible, hidden, seed: int):  # noqa: ANN001, ANN202
    from mcgen import rbm

    if arguments.filters is None:
        n_hidden = arguments.hidden * hidden.entries
        return rbm.RBM.random(n_visible, n_hidden, seed=seed, visible=visible, hidden=hidden)
    if lattice is None:
        raise InputError(
            f"--filters {arguments.filters} needs data of a lattice, and {arguments.data} has none; "
            "give samples of 'mcgen ising sample', or --hidden"
        )
    if not all(lattice.periodic):
        raise InputError(
            f"--filters {arguments.filters} needs a periodic lattice, and that of {arguments.data} has open "
            "boundaries; give --hidden instead"
        )
    settings = {"spin_flip": arguments.spin_flip, "visible": visible, "hidden": hidden}
    return rbm.RBM.symmetric(lattice.shape, arguments.filters, seed=seed, **settings)


def pick_temperature(tables: list, arguments: argparse.Namespace) -> list:
    """The tables of data that --temperature leaves."""
    if arguments.temperature is None:
        return tables
    from mcgen.results.study import in_words, place_of

    known = [table[0] for table in tables]
    place = place_of(arguments.temperature, known)
    if place is None:
        raise InputError(
            f"--temperature {arguments.temperature:g} is not in {arguments.data}, which has: {in_words(known)}; pick "
            "one of them"
        )
    return [tables[place]]


def truth(lattice, temperature: float | None):  # noqa: ANN001, ANN201 - NumPy is imported late
    """The probabilities of all states of a lattice, where they are known and few enough; otherwise None."""
    from mcgen import enumeration, ising

    if lattice is None or temperature is None or lattice.n_sites > enumeration.MOST_LISTED_UNITS:
        return None
    return ising.exact.probabilities(lattice, temperature)


def _training_line(trained, temperature: float | None) -> str:  # noqa: ANN001
    from mcgen import stats

    model = trained.model
    last = {name: column[-1] for name, column in trained.history.items()}
    label = "" if temperature is None else f"T = {temperature:g}: "
    names = dict.fromkeys((model.visible.name, model.hidden.name))
    steps = f"{int(last['epoch'])} epochs"
    if "ended_by" in trained.settings:
        steps = f"{int(last['epoch'])} iterations, ended by {trained.settings['ended_by']}"
    words = f"{label}{' and '.join(names)} units, "
    if model.symmetry is not None:
        words += f"{model.symmetry.n_free} free parameters, "
    words += f"{steps}, reconstruction error {last['reconstruction_error']:.4g}"
    if last["log_likelihood"] == last["log_likelihood"]:
        words += (
            f", exact log Z {last['log_partition']:.6f}, exact log-likelihood of the data {last['log_likelihood']:.5f}"
        )
        if last["kl_divergence"] == last["kl_divergence"]:
            reference = trained.settings["kl_reference"]
            words += f", exact KL({reference} || model) {last['kl_divergence']:.5f} nats"
    elif last["tracked_log_partition"] == last["tracked_log_partition"]:
        value = stats.format_error(last["tracked_log_partition"], last["tracked_log_partition_error"])
        words += f", log Z followed along the training {value}"
    else:
        words += ", too large for an exact log Z during training (see mcgen rbm logz)"
    return words
