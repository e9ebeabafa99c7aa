"""The side of the reader that never touches the HDF5 library: it asks the server, and checks sizes."""

import contextlib
import dataclasses
import errno
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mcgen.errors import FileError
from mcgen.hdf5.processes import Refusal, server
from mcgen.hdf5.server import blocks, fitting

SIGNATURE = b"\x89HDF\r\n\x1a\n"
CUT_OFF = re.compile(r"truncated file: eof = (\d+),.* stored_eof = (\d+)")
DTYPE = re.compile(r"[<|=]?[biuf][1248]")
SECONDS = 60  # for one call of HDF5, which answers in milliseconds or never
DAMAGED = "it is damaged or incomplete, make it again"


def printable(text: str) -> str:
    """Text with names from a file, in one line of at most 300 letters that a terminal takes for nothing else."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= 300 else text[:297] + "..."


class Group(dict):
    """The arrays of a group by name.

    Attributes
    ----------
    attrs : dict
        Texts, and numbers or arrays of numbers of NumPy.
    """

    def __init__(self, attrs: dict, arrays: dict[str, np.ndarray]):
        super().__init__(arrays)
        self.attrs = attrs


@dataclasses.dataclass(frozen=True)
class Entry:
    """A dataset that was not read yet.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    block : tuple of int
        What is read at a time.
    scales : tuple of list of str
        Paths of the dimension scales of each axis, where they were asked for.
    is_scale : bool
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    block: tuple[int, ...]
    scales: tuple[list[str], ...] = ()
    is_scale: bool = False

    @property
    def n_bytes(self) -> int:
        """What reading it takes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a file holds.

    Attributes
    ----------
    attrs : dict
        Of the root.
    groups : dict of dict of Entry
        Of every group; those in others have names like "outer/inner".
    group_attrs : dict of dict
    problems : dict of str
        What keeps an item from being read, by its name: "group/dataset", "group", or "group@attribute".
    sources : dict of str
        The other files that virtual datasets take their numbers from, and what is wrong with each, or "".
    """

    attrs: dict
    groups: dict[str, dict[str, Entry]]
    group_attrs: dict[str, dict]
    problems: dict[str, str]
    sources: dict[str, str]


