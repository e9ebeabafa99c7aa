"""Closed forms of Gaussians against integrals, sums over draws, exact fractions and slopes."""

import contextlib
from fractions import Fraction
from math import factorial

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, kstest, multivariate_normal, norm

from mcgen import rng
from mcgen.errors import InputError
from mcgen.vae import gaussian

EPS = np.finfo(np.float64).eps


def random_gaussian(k, seed, batch=()):
    """A mean and a covariance of moderate condition."""
    random = np.random.default_rng(seed)
    A = random.normal(size=(*batch, k, k))
    return random.normal(size=(*batch, k)), A @ np.swapaxes(A, -2, -1) / k + 0.5 * np.eye(k)


def random_pair(k, seed, batch=()):
    return *random_gaussian(k, seed, batch), *random_gaussian(k, seed + 1, batch)


def random_diagonals(k, seed, batch=()):
    random = np.random.default_rng(seed)
    return [random.normal(size=(*batch, k)) for _ in range(4)]


def covariance(log_std):
    return np.exp(2 * log_std)[..., None] * np.eye(log_std.shape[-1])


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean0", "log_std0", "mean1", "log_std1"), [(0.3, -0.4, -1.1, 0.5), (2.0, 0.7, 1.5, -0.2), (0.0, 0.1, 0.0, 0.0)]
)
def test_divergence_in_one_dimension_is_its_integral(mean0, log_std0, mean1, log_std1):
    p, q = norm(mean0, np.exp(log_std0)), norm(mean1, np.exp(log_std1))
    reach = 12 * np.exp(log_std0)
    wanted = quad(
        lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), mean0 - reach, mean0 + reach, epsabs=1e-13, epsrel=1e-13
    )[0]
    got = gaussian.diagonal_gaussian_kl([mean0], [log_std0], [mean1], [log_std1])
    assert got == pytest.approx(wanted, rel=1e-11)
    full = gaussian.gaussian_kl([mean0], [[np.exp(2 * log_std0)]], [mean1], [[np.exp(2 * log_std1)]])
    assert full == pytest.approx(wanted, rel=1e-11)
    # The same variable in units of sigma1: the second Gaussian becomes the standard one.
    standard = gaussian.standard_gaussian_kl([(mean0 - mean1) / np.exp(log_std1)], [log_std0 - log_std1])
    assert standard == pytest.approx(wanted, rel=1e-11)


def test_divergence_in_two_dimensions_is_its_integral():
    mean0, mean1 = np.array([0.2, -0.5]), np.array([-0.3, 0.4])
    S0, S1 = np.array([[1.0, 0.6], [0.6, 0.8]]), np.array([[0.9, -0.3], [-0.3, 1.4]])
    # On a product grid the trapezoidal rule converges faster than any power of the step.
    axis = np.linspace(-12, 12, 401)
    x = np.stack(np.meshgrid(axis, axis), axis=-1)
    p, q = multivariate_normal(mean0, S0), multivariate_normal(mean1, S1)
    wanted = np.sum(p.pdf(x) * (p.logpdf(x) - q.logpdf(x))) * (axis[1] - axis[0]) ** 2
    assert gaussian.gaussian_kl(mean0, S0, mean1, S1) == pytest.approx(wanted, rel=1e-12)


def test_divergence_is_the_mean_log_ratio_of_draws():
    mean0, S0, mean1, S1 = random_pair(3, 4)
    mean1 = mean1 + 3
    x = np.random.default_rng(5).multivariate_normal(mean0, S0, size=400_000, method="cholesky")
    ratio = multivariate_normal(mean0, S0).logpdf(x) - multivariate_normal(mean1, S1).logpdf(x)
    error = ratio.std() / np.sqrt(len(x))
    kl = gaussian.gaussian_kl(mean0, S0, mean1, S1)
    assert abs(kl - ratio.mean()) < 4 * error
    for wrong in (0.99, 1.01):
        assert abs(wrong * kl - ratio.mean()) > 4 * error


