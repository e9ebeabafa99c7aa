"""Which pixels of an image belong to which of another in a convolution: tables for each axis.

A convolution takes a large image to a small one, a transposed convolution a small one to a large one, and both are the
same list of neighbours: at tap k, position i of the small axis sees i * stride + k - before of the large one. The
kernels of both layers, forward and backward, work through such tables, and know neither strides nor padding.
"""

import functools
from typing import NamedTuple

import numpy as np

PADDINGS = ("same", "valid", "periodic")


class Side(NamedTuple):
    """One side of a convolution, the large or the small, and what its pixels take in of the other.

    Attributes
    ----------
    shape : (height, width)
    order : int64 (n_taps,)
        The taps of an axis, sorted so that what a pixel takes in are few runs.
    runs : list of int64 (length, n_runs, 3)
        For rows and columns: first position on the other side, number of the first tap in that order, and how many.
    seen : list of int64 (length, n_taps)
        For rows and columns: the position on the other side at every tap, or -1.
    """

    shape: tuple[int, int]
    order: np.ndarray
    runs: list[np.ndarray]
    seen: list[np.ndarray]


def small_length(length: int, kernel_size: int, stride: int, padding: str) -> int:
    """How many positions of the kernel there are."""
    return (length - kernel_size) // stride + 1 if padding == "valid" else -(-length // stride)


def large_length(length: int, kernel_size: int, stride: int, padding: str) -> int:
    """The length of what becomes so long: the longest for "valid", that without remainder for the others."""
    return (length - 1) * stride + kernel_size if padding == "valid" else length * stride


def neighbours(length: int, kernel_size: int, stride: int, padding: str) -> np.ndarray:
    """The position that every tap sees, shape (small length, kernel_size); -1 where it is outside.

    Examples
    --------
    >>> from mcgen.vae.layers.convolution_tables import neighbours
    >>> neighbours(4, 3, 2, "same").tolist()  # TensorFlow's rule: where the padding is odd, more of it comes after
    [[0, 1, 2], [2, 3, -1]]
    >>> neighbours(3, 3, 1, "periodic").tolist()
    [[2, 0, 1], [0, 1, 2], [1, 2, 0]]
    """
    n = small_length(length, kernel_size, stride, padding)
    before = max((n - 1) * stride + kernel_size - length, 0) // 2  # 0 if "valid"
    seen = stride * np.arange(n)[:, None] + np.arange(kernel_size) - before
    if padding == "periodic":
        return seen % length
    return np.where((seen >= 0) & (seen < length), seen, -1)


def reversed_neighbours(seen: np.ndarray, length: int) -> np.ndarray:
    """The position of the kernel at which every tap sees a position, shape (length, kernel_size); -1 where none does.

    Examples
    --------
    >>> from mcgen.vae.layers.convolution_tables import neighbours, reversed_neighbours
    >>> reversed_neighbours(neighbours(4, 3, 2, "same"), 4).tolist()
    [[0, -1, -1], [-1, 0, -1], [1, -1, 0], [-1, 1, -1]]
    """
    result = np.full((length, seen.shape[1]), -1)
    small, tap = np.nonzero(seen >= 0)
    result[seen[small, tap], tap] = small
    return result


def runs(seen: np.ndarray) -> np.ndarray:
    """Neighbouring positions at neighbouring taps as (first position, first tap, how many), shape (length, n_runs, 3).

    Examples
    --------
    >>> from mcgen.vae.layers.convolution_tables import neighbours, runs
    >>> runs(neighbours(4, 3, 1, "periodic"))[0].tolist()
    [[3, 0, 1], [0, 1, 2]]
    """
    every = []
    for line in seen.tolist():
        found = []
        for tap, position in enumerate(line):
            if found and position == found[-1][0] + found[-1][2] and tap == found[-1][1] + found[-1][2]:
                found[-1][2] += 1
            elif position >= 0:
                found.append([position, tap, 1])
        every.append(found)
    most = max(map(len, every))
    table = np.zeros((len(every), most, 3), np.int64)
    for line, found in zip(table, every, strict=True):
        line[: len(found)] = np.reshape(found, (len(found), 3))
    return table


@functools.cache
def both_sides(large: tuple[int, int], kernel_size: int, stride: int, padding: str) -> tuple[Side, Side]:
    """The large and the small side."""
    down = [neighbours(length, kernel_size, stride, padding) for length in large]
    up = [reversed_neighbours(seen, length) for seen, length in zip(down, large, strict=True)]
    taps = np.arange(kernel_size)
    # A large pixel meets every stride-th tap, and the later positions of the kernel with the earlier taps.
    order = np.lexsort((-taps, taps % stride))
    return (
        Side(large, order, [runs(seen[:, order]) for seen in up], up),
        Side((len(down[0]), len(down[1])), taps, [runs(seen) for seen in down], down),
    )
