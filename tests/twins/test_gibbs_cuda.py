"""Block Gibbs sweeps on CUDA against those on the CPU, for every kernel that sizes may choose.

The checks run in Numba's CUDA simulator, and on a GPU where there is one.
"""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from twins.running import gpu_is_there, simulated

from mcgen import _cpu, _cuda, backend, rng
from mcgen.errors import DeviceError
from mcgen.rbm import chains, units
from mcgen.rbm.gibbs import moves, paths, plans
from mcgen.rbm.model import RBM

# A seed of which both words have their highest bit set: signed arithmetic anywhere would show.
SEED = 0xF123456789ABCDEF
# How far from its threshold a draw may be that comes out differently; continuous states may differ by ten times that.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
NAMES = ("shared", "global", "products")


@contextlib.contextmanager
def only(name, n_lanes=None):
    """Have every size swept in one way; with blocks of n_lanes lanes."""
    kept = _cuda.limits, _cuda.matrix_library, plans.products_seconds
    limits, library = _cuda.limits(), _cuda.matrix_library()
    if name == "products" and library is None:
        pytest.skip("there is no library of matrix products here")
    limits = limits._replace(n_multiprocessors=2, n_lanes=n_lanes or limits.n_lanes)
    _cuda.limits = lambda: limits if name == "shared" else limits._replace(shared_bytes=0)
    _cuda.matrix_library = lambda: library if name == "products" else None
    plans.products_seconds = lambda *shape: 0.0
    try:
        yield
    finally:
        _cuda.limits, _cuda.matrix_library, plans.products_seconds = kept


def make_stack(visible, hidden, shape, dtype, n_models=1, n_chains=None):
    """Random models; with n_chains a hidden bias for each chain."""
    random = np.random.default_rng(4)
    models = [
        RBM(*(random.normal(0, 0.8, size).astype(dtype) for size in (shape, shape[0], shape[1])), visible, hidden)
        for _ in range(n_models)
    ]
    stack = chains.stack(models)
    if n_chains is None:
        return stack
    return stack._replace(hidden_bias=random.normal(size=(n_models, n_chains, shape[1])).astype(dtype))


def starts(stack, n_chains):
    n_models, n_visible = stack.visible_bias.shape
    states = [chains.random_states(stack.visible, n_chains, n_visible, model) for model in range(n_models)]
    return np.array(states, stack.weights.dtype)


def sweep(stack, target, n_chains=3, n_sweeps=3, n_draws=3, first_step=0, visible=None):
    visible = starts(stack, n_chains) if visible is None else visible
    return moves.sweep(stack, visible.copy(), n_sweeps, n_draws, first_step, SEED, target)


def margins(kind, fields, words):
    """States drawn in float64, and how far the random number of each unit is from changing its state."""
    u = (words + 0.5) / 2.0**32
    if kind.code == units.formulas.POTTS:
        weights = np.exp(fields - fields.max()).reshape(-1, kind.entries)
        steps = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
        states = np.eye(kind.entries)[(u[:, None] >= steps[:, :-1]).sum(axis=1)].ravel()
        return states, np.abs(u[:, None] - steps[:, :-1]).min(axis=1)
    if kind.is_discrete:
        q = 1 / (1 + np.exp(np.abs((1 - kind.low) * fields)))
        return np.where((u < q) != (fields >= 0), 1.0, kind.low), np.abs(u - q)
    states = fields.copy()
    for unit, word in enumerate(words):
        units.formulas.unit_draw(kind.code, kind.level, kind.parameters, states, unit, np.uint32(word), states)
    return states, np.full(len(words), np.inf)


def reference(stack, model, chain, n_chains, v, step):
    """The sweep of one chain in float64: the new visible states, and the smallest margin of all its draws."""
    words = {
        purpose: rng.words(SEED, purpose, (model + 1) * n_chains, n_units, step)[model * n_chains + chain]
        for purpose, n_units in (
            (rng.purpose.RBM_HIDDEN, stack.hidden.n_units(stack.weights.shape[2])),
            (rng.purpose.RBM_VISIBLE, stack.visible.n_units(stack.weights.shape[1])),
        )
    }
    weights = stack.weights[model].astype(float)
    bias = stack.hidden_bias[model, min(chain, stack.hidden_bias.shape[1] - 1)]
    h, hidden_margins = margins(stack.hidden, v.astype(float) @ weights + bias, words[rng.purpose.RBM_HIDDEN])
    fields = weights @ h + stack.visible_bias[model]
    v, visible_margins = margins(stack.visible, fields, words[rng.purpose.RBM_VISIBLE])
    return v, min(hidden_margins.min(), visible_margins.min())


