"""Numba's CUDA simulator, in which the lanes of a block take turns: `python -m twins.simulator MODULE`.

Runs the `CHECKS` of a module and prints a line for each: that the twins agree, or how it failed.

Left to itself the simulator starts all lanes of a block at once and asks each of them, over and over, whether it waits
at a barrier: nearly all of its time goes into asking. Here one lane runs at a time, until the next barrier or its end.
The lanes of every second block take their turns from the last to the first: a kernel that lacks a barrier fails in one
of the two orders, and does so in every run. Blocks have up to 64 lanes: more than one warp, as on a GPU. Shared memory
of each block starts as NaN and -1, not as the last block left it.
"""

import importlib
import sys
import threading
import traceback

import numpy as np
from numba import cuda
from numba.cuda.simulator import kernel
from numba.cuda.simulator.kernelapi import FakeCUDAShared

from mcgen import _cuda

UNSET = 0xFF  # in every byte: NaN, or -1


class Aborted(BaseException):
    """Ends a lane whose block has failed."""


class Lane(kernel.BlockThread):
    """One lane: a thread that runs while it has its turn."""

    def __init__(self, function, block, block_index, thread_index):
        super().__init__(function, block, block_index, thread_index, debug=False)
        self.turn = threading.Semaphore(0)
        self.over = False

    def run(self):
        self.turn.acquire()
        try:
            if not self.abort:
                super().run()
        except Aborted:
            pass
        finally:
            self.over = True
            self._manager.back.release()

    def syncthreads(self):
        self._manager.back.release()
        self.turn.acquire()
        if self.abort:
            raise Aborted


class Block:
    """The lanes of one block, in the place of the simulator's `BlockManager`."""

    def __init__(self, function, grid_dim, block_dim, debug):
        self._function = function
        self._grid_dim = grid_dim
        self._block_dim = block_dim
        self.block_state = np.zeros(block_dim, dtype=np.bool_)
        self.back = threading.Semaphore(0)

    def run(self, block_index, *arguments):
        def lane(thread_index):
            return Lane(lambda: self._function(*arguments), self, block_index, thread_index)

        shared = kernel._get_kernel_context().shared
        shared._allocations.clear()
        shared._dynshared.view(np.uint8).fill(UNSET)
        lanes = [lane(thread_index) for thread_index in np.ndindex(*self._block_dim)]
        if np.ravel_multi_index(block_index, self._grid_dim) % 2:
            lanes.reverse()
        for one in lanes:
            one.start()
        waiting = lanes
        while waiting:
            for one in waiting:
                self._let(one)
                if one.exception:
                    self._abort(lanes)
                    raise one.exception[0].with_traceback(one.exception[1])
            waiting = [one for one in waiting if not one.over]

    def _let(self, lane):
        lane.turn.release()
        self.back.acquire()

    def _abort(self, lanes):
        for lane in lanes:
            if not lane.over:
                lane.abort = True
                self._let(lane)


_launch = kernel.FakeCUDAKernel.__call__
_replaced = []


def _call(self, *arguments):
    """Launch a kernel, or call a device function from one.

    Names in a kernel's module that are `cuda` have to mean the simulator's. It looks for them in every call of a
    device function, under locks; one look for each module and launch is enough where one lane runs at a time.
    """
    running = kernel._get_kernel_context()
    if running is None:
        try:
            return _launch(self, *arguments)
        finally:
            while _replaced:
                _replaced.pop()["cuda"] = cuda
    names = self.fn.__globals__
    if names.get("cuda") is cuda:
        _replaced.append(names)
        names["cuda"] = running
    return self.fn(*arguments)


def _shared_array(self, shape, dtype):
    """The shared array that a line of a kernel asks for; the simulator formats the whole stack to know the line."""
    dtype = np.dtype(getattr(dtype, "name", dtype))
    if shape == 0:
        return np.frombuffer(self._dynshared.data, dtype=dtype, count=self._dynshared_size // dtype.itemsize)
    frame = sys._getframe(1)
    caller = frame.f_code, frame.f_lineno
    if caller not in self._allocations:
        self._allocations[caller] = np.empty(shape, dtype)
        self._allocations[caller].view(np.uint8).fill(UNSET)
    return self._allocations[caller]


def take_turns():
    """Have the simulator of this process run one lane at a time; before any kernel is imported."""
    _cuda.WIDEST_BLOCK = 64
    kernel.BlockManager = Block
    kernel.FakeCUDAKernel.__call__ = _call
    FakeCUDAShared.array = _shared_array


def run(checks):
    """Print a line for each check: that the twins agree, or how it failed."""
    for name, check in checks.items():
        try:
            check()
            print(f"{name} agrees", flush=True)
        except Exception:
            last = " | ".join(traceback.format_exc().strip().splitlines()[-6:])
            print(f"{name} FAILS {last}", flush=True)


if __name__ == "__main__":
    take_turns()
    run(importlib.import_module(sys.argv[1]).CHECKS)
