"""Error bars of samplers are honest: a small part of scripts/validate_samplers.py, whose limits catch mistakes."""

import json

import numpy as np
import pytest
import validate_samplers as script
from validation_parts import jobs, pulls

from mcgen import ising, results
from mcgen.stats import Estimate

N_CALLS = 12  # of ten runs


def job(sampler, size, *temperatures):
    return jobs.Job(sampler, ising.Ising((size, size)), temperatures)


def exact(job):
    return [pulls.reference(job.lattice, temperature, seed=0)[0] for temperature in job.temperatures]


# Over 120 runs chance moves means by 0.09 and deviations by 0.065: a third of the limits.
@pytest.mark.parametrize(
    "job",
    [
        job("metropolis", 8, jobs.CRITICAL),
        job("heatbath-single", 4, 3.0),
        job("swendsen-wang", 8, 3.0),
        job("tempering", 4, 3.0, jobs.CRITICAL),
    ],
    ids=lambda job: job.sampler,
)
def test_error_bars_of_samplers_are_honest(job):
    rows = pulls.rows(job, exact(job), N_CALLS, seed=11)
    assert [row["temperature"] for row in rows] == list(job.temperatures)
    for row in rows:
        assert row["runs"] == 120
        for key in pulls.OBSERVABLES:
            assert row["observables"][key]["honest"], (key, row["observables"][key])


def test_mistakes_are_caught():
    wolff = job("wolff", 8, jobs.CRITICAL)
    [known], [estimates], _ = exact(wolff), *pulls.estimates(wolff, N_CALLS, seed=12)

    def honest(key, change):
        return pulls.verdict(pulls.pulls([change(one) for one in estimates[key]], known[key]))["honest"]

    for key in pulls.OBSERVABLES:
        assert honest(key, lambda one: one), key
        assert not honest(key, lambda one: one._replace(error=0.7 * one.error)), key
        assert not honest(key, lambda one: one._replace(error=1.4 * one.error)), key
        assert not honest(key, lambda one: one._replace(value=one.value + 0.5 * one.error)), key
        assert not honest(key, lambda one: one._replace(value=one.value - 0.5 * one.error)), key


def test_a_wrong_exact_value_is_caught():
    wolff = job("wolff", 8, jobs.CRITICAL)
    known = pulls.reference(wolff.lattice, jobs.CRITICAL + 0.01, seed=0)[0]
    [row] = pulls.rows(wolff, [known], N_CALLS, seed=12)
    assert not any(row["observables"][key]["honest"] for key in ("energy", "abs_magnetization"))


def estimate(value, error):
    return Estimate(value, error, 1.0, 100.0)


def test_pulls_are_in_units_of_both_errors():
    found = pulls.pulls([estimate(1.0, 0.3), estimate(-2.0, 0.3)], estimate(0.5, 0.4))
    assert found.tolist() == pytest.approx([1.0, -5.0])
    constant = pulls.pulls([estimate(1.0, 0.0), estimate(2.0, 0.0)], estimate(1.0, 0.0))
    assert constant.tolist() == [0.0, np.inf]
    assert not pulls.verdict(constant)["honest"]


def test_verdict():
    found = pulls.verdict(np.array([-1.0, 1.0, 2.5, -2.5]))
    assert found["mean"] == 0.0
    assert found["deviation"] == pytest.approx(np.sqrt(14.5 / 3))
    assert (found["beyond_2"], found["largest"], found["honest"]) == (0.5, 2.5, False)


def test_references(monkeypatch):
    monkeypatch.setattr(pulls, "REFERENCE_CHAINS", 100)
    monkeypatch.setattr(pulls, "REFERENCE_DRAWS", 100)
    lattice = ising.Ising((16, 16))
    known, off = pulls.reference(lattice, 3.0, seed=1)
    kaufman = ising.exact.thermodynamics(lattice, 3.0)
    assert (known["energy"].value, known["heat_capacity"].value) == (kaufman.energy, kaufman.heat_capacity)
    assert known["energy"].error == 0.0
    assert known["abs_magnetization"].error > 0.0
    assert known["abs_magnetization"].value > 0.0
    assert set(off) == {"energy", "heat_capacity"}
    assert all(0.0 < abs(one) < 4.0 for one in off.values())
    # Where the transfer matrix reaches, nothing is sampled. The ratio by its definition, from the probabilities of M.
    small = ising.Ising((3, 4))
    known, off = pulls.reference(small, 2.0, seed=1)
    p, m = ising.exact.probabilities(small, 2.0), ising.exact.state_magnetizations(small)
    assert known["binder_ratio"].value == pytest.approx((p @ m**4.0) / (p @ m**2.0) ** 2, rel=1e-12)
    assert off == {}
    assert all(one.error == 0.0 for one in known.values())


