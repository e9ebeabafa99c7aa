"""How fast samplers move: the time of an attempted update, against peers and against that of its random bits.

A row is measured by many sweeps in one call that keeps nothing; with draws that are kept, and for cluster algorithms
(whose sweep visits every site about once), in further rows. The limit is the time of the random bits that an update
takes (see random_bits.py) or, where draws are kept, the time without.
"""

import argparse
import math
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numba
import numpy as np

from benchmark_parts import random_bits
from benchmark_parts.independent import independent
from benchmark_parts.measuring import measure, sweep_rate, sweeps_in
from benchmark_parts.peers import peers_for
from benchmark_parts.rows import row
from mcgen import backend, ising
from mcgen.errors import StatisticsWarning
from mcgen.ising.methods import CLUSTER, make_walkers

CRITICAL = 2 / math.log(1 + math.sqrt(2))
NEARLY_CRITICAL_CUBIC = 4.51
# Seconds of sweeps in each run, in full and quick.
WANTED, WANTED_QUICK = 0.5, 0.1
CLUSTER_LENGTHS = (64, 256)
CLUSTER_BURN_IN = 64


class Case(NamedTuple):
    """What to sweep.

    Attributes
    ----------
    title : str
        Of the lattice.
    lattice : Ising
    temperature : float
    n_chains : int
    method, kernel : str
        As in `ising.sample`.
    """

    title: str
    lattice: ising.Ising
    temperature: float
    n_chains: int
    method: str = "metropolis"
    kernel: str = "auto"


