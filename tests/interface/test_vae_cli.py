"""The commands of autoencoders, as a user types them."""

import re
import shlex

import numpy as np
import pytest

from mcgen import cli, evaluation, ising, report, results, vae
from mcgen.cli.vae_models import Entry, bound_columns
from mcgen.errors import InputError
from mcgen.results import Study
from mcgen.results.rows import as_states

LATTICE = ising.Ising((2, 3))
TRAIN = "vae train --data ising.h5 --latent 2 --hidden 8 --epochs 3 --batch-size 32 --seed 1 --output vae.h5"


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "ising.h5"
    runs = [ising.sample(LATTICE, t, n_chains=25, n_draws=20, thin=20, seed=7) for t in (1.8, 3.0)]
    return results.save(path, runs)


@pytest.fixture
def folder(tmp_path, monkeypatch, sampled):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ising.h5").symlink_to(sampled)
    return tmp_path


def mcgen(line):
    return cli.main(shlex.split(line))


def parameters(path):
    return [model.parameters.tobytes() for model in results.load_study(path).models]


def test_the_whole_path(folder, capsys):
    assert mcgen(TRAIN) == 0
    out = capsys.readouterr().out
    words = (
        r"T = .*: 3 epochs, bound -\d.*validation rows -\d.*reconstruction -\d.*, KL \d.* nats, \d of 2 latents active"
    )
    assert len(re.findall(words, out)) == 2
    assert len(re.findall(r"exact KL\(truth \|\| model\) \d\.\d+ nats", out)) == 2
    study = results.load_study("vae.h5")
    assert study.temperatures == (1.8, 3.0)
    assert [type(model.decoder_kind) for model in study.models] == [vae.Spin] * 2
    assert study.trained[0].settings["n_rows"] == 450
    assert study.attributes["status"] == "complete"
    assert set(study.exact) >= {"kl_divergence", "log_partition_truth"}
    truth = ising.exact.probabilities(LATTICE, 3.0)
    assert study.exact["kl_divergence"][1] == pytest.approx(vae.kl_divergence(truth, study.models[1]).value, abs=2e-3)
    assert mcgen("vae sample vae.h5 --draws 300 --seed 2 --output samples.h5") == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"generated: energy -?\d.*\(\d+\).*\n  exact: +energy -\d\.\d{6}", out)) == 2
    runs = results.load("samples.h5")
    assert [run.states.shape for run in runs] == [(1, 300, 6)] * 2
    assert mcgen("vae sample vae.h5 --draws 300 --seed 2 --temperature 3 --output one.h5") == 0
    assert results.load("one.h5").temperature == 3.0
    assert mcgen("report vae.h5 --data ising.h5 --output report.png") == 0
    assert (folder / "report.png").stat().st_size > 50_000
    assert mcgen("vae train --data samples.h5 --latent 1 --epochs 1 --output again.h5") == 0


def test_evaluation_says_what_is_exact(folder, capsys):
    assert mcgen(TRAIN) == 0
    capsys.readouterr()
    assert mcgen("vae evaluate vae.h5 --data ising.h5 --importance 50 --draws 1000 --temperature 3") == 0
    out = capsys.readouterr().out
    found = dict(re.findall(r"(importance-weighted bound|  bound) (-[\d.]+)\(", out))
    # The same rows; the importance-weighted bound is the tighter one.
    assert float(found["importance-weighted bound"]) > float(found["  bound"])
    net, rows = results.load("vae.h5").models[1], results.load_rows("ising.h5")[1][1]
    bound = vae.elbo(net, rows, n_draws=50).total.mean()
    assert float(found["  bound"]) == pytest.approx(bound, abs=0.4)
    for words in (
        "exact, by quadrature",
        "exact:",
        "data:",
        "generated:",
        "reconstruction error",
        "latent 1: correlation",
    ):
        assert words in out
    assert "T = 1.8" not in out


def test_rows_that_are_alike_count_once_in_the_error_of_a_bound():
    net = vae.VAE(n_features=6, hidden=(8,), n_latent=1, decoder="spin", seed=1)
    rows = np.where(np.random.default_rng(1).random((100, 6)) < 0.7, 1.0, -1.0)
    alone, repeated = (
        bound_columns(Entry(None, net, None), some, 1)[0]["bound_error"] for some in (rows, np.repeat(rows, 20, axis=0))
    )
    assert repeated == pytest.approx(alone, rel=0.3)


