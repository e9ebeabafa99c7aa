import itertools

import numpy as np
import pytest
from models import KINDS

from mcgen import enumeration, rbm
from mcgen.errors import InputError
from mcgen.rbm.symmetry import Symmetry

MIXED = [("spin", "gaussian"), ("bernoulli", "relu"), ("spin", "relu"), ("gaussian", "bernoulli")]
EVERY = [(flip, *kinds) for flip in (False, True) for kinds in (*KINDS, *MIXED)]
SHAPE = (2, 3)


def name(case):
    return "-".join(("flip" if case[0] else "translations", *case[1:]))


def random_free(tie, seed, scale=1.0):
    random = np.random.default_rng(seed)
    return tuple(random.uniform(-scale, scale, size=shape) for shape in tie.free_shapes)


def tied_model(tie, seed):
    return rbm.RBM(*tie.expand(random_free(tie, seed)), tie.visible, tie.hidden, symmetry=tie)


def random_rows(model, n_rows, seed):
    random = np.random.default_rng(seed)
    if not model.visible.is_discrete:
        return random.normal(size=(n_rows, model.n_visible))
    return np.where(random.random((n_rows, model.n_visible)) < 0.4, 1, model.visible.low)


def moved(states, shift):
    grid = states.reshape(-1, *SHAPE)
    return np.roll(grid, shift, axis=(1, 2)).reshape(states.shape)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 2, 3)])
def test_hidden_units_are_the_filters_moved_over_the_lattice(shape):
    tie = Symmetry(shape, n_filters=2)
    filters, visible_bias, hidden_bias = random_free(tie, 1)
    weights, b, c = tie.expand((filters, visible_bias, hidden_bias))
    sites = list(itertools.product(*map(range, shape)))
    assert weights.shape == (len(sites), 2 * len(sites))
    for (i, site), f, (t, shift) in itertools.product(enumerate(sites), range(2), enumerate(sites)):
        place = tuple((x - y) % length for x, y, length in zip(site, shift, shape, strict=True))
        assert weights[i, f * len(sites) + t] == filters[(f, *place)]
    assert (b == visible_bias[0]).all()
    assert (c.reshape(2, -1) == hidden_bias[:, None]).all()


def test_a_row_of_the_lattice_may_be_given_by_its_length():
    assert Symmetry(4, 1) == Symmetry((4,), 1)
    assert Symmetry(np.int64(4), 1).shape == (4,)


@pytest.mark.parametrize(
    ("case", "n_hidden", "n_free"),
    [((False, "spin", "relu"), 12, 15), ((True, "spin", "spin"), 12, 12), ((True, "bernoulli", "relu"), 24, 14)],
)
def test_numbers_of_units_and_free_parameters(case, n_hidden, n_free):
    tie = Symmetry(SHAPE, 2, *case)
    assert (tie.n_visible, tie.n_hidden, tie.n_free) == (6, n_hidden, n_free)


@pytest.mark.parametrize("case", EVERY, ids=name)
def test_reduce_is_the_adjoint_of_expand(case):
    tie = Symmetry(SHAPE, 3, *case)
    free = random_free(tie, 2)
    full = tie.expand(free)
    random = np.random.default_rng(3)
    gradient = [random.normal(size=array.shape) for array in full]
    reduced = tie.reduce(gradient)
    assert [part.shape for part in reduced] == list(tie.free_shapes)
    forth = sum(np.sum(g * x) for g, x in zip(gradient, full, strict=True))
    back = sum(np.sum(g * x) for g, x in zip(reduced, free, strict=True))
    assert forth == pytest.approx(back, rel=1e-12)


@pytest.mark.parametrize("case", EVERY, ids=name)
def test_extract_is_the_inverse_of_expand(case):
    tie = Symmetry(SHAPE, 3, *case)
    free = random_free(tie, 4)
    for got, want in zip(tie.extract(tie.expand(free)), free, strict=True):
        assert got.shape == want.shape
        assert np.allclose(got, want, rtol=0, atol=1e-14)


