"""The files that virtual datasets refer to: those of the ranks of a run, and the draws of a run that has not ended.

HDF5 opens a file whose sources are gone, and reads zeros and NaN in their place. It also opens any source that a file
names, wherever it lies.
"""

from pathlib import Path

import h5py

from mcgen.errors import FileError

HERE = "."  # a source in the file itself


def source_names(file: h5py.File) -> list[str]:
    """The files that the datasets in the groups of a file refer to, each once; none for a plain file.

    Examples
    --------
    >>> import h5py
    >>> from mcgen.results.sources import source_names
    >>> with h5py.File("plain.h5", "w", driver="core", backing_store=False) as file:
    ...     source_names(file)
    []
    """
    names: dict[str, None] = {}
    for group in file.values():
        for dataset in group.values() if isinstance(group, h5py.Group) else ():
            if isinstance(dataset, h5py.Dataset) and dataset.is_virtual:
                sources = (source.file_name for source in dataset.virtual_sources() if source.file_name != HERE)
                names |= dict.fromkeys(name.replace("%%", "%") for name in sources)
    return list(names)


def escaped(name: str) -> str:
    """A file name as that of a source, where a percent sign stands for numbers."""
    return name.replace("%", "%%")


def check_sources(file: h5py.File) -> None:
    """Raise `FileError` if a file refers to others that are not there, or where no mcgen puts them.

    Parameters
    ----------
    file : h5py.File
    """
    path, names = Path(file.filename), source_names(file)
    outside = [name for name in names if not _is_ours(name)]
    if outside:
        raise FileError(
            f"{path} has parts in other folders, first {outside[0]}, where no mcgen puts them; it is not to be trusted"
        )
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing and Path(missing[0]).name == missing[0]:
        raise FileError(
            f"{path} is the index of {len(names)} files of ranks, and {len(missing)} of them are not beside it, first "
            f"{missing[0]}; bring them into the same folder"
        )
    if missing:
        raise FileError(f"{path} refers to draws in {path.parent / missing[0]}, which is not there; keep them together")


def _is_ours(name: str) -> bool:
    """Whether a source lies beside the file, or in a folder of draws beside it."""
    parts = Path(name).parts
    return len(parts) == 1 or (len(parts) == 2 and parts[0].endswith(".blocks") and parts[1] != "..")
