"""scikit-learn's 8x8 digits in the studies of images: which ones, small runs, and what they are compared with."""

import sys
from importlib import import_module

import numpy as np
import pytest

from mcgen import rbm, results, vae

RBM = ["--hidden", "6", "--epochs", "30", "--learning-rate", "0.3", "--methods", "sandwich"]
RBM += ["--runs", "32", "--temperatures", "60", "--burn-in", "50"]
VAE = ["--hidden", "16", "--epochs", "3", "--importance", "100"]


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["learn_digits_rbm", "learn_digits_vae"])
def test_without_scikit_learn_there_is_a_way_out(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert import_module(name).main([]) == 2
    message = capsys.readouterr().err
    for words in (f"{name}: ", "pip install scikit-learn", "mcgen[digits]", "or give files of images"):
        assert words in message
    assert list(tmp_path.iterdir()) == []


def test_which_images():
    pytest.importorskip("sklearn")
    small_digits = import_module("digits_parts.choosing").small_digits
    digits, other = small_digits("threshold", 1), small_digits("threshold", 2)
    assert [rows.shape for rows in (digits.train, digits.test)] == [(1500, 64), (297, 64)]
    assert digits.train.dtype == np.int8
    assert np.array_equal(digits.test, other.test)  # whatever the seed
    from sklearn.datasets import load_digits

    grey, classes = load_digits(return_X_y=True)
    both = np.vstack([digits.train, digits.test])
    assert sorted(map(bytes, both)) == sorted(map(bytes, (grey > 8).astype(np.int8)))
    assert np.array_equal(np.bincount(digits.classes, minlength=10) > 15, np.full(10, True))
    zeros = {bytes(row) for row in (grey[classes == 0] > 8).astype(np.int8)}
    assert all(bytes(row) in zeros for row in digits.test[digits.classes == 0])
    drawn = small_digits("draw", 1)
    assert abs(drawn.train.mean() - grey.mean() / 16) < 0.005
    assert not np.array_equal(drawn.train, small_digits("draw", 2).train)
    assert small_digits("no", 1).test.max() == 1


def test_settings_are_those_of_the_images():
    for name in ("learn_digits_rbm", "learn_digits_vae"):
        script = import_module(name)
        paths = ["--data", "a", "b"] if name.endswith("rbm") else ["a", "b"]
        small, files = script.parse([]), script.parse(paths)
        assert (small.binarize, files.binarize) == ("threshold", "no")
        for setting, value in script.OF_SMALL.items():
            assert getattr(small, setting) == value
            assert getattr(files, setting) == script.OF_FILES[setting]
        assert script.parse(["--epochs", "7"]).epochs == script.parse([*paths, "--epochs", "7"]).epochs == 7
    assert script.parse(["a", "--notes"]).hidden == script.parse(["--notes"]).hidden == [256, 128]


@pytest.mark.filterwarnings("ignore:the chains of the training")
def test_an_rbm(capsys):
    pytest.importorskip("sklearn")
    script = import_module("learn_digits_rbm")
    assert script.main(RBM) == 0
    out = capsys.readouterr().out
    study = results.load("learn_digits_rbm.h5")
    assert "8x8 digits, grey of 0 to 16, binarize threshold" in study.attributes["configuration"]
    model, found = study.models[0], {name: float(values[0]) for name, values in study.observables.items()}
    test = import_module("digits_parts.choosing").small_digits("threshold", 1).test
    assert found["rbm_test"] == pytest.approx(rbm.exact.log_likelihood(model, test), abs=1e-6)
    assert found["sandwich_lower"] < found["exact"] < found["sandwich_upper"]
    for name in ("independent", "mixture", "peer"):
        assert found[f"{name}_less"] == pytest.approx(found[f"{name}_test"] - found["rbm_test"], abs=1e-9)
        # Images are hard or easy for all.
        assert 0 < found[f"{name}_less_error"] < found[f"{name}_test_error"]
    assert found["independent_test"] < found["rbm_test"] - 1
    for words in ("this RBM", "independent pixels", "mixture of 7 such", "scikit-learn's RBM, rate"):
        assert f"\n{words}" in out


def test_an_autoencoder(tmp_path, capsys):
    pytest.importorskip("sklearn")
    script = import_module("learn_digits_vae")
    assert script.main(VAE) == 0
    out = capsys.readouterr().out
    study = results.load("learn_digits_vae.h5")
    assert "8x8 digits" in study.attributes["configuration"]
    test = import_module("digits_parts.choosing").small_digits("threshold", 1).test
    exact = -vae.log_likelihood_exact(study.models[0], test).value.mean()
    assert study.observables["test_loss_exact"][0] == pytest.approx(exact, abs=1e-4)
    assert study.observables["test_loss"][0] == pytest.approx(exact, abs=0.1)
    assert f"by quadrature {exact:.3f}" in " ".join(out.split())
    assert (tmp_path / "learn_digits_vae.png").stat().st_size > 30_000
    assert script.main([*VAE, "--latent", "3", "--epochs", "1", "--overwrite"]) == 0
    assert "by quadrature" not in capsys.readouterr().out


def test_a_mixture_is_its_formula_and_climbs():
    yardsticks = import_module("digits_parts.yardsticks")
    random = np.random.default_rng(3)
    p = np.array([[0.9, 0.8, 0.1, 0.2], [0.2, 0.1, 0.7, 0.9]])
    v = (random.random((4000, 4)) < p[random.integers(2, size=4000)]).astype(np.int8)
    fit = yardsticks.mixture(v, 2, seed=1)
    weights, ones = np.exp(fit[0]), np.exp(fit[1][0])
    plain = [
        np.log(sum(w * np.prod(np.where(row, q, 1 - q)) for w, q in zip(weights, ones, strict=True))) for row in v[:20]
    ]
    assert yardsticks.log_mixture(fit, v[:20]) == pytest.approx(plain, rel=1e-12)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert np.abs(ones[np.argsort(-ones[:, 0])] - p).max() < 0.06
    every = (np.arange(16)[:, None] >> np.arange(4)) & 1
    assert np.exp(yardsticks.log_mixture(fit, every)).sum() == pytest.approx(1, abs=1e-12)
    alone = yardsticks.mixture(v, 1, seed=1)
    assert np.exp(alone[1][0][0]) == pytest.approx((v.sum(axis=0) + 1) / 4002, rel=1e-12)
    assert yardsticks.log_mixture(fit, v).mean() > yardsticks.log_mixture(alone, v).mean() + 0.2
