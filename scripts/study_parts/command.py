"""The studies as commands: their settings, what ends them, and the file that they write."""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py

from mcgen import hdf5, interruption, rbm, report, results, stats
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
    return filled(arguments, quick if arguments.quick else full)


def filled(arguments: argparse.Namespace, defaults: dict) -> argparse.Namespace:
    """The settings, with these in place of what is None."""
    for name, value in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return arguments


class Ended(NamedTuple):
    """How a study ended.

    Attributes
    ----------
    status : str
        "complete", or words that begin with "interrupted".
    exit_status : int
        Where it was neither refused nor cut short by Ctrl-C or SIGTERM.
    by_hand : bool
        Whether Ctrl-C or SIGTERM is what interrupted it.
    has_figure : bool
    files : sequence of Path or str, optional
        What it has written of the files that it was to write; all of them unless told.
    """

    status: str
    exit_status: int = 0
    by_hand: bool = True
    has_figure: bool = True
    files: Sequence[Path | str] | None = None


def run(
    name: str,
    arguments: argparse.Namespace,
    study: Callable[[argparse.Namespace], str | Ended],
    too_early: str = "",
    files: Sequence[Path | str] | None = None,
    again: bool = False,
    check: Callable[[argparse.Namespace], None] | None = None,
) -> int:
    """Run a study that writes files and a figure; SIGTERM is to it what Ctrl-C is.

    Parameters
    ----------
    name : str
        Of the script.
    arguments : argparse.Namespace
    study : callable
        study(arguments) does all the work and returns how it ended: "complete", or words that begin with "interrupted"
        if Ctrl-C cut it short; or more about it.
    too_early : str
        When Ctrl-C leaves nothing, such as "before the first model was done"; empty of a study that writes its file
        more than once.
    files : sequence of Path or str, optional
        What it writes, where that is not `arguments.output`.
    again : bool
        Whether it goes on with files that are there.
    check : callable, optional
        check(arguments) refuses settings before files are looked at.

    Returns
    -------
    int
        The exit status: 2 after an error, 130 after Ctrl-C, 143 after SIGTERM, or what the study says.
    """
    start = time.monotonic()
    if files is None:
        files = [arguments.output] if arguments.output else []
    with interruption.handled():
        try:
            if check is not None:
                check(arguments)
            for path in files:
                results.check_output(path, arguments.overwrite or again)
            if arguments.figure:
                report.check_output(arguments.figure, arguments.overwrite or again)
            ended = study(arguments)
        except McgenError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            left = f" {too_early}; nothing was written" if too_early else f"; {files[0]} has what is kept, if anything"
            print(f"{name}: interrupted{left}", file=sys.stderr)
            return interruption.exit_status()
    if isinstance(ended, str):
        ended = Ended(ended)
    is_complete = ended.status == "complete"
    written = [", ".join(map(str, files if ended.files is None else ended.files))] * bool(files)
    written += [arguments.figure] * bool(arguments.figure and ended.has_figure)
    words = f"wrote {' and '.join(written)}" if written else "done"
    more = "" if is_complete else f", {ended.status}"
    print(f"\n{words} in {time.monotonic() - start:.0f} s{more}")
    return ended.exit_status if is_complete or not ended.by_hand else interruption.exit_status()


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
