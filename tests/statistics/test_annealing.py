"""Annealing in both directions against exact partition functions."""

import warnings

import numpy as np
import pytest
from scipy.special import comb, logsumexp
from scipy.stats import binom, chi2

from mcgen import rbm
from mcgen.errors import InputError, StatisticsWarning
from mcgen.rbm.partition import annealing, draws, path
from mcgen.rbm.partition.ais import ais, reverse_ais
from mcgen.rbm.partition.sandwich import sandwich
from mcgen.rbm.partition.weights import log_mean

KINDS = [
    ("bernoulli", "bernoulli"),
    ("spin", "spin"),
    ("bernoulli", "gaussian"),
    (rbm.Potts(3), "spin"),
    ("spin", rbm.Potts(3)),
    ("gaussian", "bernoulli"),
    ("relu", "spin"),
    ("spin", "relu"),
]


def make(kinds, seed, n_visible=12, n_hidden=9, scale=0.25, dtype=np.float64):
    random = np.random.default_rng(seed)
    sizes = ((n_visible, n_hidden), n_visible, n_hidden)
    return rbm.RBM(*(random.normal(0, scale, size).astype(dtype) for size in sizes), *kinds)


def deviations(ratios):
    """(mean - 1) / error of ratios that are 1 on average, having made sure that one percent would show."""
    error = ratios.std() / np.sqrt(len(ratios))
    assert error < 0.0025
    return (ratios.mean() - 1) / error


@pytest.fixture(scope="module")
def weights():
    """Over all kinds of units: log weights of many short runs, forward and in reverse, plus what makes their mean 1."""
    found = []
    betas = np.array([0.0, 0.2, 0.35, 0.6, 0.8, 1.0])
    for number, kinds in enumerate(KINDS):
        model = make(kinds, number, dtype=np.float32 if number % 2 else np.float64)
        start = path.reference(model, seed=number)
        ratio = rbm.exact.log_partition(model) - path.log_partition_of_independent(start)
        n = 40_000
        states = annealing.reference_states(start, n, seed=10 + number)
        forward = annealing.anneal(start, model, betas, states, seed=20 + number).log_weights - ratio
        states = rbm.exact.sample(model, n, seed=30 + number)
        reverse = annealing.anneal(start, model, betas[::-1].copy(), states, seed=40 + number).log_weights + ratio
        found.append((forward, reverse))
    return found


@pytest.mark.parametrize("direction", [0, 1])
def test_mean_weights_are_ratios_of_partition_functions(weights, direction):
    z = np.array([deviations(np.exp(pair[direction])) for pair in weights])
    assert chi2.sf(np.sum(z**2), len(z)) > 0.001
    assert abs(z.sum()) / np.sqrt(len(z)) < 3.5


def test_forward_and_reverse_are_one_process(weights):
    """Crooks: <g(w) w> forward is <g(1 / w')> in reverse for any g, here g = 1 / (1 + w)."""
    z = []
    for forward, reverse in weights:
        one, other = 1 / (1 + np.exp(-forward)), 1 / (1 + np.exp(-reverse))
        assert one.std() > 0.01  # the weights differ
        z.append((one.mean() - other.mean()) / np.hypot(one.std(), other.std()) * np.sqrt(len(one)))
    assert chi2.sf(np.sum(np.square(z)), len(z)) > 0.001


def test_intervals_cover_the_exact_value():
    n_models = 60
    inside = dict.fromkeys(("ais", "reverse ais", "sandwich"), 0)
    for k in range(n_models):
        kinds = (("bernoulli", "bernoulli"), ("spin", "spin"), ("bernoulli", "spin"))[k % 3]
        scale = np.random.default_rng(k).uniform(0.1, 0.35 if kinds[0] == "spin" else 1.0)
        model = make(kinds, 100 + k, 20, 12, scale)
        both = sandwich(model, n_runs=64, n_temperatures=40, seed=k)
        exact, lower, upper = both.checked_against
        assert exact.value == rbm.exact.log_partition(model)
        assert both.lower < exact.value < both.upper
        for one in (lower, upper, both):
            inside[one.method] += one.interval[0] <= exact.value <= one.interval[1]
    for count in inside.values():
        assert binom.cdf(count, n_models, 0.95) > 0.001
        assert count < n_models


def test_the_interval_of_a_mean_of_skewed_weights():
    random = np.random.default_rng(5)
    for sigma, n, least in ((0.5, 40, 0.93), (1.5, 400, 0.915)):
        trials = [log_mean(random.normal(0, sigma, n)).interval for _ in range(1500)]
        low, high = np.array(trials).T
        covered = ((low <= sigma**2 / 2) & (sigma**2 / 2 <= high)).mean()
        assert least < covered < 0.965


def test_the_contract():
    model = make(("bernoulli", "bernoulli"), 3, 20, 12)
    a = ais(model, n_runs=32, n_temperatures=50, seed=5)
    assert (a.method, a.settings["n_runs"], len(a.settings["betas"])) == ("ais", 32, 50)
    assert 20 < a.effective_sample_size <= 32
    assert a.interval[0] < a.value < a.interval[1]
    assert abs(a.deviation(a.checked_against[0])) < 4
    assert ais(model, n_runs=32, n_temperatures=50, seed=5).value == a.value
    assert ais(model, n_runs=32, n_temperatures=50, seed=6).value != a.value
    data = rbm.exact.sample(model, 100, seed=1)
    for more in ({"v": data}, {"betas": np.linspace(0, 1, 50)}, {"adapt": False}, {"reference": path.reference(model)}):
        b = ais(model, n_runs=32, n_temperatures=50, seed=5, **more)
        assert b.value != a.value
        assert abs(b.deviation(b.checked_against[0])) < 4


