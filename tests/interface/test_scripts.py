"""A small run of every study."""

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from mcgen import ising, results
from mcgen.rng.formulas import philox4x32
from mcgen.rng.purpose import ISING_BIT_SLICED

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = ["--shape", "2", "3", "--hidden", "6", "--epochs", "10", "--exact-epochs", "5"]


def test_learn_ising(folder, capsys):
    script = import_module("learn_ising")
    assert script.main([*SMALL, "--temperature", "1.0", "3.0", "--seed", "2"]) == 0
    out = capsys.readouterr().out
    assert "log Z of the truth" in out
    study = results.load("learn_ising.h5")
    assert study.temperatures == (1.0, 3.0)
    assert (study.exact["kl_divergence"] < 0.02).all()
    for k, temperature in enumerate(study.temperatures):
        assert study.exact["log_partition_truth"][k] == pytest.approx(
            ising.exact.log_partition(study.lattice, temperature)
        )
        assert f"{study.exact['log_partition_truth'][k]:.8f}" in out
        assert len(study.samples[k].states) == script.N_CHAINS
    assert (folder / "learn_ising.png").stat().st_size > 50_000
    assert script.main(SMALL) == 2
    assert "learn_ising.h5 exists" in capsys.readouterr().err
    assert script.main([*SMALL, "--output", "b.h5", "--figure", "b.doc"]) == 2
    assert "does not end in an image format" in capsys.readouterr().err


