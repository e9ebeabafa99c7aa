"""Contenders that take turns, so that whatever slows the machine down slows all of them down."""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmark_parts.measuring import seconds, summary, sweeps_in

# Seconds of one look, what threads may run in it to count as asleep, and how long they are waited for at most.
LOOK, ASLEEP, PATIENCE = 0.005, 0.001, 1.0


class Quickest(NamedTuple):
    """The form of a contender that has the smallest median.

    Attributes
    ----------
    form : str
    seconds : float
        The median of one sweep.
    quartiles : list of 2 floats
    """

    form: str
    seconds: float
    quartiles: list[float]


def take_turns(
    contenders: dict[str, dict[str, Callable[[int], object]]], wanted: float, rounds: int
) -> dict[str, Quickest]:
    """What a sweep of each contender takes, by the quickest of the forms run(n_sweeps) that it has.

    In a round every form runs for one sweep and for as many more as take about the seconds wanted: what a call does
    besides sweeps (states that are drawn, a GPU that is filled, results that are gathered) takes the same time at both
    lengths and is not counted.
    """
    forms = {(name, form): run for name, listed in contenders.items() for form, run in listed.items()}
    lengths = {}
    for key, run in forms.items():
        let_threads_sleep()
        lengths[key] = sweeps_in(run, wanted)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in forms}
    for _ in range(rounds):
        for key, run in forms.items():
            let_threads_sleep()
            more = seconds_more(run, lengths[key])
            while more < wanted / 4:  # another process made it look slow when its sweeps were counted
                lengths[key] *= 2
                more = seconds_more(run, lengths[key])
            times[key].append(more / lengths[key])
    return {
        name: min((of_form(form, times[name, form]) for form in listed), key=lambda one: one.seconds)
        for name, listed in contenders.items()
    }


def let_threads_sleep() -> None:
    """Wait until no thread of this process runs: those of OpenBLAS look out for more work for a tenth of a second."""
    for _ in range(int(PATIENCE / LOOK)):
        start = time.process_time()
        time.sleep(LOOK)
        if time.process_time() - start < ASLEEP:
            return


def seconds_more(run: Callable[[int], object], n_sweeps: int) -> float:
    """The seconds that run takes for so many sweeps more than one."""
    short, long = (seconds(functools.partial(run, length)) for length in (1, 1 + n_sweeps))
    return long - short


def of_form(form: str, times: list[float]) -> Quickest:
    """Median and quartiles."""
    found = summary(times)
    return Quickest(form, found["seconds"], found["quartiles"])
