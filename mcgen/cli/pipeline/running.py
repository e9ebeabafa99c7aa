"""Run the stages of a pipeline, one after the other."""

import contextlib
import io
import sys
from pathlib import Path

from mcgen import results
from mcgen.cli.pipeline import records
from mcgen.cli.pipeline.reading import Pipeline
from mcgen.cli.pipeline.stages import RECORD, Stage
from mcgen.errors import FileError, McgenError


def run(pipeline: Pipeline, overwrite: bool = False, resume: bool = False) -> int:
    r"""Run the stages of a pipeline. All their settings are written to `pipeline.toml` in its folder first.

    Running this file gives the same data again, to the last bit.

    Parameters
    ----------
    pipeline : Pipeline
        From `read`.
    overwrite : bool
        Whether files that are there may be replaced.
    resume : bool
        Whether to leave out stages that are complete, and to go on with one that is not from its checkpoint; figures
        are drawn again.

    Returns
    -------
    int
        0, or the exit status of the stage that ended early, with what it had. What was complete is kept.

    Raises
    ------
    FileError
        If an output exists, with neither `overwrite` nor `resume`, or cannot be written.
    InputError
        If a stage that is complete was run with other settings, or a command refuses its input.
    KeyboardInterrupt
        After Ctrl-C in a stage that had nothing to keep.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mcgen.cli import pipeline
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "study.toml"
    >>> _ = path.write_text("[ising.exact]\nshape = [2, 2]\ntemperature = 2\n")
    >>> pipeline.run(pipeline.read(path, [f"output={path.with_suffix('')}"]))
    [ising.exact]
    T = 2, by enumeration
    log Z                          4.7977137475
    ...
    0
    """
    complete = _check_outputs(pipeline, overwrite, resume)
    folder = Path(pipeline.output)
    folder.mkdir(exist_ok=True)
    words = f"# All settings of {pipeline.source}; 'mcgen run' of this file gives the same data.\n"
    with results.written_beside(folder / RECORD) as beside:
        beside.write_text(words + pipeline.toml())
    for stage in pipeline.stages:
        if stage.name in complete:
            print(f"[{stage.name}] is complete: {pipeline.path(stage)}", flush=True)
            continue
        print(f"[{stage.name}]", flush=True)
        try:
            status = _run_stage(pipeline, stage, {"overwrite": overwrite or resume, "resume": resume})
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_where(pipeline, stage)) from None
        except McgenError:
            print(f"mcgen: {_where(pipeline, stage)}", file=sys.stderr)
            raise
        if status:
            print(f"mcgen: {_where(pipeline, stage)}", file=sys.stderr)
            return status
    return 0


def _check_outputs(pipeline: Pipeline, overwrite: bool, resume: bool) -> set[str]:
    """The names of the stages that are complete and left out; raises if an output is in the way."""
    folder, complete = Path(pipeline.output), set()
    if folder.is_file():
        raise FileError(f"output = {folder} is a file; give the name of a folder, with --set output=NAME")
    if not folder.is_dir():
        results.check_output(folder)  # can it be made?
    for stage in pipeline.stages:
        path = pipeline.path(stage)
        if path.exists() and resume and records.is_complete(pipeline, stage):
            complete.add(stage.name)
    for path in (*map(pipeline.path, pipeline.stages), folder / RECORD):
        if path.is_file() and not (overwrite or resume):
            raise FileError(
                f"{path} exists; go on after it with --resume (resume=True), replace it with --overwrite "
                "(overwrite=True), or choose another folder with --set output=NAME"
            )
        if path.parent != folder or folder.is_dir():
            results.check_output(path, overwrite or resume)
    return complete


def _run_stage(pipeline: Pipeline, stage: Stage, switches: dict[str, bool]) -> int:
    known = {name: value for name, value in switches.items() if name in stage.command.switches}
    if stage.settings.get("resume") and not (switches["resume"] and results.is_begun(pipeline.path(stage))):
        del known["resume"]  # it has nothing of its own to go on from, but the file of its settings
    arguments = pipeline.arguments(stage, **known)
    if "output" in stage.command.options:
        return arguments.run(arguments) or 0
    status, printed = "interrupted", io.StringIO()
    try:
        with contextlib.redirect_stdout(_Both(sys.stdout, printed)):
            number = arguments.run(arguments) or 0
        status = "interrupted" if number else "complete"
        return number
    finally:
        records.write_text(pipeline, stage, status, printed.getvalue())


class _Both(io.TextIOBase):
    """Text for a person now, and for the file later."""

    def __init__(self, shown: io.TextIOBase, kept: io.StringIO):
        self._shown, self._kept = shown, kept

    def write(self, text: str) -> int:
        self._shown.write(text)
        return self._kept.write(text)

    def flush(self) -> None:
        self._shown.flush()


def _where(pipeline: Pipeline, stage: Stage) -> str:
    names = [one.name for one in pipeline.stages]
    done = ", ".join(names[: names.index(stage.name)]) or "no stage"
    return f"ended in [{stage.name}]; complete: {done}; --resume goes on from there"
