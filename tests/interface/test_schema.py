"""What files hold: the schema, `mcgen check`, files of every version, and other programs that open them."""

import gzip
import re
import shlex
import sys
from pathlib import Path

import arviz_stats
import h5py
import numpy as np
import pytest

from mcgen import cli, hdf5, ising, rbm, results, stats, vae
from mcgen.errors import FileError, InputError
from mcgen.results import schema
from mcgen.results.schema.layouts import GROUPS, TABLE

DATA = Path(__file__).parents[1] / "data"
FIXTURES = sorted(path.name.removesuffix(".hdf5.gz") for path in DATA.glob("version-*.hdf5.gz"))


def fixture(name, folder):
    """A file that the code of its version wrote."""
    path = folder / f"{name}.h5"
    path.write_bytes(gzip.decompress((DATA / f"{name}.hdf5.gz").read_bytes()))
    return path


def mcgen(line):
    return cli.main(shlex.split(line))


def test_every_version_has_a_fixture():
    assert {int(name.split("-")[1]) for name in FIXTURES} == set(range(1, schema.VERSION + 1))


@pytest.mark.parametrize("name", FIXTURES)
def test_files_of_every_version_load_and_are_as_the_schema_says(name, tmp_path, capsys):
    path = fixture(name, tmp_path)
    assert mcgen(f"check {path}") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path}: ")
    assert line.endswith(f"; schema version {name.split('-')[1]}, complete")
    assert mcgen(f"check {path} {path} {DATA}") == 1
    assert capsys.readouterr().out == f"{line}\n{line}\n{DATA} is not a file; check the path\n"
    study = results.load_study(path)
    again = results.load_study(results.save(tmp_path / "again.h5", study))
    assert [type(one) for one in again.samples + again.trained] == [type(one) for one in study.samples + study.trained]
    assert results.check(tmp_path / "again.h5").deviations == ()
    tree = results.to_xarray(path)
    assert set(tree.children) == set(h5py.File(path))


def test_samples_and_trainings_of_version_1(tmp_path):
    study = results.load(fixture("version-1-study", tmp_path))
    assert study.temperatures == (1.5, 3.0)
    for run, one in zip(study.samples, study.trained, strict=True):
        assert run.states.shape == (2, 3, 2, 3)
        assert (run.energy == study.lattice.energy(run.states)).all()
        assert (run.magnetization == study.lattice.magnetization(run.states)).all()
        assert (run.kernel, run.method, run.seed, run.exchange) == ("single-flip", "metropolis", 9, None)
        assert one.history["epoch"].tolist() == [1, 2]
        assert one.chains.shape == (6, 6)
        assert one.settings["n_rows"] == 6
        log_partition = rbm.exact.log_partition(one.model)
        assert one.history["log_partition"][-1] == pytest.approx(log_partition, rel=1e-12)
    for run in results.load(fixture("version-1-rbm", tmp_path)):
        assert run.free_energy == pytest.approx(run.model.free_energy(run.states), rel=1e-12)
        assert np.isnan(run.acceptance_rate)  # of Gibbs sampling


def test_the_schema_is_printed(capsys):
    assert mcgen("check --schema") == 0
    out = capsys.readouterr().out
    for layout in (*GROUPS, TABLE):
        assert f"\n/{layout.group}" in out
        for item in layout.attributes + layout.arrays:
            assert f"{item.name} " in out
    assert mcgen("check") == 2
    assert "give one, or several, or --schema" in capsys.readouterr().err


def replaced(name, change):
    def damage(file):
        values = file[name][()]
        del file[name]
        file[name] = change(values)

    return damage


def attribute(group, name, value):
    return lambda file: file[group].attrs.__setitem__(name, value)


def put(name, place, value):
    return lambda file: file[name].__setitem__(place, value)


def delete(name):
    return lambda file: file.__delitem__(name)


def detach(file):
    file["samples/energy"].dims[1].detach_scale(file["samples/chain"])


