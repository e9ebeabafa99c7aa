"""The groups /model, /training and /checkpoint of autoencoders: what was learned, and what a training goes on from."""

import json
from collections.abc import Iterator, Sequence

import numpy as np

from mcgen import hdf5, vae
from mcgen.errors import InputError
from mcgen.results.groups import Entries, Group
from mcgen.vae import architecture, decoders
from mcgen.vae.training import COLUMNS, State

Model = vae.Autoencoder | vae.VAE  # a ConditionalVAE is a VAE

CLASSES = {"autoencoder": vae.Autoencoder, "vae": vae.VAE, "conditional-vae": vae.ConditionalVAE}
NUMBERS = ("n_features", "n_latent")
OF_IMAGES = ("shape", "filters", "kernel_size", "stride", "padding")
OF_CONDITIONS = ("n_conditions", "condition_offset", "condition_scale")
# Axes of parameters, by how many there are.
DIMENSIONS = {1: ("output",), 2: ("input", "output"), 4: ("row", "column", "input", "output")}


def kind_of(model: Model) -> str:
    """The word for the class of a model; a class of somebody's own has none and cannot be saved."""
    for kind, one in CLASSES.items():
        if type(model) is one:
            return kind
    names = ", ".join(one.__name__ for one in CLASSES.values())
    raise InputError(f"a model of the class {type(model).__name__} cannot be saved; give one of {names}")


def settings_of(model: Model) -> dict:
    """Everything but the parameters, as attributes of a file."""
    settings = {"kind": kind_of(model), "dtype": model.dtype.name, "activation": model.activation}
    settings |= {name: getattr(model, name) for name in NUMBERS}
    settings["hidden"] = np.array(model.hidden, np.int64)
    settings["decoder"] = model.decoder_kind.name
    if isinstance(model.decoder_kind, vae.Gaussian):
        settings |= {"decoder_variance": model.decoder_kind.variance, "decoder_std": model.decoder_kind.std}
    if model.convolution is not None:
        settings |= {f"convolution_{name}": getattr(model.convolution, name) for name in OF_IMAGES}
    if isinstance(model, vae.ConditionalVAE):
        settings |= {name: getattr(model, name) for name in OF_CONDITIONS}
    return settings


def write_models(group: Group, models: Sequence[Model], conditions: Sequence[float] = ()) -> None:
    """Write the group /model.

    Parameters
    ----------
    group : Group
    models : sequence of models
    conditions : sequence of float
        The temperatures that a single conditional model has learned from.
    """
    group.hdf.attrs.update(settings_of(models[0]))
    if len(conditions):
        group.hdf.attrs["temperatures"] = np.array(conditions, np.float64)
    vectors = [model.vector() for model in models]
    n_layers = len(models[0].encoder.layers)
    for layer, name, dimensions, _ in _arrays(models[0].parameter_shapes, n_layers):
        key = name.removeprefix(_part(layer, n_layers, len(models[0].parameter_shapes)))
        group.add(name, dimensions, [vector.views[layer][key] for vector in vectors])


def read_models(entries: Entries) -> tuple[Model, ...]:
    """The group /model; sizes are checked before anything is built."""
    attributes = entries.group.attrs
    one = CLASSES[str(attributes["kind"])]
    dtype = np.dtype(str(attributes["dtype"]))
    settings = {name: int(attributes[name]) for name in NUMBERS}
    settings["hidden"] = tuple(int(width) for width in attributes["hidden"])
    settings["activation"] = str(attributes["activation"])
    settings["decoder"] = _decoder(attributes)
    settings["convolution"] = _convolution(attributes)
    more = {}
    if one is vae.ConditionalVAE:
        more = {name: attributes[name] for name in OF_CONDITIONS[1:]} | {
            "n_conditions": int(attributes["n_conditions"])
        }
    shapes, n_layers = _shapes(one, settings, more.get("n_conditions", 0))
    names = [name for _, name, _, _ in _arrays(shapes, n_layers)]
    for _, name, _, shape in _arrays(shapes, n_layers):
        dataset = entries.group[name]
        found = dataset.shape[1:] if entries.stacked else dataset.shape
        if found != shape or dataset.dtype != dtype:
            raise ValueError(f"{name} is {dataset.dtype} of shape {found}, and its architecture has {dtype} of {shape}")
    start = one(**settings, **more, dtype=dtype)
    return tuple(
        start.replace(np.concatenate([array.ravel() for array in arrays]))
        for arrays in zip(*map(entries.get, names), strict=True)
    )


def conditions_of(group: hdf5.Group) -> tuple[float, ...]:
    """The temperatures that a single conditional model has learned from; empty for others."""
    return tuple(float(one) for one in group.attrs.get("temperatures", ()))


def write_training(group: Group, fits: Sequence[vae.Fit]) -> np.ndarray:
    """Write the group /training; returns its epochs."""
    lengths = [len(fit.history["epoch"]) for fit in fits]
    for name in COLUMNS:
        if name != "epoch":
            # A training that ended early is shorter than the others.
            columns = [np.asarray(fit.history[name], np.float64) for fit in fits]
            padded = [np.pad(one, (0, max(lengths) - len(one)), constant_values=np.nan) for one in columns]
            group.add(name, ("epoch",), padded)
    group.add("n_epochs", (), lengths)
    group.add("interrupted", (), [np.int8(fit.interrupted) for fit in fits])
    group.hdf.attrs["settings"] = json.dumps([fit.settings for fit in fits], default=_plain)
    return np.arange(1, max(lengths) + 1)


