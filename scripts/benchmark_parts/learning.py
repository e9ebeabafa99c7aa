"""How fast RBMs learn, and how fast log Z is estimated: updates of PCD and steps of annealing, against peers.

An update is the positive phase of a batch, k Gibbs sweeps of as many chains, the negative phase and the step. It can
take no less than its matrix products alone, those of k + 2 sweeps (the means of both phases and the products with the
states are as many multiplications); `times_floor` is its time over theirs. `rbm.train` is measured as a whole, with
its columns of the history and its tracking of log Z. A step of annealing is a Gibbs sweep of all runs and the change
of their weights. Models are float32, rows are random bits of which 13 percent are on, and times are medians of rounds
in which all take turns.

With --images, binary images of digits, say, all trainers get the same seconds from the same start for a model that is
small enough for the exact log Z, and what counts is the log-likelihood of images that they have not seen.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from vae_parts.images import read_data

from benchmark_parts.alternating import Quickest, take_turns
from benchmark_parts.learning_peers import annealers, mcgen_annealing, mcgen_updates, trainers
from benchmark_parts.products import floors, kernel_families
from benchmark_parts.rbm_sweeps import Case
from mcgen import rbm

# Seconds of work in each run, in full and quick.
WANTED, WANTED_QUICK = 0.5, 0.1
FEW_RUNS = 3
N_VISIBLE, N_HIDDEN, BATCH = 784, 500, 500
# Of an epoch: 50,000 images, and fewer when quick.
UPDATES_PER_EPOCH, UPDATES_PER_EPOCH_QUICK = 100, 10
PIXELS_ON = 0.13
GIBBS_STEPS = (1, 10)
ANNEALING_RUNS, FULL_ANNEALING = 1000, 10_000
# Of the trainings that get the same seconds: hidden units, rows of a step, seconds, more epochs than fit into
# them, and the learning rate.
N_FEW_HIDDEN, FEW_ROWS, SECONDS, SECONDS_QUICK, ENDLESS, RATE = 20, 100, 30.0, 3.0, 10_000, 0.02
COLUMNS = {"rbms": 6, "scikit-learn": 12}


def compared(work: str, quickest: dict[str, Quickest], per: int, runs: int) -> dict:
    """A row of the results; times are of `per` pieces of work."""
    own = quickest.pop("mcgen")
    row = {"work": work, "seconds": own.seconds / per, "quartiles": [t / per for t in own.quartiles], "runs": runs}
    peers = {name: peer.seconds / per for name, peer in quickest.items()}
    return row | {"peers": peers, "ratios": {name: seconds / row["seconds"] for name, seconds in peers.items()}}


def updates(gibbs_steps: int, per_epoch: int, wanted: float, runs: int) -> dict:
    """An update of PCD-k."""
    case = Case(N_VISIBLE, N_HIDDEN, BATCH)
    model = case.model()
    x = (np.random.default_rng(1).random((per_epoch * BATCH, N_VISIBLE), np.float32) < PIXELS_ON).astype(np.float32)
    arguments = model, x, BATCH, gibbs_steps
    contenders: dict[str, dict[str, Callable]] = {"mcgen": {"rbm.train": mcgen_updates(*arguments)}}
    for name, peer in trainers(gibbs_steps).items():
        contenders[name] = {peer.__name__: peer(*arguments)}
    row = compared(
        f"update of PCD-{gibbs_steps}, {N_VISIBLE} x {N_HIDDEN}, {BATCH} rows and chains",
        take_turns(contenders, wanted, runs), per_epoch, runs,
    )  # fmt: skip
    forms = {form.__name__: form(model, BATCH, "cpu") for form in floors("cpu")}
    floor = take_turns({"floor": forms}, min(wanted, 0.3), runs)["floor"]
    seconds = (gibbs_steps + 2) * floor.seconds
    return row | {
        "floor": floor.form, "floor_seconds": seconds, "times_floor": row["seconds"] / seconds,
        "blas": kernel_families(),
    }  # fmt: skip


def annealing(n_runs: int, device: str, wanted: float, runs: int) -> dict:
    """One temperature of annealed importance sampling."""
    model = Case(N_VISIBLE, N_HIDDEN, n_runs).model()
    contenders: dict[str, dict[str, Callable]] = {"mcgen": {"ais": mcgen_annealing(model, n_runs, device)}}
    if device == "cpu":
        for name, peer in annealers().items():
            contenders[name] = {peer.__name__: peer(model, n_runs)}
    row = compared(
        f"AIS, a temperature of {n_runs} runs, {N_VISIBLE} x {N_HIDDEN}", take_turns(contenders, wanted, runs), 1, runs
    )
    return row | {"seconds_of_ten_thousand": FULL_ANNEALING * row["seconds"]}


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
        exact = rbm.partition.log_partition(model, method="exact")
        seen = rbm.evaluation.log_likelihood(model, test, exact)
        found[name] = {"mean": seen.value, "error": seen.error}
    work = f"log p of a test row after {seconds:g} s, {n_visible} x {N_FEW_HIDDEN}"
    return {"work": work, "seconds": seconds, "log_likelihood": found, "ratios": {}}


def learning(arguments: argparse.Namespace) -> Iterator[dict]:
    """All rows."""
    wanted = WANTED_QUICK if arguments.quick else WANTED
    runs = min(FEW_RUNS, arguments.runs) if arguments.quick else arguments.runs
    if arguments.device == "cpu":
        for gibbs_steps in GIBBS_STEPS[: 1 if arguments.quick else None]:
            per_epoch = UPDATES_PER_EPOCH_QUICK if arguments.quick else UPDATES_PER_EPOCH
            yield updates(gibbs_steps, per_epoch, wanted, runs)
        if arguments.images:
            train, _, test = read_data(arguments.images, "guess", "no", seed=1)
            yield likelihoods(train, test, SECONDS_QUICK if arguments.quick else SECONDS)
    yield annealing(ANNEALING_RUNS // (4 if arguments.quick else 1), arguments.device, wanted, runs)


def header(row: dict) -> str:
    """The line above the rows."""
    peers = "".join(f" {name:>{max(width, len(name))}}" for name, width in COLUMNS.items())
    return f"{'learning, and log Z':56} {'ms':>8} {'times products':>15}{peers}"


def line(row: dict) -> str:
    """One row of the table."""
    if "log_likelihood" in row:
        found = row["log_likelihood"].items()
        return f"{row['work']:56} " + ", ".join(f"{name} {one['mean']:.2f}({one['error']:.2f})" for name, one in found)
    floor = f"{row['times_floor']:.2f}" if "times_floor" in row else ""
    ratios = {name: f"{ratio:.1f}x" for name, ratio in row["ratios"].items()}
    peers = "".join(f" {ratios.get(name, ''):>{max(width, len(name))}}" for name, width in COLUMNS.items())
    return f"{row['work']:56} {1e3 * row['seconds']:>8.3g} {floor:>15}{peers}".rstrip()
