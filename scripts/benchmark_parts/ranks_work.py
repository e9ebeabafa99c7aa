"""One rank of a measurement: `mpiexec -n N python -m benchmark_parts.ranks_work CASE TIMES WANTED RUNS` prints JSON.

CASE is a name in CASES, TIMES how many times its size the work has, WANTED the seconds of each run.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmark_parts.measuring import summary
from mcgen import backend, ising, optim, parallel, rbm
from mcgen.ising.methods import make_walkers
from mcgen.ising.tempering import TemperingWalkers
from mcgen.parallel import Part, World
from mcgen.rbm.gradient import difference_of_phases
from mcgen.rbm.training.ascent import Ascent, Penalties
from mcgen.rbm.training.negative import negative_phase_named

SIDE, CHAINS = 64, 64
TEMPERING_SIDE, REPLICAS = 64, 64
N_VISIBLE, N_HIDDEN, ROWS, GIBBS_STEPS = 784, 500, 512, 5

Run = Callable[[int], object]


def sampling(world: World, times: int) -> Run:
    """Sweeps of independent chains of a lattice at its critical temperature."""
    n_chains = times * CHAINS
    mine = world.share(n_chains)
    states = np.ones((1, mine.stop - mine.start, SIDE**2), np.int8)
    arguments = np.array([2.269]), states, "metropolis", 1, backend.target("cpu")
    return make_walkers(ising.Ising((SIDE, SIDE)), *arguments, part=Part(mine.start, n_chains, world)).sweep


def tempering(world: World, times: int) -> Run:
    """Sweeps of the replicas of one ladder, with a round of swaps after each."""
    temperatures = np.linspace(1.8, 3.0, times * REPLICAS)
    states = np.ones((len(temperatures), 1, TEMPERING_SIDE**2), np.int8)
    part = Part(0, 1, replicas=world)
    arguments = "metropolis", 1, backend.target("cpu"), 0, "fixed", "single-flip"
    lattice = ising.Ising((TEMPERING_SIDE, TEMPERING_SIDE))
    return TemperingWalkers(lattice, temperatures, states, *arguments, part=part).sweep


def training(world: World, times: int) -> Run:
    """Updates of an RBM by persistent contrastive divergence."""
    n_rows = times * ROWS
    rows = (np.random.default_rng(0).random((n_rows, N_VISIBLE)) < 0.2).astype(np.float32)
    weights = np.full(n_rows, 1 / n_rows)
    model = rbm.RBM.random(N_VISIBLE, N_HIDDEN, seed=1, dtype=np.float32)
    negative = negative_phase_named("pcd", model, rows, n_rows, (0.0, 1.0), 1, "cpu", world)
    ascent = Ascent(model, optim.named("adam", 0.5), Penalties())

    def run(n_updates: int) -> None:
        for _ in range(n_updates):
            negative.advance(ascent.model, rows, GIBBS_STEPS)
            phases = difference_of_phases(ascent.model, rows, weights, negative.visible, None, "cpu", world)
            ascent.step(phases.gradient, 1e-4, 1)

    return run


CASES = {"sampling": sampling, "tempering": tempering, "training": training}


def seconds(world: World, run: Run, n: int) -> float:
    """How long all ranks take for n pieces of work."""
    world.wait()
    start = time.perf_counter()
    run(n)
    world.wait()
    return world.from_first(time.perf_counter() - start)


def measured(world: World, run: Run, wanted: float, runs: int) -> dict:
    """Median and quartiles of the seconds of one piece of work."""
    run(1)
    n = 1
    while seconds(world, run, n) < wanted:
        n *= 2
    return summary([seconds(world, run, n) / n for _ in range(runs)])


def main(times: str, wanted: str, runs: str) -> None:
    """Measure all cases and print what was found, by name: to start the ranks takes longer than quick work."""
    world = parallel.world()
    found = {name: measured(world, case(world, int(times)), float(wanted), int(runs)) for name, case in CASES.items()}
    if world.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
