"""Which method gives the exact answers for a model, and how far each reaches."""

from mcgen.enumeration import MOST_LISTED_UNITS, check_listable
from mcgen.errors import InputError, SizeError
from mcgen.rbm.model import RBM
from mcgen.rbm.units import Potts, ReLU, TwoLevel, Unit

# Two-level units on both sides. The largest smaller layer: 2^40 states of 40 x 40 units take half an hour on two cores,
# some seconds on a GPU.
MOST_SUMMED_UNITS = 40
# The largest smaller layer that is sampled: a number is kept for each item of 2^11 states.
MOST_SAMPLED_UNITS = 35
# Terms (states of the smaller layer times units of the other) that are summed in about a second on two cores.
QUICK_TERMS = 1 << 33
# Terms of the exact gradient in each step of training: seconds.
MOST_TERMS_PER_STEP = 1 << 34

# Other units: states of a layer that are listed, one number being kept for each.
MOST_LISTED_STATES = 1 << MOST_LISTED_UNITS
# Nanoseconds that two cores take for log Z, for each listed state and entry of the other layer, whose kind decides; and
# how much longer the moments take. The limits are those of QUICK_TERMS and MOST_TERMS_PER_STEP, in seconds.
NANOSECONDS = {"bernoulli": 2.0, "spin": 2.0, "potts": 8.0, "gaussian": 4.0, "relu": 25.0}
COST_OF_MOMENTS = 2.5
QUICK_SECONDS, MOST_SECONDS_PER_STEP = 1.0, 15.0
# The closed form is a singular value decomposition: nanoseconds for n_small^2 n_large.
NANOSECONDS_OF_CLOSED_FORM = 2.0


def method(model: RBM) -> str:
    """The method for the units of a model: "two_level", "listing" or "gaussian".

    Raises
    ------
    InputError
        If its units have no exact method: two continuous layers of which one is cut off at 0.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.exact.limits import method
    >>> method(rbm.RBM.random(5, 3, seed=1)), method(rbm.RBM.random(5, 3, seed=1, visible="gaussian"))
    ('two_level', 'listing')
    """
    if isinstance(model.visible, TwoLevel) and isinstance(model.hidden, TwoLevel):
        return "two_level"
    if model.visible.is_discrete or model.hidden.is_discrete:
        return "listing"
    if not isinstance(model.visible, ReLU) and not isinstance(model.hidden, ReLU):
        return "gaussian"
    raise InputError(
        f"Z of {model!r} is an integral over two continuous layers, one of them cut off at 0, without a closed form; "
        "take units with finitely many states, or Gaussian ones, for the relu units, or sample the model (rbm.sample)"
    )


def listed_layer(model: RBM) -> str:
    """The layer to list, "visible" or "hidden": of those with finitely many states the one with the fewer.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.exact.limits import listed_layer
    >>> listed_layer(rbm.RBM.random(3, 5, seed=1, visible="relu"))
    'hidden'
    """
    if not model.visible.is_discrete:
        return "hidden"
    if not model.hidden.is_discrete:
        return "visible"
    return "hidden" if n_states(model, "hidden") <= n_states(model, "visible") else "visible"


def n_states(model: RBM, layer: str) -> int:
    """The number of states of a layer, "visible" or "hidden", of units with finitely many states.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.exact.limits import n_states
    >>> n_states(rbm.RBM.random(6, 5, seed=1, visible=rbm.Potts(q=3)), "visible")
    9
    """
    return model.visible.n_states(model.n_visible) if layer == "visible" else model.hidden.n_states(model.n_hidden)


