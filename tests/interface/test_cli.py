"""The commands, as a user types them."""

import os
import re
import shlex
import signal
import subprocess
import sys
import warnings

import h5py
import numpy as np
import pytest

from mcgen import cli, ising, rbm, results, rng, stats
from mcgen.cli.ising import METHODS
from mcgen.cli.rbm import METHODS as RBM_METHODS
from mcgen.errors import FileError
from mcgen.ising import sampling


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mcgen(line):
    return cli.main(shlex.split(line))


SAMPLE = "ising sample --shape 2 3 --temperature 1.8 3.0 --chains 20 --draws 30 --thin 20 --seed 7 --output ising.h5"
TRAIN = "rbm train --data ising.h5 --hidden 3 --epochs 3 --seed 1 --output rbm.h5"


def test_the_whole_path(folder, capfd):
    assert mcgen(SAMPLE) == 0
    out, _err = capfd.readouterr()
    assert re.search(r"T = 1.8: energy -?\d\.\d+\(\d+\), \|magnetization\| .*\(\d+\), heat capacity .* per site", out)
    assert "wrote ising.h5" in out
    assert "%" not in out
    assert mcgen(TRAIN) == 0
    assert mcgen("rbm exact rbm.h5") == 0
    out, _ = capfd.readouterr()
    assert len(re.findall(r"T = .*: spin units, 3 epochs, .* exact log Z .*, exact KL", out)) == 2
    assert len(re.findall(r"T = .*, log Z -?\d+\.\d+, KL\(truth \|\| model\) \d\.\d+ nats", out)) == 2
    assert mcgen("rbm sample rbm.h5 --chains 24 --draws 5 --seed 2 --output samples.h5") == 0
    assert mcgen("report rbm.h5 --output report.png") == 0
    assert (folder / "report.png").stat().st_size > 20_000
    study = results.load_study("samples.h5")
    assert [run.states.shape for run in study.samples] == [(24, 5, 6)] * 2
    trained = results.load_study("rbm.h5")
    assert len(trained.trained) == 2
    assert trained.exact["kl_divergence"].shape == (2,)
    assert trained.attributes["status"] == "complete"
    assert sorted(path.name for path in folder.iterdir()) == ["ising.h5", "rbm.h5", "report.png", "samples.h5"]


def test_the_same_seed_gives_the_same_data(folder):
    for name in ("a.h5", "b.h5"):
        assert mcgen(SAMPLE.replace("ising.h5", name)) == 0
    assert mcgen(SAMPLE.replace("ising.h5", "c.h5").replace("--seed 7", "--seed 8")) == 0
    with h5py.File("a.h5") as a, h5py.File("b.h5") as b, h5py.File("c.h5") as c:
        assert (a["samples/states"][()] == b["samples/states"][()]).all()
        assert (a["samples/states"][()] != c["samples/states"][()]).any()
        # Temperatures have streams of their own.
        assert len(set(a["samples/seed"][()].tolist())) == 2


def test_one_temperature_can_be_picked(folder, capsys):
    mcgen(SAMPLE)
    assert mcgen(TRAIN + " --temperature 3.0") == 0
    assert results.load_study("rbm.h5").temperatures == (3.0,)
    assert mcgen(TRAIN + " --temperature 2.5 --overwrite") == 2
    assert "--temperature 2.5 is not in ising.h5, which has: 1.8, 3; pick one" in capsys.readouterr().err


DRAWN = "ising sample --shape 4 4 --temperature 3.0 5.0 --chains 30 --draws 20 --thin 4 --burn-in 50 --seed 5"


def drawn_by_hand(temperatures=(3.0, 5.0), **changes):
    """What the command DRAWN draws."""
    settings = {"n_chains": 30, "n_draws": 20, "thin": 4, "burn_in": 50, "seed": 5} | changes
    return ising.sample(ising.Ising((4, 4)), temperatures, **settings)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_what_sample_draws(method, folder, capsys):
    assert mcgen(f"{DRAWN} --method {method} --output ising.h5") == 0
    out = capsys.readouterr().out.splitlines()
    expected = drawn_by_hand(method=method)
    assert out[0].startswith(f"method {method}")
    assert out[0].endswith(f"kernel {expected[0].kernel}")
    assert [line.split(":")[0] for line in out[1:3]] == ["T = 3", "T = 5"]
    assert out[-1] == "wrote ising.h5"
    for run, same in zip(results.load("ising.h5"), expected, strict=True):
        assert (run.states == same.states).all()
        assert (run.energy == same.energy).all()
        assert (run.temperature, run.method, run.kernel, run.seed) == (same.temperature, method, same.kernel, same.seed)


