"""How far the files of the ranks of a run have come that has not ended, and how many ranks have begun it."""

import glob
import re
from pathlib import Path
from typing import NamedTuple

from mcgen.errors import FileError
from mcgen.results.ranks import file_of_rank
from mcgen.results.trees import load_tree
from mcgen.results.unfinished import discard, part_of


class Stage(NamedTuple):
    """How far the file of a rank has come.

    n_draws, n_all : int
        Draws of each chain, of all its temperatures together, that it has, and that it is to have.
    is_there, is_complete : bool
        Whether there is anything to go on from; whether the file is a finished one.
    """

    n_draws: int
    n_all: int
    is_there: bool
    is_complete: bool


def stage(path: str | Path, n_entries: int, n_draws: int) -> Stage:
    """How far the file of a rank has come, as its last checkpoint says.

    Parameters
    ----------
    path : str or Path
    n_entries, n_draws : int
        Temperatures, or models, and draws of each chain that it is to have.

    Examples
    --------
    >>> from mcgen.results.stages import stage
    >>> stage("nothing.h5", n_entries=2, n_draws=100)
    Stage(n_draws=0, n_all=200, is_there=False, is_complete=False)
    """
    path, n_all = Path(path), n_entries * n_draws
    for one in (part_of(path), path):
        if not one.exists():
            continue
        try:
            attributes, known = load_tree(one, "checkpoint")
            if attributes.get("status") == "complete":
                return Stage(n_all, n_all, True, True)
            if known is not None:
                n_together, n = known.get("n_together", 1), known.get("n", 0)
                return Stage(known.get("n_complete", 0) * n_draws + n_together * n, n_all, True, False)
        except (FileError, TypeError, AttributeError) as error:
            raise FileError(f"{one} cannot be resumed ({error}); delete it, or overwrite it (--overwrite)") from error
    return Stage(0, n_all, False, False)


def check_ranks(path: str | Path, configuration: dict, size: int, overwrite: bool = False) -> None:
    """Raise `FileError` if another number of ranks has begun a run, and only as many can go on with it.

    Parameters
    ----------
    path : str or Path
        Of the output.
    configuration : dict
        All settings of the run.
    size : int
        Ranks that there are.
    overwrite : bool
        Whether to remove what they have begun, instead.
    """
    path = Path(path)
    stem = file_of_rank(path, configuration, 0, 0).name.partition(".rank-")[0]
    for part in sorted(path.parent.glob(f"{glob.escape(stem)}.rank-*-of-*{glob.escape(part_of(path).suffix)}")):
        others = int(re.search(r"-of-(\d+)", part.name).group(1))
        if others == size:
            continue
        if not overwrite:
            raise FileError(
                f"{part} is of a run that {others} ranks have begun, and there {'is' if size == 1 else 'are'} {size}; "
                f"go on with mpiexec -n {others} and --resume, or start anew and overwrite it (--overwrite)"
            )
        discard(part.with_suffix(""))
