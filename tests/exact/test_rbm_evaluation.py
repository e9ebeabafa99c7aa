"""Evaluation of RBMs against loops over rows and states, and its errors against the scatter of repetitions."""

import math

import naive
import numpy as np
import pytest
from scipy.stats import chi2, wasserstein_distance

from mcgen import ising, rbm, stats
from mcgen.errors import InputError, StatisticsWarning
from mcgen.rbm.evaluation import (
    adversarial_accuracy,
    exact_mode_balance,
    histograms,
    likelihood,
    log_likelihood,
    mode_balance,
    neighbors,
    pseudo_log_likelihood,
    reconstruction_error,
)
from mcgen.rbm.partition.result import LogPartition

VISIBLE = {
    "bernoulli": rbm.Bernoulli(),
    "spin": rbm.Spin(),
    "potts": rbm.Potts(q=3),
    "gaussian": rbm.Gaussian([0.3, -0.2, 0.5, 0.1, 0.0, 1.0], [0.4, 1.5, 0.8, 1.0, 1.0, 0.5]),
    "relu": rbm.ReLU([0.3, -0.2, 0.5, 0.1, 0.0, 1.0], [0.4, 1.5, 0.8, 1.0, 1.0, 0.5]),
}
HIDDEN = ["bernoulli", "spin", rbm.Potts(q=2), "gaussian", "relu"]


def make(visible="bernoulli", hidden="bernoulli", scale=0.8, n_visible=6, n_hidden=4, seed=1):
    random = np.random.default_rng(seed)
    return rbm.RBM(
        random.normal(size=(n_visible, n_hidden)) * scale,
        random.normal(size=n_visible) * scale,
        random.normal(size=n_hidden) * scale,
        visible,
        hidden,
    )


def rows_of(model, n_rows, seed=5):
    if model.visible.is_discrete:
        states = model.visible.list_states(model.n_visible, 0, model.visible.n_states(model.n_visible))
        return states[np.random.default_rng(seed).integers(len(states), size=n_rows)]
    return np.random.default_rng(seed).uniform(0.0, 2.0, size=(n_rows, model.n_visible))


def smallest_p_value(pulls):
    """Two-sided: that of a sum of squares of standard normal numbers, too large or too small."""
    total = np.sum(np.square(pulls))
    return 2 * min(chi2.sf(total, len(pulls)), chi2.cdf(total, len(pulls)))


# Likelihood


@pytest.mark.parametrize(("visible", "hidden"), [("bernoulli", "spin"), ("spin", "bernoulli")])
def test_log_likelihood(visible, hidden):
    model = make(visible, hidden)
    v = rows_of(model, 100)
    marginals = naive.rbm_log_marginals(*map(np.ndarray.tolist, model.parameters), model.visible.low, model.hidden.low)
    want = np.array([marginals[k] for k in model.visible.state_index(v)])
    found = log_likelihood(model, v)
    assert np.allclose(found.rows, want, rtol=0, atol=1e-11)
    assert found.value == pytest.approx(want.mean(), abs=1e-12)
    assert found.error == found.error_of_rows == pytest.approx(stats.mean(want).error, rel=1e-9)
    # Of independent rows it is the standard deviation over the root of their number.
    assert found.error == pytest.approx(want.std(ddof=1) / 10, rel=0.5)
    twice = log_likelihood(model, np.repeat(v, 10, axis=0))
    assert twice.error == pytest.approx(found.error, rel=0.5)
    assert found.log_partition.method == "exact"

    log_z = rbm.exact.log_partition(model)
    shifted = log_likelihood(model, v, LogPartition(log_z + 0.5, 0.3, 50.0, "ais", (log_z - 0.1, log_z + 1.1)))
    assert shifted.value == pytest.approx(found.value - 0.5, abs=1e-12)
    assert shifted.error_of_log_partition == 0.3
    assert shifted.error == pytest.approx(math.hypot(0.3, found.error_of_rows), rel=1e-12)
    assert "ais" in str(shifted)
    given = log_likelihood(model, v, log_z)
    assert given.value == pytest.approx(found.value, abs=1e-12)
    assert given.log_partition.error == 0.0
    assert math.isnan(log_likelihood(model, v[:1]).error)


