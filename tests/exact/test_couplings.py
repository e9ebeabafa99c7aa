"""Effective couplings of RBMs against sums over all states, and of models whose couplings are known."""

import itertools
import math

import naive
import numpy as np
import pytest

from mcgen import ising, rbm
from mcgen.errors import InputError, SizeError
from mcgen.rbm.evaluation import all_couplings, effective_couplings

HIDDEN = {
    "bernoulli": rbm.Bernoulli(),
    "spin": rbm.Spin(),
    "potts": rbm.Potts(q=3),
    "gaussian": rbm.Gaussian([0.3, -0.2, 0.5], [0.4, 1.5, 0.8]),
    "relu": rbm.ReLU([0.3, -0.2, 0.5], [0.4, 1.5, 0.8]),
}


def make(n_visible, visible, hidden, scale, seed=1, n_hidden=3):
    random = np.random.default_rng(seed)
    weights = random.normal(size=(n_visible, n_hidden)) * scale
    return rbm.RBM(weights, random.normal(size=n_visible), random.normal(size=n_hidden) * scale, visible, hidden)


def slow_coupling(model, units):
    """2^-n sum_s [-F(s)] prod_{i in units} s_i, state by state."""
    terms = []
    for spins in naive.states(model.n_visible, -1):
        v = [s if model.visible.low else (s + 1) // 2 for s in spins]
        terms.append(-float(model.free_energy(v)) * math.prod(spins[i] for i in units))
    return math.fsum(terms) / len(terms)


@pytest.mark.parametrize("scale", [0.1, 1.0, 8.0])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("visible", ["bernoulli", "spin"])
def test_couplings_are_the_sums_over_states(visible, hidden, scale):
    model = make(5, visible, HIDDEN[hidden], scale)
    found = effective_couplings(model, triples="all")
    tolerance = 1e-12 * max(1.0, np.abs(model.free_energy(np.ones(5))))
    for i in range(5):
        assert found.fields[i] == pytest.approx(slow_coupling(model, [i]), abs=tolerance)
    for i, j in itertools.combinations(range(5), 2):
        assert found.pairs[i, j] == pytest.approx(slow_coupling(model, [i, j]), abs=tolerance)
        assert found.pairs[j, i] == found.pairs[i, j]
    assert not found.pairs.diagonal().any()
    assert found.triples.tolist() == [list(triple) for triple in itertools.combinations(range(5), 3)]
    for triple, coupling in zip(found.triples, found.three_body, strict=True):
        assert coupling == pytest.approx(slow_coupling(model, triple), abs=tolerance)


def test_all_couplings_give_the_log_probabilities_back():
    model = make(6, "bernoulli", "spin", 1.5)
    couplings = all_couplings(model)
    log_p = rbm.exact.log_probabilities(model)
    for index, spins in enumerate(naive.states(6, -1)):
        terms = [couplings[a] * math.prod(spins[i] for i in range(6) if a >> i & 1) for a in range(64)]
        assert log_p[index] == pytest.approx(math.fsum(terms), abs=1e-12)


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_integrals_and_listing_agree(scale):
    model = make(14, "spin", "bernoulli", scale, seed=2, n_hidden=9)
    found, listed = effective_couplings(model, "all"), all_couplings(model)
    bits = 1 << np.arange(14)
    assert np.allclose(found.fields, listed[bits], rtol=0, atol=1e-12)
    upper = np.triu_indices(14, 1)
    assert np.allclose(found.pairs[upper], listed[bits[upper[0]] + bits[upper[1]]], rtol=0, atol=1e-12)
    assert np.allclose(found.three_body, listed[bits[found.triples].sum(axis=1)], rtol=0, atol=1e-12)
    some = effective_couplings(model, [[7, 2, 11], [0, 1, 2]])
    assert some.triples.tolist() == [[2, 7, 11], [0, 1, 2]]
    assert np.allclose(some.three_body, listed[[bits[[2, 7, 11]].sum(), 7]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["spin", "bernoulli"])
def test_an_rbm_made_of_bonds_has_the_couplings_of_its_lattice(kind):
    """One hidden spin for each bond J, with weights K and sign(J) K, cosh 2 K = e^{2 |J| / T}: 8 x 8, no listing."""
    random = np.random.default_rng(3)
    temperature = 1.7
    lattice = ising.Ising((8, 8), coupling=random.normal(size=(2, 8, 8)), field=random.normal(size=(8, 8)))
    neighbors, strengths = lattice.neighbor_table
    weights = np.zeros((64, 128))
    for site in range(64):
        for axis in range(2):
            strength = strengths[site, 2 * axis] / temperature
            weight = math.acosh(math.exp(2 * abs(strength))) / 2
            weights[site, 2 * site + axis] = weight
            weights[neighbors[site, 2 * axis], 2 * site + axis] = math.copysign(weight, strength)
    model = rbm.RBM(weights, lattice.field.ravel() / temperature, np.zeros(128), "spin", "spin")
    if kind == "bernoulli":  # v = (1 + s) / 2, h = (1 + t) / 2 for the same spins
        w = 4 * weights
        model = rbm.RBM(w, 2 * model.visible_bias - w.sum(axis=1) / 2, -w.sum(axis=0) / 2)
    found = effective_couplings(model, triples=[[0, 1, 2], [5, 13, 60]])
    assert np.allclose(found.pairs, lattice.coupling_matrix / temperature, rtol=0, atol=1e-11)
    assert np.allclose(found.fields, lattice.field.ravel() / temperature, rtol=0, atol=1e-11)
    assert np.abs(found.three_body).max() < 1e-12


def test_small_models_and_float32():
    one = rbm.RBM([[1.2]], [0.3], [-0.4], "spin", "spin")
    assert effective_couplings(one).fields[0] == pytest.approx(slow_coupling(one, [0]), abs=1e-14)
    model = make(5, "spin", "spin", 1.0)
    single = rbm.RBM(*(array.astype(np.float32) for array in model.parameters), "spin", "spin")
    assert np.allclose(effective_couplings(single).pairs, effective_couplings(model).pairs, rtol=0, atol=1e-6)
    assert effective_couplings(single).pairs.dtype == np.float64


def test_refusals():
    with pytest.raises(InputError, match="gaussian visible units are no spins"):
        effective_couplings(make(4, "gaussian", "spin", 0.1))
    with pytest.raises(SizeError, match=r"2\^25 visible states.*reaches 24"):
        effective_couplings(make(25, "spin", "relu", 0.1))
    model = make(4, "spin", "spin", 1.0)
    for wrong in ([[0, 1, 1]], [[0, 1, 4]], [[-1, 1, 2]], [[0.0, 1.0, 2.0]]):
        with pytest.raises(InputError, match="three different visible units"):
            effective_couplings(model, wrong)
    with pytest.raises(InputError, match="'all'"):
        effective_couplings(model, "some")
