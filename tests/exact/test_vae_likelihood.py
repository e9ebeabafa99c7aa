"""Likelihoods of VAEs: bounds, importance sampling and quadrature against closed forms, integrals and each other."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, multivariate_normal, norm

from mcgen import enumeration
from mcgen.errors import InputError, SizeError
from mcgen.vae import VAE, Autoencoder, ConditionalVAE, Gaussian, grid_sums, likelihood, quadrature
from mcgen.vae.likelihood import elbo, importance_estimate, kl_estimate, log_likelihood
from mcgen.vae.quadrature import kl_divergence, log_likelihood_exact, log_probabilities

N_FEATURES = 6


class Linear:
    """A VAE with x = W^T z + b + noise, whose encoder is the posterior but for its standard deviations."""

    def __init__(self, d, widening=0.0, wrong=1.0, variance="feature"):
        random = np.random.default_rng(d)
        n = N_FEATURES
        self.std = np.exp(0.3 * random.normal(size=n)) if variance == "feature" else np.full(n, 0.7)
        # Orthogonal after division by the noise, so that the posterior has independent coordinates.
        rows = np.linalg.qr(random.normal(size=(n, d)))[0].T * np.arange(1, d + 1)[:, None] ** 0.5
        self.W, self.b = rows * self.std, random.normal(size=n)
        self.posterior_std = (1 + np.arange(1, d + 1)) ** -0.5
        net = VAE(n, (), d, Gaussian(variance, 0.7), "linear", dtype="float64")
        vector = net.vector()
        encoder, decoder, kind = net.parts(vector)
        gain = (self.W / self.std**2).T * self.posterior_std**2
        encoder[0]["weights"][:] = np.hstack([gain, np.zeros((n, d))])
        encoder[0]["bias"][:] = np.r_[-self.b @ gain, np.log(self.posterior_std) + widening]
        decoder[0]["weights"][:] = self.W
        decoder[0]["weights"][np.unravel_index(np.abs(self.W).argmax(), self.W.shape)] *= wrong
        decoder[0]["bias"][:] = self.b
        if variance != "fixed":
            kind["log_std"][:] = np.log(self.std)[: len(kind["log_std"])]
        self.net = net.replace(vector.packed())
        self.w = self.posterior_std * np.exp(widening)

    def draw(self, n_rows, seed=0):
        return multivariate_normal(self.b, self.covariance).rvs(n_rows, random_state=seed)

    @property
    def covariance(self):
        return self.W.T @ self.W + np.diag(self.std**2)

    def log_likelihood(self, x):
        return multivariate_normal(self.b, self.covariance).logpdf(x)


def network(kind, n_features, d, activation="tanh", seed=1, dtype="float64", scale=1.5, **more):
    """A decoder of some structure, and an encoder that gives little more than the prior."""
    net = (ConditionalVAE if more else VAE)(
        n_features=n_features, hidden=(12,), n_latent=d, decoder=kind, activation=activation, seed=seed, dtype=dtype,
        **more,
    )  # fmt: skip
    random = np.random.default_rng(seed)
    vector = net.vector()
    vector.unpack(scale * net.parameters + 0.3 * random.normal(size=net.n_parameters))
    last = net.parts(vector)[0][-1]
    last["weights"][:] *= 0.05
    last["bias"][:] = np.repeat([0.1, -0.1], d)
    return net.replace(vector.packed())


def states(net):
    return enumeration.list_states(net.n_features, net.decoder_kind.low, dtype=np.int8)


# --- quadrature -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variance", ["fixed", "scalar", "feature"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_quadrature_of_a_linear_model_is_its_closed_form(d, variance):
    model = Linear(d, variance=variance)
    x = model.draw(30)
    found = log_likelihood_exact(model.net, x, tolerance=1e-8)
    assert found.value == pytest.approx(model.log_likelihood(x), abs=1e-8)
    assert found.error.shape == (30,)
    assert 0 < found.error.max() <= 1e-8
    assert found.n_points <= 65**d


def test_quadrature_sees_a_weight_that_is_wrong_by_one_percent():
    model = Linear(2)
    x = model.draw(30)
    wrong = log_likelihood_exact(Linear(2, wrong=1.01).net, x, tolerance=1e-8)
    assert np.abs(wrong.value - model.log_likelihood(x)).max() > 1e-3


def test_the_grid_reaches_data_far_from_the_prior():
    model = Linear(2)
    x = model.b + np.array([[18.0, 0.0], [0.0, -14.0], [0.0, 0.0]]) @ model.W
    found = log_likelihood_exact(model.net, x, tolerance=1e-8)
    assert found.value == pytest.approx(model.log_likelihood(x), abs=1e-8)


@pytest.mark.parametrize(("kind", "activation"), [("bernoulli", "tanh"), ("spin", "softplus"), ("bernoulli", "relu")])
def test_quadrature_is_the_integral_over_one_latent(kind, activation):
    net = network(kind, 7, 1, activation, dtype="float32")
    x = states(net)[[0, 5, 77, 127]]
    net64 = net.astype(np.float64)
    fields = net64.fields
    first = net64.parts(net64.vector())[1][0]
    kinks = np.sort(-first["bias"] / first["weights"][0])  # where a ReLU of the hidden layer begins
    kinks = kinks[np.abs(kinks) < 9]

    def integrand(z, row):
        return norm.pdf(z) * np.exp(net.decoder_kind.log_density(row, fields([[z]])[0], {}))

    wanted = [quad(integrand, -9, 9, args=(row,), epsabs=0, epsrel=1e-9, limit=400, points=kinks)[0] for row in x]
    found = log_likelihood_exact(net, x, tolerance=1e-7)
    assert found.value == pytest.approx(np.log(wanted), abs=2e-7)


def test_shades_of_grey_are_averages_of_states():
    """log p(x | z) is linear in x, so between two states it is the integral of the geometric mean of both."""
    net = network("bernoulli", 3, 1)
    fields = net.fields

    def integrand(z):
        y = fields([[z]])[0]
        return norm.pdf(z) * np.exp(0.25 * y[0] + y[1] - np.logaddexp(0, y).sum())

    wanted = np.log(quad(integrand, -9, 9, epsabs=0, epsrel=1e-10, limit=200)[0])
    assert log_likelihood_exact(net, [[0.25, 1.0, 0.0]]).value[0] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "n_features", "d"),
    [("bernoulli", 6, 1), ("spin", 7, 2), ("bernoulli", 10, 2), ("spin", 1, 1), ("spin", 6, 3)],
)
def test_probabilities_of_all_states_are_those_of_rows(kind, n_features, d):
    net = network(kind, n_features, d)
    found = log_probabilities(net, tolerance=1e-9)
    assert found.value.shape == found.error.shape == (2**n_features,)
    assert np.exp(found.value).sum() == pytest.approx(1, abs=1e-11)
    rows = log_likelihood_exact(net, states(net), tolerance=1e-9)
    assert found.value == pytest.approx(rows.value, abs=1e-7)


def test_conditions_have_probabilities_of_their_own():
    net = network("spin", 6, 2, n_conditions=1, condition_offset=2.0)
    both = [log_probabilities(net, condition=[c], tolerance=1e-8).value for c in (1.0, 3.0)]
    assert np.abs(both[0] - both[1]).max() > 0.1
    x, conditions = states(net)[[3, 4, 5, 6]], np.array([[1.0], [3.0], [3.0], [1.0]])
    found = log_likelihood_exact(net, x, conditions, tolerance=1e-8)
    assert found.value == pytest.approx([both[0][3], both[1][4], both[1][5], both[0][6]], abs=1e-6)
    estimate = importance_estimate(net, x, 20000, conditions, seed=4)
    assert np.all(np.abs(estimate.value - found.value) < 5 * estimate.error + 1e-6)
    assert estimate.error.max() < 0.05


@pytest.mark.parametrize("method", ["rows", "states"])
def test_quadrature_does_not_depend_on_how_the_work_is_cut(method, monkeypatch):
    net = network("bernoulli", 7, 2)

    def value():
        if method == "rows":
            return log_likelihood_exact(net, states(net)).value
        return log_probabilities(net).value

    before = value()
    assert np.array_equal(before, value())
    monkeypatch.setattr(quadrature, "POINTS_AT_ONCE", 101)
    monkeypatch.setattr(grid_sums, "NUMBERS_AT_ONCE", 1000)
    assert value() == pytest.approx(before, abs=1e-11)


def test_points_of_a_finer_and_of_a_wider_grid_are_new_once():
    for n, n_known, step in ((8, 4, 2), (6, 4, 1), (4, -1, 1)):
        new = np.vstack(list(quadrature._new_points(n, n_known, step, 2)))
        old = step * (np.indices((2 * n_known + 1,) * 2).reshape(2, -1).T - n_known) if n_known > 0 else new[:0]
        every = np.vstack([new, old])
        assert len(np.unique(every, axis=0)) == len(every) == (2 * n + 1) ** 2
        assert np.abs(every).max() == n


# --- bounds and importance sampling ---------------------------------------------------------------------------------


def test_bound_of_a_linear_model_is_its_closed_form():
    model = Linear(3, widening=0.2)
    x = model.draw(2000)
    bound = elbo(model.net, x, n_draws=40, seed=3)
    mean, log_std = model.net.encode(x)
    assert bound.kl == pytest.approx((0.5 * (mean**2 + model.w**2 - 1) - log_std).sum(axis=1), abs=1e-10)
    spread = 0.5 * (model.w[:, None] ** 2 * model.W**2 / model.std**2).sum()
    wanted = norm.logpdf(x, mean @ model.W + model.b, model.std).sum(axis=1) - spread
    difference = bound.reconstruction - wanted
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(x))
    assert difference.std() < 0.5
    assert np.array_equal(bound.total, bound.reconstruction - bound.kl)
    assert (model.log_likelihood(x) - bound.total).mean() > 0.05


def test_the_exact_posterior_leaves_no_gap():
    model = Linear(3)
    x = model.draw(1500)
    gap = elbo(model.net, x, n_draws=50, seed=1).total - model.log_likelihood(x)
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(x))
    assert gap.std() < 0.5
    estimate = importance_estimate(model.net, x[:50], 7)
    assert estimate.value == pytest.approx(model.log_likelihood(x[:50]), abs=1e-10)
    assert estimate.effective_sample_size == pytest.approx(7, abs=1e-9)
    assert estimate.error.max() < 1e-6


def pulls(model, x, reference, n_importance, seed):
    estimate = importance_estimate(model.net, x, n_importance, seed=seed)
    return (estimate.value + 0.5 * estimate.error**2 - reference) / estimate.error


def test_importance_sampling_errors_are_right():
    model = Linear(3, widening=0.2)
    x = model.draw(1200)
    pull = pulls(model, x, model.log_likelihood(x), 400, seed=5)
    assert 0.85 < pull.var() < 1.15
    assert abs(pull.mean()) < 4 / np.sqrt(len(x))


def test_importance_sampling_sees_a_weight_that_is_wrong_by_one_percent():
    model = Linear(3, widening=0.2)
    x = model.draw(1200)
    reference = model.log_likelihood(x)
    squares = [
        np.sum(pulls(Linear(3, widening=0.2, wrong=wrong), x, reference, 4000, seed=5) ** 2) for wrong in (1.0, 1.01)
    ]
    assert squares[0] < chi2(len(x)).isf(1e-3)
    assert squares[1] > chi2(len(x)).isf(1e-9)


def test_equal_rows_have_independent_draws_whose_spread_is_the_error():
    net = network("bernoulli", 8, 2)
    x = np.repeat(states(net)[[37]], 1500, axis=0)
    estimate = importance_estimate(net, x, 200, seed=2)
    exact = log_likelihood_exact(net, x[:1], tolerance=1e-7).value[0]
    assert estimate.value.std() == pytest.approx(np.sqrt(np.mean(estimate.error**2)), rel=0.1)
    w = np.exp(estimate.value - exact)
    assert abs(w.mean() - 1) < 4 * w.std() / np.sqrt(len(w))
    assert np.all((estimate.effective_sample_size > 1) & (estimate.effective_sample_size <= 200))


def test_bounds_rise_with_the_number_of_draws_and_stay_below_the_exact_value():
    net = network("spin", 8, 2)
    x = np.tile(states(net), (8, 1))
    exact = log_likelihood_exact(net, x[:256], tolerance=1e-7).value.mean()
    means = [elbo(net, x, n_draws=10).total.mean(), *(log_likelihood(net, x, k).mean() for k in (10, 100, 1000))]
    assert means == sorted(means)
    assert means[1] - means[0] > 0.05
    assert means[-1] < exact
    assert exact - means[-1] < 0.2 * (exact - means[-2])


def test_one_draw_is_the_bound_without_an_error():
    net = network("bernoulli", 8, 3)
    estimate = importance_estimate(net, states(net)[:5], 1)
    assert np.all(np.isinf(estimate.error))
    assert estimate.effective_sample_size.tolist() == [1.0] * 5
    assert np.array_equal(estimate.value, log_likelihood(net, states(net)[:5], 1))


def test_single_precision_costs_only_its_digits():
    net = network("bernoulli", 8, 3)
    x = states(net)[:40]
    double, single = (importance_estimate(n, x, 300).value for n in (net, net.astype(np.float32)))
    assert single.dtype == np.float64
    assert single == pytest.approx(double, abs=1e-4)


def test_draws_do_not_depend_on_how_many_there_are(monkeypatch):
    """Rows of a full batch are independent of the rows after it; more draws and seeds do what they say."""
    monkeypatch.setattr(likelihood, "ROWS_AT_ONCE", 64)
    net = network("spin", 8, 2)
    x = states(net)[:100]
    assert np.array_equal(log_likelihood(net, x, 30)[:64], log_likelihood(net, x[:64], 30))
    assert np.array_equal(elbo(net, x, n_draws=30).total[:64], elbo(net, x[:64], n_draws=30).total)
    assert not np.any(log_likelihood(net, x, 30, seed=1) == log_likelihood(net, x, 30))
    assert len(np.unique(log_likelihood(net, np.repeat(x[:1], 128, axis=0), 30))) == 128
    # Ten rows have six draws at once; 32 draws are the mean of the first 8 and of the 24 after them.
    few = x[:10]
    w = {k: k * np.exp(log_likelihood(net, few, k)) for k in (1, 5, 6, 8, 32)}
    assert all(np.all(w[a] < w[b]) for a, b in ((1, 5), (5, 6), (6, 8), (8, 32)))
    n = {k: k * elbo(net, few, n_draws=k).reconstruction for k in (1, 5, 6, 8, 32)}
    assert all(np.all(n[a] > n[b]) for a, b in ((1, 5), (5, 6), (6, 8), (8, 32)))
    assert n[32] == pytest.approx(32 * elbo(net, few, n_draws=3200).reconstruction, rel=0.5)


# --- divergences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bernoulli", "spin"])
def test_divergence_is_the_sum_over_states(kind):
    net = network(kind, 8, 2)
    truth = np.random.default_rng(0).dirichlet(np.ones(256))
    truth[7] += truth[5]
    truth[5] = 0
    found = kl_divergence(truth, net, tolerance=1e-7)
    rows = log_likelihood_exact(net, states(net), tolerance=1e-8).value
    there = truth > 0
    assert found.value == pytest.approx(truth[there] @ (np.log(truth[there]) - rows[there]), abs=1e-6)
    assert 0 < found.error <= 1e-7
    itself = kl_divergence(np.exp(log_probabilities(net, tolerance=1e-9).value), net, tolerance=1e-8)
    assert itself.value == pytest.approx(0, abs=1e-9)


def test_estimated_divergence_has_its_error_and_its_bias_upwards():
    net = network("spin", 8, 2)
    truth = np.random.default_rng(1).dirichlet(np.ones(256))
    exact = kl_divergence(truth, net, tolerance=1e-7).value
    found = [kl_estimate(truth, net, 60, seed=seed) for seed in range(40)]
    value, error, bias = (np.array([getattr(one, name) for one in found]) for name in ("value", "error", "bias"))
    assert (value - exact).mean() == pytest.approx(bias.mean(), rel=0.5)
    assert np.all(bias > 0)
    assert value.std() == pytest.approx(error.mean(), rel=0.4)
    many = kl_estimate(truth, net, 5000)
    assert abs(many.value - many.bias - exact) < 4 * many.error
    assert many.error < 0.01


def test_unlikely_states_are_left_out():
    net = network("spin", 8, 4)
    truth = np.full(256, 1e-9 / 254)
    truth[[17, 200]] = 0.25, 0.75 - 1e-9
    found = kl_estimate(truth, net, 2000, seed=3)
    assert found.n_states == 2
    rows = log_likelihood(net, states(net)[[17, 200]], 20000, seed=9)
    wanted = np.array([0.25, 0.75]) @ (np.log([0.25, 0.75]) - rows)
    assert abs(found.value - wanted) < 5 * found.error + 1e-6


# --- refusals -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_done_is_refused(monkeypatch):
    net, wide = network("spin", 6, 2), network("spin", 6, 4)
    x, truth = states(net)[:3], np.full(64, 1 / 64)
    coder = Autoencoder(n_features=6, hidden=(4,), n_latent=2, decoder="spin")
    gaussian = VAE(n_features=6, hidden=(4,), n_latent=2, decoder="gaussian")
    many = VAE(n_features=25, hidden=(4,), n_latent=2, decoder="spin")
    for function in (elbo, log_likelihood, importance_estimate, log_likelihood_exact):
        with pytest.raises(InputError, match=r"is not a VAE and has no distribution p\(x, z\); give a VAE"):
            function(coder, x)
        with pytest.raises(InputError, match=r"takes no condition"):
            function(net, x, condition=np.ones((3, 1)))
    for function in (log_probabilities, lambda net: kl_divergence(truth, net), lambda net: kl_estimate(truth, net)):
        with pytest.raises(InputError, match="is not a VAE"):
            function(coder)
        with pytest.raises(InputError, match="continuous data, which have no list of states"):
            function(gaussian)
        with pytest.raises(SizeError, match="the model has 25 two-level units"):
            function(many)
    for function in (
        lambda net: log_likelihood_exact(net, x),
        log_probabilities,
        lambda net: kl_divergence(truth, net),
    ):
        with pytest.raises(
            InputError, match="n_latent=4 is too large for quadrature, which reaches 3; take importance"
        ):
            function(wide)
    for function in (kl_divergence, kl_estimate):
        with pytest.raises(InputError, match=r"truth has shape \(32,\); its shape must be \(64,\)"):
            function(truth[:32], net)
        with pytest.raises(InputError, match=r"truth adds up to 0\.5"):
            function(truth / 2, net)
    with pytest.raises(InputError, match="n_draws=0 is too small"):
        elbo(net, x, n_draws=0)
    with pytest.raises(InputError, match="n_importance=0 is too small"):
        importance_estimate(net, x, 0)
    with pytest.raises(InputError, match=r"tolerance=0\.0 is not positive"):
        log_likelihood_exact(net, x, tolerance=0)
    monkeypatch.setattr(quadrature, "MOST_POINTS", 100**2)
    with pytest.raises(SizeError, match=r"reached an error of .*, above tolerance=1e-13; give a larger tolerance"):
        log_likelihood_exact(net, x, tolerance=1e-13)


def test_probabilities_reach_far_down_and_say_where_they_end():
    net = VAE(n_features=20, hidden=(), n_latent=1, decoder="spin", activation="linear", dtype="float64")
    vector = net.vector()
    decoder = net.parts(vector)[1][0]
    decoder["weights"][:], decoder["bias"][:] = 0, 24
    found = log_probabilities(net.replace(vector.packed())).value
    # Each spin down costs 48: 2^20 states down to e^-960.
    assert found[0] == pytest.approx(-960, abs=1e-9)
    assert found[-1] == pytest.approx(0, abs=1e-9)
    decoder["bias"][:] = 30
    with pytest.raises(InputError, match=r"211 states have a probability below e\^-1000"):
        log_probabilities(net.replace(vector.packed()))
