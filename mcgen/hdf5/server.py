"""Reads HDF5 files on behalf of another process: run as a program by `mcgen.hdf5`.

Of it, others import only what both sides of the pipe have to agree on.

The HDF5 library may crash or loop without end on a damaged file. So each file is opened by a process of its own, forked
from this one, which has loaded the library and never opens a file itself; where the system cannot fork, this one opens
it. What the file holds goes through a pipe: a listing in JSON, then the blocks of the datasets that are asked for.
Links are not followed, and nothing is interpreted.
"""

import contextlib
import faulthandler
import gc
import io
import json
import math
import os
import struct
from collections.abc import Iterator, Sequence

import h5py
import numpy as np

try:
    import resource
except ImportError:  # Windows
    resource = None

BYTES_OF_MEMORY = 3 << 30
BYTES_PER_CHUNK = 1 << 29
BYTES_PER_ATTRIBUTE = 1 << 20
MOST_ITEMS = 10_000
MOST_DEPTH = 100
FRAME = struct.Struct("<cQ")
NUMBERS = "biuf"
HERE = "."  # a source in the file itself
# What dimension scales and netCDF keep among the attributes.
OWN_ATTRIBUTES = ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "DIMENSION_LABELS")


class Problem(Exception):  # noqa: N818 - a fact about a file
    """What is wrong with one item of a file."""


def main() -> None:
    """Read one file after the other, each in a process that is forked for it, until the standard input is closed."""
    gc.disable()  # it would touch, and so copy, all memory of a process that was forked
    with open(0, "rb", buffering=0) as requests, open(1, "wb", buffering=0) as answers:
        _send(answers, b".", b"")
        while (request := _receive(requests)) is not None:
            if not hasattr(os, "fork"):
                serve(request, requests, answers)
                continue
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    _limit_memory()
                    serve(request, requests, answers)
                    status = 0
                finally:
                    os._exit(status)
            if os.waitpid(child, 0)[1] != 0:  # what it has sent may end in the middle of a message
                return


def _limit_memory() -> None:
    if resource is not None:
        for limit, value in ((resource.RLIMIT_AS, BYTES_OF_MEMORY), (resource.RLIMIT_CORE, 0)):
            most = resource.getrlimit(limit)[1]
            with contextlib.suppress(OSError, ValueError):  # macOS has no limit of memory
                resource.setrlimit(limit, (value if most == resource.RLIM_INFINITY else min(value, most), most))