def agree(stack, n_chains=3, n_sweeps=3):
    """Chains on both targets are the same up to draws within rounding of their threshold, of which there are few."""
    tolerance = TOLERANCE[stack.weights.dtype.name]
    start = starts(stack, n_chains)
    targets = _cpu, backend.target("cuda")
    (_, draws), (cuda_last, cuda_draws) = (sweep(stack, target, n_chains, n_sweeps, n_sweeps) for target in targets)
    assert cuda_draws.dtype == draws.dtype
    assert (cuda_draws[:, :, -1] == cuda_last).all()
    n_parted = 0
    for model in range(len(start)):
        for chain in range(n_chains):
            v = start[model, chain]
            for step in range(n_sweeps):
                states, cuda_states = draws[model, chain, step], cuda_draws[model, chain, step]
                expected, margin = reference(stack, model, chain, n_chains, v, step)
                if margin > tolerance:
                    allowed = 0 if stack.visible.is_discrete else 10 * tolerance
                    assert np.allclose(cuda_states, expected, allowed, allowed), (model, chain, step)
                    assert np.allclose(cuda_states, states, allowed, allowed), (model, chain, step)
                elif (cuda_states != states).any():
                    n_parted += 1
                    break
                v = cuda_states
    assert n_parted <= 1


KINDS = [
    ("bernoulli", "bernoulli", (5, 3)),
    ("spin", "bernoulli", (4, 9)),
    ("bernoulli", "spin", (9, 2)),
    (units.Potts(3), "spin", (6, 3)),
    ("bernoulli", units.Potts(2), (3, 10)),
    (units.Gaussian(0.5, 0.3), "bernoulli", (5, 4)),
    ("spin", units.Gaussian(), (3, 5)),
    (units.ReLU(0.2, 0.5), "spin", (3, 2)),
    ("bernoulli", units.ReLU(), (5, 2)),
]


def check_kinds():
    for number, (visible, hidden, shape) in enumerate(KINDS):
        for place, name in enumerate(NAMES):
            with only(name):
                agree(make_stack(visible, hidden, shape, (np.float32, np.float64)[(number + place) % 2]), n_sweeps=2)


def check_precisions():
    for dtype in (np.float32, np.float64):
        for name in NAMES:
            with only(name):
                agree(make_stack("bernoulli", "spin", (6, 5), dtype), n_chains=3, n_sweeps=3)


def check_models_and_clamped_units():
    for name in NAMES:
        with only(name):
            agree(make_stack("spin", "bernoulli", (3, 5), np.float64, n_models=2, n_chains=3))


def check_blocks_of_several_groups():
    for name in ("shared", "global"):
        for n_chains in (1, 7):
            with only(name, n_lanes=8):
                agree(make_stack("bernoulli", "bernoulli", (4, 3), np.float64, n_models=2), n_chains, n_sweeps=2)


def check_draws():
    stack = make_stack("bernoulli", "bernoulli", (5, 3), np.float64)
    target = backend.target("cuda")
    for name in NAMES:
        with only(name):
            last, draws = sweep(stack, target, n_sweeps=4, n_draws=4)
            thinned_last, thinned = sweep(stack, target, n_sweeps=4, n_draws=2)
            assert (thinned == draws[:, :, 1::2]).all()
            assert (thinned_last == last).all()
            first, none = sweep(stack, target, n_sweeps=3, n_draws=0)
            assert none.shape == (1, 3, 0, 5)
            assert (first == draws[:, :, 2]).all()
            assert (sweep(stack, target, n_sweeps=1, n_draws=1, first_step=3, visible=first)[0] == last).all()


def check_names():
    stack = make_stack("bernoulli", "bernoulli", (5, 3), np.float64)
    for name in NAMES:
        with only(name):
            assert paths.kernel_name(stack, 3, "cuda") == name


