"""Runs that are written as they are drawn: the same files, in little memory, and what Ctrl-C keeps."""

import dataclasses
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from mcgen import cli, ising, results
from mcgen.errors import FileError, InputError
from mcgen.ising import sampling
from mcgen.results import groups, samples, unfinished

LATTICE = ising.Ising((4, 4))
N_DRAWS = 23


def draw(temperature, **changes):
    settings = {
        "n_chains": 5,
        "n_draws": N_DRAWS,
        "thin": 2,
        "burn_in": 10,
        "seed": 3,
        "kernel": "single-flip",
    } | changes
    return ising.sample(LATTICE, temperature, **settings)


@pytest.fixture(scope="module")
def runs():
    return draw([3.0, 5.0])


@pytest.fixture(scope="module")
def tempered():
    return draw([5.0, 3.0], method="tempering", seed=4)


def pieces(run, sizes):
    """The blocks that a run could have come in."""
    edges = np.cumsum([0, *sizes])
    names = ("states", "energy", "magnetization")
    return [
        dataclasses.replace(run, **{name: getattr(run, name)[:, first:stop] for name in names})
        for first, stop in itertools.pairwise(edges)
    ]


SIZES = (1, 6, 3, 12, 1)


def contents(path):
    """Everything in a file but its provenance."""
    found = {}

    def visit(name, item):
        found[name] = {
            key: str(value) for key, value in item.attrs.items() if key not in ("DIMENSION_LIST", "REFERENCE_LIST")
        }
        if isinstance(item, h5py.Dataset):
            dimensions = [list(axis.keys()) for axis in item.dims]
            found[name] |= {"dtype": item.dtype, "dimensions": dimensions, "values": item[()].tolist()}

    with h5py.File(path) as file:
        file.visititems(visit)
        return found, {key: file.attrs[key] for key in ("schema_version", "configuration", "status", "seed")}


@pytest.mark.parametrize("keep_states", [True, False], ids=["states", "no states"])
@pytest.mark.parametrize("what", ["one temperature", "several temperatures", "tempering"])
def test_a_streamed_file_is_a_saved_file(what, keep_states, runs, tempered, tmp_path, monkeypatch):
    # Rows of chunks of 4 draws of the 5 chains.
    monkeypatch.setattr(samples, "BYTES_PER_ROW", 4 * 5 * 16 * (2 if what == "tempering" else 1))
    whole = {"one temperature": runs[:1], "several temperatures": runs, "tempering": tempered}[what]
    if not keep_states:
        whole = [dataclasses.replace(run, states=run.states[:, :0]) for run in whole]
    with results.stream_samples(tmp_path / "streamed.h5", N_DRAWS, len(whole)) as file:
        if what == "tempering":
            for blocks in zip(*(pieces(run, SIZES) for run in whole), strict=True):
                file.append(list(blocks))
        else:
            for run in whole:
                for block in pieces(run, SIZES):
                    file.append(block)
                (held,) = file.runs
                assert held.states.shape == (5, 0, 4, 4)
                assert (held.energy == run.energy).all()
                assert (held.magnetization == run.magnetization).all()
    assert file.kept == (len(whole), N_DRAWS)
    results.save(tmp_path / "saved.h5", whole)
    assert contents(tmp_path / "streamed.h5") == contents(tmp_path / "saved.h5")
    assert ("samples/states" in contents(tmp_path / "saved.h5")[0]) == keep_states


def test_no_chunk_is_written_twice(runs, tmp_path, monkeypatch):
    # Chunks of 2 of the 5 chains and 4 of the 23 draws.
    monkeypatch.setattr(samples, "BYTES_PER_ROW", 4 * 5 * 16)
    monkeypatch.setattr(groups, "BYTES_PER_CHUNK", 4 * 2 * 16)
    written, original = [], h5py.Dataset.__setitem__

    def write(dataset, place, values):
        if dataset.name == "/samples/states":
            written.append((place[0], *((part.start, part.stop) for part in place[1:])))
        original(dataset, place, values)

    monkeypatch.setattr(h5py.Dataset, "__setitem__", write)
    with results.stream_samples(tmp_path / "file.h5", N_DRAWS, 2) as file:
        for run in runs:
            for block in pieces(run, SIZES):
                file.append(block)
    chains = [(0, 2), (2, 4), (4, 5)]
    draws = [(first, min(first + 4, N_DRAWS)) for first in range(0, N_DRAWS, 4)]
    assert written == [(k, chain, draw) for k in range(2) for draw in draws for chain in chains]
    with h5py.File(tmp_path / "file.h5") as opened:
        assert opened["samples/states"].chunks == (1, 2, 4, 4, 4)
    assert all(same_draws(*pair, N_DRAWS) for pair in zip(results.load(tmp_path / "file.h5"), runs, strict=True))