def test_ctrl_c_keeps_the_temperatures_that_are_done(folder, capsys, monkeypatch):
    script = import_module("learn_ising")
    original = script.draw_data

    def interrupt_at_3(lattice, temperature, *rest):
        if temperature == 3.0:
            raise KeyboardInterrupt
        return original(lattice, temperature, *rest)

    monkeypatch.setattr(script, "draw_data", interrupt_at_3)
    assert script.main([*SMALL, "--temperature", "3.0", "2.0"]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert script.main([*SMALL, "--temperature", "2.0", "3.0"]) == 130
    study = results.load("learn_ising.h5")
    assert study.temperatures == (2.0,)
    assert study.attributes["status"] == "interrupted"


def test_learn_ising_from_rows_of_bits(folder, capsys):
    script = import_module("learn_ising")
    run = ising.sample(ising.Ising((2, 3)), 2.0, n_chains=3000, n_draws=1, burn_in=100, seed=4)
    np.savetxt("rows.txt", (run.states.reshape(-1, 6) + 1) // 2, fmt="%d")
    assert script.main([*SMALL, "--epochs", "60", "--temperature", "2.0", "--data", "rows.txt"]) == 0
    study = results.load("learn_ising.h5")
    assert study.exact["kl_divergence"][0] < 0.05
    assert study.trained[0].settings["n_rows"] == 3000
    assert not study.samples
    assert script.main([*SMALL, "--data", "rows.txt", "--output", "b.h5", "--figure", "b.png"]) == 2
    assert "--data names 1 files for 3 temperatures" in capsys.readouterr().err


def test_learn_ising_beyond_enumeration(folder, capsys):
    script = import_module("learn_ising")
    arguments = ["--shape", "5", "5", "--hidden", "4", "--epochs", "1", "--exact-epochs", "1", "--temperature", "3.0"]
    assert script.main(arguments) == 0
    out = capsys.readouterr().out
    assert "25 sites are too many to list all states (24): no KL" in out
    assert np.isnan(results.load("learn_ising.h5").exact["kl_divergence"][0])


def test_benchmark(folder, capsys):
    script = import_module("benchmark")
    assert script.main(["--quick", "--runs", "2", "--parts", "sums", "lattices", "--output", "b.json"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^log Z of an RBM, 784 x 24 +\d\S* m?s +\d+%  multiply-adds$", out, re.MULTILINE)
    written = json.loads((folder / "b.json").read_text())
    assert written["lattices"]["machine"]["threads"] >= 1
    assert written["sums"]["machine"]["libraries"]["mcgen"]
    rows = {row["work"]: row for row in written["sums"]["results"] + written["lattices"]["results"]}
    large, multiply_add = rows["log Z of an RBM, 30 x 30"], rows["multiply-add in registers, float64"]
    assert large["limit_seconds"] == pytest.approx(2 * 30 * 2**30 * multiply_add["seconds"], rel=1e-12)
    assert 0 < large["fraction"] == large["limit_seconds"] / large["seconds"] < 1.5
    for row in rows.values():
        low, high = row["quartiles"]
        assert low <= row["seconds"] <= high
    # The table again, from the file.
    assert script.main(["--show", "b.json"]) == 0
    assert out == capsys.readouterr().out + "wrote b.json\n"


def test_benchmark_keeps_the_parts_that_it_does_not_measure(folder, monkeypatch):
    script = import_module("benchmark")
    for name in ("sums", "lattices"):
        monkeypatch.setitem(script.PARTS, name, lambda arguments, name=name: iter([one_row(name)]))
    assert script.main(["--parts", "sums", "--output", "b.json"]) == 0
    before = json.loads((folder / "b.json").read_text())
    assert script.main(["--parts", "lattices", "--output", "b.json"]) == 0
    after = json.loads((folder / "b.json").read_text())
    assert list(after) == ["sums", "lattices"]
    assert after["sums"] == before["sums"]
    assert after["lattices"]["results"] == [one_row("lattices")]


def one_row(work, **more):
    own = {"seconds": 3e-8, "quartiles": [2e-8, 4e-8], "runs": 3}
    return import_module("benchmark_parts.rows").row(work, own, per=10, **more)


def test_rows_of_the_benchmark():
    peers = {"slow": {"seconds": 4.5e-8, "version": 7}, "slower": {"seconds": 6e-7, "extrapolated": True}}
    row = one_row("work", peers=peers, limit="bytes", limit_seconds=2e-9, sweeps=5)
    assert (row["seconds"], row["quartiles"], row["runs"]) == (pytest.approx(3e-9), pytest.approx([2e-9, 4e-9]), 3)
    assert row["ratios"] == {"slow": pytest.approx(15), "slower": pytest.approx(200)}
    assert row["fraction"] == pytest.approx(2 / 3)
    assert (row["peers"], row["sweeps"]) == (peers, 5)
    table = import_module("benchmark_parts.table")
    assert table.line(row) == f"{'work':57}    3 ns       67%  bytes            slow 15x, slower 200x (extrapolated)"
    assert table.line(one_row("work")) == "work".ljust(57) + "    3 ns"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (81.54e-12, "81.5 ps"),
        (5e-13, "0.5 ps"),
        (9.999e-4, "1 ms"),
        (9.99e-4, "999 us"),
        (1e-3, "1 ms"),
        (2.5e-8, "25 ns"),
        (61.24, "61.2 s"),
        (1234.4, "1234 s"),
    ],
)
def test_durations_of_the_benchmark(seconds, words):
    assert import_module("benchmark_parts.table").duration(seconds) == words


def test_benchmark_of_samplers(folder, capsys, monkeypatch):
    script = import_module("benchmark")
    sampling, independent = import_module("benchmark_parts.sampling"), import_module("benchmark_parts.independent")
    square = ising.Ising((16, 16))
    cases = [
        sampling.Case("16 x 16", square, sampling.CRITICAL, 64),
        sampling.Case("16 x 16", square, sampling.CRITICAL, 8, "metropolis", "single-flip"),
    ]
    monkeypatch.setattr(sampling, "cases", lambda device, quick: cases)
    monkeypatch.setattr(sampling, "WANTED_QUICK", 0.005)
    monkeypatch.setattr(sampling, "CLUSTER_LENGTHS", (16,))
    peers = import_module("benchmark_parts.peers")
    monkeypatch.setattr(sampling, "peers_for", lambda lattice, device: {"numba loop": peers.numba_loop})
    monkeypatch.setattr(independent, "LENGTHS_QUICK", (8, 16))
    monkeypatch.setattr(independent, "LARGEST_MEASURED", 8)
    assert script.main(["--quick", "--runs", "2", "--parts", "sampling", "--output", "b.json"]) == 0
    rows = {row["work"]: row for row in json.loads((folder / "b.json").read_text())["sampling"]["results"]}
    bit = rows["random bit, Philox4x32-10"]
    sliced = rows["spin update, metropolis, 16 x 16, 64 chains"]
    single = rows["spin update, metropolis (single-flip), 16 x 16, 8 chains"]
    assert (sliced["kernel"], single["kernel"]) == ("bit-sliced", "single-flip")
    assert "fraction" not in single
    assert 8 < sliced["bits_per_update"] < 12
    assert sliced["limit_seconds"] == pytest.approx(sliced["bits_per_update"] * bit["seconds"], rel=1e-12)
    for row in (sliced, single):  # of one update: a nanosecond, say, and not that of a sweep
        assert 1e-12 < row["seconds"] < 1e-6
        assert row["peers"]["numba loop"]["cores"] > 0
        assert row["ratios"] == {"numba loop": row["peers"]["numba loop"]["seconds"] / row["seconds"]}
    for what in ("states", "energies"):
        row = rows[f"spin update, 64 x 64, {what} kept every 10 sweeps"]
        assert 1e-12 < row["seconds"] < 1e-6
        assert row["limit"] == "sweeps alone"
    found = {}
    for length in (8, 16):
        (row,) = (row for work, row in rows.items() if f"configuration, {length} x" in work)
        samplers = row["peers"] | {row["work"].split(", ")[-1]: row}
        assert set(samplers) == {*independent.SINGLE_FLIP, *independent.CLUSTER}
        assert row["seconds"] == min(one["seconds"] for one in samplers.values())
        found[length] = samplers
    for method in independent.SINGLE_FLIP:
        known, row = (found[length][method] for length in (8, 16))
        assert not known["extrapolated"]
        assert row["extrapolated"]
        assert row["tau_abs_magnetization"] == pytest.approx(known["tau_abs_magnetization"] * 2**2.1665, rel=1e-12)
        assert row["seconds"] == pytest.approx(row["tau_abs_magnetization"] * row["seconds_per_sweep"], rel=1e-12)
        assert known["tau_energy"] < known["tau_abs_magnetization"]
    out = capsys.readouterr().out
    assert re.search(r"^independent configuration, 16 x 16, .*x \(extrapolated\)", out, re.MULTILINE)
    words = r"^spin update, metropolis, 16 x 16, 64 chains .* \d+%  random bits +numba loop \d+(\.\d)?x$"
    assert re.search(words, out, re.MULTILINE)


def test_autocorrelation_times_of_the_benchmark_are_in_sweeps():
    # The same chains, with every draw kept and with every fourth: the times agree, though not the numbers of draws.
    independent = import_module("benchmark_parts.independent")
    lattice = ising.Ising((8, 8))
    every, fourth = (independent.times(lattice, "metropolis", 64, 4000 // thin, thin, "cpu") for thin in (1, 4))
    for name in ("tau_energy", "tau_abs_magnetization"):
        assert fourth[name] == pytest.approx(every[name], rel=0.15)
        assert 0 < every[f"{name}_error"] < 0.1 * every[name]


PEERS = ("numba loop", "dwave-samplers", "openjij", "torch")


@pytest.mark.parametrize("name", PEERS)
def test_peers_of_the_benchmark_sample_the_same_model(name):
    peers = import_module("benchmark_parts.peers")
    assert tuple(peers.PEERS) == PEERS
    if not peers.installed(peers.package(name)):
        pytest.skip(f"{name} is not installed")
    signs = np.random.default_rng(3).choice([-1.0, 1.0], size=(2, 32, 64))
    glass = ising.Ising((32, 64), signs)
    states = peers.PEERS[name](glass, 2.5, 4, "cpu")(200)
    truth = ising.sample(glass, 2.5, n_chains=64, n_draws=10, burn_in=200).energy
    error = truth.std() / len(states) ** 0.5
    assert states.shape[1] == glass.n_sites
    assert abs(glass.energy(states.reshape(-1, 32, 64)).mean() - truth.mean()) < 4 * error


def test_the_bench_extra_installs_the_peers():
    project = tomllib.loads((SCRIPTS.parent / "pyproject.toml").read_text())["project"]
    extra = " ".join(project["optional-dependencies"]["bench"])
    for name in PEERS[1:]:
        assert name in extra


def test_random_bits_of_the_benchmark_are_those_of_philox():
    totals = np.empty((3, 8), np.uint64)
    key = np.uint64(123), np.uint64(456)
    import_module("benchmark_parts.random_bits").combine_random_bits(totals, 5, *key)
    for group in range(3):
        for half in range(16):
            words = [philox4x32(counter, 1, 16 * group + half, ISING_BIT_SLICED, *key) for counter in range(5)]
            expected = np.bitwise_xor.reduce(np.array(words), axis=None)
            assert totals[group].view(np.uint32)[half] == expected


def test_bits_per_update_of_the_benchmark():
    random_bits = import_module("benchmark_parts.random_bits")
    lattice = ising.Ising((64, 64))
    up = np.ones((64, 64 * 64), np.int8)
    # All lanes draw, in blocks of four vectors. A lane has its k-th undecided vector with the binomial probability q,
    # which takes more than 4 j digits with probability 2^-4j.
    chunks = sum(1 - (1 - binom.sf(k - 1, 4, 2.0**-8) * 2.0 ** (-4 * j)) ** 512 for k in range(1, 5) for j in range(6))
    assert random_bits.bits_per_update(lattice, "metropolis", up) == pytest.approx(8 + chunks, abs=0.06)
    assert random_bits.bits_per_update(lattice, "heatbath", up) == pytest.approx(8 + chunks, abs=0.06)
    # Every spin of a checkerboard flips without a draw; a group of 64 chains costs the same with one of them.
    board = np.where(np.indices((16, 16)).sum(axis=0) % 2, 1, -1).astype(np.int8).reshape(1, -1)
    assert random_bits.bits_per_update(ising.Ising((16, 16)), "metropolis", board) == 8 * 64


def test_clocks_of_the_benchmark(monkeypatch):
    measuring = import_module("benchmark_parts.measuring")
    clock = {"wall": 0.0, "processor": 0.0}
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(measuring.time, "process_time", lambda: clock["processor"])

    def run(n_sweeps):  # 3 s of other things on one core, and 1/64 s for each sweep on two
        clock["wall"] += 3 + n_sweeps / 64
        clock["processor"] += 3 + n_sweeps / 32

    assert measuring.sweep_rate(run, 10.0, 3) == {"sweeps_per_second": 64.0, "cores": 2.0, "runs": 3}
    calls = []

    def disturbed(n_sweeps):  # after eight calls that count sweeps, two short runs meet another process
        run(n_sweeps)
        calls.append(n_sweeps)
        clock["wall"] += 50.0 if len(calls) in (9, 11) else 0.0

    assert measuring.sweep_rate(disturbed, 10.0, 3)["sweeps_per_second"] == 64.0
    assert calls[8:12] == [1, 644, 1, 1287]
    steps = iter([100.0, 1.0, 4.0, 2.0])

    def work():
        clock["wall"] += next(steps)

    row = measuring.measure(work, 3)
    assert row["seconds"] == 2.0
    assert row["quartiles"] == [1.0, 4.0]
