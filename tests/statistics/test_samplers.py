"""Every sampler against exact probabilities, by a chi-square test that a wrong acceptance of one percent fails.

Each draw is the last state of a chain of its own, so draws are independent and the test needs no correction. Chains
start from random states: a sampler that does not reach every state fails as well. The p-values of several seeds are
combined.
"""

import numpy as np
import pytest
from chi_square import combined as p_of_seeds
from chi_square import p_value, with_wrong_formula
from models import KINDS, random_model

from mcgen import ising, rbm, stats
from mcgen.ising import cpu as ising_cpu
from mcgen.rbm import cpu as rbm_cpu

RBM_CHAINS = 1 << 19
ISING_CHAINS = 1 << 20
BURN_IN = 20  # several times what these small systems need to forget their start
SEEDS = (11, 12, 13)


def combined(draw, probabilities):
    return p_of_seeds(draw, probabilities, SEEDS)


# The Ising model: a bipartite lattice, swept in checkerboard order, and one that is not, with random sites.

RANDOM = np.random.default_rng(5)
TEMPERATURE = 2.5
LATTICES = {
    "bipartite": ising.Ising((2, 2), RANDOM.normal(size=(2, 2, 2)), RANDOM.normal(size=(2, 2)) / 2, periodic=False),
    "frustrated": ising.Ising((5,), RANDOM.normal(size=(1, 5)), RANDOM.normal(size=5) / 2),
}


def draw_ising(lattice, method, temperature=TEMPERATURE):
    def draw(seed):
        run = ising.sample(
            lattice, temperature, ISING_CHAINS, n_draws=1, thin=1, burn_in=BURN_IN, method=method, seed=seed,
            kernel="single-flip",
        )  # fmt: skip
        return run.states.reshape(-1, lattice.n_sites)

    return draw


@pytest.mark.parametrize("method", ["metropolis", "heatbath"])
@pytest.mark.parametrize("name", LATTICES)
def test_ising(name, method):
    lattice = LATTICES[name]
    p = ising.exact.probabilities(lattice, TEMPERATURE)
    assert 1e-3 < combined(draw_ising(lattice, method), p) < 1 - 1e-3


def test_ising_ring_of_four():
    # The lattice on which the usual acceptance of moves without cost leaves states unreached.
    lattice = ising.Ising((4,))
    for temperature in (2.269, 5.0):
        p = ising.exact.probabilities(lattice, temperature)
        assert 1e-3 < combined(draw_ising(lattice, "metropolis", temperature), p) < 1 - 1e-3


def wrong_flips(right):
    def flip_probability(rule, s, h, beta):
        p = right(rule, s, h, beta)
        return 1.01 * p if s * h > 0 else p  # flips that cost energy, one percent too often

    return flip_probability


@pytest.mark.parametrize("method", ["metropolis", "heatbath"])
@pytest.mark.parametrize("name", LATTICES)
def test_ising_with_a_wrong_acceptance_fails(name, method, monkeypatch):
    kernel = with_wrong_formula(
        ising_cpu.single_flip_sweeps, "ising", "mcgen.ising.formulas", "flip_probability", wrong_flips
    )
    monkeypatch.setattr(ising_cpu, "single_flip_sweeps", kernel)
    lattice = LATTICES[name]
    p = ising.exact.probabilities(lattice, TEMPERATURE)
    assert combined(draw_ising(lattice, method), p) < 1e-6


# The restricted Boltzmann machine: every pair of unit kinds.


def draw_rbm(model, method):
    def draw(seed):
        return rbm.sample(model, RBM_CHAINS, n_draws=1, thin=1, burn_in=BURN_IN, method=method, seed=seed).states[:, 0]

    return draw


def small_model(kinds):
    return random_model(4, 3, 0.5, kinds, 3)


