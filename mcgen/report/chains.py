"""Samples of models: states, chains, and distributions beside exact ones."""

import numpy as np

from mcgen import figures, observables, rbm, results
from mcgen.evaluation import has_spins
from mcgen.report import lattices, machines, series
from mcgen.report import observables as table
from mcgen.report.parts import Panel, Section, Table, on_axes
from mcgen.results import Study

MOST_STATES = 36
# Visible units of two levels whose states are listed for exact distributions, and work for exact means.
MOST_UNITS, TIMES = 20, 8.0


def sections(study: Study) -> list[Section]:
    """One section for each model or temperature, or some of them, after observables of a lattice where they are known.

    Warns of chains that disagree or hardly swapped: for the caller to gather.
    """
    found = _observables(study)
    of_models = isinstance(study.samples[0], rbm.Samples)
    if of_models:
        found.append(Section("The chains", tables=[_diagnostics(study)]))
    for k in figures.kept_rows(len(study.samples)):
        run = study.samples[k]
        label = _label(study, k)
        how = f"{run.states.shape[0]} chains of {run.states.shape[1]} draws, {run.method}"
        how = how if of_models else f"{run.states.shape[1]} independent draws"
        panels, tables = _of_model(run, study) if of_models else _of_draws(run, study, k), []
        if run.exchange is not None:
            words = "inverse temperature" if run.exchange.betas is not None else "stored model"
            name = "tempering" + f" of {label}" * bool(label)
            panel, numbers = series.exchange_panel(run.exchange, run.exchange.betas, words, name)
            panels, tables = [*panels, panel], [numbers]
        found.append(Section(", ".join(filter(None, (label, how))), panels, tables))
    return found


def _label(study: Study, k: int) -> str:
    if study.temperatures:
        return f"T = {study.temperatures[k]:g}"
    return f"model {k + 1}" if len(study.samples) > 1 else ""


def _observables(study: Study) -> list[Section]:
    """Energy, magnetisation and heat capacity of the lattice that the model is of."""
    lattice, temperatures = study.lattice, study.temperatures
    run = study.samples[0]
    if lattice is None or not temperatures or any(map(is_conditional, study.samples)):
        return []
    if isinstance(run, rbm.Samples):
        if not has_spins(run.model, lattice):
            return []
    elif run.states.dtype != np.int8 or run.states.shape[2] != lattice.n_sites:
        return []
    pairs = zip(study.samples, temperatures, strict=True)
    columns = table.of_runs([observables.summary(run, lattice, t) for run, t in pairs], "model")
    columns |= table.exact_columns(lattice, temperatures)
    title = "Observables of the lattice: drawn from the model, and exact ones of the truth"
    return [table.section(lattice, temperatures, columns, [table.MODEL], title)]


def is_conditional(run: rbm.Samples | results.Draws) -> bool:
    """Whether units were held, or the sum of the states: such draws are not those of the whole model.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.report import chains
    >>> model = rbm.RBM.random(6, 2, seed=1)
    >>> free = rbm.sample(model, n_chains=8, n_draws=20, seed=1)
    >>> held = rbm.sample(model, n_chains=8, n_draws=20, seed=1, clamped_units=[0], clamped_values=[1])
    >>> chains.is_conditional(free), chains.is_conditional(held)
    (False, True)
    """
    if isinstance(run, results.Draws):
        return False
    if run.states.shape[1] < 2:
        return True  # nothing can be said
    never = (run.states == run.states[:, :1]).all(axis=(0, 1))
    return bool(never.any() or (run.magnetization == run.magnetization[:, :1]).all())


def _diagnostics(study: Study) -> Table:
    """What a person asks of chains before believing their means; warns where they fail."""
    rows = []
    for k, run in enumerate(study.samples):
        label = _label(study, k)
        for words, values in (("free energy", run.free_energy), ("sum of the visible units", run.magnetization)):
            name = words + f" of {label}" * bool(label)
            rows.append((label, *series.diagnosis(values, words, name, run.thin)))
        if np.isfinite(run.acceptance_rate):
            rows.append((label, "acceptance rate", f"{run.acceptance_rate:.3f}", "", "", ""))
    return Table("Do the chains agree, and how much are they worth?", ("", *series.DIAGNOSIS), rows)


