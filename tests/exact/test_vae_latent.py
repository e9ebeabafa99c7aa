"""Latent space against closed forms: with linear networks set by hand, everything is known."""

import numpy as np
import pytest
from linear_autoencoders import (
    CONDITIONAL,
    CONDITIONS,
    LOG_STD,
    N_FEATURES,
    N_LATENT,
    NET,
    ROWS,
    SPREADING,
    close,
    decoded,
    fourth_moments,
    identity,
    linear,
    means,
    moments_in_errors,
)
from scipy.integrate import quad
from scipy.stats import kstest, norm

from mcgen import vae
from mcgen.errors import InputError, StatisticsWarning
from mcgen.vae import gaussian, latent

WITH_AND_WITHOUT = [(NET, None), (CONDITIONAL, np.array([3.0, 5.0]))]


# --- paths and planes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("net", "c"), WITH_AND_WITHOUT)
def test_interpolation_is_a_straight_line_between_reconstructions(net, c):
    t = np.linspace(0, 1, 7)[:, None]
    got = latent.interpolate(net, ROWS[0], ROWS[1], n_steps=7, condition=c)
    close(got, (1 - t) * decoded(means(ROWS[0], c), c) + t * decoded(means(ROWS[1], c), c))
    close(got[[0, -1]], net.reconstruct(ROWS[:2], c))


def test_spherical_interpolation_turns_by_equal_angles_and_changes_length_linearly():
    net = identity(3)
    x0, x1 = np.array([2.0, 0.0, 0.0]), np.array([-1.5, 0.0, 1.5 * 3**0.5])  # lengths 2 and 3, 120 degrees apart
    path = latent.interpolate(net, x0, x1, n_steps=5, kind="spherical")
    close(path[[0, -1]], [x0, x1])
    close(np.linalg.norm(path, axis=1), [2, 2.25, 2.5, 2.75, 3])
    close(np.degrees(np.arctan2(path[:, 2], path[:, 0])), [0, 30, 60, 90, 120])
    close(path[:, 1], 0)
    # In one direction it is the straight line, and small angles lose no digits.
    close(latent.interpolate(net, x0, 3 * x0, kind="spherical"), latent.interpolate(net, x0, 3 * x0))
    near = latent.interpolate(net, x0, np.add(x0, [0, 1e-9, 0]), n_steps=3, kind="spherical")
    np.testing.assert_allclose(near[:, 1], [0, 0.5e-9, 1e-9], rtol=1e-6)


@pytest.mark.parametrize(("net", "c"), WITH_AND_WITHOUT)
def test_traversal_is_linear_in_the_latent(net, c):
    values = np.array([-3.0, 0.5, 2.0])
    for number in range(N_LATENT):
        z = np.zeros((3, N_LATENT))
        z[:, number] = values
        close(latent.traversal(net, latent=number, values=values, condition=c), decoded(z, c))
        z = np.repeat(means(ROWS[2], c)[None], 3, axis=0)
        z[:, number] = values
        close(latent.traversal(net, ROWS[2], number, values, condition=c), decoded(z, c))
    close(latent.traversal(net, condition=c), decoded(np.arange(-3, 4)[:, None] * np.eye(N_LATENT)[0], c))


@pytest.mark.parametrize(("net", "c"), WITH_AND_WITHOUT)
def test_manifold_is_a_grid_of_quantiles(net, c):
    q = norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9])
    got = latent.manifold(net, n_points=5, dimensions=(2, 0), condition=c)
    assert got.shape == (5, 5, N_FEATURES)
    for i in range(5):
        for j in range(5):
            close(got[i, j], decoded(np.array([q[j], 0.0, q[i]]), c))
    assert latent.manifold(net, condition=c).shape == (20, 20, N_FEATURES)


def test_paths_in_single_precision_and_of_an_autoencoder():
    net = NET.astype("float32")
    got = latent.interpolate(net, ROWS[0], ROWS[1])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, latent.interpolate(NET, ROWS[0], ROWS[1]), rtol=1e-4, atol=1e-4)
    plain = vae.Autoencoder(N_FEATURES, hidden=(4,), n_latent=2, seed=1)
    t = np.linspace(0, 1, 4)[:, None]
    codes = plain.encode(ROWS[:2])
    np.testing.assert_allclose(
        latent.interpolate(plain, ROWS[0], ROWS[1], 4), plain.decode((1 - t) * codes[0] + t * codes[1]), atol=1e-5
    )
    np.testing.assert_allclose(
        latent.traversal(plain, ROWS[0], 1, [codes[0, 1]]), plain.reconstruct(ROWS[:1]), atol=1e-5
    )


