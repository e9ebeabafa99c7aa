"""Gibbs or Metropolis: what one effective sample of an RBM costs by each of the two samplers.

The model is the Ising model on a square lattice above its critical temperature, written as an RBM of spins with one
hidden unit for each bond: 2 cosh(w (s + s')) is proportional to e^{s s'/T} where cosh 2w = e^{2/T}. The visible units
are the spins, and the free energy F(v) is the lattice's energy divided by T, up to a constant.

A sampler needs tau sweeps for draws that are worth one independent one (mcgen.stats.integrated_time), with tau that of
the free energy or of the sum of the visible units, whichever is longer; errors are those of the mean over groups of
chains. The time of a sweep is taken with as many chains as fill the machine.
"""

import argparse
import math
from collections.abc import Iterator

import numpy as np

from benchmark_parts.alternating import take_turns
from benchmark_parts.measuring import autocorrelation_time, scaled
from benchmark_parts.rbm_peers import mcgen_sweeps
from benchmark_parts.rows import of_samplers
from mcgen import ising, rbm

LENGTH, TEMPERATURE = 8, 3.0
N_CHAINS, N_DRAWS, N_DRAWS_QUICK = 64, 4000, 1000
# Sweeps between draws, a small part of tau, and draws that are left out first.
THIN = {"gibbs": 4, "metropolis": 1}
BURN_IN = 200
GROUPS = 8
N_CHAINS_TIMED, N_CHAINS_TIMED_QUICK = 1024, 256


def machine_of(lattice: ising.Ising, temperature: float) -> rbm.RBM:
    """The Ising model with J = 1 as an RBM, float32: visible unit i is spin i, and a hidden unit is a bond."""
    neighbors, _ = lattice.neighbor_table
    bonds = np.arange(lattice.n_dims * lattice.n_sites)
    weights = np.zeros((lattice.n_sites, len(bonds)), np.float32)
    for ends in (np.repeat(np.arange(lattice.n_sites), lattice.n_dims), neighbors[:, ::2].ravel()):
        weights[ends, bonds] = math.acosh(math.exp(2.0 / temperature)) / 2.0
    biases = (np.zeros(n, np.float32) for n in weights.shape)
    return rbm.RBM(weights, *biases, visible="spin", hidden="spin")


def times(model: rbm.RBM, method: str, n_draws: int, device: str) -> dict[str, float]:
    """Autocorrelation times in sweeps, with errors."""
    thin = THIN[method]
    samples = rbm.sample(model, N_CHAINS, n_draws, thin, BURN_IN * thin, method, seed=2, device=device)
    found = {}
    for name, series in (("free_energy", samples.free_energy), ("visible_sum", samples.states.sum(axis=2, dtype=int))):
        found[f"tau_{name}"], found[f"tau_{name}_error"] = autocorrelation_time(series, thin, GROUPS)
    return found


def effective(arguments: argparse.Namespace, wanted: float) -> Iterator[dict]:
    """One row: what an effective sample costs by the quicker sampler, the other beside it as a peer."""
    quick, device = arguments.quick, arguments.device
    model = machine_of(ising.Ising((LENGTH, LENGTH)), TEMPERATURE)
    n_chains = N_CHAINS_TIMED_QUICK if quick else N_CHAINS_TIMED
    timed = take_turns(
        {method: {method: mcgen_sweeps(model, n_chains, device, method)} for method in THIN}, wanted, arguments.runs
    )
    samplers = {}
    for method in THIN:
        found = times(model, method, N_DRAWS_QUICK if quick else N_DRAWS, device)
        tau = max(found["tau_free_energy"], found["tau_visible_sum"])
        sweep = scaled({"seconds": timed[method].seconds, "quartiles": timed[method].quartiles}, 1.0 / n_chains)
        more = {"runs": arguments.runs, "seconds_per_sweep": sweep["seconds"]}
        samplers[method] = found | scaled(sweep, tau) | more
    yield of_samplers(f"effective sample of an RBM, {LENGTH} x {LENGTH} lattice at T = {TEMPERATURE:g}", samplers)
