import dataclasses
import json
import os
import shutil

import h5py
import numpy as np
import pytest
import xarray

from mcgen import ising, rbm, results
from mcgen.errors import FileError, InputError
from mcgen.results import Study, groups, samples

LATTICE = ising.Ising((2, 3), field=0.1)


@pytest.fixture(scope="module")
def runs():
    return [ising.sample(LATTICE, t, n_chains=4, n_draws=5, thin=2, burn_in=3, seed=9) for t in (1.5, 3.0)]


@pytest.fixture(scope="module")
def tempered():
    return ising.sample(LATTICE, [3.0, 1.5], n_chains=4, n_draws=5, thin=2, burn_in=3, seed=9, method="tempering")


@pytest.fixture(scope="module")
def trained(runs):
    start = rbm.RBM.random(6, 3, seed=1, visible="spin", hidden="bernoulli")
    return [rbm.train(start, run.states.reshape(-1, 6), epochs=4, n_chains=7, seed=2) for run in runs]


def same(one, other):
    """Whether two results hold the same, down to the bytes of arrays."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        )
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, rbm.RBM):
        return same(one.parameters, other.parameters) and (one.visible, one.hidden) == (other.visible, other.hidden)
    if isinstance(one, ising.Ising):
        return same((one.coupling, one.field), (other.coupling, other.field)) and one.periodic == other.periodic
    return one == other or (one != one and other != other)


def without_states(run):
    return dataclasses.replace(run, states=run.states[:, :0])


def kinds(runs, tempered, trained):
    model = trained[0].model
    float32 = model.replace(*(array.astype(np.float32) for array in model.parameters))
    drawn = rbm.sample(model, n_chains=3, n_draws=2, seed=4, method="metropolis")
    return {
        "run": runs[0],
        "runs": runs,
        "run without states": without_states(runs[0]),
        "runs without states": [without_states(run) for run in runs],
        "tempering": tempered,
        "one of tempering": tempered[1],
        "exact draws": ising.sample(LATTICE, 2.0, n_chains=2, n_draws=3, method="exact"),
        "bit-sliced": ising.sample(ising.Ising((4, 4)), 2.0, n_chains=8, n_draws=3),
        "model": model,
        "float32 model": float32,
        "models": [model, trained[1].model],
        "trained": trained[0],
        "two trained": trained,
        "rbm samples": drawn,
        "gibbs samples": rbm.sample(model, n_chains=3, n_draws=2, seed=4),
    }


ISING = ["run", "runs", "run without states", "runs without states", "tempering", "one of tempering", "exact draws"]
ISING += ["bit-sliced"]
NAMES = [*ISING, "model", "float32 model", "models", "trained", "two trained", "rbm samples", "gibbs samples"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_is_loaded(name, runs, tempered, trained, tmp_path):
    what = kinds(runs, tempered, trained)[name]
    path = results.save(tmp_path / "file.h5", what)
    again = results.load(path)
    assert type(again) is type(what)
    assert same(again, what)
    assert os.listdir(tmp_path) == ["file.h5"]


def whole_study(runs, trained):
    numbers = {"kl_divergence": np.array([0.1, 0.2])}
    return Study(
        (1.5, 3.0),
        LATTICE,
        tuple(runs),
        tuple(t.model for t in trained),
        tuple(trained),
        numbers,
        {"energy_truth": np.array([-1.0, -2.0])},
    )


def test_a_whole_study_is_loaded(runs, trained, tmp_path):
    study = whole_study(runs, trained)
    again = results.load(results.save(tmp_path / "file.h5", study, configuration={"seed": 5}))
    assert again.attributes["seed"] == 5
    assert same(dataclasses.replace(again, attributes={}), study)


@pytest.mark.parametrize("name", [*NAMES, "study"])
def test_files_open_in_xarray_and_every_axis_has_a_scale(name, runs, tempered, trained, tmp_path):
    what = (kinds(runs, tempered, trained) | {"study": whole_study(runs, trained)})[name]
    path = results.save(tmp_path / "file.h5", what)
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        tree.load()
        if name == "runs":
            assert tree["samples/states"].dims == ("temperature", "chain", "draw", "site_0", "site_1")
            assert tree["samples/temperature"].values.tolist() == [1.5, 3.0]
            assert (tree["samples/states"].sel(temperature=3.0).values == runs[1].states).all()
            assert (tree["samples/magnetization"].values[1] == runs[1].magnetization).all()
            assert tree["samples"].attrs["kernel"] == "single-flip"
        if name == "runs without states":
            assert "states" not in tree["samples"]
            assert tree["samples/energy"].dims == ("temperature", "chain", "draw")
        if name == "tempering":
            exchange = tree["exchange"]
            assert exchange["temperature"].values.tolist() == tempered[0].exchange.temperatures.tolist()
            assert exchange["swap_rates"].dims == ("pair",)
            assert int(exchange["n_sweeps"]) == 10
        if name == "run":
            assert tree["samples/states"].dims == ("chain", "draw", "site_0", "site_1")
            assert float(tree["samples/temperature"]) == 1.5
        if name == "two trained":
            assert tree["training/log_likelihood"].dims[-1] == "epoch"
    with h5py.File(path) as file:
        datasets = []
        file.visititems(lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None)
        assert datasets
        for dataset in datasets:
            assert dataset.is_scale or all(len(axis) == 1 for axis in dataset.dims), dataset.name
            assert dataset.dtype.kind in "iuf", dataset.name


def test_provenance(runs, tmp_path):
    path = results.save(tmp_path / "file.h5", runs[0], configuration={"seed": 2**64 - 1, "device": "cpu", "thin": 2})
    with h5py.File(path) as file:
        attributes = dict(file.attrs)
    assert attributes["schema_version"] == results.SCHEMA_VERSION
    assert attributes["generator"] == "Philox4x32-10"
    assert int(attributes["seed"]) == 2**64 - 1
    assert attributes["status"] == "complete"
    assert json.loads(attributes["configuration"])["thin"] == 2
    assert set(json.loads(attributes["library_versions"])) >= {"numpy", "numba", "scipy", "h5py"}
    assert {"mcgen_version", "created", "command_line", "device", "threads"} <= set(attributes)
    assert attributes["created"].endswith("+00:00")


def test_settings_are_their_own_provenance(runs, tmp_path):
    path = results.save(tmp_path / "file.h5", runs[0])
    assert results.load_study(path).attributes["seed"] == 9


def test_an_existing_file_is_kept_unless_asked(runs, tmp_path):
    path = results.save(tmp_path / "file.h5", runs[0])
    before = path.read_bytes()
    with pytest.raises(FileError, match=r"exists; choose another name, or overwrite"):
        results.save(path, runs[1])
    assert path.read_bytes() == before
    results.save(path, runs[1], overwrite=True)
    assert results.load(path).temperature == 3.0


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(runs, tmp_path, monkeypatch):
    path = results.save(tmp_path / "file.h5", runs[0])
    before = path.read_bytes()

    def disk_full(*_):
        raise OSError(28, "No space left on device (of HDF5,\nmany lines long)")

    monkeypatch.setattr(samples, "write", disk_full)
    with pytest.raises(FileError, match=r"cannot be written \(No space left on device\); choose another path"):
        results.save(path, runs[1], overwrite=True)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file.h5"]


def test_files_of_version_1_have_no_magnetization_and_kernel(runs, tmp_path):
    path = results.save(tmp_path / "file.h5", runs)
    with h5py.File(path, "a") as file:
        del file["samples/magnetization"], file["samples"].attrs["kernel"]
        file.attrs["schema_version"] = 1
    assert same(results.load(path), runs)
    assert same(results.load(path, keep_states=False), [without_states(run) for run in runs])


def test_states_can_stay_in_the_file(runs, tmp_path, monkeypatch):
    path = results.save(tmp_path / "file.h5", runs)
    names, original = [], groups.Entries.get
    monkeypatch.setattr(groups.Entries, "get", lambda self, name: names.append(name) or original(self, name))
    assert same(results.load(path, keep_states=False), [without_states(run) for run in runs])
    assert "energy" in names
    assert "states" not in names


def test_random_spins_take_little_more_than_a_bit(tmp_path):
    run = ising.sample(ising.Ising((16, 16)), 1000.0, n_chains=64, n_draws=100, thin=1, burn_in=5, seed=1)
    with h5py.File(results.save(tmp_path / "file.h5", run)) as file:
        states, energy = file["samples/states"], file["samples/energy"]
        assert 8 * states.id.get_storage_size() < 1.25 * states.size
        assert states.scaleoffset == 0  # the range of each chunk is found, so that nothing can be lost
        assert energy.shuffle
        for dataset in (states, energy):
            assert dataset.compression == "gzip"
            assert np.prod(dataset.chunks) * dataset.dtype.itemsize <= 2**20


@pytest.mark.parametrize(
    "shape", [(5,), (1 << 21,), (3, 2**20 + 1), (128, 200, 64, 64), (1, 1, 4096, 4096), (7, 9, 1, 3)]
)
@pytest.mark.parametrize("n_bytes", [1, 8])
def test_chunks(shape, n_bytes):
    chunk = groups.chunk_shape(shape, n_bytes)
    size = int(np.prod(chunk)) * n_bytes
    assert size <= 2**20
    assert all(1 <= c <= length for c, length in zip(chunk, shape, strict=True))
    assert size > 2**18 or chunk == shape
    # Evenly cut: the last chunk of an axis is not much shorter than the others.
    for c, length in zip(chunk, shape, strict=True):
        assert c * -(-length // c) - length < -(-length // c)


def test_a_full_disk_is_noticed_before_hdf5_is(runs, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**22))
    with pytest.raises(FileError, match=r"has 4 MB left, and 4 MB are needed to go on; .* free some space") as caught:
        results.save(tmp_path / "file.h5", runs)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_list_of_models_has_no_temperatures(trained, tmp_path):
    path = results.save(tmp_path / "file.h5", trained)
    assert results.load_study(path).temperatures == ()
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["model/weights"].dims == ("entry", "visible", "hidden")


def test_entries_that_differ_in_what_is_kept_once_are_refused(runs, tempered, tmp_path):
    def again(**changes):
        settings = {"n_chains": 4, "n_draws": 5, "thin": 2, "burn_in": 3, "seed": 1} | changes
        return ising.sample(settings.pop("lattice", LATTICE), 2.0, **settings)

    for what, other in {
        "thin": again(thin=3),
        "method": again(method="heatbath"),
        "shape": again(n_draws=6),
        "lattice": again(lattice=ising.Ising((2, 3), field=0.1, periodic=(True, False))),
        "couplings": again(lattice=ising.Ising((2, 3), coupling=1.5, field=0.1)),
        "fields": again(lattice=ising.Ising((2, 3), field=0.1 + 1e-9)),
        "kernel": dataclasses.replace(runs[1], kernel="bit-sliced"),
        "exchange": dataclasses.replace(runs[1], exchange=tempered[0].exchange),
        "number of draws": dataclasses.replace(runs[1], energy=runs[1].energy[:, :4]),
    }.items():
        with pytest.raises(InputError, match=f"samples 0 and 1 differ in {what}.* files of their own"):
            results.save(tmp_path / "file.h5", [runs[0], other])
    models = [rbm.RBM.random(4, 2, seed=1), rbm.RBM.random(4, 2, seed=1, hidden="spin")]
    with pytest.raises(InputError, match="models 0 and 1 differ in units"):
        results.save(tmp_path / "file.h5", models)
    assert not list(tmp_path.iterdir())


def test_bad_outputs(tmp_path, runs):
    with pytest.raises(FileError, match=r"folder .*nowhere.* does not exist; create it"):
        results.save(tmp_path / "nowhere" / "file.h5", runs[0])
    with pytest.raises(FileError, match="is a folder; give the name of a file"):
        results.save(tmp_path, runs[0])


def damaged(path, runs):
    results.save(path, runs[0])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def without_energy(path, runs):
    results.save(path, runs[0])
    with h5py.File(path, "a") as file:
        del file["samples/energy"]


def from_the_future(path, runs):
    results.save(path, runs[0])
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = 99


def foreign(path, runs):
    with h5py.File(path, "w") as file:
        file["x"] = 1


def empty(path, runs):
    results.save(path, runs[0])
    with h5py.File(path, "a") as file:
        del file["samples"], file["lattice"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path, runs: None, "is not a file; check the path"),
        (lambda path, runs: path.write_text("hello"), "is not an HDF5 file"),
        (foreign, "was not written by mcgen"),
        (from_the_future, "schema version 99, this mcgen reads up to 2; install a newer mcgen"),
        (damaged, "cannot be read|is not an HDF5 file"),
        (without_energy, "cannot be read .*energy.*damaged or incomplete"),
        (empty, "holds no results"),
    ],
    ids=["missing", "text", "foreign", "future", "truncated", "incomplete", "empty"],
)
def test_unreadable_files(make, words, tmp_path, runs):
    path = tmp_path / "file.h5"
    make(path, runs)
    with pytest.raises(FileError, match=words):
        results.load(path)


def test_rows_from_text_numpy_and_hdf5(tmp_path, runs):
    rows = np.array([[0, 1, 1, 0, 0, 1], [1, 1, 1, 0, 0, 0]])
    np.savetxt(tmp_path / "rows.txt", rows)
    np.save(tmp_path / "rows.npy", 2 * rows - 1)
    assert (results.load_rows(tmp_path / "rows.txt")[0][1] == rows).all()
    temperature, spins, lattice = results.load_rows(tmp_path / "rows.npy")[0]
    assert (spins == 2 * rows - 1).all()
    assert temperature is lattice is None
    tables = results.load_rows(results.save(tmp_path / "runs.h5", runs))
    assert [table[0] for table in tables] == [1.5, 3.0]
    assert (tables[1][1] == runs[1].states.reshape(-1, 6)).all()
    assert tables[0][2].shape == (2, 3)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("0 1\n1 2\n", InputError, r"holds the values \[2.0\]"),
        ("0 -1\n", InputError, "rows must hold 0 and 1, or -1 and 1"),
        ("0 nan\n", InputError, "holds the values"),
        ("zero one\n", FileError, "cannot be read as a table"),
        ("0 1\n1\n", FileError, "cannot be read as a table"),
    ],
)
def test_bad_rows(content, error, words, tmp_path):
    (tmp_path / "rows.txt").write_text(content)
    with pytest.raises(error, match=words):
        results.load_rows(tmp_path / "rows.txt")


def test_energies_are_no_rows(runs, tmp_path):
    path = results.save(tmp_path / "energies.h5", without_states(runs[0]))
    with pytest.raises(FileError, match="holds energies and magnetisations but no states; sample again without"):
        results.load_rows(path)


def test_models_are_no_rows(tmp_path):
    path = results.save(tmp_path / "model.h5", rbm.RBM.random(2, 2, seed=1))
    with pytest.raises(FileError, match="holds no samples"):
        results.load_rows(path)
