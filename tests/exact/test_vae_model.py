"""Gradients of whole models, and what encoder and decoder give."""

import numpy as np
import pytest
from scipy.special import expit

from mcgen import rng, vae
from mcgen.errors import InputError
from mcgen.vae import panels
from mcgen.vae.bound import Passes
from mcgen.vae.network import Vector

SMALL = {"n_features": 11, "hidden": (7, 5), "n_latent": 3, "dtype": "float64", "seed": 1}
IMAGE = vae.Convolution((4, 8, 2), filters=(3, 4), stride=2, padding="same")
TORUS = vae.Convolution((4, 4, 1), filters=(3,), stride=1, padding="periodic")
MODELS = {
    "bernoulli": (vae.VAE, SMALL | {"decoder": "bernoulli", "activation": "tanh"}),
    "spin": (vae.VAE, SMALL | {"decoder": "spin", "activation": "softplus"}),
    "gaussian": (vae.VAE, SMALL | {"decoder": "gaussian", "activation": "tanh"}),
    "one variance": (vae.VAE, SMALL | {"decoder": vae.Gaussian("scalar", 0.7), "activation": "sigmoid"}),
    "variances": (vae.VAE, SMALL | {"decoder": vae.Gaussian("feature", 0.7), "activation": "tanh"}),
    "conditional": (vae.ConditionalVAE, SMALL | {"decoder": "spin", "activation": "tanh", "n_conditions": 2}),
    "autoencoder": (vae.Autoencoder, SMALL | {"decoder": "gaussian", "activation": "tanh"}),
    "cross-entropy": (vae.Autoencoder, SMALL | {"decoder": "bernoulli", "activation": "tanh"}),
    "image": (vae.VAE, {"convolution": IMAGE, "hidden": (5,), "n_latent": 2, "dtype": "float64", "activation": "tanh"}),
    "torus": (
        vae.ConditionalVAE,
        {
            "convolution": TORUS,
            "hidden": (),
            "n_latent": 2,
            "dtype": "float64",
            "activation": "tanh",
            "decoder": "spin",
        },
    ),
}
CASES = [
    (name, objective, n_draws)
    for name in MODELS
    for objective, n_draws in (("elbo", 1), ("elbo", 3), ("importance", 4))
    if n_draws == 1 or MODELS[name][0] is not vae.Autoencoder
]


def made(name):
    kind, settings = MODELS[name]
    net = kind(**settings)
    return net.replace(net.parameters + 0.1 * np.random.default_rng(5).normal(size=net.n_parameters))


def data_for(net, n_rows=31):
    random = np.random.default_rng(6)
    x = {
        "bernoulli": random.integers(0, 2, (n_rows, net.n_features)),
        "spin": 2 * random.integers(0, 2, (n_rows, net.n_features)) - 1,
        "gaussian": random.normal(size=(n_rows, net.n_features)),
    }[net.decoder_kind.name]
    return x, random.normal(size=(n_rows, net.n_conditions)) if net.n_conditions else None


def bound(net, x, condition, objective, n_draws, beta=1.3, gradient=None):
    """The mean bound over the rows, with noise that is always the same."""
    passes = Passes(net, net.vector(), len(x) + 3, n_draws)
    passes.load(net.check_rows(x), net.check_condition(condition, len(x)), np.arange(len(x)))
    passes.encode()
    if isinstance(net, vae.Autoencoder):
        passes.use_code()
    else:
        passes.draw((rng.purpose.VAE_NOISE, *rng.split_seed(7)), 0)
    passes.decode(1.0 if objective == "importance" else 1 / (len(x) * n_draws))
    if objective == "importance":
        value = passes.importance_bounds().mean()
    else:
        value = passes.reconstruction().mean()
        if not isinstance(net, vae.Autoencoder):
            value -= beta * passes.sum_latent_kl().sum() / len(x)
            np.testing.assert_allclose(passes.sum_latent_kl().sum(), passes.row_kl().sum(), rtol=1e-12)
            passes.kl_weights[:] = beta / len(x)
    if gradient is not None:
        passes.backward(gradient, objective == "importance")
    return value


