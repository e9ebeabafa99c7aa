"""The part of the benchmark on samplers of RBMs."""

import importlib
import json
import re
import tomllib
from pathlib import Path

import chi_square
import numba
import numpy as np
import pytest
import threadpoolctl

from mcgen import enumeration, ising, rbm

SCRIPTS = Path(__file__).parents[2] / "scripts"
PEERS = ("torch", "torch.rand", "rbms", "scikit-learn")


@pytest.fixture
def part():
    """Modules of the benchmark by their names."""
    return lambda name: importlib.import_module(f"benchmark_parts.{name}")


@pytest.fixture
def clock(part, monkeypatch):
    """A clock that stands still unless `spend` is called, with processes that sleep at once."""
    time = part("measuring").time
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def spend(seconds):
        now[0] += seconds

    return spend


def test_contenders_take_turns_and_the_quickest_form_counts(part, clock):
    calls = []

    def form(name, seconds_per_sweep):
        def run(n_sweeps):
            calls.append((name, n_sweeps))
            clock(3 + n_sweeps * seconds_per_sweep)  # what is not a sweep takes 3 s

        return run

    forms = {"a": form("a", 0.5), "b": form("b", 0.25)}
    times = part("alternating").take_turns({"mcgen": {"c": form("c", 0.125)}, "torch": forms}, 8.0, 3)
    assert times == {"mcgen": ("c", 0.125, [0.125, 0.125]), "torch": ("b", 0.25, [0.25, 0.25])}
    rounds = calls[-18:]
    assert [name for name, _ in rounds] == 3 * ["c", "c", "a", "a", "b", "b"]
    assert rounds[:6] == rounds[6:12] == rounds[12:]
    for (_, short), (_, long), seconds_per_sweep in zip(rounds[:6:2], rounds[1:6:2], (0.125, 0.5, 0.25), strict=True):
        assert short == 1
        assert 8.0 <= (long - short) * seconds_per_sweep < 10.0


def test_sweeps_that_were_counted_in_a_busy_moment_are_counted_again(part, clock):
    calls = []

    def run(n_sweeps):
        calls.append(n_sweeps)
        clock(n_sweeps / 64 + (16.0 if n_sweeps == 4 else 0.0))  # the first count of sweeps meets another process

    times = part("alternating").take_turns({"mcgen": {"": run}}, 1.0, 1)["mcgen"]
    assert times.seconds == 1 / 64
    assert calls[-2:] == [1, 17]


def test_threads_of_the_last_contender_are_waited_for(part, monkeypatch):
    alternating = part("alternating")
    used = iter([0.0, 0.005, 0.005, 0.01, 0.01, 0.0105])
    naps = []
    monkeypatch.setattr(alternating.time, "process_time", lambda: next(used))
    monkeypatch.setattr(alternating.time, "sleep", naps.append)
    alternating.let_threads_sleep()
    assert naps == 3 * [alternating.LOOK]


MODEL = rbm.RBM(
    np.array([[1.5, -0.5, 0.2], [-1.0, 0.7, 0.0], [0.3, 1.1, -1.4], [0.0, -0.8, 0.9]], np.float32),
    np.array([0.3, -0.2, 0.5, -1.0], np.float32),
    np.array([-0.4, 0.6, 0.1], np.float32),
)
FORMS = ("mcgen gibbs", "mcgen metropolis", "numpy", *PEERS)


def runs_of(name, peers, n_chains):
    """run(n_sweeps) of every form of a peer."""
    if name.startswith("mcgen"):
        return [peers.mcgen_sweeps(MODEL, n_chains, "cpu", name.split()[1])]
    if name == "numpy":
        return [peers.numpy_metropolis(MODEL, n_chains, "cpu")]
    if not peers.installed(name.partition(".")[0]):
        pytest.skip(f"{name} is not installed")
    return [form(MODEL, n_chains, "cpu") for form in peers.PEERS[name]]


@pytest.mark.parametrize("name", FORMS)
def test_peers_sample_the_same_model(part, name):
    peers = part("rbm_peers")
    assert tuple(peers.PEERS) == PEERS
    for run in runs_of(name, peers, 40_000):
        states = run(100 if name == "numpy" else 15)
        assert (states.shape, states.dtype) == ((40_000, 4), np.int8)
        assert chi_square.p_value(states, rbm.exact.probabilities(MODEL)) > 1e-3


def probabilities_of(states, means):
    """The probability of each state of independent units, for each row of their means."""
    up = means[:, None].astype(np.float64)
    return np.where(states, up, 1 - up).prod(axis=2)


