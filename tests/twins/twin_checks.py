"""The CUDA twins against the CPU twins, on systems small enough for the simulator.

test_simulator.py runs these checks in Numba's CUDA simulator, test_gpu.py on a GPU.
"""

import numpy as np

from mcgen import _cuda, backend, ising, rbm, rng
from mcgen.ising.exact import summation, transfer
from mcgen.ising.methods import make_walkers
from mcgen.rbm.chains import stack
from mcgen.rbm.partition import annealing, path
from mcgen.rbm.sampling import Chains
from mcgen.rbm.tempering import TemperingChains

# A seed of which both words have their highest bit set: signed arithmetic anywhere would show.
SEED = 0xF123456789ABCDEF


def model(kinds, dtype=np.float64, scale=1.0):
    random = np.random.default_rng(4)
    parameters = (scale * random.normal(size=shape) for shape in ((5, 3), 5, 3))
    return rbm.RBM(*(array.astype(dtype) for array in parameters), *kinds)


def check_statistics(name):
    fields = np.random.default_rng(8).normal(scale=3, size=(4, 6))
    for kind in (rbm.Bernoulli(), rbm.Spin(), rbm.Potts(3), rbm.Gaussian(0.2, 0.7), rbm.ReLU(-0.4, 0.7)):
        statistic = getattr(kind.for_layer("visible", 6), name)
        assert np.allclose(statistic(fields), statistic(fields, device="cuda"), rtol=1e-12, atol=1e-14)


KINDS = [("bernoulli", "bernoulli"), ("spin", "spin"), ("bernoulli", "spin")]


def check_fill_words():
    for step in (0, 2**31 + 5, 2**32 - 1):
        arguments = {"seed": SEED, "purpose": 3, "n_chains": 5, "n_units": 7, "step": step}
        words = rng.words(**arguments, device="cuda")
        assert words.dtype == np.uint32
        assert (words == rng.words(**arguments)).all()


def check_single_flip_sweeps():
    random = np.random.default_rng(1)
    for lattice in (
        ising.Ising((2, 2)),
        ising.Ising((3, 2), random.normal(size=(2, 3, 2)), random.normal(size=(3, 2)), periodic=(True, False)),
    ):
        for method in ("metropolis", "heatbath"):
            runs = [
                ising.sample(
                    lattice, 2.0, n_chains=6, n_draws=3, thin=2, burn_in=3, method=method, seed=SEED, device=device,
                    kernel="single-flip",
                )
                for device in ("cpu", "cuda")
            ]  # fmt: skip
            assert (runs[0].states == runs[1].states).all()
            assert runs[0].flip_rate == runs[1].flip_rate


def check_bit_sliced_sweeps():
    glass = np.where(np.random.default_rng(3).random((2, 2, 8)) < 0.5, -1.0, 1.0)
    for lattice, n_chains in (
        (ising.Ising((2, 8), glass), 70),  # strips of bits; signs that differ; the last lanes empty
        (ising.Ising((32, 2), -0.5), 3),  # strips of half words; an antiferromagnet; two vectors of each colour
        (ising.Ising((2, 2, 2)), 513),  # three axes; two groups
        (ising.Ising((40,)), 20),  # a ring; more vectors than are updated at once
    ):
        for method in ("metropolis", "heatbath"):
            walkers = [
                make_walkers(
                    lattice,
                    np.array([1.5, 3.0]),
                    np.where(rng.words(SEED, 0, 2 * n_chains, lattice.n_sites) >> 31, 1, -1)
                    .astype(np.int8)
                    .reshape(2, n_chains, -1),
                    method,
                    SEED,
                    backend.target(device),
                    "bit-sliced",
                )
                for device in ("cpu", "cuda")
            ]
            for one in walkers:
                one.sweep(1)
                one.exchange(0, np.arange(n_chains) % 3 == 0)
            draws = [one.draw(2, 1) for one in walkers]
            for cpu, cuda in zip(*draws, strict=True):
                assert (cpu == cuda).all()
            assert (walkers[0].report()["flip_rate"] == walkers[1].report()["flip_rate"]).all()


def check_state_energies():
    random = np.random.default_rng(2)
    lattice = ising.Ising((2, 3), random.normal(size=(2, 2, 3)), random.normal(size=(2, 3)))
    cpu, cuda = (ising.exact.state_energies(lattice, device) for device in ("cpu", "cuda"))
    assert np.allclose(cpu, cuda, rtol=1e-14, atol=1e-14)
    assert np.isclose(*(ising.exact.log_partition(lattice, 2.0, device) for device in ("cpu", "cuda")), rtol=1e-14)


def narrow_lattices():
    random = np.random.default_rng(8)
    for shape, periodic in (((2, 2), True), ((5,), True), ((1, 3), False), ((3, 3), (True, False))):
        yield ising.Ising(shape, random.normal(size=(len(shape), *shape)), random.normal(size=shape), periodic)


