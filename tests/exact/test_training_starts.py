"""Starts of training against closed forms: means of independent units, couplings in mean field, probabilistic PCA."""

import numpy as np
import pytest

from mcgen import ising, rbm
from mcgen.errors import InputError
from mcgen.rbm.training.starts import low_rank_start, start_from_data

TC = 2.269185


def rows_of(kind, n_rows=300, seed=2):
    """Rows of six correlated entries with unequal means."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n_rows, 6)) + random.normal(size=(n_rows, 1)) + np.linspace(-1, 1, 6)
    if kind == "potts":
        return np.eye(3)[np.digitize(x[:, :2], (-0.5, 0.5))].reshape(n_rows, 6)
    return {"bernoulli": x > 0, "spin": np.where(x > 0, 1, -1), "gaussian": x, "relu": np.maximum(x, 0)}[kind] * 1.0


VISIBLE = {
    "bernoulli": "bernoulli",
    "spin": "spin",
    "potts": rbm.Potts(3),
    "gaussian": rbm.Gaussian(0.2, np.linspace(0.5, 2, 6)),
    "relu": rbm.ReLU(0.1, 0.8),
}
MEAN_IN_NO_FIELD = {"bernoulli": 0.5, "spin": 0.0, "potts": 1 / 3, "gaussian": 0.2}


@pytest.mark.parametrize("kind", VISIBLE)
def test_independent_units_get_the_means_of_the_data_and_one_more_row(kind):
    v = rows_of(kind)
    v[:, 0] = v[0, 0]
    if kind == "potts":
        v[:, :3] = v[0, :3]
    weights = np.arange(len(v)) % 4
    model = rbm.RBM(np.zeros((6, 2)), np.ones(6), np.ones(2), VISIBLE[kind])
    free = MEAN_IN_NO_FIELD.get(kind, model.visible.mean(np.zeros(6)))
    for row_weights in (None, weights):
        w = np.ones(len(v)) if row_weights is None else row_weights
        n = w.sum() ** 2 / (w**2).sum()
        want = (n * (w @ v) / w.sum() + free) / (n + 1)
        start = start_from_data(model, v, row_weights)
        assert np.allclose(start.visible_mean(np.zeros(2)), want, rtol=1e-9)
        assert (start.hidden_bias == 0).all()


HIDDEN = {
    "bernoulli": ("bernoulli", np.diag([0.25] * 6)),
    "spin": ("spin", np.eye(6)),
    "gaussian": (rbm.Gaussian(0.3, np.linspace(0.5, 2, 6)), np.diag(np.linspace(0.5, 2, 6))),
    "potts": (rbm.Potts(3), np.kron(np.eye(2), np.eye(3) / 3 - 1 / 9)),
}


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("visible", ["bernoulli", "spin", "potts"])
def test_couplings_to_second_order_are_the_patterns_of_mean_field(visible, hidden):
    v = rows_of(visible)
    kind, variance = HIDDEN[hidden]
    start = low_rank_start(rbm.RBM(np.zeros((6, 6)), np.zeros(6), np.zeros(6), VISIBLE[visible], kind), v, rank=1)
    got = start.weights @ variance @ start.weights.T
    means = (v.sum(axis=0) + MEAN_IN_NO_FIELD[visible]) / (len(v) + 1)
    covariance = (v - means).T @ (v - means) / len(v)
    own = {"bernoulli": np.diag(means * (1 - means)), "spin": np.diag(1 - means**2)}.get(visible)
    if visible == "potts":
        own = (np.diag(means) - np.outer(means, means)) * np.kron(np.eye(2), np.ones((3, 3)))
    # The generalised eigenproblem C y = lambda D y where D is not singular: J = (1 - 1/lambda) y y^T, y^T D y = 1.
    there = np.arange(6) % 3 < 2 if visible == "potts" else np.ones(6, bool)
    values, vectors = np.linalg.eig(np.linalg.solve(own[np.ix_(there, there)], covariance[np.ix_(there, there)]))
    best = np.argmax(values.real)
    y = np.zeros(6)
    y[there] = vectors[:, best].real
    y /= np.sqrt(y @ own @ y)
    want = (1 - 1 / values[best].real) * np.outer(y, y)
    if visible == "potts":  # fields that are the same for all states of a unit have no effect
        out = np.eye(6) - np.kron(np.eye(2), np.ones((3, 3)) / 3)
        got, want = out @ got @ out, out @ want @ out
    assert np.allclose(got, want, rtol=1e-8, atol=1e-10)


def test_two_gaussian_layers_become_probabilistic_principal_components():
    # Tipping & Bishop, J. R. Stat. Soc. B 61, 611 (1999), with the noise given: exact, also in the means.
    variances = np.linspace(0.5, 2, 6)
    model = rbm.RBM(np.zeros((6, 4)), np.zeros(6), np.zeros(4), rbm.Gaussian(0.2, variances), rbm.Gaussian(0.7, 1.3))
    v = rows_of("gaussian")
    mean, covariance = rbm.exact.visible_moments(low_rank_start(model, v))
    means = (v.sum(axis=0) + 0.2) / (len(v) + 1)
    scaled = (v - means).T @ (v - means) / len(v) / np.sqrt(np.outer(variances, variances))
    values, vectors = np.linalg.eigh(scaled)
    values[values < (1 + np.sqrt(6 / len(v))) ** 2] = 1.0
    assert 1 <= np.count_nonzero(values != 1.0) <= 4
    assert np.allclose(mean, means, atol=1e-10)
    want = (vectors * values) @ vectors.T * np.sqrt(np.outer(variances, variances))
    assert np.allclose(covariance, want, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("visible", ["bernoulli", "spin", "potts"])
@pytest.mark.parametrize("hidden", ["bernoulli", "relu"])
def test_the_means_stay_right(visible, hidden):
    v = rows_of(visible, 20_000)
    start = low_rank_start(rbm.RBM(np.zeros((6, 16)), np.zeros(6), np.zeros(16), VISIBLE[visible], hidden), v)
    means = rbm.exact.probabilities(start) @ start.visible.list_states(6, 0, start.visible.n_states(6))
    spread = v.std(axis=0)
    # Without the correction for the coupling of a unit to itself the means are wrong by 0.09 to 0.12.
    assert np.abs(means - v.mean(axis=0)).max() < 0.05 * spread.max()


@pytest.fixture(scope="module")
def critical():
    lattice = ising.Ising(shape=(3, 3))
    v = ising.exact.sample(lattice, TC, n_draws=4000, seed=1).reshape(-1, 9)
    return v, ising.exact.probabilities(lattice, TC)


def test_critical_ising_rows_are_far_more_probable_from_the_start_and_learnt_sooner(critical):
    v, truth = critical
    model = rbm.RBM.random(9, 9, seed=3, scale=0.1, visible="spin", hidden="spin")
    entropy = -np.sum(truth[truth > 0] * np.log(truth[truth > 0]))
    epochs = {}
    for name, start in {"random": start_from_data(model, v), "low rank": low_rank_start(model, v)}.items():
        trained = rbm.train(
            start, v, "exact", epochs=30, batch_size=400, learning_rate=0.01, truth=truth, evaluate_every=1, seed=4
        )
        epochs[name] = np.argmax(trained.history["kl_divergence"] < 0.1)
        assert trained.history["kl_divergence"].min() < 0.1
    low_rank, plain = (rbm.exact.kl_divergence(truth, f(model, v)) for f in (low_rank_start, start_from_data))
    assert plain > 0.5 * (9 * np.log(2) - entropy)
    assert low_rank < 0.5 * plain
    assert epochs["low rank"] < 0.7 * epochs["random"]


@pytest.mark.parametrize(("n_filters", "hidden"), [(1, "spin"), (3, "bernoulli"), (1, "relu")])
def test_a_tied_model_gets_the_couplings_of_all_moved_and_flipped_rows(critical, n_filters, hidden):
    v, truth = critical
    tied = low_rank_start(rbm.RBM.symmetric((3, 3), n_filters, 1, 0.0, True, "spin", hidden), v)
    grid = v.reshape(-1, 3, 3)
    moved = np.concatenate([np.roll(grid, (a, b), axis=(1, 2)) for a in range(3) for b in range(3)]).reshape(-1, 9)
    plain = low_rank_start(
        rbm.RBM(np.zeros((9, 9)), np.zeros(9), np.zeros(9), "spin", "spin"), np.vstack([moved, -moved])
    )
    variance = tied.hidden.variance(np.zeros(tied.n_hidden))
    assert np.allclose((tied.weights * variance) @ tied.weights.T, plain.weights @ plain.weights.T, atol=1e-9)
    assert rbm.exact.kl_divergence(truth, tied) < 0.5 * rbm.exact.kl_divergence(truth, tied.tempered(0.0))


def test_a_start_without_flip_keeps_the_bias_of_the_data():
    v = np.where(
        np.random.default_rng(1).normal(size=(500, 1)) + np.random.default_rng(2).normal(size=(500, 4)) > 0.8, 1, -1
    )
    model = rbm.RBM.symmetric(4, 2, seed=1, visible="spin", hidden="bernoulli")
    mean, covariance = rbm.exact.visible_moments(low_rank_start(model, v))
    assert np.allclose(mean, v.mean(), atol=0.02)
    assert covariance[0, 1] > 0.1


def test_the_start_stays_on_this_side_of_a_transition():
    # Sparse units that are on together: in mean field at full strength, most of them would be on.
    random = np.random.default_rng(1)
    v = (random.random((4000, 60)) < np.where(random.random((4000, 1)) < 0.1, 0.4, 0.02)).astype(int)
    model = rbm.RBM.random(60, 18, seed=1)
    start = low_rank_start(model, v, rank=1)
    gain = rbm.exact.log_likelihood(start, v) - rbm.exact.log_likelihood(start_from_data(model, v), v)
    # At full strength the mean is 0.265, of 0.058 in the data, and the gain 1.84.
    assert rbm.exact.moments(start).visible.mean() < 0.12
    assert gain > 2.5


def test_rows_without_patterns_are_refused():
    v = np.random.default_rng(1).integers(0, 2, size=(400, 8))
    model = rbm.RBM.random(8, 4, seed=1)
    with pytest.raises(InputError, match="start_from_data"):
        low_rank_start(model, v)
    with pytest.raises(InputError, match="rank=0"):
        low_rank_start(model, v, rank=0)
    with pytest.raises(InputError, match="row_weights"):
        start_from_data(model, v, np.zeros(400))
