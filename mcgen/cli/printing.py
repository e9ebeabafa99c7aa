"""Commands that print what they find of each model, and go on where they were killed."""

import argparse
import sys
from collections.abc import Callable, Iterator

from mcgen import interruption


def print_of_models(
    arguments: argparse.Namespace, name: str, what: tuple, n_models: int, lines: Callable[[int], Iterator[str]]
) -> int:
    """Print the lines of one model after the other, and keep what is done: see `mcgen.results.kept_loops`.

    Parameters
    ----------
    arguments : argparse.Namespace
        With those of `arguments.kept_arguments`.
    name : str
        Of the command.
    what : tuple
        All that the lines depend on: arrays, numbers and names.
    n_models : int
    lines : callable
        lines(k) finds those of model k.

    Returns
    -------
    int
        The exit status.
    """
    from mcgen import long_sums, results

    path = arguments.checkpoint or f"{arguments.file}.{name}.checkpoint"
    kept, identity = None, long_sums.fingerprint(name, n_models, *what)
    again = arguments.overwrite, arguments.resume, arguments.checkpoint_every
    try:
        with results.kept_loops(path, identity, *again) as kept:
            for text in kept.results:
                print(text)
            for k in range(len(kept.results), n_models):
                found = []
                for line in lines(k):
                    print(line, flush=True)
                    found.append(line)
                kept.complete("\n".join(found))
    except KeyboardInterrupt as stopped:
        if kept is None or not kept.results:
            raise
        print(f"interrupted: {len(kept.results)} of {n_models} models")
        print(f"mcgen: {stopped}", file=sys.stderr)
        return interruption.exit_status()
    return 0


def arrays_of(study) -> list:  # noqa: ANN001 - NumPy is imported late
    """All arrays that models are made of, the names of their units, and the chains of their training."""
    arrays = [part for model in study.models for part in (repr(model), *model.parameters)]
    return arrays + [trained.chains for trained in study.trained]
