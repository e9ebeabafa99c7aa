"""Exact answers for every pair of unit kinds, against plain loops over states and integrals of one unit at a time."""

import itertools
import math

import naive
import numba
import numpy as np
import pytest
from scipy import integrate, stats

from mcgen import rbm
from mcgen.errors import InputError, SizeError
from mcgen.rbm.exact import limits, listing, log_weights
from mcgen.rbm.units import Unit

N_VISIBLE, N_HIDDEN = 3, 2  # units
MEANS, VARIANCES = [0.3, -0.4, 0.9], [0.5, 1.0, 0.7]


def kind(name, n_units):
    if name == "potts":
        return rbm.Potts(q=3)
    if name in ("gaussian", "relu"):
        return {"gaussian": rbm.Gaussian, "relu": rbm.ReLU}[name](MEANS[:n_units], VARIANCES[:n_units])
    return name


def random_model(names, seed=0, scale=0.7, n_visible=N_VISIBLE, n_hidden=N_HIDDEN):
    visible, hidden = kind(names[0], n_visible), kind(names[1], n_hidden)
    n, m = n_visible * getattr(visible, "q", 1), n_hidden * getattr(hidden, "q", 1)
    random = np.random.default_rng(seed)
    weights, b, c = (random.uniform(-scale, scale, size) for size in ((n, m), n, m))
    return rbm.RBM(weights, b, c, visible, hidden)


NAMES = ("bernoulli", "spin", "potts", "gaussian", "relu")
TWO_LEVEL = ("bernoulli", "spin")
CONTINUOUS = ("gaussian", "relu")
PAIRS = [
    pair
    for pair in itertools.product(NAMES, NAMES)
    if not (pair[0] in CONTINUOUS and pair[1] in CONTINUOUS) or pair == ("gaussian", "gaussian")
]
LISTED = [pair for pair in PAIRS if not set(pair) <= set(TWO_LEVEL) and pair != ("gaussian", "gaussian")]


