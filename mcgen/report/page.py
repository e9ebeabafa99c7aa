"""A report as one HTML page that needs nothing else: no network, no script, no other file."""

import html
from collections.abc import Iterator

from mcgen.report import vectors
from mcgen.report.parts import Panel, Report, Section, Table
from mcgen.report.style import STYLE

# Warnings of a file are few; a hostile one may have any number.
MOST_NOTICES = 40
# What a browser may load, even if something came through: nothing but what is in the page.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write(report: Report) -> str:
    """The page.

    Parameters
    ----------
    report : Report
        All of its text is taken as text: what looks like HTML is shown, not followed.

    Returns
    -------
    str

    Examples
    --------
    >>> from mcgen.report import page, parts
    >>> text = page.write(parts.Report("<b>run.h5</b>", ["Nothing in it."], [], [], []))
    >>> text[:15], "<h1>&lt;b&gt;run.h5&lt;/b&gt;</h1>" in text
    ('<!DOCTYPE html>', True)
    """
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_escaped(report.title)}</title>"
    yield f"<style>{STYLE}</style>"
    yield "</head>"
    yield "<body>"
    yield '<header class="summary">'
    yield f"<h1>{_escaped(report.title)}</h1>"
    yield from (f"<p>{_escaped(line)}.</p>" for line in report.summary)
    yield "</header>"
    yield from _notices(report.notices)
    yield "<main>"
    first = 0
    for section in report.sections:
        yield from _section(section, first)
        first += len(section.panels)
    yield "</main>"
    if report.provenance:
        yield "<section>"
        yield "<h2>Where it came from</h2>"
        for table in report.provenance:
            yield from _facts(table)
        yield "</section>"
    yield "</body>"
    yield "</html>"


def _notices(notices: list[str]) -> Iterator[str]:
    if not notices:
        return
    count = "One warning" if len(notices) == 1 else f"{len(notices)} warnings"
    yield '<section class="notices" role="note">'
    yield f"<h2>⚠ {count}</h2>"
    yield "<ul>"
    yield from (f"<li>{_sentence(line)}</li>" for line in notices[:MOST_NOTICES])
    if len(notices) > MOST_NOTICES:
        yield f"<li>and {len(notices) - MOST_NOTICES} more</li>"
    yield "</ul>"
    yield "</section>"


def _section(section: Section, first: int) -> Iterator[str]:
    yield "<section>"
    yield f"<h2>{_escaped(section.title)}</h2>"
    if section.panels:
        in_pairs = len(section.panels) in (2, 4)
        yield f'<div class="panels{" pairs" * in_pairs}">'
        for number, panel in enumerate(section.panels, start=first):
            yield from _panel(panel, number)
        yield "</div>"
    for table in section.tables:
        yield from (_table(table) if table.header and any(table.header) else _facts(table))
    yield "</section>"


def _panel(panel: Panel, number: int) -> Iterator[str]:
    yield "<figure>"
    yield f"<h3>{_escaped(panel.title)}</h3>"
    yield vectors.drawn(panel, number)
    if panel.caption:
        yield f"<figcaption>{_escaped(panel.caption)}</figcaption>"
    yield "</figure>"


def _table(table: Table) -> Iterator[str]:
    """Numbers; the first column names the row, and further ones that hold words are set as words."""
    yield f"<h3>{_escaped(table.caption)}</h3>"
    yield '<div class="wide">'
    yield f'<table aria-label="{_escaped(table.caption)}">'
    classes = [' class="words"' * any(map(_is_words, column)) for column in zip(*table.rows, strict=True)]
    pairs = zip(table.header, classes, strict=True)
    yield (
        "<thead><tr>" + "".join(f'<th scope="col"{one}>{_escaped(cell)}</th>' for cell, one in pairs) + "</tr></thead>"
    )
    yield "<tbody>"
    for name, *cells in table.rows:
        row = "".join(f"<td{one}>{_escaped(cell)}</td>" for cell, one in zip(cells, classes[1:], strict=True))
        yield f'<tr><th scope="row">{_escaped(name)}</th>{row}</tr>'
    yield "</tbody>"
    yield "</table>"
    yield "</div>"


def _facts(table: Table) -> Iterator[str]:
    """Names and what belongs to them."""
    yield f"<h3>{_escaped(table.caption)}</h3>"
    yield '<div class="wide">'
    yield f'<table class="facts" aria-label="{_escaped(table.caption)}">'
    yield "<tbody>"
    for name, value in table.rows:
        yield f'<tr><th scope="row">{_escaped(name)}</th><td>{_escaped(value)}</td></tr>'
    yield "</tbody>"
    yield "</table>"
    yield "</div>"


def _is_words(cell: str) -> bool:
    return cell[:1].isalpha() or cell[:1] == "|"


def _sentence(text: str) -> str:
    return _escaped(text[:1].upper() + text[1:] + "." * (not text.endswith((".", ")"))))


def _escaped(text: object) -> str:
    """As text of HTML, without control characters."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in str(text)))