def test_log_likelihood_does_not_guess_log_z():
    with pytest.raises(InputError, match=r"no exact sum.*log_partition.*rbm\.partition"):
        log_likelihood(rbm.RBM.random(60, 60, seed=1), np.zeros((2, 60)))
    with pytest.raises(InputError, match="log_partition=nan"):
        log_likelihood(make(), np.zeros((2, 6)), math.nan)


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
@pytest.mark.parametrize("visible", ["bernoulli", "spin", "potts"])
def test_pseudo_log_likelihood(visible, hidden, monkeypatch):
    monkeypatch.setattr(likelihood, "FIELDS_PER_BLOCK", 40)  # blocks of some rows
    model = make(VISIBLE[visible], hidden)
    v = rows_of(model, 100)
    log_p = rbm.exact.log_probabilities(model)
    q = model.visible.entries
    singles = {"bernoulli": [[0], [1]], "spin": [[-1], [1]], "potts": np.eye(3)}[visible]
    want = []
    for row in v:
        terms = []
        for first in range(0, 6, q):
            others = []
            for state in singles:
                changed = row.copy()
                changed[first : first + q] = state
                others.append(log_p[model.visible.state_index(changed)])
            terms.append(log_p[model.visible.state_index(row)] - naive.log_sum_exp(others))
        want.append(math.fsum(terms))
    found, expected = pseudo_log_likelihood(model, v), stats.mean(want)
    assert found.value == pytest.approx(expected.value, abs=1e-11)
    assert found.error == pytest.approx(expected.error, rel=1e-9)


def test_pseudo_log_likelihood_of_continuous_units_is_refused():
    with pytest.raises(InputError, match="conditional density of gaussian units"):
        pseudo_log_likelihood(make("gaussian"), np.zeros((2, 6)))


@pytest.mark.parametrize("visible", VISIBLE)
def test_reconstruction(visible):
    model = make(VISIBLE[visible], "spin", scale=0.5)
    v = rows_of(model, 100)
    squared, crossed = [], []
    for row in v:
        h = [math.tanh(model.hidden_bias[j] + math.fsum(row * model.weights[:, j])) for j in range(4)]
        x = [model.visible_bias[i] + math.fsum(model.weights[i] * h) for i in range(6)]
        if visible in ("bernoulli", "spin"):
            low = model.visible.low
            image = [(math.exp(a) + low * math.exp(low * a)) / (math.exp(a) + math.exp(low * a)) for a in x]
            log_p = [a * s - math.log(math.exp(a) + math.exp(low * a)) for a, s in zip(x, row, strict=True)]
        elif visible == "potts":
            sums = np.repeat([sum(math.exp(a) for a in x[k : k + 3]) for k in (0, 3)], 3)
            image = [math.exp(a) / z for a, z in zip(x, sums, strict=True)]
            log_p = [s * (a - math.log(z)) for s, a, z in zip(row, x, sums, strict=True)]
        else:
            mean, variance = model.visible.mean_at_zero, model.visible.variance_at_zero
            center, width = mean + variance * x, np.sqrt(variance)
            density = np.exp(-(((row - center) / width) ** 2) / 2) / (width * math.sqrt(2 * math.pi))
            image = center
            if visible == "relu":
                tail = np.array([math.erfc(a) / 2 for a in -center / width / math.sqrt(2)])
                bell = np.exp(-((center / width) ** 2) / 2) / math.sqrt(2 * math.pi)
                density, image = density / tail, center + width * bell / tail
            log_p = np.log(density)
        squared.append(np.mean((row - image) ** 2))
        crossed.append(-math.fsum(log_p))
    found = reconstruction_error(model, v)
    for estimate, want in ((found.squared_error, squared), (found.cross_entropy, crossed)):
        assert estimate.value == pytest.approx(np.mean(want), rel=1e-9)
        assert estimate.error == pytest.approx(stats.mean(want).error, rel=1e-7)


# Two samples


