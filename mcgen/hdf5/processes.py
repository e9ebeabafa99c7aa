"""The processes that read files: they are started when the first file is read, and kept for the next ones."""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from mcgen.errors import FileError
from mcgen.hdf5.server import FRAME

BYTES_OF_LISTING = 1 << 28
SERVER = Path(__file__).with_name("server.py")
# What MPI and Slurm say to the processes that they start: a library of HDF5 with MPI would take the server for one.
FOREIGN = ("OMPI_", "PMI", "PRTE_", "MPI", "HYDRA_", "I_MPI_", "SLURM_")
# The process only reads, and forks: threads of a matrix library would not survive that.
OWN = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

_idle: list["Server"] = []
_lock = threading.Lock()


class Refusal(Exception):  # noqa: N818 - what a server says
    """The library cannot read a file; the server is ready for the next one."""

    def __init__(self, words: str, number: int | None):
        super().__init__(words)
        self.words, self.errno = words, number


class Server:
    """A process that reads one file after the other.

    Raises
    ------
    FileError
        If it cannot be started.
    """

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | OWN
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        more = {"env": environment, "bufsize": 0, "pipesize": 1 << 20, "start_new_session": True}
        try:
            self.process = subprocess.Popen([sys.executable, "-P", str(SERVER)], **pipes, **more)
        except OSError as error:
            raise FileError(
                f"the process that reads HDF5 files cannot be started ({error}); it runs {sys.executable!r}, which "
                "must be the Python that mcgen is installed in"
            ) from error
        try:
            self.receive()  # a first message, when it has loaded the library
        except ConnectionError:
            self.end()
            raise FileError(
                f"the process that reads HDF5 files ends at once; see what '{sys.executable} -P {SERVER}' says"
            ) from None

    def send(self, content: bytes) -> None:
        """Send a message."""
        view = memoryview(FRAME.pack(b".", len(content)) + content)
        while view:
            view = view[self.process.stdin.write(view) :]

    def receive(self, into: memoryview | None = None) -> bytearray:
        """The content of the next message.

        Parameters
        ----------
        into : memoryview, optional
            Where to put it; the content is empty then.

        Raises
        ------
        ConnectionError
            If the process has ended.
        ValueError
            If it has another length than `into`.
        Refusal
            If the message is about an error.
        """
        head = bytearray(FRAME.size)
        self._fill(memoryview(head))
        mark, length = FRAME.unpack(head)
        if into is not None and mark == b".":
            if length != len(into):
                raise ValueError(f"it has {length} bytes of a part, and {len(into)} are expected")
            self._fill(into)
            return bytearray()
        if length > BYTES_OF_LISTING and into is None:
            raise ValueError(f"what it holds takes {length:.2g} bytes to list; at most {BYTES_OF_LISTING:.2g} are read")
        content = bytearray(length)
        self._fill(memoryview(content))
        if mark == b"!":
            error = json.loads(content)
            raise Refusal(str(error["error"]), error["errno"])
        return content

    def _fill(self, view: memoryview) -> None:
        while view:
            n_now = self.process.stdout.readinto(view)
            if not n_now:
                raise ConnectionError
            view = view[n_now:]

    def end(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A process for one file: that of an earlier one, or a new one; threads have one each.

    After an exception it has ended, or is in the middle of something: then it is not kept for later files.
    """
    with _lock:
        one = _idle.pop() if _idle else None
    if one is not None and one.process.poll() is not None:  # somebody ended it
        one.end()
        one = None
    one = Server() if one is None else one
    is_ready = False
    try:
        yield one
        is_ready = True
    except Refusal:
        is_ready = hasattr(os, "fork")  # otherwise it was the server itself that opened the file
        raise
    finally:
        if is_ready:
            with _lock:
                _idle.append(one)
        else:
            one.end()


@atexit.register
def end_all() -> None:
    """End the processes that wait for files."""
    with _lock:
        while _idle:
            _idle.pop().end()


def _forget() -> None:
    """In a process that was forked from this one: the servers are those of the other one."""
    global _lock
    _lock = threading.Lock()
    for one in _idle:
        one.process.stdin.close()
        one.process.stdout.close()
        one.process.returncode = 0  # not a child of this process
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
