"""A small run of the study of couplings, and the evaluation of trained models from the command line."""

import argparse
import math
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest

from mcgen import ising, rbm, results
from mcgen.cli import rbm_evaluate
from mcgen.errors import InputError


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return import_module("recover_couplings")


def test_couplings_are_recovered_to_the_floor(script, capsys):
    assert script.main(["--quick", "--shape", "2", "3", "--hidden", "8", "--repeats", "3"]) == 0
    out = capsys.readouterr().out
    assert "wrote recover_couplings.h5" in out
    with h5py.File("recover_couplings.h5") as file:
        for name in ("J_glass", "ferromagnet"):
            true, floor = file[f"{name}/true_pairs"][()], file[f"{name}/floor_of_one_row"][()]
            pairs = file[f"{name}/pairs"]
            assert [axis[0].name.split("/")[-1] for axis in pairs.dims] == ["rows", "repeat", "pair"]
            assert pairs.shape == (2, 3, 15)
            for k, n_rows in enumerate(file[f"{name}/rows"]):
                rms = np.sqrt(np.mean((pairs[k] - true) ** 2))
                smallest = np.sqrt(np.mean(floor**2) / n_rows)
                assert 0.6 * smallest < rms < 2 * smallest
                assert f"{n_rows:7d}" in out
        assert set(np.round(2 * file["J_glass/true_pairs"][()])) <= {-2, -1, 0, 1, 2}
        assert file.attrs["status"] == "complete"
    assert Path("recover_couplings.png").stat().st_size > 30_000
    assert script.main(["--quick"]) == 2
    assert "recover_couplings.h5 exists" in capsys.readouterr().err


def test_the_floor_is_the_error_of_pairwise_maximum_likelihood(script):
    """For two spins J = (log p++ - log p+- ...) / 4, whose error is known: 1/4 sqrt(sum_s 1 / (n p_s))."""
    lattice = ising.Ising((2,), field=0.3, periodic=False)
    p = ising.exact.probabilities(lattice, 1.5)
    assert script.floor(lattice, 1.5) == pytest.approx([math.sqrt(np.sum(1 / p)) / 4], rel=1e-12)


def test_ctrl_c_keeps_the_fits_that_are_done(script, capsys, monkeypatch):
    original, calls = script.fit, []

    def third_is_interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(script, "fit", third_is_interrupted)
    small = ["--shape", "2", "3", "--hidden", "3", "--rows", "100", "200", "--repeats", "1", "--iterations", "5"]
    assert script.main(small) == 130
    assert "interrupted: 2 of 4 fits" in capsys.readouterr().out
    with h5py.File("recover_couplings.h5") as file:
        assert file.attrs["status"] == "interrupted"
        assert np.isfinite(file["ferromagnet/pairs"][0, 0]).all()
        assert np.isnan(file["ferromagnet/pairs"][1, 0]).all()


# mcgen rbm evaluate


@pytest.fixture
def evaluate(tmp_path, monkeypatch, capsys):
    """The command as a function of its words: what it prints."""
    monkeypatch.chdir(tmp_path)

    def load(path):
        study = results.load_study(path)
        return study, study.temperatures or (None,) * len(study.models)

    def run(*words):
        parser = argparse.ArgumentParser()
        rbm_evaluate.add_command(parser.add_subparsers(), load)
        arguments = parser.parse_args(["evaluate", *words])
        assert arguments.run(arguments) == 0
        return capsys.readouterr().out

    return run


SHORT = ["--chains", "40", "--draws", "10", "--burn-in", "20", "--neighbors", "100"]


def test_evaluate_prints_what_the_functions_find(evaluate):
    lattice = ising.Ising((2, 3))
    runs = [
        ising.sample(lattice, temperature, n_chains=100, n_draws=5, thin=10, burn_in=50, seed=k)
        for k, temperature in enumerate((2.5, 4.0))
    ]
    results.save("test.h5", runs)
    models = tuple(rbm.RBM.random(6, 3, seed=k, scale=0.5, visible="spin", hidden="spin") for k in range(2))
    results.save("models.h5", results.Study((2.5, 4.0), lattice, models=models))
    out = evaluate("models.h5", "--data", "test.h5", *SHORT)
    for model, run, part in zip(models, runs, out.split("T = ")[1:], strict=True):
        v = run.states.reshape(-1, 6)
        assert f"log-likelihood            {rbm.exact.log_likelihood(model, v):.3f}"[:-1] in part
        for name in ("pseudo-log-likelihood", "reconstruction", "adversarial accuracy", "W_1 of free energy"):
            assert f"\n  {name}" in part
        p = rbm.exact.probabilities(model)
        m = rbm.Spin().list_states(6, 0, 64).sum(axis=1)
        assert f"exact p(m > 0) = {p[m > 0].sum():.6f}, p(m < 0)" in part
    lone = rbm.RBM.random(6, 3, seed=1, scale=0.5)
    results.save("model.h5", lone)
    np.savetxt("rows.txt", rbm.exact.sample(lone, 300, seed=1), fmt="%d")
    out = evaluate("model.h5", "--data", "rows.txt", "--logz", "none", "--method", "gibbs", *SHORT)
    assert "model.h5: 300 rows of data, 40 chains of 10 draws by gibbs" in out
    assert "log Z" not in out
    with pytest.raises(InputError, match=r"rows\.txt has no rows for the model of T = 2\.5"):
        evaluate("models.h5", "--data", "rows.txt")
    with pytest.raises(InputError, match="--logz='some' is unknown"):
        evaluate("model.h5", "--data", "rows.txt", "--logz", "some")
    np.savetxt("few.txt", rbm.exact.sample(lone, 5, seed=1), fmt="%d")
    with pytest.raises(InputError, match="holds 5 rows"):
        evaluate("model.h5", "--data", "few.txt")


def test_evaluate_of_continuous_units_leaves_out_what_they_have_not(evaluate):
    model = rbm.RBM.random(4, 3, seed=1, scale=0.2, visible="gaussian")
    results.save("model.h5", model)
    np.save("rows.npy", rbm.exact.sample(model, 300, seed=1))
    out = evaluate("model.h5", "--data", "rows.npy", *SHORT)
    assert "log-likelihood" in out
    assert "pseudo" not in out
    assert "signs" not in out
