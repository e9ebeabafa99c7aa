"""How fast the samplers of RBMs are: one sweep of all chains, against peers and against its matrix products alone.

A block Gibbs sweep draws h given v and v given h, and can take no less than its two matrix products (products.py). A
Metropolis sweep makes n_visible proposals in each chain on the marginal p(v); its peer is NumPy, by the proposal. What
the two are worth in effective samples is in rbm_effective.py. Models are float32, and times are medians of rounds in
which mcgen, the products and the peers take turns.

Weights are drawn with standard deviation 0.05, which is typical of trained machines, and biases are 0. One more row has
a visible bias with which about 13 percent of the visible units are on, as pixels of handwritten digits are.
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from benchmark_parts.alternating import take_turns
from benchmark_parts.products import floors
from benchmark_parts.rbm_effective import effective
from benchmark_parts.rbm_peers import mcgen_sweeps, numpy_metropolis, peers_for
from benchmark_parts.rows import of_turns, row
from mcgen import rbm as machines

# Seconds of sweeps in each run, in full and quick.
WANTED, WANTED_QUICK = 0.3, 0.02
# Runs where the work is quick, or a sweep long.
FEW_RUNS = 3
SCALE = 0.05
# Fields of visible units then vary by 0.8 (500 hidden units, half of them on) around this number.
SPARSE_BIAS = -2.1
# Quick work is that of the first size and of small models, with so many times fewer chains.
FEWER = 4


class Case(NamedTuple):
    """What to sweep: the sizes of the layers, how many chains, and the bias of every visible unit."""

    n_visible: int
    n_hidden: int
    n_chains: int
    visible_bias: float = 0.0

    def words(self) -> str:
        """What it is, in a row of the table."""
        sparse = ", few units on" if self.visible_bias else ""
        return f"{self.n_visible} x {self.n_hidden}{sparse}, {self.n_chains} chains"

    def model(self) -> machines.RBM:
        """The machine, in float32."""
        model = machines.RBM.random(self.n_visible, self.n_hidden, seed=1, scale=SCALE, dtype=np.float32)
        visible_bias = np.full(self.n_visible, self.visible_bias, np.float32)
        return model.replace(model.weights, visible_bias, model.hidden_bias)


GIBBS = (
    Case(784, 500, 1000),
    Case(784, 500, 1000, SPARSE_BIAS),
    Case(64, 64, 4096),
    Case(256, 256, 4096),
    Case(1024, 1024, 4096),
)
METROPOLIS = (Case(784, 500, 1000), Case(64, 64, 4096))


def cases(listed: tuple[Case, ...], quick: bool) -> list[Case]:
    """What is swept."""
    if not quick:
        return list(listed)
    sizes = (listed[0][:2], (64, 64))
    return [case._replace(n_chains=case.n_chains // FEWER) for case in listed if case[:2] in sizes]


def gibbs(case: Case, device: str, wanted: float, runs: int) -> dict:
    """A Gibbs sweep of all chains, against its products and peers."""
    model, n_chains = case.model(), case.n_chains
    contenders = {"mcgen": {"gibbs": mcgen_sweeps(model, n_chains, device, "gibbs")}}
    for name, forms in ({"floor": floors(device)} | peers_for(device)).items():
        contenders[name] = {form.__name__: form(model, n_chains, device) for form in forms}
    quickest = take_turns({name: forms for name, forms in contenders.items() if forms}, wanted, runs)
    return of_turns(f"Gibbs sweep, {case.words()}", quickest, runs)


def metropolis(case: Case, device: str, wanted: float, runs: int) -> dict:
    """A Metropolis sweep of all chains, against proposals by NumPy, of which a few are enough."""
    model, n_chains = case.model(), case.n_chains
    own, peer = take_turns(
        {
            "mcgen": {"metropolis": mcgen_sweeps(model, n_chains, device, "metropolis")},
            "numpy": {"numpy_metropolis": numpy_metropolis(model, n_chains, device)},
        },
        wanted,
        runs,
    ).values()
    numpy = {"form": peer.form, "seconds": case.n_visible * peer.seconds}  # of one proposal in each chain
    return row(f"Metropolis sweep, {case.words()}", own._asdict() | {"runs": runs}, {"numpy": numpy})


def rbm(arguments: argparse.Namespace) -> Iterator[dict]:
    """All rows."""
    wanted = WANTED_QUICK if arguments.quick else WANTED
    few = min(FEW_RUNS, arguments.runs)
    for case in cases(GIBBS, arguments.quick):
        yield gibbs(case, arguments.device, wanted, few if arguments.quick else arguments.runs)
    for case in cases(METROPOLIS, arguments.quick):
        yield metropolis(case, arguments.device, wanted, few)
    yield from effective(arguments, wanted)
