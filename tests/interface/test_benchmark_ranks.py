"""The part of the benchmark on work that processes share out."""

import importlib
import json
import re

import numpy as np
import pytest

from mcgen import parallel


@pytest.fixture(scope="module")
def part():
    """Modules of the benchmark by their names."""
    return lambda name: importlib.import_module(f"benchmark_parts.{name}")


def test_rows_of_the_benchmark(part, capsys, monkeypatch, tmp_path):
    ranks = part("ranks")
    times = {(1, 1): 4.0, (2, 1): 2.5, (2, 2): 5.0}
    asked = []

    def of_ranks(n_ranks, times_as_large, wanted, runs):
        asked.append((wanted, runs))
        seconds = 1e-3 * times[n_ranks, times_as_large]
        found = {"seconds": seconds, "quartiles": [seconds, seconds], "runs": runs}
        return dict.fromkeys(("sampling", "tempering", "training"), found)

    monkeypatch.setattr(ranks, "of_ranks", of_ranks)
    monkeypatch.setattr(ranks, "mpiexec", lambda: "mpiexec")
    output = tmp_path / "b.json"
    assert importlib.import_module("benchmark").main(["--quick", "--parts", "ranks", "--output", str(output)]) == 0
    results = json.loads(output.read_text())["ranks"]["results"]
    assert asked == [(0.1, 3)] * 3
    for strong, weak in zip(results[::2], results[1::2], strict=True):
        assert (strong["seconds"], weak["seconds"], strong["seconds_of_one"]) == (2.5e-3, 5e-3, 4e-3)
        assert strong["fraction"] == pytest.approx(0.8)
        assert weak["fraction"] == pytest.approx(0.8)
    out = capsys.readouterr().out
    assert re.search(r"^2 ranks: sweep of 64 chains, 64 x 64 +2.5 ms +80%  half of 1 rank's$", out, re.M)
    rows = dict(zip(("sampling", "tempering", "training"), results[::2], strict=True))
    # One millisecond of the four does not become less.
    assert rows["sampling"]["efficiency_of_many"] == 1
    on_the_way = 4 * 10 * 2e-6 + rows["training"]["bytes"] / 12.5e9
    assert rows["training"]["efficiency_of_many"] == pytest.approx(4e-3 / (1000 * (1e-3 + 3e-6 + on_the_way)))
    on_the_way = 2 * 10 * 2e-6 + 1000 * 64 * 16 / 12.5e9
    assert rows["tempering"]["efficiency_of_many"] == pytest.approx(4e-3 / (4e-3 + 0.999 + on_the_way))


def test_bytes_are_those_that_ranks_tell(part, monkeypatch):
    """Counted on one of two ranks, of which the other is not there."""
    ranks, work = part("ranks"), part("ranks_work")
    for name, value in {"TEMPERING_SIDE": 4, "REPLICAS": 6, "N_VISIBLE": 12, "N_HIDDEN": 8, "ROWS": 10}.items():
        monkeypatch.setattr(work, name, value)
    told = []

    class Counting(parallel.World):
        rank, size = 0, 2

        def __init__(self):
            pass

        def joined(self, part, n):
            whole = np.resize(part, (n, *part.shape[1:]))
            told.append(whole.nbytes)
            return whole

    for name, n_told in (("tempering", 2), ("training", 4)):
        run = work.CASES[name](Counting(), 2)
        told.clear()
        run(1)
        assert ranks.transfers(name, 2) == (sum(told), n_told)
    assert ranks.transfers("sampling") == (0, 0)


def test_a_machine_without_mpi_is_told(part, monkeypatch, capsys):
    monkeypatch.setattr(part("ranks"), "mpiexec", lambda: None)
    assert importlib.import_module("benchmark").main(["--quick", "--parts", "ranks"]) == 0
    assert "ranks: not measured, mpi4py or mpiexec are missing" in capsys.readouterr().err
