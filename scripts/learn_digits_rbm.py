"""Learn images of handwritten digits with a restricted Boltzmann machine, and say how right its log Z is.

Question: how far can the log Z of a trained RBM be believed, and so its likelihood? The model is trained by persistent
chains on binary images, and log Z is then estimated in all ways that make sense, each with its error: annealing from
independent units (AIS), from samples of the model (reverse AIS) and both together (sandwich), Bennett's acceptance
ratio on a ladder (BAR, MBAR), thermodynamic integration, bridges between the models of the training, weighted chains
that follow it step by step, mean field and TAP. With 16 or 20 hidden units the exact sum is beside them; with 500 the
two sides of the sandwich have to meet.

Data: without --data, scikit-learn's 8x8 digits (`pip install scikit-learn`), 1500 to learn from and 297 to test, whose
pixels are 1 where the grey of 0 to 16 is more than 8. With it, one to three files, as for learn_digits_vae.py (TRAIN,
TRAIN TEST or TRAIN VALIDATION TEST).

Reference for the 8x8 digits: the exact log Z of the 64x20 model, which makes all likelihoods exact, and what other
distributions give the same images: independent pixels, a mixture of as many parameters as the RBM (Bishop, Pattern
Recognition and Machine Learning (2006), section 9.3.3), and scikit-learn's BernoulliRBM of the same size and number of
epochs, with the learning rate of three that suits the training images best.
Expected: log p of a test image of -17.86(25) nats, where the error is that of the choice of images. On the same images
the mixture has 0.48(13) less, scikit-learn's RBM 0.67(12) less and independent pixels 6.63(24); by fractions of a nat,
then, and a VAE with ten latents does better by half a nat (see learn_digits_vae.py). log Z = 65.878: all estimates
within 1.3 of their errors of 0.005 to 0.15 nats, the ends of the sandwich 0.05 apart, naive mean field 4.7 below and
TAP 3.2 above.
Time: two minutes on one core.

Reference for MNIST: PyDeep's documentation, PCD-1: 784x16 after 50 epochs has a test log-likelihood of -142.6 nats, the
exact log Z is 310.18, AIS gives 309.69 and reverse AIS 316.31; 784x500 after 200 epochs has -84.86, with log Z 968.97
by AIS and 980.72 by reverse AIS, 11.75 nats apart. Salakhutdinov & Murray, ICML (2008): 784x500, CD-25, -86.34, log Z
about 451.3. Images were made binary in other ways there, which changes likelihoods.
Expected: all estimates with an error within 4 errors of the exact log Z, which is between the ends of the sandwich; for
784x500 ends that are less than 1 nat apart (measured: 0.31). The exit status is 1 where an exact log Z says otherwise.
Statically binarised images: test log-likelihoods of -143.8 (784x16), -138.9 (784x20) and -91.5 (784x500). Time, on two
cores: four minutes for 784x500, of which the sandwich takes 80 seconds, and eight for 784x16 and 784x20, of which
ladders take seven. Ctrl-C keeps what is done.

    python scripts/learn_digits_rbm.py
    python scripts/learn_digits_rbm.py --data train.amat valid.amat test.amat
    python scripts/learn_digits_rbm.py --data train.amat valid.amat test.amat --hidden 16 --negative-phase weighted
"""

import argparse
import math
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from digits_parts.choosing import add_images, choose, images_of
from digits_parts.yardsticks import Yardstick, measured, yardsticks
from rbm_parts.showing import SHOWN, Found, believed, draw, table
from scipy.special import stdtrit
from study_parts import command

from mcgen import checks, evaluation, rbm, results, rng
from mcgen.errors import InputError, StatisticsWarning
from mcgen.progress import until_interrupted
from mcgen.rbm import partition
from mcgen.rbm.evaluation import LogLikelihood
from mcgen.rbm.partition import LogPartition
from mcgen.rbm.partition.choice import chosen
from mcgen.rbm.partition.draws import draw_model
from mcgen.rbm.partition.result import FEWEST_EFFECTIVE, exact_value
from mcgen.rbm.training.watching import GROUPS

