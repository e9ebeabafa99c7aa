import dataclasses
import gzip
import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from mcgen import ising, rbm, results
from mcgen.errors import FileError, InputError
from mcgen.hdf5 import reading
from mcgen.results import Study, groups, samples

LATTICE = ising.Ising((2, 3), field=0.1)
DATA = Path(__file__).parents[1] / "data"

MODELS = (rbm.RBM.random(2, 1, seed=1),)


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
        return same(one.parameters, other.parameters) and all(
            getattr(one, name) == getattr(other, name) for name in ("visible", "hidden", "symmetry", "dtype")
        )
    if isinstance(one, ising.Ising):
        return same((one.coupling, one.field), (other.coupling, other.field)) and one.periodic == other.periodic
    return one == other or (one != one and other != other)


def without_states(run):
    return dataclasses.replace(run, states=run.states[:, :0])


def as_float32(model):
    return model.replace(*(array.astype(np.float32) for array in model.parameters))


def draw(model, **changes):
    return rbm.sample(model, **({"n_chains": 3, "n_draws": 2, "thin": 1, "burn_in": 20, "seed": 4} | changes))


UNITS = [
    "bernoulli",
    "spin",
    rbm.Potts(3),
    rbm.Gaussian(mean=np.arange(6) / 7, variance=1 + np.arange(6) / 9),
    rbm.ReLU(mean=0.1, variance=0.3),
]
SYMMETRIC = rbm.RBM.symmetric((2, 3), n_filters=1, seed=1, scale=0.3, spin_flip=True, visible="spin", hidden="relu")


def of_units(visible, hidden="bernoulli", seed=1):
    return rbm.RBM.random(6, 6, seed=seed, scale=0.1, visible=visible, hidden=hidden)


def fit(model, **changes):
    v = draw(of_units(model.visible), n_chains=40).states[:, 0]
    return rbm.train(model, v, **({"epochs": 3, "seed": 2} | changes))


def without_rates(run):
    """As of tempering without any swap tried."""
    rates = np.full_like(run.exchange.swap_rates, np.nan)
    return dataclasses.replace(run, exchange=dataclasses.replace(run.exchange, swap_rates=rates))


MAKE = {
    "run": lambda runs, *_: runs[0],
    "runs": lambda runs, *_: runs,
    "run without states": lambda runs, *_: without_states(runs[0]),
    "runs without states": lambda runs, *_: [without_states(run) for run in runs],
    "tempering": lambda _, tempered, __: tempered,
    "one of tempering": lambda _, tempered, __: tempered[1],
    "exact draws": lambda *_: ising.sample(LATTICE, 2.0, n_chains=2, n_draws=3, method="exact"),
    "bit-sliced": lambda *_: ising.sample(ising.Ising((4, 4)), 2.0, n_chains=8, n_draws=3),
    "model": lambda *fixtures: fixtures[2][0].model,
    "float32 model": lambda *fixtures: as_float32(fixtures[2][0].model),
    "models": lambda *fixtures: [one.model for one in fixtures[2]],
    "symmetric model": lambda *_: SYMMETRIC,
    "models with numbers of their own": lambda *_: [
        of_units(rbm.Gaussian(mean=m, variance=2.0), rbm.ReLU(variance=0.1 / 3 + m)) for m in (0.25, np.arange(6) / 3)
    ],
    "trained": lambda *fixtures: fixtures[2][0],
    "two trained": lambda *fixtures: fixtures[2],
    "trained symmetric": lambda *_: fit(SYMMETRIC),
    "trained gaussian": lambda *_: fit(of_units(UNITS[3])),
    "trained with a trajectory": lambda *_: fit(SYMMETRIC, keep_every=2),
    "trajectories of several lengths": lambda *_: [
        fit(of_units(UNITS[4]), keep_every=1, epochs=epochs) for epochs in (2, 3)
    ],
    "maximum likelihood": lambda runs, *_: rbm.maximum_likelihood(of_units("spin"), runs[0].states.reshape(-1, 6)),
    "metropolis samples": lambda *_: draw(of_units("spin"), method="metropolis"),
    "gibbs samples": lambda *_: draw(of_units("spin")),
    "clamped samples": lambda *_: draw(of_units("spin"), clamped_units=[1, 4], clamped_values=[1, -1]),
    "exact samples": lambda *_: draw(of_units("bernoulli", "spin"), method="exact"),
    "float samples": lambda *_: draw(of_units(UNITS[3])),
    "float32 samples": lambda *_: [draw(as_float32(of_units(UNITS[4], seed=seed))) for seed in (1, 2)],
    "tempered samples": lambda *_: draw(of_units("spin"), method="tempering"),
    "ladders of several lengths": lambda *_: [
        without_rates(draw(of_units("spin"), method="tempering", ladder=ladder))
        for ladder in ([0.0, 1.0], [0.0, 0.2, 0.5, 1.0], [0.5, 1.0])
    ],
    "trajectory samples": lambda *_: draw(of_units(UNITS[2]), method="tempering", ladder=[of_units(UNITS[2], seed=5)]),
} | {f"{getattr(kind, 'name', kind)} samples": lambda *_, kind=kind: draw(of_units(kind, kind)) for kind in UNITS}
NAMES = list(MAKE)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_is_loaded(name, runs, tempered, trained, tmp_path):
    what = MAKE[name](runs, tempered, trained)
    path = results.save(tmp_path / "file.h5", what)
    again = results.load(path)
    assert type(again) is type(what)
    assert same(again, what)
    assert os.listdir(tmp_path) == ["file.h5"]