def test_log_density_is_that_of_scipy_and_its_mean_ratio_is_the_divergence():
    mean0, log_std0, mean1, log_std1 = random_diagonals(4, 6)
    z = gaussian.draw(mean0, log_std0, n_draws=400_000, seed=7)
    density0 = gaussian.log_density(z, mean0, log_std0)
    assert density0.shape == (400_000,)
    assert np.allclose(density0, norm.logpdf(z, mean0, np.exp(log_std0)).sum(axis=-1), rtol=1e-12, atol=1e-12)
    ratio = density0 - gaussian.log_density(z, mean1, log_std1)
    error = ratio.std() / np.sqrt(len(z))
    kl = gaussian.diagonal_gaussian_kl(mean0, log_std0, mean1, log_std1)
    assert abs(kl - ratio.mean()) < 4 * error
    for wrong in (0.99, 1.01):
        assert abs(wrong * kl - ratio.mean()) > 4 * error


def test_log_density_of_any_width():
    assert gaussian.log_density([0.0], [0.0], [300.0]) == pytest.approx(-300 - 0.5 * np.log(2 * np.pi))
    assert gaussian.log_density([1e-130], [0.0], [-300.0]) == pytest.approx(
        300 - 0.5 * np.log(2 * np.pi) - 0.5 * np.exp(2 * (300 - 130 * np.log(10)))
    )
    assert gaussian.log_density([1.0], [0.0], [-400.0]) == -np.inf


@pytest.mark.parametrize("k", [1, 2, 5])
def test_diagonal_and_full_covariances_agree(k):
    mean0, log_std0, mean1, log_std1 = random_diagonals(k, 8, (6,))
    for width in (1.0, 1e-3):  # far from each other, and near
        log_std = log_std1 + width * log_std0
        diagonal = gaussian.diagonal_gaussian_kl(mean0, log_std, mean1, log_std1)
        full = gaussian.gaussian_kl(mean0, covariance(log_std), mean1, covariance(log_std1))
        assert np.allclose(diagonal, full, rtol=1e-12, atol=0)
        ours = gaussian.diagonal_gaussian_kl_gradient(mean0, log_std, mean1, log_std1)
        theirs = gaussian.gaussian_kl_gradient(mean0, covariance(log_std), mean1, covariance(log_std1))
        assert np.allclose(ours.mean0, theirs.mean0, rtol=1e-12, atol=0)
        assert np.allclose(ours.mean1, theirs.mean1, rtol=1e-12, atol=0)
        # dS/dlog sigma = 2 sigma^2
        for slope, matrix, its in (
            (ours.log_std0, theirs.covariance0, log_std),
            (ours.log_std1, theirs.covariance1, log_std1),
        ):
            chained = 2 * np.exp(2 * its) * np.diagonal(matrix, axis1=-2, axis2=-1)
            assert np.allclose(slope, chained, rtol=1e-11, atol=1e-13)


def test_the_standard_gaussian_is_the_other_with_zeros():
    mean, log_std = random_diagonals(5, 9, (7,))[:2]
    zeros = np.zeros(5)
    kl = gaussian.standard_gaussian_kl(mean, log_std)
    assert kl.shape == (7,)
    assert np.allclose(kl, gaussian.diagonal_gaussian_kl(mean, log_std, zeros, zeros), rtol=1e-14)
    plain = 0.5 * np.sum(mean**2 + np.exp(2 * log_std) - 1 - 2 * log_std, axis=-1)
    assert np.allclose(kl, plain, rtol=1e-13)
    ours = gaussian.standard_gaussian_kl_gradient(mean, log_std)
    theirs = gaussian.diagonal_gaussian_kl_gradient(mean, log_std, zeros, zeros)
    assert np.array_equal(ours.mean, theirs.mean0)
    assert np.array_equal(ours.log_std, theirs.log_std0)


