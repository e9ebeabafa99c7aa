"""Observables of a lattice against the temperature: exact curves, and what was measured beside them."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from mcgen import figures, ising, observables, stats
from mcgen.errors import StatisticsWarning
from mcgen.evaluation import PER_SITE
from mcgen.report.parts import Panel, Section, Table
from mcgen.results import Columns

# Points of an exact curve through all temperatures, and the time for it; slower lattices have exact points.
CURVE_POINTS = 60
CURVE_SECONDS = 5.0
# The time for all exact points of a report.
POINT_SECONDS = 10.0
HEIGHT = 4.6
# Of a value that is right, one in a few million is further away from the exact one.
MOST_ERRORS = 5.0


class Source(NamedTuple):
    """Where measured values come from: the end of their names in the columns, the words for it, how they are drawn."""

    name: str
    words: str
    color: str
    marker: str


DATA = Source("data", "data", figures.COLORS["data"], "o")
MODEL = Source("model", "model, sampled", figures.COLORS["model"], "s")


def unit_of_energy(lattice: ising.Ising | None) -> str:
    """J where all couplings have the one magnitude 1, otherwise the unit that couplings are given in."""
    if lattice is None:
        return "energy unit"
    magnitudes = np.unique(np.abs(lattice.coupling[lattice.coupling != 0]))
    return "J" if magnitudes.tolist() == [1.0] else "energy unit"


def with_unit(name: str, lattice: ising.Ising) -> str:
    """The words of an observable per site with its unit."""
    unit = {"energy": f" ({unit_of_energy(lattice)})", "heat_capacity": " (k_B)"}.get(name, "")
    return PER_SITE[name] + unit


def temperature_label(lattice: ising.Ising | None) -> str:
    """The words of the axis of temperatures."""
    return f"temperature ({unit_of_energy(lattice)} / k_B)"


def exact_columns(lattice: ising.Ising, temperatures: Sequence[float]) -> Columns:
    """NAME_truth, totals over the lattice, at each temperature; empty where it would take more than seconds."""
    methods = _methods(lattice, POINT_SECONDS / len(temperatures))
    if not methods:
        return {}
    points = [ising.exact.thermodynamics(lattice, temperature, method=methods[0]) for temperature in temperatures]
    return {f"{name}_truth": np.array([getattr(one, name) for one in points]) for name in observables.NAMES}


def _methods(lattice: ising.Ising, seconds: float) -> list[str]:
    """Exact methods of so many seconds: the complete ones first, and the quicker ones before others."""
    plans = [plan for plan in ising.exact.plans(lattice) if not plan.obstacle and plan.seconds < seconds]
    return [plan.method for plan in sorted(plans, key=lambda plan: not plan.complete)]


def section(
    lattice: ising.Ising,
    temperatures: Sequence[float],
    columns: Columns,
    sources: Sequence[Source],
    title: str,
    truth: str = "truth, exact",
) -> Section:
    """Energy, magnetisation and heat capacity per site.

    Parameters
    ----------
    lattice : Ising
    temperatures : sequence of float
    columns : dict of arrays over temperature
        NAME_SOURCE and NAME_SOURCE_error, totals over the lattice; exact ones NAME_truth, and NAME_model_exact.
    sources : sequence of Source
    title : str
    truth : str
        Words for the exact values.

    Returns
    -------
    Section
        With a table of the same numbers.
    """
    methods = _methods(lattice, CURVE_SECONDS / CURVE_POINTS)
    curve = []
    if methods:
        across = np.linspace(min(temperatures) * 0.9, max(temperatures) * 1.1, CURVE_POINTS)
        curve = [ising.exact.thermodynamics(lattice, temperature, method=methods[0]) for temperature in across]
    words = "Above, values with one standard error"
    words += "; below, what is left when the exact value is taken away: two thirds of the bars should touch the line."
    panels = [
        Panel(
            capitalized(PER_SITE[name]), _drawing(lattice, temperatures, columns, sources, name, curve), words, HEIGHT
        )
        for name in PER_SITE
    ]
    return Section(title, panels, [table(lattice, temperatures, columns, sources, truth)])


def _drawing(lattice: ising.Ising, temperatures: Sequence[float], columns: Columns, sources, name: str, curve: list):  # noqa: ANN001, ANN202
    shown = _PerSite(lattice, np.asarray(temperatures, np.float64), columns, sources)

    def draw(part: FigureBase) -> None:
        exact = columns.get(f"{name}_truth", np.array([np.nan]))
        if not np.isfinite(exact).any():
            shown.values(part.subplots(), name, curve)
            return
        above, below = part.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        shown.values(above, name, curve)
        above.set_xlabel("")
        shown.deviations(below, name)

    return draw


class _PerSite(NamedTuple):
    """Columns of a lattice, drawn per site."""

    lattice: ising.Ising
    temperatures: np.ndarray
    columns: Columns
    sources: Sequence[Source]

    def values(self, axes: Axes, name: str, curve: list[ising.exact.Thermodynamics]) -> None:
        """Exact curve, or points where a curve would take long, and measured values with error bars."""
        n_sites, color = self.lattice.n_sites, figures.COLORS["truth"]
        handles = []
        exact = self.columns.get(f"{name}_truth", np.array([np.nan]))
        if curve and np.isfinite(getattr(curve[0], name)):
            y = [getattr(point, name) / n_sites for point in curve]
            x = [point.temperature for point in curve]
            handles += axes.plot(x, y, color=color, linewidth=1, label="exact", zorder=0)
        elif np.isfinite(exact).any():
            style = {"markersize": 22, "color": color, "label": "exact", "zorder": 0}
            handles += axes.plot(self.temperatures, exact / n_sites, "_", **style)
        handles += self._bars(axes, name, np.zeros(len(self.temperatures)))
        axes.set_ylabel(figures.symbols(with_unit(name, self.lattice)))
        axes.set_xlabel(figures.symbols(temperature_label(self.lattice)))
        axes.set_xlim(0.88 * self.temperatures.min(), 1.12 * self.temperatures.max())
        figures.legend(axes, handles)

    def deviations(self, axes: Axes, name: str) -> None:
        """The same minus the exact value, where error bars can be seen."""
        axes.axhline(0.0, color=figures.COLORS["truth"], linewidth=1)
        self._bars(axes, name, self.columns[f"{name}_truth"] / self.lattice.n_sites)
        axes.set_ylabel("minus exact")
        axes.set_xlabel(figures.symbols(temperature_label(self.lattice)))

    def _bars(self, axes: Axes, name: str, subtracted: np.ndarray) -> list:
        # Apart, so that the error bars of several sources do not hide each other.
        step = 0.016 * (np.ptp(self.temperatures) or 1.0)
        handles = []
        for k, source in enumerate(self.sources):
            x = self.temperatures + step * (k - (len(self.sources) - 1) / 2)
            value = self.columns[f"{name}_{source.name}"] / self.lattice.n_sites - subtracted
            error = self.columns[f"{name}_{source.name}_error"] / self.lattice.n_sites
            style = {"markersize": 4, "capsize": 3, "color": source.color, "label": source.words}
            handles.append(axes.errorbar(x, value, error, fmt=source.marker, **style))
        return handles


def table(
    lattice: ising.Ising, temperatures: Sequence[float], columns: Columns, sources: Sequence[Source], truth: str
) -> Table:
    """The numbers of the figures, and how many standard errors they are away from the exact ones."""
    rows = []
    for name in PER_SITE:
        lines = []
        exact = columns.get(f"{name}_truth", np.full(len(temperatures), np.nan)) / lattice.n_sites
        if np.isfinite(exact).any():
            lines.append((truth, *map(number, exact)))
        if f"{name}_model_exact" in columns:
            lines.append(("model, exact", *map(number, columns[f"{name}_model_exact"] / lattice.n_sites)))
        for source in sources:
            values, errors = (columns[f"{name}_{source.name}{end}"] / lattice.n_sites for end in ("", "_error"))
            lines.append((source.words, *(with_error(*pair) for pair in zip(values, errors, strict=True))))
            if np.isfinite(exact).any():
                away = deviations(values, errors, exact)
                lines.append((f"{source.words}: standard errors from {truth.split(',')[0]}", *map(deviation, away)))
        first, *others = lines
        rows += [(with_unit(name, lattice), *first), *(("", *line) for line in others)]
    header = ("", "", *(f"T = {temperature:g}" for temperature in temperatures))
    return Table("Per site; in brackets one standard error of the last digits", header, rows)


def warn_of_deviations(temperatures: Sequence[float], columns: Columns, sources: Sequence[Source]) -> None:
    """Warn where a measured value is far from the exact one in units of its error."""
    for source in sources:
        for name in PER_SITE:
            values, errors = columns[f"{name}_{source.name}"], columns[f"{name}_{source.name}_error"]
            away = deviations(values, errors, columns.get(f"{name}_truth", np.full(len(values), np.nan)))
            for temperature, one in zip(temperatures, away, strict=True):
                if abs(one) > MOST_ERRORS:
                    warnings.warn(
                        f"the {PER_SITE[name]} at T = {temperature:g} is {abs(one):.1f} standard errors away from the "
                        "exact value: its error bar cannot be trusted, or the run was too short to reach equilibrium",
                        StatisticsWarning,
                        stacklevel=2,
                    )


def capitalized(words: str) -> str:
    """Words as a title."""
    return words[:1].upper() + words[1:]


def deviations(values: np.ndarray, errors: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """(value - exact) / error; NaN where there is no error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(errors > 0, (values - exact) / errors, np.nan)


def number(value: float) -> str:
    """An exact number."""
    return f"{value:.6f}" if math.isfinite(value) else "–"


def with_error(value: float, error: float) -> str:
    """A measured number."""
    if not math.isfinite(value):
        return "–"
    return stats.format_error(float(value), float(error)) if math.isfinite(error) else f"{value:.6g}"


def deviation(value: float) -> str:
    """In standard errors."""
    return f"{value:+.1f}" if math.isfinite(value) else "–"


def of_runs(estimates: Sequence[Mapping[str, stats.Estimate]], source: str) -> Columns:
    """Columns from the `observables.summary` of each temperature."""
    columns = {}
    for name in estimates[0]:
        columns[f"{name}_{source}"] = np.array([one[name].value for one in estimates])
        columns[f"{name}_{source}_error"] = np.array([one[name].error for one in estimates])
    return columns
