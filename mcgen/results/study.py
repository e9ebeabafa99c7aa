"""What one file can hold, and which objects fit together into one."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from mcgen import ising, rbm, vae
from mcgen.errors import InputError
from mcgen.results import autoencoders
from mcgen.results.draws import Draws
from mcgen.results.groups import Columns
from mcgen.results.tables import Table


@dataclasses.dataclass(frozen=True)
class Study:
    """Everything that one file can hold. Lists have one entry for each temperature.

    Attributes
    ----------
    temperatures : tuple of float
        Empty where there is no temperature. A single conditional model may belong to several.
    lattice : Ising or None
    samples : tuple of ising.Samples, rbm.Samples or Draws
    models : tuple of RBM, or of VAE, ConditionalVAE or Autoencoder
    trained : tuple of Trained or vae.Fit
        Their models are `models`.
    exact, observables : dict of arrays over temperature
    tables : dict of Table
        What a study has besides, by name.
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
    tables: dict[str, Table] = dataclasses.field(default_factory=dict)
    attributes: dict = dataclasses.field(default_factory=dict)


def as_study(what: object) -> Study:
    """Any object that can be saved, as a Study."""
    if isinstance(what, Study):
        return what
    things = tuple(what) if isinstance(what, Sequence) else (what,)
    if things and all(isinstance(thing, ising.Samples) for thing in things):
        return Study(tuple(run.temperature for run in things), things[0].lattice, samples=things)
    if things and all(isinstance(thing, rbm.Samples) for thing in things):
        return Study(samples=things, models=tuple(run.model for run in things))
    if things and all(isinstance(thing, Draws) for thing in things):
        temperatures = tuple(run.temperature for run in things)
        return Study(() if None in temperatures else temperatures, samples=things)
    for kind in (rbm.Trained, vae.Fit):
        if things and all(isinstance(thing, kind) for thing in things):
            return Study(trained=things, models=tuple(one.model for one in things))
    for kind in (rbm.RBM, autoencoders.Model):
        if things and all(isinstance(thing, kind) for thing in things):
            return Study(models=things)
    raise InputError(f"a {type(what).__name__} cannot be saved; give samples, a model, a training result, or a Study")


def place_of(temperature: float, known: Sequence[float | None]) -> int | None:
    """Where a temperature is among others, from which it may differ by a rounding; None if it is not there.

    Examples
    --------
    >>> from mcgen.results.study import place_of
    >>> place_of(0.3, [None, 0.1 + 0.2]), place_of(2.0, [1.8, 3.0])
    (1, None)
    """
    places = (k for k, one in enumerate(known) if one is not None and math.isclose(one, temperature, rel_tol=1e-9))
    return next(places, None)


def in_words(temperatures: Sequence[float | None]) -> str:
    """Temperatures for a message; "none" where there are none."""
    return ", ".join(f"{one:g}" for one in temperatures if one is not None) or "none"


def own_configuration(study: Study) -> dict:
    """The settings that the objects themselves remember."""
    if study.trained:
        return dict(study.trained[0].settings)
    if study.samples and isinstance(study.samples[0], Draws):
        return {"method": Draws.method, "seed": study.samples[0].seed}
    if study.samples:
        run = study.samples[0]
        return {name: getattr(run, name) for name in ("method", "seed", "thin", "burn_in", "device")}
    return {}


def of_samples(run: ising.Samples | rbm.Samples | Draws) -> dict:
    """What a file keeps once for all its samples."""
    if isinstance(run, Draws):
        return {"shape": run.states.shape, "dtype of states": run.states.dtype.name}
    same = {name: getattr(run, name) for name in ("method", "kernel", "thin", "burn_in", "device")}
    same["shape"] = run.states.shape
    if isinstance(run, ising.Samples):
        same |= {
            "number of draws": run.energy.shape,
            "lattice": (run.lattice.shape, run.lattice.periodic),
            "couplings": run.lattice.coupling,
            "fields": run.lattice.field,
            "exchange": _bytes(run.exchange),
        }
    else:
        ladder = "none" if run.exchange is None else "models" if run.exchange.betas is None else "temperatures"
        same |= {"dtype of states": run.states.dtype.name, "ladder": ladder}
    return same


def of_model(model: rbm.RBM | autoencoders.Model) -> dict:
    """What a file keeps once for all its models."""
    if isinstance(model, autoencoders.Model):
        return {"kind": autoencoders.kind_of(model)} | autoencoders.settings_of(model)
    return {
        "units": tuple(repr(kind) if kind.name == "potts" else kind.name for kind in (model.visible, model.hidden)),
        "shape": model.weights.shape,
        "dtype": model.dtype.name,
        "symmetry": repr(model.symmetry),
    }


def of_training(trained: rbm.Trained | vae.Fit) -> dict:
    """What a file keeps once for all its trainings."""
    if isinstance(trained, vae.Fit):
        return {"optimizer": len(trained.state.moments)}
    return {"whether a trajectory was kept": bool(trained.trajectory)}


def check_lengths(study: Study) -> None:
    """Raise `InputError` if the entries of a study are not as many in all its parts: a file would not hold them all."""
    parts = {name: len(getattr(study, name)) for name in ("temperatures", "samples", "models", "trained")}
    n_entries = max(1, *parts.values())
    is_of_all = len(study.models) == 1 and isinstance(study.models[0], vae.ConditionalVAE)
    for name, length in parts.items():
        if length not in (0, n_entries) and not (is_of_all and name in ("models", "trained")):
            most = max(parts, key=parts.get)
            raise InputError(
                f"the study has {n_entries} {most} and {length} {name}; give one for each, or none, or save them in "
                "files of their own"
            )
    for columns in (study.exact, study.observables):
        for name, values in columns.items():
            if np.size(values) != n_entries:
                raise InputError(
                    f"the column {name} has {np.size(values)} values, and the study {n_entries} "
                    f"{'entry' if n_entries == 1 else 'entries'}; give one value for each temperature, model or run"
                )


def check_alike(name: str, entries: Sequence, properties: Callable[[object], dict]) -> None:
    """Raise `InputError` if the entries of one file differ in what the file keeps only once."""
    if not entries:
        return
    first = properties(entries[0])
    for number, entry in enumerate(entries[1:], start=1):
        other = properties(entry)
        for what, value in first.items():
            if not _equal(value, other[what]):
                shown = f" ({value} and {other[what]})" if isinstance(value, str | int | tuple) else ""
                raise InputError(f"{name} 0 and {number} differ in {what}{shown}; save them in files of their own")


def _equal(one: object, other: object) -> bool:
    # Couplings may be many numbers, and those of one sampling are one array.
    return one is other or (np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other)


def _bytes(exchange: object | None) -> bytes:
    return b"" if exchange is None else b"".join(np.asarray(x).tobytes() for x in dataclasses.astuple(exchange))
