"""Work that several processes share out by MPI: the same bytes whatever their number, whole files, and clean ends."""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import types
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

import mcgen
from mcgen import ising, parallel, rbm, results
from mcgen.cli import main
from mcgen.errors import FileError, InputError, McgenError

WORK = Path(__file__).with_name("rank_work.py")
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


HAS_MPI = MPIEXEC is not None and importlib.util.find_spec("mpi4py") is not None
needs_mpi = pytest.mark.skipif(not HAS_MPI, reason="mpi4py or mpiexec are not installed: pip install mpi4py mpich")


def start(n_ranks, *words):
    """Run Python with these words on a number of ranks."""
    command = [MPIEXEC, "-n", str(n_ranks), sys.executable, *map(str, words)]
    environment = os.environ | {"NUMBA_NUM_THREADS": "1", "PYTHONPATH": str(Path(mcgen.__file__).parents[1])}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


@needs_mpi
def test_results_do_not_depend_on_the_number_of_ranks():
    specification = importlib.util.spec_from_file_location("rank_work", WORK)
    here = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(here)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = {name: work() for name, work in here.WORK.items()}
    assert len(set(alone.values())) == 11
    for n_ranks in (2, 4):
        done = start(n_ranks, WORK, "digests")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == alone


def contents(path):
    """All numbers but those of a checkpoint, with the names of their axes, and the attributes of the groups."""
    with h5py.File(path) as file:
        for name, group in file.items():
            if name == "checkpoint":
                continue
            yield from ((name, key, np.asarray(value).tobytes()) for key, value in sorted(group.attrs.items()))
            for key, dataset in sorted(group.items()):
                axes = tuple(dim[0].name for dim in dataset.dims if len(dim))
                yield name, key, dataset.dtype.str, dataset.shape, axes, dataset[()].tobytes()


SAMPLE = "ising sample --shape 4 4 --temperature 2.0 3.0 --chains 5 --draws 40 --thin 2 --burn-in 50 --seed 4"
TEMPERING = f"{SAMPLE} --method tempering --kernel single-flip"
TRAIN = "rbm train --hidden 3 --epochs 2 --batch 50 --chains 20 --negative-phase pcd --seed 1"
DRAW = "rbm sample {} --chains 5 --draws 10 --thin 1 --burn-in 10 --seed 2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@needs_mpi
@pytest.mark.filterwarnings("ignore")
def test_commands_on_two_ranks_write_what_one_process_writes(folder):
    """Samples, tempering, a training and samples of the model: from one process, and from two."""
    data, model = folder / "data.h5", folder / "model.h5"
    commands = {
        "data.h5": SAMPLE,
        "tempering.h5": TEMPERING,
        "model.h5": f"{TRAIN} --data {data}",
        "drawn.h5": DRAW.format(model),
    }
    for name, words in commands.items():
        assert main([*words.split(), "--output", str(folder / name)]) == 0
    several = {folder / f"several-{name}": words for name, words in commands.items()}
    done = start(2, WORK, "commands", *(f"{words} --output {path}" for path, words in several.items()))
    assert done.returncode == 0, done.stderr
    for name in commands:
        assert f"wrote {folder / f'several-{name}'}" in done.stdout
        assert list(contents(folder / f"several-{name}")) == list(contents(folder / name)), name
    assert {path.name for path in folder.glob("several-model*")} == {"several-model.h5"}  # rank 0 writes a plain file
    assert len(list(folder.glob("several-data.*.rank-*-of-2.h5"))) == 2


@needs_mpi
def test_an_index_opens_as_one_file_and_can_be_merged(folder):
    index, plain = folder / "several-data.h5", folder / "plain.h5"
    for run, other in zip(results.load(index), results.load(folder / "data.h5"), strict=True):
        assert (run.states == other.states).all()
        assert run.flip_rate == other.flip_rate
    with xarray.open_datatree(index, engine="h5netcdf") as tree, h5py.File(folder / "data.h5") as file:
        assert (tree["samples/states"].to_numpy() == file["samples/states"][()]).all()
        assert tree["samples/energy"].dims == ("temperature", "chain", "draw")
    assert main(["merge", str(index), "--output", str(plain)]) == 0
    with h5py.File(plain) as file:
        assert not file["samples/states"].is_virtual
        assert file["samples/states"].compression == "gzip"
    assert list(contents(plain)) == list(contents(folder / "data.h5"))
    with pytest.raises(FileError, match="is one plain file already"):
        results.merge(plain, folder / "again.h5")


