"""Exact partition functions and probabilities of RBMs."""

import os

import numpy as np
from scipy.special import logsumexp

from mcgen import checks
from mcgen.enumeration import kl_divergence as _kl_divergence
from mcgen.errors import InputError
from mcgen.parallel import ALONE, World
from mcgen.rbm.exact import gaussian, listing, two_level
from mcgen.rbm.exact.limits import check_listed, check_summable, listed_layer, method
from mcgen.rbm.model import RBM, free_energy_of_rows


def log_partition(
    model: RBM,
    device: str = "cpu",
    progress: bool | None = None,
    checkpoint: str | os.PathLike | None = None,
    world: World = ALONE,
) -> float:
    """log Z = log sum_{v, h} e^{-E(v, h)}, exact to rounding.

    The states of one layer are enumerated, the other layer is summed or integrated out in closed form,
    Z = sum_h e^{c.h} prod_i sum_{v_i} e^{v_i (b_i + sum_j W_ij h_j) - U(v_i)}. Where both layers have two-level units,
    e^{sum_j W_ij h_j} is a product of numbers from tables over parts of h: a state costs one multiply-add and one
    multiplication for each unit of the other layer. Otherwise the states of the layer that has finitely many, or fewer,
    are listed, and the other layer's cumulant functions added up for each. Two Gaussian layers need no enumeration.

    Parameters
    ----------
    model : RBM
        Two-level units in both layers: the smaller one has at most 40 units. Other units: one layer has at most 2**24
        states, or both are Gaussian. The time is proportional to the states of the enumerated layer times the units of
        the other; the memory, some megabytes, does not grow with the number of states.
    device : {"cpu", "cuda"}
    progress : bool, optional
        Show progress on standard error; by default if the sum takes more than a minute, which is then said before.
    checkpoint : path, optional
        Where Ctrl-C leaves the sum so far (it is written every minute too). A call with the same checkpoint goes on
        from there, to the same bits as without a pause; the file is deleted at the end.
    world : mcgen.parallel.World
        The ranks that share out the sum. All get the result; it does not depend on their number.

    Returns
    -------
    float
        Computed in float64, also for float32 models. With u = 2**-53 its error is at most u times
        |log Z| + 4 n_larger + 2 n_smaller sum |parameters| for two-level units, for a model of ordinary weights some
        1e-13; it is below 1e-12 of log Z for 20 x 20 units and weights of standard deviation 0.01, 1 and 10.

    Raises
    ------
    InputError
        If both layers are continuous and one has ReLU units: the integral has no closed form.
    SizeError
        If the smaller layer has more than 40 two-level units, or more than 2**24 states of others.
    DeviceError
        If the device cannot be used.
    FileError
        If the checkpoint is that of another sum, or cannot be read or written.
    KeyboardInterrupt
        After Ctrl-C; the message says where the sum so far is kept.

    References
    ----------
    Hjorth-Jensen (2025), "Probability model"; Salakhutdinov & Murray, ICML (2008), section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((3, 2)), np.zeros(3), np.zeros(2))
    >>> round(rbm.exact.log_partition(model), 6)  # 5 log 2
    3.465736
    """
    check_summable(model)
    way = method(model)
    if way == "two_level":
        return two_level.log_partition(model, device, progress, checkpoint, world)
    if way == "listing":
        states = listing.Listing(model, listed_layer(model), device)
        return listing.log_partition(states, checkpoint, progress, world)
    return gaussian.modes(model, device).log_partition


def log_probabilities(model: RBM, device: str = "cpu") -> np.ndarray:
    """log p(v) of every visible state, by state index.

    Parameters
    ----------
    model : RBM
        At most 2**24 visible states, such as 24 two-level units; hidden units of any kind.
    device : {"cpu", "cuda"}

    Returns
    -------
    float64, shape (n_states,)
        Also where p itself would underflow to 0. A state's index has unit i as digit i, lowest first: a bit for
        two-level units, one of 0 ... q - 1 for Potts units.

    Raises
    ------
    InputError
        If the visible units are continuous.
    SizeError
        If there are more than 2**24 visible states.
    DeviceError
        If the device cannot be used.

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=3, n_hidden=2, seed=1)
    >>> rbm.exact.log_probabilities(model).shape
    (8,)
    """
    if not model.visible.is_discrete:
        raise InputError(
            f"{model.visible.name} units have no list of states; take densities of rows "
            "(rbm.exact.log_likelihood), or rbm.exact.visible_moments"
        )
    remedy = "compare log-likelihoods of data (rbm.exact.log_likelihood) or observables of samples instead"
    check_listed(model, "visible", "their probabilities", remedy)
    if method(model) == "two_level":
        log_weights = two_level.all_log_weights(model, device)
    else:
        log_weights = listing.all_log_weights(listing.Listing(model, "visible", device))
    return log_weights - logsumexp(log_weights)


def probabilities(model: RBM, device: str = "cpu") -> np.ndarray:
    """p(v) of every visible state, by state index: the marginal p(v) = sum_h e^{-E(v, h)} / Z.

    Parameters, errors as for `log_probabilities`.

    Returns
    -------
    float64, shape (n_states,)

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=3, n_hidden=2, seed=1)
    >>> round(float(rbm.exact.probabilities(model).sum()), 12)
    1.0
    """
    return np.exp(log_probabilities(model, device))


def log_likelihood(model: RBM, v: np.ndarray, device: str = "cpu") -> float:
    """The mean over rows of log p(v) = -F(v) - log Z, in nats; of continuous visible units p(v) is a density.

    Parameters
    ----------
    model : RBM
        Within reach of `log_partition`.
    v : array, shape (n_rows, n_visible)
    device : {"cpu", "cuda"}

    Returns
    -------
    float

    Raises
    ------
    InputError
        If a shape does not fit, there is no row, a value is not a state of the visible units, or Z has no closed form.
    SizeError
        If the model has too many states for `log_partition`.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "Optimizing the logarithm instead".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((3, 2)), np.zeros(3), np.zeros(2))
    >>> round(rbm.exact.log_likelihood(model, [[0, 1, 1]]), 6)  # -3 log 2
    -2.079442
    """
    rows = model.check_rows(model.check_visible(v).reshape(-1, model.n_visible))
    log_z = log_partition(model, device)
    return float(-free_energy_of_rows(model, rows, device).mean() - log_z)


def kl_divergence(probabilities: np.ndarray, model: RBM, device: str = "cpu") -> float:
    """KL(p || model) = sum_v p(v) [log p(v) - log p_model(v)], in nats.

    Parameters
    ----------
    probabilities : array, shape (n_states,)
        p(v) of every visible state, by state index, for example from `ising.exact.probabilities` or, for data,
        `enumeration.empirical_distribution`.
    model : RBM
        At most 2**24 visible states.
    device : {"cpu", "cuda"}

    Returns
    -------
    float
        At least 0 up to rounding.

    Raises
    ------
    InputError
        If the shape does not fit, a value is negative, the sum is not 1, or the visible units are continuous.
    SizeError
        If there are more than 2**24 visible states.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Hjorth-Jensen (2025), "Kullback-Leibler divergence and RBMs".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(np.zeros((2, 1)), np.zeros(2), np.zeros(1))
    >>> round(rbm.exact.kl_divergence(np.array([1.0, 0, 0, 0]), model), 6)  # 2 log 2
    1.386294
    """
    log_model = log_probabilities(model, device)
    p = checks.distribution("probabilities", probabilities, log_model.shape)
    return _kl_divergence(p, log_model)