# fixture, damage, whether the file can still be loaded, words
DEVIATIONS = {
    "scale": ("ising", detach, True, "/samples/energy has no dimension scale on its axis 'chain'"),
    "lost scale": ("ising", delete("samples/draw"), True, "/samples/states has no dimension scale on its axis 'draw'"),
    "new group": ("ising", lambda f: f.create_group("mine"), True, "/mine is no group that the schema knows"),
    "new dataset": (
        "ising",
        lambda f: f["samples"].create_dataset("mine", data=1),
        True,
        "/samples/mine is no dataset",
    ),
    "new attribute": ("ising", attribute("samples", "mine", 1), True, "/samples@mine is no attribute"),
    "status": ("ising", attribute("/", "status", "great"), True, "/@status is 'great', which is none of running"),
    "dtype": ("ising", replaced("samples/energy", np.float32), False, "/samples/energy is float32, and float64 is exp"),
    "missing": ("ising", delete("samples/energy"), False, "/samples/energy is missing"),
    "no lattice": ("ising", delete("lattice"), False, "/lattice is missing, and /samples needs it"),
    "axis": (
        "ising",
        replaced("samples/energy", lambda x: x[0]),
        False,
        r"has shape \(2, 3\), and \(temperature, chain",
    ),
    "length": (
        "ising",
        replaced("samples/states", lambda x: x[:, :1]),
        False,
        r"\(2, 1, 3, 2, 3\), and chain has length 2 in /samples/energy",
    ),
    "sites": (
        "ising",
        attribute("lattice", "shape", [2, 3, 1]),
        False,
        r"\(direction, site_0, site_1, site_2\) is exp",
    ),
    "entries": ("ising", replaced("samples/seed", lambda x: x[:1]), False, r"temperature has length 2 in /samples/"),
    "nan": (
        "ising",
        put("samples/energy", (0, 0, 0), np.nan),
        False,
        "/samples/energy has 1 values that are NaN or inf",
    ),
    "spins": ("ising", put("samples/states", (1, 0, 0, 0, 1), 0), False, "/samples/states has the value 0 at index"),
    "temperature": ("ising", put("samples/temperature", 0, -1), False, "/samples/temperature has the value -1"),
    "rate": ("ising", put("exchange/swap_rates", 0, 1.5), False, "/exchange/swap_rates has the value 1.5, and 0 to 1"),
    "ladder": (
        "ising",
        replaced("exchange/swap_rates", lambda x: x[:0]),
        False,
        "of temperature and 0 of pair; it must",
    ),
    "kind": ("ising", attribute("samples", "kind", "gan"), False, "/samples is not known for /samples of kind 'gan'"),
    "thin": ("ising", attribute("samples", "thin", 0), False, "/samples@thin is 0; it must be finite and at least 1"),
    "text": ("ising", attribute("samples", "method", 3), False, "/samples@method is 3, and a text is expected"),
    "no integer": (
        "ising",
        attribute("samples", "thin", 1.5),
        False,
        "/samples@thin is 1.5, and an integer is expected",
    ),
    "one length": ("ising", attribute("lattice", "shape", 2), False, "/lattice@shape is 2, and an integer is expected"),
    "units": (
        "rbm",
        attribute("model", "visible_units", "fermion"),
        False,
        "'fermion', which is none of bernoulli, spin",
    ),
    "chains": ("rbm", put("training/chains", (0, 0), 0), False, "/training/chains has the value 0 at index"),
    "states": ("potts", put("samples/states", (0, 0, 0, 0), 2), False, "/samples/states is not one-hot"),
    "states as units": (
        "rbm",
        attribute("model", "visible_units", "bernoulli"),
        False,
        "/samples/states has the value -1",
    ),
    "epochs": ("rbm", put("training/n_epochs", (), 3), False, "/training/n_epochs has the value 3, and 0 to 2"),
    "stored": ("rbm", put("trajectory/n_stored", (), 9), False, "/trajectory/n_stored has the value 9, and 0 to 3"),
    "settings": ("rbm", attribute("training", "settings", "[{"), False, "/training@settings is no JSON"),
    "deep settings": ("rbm", attribute("training", "settings", "[" * 60_000), False, "is no JSON.*recursion"),
    "other settings": ("rbm", attribute("training", "settings", "3"), False, "is no list of 1 objects"),
    "weights": ("rbm", put("model/weights", (0, 0), np.inf), False, "/model/weights has 1 values that are NaN or inf"),
    "size": ("vae", attribute("model", "n_features", 10**15), False, "n_features is 10000.*, and the group holds"),
    "image": (
        "vae",
        attribute("model", "convolution_shape", [10**9, 4, 1]),
        False,
        "convolution_shape is .*the group holds",
    ),
    "no image": (
        "vae",
        lambda f: f["model"].attrs.__delitem__("convolution_stride"),
        False,
        "convolution_stride is missing",
    ),
    "optimiser": (
        "vae",
        replaced("checkpoint/moment_0", lambda x: x[:-1]),
        False,
        "/checkpoint/moment_0 has shape",
    ),
    "decoder": (
        "vae",
        attribute("model", "decoder", "poisson"),
        False,
        "/model@decoder is 'poisson', which is none of",
    ),
    "no unit": ("rbm", delete("model/hidden_unit_mean"), False, "/model/hidden_unit_mean is missing"),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_every_deviation_has_a_line(name, tmp_path, capsys):
    kind, damage, is_readable, words = DEVIATIONS[name]
    path = fixture(f"version-3-{kind}", tmp_path)
    with h5py.File(path, "r+") as file:
        damage(file)
    deviations = results.check(path).deviations
    (deviation,) = [one for one in deviations if re.search(words, str(one))]
    assert deviation.is_fatal != is_readable
    assert mcgen(f"check {path}") == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(deviations)
    assert lines[0].endswith("cannot be loaded") != is_readable
    if is_readable:
        results.load(path)
    else:
        with pytest.raises(FileError, match=r"cannot be read \(.*\); it is damaged or incomplete, make it again"):
            results.load(path)


def test_an_interrupted_file_says_so(tmp_path, capsys):
    path = results.save(tmp_path / "model.h5", rbm.RBM.random(4, 2, seed=1), status="interrupted")
    assert mcgen(f"check {path}") == 0
    assert capsys.readouterr().out == (
        f"{path}: RBM of 4 bernoulli and 2 bernoulli units; schema version 3, interrupted\n"
    )


def test_files_in_parts_are_checked(tmp_path, capsys):
    """An index of files of ranks, with states in several parts, and the unfinished file of a run."""
    run = ising.sample(ising.Ising((4, 4)), 2.0, n_chains=4, n_draws=3, thin=1, burn_in=50, seed=1)
    part = results.save(tmp_path / "part.h5", run)
    index = results.write_index(tmp_path / "index.h5", [results.RankFile(part, slice(0, 1), slice(0, 4))])
    blocks = ising.stream(ising.Ising((4, 4)), 2.0, n_chains=4, n_draws=50, thin=1, burn_in=50, seed=1)
    with results.stream_samples(tmp_path / "run.h5", 100, checkpoint_every=0) as file:
        for block in blocks:
            file.append(block, blocks)
    assert mcgen(f"check {index} {tmp_path / 'run.h5.part'}") == 0
    what = "4 x 4 Ising model, {} draws of 4 chains (metropolis), T = 2, {}; schema version 3, {}"
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == [
        what.format(3, "index of 1 files", "complete"),
        what.format(50, "draws in 1 files, with a checkpoint", "running"),
    ]
    part.unlink()
    assert mcgen(f"check {index}") == 1
    words = "it is the index of 1 files of ranks, and 1 of them are not beside it, first part.h5"
    assert capsys.readouterr().out == f"{index}: cannot be loaded\n{index}: {words}\n"


@pytest.mark.parametrize(("place", "n_parts"), [((0, 0, 0, 0), 1), ((1, 1, 2, 5), 2)])
def test_states_are_checked_a_part_at_a_time(place, n_parts, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["mcgen.results.check"], "BYTES_AT_ONCE", 16)  # a chunk: there is one for each entry
    path, reads, read = fixture("version-3-potts", tmp_path), [], hdf5.read
    with h5py.File(path, "r+") as file:
        file["samples/states"][place] = 7
    monkeypatch.setattr(hdf5, "read", lambda *arguments: reads.append(1) or read(*arguments))
    (deviation,) = results.check(path).deviations
    assert deviation.place == "/samples/states"
    assert len(reads) == 1 + n_parts


def test_names_in_files_are_no_commands_for_a_terminal(tmp_path, capsys):
    path = results.save(tmp_path / "model.h5", rbm.RBM.random(4, 2, seed=1))
    with h5py.File(path, "r+") as file:
        file["model/\x1b[2J\nok"] = 1
        file["model"].attrs["\x9b" + "x" * 10_000] = 1
    assert mcgen(f"check {path}") == 1
    out = capsys.readouterr().out
    assert [letter for letter in out if not letter.isprintable()] == ["\n"] * 3
    assert max(map(len, out.splitlines())) < 500


def with_tables(path):
    """A model, a table with two axes and attributes, and one of attributes only."""
    model = rbm.RBM.random(4, 2, seed=1)
    table = results.Table(
        {
            "temperature": np.array([1.0, 2.5]), "energy": np.array([-2.0, np.nan]), "energy_error": np.array([0.1, 0.2]),
            "two_point": np.arange(6.0).reshape(2, 3), "distance": np.array([0.0, 1.0, 2**0.5]), "n_sites": np.array(16),
        },
        {
            "temperature": ("temperature",), "energy": ("temperature",), "energy_error": ("temperature",),
            "two_point": ("temperature", "distance"), "distance": ("distance",), "n_sites": (),
        },
        {"words": "of 4 x 4 sites", "runs": 7},
    )  # fmt: skip
    collapse = results.Table({}, {}, {"p_value": 0.25, "curve": np.array([1.0, 2.0])})
    return results.save(path, results.Study(models=(model,), tables={"size_4": table, "collapse": collapse}))


def same_table(one, other):
    assert one.dimensions == other.dimensions
    assert one.columns.keys() == other.columns.keys()
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, other.columns[name])
    assert str(one.attributes) == str(other.attributes)


