"""The jobs of scripts/slurm: valid shell, run with the variables that Slurm sets, and back in the queue out of time."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcgen import cli, results

FOLDER = Path(__file__).parents[2] / "scripts/slurm"
SOURCES = FOLDER.parents[1]
JOBS = ("array", "gpu", "mpi")


@pytest.fixture
def slurm(tmp_path):
    """Run a job as Slurm would: a function of its name, the text of a command `mcgen`, and further variables."""
    commands = tmp_path / "bin"
    commands.mkdir()

    def command(name, text):
        path = commands / name
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)

    def start(job, mcgen, **variables):
        command("mcgen", mcgen)
        command("scontrol", f'echo "$@" >> {tmp_path}/scontrol')
        command("nvidia-smi", "echo 'GPU 0: a test'")
        # Tasks in order, one of two on each node.
        command("srun", 'while [[ $1 == --* ]]; do shift; done\nSLURM_LOCALID=3 exec "$@"')
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        fake = {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "4711",
            "SLURM_CPUS_PER_TASK": "1",
            "SLURM_ARRAY_TASK_ID": "1",
            "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_TMPDIR": str(tmp_path),
            "MCGEN_SLURM": str(FOLDER),
            "DATA": "data.h5",
        }
        started.append(subprocess.Popen(
            ["bash", FOLDER / f"{job}.sh"], env=kept | fake | variables, cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        ))  # fmt: skip
        return started[-1]

    started = []
    yield start
    for process in started:  # with their commands, where a test has failed
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(process):
    """Status, output and errors."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.name)
def test_jobs_are_valid_shell(path):
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if path.stem in JOBS:
        # Slurm reads its options up to the first command.
        head = path.read_text().partition("\nsource ")[0]
        options = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", head, re.MULTILINE))
        assert {"job-name", "nodes", "cpus-per-task", "time", "output"} <= options.keys()
        assert path.read_text().count("#SBATCH") == head.count("#SBATCH")


@pytest.mark.parametrize("job", JOBS)
def test_commands_of_jobs_are_commands(job, slurm, tmp_path):
    status, _, err = ended(slurm(job, f'printf "%q " "$@" >> {tmp_path}/lines; echo >> {tmp_path}/lines'))
    assert (status, err) == (0, "")
    lines = (tmp_path / "lines").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["rbm" if job == "gpu" else "ising", "report"]
    arguments = [cli.parser().parse_args(shlex.split(line)) for line in lines]
    assert arguments[0].resume is True  # the job may have been in the queue again


def test_a_task_of_the_array_runs_and_reports(slurm, tmp_path):
    tiny = {"SHAPE": "2 2", "TEMPERATURES": "1.5 3.5", "CHAINS": "4", "DRAWS": "20", "SEED": "3"}
    line = f'PYTHONPATH={SOURCES} exec {sys.executable} -m mcgen.cli "$@"'
    status, out, err = ended(slurm("array", line, **tiny, NUMBA_CACHE_DIR=""))  # kernels as they are compiled
    assert status == 0, err
    run = results.load(tmp_path / "ising-1.h5")
    assert (run.temperature, run.seed, run.energy.shape) == (3.5, run.seed, (4, 20))
    assert results.load_study(tmp_path / "ising-1.h5").attributes["threads"] == 1
    assert "wrote" in out
    assert (tmp_path / "ising-1.html").read_text().startswith("<!DOCTYPE html>")
    assert not list(tmp_path.glob("mcgen-kernels-*"))
    status, _, err = ended(slurm("array", line, **tiny, SLURM_ARRAY_TASK_ID="2"))
    assert status == 2
    assert "task 2 has no temperature: there are 2; make --array=0-1" in err


def test_tasks_have_threads_caches_and_locks_set(slurm, tmp_path):
    names = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HDF5_USE_FILE_LOCKING", "NUMBA_CACHE_DIR")
    line = f"for name in {' '.join(names)}; do echo ${{!name}} >> {tmp_path}/seen; done"
    ended(slurm("mpi", line, SLURM_CPUS_PER_TASK="6"))
    *others, cache = (tmp_path / "seen").read_text().splitlines()[:4]
    assert others == ["6", "6", "FALSE"]
    assert re.fullmatch(f"{re.escape(str(tmp_path))}/mcgen-kernels-\\w+/3", cache)
    assert not Path(cache).parent.exists()


@pytest.mark.parametrize("job", ["array", "mpi"])
@pytest.mark.parametrize(("status", "queued"), [(75, True), (143, True), (2, False), (130, False)])
def test_what_ran_out_of_time_goes_back_to_the_queue(job, status, queued, slurm, tmp_path):
    code, out, err = ended(slurm(job, f"exit {status}"))
    assert code == (0 if queued else status)
    assert (tmp_path / "scontrol").exists() == queued
    if queued:
        assert (tmp_path / "scontrol").read_text() == "requeue 4711\n"
        assert "back to the queue" in out
    else:
        assert f"failed with status {status}" in err


@pytest.mark.parametrize("job", ["gpu", "mpi"])
def test_the_signal_before_the_end_reaches_the_command(job, slurm, tmp_path):
    # A command that takes a moment to write what is done.
    trap = f"trap 'sleep 0.2; touch {tmp_path}/written; exit 143' TERM"
    line = f"{trap}\ntouch {tmp_path}/begun\nwhile true; do sleep 0.05; done"
    process = slurm(job, line)
    end = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    status, out, _ = ended(process)
    assert status == 0
    assert "back to the queue" in out
    assert (tmp_path / "written").exists()
    assert (tmp_path / "scontrol").read_text() == "requeue 4711\n"
