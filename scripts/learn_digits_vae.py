"""Learn images of handwritten digits with a variational autoencoder, and say how probable test images are.

Question: how right is the estimate of log p(x) by importance sampling, where the exact value is known? And does a VAE
with the architecture of the literature, trained by mcgen, reach the published likelihood of test images?

Without PATH, it learns scikit-learn's 8x8 digits (`pip install scikit-learn`), 1500 of them, and 297 are the test;
pixels are 1 where the grey of 0 to 16 is more than 8. With the default of two latents p(x) is an integral over a plane,
which is done exactly, and the figure shows in this plane where the test images are, by digit.
Expected, for these: -log p(x) = 19.759 nats a test image by quadrature (and 0.26 of scatter by the choice of images).
Importance sampling with 5000 draws says 19.773(4): three of its own errors too much, because of a few images up to 60
percent of p(z | x) lie more than three standard deviations of q(z | x) from its mean, and weights do not know what the
draws have not seen. The ELBO is 0.44 nats off. Ten latents (--latent 10) reach 17.287(3), for which there is no exact
value; independent pixels have 24.49, an RBM with 20 hidden units 17.86 (learn_digits_rbm.py). Time: two minutes on one
core.

PATH is the training data and, further on, validation and test data: TRAIN, TRAIN TEST or TRAIN VALIDATION TEST; of a
single file the last sixth is the test. Formats: MNIST's idx (.gz or not), .npy, .npz (one array, or x_train and
x_test), text with one image a line (.amat) and MATLAB files with an array X. Shades of grey 0 to 255 become 0 to 1;
--binarize makes them 0 and 1.

For MNIST the default model is 784-200-200-50 and the yardstick Burda, Grosse & Salakhutdinov, arXiv:1509.00519 (2016),
static binarisation: -log p(x) = 88.71 nats a test image by the ELBO, and 87.10 by the importance-weighted bound with 50
draws, both after 3280 epochs with batches of 20. log p(x) is estimated by importance sampling, from below. With --notes
it is 784-256-128-16 as in the lecture notes, 20 epochs of Adam with batches of 128: 86.31 nats of validation loss,
-ELBO, on images that are cut at half of white (--binarize threshold).

Expected: nats near the published ones, which fall with the number of epochs. Time: --time-limit, which ends the
training after an epoch; --resume goes on from the HDF5 file, to the same bits as without the break.

    python scripts/learn_digits_vae.py
    python scripts/learn_digits_vae.py train.amat valid.amat test.amat --time-limit 60
    python scripts/learn_digits_vae.py train.amat test.amat --objective importance --draws-per-row 50 --schedule burda
    python scripts/learn_digits_vae.py train-images-idx3-ubyte.gz t10k-images-idx3-ubyte.gz --notes --binarize threshold
"""

import argparse
import dataclasses
import math
import time

import numpy as np
from digits_parts.choosing import Digits, add_images, choose, images_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from study_parts import command
from vae_parts.images import tiles

from mcgen import evaluation, report, results, rng, stats, vae
from mcgen.errors import FileError, InputError
from mcgen.progress import progress