def test_tables_of_studies(tmp_path, capsys):
    path = with_tables(tmp_path / "study.h5")
    assert mcgen(f"check {path}") == 0
    words = "RBM of 4 bernoulli and 2 bernoulli units, tables of a study: collapse, size_4; schema version 3, complete"
    assert capsys.readouterr().out == f"{path}: {words}\n"
    study = results.load_study(path)
    assert study.tables["size_4"].dimensions["two_point"] == ("temperature", "distance")
    assert study.tables["size_4"].columns["energy"][0] == -2.0
    assert study.tables["size_4"].attributes == {"words": "of 4 x 4 sites", "runs": 7}
    assert study.tables["collapse"].attributes["p_value"] == 0.25
    again = results.load_study(results.save(tmp_path / "again.h5", study))
    for name in ("size_4", "collapse"):
        same_table(again.tables[name], study.tables[name])
    assert isinstance(results.load(path), rbm.RBM)  # as without tables
    only = results.save(tmp_path / "only.h5", results.Study(tables=study.tables))
    same_table(results.load(only).tables["size_4"], study.tables["size_4"])
    tree = results.to_xarray(path)
    assert tree["size_4/two_point"].dims == ("temperature", "distance")
    assert float(tree["size_4/energy"].sel(temperature=1.0)) == -2.0
    assert float(tree["size_4/distance"][2]) == 2**0.5
    for name in ("model", "a/b"):
        with pytest.raises(InputError, match=f"a table cannot have the name '{name}'"):
            results.save(tmp_path / "wrong.h5", results.Study(tables={name: study.tables["collapse"]}))


