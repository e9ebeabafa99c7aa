"""Metropolis-Hastings sweeps of the chains of a stack of models, on the marginal p(v) of the visible units."""

from types import ModuleType
from typing import NamedTuple

import numpy as np

from mcgen import rng
from mcgen.memory import aligned
from mcgen.rbm.chains import Stack
from mcgen.rbm.metropolis.formulas import words_per_proposal
from mcgen.rbm.units import Unit
from mcgen.rbm.units.formulas import GAUSSIAN, POTTS, RELU, TWO_LEVEL

# In the order in which formulas.py numbers them.
NAMES = ("flip", "exchange", "block")
# Hidden units are filled up to a multiple of four vectors of the processor.
LANES = 32
# e^700 is a float64, and so is e^-700; a sum of two is too.
LARGEST_EXPONENT = 700.0
# Kinds of visible units for which `propose` has a move.
MOVED = (TWO_LEVEL, POTTS, GAUSSIAN, RELU)


class Proposal(NamedTuple):
    """What a proposal changes.

    name : {"flip", "exchange", "block"}
        One random unit goes to another state; two random units exchange their states; `size` random units take new
        states at once.
    size : int
        Units that a proposal changes: 1, 2 or any number.
    """

    name: str = "flip"
    size: int = 1


def obstacle(stack: Stack, proposal: Proposal) -> str | None:
    """Why a proposal is not for the units of a stack, or None."""
    if stack.visible.code not in MOVED:
        return f"method='metropolis' has no move for {stack.visible.name} units; use method='gibbs'"
    n_units = stack.visible.n_units(stack.weights.shape[1])
    if proposal.name == "exchange" and n_units < 2:
        return "an exchange takes two visible units, and one is free; use proposal='flip'"
    if proposal.size > n_units:
        return f"a block of {proposal.size} units is more than the {n_units} that are free; lower block_size"
    if proposal.name == "exchange" and not stack.visible.is_discrete:
        return (
            f"an exchange never changes the values of {stack.visible.name} units, only their places; "
            "use proposal='flip' or 'block'"
        )
    return None