def test_a_run_of_one_sweep_makes_one(part):
    # From random states, the visible layer has another distribution after one sweep than in equilibrium; for Gibbs
    # sweeps it is known.
    peers = part("rbm_peers")
    v, h = enumeration.list_states(4, low=0), enumeration.list_states(3, low=0)
    to_hidden = probabilities_of(h, MODEL.hidden_mean(v))
    after_one = np.full(16, 1 / 16) @ to_hidden @ probabilities_of(v, MODEL.visible_mean(h))
    n = 40_000
    for name in ("mcgen gibbs", *peers.peers_for("cpu")):
        for run in runs_of(name, peers, n):
            assert chi_square.p_value(run(1), after_one) > 1e-3
            assert chi_square.p_value(run(1), rbm.exact.probabilities(MODEL)) < 1e-6
    # A proposal changes one unit at most.
    before = peers.random_start(MODEL, n)
    distance = np.abs(peers.numpy_metropolis(MODEL, n, "cpu")(1) - before).sum(axis=1)
    assert 0 < distance.mean() < distance.max() == 1


def test_peers_on_a_gpu(part, monkeypatch):
    peers = part("rbm_peers")
    monkeypatch.setattr(peers, "installed", lambda name: name != "rbms")
    for gpu, names in ((False, []), (True, ["torch", "torch.rand"])):
        monkeypatch.setattr(peers, "torch_sees_gpu", lambda gpu=gpu: gpu)
        assert list(peers.peers_for("cuda")) == names
    assert list(peers.peers_for("cpu")) == ["torch", "torch.rand", "scikit-learn"]
    products = part("products")
    for gpu, ways in ((False, ()), (True, (products.torch_products,))):
        monkeypatch.setattr(products, "torch_sees_gpu", lambda gpu=gpu: gpu)
        assert products.floors("cuda") == ways


def test_the_bench_extra_installs_the_peers():
    project = tomllib.loads((SCRIPTS.parent / "pyproject.toml").read_text())["project"]
    extra = " ".join(project["optional-dependencies"]["bench"])
    for name in PEERS:
        assert name.partition(".")[0] in extra


@pytest.mark.parametrize("way", ["numpy_threads", "block_for_each_core", "blocks_in_cache"])
def test_products(part, way):
    products = part("products")
    assert way in [one.__name__ for one in products.floors("cpu")]
    model = rbm.RBM.random(37, 23, seed=1, scale=1.0, dtype=np.float32)
    model = model.replace(model.weights, np.full(37, -2.0, np.float32), model.hidden_bias)
    v, h = products.random_states(model, 601)
    assert v.mean() == pytest.approx(1 / (1 + np.exp(2.0)), abs=0.01)
    assert h.mean() == pytest.approx(0.5, abs=0.02)
    hidden_fields, visible_fields = getattr(products, way)(model, 601, "cpu")(2)
    assert hidden_fields.dtype == visible_fields.dtype == np.float32
    np.testing.assert_allclose(hidden_fields, v.astype(np.float64) @ model.weights, rtol=0, atol=1e-4)
    np.testing.assert_allclose(visible_fields, h.astype(np.float64) @ model.weights.T, rtol=0, atol=1e-4)


