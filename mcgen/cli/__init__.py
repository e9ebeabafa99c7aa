"""The `mcgen` command.

Numbers go to standard output, progress to standard error. A bad argument, file or size ends with one line that names
the value, the limit and the way out, and exit status 2. Rooms are imported inside the commands: `mcgen --help` is
quick, and the matrix kernels can be chosen before NumPy is there.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence

from mcgen import interruption
from mcgen.cli import blas_kernels, files, ising, rbm, run, vae
from mcgen.cli.arguments import Parser, command, output_arguments
from mcgen.errors import InputError, McgenError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `mcgen` command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, 2 after an error that a message explains, 130 after Ctrl-C, 143 after SIGTERM, 75 after the
        time limit: try again, with --resume. That of `mcgen check` says more.

    Examples
    --------
    >>> from mcgen.cli import main
    >>> main(["ising", "exact", "--shape", "2", "2", "--temperature", "2.0"])
    T = 2, by enumeration
    log Z                          4.7977137475
    free energy per site          -2.3988568737
    energy per site               -1.8008253628
    heat capacity per site         0.3610959875
    entropy per site               0.2990157554
    |magnetization| per site       0.9337091730
    susceptibility per site        1.8344240106
    0
    """
    blas_kernels.choose()
    arguments = parser().parse_args(argv)
    from mcgen import parallel

    warnings.showwarning = _show_warning
    world = parallel.ALONE
    try:
        world = parallel.world()
        if world.size > 1 and not getattr(arguments, "in_parts", False):
            raise InputError(
                f"this command does not share its work out among {world.size} ranks; run it without mpiexec"
            )
        parallel.list_processes(world)
        # Rank 0 looks at the clock for all.
        time_limit = None if world.rank else getattr(arguments, "time_limit", None)
        with interruption.handled(time_limit), parallel.quiet_unless_first(world):
            return arguments.run(arguments) or 0
    except McgenError as error:
        parallel.end_all(world, error, 2)
        print(f"mcgen: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        parallel.end_all(world, error, 1)
        raise
    except KeyboardInterrupt as interrupt:
        parallel.end_all(world, interrupt, interruption.exit_status())
        print(f"mcgen: {str(interrupt) or 'interrupted; nothing was written'}", file=sys.stderr)
        return interruption.exit_status()


def _show_warning(message: Warning, *_: object, **__: object) -> None:
    print(f"mcgen: warning: {message}", file=sys.stderr)


def parser() -> Parser:
    """The parser of the whole command."""
    top = Parser(prog="mcgen", description="Monte Carlo for physics, checked against exact partition functions.")
    rooms = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    ising.add_commands(rooms)
    rbm.add_commands(rooms)
    vae.add_commands(rooms)
    files.add_commands(rooms)
    words = "Show what a file holds, with exact values beside it: as an HTML page or as one figure."
    report = command(rooms, "report", _report, words, "mcgen report rbm.h5 --output report.html")
    report.add_argument("file", help="any HDF5 file written by mcgen")
    words = "of VAEs: rows of data to show in the latent plane (default: configurations that the model generates)"
    report.add_argument("--data", default=None, help=words)
    output_arguments(report, ending=".html", words=": .html for a page, .png, .pdf or .svg for one figure")
    run.add_command(rooms)
    words = "Make one plain file of the files that several ranks have written."
    merge = command(rooms, "merge", _merge, words, "mcgen merge run.h5 --output plain.h5")
    merge.add_argument("file", help="HDF5 file that is the index of others")
    output_arguments(merge)
    command(rooms, "info", _info, "Print versions, devices and libraries.", "mcgen info")
    return top


def _report(arguments: argparse.Namespace) -> None:
    from mcgen import report

    print(f"wrote {report.report(arguments.file, arguments.output, arguments.overwrite, arguments.data)}")


def _merge(arguments: argparse.Namespace) -> None:
    from mcgen import results

    print(f"wrote {results.merge(arguments.file, arguments.output, arguments.overwrite)}")


def _info(arguments: argparse.Namespace) -> None:
    from mcgen import info

    print(info.describe())
    print(blas_kernels.describe())
