"""The streaming sum over all states against the list of all states, and against itself in pieces."""

import numba
import numpy as np
import pytest

from mcgen import ising
from mcgen.errors import InputError, SizeError
from mcgen.ising.exact import listing, summation


def random_lattice(shape, periodic, seed, scale=1.0):
    random = np.random.default_rng(seed)
    couplings, fields = random.normal(size=(len(shape), *shape)), random.normal(size=shape)
    return ising.Ising(shape, scale * couplings, scale * fields, periodic)


LATTICES = [
    ising.Ising((1,), field=0.7, periodic=False),
    ising.Ising((2,)),
    ising.Ising((2, 2)),
    ising.Ising((9,), coupling=-0.7, field=0.3),
    ising.Ising((3, 3), coupling=1.0, field=-0.2, periodic=False),
    random_lattice((3, 4), True, 2),
    random_lattice((2, 5), (False, True), 3),
    random_lattice((2, 3, 3), (True, False, True), 4),
    random_lattice((4, 5), True, 5),
]


def assert_same(one, other, rel, smallest=1e-280):
    for name in ("log_partition", "energy", "heat_capacity"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=rel), name
    assert (one.levels == other.levels).all()
    assert one.probabilities == pytest.approx(other.probabilities, rel=rel, abs=smallest)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_against_the_list_of_all_states(lattice, temperature):
    result = summation.summarize(lattice, temperature)
    energies = listing.state_energies(lattice)
    lowest = energies.min()
    weights = np.exp((lowest - energies) / temperature)
    log_z = np.log(weights.sum()) - lowest / temperature
    p = weights / weights.sum()
    # A weight e^x has the relative error of x times x.
    loose = 1e-13 + 3e-15 * abs(lowest) / temperature
    assert result.log_partition == pytest.approx(log_z, rel=1e-14, abs=1e-14)
    assert result.energy == pytest.approx(lowest + p @ (energies - lowest), rel=loose)
    mean = p @ (energies - lowest)
    assert result.heat_capacity == pytest.approx(p @ (energies - lowest - mean) ** 2 / temperature**2, rel=loose)
    up = (listing.state_magnetizations(lattice).astype(int) + lattice.n_sites) // 2
    histogram = np.bincount(up, p, minlength=lattice.n_sites + 1)
    assert result.levels.tolist() == list(range(-lattice.n_sites, lattice.n_sites + 1, 2))
    assert result.probabilities == pytest.approx(histogram, rel=loose, abs=1e-280)


def test_products_and_exponentials_agree():
    lattice = random_lattice((4, 5), True, 6)
    tables = summation.problem(lattice, 0.8)
    assert tables.products
    results = [
        summation.finish(summation.sum_range(tables._replace(products=products), 0, tables.n_slices))
        for products in (True, False)
    ]
    assert_same(*results, rel=1e-13)
    assert not summation.problem(lattice, 0.05).products


def test_digits_of_a_tiny_heat_capacity():
    # Almost only the two ground states: 2 N states with one spin turned over, 8 J higher.
    for temperature in (0.2, 0.1):  # by products and by exponentials
        result = summation.summarize(ising.Ising((4, 5)), temperature)
        tiny = 20 * np.exp(-8 / temperature)
        assert result.energy == -40 + 8 * tiny or result.energy == pytest.approx(-40 + 8 * tiny, rel=1e-15)
        # ... and pairs of neighbours, 12 J higher, which the closed form leaves out.
        assert result.heat_capacity == pytest.approx(64 * tiny / temperature**2, rel=20 * np.exp(-4 / temperature))


def test_blocks_add_up(monkeypatch):
    lattice = random_lattice((3, 7), True, 7)
    whole = summation.summarize(lattice, 1.0)
    monkeypatch.setattr(summation, "BLOCK_BITS", 18)
    n_blocks, work = summation.blocks(lattice, 1.0)
    assert n_blocks == 8
    state = None
    for block in range(n_blocks):
        state = work(block, None if state is None else tuple(np.array(part) for part in state))
    assert all(isinstance(part, np.ndarray) for part in state)
    assert_same(summation.finish(tuple(state)), whole, rel=1e-13)
    for left_out in range(n_blocks):  # no block is idle
        state = None
        for block in range(n_blocks):
            state = state if block == left_out else work(block, state)
        assert summation.finish(state).log_partition < whole.log_partition - 1e-6


def test_one_thread_and_two_give_the_same():
    threads = numba.get_num_threads()
    results = []
    try:
        for n in (1, threads):
            numba.set_num_threads(n)
            for temperature in (0.05, 1.0):
                result = summation.summarize(random_lattice((4, 5), True, 8), temperature)
                results.append([value.tolist() if isinstance(value, np.ndarray) else value for value in result])
    finally:
        numba.set_num_threads(threads)
    assert results[:2] == results[2:]


def test_errors():
    with pytest.raises(SizeError, match=r"\(6, 7\) has 42 sites, 2\^42 states.* reaches 40 sites; use the transfer"):
        summation.blocks(ising.Ising((6, 7)), 1.0)
    for temperature in (0, -1.0, "warm"):
        with pytest.raises(InputError, match="temperature="):
            summation.blocks(ising.Ising((3, 3)), temperature)
    with pytest.raises(InputError, match="device='tpu' is unknown"):
        summation.blocks(ising.Ising((3, 3)), 1.0, device="tpu")
