"""`mcgen rbm logz`, and log Z by the name of a method."""

import os
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mcgen import cli, ising, loops, rbm, results
from mcgen.errors import InputError, SizeError
from mcgen.rbm import partition
from mcgen.rbm.partition import annealing, draws, result
from mcgen.rbm.partition.choice import FUNCTIONS, METHODS, chosen
from mcgen.results.kept_loops import KeptLoops


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mcgen(line):
    return cli.main(shlex.split(line))


def test_every_method_gives_log_z_of_the_same_model():
    model = rbm.RBM.random(12, 8, seed=1, scale=0.3)
    data = rbm.exact.sample(model, 50, seed=2)
    exact = partition.log_partition(model)
    assert (exact.method, exact.value) == ("exact", rbm.exact.log_partition(model))
    short = {name: {"n_temperatures": 20} for name in ("ais", "reverse-ais", "sandwich")}
    short |= {name: {"n_chains": 50, "n_draws": 20} for name in ("bar", "mbar", "integration")}
    for method in FUNCTIONS:
        found = partition.log_partition(model, method, 3, data, **short.get(method, {}))
        if found.is_approximation:
            assert 0 < abs(found.value - exact.value) < (0.5 if method == "mean-field" else 0.05)
            assert found.settings["seed"] == 3
        elif method != "exact":
            assert found.method.startswith(method.replace("-", " ")) or method == "integration"
            assert abs(found.deviation(exact)) < 4
            assert found.settings["seed"] == 3


def test_auto_is_exact_where_that_is_cheap():
    assert chosen(rbm.RBM.random(784, 20, seed=1), "auto") == "exact"
    assert chosen(rbm.RBM.random(784, 35, seed=1), "auto") == "sandwich"
    assert chosen(rbm.RBM.random(300, 60, seed=1, visible="gaussian"), "auto") == "sandwich"
    assert chosen(rbm.RBM.random(30, 20, seed=1, visible="relu", hidden="relu"), "auto") == "sandwich"
    assert chosen(rbm.RBM.random(30, 20, seed=1), "tap") == "tap"


def test_settings_that_a_method_does_not_have_are_refused():
    model = rbm.RBM.random(12, 8, seed=1)
    for arguments, words in (
        ({"method": "aiss"}, f"choose one of 'auto', .*{METHODS[-1]}"),
        ({"method": "bar", "n_runs": 5}, "n_runs is no setting of method='bar'.* n_chains, n_draws"),
        ({"n_runs": 5}, "n_runs is no setting of method='auto'.*: none"),
        ({"method": "tap", "device": "cuda"}, "on the CPU only"),
        ({"v": np.zeros((2, 5))}, "v has shape"),
    ):
        with pytest.raises(InputError, match=words):
            partition.log_partition(model, **arguments)
    with pytest.raises(SizeError):
        partition.log_partition(rbm.RBM.random(80, 70, seed=1), "exact")


@pytest.fixture
def trained(folder):
    runs = [ising.sample(ising.Ising((2, 3)), 2.0 + k, n_chains=20, n_draws=10, seed=k) for k in range(2)]
    rows = [run.states.reshape(-1, 6) for run in runs]
    start = rbm.RBM.random(6, 4, seed=1, visible="spin", hidden="spin")
    fits = [rbm.train(start, v, epochs=2, n_chains=10, seed=2) for v in rows]
    models = tuple(fit.model for fit in fits)
    study = results.Study((2.0, 3.0), runs[0].lattice, models=models, trained=tuple(fits))
    results.save("rbm.h5", study)
    return models


def test_the_command_prints_a_line_for_each_model(trained, capsys):
    exact = [rbm.exact.log_partition(model) for model in trained]
    assert mcgen("rbm logz rbm.h5 --method ais --runs 64 --temperatures 30 --seed 4") == 0
    lines = capsys.readouterr().out.splitlines()
    number = r"-?\d+\.\d+"
    for k, line in enumerate(lines):
        found = re.fullmatch(
            rf"T = {k + 2}: log Z = ({number})\(\d+\) by ais, 95 percent interval {number} to {number}, "
            rf"effective sample size \d+; exact: ({number}), {number} errors (above|below)",
            line,
        )
        assert found, line
        assert abs(float(found[2]) - exact[k]) < 1e-4
        assert abs(float(found[1]) - exact[k]) < 0.1
    assert mcgen("rbm logz rbm.h5") == 0
    assert capsys.readouterr().out.splitlines() == [f"T = {k + 2}: log Z = {exact[k]:.10g}, exact" for k in range(2)]
    assert mcgen("rbm logz rbm.h5 --method sandwich --runs 64 --temperatures 30 --seed 4") == 0
    out = capsys.readouterr().out
    assert len(re.findall(rf"lower end {number}, upper end {number}; exact: .*; ais: .*; reverse ais: ", out)) == 2


def test_chains_of_the_training_start_the_runs_in_reverse(trained, monkeypatch, capsys):
    starts = []
    kept = partition.choice.FUNCTIONS["sandwich"]

    def record(model, seed, device, progress, initial, n_temperatures):
        starts.append(initial)
        return kept(model, seed=seed, initial=initial, n_temperatures=n_temperatures)

    monkeypatch.setitem(partition.choice.FUNCTIONS, "sandwich", record)
    assert mcgen("rbm logz rbm.h5 --method sandwich --temperatures 20") == 0
    fits = results.load_study("rbm.h5").trained
    assert len(starts) == 2
    assert all((start == fit.chains).all() for start, fit in zip(starts, fits, strict=True))


