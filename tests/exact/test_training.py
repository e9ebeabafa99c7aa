import numpy as np
import pytest

from mcgen import enumeration, ising, optim, rbm, rng
from mcgen.errors import DivergenceError, InputError
from mcgen.rbm.sampling import Chains


@pytest.fixture(scope="module")
def data():
    lattice = ising.Ising((2, 3), periodic=False)
    run = ising.sample(lattice, temperature=2.0, n_chains=1000, n_draws=2, thin=20, burn_in=100, seed=1)
    return run.states.reshape(-1, 6), ising.exact.probabilities(lattice, 2.0)


@pytest.mark.filterwarnings("ignore:log Z is lost:mcgen.errors.StatisticsWarning")
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("negative_phase", ["exact", "cd", "pcd"])
@pytest.mark.parametrize("units", ["spin", "bernoulli"])
def test_training_approaches_the_truth(data, negative_phase, optimizer, units):
    v, truth = data
    v = v if units == "spin" else (v + 1) // 2
    start = rbm.RBM.random(6, 6, seed=2, scale=0.1, visible=units, hidden=units)
    # Units 0/1 are badly conditioned on data that are symmetric under a spin flip, and take longer.
    rate = {"adam": 0.02, "sgd": 0.2}[optimizer] * (1 if units == "spin" else 3)
    trained = rbm.train(
        start, v, negative_phase=negative_phase, epochs=40 if units == "spin" else 150, batch_size=100,
        learning_rate=rate, final_learning_rate=rate / 20, optimizer=optimizer, truth=truth, seed=3, validation=v[:100],
    )  # fmt: skip
    history = trained.history
    assert history["kl_divergence"][-1] < 0.03
    assert rbm.exact.kl_divergence(truth, start) > 0.3
    assert history["kl_divergence"][-1] == pytest.approx(rbm.exact.kl_divergence(truth, trained.model))
    assert history["log_likelihood"][-1] == pytest.approx(rbm.exact.log_likelihood(trained.model, v))
    assert history["log_partition"][-1] == pytest.approx(rbm.exact.log_partition(trained.model))
    assert np.isfinite(history["kl_divergence"]).sum() == 10
    for name in ("reconstruction_error", "free_energy_gap", "validation_gap"):
        assert np.isfinite(history[name]).all()
    image = trained.model.visible_mean(trained.model.hidden_mean(v))
    seen = slice(None, None, 2)  # of 2000 rows at most 1024 are looked at
    assert history["reconstruction_error"][-1] == pytest.approx(np.mean((v - image)[seen] ** 2))
    of_data = trained.model.free_energy(v[seen]).mean()
    gap = trained.model.free_energy(v[:100]).mean() - of_data
    assert history["validation_gap"][-1] == pytest.approx(gap)
    gap = of_data - trained.model.free_energy(trained.chains).mean()
    assert history["free_energy_gap"][-1] == pytest.approx(gap)


def test_the_exact_fit_is_a_maximum_of_the_likelihood(data):
    v, _ = data
    trained = rbm.train(
        rbm.RBM.random(6, 2, seed=2, scale=0.1, visible="spin", hidden="spin"), v, negative_phase="exact", epochs=600,
        batch_size=len(v), learning_rate=0.05, final_learning_rate=0.001, evaluate_every=600,
    )  # fmt: skip
    gradient = rbm.exact.gradient(trained.model, v)
    assert max(np.abs(part).max() for part in gradient) < 1e-3


def test_kl_without_truth_refers_to_the_data(data):
    v, _ = data
    start = rbm.RBM.random(6, 3, seed=2, visible="spin", hidden="spin")
    trained = rbm.train(start, v, epochs=2, seed=1)
    of_data = enumeration.empirical_distribution(v)
    assert trained.history["kl_divergence"][-1] == pytest.approx(rbm.exact.kl_divergence(of_data, trained.model))


