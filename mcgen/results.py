"""HDF5 files: save and load samples, models, training histories and tables of exact values.

The schema, version 1. Every axis of every dataset has a dimension scale, so the files open in h5py, HDFView, Julia,
MATLAB and, as netCDF, with ``xarray.open_datatree(path, engine="h5netcdf")``.

=============  ===============================================================================================
/lattice       coupling (direction, site_0, ...), field (site_0, ...); attributes shape, periodic
/samples       states int8 (chain, draw, site_0, ...) or (chain, draw, visible); energy or free_energy
               (chain, draw); flip_rate; seed; attributes kind ("ising" or "rbm"), method, thin, burn_in, device
/model         weights (visible, hidden), visible_bias, hidden_bias; attributes kind, visible_units, hidden_units
/training      one dataset for each column of the history (epoch); chains int8 (chain, visible);
               attribute settings (JSON)
/exact         one dataset for each exact quantity
/observables   one dataset for each observable, and NAME_error beside it
=============  ===============================================================================================

With several temperatures every dataset of these groups (but /lattice) has a leading axis `temperature` (with several
entries that have no temperature, `entry`); with one, the temperature is a number in the group. Root attributes:
schema_version and those of `mcgen.provenance`.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from mcgen import ising, provenance, rbm
from mcgen.errors import FileError, InputError

SCHEMA_VERSION = 1

# Names of the leading axis of groups that hold several entries.
AXES = ("temperature", "entry")

Columns = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Study:
    """Everything that one file can hold. Lists have one entry for each temperature.

    Attributes
    ----------
    temperatures : tuple of float
        Empty where there is no temperature.
    lattice : Ising or None
    samples : tuple of ising.Samples or rbm.Samples
    models : tuple of RBM
    trained : tuple of Trained
        Their models are `models`.
    exact, observables : dict of arrays over temperature
    attributes : dict
        Root attributes of the file that it was loaded from.
    """

    temperatures: tuple[float, ...] = ()
    lattice: ising.Ising | None = None
    samples: tuple = ()
    models: tuple = ()
    trained: tuple = ()
    exact: Columns = dataclasses.field(default_factory=dict)
    observables: Columns = dataclasses.field(default_factory=dict)
    attributes: dict = dataclasses.field(default_factory=dict)


def save(
    path: str | Path,
    what: object,
    overwrite: bool = False,
    configuration: dict | None = None,
    status: str = "complete",
) -> Path:
    """Write results to an HDF5 file: beside it first and then renamed, so that no half-written file has its name.

    Parameters
    ----------
    path : str or Path
    what : ising.Samples, rbm.Samples, RBM, Trained, Study, or a list of one of the first four
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
        If `what` is of another type, or the entries of a list differ in more than temperature, seed and numbers.

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
    _check_alike("samples", study.samples, _of_samples)
    _check_alike("models", study.models, _of_model)
    if configuration is None:
        configuration = _own_configuration(study)
    with written_beside(path) as beside, h5py.File(beside, "w") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        for name, value in provenance.attributes(configuration, status).items():
            file.attrs[name] = value
        _write(file, study)
    return path


def load(path: str | Path) -> object:
    """Read what `save` wrote: the same kind of object that it was given.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    ising.Samples, rbm.Samples, RBM, Trained, a list of them, or, for a file with more than that, Study

    Raises
    ------
    FileError
        If the file cannot be read, is not one of mcgen's, or was written by a newer schema.
    """
    study = load_study(path)
    if study.exact or study.observables or (study.samples and study.trained):
        return study
    # An rbm.Samples or a Trained brings its model along.
    things = study.samples or study.trained or study.models
    return list(things) if len(things) > 1 else things[0]


