"""Files of autoencoders: what is written is what is read, bit for bit, and damaged files say so."""

import dataclasses

import h5py
import numpy as np
import pytest

from mcgen import ising, observables, rbm, results, vae
from mcgen.errors import FileError, InputError
from mcgen.results import Study

SPINS = np.where(np.random.default_rng(0).random((60, 64)) < 0.4, 1, -1).astype(np.int8)
CONDITION = np.linspace(1.0, 3.0, 60)[:, None]
MODELS = {
    "spin": vae.VAE(64, (9, 7), 2, "spin", "tanh", seed=1),
    "bernoulli": vae.VAE(64, (), 3, "bernoulli", seed=2, dtype="float64"),
    "conditional": vae.ConditionalVAE(64, 1, (8,), 2, "spin", condition_offset=2.1, condition_scale=0.7, seed=3),
    "convolutional": vae.VAE(
        hidden=(8,), n_latent=2, decoder="spin", convolution=vae.Convolution((8, 8, 1), (2, 3), padding="periodic")
    ),
    "gaussian": vae.Autoencoder(64, (6,), 2, vae.Gaussian("feature", 0.5), "softplus", seed=4),
    "scalar": vae.VAE(64, (6,), 2, vae.Gaussian("scalar", 0.25), seed=5),
}


def fitted(net, epochs=2, x=SPINS, **settings):
    if net.n_conditions:
        settings |= {"condition": CONDITION}
    if net.decoder_kind.name == "bernoulli":
        x = (x + 1) // 2
    return vae.train(net, x, epochs=epochs, **({"batch_size": 16, "seed": 7} | settings))


def same_model(one, other):
    return repr(one) == repr(other) and one.parameters.tobytes() == other.parameters.tobytes()


