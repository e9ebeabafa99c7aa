"""The sections of a TOML file: which stages they are, and which keys hold for each."""

import dataclasses
from collections.abc import Iterator

from mcgen.cli.pipeline.description import Command, commands, nearest
from mcgen.cli.pipeline.text import NAME, Keys, Source
from mcgen.errors import InputError


@dataclasses.dataclass(frozen=True)
class Section:
    """A stage as it was written.

    Attributes
    ----------
    name : str
        "rbm.train" or, of several, "rbm.train.NAME".
    command : Command
    settings : dict of (tuple of str, value)
        By key: where it is written, and the value.
    """

    name: str
    command: Command
    settings: dict[str, tuple[Keys, object]]


def sections_of(source: Source, tables: dict) -> list[Section]:
    """The stages in the order of their commands in `mcgen --help`; those of one command as in the file.

    A key above several stages holds for all of them that have it; the nearest wins.

    Raises
    ------
    InputError
        If a section is unknown, or a key holds for no stage; with the place where it was written.
    """
    sections = list(_sections(source, tables, _tree(), (), {}))
    if not sections:
        raise InputError(f"{source.path} has no stages; write a section, such as [ising.sample]")
    _check_used(source, tables, sections, ())
    order = list(commands())
    return sorted(sections, key=lambda section: order.index(section.command.name))


def _tree() -> dict:
    """Commands in nested tables, as their sections are."""
    tree: dict = {}
    for command in commands().values():
        *rooms, last = command.name.split(".")
        table = tree
        for room in rooms:
            table = table.setdefault(room, {})
        table[last] = command
    return tree


def _sections(source: Source, table: dict, tree: dict, above: Keys, inherited: dict) -> Iterator[Section]:
    """The stages in a table of rooms or commands."""
    inherited = inherited | _own(table, above)
    for word, inner in table.items():
        keys = (*above, word)
        name = ".".join(keys)
        if not isinstance(inner, dict):
            if word in tree:
                words = f"write [{name}] once, or a [{name}.NAME] for each of several"
                raise InputError(f"{source.place(keys)}: {name} is a section; {words}")
        elif word not in tree:
            there = [".".join((*above, one)) for one in tree]
            words = nearest(name, [*there, *commands()], "[{}]")
            raise InputError(f"{source.place(keys)}: no section [{name}]; {words}there are {', '.join(there)}")
        elif isinstance(tree[word], dict):
            yield from _sections(source, inner, tree[word], keys, inherited)
        else:
            yield from _of_command(source, inner, tree[word], keys, inherited)


def _of_command(source: Source, table: dict, command: Command, keys: Keys, inherited: dict) -> Iterator[Section]:
    """The stage of a command, or those of the sections in it."""
    known = command.keys
    names = [name for name, inner in table.items() if isinstance(inner, dict)]
    if not names:
        yield _section(command, keys, inherited | _own(table, keys))
    for name in names:
        inner, place = (*keys, name), f"{source.place((*keys, name))}: [{'.'.join((*keys, name))}]"
        if name in known:
            raise InputError(f"{place} has the name of a key of {command.name}; choose another one")
        if not NAME.fullmatch(name):
            raise InputError(f"{place} becomes the name of a file; use letters, digits, - and _")
        if any(isinstance(value, dict) for value in table[name].values()):
            raise InputError(f"{place} has sections of its own; write them beside it")
        yield _section(command, inner, inherited | _own(table, keys) | _own(table[name], inner))


def _own(table: dict, keys: Keys) -> dict[str, tuple[Keys, object]]:
    """The settings of a table, with their places."""
    return {key: ((*keys, key), value) for key, value in table.items() if not isinstance(value, dict)}


def _section(command: Command, keys: Keys, settings: dict) -> Section:
    return Section(".".join(keys), command, {key: one for key, one in settings.items() if key in command.keys})


def _check_used(source: Source, table: dict, sections: list[Section], above: Keys) -> None:
    """Raise `InputError` if a key is none of any stage that it would hold for."""
    below = [section for section in sections if tuple(section.name.split("."))[: len(above)] == above]
    known = dict.fromkeys(key for section in below for key in section.command.keys)
    for key, value in table.items():
        if isinstance(value, dict):
            _check_used(source, value, sections, (*above, key))
        elif key not in known:
            where = f"[{'.'.join(above)}]" if above else "no stage of the file"
            words = f"has no key {key}" if above else f"has the key {key}"
            words += f"; {nearest(key, known)}the keys are {', '.join(known)}"
            raise InputError(f"{source.place((*above, key))}: {where} {words}")