def test_which_samplers_run_where():
    torus, large, odd = (ising.Ising((size, size)) for size in (8, 16, 9))
    cylinder = ising.Ising((8, 8), periodic=(False, True))
    every = set(jobs.SAMPLERS)
    reached = [{name for name in every if jobs.reaches(name, lattice)} for lattice in (torus, large, odd, cylinder)]
    assert reached == [every, every - {"exact"}, every - {"metropolis", "heatbath"}, every - {"metropolis", "heatbath"}]
    found = jobs.jobs(["wolff", "tempering"], [torus, cylinder], (1.8, 2.5, 3.0))
    assert [(one.sampler, one.lattice is torus, one.temperatures) for one in found] == [
        ("wolff", True, (1.8,)),
        ("wolff", True, (2.5,)),
        ("wolff", True, (3.0,)),
        ("tempering", True, (1.8, 2.5, 3.0)),
        ("wolff", False, (2.5,)),
        ("wolff", False, (3.0,)),
        ("tempering", False, (2.5, 3.0)),
    ]


SMALL = [
    "--processes",
    "1",
    "--methods",
    "exact",
    "wolff",
    "--sizes",
    "4",
    "--cylinders",
    "--temperatures",
    "3.0",
    "--runs",
    "20",
]


def test_the_script(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pulls, "LARGEST_MEAN", 0.0)
    assert script.main([*SMALL, "--output", "v.json", "--figure", "v.png"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert [row.split()[:5] for row in out[1:3]] == [[name, "4", "x", "4", "3"] for name in ("exact", "wolff")]
    assert out[1].count("!") == 5
    assert out[3].startswith("0 of 10 combinations")
    written = json.loads((tmp_path / "v.json").read_text())
    assert written["attributes"]["status"] == "complete"
    assert [row["sampler"] for row in written["results"]] == ["exact", "wolff"]
    energy = written["results"][0]["observables"]["energy"]
    assert energy["reference"] == pytest.approx(ising.exact.thermodynamics(ising.Ising((4, 4)), 3.0).energy)
    assert f"{energy['mean']:+5.2f} {energy['deviation']:5.2f}" in out[1]
    assert (tmp_path / "v.png").stat().st_size > 20_000
    script.save(script.parse([*SMALL, "--output", "v.h5"]), written, "complete")
    assert results.check("v.h5").deviations == ()
    kept = results.load("v.h5").tables["pulls"]
    assert kept.columns["energy_mean"].tolist() == [row["observables"]["energy"]["mean"] for row in written["results"]]
    assert kept.attributes["sampler"] == '["exact", "wolff"]'
    assert kept.attributes["combinations"] == 10
    monkeypatch.setattr(pulls, "LARGEST_MEAN", 1.5)
    monkeypatch.setattr(pulls, "DEVIATIONS", (0.3, 2.0))
    assert script.main(SMALL) == 0
    assert "!" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--processes", "0"], "--processes=0 is too small"),
        (["--runs", "25"], "--runs 25 is no multiple of 10"),
        (["--runs", "10"], "--runs 10 is no multiple of 10 from 20 on"),
        (["--methods", "tempering"], "tempering needs two or more different temperatures"),
        (["--methods", "metropolis", "--sizes", "5"], "none of the --methods is for any of the lattices"),
        (["--temperatures", "-1.0"], "--temperatures=-1.0 is not positive"),
        (["--figure", "a.doc"], "does not end in an image format"),
        (["--output", "there.json"], "there.json exists"),
    ],
)
def test_errors_come_before_work(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.json").touch()
    assert script.main([*SMALL, *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out


def test_ctrl_c_keeps_what_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    original = script.rows

    def interrupt_at_wolff(job, *rest):
        if job.sampler == "wolff":
            raise KeyboardInterrupt
        return original(job, *rest)

    monkeypatch.setattr(script, "rows", interrupt_at_wolff)
    assert script.main([*SMALL, "--output", "v.json"]) == 130
    assert "interrupted" in capsys.readouterr().out
    written = json.loads((tmp_path / "v.json").read_text())
    assert written["attributes"]["status"] == "interrupted"
    assert [row["sampler"] for row in written["results"]] == ["exact"]
    assert script.main([*SMALL, "--methods", "wolff", "--output", "w.json"]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "w.json").exists()
