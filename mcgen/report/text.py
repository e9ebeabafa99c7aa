"""The evaluation of a study as text, for a terminal."""

import math

import numpy as np

from mcgen import stats
from mcgen.evaluation import PER_SITE
from mcgen.results import Study


def text_table(study: Study) -> str:
    """The evaluation of a study as text: quantities down, temperatures across, errors in brackets.

    Parameters
    ----------
    study : Study
        With a lattice, and with `exact` and `observables` as `evaluation.evaluate` and `evaluation.columns` make them.

    Returns
    -------
    str
    """
    n_sites = study.lattice.n_sites
    exact, values = study.exact, study.observables

    def cells(name: str, source: dict[str, np.ndarray], digits: str, scale: float = 1.0) -> list[str]:
        column = source.get(name, np.full(len(study.temperatures), np.nan)) * scale
        errors = source.get(f"{name}_error")
        if errors is None:
            return [f"{value:{digits}}" if math.isfinite(value) else "-" for value in column]
        return [
            stats.format_error(float(value), float(error)) if math.isfinite(value) else "-"
            for value, error in zip(column, errors * scale, strict=True)
        ]

    lines = [
        ("log Z of the truth", "exact", cells("log_partition_truth", exact, ".8f")),
        ("log Z of the model", "exact", cells("log_partition_model", exact, ".8f")),
        ("KL(truth || model), nats", "exact", cells("kl_divergence", exact, ".5f")),
    ]
    if "test_log_likelihood" in exact or "best_log_likelihood" in exact:
        lines += [
            ("test log-likelihood", "model", cells("test_log_likelihood", exact, ".5f")),
            ("", "best possible", cells("best_log_likelihood", exact, ".5f")),
        ]
    for name, words in PER_SITE.items():
        for source, label in (
            ("truth", "truth, exact"),
            ("data", "data"),
            ("model", "model, sampled"),
            ("model_exact", "model, exact"),
        ):
            lines.append((words, label, cells(f"{name}_{source}", values, ".6f", 1 / n_sites)))
            words = ""
    header = ("", "", [f"T = {temperature:g}" for temperature in study.temperatures])
    widths = [max(len(line[0]) for line in lines), max(len(line[1]) for line in lines)]
    cell_width = max(len(cell) for line in [header, *lines] for cell in line[2])
    text = []
    for first, second, row in [header, *lines]:
        text.append(f"{first:{widths[0]}}  {second:{widths[1]}}  " + "  ".join(f"{cell:>{cell_width}}" for cell in row))
        if not first and not second:
            text.append("-" * len(text[0]))
    return "\n".join(text)
