"""Every CUDA kernel compiles for an H100 or H200 (sm_90), with no driver and no GPU."""

import re
import warnings

import numba
import pytest

from mcgen import _cuda, backend, rbm
from mcgen.ising import cuda as ising_cuda
from mcgen.ising.bit_sliced import cuda as bit_sliced_cuda
from mcgen.ising.exact import cuda as exact_cuda
from mcgen.ising.exact.transfer import cuda as transfer_cuda
from mcgen.rbm import cuda as rbm_cuda
from mcgen.rbm.gibbs import cuda as gibbs_cuda
from mcgen.rbm.metropolis import cuda as metropolis_cuda
from mcgen.rbm.partition import cuda as annealing_cuda
from mcgen.rbm.sums import cuda as sums_cuda
from mcgen.rbm.tempering import cuda as tempering_cuda
from mcgen.rbm.units import cuda as units_cuda
from mcgen.rng import cuda as rng_cuda

f64, f32, i8, i32, i64, u32 = (
    getattr(numba, name) for name in ("float64", "float32", "int8", "int32", "int64", "uint32")
)


def vector(kind):
    return kind[::1]


def matrix(kind):
    return kind[:, ::1]


def cube(kind):
    return kind[:, :, ::1]


KEY = (u32, u32)
SWEEPS = (i64, i64, i64, *KEY)  # n_sweeps, thin, first_step, key
# The tables of the exact sums.
EXACT = (
    vector(f64),
    matrix(f64),
    matrix(f64),
    vector(f64),
    vector(i64),
    cube(f64),
    matrix(f64),
    matrix(i64),
    vector(i64),
    vector(numba.boolean),
    numba.boolean,
)
KERNELS = {
    "fill_words": (rng_cuda.fill_words, (matrix(u32), i64, u32, u32, *KEY)),
    "single_flip_sweeps": (
        ising_cuda.single_flip_sweeps,
        (
            matrix(i8),
            cube(i8),
            vector(i64),
            matrix(i32),
            matrix(f64),
            vector(f64),
            vector(i32),
            numba.boolean,
            vector(f64),
            vector(u32),
            i64,
            *SWEEPS,
        ),
    ),
    "bit_sliced_sweeps": (
        bit_sliced_cuda.bit_sliced_sweeps,
        (
            *[cube(u32), cube(i8), matrix(i64), matrix(i64), vector(i64), matrix(u32)],
            *[matrix(u32), matrix(i8), cube(u32), vector(u32), vector(i32), matrix(u32), vector(u32), u32],
            *[i64] * 4,
            numba.boolean,
            *SWEEPS,
        ),
    ),
    "state_energies": (exact_cuda.state_energies, (matrix(f64), vector(f64), vector(f64), matrix(f64))),
    "transfer_step": (
        transfer_cuda.transfer_step,
        (matrix(f64), matrix(i64), matrix(f64), matrix(i64), *[vector(i64)] * 3, vector(f64), f64, i64),
    ),
    "transfer_moments_step": (
        transfer_cuda.transfer_moments_step,
        (
            *[vector(f64), vector(i64), matrix(f64), matrix(f64)] * 2,
            matrix(f64),
            *[vector(i64)] * 3,
            vector(f64),
            f64,
        ),
    ),
    "boltzmann_sums": (
        exact_cuda.boltzmann_sums,
        (vector(f64), *[matrix(f64)] * 5, vector(f64), i64, f64, numba.boolean),
    ),
    "sum_states": (sums_cuda.sum_states, (vector(f64), vector(i64), i64, *EXACT)),
    "state_weights": (sums_cuda.state_weights, (cube(f64), cube(i32), vector(i64), *EXACT)),
    "state_moments": (sums_cuda.state_moments, (cube(f64), i64, i64, f64, i64, *EXACT)),
}


def both(*kinds):
    return numba.types.Tuple(kinds)


KIND = (i64, i64, matrix(f64))  # kind, level, parameters
LAYERS = both(both(*KIND), both(*KIND))
RUN = both(*[i64] * 6, u32, u32)
OF_STEP = (vector(f64), i64, i64, *KEY)  # betas, number of the step in them and among all, key


def three_biases(real):
    return both(*[vector(real)] * 3)


