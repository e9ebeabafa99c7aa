"""Gaussian mixtures in latent space, against their definition and against the data that they are fitted to."""

import numpy as np
import pytest
from linear_autoencoders import (
    CONDITIONAL,
    CONDITIONS,
    N_FEATURES,
    NET,
    ROWS,
    close,
    fourth_moments,
    identity,
    linear,
    moments_in_errors,
)
from scipy.integrate import quad
from scipy.stats import kstest, multivariate_normal, norm

from mcgen import rng, vae
from mcgen.errors import InputError
from mcgen.vae import latent, mixture

WEIGHTS = np.array([0.3, 0.5, 0.2])
CENTRES = np.array([[3.0, 2.0], [-3.0, -2.0], [2.0, -4.0]])
COVARIANCES = np.array([[[0.5, 0.2], [0.2, 0.3]], [[1.0, -0.6], [-0.6, 0.8]], [[0.2, 0.0], [0.0, 0.6]]])
MIXTURE = mixture.Mixture(WEIGHTS, CENTRES, COVARIANCES)


def test_density_of_a_mixture():
    z = np.random.default_rng(1).normal(0, 3, size=(50, 2))
    each = [w * multivariate_normal(m, S).pdf(z) for w, m, S in zip(WEIGHTS, CENTRES, COVARIANCES, strict=True)]
    np.testing.assert_allclose(MIXTURE.log_density(z), np.log(np.sum(each, axis=0)), rtol=1e-12)
    # A component without weight is not there.
    padded = mixture.Mixture([*WEIGHTS, 0.0], [*CENTRES, [0.0, 0.0]], [*COVARIANCES, np.eye(2)])
    np.testing.assert_array_equal(padded.log_density(z), MIXTURE.log_density(z))
    line = mixture.Mixture([0.3, 0.7], [[-1.0], [2.0]], [[[0.04]], [[2.0]]])
    total = quad(lambda z: np.exp(line.log_density([[z]])[0]), -12, 14, points=[-1, 2], epsabs=1e-12)[0]
    assert total == pytest.approx(1, abs=1e-10)


