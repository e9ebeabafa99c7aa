"""Trained autoencoders: learning curves, latent space, generated configurations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mcgen import figures, results, rng, vae
from mcgen.errors import InputError
from mcgen.report.parts import Panel, Section, on_axes
from mcgen.results import Study
from mcgen.results.rows import as_states
from mcgen.results.study import in_words, place_of

# Rows of data in a latent plane, and configurations in a mosaic.
MOST_POINTS, MOST_TILES = 2000, 36
# Decoded points along each side of a plane of latents, in quantiles of the prior.
GRID = 9

Tables = Sequence[tuple[float | None, np.ndarray]]


def load_tables(study: Study, data: str | Path) -> Tables:
    """Rows of data and their temperatures, for `sections`.

    Raises
    ------
    FileError
        If the file cannot be read.
    InputError
        If the rows do not fit the models.
    """
    net = study.models[0]
    kind = net.decoder_kind
    tables = []
    for temperature, rows, _ in results.load_rows(data, kind.name != "spin"):
        if rows.shape[1] != net.n_features:
            raise InputError(
                f"{data} has rows of {rows.shape[1]} numbers, and the models {net.n_features} features; give the data "
                "that they were trained on"
            )
        rows = net.check_rows(as_states(rows, kind.name), str(data))
        tables.append((temperature, rows[:: -(-len(rows) // MOST_POINTS)]))
    places = range(len(study.models))
    if not any(_matching(study.models[k], one, _temperatures(study, k)) for k in places for one, _ in tables):
        have = in_words([one for one, _ in tables])
        wanted = "with one" if net.n_conditions else f"of {in_words(study.temperatures)}"
        raise InputError(f"{data} has rows of the temperatures {have}, and none for the models; give rows {wanted}")
    return tables


def sections(study: Study, tables: Tables = ()) -> list[Section]:
    """One section for each model, or some of them.

    The panels are the learning curves; the KL divergence of each latent variable from the prior, in colour where it is
    active; the plane of the two latents with the largest one, with a point for each row at the mean of q(z | x), and
    its colour the mean of the row's features; what the decoder makes of this plane, the other latents being 0; and
    generated configurations. Rows are those of the tables or, without them, generated.

    Parameters
    ----------
    study : Study
        With autoencoders.
    tables : sequence of (temperature or None, rows)
        Rows of data; see `load_tables`.

    Returns
    -------
    list of Section

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import vae
    >>> from mcgen.report import autoencoders
    >>> from mcgen.results import as_study
    >>> net = vae.VAE(n_features=4, hidden=(8,), n_latent=2, seed=0)
    >>> fit = vae.train(net, np.array([[0, 0, 1, 1], [1, 1, 0, 0]] * 20), epochs=2)
    >>> [panel.title for panel in autoencoders.sections(as_study(fit))[0].panels][:2]
    ['Learning curves', '2 of 2 latents active']
    """
    found = []
    for k in figures.kept_rows(len(study.models)):
        net, temperatures = study.models[k], _temperatures(study, k)
        panels = []
        if study.trained:
            drawing = on_axes(learning_curve, study.trained[k])
            panels.append(Panel("Learning curves", drawing, _words_of_bound(study.trained[k])))
        found.append(Section(_title(net, temperatures), panels + _of_model(net, temperatures, study.lattice, tables)))
    return found


def _words_of_bound(fit: vae.Fit) -> str:
    """What the curves of a training are bounds on."""
    if not fit.model.is_variational:
        return "-log p(x | h) of rows given their codes h: the error of reconstruction; lower is better."
    if fit.settings.get("objective") == "importance":
        k = fit.settings.get("n_draws")
        words = f"The bound on -log p(x) is the importance-weighted one, of {k} draws, and that of validation rows the"
        return f"{words} reconstruction and the KL divergence together; lower is better."
    return "The bound on -log p(x) is the reconstruction and the KL divergence together; lower is better."


def _temperatures(study: Study, k: int) -> tuple[float, ...]:
    """Those of model k: all of a conditional model, at most one of others."""
    if isinstance(study.models[k], vae.ConditionalVAE) and len(study.models) == 1:
        return study.temperatures
    return study.temperatures[k : k + 1]


def _title(net: vae.Autoencoder | vae.VAE, temperatures: Sequence[float]) -> str:
    label = f"T = {', '.join(f'{one:g}' for one in temperatures)},  " if temperatures else ""
    hidden = " - ".join(map(str, net.hidden)) or "no"
    words = (
        f"{label}{type(net).__name__} of {net.n_features} features and {net.n_latent} latents, hidden layers: {hidden}"
    )
    return words + ", convolutional" * (net.convolution is not None)


def _of_model(
    net: vae.Autoencoder | vae.VAE, temperatures: Sequence[float], lattice: object, tables: Tables
) -> list[Panel]:
    """What can be shown of a model alone; in its place, the words why not."""
    obstacle = ""
    if not isinstance(net, vae.VAE):
        obstacle = "an autoencoder has\nno distribution of latents"
    conditions = None if obstacle else _conditions(net, temperatures)
    if conditions is None:
        obstacle = obstacle or "the conditions that the model\nhas learned are not in the file"
        return [Panel("Latent variables", on_axes(figures.say, obstacle))]
    shown = conditions[figures.kept_rows(len(conditions))]
    states = [net.sample(MOST_POINTS // len(shown), rng.derive(0, n), one) for n, one in enumerate(shown)]
    source = [(one, rows) for temperature, rows in tables for one in _matching(net, temperature, temperatures)]
    words = "data" if source else "generated configurations"
    source = source or [*zip(shown, states, strict=True)]
    x = np.concatenate([rows for _, rows in source])
    condition = None if not net.n_conditions else np.repeat([one for one, _ in source], [len(r) for _, r in source], 0)
    mean, log_std = net.encode(x, condition)
    kl = np.array([vae.standard_gaussian_kl(mean[:, [k]], log_std[:, [k]]).mean() for k in range(net.n_latent)])
    active = vae.latent.active_units(mean)
    used = np.argsort(-kl, kind="stable")[:2]
    tile = figures.tile_shape(net.n_features, lattice)
    middle = shown[len(shown) // 2]
    at = f", at T = {middle[0]:g}" if len(temperatures) > 1 else ""
    each = MOST_TILES // len(shown)
    image = figures.mosaic(np.concatenate([one[:each] for one in states]).astype(float), tile)
    low, high = _range(net, x)
    color = x.mean(axis=1, dtype=np.float64)
    decoded = "Decoded along the latent" if len(used) == 1 else f"Decoded: latents {used[0]} across, {used[1]} up"
    dark = "up" if net.decoder_kind.name == "spin" else "large"
    of = f", from T = {shown[0][0]:g} to {shown[-1][0]:g}" if len(shown) > 1 else ""
    return [
        Panel(
            f"{active.sum()} of {len(kl)} latents active",
            on_axes(active_latents, kl, active),
            "What a latent says of a row; those in gray follow the prior and say nothing.",
        ),
        Panel(
            f"Latent means of {words}",
            on_axes(latent_plane, mean, used, color),
            "A point for each row, at the mean of its latents: what the model tells apart lies apart.",
        ),
        Panel(
            decoded + at,
            on_axes(decoded_plane, net, used, tile, middle),
            f"Mean configurations at points of the plane, in steps of equal probability; dark is {dark}.",
        ),
        Panel(
            f"Generated configurations{of} (dark: {dark})",
            on_axes(figures.show_mosaic, image, "", "Greys", low, high, False),
            "Drawn from the model.",
        ),
    ]


def _conditions(net: vae.VAE, temperatures: Sequence[float]) -> np.ndarray | None:
    """What to generate at: an array of conditions; [None] for a model without; None where they are not known."""
    if not net.n_conditions:
        return np.array([None])
    if net.n_conditions != 1 or not temperatures:
        return None
    return np.array(temperatures)[:, None]


def _matching(net: vae.VAE, temperature: float | None, temperatures: Sequence[float]) -> list:
    """The condition of rows at a temperature, if the model is for it: a list of one, or empty."""
    if net.n_conditions:
        return [] if temperature is None else [np.array([temperature])]
    known = not temperatures or temperature is None or place_of(temperature, temperatures[:1]) is not None
    return [None] if known else []


def _range(net: vae.VAE, x: np.ndarray) -> tuple[float, float]:
    """What is white and what is black."""
    return {"spin": (-1, 1), "bernoulli": (0, 1)}.get(net.decoder_kind.name, (x.min(), x.max()))


def learning_curve(axes: Axes, fit: vae.Fit) -> None:
    """Bound and reconstruction of training and validation rows, with their signs turned, and the KL divergence."""
    history = fit.history
    lines = []
    colors = {"bound": figures.ORANGE, "reconstruction": figures.BLUE}
    for name, color in colors.items():
        k = fit.settings.get("n_draws") if name == "bound" and fit.settings.get("objective") == "importance" else None
        words = "" if k is None else f" of {k} draws"
        lines += axes.plot(history["epoch"], -history[name], color=color, label=f"-{name}{words}")
        judged = -history[f"validation_{name}"]
        if np.isfinite(judged).any():
            axes.plot(history["epoch"], judged, color=color, linestyle="--")
    if np.isfinite(history["validation_bound"]).any():
        lines.append(Line2D([], [], color=figures.BLACK, linestyle="--", label="dashed: validation rows"))
    other = axes.twinx()
    gray = figures.GRAY
    lines += other.plot(history["epoch"], history["kl"], color=gray, linewidth=1, label="KL(q || prior), right")
    other.set_ylabel("KL divergence (nats)", color=gray)
    other.tick_params(axis="y", colors=gray)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("nats per row")
    figures.legend(axes, lines)


def active_latents(axes: Axes, kl: np.ndarray, active: np.ndarray) -> None:
    """The KL divergence of each latent, in colour where it is active."""
    axes.bar(np.arange(len(kl)), kl, color=np.where(active, figures.COLORS["model"], "lightgray"))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("latent")
    axes.set_ylabel("KL divergence (nats)")


def latent_plane(axes: Axes, mean: np.ndarray, used: np.ndarray, color: np.ndarray) -> None:
    """Rows at their latent means; with one latent, against what is the colour otherwise."""
    y = mean[:, used[1]] if len(used) > 1 else color
    points = axes.scatter(mean[:, used[0]], y, c=color, s=4, cmap="viridis", rasterized=True)
    axes.set_xlabel(f"latent {used[0]}")
    axes.set_ylabel(f"latent {used[1]}" if len(used) > 1 else "mean of the features")
    bar = axes.figure.colorbar(points, ax=axes, label="mean of the features", shrink=0.8)
    bar.solids.set_rasterized(True)


def decoded_plane(
    axes: Axes, net: vae.VAE, used: np.ndarray, tile: tuple[int, int], condition: np.ndarray | None
) -> None:
    """Means decoded from a grid in the plane of two latents, or along the only one."""
    if len(used) == 1:
        means = vae.traversal(net, values=np.linspace(-2.0, 2.0, GRID), condition=condition)
    else:
        grid = vae.manifold(net, GRID, (int(used[0]), int(used[1])), condition)
        means = grid.transpose(1, 0, 2)[::-1].reshape(GRID * GRID, -1)  # rows of the image go down
    low, high = _range(net, means)
    image = figures.mosaic(means.astype(float), tile, GRID)
    figures.show_mosaic(axes, image, "", "Greys", low, high, bar=False)