def test_the_same_seed_gives_the_same_model(folder):
    assert mcgen(TRAIN) == 0
    assert mcgen(TRAIN.replace("vae.h5", "same.h5")) == 0
    assert mcgen(TRAIN.replace("vae.h5", "other.h5").replace("--seed 1", "--seed 2")) == 0
    assert parameters("vae.h5") == parameters("same.h5")
    assert not set(parameters("vae.h5")) & set(parameters("other.h5"))
    # Temperatures have seeds of their own.
    assert len({fit.settings["seed"] for fit in results.load_study("vae.h5").trained}) == 2


@pytest.mark.parametrize("more", ["", " --conditional"])
def test_training_goes_on_to_the_same_bits(folder, more):
    assert mcgen(TRAIN.replace("vae.h5", "short.h5") + more) == 0
    longer = TRAIN.replace("--epochs 3", "--epochs 5") + more
    assert mcgen(longer) == 0
    assert mcgen(longer.replace("vae.h5", "resumed.h5") + " --resume short.h5") == 0
    assert parameters("resumed.h5") == parameters("vae.h5") != parameters("short.h5")


def test_only_the_same_training_goes_on(folder, capsys):
    assert mcgen(TRAIN) == 0
    for more, words in (
        ("--activation tanh", "activation"),
        ("--beta 2", "beta"),
        ("--temperature 3", "no data here"),
    ):
        assert mcgen(TRAIN.replace("vae.h5", "b.h5") + f" --resume vae.h5 {more}") == 2
        assert words in capsys.readouterr().err


def test_one_conditional_model_of_all_temperatures(folder, capsys):
    assert mcgen(TRAIN + " --conditional") == 0
    study = results.load_study("vae.h5")
    (net,) = study.models
    assert net.condition_offset.tolist() == [2.4]
    assert net.condition_scale[0] == pytest.approx(0.6)
    assert study.temperatures == (1.8, 3.0)
    assert study.observables["energy_model"].shape == (2,)
    assert len(re.findall(r"T = .*: bound", capsys.readouterr().out)) == 2
    # A temperature between those of the data.
    assert mcgen("vae sample vae.h5 --draws 200 --seed 2 --temperature 2.4 1.8 --output samples.h5") == 0
    runs = results.load("samples.h5")
    assert [run.temperature for run in runs] == [2.4, 1.8]
    assert np.array_equal(runs[1].states[0], net.sample(200, runs[1].seed, [1.8]))
    assert mcgen("vae evaluate vae.h5 --data ising.h5 --importance 10 --draws 500 --rows 250") == 0
    assert "T = 3: 500 rows, bounds of 250 of them" in capsys.readouterr().out
    assert mcgen("report vae.h5 --output report.png") == 0
    for words in ("--temperature 1.8", "--data one.npy"):
        np.save("one.npy", np.ones((20, 6), np.int8))
        assert mcgen(TRAIN.replace("vae.h5", "b.h5") + f" --conditional {words}") == 2
        assert "--conditional needs data of several temperatures" in capsys.readouterr().err


def test_divergence_keeps_the_last_good_state(folder, capsys, monkeypatch):
    train = vae.train

    def diverging(net, x, **settings):
        if settings["seed"] == seeds[1]:
            good = train(net, x, **(settings | {"epochs": 1}))
            raise vae.training.DivergenceError("training diverged in epoch 2, step 1", good)
        seeds.append(settings["seed"])
        return train(net, x, **settings)

    assert mcgen(TRAIN) == 0
    seeds = [None] + [fit.settings["seed"] for fit in results.load_study("vae.h5").trained[1:]]
    monkeypatch.setattr(vae, "train", diverging)
    assert mcgen(TRAIN + " --overwrite") == 2
    out, err = capsys.readouterr()
    assert "mcgen: training diverged in epoch 2" in err
    assert "interrupted: 2 of 2 models, the last with 1 epochs" in out
    study = results.load_study("vae.h5")
    assert [len(fit.history["epoch"]) for fit in study.trained] == [3, 1]
    assert study.attributes["status"] == "interrupted"
    assert np.isnan(study.exact["kl_divergence"]).tolist() == [False, True]


