"""Read what was written."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mcgen import hdf5
from mcgen.errors import FileError, InputError
from mcgen.hdf5 import Group, Listing
from mcgen.results import autoencoders, models, samples
from mcgen.results.draws import Draws
from mcgen.results.groups import Entries
from mcgen.results.schema import VERSION as SCHEMA_VERSION
from mcgen.results.schema import Deviation, check_arrays, check_listing, tables_in, to_read
from mcgen.results.study import Study
from mcgen.results.tables import Table, read_table
from mcgen.results.trees import read_tree


def load(path: str | Path, keep_states: bool = True) -> object:
    """Read what `save` or `stream_samples` wrote: the same kind of object that it was given.

    Parameters
    ----------
    path : str or Path
    keep_states : bool
        Without, the states of an Ising model stay in the file, which may be larger than the memory; energies and
        magnetisations are read.

    Returns
    -------
    ising.Samples, rbm.Samples, RBM, Trained, VAE, ConditionalVAE, Autoencoder, vae.Fit, Draws, a list of them, or, for
    a file with more than that, Study

    Raises
    ------
    FileError
        If the file cannot be read, is not one of mcgen's, or was written by a newer schema; or files of ranks are
        missing.
    """
    study = load_study(path, keep_states)
    if study.exact or study.observables or (study.samples and study.trained):
        return study
    # An rbm.Samples, a Trained or a Fit brings its model along.
    things = study.samples or study.trained or study.models
    if not things:  # tables only
        return study
    return list(things) if len(things) > 1 else things[0]


def load_study(path: str | Path, keep_states: bool = True) -> Study:
    """Read a whole file, whatever it holds.

    Parameters
    ----------
    path : str or Path
    keep_states : bool
        As in `load`.

    Returns
    -------
    Study

    Raises
    ------
    FileError
        If the file cannot be read, is not one of mcgen's, or was written by a newer schema; or files of ranks are
        missing.
    """
    found = inspect(path, keep_states)
    refuse(path, found.deviations)
    return found.study


def refuse(path: str | Path, deviations: Iterable[Deviation]) -> None:
    """Raise `FileError` if a deviation is fatal."""
    fatal = [deviation for deviation in deviations if deviation.is_fatal]
    if fatal:
        more = f", and {len(fatal) - 1} more: see mcgen check" * (len(fatal) > 1)
        raise FileError(f"{path} cannot be read ({fatal[0]}{more}); {fatal[0].way_out}")


def checked_listing(path: str | Path) -> Listing:
    """What a file of mcgen's holds, without the numbers.

    Raises
    ------
    FileError
        If it cannot be opened, is not one of mcgen's, or is not as the schema says.
    """
    listing = hdf5.read(path, lambda _: [])[0]
    refuse(path, check_listing(listing, version_of(path, listing)))
    return listing


class Inspected(NamedTuple):
    """A file that was read and compared with the schema.

    study : Study or None
        None where a deviation is fatal.
    deviations : list of Deviation
    listing : Listing
    """

    study: Study | None
    deviations: list[Deviation]
    listing: Listing


def leaves_states(listing: Listing) -> bool:
    """Whether the states may stay in the file; without magnetisations, as in version 1, these follow from them."""
    kind = listing.group_attrs.get("samples", {}).get("kind")
    return kind != "vae" and {"magnetization", "states"} <= {*listing.groups.get("samples", ())}


def inspect(path: str | Path, keep_states: bool = True, scales: bool = False) -> Inspected:
    """Read a file and compare it with the schema.

    Parameters
    ----------
    path : str or Path
    keep_states : bool
        As in `load`.
    scales : bool
        Whether to look at dimension scales.

    Returns
    -------
    Inspected

    Raises
    ------
    FileError
        If the file cannot be opened, is not one of mcgen's, or was written by a newer schema.
    """
    deviations = []

    def choose(listing: Listing) -> list[str]:
        version = version_of(path, listing)
        deviations.extend(check_listing(listing, version, scales))
        if any(deviation.is_fatal for deviation in deviations):
            return []
        leaves = not keep_states and leaves_states(listing)
        return [name for name in to_read(listing) if name != "samples/states" or not leaves]

    listing, groups = hdf5.read(path, choose, scales)
    if not any(deviation.is_fatal for deviation in deviations):
        deviations.extend(check_arrays(listing, groups))
    if any(deviation.is_fatal for deviation in deviations):
        return Inspected(None, deviations, listing)
    if not keep_states and leaves_states(listing):
        entry, axis = listing.groups["samples"]["states"], 2 if Entries(groups["samples"]).stacked else 1
        groups["samples"]["states"] = np.empty((*entry.shape[:axis], 0, *entry.shape[axis + 1 :]), entry.dtype)
    try:
        study = _study(listing.attrs, groups)
        if tables_in(listing):
            study = dataclasses.replace(study, tables=_tables(path, listing if scales else None, groups))
    except (InputError, LookupError, ValueError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        return Inspected(None, [*deviations, Deviation("", " ".join(str(error).split()))], listing)
    return Inspected(study if keep_states else _without_states(study), deviations, listing)


def _tables(path: str | Path, listing: Listing | None, groups: dict[str, Group]) -> dict[str, Table]:
    if listing is None:  # without the names of the axes
        listing = hdf5.read(path, lambda _: [], True)[0]
    return {name: read_table(groups[name], listing.groups[name]) for name in tables_in(listing)}


def _without_states(study: Study) -> Study:
    drawn = tuple(
        run if isinstance(run, Draws) else dataclasses.replace(run, states=run.states[:, :0].copy())
        for run in study.samples
    )
    return dataclasses.replace(study, samples=drawn)


def version_of(path: str | Path, listing: Listing) -> int:
    """The version of the schema."""
    version = listing.attrs.get("schema_version")
    if listing.attrs.get("mcgen") == "checkpoint":
        of_sum = hdf5.printable(f" of {listing.attrs['label']}") if "label" in listing.attrs else ""
        raise FileError(f"{path} is a checkpoint{of_sum}, which only the command that wrote it reads; run that again")
    if version is None or "mcgen_version" not in listing.attrs:
        raise FileError(f"{path} was not written by mcgen (it has no schema_version); give a file written by mcgen")
    if not isinstance(version, np.integer) or version < 1:
        raise FileError(f"{path} has the schema version {version!r}; it is damaged, make it again")
    if version > SCHEMA_VERSION:
        raise FileError(
            f"{path} has schema version {version}, this mcgen reads up to {SCHEMA_VERSION}; install a newer mcgen"
        )
    return int(version)


def _study(attrs: dict, groups: dict[str, Group]) -> Study:
    fields: dict = {}
    temperatures: tuple[float, ...] = ()
    if "lattice" in groups:
        fields["lattice"] = models.read_lattice(groups["lattice"])
    if "model" in groups:
        entries = Entries(groups["model"])
        is_rbm = entries.group.attrs["kind"] == "rbm"
        fields["models"] = (models if is_rbm else autoencoders).read_models(entries)
        temperatures = entries.temperatures() or autoencoders.conditions_of(entries.group)
    if "samples" in groups:
        entries = Entries(groups["samples"])
        fields["samples"] = samples.read(entries, fields, groups.get("exchange"))
        temperatures = entries.temperatures()
    if "training" in groups:
        training = Entries(groups["training"])
        if is_rbm:
            kept = None
            if "trajectory" in groups:
                kept = models.read_trajectory(Entries(groups["trajectory"]), fields["models"])
            kept_states = read_tree(groups, "checkpoint") if "checkpoint" in groups else None
            fields["trained"] = models.read_training(training, fields["models"], kept, kept_states)
        else:
            checkpoint = Entries(groups["checkpoint"])
            fields["trained"] = autoencoders.read_training(training, checkpoint, fields["models"])
    for name in ("exact", "observables"):
        if name in groups:
            fields[name] = Entries(groups[name]).columns()
            temperatures = Entries(groups[name]).temperatures()
    attributes = {name: value.item() if isinstance(value, np.generic) else value for name, value in attrs.items()}
    return Study(temperatures=temperatures, attributes=attributes, **fields)
