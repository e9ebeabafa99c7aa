"""Replica exchange of RBMs: every model of the ladder keeps its exact distribution, and modes are visited."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from chi_square import combined
from scipy.special import logsumexp
from scipy.stats import chi2, combine_pvalues

from mcgen import backend, replicas
from mcgen.errors import InputError, StatisticsWarning
from mcgen.rbm.chains import stack
from mcgen.rbm.gibbs.moves import sweep
from mcgen.rbm.model import RBM
from mcgen.rbm.sampling import sample
from mcgen.rbm.tempering import (
    TemperingChains,
    adapted_ladder,
    adapted_trajectory,
    chains,
    check_betas,
    check_trajectory,
    ladder,
)
from mcgen.rbm.units import Gaussian, Potts, ReLU

CPU = backend.target("cpu")
SEEDS = (51, 52, 53)
KINDS = [
    ("bernoulli", "bernoulli"),
    ("spin", "spin"),
    ("bernoulli", Gaussian(0.3, 0.5)),
    ("spin", ReLU(-0.2, 0.7)),
    (Potts(3), Potts(2)),
]
NAMES = ["bernoulli", "spin", "gaussian", "relu", "potts"]  # of the hidden units
BETAS = np.array([0.0, 0.4, 1.0])


def random_model(kinds, n_visible=6, n_hidden=4, scale=0.8, seed=3, dtype=np.float64):
    random = np.random.default_rng(seed)
    parameters = (random.normal(size=shape) * scale for shape in ((n_visible, n_hidden), n_visible, n_hidden))
    return RBM(*(array.astype(dtype) for array in parameters), *kinds)


def trajectory(model):
    """Models of the same units on a way to the model that no temperature takes."""
    other = random_model((model.visible, model.hidden), *model.weights.shape, scale=0.5, seed=8)
    return [
        model.replace(
            *(x * array + (1 - x) * one for array, one in zip(model.parameters, other.parameters, strict=True))
        )
        for x in (0.2, 0.6, 1.0)
    ]


def ladder_of(kind, model, betas=BETAS):
    return trajectory(model) if kind == "trajectory" else [model.tempered(beta) for beta in betas]


def states_of(model):
    return model.visible.list_states(model.n_visible, 0, model.visible.n_states(model.n_visible))


def probabilities(model, hidden_bias=None):
    if hidden_bias is not None:
        model = model.replace(model.weights, model.visible_bias, hidden_bias)
    minus_energy = -model.free_energy(states_of(model))
    return np.exp(minus_energy - logsumexp(minus_energy))


def p_of(indices, p):
    """Chi-square of indices of states, those expected fewer than 10 times taken together."""
    expected, counts = p * len(indices), np.bincount(indices, minlength=len(p))
    rare = expected < 10
    if rare.any():
        expected, counts = (np.append(array[~rare], array[rare].sum()) for array in (expected, counts))
    return chi2.sf(np.sum((counts - expected) ** 2 / expected), len(expected) - 1)


def started(models, n_chains, seed, betas=None, visible=None):
    if visible is None:
        visible = np.broadcast_to(states_of(models[0])[-1], (len(models), n_chains, models[0].n_visible))
    return TemperingChains(stack(models), visible, seed, CPU, betas)


@pytest.mark.parametrize("shared", [True, False], ids=["one product", "own products"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kinds", [*KINDS, (Gaussian(0.1, 0.4), "bernoulli")], ids=[*NAMES, "gaussian visible"])
def test_log_ratios_are_those_of_the_free_energies(kinds, dtype, shared):
    model = random_model(kinds, scale=0.4, dtype=dtype)
    betas = np.array([0.1, 0.4, 0.7, 1.0])
    models = [model.tempered(beta) for beta in betas] if shared else [*trajectory(model), model]
    visible = np.stack(
        [model.visible.draw(np.zeros((70, 6)), seed=k) for k in range(4)]  # more chains than a block
    )
    one = started(models, 70, 1, betas if shared else None, visible.astype(dtype))
    pairs = np.array([[0, 1], [2, 3], [3, 0], [0, 2], [1, 1]])
    free = np.array([[model.free_energy(rows) for rows in visible.astype(dtype)] for model in models])
    expected = [free[r, r] + free[s, s] - free[r, s] - free[s, r] for r, s in pairs]
    # Rounded products of beta and the weights of float32 models are not those of float64.
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    assert np.allclose(one.log_ratios(pairs), expected, rtol=0, atol=tolerance)
    assert np.abs(expected[0]).max() > 0.1


@pytest.mark.parametrize("kind", ["temperatures", "trajectory"])
@pytest.mark.parametrize("kinds", KINDS, ids=NAMES)
def test_every_model_has_its_distribution(kinds, kind):
    model = random_model(kinds, scale=0.6)
    models = ladder_of(kind, model)
    betas = BETAS if kind == "temperatures" else None
    p_values = []
    for seed in SEEDS:
        one = started(models, 1 << 13, seed, betas)
        draws = one.advance(24, 1)
        assert (one.exchange().swap_rates > 0.1).all()
        visible = one.visible
        assert (draws[:, 0] == visible[-1]).all()
        p_values += [p_of(model.visible.state_index(v), probabilities(m)) for m, v in zip(models, visible, strict=True)]
    assert 1e-3 < combine_pvalues(np.maximum(p_values, 1e-300)).pvalue < 1 - 1e-3


@pytest.mark.parametrize("kind", ["temperatures", "trajectory"])
def test_chains_with_clamped_units_have_their_own_distributions(kind):
    # Rows of hidden biases: even chains hold other units than odd ones.
    model = random_model(("bernoulli", "spin"), scale=0.6)
    models = ladder_of(kind, model)
    shift = np.random.default_rng(2).normal(size=(2, model.n_hidden))
    n_chains, scales = 1 << 13, BETAS if kind == "temperatures" else np.ones(3)
    rows = np.stack(
        [m.hidden_bias + scale * shift[np.arange(n_chains) % 2] for m, scale in zip(models, scales, strict=True)]
    )
    held = stack(models)._replace(hidden_bias=rows)
    p_values = []
    for seed in SEEDS[:2]:
        start = np.zeros((3, n_chains, model.n_visible))
        one = TemperingChains(held, start, seed, CPU, BETAS if kind == "temperatures" else None)
        one.advance(24)
        for parity in range(2):
            for k in range(3):
                p = probabilities(models[k], rows[k, parity])
                p_values.append(p_of(model.visible.state_index(one.visible[k, parity::2]), p))
    assert 1e-3 < combine_pvalues(np.maximum(p_values, 1e-300)).pvalue < 1 - 1e-3


# Swaps alone leave exact draws what they are: no sweep repairs what they get wrong.

SWAP_CHAINS = 1 << 20


def p_of_swaps(kind):
    """Exact draws of two models, and one round of swaps: the pairs of states keep their joint distribution."""
    model = random_model(("bernoulli", "spin"), n_visible=2, n_hidden=3, scale=1.2)
    betas = np.array([0.3, 1.0])
    models = [model.tempered(beta) for beta in betas] if kind == "temperatures" else trajectory(model)[::2]
    p = [probabilities(m) for m in models]
    p_values = []
    for seed in SEEDS:
        indices = np.random.default_rng(seed).choice(16, SWAP_CHAINS, p=np.outer(*p).ravel())
        visible = states_of(model)[np.stack([indices // 4, indices % 4])]
        one = started(models, SWAP_CHAINS, seed, betas if kind == "temperatures" else None, visible)
        one._swap()
        assert 0.2 < one.exchange().swap_rates[0] < 0.9
        first, second = model.visible.state_index(one.visible)
        p_values.append(p_of(4 * first + second, np.outer(*p).ravel()))
    return combine_pvalues(np.maximum(p_values, 1e-300)).pvalue


@pytest.mark.parametrize("kind", ["temperatures", "trajectory"])
def test_swaps_keep_the_exact_distributions(kind):
    assert 1e-3 < p_of_swaps(kind) < 1 - 1e-3


@pytest.mark.parametrize("kind", ["temperatures", "trajectory"])
def test_swaps_wrong_by_one_percent_fail(kind, monkeypatch):
    right = replicas.swap_probability

    def wrong(log_ratios):
        p = right(log_ratios)
        return np.where(p < 1, 1.01 * p, p)

    monkeypatch.setattr(chains.replicas, "swap_probability", wrong)
    assert p_of_swaps(kind) < 1e-6


def test_swaps_by_the_scaled_free_energy_of_the_model_fail(monkeypatch):
    # min(1, e^{(beta_r - beta_s) (F_1(v_r) - F_1(v_s))}), as if F_beta were beta F_1.
    model = random_model(("bernoulli", "spin"), n_visible=2, n_hidden=3, scale=1.2)

    def wrong(self, pairs):
        free = model.free_energy(self.visible)
        return np.array([(self._betas[r] - self._betas[s]) * (free[r] - free[s]) for r, s in pairs])

    monkeypatch.setattr(TemperingChains, "_log_ratios", wrong)
    assert p_of_swaps("temperatures") < 1e-6


# A model of two modes, nearly all units up or nearly all down, that Gibbs sweeps never leave.


def two_modes():
    n_visible = 10
    weights = np.column_stack([np.full(n_visible, 2.0), 0.1 * np.cos(np.arange(n_visible))])
    return RBM(weights, np.full(n_visible, 0.0443), np.array([0.0, 0.2]), "spin", "spin")


def is_up(states):
    return states.sum(axis=-1, dtype=np.int64) > 0


def test_gibbs_sweeps_stay_in_their_mode():
    model, n_chains = two_modes(), 8
    start = np.ones((1, n_chains, 10))
    start[:, ::2] = -1
    _, draws = sweep(stack([model]), start, 100_000, 1000, 0, 4, CPU)
    assert (is_up(draws[0]) == is_up(start[0])[:, None]).all()


@pytest.mark.parametrize("kind", ["temperatures", "trajectory"])
def test_tempering_visits_both_modes_with_their_weights(kind):
    model, n_chains = two_modes(), 64
    betas = np.array([0.0, 0.2, 0.35, 0.5, 0.7, 1.0])
    models = [model.tempered(beta) for beta in betas]
    if kind == "trajectory":  # weights that grow, with the biases of the model
        models = [model.replace(m.weights, model.visible_bias, model.hidden_bias) for m in models]
    p = probabilities(model)
    weight = p[is_up(states_of(model))].sum()
    assert 0.65 < weight < 0.75
    z = []
    for seed in SEEDS:
        one = TemperingChains(
            stack(models), np.ones((6, n_chains, 10)), seed, CPU, betas if kind == "temperatures" else None
        )
        one.advance(200)
        one.restart_counts()
        fractions = is_up(one.advance(1200, 1200)).mean(axis=1)
        assert (fractions > 0).all()
        assert (fractions < 1).all()
        exchange = one.exchange()
        assert exchange.n_sweeps == 1200
        assert exchange.round_trips > 10 * n_chains
        assert exchange.swap_rates.min() > 0.2
        z.append((fractions.mean() - weight) / (fractions.std(ddof=1) / n_chains**0.5))
    assert np.abs(z).max() < 4
    assert 1e-3 < chi2.sf(np.sum(np.square(z)), len(z)) < 1 - 1e-3


def test_all_distributions_of_two_modes():
    model, n_chains = two_modes(), 1 << 11
    betas = np.array([0.0, 0.2, 0.35, 0.5, 0.7, 1.0])

    def draw(seed):
        one = TemperingChains(
            stack([model.tempered(beta) for beta in betas]), np.ones((6, n_chains, 10)), seed, CPU, betas
        )
        return one.advance(150, 1)[:, 0]

    assert 1e-3 < combined(draw, probabilities(model), SEEDS) < 1 - 1e-3


# The ladders.


def test_ladder_reaches_the_rate_and_keeps_what_was_given():
    model = random_model(("bernoulli", "bernoulli"), 40, 30, scale=0.6)

    def make_stack(betas):
        return stack([model.tempered(beta) for beta in betas])

    given = np.array([0.0, 0.1, 1.0])
    betas, visible = adapted_ladder(make_stack, given, np.zeros((3, 50, 40)), 7, CPU, swap_rate=0.3)
    assert np.isin(given, betas).all()
    check_betas(betas)
    assert 5 < len(betas) < 25
    assert visible.shape == (len(betas), 50, 40)
    one = TemperingChains(make_stack(betas), visible, 8, CPU, betas)
    one.advance(400)
    exchange = one.exchange()
    assert (exchange.betas == betas).all()
    assert exchange.swap_rates.min() > 0.8 * 0.3
    # No interval is divided that did not need it.
    assert exchange.swap_rates[1:].max() < 0.8
    assert exchange.round_trips > 0


def stored_models():
    """Models of a training of two modes, by the exact gradient: plain steps, one model stored in each."""
    data = np.repeat([[1.0] * 8, [-1.0] * 8], [7, 3], axis=0)
    model = random_model(("spin", "spin"), 8, 3, scale=0.05)
    states, models = states_of(model), [model]
    for _ in range(60):
        gradient = []
        for v, weights in ((data, np.full(10, 0.1)), (states, probabilities(model))):
            h = model.hidden_mean(v)
            gradient.append(((v * weights[:, None]).T @ h, weights @ v, weights @ h))
        model = model.replace(*(a + 0.1 * (up - down) for a, up, down in zip(model.parameters, *gradient, strict=True)))
        models.append(model)
    return models


def test_trajectory_of_a_training_keeps_the_models_that_are_needed():
    models = stored_models()
    model, n_chains = models[-1], 64
    visible = np.ones((len(models), n_chains, 8))
    kept, states = adapted_trajectory(stack(models), visible, 5, CPU)
    assert (kept[0], kept[-1]) == (0, len(models) - 1)
    assert (np.diff(kept) > 0).all()
    assert 3 <= len(kept) < len(models) // 3
    assert states.shape == (len(kept), n_chains, 8)
    weight = probabilities(model)[is_up(states_of(model))].sum()
    one = TemperingChains(stack([models[k] for k in kept]), states, 6, CPU)
    one.advance(100)
    one.restart_counts()
    fractions = is_up(one.advance(1000, 1000)).mean(axis=1)
    exchange = one.exchange()
    assert exchange.betas is None
    assert exchange.swap_rates.min() > 0.8 * replicas.SWAP_RATE
    assert exchange.round_trips > n_chains
    assert abs(fractions.mean() - weight) < 4 * fractions.std(ddof=1) / n_chains**0.5


def test_a_trajectory_with_a_gap_is_reported():
    model = random_model(("spin", "spin"), 200, 20, scale=1.0)
    models = [model.tempered(beta) for beta in (0.0, 0.01, 1.0)]
    with pytest.warns(StatisticsWarning, match=r"models 1 and 2 of .* probability .*e-.*; store more models"):
        kept, _ = adapted_trajectory(stack(models), np.ones((3, 20, 200)), 5, CPU)
    assert kept.tolist() == [0, 1, 2]


def test_a_ladder_that_stays_too_wide_is_reported(monkeypatch):
    model = random_model(("spin", "spin"), 60, 20, scale=1.0)

    def make_stack(betas):
        return stack([model.tempered(beta) for beta in betas])

    arguments = (make_stack, np.array([0.0, 1.0]), np.ones((2, 20, 60)), 5, CPU)
    monkeypatch.setattr(ladder, "MOST_ROUNDS", 1)
    with pytest.warns(StatisticsWarning, match=r"refined 1 times, .* below 0.25; give more betas"):
        adapted_ladder(*arguments)
    monkeypatch.setattr(ladder, "MOST_MODELS", 3)
    with pytest.raises(
        InputError, match=r"from beta=0 to 1 with swap rates of 0.25 needs about \d+ models, more than 3;"
    ):
        adapted_ladder(*arguments)


# Bookkeeping.


def test_equal_models_always_swap_and_states_travel():
    # Three places: two swaps up, one waiting at the end, two down, one waiting: six swaps for each state.
    model = random_model(("spin", "spin"))
    one = started([model] * 3, 10, 2)
    one.advance(600)
    exchange = one.exchange()
    assert (exchange.swap_rates == 1).all()
    assert 10 * 3 * (600 // 6 - 2) <= exchange.round_trips <= 10 * 3 * (600 // 6)
    one.restart_counts()
    empty = one.exchange()
    assert np.isnan(empty.swap_rates).all()
    assert (empty.round_trips, empty.n_sweeps, one.n_sweeps) == (0, 0, 600)


def test_states_move_as_reported():
    # Without sweeps every state can be followed: the replica that the book has at a place is the one that is there.
    model = random_model(("bernoulli", "bernoulli"), n_visible=8)
    models = [model.tempered(beta) for beta in (0.2, 0.5, 0.8, 1.0)]
    start = np.broadcast_to(np.eye(8)[:4, None], (4, 37, 8))  # replica k has unit k up
    one = started(models, 37, 2, visible=start)
    for _ in range(9):
        one._swap()
    assert (one.visible.argmax(axis=2) == one._replicas._replica_at).all()
    assert 0 < one.exchange().swap_rates.min() <= one.exchange().swap_rates.max() < 1


def test_sweeps_in_parts_are_those_in_one_call():
    model = random_model(("spin", "bernoulli"))
    models = ladder_of("temperatures", model)
    at_once, in_parts = started(models, 40, 5, BETAS), started(models, 40, 5, BETAS)
    draws = at_once.advance(12, 6)
    parts = [in_parts.advance(n, n // 2) for n in (4, 2, 6)]
    assert (draws == np.concatenate(parts, axis=1)).all()
    assert (at_once.visible == in_parts.visible).all()
    assert draws.dtype == np.int8


def test_the_start_is_not_changed():
    model = random_model(("spin", "bernoulli"))
    start = np.ones((3, 40, 6))
    started(ladder_of("trajectory", model), 40, 5, visible=start).advance(3)
    assert (start == 1).all()


THREADS = """
import hashlib, numpy as np
from mcgen import backend, rng
from mcgen.rbm.chains import stack
from mcgen.rbm.model import RBM
from mcgen.rbm.sampling import sample
from mcgen.rbm.tempering import TemperingChains
for dtype in (np.float32, np.float64):
    model, betas = RBM.random(50, 70, seed=1, scale=0.5, dtype=dtype), np.array([0.0, 0.3, 0.5, 0.7, 1.0])
    for given in (betas, None):
        models = stack([model.tempered(beta) for beta in betas])
        one = TemperingChains(models, np.zeros((5, 300, 50)), 3, backend.target("cpu"), given)
        draws = one.advance(12, 3)
        arrays = draws, one.visible, one.log_ratios([[0, 1], [4, 2]]), one.exchange().swap_rates
        print(hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest())