def is_hdf5(path: str | Path) -> bool:
    """Whether a file begins as HDF5 files do.

    Raises
    ------
    FileError
        If it is no file, or may not be read.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise FileError(f"{path} is not a file; check the path")
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from error


def read(
    path: str | Path,
    choose: Callable[[Listing], Iterable[str] | Mapping[str, tuple[slice, ...]]],
    scales: bool = False,
) -> tuple[Listing, dict[str, Group]]:
    """Read datasets of a file.

    Parameters
    ----------
    path : str or Path
    choose : callable
        choose(listing) returns the names of the datasets to read, "group/dataset", or a dictionary that has for each
        of them the part to read: a slice without step for every axis.
    scales : bool
        Whether the listing names the dimension scales.

    Returns
    -------
    listing : Listing
    groups : dict of Group
        All groups; those of which nothing was chosen are empty.

    Raises
    ------
    FileError
        If the file cannot be read, or the datasets do not fit into the memory that is free.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import h5py
    >>> from mcgen import hdf5
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "file.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["group/numbers"] = [1.5, 2.5]
    >>> hdf5.read(path, lambda listing: ["group/numbers"])[1]["group"]["numbers"]
    array([1.5, 2.5])
    >>> hdf5.read(path, lambda listing: {"group/numbers": (slice(1, None),)})[1]["group"]["numbers"]
    array([2.5])
    """
    path = Path(path)
    if not is_hdf5(path):
        raise FileError(f"{path} is not an HDF5 file; give a file written by mcgen")
    wrong = None
    try:
        with server() as one:
            # Parts of virtual datasets lie beside the file, not beside a symbolic link to it.
            one.send(json.dumps({"path": str(path.resolve()), "scales": scales, "seconds": SECONDS}).encode())
            listing = _listing(json.loads(one.receive()))
            groups = {name: Group(attrs, {}) for name, attrs in listing.group_attrs.items()}
            parts = []
            try:
                parts = _parts(listing, choose(listing))
                _check_memory(path, sum(math.prod(part.shape) * part.dtype.itemsize for part in parts))
            except FileError as error:  # the server hears of it as of any other end
                parts, wrong = [], error
            one.send(json.dumps([(part.name, part.start, part.shape, part.block) for part in parts]).encode())
            for part in parts:
                group, dataset = part.name.rsplit("/", 1)
                array = groups[group][dataset] = np.empty(part.shape, part.dtype)
                for place in blocks(part.shape, part.block, (0,) * len(part.shape)):
                    target = array[place]
                    if target.ndim and target.flags.c_contiguous:
                        one.receive(memoryview(target.reshape(-1).view(np.uint8)))
                    else:
                        array[place] = np.frombuffer(one.receive(), part.dtype).reshape(target.shape)
            one.receive()  # the file is closed
    except Refusal as refusal:
        if refusal.errno in (errno.EAGAIN, errno.EACCES) and "lock" in refusal.words:
            raise FileError(f"{path} is being written by another process; read it when that has ended") from None
        words = printable(" ".join(refusal.words.split()))
        if "already open for" in words:
            raise FileError(
                f"{path} is being written by another process, or was when that was killed; read it when that has "
                "ended, or make it again"
            ) from None
        if cut_off := CUT_OFF.search(words):
            bytes_there = " of its ".join(cut_off.groups())
            words = f"it is cut off, and has {bytes_there} bytes"
            raise FileError(f"{path} cannot be read ({words}); copy it again, or make it again") from None
        raise FileError(f"{path} cannot be read ({words}); {DAMAGED}") from None
    except ConnectionError:
        words = f"HDF5 crashed on it, or took more than {SECONDS} seconds or too much memory"
        raise FileError(f"{path} cannot be read ({words}); {DAMAGED}") from None
    except (MemoryError, ValueError) as error:
        raise FileError(f"{path} cannot be read ({error}); {DAMAGED}") from error
    if wrong is not None:
        raise wrong
    return listing, groups


class _Part(NamedTuple):
    """What is read of a dataset."""

    name: str
    dtype: np.dtype
    start: tuple[int, ...]
    shape: tuple[int, ...]
    block: tuple[int, ...]


def _parts(listing: Listing, chosen: Iterable[str] | Mapping[str, tuple[slice, ...]]) -> list[_Part]:
    parts = []
    for name in chosen:
        group, dataset = name.rsplit("/", 1)
        entry = listing.groups[group][dataset]
        start, shape, block = (0,) * len(entry.shape), entry.shape, entry.block
        if isinstance(chosen, Mapping):
            ranges = [range(n)[one] for n, one in zip(entry.shape, chosen[name], strict=True)]
            start, shape = tuple(one.start for one in ranges), tuple(map(len, ranges))
            block = fitting(shape, entry.dtype.itemsize)
        parts.append(_Part(name, entry.dtype, start, shape, block))
    return parts


def _listing(sent: dict) -> Listing:
    """The listing that the server sent."""
    problems = {str(name): str(words) for name, words in sent["problems"]}
    groups, group_attrs = {}, {}
    for name, group in sent["groups"].items():
        group_attrs[name] = _attributes(name, group["attributes"], problems)
        groups[name] = {inner: _entry(one) for inner, one in group["datasets"].items()}
    sources = {str(name): str(words) for name, words in sent["sources"].items()}
    return Listing(_attributes("", sent["attributes"], problems), groups, group_attrs, problems, sources)


def _entry(sent: dict) -> Entry:
    if not DTYPE.fullmatch(sent["dtype"]):
        raise ValueError(f"its numbers have the unknown type {sent['dtype']!r}")
    shape, block = (tuple(map(int, sent[name])) for name in ("shape", "block"))
    return Entry(shape, np.dtype(sent["dtype"]), block, tuple(sent.get("scales", ())), sent.get("is_scale", False))


def _attributes(group: str, sent: dict, problems: dict[str, str]) -> dict:
    found = {}
    for name, value in sent.items():
        if "problem" in value:
            problems[f"{group}@{name}"] = value["problem"]
        elif "text" in value:
            found[name] = value["text"]
        else:
            found[name] = np.array(value["numbers"], value["dtype"]).reshape(value["shape"])[()]
    return found


def _check_memory(path: Path, n_bytes: int) -> None:
    """Raise `FileError` if so much does not fit into the memory that is free."""
    free = _free_memory()
    if n_bytes > free:
        raise FileError(
            f"{path} declares {n_bytes:.3g} bytes of data, and {free:.3g} bytes of memory are free; read it on a "
            "larger machine, or without states (keep_states=False)"
        )


def _free_memory() -> int:
    """The bytes of memory that are free; all, or any number, where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    if not hasattr(os, "sysconf"):
        return 1 << 62
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
