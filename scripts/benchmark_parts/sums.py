"""Exact sums of RBMs, and how their time grows with the sizes of the layers.

Reference: rbms (PyTorch), which lists all states of the smaller layer, and the rate of multiply-adds that this machine
reaches in registers. A term is one unit of the summed layer in one state; it takes one multiply-add and one
multiplication, so the limit is two of them for each term.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numba
import numpy as np

from benchmark_parts.measuring import installed, measure, quickest
from benchmark_parts.rows import row
from mcgen import rbm
from mcgen._vectors import wide_vectors
from mcgen.rbm import exact


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


def multiply_add() -> dict:
    """Seconds of one multiply-add in float64, on all threads together: the best of several is what limits."""
    threads, n = numba.get_num_threads(), 200_000
    results = np.empty(threads)
    _multiply_add(results, 1)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        _multiply_add(results, n)
        times.append((time.perf_counter() - start) / (threads * n * 1024))
    return quickest(times)


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


def sums(arguments: argparse.Namespace) -> Iterator[dict]:
    """Exact log Z and moments of RBMs."""
    on_cpu = arguments.device == "cpu"
    least = multiply_add() if on_cpu else None
    if least:
        yield row("multiply-add in registers, float64", least)
    sizes = [(20, 20), (784, 20), (784, 24), (30, 30)]
    if not on_cpu:
        sizes += [(784, 28), (34, 34)] if arguments.quick else [(784, 30), (34, 34), (36, 36)]
    for n_visible, n_hidden in sizes:
        model = random_model(n_visible, n_hidden)
        value = exact.log_partition(model, arguments.device, progress=False)
        own = measure(lambda model=model: exact.log_partition(model, arguments.device, progress=False), arguments.runs)
        n_terms = n_visible << n_hidden
        limit = {"limit": "multiply-adds", "limit_seconds": 2 * n_terms * least["seconds"]} if least else {}
        peers = {}
        if installed("rbms") and on_cpu and n_hidden == 20 and not (arguments.quick and n_visible > 20):
            peer, seconds_to_list = rbms_log_partition(model)
            difference = abs(peer() / value - 1)
            peers["rbms"] = measure(peer, min(3, arguments.runs)) | {
                "seconds_to_list": seconds_to_list, "difference": difference
            }  # fmt: skip
        work = f"log Z of an RBM, {n_visible} x {n_hidden}"
        yield row(work, own, peers, **limit, terms_per_second=n_terms / own["seconds"])
    for n_visible, n_hidden in [(16, 16), (784, 16), (784, 20)]:
        model = random_model(n_visible, n_hidden)
        own = measure(lambda model=model: exact.moments(model, arguments.device, progress=False), arguments.runs)
        yield row(f"moments and gradient of an RBM, {n_visible} x {n_hidden}", own)


def scaling(arguments: argparse.Namespace) -> Iterator[dict]:
    """The time of log Z against the sizes of the two layers."""
    last = 24 if arguments.quick else 26
    sizes = [(784, n) for n in range(18, last + 1)] + [(n, 22) for n in (49, 98, 196, 392, 784, 1568)]
    for n_visible, n_hidden in sizes:
        model = random_model(n_visible, n_hidden)
        own = measure(
            lambda model=model: exact.log_partition(model, arguments.device, progress=False), min(5, arguments.runs)
        )
        yield row(f"log Z of an RBM, {n_visible} x {n_hidden}", own)
