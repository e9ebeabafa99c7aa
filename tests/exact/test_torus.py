import decimal
import hashlib
import math

import naive
import numpy as np
import pytest
from scipy import special

from mcgen import ising
from mcgen.errors import InputError, SizeError
from mcgen.ising.exact import counting, infinite, torus

CRITICAL = 2 / math.log(1 + math.sqrt(2))


def relative_errors(thermo, expected):
    """Of ln Z, U and C."""
    return [abs(have - want) / abs(want) for have, want in zip(thermo, expected, strict=True)]


def torus_lattice(shape, couplings):
    coupling = np.zeros((2, *shape))
    coupling[0], coupling[1] = couplings
    return ising.Ising(shape, coupling)


# Kaufman's formula typed plainly, with decimals: 200 digits leave enough after the cancellation at low temperature.
@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.5, CRITICAL, 2.5, 10.0, 1e6])
@pytest.mark.parametrize(
    ("shape", "couplings"),
    [
        ((2, 2), (1, 1)),
        ((3, 2), (0.5, 1.3)),
        ((4, 4), (1, 1)),
        ((4, 7), (1, 1)),
        ((5, 3), (1.3, 0.25)),
        ((8, 8), (0.75, 1.1)),
        ((4, 5), (-0.5, 1)),
        ((6, 4), (-1, -1)),
        ((5, 6), (1, -0.75)),
        ((12, 3), (0.01, 1)),
    ],
)
def test_kaufman_against_decimals(shape, couplings, temperature):
    expected = naive.kaufman_thermodynamics(shape, couplings, temperature, digits=200)
    assert max(relative_errors(torus.closed_form(shape, couplings, temperature), expected)) < 3e-14


@pytest.mark.parametrize("temperature", [0.2, 0.5, 1.0, CRITICAL, 5.0])
@pytest.mark.parametrize(("shape", "couplings"), [((3, 4), (-1, 1)), ((5, 7), (-0.5, 1)), ((7, 4), (-1, -0.5))])
def test_an_odd_length_of_a_negative_coupling(shape, couplings, temperature):
    expected = naive.kaufman_thermodynamics(shape, couplings, temperature, digits=200)
    log_z, energy, heat_capacity = relative_errors(torus.closed_form(shape, couplings, temperature), expected)
    assert max(log_z, energy) < 1e-14
    assert heat_capacity < 1e-15 * max(10, math.exp(2 * abs(couplings[1]) / temperature))
    # The axes may be exchanged.
    exchanged = torus.closed_form(shape[::-1], couplings[::-1], temperature)
    assert exchanged == torus.closed_form(shape, couplings, temperature)


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 3), (3, 4), (3, 5), (2, 6), (4, 4)])
@pytest.mark.parametrize(
    "couplings",
    [(1, 1), (0.4, 1.2), (-1, 1), (1, -0.5), (-1, -1), (0, 1), (1, 0), (-1, 0), (0, -0.3), (0, 0), (1e-9, 1)],
)
def test_kaufman_against_enumeration(shape, couplings):
    lattice = torus_lattice(shape, couplings)
    if not torus.fits(lattice):
        assert [n % 2 for n in shape] == [1, 1]
        assert max(couplings) < 0
        return
    for temperature in (0.7, CRITICAL, 30.0):
        thermo = ising.exact.thermodynamics(lattice, temperature)
        log_z, energy, heat_capacity = torus.kaufman(lattice, temperature)
        assert log_z == pytest.approx(thermo.log_partition, rel=1e-13)
        assert energy == pytest.approx(thermo.energy, rel=1e-12, abs=1e-13)
        assert heat_capacity == pytest.approx(thermo.heat_capacity, rel=1e-12, abs=1e-13)


# F, E and C per site at the critical temperature, rounded to 18 digits from the 50 that todo-group/exact gives in
# square-tc-free-energy-p50.dat.
PUBLISHED = {
    4: ("-2.20138141296647315e+0", "-1.56562378763831861e+0", "7.83266825928909501e-1"),
    8: ("-2.13238821464335274e+0", "-1.49158910743970655e+0", "1.14555923989440863e+0"),
    16: ("-2.11532618791835408e+0", "-1.45306485281347706e+0", "1.49870495940002610e+0"),
    32: ("-2.11106936691874223e+0", "-1.43365846614624828e+0", "1.84676759003955889e+0"),
    64: ("-2.11000566703769719e+0", "-1.42393838983301088e+0", "2.19221139314057108e+0"),
    128: ("-2.10973977315155035e+0", "-1.41907627208498525e+0", "2.53633133510860289e+0"),
    1024: ("-2.10965252941862540e+0", "-1.41482141321652494e+0", "3.56586287371730794e+0"),
    65536: ("-2.10965114494629584e+0", "-1.41422306004553055e+0", "5.62275536579157475e+0"),
}