@pytest.mark.parametrize("method", ["gibbs", "metropolis"])
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_rbm(kinds, method):
    model = small_model(kinds)
    assert 1e-3 < combined(draw_rbm(model, method), rbm.exact.probabilities(model)) < 1 - 1e-3


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("size", [(4, 3), (3, 4), (7, 12)])
def test_exact_draws(kinds, size):
    # The smaller layer hidden, or visible; the sums in one block of states.
    model = random_model(*size, 0.5, kinds, 3)
    p = rbm.exact.probabilities(model)
    assert 1e-3 < combined(lambda seed: rbm.exact.sample(model, RBM_CHAINS, seed), p) < 1 - 1e-3


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_exact_draws_of_many_blocks_of_states(kinds):
    # 13 hidden units of a model turned by hand: the choice among blocks of 2048 states counts too.
    model = random_model(14, 13, 0.5, kinds, 4)
    states = rbm.exact.sample(model, RBM_CHAINS // 4, seed=9)
    p = rbm.exact.probabilities(model)
    assert 1e-3 < p_value(states, p) < 1 - 1e-3


@pytest.mark.parametrize("part", ["state of the smaller layer", "units of the other layer"])
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_exact_draws_wrong_by_one_percent_fail(kinds, part, monkeypatch):
    choose, uniforms = rbm.exact._choose, rbm.exact.rng.fine_uniforms

    def wrong_choice(log_weights, numbers):  # every second state one percent too often
        return choose(log_weights + 0.01 * (np.arange(len(log_weights)) % 2), numbers)

    def wrong_numbers(*arguments):  # units of the other layer one percent too seldom up
        numbers = uniforms(*arguments)
        numbers[:, 2:] /= 0.99
        return numbers

    if part == "state of the smaller layer":
        model = random_model(3, 4, 0.5, kinds, 3)
        monkeypatch.setattr(rbm.exact, "_choose", wrong_choice)
    else:
        model = small_model(kinds)
        monkeypatch.setattr(rbm.exact.rng, "fine_uniforms", wrong_numbers)
    p = rbm.exact.probabilities(model)
    assert combined(lambda seed: rbm.exact.sample(model, 4 * RBM_CHAINS, seed), p) < 1e-6


def wrong_draws(right):
    def probability_up(low, x):
        return 0.99 * right(low, x)

    return probability_up


def wrong_acceptance(right):
    def flip_acceptance(cost):
        p = right(cost)
        return 1.01 * p if cost > 0 else p

    return flip_acceptance


@pytest.mark.parametrize(
    ("method", "formula", "wrong"),
    [("gibbs", "probability_up", wrong_draws), ("metropolis", "flip_acceptance", wrong_acceptance)],
)
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_rbm_with_a_wrong_probability_fails(kinds, method, formula, wrong, monkeypatch):
    kernel_name = f"{method}_sweeps"
    kernel = with_wrong_formula(getattr(rbm_cpu, kernel_name), "rbm", "mcgen.rbm.formulas", formula, wrong)
    monkeypatch.setattr(rbm_cpu, kernel_name, kernel)
    model = small_model(kinds)
    assert combined(draw_rbm(model, method), rbm.exact.probabilities(model)) < 1e-6


def test_draws_along_a_chain_have_the_exact_distribution():
    # Thinned draws of few chains, as users take them: consecutive draws, counted with their effective sample size.
    lattice = LATTICES["bipartite"]
    run = ising.sample(lattice, 3.0, n_chains=64, n_draws=20000, thin=15, burn_in=100, seed=7)
    p = ising.exact.probabilities(lattice, 3.0)
    assert stats.integrated_time(run.energy) < 1.02
    assert stats.integrated_time(lattice.magnetization(run.states)) < 1.02
    assert 1e-3 < p_value(run.states.reshape(-1, 4), p) < 1 - 1e-3


def test_a_kernel_rebuilt_with_the_right_formula_gives_the_same_states():
    # What the tests above find is the wrong formula, not the way in which it was put in.
    model = small_model(KINDS[0])
    right = rbm.sample(model, 64, n_draws=5, seed=1, method="gibbs").states
    kernel = with_wrong_formula(
        rbm_cpu.gibbs_sweeps, "rbm", "mcgen.rbm.formulas", "probability_up", lambda formula: formula.py_func
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rbm_cpu, "gibbs_sweeps", kernel)
        assert (rbm.sample(model, 64, n_draws=5, seed=1, method="gibbs").states == right).all()


def test_kernel_calls_of_any_length_give_the_same_states(monkeypatch):
    from mcgen.ising import sampling as ising_sampling
    from mcgen.rbm import sampling as rbm_sampling

    settings = {"n_draws": 7, "thin": 3, "burn_in": 11, "seed": 1}

    def draw():
        ferromagnet = ising.Ising((2, 4))
        runs = [ising.sample(LATTICES[name], 2.0, n_chains=9, **settings) for name in LATTICES]
        for method in ("metropolis", "heatbath", "wolff", "swendsen-wang"):
            runs.append(ising.sample(ferromagnet, 2.0, n_chains=9, method=method, **settings))
            runs += ising.sample(ferromagnet, [2.0, 4.0], n_chains=9, method="tempering", moves=method, **settings)
        for method in ("gibbs", "metropolis"):
            runs.append(rbm.sample(small_model(KINDS[0]), n_chains=9, method=method, **settings))
        return [run.states for run in runs]

    in_one_call = draw()
    monkeypatch.setattr(ising_sampling, "SECONDS_PER_CALL", 1e-9)
    monkeypatch.setattr(rbm_sampling, "OPERATIONS_PER_CALL", 9 * 4 * 3 * 7)
    for once, often in zip(in_one_call, draw(), strict=True):
        assert (once == often).all()


def test_seeds_and_steps_continue():
    # Chains that go on later get the random numbers they would have got.
    from mcgen.rbm.sampling import Chains

    model = small_model(KINDS[0])
    start = np.zeros((50, 4), np.int8)
    at_once, in_parts = Chains(start.copy(), seed=3), Chains(start.copy(), seed=3)
    at_once.advance(model, 12)
    for n in (5, 1, 6):
        in_parts.advance(model, n)
    assert (at_once.visible == in_parts.visible).all()
    one = rbm.sample(model, n_chains=50, n_draws=6, thin=2, burn_in=0, seed=3, initial=start)
    assert (one.states[:, -1] == at_once.visible).all()
