"""Reads damaged files, which must end in an error of mcgen and in nothing else.

Small files of every kind and version are mutated at random, in their bytes and in their structure (`fuzzing_parts`),
and read in all ways: `results.load`, with and without states, `load_rows`, `check` and, with --reports, `mcgen report`.
Expected: no crash, nothing that takes minutes, and no error but a `McgenError` of one line. The first other outcome
ends the script, and hypothesis prints the smallest case of it that it finds.
Time: 0.08 seconds of one processor for a case, with that of the processes that read.

    python scripts/fuzz_reader.py --cases 10000 --seed 1

Needs hypothesis (`pip install '.[test]'`).
"""

import argparse
import collections
import faulthandler
import gzip
import io
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Sequence
from pathlib import Path

import hypothesis
import numpy as np
from fuzzing_parts.mutations import damages, mutate

from mcgen import cli, results
from mcgen.errors import McgenError
from mcgen.hdf5 import reading

DATA = Path(__file__).parents[1] / "tests" / "data"
SECONDS = 120  # for one case, of which most take a tenth
SECONDS_OF_HDF5 = 5  # for each of its calls, where it may loop without end


def seeds() -> dict[str, bytes]:
    """The files to mutate, by name."""
    files = {path.name: gzip.decompress(path.read_bytes()) for path in sorted(DATA.glob("version-*.hdf5.gz"))}
    table = io.BytesIO()
    np.save(table, np.array([[0, 1, 1], [1, 0, 1]], np.int8))
    return files | {"table.npy": table.getvalue(), "table.txt": b"0 1 1\n1 0 1\n"}


def read(path: Path, reports: bool) -> str:
    """Read a file in all ways; returns how it went, "read" or "refused"."""
    outcomes = []
    for reader in (results.load, results.load_rows, results.check, load_without_states):
        try:
            found = reader(path)
            outcomes.append(not isinstance(found, results.Checked) or found.is_readable)
        except McgenError as error:
            if "\n" in str(error):
                raise AssertionError(f"an error of several lines: {error!r}") from error
            outcomes.append(False)
            if "HDF5 crashed" in str(error):  # or takes its time, which all readers would wait for
                break
    if reports and any(outcomes):
        status = cli.main(["report", str(path), "--output", str(path.with_suffix(".png")), "--overwrite"])
        if status not in (0, 2):
            raise AssertionError(f"mcgen report ended with status {status}")
    return "read" if any(outcomes) else "refused"


def load_without_states(path: Path) -> object:
    """`results.load_study` of everything but states."""
    return results.load_study(path, keep_states=False)


def fuzz(cases: int, seed: int, reports: bool = False) -> collections.Counter:
    """Mutate and read.

    Parameters
    ----------
    cases : int
    seed : int
    reports : bool
        Whether files that can be read are drawn as well.

    Returns
    -------
    Counter
        How many files were read, and how many refused.
    """
    contents, tally = seeds(), collections.Counter()
    with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(reading, "SECONDS", SECONDS_OF_HDF5):

        @hypothesis.settings(
            max_examples=cases,
            deadline=None,
            database=None,
            print_blob=False,
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(damages(list(contents)))
        def one(case: tuple) -> None:
            name, structure, flips, cut = case
            path = Path(folder) / ("file" + {"y": ".npy", "t": ".txt"}.get(name[-1], ".h5"))
            mutate(path, contents[name], structure, flips, cut)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            try:
                tally[read(path, reports)] += 1
                if tally.total() % 1000 == 0:
                    print(f"{tally.total()} cases", file=sys.stderr, flush=True)
            finally:
                faulthandler.cancel_dump_traceback_later()

        hypothesis.seed(seed)(one)()
    return tally


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="mutated files")
    parser.add_argument("--seed", type=int, default=1, help="of hypothesis")
    parser.add_argument("--reports", action="store_true", help="also draw what can be read, which takes longer")
    arguments = parser.parse_args(argv)
    start = time.monotonic()
    tally = fuzz(arguments.cases, arguments.seed, arguments.reports)
    seconds = time.monotonic() - start
    print(f"{sum(tally.values())} cases in {seconds:.0f} s: {tally['read']} read, {tally['refused']} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
