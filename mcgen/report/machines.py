"""Trained RBMs: what was learned, with the exact values beside it."""

import numpy as np
from matplotlib.axes import Axes

from mcgen import enumeration, figures, ising, observables, rbm, stats
from mcgen.evaluation import has_spins
from mcgen.report import lattices, series
from mcgen.report.parts import Panel, Section, on_axes
from mcgen.results import Study

# Tiles of a mosaic.
MOST_WEIGHTS, MOST_STATES = 64, 36
# Singular values in a panel, and stored models along which they are followed.
MOST_VALUES, MOST_STORED = 16, 40
GRAY = figures.GRAY


def sections(study: Study) -> list[Section]:
    """One section for each temperature, or some of them."""
    return [Section(_title(study, k), _panels(study, k)) for k in figures.kept_rows(len(study.models))]


def _panels(study: Study, k: int) -> list[Panel]:
    model, trained = study.models[k], study.trained[k] if study.trained else None
    temperature = study.temperatures[k] if study.temperatures else None
    lattice = study.lattice
    panels = []
    if trained is not None:
        words = "How the training went on; the reconstruction error says little of the distribution that was learned."
        panels.append(Panel("Learning curve", on_axes(learning_curve, trained), words))
        if np.isfinite(trained.history.get("r_hat", np.nan)).any():
            words = "Above the dotted line the chains disagree: they are stuck in different parts of the distribution."
            panels.append(Panel("Do the chains of the training mix?", on_axes(mixing, trained), words))
    if temperature is not None and has_spins(model, lattice):
        panels += _against_truth(model, trained, lattice, temperature)
    shown = min(model.n_hidden, MOST_WEIGHTS)
    of = "states of hidden units" if model.hidden.entries > 1 else "hidden units"
    title = f"Weights of {'all' if shown == model.n_hidden else 'the strongest'} {shown} {of}"
    words = "A tile for each, folded like the visible layer; the largest first."
    words += " Rows: visible units, columns: their states." * (model.visible.entries > 1)
    panels.append(Panel(title, on_axes(weight_images, model, lattice), words))
    if trained is not None:
        states = trained.chains[:MOST_STATES]
        title = "States of the model's chains"
        words = "Drawn by the Markov chains of the training, after its last step."
        panels.append(Panel(title, on_axes(state_images, states, model, lattice), words))
    kept = (model,) if trained is None else trained.trajectory
    if kept:
        title = "Singular values of the weights" + " of stored models" * (trained is not None)
        words = "Each mode that is learned is a singular value that rises out of the others."
        panels.append(Panel(title, on_axes(singular_values, kept), words))
    return panels


def _against_truth(
    model: rbm.RBM, trained: rbm.Trained | None, lattice: ising.Ising, temperature: float
) -> list[Panel]:
    """Every state, where they can be listed; otherwise the magnetisation of the model's chains."""
    if lattice.n_sites <= enumeration.MOST_LISTED_UNITS:
        words = "On the line, the model gives a state exactly its true probability."
        n_rows = None if trained is None else trained.settings.get("n_rows")
        drawing = on_axes(state_by_state, model, lattice, temperature, n_rows)
        return [Panel("Every state: model against truth", drawing, words)]
    if trained is None or trained.settings.get("negative_phase") == "weighted":
        return []  # chains that count differently
    magnetization = observables.spins(trained.chains, lattice).reshape(len(trained.chains), -1).sum(axis=1)[:, None]
    exact = lattices.magnetization_distribution(lattice, temperature)
    label, color = "magnetization per site", figures.COLORS["model"]
    series_of = (magnetization.astype(np.float64), label, color, "chains of the model", exact, 1 / lattice.n_sites)
    series_of = (*series_of, "truth, exact")
    words = f"The 2^{lattice.n_sites} states are too many to compare one by one."
    words += " Exact is that of the truth, from which the data come." * (exact is not None)
    return [Panel("Magnetization of the model's chains", on_axes(series.distribution, *series_of), words)]


