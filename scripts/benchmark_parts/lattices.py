"""Exact lattices: sums over all states, transfer matrices, closed forms."""

import argparse
from collections.abc import Iterator

import numpy as np

from benchmark_parts.measuring import measure
from benchmark_parts.rows import row
from mcgen import ising
from mcgen.ising.exact import summation, transfer


def lattices(arguments: argparse.Namespace) -> Iterator[dict]:
    """Exact lattices."""
    random = np.random.default_rng(2)
    few = min(3, arguments.runs)
    n = 28 if arguments.quick else 32
    glass = ising.Ising((4, n // 4), random.normal(size=(2, 4, n // 4)), random.normal(size=(4, n // 4)))
    own = measure(lambda: summation.summarize(glass, 2.0, arguments.device), few)
    yield row(f"enumeration of {n} sites, any couplings and fields", own, states_per_second=2.0**n / own["seconds"])
    width = 16 if arguments.quick else 20
    couplings = random.normal(size=(2, width, width))
    strip = ising.Ising((width, width), couplings, periodic=(False, True))
    for name, work in (("log Z", transfer.log_partition), ("moments", transfer.moments)):
        own = measure(lambda work=work: work(strip, 2.0, arguments.device), few)
        yield row(f"transfer matrix, {name}, {width} x {width} cylinder, any couplings", own)
    for length in (16, 32):
        torus = ising.Ising((length, length))
        own = measure(lambda torus=torus: ising.exact.density_of_states(torus), few)
        yield row(f"density of states, {length} x {length} torus", own)
    large = ising.Ising((1024, 1024))
    own = measure(lambda: ising.exact.thermodynamics(large, 2.269, method="kaufman"), few)
    yield row("Kaufman's closed form, 1024 x 1024 torus", own)