def same_fit(one, other):
    return (
        same_model(one.model, other.model)
        and one.settings == other.settings
        and one.interrupted == other.interrupted
        and list(one.history) == list(other.history)
        and all(np.array_equal(one.history[name], other.history[name], equal_nan=True) for name in one.history)
        and all(np.array_equal(a, b) for a, b in zip(one.state, other.state, strict=True))
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_to_the_bit(name, tmp_path):
    net = fitted(MODELS[name], 1).model
    again = results.load(results.save(tmp_path / "model.h5", net))
    assert type(again) is type(net)
    assert same_model(net, again)
    x = (SPINS + 1) // 2 if name == "bernoulli" else SPINS
    condition = (CONDITION,) if net.n_conditions else ()
    for one, other in zip(
        np.atleast_3d(net.encode(x, *condition)), np.atleast_3d(again.encode(x, *condition)), strict=True
    ):
        assert np.array_equal(one, other)
    z = np.random.default_rng(1).normal(size=(60, net.n_latent))
    assert np.array_equal(net.decode(z, *condition), again.decode(z, *condition))
    if net.n_conditions:
        assert (again.condition_offset.tolist(), again.condition_scale.tolist()) == ([2.1], [0.7])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_training_goes_on_to_the_same_bits(name, optimizer, tmp_path):
    settings = {"optimizer": optimizer, "learning_rate": 1e-3, "clip": 5.0}
    fits = [fitted(MODELS[name], seed=seed, **settings) for seed in (7, 8)]
    loaded = results.load(results.save(tmp_path / "fit.h5", fits))
    assert [same_fit(one, other) for one, other in zip(fits, loaded, strict=True)] == [True, True]
    straight = fitted(MODELS[name], 4, seed=8, **settings)
    assert same_fit(fitted(MODELS[name], 4, seed=8, resume=loaded[1], **settings), straight)
    assert not same_model(straight.model, fits[1].model)


def test_the_best_model_is_kept_beside_the_last(tmp_path):
    settings = {"validation": SPINS[:20], "patience": 2, "learning_rate": 0.05}
    fit = fitted(MODELS["spin"], 12, x=SPINS[20:], **settings)
    assert fit.state.best_epoch < fit.state.epoch
    loaded = results.load(results.save(tmp_path / "fit.h5", fit))
    assert same_fit(fit, loaded)
    assert loaded.model.parameters.tobytes() == fit.state.best_parameters.tobytes() != fit.state.parameters.tobytes()


def test_a_training_that_ended_early_lies_beside_a_longer_one(tmp_path):
    fits = [fitted(MODELS["spin"], 3), dataclasses.replace(fitted(MODELS["spin"], 1), interrupted=True)]
    study = Study((1.5, 2.5), models=tuple(one.model for one in fits), trained=tuple(fits))
    again = results.load_study(results.save(tmp_path / "fits.h5", study))
    assert again.temperatures == (1.5, 2.5)
    assert all(map(same_fit, fits, again.trained))
    assert again.trained[1].interrupted


def test_numbers_of_numpy_among_the_settings_stay_numbers(tmp_path):
    fit = fitted(MODELS["spin"], 1, seed=np.int64(7), beta=np.float32(0.5))
    loaded = results.load(results.save(tmp_path / "fit.h5", fit))
    assert (loaded.settings["seed"], loaded.settings["beta"]) == (7, 0.5)
    assert len(fitted(MODELS["spin"], 2, beta=0.5, resume=loaded).history["epoch"]) == 2


def test_parameters_have_names_and_scales(tmp_path):
    fit = fitted(MODELS["spin"], 1)
    results.save(tmp_path / "fit.h5", Study((1.0, 2.0), models=(fit.model,) * 2, trained=(fit,) * 2))
    with h5py.File(tmp_path / "fit.h5") as file:
        group = file["model"]
        attributes = {name: np.asarray(value).tolist() for name, value in group.attrs.items()}
        assert attributes == {
            "kind": "vae", "dtype": "float32", "activation": "tanh", "n_features": 64, "n_latent": 2, "hidden": [9, 7],
            "decoder": "spin",
        }  # fmt: skip
        assert group["encoder_0_weights"].shape == (2, 64, 9)
        assert group["decoder_2_bias"].shape == (2, 9)
        vector = fit.model.vector()
        assert np.array_equal(group["encoder_2_weights"][1], vector.views[2]["weights"])
        assert np.array_equal(group["decoder_4_bias"][0], vector.views[9]["bias"])
        for part in ("model", "training", "checkpoint"):
            for dataset in file[part].values():
                if not dataset.is_scale:
                    assert all(len(dimension) == 1 for dimension in dataset.dims)
        scales = [dimension.keys()[0] for dimension in group["encoder_0_weights"].dims]
        assert scales == ["temperature", "encoder_0_input", "encoder_0_output"]
        assert group["temperature"][()].tolist() == [1.0, 2.0]


def test_a_conditional_model_has_its_temperatures(tmp_path):
    fit = fitted(MODELS["conditional"], 1)
    study = Study((1.0, 2.0, 3.0), models=(fit.model,), trained=(fit,))
    again = results.load_study(results.save(tmp_path / "fit.h5", study))
    assert again.temperatures == (1.0, 2.0, 3.0)
    assert same_fit(again.trained[0], fit)
    assert len(again.models) == 1


def test_draws_are_rows_and_samples(tmp_path):
    lattice = ising.Ising((8, 8))
    runs = tuple(results.Draws(MODELS["spin"].sample(50, seed=seed)[None], seed, t) for seed, t in ((1, 2.0), (2, 3.0)))
    results.save(tmp_path / "draws.h5", Study((2.0, 3.0), lattice, samples=runs))
    again = results.load(tmp_path / "draws.h5")
    for one, other in zip(runs, again, strict=True):
        assert np.array_equal(one.states, other.states)
        assert (one.seed, one.temperature) == (other.seed, other.temperature)
        assert observables.summary(one, lattice, 2.0) == observables.summary(other, lattice, 2.0)
    tables = results.load_rows(tmp_path / "draws.h5")
    assert [table[0] for table in tables] == [2.0, 3.0]
    assert np.array_equal(tables[1][1], runs[1].states[0])
    with h5py.File(tmp_path / "draws.h5") as file:
        assert file["samples/states"].shape == (2, 1, 50, 64)
        assert np.array_equal(file["samples/magnetization"][1, 0], runs[1].states[0].sum(axis=1))
    single = results.Draws(np.float32([[[0.25, 1.5]]]), 3)
    again = results.load(results.save(tmp_path / "single.h5", single))
    assert again.temperature is None
    assert again.states.dtype == np.float32
    assert np.array_equal(again.states, single.states)


def test_models_of_one_file_are_alike(tmp_path):
    for other, words in (("bernoulli", "dtype"), ("gaussian", "kind")):
        with pytest.raises(InputError, match=f"models 0 and 1 differ in {words}"):
            results.save(tmp_path / "model.h5", [MODELS["spin"], MODELS[other]])
    with pytest.raises(InputError, match="trainings 0 and 1 differ in optimizer"):
        results.save(tmp_path / "fit.h5", [fitted(MODELS["spin"], 1, optimizer=one) for one in ("adam", "sgd")])
    with pytest.raises(InputError, match="a model of the class Own cannot be saved; give one of Autoencoder, VAE"):
        results.save(tmp_path / "model.h5", type("Own", (vae.VAE,), {})(n_features=4, hidden=(2,), n_latent=1))
    with pytest.raises(InputError, match="cannot be saved"):
        results.save(tmp_path / "model.h5", [MODELS["spin"], rbm.RBM.random(64, 2, seed=1)])


def _replaced(name, change):
    def damage(file):
        data = change(file[name][()])
        del file[name]
        file[name] = data

    return damage


def _attribute(name, value):
    return lambda file: file["model"].attrs.__setitem__(name, value)


def _nan(array):
    array[0] = np.nan
    return array


DAMAGES = {
    "shape": (
        _replaced("model/encoder_0_weights", lambda a: a[1:]),
        r"encoder_0_weights is float32 of shape \(63, 9\)",
    ),
    "dtype": (_replaced("model/decoder_2_bias", lambda a: a.astype(np.float64)), "decoder_2_bias is float64"),
    "missing": (lambda file: file["model"].__delitem__("decoder_0_bias"), "decoder_0_bias"),
    "nan": (_replaced("model/encoder_0_bias", _nan), "NaN"),
    "features": (_attribute("n_features", 10**15), "n_features is 1000000000000000, and the group holds"),
    "fewer features": (_attribute("n_features", 60), "encoder_0_weights"),
    "hidden": (_attribute("hidden", np.array([9, 8])), "encoder_2_weights"),
    "activation": (_attribute("activation", "cubic"), "cubic"),
    "kind": (_attribute("kind", "gan"), "gan"),
    "decoder": (_attribute("decoder", "poisson"), "poisson"),
    "checkpoint": (_replaced("checkpoint/moment_1", lambda a: a[:-1]), "moment_1 has shape"),
    "no checkpoint": (lambda file: file.__delitem__("checkpoint"), "checkpoint"),
    "epochs": (_replaced("checkpoint/epoch", lambda a: a + 1), "has not the 3 epochs"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_refused_in_one_line(name, tmp_path):
    damage, words = DAMAGES[name]
    path = results.save(tmp_path / "fit.h5", fitted(MODELS["spin"]))
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(FileError, match=words) as caught:
        results.load(path)
    assert "\n" not in str(caught.value)
    assert "cannot be read" in str(caught.value)
