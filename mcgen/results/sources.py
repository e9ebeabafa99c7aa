"""The files that virtual datasets refer to: those of the ranks of a run, and the draws of a run that has not ended.

HDF5 opens a file whose sources are gone, and reads zeros and NaN in their place; so they are looked at first.
"""

from collections.abc import Iterator, Mapping


def escaped(name: str) -> str:
    """A file name as that of a source, where a percent sign stands for numbers."""
    return name.replace("%", "%%")


def wrong_sources(sources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with the sources of a file, and what to do about it.

    Parameters
    ----------
    sources : dict of str
        What is wrong with each, or "", as in `mcgen.hdf5.Listing`.

    Examples
    --------
    >>> from mcgen.results.sources import wrong_sources
    >>> next(wrong_sources({"rank-0.h5": "", "rank-1.h5": "is not there"}))[0]
    'is the index of 2 files of ranks, and 1 of them are not beside it, first rank-1.h5'
    """
    missing = [name for name, words in sources.items() if words == "is not there"]
    ranks = [name for name in missing if "/" not in name]
    if ranks:
        words = f"is the index of {len(sources)} files of ranks, and {len(ranks)} of them are not beside it, first "
        yield words + ranks[0], "bring them into the same folder"
    elif missing:
        yield f"refers to draws in {missing[0]}, which is not there", "keep them together"
    for name, words in sources.items():
        if words and name not in missing:
            yield f"refers to {name}, which {words}", "draw the run again"
