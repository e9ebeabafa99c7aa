"""Ladders from independent units to a model, whose rungs are equally far from each other."""

import math
from typing import NamedTuple

import numpy as np

from mcgen import backend, checks, loops, rng
from mcgen.errors import InputError
from mcgen.rbm.chains import Stack
from mcgen.rbm.model import RBM
from mcgen.rbm.partition import path
from mcgen.rbm.partition.annealing import reference_states
from mcgen.rbm.partition.simulation import Sampling
from mcgen.rbm.partition.spacing import at_equal_lengths
from mcgen.rbm.tempering import TemperingChains

# Between neighbours, the square root of the sum of the two Kullback-Leibler divergences: at 1 they swap about every
# second time, and twice as many rungs of half the draws each would give nearly the same error. Steps are made that
# long on average, and the ladder measured again if one turns out longer than the other number.
STEP, LONGEST_STEP = 0.8, 1.2
# Rungs that a ladder begins with, and may have; how often it is measured at most.
FIRST_RUNGS, MOST_RUNGS, MOST_ROUNDS = 6, 500, 10
# Sweeps before distances are measured, and measurements, one sweep apart.
PILOT_SWEEPS, PILOT_DRAWS = 50, 20


class Ladder(NamedTuple):
    """A path in steps, and where the chains of its rungs are.

    reference, model : RBM
        The ends of the path.
    betas : float64, shape (n_rungs,)
        From 0, the reference, to 1, the model.
    visible : array, shape (n_rungs, n_chains, n_visible)
    """

    reference: RBM
    model: RBM
    betas: np.ndarray
    visible: np.ndarray

    @property
    def stack(self) -> Stack:
        """The models of the rungs, as samplers take them."""
        return path.stack_of(self.reference, self.model, self.betas)

    @property
    def models(self) -> list[RBM]:
        """The models of the rungs."""
        return [path.between(self.reference, self.model, beta) for beta in self.betas]


def ladder_to(model: RBM, n_temperatures: int | None, v: np.ndarray | None, sampling: Sampling) -> Ladder:
    """A ladder from independent units to a model whose rungs are equally far from each other.

    The distance of neighbours is the square root of D, the sum of their two Kullback-Leibler divergences, which a short
    run measures as minus the mean log ratio of their swaps. For close neighbours it is the length of the path between
    them in the metric of Fisher, whatever the number of rungs, and adds up along the path.

    Parameters
    ----------
    model : RBM
    n_temperatures : int, optional
        How many rungs; by default as many as make no distance larger than 1.2.
    v : array, shape (n_rows, n_visible), optional
        Data for the reference, see `path.reference`.
    sampling : Sampling

    Returns
    -------
    Ladder

    Raises
    ------
    InputError
        If n_temperatures is below 2 or v does not fit, or the ladder would have more than 500 rungs.

    References
    ----------
    Crooks, Phys. Rev. Lett. 99, 100602 (2007): thermodynamic length. Shenfeld, Xu, Eastwood, Dror & Shaw, Phys. Rev. E
    80, 046705 (2009): spacing by it.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.rungs import ladder_to
    >>> from mcgen.rbm.partition.simulation import Sampling
    >>> model = rbm.RBM.random(n_visible=12, n_hidden=8, seed=1, scale=0.8)
    >>> ladder = ladder_to(model, None, None, Sampling(64, 10, 1, 10, 2, "cpu", False))
    >>> 4 < len(ladder.betas) < 12, float(ladder.betas[0]), float(ladder.betas[-1])
    (True, 0.0, 1.0)
    """
    if n_temperatures is not None:
        n_temperatures = checks.integer("n_temperatures", n_temperatures, 2, MOST_RUNGS)
    target = backend.target(sampling.device)
    reference = path.reference(model, v, rng.derive(sampling.seed, 0), sampling.device)
    betas = np.linspace(0.0, 1.0, FIRST_RUNGS)
    states = reference_states(reference, sampling.n_chains, rng.derive(sampling.seed, 1))
    ladder = Ladder(reference, model, betas, np.repeat(states[None], len(betas), axis=0))
    for attempt in range(MOST_ROUNDS):
        chains = TemperingChains(ladder.stack, ladder.visible, rng.derive(sampling.seed, 3 + attempt), target)
        distances, visible = distances_of(chains)
        ladder = ladder._replace(visible=visible)
        if distances.max() <= LONGEST_STEP or attempt == MOST_ROUNDS - 1:
            break
        n_rungs = 1 + math.ceil(float(distances.sum()) / STEP)
        if n_rungs > MOST_RUNGS:
            raise InputError(
                f"a ladder from independent units to {model!r} needs about {n_rungs} rungs, more than {MOST_RUNGS}; "
                "give data as v, so that it begins closer to the model, or stored models of its training to trajectory"
            )
        ladder = _respaced(ladder, distances, max(FIRST_RUNGS, n_rungs))
    return ladder if n_temperatures is None else _respaced(ladder, distances, n_temperatures)


def _respaced(ladder: Ladder, distances: np.ndarray, n_rungs: int) -> Ladder:
    """A ladder with another number of rungs, at equal distances if the measured ones add up."""
    betas = at_equal_lengths(ladder.betas, distances / np.diff(ladder.betas), n_rungs)
    # A new rung starts from the states of the rung below it, which is hotter.
    below = np.searchsorted(ladder.betas, betas, side="right") - 1
    return ladder._replace(betas=betas, visible=ladder.visible[below])


def halved(ladder: Ladder) -> Ladder:
    """A ladder with a further rung half way between every two.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.rungs import halved, ladder_to
    >>> from mcgen.rbm.partition.simulation import Sampling
    >>> model = rbm.RBM.random(n_visible=4, n_hidden=2, seed=1)
    >>> ladder = ladder_to(model, 3, None, Sampling(10, 5, 1, 2, 1, "cpu", False))
    >>> len(halved(ladder).betas)
    5
    """
    between = 0.5 * (ladder.betas[:-1] + ladder.betas[1:])
    betas = np.append(np.stack([ladder.betas[:-1], between], axis=1).ravel(), 1.0)
    # A new rung starts from the states of the rung below it, which is hotter.
    return ladder._replace(betas=betas, visible=ladder.visible[np.arange(len(betas)) // 2])


def distances_of(chains: TemperingChains) -> tuple[np.ndarray, np.ndarray]:
    """The distances of neighbours, measured in the next sweeps, and the states then.

    Returns
    -------
    distances : float64, shape (n_models - 1,)
    visible : array, shape (n_models, n_chains, n_visible)
    """
    lower = np.arange(len(chains.visible) - 1)
    pairs = np.stack([lower, lower + 1], axis=1)
    with loops.begun() as loop:
        if loop.state is not None:
            return loop.state["distances"], loop.state["visible"]
        chains.advance(PILOT_SWEEPS)
        divergences = np.zeros(len(pairs))
        for _ in range(PILOT_DRAWS):
            chains.advance(1)
            divergences -= chains.log_ratios(pairs).mean(axis=1)
        # The noise of nearly equal models goes below 0.
        distances, visible = np.sqrt(np.maximum(divergences / PILOT_DRAWS, 0.0)), chains.visible
        loop.note(lambda: {"distances": distances, "visible": visible})
    return distances, visible