def test_reverse_runs_from_samples_of_chains():
    model = make(("spin", "spin"), 3, 20, 12, 0.2)
    run = rbm.sample(model, n_chains=100, n_draws=10, seed=4)
    alone = reverse_ais(model, n_temperatures=40, seed=5, samples=run.states[:, -1])
    chains = reverse_ais(model, n_temperatures=40, seed=5, samples=run.states)
    for found in (alone, chains):
        assert abs(found.deviation(found.checked_against[0])) < 4
    assert 0.15 < chains.error / alone.error < 0.8
    assert chains.settings["n_runs"] == 1000


def two_blocks():
    """A model too large for its exact sum, of two that do not see each other, and its log Z."""
    parts = [make(("bernoulli", "bernoulli"), seed, 24, 18, 0.5) for seed in (1, 2)]
    weights = np.zeros((48, 36))
    weights[:24, :18], weights[24:, 18:] = (part.weights for part in parts)
    biases = (np.concatenate([part.parameters[k] for part in parts]) for k in (1, 2))
    return rbm.RBM(weights, *biases), sum(rbm.exact.log_partition(part) for part in parts)


@pytest.mark.parametrize("sampler", ["gibbs", "tempering"])
def test_a_model_that_cannot_be_summed(sampler):
    model, log_z = two_blocks()
    assert not rbm.exact.is_quick(model)
    found = sandwich(model, n_runs=100, n_temperatures=100, seed=2, burn_in=60, sampler=sampler)
    assert found.lower < log_z < found.upper
    assert found.upper - found.lower < 1.5
    assert abs(found.value - log_z) < 4 * found.error < 0.5
    assert [one.method for one in found.checked_against] == ["ais", "reverse ais"]


def test_chains_start_from_the_states_that_were_given():
    frozen = rbm.RBM(np.ones((48, 36)), np.zeros(48), np.zeros(36), "spin", "spin")  # two states that are never left
    initial = np.ones((3, 48))
    initial[1:] = -1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)
        found = draws.draw_model(frozen, 51, seed=2, burn_in=20, initial=initial)
    assert found.shape == (51, 1, 48)
    assert sorted(found.mean(axis=(1, 2))) == [-1] * 34 + [1] * 17


def test_too_few_effective_runs_are_said_and_the_interval_reaches_from_end_to_end():
    model = make(("spin", "spin"), 2, 30, 14, 1.0)
    exact = rbm.exact.log_partition(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = sandwich(model, n_runs=64, n_temperatures=10)
    said = [str(one.message) for one in caught]
    assert any(words.startswith("a side of the sandwich, ais, rests on") for words in said)
    assert all("raise n_temperatures" in words for words in said)
    sides = [one for one in found.checked_against if "ais" in one.method]
    assert found.lower <= min(side.interval[0] for side in sides)
    assert found.upper >= max(side.interval[1] for side in sides)
    assert found.interval[0] <= found.lower < exact < found.upper <= found.interval[1]
    assert abs(found.value - exact) < 2 * found.error
    for estimate in (ais, reverse_ais):
        with pytest.warns(StatisticsWarning, match="effective samples"):
            estimate(model, n_runs=64, n_temperatures=10)


def test_samples_of_another_model_are_noticed():
    model = make(("bernoulli", "bernoulli"), 3, 20, 12, 0.6)
    samples = np.zeros((200, 20))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sandwich(model, n_runs=200, n_temperatures=60, seed=2, samples=samples)
    assert any("in the wrong order" in str(one.message) for one in caught)


def test_chains_in_a_mode_without_weight_are_noticed_and_start_again():
    n, m, w, b = 48, 36, 0.05, 0.15
    model = rbm.RBM(np.full((n, m), w), np.full(n, b), np.zeros(m), "spin", "spin")
    up = np.arange(n + 1)
    total = 2 * up - n  # every unit sees the magnetisation of the other layer only
    log_z = logsumexp(np.log(comb(n, up)) + b * total + m * np.log(2 * np.cosh(w * total)))
    arguments = {"n_runs": 100, "n_temperatures": 100, "burn_in": 40, "seed": 3}
    assert not rbm.exact.is_quick(model)
    with pytest.warns(StatisticsWarning, match="in the wrong order: the chains that began .* begin again"):
        found = sandwich(model, initial=np.full((5, n), -1.0), **arguments)
    assert found.lower < log_z < found.upper
    assert abs(found.value - log_z) < 4 * found.error < 0.5
    samples = np.full((100, n), -1.0)
    with pytest.warns(StatisticsWarning, match="in the wrong order: the samples are not those of the model"):
        assert sandwich(model, samples=samples, **arguments).upper < log_z


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_runs": 1}, "n_runs=1 is too small"),
        ({"n_temperatures": 1}, "n_temperatures=1 is too small"),
        ({"burn_in": 0}, "burn_in=0 is too small"),
        ({"sampler": "metropolis"}, "sampler='metropolis' is unknown"),
        ({"samples": np.zeros((1, 12))}, "samples has shape"),
        ({"samples": np.full((5, 12), 0.5)}, "samples has the value 0.5"),
        ({"initial": np.zeros(12)}, "initial has shape"),
        ({"v": np.zeros((3, 11))}, "v has shape"),
        ({"betas": [0, 1, 0.5]}, "is no path"),
        ({"seed": -1}, "seed=-1 is too small"),
        ({"device": "tpu"}, "device='tpu' is unknown"),
    ],
)
def test_errors_come_before_work(arguments, words, monkeypatch):
    def no_work(*_):
        raise AssertionError

    monkeypatch.setattr("mcgen._cpu.launch", no_work)
    for estimate in (reverse_ais, sandwich):
        with pytest.raises(InputError, match=words):
            estimate(make(("bernoulli", "bernoulli"), 3), **arguments)
