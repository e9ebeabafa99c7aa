"""Stages with all their settings, from the sections of a TOML file."""

import dataclasses
import zlib
from pathlib import Path

from mcgen import rng
from mcgen.cli.pipeline.description import Command, checked, checked_name, commands
from mcgen.cli.pipeline.sections import Section, sections_of
from mcgen.cli.pipeline.text import Keys, Source
from mcgen.errors import InputError

# What a stage may read of another: `data` are samples, `file` is any other file of mcgen, and `resume` one of the same
# command, which the stage goes on from.
INPUTS = ("data", "file", "resume")
# The name that the settings of the whole pipeline have among the files.
RECORD = "pipeline.toml"


@dataclasses.dataclass(frozen=True)
class Stage:
    """A command with all its settings.

    Attributes
    ----------
    name : str
        "rbm.train" or, of several, "rbm.train.NAME".
    command : Command
    settings : dict
        All options with their values. An input that another stage writes is the name of this stage, and `output` is
        the name of a file in the folder of the pipeline.
    given : frozenset of str
        Which of them are not defaults.
    """

    name: str
    command: Command
    settings: dict
    given: frozenset[str] = frozenset()


def resolve(source: Source) -> tuple[str, tuple[Stage, ...]]:
    """The folder of the outputs, and the stages in an order in which inputs are there before they are read.

    Raises
    ------
    InputError
        If a section, a key, a value or an input is wrong; with the place where it was written.
    """
    tables = dict(source.tables)
    folder = tables.pop("output", Path(source.path).stem)
    try:
        checked_name("output", folder)
    except InputError as error:
        raise InputError(f"{source.place(('output',))}: {error}") from None
    stages = [_stage(source, section) for section in sections_of(source, tables)]
    stages = _with_inputs(source, stages, folder)
    return folder, _in_order(stages)


def _stage(source: Source, section: Section) -> Stage:
    """The section with its values checked, and all others at their defaults."""
    options, given = section.command.options, {}
    for key, (place, value) in section.settings.items():
        try:
            given[key] = checked_name(key, value) if key == "output" else checked(key, value, options[key])
            if key == "seed":
                given[key] = _seed(section, place, given[key])
        except InputError as error:
            raise InputError(f"{source.place(place)}: [{section.name}] {error}") from None
    settings = {name: given.get(name, action.default) for name, action in options.items()}
    if "seed" in settings and "seed" not in given:
        settings["seed"] = _seed(section, (), settings["seed"])
    settings["output"] = given.get("output") or section.name.replace(".", "-") + section.command.ending
    return Stage(section.name, section.command, settings, frozenset(given))


def _seed(section: Section, place: Keys, seed: int) -> int:
    """A seed of the stage's own is taken as it is; of one that several stages share, each gets another one.

    It depends on the name of the stage alone, so that other stages may come and go. Integers of TOML end at 2^63 - 1.
    """
    derived = rng.derive(seed, zlib.crc32(section.name.encode())) >> 1
    return seed if ".".join(place[:-1]) == section.name else derived


def _with_inputs(source: Source, stages: list[Stage], folder: str) -> list[Stage]:
    """Inputs that other stages write, by the names of these."""
    by_name = {stage.name: stage for stage in stages}
    by_path: dict[Path, Stage] = {}
    for stage in stages:
        path = Path(folder, stage.settings["output"])
        if path in by_path or path == Path(folder, RECORD):
            other = f"[{by_path[path].name}]" if path in by_path else "the record of the pipeline"
            raise InputError(f"[{stage.name}] and {other} both write {path}; give another output to one of them")
        by_path[path] = stage
    result = []
    for stage in stages:
        place = source.place(tuple(stage.name.split(".")))
        inputs = {}
        for key in INPUTS:
            if key not in stage.command.options:
                continue
            value = stage.settings[key]
            if key in stage.given:
                known = by_name.get(value) or by_path.get(Path(value))
                if known is not None:
                    _check_input(stage, key, known, place)
                    inputs[key] = known.name
            elif stage.command.options[key].required:
                inputs[key] = _default_input(stage, key, stages, place).name
        try:
            stage.command.check_together(stage.given | inputs.keys() | {"output"})
        except InputError as error:
            raise InputError(f"{place}: [{stage.name}] {error}") from None
        result.append(dataclasses.replace(stage, settings=stage.settings | inputs))
    return result


def _sources(stage: Stage, key: str) -> list[str]:
    """The commands whose output is read where nothing is said."""
    if key == "data":
        return ["ising.sample"]
    rooms = [stage.command.room] if stage.command.room else [name.rpartition(".")[0] for name in commands()]
    return [f"{room}.train" for room in dict.fromkeys(rooms)]


def _default_input(stage: Stage, key: str, stages: list[Stage], place: str) -> Stage:
    """The stage whose output is read: that of the same name, or the only one."""
    wanted = _sources(stage, key)
    there = [one for one in stages if one.command.name in wanted]
    ending = stage.name.removeprefix(stage.command.name)
    same = [one for one in there if one.name == one.command.name + ending] if ending else []
    if len(same) == 1 or len(there) == 1:
        return (same or there)[0]
    if not there:
        sections = " or ".join(f"[{name}]" for name in wanted if name in commands())
        raise InputError(f'{place}: [{stage.name}] lacks {key}; give {key} = "FILE", or a section {sections}')
    names = " or ".join(f'"{one.name}"' for one in there)
    raise InputError(f"{place}: [{stage.name}] does not say which {key} it reads; give {key} = {names}")


def _check_input(stage: Stage, key: str, other: Stage, place: str) -> None:
    """Raise `InputError` if a stage cannot read what the other writes."""
    room = stage.command.room
    is_samples = other.command.name.endswith(".sample")
    fits = is_samples if key == "data" else not room or other.command.room == room
    if key == "resume":
        fits = other.command.name == stage.command.name
    if other.command.ending != ".h5" or not fits:
        wanted = "a stage that samples" if key == "data" else f"a stage of {room or 'samples or models'}"
        wanted = f"another stage of {stage.command.name}" if key == "resume" else wanted
        raise InputError(f'{place}: [{stage.name}] {key} = "{other.name}" does not fit; give {wanted}, or a file')


def inputs(stage: Stage, stages: dict[str, Stage]) -> dict[str, Stage]:
    """The inputs of a stage that other stages write, by key."""
    found = {key: stages.get(stage.settings.get(key)) for key in INPUTS if key in stage.command.options}
    return {key: other for key, other in found.items() if other is not None}


def _in_order(stages: list[Stage]) -> tuple[Stage, ...]:
    """Stages after those whose outputs they read, otherwise as they are."""
    by_name = {stage.name: stage for stage in stages}
    done: dict[str, Stage] = {}

    def put(stage: Stage, waiting: Keys) -> None:
        if stage.name in waiting:
            circle = " reads ".join(f"[{name}]" for name in (*waiting[waiting.index(stage.name) :], stage.name))
            raise InputError(f"stages wait for each other: {circle}; give one of them a file that is there")
        for other in inputs(stage, by_name).values():
            put(other, (*waiting, stage.name))
        done.setdefault(stage.name, stage)

    for stage in stages:
        put(stage, ())
    return tuple(done.values())
