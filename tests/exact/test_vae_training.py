"""Training climbs, repeats itself to the bit, goes on where it stopped, and says when it diverges."""

import tracemalloc

import numpy as np
import pytest

from mcgen import optim, results, rng, vae
from mcgen.errors import DivergenceError, InputError
from mcgen.vae import training
from mcgen.vae.bound import Passes
from mcgen.vae.network import Vector


@pytest.fixture(scope="module")
def data():
    """Two patterns of eight bits, each bit wrong with probability 0.05."""
    random = np.random.default_rng(0)
    patterns = np.array([[0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]])
    return (patterns[random.integers(0, 2, 1200)] ^ (random.random((1200, 8)) < 0.05)).astype(np.int8)


def net(**settings):
    return vae.VAE(**({"n_features": 8, "hidden": (16,), "n_latent": 2, "seed": 1} | settings))


def same(one, other):
    assert np.array_equal(one.model.parameters, other.model.parameters)
    for name in one.history:
        np.testing.assert_array_equal(one.history[name], other.history[name])
    for a, b in zip(one.state, other.state, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("objective", ["elbo", "importance"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_approaches_the_best(data, optimizer, objective):
    settings = {"n_draws": 5} if objective == "importance" else {}
    rate = 0.01 if optimizer == "adam" else 0.02
    fit = vae.train(
        net(), data, epochs=40, batch_size=40, learning_rate=rate, final_learning_rate=rate / 10, optimizer=optimizer,
        objective=objective, seed=2, **settings,
    )  # fmt: skip
    # log p of the truth: its entropy is log 2 + 8 H(0.05) less what the patterns share, about 2.28 nats.
    log_p = vae.log_likelihood(fit.model, data, n_importance=100, seed=3)
    assert -2.45 < log_p.mean() < -2.0
    assert fit.history["bound"][-1] > fit.history["bound"][0]


def test_one_step_by_hand(data):
    start = net(dtype="float64")
    fit = vae.train(start, data, epochs=1, batch_size=len(data), learning_rate=0.1, optimizer="sgd", seed=4)
    order = rng.permutation(4, rng.purpose.TRAINING_ORDER, len(data))
    vector, gradient = start.vector(), Vector(start.parameter_shapes, np.float64)
    passes = Passes(start, vector, len(data))
    passes.load(data, None, order)
    passes.encode()
    passes.draw((rng.purpose.VAE_NOISE, *rng.split_seed(4)), 0)
    passes.decode(1 / len(data))
    passes.kl_weights[:] = 1 / len(data)
    passes.backward(gradient, False)
    np.testing.assert_allclose(fit.model.parameters, start.parameters + 0.1 * gradient.packed(), rtol=1e-13)
    np.testing.assert_allclose(fit.history["reconstruction"], passes.reconstruction().mean(), rtol=1e-12)
    np.testing.assert_allclose(fit.history["kl"], passes.row_kl().mean(), rtol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "sgd", "learning_rate": 0.01, "clip": 0.5},
        {"objective": "importance", "n_draws": 3, "patience": 50},
        {"warm_up": 3, "free_bits": 0.1, "n_draws": 2, "beta": 0.5},
    ],
    ids=str,
)
def test_the_same_seed_gives_the_same_bits_also_after_a_break(data, settings):
    settings = {"batch_size": 24, "seed": 5, "validation": data[:100]} | settings
    whole = vae.train(net(), data, epochs=10, **settings)  # 500 steps
    same(whole, vae.train(net(), data, epochs=10, **settings))
    first = vae.train(net(), data, epochs=4, **settings)
    same(whole, vae.train(net(), data, epochs=10, resume=first, **settings))
    other = vae.train(net(), data, epochs=10, **(settings | {"seed": 6}))
    assert not np.array_equal(whole.model.parameters, other.model.parameters)


def test_ctrl_c_keeps_complete_epochs(data, monkeypatch):
    settings = {"batch_size": 100, "learning_rate": 0.01, "final_learning_rate": 0.001, "seed": 7, "epochs": 5}
    whole = vae.train(net(), data, **settings)
    look, calls = training._look, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 30:  # in the third epoch of twelve steps
            raise KeyboardInterrupt
        return look(*arguments)

    monkeypatch.setattr(training, "_look", interrupted)
    fit = vae.train(net(), data, **settings)
    assert fit.interrupted
    assert fit.history["epoch"].tolist() == [1, 2]
    same(whole, vae.train(net(), data, resume=fit, **settings))
    calls.clear()
    calls.extend([1] * 25)
    with pytest.raises(KeyboardInterrupt):
        vae.train(net(), data, **settings)


def test_divergence_names_the_step_and_keeps_the_last_good_state(data):
    good = vae.train(net(decoder="gaussian"), data, epochs=1, learning_rate=1e-3, seed=8)
    bad = vae.Fit(good.model, good.history, good.settings, good.state._replace(parameters=good.state.parameters * 1e18))
    settings = {"learning_rate": 1e-3, "seed": 8, "epochs": 3}
    with pytest.raises(
        DivergenceError, match=r"diverged in epoch 2, step 1 of 10, at learning_rate=0.001: the bound is "
    ):
        vae.train(net(decoder="gaussian"), data, resume=bad, **settings)
    with pytest.raises(DivergenceError, match="learning_rate=1e\\+30") as caught:
        vae.train(net(decoder="gaussian"), data, epochs=3, learning_rate=1e30, seed=8)
    assert caught.value.last_good is None
    with pytest.raises(DivergenceError, match="epoch 2") as caught:
        vae.train(net(decoder="gaussian"), data, epochs=2, learning_rate=1e-3, final_learning_rate=1e30, seed=8)
    last = caught.value.last_good
    assert np.array_equal(last.model.parameters, vae.train(
        net(decoder="gaussian"), data, epochs=1, learning_rate=1e-3, seed=8).model.parameters)  # fmt: skip


def test_a_last_step_out_of_bounds_leaves_no_history_of_its_epoch(data):
    settings = {"batch_size": len(data), "seed": 8}
    with pytest.raises(DivergenceError, match=r"epoch 1, step 1 of 1, .*a parameter is not finite") as caught:
        vae.train(net(), data, epochs=1, learning_rate=1e300, **settings)
    assert caught.value.last_good is None
    with pytest.raises(DivergenceError, match=r"epoch 2, step 1 of 1, .*a parameter is not finite") as caught:
        vae.train(net(), data, epochs=2, learning_rate=[1e-3, 1e300], **settings)
    good = caught.value.last_good
    assert good.state.epoch == 1
    assert {len(column) for column in good.history.values()} == {1}


def test_patience_returns_the_best_model(data):
    fit = vae.train(
        net(hidden=(64,)), data[:60], epochs=400, batch_size=20, learning_rate=0.02, validation=data[60:200],
        patience=20, seed=9,
    )  # fmt: skip
    best = int(np.argmax(fit.history["validation_bound"]))
    assert len(fit.history["epoch"]) == best + 1 + 20 < 400
    assert fit.state.best_epoch == best + 1
    short = vae.train(net(hidden=(64,)), data[:60], epochs=best + 1, batch_size=20, learning_rate=0.02, seed=9)
    assert np.array_equal(fit.model.parameters, short.model.parameters)


def test_clipping_limits_the_norm(data):
    settings = {"epochs": 1, "batch_size": len(data), "optimizer": "sgd", "learning_rate": 1.0, "seed": 1}
    start = net(dtype="float64")
    free = vae.train(start, data, clip=1e9, **settings)
    norm = free.history["gradient_norm"][0]
    np.testing.assert_allclose(np.linalg.norm(free.model.parameters - start.parameters), norm, rtol=1e-12)
    clipped = vae.train(start, data, clip=norm / 3, **settings)
    np.testing.assert_allclose(np.linalg.norm(clipped.model.parameters - start.parameters), norm / 3, rtol=1e-12)


def test_warm_up_and_free_bits_weigh_the_divergence(data):
    warm = vae.train(net(), data, epochs=4, batch_size=100, warm_up=2, seed=1)
    np.testing.assert_allclose(warm.history["beta"], [0.5, 1.0, 1.0, 1.0])
    rich = vae.train(net(), data, epochs=30, batch_size=100, learning_rate=0.01, free_bits=1.5, seed=1)
    poor = vae.train(net(), data, epochs=30, batch_size=100, learning_rate=0.01, beta=20.0, seed=1)
    assert rich.history["kl"][-1] > 2 * 1.3
    assert poor.history["kl"][-1] < 0.1
    assert poor.history["active_units"][-1] == 0


def test_nothing_is_allocated_after_the_first_step(data):
    start = net(hidden=(1000,))
    vector, gradient = start.vector(), Vector(start.parameter_shapes, start.dtype)
    passes = Passes(start, vector, 120, 2)
    zeros = np.zeros(start.n_parameters, start.dtype)
    state = training.State(0, zeros, 0, (zeros, zeros), zeros, 0)
    climber = training._Climber(optim.adam(), vector, gradient, state, np.inf)
    stream = (rng.purpose.VAE_NOISE, *rng.split_seed(1))

    def step(k):
        training._look(passes, data, None, np.arange(120) + k, stream, k, 1.0, 0.0, False)
        climber.climb(passes, False, 1e-3)

    for k in range(3):
        step(k)
    tracemalloc.start()
    for k in range(3, 6):
        step(k)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000  # a batch of the hidden layer is 960 kB


X = np.zeros((10, 8))
AUTOENCODER = vae.Autoencoder(n_features=8, hidden=(4,), n_latent=2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": 0}, "learning_rate=0.0"),
        ({"final_learning_rate": -1}, "final_learning_rate=-1.0"),
        ({"optimizer": "lion"}, "optimizer='lion'"),
        ({"optimizer": "sgd", "momentum": 1.0}, "momentum=1.0"),
        ({"objective": "likelihood"}, "objective='likelihood'"),
        ({"n_draws": 0}, "n_draws=0"),
        ({"beta": -1}, "beta=-1.0 is negative"),
        ({"free_bits": -1}, "free_bits=-1.0 is negative"),
        ({"warm_up": -1}, "warm_up=-1"),
        ({"clip": 0}, "clip=0.0"),
        ({"patience": 3}, "needs validation rows"),
        ({"patience": 0, "validation": X}, "patience=0"),
        ({"objective": "importance", "beta": 2.0}, "no KL divergence of its own"),
        ({"condition": np.zeros((10, 1))}, "takes no condition"),
        ({"validation": X[:, :3]}, "validation has shape"),
        ({"seed": -1}, "seed=-1"),
        ({"resume": 3}, "resume is not a Fit"),
    ],
    ids=str,
)
def test_what_training_refuses(settings, words):
    with pytest.raises(InputError, match=words):
        vae.train(net(), X, **settings)


