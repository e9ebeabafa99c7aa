"""Write runs as they are drawn, for runs that do not fit into memory, or are to survive."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py

from mcgen import checks, hdf5
from mcgen.blocks import Blocks
from mcgen.errors import FileError, InputError
from mcgen.parallel import ALONE, World
from mcgen.results import samples, unfinished
from mcgen.results.files import check_output, check_room, sign, uninterrupted, written_beside
from mcgen.results.groups import Group
from mcgen.results.keeper import Keeper
from mcgen.results.live import Live
from mcgen.results.loading import load_study
from mcgen.results.runs import Run, common_settings, without_draws
from mcgen.results.saving import write_study
from mcgen.results.segments import put_together
from mcgen.results.study import Study, as_study, check_alike, of_samples, own_configuration


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
) -> Iterator["SampleWriter"]:
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


class SampleWriter:
    """A file of samples under construction: see `stream_samples`.

    Parameters
    ----------
    place : Path
        Where the file is written.
    n_draws, n_temperatures : int
    keeper : Keeper, optional
        Of the checkpoints.
    beside : Study, optional
        Temperatures and lattice of models.
    world : World
        The ranks that draw the other chains.

    Attributes
    ----------
    kept : tuple of int
        After the end, how many temperatures and draws the file has.
    n_complete : int
        Temperatures that have all their draws.
    state : dict or None
        Of the stream at the temperature after these, where it goes on; None if it is yet to begin.
    earlier : tuple of Samples
        The temperatures that were complete when the run went on, without states.
    file : hdf5.NewFile
        What is being written.
    """

    def __init__(
        self,
        place: Path,
        n_draws: int,
        n_temperatures: int,
        keeper: Keeper | None = None,
        beside: Study | None = None,
        world: World = ALONE,
    ):
        self.kept, self.state, self.earlier = (0, 0), None, ()
        self.file = hdf5.NewFile(place)
        self._n_draws, self._n_temperatures, self._beside, self._keeper = n_draws, n_temperatures, beside, keeper
        self._complete: list[samples.Samples] = []  # without draws
        self._drawn: list[Run] = []  # those being drawn, or drawn last
        self._unkept: list[Run] = []  # complete since the last checkpoint
        self._live: Live | None = None
        self._shared: tuple[dict, Path] | None = None  # where others read the file: configuration, and the last place
        self._like: samples.Samples | None = None  # a block without draws
        self._keeps_states, self._can_go_on, self._n_together = False, False, 1
        self._world, self._agreed = world, None  # what the ranks had agreed on when the stream had its state

    @property
    def n_complete(self) -> int:
        """Temperatures that have all their draws."""
        return len(self._complete)

    @property
    def runs(self) -> list[samples.Samples]:
        """The temperature being drawn, or drawn last, without its states; of tempering all temperatures."""
        return [run.without_states() for run in self._drawn]

    def share(self, configuration: dict, place: Path) -> None:
        """Let other processes read the file from the first block on; at the end its draws are taken over elsewhere."""
        name = self.file.filename
        self.file.close()
        self.file, self._shared = h5py.File(name, "w", libver="latest"), (configuration, place)

    def append(self, block: samples.Samples | Sequence[samples.Samples], stream: Blocks | None = None) -> None:
        """Write the next draws of the current temperature or, once that has all its draws, the first of the next.

        Parameters
        ----------
        block : ising.Samples, a list of one for each temperature, or rbm.Samples
            From `ising.stream` or `rbm.stream`.
        stream : Blocks, optional
            Where the block comes from: its state is kept, for checkpoints.

        Raises
        ------
        InputError
            If the block has more draws than are missing, or differs from the others in chains, lattice or settings.
        FileError
            If the disk is full; let it end the `with` statement, which keeps the draws so far.
        """
        blocks = list(block) if isinstance(block, Sequence) else [block]
        check_alike("temperatures", blocks, of_samples)
        keeps_states = blocks[0].states.shape[1] > 0
        if self._like is not None:
            both = [common_settings(self._like, self._keeps_states), common_settings(blocks[0], keeps_states)]
            check_alike("blocks", both, dict)
        if not self._drawn or self._drawn[0].n_missing == 0:
            self._begin(blocks, keeps_states)
        n_new, n_missing = samples.series_shape(blocks[0])[1], self._drawn[0].n_missing
        if len(blocks) != len(self._drawn) or n_new > n_missing:
            raise InputError(
                f"a block of {n_new} draws of {len(blocks)} temperatures does not fit: {n_missing} draws of "
                f"{len(self._drawn)} temperatures are missing; give the n_draws of ising.stream"
            )
        # Room for the blocks, and for what is held when the run ends.
        check_room(self.file, sum(one.states.nbytes for one in blocks) + sum(run.n_bytes for run in self._drawn))
        with uninterrupted():
            n_before = self._drawn[0].n
            if self._live is not None:
                self._live.make_room(n_before + n_new)
            for run, one in zip(self._drawn, blocks, strict=True):
                run.append(one)
            if n_new == n_missing:
                for run in self._drawn:
                    run.flush()
            elif self._live is not None:
                for run in self._drawn:
                    run.write_through(n_before)
            if self._live is not None:
                self._live.show(self._drawn)
            if n_new == n_missing:
                self._unkept += self._drawn if self._keeper is not None else []
                self._complete += [run.latest for run in self._drawn]
            if self._shared is None:  # HDF5 itself writes a file that others read
                self.file.check_writes()
            self._note(stream)

    def checkpoint(self, stream: Blocks) -> None:
        """Between blocks, as after a piece of burn-in: keep the state of the stream, if it is time."""
        with uninterrupted():
            self._note(stream)

    def keep(self, status: str = "running") -> None:
        """Write a checkpoint now, if the states of the streams are known.

        Parameters
        ----------
        status : {"running", "interrupted"}
        """
        if self._keeper is None or not self._can_go_on:
            return
        runs = [run for run in self._drawn if run.n_missing]
        for run in (*self._unkept, *runs):
            self._keeper.add(self.file, run)
        self._unkept = []
        if self._keeper.stretches and self._keeper.stretches[-1].segment == self._keeper.segments.count:
            self.file.close()
            self._keeper.segments.keep()
            self.file = hdf5.NewFile(self._keeper.segments.current)
            self._create()
        heads, n_draws = self._shown()
        more = {"n_complete": self.n_complete, "n": runs[0].n if runs else 0, "keeps_states": self._keeps_states}
        more |= {"n_together": self._n_together, "state": self.state, "agreed": self._agreed}
        study = self._study(heads) if heads else None
        self._keeper.write(status, study, n_draws, self._group if heads else None, runs, more)

    def go_on(self, known: Path) -> None:
        """Take up the draws of the run whose unfinished file this is."""
        checkpoint = self._keeper.checkpoint
        try:
            self.state, self._keeps_states = checkpoint["state"], bool(checkpoint["keeps_states"])
            n_complete, n, self._n_together = (checkpoint[name] for name in ("n_complete", "n", "n_together"))
            self._can_go_on = True
            if self._world.remembers:
                self._agreed = checkpoint["agreed"]
                self._world.go_on(self._agreed)
            if not (n_complete or n):  # still in burn-in
                return
            there = load_study(known, keep_states=False).samples
            self.earlier, heads = there[:n_complete], [without_draws(run) for run in there]
            self._like, self._complete = heads[0], heads[:n_complete]
            self._create()
            if n:
                latest = heads if n_complete == 0 else [self._like] * self._n_together
                self._drawn = [self._run(n_complete + k, one) for k, one in enumerate(latest)]
            for run in self._drawn:
                held = checkpoint["held"][f"{run.k:06d}"] if self._keeps_states else None
                run.go_on(n, held, self._keeper.parts(run.k, [*samples.series_of(self._like)]))
        except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{known} cannot be resumed ({error}); give another output, or overwrite it") from error

    def close(self, configuration: dict | None) -> bool:
        """Cut the file to what is to be kept, and write what it keeps beside the draws.

        Parameters
        ----------
        configuration : dict or None

        Returns
        -------
        bool
            Whether there is anything to keep.
        """
        heads, n_draws = self._shown()
        if not heads:
            return False
        parts = [] if self._keeper is None else self._keeper.segments.paths()
        if self._live is not None:  # nothing else can be made in a file that others read
            parts = [Path(self.file.filename)]
            self.file.close()
            self.file = hdf5.NewFile(self._shared[1])
            self._create()
        put_together(self._group.hdf, parts)
        if not self._complete:
            for run in self._drawn:
                run.flush()
        self.kept = (len(heads), n_draws)
        group = self._group
        for dataset in list(group.hdf.values()):  # so far only draws
            if group.axis:
                dataset.resize(len(heads), axis=0)
            dataset.resize(n_draws, axis=2 if group.axis else 1)
        study = self._study(heads)
        write_study(self.file, study, group)
        is_complete = self.kept == (self._n_temperatures, self._n_draws)
        configuration = own_configuration(study) if configuration is None else configuration
        sign(self.file, configuration, "complete" if is_complete else "interrupted")
        return True

    def _note(self, stream: Blocks | None) -> None:
        """Remember where the stream is, and write a checkpoint if it is time."""
        if self._keeper is None or not hasattr(stream, "state"):
            return
        # The state of the last temperature is kept at its end, so that its stream goes on with nothing.
        another_begins = stream.n_missing == 0 and self.n_complete < self._n_temperatures
        self.state, self._can_go_on = None if another_begins else stream.state(), True
        self._agreed = self._world.state() if self._world.remembers else None
        if self._keeper.is_due:
            self.keep()

    def _shown(self) -> tuple[list[samples.Samples], int]:
        """The temperatures, without their draws, that a file that ends here has, and how many draws of each."""
        if self._complete:
            return self._complete, self._n_draws
        n_draws = min((run.n for run in self._drawn), default=0)
        return ([run.latest for run in self._drawn], n_draws) if n_draws else ([], 0)

    def _study(self, heads: list[samples.Samples]) -> Study:
        study = as_study(heads)
        if self._beside is None:
            return study
        temperatures = self._beside.temperatures[: len(heads)]
        return dataclasses.replace(study, temperatures=temperatures, lattice=self._beside.lattice)

    def _begin(self, blocks: list[samples.Samples], keeps_states: bool) -> None:
        """Make room for the draws of the next temperature, or of all."""
        n_complete, n_all = self.n_complete, self._n_temperatures
        if len(blocks) not in (1, n_all) or n_complete + len(blocks) > n_all:
            raise InputError(
                f"a block of {len(blocks)} temperatures after {n_complete} complete ones does not fit to "
                f"n_temperatures={n_all}; append one after the other, or the lists of tempering"
            )
        if self._like is None:
            self._like, self._keeps_states, self._n_together = without_draws(blocks[0]), keeps_states, len(blocks)
            self._create()
            if self._shared is not None:
                self._live = Live(self._group, self._n_temperatures, self._shared[0])
        self._drawn = [self._run(n_complete + k, without_draws(one)) for k, one in enumerate(blocks)]

    def _run(self, k: int, head: samples.Samples) -> Run:
        per_chunk = samples.draws_per_chunk(head, self._n_draws, self._n_together)
        return Run(self._group, k, head, self._n_draws, per_chunk, self._keeps_states)

    def _create(self) -> None:
        """Make the empty datasets of a file, or of the next segment."""
        if self._like is None:
            return
        axis = "" if self._n_temperatures == 1 else "temperature"
        if self._beside is not None and not self._beside.temperatures:
            axis = axis and "entry"
        self._group = Group(self.file, "samples", axis)
        together = self._n_together, self._keeps_states
        samples.create(self._group, self._like, self._n_draws, self._n_temperatures, *together)
        for run in self._drawn:
            run.group = self._group
