import importlib

import numpy as np
import pytest
from models import KINDS, random_model

from mcgen import enumeration, ising, rbm, results
from mcgen.errors import InputError, SizeError
from mcgen.rbm import exact

LATTICE = ising.Ising((4, 4))


@pytest.fixture(scope="module")
def rows():
    """2000 rows of spins on 2x3 sites, with a field."""
    lattice = ising.Ising((2, 3), field=0.1)
    return ising.exact.sample(lattice, 2.5, n_draws=2000, seed=1).reshape(-1, 6)


def states_of(v, units):
    return v if units == "spin" else (v + 1) // 2


# Units 0/1 without the flip have the longest way to go.
@pytest.mark.parametrize(("units", "spin_flip"), [("spin", False), ("spin", True), ("bernoulli", True)])
@pytest.mark.parametrize("temperature", [1.0, 2.269, 3.54])
def test_a_tied_fit_learns_the_ising_model(temperature, units, spin_flip):
    v = ising.exact.sample(LATTICE, temperature, n_draws=20000, seed=2).reshape(-1, 16)
    truth = ising.exact.probabilities(LATTICE, temperature)
    start = rbm.RBM.symmetric((4, 4), 1, seed=1, spin_flip=spin_flip, visible=units, hidden=units)
    fit = rbm.maximum_likelihood(start, states_of(v, units), truth=truth)
    assert fit.history["kl_divergence"][-1] < 0.0015
    assert fit.history["kl_divergence"][-1] == pytest.approx(rbm.exact.kl_divergence(truth, fit.model), abs=1e-12)
    assert fit.model.symmetry == start.symmetry


@pytest.mark.parametrize("spin_flip", [False, True])
@pytest.mark.parametrize("kinds", [*KINDS, ("spin", "gaussian"), ("bernoulli", "relu")], ids="-".join)
def test_the_fit_ends_where_the_exact_gradient_vanishes(rows, kinds, spin_flip):
    v = states_of(rows, kinds[0])
    start = rbm.RBM.symmetric((2, 3), 2, 3, scale=0.3, spin_flip=spin_flip, visible=kinds[0], hidden=kinds[1])
    fit = rbm.maximum_likelihood(start, v, l2=0.02, tolerance=2e-5)
    gradient = rbm.exact.gradient(fit.model, v)
    of_objective = gradient._replace(weights=gradient.weights - 0.02 * fit.model.weights)
    largest = max(np.abs(part).max(initial=0) for part in start.symmetry.reduce(of_objective))
    assert largest == pytest.approx(fit.settings["largest_gradient"], abs=1e-12)
    assert fit.settings["ended_by"] == "tolerance"
    assert largest < 2e-5
    assert np.abs(fit.model.weights).max() > 0.1


def test_the_penalty_shrinks_the_weights(rows):
    start = random_model(6, 3, 0.5, KINDS[3], 4)
    sums = [np.sum(rbm.maximum_likelihood(start, rows, l2=l2).model.weights ** 2) for l2 in (0.0, 0.01, 0.1)]
    assert sums[0] > 1.2 * sums[1] > 1.44 * sums[2]


@pytest.mark.parametrize("tied", [False, True])
def test_the_fit_is_no_worse_than_training_from_the_same_start(rows, tied):
    start = random_model(6, 4, 0.5, KINDS[3], 5)
    if tied:
        start = rbm.RBM.symmetric((2, 3), 1, seed=5, scale=0.5, visible="spin", hidden="spin")
    trained = rbm.train(
        start, rows, negative_phase="exact", epochs=60, batch_size=len(rows), learning_rate=0.05,
        final_learning_rate=0.01, gibbs_steps=1, n_chains=1, evaluate_every=60,
    )  # fmt: skip
    fit = rbm.maximum_likelihood(start, rows)
    assert fit.history["log_likelihood"][-1] >= trained.history["log_likelihood"][-1]
    assert trained.history["log_likelihood"][-1] > rbm.exact.log_likelihood(start, rows) + 0.1
    assert trained.model.symmetry == start.symmetry


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_a_distribution_that_a_model_can_make_is_found(kinds):
    target = random_model(4, 1, 0.8, kinds, 6)
    truth = rbm.exact.probabilities(target)
    states = enumeration.list_states(4, target.visible.low)
    start = random_model(4, 1, 0.3, kinds, 7)
    fit = rbm.maximum_likelihood(start, states, row_weights=3 * truth, truth=truth)
    assert rbm.exact.kl_divergence(truth, start) > 0.05
    assert fit.history["kl_divergence"][-1] == pytest.approx(0, abs=1e-9)


def test_weights_of_rows_count_like_repeated_rows(rows):
    start = random_model(6, 2, 0.5, KINDS[3], 8)
    few = rows[:40]
    counts = np.arange(40) % 3  # some do not count at all
    once = rbm.maximum_likelihood(start, few, row_weights=counts, max_iterations=8)
    often = rbm.maximum_likelihood(start, np.repeat(few, counts, axis=0), max_iterations=8)
    for name in ("log_likelihood", "kl_divergence", "reconstruction_error"):
        assert np.allclose(once.history[name], often.history[name], rtol=1e-9)


