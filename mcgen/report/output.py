"""Files of figures: checked before work starts, written beside and renamed."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mcgen import results
from mcgen.errors import InputError

PAGES = ("html", "htm")


def save_figure(figure: Figure, output: str | Path, dpi: int = 130) -> Path:
    """Write a figure: beside first and then renamed, so that no half-written file has its name.

    Parameters
    ----------
    figure : Figure
    output : str or Path
        A file that is there is replaced; call `check_output` before work starts.
    dpi : int
        Dots per inch.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the file cannot be written.
    InputError
        If the ending is no image format.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from matplotlib.figure import Figure
    >>> from mcgen import report
    >>> report.save_figure(Figure(), pathlib.Path(tempfile.mkdtemp()) / "empty.png").name
    'empty.png'
    """
    output = check_output(output, overwrite=True)
    with results.written_beside(output) as beside:
        figure.savefig(beside, format=_ending(output), dpi=dpi)
    return output


def save_page(page: str, output: Path) -> Path:
    """Write an HTML page, likewise."""
    with results.written_beside(output) as beside:
        beside.write_text(page, encoding="utf-8")
    return output


def check_output(output: str | Path, overwrite: bool = False) -> Path:
    """The path as a `Path`, checked to be writable and to end in an image format before work starts.

    Raises
    ------
    FileError
        If it exists and overwrite is false, or cannot be written.
    InputError
        If its ending is no image format.
    """
    output = results.check_output(output, overwrite)
    if _ending(output) not in FigureCanvasAgg.get_supported_filetypes():
        raise InputError(f"output={output.name!r} does not end in an image format; use .png, .pdf or .svg")
    return output


def check_report(output: str | Path, overwrite: bool = False) -> Path:
    """The same for a report, which may also be a page."""
    output = results.check_output(output, overwrite)
    if is_page(output):
        return output
    if _ending(output) not in FigureCanvasAgg.get_supported_filetypes():
        raise InputError(f"output={output.name!r} does not end in the name of a format; use .html, .png, .pdf or .svg")
    return output


def is_page(output: Path) -> bool:
    """Whether a path is that of an HTML page."""
    return _ending(output) in PAGES


def _ending(output: Path) -> str:
    return output.suffix.lstrip(".").lower()
