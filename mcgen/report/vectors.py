"""Panels as SVG that stands in a page: its black is the ink of the page, its white the paper."""

import io
import re

import matplotlib
from matplotlib.figure import Figure

from mcgen import figures
from mcgen.report.parts import Panel

# In inches: letters are then about as large as those of the page, on a telephone too.
WIDTH, SCALE = 4.4, 0.95
DOTS_PER_INCH = 200

SETTINGS = {
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "mcgen",  # the same names in every run
    "font.family": "sans-serif",
}


def drawn(panel: Panel, number: int) -> str:
    """A panel as an <svg> element.

    Parameters
    ----------
    panel : Panel
    number : int
        Sets the names in this picture apart from those in others of the same page.

    Returns
    -------
    str

    Examples
    --------
    >>> from mcgen.report import parts, vectors
    >>> text = vectors.drawn(parts.Panel("Nothing", parts.on_axes(lambda axes: None)), 1)
    >>> text[:4], text[-6:], "#000000" in text
    ('<svg', '</svg>', False)
    """
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, SCALE * panel.height), layout="constrained")
        panel.draw(figure)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, dpi=DOTS_PER_INCH, metadata=nothing)
    return _for_page(buffer.getvalue(), number)


def _for_page(text: str, number: int) -> str:
    text = text[text.index("<svg") :].strip()
    # The style sheet of the page has what this says of all elements, and its head what the metadata say.
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    for color, name in {figures.BLACK: "currentColor", "#ffffff": "var(--paper)", figures.BLUE: "var(--blue)"}.items():
        text = text.replace(color.lower(), name)
    box = re.search(r'viewBox="[^"]*"', text).group()
    text = re.sub(r"<svg[^>]*>", f'<svg {box} aria-hidden="true" fill="currentColor">', text, count=1)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    return (
        re.sub(r' id="([^"]*)"', lambda match: f' id="f{number}-{match[1]}"' if match[1] in used else "", text)
        .replace('href="#', f'href="#f{number}-')
        .replace("url(#", f"url(#f{number}-")
    )