@pytest.mark.parametrize("spin_flip", [False, True])
@pytest.mark.parametrize("units", ["spin", "bernoulli"])
def test_the_history_is_that_of_all_rows(rows, units, spin_flip):
    v = states_of(rows, units)
    start = rbm.RBM.symmetric((2, 3), 1, 9, scale=0.3, spin_flip=spin_flip, visible=units, hidden=units)
    truth = ising.exact.probabilities(ising.Ising((2, 3), field=0.1), 2.5)
    fit = rbm.maximum_likelihood(start, v, truth=truth, evaluate_every=3, max_iterations=8)
    history = fit.history
    assert list(history) == list(rbm.train(rbm.RBM(*start.parameters, units, units), v, epochs=1).history)
    assert history["epoch"].tolist() == list(range(1, len(history["epoch"]) + 1))
    assert np.isfinite(history["kl_divergence"]).nonzero()[0].tolist()[:2] == [2, 5]
    assert np.all(np.diff(history["log_likelihood"]) > 0)
    assert history["log_likelihood"][-1] == pytest.approx(rbm.exact.log_likelihood(fit.model, v), rel=1e-12)
    assert history["log_partition"][-1] == pytest.approx(rbm.exact.log_partition(fit.model), rel=1e-12)
    image = fit.model.visible_mean(fit.model.hidden_mean(v))
    assert history["reconstruction_error"][-1] == pytest.approx(np.mean((v - image) ** 2), rel=1e-12)
    without = rbm.maximum_likelihood(start, v, max_iterations=8)
    of_data = enumeration.empirical_distribution(v)
    assert without.history["kl_divergence"][-1] == pytest.approx(rbm.exact.kl_divergence(of_data, fit.model), rel=1e-9)
    assert (fit.settings["kl_reference"], without.settings["kl_reference"]) == ("truth", "data")
    assert (fit.settings["n_rows"], fit.settings["ended_by"]) == (2000, "max_iterations")
    assert np.array_equal(fit.chains, rbm.exact.sample(fit.model, 512, seed=0))


def test_a_fit_can_be_saved(rows, tmp_path):
    fit = rbm.maximum_likelihood(random_model(6, 2, 0.5, KINDS[3], 10), rows, max_iterations=5)
    again = results.load(results.save(tmp_path / "fit.h5", fit))
    for name, column in fit.history.items():
        assert np.array_equal(again.history[name], column, equal_nan=True)
    assert np.array_equal(again.model.weights, fit.model.weights)
    assert np.array_equal(again.chains, fit.chains)
    assert again.settings == fit.settings


def test_a_start_at_the_maximum_stays(rows):
    fit = rbm.maximum_likelihood(random_model(6, 2, 0.5, KINDS[3], 11), rows, tolerance=1e-5)
    again = rbm.maximum_likelihood(fit.model, rows, tolerance=2e-5)
    assert again.history["epoch"].tolist() == [1]
    assert again.settings["n_evaluations"] == 1
    assert np.array_equal(again.model.weights, fit.model.weights)


def test_a_fit_ends_where_rounding_begins(rows):
    fit = rbm.maximum_likelihood(random_model(6, 2, 0.5, KINDS[3], 11), rows, tolerance=1e-30)
    assert fit.settings["ended_by"] == "stalled"
    assert fit.settings["largest_gradient"] < 1e-5


def test_a_climb_that_stalls_starts_afresh(rows, monkeypatch):
    start = random_model(6, 2, 0.5, KINDS[3], 11)
    whole = rbm.maximum_likelihood(start, rows)
    module = importlib.import_module("mcgen.rbm.maximum_likelihood")
    monkeypatch.setattr(module, "ROUNDING", 1e-3)
    monkeypatch.setattr(module, "SMALLEST_GAIN", 1.0)
    short = rbm.maximum_likelihood(start, rows)
    monkeypatch.setattr(module, "SMALLEST_GAIN", 1e-9)
    long = rbm.maximum_likelihood(start, rows)
    heights = [fit.history["log_likelihood"][-1] for fit in (short, long, whole)]
    assert heights[0] < heights[2] - 1e-4
    assert heights[1] == pytest.approx(heights[2], abs=1e-5)


