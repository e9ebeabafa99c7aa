"""Learn images of handwritten digits with a restricted Boltzmann machine, and say how right its log Z is.

Question: how far can the log Z of a trained RBM be believed, and so its likelihood? The model is trained by persistent
chains on binary images, and log Z is then estimated in all ways that make sense, each with its error: annealing from
independent units (AIS), from samples of the model (reverse AIS) and both together (sandwich), Bennett's acceptance
ratio on a ladder (BAR, MBAR), thermodynamic integration, bridges between the models of the training, weighted chains
that follow it step by step, mean field and TAP. With 16 or 20 hidden units the exact sum is beside them; with 500 the
two sides of the sandwich have to meet.

Data: one to three files, as for learn_digits_vae.py (TRAIN, TRAIN TEST or TRAIN VALIDATION TEST).

Reference: PyDeep's documentation, PCD-1: 784x16 after 50 epochs has a test log-likelihood of -142.6 nats, the exact log
Z is 310.18, AIS gives 309.69 and reverse AIS 316.31; 784x500 after 200 epochs has -84.86, with log Z 968.97 by AIS and
980.72 by reverse AIS, 11.75 nats apart. Salakhutdinov & Murray, ICML (2008): 784x500, CD-25, -86.34, log Z about 451.3.
Images were made binary in other ways there, which changes likelihoods.
Expected: all estimates with an error within 4 errors of the exact log Z, which is between the ends of the sandwich; for
784x500 ends that are less than 1 nat apart (measured: 0.31). The exit status is 1 where an exact log Z says otherwise.
Statically binarised images: test log-likelihoods of -143.8 (784x16), -138.9 (784x20) and -91.5 (784x500).
Time, on two cores: four minutes for 784x500, of which the sandwich takes 80 seconds, and eight for 784x16 and 784x20,
of which ladders take seven. Ctrl-C keeps what is done.

    python scripts/learn_digits_rbm.py --data train.amat valid.amat test.amat
    python scripts/learn_digits_rbm.py --data train.amat valid.amat test.amat --hidden 16 --negative-phase weighted
"""

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from rbm_parts.showing import SHOWN, Found, believed, draw, table
from scipy.special import stdtrit
from vae_parts.images import BINARIZATIONS, FORMATS, read_data

from mcgen import checks, evaluation, rbm, report, results, rng
from mcgen.errors import InputError, McgenError, StatisticsWarning
from mcgen.progress import until_interrupted
from mcgen.rbm import partition
from mcgen.rbm.evaluation import LogLikelihood
from mcgen.rbm.partition import LogPartition
from mcgen.rbm.partition.choice import chosen
from mcgen.rbm.partition.draws import draw_model
from mcgen.rbm.partition.result import FEWEST_EFFECTIVE, exact_value
from mcgen.rbm.training.watching import GROUPS

