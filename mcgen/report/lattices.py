"""Samples of Ising lattices: observables beside exact ones, and what the chains look like at each temperature."""

import math

import numpy as np

from mcgen import figures, ising, observables
from mcgen.enumeration import MOST_LISTED_UNITS
from mcgen.ising.exact import transfer
from mcgen.report import observables as table
from mcgen.report import series
from mcgen.report.parts import Panel, Section, Table, on_axes
from mcgen.results import Study

MOST_STATES = 25
# Exact distributions of the energy reach so many sites of a torus, those of M so many multiplications.
MOST_SITES, MOST_MULTIPLICATIONS = 1024, 1e9
MONTE_CARLO = table.Source("data", "Monte Carlo", figures.COLORS["data"], "o")


def sections(study: Study) -> list[Section]:
    """Observables of all temperatures, one section for each of them, or some, and the exchange between them.

    The states of a run may be fewer than its energies: some of the last draw are shown. Warns of chains that remember
    their start, disagree, are too short, hardly swapped, or miss an exact value: for the caller to gather.
    """
    runs = study.samples
    lattice = runs[0].lattice
    temperatures = [run.temperature for run in runs]
    summaries = [observables.summary(run, lattice, run.temperature) for run in runs]
    columns = table.of_runs(summaries, MONTE_CARLO.name) | table.exact_columns(lattice, temperatures)
    of_all = table.section(lattice, temperatures, columns, [MONTE_CARLO], "Observables: Monte Carlo and exact", "exact")
    found = [of_all._replace(tables=[*of_all.tables, _diagnostics(runs)])]
    for k in figures.kept_rows(len(runs)):
        truth = {name: values[k] / lattice.n_sites for name, values in columns.items() if name.endswith("_truth")}
        found.append(Section(f"T = {runs[k].temperature:g}", _panels(runs[k], truth)))
    table.warn_of_deviations(temperatures, columns, [MONTE_CARLO])
    exchange = runs[0].exchange
    if exchange is not None:
        unit = f"temperature ({table.unit_of_energy(lattice)} / k_B)"
        panel, numbers = series.exchange_panel(exchange, exchange.temperatures, unit, "replica exchange")
        found.append(Section("Replica exchange", [panel], [numbers]))
    return found


def _panels(run: ising.Samples, truth: dict[str, float]) -> list[Panel]:
    lattice, n_sites = run.lattice, run.lattice.n_sites
    label = f"energy per site ({table.unit_of_energy(lattice)})"
    panels = []
    if run.states.size:
        tile = figures.tile_shape(n_sites, lattice)
        states = run.states[:MOST_STATES, -1].reshape(-1, n_sites).astype(float)
        image = figures.mosaic(states, tile)
        words = "The last configuration of some chains; dark spins are up."
        drawing = on_axes(figures.show_mosaic, image, "", "Greys", -1, 1, False)
        panels.append(Panel("Configurations (dark: up)", drawing, words))
    words = "Chains that have forgotten their start look alike, and alike at both ends."
    mean = truth.get("energy_truth")
    drawing = on_axes(series.chains, run.energy / n_sites, run.burn_in, run.thin, label, mean)
    panels.append(Panel("Energy along the chains", drawing, words))
    color, scale = figures.COLORS["data"], 1 / n_sites
    exact = energy_distribution(lattice, run.temperature)
    drawing = on_axes(series.distribution, run.energy, label, color, "Monte Carlo", exact, scale)
    panels.append(
        Panel("Distribution of the energy", drawing, "How probable each energy, or each bin of energies, is.")
    )
    magnetization = run.magnetization.astype(np.float64)
    exact = magnetization_distribution(lattice, run.temperature)
    words = "Without a field it should be symmetric: if it is not, chains have not crossed between the signs."
    label = "magnetization per site"
    drawing = on_axes(series.distribution, magnetization, label, color, "Monte Carlo", exact, scale)
    panels.append(Panel("Distribution of the magnetization", drawing, words * (not lattice.field.any())))
    return panels


def energy_distribution(lattice: ising.Ising, temperature: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The exact energy levels and their probabilities, if they take about a second.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.report import lattices
    >>> levels, p = lattices.energy_distribution(ising.Ising((2, 2)), 5.0)
    >>> levels.tolist(), round(float(p @ levels), 5)
    ([-8.0, 0.0, 8.0], -3.40738)
    """
    couplings = np.unique(lattice.coupling)
    is_torus = lattice.n_dims == 2 and all(lattice.periodic) and not lattice.field.any()
    is_torus = is_torus and len(couplings) == 1 and couplings[0] != 0 and min(lattice.shape) > 1
    if not (is_torus and lattice.n_sites <= MOST_SITES) and lattice.n_sites > MOST_LISTED_UNITS:
        return None
    levels, counts = ising.exact.density_of_states(lattice)
    # Integers of any size; the largest weight is 1.
    logarithms = np.array([math.log(count) if count else -math.inf for count in counts.tolist()])
    logarithms -= levels / temperature
    p = np.exp(logarithms - logarithms.max())
    return levels, p / p.sum()


def magnetization_distribution(lattice: ising.Ising, temperature: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The exact distribution of the magnetisation, if it takes about a second.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.report import lattices
    >>> lattices.magnetization_distribution(ising.Ising((2, 2)), 1e6)[1].round(2).tolist()
    [0.06, 0.25, 0.37, 0.25, 0.06]
    """
    if 2.0 ** transfer.frontier(lattice) * lattice.n_sites**2 > MOST_MULTIPLICATIONS:
        return None
    levels, p = ising.exact.magnetization_distribution(lattice, temperature)
    return levels.astype(np.float64), p


def _diagnostics(runs: tuple[ising.Samples, ...]) -> Table:
    """What a person asks of chains before believing their means; warns where they fail."""
    rows = []
    for run in runs:
        if run.method != "exact":
            ising.sampling.warn_of_short_burn_in(run.energy, run.magnetization, run.temperature, run.thin)
        label = f"T = {run.temperature:g}"
        for words, values in (("energy", run.energy), ("|magnetization|", np.abs(run.magnetization))):
            per_site = values / run.lattice.n_sites
            rows.append((label, *series.diagnosis(per_site, f"{words} per site", f"{words} at {label}", run.thin)))
    return Table("Do the chains agree, and how much are they worth?", ("", *series.DIAGNOSIS), rows)