@pytest.mark.parametrize(("name", "objective", "n_draws"), CASES)
def test_gradients_against_central_differences(name, objective, n_draws):
    """The slope along random directions, by a five-point formula: relative error below 1e-7."""
    net = made(name)
    x, condition = data_for(net)
    gradient = Vector(net.parameter_shapes, net.dtype)
    bound(net, x, condition, objective, n_draws, gradient=gradient)
    packed = gradient.packed()
    random = np.random.default_rng(8)
    sizes = [array.size for array in gradient.arrays]
    starts = np.cumsum([0, *sizes])
    for start, size in zip(starts, sizes, strict=False):  # each array of parameters on its own
        direction = np.zeros(net.n_parameters)
        direction[start : start + size] = random.normal(size=size) / np.sqrt(size)
        h = 2e-3
        at = {
            k: bound(net.replace(net.parameters + k * h * direction), x, condition, objective, n_draws)
            for k in (-3, -2, -1, 1, 2, 3)
        }
        slope = (45 * (at[1] - at[-1]) - 9 * (at[2] - at[-2]) + (at[3] - at[-3])) / (60 * h)
        scale = max(abs(slope), np.linalg.norm(packed[start : start + size]) / np.sqrt(size))
        assert abs(packed @ direction - slope) < 1e-7 * scale, (name, start)


def test_a_gradient_that_is_one_percent_wrong_is_seen():
    net = made("spin")
    x, condition = data_for(net)
    gradient = Vector(net.parameter_shapes, net.dtype)
    bound(net, x, condition, "elbo", 1, gradient=gradient)
    right = gradient.packed()
    bound(net, x, condition, "elbo", 1, beta=1.3 * 1.01, gradient=gradient)
    assert np.linalg.norm(gradient.packed() - right) > 1e-5 * np.linalg.norm(right)


def test_a_small_vae_by_hand():
    """Reconstruction and KL of every step written out in NumPy."""
    net = vae.VAE(n_features=4, hidden=(3,), n_latent=2, seed=1, dtype="float64")
    x = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [0.3, 0.2, 0.9, 0.5]])
    passes = Passes(net, net.vector(), 3)
    passes.load(net.check_rows(x), None, np.arange(3))
    passes.encode()
    passes.draw((rng.purpose.VAE_NOISE, *rng.split_seed(1)), 5)
    passes.decode(1.0)
    layers = net.vector().views
    hidden = np.maximum(x @ layers[0]["weights"] + layers[0]["bias"], 0)
    head = hidden @ layers[2]["weights"] + layers[2]["bias"]
    mean, log_std = head[:, :2], head[:, 2:]
    noise = np.concatenate([rng.normals(1, rng.purpose.VAE_NOISE, 3, 2, step=5)])
    z = mean + np.exp(log_std) * noise
    hidden = np.maximum(z @ layers[3]["weights"] + layers[3]["bias"], 0)
    p = expit(hidden @ layers[5]["weights"] + layers[5]["bias"])
    np.testing.assert_allclose(
        passes.reconstruction(), (x * np.log(p) + (1 - x) * np.log1p(-p)).sum(axis=1), rtol=1e-12
    )
    kl = 0.5 * (mean**2 + np.exp(2 * log_std) - 1 - 2 * log_std).sum(axis=1)
    np.testing.assert_allclose(passes.row_kl(), kl, rtol=1e-12)
    np.testing.assert_allclose(net.encode(x)[0], mean, rtol=1e-12)
    np.testing.assert_allclose(net.decode(z), p, rtol=1e-12)
    np.testing.assert_allclose(passes.latent_means(), mean, rtol=1e-12)


@pytest.mark.parametrize("name", ["bernoulli", "image", "conditional", "torus"])
def test_results_do_not_depend_on_how_rows_are_batched(name):
    net = made(name)
    x, condition = data_for(net, 60)
    whole = net.encode(x, condition)[0]
    some = None if condition is None else condition[20:27]
    assert np.array_equal(net.encode(x[20:27], some)[0], whole[20:27])
    z = np.random.default_rng(9).normal(size=(60, net.n_latent))
    assert np.array_equal(net.decode(z[20:27], some), net.decode(z, condition)[20:27])