@pytest.mark.parametrize("case", EVERY, ids=name)
def test_free_gradient_is_the_slope_of_the_exact_log_likelihood(case):
    tie = Symmetry(SHAPE, 2, *case)
    free = random_free(tie, 5)
    model = tied_model(tie, 5)
    v = random_rows(model, 20, 6)
    gradient = tie.reduce(rbm.exact.gradient(model, v))
    step = 1e-5
    for which, part in enumerate(free):
        slope = np.empty(part.shape)
        for place in np.ndindex(part.shape):
            values = []
            for sign in (1, -1):
                there = [array.copy() for array in free]
                there[which][place] += sign * step
                values.append(rbm.exact.log_likelihood(model.replace(*tie.expand(there)), v))
            slope[place] = (values[0] - values[1]) / (2 * step)
        assert np.allclose(gradient[which], slope, rtol=1e-7, atol=1e-9)


def change_of_probability(model, images, states):
    """The largest relative change of p(v)."""
    return np.abs(np.expm1(model.free_energy(states) - model.free_energy(images))).max()


@pytest.mark.parametrize("case", EVERY, ids=name)
def test_probabilities_have_the_symmetry_and_no_other(case):
    model = tied_model(Symmetry(SHAPE, 2, *case), 7)
    states = random_rows(model, 40, 8)
    for shift in itertools.product(*map(range, SHAPE)):
        assert change_of_probability(model, moved(states, shift), states) < 1e-12
    flipped = 1 - states if case[1] == "bernoulli" else -states
    change = change_of_probability(model, flipped, states)
    assert change < 1e-12 if case[0] else change > 0.1
    assert change_of_probability(model, states[:, [1, 0, 2, 3, 4, 5]], states) > 0.1


