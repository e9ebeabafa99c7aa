"""The distributions of free energy and magnetisation over data and samples, and how far they are apart."""

import math
from typing import NamedTuple

import numpy as np

from mcgen import checks, rng, stats
from mcgen.errors import InputError
from mcgen.rbm.model import RBM, free_energy_of_rows
from mcgen.stats import Estimate

# Blocks of draws that are resampled for the errors of distances, and from how many chains on these are the blocks.
MOST_BLOCKS, ENOUGH_CHAINS = 128, 32
# Bins of the histograms of values that are not few.
N_BINS = 50


class Comparison(NamedTuple):
    """The distribution of one quantity over data and over samples.

    edges : float64, shape (n_bins + 1,)
        The bins of both histograms.
    data, samples : Estimate of shape (n_bins,)
        The fraction of rows in each bin.
    distance : Estimate
        The Wasserstein-1 distance: the mean distance by which one distribution has to be moved to become the other.
    expected : float
        What the distance would be on average if both had one distribution, for so many rows: never 0.
    p_value : float
        The probability of so large a distance if both had one distribution, to the resolution of the resamples.
    """

    edges: np.ndarray
    data: Estimate
    samples: Estimate
    distance: Estimate
    expected: float
    p_value: float


def histograms(
    model: RBM, data: np.ndarray, samples: object, n_resamples: int = 400, seed: int = 0, device: str = "cpu"
) -> dict[str, Comparison]:
    """Histograms of the free energy and the magnetisation of data and samples, and how far they are apart.

    W_1 = int |P_data(x) - P_samples(x)| dx, with P the cumulative distributions. Its error, and its mean where both are
    of one distribution, are those of a bootstrap over blocks: whole chains, or, where these are few, pieces of chains
    longer than the autocorrelation time.

    Parameters
    ----------
    model : RBM
    data : array, shape (n_rows, n_visible)
        Independent rows.
    samples : Samples, or array of shape (n_chains, n_draws, n_visible) or (n_rows, n_visible)
    n_resamples : int
    seed : int
        0 to 2**64 - 1, of the resamples.
    device : {"cpu", "cuda"}

    Returns
    -------
    dict of Comparison
        "free_energy", F(v), and "magnetization", the sum of a state.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not a state of the visible units, or there are fewer than 2 rows of either.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If the chains are too short for an error.

    References
    ----------
    Efron, Ann. Statist. 7, 1 (1979); Kuensch, Ann. Statist. 17, 1217 (1989), for blocks. Ramdas, Trillos & Cuturi,
    Entropy 19, 47 (2017), for W_1 between samples.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.evaluation import histograms
    >>> model = rbm.RBM.random(n_visible=12, n_hidden=3, seed=1, scale=1.0)
    >>> data, samples = (rbm.exact.sample(model, n_draws=2000, seed=k) for k in (1, 2))
    >>> free_energy = histograms(model, data, samples)["free_energy"]
    >>> free_energy.distance.value < 3 * free_energy.expected, free_energy.p_value > 0.001
    (True, True)
    """
    n_resamples = checks.integer("n_resamples", n_resamples, 2)
    tables = []
    for name, states in (("data", data), ("samples", getattr(samples, "states", samples))):
        states = model.check_visible(states, name, exact_states=True)
        if states.ndim not in (2, 3) or states[..., 0].size < 2:
            raise InputError(
                f"{name} has shape {states.shape}; give at least two rows, shape (n_rows, {model.n_visible}) or "
                f"(n_chains, n_draws, {model.n_visible})"
            )
        tables.append(states if states.ndim == 3 else states[None])
    series = {"free_energy": [], "magnetization": []}
    for states in tables:
        rows = states.reshape(-1, model.n_visible)
        series["free_energy"].append(free_energy_of_rows(model, rows, device).reshape(states.shape[:2]))
        series["magnetization"].append(states.sum(axis=2, dtype=np.float64))
    return {name: _compare(*both, n_resamples, rng.derive(seed, k)) for k, (name, both) in enumerate(series.items())}


