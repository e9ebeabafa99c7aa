"""Small runs of the studies that learn Ising models across temperatures, a larger lattice, and Bars-and-Stripes."""

import math
import tarfile
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest

from mcgen import ising, rbm, results, stats


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


SMALL = ["--shape", "2", "3", "--hidden", "6", "--epochs", "3"]


def test_temperatures(in_folder, capsys, monkeypatch):
    script = import_module("learn_ising_temperatures")
    monkeypatch.setattr(script, "FULL_ITERATIONS", 60)
    assert script.main([*SMALL, "--temperature", "1.5", "3.0", "--rows", "2000"]) == 0
    out = capsys.readouterr().out
    lattice = ising.Ising((2, 3))
    for name, most in (("full", 0.03), ("symmetric", 0.005)):
        study = results.load(f"learn_ising_temperatures-{name}.h5")
        assert study.temperatures == (1.5, 3.0)
        for k, temperature in enumerate(study.temperatures):
            truth = ising.exact.probabilities(lattice, temperature)
            kl = rbm.exact.kl_divergence(truth, study.models[k])
            assert study.exact["kl_divergence"][k] == pytest.approx(kl, rel=1e-9)
            assert kl < most
            assert f" {kl:.5f} " in out
            # None of the test rows; the symmetric model sees all rows in four reflections.
            assert study.trained[k].settings["n_rows"] == (2000 if name == "full" else 8000)
            of_model = ising.exact.averages(lattice, rbm.exact.probabilities(study.models[k]), temperature)
            assert f" {of_model['heat_capacity'] / 6:8.4f}" in out
    assert study.models[0].symmetry.n_free == 6
    assert Path("learn_ising_temperatures.png").stat().st_size > 50_000
    assert script.main(SMALL) == 2
    assert "learn_ising_temperatures-full.h5 exists" in capsys.readouterr().err


def test_rows_are_read_from_a_folder_or_an_archive(in_folder, capsys):
    script = import_module("learn_ising_temperatures")
    lattice = ising.Ising((2, 3))
    written = {}
    folder = Path("rows")
    folder.mkdir()
    for temperature, part, n in ((2.0, "train", 40), (3.5, "train", 30), (2.0, "test", 20)):
        rows = (ising.exact.sample(lattice, temperature, n, seed=n).reshape(n, 6) + 1) // 2
        np.savetxt(folder / f"ising_T{temperature}_{part}.txt", rows)
        written[temperature, part] = rows
    (folder / "notes.txt").write_text("no rows")
    with tarfile.open("rows.tar.gz", "w:gz") as archive:
        archive.add(folder)
    for path in ("rows", "rows.tar.gz"):
        tables = script.read_tables(path)
        assert tables.keys() == written.keys()
        assert all(np.array_equal(tables[key], written[key]) for key in written)
    train, test = script.rows_at(lattice, 2.0, tables, 0, seed=1)
    assert np.array_equal(train, 2 * written[2.0, "train"] - 1)
    assert np.array_equal(test, 2 * written[2.0, "test"] - 1)
    _, test = script.rows_at(lattice, 3.5, tables, 0, seed=1)  # there are none
    assert test.shape == (import_module("ising_parts.rows").TEST_ROWS, 6)
    for words, message in (
        (["--data", "none"], "none does not exist"),
        (["--data", "rows/notes.txt"], "cannot be read"),
        (["--data", "rows", "--temperature", "2.5"], "no rows at T = 2.5 in --data; choose --temperature from 2, 3.5"),
        (["--data", "rows", "--rows", "3"], "--rows=3"),
        (["--shape", "6", "6"], "2^36"),
    ):
        assert script.main([*SMALL, *words]) == 2
        assert message in capsys.readouterr().err


def test_reflected_rows_are_all_images_of_the_lattice(in_folder):
    script = import_module("learn_ising_temperatures")
    for shape, n_images in (((2, 3), 4), ((3, 3), 8)):
        v = np.arange(math.prod(shape))[None]  # every site is told from every other
        images = script.reflected(v, shape)
        assert len({tuple(image) for image in images}) == len(images) == n_images
        bonds = np.abs(ising.Ising(shape).coupling_matrix)
        for image in images:
            assert np.array_equal(bonds[np.ix_(image, image)], bonds)