def test_threads_of_blas(part):
    products = part("products")
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        with products.as_many_threads():
            libraries = [one for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"]
            assert {one["num_threads"] for one in libraries} == {1}
    finally:
        numba.set_num_threads(before)
    assert set(products.kernel_families().values()) == {
        one.get("architecture", one["internal_api"]) for one in libraries
    }


def test_few_units_are_on_in_the_sparse_case(part):
    sweeps, peers = part("rbm_sweeps"), part("rbm_peers")
    (case,) = (case for case in sweeps.GIBBS if case.visible_bias)
    model = case.model()
    assert model.dtype == np.float32
    assert model.weights.std() == pytest.approx(0.05, rel=0.01)
    assert peers.mcgen_sweeps(model, 64, "cpu", "gibbs")(3).mean() == pytest.approx(0.13, abs=0.02)


def test_quick_work_is_smaller(part):
    sweeps = part("rbm_sweeps")
    assert sweeps.cases(sweeps.GIBBS, quick=False) == list(sweeps.GIBBS)
    quick = sweeps.cases(sweeps.GIBBS, quick=True)
    assert [case.n_visible for case in quick] == [784, 784, 64]
    assert [case.n_chains for case in quick] == [250, 250, 1024]


def test_the_machine_of_a_lattice(part):
    lattice = ising.Ising((4, 3))
    model = part("rbm_effective").machine_of(lattice, 1.7)
    assert (model.n_hidden, model.dtype) == (24, np.float32)
    states = np.random.default_rng(1).choice([-1, 1], size=(50, 12))
    shift = model.free_energy(states) - lattice.energy(states.reshape(-1, 4, 3)) / 1.7
    np.testing.assert_allclose(shift, shift[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["gibbs", "metropolis"])
def test_autocorrelation_times_are_in_sweeps(part, monkeypatch, method):
    # The same chains, with every draw kept and with every second: the times agree, though not the numbers of draws.
    effective = part("rbm_effective")
    model = effective.machine_of(ising.Ising((3, 3)), 3.0)
    times = []
    for thin in (1, 2):
        monkeypatch.setitem(effective.THIN, method, thin)
        times.append(effective.times(model, method, 4000 // thin, "cpu"))
    every, second = times
    for name in ("tau_free_energy", "tau_visible_sum"):
        assert second[name] == pytest.approx(every[name], rel=0.15)
        assert 0 < every[f"{name}_error"] < 0.1 * every[name]
    assert every["tau_free_energy"] < every["tau_visible_sum"]


@pytest.fixture
def small(part, monkeypatch):
    """Work of less than a second."""
    sweeps, effective = part("rbm_sweeps"), part("rbm_effective")
    case = sweeps.Case(12, 8, 64)
    monkeypatch.setattr(sweeps, "GIBBS", (case, case._replace(visible_bias=-1.0)))
    monkeypatch.setattr(sweeps, "METROPOLIS", (case,))
    monkeypatch.setattr(sweeps, "WANTED_QUICK", 0.005)
    monkeypatch.setattr(effective, "LENGTH", 3)
    return sweeps


def test_rows(part, small, tmp_path, capsys, monkeypatch):
    peers = part("rbm_peers")

    def copies(model, n_chains, device):  # a peer that is there on every machine
        states = peers.random_start(model, n_chains)
        return lambda n_sweeps: [states.copy() for _ in range(n_sweeps)]

    monkeypatch.setattr(small, "peers_for", lambda device: {"rbms": (copies,)})
    output = tmp_path / "b.json"
    benchmark = importlib.import_module("benchmark")
    assert benchmark.main(["--quick", "--runs", "3", "--parts", "rbm", "--output", str(output)]) == 0
    rows = {row["work"]: row for row in json.loads(output.read_text())["rbm"]["results"]}
    dense, sparse = (rows[f"Gibbs sweep, 12 x 8{few}, 16 chains"] for few in ("", ", few units on"))
    for row in (dense, sparse):
        assert row["runs"] == 3
        assert row["fraction"] == row["limit_seconds"] / row["seconds"]
        assert row["limit_form"] in ("numpy_threads", "block_for_each_core", "blocks_in_cache")
        assert row["ratios"] == {"rbms": row["peers"]["rbms"]["seconds"] / row["seconds"]}
        assert row["peers"]["rbms"]["form"] == "copies"
        low, high = row["quartiles"]
        assert 0 < low <= row["seconds"] <= high
    row = rows["Metropolis sweep, 12 x 8, 16 chains"]
    assert row["ratios"]["numpy"] == row["peers"]["numpy"]["seconds"] / row["seconds"]
    (row,) = (
        row for work, row in rows.items() if work.startswith("effective sample of an RBM, 3 x 3 lattice at T = 3")
    )
    samplers = row["peers"] | {row["work"].split(", ")[-1]: row}
    assert set(samplers) == {"gibbs", "metropolis"}
    assert row["seconds"] == min(one["seconds"] for one in samplers.values())
    for one in samplers.values():
        assert one["seconds"] == pytest.approx(one["tau_visible_sum"] * one["seconds_per_sweep"], rel=1e-12)
    out = capsys.readouterr().out
    assert re.search(r"^Gibbs sweep, 12 x 8, 16 chains +\d\S* [mu]s +\d+%  matrix products +rbms \S+x$", out, re.M)
    assert re.search(r"^Metropolis sweep, 12 x 8, 16 chains +\d\S* [mu]s +numpy \S+x$", out, re.M)


def test_a_proposal_of_the_peer_is_compared_with_a_proposal(part, small, monkeypatch):
    times = {"mcgen": part("alternating").Quickest("metropolis", 0.5, [0.4, 0.6])}
    times["numpy"] = part("alternating").Quickest("numpy_metropolis", 0.25, [0.2, 0.3])
    monkeypatch.setattr(small, "take_turns", lambda *_: times)
    row = small.metropolis(small.Case(12, 8, 64), "cpu", 0.1, 3)
    assert (row["seconds"], row["peers"]["numpy"]["seconds"], row["ratios"]) == (0.5, 3.0, {"numpy": 6.0})


def test_products_of_several_sweeps_are_the_limit(part):
    Quickest = part("alternating").Quickest
    times = {"mcgen": Quickest("a", 8.0, [6.0, 9.0]), "floor": Quickest("b", 0.5, []), "rbms": Quickest("c", 12.0, [])}
    row = part("rows").of_turns("work", times, 3, products=3, per=4)
    assert (row["seconds"], row["quartiles"], row["limit_seconds"], row["fraction"]) == (2.0, [1.5, 2.25], 1.5, 0.75)
    assert row["peers"] == {"rbms": {"form": "c", "seconds": 3.0}}
    assert row["ratios"] == {"rbms": 1.5}
