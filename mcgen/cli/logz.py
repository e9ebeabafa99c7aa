"""`mcgen rbm logz`: the partition functions of trained models, with errors."""

import argparse
from collections.abc import Callable, Iterator

from mcgen.cli.arguments import command, device_argument, either, kept_arguments
from mcgen.cli.printing import arrays_of, print_of_models
from mcgen.errors import InputError

METHODS = ("auto", "exact", "ais", "reverse-ais", "sandwich", "bar", "mbar", "integration", "mean-field", "tap")
# What --runs and --temperatures are called by the methods; those that are missing do not have them.
ANNEALING = {"runs": "n_runs", "temperatures": "n_temperatures"}
BRIDGES = {"runs": "n_chains", "temperatures": "n_temperatures"}
SETTINGS = dict.fromkeys(("ais", "reverse-ais", "sandwich"), ANNEALING)
SETTINGS |= dict.fromkeys(("bar", "mbar", "integration"), BRIDGES)
# The methods whose chains may start from those of the training.
WITH_CHAINS = ("reverse-ais", "sandwich")


def add_command(rbm: argparse._SubParsersAction, load: Callable) -> None:
    """Add `mcgen rbm logz` to the parser; load(path) gives the study of a file and its temperatures."""
    logz = command(
        rbm, "logz", _logz, "Print log Z of trained models with its error: exact where cheap, else between two ends.",
        "mcgen rbm logz rbm.h5 --method ais --runs 512 --temperatures 2000 --seed 5", _check,
    )  # fmt: skip
    logz.set_defaults(load=load)
    logz.add_argument("file", help="HDF5 file with models")
    logz.add_argument("--method", default=METHODS[0], help=either(METHODS))
    words = "annealing runs in each direction, or chains of a ladder (default: 512, or 256 chains)"
    logz.add_argument("--runs", type=int, default=None, help=words)
    words = "models from independent units to the trained one (default: 2000, or as many as a ladder needs)"
    logz.add_argument("--temperatures", type=int, default=None, help=words)
    logz.add_argument("--seed", type=int, default=0, help="0 to 2**64 - 1")
    device_argument(logz)
    kept_arguments(logz, "logz")


def _check(arguments: argparse.Namespace) -> None:
    from mcgen import checks

    checks.choice("--method", arguments.method, METHODS)
    if arguments.method != "auto":
        _settings(arguments, arguments.method)


def _logz(arguments: argparse.Namespace) -> int:
    from mcgen import rng
    from mcgen.rbm import partition
    from mcgen.rbm.partition.choice import chosen

    study, temperatures = arguments.load(arguments.file)
    methods = [chosen(model, arguments.method) for model in study.models]
    settings = [_settings(arguments, method) for method in methods]

    more = [dict(one) for one in settings]
    for k, method in enumerate(methods):
        if study.trained and method in WITH_CHAINS:
            more[k]["initial"] = study.trained[k].chains

    def lines(k: int) -> Iterator[str]:
        model, seed = study.models[k], rng.derive(arguments.seed, k)
        found = partition.log_partition(model, methods[k], seed, None, arguments.device, True, **more[k])
        label = arguments.file if temperatures[k] is None else f"T = {temperatures[k]:g}"
        yield f"{label}: " + "; ".join(line.strip() for line in str(found).splitlines())

    what = (methods, settings, arguments.seed, arguments.device, *arrays_of(study))
    return print_of_models(arguments, "logz", what, len(study.models), lines)


def _settings(arguments: argparse.Namespace, method: str) -> dict:
    """--runs and --temperatures as the method calls them; refused where it has none and they were asked for."""
    names = SETTINGS.get(method, {})
    given = {name: getattr(arguments, name) for name in ANNEALING if getattr(arguments, name) is not None}
    if not names and given and arguments.method != "auto":
        name, value = next(iter(given.items()))
        raise InputError(f"--{name} {value} is not for --method {method}, which takes no samples; leave it out")
    return {names[name]: value for name, value in given.items() if name in names}
