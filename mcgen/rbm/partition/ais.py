"""Annealed importance sampling of log Z, forward from independent units and in reverse from samples of the model."""

from collections.abc import Sequence

import numpy as np

from mcgen import rng
from mcgen.rbm.model import RBM
from mcgen.rbm.partition.draws import check_starts, draw_model
from mcgen.rbm.partition.result import LogPartition, checks_of, warn_of_few_effective
from mcgen.rbm.partition.runs import (
    DRAWN,
    LONGER,
    forward_runs,
    from_forward,
    from_reverse,
    make_path,
    reverse_runs,
    settings_of,
)


def ais(
    model: RBM,
    n_runs: int = 512,
    n_temperatures: int = 2000,
    seed: int = 0,
    v: np.ndarray | None = None,
    reference: RBM | None = None,
    betas: Sequence[float] | None = None,
    adapt: bool = True,
    device: str = "cpu",
    progress: bool = False,
) -> LogPartition:
    """log Z by annealed importance sampling, from below: log( (1/n) sum_runs w ) + log Z_reference.

    A run starts from a draw of the reference, whose units are independent, and is carried to the model over
    intermediate models at inverse temperatures beta_k (see `path`). At each its weight grows,

        log w = sum_k log f_{k+1}(v_k) - log f_k(v_k),

    and a block Gibbs sweep of the next model follows. The mean of w is Z / Z_reference whatever the number of
    temperatures; the scatter of log w is the smaller the more there are. By Jensen's inequality the value is below
    log Z on average, by about half the squared error. Runs that never meet an important part of the model make it far
    too low, and its error too: `sandwich` shows that, because runs from the other end make it too high.

    Parameters
    ----------
    model : RBM
        Of any units.
    n_runs : int
        Independent runs, at least 2.
    n_temperatures : int
        Models on the path, both ends included: each costs one Gibbs sweep of every run.
    seed : int
        0 to 2**64 - 1.
    v : array, shape (n_rows, n_visible), optional
        Data whose means the reference has. By default those of a short run of Gibbs chains.
    reference : RBM, optional
        Without weights and hidden biases; by default `path.reference(model, v)`.
    betas : sequence of float, shape (n_temperatures,), optional
        Increasing from 0 to 1, instead of n_temperatures.
    adapt : bool
        Whether a pilot run, about a percent of the work, places the temperatures where log w scatters most; otherwise
        they are equally spaced.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    LogPartition
        The same seed gives the same bits for any number of threads. Its error is that of the mean weight over the mean
        weight, its interval is skewed as the weights are (see `weights.log_mean`).

    Raises
    ------
    InputError
        If an argument is out of range.
    DeviceError
        If the device cannot be used.
    KeyboardInterrupt
        After Ctrl-C; nothing is returned.

    Warns
    -----
    StatisticsWarning
        If fewer than 20 effective runs are left.

    References
    ----------
    Neal, Stat. Comput. 11, 125 (2001). Salakhutdinov & Murray, ICML (2008).

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import ais
    >>> model = rbm.RBM.random(n_visible=16, n_hidden=8, seed=1, scale=0.5)
    >>> a = ais(model, n_runs=32, n_temperatures=50, seed=5)
    >>> abs(a.value - rbm.exact.log_partition(model)) < 4 * a.error
    True
    """
    way = make_path(model, n_runs, n_temperatures, seed, v, reference, betas, adapt, device)
    runs = forward_runs(model, way, n_runs, seed, device, progress)
    mean, value, interval = from_forward(way, runs.log_weights)
    warn_of_few_effective(mean.effective_sample_size, n_runs, "log Z by ais", LONGER)
    return LogPartition(
        value,
        mean.error,
        mean.effective_sample_size,
        "ais",
        interval,
        checked_against=checks_of(model, device),
        settings=settings_of(way, n_runs, seed, device),
    )


def reverse_ais(
    model: RBM,
    n_runs: int = 512,
    n_temperatures: int = 2000,
    seed: int = 0,
    samples: np.ndarray | None = None,
    v: np.ndarray | None = None,
    reference: RBM | None = None,
    betas: Sequence[float] | None = None,
    adapt: bool = True,
    initial: np.ndarray | None = None,
    burn_in: int = 500,
    sampler: str = "gibbs",
    device: str = "cpu",
    progress: bool = False,
) -> LogPartition:
    """log Z by annealed importance sampling in reverse, from above: log Z_reference - log( (1/n) sum_runs w ).

    Runs start from samples of the model and are carried to the reference, the forward process backward in time; the
    mean of their weights is Z_reference / Z, and by Jensen's inequality the value is above log Z on average. That holds
    as far as the samples are samples of the model.

    Parameters
    ----------
    model : RBM
        Of any units.
    n_runs : int
        Independent runs, at least 2; if samples are given, there is one run for each.
    n_temperatures, seed
        As for `ais`.
    samples : array, shape (n_samples, n_visible) or (n_chains, n_draws, n_visible), optional
        Samples of the model: independent ones, or those of independent chains. By default they are drawn exactly where
        that takes about a second, otherwise by Markov chains, which are compared with each other.
    v, reference, betas, adapt
        As for `ais`.
    initial : array, shape (n, n_visible), optional
        Where the chains start; by default at rows of `v`, or with units drawn as in no field.
    burn_in : int
        Sweeps of the chains before draws are compared; these take as many again.
    sampler : {"gibbs", "tempering"}
        How the chains move. Tempering crosses between modes, and costs as much as it has temperatures.
    device, progress
        As for `ais`.

    Returns
    -------
    LogPartition

    Raises
    ------
    InputError
        If an argument is out of range.
    DeviceError
        If the device cannot be used.
    KeyboardInterrupt
        After Ctrl-C; nothing is returned.

    Warns
    -----
    StatisticsWarning
        If fewer than 20 effective runs are left, or the chains disagree or remember where they started.

    References
    ----------
    Burda, Grosse & Salakhutdinov, AISTATS (2015).

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import reverse_ais
    >>> model = rbm.RBM.random(n_visible=16, n_hidden=8, seed=1, scale=0.5)
    >>> a = reverse_ais(model, n_runs=32, n_temperatures=50, seed=5)
    >>> abs(a.value - rbm.exact.log_partition(model)) < 4 * a.error
    True
    """
    samples, initial = check_starts(model, samples, initial, v, burn_in, sampler)
    way = make_path(model, n_runs, n_temperatures, seed, v, reference, betas, adapt, device)
    if samples is None:
        own = rng.derive(seed, DRAWN)
        samples = draw_model(model, n_runs, own, initial, burn_in, sampler, device, progress)
    mean, value, interval = from_reverse(way, reverse_runs(model, way, samples, seed, device, progress))
    warn_of_few_effective(mean.effective_sample_size, len(samples), "log Z by reverse ais", LONGER)
    return LogPartition(
        value,
        mean.error,
        mean.effective_sample_size,
        "reverse ais",
        interval,
        checked_against=checks_of(model, device),
        settings=settings_of(way, samples.shape[0] * samples.shape[1], seed, device),
    )
