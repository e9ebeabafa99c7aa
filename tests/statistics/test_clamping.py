"""Visible units held at given values: every sampler draws the others from the conditional distribution."""

import numpy as np
import pytest
from chi_square import p_value
from scipy.special import logsumexp
from scipy.stats import combine_pvalues

from mcgen import rbm
from mcgen.errors import InputError
from mcgen.rbm.sampling.clamping import Clamped

N = 1 << 16
METHODS = {
    "gibbs": {"burn_in": 30},
    "metropolis": {"method": "metropolis", "burn_in": 30},
    "tempering": {"method": "tempering", "burn_in": 30, "ladder": [0.5, 1.0]},
    "exact": {"method": "exact", "burn_in": 0},
}
RANDOM = np.random.default_rng(6)
MODEL = rbm.RBM(0.7 * RANDOM.normal(size=(5, 3)), RANDOM.normal(size=5), RANDOM.normal(size=3), "spin", "bernoulli")
UNITS = [3, 1]
VALUES = np.array([[1, -1], [-1, -1]])


def conditional(model, units, values):
    """p(free units | clamped units), by state index of the free ones."""
    v = model.visible.list_states(model.n_visible, 0, model.visible.n_states(model.n_visible))
    fits = (v[:, units] == values).all(axis=1)
    log_p = -model.free_energy(v[fits])
    return np.exp(log_p - logsumexp(log_p))


def p_of_halves(states, probabilities):
    """Chains of even number have the first row of values, the others the second."""
    free = [i for i in range(5) if i not in UNITS]
    p = [max(p_value(states[k::2][:, free], probabilities[k]), 1e-300) for k in range(2)]
    return combine_pvalues(p).pvalue


@pytest.mark.parametrize("method", METHODS)
def test_values_of_each_chain(method):
    values = np.tile(VALUES, (N // 2, 1))
    run = rbm.sample(
        MODEL, N, n_draws=1, thin=1, seed=2, clamped_units=UNITS, clamped_values=values, **METHODS[method]
    )  # fmt: skip
    states = run.states[:, 0]
    assert (states[:, UNITS] == values).all()
    right = [conditional(MODEL, UNITS, row) for row in VALUES]
    assert 1e-3 < p_of_halves(states, right) < 1 - 1e-3
    assert np.allclose(run.free_energy[:10, 0], MODEL.free_energy(states[:10]))
    # units that are up one percent less often would be found
    seldom = np.where(np.random.default_rng(1).random(states.shape) < 0.01, -1, states)
    assert p_of_halves(seldom, right) < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_one_value_for_all_chains_is_that_value_for_each(method):
    settings = {"n_chains": 6, "n_draws": 3, "thin": 2, "seed": 3, **METHODS[method]}
    one = rbm.sample(MODEL, clamped_units=UNITS, clamped_values=VALUES[0], **settings)
    each = rbm.sample(MODEL, clamped_units=UNITS, clamped_values=np.tile(VALUES[0], (6, 1)), **settings)
    assert (one.states == each.states).all()


def test_nothing_clamped_is_the_model_itself():
    settings = {"n_chains": 6, "n_draws": 3, "thin": 2, "seed": 3}
    one = rbm.sample(MODEL, **settings)
    assert (one.states == rbm.sample(MODEL, clamped_units=[], clamped_values=[], **settings).states).all()


def test_potts_and_continuous_units():
    model = rbm.RBM.random(9, 4, seed=1, scale=1.0, visible=rbm.Potts(3))
    run = rbm.sample(model, n_chains=4, n_draws=2, clamped_units=[3, 4, 5], clamped_values=[0, 0, 1], seed=2)
    assert (run.states[:, :, 3:6] == [0, 0, 1]).all()
    assert (run.states.reshape(4, 2, 3, 3).sum(axis=3) == 1).all()
    layer = rbm.Gaussian([1.0, 2.0, 3.0], [0.5, 1.0, 2.0])
    weights = RANDOM.normal(size=(3, 2))
    model = rbm.RBM(weights, np.zeros(3), np.zeros(2), layer, "spin")
    run = rbm.sample(model, n_chains=N, n_draws=1, burn_in=10, clamped_units=[1], clamped_values=[1.7], seed=2)
    assert (run.states[:, :, 1] == 1.7).all()
    # p(v_0 | v_1, h) is normal; its mean by a sum over h of p(h | v_1)
    h = model.hidden.list_states(2, 0, 4)
    fields = h @ weights[[0, 2]].T
    rest = rbm.Gaussian([1.0, 3.0], [0.5, 2.0]).for_layer("visible", 2)
    log_p = 1.7 * h @ weights[1] + rest.cumulant(fields)
    p = np.exp(log_p - logsumexp(log_p))
    mean = p @ rest.mean(fields)
    v = run.states[:, 0, [0, 2]]
    assert (np.abs(v.mean(axis=0) - mean) / (v.std(axis=0) / np.sqrt(N)) < 4.5).all()


def test_a_start_that_agrees():
    initial = np.ones((4, 5))
    run = rbm.sample(
        MODEL, n_chains=4, n_draws=1, burn_in=0, thin=1, clamped_units=[0], clamped_values=[1], initial=initial
    )
    assert (run.states[:, :, 0] == 1).all()
    with pytest.raises(InputError, match=r"initial has the value 1 at unit 0 of chain 0, which is clamped at -1"):
        rbm.sample(MODEL, n_chains=4, n_draws=1, clamped_units=[0], clamped_values=[-1], initial=initial)


POTTS = rbm.RBM.random(6, 2, seed=1, visible=rbm.Potts(3))


@pytest.mark.parametrize(
    ("model", "units", "values", "message"),
    [
        (MODEL, [5], [1], r"clamped_units has the index 5, but the visible units of .* are 0 to 4"),
        (MODEL, [-1], [1], "clamped_units has the index -1"),
        (MODEL, [1, 1], [1, -1], "clamped_units has the index 1 twice, with different values; give each unit once"),
        (MODEL, [1.5], [1], "give a list of indices"),
        (MODEL, [1], [0], "clamped_values has the value 0.0 .* but spin units have the states -1 and 1"),
        (MODEL, [1], [np.nan], "clamped_values has 1 values that are NaN"),
        (MODEL, [1, 2], [1], r"clamped_values has shape \(1,\) for 2 clamped units"),
        (MODEL, range(5), [1] * 5, "all 5 visible units are clamped"),
        (MODEL, [1], None, "clamped_units is given without clamped_values"),
        (MODEL, None, [1], "clamped_values is given without clamped_units"),
        (POTTS, [0, 1], [1, 0], "a part of the 3 entries of the potts unit 0; give all entries of a unit"),
        (POTTS, [0, 1, 2], [1, 1, 0], "clamped_values is not one-hot"),
    ],
)
def test_what_cannot_be_clamped(model, units, values, message):
    with pytest.raises(InputError, match=message):
        Clamped(model, 4, units, values)


def test_the_same_unit_twice_with_one_value_is_no_contradiction():
    clamped = Clamped(MODEL, 4, [2, 2, 0], [1, 1, -1])
    assert clamped.held.tolist() == [0, 2]
    assert clamped.values.tolist() == [[-1, 1]]
