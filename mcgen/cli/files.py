"""The commands about files: what they hold, and their parameters for other programs."""

import argparse

from mcgen.cli.arguments import command, output_arguments
from mcgen.errors import FileError, InputError


def add_commands(rooms: argparse._SubParsersAction) -> None:
    """Add `mcgen check` and `mcgen export`."""
    words = (
        "Say what files hold, and compare them with the schema: one line for each thing that is not as it should be. "
        "The status is 1 if there is any, and 0 otherwise."
    )
    check = command(rooms, "check", _check, words, "mcgen check rbm.h5 runs/*.h5")
    check.add_argument("files", nargs="*", metavar="file", help="HDF5 file of any version of the schema")
    check.add_argument("--schema", action="store_true", help="print the schema")
    words = "Write the parameters of models to a NumPy archive (.npz) or a PyTorch state dict (.pt)."
    export = command(rooms, "export", _export, words, "mcgen export rbm.h5 --output model.npz")
    export.add_argument("file", help="HDF5 file with models")
    export.add_argument("--temperature", type=float, default=None, help="that of the model, where a file has several")
    output_arguments(export, words=": .npz or .pt")


def _check(arguments: argparse.Namespace) -> int:
    from mcgen import results
    from mcgen.results import schema

    if arguments.schema:
        print(schema.text())
        return 0
    if not arguments.files:
        raise InputError("there is no file to check; give one, or several, or --schema")
    status = 0
    for file in arguments.files:
        try:
            checked = results.check(file)
        except FileError as error:
            print(error)
            status = 1
            continue
        print(f"{file}: {checked.words or 'cannot be loaded'}")
        for deviation in checked.deviations:
            print(f"{file}: {deviation}")
            status = 1
    return status


def _export(arguments: argparse.Namespace) -> None:
    from mcgen import results

    print(f"wrote {results.export(arguments.file, arguments.output, arguments.overwrite, arguments.temperature)}")
