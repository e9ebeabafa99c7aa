"""Hostile, damaged and foreign files, full disks and missing rights: one clear error, and the earlier file as it was."""

import gzip
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import fuzz_reader
import h5py
import numpy as np
import pytest

from mcgen import hdf5, long_sums, rbm, results
from mcgen.errors import FileError
from mcgen.hdf5 import processes, reading, server
from mcgen.results import files, trees

DATA = Path(__file__).parents[1] / "data"


def test_mutated_files_are_read_or_refused():
    tally = fuzz_reader.fuzz(cases=60, seed=1)
    assert sum(tally.values()) == 60
    assert min(tally["read"], tally["refused"]) > 10


@pytest.fixture
def file(tmp_path):
    """A file of samples, to be damaged."""
    path = tmp_path / "file.h5"
    path.write_bytes(gzip.decompress((DATA / "version-3-ising.hdf5.gz").read_bytes()))
    return path


def external_link(file):
    del file["samples/energy"]
    file["samples/energy"] = h5py.ExternalLink("other.h5", "/energy")


def soft_link(file):
    file.move("samples", "hidden")
    file["samples"] = h5py.SoftLink("/hidden")


def group_in_itself(file):
    del file["samples/energy"]
    file["samples/energy"] = file["samples"]


def virtual(source):
    def damage(file):
        layout = h5py.VirtualLayout((2, 2, 3), "f8")
        layout[:] = h5py.VirtualSource(source, "energy", (2, 2, 3))
        del file["samples/energy"]
        file.create_virtual_dataset("samples/energy", layout)

    return damage


def replaced(**how):
    def damage(file):
        del file["samples/energy"]
        file.create_dataset("samples/energy", **how)

    return damage


