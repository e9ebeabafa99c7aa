"""HDF5 files: save and load samples, models, training histories and tables of exact values.

The schema, version 3. Every axis of every dataset has a dimension scale, so the files open in h5py, HDFView, Julia,
MATLAB and, as netCDF, with ``xarray.open_datatree(path, engine="h5netcdf")``.

=============  ===============================================================================================
/lattice       coupling (direction, site_0, ...), field (site_0, ...); attributes shape, periodic
/samples       states int8 (chain, draw, site_0, ...), absent where they were not kept; energy float64 and
               magnetization int64 (chain, draw); flip_rate; seed; attributes kind "ising", kernel, method,
               thin, burn_in, device. Of a model: kind "rbm"; states int8, or float for continuous units,
               (chain, draw, visible); free_energy and magnetization float64 (chain, draw); acceptance_rate
               in place of flip_rate. Of a VAE: kind "vae", method "ancestral" and independent draws: states
               (chain, draw, feature) with one chain, magnetization, seed
/exchange      of tempering: temperature float64, the whole ladder; swap_rates float64 (pair), those of each
               place of the ladder and the next; round_trips; n_sweeps. Of a model: in place of temperature,
               beta float64 (place), or nothing for a ladder of stored models; n_pairs. Several models have
               ladders of their own, and the shorter ones end with NaN
/model         weights (visible, hidden), visible_bias, hidden_bias; attributes kind, visible_units,
               hidden_units. Of Potts units, attribute visible_states or hidden_states, the states of one; of
               gaussian and relu units, visible_unit_mean and visible_unit_variance (visible), hidden_...
               likewise; of tied weights, attributes symmetry_shape, symmetry_filters, symmetry_spin_flip
               Of autoencoders, attribute kind "vae", "conditional-vae" or "autoencoder", and the architecture as
               attributes: n_features, hidden, n_latent, activation, decoder ("bernoulli", "spin", or "gaussian"
               with decoder_variance and decoder_std), dtype; of convolutions convolution_shape, _filters,
               _kernel_size, _stride and _padding; of conditional models n_conditions, condition_offset and
               condition_scale. Layer K of encoder and decoder, counted from 0 with activations as layers, has
               encoder_K_weights (input, output), or (row, column, input, output) of a convolution, and
               encoder_K_bias; decoder_K_... likewise; log_std is that of a Gaussian decoder. A conditional
               model of several temperatures has them as attribute temperatures instead of an axis
/training      one dataset for each column of the history (epoch); chains int8, or float for continuous units,
               (chain, visible), of RBMs; attribute settings (JSON)
/checkpoint    of autoencoders, what a training goes on from: epoch, n_count (steps), best_epoch; parameters,
               best_parameters, moment_0 and moment_1 of the optimiser (parameter), in the order of the layers. Of
               RBMs, one group for each training (000000, ...) with the parts of its state as groups, arrays, and
               the other numbers as JSON in the attribute numbers. Of draws, in unfinished files: the state of the
               walkers, the draws that do not fill a row of chunks yet (held), where the others are (stretches),
               what the ranks that draw the other chains had agreed on (agreed)
/exact         one dataset for each exact quantity
/observables   one dataset for each observable, and NAME_error beside it
=============  ===============================================================================================

With several temperatures every dataset of these groups (but /lattice, and /exchange of a lattice, whose temperatures
are one ladder) has a leading axis `temperature` (with several entries that have no temperature, `entry`); with one, the
temperature is a number in the group. The first of several temperatures, where the others were never reached, has an
axis of length 1. In the index of a run that several ranks have drawn (see `write_index`), datasets with a chain axis
are virtual: they lie in the files of the ranks, beside the index. Root attributes: schema_version and those of
`mcgen.provenance`, among them status: "complete", "interrupted", or "running" in the unfinished file PATH.part of a
run, whose draws are virtual datasets that refer to PATH.blocks/ (see `mcgen.results.unfinished`). Earlier versions are
still read: in 2 samples of models had flip_rate in place of acceptance_rate, no magnetization and no kernel, and all
units had two states; 1 had no magnetization, kernel and /exchange.
"""

from mcgen.results.draws import Draws
from mcgen.results.files import SCHEMA_VERSION, check_output, written_beside
from mcgen.results.groups import AXES, Columns
from mcgen.results.kept_loops import kept_loops
from mcgen.results.kept_trainings import kept_trainings
from mcgen.results.live import follow
from mcgen.results.loading import load, load_study
from mcgen.results.peeking import last_states
from mcgen.results.ranks import RankFile, file_of_rank, merge, write_index
from mcgen.results.rows import lattice_series, load_rows
from mcgen.results.saving import save
from mcgen.results.stages import check_ranks, stage
from mcgen.results.streaming import stream_samples
from mcgen.results.study import Study, as_study
from mcgen.results.unfinished import is_begun

__all__ = [
    "AXES",
    "SCHEMA_VERSION",
    "Columns",
    "Draws",
    "RankFile",
    "Study",
    "as_study",
    "check_output",
    "check_ranks",
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
    "save",
    "stage",
    "stream_samples",
    "write_index",
    "written_beside",
]
