"""Kernels of convolutions in panels, without a copy of the images: the terms of a sum are rows of a panel as they lie.

Feature (y * width + x) * channels + c of a panel is channel c of pixel (y, x). The channels of neighbouring pixels
follow each other, and so do the weights of a row of the kernel once they are packed for tiles: a run of pixels is one
product. Which pixels and taps belong to a result is said by tables (`convolution_tables.py`); the kernels know neither
strides nor padding, and a transposed convolution is a convolution with other tables. Every sum is taken by one piece of
work in one order: its bits do not depend on the number of threads.
"""

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen._vectors import LANES, PRODUCT_ROWS, PRODUCT_VECTORS, multiply_tile, wide_vectors
from mcgen.vae.panels import lanes_used, split, vectors_used


@_cpu.helper
def multiply(result, result_step, start, left, left_steps, right, right_step, n, vectors, size):  # noqa: ANN001, ANN201
    """`multiply_tile` as a function, so that its code is there once for all who call it.

    start : address, step and whether the sums start there; left_steps : from row to row and from term to term.
    """
    multiply_tile(
        np.int64(result),
        np.int64(result_step),
        np.int64(start[0]),
        np.int64(start[1]),
        np.int64(start[2]),
        np.int64(left),
        np.int64(left_steps[0]),
        np.int64(left_steps[1]),
        np.int64(right),
        np.int64(right_step),
        np.int64(n),
        np.int64(vectors),
        np.int64(size == 4),
    )


@_cpu.helper
def first_of(tile, n_results):  # noqa: ANN001, ANN201
    """The first result of a tile: the last tile overlaps the one before, and finds the same sums again."""
    return max(0, min(tile * PRODUCT_ROWS, n_results - PRODUCT_ROWS))


