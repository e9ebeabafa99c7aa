"""Exact lattices: sums over all states, transfer matrices, closed forms."""

import argparse
from collections.abc import Iterator

import numpy as np

from benchmark_parts.measuring import measure
from mcgen import ising
from mcgen.ising.exact import summation, transfer


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
