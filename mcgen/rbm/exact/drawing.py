"""Independent draws from the exact distribution of an RBM."""

import numpy as np

from mcgen import checks, rng
from mcgen.rbm.exact import gaussian, listing, log_weights, two_level
from mcgen.rbm.exact.limits import MOST_SAMPLED_UNITS, check_summable, listed_layer, method
from mcgen.rbm.exact.products import rows_times
from mcgen.rbm.model import RBM


def sample(model: RBM, n_draws: int, seed: int = 0, device: str = "cpu", progress: bool | None = None) -> np.ndarray:
    """Independent draws of the visible units from the exact distribution: no Markov chain, no burn-in.

    A state of the enumerated layer is drawn from its exact marginal, with a resolution of 2**-53, then the other layer
    given it. Two Gaussian layers are drawn from their joint normal distribution.

    Parameters
    ----------
    model : RBM
        Two-level units in both layers: the smaller one has at most 35 units. Other units: one layer has at most 2**24
        states, or both are Gaussian. Takes the time of one `log_partition`, and some for each draw.
    n_draws : int
    seed : int
        0 to 2**64 - 1.
    device : {"cpu", "cuda"}
        Where the weights are summed.
    progress : bool, optional
        As for `log_partition`; for two-level units in both layers only.

    Returns
    -------
    int8, or the model's dtype for continuous units, shape (n_draws, n_visible)
        The same seed gives the same draws for any number of threads, and the first draws do not depend on their number.

    Raises
    ------
    InputError
        If an argument is out of range, or both layers are continuous and one has ReLU units.
    SizeError
        If the smaller layer has more than 35 two-level units, or more than 2**24 states of others.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=1)
    >>> rbm.exact.sample(model, n_draws=4, seed=2).shape
    (4, 6)
    """
    check_summable(model, "sampling", MOST_SAMPLED_UNITS)
    n_draws = checks.integer("n_draws", n_draws, 1, rng.LARGEST_WORD)
    rng.split_seed(seed)
    way = method(model)
    if way == "two_level":
        return two_level.sample(model, n_draws, seed, device, progress)
    draw = gaussian.sample if way == "gaussian" else _by_listing
    draws = draw(model, n_draws, seed, device)
    return draws.astype(model.visible.state_dtype(model.dtype))


def _by_listing(model: RBM, n_draws: int, seed: int, device: str) -> np.ndarray:
    layer = listed_layer(model)
    states = listing.Listing(model, layer, device)
    numbers = rng.fine_uniforms(seed, rng.purpose.RBM_EXACT, n_draws, 1)[:, 0]
    listed = states.states(log_weights.choose(listing.all_log_weights(states), numbers))
    if layer == "visible":
        return listed
    fields = rows_times(listed, np.ascontiguousarray(model.weights.T, np.float64)) + model.visible_bias
    return model.visible.draw(fields, rng.derive(seed, rng.purpose.RBM_EXACT), device=device)
