"""What the parser of the command line knows of commands and their options, for values that come from TOML.

This is the only description of options: one that a command gets is at once a key of its sections. The lists that
argparse keeps of them have no public names, and are the same in all versions of Python.
"""

import argparse
import dataclasses
import functools
from collections.abc import Sequence
from difflib import get_close_matches

from mcgen.cli.arguments import Parser
from mcgen.errors import InputError

# Commands without a place in a pipeline.
APART = ("run", "info")
# What is decided each time that a pipeline runs, and no part of it.
OF_A_RUN = ("overwrite", "resume", "time_limit", "swmr")

WORDS = {int: "an integer", float: "a number", str: "text", bool: "true or false"}


@dataclasses.dataclass(frozen=True)
class Command:
    """A command and its options.

    Attributes
    ----------
    name : str
        Its words with dots between, as in "rbm.train".
    parser : Parser
    options : dict of argparse.Action
        By name; those of a run are left out.
    switches : frozenset of str
        Those of a run that are on or off.
    """

    name: str
    parser: Parser
    options: dict[str, argparse.Action]
    switches: frozenset[str]

    @property
    def room(self) -> str:
        """The first of several words, or nothing."""
        return self.name.rpartition(".")[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """What its sections may set: its options, and where what it prints is kept if it writes no file."""
        return tuple(dict.fromkeys((*self.options, "output")))

    @property
    def ending(self) -> str:
        """That of the files it writes: what a command without an output prints is kept as text."""
        return self.options["output"].ending if "output" in self.options else ".txt"

    def arguments(self, settings: dict) -> argparse.Namespace:
        """What the command runs with, as if the settings had been options of the command line."""
        values = {action.dest: action.default for action in _actions(self.parser)}
        return argparse.Namespace(**(values | self.parser._defaults | settings))

    def check_together(self, given: set[str]) -> None:
        """Raise `InputError` if a setting is missing, or two exclude each other."""
        for group in self.parser._mutually_exclusive_groups:
            names = [action.dest for action in group._group_actions]
            both = [name for name in names if name in given]
            if len(both) > 1:
                raise InputError(f"has both {both[0]} and {both[1]}; leave one of them out")
            if group.required and not both:
                raise InputError(f"lacks {' or '.join(names)}; give one of them")
        for name, action in self.options.items():
            if action.required and name not in given:
                raise InputError(f"lacks {name}: {action.help}; give it a value")


@functools.cache
def commands() -> dict[str, Command]:
    """All commands that can be stages, in the order of `mcgen --help`."""
    from mcgen import cli

    return {command.name: command for command in _commands(cli.parser(), ()) if command.name not in APART}


def _commands(parser: Parser, words: tuple[str, ...]) -> list[Command]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return [one for word, inner in action.choices.items() for one in _commands(inner, (*words, word))]
    # What is a switch or the name of a file is a switch of a run, and as the name of a file a key.
    options = {one.dest: one for one in _actions(parser) if one.dest not in OF_A_RUN or one.nargs == "?"}
    switches = frozenset(one.dest for one in _actions(parser) if one.dest in OF_A_RUN and one.nargs in (0, "?"))
    return [Command(".".join(words), parser, options, switches)]


def _actions(parser: Parser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.dest != "help"]


def checked(key: str, value: object, action: argparse.Action) -> object:
    """A value of TOML as the command line would give it to the command.

    Parameters
    ----------
    key : str
    value : object
    action : argparse.Action
        The option.

    Raises
    ------
    InputError
        If it is of another type, or not one of the words that the option takes.
    """
    if action.nargs == 0:
        return _scalar(key, value, bool)
    if action.nargs not in ("+", "*") and not isinstance(action.nargs, int):
        return _chosen(key, _scalar(key, value, action.type or str), action)
    entries = value if isinstance(value, list) else [value]
    kind = action.type or str
    if not entries and action.nargs != "*":
        raise InputError(f"{key} = [] is empty; give {WORDS.get(kind, 'values')} or several, as in [1, 2]")
    if isinstance(action.nargs, int) and len(entries) != action.nargs:
        raise InputError(f"{key} has {len(entries)} values; give {action.nargs}")
    return [_chosen(key, _scalar(key, entry, kind), action) for entry in entries]


def checked_name(key: str, value: object) -> str:
    """The name of a file or a folder."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{key} = {shown(value)} is no name of a file or a folder; give one")
    return value


def _scalar(key: str, value: object, kind: type) -> object:
    if kind not in WORDS:  # a function that reads a word
        if not isinstance(value, bool | list | dict):
            try:
                return kind(str(value))
            except (argparse.ArgumentTypeError, ValueError, TypeError) as error:
                raise InputError(f"{key} = {value!r}: {error}") from None
    elif type(value) is kind:
        return value
    elif kind is float and type(value) is int:
        return float(value)
    words = WORDS.get(kind, "a number or text")
    raise InputError(f"{key} = {shown(value)} is {_what(value)}; give {words}")


def _chosen(key: str, value: object, action: argparse.Action) -> object:
    if action.choices is None or value in action.choices:
        return value
    words = ", ".join(map(str, action.choices))
    raise InputError(f"{key} = {shown(value)} is unknown; {nearest(str(value), action.choices)}choose one of {words}")


def shown(value: object) -> str:
    """A value in messages, as TOML writes it and not too long."""
    text = str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) < 60 else text[:56] + "..."


def _what(value: object) -> str:
    words = {bool: "a truth value", int: "an integer", float: "a number", str: "text", list: "a list", dict: "a table"}
    return words.get(type(value), "a date or time")


def nearest(word: str, known: Sequence[str], form: str = "{}") -> str:
    """A question after what was meant, if one of the known words is near; it ends with a space.

    Examples
    --------
    >>> from mcgen.cli.pipeline.description import nearest
    >>> nearest("epoch", ["seed", "epochs"])
    'did you mean epochs? '
    """
    found = get_close_matches(word, [str(one) for one in known], n=1)
    return f"did you mean {form.format(found[0])}? " if found else ""
