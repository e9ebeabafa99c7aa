"""Where a file came from, as tables."""

import json

from mcgen.report.parts import Table

# In this order, then all others.
ORDER = {
    "status": "status",
    "created": "created (UTC)",
    "command_line": "command line",
    "seed": "seed",
    "generator": "random numbers",
    "device": "device",
    "threads": "threads",
    "mcgen_version": "mcgen",
    "python_version": "Python",
    "schema_version": "schema of the file",
    "git_commit": "commit of the working directory",
}
NESTED = {"configuration": "Configuration", "library_versions": "Libraries"}
# Letters of a cell.
LONGEST = 2000


def tables(attributes: dict) -> list[Table]:
    """The root attributes of a file.

    Parameters
    ----------
    attributes : dict
        Of `Study.attributes`; values that hold JSON become tables of their own.

    Returns
    -------
    list of Table

    Examples
    --------
    >>> from mcgen.report import provenance
    >>> [table.rows for table in provenance.tables({"seed": 7, "configuration": '{"epochs": 5}'})]
    [[('seed', '7')], [('epochs', '5')]]
    """
    nested = {name: _decoded(attributes[name]) for name in NESTED if name in attributes}
    names = [name for name in ORDER if name in attributes]
    names += [name for name in attributes if name not in ORDER and not isinstance(nested.get(name), dict)]
    rows = [(ORDER.get(name, name.replace("_", " ")), _short(attributes[name])) for name in names]
    found = [Table("The run", (), rows)] if rows else []
    for name, values in nested.items():
        if isinstance(values, dict) and values:
            found.append(Table(NESTED[name], (), [(str(key), _text(value)) for key, value in values.items()]))
    return found


def _decoded(text: object) -> object:
    """What JSON says, or None where it is none."""
    try:
        return json.loads(str(text))
    except (ValueError, RecursionError):
        return None


def _text(value: object) -> str:
    if value is None:
        return "–"
    return _short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} letters)"
