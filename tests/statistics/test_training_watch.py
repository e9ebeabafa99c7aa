"""What training says about its chains and about log Z on the way, against exact values."""

import math

import numpy as np
import pytest
from autoregression import autoregression, coefficient
from scipy.stats import binom, t, ttest_1samp

from mcgen import rbm
from mcgen.errors import InputError, StatisticsWarning
from mcgen.rbm.training.mixing import automatic_gibbs_steps, diagnose_chains, warn_of_stuck_chains
from mcgen.rbm.training.weighted import WeightedChains


def test_the_diagnosis_finds_the_autocorrelation_beneath_a_common_drift():
    drift = 50 * np.sin(np.arange(1500) / 100)
    quick, slow = (autoregression(coefficient(time), (64, 1500), seed=1) + drift for time in (3.0, 12.0))
    mixing = diagnose_chains(np.stack([quick, slow, np.zeros_like(slow)]), sweeps_between=4, gibbs_steps=6)
    assert mixing.autocorrelation_time == pytest.approx(4 * 12, rel=0.06)
    assert mixing.r_hat == pytest.approx(1.0, abs=0.02)
    assert mixing.effective_chains == pytest.approx(64 * 6 / mixing.autocorrelation_time)
    assert mixing.n_sweeps == 4 * 1499
    assert not warn_of_stuck_chains(mixing)
    weights = np.repeat([1.0, 0.0], 32)
    halved = diagnose_chains(quick, 1, gibbs_steps=50, weights=weights)
    assert halved.effective_chains == pytest.approx(32)


def test_stuck_chains_are_told_with_a_remedy():
    series = autoregression(0.5, (40, 60), seed=2) + 3.0 * np.repeat([[-1.0], [1.0]], 20, axis=0)
    mixing = diagnose_chains(series, sweeps_between=2, gibbs_steps=1)
    with pytest.warns(StatisticsWarning, match="118 sweeps .* raise gibbs_steps=1, lower .*'tempering'"):
        assert warn_of_stuck_chains(mixing)
    with pytest.warns(StatisticsWarning, match=r"stopped mixing") as caught:
        assert warn_of_stuck_chains(mixing, swaps=True)
    assert "tempering" not in str(caught[0].message)
    frozen = diagnose_chains(np.arange(5.0)[:, None] * np.ones(20), 1, 1)
    assert frozen.r_hat == math.inf
    assert math.isnan(diagnose_chains(series[:, :5], 1, 1).r_hat)
    with pytest.raises(InputError, match="series"):
        diagnose_chains(series[0], 1, 1)


def pairs(rho, field=0.0, n=6):
    """Spins that each feel one hidden spin: <v> after a sweep from v is rho v without fields, tanh(w)^2 = rho."""
    return rbm.RBM(np.arctanh(np.sqrt(rho)) * np.eye(n), np.full(n, field), np.zeros(n), "spin", "spin")


def test_the_number_of_sweeps_is_twice_the_exact_autocorrelation_time():
    for rho, time in ((0.0, 1.0), (0.6, 4.0), (0.8, 9.0)):
        model = pairs(rho)
        chosen = [automatic_gibbs_steps(model, rbm.exact.sample(model, 32, seed=s), seed=s) for s in range(12)]
        times = [one.autocorrelation_time for one in chosen]
        assert np.mean(times) == pytest.approx(time, rel=0.1)
        assert all(one.gibbs_steps == round(2 * one.autocorrelation_time) for one in chosen)
        assert not any(one.at_limit for one in chosen)
    start = np.repeat([[-1.0], [1.0]], 16, axis=0) * np.ones(6)
    stuck = automatic_gibbs_steps(pairs(0.9999), start, seed=1, most=30)
    assert stuck.gibbs_steps == 30
    assert stuck.at_limit
    assert automatic_gibbs_steps(pairs(0.0), start, seed=1, least=7).gibbs_steps == 7


def test_weighted_chains_find_the_exact_partition_function_without_bias():
    # Chains that remember nine sweeps, of a model that changes with every sweep.
    models = [pairs(0.8, 0.03 * k) for k in range(21)]
    change = rbm.exact.log_partition(models[-1]) - rbm.exact.log_partition(models[0])
    ratios, misses, n_resampled, n_groups = [], 0, 0, 16
    for seed in range(40):
        chains = WeightedChains(models[0], 512, seed, "cpu", n_groups)
        for model in models[1:]:
            chains.change(model)
            chains.advance(1)
        value, error = chains.log_ratio
        ratios.append(math.exp(value - change))
        misses += abs(value - change) > t.isf(0.025, n_groups - 1) * error
        n_resampled += chains.n_resampled
    assert n_resampled > 40
    assert ttest_1samp(ratios, 1.0).pvalue > 1e-3
    assert np.std(ratios) / np.sqrt(40) < 0.01
    assert binom.sf(misses - 1, 40, 0.05) > 1e-3
