"""HDF5 files: save and load samples, models, training histories and tables of exact values.

The schema, version 2. Every axis of every dataset has a dimension scale, so the files open in h5py, HDFView, Julia,
MATLAB and, as netCDF, with ``xarray.open_datatree(path, engine="h5netcdf")``.

=============  ===============================================================================================
/lattice       coupling (direction, site_0, ...), field (site_0, ...); attributes shape, periodic
/samples       states int8 (chain, draw, site_0, ...), absent where they were not kept; energy float64 and
               magnetization int64 (chain, draw); flip_rate; seed; attributes kind "ising", kernel, method,
               thin, burn_in, device. Of a model: kind "rbm", states int8 (chain, draw, visible), and
               free_energy in place of energy, magnetization and kernel
/exchange      of tempering: temperature float64, the whole ladder; swap_rates float64 (pair), those of each
               temperature and the next; round_trips; n_sweeps
/model         weights (visible, hidden), visible_bias, hidden_bias; attributes kind, visible_units, hidden_units
/training      one dataset for each column of the history (epoch); chains int8 (chain, visible);
               attribute settings (JSON)
/exact         one dataset for each exact quantity
/observables   one dataset for each observable, and NAME_error beside it
=============  ===============================================================================================

With several temperatures every dataset of these groups (but /lattice and /exchange) has a leading axis `temperature`
(with several entries that have no temperature, `entry`); with one, the temperature is a number in the group. The first
of several temperatures, where the others were never reached, has an axis of length 1. Root attributes: schema_version
and those of `mcgen.provenance`. Version 1 had no magnetization, kernel and /exchange; it is still read.
"""

from mcgen.results.files import SCHEMA_VERSION, check_output, written_beside
from mcgen.results.groups import AXES, Columns
from mcgen.results.loading import load, load_study
from mcgen.results.rows import load_rows
from mcgen.results.saving import save
from mcgen.results.streaming import stream_samples
from mcgen.results.study import Study, as_study

__all__ = [
    "AXES",
    "SCHEMA_VERSION",
    "Columns",
    "Study",
    "as_study",
    "check_output",
    "load",
    "load_rows",
    "load_study",
    "save",
    "stream_samples",
    "written_beside",
]
