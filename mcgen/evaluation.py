"""How right a model of lattice spins is: exact values and observables of truth, data and model, side by side."""

import math
from collections.abc import Sequence

import numpy as np

from mcgen import enumeration, ising, observables, rbm, vae
from mcgen.errors import InputError
from mcgen.ising import Ising
from mcgen.rbm import RBM
from mcgen.rbm.units import TwoLevel

# Exact values of the truth are part of every evaluation where they take no longer.
MOST_SECONDS = 60.0
# Sites of the lattices whose states a VAE is compared with one by one.
MOST_SITES_OF_VAE = 16
# Error of the divergence of a VAE from its truth, in nats.
TOLERANCE = 1e-3

# Rows of the table: observables per site.
PER_SITE = {
    "energy": "energy per site",
    "abs_magnetization": "|magnetization| per site",
    "heat_capacity": "heat capacity per site",
}


def evaluate(
    model: RBM,
    lattice: Ising,
    temperature: float,
    data: object,
    samples: object,
    test: np.ndarray | None = None,
    device: str = "cpu",
) -> tuple[dict[str, float], dict[str, float]]:
    """Compare a model with the Ising model that its data come from.

    Parameters
    ----------
    model : RBM
        With lattice.n_sites visible units of two levels, in row-major order, and any hidden ones.
    lattice : Ising
    temperature : float
    data, samples : ising.Samples, rbm.Samples or arrays of states
        What the model was trained on, and what was drawn from it.
    test : array, shape (n_rows, n_visible), optional
        Independent rows from the truth, as states of the visible units, for the log-likelihood.
    device : {"cpu", "cuda"}

    Returns
    -------
    exact : dict
        log_partition_truth, log_partition_model, kl_divergence and, with test rows, test_log_likelihood (mean log p(v)
        of the model) and best_log_likelihood (the same of the truth, which no model can beat on average), each with
        NAME_error, the standard error of the mean over the rows. NaN where a sum is out of reach.
    observables : dict
        For each observable NAME of `observables.summary`: NAME_truth (exact), NAME_data and NAME_model with
        NAME_data_error and NAME_model_error, and NAME_model_exact from the enumerated model. Totals over the lattice.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not a state, or the visible states are no spins (see `has_spins`).

    Examples
    --------
    >>> from mcgen import ising, rbm
    >>> from mcgen.evaluation import evaluate
    >>> lattice = ising.Ising((2, 2))
    >>> data = ising.sample(lattice, temperature=5.0, n_chains=100, n_draws=10, seed=1)
    >>> model = rbm.RBM.random(n_visible=4, n_hidden=2, seed=1, visible="spin", hidden="spin")
    >>> exact, table = evaluate(model, lattice, 5.0, data, rbm.sample(model, n_chains=100, n_draws=10, seed=2))
    >>> round(exact["log_partition_truth"], 6), round(table["energy_truth"], 6)
    (3.105029, -3.40738)
    """
    if not has_spins(model, lattice):
        raise InputError(
            f"{model!r} cannot be compared with a lattice of {lattice.n_sites} spins: it needs as many visible units "
            "of the kind 'spin' or 'bernoulli'; use rbm.exact and stats for what the model has of its own"
        )
    nan = float("nan")
    exact = {"log_partition_truth": nan, "log_partition_model": nan, "kl_divergence": nan}
    enumerable = lattice.n_sites <= enumeration.MOST_LISTED_UNITS
    summable = rbm.exact.is_quick(model)
    if summable:
        exact["log_partition_model"] = rbm.exact.log_partition(model, device)
    thermo, table = _side_by_side(lattice, temperature, data, samples, device)
    if thermo is not None:
        exact["log_partition_truth"] = thermo.log_partition
    if enumerable:
        truth = ising.exact.probabilities(lattice, temperature, device)
        log_model = rbm.exact.log_probabilities(model, device)
        exact["kl_divergence"] = enumeration.kl_divergence(truth, log_model)
        of_model = ising.exact.averages(lattice, np.exp(log_model), temperature, device)
        for name in observables.NAMES:
            table[f"{name}_model_exact"] = of_model[name]
    if test is not None:
        if summable:
            rows = -model.free_energy(test, device) - exact["log_partition_model"]
            exact |= _mean_with_error("test_log_likelihood", rows)
        if thermo is not None:
            spins = observables.spins(test, lattice)
            rows = -lattice.energy(spins) / temperature - exact["log_partition_truth"]
            exact |= _mean_with_error("best_log_likelihood", rows)
    return exact, table


