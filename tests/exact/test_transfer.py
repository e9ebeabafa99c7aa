"""The transfer matrix against brute force, closed forms, published values and the sum over all states."""

import functools
import math

import naive
import numba
import numpy as np
import pytest
from scipy import stats

from mcgen import enumeration, ising
from mcgen.errors import InputError, SizeError
from mcgen.ising.exact import listing, summation, transfer
from mcgen.ising.exact.transfer import drawing

CRITICAL = 2 / math.log(1 + math.sqrt(2))


def random_lattice(shape, periodic, seed, scale=1.0):
    random = np.random.default_rng(seed)
    couplings, fields = random.normal(size=(len(shape), *shape)), random.normal(size=shape)
    return ising.Ising(shape, scale * couplings, scale * fields, periodic)


LATTICES = [
    ising.Ising((1,), field=0.7, periodic=False),
    ising.Ising((2,)),
    ising.Ising((7,), coupling=-0.7, field=0.3),
    ising.Ising((8,), coupling=1.1, periodic=False),
    ising.Ising((2, 2)),
    ising.Ising((3, 3), coupling=1.0, field=-0.2, periodic=False),
    ising.Ising((1, 6), periodic=(False, True)),
    ising.Ising((6, 1), field=0.1, periodic=False),
    ising.Ising((2, 3), coupling=0.0, field=0.4),
    random_lattice((3, 4), True, 2),
    random_lattice((3, 4), (False, True), 3),
    random_lattice((4, 3), (False, True), 4),
    random_lattice((2, 5), (True, False), 5),
    random_lattice((2, 2, 3), (True, False, True), 6),
    random_lattice((2, 2, 3), True, 7),
]


@functools.cache
def brute_force(lattice, temperature):
    """Thermodynamics and ln P(M) by M, from loops over plain Python numbers."""
    energies = [
        naive.ising_energy(
            spins,
            lattice.shape,
            lambda axis, site: lattice.coupling[(axis, *site)],
            lambda site: lattice.field[site],
            lattice.periodic,
        )
        for spins in naive.states(lattice.n_sites, -1)
    ]
    magnetizations = [sum(spins) for spins in naive.states(lattice.n_sites, -1)]
    thermo = naive.ising_thermodynamics(energies, magnetizations, temperature)
    logs = {}
    for energy, m in zip(energies, magnetizations, strict=True):
        logs.setdefault(m, []).append(-energy / temperature)
    return thermo, [naive.log_sum_exp(logs[m]) - thermo["log_partition"] for m in sorted(logs)]


