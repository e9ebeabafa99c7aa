"""Ways to damage an HDF5 file, in its structure and in its bytes."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
from hypothesis import strategies as st

NUMBERS = (0, 1, -1, 2, 3, 7, 100, 2**31, 2**63 - 1, -(2**63), 10**15, 0.5, float("nan"), float("inf"), -1e308)
DTYPES = ("i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8", ">f8", "c16", "?", "S3", "V5")
TEXTS = (
    "",
    "rbm",
    "vae",
    "ising",
    "conditional-vae",
    "potts",
    "gaussian",
    "relu",
    "spin",
    "running",
    "\ud800",
    "a\nb\x1b",
)
JSONS = ("[" * 100_000, "{}", "[]", "[1, 2]", "[null, {}]", '{"a": NaN}', "1" * 5000, '["' + "x" * 60_000 + '"]')
NAMES = (
    "states",
    "weights",
    "temperature",
    "entry",
    "epoch",
    "kind",
    "settings",
    "x",
    "..",
    "samples",
    "model",
    "site_7",
)


def places(file: h5py.File) -> list[str]:
    """All groups and datasets of a file."""
    names = []
    file.visit(names.append)
    return names


def delete(file: h5py.File, name: str, *_: object) -> None:
    """No such group or dataset."""
    del file[name]


def rename(file: h5py.File, name: str, other: str, *_: object) -> None:
    """Another name, or the place of another."""
    file.move(name, f"{name.rsplit('/', 1)[0]}/{other}" if "/" in name else other)


def retype(file: h5py.File, name: str, _: str, __: float, dtype: str, *___: object) -> None:
    """Numbers of another type."""
    values = file[name][()]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.asarray(values).astype(dtype)
    del file[name]
    file[name] = values


def reshape(file: h5py.File, name: str, _: str, __: float, ___: str, k: int) -> None:
    """One axis more, or fewer, or another length."""
    values = np.asarray(file[name][()])
    turned = np.swapaxes(np.atleast_2d(values), 0, -1)
    choices = (values[None], values.ravel(), values[..., :0], np.repeat(values, 3), turned)
    del file[name]
    file[name] = choices[k % len(choices)]


def fill(file: h5py.File, name: str, _: str, value: float, __: str, k: int) -> None:
    """Another number in one place, or everywhere."""
    dataset = file[name]
    with np.errstate(all="ignore"):
        number = np.array(value).astype(dataset.dtype)
    if k % 2 or not dataset.shape:
        dataset[...] = number
    else:
        dataset[(0,) * dataset.ndim] = number


def huge(file: h5py.File, name: str, _: str, __: float, ___: str, k: int) -> None:
    """A dataset that declares more than any memory."""
    shape = tuple(10**5 if length else 0 for length in file[name].shape) or (10**15,)
    del file[name]
    file.create_dataset(name, shape, "f8", chunks=(1 + k % 100,) * len(shape))


def soft_link(file: h5py.File, name: str, other: str, *_: object) -> None:
    """A link inside of the file."""
    del file[name]
    file[name] = h5py.SoftLink("/" + other)


def external_link(file: h5py.File, name: str, *_: object) -> None:
    """A link to a file of the system."""
    del file[name]
    file[name] = h5py.ExternalLink("/etc/passwd", "/")


def virtual(file: h5py.File, name: str, other: str, _: float, __: str, k: int) -> None:
    """A dataset of numbers that lie elsewhere."""
    source = "../" + other if k % 2 else other
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(source, "x", (3,))
    del file[name]
    file.create_virtual_dataset(name, layout)


def external(file: h5py.File, name: str, *_: object) -> None:
    """A dataset whose numbers are bytes of a file of the system."""
    del file[name]
    file.create_dataset(name, (16,), "i1", external=[("/etc/passwd", 0, 16)])


def strange(file: h5py.File, name: str, _: str, __: float, ___: str, k: int) -> None:
    """References, texts of any length, an empty dataset, a compound, a named type."""
    reference = file.ref
    del file[name]
    kind = k % 5
    if kind == 0:
        file.create_dataset(name, (2,), h5py.ref_dtype)[0] = reference
    elif kind == 1:
        file[name] = np.array(["a", "b" * 100], h5py.string_dtype())
    elif kind == 2:
        file[name] = h5py.Empty("f8")
    elif kind == 3:
        file[name] = np.zeros(3, [("a", "i4"), ("b", "f8")])
    else:
        file[name] = np.dtype("f8")


def cycle(file: h5py.File, name: str, *_: object) -> None:
    """A group inside of itself."""
    parent = file[name].parent
    parent["again"] = file["/"]
    del file[name]
    file[name] = parent


def set_attribute(file: h5py.File, name: str, other: str, value: float, dtype: str, k: int) -> None:
    """An attribute with another value, that is there or not."""
    item = file[name]
    names = [*item.attrs, other]
    options = (value, np.array([value] * 2), TEXTS[k % len(TEXTS)], JSONS[k % len(JSONS)], h5py.Empty(dtype))
    item.attrs[names[k % len(names)]] = options[k // 7 % len(options)]


def root_attribute(file: h5py.File, _: str, *arguments: object) -> None:
    """The same of the root."""
    set_attribute(file, "/", *arguments)


def delete_attribute(file: h5py.File, name: str, _: str, __: float, ___: str, k: int) -> None:
    """An attribute less."""
    names = [*file[name].attrs]
    if names:
        del file[name].attrs[names[k % len(names)]]


MUTATIONS: tuple[Callable, ...] = (
    *(delete, rename, retype, reshape, fill, huge, soft_link, external_link, virtual, external, strange, cycle),
    *(set_attribute, root_attribute, delete_attribute),
)


STRUCTURE = st.tuples(
    st.sampled_from(MUTATIONS),
    st.integers(0, 10**4),
    st.sampled_from(NAMES),
    st.sampled_from(NUMBERS),
    st.sampled_from(DTYPES),
    st.integers(0, 2**10),
)
# Offsets are drawn as they are, or near to the beginning, where the tables of the file lie.
FLIPS = st.tuples(st.one_of(st.integers(0, 10**5), st.integers(0, 4096)), st.integers(0, 255))


def damages(names: Sequence[str]) -> st.SearchStrategy:
    """What may happen to one of the files of these names: (name, structure, flips, cut), of which most are few."""
    return st.tuples(
        st.sampled_from(sorted(names)),
        st.lists(STRUCTURE, max_size=2),
        st.lists(FLIPS, max_size=3),
        st.one_of(*[st.none()] * 4, st.integers(0, 10**5)),
    )


def mutate(path: Path, content: bytes, structure: Sequence[tuple], flips: Sequence[tuple], cut: int | None) -> None:
    """Write a mutated file.

    Parameters
    ----------
    path : Path
    content : bytes
        Of a valid file.
    structure : sequence of (mutation, place, name, number, dtype, k)
        Those that do not fit are left out.
    flips : sequence of (offset, byte)
    cut : int or None
        Where the file ends.
    """
    path.write_bytes(content)
    if structure and path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            for mutation, number, *arguments in structure:
                names = places(file)
                try:
                    mutation(file, names[number % len(names)], *arguments)
                except Exception:
                    continue
    changed = bytearray(path.read_bytes())
    for offset, byte in flips:
        changed[offset % len(changed)] = byte
    path.write_bytes(changed if cut is None else changed[: cut % len(changed)])