def stream(path, n_draws, n_temperatures, blocks, error=None, **options):
    with results.stream_samples(path, n_draws, n_temperatures, **options) as file:
        for block in blocks:
            file.append(block)
        if error is not None:
            raise error


def interrupted(path, n_temperatures, blocks):
    """What is in the file after blocks and Ctrl-C."""
    with pytest.raises(KeyboardInterrupt):
        stream(path, N_DRAWS, n_temperatures, blocks, KeyboardInterrupt)
    return results.load_study(path)


def same_draws(run, whole, n_draws):
    return all(
        np.array_equal(getattr(run, name), getattr(whole, name)[:, :n_draws])
        for name in ("states", "energy", "magnetization")
    )


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 4])
def test_ctrl_c_keeps_the_draws_so_far_of_a_single_temperature(n_blocks, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "BYTES_PER_ROW", 4 * 5 * 16)
    n_draws = sum(SIZES[:n_blocks])
    for n_temperatures in (1, 2):  # the first of several that were to come is kept as well
        path = tmp_path / f"{n_temperatures}.h5"
        study = interrupted(path, n_temperatures, pieces(runs[0], SIZES)[:n_blocks])
        assert study.attributes["status"] == "interrupted"
        assert study.temperatures == (3.0,)
        assert same_draws(results.load(path), runs[0], n_draws)


def test_ctrl_c_keeps_the_temperatures_that_are_complete(runs, tmp_path):
    blocks = pieces(runs[0], [N_DRAWS]) + pieces(runs[1], SIZES)[:3]
    study = interrupted(tmp_path / "file.h5", 3, blocks)
    assert study.attributes["status"] == "interrupted"
    assert study.temperatures == (3.0,)
    assert same_draws(study.samples[0], runs[0], N_DRAWS)
    with h5py.File(tmp_path / "file.h5") as file:
        assert file["samples/states"].shape == (1, 5, N_DRAWS, 4, 4)


def test_ctrl_c_keeps_the_draws_so_far_of_tempering(tempered, tmp_path):
    blocks = [list(both) for both in zip(*(pieces(run, SIZES) for run in tempered), strict=True)]
    study = interrupted(tmp_path / "file.h5", 2, blocks[:3])
    assert study.temperatures == (5.0, 3.0)
    assert all(same_draws(*pair, 10) for pair in zip(study.samples, tempered, strict=True))
    assert study.samples[0].exchange.round_trips == tempered[0].exchange.round_trips


def signal_at(monkeypatch, name):
    """Send this process a Ctrl-C whenever something of that name is written."""
    original = samples.put

    def put(group, written, k, first, draws):
        if written == name:
            signal.raise_signal(signal.SIGINT)
        original(group, written, k, first, draws)

    monkeypatch.setattr(samples, "put", put)


def test_ctrl_c_waits_until_a_block_is_written(tempered, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "BYTES_PER_ROW", 4 * 5 * 16 * 2)
    signal_at(monkeypatch, "states")  # first in the second block
    blocks = [list(both) for both in zip(*(pieces(run, SIZES) for run in tempered), strict=True)]
    with pytest.raises(KeyboardInterrupt):
        stream(tmp_path / "file.h5", N_DRAWS, 2, blocks)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    study = results.load_study(tmp_path / "file.h5")
    assert study.attributes["status"] == "interrupted"
    assert all(same_draws(*pair, 7) for pair in zip(study.samples, tempered, strict=True))