for real in (f32, f64):
    draws = i8[:, :, :, ::1]
    arrays = both(cube(real), draws, cube(real), cube(real), matrix(u32))
    sweeps = f"sweeps_in_shared_memory-{real}", f"sweeps_in_global_memory-{real}"
    in_shared, in_global = (arrays, cube(real)), (arrays, both(vector(real), vector(real)), matrix(real))
    KERNELS |= {
        f"_two_level_{sweeps[0]}": (gibbs_cuda._two_level_sweeps_in_shared_memory, (*in_shared, LAYERS, RUN)),
        f"_{sweeps[0]}": (gibbs_cuda._sweeps_in_shared_memory, (*in_shared, LAYERS, RUN)),
        f"_two_level_{sweeps[1]}": (gibbs_cuda._two_level_sweeps_in_global_memory, (*in_global, LAYERS, RUN)),
        f"_{sweeps[1]}": (gibbs_cuda._sweeps_in_global_memory, (*in_global, LAYERS, RUN)),
        f"_draw_layer-{real}": (
            gibbs_cuda._draw_layer,
            (cube(real), draws, i64, cube(real), both(*KIND), matrix(u32), i64, i64, *KEY),
        ),
        f"metropolis_sweeps-{real}": (
            metropolis_cuda.metropolis_sweeps,
            (
                *(cube(real), draws, matrix(i64), cube(f64), cube(u32), matrix(u32), matrix(i64), cube(i64), cube(f64)),
                *(cube(f64), cube(f64), cube(f64), matrix(f64), cube(f64), *KIND, *KIND),
                *([i64] * 5 + [i64] * 3),
                *KEY,
            ),
        ),
        f"swap_log_ratios-{real}": (
            tempering_cuda.swap_log_ratios,
            (
                *(matrix(f64), f64[:, :, :, ::1], cube(real), matrix(i64)),
                *(cube(f64), matrix(f64), cube(f64), vector(f64), *KIND),
            ),
        ),
        f"swap_states-{real}": (tempering_cuda.swap_states, (cube(real), matrix(i64), matrix(numba.boolean))),
        f"_multiply-{real}": (annealing_cuda._multiply, [matrix(real)] * 3),
        f"_grow_and_draw_hidden-{real}": (
            annealing_cuda._grow_and_draw_hidden,
            (*(matrix(f64), matrix(real), matrix(f64), matrix(real), three_biases(real), both(*KIND)), *OF_STEP),
        ),
        f"_draw_visible-{real}": (
            annealing_cuda._draw_visible,
            (matrix(real), three_biases(real), both(*KIND), *OF_STEP),
        ),
        f"layer_means-{real}": (rbm_cuda.layer_means, (*[matrix(real)] * 3, vector(real), *KIND)),
        f"phase_statistics-{real}": (
            rbm_cuda.phase_statistics,
            (matrix(f64), vector(f64), vector(f64), matrix(real), matrix(real), vector(f64)),
        ),
    }
KERNELS |= {
    "phase_statistics-float32-moments": (
        rbm_cuda.phase_statistics,
        (matrix(f32), vector(f32), vector(f32), matrix(f32), matrix(f32), vector(f64)),
    ),
    "free_energies": (rbm_cuda.free_energies, (vector(f64), *[matrix(f64)] * 3, *[vector(f64)] * 2, *KIND)),
    "draw_rows": (units_cuda.draw_rows, (matrix(f64), *KIND, i64, i64, *KEY)),
    "mean_rows": (units_cuda.mean_rows, (matrix(f64), *KIND)),
    "variance_rows": (units_cuda.variance_rows, (matrix(f64), *KIND)),
    "cumulant_rows": (units_cuda.cumulant_rows, (vector(f64), matrix(f64), *KIND)),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_compiles_to_ptx(name):
    kernel, types = KERNELS[name]
    ptx = _cuda.compile_to_ptx(kernel, types, (9, 0))
    assert ".target sm_90" in ptx
    assert re.search(rf"\.entry \w*{name.split('-')[0]}", ptx)


def test_every_kernel_is_compiled():
    rooms = (rng_cuda, ising_cuda, bit_sliced_cuda, exact_cuda, rbm_cuda, units_cuda, gibbs_cuda, metropolis_cuda)
    for module in (*rooms, tempering_cuda, sums_cuda, annealing_cuda):
        for name, value in vars(module).items():
            if hasattr(value, "block_for_each_item"):
                assert any(name == kernel.split("-")[0] for kernel in KERNELS), name


def test_small_grids_do_not_warn():
    class Recorder:
        block_for_each_item = False

        def __getitem__(self, grid):
            warnings.warn(
                f"Grid size {grid[0]} will likely result in GPU under-utilization due to low occupancy.", stacklevel=2
            )
            return lambda *arguments: launched.append((grid, arguments))

    launched = []
    _cuda.launch(Recorder(), 130, 1, "a", "b")  # a warning would be an error here
    assert launched == [((3, 64), ("a", "b"))]


def test_cuda_without_a_gpu_raises_and_says_what_to_install():
    from mcgen.errors import DeviceError

    try:
        backend.target("cuda")
    except DeviceError as error:
        for words in ("no usable NVIDIA GPU", "pip install 'mcgen[cuda]'", "device='cpu'"):
            assert words in str(error)
        with pytest.raises(DeviceError):
            rbm.sample(rbm.RBM.random(2, 2, seed=1), device="cuda")
    else:
        pytest.skip("there is a GPU here")
