"""The part of the benchmark on training and log Z: that peers do the same work, and a small run."""

import functools
import json
import math
import multiprocessing
import operator
import re
import types
from importlib import import_module

import numpy as np
import pytest
from benchmark_parts import learning, learning_peers

from mcgen import ising, rbm

LATTICE = ising.Ising((2, 3))


@pytest.fixture(scope="module")
def spins():
    """Draws of a small lattice, as zeros and ones."""
    run = ising.sample(LATTICE, 3.5, n_chains=400, n_draws=5, burn_in=50, seed=1)
    return ((run.states.reshape(-1, 6) + 1) // 2).astype(np.float32)


# In nats after an epoch, from 0.97 before: rbms learns more in one, 0.34.
@pytest.mark.parametrize(("name", "at_first"), [("mcgen", 0.6), ("rbms", 0.3), ("scikit-learn", 0.6)])
def test_all_trainers_learn_the_same_distribution(spins, name, at_first):
    start = rbm.RBM.random(6, 12, seed=1, scale=0.1, dtype=np.float32)
    makers = {"mcgen": learning_peers.mcgen_updates} | learning_peers.trainers(1)
    if name not in makers:
        pytest.skip(f"{name} is not installed")
    run = makers[name](start, spins, 100, 1, math.inf, 0.3)
    truth = ising.exact.probabilities(LATTICE, 3.5)

    def divergence(n_epochs):
        model = rbm.RBM(*(np.asarray(array, np.float64) for array in run(n_epochs)))
        return float(truth @ np.log(truth / rbm.exact.probabilities(model)))

    assert divergence(60) < 0.2 < at_first < divergence(1)


def test_a_training_ends_when_its_time_is_over(spins, monkeypatch):
    times = iter(range(100))
    monkeypatch.setattr(learning_peers, "time", types.SimpleNamespace(monotonic=lambda: float(next(times))))
    assert list(learning_peers.within(50, 4.0)) == [0, 1, 2, 3]
    assert list(learning_peers.within(2, 4.0)) == [0, 1]
    epochs = []
    trained = rbm.train

    def counted(*arguments, **settings):
        result = trained(*arguments, **settings)
        epochs.append(len(result.history["epoch"]))
        return result

    monkeypatch.setattr(rbm, "train", counted)
    start = rbm.RBM.random(6, 2, seed=1, dtype=np.float32)
    for seconds, n_epochs in ((3.0, 3), (1e9, 5)):
        learning_peers.mcgen_updates(start, spins, 500, 1, seconds)(5)
        assert epochs.pop() == n_epochs


@pytest.mark.parametrize("name", ["mcgen", "rbms"])
def test_all_annealers_find_log_z(name):
    model = rbm.RBM.random(6, 4, seed=2, scale=1.0, dtype=np.float32)
    makers = {"mcgen": lambda *arguments: learning_peers.mcgen_annealing(*arguments, "cpu")}
    makers |= learning_peers.annealers()
    if name not in makers:
        pytest.skip(f"{name} is not installed")
    found = makers[name](model, 2000)(50)
    assert found == pytest.approx(rbm.exact.log_partition(model), abs=0.1)


def test_rows(spins, tmp_path, capsys, monkeypatch):
    for name, value in (
        ("N_VISIBLE", 12),
        ("N_HIDDEN", 8),
        ("N_HIDDEN_QUICK", 8),
        ("BATCH", 16),
        ("ANNEALING_RUNS", 64),
    ):
        monkeypatch.setattr(learning, name, value)
    for name, value in (
        ("WANTED_QUICK", 0.02),
        ("SECONDS_QUICK", 1000),
        ("N_FEW_HIDDEN", 3),
        ("RATE", 0.3),
        ("ENDLESS", 40),
    ):
        monkeypatch.setattr(learning, name, value)

    def idle(model, *_):  # a peer that is there on every machine, and learns nothing
        return lambda n_epochs: [np.array(array) for _ in range(n_epochs) for array in model.parameters][-3:]

    monkeypatch.setattr(learning, "trainers", lambda gibbs_steps: {"rbms": idle})
    monkeypatch.setattr(learning, "annealers", dict)
    np.save(tmp_path / "images.npy", spins)
    output = tmp_path / "b.json"
    words = ["--quick", "--runs", "2", "--parts", "learning", "--output", str(output)]
    assert import_module("benchmark").main([*words, "--images", str(tmp_path / "images.npy")]) == 0
    update, equal, annealing = json.loads(output.read_text())["learning"]["results"]
    assert update["fraction"] == update["limit_seconds"] / update["seconds"]
    assert set(update["ratios"]) == {"rbms"}
    assert set(equal["log_likelihood"]) == {"mcgen", "rbms"}
    gain = equal["log_likelihood"]["mcgen"]["value"] - equal["log_likelihood"]["rbms"]["value"]
    assert equal["less"]["rbms"]["value"] == pytest.approx(gain, abs=1e-9)
    assert gain > max(0.1, 5 * equal["less"]["rbms"]["error"])
    assert annealing["seconds"] > 0
    out = capsys.readouterr().out
    assert re.search(
        r"^training that ends after as long, RBM 6 x 3 +1000 s +log p -\S+\(\d+\), rbms \S+\(\d+\) less$", out, re.M
    )


def test_errors_of_likelihoods_are_those_of_independent_rows():
    values = np.random.default_rng(1).normal(size=10_000)
    # The images of a data set may lie in an order, and are independent all the same.
    for rows in (values, np.sort(values)):
        assert learning.of_rows(rows)["error"] == pytest.approx(0.01, rel=0.03)


def test_contenders_of_a_library_share_a_process():
    apart = import_module("benchmark_parts.apart").apart
    before = len(multiprocessing.active_children())
    times, over = (apart(functools.partial, "library")(function, 6) for function in (operator.mul, operator.truediv))
    assert (times(7), over(3)) == (42, 2.0)
    assert len(multiprocessing.active_children()) == before + 1
    with pytest.raises(ZeroDivisionError):
        over(0)
    del times  # the other one is still there
    assert over(2) == 3.0
    with pytest.raises(TypeError):
        apart(functools.partial, "library")(6)
    assert over(1) == 6.0