@needs_mpi
def test_a_file_of_a_rank_that_is_missing_is_named(folder):
    missing = next(folder.glob("several-drawn.*.rank-1-of-2.h5"))
    missing.rename(folder / "elsewhere.h5")
    for read in (results.load, lambda path: results.merge(path, folder / "merged.h5")):
        with pytest.raises(
            FileError, match=rf"of 2 files of ranks, and 1 of them are not beside it, first {missing.name}"
        ):
            read(folder / "several-drawn.h5")
    assert not (folder / "merged.h5").exists()


@needs_mpi
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("raises", r"mcgen: rank 1 of 2 on {host}: no room for the states"),
        ("killed", r"PID {process} RUNNING AT {host}"),
    ],
)
def test_ranks_end_together(how, told, tmp_path):
    output = tmp_path / "run.h5"
    begin = time.monotonic()
    done = start(2, WORK, how, output)
    assert time.monotonic() - begin < 60  # without an end they would wait for the dead rank for ever
    assert done.returncode != 0
    process = re.search(r"2 ranks, processes on \S+: .*1 is (\d+)", done.stderr).group(1)
    assert re.search(told.format(host=socket.gethostname(), process=process), done.stderr + done.stdout)
    assert not output.exists()
    assert not list(tmp_path.glob("run*rank-1*"))


@needs_mpi
@pytest.mark.filterwarnings("ignore")
def test_a_training_on_two_ranks_goes_on_where_a_rank_was_killed(folder):
    line = f"{TRAIN} --data {folder / 'data.h5'} --checkpoint-every 0 --output"
    assert main([*line.split(), str(folder / "unbroken.h5")]) == 0
    done = start(2, WORK, "killed-training", f"{line} {folder / 'broken.h5'}")
    assert done.returncode != 0
    assert not (folder / "broken.h5").exists()
    assert (folder / "broken.h5.part").exists()
    done = start(2, WORK, "commands", f"{line} {folder / 'broken.h5'} --resume")
    assert done.returncode == 0, done.stderr
    assert list(contents(folder / "broken.h5")) == list(contents(folder / "unbroken.h5"))


@pytest.mark.parametrize("option", ["--resume", "--checkpoint-every 5", "--time-limit 60"])
@pytest.mark.parametrize("words", [SAMPLE, DRAW.format("model.h5")])
def test_draws_of_ranks_are_not_gone_on_with(words, option, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    results.save("model.h5", rbm.RBM.random(4, 2, seed=1))
    monkeypatch.setattr(parallel, "world", lambda: Rank(0, 2))
    monkeypatch.setattr(parallel, "end_all", lambda *arguments: None)
    monkeypatch.setattr(parallel, "list_processes", lambda world: None)
    assert main([*words.split(), "--output", "run.h5", *option.split()]) == 2
    told = f"{option.split()[0]} needs checkpoints, which draws of 2 ranks do not have; leave it out, or run the"
    assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]
    with pytest.raises(InputError, match="gone on with in one process, and there are 2 ranks"):
        ising.stream(ising.Ising((4, 4)), 2.0, resume={}, world=Rank(0, 2))