def test_the_command_knows_all_methods():
    assert METHODS == sampling.METHODS


def test_tempering_reports_its_ladder(folder, capsys):
    line = DRAWN.replace("3.0 5.0", "9.0 3.0 5.0") + " --method tempering --moves heatbath --ladder fixed --output a.h5"
    assert mcgen(line + " --kernel single-flip") == 0
    out = capsys.readouterr().out
    runs = results.load("a.h5")
    settings = {"method": "tempering", "moves": "heatbath", "ladder": "fixed", "kernel": "single-flip"}
    by_hand = drawn_by_hand([9.0, 3.0, 5.0], **settings)
    exchange = by_hand[0].exchange
    assert all((run.states == same.states).all() for run, same in zip(runs, by_hand, strict=True))
    assert runs[0].exchange.swap_rates.tolist() == exchange.swap_rates.tolist()
    assert exchange.swap_rates[0] < exchange.swap_rates[1]
    assert exchange.round_trips > 0
    assert "method tempering of heatbath moves, kernel single-flip\n" in out
    assert "ladder of 3 temperatures: 3 5 9\n" in out
    assert (
        f"lowest swap rate {exchange.swap_rates[0]:.3f}, between T = 3 and 5; {exchange.round_trips} round trips "
        "of 90 configurations in 80 sweeps\n"
    ) in out
    assert mcgen(line.replace("--draws 20 --thin 4", "--draws 1 --thin 1") + " --overwrite") == 0
    assert "swaps were tried between 1 of 2 pairs of neighbours: there were too few sweeps\n" in capsys.readouterr().out


def test_energies_without_states(folder, capsys):
    assert mcgen(f"{DRAWN} --output states.h5") == 0
    with_states = capsys.readouterr().out
    assert mcgen(f"{DRAWN} --no-states --output energies.h5") == 0
    assert capsys.readouterr().out == with_states.replace("states.h5", "energies.h5")
    assert (folder / "energies.h5").stat().st_size < (folder / "states.h5").stat().st_size
    for run, same in zip(results.load("energies.h5"), drawn_by_hand(), strict=True):
        assert run.states.shape == (30, 0, 4, 4)
        assert (run.energy == same.energy).all()
        assert (run.magnetization == same.magnetization).all()
    assert mcgen("rbm train --data energies.h5 --hidden 2 --output a.h5") == 2
    assert "energies.h5 holds energies and magnetisations but no states" in capsys.readouterr().err


