"""Pipelines: one TOML file for several commands, checked before work, and to the same bits whenever it runs."""

import json
import os
import re
import shlex
import signal

import h5py
import pytest

from mcgen import cli, rbm, results, vae
from mcgen.cli import pipeline
from mcgen.cli.pipeline.description import OF_A_RUN, checked, commands
from mcgen.cli.pipeline.text import write_table
from mcgen.errors import FileError, InputError
from mcgen.results.kept_trainings import KeptTrainings

STUDY = """
seed = 7
chains = 20

[ising.sample]
shape = [2, 3]
temperature = [1.8, 3]
thin = 20

[ising.sample.train]
draws = 30
[ising.sample.test]
draws = 10

[ising.exact]
shape = [2, 3]
temperature = 1.8

[rbm]
data = "ising.sample.train"
[rbm.train.small]
hidden = 2
epochs = 2
[rbm.train.large]
hidden = 3
learning-rate = 0.02
epochs = 2
[rbm.evaluate]
file = "rbm.train.large"
data = "ising.sample.test"

[vae.train]
data = "ising.sample.train"
latent = 1
hidden = []
epochs = 1

[report]
file = "rbm.train.large"
"""
SAMPLE = "[ising.sample]\nshape = [2, 3]\ntemperature = 2.0\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


def mcgen(line):
    return cli.main(shlex.split(line))


def content(path):
    """What a run must give again: datasets and their attributes, or text."""
    if path.suffix != ".h5":
        return path.read_bytes()
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, one: found.update({name: one[()].tobytes()} if hasattr(one, "dtype") else {}))
    return found