def test_another_ctrl_c_at_the_end_does_no_harm(runs, tmp_path, monkeypatch):
    signal_at(monkeypatch, "energy")
    study = interrupted(tmp_path / "file.h5", 1, pieces(runs[0], SIZES)[:3])
    assert same_draws(study.samples[0], runs[0], 10)
    with pytest.raises(KeyboardInterrupt):  # from the end of the last block
        stream(tmp_path / "complete.h5", N_DRAWS, 1, pieces(runs[0], SIZES))
    assert results.load_study(tmp_path / "complete.h5").attributes["status"] == "complete"
    assert sorted(os.listdir(tmp_path)) == ["complete.h5", "file.h5"]


def test_other_threads_can_write(runs, tmp_path):
    writer = threading.Thread(target=stream, args=(tmp_path / "file.h5", N_DRAWS, 1, pieces(runs[0], SIZES)))
    writer.start()
    writer.join()
    assert same_draws(results.load(tmp_path / "file.h5"), runs[0], N_DRAWS)


def test_temperatures_of_different_lengths_are_cut(tempered, tmp_path, monkeypatch):
    # As after an error while the second of two is written.
    monkeypatch.setattr(samples, "BYTES_PER_ROW", 4 * 5 * 16 * 2)
    original = samples.put

    def put(group, name, k, first, draws):
        if (name, k, first) == ("states", 1, 12):
            monkeypatch.setattr(samples, "put", original)
            raise FileError("the disk is full")
        original(group, name, k, first, draws)

    monkeypatch.setattr(samples, "put", put)
    blocks = [list(both) for both in zip(*(pieces(run, SIZES) for run in tempered), strict=True)]
    with pytest.raises(FileError, match="the disk is full"):
        stream(tmp_path / "file.h5", N_DRAWS, 2, blocks)
    study = results.load_study(tmp_path / "file.h5")
    assert study.attributes["status"] == "interrupted"
    assert all(same_draws(*pair, 12) for pair in zip(study.samples, tempered, strict=True))


def test_ctrl_c_after_all_draws_leaves_a_complete_file(runs, tmp_path):
    study = interrupted(tmp_path / "file.h5", 1, pieces(runs[0], SIZES))
    assert study.attributes["status"] == "complete"


def test_nothing_is_written_without_draws_or_after_another_error(runs, tmp_path):
    earlier = results.save(tmp_path / "file.h5", runs[1])
    before = earlier.read_bytes()
    for blocks, error in (([], KeyboardInterrupt), (pieces(runs[0], SIZES)[:2], ZeroDivisionError)):
        with pytest.raises(error):
            stream(earlier, N_DRAWS, 1, blocks, error, overwrite=True)
        assert earlier.read_bytes() == before
    with pytest.raises(InputError, match=r"new.h5 would hold no draws; append"):
        stream(tmp_path / "new.h5", N_DRAWS, 1, [])
    assert os.listdir(tmp_path) == ["file.h5"]


