"""One simulation of all models of a ladder, which every estimate along a ladder draws from.

The states of all rungs come from replica exchange (`mcgen.rbm.tempering`): those of the model itself have been at the
hot end, where units are independent, and forgotten in which mode they were. Chains of a ladder do not meet those of
another, and are independent.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mcgen import backend, checks, loops, rng, states
from mcgen.progress import progress as progress_bar
from mcgen.rbm.chains import Stack
from mcgen.rbm.model import RBM
from mcgen.rbm.tempering import TemperingChains


class Sampling(NamedTuple):
    """How the rungs of a ladder are sampled: the arguments that all estimates along a ladder share.

    n_chains, n_draws, thin, burn_in : int
        Independent chains of the ladder; draws of each rung in each chain, sweeps between them, sweeps before them.
    seed : int
    device : {"cpu", "cuda"}
    progress : bool
    """

    n_chains: int
    n_draws: int
    thin: int
    burn_in: int
    seed: int
    device: str
    progress: bool

    def checked(self) -> "Sampling":
        """The same, with the numbers as ints.

        Raises
        ------
        InputError
            If a number or the seed is out of range.
        DeviceError
            If the device cannot be used.
        """
        n_chains = checks.integer("n_chains", self.n_chains, 2)
        n_draws = checks.integer("n_draws", self.n_draws, 1)
        thin = checks.integer("thin", self.thin, 1)
        burn_in = checks.integer("burn_in", self.burn_in, 0)
        checks.integer("burn_in + n_draws * thin", burn_in + n_draws * thin, 1, rng.LARGEST_WORD)
        rng.split_seed(self.seed)
        backend.target(self.device)
        return Sampling(n_chains, n_draws, thin, burn_in, self.seed, self.device, bool(self.progress))


def series_of(
    measure: Callable[[np.ndarray], np.ndarray], stack: Stack, visible: np.ndarray, sampling: Sampling, label: str
) -> np.ndarray:
    """What a function measures in the states of all rungs, burnt in, in each of n_draws draws.

    Parameters
    ----------
    measure : function
        Of states, shape (n_rungs, n_chains, n_visible), in the dtype of the weights, gives an array of the shape
        (..., n_chains).
    stack : Stack
    visible : array, shape (n_rungs, n_chains, n_visible)
        Where the chains start.
    sampling : Sampling
    label : str
        Of the bar.

    Returns
    -------
    float64, shape (..., n_chains, n_draws)

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.chains import stack
    >>> from mcgen.rbm.partition.simulation import Sampling, series_of
    >>> models = stack([rbm.RBM.random(n_visible=4, n_hidden=2, seed=seed) for seed in (1, 2, 3)])
    >>> sampling = Sampling(n_chains=10, n_draws=5, thin=1, burn_in=2, seed=1, device="cpu", progress=False)
    >>> series_of(lambda states: states.sum(axis=2), models, np.zeros((3, 10, 4)), sampling, "sweeps").shape
    (3, 10, 5)
    """
    chains = TemperingChains(stack, visible, rng.derive(sampling.seed, 2), backend.target(sampling.device))
    burn_in = [min(sampling.thin, sampling.burn_in - first) for first in range(0, sampling.burn_in, sampling.thin)]
    pieces = [*burn_in, *[sampling.thin] * sampling.n_draws]
    n_done, measured = 0, []
    with loops.begun() as loop:
        if loop.state is not None:
            states.put_back(chains, loop.state["chains"])
            n_done, measured = loop.state["n_done"], loop.state["measured"]
        with progress_bar(sum(pieces), label, sampling.progress, sum(pieces[:n_done])) as bar:
            for sweeps in pieces[n_done:]:
                chains.advance(sweeps)
                n_done += 1
                if n_done > len(burn_in):
                    measured.append(measure(chains.visible))
                loop.note(lambda: {"chains": states.taken(chains), "n_done": n_done, "measured": [*measured]})  # noqa: B023
                bar.update(sweeps)
    return np.stack(measured, axis=-1)


def settings_of(sampling: Sampling, reference: RBM) -> dict:
    """What a result remembers of the way in which it was sampled.

    Parameters
    ----------
    sampling : Sampling
    reference : RBM
        Where the ladder begins.
    """
    settings = sampling._asdict() | {"reference_bias": reference.visible_bias}
    del settings["progress"]
    return settings
