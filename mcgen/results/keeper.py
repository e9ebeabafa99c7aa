"""Checkpoints of draws: when they are due, and the unfinished file."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from mcgen import hdf5, interruption
from mcgen.errors import FileError
from mcgen.results.files import sign
from mcgen.results.groups import Group
from mcgen.results.runs import Run
from mcgen.results.saving import write_study
from mcgen.results.segments import COMING, Segment, Segments, Stretch, increment_name, refer, synchronised
from mcgen.results.study import Study
from mcgen.results.trees import load_tree, write_tree
from mcgen.results.unfinished import blocks_of, part_of
from mcgen.states import State

KIND = "draws"
# What the disk is trusted to write when a run is interrupted and its segments become one file.
BYTES_PER_SECOND = 100e6


class Keeper:
    """The unfinished file of a run of draws, and the segments that it refers to.

    Parameters
    ----------
    path : Path
        Of the output.
    every : float
        Seconds between checkpoints.
    configuration : dict or None
    known : Path or None
        The unfinished file, if the run goes on.

    Attributes
    ----------
    segments : Segments
    checkpoint : dict
        Of the unfinished file; empty of a new run.
    """

    def __init__(self, path: Path, every: float, configuration: dict | None, known: Path | None):
        self._path, self._every, self._configuration = path, every, configuration or {}
        self.checkpoint = {} if known is None else _read_checkpoint(known)
        self.stretches = [Stretch(*map(int, row)) for row in self.checkpoint.get("stretches", ())]
        # Runs that were begun before segments were put together had a number of them.
        earlier = [(number, 0) for number in range(self.checkpoint.get("n_segments", 0))]
        self.segments = Segments(blocks_of(path), self.checkpoint.get("segments", earlier))
        self._last = None

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint; the first one is due at once."""
        return self._last is None or time.monotonic() - self._last >= self._every

    def add(self, file: h5py.File, run: Run) -> None:
        """Note what the present segment has of a run."""
        stretch = run.add_to_segment(file, self.segments.count)
        if stretch is not None:
            self.stretches.append(stretch)

    def write(
        self, status: str, study: Study | None, n_draws: int, group: Group, runs: Sequence[Run], more: dict
    ) -> None:
        """Replace the unfinished file.

        Parameters
        ----------
        status : {"running", "interrupted"}
        study : Study or None
            What there is to show, its samples without draws; None before the first draw.
        n_draws : int
            Draws of these samples.
        group : Group
            The group /samples of a segment.
        runs : sequence of Run
            Those that are not complete.
        more : dict
            What else the checkpoint has.
        """
        self.stretches = self.segments.put_together(self.stretches)
        coming = self.segments.folder / COMING
        held = {f"{run.k:06d}": run.held_states for run in runs if run.held_states is not None}
        checkpoint = {"what": KIND, "held": held} | more
        checkpoint["segments"] = np.array(self.segments.known, np.int64).reshape(-1, len(Segment._fields))
        checkpoint["stretches"] = np.array(self.stretches, np.int64).reshape(-1, len(Stretch._fields))
        with hdf5.NewFile(coming) as file:
            sign(file, self._configuration, status)
            if study is not None:
                shown = Group(file, "samples", group.axis)
                likes = {name: group.hdf[name] for name in group.dimensions}
                places = {
                    run.k: (run.n - run.held_states.shape[1], f"checkpoint/held/{run.k:06d}") for run in runs if held
                }
                folder = self.segments.folder.name
                refer(shown, self.stretches, likes, group.dimensions, len(study.samples), n_draws, folder, places)
                write_study(file, study, shown)
            write_tree(file, "checkpoint", checkpoint)
        synchronised(coming)
        os.replace(coming, part_of(self._path))  # noqa: PTH105 - the atomic rename is the point
        self.segments.referred()
        interruption.reserve(self.segments.n_bytes() / BYTES_PER_SECOND)
        self._last = time.monotonic()

    def parts(self, k: int, names: Sequence[str]) -> list[tuple[int, dict[str, np.ndarray]]]:
        """The series of entry k from the segments: first draws, and arrays by their names."""
        found = []
        for one in self.stretches:
            if one.k == k:
                with h5py.File(self.segments.path(one.segment)) as file:
                    found.append((one.first, {name: file[increment_name(name, k)][()] for name in names}))
        return found


def _read_checkpoint(path: Path) -> dict[str, State]:
    checkpoint = load_tree(path, "checkpoint")[1]
    if not isinstance(checkpoint, dict) or checkpoint.get("what") != KIND:
        raise FileError(f"{path} cannot be resumed as a run of draws, which it is not; give another output")
    return checkpoint