HOSTILE = {
    "external link": (external_link, "/samples/energy is a link into another file"),
    "soft link": (soft_link, "/samples is a soft link"),
    "group in itself": (group_in_itself, "/samples/energy is a group that has another place, too"),
    "virtual, outside": (
        virtual("/etc/passwd"),
        "takes numbers from '/etc/passwd', where no mcgen puts them: do not trust this file",
    ),
    "virtual, above": (virtual("../other.h5"), "takes numbers from '../other.h5', where no mcgen puts them"),
    "virtual, elsewhere": (virtual("parts/other.h5"), "takes numbers from 'parts/other.h5', where no mcgen puts them"),
    "virtual, missing": (
        virtual("part.h5"),
        "index of 1 files of ranks, and 1 of them are not beside it, first part.h5",
    ),
    "virtual, of draws": (virtual("a.blocks/0.h5"), "refers to draws in a.blocks/0.h5, which is not there"),
    "virtual, itself": (virtual("."), "takes numbers from /energy, which is not there"),
    "virtual, text": (virtual("file.txt"), "refers to file.txt, which cannot be opened"),
    "virtual, of virtual": (
        virtual("virtual.h5"),
        "refers to virtual.h5, which takes numbers from /energy, which holds",
    ),
    "virtual, of raw bytes": (
        virtual("raw.h5"),
        "refers to raw.h5, which takes numbers from /energy, which holds none",
    ),
    "virtual, of a link": (virtual("link.h5"), "refers to link.h5, which is a link into another file"),
    "raw bytes": (replaced(shape=(12,), dtype="i1", external=[("/etc/passwd", 0, 12)]), "its numbers in another file"),
    "references": (replaced(shape=(12,), dtype=h5py.ref_dtype), "/samples/energy does not hold plain numbers"),
    "texts": (replaced(data=["a", "b"]), "/samples/energy does not hold plain numbers"),
    "compound": (replaced(shape=(2,), dtype=[("a", "f8")]), "/samples/energy does not hold plain numbers"),
    "complex": (replaced(shape=(2, 2, 3), dtype="c16"), "/samples/energy does not hold plain numbers"),
    "no numbers": (replaced(data=h5py.Empty("f8")), "/samples/energy does not hold plain numbers"),
    "10^15 numbers": (
        replaced(shape=(10**5,) * 3, dtype="f8", chunks=(10, 10, 10)),
        "and 0 of its 1000000000000 chunks",
    ),
    "nothing written": (replaced(shape=(2, 2, 3), dtype="f8"), "and the file holds 0 bytes of it"),
    "large chunks": (replaced(shape=(10**9,), dtype="f8", chunks=(2**28,)), "has chunks of 2.1e[+]09 bytes"),
    "reference": (
        lambda file: file["lattice"].attrs.__setitem__("shape", file.ref),
        "shape is neither text nor numbers",
    ),
    "text": (lambda file: file["lattice"].attrs.__setitem__("shape", ["a", "b"]), "shape is a list of texts"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name, file):
    damage, words = HOSTILE[name]
    file.with_name("file.txt").write_text("energy")
    with h5py.File(file.with_name("raw.h5"), "w") as other:
        other.create_dataset("energy", (2, 2, 3), "f8", external=[("/etc/passwd", 0, 96)])
    with h5py.File(file.with_name("link.h5"), "w") as other:
        other["energy"] = h5py.ExternalLink("raw.h5", "energy")
    with h5py.File(file.with_name("virtual.h5"), "w") as other:
        layout = h5py.VirtualLayout((2, 2, 3), "f8")
        layout[:] = h5py.VirtualSource("raw.h5", "energy", (2, 2, 3))
        other.create_virtual_dataset("energy", layout)
    with h5py.File(file, "r+") as opened:
        damage(opened)
    before = file.read_bytes()
    with pytest.raises(FileError, match=words) as caught:
        results.load(file)
    assert "\n" not in str(caught.value)
    assert any(re.search(words, str(deviation)) for deviation in results.check(file).deviations)
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["part.h5", "file.h5.blocks/1.h5"])
def test_a_file_may_be_put_together_from_its_neighbours(name, file):
    energy = results.load(file)[1].energy
    part = file.parent / name
    part.parent.mkdir(exist_ok=True)
    with h5py.File(part, "w") as other, h5py.File(file, "r+") as opened:
        other["energy"] = opened["samples/energy"][()]
        virtual(name)(opened)
    assert (results.load(file)[1].energy == energy).all()
    link = file.parent / "folder" / "link.h5"
    link.parent.mkdir()
    link.symlink_to(file)
    assert (results.load(link)[1].energy == energy).all()


def set_attribute(name, value):
    return lambda file: file["checkpoint/000000"].attrs.__setitem__(name, value)


DAMAGED_TREES = {
    "numbers": (set_attribute("numbers", "[1]"), "/checkpoint/000000@numbers is no JSON of an object"),
    "arrays": (set_attribute("arrays", "{"), "/checkpoint/000000@arrays is no JSON of an object"),
    "missing": (set_attribute("arrays", '{"b": false}'), "/checkpoint/000000/b is missing"),
    "kind": (set_attribute("kind", "tuple"), "/checkpoint/000000@kind is none of dictionary, list"),
    "link": (
        lambda file: file.__setitem__("checkpoint/000000/b", h5py.SoftLink("/model")),
        "/checkpoint/000000/b is a soft link",
    ),
    "depth": (
        lambda file: file.create_group("checkpoint" + "/x" * 150),
        "/x lies in more than 100 groups",
    ),
    "size": (
        lambda file: file.create_dataset("checkpoint/000000/b", (10**9,), "f8", chunks=(10**6,)),
        "/checkpoint/000000/b declares shape",
    ),
}


