"""Tables of the columns of a file: exact values, and whatever else was measured."""

import math

import numpy as np
from matplotlib.axes import Axes

from mcgen import figures
from mcgen.evaluation import PER_SITE
from mcgen.observables import NAMES
from mcgen.report.observables import capitalized, temperature_label, with_error
from mcgen.report.parts import Panel, Section, Table, on_axes
from mcgen.results import Columns, Study

# Rows and columns of a table.
MOST_ROWS, MOST_COLUMNS = 200, 24
MOST_PANELS = 8
WORDS = {
    "log_partition_truth": "log Z of the truth",
    "log_partition_model": "log Z of the model",
    "log_partition": "log Z",
    "kl_divergence": "KL(truth || model), nats",
    "kl_by_quadrature": "KL by quadrature (1), or estimated (0)",
    "test_log_likelihood": "log-likelihood of test rows, model (nats a row)",
    "best_log_likelihood": "log-likelihood of test rows, truth: the best possible",
}


def sections(study: Study) -> list[Section]:
    """What the groups of exact values and of observables hold, but for observables of a lattice, shown elsewhere.

    Quantities that have errors, of several entries, are drawn.
    """
    shown = {f"{name}_{end}" for name in NAMES for end in ("truth", "data", "model", "model_exact")}
    others = {name: values for name, values in study.observables.items() if name.removesuffix("_error") not in shown}
    labels = [f"T = {temperature:g}" for temperature in study.temperatures]
    captions = {"Exact values and likelihoods": study.exact, "Other quantities": others}
    tables = [table(caption, columns, labels) for caption, columns in captions.items() if columns]
    measured = [name for name in others if f"{name}_error" in others and len(others[name]) > 1]
    measured = [] if has_observables(study) else measured[:MOST_PANELS]
    x = np.array(study.temperatures) if len(study.temperatures) > 1 else None
    axis = "number" if x is None else figures.symbols(temperature_label(study.lattice))
    panels = []
    for name in measured:
        drawing = on_axes(points, others[name], others[f"{name}_error"], x, axis, _words(name))
        panels.append(Panel(capitalized(_words(name)), drawing, "With one standard error."))
    return [Section("Numbers", panels, tables)] if tables else []


def points(axes: Axes, values: np.ndarray, errors: np.ndarray, x: np.ndarray | None, label: str, words: str) -> None:
    """Values with their errors at x, or at their numbers."""
    places = np.arange(1, len(values) + 1) if x is None else x
    axes.errorbar(places, values, errors, fmt="o", markersize=4, capsize=3, color=figures.COLORS["model"])
    axes.set_xlabel(label)
    axes.set_ylabel(figures.plain(words, 40))


def _words(name: str) -> str:
    return WORDS.get(name, name.replace("_", " "))


def table(caption: str, columns: Columns, labels: list[str]) -> Table:
    """Quantities down and entries across, or, of many entries, the other way round; errors in brackets.

    Parameters
    ----------
    caption : str
    columns : dict of arrays over entries
        NAME_error is the error of NAME.
    labels : list of str
        Of the entries; without, they are numbered.

    Returns
    -------
    Table

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.report import columns
    >>> columns.table("Both", {"right": np.array([0.93]), "right_error": np.array([0.015])}, []).rows
    [('right', '0.930(15)')]
    """
    n_entries = max(len(np.atleast_1d(values)) for values in columns.values())
    labels = labels if len(labels) == n_entries else [f"{k + 1}" for k in range(n_entries)] if n_entries > 1 else [""]
    names = [name for name in columns if not (name.endswith("_error") and name.removesuffix("_error") in columns)]
    rows = [(_words(name), *_cells(columns, name)) for name in names]
    header = ("", *labels)
    if n_entries > MOST_COLUMNS:
        header, *rows = zip(header, *rows, strict=True)
    if len(rows) > MOST_ROWS:
        caption += f" (the first {MOST_ROWS} of {len(rows)} rows)"
    return Table(caption, tuple(header), [tuple(row) for row in rows[:MOST_ROWS]])


def _cells(columns: Columns, name: str) -> list[str]:
    values = np.atleast_1d(columns[name]).astype(np.float64)
    errors = columns.get(f"{name}_error")
    if errors is None:
        return [f"{value:.8g}" if math.isfinite(value) else "–" for value in values]
    return [with_error(*pair) for pair in zip(values, np.atleast_1d(errors), strict=True)]


def has_observables(study: Study) -> bool:
    """Whether a study has the observables of a lattice at some temperatures."""
    names = {f"{name}_{source}" for name in PER_SITE for source in ("data", "model")}
    return bool(study.temperatures and study.lattice is not None and names <= study.observables.keys())
