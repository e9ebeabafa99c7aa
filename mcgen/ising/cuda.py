"""Ising kernels on a GPU. The twin of `cpu.py`: same functions, order and arguments, described there."""

from mcgen import _cuda
from mcgen._cuda import cuda
from mcgen.rng.purpose import ISING_SWEEP

rng = _cuda.formulas("mcgen.rng.formulas")
ising = _cuda.formulas("mcgen.ising.formulas")


@_cuda.kernel
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

    One lane takes one chain and all its sweeps: one launch for many sweeps.
    """
    chain = cuda.grid(1)
    if chain >= states.shape[0]:
        return
    n_sites = states.shape[1]
    state = states[chain]
    beta = betas[chain]
    n_flips = 0
    for sweep in range(n_sweeps):
        step = first_step + sweep
        updates = 2 if random_sites else 4
        for block in range((n_sites + updates - 1) // updates):
            words = rng.philox4x32(block, step, numbers[chain], ISING_SWEEP, key0, key1)
            for index in range(min(updates, n_sites - updates * block)):
                if random_sites:
                    site = rng.pick_below(rng.pick_word(words, 2 * index), n_sites)
                    word = rng.pick_word(words, 2 * index + 1)
                else:
                    site = order[updates * block + index]
                    word = rng.pick_word(words, index)
                h = ising.local_field(state, site, neighbors, couplings, fields)
                if rng.uniform(word) < ising.flip_probability(rule, state[site], h, beta):
                    state[site] = -state[site]
                    n_flips += 1
        draw = (sweep + 1) // thin - 1
        if draws.shape[1] > 0 and (sweep + 1) % thin == 0:
            for site in range(n_sites):
                draws[chain, draw, site] = state[site]
    flips[chain] += n_flips
