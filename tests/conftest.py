"""Tests run in two processes (see addopts): what each computes on, and which files it takes."""

import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

if "PYTEST_XDIST_WORKER" in os.environ:  # or the processes would wait for each other
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # of processes with several threads that tests start

# Most of the time goes into compiling kernels, and processes that meet a kernel at the same time compile it twice. One
# process therefore takes files from the front of this list, about lattices and autoencoders, and the other from its
# end, about Boltzmann machines. They meet at the files that use all kernels, or none, when those are on the disk.
FILES = """
    statistics/test_samplers statistics/test_bit_sliced statistics/test_tempering statistics/test_clusters
    exact/test_summation exact/test_transfer exact/test_methods exact/test_ising exact/test_bit_sliced
    exact/test_clusters exact/test_torus exact/test_observables exact/test_reweighting exact/test_stats_convergence
    statistics/test_validation interface/test_streaming exact/test_convolution twins/test_simulator
    exact/test_vae_layers exact/test_vae_model exact/test_vae_training exact/test_vae_latent exact/test_vae_mixture
    exact/test_vae_likelihood exact/test_gaussian interface/test_vae_files interface/test_vae_cli
    interface/test_vae_scripts exact/test_rng twins/test_compile interface/test_scripts interface/test_documentation
    twins/test_threads interface/test_results interface/test_report interface/test_report_page interface/test_errors
    interface/test_schema interface/test_damaged_files *
    interface/test_cli interface/test_ranks interface/test_logz interface/test_pipeline interface/test_survival
    interface/test_learning_scripts interface/test_digits_rbm_script
    interface/test_small_digits_script interface/test_memory
    interface/test_benchmark_learning interface/test_coverage_script interface/test_couplings_script
    interface/test_sampling_scripts
    interface/test_benchmark_rbm interface/test_benchmark_ranks twins/test_gibbs_cuda exact/test_maximum_likelihood
    exact/test_natural_gradient exact/test_symmetry exact/test_couplings exact/test_training_starts
    exact/test_training_options statistics/test_training_watch exact/test_training exact/test_gradient
    exact/test_rbm_evaluation exact/test_mean_field exact/test_partition_path statistics/test_bridge
    statistics/test_annealing exact/test_units exact/test_formulas exact/test_rbm exact/test_rbm_exact_kinds
    statistics/test_clamping statistics/test_rbm_tempering exact/test_rbm_metropolis exact/test_gibbs
    statistics/test_rbm_samplers
"""
ORDER = FILES.split()


def _place(item: pytest.Item) -> int:
    file = item.path.relative_to(Path(__file__).parent).with_suffix("").as_posix()
    return ORDER.index(file if file in ORDER else "*")


def pytest_collection_modifyitems(items):
    items.sort(key=_place)


class FromBothEnds(LoadFileScheduling):
    """Hands out files in their order, to every second process from the end."""

    def _assign_work_unit(self, node):
        if self.nodes.index(node) % 2:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config, log):
    return FromBothEnds(config, log) if config.option.dist == "loadfile" else None