def test_adversarial_accuracy_is_what_loops_count(monkeypatch):
    monkeypatch.setattr(neighbors, "ROWS_PER_BLOCK", 7)
    data, samples = np.random.default_rng(1).integers(0, 2, size=(2, 30, 5))
    n = 30

    def scores(mine, other, partner):
        values = []
        for i in range(n):
            own = min(np.sum((mine[i] - mine[k]) ** 2) for k in range(n) if k != i)
            its = min(np.sum((mine[i] - other[k]) ** 2) for k in range(n) if k != partner(i))
            values.append(1.0 if own < its else 0.5 if own == its else 0.0)
        return np.array(values)

    truth = scores(data, samples, lambda i: (i + n // 2) % n)
    synthetic = scores(samples, data, lambda i: (i - n // 2) % n)
    found = adversarial_accuracy(data, samples)
    assert found.truth.value == pytest.approx(truth.mean(), abs=1e-14)
    assert found.synthetic.value == pytest.approx(synthetic.mean(), abs=1e-14)
    assert found.accuracy.value == pytest.approx((truth.mean() + synthetic.mean()) / 2, abs=1e-14)


@pytest.mark.parametrize("kind", ["states", "numbers"])
def test_adversarial_accuracy_of_one_distribution_is_a_half_within_its_errors(kind):
    model = make("spin", "spin", n_visible=10, scale=0.6)
    pulls = []
    for seed in range(150):
        if kind == "states":
            data, samples = rbm.exact.sample(model, 400, seed=seed).reshape(2, 200, 10)
        else:
            data, samples = np.random.default_rng(seed).normal(size=(2, 200, 3))
        found = adversarial_accuracy(data, samples)
        pulls.append([(one.value - 0.5) / one.error for one in found])
    for k in range(3):
        assert smallest_p_value(np.array(pulls)[:, k]) > 1e-3
        assert abs(np.mean(np.array(pulls)[:, k])) < 3.5 / math.sqrt(150)


def test_adversarial_accuracy_tells_copies_and_lost_modes():
    random = np.random.default_rng(2)
    data = random.normal(size=(300, 4))
    copies = adversarial_accuracy(data, random.permutation(data) + 1e-6)
    assert copies.truth.value < 0.02
    assert copies.synthetic.value < 0.02
    narrow = adversarial_accuracy(data, 0.2 * random.normal(size=(300, 4)))
    assert narrow.synthetic.value > 0.9
    with pytest.raises(InputError, match=r"\(300, 4\) and samples \(200, 4\)"):
        adversarial_accuracy(data, data[:200])
    with pytest.raises(InputError, match="at least 20"):
        adversarial_accuracy(data[:19], data[:19])


def test_histograms_and_distances():
    model = make(n_visible=8)
    data = rows_of(model, 300)
    samples = rbm.exact.sample(model, 400, seed=3).reshape(40, 10, 8)
    found = histograms(model, data, samples, n_resamples=50, seed=1)
    flat = samples.reshape(-1, 8)
    values = {
        "free_energy": (model.free_energy(data), model.free_energy(flat)),
        "magnetization": (data.sum(axis=1), flat.sum(axis=1)),
    }
    for name, (of_data, of_samples) in values.items():
        one = found[name]
        assert one.distance.value == pytest.approx(wasserstein_distance(of_data, of_samples), abs=1e-12)
        for estimate, its in ((one.data, of_data), (one.samples, of_samples)):
            counts, _ = np.histogram(its, one.edges)
            assert np.allclose(estimate.value, counts / len(its), rtol=0, atol=1e-14)
            assert counts.sum() == len(its)
        assert one.p_value == 1 / 51  # uniform rows are no draws
    assert found["magnetization"].edges.tolist() == [k - 0.5 for k in range(10)]
    counted = np.bincount(values["magnetization"][0].astype(int), minlength=9) / 300
    binomial = np.sqrt(counted * (1 - counted) / 300)
    assert np.allclose(found["magnetization"].data.error, binomial, rtol=0.5, atol=0.003)
    again = histograms(model, data, samples, n_resamples=50, seed=1)
    assert again["free_energy"].distance == found["free_energy"].distance


def test_distances_of_one_distribution_are_the_expected_ones():
    model = make("spin", "spin", n_visible=10)
    draws = [rbm.exact.sample(model, 1000, seed=seed).reshape(2, 500, 10) for seed in range(80)]
    found = [histograms(model, *pair, n_resamples=60, seed=k)["free_energy"] for k, pair in enumerate(draws)]
    distances, expected = np.array([(one.distance.value, one.expected) for one in found]).T
    assert abs(distances.mean() - expected.mean()) < 3.5 * distances.std() / math.sqrt(80)
    p_values = np.array([one.p_value for one in found])
    assert 0.3 < np.mean(p_values < 0.5) < 0.7
    # Where there is a distance, its error is that of repetitions.
    other = make("spin", "spin", n_visible=10, scale=0.5, seed=9)
    apart = [
        histograms(model, pair[0], rbm.exact.sample(other, 500, seed=k), n_resamples=60, seed=k)["free_energy"].distance
        for k, pair in enumerate(draws)
    ]
    errors = np.array([one.error for one in apart])
    assert min(one.value / one.error for one in apart) > 5
    assert np.std([one.value for one in apart], ddof=1) == pytest.approx(math.sqrt(np.mean(errors**2)), rel=0.25)
    # Draws that come 50 times in a chain are worth a 50th: the blocks are longer than that.
    ratios = []
    for pair in draws[:12]:
        few = [one[:100] for one in pair]
        slow = [np.repeat(one, 50, axis=0)[None] for one in few]
        values = [histograms(model, *both, n_resamples=100)["free_energy"].expected for both in (slow, few)]
        ratios.append(values[0] / values[1])
    assert 0.85 < np.mean(ratios) < 1.2


# Modes


def test_exact_mode_balance():
    model = make("bernoulli", "spin", n_visible=5)
    _, joint = naive.rbm_joint(*map(np.ndarray.tolist, model.parameters), 0, -1)
    want = [math.fsum(p for v, h, p in joint if np.sign(2 * sum(v) - 5) == sign) for sign in (1, -1, 0)]
    found = exact_mode_balance(model)
    assert [one.value for one in found[:3]] == pytest.approx(want, abs=1e-13)
    assert found.difference.value == pytest.approx(want[0] - want[1], abs=1e-13)
    lattice = ising.Ising((2, 3), field=0.1)
    energies, p = ising.exact.state_energies(lattice), ising.exact.probabilities(lattice, 2.0)
    found = exact_mode_balance(p)
    signs = np.sign(ising.exact.state_magnetizations(lattice))
    assert found.zero.value == pytest.approx(p[signs == 0].sum(), abs=1e-13)
    assert found.positive.value == pytest.approx(p[signs > 0].sum(), abs=1e-13)
    assert len(energies) == 64
    with pytest.raises(InputError, match="potts visible units are no spins"):
        exact_mode_balance(make(rbm.Potts(q=3)))
    with pytest.raises(InputError, match="shape"):
        exact_mode_balance(np.full(6, 1 / 6))


def test_mode_balance_covers_the_exact_one():
    model = make("spin", "spin", n_visible=8, scale=0.3, seed=3)
    truth = exact_mode_balance(model)
    pulls = []
    for seed in range(80):
        found = mode_balance(rbm.sample(model, n_chains=40, n_draws=60, thin=1, burn_in=50, seed=seed))
        pairs = zip(found[:4], truth[:4], strict=True)
        pulls.append([(one.value - exact.value) / one.error for one, exact in pairs])
    for k in range(4):
        assert smallest_p_value(np.array(pulls)[:, k]) > 1e-3
        assert abs(np.mean(np.array(pulls)[:, k])) < 3.5 / math.sqrt(80)


def test_exact_draws_count_one_by_one():
    model = make("spin", "spin", n_visible=8, scale=0.5, seed=3)
    truth = exact_mode_balance(model)
    runs = [rbm.sample(model, n_chains=10, n_draws=30, method="exact", seed=seed) for seed in range(80)]
    for k in range(4):
        pulls = []
        for run in runs:
            one = mode_balance(run)[k]
            pulls.append((one.value - truth[k].value) / one.error)
        assert smallest_p_value(pulls) > 1e-3
    assert str(mode_balance(runs[0])).endswith("; 300 independent draws")


def test_sign_changes_are_counted():
    up, down, zero = [1, 1], [0, 0], [0, 1]
    chains = [[up, zero, down, zero, zero, up, up, up], [up, zero, up, up, up, up, up, up]]
    found = mode_balance(np.array(chains * 10))
    assert (found.sign_changes, found.changing_chains, found.n_chains) == (20, 10, 20)
    assert [one.value for one in found[:3]] == pytest.approx([11 / 16, 1 / 16, 4 / 16])
    assert "10 of 20 chains changed the sign, 20 times" in str(found)


def test_chains_that_never_change_sign_are_said_to():
    states = np.ones((50, 30, 6), np.int8)
    states[:20] = -1
    with pytest.warns(StatisticsWarning, match="none of 50 chains changed the sign.*tempering"):
        found = mode_balance(states)
    assert found.positive.value == 0.6
    assert found.positive.error == pytest.approx(math.sqrt(0.6 * 0.4 / 50), rel=0.01)
    assert found.difference.error == pytest.approx(2 * found.positive.error, rel=1e-12)
    with pytest.warns(StatisticsWarning, match="none of 50"):
        alike = mode_balance(np.ones((50, 30, 6), np.int8))
    assert alike.positive.value == 1.0
    assert 0.01 < alike.positive.error < 0.03
    with pytest.raises(InputError, match="its shape must be"):
        mode_balance(np.ones(6))
    with pytest.raises(InputError, match="value 2"):
        mode_balance(np.full((2, 3, 4), 2))