def evaluate_vae(
    net: vae.VAE,
    lattice: Ising,
    temperature: float,
    data: object,
    samples: object,
    condition: Sequence[float] | None = None,
    n_importance: int | None = 500,
    most_latents: int = 3,
    seed: int = 0,
    progress: bool = False,
) -> tuple[dict[str, float], dict[str, float]]:
    """Compare a VAE with the Ising model that its data come from.

    Parameters
    ----------
    net : VAE or ConditionalVAE
        Of lattice.n_sites features with two levels, in row-major order.
    lattice : Ising
    temperature : float
    data, samples : array of states, Samples or Draws
        What the model was trained on, and what was drawn from it.
    condition : array, shape (n_conditions,), optional
        For a ConditionalVAE.
    n_importance : int, optional
        Draws for each state where the divergence is estimated; None leaves it out there.
    most_latents : int
        Up to so many latents, at most 3, the divergence is exact, by quadrature. Three take minutes.
    seed : int
        Of the estimate, 0 to 2**64 - 1.
    progress : bool
        Show progress on standard error.

    Returns
    -------
    exact : dict
        log_partition_truth; kl_divergence, KL(truth || model) in nats, on lattices of up to 16 sites, with
        kl_divergence_error; kl_by_quadrature, 1 where it is exact and 0 where it is estimated by importance sampling
        (less its leading bias). NaN where a sum is out of reach.
    observables : dict
        As of `evaluate`, without NAME_model_exact.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not a state, or the features are no spins (see `has_spins`).

    Examples
    --------
    >>> from mcgen import ising, vae
    >>> from mcgen.evaluation import evaluate_vae
    >>> lattice = ising.Ising((2, 2))
    >>> data = ising.sample(lattice, temperature=5.0, n_chains=100, n_draws=10, seed=1)
    >>> net = vae.VAE(n_features=4, hidden=(8,), n_latent=1, decoder="spin", activation="tanh", seed=0)
    >>> exact, table = evaluate_vae(net, lattice, 5.0, data, net.sample(1000, seed=2))
    >>> exact["kl_by_quadrature"], bool(exact["kl_divergence"] > 0), round(table["energy_truth"], 6)
    (1.0, True, -3.40738)
    """
    if not has_spins(net, lattice):
        raise InputError(
            f"{net!r} cannot be compared with a lattice of {lattice.n_sites} spins: it needs as many features and a "
            "spin or bernoulli decoder; use vae.elbo and vae.log_likelihood for what the model has of its own"
        )
    nan = float("nan")
    exact = dict.fromkeys(("log_partition_truth", "kl_divergence", "kl_divergence_error", "kl_by_quadrature"), nan)
    thermo, table = _side_by_side(lattice, temperature, data, samples, "cpu")
    if thermo is not None:
        exact["log_partition_truth"] = thermo.log_partition
    if lattice.n_sites <= MOST_SITES_OF_VAE:
        truth = ising.exact.probabilities(lattice, temperature)
        found = _by_quadrature(truth, net, condition) if net.n_latent <= most_latents else None
        exact["kl_by_quadrature"] = float(found is not None)
        if found is None and n_importance is not None:
            estimate = vae.kl_estimate(truth, net, n_importance, condition, seed, progress)
            found = estimate.value - estimate.bias, estimate.error
        if found is not None:
            exact["kl_divergence"], exact["kl_divergence_error"] = map(float, found)
    return exact, table


def _by_quadrature(truth: np.ndarray, net: vae.VAE, condition: Sequence[float] | None) -> tuple[float, float] | None:
    """KL(truth || net) and its error; None for a model that is too sharp for any grid."""
    try:
        found = vae.kl_divergence(truth, net, condition, TOLERANCE)
    except InputError:  # also a SizeError
        return None
    return found.value, found.error


