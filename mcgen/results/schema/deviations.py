"""What in a file is not as the schema says."""

import dataclasses

import numpy as np

from mcgen.hdf5 import DAMAGED, printable


@dataclasses.dataclass(frozen=True)
class Deviation:
    """One thing in a file that is not as the schema says.

    Attributes
    ----------
    place : str
        Of a dataset "/group/name", of an attribute "/group@name"; empty of the whole file.
    words : str
        What is wrong.
    is_fatal : bool
        Whether it keeps the file from being loaded; otherwise it is something that is not expected, or that only other
        programs need.
    way_out : str
        What to do about it.
    """

    place: str
    words: str
    is_fatal: bool = True
    way_out: str = DAMAGED

    def __str__(self) -> str:
        return printable(f"{self.place} {self.words}").strip()


def short(value: object) -> str:
    """A value from a file, in at most 60 letters."""
    text = repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
    return text if len(text) <= 60 else text[:57] + "..."