# --- the aggregate posterior ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("net", "c"), [(NET, None), (CONDITIONAL, CONDITIONS)])
def test_moments_of_the_aggregate_posterior_are_those_of_its_rows(net, c):
    q = latent.aggregate_posterior(net, ROWS, c)
    m, variances = means(ROWS, c), np.exp(2 * (ROWS @ SPREADING + LOG_STD))
    close(q.mean, m.mean(axis=0))
    second = np.mean([np.outer(a, a) + np.diag(b) for a, b in zip(m, variances, strict=True)], axis=0)
    close(q.covariance, second - np.outer(q.mean, q.mean))
    close(q.gaussian_kl, gaussian.gaussian_kl(q.mean, q.covariance, np.zeros(3), np.eye(3)))


def test_draws_of_the_aggregate_posterior_have_its_moments_and_one_percent_is_caught():
    # Means of the order of 1 with a spread of 0.3: the same draws tell one percent of either from the truth.
    random = np.random.default_rng(3)
    q = latent.AggregatePosterior(random.normal([2.0, -1.5], 0.3, (50, 2)), np.log(random.uniform(0.1, 0.3, (50, 2))))
    covariances = [np.diag(np.exp(2 * one)) for one in q.log_stds]
    exact = q.mean, q.covariance, fourth_moments(np.full(50, 0.02), q.means, covariances, q.mean)
    z = q.draw(400_000, seed=1)
    assert moments_in_errors(z, *exact) < 4
    assert moments_in_errors(1.01 * z, *exact) > 6
    assert moments_in_errors(q.mean + 1.01 * (z - q.mean), *exact) > 6
    assert (q.draw(10, seed=1) == z[:10]).all()
    assert not (q.draw(10, seed=2) == z[:10]).any()


def test_draws_of_the_aggregate_posterior_follow_its_distribution():
    q = latent.AggregatePosterior([[-2.0], [0.0], [3.0]], np.log([[0.5], [0.1], [1.0]]))
    distribution = norm(q.means[:, 0], np.exp(q.log_stds[:, 0]))
    assert kstest(q.draw(20_000, seed=5)[:, 0], lambda z: distribution.cdf(z[:, None]).mean(axis=1)).pvalue > 1e-3


def test_density_of_the_aggregate_posterior_integrates_to_one():
    q = latent.AggregatePosterior([[-2.0], [0.0], [3.0]], np.log([[0.5], [0.1], [1.0]]))
    total = quad(lambda z: np.exp(q.log_density([[z]])[0]), -10, 12, points=[-2, 0, 3], epsabs=1e-12)[0]
    assert total == pytest.approx(1, abs=1e-10)


def test_density_of_the_aggregate_posterior_is_the_mean_over_rows():
    random = np.random.default_rng(2)  # more rows and points than one block holds
    q = latent.AggregatePosterior(random.normal(size=(2500, 2)), random.normal(-1, 0.3, size=(2500, 2)))
    z = random.normal(size=(600, 2))
    wanted = norm.pdf(z[:, None], q.means, np.exp(q.log_stds)).prod(axis=2).mean(axis=1)
    np.testing.assert_allclose(q.log_density(z), np.log(wanted), rtol=1e-11)
    # Far away, where every term underflows, the nearest row decides.
    sharp = latent.AggregatePosterior([[0.0], [1.0]], [[-3.0], [-3.0]])
    wanted = gaussian.log_density([100.0], [1.0], [-3.0]) - np.log(2)
    np.testing.assert_allclose(sharp.log_density([[100.0]]), wanted, rtol=1e-13)


def test_active_units_are_those_whose_means_vary():
    # Variances of two values +-s are s^2: just below and above 0.01; the spread w counts for nothing.
    s = np.array([0.0, 0.0999, 0.1001, 1.0])
    q = latent.AggregatePosterior(np.stack([3 + s, 3 - s]), np.full((2, 4), 1.0))
    assert q.active_units.tolist() == [False, False, True, True]


# --- correlations and errors ----------------------------------------------------------------------------------------


def spins(n_rows, seed):
    """Rows of 16 spins around a magnetisation that differs from row to row."""
    random = np.random.default_rng(seed)
    return np.where(random.random((n_rows, 16)) < random.uniform(0, 1, (n_rows, 1)), 1, -1)


