"""Walkers whose spins are bits: single spin flips, 512 at a time."""

from types import ModuleType

import numba
import numpy as np

from mcgen import parallel, rng
from mcgen.formulas import exp_negative, sigmoid
from mcgen.ising.bit_sliced.formulas import DIGITS, VECTORS_AT_ONCE
from mcgen.ising.bit_sliced.layout import HALVES, WORDS, layout
from mcgen.ising.lattice import Ising
from mcgen.ising.walkers import Draws, flip_rate
from mcgen.parallel import ALONE, Part, World

# From this many blocks of vectors in one colour on, it pays that all threads share a lattice.
BLOCKS_TO_SHARE = 32
# Lanes that one block of a GPU works on.
LANES_TOGETHER = 256


def class_probabilities(method: str, strength: float, temperature: float) -> list[float]:
    """The probabilities p_1, p_2, p_3 that a spin turns against its neighbours, at the cost of 4 m |J|.

    Metropolis: p_m = e^{-4 m |J| / T}; heat bath: p_m = 1 / (1 + e^{4 m |J| / T}).

    Parameters
    ----------
    method : {"metropolis", "heatbath"}
    strength, temperature : float
        |J| and T in units of energy.

    Returns
    -------
    list of three float

    Examples
    --------
    >>> from mcgen.ising.bit_sliced.walkers import class_probabilities
    >>> [round(p, 6) for p in class_probabilities("heatbath", 1.0, 2.0)]
    [0.119203, 0.017986, 0.002473]
    """
    costs = [4.0 * m * strength / temperature for m in (1, 2, 3)]
    if method == "metropolis":
        # Not `metropolis_acceptance`, which is 1/2 for a cost that cannot be told from 0: here the way back is certain.
        return [float(exp_negative(-cost)) for cost in costs]
    return [float(sigmoid(-cost)) for cost in costs]


def binary_digits(probability: float) -> np.ndarray:
    """The digits of a probability in base 2, the first after the point first, as words of equal bits: uint64 (32,).

    Rounded to the nearest multiple of 2^-32; the largest is 1 - 2^-32.
    """
    number = min(round(probability * 2.0**DIGITS), 2**DIGITS - 1)
    digits = [(number >> (DIGITS - 1 - k)) & 1 for k in range(DIGITS)]
    return np.where(digits, ~np.uint64(0), np.uint64(0))