@pytest.mark.parametrize("temperature", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_everything_against_brute_force(lattice, temperature):
    expected, log_p = brute_force(lattice, temperature)
    # A weight e^x has the relative error of x times x, in the oracle as well.
    loose = 1e-13 + 1e-14 * abs(expected["log_partition"])
    assert transfer.log_partition(lattice, temperature) == pytest.approx(
        expected["log_partition"], rel=2e-14, abs=1e-14
    )
    result = transfer.moments(lattice, temperature)
    assert result.log_partition == pytest.approx(expected["log_partition"], rel=2e-14, abs=1e-14)
    assert result.energy == pytest.approx(expected["energy"], rel=loose)
    assert result.magnetization == pytest.approx(expected["magnetization"], rel=loose, abs=loose * lattice.n_sites)
    # The oracle's mean has the error `loose`, its variance the square of that.
    square = (10 * loose * lattice.n_sites) ** 2
    assert result.heat_capacity == pytest.approx(expected["heat_capacity"], rel=10 * loose, abs=square / temperature**2)
    assert result.susceptibility == pytest.approx(expected["susceptibility"], rel=10 * loose, abs=square / temperature)
    levels, p = transfer.magnetization_distribution(lattice, temperature)
    assert levels.dtype == np.int64
    assert levels.tolist() == list(range(-lattice.n_sites, lattice.n_sites + 1, 2))
    for probability, log in zip(p, log_p, strict=True):
        assert probability == pytest.approx(math.exp(log), rel=loose, abs=1e-307)  # the tails to the last digit


@pytest.mark.parametrize(
    ("lattice", "temperature"),
    [
        (random_lattice((4, 4), True, 8), 0.7),
        (random_lattice((5, 5), True, 9), 1.3),
        (random_lattice((5, 5), (True, False), 10), 0.3),
        (random_lattice((5, 5), False, 11), 3.0),
        (random_lattice((5, 5), True, 12, scale=10), 0.5),  # factors so different that states are taken one by one
        (random_lattice((26,), True, 13), 1.0),
        (random_lattice((3, 3, 3), (True, True, False), 14), 2.0),
        (ising.Ising((4, 7), field=0.05), 2.269),
    ],
    ids=str,
)
def test_against_the_sum_over_all_states(lattice, temperature):
    result, expected = transfer.moments(lattice, temperature), summation.summarize(lattice, temperature)
    assert transfer.log_partition(lattice, temperature) == pytest.approx(expected.log_partition, rel=1e-13)
    assert result.log_partition == pytest.approx(expected.log_partition, rel=1e-13)
    assert result.energy == pytest.approx(expected.energy, rel=1e-13)
    assert result.heat_capacity == pytest.approx(expected.heat_capacity, rel=2e-12)
    levels, p = transfer.magnetization_distribution(lattice, temperature)
    mean = p @ levels
    assert p == pytest.approx(expected.probabilities, rel=2e-12, abs=1e-280)
    assert result.magnetization == pytest.approx(mean, rel=1e-12, abs=1e-12)
    assert result.susceptibility == pytest.approx(p @ (levels - mean) ** 2 / temperature, rel=1e-12)


def test_a_hopeless_frontier_state_wins_in_the_end():
    # After four rows, all spins down weigh e^{-72/T} = e^{-1440} times all spins up; the fields of the last four rows
    # turn that into e^{+960}, and bonds of 20 make a domain wall cost more than it gains.
    field = np.repeat([3.0, -5.0], 12).reshape(8, 3)
    lattice = ising.Ising((8, 3), coupling=20.0, field=field, periodic=False)
    result = transfer.moments(lattice, temperature=0.05)
    assert result.log_partition == pytest.approx(764 / 0.05, rel=1e-14)
    assert result.energy == pytest.approx(-764, rel=1e-14)
    assert result.magnetization == -24
    assert 0 <= result.heat_capacity < 1e-200
    assert (transfer.sample(lattice, 0.05, 100, seed=1) == -1).all()
    _, p = transfer.magnetization_distribution(lattice, temperature=1.0)
    expected = summation.summarize(lattice, 1.0)
    assert p == pytest.approx(expected.probabilities, rel=1e-11, abs=1e-280)
    assert math.log(p[-1] / p[0]) == pytest.approx(-48, rel=1e-9)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0, 100.0])
def test_closed_form_of_the_ring(temperature):
    n, k = 10_000, 1 / temperature
    ring = ising.Ising((n,))
    log_z = n * (math.log1p(math.exp(-2 * k)) + k) + math.log1p(math.tanh(k) ** n)
    assert transfer.log_partition(ring, temperature) == pytest.approx(log_z, rel=1e-14)
    result = transfer.moments(ring, temperature)
    assert result.log_partition == pytest.approx(log_z, rel=1e-14)
    if temperature > 1:  # tanh(K)^N, which the following leave out, is far below rounding
        assert result.energy == pytest.approx(-n * math.tanh(k), rel=1e-13)
        assert result.heat_capacity == pytest.approx(n * (k / math.cosh(k)) ** 2, rel=3e-13)
        assert result.susceptibility == pytest.approx(n * k * math.exp(2 * k), rel=3e-13)


def test_published_values_of_the_8x8_torus():
    lattice = ising.Ising((8, 8))
    assert transfer.log_partition(lattice, CRITICAL) == pytest.approx(60.1417807891, abs=1e-10)
    result = transfer.moments(lattice, 2.269)
    assert result.energy / 64 == pytest.approx(-1.491801, abs=5e-7)
    assert result.heat_capacity / 64 == pytest.approx(1.145379, abs=5e-7)


def test_frontiers():
    sizes = {
        (6, False): 1,
        (6, True): 2,
        ((9, 4), False): 4,
        ((4, 9), False): 4,
        ((9, 4), True): 8,
        ((4, 9), (True, False)): 4,  # a tube of circumference 4
        ((4, 5), (False, True)): 5,  # around the tube would take 8
        ((3, 3, 4), True): 18,
        ((3, 9, 3), False): 9,
    }
    for (shape, periodic), bits in sizes.items():
        assert transfer.frontier(ising.Ising(shape, periodic=periodic)) == bits, (shape, periodic)
    assert transfer.frontier(ising.Ising((4, 4), coupling=0.0)) == 0


FRUSTRATED = random_lattice((3, 3), True, 20)


def chi_square(counts, probabilities):
    """The p-value of the counts; states that are expected less than 10 times are taken together."""
    expected = probabilities * counts.sum()
    rare = expected < 10
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    return stats.chi2.sf(np.sum((counts - expected) ** 2 / expected), len(counts) - 1)


