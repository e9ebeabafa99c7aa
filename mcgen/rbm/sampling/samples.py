"""Visible states drawn from an RBM, with what says how good they are."""

import dataclasses
import functools
import math

import numpy as np

from mcgen import stats
from mcgen.rbm.model import RBM
from mcgen.rbm.tempering import Exchange


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Visible states drawn from an RBM, with what is needed to draw them again.

    Attributes
    ----------
    states : int8, or the model's dtype for continuous units, shape (n_chains, n_draws, n_visible)
    free_energy : float64, shape (n_chains, n_draws)
        F(v) of each state: the energy of the visible layer alone, -log p(v) up to a constant.
    magnetization : float64, shape (n_chains, n_draws)
        The sum of each state.
    model : RBM
    method : str
    seed, thin, burn_in : int
    device : str
    kernel : str
        How Gibbs sweeps were made on the device: "products" of matrices (on a CPU always), or on a GPU "shared" or
        "global", after the memory that holds the weights. "" for the other methods.
    acceptance_rate : float
        Of Metropolis proposals; NaN for the other methods.
    exchange : Exchange or None
        Of tempering: swap rates and round trips.
    """

    states: np.ndarray
    free_energy: np.ndarray
    magnetization: np.ndarray
    model: RBM
    method: str
    seed: int
    thin: int
    burn_in: int
    device: str
    kernel: str
    acceptance_rate: float
    exchange: Exchange | None = None

    @functools.cached_property
    def diagnostics(self) -> dict[str, stats.Diagnosis]:
        """Mean and error, split R-hat, autocorrelation time and effective sample size of the two series."""
        return {name: stats.diagnose(getattr(self, name)) for name in ("free_energy", "magnetization")}

    def __repr__(self) -> str:
        n_chains, n_draws, _ = self.states.shape
        lines = [f"{n_chains} chains x {n_draws} draws of {self.model!r} by {self.method}, thin={self.thin}"]
        lines += [f"  {name:13} {diagnosis}" for name, diagnosis in self.diagnostics.items()]
        if not math.isnan(self.acceptance_rate):
            lines.append(f"  acceptance rate {self.acceptance_rate:.3f}")
        if self.exchange is not None:
            rates = self.exchange.swap_rates
            tried = rates[np.isfinite(rates)]
            words = f"swap rates {tried.min():.2f} to {tried.max():.2f}" if tried.size else "no swap was tried"
            lines.append(
                f"  ladder of {len(rates) + 1} models, {words}, "
                f"{self.exchange.round_trips} round trips in {self.exchange.n_sweeps} sweeps of {n_chains} chains"
            )
        return "\n".join(lines)


def warn_of_bad_draws(run: Samples, different: bool = False, stacklevel: int = 2) -> None:
    """Warn (StatisticsWarning) where the first draws still remember the start, or chains disagree.

    Parameters
    ----------
    run : Samples
        Its states may be missing.
    different : bool
        Whether the chains have distributions of their own, and every right to differ.
    stacklevel : int
        Whose line the warning shows: 2 is the caller's.
    """
    if run.method == "exact":
        return
    for name, series in (("free energy", run.free_energy), ("magnetization", run.magnetization)):
        if not stats.warn_of_short_burn_in(series, run.thin, name, stacklevel=stacklevel + 1).enough:
            return  # one warning is enough
        if different:
            continue
        diagnosis = run.diagnostics[name.replace(" ", "_")]
        if not stats.warn_of_disagreement(diagnosis, series.shape, name, stacklevel=stacklevel + 1):
            return
