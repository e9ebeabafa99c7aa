"""What commands do where `mpiexec` has started several of them: each draws its share, and rank 0 makes one of all."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mcgen.cli.arguments import CHECKPOINT_EVERY, configuration
from mcgen.errors import InputError

if TYPE_CHECKING:  # imported late, as NumPy is
    from mcgen.parallel import World


def refuse_survival(arguments: argparse.Namespace, world: "World") -> None:
    """Raise `InputError` if draws of several ranks are to be kept before the run is complete, or gone on with.

    A rank that goes on with its draws would wait for sums over ranks that others have behind them already.
    """
    given = {
        "--resume": arguments.resume,
        "--checkpoint-every": arguments.checkpoint_every != CHECKPOINT_EVERY,
        "--time-limit": arguments.time_limit is not None,
    }
    for option, is_given in given.items():
        if is_given and world.size > 1:
            raise InputError(
                f"{option} needs checkpoints, which draws of {world.size} ranks do not have; leave it out, or run the "
                "command without mpiexec, to the same numbers"
            )


def draw_in_parts(
    arguments: argparse.Namespace,
    world: "World",
    n_entries: int,
    chains_together: int,
    draw: Callable[[Path, slice, "World"], None],
    divided: bool = True,
) -> None:
    """Draw this rank's share of a run into a file of its own; rank 0 then writes the index of all files.

    Parameters
    ----------
    arguments : Namespace
        Of the command, with chains, output and overwrite.
    world : World
    n_entries : int
        Temperatures, or models.
    chains_together : int
        Chains that are not divided.
    draw : callable
        draw(path, entries, column) draws the entries (a slice) into the file; `column` is the world of the ranks among
        which their chains are shared out.
    divided : bool
        Whether ranks may have some of the entries; those of a ladder of temperatures stay together.
    """
    from mcgen import results
    from mcgen.parallel import cut, grid

    results.check_output(arguments.output, arguments.overwrite)
    n_groups = -(-arguments.chains // chains_together)
    own = grid(n_entries if divided else 1, n_groups, world)
    entries = own.temperatures if divided else slice(0, n_entries)
    column = world.split(own.column)
    part = None
    if own.column >= 0:
        path = results.file_of_rank(arguments.output, configuration(arguments), world.rank, world.size)
        draw(path, entries, column)
        part = results.RankFile(path, entries, cut(arguments.chains, chains_together, own.groups))
    parts = [one for one in world.gather(part) if one is not None]
    if world.rank == 0:
        results.write_index(arguments.output, parts, arguments.overwrite, configuration(arguments))
        idle = f" of {world.size} ranks: the others had nothing to do" * (len(parts) < world.size)
        print(f"wrote {arguments.output}, the index of {len(parts)} files{idle}; 'mcgen merge' makes one of them")
    world.wait()
