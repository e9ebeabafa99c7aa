"""The studies as commands: their settings, what ends them, and the file that they write."""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py

from mcgen import hdf5, rbm, report, results, stats
from mcgen.errors import McgenError
from mcgen.results.files import sign
from mcgen.results.groups import Group


def parser_of(words: str) -> argparse.ArgumentParser:
    """The parser of a script with this docstring."""
    return argparse.ArgumentParser(
        description=words.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )


def add_common(parser: argparse.ArgumentParser, name: str, content: str, of_seed: str = "", quick: bool = True) -> None:
    """The settings that come last: --seed, --quick where there are other defaults, --output, --figure, --overwrite."""
    add = parser.add_argument
    add("--seed", type=int, default=1, help="0 to 2**64 - 1" + of_seed)
    if quick:
        add("--quick", action="store_true", help="other defaults, to try the script")
    add("--output", default=f"{name}.h5", help=f"HDF5 file {content}")
    add("--figure", default=f"{name}.png", help="figure of the results")
    add("--overwrite", action="store_true", help="replace files that exist")


def parsed(parser: argparse.ArgumentParser, argv: list[str] | None, full: dict, quick: dict) -> argparse.Namespace:
    """The settings, with the defaults of a full or a quick run in place of what is None."""
    arguments = parser.parse_args(argv)
    for name, value in (quick if arguments.quick else full).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return arguments


def run(name: str, arguments: argparse.Namespace, study: Callable[[argparse.Namespace], str], too_early: str) -> int:
    """Run a study that writes one file and one figure.

    Parameters
    ----------
    name : str
        Of the script.
    arguments : argparse.Namespace
    study : callable
        study(arguments) does all the work and returns "complete", or words that begin with "interrupted" if Ctrl-C cut
        it short.
    too_early : str
        When Ctrl-C leaves nothing, such as "before the first model was done".

    Returns
    -------
    int
        The exit status: 2 after an error, 130 after Ctrl-C.
    """
    start = time.monotonic()
    try:
        results.check_output(arguments.output, arguments.overwrite)
        report.check_output(arguments.figure, arguments.overwrite)
        status = study(arguments)
    except McgenError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted {too_early}; nothing was written", file=sys.stderr)
        return 130
    seconds = time.monotonic() - start
    is_complete = status == "complete"
    more = "" if is_complete else f", {status}"
    print(f"\nwrote {arguments.output} and {arguments.figure} in {seconds:.0f} s{more}")
    return 0 if is_complete else 130


def status_of(interrupted: bool) -> str:
    """What the file says of the run."""
    return "interrupted" if interrupted else "complete"


@contextlib.contextmanager
def new_file(path: str, configuration: dict, status: str) -> Iterator[h5py.File]:
    """A file with the root attributes of mcgen's: written beside, and renamed when all is in it."""
    with results.written_beside(Path(path)) as beside, hdf5.NewFile(beside) as file:
        sign(file, configuration, status)
        yield file


def add_estimates(
    group: Group, name: str, estimates: Sequence[stats.Estimate], dimensions: tuple[str, ...] = ()
) -> None:
    """Values as NAME and their errors as NAME_error, one for each entry of the group."""
    group.add(name, dimensions, [one.value for one in estimates])
    group.add(f"{name}_error", dimensions, [one.error for one in estimates])


def add_parameters(group: Group, models: Sequence[rbm.RBM]) -> None:
    """Weights and biases of one model for each entry of the group."""
    for name, dimensions in (
        ("weights", ("visible", "hidden")), ("visible_bias", ("visible",)), ("hidden_bias", ("hidden",)),
    ):  # fmt: skip
        group.add(name, dimensions, [getattr(one, name) for one in models])
