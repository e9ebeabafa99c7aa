"""Runs that are killed, stopped and resumed: nothing is lost, and the data have the same bytes as without the break."""

import importlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

import h5py
import numpy as np
import pytest
from kills import contents, same

from mcgen import blocks, cli, hdf5, interruption, ising, rbm, results
from mcgen.errors import FileError, InputError
from mcgen.ising import sampling
from mcgen.results import samples, segments, trees, unfinished
from mcgen.results.study import of_samples

DRAWN = "ising sample --shape 4 4 --temperature 3.0 5.0 --chains 30 --draws 20 --thin 4 --burn-in 50 --seed 5"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mcgen(line):
    return cli.main(shlex.split(line))


def same_files(one, other):
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    return [name for name in first if not same(first[name], second[name])] == []


def through_a_file(state):
    with tempfile.NamedTemporaryFile(suffix=".h5") as place:
        with h5py.File(place.name, "w") as file:
            trees.write_tree(file, "state", state)
        groups = hdf5.read(place.name, lambda listing: trees.datasets_of(listing, "state"))[1]
        return trees.read_tree(groups, "state")


# Random moments


@pytest.mark.parametrize("command", ["several", "weighted"])
def test_runs_that_are_killed_end_as_if_they_had_not_been(command):
    script = Path(__file__).parents[1] / "kills.py"
    line = [sys.executable, script, "--kills", "2", "--seed", "5", "--every", "0.1", "--only", command]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 kills" in done.stdout


# Every kind of chain


LATTICE = ising.Ising((4, 4))
WALKERS = {
    "single flips": ({"temperature": 2.0, "kernel": "single-flip"}, (0, 1)),
    "bits": ({"temperature": 2.0, "n_chains": 70}, (0, 2)),
    "heat bath": ({"temperature": 2.0, "method": "heatbath", "keep_states": False}, (3, 0)),
    "wolff": ({"temperature": 2.0, "method": "wolff"}, (2, 0)),
    "swendsen-wang": ({"temperature": 2.0, "method": "swendsen-wang"}, (0, 1)),
    "tempering": ({"temperature": [1.0, 3.0], "method": "tempering"}, (2, 0)),
    "tempering of clusters": ({"temperature": [1.0, 3.0], "method": "tempering", "moves": "wolff"}, (0, 2)),
    "exact": ({"temperature": 2.0, "method": "exact"}, (0, 0)),
}
CHAINS = {
    "gibbs": ({}, (2, 0)),
    "metropolis": ({"method": "metropolis"}, (0, 1)),
    "tempering": ({"method": "tempering"}, (0, 2)),
    "tempering in burn-in": ({"method": "tempering"}, (3, 0)),
    "clamped": ({"clamped_units": [0, 1], "clamped_values": [1, -1]}, (0, 1)),
    "exact": ({"method": "exact"}, (0, 0)),
}


def goes_on(stream, n_pieces, n_blocks):
    """What a stream draws, and another one that begins with its state after pieces of burn-in or blocks."""
    first = stream(None)
    for _, _piece in zip(range(n_pieces), first.burn_in(), strict=False):
        pass
    for _ in range(n_blocks):
        next(first)
    state = through_a_file(first.state())
    return [list(blocks) for blocks in (stream(state), first)]


@pytest.mark.parametrize("name", WALKERS)
def test_walkers_go_on_from_their_state(name, monkeypatch):
    monkeypatch.setattr(sampling, "SECONDS_PER_CALL", 1e-9)  # a sweep, or a draw, at once
    settings, pieces = WALKERS[name]
    settings = {"n_chains": 6, "n_draws": 4, "thin": 2, "burn_in": 9, "seed": 3} | settings
    resumed, whole = goes_on(lambda state: ising.stream(LATTICE, **settings, resume=state), *pieces)
    for one, other in zip(resumed, whole, strict=True):
        for run, same_run in zip(*((x if isinstance(x, list) else [x]) for x in (one, other)), strict=True):
            assert (run.states == same_run.states).all()
            assert (run.energy == same_run.energy).all()
            np.testing.assert_equal(run.flip_rate, same_run.flip_rate)
            if run.exchange is not None:
                assert of_samples(run)["exchange"] == of_samples(same_run)["exchange"]


