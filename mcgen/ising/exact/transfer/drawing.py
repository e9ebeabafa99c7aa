"""Independent states by the transfer matrix: the sum is taken forwards, and the spins are drawn going backwards."""

import math
from collections.abc import Iterator

import numpy as np

from mcgen import checks, rng
from mcgen.ising.exact.transfer import formulas
from mcgen.ising.exact.transfer.steps import Step, checked, values_of_bits
from mcgen.ising.exact.transfer.sums import Sweep
from mcgen.ising.lattice import Ising
from mcgen.progress import progress as progress_bar
from mcgen.rng.purpose import ISING_EXACT

# Sampling keeps some vectors on the way: see SAMPLE_MEMORY.
MOST_SAMPLE_BITS = 24
# Bytes of the vectors that sampling stores, about.
SAMPLE_MEMORY = 1 << 30
BYTES_OF_WEIGHT = 16
# Samples that are drawn together in NumPy: bounds the memory of their terms.
DRAWS_AT_ONCE = 1 << 16


def _backwards(
    sweep: Sweep, first: int, last: int, start: tuple[np.ndarray, np.ndarray], memory: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The weights before each of the steps first ... last - 1, from the last one to the first.

    Where they do not fit in `memory` bytes together, some are kept on the way and the others computed again from them.
    """
    sizes = [BYTES_OF_WEIGHT << sweep.steps[k].bits for k in range(first, last - 1)]
    sweep.set(first, *start)
    if sum(sizes) <= memory or last - first <= 2:
        stored = [start]
        for _ in sizes:
            sweep.advance()
            stored.append(sweep.weights())
        while stored:
            mantissas, exponents = stored.pop()
            yield first + len(stored), mantissas[0], exponents[0]
        return
    n_pieces = min(max(2, memory // (2 * max(sizes))), math.isqrt(last - first - 1) + 1)
    ends = [first + (last - first) * piece // n_pieces for piece in range(n_pieces + 1)]
    stored = [start]
    for k in range(first, ends[-2]):
        sweep.advance()
        if k + 1 in ends:
            stored.append(sweep.weights())
    while stored:
        piece = stored.pop()
        yield from _backwards(sweep, ends[len(stored)], ends[len(stored) + 1], piece, memory // 2)


def sample(
    lattice: Ising, temperature: float, n_draws: int, seed: int, device: str = "cpu", progress: bool = False
) -> np.ndarray:
    """Independent states from the Boltzmann distribution, exactly: no Markov chain, no burn-in.

    The sum is taken forwards and its vectors are kept. Going backwards, the spins that left the frontier in a step are
    drawn given the frontier after it, in proportion to the terms that were summed.

    Parameters
    ----------
    lattice : Ising
        With a frontier of at most 24 sites.
    temperature : float
        T in units of energy, above 0.
    n_draws : int
    seed : int
        0 to 2**64 - 1.
    device : {"cpu", "cuda"}
        Where the sum is taken.
    progress : bool
        Show progress on standard error.

    Returns
    -------
    int8 (n_draws, *lattice.shape)
        Spins +-1. The same seed gives the same states for any number of threads, and draw k does not depend on n_draws.

    Raises
    ------
    InputError
        If an argument is out of range.
    SizeError
        If the frontier has more than 24 sites.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.ising.exact import transfer
    >>> states = transfer.sample(ising.Ising((8, 8)), temperature=2.269, n_draws=1000, seed=1)
    >>> states.shape, abs(float(ising.Ising((8, 8)).energy(states).mean()) / 64 + 1.4918) < 0.02
    ((1000, 8, 8), True)
    """
    n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
    rng.split_seed(seed)
    temperature, steps = checked(lattice, temperature, MOST_SAMPLE_BITS)
    sweep = Sweep(steps, temperature, device)
    spins = np.empty((n_draws, lattice.n_sites), np.int8)
    states = np.zeros(n_draws, np.int64)  # of the frontier; nothing is left of it after the last step
    start = (np.ones((1, 1)), np.zeros((1, 1), np.int64))
    with progress_bar(len(steps), f"samples at T={temperature:g}", progress) as bar:
        for k, mantissas, exponents in _backwards(sweep, 0, len(steps), start, SAMPLE_MEMORY):
            if steps[k].leaving.size:
                u = rng.fine_uniforms(seed, ISING_EXACT, n_draws, 1, step=k)
            else:
                u = np.zeros((n_draws, 1))
            for first in range(0, n_draws, DRAWS_AT_ONCE):
                some = slice(first, first + DRAWS_AT_ONCE)
                states[some] = _draw_step(
                    spins[some], states[some], steps[k], mantissas, exponents, 1.0 / temperature, u[some]
                )
            bar.update(1)
    return spins.reshape(n_draws, *lattice.shape)


def _draw_step(
    spins: np.ndarray,
    states: np.ndarray,
    step: Step,
    mantissas: np.ndarray,
    exponents: np.ndarray,
    beta: float,
    u: np.ndarray,
) -> np.ndarray:
    """Draw the spins that leave in a step given the frontier after it, and return the frontier before it."""
    full = formulas.spread_bits(states, step.leaving)
    if step.leaving.size == 0:
        return full >> 1
    offsets = values_of_bits(step.leaving)
    full = full[:, None] | offsets
    entries = formulas.step_entry(full, step.neighbor_bits)
    # Logarithms, without a common exponent: the terms of the sum differ by far more than floating point can hold.
    exponent = exponents[full >> 1]
    highest = exponent.max(axis=1, keepdims=True)
    logs = np.log(mantissas[full >> 1]) + (exponent - highest) * math.log(2) - beta * step.energies[entries]
    terms = np.cumsum(np.exp(logs - logs.max(axis=1, keepdims=True)), axis=1)
    choice = (u * terms[:, -1:] >= terms[:, :-1]).sum(axis=1)
    for k, site in enumerate(step.leaving_sites):
        spins[:, site] = 2 * ((choice >> k) & 1) - 1
    return np.take_along_axis(full, choice[:, None], axis=1)[:, 0] >> 1
