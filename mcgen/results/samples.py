"""The groups /samples and /exchange: what was drawn."""

import math
from collections.abc import Sequence

import h5py
import numpy as np

from mcgen import ising, rbm
from mcgen.ising.tempering import Exchange
from mcgen.results.files import check_room
from mcgen.results.groups import NUMBER_FILTERS, STATE_FILTERS, Entries, Group, chunk_shape

# Draws of all chains that lie in one row of chunks, at most: what has to be gathered before chunks can be written.
BYTES_PER_ROW = 1 << 24

Samples = ising.Samples | rbm.Samples

SERIES = ("energy", "magnetization")


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
    return max(1, min(n_draws, BYTES_PER_ROW // (n_together * n_chains * math.prod(units))))


def create(group: Group, run: Samples, n_draws: int, n_entries: int, n_together: int = 1) -> None:
    """Make empty datasets for the draws of runs like `run`.

    Chunks of states have few draws of many chains: draws come in time order, and a chunk that is written twice is
    compressed twice.

    Parameters
    ----------
    group : Group
    run : Samples
        Any block of one run; it has states if the others have.
    n_draws, n_entries : int
    n_together : int
        Temperatures that are drawn at the same time.
    """
    n_chains, n_kept, *units = run.states.shape
    axis, length, one = ((group.axis,), (n_entries,), (1,)) if group.axis else ((), (), ())

    def add(name: str, dimensions: tuple, shape: tuple, dtype: str, per_chunk: int, filters: dict) -> None:
        chunks = chunk_shape((*shape[:1], per_chunk, *shape[2:]), np.dtype(dtype).itemsize)
        group.create(name, (*axis, *dimensions), (*length, *shape), dtype, (*one, *chunks), filters)

    if n_kept:
        sites = ("visible",) if isinstance(run, rbm.Samples) else [f"site_{axis}" for axis in range(len(units))]
        per_chunk = draws_per_chunk(run, n_draws, n_together)
        add("states", ("chain", "draw", *sites), (n_chains, n_draws, *units), "int8", per_chunk, STATE_FILTERS)
    for name, series in series_of(run).items():
        add(name, ("chain", "draw"), (n_chains, n_draws), series.dtype, n_draws, NUMBER_FILTERS)


def series_of(run: Samples) -> dict[str, np.ndarray]:
    """The arrays (n_chains, n_draws) of a run, by the names of their datasets."""
    if isinstance(run, rbm.Samples):
        return {"free_energy": run.free_energy}
    return {name: getattr(run, name) for name in SERIES}


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
    group.hdf.attrs.update(method=first.method, thin=first.thin, burn_in=first.burn_in, device=first.device)
    if isinstance(first, ising.Samples):
        group.hdf.attrs.update(kind="ising", kernel=first.kernel)
    else:
        group.hdf.attrs["kind"] = "rbm"
    group.add("flip_rate", (), [run.flip_rate for run in runs])
    group.add("seed", (), [np.uint64(run.seed) for run in runs])


def write(group: Group, runs: Sequence[Samples]) -> None:
    """Write whole runs."""
    create(group, runs[0], series_shape(runs[0])[1], len(runs))
    for k, run in enumerate(runs):
        if run.states.shape[1]:
            put(group, "states", k, 0, run.states)
        for name, series in series_of(run).items():
            put(group, name, k, 0, series)
    describe(group, runs)


def series_shape(run: Samples) -> tuple[int, int]:
    """Chains and draws of a run, whether its states were kept or not."""
    return next(iter(series_of(run).values())).shape


def write_exchange(file: h5py.File, exchange: Exchange) -> None:
    """Write the group /exchange."""
    group = Group(file, "exchange")
    group.add("swap_rates", ("pair",), [exchange.swap_rates])
    group.add("round_trips", (), [np.int64(exchange.round_trips)])
    group.add("n_sweeps", (), [np.int64(exchange.n_sweeps)])
    group.close({"temperature": exchange.temperatures})


def read_exchange(group: h5py.Group) -> Exchange:
    """The group /exchange."""
    arrays = (group["temperature"][()], group["swap_rates"][()])
    return Exchange(*arrays, int(group["round_trips"][()]), int(group["n_sweeps"][()]))


def read(entries: Entries, others: dict, exchange: Exchange | None, keep_states: bool = True) -> tuple[Samples, ...]:
    """The runs of the group /samples.

    Parameters
    ----------
    entries : Entries
    others : dict
        The `lattice` or the `models` of the same file.
    exchange : Exchange or None
    keep_states : bool
    """
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
    if attributes["kind"] != "ising":
        arrays = (entries.get("states"), entries.get("free_energy"))
        return tuple(
            rbm.Samples(states=s, free_energy=f, model=model, **more)
            for s, f, model, more in zip(*arrays, others["models"], own, strict=True)
        )
    lattice = others["lattice"]
    energy = entries.get("energy")
    if keep_states and "states" in entries.group:
        states = entries.get("states")
    else:
        states = [np.empty((len(e), 0, *lattice.shape), np.int8) for e in energy]
    if "magnetization" in entries.group:
        magnetization = entries.get("magnetization")
    else:  # files of version 1
        magnetization = [lattice.magnetization(s) for s in entries.get("states")]
    common = {"lattice": lattice, "kernel": str(attributes.get("kernel", "single-flip")), "exchange": exchange}
    return tuple(
        ising.Samples(states=s, energy=e, magnetization=m, temperature=t, **common, **more)
        for s, e, m, t, more in zip(states, energy, magnetization, entries.temperatures(), own, strict=True)
    )
