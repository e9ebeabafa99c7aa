"""Block Gibbs sweeps and exact draws of RBMs against exact probabilities; a wrong probability of one percent fails.

Each draw is the last state of a chain of its own, so draws are independent and the test needs no correction. Chains
start from random states: a sampler that does not reach every state fails as well. The counts of several seeds are
taken together.
"""

import numpy as np
import pytest
from chi_square import combined as p_of_seeds
from chi_square import p_value, with_wrong_formula
from models import KINDS, random_model
from scipy.special import logsumexp

from mcgen import rbm, rng
from mcgen.rbm.gibbs import cpu as gibbs_cpu

RBM_CHAINS = 1 << 17
EXACT_CHAINS = 1 << 18
BURN_IN = 8  # several times what these small systems need to forget their start
SEEDS = (11, 12)

VISIBLE = {"bernoulli": rbm.Bernoulli(), "spin": rbm.Spin(), "potts": rbm.Potts(3)}
HIDDEN = VISIBLE | {
    "gaussian": rbm.Gaussian([0.3, -0.2, 0.0], [1.5, 0.7, 1.0]),
    "relu": rbm.ReLU([2.0, 1.0, 1.5], [1.5, 0.7, 1.0]),
}


def combined(draw, probabilities, model=None):
    index = None if model is None else model.visible.state_index
    return p_of_seeds(draw, probabilities, SEEDS, index)


def small_model(kinds, scale=0.5):
    """6 entries of visible and 3 of hidden units of any two kinds, by name."""
    random = np.random.default_rng(3)

    def draw(*shape):
        return random.uniform(-scale, scale, size=shape)

    n_visible = 6 if kinds[0] == "potts" else 4
    return rbm.RBM(draw(n_visible, 3), draw(n_visible), draw(3), VISIBLE[kinds[0]], HIDDEN[kinds[1]])


def exact_probabilities(model):
    states = model.visible.list_states(model.n_visible, 0, model.visible.n_states(model.n_visible))
    log_p = -model.free_energy(states)
    return np.exp(log_p - logsumexp(log_p))


def draw_gibbs(model, n_chains=RBM_CHAINS):
    def draw(seed):
        return rbm.sample(model, n_chains, n_draws=1, thin=1, burn_in=BURN_IN, seed=seed).states[:, 0]

    return draw


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("visible", VISIBLE)
def test_gibbs(visible, hidden):
    model = small_model((visible, hidden))
    assert 1e-3 < combined(draw_gibbs(model), exact_probabilities(model), model) < 1 - 1e-3


def test_gibbs_in_single_precision():
    model = small_model(("bernoulli", "spin"))
    single = model.replace(*(array.astype(np.float32) for array in model.parameters))
    assert single.dtype == np.float32
    assert 1e-3 < combined(draw_gibbs(single), exact_probabilities(model)) < 1 - 1e-3


def seldom_up(right):
    def is_up(low, x, word):
        return right(low, x, word) and word % 100 != 7  # one percent less often

    return is_up


def wrong_unit(right):
    def unit_draw(kind, level, parameters, fields, unit, word, states):
        if kind == 1 and word % 100 == 7:
            right(
                kind, level, parameters, fields, unit, np.uint32(7), states
            )  # the first state, one percent more often
        else:
            right(kind, level, parameters, fields, unit, word, states)
            if kind > 1:
                states[unit] *= 1.01

    return unit_draw


@pytest.mark.parametrize(
    ("kinds", "scale", "formula", "wrong"),
    [
        (("bernoulli", "spin"), 0.5, "is_up", seldom_up),
        (("potts", "potts"), 0.5, "unit_draw", wrong_unit),
        (("spin", "gaussian"), 1.0, "unit_draw", wrong_unit),
        (("spin", "relu"), 1.0, "unit_draw", wrong_unit),
    ],
    ids=["two levels", "potts", "gaussian", "relu"],
)
def test_gibbs_with_a_wrong_probability_fails(kinds, scale, formula, wrong, monkeypatch):
    kernel = with_wrong_formula(gibbs_cpu.gibbs_sweeps, "units", "mcgen.rbm.units.formulas", formula, wrong)
    monkeypatch.setattr(gibbs_cpu, "gibbs_sweeps", kernel)
    model = small_model(kinds, scale)
    assert combined(draw_gibbs(model), exact_probabilities(model), model) < 1e-6


def test_a_kernel_rebuilt_with_the_right_formula_gives_the_same_states():
    # What the tests above find is the wrong formula, not the way in which it was put in.
    model = small_model(("bernoulli", "spin"))
    right = rbm.sample(model, 64, n_draws=5, seed=1).states
    kernel = with_wrong_formula(
        gibbs_cpu.gibbs_sweeps, "units", "mcgen.rbm.units.formulas", "is_up", lambda formula: formula.py_func
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gibbs_cpu, "gibbs_sweeps", kernel)
        assert (rbm.sample(model, 64, n_draws=5, seed=1).states == right).all()


# Continuous visible units: with two-level hidden units p(v) is a mixture of 8 Gaussians, whose moments are known.


def mixture_moments(model):
    """Exact mean and covariance of Gaussian visible units."""
    h = model.hidden.list_states(model.n_hidden, 0, model.hidden.n_states(model.n_hidden))
    fields = h @ model.weights.T + model.visible_bias
    log_p = h @ model.hidden_bias + model.visible.cumulant(fields)
    p = np.exp(log_p - logsumexp(log_p))
    means = model.visible.mean(fields)
    mean = p @ means
    centered = means - mean
    variances = np.diag(p @ model.visible.variance(fields))
    return mean, (p[:, None] * centered).T @ centered + variances


