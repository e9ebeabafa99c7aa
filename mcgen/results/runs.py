"""The draws of one entry of a file that is being written."""

import dataclasses
from collections.abc import Sequence

import h5py
import numpy as np

from mcgen.errors import FileError
from mcgen.results import samples
from mcgen.results.groups import Group
from mcgen.results.segments import Stretch, add_increment, increment_name
from mcgen.results.study import of_samples


class Run:
    """The draws of one entry: whole rows of chunks are in the file, the rest and the series are held.

    Parameters
    ----------
    group : Group
        The group /samples of the file, which may change.
    k : int
        The number of the entry.
    block : Samples
        Without draws.
    n_draws : int
    per_chunk : int
        Draws in a row of chunks.
    keeps_states : bool

    Attributes
    ----------
    n : int
        Draws so far.
    latest : Samples
        The last block, without draws.
    """

    def __init__(self, group: Group, k: int, block: samples.Samples, n_draws: int, per_chunk: int, keeps_states: bool):
        n_chains, _, *shape = block.states.shape
        self.n, self.latest, self.group, self.k = 0, block, group, k
        self._n_in_segments = self._n_states_in_segments = 0
        self._series = {name: np.empty((n_chains, n_draws), x.dtype) for name, x in samples.series_of(block).items()}
        self._states = np.empty((n_chains, per_chunk, *shape), block.states.dtype) if keeps_states else None
        self._keeps_states = keeps_states

    @property
    def n_missing(self) -> int:
        """Draws that are still to come."""
        return next(iter(self._series.values())).shape[1] - self.n

    @property
    def n_bytes(self) -> int:
        """What is held."""
        arrays = [*self._series.values()] + [self._states] * (self._states is not None)
        return sum(array.nbytes for array in arrays)

    @property
    def held_states(self) -> np.ndarray | None:
        """The states that do not fill a row of chunks yet."""
        return None if self._states is None else self._states[:, : self.n % self._states.shape[1]]

    def without_states(self) -> samples.Samples:
        """The series so far."""
        return dataclasses.replace(self.latest, **{name: x[:, : self.n] for name, x in self._series.items()})

    def append(self, block: samples.Samples) -> None:
        """Take the draws of a block."""
        self.latest = without_draws(block)
        n_new = samples.series_shape(block)[1]
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
                samples.put(self.group, "states", self.k, self.n, piece)
            else:
                self._states[:, slot : slot + n_now] = piece
                if slot + n_now == per_chunk:
                    samples.put(self.group, "states", self.k, self.n - slot, self._states)
            # Last, so that draws count only once they are kept.
            self.n += n_now
            first += n_now

    def flush(self) -> None:
        """Write what is held."""
        held = self.held_states
        if held is not None and held.shape[1]:
            samples.put(self.group, "states", self.k, self.n - held.shape[1], held)
        for name, series in self._series.items():
            samples.put(self.group, name, self.k, 0, series[:, : self.n])
        if self.n_missing == 0:
            self._states = None

    def write_through(self, first: int) -> None:
        """Write draws first, first + 1, ... of the series and the states that are held, which go on being held."""
        held = self.held_states
        if held is not None and held.shape[1]:
            samples.put(self.group, "states", self.k, self.n - held.shape[1], held)
        for name, series in self._series.items():
            samples.put(self.group, name, self.k, first, series[:, first : self.n])

    def add_to_segment(self, file: h5py.File, number: int) -> Stretch | None:
        """Write the new part of the series to a segment; what it has of this run then, None if nothing is new."""
        if self.n == self._n_in_segments:
            return None
        for name, series in self._series.items():
            add_increment(file, increment_name(name, self.k), series[:, self._n_in_segments : self.n])
        n_states = 0
        if self._keeps_states:  # those that are held come into the file when the run is complete
            n_states = self.n - (0 if self._states is None else self.held_states.shape[1])
        stretch = Stretch(number, self.k, self._n_states_in_segments, n_states, self._n_in_segments, self.n)
        self._n_in_segments, self._n_states_in_segments = self.n, n_states
        return stretch

    def go_on(self, n: int, held: np.ndarray | None, parts: Sequence[tuple[int, dict[str, np.ndarray]]]) -> None:
        """Take up the draws of a run that has not ended.

        Parameters
        ----------
        n : int
            Draws of the run.
        held : array or None
            Its `held_states`.
        parts : sequence of (first draw, series by their names)
        """
        self.n, covered = n, 0
        for first, series in parts:
            if first != covered:
                raise FileError(f"the draws from {covered} to {first} of entry {self.k} are missing; start anew")
            for name, array in series.items():
                covered = first + array.shape[1]
                self._series[name][:, first:covered] = array
        if covered != n:
            raise FileError(f"{covered} of {n} draws of entry {self.k} are there; start anew")
        if self._states is not None:
            self._n_states_in_segments = n - n % self._states.shape[1]
            self._states[:, : n - self._n_states_in_segments] = held
        self._n_in_segments = n


def without_draws(block: samples.Samples) -> samples.Samples:
    """A copy of what there is but for the draws, so that a block can be forgotten."""
    arrays = {name: array[:, :0].copy() for name, array in samples.series_of(block).items()}
    return dataclasses.replace(block, states=block.states[:, :0].copy(), **arrays)


def common_settings(block: samples.Samples, keeps_states: bool) -> dict:
    """What all blocks of a file have in common."""
    # The ladder of models may differ from one to the other.
    return of_samples(dataclasses.replace(without_draws(block), exchange=None)) | {
        "whether states are kept": keeps_states
    }