def test_reports_show_tables_of_studies(tmp_path, capsys):
    study = results.load_study(with_tables(tmp_path / "study.h5"))
    only = results.save(tmp_path / "only.h5", results.Study(tables=study.tables))
    assert mcgen(f"report {only} --output {tmp_path / 'page.html'}") == 0
    text = (tmp_path / "page.html").read_text()
    for words in ("size_4: of 4 x 4 sites", "temperature 2.5", "-2.00(10)", "temperature, distance", "0.25", "curve"):
        assert words in text, words
    assert mcgen(f"report {only} --output {tmp_path / 'figure.png'}") == 0
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("damage", "is_fatal", "words"),
    [
        (lambda file: file["size_4"].attrs.__delitem__("kind"), False, "/size_4 is no group that the schema knows"),
        (lambda file: file["size_4"].attrs.__setitem__("kind", "tables"), False, "/size_4 is no group that the schema"),
        (
            lambda file: file["size_4/two_point"].dims[1].detach_scale(file["size_4/distance"]),
            False, "/size_4/two_point has no dimension scale on its axis number 1",
        ),
        (
            lambda file: file["size_4/two_point"].dims[1].attach_scale(file["size_4/temperature"]),
            False, "/size_4/two_point has no dimension scale on its axis number 1",
        ),
        (lambda file: file["size_4"].attrs.__setitem__("words", 3), True, "/size_4@words is 3, and a text is expected"),
    ],
)  # fmt: skip
def test_wrong_tables(damage, is_fatal, words, tmp_path):
    path = with_tables(tmp_path / "study.h5")
    with h5py.File(path, "r+") as file:
        damage(file)
    (deviation,) = results.check(path).deviations
    assert str(deviation).startswith(words)
    assert deviation.is_fatal == is_fatal