@pytest.mark.parametrize("name", DAMAGED_TREES)
def test_states_of_trainings_are_checked(name, tmp_path):
    path = results.save(tmp_path / "model.h5", rbm.RBM.random(4, 2, seed=1))
    with h5py.File(path, "r+") as opened:
        trees.write_tree(opened, "checkpoint", [{"a": np.arange(3), "n": 1, "b c": [{"d": [np.zeros(2)] * 3}]}])
    assert results.check(path).deviations == ()
    damage, words = DAMAGED_TREES[name]
    with h5py.File(path, "r+") as opened:
        damage(opened)
    for reader in (results.load, lambda path: trees.load_tree(path, "checkpoint")):
        with pytest.raises(FileError, match=re.escape(words)) as caught:
            reader(path)
        assert len(str(caught.value)) < 1200


def test_parts_of_datasets(tmp_path):
    array = np.arange(6 * 5 * 4.0).reshape(6, 5, 4)
    with h5py.File(tmp_path / "file.h5", "w") as opened:
        opened.create_dataset("group/a", data=array, chunks=(4, 2, 3))
        opened["group/b"] = array
    place = (slice(1, 5), slice(-2, None), slice(None))
    read = hdf5.read(tmp_path / "file.h5", lambda _: {"group/a": place, "group/b": place})[1]["group"]
    assert (read["a"] == array[place]).all()
    assert (read["b"] == array[place]).all()


def test_data_that_do_not_fit_into_memory_are_refused_before_it_is_taken(file, monkeypatch):
    monkeypatch.setattr(reading, "_free_memory", lambda: 200)
    words = r"declares \d+ bytes of data, and 200 bytes of memory are free; .*without states \(keep_states=False\)"
    with pytest.raises(FileError, match=words):
        results.load(file)


def test_files_that_make_hdf5_hang_or_crash_are_given_up(file, monkeypatch):
    program = Path(server.__file__).read_text()
    opening = 'file = ending.enter_context(h5py.File(request["path"], "r"))'
    assert opening in program
    for instead in ("while True: pass", "os.kill(os.getpid(), 11)"):
        processes.end_all()
        file.with_name("server.py").write_text(program.replace(opening, instead))
        with monkeypatch.context() as patch:
            patch.setattr(processes, "SERVER", file.with_name("server.py"))
            patch.setattr(reading, "SECONDS", 0.2)
            with pytest.raises(FileError, match=r"cannot be read \(HDF5 crashed on it, or took more than 0.2 seconds"):
                results.load(file)
        assert len(results.load(file)) == 2


def test_where_processes_cannot_fork_the_server_opens_files_itself(file, monkeypatch):
    program = Path(server.__file__).read_text().replace('hasattr(os, "fork")', "False")
    file.with_name("server.py").write_text(program)
    processes.end_all()
    monkeypatch.setattr(processes, "SERVER", file.with_name("server.py"))
    first = results.load(file)
    assert (results.load(file)[1].states == first[1].states).all()
    assert len(processes._idle) == 1
    with h5py.File(file, "r+") as opened:  # it does not keep it open
        opened.attrs["seed"] = 1
    processes.end_all()


def test_a_server_that_cannot_be_started_says_why(file, monkeypatch):
    processes.end_all()
    for name, words in (("/nothing", "cannot be started"), ("/bin/false", "ends at once; see what '/bin/false -P")):
        monkeypatch.setattr(sys, "executable", name)
        with pytest.raises(FileError, match=words):
            results.load(file)


FROM_ALL_SIDES = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from mcgen import results
path = sys.argv[1]
first = results.load(path)[0].energy.sum()
with ThreadPoolExecutor(4) as pool:
    assert {one[0].energy.sum() for one in pool.map(results.load, [path] * 20)} == {first}
child = os.fork()
if child == 0:
    assert results.load(path)[0].energy.sum() == first
    os._exit(0)
