"""Write runs as they are drawn, for runs that do not fit into memory, or are to survive."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcgen import checks
from mcgen.errors import FileError, InputError
from mcgen.parallel import ALONE, World
from mcgen.results import unfinished
from mcgen.results.files import check_output, uninterrupted, written_beside
from mcgen.results.keeper import Keeper
from mcgen.results.sample_writer import SampleWriter
from mcgen.results.study import Study


@contextlib.contextmanager
def stream_samples(
    path: str | Path,
    n_draws: int,
    n_temperatures: int = 1,
    overwrite: bool = False,
    configuration: dict | None = None,
    *,
    checkpoint_every: float | None = None,
    resume: bool = False,
    beside: Study | None = None,
    not_settings: Sequence[str] = (),
    world: World = ALONE,
    swmr: bool = False,
) -> Iterator[SampleWriter]:
    """Write the blocks of `ising.stream` or `rbm.stream` to a file that holds what `save` would write of the whole run.

    The file is written beside the path and gets its name at the end of the `with` statement. If draws are missing then,
    as after Ctrl-C or on a full disk, it has the status "interrupted" and holds the temperatures that are complete or,
    where there are none, the draws so far. Without any draw, and after any other exception, there is no file.

    With checkpoints, what is drawn so far lies in an unfinished file `PATH.part` that opens like a finished one, at any
    moment and whenever the process is killed: see `mcgen.results.unfinished`. It goes when the run is complete.

    At most 16 MB of states are held, or one state of each chain, and the energies and magnetisations of the
    temperatures being drawn: 16 bytes for each draw of each chain.

    Parameters
    ----------
    path : str or Path
    n_draws : int
        Draws of each chain at each temperature.
    n_temperatures : int
        Or models.
    overwrite : bool
        Whether a file that is there may be replaced.
    configuration : dict, optional
        All settings of the run, kept as JSON in the root attribute `configuration`.
    checkpoint_every : float, optional
        Seconds between checkpoints; 60 if `resume` is true, otherwise by default there are none. They need blocks that
        are appended together with the stream that they come from.
    resume : bool
        Whether a run with the same configuration that has not ended is gone on with: its draws are there already, and
        `n_complete` and `state` of the writer say with what to go on. Without such a run, a new one begins.
    beside : Study, optional
        For draws of models: the temperatures, if the models have any, and the lattice.
    not_settings : sequence of str
        Of the configuration, what the draws do not depend on: a run that is resumed may differ in it.
    world : World
        The ranks that draw the other chains, each into a file of its own: with checkpoints the `Agreements` of
        `mcgen.agreements`, which are kept, too. All ranks go on, or all begin.
    swmr : bool
        Whether other processes read every block as soon as it is appended, in `PATH.part`, by `results.follow` or by
        `h5py.File(..., swmr=True)`: see `mcgen.results.live`. Such a file has no checkpoints.

    Yields
    ------
    SampleWriter
        With the method `append(block)`.

    Raises
    ------
    FileError
        If the path exists and overwrite is false, or cannot be written, or the disk is full; if the run cannot be
        resumed because it is complete, had another configuration, or the file is not one of a run.
    InputError
        If a number is too small, nothing was appended, or a block does not fit to the others.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from mcgen import ising, results
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.h5"
    >>> with results.stream_samples(path, n_draws=500, n_temperatures=2) as file:
    ...     for seed, temperature in enumerate((2.0, 3.0)):
    ...         for block in ising.stream(ising.Ising((4, 4)), temperature, n_chains=16, n_draws=500, seed=seed):
    ...             file.append(block)
    >>> [run.states.shape for run in results.load(path)]
    [(16, 500, 4, 4), (16, 500, 4, 4)]

    A run that goes on where it was killed, if it was:

    >>> path = path.with_name("survivor.h5")
    >>> with results.stream_samples(path, n_draws=500, checkpoint_every=60, resume=True) as file:
    ...     blocks = ising.stream(ising.Ising((4, 4)), 2.0, n_chains=16, n_draws=500, seed=1, resume=file.state)
    ...     for block in blocks:
    ...         file.append(block, blocks)
    >>> results.load(path).energy.shape
    (16, 500)
    """
    n_draws = checks.integer("n_draws", n_draws, 1)
    n_temperatures = checks.integer("n_temperatures", n_temperatures, 1)
    if resume and checkpoint_every is None:
        checkpoint_every = unfinished.SECONDS_BETWEEN_CHECKPOINTS
    if checkpoint_every is not None:
        checks.not_negative("checkpoint_every", checkpoint_every)
    if swmr and checkpoint_every is not None:
        raise InputError(
            "swmr=True lets others read one file as it grows, which has no checkpoints; leave one of both out"
        )
    path, known, interrupt = Path(path), None, None
    with contextlib.ExitStack() as ending:
        if checkpoint_every is None and not swmr:
            check_output(path, overwrite)
        else:
            settings = {name: value for name, value in (configuration or {}).items() if name not in not_settings}
            known = unfinished.found(path, settings, overwrite, resume)
            ending.enter_context(unfinished.claimed(path))
            if known is None:
                unfinished.discard(path)
        keeper = None if checkpoint_every is None else Keeper(path, checkpoint_every, configuration, known)
        kept = None if keeper is None else unfinished.part_of(path)
        with written_beside(path, keeper and keeper.segments.current, kept) as place:
            first_place = unfinished.part_of(path) if swmr else place
            writer = SampleWriter(first_place, n_draws, n_temperatures, keeper, beside, world)
            if swmr:
                writer.share(configuration or {}, place)
            try:
                if known is not None:
                    writer.go_on(known)
                try:
                    yield writer
                except (KeyboardInterrupt, FileError) as caught:
                    interrupt = caught
                ending.enter_context(uninterrupted())  # until the file has its name
                if interrupt:
                    with contextlib.suppress(FileError):
                        writer.keep("interrupted")
                if not writer.close(configuration):
                    raise _without_draws(path, interrupt)
            finally:
                writer.file.close()
        if swmr or (keeper is not None and writer.kept == (n_temperatures, n_draws)):
            unfinished.discard(path)
    if interrupt:
        raise interrupt


def _without_draws(path: Path, interrupt: BaseException | None) -> BaseException:
    """What to say where there is no draw to keep."""
    if interrupt is None:
        return InputError(f"{path} would hold no draws; append the blocks of a stream")
    if isinstance(interrupt, KeyboardInterrupt) and unfinished.part_of(path).exists():
        part = unfinished.part_of(path)
        return type(interrupt)(f"stopped before the first draw; {part} keeps the burn-in: go on with --resume")
    return interrupt
