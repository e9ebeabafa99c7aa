"""The one door to the exact methods: what it chooses, and that the methods agree where they overlap."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from mcgen import ising, long_sums
from mcgen.errors import InputError, SizeError
from mcgen.ising.exact import summation

CRITICAL = ising.exact.critical_temperature()
NUMBERS = ("log_partition", "free_energy", "energy", "heat_capacity", "entropy", "magnetization", "abs_magnetization")
NUMBERS += ("susceptibility", "abs_susceptibility")


def random_lattice(shape, periodic=True, seed=1):
    random = np.random.default_rng(seed)
    return ising.Ising(shape, random.normal(size=(len(shape), *shape)), random.normal(size=shape), periodic)


@pytest.mark.parametrize("temperature", [0.3, 2.0, 40.0])
@pytest.mark.parametrize("shape", [(4, 4), (5, 5), (9,), (2, 3, 3)], ids=str)
def test_enumeration_and_transfer_matrix_agree(shape, temperature):
    lattice = random_lattice(shape)
    one, other = (
        ising.exact.thermodynamics(lattice, temperature, method=method) for method in ("enumeration", "transfer")
    )
    assert (one.method, other.method) == ("enumeration", "transfer")
    for name in NUMBERS:
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12, abs=1e-12 * lattice.n_sites), name
    logs = [ising.exact.log_partition(lattice, temperature, method=m) for m in ("enumeration", "transfer")]
    assert logs == pytest.approx([one.log_partition] * 2, rel=1e-13)


@pytest.mark.parametrize("temperature", [0.5, CRITICAL, 10.0])
@pytest.mark.parametrize("shape", [(4, 4), (5, 4), (8, 8), (3, 7)], ids=str)
def test_kaufman_and_transfer_matrix_agree(shape, temperature):
    lattice = ising.Ising(shape, np.stack([np.full(shape, 1.0), np.full(shape, 0.7)]))
    closed = ising.exact.thermodynamics(lattice, temperature, method="kaufman")
    summed = ising.exact.thermodynamics(lattice, temperature, method="transfer")
    assert ising.exact.log_partition(lattice, temperature) == closed.log_partition
    for name in ("log_partition", "free_energy", "energy", "heat_capacity", "entropy"):
        assert getattr(closed, name) == pytest.approx(getattr(summed, name), rel=1e-12, abs=1e-12), name
    assert closed.magnetization == 0
    assert summed.magnetization == pytest.approx(0, abs=1e-11)
    for name in ("abs_magnetization", "susceptibility", "abs_susceptibility"):
        assert math.isnan(getattr(closed, name))
        assert getattr(summed, name) > 0


# Per site, from 50-digit evaluations of Kaufman's formula; 8x8 at T = 2.269 from published simulations' exact column.
@pytest.mark.parametrize(
    ("length", "free_energy", "energy", "heat_capacity"),
    [
        (8, -2.13238821464335, -1.49158910743971, 1.14555923989441),
        (16, -2.11532618791835, -1.45306485281348, 1.49870495940003),
        (32, -2.11106936691874, -1.43365846614625, 1.84676759003956),
        (64, -2.11000566703770, -1.42393838983301, 2.19221139314057),
    ],
)
def test_published_values_at_the_critical_point(length, free_energy, energy, heat_capacity):
    lattice = ising.Ising((length, length))
    methods = ["kaufman", "transfer"] if length == 8 else ["kaufman"]
    for method in methods:
        thermo = ising.exact.thermodynamics(lattice, CRITICAL, method=method)
        assert thermo.free_energy / length**2 == pytest.approx(free_energy, abs=2e-14)
        assert thermo.energy / length**2 == pytest.approx(energy, abs=2e-14)
        assert thermo.heat_capacity / length**2 == pytest.approx(heat_capacity, abs=1e-13)


def test_other_published_values():
    for length, log_z in ((8, 60.1417807891), (16, 238.6422566351), (32, 952.6480795485)):
        assert ising.exact.log_partition(ising.Ising((length, length)), CRITICAL) == pytest.approx(log_z, abs=1e-10)
    thermo = ising.exact.thermodynamics(ising.Ising((8, 8)), 2.269)
    assert thermo.method == "transfer"
    assert thermo.energy / 64 == pytest.approx(-1.491801, abs=1e-6)
    assert thermo.heat_capacity / 64 == pytest.approx(1.145379, abs=1e-6)


def test_every_temperature_follows_from_the_density_of_states():
    levels, counts = ising.exact.density_of_states(ising.Ising((8, 8)))
    assert counts.dtype == object  # 2^64 states do not fit an int64
    assert sum(counts.tolist()) == 2**64
    of_small = ising.exact.density_of_states(ising.Ising((4, 4)))[1]
    assert of_small.dtype == np.int64
    assert logsumexp(-ising.exact.density_of_states(ising.Ising((4, 4)))[0] / 3, b=of_small) == pytest.approx(
        13.28103346, abs=1e-8
    )
    for temperature in (0.5, CRITICAL, 50.0):
        thermo = ising.exact.thermodynamics(ising.Ising((8, 8)), temperature, method="transfer")
        counted = ising.exact.from_density_of_states(levels, counts, temperature)
        for name in ("log_partition", "energy", "heat_capacity"):
            assert getattr(counted, name) == pytest.approx(getattr(thermo, name), rel=1e-12), name


@pytest.mark.parametrize(
    ("lattice", "quantity", "method"),
    [
        (ising.Ising((4, 4)), "log_partition", "kaufman"),
        (ising.Ising((10, 10)), "log_partition", "kaufman"),
        (ising.Ising((64, 64)), "thermodynamics", "kaufman"),
        (ising.Ising((16, 16)), "thermodynamics", "kaufman"),
        (ising.Ising((8, 8)), "thermodynamics", "transfer"),
        (ising.Ising((6, 6), field=0.1), "log_partition", "transfer"),
        (ising.Ising((4, 1000), periodic=False), "thermodynamics", "transfer"),
        (ising.Ising((3,), field=0.1), "log_partition", "enumeration"),
        (ising.Ising((3, 3, 3)), "thermodynamics", "enumeration"),
        (ising.Ising((2, 2, 2, 2, 2)), "thermodynamics", "transfer"),
        (ising.Ising((12, 12)), "thermodynamics", "kaufman"),
    ],
    ids=str,
)
def test_the_quickest_method_is_chosen(lattice, quantity, method):
    plans = ising.exact.plans(lattice, quantity)
    assert {plan.method for plan in plans} == {"enumeration", "transfer", "kaufman"}
    assert [plan.seconds for plan in plans] == sorted(plan.seconds for plan in plans)
    for plan in plans:
        assert math.isinf(plan.seconds) == bool(plan.obstacle)
    assert ising.exact.choose_method(lattice, quantity) == method


def test_methods_that_do_not_apply_say_why():
    for method, lattice, words in (
        ("kaufman", ising.Ising((4, 4), field=0.1), "method='kaufman' does not hold for .*: it has a field; use"),
        ("kaufman", ising.Ising((4, 4), periodic=False), "method='kaufman' .*: it has open boundaries; use"),
        ("kaufman", ising.Ising((4, 4, 4)), "method='kaufman' does not hold for .*; use method='auto'"),
        ("magic", ising.Ising((4, 4)), "method='magic' is unknown; choose one of 'auto', 'enumeration', 'transfer'"),
    ):
        with pytest.raises(InputError, match=words):
            ising.exact.thermodynamics(lattice, 1.0, method=method)
    with pytest.raises(SizeError, match=r"method='enumeration': .*64 sites.*reaches 40"):
        ising.exact.thermodynamics(ising.Ising((8, 8)), 1.0, method="enumeration")
    with pytest.raises(SizeError, match=r"method='transfer': .*frontier of 40 sites"):
        ising.exact.log_partition(ising.Ising((20, 20)), 1.0, method="transfer")
    with pytest.raises(InputError, match="quantity='magic' is unknown"):
        ising.exact.plans(ising.Ising((2, 2)), "magic")


def test_an_enumeration_that_is_interrupted_goes_on(tmp_path, monkeypatch):
    lattice = random_lattice((4, 5))
    monkeypatch.setattr(summation, "BLOCK_BITS", 18)
    whole = ising.exact.thermodynamics(lattice, 1.5, method="enumeration")
    path = tmp_path / "checkpoint"
    right = long_sums.long_sum

    def interrupted(work, n_blocks, *arguments, **options):
        assert n_blocks > 1

        def once(block, state):
            if block == n_blocks - 1:
                raise KeyboardInterrupt
            return work(block, state)

        return right(once, n_blocks, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(summation, "long_sum", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"2\^20 states at T = 1.5 at \d+%; the sum so far is in"):
            ising.exact.thermodynamics(lattice, 1.5, method="enumeration", checkpoint=path)
    assert path.exists()
    assert ising.exact.thermodynamics(lattice, 1.5, method="enumeration", checkpoint=path) == whole
    assert not path.exists()
