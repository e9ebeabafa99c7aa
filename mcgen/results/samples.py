"""The group /samples: what was drawn."""

import math
from collections.abc import Sequence

import numpy as np

from mcgen import hdf5, ising, rbm
from mcgen.results.draws import Draws
from mcgen.results.exchange import read_exchange, read_exchanges
from mcgen.results.files import check_room
from mcgen.results.groups import NUMBER_FILTERS, STATE_FILTERS, Entries, Group, chunk_shape

# Draws of all chains that lie in one row of chunks, at most: what has to be gathered before chunks can be written.
BYTES_PER_ROW = 1 << 24

Samples = ising.Samples | rbm.Samples | Draws

SERIES = {
    ising.Samples: ("energy", "magnetization"),
    rbm.Samples: ("free_energy", "magnetization"),
    Draws: ("magnetization",),
}
# The last axis of states that are not those of a lattice.
UNITS = {rbm.Samples: "visible", Draws: "feature"}
RATES = {ising.Samples: "flip_rate", rbm.Samples: "acceptance_rate"}


def draws_per_chunk(run: Samples, n_draws: int, n_together: int = 1) -> int:
    """How many draws a chunk has.

    Parameters
    ----------
    run : Samples
        Tells the number of chains and the size of a state.
    n_draws : int
        The length of the run.
    n_together : int
        Temperatures that are drawn at the same time.
    """
    n_chains, _, *units = run.states.shape
    n_bytes = n_together * n_chains * math.prod(units) * run.states.itemsize
    return max(1, min(n_draws, BYTES_PER_ROW // n_bytes))


def create(
    group: Group, run: Samples, n_draws: int, n_entries: int, n_together: int = 1, keeps_states: bool = True
) -> None:
    """Make empty datasets for the draws of runs like `run`.

    Chunks of states have few draws of many chains: draws come in time order, and a chunk that is written twice is
    compressed twice.

    Parameters
    ----------
    group : Group
    run : Samples
        Any block of one run.
    n_draws, n_entries : int
    n_together : int
        Temperatures that are drawn at the same time.
    keeps_states : bool
    """
    n_chains, _, *units = run.states.shape
    axis, length, one = ((group.axis,), (n_entries,), (1,)) if group.axis else ((), (), ())

    def add(name: str, dimensions: tuple, shape: tuple, dtype: np.dtype, per_chunk: int, filters: dict) -> None:
        chunks = chunk_shape((*shape[:1], per_chunk, *shape[2:]), dtype.itemsize)
        group.create(name, (*axis, *dimensions), (*length, *shape), dtype, (*one, *chunks), filters)

    if keeps_states:
        sites = [UNITS[type(run)]] if type(run) in UNITS else [f"site_{axis}" for axis in range(len(units))]
        per_chunk = draws_per_chunk(run, n_draws, n_together)
        dtype = run.states.dtype
        filters = STATE_FILTERS if dtype == np.int8 else NUMBER_FILTERS
        add("states", ("chain", "draw", *sites), (n_chains, n_draws, *units), dtype, per_chunk, filters)
    for name, series in series_of(run).items():
        add(name, ("chain", "draw"), (n_chains, n_draws), series.dtype, n_draws, NUMBER_FILTERS)


def series_of(run: Samples) -> dict[str, np.ndarray]:
    """The arrays (n_chains, n_draws) of a run, by the names of their datasets."""
    return {name: getattr(run, name) for name in SERIES[type(run)]}


def put(group: Group, name: str, k: int, first: int, draws: np.ndarray) -> None:
    """Write draws number first, first + 1, ... of all chains of entry k.

    Parameters
    ----------
    group : Group
        After `create`.
    name : str
        Of the dataset.
    k, first : int
    draws : array, shape (n_chains, n_now, ...)
    """
    dataset = group.hdf[name]
    entry = (k,) if group.axis else ()
    place = slice(first, first + draws.shape[1])
    rows = dataset.chunks[len(entry)]
    for chain in range(0, len(draws), rows):  # the copies that h5py makes of parts of an array stay small
        part = draws[chain : chain + rows]
        check_room(dataset.file, part.nbytes)
        dataset[(*entry, slice(chain, chain + len(part)), place)] = part


def describe(group: Group, runs: Sequence[Samples]) -> None:
    """Write what a file keeps beside the draws."""
    first = runs[0]
    group.add("seed", (), [np.uint64(run.seed) for run in runs])
    if isinstance(first, Draws):
        group.hdf.attrs.update(kind="vae", method=first.method)
        return
    kind = "ising" if isinstance(first, ising.Samples) else "rbm"
    attributes = {name: getattr(first, name) for name in ("method", "kernel", "thin", "burn_in", "device")}
    group.hdf.attrs.update(kind=kind, **attributes)
    rate = RATES[type(first)]
    group.add(rate, (), [getattr(run, rate) for run in runs])


def write(group: Group, runs: Sequence[Samples]) -> None:
    """Write the draws of whole runs."""
    create(group, runs[0], series_shape(runs[0])[1], len(runs), keeps_states=runs[0].states.shape[1] > 0)
    for k, run in enumerate(runs):
        if run.states.shape[1]:
            put(group, "states", k, 0, run.states)
        for name, series in series_of(run).items():
            put(group, name, k, 0, series)


def series_shape(run: Samples) -> tuple[int, int]:
    """Chains and draws of a run, whether its states were kept or not."""
    return next(iter(series_of(run).values())).shape


def read(entries: Entries, others: dict, exchange: hdf5.Group | None) -> tuple[Samples, ...]:
    """The runs of the group /samples.

    Parameters
    ----------
    entries : Entries
    others : dict
        The `lattice` or the `models` of the same file.
    exchange : hdf5.Group or None
        The group /exchange.
    """
    attributes = entries.group.attrs
    if attributes["kind"] == "vae":
        return _independent_draws(entries)
    settings = {
        "method": str(attributes["method"]),
        "thin": int(attributes["thin"]),
        "burn_in": int(attributes["burn_in"]),
        "device": str(attributes["device"]),
    }
    own = [{"seed": int(seed)} | settings for seed in entries.get("seed")]
    if attributes["kind"] == "ising":
        return _lattice_runs(entries, own, others["lattice"], exchange)
    return _model_runs(entries, own, others["models"], exchange)


def _independent_draws(entries: Entries) -> tuple[Draws, ...]:
    states = entries.get("states")
    temperatures = entries.temperatures() or (None,) * len(states)
    return tuple(Draws(s, int(seed), t) for s, seed, t in zip(states, entries.get("seed"), temperatures, strict=True))


def _lattice_runs(
    entries: Entries, own: list[dict], lattice: ising.Ising, exchange: hdf5.Group | None
) -> tuple[ising.Samples, ...]:
    energy = entries.get("energy")
    if "states" in entries.group:
        states = entries.get("states")
    else:
        states = [np.empty((len(e), 0, *lattice.shape), np.int8) for e in energy]
    if "magnetization" in entries.group:
        magnetization = entries.get("magnetization")
    else:  # files of version 1
        magnetization = [lattice.magnetization(s) for s in states]
    common = {
        "lattice": lattice,
        "kernel": str(entries.group.attrs.get("kernel", "single-flip")),
        "exchange": None if exchange is None else read_exchange(exchange),
    }
    rates, temperatures = entries.get("flip_rate"), entries.temperatures()
    return tuple(
        ising.Samples(states=s, energy=e, magnetization=m, flip_rate=float(rate), temperature=t, **common, **more)
        for s, e, m, rate, t, more in zip(states, energy, magnetization, rates, temperatures, own, strict=True)
    )


def _model_runs(
    entries: Entries, own: list[dict], models: Sequence[rbm.RBM], exchange: hdf5.Group | None
) -> tuple[rbm.Samples, ...]:
    kernel = str(entries.group.attrs.get("kernel", ""))
    states = entries.get("states")
    if "acceptance_rate" in entries.group:
        rates, magnetization = entries.get("acceptance_rate"), entries.get("magnetization")
    else:  # files of versions 1 and 2
        rates, magnetization = (
            entries.get("flip_rate"),
            [s.sum(axis=2, dtype=np.float64) for s in states],
        )
    exchanges = [None] * len(states) if exchange is None else read_exchanges(Entries(exchange))
    return tuple(
        rbm.Samples(
            states=s,
            free_energy=f,
            magnetization=m,
            acceptance_rate=float(rate),
            exchange=e,
            model=model,
            kernel=kernel,
            **more,
        )
        for s, f, m, rate, e, model, more in zip(
            states, entries.get("free_energy"), magnetization, rates, exchanges, models, own, strict=True
        )
    )