def unit_states(name):
    if name == "potts":
        return [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    return [(0,), (1,)] if name == "bernoulli" else [(-1,), (1,)]


def layer_states(name, n_units):
    """All states, unit 0 fastest."""
    for units in itertools.product(unit_states(name), repeat=n_units):
        yield sum(reversed(units), ())


def one_unit(name, unit, x):
    """sum_s e^{x.s - U(s)}, and the means of s, s^2 and U(s) - x.s."""
    if name in CONTINUOUS:
        m, variance = MEANS[unit], VARIANCES[unit]
        (x,) = x
        center, width = m + variance * x, math.sqrt(variance)
        low, high = center - 12 * width, center + 12 * width
        if name == "relu":
            low, high = 0.0, max(high, 12 * width)

        def own(s):
            return (s - m) ** 2 / (2 * variance)

        def integral(f):
            def integrand(s):
                return f(s) * math.exp(x * s - own(s))

            middle = min(max(center, low), high)
            parts = ((low, middle), (middle, high))
            return math.fsum(integrate.quad(integrand, *part, epsabs=1e-13, epsrel=1e-12)[0] for part in parts)

        total = integral(lambda s: 1.0)
        mean, square, energy = (integral(f) / total for f in (lambda s: s, lambda s: s * s, lambda s: own(s) - x * s))
        return total, [mean], [square], energy
    states = unit_states(name)
    exponents = [math.fsum(a * s for a, s in zip(x, state, strict=True)) for state in states]
    p = [math.exp(e) for e in exponents]
    total = math.fsum(p)

    def mean_of(values):
        return math.fsum(w * value for w, value in zip(p, values, strict=True)) / total

    entries = range(len(states[0]))
    return (
        total,
        [mean_of([state[k] for state in states]) for k in entries],
        [mean_of([state[k] ** 2 for state in states]) for k in entries],
        mean_of([-e for e in exponents]),
    )


def given(name, n_units, weights, bias, state):
    """A layer in the fields of a state of the other: the log of its sum, and the means of s, s^2 and U(s) - x.s."""
    x = [bias[j] + math.fsum(s * weights[i][j] for i, s in enumerate(state)) for j in range(len(bias))]
    width = len(bias) // n_units
    units = [one_unit(name, unit, x[unit * width : (unit + 1) * width]) for unit in range(n_units)]
    log_sum = math.fsum(math.log(unit[0]) for unit in units)
    means, squares = ([value for unit in units for value in unit[k]] for k in (1, 2))
    return log_sum, means, squares, math.fsum(unit[3] for unit in units)


def oracle(names, model):
    """Log Z, the moments of `Moments`, <v v^T>, and the log weights of the states of the listed layer."""
    turned = names[0] in CONTINUOUS
    W, b, c = (model.transposed() if turned else model).parameters
    names, sizes = (names[::-1], (N_HIDDEN, N_VISIBLE)) if turned else (names, (N_VISIBLE, N_HIDDEN))
    listed = list(layer_states(names[0], sizes[0]))
    rows = [given(names[1], sizes[1], W, c, state) for state in listed]
    logs = [math.fsum(b * np.array(state)) + row[0] for state, row in zip(listed, rows, strict=True)]
    log_z = naive.log_sum_exp(logs)
    p = [math.exp(log - log_z) for log in logs]
    s, t, squares = np.array(listed, float), np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    energy = math.fsum(
        w * (row[3] - math.fsum(b * np.array(state))) for w, row, state in zip(p, rows, listed, strict=True)
    )
    p = np.array(p)
    own, other, both = p @ s, p @ t, (s.T * p) @ t
    own_squares, other_squares = p @ s**2, p @ squares
    if not turned:
        result = own, other, both, energy, log_z + energy, own_squares, other_squares
        return log_z, result, (s.T * p) @ s, logs
    second = (t.T * p) @ t
    np.fill_diagonal(second, other_squares)
    return log_z, (other, own, both.T, energy, log_z + energy, other_squares, own_squares), second, logs


def gaussian_oracle(model):
    """The same for two Gaussian layers: the joint precision matrix, inverted as a whole."""
    n = model.n_visible
    m = np.append(model.visible.mean_at_zero, model.hidden.mean_at_zero)
    variance = np.append(model.visible.variance_at_zero, model.hidden.variance_at_zero)
    W, b, c = model.parameters
    precision = np.diag(1 / variance)
    precision[:n, n:], precision[n:, :n] = -W, -W.T
    linear = np.append(b, c) + m / variance
    covariance = np.linalg.inv(precision)
    mean = covariance @ linear
    log_z = 0.5 * linear @ mean - np.sum(m**2 / (2 * variance))
    log_z += 0.5 * len(m) * math.log(2 * math.pi) - 0.5 * np.linalg.slogdet(precision)[1]
    second = covariance + np.outer(mean, mean)
    squares = np.diag(second)
    energy = np.sum((squares - 2 * m * mean + m**2) / (2 * variance)) - b @ mean[:n] - c @ mean[n:]
    energy -= np.sum(W * second[:n, n:])
    moments = mean[:n], mean[n:], second[:n, n:], energy, log_z + energy, squares[:n], squares[n:]
    return log_z, moments, covariance[:n, :n]


def check_moments(model, log_z, expected):
    of_model = rbm.exact.moments(model)
    assert of_model.log_partition == pytest.approx(log_z, rel=1e-12, abs=1e-12)
    assert rbm.exact.log_partition(model) == pytest.approx(log_z, rel=1e-12, abs=1e-12)
    for got, wanted in zip(of_model[1:], expected, strict=True):
        assert np.shape(got) == np.shape(wanted)
        assert np.allclose(got, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("terms", [1 << 19, 1])
@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair != ("gaussian", "gaussian")], ids="-".join)
def test_every_pair_against_plain_sums(pair, terms, monkeypatch):
    # In one block of states, and in blocks of the states of one unit.
    monkeypatch.setitem(listing.TERMS_PER_BLOCK, "cpu", terms)
    model = random_model(pair)
    log_z, moments, second, logs = oracle(pair, model)
    check_moments(model, log_z, moments)
    mean, covariance = rbm.exact.visible_moments(model)
    assert np.allclose(mean, moments[0], rtol=1e-11, atol=1e-12)
    assert np.allclose(covariance, second - np.outer(moments[0], moments[0]), rtol=1e-10, atol=1e-11)
    for got, wanted in zip(rbm.exact.negative_phase(model), (moments[2], *moments[:2]), strict=True):
        assert np.allclose(got, wanted, rtol=1e-11, atol=1e-12)
    if pair[0] in CONTINUOUS:
        return
    expected = np.array(logs) - log_z
    assert np.allclose(rbm.exact.log_probabilities(model), expected, rtol=0, atol=1e-12)
    assert np.allclose(rbm.exact.probabilities(model), np.exp(expected), rtol=1e-12)
    states = np.array(list(layer_states(pair[0], N_VISIBLE)))
    for state, log_p in zip(states[::5], expected[::5], strict=True):
        assert rbm.exact.log_likelihood(model, state) == pytest.approx(log_p, rel=1e-12)
    uniform = np.full(len(states), 1 / len(states))
    assert rbm.exact.kl_divergence(uniform, model) == pytest.approx(-math.log(len(states)) - expected.mean(), rel=1e-11)


