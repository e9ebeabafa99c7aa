"""`mcgen run`: a whole pipeline from one TOML file."""

import argparse

from mcgen.cli.arguments import command, time_limit_argument


def add_command(rooms: argparse._SubParsersAction) -> None:
    """Add `mcgen run` to the parser."""
    run = command(
        rooms, "run", _run,
        "Run a pipeline of commands. The sections of its file are the commands, their keys the long options.",
        "mcgen run study.toml --set rbm.train.epochs=100 --set output=longer",
    )  # fmt: skip
    add = run.add_argument
    add("file", help="TOML file")
    words = "change a setting; the value as in TOML, or a word (may be repeated)"
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help=words)
    add("--dry-run", action="store_true", help="check everything, print all settings, and run nothing")
    ways = run.add_mutually_exclusive_group()
    words = "leave out the stages that are complete, and go on with the next from its checkpoint"
    ways.add_argument("--resume", action="store_true", help=words)
    ways.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    time_limit_argument(run)


def _run(arguments: argparse.Namespace) -> int:
    from mcgen.cli import pipeline

    found = pipeline.read(arguments.file, arguments.set)
    if arguments.dry_run:
        print(found.toml(), end="")
        return 0
    return pipeline.run(found, arguments.overwrite, arguments.resume)
