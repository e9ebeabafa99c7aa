"""Which models make a ladder: checks, temperatures to add, stored models of a training to leave out."""

import warnings
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from mcgen import checks, replicas, rng
from mcgen.errors import InputError, StatisticsWarning
from mcgen.parallel import Part
from mcgen.rbm.chains import Stack
from mcgen.rbm.model import RBM
from mcgen.rbm.tempering.chains import TemperingChains

# Sweeps before swap probabilities are measured, and measurements, one sweep apart; how often a ladder is refined, and
# how many models it may have.
PILOT_SWEEPS, PILOT_DRAWS = 50, 20
MOST_ROUNDS, MOST_MODELS = 12, 500
# Swaps with a smaller probability are as good as none.
RARE = 1e-3


def check_betas(betas: Sequence[float], name: str = "betas") -> np.ndarray:
    """The inverse temperatures of a ladder as float64, checked.

    Parameters
    ----------
    betas : sequence of float
    name : str
        Of the argument, for messages.

    Raises
    ------
    InputError
        If there are fewer than two, they do not increase, or they do not lie between 0 and 1 and end at 1.

    Examples
    --------
    >>> from mcgen.rbm.tempering import check_betas
    >>> check_betas([0, 0.5, 1])
    array([0. , 0.5, 1. ])
    """
    betas = checks.finite_array(name, betas, (None,)).astype(np.float64)
    if len(betas) < 2:
        raise InputError(f"{name}={betas.tolist()} is no ladder; give two or more, such as {name}=[0, 0.5, 1]")
    if (np.diff(betas) <= 0).any():
        k = int(np.argmax(np.diff(betas) <= 0))
        raise InputError(
            f"{name} has {betas[k]:g} before {betas[k + 1]:g} at index {k}; give each once, in increasing order"
        )
    if betas[0] < 0 or betas[-1] != 1:
        raise InputError(
            f"{name} has {betas[0]:g} first and {betas[-1]:g} last; start at 0 or above, and end at 1, the model itself"
        )
    return betas


def check_trajectory(models: Sequence[RBM]) -> list[RBM]:
    """The models of a ladder as a list, checked: at least two, with the same units.

    Raises
    ------
    InputError
        If one is no RBM, there are fewer than two, or the units of two differ.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.tempering import check_trajectory
    >>> models = [rbm.RBM.random(n_visible=4, n_hidden=2, seed=seed) for seed in (1, 2)]
    >>> len(check_trajectory(models))
    2
    """
    models = list(models)
    if len(models) < 2:
        raise InputError(
            f"a trajectory of {len(models)} models is no ladder; give two or more, in the order of the training, which "
            "end with the model that is sampled"
        )
    for k, model in enumerate(models):
        if not isinstance(model, RBM):
            raise InputError(f"model {k} of the trajectory is a {type(model).__name__}; give RBMs")
        first = models[0]
        if model.weights.shape != first.weights.shape:
            raise InputError(
                f"model {k} of the trajectory has the shape {model.weights.shape} and model 0 {first.weights.shape}; "
                "give stored models of one training"
            )
        if model.visible != first.visible or model.hidden != first.hidden:
            raise InputError(
                f"model {k} of the trajectory has {model.visible!r} visible and {model.hidden!r} hidden units, model 0 "
                f"has {first.visible!r} and {first.hidden!r}; give stored models of one training"
            )
    return models