def _title(study: Study, k: int) -> str:
    model = study.models[k]
    names = [f"{unit.n_units(n)} {word} {unit.name}" for word, unit, n in _layers(model)]
    label = f"T = {study.temperatures[k]:g}" if study.temperatures else ""
    words = [label, f"RBM with {' and '.join(names)} units"]
    words += ["weights tied by the lattice's symmetry"] * (model.symmetry is not None)
    if "kl_divergence" in study.exact:
        kl = np.atleast_1d(study.exact["kl_divergence"])[k]
        words += [f"exact KL(truth || model) = {kl:.2g} nats"] * bool(np.isfinite(kl))
    return ",  ".join(word for word in words if word)


def _layers(model: rbm.RBM) -> tuple:
    return ("visible", model.visible, model.n_visible), ("hidden", model.hidden, model.n_hidden)


def learning_curve(axes: Axes, trained: rbm.Trained) -> None:
    """The exact KL divergence where it was evaluated, otherwise log Z with its error; and the reconstruction error."""
    history = trained.history
    epoch = history["epoch"]
    evaluated = np.isfinite(history["kl_divergence"])
    color = figures.COLORS["model"]
    handles, other = [], axes
    if evaluated.any():
        kl = history["kl_divergence"][evaluated]
        label = f"exact KL({figures.plain(trained.settings.get('kl_reference', 'truth'), 12)} || model), left"
        handles += axes.plot(epoch[evaluated], kl, "o-", color=color, markersize=3, label=label)
        if kl.min() > 0 and kl.max() > 3 * kl.min():
            axes.set_yscale("log")
        axes.set_ylabel("KL divergence (nats)")
        other = axes.twinx()
    elif np.isfinite(history.get("tracked_log_partition", np.nan)).any():
        log_z, error = history["tracked_log_partition"], history["tracked_log_partition_error"]
        label = "log Z followed along the training, left; band: its error"
        handles += axes.plot(epoch, log_z, color=color, label=label)
        axes.fill_between(epoch, log_z - error, log_z + error, color=color, alpha=0.3, linewidth=0)
        axes.set_ylabel("log Z (nats)")
        other = axes.twinx()
    words = "reconstruction error" + ", right" * (other is not axes)
    handles += other.plot(epoch, history["reconstruction_error"], color=GRAY, linewidth=1, label=words)
    other.set_ylabel("squared error per unit", color=GRAY)
    other.tick_params(axis="y", colors=GRAY)
    other.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    figures.legend(axes, handles)


def mixing(axes: Axes, trained: rbm.Trained) -> None:
    """R-hat of the training's chains, and how many sweeps they remember."""
    history = trained.history
    seen = np.isfinite(history["r_hat"])
    epoch = history["epoch"][seen]
    limit = stats.diagnosis.LARGEST_R_HAT
    style = {"markersize": 3, "color": figures.BLUE}
    handles = axes.plot(epoch, history["r_hat"][seen], "o-", label="split R-hat, left", **style)
    handles.append(axes.axhline(limit, color=figures.BLUE, linestyle=":", label=f"{limit:g}: chains disagree above"))
    axes.set_ylabel("split R-hat", color=figures.BLUE)
    axes.tick_params(axis="y", colors=figures.BLUE)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    other = axes.twinx()
    style = {"markersize": 3, "color": figures.ORANGE}
    words = "autocorrelation time, right"
    handles += other.plot(epoch, history["autocorrelation_time"][seen], "s--", label=words, **style)
    other.set_ylabel("autocorrelation time (sweeps)", color=figures.ORANGE)
    other.tick_params(axis="y", colors=figures.ORANGE)
    figures.legend(axes, handles)