class BitSlicedWalkers:
    """Single spin flips in checkerboard order, on lattices without `layout.obstacle`.

    The parameters and methods are those of `mcgen.ising.walkers.SpinWalkers`.
    """

    kernel_name = "bit-sliced"
    KEPT = ("_words", "_flips", "_n_sweeps")  # see `mcgen.states`
    updates_per_second = 3e9

    def __init__(
        self,
        lattice: Ising,
        temperatures: np.ndarray,
        states: np.ndarray,
        method: str,
        seed: int,
        target: ModuleType,
        part: Part | None = None,
    ):
        self._lattice = lattice
        self._layout = layout(lattice)
        self._n_temperatures, self._n_chains = states.shape[:2]
        self._target = target
        self._kernel = target.kernels("ising.bit_sliced").bit_sliced_sweeps
        self._strength = float(np.abs(lattice.coupling.flat[0]))
        # Every temperature has groups of its own.
        self._groups_each = self._layout.n_groups(self._n_chains)
        part = part or parallel.whole(self._n_chains)
        per_group = self._layout.chains_per_group
        groups = Part(part.first // per_group, self._layout.n_groups(part.n_all))
        words = np.concatenate([self._layout.pack(one > 0) for one in states])
        n_groups = len(words)
        used = np.concatenate([self._layout.lanes_of(np.ones(self._n_chains, bool))] * self._n_temperatures)
        digits = np.repeat(
            [
                np.concatenate([binary_digits(p) for p in class_probabilities(method, self._strength, temperature)])
                for temperature in temperatures
            ],
            self._groups_each,
            axis=0,
        )
        neighbors, moves = self._layout.neighbors
        n_blocks = -(-self._layout.n_vectors // (2 * VECTORS_AT_ONCE))
        shared = n_groups < numba.get_num_threads() and n_blocks >= BLOCKS_TO_SHARE
        self._words = self._words_to_device(words)
        self._flips = target.to_device(np.zeros(n_groups, np.int64))
        self._model = (
            self._words_to_device(used),
            target.to_device(neighbors),
            target.to_device(moves),
            self._words_to_device(self._layout.signs),
            target.to_device(self._layout.order),
            target.to_device(self._layout.first_sites),
            target.to_device(digits.astype(target.BITS_DTYPE)),
            target.to_device(groups.numbers(self._n_temperatures, self._groups_each).ravel()),
            target.BITS_DTYPE(0 if method == "metropolis" else np.iinfo(target.BITS_DTYPE).max),
            self._layout.strips,
            self._layout.half_strips,
            self._layout.shape[-1],
            self._n_chains,
            shared,
        )
        together = max(1, LANES_TOGETHER // (HALVES * n_blocks))
        self._n_items, self._width = -(-n_groups // together), HALVES * n_blocks * together
        self._key = rng.split_seed(seed)
        self._n_sweeps = 0

    def burn_in(self, n_sweeps: int) -> None:
        """Sweep every chain before the first draw. May be called several times."""
        self.sweep(n_sweeps)

    def sweep(self, n_sweeps: int) -> None:
        """Sweep every chain."""
        self._advance(n_sweeps, 0, 1, False)

    def draw(self, n_draws: int, thin: int, keep_states: bool = True) -> Draws:
        """Sweep every chain n_draws * thin times, keeping every `thin`-th state."""
        states, satisfied, up = self._advance(n_draws * thin, n_draws, thin, keep_states)
        n_bonds = self._lattice.n_dims * self._lattice.n_sites
        return Draws(states, self._strength * (n_bonds - 2.0 * satisfied), 2 * up - self._lattice.n_sites)

    def exchange(self, level: int, accepted: np.ndarray) -> None:
        """Swap the configurations of two neighbouring temperatures, `level` and level + 1, in the chains accepted."""
        lanes = self._layout.lanes_of(accepted)
        words = (
            self._target.to_host(self._words)
            .view(np.uint64)
            .reshape(self._n_temperatures, self._groups_each, -1, WORDS)
        )
        different = (words[level] ^ words[level + 1]) & lanes[:, None, :]
        words[level] ^= different
        words[level + 1] ^= different
        self._words = self._words_to_device(words.reshape(-1, *words.shape[2:]))

    def report(self, world: World = ALONE) -> dict[str, np.ndarray]:
        """Averages over all sweeps, at each temperature: flip_rate, flips per site and sweep."""
        flips = self._target.to_host(self._flips).reshape(self._n_temperatures, -1).sum(axis=1)
        return flip_rate(flips, self._n_chains, self._lattice.n_sites * max(1, self._n_sweeps), world)

    def _words_to_device(self, words: np.ndarray) -> object:
        return self._target.to_device(np.ascontiguousarray(words).view(self._target.BITS_DTYPE))

    def _advance(self, n_sweeps: int, n_draws: int, thin: int, keep_states: bool) -> tuple[np.ndarray, ...]:
        """States, satisfied bonds and spins that are up, of every temperature, chain and draw."""
        n_rows = self._n_temperatures * self._n_chains
        n_sites = self._lattice.n_sites if keep_states else 0
        states = self._target.to_device(np.empty((n_rows, n_draws, n_sites), np.int8))
        counts = [self._target.to_device(np.zeros((n_rows, n_draws), np.int64)) for _ in range(2)]
        self._target.launch(
            self._kernel,
            self._n_items,
            self._width,
            self._words,
            states,
            *counts,
            self._flips,
            *self._model,
            n_sweeps,
            thin,
            np.int64(self._n_sweeps),
            *self._key,
        )
        self._n_sweeps += n_sweeps
        arrays = [self._target.to_host(array) for array in (states, *counts)]
        return tuple(array.reshape(self._n_temperatures, self._n_chains, *array.shape[1:]) for array in arrays)