@pytest.mark.parametrize("length", PUBLISHED)
def test_published_values_at_the_critical_temperature(length):
    log_z, energy, heat_capacity = torus.closed_form((length, length), 1.0, CRITICAL)
    sites = length**2
    have = (-CRITICAL * log_z / sites, energy / sites, heat_capacity / sites)
    errors = [abs(decimal.Decimal(a) / decimal.Decimal(b) - 1) for a, b in zip(have, PUBLISHED[length], strict=True)]
    assert max(errors[:2]) < 5e-15
    # The rounding of the temperature to a double changes C of 65536 x 65536 by 1e-12.
    assert errors[2] < (1e-14 if length < 1000 else 1e-13 if length < 10000 else 5e-12)


def test_known_numbers():
    log_z, energy, heat_capacity = torus.kaufman(ising.Ising((4, 4)), 1.0)
    assert log_z == pytest.approx(32.69872140, abs=1e-8)
    assert energy / 16 == pytest.approx(-1.99715844, abs=1e-8)
    assert heat_capacity / 16 == pytest.approx(0.02340940, abs=1e-8)
    for beta in (0.01, 0.3, CRITICAL, 1.0, 2.0):
        z = 4 * math.cosh(8 * beta) + 12
        energy = -32 * math.sinh(8 * beta) / z
        variance = (256 * math.cosh(8 * beta) - energy**2 * z) / z
        thermo = torus.kaufman(ising.Ising((2, 2)), 1 / beta)
        assert thermo.log_partition == pytest.approx(math.log(z), rel=1e-14)
        assert thermo.energy == pytest.approx(energy, rel=1e-14)
        assert thermo.heat_capacity == pytest.approx(variance * beta**2, rel=1e-9 if beta > 1 else 1e-12)


@pytest.mark.parametrize("temperature", [1e-3, 1e-2, 0.1, 1e3, 1e100])
@pytest.mark.parametrize(
    "couplings", [(1, 1), (-1, 1), (1, 0), (-0.3, 2), (1, 1e-3), (1e-3, 1), (-1, 1e-3), (1, 1e-90), (1e-200, 1)]
)
def test_extreme_temperatures_stay_finite(couplings, temperature):
    n, m = 65, 200
    log_z, energy, heat_capacity = torus.closed_form((n, m), couplings, temperature)
    assert math.isfinite(log_z)
    assert math.isfinite(energy)
    assert 0 <= heat_capacity < n * m
    if temperature >= 1e3:
        squares = n * m * (couplings[0] ** 2 + couplings[1] ** 2)
        assert log_z == pytest.approx(n * m * math.log(2), rel=1e-5)
        assert energy == pytest.approx(-squares / temperature, rel=1e-5)
        assert heat_capacity == pytest.approx(squares / temperature**2, rel=1e-5)
    elif couplings == (1, 1):
        assert log_z == pytest.approx(2 * n * m / temperature + math.log(2), rel=1e-15)
        # Single spins turned over are all that there is, until e^{-800} cannot be held.
        assert heat_capacity == pytest.approx(64 / temperature**2 * n * m * math.exp(-8 / temperature), rel=1e-12)


def test_both_forms_meet_at_the_critical_temperature():
    for couplings in ((1.0, 1.0), (0.3, 1.7)):
        low, high = 0.1, 10.0
        while math.nextafter(low, high) < high:
            middle = (low + high) / 2
            below = math.sinh(2 * couplings[0] / middle) * math.sinh(2 * couplings[1] / middle) > 1
            low, high = (middle, high) if below else (low, middle)
        ends = [torus.closed_form((50, 60), couplings, t) for t in (low * (1 - 1e-15), high * (1 + 1e-15))]
        assert max(relative_errors(*ends)) < 1e-12


@pytest.mark.parametrize("ratio", [1e-3, 1e-9, 1e-15, 1e-20])
def test_nearly_separate_chains(ratio):
    crossing = 2 / math.log(1 / ratio)
    for couplings in ((1.0, ratio), (ratio, 1.0)):
        for temperature in (0.3 * crossing, crossing, 3 * crossing):
            expected = naive.kaufman_thermodynamics((3, 6), couplings, temperature, digits=250)
            log_z, energy, heat_capacity = torus.closed_form((3, 6), couplings, temperature)
            assert max(relative_errors((log_z, energy), expected[:2])) < 2e-15
            assert heat_capacity == pytest.approx(expected[2], rel=1e-13, abs=1e-13)