@pytest.mark.parametrize("pair", [pair for pair in LISTED if pair[0] in CONTINUOUS], ids="-".join)
def test_the_density_of_continuous_units_is_a_mixture(pair):
    # Given h the units are normal, or normal and cut off at 0, by SciPy; p(h) from the plain sums.
    model = random_model(pair, seed=1)
    log_z, _, _, logs = oracle(pair, model)
    p = np.exp(np.array(logs) - log_z)
    m, w = np.array(MEANS), np.sqrt(VARIANCES)
    v = np.abs(np.random.default_rng(2).normal(size=(6, N_VISIBLE)))
    density = 0.0
    for weight, h in zip(p, layer_states(pair[1], N_HIDDEN), strict=True):
        center = m + w**2 * (model.visible_bias + model.weights @ np.array(h))
        law = stats.norm(center, w) if pair[0] == "gaussian" else stats.truncnorm(-center / w, np.inf, center, w)
        density += weight * law.pdf(v).prod(axis=1)
    assert rbm.exact.log_likelihood(model, v) == pytest.approx(np.log(density).mean(), rel=1e-11)


def test_gaussian_visible_and_hidden_roles_are_one_model():
    # A Bernoulli visible layer over Gaussian hidden units: the hidden marginal is the mixture of the turned model.
    model = random_model(("bernoulli", "gaussian"), seed=3)
    turned = model.transposed()
    assert rbm.exact.log_partition(model) == rbm.exact.log_partition(turned)
    one, other = rbm.exact.moments(model), rbm.exact.moments(turned)
    assert (one.visible_hidden == other.visible_hidden.T).all()
    assert (one.hidden_squares == other.visible_squares).all()
    mean, covariance = rbm.exact.visible_moments(turned)
    p, states = rbm.exact.probabilities(model), np.array(list(layer_states("bernoulli", N_VISIBLE)))
    centers = model.hidden_mean(states)
    assert np.allclose(mean, p @ centers, rtol=1e-12)
    expected = ((centers - mean).T * p) @ (centers - mean) + np.diag(model.hidden.variance_at_zero)
    assert np.allclose(covariance, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("plain", [True, False], ids=["unit variance", "means and variances"])
def test_the_hopfield_model(plain):
    # Gaussian hidden units of unit variance, integrated out, leave an Ising model with the couplings J = W W^T.
    random = np.random.default_rng(5)
    n, m = 7, 3
    W, b, c = random.normal(size=(n, m)) * 0.4, random.normal(size=n) * 0.3, random.normal(size=m) * 0.2
    means, variances = (np.zeros(m), np.ones(m)) if plain else (random.normal(size=m), random.uniform(0.3, 2, m))
    model = rbm.RBM(W, b, c, "spin", rbm.Gaussian(means, variances))
    J = W @ np.diag(variances) @ W.T
    if plain:
        assert np.allclose(J, W @ W.T)
    fields = b + W @ (means + variances * c)
    constant = np.sum(means * c + variances * c**2 / 2 + 0.5 * np.log(2 * np.pi * variances))

    def energy(s):
        pairs = math.fsum(J[i, k] * s[i] * s[k] for i in range(n) for k in range(i))
        return -pairs - math.fsum(fields[i] * s[i] for i in range(n))

    logs = [constant + np.trace(J) / 2 - energy(s) for s in naive.states(n, -1)]
    log_z = naive.log_sum_exp(logs)
    assert rbm.exact.log_partition(model) == pytest.approx(log_z, rel=1e-12)
    assert np.allclose(rbm.exact.log_probabilities(model), np.array(logs) - log_z, rtol=0, atol=1e-12)
    # The energy of the neurons too: each integrated unit has the mean energy 1/2 besides.
    p = np.exp(np.array(logs) - log_z)
    of_spins = p @ [energy(s) for s in naive.states(n, -1)] - np.trace(J) / 2 - np.sum(means * c + variances * c**2 / 2)
    assert rbm.exact.moments(model).energy == pytest.approx(of_spins + m / 2, rel=1e-12)


def test_potts_units_of_two_states_are_bernoulli_units():
    # e^{x_0} + e^{x_1} = e^{x_0} (1 + e^{x_1 - x_0}).
    random = np.random.default_rng(6)
    W, b, c = random.normal(size=(8, 3)), random.normal(size=8), random.normal(size=3)
    potts = rbm.RBM(W, b, c, visible=rbm.Potts(q=2))
    bernoulli = rbm.RBM(W[1::2] - W[::2], b[1::2] - b[::2], c + W[::2].sum(axis=0))
    assert rbm.exact.log_partition(potts) == pytest.approx(rbm.exact.log_partition(bernoulli) + b[::2].sum(), rel=1e-13)
    assert np.allclose(rbm.exact.probabilities(potts), rbm.exact.probabilities(bernoulli), rtol=1e-12)
    moments, expected = rbm.exact.moments(potts), rbm.exact.moments(bernoulli)
    assert np.allclose(moments.visible[1::2], expected.visible, rtol=1e-12)
    assert np.allclose(moments.visible_hidden[1::2], expected.visible_hidden, rtol=1e-12)
    assert moments.entropy == pytest.approx(expected.entropy, rel=1e-12)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_gradient_is_the_slope_of_the_log_likelihood(pair):
    model = random_model(pair, seed=7, scale=0.4)
    v = model.visible.draw(np.zeros((5, model.n_visible)), seed=8)
    gradient = rbm.exact.gradient(model, v)
    step = 1e-4
    for which, parameter in enumerate(model.parameters):
        for place in itertools.islice(np.ndindex(parameter.shape), 0, None, 2):
            values = []
            for shift in (-2, -1, 1, 2):
                moved = [array.copy() for array in model.parameters]
                moved[which][place] += shift * step
                values.append(rbm.exact.log_likelihood(model.replace(*moved), v))
            slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
            assert gradient[which][place] == pytest.approx(slope, rel=1e-9, abs=1e-10)


@pytest.mark.parametrize("size", [(3, 2), (2, 3), (1, 1)])
def test_two_gaussian_layers_against_the_joint_precision(size):
    model = random_model(("gaussian", "gaussian"), 9, 0.5, *size)
    log_z, moments, covariance = gaussian_oracle(model)
    check_moments(model, log_z, moments)
    mean, got = rbm.exact.visible_moments(model)
    assert np.allclose(mean, moments[0], rtol=1e-12)
    assert np.allclose(got, covariance, rtol=1e-12, atol=1e-14)
    v = np.random.default_rng(10).normal(size=(4, size[0]))
    expected = stats.multivariate_normal(moments[0], covariance).logpdf(v).mean()
    assert rbm.exact.log_likelihood(model, v) == pytest.approx(expected, rel=1e-11)


def test_two_gaussian_units_against_an_integral():
    model = rbm.RBM([[0.8]], [0.2], [-0.3], rbm.Gaussian(0.4, 0.9), rbm.Gaussian(-0.1, 0.7))
    z, _ = integrate.dblquad(
        lambda h, v: math.exp(-float(model.energy([v], [h]))), -14, 14, -14, 14, epsabs=1e-10, epsrel=1e-10
    )
    assert rbm.exact.log_partition(model) == pytest.approx(math.log(z), abs=1e-9)


def test_the_device_is_checked_also_where_nothing_runs_on_it():
    model = random_model(("gaussian", "gaussian"), scale=0.3)
    for function in (rbm.exact.log_partition, rbm.exact.moments, rbm.exact.visible_moments):
        with pytest.raises(InputError, match="device='tpu' is unknown"):
            function(model, device="tpu")


def test_two_gaussian_layers_close_to_divergence():
    # Largest singular value 1 - 1e-9: the variance is 1 / (1 - a^2).
    a = 1 - 1e-9
    model = rbm.RBM(np.diag([a, 0.0, 0.5]), np.zeros(3), np.zeros(3), "gaussian", "gaussian")
    _, covariance = rbm.exact.visible_moments(model)
    assert np.allclose(np.diag(covariance), [1 / ((1 - a) * (1 + a)), 1.0, 4 / 3], rtol=1e-12)
    expected = 3 * math.log(2 * math.pi) - 0.5 * (math.log((1 - a) * (1 + a)) + math.log(0.75))
    assert rbm.exact.log_partition(model) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("hidden", ["bernoulli", "gaussian"])
def test_gaussian_units_far_from_zero(hidden):
    # s = m + t: the same model with the origin at m, whose hidden fields are shifted by m W and energies by -b.m.
    random = np.random.default_rng(11)
    W, b, c = random.normal(size=(4, 3)) * 0.1, random.normal(size=4), random.normal(size=3)
    m = np.array([1e4, -2e4, 5e3, 1e4])
    near = rbm.RBM(W, b, c, "gaussian", hidden)
    far = rbm.RBM(W, b, c - m @ W, rbm.Gaussian(m), hidden)
    assert rbm.exact.log_partition(far) == pytest.approx(rbm.exact.log_partition(near) + b @ m, rel=1e-14)
    expected, moments = rbm.exact.moments(near), rbm.exact.moments(far)
    assert moments.energy + b @ m == pytest.approx(expected.energy, abs=1e-6)
    assert np.allclose(moments.visible - m, expected.visible, rtol=0, atol=1e-10)
    one, other = rbm.exact.visible_moments(near)[1], rbm.exact.visible_moments(far)[1]
    assert np.allclose(other, one, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kinds", list(itertools.product(TWO_LEVEL, TWO_LEVEL)), ids="-".join)
@pytest.mark.parametrize("layer", ["visible", "hidden"])
def test_listing_agrees_with_the_tables(kinds, layer, monkeypatch):
    # Two methods with nothing in common, on a model that both can do, in eight blocks of states and more.
    model = random_model(kinds, 12, 0.5, 11, 10)
    monkeypatch.setitem(listing.TERMS_PER_BLOCK, "cpu", 1 << 10)
    states = listing.Listing(model, layer, "cpu")
    assert states.n_blocks >= 8
    expected = rbm.exact.moments(model)
    assert listing.log_partition(states, None, None) == pytest.approx(expected.log_partition, rel=1e-14)
    log_z, listed, other, both = listing.first_moments(states, None, None)
    assert log_z == listing.log_partition(states, None, None)
    wanted = (expected.visible, expected.hidden, expected.visible_hidden)
    if layer == "hidden":
        wanted = (expected.hidden, expected.visible, expected.visible_hidden.T)
    for got, right in zip((listed, other, both), wanted, strict=True):
        assert np.allclose(got, right, rtol=1e-12, atol=1e-13)
    assert np.allclose(states.states(np.arange(1 << 10)), states.kind.list_states(states.rows.shape[1] + states.n_fixed,
                       0, 1 << 10))  # fmt: skip
    if layer == "visible":
        got = listing.all_log_weights(states) - log_z
        assert np.allclose(got, rbm.exact.log_probabilities(model), rtol=0, atol=1e-12)


# Independent draws


def chi_square(model, draws):
    expected = rbm.exact.probabilities(model) * len(draws)
    counts = np.bincount(model.visible.state_index(draws), minlength=len(expected))
    assert expected.min() > 10
    return stats.chi2.sf(np.sum((counts - expected) ** 2 / expected), len(expected) - 1)


@pytest.mark.parametrize("pair", [pair for pair in LISTED if pair[0] not in CONTINUOUS], ids="-".join)
def test_draws_of_discrete_units(pair):
    model = random_model(pair, seed=13, scale=0.4)
    draws = rbm.exact.sample(model, 40000, seed=14)
    assert draws.dtype == np.int8
    assert 1e-3 < chi_square(model, draws) < 1 - 1e-3


def of_moments(model, draws):
    """The p-value of the largest deviation of all first and second moments, in errors of the mean of the draws."""
    mean, covariance = rbm.exact.visible_moments(model)
    i, j = np.triu_indices(len(mean))
    numbers = np.hstack([draws, draws[:, i] * draws[:, j]])
    exact = np.append(mean, (covariance + np.outer(mean, mean))[i, j])
    pulls = (numbers.mean(axis=0) - exact) / (numbers.std(axis=0) / math.sqrt(len(numbers)))
    return min(1.0, 2 * stats.norm.sf(np.abs(pulls).max()) * len(pulls))


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0] in CONTINUOUS], ids="-".join)
def test_draws_of_continuous_units(pair):
    model = random_model(pair, seed=15, scale=0.5)
    draws = rbm.exact.sample(model, 300000, seed=16)
    assert draws.dtype == np.float64
    assert of_moments(model, draws) > 1e-3
    assert of_moments(model, 1.01 * draws) < 1e-6


