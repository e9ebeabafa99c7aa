"""Read what was written."""

from pathlib import Path

import h5py
import numpy as np

from mcgen.errors import FileError
from mcgen.results import autoencoders, models, samples
from mcgen.results.files import SCHEMA_VERSION
from mcgen.results.groups import Entries
from mcgen.results.sources import check_sources
from mcgen.results.study import Study
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
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path} is not a file; check the path")
    if not h5py.is_hdf5(path):
        raise FileError(f"{path} is not an HDF5 file; give a file written by mcgen")
    try:
        with h5py.File(path, "r") as file:
            version = file.attrs.get("schema_version")
            if version is None or "mcgen_version" not in file.attrs:
                raise FileError(
                    f"{path} was not written by mcgen (it has no schema_version); give a file written by mcgen"
                )
            if int(version) > SCHEMA_VERSION:
                raise FileError(
                    f"{path} has schema version {version}, this mcgen reads up to {SCHEMA_VERSION}; "
                    "install a newer mcgen"
                )
            check_sources(file)
            return _read(file, keep_states)
    except FileError:
        raise
    except (OSError, KeyError, ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise FileError(f"{path} cannot be read ({error}); it is damaged or incomplete, make it again") from error


def _read(file: h5py.File, keep_states: bool) -> Study:
    fields: dict = {}
    temperatures: tuple[float, ...] = ()
    if "lattice" in file:
        fields["lattice"] = models.read_lattice(file["lattice"])
    if "model" in file:
        entries = Entries(file["model"])
        is_rbm = str(file["model"].attrs["kind"]) == "rbm"
        fields["models"] = (models if is_rbm else autoencoders).read_models(entries)
        temperatures = entries.temperatures() or autoencoders.conditions_of(file["model"])
    if "samples" in file:
        entries = Entries(file["samples"])
        fields["samples"] = samples.read(entries, fields, file.get("exchange"), keep_states)
        temperatures = entries.temperatures()
    if "training" in file:
        training = Entries(file["training"])
        if is_rbm:
            kept = None
            if "trajectory" in file:
                kept = models.read_trajectory(Entries(file["trajectory"]), fields["models"])
            kept_states = read_tree(file["checkpoint"]) if "checkpoint" in file else None
            fields["trained"] = models.read_training(training, fields["models"], kept, kept_states)
        else:
            checkpoint = Entries(file["checkpoint"])
            fields["trained"] = autoencoders.read_training(training, checkpoint, fields["models"])
    for name in ("exact", "observables"):
        if name in file:
            fields[name] = Entries(file[name]).columns()
            temperatures = Entries(file[name]).temperatures()
    if not fields:
        raise KeyError("it holds no results")
    attributes = {name: value.item() if isinstance(value, np.generic) else value for name, value in file.attrs.items()}
    return Study(temperatures=temperatures, attributes=attributes, **fields)