def test_a_short_burn_in_is_one_line_on_standard_error(folder, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert (
            mcgen(
                "ising sample --shape 32 32 --temperature 1.5 --chains 64 --draws 40 --thin 1 --burn-in 0 --output a.h5"
            )
            == 0
        )
    err = capsys.readouterr().err.splitlines()
    (line,) = [line for line in err if "burn_in" in line]
    assert re.fullmatch(
        r"mcgen: warning: the energy at T=1.5 still remembers the start .* add at least \d+ sweeps .*", line
    )
    assert all(line.startswith("mcgen: warning: ") for line in err)


@pytest.mark.parametrize("units", ["spin", "bernoulli"])
def test_units_are_converted(units, folder, capsys):
    mcgen(SAMPLE)
    assert mcgen(f"{TRAIN} --units {units}") == 0
    assert results.load_study("rbm.h5").models[0].visible.name == units
    assert mcgen("rbm exact rbm.h5") == 0


def test_rows_of_text_without_a_lattice(folder, capsys):
    np.savetxt("rows.txt", np.random.default_rng(1).integers(0, 2, (60, 5)), fmt="%d")
    assert mcgen("rbm train --data rows.txt --hidden 2 --epochs 2 --output rbm.h5") == 0
    assert "bernoulli units, 2 epochs" in capsys.readouterr().out
    assert mcgen("rbm exact rbm.h5") == 0
    assert mcgen("rbm sample rbm.h5 --chains 24 --draws 5 --output samples.h5") == 0
    assert re.search(r"\n  free energy +-?\d+\.\d+\(\d+\) ", capsys.readouterr().out)
    assert mcgen("report rbm.h5 --output report.pdf") == 0


def test_exact_prints_the_numbers(capsys):
    assert mcgen("ising exact --shape 4 4 --temperature 2.269 3.0") == 0
    out = capsys.readouterr().out
    assert re.search(r"log Z +15\.5228170959\n", out)
    assert re.search(r"energy per site +-1\.0170696", out)


def test_info(capsys):
    assert mcgen("info") == 0
    out = capsys.readouterr().out
    for words in ("mcgen 0", "numba", "device cpu", "device cuda", "BLAS", "Philox4x32-10", "OPENBLAS_CORETYPE"):
        assert words in out


CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
cpu family\t: 26
flags\t\t: fpu avx2 {flags}

processor\t: 1
vendor_id\t: GenuineIntel
"""
# Nothing is imported that would load a BLAS: kernels that this processor lacks would end the process.
CHOOSE = """
import os, sys
from pathlib import Path
{before}
from mcgen import cli
from mcgen.cli import blas_kernels
assert "numpy" not in sys.modules or "numpy" in {before!r}, "the command line imports NumPy before it can choose"
blas_kernels.CPUINFO = Path(sys.argv[1])
try:
    cli.main(["--help"])
except SystemExit:
    print()
print(os.environ.get("OPENBLAS_CORETYPE"), "|", blas_kernels.describe())
"""
AVX512 = "avx512f avx512dq avx512cd avx512bw avx512vl"


@pytest.mark.parametrize(
    ("vendor", "flags", "own", "before", "value", "words"),
    [
        ("AuthenticAMD", AVX512, None, "", "SkylakeX", "set by mcgen, for an AMD processor with AVX-512"),
        ("AuthenticAMD", AVX512, "Haswell", "", "Haswell", "set by the environment"),
        ("AuthenticAMD", AVX512, None, "import numpy", None, "is not set: OpenBLAS picks its kernels"),
        ("AuthenticAMD", "", None, "", None, "is not set"),
        ("AuthenticAMD", AVX512.replace("avx512dq ", ""), None, "", None, "is not set"),
        ("GenuineIntel", AVX512, None, "", None, "is not set"),
        (None, None, None, "", None, "is not set"),
    ],
    ids=["zen 5", "user's choice", "numpy is there", "zen 3", "virtual", "intel", "no linux"],
)
def test_blas_kernels_are_chosen_before_numpy_is_there(vendor, flags, own, before, value, words, tmp_path):
    path = tmp_path / "cpuinfo"
    if vendor is not None:
        path.write_text(CPUINFO.format(vendor=vendor, flags=flags))
    environment = {name: text for name, text in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    environment |= {} if own is None else {"OPENBLAS_CORETYPE": own}
    command = [sys.executable, "-P", "-c", CHOOSE.format(before=before), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found, described = done.stdout.splitlines()[-1].split(" | ")
    assert found == str(value)
    assert words in described


MODEL = rbm.RBM.random(6, 3, seed=1, scale=0.4, visible="spin", hidden="relu")
DRAW = "rbm sample model.h5 --chains 24 --draws 30 --thin 2 --burn-in 40 --seed 2 --output samples.h5"


def drawn_from_model(**changes):
    """What the command DRAW draws."""
    settings = {"n_chains": 24, "n_draws": 30, "thin": 2, "burn_in": 40} | changes
    return rbm.sample(MODEL, seed=rng.derive(2, 0), **settings)


def same_run(path, run):
    again = results.load(path)
    return (again.states == run.states).all() and (again.free_energy == run.free_energy).all()


@pytest.fixture
def model_file(folder):
    return results.save(folder / "model.h5", MODEL)


@pytest.mark.parametrize("method", RBM_METHODS)
def test_every_method_draws_from_models_and_says_how_well(method, model_file, capsys):
    assert mcgen(f"{DRAW} --method {method}") == 0
    out = capsys.readouterr().out.splitlines()
    run = drawn_from_model(method=method)
    assert same_run("samples.h5", run)
    kernel = {"gibbs": ", kernel products", "tempering": ", kernel products"}.get(method, "")
    assert out[0] == f"model.h5, method {method}{kernel}: 24 chains of 30 draws"
    assert out[1].split() == ["mean(error)", "R-hat", "tau", "ESS"]
    for line, name in zip(out[2:4], ("free energy", "magnetization"), strict=True):
        found = stats.diagnose(getattr(run, name.replace(" ", "_")))
        assert line.startswith(f"  {name} ")
        estimate = found.estimate
        numbers = f"{found.split_r_hat:.3f} {estimate.autocorrelation_time:.2f} {estimate.effective_sample_size:.0f}"
        assert line[2 + len(name) :].split() == [str(estimate), *numbers.split()]
    assert len({len(line) for line in out[1:4]}) == 1  # aligned
    more = out[4:]
    if method == "metropolis":
        assert more.pop(0) == f"  acceptance rate {run.acceptance_rate:.3f}"
    if method == "tempering":
        assert more.pop(0).startswith(f"  ladder of {len(run.exchange.betas)} inverse temperatures: 0 ")
        words = rf"  lowest swap rate {run.exchange.swap_rates.min():.3f}, between beta = .* and .*; "
        words += (
            rf"{run.exchange.round_trips} round trips of {24 * len(run.exchange.betas)} configurations in 60 sweeps"
        )
        assert re.fullmatch(words, more.pop(0))
    assert more == ["wrote samples.h5"]


def test_the_command_knows_all_methods_for_models():
    assert RBM_METHODS == rbm.sampling.METHODS


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("--method metropolis --proposal exchange", {"method": "metropolis", "proposal": "exchange"}),
        (
            "--method metropolis --proposal block --block-size 2",
            {"method": "metropolis", "proposal": "block", "block_size": 2},
        ),
        ("--method tempering --ladder 0.3 0.6 1", {"method": "tempering", "ladder": [0.3, 0.6, 1.0]}),
        ("--clamp 0=1 5=-1", {"clamped_units": [0, 5], "clamped_values": [1, -1]}),
    ],
)
def test_what_is_proposed_and_held_can_be_chosen(line, settings, model_file):
    assert mcgen(f"{DRAW} {line}") == 0
    assert same_run("samples.h5", drawn_from_model(**settings))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--method magic", "method='magic' is unknown; choose one of 'gibbs'"),
        ("--proposal flip", "--proposal flip is for --method metropolis, not gibbs; leave it out, or choose that"),
        ("--block-size 2", "--block-size 2 is for --method metropolis, not gibbs"),
        ("--method metropolis --block-size 2", "--block-size 2 is for --proposal block; leave it out"),
        ("--method exact --ladder 0 1", "--ladder 0.0 1.0 is for --method tempering, not exact"),
        ("--method metropolis --proposal jump", "proposal='jump' is unknown; choose one of 'flip'"),
        ("--method tempering --ladder 0 0.5", "ladder has 0 first and 0.5 last; start at 0 or above, and end at 1"),
        ("--clamp 0", "--clamp 0 is no unit with its value; write the number of a visible unit, =, and its state: 0=1"),
        ("--clamp up=1", "--clamp up=1 is no unit with its value"),
        ("--clamp 6=1", "clamped_units has the index 6, but the visible units of"),
        ("--clamp 0=0", "clamped_values has the value 0.0 at index (0, 0), but spin units have the states -1 and 1"),
        ("--clamp 0=1 0=-1", "clamped_units has the index 0 twice, with different values"),
        ("--clamp 0=nan", "clamped_values has 1 values that are NaN or infinite"),
    ],
)
def test_bad_arguments_of_sampling_models_end_with_one_line(line, words, model_file, folder, capsys):
    assert mcgen(f"{DRAW} {line}") == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert words in err
    assert os.listdir(folder) == ["model.h5"]


def rows_of(kind, n_entries=6):
    states = rbm.sample(rbm.RBM.random(n_entries, 2, seed=1, visible=kind), n_chains=40, n_draws=1, seed=1).states[:, 0]
    np.savetxt("rows.txt", states)
    return states


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("--units spin", ("spin", "spin")),
        ("--units spin --hidden-units relu", ("spin", "relu")),
        ("--hidden-units potts:2", ("bernoulli", rbm.Potts(2))),
        ("--units gaussian", ("gaussian", "bernoulli")),
        ("--units relu --hidden-units spin", ("relu", "spin")),
        ("--units potts:3 --hidden-units potts:3", (rbm.Potts(3), rbm.Potts(3))),
        ("--units potts:3 --hidden-units gaussian", (rbm.Potts(3), "gaussian")),
    ],
)
def test_units_can_be_chosen_for_each_layer(kinds, expected, folder, capsys):
    rows_of(expected[0])
    assert mcgen(f"rbm train --data rows.txt --hidden 2 --epochs 2 --seed 3 {kinds} --output rbm.h5") == 0
    (model,) = results.load_study("rbm.h5").models
    assert [getattr(kind, "name", kind) for kind in expected] == [model.visible.name, model.hidden.name]
    assert model.hidden.n_units(model.n_hidden) == 2
    names = " and ".join(dict.fromkeys((model.visible.name, model.hidden.name)))
    assert re.search(rf"^{names} units, 2 epochs, reconstruction error", capsys.readouterr().out)
    assert mcgen("rbm sample rbm.h5 --chains 24 --draws 5 --output samples.h5") == 0
    assert results.load("samples.h5").states.dtype == (np.int8 if model.visible.is_discrete else np.float64)
    assert mcgen("report rbm.h5 --output report.png") == 0


def test_models_that_are_no_spins_are_not_compared_with_the_lattice(folder, capsys):
    mcgen(SAMPLE)
    capsys.readouterr()
    assert mcgen(f"{TRAIN} --units gaussian") == 0
    assert "per site" not in capsys.readouterr().out
    assert not results.load_study("rbm.h5").observables
    assert mcgen("rbm exact rbm.h5") == 0
    assert capsys.readouterr().out.count("KL not summed: gaussian units are no spins of the lattice\n") == 2
    assert mcgen("rbm sample rbm.h5 --chains 24 --draws 5 --output samples.h5") == 0
    assert "per site" not in capsys.readouterr().out


def test_tied_filters(folder, capsys):
    mcgen(SAMPLE)
    capsys.readouterr()
    line = "rbm train --data ising.h5 --filters 2 --spin-flip --hidden-units relu --epochs 2 --seed 1 --output rbm.h5"
    assert mcgen(line) == 0
    assert len(re.findall(r"T = .*: spin and relu units, 14 free parameters, 2 epochs", capsys.readouterr().out)) == 2
    for model in results.load_study("rbm.h5").models:
        assert model.symmetry == rbm.Symmetry((2, 3), 2, spin_flip=True, visible="spin", hidden="relu")
        assert (model.n_visible, model.n_hidden) == (6, 24)


def test_the_likelihood_can_be_climbed_to_its_maximum(folder, capsys):
    mcgen(SAMPLE.replace("3.0", "8.0"))  # warm, so that chains pass from mode to mode
    capsys.readouterr()
    line = "rbm train --data ising.h5 --temperature 8 --filters 1 --hidden-units bernoulli --trainer likelihood"
    assert mcgen(line + " --seed 1 --output rbm.h5") == 0
    (trained,) = results.load_study("rbm.h5").trained
    assert trained.settings["method"] == "maximum_likelihood"
    start = rbm.RBM.symmetric((2, 3), 1, rng.derive(1, 0), visible="spin", hidden="bernoulli")
    ((_, v, lattice),) = [table for table in results.load_rows("ising.h5") if table[0] == 8.0]
    truth = ising.exact.probabilities(lattice, 8.0)
    by_hand = rbm.maximum_likelihood(start, v, seed=rng.derive(1, 1), truth=truth)
    assert (trained.model.weights == by_hand.model.weights).all()
    words = rf"T = 8: .* iterations, ended by {trained.settings['ended_by']}, .* exact KL\(truth \|\| model\)"
    assert re.search(words, capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--hidden 2 --units magic", "--units='magic' is unknown; choose one of 'bernoulli', 'spin', 'potts'"),
        ("--hidden 2 --units potts", "--units potts lacks the number of states; write potts:3, say"),
        ("--hidden 2 --hidden-units potts:x", "--hidden-units potts:x lacks the number of states"),
        ("--hidden 2 --hidden-units potts:1", "the number of states in --hidden-units=1 is too small"),
        ("--hidden 2 --hidden-units spin:3", "--hidden-units spin:3: only potts units take a number; write spin"),
        ("--hidden 2 --units potts:4", "visible=Potts(q=4) has 4 entries for each unit, but the layer has 6 entries"),
        ("--hidden 2 --units potts:3", "v is not one-hot: potts units have 3 neighbouring entries"),
        ("--hidden 0", "--hidden=0 is too small"),
        ("--hidden 2 --spin-flip", "--spin-flip is for tied weights; give --filters instead of --hidden, or leave"),
        ("--filters 1", "--filters 1 needs data of a lattice, and rows.txt has none; give samples of"),
        ("--filters 1 --data open.h5", "--filters 1 needs a periodic lattice, and that of open.h5 has open boundaries"),
        ("--filters 1 --data closed.h5 --units potts:2", "visible='potts': tied filters have one weight for each site"),
        ("--hidden 2 --trainer magic", "--trainer='magic' is unknown; choose one of 'sgd', 'likelihood'"),
        ("--hidden 2 --trainer likelihood --epochs 3", "--epochs 3 is for --trainer sgd, not likelihood; leave it out"),
        ("--hidden 2 --data real.txt", "rows must hold 0 and 1, or -1 and 1, but for continuous units"),
        ("--hidden 2 --data real.h5", "rows must hold 0 and 1, or -1 and 1, but for continuous units"),
        ("--hidden 2 --units relu --data real.txt", "v has the value -0.5; relu units are not negative"),
        ("--hidden 2 --units gaussian --data nan.txt", "nan.txt has 1 values that are NaN or infinite"),
    ],
)
def test_bad_arguments_of_training_end_with_one_line(line, words, folder, capsys):
    np.savetxt("rows.txt", [[0, 1, 1, 0, 0, 1], [1, 1, 1, 0, 0, 0]])
    np.savetxt("real.txt", [[0.5, -0.5]])
    np.savetxt("nan.txt", [[0.5, np.nan]])
    for name, periodic in (("open.h5", False), ("closed.h5", True)):
        lattice = ising.Ising((2, 3), periodic=periodic)
        results.save(name, ising.sample(lattice, 2.0, n_chains=2, n_draws=2, burn_in=1, kernel="single-flip"))
    gaussian = rbm.RBM.random(3, 2, seed=1, visible="gaussian")
    results.save("real.h5", rbm.sample(gaussian, n_chains=2, n_draws=2, burn_in=1))
    there = sorted(os.listdir())
    data = "" if "--data" in line else "--data rows.txt "
    assert mcgen(f"rbm train {data}{line} --output rbm.h5") == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert words in err
    assert sorted(os.listdir()) == there


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ising sample --shape 4 4 --temperature -1 --output a.h5", "temperature=-1.0 is not positive"),
        ("ising sample --shape 4 4 --temperature 1 --chains 0 --output a.h5", "--chains=0 is too small"),
        ("ising sample --shape 4 4 --temperature 1 --method magic --output a.h5", "'magic' is unknown; choose one of"),
        ("ising sample --shape 4 4 --temperature 1 --device tpu --output a.h5", "device='tpu' is unknown"),
        ("ising sample --shape 4 4 --temperature 1 --output nowhere/a.h5", "the folder nowhere of a.h5 does not exist"),
        ("ising sample --shape 4 4 --temperature 1 --output here.h5", "here.h5 exists; choose another name"),
        ("ising sample --shape 4 4 --temperature 2 -1 --output a.h5", "temperature=-1.0 is not positive"),
        ("ising sample --shape 4 4 --temperature 1 --draws 0 --output a.h5", "--draws=0 is too small"),
        (
            "ising sample --shape 4 4 --temperature 1 --coupling -1 --method wolff --output a.h5",
            "method='wolff' needs couplings of at least 0, but the smallest is -1; use method='metropolis'",
        ),
        (
            "ising sample --shape 5 5 --temperature 1 --kernel bit-sliced --output a.h5",
            "kernel='bit-sliced' is not for this lattice: a periodic axis has an odd length; use kernel='auto'",
        ),
        ("ising sample --shape 4 4 --temperature 1 --kernel magic --output a.h5", "kernel='magic' is unknown"),
        (
            "ising sample --shape 4 4 --temperature 1 --moves wolff --output a.h5",
            "--moves wolff is for --method tempering, not metropolis; leave it out",
        ),
        (
            "ising sample --shape 4 4 --temperature 1 --method exact --ladder fixed --output a.h5",
            "--ladder fixed is for --method tempering, not exact",
        ),
        (
            "ising sample --shape 4 4 --temperature 1 --method tempering --output a.h5",
            "method='tempering' needs two or more different temperatures, and got [1.0]",
        ),
        (
            "ising sample --shape 4 4 --temperature 1 2 --method tempering --ladder magic --output a.h5",
            "ladder='magic' is unknown",
        ),
        ("ising exact --shape 40 40 --field 0.1 --temperature 2", "no exact method reaches the lattice (40, 40)"),
        ("rbm train --data nothing.h5 --hidden 2 --output a.h5", "nothing.h5 is not a file"),
        ("rbm train --data here.h5 --hidden 2 --output a.h5", "here.h5 cannot be read as a table of numbers"),
        ("rbm exact here.h5", "here.h5 is not an HDF5 file"),
        ("rbm sample here.h5 --output a.h5", "here.h5 is not an HDF5 file"),
        ("report here.h5 --output a.png", "here.h5 is not an HDF5 file"),
    ],
)
def test_bad_arguments_end_with_one_line_and_status_2(line, words, folder, capsys):
    (folder / "here.h5").write_text("not HDF5")
    assert mcgen(line) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert words in err
    assert os.listdir(folder) == ["here.h5"]


@pytest.mark.parametrize(
    "line", ["", "rbm", "ising sample --shape four --temperature 1 --output a.h5", "rbm train --hidden 2"]
)
def test_bad_usage_ends_with_one_line_and_status_2(line, capsys):
    with pytest.raises(SystemExit) as caught:
        mcgen(line)
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "line", ["ising sample", "ising exact", "rbm train", "rbm sample", "rbm exact", "report", "info"]
)
def test_help_has_a_runnable_example(line, capsys):
    with pytest.raises(SystemExit) as caught:
        mcgen(line + " --help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    example = re.search(r"example: mcgen (.*)", text).group(1)
    assert example.startswith(line)
    cli.parser().parse_args(shlex.split(example))


def test_the_installed_command(tmp_path):
    line = "ising sample --shape 2 2 --temperature 1.8 --chains 50 --draws 30 --output ising.h5"
    # Compiles the kernel, which takes long enough for a line of progress where it was not done before.
    assert mcgen(line.replace("ising.h5", str(tmp_path / "first.h5"))) == 0
    command = [sys.executable, "-P", "-m", "mcgen.cli", *shlex.split(line)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # short work leaves no progress in a log


def test_ctrl_c_writes_what_was_trained(folder, capsys, monkeypatch):
    mcgen(SAMPLE)
    from mcgen.rbm.training import loop

    original, calls = loop.difference_of_phases, []

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) > 12:  # in the third epoch of the first temperature
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(loop, "difference_of_phases", interrupt)
    assert mcgen(TRAIN + " --epochs 5") == 130
    study = results.load_study("rbm.h5")
    assert study.attributes["status"] == "interrupted"
    assert study.temperatures == (1.8,)
    assert study.trained[0].history["epoch"].tolist() == [1, 2]
    assert "interrupted" in capsys.readouterr().out


def interrupt_stream(monkeypatch, temperature, n_blocks, error=KeyboardInterrupt):
    """Ctrl-C, or another error, at one temperature, after some blocks of five draws."""
    original = ising.stream

    def stream(lattice, at, **settings):
        monkeypatch.setattr(sampling, "BYTES_PER_BLOCK", 5 * settings["n_chains"] * lattice.n_sites * np.size(at))
        blocks = original(lattice, at, **settings)
        draw = blocks._draw

        def draw_or_stop(*arguments):
            if np.isin(temperature, at).any() and blocks.n_drawn >= 5 * n_blocks:
                raise error
            return draw(*arguments)

        blocks._draw = draw_or_stop
        return blocks

    monkeypatch.setattr(ising, "stream", stream)


def test_ctrl_c_keeps_the_temperatures_that_are_done(folder, capsys, monkeypatch):
    interrupt_stream(monkeypatch, 3.0, n_blocks=2)
    assert mcgen(SAMPLE) == 130
    assert "wrote ising.h5, interrupted: 1 of 2 temperatures\n" in capsys.readouterr().out
    assert results.load_study("ising.h5").attributes["status"] == "interrupted"
    assert results.load("ising.h5").temperature == 1.8


def test_ctrl_c_keeps_the_draws_so_far_of_the_first_temperature(folder, capsys, monkeypatch):
    interrupt_stream(monkeypatch, 1.8, n_blocks=2)
    assert mcgen(SAMPLE) == 130
    assert "wrote ising.h5, interrupted: 10 of 30 draws at T = 1.8\n" in capsys.readouterr().out
    assert results.load("ising.h5").states.shape == (20, 10, 2, 3)


def test_ctrl_c_keeps_the_draws_so_far_of_tempering(folder, capsys, monkeypatch):
    interrupt_stream(monkeypatch, 5.0, n_blocks=3)
    assert mcgen(f"{DRAWN} --method tempering --output ising.h5") == 130
    assert "wrote ising.h5, interrupted: 15 of 20 draws at T = 3, 5\n" in capsys.readouterr().out
    expected = drawn_by_hand(method="tempering")
    for run, same in zip(results.load("ising.h5"), expected, strict=True):
        assert (run.states == same.states[:, :15]).all()


def test_a_full_disk_keeps_the_draws_so_far_and_says_so(folder, capsys, monkeypatch):
    interrupt_stream(monkeypatch, 3.0, n_blocks=2, error=FileError("the disk is full"))
    assert mcgen(f"{DRAWN} --output ising.h5") == 2
    assert capsys.readouterr() == (
        "wrote ising.h5, interrupted: 10 of 20 draws at T = 3\n",
        "mcgen: the disk is full\n",
    )
    assert results.load_study("ising.h5").attributes["status"] == "interrupted"


def test_ctrl_c_before_the_first_draw_keeps_the_burn_in(folder, capsys, monkeypatch):
    original = ising.stream
    interrupt_stream(monkeypatch, 3.0, n_blocks=0)
    assert mcgen(f"{DRAWN} --output ising.h5") == 130
    words = "mcgen: stopped before the first draw; ising.h5.part keeps the burn-in: go on with --resume\n"
    assert capsys.readouterr().err == words
    assert sorted(os.listdir(folder)) == ["ising.h5.blocks", "ising.h5.part"]
    monkeypatch.setattr(ising, "stream", original)
    assert mcgen(f"{DRAWN} --output ising.h5 --resume") == 0
    assert os.listdir(folder) == ["ising.h5"]
    pairs = zip(results.load("ising.h5"), drawn_by_hand(), strict=True)
    assert all((run.states == same.states).all() for run, same in pairs)


def test_ctrl_c_keeps_the_models_that_are_sampled(folder, capsys, monkeypatch):
    from mcgen import rbm

    mcgen(SAMPLE)
    mcgen(TRAIN)
    original, calls = rbm.stream, []

    def interrupt_the_second(*arguments, **settings):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **settings)

    monkeypatch.setattr(rbm, "stream", interrupt_the_second)
    assert mcgen("rbm sample rbm.h5 --chains 24 --draws 5 --output samples.h5") == 130
    assert "wrote samples.h5, interrupted: 1 of 2 models" in capsys.readouterr().out
    study = results.load_study("samples.h5")
    assert study.temperatures == (1.8,)
    assert study.attributes["status"] == "interrupted"


INTERRUPTED = """
import sys
from mcgen import cli
from mcgen.rbm.exact import two_level
two_level.TERMS_PER_BLOCK["cpu"] = 1
right = two_level._Sum.log_weights
def shown(self, *arguments):
    print("block", flush=True)
    sys.stdin.readline()  # until the test lets it go on, or interrupts it
    return right(self, *arguments)
two_level._Sum.log_weights = shown
sys.exit(cli.main(["rbm", "exact", "rbm.h5"]))
"""


def test_ctrl_c_keeps_a_long_sum_and_the_same_command_goes_on(folder, capsys, monkeypatch):
    model = rbm.RBM.random(14, 14, seed=1, scale=0.5)
    v = np.eye(14, dtype=int)
    results.save("rbm.h5", rbm.train(model, v, epochs=1))
    monkeypatch.setitem(rbm.exact.two_level.TERMS_PER_BLOCK, "cpu", 1)
    assert mcgen("rbm exact rbm.h5") == 0
    expected = capsys.readouterr().out
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", INTERRUPTED],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for block in range(4):
        assert process.stdout.readline() == "block\n"
        if block < 3:
            process.stdin.write("\n")
            process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(
        r"mcgen: interrupted: log Z of 2\^14 states x 14 units at 37%; the sum so far is in rbm.h5.checkpoint: run", err
    )
    assert sorted(os.listdir()) == ["rbm.h5", "rbm.h5.checkpoint"]
    assert mcgen("rbm exact rbm.h5") == 0
    assert capsys.readouterr().out == expected
    assert os.listdir() == ["rbm.h5"]


def test_the_exact_method_can_be_asked_for(capsys):
    assert mcgen("ising exact --shape 4 4 --temperature 2.269 --method kaufman") == 0
    out = capsys.readouterr().out
    assert "T = 2.269, by kaufman" in out
    assert re.search(r"log Z +15\.5228170959\n", out)
    assert re.search(r"\|magnetization\| per site +not given by this method\n", out)
    assert mcgen("ising exact --shape 4 4 --field 0.1 --temperature 2.269 --method kaufman") == 2
    assert "it has a field; use method='auto'" in capsys.readouterr().err