def test_draws_of_a_gaussian_mixture_have_its_distribution():
    # Two modes far apart, of 0.3 and 0.7, and not their moments alone.
    model = rbm.RBM([[6.0]], [-3.0], [math.log(7 / 3)], "gaussian")
    draws = rbm.exact.sample(model, 100000, seed=17)[:, 0]
    law = lambda x: 0.3 * stats.norm.cdf(x, -3) + 0.7 * stats.norm.cdf(x, 3)  # noqa: E731
    assert stats.kstest(draws, law).pvalue > 1e-3
    assert stats.kstest(draws * 1.01, law).pvalue < 1e-6


@pytest.mark.parametrize("part", ["listed states", "units of the other layer"])
def test_draws_wrong_by_one_percent_fail(part, monkeypatch):
    choose, draw = log_weights.choose, Unit.draw

    def wrong_choice(logs, numbers):  # every second state one percent too often
        return choose(logs + 0.01 * (np.arange(len(logs)) % 2), numbers)

    def wrong_draw(self, fields, *arguments, **more):  # every second state of a unit one percent too often
        return draw(self, fields + 0.01 * (np.arange(fields.shape[-1]) % 3 == 1), *arguments, **more)

    if part == "listed states":
        model = random_model(("spin", "gaussian"), seed=18, scale=0.3)
        monkeypatch.setattr(log_weights, "choose", wrong_choice)
    else:
        model = random_model(("potts", "bernoulli"), seed=18, scale=0.3)
        monkeypatch.setattr(Unit, "draw", wrong_draw)
    assert limits.listed_layer(model) == ("visible" if part == "listed states" else "hidden")
    assert chi_square(model, rbm.exact.sample(model, 2500000, seed=19)) < 1e-6


