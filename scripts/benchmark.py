"""How fast mcgen is: each piece of work against a peer or against what the machine can do at most, in one run.

Question: how many times faster than what else can be installed, and how far from the limit of the arithmetic?
Reference: rbms 0.5.0 (PyTorch), which lists all states of the smaller layer, and the rate of multiply-adds that this
machine reaches in registers. A term is one unit of the summed layer in one state; it takes one multiply-add and one
multiplication, so the limit for terms is half of that rate.
Expected: on two cores with AVX-512, some 500 times rbms at 784 x 20, and two thirds of the limit or more.
Time: half a minute with --quick; otherwise two to five minutes, most of it the peer's (and 8 GB of memory for it).

    python scripts/benchmark.py --quick
    pip install '.[bench]' && python scripts/benchmark.py --output benchmark.json
    python scripts/benchmark.py --device cuda --output benchmark-gpu.json

Times are medians of several runs after a warm-up, in seconds, with the quartiles in the JSON.
The peer needs PyTorch, of which the build for processors alone (from download.pytorch.org/whl/cpu) is enough and small.
"""

import argparse
import datetime
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numba
import numpy as np

from mcgen import backend, ising, rbm
from mcgen._vectors import wide_vectors
from mcgen.ising.exact import summation, transfer
from mcgen.rbm import exact

PEERS = ("rbms", "torch")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under two minutes: smaller work, no slow peers")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for mcgen's kernels")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS), help="what to measure")
    parser.add_argument("--runs", type=int, default=7, help="runs of each piece of work (peers: at most 3)")
    parser.add_argument("--output", default=None, help="JSON file to write")
    return parser.parse_args(argv)


def measure(work: Callable[[], object], runs: int) -> dict[str, float]:
    """Median and quartiles of the seconds that `work` takes, after one run that does not count."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    low, _, high = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
    return {"seconds": statistics.median(times), "quartiles": [low, high], "runs": runs}


@numba.njit(parallel=True, error_model="numpy", fastmath={"contract"})
def _multiply_add(results: np.ndarray, n: int) -> None:
    """Multiply-adds on 64 numbers that stay in registers, on every thread: 1024 n each."""
    for thread in numba.prange(results.shape[0]):
        wide_vectors()
        numbers = np.full(64, 1.0 + 1e-9 * thread)
        for _ in range(n):
            for k in range(64):
                x = numbers[k]
                for _ in range(16):
                    x = x * 0.9999999 + 1e-9
                numbers[k] = x
        results[thread] = numbers.sum()


def multiply_add_peak() -> float:
    """Multiply-adds a second in float64 that this processor reaches on all threads: the best of several."""
    threads, n = numba.get_num_threads(), 200_000
    results = np.empty(threads)
    _multiply_add(results, 1)
    best = 0.0
    for _ in range(10):
        start = time.perf_counter()
        _multiply_add(results, n)
        best = max(best, threads * n * 1024 / (time.perf_counter() - start))
    return best


def random_model(n_visible: int, n_hidden: int, scale: float = 0.05) -> rbm.RBM:
    """Normal weights and biases."""
    random = np.random.default_rng(1)
    return rbm.RBM(*(scale * random.normal(size=shape) for shape in ((n_visible, n_hidden), n_visible, n_hidden)))


def rbms_log_partition(model: rbm.RBM) -> tuple[Callable[[], float], float]:
    """The same sum by rbms in float32, and the seconds in which it lists the states of the smaller layer for it."""
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM
    from rbms.partition_function.exact import compute_partition_function
    from rbms.utils import get_categorical_configurations

    parameters = [torch.tensor(array, dtype=torch.float32) for array in model.parameters]
    peer = BBRBM(*parameters)
    start = time.perf_counter()
    listed = get_categorical_configurations(2, model.n_hidden)
    return lambda: compute_partition_function(peer, listed), time.perf_counter() - start


def installed(name: str) -> bool:
    """Whether a package is there."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def sums(arguments: argparse.Namespace) -> Iterator[dict]:
    """Exact log Z and moments of RBMs."""
    on_cpu = arguments.device == "cpu"
    peak = multiply_add_peak() if on_cpu else None
    if peak:
        yield {"work": "multiply-adds in registers, float64", "per_second": peak, "unit": "multiply-adds/s"}
    sizes = [(20, 20), (784, 20), (784, 24), (30, 30)]
    if not on_cpu:
        sizes += [(784, 28), (34, 34)] if arguments.quick else [(784, 30), (34, 34), (36, 36)]
    for n_visible, n_hidden in sizes:
        model = random_model(n_visible, n_hidden)
        value = exact.log_partition(model, arguments.device, progress=False)
        row = {"work": f"log Z, {n_visible} x {n_hidden}"} | measure(
            lambda model=model: exact.log_partition(model, arguments.device, progress=False), arguments.runs
        )
        row["per_second"] = (n_visible << n_hidden) / row["seconds"]
        row["unit"] = "terms/s"
        if peak:
            row["limit"], row["fraction"] = peak / 2, row["per_second"] / (peak / 2)
        if installed("rbms") and on_cpu and n_hidden == 20 and not (arguments.quick and n_visible > 20):
            peer, row["peer_seconds_to_list"] = rbms_log_partition(model)
            row["peer"] = f"rbms {metadata.version('rbms')}"
            row["peer_difference"] = abs(peer() / value - 1)
            row["peer_seconds"] = measure(peer, min(3, arguments.runs))["seconds"]
            row["ratio"] = row["peer_seconds"] / row["seconds"]
            row["ratio_with_listing"] = (row["peer_seconds"] + row["peer_seconds_to_list"]) / row["seconds"]
        yield row
    for n_visible, n_hidden in [(16, 16), (784, 16), (784, 20)]:
        model = random_model(n_visible, n_hidden)
        row = {"work": f"moments and gradient, {n_visible} x {n_hidden}"} | measure(
            lambda model=model: exact.moments(model, arguments.device, progress=False), arguments.runs
        )
        yield row | {"per_second": (n_visible << n_hidden) / row["seconds"], "unit": "terms/s"}


