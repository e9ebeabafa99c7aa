"""Checkpoints of computations whose results are printed: a file beside what they read, gone when they are complete."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from mcgen import checks, hdf5, loops
from mcgen.errors import FileError
from mcgen.results import unfinished
from mcgen.results.files import uninterrupted, written_beside
from mcgen.results.trees import load_tree, write_tree


@contextlib.contextmanager
def kept_loops(
    path: str | Path,
    identity: str,
    overwrite: bool = False,
    resume: bool = False,
    checkpoint_every: float = unfinished.SECONDS_BETWEEN_CHECKPOINTS,
) -> Iterator["KeptLoops"]:
    """Keep what the long loops of a computation have reached, and the results of those that are complete.

    The file is written first after so many seconds, so that short computations leave none, and when the computation is
    interrupted. It is replaced as a whole: whenever the process is killed, the checkpoint before is there.

    Parameters
    ----------
    path : str or Path
        Of the checkpoint.
    identity : str
        Of the computation, from `mcgen.long_sums.fingerprint`: another one cannot go on from its checkpoint.
    overwrite, resume : bool
        Whether a checkpoint that is there may be replaced; whether it is gone on with.
    checkpoint_every : float
        Seconds between checkpoints.

    Yields
    ------
    KeptLoops

    Raises
    ------
    FileError
        If a checkpoint is there and neither is true, or it is of another computation, or cannot be read or written.
    KeyboardInterrupt
        After Ctrl-C; the message says where the computation is kept.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from mcgen import rbm, results
    >>> from mcgen.long_sums import fingerprint
    >>> path, model = pathlib.Path(tempfile.mkdtemp()) / "ais.checkpoint", rbm.RBM.random(16, 8, seed=1)
    >>> with results.kept_loops(path, fingerprint("ais", *model.parameters), resume=True) as kept:
    ...     estimate = rbm.partition.ais(model, n_runs=32, n_temperatures=50, seed=5)
    >>> path.exists()
    False
    """
    checks.not_negative("checkpoint_every", checkpoint_every)
    path = Path(path)
    if not path.parent.is_dir():
        raise FileError(f"{path}: there is no folder {path.parent}; make it, or choose another checkpoint")
    with unfinished.claimed(path):
        unfinished.part_of(path).unlink(missing_ok=True)  # of a process that was killed while it wrote
        of_sum = path.with_name(path.name + "-sum")
        kept = KeptLoops(path, of_sum, identity, checkpoint_every, _found(path, of_sum, identity, overwrite, resume))
        try:
            with loops.noted(kept.journal):
                yield kept
        except KeyboardInterrupt as interrupt:
            if not (kept.results or kept.journal.notes or of_sum.exists()):
                raise
            kept.write()
            raise type(interrupt)(f"stopped; {path} keeps what is done: go on with --resume") from None
        path.unlink(missing_ok=True)


class KeptLoops:
    """The checkpoint of a computation: see `kept_loops`.

    Attributes
    ----------
    results : list of str
        Of the parts that are complete.
    journal : loops.Journal
        Of the part that is not.
    """

    def __init__(self, path: Path, of_sum: Path, identity: str, every: float, earlier: dict):
        self.results: list[str] = earlier["results"]
        self.journal = loops.Journal(earlier["notes"], self._written, of_sum)
        self._path, self._identity, self._every, self._last = path, identity, every, time.monotonic()

    def complete(self, result: str) -> None:
        """A part of the computation is complete, and the next one begins."""
        with uninterrupted():
            self.results.append(result)
            self.journal.notes.clear()
            self.journal.n_begun = 0
            self._written()

    def write(self) -> None:
        """Write the checkpoint now."""
        with (
            uninterrupted(),
            written_beside(self._path, unfinished.part_of(self._path)) as beside,
            hdf5.NewFile(beside) as file,
        ):
            file.attrs.update({"mcgen": "checkpoint", "identity": self._identity})
            write_tree(file, "loops", {"results": self.results, "notes": self.journal.notes})
        self._last = time.monotonic()

    def _written(self) -> None:
        if time.monotonic() - self._last >= self._every:
            self.write()


def _found(path: Path, of_sum: Path, identity: str, overwrite: bool, resume: bool) -> dict:
    """What there is of the computation."""
    nothing: dict[str, list] = {"results": [], "notes": []}
    there = [one for one in (path, of_sum) if one.exists()]
    if there and not (overwrite or resume):
        raise FileError(
            f"{there[0]} is there, of a computation that has not ended; go on with it (resume=True, --resume), or "
            "start anew (overwrite=True, --overwrite)"
        )
    if not resume:
        for one in there:
            one.unlink()
    if path not in there or not resume:
        return nothing
    if not hdf5.is_hdf5(path):
        raise FileError(f"{path} is not a checkpoint of mcgen's; delete it, or choose another")
    attributes, earlier = load_tree(path, "loops")
    if not isinstance(earlier, dict) or earlier.keys() != nothing.keys():
        raise FileError(f"{path} is not a checkpoint of mcgen's; delete it, or choose another")
    if attributes.get("identity") == identity:
        return earlier
    if overwrite:
        of_sum.unlink(missing_ok=True)
        return nothing
    raise FileError(
        f"{path} is the checkpoint of a computation with other settings or models; give the same ones to go on, start "
        "anew (overwrite=True, --overwrite), or choose another checkpoint"
    )
