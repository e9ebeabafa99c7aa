"""States of a model from which reverse annealing runs begin: drawn exactly where that is quick, or by Markov chains."""

import numpy as np

from mcgen import checks, rng
from mcgen.errors import InputError
from mcgen.rbm import exact
from mcgen.rbm.model import RBM
from mcgen.rbm.sampling import sample

# Draws of each chain for the comparison of chains; the last ones are where the runs begin.
DRAWS = 20
SAMPLERS = ("gibbs", "tempering")


def check_starts(
    model: RBM,
    samples: np.ndarray | None,
    initial: np.ndarray | None,
    v: np.ndarray | None,
    burn_in: int,
    sampler: str,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The samples and initial states of reverse runs, checked before any work.

    Parameters
    ----------
    model : RBM
    samples : array, shape (n_samples, n_visible) if they are independent, or (n_chains, n_draws, n_visible), or None
    initial, v : array, shape (n, n_visible), or None
        Rows of v, the data, are where chains start without `initial`.
    burn_in, sampler
        As for `reverse_ais`.

    Returns
    -------
    samples : array of the model's dtype, shape (n_chains, n_draws, n_visible), or None
    initial : array of the model's dtype, shape (n, n_visible), or None

    Raises
    ------
    InputError
        If an array has another shape or holds no states, there are fewer than two chains (or independent samples),
        or another argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.draws import check_starts
    >>> model = rbm.RBM.random(n_visible=4, n_hidden=3, seed=1)
    >>> check_starts(model, np.zeros((10, 4)), None, None, 500, "gibbs")[0].shape
    (10, 1, 4)
    """
    checks.integer("burn_in", burn_in, 1)
    checks.choice("sampler", sampler, SAMPLERS)
    if v is not None:
        v = model.check_rows(v)
    initial = v if initial is None else model.check_rows(initial, "initial")
    if samples is not None:
        samples = model.check_visible(samples, "samples", exact_states=True)
        if samples.ndim == 2:
            samples = samples[:, None]
        if samples.ndim != 3 or len(samples) < 2 or samples.shape[1] == 0:
            raise InputError(
                f"samples has shape {samples.shape}; give two or more independent states, shape (n_samples, "
                f"{model.n_visible}), or two or more chains of them, shape (n_chains, n_draws, {model.n_visible})"
            )
    return samples, initial


def draw_model(
    model: RBM,
    n_runs: int,
    seed: int,
    initial: np.ndarray | None = None,
    burn_in: int = 500,
    method: str = "gibbs",
    device: str = "cpu",
    progress: bool = False,
) -> np.ndarray:
    """Independent states of the model: exact draws where they take about a second, otherwise the ends of chains.

    Parameters
    ----------
    model : RBM
    n_runs : int
    seed : int
    initial : array, shape (n, n_visible), optional
        Where chains start, in turn; exact draws do not need it. By default units are drawn as in no field.
    burn_in : int
        Sweeps before the 20 draws of a chain that are compared with those of others; the draws take as many again.
    method : {"gibbs", "tempering"}
        How chains move.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.

    Returns
    -------
    array of the model's dtype, shape (n_runs, 1, n_visible)

    Raises
    ------
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If chains still remember where they started, or disagree: they are not at the distribution of the model then.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.draws import draw_model
    >>> draw_model(rbm.RBM.random(n_visible=4, n_hidden=3, seed=1), n_runs=10, seed=2).shape
    (10, 1, 4)
    """
    if exact.is_quick(model):
        return exact.sample(model, n_runs, seed, device).astype(model.dtype)[:, None]
    if initial is not None:
        order = rng.permutation(rng.derive(seed, 1), rng.purpose.RBM_START, len(initial))
        initial = initial[order[np.arange(n_runs) % len(initial)]]
    thin = -(-burn_in // DRAWS)
    run = sample(model, n_runs, DRAWS, thin, burn_in, method, rng.derive(seed, 0), device, initial, progress)
    return run.states[:, -1:].astype(model.dtype)
