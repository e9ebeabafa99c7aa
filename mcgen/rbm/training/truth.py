"""Distributions that data are drawn from, where they are known."""

import numpy as np

from mcgen import checks
from mcgen.errors import InputError
from mcgen.rbm.exact.limits import check_listed
from mcgen.rbm.model import RBM


def checked_truth(model: RBM, truth: np.ndarray) -> np.ndarray:
    """Probabilities of all visible states of a model, by state index.

    Raises
    ------
    InputError
        If the visible units are continuous, or these are no probabilities of their states.
    SizeError
        If there are too many states.
    """
    if not model.visible.is_discrete:
        raise InputError(f"truth lists states, which {model.visible.name} units do not have; leave out truth")
    check_listed(model, "visible", "truth", "leave out truth")
    return checks.distribution("truth", truth, (model.visible.n_states(model.n_visible),))