def scaling(arguments: argparse.Namespace) -> Iterator[dict]:
    """The time of log Z against the sizes of the two layers."""
    last = 24 if arguments.quick else 26
    sizes = [(784, n) for n in range(18, last + 1)] + [(n, 22) for n in (49, 98, 196, 392, 784, 1568)]
    for n_visible, n_hidden in sizes:
        model = random_model(n_visible, n_hidden)
        row = {"work": f"scaling, log Z, {n_visible} x {n_hidden}"} | measure(
            lambda model=model: exact.log_partition(model, arguments.device, progress=False), min(5, arguments.runs)
        )
        yield row | {"per_second": (n_visible << n_hidden) / row["seconds"], "unit": "terms/s"}


def lattices(arguments: argparse.Namespace) -> Iterator[dict]:
    """Exact lattices."""
    random = np.random.default_rng(2)
    few = min(3, arguments.runs)
    n = 28 if arguments.quick else 32
    glass = ising.Ising((4, n // 4), random.normal(size=(2, 4, n // 4)), random.normal(size=(4, n // 4)))
    row = {"work": f"enumeration, {n} sites, any couplings and fields"} | measure(
        lambda: summation.summarize(glass, 2.0, arguments.device), few
    )
    yield row | {"per_second": 2.0**n / row["seconds"], "unit": "states/s"}
    width = 16 if arguments.quick else 20
    couplings = random.normal(size=(2, width, width))
    strip = ising.Ising((width, width), couplings, periodic=(False, True))
    steps = width * width * 2.0 ** transfer.frontier(strip)
    for name, work in (("log Z", transfer.log_partition), ("moments", transfer.moments)):
        row = {"work": f"transfer matrix, {name}, {width} x {width} cylinder, any couplings"} | measure(
            lambda work=work: work(strip, 2.0, arguments.device), few
        )
        yield row | {"per_second": steps / row["seconds"], "unit": "state updates/s"}
    for length in (16, 32):
        torus = ising.Ising((length, length))
        yield {"work": f"density of states, {length} x {length} torus"} | measure(
            lambda torus=torus: ising.exact.density_of_states(torus), few
        )
    large = ising.Ising((1024, 1024))
    yield {"work": "Kaufman, 1024 x 1024 torus"} | measure(
        lambda: ising.exact.thermodynamics(large, 2.269, method="kaufman"), few
    )


PARTS = {"sums": sums, "scaling": scaling, "lattices": lattices}


def processor() -> str:
    """The name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine(device: str) -> dict:
    """What the figures were measured on."""
    from llvmlite import binding

    libraries = ("mcgen", "numpy", "numba", "llvmlite", "scipy", *PEERS)
    features = binding.get_host_cpu_features()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": processor(),
        "instructions": "AVX-512" if features.get("avx512f") else "AVX2" if features.get("avx2") else "other",
        "threads": numba.get_num_threads(),
        "device": backend.target(device).describe(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in libraries if installed(name)},
    }


def per_second(number: float, unit: str) -> str:
    """123.4e9 as "123e9 terms/s"."""
    power = 3 * max(0, int(np.log10(number) // 3))
    return f"{number / 10**power:.3g}e{power} {unit}"


def line(row: dict) -> str:
    """One row of the table."""
    seconds = f"{row['seconds']:.3g} s" if "seconds" in row else ""
    rate = per_second(row["per_second"], row["unit"]) if "per_second" in row else ""
    peer = f"{row['peer']}: {row['peer_seconds']:.3g} s" if "peer" in row else ""
    ratio = f"{row['ratio']:.0f}x" if "ratio" in row else ""
    fraction = f"{100 * row['fraction']:.0f}%" if "fraction" in row else ""
    return f"{row['work']:57} {seconds:>10} {rate:>24} {peer:>19} {ratio:>6} {fraction:>9}".rstrip()


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, write the JSON."""
    arguments = parse(argv)
    where = machine(arguments.device)
    print(f"{where['processor']} ({where['instructions']}), {where['threads']} threads; device {where['device']}")
    print(f"{where['date']}, " + ", ".join(f"{name} {version}" for name, version in where["libraries"].items()))
    print(f"{'work':57} {'mcgen':>10} {'rate':>24} {'peer':>19} {'ratio':>6} {'of limit':>9}")
    rows = []
    for part in arguments.parts:
        for row in PARTS[part](arguments):
            rows.append({"part": part} | row)
            print(line(row), flush=True)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps({"machine": where, "results": rows}, indent=1) + "\n")
        print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
