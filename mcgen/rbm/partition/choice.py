"""log Z by the method that suits a model, or by any one by its name."""

import inspect
from collections.abc import Callable

import numpy as np

from mcgen import checks
from mcgen.errors import InputError
from mcgen.rbm import exact
from mcgen.rbm.model import RBM
from mcgen.rbm.partition.ais import ais, reverse_ais
from mcgen.rbm.partition.bridge import bar, mbar
from mcgen.rbm.partition.integration import thermodynamic_integration
from mcgen.rbm.partition.mean_field import naive_mean_field, tap
from mcgen.rbm.partition.result import LogPartition, exact_value
from mcgen.rbm.partition.sandwich import sandwich

FUNCTIONS: dict[str, Callable[..., LogPartition]] = {
    "exact": exact_value,
    "ais": ais,
    "reverse-ais": reverse_ais,
    "sandwich": sandwich,
    "bar": bar,
    "mbar": mbar,
    "integration": thermodynamic_integration,
    "mean-field": naive_mean_field,
    "tap": tap,
}
METHODS = ("auto", *FUNCTIONS)
# How many times longer than `exact.is_quick` allows, about a second on two cores, an exact sum may take to be chosen.
QUICK_TIMES = 60


def log_partition(
    model: RBM,
    method: str = "auto",
    seed: int = 0,
    v: np.ndarray | None = None,
    device: str = "cpu",
    progress: bool = False,
    **settings: object,
) -> LogPartition:
    """log Z with its error: exact where that is cheap, otherwise between two bounds.

    ============  ==================================================================================================
    auto          exact if that takes about a minute at most, otherwise sandwich
    exact         the sum over all states of one layer (`rbm.exact.log_partition`)
    ais           annealed importance sampling from independent units: below log Z on average
    reverse-ais   the same from samples of the model: above log Z on average
    sandwich      both, with Bennett's acceptance ratio of all runs as the value
    bar           Bennett's acceptance ratio between the neighbours of a ladder of temperatures
    mbar          the same with all pairs at once
    integration   thermodynamic integration
    mean-field    the naive mean field, a lower bound: an approximation of unknown error
    tap           the same with the reaction of Thouless, Anderson & Palmer, no bound
    ============  ==================================================================================================

    Parameters
    ----------
    model : RBM
    method : str
    seed : int
        0 to 2**64 - 1; the exact sum does not need it.
    v : array, shape (n_rows, n_visible), optional
        Data: estimates start from independent units with its means, and chains and searches at its rows.
    device : {"cpu", "cuda"}
    progress : bool
        Show progress on standard error.
    settings
        More arguments of the function of the method, such as n_runs and n_temperatures; none for "auto" where the sum
        is exact.

    Returns
    -------
    LogPartition

    Raises
    ------
    InputError
        If an argument is out of range, or the method does not have it.
    SizeError
        If the method is "exact" and no layer can be enumerated.
    DeviceError
        If the device cannot be used.

    Warns
    -----
    StatisticsWarning
        If the error cannot be believed; the message says what to do.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition import log_partition
    >>> model = rbm.RBM.random(n_visible=16, n_hidden=8, seed=1, scale=0.5)
    >>> log_partition(model).method
    'exact'
    """
    function = FUNCTIONS[chosen(model, method)]
    if v is not None:
        v = model.check_rows(v)
    known = inspect.signature(function).parameters
    if "device" not in known and device != "cpu":
        raise InputError(f"method={method!r} runs on the CPU only; leave out device={device!r}")
    unknown = [name for name in settings if name not in known]
    if unknown:
        own = ", ".join(name for name in known if name not in ("model", "seed", "v", "device", "progress"))
        raise InputError(
            f"{unknown[0]} is no setting of method={method!r} for {model!r}; its settings are: {own or 'none'}"
        )
    common = {"seed": seed, "v": v, "device": device, "progress": progress}
    return function(model, **{name: value for name, value in common.items() if name in known}, **settings)


def chosen(model: RBM, method: str) -> str:
    """The method that "auto" stands for with a model; other names stay as they are.

    Parameters
    ----------
    model : RBM
    method : str

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the name is unknown.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.choice import chosen
    >>> chosen(rbm.RBM.random(500, 24, seed=1), "auto"), chosen(rbm.RBM.random(500, 60, seed=1), "auto")
    ('exact', 'sandwich')
    """
    checks.choice("method", method, METHODS)
    if method != "auto":
        return method
    return "exact" if exact.is_quick(model, QUICK_TIMES) else "sandwich"
