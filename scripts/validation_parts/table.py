"""How pulls are shown: the printed table and the figure."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from validation_parts.pulls import DEVIATIONS, LARGEST_MEAN, OBSERVABLES


def header() -> str:
    """The line above the table."""
    return f"{'sampler':18} {'lattice':16} {'T':>6}" + "".join(f"  {title:13}" for title in OBSERVABLES.values())


def line(row: dict) -> str:
    """A row of the table: mean and deviation of the pulls, ~ without an exact value, ! outside of the limits."""
    text = f"{row['sampler']:18} {row['lattice']:16} {row['temperature']:6.4g}"
    for one in row["observables"].values():
        text += f"  {one['mean']:+5.2f} {one['deviation']:5.2f}"
        text += ("~" if one["reference_error"] else " ") + (" " if one["honest"] else "!")
    return text.rstrip()


def columns(table: list[dict]) -> dict[str, list[float]]:
    """The numbers of all rows, as columns: OBSERVABLE_mean, OBSERVABLE_deviation and so on."""
    found = {name: [row[name] for row in table] for name in ("temperature", "runs")}
    for key in OBSERVABLES:
        its = [row["observables"][key] for row in table]
        for name in ("mean", "deviation", "beyond_2", "reference", "reference_error"):
            found[f"{key}_{name}"] = [float(one[name]) for one in its]
    return found


def totals(table: list[dict]) -> dict[str, float]:
    """Of all combinations of sampler, lattice, temperature and observable."""
    every = [one for row in table for one in row["observables"].values()]
    return {
        "combinations": len(every),
        "outside": sum(not one["honest"] for one in every),
        "beyond_2": float(np.mean([one["beyond_2"] for one in every])),
        "warnings": sum(len(row["warnings"]) for row in table),
    }


def summary(result: dict[str, float], references: list[dict]) -> str:
    """What is printed below the table: `totals`, and how far the reference runs are off what is known exactly."""
    inside = result["combinations"] - result["outside"]
    lines = [
        f"{inside} of {result['combinations']} combinations have mean and deviation within their limits; "
        f"{100 * result['beyond_2']:.1f} percent of all pulls are beyond 2 (normal: 4.6); {result['warnings']} warnings"
    ]
    for row in references:
        words = ", ".join(f"{OBSERVABLES[key]} {off:+.1f}" for key, off in row["pulls"].items())
        lines.append(f"~ {row['lattice']}, T = {row['temperature']:.4g}: errors off the exact values: {words}")
    return "\n".join(lines)


def draw(table: list[dict]) -> Figure:
    """Means and deviations of all pulls, with their limits and with what chance does to them."""
    places = list(dict.fromkeys((row["lattice"], row["temperature"]) for row in table))
    samplers = list(dict.fromkeys(row["sampler"] for row in table))
    figure = Figure(figsize=(4.6 * len(OBSERVABLES), 9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(OBSERVABLES), sharex=True, sharey="row")
    runs = min(row["runs"] for row in table)
    limits = {
        "mean": (0.0, (-LARGEST_MEAN, LARGEST_MEAN), runs**-0.5),
        "deviation": (1.0, DEVIATIONS, (2 * runs) ** -0.5),
    }
    for axes_row, (which, (right, ends, chance)) in zip(panels, limits.items(), strict=True):
        axes_row[0].set_ylabel(f"{which} of (estimate - reference) / error")
        for axes, (key, title) in zip(axes_row, OBSERVABLES.items(), strict=True):
            axes.axhspan(right - chance, right + chance, color="0.88", label="one standard deviation of chance")
            for end in ends:
                axes.axhline(end, color="black", linestyle=":", label="limits" if end == ends[0] else None)
            for k, sampler in enumerate(samplers):
                mine = [row for row in table if row["sampler"] == sampler]
                x = [places.index((row["lattice"], row["temperature"])) for row in mine]
                shift = 0.7 * ((k + 0.5) / len(samplers) - 0.5)
                y = [row["observables"][key][which] for row in mine]
                axes.plot(np.add(x, shift), y, ".", color=f"C{k}", label=sampler)
            axes.set_title(title, fontsize=10)
            labels = [f"{lattice}, T = {temperature:.4g}" for lattice, temperature in places]
            axes.set_xticks(range(len(places)), labels, rotation=90, fontsize=7)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=10, fontsize=9)
    return figure