def test_a_learning_rate_beyond_all_bounds_ends_with_status_2(folder, capsys):
    assert mcgen(TRAIN + " --optimizer sgd --learning-rate 1e30") == 2
    assert "diverged" in capsys.readouterr().err
    assert not (folder / "vae.h5").exists()


@pytest.mark.parametrize("where", ["train", "evaluation"])
def test_ctrl_c_keeps_what_is_done(folder, capsys, monkeypatch, where):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    if where == "evaluation":  # of the first model, whose training is complete
        monkeypatch.setattr(evaluation, "evaluate_vae", interrupted)
    else:  # of the second one
        train, calls = vae.train, []
        monkeypatch.setattr(vae, "train", lambda *a, **k: interrupted() if calls else calls.append(1) or train(*a, **k))
    assert mcgen(TRAIN) == 130
    assert "wrote vae.h5, interrupted: 1 of 2 models, the last with 3 epochs" in capsys.readouterr().out
    study = results.load_study("vae.h5")
    assert len(study.trained) == 1
    assert study.temperatures == (1.8,)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert mcgen(TRAIN.replace("--output vae.h5", "--output whole.h5")) == 0
    assert mcgen(TRAIN + " --resume vae.h5 --overwrite") == 0
    assert parameters("vae.h5") == parameters("whole.h5")


def test_convolutions_on_the_lattice_of_the_data(folder, capsys):
    run = ising.sample(ising.Ising((4, 4)), 2.5, n_chains=20, n_draws=5, thin=20, seed=1)
    results.save("square.h5", run)
    line = "vae train --data square.h5 --latent 2 --hidden --epochs 1 --convolutional --output vae.h5"
    assert mcgen(line) == 2
    assert "give fewer --filters" in capsys.readouterr().err
    assert mcgen(line + " --filters 3") == 0
    net = results.load_study("vae.h5").models[0]
    assert (net.convolution.filters, net.convolution.padding, net.hidden) == ((3,), "periodic", ())
    np.save("rows.npy", run.states.reshape(-1, 16))
    assert mcgen(line.replace("square.h5", "rows.npy") + " --overwrite") == 2
    assert "periodic lattice in two dimensions" in capsys.readouterr().err


def test_rows_of_numbers(folder, capsys):
    rows = np.random.default_rng(1).random((200, 5))
    np.save("grey.npy", rows)
    np.savetxt("bits.txt", rows > 0.5, fmt="%d")
    line = "vae train --data {} --latent 1 --hidden 4 --epochs 1 --output {}.h5 {}"
    for data, name, more, kind in (
        ("grey.npy", "a", "--decoder gaussian", vae.Gaussian()),
        ("grey.npy", "b", "--decoder bernoulli", vae.Bernoulli()),
        ("bits.txt", "c", "", vae.Bernoulli()),
        ("bits.txt", "d", "--decoder spin", vae.Spin()),
        ("ising.h5", "e", "--decoder bernoulli --temperature 3", vae.Bernoulli()),
    ):
        assert mcgen(line.format(data, name, more)) == 0
        study = results.load_study(f"{name}.h5")
        assert study.models[0].decoder_kind == kind
        assert mcgen(f"vae sample {name}.h5 --draws 200 --output {name}-samples.h5") == 0
        assert mcgen(f"vae evaluate {name}.h5 --data {data} --importance 5 --rows 100 --draws 200") == 0
        assert mcgen(f"report {name}.h5 --data {data} --output {name}.png") == 0
    assert mcgen(line.format("grey.npy", "f", "")) == 2
    assert "rows must hold 0 and 1" in capsys.readouterr().err


def test_rows_become_what_the_decoder_takes():
    bits, spins = np.int8([[0, 1, 1]]), np.int8([[-1, 1, 1]])
    for kind, expected in (("spin", spins), ("bernoulli", bits)):
        for rows in (bits, spins):
            assert np.array_equal(as_states(rows, kind), expected)
    grey = np.array([[0.25, -0.5]])
    assert as_states(grey, "bernoulli") is grey


