"""What commands do where `mpiexec` has started several of them: each draws its share, and rank 0 makes one of all."""

import argparse
import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mcgen import interruption
from mcgen.cli.arguments import NO_SETTINGS
from mcgen.errors import FileError

if TYPE_CHECKING:  # imported late, as NumPy is
    from mcgen.parallel import World
    from mcgen.results.ranks import Stage


def draw_in_parts(
    arguments: argparse.Namespace,
    remembered: dict,
    world: "World",
    n_entries: int,
    chains_together: int,
    draw: Callable[[Callable, slice, "World"], None],
    divided: bool = True,
) -> int:
    """Draw this rank's share of a run into a file of its own; rank 0 then writes the index of all files.

    Each rank keeps checkpoints of its own, and goes on from them. What stops one rank stops all.

    Parameters
    ----------
    arguments : Namespace
        Of the command, with chains, draws, output and the options of survival.
    remembered : dict
        All settings of the run.
    world : World
    n_entries : int
        Temperatures, or models.
    chains_together : int
        Chains that are not divided.
    draw : callable
        draw(opened, entries, column) draws the entries (a slice) into the file that `opened` opens, with the further
        arguments of `results.stream_samples`; `column` is the world of the ranks among which their chains are shared
        out.
    divided : bool
        Whether ranks may have some of the entries; those of a ladder of temperatures stay together.

    Returns
    -------
    int
        Exit status: 0, or that of an interrupted run.
    """
    from mcgen import results
    from mcgen.agreements import Agreements
    from mcgen.parallel import ALONE, cut, grid

    path = _checked(arguments, remembered, world)
    n_groups = -(-arguments.chains // chains_together)
    own = grid(n_entries if divided else 1, n_groups, world)
    entries = own.temperatures if divided else slice(0, n_entries)
    everyone, column = Agreements(world), Agreements(world.split(own.column))
    n_entries = entries.stop - entries.start
    here = results.stage(path, n_entries, arguments.draws) if arguments.resume else None
    is_idle, is_first = own.column < 0, world.rank == 0

    def opened(**settings: object):  # noqa: ANN202 - the rooms are imported late
        return results.stream_samples(
            path, arguments.draws, n_entries, True, remembered,
            checkpoint_every=arguments.checkpoint_every, not_settings=NO_SETTINGS, **settings,
        )  # fmt: skip

    try:
        with interruption.listening(everyone.heard_of_a_stop):
            if arguments.resume:
                _tell_stages(everyone.gather(None if is_idle else here), is_first)
            stages = column.gather(here)
            goes_on = arguments.resume and _all_go_on(stages)
            if goes_on and any(one.is_complete for one in stages):
                column = Agreements(ALONE)  # all have all draws, and nothing to tell each other
            if not (is_idle or (goes_on and here.is_complete)):
                draw(functools.partial(opened, resume=goes_on, world=column), entries, column)
            part = results.RankFile(path, entries, cut(arguments.chains, chains_together, own.groups))
            parts = [one for one in everyone.gather(None if is_idle else part) if one is not None]
    except KeyboardInterrupt:
        everyone.stop_together(interruption.exit_status())
        column.forget_messages()
        if is_first:
            print("mcgen: stopped; the files of the ranks keep what is done: go on with --resume", file=sys.stderr)
        return interruption.exit_status()
    if is_first:
        results.write_index(arguments.output, parts, True, remembered)
        idle = f" of {world.size} ranks: the others had nothing to do" * (len(parts) < world.size)
        print(f"wrote {arguments.output}, the index of {len(parts)} files{idle}; 'mcgen merge' makes one of them")
    world.wait()
    return 0


@contextlib.contextmanager
def in_step(world: "World") -> Iterator[Callable[[], None]]:
    """Ranks that go through the same pieces of work are interrupted after the same one, whichever of them is stopped.

    Yields
    ------
    callable
        To be called by all ranks after each piece.
    """
    if world.size == 1:
        yield lambda: None
        return
    with interruption.waiting() as status:

        def piece_ends() -> None:
            of_all = max(world.gather(status()))
            if of_all:
                interruption.stop(of_all)

        yield piece_ends


def finish_together(file, column: "World") -> None:  # noqa: ANN001 - the rooms are imported late
    """Keep the last draws, and wait until all ranks have: then no rank that is killed will miss another one."""
    file.keep()
    column.wait()


def _checked(arguments: argparse.Namespace, remembered: dict, world: "World") -> Path:
    """The file of this rank, once it is clear that the run may begin, or go on."""
    from mcgen import results
    from mcgen.results import unfinished

    settings = {name: value for name, value in remembered.items() if name not in NO_SETTINGS}
    if world.rank == 0:
        results.check_ranks(arguments.output, remembered, world.size, arguments.overwrite)
    if unfinished.found(arguments.output, settings, arguments.overwrite, arguments.resume) is not None:
        raise FileError(
            f"{arguments.output} was begun by one process; go on with it without mpiexec, or overwrite it (--overwrite)"
        )
    path = results.file_of_rank(arguments.output, remembered, world.rank, world.size)
    if unfinished.part_of(path).exists() and not (arguments.resume or arguments.overwrite):
        raise FileError(
            f"{unfinished.part_of(path)} is there, of a run that has not ended; go on with it (--resume), or start "
            "anew and overwrite it (--overwrite)"
        )
    return path


def _all_go_on(stages: "list[Stage]") -> bool:
    """Whether each of the ranks that share out chains can go on from what it has, and with the others."""
    return all(one.is_there for one in stages) and (
        not any(one.is_complete for one in stages) or all(one.n_draws == one.n_all for one in stages)
    )


def _tell_stages(stages: "list[Stage | None]", is_first: bool) -> None:
    """On standard error: how far the ranks have come that have come the least and the most far."""
    known = {rank: one for rank, one in enumerate(stages) if one is not None and one.is_there}
    missing = [rank for rank, one in enumerate(stages) if one is not None and not one.is_there]
    if not is_first or not known:
        return
    least, most = (rule(known, key=lambda rank: known[rank].n_draws / known[rank].n_all) for rule in (min, max))
    words = [f"rank {rank} has kept {known[rank].n_draws} of {known[rank].n_all} draws" for rank in (least, most)]
    if least == most:
        words = [f"ranks have kept {known[least].n_draws} of {known[least].n_all} draws"]
    if missing:
        words.append(f"rank {missing[0]} has kept nothing, and those that share chains with it begin anew")
    print(f"mcgen: going on: {', '.join(words)}", file=sys.stderr)
