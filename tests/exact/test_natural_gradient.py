"""Natural directions against Fisher matrices made of finite differences of exact log-probabilities."""

import numpy as np
import pytest

from mcgen import rbm
from mcgen.errors import InputError, SizeError
from mcgen.rbm.symmetry import Symmetry
from mcgen.rbm.training.free import free_gradient, free_parameters, with_free_parameters
from mcgen.rbm.training.natural import exact_natural_direction, sampled_natural_direction

STEP = 1e-5
PLAIN = {
    "bernoulli-bernoulli": (5, 4, "bernoulli", "bernoulli"),
    "spin-relu": (5, 4, "spin", rbm.ReLU(0.2, 0.7)),
    "potts-spin": (6, 3, rbm.Potts(3), "spin"),
    "bernoulli-gaussian": (5, 4, "bernoulli", rbm.Gaussian(0.3, 0.6)),
}
TIED = {
    "translations-bernoulli": Symmetry((2, 3), 2),
    "flip-bernoulli-spin": Symmetry((2, 3), 2, True, "bernoulli", "spin"),
    "flip-spin-bernoulli": Symmetry(5, 1, True, "spin", "bernoulli"),
    "flip-spin-relu": Symmetry((2, 3), 1, True, "spin", "relu"),
}


def model_of(name):
    random = np.random.default_rng(5)
    if name in TIED:
        tie = TIED[name]
        return rbm.RBM(
            *tie.expand([random.normal(size=shape, scale=0.5) for shape in tie.free_shapes]),
            tie.visible,
            tie.hidden,
            tie,
        )
    n, m, *kinds = PLAIN[name]
    return rbm.RBM(random.normal(size=(n, m), scale=0.6), random.normal(size=n), random.normal(size=m), *kinds)


def slopes(model, function):
    """The derivatives of function(model), an array, with respect to every free parameter: (n_rows, n_parameters)."""
    free = free_parameters(model)
    columns = []
    for which, array in enumerate(free):
        for place in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = [one.copy() for one in free]
                moved[which][place] += sign * STEP
                ends.append(function(with_free_parameters(model, moved)))
            columns.append((ends[0] - ends[1]) / (2 * STEP))
    return np.stack(columns, axis=1)


def joined(arrays):
    return np.concatenate([array.ravel() for array in arrays])


def gradient_of(model):
    rows = model.visible.list_states(model.n_visible, 3, 5)
    return free_gradient(model, rbm.exact.gradient(model, rows))


@pytest.mark.parametrize("name", [*PLAIN, *TIED])
def test_the_exact_direction_solves_the_damped_fisher_equations(name):
    model = model_of(name)
    scores = slopes(model, rbm.exact.log_probabilities)
    fisher = scores.T @ (rbm.exact.probabilities(model)[:, None] * scores)
    gradient = gradient_of(model)
    direction = exact_natural_direction(model, gradient, damping=0.03)
    assert [array.shape for array in direction] == [array.shape for array in gradient]
    got = fisher @ joined(direction) + 0.03 * joined(direction)
    assert np.allclose(got, joined(gradient), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [*PLAIN, *TIED, "gaussian-bernoulli"])
def test_the_sampled_direction_solves_the_equations_of_its_rows(name, weighted):
    random = np.random.default_rng(6)
    if name == "gaussian-bernoulli":
        model = rbm.RBM(random.normal(size=(4, 3)), np.zeros(4), np.zeros(3), "gaussian")
        gradient = rbm.exact.gradient(model, random.normal(size=(2, 4)))
    else:
        model = model_of(name)
        gradient = gradient_of(model)
    rows = rbm.exact.sample(model, 12, seed=3)
    weights = random.integers(0, 4, size=12) if weighted else np.ones(12)
    scores = slopes(model, lambda moved: -moved.free_energy(rows))
    p = weights / weights.sum()
    scores -= p @ scores
    fisher = scores.T @ (p[:, None] * scores)
    direction = sampled_natural_direction(model, gradient, rows, 0.03, weights if weighted else None)
    got = fisher @ joined(direction) + 0.03 * joined(direction)
    assert np.allclose(got, joined(gradient), rtol=1e-6, atol=1e-7)


def test_all_states_with_their_probabilities_make_the_exact_direction():
    # More states than parameters and fewer: both sides of Woodbury's identity are exact.
    for n, m in ((5, 1), (5, 4)):
        random = np.random.default_rng(n + m)
        model = rbm.RBM(random.normal(size=(n, m)), random.normal(size=n), random.normal(size=m), "spin", "spin")
        every = model.visible.list_states(n, 0, 2**n)
        gradient = gradient_of(model)
        sampled = sampled_natural_direction(model, gradient, every, 1e-3, rbm.exact.probabilities(model))
        assert np.allclose(joined(sampled), joined(exact_natural_direction(model, gradient, 1e-3)), rtol=1e-9)


def test_a_small_natural_step_lowers_the_divergence_as_predicted():
    # At a model next to the truth, the undamped step leads to the truth: an error of second order remains.
    truth = model_of("spin-relu")
    random = np.random.default_rng(8)
    moved = truth.replace(*(array + 1e-3 * random.normal(size=array.shape) for array in truth.parameters))
    p = rbm.exact.probabilities(truth)
    every = truth.visible.list_states(truth.n_visible, 0, len(p))
    gradient = rbm.positive_phase(moved, every, p).minus(rbm.exact.negative_phase(moved))
    direction = exact_natural_direction(moved, gradient, damping=1e-9)
    arrived = moved.replace(*(a + d for a, d in zip(moved.parameters, direction, strict=True)))
    before, after = (rbm.exact.kl_divergence(p, model) for model in (moved, arrived))
    assert after < 1e-3 * before


def test_what_cannot_be_done_is_refused():
    model = rbm.RBM.random(4, 2, seed=1)
    gradient = rbm.exact.negative_phase(model)
    with pytest.raises(InputError, match="shapes"):
        exact_natural_direction(model, gradient[:2], 0.1)
    with pytest.raises(InputError, match="damping"):
        exact_natural_direction(model, gradient, 0.0)
    with pytest.raises(InputError, match="row_weights"):
        sampled_natural_direction(model, gradient, [[0, 0, 0, 1]], 0.1, [0.0])
    large = rbm.RBM.random(20, 20, seed=1)
    zeros = rbm.Gradient(*(np.zeros(array.shape) for array in large.parameters))
    with pytest.raises(SizeError, match="sampled_natural_direction"):
        exact_natural_direction(large, zeros, 0.1)
    continuous = rbm.RBM.random(4, 2, seed=1, visible="gaussian")
    with pytest.raises(InputError, match="sampled_natural_direction"):
        exact_natural_direction(continuous, gradient, 0.1)
    filters = rbm.RBM.symmetric((64,), 65, seed=1)
    with pytest.raises(SizeError, match="4226 free parameters"):
        sampled_natural_direction(filters, free_parameters(filters), np.zeros((2, 64)), 0.1)