def _of_model(run: rbm.Samples, study: Study) -> list[Panel]:
    model, color = run.model, figures.COLORS["model"]
    conditional = is_conditional(run)
    states = run.states[:MOST_STATES, -1]
    words = "The last states of some chains."
    panels = [Panel("States", on_axes(machines.state_images, states, model, study.lattice), words)]
    words = "Chains that have forgotten their start look alike, and alike at both ends."
    label = "free energy (nats)"
    drawing = on_axes(series.chains, run.free_energy, run.burn_in, run.thin, label, None)
    panels.append(Panel("Free energy along the chains", drawing, words))
    exact = None if conditional else _exact_distributions(model)
    caption = "Units were held at values: these are not draws of the whole model, and no exact values are shown."
    caption = (
        caption if conditional else "How probable the sum of the visible units is, and what is exact of the model."
    )
    label = "sum of the visible units"
    drawing = on_axes(series.distribution, run.magnetization, label, color, "sampled", exact)
    panels.append(Panel("Distribution of the sum of the visible units", drawing, caption))
    if not conditional and model.visible.is_discrete and rbm.exact.is_quick(model, TIMES):
        mean, _ = rbm.exact.visible_moments(model)
        sampled, error = _unit_means(run)
        words = "Two thirds of the bars should touch the line."
        panels.append(Panel("Means of the visible units", on_axes(series.means, mean, sampled, error), words))
    return panels


def _of_draws(run: results.Draws, study: Study, k: int) -> list[Panel]:
    lattice, color = study.lattice, figures.COLORS["model"]
    states = run.states[0, :MOST_STATES].astype(float)
    n_features = states.shape[1]
    image = figures.mosaic(states, figures.tile_shape(n_features, lattice))
    drawing = on_axes(figures.show_mosaic, image, "", "Greys", image_low(states), np.nanmax(states), False)
    panels = [Panel("Configurations (dark: large)", drawing, "Drawn from the model.")]
    is_lattice = lattice is not None and study.temperatures and lattice.n_sites == n_features and states.min() < 0
    exact = lattices.magnetization_distribution(lattice, study.temperatures[k]) if is_lattice else None
    words = "The exact one is that of the lattice, the truth that the model has learned from." * bool(is_lattice)
    label = "sum of the features"
    arguments = (run.magnetization, label, color, "drawn from the model", exact, 1.0, "truth, exact")
    drawing = on_axes(series.distribution, *arguments)
    panels.append(Panel("Distribution of the sum of the features", drawing, words))
    mean = run.states[0].mean(axis=0, dtype=np.float64)
    image = figures.mosaic(mean[None], figures.tile_shape(n_features, lattice))
    drawing = on_axes(figures.show_mosaic, image, "", "viridis", mean.min(), mean.max(), True, "mean")
    return [*panels, Panel("Mean of each feature", drawing, "Over all draws.")]


def image_low(states: np.ndarray) -> float:
    """What is white: 0 for states that are nowhere negative."""
    return min(0.0, float(states.min()))


def _unit_means(run: rbm.Samples) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each unit with its standard error, from the scatter of independent blocks of draws."""
    by_chain, by_draw = observables.blocks.independent_edges(run.free_energy, run.magnetization)
    sums = np.add.reduceat(run.states, by_draw[:-1], axis=1, dtype=np.float64)
    sums = np.add.reduceat(sums, by_chain[:-1], axis=0).reshape(-1, run.states.shape[2])
    found = observables.blocks.average(sums, observables.blocks.sizes(by_chain, by_draw))
    return found.value, found.error


def _exact_distributions(model: rbm.RBM) -> tuple[np.ndarray, np.ndarray] | None:
    """The exact distribution of the sum of the visible units, if their states are quickly listed."""
    if not isinstance(model.visible, rbm.units.TwoLevel) or model.n_visible > MOST_UNITS:
        return None
    p = np.exp(rbm.exact.log_probabilities(model))
    n_up = np.zeros(1, np.int64)
    for _ in range(model.n_visible):
        n_up = np.concatenate([n_up, n_up + 1])
    low, high = model.visible.low, 1
    sums = low * model.n_visible + (high - low) * np.arange(model.n_visible + 1.0)
    return sums, np.bincount(n_up, p, model.n_visible + 1)
