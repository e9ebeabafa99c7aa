"""What the outputs of stages say of how they were made."""

import json
from pathlib import Path

from mcgen import hdf5, results
from mcgen.cli.pipeline.reading import Pipeline
from mcgen.cli.pipeline.stages import Stage
from mcgen.errors import FileError, InputError

# These are no part of what is computed.
HARMLESS = ("output", "checkpoint", "checkpoint_every")


def is_complete(pipeline: Pipeline, stage: Stage) -> bool:
    """Whether the output of a stage is complete, and was made with the settings that it has now.

    Figures say nothing of how they were made: they are never complete.

    Raises
    ------
    FileError
        If the output cannot be read, or is not of a pipeline.
    InputError
        If settings differ.
    """
    path = pipeline.path(stage)
    read = {".h5": _of_file, ".txt": _of_text}.get(stage.command.ending)
    if read is None:
        return False
    try:
        status, history = read(path)
        _check_same(path, history, pipeline.history(stage))
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise FileError(
            f"{path} does not say which pipeline it is of; choose another folder with --set output=NAME, or --overwrite"
        ) from error
    return status == "complete"


def _of_file(path: Path) -> tuple[str, dict]:
    attributes = hdf5.read(path, lambda _: [])[0].attrs
    return attributes["status"], json.loads(attributes["configuration"])["pipeline"]


def _of_text(path: Path) -> tuple[str, dict]:
    with path.open() as file:
        status, history = (file.readline().partition(": ")[2].strip() for _ in range(2))
    return status, json.loads(history)


def write_text(pipeline: Pipeline, stage: Stage, status: str, text: str) -> None:
    """Keep what a stage printed, below two lines that say how it was made."""
    if status == "interrupted" and not text:
        return
    lines = f"# status: {status}\n# settings: {json.dumps(pipeline.history(stage))}\n"
    with results.written_beside(pipeline.path(stage)) as beside:
        beside.write_text(lines + text)


def _check_same(path: Path, before: dict, now: dict) -> None:
    """Raise `InputError` if a stage, or one that it depends on, has other settings now."""
    for name, settings in now.items():
        if name not in before:
            raise InputError(f"{path} was made without [{name}]; {_ways_out()}")
        for key, value in settings.items():
            old = before[name].get(key, value)  # options may have come since
            if key not in HARMLESS and old != value:
                raise InputError(f"[{name}] {key} is {value!r}, and {path} was made with {old!r}; {_ways_out()}")


def _ways_out() -> str:
    return "set it back, choose another folder with --set output=NAME, or --overwrite"
