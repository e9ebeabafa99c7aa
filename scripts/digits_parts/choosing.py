"""Which images are learned: those of the files that were named, or scikit-learn's 8x8 digits."""

import argparse
from typing import NamedTuple

import numpy as np
from study_parts import command
from vae_parts.images import BINARIZATIONS, FORMATS, binarized, read_data

from mcgen import rng
from mcgen.errors import InputError

# Of 1797; which ones, is the same whatever the seed of the study.
N_TEST = 297
SPLIT_SEED = 8
WHITE = 16.0


class Digits(NamedTuple):
    """Images to learn from, to validate (or None) and to test, each (n_rows, n_pixels), and what they are.

    `classes` are the digits of the test images, where they are known.
    """

    train: np.ndarray
    validation: np.ndarray | None
    test: np.ndarray
    words: str
    classes: np.ndarray | None = None


def add_images(parser: argparse.ArgumentParser, *name: str, **settings: object) -> None:
    """The settings that say which images: the paths under this name, their format, and how they become binary."""
    words = "TRAIN, TRAIN TEST or TRAIN VALIDATION TEST; without, the 8x8 digits of scikit-learn"
    parser.add_argument(*name, metavar="PATH", help=words, **settings)
    parser.add_argument("--format", default="guess", choices=FORMATS, help="of all files")
    parser.add_argument(
        "--binarize", default=None, choices=BINARIZATIONS,
        help="grey: cut at 1/2, or drawn once (default: no, and of the 8x8 digits threshold)",
    )  # fmt: skip


def choose(arguments: argparse.Namespace, of_files: dict, of_small: dict) -> argparse.Namespace:
    """The settings, with the defaults for files or for the 8x8 digits in place of what is None.

    Parameters
    ----------
    arguments : argparse.Namespace
        With `paths`, empty or None for the 8x8 digits.
    of_files, of_small : dict

    Returns
    -------
    argparse.Namespace
    """
    return command.filled(
        arguments, of_files | {"binarize": "no"} if arguments.paths else of_small | {"binarize": "threshold"}
    )


def images_of(arguments: argparse.Namespace) -> Digits:
    """The images that the settings ask for, counted on standard output.

    Raises
    ------
    InputError, FileError
        If scikit-learn is missing, or files cannot be read.
    """
    if arguments.paths:
        sets = read_data(arguments.paths, arguments.format, arguments.binarize, arguments.seed)
        found = Digits(*sets, ", ".join(arguments.paths))
    else:
        found = small_digits(arguments.binarize, arguments.seed)
        print(found.words)
    n_validation = 0 if found.validation is None else len(found.validation)
    print(f"{len(found.train)} images to learn from, {n_validation} to validate, {len(found.test)} to test")
    return found


def small_digits(how: str, seed: int) -> Digits:
    """The 1797 images of 8x8 pixels with shades of grey from 0 to 16 that come with scikit-learn.

    They are the test part of E. Alpaydin & C. Kaynak, Optical recognition of handwritten digits, UCI Machine Learning
    Repository (1998): 13 people wrote them, and each of them is in both sets here.

    Parameters
    ----------
    how : {"no", "threshold", "draw"}
        Grey divided by 16 as it is, 1 where it is more than 1/2, or drawn once with it as probability.
    seed : int
        Of the draws.

    Returns
    -------
    Digits
        1500 images to learn from and 297 to test, shuffled by a fixed seed.

    Raises
    ------
    InputError
        If scikit-learn is not installed.
    """
    try:
        import sklearn
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError(
            "without paths the images are the 8x8 digits of scikit-learn, which is not installed; install it with "
            "pip install scikit-learn (or 'mcgen[digits]'), or give files of images (see --help)"
        ) from None
    grey, classes = load_digits(return_X_y=True)
    order = rng.permutation(SPLIT_SEED, rng.purpose.STUDY_SPLIT, len(grey))
    rows = binarized((grey[order] / WHITE).astype(np.float32), how, rng.derive(seed, 10))
    words = f"scikit-learn {sklearn.__version__}, 8x8 digits, grey of 0 to 16, binarize {how}"
    return Digits(rows[:-N_TEST], None, rows[-N_TEST:], words, classes[order][-N_TEST:])