def write_checkpoint(group: Group, fits: Sequence[vae.Fit]) -> None:
    """Write the group /checkpoint: what a training goes on from, to the same bits."""
    states = [fit.state for fit in fits]
    for name in ("epoch", "count", "best_epoch"):
        group.add(f"n_{name}" if name == "count" else name, (), [np.int64(getattr(one, name)) for one in states])
    for name in ("parameters", "best_parameters"):
        group.add(name, ("parameter",), [getattr(one, name) for one in states])
    for k in range(len(states[0].moments)):
        group.add(f"moment_{k}", ("parameter",), [one.moments[k] for one in states])


def read_training(training: Entries, checkpoint: Entries, models: Sequence[Model]) -> tuple[vae.Fit, ...]:
    """What `write_training` and `write_checkpoint` wrote."""
    settings = json.loads(training.group.attrs["settings"])
    names = [name for name in COLUMNS if name != "epoch"]
    columns = {name: training.get(name) for name in names}
    lengths, interrupted = training.get("n_epochs"), training.get("interrupted")
    fits = []
    for k, (model, state) in enumerate(zip(models, _states(checkpoint, models[0]), strict=True)):
        length = int(lengths[k])
        if length != state.epoch:
            raise ValueError(f"the history of training {k} has not the {state.epoch} epochs of its checkpoint")
        history = {name: columns[name][k][:length] for name in names} | {"epoch": np.arange(1, length + 1)}
        history = {name: history[name] for name in COLUMNS}
        fits.append(vae.Fit(model, history, dict(settings[k]), state, bool(interrupted[k])))
    return tuple(fits)


def _states(entries: Entries, model: Model) -> list[State]:
    arrays = ["parameters", "best_parameters"]
    arrays += sorted(name for name in entries.group if name.startswith("moment_"))
    for name in arrays:
        dataset = entries.group[name]
        if dataset.shape[-1] != model.n_parameters or dataset.dtype != model.dtype:
            raise ValueError(
                f"{name} of the checkpoint is {dataset.dtype} of shape {dataset.shape}, and the model has "
                f"{model.n_parameters} parameters, {model.dtype}"
            )
    epochs, counts, best_epochs = map(entries.get, ("epoch", "n_count", "best_epoch"))
    vectors = [*zip(*map(entries.get, arrays), strict=True)]
    return [
        State(int(epoch), parameters, int(count), tuple(moments), best, int(best_epoch))
        for epoch, count, best_epoch, (parameters, best, *moments) in zip(
            epochs, counts, best_epochs, vectors, strict=True
        )
    ]


def _arrays(shapes: Sequence[dict], n_layers: int) -> Iterator[tuple[int, str, tuple[str, ...], tuple[int, ...]]]:
    """Layer, name, dimensions and shape of every array of parameters, in the order of the model's vector."""
    for layer, arrays in enumerate(shapes):
        part = _part(layer, n_layers, len(shapes))
        for key, shape in arrays.items():
            axes = DIMENSIONS[len(shape)] if part else ("log_std_feature",)
            yield layer, part + key, tuple(part + axis for axis in axes), tuple(shape)


def _part(layer: int, n_layers: int, n_all: int) -> str:
    """What names of a layer's arrays begin with: layers of the encoder, those of the decoder, then its kind."""
    if layer == n_all - 1:
        return ""
    return f"encoder_{layer}_" if layer < n_layers else f"decoder_{layer - n_layers}_"


def _shapes(one: type, settings: dict, n_conditions: int) -> tuple[list[dict], int]:
    """Shapes of the parameters of a model that is not built yet, and how many layers its encoder has."""
    n_features, hidden, n_latent = (settings[name] for name in ("n_features", "hidden", "n_latent"))
    how = (settings["activation"], settings["convolution"])
    encoder = architecture.encoder(n_features, n_conditions, hidden, one.numbers_per_latent * n_latent, *how)
    decoder = architecture.decoder(n_latent + n_conditions, hidden, n_features, *how)
    of_kind = settings["decoder"].parameter_shapes(n_features)
    return [*encoder.parameter_shapes, *decoder.parameter_shapes, of_kind], len(encoder.layers)


def _decoder(attributes: dict) -> object:
    name = str(attributes["decoder"])
    if name != "gaussian":
        return decoders.make(name)
    return vae.Gaussian(str(attributes["decoder_variance"]), float(attributes["decoder_std"]))


def _convolution(attributes: dict) -> vae.Convolution | None:
    if "convolution_shape" not in attributes:
        return None
    shape, filters = (tuple(int(n) for n in attributes[f"convolution_{name}"]) for name in OF_IMAGES[:2])
    size, stride = (int(attributes[f"convolution_{name}"]) for name in OF_IMAGES[2:4])
    return vae.Convolution(shape, filters, size, stride, str(attributes["convolution_padding"]))


def _plain(value: object) -> object:
    """A number of NumPy as one of Python, so that it is the same number when it is read."""
    return value.item() if isinstance(value, np.generic) else str(value)