@contextlib.contextmanager
def _limited_time(seconds: float) -> Iterator[None]:
    """End the process if this takes too long: also where the library does not come back."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def serve(request: bytes, requests: io.RawIOBase, answers: io.RawIOBase) -> None:
    """Answer what is asked about one file: its listing, then parts of datasets, then an empty message."""
    request = json.loads(request)
    try:
        with contextlib.ExitStack() as ending:
            with _limited_time(request["seconds"]):
                file = ending.enter_context(h5py.File(request["path"], "r"))
                datasets: dict[str, h5py.Dataset] = {}
                listing = _listing(file, datasets, request["scales"])
            _send(answers, b".", json.dumps(listing).encode())
            for name, start, shape, block in json.loads(_receive(requests) or b"[]"):
                native = datasets[name].dtype.newbyteorder("=")
                for place in blocks(shape, block, start):
                    with _limited_time(request["seconds"]):
                        data = np.ascontiguousarray(datasets[name][place], native)
                    _send(answers, b".", memoryview(data).cast("B") if data.size else b"")
        _send(answers, b".", b"")  # the file is closed, and its lock given up
    except BrokenPipeError:
        return
    except Exception as error:
        words = {"error": str(error) or type(error).__name__, "errno": getattr(error, "errno", None)}
        _send(answers, b"!", json.dumps(words).encode())


def blocks(shape: Sequence[int], block: Sequence[int], start: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """The places of the blocks of a part of an array, in row-major order."""
    counts = [-(-length // one) for length, one in zip(shape, block, strict=True)]
    for number in range(math.prod(counts)):
        place = []
        for axis in reversed(range(len(counts))):
            number, k = divmod(number, counts[axis])
            first, end = k * block[axis], min((k + 1) * block[axis], shape[axis])
            place.insert(0, slice(start[axis] + first, start[axis] + end))
        yield tuple(place)


def fitting(shape: Sequence[int], n_bytes: int) -> tuple[int, ...]:
    """The shape of blocks of 16 MB of an array with elements of n_bytes."""
    room = (1 << 24) // n_bytes
    block: list[int] = []
    for length in reversed(shape):
        block.insert(0, max(1, min(length, room)))
        room //= block[0]
    return tuple(block)


def _send(answers: io.RawIOBase, mark: bytes, content: bytes) -> None:
    for part in (FRAME.pack(mark, len(content)), content):
        view = memoryview(part)
        while view:
            view = view[answers.write(view) :]


def _receive(requests: io.RawIOBase) -> bytes | None:
    """The next message; None at the end."""
    head = _exactly(requests, FRAME.size)
    return None if head is None else _exactly(requests, FRAME.unpack(head)[1])


def _exactly(requests: io.RawIOBase, n_bytes: int) -> bytes | None:
    content = b""
    while len(content) < n_bytes:
        part = requests.read(n_bytes - len(content))
        if not part:
            return None
        content += part
    return content


def _listing(file: h5py.File, datasets: dict, scales: bool) -> dict:
    """What the file holds, without the data; `datasets` gets the datasets by name."""
    listing = {"attributes": _attributes(file), "groups": {}, "problems": [], "sources": {}}
    waiting, seen = [("", file)], {_address(file)}
    while waiting:
        path, group = waiting.pop()
        for name in _names(group):
            place = f"{path}/{name}" if path else name
            try:
                item = _item(group, name)
                if isinstance(item, h5py.Group):
                    if _address(item) in seen:
                        raise Problem("is a group that has another place, too")
                    seen.add(_address(item))
                    if len(seen) > MOST_ITEMS:
                        raise Problem(f"is one of more than {MOST_ITEMS} groups")
                    if place.count("/") == MOST_DEPTH:
                        raise Problem(f"lies in more than {MOST_DEPTH} groups")
                    listing["groups"][place] = {"attributes": _attributes(item), "datasets": {}}
                    waiting.append((place, item))
                elif not path:
                    raise Problem("is a dataset, and groups are expected there")
                else:
                    listing["groups"][path]["datasets"][name] = _described(item, scales, listing["sources"])
                    datasets[place] = item
            except Problem as problem:
                listing["problems"].append([place, str(problem)])
    return listing


def _address(group: h5py.Group) -> int:
    """Where a group lies in the file: groups of other names may be the same one."""
    return h5py.h5o.get_info(group.id).addr


def _names(group: h5py.Group) -> list[str]:
    if len(group) > MOST_ITEMS:
        raise Problem(f"has {len(group)} items; at most {MOST_ITEMS} are expected")
    return [name if isinstance(name, str) else repr(name) for name in group]


def _item(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """A group or dataset; links to elsewhere are not followed."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise Problem(f"is a {'link into another file' if isinstance(link, h5py.ExternalLink) else 'soft link'}")
    item = group.get(name)
    if not isinstance(item, h5py.Group | h5py.Dataset):
        raise Problem("is neither a group nor a dataset")
    return item


def _attributes(item: h5py.Group) -> dict:
    """Attributes: texts as they are, numbers with their dtype and shape, others by what they are."""
    if len(item.attrs) > MOST_ITEMS:
        raise Problem(f"has {len(item.attrs)} attributes; at most {MOST_ITEMS} are expected")
    return {name: _attribute(item, name) for name in item.attrs if name not in OWN_ATTRIBUTES}


def _attribute(item: h5py.Group, name: str) -> dict:
    try:
        identity = item.attrs.get_id(name)
        if identity.shape is None or math.prod(identity.shape) * identity.dtype.itemsize > BYTES_PER_ATTRIBUTE:
            return {"problem": "is empty or too large"}
        if h5py.check_string_dtype(identity.dtype) is None and identity.dtype.kind not in NUMBERS:
            return {"problem": "is neither text nor numbers"}
        value = item.attrs[name]
    except Exception as error:
        return {"problem": f"cannot be read ({error})"}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OSU":
        return {"problem": "is a list of texts"}
    if isinstance(value, bytes | str):
        encoded = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        if len(encoded) > BYTES_PER_ATTRIBUTE:
            return {"problem": "is too large"}
        return {"text": encoded.decode("utf-8", "replace")}
    numbers = np.asarray(value)
    return {"dtype": numbers.dtype.newbyteorder("=").str, "shape": numbers.shape, "numbers": numbers.ravel().tolist()}


