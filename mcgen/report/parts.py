"""What a report is made of, and the figure that shows all its panels on one page."""

import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase, SubFigure

from mcgen import figures

# In inches, of a page and of a panel of one part.
WIDTH, HEIGHT = 16.0, 3.6
LINE = 0.21
FEWEST_ACROSS, MOST_ACROSS = 3, 4
LETTERS_ACROSS = 195
MOST_NOTICES = 8


class Panel(NamedTuple):
    """One picture.

    title : str
    draw : callable
        Draws into the figure, or part of a figure, that it gets.
    caption : str
        What is to be seen, for the page.
    height : float
        In inches, beside others.
    """

    title: str
    draw: Callable[[FigureBase], None]
    caption: str = ""
    height: float = HEIGHT


class Table(NamedTuple):
    """Cells of text; the first column names the rows."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Section(NamedTuple):
    """Panels and tables that belong together.

    title : str
    panels : sequence of Panel
    tables : sequence of Table
    is_detail : bool
        Whether it is left out of the figure, and shown on the page only.
    """

    title: str
    panels: Sequence[Panel] = ()
    tables: Sequence[Table] = ()
    is_detail: bool = False


class Report(NamedTuple):
    """Everything that is shown of a file.

    title : str
    summary : list of str
        What the file holds, a sentence each.
    notices : list of str
        What a person should know before believing it.
    sections : list of Section
    provenance : list of Table
    """

    title: str
    summary: Sequence[str]
    notices: Sequence[str]
    sections: Sequence[Section]
    provenance: Sequence[Table]


def on_axes(draw: Callable, *arguments: object) -> Callable[[FigureBase], None]:
    """The `draw` of a panel with one pair of axes, from a function of axes and further arguments."""

    def on_part(part: FigureBase) -> None:
        draw(part.subplots(), *arguments)

    return on_part


def figure(report: Report) -> Figure:
    """All panels of a report on one page, below its title and notices.

    Parameters
    ----------
    report : Report

    Returns
    -------
    Figure

    Examples
    --------
    >>> from mcgen.report import parts
    >>> panel = parts.Panel("Nothing", parts.on_axes(lambda axes: None))
    >>> page = parts.figure(parts.Report("A file", [], [], [parts.Section("Part one", [panel] * 5)], []))
    >>> len(page.subfigs), len(page.subfigs[1].subfigs)
    (2, 6)
    """
    shown = [section for section in report.sections if section.panels and not section.is_detail]
    lines = _lines(report)
    heights = [0.45 + LINE * len(lines)] + [_height(section) for section in shown]
    page = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    FigureCanvasAgg(page)
    head, *others = page.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    _head(head, report.title, lines, heights[0])
    for part, section in zip(others, shown, strict=True):
        part.suptitle(figures.plain(section.title), fontsize=12, fontweight="bold")
        n_rows, n_columns = _grid(section)
        cells = part.subfigures(n_rows, n_columns, squeeze=False).ravel()
        for cell, panel in zip(cells, section.panels, strict=False):
            cell.suptitle(figures.plain(panel.title, 60), fontsize=10)
            panel.draw(cell)
    return page


def _lines(report: Report) -> list[tuple[str, bool]]:
    """What is written above the panels, and whether it is a warning."""
    notices = [f"! {line}" for line in report.notices[:MOST_NOTICES]]
    if len(report.notices) > MOST_NOTICES:
        notices.append(f"! and {len(report.notices) - MOST_NOTICES} more, which the report as a page (.html) lists")
    words = [(line, False) for line in report.summary] + [(line, True) for line in notices]
    return [(line, warns) for text, warns in words for line in textwrap.wrap(text, LETTERS_ACROSS)]


def _head(part: SubFigure, title: str, lines: list[tuple[str, bool]], height: float) -> None:
    part.text(0.01, 1 - 0.1 / height, figures.plain(title), va="top", fontsize=14, fontweight="bold")
    for k, (line, warns) in enumerate(lines):
        color = figures.ORANGE if warns else figures.BLACK
        y = 1 - (0.42 + LINE * k) / height
        part.text(0.01, y, figures.plain(line), va="top", fontsize=9, color=color)


def _grid(section: Section) -> tuple[int, int]:
    n_rows = -(-len(section.panels) // MOST_ACROSS)
    return n_rows, max(FEWEST_ACROSS, -(-len(section.panels) // n_rows))


def _height(section: Section) -> float:
    return 0.3 + _grid(section)[0] * max(panel.height for panel in section.panels)
