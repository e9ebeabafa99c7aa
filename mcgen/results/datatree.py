"""Results as trees of xarray, for ArviZ and other tools."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mcgen import hdf5
from mcgen.errors import FileError, InputError
from mcgen.hdf5 import Listing
from mcgen.results.loading import refuse, version_of
from mcgen.results.saving import save
from mcgen.results.schema import check_listing, meanings, trees_in

if TYPE_CHECKING:
    import xarray


def to_xarray(source: object) -> "xarray.DataTree":
    """Results as an `xarray.DataTree`: a node for each group, with named dimensions and coordinates.

    ArviZ takes it: ``arviz_stats.rhat(tree, group="samples", var_names=["energy"])``.

    Parameters
    ----------
    source : str, Path, or whatever `save` takes
        A file, of which everything is read into memory; or results, which are written to a temporary file first.

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    InputError
        If xarray is not installed, or the source cannot be saved.
    FileError
        If the file cannot be read.

    Examples
    --------
    >>> from mcgen import ising, results
    >>> tree = results.to_xarray(ising.sample(ising.Ising((4, 4)), 2.5, n_chains=8, n_draws=20, seed=1))
    >>> tree["samples/energy"].dims, tree["samples/states"].sizes["site_1"]
    (('chain', 'draw'), 4)
    """
    try:
        import xarray
    except ImportError:
        raise InputError("xarray is not installed; install it with pip install 'mcgen[analysis]'") from None
    if not isinstance(source, str | Path):
        with tempfile.TemporaryDirectory() as folder:
            return to_xarray(save(Path(folder) / "results.h5", source))

    def choose(listing: Listing) -> list[str]:
        deviations = list(check_listing(listing, version_of(source, listing), scales=True))
        refuse(source, deviations)
        for deviation in deviations:
            if "dimension scale" in deviation.words:
                raise FileError(f"{source} has an axis without a name ({deviation}); load and save it again")
        inner = trees_in(listing)
        return [f"{name}/{dataset}" for name, group in listing.groups.items() if name not in inner for dataset in group]

    listing, groups = hdf5.read(source, choose, scales=True)
    nodes = {"/": xarray.Dataset(attrs=listing.attrs)}
    for name, group in groups.items():
        if name in trees_in(listing):  # what only mcgen goes on from
            continue
        words = meanings(listing, name)
        variables = {}
        for dataset, array in group.items():
            entry = listing.groups[name][dataset]
            dimensions = [dataset] if entry.is_scale else [scales[0].split("/")[-1] for scales in entry.scales]
            attrs = {"long_name": words[dataset]} if dataset in words else {}
            variables[dataset] = xarray.Variable(dimensions, array, attrs)
        coordinates = {one for one in variables if listing.groups[name][one].is_scale or one == "temperature"}
        nodes[f"/{name}"] = xarray.Dataset(variables, attrs=group.attrs).set_coords(coordinates)
    return xarray.DataTree.from_dict(nodes)