@pytest.mark.parametrize("pair", [("gaussian", "potts"), ("potts", "relu"), ("gaussian", "gaussian")], ids="-".join)
def test_first_draws_do_not_depend_on_their_number(pair):
    model = random_model(pair, seed=20)
    draws = rbm.exact.sample(model, 1000, seed=21)
    assert (rbm.exact.sample(model, 300, seed=21) == draws[:300]).all()
    assert (rbm.exact.sample(model, 300, seed=22) != draws[:300]).any()


# Long sums, precision, threads


@pytest.mark.parametrize("of", ["log_partition", "moments"])
def test_an_interrupted_listing_goes_on_to_the_same_bits(of, monkeypatch, tmp_path):
    model = random_model(("relu", "spin"), 23, 0.5, 3, 8)
    monkeypatch.setitem(listing.TERMS_PER_BLOCK, "cpu", 64)
    compute = getattr(rbm.exact, of)
    whole = compute(model)
    right, blocks = listing.Listing.log_weights, []

    def interrupted(self, block):
        blocks.append(block)
        if len(blocks) == 4:
            raise KeyboardInterrupt
        return right(self, block)

    monkeypatch.setattr(listing.Listing, "log_weights", interrupted)
    path = tmp_path / "sum.h5"
    with pytest.raises(KeyboardInterrupt, match=r"of 256 states x 3 units at \d+%; the sum so far is in .*sum.h5"):
        compute(model, checkpoint=path)
    again = compute(model, checkpoint=path)
    assert blocks[4] == blocks[3]
    for one, two in zip(np.atleast_1d(np.array(whole, object)), np.atleast_1d(np.array(again, object)), strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize("pair", [("gaussian", "potts"), ("gaussian", "gaussian")], ids="-".join)
def test_float32_models_are_summed_in_float64(pair):
    model = random_model(pair, seed=24)
    small = model.replace(*(array.astype(np.float32) for array in model.parameters))
    double = small.replace(*(array.astype(np.float64) for array in small.parameters))
    assert rbm.exact.log_partition(small) == rbm.exact.log_partition(double)
    assert rbm.exact.moments(small).energy == rbm.exact.moments(double).energy
    assert rbm.exact.sample(small, 5, seed=1).dtype == np.float32


def test_results_do_not_depend_on_the_number_of_threads():
    model = random_model(("gaussian", "bernoulli"), 25, 0.1, 3, 9).replace(
        *(np.random.default_rng(26).normal(size=size) for size in ((3, 9), 3, 9))
    )
    results = []
    for n_threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(n_threads)
        results.append([*rbm.exact.moments(model), *rbm.exact.visible_moments(model), rbm.exact.sample(model, 99, 1)])
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


# What is out of reach


@pytest.mark.parametrize("pair", [("relu", "gaussian"), ("gaussian", "relu"), ("relu", "relu")], ids="-".join)
def test_continuous_layers_with_a_cut_are_refused(pair):
    model = random_model(pair, seed=27, scale=0.2)
    v = np.ones((2, N_VISIBLE))
    for refused in (
        rbm.exact.log_partition,
        rbm.exact.moments,
        rbm.exact.visible_moments,
        rbm.exact.negative_phase,
        rbm.exact.check_steps,
        lambda model: rbm.exact.sample(model, 2),
        lambda model: rbm.exact.log_likelihood(model, v),
        lambda model: rbm.exact.gradient(model, v),
    ):
        with pytest.raises(InputError, match=r"cut off at 0, without a closed form; take units .* or sample"):
            refused(model)
    assert not rbm.exact.is_quick(model)


def test_too_many_states_are_refused():
    potts = rbm.RBM.random(51, 100, seed=1, visible=rbm.Potts(q=3), hidden="gaussian")
    words = r"17 potts units of 3 states, more than 2\^26 states; the list for .* reaches 2\^24"
    for refused in (rbm.exact.log_partition, rbm.exact.moments, rbm.exact.visible_moments, rbm.exact.check_steps):
        with pytest.raises(SizeError, match=words):
            refused(potts)
    with pytest.raises(SizeError, match=words + ".*log_likelihood"):
        rbm.exact.log_probabilities(potts)
    with pytest.raises(SizeError, match=r"25 two-level units.*reaches 24.*sample"):
        rbm.exact.log_partition(rbm.RBM.random(30, 25, seed=1, scale=0.001, visible="gaussian"))
    with pytest.raises(SizeError, match=r"25 two-level units.*reaches 24.*sample"):
        rbm.exact.visible_moments(rbm.RBM.random(25, 26, seed=1))
    with pytest.raises(InputError, match=r"gaussian units have no list of states; .*visible_moments"):
        rbm.exact.probabilities(random_model(("gaussian", "spin")))
    assert not rbm.exact.is_quick(potts)
    # Few hidden states make the visible ones of no account, but for a list of them.
    few = rbm.RBM.random(51, 4, seed=1, visible=rbm.Potts(q=3))
    assert math.isfinite(rbm.exact.log_partition(few))
    assert rbm.exact.sample(few, 2).shape == (2, 51)


def test_time_is_judged_for_every_kind():
    def model(visible, n_hidden, hidden="bernoulli"):
        return rbm.RBM.random(784, n_hidden, seed=1, scale=1e-4, visible=visible, hidden=hidden)

    assert rbm.exact.is_quick(model("gaussian", 12))
    assert not rbm.exact.is_quick(model("gaussian", 20))
    assert rbm.exact.is_quick(model("relu", 12))
    assert not rbm.exact.is_quick(model("relu", 16))
    assert rbm.exact.is_quick(model("gaussian", 64, "gaussian"))
    assert not rbm.exact.is_quick(model("gaussian", 2000, "gaussian"))
    rbm.exact.check_steps(model("relu", 14))
    rbm.exact.check_steps(model("gaussian", 64, "gaussian"))
    with pytest.raises(SizeError, match=r"about \d+ seconds in each step; training reaches 15; use rbm.train with"):
        rbm.exact.check_steps(model("gaussian", 24))
