"""Error bars are honest: over many runs, (estimate - exact) / error is spread as a standard normal variable."""

import numpy as np
import pytest
from autoregression import autoregression, coefficient

from mcgen import stats

N_RUNS = 200
# tau, chains, draws: from 250 effectively independent draws on.
SHAPES = [(1, 1, 500), (1, 100, 10), (5, 8, 600), (20, 1, 8000), (20, 40, 250), (50, 6, 3000), (50, 64, 200)]


def correlated_pair(tau, n_chains, n_draws):
    """x of mean 0 and variance 1, and y of mean 0 that shares 0.6 of it."""
    x, noise = autoregression(coefficient(tau), (2, N_RUNS, n_chains, n_draws), seed=100 * tau + n_chains)
    return x, 0.6 * x + 0.8 * noise


def mean(x, y):
    return stats.mean(x + 2.0), 2.0


def blocking(x, y):
    return stats.blocking(x + 2.0), 2.0


def variance(x, y):
    return stats.jackknife(lambda m, mm: mm - m**2, x, x**2), 1.0


def ratio(x, y):
    return stats.jackknife(lambda a, b: a / b, y + 3.0, x + 5.0), 0.6


def bootstrap_of_ratio(x, y):
    return stats.bootstrap(lambda a, b: a / b, y + 3.0, x + 5.0, n_resamples=50), 0.6


def pulls(estimate, x, y):
    """(estimate - exact) / error of each run."""
    results = [estimate(*run) for run in zip(x, y, strict=True)]
    return np.array([(result.value - exact) / result.error for result, exact in results])


def honest(pulls):
    """Chance alone moves the mean by 0.07 and the spread by 0.05. A bias of a third of an error is twice the limit."""
    return bool(abs(pulls.mean()) < 0.17 and 0.8 < pulls.std() < 1.2)


# In one run of a hundred, blocking takes far longer blocks than it needs, and then says that they are few.
@pytest.mark.filterwarnings("ignore:only .* blocks:mcgen.errors.StatisticsWarning")
@pytest.mark.parametrize(("tau", "n_chains", "n_draws"), SHAPES)
def test_error_bars_are_honest(tau, n_chains, n_draws):
    x, y = correlated_pair(tau, n_chains, n_draws)
    for estimate in (mean, blocking, variance, ratio, bootstrap_of_ratio):
        found = pulls(estimate, x, y)
        assert honest(found), (estimate.__name__, found.mean(), found.std())
        # The same test notices errors that are too small, and values that are off by a third of an error either way.
        assert not honest(found / 0.7), estimate.__name__
        assert not honest(found + 1 / 3), estimate.__name__
        assert not honest(found - 1 / 3), estimate.__name__
