"""The study of RBMs of handwritten digits: a small run, what it counts as wrong, and Ctrl-C."""

import math
import types
from importlib import import_module

import h5py
import numpy as np
import pytest
import scipy.io

from mcgen import rbm, results
from mcgen.errors import InputError
from mcgen.rbm.partition import LogPartition

SMALL = ["--hidden", "4", "--epochs", "10", "--batch-size", "50", "--chains", "50", "--runs", "64", "--burn-in", "50"]
SMALL += ["--temperatures", "100", "--ladder-chains", "32", "--draws", "20", "--learning-rate", "0.4"]
SMALL += ["--final-learning-rate", "0.1", "--gibbs-steps", "5"]
# Bars in two directions are two modes, between which the chains of a training hardly move.
pytestmark = pytest.mark.filterwarnings("ignore:the chains of the training")
ESTIMATES = (
    "ais",
    "reverse_ais",
    "sandwich",
    "bar",
    "mbar",
    "thermodynamic_integration",
    "trajectory",
    "along_the_training",
)


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, n_rows in (("train", 600), ("test", 400)):
        scipy.io.savemat(f"{name}.mat", {"X": images(n_rows).astype(np.uint8)})
    return import_module("learn_digits_rbm")


def images(n_rows):
    """Bars of 5x5 pixels, the vertical ones with less noise, sorted by their kind as files of digits may be."""
    random = np.random.default_rng(n_rows)
    bars = np.zeros((2, 5, 5))
    bars[0, :, 2] = bars[1, 1:4] = 1
    clean = np.repeat(bars.reshape(2, 25), n_rows // 2, axis=0)
    return np.abs(clean - (random.random(clean.shape) < np.repeat([[0.1], [0.3]], n_rows // 2, axis=0)))


def test_a_small_run(script, tmp_path, capsys):
    files = ["--data", "train.mat", "test.mat"]
    assert script.main([*files, *SMALL]) == 0
    out = capsys.readouterr().out
    assert "600 images to learn from, 0 to validate, 400 to test" in out
    study = results.load("learn_digits_rbm.h5")
    (trained,) = study.trained
    assert len(trained.history["epoch"]) == 10
    exact, found = rbm.exact.log_partition(trained.model), study.observables
    assert found["exact"] == pytest.approx(exact, abs=1e-9)
    for name in ESTIMATES:
        error = found[f"{name}_error"]
        assert abs(found[name] - exact) < 4 * error < (1.0 if name == ESTIMATES[-1] else 0.4), name
        assert f"\n{name.replace('_', ' ')} " in out
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    assert found["sandwich_lower"] < exact < found["sandwich_upper"]
    assert np.isnan(found["tap_error"])
    test = np.random.default_rng(1).permutation(images(400))
    rows = rbm.evaluation.log_likelihood(trained.model, test).rows
    assert rows.mean() > -13  # independent units: -15.0; the best possible: -12.4
    assert found["test_log_likelihood"] == pytest.approx(rows.mean(), abs=1e-6)
    # In the order of the file, neighbours would be alike, and the error far larger.
    assert found["test_log_likelihood_error"] == pytest.approx(rows.std() / 20, rel=0.2)
    assert (tmp_path / "learn_digits_rbm.png").stat().st_size > 50_000
    assert script.main([*files, *SMALL]) == 2
    assert "learn_digits_rbm.h5 exists" in capsys.readouterr().err
    np.save("grey.npy", images(60) / 2)
    assert script.main(["--data", "grey.npy", *SMALL, "--overwrite"]) == 2
    assert "shades of grey" in capsys.readouterr().err


def test_without_an_exact_sum_the_sandwich_is_believed(script, capsys, monkeypatch):
    monkeypatch.setattr(script, "chosen", lambda model, method: "sandwich")
    files = ["--data", "train.mat", "test.mat", "test.mat"]
    assert script.main([*files, *SMALL, "--epochs", "3", "--methods", "mean-field", "sandwich"]) == 0
    out = capsys.readouterr().out
    assert "of log Z, sandwich)" in out
    assert "\nexact" not in out
    study = results.load("learn_digits_rbm.h5")
    assert not any(name.startswith("exact") for name in study.observables)
    value, error = (study.observables[f"sandwich{end}"] for end in ("", "_error"))
    assert value == pytest.approx(rbm.exact.log_partition(study.models[0]), abs=4 * float(error[0]))
    assert np.isfinite(study.trained[0].history["validation_log_likelihood"]).all()


def test_ctrl_c_and_refusals_keep_the_estimates_that_are_done(script, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    def refused(*_):
        raise InputError("weights are too strong")

    monkeypatch.setitem(script.METHODS, "tap", interrupted)
    monkeypatch.setitem(script.METHODS, "bar", refused)
    arguments = ["--data", "train.mat", "test.mat", *SMALL, "--epochs", "2", "--methods", "mean-field", "bar", "tap"]
    assert script.main(arguments) == 130
    out = capsys.readouterr().out
    assert "interrupted after 3 estimates" in out
    assert "! bar: weights are too strong" in out
    study = results.load("learn_digits_rbm.h5")
    assert study.attributes["status"] == "interrupted"
    assert study.observables["naive_mean_field"] < study.observables["exact"]
    assert np.isnan(study.observables["bar"])
    assert "tap" not in study.observables
    monkeypatch.setattr(script, "estimates", interrupted)
    assert script.main([*arguments, "--output", "b.h5", "--figure", "b.png"]) == 130
    with h5py.File("b.h5") as file:
        assert file.attrs["status"] == "interrupted"
        assert len(file["training/free_energy_gap"]) == 2


def test_what_contradicts_the_exact_value(script):
    exact = LogPartition(10.0, 0.0, math.nan, "exact", (10.0, 10.0))

    def one(value, error=0.1, lower=math.nan, upper=math.nan, method="bar"):
        return LogPartition(value, error, 50.0, method, (value - 0.2, value + 0.2), lower, upper, (), method == "tap")

    for estimate in (one(10.3), one(9.7), one(10.2, 0.1, 9.0, 11.0), one(20.0, math.nan, method="tap"), one(math.nan)):
        assert not script.contradicts(estimate, exact)
        assert not script.contradicts(estimate, None)
    for estimate in (one(10.5), one(9.5), one(10.2, 0.1, 10.1, 11.0), one(10.2, 0.1, 9.0, 9.9)):
        assert script.contradicts(estimate, exact)
        assert not script.contradicts(estimate, one(10.0, 0.1, 9.5, 10.5, "sandwich"))


def test_lines_of_the_table(script):
    exact = LogPartition(10.0, 0.0, math.nan, "exact", (10.0, 10.0))
    line_of = import_module("rbm_parts.showing").line_of
    words = line_of("bar", LogPartition(10.3, 0.1, 50.0, "bar", (10.1, 10.5)), exact, 2.0).split()
    assert words == ["bar", "10.30(10)", "10.10", "to", "10.50", "+0.300", "+3.0", "50", "2.0"]
    tap = LogPartition(9.5, math.nan, math.nan, "tap", (-math.inf, math.inf), is_approximation=True)
    assert line_of("tap", tap, exact, math.nan).split() == ["tap", "9.5000", "-0.500"]
    assert line_of("exact", exact, exact, 0.0).split() == ["exact", "10.0000", "0.0"]
    history = {"tracked_log_partition": np.array([1.0, 9.8]), "tracked_log_partition_error": np.array([0.0, 0.1])}
    tracked = script.along_the_training(types.SimpleNamespace(history=history))
    assert (tracked.value, tracked.error) == (9.8, 0.1)
    assert tracked.interval == pytest.approx((9.8 - 0.2365, 9.8 + 0.2365), abs=1e-4)  # Student's t of 8 groups
    history["tracked_log_partition"][-1] = math.nan
    lost = script.along_the_training(types.SimpleNamespace(history=history))
    assert line_of("training", lost, exact, 0.0).split() == ["training", "none"]