def test_a_latent_that_is_the_magnetisation_is_correlated_with_it_completely():
    x = spins(200, seed=1)
    m = x.mean(axis=1)
    encoding = np.stack([np.full(16, -3 / 16), np.eye(16)[2], np.zeros(16)], axis=1)
    net = linear(encoding, [0.5, 0.0, 1.0], 0 * encoding, np.zeros(3), np.ones((3, 16)), np.zeros(16), "spin")
    result = latent.correlations(net, x, {"magnetisation": m, "energy": -8 * m**2 + x[:, 3]})
    assert list(result) == ["magnetisation", "energy"]
    of_m = result["magnetisation"]
    assert of_m.value[0] == pytest.approx(-1, abs=1e-12)  # the sign of the encoder
    assert of_m.error[0] == pytest.approx(0, abs=1e-8)
    assert of_m.value[1] == pytest.approx(np.corrcoef(x[:, 2], m)[0, 1], abs=1e-12)
    assert result["energy"].value[0] == pytest.approx(-np.corrcoef(m, -8 * m**2 + x[:, 3])[0, 1], abs=1e-12)
    for one in result.values():
        assert np.isnan([one.value[2], one.error[2]]).all()  # a latent that is not used
        assert np.isfinite([one.value[:2], one.error[:2]]).all()


def test_errors_of_correlations_cover_the_truth_where_those_of_fisher_do_not():
    # Two peaks, as a magnetisation below the critical temperature has: z = s + 0.6 a, v = s + 0.6 b.
    random, net, n_rows, n_trials = np.random.default_rng(4), identity(1), 200, 600
    truth = 1 / 1.36
    deviation, error, fisher = np.empty((3, n_trials))
    for trial in range(n_trials):
        s = random.choice([-1.0, 1.0], n_rows)
        z, v = s + 0.6 * random.normal(size=(2, n_rows))
        result = latent.correlations(net, z[:, None], {"v": v})["v"]
        deviation[trial], error[trial] = abs(result.value[0] - truth), result.error[0]
        fisher[trial] = (1 - result.value[0] ** 2) / n_rows**0.5
    allowed = 4 * np.sqrt(0.683 * 0.317 / n_trials)
    assert abs((deviation < error).mean() - 0.683) < allowed
    assert abs((deviation < 2 * error).mean() - 0.954) < allowed
    assert error.mean() == pytest.approx(np.sqrt((deviation**2).mean()), rel=0.1)
    assert fisher.mean() / np.sqrt((deviation**2).mean()) > 1.2


def test_rows_that_belong_together_count_once():
    random = np.random.default_rng(6)
    x, v = random.normal(size=(60, 2)), random.normal(size=60)
    net = identity(2)
    once = latent.correlations(net, x, {"v": v})["v"]
    order = random.permutation(240)
    x4, v4, chains = (np.repeat(array, 4, axis=0)[order] for array in (x, v, 10.0 - np.arange(60)))
    grouped = latent.correlations(net, x4, {"v": v4}, groups=chains)["v"]
    close(grouped.value, once.value)
    close(grouped.error, once.error)
    alone = latent.correlations(net, x4, {"v": v4})["v"]
    close(alone.error, once.error * np.sqrt((60 - 1) / (240 - 1)))


def test_correlations_of_a_conditional_model_and_an_autoencoder():
    v = ROWS[:, 0]
    result = latent.correlations(CONDITIONAL, ROWS, {"v": v}, CONDITIONS)["v"]
    close(result.value, [np.corrcoef(column, v)[0, 1] for column in means(ROWS, CONDITIONS).T])
    plain = vae.Autoencoder(N_FEATURES, hidden=(4,), n_latent=2, dtype="float64", activation="tanh", seed=1)
    result = latent.correlations(plain, ROWS, {"v": v})["v"]
    close(result.value, [np.corrcoef(column, v)[0, 1] for column in plain.encode(ROWS).T])


def test_few_groups_give_a_warning():
    with pytest.warns(StatisticsWarning, match="19 independent groups of rows are fewer than 20"):
        latent.correlations(NET, ROWS, {"v": ROWS[:, 0]}, groups=np.arange(40) % 19)
    latent.correlations(NET, ROWS, {"v": ROWS[:, 0]}, groups=np.arange(40) % 20)


