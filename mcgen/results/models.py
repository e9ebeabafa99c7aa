"""The groups /lattice, /model and /training: what was sampled and what was learned."""

import json
from collections.abc import Sequence

import h5py
import numpy as np

from mcgen import hdf5, ising, rbm
from mcgen.rbm.units.base import Unit
from mcgen.rbm.units.kinds import KINDS
from mcgen.results.groups import AXES, Entries, Group

PARAMETERS = ("weights", "visible_bias", "hidden_bias")
LAYERS = ("visible", "hidden")


def write_lattice(file: h5py.File, lattice: ising.Ising) -> None:
    """Write the group /lattice."""
    group = Group(file, "lattice")
    sites = tuple(f"site_{axis}" for axis in range(lattice.n_dims))
    group.add("coupling", ("direction", *sites), [lattice.coupling])
    group.add("field", sites, [lattice.field])
    group.hdf.attrs["shape"] = np.array(lattice.shape, np.int64)
    group.hdf.attrs["periodic"] = np.array(lattice.periodic, np.int8)
    group.close()


def read_lattice(group: hdf5.Group) -> ising.Ising:
    """The group /lattice."""
    return ising.Ising(
        tuple(int(length) for length in group.attrs["shape"]),
        group["coupling"][()],
        group["field"][()],
        tuple(bool(flag) for flag in group.attrs["periodic"]),
    )


def write_models(group: Group, models: Sequence[rbm.RBM]) -> None:
    """Write the group /model."""
    group.hdf.attrs["kind"] = "rbm"
    for name, dimensions in zip(PARAMETERS, (LAYERS, LAYERS[:1], LAYERS[1:]), strict=True):
        group.add(name, dimensions, [getattr(model, name) for model in models])
    for layer in LAYERS:
        _write_units(group, layer, [getattr(model, layer) for model in models])
    symmetry = models[0].symmetry
    if symmetry is not None:
        group.hdf.attrs["symmetry_shape"] = np.array(symmetry.shape, np.int64)
        group.hdf.attrs["symmetry_filters"] = symmetry.n_filters
        group.hdf.attrs["symmetry_spin_flip"] = np.int8(symmetry.spin_flip)


def _write_units(group: Group, layer: str, kinds: Sequence[Unit]) -> None:
    """The kind of the units of a layer, and the numbers that belong to it."""
    group.hdf.attrs[f"{layer}_units"] = kinds[0].name
    if kinds[0].name == "potts":
        group.hdf.attrs[f"{layer}_states"] = kinds[0].q
    elif not kinds[0].is_discrete:
        for name in kinds[0].settings():
            group.add(f"{layer}_unit_{name}", (layer,), [kind.settings()[name] for kind in kinds])


def read_models(entries: Entries) -> tuple[rbm.RBM, ...]:
    """The group /model."""
    attributes = entries.group.attrs
    parameters = [*zip(*map(entries.get, PARAMETERS), strict=True)]
    visible, hidden = (_read_units(entries, layer, len(parameters)) for layer in LAYERS)
    symmetry = None
    if "symmetry_shape" in attributes:
        shape = tuple(int(length) for length in attributes["symmetry_shape"])
        n_filters, spin_flip = int(attributes["symmetry_filters"]), bool(attributes["symmetry_spin_flip"])
        symmetry = rbm.Symmetry(shape, n_filters, spin_flip, visible[0], hidden[0])
    return tuple(rbm.RBM(*arrays, *kinds, symmetry) for arrays, *kinds in zip(parameters, visible, hidden, strict=True))


def _read_units(entries: Entries, layer: str, n_models: int) -> list[Unit]:
    """The units of a layer of every model."""
    attributes = entries.group.attrs
    kind = KINDS[str(attributes[f"{layer}_units"])]
    if kind.name == "potts":
        return [kind(int(attributes[f"{layer}_states"]))] * n_models
    if kind.is_discrete:
        return [kind()] * n_models
    numbers = (entries.get(f"{layer}_unit_{name}") for name in ("mean", "variance"))
    return [kind(*both) for both in zip(*numbers, strict=True)]


def write_training(group: Group, trained: Sequence[rbm.Trained]) -> np.ndarray:
    """Write the group /training; returns its epochs."""
    length = max(len(one.history["epoch"]) for one in trained)
    for name in trained[0].history:
        if name == "epoch":
            continue
        # A training that was interrupted is shorter than the others.
        columns = [
            np.pad(one.history[name], (0, length - len(one.history[name])), constant_values=np.nan) for one in trained
        ]
        group.add(name, ("epoch",), columns)
    group.add("n_epochs", (), [len(one.history["epoch"]) for one in trained])
    group.add("interrupted", (), [np.int8(one.interrupted) for one in trained])
    fewest = min(len(one.chains) for one in trained)  # an interrupted training may have stopped at a smaller batch
    group.add("chains", ("chain", "visible"), [one.chains[:fewest] for one in trained])
    group.hdf.attrs["settings"] = json.dumps([one.settings for one in trained], default=plain)
    return np.arange(1, length + 1)


def write_trajectory(group: Group, trained: Sequence[rbm.Trained]) -> None:
    """Write the group /trajectory: the parameters of the models that trainings kept on the way."""
    lengths = [len(one.trajectory) for one in trained]
    for name, dimensions in zip(PARAMETERS, (LAYERS, LAYERS[:1], LAYERS[1:]), strict=True):
        # A training that ended early has kept fewer: its last model fills the rest.
        kept = ((*one.trajectory, *[one.trajectory[-1]] * (max(lengths) - len(one.trajectory))) for one in trained)
        group.add(name, ("stored", *dimensions), [np.stack([getattr(model, name) for model in row]) for row in kept])
    group.add("n_stored", (), lengths)


def read_trajectory(entries: Entries, models: Sequence[rbm.RBM]) -> list[tuple[rbm.RBM, ...]]:
    """The group /trajectory."""
    columns = zip(*(entries.get(name) for name in (*PARAMETERS, "n_stored")), strict=True)
    return [
        tuple(model.replace(*(array[k] for array in arrays)) for k in range(int(length)))
        for model, (*arrays, length) in zip(models, columns, strict=True)
    ]


def read_training(
    entries: Entries,
    models: Sequence[rbm.RBM],
    trajectories: Sequence[tuple[rbm.RBM, ...]] | None = None,
    states: Sequence[dict | None] | None = None,
) -> tuple[rbm.Trained, ...]:
    """The group /training; trajectories and states come from groups of their own."""
    settings = json.loads(entries.group.attrs["settings"])
    skipped = {"epoch", *AXES, "chain", "visible", "chains", "interrupted", "n_epochs"}
    names = [name for name in entries.group if name not in skipped]
    columns = {name: entries.get(name) for name in names}
    chains, interrupted, lengths = (entries.get(name) for name in ("chains", "interrupted", "n_epochs"))
    trained = []
    for k, model in enumerate(models):
        length = int(lengths[k])
        history = {"epoch": np.arange(1, length + 1)} | {name: columns[name][k][:length] for name in names}
        trajectory = trajectories[k] if trajectories else ()
        state = states[k] if states else None
        trained.append(rbm.Trained(model, history, chains[k], settings[k], bool(interrupted[k]), trajectory, state))
    return tuple(trained)


def plain(value: object) -> object:
    """Numbers and arrays of NumPy as those of Python, so that they are the same numbers when they are read."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
