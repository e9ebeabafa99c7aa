"""Figures of what was learned, with the exact values beside it."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mcgen import enumeration, ising, rbm, results
from mcgen.errors import InputError
from mcgen.evaluation import PER_SITE, has_spins
from mcgen.results import Study

COLORS = {"truth": "black", "data": "tab:blue", "model": "tab:red"}
# Rows of a figure; more temperatures than this are thinned out evenly.
MOST_ROWS = 6
# Points of an exact curve through all temperatures, and the time for it; slower lattices have exact points.
CURVE_POINTS = 60
CURVE_SECONDS = 5.0


def report(source: Study | str | Path, output: str | Path, overwrite: bool = False) -> Path:
    """Draw the report of a trained model: one row of panels for each temperature, and the observables below.

    The panels are the learning curve, the probability of every state in the model against the truth (where both can be
    enumerated), the weights of each hidden unit as an image of the lattice, and states drawn from the model. A panel of
    what cannot be drawn, as of states that cannot be enumerated, says why.

    Parameters
    ----------
    source : Study, str or Path
        A study that holds trained models, or a file of one.
    output : str or Path
        An image file; its ending chooses the format (.png, .pdf, .svg).
    overwrite : bool
        Whether a file that is there may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the source cannot be read or the output exists or cannot be written.
    InputError
        If the source holds no trained model, or the ending of the output is no image format.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mcgen import rbm, report
    >>> trained = rbm.train(rbm.RBM.random(4, 2, seed=1), [[0, 0, 1, 1], [1, 1, 0, 0]], epochs=5, n_chains=4)
    >>> from mcgen.results import Study
    >>> output = pathlib.Path(tempfile.mkdtemp()) / "report.png"
    >>> report.report(Study(models=(trained.model,), trained=(trained,)), output).exists()
    True
    """
    output = check_output(output, overwrite)
    study = source if isinstance(source, Study) else results.load_study(source)
    if not study.trained:
        raise InputError("there is no trained model to report on; give a file written by 'mcgen rbm train'")
    figure = draw(study)
    with results.written_beside(output) as beside:
        figure.savefig(beside, format=_ending(output), dpi=130)
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


def _ending(output: Path) -> str:
    return output.suffix.lstrip(".").lower()


def draw(study: Study) -> Figure:
    """The report as a matplotlib figure; see `report`."""
    count = len(study.trained)
    rows = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))
    has_observables = bool(study.observables and study.temperatures and study.lattice)
    n_rows = len(rows) + has_observables
    heights = [3.6] * len(rows) + [5.0] * has_observables
    figure = Figure(figsize=(16, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(n_rows, 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, k in zip(parts, rows, strict=False):
        temperature = study.temperatures[k] if study.temperatures else None
        label = "" if temperature is None else f"T = {temperature:g}"
        part.suptitle(_title(study, k, label), fontsize=12, fontweight="bold")
        curve, states, weights, samples = part.subplots(1, 4)
        learning_curve(curve, study.trained[k])
        state_by_state(states, study.trained[k], study.lattice, temperature)
        weight_images(weights, study.trained[k].model, study.lattice)
        sample_images(samples, study.trained[k], study.lattice)
    if has_observables:
        parts[-1].suptitle(
            "Observables: exact, of the data, and of states drawn from the model",
            fontsize=12,
            fontweight="bold",
        )
        has_truth = all(f"{name}_truth" in study.observables for name in PER_SITE)
        ratios = (2, 1) if has_truth else (1,)
        panels = parts[-1].subplots(len(ratios), len(PER_SITE), sharex="col", height_ratios=ratios, squeeze=False)
        curve = _exact_curve(study)
        for k, name in enumerate(PER_SITE):
            observable(panels[0, k], study, name, curve)
            if has_truth:
                deviation(panels[1, k], study, name)
            panels[-1, k].set_xlabel("temperature")
    return figure


def _title(study: Study, k: int, label: str) -> str:
    model = study.trained[k].model
    names = [f"{unit.n_units(n)} {word} {unit.name}" for word, unit, n in _layers(model)]
    words = [label, f"RBM with {' and '.join(names)} units"]
    words += ["weights tied by the lattice's symmetry"] * (model.symmetry is not None)
    if "kl_divergence" in study.exact:
        kl = np.atleast_1d(study.exact["kl_divergence"])[k]
        words += [f"exact KL(truth || model) = {kl:.2g} nats"] * bool(np.isfinite(kl))
    return ",  ".join(word for word in words if word)


def _layers(model: rbm.RBM) -> tuple:
    return ("visible", model.visible, model.n_visible), ("hidden", model.hidden, model.n_hidden)


def learning_curve(axes: Axes, trained: rbm.Trained) -> None:
    """The exact KL divergence at the epochs where it was evaluated, and the reconstruction error."""
    history = trained.history
    epoch = history["epoch"]
    evaluated = np.isfinite(history["kl_divergence"])
    if evaluated.any():
        kl = history["kl_divergence"][evaluated]
        label = f"exact KL({trained.settings.get('kl_reference', 'truth')} || model), left"
        axes.plot(epoch[evaluated], kl, "o-", color=COLORS["model"], markersize=3, label=label)
        if kl.min() > 0 and kl.max() > 3 * kl.min():
            axes.set_yscale("log")
        axes.set_ylabel("KL divergence, nats")
        other = axes.twinx()
    else:
        other = axes
    line = other.plot(
        epoch, history["reconstruction_error"], color="tab:gray", linewidth=1, label="reconstruction error"
    )
    other.set_ylabel("reconstruction error per unit", color="tab:gray")
    other.tick_params(axis="y", colors="tab:gray")
    axes.set_xlabel("epoch")
    axes.set_title("Learning curve", fontsize=10)
    axes.legend(handles=[*(axes.lines if other is not axes else []), *line], fontsize=7)


def state_by_state(axes: Axes, trained: rbm.Trained, lattice: ising.Ising | None, temperature: float | None) -> None:
    """The model's probability of every state against the true one, both axes logarithmic."""
    axes.set_title("Every state: model against truth", fontsize=10)
    if lattice is None or temperature is None:
        return _say(axes, "the true distribution\nis not known")
    if not has_spins(trained.model, lattice):
        return _say(axes, f"states of {trained.model.visible.name} units\nare no states of the lattice's spins")
    if lattice.n_sites > enumeration.MOST_LISTED_UNITS:
        return _say(axes, f"2^{lattice.n_sites} states\nare too many to list")
    truth = ising.exact.probabilities(lattice, temperature)
    model_log = rbm.exact.log_probabilities(trained.model)
    # States that the truth makes practically impossible would squeeze the rest into a corner.
    shown = truth > 1e-12 * truth.max()
    x, y = np.log10(truth[shown]), model_log[shown] / np.log(10)
    axes.hexbin(x, y, gridsize=45, bins="log", mincnt=1, cmap="Reds", linewidths=0.2)
    ends = np.array([x.min(), x.max()])
    axes.plot(ends, ends, color=COLORS["truth"], linewidth=1, label="model = truth")
    n_rows = trained.settings.get("n_rows")
    if n_rows:
        axes.axvline(
            -np.log10(n_rows), color="gray", linewidth=1, linestyle=":", label=f"once in the {n_rows:,} rows of data"
        )
    axes.set_xlabel("log10 of the true probability")
    axes.set_ylabel("log10 of the model's probability")
    axes.legend(fontsize=7, loc="upper left")
    return None