def test_reconstruction_errors_by_hand():
    random = np.random.default_rng(8)
    y = random.normal(size=(2500, 3))  # more rows than one block holds
    x = random.integers(0, 2, (2500, 3))
    # m = 2 x - 1 and fields 0.7 z: probabilities sigmoid(+-0.7), means tanh(+-0.7) of spins.
    for decoder, rows in (("bernoulli", x), ("spin", 2 * x - 1)):
        slope, shift = (2.0, -1.0) if decoder == "bernoulli" else (1.0, 0.0)
        net = linear(slope * np.eye(3), [shift] * 3, np.zeros((3, 3)), [0.0] * 3, 0.7 * np.eye(3), [0.1] * 3, decoder)
        up = 1 / (1 + np.exp(-(1 if decoder == "bernoulli" else 2) * (0.7 * (2 * x - 1) + 0.1)))
        got = latent.reconstruction_error(net, rows)
        distance = 1 if decoder == "bernoulli" else 2
        close(got.squared, (distance**2 * (x - up) ** 2).mean(axis=1))
        close(got.cross_entropy, -(x * np.log(up) + (1 - x) * np.log(1 - up)).mean(axis=1))
    net = linear(0.5 * np.eye(3), [0.0] * 3, np.zeros((3, 3)), [0.0] * 3, np.eye(3), [0.2] * 3, vae.Gaussian(std=0.3))
    got = latent.reconstruction_error(net, y)
    close(got.squared, ((0.5 * y - 0.2) ** 2).mean(axis=1))
    close(got.cross_entropy, -norm.logpdf(y, 0.5 * y + 0.2, 0.3).mean(axis=1))


def test_reconstruction_errors_of_a_conditional_model_and_an_autoencoder():
    got = latent.reconstruction_error(CONDITIONAL, ROWS, CONDITIONS)
    restored = decoded(means(ROWS, CONDITIONS), CONDITIONS)
    close(got.squared, ((ROWS - restored) ** 2).mean(axis=1))
    plain = vae.Autoencoder(N_FEATURES, hidden=(4,), n_latent=2, dtype="float64", seed=1)
    close(latent.reconstruction_error(plain, ROWS).squared, ((ROWS - plain.reconstruct(ROWS)) ** 2).mean(axis=1))
    spin = identity(2, decoder="spin").astype("float32")
    assert latent.reconstruction_error(spin, [[1, -1]]).squared == pytest.approx((1 - np.tanh(1)) ** 2, rel=1e-5)


def test_groups_are_averaged_by_hand_and_their_errors_cover_the_truth():
    values, groups = [4.0, 1.0, 2.0, 6.0, 7.0, 3.0], [2.5, 1.0, 2.5, 3.0, 1.0, 2.5]
    got = latent.by_group(values, groups)
    assert got.groups.tolist() == [1.0, 2.5, 3.0]
    close(got.mean, [4, 3, 6])
    close(got.error, [3, np.sqrt(1 / 3), np.nan])
    random = np.random.default_rng(2)
    labels = random.permutation(np.repeat(np.arange(1000), 25))
    many = latent.by_group(random.exponential(size=25_000) + labels, labels)
    inside = (np.abs(many.mean - many.groups - 1) < many.error).mean()
    assert abs(inside - 0.683) < 4 * np.sqrt(0.683 * 0.317 / 1000)


# --- bad input ------------------------------------------------------------------------------------------------------

PLAIN = vae.Autoencoder(N_FEATURES, hidden=(), n_latent=2, activation="linear")
SPIN = identity(2, decoder="spin")
X, V = ROWS[:30], {"v": ROWS[:30, 0]}
NAN = np.nan

