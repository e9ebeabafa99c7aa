"""How fast RBMs learn, and how fast log Z is estimated: updates of PCD and steps of annealing, against peers.

An update is the positive phase of a batch, k Gibbs sweeps of as many chains, the negative phase and the step. It can
take no less than its matrix products alone, those of k + 2 sweeps (the means of both phases and the products with the
states are as many multiplications). `rbm.train` is measured as a whole, with its columns of the history and its
tracking of log Z. A step of annealing is a Gibbs sweep of all runs and the change
of their weights. Models are float32, rows are random bits of which 13 percent are on, and times are medians of rounds
in which all take turns.

With --images, binary images of digits, say, all trainers get the same seconds from the same start for a model that is
small enough for the exact log Z, and what counts is log p of images that they have not seen: its mean, and by how much
peers have less on the same images.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from vae_parts.images import read_data

from benchmark_parts.alternating import take_turns
from benchmark_parts.learning_peers import annealers, mcgen_annealing, mcgen_updates, trainers
from benchmark_parts.products import floors
from benchmark_parts.rbm_sweeps import Case
from benchmark_parts.rows import of_turns, row
from mcgen import rbm
from mcgen.evaluation import mean_and_error
from mcgen.stats import format_error

# Seconds of work in each run, in full and quick.
WANTED, WANTED_QUICK = 0.5, 0.1
FEW_RUNS = 3
N_VISIBLE, N_HIDDEN, N_HIDDEN_QUICK, BATCH = 784, 500, 16, 500
# Of an epoch: 50,000 images, and fewer when quick.
UPDATES_PER_EPOCH, UPDATES_PER_EPOCH_QUICK = 100, 10
PIXELS_ON = 0.13
GIBBS_STEPS = (1, 10)
ANNEALING_RUNS = 1000
# Of the trainings that get the same seconds: hidden units, rows of a step, seconds, more epochs than fit into
# them, and the learning rate.
N_FEW_HIDDEN, FEW_ROWS, SECONDS, SECONDS_QUICK, ENDLESS, RATE = 20, 100, 30.0, 3.0, 10_000, 0.02


def updates(gibbs_steps: int, n_hidden: int, per_epoch: int, wanted: float, runs: int) -> dict:
    """An update of PCD-k."""
    case = Case(N_VISIBLE, n_hidden, BATCH)
    model = case.model()
    x = (np.random.default_rng(1).random((per_epoch * BATCH, N_VISIBLE), np.float32) < PIXELS_ON).astype(np.float32)
    arguments = model, x, BATCH, gibbs_steps
    contenders: dict[str, dict[str, Callable]] = {"mcgen": {"rbm.train": mcgen_updates(*arguments)}}
    for name, peer in trainers(gibbs_steps).items():
        contenders[name] = {peer.__name__: peer(*arguments)}
    quickest = take_turns(contenders, wanted, runs)
    forms = {form.__name__: form(model, BATCH, "cpu") for form in floors("cpu")}
    quickest |= take_turns({"floor": forms}, min(wanted, 0.3), runs)
    work = f"update of PCD-{gibbs_steps}, RBM {N_VISIBLE} x {n_hidden}, {BATCH} rows and chains"
    return of_turns(work, quickest, runs, products=gibbs_steps + 2, per=per_epoch)


def annealing(n_runs: int, device: str, wanted: float, runs: int) -> dict:
    """One temperature of annealed importance sampling."""
    model = Case(N_VISIBLE, N_HIDDEN, n_runs).model()
    contenders: dict[str, dict[str, Callable]] = {"mcgen": {"ais": mcgen_annealing(model, n_runs, device)}}
    if device == "cpu":
        for name, peer in annealers().items():
            contenders[name] = {peer.__name__: peer(model, n_runs)}
    work = f"a temperature of AIS, RBM {N_VISIBLE} x {N_HIDDEN}, {n_runs} runs"
    return of_turns(work, take_turns(contenders, wanted, runs), runs)


def likelihoods(train: np.ndarray, test: np.ndarray, seconds: float) -> dict:
    """The mean log-likelihood of test rows after trainings that all take the same time."""
    n_visible = train.shape[1]
    start = rbm.RBM.random(n_visible, N_FEW_HIDDEN, seed=1, dtype=np.float32)
    start = rbm.start_from_data(start, train)
    arguments = start, start.check_rows(train), FEW_ROWS, 1, seconds, RATE
    runs = {"mcgen": mcgen_updates(*arguments)}
    runs |= {name: peer(*arguments) for name, peer in trainers(1).items()}
    found = {}
    for name, run in runs.items():
        run(1)  # compiled, and loaded
        model = rbm.RBM(*(np.asarray(array, np.float64) for array in run(ENDLESS)))
        exact = rbm.partition.log_partition(model, method="exact", progress=False)
        found[name] = rbm.evaluation.log_likelihood(model, test, exact).rows
    likelihood = {name: of_rows(one) for name, one in found.items()}
    less = {name: of_rows(found["mcgen"] - one) for name, one in found.items() if name != "mcgen"}
    words = [f"log p {format_error(**likelihood['mcgen'])}"]
    words += [f"{name} {format_error(**one)} less" for name, one in less.items()]
    own = {"seconds": seconds, "quartiles": [seconds, seconds], "runs": 1}
    work = f"training that ends after as long, RBM {n_visible} x {N_FEW_HIDDEN}"
    return row(work, own, log_likelihood=likelihood, less=less, words=", ".join(words))


def of_rows(values: np.ndarray) -> dict[str, float]:
    """The mean of independent rows, and its error."""
    return dict(zip(("value", "error"), mean_and_error(values), strict=True))


def learning(arguments: argparse.Namespace) -> Iterator[dict]:
    """All rows."""
    wanted = WANTED_QUICK if arguments.quick else WANTED
    runs = min(FEW_RUNS, arguments.runs) if arguments.quick else arguments.runs
    if arguments.device == "cpu":
        for gibbs_steps in GIBBS_STEPS[: 1 if arguments.quick else None]:
            per_epoch = UPDATES_PER_EPOCH_QUICK if arguments.quick else UPDATES_PER_EPOCH
            yield updates(gibbs_steps, N_HIDDEN_QUICK if arguments.quick else N_HIDDEN, per_epoch, wanted, runs)
        if arguments.images:
            train, _, test = read_data(arguments.images, "guess", "no", seed=1)
            yield likelihoods(train, test, SECONDS_QUICK if arguments.quick else SECONDS)
    yield annealing(ANNEALING_RUNS // (4 if arguments.quick else 1), arguments.device, wanted, runs)
