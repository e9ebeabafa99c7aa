"""Block Gibbs sweeps, step by step: against loops over plain Python formulas with the same random words."""

import numpy as np
import pytest

from mcgen import _cpu, _products, rbm, rng
from mcgen.rbm import chains, gibbs
from mcgen.rbm.units import fields as unit_fields
from mcgen.rbm.units import formulas as units

KINDS = {
    "bernoulli": rbm.Bernoulli(),
    "spin": rbm.Spin(),
    "potts": rbm.Potts(3),
    "gaussian": rbm.Gaussian(0.2, 0.5),
    "relu": rbm.ReLU(-0.3, 0.8),
}


def model_of(visible, hidden, n_visible=6, n_hidden=3, seed=1, dtype=np.float64, scale=0.4):
    random = np.random.default_rng(seed)
    arrays = (random.normal(scale=scale, size=shape) for shape in ((n_visible, n_hidden), (n_visible,), (n_hidden,)))
    return rbm.RBM(*(array.astype(dtype) for array in arrays), KINDS[visible], KINDS[hidden])


def draw_layer(kind, fields, words):
    states = fields.copy()
    for unit in range(kind.n_units(len(fields))):
        units.unit_draw(*kind.kernel_arguments, fields, unit, words[unit], states)
    return states


def slow_sweeps(models, biases, visible, n_sweeps, first_step, seed):
    """One state at a time, in float64; biases[model][chain] are those of the hidden units."""
    visible = visible.astype(np.float64)
    n_models, n_chains, n_visible = visible.shape
    n_hidden = models[0].n_hidden
    kept = []
    for step in range(first_step, first_step + n_sweeps):
        words = [
            rng.words(seed, purpose, n_models * n_chains, n, step)
            for purpose, n in ((rng.purpose.RBM_HIDDEN, n_hidden), (rng.purpose.RBM_VISIBLE, n_visible))
        ]
        for m, model in enumerate(models):
            for chain in range(n_chains):
                address = m * n_chains + chain
                h = draw_layer(model.hidden, biases[m][chain] + visible[m, chain] @ model.weights, words[0][address])
                v = draw_layer(model.visible, model.visible_bias + model.weights @ h, words[1][address])
                visible[m, chain] = v
        kept.append(visible.copy())
    return np.stack(kept, axis=2)


@pytest.mark.parametrize("hidden", KINDS)
@pytest.mark.parametrize("visible", KINDS)
def test_sweeps_of_several_models_with_biases_of_each_chain(visible, hidden):
    models = [model_of(visible, hidden, seed=seed) for seed in (1, 2)]
    random = np.random.default_rng(7)
    biases = random.normal(size=(2, 5, 3))
    start = np.stack([chains.random_states(models[0].visible, 5, 6, seed) for seed in (3, 4)]).astype(np.float64)
    stack = chains.stack(models)._replace(hidden_bias=biases)
    states, draws = gibbs.sweep(stack, start.copy(), 6, 3, 11, 5, _cpu)
    slow = slow_sweeps(models, biases, start, 6, 11, 5)
    assert np.allclose(draws, slow[:, :, 1::2], rtol=1e-12, atol=1e-13)
    assert np.allclose(states, slow[:, :, -1], rtol=1e-12, atol=1e-13)
    assert draws.dtype == (np.int8 if models[0].visible.is_discrete else np.float64)


def test_one_bias_for_all_chains():
    model = model_of("spin", "bernoulli")
    start = np.ones((1, 70, 6))
    states, draws = gibbs.sweep(chains.stack([model]), start.copy(), 3, 0, 0, 5, _cpu)
    assert draws.shape == (1, 70, 0, 6)
    assert (states == slow_sweeps([model], [[model.hidden_bias] * 70], start, 3, 0, 5)[:, :, -1]).all()


def fields_of(kind, level, states, weights, biases, first=0):
    """Fields as the kernel computes them: packed weights, padded blocks."""
    n_rows, n_terms = states.shape
    n_columns = weights.shape[1]
    packed = _products.aligned(
        _products.panels(n_columns, weights), n_terms, _products.panel_columns(weights), weights
    )  # fmt: skip
    for panel in range(len(packed)):
        _products.pack(packed[panel], weights, panel)
    padded = _products.padded_rows(n_rows)
    block = np.zeros((padded, _products.padded_columns(n_terms, weights)), weights.dtype)
    block[:n_rows, :n_terms] = states
    fields = np.zeros((padded, _products.padded_columns(n_columns, weights)), weights.dtype)
    active = np.zeros(n_terms + 1, np.int64)
    unit_fields.layer_fields(fields, biases, first, kind, level, block, n_rows, n_terms, weights, packed, active)
    return fields[:n_rows, :n_columns]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 7), (10, 90, 131), (9, 300, 128), (20, 784, 50), (3, 64, 257)])