def proposals_per_sweep(kind: Unit, n_entries: int, proposal: Proposal) -> int:
    """How many proposals a sweep makes: as many as it takes to propose a change of every unit once, on average."""
    return -(-kind.n_units(n_entries) // proposal.size)


def _change_when_up(kind: Unit) -> float:
    """By how much an entry of a discrete unit grows when it goes up."""
    return 1.0 - kind.level if kind.code == TWO_LEVEL else 1.0


def accepted_between_normalizations(stack: Stack, proposal: Proposal) -> int:
    """How many accepted proposals the precomputed factors bear before the shares are normalised; 0: no factors.

    The kernel keeps for every two-level hidden unit the shares a and b of its two states, and multiplies one of them by
    F = e^{(1 - low) d W_ij} when entry i of the visible state changes by d. Let Y be the largest |log(b / a)| that any
    visible state gives, and R the largest sum of |log F_ij| over the hidden units where log F_ij has one sign, and of
    |d b_i|, that one proposal can bring about: a sum a + b grows by F at most, and not at all where F < 1. In the
    course of k accepted proposals and one more, no share, no product of sums a + b and no ratio of probabilities leaves
    the range e^-700 ... e^700 if Y + (k + 1) R <= 700. The factors are used if k >= 1. This is a question of the models
    alone, not of the states.

    Parameters
    ----------
    stack : Stack
    proposal : Proposal

    Returns
    -------
    int
        0 also for units for which there are no factors: hidden units that have not two levels, continuous visible ones.
    """
    visible, hidden = stack.visible, stack.hidden
    if hidden.code != TWO_LEVEL or not visible.is_discrete:
        return 0
    logarithms = (1.0 - hidden.level) * stack.weights.astype(np.float64)
    n_models, _, n_hidden = logarithms.shape
    # Of the entries of a Potts unit one is 1; of a two-level unit the larger of its states counts.
    of_units = np.abs(logarithms).reshape(n_models, -1, visible.entries, n_hidden).max(axis=2).sum(axis=1)
    biases = (1.0 - hidden.level) * np.abs(stack.hidden_bias.astype(np.float64)).max(axis=1)
    largest_field = (of_units + biases).max()
    n_changes = proposal.size * (1 if visible.code == TWO_LEVEL else 2)
    of_one_sign = np.maximum(logarithms.clip(min=0).sum(axis=2), -logarithms.clip(max=0).sum(axis=2))
    rows = _change_when_up(visible) * (of_one_sign + np.abs(stack.visible_bias.astype(np.float64)))
    largest_change = np.sort(rows, axis=1)[:, -n_changes:].sum(axis=1).max()
    kept = (LARGEST_EXPONENT - largest_field) / max(largest_change, 1e-3) - 1
    return max(0, int(kept))


def _whole_lanes(n: int) -> int:
    """n, filled up to whole lanes."""
    return -(-n // LANES) * LANES


def _tables(stack: Stack, weights: np.ndarray, most_kept: int) -> tuple[np.ndarray, np.ndarray]:
    """The factors e^{(1 - low) d W_ij}, and the rest of the ratio of probabilities when an entry goes down, and up."""
    n_models, n_visible, n_hidden = weights.shape
    if most_kept == 0:
        return np.empty((n_models, 0, 0)), np.empty((n_models, 2, 0))
    change = _change_when_up(stack.visible)
    factors = aligned((n_models, n_visible, _whole_lanes(n_hidden)))
    factors[:, :, n_hidden:] = 1.0
    np.exp((1 - stack.hidden.level) * change * weights, out=factors[:, :, :n_hidden])
    bias, sums = stack.visible_bias.astype(np.float64), weights.sum(axis=2)
    # The cumulants are log(1 + e^x) for hidden units {0, 1} and -x + log(1 + e^2x) for spins: up, this is the linear
    # part. Down, the factor 1/F of the upper share is written as a factor F of the lower one, times 1/F for both.
    return factors, np.exp(change * np.stack([-bias - sums, bias + stack.hidden.level * sums], axis=1))


def sweep(
    stack: Stack,
    visible: np.ndarray,
    n_sweeps: int,
    n_draws: int,
    first_step: int,
    seed: int,
    target: ModuleType,
    proposal: Proposal,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sweep all chains with symmetric proposals v -> v', accepted with the probability min(1, e^{F(v) - F(v')}).

    GROUP (32) neighbouring chains of a model change the same units at the same time, and each decides for itself, so
    that the weights of a unit are fetched once for all. The choice of units does not depend on the states: every chain
    has exactly the distribution that it has alone. Given the choices the chains are independent, and each keeps p(v):
    once it is reached, the state of one chain at any time is independent of that of another at any time, and averages
    over different chains are not correlated. (What joins several times, as autocorrelations do, may be.)

    ==========  ==========================================================================================
    flip        one random unit: the other level, one of the q - 1 other Potts states, or a normal step of
                2.4 standard deviations (of the unit without fields), reflected at 0 for ReLU units
    exchange    two random units exchange their states: the magnetisation, or the number of units in each
                state, stays as it is
    block       `size` random units take new states at once: any of those that a discrete unit has, also its
                present one, or a normal step as in a flip
    ==========  ==========================================================================================

    Parameters
    ----------
    stack : Stack
    visible : array, shape (n_models, n_chains, n_visible)
        States in the dtype of the weights.
    n_sweeps : int
        A multiple of n_draws, if that is not 0.
    n_draws : int
        Evenly spaced states to keep of each chain.
    first_step : int
        Sweeps made before with the same seed.
    seed : int
    target : module
        Of the device.
    proposal : Proposal

    Returns
    -------
    visible : array as it was given, with the new states
    draws : int8, or float for continuous units, shape (n_models, n_chains, n_draws, n_visible)
    n_accepted : int64, shape (n_models, n_chains)
        Accepted proposals that changed the state.

    References
    ----------
    Metropolis, Rosenbluth, Rosenbluth, Teller & Teller, J. Chem. Phys. 21, 1087 (1953); Hastings, Biometrika 57, 97
    (1970); exchange of spins: Kawasaki, Phys. Rev. 145, 224 (1966).
    """
    n_models, n_chains, n_visible = visible.shape
    n_hidden = stack.weights.shape[2]
    n_units = stack.visible.n_units(n_visible)
    name = NAMES.index(proposal.name)
    n_proposals = proposals_per_sweep(stack.visible, n_visible, proposal)
    most_kept = accepted_between_normalizations(stack, proposal)
    kernels = target.kernels("rbm.metropolis")
    fewest, most = kernels.CHAINS_PER_BLOCK
    chains_per_block = min(most, fewest << max(0, (n_chains // (16 * fewest)).bit_length() - 1))
    n_slots = min(kernels.MOST_SLOTS, n_models * -(-n_chains // chains_per_block))
    n_words = _whole_lanes(n_proposals * words_per_proposal(stack.visible.code, name, proposal.size))
    n_changes = 2 * proposal.size * stack.visible.entries
    weights = np.ascontiguousarray(stack.weights, np.float64)
    there = target.to_device(visible)
    dtype = stack.visible.state_dtype(visible.dtype)
    draws = target.to_device(np.empty((n_models, n_chains, n_draws, n_visible), dtype))
    accepted = target.to_device(np.zeros((n_models, n_chains), np.int64))
    arrays = (
        aligned((n_slots, 2 * chains_per_block + 2, _whole_lanes(n_hidden))),
        np.empty((n_slots, chains_per_block, n_words), np.uint32),
        np.empty((n_slots, _whole_lanes(n_proposals * proposal.size)), np.uint32),
        np.empty((n_slots, n_units), np.int64),
        np.empty((n_slots, chains_per_block, n_changes), np.int64),
        np.empty((n_slots, chains_per_block, n_changes)),
        weights,
        *_tables(stack, weights, most_kept),
        stack.visible_bias.astype(np.float64),
        stack.hidden_bias.astype(np.float64),
    )
    target.launch(
        kernels.metropolis_sweeps,
        n_slots,
        n_hidden,
        there,
        draws,
        accepted,
        *map(target.to_device, arrays),
        *stack.visible.arguments_on(target),
        *stack.hidden.arguments_on(target),
        name,
        proposal.size,
        n_proposals,
        most_kept,
        chains_per_block,
        n_sweeps,
        n_sweeps // n_draws if n_draws else max(1, n_sweeps),
        np.int64(first_step),
        *rng.split_seed(seed),
    )
    return target.to_host(there), target.to_host(draws), target.to_host(accepted)
