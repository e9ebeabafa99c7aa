"""Kill ranks of MPI with SIGKILL, or stop them with SIGTERM, at random moments, and see that nothing is lost.

    python tests/kill_ranks.py --kills 20

Like `kills.py`, on ranks that `mpiexec` starts: every command is begun again and again with --resume, and one of
its ranks is killed after a random time, until the run is complete; its data must be those of one process.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import kills

from mcgen import cli, parallel, results

SEVERAL = {name: words.replace("--chains 4", "--chains 5") for name, words in kills.COMMANDS.items()}
FEW = kills.COMMANDS["tempering"].replace("--chains 4", "--chains 1 --kernel single-flip")
COMMANDS = SEVERAL | {"replicas shared out": FEW}


def work(rank: int, seconds: float, number: int, words: str) -> int:
    """A command, in which one rank, or none, sends itself a signal after so many seconds."""
    kills.make_blocks_small()
    if parallel.world().rank == rank:
        timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()
    return cli.main(words.split())


def start(
    words: str, n_ranks: int, rank: int = -1, seconds: float = 0.0, number: int = 0
) -> subprocess.CompletedProcess:
    """The same on several ranks."""
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    line = [
        mpiexec,
        "-n",
        str(n_ranks),
        sys.executable,
        __file__,
        "--work",
        str(rank),
        str(seconds),
        str(number),
        words,
    ]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


def kill(name: str, words: str, n_kills: int, seed: int, n_ranks: int) -> str:
    """Kill a command so many times; returns what was seen."""
    chance = random.Random(seed)
    kills.in_a_process(lambda: cli.main([*words.split(), "--output", "whole.h5"]))
    whole = kills.contents(Path("whole.h5"))
    begun = time.monotonic()
    done = start(f"{words} --output run.h5 --checkpoint-every 0", n_ranks)
    assert done.returncode == 0, done.stderr
    longest = time.monotonic() - begun
    words, n_runs, n_killed, slowest, told = f"{words} --output run.h5 --checkpoint-every 0 --resume", 0, 0, 0.0, set()
    while True:
        path = Path("run.h5")
        if path.exists() and results.load_study(path).attributes["status"] == "complete":
            found = kills.contents(path)
            assert found.keys() == whole.keys()
            different = [one for one in whole if not kills.same(found[one], whole[one])]
            assert not different, different
            n_runs += 1
            for one in Path().glob("run*"):
                shutil.rmtree(one) if one.is_dir() else one.unlink()
        if n_killed >= n_kills and not list(Path().glob("run*")):
            break
        rank, seconds = chance.randrange(n_ranks), chance.uniform(0.0, 0.4) * longest
        number = chance.choice([signal.SIGKILL, signal.SIGTERM])
        begun = time.monotonic()
        done = start(words, n_ranks, rank if n_killed < n_kills else -1, seconds, number)
        taken = time.monotonic() - begun
        if done.returncode:
            n_killed += 1
            assert done.returncode in ((143,) if number == signal.SIGTERM else (9, 137)), (done.returncode, done.stderr)
            slowest = max(slowest, taken - seconds)
        told |= {line for line in done.stderr.splitlines() if "going on" in line}
    return f"{name}: {n_killed} killed or stopped, {n_runs} complete, {len(told)} states, ended within {slowest:.1f} s"


def main(argv: list[str] | None = None) -> int:
    """Kill, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=None, help="the command whose name begins so")
    parser.add_argument("--work", nargs=4, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.work:
        rank, seconds, number, words = arguments.work
        return work(int(rank), float(seconds), int(number), words)
    for name, words in COMMANDS.items():
        if arguments.only is None or name.startswith(arguments.only):
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                kills.in_a_process(kills.prepare)
                print(kill(name, words, arguments.kills, arguments.seed, arguments.ranks), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
