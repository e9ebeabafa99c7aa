"""The studies of sampling: the critical point by finite-size scaling, and samplers of RBMs beside exact times."""

from importlib import import_module

import h5py
import numpy as np
import pytest
from autoregression import autoregression, coefficient
from ising_parts.finite_size import collapse, crossing
from rbm_parts import transitions

from mcgen import enumeration, ising, rbm
from mcgen.errors import InputError, SizeError
from mcgen.rbm.metropolis.formulas import GROUP
from mcgen.stats import Estimate


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_crossings_and_their_errors():
    """The spread of crossings of noisy lines is the error that each of them quotes."""
    generator = np.random.default_rng(1)
    found, errors = [], []
    for _ in range(400):
        noise = generator.normal(size=2) * (0.01, 0.02)
        lines = [
            lambda x, k=k, slope=slope, error=error: Estimate(1.2 + slope * (x - 2) + noise[k], error, 1.0, 100.0)  # noqa: B023
            for k, (slope, error) in enumerate(((1.0, 0.01), (3.0, 0.02)))
        ]
        one = crossing(*lines, 1.5, 3.0)
        found.append((one.temperature.value, one.height.value))
        errors.append((one.temperature.error, one.height.error))
    deviations = (np.array(found) - (2.0, 1.2)) / errors
    assert np.abs(deviations.mean(axis=0)).max() < 4 / np.sqrt(400)
    assert np.abs(deviations.var(axis=0) - 1).max() < 4 * np.sqrt(2 / 400)
    with pytest.raises(InputError, match=r"do not cross between T=2.5 and 3"):
        crossing(*lines, 2.5, 3.0)


def test_a_collapse_finds_what_made_the_points():
    """Points of a known curve with noise: parameters within their errors, over many data sets, and chi^2 as well."""
    generator = np.random.default_rng(2)
    sizes = np.repeat([8.0, 16.0, 32.0, 64.0], 9)
    temperatures = 2.5 * (1 + np.tile(np.linspace(-1, 1, 9), 4) / sizes)
    x = (temperatures / 2.48 - 1) * sizes**0.9
    truth = sizes**0.3 * (2 - x + 0.2 * x**2 + 0.5 * sizes**-1.5 + 0.3 * x * sizes**-0.9)
    pulls, squares = [], []
    for _ in range(60):
        errors = 0.002 * truth
        values = truth + errors * generator.normal(size=len(truth))
        fit = collapse(sizes, temperatures, values, errors, (2.5, 1.0, 0.25), 1.5)
        pulls += [
            (one.value - exact) / one.error
            for one, exact in zip(
                (fit.critical_temperature, fit.inverse_nu, fit.exponent), (2.48, 0.9, 0.3), strict=True
            )
        ]
        squares.append(fit.chi_square)
    assert fit.degrees_of_freedom == 36 - 3 - 9
    assert abs(np.mean(squares) - 24) < 4 * np.sqrt(2 * 24 / 60)
    pulls = np.reshape(pulls, (60, 3))
    assert np.abs(pulls.mean(axis=0)).max() < 4 / np.sqrt(60)
    assert np.abs(pulls.var(axis=0) - 1).max() < 5 * np.sqrt(2 / 60)
    with pytest.raises(InputError, match=r"9 points of 1 sizes cannot fix a collapse; give three sizes"):
        collapse(sizes[:9], temperatures[:9], values[:9], errors[:9], (2.5, 1.0, 0.25), 1.5)


def test_the_critical_temperature_is_found(here, capsys):
    script = import_module("find_critical_temperature")
    assert script.main(["--sizes", "4", "8", "16", "--chains", "16", "--draws", "200"]) == 0
    out = capsys.readouterr().out
    assert "L = 8 and 16" in out
    with h5py.File("find_critical_temperature.h5") as file:
        group = file["size_16"]
        pulls = (group["energy"][:] - group["energy_exact"][:]) / group["energy_error"][:]
        assert pulls @ pulls < 30  # of 7
        assert abs(file["crossings/temperature"][0] / script.CRITICAL - 1) < 0.02
        assert file["crossings/temperature"].dims[0][0].name == "/crossings/size"
        fit = file["collapse_binder_ratio"].attrs
        assert abs(fit["critical_temperature"] - script.CRITICAL) < 5 * fit["critical_temperature_error"]
        assert file.attrs["status"] == "complete"
    assert (here / "find_critical_temperature.png").stat().st_size > 20_000
    for arguments, words in (
        (["--sizes", "16", "8"], "--sizes [16, 8] must be three or more, and grow"),
        (["--center", "3"], "leave out the critical one, 2.269185; give another --center"),
        (["--width", "20"], "--width 20 is not below the smallest size, 16"),
    ):
        assert script.main([*arguments, "--overwrite"]) == 2
        assert words in capsys.readouterr().err


def test_ctrl_c_keeps_the_sizes_that_are_done(here, capsys, monkeypatch):
    script = import_module("find_critical_temperature")
    original = script.draw_size

    def interrupted_at_32(length, *rest):
        if length == 32:
            raise KeyboardInterrupt
        return original(length, *rest)

    monkeypatch.setattr(script, "draw_size", interrupted_at_32)
    assert script.main(["--quick", "--draws", "100"]) == 130
    assert "interrupted" in capsys.readouterr().out
    with h5py.File("find_critical_temperature.h5") as file:
        assert file.attrs["status"] == "interrupted"
        assert len(file["crossings/temperature"]) == 2
    assert (
        script.main(["--sizes", "8", "16", "32", "--draws", "100", "--output", "other.h5", "--figure", "other.png"])
        == 130
    )
    assert "nothing was written" in capsys.readouterr().err
    assert not (here / "other.h5").exists()


