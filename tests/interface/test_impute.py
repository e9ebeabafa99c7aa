"""The study of missing spins: a small run, and its exact conditional probabilities against plain sums."""

import itertools
from importlib import import_module

import numpy as np
import pytest

from mcgen import ising, results


@pytest.mark.parametrize("mask", ["block", "checkerboard"])
def test_conditional_means_and_probabilities_are_those_of_plain_sums(mask):
    script = import_module("impute_missing")
    lattice, temperature = ising.Ising((2, 3)), 1.7
    lost = script.lost_sites(lattice, mask)
    assert len(lost) == 3
    rows = ising.exact.sample(lattice, temperature, 5, seed=3).reshape(5, 6)
    mean, log_p = script.conditional(-ising.exact.state_energies(lattice) / temperature, rows, lost)
    for row, its_mean, its_log_p in zip(rows, mean, log_p, strict=True):
        completions = np.repeat(row[None], 8, axis=0)
        completions[:, lost] = list(itertools.product([-1, 1], repeat=3))
        weights = np.exp(-np.array([float(lattice.energy(state.reshape(2, 3))) for state in completions]) / temperature)
        weights /= weights.sum()
        np.testing.assert_allclose(its_mean, weights @ completions[:, lost], rtol=0, atol=1e-12)
        true_one = (completions == row).all(axis=1)
        assert its_log_p == pytest.approx(np.log(weights[true_one].sum()), abs=1e-12)


def test_coins_decide_where_the_mean_is_zero():
    right = import_module("impute_missing").right(np.array([0.3, -0.3, 1e-17, 0.2]), np.array([1, 1, -1, -1]))
    assert right.tolist() == [1.0, 0.0, 0.5, 0.0]


def test_a_small_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = import_module("impute_missing")
    arguments = ["--quick", "--shape", "2", "4", "--temperature", "2.269", "3.5", "--seed", "5"]
    assert script.main(arguments) == 0
    assert "log_p_truth" in capsys.readouterr().out
    study = results.load("impute_missing.h5")
    found = study.observables
    for name in ("pull_gibbs", "pull_exact"):
        assert (np.abs(found[name] - 1) < 4 * found[f"{name}_error"]).all()
        assert (found[f"{name}_error"] < 0.15).all()
    assert (found["model_minus_truth"] < 0.05).all()
    assert (np.abs(found["log_p_lack"]) < 0.01).all()
    assert (found["right"] > 0.6).all()
    assert found["right"] == pytest.approx(found["best"], abs=0.05)
    # The seen spins are those of the test rows in every draw of all copies.
    states = study.samples[0].states.reshape(script.QUICK["rows"], -1, 8)
    assert (states[:, :, 4:] == states[:, :1, 4:]).all()
    assert (states[:, :, :4] != states[:, :1, :4]).any()
    assert (tmp_path / "impute_missing.png").stat().st_size > 30_000
    assert script.main(arguments) == 2
    assert "impute_missing.h5 exists" in capsys.readouterr().err
