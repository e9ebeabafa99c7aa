"""Checkpoints of trainings: the unfinished file of a command that trains models, one after the other."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mcgen import checks
from mcgen.results import unfinished
from mcgen.results.files import uninterrupted
from mcgen.results.loading import load_study
from mcgen.results.saving import save
from mcgen.results.study import Study


@contextlib.contextmanager
def kept_trainings(
    path: str | Path,
    configuration: dict,
    not_settings: tuple[str, ...] = (),
    overwrite: bool = False,
    resume: bool = False,
    checkpoint_every: float = unfinished.SECONDS_BETWEEN_CHECKPOINTS,
) -> Iterator["KeptTrainings"]:
    """Keep trainings in an unfinished file beside their output: see `mcgen.results.unfinished`.

    Parameters
    ----------
    path : str or Path
        Of the output.
    configuration : dict
        All settings of the run, kept as JSON in the root attribute `configuration`.
    not_settings : tuple of str
        Those of them that the results do not depend on.
    overwrite, resume : bool
        Whether an output that is there may be replaced, and a run that has not ended be gone on with.
    checkpoint_every : float
        Seconds between checkpoints.

    Yields
    ------
    KeptTrainings

    Raises
    ------
    FileError
        As `mcgen.results.unfinished.found`.
    KeyboardInterrupt
        After Ctrl-C; where the trainings are kept, the message says so.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from mcgen import rbm, results
    >>> path, v = pathlib.Path(tempfile.mkdtemp()) / "rbm.h5", [[0, 1], [1, 0]]
    >>> settings = {"epochs": 5, "seed": 1}
    >>> with results.kept_trainings(path, settings, resume=True) as kept:
    ...     before = kept.earlier.trained[0] if kept.earlier.trained else None
    ...     trained = rbm.train(
    ...         rbm.RBM.random(2, 1, seed=1), v, **settings, resume=before,
    ...         checkpoint=lambda so_far: kept.checkpoint(lambda: results.as_study(so_far())),
    ...     )
    ...     _ = kept.finish(results.as_study(trained))
    >>> len(results.load(path).history["epoch"])
    5
    """
    checks.not_negative("checkpoint_every", checkpoint_every)
    settings = {name: value for name, value in configuration.items() if name not in not_settings}
    known = unfinished.found(path, settings, overwrite, resume)
    with unfinished.claimed(path):
        if known is None:
            unfinished.discard(path)
        earlier = Study() if known is None else load_study(known)
        kept = KeptTrainings(Path(path), configuration, checkpoint_every, earlier)
        try:
            yield kept
        except KeyboardInterrupt as interrupt:
            part = unfinished.part_of(path)
            if not part.exists():
                raise
            raise type(interrupt)(f"stopped; {part} keeps what is done: go on with --resume") from None


class KeptTrainings:
    """The unfinished file of trainings: see `kept_trainings`.

    Attributes
    ----------
    earlier : Study
        What there was; empty of a new run.
    """

    def __init__(self, path: Path, configuration: dict, every: float, earlier: Study):
        self.earlier = earlier
        self._path, self._configuration, self._every = path, configuration, every
        self._last: float | None = None

    def checkpoint(self, study: Callable[[], Study]) -> None:
        """Write what there is, if it is time: at the first call, and then every so many seconds.

        Parameters
        ----------
        study : callable
            Gives what there is.
        """
        if self._last is None or time.monotonic() - self._last >= self._every:
            self._write(study(), "running")

    def finish(self, study: Study, interrupted: bool = False, so_far: Study | None = None) -> Path:
        """Write the output.

        Parameters
        ----------
        study : Study
        interrupted : bool
            Whether the run is to go on some time: the unfinished file then stays.
        so_far : Study, optional
            What that one is to hold, if it is more than the output.

        Returns
        -------
        Path
        """
        if interrupted:
            self._write(study if so_far is None else so_far, "interrupted")
            return save(self._path, study, True, self._configuration, "interrupted")
        with uninterrupted():
            self._write(study, "complete")
            os.replace(unfinished.part_of(self._path), self._path)  # noqa: PTH105 - the atomic rename is the point
        return self._path

    def _write(self, study: Study, status: str) -> None:
        with uninterrupted():
            save(unfinished.part_of(self._path), study, True, self._configuration, status)
        self._last = time.monotonic()
