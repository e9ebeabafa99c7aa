"""What the simulator has to notice: a barrier that is missing, and a lane that fails while others wait."""

import numpy as np
import pytest
from numba import cuda, float64

N_LANES = 4


@cuda.jit
def _rotate(out, shift, has_barrier):
    """Each lane writes its number and reads that of another."""
    shared = cuda.shared.array(N_LANES, float64)
    lane = cuda.threadIdx.x
    shared[lane] = lane
    if has_barrier:
        cuda.syncthreads()
    out[cuda.blockIdx.x, lane] = shared[(lane + shift) % N_LANES]


def _rotated(shift, has_barrier):
    out = np.zeros((2, N_LANES))
    _rotate[2, N_LANES](out, shift, has_barrier)
    return out


def check_barrier():
    for shift in (1, 2, 3):
        assert (_rotated(shift, True) == (np.arange(N_LANES) + shift) % N_LANES).all()


def check_missing_barrier():
    for shift in (1, 2, 3):
        assert np.isnan(_rotated(shift, False)).any(axis=1).all()


@cuda.jit
def _read_after_write(out, from_below):
    """Each lane reads what its neighbour wrote: right without a barrier when lanes run in the order of the chain."""
    shared = cuda.shared.array(N_LANES + 2, float64)
    lane = cuda.threadIdx.x
    shared[lane + 1] = 1
    out[cuda.blockIdx.x, lane] = shared[lane if from_below else lane + 2]


def check_orders():
    for from_below in (False, True):
        out = np.zeros((2, N_LANES))
        _read_after_write[2, N_LANES](out, from_below)
        inner = out[:, 1:] if from_below else out[:, :-1]
        assert (inner == 1).all(axis=1).tolist() == [from_below, not from_below]


@cuda.jit
def _fail(lane):
    if cuda.threadIdx.x == lane:
        raise ValueError("no such lane")
    cuda.syncthreads()


def check_failing_lane():
    for lane in (0, 3):
        with pytest.raises(ValueError, match=rf"tid=\[{lane}, 0, 0\] ctaid=\[0, 0, 0\]: no such lane"):
            _fail[1, N_LANES](lane)
    assert (_rotated(1, True)[:, 0] == 1).all()


CHECKS = {name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")}
