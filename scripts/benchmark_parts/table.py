"""The table: a line for each piece of work, and above it what it was measured on."""

import itertools
import math
from collections.abc import Iterator

# What a machine is known by.
PLACE = ("date", "processor", "instructions", "threads", "device")
UNITS = ("s", "ms", "us", "ns", "ps")
HEADER = f"{'work':57} {'mcgen':>7} {'of limit':>9}  {'limit':16} times of peers over that of mcgen"


def line(row: dict) -> str:
    """One row of the results."""
    fraction = f"{100 * row['fraction']:.0f}%" if "fraction" in row else ""
    peers = row.get("words") or ", ".join(
        f"{name} {_times(ratio)}" + (" (extrapolated)" if row["peers"][name].get("extrapolated") else "")
        for name, ratio in row["ratios"].items()
    )
    return f"{row['work']:57} {duration(row['seconds']):>7} {fraction:>9}  {row.get('limit', ''):16} {peers}".rstrip()


def heading(machine: dict, libraries: dict[str, str]) -> str:
    """What parts were measured on, with the versions of all libraries that they used."""
    where = f"{machine['processor']} ({machine['instructions']}), {machine['threads']} threads"
    versions = ", ".join(f"{name} {version}" for name, version in libraries.items())
    return f"{machine['date']}; {where}; device {machine['device']}\n{versions}\n{HEADER}"


def lines(record: dict) -> Iterator[str]:
    """All parts of a record that was written, below the machine and the day that each was measured on."""
    shown = [part for part in record.values() if part["results"]]
    for place, together in itertools.groupby(shown, key=lambda part: [part["machine"][name] for name in PLACE]):
        parts = list(together)
        libraries = {name: version for part in parts for name, version in part["machine"]["libraries"].items()}
        yield heading(dict(zip(PLACE, place, strict=True)), libraries)
        for part in parts:
            yield from map(line, part["results"])


def duration(seconds: float) -> str:
    """1.234e-5 as "12.3 us": three digits."""
    power = min(max(0, -math.floor(math.log10(seconds) / 3)), len(UNITS) - 1)
    if float(f"{seconds * 1000.0**power:.3g}") >= 1000 and power:  # 0.9999 ms is 1 ms
        power -= 1
    number = seconds * 1000.0**power
    return f"{number:.3g} {UNITS[power]}" if number < 1000 else f"{number:.0f} {UNITS[power]}"


def _times(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x"