@pytest.mark.parametrize("visible", UNITS, ids=lambda kind: getattr(kind, "name", kind))
def test_every_pair_of_units_is_kept(visible, tmp_path):
    for number, hidden in enumerate(UNITS):
        models = [of_units(visible, hidden, seed) for seed in (1, 2)]
        assert same(results.load(results.save(tmp_path / f"{number}.h5", models)), models)


def test_the_file_says_what_the_units_are(tmp_path):
    with h5py.File(results.save(tmp_path / "file.h5", of_units(UNITS[2], UNITS[3]))) as file:
        attributes = dict(file["model"].attrs)
        assert attributes == {"kind": "rbm", "visible_units": "potts", "visible_states": 3, "hidden_units": "gaussian"}
        assert file["model/hidden_unit_mean"][()].tolist() == (np.arange(6) / 7).tolist()
        assert file["model/hidden_unit_variance"][()].tolist() == (1 + np.arange(6) / 9).tolist()
    with h5py.File(results.save(tmp_path / "tied.h5", SYMMETRIC)) as file:
        attributes = file["model"].attrs
        assert attributes["symmetry_shape"].tolist() == [2, 3]
        assert (attributes["symmetry_filters"], attributes["symmetry_spin_flip"]) == (1, 1)


def test_parameters_that_break_the_symmetry_are_noticed(tmp_path):
    path = results.save(tmp_path / "file.h5", SYMMETRIC)
    with h5py.File(path, "a") as file:
        file["model/weights"][1, 2] += 1
    with pytest.raises(FileError, match=r"cannot be read \(weights has the value .* damaged"):
        results.load(path)


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
    what = whole_study(runs, trained) if name == "study" else MAKE[name](runs, tempered, trained)
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
        if name == "ladders of several lengths":
            assert tree["exchange/beta"].dims == ("entry", "place")
            assert tree["exchange/swap_rates"].shape == (3, tree["exchange/beta"].shape[1] - 1)
            assert [beta.swap_rates.size for beta in (run.exchange for run in what)] == tree[
                "exchange/n_pairs"
            ].values.tolist()
        if name == "float samples":
            assert tree["samples/states"].dims == ("chain", "draw", "visible")
            assert tree["samples/magnetization"].dims == ("chain", "draw")
            assert "flip_rate" not in tree["samples"]
            assert np.isnan(tree["samples/acceptance_rate"])
        if name == "models with numbers of their own":
            assert tree["model/hidden_unit_variance"].dims == ("entry", "hidden")
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


def test_the_command_line_can_be_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mcgen", "--output", "a name.h5", "$HOME"])
    path = results.save(tmp_path / "model.h5", MODELS[0])
    assert results.load_study(path).attributes["command_line"] == "mcgen --output 'a name.h5' '$HOME'"


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