def weight_images(axes: Axes, model: rbm.RBM, lattice: ising.Ising | None) -> None:
    """The weights of each hidden unit (each state of it, for Potts units), folded to the lattice, in a mosaic."""
    shown = min(model.n_hidden, 64)
    order = np.argsort(-np.linalg.norm(model.weights, axis=0))[:shown]
    limit = np.abs(model.weights).max() or 1.0
    of = "states of hidden units" if model.hidden.entries > 1 else "hidden units"
    title = f"Weights of {'all' if shown == model.n_hidden else 'the strongest'} {shown} {of}"
    title += "\n(rows: visible units, columns: their states)" * (model.visible.entries > 1)
    image = _mosaic(model.weights.T[order], _tile_shape(model, lattice))
    _show_mosaic(axes, image, title, "RdBu_r", -limit, limit, bar=True)


def sample_images(axes: Axes, trained: rbm.Trained, lattice: ising.Ising | None) -> None:
    """States of the model's Markov chains after training."""
    states, tile = trained.chains[:36].astype(float), _tile_shape(trained.model, lattice)
    columns = _columns(len(states), tile)
    states = states[: max(columns, len(states) // columns * columns)]  # full rows only
    unit = trained.model.visible
    low, high, words = getattr(unit, "low", 0), 1, "dark: up"
    if not unit.is_discrete:  # no bounds of their own
        low, high, words = states.min(), states.max(), "dark: large"
    elif unit.entries > 1:
        words = "rows: units, dark: the state"
    title = f"{len(states)} states of the model's chains" + "\n" * (unit.entries > 1) + f" ({words})"
    _show_mosaic(axes, _mosaic(states, tile), title, "Greys", low, high, bar=not unit.is_discrete)


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
        return _say(axes, "no exact value")
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


def _mosaic(vectors: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Vectors as tiles of this shape in one image, with a gap of NaN between."""
    columns = _columns(len(vectors), shape)
    n_rows = -(-len(vectors) // columns)
    image = np.full((n_rows * (shape[0] + 1) - 1, columns * (shape[1] + 1) - 1), np.nan)
    for k, vector in enumerate(vectors):
        row, column = divmod(k, columns)
        y, x = row * (shape[0] + 1), column * (shape[1] + 1)
        image[y : y + shape[0], x : x + shape[1]] = vector.reshape(shape)
    return image


def _columns(n_tiles: int, shape: tuple[int, int]) -> int:
    """Tiles side by side that make the mosaic about square."""
    return min(n_tiles, int(np.ceil(np.sqrt(n_tiles * shape[0] / shape[1]))))


def _tile_shape(model: rbm.RBM, lattice: ising.Ising | None) -> tuple[int, int]:
    """How a vector over the visible layer is folded."""
    n_units, width = model.n_visible, model.visible.entries
    if width > 1:
        return n_units // width, width
    if lattice is None or lattice.n_sites != n_units:
        side = int(np.sqrt(n_units))
        return (side, side) if side * side == n_units else (1, n_units)
    if lattice.n_dims == 2:
        return lattice.shape
    return (n_units // lattice.shape[-1], lattice.shape[-1])  # layers on top of each other


def _show_mosaic(axes: Axes, image: np.ndarray, title: str, colors: str, low: float, high: float, bar: bool) -> None:
    axes.set_facecolor("lightgray")
    picture = axes.imshow(image, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)
    if bar:
        axes.figure.colorbar(picture, ax=axes, shrink=0.8)


def _say(axes: Axes, words: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color="gray")
