"""How work is shared out among processes by MPI: strong and weak scaling, and what the ranks tell each other.

Strong scaling: the same work on more ranks. Weak scaling: as much work for each rank. Efficiency is the time on one
rank over that on several (strong: over their number times that), with one thread each. Ranks that share the caches and
the memory of one machine take turns at them: an efficiency below 1 on two cores of one processor is not that of two
machines.

Bytes are those that each rank gets per sweep (tempering: energy and magnetisation of every replica) or update of the
weights (training: the states of the chains, the hidden means of all rows, the gradient), computed from the sizes;
sampling has none, but for some counts at the end.

The last column is computed, not measured: the efficiency of 1,000 ranks on a network with LATENCY for each of the
log2(1000) steps of an allgather and BANDWIDTH into each rank. What does not become less with more ranks (decisions on
swaps, the optimiser, Python) is taken from the two times of strong scaling: of t1 = s + p and t2 = s + p / 2 + (the
transfers), s = 2 t2 - t1 at most. For sampling it is the efficiency of weak scaling; for training that of strong
scaling, since a batch is as large as the learning wants it, and 1,000 ranks have half a row each; for tempering that
of weak scaling of one ladder, whose replicas all have to know each other's energies. Where there are enough chains of
a tempering, these are shared out instead, as in sampling.
"""

import argparse
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmark_parts import ranks_work as sizes
from benchmark_parts.rows import row

# Assumed, not measured: InfiniBand of 100 Gb/s with less than 1 us (Panda, The MVAPICH2 Project, SC'18), twice that
# between two programs.
LATENCY, BANDWIDTH = 2e-6, 12.5e9
MANY = 1000
WANTED, WANTED_QUICK = 1.0, 0.1
FOLDER = Path(__file__).parents[1]
WORK = {
    "sampling": f"sweep of {sizes.CHAINS} chains, {sizes.SIDE} x {sizes.SIDE}",
    "tempering": f"sweep and swaps of {sizes.REPLICAS} replicas, {sizes.TEMPERING_SIDE} x {sizes.TEMPERING_SIDE}",
    "training": f"update, PCD-{sizes.GIBBS_STEPS}, {sizes.N_VISIBLE} x {sizes.N_HIDDEN}, {sizes.ROWS} rows and chains",
}


def transfers(name: str, times: int = 1) -> tuple[int, int]:
    """Bytes that each rank gets in a sweep or update of work so many times as large, and in how many gathers.

    Those that come from itself are counted: of many ranks they are few.
    """
    if name == "sampling":
        return 0, 0
    if name == "tempering":  # the energy in float64, and the magnetisation, an integer
        return times * sizes.REPLICAS * 16, 2
    rows = times * sizes.ROWS
    states, means = rows * sizes.N_VISIBLE, 4 * 2 * rows * sizes.N_HIDDEN
    return states + means + 4 * (sizes.N_VISIBLE * sizes.N_HIDDEN + sizes.N_VISIBLE), 4


def of_ranks(n_ranks: int, times: int, wanted: float, runs: int) -> dict[str, dict]:
    """Median, quartiles and runs of each kind of work, so many times as large, on some ranks of one thread each."""
    python = [sys.executable, "-m", "benchmark_parts.ranks_work", str(times), str(wanted), str(runs)]
    environment = os.environ | {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [mpiexec(), "-n", str(n_ranks), *python]
    done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def mpiexec() -> str | None:
    """The program that starts ranks: that beside Python, or another one."""
    return shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def of_many(name: str, one: float, two: float) -> float:
    """The efficiency of MANY ranks, computed: see the first lines of this file."""
    fixed = max(0.0, 2 * two - one)
    times = 1 if name == "training" else MANY  # strong, weak
    n_bytes, n_gathers = transfers(name, times)
    on_the_way = n_gathers * LATENCY * math.ceil(math.log2(MANY)) + n_bytes / BANDWIDTH
    if name == "training":
        return one / (MANY * (fixed + (one - fixed) / MANY + on_the_way))
    # Decisions on the swaps of all replicas are made on every rank: they grow with the ladder.
    more = (MANY - 1) * fixed if name == "tempering" else 0.0
    return one / (one + more + on_the_way)


def ranks(arguments: argparse.Namespace) -> Iterator[dict]:
    """Two rows for each kind of work: strong and weak scaling."""
    if mpiexec() is None or importlib.util.find_spec("mpi4py") is None:
        print("ranks: not measured, mpi4py or mpiexec are missing (pip install mpi4py mpich)", file=sys.stderr)
        return
    wanted = WANTED_QUICK if arguments.quick else WANTED
    runs = min(3, arguments.runs)
    found = [of_ranks(*how, wanted, runs) for how in ((1, 1), (2, 1), (2, 2))]
    for name, work in WORK.items():
        one, strong, weak = (one[name] for one in found)
        n_bytes, n_gathers = transfers(name)
        more = {
            "bytes": n_bytes, "gathers": n_gathers, "latency_assumed": LATENCY, "bandwidth_assumed": BANDWIDTH,
            "efficiency_of_many": of_many(name, one["seconds"], strong["seconds"]),
        }  # fmt: skip
        yield row(
            f"2 ranks: {work}", strong, limit="half of 1 rank's", limit_seconds=one["seconds"] / 2,
            seconds_of_one=one["seconds"], **more,
        )  # fmt: skip
        yield row("2 ranks, each as much as that", weak, limit="1 rank's", limit_seconds=one["seconds"])