@pytest.mark.parametrize("spin_flip", [False, True])
def test_a_model_in_single_precision_stays_there(rows, spin_flip):
    starts = [
        rbm.RBM.symmetric((2, 3), 1, 12, 0.3, spin_flip, "bernoulli", "bernoulli", dtype)
        for dtype in (np.float32, np.float64)
    ]
    single, double = (rbm.maximum_likelihood(start, (rows + 1) // 2, tolerance=1e-5) for start in starts)
    assert (single.model.dtype, double.model.dtype) == (np.float32, np.float64)
    assert single.history["log_likelihood"][-1] == pytest.approx(double.history["log_likelihood"][-1], abs=1e-6)


def test_continuous_rows_are_fitted():
    kinds = ("gaussian", "bernoulli")
    target = rbm.RBM([[2.0], [-1.0]], [0.5, 0.0], [-1.0], *kinds)
    v = rbm.exact.sample(target, 5000, seed=15)
    fit = rbm.maximum_likelihood(rbm.RBM.random(2, 1, 1, 0.5, *kinds), v)
    gradient = rbm.exact.gradient(fit.model, v)
    assert max(np.abs(part).max() for part in gradient) < 1e-5
    # Twice 5000 times the difference has the chi-square distribution of five parameters: below 20.5 with p = 0.999.
    difference = fit.history["log_likelihood"][-1] - rbm.exact.log_likelihood(target, v)
    assert 0 < 10_000 * difference < 20.5
    assert np.isnan(fit.history["kl_divergence"]).all()
    assert fit.chains.dtype == np.float64


def interrupt_after(n_calls, monkeypatch):
    moments, calls = exact.moments, []

    def interrupted(*arguments):
        if len(calls) == n_calls:
            calls.append(None)
            raise KeyboardInterrupt
        calls.append(None)
        return moments(*arguments)

    monkeypatch.setattr(exact, "moments", interrupted)


def test_an_interrupted_fit_returns_what_is_there(rows, monkeypatch):
    start = random_model(6, 2, 0.5, KINDS[3], 13)
    whole = rbm.maximum_likelihood(start, rows, max_iterations=50)
    interrupt_after(12, monkeypatch)
    fit = rbm.maximum_likelihood(start, rows, max_iterations=50)
    assert fit.interrupted
    assert fit.settings["ended_by"] == "interrupt"
    n_iterations = len(fit.history["epoch"])
    assert 3 <= n_iterations <= 12
    assert np.allclose(fit.history["log_likelihood"], whole.history["log_likelihood"][:n_iterations], rtol=1e-12)
    assert fit.history["log_likelihood"][-1] == pytest.approx(rbm.exact.log_likelihood(fit.model, rows), rel=1e-12)
    assert not whole.interrupted


def test_a_fit_interrupted_before_its_first_iteration_has_nothing_to_return(rows, monkeypatch):
    interrupt_after(0, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        rbm.maximum_likelihood(random_model(6, 2, 0.5, KINDS[3], 14), rows)


MODEL = rbm.RBM.random(4, 3, seed=1)
V = np.array([[0, 1, 1, 0], [1, 1, 0, 0]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": rbm.RBM.random(40, 35, seed=1)}, r"exact negative phase of RBM.* sum of 40 x 2\^35 terms"),
        ({"v": [[0, 1, 1, 2]]}, r"v has the value 2 at index \(0, 3\)"),
        ({"v": np.empty((0, 4))}, r"v has shape \(0, 4\); give a table of at least one row"),
        ({"row_weights": [1.0]}, r"row_weights has shape \(1,\); its shape must be \(2,\)"),
        ({"row_weights": [1.0, -1.0]}, "row_weights lie between -1.0 and 1.0; give numbers of at least 0"),
        ({"row_weights": [0, 0]}, "row_weights lie between 0.0 and 0.0; .* not all 0"),
        ({"l2": -1}, "l2=-1.0 is negative; give a number of at least 0"),
        ({"tolerance": 0}, "tolerance=0.0 is not positive"),
        ({"max_iterations": 0}, "max_iterations=0 is too small"),
        ({"evaluate_every": 0}, "evaluate_every=0 is too small"),
        ({"seed": -1}, "seed=-1 is too small"),
        ({"truth": np.ones(8) / 8}, r"truth has shape \(8,\); its shape must be \(16,\)"),
        ({"model": rbm.RBM.random(4, 3, seed=1, scale=0.0)}, "all weights are 0, .* start from RBM.random"),
        ({"device": "abacus"}, "device='abacus' is unknown"),
        ({"model": rbm.RBM.random(4, 3, 1, 0.01, "gaussian", "gaussian")}, "two continuous layers, .* use rbm.train"),
        (
            {"model": rbm.RBM.random(4, 3, 1, visible="gaussian"), "truth": np.ones(16) / 16},
            "truth lists states, which gaussian units do not have; leave out truth",
        ),
        (
            {"model": rbm.RBM.random(25, 3, 1), "v": np.ones((1, 25)), "truth": np.ones(16) / 16},
            "25 two-level units, .* leave out truth",
        ),
    ],
)
def test_bad_input(arguments, words):
    with pytest.raises(InputError, match=words) as error:
        rbm.maximum_likelihood(**{"model": MODEL, "v": V} | arguments)
    assert isinstance(error.value, SizeError) == ("terms" in words or "25" in words)