def load_study(path: str | Path) -> Study:
    """Read a whole file, whatever it holds.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Study

    Raises
    ------
    FileError
        If the file cannot be read, is not one of mcgen's, or was written by a newer schema.
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
            return _read(file)
    except FileError:
        raise
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise FileError(f"{path} cannot be read ({error}); it is damaged or incomplete, make it again") from error


def load_rows(path: str | Path) -> list[tuple[float | None, np.ndarray, ising.Ising | None]]:
    """Read rows of data, one table for each temperature in the file.

    Parameters
    ----------
    path : str or Path
        An HDF5 file of samples written by mcgen, a NumPy .npy file, or text with one row of numbers on each line.

    Returns
    -------
    list of (temperature or None, rows int8 (n_rows, n_units), lattice or None)

    Raises
    ------
    FileError
        If the file cannot be read or holds no rows.
    InputError
        If a value is not 0, 1 or -1, or both 0 and -1 occur.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path} is not a file; check the path")
    if h5py.is_hdf5(path):
        study = load_study(path)
        if not study.samples:
            raise FileError(
                f"{path} holds no samples; give a file written by 'mcgen ising sample' or 'mcgen rbm sample'"
            )
        temperatures = study.temperatures or (None,)
        tables = []
        for temperature, run in zip(temperatures, study.samples, strict=True):
            n_units = int(np.prod(run.states.shape[2:]))
            tables.append((temperature, run.states.reshape(-1, n_units), study.lattice))
        return tables
    try:
        rows = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, ndmin=2)
    except (ValueError, OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read as a table of numbers ({error}); give rows of 0 and 1") from error
    if rows.ndim != 2 or rows.size == 0:
        raise FileError(f"{path} has shape {rows.shape}; give a table with at least one row")
    values = set(np.unique(rows).tolist())
    if not (values <= {0, 1} or values <= {-1, 1}):
        wrong = sorted(values - {0, 1})[:5]
        raise InputError(f"{path} holds the values {wrong}; rows must hold 0 and 1, or -1 and 1")
    return [(None, rows.astype(np.int8), None)]


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed to `path` when all went well, removed otherwise.

    Raises
    ------
    FileError
        If writing fails.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())  # the content is on the disk before the name is
        os.replace(beside, path)  # noqa: PTH105 - the atomic rename is the point
    except OSError as error:
        raise FileError(f"{path} cannot be written ({error}); choose another path or free some space") from error
    finally:
        beside.unlink(missing_ok=True)


