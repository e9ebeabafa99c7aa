"""Reweighting against exact values, against its equations solved by other means, and its error bars."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from mcgen import ising, observables, reweighting, stats
from mcgen.errors import InputError, StatisticsWarning
from mcgen.reweighting import equations

TORUS = ising.Ising((4, 4))
CORRECTED = ("heat_capacity", "susceptibility", "abs_susceptibility")


def series(lattice, temperatures, n_sets, n_chains, n_draws, seed=1):
    """Energy and magnetisation of independent draws: for each temperature two arrays (n_sets, n_chains, n_draws)."""
    drawn = []
    for k, temperature in enumerate(temperatures):
        states = ising.exact.sample(lattice, temperature, n_sets * n_chains * n_draws, seed + k)
        drawn.append(
            [
                part.reshape(n_sets, n_chains, n_draws)
                for part in (lattice.energy(states), lattice.magnetization(states))
            ]
        )
    return drawn


def runs_of(lattice, temperatures, drawn, which=0, repeats=1):
    return [
        SimpleNamespace(
            lattice=lattice,
            temperature=temperature,
            energy=np.repeat(energy[which], repeats, axis=1),
            magnetization=np.repeat(magnetization[which], repeats, axis=1),
        )
        for temperature, (energy, magnetization) in zip(temperatures, drawn, strict=True)
    ]


def draw(lattice, temperatures, n_chains=10, n_draws=50, seed=1, repeats=1):
    return runs_of(lattice, temperatures, series(lattice, temperatures, 1, n_chains, n_draws, seed), 0, repeats)


# The equations


def test_the_equations_against_their_iteration():
    runs = draw(TORUS, (2.0, 2.6, 3.5))
    betas = np.array([1 / run.temperature for run in runs])
    energies = np.concatenate([run.energy.ravel() for run in runs])
    sizes = np.array([300.0, 500.0, 200.0])  # not those of the runs: the equations do not ask who drew what
    energies, weights = np.unique(energies, return_counts=True)
    weights = weights * 1000.0 / weights.sum()
    log_z = np.zeros(3)
    for _ in range(2000):  # Ferrenberg & Swendsen's own way
        density = sum(m * np.exp(-b * energies - z) for m, b, z in zip(sizes, betas, log_z, strict=True))
        log_z = np.log([(weights * np.exp(-b * energies) / density).sum() for b in betas])
    solved = equations.solve(energies, weights, sizes, betas, np.array([run.energy.mean() for run in runs]))
    assert solved == pytest.approx(log_z - log_z[0], abs=1e-9)


@pytest.mark.parametrize("means", [[-30.0, -20.0, -10.0], [0.0, 0.0, 0.0], [-10.0, -20.0, -300.0]])
def test_the_equations_are_solved_from_any_start(means):
    levels, counts = ising.exact.density_of_states(TORUS)
    betas = np.array([0.5, 0.35, 0.2])
    exact = np.array([ising.exact.log_partition(TORUS, 1 / b) for b in betas])
    p = counts[:, None] * np.exp(-np.outer(levels, betas) - exact)
    sizes = np.array([100.0, 1000.0, 1e6])
    assert equations.solve(levels, p @ sizes, sizes, betas, np.array(means)) == pytest.approx(
        exact - exact[0], abs=1e-8
    )


# Limits


def test_a_run_at_its_own_temperature_is_its_plain_average():
    lattice = ising.Ising((3, 4), field=0.1)
    run = ising.sample(lattice, 3.0, n_chains=20, n_draws=300, thin=1, burn_in=200, seed=2)
    plain = observables.summary(run, lattice, 3.0)
    assert stats.integrated_time(run.energy) > 1.5
    combination = reweighting.combine([run])
    reweighted = combination.summary(3.0)
    assert reweighted.keys() == plain.keys()
    for name, estimate in reweighted.items():
        # Variances are corrected by the squared error of the mean, which the two estimate differently.
        slack = 0.05 * estimate.error if name in CORRECTED else 1e-9
        assert estimate.value == pytest.approx(plain[name].value, abs=slack), name
        assert estimate.error == pytest.approx(plain[name].error, rel=0.3), name
    assert reweighted["energy"].value == pytest.approx(run.energy.mean(), rel=1e-12)
    assert combination.effective_sample_size(3.0) == pytest.approx(stats.effective_sample_size(run.energy), rel=1e-9)
    assert combination.log_partition(3.0).value == pytest.approx(0.0, abs=1e-12)


def test_one_run_by_the_formula_of_single_histograms():
    (run,) = draw(TORUS, (2.5,))
    combination = reweighting.combine([run])
    weights = np.exp(-run.energy * (1 / 2.2 - 1 / 2.5))
    m = np.abs(run.magnetization)
    expected = (weights * m).sum() / weights.sum()
    assert combination.summary(2.2)["abs_magnetization"].value == pytest.approx(expected, rel=1e-12)
    assert combination.average([m], 2.2).value == pytest.approx(expected, rel=1e-12)
    assert combination.log_partition(2.2).value == pytest.approx(math.log(weights.mean()), rel=1e-12)
    size = weights.sum() ** 2 / (weights**2).sum() / combination.inefficiencies[0]
    assert combination.effective_sample_size(2.2) == pytest.approx(size, rel=1e-12)


def test_averages_are_those_of_the_summary():
    runs = draw(TORUS, (2.0, 3.0))
    combination = reweighting.combine(runs)
    summary = combination.summary(2.4)
    for name, power in (("magnetization", 1), ("magnetization_squared", 2), ("magnetization_fourth", 4)):
        average = combination.average([run.magnetization**power for run in runs], 2.4)
        assert average.value == pytest.approx(summary[name].value, rel=1e-12)
        assert average.error == pytest.approx(summary[name].error, rel=1e-9)
    e, e2 = (combination.average([run.energy**power for run in runs], 2.4).value for power in (1, 2))
    unbiased = e2 - e**2 + summary["energy"].error ** 2
    assert summary["heat_capacity"].value == pytest.approx(unbiased / 2.4**2, rel=1e-9)


def test_the_order_of_the_runs_does_not_matter():
    runs = draw(TORUS, (2.0, 2.5, 3.0))
    one, other = reweighting.combine(runs), reweighting.combine([runs[2], runs[0], runs[1]])
    for name, estimate in one.summary(2.3).items():
        assert other.summary(2.3)[name].value == pytest.approx(estimate.value, rel=1e-9)
        assert other.summary(2.3)[name].error == pytest.approx(estimate.error, rel=1e-6)
    differences = [c.log_partition(2.3).value - c.log_partition(2.7).value for c in (one, other)]
    assert differences[0] == pytest.approx(differences[1], rel=1e-9)


def test_an_exact_partition_function_makes_all_of_them_absolute():
    runs = draw(TORUS, (2.0, 3.0))
    known = ising.exact.log_partition(TORUS, 2.0)
    relative, absolute = reweighting.combine(runs), reweighting.combine(runs, log_partition=known)
    assert absolute.log_partitions.value == pytest.approx(relative.log_partitions.value + known, rel=1e-12)
    assert absolute.log_partitions.value[0] == known
    assert absolute.log_partitions.error == pytest.approx(relative.log_partitions.error, rel=1e-9)
    assert absolute.log_partitions.error[0] < 1e-12 < absolute.log_partitions.error[1]
    assert absolute.log_partition(2.4).value == pytest.approx(relative.log_partition(2.4).value + known, rel=1e-12)
    assert absolute.summary(2.4)["energy"].value == pytest.approx(relative.summary(2.4)["energy"].value, rel=1e-12)


def test_the_mean_energy_is_the_derivative_of_the_partition_function():
    combination = reweighting.combine(draw(TORUS, (2.0, 3.0)))
    low, high = (combination.log_partition(1 / beta).value for beta in (0.41 - 1e-5, 0.41 + 1e-5))
    energy = combination.summary(1 / 0.41)["energy"].value
    assert (low - high) / 2e-5 == pytest.approx(energy, rel=1e-7)


# Error bars


def test_errors_are_those_of_a_jackknife_that_solves_the_equations_again():
    temperatures = (2.1, 2.8)
    runs = draw(TORUS, temperatures, n_chains=20, n_draws=25)
    combination = reweighting.combine(runs)

    def results(kept):
        energies = np.concatenate([run.energy[keep].ravel() for run, keep in zip(runs, kept, strict=True)])
        m = np.concatenate([run.magnetization[keep].ravel() for run, keep in zip(runs, kept, strict=True)])
        weight = np.concatenate(
            [np.full(25 * len(keep), 1 / g) for keep, g in zip(kept, combination.inefficiencies, strict=True)]
        )
        sizes = np.array([25 * len(keep) / g for keep, g in zip(kept, combination.inefficiencies, strict=True)])
        betas = 1 / np.array(temperatures)
        log_z = equations.solve(energies, weight, sizes, betas, np.array([run.energy.mean() for run in runs]))
        density = np.exp(-np.outer(energies, betas) - log_z) @ sizes
        w = weight * np.exp(-energies / 2.4) / density
        log_w = math.log(w.sum())
        w /= w.sum()
        u, m2 = w @ energies, w @ m**2
        return [u, w @ (energies - u) ** 2 / 2.4**2, w @ np.abs(m), (w @ m**4) / m2**2, log_w, log_z[1]]

    everything = [np.arange(20), np.arange(20)]
    squares = 0.0
    for run in range(2):
        without = []
        for chain in range(20):
            kept = list(everything)
            kept[run] = np.delete(everything[run], chain)
            without.append(results(kept))
        squares = squares + 19 * np.var(without, axis=0)
    summary = combination.summary(2.4)
    ours = [summary[name] for name in ("energy", "heat_capacity", "abs_magnetization", "binder_ratio")]
    ours.append(combination.log_partition(2.4))
    errors = [*(estimate.error for estimate in ours), combination.log_partitions.error[1]]
    # Ours take the draws of a chain for independent where they look so; the jackknife here leaves out whole chains.
    assert np.array(errors) == pytest.approx(np.sqrt(squares), rel=0.35)
    values = results(everything)
    assert [ours[0].value, *(estimate.value for estimate in ours[2:])] == pytest.approx(
        [values[0], *values[2:5]], rel=1e-8
    )


@pytest.mark.parametrize(("shape", "temperatures", "repeats"), [((4, 4), (2.0, 2.6, 3.4), 1), ((8, 8), (2.2, 2.6), 5)])
def test_values_and_errors_against_exact_thermodynamics(shape, temperatures, repeats):
    lattice = ising.Ising(shape)
    drawn = series(lattice, temperatures, 100, 8, 60)
    exact_logs = np.array([ising.exact.log_partition(lattice, temperature) for temperature in temperatures])
    targets = (temperatures[0], 2.4, temperatures[-1] + 0.1)
    exact = [ising.exact.thermodynamics(lattice, target) for target in targets]
    logs, averages = [], []
    for which in range(100):
        combination = reweighting.combine(runs_of(lattice, temperatures, drawn, which, repeats), exact_logs[0])
        estimate = combination.log_partitions
        logs.append(((estimate.value - exact_logs) / np.maximum(estimate.error, 1e-300))[1:])
        pulls = []
        for target, known in zip(targets, exact, strict=True):
            summary = combination.summary(target)
            pulls += [(summary[name].value - getattr(known, name)) / summary[name].error for name in observables.NAMES]
        log_z = combination.log_partition(targets[1])
        logs[-1] = np.append(logs[-1], (log_z.value - exact[1].log_partition) / log_z.error)
        averages.append(pulls)
    for pulls in (np.array(logs), np.array(averages)):
        assert np.abs(pulls).max() < 5
        assert np.abs(pulls.mean(axis=0)).max() < 0.35
        assert pulls.std(axis=0).min() > 0.75
        assert pulls.std(axis=0).max() < 1.25
        assert 0.85 < pulls.std() < 1.15


def test_correlated_draws_have_larger_errors():
    # Each draw ten times over tells no more than once; the errors must not be those of ten times as many.
    once = reweighting.combine(draw(TORUS, (2.1, 2.8), n_chains=4, n_draws=400))
    repeated = reweighting.combine(draw(TORUS, (2.1, 2.8), n_chains=4, n_draws=400, repeats=10))
    assert repeated.inefficiencies == pytest.approx(10 * once.inefficiencies, rel=0.4)
    assert repeated.effective_sample_size(2.4) == pytest.approx(once.effective_sample_size(2.4), rel=0.4)
    for name, estimate in once.summary(2.4).items():
        assert repeated.summary(2.4)[name].error == pytest.approx(estimate.error, rel=0.3), name
    assert repeated.log_partitions.error[1] == pytest.approx(once.log_partitions.error[1], rel=0.3)


def test_blocks_of_unequal_size_do_not_pass_for_fluctuations():
    # 800 draws of one chain make blocks of one and of two draws, as many chains make blocks of the same size.
    drawn = series(TORUS, (2.1, 2.8), 1, 1, 800)
    one = reweighting.combine(runs_of(TORUS, (2.1, 2.8), drawn))
    many = reweighting.combine(
        runs_of(TORUS, (2.1, 2.8), [[part.reshape(1, 400, 2) for part in parts] for parts in drawn])
    )
    for estimates in ((c.summary(2.4)["energy"], c.log_partition(2.4)) for c in (one, many)):
        assert estimates[0].error == pytest.approx(many.summary(2.4)["energy"].error, rel=0.15)
        assert estimates[1].error == pytest.approx(many.log_partition(2.4).error, rel=0.15)
    assert one.log_partitions.error[1] == pytest.approx(many.log_partitions.error[1], rel=0.15)


def test_a_run_that_remembers_more_counts_less():
    # The same number of draws at two temperatures, those of the second ten times over: the first decides.
    first, second = draw(TORUS, (2.5, 2.6), n_chains=20, n_draws=400)
    second.energy = np.repeat(second.energy[:, ::10], 10, axis=1)
    second.magnetization = np.repeat(second.magnetization[:, ::10], 10, axis=1)
    combination = reweighting.combine([first, second])
    assert combination.inefficiencies[1] > 5 * combination.inefficiencies[0]
    error = combination.summary(2.5)["energy"].error
    assert error < 1.05 * stats.mean(first.energy).error


def test_energies_that_never_repeat():
    random = np.random.default_rng(4)
    glass = ising.Ising((4, 4), coupling=random.normal(size=(2, 4, 4)), field=0.2)
    runs = draw(glass, (1.5, 2.5), n_chains=20, n_draws=200)
    combination = reweighting.combine(runs, ising.exact.log_partition(glass, 1.5))
    exact = ising.exact.thermodynamics(glass, 1.9)
    for name, estimate in combination.summary(1.9).items():
        if name in observables.NAMES:
            assert 0 < estimate.error < 0.1 * abs(getattr(exact, name))
            assert abs(estimate.value - getattr(exact, name)) < 4 * estimate.error, name
    log_z = combination.log_partition(1.9)
    assert abs(log_z.value - exact.log_partition) < 4 * log_z.error


# What is refused


def test_temperatures_that_the_runs_do_not_cover():
    runs = draw(TORUS, (2.3, 2.5))
    combination = reweighting.combine(runs)
    m = [run.magnetization for run in runs]
    for method in (combination.summary, combination.log_partition, lambda t: combination.average(m, t)):
        with pytest.raises(
            InputError, match=r"temperature=50 lies outside those of the runs, 2.3 to 2.5, where .* add"
        ):
            method(50.0)
    with pytest.raises(InputError, match=r"temperature=0\.0 is not positive"):
        combination.summary(0.0)


def test_the_last_energy_seen_must_not_carry_the_result():
    levels, counts = ising.exact.density_of_states(TORUS)
    energy = np.random.default_rng(1).choice(levels, p=counts / counts.sum(), size=(20, 500))
    energy = np.where(energy < -16, -16.0, energy)  # many draws at the last level: enough by their number
    run = SimpleNamespace(lattice=TORUS, temperature=50.0, energy=energy, magnetization=energy)
    combination = reweighting.combine([run])
    assert combination.effective_sample_size(2.0) > 20
    with pytest.raises(InputError, match="percent of the weight is at the last energy they have seen, -16"):
        combination.summary(2.0)
    # The ground state has nothing beyond it.
    cold = reweighting.combine(draw(TORUS, (2.0,)))
    assert cold.summary(0.5)["energy"].value == pytest.approx(-32.0, abs=0.1)


def test_runs_that_do_not_overlap():
    lattice = ising.Ising((8, 8))
    with pytest.raises(
        InputError, match=r"up to temperature 1.2 and those from 5 on share .*; add a run between 1.2 and 5"
    ):
        reweighting.combine(draw(lattice, (5.0, 1.2)))
    with pytest.warns(StatisticsWarning, match=r"share .* fewer than 20, and errors are uncertain; add a run between"):
        reweighting.combine(draw(lattice, (3.2, 1.8)))
    # A third run in between bridges the gap.
    reweighting.combine(draw(lattice, (3.2, 1.8, 2.3)))


def test_too_few_draws_warn():
    (run,) = draw(TORUS, (2.5,), n_chains=3, n_draws=5)
    combination = reweighting.combine([run])
    of_draws = pytest.warns(StatisticsWarning, match=r"worth .* independent draws, fewer than 20.*make the runs longer")
    of_errors = pytest.warns(StatisticsWarning, match=r"rests on .* independent stretches of the runs, fewer than 20")
    with of_draws, of_errors:
        combination.average([run.energy], 2.5)


def test_the_binder_ratio_without_magnetization():
    (run,) = draw(TORUS, (2.5,))
    run.magnetization = np.zeros_like(run.energy)
    summary = reweighting.combine([run]).summary(2.5)
    assert np.isnan(summary["binder_ratio"].value)
    assert np.isnan(summary["binder_ratio"].error)
    assert summary["magnetization_squared"][:2] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda runs: runs[0], "runs=SimpleNamespace is not a list of runs"),
        (lambda _: [], "runs=list is not a list of runs; give at least one"),
        (lambda runs: [*runs, np.ones((2, 3))], r"runs\[2\] has no lattice; give results of ising.sample"),
        (
            lambda runs: [*runs, SimpleNamespace(lattice=ising.Ising((4, 4), field=0.1), temperature=2.0, energy=0)],
            r"runs\[2\] is of Ising\(.*field=0.1.*, runs\[0\] of .*; give runs of one lattice",
        ),
        (
            lambda runs: [SimpleNamespace(**(vars(runs[0]) | {"temperature": -1.0}))],
            r"runs\[0\].temperature=-1.0 is not positive",
        ),
        (
            lambda runs: [SimpleNamespace(**(vars(runs[0]) | {"energy": np.ones(3)}))],
            r"runs\[0\].energy has shape \(3,\)",
        ),
        (
            lambda _: [SimpleNamespace(lattice=TORUS, temperature=1.0, energy=np.ones((1, 1)), magnetization=[[1]])],
            r"runs\[0\] has 1 draws; give at least two",
        ),
    ],
)
def test_runs_that_do_not_fit_are_refused(change, message):
    runs = draw(TORUS, (2.3, 2.5))
    with pytest.raises(InputError, match=message):
        reweighting.combine(change(runs))


def test_series_that_do_not_fit_are_refused():
    runs = draw(TORUS, (2.3, 2.5))
    combination = reweighting.combine(runs)
    with pytest.raises(InputError, match="series has 1 arrays for 2 runs; give one for each run"):
        combination.average([runs[0].energy], 2.4)
    with pytest.raises(InputError, match=r"series\[1\] has shape \(10, 49\); its shape must be \(10, 50\)"):
        combination.average([runs[0].energy, runs[1].energy[:, 1:]], 2.4)