def test_fields_are_sums_in_order(shape, dtype):
    # Every sum starts from the bias and takes one term after the other, each with one rounding (or two, where the
    # processor has no fused multiply-add).
    n_rows, n_terms, n_columns = shape
    random = np.random.default_rng(2)
    weights = random.normal(size=(n_terms, n_columns)).astype(dtype)
    states = random.normal(size=(n_rows, n_terms)).astype(dtype)
    biases = random.normal(size=(n_rows + 2, n_columns)).astype(dtype)
    fields = fields_of(units.GAUSSIAN, 0, states, weights, biases, first=1)
    exact = biases[1 : n_rows + 1] + states.astype(np.longdouble) @ weights.astype(np.longdouble)
    bound = (n_terms + 1) * np.finfo(dtype).eps * (np.abs(states) @ np.abs(weights) + np.abs(biases[1 : n_rows + 1]))
    assert (np.abs(fields - exact) <= bound).all()
    for rows in (slice(0, 1), slice(n_rows // 2, n_rows)):  # alone or among others: the same bits
        alone = fields_of(units.GAUSSIAN, 0, states[rows], weights, biases, first=1 + rows.start)
        assert (alone == fields[rows]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_hidden", [128, 131, 300])
def test_few_units_that_are_on(dtype, n_hidden):
    # Rows of the weights are added where the product would multiply by zeros: the same bits.
    random = np.random.default_rng(2)
    weights = random.normal(size=(90, n_hidden)).astype(dtype)
    states = (random.random((7, 90)) < 0.1).astype(dtype)
    states[3] = 0
    bias = random.normal(size=(1, n_hidden)).astype(dtype)
    dense = fields_of(units.GAUSSIAN, 0, states, weights, bias)
    for kind, level in ((units.TWO_LEVEL, 0), (units.POTTS, 3)):
        assert unit_fields._is_sparse(kind, level, states, 7, 90, weights)
        assert (fields_of(kind, level, states, weights, bias) == dense).all()
    assert (dense[3] == bias[0]).all()
    assert not unit_fields._is_sparse(units.TWO_LEVEL, -1, states, 7, 90, weights)
    assert not unit_fields._is_sparse(units.GAUSSIAN, 0, states, 7, 90, weights)
    assert not unit_fields._is_sparse(units.TWO_LEVEL, 0, states, 7, 90, np.ascontiguousarray(weights[:, :10]))
    assert not unit_fields._is_sparse(units.TWO_LEVEL, 0, 1 - states, 7, 90, weights)


@pytest.mark.parametrize("visible_bias", [-3.0, 0.0])
@pytest.mark.parametrize("hidden", ["bernoulli", "gaussian"])
def test_states_do_not_depend_on_the_size_of_blocks(visible_bias, hidden, monkeypatch):
    random = np.random.default_rng(4)
    parameters = (random.normal(scale=0.1, size=(150, 140)), np.full(150, visible_bias), np.zeros(140))
    model = rbm.RBM(*(array.astype(np.float32) for array in parameters), hidden=hidden)
    settings = {"n_chains": 200, "n_draws": 1, "thin": 4, "burn_in": 0, "seed": 3}
    one = rbm.sample(model, **settings).states
    monkeypatch.setattr(chains, "MOST_CHAINS_PER_BLOCK", 20)
    assert chains.chains_per_block(200) < 30
    assert (rbm.sample(model, **settings).states == one).all()


def test_blocks_are_shared_out_evenly(monkeypatch):
    for n_threads in (1, 2, 16):
        monkeypatch.setattr(chains.numba, "get_num_threads", lambda n=n_threads: n)
        for n_chains in (1, 31, 256, 1000, 4096, 10**6):
            size = chains.chains_per_block(n_chains)
            assert size % chains.PRODUCT_ROWS == 0
            assert size <= chains.MOST_CHAINS_PER_BLOCK
            n_blocks = -(-n_chains // size)
            assert n_blocks >= 0.9 * min(n_threads, n_chains // chains.PRODUCT_ROWS)


def test_dtypes():
    single = model_of("gaussian", "relu", dtype=np.float32, scale=0.1)
    assert rbm.sample(single, n_chains=3, n_draws=2, seed=1).states.dtype == np.float32
    double = model_of("relu", "potts")
    assert rbm.sample(double, n_chains=3, n_draws=2, seed=1).states.dtype == np.float64
    assert (rbm.sample(double, n_chains=3, n_draws=2, seed=1).states >= 0).all()