def version_2(name, tmp_path):
    """A file that the code of schema version 2 wrote."""
    path = tmp_path / "version-2.h5"
    path.write_bytes(gzip.decompress((DATA / f"version-2-{name}.hdf5.gz").read_bytes()))
    return path


def ramp(*shape):
    return (0.125 * (np.arange(np.prod(shape)) % 11 - 4)).reshape(shape)


def spins(*shape, start=0):
    return np.where((np.arange(np.prod(shape)) * 7 + start) % 5 < 2, 1, -1).astype(np.int8).reshape(shape)


def test_samples_and_models_of_version_2(tmp_path):
    study = results.load(version_2("rbm", tmp_path))
    assert study.attributes["schema_version"] == 2
    assert study.temperatures == (1.5, 3.0)
    assert same(study.lattice, ising.Ising((2, 3), field=0.25))
    assert study.exact["kl_divergence"].tolist() == ramp(2).tolist()
    for k, (model, run, trained) in enumerate(zip(study.models, study.samples, study.trained, strict=True)):
        assert same(model, rbm.RBM(ramp(6, 2) + k, ramp(6) - k, ramp(2), "spin", "bernoulli"))
        assert run.model is trained.model is model
        assert same(run.states, spins(2, 3, 6, start=k))
        assert same(run.free_energy, ramp(2, 3) + k)
        assert same(run.magnetization, spins(2, 3, 6, start=k).astype(float).sum(axis=2))
        settings = (
            run.acceptance_rate,
            run.exchange,
            run.kernel,
            run.method,
            run.seed,
            run.thin,
            run.burn_in,
            run.device,
        )
        assert settings == (0.25 + 0.5 * k, None, "", "metropolis", 5 + k, 3, 4, "cpu")
        assert trained.history["epoch"].tolist() == [1, 2, 3][: 3 - k]
        assert same(trained.history["learning_rate"], ramp(3 - k))
        assert np.isnan(trained.history["log_likelihood"]).all()
        assert same(trained.chains, run.states[:, 0])
        assert trained.settings == {"negative_phase": "cd", "n_rows": 9}
        assert trained.interrupted == bool(k)


def test_tempering_of_version_2(tmp_path):
    runs = results.load(version_2("tempering", tmp_path))
    states = spins(2, 3, 2, 3)
    lattice = ising.Ising((2, 3), field=0.25)
    for run, temperature in zip(runs, (1.5, 3.0), strict=True):
        assert same(run.states, states)
        assert same((run.energy, run.magnetization), (lattice.energy(states), lattice.magnetization(states)))
        assert same(run.lattice, lattice)
        assert (run.temperature, run.method, run.kernel, run.flip_rate) == (
            temperature,
            "tempering",
            "single-flip",
            0.25,
        )
        assert same(
            (run.exchange.temperatures, run.exchange.swap_rates), (np.array([1.5, 2, 3]), np.array([0.5, np.nan]))
        )
        assert (run.exchange.round_trips, run.exchange.n_sweeps) == (3, 12)


def test_states_can_stay_in_the_file(runs, tmp_path, monkeypatch):
    path = results.save(tmp_path / "file.h5", runs)
    names, original = [], reading._parts
    monkeypatch.setattr(reading, "_parts", lambda listing, chosen: names.extend(chosen) or original(listing, names))
    assert same(results.load(path, keep_states=False), [without_states(run) for run in runs])
    assert "samples/energy" in names
    assert "samples/states" not in names


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