# Standard deviation of the weights that the training starts from.
START = 0.01
# Models that are kept of the training, as the steps of a trajectory.
KEPT = 20
# Sweeps between draws of a ladder.
THIN = 20
# Errors from the exact value at which an estimate is wrong.
MOST_ERRORS = 4.0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--data", nargs="+", required=True, dest="paths", metavar="PATH", help="TRAIN [[VALIDATION] TEST]")
    add("--format", default="guess", choices=FORMATS, help="of all files")
    add("--binarize", default="no", choices=BINARIZATIONS, help="grey: cut at 1/2, or drawn once")
    add("--hidden", type=int, default=500, help="hidden units")
    add("--negative-phase", default="pcd", choices=("pcd", "weighted", "tempering", "trajectory"), help="of training")
    add("--gibbs-steps", type=int, default=1, help="sweeps of the chains for each step of the training")
    add("--epochs", type=int, default=60, help="passes through the training data")
    add("--batch-size", type=int, default=500, help="images of a step")
    add("--chains", type=int, default=500, help="persistent chains")
    add("--learning-rate", type=float, default=0.1, help="of stochastic gradient ascent, at the first epoch")
    add("--final-learning-rate", type=float, default=0.005, help="at the last epoch")
    add(
        "--methods", nargs="+", choices=list(METHODS),
        help=f"estimates of log Z (default: all beside an exact sum, otherwise {', '.join(OF_LARGE)})",
    )  # fmt: skip
    add("--runs", type=int, default=512, help="annealing runs in each direction")
    add("--temperatures", type=int, default=10_000, help="inverse temperatures of a run")
    add("--burn-in", type=int, default=3000, help="sweeps before samples of the model or of a ladder")
    add("--ladder-chains", type=int, default=128, help="chains of bar, mbar, integration and trajectory")
    add("--draws", type=int, default=50, help="draws of each of them")
    add("--seed", type=int, default=1, help="0 to 2**64 - 1")
    add("--output", default="learn_digits_rbm.h5", help="HDF5 file of model, training and estimates")
    add("--figure", default="learn_digits_rbm.png", help="figure of the results")
    add("--overwrite", action="store_true", help="replace files that exist")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the study; the exit status is 1 if an estimate contradicts the exact log Z."""
    arguments = parse(argv)
    start = time.monotonic()
    try:
        results.check_output(arguments.output, arguments.overwrite)
        report.check_output(arguments.figure, arguments.overwrite)
        for name, least in (("hidden", 1), ("runs", 2), ("temperatures", 2), ("burn_in", 1), ("ladder_chains", 2)):
            checks.integer(f"--{name.replace('_', '-')}", getattr(arguments, name), least)
        checks.integer("--draws", arguments.draws, 2)
        sets = read_data(arguments.paths, arguments.format, arguments.binarize, arguments.seed)
        train, validation, test = (rows if rows is None else bits(rows) for rows in sets)
        # Files may be sorted by digit, and images that follow each other would then be more alike than any two.
        test = test[rng.permutation(rng.derive(arguments.seed, 0), rng.purpose.STUDY_SPLIT, len(test))]
        shown = 0 if validation is None else len(validation)
        print(f"{len(train)} images to learn from, {shown} to validate, {len(test)} to test")
        trained = learn(train, validation, arguments)
        save(arguments, trained, [], None, "interrupted")  # it cannot get lost any more
        found, interrupted = ([], True) if trained.interrupted else estimates(trained, train, arguments)
        best, likelihood = believed(found), None
        if best is not None:
            likelihood = rbm.evaluation.log_likelihood(trained.model, test, best)
        save(arguments, trained, found, likelihood, "interrupted" if interrupted else "complete")
        print("\n" + table(trained, found, likelihood))
        if likelihood is not None:
            seed = rng.derive(arguments.seed, 4)
            draws = draw_model(trained.model, SHOWN, seed, trained.chains, arguments.burn_in)[:, 0]
            draw(arguments.figure, trained.model, found, likelihood, draws, test)
    except McgenError as error:
        print(f"learn_digits_rbm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        words = f"interrupted; {arguments.output} has what was written before, if anything"
        print(f"learn_digits_rbm: {words}", file=sys.stderr)
        return 130
    written = arguments.output + f" and {arguments.figure}" * (likelihood is not None)
    words = f", interrupted after {len(found)} estimates of log Z" * interrupted
    print(f"\nwrote {written} in {time.monotonic() - start:.0f} s{words}")
    return 130 if interrupted else int(any(contradicts(one.estimate, best) for one in found))


def bits(rows: np.ndarray) -> np.ndarray:
    """Rows that are checked to be 0 and 1."""
    if rows.dtype != np.int8:
        raise InputError("the images have shades of grey, and the units are 0 or 1; give --binarize threshold or draw")
    return rows


def learn(train: np.ndarray, validation: np.ndarray | None, arguments: argparse.Namespace) -> rbm.Trained:
    """Train from independent units that have the means of the data, in float32."""
    seeds = [rng.derive(arguments.seed, k) for k in (1, 2)]
    start = rbm.RBM.random(train.shape[1], arguments.hidden, seeds[0], START, dtype=np.float32)
    return rbm.train(
        rbm.start_from_data(start, train), train, arguments.negative_phase, arguments.gibbs_steps, arguments.chains,
        arguments.epochs, arguments.batch_size, arguments.learning_rate, arguments.final_learning_rate, "sgd",
        seed=seeds[1], validation=validation, centered=True, keep_every=max(1, arguments.epochs // KEPT),
        progress=True,
    )  # fmt: skip


def by_annealing(trained: rbm.Trained, v: np.ndarray, arguments: argparse.Namespace, seed: int) -> LogPartition:
    """Both directions; the runs in reverse begin where the chains of the training lead."""
    return partition.sandwich(
        trained.model, arguments.runs, arguments.temperatures, seed, v=v, initial=trained.chains,
        burn_in=arguments.burn_in, progress=True,
    )  # fmt: skip


def laddered(method: Callable[..., LogPartition], of: str = "model") -> Callable[..., LogPartition]:
    """A method along a ladder to the model, or along the kept ones, as a function of (trained, v, arguments, seed)."""
    return lambda trained, v, arguments, seed: method(
        getattr(trained, of), arguments.ladder_chains, arguments.draws, THIN, arguments.burn_in, seed=seed, v=v,
        progress=True,
    )  # fmt: skip


def along_the_training(trained: rbm.Trained, *_: object) -> LogPartition:
    """What the training itself says: groups of weighted chains have followed every step of the model."""
    value, error = (float(trained.history[f"tracked_log_partition{end}"][-1]) for end in ("", "_error"))
    half = float(stdtrit(GROUPS - 1, 0.975)) * error
    return LogPartition(value, error, math.nan, "along the training", (value - half, value + half))


METHODS = {
    "sandwich": by_annealing,
    "bar": laddered(partition.bar),
    "mbar": laddered(partition.mbar),
    "integration": laddered(partition.thermodynamic_integration),
    "trajectory": laddered(partition.trajectory, "trajectory"),
    "training": along_the_training,
    "mean-field": lambda trained, v, _, seed: partition.naive_mean_field(trained.model, v, seed),
    "tap": lambda trained, v, _, seed: partition.tap(trained.model, v=v, seed=seed),
}
# Without an exact sum to compare with; the others take many times longer for large models.
OF_LARGE = ["sandwich", "training"]
WORTHLESS = f"fewer than {FEWEST_EFFECTIVE:.0f} effective runs: neither its error nor its end of the sandwich holds"
NOTHING = LogPartition(math.nan, math.nan, math.nan, "none", (math.nan, math.nan))


def estimates(trained: rbm.Trained, v: np.ndarray, arguments: argparse.Namespace) -> tuple[list[Found], bool]:
    """The exact log Z where it takes a minute at most, and all estimates; whether Ctrl-C came before the last."""
    has_exact = chosen(trained.model, "auto") == "exact"
    jobs = ["exact"] * has_exact + (arguments.methods or (list(METHODS) if has_exact else OF_LARGE))
    found = []

    def work(k: int) -> None:
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", StatisticsWarning)
            try:
                if jobs[k] == "exact":
                    one = exact_value(trained.model)
                else:
                    one = METHODS[jobs[k]](trained, v, arguments, rng.derive(arguments.seed, 3))
            except InputError as error:  # TAP finds nothing in strong weights, and mbar refuses long ladders
                found.append(Found(jobs[k], NOTHING, time.perf_counter() - began, [str(error)]))
                return
        sides = [
            Found(side.method, side, math.nan, [WORTHLESS] * (side.effective_sample_size < FEWEST_EFFECTIVE))
            for side in one.checked_against
            if side.method != "exact"
        ]
        seconds, words = time.perf_counter() - began, [str(warning.message) for warning in caught]
        found.extend([*sides, Found(one.method, one, seconds, words)])
        save(arguments, trained, found, None, "interrupted")  # Ctrl-C may come in the next one

    _, interrupted = until_interrupted(work, len(jobs))
    return found, interrupted


def contradicts(estimate: LogPartition, best: LogPartition | None) -> bool:
    """Whether an exact log Z is outside of a sandwich, or too many errors away."""
    if best is None or best.method != "exact" or estimate.is_approximation:
        return False
    outside = not estimate.lower <= best.value <= estimate.upper and math.isfinite(estimate.lower)
    return outside or abs(estimate.deviation(best)) > MOST_ERRORS


def save(
    arguments: argparse.Namespace, trained: rbm.Trained, found: list[Found], likelihood: LogLikelihood | None,
    status: str,
) -> None:  # fmt: skip
    """Model, training, and the columns of every estimate; the first file was checked before work started."""
    row = {}
    for name, one, seconds, words in found:
        values = {"": one.value, "_error": one.error, "_low": one.interval[0], "_high": one.interval[1]}
        values |= {"_lower": one.lower, "_upper": one.upper, "_effective_sample_size": one.effective_sample_size}
        values |= {"_seconds": seconds, "_warnings": len(words)}
        row |= {name.replace(" ", "_") + ending: value for ending, value in values.items()}
    if likelihood is not None:
        row |= {"test_log_likelihood": likelihood.value, "test_log_likelihood_error": likelihood.error}
        row |= {"test_log_likelihood_error_of_rows": likelihood.error_of_rows}
    columns = evaluation.columns([row]) if row else {}
    study = results.Study(models=(trained.model,), trained=(trained,), observables=columns)
    results.save(arguments.output, study, True, vars(arguments), status)


if __name__ == "__main__":
    raise SystemExit(main())
