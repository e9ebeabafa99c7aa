"""The studies of log Z: small runs, their files, what they count, and Ctrl-C."""

import dataclasses
from importlib import import_module

import numpy as np
import pytest
import xarray

from mcgen import rbm, results


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return import_module("log_partition_coverage")


def test_a_small_run(script, tmp_path, capsys):
    assert script.main(["--quick", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "6 models; inside is right from 4 to 6" in out
    for method in script.METHODS:
        assert f"\n{method}" in out
    assert "!" not in out
    study = results.load("log_partition_coverage.h5")
    exact = study.exact["log_partition"]
    assert exact.shape == (6,)
    for method in script.METHODS:
        error = study.observables[f"{method}_error"]
        assert (np.abs(study.observables[method] - exact) < 5 * error).all()
        assert (error < 0.1).all()
    with xarray.open_datatree("log_partition_coverage.h5", engine="h5netcdf") as tree:
        assert tree["observables/bar"].dims == ("entry",)
    assert (tmp_path / "log_partition_coverage.png").stat().st_size > 20_000
    assert script.main(["--quick"]) == 2
    assert "log_partition_coverage.h5 exists" in capsys.readouterr().err


def test_what_is_counted(script):
    """Four made-up results with two outside of the interval and one outside of the sandwich."""
    columns = {
        "log_partition": np.array([1.0, 2.0, 3.0, 4.0]),
        "sandwich": np.array([1.1, 2.0, 3.3, 3.7]),
        "sandwich_error": np.full(4, 0.1),
        "sandwich_low": np.array([0.9, 1.8, 3.1, 3.5]),
        "sandwich_high": np.array([1.3, 2.2, 3.5, 3.9]),
        "sandwich_lower": np.array([0.5, 1.5, 2.5, 3.5]),
        "sandwich_upper": np.array([1.5, 2.5, 3.5, 3.95]),
        "sandwich_seconds": np.ones(4),
        "sandwich_warnings": np.zeros(4),
    }
    one = script.summary("sandwich", columns)
    assert (one["inside"], one["contained"]) == (2, 3)
    assert one["mean"] == pytest.approx(0.25)
    assert one["deviation"] == pytest.approx(np.std([1, 0, 3, -3], ddof=1))
    text, wrong = script.table(["sandwich"], columns)
    assert wrong == 1
    assert "2!" in text


def test_models_of_the_study(script):
    for k, start in enumerate(("random", "Ising", "random", "bars")):
        model, name = script.make_model(k, script.QUICK, seed=k)
        assert name.startswith(start)
        assert 6 <= min(model.weights.shape) <= 8
        assert rbm.exact.is_quick(model)
    assert len(script.bars_and_stripes(4, 4)) == 30
    assert len(script.bars_and_stripes(2, 3)) == 4 + 8 - 2


def test_ctrl_c_keeps_the_models_that_are_done(script, capsys, monkeypatch):
    original = script.make_model

    def interrupt_at_2(k, *rest):
        if k == 2:
            raise KeyboardInterrupt
        return original(k, *rest)

    monkeypatch.setattr(script, "make_model", interrupt_at_2)
    assert script.main(["--quick", "--methods", "bar"]) == 130
    assert "interrupted" in capsys.readouterr().out
    study = results.load("log_partition_coverage.h5")
    assert len(study.observables["bar"]) == 2
    assert study.attributes["status"] == "interrupted"


def test_estimates_along_a_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    compare = import_module("compare_log_partition")
    assert compare.main(["--quick", "--hidden", "5"]) == 0
    out = capsys.readouterr().out
    assert "rms deviation, errors" in out
    study = results.load("compare_log_partition.h5")
    assert study.exact["epochs"].tolist() == [0, 8]
    # The first model is the start, whatever it learns later.
    start = rbm.RBM.random(9, 5, compare.rng.derive(compare.rng.derive(compare.rng.derive(1, 1), 0), 0), compare.START,
                           visible="spin", hidden="spin")  # fmt: skip
    assert study.exact["log_partition"][0] == pytest.approx(rbm.exact.log_partition(start), rel=1e-12)
    for method in compare.ESTIMATES:
        name = method.replace("-", "_")
        error = study.observables[f"{name}_error"]
        assert (np.abs(study.observables[name] - study.exact["log_partition"]) < 5 * error).all()
        assert (error > 0).all()
    assert (study.observables["mean_field"] < study.exact["log_partition"] + 1e-9).all()
    assert (tmp_path / "compare_log_partition.png").stat().st_size > 20_000
    assert compare.main(["--quick", "--overwrite", "--epochs", "8", "4"]) == 2
    assert "--epochs [8, 4] must grow" in capsys.readouterr().err


def test_models_along_a_training_are_those_of_one_training():
    compare = import_module("compare_log_partition")
    rows = np.sign(np.random.default_rng(2).normal(size=(200, 6)))
    apart = compare.models(4, rows, [0, 2, 5], seed=3)
    assert len(apart) == 3
    at_once = compare.models(4, rows, [5], seed=3)
    assert np.array_equal(apart[2].weights, at_once[0].weights)
    assert not np.array_equal(apart[1].weights, apart[2].weights)


def test_deviations_are_in_units_of_the_errors():
    compare = import_module("compare_log_partition")
    exact, table = 10.0, ((10.2, 0.1), (9.7, 0.1), (10.0, 0.3))
    model = rbm.RBM.random(4, 3, seed=1)
    one = compare.log_partition(model, "ais", seed=1, n_runs=40, n_temperatures=20)
    found = [dataclasses.replace(one, value=value, error=error) for value, error in table]
    cases = [compare.Case(3, 0, exact, {"ais": estimate}, {"ais": 1.0}) for estimate in found]
    assert compare.deviations(cases, "ais") == pytest.approx([2.0, -3.0, 0.0])
    assert compare.rms(np.array([2.0, -3.0, 0.0])) == pytest.approx((13 / 3) ** 0.5)
