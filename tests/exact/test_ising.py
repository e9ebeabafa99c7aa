import math

import naive
import numpy as np
import pytest
from scipy.special import logsumexp

from mcgen import ising

CRITICAL = 2 / math.log(1 + math.sqrt(2))


def random_lattice(shape, periodic, seed):
    random = np.random.default_rng(seed)
    return ising.Ising(shape, random.normal(size=(len(shape), *shape)), random.normal(size=shape), periodic)


LATTICES = [
    ising.Ising((2,)),
    ising.Ising((5,), coupling=-0.7, field=0.3),
    ising.Ising((2, 2)),
    ising.Ising((3, 3), coupling=1.0, field=-0.2, periodic=False),
    ising.Ising((1, 4), periodic=(False, True)),
    ising.Ising((2, 2, 2), coupling=0.5),
    random_lattice((7,), True, 1),
    random_lattice((3, 4), True, 2),
    random_lattice((3, 4), (False, True), 3),
    random_lattice((2, 2, 3), (True, False, True), 4),
]


def naive_energies(lattice):
    return [
        naive.ising_energy(
            spins,
            lattice.shape,
            lambda axis, site: lattice.coupling[(axis, *site)],
            lambda site: lattice.field[site],
            lattice.periodic,
        )
        for spins in naive.states(lattice.n_sites, -1)
    ]


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_energies_of_all_states(lattice):
    expected = naive_energies(lattice)
    states = np.array(naive.states(lattice.n_sites, -1)).reshape(-1, *lattice.shape)
    assert np.allclose(lattice.energy(states), expected, rtol=1e-13, atol=1e-13)
    assert np.allclose(ising.exact.state_energies(lattice), expected, rtol=1e-13, atol=1e-13)
    assert lattice.magnetization(states).tolist() == [sum(spins) for spins in naive.states(lattice.n_sites, -1)]
    assert ising.exact.state_magnetizations(lattice).tolist() == lattice.magnetization(states).tolist()


