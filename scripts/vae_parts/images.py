"""Images: read from the files that data sets of digits come in, made binary, and laid out on a sheet."""

import gzip
import io
from pathlib import Path

import numpy as np
import scipy.io

from mcgen import rng
from mcgen.errors import FileError, InputError

FORMATS = ("guess", "idx", "npy", "npz", "matlab", "text")
BINARIZATIONS = ("no", "threshold", "draw")
TEST_SHARE = 6


def binarized(rows: np.ndarray, how: str, seed: int) -> np.ndarray:
    """Rows between 0 and 1 as they are, cut at 1/2, or drawn once with their grey as probability; bits are int8."""
    if how == "threshold":
        return (rows > 0.5).astype(np.int8)
    if how == "draw":
        return (rng.uniforms(seed, rng.purpose.VAE_DRAW, *rows.shape) < rows).astype(np.int8)
    return rows.astype(np.int8) if ((rows == 0) | (rows == 1)).all() else rows


def read_data(paths: list[str], form: str, how: str, seed: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Images to learn from, to validate (or None) and to test, each (n_rows, n_pixels)."""
    tables = [rows for path in paths for rows in read_images(path, form)]
    if len(tables) > 3:
        raise InputError(
            f"{len(tables)} tables of images are too many; give TRAIN, TRAIN TEST or TRAIN VALIDATION TEST"
        )
    if len({rows.shape[1] for rows in tables}) > 1:
        raise InputError(f"images have {[rows.shape[1] for rows in tables]} pixels; give files of the same kind")
    tables = [binarized(rows, how, rng.derive(seed, 10 + k)) for k, rows in enumerate(tables)]
    if len(tables) == 1:
        n_test = len(tables[0]) // TEST_SHARE
        if n_test < 2:
            raise InputError(f"{paths[0]} has {len(tables[0])} images; give at least {2 * TEST_SHARE}")
        tables = [tables[0][:-n_test], tables[0][-n_test:]]
    return tables[0], tables[1] if len(tables) == 3 else None, tables[-1]


def read_images(path: str, form: str = "guess") -> list[np.ndarray]:
    """The tables of images in a file, float32 (n_rows, n_pixels) from 0 to 1.

    Raises
    ------
    FileError
        If the file cannot be read, or holds no images.
    """
    try:
        content = Path(path).read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        arrays = READERS[guess(content) if form == "guess" else form](content)
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise FileError(f"{path} cannot be read as images ({error}); see --help for the formats") from error
    tables = []
    for array in arrays:
        rows = np.asarray(array, np.float32).reshape(len(array), -1) if array.ndim > 1 and array.size else None
        if rows is None or not np.isfinite(rows).all() or rows.min() < 0 or rows.max() > 255:
            raise FileError(f"{path} holds an array of shape {array.shape} that is no table of images from 0 to 255")
        tables.append(rows / 255 if rows.max() > 1 else rows)
    return tables


def guess(content: bytes) -> str:
    """The format, by the first bytes."""
    marks = {b"\x93NUMPY": "npy", b"PK": "npz", b"MATLAB 5": "matlab", b"\0\0\x08": "idx"}
    return next((form for mark, form in marks.items() if content.startswith(mark)), "text")


def _idx(content: bytes) -> list[np.ndarray]:
    """Two zeros, 8 for bytes, the number of axes; their lengths, big-endian; the bytes (yann.lecun.com/exdb/mnist)."""
    if content[:3] != b"\0\0\x08":
        raise ValueError("it does not begin as an idx file of bytes does")
    shape = np.frombuffer(content, ">u4", content[3], 4)
    numbers = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3])
    return [numbers.reshape(shape.astype(np.int64))]


def _npz(content: bytes) -> list[np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        names = ["x_train", "x_test"] if "x_train" in file and "x_test" in file else file.files
        if len(names) > 1 and names[0] != "x_train":
            raise ValueError(f"it holds the arrays {names}, and one or x_train and x_test are expected")
        return [file[name] for name in names]


READERS = {
    "idx": _idx,
    "npy": lambda content: [np.load(io.BytesIO(content), allow_pickle=False)],
    "npz": _npz,
    "matlab": lambda content: [scipy.io.loadmat(io.BytesIO(content))["X"]],
    "text": lambda content: [np.loadtxt(io.BytesIO(content), np.float32, ndmin=2)],
}


def tiles(images: np.ndarray, gap: float = 0.0) -> np.ndarray:
    """Images (n, height, width) beside each other in a square, with a line between them."""
    n, height, width = images.shape
    side = int(np.ceil(n**0.5))
    sheet = np.full((side * (height + 1) - 1, side * (width + 1) - 1), gap)
    for k, image in enumerate(images):
        y, x = k // side * (height + 1), k % side * (width + 1)
        sheet[y : y + height, x : x + width] = image
    return sheet