"""


def test_results_do_not_depend_on_the_number_of_threads():
    outputs = []
    for threads in ("1", "2"):
        environment = os.environ | {"NUMBA_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-P", "-c", THREADS], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert len(set(outputs[0].split())) == 4
    assert outputs[0] == outputs[1]


# What is refused.


@pytest.mark.parametrize(
    ("betas", "message"),
    [
        ([1.0], r"betas=\[1.0\] is no ladder; give two or more"),
        ([0.0, 0.5, 0.5, 1.0], r"betas has 0.5 before 0.5 at index 1; give each once, in increasing order"),
        ([0.0, 0.7, 0.5, 1.0], r"betas has 0.7 before 0.5 at index 1;"),
        ([-0.1, 1.0], r"betas has -0.1 first and 1 last; start at 0 or above, and end at 1"),
        ([0.0, 0.9], r"betas has 0 first and 0.9 last; start at 0 or above, and end at 1"),
        ([0.0, 1.1], r"betas has 0 first and 1.1 last; start at 0 or above, and end at 1"),
        ([0.0, np.nan, 1.0], r"betas has 1 values that are NaN"),
        (1.0, r"betas has shape \(\)"),
    ],
)
def test_betas_that_are_no_ladder(betas, message):
    with pytest.raises(InputError, match=message):
        check_betas(betas)


MODEL = random_model(("spin", "spin"))


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([MODEL], "a trajectory of 1 models is no ladder; give two or more"),
        ([MODEL, MODEL.weights], "model 1 of the trajectory is a ndarray; give RBMs"),
        ([MODEL, random_model(("spin", "spin"), 5)], r"model 1 .* shape \(5, 4\) and model 0 \(6, 4\); give stored"),
        ([MODEL, random_model(("spin", "bernoulli"))], r"model 1 .* Bernoulli\(\) hidden units, model 0 .* Spin\(\)"),
    ],
)
def test_models_that_are_no_trajectory(models, message):
    with pytest.raises(InputError, match=message):
        check_trajectory(models)
    assert len(check_trajectory([MODEL, MODEL])) == 2


def test_swaps_do_not_depend_on_the_number_of_threads(monkeypatch):
    # Large enough for BLAS to round products of other shapes otherwise.
    model = random_model(("bernoulli", "bernoulli"), 784, 500, scale=0.1)
    states = np.random.default_rng(0).integers(0, 2, (2, 1000, 784)).astype(np.float64)
    pairs = [model.tempered(0.5), model]
    ratios = []
    for n_threads in (1, 2, 16):
        monkeypatch.setattr("mcgen.rbm.chains.numba.get_num_threads", lambda n=n_threads: n)
        ratios.append(TemperingChains(stack(pairs), states, 1, CPU, [0.5, 1.0]).log_ratios([[0, 1]]))
    assert np.array_equal(ratios[0], ratios[1])
    assert np.array_equal(ratios[0], ratios[2])


def test_a_run_too_short_for_a_swap_says_so():
    model = random_model(("bernoulli", "bernoulli"))
    samples = sample(
        model, n_chains=4, n_draws=1, burn_in=0, thin=1, method="tempering", ladder=[0.0, 0.5, 1.0], seed=1
    )
    rates = samples.exchange.swap_rates
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no warning of an empty slice
        assert ("no swap was tried" in repr(samples)) == (not np.isfinite(rates).any())
    samples.exchange.swap_rates[:] = np.nan
    assert "no swap was tried" in repr(samples)
