"""What a study of log Z of an RBM of images prints and draws."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from digits_parts.yardsticks import Yardstick
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from vae_parts.images import tiles

from mcgen import rbm, report, stats
from mcgen.rbm.evaluation import LogLikelihood
from mcgen.rbm.partition import LogPartition

PUBLISHED = {
    16: ["PyDeep, PCD-1, 50 epochs: test -142.6; log Z exact 310.18, AIS 309.69, reverse AIS 316.31"],
    500: [
        "PyDeep, PCD-1, 200 epochs: test -84.86; log Z by AIS 968.97, by reverse AIS 980.72",
        "Salakhutdinov & Murray 2008, CD-25: test -86.34",
    ],
}
N_PIXELS = 784
# Weights, draws and images on the sheets of the figure.
SHOWN = 100


class Found(NamedTuple):
    """An estimate of log Z, how long it took in seconds, and what it warned of."""

    name: str
    estimate: LogPartition
    seconds: float
    warnings: list[str]


def believed(found: list[Found]) -> LogPartition | None:
    """The exact value if it is there, or else that of the sandwich."""
    values = {one.name: one.estimate for one in found}
    return values.get("exact", values.get("sandwich"))


def table(
    trained: rbm.Trained, found: list[Found], likelihood: LogLikelihood | None, others: Sequence[Yardstick] = ()
) -> str:
    """log Z by all methods beside the exact one or the sandwich, the likelihood of test images, and yardsticks."""
    model, best = trained.model, believed(found)
    last = {name: float(column[-1]) for name, column in trained.history.items()}
    lines = [
        f"{model.n_visible}x{model.n_hidden} after {last['epoch']:.0f} epochs; chains: R-hat {last['r_hat']:.2f}, "
        f"autocorrelation time {last['autocorrelation_time']:.0f} sweeps",
        "",
        f"{'log Z, nats':25} {'value':>14} {'95 percent':>22} {'off by':>9} {'errors':>6} {'effective':>9} {'s':>6}",
    ]
    for name, one, seconds, words in found:
        lines.append(line_of(name, one, best, seconds) + " !" * bool(words))
        if math.isfinite(one.lower):
            width = f"{one.upper - one.lower:.3f} wide"
            lines.append(f"  lower end {one.lower:.3f}, upper end {one.upper:.3f}: {width}")
    lines += [f"! {name}: {text}" for name, _, _, words in found for text in words]
    if likelihood is not None:
        lines += ["", f"test images: {likelihood}"]
    if others:
        lines += ["", f"{'log p(v), nats an image':28} {'training':>10} {'test':>12} {'test, difference':>18}"]
        for one in others:
            difference = "" if one is others[0] else str(one.less(others[0]))
            lines.append(f"{one.name:28} {one.train:10.3f} {one.test!s:>12} {difference:>18}".rstrip())
    if model.n_visible == N_PIXELS and model.n_hidden in PUBLISHED:
        lines += ["published, with images made binary in other ways:", *PUBLISHED[model.n_hidden]]
    return "\n".join(lines)


def line_of(name: str, one: LogPartition, best: LogPartition | None, seconds: float) -> str:
    """An estimate as a line of the table, with what is known of it and nothing where there is nothing."""
    if math.isnan(one.value):
        return f"{name:25} {'none':>14}"
    value, interval, off, errors = f"{one.value:.4f}", "", "", ""
    if best is not None and one is not best:
        off = f"{one.value - best.value:+.3f}"
    if math.isfinite(one.error) and one.method != "exact":
        value = stats.format_error(one.value, one.error)
        interval = f"{one.interval[0]:.2f} to {one.interval[1]:.2f}"
        errors = f"{-one.deviation(best):+.1f}" if off else ""
    effective = f"{one.effective_sample_size:.0f}" if math.isfinite(one.effective_sample_size) else ""
    time_taken = f"{seconds:.1f}" if math.isfinite(seconds) else ""
    return f"{name:25} {value:>14} {interval:>22} {off:>9} {errors:>6} {effective:>9} {time_taken:>6}"


def draw(
    path: str, model: rbm.RBM, found: list[Found], likelihood: LogLikelihood, draws: np.ndarray, test: np.ndarray,
    others: Sequence[Yardstick] = (),
) -> None:  # fmt: skip
    """log Z by all methods, yardsticks, the weights of some hidden units, draws of the model and test images."""
    n_panels = 4 + bool(others)
    figure = Figure(figsize=(6 * n_panels, 6), layout="constrained")
    figure.suptitle(f"{model.n_visible}x{model.n_hidden}: test images {likelihood}", fontsize=13)
    left, *sheets = figure.subplots(1, n_panels)
    of_log_partition(left, found, believed(found))
    if others:
        of_likelihoods(sheets.pop(0), others)
    longest = np.argsort(-np.linalg.norm(model.weights, axis=0), kind="stable")[:SHOWN]
    weights = model.weights.T[longest] / np.abs(model.weights.T[longest]).max(axis=1, keepdims=True)
    side = math.isqrt(model.n_visible)
    shape = (side, side) if side * side == model.n_visible else (1, model.n_visible)
    panels = {
        f"weights of {len(longest)} hidden units": (weights, "RdBu_r", -1),
        "draws of the model": (draws[:SHOWN], "gray_r", 0),
        "test images": (test[:SHOWN], "gray_r", 0),
    }
    for axes, (title, (rows, colors, least)) in zip(sheets, panels.items(), strict=True):
        sheet = tiles(rows.reshape(-1, *shape).astype(float), (least + 1) / 2)
        axes.imshow(sheet, cmap=colors, vmin=least, vmax=1, interpolation="nearest")
        axes.set(title=title, xticks=[], yticks=[])
    report.save_figure(figure, path, dpi=110)


def of_log_partition(axes: Axes, found: list[Found], best: LogPartition) -> None:
    """Intervals of all estimates about the best value; approximations may be far outside, and are numbers only."""
    shown = [one for one in found if one.estimate.method != "exact" and math.isfinite(one.estimate.value)]
    ends = [0.0]
    for place, (_, one, *_) in enumerate(shown):
        off = one.value - best.value
        if one.is_approximation:
            axes.text(0.98, place, f"{off:+.1f}", transform=axes.get_yaxis_transform(), ha="right", va="center")
            continue
        low, high = (end - best.value for end in one.interval)
        if math.isfinite(one.lower):
            axes.hlines(place, one.lower - best.value, one.upper - best.value, color="0.7", linewidth=6)
            ends += [one.lower - best.value, one.upper - best.value]
        axes.errorbar(off, place, xerr=[[max(0.0, off - low)], [max(0.0, high - off)]], fmt="o", color="C0", capsize=3)
        ends += [low, high]
    axes.axvline(0, color="black", linewidth=1, label=f"{best.method}, {best.value:.2f}")
    room = 0.1 * (max(ends) - min(ends)) or 1.0  # approximations alone have no interval
    axes.set(xlim=(min(ends) - room, max(ends) + room), xlabel=f"log Z - {best.value:.2f}, nats; 95 percent intervals")
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_yticks(range(len(shown)), [one.name for one in shown])
    axes.invert_yaxis()
    axes.legend(fontsize=9)


def of_likelihoods(axes: Axes, others: Sequence[Yardstick]) -> None:
    """log p of an image under this model and under others, with the standard errors of the means of test images."""
    places = range(len(others))
    axes.plot([one.train for one in others], places, "o", color="0.6", label="training images")
    values, errors = ([getattr(one.test, part) for one in others] for part in ("value", "error"))
    axes.errorbar(values, places, xerr=errors, fmt="o", color="C0", capsize=3, label="test images")
    axes.set(xlabel="log p(v), nats an image", ylim=(len(others) - 0.4, -0.6))
    axes.set_yticks(places, [one.name for one in others])
    axes.legend(fontsize=9)
