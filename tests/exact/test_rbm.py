import math

import naive
import numpy as np
import pytest
from models import KINDS, random_model

from mcgen import enumeration, rbm

# Ten models of 2 to 12 units in all, ordinary and very large weights.
SIZES = [(1, 1), (2, 1), (1, 2), (3, 2), (2, 4), (4, 4), (7, 2), (2, 7), (5, 6), (8, 4)]
SCALES = [1.0, 50.0]


def naive_arguments(model):
    return (*(array.tolist() for array in model.parameters), model.visible.low, model.hidden.low)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("seed", range(len(SIZES)))
def test_sums_against_naive(seed, kinds, scale):
    model = random_model(*SIZES[seed], scale, kinds, seed)
    arguments = naive_arguments(model)
    log_z, _ = naive.rbm_joint(*arguments)
    assert rbm.exact.log_partition(model) == pytest.approx(log_z, rel=1e-12)
    expected = np.array(naive.rbm_log_marginals(*arguments))
    got = rbm.exact.log_probabilities(model)
    assert np.isfinite(got).all()
    # Relative to log Z and F(v), whose difference it is: no state is lost, however improbable.
    assert np.allclose(got, expected, rtol=1e-12, atol=1e-12 * max(1.0, abs(log_z)))
    assert np.allclose(rbm.exact.probabilities(model), np.exp(expected), rtol=1e-12 * max(1.0, abs(log_z)), atol=0)
    v = enumeration.list_states(model.n_visible, model.visible.low)
    assert rbm.exact.log_likelihood(model, v) == pytest.approx(expected.mean(), rel=1e-12)
    uniform = np.full(len(v), 1 / len(v))
    assert rbm.exact.kl_divergence(uniform, model) == pytest.approx(
        -math.log(len(v)) - expected.mean(), rel=1e-11, abs=1e-12
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("seed", range(len(SIZES)))
def test_exact_negative_phase_against_naive(seed, kinds, scale):
    model = random_model(*SIZES[seed], scale, kinds, seed)
    expected = naive.rbm_moments(*naive_arguments(model))
    for got, wanted in zip(rbm.exact.negative_phase(model), expected, strict=True):
        assert np.allclose(got, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_energy_free_energy_and_means(kinds):
    model = random_model(4, 3, 2.0, kinds, 1)
    W, b, c, visible_low, hidden_low = naive_arguments(model)
    hidden = naive.states(3, hidden_low)
    for v in naive.states(4, visible_low):
        energies = [naive.rbm_energy(v, h, W, b, c) for h in hidden]
        assert np.allclose(model.energy(np.tile(v, (8, 1)), np.array(hidden)), energies, rtol=1e-13, atol=1e-14)
        free_energy = -naive.log_sum_exp([-e for e in energies])
        assert model.free_energy(v) == pytest.approx(free_energy, rel=1e-13)
        means = [
            math.fsum(h[j] * math.exp(free_energy - e) for h, e in zip(hidden, energies, strict=True)) for j in range(3)
        ]
        assert np.allclose(model.hidden_mean(v), means, rtol=1e-12, atol=1e-14)
    turned = model.transposed()
    h = np.array(hidden[5])
    assert np.allclose(model.visible_mean(h), turned.hidden_mean(h), rtol=1e-15)


def test_shapes_of_batches():
    model = random_model(4, 3, 1.0, KINDS[0], 1)
    v = np.zeros((5, 6, 4))
    assert model.hidden_mean(v).shape == (5, 6, 3)
    assert model.free_energy(v).shape == (5, 6)
    assert model.energy(v, np.zeros((5, 6, 3))).shape == (5, 6)
    assert model.free_energy(np.zeros((0, 4))).shape == (0,)


def test_float32_models_stay_in_float32_and_are_summed_in_float64():
    model = random_model(6, 5, 1.0, KINDS[0], 2)
    small = model.replace(*(array.astype(np.float32) for array in model.parameters))
    assert small.dtype == np.float32
    assert small.hidden_mean(np.zeros((2, 6))).dtype == np.float32
    assert small.weights.dtype == np.float32
    exact = rbm.exact.log_partition(small)
    double = small.replace(*(array.astype(np.float64) for array in small.parameters))
    assert exact == rbm.exact.log_partition(double)
    assert np.allclose(small.free_energy(np.ones((1, 6))), double.free_energy(np.ones((1, 6))), rtol=1e-6)


def test_the_enumerated_layer_is_split_in_every_way():
    # 1 to 12 units in the smaller layer: halves of unequal size, one call and several.
    for n in range(1, 13):
        model = random_model(n, 14, 0.5, KINDS[0], n)
        f = model.free_energy(enumeration.list_states(n, 0))
        assert rbm.exact.log_partition(model) == pytest.approx(naive.log_sum_exp((-f).tolist()), rel=1e-13)
        assert rbm.exact.log_partition(model.transposed()) == rbm.exact.log_partition(model)


def test_log_partition_over_several_kernel_calls(monkeypatch):
    model = random_model(12, 20, 0.5, KINDS[3], 3)
    whole = rbm.exact.log_partition(model)
    monkeypatch.setattr(rbm.exact, "HIGH_STATES_PER_CALL", 8)
    assert rbm.exact.log_partition(model) == pytest.approx(whole, rel=1e-14)


def test_more_units_than_one_product_holds():
    # 1200 units: the product of 1 + e^-|x| is turned into a logarithm on the way.
    model = random_model(1200, 2, 0.1, KINDS[0], 4)
    fields = model.visible_bias + enumeration.list_states(2, 0) @ model.weights.T
    logs = enumeration.list_states(2, 0) @ model.hidden_bias + np.logaddexp(0, fields).sum(axis=1)
    assert rbm.exact.log_partition(model) == pytest.approx(naive.log_sum_exp(logs.tolist()), rel=1e-13)
    p = np.exp(logs - naive.log_sum_exp(logs.tolist()))
    assert np.allclose(rbm.exact.negative_phase(model).visible_bias, p @ (1 / (1 + np.exp(-fields))), rtol=1e-12)
