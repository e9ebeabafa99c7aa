"""The words that the schema is written in."""

import dataclasses

VERSION = 3

# Words for types, as kinds and sizes of numbers of NumPy.
DTYPES = {
    "int8": ("i1",),
    "int64": ("i8",),
    "uint64": ("u8", "i8"),
    "float64": ("f8",),
    "float": ("f4", "f8"),
    "state": ("i1", "f4", "f8"),
    "number": ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"),
}
# Names of the leading axis of groups that hold several entries.
AXES = ("temperature", "entry")
# How coordinates of the parameters of layers end.
OF_LAYERS = ("_input", "_output", "_row", "_column", "_feature")
ABOVE_0 = 5e-324  # the smallest positive number


@dataclasses.dataclass(frozen=True)
class Attribute:
    """An attribute of a group, or of the root.

    Attributes
    ----------
    name, words : str
        `words` say what it is.
    form : {"text", "json", "json list", "integer", "number", "integers", "numbers"}
        "json" is a text, as is "json list", of one object for each entry; the plurals are arrays of one axis.
    choices : tuple of str
        The texts it may be, if they are few.
    low : float
        The smallest number allowed.
    size : bool
        Whether it is the size of something in the group: it is then bounded by how much the group holds.
    when : tuple (str, tuple of str), or None
        It is there if another attribute has one of these values (if it is there at all, where there are no values).
    optional : bool
    since, until : int
        The versions of the schema that have it.
    """

    name: str
    form: str
    words: str
    choices: tuple[str, ...] = ()
    low: float = -float("inf")
    size: bool = False
    when: tuple[str, tuple[str, ...]] | None = None
    optional: bool = False
    since: int = 1
    until: int = VERSION


@dataclasses.dataclass(frozen=True)
class Array:
    """A dataset.

    Attributes
    ----------
    name : str
        With "*" for any text.
    dtype : str
        One of `DTYPES`.
    dimensions : tuple of str, or None
        Without the leading axis; "site_*" stands for one axis for each of the lattice. None: as the architecture of
        the model says.
    words : str
        What it is, with its unit.
    nan : bool
        Whether NaN may stand for what is not known.
    infinite : bool
        Whether values may be infinite, such as the upper end of an interval that has none.
    low, high : float
        The range of its values.
    at_most : str
        A dimension whose length is the largest value.
    alphabet : str
        The attribute of /model that says in which states the units are, or a kind of units.
    when, optional, since, until
        As of `Attribute`.
    """

    name: str
    dtype: str
    dimensions: tuple[str, ...] | None
    words: str
    nan: bool = False
    infinite: bool = False
    low: float = -float("inf")
    high: float = float("inf")
    at_most: str = ""
    alphabet: str = ""
    when: tuple[str, tuple[str, ...]] | None = None
    optional: bool = False
    since: int = 1
    until: int = VERSION


@dataclasses.dataclass(frozen=True)
class Layout:
    """A group, as it is for one kind of content.

    Attributes
    ----------
    group : str
    kinds : tuple of str
        The attribute `kind` of the group `of` (or of itself) that asks for this layout; empty where there is only one.
    of : str
    words : str
    attributes : tuple of Attribute
    arrays : tuple of Array
    needs : tuple of str
        Groups that must be there as well.
    stacked : bool
        Whether the datasets have a leading axis where a file has several entries.
    longer_by_one : tuple of (str, str)
        Pairs of dimensions: the first is longer by one than the second.
    since : int
    is_tree : bool
        Whether it holds groups in groups, without further layout: see `mcgen.results.trees`.
    """

    group: str
    kinds: tuple[str, ...]
    of: str
    words: str
    attributes: tuple[Attribute, ...]
    arrays: tuple[Array, ...]
    needs: tuple[str, ...] = ()
    stacked: bool = True
    longer_by_one: tuple[tuple[str, str], ...] = ()
    since: int = 1
    is_tree: bool = False
