"""Write whole results."""

from pathlib import Path

import h5py
import numpy as np

from mcgen import hdf5, ising
from mcgen.results import autoencoders, models, samples
from mcgen.results.exchange import write_exchange, write_exchanges
from mcgen.results.files import check_output, sign, uninterrupted, written_beside
from mcgen.results.groups import Group
from mcgen.results.study import (
    Study,
    as_study,
    check_alike,
    check_lengths,
    of_model,
    of_samples,
    of_training,
    own_configuration,
)
from mcgen.results.tables import write_table
from mcgen.results.trees import write_tree


def save(
    path: str | Path,
    what: object,
    overwrite: bool = False,
    configuration: dict | None = None,
    status: str = "complete",
) -> Path:
    """Write results to an HDF5 file: beside it first and then renamed, so that no half-written file has its name.

    Ctrl-C takes effect when the file is written.

    Parameters
    ----------
    path : str or Path
    what : ising.Samples, rbm.Samples, RBM, Trained, VAE, ConditionalVAE, Autoencoder, vae.Fit, Draws, or a list of one
        of these; or Study
    overwrite : bool
        Whether a file that is there may be replaced.
    configuration : dict, optional
        All settings of the run, kept as JSON in the root attribute `configuration`.
    status : {"complete", "interrupted"}

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the path exists and overwrite is false, or cannot be written.
    InputError
        If `what` is of another type, the entries of a list differ in more than temperature, seed and numbers, or the
        parts of a Study have different numbers of entries.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from mcgen import rbm, results
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.h5"
    >>> _ = results.save(path, rbm.RBM.random(n_visible=4, n_hidden=2, seed=1))
    >>> results.load(path)
    RBM(n_visible=4, n_hidden=2, visible='bernoulli', hidden='bernoulli', dtype='float64')
    """
    path = check_output(path, overwrite)
    study = as_study(what)
    check_lengths(study)
    check_alike("samples", study.samples, of_samples)
    check_alike("models", study.models, of_model)
    check_alike("trainings", study.trained, of_training)
    if configuration is None:
        configuration = own_configuration(study)
    with uninterrupted(), written_beside(path) as beside, hdf5.NewFile(beside) as file:
        sign(file, configuration, status)
        write_study(file, study)
    return path


def write_study(file: h5py.File, study: Study, drawn: Group | None = None) -> None:
    """Write everything but the root attributes.

    Parameters
    ----------
    file : h5py.File
    study : Study
    drawn : Group, optional
        The group /samples, if the draws are in it already.
    """
    count = max(len(study.samples), len(study.models), len(study.trained), len(study.temperatures))
    axis = ("temperature" if study.temperatures else "entry") if count > 1 else ""
    if drawn is not None:
        axis = drawn.axis
    coordinates = {}
    if study.temperatures:
        coordinates["temperature"] = np.array(study.temperatures if axis else study.temperatures[0])
    if study.lattice is not None:
        models.write_lattice(file, study.lattice)
    if study.samples:
        if drawn is None:
            drawn = Group(file, "samples", axis)
            samples.write(drawn, study.samples)
        samples.describe(drawn, study.samples)
        drawn.close(coordinates)
        exchanges = [run.exchange for run in study.samples]
        if exchanges[0] is not None:
            if isinstance(study.samples[0], ising.Samples):
                write_exchange(file, exchanges[0])
            else:
                group = Group(file, "exchange", axis)
                write_exchanges(group, exchanges)
                group.close(coordinates)
    _write_models(file, study, axis, coordinates)
    for name, columns in (("exact", study.exact), ("observables", study.observables)):
        if columns:
            group = Group(file, name, axis)
            for column, values in columns.items():
                group.add(column, (), list(np.atleast_1d(values)))
            group.close(coordinates)
    for name, table in study.tables.items():
        write_table(file, name, table)


def _write_models(file: h5py.File, study: Study, axis: str, coordinates: dict) -> None:
    if not study.models:
        return
    room = autoencoders if isinstance(study.models[0], autoencoders.Model) else models
    conditions = ()
    if axis and room is autoencoders and len(study.models) == 1:  # of all temperatures
        axis, coordinates, conditions = "", {}, (study.temperatures,)
    group = Group(file, "model", axis)
    room.write_models(group, study.models, *conditions)
    group.close(coordinates)
    if study.trained:
        group = Group(file, "training", axis)
        epochs = room.write_training(group, study.trained)
        group.close(coordinates | {"epoch": epochs})
    if study.trained and room is models and study.trained[0].trajectory:
        group = Group(file, "trajectory", axis)
        models.write_trajectory(group, study.trained)
        group.close(coordinates)
    if room is models and any(one.state is not None for one in study.trained):
        write_tree(file, "checkpoint", [one.state for one in study.trained])
    if study.trained and room is autoencoders:
        group = Group(file, "checkpoint", axis)
        room.write_checkpoint(group, study.trained)
        group.close(coordinates)