@pytest.mark.parametrize("hidden", VISIBLE)
@pytest.mark.parametrize("kind", [rbm.Gaussian, rbm.ReLU])
def test_moments_of_continuous_visible_units(kind, hidden):
    random = np.random.default_rng(8)
    visible = kind([0.5, -1.0], [0.8, 1.7])
    weights = random.normal(scale=0.4, size=(2, 6))
    model = rbm.RBM(weights, random.normal(size=2), random.normal(size=6), visible, VISIBLE[hidden])
    n = 1 << 17
    v = rbm.sample(model, n, n_draws=1, thin=1, burn_in=20, seed=4).states[:, 0]
    assert v.dtype == np.float64
    mean, covariance = mixture_moments(model)
    assert (np.abs(v.mean(axis=0) - mean) / (v.std(axis=0) / np.sqrt(n)) < 4.5).all()
    products = (v - mean)[:, :, None] * (v - mean)[:, None, :]
    z = (products.mean(axis=0) - covariance) / (products.std(axis=0) / np.sqrt(n))
    assert (np.abs(z) < 4.5).all()
    assert (np.abs(products.mean(axis=0) - 1.04 * covariance) / (products.std(axis=0) / np.sqrt(n))).max() > 4.5


def test_two_gaussian_layers_have_a_gaussian_marginal():
    # p(v) is normal with the inverse covariance 1 - W W^T in units of the variances.
    weights = np.array([[0.5, -0.3], [0.2, 0.4]])
    model = rbm.RBM(weights, np.array([0.3, -0.4]), np.array([0.1, 0.2]), "gaussian", "gaussian")
    n = 1 << 17
    v = rbm.sample(model, n, n_draws=1, thin=1, burn_in=30, seed=4).states[:, 0]
    covariance = np.linalg.inv(np.eye(2) - weights @ weights.T)
    mean = covariance @ (model.visible_bias + weights @ model.hidden_bias)
    assert (np.abs(v.mean(axis=0) - mean) / np.sqrt(np.diag(covariance) / n) < 4.5).all()
    errors = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / n)
    assert (np.abs(np.cov(v.T) - covariance) / errors < 4.5).all()


# Exact draws.


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("size", [(4, 3), (3, 4), (7, 12)])
def test_exact_draws(kinds, size):
    # The smaller layer hidden, or visible; the sums in one block of states.
    model = random_model(*size, 0.5, kinds, 3)
    p = rbm.exact.probabilities(model)
    assert 1e-3 < combined(lambda seed: rbm.exact.sample(model, EXACT_CHAINS, seed), p) < 1 - 1e-3


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_exact_draws_of_many_blocks_of_states(kinds):
    # 13 hidden units of a model turned by hand: the choice among blocks of 2048 states counts too.
    model = random_model(14, 13, 0.5, kinds, 4)
    states = rbm.exact.sample(model, EXACT_CHAINS // 4, seed=9)
    p = rbm.exact.probabilities(model)
    assert 1e-3 < p_value(states, p) < 1 - 1e-3


@pytest.mark.parametrize("part", ["state of the smaller layer", "units of the other layer"])
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_exact_draws_wrong_by_one_percent_fail(kinds, part, monkeypatch):
    choose, uniforms = rbm.exact.log_weights.choose, rng.fine_uniforms

    def wrong_choice(log_weights, numbers):  # every second state one percent too often
        return choose(log_weights + 0.01 * (np.arange(len(log_weights)) % 2), numbers)

    def wrong_numbers(*arguments):  # units of the other layer one percent too seldom up
        numbers = uniforms(*arguments)
        numbers[:, 2:] /= 0.99
        return numbers

    if part == "state of the smaller layer":
        model = random_model(3, 4, 0.5, kinds, 3)
        monkeypatch.setattr(rbm.exact.log_weights, "choose", wrong_choice)
    else:
        model = random_model(4, 3, 0.5, kinds, 3)
        monkeypatch.setattr(rng, "fine_uniforms", wrong_numbers)
    p = rbm.exact.probabilities(model)
    assert combined(lambda seed: rbm.exact.sample(model, 4 * EXACT_CHAINS, seed), p) < 1e-6


# Chains that go on.


@pytest.mark.parametrize("settings", [{}, {"method": "metropolis"}, {"method": "tempering"}], ids=str)
def test_kernel_calls_of_any_length_give_the_same_states(settings, monkeypatch):
    from mcgen.rbm import sampling

    def draw():
        model = small_model(("bernoulli", "spin"))
        return rbm.sample(model, n_chains=9, n_draws=7, thin=3, burn_in=11, seed=1, **settings).states

    in_one_call = draw()
    monkeypatch.setattr(sampling.drawing, "OPERATIONS_PER_CALL", dict.fromkeys(sampling.METHODS, 9 * 4 * 3 * 7))
    assert (in_one_call == draw()).all()


def test_seeds_and_steps_continue():
    # Chains that go on later get the random numbers they would have got.
    from mcgen.rbm.sampling import Chains

    model = small_model(("bernoulli", "spin"))
    start = np.zeros((50, 4), np.int8)
    at_once, in_parts = Chains(start.copy(), seed=3), Chains(start.copy(), seed=3)
    at_once.advance(model, 12)
    for n in (5, 1, 6):
        in_parts.advance(model, n)
    assert (at_once.visible == in_parts.visible).all()
    one = rbm.sample(model, n_chains=50, n_draws=6, thin=2, burn_in=0, seed=3, initial=start)
    assert (one.states[:, -1] == at_once.visible).all()
