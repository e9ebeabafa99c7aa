"""Examples run, and docstrings say what the functions do."""

import doctest
import importlib
import inspect
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import xarray
from twins.running import gpu_is_there

import mcgen
import mcgen.cli.pipeline
from mcgen import _cpu, cli, rbm

MODULES = sorted(
    name for _, name, _ in pkgutil.walk_packages(mcgen.__path__, "mcgen.") if not name.endswith(("cuda", ".cpu"))
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failures == 0


def public():
    """Every function and method that a user can call, with a readable name."""
    for room in (
        "ising",
        "rbm",
        "vae",
        "rng",
        "stats",
        "observables",
        "reweighting",
        "results",
        "report",
        "optim",
        "evaluation",
        "enumeration",
        "cli.pipeline",
    ):
        module = importlib.import_module(f"mcgen.{room}")
        names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
        for name in names:
            value = getattr(module, name)
            if inspect.ismodule(value) and value.__name__.startswith(f"mcgen.{room}."):
                for inner, function in vars(value).items():
                    if (
                        inspect.isfunction(function)
                        and not inner.startswith("_")
                        and function.__module__.startswith(value.__name__)
                    ):
                        yield f"{room}.{name}.{inner}", function
            elif inspect.isfunction(value) and value.__module__.startswith(f"mcgen.{room}"):
                yield f"{room}.{name}", value


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_name_every_parameter(name):
    function = PUBLIC[name]
    text = inspect.getdoc(function)
    assert text, f"{name} has no docstring"
    parameters = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]
    if "Parameters\n" in text:
        section = text.split("Parameters\n----------\n")[1].split("\n\n")[0]
        documented = [
            part.strip()
            for line in section.splitlines()
            if not line.startswith(" ")
            for part in line.split(":")[0].split(",")
        ]
        assert [p for p in documented if p] == parameters, name


MAIN = """
ising.sample ising.exact.log_partition rbm.sample rbm.train rbm.positive_phase rbm.negative_phase
rbm.exact.log_partition rbm.exact.gradient results.save stats.mean stats.jackknife stats.bootstrap stats.blocking
stats.split_r_hat stats.check_burn_in observables.summary observables.correlations reweighting.combine
vae.train vae.importance_estimate vae.correlations
"""


@pytest.mark.parametrize("name", MAIN.split())
def test_the_main_functions_are_documented_in_full(name):
    text = inspect.getdoc(PUBLIC[name])
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"\n{section}\n---" in text, f"{name} lacks {section}"


def test_kernels_carry_the_digest_of_their_sources():
    from mcgen.rbm.gibbs import cpu

    assert cpu.gibbs_sweeps.py_func.__qualname__.endswith(_cpu.DIGEST)


ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language):
    """What stands in the code blocks of the README, in its order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)  # from one fence to the next
    return [text for of, text in found if of == language]


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("python"):
        exec(block, names)
    assert re.search(r"-25\.\d+\(\d+\) exact: -25\.05", capsys.readouterr().out)
    assert {path.name for path in tmp_path.glob("*.h5")} >= {"trained.h5", "chains.h5"}


# The same commands with less work.
LESS = {
    "--chains 128 --draws 200": "--chains 8 --draws 20",
    "--chains 64 --draws 1000": "--chains 4 --draws 5",
    "--chains 256 --draws 100": "--chains 16 --draws 5",
    "--chains 16384 --draws 10": "--chains 16 --draws 2",
    "--draws 2000": "--chains 2 --draws 3",
    "--epochs 50": "--epochs 2",
    "--epochs 20": "--epochs 1",
    "--method sandwich": "--method sandwich --runs 20 --temperatures 20",
    "--method tempering": "--method tempering --chains 8 --draws 10 --burn-in 20",
    "scripts/study.toml": f"{ROOT}/scripts/study.toml --dry-run",  # tests/interface/test_pipeline.py runs it
}
LINES = [line for block in blocks("") for line in block.splitlines()]
COMMANDS = [line for line in LINES if re.match(r"(mpiexec .*)?mcgen [a-z]", line)]


@pytest.mark.filterwarnings("ignore::mcgen.errors.StatisticsWarning")  # so little work
def test_the_commands_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert len(COMMANDS) == 21
    used = set()
    for command in COMMANDS:
        cli.parser().parse_args(shlex.split(command)[command.split().index("mcgen") + 1 :])  # as printed
        for words, fewer in LESS.items():
            if words in command:
                used.add(words)
                command = command.replace(words, fewer)
        if command.startswith("mpiexec"):
            done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
            status, said = done.returncode, done.stderr
        else:
            status = cli.main(shlex.split(command)[1:])
            said = capsys.readouterr().err
        if "--device cuda" in command and not gpu_is_there():
            assert status == 2
            assert "cuda" in said
        else:
            assert status == 0, (command, said)
        for path in re.findall(r"--output (\S+)", command):
            assert Path(path).exists() or status, command
    assert used == set(LESS)


def test_the_speeds_of_the_readme_are_those_that_were_measured(capsys):
    assert import_module("benchmark").main(["--show", str(ROOT / "data/benchmark.json")]) == 0
    assert capsys.readouterr().out in blocks("")


def test_the_study_of_the_readme_is_part_of_that_in_scripts(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", README, re.DOTALL).group(1))
    whole, part = (cli.pipeline.read(one) for one in (ROOT / "scripts/study.toml", path))
    for stage in part.stages:
        of_the_whole = whole["report.rbm" if stage.name == "report" else stage.name]
        assert of_the_whole | {"output": stage.settings["output"]} == stage.settings


FILES = (".py", ".h5", ".md", ".png", ".toml", ".sh", ".part")
NAMES = sorted(name for name in set(re.findall(r"`(\w+(?:\.\w+)+)(?:\(|`)", README)) if not name.endswith(FILES))


@pytest.mark.parametrize("name", NAMES)
def test_names_in_the_readme_exist(name):
    first, *rest = name.split(".")
    value = rbm.RBM if first == "RBM" else xarray if first == "xarray" else importlib.import_module(f"mcgen.{first}")
    for part in rest:
        value = getattr(value, part)
