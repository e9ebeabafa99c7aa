"""What the `mcgen vae` commands have in common: the models of a file at their temperatures, and lines of numbers."""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

from mcgen.errors import FileError, InputError

# Rows that a bound is averaged over, evenly spread over the data.
MOST_ROWS = 2000
WORDS = {"truth": "exact", "data": "data", "model": "generated"}


class Entry(NamedTuple):
    """A model at one temperature."""

    temperature: float | None
    net: object
    condition: list[float] | None

    @property
    def label(self) -> str:
        """What lines about it begin with."""
        return "" if self.temperature is None else f"T = {self.temperature:g}: "


def entries(path: str, temperatures: Sequence[float] | None) -> tuple:
    """The study of a file, and its models at the temperatures asked for, or at all that the file has."""
    from mcgen import results, vae

    study = results.load_study(path)
    if not study.models or not isinstance(study.models[0], vae.VAE):
        what = f"a model of the class {type(study.models[0]).__name__}" if study.models else "no model"
        raise FileError(f"{path} holds {what}; give the file of a VAE, written by 'mcgen vae train'")
    net = study.models[0]
    if isinstance(net, vae.ConditionalVAE):
        if net.n_conditions != 1:
            raise InputError(
                f"{path} has a model of {net.n_conditions} conditions, no temperature; use vae.sample in Python"
            )
        chosen = temperatures or study.temperatures
        if not chosen:
            raise InputError(f"{path} does not say which temperatures its model has learned; give --temperature")
        return study, [Entry(one, net, [one]) for one in chosen]
    every = [
        Entry(temperature, one, None)
        for temperature, one in zip(study.temperatures or (None,) * len(study.models), study.models, strict=True)
    ]
    if temperatures is None:
        return study, every
    return study, [_pick(path, every, one) for one in temperatures]


def _pick(path: str, every: list[Entry], temperature: float) -> Entry:
    from mcgen.results.study import in_words, place_of

    known = [one.temperature for one in every]
    place = place_of(temperature, known)
    if place is None:
        raise InputError(
            f"temperature {temperature:g} is not in {path}, which has: {in_words(known)}; pick one of them"
        )
    return every[place]


def thinned(rows, most: int = MOST_ROWS):  # noqa: ANN001, ANN201 - NumPy is imported late
    """At most so many rows, evenly spread."""
    return rows[:: -(-len(rows) // most)]


def bound_columns(entry: Entry, rows, seed: int) -> tuple[dict[str, float], str]:  # noqa: ANN001
    """The evidence lower bound of rows, in the order of the data, and its parts, with errors of the means.

    Columns of a table, and in words.
    """
    from mcgen import stats, vae

    bound = vae.elbo(entry.net, rows, entry.condition, n_draws=10, seed=seed)
    columns, words = {}, []
    for name, word in (("total", "bound"), ("reconstruction", "reconstruction"), ("kl", "KL")):
        mean = stats.mean_of_rows(getattr(bound, name))
        columns |= {word.lower(): mean.value, f"{word.lower()}_error": mean.error}
        words.append(f"{word} {mean}")
    return columns, ", ".join(words) + " nats a row"


def observable_lines(table: dict[str, float], n_sites: int, sources: Sequence[str]) -> list[str]:
    """Observables per site, one line for each source that has them."""
    from mcgen import stats
    from mcgen.evaluation import PER_SITE

    lines = []
    for source in sources:
        if f"energy_{source}" not in table:
            continue
        words = []
        for name, label in PER_SITE.items():
            value, error = (table.get(f"{name}_{source}{end}", float("nan")) / n_sites for end in ("", "_error"))
            number = f"{value:.6f}" if error != error else stats.format_error(value, error)
            words.append(f"{label.removesuffix(' per site')} {number}")
        lines.append(f"  {WORDS[source] + ':':10} " + ", ".join(words) + " per site")
    return lines


def check_lattice(arguments: argparse.Namespace, entry: Entry, rows) -> None:  # noqa: ANN001
    """Raise `InputError` if the rows do not have the features of the model."""
    if rows.shape[1] != entry.net.n_features:
        raise InputError(
            f"{arguments.data} has rows of {rows.shape[1]} numbers, and the model of {arguments.file} "
            f"{entry.net.n_features} features; give the data that it was trained on, or such as that"
        )
