"""Observables of given states by their definitions, of independent draws against exact values, and their error bars."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from mcgen import ising, observables, stats
from mcgen.errors import InputError, StatisticsWarning
from mcgen.observables import blocks

RANDOM = np.random.default_rng(1)


def random_states(*shape):
    return RANDOM.choice(np.array([-1, 1], np.int8), shape)


def independent(lattice, temperature, n_chains, n_draws, seed=1):
    states = ising.exact.sample(lattice, temperature, n_chains * n_draws, seed)
    return states.reshape(n_chains, n_draws, *lattice.shape)


# Thermodynamic averages


def test_summary_agrees_with_exact_values_within_its_errors():
    lattice = ising.Ising((3, 4), field=0.1)
    run = ising.sample(lattice, temperature=3.0, n_chains=100, n_draws=400, thin=3, burn_in=200, seed=5)
    exact = ising.exact.thermodynamics(lattice, 3.0)._asdict()
    m, p = ising.exact.magnetization_distribution(lattice, 3.0)
    exact["magnetization_squared"], exact["magnetization_fourth"] = p @ m**2, p @ m**4
    exact["binder_ratio"] = (p @ m**4) / (p @ m**2) ** 2
    summary = observables.summary(run, lattice, temperature=3.0)
    assert set(observables.NAMES) < set(summary)
    for name, estimate in summary.items():
        assert 0 < estimate.error < 0.05 * abs(exact[name])
        assert abs(estimate.value - exact[name]) < 4 * estimate.error, name


def test_summary_of_rows_of_bits_is_that_of_spins():
    lattice = ising.Ising((2, 3))
    rows = (np.random.default_rng(1).random((500, 6)) < 0.5).astype(int)
    spins = (2 * rows - 1).reshape(1, 500, 2, 3)
    for name, estimate in observables.summary(rows, lattice, 2.0).items():
        assert estimate == observables.summary(spins, lattice, 2.0)[name]


def test_what_a_run_has_kept_is_not_computed_again():
    lattice = ising.Ising((2, 3))
    states = random_states(4, 50, 2, 3)
    kept = SimpleNamespace(
        states=states, lattice=lattice, energy=RANDOM.normal(size=(4, 50)), magnetization=np.full((4, 50), 2)
    )
    summary = observables.summary(kept, ising.Ising((2, 3)), 1.0)
    assert summary["energy"].value == pytest.approx(kept.energy.mean(), rel=1e-12)
    assert summary["magnetization"].value == 2
    # Runs of another lattice, and those that have kept nothing, are measured.
    other = ising.Ising((2, 3), coupling=0.5)
    assert observables.summary(kept, other, 1.0)["energy"].value == pytest.approx(other.energy(states).mean())
    del kept.magnetization
    magnetization = observables.summary(kept, lattice, 1.0)["magnetization"]
    assert magnetization.value == pytest.approx(lattice.magnetization(states).mean(), abs=1e-12)


@pytest.mark.filterwarnings("ignore::mcgen.errors.StatisticsWarning")
def test_variances_are_unbiased():
    # 25 chains of a draw each time: uncorrected, the mean would be low by one part in 25, which is five of its errors.
    lattice = ising.Ising((3, 3))
    states = independent(lattice, 3.0, 1500 * 25, 1)
    energy, m = lattice.energy(states), lattice.magnetization(states)
    names = ("heat_capacity", "susceptibility", "abs_susceptibility")
    results = np.empty((1500, 3))
    for k in range(1500):
        some = slice(25 * k, 25 * (k + 1))
        run = SimpleNamespace(lattice=lattice, energy=energy[some], magnetization=m[some])
        summary = observables.summary(run, lattice, 3.0)
        results[k] = [summary[name].value for name in names]
    exact = ising.exact.thermodynamics(lattice, 3.0)
    deviations = results.mean(axis=0) - [getattr(exact, name) for name in names]
    assert (np.abs(deviations) < 3 * results.std(axis=0) / math.sqrt(1500)).all()


@pytest.mark.parametrize("repeats", [1, 5])
def test_errors_of_nonlinear_averages_have_the_right_size(repeats):
    lattice = ising.Ising((4, 4))
    exact = ising.exact.thermodynamics(lattice, 2.6)
    m, p = ising.exact.magnetization_distribution(lattice, 2.6)
    binder = (p @ m**4) / (p @ m**2) ** 2
    states = independent(lattice, 2.6, 200 * 8, 60)
    energy, magnetization = lattice.energy(states), lattice.magnetization(states)
    pulls = []
    for first in range(0, 200 * 8, 8):
        kept = [np.repeat(series[first : first + 8], repeats, axis=1) for series in (energy, magnetization)]
        run = SimpleNamespace(lattice=lattice, energy=kept[0], magnetization=kept[1])
        summary = observables.summary(run, lattice, 2.6)
        pulls.append(
            [
                (summary["heat_capacity"].value - exact.heat_capacity) / summary["heat_capacity"].error,
                (summary["abs_susceptibility"].value - exact.abs_susceptibility) / summary["abs_susceptibility"].error,
                (summary["binder_ratio"].value - binder) / summary["binder_ratio"].error,
            ]
        )
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.3
    assert np.std(pulls, axis=0).min() > 0.8
    assert np.std(pulls, axis=0).max() < 1.2


def test_the_binder_ratio_without_magnetization():
    lattice = ising.Ising((2,), coupling=-1.0)
    states = np.tile(np.array([1, -1], np.int8), (50, 4, 1))
    assert np.isnan(observables.summary(states, lattice, 0.1)["binder_ratio"].value)
    states[7, 2] = 1  # a single state with a magnetisation says nothing about the ratio
    ratio = observables.summary(states, lattice, 0.1)["binder_ratio"]
    assert ratio.value == pytest.approx(200)
    assert ratio.error == pytest.approx(200, rel=0.01)
    states[:] = 1
    assert observables.summary(states, lattice, 0.1)["binder_ratio"][:2] == (1.0, 0.0)


# Correlations in space

LATTICES = [
    ising.Ising((5,)),
    ising.Ising((6,), periodic=False),
    ising.Ising((4, 3)),
    ising.Ising((3, 4), periodic=False),
    ising.Ising((4, 3), periodic=(True, False)),
    ising.Ising((2, 3, 4), periodic=(True, False, True)),
]


def naive_pairs(states, lattice):
    """Displacement (of any sign, the first that leads there) -> mean of s_x s_y over draws and pairs of sites x, y."""
    products = {}
    for x, y in itertools.product(np.ndindex(lattice.shape), repeat=2):
        step = tuple(
            (b - a) % length if closed else b - a
            for a, b, length, closed in zip(x, y, lattice.shape, lattice.periodic, strict=True)
        )
        products.setdefault(step, []).append((states[(..., *x)] * states[(..., *y)]).mean())
    return products


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_correlations_by_their_definition(lattice):
    states = random_states(40, 2, *lattice.shape)
    states[..., 0] = 1  # something to find
    result = observables.correlations(states, lattice)
    pairs = naive_pairs(states, lattice)
    assert result.two_point.value.size == len(pairs)
    by_distance = {}
    for step, products in pairs.items():
        assert result.two_point.value[step] == pytest.approx(np.mean(products), abs=1e-12)
        shortest = [
            min(d, length - d) if closed else d
            for d, length, closed in zip(step, lattice.shape, lattice.periodic, strict=True)
        ]
        by_distance.setdefault(sum(d * d for d in shortest), []).extend(products)
    assert result.distances == pytest.approx(np.sqrt(sorted(by_distance)), rel=1e-15)
    expected = [np.mean(by_distance[square]) for square in sorted(by_distance)]
    assert result.radial.value == pytest.approx(expected, abs=1e-12)
    for axis, estimate in enumerate(result.along_axes):
        length, closed = lattice.shape[axis], lattice.periodic[axis]
        steps = np.zeros((length // 2 + 1 if closed else length, lattice.n_dims), int)
        steps[:, axis] = np.arange(len(steps))
        assert estimate.value == pytest.approx([np.mean(pairs[tuple(step)]) for step in steps.tolist()], abs=1e-12)
        assert estimate.error.shape == estimate.value.shape


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_structure_factors_by_their_definition(lattice):
    states = random_states(40, 2, *lattice.shape)
    result = observables.correlations(states, lattice).structure_factor
    assert result.value.shape == lattice.shape
    for n in np.ndindex(lattice.shape):
        phase = sum(
            2 * np.pi * k * x.astype(float) / length
            for k, x, length in zip(n, np.indices(lattice.shape), lattice.shape, strict=True)
        )
        waves = (states * np.exp(1j * phase)).sum(axis=tuple(range(2, states.ndim)))
        assert result.value[n] == pytest.approx((np.abs(waves) ** 2).mean() / lattice.n_sites, abs=1e-12)


def test_errors_of_correlations():
    lattice = ising.Ising((4, 4))
    states = independent(lattice, 2.5, 50, 1)
    # Independent draws: the standard error of the mean, without autocorrelation or blocks.
    each = [observables.correlations(np.stack([state, state]), lattice) for state in states]
    together = observables.correlations(states, lattice)
    for name in ("two_point", "radial", "structure_factor"):
        values = np.array([getattr(one, name).value for one in each])
        assert getattr(together, name).error == pytest.approx(values.std(axis=0, ddof=1) / math.sqrt(50), abs=1e-12)
    assert together.two_point.error[0, 0] == 0
    # The same draws ten times over carry no more information, whether chains are many or few.
    repeated = observables.correlations(np.repeat(states, 10, axis=1), lattice)
    assert repeated.two_point.error == pytest.approx(together.two_point.error, rel=1e-12)
    states = independent(lattice, 2.5, 2, 2000)
    once = observables.correlations(states, lattice).two_point.error[1:]
    repeated = observables.correlations(np.repeat(states, 10, axis=1), lattice).two_point.error[1:]
    assert np.sqrt((repeated**2).mean()) == pytest.approx(np.sqrt((once**2).mean()), rel=0.2)


def ring(temperature, length):
    """G(r) of the periodic chain: (t^r + t^(L-r)) / (1 + t^L) with t = tanh(J/T)."""
    t = math.tanh(1 / temperature)
    r = np.arange(length)
    return (t**r + t ** (length - r)) / (1 + t**length)


def test_the_ring_against_its_closed_form():
    lattice = ising.Ising((16,))
    states = independent(lattice, 1.2, 40, 500)
    g = ring(1.2, 16)
    result = observables.correlations(states, lattice)
    away = (result.two_point.value[1:] - g[1:]) / result.two_point.error[1:]
    assert np.abs(away).max() < 4
    assert result.two_point.error[1:].max() < 0.02
    s = np.fft.fft(g).real
    assert np.abs((result.structure_factor.value - s) / result.structure_factor.error).max() < 4
    xi = observables.correlation_length(states, lattice)
    expected = math.sqrt(s[0] / s[1] - 1) / (2 * math.sin(math.pi / 16))
    assert abs(xi.value - expected) < 4 * xi.error < 0.2 * expected


def test_errors_of_the_correlation_length_have_the_right_size():
    lattice = ising.Ising((8,))
    s = np.fft.fft(ring(1.5, 8)).real
    expected = math.sqrt(s[0] / s[1] - 1) / (2 * math.sin(math.pi / 8))
    states = independent(lattice, 1.5, 200 * 5, 100)
    estimates = [observables.correlation_length(states[k : k + 5], lattice) for k in range(0, 1000, 5)]
    pulls = [(xi.value - expected) / xi.error for xi in estimates]
    assert abs(np.mean(pulls)) < 0.3
    assert 0.8 < np.std(pulls) < 1.2


def test_the_correlation_length_is_that_of_the_structure_factor():
    box = ising.Ising((6, 6, 4))
    run = ising.sample(box, 6.0, n_chains=50, n_draws=20, thin=2, burn_in=50, seed=3)
    s = observables.correlations(run, box).structure_factor.value
    for axis, smallest in enumerate((s[1, 0, 0], s[0, 1, 0], s[0, 0, 1])):
        expected = math.sqrt(s[0, 0, 0] / smallest - 1) / (2 * math.sin(math.pi / box.shape[axis]))
        assert observables.correlation_length(run, box, axis).value == pytest.approx(expected, rel=1e-9)
    square = ising.Ising((6, 6))
    states = independent(square, 4.0, 50, 20)
    s = observables.correlations(states, square).structure_factor.value
    expected = math.sqrt(s[0, 0] / (s[0, 1] + s[1, 0]) * 2 - 1) / (2 * math.sin(math.pi / 6))
    assert observables.correlation_length(states, square).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("lattice", "axis", "message"),
    [
        (ising.Ising((4, 4), periodic=False), None, "axis 0 is open.*name a periodic axis"),
        (ising.Ising((4, 4), periodic=(True, False)), 1, "axis 1 is open"),
        (ising.Ising((2, 4)), None, "axis 0 has length 2, .*3 or more"),
        (ising.Ising((4, 6)), None, r"different lengths \(4, 6\); name one with axis="),
        (ising.Ising((4, 6)), 2, "axis=2 is too large"),
    ],
)
def test_correlation_lengths_that_make_no_sense_are_refused(lattice, axis, message):
    with pytest.raises(InputError, match=message):
        observables.correlation_length(random_states(2, 30, *lattice.shape), lattice, axis)


def test_no_correlation_length_without_correlations():
    lattice = ising.Ising((4,), coupling=-1.0)
    for states in (independent(lattice, 0.7, 20, 20), np.ones((20, 20, 4), np.int8)):
        with pytest.warns(StatisticsWarning, match="give no correlation length"):
            assert np.isnan(observables.correlation_length(states, lattice).value)


# Histograms


def test_energy_histogram_against_the_density_of_states():
    lattice = ising.Ising((4, 4), coupling=0.1)
    levels, counts = ising.exact.density_of_states(lattice)
    p = counts * np.exp(-levels / 0.3)
    p /= p.sum()
    energy = lattice.energy(independent(lattice, 0.3, 100 * 10, 100))
    pulls = []
    for first in range(0, 1000, 10):
        # Every draw twice: the errors are those of half as many.
        run = SimpleNamespace(lattice=lattice, energy=np.repeat(energy[first : first + 10], 2, axis=1))
        histogram = observables.energy_histogram(run)
        place = np.searchsorted(levels, histogram.levels - 1e-6)
        assert histogram.levels == pytest.approx(levels[place], rel=1e-12)
        assert histogram.probabilities.value.sum() == pytest.approx(1.0, rel=1e-12)
        often = p[place] > 0.01
        pulls.append(((histogram.probabilities.value - p[place]) / histogram.probabilities.error)[often])
    assert histogram.edges is None
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.5
    assert 0.9 < np.std(pulls) < 1.1


def test_magnetization_histogram_against_the_distribution():
    lattice = ising.Ising((3, 4), field=0.2)
    states = independent(lattice, 3.0, 5, 2000)
    histogram = observables.magnetization_histogram(states, lattice)
    levels, p = ising.exact.magnetization_distribution(lattice, 3.0)
    place = np.searchsorted(levels, histogram.levels)
    assert levels[place].tolist() == histogram.levels.tolist()
    assert np.abs((histogram.probabilities.value - p[place]) / histogram.probabilities.error).max() < 4
    # The same draws of 50 independent chains: binomial errors.
    states = independent(lattice, 3.0, 50, 1)
    histogram = observables.magnetization_histogram(states, lattice)
    p = histogram.probabilities.value
    assert histogram.probabilities.error == pytest.approx(np.sqrt(p * (1 - p) / 49), rel=1e-9)


def test_energies_that_are_no_levels_are_put_into_bins():
    lattice = ising.Ising((3, 3), coupling=RANDOM.normal(size=(2, 3, 3)))
    run = SimpleNamespace(lattice=lattice, energy=lattice.energy(independent(lattice, 2.0, 10, 100)))
    histogram = observables.energy_histogram(run)
    width = 3.49 * run.energy.std() * 1000 ** (-1 / 3)
    assert np.diff(histogram.edges) == pytest.approx(width, rel=0.2)
    for bins in (None, 7, np.linspace(run.energy.min() - 1, run.energy.max(), 12)):
        histogram = observables.energy_histogram(run, bins)
        counts, edges = np.histogram(run.energy, histogram.edges)
        assert histogram.probabilities.value == pytest.approx(counts / 1000, abs=1e-12)
        assert histogram.levels == pytest.approx((edges[1:] + edges[:-1]) / 2)
    # Bins may be asked for where levels would do.
    plain = SimpleNamespace(lattice=ising.Ising((3, 3)), energy=run.energy)
    assert len(observables.energy_histogram(plain, 4).levels) == 4
    frozen = SimpleNamespace(lattice=lattice, energy=np.full((2, 5), -3.0))
    assert observables.energy_histogram(frozen).probabilities.value.tolist() == [1.0]


def test_levels_are_those_of_couplings_and_fields_of_one_magnitude():
    signs = random_states(2, 4, 4) * 1.0
    glass = ising.Ising((4, 4), coupling=signs, field=0.3 * random_states(4, 4))
    run = SimpleNamespace(lattice=glass, energy=glass.energy(independent(glass, 2.0, 10, 50)))
    histogram = observables.energy_histogram(run)
    assert histogram.edges is None
    counts = [(np.abs(run.energy - level) < 1e-6).mean() for level in histogram.levels]
    assert histogram.probabilities.value == pytest.approx(counts, abs=1e-12)


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        (0, "bins=0 is too small"),
        ([1.0], "bins must be two or more edges"),
        ([0.0, 0.0], "bins must be two or more edges"),
        ([0.0, 1.0], "bins from 0 to 1 do not hold all energies, which are from -4 to 4"),
    ],
)
def test_bins_that_do_not_fit_are_refused(bins, message):
    run = SimpleNamespace(lattice=ising.Ising((4,)), energy=np.array([[-4.0, 0.0, 4.0]]))
    with pytest.raises(InputError, match=message):
        observables.energy_histogram(run, bins)


def test_histograms_need_energies():
    with pytest.raises(InputError, match=r"run=ndarray has no energies; give a result of ising\.sample"):
        observables.energy_histogram(np.ones((3, 4)))


# Blocks


@pytest.mark.parametrize("shape", [(1, 7), (3, 50), (64, 3), (200, 11)])
def test_blocks_hold_every_draw_once(shape):
    edges = blocks.edges(*shape, most=20)
    numbers = blocks.numbers(*edges)
    sizes = blocks.sizes(*edges)
    assert numbers.shape == shape
    assert np.bincount(numbers.ravel()).tolist() == sizes.tolist()
    assert sizes.sum() == shape[0] * shape[1]
    assert len(sizes) <= 20
    series = RANDOM.normal(size=shape)
    estimate = blocks.average(np.bincount(numbers.ravel(), series.ravel()), sizes)
    assert estimate.value == pytest.approx(series.mean(), abs=1e-12)
    assert estimate.error == pytest.approx(series.std() / math.sqrt(series.size), rel=0.6)


@pytest.mark.parametrize("repeats", [1, 20])
def test_blocks_are_long_against_the_autocorrelation_time(repeats):
    series = np.repeat(RANDOM.normal(size=(1, 150)), repeats, axis=1)
    size = stats.effective_sample_size(series)
    assert len(blocks.sizes(*blocks.independent_edges(series))) == round(size ** (2 / 3))
    assert 15 < size ** (2 / 3) < 40
    # The slowest series decides, chains are not joined, and there are no more than 64 blocks.
    quick = RANDOM.normal(size=series.shape)
    assert len(blocks.sizes(*blocks.independent_edges(quick, series))) <= round(size ** (2 / 3))
    assert len(blocks.sizes(*blocks.independent_edges(np.repeat(series.reshape(50, -1), 2, axis=1)))) == 50
    assert len(blocks.sizes(*blocks.independent_edges(RANDOM.normal(size=(4, 10000))))) == 64


def test_blocks_of_unequal_size_do_not_pass_for_fluctuations():
    edges = blocks.edges(1, 100, most=64)
    assert set(blocks.sizes(*edges).tolist()) == {1, 2}
    assert blocks.average(blocks.sizes(*edges) * 5.0, blocks.sizes(*edges)).error == 0


def test_a_single_draw_has_no_error():
    with pytest.raises(InputError, match="a single draw, which has no error bar; give at least two"):
        observables.correlations(np.ones((1, 1, 4)), ising.Ising((4,)))
