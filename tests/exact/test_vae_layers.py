"""Layers against NumPy on the same numbers, and the memory that they share."""

import numba
import numpy as np
import pytest
from scipy.special import expit

from mcgen import optim, vae
from mcgen.errors import InputError
from mcgen.vae import formulas, initial, objective, panels
from mcgen.vae.layers import Memory
from mcgen.vae.network import Vector

ROWS = (1, 7, 48, 100, 128)
ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky-relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "tanh": np.tanh,
    "sigmoid": expit,
    "softplus": lambda x: np.logaddexp(0, x),
}
SLOPES = {
    "linear": np.ones_like,
    "relu": lambda x: (x > 0) * 1.0,
    "leaky-relu": lambda x: np.where(x > 0, 1, 0.01),
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
    "sigmoid": lambda x: expit(x) * expit(-x),
    "softplus": expit,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_rows", ROWS)
def test_panels_keep_rows(dtype, n_rows):
    rows = np.random.default_rng(0).normal(size=(n_rows, 13)).astype(dtype)
    array = panels.from_rows(rows, dtype)
    wide = panels.width(dtype)
    assert array.shape == (-(-n_rows // wide), panels.padded(13), wide)
    assert array.ctypes.data % 64 == 0
    assert array[-1, 2, (n_rows - 1) % wide] == rows[-1, 2]
    assert np.array_equal(panels.to_rows(array, n_rows, 13), rows)
    assert np.array_equal(panels.to_rows(array, n_rows, 4, first=3), rows[:, 3:7])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("sizes", [(3, 5), (16, 30), (100, 9), (9, 100), (784, 40), (150, 131)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dense_layers_multiply(dtype, sizes, copies, threads):
    """Forward and backward passes against NumPy's products in float64, whatever lies in unused lanes and padding."""
    random = np.random.default_rng(1)
    n_inputs, n_outputs = sizes
    n_rows = 53
    layer = vae.Dense(n_outputs)
    shapes = [layer.parameter_shapes((n_inputs,))]
    vector, gradient = Vector(shapes, dtype), Vector(shapes, dtype)
    for array in vector.arrays:
        array[:] = random.normal(size=array.shape)
    gradient.used[:] = np.nan
    weights, bias = vector.arrays
    memory = Memory(dtype, n_rows, copies)
    x, dy = (np.full((copies, n_rows, size), 0, dtype) for size in sizes)
    x_panels, dy_panels = (panels.empty(n_rows, size, dtype, copies) for size in sizes)
    for array, stack in ((x, x_panels), (dy, dy_panels)):
        array[:] = random.normal(size=array.shape)
        stack[:] = np.nan
        per_copy = len(stack) // copies
        for k in range(copies):
            panels.fill(stack[k * per_copy : (k + 1) * per_copy], 0, array[k], np.arange(n_rows))
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        y_panels = layer.forward((n_inputs,), x_panels, vector.views[0], memory)
        dx_panels = layer.backward((n_inputs,), dy_panels, vector.views[0], gradient.views[0], memory, True)
    finally:
        numba.set_num_threads(before)
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == np.float64 else {"rtol": 1e-5, "atol": 3e-5}
    x, dy, w = x.astype(np.float64), dy.astype(np.float64), weights.astype(np.float64)
    for k in range(copies):
        own = slice(k * per_copy, (k + 1) * per_copy)
        np.testing.assert_allclose(panels.to_rows(y_panels[own], n_rows, n_outputs), x[k] @ w + bias, **tolerance)
        np.testing.assert_allclose(panels.to_rows(dx_panels[own], n_rows, n_inputs), dy[k] @ w.T, **tolerance)
    d_weights, d_bias = gradient.arrays
    np.testing.assert_allclose(d_weights, np.einsum("kri,krj->ij", x, dy), **tolerance)
    np.testing.assert_allclose(d_bias, dy.sum(axis=(0, 1)), **tolerance)
    assert not gradient.memory[len(gradient.used) :].any()  # nothing is written beyond the last array


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_and_their_slopes(name, dtype):
    x = np.concatenate([np.linspace(-6, 6, 60), [-1000.0, -90.0, 90.0, 1000.0]])[:, None].astype(dtype)
    x = x[x != 0][:, None]
    layer, memory = vae.Activation(name), Memory(dtype, len(x))
    y = layer.forward((1,), panels.from_rows(x, dtype), {}, memory)
    tolerance = {"rtol": 1e-14, "atol": 1e-15} if dtype == np.float64 else {"rtol": 5e-7, "atol": 2e-7}
    exact = x.astype(np.float64)
    np.testing.assert_allclose(panels.to_rows(y, len(x), 1), ACTIVATIONS[name](exact), **tolerance)
    dy = panels.from_rows(np.full_like(x, 3.0), dtype)
    dx = panels.to_rows(layer.backward((1,), dy, {}, {}, memory, True), len(x), 1)
    np.testing.assert_allclose(dx, 3 * SLOPES[name](exact), rtol=10 * tolerance["rtol"], atol=1e-6)


@pytest.mark.parametrize("name", ["relu", "leaky-relu", "linear"])
def test_divergence_passes_through_activations(name):
    layer, memory = vae.Activation(name), Memory(np.float64, 1)
    assert np.isnan(layer.forward((1,), panels.from_rows(np.array([[np.nan]]), np.float64), {}, memory)[0, 0, 0])


@pytest.mark.parametrize("low", [0, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_level_likelihood_at_any_field(low, dtype):
    """log p and its force against SciPy, up to fields of +-1000, without a warning or NaN."""
    random = np.random.default_rng(2)
    fields = np.concatenate([random.normal(size=(40, 200)) * 5, random.choice([-1000.0, 1000.0, 0.0], (9, 200))])
    states = np.where(random.random(fields.shape) < 0.5, 1, low)
    y, data = panels.from_rows(fields.astype(dtype), dtype), panels.from_rows(states.astype(dtype), dtype)
    parts = np.zeros((len(y), -(-200 // objective.FEATURES_AT_ONCE), panels.width(dtype)))
    objective.two_level_likelihood(parts, y, data, 200, dtype(low), dtype(1 - low), dtype(0.5))
    field = fields.astype(dtype).astype(np.float64)
    logits = (1 - low) * field
    expected = ((states - low) * field - np.logaddexp(0, logits)).sum(axis=1)
    value = parts.sum(axis=1).reshape(-1)[: len(fields)]
    np.testing.assert_allclose(value, expected, rtol=1e-12 if dtype == np.float64 else 3e-6)
    force = 0.5 * (states - (low + (1 - low) * expit(logits)))
    np.testing.assert_allclose(panels.to_rows(y, len(fields), 200), force, atol=1e-15 if dtype == np.float64 else 1e-6)


def test_gaussian_terms_agree_with_the_closed_forms():
    m, log_w = np.random.default_rng(3).normal(size=(2, 50))
    terms = np.array([formulas.standard_kl_term(*pair) for pair in zip(m, log_w, strict=True)])
    np.testing.assert_allclose(terms.sum(), vae.standard_gaussian_kl(m, log_w), rtol=1e-12)
    z = np.array([formulas.reparameterized(*pair, 0.7) for pair in zip(m, log_w, strict=True)])
    np.testing.assert_allclose(z, vae.reparameterized(m, log_w, np.full(50, 0.7)), rtol=1e-14)


@pytest.mark.parametrize("kind", initial.INITIALIZATIONS)
def test_initial_weights_have_their_variance(kind):
    w = initial.weights(kind, (300, 500), 300, 500, seed=1)
    variance = 2 / 300 if kind == "he" else 2 / 800
    # The variance of a uniform number's square is 4/5 of its squared mean.
    assert abs(w.var() / variance - 1) < 4 * np.sqrt(0.8 / w.size)
    assert abs(w.mean()) < 4 * np.sqrt(variance / w.size)
    assert not np.array_equal(w, initial.weights(kind, (300, 500), 300, 500, seed=2))


@pytest.mark.parametrize("rule", [optim.adam(), optim.sgd(0.7)], ids=["adam", "sgd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_in_place_are_the_same_steps(rule, dtype):
    random = np.random.default_rng(4)
    shapes = ((30, 21), (21,), (3, 3, 2, 5))
    parameters = tuple(random.normal(size=shape).astype(dtype) for shape in shapes)
    mine = tuple(array.copy() for array in parameters)
    state, own = rule.start(parameters), rule.start(mine)
    for _ in range(5):
        gradient = tuple(random.normal(size=shape).astype(dtype) for shape in shapes)
        parameters, state = rule.step(parameters, gradient, state, 0.1)
        own = rule.step_in_place(mine, gradient, own, 0.1)
    for one, other in zip(parameters, mine, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13 if dtype == np.float64 else 1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: vae.Dense(0), "n_outputs=0"),
        (lambda: vae.Dense(3, "zeros"), "initialization='zeros'"),
        (lambda: vae.Activation("swish"), "activation='swish'"),
        (lambda: vae.Activation("leaky-relu", slope=1.5), "slope=1.5"),
        (lambda: vae.Network((5,), [vae.Reshape((2, 3, 1))]), "cannot become"),
        (lambda: vae.Network((5,), [vae.Dense(2)])(np.zeros(12), np.zeros((3, 4))), r"shape must be \(any, 5\)"),
        (lambda: vae.Network((5,), [vae.Dense(2)])(np.zeros(11), np.zeros((3, 5))), r"shape must be \(12,\)"),
        (lambda: Vector([{"weights": (2,)}], np.int64), "dtype=int64 is not a precision"),
    ],
)
def test_what_layers_refuse(make, words):
    with pytest.raises(InputError, match=words):
        make()
