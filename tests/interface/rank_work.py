"""Work that ranks share out, and what befalls it: test_ranks.py runs it on 1, 2 and 4 of them.

`python rank_work.py work LINES ...` prints one JSON object on rank 0: a digest of each piece of WORK, and the status of
each command line. `killed draws LINE` and the like have rank 1 killed, `resumed LINES ...` goes on, and has rank 1 fail
in the last line.
"""

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from unittest import mock

import h5py
import numpy as np

from mcgen import blocks, cli, ising, parallel, rbm
from mcgen.ising import sampling
from mcgen.ising.exact import summation
from mcgen.rbm.exact import two_level
from mcgen.results import sample_writer

WORLD = parallel.world()
LATTICE = ising.Ising((8, 8))


def digest(*arrays):
    return hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def whole(runs, series, n_chains):
    """The arrays of all ranks and what they counted together."""
    for run in runs if isinstance(runs, list) else [runs]:
        for name in ("states", *series):
            array = getattr(run, name)  # where replicas are shared out, every rank has all chains
            yield array if len(array) == n_chains else np.concatenate(WORLD.gather(array))
        if run.exchange is not None:
            yield from (run.exchange.swap_rates, run.exchange.round_trips, run.exchange.n_sweeps)


def sample(temperature, n_chains, **settings):
    warnings.simplefilter("ignore")  # short chains
    runs = ising.sample(LATTICE, temperature, n_chains, n_draws=4, thin=2, burn_in=40, seed=3, world=WORLD, **settings)
    rates = [run.flip_rate for run in (runs if isinstance(runs, list) else [runs])]
    return digest(*whole(runs, ("energy", "magnetization"), n_chains), rates)


def sample_model(method):
    warnings.simplefilter("ignore")
    model = rbm.RBM.random(20, 12, seed=1, scale=0.8)
    run = rbm.sample(model, n_chains=9, n_draws=4, thin=2, burn_in=20, method=method, seed=2, world=WORLD)
    return digest(*whole(run, ("free_energy", "magnetization"), 9))


def exact_sums():
    """In small blocks."""
    with (
        mock.patch.object(summation, "BLOCK_BITS", 18),
        mock.patch.object(two_level, "TERMS_PER_BLOCK", {"cpu": 1 << 16}),
        mock.patch.object(two_level, "BYTES_PER_BLOCK", 1 << 16),
    ):
        return digest_of_sums()


def digest_of_sums():
    of_lattice = summation.summarize(ising.Ising((5, 4), field=0.1), 2.0, world=WORLD)
    model = rbm.RBM.random(20, 18, seed=1, scale=0.5)
    potts = rbm.RBM.random(18, 12, seed=1, scale=0.5, visible=rbm.Potts(3), hidden="gaussian")
    sums = [rbm.exact.log_partition(one, world=WORLD) for one in (model, potts)]
    for one in (model, potts):
        sums += rbm.exact.moments(one, world=WORLD)
    return digest(*of_lattice, *sums)


def train(negative_phase, **settings):
    v = (np.random.default_rng(3).random((150, 37)) < 0.3).astype(np.int8)
    start = rbm.RBM.random(37, 11, seed=1, dtype=settings.pop("dtype", np.float32))
    trained = rbm.train(
        start, v, negative_phase, gibbs_steps=2, n_chains=21, epochs=2, batch_size=40, seed=5, world=WORLD, **settings
    )
    return digest(*trained.model.parameters, trained.chains, *trained.history.values())


WORK = {
    "single-flip": lambda: sample(2.3, 7, kernel="single-flip"),
    "bit-sliced": lambda: sample(2.3, 1100),
    "wolff": lambda: sample([2.0, 2.5], 5, method="wolff"),
    "tempering": lambda: sample([2.0, 4.0], 5, method="tempering", kernel="single-flip"),
    "tempering of few chains": lambda: sample([2.0, 4.0], 1, method="tempering", kernel="single-flip"),
    "tempering of bits": lambda: sample([2.0, 4.0], 1100, method="tempering"),
    "gibbs": lambda: sample_model("gibbs"),
    "tempering of a model": lambda: sample_model("tempering"),
    "exact sums": exact_sums,
    "cd": lambda: train("cd"),
    "pcd": lambda: train("pcd", centered=True, l2=0.01, dtype=np.float64),
}