def test_one_epoch_of_exact_sgd_by_hand(data):
    v, _ = data
    start = rbm.RBM.random(6, 3, seed=2, scale=0.5, visible="spin", hidden="spin")
    trained = rbm.train(
        start, v, negative_phase="exact", epochs=1, batch_size=len(v), learning_rate=0.3, optimizer="sgd", momentum=0.0
    )
    for new, old, slope in zip(trained.model.parameters, start.parameters, rbm.exact.gradient(start, v), strict=True):
        assert np.allclose(new, old + 0.3 * slope, rtol=1e-12)


@pytest.mark.parametrize("negative_phase", ["cd", "pcd"])
def test_contrastive_divergence_by_hand(data, negative_phase):
    # CD starts the chains at the rows of each batch, PCD carries them on; the random stream goes on in both.
    v = data[0][:90].astype(float)
    model = rbm.RBM.random(6, 3, seed=2, scale=0.5, visible="spin", hidden="spin")
    trained = rbm.train(
        model, v, negative_phase=negative_phase, gibbs_steps=2, n_chains=40, epochs=2, batch_size=30, learning_rate=0.3,
        optimizer="sgd", momentum=0.0, seed=5,
    )  # fmt: skip
    rows = rng.permutation(5, rng.purpose.TRAINING_CHAINS, 90)[:40]
    chains = Chains(v[rows], rng.derive(5, 0))
    for epoch in range(2):
        order = rng.permutation(5, rng.purpose.TRAINING_ORDER, 90, step=epoch)
        for batch in v[order].reshape(3, 30, 6):
            if negative_phase == "cd":
                chains.visible = batch.astype(np.int8)
            chains.advance(model, 2)
            slope = rbm.positive_phase(model, batch).minus(rbm.negative_phase(model, chains.visible))
            model = model.replace(*(old + 0.3 * g for old, g in zip(model.parameters, slope, strict=True)))
    for got, wanted in zip(trained.model.parameters, model.parameters, strict=True):
        assert np.allclose(got, wanted, rtol=1e-12)
    assert (trained.chains == chains.visible).all()


def test_every_row_is_used_once_in_an_epoch(data, monkeypatch):
    v, _ = data
    from mcgen.rbm.training import loop

    rows = []
    original = loop.phase_of_rows
    monkeypatch.setattr(loop, "phase_of_rows", lambda model, v, *rest: (rows.append(v), original(model, v, *rest))[1])
    rbm.train(rbm.RBM.random(6, 3, seed=2, visible="spin"), v[:1003], negative_phase="exact", epochs=1, batch_size=100)
    sizes = [len(batch) for batch in rows]
    assert sum(sizes) == 1003
    assert max(sizes) - min(sizes) <= 1
    assert sorted(map(tuple, np.concatenate(rows))) == sorted(map(tuple, v[:1003].astype(float)))


def test_float32_models_train_in_float32(data):
    v, _ = data
    start = rbm.RBM.random(6, 3, seed=2, visible="spin", dtype=np.float32)
    trained = rbm.train(start, v, epochs=2)
    assert trained.model.dtype == np.float32
    assert trained.history["free_energy_gap"].dtype == np.float64


def test_ctrl_c_returns_what_is_there(data, monkeypatch):
    v, _ = data
    from mcgen.rbm.training import loop

    calls = []

    def interrupted_later(*arguments):
        calls.append(1)
        if len(calls) > 50:
            raise KeyboardInterrupt
        return original(*arguments)

    original = loop.difference_of_phases
    monkeypatch.setattr(loop, "difference_of_phases", interrupted_later)
    trained = rbm.train(rbm.RBM.random(6, 3, seed=2, visible="spin"), v, epochs=9, batch_size=100)
    assert trained.interrupted
    assert trained.history["epoch"].tolist() == [1, 2]


def test_ctrl_c_in_the_first_epoch_has_nothing_to_return(data, monkeypatch):
    from mcgen.rbm.training import loop

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "difference_of_phases", interrupt)
    with pytest.raises(KeyboardInterrupt):
        rbm.train(rbm.RBM.random(6, 3, seed=2, visible="spin"), data[0], epochs=9)


