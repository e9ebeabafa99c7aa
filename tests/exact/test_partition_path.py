"""The path of models that estimates of log Z share, the weights of annealing, and what an estimate says of itself."""

import itertools
import math

import naive
import numpy as np
import pytest

from mcgen import rbm, rng
from mcgen.errors import InputError
from mcgen.rbm.partition import annealing, formulas, path, spacing
from mcgen.rbm.partition.result import LogPartition, exact_value
from mcgen.rbm.partition.weights import log_mean
from mcgen.rbm.units.formulas import unit_draw

KINDS = [
    ("bernoulli", "spin"),
    ("spin", "bernoulli"),
    (rbm.Potts(3), "relu"),
    ("gaussian", rbm.Potts(3)),
    (rbm.Gaussian(0.3, 0.5), "gaussian"),
    (rbm.ReLU(-0.4, 0.7), "spin"),
]


def make(kinds, dtype=np.float64, scale=0.3):
    random = np.random.default_rng(4)
    sizes = ((6, 9), 6, 9)
    return rbm.RBM(
        *(random.normal(0, scale / (1 + (k == 0)), size).astype(dtype) for k, size in enumerate(sizes)), *kinds
    )


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_reference_has_the_means_of_the_data_and_its_log_partition_function(kinds, dtype):
    model = make(kinds, dtype)
    v = rbm.exact.sample(model, 300, seed=3)
    start = path.reference(model, v)
    means = model.visible.mean(start.visible_bias.astype(float)[None])[0]
    assert np.allclose(means, v.mean(axis=0, dtype=float), rtol=1e-5, atol=1e-6)
    assert start.dtype == dtype
    assert not start.weights.any()
    assert not start.hidden_bias.any()
    log_z = path.log_partition_of_independent(start)
    assert np.isclose(log_z, rbm.exact.log_partition(start), rtol=1e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize(
    ("kind", "row", "rarest"),
    [("bernoulli", [0, 1], 0.01), ("spin", [-1, 1], 0.01), (rbm.Potts(3), [0, 0, 1], 0.01 / 3)],
)
def test_no_unit_of_the_reference_is_frozen(kind, row, rarest):
    model = make((kind, "spin"))
    row = np.tile(row, 6 // len(row))
    start = path.reference(model, [row, row])
    low = -1 if kind == "spin" else 0
    p = (model.visible.mean(start.visible_bias[None])[0] - low) / (1 - low)  # of the state 1 of each entry
    assert np.allclose(np.minimum(p, 1 - p)[row != 1], rarest, rtol=0.01)
    assert ((p > 0.5) == (row == 1)).all()


def test_without_data_the_reference_has_the_means_of_the_model():
    model = rbm.RBM(np.full((3, 2), 0.5), np.array([-2.0, 0.0, 2.0]), np.zeros(2))
    exact, _ = rbm.exact.visible_moments(model)[:2]
    means = model.visible.mean(path.reference(model, seed=3).visible_bias[None])[0]
    assert np.abs(means - exact).max() < 0.03
    other = path.reference(model, seed=4).visible_bias
    assert (other != path.reference(model, seed=3).visible_bias).any()


@pytest.mark.parametrize(("visible", "hidden"), [("bernoulli", "spin"), ("spin", "bernoulli")])
def test_models_and_free_energies_of_the_path(visible, hidden):
    random = np.random.default_rng(2)
    model = rbm.RBM(random.normal(size=(3, 2)), random.normal(size=3), random.normal(size=2), visible, hidden)
    start = model.replace(np.zeros((3, 2)), random.normal(size=3), np.zeros(2))
    betas, rows = [0.0, 0.3, 1.0], naive.states(3, model.visible.low)
    found = path.free_energies_between(start, model, betas, rows)
    stack = path.stack_of(start, model, betas)
    models = [path.between(start, model, beta) for beta in betas]
    assert np.allclose(found, path.free_energies(models, rows), rtol=0, atol=1e-14)
    for k, beta in enumerate(betas):
        b = (1 - beta) * start.visible_bias + beta * model.visible_bias
        hs = naive.states(2, model.hidden.low)
        W, c = beta * model.weights, beta * model.hidden_bias
        expected = [-naive.log_sum_exp([-naive.rbm_energy(v, h, W, b, c) for h in hs]) for v in rows]
        assert np.allclose(found[k], expected, rtol=0, atol=1e-13)
        mine = (stack.weights[k], stack.visible_bias[k], stack.hidden_bias[k, 0])
        for array, other in zip(mine, models[k].parameters, strict=True):
            assert (array == other).all()
    assert (models[2].weights == model.weights).all()


@pytest.mark.parametrize("kinds", KINDS)
def test_growth_is_the_difference_of_cumulants(kinds):
    layer = rbm.RBM.random(3, 9, seed=1, scale=0.1, visible="spin", hidden=kinds[1]).hidden
    fields = np.random.default_rng(3).normal(0, 4, 9)
    for beta, following in ((0.0, 1e-9), (0.2, 0.7), (0.9, 0.4)):
        expected = layer.cumulant(following * fields) - layer.cumulant(beta * fields)
        scaled = np.empty(9)
        found = formulas.layer_growth(*layer.kernel_arguments, fields, beta, following, scaled)
        assert math.isclose(found, float(expected), rel_tol=1e-12, abs_tol=1e-13)
    many = np.random.default_rng(3).normal(0, 4, 1300)  # more than the factors of one logarithm
    expected = rbm.Spin().cumulant(0.7 * many) - rbm.Spin().cumulant(0.2 * many)
    assert math.isclose(formulas.two_level_growth(-1, many, 0.2, 0.7), float(expected), rel_tol=1e-13)


@pytest.mark.parametrize("kinds", KINDS)
def test_weights_of_one_step_are_ratios_of_the_states_that_were_given(kinds):
    for dtype, tolerance in ((np.float32, 2e-5), (np.float64, 1e-12)):
        model = make(kinds, dtype)
        start = path.reference(model, seed=2)
        states = annealing.reference_states(start, 70, seed=5)
        for betas in ([0.0, 1.0], [1.0, 0.0], [0.25, 0.5]):
            energies = path.free_energies_between(start, model, betas, states)
            found = annealing.anneal(start, model, np.array(betas), states, seed=6)
            assert np.allclose(found.log_weights, energies[0] - energies[1], rtol=tolerance, atol=tolerance)


def drawn(kind, fields, purpose, step, seed):
    """States of a layer in its fields, shape (n_chains, n_entries), by the random words of a step."""
    words = rng.words(seed, purpose, len(fields), kind.n_units(fields.shape[1]), step)
    states = np.empty(fields.shape)
    for chain, row in enumerate(fields):
        for unit, word in enumerate(words[chain]):
            unit_draw(*kind.kernel_arguments, row, unit, word, states[chain])
    return states


@pytest.mark.parametrize("kinds", KINDS)
def test_sweeps_are_those_of_the_next_model(kinds):
    model = make(kinds)
    start, betas, seed = path.reference(model, seed=2), np.array([0.2, 0.5, 0.4]), 2**63 + 5
    v = annealing.reference_states(start, 9, seed=5)
    found = annealing.anneal(start, model, betas, v, seed)
    log_weights = np.zeros(9)
    for step, (beta, following) in enumerate(itertools.pairwise(betas)):
        before, after = path.free_energies_between(start, model, [beta, following], v)
        log_weights += before - after
        W, b, c = path.between(start, model, following).parameters
        h = drawn(model.hidden, c + v @ W, rng.purpose.RBM_ANNEALING_HIDDEN, step, seed)
        v = drawn(model.visible, b + h @ W.T, rng.purpose.RBM_ANNEALING_VISIBLE, step, seed)
    assert np.allclose(found.states, v, rtol=1e-12, atol=1e-12)
    assert np.allclose(found.log_weights, log_weights, rtol=1e-12, atol=1e-12)


def test_runs_do_not_depend_on_the_pieces_they_are_made_in(monkeypatch):
    model = make(("bernoulli", "spin"))
    start, betas = path.reference(model), np.linspace(0, 1, 8)
    states = annealing.reference_states(start, 5, seed=5)
    whole = annealing.anneal(start, model, betas, states, seed=6)
    monkeypatch.setattr(annealing, "GROWTHS_PER_CALL", 15)
    pieces = annealing.anneal(start, model, betas, states, seed=6)
    assert (whole.states == pieces.states).all()
    assert np.allclose(whole.log_weights, pieces.log_weights, rtol=1e-14, atol=1e-14)
    other = annealing.anneal(start, model, betas, states, seed=7)
    assert (whole.states != other.states).any()


def test_temperatures_lie_at_equal_lengths():
    ends = np.linspace(0, 1, 101)
    betas = spacing.at_equal_lengths(ends, ends[1:] + ends[:-1], 201)
    assert (betas[0], betas[-1]) == (0, 1)
    lengths = 0.8 * betas**2 + 0.2 * betas  # of the speed 2 beta, and the even share
    assert np.abs(lengths - np.linspace(0, 1, 201)).max() < 1e-4
    assert np.allclose(spacing.at_equal_lengths(ends, np.zeros(100), 11), np.linspace(0, 1, 11))


def test_log_mean_is_the_logarithm_of_the_mean():
    weights = np.array([0.5, 4.0, 1.0, 2.5])
    found = log_mean(np.log(weights) + 1000)
    assert math.isclose(found.value, math.log(2) + 1000, rel_tol=1e-14)
    assert math.isclose(found.error, weights.std(ddof=1) / 2 / 2, rel_tol=1e-12)
    assert math.isclose(found.effective_sample_size, 64 / 23.5, rel_tol=1e-12)
    assert found.interval[0] >= found.value + math.log(0.025)
    assert log_mean(np.full(3, -7.0)).interval == (-7.0, -7.0)
    # Without skewness and with many weights, the interval of a mean on the scale of logarithms.
    many = 1 + 0.1 * np.tile([-1.0, 1.0], 5000)
    low, high = log_mean(np.log(many)).interval
    assert np.allclose([low, high], np.log1p([-0.00196, 0.00196]), rtol=2e-3)


def test_results_say_what_they_were_checked_against():
    model = make(("bernoulli", "spin"))
    truth = exact_value(model)
    assert truth.value == rbm.exact.log_partition(model)
    assert str(truth) == f"log Z = {truth.value:.10g}, exact"
    side = LogPartition(2.0, 0.3, 50.0, "ais", (1.4, 2.6))
    known = LogPartition(3.0, 0.0, math.nan, "exact", (3.0, 3.0))
    both = LogPartition(2.5, 0.4, 70.0, "sandwich", (1.7, 3.3), 0.8, 4.0, (known, side))
    assert str(both).splitlines() == [
        "log Z = 2.50(40) by sandwich, 95 percent interval 1.70 to 3.30, effective sample size 70",
        "  lower end 0.80, upper end 4.00",
        "  exact: 3, 1.2 errors above",
        "  ais: 2.00(30), 1.0 errors below",
    ]
    guess = LogPartition(
        2.5, math.nan, math.nan, "tap", (-math.inf, math.inf), checked_against=(known,), is_approximation=True
    )
    assert str(guess).splitlines() == ["log Z = 2.5 by tap, an approximation of unknown error", "  exact: 3, +0.5"]


MODEL = make(("bernoulli", "spin"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: path.log_partition_of_independent(MODEL), "weights up to"),
        (lambda: path.between(path.reference(MODEL), MODEL, 1.1), "the path goes from 0 to 1"),
        (lambda: path.between(MODEL, MODEL, 0.5), "weights or hidden biases"),
        (lambda: path.between(make(KINDS[1]), MODEL, 0.5), "other kinds"),
        (lambda: path.between(rbm.RBM.random(2, 2, seed=1), MODEL, 0.5), "does not fit"),
        (lambda: path.visible_bias_of(rbm.Spin(), np.array([0.0, 1.0])), "the mean 1 of entry 1"),
        (lambda: path.visible_bias_of(rbm.Potts(2), np.array([0.0, 1.0])), "the mean 0 of entry 0"),
        (lambda: annealing.check_path([0.0, 0.5]), "is no path"),
        (lambda: annealing.check_path([0.0, 0.5, 0.5, 1.0]), "is no path"),
        (lambda: log_mean(np.zeros(1)), "two or more"),
    ],
)
def test_errors_name_the_value_and_the_way_out(call, words):
    with pytest.raises(InputError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)