def _described(dataset: h5py.Dataset, scales: bool, sources: dict) -> dict:
    """Shape, dtype and blocks of a dataset; what keeps it from being read is a problem, or one of `sources`."""
    dtype, shape = dataset.dtype, dataset.shape
    if shape is None or dtype.kind not in NUMBERS or dtype.itemsize > 8:
        raise Problem("does not hold plain numbers")
    if dataset.external:
        raise Problem("keeps its numbers in another file")
    if dataset.is_virtual:
        _check_sources(dataset, sources)
    elif dataset.chunks:
        n_bytes, expected = math.prod(dataset.chunks) * dtype.itemsize, 1
        for length, one in zip(shape, dataset.chunks, strict=True):
            expected *= -(-length // one)
        if n_bytes > BYTES_PER_CHUNK:
            raise Problem(f"has chunks of {n_bytes:.2g} bytes; at most {BYTES_PER_CHUNK:.2g} are read")
        if dataset.id.get_num_chunks() != expected:
            raise Problem(f"declares shape {shape}, and {dataset.id.get_num_chunks()} of its {expected} chunks exist")
    elif dataset.id.get_storage_size() != dataset.size * dtype.itemsize:
        raise Problem(f"declares shape {shape}, and the file holds {dataset.id.get_storage_size()} bytes of it")
    described = {
        "shape": shape,
        "dtype": dtype.newbyteorder("=").str,
        "block": dataset.chunks or fitting(shape, dtype.itemsize),
    }
    if scales:
        described["scales"] = [[scale.name or "" for scale in axis.values()] for axis in dataset.dims]
        described["is_scale"] = bool(dataset.is_scale)
    return described


def _check_sources(dataset: h5py.Dataset, sources: dict) -> None:
    """Look at the files that a virtual dataset takes its numbers from; `sources` gets what is wrong with each, or "".

    HDF5 opens whatever is named, wherever it lies, and reads fill values where there is nothing. Sources may lie beside
    the file, or in a folder of draws beside it, and hold plain numbers.
    """
    wanted: dict[str, set[str]] = {}
    for one in dataset.virtual_sources():
        wanted.setdefault(one.file_name, set()).add(one.dset_name)
    for name, inner in wanted.items():
        plain, folders = name.replace("%%", "%"), name.split("/")[:-1]
        if name == HERE:
            for one in inner:
                _check_source(dataset.file, one)
        elif "%" in name.replace("%%", "") or ".." in name.split("/") or not _may_lie_in(folders):
            raise Problem(f"takes numbers from {plain!r}, where no mcgen puts them: do not trust this file")
        elif not sources.get(plain):
            sources[plain] = _wrong_source(os.path.join(os.path.dirname(dataset.file.filename), plain), inner)  # noqa: PTH118, PTH120 - this program starts quickly


def _may_lie_in(folders: list[str]) -> bool:
    return not folders or (len(folders) == 1 and folders[0].endswith(".blocks"))


def _wrong_source(path: str, names: set[str]) -> str:
    """What is wrong with a file that has datasets of others, or ""."""
    if not os.path.isfile(path):  # noqa: PTH113
        return "is not there"
    try:
        with h5py.File(path, "r") as file:
            for name in names:
                _check_source(file, name)
    except Problem as problem:
        return str(problem)
    except Exception as error:
        return f"cannot be opened ({error})"
    return ""


def _check_source(file: h5py.File, name: str) -> None:
    """Numbers of a virtual dataset may lie in a plain one, which no link leads to."""
    item = file
    for part in name.strip("/").split("/"):
        if not isinstance(item, h5py.Group) or part not in item:
            raise Problem(f"takes numbers from /{name.strip('/')}, which is not there")
        item = _item(item, part)
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        raise Problem(f"takes numbers from /{name.strip('/')}, which holds none itself")


if __name__ == "__main__":
    main()