CHECKS = {name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")}


@pytest.fixture(scope="module")
def printed():
    return simulated("test_gibbs_cuda")


@pytest.mark.parametrize("name", CHECKS)
def test_simulated_sweeps_are_those_of_the_cpu(name, printed):
    assert f"{name} agrees" in printed, printed


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_is_there(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("name", CHECKS)
def test_sweeps_on_a_gpu_are_those_of_the_cpu(name):
    CHECKS[name]()


H200 = (232448, 132, 256)
TILE = (plans.CHAINS_PER_LANE, plans.UNITS_PER_LANE)


def test_plans_cover_all_chains_and_fit():
    random = np.random.default_rng(1)
    for _ in range(2000):
        n_models, n_chains, n_visible, n_hidden = (int(2 ** random.uniform(0, top)) for top in (3, 13, 11, 11))
        itemsize = int(random.choice([4, 8]))
        plan = plans.choose(n_models, n_chains, n_visible, n_hidden, itemsize, H200, TILE, has_library=False)
        n_groups = -(-n_chains // 8)
        assert (plan.n_blocks - 1) * plan.n_groups < n_groups <= plan.n_blocks * plan.n_groups
        assert plan.n_groups * plan.lanes_per_group <= plan.n_lanes <= 256
        assert plan.n_lanes % (8 * plan.n_groups) == 0
        assert plan.shared_bytes <= H200[0]
        weights_bytes = itemsize * n_visible * n_hidden
        padded_bytes = itemsize * (n_visible * (n_hidden + 1) + 9 * (n_visible + n_hidden) + 2)
        assert (plan.shared_bytes > weights_bytes) if plan.name == "shared" else (padded_bytes > H200[0])


@pytest.mark.parametrize(
    ("shape", "with_library", "without"),
    [
        ((4096, 64, 64), "shared", "shared"),
        ((4096, 200, 200), "shared", "shared"),
        ((4096, 256, 256), "global", "global"),
        ((64, 1024, 1024), "products", "global"),
        ((4096, 1024, 1024), "products", "global"),
    ],
)
def test_sizes_choose_the_kernel(shape, with_library, without):
    for has_library, name in ((True, with_library), (False, without)):
        assert plans.choose(1, *shape, 4, H200, TILE, has_library).name == name


def test_a_run_that_does_not_fit_is_refused(monkeypatch):
    stack = make_stack("bernoulli", "bernoulli", (50, 30), np.float32)
    needed = paths.n_bytes(stack, 1000, 200)
    # What moves.sweep sends and the largest that a kernel adds: weights in both orders, biases, states, draws.
    assert needed > 4 * (2 * 1500 + 80 + 1000 * 80) + 1000 * 200 * 50
    monkeypatch.setattr(_cuda, "require", lambda: None)
    monkeypatch.setattr(_cuda, "free_bytes", lambda: needed)
    paths.check_room(stack, 1000, 200, "cuda")
    monkeypatch.setattr(_cuda, "free_bytes", lambda: needed - 1)
    with pytest.raises(DeviceError, match=f"takes {needed} bytes, but only {needed - 1} bytes .* are free"):
        paths.check_room(stack, 1000, 200, "cuda")
    paths.check_room(stack, 1000, 200, "cpu")


def test_shared_memory_beyond_the_default_is_asked_for(monkeypatch):
    from cuda.bindings import driver

    asked = []
    function = SimpleNamespace(handle="handle", device=SimpleNamespace(id=3))
    compiled = SimpleNamespace(_codelibrary=SimpleNamespace(get_cufunc=lambda: function))

    class Kernel:
        typeof_pyval = staticmethod(type)

        def compile(self, types):
            assert types == (str,)
            return compiled

        def __getitem__(self, configuration):
            return lambda *arguments: asked.append((configuration, arguments))

    def set_attribute(attribute, value, handle, device):
        asked.append((attribute.name, value, handle, device))
        return (status,)

    monkeypatch.setattr(driver, "cuKernelSetAttribute", set_attribute)
    status = driver.CUresult.CUDA_SUCCESS
    _cuda.launch_blocks(Kernel(), 7, 64, 48 * 1024, "a")
    assert asked == [((7, 64, 0, 48 * 1024), ("a",))]
    _cuda.launch_blocks(Kernel(), 7, 64, 200000, "a")
    assert asked[1] == ("CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES", 200000, "handle", 3)
    status = driver.CUresult.CUDA_ERROR_INVALID_VALUE
    with pytest.raises(DeviceError, match="200000 bytes of shared memory"):
        _cuda.launch_blocks(Kernel(), 7, 64, 200000, "a")
