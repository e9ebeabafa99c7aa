"""Work that several processes share out by MPI: the same bytes whatever their number, whole files, and clean ends."""

import contextlib
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
from mcgen.agreements import Agreements
from mcgen.cli import main
from mcgen.errors import FileError, InputError, McgenError
from mcgen.parallel import launch

WORK = Path(__file__).with_name("rank_work.py")
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


HAS_MPI = MPIEXEC is not None and importlib.util.find_spec("mpi4py") is not None
needs_mpi = pytest.mark.skipif(not HAS_MPI, reason="mpi4py or mpiexec are not installed: pip install mpi4py mpich")


def start(n_ranks, *words):
    """Run Python with these words on a number of ranks."""
    command = [MPIEXEC, "-n", str(n_ranks), sys.executable, *map(str, words)]
    environment = os.environ | {"NUMBA_NUM_THREADS": "1", "PYTHONPATH": str(Path(mcgen.__file__).parents[1])}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


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
THREE = SAMPLE.replace("2.0 3.0", "2.0 3.0 2.5")  # so that both ranks have some chains of each
TEMPERING = f"{SAMPLE} --method tempering --kernel single-flip"
FEW = TEMPERING.replace("--chains 5 --draws 40", "--chains 1 --draws 120")  # its replicas are shared out
TRAIN = "rbm train --hidden 3 --epochs 3 --batch 50 --chains 20 --negative-phase pcd --seed 1 --data"
DRAW = "rbm sample {} --chains 5 --draws 40 --thin 1 --burn-in 10 --seed 2"
COMMANDS = {
    "data.h5": SAMPLE,
    "tempering.h5": TEMPERING,
    "few.h5": FEW,
    "wolff.h5": f"{THREE} --method wolff",
    "model.h5": f"{TRAIN} {{}}/data.h5",
    "drawn.h5": DRAW.format("{}/model.h5"),
    "heated.h5": DRAW.format("{}/model.h5 --method tempering"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With the output of all commands from one process, and what they print."""
    folder = tmp_path_factory.mktemp("ranks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, words in COMMANDS.items():
            assert main([*words.format(folder).split(), "--output", str(folder / name)]) == 0
    return folder


def line(name, folder, output, options=""):
    return f"{COMMANDS[name].format(folder)} {options} --output {folder / output}"


@needs_mpi
def test_results_do_not_depend_on_the_number_of_ranks(folder):
    """Nor on whether one of them is stopped on the way."""
    specification = importlib.util.spec_from_file_location("rank_work", WORK)
    here = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(here)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = {name: work() for name, work in here.WORK.items()}
    assert len(set(alone.values())) == 11
    lines, statuses = [], []
    for name in COMMANDS:
        where = {"data.h5": "", "model.h5": "epoch: "}.get(name, "draws: ")
        lines.append(where + line(name, folder, f"several-{name}"))
        statuses.append([143, 143] if where else [0, 0])
        if where:  # once more, and at last in one process, for the ladder
            again = where if name == "few.h5" else ""
            lines.append(again + line(name, folder, f"several-{name}", "--resume"))
            statuses.append([143, 143] if again else [0, 0])
    lines.append(line("wolff.h5", folder, "late.h5", "--time-limit 1"))
    done = start(2, WORK, "work", *lines)
    assert done.returncode == 0, done.stderr
    *printed, found = done.stdout.splitlines()
    found = json.loads(found)
    assert found["digests"] == alone
    assert found["statuses"] == [*statuses, [75, 75]], done.stderr
    assert done.stderr.count("the files of the ranks keep what is done: go on with --resume") == 5
    assert re.search(r"going on: ranks? \S+ (has )?kept \d+ of (40|80|120) draws", done.stderr)
    assert main(line("few.h5", folder, "several-few.h5", "--resume").split()) == 0  # in one process
    for name in COMMANDS:
        assert list(contents(folder / f"several-{name}")) == list(contents(folder / name)), name
        if name != "few.h5":
            assert sum(f"wrote {folder / f'several-{name}'}" in one for one in printed) >= 1
    assert {path.name for path in folder.glob("several-model*")} == {"several-model.h5"}  # rank 0 writes a plain file
    assert len(list(folder.glob("several-data.*.rank-*-of-2.h5"))) == 2
    assert not (folder / "late.h5").exists()
    done = start(4, WORK, "work")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digests"] == alone


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
@pytest.mark.filterwarnings("ignore")
def test_ranks_end_together_and_go_on(folder):
    """Rank 1 is killed in a run of draws, and in a training; both go on; then it fails by itself."""
    often = "--checkpoint-every 0"
    draws, training = line("wolff.h5", folder, "killed.h5", often), line("model.h5", folder, "broken.h5", often)
    ending = line("wolff.h5", folder, "ending.h5")
    for how, words in (("killed draws", draws), ("killed at the end", ending), ("killed training", training)):
        begin = time.monotonic()
        done = start(2, WORK, how, words)
        assert time.monotonic() - begin < 60  # without an end they would wait for the dead rank for ever
        assert done.returncode != 0
        process = re.search(r"2 ranks, processes on \S+: .*1 is (\d+)", done.stderr).group(1)
        assert f"PID {process} RUNNING AT {socket.gethostname()}" in done.stderr + done.stdout
    assert not any((folder / name).exists() for name in ("killed.h5", "ending.h5", "broken.h5"))
    assert (folder / "broken.h5.part").exists()
    fails = f"{SAMPLE} --output {folder / 'failed.h5'}"
    done = start(2, WORK, "resumed", *(f"{words} --resume" for words in (draws, ending, training)), fails)
    (kept,) = re.findall(r"going on: rank 1 has kept (\d+) of 120 draws, rank 0 has kept (\d+) of 120", done.stderr)
    assert int(kept[0]) < 40 <= int(kept[1])
    assert "going on: ranks have kept 120 of 120 draws" in done.stderr
    assert "epochs before: 1\n" in done.stdout
    assert list(contents(folder / "killed.h5")) == list(contents(folder / "wolff.h5"))
    assert list(contents(folder / "ending.h5")) == list(contents(folder / "wolff.h5"))
    assert list(contents(folder / "broken.h5")) == list(contents(folder / "model.h5"))
    assert not [path for path in folder.glob("*.part") if path.name[:4] != "late"]
    assert done.returncode != 0
    assert f"mcgen: rank 1 of 2 on {socket.gethostname()}: no room for the states" in done.stderr
    assert not (folder / "failed.h5").exists()


@pytest.mark.parametrize("words", [SAMPLE, DRAW.format("model.h5")])
@pytest.mark.filterwarnings("ignore")
def test_what_other_ranks_have_begun_is_theirs(words, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    results.save("model.h5", rbm.RBM.random(4, 2, seed=1))
    digests = []
    monkeypatch.setattr(results, "check_ranks", lambda path, configuration, *_: digests.append(configuration))
    assert main([*words.split(), "--output", "run.h5"]) == 0
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    begun = results.file_of_rank("run.h5", digests[0], 1, 3).with_suffix(".h5.part")
    Path("run.h5").rename("whole.h5")
    begun.write_text("of rank 1")
    capsys.readouterr()
    assert main([*words.split(), "--output", "run.h5", "--resume"]) == 2
    told = (
        f"{begun} is of a run that 3 ranks have begun, and there is 1; go on with mpiexec -n 3 and --resume, or start"
    )
    assert told in capsys.readouterr().err
    assert main([*words.split(), "--output", "run.h5", "--overwrite"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"model.h5", "run.h5", "whole.h5"}


def test_a_rank_goes_on_only_with_the_agreements_of_the_others():
    world = Agreements(Rank(0, 2))
    kept = [{"n": 1, "agreed": [np.array([3])]}, {"n": 2, "agreed": [np.array([3]), np.array(5)]}]  # as from a file
    world.gather = lambda thing: kept
    world.go_on(kept[0])
    assert int(world.agree("not asked", lambda each: None)) == 5  # the other rank has this behind it
    kept[1]["agreed"][0] += 1
    with pytest.raises(FileError, match="the files of rank 0 and the others are not of one run"):
        world.go_on(kept[0])
    with pytest.raises(InputError, match="to go on with draws, 2 ranks need what they have agreed on before"):
        ising.stream(ising.Ising((4, 4)), 2.0, kernel="single-flip", resume={}, world=Rank(0, 2))


def test_what_ranks_do_not_share_out_is_said(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    np.savetxt("rows.txt", np.eye(6, dtype=int), fmt="%d")
    monkeypatch.setattr(parallel, "world", lambda: Rank(0, 2))
    monkeypatch.setattr(parallel, "end_all", lambda *arguments: None)
    monkeypatch.setattr(parallel, "list_processes", lambda world: None)
    line = "rbm train --data rows.txt --hidden 2 --epochs 1 --output rbm.h5 --negative-phase"
    for phase in ("exact", "weighted"):
        with contextlib.suppress(AttributeError):  # the ranks never meet
            assert main([*line.split(), phase]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "mcgen: --negative-phase exact does not share its work out among ranks; run it without mpiexec"
    assert told[1].startswith("mcgen: every rank sweeps all chains of --negative-phase weighted: the 2 ranks share out")


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
    for name in (*launch.RANKS, *launch.SIZES, *launch.LOCAL_RANKS, "SLURM_STEP_ID"):
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
    with pytest.raises(FileError, match=r"takes numbers from '/elsewhere/secret\.h5', where no mcgen puts them"):
        results.load(index)


def test_an_index_is_merged_by_any_name(tmp_path, monkeypatch):
    folder = tmp_path / "with space [%]"
    folder.mkdir()
    run = ising.sample(ising.Ising((2, 2)), 2.0, n_chains=4, n_draws=3, thin=1, burn_in=50, seed=1)
    parts = [results.RankFile(results.save(folder / "part 0.h5", run), slice(0, 1), slice(0, 4))]
    index = results.write_index(folder / "run.h5", parts)
    link = tmp_path / "link.h5"
    link.symlink_to(index)
    monkeypatch.chdir(folder)
    for number, name in enumerate((link, index, "run.h5")):
        plain = results.load(results.merge(name, tmp_path / f"plain-{number}.h5"))
        assert np.array_equal(plain.states, run.states)


def test_an_index_that_is_replaced_takes_its_files_along(tmp_path):
    run = ising.sample(ising.Ising((4, 4)), 2.0, n_chains=2, n_draws=3, thin=1, burn_in=50, seed=1)
    other = results.save(tmp_path / "other.h5", run)  # not of a name that ranks write
    old, new = (results.file_of_rank(tmp_path / "run.h5", {"seed": seed}, 0, 1) for seed in (1, 2))
    for path in (other, old, new):
        if path is not other:
            results.save(path, run)
        results.write_index(tmp_path / "run.h5", [results.RankFile(path, slice(0, 1), slice(0, 2))], overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"run.h5", "other.h5", new.name}
    assert (results.load(tmp_path / "run.h5").states == run.states).all()


def test_an_index_of_an_incomplete_file_is_refused(tmp_path):
    run = ising.sample(ising.Ising((4, 4)), 2.0, n_chains=2, n_draws=3, thin=1, burn_in=50, seed=1)
    path = results.save(tmp_path / "part.h5", run, status="interrupted")
    with pytest.raises(FileError, match="is incomplete"):
        results.write_index(tmp_path / "run.h5", [results.RankFile(path, slice(0, 1), slice(0, 2))])
    assert not (tmp_path / "run.h5").exists()