def test_conditions_reach_encoder_and_decoder():
    for name in ("conditional", "torus"):
        net = made(name)
        x, condition = data_for(net)
        other = condition.copy()
        other[3] += 1
        code = net.encode(x, condition)[0]
        for one, two in ((code, net.encode(x, other)[0]), (net.decode(code, condition), net.decode(code, other))):
            changed = (one != two).any(axis=1)
            assert changed[3]
            assert changed.sum() == 1


@pytest.mark.parametrize("name", ["conditional", "torus"])
def test_each_condition_has_its_place_in_training(name):
    # Several conditions, in the order of the model's own encode and decode: in training they come by another way.
    kind, settings = MODELS[name]
    net = kind(**settings | {"n_conditions": 3})
    net = net.replace(net.parameters + 0.3 * np.random.default_rng(5).normal(size=net.n_parameters))
    x, condition = data_for(net)
    passes = Passes(net, net.vector(), len(x), 2)
    passes.load(net.check_rows(x), net.check_condition(condition, len(x)), np.arange(len(x)))
    head = panels.to_rows(passes.encode(), len(x), 2 * net.n_latent)
    np.testing.assert_allclose(head, np.hstack(net.encode(x, condition)), rtol=1e-12)
    passes.draw((rng.purpose.VAE_NOISE, *rng.split_seed(7)), 0)
    n_panels = panels.n_panels(len(x), net.dtype)
    z = panels.to_rows(passes._arrays_of_z()[n_panels:], len(x), net.n_latent + 3)
    passes.decode(1.0)
    means = net.decode(z[:, : net.n_latent], condition)
    p = np.where(x == 1, 1 + means, 1 - means) / 2  # of spins
    expected = np.log(p).sum(axis=1)
    parts = passes._array("parts", 2)[n_panels:].sum(axis=1).ravel()[: len(x)]
    np.testing.assert_allclose(parts, expected, rtol=1e-9)


def test_conditions_are_shifted_and_scaled():
    settings = {"n_features": 6, "hidden": (4,), "n_latent": 2, "n_conditions": 1, "seed": 3, "dtype": "float64"}
    plain = vae.ConditionalVAE(**settings)
    scaled = vae.ConditionalVAE(**settings, condition_offset=2.0, condition_scale=0.5)
    z = np.ones((2, 2))
    np.testing.assert_allclose(scaled.decode(z, [2.3]), plain.decode(z, [0.6]), rtol=1e-12)


@pytest.mark.parametrize("name", ["bernoulli", "spin", "one variance"])
def test_draws_have_the_means_of_the_decoder(name):
    net = made(name)
    z = np.repeat(np.random.default_rng(10).normal(size=(1, 3)), 20_000, axis=0)
    draws = net.draw(z, seed=1).astype(np.float64)
    mean = net.decode(z[:1])[0]
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (abs(draws.mean(axis=0) - mean) < 4.5 * error).all()
    assert not (abs(1.05 * draws.mean(axis=0) - mean) < 4.5 * error).all()
    values = {"bernoulli": {0, 1}, "spin": {-1, 1}}.get(name)
    assert values is None or set(np.unique(draws)) == values


def test_samples_come_from_the_prior():
    """A decoder that is a shifted identity: draws are Gaussian with known mean and covariance."""
    net = vae.VAE(n_features=2, hidden=(), n_latent=2, decoder=vae.Gaussian("fixed", 0.5), dtype="float64", seed=1)
    vector = net.vector()
    decoder = net.parts(vector)[1]
    decoder[0]["weights"][:], decoder[0]["bias"][:] = [[2.0, 0.0], [1.0, 1.0]], [3.0, -1.0]
    x = net.replace(vector.packed()).sample(50_000, seed=2)
    covariance = np.array([[5.25, 1.0], [1.0, 1.25]])
    assert (abs(x.mean(axis=0) - [3, -1]) < 4.5 * np.sqrt(np.diag(covariance) / len(x))).all()
    error = np.sqrt((covariance**2 + np.outer(np.diag(covariance), np.diag(covariance))) / len(x))
    assert (abs(np.cov(x.T) - covariance) < 4.5 * error).all()