def test_the_divergence_is_zero_for_equal_gaussians_only():
    mean, S = random_gaussian(4, 10, (50,))
    assert np.array_equal(gaussian.gaussian_kl(mean, S, mean, S), np.zeros(50))
    assert all(np.array_equal(part, np.zeros_like(part)) for part in gaussian.gaussian_kl_gradient(mean, S, mean, S))
    log_std = mean[::-1]
    assert np.array_equal(gaussian.diagonal_gaussian_kl(mean, log_std, mean, log_std), np.zeros(50))
    assert gaussian.gaussian_kl(np.zeros(2), np.eye(2), np.zeros(2), np.eye(2)) == 0
    random = np.random.default_rng(11)
    for size in 10.0 ** np.arange(-12, 1):
        change = 0.01 * size * random.normal(size=(50, 4, 4))
        assert np.all(gaussian.gaussian_kl(mean, S + change + np.swapaxes(change, -2, -1), mean, S) > 0)
        assert np.all(gaussian.gaussian_kl(mean + size, S, mean, S) > 0)
        assert np.all(gaussian.diagonal_gaussian_kl(mean, log_std + size, mean, log_std) > 0)
        assert np.all(gaussian.diagonal_gaussian_kl(mean, log_std, mean, log_std + size) > 0)


def test_an_affine_map_of_both_changes_nothing():
    mean0, S0, mean1, S1 = random_pair(3, 12, (5,))
    A = np.array([[2.0, -0.3, 0.1], [0.4, 0.5, 0.2], [-1.0, 0.2, 3.0]])
    shift = np.array([1.0, -2.0, 0.5])
    mapped = (mean0 @ A.T + shift, A @ S0 @ A.T, mean1 @ A.T + shift, A @ S1 @ A.T)
    assert np.allclose(gaussian.gaussian_kl(mean0, S0, mean1, S1), gaussian.gaussian_kl(*mapped), rtol=1e-12)


# --- digits ---------------------------------------------------------------------------------------------------------


def exact_half_excess(y):
    """(e^y - 1 - y) / 2 of a small fraction y, by its series."""
    return sum(y**n / (2 * factorial(n)) for n in range(2, 30))


@pytest.mark.parametrize("log_std", [1e-12, -3e-9, 1e-5, -1e-3, 0.2, -0.45, 0.49999, 0.50001, -0.50001, 0.55])
def test_diagonal_gaussians_near_each_other_keep_their_digits(log_std):
    wanted = float(exact_half_excess(2 * Fraction(log_std)))
    assert abs(gaussian.standard_gaussian_kl([0.0], [log_std]) / wanted - 1) < 8 * EPS
    assert abs(gaussian.diagonal_gaussian_kl([3.0], [log_std], [3.0], [0.0]) / wanted - 1) < 8 * EPS


@pytest.mark.parametrize("size", [1e-12, 1e-8, 1e-4, 1e-2, 0.1])
def test_full_gaussians_near_each_other_keep_their_digits(size):
    S1 = np.array([[1.7, 0.6], [0.6, 0.9]])
    S0 = S1 + size * np.array([[0.7, -0.4], [-0.4, 0.3]])
    (a0, b0), (_, c0) = [[Fraction(x) for x in row] for row in S0]
    (a, b), (_, c) = [[Fraction(x) for x in row] for row in S1]
    determinant = a * c - b * b
    # X = S1^-1 (S0 - S1); 2 KL = tr X - log det(1 + X) with det(1 + X) - 1 = tr X + det X.
    trace = (c * (a0 - a) - 2 * b * (b0 - b) + a * (c0 - c)) / determinant
    x = trace + ((a0 - a) * (c0 - c) - (b0 - b) ** 2) / determinant
    wanted = float((trace - sum((-1) ** (n + 1) * x**n / n for n in range(1, 40))) / 2)
    mean = np.array([5.0, -7.0])
    assert abs(gaussian.gaussian_kl(mean, S0, mean, S1) / wanted - 1) < 1e-14
    # The textbook formula has lost them long before.
    if size < 1e-6:
        plain = 0.5 * (np.trace(np.linalg.solve(S1, S0)) - 2 + np.log(np.linalg.det(S1) / np.linalg.det(S0)))
        assert abs(plain / wanted - 1) > 0.01