OF_FILES = {"hidden": [200, 200], "latent": 50, "batch_size": 100, "epochs": 200, "learning_rate": 1e-3}
OF_SMALL = {"hidden": [128], "latent": 2, "batch_size": 50, "epochs": 300, "learning_rate": 3e-3}
NOTES = {"hidden": [256, 128], "latent": 16, "activation": "relu", "batch_size": 128, "epochs": 20}
NOTES |= {"learning_rate": 1e-3, "final_learning_rate": 1e-3, "schedule": "geometric", "objective": "elbo"}
NOTES_LOSS = 86.31
# -log p(x) of a test image in nats by draws k (Burda et al. 2016, static binarisation, one stochastic layer).
PUBLISHED = {("elbo", 1): 88.71, ("importance", 1): 88.71, ("importance", 5): 87.63, ("importance", 50): 87.10}
BURDA_STAGES, BURDA_EPOCHS = 8, 3280
MINUTES_BETWEEN_FILES = 10.0
# Latents of the 8x8 digits up to which p(x) is summed on a grid, to so many nats.
MOST_EXACT, TOLERANCE = 2, 1e-4
# Draws for the ELBO of a test image: one more error that need not be seen.
ELBO_DRAWS = 10


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    add_images(parser, "paths", nargs="*")
    add = parser.add_argument
    add("--notes", action="store_true", help="architecture and training of the lecture notes")
    for name, settings, words in (
        ("hidden", {"type": int, "nargs": "*"}, "widths of the encoder's layers"),
        ("latent", {"type": int}, "latent variables"),
        ("batch_size", {"type": int}, "images of a step"),
        ("epochs", {"type": int}, "passes through the training data"),
        ("learning_rate", {"type": float}, "at the first epoch"),
    ):
        both = f"(default: {OF_FILES[name]}, and of the 8x8 digits {OF_SMALL[name]})"
        add(f"--{name.replace('_', '-')}", default=None, help=f"{words} {both}", **settings)
    add("--activation", default="tanh", help="of the hidden layers")
    add("--objective", default="elbo", choices=("elbo", "importance"), help="the bound to climb")
    add("--draws-per-row", type=int, default=1, help="draws k for each image of a batch")
    add(
        "--schedule", default="geometric", choices=("geometric", "burda"),
        help="learning rates from first to final, or 0.001 * 10^(-i/7) in stages i = 0 ... 7 as long as 3^i",
    )  # fmt: skip
    add("--final-learning-rate", type=float, default=1e-4, help="at the last epoch")
    add("--time-limit", type=float, default=math.inf, help="minutes of training")
    add("--importance", type=int, default=5000, help="draws for log p(x) of a test image")
    command.add_common(parser, "learn_digits_vae", "of model, training and results", quick=False)
    add("--resume", action="store_true", help="go on with the training in the HDF5 file")
    if parser.parse_args(argv).notes:
        parser.set_defaults(**NOTES)
    return choose(parser.parse_args(argv), OF_FILES, OF_SMALL)