def state(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_the_same_settings_give_the_same_bytes(folder, capsys):
    assert mcgen("run study.toml") == 0
    out = capsys.readouterr().out
    names = ["ising.sample.train", "ising.sample.test", "ising.exact", "rbm.train.small", "rbm.train.large"]
    names += ["rbm.evaluate", "vae.train", "report"]
    assert re.findall(r"^\[(.*)\]$", out, re.MULTILINE) == names
    first = folder / "study"
    endings = {"ising-exact": "txt", "rbm-evaluate": "txt", "report": "html"}
    files = {f"{name.replace('.', '-')}" for name in names}
    assert {path.name for path in first.iterdir()} == {f"{n}.{endings.get(n, 'h5')}" for n in files} | {"pipeline.toml"}
    # What a stage prints is kept, below what made it.
    text = (first / "rbm-evaluate.txt").read_text()
    printed = text.split("\n", 2)[2]
    assert "T = 1.8: 200 rows of data, 20 chains of 40 draws by exact" in printed
    assert printed in out
    # A file knows all settings of its stage and of those before it.
    with h5py.File(first / "rbm-train-large.h5") as file:
        remembered = json.loads(file.attrs["configuration"])
    study = pipeline.read("study.toml")
    assert remembered["hidden"] == 3
    assert remembered["data"] == "study/ising-sample-train.h5"
    assert remembered["pipeline"] == {name: study[name] for name in ("ising.sample.train", "rbm.train.large")}
    assert remembered["pipeline"]["rbm.train.large"]["learning_rate"] == 0.02
    assert remembered["pipeline"]["rbm.train.large"]["optimizer"] == "adam"
    assert len({study[name]["seed"] for name in names if "seed" in study[name]}) == 6
    # The settings, all of them, as a pipeline again.
    assert mcgen("run study/pipeline.toml --set output=again") == 0
    for path in first.iterdir():
        if path.name not in ("pipeline.toml", "report.html"):  # which say where and when they were made
            assert content(path) == content(folder / "again" / path.name), path.name
    with h5py.File(first / "ising-sample-train.h5") as train, h5py.File(first / "ising-sample-test.h5") as test:
        assert (train["samples/states"][:, :, :10] != test["samples/states"][()]).any()


def test_complete_stages_are_left_out_when_asked(folder, capsys, monkeypatch):
    (folder / "study.toml").write_text(SAMPLE + "draws = 20\n[rbm.train]\nhidden=2\nepochs=2\n[rbm.exact]\n[rbm.logz]")
    train = rbm.train
    with monkeypatch.context() as patch:
        patch.setattr(rbm, "train", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        assert mcgen("run study.toml") == 130
    ended = "mcgen: ended in [rbm.train]; complete: ising.sample; --resume goes on from there\n"
    assert ended in capsys.readouterr().err
    sampled = state(folder / "study")
    assert sampled.keys() == {"ising-sample.h5", "pipeline.toml"}
    assert mcgen("run study.toml") == 2
    assert re.match(r"mcgen: study/ising-sample.h5 exists; go on after it with --resume .*\n$", capsys.readouterr().err)
    assert mcgen("run study.toml --resume") == 0
    assert "[ising.sample] is complete: study/ising-sample.h5\n[rbm.train]\n" in capsys.readouterr().out
    whole = state(folder / "study")
    assert whole["ising-sample.h5"] == sampled["ising-sample.h5"]
    before = {path.name: content(path) for path in (folder / "study").iterdir()}
    # What is missing or was interrupted is made again, and nothing else.
    with h5py.File("study/ising-sample.h5", "r+") as file:
        file.attrs["status"] = "interrupted"
    (folder / "study/rbm-train.h5").unlink()
    text = (folder / "study/rbm-logz.txt").read_text()
    (folder / "study/rbm-logz.txt").write_text(text.replace("status: complete", "status: interrupted"))
    assert mcgen("run study.toml --resume") == 0
    assert "rbm.exact] is complete" in capsys.readouterr().out
    changed = {name for name, time in state(folder / "study").items() if time != whole[name]}
    assert changed == {"ising-sample.h5", "rbm-train.h5", "rbm-logz.txt", "pipeline.toml"}
    assert {path.name: content(path) for path in (folder / "study").iterdir()} == before
    # Other settings are refused, those of the stages before as well, and nothing is touched.
    there = state(folder / "study")
    assert mcgen("run study.toml --resume --set rbm.train.epochs=3") == 2
    words = "mcgen: [rbm.train] epochs is 3, and study/rbm-train.h5 was made with 2; set it back, choose another folder"
    assert capsys.readouterr().err.startswith(words)
    (folder / "study/ising-sample.h5").rename("aside.h5")
    assert mcgen("run study.toml --resume --set ising.sample.seed=3") == 2
    assert "[ising.sample] seed is 3, and study/rbm-train.h5 was made with" in capsys.readouterr().err
    (folder / "aside.h5").rename("study/ising-sample.h5")
    assert state(folder / "study") == there
    # A command that refuses its work ends the pipeline; --overwrite replaces everything.
    monkeypatch.setattr(rbm, "train", lambda *_, **__: (_ for _ in ()).throw(InputError("no")))
    assert mcgen("run study.toml --overwrite") == 2
    assert capsys.readouterr().err == ended + "mcgen: no\n"
    assert state(folder / "study")["ising-sample.h5"] != there["ising-sample.h5"]
    assert rbm.train is not train


LONGER = """
[ising.sample]
shape = [2, 3]
temperature = 2.0
chains = 30
draws = 10
thin = 20
[rbm.train]
hidden = 2
epochs = 4
[vae.train]
latent = 1
hidden = [3]
checkpoint_every = 0
[vae.train.first]
seed = 3
epochs = 2
[vae.train.longer]
seed = 3
epochs = 5
resume = "vae.train.first"
"""


def test_a_pipeline_goes_on_within_its_stages(folder, capsys, monkeypatch):
    (folder / "study.toml").write_text(LONGER)
    assert mcgen("run study.toml --set output=whole") == 0
    name, train = "vae-train-longer.h5", vae.train
    for file in ("rbm-train.h5", "vae-train-first.h5", name):
        with monkeypatch.context() as patch:
            stop_at_epoch(patch, file)
            assert mcgen("run study.toml --resume") == 143
        part = folder / "study" / f"{file}.part"
        assert len(results.load_study(part).trained[0].history["epoch"]) == (3 if file == name else 1)
    assert mcgen("run study.toml --resume --time-limit 0.01") == 75
    assert "ended in [vae.train.longer]" in capsys.readouterr().err
    given = []
    monkeypatch.setattr(vae, "train", lambda *of, **settings: given.append(settings) or train(*of, **settings))
    assert mcgen("run study.toml --resume") == 0
    assert len(given) == 1
    assert len(given[0]["resume"].history["epoch"]) >= 4
    for path in (folder / "whole").iterdir():
        assert path.name == "pipeline.toml" or content(path) == content(folder / "study" / path.name), path.name
    assert "vae-train-longer.h5.part" not in os.listdir("study")
    # From the file of its settings, where a stage has nothing of its own.
    (folder / "study" / name).unlink()
    assert mcgen("run study.toml --resume") == 0
    assert given[1]["resume"].state.epoch == 2
    assert content(folder / "study" / name) == content(folder / "whole" / name)


def stop_at_epoch(monkeypatch, file):
    """SIGTERM as soon as a first epoch of what is written to this file is kept."""
    write = KeptTrainings.checkpoint

    def checkpoint(self, study):
        write(self, study)
        if self._path.name == file:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(KeptTrainings, "checkpoint", checkpoint)


def test_files_of_others_are_no_stages(folder, capsys):
    (folder / "study.toml").write_text(SAMPLE + "[ising.exact]\nshape = 4\ntemperature = 2")
    (folder / "study").mkdir()
    (folder / "study/ising-exact.txt").write_text("my notes\n")
    assert mcgen("run study.toml --resume") == 2
    assert "study/ising-exact.txt does not say which pipeline it is of" in capsys.readouterr().err
    assert (folder / "study/ising-exact.txt").read_text() == "my notes\n"


def test_a_dry_run_prints_the_settings_and_writes_nothing(folder, capsys):
    assert mcgen("run study.toml --dry-run --set rbm.train.small.hidden=4 --set vae.train.decoder=spin") == 0
    text = capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["study.toml"]
    (folder / "other.toml").write_text(text)
    changed = pipeline.read("study.toml", ["rbm.train.small.hidden=4", "vae.train.decoder=spin"])
    again = pipeline.read("other.toml")
    assert (again.output, again.toml()) == ("study", text)
    assert [stage.settings for stage in again.stages] == [stage.settings for stage in changed.stages]
    assert changed["rbm.train.small"]["hidden"] == 4
    assert changed["vae.train"]["decoder"] == "spin"


def value_of(action):
    """A value that is not the default."""
    if action.nargs == 0:
        return not action.default
    kind = {int: 3, float: 0.25, None: "word", str: "word"}.get(action.type, 4)
    return [kind, kind] if action.nargs in ("+", "*") else kind


@pytest.mark.parametrize("name", list(commands()))
def test_every_option_of_a_command_is_a_key(name):
    """A section gives a command the arguments that the command line gives it."""
    command = commands()[name]
    settings = {key: value_of(action) for key, action in command.options.items()}
    line = name.split(".")
    for key, action in command.options.items():
        words = settings[key] if isinstance(settings[key], list) else [settings[key]]
        option = action.option_strings[:1]
        line += option if action.nargs == 0 else [*option, *map(str, words)]
    for group in command.parser._mutually_exclusive_groups:
        for action in group._group_actions[1:]:
            place = line.index(action.option_strings[0])
            del line[place : place + 2], settings[action.dest]
    by_line = vars(cli.parser().parse_args(line))
    read = {key: checked(key, value, command.options[key]) for key, value in settings.items()}
    of_the_parser = command.parser._defaults  # functions, new in each parser
    assert vars(command.arguments(read)) == by_line | of_the_parser
    assert by_line.keys() - of_the_parser.keys() - (set(OF_A_RUN) - command.options.keys()) == command.options.keys()


def test_settings_survive_toml(folder):
    import tomllib

    table = {"text": 'a "b" \\ \x7f \t ü\n', "small": 5e-324, "large": 1.7e308, "seed": 2**63 - 1, "words": ["a", "b"]}
    table |= {"third": 1 / 3, "yes": True, "empty": [], "no": False}
    assert tomllib.loads(write_table(table | {"nothing": None})) == table


def test_a_function_that_reads_a_word_takes_numbers_too():
    option = commands()["rbm.train"].options["gibbs_steps"]
    assert [checked("gibbs_steps", value, option) for value in (5, "5", "auto")] == [5, 5, "auto"]
    with pytest.raises(InputError, match="gibbs_steps = 'many': many is no number of sweeps"):
        checked("gibbs_steps", "many", option)


def test_seeds_are_derived_for_all_that_share_one(folder):
    """A seed of a stage is its own; a stage keeps its seed where others come and go."""
    one = pipeline.read("study.toml")
    (folder / "less.toml").write_text(SAMPLE + "[rbm.train.large]\nhidden = 3\n[vae.train]\nlatent=1\nseed=5")
    less = pipeline.read("less.toml", ["seed=7"])
    assert less["rbm.train.large"]["seed"] == one["rbm.train.large"]["seed"]
    assert less["vae.train"]["seed"] == 5
    assert pipeline.read("less.toml", ["seed=8"])["ising.sample"]["seed"] != less["ising.sample"]["seed"]
    (folder / "less.toml").write_text(SAMPLE + "seed = 7\n[ising.sample.a]\n[ising.sample.b]")
    seeds = [stage.settings["seed"] for stage in pipeline.read("less.toml").stages]
    assert len({7, *seeds}) == 3


def test_stages_wait_for_what_they_read(folder):
    (folder / "a.toml").write_text(
        SAMPLE + '[rbm.train.a]\nhidden=2\n[rbm.train.b]\nhidden=2\ndata="rbm.sample"\n[rbm.sample]\nfile="rbm.train.a"'
    )
    names = [stage.name for stage in pipeline.read("a.toml").stages]
    assert names == ["ising.sample", "rbm.train.a", "rbm.sample", "rbm.train.b"]
    # A path that a stage writes is this stage; stages of the same name belong together.
    (folder / "a.toml").write_text(
        SAMPLE
        + '[rbm.train.a]\nhidden=2\n[rbm.train.b]\ndata="a/ising-sample.h5"\nhidden=3\n[rbm.exact.b]\n[vae.train]'
        "\nlatent = 1\n[vae.sample]"
    )
    read = pipeline.read("a.toml")
    assert (read["rbm.train.b"]["data"], read["rbm.exact.b"]["file"]) == ("ising.sample", "rbm.train.b")
    assert read["vae.sample"]["file"] == "vae.train"


TRAIN = SAMPLE + "[rbm.train]\nhidden = 2\n"
WRONG = {
    "section": ("[ising.sampel]\nshape = 4", "a.toml, line 1: no section [ising.sampel]; did you mean [ising.sample]?"),
    "room": ("\n\n[rmb.train]\nhidden = 4", "a.toml, line 3: no section [rmb]; did you mean [rbm]?"),
    "no command": (SAMPLE + "[info]", "a.toml, line 4: no section [info]; there are ising, rbm, vae"),
    "key": (SAMPLE + "# a comment\n\n  draw = 4", "line 6: [ising.sample] has no key draw; did you mean draws?"),
    "key with a hyphen": (SAMPLE + "burn-inn = 4", "line 4: [ising.sample] has no key burn_inn; did you mean burn_in?"),
    "key above": ("[rbm]\nepoch = 4\n[rbm.train]\nhidden = 2", "line 2: [rbm] has no key epoch; did you mean epochs?"),
    "key at the top": ("divice = 4\n" + TRAIN, "line 1: no stage of the file has the key divice; did you mean dev"),
    "key of a run": (SAMPLE + "overwrite = true", "line 4: [ising.sample] has no key overwrite"),
    "in a long value": ("[ising.sample]\nshape = [\n4,\n'a',\n]", 'line 2: [ising.sample] shape = "a" is'
),
    "text": (TRAIN + 'epochs = "five"', 'a.toml, line 6: [rbm.train] epochs = "five" is text; give an integer'),
    "fraction": (TRAIN + "epochs = 5.0", "[rbm.train] epochs = 5.0 is a number; give an integer"),
    "truth": (TRAIN + "epochs = true", "[rbm.train] epochs = true is a truth value; give an integer"),
    "truth for a number": (TRAIN + "l2 = true", "[rbm.train] l2 = true is a truth value; give a number"),
    "number of a switch": (TRAIN + "centered = 1", "[rbm.train] centered = 1 is an integer; give true or false"),
    "word": (TRAIN + "learning-rate = 'slow'", 'line 6: [rbm.train] learning_rate = "slow" is text; give a number'),
    "list": (TRAIN + "l2 = [1]", "[rbm.train] l2 = [1] is a list; give a number"),
    "number for text": (TRAIN + "start = 5", "[rbm.train] start = 5 is an integer; give text"),
    "date": (TRAIN + "start = 2026-01-01", "[rbm.train] start = 2026-01-01 is a date or time; give text"),
    "empty": ("[ising.sample]\nshape = []\ntemperature = 1", "line 2: [ising.sample] shape = [] is empty"),
    "unknown choice": (SAMPLE + "method = 'wolf'", "line 1: [ising.sample] method='wolf' is unknown"),
    "later choice": (TRAIN + "optimizer = 'adamm'", "line 4: [rbm.train] --optimizer='adamm' is unknown"),
    "not together": (TRAIN + "patience = 3", "line 4: [rbm.train] --patience 3 needs rows to judge by"),
    "negative": (TRAIN + "[rbm.sample]\ndraws = 0", "line 6: [rbm.sample] --draws=0 is too small"),
    "device": (SAMPLE + "device = 'tpu'", "line 1: [ising.sample] device='tpu' is unknown"),
    "seed": ("seed = -1\n" + SAMPLE, "line 1: [ising.sample] seed=-1"),
    "missing": (SAMPLE + "[rbm.train]", "line 4: [rbm.train] lacks hidden or filters; give one of them"),
    "missing option": (
        "[ising.sample]\nshape = 4",
        "line 1: [ising.sample] lacks temperature: temperatures, with k_B = 1; give",
    ),
    "both": (TRAIN + "filters = 1", "line 4: [rbm.train] has both hidden and filters; leave"),
    "no stage": ("seed = 4", "a.toml has no stages; write a section"),
    "no samples": ("[rbm.train]\nhidden = 2", '[rbm.train] lacks data; give data = "FILE", or a'),
    "which": (TRAIN + "[vae.train]\nlatent = 1\n[report]", 'line 8: [report] does not say which file it'),
    "no file": (TRAIN + "data = 'rows.txt'", "line 6: [rbm.train] data = rows.txt is neither a file nor a stage"),
    "no models": (TRAIN + "[vae.sample]\nfile = 'rbm.train'", '[vae.sample] file = "rbm.train" does not fit'),
    "not samples": (TRAIN + "[vae.train]\nlatent = 1\ndata = 'rbm.train'", 'data = "rbm.train" does not fit'),
    "another command": (TRAIN + "[vae.train]\nlatent=1\nresume='rbm.train'", "give another stage of vae.train"),
    "no file to go on from": (TRAIN + "[vae.train]\nlatent=1\nresume='a.h5'", "resume = a.h5 is neither a file nor"),
    "circle": (
        "[rbm.train]\nhidden = 2\ndata = 'rbm.sample'\n[rbm.sample]",
        "stages wait for each other: [rbm.train] reads [rbm.sample] reads [rbm.train]; give one of them a file",
    ),
    "same output": (SAMPLE + "[ising.sample.a]\noutput = 'b.h5'\n[ising.sample.b]\noutput = 'b.h5'", "write a/b.h5"),
    "output of the record": (SAMPLE + "output = 'pipeline.toml'", "the record of the pipeline both write"),
    "output": ("output = 5\n" + SAMPLE, "a.toml, line 1: output = 5 is no name of a file or a folder"),
    "output of a stage": (SAMPLE + "output = ''", 'line 4: [ising.sample] output = "" is no name of a file'),
    "not once": ("[[ising.sample]]\nshape = 4", "ising.sample is a section; write [ising.sample] once, or"),
    "name of a key": (SAMPLE + "[ising.sample.draws]\nthin = 1", "[ising.sample.draws] has the name of a key"),
    "name of a stage": (SAMPLE + "[ising.sample.'a/b']", "line 4: [ising.sample.a/b] becomes the name of a file; use"),
    "too deep": (SAMPLE + "[ising.sample.a.b]", "[ising.sample.a] has sections of its own; write them beside it"),
    "twice": (TRAIN + "l1 = 1\nbatch = 1\nlearning-rate = 1\nlearning_rate = 1", "a.toml gives learning_rate twice"),
    "no TOML": ("[ising.sample]\nshape = 4 4", "a.toml is no TOML: "),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_before_any_work(case, folder, capsys):
    text, words = WRONG[case]
    (folder / "a.toml").write_text(text)
    assert mcgen("run a.toml") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["a.toml", "study.toml"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("rbm.train.epoch=5", "--set rbm.train.epoch=5: [rbm.train] has no key epoch; did you mean epochs?"),
        ("rbm.train.epochs=five", '--set rbm.train.epochs=five: [rbm.train] epochs = "five" is text; give an integer'),
        ("rbm.trian.epochs=5", "--set rbm.trian.epochs=5: no section [rbm.trian]; did you mean [rbm.train]?"),
        ("rbm.train=5", "--set rbm.train=5: rbm.train is a section; change one of its settings"),
        ("seed.a=5", "--set seed.a=5: seed is a setting, no section"),
        ("epochs", "--set epochs is no setting; write section.key=value"),
        ("rbm..epochs=5", "--set rbm..epochs=5 is no setting"),
        ("rbm.train.epochs=[1, 2", '[rbm.train] epochs = "[1, 2" is text; give an integer'),
        ("rbm.train.data=nothing.h5", "--set rbm.train.data=nothing.h5: [rbm.train] data = nothing.h5 is neither"),
    ],
)
def test_changes_are_checked_alike(change, words, folder):
    (folder / "a.toml").write_text("seed = 1\n" + TRAIN)
    with pytest.raises((InputError, FileError), match=re.escape(words)):
        pipeline.read("a.toml", [change])


def test_files_that_cannot_be_read(folder):
    with pytest.raises(FileError, match=r"nothing.toml cannot be read \(No such file or directory\); give a TOML file"):
        pipeline.read("nothing.toml")
    (folder / "a.toml").write_bytes(b"output = '\xff'")
    with pytest.raises(FileError, match=r"a.toml is no text in UTF-8 \(byte 10\)"):
        pipeline.read("a.toml")


def test_outputs_that_cannot_be_written(folder, capsys):
    (folder / "a.toml").write_text(SAMPLE)
    assert mcgen("run a.toml --set output=a.toml") == 2
    assert "output = a.toml is a file; give the name of a folder" in capsys.readouterr().err
    assert mcgen("run a.toml --set output=b/c") == 2
    assert "the folder b of c does not exist; create it first" in capsys.readouterr().err
    assert mcgen("run a.toml --set ising.sample.output=d/e.h5") == 2
    assert "the folder a/d of e.h5 does not exist" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["a.toml", "study.toml"]