@pytest.mark.parametrize(
    ("mean0", "log_std0", "mean1", "log_std1", "wanted"),
    [
        (0.0, 300.0, 0.0, 300.0, 0.0),
        (0.0, -300.0, 0.0, -300.0, 0.0),
        (2.0, -300.0, 1.0, 0.0, 0.5 + 299.5),
        (2.0, -300.0, 1.0, 300.0, 599.5),
        (0.0, 300.0, 0.0, 0.0, np.exp(600.0) / 2),
        (1.0, -300.0, 0.0, -300.0, np.exp(600.0) / 2),
        (0.0, 0.0, 0.0, -300.0, np.exp(600.0) / 2),
        (0.0, 355.0, 0.0, 0.0, np.exp(355.0) * (np.exp(355.0) / 2)),  # e^710 overflows, half of it does not
        (0.0, 300.0, 0.0, -300.0, np.inf),
        (1.0, 0.0, 0.0, -400.0, np.inf),
        (0.0, -800.0, 0.0, -800.0, 0.0),  # the difference of the means is 0, 1 / sigma infinite
        (0.0, -1e308, 0.0, 1e308, np.inf),
        (0.0, 1e308, 0.0, -1e308, np.inf),
    ],
)
def test_extreme_widths(mean0, log_std0, mean1, log_std1, wanted):
    arguments = [mean0], [log_std0], [mean1], [log_std1]
    assert gaussian.diagonal_gaussian_kl(*arguments) == pytest.approx(wanted, rel=1e-12)
    gradient = gaussian.diagonal_gaussian_kl_gradient(*arguments)
    assert not np.isnan(gradient).any()
    if np.isfinite(wanted):
        variance = np.exp(2 * (log_std0 - log_std1)) if log_std0 != 355 else np.inf
        s = mean0 - mean1 and (mean0 - mean1) * np.exp(-log_std1)
        assert gradient.log_std0[0] == pytest.approx(variance - 1)
        assert gradient.log_std1[0] == pytest.approx(1 - variance - s**2)
        assert gradient.mean0[0] == pytest.approx(s and s * np.exp(-log_std1)) == -gradient.mean1[0]
    if mean1 == log_std1 == 0:
        assert gaussian.standard_gaussian_kl([mean0], [log_std0]) == pytest.approx(wanted, rel=1e-12)
        assert not np.isnan(gaussian.standard_gaussian_kl_gradient([mean0], [log_std0])).any()


def test_full_covariances_of_very_different_size():
    mean, S = random_gaussian(3, 13)
    for scale in (1e-200, 1e-20, 1e20, 1e200):
        wanted = 1.5 * (scale - 1 - np.log(scale))
        assert gaussian.gaussian_kl(mean, scale * S, mean, S) == pytest.approx(wanted, rel=1e-12)
    assert gaussian.gaussian_kl(mean, 1e160 * S, mean, 1e-160 * S) == np.inf
    assert gaussian.gaussian_kl([1e200, 0.0], np.eye(2), np.zeros(2), 1e-300 * np.eye(2)) == np.inf
    # Variances from e^-10 to e^10 in directions off the axes: rounding of the matrices alone is 1e-7 of the smallest.
    mean, log_std = np.zeros(3), np.array([-20.0, 0.0, 20.0])
    turn = np.linalg.qr(S)[0]
    with_turn = turn @ covariance(log_std / 4) @ turn.T
    wanted = gaussian.diagonal_gaussian_kl(mean, log_std / 4, mean, -log_std / 4)
    other = turn @ covariance(-log_std / 4) @ turn.T
    assert gaussian.gaussian_kl(mean, with_turn, mean, other) == pytest.approx(wanted, rel=1e-7)


# --- gradients ------------------------------------------------------------------------------------------------------