def test_several_processes_without_mpi4py_are_refused(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    with pytest.raises(
        McgenError, match=r"4 processes were started together, but mpi4py cannot be used .*mcgen\[mpi\]"
    ):
        parallel.world()
    alone = types.SimpleNamespace(COMM_WORLD=types.SimpleNamespace(Get_size=lambda: 1))
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", alone)
    with pytest.raises(McgenError, match="each finds itself alone: mpi4py was built for another MPI"):
        parallel.world()


@pytest.mark.parametrize(
    ("variables", "n"),
    [
        ({}, 1),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "3"}, 3),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, 1),  # the batch script
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_STEP_ID": "0"}, 8),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_STEP_ID": "4294967291"}, 1),
    ],
)
def test_how_many_were_started(monkeypatch, variables, n):
    for name in (*parallel.RANKS, *parallel.SIZES, *parallel.LOCAL_RANKS, "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert parallel.started() == n


class Rank(parallel.World):
    """One of several ranks that never meet."""

    def __init__(self, rank, size):
        super().__init__()
        self.rank, self.size = rank, size


@pytest.mark.parametrize("n_temperatures", [1, 2, 5])
@pytest.mark.parametrize("n_groups", [1, 3, 8])
@pytest.mark.parametrize("size", [1, 2, 4, 7, 50])
def test_a_grid_has_every_chain_once(n_temperatures, n_groups, size):
    count = np.zeros((n_temperatures, n_groups), int)
    most = 0
    for rank in range(size):
        part = parallel.grid(n_temperatures, n_groups, Rank(rank, size))
        count[part.temperatures, part.groups] += 1
        most = max(most, count[part.temperatures, part.groups].size)
    assert (count == 1).all()
    assert most < 2 * max(1, n_temperatures * n_groups / size) + min(n_temperatures, n_groups)


def test_what_cannot_be_shared_out(monkeypatch, capsys):
    lattice = ising.Ising((4, 4))
    with pytest.raises(InputError, match="100 chains in groups of 256 are too few for 2 ranks"):
        ising.chains_of_rank(lattice, 100, world=Rank(0, 2))
    with pytest.raises(TypeError, match="would depend on their number"):
        parallel.World().total(np.ones(2))
    monkeypatch.setattr(parallel, "world", lambda: Rank(0, 2))
    monkeypatch.setattr(parallel, "end_all", lambda *arguments: None)
    monkeypatch.setattr(parallel, "list_processes", lambda world: None)
    assert main(["info"]) == 2
    assert "this command does not share its work out among 2 ranks; run it without mpiexec" in capsys.readouterr().err


def test_ranks_that_round_differently_are_found():
    world = Rank(0, 2)
    world.gather = lambda digest: [digest, "another"]
    with pytest.raises(McgenError, match="ranks 0 and 1 have computed different numbers"):
        world.check_agreement([np.ones(3)])


def test_an_index_that_leads_out_of_its_folder_is_refused(tmp_path):
    run = ising.sample(ising.Ising((4, 4)), 2.0, n_chains=2, n_draws=3, thin=1, burn_in=50, seed=1)
    path = results.save(tmp_path / "part.h5", run)
    index = results.write_index(tmp_path / "run.h5", [results.RankFile(path, slice(0, 1), slice(0, 2))])
    with h5py.File(index, "a") as file:
        del file["samples/energy"]
        layout = h5py.VirtualLayout((2, 3), "f8")
        layout[...] = h5py.VirtualSource("/elsewhere/secret.h5", "samples/energy", (2, 3))
        file["samples"].create_virtual_dataset("energy", layout)
    with pytest.raises(FileError, match=r"has parts in other folders, first /elsewhere/secret\.h5"):
        results.load(index)


def test_an_index_that_is_replaced_takes_its_files_along(tmp_path):
    run = ising.sample(ising.Ising((4, 4)), 2.0, n_chains=2, n_draws=3, thin=1, burn_in=50, seed=1)
    for name in ("old.h5", "new.h5"):
        path = results.save(tmp_path / name, run)
        results.write_index(tmp_path / "run.h5", [results.RankFile(path, slice(0, 1), slice(0, 2))], overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"run.h5", "new.h5"}
    assert (results.load(tmp_path / "run.h5").states == run.states).all()


def test_an_index_of_an_incomplete_file_is_refused(tmp_path):
    run = ising.sample(ising.Ising((4, 4)), 2.0, n_chains=2, n_draws=3, thin=1, burn_in=50, seed=1)
    path = results.save(tmp_path / "part.h5", run, status="interrupted")
    with pytest.raises(FileError, match="is incomplete"):
        results.write_index(tmp_path / "run.h5", [results.RankFile(path, slice(0, 1), slice(0, 2))])
    assert not (tmp_path / "run.h5").exists()
