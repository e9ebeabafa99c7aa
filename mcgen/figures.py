"""What figures of all kinds have in common: colours, legends, mosaics of configurations."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from mcgen import ising

# Of Okabe and Ito: told apart by all kinds of colour vision, on white and on black.
BLACK, BLUE, ORANGE, GREEN, PURPLE, GRAY = "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#808080"
COLORS = {"truth": BLACK, "data": BLUE, "model": ORANGE}
# Of several lines of one kind.
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9")
# Rows of a figure; more temperatures than this are thinned out evenly.
MOST_ROWS = 6
# Letters of a legend side by side.
LETTERS_IN_LINE = 64


def kept_rows(count: int) -> np.ndarray:
    """Which of so many models have a row of panels."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))


def plain(text: object, longest: int = 200) -> str:
    """Text of a file as it is to be drawn: no formulas, no control characters, not too long."""
    text = str(text)
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable.replace("$", r"\$")


def symbols(text: str) -> str:
    """Text of our own with k_B as physicists write it."""
    return text.replace("k_B", "$k_B$")


def legend(axes: Axes, handles: list | None = None) -> None:
    """A legend above the axes, where it hides no data."""
    handles = axes.get_legend_handles_labels()[0] if handles is None else handles
    if not handles:
        return
    lengths = [len(handle.get_label()) + 6 for handle in handles]
    fits = sum(lengths) <= LETTERS_IN_LINE
    n_columns = len(handles) if fits else max(1, LETTERS_IN_LINE // max(lengths))
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "borderaxespad": 0.2}
    axes.legend(handles=handles, fontsize=8, frameon=False, ncols=n_columns, columnspacing=1.2, **place)


def mosaic(vectors: np.ndarray, shape: tuple[int, int], n_columns: int | None = None) -> np.ndarray:
    """Vectors as tiles of this shape in one image, with a gap of NaN between; about square by default."""
    n_columns = n_columns or columns(len(vectors), shape)
    n_rows = -(-len(vectors) // n_columns)
    image = np.full((n_rows * (shape[0] + 1) - 1, n_columns * (shape[1] + 1) - 1), np.nan)
    for k, vector in enumerate(vectors):
        row, column = divmod(k, n_columns)
        y, x = row * (shape[0] + 1), column * (shape[1] + 1)
        image[y : y + shape[0], x : x + shape[1]] = vector.reshape(shape)
    return image


def columns(n_tiles: int, shape: tuple[int, int]) -> int:
    """Tiles side by side that make the mosaic about square."""
    return min(n_tiles, int(np.ceil(np.sqrt(n_tiles * shape[0] / shape[1]))))


def tile_shape(n_features: int, lattice: ising.Ising | None) -> tuple[int, int]:
    """How a vector over the sites of a lattice, or of any features, is folded."""
    if lattice is None or lattice.n_sites != n_features:
        side = int(np.sqrt(n_features))
        return (side, side) if side * side == n_features else (1, n_features)
    if lattice.n_dims == 2:
        return lattice.shape
    return (n_features // lattice.shape[-1], lattice.shape[-1])  # layers on top of each other


def show_mosaic(
    axes: Axes, image: np.ndarray, title: str, colors: str, low: float, high: float, bar: bool, words: str = ""
) -> None:
    """A mosaic without ticks, with a bar of colours if wanted, and words beside this."""
    shades = matplotlib.colormaps[colors].with_extremes(bad="lightgray")
    picture = axes.imshow(image, cmap=shades, vmin=low, vmax=high, interpolation="none")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)
    if bar:
        shown = axes.figure.colorbar(picture, ax=axes, shrink=0.8, label=words)
        shown.solids.set_rasterized(True)


def say(axes: Axes, words: str) -> None:
    """Words in place of a panel."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color="gray")