def slopes(function, arguments, which):
    """Central differences with respect to one argument, with the error of the step removed to fourth order.

    Entries (i, j) and (j, i) of a covariance move together, by half a step each: S stays symmetric.
    """
    argument = arguments[which]
    slope = np.empty(argument.shape)
    for place in np.ndindex(argument.shape):
        direction = np.zeros(argument.shape)
        direction[place] = 1
        if argument.ndim == 2:
            direction = (direction + direction.T) / 2

        def value(step, direction=direction):
            return function(*arguments[:which], argument + step * direction, *arguments[which + 1 :])

        def central(step, value=value):
            return (value(step) - value(-step)) / (2 * step)

        slope[place] = (4 * central(1e-3) - central(2e-3)) / 3
    return slope


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("seed", [14, 15])
def test_gradients_of_divergences_are_slopes(k, seed):
    diagonals = random_diagonals(k, seed)
    for function, gradient, arguments in (
        (gaussian.gaussian_kl, gaussian.gaussian_kl_gradient, random_pair(k, seed)),
        (gaussian.diagonal_gaussian_kl, gaussian.diagonal_gaussian_kl_gradient, diagonals),
        (gaussian.standard_gaussian_kl, gaussian.standard_gaussian_kl_gradient, diagonals[:2]),
    ):
        got = gradient(*arguments)
        assert len(got) == len(arguments)
        for which, part in enumerate(got):
            slope = slopes(function, arguments, which)
            assert part.shape == slope.shape
            assert np.linalg.norm(part - slope) < 1e-7 * np.linalg.norm(slope)


def plain_kl(mean0, S0, mean1, S1):
    """The textbook formula, which complex numbers pass through."""
    d = mean1 - mean0
    inverse = np.linalg.inv(S1)
    log_ratio = np.log(np.linalg.det(S1)) - np.log(np.linalg.det(S0))
    return 0.5 * (np.trace(inverse @ S0) + d @ inverse @ d - len(d) + log_ratio)


def test_gradient_of_full_covariances_by_complex_steps_in_every_entry():
    arguments = random_pair(4, 16)
    assert gaussian.gaussian_kl(*arguments) == pytest.approx(plain_kl(*arguments), rel=1e-12)
    for which, part in enumerate(gaussian.gaussian_kl_gradient(*arguments)):
        for place in np.ndindex(part.shape):
            moved = [argument.astype(complex) for argument in arguments]
            moved[which][place] += 1e-30j
            assert part[place] == pytest.approx(plain_kl(*moved).imag / 1e-30, rel=1e-11, abs=1e-13)


def test_gradients_near_each_other_keep_their_digits():
    S1 = np.array([[2.0, 0.5], [0.5, 1.0]])
    E = np.array([[1.0, -1.0], [-1.0, 0.5]]) * 2.0**-40
    mean = np.zeros(2)
    gradient = gaussian.gaussian_kl_gradient(mean, S1 + E, mean, S1)
    inverse = np.array([[1.0, -0.5], [-0.5, 2.0]]) / 1.75
    wanted = 0.5 * inverse @ E @ inverse  # to first order in E, and the next one is 2^-40 of it
    assert np.allclose(gradient.covariance0, wanted, rtol=1e-11, atol=0)
    assert np.allclose(gradient.covariance1, -wanted, rtol=1e-11, atol=0)


def test_reparameterized_draws_and_their_gradient():
    mean, log_std, noise, weight = random_diagonals(4, 17)
    assert np.allclose(gaussian.reparameterized(mean, log_std, noise), mean + np.exp(log_std) * noise, rtol=1e-14)

    def loss(mean, log_std):
        return np.sum(weight * np.sin(gaussian.reparameterized(mean, log_std, noise)))

    z = gaussian.reparameterized(mean, log_std, noise)
    got = gaussian.reparameterized_gradient(weight * np.cos(z), log_std, noise)
    for which, part in enumerate(got):
        slope = slopes(loss, (mean, log_std), which)
        assert np.linalg.norm(part - slope) < 1e-7 * np.linalg.norm(slope)


def test_the_reparameterized_gradient_is_that_of_an_expectation():
    # E[z^2] = mu^2 + sigma^2, the gradient of which is 2 mu and, for log sigma, 2 sigma^2.
    mean, log_std = np.array([0.7]), np.array([-0.3])
    noise = rng.normals(18, rng.purpose.VAE_NOISE, 200_000, 1)
    z = gaussian.reparameterized(mean, log_std, noise)
    got = gaussian.reparameterized_gradient(2 * z, log_std, noise)
    for part, wanted in zip(got, (2 * mean, 2 * np.exp(2 * log_std)), strict=True):
        error = part.std(axis=0) / np.sqrt(len(part))
        assert np.all(np.abs(part.mean(axis=0) - wanted) < 4 * error)
        assert np.all(np.abs(part.mean(axis=0) - 1.03 * wanted) > 4 * error)