def test_draws_of_a_mixture_have_its_moments_and_one_percent_is_caught():
    mean = WEIGHTS @ CENTRES
    away = CENTRES - mean
    covariance = np.einsum("c,cij->ij", WEIGHTS, COVARIANCES) + away.T * WEIGHTS @ away
    exact = mean, covariance, fourth_moments(WEIGHTS, CENTRES, COVARIANCES, mean)
    z = MIXTURE.draw(400_000, seed=3)
    assert moments_in_errors(z, *exact) < 4
    assert moments_in_errors(1.01 * z, *exact) > 6
    # And each component has its share, mean and covariance: here of components so far apart that none are confused.
    centres = 4 * CENTRES
    far = mixture.Mixture(WEIGHTS, centres, COVARIANCES).draw(400_000, seed=3)
    nearest = ((far[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    for c in range(3):
        mine = far[nearest == c]
        error = np.sqrt(WEIGHTS[c] * (1 - WEIGHTS[c]) / len(far))
        assert abs(len(mine) / len(far) - WEIGHTS[c]) < min(4 * error, 0.015 * WEIGHTS[c])
        of_component = centres[c], COVARIANCES[c], fourth_moments([1.0], centres[[c]], COVARIANCES[[c]], centres[c])
        assert moments_in_errors(mine, *of_component) < 4
        assert moments_in_errors(1.01 * mine, *of_component) > 6
    assert (MIXTURE.draw(10, seed=3) == z[:10]).all()


def aligned(fitted):
    """The components in the order of CENTRES."""
    order = [int(((fitted.means - one) ** 2).sum(axis=1).argmin()) for one in CENTRES]
    assert sorted(order) == [0, 1, 2]
    return fitted.weights[order], fitted.means[order], fitted.covariances[order]


def test_fit_recovers_a_known_mixture():
    n = 20_000
    z = MIXTURE.draw(n, seed=11)
    fit = mixture.fit_mixture(z, n_components=3, seed=2)
    weights, centres, covariances = aligned(fit.mixture)
    # Errors of a sample whose components are known; they overlap by less than one draw in a thousand.
    assert (np.abs(weights - WEIGHTS) < 4 * np.sqrt(WEIGHTS * (1 - WEIGHTS) / n)).all()
    variances = np.diagonal(COVARIANCES, axis1=1, axis2=2)
    counts = (n * WEIGHTS)[:, None]
    assert (np.abs(centres - CENTRES) < 4 * np.sqrt(variances / counts)).all()
    error = np.sqrt((variances[:, :, None] * variances[:, None, :] + COVARIANCES**2) / counts[..., None])
    assert (np.abs(covariances - COVARIANCES) < 4 * error).all()
    # It is likelier than the truth, by about half a parameter each in all.
    gain = n * (fit.history[-1] - MIXTURE.log_density(z).mean())
    assert 0 < gain < 30
    assert fit.history[-1] == pytest.approx(fit.mixture.log_density(z).mean(), rel=1e-12)
    assert fit.history[-1] - fit.history[-2] < 1e-6


def overlapping():
    """Points without clear clusters, in more dimensions, and some of them on top of each other."""
    random = np.random.default_rng(5)
    z = random.normal(size=(600, 4)) * [1.0, 0.1, 3.0, 1.0] + np.sin(random.normal(size=(600, 1)))
    return np.concatenate([z, np.repeat(z[:1], 40, axis=0)])


@pytest.mark.parametrize("n_components", [2, 5, 9])
def test_the_likelihood_never_decreases(n_components):
    history = mixture.fit_mixture(overlapping(), n_components, seed=1, n_iterations=200).history
    assert len(history) > 5
    assert np.diff(history).min() > -1e-12
    assert history[-1] - history[0] > 0.01


def test_no_component_is_narrower_than_the_limit():
    z = overlapping()
    fitted = mixture.fit_mixture(z, 9, seed=1, n_iterations=100).mixture
    S = np.cov(z.T, ddof=0)
    narrowest = min(np.linalg.eigvals(np.linalg.solve(S, one)).real.min() for one in fitted.covariances)
    assert narrowest == pytest.approx(1e-6, rel=1e-6)  # the component of the 41 points in one place reaches it
    assert np.isfinite(fitted.log_density(z)).all()


def test_one_component_is_the_gaussian_of_the_points():
    z = overlapping()
    fitted, history = mixture.fit_mixture(z, 1)
    close(fitted.weights, [1])
    close(fitted.means[0], z.mean(axis=0))
    close(fitted.covariances[0], np.cov(z.T, ddof=0))
    assert history[-1] == pytest.approx(multivariate_normal(z.mean(axis=0), np.cov(z.T, ddof=0)).logpdf(z).mean())


def test_fits_do_not_depend_on_units():
    z = overlapping()
    A, b = np.random.default_rng(9).normal(size=(4, 4)), np.arange(4.0)
    one = mixture.fit_mixture(z, 3, seed=4, n_iterations=5).mixture
    other = mixture.fit_mixture(z * 1e3 + b, 3, seed=4, n_iterations=5).mixture
    np.testing.assert_allclose(other.means, one.means * 1e3 + b, rtol=1e-8)
    # A Cholesky factor of other axes turns the points, which changes no distance.
    turned = mixture.fit_mixture(z @ A, 3, seed=4, n_iterations=5).mixture
    np.testing.assert_allclose(turned.covariances, A.T @ one.covariances @ A, rtol=1e-6, atol=1e-6)


def test_as_many_components_as_points():
    z = np.array([[0.0], [1.0], [5.0]])
    fitted = mixture.fit_mixture(z, 3, seed=1).mixture
    close(np.sort(fitted.means[:, 0]), z[:, 0])
    close(fitted.weights, 1 / 3)


def test_prior_fitted_to_data_in_two_clusters():
    # Rows at -2 and +2 with the shares 1/4 and 3/4, and w = 0.5: q(z) is a mixture of two Gaussians.
    net = linear(np.eye(1), [0.0], np.zeros((1, 1)), [np.log(0.5)], np.array([[2.0]]), [1.0], vae.Gaussian(std=0.1))
    x = np.repeat([[-2.0], [2.0]], [100, 300], axis=0)
    prior = mixture.mixture_prior(net, x, 2, seed=1, n_draws=20_000)
    order = np.argsort(prior.means[:, 0])
    assert np.abs(prior.weights[order] - [0.25, 0.75]).max() < 4 * np.sqrt(3 / 16 / 20_000)
    counts = 20_000 * np.array([0.25, 0.75])
    assert (np.abs(prior.means[order, 0] - [-2, 2]) < 4 * 0.5 / np.sqrt(counts)).all()
    assert (np.abs(prior.covariances[order, 0, 0] - 0.25) < 4 * 0.25 * np.sqrt(2 / counts)).all()
    # x = 2 z + 1 + 0.1 e, so that its two peaks are at -3 and 5 with the variance 4 * 0.25 + 0.01.
    exact = mixture.Mixture([0.25, 0.75], [[-2.0], [2.0]], [[[0.25]], [[0.25]]])
    draws = mixture.sample_from(net, exact, 100_000, seed=2)
    peaks = norm([-3, 5], np.sqrt(1.01))
    assert kstest(draws[:, 0], lambda x: peaks.cdf(x[:, None]) @ [0.25, 0.75]).pvalue > 1e-3
    assert kstest(1.01 * draws[:, 0], lambda x: peaks.cdf(x[:, None]) @ [0.25, 0.75]).pvalue < 1e-6


@pytest.mark.parametrize("decoder", ["gaussian", "spin"])
def test_a_mixture_that_is_the_prior_gives_the_same_draws(decoder):
    net = identity(3, decoder=decoder)
    prior = mixture.Mixture([1.0], np.zeros((1, 3)), np.eye(3)[None])
    assert (mixture.sample_from(net, prior, 50, seed=8) == net.sample(50, seed=8)).all()
    c = np.array([3.0, 5.0])
    got = mixture.sample_from(CONDITIONAL, prior, 50, seed=8, condition=c)
    assert (got == CONDITIONAL.sample(50, seed=8, condition=c)).all()


def test_prior_of_a_conditional_model_uses_the_conditions():
    prior = mixture.mixture_prior(CONDITIONAL, ROWS, 1, seed=1, condition=CONDITIONS)
    z = latent.aggregate_posterior(CONDITIONAL, ROWS, CONDITIONS).draw(20_000, rng.derive(1, 0))
    close(prior.means[0], z.mean(axis=0))
    close(prior.covariances[0], np.cov(z.T, ddof=0))


PLAIN = vae.Autoencoder(N_FEATURES, hidden=(), n_latent=2, activation="linear")
X = ROWS[:30]

CASES = {
    "weights that do not add up": (
        lambda: mixture.Mixture([0.5, 0.4], CENTRES[:2], COVARIANCES[:2]),
        "weights adds up to 0.9",
    ),
    "no components": (
        lambda: mixture.Mixture([], np.ones((0, 2)), np.ones((0, 2, 2))),
        "means has shape.*at least one component",
    ),
    "covariances of another shape": (
        lambda: mixture.Mixture(WEIGHTS, CENTRES, np.ones((3, 2))),
        r"covariances has shape \(3, 2\)",
    ),
    "indefinite covariance": (
        lambda: mixture.Mixture([0.5, 0.5], CENTRES[:2], [np.eye(2), [[1.0, 2.0], [2.0, 1.0]]]),
        "covariances at index 1 is not symmetric and positive definite",
    ),
    "skew covariance": (
        lambda: mixture.Mixture([1.0], CENTRES[:1], [[[1.0, 0.2], [0.1, 1.0]]]),
        "covariances at index 0 is not symmetric",
    ),
    "covariance without spread": (
        lambda: mixture.Mixture([1.0], CENTRES[:1], [[[1.0, 0.0], [0.0, 0.0]]]),
        "covariances at index 0",
    ),
    "points of another mixture": (lambda: MIXTURE.log_density(np.ones((4, 3))), r"z has shape \(4, 3\)"),
    "no draws of components": (lambda: MIXTURE.draw(0), "n_draws=0 is too small"),
    "more components than points": (
        lambda: mixture.fit_mixture([[0.0], [1.0], [1.0]], 3),
        "n_components=3 is above the 2 different points",
    ),
    "too few points": (lambda: mixture.fit_mixture(np.eye(2), 1), r"z has shape \(2, 2\); give more points"),
    "points on a line": (
        lambda: mixture.fit_mixture(np.arange(10.0)[:, None] * [1.0, 2.0], 1),
        "no spread in some direction",
    ),
    "points in one place": (lambda: mixture.fit_mixture(np.ones((5, 1)), 1), "no spread"),
    "no fitted component": (lambda: mixture.fit_mixture(ROWS, 0), "n_components=0 is too small"),
    "no iterations": (lambda: mixture.fit_mixture(ROWS, 1, n_iterations=0), "n_iterations=0 is too small"),
    "no tolerance": (lambda: mixture.fit_mixture(ROWS, 1, tolerance=0.0), "tolerance=0.0 is not positive"),
    "fit with a bad seed": (lambda: mixture.fit_mixture(ROWS, 1, seed=-1), "seed=-1 is too small"),
    "no prior draws": (lambda: mixture.mixture_prior(NET, X, 2, n_draws=0), "n_draws=0 is too small"),
    "prior of no component": (lambda: mixture.mixture_prior(NET, X, 0), "n_components=0 is too small"),
    "prior of codes": (lambda: mixture.mixture_prior(PLAIN, X, 1), "is not a VAE and has no distribution"),
    "draws of codes": (lambda: mixture.sample_from(PLAIN, MIXTURE, 1), "give a VAE or a ConditionalVAE"),
    "mixture of other latents": (
        lambda: mixture.sample_from(NET, MIXTURE, 1),
        "the mixture has 2 latents and the model 3",
    ),
    "no draws of data": (lambda: mixture.sample_from(identity(2), MIXTURE, 0), "n_draws=0 is too small"),
    "draws with a condition": (
        lambda: mixture.sample_from(identity(2), MIXTURE, 1, condition=[1.0]),
        "takes no condition",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named(case):
    call, message = CASES[case]
    with pytest.raises(InputError, match=message):
        call()