assert results.load(path)[0].energy.sum() == first
assert os.waitpid(child, 0)[1] == 0
"""


def test_files_are_read_from_threads_and_forked_processes(file):
    options = ["-W", "error", "-W", "ignore:.*fork:DeprecationWarning"]
    subprocess.run([sys.executable, "-P", *options, "-c", FROM_ALL_SIDES, str(file)], check=True, timeout=120)


def test_a_server_that_was_ended_is_started_again(file):
    results.load(file)
    processes._idle[-1].process.kill()
    processes._idle[-1].process.wait()
    assert len(results.load(file)) == 2


def test_a_file_that_was_read_can_be_written_at_once(file):
    for _ in range(5):
        results.load(file)
        with h5py.File(file, "r+") as opened:
            opened.attrs["seed"] = 1
            with pytest.raises(FileError, match="is being written by another process; read it when that has ended"):
                results.load(file)


def test_a_file_that_others_may_follow_is_read_when_it_is_complete(tmp_path):
    with h5py.File(tmp_path / "live.h5", "w", libver="latest") as opened:
        opened["samples/energy"] = np.zeros(3)
        opened.swmr_mode = True
        with pytest.raises(FileError, match=r"is being written by another process, or was when that was killed; read"):
            results.load(tmp_path / "live.h5")


def test_a_file_that_is_cut_off_says_so(file):
    content = file.read_bytes()
    file.write_bytes(content[:5000])
    with pytest.raises(FileError, match=rf"it is cut off, and has 5000 of its {len(content)} bytes\); copy it again"):
        results.load(file)


TABLES = {
    "pickle.npy": (lambda path: np.save(path, np.array([{}, 1], object)), "cannot be read as a table of numbers"),
    "long.npy": (lambda path: path.write_bytes(header(10**15)), "cannot be read as a table of numbers"),
    "deep.npy": (lambda path: path.write_bytes(header("(" * 500 + ")" * 500)), "cannot be read as a table of numbers"),
    "texts.npy": (lambda path: np.save(path, [["a", "b"]]), "type <U1; give a table"),
    "complex.npy": (lambda path: np.save(path, [[1j, 0]]), "type complex128; give a table"),
    "empty.txt": (lambda path: path.write_text(""), "give a table with at least one row"),
    "bytes.txt": (lambda path: path.write_bytes(b"\xff\x00"), "cannot be read as a table of numbers"),
    "words.txt": (lambda path: path.write_text("a b\n"), "cannot be read as a table of numbers"),
    "rows.gz": (lambda path: path.write_bytes(gzip.compress(b"0 1\n")), "cannot be read as a table of numbers"),
}


def header(length):
    """A .npy file that declares so many rows, and holds none."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({length}, 2)}}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_numbers(name, tmp_path):
    make, words = TABLES[name]
    make(tmp_path / name)
    with pytest.raises(FileError, match=words) as caught:
        results.load_rows(tmp_path / name)
    assert "\n" not in str(caught.value)


WRITERS = {
    "save": lambda path: results.save(path, rbm.RBM.random(100, 100, seed=1), overwrite=True),
    "export": lambda path: results.export(rbm.RBM.random(100, 100, seed=1), path.with_suffix(".npz"), overwrite=True),
}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        *(("save", path) for path in ("/dev/null", "/dev/full", "/proc/model.h5", "x" * 300, "y" * 250 + ".h5")),
        *(("export", path) for path in ("/proc/model", "x" * 300, "y" * 250)),
    ],
)
def test_what_cannot_be_written_is_one_error(name, path, tmp_path):
    with pytest.raises(FileError, match=r"cannot be written|is a device, and would be|is not writable|does not exist"):
        WRITERS[name](tmp_path / path)
    assert not list(tmp_path.iterdir())


LIMITED = """
import resource, signal, sys
from pathlib import Path
from mcgen import ising, rbm, results
from mcgen.errors import FileError
folder = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def limit(n_bytes=30_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))

def save(name, n_units):
    limit()
    results.save(folder / name, rbm.RBM.random(n_units, n_units, seed=1), overwrite=True)

def stream(name, every):
    blocks = ising.stream(ising.Ising((16, 16)), 2.0, n_chains=200, n_draws=1400, thin=1, burn_in=10, seed=1)
    with results.stream_samples(folder / name, 1400, overwrite=True, checkpoint_every=every) as file:
        for block in blocks:
            file.append(block, blocks)
            limit()

for name, run, what in (("large", save, 200), ("small", save, 64), ("kept", stream, 0), ("lost", stream, None)):
    try:
        run(name, what)
    except FileError as error:
        print(error)
    limit(resource.RLIM_INFINITY)
"""