def check_transfer_step():
    for lattice in narrow_lattices():
        for temperature in (0.05, 2.0):
            sums = [transfer.log_partition(lattice, temperature, device) for device in ("cpu", "cuda")]
            assert np.isclose(*sums, rtol=1e-14)
            (levels, cpu), (cuda_levels, cuda) = (
                transfer.magnetization_distribution(lattice, temperature, device) for device in ("cpu", "cuda")
            )
            assert (levels == cuda_levels).all()
            assert np.allclose(cpu, cuda, rtol=1e-12, atol=1e-300)
        samples = [transfer.sample(lattice, 1.0, 20, SEED, device) for device in ("cpu", "cuda")]
        assert (samples[0] == samples[1]).all()


def check_transfer_moments_step():
    for lattice in narrow_lattices():
        for temperature in (0.05, 2.0):
            cpu, cuda = (transfer.moments(lattice, temperature, device) for device in ("cpu", "cuda"))
            assert np.allclose(cpu, cuda, rtol=1e-12, atol=1e-300)


def check_boltzmann_sums():
    parts = summation.LOW_SITES, summation.MIDDLE_SITES, summation.BLOCK_BITS
    try:
        # 64 states: 4 slices of 4 rows and 4 columns, in two blocks.
        summation.LOW_SITES, summation.MIDDLE_SITES, summation.BLOCK_BITS = 2, 2, 5
        random = np.random.default_rng(9)
        lattice = ising.Ising((2, 3), random.normal(size=(2, 2, 3)), random.normal(size=(2, 3)))
        for temperature in (0.05, 2.0):
            for cpu, cuda in zip(
                *(summation.summarize(lattice, temperature, device) for device in ("cpu", "cuda")), strict=True
            ):
                assert np.allclose(cpu, cuda, rtol=1e-12, atol=1e-280)
    finally:
        summation.LOW_SITES, summation.MIDDLE_SITES, summation.BLOCK_BITS = parts


def check_gibbs_sweeps():
    # Every kernel of every size is in test_gibbs_cuda.py; this is the way through `sample`.
    for kinds in (*KINDS, (rbm.Potts(5), "relu"), ("gaussian", rbm.Potts(3))):
        for dtype in (np.float32, np.float64):
            runs = [
                rbm.sample(
                    model(kinds, dtype, scale=0.3), n_chains=3, n_draws=3, thin=2, burn_in=1, seed=SEED, device=device
                )
                for device in ("cpu", "cuda")
            ]
            assert np.allclose(runs[0].states, runs[1].states, rtol=1e-5, atol=1e-5)


def check_draw_rows():
    for kind in (rbm.Bernoulli(), rbm.Potts(3), rbm.Gaussian(0.2, 0.7), rbm.ReLU(-0.4, 0.7)):
        fields = np.random.default_rng(8).normal(scale=3, size=(4, 6))
        layer = kind.for_layer("visible", 6)
        assert np.allclose(layer.draw(fields, SEED), layer.draw(fields, SEED, device="cuda"), rtol=1e-12, atol=1e-14)


def check_mean_rows():
    check_statistics("mean")


def check_variance_rows():
    check_statistics("variance")


def check_cumulant_rows():
    check_statistics("cumulant")


def check_metropolis_sweeps():
    for kinds in (*KINDS, ("bernoulli", "gaussian"), ("gaussian", "relu")):
        # A step of a Gaussian unit is rarely decided otherwise by another state: more of them.
        for proposal in ("flip", "block", *(["exchange"] if kinds[0] != "gaussian" else [])):
            runs = [
                rbm.sample(
                    model(kinds, scale=0.3), n_chains=3, n_draws=12 if kinds[0] == "gaussian" else 2, thin=1, burn_in=1,
                    method="metropolis", seed=SEED, device=device, proposal=proposal, block_size=2,
                )
                for device in ("cpu", "cuda")
            ]  # fmt: skip
            assert np.allclose(runs[0].states, runs[1].states, rtol=1e-10, atol=1e-12)
            assert runs[0].acceptance_rate == runs[1].acceptance_rate


def check_swap_log_ratios():
    for kinds in (*KINDS[:2], ("spin", "relu"), ("gaussian", "bernoulli")):
        models = [model(kinds, scale=0.3).tempered(beta) for beta in (0.0, 0.5, 1.0)]
        visible = np.random.default_rng(9).integers(0, 2, (3, 4, 5)).astype(float)
        for betas in (None, [0.0, 0.5, 1.0]):
            ratios = [
                TemperingChains(stack(models), visible, SEED, backend.target(device), betas).log_ratios(
                    [[0, 1], [1, 2]]
                )
                for device in ("cpu", "cuda")
            ]
            assert np.allclose(*ratios, rtol=1e-12, atol=1e-13)
            assert np.abs(ratios[0]).max() > 0.01


def check_swap_states():
    runs = [
        rbm.sample(
            model(KINDS[1]), n_chains=3, n_draws=2, thin=1, burn_in=2, method="tempering", ladder=[0.0, 0.5, 1.0],
            adapt_ladder=False, seed=SEED, device=device,
        )
        for device in ("cpu", "cuda")
    ]  # fmt: skip
    assert (runs[0].states == runs[1].states).all()
    assert (runs[0].exchange.swap_rates == runs[1].exchange.swap_rates).all()


