"""How fast variational autoencoders learn: one step of Adam and one epoch, against PyTorch and against the products.

A step is the forward pass of a batch, the gradient and the change of all parameters. It can take no less than its
matrix products alone, by NumPy's or PyTorch's BLAS, whichever is quicker (of dense models: convolutions have no such
limit). The peers are two ways of PyTorch (vae_peers.py).
Models are float32 with ReLU and Bernoulli data of 28 x 28 pixels, and times are medians of rounds in which all take
turns. Everything runs on the processor.
"""

import argparse
import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmark_parts.alternating import let_threads_sleep, of_form, take_turns
from benchmark_parts.measuring import seconds
from benchmark_parts.rows import of_turns
from benchmark_parts.vae_peers import floors, mcgen_epochs, mcgen_steps, peers
from mcgen import vae as models

# Seconds of steps in each run, in full and quick.
WANTED, WANTED_QUICK = 0.3, 0.02
# Batches of quick work.
QUICK_BATCHES = (128,)
# Runs where the work is quick, or an epoch.
FEW_RUNS = 3
# Batches that steps go through again and again; about as many pixels are on as of handwritten digits.
N_BATCHES = 20
PIXELS_ON = 0.13


class Case(NamedTuple):
    """A model, and the rows of a batch."""

    hidden: tuple[int, ...]
    n_latent: int
    batch: int
    n_features: int = 784
    convolution: models.Convolution | None = None

    def words(self) -> str:
        """What it is, in a row of the table."""
        if self.convolution:
            return f"Keras' convolutional VAE, batch {self.batch}"
        return "VAE " + "-".join(map(str, (self.n_features, *self.hidden, self.n_latent))) + f", batch {self.batch}"

    def model(self) -> models.VAE:
        """The model before the first step."""
        n_features = None if self.convolution else self.n_features
        return models.VAE(n_features, self.hidden, self.n_latent, convolution=self.convolution, seed=1)

    def rows(self, n_rows: int) -> np.ndarray:
        """Random bits, int8 (n_rows, n_features)."""
        n_features = self.convolution.n_features if self.convolution else self.n_features
        return (np.random.default_rng(1).random((n_rows, n_features), np.float32) < PIXELS_ON).astype(np.int8)


STEPS = (
    Case((400, 400), 20, 32),
    Case((400, 400), 20, 128),
    Case((400, 400), 20, 1024),
    Case((16,), 2, 128, convolution=models.Convolution((28, 28, 1), (32, 64))),
)
# The network of the lecture notes, and their rows.
EPOCH, EPOCH_ROWS, EPOCH_ROWS_QUICK = Case((256, 128), 16, 128), 55_000, 5_500


def forms(case: Case, x: np.ndarray) -> dict[str, dict[str, Callable[[int], object]]]:
    """The peers' run(n_steps) on the rows, and the floor's, by names; channels_last is for images."""
    listed = {} if case.convolution else {"floor": floors()}
    for name, ways in peers().items():
        listed[name] = ways if case.convolution else ways[:1]
    model = case.model()
    return {name: {way.__name__: way(model, x, case.batch) for way in ways} for name, ways in listed.items()}


def step(case: Case, wanted: float, runs: int) -> dict:
    """One step of Adam."""
    x = case.rows(N_BATCHES * case.batch)
    contenders = {"mcgen": {"vae.train": mcgen_steps(case.model(), x, case.batch)}} | forms(case, x)
    return of_turns(f"training step, {case.words()}", take_turns(contenders, wanted, runs), runs)


def epoch(case: Case, n_rows: int, runs: int) -> dict:
    """One epoch, of mcgen by `vae.train` with all that it does besides steps, of PyTorch as so many steps."""
    x = case.rows(n_rows)
    n_steps = -(-n_rows // case.batch)
    contenders = {"mcgen": {"vae.train": functools.partial(mcgen_epochs(case.model(), x, case.batch), 1)}}
    for name, ways in forms(case, x).items():
        contenders[name] = {form: functools.partial(run, n_steps) for form, run in ways.items()}
    times = {(name, form): [] for name, ways in contenders.items() for form in ways}
    for turn in range(runs + 1):
        for name, form in times:
            let_threads_sleep()
            taken = seconds(contenders[name][form])
            if turn:  # the first time something may be compiled
                times[name, form].append(taken)
    quickest = {name: of_form(form, taken) for (name, form), taken in times.items()}
    return of_turns(f"epoch, {case.words()}, {n_rows:,} rows", quickest, runs)


def vae(arguments: argparse.Namespace) -> Iterator[dict]:
    """All rows."""
    few = min(FEW_RUNS, arguments.runs)
    for case in STEPS:
        if not arguments.quick:
            yield step(case, WANTED, arguments.runs)
        elif case.batch in QUICK_BATCHES:
            yield step(case, WANTED_QUICK, few)
    yield epoch(EPOCH, EPOCH_ROWS_QUICK if arguments.quick else EPOCH_ROWS, few)
