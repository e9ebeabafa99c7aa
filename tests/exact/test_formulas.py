import math

import numpy as np
import pytest
from scipy import special

from mcgen import _cpu, formulas
from mcgen.ising import formulas as ising
from mcgen.rbm.sums import formulas as sums
from mcgen.rbm.units import formulas as units

FIELDS = np.concatenate([np.linspace(-800, 800, 4001), np.logspace(-300, 2, 200), -np.logspace(-300, 2, 200), [0.0]])
LOWS = (0, -1)


def each(function, *arguments):
    return np.array([function(*row) for row in np.broadcast(*arguments)])


def test_exp_negative_is_accurate_over_its_range():
    x = -np.concatenate([np.linspace(0, 708, 100001), np.logspace(-300, 2, 1000)])
    compiled = _cpu.formulas("mcgen.formulas").exp_negative
    for function in (formulas.exp_negative, compiled):
        assert np.max(np.abs(each(function, x[::10]) / np.exp(x[::10]) - 1)) < 5e-16
    assert 0 < compiled(-800.0) < 1e-307
    assert 0 < compiled(-1e308) < 1e-307
    assert compiled(0.0) == 1.0


def test_exp_negative_single():
    x = -np.concatenate([np.linspace(0, 87, 20001), np.logspace(-30, 1.9, 1000)]).astype(np.float32)
    compiled = _cpu.formulas("mcgen.formulas").exp_negative_single
    for function in (formulas.exp_negative_single, compiled):
        with np.errstate(over="ignore"):
            got = each(function, x[::10])
        assert np.max(np.abs(got / np.exp(x[::10].astype(float)) - 1)) < 3e-7
        assert 0 < function(np.float32(-1e30)) < 1e-37
        assert function(np.float32(0)) == 1


def test_tails_of_the_normal_distribution():
    x = np.concatenate([np.linspace(0, 30, 3001), np.logspace(1.5, 8, 100)])
    got = each(formulas.scaled_complementary_error_function, x)
    assert np.max(np.abs(got / special.erfcx(x) - 1)) < 3e-14
    a = np.linspace(-30, 30, 2001)
    assert np.allclose(each(formulas.log_normal_tail, a), special.log_ndtr(-a), rtol=1e-13, atol=0)
    density = -0.5 * a * a - 0.5 * np.log(2 * np.pi)
    assert np.allclose(np.log(each(formulas.inverse_mills_ratio, a)), density - special.log_ndtr(-a), atol=1e-12)


def test_normal_quantiles():
    p = np.concatenate([np.logspace(-300, -0.4, 2000), 1 - np.logspace(-15, -0.4, 300)])
    assert np.allclose(each(formulas.normal_quantile, p), special.ndtri(p), rtol=1e-14, atol=0)
    assert formulas.normal_quantile(0.5) == 0
    u = np.concatenate([np.logspace(-10, -0.001, 200), 1 - np.logspace(-9, -1, 50)])
    for a in (-8.0, -3.0, 0.0, 1.0, 3.99, 4.0, 4.01, 10.0, 1e3, 1e6):
        d = each(formulas.normal_tail_quantile, a, u)
        tail = special.log_ndtr(-(a + d)) - special.log_ndtr(-a)
        if a > 1:  # the same without the cancellation of two large logarithms
            tail = np.log(special.erfcx((a + d) / np.sqrt(2)) / special.erfcx(a / np.sqrt(2))) - d * (a + d / 2)
        assert np.allclose(tail, np.log(u), atol=1e-13)


def test_sigmoid():
    got = each(formulas.sigmoid, FIELDS)
    normal = FIELDS > -700
    assert np.max(np.abs(got[normal] / special.expit(FIELDS[normal]) - 1)) < 1e-15
    assert (got[~normal] < 1e-300).all()


def test_metropolis_acceptance_obeys_detailed_balance():
    for x in (1e-9, 0.1, 1.0, 30.0, 600.0):
        assert formulas.metropolis_acceptance(-x) == 1.0
        assert formulas.metropolis_acceptance(x) == pytest.approx(math.exp(-x), rel=1e-15)
    assert formulas.metropolis_acceptance(0.0) == 0.5


def test_heat_bath_obeys_detailed_balance():
    for h in (0.0, 0.3, 5.0):
        up = ising.flip_probability(ising.HEAT_BATH, -1, h, 0.7)
        down = ising.flip_probability(ising.HEAT_BATH, 1, h, 0.7)
        assert up + down == pytest.approx(1.0, abs=1e-15)
        assert up / down == pytest.approx(math.exp(2 * 0.7 * h), rel=1e-13)