# --- batches --------------------------------------------------------------------------------------------------------


def test_a_batch_is_a_loop():
    mean0, S0, mean1, S1 = random_pair(3, 19, (4, 2))
    kl = gaussian.gaussian_kl(mean0, S0, mean1, S1)
    gradient = gaussian.gaussian_kl_gradient(mean0, S0, mean1, S1)
    assert kl.shape == (4, 2)
    for place in np.ndindex(4, 2):
        one = mean0[place], S0[place], mean1[place], S1[place]
        assert kl[place] == pytest.approx(gaussian.gaussian_kl(*one), rel=1e-14)
        for part, its in zip(gradient, gaussian.gaussian_kl_gradient(*one), strict=True):
            assert np.allclose(part[place], its, rtol=1e-13, atol=1e-15)
    rows = random_diagonals(3, 20, (4, 2))
    kl = gaussian.diagonal_gaussian_kl(*rows)
    gradient = gaussian.diagonal_gaussian_kl_gradient(*rows)
    for place in np.ndindex(4, 2):
        one = [row[place] for row in rows]
        assert kl[place] == pytest.approx(gaussian.diagonal_gaussian_kl(*one), rel=1e-14)
        for part, its in zip(gradient, gaussian.diagonal_gaussian_kl_gradient(*one), strict=True):
            assert np.allclose(part[place], its, rtol=1e-14, atol=0)


def test_near_and_far_gaussians_share_a_batch():
    _, S0, mean1, S1 = random_pair(3, 21, (6,))
    S0[::2] = S1[::2] * (1 + 1e-5)
    batch = gaussian.gaussian_kl(mean1, S0, mean1, S1)
    loop = [gaussian.gaussian_kl(*one) for one in zip(mean1, S0, mean1, S1, strict=True)]
    assert np.allclose(batch, loop, rtol=1e-13, atol=0)
    assert np.all(batch[::2] < 1e-9)
    assert np.all(batch[1::2] > 1e-3)


def test_axes_of_the_batch_broadcast():
    mean0, S0 = random_gaussian(3, 22, (4, 1))
    mean1, S1 = random_gaussian(3, 23, (2,))
    full = gaussian.gaussian_kl(mean0, S0, mean1, S1)
    gradient = gaussian.gaussian_kl_gradient(mean0, S0, mean1, S1)
    assert full.shape == (4, 2)
    assert [part.shape for part in gradient] == [(4, 2, 3), (4, 2, 3, 3)] * 2
    assert full[3, 1] == pytest.approx(gaussian.gaussian_kl(mean0[3, 0], S0[3, 0], mean1[1], S1[1]), rel=1e-14)
    # One covariance for many means.
    shared = gaussian.gaussian_kl_gradient(mean0[:, 0], S1[0], mean1[0], S1[1])
    assert [part.shape for part in shared] == [(4, 3), (4, 3, 3)] * 2
    rows = gaussian.diagonal_gaussian_kl_gradient(mean0, np.zeros(3), mean1, np.zeros(3))
    assert [part.shape for part in rows] == [(4, 2, 3)] * 4
    rows.mean0[0, 0, 0] = 5.0  # a copy, not a view that repeats one number
    assert rows.mean0[1, 0, 0] != 5.0
    assert gaussian.standard_gaussian_kl(mean0, np.zeros(3)).shape == (4, 1)
    assert gaussian.reparameterized(mean0, np.zeros(3), mean1).shape == (4, 2, 3)
    assert gaussian.reparameterized_gradient(mean0, np.zeros(3), mean1).log_std.shape == (4, 2, 3)


