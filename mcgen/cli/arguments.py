"""What the commands have in common: their parser, arguments that several take, words that several print."""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import NoReturn

from mcgen.errors import InputError

# Of a configuration, what results do not depend on.
NO_SETTINGS = ("output", "overwrite", "resume", "checkpoint_every", "time_limit", "pipeline", "swmr")
CHECKPOINT_EVERY = 60.0  # seconds


class Parser(argparse.ArgumentParser):
    """One line for each error.

    Attributes
    ----------
    check : callable or None
        Raises an error of mcgen if the arguments of the command cannot be right, before any file is read.
    """

    check: Callable[[argparse.Namespace], object] | None = None

    def error(self, message: str) -> NoReturn:
        """End with one line and status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults in the help, but for those that say nothing."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if isinstance(action.default, list) and action.default:
            return f"{action.help} (default: {' '.join(map(str, action.default))})"
        says_nothing = action.default is None or action.default is False or action.default == []
        return action.help if says_nothing else super()._get_help_string(action)


def command(
    where: argparse._SubParsersAction, name: str, run: Callable, words: str, example: str, check: Callable | None = None
) -> Parser:
    """A parser for one command, with an example in its help; `check` is called before `run`."""

    def checked_run(arguments: argparse.Namespace) -> int | None:
        check(arguments)
        return run(arguments)

    parser = where.add_parser(
        name,
        help=words,
        description=words,
        epilog=f"example: {example}",
        formatter_class=_Help,
    )
    parser.set_defaults(run=checked_run if check else run)
    parser.check = check
    return parser


def checkpoint_argument(command: Parser, default: str | None) -> None:
    """Where a long exact sum is kept."""
    words = "where Ctrl-C leaves a long sum, and where the same command goes on from"
    command.add_argument("--checkpoint", default=default, help=words + (" (default: FILE.checkpoint)" * (not default)))


def one_of(path: str, k: int, n: int) -> str:
    """The name of part k of n: numbered if there are several."""
    return path if n == 1 else f"{path}-{k + 1}"


def device_argument(command: Parser) -> None:
    """Where kernels run."""
    command.add_argument("--device", default="cpu", help="cpu or cuda")


def either(choices: Sequence[str]) -> str:
    """The choices in words."""
    return ", ".join(choices[:-1]) + " or " + choices[-1]


def sampling_arguments(
    command: Parser, chains: int, draws: int, thin: int, burn_in: int, methods: tuple[str, ...]
) -> None:
    """How many draws, of what, and how."""
    command.add_argument("--chains", type=int, default=chains, help="independent Markov chains")
    command.add_argument("--draws", type=int, default=draws, help="states kept of each chain")
    command.add_argument("--thin", type=int, default=thin, help="sweeps between kept states")
    command.add_argument("--burn-in", type=int, default=burn_in, help="sweeps before the first kept state")
    command.add_argument("--method", default=methods[0], help=either(methods))
    command.add_argument("--seed", type=int, default=0, help="0 to 2**64 - 1")
    device_argument(command)


def output_arguments(command: Parser, ending: str = ".h5", words: str = "") -> None:
    """Where the results go; pipelines name files with this ending."""
    command.add_argument("--output", required=True, help="file to write" + words).ending = ending
    command.add_argument("--overwrite", action="store_true", help="replace the output if it exists")


def survival_arguments(command: Parser, from_file: bool = False, swmr: bool = False) -> None:
    """How a run goes on that was killed, and when it stops; maybe also from the file of another one.

    With swmr, others may also read the file as it grows, which then has no checkpoints: see `check_sampling`.
    """
    add = command.add_argument
    words = "go on where the run with this output was killed or stopped; without such a run, begin"
    if from_file:
        words += "; with FILE, go on from a file of the same command, with as many or more epochs"
        add("--resume", nargs="?", const=True, default=None, metavar="FILE", help=words)
    else:
        add("--resume", action="store_true", help=words)
    words = "seconds between checkpoints, in the file OUTPUT.part, which opens like any other"
    add("--checkpoint-every", type=float, default=CHECKPOINT_EVERY, metavar="SECONDS", help=words)
    if swmr:
        words = "let others read every block at once in OUTPUT.part, in HDF5's mode for that; without checkpoints"
        add("--swmr", action="store_true", help=words)
    time_limit_argument(command)


def kept_arguments(command: Parser, name: str) -> None:
    """How a computation whose result is printed goes on where it was killed, and when it stops."""
    add = command.add_argument
    words = f"what the computation goes on from, until it is complete (default: FILE.{name}.checkpoint)"
    add("--checkpoint", default=None, metavar="PATH", help=words)
    words = "go on where the same command was killed or stopped; without a checkpoint, begin"
    add("--resume", action="store_true", help=words)
    add("--overwrite", action="store_true", help="begin anew where a checkpoint is there")
    words = "seconds between checkpoints"
    add("--checkpoint-every", type=float, default=CHECKPOINT_EVERY, metavar="SECONDS", help=words)
    time_limit_argument(command)


def time_limit_argument(command: Parser) -> None:
    """When a run stops."""
    words = "stop, with what is done kept, before so much time is over: seconds, [H:]MM:SS or D-HH:MM:SS"
    command.add_argument("--time-limit", type=seconds, default=None, metavar="TIME", help=words)


def seconds(words: str) -> float:
    """A time as schedulers write it, in seconds.

    Examples
    --------
    >>> from mcgen.cli.arguments import seconds
    >>> seconds("3600"), seconds("1:30"), seconds("1:00:00"), seconds("2-12:00:00")
    (3600.0, 90.0, 3600.0, 216000.0)
    """
    days, _, rest = words.rpartition("-")
    parts = rest.split(":")
    try:
        if len(parts) > 3 or not all(parts) or words.startswith("-"):
            raise ValueError
        total = 86400.0 * int(days or 0) + sum(float(part) * 60**k for k, part in enumerate(reversed(parts)))
        if not 0 < total < math.inf:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"{words} is no time; give seconds, MM:SS, H:MM:SS or D-HH:MM:SS") from None
    return total


def configuration(arguments: argparse.Namespace) -> dict:
    """What the file remembers of the command."""
    return {name: value for name, value in vars(arguments).items() if name not in ("run", "in_parts")}


def check_sampling(arguments: argparse.Namespace, methods: Sequence[str]) -> None:
    """Raise `InputError` if the numbers and the method of `sampling_arguments` are none."""
    from mcgen import checks

    checks.choice("method", arguments.method, methods)
    for name, smallest in (("chains", 1), ("draws", 1), ("thin", 1), ("burn_in", 0)):
        checks.integer(f"--{name.replace('_', '-')}", getattr(arguments, name), smallest)
    if getattr(arguments, "swmr", False):
        _check_swmr(arguments)


def _check_swmr(arguments: argparse.Namespace) -> None:
    from mcgen import parallel

    if arguments.resume or arguments.checkpoint_every not in (None, CHECKPOINT_EVERY):
        given = "--resume" if arguments.resume else f"--checkpoint-every {arguments.checkpoint_every:g}"
        raise InputError(
            f"--swmr and {given} exclude each other: a file that others read as it grows has no checkpoints; leave one "
            "of both out"
        )
    if parallel.world().size > 1:
        raise InputError("--swmr is for one process, and ranks write a file each; leave it out, or run without mpiexec")
    arguments.checkpoint_every = None


def sampling_settings(arguments: argparse.Namespace) -> dict:
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


def refuse_unless(arguments: argparse.Namespace, names: Sequence[str], option: str, value: str) -> None:
    """Refuse options that were given and belong to another value of `option` than that it has.

    Raises
    ------
    InputError
        If one was given.
    """
    chosen = getattr(arguments, option)
    for name in names:
        given = getattr(arguments, name)
        if given is not None and chosen != value:
            given = " ".join(map(str, given)) if isinstance(given, list) else given
            instead = f", not {chosen}" * (chosen is not None)
            raise InputError(
                f"--{name.replace('_', '-')} {given} is for --{option} {value}{instead}; leave it out, or choose that"
            )


def exchange_lines(words: str, letter: str, ladder: Sequence[float], exchange: object, n_chains: int) -> list[str]:
    """How configurations moved along a ladder of `words`, a quantity with this letter: text, in lines."""
    rates = exchange.swap_rates
    lines = [f"ladder of {len(ladder)} {words}: " + " ".join(f"{value:.4g}" for value in ladder)]
    tried = [k for k, rate in enumerate(rates) if rate == rate]
    if len(tried) < len(rates):
        words = f"swaps were tried between {len(tried)} of {len(rates)} pairs of neighbours: there were too few sweeps"
        return [*lines, words]
    lowest = int(rates.argmin())
    return [
        *lines,
        f"lowest swap rate {rates[lowest]:.3f}, between {letter} = {ladder[lowest]:.4g} and {ladder[lowest + 1]:.4g}; "
        f"{exchange.round_trips} round trips of {len(ladder) * n_chains} configurations in {exchange.n_sweeps} sweeps",
    ]


def per_site(summary: dict, n_sites: int) -> str:
    """The line of observables."""
    words = (("energy", "energy"), ("abs_magnetization", "|magnetization|"), ("heat_capacity", "heat capacity"))
    return ", ".join(f"{word} {summary[name].scaled(1 / n_sites)}" for name, word in words) + " per site"
