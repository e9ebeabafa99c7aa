"""Write runs of the Ising model as they are drawn, for runs that do not fit into memory."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from mcgen import checks, ising
from mcgen.errors import FileError, InputError
from mcgen.results import models, samples
from mcgen.results.exchange import write_exchange
from mcgen.results.files import check_output, check_room, sign, uninterrupted, written_beside
from mcgen.results.groups import Group
from mcgen.results.study import Study, check_alike, of_samples, own_configuration


@contextlib.contextmanager
def stream_samples(
    path: str | Path,
    n_draws: int,
    n_temperatures: int = 1,
    overwrite: bool = False,
    configuration: dict | None = None,
) -> Iterator["SampleWriter"]:
    """Write the blocks of `ising.stream` to a file that holds what `save` would write of the whole run.

    The file is written beside the path and gets its name at the end of the `with` statement. If draws are missing then,
    as after Ctrl-C or on a full disk, it has the status "interrupted" and holds the temperatures that are complete or,
    where there are none, the draws so far. Without any draw, and after any other exception, there is no file.

    At most 16 MB of states are held, or one state of each chain, and the energies and magnetisations of the
    temperatures being drawn: 16 bytes for each draw of each chain.

    Parameters
    ----------
    path : str or Path
    n_draws : int
        Draws of each chain at each temperature.
    n_temperatures : int
    overwrite : bool
        Whether a file that is there may be replaced.
    configuration : dict, optional
        All settings of the run, kept as JSON in the root attribute `configuration`.

    Yields
    ------
    SampleWriter
        With the method `append(block)`.

    Raises
    ------
    FileError
        If the path exists and overwrite is false, or cannot be written, or the disk is full.
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
    """
    n_draws = checks.integer("n_draws", n_draws, 1)
    n_temperatures = checks.integer("n_temperatures", n_temperatures, 1)
    path = check_output(path, overwrite)
    interrupt = None
    with contextlib.ExitStack() as ending, written_beside(path) as beside, h5py.File(beside, "w") as file:
        writer = SampleWriter(file, n_draws, n_temperatures)
        try:
            yield writer
        except (KeyboardInterrupt, FileError) as caught:
            interrupt = caught
        ending.enter_context(uninterrupted())  # until the file has its name
        if not writer.close(configuration):
            raise interrupt or InputError(f"{path} would hold no draws; append the blocks of ising.stream")
    if interrupt:
        raise interrupt


class SampleWriter:
    """A file of samples under construction: see `stream_samples`.

    Parameters
    ----------
    file : h5py.File
    n_draws, n_temperatures : int

    Attributes
    ----------
    kept : tuple of int
        After the end, how many temperatures and draws the file has.
    """

    def __init__(self, file: h5py.File, n_draws: int, n_temperatures: int):
        self.kept = (0, 0)
        self._file, self._n_draws, self._n_temperatures = file, n_draws, n_temperatures
        self._complete: list[ising.Samples] = []  # without draws
        self._drawn: list[_Run] = []  # those being drawn, or drawn last

    @property
    def runs(self) -> list[ising.Samples]:
        """The temperature being drawn, or drawn last, without its states; of tempering all temperatures."""
        return [run.without_states() for run in self._drawn]

    def append(self, block: ising.Samples | Sequence[ising.Samples]) -> None:
        """Write the next draws of the current temperature or, once that has all its draws, the first of the next.

        Parameters
        ----------
        block : ising.Samples, or a list of one for each temperature
            From `ising.stream`.

        Raises
        ------
        InputError
            If the block has more draws than are missing, or differs from the others in chains, lattice or settings.
        FileError
            If the disk is full; let it end the `with` statement, which keeps the draws so far.
        """
        blocks = [block] if isinstance(block, ising.Samples) else list(block)
        check_alike("temperatures", blocks, of_samples)
        if self._drawn:
            check_alike("blocks", [self._settings, _settings(blocks[0])], dict)
        if not self._drawn or self._drawn[0].n_missing == 0:
            self._begin(blocks)
        n_new, n_missing = blocks[0].energy.shape[1], self._drawn[0].n_missing
        if len(blocks) != len(self._drawn) or n_new > n_missing:
            raise InputError(
                f"a block of {n_new} draws of {len(blocks)} temperatures does not fit: {n_missing} draws of "
                f"{len(self._drawn)} temperatures are missing; give the n_draws of ising.stream"
            )
        # Room for the blocks, and for what is held when the run ends.
        check_room(self._file, sum(one.states.nbytes for one in blocks) + sum(run.n_bytes for run in self._drawn))
        with uninterrupted():
            for run, one in zip(self._drawn, blocks, strict=True):
                run.append(one)
            if n_new == n_missing:
                for run in self._drawn:
                    run.flush()
                self._complete += [run.latest for run in self._drawn]

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
        heads, n_draws = self._complete, self._n_draws
        if not heads:
            n_draws = min((run.n for run in self._drawn), default=0)
            if n_draws == 0:
                return False
            heads = [run.latest for run in self._drawn]
            for run in self._drawn:
                run.flush()
        self.kept = (len(heads), n_draws)
        group = self._group
        for dataset in list(group.hdf.values()):  # so far only draws
            if group.axis:
                dataset.resize(len(heads), axis=0)
            dataset.resize(n_draws, axis=2 if group.axis else 1)
        samples.describe(group, heads)
        temperatures = np.array([head.temperature for head in heads])
        group.close({"temperature": temperatures if group.axis else temperatures[0]})
        models.write_lattice(self._file, heads[0].lattice)
        if heads[0].exchange is not None:
            write_exchange(self._file, heads[0].exchange)
        if configuration is None:
            configuration = own_configuration(Study(samples=tuple(heads)))
        is_complete = self.kept == (self._n_temperatures, self._n_draws)
        sign(self._file, configuration, "complete" if is_complete else "interrupted")
        return True

    def _begin(self, blocks: list[ising.Samples]) -> None:
        """Make room for the draws of the next temperature, or of all."""
        n_complete, n_all = len(self._complete), self._n_temperatures
        if len(blocks) not in (1, n_all) or n_complete + len(blocks) > n_all:
            raise InputError(
                f"a block of {len(blocks)} temperatures after {n_complete} complete ones does not fit to "
                f"n_temperatures={n_all}; append one after the other, or the lists of tempering"
            )
        if not self._drawn:
            self._group = Group(self._file, "samples", "temperature" if n_all > 1 else "")
            samples.create(self._group, blocks[0], self._n_draws, n_all, len(blocks))
            self._settings = _settings(blocks[0])
        per_chunk = samples.draws_per_chunk(blocks[0], self._n_draws, len(blocks))
        self._drawn = [_Run(self._group, n_complete + k, one, self._n_draws, per_chunk) for k, one in enumerate(blocks)]


class _Run:
    """The draws at one temperature: whole rows of chunks are in the file, the rest and the energies are held."""

    def __init__(self, group: Group, k: int, block: ising.Samples, n_draws: int, per_chunk: int):
        n_chains, n_kept, *shape = block.states.shape
        self.n = 0  # draws so far
        self.latest = _without_draws(block)
        self._group, self._k = group, k
        self._series = {name: np.empty((n_chains, n_draws), x.dtype) for name, x in samples.series_of(block).items()}
        self._states = np.empty((n_chains, per_chunk, *shape), np.int8) if n_kept else None

    @property
    def n_missing(self) -> int:
        return self._series["energy"].shape[1] - self.n

    @property
    def n_bytes(self) -> int:
        arrays = [*self._series.values()] + [self._states] * (self._states is not None)
        return sum(array.nbytes for array in arrays)

    def without_states(self) -> ising.Samples:
        return dataclasses.replace(self.latest, **{name: x[:, : self.n] for name, x in self._series.items()})

    def append(self, block: ising.Samples) -> None:
        self.latest = _without_draws(block)
        n_new = block.energy.shape[1]
        for name, series in samples.series_of(block).items():
            self._series[name][:, self.n : self.n + n_new] = series
        if self._states is None:
            self.n += n_new
            return
        first, per_chunk = 0, self._states.shape[1]
        while first < n_new:
            slot = self.n % per_chunk
            n_now = min(per_chunk - slot, n_new - first)
            piece = block.states[:, first : first + n_now]
            if n_now == per_chunk:
                samples.put(self._group, "states", self._k, self.n, piece)
            else:
                self._states[:, slot : slot + n_now] = piece
                if slot + n_now == per_chunk:
                    samples.put(self._group, "states", self._k, self.n - slot, self._states)
            # Last, so that draws count only once they are kept.
            self.n += n_now
            first += n_now

    def flush(self) -> None:
        """Write what is held."""
        if self._states is not None and self.n % self._states.shape[1]:
            slot = self.n % self._states.shape[1]
            samples.put(self._group, "states", self._k, self.n - slot, self._states[:, :slot])
        for name, series in self._series.items():
            samples.put(self._group, name, self._k, 0, series[:, : self.n])


def _without_draws(block: ising.Samples) -> ising.Samples:
    """A copy of what there is but for the draws, so that a block can be forgotten."""
    arrays = {name: getattr(block, name)[:, :0].copy() for name in ("states", "energy", "magnetization")}
    return dataclasses.replace(block, **arrays)


def _settings(block: ising.Samples) -> dict:
    """What all blocks of a file have in common."""
    kept = {"whether states are kept": block.states.shape[1] > 0}
    return of_samples(dataclasses.replace(_without_draws(block), exchange=None)) | kept
