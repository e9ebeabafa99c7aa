"""Kill runs with SIGKILL at random moments, and see that nothing is lost: a test, and a program for many kills.

    python tests/kills.py --kills 100

Every command first runs through, which takes some seconds. Then it is begun again and killed at a random moment,
resumed and killed, until it is complete, and then begun anew, until there were enough kills. After each kill the
unfinished file, if there is one, must open, say that it is running, and hold a beginning of the draws, or of the
history, of the whole run; complete, it must hold the same datasets, bit for bit.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from mcgen import cli, ising, rbm, results, vae  # noqa: F401 - imported before the first fork
from mcgen.ising import sampling
from mcgen.results import samples, unfinished

DRAWN = "--chains 4 --thin 2 --seed 7"
COMMANDS = {
    "several temperatures": f"ising sample --shape 4 4 --temperature 1.8 3.0 --draws 4000 --burn-in 4000 {DRAWN}",
    "wolff": f"ising sample --shape 8 8 --temperature 2.269 --draws 1000 --method wolff --burn-in 500 {DRAWN}",
    "tempering": f"ising sample --shape 4 4 --temperature 1.8 3.0 --draws 400 --method tempering --burn-in 400 {DRAWN}",
    "exact": "ising sample --shape 4 4 --temperature 1.8 3.0 --draws 20000 --method exact --chains 4 --seed 7",
    "models": f"rbm sample rbm.h5 --draws 4000 --burn-in 4000 {DRAWN}",
    "models by tempering": f"rbm sample rbm.h5 --draws 400 --burn-in 400 --method tempering {DRAWN}",
    "training": "rbm train --data data.h5 --hidden 4 --epochs 12 --negative-phase pcd --seed 1",
    "training to the maximum": "rbm train --data data.h5 --hidden 4 --trainer likelihood --seed 1",
    "weighted training": "rbm train --data data.h5 --hidden 4 --epochs 12 --negative-phase weighted "
    "--gibbs-steps auto --validation 0.2 --patience 10 --keep-every 3 --centered --seed 1",
}


def make_blocks_small() -> None:
    """So that there are many moments to be killed at, and rows of chunks that the blocks fill."""
    sampling.SECONDS_PER_CALL = 1e-4
    rbm.sampling.drawing.OPERATIONS_PER_CALL = dict.fromkeys(rbm.sampling.METHODS, 10**6)
    samples.BYTES_PER_ROW = 1 << 14


def prepare() -> None:
    """The files that some commands read."""
    lattice, temperatures = ising.Ising((2, 3)), (1.8, 3.0)
    runs = ising.sample(lattice, temperatures, n_chains=20, n_draws=10, kernel="single-flip", seed=1)
    results.save("data.h5", runs)
    models = tuple(rbm.RBM.random(6, 4, seed=k, scale=0.5, visible="spin", hidden="spin") for k in range(2))
    results.save("rbm.h5", results.Study(temperatures, lattice, models=models))


def contents(path: Path) -> dict[str, np.ndarray]:
    """All datasets of a file but those of its checkpoint."""
    found = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("checkpoint"):
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays have the same bits."""
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def check_whole(path: Path, whole: dict[str, np.ndarray]) -> None:
    """The file of a run that was killed and resumed is that of one that was not."""
    found = contents(path)
    assert found.keys() == whole.keys()
    assert not [name for name in whole if not same(found[name], whole[name])]
    with h5py.File(path) as file:
        assert file.attrs["status"] == "complete"
    assert not unfinished.part_of(path).exists()


def check_part(path: Path, whole: dict[str, np.ndarray]) -> str:
    """The unfinished file opens and holds a beginning of the whole run; returns what it has, in words."""
    part = unfinished.part_of(path)
    if not part.exists():
        return "nothing"
    found = contents(part)
    with h5py.File(part) as file:
        assert file.attrs["status"] == "running"
        assert "checkpoint" in file
    if not found:
        return "no draws yet"
    study = results.load_study(part)
    if study.trained:
        return check_trainings(study.trained, results.load_study("whole.h5").trained)
    for name, array in found.items():
        if name.startswith("samples") and array.ndim >= 2:
            assert same(np.ascontiguousarray(whole[name][tuple(map(slice, array.shape))]), array), name
    return str(next(array.shape for array in found.values() if array.ndim >= 2))


def check_trainings(trained: tuple, whole: tuple) -> str:
    """The histories are beginnings of the whole ones; returns how many epochs they have."""
    for one, other in zip(trained, whole, strict=False):
        n_epochs = len(one.history["epoch"])
        for name, column in one.history.items():
            assert same(column, other.history[name][:n_epochs]), name
    return str([len(one.history["epoch"]) for one in trained])


def in_a_process(work: Callable[[], object]) -> None:
    """Do some work in a process of its own: threads of kernels do not survive a fork."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def run(words: str, kill_after: float | None = None) -> int | None:
    """A command in a process of its own: its exit status, or None if it was killed."""
    child = os.fork()
    if child == 0:
        nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the process ends here
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            os._exit(cli.main(words.split()))
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return None if status == -signal.SIGKILL else status


def kill(name: str, words: str, n_kills: int, seed: int, every: float = 0.0) -> str:
    """Kill a command so many times; returns what was seen."""
    chance = random.Random(seed)
    begun = time.monotonic()
    assert run(f"{words} --output whole.h5 --checkpoint-every {every}") == 0
    longest = time.monotonic() - begun
    whole = contents(Path("whole.h5"))
    path, seen, n_runs, done = Path("run.h5"), {}, 0, 0
    words = f"{words} --output {path} --checkpoint-every {every} --resume"
    while done < n_kills or unfinished.part_of(path).exists():
        status = run(words, chance.uniform(0.2, 1.0) * longest if done < n_kills else None)
        if status is None:
            done += 1
            what = check_part(path, whole)
            seen[what] = seen.get(what, 0) + 1
        else:
            assert status == 0, status
        if path.exists() and not unfinished.part_of(path).exists():
            check_whole(path, whole)
            path.unlink()
            n_runs += 1
    left = sorted(set(os.listdir()) - {"whole.h5", "data.h5", "rbm.h5", ".run.h5.lock"})
    assert not left, left
    n_files = done - seen.get("nothing", 0)
    return f"{name}: {done} kills, {n_files} with an unfinished file ({len(seen)} shapes), {n_runs} runs complete"


def main(argv: list[str] | None = None) -> None:
    """Kill, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of each command")
    parser.add_argument("--every", type=float, default=0.0, help="seconds between checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=None, help="the command whose name begins so")
    arguments = parser.parse_args(argv)
    make_blocks_small()
    for name, words in COMMANDS.items():
        if arguments.only is None or name.startswith(arguments.only):
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                in_a_process(prepare)
                print(kill(name, words, arguments.kills, arguments.seed, arguments.every), flush=True)


if __name__ == "__main__":
    sys.exit(main())