@_cpu.kernel
def convolve(y, x, weights, results_last, start, packed, order, rows, columns, x_width, n_rows, copies, n_threads):  # noqa: ANN001, ANN201
    """y[p, pixel, r] = start[r] + sum over taps t and channels c of weights[t, c, r] x[p, pixel that t sees, c].

    One thread takes a range of pixels and of panels. For one row of the image and one tile of results the packed
    weights stay in the first-level cache while the pixels pass by.

    Parameters
    ----------
    y, x : float (n_panels, padded features, width), y is modified
    weights : float (n_taps, n_taps, n_channels, n_results)
        With the last two axes exchanged unless results_last.
    start : float (n_results,), or (1,) for one number for all
        Followed in memory by PRODUCT_ROWS numbers.
    packed : float (n_tiles, n_taps, n_taps, n_channels, PRODUCT_ROWS)
        Room for the weights in the order of the terms.
    order : int64 (n_taps,)
        Of the taps of one axis in the runs.
    rows, columns : int64 (length of the result, n_runs, 3)
        For each axis: first position in x, number of the first tap, and how many follow each other.
    x_width : int
        Columns of the image x.
    """
    n_panels, y_features, wide = y.shape
    size = y.itemsize
    line = size * wide
    n_tiles, n_taps, _, n_channels, _ = packed.shape
    n_results = weights.shape[3] if results_last else weights.shape[2]
    for piece in prange(n_tiles * n_taps):
        tile, a = np.int64(piece) // n_taps, np.int64(piece) % n_taps
        first = first_of(tile, n_results)
        for b in range(n_taps):
            for c in range(n_channels):
                for r in range(min(PRODUCT_ROWS, n_results)):
                    i, j = (c, first + r) if results_last else (first + r, c)
                    packed[tile, a, b, c, r] = weights[order[a], order[b], i, j]
    start_step = size if start.shape[0] > 1 else 0
    steps = (size, size * PRODUCT_ROWS)
    width = columns.shape[0]
    n_pixels = rows.shape[0] * width
    parts, panel_parts = split(n_pixels, n_panels, n_threads)
    for piece in prange(parts * panel_parts):
        wide_vectors()
        part, panel_part = np.int64(piece) // panel_parts, np.int64(piece) % panel_parts
        first_pixel, end_pixel = part * n_pixels // parts, (part + 1) * n_pixels // parts
        aside = np.empty((PRODUCT_ROWS, wide), y.dtype)
        in_place = n_results >= PRODUCT_ROWS
        for p in range(panel_part * n_panels // panel_parts, (panel_part + 1) * n_panels // panel_parts):
            vectors = vectors_used(lanes_used(p, n_panels, copies, n_rows, wide), y)
            image = x.ctypes.data + line * p * x.shape[1]
            for row in range(first_pixel // width, (end_pixel + width - 1) // width):
                for tile in range(n_tiles):
                    first = first_of(tile, n_results)
                    begin = start.ctypes.data + start_step * first
                    for pixel in range(max(first_pixel, row * width), min(end_pixel, (row + 1) * width)):
                        column = pixel - row * width
                        place = y.ctypes.data + line * (p * y_features + pixel * n_results + first)
                        result = place if in_place else aside.ctypes.data + 0
                        fresh = True
                        for i in range(rows.shape[1]):
                            for k in range(rows[row, i, 2]):
                                for j in range(columns.shape[1]):
                                    seen = (rows[row, i, 0] + k) * x_width + columns[column, j, 0]
                                    tap = (tile * n_taps + rows[row, i, 1] + k) * n_taps + columns[column, j, 1]
                                    n = columns[column, j, 2] * n_channels
                                    left = packed.ctypes.data + size * tap * n_channels * PRODUCT_ROWS
                                    right = image + line * seen * n_channels
                                    if n > 0:
                                        from_start = (begin, start_step, fresh)
                                        multiply(result, line, from_start, left, steps, right, line, n, vectors, size)
                                        fresh = False
                        if fresh:  # a result that no pixel reaches
                            from_start = (begin, start_step, True)
                            multiply(result, line, from_start, begin, steps, begin, line, 0, vectors, size)
                        if not in_place:
                            for r in range(n_results):
                                for lane in range(wide):
                                    y[p, pixel * n_results + r, lane] = aside[r, lane]


@_cpu.kernel
def convolve_few(y, x, weights, results_last, start, packed, order, rows, columns, x_width, products, n_rows, copies):  # noqa: ANN001, ANN201
    """`convolve` for few results: first the products of each pixel of x with all taps, then their sums.

    A tile of results would be mostly empty. Here its rows are taps and results together, and x is read once. One thread
    takes a pixel of a panel at a time.

    Parameters
    ----------
    packed : float (n_tiles, n_channels, PRODUCT_ROWS)
        Room for the weights: row r of a tile is number tile * PRODUCT_ROWS + r of (n_taps, n_taps, n_results).
    products : float (n_panels, pixels of x * n_tiles * PRODUCT_ROWS, width)
        Room for the products.
    others
        As in `convolve`.
    """
    n_panels, _, wide = y.shape
    size = y.itemsize
    line = size * wide
    n_tiles, n_channels, _ = packed.shape
    n_taps = order.shape[0]
    n_results = weights.shape[3] if results_last else weights.shape[2]
    for tile in range(n_tiles):
        for r in range(min(PRODUCT_ROWS, n_taps * n_taps * n_results - tile * PRODUCT_ROWS)):
            tap, result = divmod(tile * PRODUCT_ROWS + r, n_results)
            for c in range(n_channels):
                i, j = (c, result) if results_last else (result, c)
                packed[tile, c, r] = weights[order[tap // n_taps], order[tap % n_taps], i, j]
    zero = np.zeros(1, y.dtype)
    steps = (size, size * PRODUCT_ROWS)
    n_products = n_tiles * PRODUCT_ROWS
    x_pixels = products.shape[1] // n_products
    for piece in prange(n_panels * x_pixels):
        p, pixel = np.int64(piece) // x_pixels, np.int64(piece) % x_pixels
        vectors = vectors_used(lanes_used(p, n_panels, copies, n_rows, wide), y)
        for tile in range(n_tiles):
            result = products.ctypes.data + line * ((p * x_pixels + pixel) * n_products + tile * PRODUCT_ROWS)
            left = packed.ctypes.data + size * tile * n_channels * PRODUCT_ROWS
            right = x.ctypes.data + line * (p * x.shape[1] + pixel * n_channels)
            from_start = (zero.ctypes.data + 0, 0, True)
            multiply(result, line, from_start, left, steps, right, line, n_channels, vectors, size)
    width = columns.shape[0]
    n_pixels = rows.shape[0] * width
    for piece in prange(n_panels * n_pixels):
        wide_vectors()
        p, pixel = np.int64(piece) // n_pixels, np.int64(piece) % n_pixels
        row, column = pixel // width, pixel % width
        for r in range(n_results):
            for lane in range(wide):
                y[p, pixel * n_results + r, lane] = start[r % start.shape[0]]
            for i in range(rows.shape[1]):
                for k in range(rows[row, i, 2]):
                    for j in range(columns.shape[1]):
                        for l in range(columns[column, j, 2]):  # noqa: E741
                            seen = (rows[row, i, 0] + k) * x_width + columns[column, j, 0] + l
                            tap = (rows[row, i, 1] + k) * n_taps + columns[column, j, 1] + l
                            for lane in range(wide):
                                y[p, pixel * n_results + r, lane] += products[
                                    p, seen * n_products + tap * n_results + r, lane
                                ]


@_cpu.kernel
def weight_gradient(d_weights, center_last, around, center, rows, columns, around_width, partial, n_rows, copies):  # noqa: ANN001, ANN201
    """d_weights[t, a, c] = sum over rows of the batch and pixels of around[pixel that tap t sees, a] center[pixel, c].

    One thread takes a fixed part of the pixels and panels; the partial sums are then added in order. The sums run along
    the lanes, so one factor has to lie across them: the numbers of a pixel of `center` are transposed. What its taps
    see is gathered, zero where there is nothing, so that all taps are the rows of one product.

    Parameters
    ----------
    d_weights : float (n_taps, n_taps, n_around, n_center)
        With the last two axes exchanged unless center_last.
    around, center : float (n_panels, padded features, width)
    rows, columns : int64 (length of the image `center`, n_taps)
        For each axis: the position in `around`, or -1.
    around_width : int
        Columns of the image `around`.
    partial : float (n_parts, padded n_taps**2 * n_around, n_center padded to registers)
        Room for the partial sums.
    """
    n_panels, _, wide = center.shape
    size = center.itemsize
    line, step = size * wide, size * partial.shape[2]
    n_taps = rows.shape[1]
    n_around = d_weights.shape[2] if center_last else d_weights.shape[3]
    n_center = d_weights.shape[3] if center_last else d_weights.shape[2]
    n_parts, n_sums, n_columns = partial.shape
    width = columns.shape[0]
    n_items = rows.shape[0] * width * n_panels
    register = 8 * LANES // size
    n_registers = n_columns // register
    n_groups = (n_registers + PRODUCT_VECTORS - 1) // PRODUCT_VECTORS
    for piece in prange(n_parts):
        wide_vectors()
        part = np.int64(piece)
        partial[part] = 0
        seen = np.zeros((n_sums, wide), center.dtype)
        across = np.zeros((wide, n_columns), center.dtype)
        for item in range(part * n_items // n_parts, (part + 1) * n_items // n_parts):
            pixel, p = item // n_panels, item % n_panels
            row, column = pixel // width, pixel % width
            lanes = lanes_used(p, n_panels, copies, n_rows, wide)
            for c in range(n_center):
                for lane in range(lanes):
                    across[lane, c] = center[p, pixel * n_center + c, lane]
            for a in range(n_taps):
                for b in range(n_taps):
                    there = rows[row, a] >= 0 and columns[column, b] >= 0
                    first = (rows[row, a] * around_width + columns[column, b]) * n_around
                    for i in range(n_around):
                        for lane in range(wide):
                            seen[(a * n_taps + b) * n_around + i, lane] = around[p, first + i, lane] if there else 0
            for i in range(0, n_sums, PRODUCT_ROWS):
                left = seen.ctypes.data + line * i
                for group in range(n_groups):
                    first = group * n_registers // n_groups
                    vectors = (group + 1) * n_registers // n_groups - first
                    result = partial.ctypes.data + size * ((part * n_sums + i) * n_columns + first * register)
                    right = across.ctypes.data + size * first * register
                    multiply(result, step, (left, 0, False), left, (line, size), right, step, lanes, vectors, size)
    for piece in prange(n_taps * n_taps):
        a, b = np.int64(piece) // n_taps, np.int64(piece) % n_taps
        for i in range(n_around):
            for c in range(n_center):
                total = partial[0, np.int64(piece) * n_around + i, c]
                for part in range(1, n_parts):
                    total += partial[part, np.int64(piece) * n_around + i, c]
                if center_last:
                    d_weights[a, b, i, c] = total
                else:
                    d_weights[a, b, c, i] = total


@_cpu.kernel
def bias_gradient(d_bias, dy, n_pixels, partial, n_rows, copies):  # noqa: ANN001, ANN201
    """d_bias[f] = sum over rows of the batch and pixels of dy[pixel, f].

    One thread takes a fixed part of the pixels and panels, in the order of the memory.

    Parameters
    ----------
    partial : float (n_parts, n_filters, width)
        Room for the partial sums.
    """
    n_panels, _, wide = dy.shape
    n_parts, n_filters, _ = partial.shape
    n_items = n_panels * n_pixels
    for piece in prange(n_parts):
        wide_vectors()
        part = np.int64(piece)
        partial[part] = 0
        for item in range(part * n_items // n_parts, (part + 1) * n_items // n_parts):
            p, pixel = item // n_pixels, item % n_pixels
            lanes = lanes_used(p, n_panels, copies, n_rows, wide)
            for f in range(n_filters):
                for lane in range(lanes):
                    partial[part, f, lane] += dy[p, pixel * n_filters + f, lane]
    d_bias[:] = 0
    for part in range(n_parts):
        for f in range(n_filters):
            for lane in range(wide):
                d_bias[f] += partial[part, f, lane]
