"""The frame of the studies: settings, exit statuses, and what the files say."""

import signal

import h5py
import numpy as np
import pytest
from study_parts import command

from mcgen import rbm
from mcgen.errors import InputError
from mcgen.progress import until_interrupted
from mcgen.results.groups import Group
from mcgen.stats import Estimate


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parser = command.parser_of("A study.\n\nMore of it.")
    parser.add_argument("--rows", type=int, default=None)
    command.add_common(parser, "study", "of numbers")
    return command.parsed(parser, ["--seed", "4"], {"rows": 100}, {"rows": 3})


def test_settings(arguments, tmp_path):
    assert vars(arguments) == {
        "rows": 100, "seed": 4, "quick": False, "output": "study.h5", "figure": "study.png", "overwrite": False,
    }  # fmt: skip
    parser = command.parser_of("A study.\n\nMore of it.")
    parser.add_argument("--rows", type=int, default=None)
    command.add_common(parser, "study", "of numbers")
    assert parser.description == "A study."
    assert command.parsed(parser, ["--quick"], {"rows": 100}, {"rows": 3}).rows == 3
    assert command.parsed(parser, ["--quick", "--rows", "7"], {"rows": 100}, {"rows": 3}).rows == 7


@pytest.mark.parametrize(
    ("status", "exit_status", "more"),
    [("complete", 0, ""), ("interrupted", 130, ", interrupted"), ("interrupted: 1 of 2", 130, ", interrupted: 1 of 2")],
)
def test_ends(arguments, capsys, status, exit_status, more):
    assert command.run("study", arguments, lambda given: status, "early") == exit_status
    out, err = capsys.readouterr()
    assert out == f"\nwrote study.h5 and study.png in 0 s{more}\n"
    assert err == ""


def test_what_goes_wrong(arguments, tmp_path, capsys):
    def refuse(given):
        raise InputError("rows=3 is too small")

    def interrupt(given):
        raise KeyboardInterrupt

    assert command.run("study", arguments, refuse, "early") == 2
    assert capsys.readouterr().err == "study: rows=3 is too small\n"
    assert command.run("study", arguments, interrupt, "before the first model") == 130
    assert capsys.readouterr().err == "study: interrupted before the first model; nothing was written\n"
    (tmp_path / "study.png").touch()
    assert command.run("study", arguments, pytest.fail, "early") == 2  # before work starts
    assert "study.png exists" in capsys.readouterr().err


def test_sigterm_is_ctrl_c_with_another_exit_status(arguments, capsys):
    before = signal.getsignal(signal.SIGTERM)

    def work(k):
        if k == 2:
            signal.raise_signal(signal.SIGTERM)
        return k

    def keep_what_is_done(given):
        done, interrupted = until_interrupted(work, 4)
        assert done == [0, 1]
        return command.status_of(interrupted)

    assert command.run("study", arguments, keep_what_is_done, "early") == 143
    assert capsys.readouterr().out.endswith(", interrupted\n")
    assert command.run("study", arguments, lambda given: work(2), "before the first model") == 143
    assert capsys.readouterr().err == "study: interrupted before the first model; nothing was written\n"
    assert command.run("study", arguments, lambda given: work(2)) == 143
    assert capsys.readouterr().err == "study: interrupted; study.h5 has what is kept, if anything\n"
    assert signal.getsignal(signal.SIGTERM) == before
    assert command.run("study", arguments, lambda given: "interrupted") == 130  # Ctrl-C, after a SIGTERM in another run


def test_ends_with_more_to_say(arguments, tmp_path, capsys):
    """A time limit is no error; figures may be missing; studies may write several files, or none."""

    def ended(*of, **more):
        return lambda given: command.Ended(*of, **more)

    assert command.run("study", arguments, ended("interrupted after epoch 3", by_hand=False)) == 0
    assert capsys.readouterr().out == "\nwrote study.h5 and study.png in 0 s, interrupted after epoch 3\n"
    assert command.run("study", arguments, ended("complete", 1, has_figure=False)) == 1
    assert capsys.readouterr().out == "\nwrote study.h5 in 0 s\n"
    two = ["a.h5", "b.h5"]
    assert command.run("study", arguments, ended("complete"), files=two) == 0
    assert capsys.readouterr().out == "\nwrote a.h5, b.h5 and study.png in 0 s\n"
    assert command.run("study", arguments, ended("interrupted", files=two[:1]), files=two) == 130
    assert capsys.readouterr().out == "\nwrote a.h5 and study.png in 0 s, interrupted\n"
    (tmp_path / "b.h5").touch()
    assert command.run("study", arguments, pytest.fail, files=two) == 2
    assert "b.h5 exists" in capsys.readouterr().err
    assert command.run("study", arguments, ended("complete"), files=two, again=True) == 0
    arguments.output = arguments.figure = None
    assert command.run("study", arguments, ended("complete")) == 0
    assert capsys.readouterr().out.endswith("\ndone in 0 s\n")


def test_what_files_hold(arguments):
    models = [rbm.RBM.random(3, 2, seed=k) for k in range(2)]
    numbers = [Estimate(1.5, 0.25, 1.0, 9.0), Estimate(-2.0, 0.125, 1.0, 9.0)]
    rows = [Estimate(np.arange(3.0) + k, np.full(3, 0.5 + k), 1.0, 9.0) for k in range(2)]
    with command.new_file("study.h5", vars(arguments), command.status_of(interrupted=True)) as file:
        group = Group(file, "found", "temperature")
        command.add_estimates(group, "energy", numbers)
        command.add_estimates(group, "two_point", rows, ("distance",))
        command.add_parameters(group, models)
        group.close({"temperature": np.array([1.0, 2.0])})
    with h5py.File("study.h5") as file:
        assert file.attrs["status"] == "interrupted"
        assert '"seed": 4' in file.attrs["configuration"]
        found = file["found"]
        assert found["energy"][:].tolist() == [1.5, -2.0]
        assert found["energy_error"][:].tolist() == [0.25, 0.125]
        assert found["two_point"][:].tolist() == [[0, 1, 2], [1, 2, 3]]
        assert found["two_point_error"][:].tolist() == [[0.5] * 3, [1.5] * 3]
        assert found["two_point"].dims[1][0].name == "/found/distance"
        for k, model in enumerate(models):
            for name in ("weights", "visible_bias", "hidden_bias"):
                assert np.array_equal(found[name][k], getattr(model, name))