def state_by_state(
    axes: Axes, model: rbm.RBM, lattice: ising.Ising, temperature: float, n_rows: int | None = None
) -> None:
    """The model's probability of every state against the true one, both axes logarithmic."""
    truth = ising.exact.probabilities(lattice, temperature)
    model_log = rbm.exact.log_probabilities(model)
    # States that the truth makes practically impossible would squeeze the rest into a corner.
    shown = truth > 1e-12 * truth.max()
    x, y = np.log10(truth[shown]), model_log[shown] / np.log(10)
    counts = axes.hexbin(x, y, gridsize=45, bins="log", mincnt=1, cmap="viridis_r", linewidths=0.2)
    counts.set_rasterized(True)
    axes.figure.colorbar(counts, ax=axes, label="states", shrink=0.8).solids.set_rasterized(True)
    ends = np.array([x.min(), x.max()])
    handles = axes.plot(ends, ends, color=figures.COLORS["truth"], linewidth=1, label="model = truth")
    if isinstance(n_rows, int) and n_rows > 0:
        label = f"once in the {n_rows:,} rows of data"
        handles.append(axes.axvline(-np.log10(n_rows), color=GRAY, linewidth=1, linestyle=":", label=label))
    axes.set_xlabel("log10 of the true probability")
    axes.set_ylabel("log10 of the model's probability")
    figures.legend(axes, handles)


def weight_images(axes: Axes, model: rbm.RBM, lattice: ising.Ising | None) -> None:
    """The weights of each hidden unit (each state of it, for Potts units), folded to the lattice, in a mosaic."""
    order = np.argsort(-np.linalg.norm(model.weights, axis=0))[:MOST_WEIGHTS]
    limit = np.abs(model.weights).max() or 1.0
    image = figures.mosaic(model.weights.T[order], _tile_shape(model, lattice))
    figures.show_mosaic(axes, image, "", "RdBu_r", -limit, limit, bar=True, words="weight")


def state_images(axes: Axes, states: np.ndarray, model: rbm.RBM, lattice: ising.Ising | None) -> None:
    """States of the visible layer, in a mosaic."""
    states, tile = states.astype(float), _tile_shape(model, lattice)
    columns = figures.columns(len(states), tile)
    states = states[: max(columns, len(states) // columns * columns)]  # full rows only
    unit = model.visible
    low, high, words = getattr(unit, "low", 0), 1, "dark: up" if unit.name == "spin" else "dark: on"
    if not unit.is_discrete:  # no bounds of their own
        low, high, words = states.min(), states.max(), "dark: large"
    elif unit.entries > 1:
        words = "rows: units, dark: the state"
    image = figures.mosaic(states, tile)
    figures.show_mosaic(axes, image, "", "Greys", low, high, bar=not unit.is_discrete, words="value")
    axes.set_xlabel(f"{len(states)} states ({words})")


def singular_values(axes: Axes, models: tuple[rbm.RBM, ...]) -> None:
    """The largest singular values of the weights: along stored models, or of one model in order."""
    which = np.unique(np.linspace(0, len(models) - 1, min(len(models), MOST_STORED)).round().astype(int))
    values = np.array([np.linalg.svd(models[k].weights, compute_uv=False)[:MOST_VALUES] for k in which])
    if len(models) > 1:
        for k, line in enumerate(values.T):
            axes.plot(which, line, color=figures.CYCLE[k % len(figures.CYCLE)], linewidth=1)
        axes.set_xlabel("stored model, from the start of the training")
    else:
        axes.plot(np.arange(1, values.shape[1] + 1), values[0], "o", color=figures.COLORS["model"], markersize=4)
        axes.set_xlabel("number, by size")
    axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(f"singular value ({values.shape[1]} largest)")


def _tile_shape(model: rbm.RBM, lattice: ising.Ising | None) -> tuple[int, int]:
    """How a vector over the visible layer is folded."""
    n_units, width = model.n_visible, model.visible.entries
    if width > 1:
        return n_units // width, width
    return figures.tile_shape(n_units, lattice)