def test_real_states_are_kept_in_full(tmp_path):
    model = rbm.RBM.random(64, 4, seed=1, visible="gaussian")
    run = draw(model, n_chains=64, n_draws=100)
    with h5py.File(results.save(tmp_path / "file.h5", run)) as file:
        states = file["samples/states"]
        assert states.dtype == np.float64
        assert states.scaleoffset is None  # it rounds what is no integer
        assert states.shuffle
        assert np.prod(states.chunks) * states.dtype.itemsize <= 2**20


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
    model = rbm.RBM(*SYMMETRIC.parameters, "spin", "relu")
    for words, one, other in (
        (r"units \(\('spin', 'relu'\) and \('spin', 'spin'\)\)", of_units("spin", "relu"), of_units("spin", "spin")),
        (r"units .*Potts\(q=3\).* and .*Potts\(q=2\)", of_units(rbm.Potts(3)), of_units(rbm.Potts(2))),
        (r"symmetry \(None and Symmetry\(shape=\(2, 3\)", model, SYMMETRIC),
        (r"dtype \(float64 and float32\)", model, as_float32(model)),
    ):
        with pytest.raises(InputError, match=f"models 0 and 1 differ in {words}.* files of their own"):
            results.save(tmp_path / "file.h5", [one, other])
    run = draw(of_units("spin"))
    exchange = rbm.tempering.Exchange(np.array([0.0, 1.0]), np.array([0.5]), 1, 2)
    tempered_run, trajectory = (
        dataclasses.replace(run, exchange=dataclasses.replace(exchange, betas=betas))
        for betas in (exchange.betas, None)
    )
    for words, one, other in (
        (r"kernel \(products and shared\)", run, dataclasses.replace(run, kernel="shared")),
        (r"ladder \(none and temperatures\)", run, tempered_run),
        (r"ladder \(temperatures and models\)", tempered_run, trajectory),
        (r"dtype of states \(int8 and float64\)", run, draw(of_units("gaussian"))),
    ):
        with pytest.raises(InputError, match=f"samples 0 and 1 differ in {words}.* files of their own"):
            results.save(tmp_path / "file.h5", [one, other])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"models": MODELS}, "has 2 temperatures and 1 models"),
        ({"temperatures": (1.0,), "models": MODELS * 2}, "has 2 models and 1 temperatures"),
        ({"exact": {"log_partition": np.zeros(3)}}, "column log_partition has 3 values, and the study 2 entries"),
        ({"temperatures": (), "observables": {"a": np.zeros(3)}}, "column a has 3 values, and the study 1 entry"),
    ],
)
def test_a_file_that_would_not_hold_all_entries_is_refused(more, words, tmp_path):
    with pytest.raises(InputError, match=words):
        results.save(tmp_path / "study.h5", results.Study(**({"temperatures": (1.0, 2.0)} | more)))
    assert not (tmp_path / "study.h5").exists()


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
        (from_the_future, "schema version 99, this mcgen reads up to 3; install a newer mcgen"),
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
        ("0 -1\n", InputError, r"holds the values \[-1.0, 0.0\]; rows must hold 0 and 1, or -1 and 1"),
        ("0 nan\n", InputError, "holds the values"),
        ("zero one\n", FileError, "cannot be read as a table"),
        ("0 1\n1\n", FileError, "cannot be read as a table"),
    ],
)
def test_bad_rows(content, error, words, tmp_path):
    (tmp_path / "rows.txt").write_text(content)
    with pytest.raises(error, match=words):
        results.load_rows(tmp_path / "rows.txt")


def test_real_rows(tmp_path):
    rows = np.array([[0.5, -1.25, 3.0], [1e-9, 2.0, -7.5]])
    np.savetxt(tmp_path / "rows.txt", rows, fmt="%.17g")
    assert same(results.load_rows(tmp_path / "rows.txt", real=True), [(None, rows, None)])
    run = draw(of_units("gaussian"))
    path = results.save(tmp_path / "run.h5", run)
    assert same(results.load_rows(path, real=True)[0][1], run.states.reshape(-1, 6))
    for bad in (tmp_path / "rows.txt", path):
        with pytest.raises(InputError, match=r"rows must hold 0 and 1, or -1 and 1, but for continuous units \(real"):
            results.load_rows(bad)
    np.save(tmp_path / "bytes.npy", np.array([[0, 5]], np.int8))
    with pytest.raises(InputError, match=r"holds the values \[5\]"):
        results.load_rows(tmp_path / "bytes.npy")


def test_energies_are_no_rows(runs, tmp_path):
    path = results.save(tmp_path / "energies.h5", without_states(runs[0]))
    with pytest.raises(FileError, match="holds energies and magnetisations but no states; sample again without"):
        results.load_rows(path)


def test_models_are_no_rows(tmp_path):
    path = results.save(tmp_path / "model.h5", rbm.RBM.random(2, 2, seed=1))
    with pytest.raises(FileError, match="holds no samples"):
        results.load_rows(path)
