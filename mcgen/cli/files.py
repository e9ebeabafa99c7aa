"""The commands about files: what they hold, and their parameters for other programs."""

import argparse

from mcgen.cli.arguments import command, output_arguments
from mcgen.errors import InputError


def add_commands(rooms: argparse._SubParsersAction) -> None:
    """Add `mcgen check` and `mcgen export`."""
    words = (
        "Compare a file with the schema: status 0 if all is as it should be, 1 if something does not belong there or "
        "only other programs miss it, 2 if the file cannot be loaded."
    )
    check = command(rooms, "check", _check, words, "mcgen check rbm.h5")
    check.add_argument("file", nargs="?", help="HDF5 file of any version of the schema")
    check.add_argument("--schema", action="store_true", help="print the schema")
    words = "Write the parameters of models to a NumPy archive (.npz) or a PyTorch state dict (.pt)."
    export = command(rooms, "export", _export, words, "mcgen export rbm.h5 --output model.npz")
    export.add_argument("file", help="HDF5 file with models")
    export.add_argument("--temperature", type=float, default=None, help="which of several models")
    output_arguments(export)


def _check(arguments: argparse.Namespace) -> int:
    from mcgen import results
    from mcgen.results import schema

    if arguments.schema:
        print(schema.text())
        return 0
    if arguments.file is None:
        raise InputError("there is no file to check; give one, or --schema")
    checked = results.check(arguments.file)
    print(f"{arguments.file}: {checked.words or 'cannot be loaded'}")
    for deviation in checked.deviations:
        print(f"{arguments.file}: {deviation}")
    return 0 if not checked.deviations else 1 if checked.is_readable else 2


def _export(arguments: argparse.Namespace) -> None:
    from mcgen import results

    print(f"wrote {results.export(arguments.file, arguments.output, arguments.overwrite, arguments.temperature)}")