def test_ctrl_c_keeps_whole_temperatures(in_folder, capsys, monkeypatch):
    script = import_module("learn_ising_temperatures")
    original, calls = script.fit_symmetric, []

    def second_is_interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(script, "fit_symmetric", second_is_interrupted)
    monkeypatch.setattr(script, "FULL_ITERATIONS", 10)
    assert script.main([*SMALL, "--rows", "500", "--epochs", "1"]) == 130
    assert "interrupted" in capsys.readouterr().out
    for name in script.MODELS:
        study = results.load(f"learn_ising_temperatures-{name}.h5")
        assert study.attributes["status"] == "interrupted"
        assert study.temperatures == (1.0,)


def test_a_larger_lattice(in_folder, capsys):
    """On a lattice that is small enough, both estimates of the divergence and the draws agree with the exact sums."""
    script = import_module("learn_large_ising")
    words = ["--quick", "--shape", "3", "4", "--steps", "20", "--draws", "40", "--sweeps", "20"]
    assert script.main(words) == 0
    out = capsys.readouterr().out
    study = results.load("learn_large_ising.h5")
    exact, values = study.exact, study.observables
    kl = rbm.exact.kl_divergence(ising.exact.probabilities(study.lattice, 2.269), study.models[0])
    assert kl < 0.02
    assert exact["kl_divergence"] == pytest.approx(kl, rel=1e-4)  # of float32
    for name in ("kl_by_log_z", "kl_by_overlap"):
        assert abs(exact[name] - kl) < 4 * exact[f"{name}_error"]
        assert exact[f"{name}_error"] < 0.03
    for name in ("energy", "heat_capacity"):
        percent = 100 * (values[f"{name}_model_exact"] / values[f"{name}_truth"] - 1)
        assert abs(exact[f"{name}_off_percent"] - percent) < 4 * exact[f"{name}_off_percent_error"]
        assert exact[f"{name}_off_percent_error"] < 2
    # Of a model that is clearly wrong.
    warm = study.models[0].tempered(0.8)
    test = ising.exact.sample(study.lattice, 2.269, 4000, seed=5).reshape(-1, 12)
    off, _ = script.divergences(warm, study.lattice, 2.269, test, script.parse(["--quick"]), seed=6)
    kl = rbm.exact.kl_divergence(ising.exact.probabilities(study.lattice, 2.269), warm)
    for name in ("kl_by_log_z", "kl_by_overlap"):
        assert abs(off[name] - kl) < 4 * off[f"{name}_error"] < kl / 2
    for name in ("energy", "heat_capacity", "abs_magnetization"):
        assert abs(values[f"{name}_model"] - values[f"{name}_model_exact"]) < 4 * values[f"{name}_model_error"]
    truth, error = values["energy_truth"].item(), values["energy_model_error"].item()
    off = stats.format_error(100 * (values["energy_model"].item() / truth - 1), 100 * error / abs(truth))
    assert f"{truth / 12:.6f}" in out
    assert f" {off}\n" in out
    assert Path("learn_large_ising.png").stat().st_size > 50_000
    assert script.main(["--quick", "--steps", "1", "--output", "b.h5", "--figure", "b.png"]) == 2
    assert "--steps=1" in capsys.readouterr().err


def test_hidden_units_start_as_copies(in_folder):
    model = import_module("learn_large_ising").start_of_copies((3, 4), seed=1)
    assert model.symmetry.n_free == 12
    assert np.diag(model.weights) == pytest.approx(np.full(12, 1.5), abs=0.05)
    assert np.abs(model.weights - np.diag(np.diag(model.weights))).max() < 0.05


