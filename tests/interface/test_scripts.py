"""A small run of every study."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from mcgen import ising, results

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load(name):
    specification = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = ["--shape", "2", "3", "--hidden", "6", "--epochs", "10", "--exact-epochs", "5"]


def test_learn_ising(folder, capsys):
    script = load("learn_ising")
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
    script = load("learn_ising")
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
    script = load("learn_ising")
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
    script = load("learn_ising")
    arguments = ["--shape", "5", "5", "--hidden", "4", "--epochs", "1", "--exact-epochs", "1", "--temperature", "3.0"]
    assert script.main(arguments) == 0
    out = capsys.readouterr().out
    assert "25 sites are too many to list all states (24): no KL" in out
    assert np.isnan(results.load("learn_ising.h5").exact["kl_divergence"][0])


def test_benchmark(folder, capsys):
    assert load("benchmark").main(["--quick", "--runs", "2", "--parts", "sums", "lattices", "--output", "b.json"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"log Z, 784 x 24 +\d\S* s +\d+(\.\d+)?e\d+ terms/s +\d+%", out)
    written = json.loads((folder / "b.json").read_text())
    assert written["machine"]["threads"] >= 1
    assert written["machine"]["libraries"]["mcgen"]
    rows = {row["work"]: row for row in written["results"]}
    assert 0 < rows["log Z, 30 x 30"]["fraction"] < 1.5
    for row in rows.values():
        if "quartiles" in row:
            low, high = row["quartiles"]
            assert low <= row["seconds"] <= high