def make_blocks_small():
    """So that a run has many."""
    sampling.SECONDS_PER_CALL = 1e-5
    rbm.sampling.drawing.OPERATIONS_PER_CALL = dict.fromkeys(rbm.sampling.METHODS, 1000)


def stopped(where):
    """Send SIGTERM to rank 1 alone: in its draws, or after its first epoch."""
    thing, name = (blocks.Blocks, "_drawn") if where == "draws" else (parallel.World, "check_agreement")
    original, sent = getattr(thing, name), []

    def signalled(self, *arguments):
        if WORLD.rank == 1 and not sent and getattr(self, "n_drawn", 10) >= 10:
            sent.append(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        return original(self, *arguments)

    return mock.patch.object(thing, name, signalled if where else original)


def run(line):
    """A command; `draws: ...` and `epoch: ...` are stopped. Its status on all ranks."""
    where, _, words = line.rpartition(": ")
    with stopped(where):
        return WORLD.gather(cli.main(words.split()))


def killed_draws(words):
    """Rank 1 is killed with its first temperature complete, when rank 0 has kept that, and it has not."""
    keep = sample_writer.SampleWriter.keep

    def kept(self, status="running"):
        if WORLD.rank == 1 and self.n_complete:
            while not complete(words.split()[-1]):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        keep(self, status)

    def complete(output):
        part = next(Path(output).parent.glob(f"{Path(output).stem}.*.rank-0-of-2.h5.part"), None)
        if part is None:
            return False
        with contextlib.suppress(OSError), h5py.File(part) as file:
            return json.loads(file["checkpoint"].attrs["numbers"])["n_complete"] == 1

    with mock.patch.object(sample_writer.SampleWriter, "keep", kept):
        cli.main(words.split())


def killed_at_the_end(words):
    """Rank 1 is killed when it puts its file together, and that of rank 0 is complete."""

    def killed(*_):
        output = Path(words.split()[-1])
        while not list(output.parent.glob(f"{output.stem}.*.rank-0-of-2.h5")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(sample_writer, "put_together", killed if WORLD.rank else sample_writer.put_together):
        cli.main(words.split())


def killed_training(words):
    """Rank 1 is killed after the first epoch, which rank 0 has kept."""
    train = rbm.train

    def broken(*arguments, checkpoint, **settings):
        def keep(result):
            checkpoint(result)
            WORLD.wait()
            if WORLD.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        return train(*arguments, checkpoint=keep, **settings)

    with mock.patch.object(rbm, "train", broken):
        cli.main(words.split())


def resumed(*lines):
    """Commands go on, and how many epochs their trainings had is printed; at the end rank 1 fails in one."""
    train = rbm.train

    def told(*arguments, resume, **settings):
        print("epochs before:", 0 if resume is None else len(resume.history["epoch"]))
        return train(*arguments, resume=resume, **settings)

    *lines, last = lines
    with mock.patch.object(rbm, "train", told):
        for line in lines:
            cli.main(line.split())
    if WORLD.rank == 1:
        mock.patch.object(blocks.Blocks, "burn_in", side_effect=MemoryError("no room for the states")).start()
    cli.main(last.split())


if __name__ == "__main__":
    what, *lines = sys.argv[1:]
    if what != "work":
        make_blocks_small()
        {
            "killed draws": killed_draws,
            "killed at the end": killed_at_the_end,
            "killed training": killed_training,
            "resumed": resumed,
        }[what](*lines)
        sys.exit()
    found = {"digests": {name: work() for name, work in WORK.items()}}
    make_blocks_small()
    found["statuses"] = [run(line) for line in lines]
    if WORLD.rank == 0:
        print(json.dumps(found))