@pytest.mark.parametrize("method", ["gibbs", "metropolis"])
def test_transition_matrices_and_times(method):
    """The matrix keeps the exact distribution, and times are sums of its powers; short chains of sweeps obey it."""
    model = rbm.RBM.random(n_visible=5, n_hidden=4, seed=3, scale=0.7, visible="spin", hidden="spin")
    matrix, p = getattr(transitions, method)(model), rbm.exact.probabilities(model)
    states = enumeration.list_states(5, -1)
    assert np.allclose(matrix.sum(axis=1), 1, atol=1e-12)
    assert np.allclose(p @ matrix, p, atol=1e-12)
    f = model.free_energy(states)
    centred = f - p @ f
    rho, power = [], centred
    for _ in range(2000):
        rho.append(p @ (centred * power))
        power = matrix @ power
    expected = 2 * sum(rho) / rho[0] - 1
    assert transitions.integrated_times(matrix, p, f[None])[0] == pytest.approx(expected, rel=1e-9)
    # Chains of a group propose changes of the same units: one of each is independent of all others.
    apart = GROUP if method == "metropolis" else 1
    start = np.broadcast_to(states[7], (50_000 * apart, 5))
    drawn = rbm.sample(model, len(start), 1, thin=1, burn_in=0, method=method, seed=4, initial=start).states[::apart, 0]
    counts = np.bincount((drawn > 0) @ (2 ** np.arange(5)), minlength=32)
    numbers = (states > 0) @ (2 ** np.arange(5))
    expected = 50_000 * matrix[7]
    seen = expected > 5
    square = (((counts[numbers] - expected) ** 2)[seen] / expected[seen]).sum()
    assert square < 32 + 5 * np.sqrt(64)
    with pytest.raises(SizeError, match=r"16 units have 65536 states, and a transition matrix takes 34\.4 GB"):
        transitions.check_units(16)


def test_samplers_beside_exact_times(here, capsys):
    script = import_module("compare_rbm_samplers")
    assert script.main(["--quick", "--temperatures", "3", "--draws", "3000"]) == 0
    out = capsys.readouterr().out
    assert all(f" {method} " in out for method in script.METHODS)
    with h5py.File("compare_rbm_samplers.h5") as file:
        parameters = [file[f"models/{name}"][0] for name in ("weights", "visible_bias", "hidden_bias")]
        model = rbm.RBM(*parameters, visible="spin", hidden="spin")
        truth = ising.exact.probabilities(ising.Ising((2, 3)), 3.0)
        assert rbm.exact.kl_divergence(truth, model) == pytest.approx(file["models/kl_divergence"][0], rel=1e-6)
        for method in script.MATRICES:
            group = file[method]
            for name in script.OBSERVABLES:
                deviation = group[f"time_{name}"][0] - group[f"time_{name}_exact"][0]
                assert abs(deviation) < 5 * group[f"time_{name}_error"][0]
        for method in script.METHODS:
            assert (
                abs(file[f"{method}/below"][0] - file["models/below_exact"][0]) < 5 * file[f"{method}/below_error"][0]
            )
    assert (here / "compare_rbm_samplers.png").stat().st_size > 20_000
    assert script.main(["--shape", "4", "4", "--overwrite"]) == 2
    assert "16 units have 65536 states" in capsys.readouterr().err


def test_chains_that_never_change_the_mode_are_called_so():
    script = import_module("compare_rbm_samplers")
    stuck = script.Found(
        (Estimate(2.0, 0.1, 1.0, 9.0), Estimate(70.0, 1.0, 1.0, 9.0)), (3.0, np.inf), 1e-6, *[None] * 2
    )
    stuck = stuck._replace(below=Estimate(0.0, 0.01, 1.0, 9.0), changing_chains=0)
    text = script.table([script.Machine(1.0, None, 0.001, 0.5, (stuck,) * 3)], 150)
    assert "2.00(10)" in text
    assert "> 3 " in text
    assert "> 3: chains of 150 draws are not 50 times as long" in text
    assert "> 1e14" in text
    assert "0.5000" in text


def test_times_of_chains_that_are_too_short_have_no_error():
    """A time of 30 is told by chains of 2000 draws, with an error that covers it, and only bounded by those of 1000."""
    script = import_module("compare_rbm_samplers")
    series = autoregression(coefficient(30.0), (128, 2000), seed=1)
    found = script.time_of(series)
    assert abs(found.value - 30) < 4 * found.error < 8
    short = script.time_of(series[:, :1000])
    assert np.isnan(short.error)
    lines = {}
    for one, n_draws in ((found, 2000), (short, 1000)):
        times = script.Found((one, one), (30.0, 30.0), 1e-6, Estimate(0.5, 0.01, 1.0, 9.0), 3)
        lines[n_draws] = script.table([script.Machine(1.0, None, 0.001, 0.5, (times,) * 3)], n_draws).splitlines()
    assert str(found) in lines[2000][1]
    assert "> 20 " in lines[1000][1]
    assert "1000 " not in lines[1000][1]
