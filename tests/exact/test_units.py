"""What each kind of unit knows of itself, against sums and integrals over its states."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from mcgen import _cpu, rbm, rng
from mcgen.errors import InputError
from mcgen.rbm import units
from mcgen.rbm.units import formulas as unit_formulas

MEAN, VARIANCE = [0.3, -1.2], [0.5, 2.0]
KINDS = {
    "bernoulli": rbm.Bernoulli(),
    "spin": rbm.Spin(),
    "potts": rbm.Potts(q=3),
    "gaussian": rbm.Gaussian(MEAN, VARIANCE),
    "relu": rbm.ReLU(MEAN, VARIANCE),
}
# Fields of two units: ordinary, and so large that a careless formula overflows or cancels.
FIELDS = [(0.4, -1.3), (0.0, 0.0), (8.0, -9.0), (700.0, -700.0), (-1e4, 1e4)]


def fields_of(name, pair):
    return np.array([pair[0], 0.2, -0.5, pair[1], 0.1, 1.0] if name == "potts" else pair)


def moments(name, unit, x):
    """log sum e^{x s - U}, <s> and the variance of one unit, slowly; x is its field, or its fields."""
    if name in ("bernoulli", "spin", "potts"):
        states = {"bernoulli": np.array([[0.0], [1.0]]), "spin": np.array([[-1.0], [1.0]]), "potts": np.eye(3)}[name]
        log_weights = states @ np.atleast_1d(x)
        largest = log_weights.max()
        weights = np.exp(log_weights - largest)
        p = weights / weights.sum()
        mean = p @ states
        return largest + np.log(weights.sum()), mean, p @ states**2 - mean**2
    m, w = MEAN[unit], np.sqrt(VARIANCE[unit])
    center = m + w * w * x
    low = 0.0 if name == "relu" else -np.inf
    if name == "relu" and center < -30 * w:  # an exponential tail; integrate it at its own scale
        scale = w * w / -center
        grid = np.linspace(0, 60 * scale, 200_001)
    else:
        grid = np.linspace(max(low, center - 12 * w), max(center, 0.0) + 12 * w, 200_001)
    log_density = x * grid - (grid - m) ** 2 / (2 * w * w)
    top = log_density.max()
    density = np.exp(log_density - top)
    z = integrate.simpson(density, x=grid)
    mean = integrate.simpson(grid * density, x=grid) / z
    variance = integrate.simpson((grid - mean) ** 2 * density, x=grid) / z
    return top + np.log(z), np.array([mean]), np.array([variance])


@pytest.mark.parametrize("pair", FIELDS, ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_cumulant_mean_and_variance(name, pair):
    fields = fields_of(name, pair)
    layer = KINDS[name].for_layer("visible", len(fields))
    want = [moments(name, k, x) for k, x in enumerate(fields.reshape(2, -1).squeeze())]
    assert layer.cumulant(fields) == pytest.approx(sum(one[0] for one in want), rel=1e-11, abs=1e-12)
    # far beyond the cut of a ReLU the series of mean and variance are good to 1e-8
    assert np.allclose(layer.mean(fields), np.concatenate([one[1] for one in want]), rtol=1e-8, atol=1e-15)
    assert np.allclose(layer.variance(fields), np.concatenate([one[2] for one in want]), rtol=2e-7, atol=1e-15)


@pytest.mark.parametrize("name", KINDS)
def test_mean_and_variance_are_derivatives_of_the_cumulant(name):
    layer = KINDS[name].for_layer("visible", len(fields_of(name, (0.4, -1.3))))
    for pair in ((0.4, -1.3), (5.0, -6.0), (-0.01, 0.01)):
        fields, step = fields_of(name, pair), 1e-4
        for k in range(len(fields)):
            shift = np.eye(len(fields))[k] * step
            up, middle, down = (layer.cumulant(fields + sign * shift) for sign in (1, 0, -1))
            assert layer.mean(fields)[k] == pytest.approx((up - down) / (2 * step), abs=1e-7)
            assert layer.variance(fields)[k] == pytest.approx((up - 2 * middle + down) / step**2, abs=2e-6)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("pair", FIELDS[:3], ids=str)
def test_draws_have_the_distribution(name, pair):
    n = 200_000
    fields = fields_of(name, pair)
    layer = KINDS[name].for_layer("visible", len(fields))
    states = layer.draw(np.tile(fields, (n, 1)), seed=5)
    if layer.is_discrete:
        assert states.dtype == np.int8
        p = layer.mean(fields)
        if name == "spin":
            p, states = (1 + p) / 2, states > 0
        z = (states.mean(axis=0) - p) / np.sqrt(p * (1 - p) / n + 1e-12)
        assert np.abs(z).max() < 4.5
    else:
        m, w = np.array(MEAN), np.sqrt(VARIANCE)
        center = m + w * w * fields
        low = -center / w if name == "relu" else np.full(2, -np.inf)
        for k in range(2):
            result = stats.kstest(states[:, k], stats.truncnorm(low[k], np.inf, center[k], w[k]).cdf)
            assert 1e-3 < result.pvalue < 1 - 1e-3


@pytest.mark.parametrize("name", ["gaussian", "relu"])
def test_draws_one_percent_too_wide_fail(name):
    fields = np.array([0.4, -1.3])
    layer, wide = (type(KINDS[name])(MEAN, np.array(VARIANCE) * f).for_layer("visible", 2) for f in (1, 1.01**2))
    # the same conditional mean before the cut, and a width wrong by one percent
    center = np.array(MEAN) + np.array(VARIANCE) * fields
    states = wide.draw(np.tile((center - np.array(MEAN)) / (np.array(VARIANCE) * 1.01**2), (1_000_000, 1)), seed=5)
    low = -center / np.sqrt(VARIANCE) if name == "relu" else np.full(2, -np.inf)
    p = [
        stats.kstest(states[:, k], stats.truncnorm(low[k], np.inf, center[k], np.sqrt(VARIANCE[k])).cdf).pvalue
        for k in range(2)
    ]
    assert min(p) < 1e-6
    assert layer.name == name


def test_two_level_units_in_extreme_fields_keep_the_resolution_of_a_word():
    # At |y| = 20 the rare state has the probability 2e-9: one word in 2^29 gives it, in both precisions.
    formulas = _cpu.formulas("mcgen.rbm.units.formulas")
    for low, field in ((0, 20.0), (-1, 10.0)):
        q = np.exp(-20.0) / (1 + np.exp(-20.0))
        limit = int(q * 2**32)
        for is_up, kind in ((formulas.is_up, np.float64), (formulas.is_up_single, np.float32)):
            for sign in (1, -1):
                common = sign > 0
                assert is_up(low, kind(sign * field), np.uint32(limit + 2)) == common
                assert is_up(low, kind(sign * field), np.uint32(max(0, limit - 2))) == (not common)
                assert is_up(low, kind(sign * field), np.uint32(2**32 - 1)) == common


def test_single_and_double_precision_draw_the_same_but_at_thresholds():
    formulas = _cpu.formulas("mcgen.rbm.units.formulas")
    words = rng.words(3, 0, 1, 20_000)[0]
    fields = np.random.default_rng(1).normal(scale=4, size=20_000).astype(np.float32)
    for low in (0, -1):
        one = np.array([formulas.is_up(low, x, word) for x, word in zip(fields, words, strict=True)])
        two = np.array([formulas.is_up_single(low, x, word) for x, word in zip(fields, words, strict=True)])
        p = formulas.probability_up
        for k in np.flatnonzero(one != two):
            u = (words[k] + 0.5) / 2**32
            assert min(abs(u - p(low, fields[k])), abs(1 - u - p(low, fields[k]))) < 1e-6
        assert (one != two).sum() <= 3


def test_means_in_single_precision():
    fields = np.concatenate([np.linspace(-30, 30, 4001), [-1e4, -100.0, 100.0, 1e4]]).astype(np.float32)
    for target in (unit_formulas, _cpu.formulas("mcgen.rbm.units.formulas")):
        for low, exact in ((0, special.expit), (-1, np.tanh)):
            means = np.array([target.two_level_mean_single(low, x) for x in fields])
            np.testing.assert_allclose(means, exact(fields.astype(np.float64)), rtol=4e-7, atol=2e-7)


@pytest.mark.parametrize("name", ["bernoulli", "spin", "potts"])
def test_lists_of_states(name):
    layer, n_entries = KINDS[name], 6
    count = layer.n_states(n_entries)
    states = layer.list_states(n_entries, 0, count)
    assert (layer.state_index(states) == np.arange(count)).all()
    assert len(np.unique(states, axis=0)) == count
    layer.check("v", states, exact=True)
    assert (layer.list_states(n_entries, 5, 9) == states[5:9]).all()
    assert (layer.energy_term(states) == 0).all()


@pytest.mark.parametrize("name", ["gaussian", "relu"])
def test_own_energy(name):
    layer = KINDS[name].for_layer("visible", 2)
    states = np.array([[0.5, 2.0], [0.0, 1.0]])
    want = ((states - MEAN) ** 2 / (2 * np.array(VARIANCE))).sum(axis=1)
    assert np.allclose(layer.energy_term(states), want, rtol=1e-15)
    model = rbm.RBM(np.ones((2, 1)), np.array([0.1, 0.2]), np.array([0.3]), layer, "spin")
    h = np.array([[1.0], [-1.0]])
    plain = want - states @ [0.1, 0.2] - 0.3 * h[:, 0] - states.sum(axis=1) * h[:, 0]
    assert np.allclose(model.energy(states, h), plain, rtol=1e-14)


def test_a_part_of_a_layer_keeps_its_own_numbers():
    layer = rbm.ReLU([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]).for_layer("hidden", 3)
    part = layer.part(np.array([0, 2]))
    assert part == rbm.ReLU([1.0, 3.0], [4.0, 6.0])
    assert part != rbm.Gaussian([1.0, 3.0], [4.0, 6.0])
    assert rbm.Potts(3).part(np.arange(3)) == rbm.Potts(3) != rbm.Potts(4)


# Which pairs have a finite Z.


def model_of(visible, hidden, weights):
    weights = np.atleast_2d(weights)
    return rbm.RBM(weights, np.zeros(weights.shape[0]), np.zeros(weights.shape[1]), visible, hidden)


@pytest.mark.parametrize("continuous", ["gaussian", "relu"])
@pytest.mark.parametrize("discrete", ["bernoulli", "spin", rbm.Potts(2)], ids=str)
def test_a_discrete_layer_makes_every_model_normalizable(continuous, discrete):
    weights = np.full((2, 2), 50.0)
    assert model_of(continuous, discrete, weights).n_visible == model_of(discrete, continuous, weights).n_visible == 2


def test_two_gaussian_layers_need_weights_below_one():
    model_of("gaussian", "gaussian", 0.99)
    with pytest.raises(
        InputError, match=r"gaussian visible and gaussian hidden units .* no finite Z.* must be below 1"
    ):
        model_of("gaussian", "gaussian", 1.0)
    with pytest.raises(InputError, match=r"have the norm 1\.2"):
        model_of(rbm.Gaussian(variance=4.0), "gaussian", 0.6)
    model_of(rbm.Gaussian(variance=4.0), rbm.Gaussian(variance=0.25), 0.9)


def test_relu_layers_gain_nothing_from_negative_weights():
    model_of("relu", "relu", -30.0)
    with pytest.raises(InputError, match="no finite Z"):
        model_of("relu", "relu", 1.1)
    # v and -v are both there for a Gaussian layer
    with pytest.raises(InputError, match="no finite Z"):
        model_of("gaussian", "relu", -1.1)
    # two hidden ReLU units that would only grow together in opposite directions
    opposite = np.array([[0.8, -0.8]])
    model_of("gaussian", "relu", opposite)
    model_of("relu", "gaussian", opposite.T)
    with pytest.raises(InputError, match="no finite Z"):
        model_of("gaussian", "gaussian", opposite)


def test_names():
    assert set(units.NAMES) == set(KINDS)
    for name, kind in KINDS.items():
        assert kind.name == name