def test_bad_commands_end_with_one_line(folder, capsys):
    assert mcgen(TRAIN) == 0
    assert mcgen("rbm train --data ising.h5 --hidden 2 --epochs 1 --temperature 3 --output rbm.h5") == 0
    net = vae.Autoencoder(6, (4,), 2, "spin")
    results.save("ae.h5", net)
    np.save("wide.npy", np.ones((20, 7), np.int8))
    results.save("other.h5", ising.sample(LATTICE, 2.5, n_chains=4, n_draws=5, burn_in=50, seed=1))
    capsys.readouterr()
    new = TRAIN.replace("vae.h5", "new.h5")
    for line, words in (
        (TRAIN, "vae.h5 exists"),
        (new + " --validation 1", "--validation=1.0 is out of range"),
        (new + " --decoder poisson", "--decoder"),
        (new + " --filters 3", "--filters 3 is for --convolutional"),
        (new + " --temperature 5", "--temperature 5 is not in ising.h5"),
        (new + " --resume rbm.h5", "holds no training of a VAE"),
        ("vae sample rbm.h5 --output s.h5", "rbm.h5 holds a model of the class RBM; give the file of a VAE"),
        ("vae sample ae.h5 --output s.h5", "ae.h5 holds a model of the class Autoencoder"),
        ("vae sample ising.h5 --output s.h5", "ising.h5 holds no model"),
        ("vae sample vae.h5 --temperature 5 --output s.h5", "temperature 5 is not in vae.h5, which has: 1.8, 3"),
        ("vae sample vae.h5 --draws 0 --output s.h5", "--draws=0 is too small"),
        ("vae evaluate vae.h5 --data other.h5 --temperature 3", "has no rows of T = 3, only of 2.5; pick one of them"),
        ("vae evaluate vae.h5 --data wide.npy", "rows of 7 numbers"),
        ("vae evaluate vae.h5 --data ising.h5 --importance 1", "--importance"),
        ("rbm sample vae.h5 --output s.h5", "vae.h5 holds a VAE, no RBM"),
        ("report vae.h5 --data wide.npy --output r.png", "rows of 7 numbers"),
        ("report vae.h5 --data other.h5 --output r.png", "rows of the temperatures 2.5, and none for the models; give"),
        ("report rbm.h5 --data ising.h5 --output r.png", "is for the report of a VAE"),
    ):
        assert mcgen(line) == 2, line
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1


def test_reports_of_autoencoders_and_of_unknown_conditions(folder):
    x = np.where(np.random.default_rng(2).random((40, 6)) < 0.5, 1, -1)
    autoencoder = vae.train(vae.Autoencoder(6, (4,), 2, "spin"), x, epochs=1)
    conditional = vae.train(vae.ConditionalVAE(6, 2, (4,), 2, "spin"), x, epochs=1, condition=np.ones((40, 2)))
    for k, fit in enumerate((autoencoder, conditional)):
        assert report.report(Study(models=(fit.model,), trained=(fit,)), f"{k}.png").exists()
    with pytest.raises(InputError, match="cannot be compared with a lattice of 6 spins"):
        evaluation.evaluate_vae(vae.VAE(5, (4,), 1, "spin"), LATTICE, 2.0, x, x)


def test_estimated_divergence_is_near_the_exact_one():
    run = ising.sample(LATTICE, 3.0, n_chains=25, n_draws=20, thin=20, seed=7)
    net = vae.train(vae.VAE(6, (8,), 1, "spin", seed=1), run.states.reshape(-1, 6), epochs=3, seed=1).model
    settings = {"data": run, "samples": net.sample(500, seed=1), "n_importance": 300}
    exact, table = evaluation.evaluate_vae(net, LATTICE, 3.0, **settings)
    estimated, _ = evaluation.evaluate_vae(net, LATTICE, 3.0, **settings, most_latents=0)
    assert (exact["kl_by_quadrature"], estimated["kl_by_quadrature"]) == (1.0, 0.0)
    assert abs(estimated["kl_divergence"] - exact["kl_divergence"]) < 4 * estimated["kl_divergence_error"]
    assert table["energy_truth"] == pytest.approx(ising.exact.thermodynamics(LATTICE, 3.0).energy)
