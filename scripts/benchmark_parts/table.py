"""The printed table: what a row looks like, and the headers above rows of one kind."""

import math

from benchmark_parts.peers import PEERS
from benchmark_parts.rbm_peers import PEERS as RBM_PEERS
from mcgen.stats import format_error

EXACT, SPEED, INDEPENDENT, SWEEP, EFFECTIVE = range(5)
WIDTHS = {name: max(6, len(name)) for name in PEERS}
RBM_WIDTHS = {name: max(6, len(name)) for name in (*RBM_PEERS, "numpy")}


def kind(row: dict) -> int:
    """Which columns a row has."""
    if row["part"] == "rbm":
        return EFFECTIVE if "seconds_per_sweep" in row else SWEEP
    if "seconds_per_sweep" in row:
        return INDEPENDENT
    return SPEED if row["part"] == "sampling" else EXACT


def header(row: dict) -> str:
    """The line above the rows of the kind of this one."""
    if kind(row) == EXACT:
        return f"{'work':57} {'mcgen':>10} {'rate':>24} {'peer':>19} {'ratio':>6} {'of limit':>9}"
    if kind(row) == SPEED:
        peers = "".join(f" {name:>{WIDTHS[name]}}" for name in PEERS)
        return f"{'updates of spins':58} {'per ns':>8} {'ns each':>8} {'of limit':>9}{peers}"
    if kind(row) == SWEEP:
        peers = "".join(f" {name:>{width}}" for name, width in RBM_WIDTHS.items())
        return f"{'one sweep of all chains':50} {'ms':>8} {'times products':>15}{peers}"
    if kind(row) == EFFECTIVE:
        return (
            f"{'RBM of a lattice, sampler':42} {'tau(F)':>12} {'tau(sum v) / sweeps':>20} {'us per sweep':>13} "
            f"{'effective samples/s':>20} {'of quickest':>12}"
        )
    return (
        f"{'critical lattice, sampler (* extrapolated)':42} {'tau(energy)':>14} {'tau(|m|) / sweeps':>18} "
        f"{'us per sweep':>13} {'ms for one':>11} {'of quickest':>12}"
    )


def line(row: dict) -> str:
    """One row of the table."""
    return (_exact_line, _speed_line, _independent_line, _sweep_line, _effective_line)[kind(row)](row).rstrip()


def _exact_line(row: dict) -> str:
    seconds = f"{row['seconds']:.3g} s" if "seconds" in row else ""
    rate = per_second(row["per_second"], row["unit"]) if "per_second" in row else ""
    peer = f"{row['peer']}: {row['peer_seconds']:.3g} s" if "peer" in row else ""
    ratio = f"{row['ratio']:.0f}x" if "ratio" in row else ""
    return f"{row['work']:57} {seconds:>10} {rate:>24} {peer:>19} {ratio:>6} {_percent(row):>9}"


def _speed_line(row: dict) -> str:
    rate = row["per_second"] / 1e9
    work = row["work"] + (f" ({row['cores']:.1f} cores)" if "cores" in row else "")
    ratios = {name: _times(ratio) for name, ratio in row.get("ratios", {}).items()}
    peers = "".join(f" {ratios.get(name, ''):>{width}}" for name, width in WIDTHS.items())
    return f"{work:58} {rate:>8.3g} {1 / rate:>8.3g} {_percent(row):>9}{peers}"


def _independent_line(row: dict) -> str:
    def tau(name: str) -> str:
        return format_error(row[f"tau_{name}"], row[f"tau_{name}_error"]) if f"tau_{name}" in row else ""

    length = tau("abs_magnetization") + ("*" if row["extrapolated"] else " ")
    work = row["work"].removeprefix("independent configuration, ")
    return (
        f"{work:42} {tau('energy'):>14} {length:>18} {1e6 * row['seconds_per_sweep']:>13.3g} "
        f"{1e3 * row['seconds']:>11.3g} {_times(row['times_quickest']):>12}"
    )


def _sweep_line(row: dict) -> str:
    floor = f"{row['times_floor']:.2f}" if "times_floor" in row else ""
    ratios = {name: _times(ratio) for name, ratio in row["ratios"].items()}
    peers = "".join(f" {ratios.get(name, ''):>{width}}" for name, width in RBM_WIDTHS.items())
    return f"{row['work']:50} {1e3 * row['seconds']:>8.3g} {floor:>15}{peers}"


def _effective_line(row: dict) -> str:
    energy, total = (
        format_error(row[f"tau_{name}"], row[f"tau_{name}_error"]) for name in ("free_energy", "visible_sum")
    )
    return (
        f"{row['work'].removeprefix('effective sample, '):42} {energy:>12} {total:>20} "
        f"{1e6 * row['seconds_per_sweep']:>13.3g} {row['per_second']:>20.3g} {_times(row['times_quickest']):>12}"
    )


def _times(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x"


def _percent(row: dict) -> str:
    return f"{100 * row['fraction']:.0f}%" if "fraction" in row else ""


def per_second(number: float, unit: str) -> str:
    """123.4e9 as "123e9 terms/s"."""
    power = 3 * max(0, math.floor(math.log10(number) / 3))
    return f"{number / 10**power:.3g}e{power} {unit}"
