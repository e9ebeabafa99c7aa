"""Replica exchange whatever is sampled: the decision to swap, who is where on a ladder, and how to space a ladder.

A ladder is a sequence of distributions p_0 ... p_{R-1}, each with its own Markov chain at a state x_r. Neighbours swap
their states with the probability

    min(1, p_r(x_s) p_s(x_r) / (p_r(x_r) p_s(x_s))),

which leaves the product of all p_r as it is (Geyer (1991); Hukushima & Nemoto, J. Phys. Soc. Japan 65, 1604 (1996)). In
turn, the pairs that begin with an even and with an odd place are tried, so that no state is in two pairs.
"""

import math

import numpy as np
from scipy.special import erfcinv

from mcgen.parallel import ALONE, World

# Where a ladder may be adapted, places are added until every pair swaps at least so often.
SWAP_RATE = 0.25
# A ladder is not refined once its rates, which are measured, are within this of the goal.
TOLERANCE = 0.9
# Rates below this are not measured, but follow from the distance.
SMALLEST_MEASURED = 1e-3

# The ends of the ladder that a replica was at.
NONE, FIRST, LAST = range(3)


def swap_probability(log_ratios: np.ndarray) -> np.ndarray:
    """min(1, e^x) of the log ratios x = log p_r(x_s) + log p_s(x_r) - log p_r(x_r) - log p_s(x_s).

    Parameters
    ----------
    log_ratios : float64, any shape

    Returns
    -------
    float64, the same shape

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import replicas
    >>> replicas.swap_probability(np.array([2.0, -2.0])).round(6).tolist()
    [1.0, 0.135335]
    """
    return np.exp(np.minimum(0.0, log_ratios))


def parts(rate: float, distance: float, swap_rate: float) -> int:
    """Into how many parts the interval between two places is to be divided, so that neighbours swap often enough.

    Where the log ratio is normally distributed, its mean is -D and its variance 2 D, with D the sum of the two
    Kullback-Leibler divergences of the two distributions, and the rate is erfc(x) with x = sqrt(D) / 2, which is
    proportional to the distance of the two places (Predescu et al., J. Phys. Chem. B 109, 4189 (2005)).

    Parameters
    ----------
    rate : float
        That was measured, the mean of the swap probability.
    distance : float
        D, minus the mean log ratio: it stands in for rates that are too small to be measured.
    swap_rate : float
        To reach, between 0 and 1.

    Returns
    -------
    int
        1 where the rate is high enough.

    Examples
    --------
    >>> from mcgen import replicas
    >>> replicas.parts(0.5, 1.0, swap_rate=0.25), replicas.parts(0.01, 13.0, swap_rate=0.25)
    (1, 3)
    """
    if rate >= TOLERANCE * swap_rate:
        return 1
    x = float(erfcinv(rate)) if rate > SMALLEST_MEASURED else 0.5 * math.sqrt(max(0.0, distance))
    return max(2, math.ceil(x / float(erfcinv(swap_rate))))


class Replicas:
    """Which replica is at which place of the ladder, in each of several independent chains, and what was counted.

    Parameters
    ----------
    n_places, n_chains : int

    Attributes
    ----------
    n_rounds : int
        Rounds of swaps made; the pairs of the next one begin with the place n_rounds % 2.
    n_counted : int
        Those since the counts began.
    round_trips : int
        How often a replica went from the first place to the last and back, summed over all chains.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.replicas import Replicas
    >>> replicas = Replicas(n_places=2, n_chains=3)
    >>> replicas.pairs()
    array([0])
    >>> replicas.swap(np.array([[0.1, 0.5, 0.9]]), np.array([[0.5], [0.5], [0.5]])).tolist()
    [[False, False, True]]
    >>> replicas.swap_rates().round(3).tolist()
    [0.333]
    """

    KEPT = ("n_rounds", "n_counted", "round_trips", "_replica_at", "_last_end", "_accepted", "_attempted")

    def __init__(self, n_places: int, n_chains: int):
        self.n_rounds = 0
        self._replica_at = np.repeat(np.arange(n_places)[:, None], n_chains, axis=1)
        self._last_end = np.full((n_places, n_chains), NONE)
        self._chains = np.arange(n_chains)
        self.restart_counts()

    def restart_counts(self) -> None:
        """Count swaps and round trips from here on; replicas stay where they are, and remember the last end."""
        n_pairs = len(self._replica_at) - 1
        self._accepted, self._attempted = np.zeros(n_pairs), np.zeros(n_pairs)
        self.round_trips = 0
        self.n_counted = 0

    def pairs(self) -> np.ndarray:
        """The lower places of the pairs (place, place + 1) whose turn it is: int64, shape (n_pairs,)."""
        return np.arange(self.n_rounds % 2, len(self._replica_at) - 1, 2)

    def swap(self, probabilities: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """Decide on the swaps of a round, and note them.

        Parameters
        ----------
        probabilities : float64, shape (n_pairs, n_chains)
            Of the swaps of `pairs()`.
        uniforms : float64, shape (n_chains, n_places - 1)
            Random numbers, one for each pair of neighbours, whosever turn it is.

        Returns
        -------
        bool, shape (n_pairs, n_chains)
            Which of the pairs swap.
        """
        lower = self.pairs()
        accepted = uniforms.T[lower] < probabilities
        left, right = self._replica_at[lower], self._replica_at[lower + 1]
        self._replica_at[lower] = np.where(accepted, right, left)
        self._replica_at[lower + 1] = np.where(accepted, left, right)
        self._accepted[lower] += accepted.sum(axis=1)
        self._attempted[lower] += 1
        self.n_rounds += 1
        self.n_counted += 1
        first, last, chains = self._replica_at[0], self._replica_at[-1], self._chains
        self.round_trips += int((self._last_end[first, chains] == LAST).sum())
        self._last_end[first, chains] = FIRST
        been_first = self._last_end[last, chains] == FIRST
        self._last_end[last[been_first], chains[been_first]] = LAST
        return accepted

    def swap_rates(self, world: World = ALONE) -> np.ndarray:
        """The fraction of attempted swaps that was made; NaN before the first: float64, shape (n_places - 1,).

        Of the chains of all ranks of the world, which have made as many rounds.
        """
        accepted, n_chains = world.total(self._accepted.astype(np.int64)), world.total(np.array(len(self._chains)))
        with np.errstate(invalid="ignore"):
            return accepted / (self._attempted * n_chains)