def test_divergence_is_an_error_that_names_the_learning_rate(data):
    v, _ = data
    with pytest.raises(InputError, match=r"diverged in epoch .* smaller learning rate"):
        rbm.train(rbm.RBM.random(6, 3, seed=2, visible="spin"), v, optimizer="sgd", learning_rate=1e308, epochs=5)


def test_divergence_leaves_the_last_good_epoch(data):
    v, _ = data
    start = rbm.RBM.random(6, 3, seed=2, visible="spin")
    good = rbm.train(start, v, optimizer="sgd", learning_rate=[0.01, 0.01], epochs=2)
    with pytest.raises(DivergenceError, match="diverged in epoch 3") as caught:
        rbm.train(start, v, optimizer="sgd", learning_rate=[0.01, 0.01, 1e308, 0.01], epochs=4)
    assert caught.value.last_good.history["epoch"].tolist() == [1, 2]
    assert (caught.value.last_good.model.weights == good.model.weights).all()
    with pytest.raises(DivergenceError, match="diverged in epoch 1") as caught:
        rbm.train(start, v, optimizer="sgd", learning_rate=1e308, epochs=5)
    assert caught.value.last_good is None


def test_joined_histories(data):
    v, _ = data
    first = rbm.train(rbm.RBM.random(6, 3, seed=2, visible="spin"), v, epochs=3)
    second = rbm.train(first.model, v, negative_phase="exact", epochs=2)
    both = rbm.join(first, second)
    assert both.history["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert both.model is second.model
    assert both.settings["first_stage"]["negative_phase"] == "cd"


def test_adam_against_the_paper():
    rate, mean_decay, square_decay, epsilon = 0.1, 0.9, 0.999, 1e-8
    optimizer = optim.adam()
    parameters = (np.array([1.0, -2.0]),)
    state = optimizer.start(parameters)
    x, m, s = parameters[0].copy(), np.zeros(2), np.zeros(2)
    for t in range(1, 6):
        gradient = np.array([np.sin(t), 10.0 * t])
        parameters, state = optimizer.step(parameters, (gradient,), state, rate)
        m = mean_decay * m + (1 - mean_decay) * gradient
        s = square_decay * s + (1 - square_decay) * gradient**2
        x += rate * (m / (1 - mean_decay**t)) / (np.sqrt(s / (1 - square_decay**t)) + epsilon)
        assert np.allclose(parameters[0], x, rtol=1e-13)


def test_momentum_by_hand():
    optimizer = optim.sgd(momentum=0.9)
    parameters, state = (np.array([0.0]),), (np.array([0.0]),)
    for expected in (0.1, 0.29, 0.561):
        parameters, state = optimizer.step(parameters, (np.array([1.0]),), state, 0.1)
        assert parameters[0][0] == pytest.approx(expected)


def test_truth_lists_the_states_of_the_visible_units():
    random = np.random.default_rng(0)
    model = rbm.RBM(random.normal(size=(3 * 3, 2)), np.zeros(9), np.zeros(2), rbm.Potts(3), "bernoulli")
    v = np.eye(3)[random.integers(0, 3, (40, 3))].reshape(40, 9)
    truth = random.dirichlet(np.ones(27))
    trained = rbm.train(model, v, negative_phase="exact", epochs=1, truth=truth, seed=1)
    expected = rbm.exact.kl_divergence(truth, trained.model)
    np.testing.assert_allclose(trained.history["kl_divergence"][-1], expected, rtol=1e-12)
    with pytest.raises(InputError, match="27"):
        rbm.train(model, v, epochs=1, truth=truth[:-1], seed=1)
    continuous = rbm.RBM(np.ones((3, 2)), np.zeros(3), np.zeros(2), rbm.Gaussian(0.0, 1.0), "bernoulli")
    with pytest.raises(InputError, match="gaussian units do not have"):
        rbm.train(continuous, random.normal(size=(40, 3)), epochs=1, truth=truth, seed=1)