def check_output(path: str | Path, overwrite: bool = False) -> Path:
    """The path as a `Path`, checked to be writable before work starts.

    Raises
    ------
    FileError
        If it exists and overwrite is false, it is a folder, or its folder is not there or not writable.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path} is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists; choose another name, or overwrite it (overwrite=True, --overwrite)")
    folder = path.parent
    if not folder.is_dir():
        raise FileError(f"the folder {folder} of {path.name} does not exist; create it first")
    if not os.access(folder, os.W_OK):
        raise FileError(f"the folder {folder} of {path.name} is not writable; choose another one")
    return path


def as_study(what: object) -> Study:
    """Any object that can be saved, as a Study."""
    if isinstance(what, Study):
        return what
    things = tuple(what) if isinstance(what, Sequence) else (what,)
    if things and all(isinstance(thing, ising.Samples) for thing in things):
        return Study(tuple(run.temperature for run in things), things[0].lattice, samples=things)
    if things and all(isinstance(thing, rbm.Samples) for thing in things):
        return Study(samples=things, models=tuple(run.model for run in things))
    if things and all(isinstance(thing, rbm.Trained) for thing in things):
        return Study(trained=things, models=tuple(one.model for one in things))
    if things and all(isinstance(thing, rbm.RBM) for thing in things):
        return Study(models=things)
    raise InputError(f"a {type(what).__name__} cannot be saved; give samples, a model, a training result, or a Study")


def _own_configuration(study: Study) -> dict:
    """The settings that the objects themselves remember."""
    if study.trained:
        return dict(study.trained[0].settings)
    if study.samples:
        run = study.samples[0]
        return {name: getattr(run, name) for name in ("method", "seed", "thin", "burn_in", "device")}
    return {}


def _of_samples(run: ising.Samples | rbm.Samples) -> dict:
    """What a file keeps once for all its samples."""
    same = {name: getattr(run, name) for name in ("method", "thin", "burn_in", "device")} | {"shape": run.states.shape}
    if isinstance(run, ising.Samples):
        lattice = run.lattice
        same |= {
            "lattice": repr(lattice),
            "couplings": lattice.coupling.tobytes(),
            "fields": lattice.field.tobytes(),
        }
    return same


def _of_model(model: rbm.RBM) -> dict:
    """What a file keeps once for all its models."""
    return {"units": (model.visible.name, model.hidden.name), "shape": model.weights.shape, "dtype": model.dtype.name}


def _check_alike(name: str, entries: tuple, properties: Callable) -> None:
    """Raise `InputError` if the entries of one file differ in what the file keeps only once."""
    for number, entry in enumerate(entries[1:], start=1):
        for what, value in properties(entries[0]).items():
            if properties(entry)[what] != value:
                shown = "" if isinstance(value, bytes) else f" ({value} and {properties(entry)[what]})"
                raise InputError(f"{name} 0 and {number} differ in {what}{shown}; save them in files of their own")


# Writing


class _Group:
    """A group under construction: adds datasets with a dimension scale on every axis."""

    def __init__(self, file: h5py.File, name: str, study: Study, stacked: bool = True):
        self.group = file.create_group(name)
        self.n = 0  # entries on the leading axis; 0: no such axis
        if not stacked:
            return
        count = max(len(study.samples), len(study.models), len(study.trained), len(study.temperatures))
        self.axis = "temperature" if study.temperatures else "entry"
        if count > 1:
            self.n = count
            self._scale(self.axis, np.array(study.temperatures) if study.temperatures else np.arange(count))
        elif study.temperatures:
            self.group["temperature"] = study.temperatures[0]

    def _scale(self, dimension: str, values: np.ndarray) -> None:
        self.group[dimension] = values
        self.group[dimension].make_scale(dimension)

    def add(self, name: str, dimensions: tuple[str, ...], arrays: Sequence, coordinates: dict | None = None) -> None:
        """One array for each temperature, stacked."""
        data = np.stack([np.asarray(array) for array in arrays]) if self.n else np.asarray(arrays[0])
        dimensions = (self.axis, *dimensions) if self.n else dimensions
        options = {"compression": "gzip", "compression_opts": 1} if data.size > 10_000 else {}
        dataset = self.group.create_dataset(name, data=data, **options)
        for axis, dimension in enumerate(dimensions):
            if dimension not in self.group:
                values = (coordinates or {}).get(dimension, np.arange(data.shape[axis]))
                self._scale(dimension, values)
            dataset.dims[axis].attach_scale(self.group[dimension])


def _write(file: h5py.File, study: Study) -> None:
    if study.lattice is not None:
        sites = tuple(f"site_{axis}" for axis in range(study.lattice.n_dims))
        lattice = _Group(file, "lattice", study, stacked=False)
        lattice.add("coupling", ("direction", *sites), [study.lattice.coupling])
        lattice.add("field", sites, [study.lattice.field])
        lattice.group.attrs["shape"] = np.array(study.lattice.shape, np.int64)
        lattice.group.attrs["periodic"] = np.array(study.lattice.periodic, np.int8)
    if study.samples:
        _write_samples(_Group(file, "samples", study), study)
    if study.models:
        model = _Group(file, "model", study)
        first = study.models[0]
        model.group.attrs.update(kind="rbm", visible_units=first.visible.name, hidden_units=first.hidden.name)
        model.add("weights", ("visible", "hidden"), [one.weights for one in study.models])
        model.add("visible_bias", ("visible",), [one.visible_bias for one in study.models])
        model.add("hidden_bias", ("hidden",), [one.hidden_bias for one in study.models])
    if study.trained:
        _write_training(_Group(file, "training", study), study)
    for name, columns in (("exact", study.exact), ("observables", study.observables)):
        if columns:
            table = _Group(file, name, study)
            for column, values in columns.items():
                table.add(column, (), list(np.atleast_1d(values)))


def _write_samples(group: _Group, study: Study) -> None:
    runs = study.samples
    first = runs[0]
    group.group.attrs.update(method=first.method, thin=first.thin, burn_in=first.burn_in, device=first.device)
    if isinstance(first, ising.Samples):
        group.group.attrs["kind"] = "ising"
        sites = tuple(f"site_{axis}" for axis in range(first.lattice.n_dims))
        group.add("states", ("chain", "draw", *sites), [run.states for run in runs])
        group.add("energy", ("chain", "draw"), [run.energy for run in runs])
    else:
        group.group.attrs["kind"] = "rbm"
        group.add("states", ("chain", "draw", "visible"), [run.states for run in runs])
        group.add("free_energy", ("chain", "draw"), [run.free_energy for run in runs])
    group.add("flip_rate", (), [run.flip_rate for run in runs])
    group.add("seed", (), [np.uint64(run.seed) for run in runs])


def _write_training(group: _Group, study: Study) -> None:
    trained = study.trained
    length = max(len(one.history["epoch"]) for one in trained)
    epochs = {"epoch": np.arange(1, length + 1)}
    for name in trained[0].history:
        if name == "epoch":
            continue
        # A training that was interrupted is shorter than the others.
        columns = [
            np.pad(one.history[name], (0, length - len(one.history[name])), constant_values=np.nan) for one in trained
        ]
        group.add(name, ("epoch",), columns, epochs)
    group.add("n_epochs", (), [len(one.history["epoch"]) for one in trained])
    group.add("interrupted", (), [np.int8(one.interrupted) for one in trained])
    fewest = min(len(one.chains) for one in trained)  # an interrupted training may have stopped at a smaller batch
    group.add("chains", ("chain", "visible"), [one.chains[:fewest] for one in trained])
    group.group.attrs["settings"] = json.dumps([one.settings for one in trained], default=str)


# Reading


class _Entries:
    """A group as a list of entries, one for each temperature."""

    def __init__(self, group: h5py.Group):
        self.group = group
        self.stacked = "entry" in group or ("temperature" in group and group["temperature"].ndim == 1)

    def get(self, name: str) -> list[np.ndarray]:
        data = self.group[name][()]
        return list(data) if self.stacked else [data]

    def temperatures(self) -> tuple[float, ...]:
        if "temperature" not in self.group:
            return ()
        return tuple(float(t) for t in np.atleast_1d(self.group["temperature"][()]))

    def columns(self) -> Columns:
        return {name: np.atleast_1d(self.group[name][()]) for name in self.group if name not in AXES}


def _read(file: h5py.File) -> Study:
    fields: dict = {"attributes": {name: _plain(value) for name, value in file.attrs.items()}}
    temperatures: tuple[float, ...] = ()
    if "lattice" in file:
        group = file["lattice"]
        fields["lattice"] = ising.Ising(
            tuple(int(length) for length in group.attrs["shape"]),
            group["coupling"][()],
            group["field"][()],
            tuple(bool(flag) for flag in group.attrs["periodic"]),
        )
    if "model" in file:
        entries = _Entries(file["model"])
        kinds = (str(entries.group.attrs["visible_units"]), str(entries.group.attrs["hidden_units"]))
        names = ("weights", "visible_bias", "hidden_bias")
        fields["models"] = tuple(rbm.RBM(*arrays, *kinds) for arrays in zip(*map(entries.get, names), strict=True))
        temperatures = entries.temperatures()
    if "samples" in file:
        entries = _Entries(file["samples"])
        fields["samples"] = _read_samples(entries, fields)
        temperatures = entries.temperatures()
    if "training" in file:
        fields["trained"] = _read_training(_Entries(file["training"]), fields["models"])
    for name in ("exact", "observables"):
        if name in file:
            fields[name] = _Entries(file[name]).columns()
            temperatures = _Entries(file[name]).temperatures()
    if len(fields) == 1:
        raise KeyError("it holds no results")
    return Study(temperatures=temperatures, **fields)


def _read_samples(entries: _Entries, fields: dict) -> tuple:
    attributes = entries.group.attrs
    settings = {
        "method": str(attributes["method"]),
        "thin": int(attributes["thin"]),
        "burn_in": int(attributes["burn_in"]),
        "device": str(attributes["device"]),
    }
    own = [
        {"seed": int(seed), "flip_rate": float(rate)} | settings
        for seed, rate in zip(entries.get("seed"), entries.get("flip_rate"), strict=True)
    ]
    states = entries.get("states")
    if attributes["kind"] == "ising":
        return tuple(
            ising.Samples(states=s, energy=e, lattice=fields["lattice"], temperature=t, **more)
            for s, e, t, more in zip(states, entries.get("energy"), entries.temperatures(), own, strict=True)
        )
    return tuple(
        rbm.Samples(states=s, free_energy=f, model=model, **more)
        for s, f, model, more in zip(states, entries.get("free_energy"), fields["models"], own, strict=True)
    )


def _read_training(entries: _Entries, models: tuple) -> tuple:
    settings = json.loads(entries.group.attrs["settings"])
    skipped = {"epoch", *AXES, "chain", "visible", "chains", "interrupted", "n_epochs"}
    names = [name for name in entries.group if name not in skipped]
    columns = {name: entries.get(name) for name in names}
    chains, interrupted, lengths = (entries.get(name) for name in ("chains", "interrupted", "n_epochs"))
    trained = []
    for k, model in enumerate(models):
        length = int(lengths[k])
        history = {"epoch": np.arange(1, length + 1)} | {name: columns[name][k][:length] for name in names}
        trained.append(rbm.Trained(model, history, chains[k], settings[k], bool(interrupted[k])))
    return tuple(trained)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
