"""Images that are learned: bars and stripes."""

import numpy as np

from mcgen import enumeration


def drawn_images(n_rows: int, n_columns: int) -> np.ndarray:
    """All images as they are drawn: first a direction, then each line of it black or white.

    Of 0 and 1, shape (2**n_rows + 2**n_columns, n_rows * n_columns); the blank and the full image are there twice.
    """
    stripes = np.repeat(enumeration.list_states(n_rows, 0), n_columns, axis=1)
    return np.vstack([stripes, np.tile(enumeration.list_states(n_columns, 0), n_rows)])


def bars_and_stripes(n_rows: int, n_columns: int) -> np.ndarray:
    """The distinct images, of which either the rows or the columns are black or white."""
    return np.unique(drawn_images(n_rows, n_columns), axis=0)
