"""Pipelines, read and checked."""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mcgen import backend
from mcgen.cli.pipeline.stages import INPUTS, Stage, inputs, resolve
from mcgen.cli.pipeline.text import read_source, write_table
from mcgen.errors import FileError, McgenError


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Commands with all their settings, in the order in which they run.

    Attributes
    ----------
    source : str
        The file that it was read from.
    output : str
        The folder of all outputs.
    stages : tuple of Stage
    """

    source: str
    output: str
    stages: tuple[Stage, ...]

    def __getitem__(self, name: str) -> dict:
        """All settings of a stage."""
        return next(stage.settings for stage in self.stages if stage.name == name)

    def path(self, stage: Stage) -> Path:
        """What a stage writes."""
        return Path(self.output, stage.settings["output"])

    def toml(self) -> str:
        """Every setting, defaults and seeds included, as the TOML file of the same pipeline."""
        tables = [write_table({"output": self.output})]
        tables += [f"[{stage.name}]\n{write_table(stage.settings)}" for stage in self.stages]
        return "\n".join(tables)

    def history(self, stage: Stage) -> dict[str, dict]:
        """The settings of a stage and of all that it depends on, by name."""
        before: dict[str, dict] = {}
        for other in self.inputs(stage).values():
            before |= self.history(other)
        return before | {stage.name: stage.settings}

    def inputs(self, stage: Stage) -> dict[str, Stage]:
        """The stages that write what a stage reads, by key."""
        return inputs(stage, {one.name: one for one in self.stages})

    def arguments(self, stage: Stage, **of_the_run: object) -> argparse.Namespace:
        """What the command of a stage runs with; files that it writes remember its history."""
        settings = stage.settings | {key: str(self.path(other)) for key, other in self.inputs(stage).items()}
        settings |= {"output": str(self.path(stage)), "pipeline": self.history(stage)}
        return stage.command.arguments(settings | of_the_run)


def read(path: str | Path, changes: Sequence[str] = ()) -> Pipeline:
    r"""Read a pipeline from a TOML file and check it before any work.

    Its sections are the commands of `mcgen`, their keys the long options, with underscores or hyphens alike:

    - A section of its own for each of several stages of a command: [rbm.train.small], [rbm.train.large].
    - A key that stands above several stages, at the top of the file, in [rbm] or in [rbm.train], holds for all of them
      that have it; the nearest wins.
    - `seed` in a stage is its seed. Above, it gives every stage a seed of its own, derived from the name of the stage.
    - `output` at the top is the folder of all outputs, by default the name of the file. In a stage it is the name of a
      file in this folder, by default that of the stage; what a stage prints is kept if it writes no file.
    - `data` and `file` are files, or stages whose output is read. By default `data` is that of [ising.sample], and
      `file` that of the training: of the stage of the same name, or the only one.
    - `resume` of [vae.train] is a file, or another stage of [vae.train] with the same seed, whose training it goes on
      with.

    Stages run in the order of `mcgen --help`, but after those that they read.

    Parameters
    ----------
    path : str or Path
        The TOML file.
    changes : sequence of str
        Each "section.key=value", with a value as TOML writes it; other words are text.

    Returns
    -------
    Pipeline

    Raises
    ------
    FileError
        If the file, or one that a stage reads, cannot be read.
    InputError
        If a section, key or value is wrong: with its line, and the nearest known name.
    DeviceError
        If a stage is to run on a device that is not there.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mcgen.cli import pipeline
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "study.toml"
    >>> _ = path.write_text("[ising.sample]\nshape = [4, 4]\ntemperature = 2.269\n[rbm.train]\nhidden = 16\n")
    >>> study = pipeline.read(path, ["rbm.train.epochs=5"])
    >>> [(stage.name, stage.settings["output"]) for stage in study.stages]
    [('ising.sample', 'ising-sample.h5'), ('rbm.train', 'rbm-train.h5')]
    >>> study["rbm.train"]["epochs"], study["rbm.train"]["data"]
    (5, 'ising.sample')
    """
    source = read_source(path, changes)
    result = Pipeline(str(path), *resolve(source))
    for stage in result.stages:
        others = result.inputs(stage)
        for key in INPUTS:
            name = stage.settings.get(key)
            if name is not None and key not in others and not Path(name).is_file():
                place = source.place((*stage.name.split("."), key))
                raise FileError(f"{place}: [{stage.name}] {key} = {name} is neither a file nor a stage; check the name")
        try:
            if "device" in stage.settings:
                backend.target(stage.settings["device"])
            if stage.command.parser.check is not None:
                stage.command.parser.check(result.arguments(stage))
        except McgenError as error:
            place = source.place(tuple(stage.name.split(".")))
            raise type(error)(f"{place}: [{stage.name}] {error}") from None
    return result
