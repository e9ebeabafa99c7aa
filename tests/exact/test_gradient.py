import numpy as np
import pytest
from models import KINDS, random_model

from mcgen import enumeration, rbm
from mcgen.rbm.gradient import difference_of_phases


def random_rows(model, n_rows, seed):
    bits = np.random.default_rng(seed).random((n_rows, model.n_visible)) < 0.4
    return np.where(bits, 1, model.visible.low)


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("size", [(5, 3), (3, 5)])
def test_exact_gradient_is_the_slope_of_the_exact_log_likelihood(kinds, size):
    model = random_model(*size, 1.0, kinds, 7)
    v = random_rows(model, 20, 8)
    gradient = rbm.exact.gradient(model, v)
    step = 1e-5
    for which, parameter in enumerate(model.parameters):
        slope = np.empty(parameter.shape)
        for place in np.ndindex(parameter.shape):
            values = []
            for sign in (1, -1):
                moved = [array.copy() for array in model.parameters]
                moved[which][place] += sign * step
                values.append(rbm.exact.log_likelihood(model.replace(*moved), v))
            slope[place] = (values[0] - values[1]) / (2 * step)
        assert np.allclose(gradient[which], slope, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_phases_over_exact_distributions_make_the_exact_gradient(kinds):
    model = random_model(6, 4, 1.0, kinds, 9)
    v = random_rows(model, 50, 10)
    every = enumeration.list_states(6, model.visible.low)
    of_data = enumeration.empirical_distribution(v)
    positive = rbm.positive_phase(model, every, row_weights=of_data)
    negative = rbm.negative_phase(model, every, row_weights=rbm.exact.probabilities(model))
    for got, rows, exact in zip(
        positive.minus(negative), rbm.positive_phase(model, v), rbm.exact.gradient(model, v), strict=True
    ):
        assert np.allclose(got, exact, rtol=1e-11, atol=1e-13)
        assert rows.shape == exact.shape
    for got, exact in zip(negative, rbm.exact.negative_phase(model), strict=True):
        assert np.allclose(got, exact, rtol=1e-11, atol=1e-13)


def test_positive_phase_is_the_mean_over_rows():
    model = random_model(19, 5, 1.0, KINDS[0], 11)  # more visible units than one tile
    v = random_rows(model, 33, 12)
    h = model.hidden_mean(v)
    phase = rbm.positive_phase(model, v)
    assert np.allclose(phase.weights, v.T @ h / 33, rtol=1e-13)
    assert np.allclose(phase.visible_bias, v.mean(axis=0), rtol=1e-13, atol=1e-16)
    assert np.allclose(phase.hidden_bias, h.mean(axis=0), rtol=1e-13)


def test_negative_phase_by_sampling_approaches_the_exact_one():
    model = random_model(6, 4, 1.0, KINDS[3], 13)
    run = rbm.sample(model, n_chains=20000, n_draws=1, thin=1, burn_in=200, seed=3)
    exact = rbm.exact.negative_phase(model)
    sampled = rbm.negative_phase(model, run.states[:, 0])
    for got, wanted in zip(sampled, exact, strict=True):
        assert np.max(np.abs(got - wanted)) < 5 / np.sqrt(20000)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_both_phases_in_one_sum(dtype):
    random = np.random.default_rng(4)
    model = rbm.RBM.random(70, 45, seed=3, scale=0.3, dtype=dtype)
    data, chains = (random.integers(0, 2, (n, 70)).astype(dtype) for n in (1100, 90))  # more rows than one chunk
    weights, chain_weights = random.random(1100), random.random(90)
    chain_weights /= chain_weights.sum()
    weights /= 1300
    for of_chains in (chain_weights, None):
        found = difference_of_phases(model, data, weights, chains, of_chains, "cpu")
        of_chains = np.full(90, 1 / 90) if of_chains is None else of_chains
        plus, minus = rbm.positive_phase(model, data, weights), rbm.negative_phase(model, chains, of_chains)
        tolerance = 1e-12 if dtype == np.float64 else 1e-5
        for part, one, other in zip(found.gradient, plus, minus, strict=True):
            assert part.dtype == dtype
            np.testing.assert_allclose(part, one - weights.sum() * other, rtol=0, atol=tolerance)
        h = model.hidden_mean(data)
        np.testing.assert_allclose(found.visible_mean, np.average(data, axis=0, weights=weights), rtol=1e-5)
        np.testing.assert_allclose(found.hidden_mean, np.average(h, axis=0, weights=weights), rtol=1e-5)
    by_hand = (weights[:, None] * data).astype(np.float64).T @ model.hidden_mean(data)
    np.testing.assert_allclose(rbm.positive_phase(model, data, weights).weights, by_hand, rtol=1e-5)