def test_bars_and_stripes(in_folder, capsys):
    script = import_module("learn_bars_and_stripes")
    for side, best in ((3, -37.430), (4, -102.586)):
        rows, p = script.patterns(side)
        assert len(rows) == 2 * (2**side - 1)
        for row, its in zip(rows.reshape(-1, side, side), p, strict=True):
            stripes, bars = (row == row[:, :1]).all(), (row == row[:1]).all()
            assert stripes or bars
            assert its == (2 if stripes and bars else 1) / 2 ** (side + 1)
        assert script.best_sum(side) == pytest.approx(best, abs=5e-4)
    assert script.main(["--side", "3", "--hidden", "8", "--starts", "2", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    study = results.load("learn_bars_and_stripes-3x3-8.h5")
    rows, p = script.patterns(3)
    log_p = rbm.exact.log_probabilities(study.models[0])[rows.astype(np.int64) @ (1 << np.arange(9))]
    assert log_p.sum() == pytest.approx(-37.430, abs=0.01)
    assert study.exact["sum_of_log_p"] == pytest.approx(log_p.sum(), abs=1e-6)
    assert study.exact["kl_divergence"] == pytest.approx(np.sum(p * (np.log(p) - log_p)), abs=1e-9)
    assert f" {log_p.sum():.3f} " in out
    assert Path("learn_bars_and_stripes.png").stat().st_size > 20_000
    assert script.main(["--side", "5"]) == 2
    assert "--side=5" in capsys.readouterr().err


def test_ctrl_c_keeps_the_starts_that_are_done(in_folder, capsys, monkeypatch):
    script = import_module("learn_bars_and_stripes")
    original, calls = script.fit, []

    def third_is_interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(script, "fit", third_is_interrupted)
    assert script.main(["--side", "2", "--hidden", "2", "3", "--starts", "2"]) == 130
    assert "interrupted: 2 of 4 fits" in capsys.readouterr().out
    assert results.load("learn_bars_and_stripes-2x2-2.h5").attributes["status"] == "interrupted"
    assert not Path("learn_bars_and_stripes-2x2-3.h5").exists()
    assert math.isfinite(results.load("learn_bars_and_stripes-2x2-2.h5").exact["kl_divergence"].item())


def test_thermodynamics_of_models_of_several_sizes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = import_module("learn_thermodynamics")
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "RBM_nH9_ising2d_L3_Observables.txt").write_text(
        "# T E M C S dE dM dC dS\n2.000 -1.7 0.9 0.5 0.1 0.01 0.02 0.03 0.04\n"
    )
    assert script.read_published("published")[3, 9, 2.0]["heat_capacity"] == (0.5, 0.03)
    assert script.main(["--quick", "--temperatures", "2", "--published", "published"]) == 0
    out = capsys.readouterr().out
    assert "published" in out
    with h5py.File("learn_thermodynamics.h5") as file:
        few, more = file["size_3_hidden_2"], file["size_3_hidden_9"]
        assert few["kl_divergence"][0] > 1.5 * more["kl_divergence"][0]
        assert more["kl_divergence"][0] < 0.1
        exact = ising.exact.thermodynamics(ising.Ising((3, 3)), 2.0)
        assert more["energy_exact"][0] == pytest.approx(exact.energy / 9, rel=1e-12)
        assert more["abs_susceptibility_exact"][0] == pytest.approx(exact.abs_susceptibility / 9, rel=1e-12)
        assert abs(more["energy"][0] / more["energy_exact"][0] - 1) < 0.03
        parameters = [more[name][0] for name in ("weights", "visible_bias", "hidden_bias")]
        model = rbm.RBM(*parameters, visible="spin", hidden="spin")
        truth = ising.exact.probabilities(ising.Ising((3, 3)), 2.0)
        assert rbm.exact.kl_divergence(truth, model) == pytest.approx(more["kl_divergence"][0], rel=1e-9)
        drawn = ising.exact.averages(ising.Ising((3, 3)), rbm.exact.probabilities(model), 2.0)
        for name in script.OBSERVABLES:
            assert abs(more[name][0] - drawn[name] / 9) < 5 * more[f"{name}_error"][0]
    assert (tmp_path / "learn_thermodynamics.png").stat().st_size > 20_000
    assert script.main(["--quick", "--overwrite", "--published", "nowhere"]) == 2
    assert "nowhere holds no file named like RBM_nH16" in capsys.readouterr().err
    assert script.main(["--quick", "--overwrite", "--lengths", "30"]) == 2
    assert "it reaches 24 sites here" in capsys.readouterr().err
