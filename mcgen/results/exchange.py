"""The group /exchange: how configurations moved along a ladder."""

from collections.abc import Sequence

import h5py
import numpy as np

from mcgen import hdf5
from mcgen.ising.tempering import Exchange
from mcgen.rbm.tempering import Exchange as ExchangeOfModels
from mcgen.results.groups import Entries, Group


def write_exchange(file: h5py.File, exchange: Exchange) -> None:
    """Write the group of a lattice, all temperatures of which are one ladder."""
    group = Group(file, "exchange")
    group.add("swap_rates", ("pair",), [exchange.swap_rates])
    group.add("round_trips", (), [np.int64(exchange.round_trips)])
    group.add("n_sweeps", (), [np.int64(exchange.n_sweeps)])
    group.close({"temperature": exchange.temperatures})


def read_exchange(group: hdf5.Group) -> Exchange:
    """What `write_exchange` wrote."""
    arrays = (group["temperature"][()], group["swap_rates"][()])
    return Exchange(*arrays, int(group["round_trips"][()]), int(group["n_sweeps"][()]))


def write_exchanges(group: Group, exchanges: Sequence[ExchangeOfModels]) -> None:
    """Write the ladders of models, one for each; NaN fills up the shorter ones."""
    n_pairs = [len(one.swap_rates) for one in exchanges]
    if exchanges[0].betas is not None:
        group.add("beta", ("place",), _filled([one.betas for one in exchanges], max(n_pairs) + 1))
    group.add("swap_rates", ("pair",), _filled([one.swap_rates for one in exchanges], max(n_pairs)))
    group.add("n_pairs", (), [np.int64(n) for n in n_pairs])
    group.add("round_trips", (), [np.int64(one.round_trips) for one in exchanges])
    group.add("n_sweeps", (), [np.int64(one.n_sweeps) for one in exchanges])


def read_exchanges(entries: Entries) -> list[ExchangeOfModels]:
    """What `write_exchanges` wrote."""
    n_pairs, rates, trips, sweeps = map(entries.get, ("n_pairs", "swap_rates", "round_trips", "n_sweeps"))
    betas = entries.get("beta") if "beta" in entries.group else [None] * len(rates)
    return [
        ExchangeOfModels(None if beta is None else beta[: n + 1], rate[:n], int(n_trips), int(n_sweeps))
        for n, beta, rate, n_trips, n_sweeps in zip(n_pairs, betas, rates, trips, sweeps, strict=True)
    ]


def _filled(arrays: Sequence[np.ndarray], length: int) -> list[np.ndarray]:
    return [np.pad(array, (0, length - len(array)), constant_values=np.nan) for array in arrays]
