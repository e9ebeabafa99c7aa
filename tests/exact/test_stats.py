import emcee
import naive
import numpy as np
import pytest

from mcgen import ising, observables, stats
from mcgen.errors import StatisticsWarning


def autoregression(coefficient, n_chains, n_draws, seed):
    """x_t = a x_{t-1} + noise: its integrated autocorrelation time is (1 + a) / (1 - a)."""
    random = np.random.default_rng(seed)
    x = np.empty((n_chains, n_draws))
    x[:, 0] = random.normal(size=n_chains) / np.sqrt(1 - coefficient**2)
    for t in range(1, n_draws):
        x[:, t] = coefficient * x[:, t - 1] + random.normal(size=n_chains)
    return x


@pytest.mark.parametrize("coefficient", [-0.3, 0.0, 0.5, 0.9])
def test_integrated_time_agrees_with_emcee(coefficient):
    series = autoregression(coefficient, 1, 20000, 1)[0]
    assert stats.integrated_time(series) == pytest.approx(emcee.autocorr.integrated_time(series, c=5)[0], rel=1e-10)
    # emcee takes the mean of each chain; so do we once those are removed.
    chains = autoregression(coefficient, 8, 5000, 2)
    chains -= chains.mean(axis=1, keepdims=True)
    theirs = emcee.autocorr.integrated_time(chains.T[:, :, None], c=5)[0]
    assert stats.integrated_time(chains) == pytest.approx(theirs, rel=0.02)
    assert stats.integrated_time(chains) == pytest.approx((1 + coefficient) / (1 - coefficient), rel=0.1)


def test_integrated_time_by_its_definition():
    chains = autoregression(0.6, 3, 60, 3)
    assert stats.integrated_time(chains) == pytest.approx(naive.integrated_time(chains.tolist()), rel=1e-10)


def test_errors_of_the_mean_have_the_right_size():
    pulls = []
    for seed in range(300):
        estimate = stats.mean(autoregression(0.8, 4, 500, seed))
        pulls.append(estimate.value / estimate.error)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(300)
    assert 0.9 < np.std(pulls) < 1.15


def test_chains_that_do_not_move_have_the_error_of_their_number():
    chains = np.repeat(np.array([[1.0], [-1.0]] * 50), 10, axis=1)
    estimate = stats.mean(chains)
    assert estimate.effective_sample_size == pytest.approx(100)
    assert estimate.error == pytest.approx(0.1, rel=0.01)


def test_too_few_draws_warn_and_say_what_to_do():
    with pytest.warns(StatisticsWarning, match=r"worth only .* draw more"):
        stats.mean(autoregression(0.95, 1, 100, 1))


def test_constant_series_have_no_error():
    estimate = stats.mean(np.full((3, 10), -32.0))
    assert (estimate.value, estimate.error) == (-32.0, 0.0)
    assert np.isnan(estimate.autocorrelation_time)


def test_summary_agrees_with_exact_values_within_its_errors():
    lattice = ising.Ising((3, 4), field=0.1)
    run = ising.sample(lattice, temperature=3.0, n_chains=100, n_draws=400, thin=3, burn_in=200, seed=5)
    thermo = ising.exact.thermodynamics(lattice, 3.0)
    pulls = []
    for name, estimate in observables.summary(run, lattice, temperature=3.0).items():
        assert 0 < estimate.error < 0.05 * abs(getattr(thermo, name))
        pulls.append((estimate.value - getattr(thermo, name)) / estimate.error)
    assert max(np.abs(pulls)) < 4
    assert len(pulls) == len(observables.NAMES)


def test_summary_of_rows_of_bits_is_that_of_spins():
    lattice = ising.Ising((2, 3))
    rows = (np.random.default_rng(1).random((500, 6)) < 0.5).astype(int)
    spins = (2 * rows - 1).reshape(1, 500, 2, 3)
    for name, estimate in observables.summary(rows, lattice, 2.0).items():
        assert estimate == observables.summary(spins, lattice, 2.0)[name]