CASES = {
    "a row of another length": (lambda: latent.interpolate(NET, ROWS[0, :4], ROWS[1]), r"x0 has shape \(4,\)"),
    "many rows for one": (lambda: latent.interpolate(NET, ROWS[0], ROWS), r"x1 has shape \(40, 5\)"),
    "a row of other data": (lambda: latent.interpolate(SPIN, [1, -1], [1, 0]), "x1 has the value 0"),
    "one step": (lambda: latent.interpolate(NET, ROWS[0], ROWS[1], n_steps=1), "n_steps=1 is too small"),
    "unknown path": (lambda: latent.interpolate(NET, ROWS[0], ROWS[1], kind="bent"), "kind='bent' is unknown"),
    "no condition": (lambda: latent.interpolate(CONDITIONAL, ROWS[0], ROWS[1]), "condition is missing"),
    "a condition too many": (lambda: latent.traversal(NET, condition=[1.0]), "takes no condition"),
    "a condition for a code": (
        lambda: latent.correlations(PLAIN, X, V, np.ones((30, 1))),
        "takes no condition",
    ),
    "two conditions for a path": (
        lambda: latent.traversal(CONDITIONAL, condition=CONDITIONS[:2]),
        r"condition has shape \(2, 2\); its shape must be \(1, 2\)",
    ),
    "path from nowhere": (
        lambda: latent.interpolate(identity(2), [0.0, 0.0], [1.0, 0.0], kind="spherical"),
        "a latent mean is 0 .*kind='linear'",
    ),
    "path to the other side": (
        lambda: latent.interpolate(SPIN, [1, -1], [-1, 1], kind="spherical"),
        "opposite directions.*kind='linear'",
    ),
    "latent out of range": (lambda: latent.traversal(NET, latent=3), "latent=3 is too large.*at most 2"),
    "values of two axes": (lambda: latent.traversal(NET, values=[[1.0]]), r"values has shape \(1, 1\)"),
    "nan value": (lambda: latent.traversal(NET, values=[NAN]), "values has 1 values that are NaN"),
    "traversal from many rows": (lambda: latent.traversal(NET, ROWS), r"x has shape \(40, 5\)"),
    "no plane": (lambda: latent.manifold(identity(1)), "n_latent=1 leaves no plane.*traversal"),
    "a plane of codes": (lambda: latent.manifold(PLAIN), "is not a VAE and has no distribution"),
    "no points": (lambda: latent.manifold(NET, n_points=0), "n_points=0 is too small"),
    "a plane of one": (lambda: latent.manifold(NET, dimensions=(1, 1)), r"dimensions=\(1, 1\) names one latent twice"),
    "a plane of three": (lambda: latent.manifold(NET, dimensions=(0, 1, 2)), "is not a pair"),
    "a plane of a number": (lambda: latent.manifold(NET, dimensions=2), "dimensions=2 is not a pair"),
    "a plane outside": (lambda: latent.manifold(NET, dimensions=(0, 3)), "dimensions=3 is too large"),
    "posterior of codes": (lambda: latent.aggregate_posterior(PLAIN, X), "give a VAE or a ConditionalVAE"),
    "posterior of nothing": (lambda: latent.aggregate_posterior(NET, X[:0]), "x has no rows"),
    "means without rows": (lambda: latent.AggregatePosterior(np.ones((0, 2)), np.ones((0, 2))), r"means has shape"),
    "other log_stds": (lambda: latent.AggregatePosterior(np.ones((3, 2)), np.ones((3, 1))), "log_stds has shape"),
    "points of another space": (
        lambda: latent.aggregate_posterior(NET, X).log_density(np.ones((4, 2))),
        r"z has shape \(4, 2\); its shape must be \(any, 3\)",
    ),
    "no draws of rows": (lambda: latent.aggregate_posterior(NET, X).draw(0), "n_draws=0 is too small"),
    "negative seed": (lambda: latent.aggregate_posterior(NET, X).draw(1, seed=-1), "seed=-1 is too small"),
    "two rows": (lambda: latent.correlations(NET, X[:2], {"v": [0.0, 1.0]}), "x has 2 rows.*at least 3"),
    "no quantities": (lambda: latent.correlations(NET, X, {}), "quantities is not a dict of at least one"),
    "a bare array": (lambda: latent.correlations(NET, X, X[:, 0]), "quantities is not a dict"),
    "quantity of other rows": (lambda: latent.correlations(NET, X, {"m": X[:9, 0]}), r"m has shape \(9,\)"),
    "constant quantity": (lambda: latent.correlations(NET, X, {"m": np.ones(30)}), "m is 1.0 for all rows"),
    "one group": (lambda: latent.correlations(NET, X, V, groups=np.ones(30)), "groups has one value"),
    "groups of other rows": (lambda: latent.correlations(NET, X, V, groups=[1, 2]), r"groups has shape \(2,\)"),
    "errors of other data": (lambda: latent.reconstruction_error(SPIN, [[0, 1]]), "x has the value 0"),
    "no values": (lambda: latent.by_group([], []), "values has no rows"),
    "values without groups": (lambda: latent.by_group([1.0, 2.0], [1.0]), r"groups has shape \(1,\)"),
    "nan among values": (lambda: latent.by_group([1.0, NAN], [1, 1]), "values has 1 values that are NaN"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named(case):
    call, message = CASES[case]
    with pytest.raises(InputError, match=message):
        call()
