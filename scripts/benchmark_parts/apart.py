"""Contenders in a process of their own: two OpenMP runtimes in one process wait for each other's threads.

PyTorch beside Numba's OpenMP threads took four times as long for a small step as alone, which would flatter whoever it
is compared with.
"""

import multiprocessing
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection

_processes = multiprocessing.get_context("spawn")


def apart(contender: Callable[..., Callable[[int], object]]) -> Callable[..., Callable[[int], object]]:
    """The same contender(*arguments) -> run(n), with run in another process, which ends when run is forgotten."""

    def start(*arguments: object) -> Callable[[int], object]:
        here, there = _processes.Pipe()
        process = _processes.Process(target=_serve, args=(there, contender, arguments), daemon=True)
        process.start()
        there.close()
        _received(here)  # it is made

        def run(n: int) -> object:
            here.send(n)
            return _received(here)

        weakref.finalize(run, here.close)
        return run

    start.__name__ = contender.__name__
    return start


def _serve(pipe: Connection, contender: Callable, arguments: tuple) -> None:
    try:
        run = contender(*arguments)
        pipe.send((None, None))
        while True:
            try:
                n = pipe.recv()
            except EOFError:
                return
            pipe.send((run(n), None))
    except Exception as error:  # whatever it is, the other process raises it
        pipe.send((None, error))


def _received(pipe: Connection) -> object:
    result, error = pipe.recv()
    if error is not None:
        raise error
    return result
