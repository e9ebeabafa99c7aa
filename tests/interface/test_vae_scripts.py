"""The studies of variational autoencoders, and their part of the benchmark: small runs, and what they rest on."""

import gzip
import json
import re
from importlib import import_module

import h5py
import numpy as np
import pytest
import scipy.io
from scipy.special import comb

from mcgen import ising, results, rng, stats, vae


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Learning lattices.

ISING = ["--quick", "--shape", "2", "3", "--hidden", "8", "--latent", "2", "4", "--seed", "3"]


def test_the_decoder_that_knows_only_the_magnetization():
    script = import_module("learn_ising_vae")
    lattice = ising.Ising((4, 4))
    truth = ising.exact.probabilities(lattice, 2.269)
    p = script.of_magnetization_alone(lattice, truth)
    m = script.state_magnetizations(lattice)
    for value in (-16, -4, 0, 6):
        assert np.unique(p[m == value]).tolist() == [p[m == value][0]]
        assert p[m == value][0] == pytest.approx(truth[m == value].sum() / comb(16, (16 + value) // 2), rel=1e-12)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert script.enumeration.kl_divergence(truth, np.log(p)) == pytest.approx(0.247, abs=5e-4)


def test_the_bias_of_importance_sampling_is_taken_off(monkeypatch):
    script = import_module("learn_ising_vae")
    estimate = script.vae.likelihood.DivergenceEstimate(value=1.0, error=0.1, bias=0.25, n_states=64)
    monkeypatch.setattr(script.vae, "kl_estimate", lambda *arguments, **settings: estimate)
    expected = {"kl_divergence": 0.75, "kl_divergence_error": 0.1, "kl_divergence_bias": 0.25}
    assert script.divergence(None, vae.VAE(6, (8,), 4, "spin"), 10, 0) == expected

    def too_fine(*arguments, **settings):
        raise script.SizeError("too many points")

    monkeypatch.setattr(script.vae, "kl_divergence", too_fine)
    assert script.divergence(None, vae.VAE(6, (8,), 2, "spin"), 10, 0) == expected


def test_learn_ising_vae(folder, capsys):
    script = import_module("learn_ising_vae")
    assert script.main(ISING) == 0
    out = capsys.readouterr().out
    lattice = ising.Ising((2, 3))
    truth = ising.exact.probabilities(lattice, 2.269)
    for name, n_latent, k, objective in (
        ("elbo", 2, 1, "elbo"),
        ("importance", 2, 50, "importance"),
        ("more-latents", 4, 50, "importance"),
    ):
        study = results.load(f"learn_ising_vae-{name}.h5")
        (fit,) = study.trained
        assert (fit.model.n_latent, fit.settings["n_draws"], fit.settings["objective"]) == (n_latent, k, objective)
        assert (fit.settings["n_rows"], fit.state.epoch) == (2000, script.QUICK["epochs"])
        kl, error, bias = (study.exact[f"kl_divergence{end}"][0] for end in ("", "_error", "_bias"))
        if n_latent == 2:
            assert bias == 0
            assert kl == vae.kl_divergence(truth, fit.model, tolerance=script.TOLERANCE).value
        else:
            found = vae.kl_estimate(truth, fit.model, 5000, seed=99)
            assert 0 < bias < 0.1
            assert abs(kl - found.value + found.bias) < 4 * error
        energy = study.observables["energy_model"][0], study.observables["energy_model_error"][0]
        states = fit.model.sample(20_000, seed=1)
        exact = lattice.energy(states.reshape(-1, 2, 3)).mean()
        assert abs(energy[0] - exact) < 5 * energy[1]
        assert f"{n_latent} latents: KL(truth || model) = {kl:.4f} nats" in out
    truth_line = re.search(r"^truth, exact: the best possible +0\.00000 +(\S+) +(\S+) ", out, re.M)
    assert float(truth_line[1]) == pytest.approx(float(np.sum(truth * np.log(truth))), abs=1e-5)
    assert float(truth_line[2]) == pytest.approx(ising.exact.thermodynamics(lattice, 2.269).energy / 6, abs=1e-5)
    assert (folder / "learn_ising_vae.png").stat().st_size > 50_000
    assert script.main(ISING) == 2
    assert "learn_ising_vae-elbo.h5 exists" in capsys.readouterr().err


def test_learn_ising_vae_from_rows_of_bits_and_ctrl_c(folder, capsys, monkeypatch):
    script = import_module("learn_ising_vae")
    states = ising.exact.sample(ising.Ising((2, 3)), 2.269, 700, seed=4).reshape(700, 6)
    np.savetxt("rows.txt", (states + 1) // 2, fmt="%d")
    original = script.vae.train

    def only_the_elbo(*arguments, **settings):
        if settings.get("objective") == "importance":
            raise KeyboardInterrupt
        assert arguments[1].tolist() == states.tolist()
        return original(*arguments, **settings)

    monkeypatch.setattr(script.vae, "train", only_the_elbo)
    assert script.main([*ISING, "--epochs", "2", "--data", "rows.txt"]) == 130
    study = results.load("learn_ising_vae-elbo.h5")
    assert (study.trained[0].settings["n_rows"], study.trained[0].state.epoch) == (700, 2)
    assert not (folder / "learn_ising_vae-importance.h5").exists()
    assert "interrupted" in capsys.readouterr().out


# Learning digits.


@pytest.fixture
def digits(folder):
    """Images of 4 x 4 pixels as bits, with two kinds of them, in text files: (train, validation, test)."""
    random = np.random.default_rng(5)
    prototypes = np.array([[1] * 8 + [0] * 8, [0, 1] * 8])
    tables = []
    for name, n in (("train", 300), ("valid", 60), ("test", 50)):
        rows = np.abs(prototypes[random.integers(2, size=n)] - (random.random((n, 16)) < 0.1))
        np.savetxt(f"{name}.amat", rows, fmt="%d")
        tables.append(rows)
    return tables


DIGITS = ["--hidden", "12", "--latent", "2", "--batch-size", "50", "--importance", "200", "--learning-rate", "0.01"]


def test_learn_digits_vae(digits, folder, capsys):
    script = import_module("learn_digits_vae")
    run = ["train.amat", "valid.amat", "test.amat", *DIGITS, "--epochs", "5", "--seed", "7"]
    assert script.main(run) == 0
    out = capsys.readouterr().out
    assert "300 images to learn from, 60 to validate, 50 to test" in out
    study = results.load("learn_digits_vae.h5")
    (fit,) = study.trained
    # Epochs one by one are those of a single training.
    net = vae.VAE(16, (12,), 2, activation="tanh", seed=rng.derive(7, 0))
    whole = vae.train(net, digits[0], 5, 50, 0.01, 1e-4, validation=digits[1], seed=rng.derive(7, 1))
    assert np.array_equal(fit.model.parameters, whole.model.parameters)
    for name in ("bound", "validation_bound", "learning_rate"):
        assert np.array_equal(fit.history[name], whole.history[name])
    exact = -vae.log_likelihood_exact(fit.model, digits[2]).value.mean()
    loss, error = study.observables["test_loss"][0], study.observables["test_loss_error"][0]
    assert abs(loss - study.observables["test_loss_bias"][0] - exact) < 4 * error
    elbo = study.observables["test_reconstruction"][0] + study.observables["test_kl"][0]
    assert study.observables["test_negative_elbo"][0] == pytest.approx(elbo, abs=1e-9)
    assert elbo > loss
    shown = re.search(r"^test: -log p\(x\), 200 draws +(\d+\.\d+)\(\d+\), too high by about ", out, re.M)
    assert float(shown[1]) == pytest.approx(loss, abs=0.1 * error)
    assert (folder / "learn_digits_vae.png").stat().st_size > 30_000
    assert script.main(run) == 2
    assert "learn_digits_vae.h5 exists" in capsys.readouterr().err


def test_learn_digits_vae_goes_on_where_time_ended(digits, capsys, monkeypatch):
    script = import_module("learn_digits_vae")
    run = ["train.amat", "test.amat", *DIGITS, "--epochs", "4", "--schedule", "burda"]
    assert script.main([*run, "--output", "whole.h5", "--figure", "whole.png"]) == 0
    assert script.main([*run, "--time-limit", "0"]) == 0
    assert "interrupted after epoch 1; go on with --resume" in capsys.readouterr().out
    study = results.load_study("learn_digits_vae.h5")
    assert (study.attributes["status"], study.trained[0].state.epoch) == ("interrupted", 1)
    assert script.main([*run, "--resume", "--schedule", "geometric"]) == 2
    assert "had other learning rates" in capsys.readouterr().err
    assert script.main([*run, "--resume"]) == 0
    one, other = (results.load_study(path) for path in ("whole.h5", "learn_digits_vae.h5"))
    assert other.attributes["status"] == "complete"
    assert np.array_equal(one.trained[0].model.parameters, other.trained[0].model.parameters)
    assert one.observables["test_loss"] == other.observables["test_loss"]


def test_schedules_of_learning_rates():
    script = import_module("learn_digits_vae")
    rates = script.learning_rates(script.parse(["x", "--schedule", "burda", "--epochs", "3280"]))
    stages, lengths = np.unique(rates, return_counts=True)
    np.testing.assert_allclose(stages[::-1], 1e-3 * 10.0 ** (-np.arange(8) / 7), rtol=1e-12)
    assert lengths[::-1].tolist() == [3**i for i in range(8)]
    shorter = script.learning_rates(script.parse(["x", "--schedule", "burda", "--epochs", "328"]))
    assert np.unique(shorter, return_counts=True)[1].tolist()[:3] == [218, 73, 24]
    geometric = script.learning_rates(script.parse(["x", "--epochs", "3", "--final-learning-rate", "1e-5"]))
    np.testing.assert_allclose(geometric, [1e-3, 1e-4, 1e-5], rtol=1e-12)


def test_the_lecture_notes_can_be_changed():
    script = import_module("learn_digits_vae")
    notes = script.parse(["x", "--notes", "--epochs", "7"])
    assert (notes.hidden, notes.latent, notes.batch_size, notes.epochs) == ([256, 128], 16, 128, 7)
    assert set(script.learning_rates(notes).tolist()) == {1e-3}


def test_formats_of_images(folder, capsys):
    script, images = import_module("learn_digits_vae"), import_module("vae_parts.images")
    grey = np.random.default_rng(1).integers(256, size=(6, 4, 3)).astype(np.uint8)
    bits = (grey > 127).astype(np.uint8).reshape(6, 12)
    idx = b"\0\0\x08\x03" + np.array([6, 4, 3], ">u4").tobytes() + grey.tobytes()
    (folder / "a.idx").write_bytes(idx)
    (folder / "a.gz").write_bytes(gzip.compress(idx))
    np.save("a.npy", grey)
    np.savez("a.npz", images=grey)
    np.savez("both.npz", x_train=grey, x_test=grey[:2], y_train=np.arange(6))
    np.savetxt("bits.amat", bits, fmt="%d")
    scipy.io.savemat("packed.amat", {"X": bits}, appendmat=False)
    for name in ("a.idx", "a.gz", "a.npy", "a.npz"):
        (rows,) = images.read_images(name)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, grey.reshape(6, 12) / 255, atol=1e-7)
    for name in ("bits.amat", "packed.amat"):
        (rows,) = images.read_images(name)
        assert np.array_equal(rows, bits)
        assert images.binarized(rows, "no", 1).dtype == np.int8
    assert [len(rows) for rows in images.read_images("both.npz")] == [6, 2]
    shades = np.full((400, 10), 0.3, np.float32)
    assert images.binarized(shades, "no", 1) is shades
    assert images.binarized(shades, "threshold", 1).max() == 0
    assert images.binarized(shades, "draw", 1).mean() == pytest.approx(0.3, abs=0.03)
    np.savez("two.npz", a=grey, b=grey)
    np.save("negative.npy", np.full((2, 3), -1.0))
    (folder / "short.idx").write_bytes(idx[:-1])
    for name, words in (
        ("two.npz", "it holds the arrays"),
        ("short.idx", "cannot be read as images"),
        ("negative.npy", "is no table of images from 0 to 255"),
        ("nothing.npy", "cannot be read as images"),
    ):
        assert script.main([name]) == 2
        assert words in capsys.readouterr().err


def test_tiles():
    sheet = import_module("learn_digits_vae").tiles(np.arange(1, 13).reshape(3, 2, 2), gap=-1)
    assert sheet.tolist() == [
        [1, 2, -1, 5, 6],
        [3, 4, -1, 7, 8],
        [-1, -1, -1, -1, -1],
        [9, 10, -1, -1, -1],
        [11, 12, -1, -1, -1],
    ]


# The benchmark.


def quiet(net):
    """The model with next to no noise in its latents: what PyTorch draws then makes no difference."""
    vector = net.vector()
    vector.views[len(net.encoder.layers) - 1]["bias"][net.n_latent :] = -20
    return net.replace(vector.packed())


def small_case(images=False):
    steps = import_module("benchmark_parts.vae_steps")
    if images:
        return steps.Case((6,), 2, 8, convolution=vae.Convolution((8, 4, 2), (3, 5)))
    return steps.Case((9, 7), 3, 8, n_features=30)


@pytest.mark.parametrize("images", [False, True])
def test_steps_of_the_benchmark_are_those_of_training(images):
    peers, case = import_module("benchmark_parts.vae_peers"), small_case(images)
    net, x = case.model(), case.rows(40)
    bounds = peers.mcgen_steps(net, x, 8)(5)
    fit = vae.train(net, x, 1, 8, peers.LEARNING_RATE, seed=peers.SEED)
    assert bounds.mean() == pytest.approx(fit.history["bound"][0], rel=1e-12)
    assert peers.mcgen_epochs(net, x, 8)(2)[0] == fit.history["bound"][0]
    # A run starts from the same parameters, and a longer one goes through the batches again.
    longer = peers.mcgen_steps(net, x, 8)(20)
    assert np.array_equal(longer[:5], bounds)
    assert longer[15:].mean() > bounds.mean()


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("name", ["torch", "torch fused"])
def test_pytorch_trains_the_same_model(name, images):
    peers, case = import_module("benchmark_parts.vae_peers"), small_case(images)
    if not peers.installed("torch"):
        pytest.skip("torch is not installed")
    net, x = quiet(case.model()), case.rows(40)
    own = peers.mcgen_steps(net, x, 8)(12)
    for form in peers.peers()[name][: 2 if images else 1]:
        found = form(net, x, 8)(12)
        assert found[0] == pytest.approx(own[0], abs=1e-4)
        np.testing.assert_allclose(found, own, rtol=0, atol=5e-3)


def test_products_of_a_step():
    peers, steps = import_module("benchmark_parts.vae_peers"), import_module("benchmark_parts.vae_steps")
    net = steps.STEPS[1].model()
    factors = peers.products(net, 128)
    layers = [(784, 400), (400, 400), (400, 40), (20, 400), (400, 400), (400, 784)]
    terms = sum(128 * n * m * (2 if k == 0 else 3) for k, (n, m) in enumerate(layers))
    assert sum(len(a) * a.shape[1] * b.shape[1] for a, b in factors) == terms
    small = small_case().model()
    for form in peers.floors():
        for result, (a, b) in zip(form(small, None, 8)(2), peers.products(small, 8), strict=True):
            np.testing.assert_allclose(result, a.astype(np.float64) @ b, rtol=1e-5)


def test_the_convolutional_case_is_the_preset():
    case = import_module("benchmark_parts.vae_steps").STEPS[-1]
    net = case.model()
    assert (net.encoder.n_parameters, net.decoder.n_parameters, case.batch) == (69_076, 65_089, 128)
    assert case.rows(1000).mean() == pytest.approx(0.13, abs=0.005)


def test_rows_of_the_benchmark(folder, capsys, monkeypatch):
    benchmark, steps = import_module("benchmark"), import_module("benchmark_parts.vae_steps")
    monkeypatch.setattr(steps, "STEPS", (small_case(), small_case(images=True)))
    monkeypatch.setattr(steps, "EPOCH", small_case())
    monkeypatch.setattr(steps, "EPOCH_ROWS_QUICK", 100)
    monkeypatch.setattr(steps, "WANTED_QUICK", 0.005)
    monkeypatch.setattr(steps, "QUICK_BATCHES", (8,))
    peers = import_module("benchmark_parts.vae_peers")
    monkeypatch.setattr(steps, "peers", lambda: {"torch": (peers.mcgen_steps, peers.mcgen_steps)})
    monkeypatch.setattr(steps, "floors", lambda: (peers.numpy_matmul,))
    assert benchmark.main(["--quick", "--runs", "3", "--parts", "vae", "--output", "b.json"]) == 0
    dense, images, epoch = json.loads((folder / "b.json").read_text())["vae"]["results"]
    assert dense["work"] == "training step, VAE 30-9-7-3, batch 8"
    assert epoch["work"] == "epoch, VAE 30-9-7-3, batch 8, 100 rows"
    for row in (dense, epoch):
        assert row["limit_form"] == "numpy_matmul"
        assert row["fraction"] == row["limit_seconds"] / row["seconds"]
    assert "limit" not in images
    for row in (dense, images, epoch):
        low, high = row["quartiles"]
        assert low <= row["seconds"] <= high
        assert row["seconds"] > 0
        assert row["ratios"] == {"torch": row["peers"]["torch"]["seconds"] / row["seconds"]}
    out = capsys.readouterr().out
    assert re.search(
        r"^training step, VAE 30-9-7-3, batch 8 +\d\S* [mu]s +\d+%  matrix products +torch \S+x$", out, re.M
    )
    assert re.search(r"^training step, Keras' convolutional VAE, batch 8 +\d\S* [mu]s +torch \S+x$", out, re.M)


def test_an_epoch_has_all_steps(monkeypatch):
    steps, peers = import_module("benchmark_parts.vae_steps"), import_module("benchmark_parts.vae_peers")
    Quickest = import_module("benchmark_parts.alternating").Quickest
    asked = []
    monkeypatch.setattr(steps, "mcgen_epochs", lambda *of: lambda n: asked.append(("epochs", n)))
    monkeypatch.setattr(steps, "peers", lambda: {"torch": (lambda *of: lambda n: asked.append(("steps", n)),)})
    monkeypatch.setattr(steps, "floors", lambda: ())
    monkeypatch.setattr(steps, "of_form", lambda form, times: Quickest(form, 1.0 * len(times), times))
    monkeypatch.setattr(steps, "forms", lambda case, x: {"torch": {"a": steps.peers()["torch"][0](case, x)}})
    row = steps.epoch(small_case(), 81, 3)
    assert asked == 4 * [("epochs", 1), ("steps", 11)]
    assert len(peers.batches(81, 8)) == 11
    assert row["seconds"] == 3.0  # the first turn does not count


def test_the_part_needs_the_processor(capsys):
    benchmark = import_module("benchmark")
    assert "vae" in benchmark.parse([]).parts
    assert "vae" not in benchmark.parse(["--device", "cuda"]).parts
    with pytest.raises(SystemExit):
        benchmark.parse(["--device", "cuda", "--parts", "vae"])
    assert "--parts vae has no kernels for cuda" in capsys.readouterr().err


def test_the_latent_is_the_magnetization(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = import_module("explore_latent_space")
    assert script.main(["--quick", "--latent", "2"]) == 0
    out = capsys.readouterr().out
    assert "VAE, 1" in out
    assert "steepest at T of" in out
    with h5py.File("explore_latent_space.h5") as file:
        for name, least in (("vae", 0.9), ("principal_components", 0.99)):
            value = np.abs(file[f"{name}/correlation_magnetization"][:])
            error = file[f"{name}/correlation_magnetization_error"][:]
            assert value[0] > least
            assert value[0] > value[1]
            assert 0 < error[0] < 0.05
        curves = file["by_temperature"]
        assert curves["reconstruction_error"].dims[0][0].name == "/by_temperature/temperature"
        assert curves["reconstruction_error"][-1] > 5 * curves["reconstruction_error"][0]
        pulls = (curves["energy"][:] - curves["energy_exact"][:]) / curves["energy_error"][:]
        assert pulls @ pulls < 35  # of 9
    assert isinstance(results.load("explore_latent_space.h5"), vae.Fit)
    assert script.main(["--quick"]) == 2
    assert "explore_latent_space.h5 exists" in capsys.readouterr().err


def test_where_a_curve_is_steepest():
    """The middle of a step is found, and its error is the spread over noisy curves."""
    script = import_module("explore_latent_space")
    temperatures = np.linspace(1, 3, 21)
    curve = np.tanh((temperatures - 2.13) / 0.3)
    generator = np.random.default_rng(3)
    found = [
        script.steepest(
            temperatures, [stats.Estimate(one, 0.01, 1.0, 1.0) for one in curve + 0.01 * generator.normal(size=21)]
        )
        for _ in range(100)
    ]
    values, errors = np.array([one[:2] for one in found]).T
    assert abs(values.mean() - 2.13) < 0.02
    assert 0.7 < values.std() / np.median(errors) < 1.4


def test_three_models_of_the_same_configurations(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = import_module("compare_generative_models")
    assert script.main(["--quick", "--temperatures", "2.5", "--epochs", "4"]) == 0
    out = capsys.readouterr().out
    assert " cvae " in out
    lattice = ising.Ising((2, 3))
    truth = ising.exact.probabilities(lattice, 2.5)
    with h5py.File("compare_generative_models.h5") as file:
        exact = ising.exact.thermodynamics(lattice, 2.5)
        assert file["truth/energy"][0] == pytest.approx(exact.energy / 6, rel=1e-12)
        assert file["rbm/two_point"].dims[1][0].name == "/rbm/distance"
        deviations = (file["rbm/two_point"][0] - file["truth/two_point"][0])[1:] / file["rbm/two_point_error"][0][1:]
        assert np.abs(deviations).max() < 6
        assert file["rbm/kl_divergence"][0] < 0.03 < file["vae/kl_divergence"][0]
        for name in script.OBSERVABLES[:2]:
            assert abs(file[f"rbm/{name}"][0] - file[f"truth/{name}"][0]) < 6 * file[f"rbm/{name}_error"][0]
    distances, two_point = script.exact_two_point(lattice, truth)
    assert distances.tolist() == pytest.approx([0, 1, 2**0.5])
    assert two_point[0] == pytest.approx(1, abs=1e-12)
    # Of 18 ordered pairs of neighbours each counts as often as it has bonds: the axis of length 2 has two.
    spins = script.enumeration.list_states(6, -1).reshape(-1, 2, 3)
    assert two_point[1] == pytest.approx(
        truth @ ((2 * spins * np.roll(spins, 1, 2)).sum((1, 2)) + (spins * np.roll(spins, 1, 1)).sum((1, 2))) / 18
    )
    assert (tmp_path / "compare_generative_models.png").stat().st_size > 20_000


def test_errors_by_temperature_are_those_of_chains():
    script = import_module("explore_latent_space")
    values = np.array([1.0, 3.0, 5.0, 7.0, 2.0, 2.0, 2.0, 8.0])  # two draws of each of two chains at each temperature
    temperature = np.repeat([1.5, 3.0], 4)
    rows = script.Rows(np.empty((8, 4)), temperature, np.repeat(np.arange(4), 2), values, values)
    cold, warm = script.by_temperature(values, rows)
    assert (cold.value, warm.value) == (4.0, 3.5)
    assert cold.error == pytest.approx(2.0)  # chains of 2 and 6: sqrt(8 / 2)
    assert warm.error == pytest.approx(1.5)  # chains of 2 and 5
    assert cold.effective_sample_size == 2