@pytest.mark.parametrize("name", CHAINS)
def test_chains_of_models_go_on_from_their_state(name, monkeypatch):
    monkeypatch.setattr(rbm.sampling.drawing, "OPERATIONS_PER_CALL", dict.fromkeys(rbm.sampling.METHODS, 1))
    model = rbm.RBM.random(6, 3, seed=1, scale=1.5, visible="spin", hidden="spin")
    settings, pieces = CHAINS[name]
    settings = {"n_chains": 6, "n_draws": 4, "thin": 2, "burn_in": 9, "seed": 3} | settings
    resumed, whole = goes_on(lambda state: rbm.stream(model, **settings, resume=state), *pieces)
    for one, other in zip(resumed, whole, strict=True):
        assert (one.states == other.states).all()
        assert (one.free_energy == other.free_energy).all()
        np.testing.assert_equal(one.acceptance_rate, other.acceptance_rate)
        if one.exchange is not None:
            assert one.exchange.round_trips == other.exchange.round_trips
            np.testing.assert_array_equal(one.exchange.swap_rates, other.exchange.swap_rates)


def test_states_of_other_runs_are_refused():
    settings = {"n_chains": 6, "n_draws": 4, "thin": 2, "burn_in": 9, "seed": 3, "kernel": "single-flip"}
    state = ising.stream(LATTICE, 2.0, **settings).state()
    with pytest.raises(InputError, match=r"int8 \(6, 16\) as SpinWalkers._states, which is int8 \(7, 16\)"):
        ising.stream(LATTICE, 2.0, **(settings | {"n_chains": 7}), resume=state)
    with pytest.raises(InputError, match="is not that of ClusterChains"):
        ising.stream(LATTICE, 2.0, **(settings | {"kernel": "auto", "method": "wolff"}), resume=state)
    with pytest.raises(InputError, match="n_drawn of the state=9 is too large"):
        ising.stream(LATTICE, 2.0, **settings, resume=state | {"n_drawn": 9})


# Every kind of training


ROWS, OTHERS = ((np.random.default_rng(seed).random((n, 6)) < 0.4) * 1.0 for seed, n in ((0, 60), (1, 20)))
TRAININGS = {
    "exact": {"optimizer": "natural", "damping": 0.1},
    "cd": {"optimizer": "sgd", "centered": True, "batch_size": 25, "n_chains": 7},
    "pcd": {"gibbs_steps": "auto", "patience": 3, "validation": OTHERS, "keep_every": 2, "learning_rate": [0.3] * 6},
    "weighted": {"gibbs_steps": 1, "patience": 3, "validation": OTHERS, "centered": True},
    "tempering": {"ladder": (0.0, 1.0)},
    "trajectory": {"gibbs_steps": 1, "learning_rate": 1.0},
}