def check_listed(model: RBM, layer: str, what: str, remedy: str) -> None:
    """Raise `SizeError` if the states of a layer are too many to be listed for `what`.

    Parameters
    ----------
    model : RBM
    layer : {"visible", "hidden"}
    what, remedy : str
        For the message: what is summed, and the way out.
    """
    kind: Unit = getattr(model, layer)
    if isinstance(kind, TwoLevel):
        check_listable(getattr(model, f"n_{layer}"), f"the {layer} layer of {model!r}", remedy)
        return
    states = n_states(model, layer)
    if states > MOST_LISTED_STATES:
        units = f"{kind.n_units(getattr(model, f'n_{layer}'))} {kind.name} units"
        if isinstance(kind, Potts):
            units += f" of {kind.q} states"
        raise SizeError(
            f"the {layer} layer of {model!r} has {units}, more than 2^{states.bit_length() - 1} states; the list for "
            f"{what} reaches 2^{MOST_LISTED_UNITS}; {remedy}"
        )


def check_summable(model: RBM, what: str = "log Z", limit: int = MOST_SUMMED_UNITS) -> None:
    """Raise an error unless the exact value of `what` is within reach.

    Parameters
    ----------
    model : RBM
    what : str
        For the message.
    limit : int
        The largest smaller layer of two-level units.

    Raises
    ------
    InputError
        If the model has two continuous layers of which one has ReLU units.
    SizeError
        If the smaller layer has too many states.
    """
    way = method(model)
    if way == "listing":
        remedy = "estimate log Z by annealed importance sampling (AIS), or sample the model (rbm.sample)"
        check_listed(model, listed_layer(model), what, remedy)
    smaller = min(model.n_visible, model.n_hidden)
    if way == "two_level" and smaller > limit:
        raise SizeError(
            f"the smaller layer of {model!r} has {smaller} units, 2^{smaller} states; the exact sum for {what} reaches "
            f"{limit} units; estimate log Z by annealed importance sampling (AIS), or sample the model (rbm.sample)"
        )


def is_quick(model: RBM, times: float = 1.0) -> bool:
    """Whether `log_partition` is within reach and takes about a second at most, or so many times longer.

    Parameters
    ----------
    model : RBM
    times : float

    Examples
    --------
    >>> from mcgen import rbm
    >>> rbm.exact.is_quick(rbm.RBM.random(500, 16, seed=1)), rbm.exact.is_quick(rbm.RBM.random(500, 60, seed=1))
    (True, False)
    """
    try:
        check_summable(model)
    except InputError:
        return False
    if method(model) == "two_level":
        small, large = sorted((model.n_visible, model.n_hidden))
        return large << small <= times * QUICK_TERMS
    return _seconds(model) <= times * QUICK_SECONDS


def check_steps(model: RBM) -> None:
    """Raise an error if the exact gradient is out of reach, or too slow to be computed in each step of training.

    Raises
    ------
    InputError
        If the model has two continuous layers of which one has ReLU units.
    SizeError
        If the gradient takes too long.
    """
    if method(model) == "two_level":
        small, large = sorted((model.n_visible, model.n_hidden))
        if large << small > MOST_TERMS_PER_STEP:
            raise SizeError(
                f"the exact negative phase of {model!r} is a sum of {large} x 2^{small} terms in each step; training "
                f"reaches 2^{MOST_TERMS_PER_STEP.bit_length() - 1} terms; use rbm.train with negative_phase='pcd' "
                "or 'cd', or a smaller hidden layer"
            )
        return
    check_summable(model, "the negative phase")
    seconds = COST_OF_MOMENTS * _seconds(model)
    if seconds > MOST_SECONDS_PER_STEP:
        raise SizeError(
            f"the exact negative phase of {model!r} takes about {seconds:.0f} seconds in each step; training reaches "
            f"{MOST_SECONDS_PER_STEP:.0f}; use rbm.train with negative_phase='pcd' or 'cd', or a smaller hidden layer"
        )


def _seconds(model: RBM) -> float:
    """What log Z takes on two cores, by listing or in closed form."""
    if method(model) == "gaussian":
        small, large = sorted((model.n_visible, model.n_hidden))
        return 1e-9 * NANOSECONDS_OF_CLOSED_FORM * small**2 * large
    layer = listed_layer(model)
    other, n_other = (model.hidden, model.n_hidden) if layer == "visible" else (model.visible, model.n_visible)
    return 1e-9 * NANOSECONDS[other.name] * n_other * n_states(model, layer)