def test_single_precision_is_made_double_and_arguments_stay():
    mean, log_std = (row.astype(np.float32) for row in random_diagonals(3, 24)[:2])
    kept = mean.copy()
    kl = gaussian.standard_gaussian_kl(mean, log_std)
    assert kl.dtype == np.float64
    assert kl == gaussian.standard_gaussian_kl(mean.astype(float), log_std.astype(float))
    gradient = gaussian.standard_gaussian_kl_gradient(mean, log_std)
    assert gradient.mean.dtype == np.float64
    gradient.mean[:] = 0
    assert np.array_equal(mean, kept)


# --- draws ----------------------------------------------------------------------------------------------------------

N_DRAWS = 200_000


def scores(z, mean, log_std):
    """p-values of the mean and the variance of every coordinate of draws, two-sided."""
    s = (z - mean) / np.exp(log_std)
    of_mean = 2 * norm.sf(np.abs(s.mean(axis=0)) * np.sqrt(len(s)))
    square = np.sum(s**2, axis=0)
    of_variance = 2 * np.minimum(chi2.cdf(square, len(s)), chi2.sf(square, len(s)))
    return of_mean, of_variance


def test_draws_have_their_mean_variance_and_distribution():
    mean, log_std = np.array([[1.0, -2.0], [0.0, 5.0]]), np.array([[0.0, -1.0], [2.0, 0.5]])
    z = gaussian.draw(mean, log_std, N_DRAWS, seed=25)
    assert z.shape == (N_DRAWS, 2, 2)
    for p in scores(z, mean, log_std):
        assert np.all(p > 1e-3)
    for place in np.ndindex(2, 2):
        column = z[(slice(None), *place)]
        assert kstest(column, norm(mean[place], np.exp(log_std[place])).cdf).pvalue > 1e-3
    correlation = np.corrcoef(z.reshape(N_DRAWS, 4).T)[np.triu_indices(4, 1)]
    assert np.all(np.abs(correlation) < 4 / np.sqrt(N_DRAWS))


def test_the_moments_catch_one_percent():
    mean, log_std = np.zeros(2), np.array([0.0, 1.0])
    wide = gaussian.draw(mean, log_std + np.log(1.01), N_DRAWS, seed=26)
    assert np.all(scores(wide, mean, log_std)[1] < 1e-3)
    shifted = gaussian.draw(mean + 0.01 * np.exp(log_std), log_std, N_DRAWS, seed=26)
    assert np.all(scores(shifted, mean, log_std)[0] < 1e-3)


def test_draws_are_addressed():
    mean, log_std = np.zeros((2, 3)), np.ones(3)
    z = gaussian.draw(mean, log_std, 50, seed=27)
    assert np.array_equal(z[:20], gaussian.draw(mean, log_std, 20, seed=27))
    assert not np.any(z == gaussian.draw(mean, log_std, 50, seed=28))
    noise = rng.normals(27, rng.purpose.VAE_NOISE, 50, 6).reshape(50, 2, 3)
    assert np.array_equal(z, gaussian.reparameterized(mean, log_std, noise))


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([[1.0, 1.0], [1.0, 1.0]], r"singular .* smallest eigenvalue is .* multiple of the identity"),
        ([[1.0, 2.0], [2.0, 1.0]], r"not positive definite: its smallest eigenvalue is -1, .*diagonal_gaussian_kl"),
        ([[0.0, 0.0], [0.0, 0.0]], r"smallest eigenvalue is 0, "),
        ([[-1.0, 0.0], [0.0, -2.0]], r"smallest eigenvalue is -2, "),
        ([[1.0, 0.5], [0.4, 1.0]], r"not symmetric: it differs from its transpose by 0.1, .* give \(S \+ S.T\) / 2"),
    ],
)
def test_wrong_covariances_are_named(which, wrong, message):
    for function in (gaussian.gaussian_kl, gaussian.gaussian_kl_gradient):
        arguments = [np.zeros(2), np.eye(2), np.zeros(2), np.eye(2)]
        arguments[2 * which + 1] = wrong
        with pytest.raises(InputError, match=f"^covariance{which} is .*{message}"):
            function(*arguments)
        batch = np.tile(np.eye(2), (3, 2, 1, 1))
        batch[1, 1] = wrong
        arguments[2 * which + 1] = batch
        with pytest.raises(InputError, match=rf"^covariance{which} at index \(1, 1\) of the batch is .*{message}"):
            function(*arguments)