def test_arviz_computes_from_a_file_what_stats_compute(tmp_path):
    runs = [
        ising.sample(ising.Ising((4, 4)), t, n_chains=6, n_draws=200, thin=1, burn_in=20, seed=3) for t in (2.0, 4.0)
    ]
    for source in (results.save(tmp_path / "runs.h5", runs), runs):
        tree = results.to_xarray(source)
        assert tree["samples/states"].dims == ("temperature", "chain", "draw", "site_0", "site_1")
        assert tree["samples/energy"].attrs["long_name"] == "of the lattice, energy"
        r_hat = arviz_stats.rhat(tree, group="samples", var_names=["energy", "magnetization"])
        size = arviz_stats.ess(tree, group="samples", var_names=["energy"], method="mean")
        for run in runs:
            at = {"temperature": run.temperature}
            assert float(r_hat["energy"].sel(at)) == pytest.approx(stats.split_r_hat(run.energy), rel=1e-12)
            assert float(r_hat["magnetization"].sel(at)) == pytest.approx(
                stats.split_r_hat(run.magnetization), rel=1e-12
            )
            # Its sum over lags ends by another rule (Geyer's, not Sokal's): two estimates of one number.
            expected = stats.effective_sample_size(run.energy)
            assert float(size["energy"].sel(at)) == pytest.approx(expected, rel=0.2)


def test_a_tree_needs_xarray(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(InputError, match=r"xarray is not installed; install it with pip install 'mcgen\[analysis\]'"):
        results.to_xarray(rbm.RBM.random(4, 2, seed=1))


def test_an_archive_is_enough_for_free_energies(tmp_path):
    kinds = [("spin", rbm.Gaussian(mean=0.2, variance=1.5)), ("bernoulli", "bernoulli"), ("bernoulli", "spin")]
    v = np.array([[0, 1, 1, 0], [1, 1, 1, 1]])
    for visible, hidden in kinds:
        models = [rbm.RBM.random(4, 3, seed=seed, scale=0.7, visible=visible, hidden=hidden) for seed in (1, 2)]
        path = results.export(models, tmp_path / "models.npz", overwrite=True)
        s = 2 * v - 1 if visible == "spin" else v
        with np.load(path, allow_pickle=False) as archive:
            for k, model in enumerate(models):
                W, b, c = (archive[name][k] for name in ("weights", "visible_bias", "hidden_bias"))
                x = s @ W + c
                if archive["hidden_units"] == "bernoulli":
                    summed = np.log1p(np.exp(x))
                elif archive["hidden_units"] == "spin":
                    summed = np.log(2 * np.cosh(x))
                else:
                    m, w = archive["hidden_unit_mean"][k], archive["hidden_unit_variance"][k]
                    summed = m * x + w * x**2 / 2 + np.log(2 * np.pi * w) / 2
                assert model.free_energy(s) == pytest.approx(-s @ b - summed.sum(axis=1), rel=1e-12)


def test_an_archive_is_enough_for_codes(tmp_path, capsys):
    net = vae.VAE(6, (5,), 2, "spin", "tanh", seed=1)
    results.save(tmp_path / "net.h5", net)
    assert mcgen(f"export {tmp_path}/net.h5 --output {tmp_path}/net.npz") == 0
    assert capsys.readouterr().out == f"wrote {tmp_path}/net.npz\n"
    x = np.where(np.random.default_rng(0).random((7, 6)) < 0.5, 1, -1)
    with np.load(tmp_path / "net.npz", allow_pickle=False) as a:
        assert (a["kind"], a["activation"], a["decoder"], a["n_latent"]) == ("vae", "tanh", "spin", 2)
        y = np.tanh(x @ a["encoder_0_weights"] + a["encoder_0_bias"]) @ a["encoder_2_weights"] + a["encoder_2_bias"]
    mean, log_std = net.encode(x)
    assert np.concatenate([mean, log_std], axis=1) == pytest.approx(y, abs=1e-5)


def test_one_of_several_temperatures_is_exported(tmp_path):
    path = fixture("version-2-rbm", tmp_path)
    models = results.load(path).models
    with np.load(results.export(path, tmp_path / "one.npz", temperature=3.0)) as archive:
        assert (archive["weights"] == models[1].weights).all()
        assert archive["temperature"] == 3.0
    with pytest.raises(InputError, match=r"temperature=2 is not there; the models have: 1.5, 3"):
        results.export(path, tmp_path / "two.npz", temperature=2.0)
    with pytest.raises(InputError, match="holds no model; give a file"):
        results.export(fixture("version-3-ising", tmp_path), tmp_path / "two.npz")
    with pytest.raises(InputError, match=r"ends in '.onnx'; choose .npz \(NumPy\) or .pt \(PyTorch\)"):
        results.export(path, tmp_path / "two.onnx")
    with pytest.raises(FileError, match="exists; choose another name"):
        results.export(path, tmp_path / "one.npz")
    assert not (tmp_path / "two.npz").exists()


def test_state_dicts_need_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"torch is not installed; .*'mcgen\[torch\]', or write .npz"):
        results.export(rbm.RBM.random(4, 2, seed=1), tmp_path / "model.pt")


