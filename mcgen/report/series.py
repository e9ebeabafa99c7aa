"""Panels of what was drawn: chains as they went on, distributions beside exact ones, swaps along a ladder."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from mcgen import figures, observables, stats
from mcgen.errors import StatisticsWarning
from mcgen.observables.blocks import average, independent_edges, numbers, sizes
from mcgen.report.parts import Panel, Table, on_axes

# Chains that are drawn as lines, and points of each.
MOST_CHAINS, MOST_POINTS = 4, 40
# Bins of a distribution.
MOST_BINS = 72
# Exact probabilities below this fraction of the largest are not drawn.
RARE = 1e-3
# Swaps of fewer attempts than this hardly move configurations along a ladder.
FEWEST_SWAPS = 0.02
# Columns of a table of `diagnosis`.
DIAGNOSIS = ("series", "mean", "R-hat", "autocorrelation time, sweeps", "effective samples")


def diagnosis(values: np.ndarray, words: str, name: str, thin: int) -> tuple[str, ...]:
    """A row of a table: the cells of `DIAGNOSIS` of a series; warns, under its name, where its chains disagree."""
    seen = stats.diagnose(values)
    stats.warn_of_disagreement(seen, values.shape, name)
    cells = (
        f"{value:{digits}}" if math.isfinite(value) else "–"
        for value, digits in (
            (seen.split_r_hat, ".3f"),
            (seen.estimate.autocorrelation_time * thin, ".3g"),
            (seen.estimate.effective_sample_size, ",.0f"),
        )
    )
    return words, str(seen.estimate), *cells


def chains(axes: Axes, series: np.ndarray, burn_in: int, thin: int, label: str, exact: float | None) -> None:
    """Some chains and the mean of all against the number of sweeps, in averages over stretches of draws.

    Parameters
    ----------
    axes : Axes
    series : array, shape (n_chains, n_draws)
    burn_in, thin : int
        Sweeps before the first draw, and between draws.
    label : str
        Of the values.
    exact : float or None
        The exact mean, where it is known.
    """
    n_chains, n_draws = series.shape
    cut = np.arange(min(n_draws, MOST_POINTS) + 1) * n_draws // min(n_draws, MOST_POINTS)
    averages = np.add.reduceat(series, cut[:-1], axis=1) / np.diff(cut)
    sweeps = burn_in + thin * (cut[:-1] + cut[1:] + 1) / 2
    handles = []
    for k, chain in enumerate(averages[:MOST_CHAINS]):
        color = figures.CYCLE[k % len(figures.CYCLE)]
        handles = axes.plot(sweeps, chain, linewidth=0.8, color=color, alpha=0.7, label="single chains")
    if n_chains > MOST_CHAINS:
        style = {"linewidth": 2, "color": figures.BLACK, "label": f"mean of {n_chains} chains"}
        handles += axes.plot(sweeps, averages.mean(axis=0), **style)
    if exact is not None and np.isfinite(exact):
        style = {"color": figures.GRAY, "linewidth": 1.5, "linestyle": "--", "zorder": 3}
        handles.append(axes.axhline(exact, label="exact mean", **style))
    axes.locator_params(axis="x", nbins=6)
    n_together = n_draws // (len(cut) - 1)
    axes.set_xlabel("sweep" + f", in averages over {n_together} draws" * (n_together > 1))
    axes.set_ylabel(figures.symbols(label))
    figures.legend(axes, handles)


def bins(levels: np.ndarray) -> np.ndarray:
    """Edges of bins that hold all levels: as many levels in each where their distances are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.report import series
    >>> series.bins(np.array([-4.0, -2.0, 2.0, 4.0])).tolist()
    [-5.0, -3.0, -1.0, 1.0, 3.0, 5.0]
    """
    levels = np.unique(levels)
    if len(levels) == 1:
        return np.array([levels[0] - 0.5, levels[0] + 0.5])
    spacing, extent = np.diff(levels).min(), levels[-1] - levels[0]
    multiples = np.diff(levels) / spacing
    if np.allclose(multiples, multiples.round(), atol=1e-6) and extent / spacing < 1e6:
        width = spacing * max(1, int(np.ceil((extent / spacing + 1) / MOST_BINS)))
        n_bins = int(np.floor((extent + spacing / 2) / width)) + 1
        return levels[0] - spacing / 2 + width * np.arange(n_bins + 1)
    return np.linspace(levels[0], levels[-1], MOST_BINS // 2 + 1)


def distribution(
    axes: Axes,
    series: np.ndarray,
    label: str,
    color: str,
    words: str,
    exact: tuple[np.ndarray, np.ndarray] | None = None,
    scale: float = 1.0,
    exact_words: str = "exact",
) -> None:
    """How often values occurred, with one standard error, and the exact probabilities if they are known.

    Parameters
    ----------
    axes : Axes
    series : array, shape (n_chains, n_draws)
    label : str
        Of the values, times `scale`.
    color, words : str
        Of the measured points.
    exact : (levels, probabilities), optional
    scale : float
        Values are drawn times this.
    exact_words : str
        What the exact probabilities are of, for the legend.
    """
    if series.size < 2:
        figures.say(axes, "a single draw\nhas no distribution")
        return
    levels, place = observables.histograms.levels_of(series)
    # Levels that could not be seen in the figure would only make it wider.
    inside = levels
    if exact is not None:
        inside = np.concatenate([levels, exact[0][exact[1] > RARE * exact[1].max()]])
    edges = bins(inside)
    n_bins = len(edges) - 1
    which = np.clip(np.searchsorted(edges, levels, side="right") - 1, 0, n_bins - 1)[place]
    cut = independent_edges(series)
    n_in = sizes(*cut)
    cells = (numbers(*cut) * n_bins + which).ravel()
    found = average(np.bincount(cells, minlength=n_in.size * n_bins).reshape(-1, n_bins), n_in)
    middle = scale * (edges[1:] + edges[:-1]) / 2
    seen = found.value > 0
    handles = []
    if exact is not None:
        known = np.histogram(exact[0], edges, weights=exact[1])[0]
        style = {"color": figures.COLORS["truth"], "linewidth": 1, "label": exact_words, "where": "mid", "zorder": 0}
        shown = known > 0
        handles += axes.step(middle[shown], known[shown], **style)
    bars = {"markersize": 3.5, "capsize": 2, "color": color, "label": f"{words}, standard error"}
    handles.append(axes.errorbar(middle[seen], found.value[seen], found.error[seen], fmt="o", **bars))
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel(figures.symbols(label))
    axes.set_ylabel("probability")
    figures.legend(axes, handles)


def exchange_panel(exchange: object, ladder: np.ndarray | None, label: str, name: str) -> tuple[Panel, Table]:
    """Swap rates and round trips; warns, under this name, of a ladder that has a gap.

    Parameters
    ----------
    exchange : Exchange
        Of a lattice or of a model.
    ladder : array, shape (n_places,), or None
        What the places of the ladder differ in; they are numbered without.
    label : str
        Of the ladder.
    name : str
        Of the sampling, for warnings and for the table.
    """
    rates = exchange.swap_rates
    tried = rates[np.isfinite(rates)]
    if len(tried) < len(rates):
        _warn(f"{name}: swaps were tried between {len(tried)} of {len(rates)} pairs of neighbours: run more sweeps")
    elif tried.size and tried.min() < FEWEST_SWAPS:
        _warn(f"{name}: of the swaps between two neighbours only {tried.min():.2%} were made: add a place between them")
    if not exchange.round_trips:
        _warn(f"{name}: no configuration went from one end of the ladder to the other and back: run more sweeps")
    cells = [("places of the ladder", f"{len(rates) + 1}"), ("round trips", f"{exchange.round_trips:,}")]
    cells += [("sweeps", f"{exchange.n_sweeps:,}")]
    if tried.size:
        cells.append(("fraction of swaps made", f"{tried.min():.3f} to {tried.max():.3f}"))
    words = "Where few swaps are made, configurations hardly pass from one side of the ladder to the other."
    panel = Panel("Swaps between neighbours of the ladder", on_axes(swaps, rates, ladder, label), words)
    return panel, Table(name[:1].upper() + name[1:], ("", ""), cells)


def _warn(words: str) -> None:
    warnings.warn(words, StatisticsWarning, stacklevel=3)


def swaps(axes: Axes, rates: np.ndarray, ladder: Sequence[float] | None, label: str) -> None:
    """The fraction of swaps that were made between neighbours of a ladder."""
    places = np.arange(len(rates)) + 0.5 if ladder is None else (np.asarray(ladder)[1:] + np.asarray(ladder)[:-1]) / 2
    axes.plot(places, rates, "o-", color=figures.BLUE, markersize=4, linewidth=1)
    ticks = np.arange(len(rates) + 1) if ladder is None else np.asarray(ladder)
    for place in ticks:
        axes.axvline(place, color=figures.GRAY, linewidth=0.5, linestyle=":", zorder=0)
    axes.set_ylim(0, 1)
    axes.set_xlabel(figures.symbols(f"{label}; dotted: the ladder"))
    axes.set_ylabel("fraction of swaps made")


def means(axes: Axes, exact: np.ndarray, sampled: np.ndarray, errors: np.ndarray) -> None:
    """The mean of each unit, sampled minus exact."""
    style = {"markersize": 3, "color": figures.COLORS["model"], "elinewidth": 0.8, "label": "sampled, standard error"}
    bars = axes.errorbar(np.arange(len(exact)), sampled - exact, errors, fmt="o", **style)
    line = axes.axhline(0.0, color=figures.COLORS["truth"], linewidth=1, label="exact", zorder=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("visible unit")
    axes.set_ylabel("sampled mean minus exact")
    figures.legend(axes, [line, bars])
