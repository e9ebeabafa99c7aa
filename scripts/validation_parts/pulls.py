"""What runs are compared with, and how far off they are in units of their own errors."""

import dataclasses
import time
import warnings

import numpy as np

from mcgen import ising, observables, rng
from mcgen.errors import StatisticsWarning
from mcgen.stats import Estimate
from validation_parts.jobs import N_CHAINS, RUNS_PER_CALL, SAMPLERS, Job, name, plan

OBSERVABLES = {
    "energy": "energy",
    "heat_capacity": "heat capacity",
    "abs_magnetization": "<|M|>",
    "abs_susceptibility": "susceptibility",
    "binder_ratio": "<M^4>/<M^2>^2",
}
LARGEST_MEAN = 0.3
DEVIATIONS = 0.8, 1.2
# Chains and draws of a reference run: as many draws as 200 runs, which makes its error 1/14 of theirs.
REFERENCE_CHAINS, REFERENCE_DRAWS = 200 * N_CHAINS, 1000


def reference(lattice: ising.Ising, temperature: float, seed: int) -> tuple[dict[str, Estimate], dict[str, float]]:
    """The observables, exact with the error 0 or of a long run, and the pulls of that run where both are known."""
    thermo = ising.exact.thermodynamics(lattice, temperature)
    exact = {key: getattr(thermo, key, np.nan) for key in OBSERVABLES}
    if np.isfinite(thermo.abs_magnetization):
        levels, p = ising.exact.magnetization_distribution(lattice, temperature)
        exact["binder_ratio"] = (p @ levels**4) / (p @ levels**2) ** 2
    known = {key: Estimate(float(value), 0.0, np.nan, np.nan) for key, value in exact.items() if np.isfinite(value)}
    if len(known) == len(OBSERVABLES):
        return known, {}
    run = ising.sample(
        lattice, temperature, n_chains=REFERENCE_CHAINS, n_draws=REFERENCE_DRAWS, thin=1, burn_in=100,
        method="wolff", seed=seed, keep_states=False,
    )  # fmt: skip
    sampled = summary(run, slice(None))
    return sampled | known, {key: float(pulls([sampled[key]], known[key])[0]) for key in known}


def summary(samples: ising.Samples, chains: slice) -> dict[str, Estimate]:
    """The observables of some of the chains."""
    # |M| in place of M: cold chains keep their sign, and would be warned of although nothing here depends on it.
    part = dataclasses.replace(
        samples,
        states=samples.states[chains],
        energy=samples.energy[chains],
        magnetization=np.abs(samples.magnetization[chains]),
    )
    found = observables.summary(part, samples.lattice, samples.temperature)
    return {key: found[key] for key in OBSERVABLES}


def estimates(job: Job, n_calls: int, seed: int) -> tuple[list[dict[str, list[Estimate]]], list[str]]:
    """The observables of all runs at each temperature of a job, and the warnings that there were."""
    found = [{key: [] for key in OBSERVABLES} for _ in job.temperatures]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StatisticsWarning)
        for call in range(n_calls):
            drawn = ising.sample(
                job.lattice,
                job.temperatures if job.sampler == "tempering" else job.temperatures[0],
                n_chains=RUNS_PER_CALL * N_CHAINS,
                seed=rng.derive(seed, call),
                keep_states=False,
                **SAMPLERS[job.sampler],
                **plan(job),
            )
            for lists, samples in zip(found, drawn if isinstance(drawn, list) else [drawn], strict=True):
                for first in range(0, RUNS_PER_CALL * N_CHAINS, N_CHAINS):
                    for key, estimate in summary(samples, slice(first, first + N_CHAINS)).items():
                        lists[key].append(estimate)
    return found, [str(one.message) for one in caught if issubclass(one.category, StatisticsWarning)]


def pulls(estimates: list[Estimate], reference: Estimate) -> np.ndarray:
    """(estimate - reference) / error of each run, with the error of the reference, if it has one, in the error.

    A run without an error bar has the pull 0 if it is exactly right, and an infinite one if it is not.
    """
    off = np.array([one.value for one in estimates]) - reference.value
    error = np.hypot([one.error for one in estimates], reference.error)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(off == 0, 0.0, off / error)


def verdict(pulls: np.ndarray) -> dict[str, float | bool]:
    """Mean and standard deviation of pulls, how many are beyond 2, and whether mean and deviation are in their limits.

    Pulls that are not finite count as outside of the limits.
    """
    if not np.isfinite(pulls).all():
        return {"mean": np.inf, "deviation": np.inf, "beyond_2": np.inf, "largest": np.inf, "honest": False}
    mean, deviation = float(pulls.mean()), float(pulls.std(ddof=1))
    return {
        "mean": mean,
        "deviation": deviation,
        "beyond_2": float((np.abs(pulls) > 2).mean()),
        "largest": float(np.abs(pulls).max()),
        "honest": abs(mean) <= LARGEST_MEAN and DEVIATIONS[0] <= deviation <= DEVIATIONS[1],
    }


def rows(job: Job, references: list[dict[str, Estimate]], n_calls: int, seed: int) -> list[dict]:
    """One row of the table for each temperature of a job."""
    start = time.monotonic()
    found, warned = estimates(job, n_calls, seed)
    common = {
        "sampler": job.sampler,
        "lattice": name(job.lattice),
        "runs": n_calls * RUNS_PER_CALL,
        "settings": plan(job) | {"n_chains": N_CHAINS},
        "warnings": warned,
        "seconds": time.monotonic() - start,
    }
    return [
        common
        | {
            "temperature": temperature,
            "observables": {
                key: {
                    "reference": truth[key].value,
                    "reference_error": truth[key].error,
                    "median_error": float(np.median([one.error for one in lists[key]])),
                    "autocorrelation_time": float(np.median([one.autocorrelation_time for one in lists[key]])),
                }
                | verdict(pulls(lists[key], truth[key]))
                for key in OBSERVABLES
            },
        }
        for temperature, lists, truth in zip(job.temperatures, found, references, strict=True)
    ]