def test_an_autoencoder_draws_nothing(data):
    with pytest.raises(InputError, match="draws no latent variables"):
        vae.train(AUTOENCODER, X, n_draws=2)
    fit = vae.train(AUTOENCODER, data, epochs=2)
    assert fit.history["kl"].tolist() == [0, 0]
    assert fit.history["reconstruction"][1] > fit.history["reconstruction"][0]


def test_resuming_with_other_arguments_is_refused(data):
    fit = vae.train(net(), data, epochs=1)
    with pytest.raises(InputError, match="batch_size=60 differs from the batch_size=128"):
        vae.train(net(), data, epochs=2, batch_size=60, resume=fit)
    with pytest.raises(InputError, match="resume is not a Fit"):
        vae.train(net(hidden=(3,)), data, epochs=2, resume=fit)
    with pytest.raises(InputError, match="dtype=float32, and net has dtype=float64"):
        vae.train(net().astype(np.float64), data, epochs=2, resume=fit)
    with pytest.raises(InputError, match="and net has activation=softplus"):
        vae.train(net(activation="softplus"), data, epochs=2, resume=fit)


def test_a_sequence_of_learning_rates_is_kept_and_gone_on_with(data, tmp_path):
    settings = {"epochs": 2, "learning_rate": np.array([1e-3, 1e-4]), "seed": 3}
    fit = vae.train(net(), data[:24], **settings)
    kept = results.load(results.save(tmp_path / "fit.h5", fit))
    assert kept.settings["learning_rate"] == fit.settings["learning_rate"] == [1e-3, 1e-4]
    same(fit, vae.train(net(), data[:24], resume=kept, **settings))
