"""What one independent configuration of the square lattice costs at its critical temperature.

A sampler needs tau sweeps for draws that are worth one independent one, tau = 1 + 2 sum_t rho(t) with rho the
autocorrelation of the energy or of |magnetisation|, whichever is longer (mcgen.stats.integrated_time). Chains start in
equilibrium, by Swendsen-Wang sweeps; errors are those of the mean over groups of chains. The time of a sweep is taken
with as many chains as fill the machine, so that the product is the time of all of its cores.

Where single flips would need minutes, tau is extrapolated as L^z from the largest lattice that is measured, with
z = 2.1665(12) of Nightingale & Blote, Phys. Rev. Lett. 76, 4548 (1996).
"""

import argparse
import math
from collections.abc import Iterator

import numba
import numpy as np

from benchmark_parts.measuring import autocorrelation_time, measure, scaled, sweeps_in
from benchmark_parts.rows import of_samplers
from mcgen import backend, ising
from mcgen.ising.bit_sliced.layout import layout
from mcgen.ising.methods import CLUSTER, SINGLE_FLIP, make_walkers

CRITICAL = 2 / math.log(1 + math.sqrt(2))
DYNAMIC_EXPONENT = 2.1665

LENGTHS, LENGTHS_QUICK = (16, 32, 64, 128, 256), (16, 32)
# Where single flips are still measured: half a minute.
LARGEST_MEASURED = 128
N_CHAINS, N_CHAINS_LARGE, LARGE = 64, 32, 128
N_DRAWS, N_DRAWS_QUICK = 2000, 1000
GROUPS = 8
BURN_IN = 200


def times(lattice: ising.Ising, method: str, n_chains: int, n_draws: int, thin: int, device: str) -> dict[str, float]:
    """Autocorrelation times of a sampler in sweeps, with errors."""
    start = next(ising.stream(lattice, CRITICAL, n_chains, 1, 1, BURN_IN, "swendsen-wang", seed=1)).states[:, 0]
    # Wolff's sweeps learn during burn-in how many clusters they are.
    burn_in = BURN_IN if method == "wolff" else 0
    blocks = list(
        ising.stream(
            lattice, CRITICAL, n_chains, n_draws, thin, burn_in, method, 2, device, initial=start, keep_states=False
        )
    )
    energy = np.concatenate([block.energy for block in blocks], axis=1)
    magnetization = np.concatenate([block.magnetization for block in blocks], axis=1)
    found = {}
    for name, series in (("energy", energy), ("abs_magnetization", np.abs(magnetization))):
        found[f"tau_{name}"], found[f"tau_{name}_error"] = autocorrelation_time(series, thin, GROUPS)
    return found


def extrapolated(row: dict[str, float], ratio: float) -> dict[str, float | bool]:
    """The autocorrelation time of |magnetisation| on a lattice that is longer by a factor."""
    names = ("tau_abs_magnetization", "tau_abs_magnetization_error")
    return {name: row[name] * ratio**DYNAMIC_EXPONENT for name in names} | {"extrapolated": True}


def seconds_per_sweep(lattice: ising.Ising, method: str, device: str, wanted: float, runs: int) -> dict:
    """The time of a sweep of one chain where chains fill the machine."""
    threads = numba.get_num_threads() if device == "cpu" else 1024
    n_chains = 4 * threads * (1 if method in CLUSTER else layout(lattice).chains_per_group)
    states = np.random.default_rng(3).choice(np.array([-1, 1], np.int8), size=(1, n_chains, lattice.n_sites))
    walkers = make_walkers(lattice, np.array([CRITICAL]), states, method, 4, backend.target(device))
    walkers.burn_in(BURN_IN)

    def sweep(n_sweeps: int) -> None:
        walkers.sweep(n_sweeps)
        walkers.report()  # waits for a GPU

    n = sweeps_in(sweep, wanted)
    return scaled(measure(lambda: sweep(n), runs), 1.0 / (n * n_chains))


def independent(arguments: argparse.Namespace, wanted: float) -> Iterator[dict]:
    """A row for each lattice: what the quickest sampler takes, the others beside it as peers."""
    methods = (*SINGLE_FLIP, *CLUSTER) if arguments.device == "cpu" else SINGLE_FLIP
    measured: dict[str, tuple[int, dict[str, float]]] = {}
    for length in LENGTHS_QUICK if arguments.quick else LENGTHS:
        lattice = ising.Ising((length, length))
        samplers = {}
        for method in methods:
            if method in SINGLE_FLIP and length > LARGEST_MEASURED:
                last, known = measured[method]
                found = extrapolated(known, length / last)
            else:
                n_chains = N_CHAINS if length < LARGE else N_CHAINS_LARGE
                n_draws = N_DRAWS_QUICK if arguments.quick else N_DRAWS
                thin = max(1, length**2 // 64) if method in SINGLE_FLIP else 1
                tau = times(lattice, method, n_chains, n_draws, thin, arguments.device)
                found = tau | {"extrapolated": False}
                measured[method] = length, tau
            sweep = seconds_per_sweep(lattice, method, arguments.device, wanted, arguments.runs)
            samplers[method] = of_sampler(found, sweep)
        yield of_samplers(f"independent configuration, {length} x {length}", samplers)


def of_sampler(found: dict, sweep: dict) -> dict:
    """What an independent configuration takes, from the autocorrelation times and the time of a sweep."""
    tau = max(found["tau_abs_magnetization"], found.get("tau_energy", 0.0))
    return scaled(sweep, tau) | {"seconds_per_sweep": sweep["seconds"]} | found
