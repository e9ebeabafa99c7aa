"""How fast mcgen is: each piece of work against peers and against what the machine can do at most, in one run.

Question: how many times faster than what else can be installed, how far from the limit of the arithmetic, and which
sampler is the quickest at the critical point?
Parts: sums and scaling (RBMs against rbms 0.5), lattices (exact answers), sampling (updates of spins against
dwave-samplers, OpenJij, PyTorch and a plain loop, and what an independent configuration costs), rbm (sweeps of RBMs
against their matrix products alone, PyTorch, rbms, scikit-learn and NumPy, and what an effective sample costs),
learning (updates of RBMs and annealed importance sampling, against the products, rbms and scikit-learn), vae (steps of
training of variational autoencoders against their matrix products alone and PyTorch), ranks (one and two processes that
share work out by MPI). The files in benchmark_parts say what is compared with what, and what the limits are.
Expected: on two cores with AVX-512, some 500 times rbms at 784 x 20, and two thirds of the limit or more.
Time: some two minutes with --quick once kernels are compiled; otherwise a quarter of an hour, a third of it the slow
peer's of the sums (and 8 GB of memory for it).

    python scripts/benchmark.py --quick
    pip install '.[bench]' && python scripts/benchmark.py --output benchmark.json
    python scripts/benchmark.py --parts learning --images train.amat valid.amat test.amat
    python scripts/benchmark.py --device cuda --output benchmark-gpu.json
    python scripts/benchmark.py --show benchmark.json

A line is one piece of work: its time, what part of it the limit would take (the multiply-adds, random bits or matrix
products alone, on the same cores), and times of peers over that of mcgen. Times are medians of several runs after a
warm-up, with the quartiles in the JSON.
Of PyTorch, the build for processors alone (from download.pytorch.org/whl/cpu) is enough and small.
"""

import argparse
import datetime
import json
import platform
import sys
from importlib import metadata
from pathlib import Path

import numba
from benchmark_parts import table
from benchmark_parts.lattices import lattices
from benchmark_parts.learning import learning
from benchmark_parts.measuring import installed
from benchmark_parts.products import kernel_families
from benchmark_parts.ranks import ranks
from benchmark_parts.rbm_sweeps import rbm
from benchmark_parts.sampling import sampling
from benchmark_parts.sums import scaling, sums
from benchmark_parts.vae_steps import vae

from mcgen import backend

PARTS = {
    "sums": sums,
    "scaling": scaling,
    "lattices": lattices,
    "sampling": sampling,
    "rbm": rbm,
    "learning": learning,
    "vae": vae,
    "ranks": ranks,
}
# Parts that measure the processor alone.
WITHOUT_DEVICE = ("vae", "ranks")
# All but what says little more than another part.
USUAL = [part for part in PARTS if part != "scaling"]
QUICK_RUNS = 3
LIBRARIES = (
    *("mcgen", "numpy", "numba", "llvmlite", "scipy", "threadpoolctl"),
    *("rbms", "torch", "scikit-learn", "dwave-samplers", "openjij"),
)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="some two minutes: smaller work, no slow peers")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for mcgen's kernels")
    parser.add_argument("--parts", nargs="+", default=USUAL, choices=list(PARTS), help="what to measure")
    parser.add_argument("--runs", type=int, default=7, help="runs of each piece of work (peers: at most 3)")
    parser.add_argument(
        "--images", nargs="+", default=[], metavar="PATH", help="for learning: TRAIN [[VALIDATION] TEST]"
    )
    parser.add_argument("--output", default=None, help="JSON file to write; parts in it that are not measured are kept")
    parser.add_argument(
        "--show", default=None, metavar="FILE", help="print the table of a JSON file, of the parts; measure nothing"
    )
    arguments = parser.parse_args(argv)
    if arguments.device != "cpu":
        if arguments.parts == USUAL:
            arguments.parts = [part for part in USUAL if part not in WITHOUT_DEVICE]
        for part in set(arguments.parts) & set(WITHOUT_DEVICE):
            parser.error(f"--parts {part} has no kernels for {arguments.device}; leave it out, or use --device cpu")
    if arguments.quick:
        arguments.runs = min(arguments.runs, QUICK_RUNS)
    if arguments.runs < 1:
        parser.error(f"--runs {arguments.runs} is too small; give at least 1")
    return arguments


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

    features = binding.get_host_cpu_features()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": processor(),
        "instructions": "AVX-512" if features.get("avx512f") else "AVX2" if features.get("avx2") else "other",
        "threads": numba.get_num_threads(),
        "device": backend.target(device).describe(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "blas": kernel_families(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES if installed(name)},
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, write the JSON: for each part the machine and the rows."""
    arguments = parse(argv)
    if arguments.show:
        record = json.loads(Path(arguments.show).read_text())
        print("\n".join(table.lines({part: record[part] for part in arguments.parts if part in record})))
        return 0
    output = Path(arguments.output) if arguments.output else None
    record = json.loads(output.read_text()) if output and output.exists() else {}
    where = machine(arguments.device)
    print(table.heading(where, where["libraries"]))
    for part in arguments.parts:
        rows = []
        for row in PARTS[part](arguments):
            rows.append(row)
            print(table.line(row), flush=True)
        record[part] = {"machine": where, "results": rows}
        if output:  # after every part: nothing is lost if the next one is stopped
            output.write_text(json.dumps(record, indent=1) + "\n")
    if output:
        print(f"wrote {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
