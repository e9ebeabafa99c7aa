"""Parameters of models for other programs: NumPy archives and PyTorch state dicts."""

import re
import tempfile
from pathlib import Path

import numpy as np

from mcgen import hdf5
from mcgen.errors import InputError
from mcgen.hdf5 import Group, Listing
from mcgen.results.files import check_output, written_beside
from mcgen.results.groups import AXES, Entries
from mcgen.results.loading import refuse, version_of
from mcgen.results.saving import save
from mcgen.results.schema import check_arrays, check_listing, known_attributes, to_read
from mcgen.results.study import in_words, place_of

LAYER = re.compile(r"(encoder|decoder)_(\d+)_(weights|bias)")


def export(source: object, output: str | Path, overwrite: bool = False, temperature: float | None = None) -> Path:
    """Write the parameters of models to a NumPy archive or a PyTorch state dict.

    An archive (.npz) has the entries of the group /model of a file, datasets and attributes alike: of an RBM `weights`
    (visible, hidden), `visible_bias`, `hidden_bias`, `visible_units`, `hidden_units` and what belongs to the units; of
    an autoencoder `encoder_K_weights` (input, output), `encoder_K_bias`, `decoder_K_...` of layer K, and its settings.
    Several models have a leading axis, and `temperature`. `numpy.load` reads it without unpickling anything.

    A state dict (.pt) holds tensors: of an RBM `weights`, `visible_bias`, `hidden_bias` and the numbers of its units;
    of an autoencoder `encoder.K.weight`, transposed as in `torch.nn.Linear`, and `encoder.K.bias`, where K counts the
    layers of a `torch.nn.Sequential` with activations; the encoder of a VAE gives means, then log standard deviations.
    Weights of convolutions are (output, input, row, column), those of the decoder (input, output, row, column), for
    images that are flattened as (row, column, channel).

    Parameters
    ----------
    source : str, Path, or whatever `save` takes
        A file, or results, with models.
    output : str or Path
        Its ending chooses the format: .npz, or .pt, for which torch must be installed.
    overwrite : bool
        Whether a file that is there may be replaced.
    temperature : float, optional
        Which of several models to write.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the ending is another, torch is not installed, there is no model, no such temperature, or a state dict is
        asked for of several models.
    FileError
        If a file cannot be read or written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from mcgen import rbm, results
    >>> model = rbm.RBM.random(4, 2, seed=1)
    >>> path = results.export(model, pathlib.Path(tempfile.mkdtemp()) / "model.npz")
    >>> with np.load(path, allow_pickle=False) as archive:
    ...     bool((archive["weights"] == model.weights).all()), str(archive["visible_units"])
    (True, 'bernoulli')
    """
    output = check_output(output, overwrite)
    if output.suffix not in (".npz", ".pt"):
        raise InputError(f"{output} ends in {output.suffix!r}; choose .npz (NumPy) or .pt (PyTorch)")
    if output.suffix == ".pt":
        try:
            import torch
        except ImportError:
            raise InputError(
                "torch is not installed; install it with pip install 'mcgen[torch]', or write .npz"
            ) from None
    group = _pick(_group(source), temperature)
    if output.suffix == ".npz":
        with written_beside(output) as beside, beside.open("wb") as file:
            np.savez(file, **group.attrs, **group)
        return output
    if any(axis in group and np.ndim(group[axis]) for axis in AXES):
        raise InputError("a state dict is of one model, and there are several; choose by temperature, or write .npz")
    tensors = {name: torch.tensor(array) for name, array in _of_torch(group).items()}
    with written_beside(output) as beside:
        torch.save(tensors, beside)
    return output


def _group(source: object) -> Group:
    """The group /model of a file, or of the file that results would make."""
    if not isinstance(source, str | Path):
        with tempfile.TemporaryDirectory() as folder:
            return _group(save(Path(folder) / "results.h5", source))

    def choose(listing: Listing) -> list[str]:
        refuse(source, check_listing(listing, version_of(source, listing)))
        return [name for name in to_read(listing) if name.startswith("model/")]

    listing, groups = hdf5.read(source, choose)
    if "model" not in groups:
        raise InputError(f"{source} holds no model; give a file written by 'mcgen rbm train' or 'mcgen vae train'")
    refuse(source, check_arrays(listing, groups))
    known = known_attributes(listing, "model")
    return Group({name: value for name, value in groups["model"].attrs.items() if name in known}, groups["model"])


def _pick(group: Group, temperature: float | None) -> Group:
    """The group of one model out of several."""
    if temperature is None:
        return group
    entries = Entries(group)
    place = place_of(temperature, entries.temperatures())
    if place is None:
        have = in_words(entries.temperatures())
        raise InputError(f"temperature={temperature:g} is not there; the models have: {have}")
    return Group(group.attrs, {name: entries.get(name)[place] for name in group})


def _of_torch(group: Group) -> dict[str, np.ndarray]:
    """Names and shapes as PyTorch has them."""
    found = {}
    for name, array in group.items():
        match = LAYER.fullmatch(name)
        if match:
            part, layer, what = match.groups()
            order = {2: (1, 0), 4: (3, 2, 0, 1) if part == "encoder" else (2, 3, 0, 1)}.get(array.ndim, (0,))
            name = f"{part}.{layer}.{'weight' if what == 'weights' else what}"
            array = np.ascontiguousarray(array.transpose(order))
        if name not in AXES:
            found[name] = array
    return found
