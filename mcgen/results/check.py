"""What a file is, and whether it is as the schema says."""

import dataclasses
import math
from pathlib import Path

from mcgen import hdf5, rbm
from mcgen.errors import FileError
from mcgen.hdf5 import Entry, Listing
from mcgen.hdf5.server import blocks
from mcgen.results.draws import Draws
from mcgen.results.loading import inspect, leaves_states, version_of
from mcgen.results.schema import Deviation, check_arrays, check_listing
from mcgen.results.study import Study

# States that are looked at together.
BYTES_AT_ONCE = 1 << 27


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

    States may be more than the memory holds.

    Parameters
    ----------
    path : str or Path
        A file of any kind: also an index of files of ranks, and the unfinished file of a run (PATH.part).

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
    study, deviations, listing = inspect(path, keep_states=False, scales=True)
    is_sound = not any(deviation.is_fatal for deviation in check_listing(listing, version_of(path, listing)))
    if is_sound and leaves_states(listing):
        deviations.extend(_wrong_states(path, listing))
    is_readable = not any(deviation.is_fatal for deviation in deviations)
    return Checked(hdf5.printable(describe(study, listing)) if is_readable else "", tuple(deviations))


def _wrong_states(path: str | Path, listing: Listing) -> list[Deviation]:
    """What is wrong with states, read a part at a time, up to the first that is wrong."""
    entry = listing.groups["samples"]["states"]
    for place in blocks(entry.shape, _grown(entry), (0,) * len(entry.shape)):
        found, groups = hdf5.read(path, lambda _, place=place: {"samples/states": place})
        if found.groups["samples"]["states"].shape != entry.shape:
            raise FileError(f"{path} was replaced while it was read; check it again")
        deviations = list(check_arrays(listing, groups))
        if deviations:
            return deviations
    return []


def _grown(entry: Entry) -> tuple[int, ...]:
    """The shape of parts of whole blocks of a dataset, of about BYTES_AT_ONCE."""
    grown = list(entry.block)
    for axis in reversed(range(len(grown))):
        times = BYTES_AT_ONCE // max(1, math.prod(grown) * entry.dtype.itemsize)
        grown[axis] = max(1, min(entry.shape[axis], grown[axis] * max(1, times)))
    return tuple(grown)


def describe(study: Study, listing: Listing) -> str:
    """What a study that was loaded holds, in a line."""
    parts = []
    if study.lattice is not None:
        parts.append(f"{' x '.join(map(str, study.lattice.shape))} Ising model")
    if study.samples:
        first = study.samples[0]
        n_chains, n_draws = first.magnetization.shape
        what = "draws of a VAE" if isinstance(first, Draws) else f"draws of {n_chains} chains ({first.method})"
        states = "" if "states" in listing.groups["samples"] else ", without states"
        parts.append(f"{n_draws} {what}{states}")
    if study.models:
        parts.append(("training of " if study.trained else "") + _model(study.models[0]))
    parts += [f"{len(columns)} {name}" for name, columns in _tables(study) if columns]
    parts += ["tables of a study: " + ", ".join(study.tables)] * bool(study.tables)
    if len(study.temperatures) > 1:
        parts.append(f"{len(study.temperatures)} temperatures")
    elif study.temperatures:
        parts.append(f"T = {study.temperatures[0]:g}")
    elif max(len(study.models), len(study.samples)) > 1:
        parts.append(f"{max(len(study.models), len(study.samples))} entries")
    if listing.sources:
        of_ranks = any("/" not in name for name in listing.sources)
        parts.append(f"{'index of' if of_ranks else 'draws in'} {len(listing.sources)} files")
    if "checkpoint" in listing.groups:
        parts.append("with a checkpoint")
    attributes = study.attributes
    return f"{', '.join(parts)}; schema version {attributes['schema_version']}, {attributes.get('status', 'no status')}"


def _model(model: object) -> str:
    if isinstance(model, rbm.RBM):
        return f"RBM of {model.n_visible} {model.visible.name} and {model.n_hidden} {model.hidden.name} units"
    return f"{type(model).__name__} of {model.n_features} features and {model.n_latent} latent variables"


def _tables(study: Study) -> tuple:
    return ("exact quantities", study.exact), ("observables", study.observables)