def test_what_fits():
    assert torus.fits(ising.Ising((3, 4), coupling=-0.5))
    assert torus.fits(torus_lattice((5, 3), (0.0, -2.0)))
    glass = np.random.default_rng(1).normal(size=(2, 4, 4))
    for lattice, reason in (
        (ising.Ising((8,)), "1 dimensions"),
        (ising.Ising((4, 4), periodic=(True, False)), "open"),
        (ising.Ising((4, 4), field=1e-3), "field"),
        (ising.Ising((4, 4), coupling=glass), "differs"),
        (ising.Ising((3, 5), coupling=-1.0), "negative"),
    ):
        assert not torus.fits(lattice)
        assert reason in torus.obstacle(lattice)
        with pytest.raises(InputError, match=reason):
            torus.kaufman(lattice, 1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((4, 4), 1.0, 0.0), "temperature=0.0"),
        (((4, 1), 1.0, 1.0), "shape=1 is too small"),
        (((4,), 1.0, 1.0), "1 axes"),
        (((4, 4), [1.0, 2.0, 3.0], 1.0), r"coupling has shape \(3,\)"),
        (((3, 3), -1.0, 1.0), "frustrated"),
    ],
)
def test_errors_of_the_closed_form(arguments, words):
    with pytest.raises(InputError, match=words):
        torus.closed_form(*arguments)


# Counts of states


@pytest.mark.parametrize("coupling", [1.0, -1.0, 0.5])
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (3, 4), (4, 3), (2, 5), (4, 4)])
def test_density_of_states_against_enumeration(shape, coupling):
    expected_levels, expected = ising.exact.density_of_states(ising.Ising(shape, coupling))
    levels, counts = counting.density_of_states(shape, coupling)
    assert levels.tolist() == expected_levels.tolist()
    assert counts.tolist() == expected.tolist()
    assert all(type(count) is int for count in counts)


def test_density_of_states_of_beale():
    levels, counts = counting.density_of_states((16, 16))
    count = dict(zip(levels.tolist(), counts.tolist(), strict=True))
    sites = 256
    series = [2, 0, 2 * sites, 4 * sites, sites**2 + 9 * sites]  # for lengths above 5
    assert [count.get(-2.0 * sites + 4 * k, 0) for k in range(5)] == series
    assert sum(counts) == 2**sites
    assert counts.tolist() == counts.tolist()[::-1]
    # The digest of the published list (Beale, Phys. Rev. Lett. 76, 78 (1996)), with "energy count" on each line, where
    # there are states.
    lines = "\n".join(f"{int(level)} {number}" for level, number in count.items())
    assert hashlib.sha256(lines.encode()).hexdigest() == DIGEST


DIGEST = "b0496d7a68e22bc2506225fb372d256dc047889b616fbbebc80021d484c5f8d1"


@pytest.mark.parametrize("shape", [(7, 10), (16, 16), (5, 31)])
def test_counts_and_kaufman_agree(shape):
    levels, counts = counting.density_of_states(shape, 0.75)
    for temperature in (0.05, 0.4, 1.0, 0.75 * CRITICAL, 2.5, 100.0):
        from_counts = counting.from_density_of_states(levels, counts, temperature)
        assert max(relative_errors(from_counts, torus.closed_form(shape, 0.75, temperature))) < 1e-12


def test_errors_of_the_density_of_states():
    with pytest.raises(InputError, match="one level"):
        counting.density_of_states((4, 4), 0.0)
    with pytest.raises(SizeError, match="minutes"):
        counting.density_of_states((512, 512))
    with pytest.raises(InputError, match="1 entries for 2 levels"):
        counting.from_density_of_states([0.0, 1.0], [1], 1.0)
    with pytest.raises(InputError, match="counts=0"):
        counting.from_density_of_states([0.0, 1.0], [1, 0], 1.0)


# The infinite lattice


def test_onsager_at_the_critical_temperature():
    catalan = 0.915965594177219015
    assert infinite.critical_temperature(2.0) == pytest.approx(2 * 2.269185314213022, rel=1e-15)
    f, u, c, m = infinite.onsager(infinite.critical_temperature())
    assert f == pytest.approx(-2.10965114460820745, rel=1e-14)
    assert -f / CRITICAL == pytest.approx(math.log(2) / 2 + 2 * catalan / math.pi, rel=1e-14)
    assert u == pytest.approx(-math.sqrt(2), rel=1e-15)
    assert c == math.inf
    assert m == 0


