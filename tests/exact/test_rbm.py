import math

import naive
import numpy as np
import pytest
from models import KINDS, random_model

from mcgen import enumeration, rbm
from mcgen.errors import FileError

# Ten models of 2 to 12 units in all, ordinary and very large weights.
SIZES = [(1, 1), (2, 1), (1, 2), (3, 2), (2, 4), (4, 4), (7, 2), (2, 7), (5, 6), (8, 4)]
SCALES = [1.0, 50.0]


def naive_arguments(model):
    return (*(array.tolist() for array in model.parameters), model.visible.low, model.hidden.low)


def rounding(model):
    """The error bound that the docstring of log_partition states, without the part relative to log Z."""
    small, large = sorted((model.n_visible, model.n_hidden))
    return 2.0**-53 * (4 * large + 2 * small * sum(np.abs(array).sum() for array in model.parameters))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("seed", range(len(SIZES)))
def test_sums_against_naive(seed, kinds, scale):
    model = random_model(*SIZES[seed], scale, kinds, seed)
    arguments = naive_arguments(model)
    log_z, _ = naive.rbm_joint(*arguments)
    assert rbm.exact.log_partition(model) == pytest.approx(log_z, rel=1e-12, abs=rounding(model))
    expected = np.array(naive.rbm_log_marginals(*arguments))
    got = rbm.exact.log_probabilities(model)
    assert np.isfinite(got).all()
    # Relative to log Z and F(v), whose difference it is: no state is lost, however improbable.
    assert np.allclose(got, expected, rtol=1e-12, atol=1e-12 * max(1.0, abs(log_z)))
    assert np.allclose(rbm.exact.probabilities(model), np.exp(expected), rtol=1e-12 * max(1.0, abs(log_z)), atol=0)
    v = enumeration.list_states(model.n_visible, model.visible.low)
    assert rbm.exact.log_likelihood(model, v) == pytest.approx(expected.mean(), rel=1e-12)
    uniform = np.full(len(v), 1 / len(v))
    assert rbm.exact.kl_divergence(uniform, model) == pytest.approx(
        -math.log(len(v)) - expected.mean(), rel=1e-11, abs=1e-12
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("seed", range(len(SIZES)))
def test_exact_negative_phase_against_naive(seed, kinds, scale):
    model = random_model(*SIZES[seed], scale, kinds, seed)
    arguments = naive_arguments(model)
    expected = naive.rbm_moments(*arguments)
    for got, wanted in zip(rbm.exact.negative_phase(model), expected, strict=True):
        assert np.allclose(got, wanted, rtol=1e-11, atol=1e-12)
    moments = rbm.exact.moments(model)
    log_z, joint = naive.rbm_joint(*arguments)
    energy = math.fsum(p * naive.rbm_energy(v, h, *arguments[:3]) for v, h, p in joint)
    assert moments.log_partition == rbm.exact.log_partition(model)
    assert moments.energy == pytest.approx(energy, rel=1e-12, abs=1e-12)
    entropy = -math.fsum(p * math.log(p) for _, _, p in joint if p > 0)
    assert moments.entropy == pytest.approx(entropy, abs=1e-12 * max(1.0, abs(log_z)))


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_energy_free_energy_and_means(kinds):
    model = random_model(4, 3, 2.0, kinds, 1)
    W, b, c, visible_low, hidden_low = naive_arguments(model)
    hidden = naive.states(3, hidden_low)
    for v in naive.states(4, visible_low):
        energies = [naive.rbm_energy(v, h, W, b, c) for h in hidden]
        assert np.allclose(model.energy(np.tile(v, (8, 1)), np.array(hidden)), energies, rtol=1e-13, atol=1e-14)
        free_energy = -naive.log_sum_exp([-e for e in energies])
        assert model.free_energy(v) == pytest.approx(free_energy, rel=1e-13)
        means = [
            math.fsum(h[j] * math.exp(free_energy - e) for h, e in zip(hidden, energies, strict=True)) for j in range(3)
        ]
        assert np.allclose(model.hidden_mean(v), means, rtol=1e-12, atol=1e-14)
    turned = model.transposed()
    h = np.array(hidden[5])
    assert np.allclose(model.visible_mean(h), turned.hidden_mean(h), rtol=1e-15)


def test_shapes_of_batches():
    model = random_model(4, 3, 1.0, KINDS[0], 1)
    v = np.zeros((5, 6, 4))
    assert model.hidden_mean(v).shape == (5, 6, 3)
    assert model.free_energy(v).shape == (5, 6)
    assert model.energy(v, np.zeros((5, 6, 3))).shape == (5, 6)
    assert model.free_energy(np.zeros((0, 4))).shape == (0,)


def test_float32_models_stay_in_float32_and_are_summed_in_float64():
    model = random_model(6, 5, 1.0, KINDS[0], 2)
    small = model.replace(*(array.astype(np.float32) for array in model.parameters))
    assert small.dtype == np.float32
    assert small.hidden_mean(np.zeros((2, 6))).dtype == np.float32
    assert small.weights.dtype == np.float32
    exact = rbm.exact.log_partition(small)
    double = small.replace(*(array.astype(np.float64) for array in small.parameters))
    assert exact == rbm.exact.log_partition(double)
    assert np.allclose(small.free_energy(np.ones((1, 6))), double.free_energy(np.ones((1, 6))), rtol=1e-6)


def test_the_enumerated_layer_is_split_in_every_way():
    # 1 to 12 units in the smaller layer: halves of unequal size, one call and several.
    for n in range(1, 13):
        model = random_model(n, 14, 0.5, KINDS[0], n)
        f = model.free_energy(enumeration.list_states(n, 0))
        assert rbm.exact.log_partition(model) == pytest.approx(naive.log_sum_exp((-f).tolist()), rel=1e-13)
        assert rbm.exact.log_partition(model.transposed()) == rbm.exact.log_partition(model)


def in_blocks(monkeypatch, terms=1 << 12):
    monkeypatch.setitem(rbm.exact.two_level.TERMS_PER_BLOCK, "cpu", terms)


def test_sums_over_several_kernel_calls(monkeypatch):
    model = random_model(14, 20, 0.5, KINDS[3], 3)
    whole, moments = rbm.exact.log_partition(model), rbm.exact.moments(model)
    in_blocks(monkeypatch)
    assert rbm.exact.two_level._Sum(model.transposed(), "cpu").items_per_block == 1
    assert rbm.exact.log_partition(model) == pytest.approx(whole, rel=1e-14)
    for one, other in zip(moments, rbm.exact.moments(model), strict=True):
        assert np.allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_every_split_of_the_enumerated_layer(kinds):
    # One tile of low states and many, one row and 32, no top units and some.
    model = random_model(14, 13, 0.7, kinds, 5)
    hidden = enumeration.list_states(13, model.hidden.low)
    turned = model.transposed()
    expected = naive.log_sum_exp((-turned.free_energy(hidden)).tolist())
    p, means = np.exp(-turned.free_energy(hidden) - expected), model.visible_mean(hidden)
    for n_low in range(6, 14):
        one = rbm.exact.two_level._Sum(model, "cpu", n_low)
        assert np.logaddexp.reduce(one.log_weights(0, one.split.n_items)) == pytest.approx(expected, rel=1e-14)
        log_weights = one.state_log_weights(np.arange(one.split.n_items)).ravel()
        assert np.allclose(log_weights, -turned.free_energy(hidden), rtol=1e-13, atol=1e-13)
        sums = one.moments(0, one.split.n_items, expected)
        assert sums[0, -1] == pytest.approx(1.0, rel=1e-13)
        _, _, of_hidden, both, _ = rbm.exact.two_level.averages_of_units(model, model, one.split, sums, expected)
        assert np.allclose(of_hidden, p @ hidden, rtol=1e-12, atol=1e-13)
        assert np.allclose(both, (means.T * p) @ hidden, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("kinds", "scale"), [(KINDS[0], 0.01), (KINDS[0], 1.0), (KINDS[0], 10.0), (KINDS[3], 10.0)])
def test_twelve_digits_of_a_million_states(kinds, scale):
    # Against the same sum in 80-bit floating point, every state on its own.
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("no floating point of more than 64 bits here")
    random = np.random.default_rng(6)
    model = rbm.RBM(
        *(scale * random.normal(size=shape) for shape in ((20, 20), 20, 20)), visible=kinds[0], hidden=kinds[1]
    )
    low = model.visible.low
    W, b, c = (array.astype(np.longdouble) for array in model.parameters)
    total, largest = [], []
    for start in range(0, 1 << 20, 1 << 16):
        h = enumeration.list_states(20, model.hidden.low, start, start + (1 << 16)).astype(np.longdouble)
        x = b + h @ W.T
        logs = h @ c + (np.maximum(x, low * x) + np.log1p(np.exp(-np.abs((1 - low) * x)))).sum(axis=1)
        largest.append(logs.max())
        total.append(np.exp(logs - largest[-1]).sum())
    top = max(largest)
    expected = top + np.log(sum(t * np.exp(m - top) for t, m in zip(total, largest, strict=True)))
    assert abs(rbm.exact.log_partition(model) / expected - 1) < 1e-12


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_units_whose_factor_leaves_the_range_of_a_float(kinds):
    # Columns of weights from 0.01 to 1000: units that are multiplied in groups beside units that are not.
    random = np.random.default_rng(8)
    model = rbm.RBM(
        random.normal(size=(12, 7)) * np.geomspace(0.01, 1000, 12)[:, None],
        random.normal(size=12) * 100,
        random.normal(size=7) * 300,
        *kinds,
    )
    one = rbm.exact.two_level._Sum(model, "cpu")
    n_narrow = one.tables.groups[-1]
    assert 0 < n_narrow < len(one.tables.center) - 1
    hidden = enumeration.list_states(7, model.hidden.low)
    logs = (-model.transposed().free_energy(hidden)).tolist()
    log_z = naive.log_sum_exp(logs)
    assert rbm.exact.log_partition(model) == pytest.approx(log_z, rel=1e-13)
    p = np.exp(np.array(logs) - log_z)
    moments = rbm.exact.moments(model)
    assert np.allclose(moments.hidden, p @ hidden, rtol=1e-11, atol=1e-12)
    assert np.allclose(moments.visible, p @ model.visible_mean(hidden), rtol=1e-11, atol=1e-12)
    assert np.allclose(moments.visible_hidden, (model.visible_mean(hidden).T * p) @ hidden, rtol=1e-11, atol=1e-12)


def test_moments_of_many_states_against_free_energies():
    model = random_model(30, 14, 0.3, KINDS[1], 9)
    hidden = enumeration.list_states(14, -1)
    logs = -model.transposed().free_energy(hidden)
    p = np.exp(logs - np.logaddexp.reduce(logs))
    moments = rbm.exact.moments(model)
    assert np.allclose(moments.visible_hidden, (model.visible_mean(hidden).T * p) @ hidden, rtol=1e-12, atol=1e-13)
    turned = rbm.exact.moments(model.transposed())
    assert (turned.visible_hidden == moments.visible_hidden.T).all()
    assert (turned.visible == moments.hidden).all()


@pytest.mark.parametrize("of", ["log_partition", "moments"])
def test_an_interrupted_sum_goes_on_to_the_same_bits(of, monkeypatch, tmp_path):
    model = random_model(15, 16, 0.5, KINDS[0], 3)
    in_blocks(monkeypatch)
    compute = getattr(rbm.exact, of)
    whole = compute(model)
    path = tmp_path / "sum.h5"
    method = "log_weights" if of == "log_partition" else "moments"
    right, calls = getattr(rbm.exact.two_level._Sum, method), []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return right(self, *arguments)

    monkeypatch.setattr(rbm.exact.two_level._Sum, method, interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"%; the sum so far is in .*sum.h5: run the same again to go on"):
        compute(model, checkpoint=path)
    other = random_model(15, 16, 0.5, KINDS[0], 4)
    with pytest.raises(FileError, match="checkpoint of another sum"):
        compute(other, checkpoint=path)
    n_before = len(calls)
    again = compute(model, checkpoint=path)
    assert calls[n_before][0] == calls[n_before - 1][0]  # goes on with the block that was interrupted
    assert not path.exists()
    for one, two in zip(np.atleast_1d(np.array(whole, object)), np.atleast_1d(np.array(again, object)), strict=True):
        assert np.array_equal(one, two)


def test_interrupted_without_a_checkpoint_says_so(monkeypatch):
    def interrupted(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(rbm.exact.two_level._Sum, "log_weights", interrupted)
    with pytest.raises(KeyboardInterrupt, match="0%; nothing was kept"):
        rbm.exact.log_partition(random_model(4, 3, 0.5, KINDS[0], 3))


def test_exact_draws_do_not_depend_on_their_number_or_on_blocks(monkeypatch):
    model = random_model(12, 14, 0.5, KINDS[1], 3)
    draws = rbm.exact.sample(model, 500, seed=4)
    assert draws.shape == (500, 12)
    assert draws.dtype == np.int8
    assert set(np.unique(draws)) == {0, 1}
    assert (rbm.exact.sample(model, 200, seed=4) == draws[:200]).all()
    assert (rbm.exact.sample(model, 200, seed=5) != draws[:200]).any()
    monkeypatch.setattr(rbm.exact.two_level, "BYTES_PER_BLOCK", 1)
    assert (rbm.exact.sample(model, 500, seed=4) == draws).all()


def test_more_units_than_one_product_holds():
    # 1200 units: the product of 1 + e^-|x| is turned into a logarithm on the way.
    model = random_model(1200, 2, 0.1, KINDS[0], 4)
    fields = model.visible_bias + enumeration.list_states(2, 0) @ model.weights.T
    logs = enumeration.list_states(2, 0) @ model.hidden_bias + np.logaddexp(0, fields).sum(axis=1)
    assert rbm.exact.log_partition(model) == pytest.approx(naive.log_sum_exp(logs.tolist()), rel=1e-13)
    p = np.exp(logs - naive.log_sum_exp(logs.tolist()))
    assert np.allclose(rbm.exact.negative_phase(model).visible_bias, p @ (1 / (1 + np.exp(-fields))), rtol=1e-12)
