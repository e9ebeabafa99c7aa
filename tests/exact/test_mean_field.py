"""Mean-field values of log Z: the order of their error in the weights, bounds, and fixed points."""

import itertools

import naive
import numpy as np
import pytest

from mcgen import rbm
from mcgen.errors import InputError
from mcgen.rbm.partition import mean_field

GAUSSIAN, RELU = rbm.Gaussian(mean=0.3, variance=0.8), rbm.ReLU(mean=0.2, variance=0.7)
KINDS = {"bernoulli": "bernoulli", "spin": "spin", "potts": rbm.Potts(3), "gaussian": GAUSSIAN, "relu": RELU}
# All pairs of kinds with an exact log Z.
PAIRS = [pair for pair in itertools.product(KINDS, KINDS) if "relu" not in pair or not {*pair} <= {"relu", "gaussian"}]


def scaled(visible, hidden, scale):
    """The same weights at any scale, biases that do not scale."""
    random = np.random.default_rng(3)
    weights, b, c = random.normal(size=(6, 6)), 0.5 * random.normal(size=6), 0.5 * random.normal(size=6)
    return rbm.RBM(scale * weights, b, c, KINDS[visible], KINDS[hidden])


@pytest.mark.parametrize(("visible", "hidden"), PAIRS)
def test_the_error_falls_with_the_order_of_the_expansion(visible, hidden):
    """Errors of the naive value fall as W^2, of the second order as W^3 or faster, of the third as W^4."""
    orders = (1, 2, 3) if "potts" not in (visible, hidden) else (1, 2)
    errors = np.empty((2, len(orders)))
    for row, scale in zip(errors, (0.04, 0.02), strict=True):
        model = scaled(visible, hidden, scale)
        exact = rbm.exact.log_partition(model)
        row[0] = mean_field.naive_mean_field(model).value - exact
        row[1:] = [mean_field.tap(model, order).value - exact for order in orders[1:]]
    assert (errors[:, 0] < 0).all()
    errors = np.abs(errors)
    slopes = np.log2(errors[0] / errors[1])
    assert slopes[0] == pytest.approx(2, abs=0.1)
    # A small third-order term may hide behind the fourth: then the error itself must be that small.
    assert (errors[1, 1:] < 0.3 * errors[1, 0] * 0.02).all()
    if errors[1, 1] > 1e-9:
        assert slopes[1] > 2.2
    if len(orders) == 3:
        assert slopes[2] == pytest.approx(4, abs=0.4) or errors[1, 2] < 1e-9


def test_units_without_weights_are_exact():
    for visible, hidden in PAIRS:
        model = scaled(visible, hidden, 0.0)
        exact = rbm.exact.log_partition(model)
        assert mean_field.naive_mean_field(model).value == pytest.approx(exact, abs=1e-11)
        assert mean_field.tap(model).value == pytest.approx(exact, abs=1e-11)


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 10.0])
def test_the_naive_value_is_a_bound_at_any_strength(scale):
    for seed, kinds in enumerate((("bernoulli", "bernoulli"), ("spin", "spin"), ("bernoulli", "gaussian"))):
        random = np.random.default_rng(seed)
        weights = random.normal(size=(8, 5)) * scale
        model = rbm.RBM(weights, random.normal(size=8), random.normal(size=5), *kinds)
        found = mean_field.naive_mean_field(model, seed=seed)
        exact = rbm.exact.log_partition(model)
        assert found.value < exact
        assert found.interval[0] == found.value
        assert found.interval[1] == np.inf
        assert found.is_approximation
        assert np.isnan(found.error)
        assert found.checked_against[0].value == exact


def test_the_naive_value_is_the_bound_typed_again():
    """sum of entropies minus the mean energy of independent Bernoulli units with the means that were found."""
    model = rbm.RBM.random(n_visible=5, n_hidden=4, seed=2, scale=1.5)
    found = mean_field.naive_mean_field(model)
    m, mu = found.settings["visible_means"], found.settings["hidden_means"]
    entropy = -sum(p * np.log(p) + (1 - p) * np.log(1 - p) for p in (*m, *mu))
    assert found.value == pytest.approx(entropy - naive.rbm_energy(m, mu, *model.parameters), abs=1e-10)


def test_tap_beats_the_naive_value_for_weak_weights():
    for seed in range(5):
        model = rbm.RBM.random(n_visible=12, n_hidden=10, seed=seed, scale=0.4)
        exact = rbm.exact.log_partition(model)
        naive_error = exact - mean_field.naive_mean_field(model).value
        assert abs(mean_field.tap(model).value - exact) < naive_error / 10


def test_data_lead_to_the_modes_that_they_come_from():
    """Two far modes of different weight: a search from the data finds the larger one, with its means."""
    weights = np.full((30, 1), 1.0)
    model = rbm.RBM(weights, np.full(30, -0.52), np.zeros(1), "spin", "spin")
    down = mean_field.naive_mean_field(model, v=-np.ones((3, 30)))
    assert down.settings["visible_means"].mean() < -0.8
    assert down.value == pytest.approx(rbm.exact.log_partition(model), abs=0.1)


def test_stationary_means_of_tap_are_stationary():
    """The value does not change to first order when the fields do: a wrong reaction term would show."""
    for pair in (("bernoulli", "spin"), ("potts", "bernoulli"), ("relu", "spin"), ("potts", "potts")):
        model = scaled(*pair, 0.3)
        for order in (2, 3) if "potts" not in pair else (2,):
            expansion = mean_field._Expansion(model, order)
            means = model.visible.mean(model.visible_bias)
            fields = [model.visible_bias.copy(), model.hidden_bias + means @ model.weights]
            for _ in range(300):
                layers = expansion.layers(fields)
                fields = [x + 0.5 * (expansion.fields(k, layers) - x) for k, x in enumerate(fields)]
            moved = np.random.default_rng(1).normal(size=(2, 6))
            values = []
            for step in (-1e-3, 0.0, 1e-3):
                shifted = [x + step * d for x, d in zip(fields, moved, strict=True)]
                values.append(expansion.value(shifted, expansion.layers(shifted)))
            slope, second = (values[2] - values[0]) / 2e-3, (values[2] - 2 * values[1] + values[0]) / 1e-6
            assert abs(slope) < 1e-5 * abs(second)


def test_what_cannot_be_done_is_said(monkeypatch):
    with pytest.raises(InputError, match="order=3 is not for the potts units"):
        mean_field.tap(scaled("potts", "spin", 0.1), order=3)
    with pytest.raises(InputError, match="order=4 is too large"):
        mean_field.tap(scaled("spin", "spin", 0.1), order=4)
    monkeypatch.setattr(mean_field, "MOST_ITERATIONS", 3)
    with pytest.raises(InputError, match=r"none of 9 searches .* too strong for tap; take rbm.partition.naive"):
        mean_field.tap(scaled("spin", "spin", 1.0))
