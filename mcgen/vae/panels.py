"""How a batch lies in memory: in panels of rows side by side; every number of a register belongs to another row.

A panel holds as many rows as three registers have numbers (of AVX-512: 48 in float32, 24 in float64), one feature after
the other: panels[p, i, lane] is feature i of row p * width + lane. A layer is then W^T x for every column x of a
panel, products run along the lanes (`_vectors.multiply_tile`) and need no matrix to be packed or transposed, an
activation is a loop over memory, and a sum over features is a loop over registers. That is worth 1.4 times OpenBLAS on
the small products of a minibatch.

Features are padded to whole tiles with rows that nobody reads, and several `copies` of the same rows (draws of the
latent variables) follow each other, each from a panel of its own.
"""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen._vectors import LANES, PRODUCT_BYTES, PRODUCT_ROWS, wide_vectors
from mcgen.memory import aligned

# Bytes of a panel that stay in the first-level cache while tiles of results pass by.
CACHED_BYTES = 24_576 if LANES == 8 else 12_288
# Terms of a product that are taken together.
TERMS_AT_ONCE = CACHED_BYTES // PRODUCT_BYTES


def width(dtype: np.dtype) -> int:
    """Rows in a panel."""
    return PRODUCT_BYTES // np.dtype(dtype).itemsize


def n_panels(n_rows: int, dtype: np.dtype) -> int:
    """Panels of so many rows."""
    return -(-n_rows // width(dtype))


def padded(n_features: int) -> int:
    """Features with the padding to whole tiles."""
    return -(-n_features // PRODUCT_ROWS) * PRODUCT_ROWS


def empty(n_rows: int, n_features: int, dtype: np.dtype, copies: int = 1) -> np.ndarray:
    """Panels full of zeros, shape (copies * n_panels, padded features, width)."""
    shape = (copies * n_panels(n_rows, dtype), padded(n_features), width(dtype))
    array = aligned(shape, dtype)
    array[:] = 0
    return array


def from_rows(rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Panels of the rows (n_rows, n_features)."""
    panels = empty(len(rows), rows.shape[1], dtype)
    fill(panels, 0, rows, np.arange(len(rows)))
    return panels


def to_rows(panels: np.ndarray, n_rows: int, n_features: int, first: int = 0) -> np.ndarray:
    """The rows (n_rows, n_features) of features first ... first + n_features - 1 in panels without copies."""
    rows = np.empty((n_rows, n_features), panels.dtype)
    read_rows(rows, panels, first)
    return rows


@_cpu.helper
def lanes_used(panel, n_panels, copies, n_rows, width):
    """How many lanes of a panel hold rows."""
    return min(width, n_rows - panel % (n_panels // copies) * width)


@_cpu.helper
def vectors_used(lanes, like):
    """Registers that so many lanes fill."""
    register = 8 * LANES // like.itemsize
    return (lanes + register - 1) // register


@_cpu.helper
def split(n_rows, n_columns, n_threads):
    """How to cut rows x columns of equal pieces of work among threads: into how many parts each."""
    best = n_rows * n_columns + 1
    parts = 1
    for k in range(1, n_threads + 1):
        cost = ((n_rows + k - 1) // k) * ((n_columns + n_threads // k - 1) // (n_threads // k))
        if cost < best:
            best, parts = cost, k
    return parts, n_threads // parts


@_cpu.kernel
def fill(panels, first, rows, order):
    """panels[p, first + i, lane] = rows[order[p * width + lane], i]; lanes without a row keep what they hold.

    One thread takes one panel at a time, eight features of it: a cache line of the rows is read once or twice.
    """
    wide = panels.shape[2]
    n_features = rows.shape[1]
    n_blocks = (n_features + 7) // 8
    n_panels = (order.shape[0] + wide - 1) // wide
    for piece in prange(n_panels * n_blocks):
        p, block = np.int64(piece) // n_blocks, np.int64(piece) % n_blocks
        for lane in range(min(wide, order.shape[0] - p * wide)):
            row = order[p * wide + lane]
            for i in range(8 * block, min(8 * block + 8, n_features)):
                panels[p, first + i, lane] = rows[row, i]


@_cpu.kernel
def read_rows(rows, panels, first):
    """rows[r, i] = panels[r // width, first + i, r % width]."""
    wide = panels.shape[2]
    for r in prange(rows.shape[0]):
        p, lane = np.int64(r) // wide, np.int64(r) % wide
        for i in range(rows.shape[1]):
            rows[r, i] = panels[p, first + i, lane]


@_cpu.kernel
def repeat(result, panels, n_features):
    """Copy the first features of all panels into each copy of the result."""
    n = panels.shape[0]
    for piece in prange(result.shape[0]):
        wide_vectors()
        p = np.int64(piece)
        for i in range(n_features):
            for lane in range(panels.shape[2]):
                result[p, i, lane] = panels[p % n, i, lane]


@_cpu.kernel
def join_channels(result, panels, n_channels, more, n_more, n_pixels):
    """Every pixel of the panels with `more` as further channels, the same for all pixels.

    A row that is no image is one pixel, its features the channels. One thread takes one pixel of a panel at a time.
    """
    step = n_channels + n_more
    for piece in prange(panels.shape[0] * n_pixels):
        wide_vectors()
        p, pixel = np.int64(piece) // n_pixels, np.int64(piece) % n_pixels
        for i in range(n_channels):
            for lane in range(panels.shape[2]):
                result[p, pixel * step + i, lane] = panels[p, pixel * n_channels + i, lane]
        for i in range(n_more):
            for lane in range(panels.shape[2]):
                result[p, pixel * step + n_channels + i, lane] = more[p, i, lane]
