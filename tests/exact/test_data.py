"""The reference tables: right by counting, by published values, and by every method that reaches them."""

import math

import naive
import numpy as np
import pytest

from mcgen import ising, rbm, reference, stats
from mcgen.errors import FileError, InputError

LATTICES = reference.load("ising-thermodynamics")
COLUMNS = [name for name in LATTICES if name not in ("shape", "temperature")]
CRITICAL = 2 / math.log(1 + math.sqrt(2))


def row(shape, temperature):
    (k,) = np.flatnonzero((LATTICES["shape"] == shape) & np.isclose(LATTICES["temperature"], temperature, rtol=1e-12))
    return {name: LATTICES[name][k] for name in COLUMNS}


@pytest.mark.parametrize("shape", ["8", "2x2", "3x3", "2x2x2"])
def test_small_lattices_by_counting(shape):
    sides = tuple(map(int, shape.split("x")))
    states = naive.states(math.prod(sides), -1)
    energies = [naive.ising_energy(s, sides, lambda *_: 1.0, lambda *_: 0.0, (True,) * len(sides)) for s in states]
    for temperature in (1.0, CRITICAL, 3.54):
        expected = naive.ising_thermodynamics(energies, [sum(s) for s in states], temperature)
        for name, value in row(shape, temperature).items():
            assert value == pytest.approx(expected[name], rel=1e-11, abs=1e-11), name


def test_published_values():
    """At the critical temperature, by Kaufman's formula in 50 digits (Phys. Rev. 76, 1232 (1949))."""
    assert row("4x4", CRITICAL)["log_partition"] == pytest.approx(15.52191546, abs=1e-8)
    for length, heat_capacity, log_partition in (
        (4, 0.783266825928910, None),
        (8, 1.14555923989441, 60.1417807891),
        (16, 1.49870495940003, 238.6422566351),
        (32, 1.84676759003956, 952.6480795485),
    ):
        found = row(f"{length}x{length}", CRITICAL)
        assert found["heat_capacity"] / length**2 == pytest.approx(heat_capacity, abs=2e-14)
        if log_partition:
            assert found["log_partition"] == pytest.approx(log_partition, abs=1e-10)


@pytest.mark.parametrize("method", ["transfer", "kaufman"])
def test_all_methods_agree_with_the_table(method):
    for shape, names in (("4x4", COLUMNS), ("8x8", COLUMNS), ("32x32", COLUMNS[:5])):
        if method == "transfer" and shape == "32x32":
            continue
        for temperature in (1.0, 2.269, 3.54):
            lattice = ising.Ising(tuple(map(int, shape.split("x"))))
            found, expected = ising.exact.thermodynamics(lattice, temperature, method=method), row(shape, temperature)
            for name in names:
                if not math.isnan(getattr(found, name)):
                    # Heat capacities are differences of large sums.
                    tolerance = 1e-9 if name == "heat_capacity" else 1e-12
                    assert getattr(found, name) == pytest.approx(expected[name], rel=tolerance), (shape, name)
    assert np.isnan(LATTICES["susceptibility"][LATTICES["shape"] == "32x32"]).all()


def test_samples_agree_with_the_table():
    """A run at the critical temperature is within its errors of the table: what the table is for."""
    run = ising.sample(ising.Ising((16, 16)), CRITICAL, 64, 300, 2, 100, method="wolff", seed=5, keep_states=False)
    energy = stats.mean(run.energy)
    assert abs(energy.value - row("16x16", CRITICAL)["energy"]) < 4 * energy.error
    assert energy.error < 0.005 * abs(energy.value)


def test_densities_of_states():
    table = reference.load("ising-density-of-states")
    for length in (4, 8, 16, 32):
        here = table["shape"] == f"{length}x{length}"
        levels, counts = table["energy"][here], table["count"][here]
        n = length**2
        assert sum(counts) == 2**n
        assert all(type(count) is int for count in counts)
        assert levels[:3].tolist() == [-2 * n, -2 * n + 8, -2 * n + 12]
        assert counts[0] == 2
        if length > 5:  # Beale, Phys. Rev. Lett. 76, 78 (1996)
            assert counts[1:4].tolist() == [2 * n, 4 * n, n**2 + 9 * n]
        assert (counts == counts[::-1]).all()  # of a lattice of two colours
        weights = np.array([math.log(count) for count in counts]) - levels / 2.269
        total = weights.max() + math.log(np.exp(weights - weights.max()).sum())
        assert total == pytest.approx(row(f"{length}x{length}", 2.269)["log_partition"], rel=1e-13)


def test_log_partitions_of_machines():
    table = reference.load("rbm-log-partition")
    for name, model, value, digits in zip(*table.values(), strict=True):
        assert rbm.exact.log_partition(model) == pytest.approx(value, rel=1e-13), name
        assert value == float(digits)
        assert len(digits.replace("-", "").replace(".", "")) >= 29
    kinds = {(model.visible.name, model.hidden.name) for model in table["model"]}
    assert len(kinds) == 5


def test_errors(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"there is no table 'ising'; choose one of 'ising-thermodynamics', "):
        reference.load("ising")
    monkeypatch.setattr(reference, "_path", lambda file: tmp_path / file)
    with pytest.raises(FileError, match=r"cannot be read \(No such file or directory\); install mcgen again"):
        reference.load("rbm-log-partition")