def test_singular_up_to_rounding_is_refused_and_small_variances_are_not():
    # Rounding leaves the last pivot of such a matrix positive as often as not.
    factored = 0
    for A in np.random.default_rng(29).normal(size=(20, 5, 4)):
        singular = A @ A.T
        with contextlib.suppress(np.linalg.LinAlgError):
            np.linalg.cholesky(singular)
            factored += 1
        with pytest.raises(InputError, match="smallest eigenvalue"):
            gaussian.gaussian_kl(np.zeros(5), singular, np.zeros(5), np.eye(5))
    assert factored > 0
    with pytest.raises(InputError, match="smallest eigenvalue"):
        gaussian.gaussian_kl(np.zeros(3), np.ones((3, 3)) / 3, np.zeros(3), np.eye(3))
    assert gaussian.gaussian_kl(np.zeros(5), singular + 1e-6 * np.eye(5), np.zeros(5), np.eye(5)) > 0
    tiny = np.diag([1e-40, 1.0])
    assert gaussian.gaussian_kl(np.zeros(2), tiny, np.zeros(2), np.eye(2)) == pytest.approx(20 * np.log(10) - 0.5)
    # Rounding of a product of matrices is no asymmetry.
    rounded = np.array([[2.0, 0.3], [0.3 * (1 + 1e-12), 1.0]])
    assert gaussian.gaussian_kl(np.zeros(2), rounded, np.zeros(2), rounded.T) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian.gaussian_kl([0, 0], np.eye(3), [0, 0], np.eye(2)), r"mean0 \(2,\), covariance0 \(3, 3\)"),
        (
            lambda: gaussian.gaussian_kl([0, 0], [1, 1], [0, 0], np.eye(2)),
            r"covariance0 \(2,\).*shape \(\.\.\., k, k\)",
        ),
        (lambda: gaussian.gaussian_kl(0.0, [[1]], [0], [[1]]), r"mean0 \(\), .* k of at least 1"),
        (lambda: gaussian.gaussian_kl(*random_pair(2, 0, (2,))[:2], *random_gaussian(2, 0, (3,))), "do not broadcast"),
        (lambda: gaussian.diagonal_gaussian_kl([0, 0], [0], [0, 0], [0, 0]), r"log_std0 \(1,\), .* do not fit"),
        (lambda: gaussian.diagonal_gaussian_kl_gradient([0], [0], [0], [0, 0]), r"log_std1 \(2,\) do not fit"),
        (lambda: gaussian.standard_gaussian_kl([], []), r"mean \(0,\), log_std \(0,\) do not fit"),
        (lambda: gaussian.standard_gaussian_kl([0.0], [np.nan]), "log_std has 1 values that are NaN or infinite"),
        (lambda: gaussian.standard_gaussian_kl_gradient([np.inf], [0.0]), "mean has 1 values"),
        (lambda: gaussian.standard_gaussian_kl(["a"], [0.0]), "mean is not an array of real numbers"),
        (lambda: gaussian.standard_gaussian_kl(np.zeros((2, 3)), np.zeros((3, 3))), "the same length or 1"),
        (lambda: gaussian.reparameterized([0], [0], [[0, 1]]), r"noise \(1, 2\) do not fit"),
        (lambda: gaussian.reparameterized_gradient([0], [0, 1], [0]), r"log_std \(2,\)"),
        (lambda: gaussian.log_density([0, 1], [0], [0]), r"z \(2,\), mean \(1,\)"),
        (lambda: gaussian.draw([0.0], [0.0, 1.0], 5, 0), r"log_std \(2,\) do not fit"),
        (lambda: gaussian.draw([0.0], [0.0], 0, 0), "n_draws=0 is too small"),
        (lambda: gaussian.draw([0.0], [0.0], 1, -1), "seed=-1 is too small"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