@pytest.mark.parametrize("temperature", [0.1, 0.4, 1.0, 2.0, 2.2, 2.35, 3.0, 30.0, 1e5])
def test_onsager_is_the_limit_of_large_tori(temperature):
    log_z, energy, heat_capacity = torus.closed_form((512, 512), 1.0, temperature)
    sites = 512**2
    log_z -= math.log(2) if temperature < CRITICAL else 0.0  # two ordered phases on the torus
    infinite_lattice = infinite.onsager(temperature)
    assert infinite_lattice.free_energy_per_site == pytest.approx(-temperature * log_z / sites, rel=1e-10)
    assert infinite_lattice.energy_per_site == pytest.approx(energy / sites, rel=1e-10)
    assert infinite_lattice.heat_capacity_per_site == pytest.approx(heat_capacity / sites, rel=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 2.26, 2.28, 3.0, 10.0])
def test_onsager_is_consistent(temperature):
    """u = d(f/T)/d(1/T) and c = du/dT, by central differences of five points."""

    def slope(function, x, h):
        return (8 * (function(x + h) - function(x - h)) - function(x + 2 * h) + function(x - 2 * h)) / (12 * h)

    here = infinite.onsager(temperature)
    energy = slope(lambda beta: beta * infinite.onsager(1 / beta).free_energy_per_site, 1 / temperature, 3e-4)
    assert here.energy_per_site == pytest.approx(energy, rel=1e-6 if abs(temperature - CRITICAL) < 0.1 else 1e-11)
    heat_capacity = slope(lambda t: infinite.onsager(t).energy_per_site, temperature, 3e-4)
    assert here.heat_capacity_per_site == pytest.approx(heat_capacity, rel=1e-4 if 2.2 < temperature < 2.4 else 1e-9)


def test_onsager_with_the_usual_elliptic_integrals():
    T = np.concatenate([np.linspace(0.6, 2.26, 40), np.linspace(2.28, 6, 40)])
    K = 1 / T
    tanh = np.tanh(2 * K)
    kappa = 2 * tanh**2 - 1
    first, second = special.ellipkm1(kappa**2), special.ellipe((2 * np.sinh(2 * K) / np.cosh(2 * K) ** 2) ** 2)
    result = infinite.onsager(T)
    energy = -(1 + 2 / np.pi * kappa * first) / tanh
    capacity = 2 / np.pi * (K / tanh) ** 2 * (2 * first - 2 * second - (1 - kappa) * (np.pi / 2 + kappa * first))
    assert np.allclose(result.energy_per_site, energy, rtol=1e-13)
    assert np.allclose(result.heat_capacity_per_site, capacity, rtol=1e-10, atol=1e-13)
    ordered = T < CRITICAL
    magnetization = (1 - np.sinh(2 * K[ordered]) ** -4) ** 0.125
    assert np.allclose(result.magnetization_per_site[ordered], magnetization, rtol=1e-13)
    assert not result.magnetization_per_site[~ordered].any()
    # The coupling sets the unit.
    assert np.allclose(infinite.onsager(3 * T, 3.0).heat_capacity_per_site, result.heat_capacity_per_site, rtol=1e-12)
    assert np.allclose(infinite.onsager(3 * T, 3.0).energy_per_site, 3 * result.energy_per_site, rtol=1e-12)


def test_onsager_at_extreme_temperatures():
    f, u, c, m = infinite.onsager(np.array([[1e-3, 1e-2], [1e3, 1e100]]))
    assert f.shape == (2, 2)
    assert np.allclose(f, [[-2, -2], [-1e3 * math.log(2) - 1e-3, -1e100 * math.log(2)]], rtol=1e-12)
    assert np.allclose(u, [[-2, -2], [-2e-3, -2e-100]], rtol=1e-5, atol=0)
    assert np.allclose(c, [[0, 64e4 * math.exp(-800)], [2e-6, 2e-200]], rtol=1e-5, atol=0)
    assert m.tolist() == [[1, 1], [0, 0]]
    for temperature, coupling in ((0.0, 1.0), ([1.0, -1.0], 1.0), (1.0, -1.0), (1.0, 0.0)):
        with pytest.raises(InputError):
            infinite.onsager(temperature, coupling)
