"""Ising kernels on the CPU. The twin of `cuda.py`: same functions, order and arguments."""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen.rng.purpose import ISING_SWEEP

rng = _cpu.formulas("mcgen.rng.formulas")
ising = _cpu.formulas("mcgen.ising.formulas")


@_cpu.kernel
def single_flip_sweeps(
    states,
    draws,
    flips,
    neighbors,
    couplings,
    fields,
    order,
    random_sites,
    betas,
    numbers,
    rule,
    n_sweeps,
    thin,
    first_step,
    key0,
    key1,
):
    """Sweep every chain n_sweeps times with single spin flips, keeping every `thin`-th state.

    One thread takes one chain at a time and all its sweeps, so a chain stays in the cache of its core.

    Parameters
    ----------
    states : int8 (n_chains, n_sites), modified
        The spins, +-1.
    draws : int8 (n_chains, n_draws, n_sites), modified
        Filled with the states after sweeps thin, 2 thin, ...; n_draws may be 0.
    flips : int64 (n_chains,), modified
        The number of flips made is added.
    neighbors, couplings : int32 and float64 (n_sites, n_neighbors)
    fields : float64 (n_sites,)
    order : int32 (n_sites,)
        The sites in the order of a sweep.
    random_sites : bool
        If true, a sweep is n_sites choices of a random site instead.
    betas : float64 (n_chains,)
        1 / temperature of every chain.
    numbers : uint32 (n_chains,)
        Of the chains in the random streams.
    rule : int
        METROPOLIS or HEAT_BATH of formulas.py.
    n_sweeps, thin : int
    first_step : int
        Number of sweeps made before: the random numbers of sweep k have step first_step + k.
    key0, key1 : uint32
        The seed.
    """
    n_sites = states.shape[1]
    # One word decides an update; where sites are random, another one before it picks the site.
    words_for_each = 2 if random_sites else 1
    for chain in prange(states.shape[0]):
        state = states[chain]
        beta = betas[chain]
        words = np.empty((words_for_each * n_sites + 3) // 4 * 4, np.uint32)
        n_flips = 0
        for sweep in range(n_sweeps):
            rng.fill_stream(words, 0, first_step + sweep, numbers[chain], ISING_SWEEP, key0, key1)
            for update in range(n_sites):
                if random_sites:
                    site = rng.pick_below(words[2 * update], n_sites)
                    word = words[2 * update + 1]
                else:
                    site = np.int64(order[update])
                    word = words[update]
                h = ising.local_field(state, site, neighbors, couplings, fields)
                if rng.uniform(word) < ising.flip_probability(rule, state[site], h, beta):
                    state[site] = -state[site]
                    n_flips += 1
            draw = (sweep + 1) // thin - 1
            if draws.shape[1] > 0 and (sweep + 1) % thin == 0:
                for site in range(n_sites):
                    draws[chain, draw, site] = state[site]
        flips[chain] += n_flips
