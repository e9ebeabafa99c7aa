"""Which samplers run on which lattices and temperatures, and for how long."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcgen import ising
from mcgen.errors import InputError
from mcgen.ising.exact import transfer
from mcgen.ising.methods import choose_walkers

SAMPLERS = {
    "metropolis": {"method": "metropolis", "kernel": "bit-sliced"},
    "metropolis-single": {"method": "metropolis", "kernel": "single-flip"},
    "heatbath": {"method": "heatbath", "kernel": "bit-sliced"},
    "heatbath-single": {"method": "heatbath", "kernel": "single-flip"},
    "wolff": {"method": "wolff"},
    "swendsen-wang": {"method": "swendsen-wang"},
    "tempering": {"method": "tempering"},
    "exact": {"method": "exact"},
}
CRITICAL = ising.exact.critical_temperature()
# A run has so many chains, and a call of the sampler so many runs.
N_CHAINS = 8
RUNS_PER_CALL = 10
# z: local updates forget in a time that grows as the correlation length to this power.
DYNAMIC_EXPONENT = 2.17
# Below the critical temperature, tori up to this size turn their magnetisation over now and then. These rare excursions
# dominate <M^2> - <|M|>^2: on 8 x 8 at T = 1.8 its squares have a skewness of 26, so that the mean of N independent
# draws is 13 / sqrt(N) of its quoted errors too small on average. Runs must be long to have enough excursions: with
# draws 4 instead of 16 sweeps apart, susceptibilities of single flips on 16 x 16 were 0.27 to 0.45 errors too small.
MOST_TURNING_SITES = 256


class Job(NamedTuple):
    """Runs of one sampler on one lattice: at one temperature or, for tempering, at several together."""

    sampler: str
    lattice: ising.Ising
    temperatures: tuple[float, ...]


def jobs(samplers: Sequence[str], lattices: Sequence[ising.Ising], temperatures: tuple[float, ...]) -> list[Job]:
    """All combinations that are possible, by lattice, sampler and temperature."""
    return [
        Job(sampler, lattice, together)
        for lattice in lattices
        for sampler in samplers
        if reaches(sampler, lattice)
        for together in together_at(sampler, lattice, temperatures)
    ]


def reaches(sampler: str, lattice: ising.Ising) -> bool:
    """Whether a sampler is for a lattice."""
    settings = SAMPLERS[sampler]
    try:
        if sampler == "exact":
            transfer.check(lattice, transfer.MOST_SAMPLE_BITS)
        elif sampler != "tempering":
            choose_walkers(lattice, settings["method"], N_CHAINS, "cpu", settings.get("kernel", "auto"))
    except InputError:
        return False
    return True


def together_at(sampler: str, lattice: ising.Ising, temperatures: tuple[float, ...]) -> list[tuple[float, ...]]:
    """The temperatures of each job: one, or all for tempering.

    A cold cylinder is left out: a wall between its two ends costs little and wanders for longer than any run.
    """
    possible = tuple(one for one in temperatures if all(lattice.periodic) or one >= CRITICAL)
    if sampler == "tempering":
        return [possible] if len(possible) > 1 else []
    return [(one,) for one in possible]


def plan(job: Job) -> dict[str, object]:
    """The number and the distance of the draws of a chain, and where it starts.

    Local updates forget in about min(L, xi)^z sweeps, with the correlation length 1 / xi = |2/T - ln coth(1/T)|.
    """
    single, n_sites = SAMPLERS[job.sampler].get("kernel") == "single-flip", job.lattice.n_sites
    turning = min(job.temperatures) < CRITICAL and n_sites <= MOST_TURNING_SITES
    n_draws = 2000 if turning else 500 if single and n_sites > MOST_TURNING_SITES else 1000
    if job.sampler == "exact":
        return {"n_draws": n_draws, "thin": 1, "burn_in": 0}
    if job.sampler in ("wolff", "swendsen-wang"):
        return {"n_draws": n_draws, "thin": 4 if turning else 1, "burn_in": 100}
    # All spins up: a cold lattice that starts at random can be caught in stripes for longer than any run.
    if job.sampler == "tempering":
        return {"n_draws": n_draws, "thin": 5, "burn_in": 500, "initial": "up"}
    length, temperature = max(job.lattice.shape), job.temperatures[0]
    inverse_correlation_length = abs(2 / temperature + np.log(np.tanh(1 / temperature)))
    sweeps = (length / max(1.0, length * inverse_correlation_length)) ** DYNAMIC_EXPONENT
    thin = 16 if turning else max(5, round(0.01 * sweeps))
    return {"n_draws": n_draws, "thin": thin, "burn_in": round(100 + sweeps), "initial": "up"}


def seconds(job: Job) -> float:
    """Roughly, for a call with RUNS_PER_CALL runs on one thread: the weight of a job in the time that is left."""
    lengths = plan(job)
    sweeps = RUNS_PER_CALL * N_CHAINS * (lengths["burn_in"] + lengths["n_draws"] * lengths["thin"])
    rate = 1e9 if SAMPLERS[job.sampler].get("kernel") == "bit-sliced" else 7e7
    return len(job.temperatures) * (sweeps * job.lattice.n_sites / rate + 0.1)


def name(lattice: ising.Ising) -> str:
    """How a lattice is called in the table."""
    return " x ".join(map(str, lattice.shape)) + ("" if all(lattice.periodic) else " cylinder")