@pytest.mark.parametrize("case", [case for case in EVERY if case[1] != "gaussian"], ids=name)
def test_exact_probabilities_have_the_symmetry(case):
    model = tied_model(Symmetry(SHAPE, 2, *case), 9)
    states = enumeration.list_states(6, model.visible.low)
    p = rbm.exact.probabilities(model)
    images = [moved(states, shift) for shift in itertools.product(*map(range, SHAPE))]
    if case[0]:
        images.append(states[::-1])  # up and down exchanged
    for image in images:
        assert np.allclose(p[enumeration.state_index(image)], p, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", EVERY, ids=name)
def test_symmetric_models_keep_their_symmetry(case, dtype):
    flip, visible, hidden = case
    model = rbm.RBM.symmetric(SHAPE, 2, seed=1, scale=0.5, spin_flip=flip, visible=visible, hidden=hidden, dtype=dtype)
    assert model.symmetry == Symmetry(SHAPE, 2, *case)
    assert (model.visible.name, model.hidden.name, model.dtype) == (visible, hidden, dtype)
    assert 0.2 < model.weights.std() < 1.0
    again = rbm.RBM.symmetric(SHAPE, 2, seed=1, scale=0.5, spin_flip=flip, visible=visible, hidden=hidden, dtype=dtype)
    assert np.array_equal(model.weights, again.weights)
    wider = model.replace(*(array.astype(np.float64) for array in model.parameters))
    assert wider.symmetry == model.symmetry
    assert rbm.exact.log_partition(model) == pytest.approx(rbm.exact.log_partition(wider), rel=1e-12)
    assert model.transposed().symmetry is None


def check_gaussian(flip, visible_means, hidden_means):
    tie = Symmetry(2, 2, flip, "gaussian", "gaussian")
    full = tie.expand(random_free(tie, 10, 0.1))
    rbm.RBM(*full, rbm.Gaussian(mean=visible_means), rbm.Gaussian(mean=hidden_means), symmetry=tie)


def test_units_of_a_filter_may_have_their_own_mean():
    check_gaussian(False, [3, 3], [1, 1, 2, 2])
    check_gaussian(True, [0, 0], [0, 0, 0, 0])
    pairs = Symmetry(2, 2, spin_flip=True, visible="spin", hidden="relu")
    means = rbm.ReLU(mean=[1, 1, 2, 2, 1, 1, 2, 2])
    model = rbm.RBM(*pairs.expand(random_free(pairs, 10)), "spin", means, symmetry=pairs)
    states = enumeration.list_states(2, -1)
    assert change_of_probability(model, -states, states) < 1e-12
    with pytest.raises(InputError, match="hidden: tied relu units differ"):
        rbm.RBM(*model.parameters, "spin", rbm.ReLU(mean=[1, 1, 2, 2, 2, 2, 1, 1]), symmetry=pairs)


def broken(which, place, tie=None):
    tie = tie or Symmetry(SHAPE, 2)
    arrays = [array.copy() for array in tie.expand(random_free(tie, 11))]
    arrays[which][place] += 1e-4
    rbm.RBM(*arrays, tie.visible, tie.hidden, symmetry=tie)


TIE = Symmetry(SHAPE, 2)
FULL = TIE.expand(random_free(TIE, 12))
FLIP = Symmetry(SHAPE, 2, True)
CASES = {
    "no axis": (lambda: Symmetry((), 1), r"shape=\(\) has no axis; give"),
    "empty axis": (lambda: Symmetry((4, 0), 1), "shape=0 is too small; give an integer of at least 1"),
    "real shape": (lambda: Symmetry(4.5, 1), "shape=4.5 is not an integer"),
    "no filters": (lambda: Symmetry(4, 0), "n_filters=0 is too small"),
    "unknown units": (lambda: Symmetry(4, 1, visible="fermion"), "visible='fermion' is unknown; choose one of"),
    "potts": (lambda: Symmetry(4, 1, hidden="potts"), "hidden='potts': .* one weight for each site; leave out"),
    "one-sided": (lambda: Symmetry(4, 1, True, visible="relu"), "visible='relu' units have no mirror image"),
    "filters of another shape": (
        lambda: TIE.expand((np.ones((2, 6)), [0.0], [0.0, 0.0])),
        r"filters, free in .* has shape \(2, 6\); its shape must be \(2, 2, 3\)",
    ),
    "fixed bias": (
        lambda: FLIP.expand((np.ones((2, 2, 3)), [0.0], [])),
        r"visible_bias, free in .* has shape \(1,\); its shape must be \(0,\)",
    ),
    "gradient of another shape": (lambda: TIE.reduce((FULL[0].T, *FULL[1:])), r"gradient of weights .* \(12, 6\)"),
    "parameters of another shape": (lambda: TIE.extract((*FULL[:2], FULL[2][:3])), r"hidden_bias .* shape \(3,\)"),
    "model of another size": (
        lambda: rbm.RBM(np.ones((6, 6)), np.ones(6), np.ones(6), symmetry=TIE),
        r"weights of Symmetry.* has shape \(6, 6\); its shape must be \(6, 12\)",
    ),
    "units of another kind": (lambda: rbm.RBM(*FULL, "spin", symmetry=TIE), "visible='spin' units do not fit"),
    "untied weights": (lambda: broken(0, (3, 8)), r"weights has the value .* at index \(3, 8\), where Symmetry"),
    "untied visible bias": (lambda: broken(1, 4), r"visible_bias has the value .* at index \(4,\)"),
    "untied hidden bias": (lambda: broken(2, 9), r"hidden_bias has the value .* at index \(9,\)"),
    "bias against the flip": (lambda: broken(1, slice(None), FLIP), r"visible_bias has the value .* at index \(0,\)"),
    "hidden bias against the flip": (lambda: broken(2, slice(None), FLIP), r"hidden_bias .* make parameters by"),
    "different visible units": (lambda: check_gaussian(False, [3, 4], [0] * 4), "visible: tied gaussian units differ"),
    "different hidden units": (lambda: check_gaussian(False, [3, 3], [1, 1, 2, 3]), "hidden: tied gaussian units"),
    "units off their centre": (
        lambda: check_gaussian(True, [0, 0], [1, 1, 1, 1]),
        "flipped gaussian units have the mean 0",
    ),
    "random scale": (lambda: TIE.random_parameters(1, scale="wide"), "scale='wide' is not a number"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case):
    call, words = CASES[case]
    with pytest.raises(InputError, match=words):
        call()