def _side_by_side(
    lattice: Ising, temperature: float, data: object, samples: object, device: str
) -> tuple[ising.exact.Thermodynamics | None, dict[str, float]]:
    """The exact thermodynamics, where they are quick, and the observables of truth, data and model."""
    thermo = _thermodynamics(lattice, temperature, device)
    table = _columns_of_truth(thermo)
    for source, run in (("data", data), ("model", samples)):
        for name, estimate in observables.summary(run, lattice, temperature).items():
            table[f"{name}_{source}"] = estimate.value
            table[f"{name}_{source}_error"] = estimate.error
    return thermo, table


def exact_observables(lattice: Ising, temperature: float) -> dict[str, float]:
    """The exact observables of a lattice as NAME_truth, totals; none where they would take more than a minute.

    Parameters
    ----------
    lattice : Ising
    temperature : float

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> from mcgen import evaluation, ising
    >>> round(evaluation.exact_observables(ising.Ising((2, 2)), 5.0)["energy_truth"], 6)
    -3.40738
    """
    return _columns_of_truth(_thermodynamics(lattice, temperature, "cpu"))


def _columns_of_truth(thermo: ising.exact.Thermodynamics | None) -> dict[str, float]:
    return {} if thermo is None else {f"{name}_truth": getattr(thermo, name) for name in observables.NAMES}


def has_spins(model: RBM | vae.VAE, lattice: Ising | None) -> bool:
    """Whether the visible states of a model are those of a lattice: units of two levels, one for each site.

    Parameters
    ----------
    model : RBM, VAE or ConditionalVAE
    lattice : Ising or None

    Returns
    -------
    bool

    Examples
    --------
    >>> from mcgen import ising, rbm
    >>> from mcgen.evaluation import has_spins
    >>> lattice = ising.Ising((2, 3))
    >>> [has_spins(rbm.RBM.random(6, 2, seed=1, visible=kind), lattice) for kind in ("spin", "bernoulli", "gaussian")]
    [True, True, False]
    """
    if lattice is None:
        return False
    if isinstance(model, vae.VAE):
        return isinstance(model.decoder_kind, vae.Bernoulli | vae.Spin) and model.n_features == lattice.n_sites
    return isinstance(model.visible, TwoLevel) and model.n_visible == lattice.n_sites


def _thermodynamics(lattice: Ising, temperature: float, device: str) -> ising.exact.Thermodynamics | None:
    """The exact values of the truth, where they take a minute at most."""
    plans = {plan.method: plan for plan in ising.exact.plans(lattice)}
    if min(plan.seconds for plan in plans.values()) > MOST_SECONDS:
        return None
    method = ising.exact.choose_method(lattice)
    return (
        ising.exact.thermodynamics(lattice, temperature, device, method)
        if plans[method].seconds < MOST_SECONDS
        else None
    )


def _mean_with_error(name: str, rows: np.ndarray) -> dict[str, float]:
    return dict(zip((name, f"{name}_error"), mean_and_error(rows), strict=True))


def mean_and_error(rows: np.ndarray) -> tuple[float, float]:
    """The mean over rows and its standard error, rows taken as independent: sqrt(sum (x - mean)^2 / (n (n - 1))).

    Parameters
    ----------
    rows : array, shape (n_rows,)

    Returns
    -------
    mean, error : float
        The error of a single row is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import evaluation
    >>> evaluation.mean_and_error(np.array([1.0, 3.0]))
    (2.0, 1.0)
    """
    return float(rows.mean()), float(rows.std(ddof=1) / math.sqrt(len(rows))) if len(rows) > 1 else math.nan


def columns(rows: Sequence[dict[str, float]]) -> dict[str, np.ndarray]:
    """One dict for each temperature, as a dict of arrays over temperature; NaN where a row lacks a name.

    Examples
    --------
    >>> from mcgen import evaluation
    >>> evaluation.columns([{"a": 1.0}, {"a": 2.0}])["a"].tolist()
    [1.0, 2.0]
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, float("nan")) for row in rows]) for name in names}
