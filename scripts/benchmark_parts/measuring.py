"""Clocks: how long something takes, and how much of it takes so long."""

import functools
import math
import statistics
import time
from collections.abc import Callable
from importlib import metadata

import numpy as np

from mcgen import stats


def measure(work: Callable[[], object], runs: int) -> dict[str, float]:
    """Median and quartiles of the seconds that `work` takes, after one run that does not count."""
    work()
    return summary([seconds(work) for _ in range(runs)])


def summary(times: list[float]) -> dict[str, float]:
    """Median and quartiles of several runs."""
    low, _, high = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
    return {"seconds": statistics.median(times), "quartiles": [low, high], "runs": len(times)}


def quickest(times: list[float]) -> dict[str, float]:
    """The best of several runs, which is what limits others, and in place of quartiles the best and the median."""
    return {"seconds": min(times), "quartiles": [min(times), statistics.median(times)], "runs": len(times)}


def scaled(own: dict, factor: float) -> dict:
    """The same measurement, of so many times the work."""
    return own | {"seconds": own["seconds"] * factor, "quartiles": [time * factor for time in own["quartiles"]]}


def autocorrelation_time(series: np.ndarray, thin: int, groups: int) -> tuple[float, float]:
    """The time in sweeps of draws that are `thin` sweeps apart, with the error that groups of chains show."""
    taus = thin * np.array([stats.integrated_time(group) for group in np.split(series, groups)])
    return float(taus.mean()), float(taus.std(ddof=1) / math.sqrt(groups))


def seconds(work: Callable[[], object]) -> float:
    """The seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def sweeps_in(run: Callable[[int], object], wanted: float) -> int:
    """How many sweeps run(n_sweeps) makes in the seconds wanted, beyond the time of a call with one sweep."""
    run(1)  # what is compiled or allocated once
    one = min(seconds(functools.partial(run, 1)) for _ in range(3))
    n, more = 1, 0.0
    while more < max(wanted / 4, one):  # longer than what a call varies by
        n *= 4
        more = seconds(functools.partial(run, n)) - one
    return math.ceil(n * wanted / more) if more < wanted else n


def sweep_rate(run: Callable[[int], object], wanted: float, runs: int) -> dict[str, float]:
    """Sweeps a second of run(n_sweeps), and the cores that it uses, from the difference between two lengths.

    What a call does besides sweeps (a graph that is built, results that are gathered) takes the same time at both
    lengths and is not counted. Medians of several runs.
    """
    n = sweeps_in(run, wanted)
    rates, cores = [], []
    while len(rates) < runs:
        walls, processors = [], []
        for length in (1, 1 + n):
            start = time.process_time()
            walls.append(seconds(functools.partial(run, length)))
            processors.append(time.process_time() - start)
        more = walls[1] - walls[0]
        if more < wanted / 4:  # another process slowed the short run down, or made sweeps look slow when counted
            n *= 2
            continue
        rates.append(n / more)
        cores.append((processors[1] - processors[0]) / more)
    return {"sweeps_per_second": statistics.median(rates), "cores": statistics.median(cores), "runs": runs}


def installed(name: str) -> bool:
    """Whether a package is there."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
