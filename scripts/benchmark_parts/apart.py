"""Contenders in a process of their own: two OpenMP runtimes in one process wait for each other's threads.

PyTorch beside Numba's OpenMP threads took four times as long for a small step as alone, which would flatter whoever it
is compared with. All contenders of one library share a process: to start one takes seconds.
"""

import itertools
import multiprocessing
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection

_context = multiprocessing.get_context("spawn")
_pipes: dict[str, Connection] = {}
_keys = itertools.count()


def apart(contender: Callable[..., Callable[[int], object]], library: str) -> Callable[..., Callable[[int], object]]:
    """The same contender(*arguments) -> run(n), with run in the process of a library, which forgets it when we do."""

    def start(*arguments: object) -> Callable[[int], object]:
        if library not in _pipes:
            _pipes[library], there = _context.Pipe()
            _context.Process(target=_serve, args=(there,), daemon=True).start()
            there.close()
        pipe, key = _pipes[library], next(_keys)
        _asked(pipe, key, (contender, arguments))

        def run(n: int) -> object:
            return _asked(pipe, key, n)

        weakref.finalize(run, pipe.send, (key, None)).atexit = False
        return run

    start.__name__ = contender.__name__
    return start


def _serve(pipe: Connection) -> None:
    runs: dict[int, Callable[[int], object]] = {}
    while True:
        try:
            key, what = pipe.recv()
        except EOFError:
            return
        if what is None:
            runs.pop(key, None)
            continue
        try:
            if isinstance(what, tuple):
                contender, arguments = what
                runs[key] = contender(*arguments)
                pipe.send((None, None))
            else:
                pipe.send((runs[key](what), None))
        except Exception as error:  # whatever it is, the other process raises it
            pipe.send((None, error))


def _asked(pipe: Connection, key: int, what: object) -> object:
    pipe.send((key, what))
    result, error = pipe.recv()
    if error is not None:
        raise error
    return result