def test_a_state_dict_fits_layers_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    net = vae.VAE(6, (5,), 2, "spin", "tanh", seed=1)
    state = torch.load(results.export(net, tmp_path / "net.pt"), weights_only=True)
    layers = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))
    layers.load_state_dict({name[8:]: value for name, value in state.items() if name.startswith("encoder.")})
    x = np.where(np.random.default_rng(0).random((7, 6)) < 0.5, 1, -1)
    y = layers(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    assert np.concatenate(net.encode(x), axis=1) == pytest.approx(y, abs=1e-5)
    with pytest.raises(InputError, match="is of one model, and there are several; choose by temperature"):
        results.export(fixture("version-2-rbm", tmp_path), tmp_path / "two.pt")


def test_a_state_dict_fits_convolutions_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    images = vae.Convolution((4, 6, 2), (3,), stride=1, padding="periodic")
    net = vae.VAE(hidden=(5,), n_latent=2, decoder="gaussian", activation="tanh", seed=1, convolution=images)
    state = torch.load(results.export(net, tmp_path / "net.pt"), weights_only=True)

    def apply(function, layer, x, **more):
        if x.ndim == 4:
            x = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="circular")
        return function(x, state[f"{layer}.weight"], state[f"{layer}.bias"], **more)

    linear, forth, back = torch.nn.functional.linear, torch.nn.functional.conv2d, torch.nn.functional.conv_transpose2d
    x = np.random.default_rng(0).normal(size=(7, 48)).astype(np.float32)
    y = torch.tanh(apply(forth, "encoder.0", torch.tensor(x).reshape(7, 4, 6, 2).permute(0, 3, 1, 2)))
    y = torch.tanh(apply(linear, "encoder.3", y.permute(0, 2, 3, 1).reshape(7, -1)))
    z, _ = codes = net.encode(x)
    assert np.concatenate(codes, axis=1) == pytest.approx(apply(linear, "encoder.5", y).numpy(), abs=1e-5)
    y = torch.tanh(apply(linear, "decoder.0", torch.tensor(z))).reshape(7, 4, 6, -1).permute(0, 3, 1, 2)
    y = apply(back, "decoder.5", torch.tanh(apply(back, "decoder.3", y, padding=2)), padding=2)
    assert net.decode(z) == pytest.approx(y.permute(0, 2, 3, 1).reshape(7, -1).numpy(), abs=1e-5)
