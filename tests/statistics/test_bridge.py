"""log Z along a ladder: acceptance ratios, MBAR, thermodynamic integration and trajectories against exact values."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom, chi2, norm

from mcgen import ising, rbm
from mcgen.errors import InputError, StatisticsWarning
from mcgen.rbm.partition import mixture, path
from mcgen.rbm.partition.acceptance import acceptance_ratio
from mcgen.rbm.partition.bridge import bar, bridges, mbar
from mcgen.rbm.partition.integration import derivatives, every_second, integral, thermodynamic_integration
from mcgen.rbm.partition.rungs import ladder_to
from mcgen.rbm.partition.simulation import Sampling, series_of
from mcgen.rbm.partition.trajectory import trajectory

METHODS = (bar, mbar, thermodynamic_integration)
# Every comparison of many deviations with the normal distribution fails by chance once in this many times.
RARE = 1e-3


def normal_p_value(deviations):
    """Of the mean and of the spread of what should be independent and normally distributed."""
    deviations = np.asarray(deviations)
    n = len(deviations)
    of_mean = 2 * norm.sf(abs(deviations.mean()) * np.sqrt(n))
    of_square = chi2.cdf((deviations**2).sum(), n)
    return min(1.0, 2 * of_mean, 4 * min(of_square, 1 - of_square))


# The acceptance ratio


def test_acceptance_ratio_of_two_known_densities():
    """Two normal densities of different widths: log Z_1 / Z_0 = log 2, and the error is the scatter of the values."""
    random = np.random.default_rng(1)

    def log_weights(x):  # log f_1 - log f_0 with f_0 = e^{-x^2 / 2}, f_1 = e^{-(x - 1)^2 / 8}
        return 0.5 * x**2 - (x - 1) ** 2 / 8

    found = []
    for _ in range(400):
        forward, reverse = random.normal(0, 1, 300), random.normal(1, 2, 100)
        found.append(acceptance_ratio(log_weights(forward), -log_weights(reverse)))
    deviations = [(one.value - np.log(2)) / one.error for one in found]
    assert normal_p_value(deviations) > RARE
    turned = acceptance_ratio(-log_weights(reverse), log_weights(forward))
    last = found[-1]
    assert turned.value == pytest.approx(-last.value, abs=1e-12)
    assert turned.error == pytest.approx(last.error, rel=1e-9)
    assert 0 < last.overlap < 1


def test_errors_of_chains_know_that_draws_repeat():
    """Every value ten times over in a chain: the same value and error as without, by chains."""
    random = np.random.default_rng(2)
    forward, reverse = random.normal(-0.5, 1, 200), random.normal(-0.5, 1, 200)
    single = acceptance_ratio(forward, reverse)
    repeated = acceptance_ratio(*(np.repeat(side[:, None], 10, axis=1) for side in (forward, reverse)))
    assert repeated.value == pytest.approx(single.value, abs=1e-12)
    assert repeated.error == pytest.approx(single.error, rel=1e-9)
    assert single.overlap == pytest.approx(repeated.overlap, rel=1e-9)
    assert [one.sum() for one in single.influences] == pytest.approx([0, 0], abs=1e-12)


def test_influences_are_what_leaving_out_a_chain_does():
    random = np.random.default_rng(3)
    forward, reverse = random.normal(-0.5, 1, (60, 5)), random.normal(-0.5, 1, (60, 5))
    found = acceptance_ratio(forward, reverse)
    for side in range(2):
        for chain in (0, 17):
            left = [
                np.delete(values, chain, axis=0) if k == side else values for k, values in enumerate((forward, reverse))
            ]
            change = found.value - acceptance_ratio(*left).value
            assert change == pytest.approx(found.influences[side][chain].sum(), abs=0.05 * found.error)


def test_sides_that_never_meet_have_no_error():
    found = acceptance_ratio([-1000.0, -1001.0], [-2000.0, -2003.0])
    assert found.error == np.inf
    assert found.overlap == found.effective_sample_size == 0
    for wrong, match in (
        ([1.0], "has 1 chain"),
        (np.zeros((2, 2, 2)), "has shape"),
        ([1.0, np.nan], "NaN or infinite"),
    ):
        with pytest.raises(InputError, match=match):
            acceptance_ratio(wrong, [0.0, 1.0])


# MBAR


def test_mbar_of_two_rungs_is_the_acceptance_ratio():
    random = np.random.default_rng(4)
    energies = random.normal(size=(2, 2, 300)) + np.array([[[0.0], [1.0]], [[2.0], [0.0]]])
    logs, influences = mixture.solve(energies, np.zeros(2))
    forward, reverse = energies[0, 0] - energies[1, 0], energies[1, 1] - energies[0, 1]
    both = acceptance_ratio(forward, reverse)
    assert logs == pytest.approx([0, both.value], abs=1e-9)
    assert influences.sum() == pytest.approx(0, abs=1e-9)
    centred = influences - influences.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centred, np.stack([one[:, 0] for one in both.influences]), atol=1e-12)


def test_mbar_solves_its_equations_from_any_start():
    random = np.random.default_rng(5)
    centres = np.arange(5.0)
    draws = centres[:, None] + random.normal(size=(5, 200))
    energies = 0.5 * (draws - centres[:, None, None]) ** 2 - 2 * centres[:, None, None]
    near, _ = mixture.solve(energies, 2 * centres)
    far, influences = mixture.solve(energies, np.array([0.0, 5.0, -5.0, 8.0, 20.0]))
    np.testing.assert_allclose(far, near, atol=1e-8)
    shares = np.exp(-energies.reshape(5, -1) - near[:, None])
    shares /= shares.sum(axis=0)
    np.testing.assert_allclose(shares.sum(axis=1), 200, atol=1e-6)
    scatter = np.sqrt(((influences - influences.mean(axis=1, keepdims=True)) ** 2).sum())
    assert abs(near[-1] - 8.0) < 4 * scatter
    with pytest.raises(InputError, match=r"rung . of the ladder look like those of no other"):
        mixture.solve(energies + 1e4 * (np.arange(5) != np.arange(5)[:, None])[:, :, None], np.zeros(5))


# Estimates


def models():
    """Random models and models of Ising rows, of all kinds of units that have an exact log Z."""
    random = np.random.default_rng(6)
    kinds = ["bernoulli", "spin", rbm.Potts(3), rbm.Gaussian(0.2, 0.8), rbm.ReLU(0.1, 0.5)]
    for k in range(24):
        visible, hidden = kinds[k % 5], kinds[k // 5 % 2]
        scale = random.uniform(0.1, 0.8) * (0.4 if hidden == "spin" else 1.0)
        b, c = scale * random.normal(size=12), scale * random.normal(size=8)
        yield rbm.RBM(scale * random.normal(size=(12, 8)), b, c, visible, hidden)
    for k, temperature in enumerate((1.7, 2.3, 3.0)):
        rows = ising.exact.sample(ising.Ising((3, 4)), temperature, 500, seed=k).reshape(500, 12)
        start = rbm.RBM.random(12, 8, seed=k, visible="spin", hidden="spin")
        yield rbm.maximum_likelihood(start, rows, l2=1e-3, max_iterations=30).model


@pytest.fixture(scope="module")
def found():
    """(estimate, exact) of each method for each model."""
    return [
        [
            (method(model, n_chains=40, n_draws=25, burn_in=60, seed=k), rbm.exact.log_partition(model))
            for method in METHODS
        ]
        for k, model in enumerate(models())
    ]


@pytest.mark.parametrize("which", range(3), ids=[method.__name__ for method in METHODS])
def test_estimates_and_their_errors_against_exact_values(found, which):
    estimates = [row[which] for row in found]
    deviations = [(one.value - exact) / one.error for one, exact in estimates]
    assert normal_p_value(deviations) > RARE
    inside = sum(one.interval[0] < exact < one.interval[1] for one, exact in estimates)
    assert inside >= binom.ppf(RARE, len(estimates), 0.95)
    assert np.median([one.error for one, _ in estimates]) < 0.02  # tight enough to say something
    for one, exact in estimates:
        assert one.checked_against[0].value == exact


def test_bias_of_a_percent_would_be_noticed():
    """The mean of ten runs is sharper than a fifth of a percent of what the ladder adds to log Z of the reference."""
    random = np.random.default_rng(7)
    model = rbm.RBM(random.normal(size=(10, 8)), random.normal(size=10), 3 + random.normal(size=8))
    exact = rbm.exact.log_partition(model)
    added = exact - path.log_partition_of_independent(path.reference(model))
    for method in METHODS:
        runs = [method(model, n_chains=60, n_draws=20, burn_in=40, seed=seed) for seed in range(10)]
        deviations = [(one.value - exact) / one.error for one in runs]
        assert normal_p_value(deviations) > RARE
        assert np.mean([one.error for one in runs]) / np.sqrt(10) < 0.002 * added
        assert min(one.effective_sample_size for one in runs) > 300  # of 1200 draws, not of 60 chains


def test_all_rungs_of_a_trajectory():
    random = np.random.default_rng(8)
    base = rbm.RBM(random.normal(size=(10, 8)), random.normal(size=10), 2 * random.normal(size=8))
    models = [base.replace(*(scale * array for array in base.parameters)) for scale in (0.2, 0.5, 0.8, 1.0)]
    exact = np.array([rbm.exact.log_partition(model) for model in models])
    deviations = []
    for seed in range(8):
        one = trajectory(models, n_chains=60, n_draws=20, burn_in=40, seed=seed)
        logs, errors = one.settings["log_partitions"], one.settings["errors"]
        assert (one.value, one.error) == pytest.approx((logs[-1], errors[-1]))
        assert (np.diff(errors) > 0).all()  # errors add up along the way
        deviations.append((logs - exact) / errors)
    for of_model in np.transpose(deviations):
        assert normal_p_value(of_model) > RARE
    known = trajectory(models, n_chains=60, n_draws=20, burn_in=40, seed=1, start=exact[0])
    assert known.settings["log_partitions"][0] == exact[0]
    assert known.settings["errors"][0] == 0
    assert abs(known.value - exact[-1]) < 4 * known.error
    shifted = trajectory(models, n_chains=60, n_draws=20, burn_in=40, seed=1, start=exact[0] + 1)
    assert shifted.value == pytest.approx(known.value + 1, abs=1e-12)


def test_gaps_of_a_trajectory_are_filled():
    """From independent units to a model far from them: further models are put between, and not counted as given."""
    model = rbm.RBM.random(n_visible=12, n_hidden=10, seed=4, scale=1.0, visible="spin", hidden="spin")
    models = [model.tempered(0.0), model.tempered(0.5), model]
    exact = np.array([rbm.exact.log_partition(one) for one in models])
    deviations = []
    for seed in range(8):
        one = trajectory(models, n_chains=60, n_draws=20, burn_in=40, seed=seed, start=22 * np.log(2))
        assert 3 <= one.settings["n_bridges"] <= 40
        assert one.settings["log_partitions"][-1] == one.value
        deviations.append(((one.settings["log_partitions"] - exact) / np.fmax(one.settings["errors"], 1e-9))[1:])
    for of_model in np.transpose(deviations):
        assert normal_p_value(of_model) > RARE
    assert one.error < 0.5


def test_the_rule_of_integration_is_of_the_fourth_order():
    """With derivatives that do not scatter: exact ones, by sums over the states of a small model."""
    model = rbm.RBM.random(n_visible=6, n_hidden=3, seed=9, scale=2.0)
    reference = path.reference(model, v=[[0, 1, 0, 1, 0, 1], [1, 0, 0, 1, 1, 0]])
    rows = model.visible.list_states(6, 0, 64)
    y = rows @ model.weights

    def error(n_rungs):
        betas = np.linspace(0, 1, n_rungs)
        logs = -path.free_energies_between(reference, model, betas, rows)
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        up = 1 / (1 + np.exp(-betas[:, None, None] * y))
        g = rows @ (model.visible_bias - reference.visible_bias) + (y * up).sum(axis=2)
        mean = (weights * g).sum(axis=1)
        second = (weights * ((g - mean[:, None]) ** 2 + (y**2 * up * (1 - up)).sum(axis=2))).sum(axis=1)
        value, influences = integral(betas, mean[:, None, None], second[:, None, None])
        assert abs(influences).max() == 0
        exact = rbm.exact.log_partition(model) - rbm.exact.log_partition(reference)
        return abs(value - exact)

    assert error(65) < 1e-6
    assert error(9) / error(17) == pytest.approx(16, rel=0.2)


def test_the_error_of_the_rule_covers_few_rungs():
    """With so few rungs chance is a small part of the error; the rule is most of it, wherever it is bad."""
    model = rbm.RBM.random(n_visible=8, n_hidden=6, seed=1, scale=1.5)
    exact = rbm.exact.log_partition(model)
    for n_rungs in (3, 4, 5, 6):
        estimate = thermodynamic_integration(model, n_chains=64, n_draws=50, n_temperatures=n_rungs, seed=1)
        assert abs(estimate.value - exact) < 3 * estimate.error < 0.6
    with pytest.raises(InputError, match="n_temperatures=2 is too small; give an integer of at least 3"):
        thermodynamic_integration(model, n_temperatures=2)


def test_the_rule_is_tried_without_each_rung_but_the_ends():
    """A kink between the last two rungs of an even number shows as well as one between the first two."""
    for n_rungs in (3, 4, 7, 10):
        coarse = every_second(n_rungs)
        for rungs in coarse:
            assert (rungs[0], rungs[-1]) == (0, n_rungs - 1)
        left_out = np.concatenate([np.setdiff1d(np.arange(n_rungs), rungs) for rungs in coarse])
        wide = {(a, b) for rungs in coarse for a, b in itertools.pairwise(rungs) if b - a == 2}
        assert all(any(a <= k and k + 1 <= b for a, b in wide) for k in range(n_rungs - 1))
        assert set(left_out) <= set(range(1, n_rungs - 1))


@pytest.mark.parametrize("hidden", ["bernoulli", "spin", rbm.Potts(3), rbm.Gaussian(0.2, 0.8), rbm.ReLU(0.1, 0.5)])
def test_derivatives_are_those_of_the_free_energy(hidden):
    model = rbm.RBM.random(n_visible=6, n_hidden=6, seed=10, scale=0.7, visible=rbm.Potts(3), hidden=hidden)
    sampling = Sampling(4, 2, 1, 1, 1, "cpu", False)
    ladder = ladder_to(model, 3, None, sampling)
    first, second = derivatives(ladder, sampling)
    seen = []
    series_of(lambda states: seen.append(states) or states[:, :, 0], ladder.stack, ladder.visible, sampling, "sweeps")
    for k, states in enumerate(seen):
        step = 1e-3
        below, here, above = -path.free_energies_between(
            ladder.reference, model, [ladder.betas[1] + sign * step for sign in (-1, 0, 1)], states[1]
        )
        np.testing.assert_allclose(first[1, :, k], (above - below) / (2 * step), atol=1e-5)
        np.testing.assert_allclose(second[1, :, k], (above - 2 * here + below) / step**2, atol=1e-4)


def test_what_cannot_be_believed_warns():
    model = rbm.RBM.random(n_visible=30, n_hidden=30, seed=1, scale=1.0, visible="spin", hidden="spin")
    with pytest.warns(StatisticsWarning, match=r"step 0 of log Z by bar rests on .* raise n_temperatures") as caught:
        bar(model, n_chains=10, n_draws=5, n_temperatures=2)
    assert caught[0].filename == __file__
    # Two modes of different weight that no chain leaves.
    stuck = model.replace(0.3 * np.ones((30, 30)), np.full(30, 0.1), np.zeros(30))
    with pytest.warns(StatisticsWarning, match="the chains disagree on the log Z by trajectory") as caught:
        trajectory([stuck, stuck.tempered(1.01)], n_chains=60, n_draws=60, burn_in=5, thin=1, start=0.0)
    assert caught[0].filename == __file__
    for method in (bar, mbar):
        with pytest.raises(InputError, match="n_temperatures=1 is too small"):
            method(model, n_temperatures=1)
    with pytest.raises(InputError, match=r"mbar with 400 rungs, .* lower n_draws, or take bar"):
        mbar(model, n_temperatures=400)
    with pytest.raises(InputError, match="0 models has no log Z"):
        trajectory([])
    with pytest.raises(InputError, match="n_chains=1 is too small"):
        thermodynamic_integration(model, n_chains=1)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    model = rbm.RBM.random(n_visible=8, n_hidden=5, seed=1, scale=0.5)
    for method in METHODS:
        one, same, other = (method(model, n_chains=10, n_draws=5, burn_in=5, seed=seed).value for seed in (1, 1, 2))
        assert one == same != other


def test_numbers_of_rungs_follow_the_model():
    sampling = Sampling(64, 10, 1, 10, 1, "cpu", False)
    weak, strong = (
        rbm.RBM.random(n_visible=40, n_hidden=40, seed=1, scale=scale, visible="spin", hidden="spin")
        for scale in (0.01, 0.5)
    )
    assert len(ladder_to(weak, None, None, sampling).betas) == 6
    ladder = ladder_to(strong, None, None, sampling)
    assert 8 < len(ladder.betas) < 60
    overlaps = bridges(ladder.models, ladder.visible, sampling._replace(n_draws=50), "sweeps").overlaps
    assert overlaps.min() > 0.6
    assert len(bar(weak, n_chains=20, n_draws=10, n_temperatures=3).settings["betas"]) == 3
