"""HDF5 files: save and load samples, models, training histories and tables of exact values.

The schema, what each group holds, is data in `mcgen.results.schema`; `mcgen check --schema` prints it, and `mcgen
check` compares files with it. /samples holds what was drawn, /lattice the Ising model, /model parameters, /training
histories, /trajectory and /checkpoint what was kept on the way, /exchange how tempering moved, /exact and /observables
tables; a group of any other name whose attribute `kind` is "table" is one of a study. Every axis of every dataset has a
dimension scale, so the files open in h5py, HDFView, Julia, MATLAB and, as netCDF, with ``xarray.open_datatree(path,
engine="h5netcdf")``.

With several temperatures every dataset of these groups (but /lattice, and /exchange of a lattice, whose temperatures
are one ladder) has a leading axis `temperature` (with several entries that have no temperature, `entry`); with one, the
temperature is a number in the group. The first of several temperatures, where the others were never reached, has an
axis of length 1. In the index of a run that several ranks have drawn (see `write_index`), datasets with a chain axis
are virtual: they lie in the files of the ranks, beside the index. Root attributes are the version of the schema and
those of `mcgen.provenance`, among them status: "complete", "interrupted", or "running" in the unfinished file PATH.part
of a run, whose draws are virtual datasets that refer to PATH.blocks/ (see `mcgen.results.unfinished`). Files of all
earlier versions are read.

Files are data: nothing in them is evaluated or unpickled, links are not followed, sizes are checked before memory is
taken, and the HDF5 library, which some damaged files crash, reads them in a process of its own (`mcgen.hdf5`).
"""

from mcgen.results.check import Checked, check
from mcgen.results.datatree import to_xarray
from mcgen.results.draws import Draws
from mcgen.results.export import export
from mcgen.results.files import check_output, written_beside
from mcgen.results.groups import AXES, Columns
from mcgen.results.kept_loops import kept_loops
from mcgen.results.kept_trainings import kept_trainings
from mcgen.results.live import follow
from mcgen.results.loading import load, load_study
from mcgen.results.peeking import last_states
from mcgen.results.ranks import RankFile, file_of_rank, merge, write_index
from mcgen.results.rows import lattice_series, load_rows
from mcgen.results.saving import save
from mcgen.results.schema import VERSION as SCHEMA_VERSION
from mcgen.results.stages import check_ranks, stage
from mcgen.results.streaming import stream_samples
from mcgen.results.study import Study, as_study
from mcgen.results.tables import Table, open_table
from mcgen.results.unfinished import is_begun

__all__ = [
    "AXES",
    "SCHEMA_VERSION",
    "Checked",
    "Columns",
    "Draws",
    "RankFile",
    "Study",
    "Table",
    "as_study",
    "check",
    "check_output",
    "check_ranks",
    "export",
    "file_of_rank",
    "follow",
    "is_begun",
    "kept_loops",
    "kept_trainings",
    "last_states",
    "lattice_series",
    "load",
    "load_rows",
    "load_study",
    "merge",
    "open_table",
    "save",
    "stage",
    "stream_samples",
    "to_xarray",
    "write_index",
    "written_beside",
]
