"""Monte Carlo sampling of the visible layer of an RBM."""

import dataclasses

import numpy as np

from mcgen import backend, checks, rng
from mcgen.errors import InputError
from mcgen.progress import progress as progress_bar
from mcgen.rbm.model import RBM

METHODS = ("gibbs", "metropolis")

# Unit updates times fan-in in one kernel call: long enough to hide its start, short enough for progress and Ctrl-C.
OPERATIONS_PER_CALL = 200_000_000


@dataclasses.dataclass(frozen=True)
class Samples:
    """Visible states drawn from an RBM, with what is needed to draw them again.

    Attributes
    ----------
    states : int8, shape (n_chains, n_draws, n_visible)
    free_energy : float64, shape (n_chains, n_draws)
        F(v) of each state.
    model : RBM
    method : str
    seed, thin, burn_in : int
    device : str
    flip_rate : float
        Metropolis: the fraction of proposals that was accepted. Gibbs: NaN.
    """

    states: np.ndarray
    free_energy: np.ndarray
    model: RBM
    method: str
    seed: int
    thin: int
    burn_in: int
    device: str
    flip_rate: float


class Chains:
    """Markov chains on the visible layer: the states, and how many sweeps they have made.

    The position in the random stream is `n_sweeps`, so that chains that go on later get the numbers they would have
    got.

    Attributes
    ----------
    visible : int8, shape (n_chains, n_visible)
    n_sweeps : int
    n_flips : int64, shape (n_chains,)
        Accepted proposals, Metropolis only.
    """

    def __init__(self, visible: np.ndarray, seed: int, n_sweeps: int = 0):
        self.visible = np.ascontiguousarray(visible, np.int8)
        self.seed = seed
        self.n_sweeps = n_sweeps
        self.n_flips = np.zeros(len(visible), np.int64)

    def advance(
        self, model: RBM, n_sweeps: int, n_draws: int = 0, method: str = "gibbs", device: str = "cpu"
    ) -> np.ndarray:
        """Make n_sweeps sweeps and return n_draws evenly spaced states, int8 (n_chains, n_draws, n_visible).

        The states of the chains are updated in place. With n_draws > 0, n_sweeps must be a multiple of it.
        """
        target = backend.target(device)
        kernels = target.kernels("rbm")
        n_chains = len(self.visible)
        visible = target.to_device(self.visible)
        draws = target.to_device(np.empty((n_chains, n_draws, model.n_visible), np.int8))
        thin = n_sweeps // n_draws if n_draws else max(1, n_sweeps)
        weights, visible_bias, hidden_bias = map(target.to_device, model.parameters)
        tail = (
            model.visible.low,
            model.hidden.low,
            n_sweeps,
            thin,
            np.int64(self.n_sweeps),
            *rng.split_seed(self.seed),
        )
        if method == "gibbs":
            hidden = target.to_device(np.empty((n_chains, model.n_hidden), np.int8))
            transposed = target.to_device(np.ascontiguousarray(model.weights.T))
            arrays = (visible, hidden, draws, weights, transposed, visible_bias, hidden_bias)
            target.launch(kernels.gibbs_sweeps, n_chains, max(model.n_visible, model.n_hidden), *arrays, *tail)
        else:
            flips = target.to_device(self.n_flips)
            fields = target.to_device(np.empty((n_chains, model.n_hidden)))
            arrays = (visible, draws, flips, fields, weights, visible_bias, hidden_bias)
            target.launch(kernels.metropolis_sweeps, n_chains, 1, *arrays, *tail)
            self.n_flips = target.to_host(flips)
        self.visible = target.to_host(visible)
        self.n_sweeps += n_sweeps
        return target.to_host(draws)


def random_states(model: RBM, n_chains: int, seed: int) -> np.ndarray:
    """Visible states with every unit up or down with probability 1/2: int8 (n_chains, n_visible)."""
    words = rng.words(seed, rng.purpose.RBM_START, n_chains, model.n_visible)
    return np.where(words >> np.uint32(31), 1, model.visible.low).astype(np.int8)


