"""`mcgen rbm evaluate`: how good trained models are, on rows that they were not trained on."""

import argparse
from collections.abc import Callable, Iterator

from mcgen.cli.arguments import (
    NO_SETTINGS,
    check_sampling,
    command,
    configuration,
    kept_arguments,
    sampling_arguments,
    sampling_settings,
)
from mcgen.cli.printing import arrays_of, print_of_models
from mcgen.cli.units import is_real
from mcgen.errors import InputError

METHODS = ("auto", "gibbs", "metropolis", "tempering", "exact")
# Fewer rows than this are no sample to compare with.
FEWEST_ROWS = 20
# States of so many visible units are listed in a blink.
MOST_UNITS = 20


def add_command(rbm: argparse._SubParsersAction, load: Callable) -> None:
    """Add `mcgen rbm evaluate` to the parser; load(path) gives the study of a file and its temperatures."""
    evaluate = command(
        rbm, "evaluate", _evaluate,
        "Print how good trained models are: likelihoods of test rows, and samples beside them.",
        "mcgen rbm evaluate rbm.h5 --data test.h5 --seed 3", _check,
    )  # fmt: skip
    evaluate.set_defaults(load=load)
    evaluate.add_argument("file", help="HDF5 file with models")
    words = "test rows: HDF5 file of samples, .npy or text; of the models' temperatures, if these have any"
    evaluate.add_argument("--data", required=True, help=words)
    words = "how log Z is found: auto, another method of 'mcgen rbm logz', or none, for no log-likelihood"
    evaluate.add_argument("--logz", default="auto", help=words)
    words = "most rows of data, and as many samples, for the adversarial accuracy"
    evaluate.add_argument("--neighbors", type=int, default=2000, help=words)
    sampling_arguments(evaluate, chains=256, draws=40, thin=10, burn_in=1000, methods=METHODS)
    kept_arguments(evaluate, "evaluate")


def _check(arguments: argparse.Namespace) -> None:
    from mcgen import checks
    from mcgen.rbm.partition.choice import METHODS as LOGZ_METHODS

    checks.choice("--logz", arguments.logz, (*LOGZ_METHODS, "none"))
    check_sampling(arguments, METHODS)
    checks.integer("--neighbors", arguments.neighbors, FEWEST_ROWS)


def _evaluate(arguments: argparse.Namespace) -> int:
    from mcgen import rng

    study, temperatures = arguments.load(arguments.file)
    tables = _rows(arguments.data, study.models, temperatures)

    def lines(k: int) -> Iterator[str]:
        label = arguments.file if temperatures[k] is None else f"T = {temperatures[k]:g}"
        model, v = study.models[k], tables[k]
        run = _samples(arguments, model, rng.derive(arguments.seed, 2 * k))
        n_chains, n_draws, _ = run.states.shape
        yield f"{label}: {len(v)} rows of data, {n_chains} chains of {n_draws} draws by {run.method}"
        for name, words in _lines(arguments, model, v, run, rng.derive(arguments.seed, 2 * k + 1)):
            yield f"  {name:25} {words}"

    settings = configuration(arguments)
    own = {name: settings[name] for name in settings if name not in (*NO_SETTINGS, "load", "checkpoint", "data")}
    return print_of_models(arguments, "evaluate", (own, *tables, *arrays_of(study)), len(study.models), lines)


def _rows(path: str, models: tuple, temperatures: tuple) -> list:
    """The test rows of each model, as states of its visible units."""
    from mcgen.results.rows import as_states, load_rows

    kind = models[0].visible
    tables = load_rows(path, is_real(kind.name))
    if len(models) == len(tables) == 1 and None in (temperatures[0], tables[0][0]):
        chosen = [tables[0][1]]
    else:
        by_temperature = {temperature: rows for temperature, rows, _ in tables}
        missing = [temperature for temperature in temperatures if temperature not in by_temperature]
        if missing:
            words = ", ".join("none" if one is None else f"{one:g}" for one in by_temperature)
            model = "a model without a temperature" if missing[0] is None else f"the model of T = {missing[0]:g}"
            raise InputError(f"{path} has no rows for {model}: its temperatures are {words}; give data of all models")
        chosen = [by_temperature[temperature] for temperature in temperatures]
    chosen = [model.check_rows(as_states(rows, kind.name), path) for model, rows in zip(models, chosen, strict=True)]
    fewest = min(map(len, chosen))
    if fewest < FEWEST_ROWS:
        raise InputError(f"{path} holds {fewest} rows for a model; give at least {FEWEST_ROWS} to evaluate it")
    return chosen


def _samples(arguments: argparse.Namespace, model, seed: int):  # noqa: ANN001, ANN202
    """Draws from the model: exact ones where they are quick."""
    from mcgen import rbm

    settings = sampling_settings(arguments)
    if settings["method"] == "auto":
        settings["method"] = "exact" if rbm.exact.is_quick(model) else "gibbs"
    return rbm.sample(model, seed=seed, **settings)


def _lines(arguments: argparse.Namespace, model, v, run, seed: int):  # noqa: ANN001, ANN202
    """The table, one name and its words after the other, as they are found."""
    from mcgen import rng
    from mcgen.rbm import evaluation, partition
    from mcgen.rbm.units import TwoLevel

    if arguments.logz != "none":
        log_z = partition.log_partition(model, arguments.logz, rng.derive(seed, 0), None, arguments.device, True)
        yield "log Z", str(log_z).splitlines()[0].removeprefix("log Z = ")
        yield "log-likelihood", str(evaluation.log_likelihood(model, v, log_z, arguments.device))
    if model.visible.is_discrete:
        yield "pseudo-log-likelihood", f"{evaluation.pseudo_log_likelihood(model, v, arguments.device)} nats"
    image = evaluation.reconstruction_error(model, v, arguments.device)
    yield "reconstruction", f"squared error {image.squared_error}, cross-entropy {image.cross_entropy} nats"
    n = min(arguments.neighbors, len(v), run.magnetization.size)
    some = [rows[_spaced(len(rows), n)] for rows in (v, run.states.reshape(-1, model.n_visible))]
    near = evaluation.adversarial_accuracy(*some)
    yield "adversarial accuracy", f"of data {near.truth}, of samples {near.synthetic} (0.5 if alike; {n} rows of each)"
    for name, one in evaluation.histograms(model, v, run, seed=rng.derive(seed, 1), device=arguments.device).items():
        words = f"{one.distance}, {one.expected:.2g} expected if alike, p = {one.p_value:.2g}"
        yield f"W_1 of {name.replace('_', ' ')}", words
    if isinstance(model.visible, TwoLevel):
        yield "signs of data", _signs(evaluation.mode_balance(v))
        yield "signs of samples", _signs(evaluation.mode_balance(run))
        if model.n_visible <= MOST_UNITS:
            yield "signs of the model, exact", _signs(evaluation.exact_mode_balance(model), exact=True)


def _spaced(n_rows: int, n: int):  # noqa: ANN202
    """The numbers of n rows, evenly spaced: neighbours in a chain are alike."""
    import numpy as np

    return np.arange(n) * n_rows // n


def _signs(balance, exact: bool = False) -> str:  # noqa: ANN001
    parts = (("> 0", balance.positive), ("< 0", balance.negative), ("= 0", balance.zero))
    return ", ".join(f"p(m {sign}) = {f'{one.value:.6f}' if exact else one}" for sign, one in parts)