@pytest.mark.parametrize("low", LOWS)
def test_cumulant_is_log_of_the_sum_over_two_states(low):
    expected = np.logaddexp(low * FIELDS, FIELDS)
    assert np.allclose(each(units.two_level_cumulant, low, FIELDS), expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("low", LOWS)
def test_mean_is_the_derivative_of_the_cumulant(low):
    step = 1e-5
    x = np.linspace(-20, 20, 401)
    slope = (each(units.two_level_cumulant, low, x + step) - each(units.two_level_cumulant, low, x - step)) / (2 * step)
    assert np.allclose(each(units.two_level_mean, low, x), slope, atol=1e-9)
    assert np.allclose(
        each(units.two_level_mean, low, x), special.expit(x) if low == 0 else np.tanh(x), rtol=1e-13, atol=1e-15
    )


@pytest.mark.parametrize("low", LOWS)
@pytest.mark.parametrize("n", [1, 7, 512, 513, 1500])
def test_cumulant_sum(low, n):
    random = np.random.default_rng(n)
    fields, shift = random.normal(scale=20, size=n), random.normal(scale=20, size=n)
    x = fields - 1.5 * shift
    for function in (units.two_level_cumulant_sum, _cpu.formulas("mcgen.rbm.units.formulas").two_level_cumulant_sum):
        assert function(low, fields, shift, -1.5) == pytest.approx(np.logaddexp(low * x, x).sum(), rel=1e-13)


def test_mantissas_and_exponents():
    for x in (1.0, 1.5, 2.0, 3.0, 1e-300, 1e300, 0.1, np.nextafter(2.0, 0), np.nextafter(1.0, 0)):
        m, e = formulas.mantissa(x), formulas.exponent(x)
        assert 1 <= m < 2
        assert m * 2.0 ** float(e) == x
    for n in (-1022, -1, 0, 1, 1023):
        assert formulas.power_of_two(n) == 2.0**n
    assert formulas.power_of_two(-1023) == formulas.power_of_two(formulas.NO_EXPONENT) == 0


def test_exponentials_of_any_size_as_mantissa_and_exponent():
    for x in (0.0, 1e-3, -3.2, 0.3465, -0.3466, 700.0, -5000.0, 12345.678, 1e6):
        n = formulas.exp_exponent(x)
        m = formulas.exp_mantissa(x, n)
        assert 0.7 < m < 1.42
        assert math.log(m) + n * math.log(2) == pytest.approx(x, rel=1e-15, abs=1e-15)


def test_sums_of_weights_of_any_size():
    for m0, e0, m1, e1 in (
        (1.5, 3, 1.25, 1),
        (1.0, -5000, 1.9, -5003),
        (1.0, 0, 1.0, -2000),
        (0.0, -(1 << 40), 1.5, 7),
    ):
        for pairs in ((m0, e0, m1, e1), (m1, e1, m0, e0)):
            m, e = formulas.add_weights(*pairs)
            assert e == max(e0, e1)
            assert m == m0 * 2.0 ** max(e0 - e, -1074) + m1 * 2.0 ** max(e1 - e, -1074)


def test_exp_within_range():
    x = np.linspace(-708, 708, 20001)
    assert np.max(np.abs(each(formulas.exp_within_range, x) / np.exp(x) - 1)) < 1e-15


def test_spins_of_an_index():
    assert [formulas.spin_of_bit(0b1011, place) for place in range(5)] == [1, 1, -1, 1, -1]


def test_other_units_of_the_exact_sums():
    assert sums.other_factor(3.0, 0.5) == 2.5
    for y in (-1e4, -700.0, -1.0, 0.0, 2.0, 700.0, 1e4):
        product, n = sums.times_wide_factor(1.5, y)
        assert math.log(product) + n * math.log(2) == pytest.approx(math.log(1.5) + np.logaddexp(0, y), rel=1e-14)
        assert 1 <= product < 2
    e = np.array([0.0, 1e-200, 3.0, 1e100])
    assert np.allclose(sums.four_weighted_probabilities(0.25, *e), 0.25 * e / (1 + e), rtol=1e-14, atol=0)
    assert np.allclose(sums.weighted_probability(0.25, e), 0.25 * e / (1 + e), rtol=1e-14, atol=0)
    assert sums.scaled(1e300, -2000) == 1e300 * 2.0**-1000 * 2.0**-1000
    assert sums.scaled(1e-300, 1990) == 1e-300 * 2.0**995 * 2.0**995
    assert sums.scaled(1e300, -5000) == 0
    center, top = np.array([0.0, 5000.0]), np.array([[0.0, 1.0], [0.0, -300.0]])
    m, n = sums.self_weight(0b10, center, top)
    assert math.log(m) + n * math.log(2) == pytest.approx(5000 - 1 - 300, rel=1e-14)
    assert sums.weighted_sum(np.arange(4.0), np.ones(4)) == 6
