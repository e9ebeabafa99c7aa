"""Pipelines as TOML text: read with the lines that settings stand in, changed by `--set`, and written."""

import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcgen.errors import FileError, InputError

# Names of stages become names of files.
NAME = re.compile(r"[A-Za-z0-9_-]+")

Keys = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Source:
    """What a user wrote: a file, and changes of it.

    Attributes
    ----------
    path : str
    tables : dict
        Nested, as TOML has them; keys have underscores for hyphens.
    """

    path: str
    tables: dict
    _text: str
    _changes: Mapping[Keys, str]

    def place(self, keys: Keys) -> str:
        """Where a key or a section was written, for messages: the file with the line, or the change."""
        for n in range(len(keys), 0, -1):
            if keys[:n] in self._changes:
                return f"--set {self._changes[keys[:n]]}"
        line = _line(self._text, keys)
        if line is not None:
            return f"{self.path}, line {line}"
        made = [change for where, change in self._changes.items() if where[: len(keys)] == keys]
        return f"--set {made[0]}" if made else self.path


def read_source(path: str | Path, changes: Sequence[str] = ()) -> Source:
    """Read a TOML file and change it.

    Raises
    ------
    FileError
        If the file cannot be read.
    InputError
        If it is no TOML, a key is given twice, or a change is not of the form section.key=value.
    """
    try:
        text = Path(path).read_bytes().decode()
        tables = tomllib.loads(text)
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); give a TOML file of a pipeline") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is no text in UTF-8 (byte {error.start}); give a TOML file of a pipeline") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no TOML: {error}; write [sections] with lines key = value") from error
    tables = _with_underscores(tables, str(path))
    made = {}
    for change in changes:
        made[_change(tables, change)] = change
    return Source(str(path), tables, text, made)


def _with_underscores(table: dict, place: str) -> dict:
    """The same nested tables, with underscores for the hyphens in keys of values."""
    result: dict = {}
    for key, value in table.items():
        name = key if isinstance(value, dict) else key.replace("-", "_")
        if name in result:
            raise InputError(f"{place} gives {name} twice, once with hyphens; leave one of them out")
        result[name] = _with_underscores(value, place) if isinstance(value, dict) else value
    return result


def _change(tables: dict, change: str) -> Keys:
    """Change one value, section.key=value, and return its keys."""
    name, equals, text = change.partition("=")
    *sections, key = name.strip().split(".")
    if not equals or not all((*sections, key)):
        raise InputError(f"--set {change} is no setting; write section.key=value, such as rbm.train.epochs=10")
    for section in sections:
        tables = tables.setdefault(section, {})
        if not isinstance(tables, dict):
            raise InputError(f"--set {change}: {section} is a setting, no section; write section.key=value")
    key = key.replace("-", "_")
    if isinstance(tables.get(key), dict):
        raise InputError(f"--set {change}: {name} is a section; change one of its settings, as in {name}.KEY=VALUE")
    tables[key] = _value(text.strip())
    return (*sections, key)


def _value(text: str) -> object:
    """A value as TOML writes it; other words are text."""
    try:
        read = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return read["value"] if len(read) == 1 and not isinstance(read["value"], dict) else text


def _line(text: str, keys: Keys) -> int | None:
    """The line in which keys are given: after the last beginning of the text that is TOML without them."""
    lines = text.splitlines(keepends=True)
    without = 0
    for n in range(1, len(lines) + 1):
        try:
            table = _with_underscores(tomllib.loads("".join(lines[:n])), "")
        except tomllib.TOMLDecodeError:
            continue  # the beginning of a longer value
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        if table is not None:
            return without + 1
        without = n
    return None


def write_table(settings: Mapping[str, object]) -> str:
    """Settings as lines of TOML; those that are None as comments, because TOML has no word for it.

    Examples
    --------
    >>> from mcgen.cli.pipeline.text import write_table
    >>> print(write_table({"epochs": 5, "units": "spin", "patience": None, "hidden": [8, 4]}), end="")
    epochs = 5
    units = "spin"
    # patience is not set
    hidden = [8, 4]
    """
    return "".join(
        f"# {key} is not set\n" if value is None else f"{key} = {_written(value)}\n" for key, value in settings.items()
    )


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