def test_a_disk_that_fills_up_leaves_the_earlier_file(tmp_path):
    # With a limit to the size of files: writes fail as they do on a full disk or beyond a quota.
    names, other, ends = ("large", "small", "kept", "lost"), "choose another path or free some space", []
    for name in names:
        path = results.save(tmp_path / name, rbm.RBM.random(4, 2, seed=1))
        way_out = f"free some space, and go on from {path}.part with --resume" if name == "kept" else other
        ends.append(f"{path} cannot be written (File too large); {way_out}")
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-P", "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")  # HDF5 crashes at the end of a process whose writes have failed
    assert done.stdout.splitlines() == ends
    assert {path.name for path in tmp_path.iterdir()} == {*names, "kept.part", "kept.blocks"}
    assert all(len(path.read_bytes()) == len(before) for path in map(tmp_path.joinpath, names))
    assert 0 < results.load(tmp_path / "kept.part").energy.shape[1] < 1400


def test_ctrl_c_waits_until_a_file_is_written(tmp_path, monkeypatch):
    path = results.save(tmp_path / "model.h5", rbm.RBM.random(4, 2, seed=1))
    module, sign = sys.modules["mcgen.results.saving"], files.sign
    monkeypatch.setattr(module, "sign", lambda *arguments: signal.raise_signal(signal.SIGINT) or sign(*arguments))
    with pytest.raises(KeyboardInterrupt):
        results.save(path, rbm.RBM.random(5, 2, seed=1), overwrite=True)
    assert results.load(path).n_visible == 5
    assert os.listdir(tmp_path) == ["model.h5"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_missing_rights(file):
    file.chmod(0)
    with pytest.raises(FileError, match=r"cannot be read \(Permission denied\); check the path and its permissions"):
        results.load(file)
    file.parent.chmod(0o555)
    try:
        with pytest.raises(FileError, match=r"the folder .* is not writable; choose another one"):
            results.save(file.with_name("new.h5"), rbm.RBM.random(4, 2, seed=1))
    finally:
        file.parent.chmod(0o755)


def test_names_that_are_no_files(tmp_path):
    for path in (tmp_path, tmp_path / "nothing", "/dev/null", tmp_path / ("x" * 300)):
        for reader in (results.load, results.load_rows, results.check, results.to_xarray):
            with pytest.raises(FileError, match=r"is not a file; check the path|cannot be read \(File name too long\)"):
                reader(path)


def test_checkpoints_of_sums_are_data(tmp_path):
    def add(block, state):
        if block == 2:
            raise KeyboardInterrupt
        return (np.array(block + (0 if state is None else state[0])),)

    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        long_sums.long_sum(add, 3, "numbers", ("id",), path)
    with pytest.raises(FileError, match=r"is a checkpoint of numbers, which only the command that wrote it reads"):
        results.check(path)
    content = path.read_bytes()
    with h5py.File(path, "r+") as opened:
        del opened["sums/0"]
        opened["sums/0"] = h5py.ExternalLink("/etc/passwd", "/")
    for damaged in (path.read_bytes(), content[:-1000], content.replace(b"done", b"gone")):
        path.write_bytes(damaged)
        with pytest.raises(FileError, match=r"is not a checkpoint of mcgen|cannot be read"):
            long_sums.long_sum(add, 3, "numbers", ("id",), path)


def test_nothing_is_unpickled():
    for path in Path(results.__file__).parents[1].rglob("*.py"):
        text = path.read_text()
        assert "pickle.load" not in text
        assert "eval(" not in text.replace("literal_eval(", ""), path
        assert text.count("np.load(") == text.count("allow_pickle=False"), path