def cases(device: str, quick: bool) -> list[Case]:
    """What is swept on a device: a GPU wants many more chains. Quick work leaves out what peers take long to set up."""
    square, large, cubic = ising.Ising((64, 64)), ising.Ising((1024, 1024)), ising.Ising((32, 32, 32))
    signs = np.random.default_rng(3).choice([-1.0, 1.0], size=(2, 64, 64))
    glass = ising.Ising((64, 64), signs)
    few, many = (64, 1024) if device == "cpu" else (16384, 65536)
    listed = [
        Case("64 x 64", square, CRITICAL, few),
        Case("64 x 64", square, CRITICAL, many),
        Case("64 x 64", square, CRITICAL, few, "heatbath"),
        Case("64 x 64", square, CRITICAL, few, "metropolis", "single-flip"),
        Case("64 x 64 +-J glass", glass, CRITICAL, few),
        Case("32 x 32 x 32", cubic, NEARLY_CRITICAL_CUBIC, few // 2),
        Case("1024 x 1024", large, CRITICAL, 1 if device == "cpu" else 256),
    ]
    return [case for case in listed if case.lattice.n_dims == 2 and case.n_chains != many] if quick else listed


def walkers_of(case: Case, device: str) -> object:
    """Walkers that start at random."""
    states = np.random.default_rng(4).choice(np.array([-1, 1], np.int8), size=(1, case.n_chains, case.lattice.n_sites))
    temperatures = np.array([case.temperature])
    return make_walkers(case.lattice, temperatures, states, case.method, 5, backend.target(device), case.kernel)


def timed_sweeps(walkers: object, wanted: float, runs: int) -> dict:
    """The time of about so many seconds of sweeps in one call, and how many they are."""

    def sweep(n_sweeps: int) -> None:
        walkers.sweep(n_sweeps)
        walkers.report()  # waits for a GPU

    n = sweeps_in(sweep, wanted)
    return measure(lambda: sweep(n), runs) | {"sweeps": n}


def speed(case: Case, device: str, bit_seconds: float | None, peers: dict, wanted: float, runs: int) -> dict:
    """Sweeps that keep nothing."""
    walkers = walkers_of(case, device)
    method = case.method if case.kernel == "auto" else f"{case.method} ({case.kernel})"
    chains = "1 chain" if case.n_chains == 1 else f"{case.n_chains} chains"
    own = timed_sweeps(walkers, wanted, runs)
    limit = {}
    if bit_seconds and walkers.kernel_name == "bit-sliced":
        states = walkers.draw(1, 1).states[0, :64, 0]
        bits = random_bits.bits_per_update(case.lattice, case.method, states)
        limit = {"limit": "random bits", "limit_seconds": bits * bit_seconds, "bits_per_update": bits}
    work = f"spin update, {method}, {case.title}, {chains}"
    per = own["sweeps"] * case.n_chains * case.lattice.n_sites
    return row(work, own, peers, per=per, kernel=walkers.kernel_name, **limit)


def peer_times(case: Case, device: str, wanted: float, runs: int) -> dict[str, dict]:
    """What an update takes by each peer, and on how many cores."""
    times = {}
    for name, peer in peers_for(case.lattice, device).items():
        run = peer(case.lattice, case.temperature, case.n_chains, device)
        measured = sweep_rate(run, wanted, runs)
        times[name] = {"seconds": 1.0 / (measured.pop("sweeps_per_second") * run(1).size)} | measured
    return times


def speeds(arguments: argparse.Namespace, wanted: float) -> Iterator[dict]:
    """Single flips, each lattice first by the peers."""
    bit_seconds = None
    if arguments.device == "cpu":
        bit = random_bits.random_bit()
        bit_seconds = bit["seconds"]
        yield row("random bit, Philox4x32-10", bit)
    peers: dict[str, dict[str, dict]] = {}
    for case in cases(arguments.device, arguments.quick):
        if case.title not in peers:
            peers[case.title] = peer_times(case, arguments.device, wanted, min(3, arguments.runs))
        yield speed(case, arguments.device, bit_seconds, peers[case.title], wanted, arguments.runs)


def saving(arguments: argparse.Namespace) -> Iterator[dict]:
    """What it costs to keep draws: `ising.sample` against the sweeps alone."""
    n_chains, n_draws, thin = (64, 200, 10) if arguments.device == "cpu" else (16384, 20, 10)
    case = Case("64 x 64", ising.Ising((64, 64)), CRITICAL, n_chains)
    updates = n_draws * thin * n_chains * case.lattice.n_sites
    walkers = walkers_of(case, arguments.device)
    alone = measure(lambda: (walkers.sweep(n_draws * thin), walkers.report()), arguments.runs)

    def sample(keep_states: bool) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StatisticsWarning)  # nothing is burnt in
            ising.sample(
                case.lattice, CRITICAL, n_chains, n_draws, thin, 0, device=arguments.device, keep_states=keep_states
            )

    for what, keep_states in (("states", True), ("energies", False)):
        own = measure(lambda keep_states=keep_states: sample(keep_states), arguments.runs)
        work = f"spin update, 64 x 64, {what} kept every {thin} sweeps"
        yield row(work, own, limit="sweeps alone", limit_seconds=alone["seconds"] / updates, per=updates)


def clusters(arguments: argparse.Namespace, wanted: float) -> Iterator[dict]:
    """Sweeps of cluster algorithms, in equilibrium."""
    for method in CLUSTER:
        for length in CLUSTER_LENGTHS:
            lattice, n_chains = ising.Ising((length, length)), 4 * numba.get_num_threads()
            case = Case(f"{length} x {length}", lattice, CRITICAL, n_chains, method)
            walkers = walkers_of(case, "cpu")
            walkers.burn_in(CLUSTER_BURN_IN)
            own = timed_sweeps(walkers, wanted, arguments.runs)
            work = f"spin update, {method}, {case.title}, {n_chains} chains"
            yield row(work, own, per=own["sweeps"] * n_chains * lattice.n_sites)


def sampling(arguments: argparse.Namespace) -> Iterator[dict]:
    """All rows."""
    wanted = WANTED_QUICK if arguments.quick else WANTED
    yield from speeds(arguments, wanted)
    yield from saving(arguments)
    if arguments.device == "cpu":
        yield from clusters(arguments, wanted)
    yield from independent(arguments, wanted)