def sample(
    model: RBM,
    n_chains: int = 256,
    n_draws: int = 100,
    thin: int = 5,
    burn_in: int = 500,
    method: str = "gibbs",
    seed: int = 0,
    device: str = "cpu",
    initial: np.ndarray | None = None,
    progress: bool = False,
) -> Samples:
    """Draw visible states from p(v) = sum_h e^{-E(v, h)} / Z.

    Parameters
    ----------
    model : RBM
    n_chains, n_draws : int
        Independent Markov chains, and states kept of each.
    thin : int
        Sweeps between kept states.
    burn_in : int
        Sweeps before the first.
    method : {"gibbs", "metropolis"}
        A Gibbs sweep draws h given v, then v given h, each as one block. A Metropolis sweep proposes n_visible flips of
        randomly chosen single units, with the hidden layer summed out.
    seed : int
        0 to 2**64 - 1.
    device : {"cpu", "cuda"}
    initial : array, shape (n_chains, n_visible), optional
        Where the chains start; by default every unit is up with probability 1/2.
    progress : bool
        Show progress on standard error.

    Returns
    -------
    Samples
        The same seed gives the same states for any number of threads.

    Raises
    ------
    InputError
        If an argument is out of range.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Geman & Geman, IEEE PAMI 6, 721 (1984). Hastings, Biometrika 57, 97 (1970).

    Examples
    --------
    >>> from mcgen import rbm
    >>> model = rbm.RBM.random(n_visible=16, n_hidden=4, seed=1)
    >>> rbm.sample(model, n_chains=8, n_draws=5, thin=1, burn_in=3, seed=4).states.shape
    (8, 5, 16)
    """
    n_chains = checks.integer("n_chains", n_chains, 1)
    n_draws = checks.integer("n_draws", n_draws, 1)
    thin = checks.integer("thin", thin, 1)
    burn_in = checks.integer("burn_in", burn_in, 0)
    checks.choice("method", method, METHODS)
    rng.split_seed(seed)
    n_sweeps = burn_in + n_draws * thin
    checks.integer("burn_in + n_draws * thin", n_sweeps, 1, rng.LARGEST_WORD)
    backend.target(device)
    if initial is None:
        initial = random_states(model, n_chains, seed)
    else:
        initial = model.check_visible(initial, "initial", exact_states=True)
        if initial.shape != (n_chains, model.n_visible):
            raise InputError(f"initial has shape {initial.shape}; its shape must be {(n_chains, model.n_visible)}")
    chains = Chains(initial, seed)
    kept = np.empty((n_chains, n_draws, model.n_visible), np.int8)
    sweep_cost = n_chains * model.n_visible * model.n_hidden * (model.n_visible if method == "metropolis" else 1)
    sweeps_per_call = max(1, OPERATIONS_PER_CALL // sweep_cost)
    with progress_bar(n_sweeps, f"{method} sweeps", progress) as bar:
        while chains.n_sweeps < burn_in:
            sweeps = min(sweeps_per_call, burn_in - chains.n_sweeps)
            chains.advance(model, sweeps, 0, method, device)
            bar.update(sweeps)
        draws_per_call = max(1, sweeps_per_call // thin)
        for first in range(0, n_draws, draws_per_call):
            n_now = min(draws_per_call, n_draws - first)
            kept[:, first : first + n_now] = chains.advance(model, n_now * thin, n_now, method, device)
            bar.update(n_now * thin)
    proposals = n_sweeps * n_chains * model.n_visible
    flip_rate = float(chains.n_flips.sum() / proposals) if method == "metropolis" else float("nan")
    free_energy = model.free_energy(kept)
    return Samples(kept, free_energy, model, method, seed, thin, burn_in, device, flip_rate)