def leaves(tree, name=""):
    """All numbers and arrays of a state."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else None
    if pairs is None:
        yield name, np.asarray(tree, object if tree is None else None)
        return
    for key, value in pairs:
        yield from leaves(value, f"{name}/{key}")


@pytest.mark.parametrize("phase", TRAININGS)
@pytest.mark.filterwarnings("ignore::mcgen.errors.StatisticsWarning")
def test_trainings_go_on_from_a_file_to_the_same_bits(phase, folder):
    model = rbm.RBM.random(6, 3, seed=1, dtype="float32" if phase == "weighted" else "float64")
    settings = {"negative_phase": phase, "n_chains": 10, "epochs": 6, "batch_size": 20, "learning_rate": 0.1, "seed": 3}
    settings |= {"evaluate_every": 2} | TRAININGS[phase]
    seen = []
    whole = rbm.train(model, ROWS, **settings, checkpoint=lambda so_far: seen.append(so_far()))
    assert [len(one.history["epoch"]) for one in seen] == list(range(1, len(seen) + 1))
    results.save("third.h5", seen[2])
    resumed = rbm.train(model, ROWS, **settings, resume=results.load("third.h5"))
    for one, other in zip(leaves(resumed.state), leaves(whole.state), strict=True):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1], one[0])
    results.save("resumed.h5", resumed)
    results.save("whole.h5", whole)
    assert same_files("resumed.h5", "whole.h5")


def test_a_fit_goes_on_from_any_iteration_to_the_same_bits(folder, monkeypatch):
    module = importlib.import_module("mcgen.rbm.maximum_likelihood")
    monkeypatch.setattr(module, "ROUNDING", 1e-3)  # L-BFGS begins afresh now and then
    model, truth = rbm.RBM.random(6, 3, seed=1, scale=0.3), np.full(64, 1 / 64)
    settings = {"truth": truth, "evaluate_every": 3, "max_iterations": 25}
    seen, original = [], module.Climb._evaluate
    whole = rbm.maximum_likelihood(model, ROWS, **settings, checkpoint=lambda so_far: seen.append(so_far()))
    assert whole.settings["ended_by"] == "max_iterations"
    assert len({one.state["begun"]["n_rows"] for one in seen}) > 2
    results.save("whole.h5", whole)
    for k in (0, 7, 16, 23):
        results.save("part.h5", seen[k], overwrite=True)
        with monkeypatch.context() as patch:
            n_known = len(seen[k].history["epoch"])
            assert n_known == k + 1
            made = []
            patch.setattr(module.Climb, "_evaluate", lambda *of, made=made: made.append(of) or original(*of))
            resumed = rbm.maximum_likelihood(model, ROWS, **settings, resume=results.load("part.h5"))
            assert len(made) == whole.settings["n_evaluations"] - seen[k].settings["n_evaluations"]
        results.save("resumed.h5", resumed, overwrite=True)
        assert same_files("resumed.h5", "whole.h5")
        assert results.load("resumed.h5").settings == results.load("whole.h5").settings
    assert rbm.maximum_likelihood(model, ROWS, **settings, resume=whole) is whole
    for changes, words in (({"l2": 0.1}, "l2=0.1 differs from the l2=0.0"), ({"v": OTHERS}, "n_rows=20 differs")):
        with pytest.raises(InputError, match=words):
            rbm.maximum_likelihood(**({"model": model, "v": ROWS, "resume": seen[0]} | settings | changes))
    with pytest.raises(InputError, match="is a fit of other data or from another start"):
        rbm.maximum_likelihood(model, 1 - ROWS, **settings, resume=seen[0])


def test_a_training_goes_on_with_more_epochs_and_with_nothing_else(folder):
    model = rbm.RBM.random(6, 3, seed=1)
    short, long = (rbm.train(model, ROWS, epochs=epochs, evaluate_every=1) for epochs in (2, 4))
    longer = rbm.train(model, ROWS, epochs=4, evaluate_every=1, resume=short)
    assert (longer.model.weights == long.model.weights).all()
    for changes, words in (
        (
            {"learning_rate": 0.5},
            "learning_rate=0.5 differs from the learning_rate=0.01 of the training",
        ),
        ({"epochs": 9, "final_learning_rate": 0.1}, "epochs=9 differs from the epochs=2"),
        ({"resume": rbm.Trained(model, {}, ROWS, {})}, "resume has no state to go on from"),
        ({"resume": model}, "resume is not a training of"),
    ):
        with pytest.raises(InputError, match=words):
            rbm.train(model, ROWS, **({"epochs": 2, "evaluate_every": 1, "resume": short} | changes))


# Commands that are stopped


def stop_at(monkeypatch, n_draws, number=signal.SIGTERM):
    """Send this process a signal when so many draws are done."""
    original = blocks.Blocks._drawn

    def drawn(self, n_now):
        if self.n_drawn == n_draws:
            signal.raise_signal(number)
        return original(self, n_now)

    monkeypatch.setattr(blocks.Blocks, "_drawn", drawn)


@pytest.mark.parametrize("method", ["metropolis", "tempering"])
def test_sigterm_stops_a_run_of_draws_that_goes_on(method, folder, capsys, monkeypatch):
    line = f"{DRAWN} --method {method} --output"
    assert mcgen(f"{line} whole.h5") == 0
    expected = capsys.readouterr().out.replace("whole.h5", "run.h5")
    monkeypatch.setattr(sampling, "BYTES_PER_BLOCK", 5 * 30 * 16 * (2 if method == "tempering" else 1))
    monkeypatch.setattr(samples, "BYTES_PER_ROW", 3 * 30 * 16 * (2 if method == "tempering" else 1))
    assert mcgen(f"{line} run.h5 --checkpoint-every 0 --time-limit 1") == interruption.AFTER_TIME_LIMIT == 75
    assert "run.h5.part keeps the burn-in: go on with --resume" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        stop_at(patch, 10)
        assert mcgen(f"{line} run.h5 --resume --checkpoint-every 0") == 143
    part = results.load_study("run.h5.part")
    assert part.attributes["status"] == "interrupted"
    assert part.samples[0].states.shape == (30, 10, 4, 4)
    assert results.load_study("run.h5").samples[0].energy.shape == (30, 10)  # as after Ctrl-C
    capsys.readouterr()
    assert mcgen(f"{line} run.h5 --resume") == 0
    assert capsys.readouterr().out == expected
    assert same_files("whole.h5", "run.h5")
    assert sorted(os.listdir()) == ["run.h5", "whole.h5"]


def test_a_signal_that_python_ignores_counts_later():
    class Thing:
        pass

    with interruption.handled():
        thing = Thing()
        reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
        del thing  # exceptions of callbacks are ignored
        with pytest.raises(interruption.Terminated):
            interruption.look_at_the_clock()
        interruption.look_at_the_clock()
    assert reference() is None
    assert interruption.exit_status() == interruption.AFTER_SIGTERM


@pytest.mark.parametrize("stop", ["epoch", "evaluation"])
@pytest.mark.filterwarnings("ignore::mcgen.errors.StatisticsWarning")
def test_a_training_that_is_stopped_goes_on(stop, folder, capsys, monkeypatch):
    ising_run = ising.sample(ising.Ising((2, 3)), [1.8, 3.0], n_chains=20, n_draws=10, kernel="single-flip", seed=1)
    results.save("data.h5", ising_run)
    line = "rbm train --data data.h5 --hidden 3 --epochs 4 --seed 1 --checkpoint-every 0 --output"
    assert mcgen(f"{line} whole.h5") == 0
    expected = capsys.readouterr().out.replace("whole.h5", "rbm.h5")
    calls, name = [], "train" if stop == "epoch" else "sample"
    original = getattr(rbm, name)

    def stopped(*arguments, **settings):
        calls.append(1)
        if stop == "evaluation" and len(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        if stop == "epoch" and len(calls) == 2:
            settings["callbacks"] = [lambda epoch: epoch.epoch == 2 and signal.raise_signal(signal.SIGTERM)]
        return original(*arguments, **settings)

    monkeypatch.setattr(rbm, name, stopped)
    assert mcgen(f"{line} rbm.h5") == 143
    assert "wrote rbm.h5, interrupted" in capsys.readouterr().out
    epochs = [len(one.history["epoch"]) for one in results.load_study("rbm.h5.part").trained]
    assert epochs == ([4, 2] if stop == "epoch" else [4, 4])
    monkeypatch.setattr(rbm, name, original)
    if stop == "epoch":  # the output has all that is needed too
        Path("rbm.h5.part").unlink()
    assert mcgen(f"{line} rbm.h5 --resume") == 0
    assert capsys.readouterr().out == expected
    assert same_files("whole.h5", "rbm.h5")
    assert not Path("rbm.h5.part").exists()


def test_a_vae_training_that_is_stopped_goes_on(folder, monkeypatch):
    np.savetxt("rows.txt", (ROWS > 0).astype(int), fmt="%d")
    line = "vae train --data rows.txt --latent 1 --hidden 4 --epochs 4 --seed 1 --checkpoint-every 0 --output"
    assert mcgen(f"{line} whole.h5") == 0
    assert mcgen(f"{line} vae.h5 --time-limit 0.5") == 75
    study = results.load_study("vae.h5.part")
    assert study.attributes["status"] == "interrupted"
    assert study.trained[0].state.epoch == 1
    assert mcgen(f"{line} vae.h5 --resume") == 0
    assert same_files("whole.h5", "vae.h5")


# What is refused


def begun(line, output="run.h5"):
    """A run that ended before its first draw."""
    assert mcgen(f"{line} --output {output} --checkpoint-every 0 --time-limit 1") == 75
    assert unfinished.part_of(output).exists()


def refused(line, words, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in Path().iterdir()}
    capsys.readouterr()
    assert mcgen(line) == 2
    message = capsys.readouterr().err
    assert words in message
    assert len(message.splitlines()) == 1
    assert {path.name: path.stat().st_mtime_ns for path in Path().iterdir()} == before


def test_what_cannot_be_resumed_says_why(folder, capsys, monkeypatch):
    monkeypatch.setattr(sampling, "SECONDS_PER_CALL", 1e-9)
    begun(DRAWN)
    again = f"{DRAWN} --output run.h5"
    refused(again, "run.h5.part is there, of a run that has not ended; go on with it", capsys)
    words = "run.h5.part was begun with thin = 4, and thin is 5 now; give the same settings to resume it"
    refused(f"{again} --resume --thin 5", words, capsys)
    words = "run.h5.part was begun with method = metropolis, and method is wolff now"
    refused(f"{again} --resume --method wolff", words, capsys)
    with unfinished.claimed(folder / "run.h5"):
        refused(f"{again} --resume", "run.h5.part is being written by another process; wait for it", capsys)
    assert mcgen(f"{again} --overwrite") == 0
    refused(f"{again} --resume", "run.h5 is complete, there is nothing to resume; leave out resume", capsys)
    Path("foreign.h5.part").write_text("no HDF5")
    refused(f"{DRAWN} --resume --output foreign.h5", "foreign.h5.part cannot be resumed", capsys)
    with h5py.File("other.h5.part", "w") as file:
        file["data"] = [1, 2]
    refused(
        f"{DRAWN} --resume --output other.h5", "other.h5.part cannot be resumed: it was not written by mcgen", capsys
    )
    with h5py.File("unknown.h5.part", "w") as file:
        file.attrs.update({"schema_version": 3, "mcgen_version": "1", "status": "running"})
        file.create_group("checkpoint")
    words = "unknown.h5.part cannot be resumed: it does not say with which settings it was begun"
    refused(f"{DRAWN} --resume --output unknown.h5", words, capsys)
    for length in (251, 300):  # there is no room for the names of the files beside it, or for its own
        refused(f"{DRAWN} --output {'n' * length}", "cannot be written (File name too long)", capsys)
    results.save("plain.h5", rbm.RBM.random(2, 1, seed=1), status="interrupted")
    refused(f"{DRAWN} --resume --output plain.h5", "plain.h5 has no checkpoint to resume from", capsys)


def test_draws_that_are_gone_are_not_read_as_zeros(folder, monkeypatch, capsys):
    monkeypatch.setattr(sampling, "BYTES_PER_BLOCK", 5 * 30 * 16)
    monkeypatch.setattr(samples, "BYTES_PER_ROW", 5 * 30 * 16)
    with monkeypatch.context() as patch:
        stop_at(patch, 10, signal.SIGINT)
        assert mcgen(f"{DRAWN} --output run.h5 --checkpoint-every 0") == 130
    assert results.load("run.h5.part").energy.shape == (30, 10)
    shutil.move("run.h5.blocks", "elsewhere")
    with pytest.raises(FileError, match=r"refers to draws in run.h5.blocks/000000.h5, which is not there"):
        results.load("run.h5.part")
    assert mcgen(f"{DRAWN} --output run.h5 --resume") == 2
    assert "which is not there); keep them together" in capsys.readouterr().err


def test_many_checkpoints_leave_few_files_and_every_moment_is_whole(folder, monkeypatch):
    monkeypatch.setattr(sampling, "BYTES_PER_BLOCK", 30 * 16)
    monkeypatch.setattr(samples, "BYTES_PER_ROW", 3 * 30 * 16)
    monkeypatch.setattr(segments, "AT_ONCE", 2)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    line = f"{DRAWN} --output run.h5 --checkpoint-every 0"
    moments, n_files, replace = [], [], os.replace

    def replaced(one, other):
        for _ in range(2):  # before and after
            n_files.append(len(os.listdir("run.h5.blocks")))
            if len(n_files) % 7 == 0:  # what comes again and again is met at another place each time
                moments.append(shutil.copytree(".", folder.parent / f"moment {len(moments)}"))
            replace(one, other) if Path(one).exists() else None

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replaced)
        assert mcgen(line) == 0
    whole = results.load("run.h5")
    assert len(moments) > 25
    assert max(n_files) < 20 < len(n_files)  # 40 checkpoints
    n_seen = set()
    for k, moment in enumerate(moments):
        os.chdir(moment)
        part = Path("run.h5.part")
        if part.exists():
            with h5py.File(part) as file:
                if "samples" not in file:
                    continue
            runs = results.load(part)
            runs = runs if isinstance(runs, list) else [runs]
            n_seen.add((len(runs), runs[0].energy.shape[1]))
            for one, other in zip(runs, whole, strict=False):
                n = one.energy.shape[1]
                assert (one.energy == other.energy[:, :n]).all()
                assert (one.states == other.states[:, :n]).all()
            if k % 5 == 0:
                assert mcgen(f"{line} --resume") == 0
                assert same_files("run.h5", folder / "run.h5")
                assert os.listdir() == ["run.h5"]
    assert len(n_seen) > 10


def test_a_library_run_is_resumed_too(folder):
    def draw(path, stop=None):
        with results.stream_samples(path, 4, checkpoint_every=0, resume=True, configuration={"seed": 3}) as file:
            stream = ising.stream(LATTICE, 2.0, n_chains=6, n_draws=4, seed=3, resume=file.state, method="exact")
            for block in stream:
                file.append(block, stream)
            if stop:
                raise stop

    with pytest.raises(ZeroDivisionError):  # a mistake in the script: what was drawn is there
        draw("run.h5", ZeroDivisionError())
    assert results.load("run.h5.part").states.shape == (6, 4, 4, 4)
    draw("run.h5")
    draw("whole.h5")
    assert same_files("run.h5", "whole.h5")
    with pytest.raises(ZeroDivisionError):
        draw("again.h5", ZeroDivisionError())
    stream = results.stream_samples("again.h5", 4, resume=True, configuration={"seed": 4})
    with pytest.raises(FileError, match="was begun with seed = 3, and seed is 4 now"):
        stream.__enter__()


@pytest.mark.parametrize("words", ["0", "x", "1:2:3:4", "1:", "-5", "nan"])
def test_times_that_are_none_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        mcgen(f"rbm logz a.h5 --time-limit={words}")
    assert "is no time; give seconds, MM:SS, H:MM:SS or D-HH:MM:SS" in capsys.readouterr().err


def test_unfinished_and_resumable_files_open_in_xarray(folder):
    xarray = pytest.importorskip("xarray")
    results.save("rbm.h5", rbm.train(rbm.RBM.random(6, 3, seed=1), ROWS, negative_phase="weighted", epochs=2))
    with xarray.open_datatree("rbm.h5", engine="h5netcdf") as tree:
        assert tree["training"]["chains"].dims == ("chain", "visible")
        assert "checkpoint" in tree.children