def main(argv: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    arguments = parse(argv)
    return command.run("learn_digits_vae", arguments, study, again=arguments.resume)


def study(arguments: argparse.Namespace) -> command.Ended:
    """Train, measure, and write everything."""
    start = time.monotonic()
    rates = learning_rates(arguments)
    before = read_fit(arguments.output, rates) if arguments.resume else None
    images = images_of(arguments)
    arguments.images = images.words  # for the file
    net = vae.VAE(
        images.train.shape[1], tuple(arguments.hidden), arguments.latent, activation=arguments.activation,
        seed=rng.derive(arguments.seed, 0),
    )  # fmt: skip
    fit, by_hand = learn(net, images.train, images.validation, arguments, rates, before, start)
    save(arguments, fit)  # it cannot get lost any more
    measured = measure(fit.model, images.test, arguments)
    save(arguments, fit, measured)
    print("\n" + table(fit, measured, arguments))
    draw(arguments.figure, fit, images, measured, arguments.seed)
    words = f"interrupted after epoch {fit.state.epoch}; go on with --resume"
    return command.Ended(words if fit.interrupted else "complete", by_hand=by_hand)


def learning_rates(arguments: argparse.Namespace) -> np.ndarray:
    """The learning rate of each epoch."""
    n = arguments.epochs
    if n < 1:
        raise InputError(f"--epochs {n} is too small; give at least 1")
    epochs = np.arange(n)
    if arguments.schedule == "geometric":
        first, final = arguments.learning_rate, arguments.final_learning_rate
        if first <= 0 or final <= 0:
            raise InputError(f"--learning-rate {first:g} {final:g} is not positive; give numbers above 0")
        return first * (final / first) ** (epochs / max(1, n - 1))
    # Stage i begins when (3^i - 1) / 2 of 3280 epochs are over; with fewer epochs all stages are as much shorter.
    begins = (3 ** np.arange(BURDA_STAGES) - 1) // 2
    stage = np.searchsorted(begins, epochs * BURDA_EPOCHS // n, side="right") - 1
    return 1e-3 * 10.0 ** (-stage / (BURDA_STAGES - 1))


def read_fit(path: str, rates: np.ndarray) -> vae.Fit:
    """The training to go on with."""
    trained = results.load_study(path).trained
    if len(trained) != 1 or not isinstance(trained[0], vae.Fit):
        raise FileError(f"{path} holds no training of an autoencoder; give the --output of this script")
    done = trained[0].history["learning_rate"]
    if not np.array_equal(done, rates[: len(done)]):
        raise InputError(
            f"the {len(done)} epochs in {path} had other learning rates; give the same --epochs, --schedule and rates"
        )
    return trained[0]


def learn(
    net: vae.VAE, train: np.ndarray, validation: np.ndarray | None, arguments: argparse.Namespace, rates: np.ndarray,
    fit: vae.Fit | None, start: float,
) -> tuple[vae.Fit, bool]:  # fmt: skip
    """Epoch by epoch, until all are done, the time is up or Ctrl-C, which the second result tells.

    A file is written now and then.
    """
    written, longest = time.monotonic(), 0.0
    done = 0 if fit is None else fit.state.epoch
    with progress(len(rates), "training", True, done) as bar:
        for epoch in range(done, len(rates)):
            began = time.monotonic()
            rate = float(rates[epoch])
            if fit is not None:  # vae.train goes on with the same arguments only
                fit = dataclasses.replace(fit, settings=fit.settings | {"learning_rate": rate})
            fit = vae.train(
                net, train, epoch + 1, arguments.batch_size, rate, objective=arguments.objective,
                n_draws=arguments.draws_per_row, validation=validation, seed=rng.derive(arguments.seed, 1), resume=fit,
            )  # fmt: skip
            now = time.monotonic()
            longest = max(longest, now - began)
            if fit.interrupted:
                return fit, True
            if epoch + 1 < len(rates) and now + longest > start + 60 * arguments.time_limit:
                return dataclasses.replace(fit, interrupted=True), False
            if now > written + 60 * MINUTES_BETWEEN_FILES:
                save(arguments, dataclasses.replace(fit, interrupted=True))
                written = now
            bar.update(1)
    return dataclasses.replace(fit, interrupted=False), False


def measure(net: vae.VAE, test: np.ndarray, arguments: argparse.Namespace) -> dict[str, float]:
    """-log p(x) of the test images with the error of importance sampling, its bias, and -ELBO; nats an image."""
    seeds = rng.derive(arguments.seed, 2), rng.derive(arguments.seed, 3)
    found = vae.importance_estimate(net, test, arguments.importance, seed=seeds[0], progress=True)
    bound = vae.elbo(net, test, n_draws=ELBO_DRAWS, seed=seeds[1])
    root, exact = math.sqrt(len(test)), {}
    if not arguments.paths and net.n_latent <= MOST_EXACT:
        sums = vae.log_likelihood_exact(net, test, tolerance=TOLERANCE)
        exact = {"test_loss_exact": -float(sums.value.mean()), "test_loss_exact_error": float(sums.error.mean())}
    return exact | {
        "test_loss": -float(found.value.mean()),
        "test_loss_error": float(np.sqrt(np.mean(found.error**2)) / root),
        "test_loss_bias": float(np.mean(found.error**2) / 2),
        "test_loss_scatter": float(found.value.std(ddof=1) / root),
        "test_negative_elbo": -float(bound.total.mean()),
        "test_reconstruction": -float(bound.reconstruction.mean()),
        "test_kl": float(bound.kl.mean()),
    }


def save(arguments: argparse.Namespace, fit: vae.Fit, measured: dict[str, float] | None = None) -> None:
    """Write all that there is; the first file was checked before work started."""
    columns = evaluation.columns([measured]) if measured else {}
    study = results.Study(models=(fit.model,), trained=(fit,), observables=columns)
    status = "interrupted" if fit.interrupted else "complete"
    results.save(arguments.output, study, True, vars(arguments), status)


def table(fit: vae.Fit, measured: dict[str, float], arguments: argparse.Namespace) -> str:
    """What was reached, beside what was published."""
    last = {name: float(values[-1]) for name, values in fit.history.items()}
    loss = stats.format_error(measured["test_loss"], measured["test_loss_error"])
    lines = {
        "epochs": f"{fit.state.epoch} of {arguments.epochs}",
        "training loss (minus the bound), last epoch": f"{-last['bound']:.3f}",
        "validation loss (-ELBO), last epoch": f"{-last['validation_bound']:.3f}",
        "test: -ELBO": f"{measured['test_negative_elbo']:.3f}",
        "      of it reconstruction and KL": f"{measured['test_reconstruction']:.3f}, {measured['test_kl']:.3f}",
        f"test: -log p(x), {arguments.importance} draws": f"{loss}, too high by about {measured['test_loss_bias']:.3f}",
        "      by quadrature": f"{measured.get('test_loss_exact', math.nan):.3f}",
        "      scatter of the test images": f"{measured['test_loss_scatter']:.3f}",
        "latents in use": f"{last['active_units']:.0f} of {fit.model.n_latent}",
    }
    if arguments.notes:
        lines["lecture notes: validation loss, cut at 1/2"] = f"{NOTES_LOSS}"
    elif (fit.model.hidden, fit.model.n_latent) == ((200, 200), 50):
        published = PUBLISHED.get((arguments.objective, arguments.draws_per_row))
        if published:
            lines["Burda et al.: -log p(x), static binarisation"] = f"{published}"
    if math.isnan(last["validation_bound"]):
        del lines["validation loss (-ELBO), last epoch"]
    if "test_loss_exact" not in measured:
        del lines["      by quadrature"]
    width = max(map(len, lines))
    return "nats an image; error in brackets: that of importance sampling\n" + "\n".join(
        f"{name:{width}}  {value}" for name, value in lines.items()
    )


def draw(path: str, fit: vae.Fit, images: Digits, measured: dict[str, float], seed: int) -> None:
    """Learning curve, images of the model, test images with their reconstructions, and the plane of two latents."""
    has_plane, test = fit.model.n_latent == 2, images.test
    has_classes = has_plane and images.classes is not None
    n_panels = 3 + has_plane + has_classes
    figure = Figure(figsize=(6 * n_panels, 6), layout="constrained")
    curve, *sheets = figure.subplots(1, n_panels)
    curve.plot(fit.history["epoch"], -fit.history["bound"], label="training")
    if np.isfinite(fit.history["validation_bound"]).any():
        curve.plot(fit.history["epoch"], -fit.history["validation_bound"], label="validation, -ELBO")
    curve.axhline(measured["test_loss"], color="black", linewidth=1, label="test, -log p(x)")
    curve.set(xlabel="epoch", ylabel="loss, nats an image")
    curve.legend()
    if has_classes:
        of_classes(sheets.pop(), fit.model, images)
    some = test[:50]
    pairs = np.stack([some, fit.model.reconstruct(some)], axis=1).reshape(-1, test.shape[1])
    panels = {
        "drawn from the model": fit.model.sample(100, rng.derive(seed, 4)),
        "test images and reconstructions": pairs,
    }
    if has_plane:
        panels["the plane of the latents"] = vae.manifold(fit.model, 20).reshape(400, -1)
    side = math.isqrt(test.shape[1])
    shape = (side, side) if side * side == test.shape[1] else (1, test.shape[1])
    for axes, (title, rows) in zip(sheets, panels.items(), strict=True):
        axes.imshow(tiles(rows.reshape(-1, *shape).astype(float), 0.5), cmap="gray_r", vmin=0, vmax=1)
        axes.set(title=title, xticks=[], yticks=[])
    report.save_figure(figure, path, dpi=110)


def of_classes(axes: Axes, net: vae.VAE, images: Digits) -> None:
    """The mean of q(z | x) of each test image, in the colour of its digit."""
    mean, _ = net.encode(images.test)
    for digit in np.unique(images.classes):
        here = images.classes == digit
        axes.scatter(*mean[here].T, s=14, color=f"C{digit}", label=str(digit))
    axes.set(title="test images in the plane, by digit", xlabel="latent 0", ylabel="latent 1")
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.1)}  # outside, where it hides no image
    axes.legend(fontsize=8, ncols=10, columnspacing=0.8, handletextpad=0.1, **place)


if __name__ == "__main__":
    raise SystemExit(main())