OF_FILES = {"hidden": 500, "gibbs_steps": 1, "epochs": 60, "batch_size": 500, "chains": 500, "learning_rate": 0.1}
OF_FILES |= {"final_learning_rate": 0.005, "temperatures": 10_000, "burn_in": 3000}
OF_SMALL = {"hidden": 20, "gibbs_steps": 5, "epochs": 300, "batch_size": 50, "chains": 500, "learning_rate": 0.1}
OF_SMALL |= {"final_learning_rate": 0.005, "temperatures": 1000, "burn_in": 1000}
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
    parser = command.parser_of(__doc__)
    add_images(parser, "--data", nargs="+", dest="paths", default=None)
    for name, kind, words in (
        ("hidden", int, "hidden units"),
        ("gibbs_steps", int, "sweeps of the chains for each step of the training"),
        ("epochs", int, "passes through the training data"),
        ("batch_size", int, "images of a step"),
        ("chains", int, "persistent chains"),
        ("learning_rate", float, "of stochastic gradient ascent, at the first epoch"),
        ("final_learning_rate", float, "at the last epoch"),
        ("temperatures", int, "inverse temperatures of a run of annealing"),
        ("burn_in", int, "sweeps before samples of the model or of a ladder"),
    ):
        both = f"(default: {OF_FILES[name]}, and of the 8x8 digits {OF_SMALL[name]})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=None, help=f"{words} {both}")
    add = parser.add_argument
    add("--negative-phase", default="pcd", choices=("pcd", "weighted", "tempering", "trajectory"), help="of training")
    add(
        "--methods", nargs="+", choices=list(METHODS),
        help=f"estimates of log Z (default: all beside an exact sum, otherwise {', '.join(OF_LARGE)})",
    )  # fmt: skip
    add("--runs", type=int, default=512, help="annealing runs in each direction")
    add("--ladder-chains", type=int, default=128, help="chains of bar, mbar, integration and trajectory")
    add("--draws", type=int, default=50, help="draws of each of them")
    command.add_common(parser, "learn_digits_rbm", "of model, training and estimates", quick=False)
    return choose(parser.parse_args(argv), OF_FILES, OF_SMALL)


def main(argv: list[str] | None = None) -> int:
    """Run the study; the exit status is 1 if an estimate contradicts the exact log Z."""
    return command.run("learn_digits_rbm", parse(argv), study)


def study(arguments: argparse.Namespace) -> command.Ended:
    """Train, estimate, and write everything."""
    for name, least in (("hidden", 1), ("runs", 2), ("temperatures", 2), ("burn_in", 1), ("ladder_chains", 2)):
        checks.integer(f"--{name.replace('_', '-')}", getattr(arguments, name), least)
    checks.integer("--draws", arguments.draws, 2)
    images = images_of(arguments)
    train, validation, test = (rows if rows is None else bits(rows) for rows in images[:3])
    # Files may be sorted by digit, and images that follow each other would then be more alike than any two.
    test = test[rng.permutation(rng.derive(arguments.seed, 0), rng.purpose.STUDY_SPLIT, len(test))]
    arguments.images = images.words  # for the file
    trained = learn(train, validation, arguments)
    save(arguments, trained, [], None, "interrupted")  # it cannot get lost any more
    found, interrupted = ([], True) if trained.interrupted else estimates(trained, train, arguments)
    best, likelihood, others = believed(found), None, []
    if best is not None:
        likelihood = rbm.evaluation.log_likelihood(trained.model, test, best)
        if not arguments.paths:
            own = measured("rbm", "this RBM", *(log_likelihoods(trained.model, rows, best) for rows in (train, test)))
            seed = rng.derive(arguments.seed, 5)
            others = [own, *yardsticks(train, test, arguments.hidden, arguments.epochs, seed)]
    save(arguments, trained, found, likelihood, command.status_of(interrupted), others)
    print("\n" + table(trained, found, likelihood, others))
    if likelihood is not None:
        seed = rng.derive(arguments.seed, 4)
        draws = draw_model(trained.model, SHOWN, seed, trained.chains, arguments.burn_in)[:, 0]
        draw(arguments.figure, trained.model, found, likelihood, draws, test, others)
    wrong = any(contradicts(one.estimate, best) for one in found)
    status = f"interrupted after {len(found)} estimates of log Z" if interrupted else "complete"
    return command.Ended(status, int(wrong), has_figure=likelihood is not None)


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


def log_likelihoods(model: rbm.RBM, v: np.ndarray, log_z: LogPartition) -> np.ndarray:
    """log p(v) of every row, in nats."""
    return rbm.evaluation.log_likelihood(model, v, log_z).rows


def contradicts(estimate: LogPartition, best: LogPartition | None) -> bool:
    """Whether an exact log Z is outside of a sandwich, or too many errors away."""
    if best is None or best.method != "exact" or estimate.is_approximation:
        return False
    outside = not estimate.lower <= best.value <= estimate.upper and math.isfinite(estimate.lower)
    return outside or abs(estimate.deviation(best)) > MOST_ERRORS


def save(
    arguments: argparse.Namespace, trained: rbm.Trained, found: list[Found], likelihood: LogLikelihood | None,
    status: str, others: Sequence[Yardstick] = (),
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
    for one in others:
        test = one.test
        row |= {f"{one.key}_train": one.train, f"{one.key}_test": test.value, f"{one.key}_test_error": test.error}
        less = one.less(others[0])
        row |= {f"{one.key}_less": less.value, f"{one.key}_less_error": less.error}
    columns = evaluation.columns([row]) if row else {}
    study = results.Study(models=(trained.model,), trained=(trained,), observables=columns)
    results.save(arguments.output, study, True, vars(arguments), status)


if __name__ == "__main__":
    raise SystemExit(main())