def adapted_ladder(
    make_stack: Callable[[np.ndarray], Stack],
    betas: np.ndarray,
    visible: np.ndarray,
    seed: int,
    target: ModuleType,
    swap_rate: float = replicas.SWAP_RATE,
    part: Part | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Add inverse temperatures between those given until neighbours swap at least as often as asked for.

    A short run measures the swap probabilities of all neighbours; the interval between two that swap too seldom is
    divided into as many equal parts as that asks for (see `mcgen.replicas.parts`), and measured again.

    Parameters
    ----------
    make_stack : function
        Of betas, gives the stack of the tempered models.
    betas : float64, shape (n_models,)
        As `check_betas` gives them. They stay in the ladder.
    visible : array, shape (n_models, n_chains, n_visible)
        Where the chains start.
    seed : int
    target : module
        Of the device.
    swap_rate : float
        The rate to reach, between 0 and 1.
    part : Part, optional
        Which chains of the run these are; what is measured is that of all.

    Returns
    -------
    betas : float64, shape (n_models,)
    visible : array, shape (n_models, n_chains, n_visible)
        Where the chains are now.

    Raises
    ------
    InputError
        If the ladder would have more than 500 models.

    Warns
    -----
    StatisticsWarning
        If the rate was not reached.

    References
    ----------
    Predescu, Predescu & Ciobanu, J. Phys. Chem. B 109, 4189 (2005).

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import backend, rbm
    >>> from mcgen.rbm.chains import stack
    >>> from mcgen.rbm.tempering import adapted_ladder
    >>> model = rbm.RBM.random(n_visible=20, n_hidden=20, seed=1, scale=1.0)
    >>> def make_stack(betas):
    ...     return stack([model.tempered(beta) for beta in betas])
    >>> start = np.zeros((2, 100, 20))
    >>> betas, states = adapted_ladder(make_stack, np.array([0.0, 1.0]), start, 2, backend.target("cpu"))
    >>> 2 < len(betas) < 12, len(states) == len(betas)
    (True, True)
    """
    ladder = np.array(betas, np.float64)
    for attempt in range(MOST_ROUNDS):
        chains = TemperingChains(make_stack(ladder), visible, rng.derive(seed, attempt), target, ladder, part)
        chains.advance(PILOT_SWEEPS)
        lower = np.arange(len(ladder) - 1)
        rates, distances = _measured(chains, np.stack([lower, lower + 1], axis=1))
        visible = chains.visible
        parts = np.array([replicas.parts(*pair, swap_rate) for pair in zip(rates, distances, strict=True)])
        if (parts == 1).all():
            break
        n_models = 1 + int(parts.sum())
        if n_models > MOST_MODELS:
            raise InputError(
                f"a ladder from beta={ladder[0]:g} to 1 with swap rates of {swap_rate:g} needs about {n_models} "
                f"models, more than {MOST_MODELS}; start at a larger beta, or take stored models of the training"
            )
        # A new temperature starts from the states of the hotter neighbour.
        visible = np.repeat(visible, np.append(parts, 1), axis=0)
        pieces = (np.linspace(low, high, n + 1)[:-1] for low, high, n in zip(ladder, ladder[1:], parts, strict=False))
        ladder = np.concatenate([*pieces, ladder[-1:]])
    else:
        warnings.warn(
            f"the ladder was refined {MOST_ROUNDS} times, and before the last time neighbours still swapped with the "
            f"probability {rates.min():.1e}, below {swap_rate:g}; give more betas, or stored models as the ladder",
            StatisticsWarning,
            stacklevel=2,
        )
    return ladder, visible


def adapted_trajectory(
    stack: Stack,
    visible: np.ndarray,
    seed: int,
    target: ModuleType,
    swap_rate: float = replicas.SWAP_RATE,
    part: Part | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose which models of a training make a ladder: as few as swap at least as often as asked for.

    From the last model on, the next one is the earliest of those before it that swap with it often enough, measured in
    a short run of all of them. The first and the last always stay.

    Parameters
    ----------
    stack : Stack
        Of all stored models, in the order of the training.
    visible : array, shape (n_models, n_chains, n_visible)
        Where the chains start.
    seed : int
    target : module
        Of the device.
    swap_rate : float
        The rate to reach, between 0 and 1.
    part : Part, optional
        Which chains of the run these are; what is measured is that of all.

    Returns
    -------
    kept : int64, shape (n_kept,)
        The places of the models of the ladder in the stack.
    visible : array, shape (n_kept, n_chains, n_visible)
        Where their chains are now.

    Warns
    -----
    StatisticsWarning
        If two neighbours are so different that their states are hardly ever swapped.

    References
    ----------
    Bereux, Decelle, Furtlehner, Rosset & Seoane, ICLR (2025), arXiv:2405.15376.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import backend, rbm
    >>> from mcgen.rbm.chains import stack
    >>> from mcgen.rbm.tempering import adapted_trajectory
    >>> models = [rbm.RBM.random(n_visible=20, n_hidden=20, seed=1, scale=0.01 * k) for k in range(40)]
    >>> kept, states = adapted_trajectory(stack(models), np.zeros((40, 100, 20)), 2, backend.target("cpu"))
    >>> int(kept[0]), int(kept[-1]), len(kept) < 12
    (0, 39, True)
    """
    chains = TemperingChains(stack, visible, rng.derive(seed, 0), target, part=part)
    chains.advance(PILOT_SWEEPS)
    kept = [len(visible) - 1]
    while kept[-1] > 0:
        last = kept[-1]
        earlier = np.arange(last)
        rates, _ = _measured(chains, np.stack([earlier, np.full(last, last)], axis=1))
        too_far = np.flatnonzero(rates < replicas.TOLERANCE * swap_rate)
        following = int(too_far[-1]) + 1 if len(too_far) else 0
        if following == last:
            following = last - 1
            if rates[following] < RARE:
                warnings.warn(
                    f"models {following} and {last} of the trajectory swap with the probability "
                    f"{rates[following]:.1e}, so hardly any state gets past them; store more models between the two",
                    StatisticsWarning,
                    stacklevel=2,
                )
        kept.append(following)
    kept = np.array(kept[::-1])
    return kept, chains.visible[kept]


def _measured(chains: TemperingChains, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean swap probability of each pair of models in the next sweeps, and minus the mean log ratio."""
    series = []
    for _ in range(PILOT_DRAWS):
        chains.advance(1)
        series.append(chains.log_ratios(pairs))

    def rule(parts: list) -> np.ndarray:
        log_ratios = np.concatenate(parts, axis=2)
        return np.stack([_means(replicas.swap_probability(log_ratios)), -_means(log_ratios)])

    rates, distances = chains.part.world.agree(np.stack(series), rule)
    return rates, distances


def _means(series: np.ndarray) -> np.ndarray:
    """Over chains, and then over draws: float64, shape (n_pairs,), of (n_draws, n_pairs, n_chains)."""
    total = np.zeros(series.shape[1])
    for draw in series:
        total += draw.mean(axis=1)
    return total / len(series)
