"""What a file is, and whether it is as the schema says."""

import dataclasses
from pathlib import Path

from mcgen import rbm
from mcgen.results.draws import Draws
from mcgen.results.loading import inspect
from mcgen.results.schema import Deviation
from mcgen.results.study import Study


@dataclasses.dataclass(frozen=True)
class Checked:
    """What `check` found.

    Attributes
    ----------
    words : str
        What the file is, in a line; empty where it cannot be loaded.
    deviations : tuple of Deviation
        With `place`, `words` and `is_fatal`: whether it keeps the file from being loaded.
    """

    words: str
    deviations: tuple[Deviation, ...]

    @property
    def is_readable(self) -> bool:
        """Whether the file can be loaded."""
        return not any(deviation.is_fatal for deviation in self.deviations)


def check(path: str | Path) -> Checked:
    """Compare a file with the schema: groups, types, shapes, dimension scales, attributes, and every number.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Checked
        With `words` and `deviations`.

    Raises
    ------
    FileError
        If the file cannot be opened, is not one of mcgen's, or was written by a newer schema.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mcgen import rbm, results
    >>> path = results.save(pathlib.Path(tempfile.mkdtemp()) / "model.h5", rbm.RBM.random(4, 2, seed=1))
    >>> results.check(path).words
    'RBM of 4 bernoulli and 2 bernoulli units; schema version 3, complete'
    >>> results.check(path).deviations
    ()
    """
    study, deviations = inspect(path, scales=True)
    return Checked("" if study is None else describe(study), tuple(deviations))


def describe(study: Study) -> str:
    """What a study that was loaded holds, in a line."""
    parts = []
    if study.lattice is not None:
        parts.append(f"{' x '.join(map(str, study.lattice.shape))} Ising model")
    if study.samples:
        first = study.samples[0]
        n_chains, n_draws = first.magnetization.shape
        what = "draws of a VAE" if isinstance(first, Draws) else f"draws of {n_chains} chains ({first.method})"
        states = "" if first.states.shape[1] else ", without states"
        parts.append(f"{n_draws} {what}{states}")
    if study.models:
        parts.append(("training of " if study.trained else "") + _model(study.models[0]))
    parts += [f"{len(columns)} {name}" for name, columns in _tables(study) if columns]
    if len(study.temperatures) > 1:
        parts.append(f"{len(study.temperatures)} temperatures")
    elif study.temperatures:
        parts.append(f"T = {study.temperatures[0]:g}")
    elif max(len(study.models), len(study.samples)) > 1:
        parts.append(f"{max(len(study.models), len(study.samples))} entries")
    attributes = study.attributes
    return f"{', '.join(parts)}; schema version {attributes['schema_version']}, {attributes.get('status', 'no status')}"


def _model(model: object) -> str:
    if isinstance(model, rbm.RBM):
        return f"RBM of {model.n_visible} {model.visible.name} and {model.n_hidden} {model.hidden.name} units"
    return f"{type(model).__name__} of {model.n_features} features and {model.n_latent} latent variables"


def _tables(study: Study) -> tuple:
    return ("exact quantities", study.exact), ("observables", study.observables)