@pytest.mark.parametrize("temperature", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_thermodynamics_against_naive_sums(lattice, temperature):
    magnetizations = [sum(spins) for spins in naive.states(lattice.n_sites, -1)]
    expected = naive.ising_thermodynamics(naive_energies(lattice), magnetizations, temperature)
    thermo = ising.exact.thermodynamics(lattice, temperature)._asdict()
    scale = lattice.n_sites**2 / temperature**2
    for name, value in expected.items():
        # Differences of nearly equal numbers (low temperature) are compared on the scale of what is subtracted.
        absolute = 1e-11 * scale if name in ("entropy", "heat_capacity") else 1e-12 * lattice.n_sites**2 / temperature
        assert thermo[name] == pytest.approx(value, rel=1e-12, abs=absolute), name
    assert ising.exact.log_partition(lattice, temperature) == pytest.approx(expected["log_partition"], rel=1e-12)
    p = ising.exact.probabilities(lattice, temperature)
    assert p.sum() == pytest.approx(1.0, rel=1e-12)


# Ferdinand & Fisher (1969) and the enumeration in closed form; per site where the name says so.
@pytest.mark.parametrize(
    ("temperature", "log_z", "energy", "heat_capacity", "abs_magnetization"),
    [
        (1.0, 32.69872140, -1.99715844, 0.02340940, 0.99927458),
        (CRITICAL, 15.52191546, -1.56562379, 0.78326683, 0.84386044),
        (3.0, 13.28103346, -1.01706963, 0.60313471, 0.60129133),
    ],
)
def test_published_values_of_the_4x4_torus(temperature, log_z, energy, heat_capacity, abs_magnetization):
    thermo = ising.exact.thermodynamics(ising.Ising((4, 4)), temperature)
    assert thermo.log_partition == pytest.approx(log_z, abs=1e-8)
    assert thermo.energy / 16 == pytest.approx(energy, abs=1e-8)
    assert thermo.heat_capacity / 16 == pytest.approx(heat_capacity, abs=1e-8)
    assert thermo.abs_magnetization / 16 == pytest.approx(abs_magnetization, abs=1e-8)


def test_fifteen_digits_at_the_critical_point():
    thermo = ising.exact.thermodynamics(ising.Ising((4, 4)), CRITICAL)
    assert thermo.free_energy / 16 == pytest.approx(-2.20138141296647, abs=1e-14)
    assert thermo.energy / 16 == pytest.approx(-1.56562378763832, abs=1e-14)
    assert thermo.heat_capacity / 16 == pytest.approx(0.783266825928910, abs=1e-13)


@pytest.mark.parametrize("beta", [0.1, 0.44, 2.0])
def test_closed_forms(beta):
    # Every bond of the 2x2 torus counts twice; the ring by its 2x2 transfer matrix.
    thermo = ising.exact.thermodynamics(ising.Ising((2, 2)), 1 / beta)
    z = 4 * math.cosh(8 * beta) + 12
    assert thermo.log_partition == pytest.approx(math.log(z), rel=1e-13)
    assert thermo.energy == pytest.approx(-32 * math.sinh(8 * beta) / z, rel=1e-13)
    ring = math.log((2 * math.cosh(beta)) ** 9 + (2 * math.sinh(beta)) ** 9)
    assert ising.exact.log_partition(ising.Ising((9,)), 1 / beta) == pytest.approx(ring, rel=1e-13)


def test_density_of_states():
    levels, counts = ising.exact.density_of_states(ising.Ising((4, 4)))
    expected = [2, 0, 32, 64, 424, 1728, 6688, 13568, 20524, 13568, 6688, 1728, 424, 64, 32, 0, 2]
    assert dict(zip(levels, counts, strict=True)) == {-32 + 4 * k: g for k, g in enumerate(expected) if g}
    # In steps that are no binary fractions, levels that differ by rounding alone are one level.
    tenth, tenth_counts = ising.exact.density_of_states(ising.Ising((4, 4), coupling=0.1))
    assert tenth_counts.tolist() == counts.tolist()
    assert np.allclose(tenth, 0.1 * levels)
    glass = random_lattice((3, 4), True, 5)
    levels, counts = ising.exact.density_of_states(glass)
    assert counts.sum() == 2**12
    assert logsumexp(-levels, b=counts) == pytest.approx(ising.exact.log_partition(glass, 1.0), rel=1e-9)


def test_averages_of_the_truth_are_its_thermodynamics():
    lattice = random_lattice((3, 3), True, 6)
    p = ising.exact.probabilities(lattice, 2.0)
    thermo = ising.exact.thermodynamics(lattice, 2.0)
    for name, value in ising.exact.averages(lattice, p, 2.0).items():
        assert value == pytest.approx(getattr(thermo, name), rel=1e-12)


def test_bipartite():
    assert ising.Ising((4, 4)).is_bipartite
    assert ising.Ising((3, 5), periodic=False).is_bipartite
    assert ising.Ising((3, 4), periodic=(False, True)).is_bipartite
    assert not ising.Ising((3, 4)).is_bipartite
    order = ising.Ising((2, 3)).checkerboard
    assert sorted(order.tolist()) == list(range(6))
    assert order.tolist()[:3] == [0, 2, 4]


def sweep_matrix(lattice, temperature):
    """The transition matrix of one checkerboard Metropolis sweep, from the formula, over all states."""
    from mcgen.ising import formulas

    neighbors, couplings = lattice.neighbor_table
    states = np.array(naive.states(lattice.n_sites, -1))
    total = np.eye(len(states))
    for site in lattice.checkerboard:
        step = np.zeros_like(total)
        for k, state in enumerate(states):
            h = formulas.local_field(state, site, neighbors, couplings, lattice.field.ravel())
            p = formulas.flip_probability(formulas.METROPOLIS, state[site], h, 1 / temperature)
            step[k, k ^ (1 << site)] = p
            step[k, k] = 1 - p
        total = total @ step
    return total


@pytest.mark.parametrize("lattice", [ising.Ising((4,)), ising.Ising((2, 3), periodic=(True, False))], ids=str)
def test_the_checkerboard_sweep_is_stationary_and_ergodic(lattice, monkeypatch):
    p = ising.exact.probabilities(lattice, 2.269)
    matrix = sweep_matrix(lattice, 2.269)
    assert np.allclose(p @ matrix, p, rtol=1e-12)

    def on_the_unit_circle(transitions):
        return int(np.sum(np.abs(np.linalg.eigvals(transitions)) > 1 - 1e-9))

    assert on_the_unit_circle(matrix) == 1
    if lattice.shape == (4,):
        # With the acceptance 1 for moves that cost nothing, two of the ring's states form a cycle that is never left.
        from mcgen.ising import formulas

        usual = lambda x: min(1.0, math.exp(-x))  # noqa: E731
        monkeypatch.setattr(formulas, "metropolis_acceptance", usual)
        assert on_the_unit_circle(sweep_matrix(lattice, 2.269)) > 1
