"""Figures of what was learned, with the exact values beside it."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mcgen import enumeration, figures, ising, rbm, report_vae, results
from mcgen.errors import InputError
from mcgen.evaluation import has_spins
from mcgen.results import Study


def report(
    source: Study | str | Path, output: str | Path, overwrite: bool = False, data: str | Path | None = None
) -> Path:
    """Draw the report of a trained model: one row of panels for each temperature, and the observables below.

    The panels of an RBM are the learning curve, the probability of every state in the model against the truth (where
    both can be enumerated), the weights of each hidden unit as an image of the lattice, and states drawn from the
    model. A panel of what cannot be drawn, as of states that cannot be enumerated, says why. Those of an autoencoder
    are the learning curves, the latents in use, two of them in a plane, this plane decoded, and generated
    configurations.

    Parameters
    ----------
    source : Study, str or Path
        A study that holds trained models, or a file of one.
    output : str or Path
        An image file; its ending chooses the format (.png, .pdf, .svg).
    overwrite : bool
        Whether a file that is there may be replaced.
    data : str or Path, optional
        A file of rows of data to show in the latent plane of VAEs; by default configurations that they generate.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the source cannot be read or the output exists or cannot be written.
    InputError
        If the source holds no trained model, the ending of the output is no image format, or data do not fit.

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
        raise InputError(
            "there is no trained model to report on; give a file written by 'mcgen rbm train' or 'vae train'"
        )
    if isinstance(study.trained[0], rbm.Trained):
        if data is not None:
            raise InputError(f"data={str(data)!r} is for the report of a VAE; leave it out")
        figure = draw(study)
    else:
        figure = report_vae.draw(study, () if data is None else report_vae.load_tables(study, data))
    return save_figure(figure, output)


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
    """The report of RBMs as a matplotlib figure; see `report`."""
    rows = figures.kept_rows(len(study.trained))
    has_observables = figures.has_observables(study)
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
        figures.observables(parts[-1], study)
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
    """The exact KL divergence where it was evaluated, otherwise log Z with its error; and the reconstruction error."""
    history = trained.history
    epoch = history["epoch"]
    evaluated = np.isfinite(history["kl_divergence"])
    if evaluated.any():
        kl = history["kl_divergence"][evaluated]
        label = f"exact KL({trained.settings.get('kl_reference', 'truth')} || model), left"
        axes.plot(epoch[evaluated], kl, "o-", color=figures.COLORS["model"], markersize=3, label=label)
        if kl.min() > 0 and kl.max() > 3 * kl.min():
            axes.set_yscale("log")
        axes.set_ylabel("KL divergence, nats")
        other = axes.twinx()
    elif np.isfinite(history.get("tracked_log_partition", np.nan)).any():
        log_z, error = history["tracked_log_partition"], history["tracked_log_partition_error"]
        color = figures.COLORS["model"]
        axes.plot(epoch, log_z, color=color, label="log Z followed along the training, left")
        axes.fill_between(epoch, log_z - error, log_z + error, color=color, alpha=0.3, linewidth=0)
        axes.set_ylabel("log Z, nats")
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
        return figures.say(axes, "the true distribution\nis not known")
    if not has_spins(trained.model, lattice):
        return figures.say(axes, f"states of {trained.model.visible.name} units\nare no states of the lattice's spins")
    if lattice.n_sites > enumeration.MOST_LISTED_UNITS:
        return figures.say(axes, f"2^{lattice.n_sites} states\nare too many to list")
    truth = ising.exact.probabilities(lattice, temperature)
    model_log = rbm.exact.log_probabilities(trained.model)
    # States that the truth makes practically impossible would squeeze the rest into a corner.
    shown = truth > 1e-12 * truth.max()
    x, y = np.log10(truth[shown]), model_log[shown] / np.log(10)
    axes.hexbin(x, y, gridsize=45, bins="log", mincnt=1, cmap="Reds", linewidths=0.2)
    ends = np.array([x.min(), x.max()])
    axes.plot(ends, ends, color=figures.COLORS["truth"], linewidth=1, label="model = truth")
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
    image = figures.mosaic(model.weights.T[order], _tile_shape(model, lattice))
    figures.show_mosaic(axes, image, title, "RdBu_r", -limit, limit, bar=True)


def sample_images(axes: Axes, trained: rbm.Trained, lattice: ising.Ising | None) -> None:
    """States of the model's Markov chains after training."""
    states, tile = trained.chains[:36].astype(float), _tile_shape(trained.model, lattice)
    columns = figures.columns(len(states), tile)
    states = states[: max(columns, len(states) // columns * columns)]  # full rows only
    unit = trained.model.visible
    low, high, words = getattr(unit, "low", 0), 1, "dark: up"
    if not unit.is_discrete:  # no bounds of their own
        low, high, words = states.min(), states.max(), "dark: large"
    elif unit.entries > 1:
        words = "rows: units, dark: the state"
    title = f"{len(states)} states of the model's chains" + "\n" * (unit.entries > 1) + f" ({words})"
    figures.show_mosaic(axes, figures.mosaic(states, tile), title, "Greys", low, high, bar=not unit.is_discrete)


def _tile_shape(model: rbm.RBM, lattice: ising.Ising | None) -> tuple[int, int]:
    """How a vector over the visible layer is folded."""
    n_units, width = model.n_visible, model.visible.entries
    if width > 1:
        return n_units // width, width
    return figures.tile_shape(n_units, lattice)