def test_samples_are_exact():
    n_draws, temperature = 400_000, 1.5
    p = listing.probabilities(FRUSTRATED, temperature)

    def counts(temperature):
        states = transfer.sample(FRUSTRATED, temperature, n_draws, seed=21)
        assert states.shape == (n_draws, 3, 3)
        assert states.dtype == np.int8
        return np.bincount(enumeration.state_index(states.reshape(n_draws, 9)), minlength=512)

    right = counts(temperature)
    assert 1e-3 < chi_square(right, p) < 1 - 1e-3
    # The test sees a temperature that is wrong by two percent, and one percent in the probability of half the states.
    assert chi_square(counts(1.02 * temperature), p) < 1e-6
    likely = np.argsort(-p)[: np.searchsorted(np.cumsum(np.sort(p)[::-1]), 0.5)]
    both = np.array([right[likely].sum(), n_draws - right[likely].sum()])
    share = p[likely].sum()
    assert 1e-3 < chi_square(both, np.array([share, 1 - share])) < 1 - 1e-3
    assert chi_square(both, np.array([1.01 * share, 1 - 1.01 * share])) < 1e-6


def test_samples_of_a_larger_lattice_have_its_moments():
    lattice = random_lattice((4, 6), (True, False), 22)
    states = transfer.sample(lattice, 1.5, 20_000, seed=23)
    exact = transfer.moments(lattice, 1.5)
    energies, magnetizations = lattice.energy(states), lattice.magnetization(states)
    for values, mean, variance in (
        (energies, exact.energy, exact.heat_capacity * 1.5**2),
        (magnetizations, exact.magnetization, exact.susceptibility * 1.5),
    ):
        assert abs(values.mean() - mean) < 4 * math.sqrt(variance / 20_000)
        assert values.var() == pytest.approx(variance, rel=0.05)


def test_samples_depend_on_the_seed_and_the_draw_alone(monkeypatch):
    lattice = random_lattice((5, 4), True, 24)
    states = transfer.sample(lattice, 1.0, 300, seed=25)
    assert (transfer.sample(lattice, 1.0, 100, seed=25) == states[:100]).all()
    assert (transfer.sample(lattice, 1.0, 300, seed=26) != states).any()
    for memory in (1, 20_000, 80_000):  # vectors are computed again, in pieces within pieces
        monkeypatch.setattr(drawing, "SAMPLE_MEMORY", memory)
        monkeypatch.setattr(drawing, "DRAWS_AT_ONCE", 77)
        assert (transfer.sample(lattice, 1.0, 300, seed=25) == states).all()


def test_one_thread_and_two_give_the_same():
    lattice = random_lattice((13, 7), (False, True), 27)
    results = []
    threads = numba.get_num_threads()
    try:
        for n in (1, threads):
            numba.set_num_threads(n)
            results.append(
                (
                    transfer.log_partition(lattice, 1.0),
                    transfer.moments(lattice, 1.0),
                    transfer.magnetization_distribution(lattice, 1.0)[1].tolist(),
                    transfer.sample(lattice, 1.0, 50, seed=1).tolist(),
                )
            )
    finally:
        numba.set_num_threads(threads)
    assert results[0] == results[1]


def test_errors():
    wide = ising.Ising((14, 14))
    for function in (transfer.log_partition, transfer.moments, transfer.magnetization_distribution):
        with pytest.raises(SizeError, match=r"\(14, 14\) works on a frontier of 28 sites.* ising\.sample"):
            function(wide, 1.0)
    with pytest.raises(SizeError, match=r"26 sites, .* it reaches 25 sites"):
        transfer.moments(ising.Ising((13, 13)), 1.0)
    with pytest.raises(SizeError, match=r"26 sites, .* it reaches 24 sites"):
        transfer.sample(ising.Ising((13, 13)), 1.0, 10, seed=1)
    with pytest.raises(SizeError, match="frontier of 24 sites times the values of M; it reaches 134217728"):
        transfer.magnetization_distribution(ising.Ising((12, 12)), 1.0)
    for temperature in (0, -1.0, math.nan, "warm"):
        with pytest.raises(InputError, match="temperature="):
            transfer.log_partition(ising.Ising((3, 3)), temperature)
    with pytest.raises(InputError, match=r"temperature=1e-12 is too low .* above 1.8e-10"):
        transfer.log_partition(ising.Ising((3, 3)), 1e-12)
    for arguments, name in (((0, 1), "n_draws=0"), ((10, -1), "seed=-1")):
        with pytest.raises(InputError, match=name):
            transfer.sample(ising.Ising((3, 3)), 1.0, *arguments)