def _compare(data: np.ndarray, samples: np.ndarray, n_resamples: int, seed: int) -> Comparison:
    """Compare two series, (n_chains, n_draws)."""
    both = np.concatenate([data.ravel(), samples.ravel()])
    order = np.argsort(both, kind="stable")
    gaps = np.diff(both[order])
    edges = _edges(both)
    n_bins = len(edges) - 1
    in_data = np.arange(len(both)) < data.size
    bins = np.clip(np.searchsorted(edges, both, side="right") - 1, 0, n_bins - 1) + np.where(in_data, 0, n_bins)

    def difference(weights: np.ndarray) -> np.ndarray:
        """That of the cumulative distributions between values, from weights of rows, negative ones of samples."""
        return np.cumsum(weights[order])[:-1]

    def distance(differences: np.ndarray) -> float:
        """W_1."""
        return float(np.sum(np.abs(differences) * gaps))

    def fractions(weights: np.ndarray) -> np.ndarray:
        """The histograms of data and of samples."""
        return np.bincount(bins, np.abs(weights), 2 * n_bins).reshape(2, n_bins)

    plain = np.where(in_data, 1.0 / data.size, -1.0 / samples.size)
    observed = difference(plain)
    blocks = [_block_numbers(series) for series in (data, samples)]
    draws = [_resamples(one, n_resamples, rng.derive(seed, k)) for k, one in enumerate(blocks)]
    # n resampled blocks vary by (n - 1) / n too little.
    fewest = min(len(one[0]) for one in draws)
    inflation = math.sqrt(fewest / (fewest - 1))
    distances, null, histograms = [], [], []
    for times in zip(*draws, strict=True):
        of_data, of_samples = (its[number] for its, number in zip(times, blocks, strict=True))
        weights = np.concatenate([of_data / of_data.sum(), -of_samples / of_samples.sum()])
        resampled = difference(weights)
        distances.append(distance(resampled))
        null.append(inflation * distance(resampled - observed))
        histograms.append(fractions(weights))
    errors = inflation * np.std(histograms, axis=0, ddof=1)
    value = distance(observed)
    return Comparison(
        edges,
        *(Estimate(*pair, math.nan, math.nan) for pair in zip(fractions(plain), errors, strict=True)),
        Estimate(value, inflation * float(np.std(distances, ddof=1)), math.nan, math.nan),
        float(np.mean(null)),
        float((1 + np.count_nonzero(np.array(null) >= value)) / (1 + n_resamples)),
    )


def _resamples(numbers: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """How often each block is taken in each resample: (n_resamples, n_blocks)."""
    n = int(numbers[-1]) + 1
    chosen = (rng.uniforms(seed, rng.purpose.STATISTICS_BOOTSTRAP, n_resamples, n) * n).astype(np.int64)
    return np.stack([np.bincount(one, minlength=n) for one in chosen])


def _edges(values: np.ndarray) -> np.ndarray:
    """Bins between few different values, or of equal widths."""
    levels = np.unique(values)
    if len(levels) == 1:
        return np.array([levels[0] - 0.5, levels[0] + 0.5])
    if len(levels) > N_BINS:
        return np.linspace(levels[0], levels[-1], N_BINS + 1)
    middles = (levels[1:] + levels[:-1]) / 2
    return np.concatenate([[2 * levels[0] - middles[0]], middles, [2 * levels[-1] - middles[-1]]])


def _block_numbers(series: np.ndarray) -> np.ndarray:
    """The block that each draw belongs to, (n_chains * n_draws,), ascending from 0."""
    n_chains, n_draws = series.shape
    if n_chains >= ENOUGH_CHAINS:
        of_chains = np.arange(n_chains) * min(n_chains, MOST_BLOCKS) // n_chains
        return np.repeat(of_chains, n_draws)
    time = stats.mean(series).autocorrelation_time  # warns of short series
    wanted = MOST_BLOCKS if math.isnan(time) else min(MOST_BLOCKS, round((series.size / time) ** (2 / 3)))
    pieces = min(n_draws, max(1 if n_chains > 1 else 2, wanted // n_chains))
    of_draws = np.arange(n_draws) * pieces // n_draws
    return (np.arange(n_chains)[:, None] * pieces + of_draws).ravel()