def test_what_is_refused_and_interrupted(trained, monkeypatch, capsys):
    assert mcgen("rbm logz rbm.h5 --method exact --runs 5") == 2
    assert "--runs 5 is not for --method exact" in capsys.readouterr().err
    assert mcgen("rbm logz rbm.h5 --method wrong") == 2
    assert "choose one of" in capsys.readouterr().err
    calls = []

    def interrupted(model, progress):
        calls.append(model)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return partition.result.exact_value(model)

    monkeypatch.setitem(partition.choice.FUNCTIONS, "exact", interrupted)
    assert mcgen("rbm logz rbm.h5 --method exact") == 130
    assert capsys.readouterr().out.splitlines()[1:] == ["interrupted: 1 of 2 models"]


# Going on


def small_pieces(monkeypatch):
    monkeypatch.setattr(annealing, "OPERATIONS_PER_CALL", 1)
    monkeypatch.setattr(annealing, "GROWTHS_PER_CALL", 8 * 10)
    monkeypatch.setattr(rbm.sampling.drawing, "OPERATIONS_PER_CALL", dict.fromkeys(rbm.sampling.METHODS, 10**5))
    monkeypatch.setattr(result, "exact", SimpleNamespace(**vars(result.exact) | {"is_quick": lambda model: False}))
    monkeypatch.setattr(draws, "exact", SimpleNamespace(is_quick=lambda model: False))


COMMANDS = {
    "ais": "logz --method ais --runs 8 --temperatures 30",
    "sandwich": "logz --method sandwich --runs 8 --temperatures 20",
    "mbar": "logz --method mbar --runs 4",
    "exact": "logz --method exact",
    "evaluate": "evaluate --data data.npy --logz bar --method tempering --chains 8 --burn-in 40 --draws 20",
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.filterwarnings("ignore::mcgen.errors.StatisticsWarning")  # of few chains
def test_what_is_killed_goes_on_from_any_of_its_checkpoints_to_the_same_words(name, folder, monkeypatch, capsys):
    small_pieces(monkeypatch)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    n_models, stride = (2, 1) if name == "exact" else (1, 7)
    results.save(
        "rbm.h5", results.Study(models=tuple(rbm.RBM.random(6, 3, seed=k, scale=0.8) for k in range(n_models)))
    )
    np.save("data.npy", np.tile(np.eye(6, dtype=np.int8), (5, 1)))
    line = f"rbm {COMMANDS[name].replace(' ', ' rbm.h5 ', 1)} --seed 4 --checkpoint work"
    written, noted = [], []
    write, note = KeptLoops.write, loops.Loop.note

    def keep(self):
        written.append(None)
        if len(written) % stride == 1 or stride == 1:
            write(self)
            written[-1] = Path("work").read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(KeptLoops, "write", keep)
        assert mcgen(f"{line} --checkpoint-every 0") == 0
    whole = capsys.readouterr().out
    assert len(written) > (3 if name == "exact" else 12)
    assert not Path("work").exists()

    def count(self, state):
        noted.append(self)
        note(self, state)

    monkeypatch.setattr(loops.Loop, "note", count)
    there = [k for k, content in enumerate(written) if content]
    for k in there[:: max(1, len(there) // 4)]:
        Path("work").write_bytes(written[k])
        noted.clear()
        assert mcgen(f"{line} --resume") == 0
        assert capsys.readouterr().out == whole
        assert len([loop for loop in noted if loop._journal]) <= len(written) - k  # nothing is done twice


@pytest.mark.filterwarnings("ignore::mcgen.errors.StatisticsWarning")
def test_ctrl_c_keeps_what_is_done_and_refuses_another_computation(folder, monkeypatch, capsys):
    small_pieces(monkeypatch)
    results.save("rbm.h5", rbm.RBM.random(6, 3, seed=1))
    line = "rbm logz rbm.h5 --method ais --runs 8 --temperatures 200"
    assert mcgen(f"{line} --time-limit 0.01") == 75
    assert "stopped; rbm.h5.logz.checkpoint keeps what is done: go on with --resume" in capsys.readouterr().err
    assert mcgen(line) == 2
    assert "rbm.h5.logz.checkpoint is there, of a computation that has not ended; go on" in capsys.readouterr().err
    assert mcgen(f"{line} --resume --seed 1") == 2
    assert "is the checkpoint of a computation with other settings or models" in capsys.readouterr().err
    assert mcgen(f"{line} --resume") == 0
    resumed = capsys.readouterr().out
    Path("rbm.h5.logz.checkpoint").write_bytes(b"no HDF5")
    assert mcgen(f"{line} --resume") == 2
    assert "rbm.h5.logz.checkpoint is not a checkpoint of mcgen's" in capsys.readouterr().err
    assert mcgen(f"{line} --overwrite") == 0
    assert capsys.readouterr().out == resumed
    assert sorted(os.listdir()) == ["rbm.h5"]