def test_a_full_disk_keeps_the_draws_so_far(runs, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    enough_for_what_is_held = usage._replace(free=2**22 + 16 * 5 * N_DRAWS * 2)

    def until_the_disk_is_full():
        first, second, third, *_ = pieces(runs[0], SIZES)
        yield first
        yield second
        monkeypatch.setattr(shutil, "disk_usage", lambda path: enough_for_what_is_held)
        yield third

    with pytest.raises(FileError, match="MB are needed to go on"):
        stream(tmp_path / "file.h5", N_DRAWS, 1, until_the_disk_is_full())
    study = results.load_study(tmp_path / "file.h5")
    assert study.attributes["status"] == "interrupted"
    assert same_draws(study.samples[0], runs[0], 7)


def test_blocks_that_do_not_fit_are_refused(runs, tempered, tmp_path):
    whole = runs[0]
    bare = dataclasses.replace(whole, states=whole.states[:, :0])
    half = pieces(whole, [12, 11])[0]
    for n_draws, n_temperatures, blocks, words in (
        (22, 1, [whole], "a block of 23 draws of 1 temperatures does not fit: 22 draws of 1 .* n_draws of ising"),
        (N_DRAWS, 1, [whole, whole], "of 1 temperatures after 1 complete ones does not fit to n_temperatures=1"),
        (N_DRAWS, 3, [tempered], "of 2 temperatures after 0 complete ones does not fit to n_temperatures=3"),
        (N_DRAWS, 2, [half, tempered], "differ in method"),
        (N_DRAWS, 2, [whole, bare], r"differ in whether states are kept \(True and False\)"),
        (N_DRAWS, 2, [whole, draw(3.0, n_chains=6)], "blocks 0 and 1 differ in shape"),
        (N_DRAWS, 2, [whole, dataclasses.replace(whole, thin=7)], r"differ in thin \(2 and 7\); .* files of their own"),
        (N_DRAWS, 2, [[tempered[0], half]], "temperatures 0 and 1 differ in method"),
        (0, 1, [whole], "n_draws=0 is too small"),
        (N_DRAWS, 0, [whole], "n_temperatures=0 is too small"),
    ):
        with pytest.raises(InputError, match=words):
            stream(tmp_path / "file.h5", n_draws, n_temperatures, blocks)
        assert not list(tmp_path.iterdir())


def test_a_long_run_takes_little_memory(tmp_path, monkeypatch):
    # 256 chains of 1000 states of 1024 spins are 262 MB. At a low temperature they are quickly compressed.
    monkeypatch.setattr(sampling, "BYTES_PER_BLOCK", 2**23)
    settings = {"n_chains": 256, "n_draws": 1000, "thin": 1, "burn_in": 0, "initial": "up", "seed": 1}
    lattice = ising.Ising((32, 32))
    tracemalloc.start()
    try:
        with results.stream_samples(tmp_path / "file.h5", 1000) as file:
            for block in ising.stream(lattice, 1.0, **settings):
                file.append(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6
    run = results.load(tmp_path / "file.h5", keep_states=False)
    assert run.energy.shape == (256, 1000)
    with h5py.File(tmp_path / "file.h5") as opened:
        states = opened["samples/states"]
        assert states.shape == (256, 1000, 32, 32)
        last = states[:, -1]
    assert (lattice.energy(last) == run.energy[:, -1]).all()
    assert (lattice.magnetization(last) == run.magnetization[:, -1]).all()


# Read while it is written


READER = """
import sys, time, h5py, numpy as np
file = h5py.File("run.h5.part", "r", libver="latest", swmr=True)
counts, samples, seen = file["live/n_draws"], file["samples"], 0
while seen < int(sys.argv[1]):
    counts.refresh()
    if counts[()].sum() > seen:
        seen = int(counts[()].sum())
        for dataset in samples.values():
            dataset.refresh()
        np.savez(f"{seen}.npz", n_draws=counts[()], **{name: samples[name][()] for name in samples})
        print(seen, flush=True)
    time.sleep(0.005)
sys.stdin.readline()
"""


def test_blocks_without_states_are_small_for_many_chains_too(monkeypatch):
    monkeypatch.setattr(sampling, "BYTES_PER_BLOCK", 16 * 100 * 10)
    blocks = ising.stream(LATTICE, 2.0, n_chains=100, n_draws=25, thin=1, burn_in=0, keep_states=False)
    assert [block.energy.shape for block in blocks] == [(100, 10), (100, 10), (100, 5)]


@pytest.mark.parametrize("method", ["metropolis", "tempering"])
@pytest.mark.filterwarnings("ignore::mcgen.errors.StatisticsWarning")
def test_another_process_reads_whole_blocks_of_a_growing_file(method, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "BYTES_PER_ROW", 3 * 4 * 16)  # blocks that end within a row of chunks, too
    monkeypatch.setattr(sampling, "BYTES_PER_BLOCK", 2 * 4 * 16 * (2 if method == "tempering" else 1))
    monkeypatch.chdir(tmp_path)
    lattice, temperatures = ising.Ising((4, 4)), (2.0, 3.0)
    settings = {"n_chains": 4, "n_draws": 7, "thin": 1, "burn_in": 3, "method": method}
    jobs = [temperatures] if method == "tempering" else temperatures
    reader, shown, followed = None, [], []
    with results.stream_samples("run.h5", 7, 2, swmr=True) as file:
        for seed, job in enumerate(jobs):
            for block in ising.stream(lattice, job, seed=seed, **settings):
                file.append(block)
                if reader is None:
                    script = [sys.executable, "-P", "-c", READER, "14"]
                    reader = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                    follower = results.follow("run.h5", seconds=0)
                    followed.append(next(follower))
                shown.append(int(reader.stdout.readline()))  # every block as soon as it is appended
    assert results.load_study("run.h5").attributes["status"] == "complete"  # while a reader has the file open
    reader.communicate("\n", timeout=60)
    assert reader.returncode == 0
    assert len(shown) == (4 if method == "tempering" else 8)
    assert sorted(os.listdir()) == sorted(["run.h5", *(f"{n}.npz" for n in shown)])
    with h5py.File("run.h5") as file:
        assert "live" not in file
        assert file["samples/states"].shape == (2, 4, 7, 4, 4)
        for n in shown:
            seen = np.load(f"{n}.npz")
            assert seen["n_draws"].sum() == n
            assert seen["energy"].shape[2] == seen["n_draws"].max()
            for k, n_draws in enumerate(seen["n_draws"]):
                for name in ("states", "energy", "magnetization"):
                    np.testing.assert_array_equal(seen[name][k, :, :n_draws], file["samples"][name][k, :, :n_draws])
        followed += follower
        assert len(followed) > 2
        assert sum(draws["energy"].shape[1] for _, _, draws in followed) == 14
        for k, first, draws in followed:
            n_new = draws["energy"].shape[1]
            np.testing.assert_array_equal(draws["states"], file["samples/states"][k, :, first : first + n_new])
    plain = []
    for seed, job in enumerate(jobs):
        runs = ising.sample(lattice, job, seed=seed, **settings)
        plain += runs if method == "tempering" else [runs]
    assert all(same_draws(*pair, 7) for pair in zip(results.load("run.h5"), plain, strict=True))


def test_a_growing_file_has_no_checkpoints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "ising sample --shape 4 4 --temperature 3 --chains 30 --draws 30 --thin 20 --output run.h5 --swmr"
    assert cli.main(f"{line} --resume".split()) == 2
    assert "--swmr and --resume exclude each other: a file that others read" in capsys.readouterr().err
    assert cli.main(f"{line} --checkpoint-every 5".split()) == 2
    assert "--swmr and --checkpoint-every 5 exclude each other" in capsys.readouterr().err
    with pytest.raises(InputError, match="which has no checkpoints; leave one of both out"):
        results.stream_samples("run.h5", 5, swmr=True, resume=True).__enter__()
    with pytest.raises(FileError, match=r"run.h5.part is not there: no run with this output"):
        next(results.follow("run.h5"))
    Path("run.h5.part").write_bytes(b"of a run that was killed")
    assert cli.main(line.split()) == 2
    assert "run.h5.part is there, of a run that has not ended" in capsys.readouterr().err
    assert cli.main(f"{line} --overwrite".split()) == 0
    assert cli.main(line.replace(" --swmr", "").replace("run.h5", "plain.h5").split()) == 0
    assert sorted(os.listdir()) == ["plain.h5", "run.h5"]
    with h5py.File("run.h5") as one, h5py.File("plain.h5") as other:
        assert list(one) == list(other)
        assert (one["samples/states"][()] == other["samples/states"][()]).all()


def test_a_follower_of_a_process_that_has_died_is_told(tmp_path, monkeypatch):
    """Copies of a run under construction are what a killed process leaves: with no lock, or one that nobody holds."""
    monkeypatch.chdir(tmp_path)
    with results.stream_samples("run.h5", n_draws=6, swmr=True) as file:
        for n, block in enumerate(ising.stream(LATTICE, 2.0, n_chains=3, n_draws=6, seed=1)):
            file.append(block)
            if n == 0:
                shutil.copy("run.h5.part", "killed.h5.part")
                shutil.copy("run.h5.part", "old.h5.part")
                Path(".old.h5.lock").touch()
                assert next(results.follow("run.h5", seconds=0))[1] == 0
                assert unfinished.is_claimed("run.h5")  # this one lives
    assert not unfinished.is_claimed("run.h5")
    whole = results.load("run.h5")
    for name in ("killed", "old"):
        follower = results.follow(f"{name}.h5", seconds=0)
        _, first, draws = next(follower)
        assert first == 0
        n_now = draws["energy"].shape[1]
        assert np.array_equal(draws["energy"], whole.energy[:, :n_now])
        with pytest.raises(FileError, match=rf"the process that wrote {name}\.h5\.part has died; .*start anew"):
            next(follower)