def test_the_keras_preset_has_its_parameters():
    net = vae.VAE(hidden=(16,), n_latent=2, convolution=vae.Convolution((28, 28, 1), (32, 64)))
    assert (net.encoder.n_parameters, net.decoder.n_parameters) == (69_076, 65_089)


def test_models_are_values():
    net = made("variances")
    assert net.astype("float32").dtype == np.float32
    assert net.astype("float64") is net
    with pytest.raises(ValueError, match="read-only"):
        net.parameters[0] = 1
    other = net.replace(net.parameters * 2)
    np.testing.assert_allclose(other.decoder_parameters["log_std"], 2 * net.decoder_parameters["log_std"])
    assert "n_features=11" in repr(net)


X = np.zeros((3, 6))
NET = vae.VAE(n_features=6, hidden=(4,), n_latent=2)
CONDITIONAL = vae.ConditionalVAE(n_features=6, hidden=(4,), n_latent=2, n_conditions=2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: NET.encode(X[:, :5]), r"shape \(3, 5\); its shape must be \(any, 6\)"),
        (lambda: NET.encode(X[:0]), "no rows"),
        (lambda: NET.encode(X + np.nan), "NaN or infinite"),
        (lambda: NET.encode(X - 0.5), "value -0.5 at index"),
        (lambda: NET.encode(X + 2), "from 0 to 1"),
        (lambda: vae.VAE(n_features=6, decoder="spin").encode(X), "spin units have the states -1 and 1"),
        (lambda: NET.encode(X, np.zeros((3, 1))), "takes no condition"),
        (lambda: CONDITIONAL.encode(X), "condition is missing"),
        (lambda: CONDITIONAL.encode(X, np.zeros((3, 3))), r"its shape must be \(3, 2\)"),
        (lambda: NET.decode(np.zeros((3, 3))), r"its shape must be \(any, 2\)"),
        (lambda: NET.sample(0), "n_draws=0"),
        (lambda: NET.replace(np.zeros(5)), "its shape must be"),
        (lambda: NET.replace(NET.parameters + np.inf), "NaN or infinite"),
        (lambda: vae.VAE(hidden=(4,)), "n_features is missing"),
        (lambda: vae.VAE(n_features=5, convolution=vae.Convolution()), "leave out n_features"),
        (lambda: vae.VAE(n_features=5, decoder="poisson"), "decoder='poisson' is unknown"),
        (lambda: vae.VAE(n_features=5, dtype="int8"), "float32 or float64"),
        (lambda: vae.VAE(n_features=5, dtype="double precision"), "dtype=double precision is not a precision"),
        (lambda: NET.replace(np.zeros(NET.n_parameters, int)), "dtype=int64 is not a precision"),
        (lambda: NET.astype("float16"), "dtype=float16 is not a precision"),
        (lambda: vae.VAE(n_features=5, decoder="gaussian").encode(np.full((1, 5), 1e39)), "value 1e.39, beyond .*32"),
        (lambda: vae.VAE(n_features=5, hidden=(0,)), "hidden=0"),
        (lambda: vae.VAE(n_features=5, hidden=64), "hidden=64 is not a sequence"),
        (lambda: vae.Convolution(filters=32), "filters=32 is not a sequence"),
        (lambda: vae.Gaussian("learned"), "variance='learned' is unknown"),
        (lambda: vae.Gaussian(std=0), "std=0.0 is not positive"),
        (lambda: vae.Convolution((28, 28)), "give .height, width, channels"),
        (lambda: vae.Convolution((30, 28, 1)), "multiples of 4"),
        (lambda: vae.Convolution(filters=()), "filters is empty"),
        (lambda: vae.ConditionalVAE(n_features=5, condition_scale=0.0), "not positive"),
        (lambda: vae.ConditionalVAE(n_features=5, n_conditions=3, condition_offset=[1, 2]), "has 2 numbers"),
        (lambda: vae.one_hot([0, 3], 3), "from 0 to 2"),
    ],
)
def test_what_models_refuse(call, words):
    with pytest.raises(InputError, match=words):
        call()
