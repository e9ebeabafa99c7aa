"""What figures of all kinds of models have in common: mosaics of configurations, observables beside exact curves."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from mcgen import ising
from mcgen.evaluation import PER_SITE
from mcgen.results import Study

COLORS = {"truth": "black", "data": "tab:blue", "model": "tab:red"}
# Rows of a figure; more temperatures than this are thinned out evenly.
MOST_ROWS = 6
# Points of an exact curve through all temperatures, and the time for it; slower lattices have exact points.
CURVE_POINTS = 60
CURVE_SECONDS = 5.0


def kept_rows(count: int) -> np.ndarray:
    """Which of so many models have a row of panels."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))


def has_observables(study: Study) -> bool:
    """Whether a study has the observables of a lattice at some temperatures."""
    return bool(study.temperatures and study.lattice and "energy_model" in study.observables)


def observables(part: SubFigure, study: Study) -> None:
    """Observables against the temperature: exact, of the data, and of states drawn from the models."""
    part.suptitle(
        "Observables: exact, of the data, and of states drawn from the model",
        fontsize=12,
        fontweight="bold",
    )
    has_truth = all(f"{name}_truth" in study.observables for name in PER_SITE)
    ratios = (2, 1) if has_truth else (1,)
    panels = part.subplots(len(ratios), len(PER_SITE), sharex="col", height_ratios=ratios, squeeze=False)
    curve = _exact_curve(study)
    for k, name in enumerate(PER_SITE):
        observable(panels[0, k], study, name, curve)
        if has_truth:
            deviation(panels[1, k], study, name)
        panels[-1, k].set_xlabel("temperature")


def _exact_curve(study: Study) -> list[ising.exact.Thermodynamics]:
    """Exact thermodynamics over the range of temperatures where it takes seconds, else what Kaufman's formula gives."""
    possible = [plan for plan in ising.exact.plans(study.lattice) if not plan.obstacle]
    quick = [plan for plan in possible if plan.seconds * CURVE_POINTS < CURVE_SECONDS]
    # The complete ones first; the order is otherwise that of time.
    methods = [plan.method for plan in sorted(quick, key=lambda plan: not plan.complete)]
    if not methods:
        return []
    temperatures = np.linspace(min(study.temperatures) * 0.9, max(study.temperatures) * 1.1, CURVE_POINTS)
    return [ising.exact.thermodynamics(study.lattice, temperature, method=methods[0]) for temperature in temperatures]


def observable(axes: Axes, study: Study, name: str, curve: list[ising.exact.Thermodynamics]) -> None:
    """One observable per site against the temperature: exact curve, data and model with error bars."""
    n_sites = study.lattice.n_sites
    temperatures = np.array(study.temperatures)
    if curve and np.isfinite(getattr(curve[0], name)):
        exact = [getattr(point, name) / n_sites for point in curve]
        axes.plot(
            [point.temperature for point in curve], exact, color=COLORS["truth"], linewidth=1, label="exact", zorder=0
        )
    elif np.isfinite(study.observables.get(f"{name}_truth", np.nan)).any():
        exact = study.observables[f"{name}_truth"] / n_sites
        axes.plot(temperatures, exact, "_", markersize=24, color=COLORS["truth"], label="exact", zorder=0)
    _error_bars(axes, study, name, np.zeros(len(temperatures)))
    axes.set_ylabel(PER_SITE[name])
    axes.legend(fontsize=7)


def deviation(axes: Axes, study: Study, name: str) -> None:
    """The same minus the exact value, where error bars can be seen."""
    if not np.isfinite(study.observables[f"{name}_truth"]).any():
        return say(axes, "no exact value")
    axes.axhline(0.0, color=COLORS["truth"], linewidth=1)
    _error_bars(axes, study, name, study.observables[f"{name}_truth"] / study.lattice.n_sites)
    axes.set_ylabel("minus exact")
    return None


def _error_bars(axes: Axes, study: Study, name: str, subtracted: np.ndarray) -> None:
    temperatures = np.array(study.temperatures)
    n_sites = study.lattice.n_sites
    apart = 0.008 * (np.ptp(temperatures) or 1.0)  # so that the error bars of the two do not hide each other
    for source, shift, marker in (("data", -apart, "o"), ("model", apart, "s")):
        value = study.observables[f"{name}_{source}"] / n_sites - subtracted
        error = study.observables[f"{name}_{source}_error"] / n_sites
        label = f"{source}, with one standard error"
        style = {"fmt": marker, "markersize": 4, "capsize": 3, "color": COLORS[source], "label": label}
        axes.errorbar(temperatures + shift, value, error, **style)


def mosaic(vectors: np.ndarray, shape: tuple[int, int], n_columns: int | None = None) -> np.ndarray:
    """Vectors as tiles of this shape in one image, with a gap of NaN between; about square by default."""
    n_columns = n_columns or columns(len(vectors), shape)
    n_rows = -(-len(vectors) // n_columns)
    image = np.full((n_rows * (shape[0] + 1) - 1, n_columns * (shape[1] + 1) - 1), np.nan)
    for k, vector in enumerate(vectors):
        row, column = divmod(k, n_columns)
        y, x = row * (shape[0] + 1), column * (shape[1] + 1)
        image[y : y + shape[0], x : x + shape[1]] = vector.reshape(shape)
    return image


def columns(n_tiles: int, shape: tuple[int, int]) -> int:
    """Tiles side by side that make the mosaic about square."""
    return min(n_tiles, int(np.ceil(np.sqrt(n_tiles * shape[0] / shape[1]))))


def tile_shape(n_features: int, lattice: ising.Ising | None) -> tuple[int, int]:
    """How a vector over the sites of a lattice, or of any features, is folded."""
    if lattice is None or lattice.n_sites != n_features:
        side = int(np.sqrt(n_features))
        return (side, side) if side * side == n_features else (1, n_features)
    if lattice.n_dims == 2:
        return lattice.shape
    return (n_features // lattice.shape[-1], lattice.shape[-1])  # layers on top of each other


def show_mosaic(axes: Axes, image: np.ndarray, title: str, colors: str, low: float, high: float, bar: bool) -> None:
    """A mosaic without ticks, with a bar of colours if wanted."""
    axes.set_facecolor("lightgray")
    picture = axes.imshow(image, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)
    if bar:
        axes.figure.colorbar(picture, ax=axes, shrink=0.8)


def say(axes: Axes, words: str) -> None:
    """Words in place of a panel."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color="gray")
