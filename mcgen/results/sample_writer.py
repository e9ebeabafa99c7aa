"""A file of samples under construction: blocks of draws go in, checkpoints and the finished file come out."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import h5py

from mcgen import hdf5
from mcgen.blocks import Blocks
from mcgen.errors import FileError, InputError
from mcgen.parallel import ALONE, World
from mcgen.results import samples
from mcgen.results.files import check_room, sign, uninterrupted
from mcgen.results.groups import Group
from mcgen.results.keeper import Keeper
from mcgen.results.live import Live
from mcgen.results.loading import load_study
from mcgen.results.runs import Run, common_settings, without_draws
from mcgen.results.saving import write_study
from mcgen.results.segments import put_together
from mcgen.results.study import Study, as_study, check_alike, of_samples, own_configuration


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