def check_annealing_sweeps():
    library = _cuda.matrix_library
    betas = np.array([0.0, 0.3, 1.0])
    try:
        for kinds in (KINDS[2], ("bernoulli", "relu"), (rbm.Potts(5), "gaussian")):
            for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-12)):
                one = model(kinds, dtype, scale=0.5)
                start = path.reference(one, seed=SEED)
                states = annealing.reference_states(start, 2, SEED)
                for way in (betas, betas[::-1].copy()):
                    _cuda.matrix_library = library if dtype == np.float32 else lambda: None
                    cpu, cuda = (annealing.anneal(start, one, way, states, SEED, device) for device in ("cpu", "cuda"))
                    assert np.allclose(cpu.states, cuda.states, rtol=tolerance, atol=tolerance)
                    assert np.allclose(cpu.log_weights, cuda.log_weights, rtol=tolerance, atol=tolerance)
                    assert np.abs(cpu.log_weights).max() > 0.1
    finally:
        _cuda.matrix_library = library


def check_layer_means():
    v = np.random.default_rng(5).random((7, 5))
    for kinds in KINDS[::2]:
        for dtype, tolerance in ((np.float32, 1e-6), (np.float64, 1e-14)):
            one = model(kinds, dtype)
            assert np.allclose(one.hidden_mean(v), one.hidden_mean(v, device="cuda"), rtol=tolerance, atol=tolerance)
            h = one.hidden_mean(v) * 0
            assert np.allclose(one.visible_mean(h), one.visible_mean(h, device="cuda"), rtol=tolerance, atol=tolerance)


def check_free_energies():
    for kinds in KINDS:
        v = Chains(np.ones((6, 5)), SEED).visible
        v[::2, 1] = model(kinds).visible.low
        assert np.allclose(model(kinds).free_energy(v), model(kinds).free_energy(v, device="cuda"), rtol=1e-13)


def check_phase_statistics():
    v = (np.random.default_rng(6).random((9, 5)) < 0.5).astype(float)
    for phase in (rbm.positive_phase, rbm.negative_phase):
        for cpu, cuda in zip(phase(model(KINDS[0]), v), phase(model(KINDS[0]), v, device="cuda"), strict=True):
            assert np.allclose(cpu, cuda, rtol=1e-13, atol=1e-15)


# The last has weights whose e^y leaves the range of a float64.
EXACT_MODELS = [*(model(kinds) for kinds in KINDS), rbm.RBM.random(3, 4, seed=3, scale=300.0, visible="spin")]


def check_sum_states():
    for one in EXACT_MODELS:
        cpu, cuda = (rbm.exact.log_partition(one, device) for device in ("cpu", "cuda"))
        assert np.isclose(cpu, cuda, rtol=1e-14, atol=0)
    # Several items; several tiles of low states, also without one group of units; several groups.
    for n_visible, n_hidden, n_low, scale in ((2, 12, 6, 0.5), (2, 8, 7, 0.5), (2, 8, 7, 300.0), (40, 12, 6, 0.5)):
        sums = [
            rbm.exact.two_level._Sum(rbm.RBM.random(n_visible, n_hidden, seed=2, scale=scale), device, n_low)
            for device in ("cpu", "cuda")
        ]
        cpu, cuda = (one.log_weights(0, one.split.n_items) for one in sums)
        assert np.allclose(cpu, cuda, rtol=1e-14, atol=1e-14)
        log_z = np.logaddexp.reduce(cpu)
        cpu, cuda = (one.moments(0, one.split.n_items, log_z) for one in sums)
        assert np.allclose(cpu, cuda, rtol=1e-12, atol=1e-14)


def check_state_weights():
    for one in EXACT_MODELS[::3]:
        cpu, cuda = (rbm.exact.log_probabilities(one, device) for device in ("cpu", "cuda"))
        assert np.allclose(cpu, cuda, rtol=1e-13, atol=1e-13)


def check_state_moments():
    for one in EXACT_MODELS:
        moments = [rbm.exact.negative_phase(one, device) for device in ("cpu", "cuda")]
        for cpu, cuda in zip(*moments, strict=True):
            assert np.allclose(cpu, cuda, rtol=1e-12, atol=1e-14)


def check_training():
    v = (np.random.default_rng(7).random((20, 5)) < 0.5).astype(float)
    for negative_phase in ("pcd", "exact"):
        arguments = {"negative_phase": negative_phase, "gibbs_steps": 1, "n_chains": 4, "epochs": 1, "batch_size": 20}
        trained = [rbm.train(model(KINDS[0]), v, **arguments, device=device) for device in ("cpu", "cuda")]
        assert np.allclose(trained[0].model.weights, trained[1].model.weights, rtol=1e-10)


CHECKS = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_") and name != "check_statistics"
}
